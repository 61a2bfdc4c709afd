"""The compiler of the fold.

VERBATIM_JIT=0 runs the same functions as plain Python. Machine code is kept in a folder (code_folder.py): only that of
functions whose files are in the folder's key.
"""

import ctypes
import os
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., object])

JIT: Final = os.environ.get("VERBATIM_JIT", "1") != "0"


def _move_within(row: "NDArray[np.int64]", to: int, start: int, count: int) -> None:
    """Move `count` numbers inside a row."""
    row[to : to + count] = row[start : start + count].copy()


class Callback(NamedTuple):
    """A function that compiled code calls by address."""

    address: int
    kept: Any  # keeps the machine code alive as long as the address is used


# with VERBATIM_JIT=0: the function of each address, as long as its Callback exists
_plain: WeakValueDictionary[int, Callable[..., int]] = WeakValueDictionary()
_addresses = count(1)


# with VERBATIM_JIT=0: the update function of each address
_plain_updates: WeakValueDictionary[int, Callable[..., float]] = WeakValueDictionary()


def _call_update(address: int, floats: "NDArray[np.float64]", row: int, count: int, length: int) -> float:
    """Call the update function at an address with `floats[row]`, the count and the length."""
    return _plain_updates[address](floats[row], count, length)


def _call_at(address: int, integers: "NDArray[np.int64]", begin: int, floats: "NDArray[np.float64]", row: int) -> int:
    """Call the function at an address with `integers[row, begin:]` and `floats[row]`."""
    return _plain[address](integers[row, begin:].tolist(), floats[row].tolist())


move_within: Any = _move_within
call_at: Any = _call_at
call_update: Any = _call_update
row_of_pointer: Any = None  # in compiled code: (pointer, length) -> the array
if JIT:
    from engine.market.code_folder import code_folder, has_code, has_source

    _folder = code_folder()
    if _folder is not None:
        os.environ["NUMBA_CACHE_DIR"] = str(_folder)  # numba reads it at import
    # colours of its errors end every terminal output with a reset sequence, by colorama's exit function
    os.environ.setdefault("NUMBA_DISABLE_ERROR_MESSAGE_HIGHLIGHTING", "1")
    import numba
    from llvmlite import ir
    from numba.core import cgutils, types
    from numba.core.ccallback import CFunc
    from numba.core.errors import TypingError
    from numba.core.sigutils import normalize_signature
    from numba.extending import intrinsic

    from engine.market.jit_cache import check_cache_files

    def kept_code() -> "Path | None":
        """Return the folder of machine code, or None if none can be written."""
        return _folder

    def was_compiled(function: str, /) -> bool:
        """Return True if a process of this user has already compiled this function of exactly this source."""
        return _folder is not None and has_code(_folder, function)

    def _is_kept(function: Callable[..., object]) -> bool:
        return _folder is not None and has_source(function.__code__.co_filename)

    def compiled(function: F) -> F:
        """Compile a function at its first call.

        Numba's reference counts are off: no compiled function allocates, each array outlives the call, and counting the
        views passed to helpers took nine tenths of a row's time. C wrappers are off: each takes 20 ms to compile.
        Functions are inlined into their callers, because passing arrays costs more than most of them do. Constant
        arguments are typed as plain integers, because Numba would compile one version for each constant.
        """
        return _made(function, inlined=True)

    def _made(function: F, *, inlined: bool) -> F:
        is_kept = _is_kept(function)
        made: F = numba.njit(  # type: ignore[call-overload]  # flags of the compiler that the stubs leave out
            function, cache=is_kept, _nrt=False, no_cfunc_wrapper=True, forceinline=inlined
        )
        if is_kept:
            check_cache_files(made)
        template = made.get_call_template  # type: ignore[attr-defined]  # an attribute of Numba's dispatcher
        made.get_call_template = lambda args, kws: template(tuple(map(types.unliteral, args)), kws)  # type: ignore[attr-defined]  # as above
        return made

    def compiled_apart(function: F) -> F:
        """Compile a function as `compiled` does, but once, apart from its callers: for code that few rows need."""
        return _made(function, inlined=False)

    def entry_of(function: F, *given: object) -> F:
        """Return the machine code of a function for these arguments' types. It skips the choice among versions by type.

        Each call must have arguments of exactly these types, contiguous arrays among them: nothing checks it.
        """
        entry: F = function.compile(tuple(map(numba.typeof, given)))  # type: ignore[attr-defined]  # of Numba's dispatcher
        return entry

    def strictly_compiled(function: F) -> F:
        """Compile a strategy's function for its argument types, without a cache: its source is not a file."""
        made: F = numba.njit(function, _nrt=False)  # type: ignore[call-overload]  # as above
        return made

    def bounded_compiled(function: F) -> F:
        """Compile a user's function as `strictly_compiled` does, with checked bounds of arrays."""
        made: F = numba.njit(function, _nrt=False, boundscheck=True)  # type: ignore[call-overload]  # as above
        return made

    def decision_compiled(function: F) -> F:
        """Compile a decision as `bounded_compiled` does; a division by zero raises, as in Python."""
        made: F = numba.njit(function, _nrt=False, boundscheck=True, error_model="python")  # type: ignore[call-overload]  # as above
        return made

    def callback(function: Callable[..., int]) -> Callback:
        """Compile `function(integers, floats) -> int` of two rows and return it with its address."""
        rows = types.CPointer(types.int64), types.CPointer(types.float64)  # type: ignore[no-untyped-call]  # numba's own
        made = numba.cfunc(types.int64(*rows), _nrt=False)(function)  # type: ignore[call-arg]  # a flag of the compiler that the stubs leave out
        assert made.address is not None, "it is compiled"
        return Callback(made.address, made)

    def update_callback(function: Callable[..., float], *, uses_views: bool = False) -> Callback:
        """Compile `function(numbers, count, length) -> float`, an indicator's update, and return it with its address.

        A division by zero gives an infinity or no number, as numpy's plain floats do.
        `uses_views`: it makes arrays of the row (`row_of_pointer`), which needs Numba's reference counts.
        """
        given = types.CPointer(types.float64), types.int64, types.int64  # type: ignore[no-untyped-call]  # numba's own
        signature = normalize_signature(types.float64(*given))  # type: ignore[no-untyped-call]  # numba's own
        options = {"_nrt": uses_views, "error_model": "numpy"}
        made: Any = CFunc(function, signature, locals={}, options=options)
        if _is_kept(function):  # `numba.cfunc` would load the code before its files are checked
            made.enable_caching()
            check_cache_files(made)
        made.compile()
        return Callback(made.address, made)

    def python_callback(function: Callable[[Any, int, int], float]) -> Callback:
        """Return a Python function with an address for `call_update`. It gets the address of the row.

        Compiled functions keep the interpreter's lock, so the call costs a fifth of a microsecond. An exception must
        not leave the function: the caller would get no number.
        """
        kind = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
        made = kind(function)
        return Callback(ctypes.cast(made, ctypes.c_void_p).value or 0, made)

    row_of_pointer = numba.carray  # type: ignore[attr-defined]  # the stubs do not export it

    def returns_number(function: Any, /) -> bool:
        """Return True if a compiled function returns a number on each path."""
        kinds = [signature.return_type for signature in function.nopython_signatures]
        return all(isinstance(kind, types.Boolean | types.Integer | types.Float) for kind in kinds)

    @intrinsic
    def _call(typing_context: Any, address: Any, integers: Any, begin: Any, floats: Any, row: Any) -> Any:
        """Compile `call_at`: only an address reaches machine code made later than its caller."""

        def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            places = []
            for position, skip in ((1, given[2]), (3, ir.Constant(given[2].type, 0))):
                table = context.make_array(signature.args[position])(context, builder, given[position])
                row_bytes, _ = cgutils.unpack_tuple(builder, table.strides)  # type: ignore[no-untyped-call]  # numba's own
                bytes_in = builder.add(
                    builder.mul(given[4], row_bytes), builder.mul(skip, ir.Constant(row_bytes.type, 8))
                )
                places.append(
                    builder.inttoptr(
                        builder.add(builder.ptrtoint(table.data, row_bytes.type), bytes_in), table.data.type
                    )
                )
            called = ir.FunctionType(ir.IntType(64), [place.type for place in places]).as_pointer()
            return builder.call(builder.inttoptr(given[0], called), places)

        whole = types.int64
        return whole(whole, integers, whole, floats, whole), generate

    call_at = _call

    @intrinsic
    def _update(typing_context: Any, address: Any, floats: Any, row: Any, count: Any, length: Any) -> Any:
        """Compile `call_update`."""

        def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            table = context.make_array(signature.args[1])(context, builder, given[1])
            row_bytes, _ = cgutils.unpack_tuple(builder, table.strides)  # type: ignore[no-untyped-call]  # numba's own
            place = builder.add(builder.ptrtoint(table.data, row_bytes.type), builder.mul(given[2], row_bytes))
            pointer = builder.inttoptr(place, table.data.type)
            whole = ir.IntType(64)
            called = ir.FunctionType(ir.DoubleType(), [table.data.type, whole, whole]).as_pointer()
            return builder.call(builder.inttoptr(given[0], called), [pointer, given[3], given[4]])

        whole = types.int64
        return types.float64(whole, floats, whole, whole, whole), generate

    call_update = _update

    @intrinsic
    def _memmove(typing_context: Any, row: Any, to: Any, start: Any, count: Any) -> Any:
        """Compile `move_within` to memmove: the loop that its plain form compiles to is five times slower."""
        if not isinstance(row, types.Array) or row.ndim != 1 or row.layout != "C" or row.dtype != types.int64:
            raise TypingError("move_within takes a row of int64")

        def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            data = context.make_array(signature.args[0])(context, builder, given[0]).data
            byte = ir.IntType(8).as_pointer()
            whole = ir.IntType(64)
            to, start = (builder.bitcast(builder.gep(data, [index]), byte) for index in given[1:3])
            memmove = builder.module.declare_intrinsic("llvm.memmove", [byte, byte, whole])
            builder.call(
                memmove, [to, start, builder.mul(given[3], ir.Constant(whole, 8)), ir.Constant(ir.IntType(1), 0)]
            )
            return context.get_dummy_value()

        whole = types.int64
        return types.none(row, whole, whole, whole), generate

    move_within = _memmove

else:

    def kept_code() -> "Path | None":
        """Return None: nothing is compiled."""
        return None

    def was_compiled(_function: str, /) -> bool:
        """Return False: nothing is compiled."""
        return False

    def compiled(function: F) -> F:
        """Return the function unchanged."""
        return function

    def compiled_apart(function: F) -> F:
        """Return the function unchanged."""
        return function

    def entry_of(function: F, *_given: object) -> F:
        """Return the function unchanged."""
        return function

    def strictly_compiled(function: F) -> F:
        """Return the function unchanged."""
        return function

    def returns_number(_function: Any, /) -> bool:
        """Return True: the types are unknown."""
        return True

    def bounded_compiled(function: F) -> F:
        """Return the function unchanged."""
        return function

    def decision_compiled(function: F) -> F:
        """Return the function unchanged."""
        return function

    def update_callback(function: Callable[..., float], *, uses_views: bool = False) -> Callback:
        """Give the function a number as its address."""
        address = next(_addresses)
        _plain_updates[address] = function
        return Callback(address, function)

    def python_callback(function: Callable[[Any, int, int], float]) -> Callback:
        """Give the function a number as its address. It gets the row."""
        return update_callback(function)

    def callback(function: Callable[..., int]) -> Callback:
        """Give the function a number as its address."""
        address = next(_addresses)
        _plain[address] = function
        return Callback(address, function)
