"""The compiler: Numba with our options and additions. Only what compiles imports it (jit.py)."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.boxing import unbox_array
from numba.core.errors import TypingError
from numba.core.pythonapi import NativeValue, _unboxers
from numba.core.registry import cpu_target
from numba.extending import intrinsic
from numba.np.numpy_support import as_dtype

from engine.market.machine_code import CONTIGUOUS, WRITEABLE, ObjectCode

# Reference counts are off: no compiled function allocates, each array outlives the call, and counting the views passed
# to helpers took nine tenths of a row's time. Wrappers for C are off: each takes 20 ms to compile.
_DTYPE_AT: Final = 56  # PyArrayObject_fields.descr
_FLAGS_AT: Final = 64  # PyArrayObject_fields.flags
_NUMBER_AT: Final = 28  # PyArray_Descr.type_num
_OPTIONS: Final = {"_nrt": False, "no_cfunc_wrapper": True}
F = TypeVar("F", bound=Callable[..., object])


# ---- our functions


def unbox_exactly(of: types.Array, value: Any, c: Any) -> NativeValue:
    """Compile the check of an array: it raises TypeError unless type, order and rights are the function's.

    Numba compares the size of a number alone. The places are those of numpy's structures in C, which do not change.
    """
    found: NativeValue = unbox_array(of, value, c)
    if of.layout != "C" or not of.aligned:  # a function of other programs in this process
        return found
    failed = cgutils.alloca_once_value(c.builder, found.is_error)  # type: ignore[no-untyped-call]  # as above
    with c.builder.if_then(c.builder.not_(found.is_error)):

        def at(start: Any, place: int, kind: Any) -> Any:
            behind = c.builder.gep(c.builder.bitcast(start, ir.IntType(8).as_pointer()), [ir.IntType(64)(place)])
            return c.builder.load(c.builder.bitcast(behind, kind.as_pointer()))

        number = at(at(value, _DTYPE_AT, ir.IntType(8).as_pointer()), _NUMBER_AT, ir.IntType(32))
        needed = ir.IntType(32)(CONTIGUOUS | (WRITEABLE if of.mutable else 0))
        flags = c.builder.and_(at(value, _FLAGS_AT, ir.IntType(32)), needed)
        is_other = c.builder.or_(
            c.builder.icmp_unsigned("!=", number, ir.IntType(32)(as_dtype(of.dtype).num)),
            c.builder.icmp_unsigned("!=", flags, needed),
        )
        c.builder.store(is_other, failed)
        with c.builder.if_then(is_other, likely=False):
            c.pyapi.err_set_string("PyExc_TypeError", "the array has another type, gaps, or cannot be written to")
    return NativeValue(found.value, is_error=c.builder.load(failed))  # type: ignore[no-untyped-call]  # numba's own


_unboxers.functions[types.Array] = unbox_exactly


def object_code(function: Callable[..., object], given: tuple[object, ...]) -> ObjectCode:
    """Compile a function that Python calls with arguments of these types."""
    made: Any = numba.njit(function, **_OPTIONS)  # type: ignore[call-overload]  # flags of the compiler that the stubs leave out
    made.compile(tuple(map(numba.typeof, given)))
    [found] = made.overloads.values()
    assert not found.environment.consts, "the function's wrapper reads no constants"
    return ObjectCode(found.fndesc.llvm_cpython_wrapper_name, found.fndesc.env_name, _image(found.library))


def inner_function(function: Callable[..., object], *, inlined: bool) -> Any:
    """Return a function as compiled code calls it; it is compiled for the types of each call.

    Constant arguments are typed as plain integers, because Numba would compile one version for each constant.
    """
    made: Any = numba.njit(function, forceinline=inlined, no_cpython_wrapper=True, **_OPTIONS)  # type: ignore[call-overload]  # as above
    template = made.get_call_template
    made.get_call_template = lambda args, kws: template(tuple(map(types.unliteral, args)), kws)
    return made


def _image(library: Any) -> bytes:
    """Return a library as an object file, with the code of all functions that it calls."""
    _, _, (image, _) = library.serialize_using_object_code()
    return bytes(image)


def update_code(function: Callable[..., float]) -> ObjectCode:
    """Compile an indicator's update, to be called by address."""
    made: Any = numba.njit(function, _nrt=False, no_cpython_wrapper=True, error_model="numpy")  # type: ignore[call-overload]  # as above
    made.compile(_update_signature())
    [found] = made.overloads.values()
    return ObjectCode(found.fndesc.llvm_cfunc_wrapper_name, "", _image(found.library))


# ---- functions of users


def checked(function: F, **options: Any) -> F:
    """Compile a user's function for its argument types when compiled code calls it. Its source is not a file."""
    made: F = numba.njit(function, _nrt=False, **options)  # type: ignore[call-overload]  # as above
    return made


def returns_number(function: Any, /) -> bool:
    """Return True if a compiled function returns a number on each path."""
    kinds = [signature.return_type for signature in function.nopython_signatures]
    return all(isinstance(kind, types.Boolean | types.Integer | types.Float) for kind in kinds)


def predicate(function: Callable[..., int]) -> Any:
    """Compile `function(integers, floats) -> int` of two rows. It has an `address`."""
    rows = types.CPointer(types.int64), types.CPointer(types.float64)  # type: ignore[no-untyped-call]  # numba's own
    return numba.cfunc(types.int64(*rows), _nrt=False)(function)  # type: ignore[call-arg]  # a flag of the compiler that the stubs leave out


def update(function: Callable[..., float], *, uses_views: bool) -> Any:
    """Compile `function(numbers, count, length) -> float`. It has an `address`.

    A division by zero gives an infinity or no number, as numpy's plain floats do.
    `uses_views`: it makes arrays of the row (`row_of_pointer`), which needs Numba's reference counts.
    """
    return numba.cfunc(_update_signature(), _nrt=uses_views, error_model="numpy")(function)  # type: ignore[call-arg]  # as above


def _update_signature() -> Any:
    return types.float64(types.CPointer(types.float64), types.int64, types.int64)  # type: ignore[no-untyped-call]  # numba's own


# ---- what compiled code alone calls


row_of_pointer = numba.carray  # type: ignore[attr-defined]  # the stubs do not export it


def type_of(name: str) -> Any:
    """Return the type of one of these functions."""
    return cpu_target.typing_context.resolve_value_type(globals()[name])


@intrinsic
def call_at(typing_context: Any, address: Any, integers: Any, begin: Any, floats: Any, row: Any) -> Any:
    """Compile `call_at`: only an address reaches machine code made later than its caller."""

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        places = []
        for position, skip in ((1, given[2]), (3, ir.Constant(given[2].type, 0))):
            table = context.make_array(signature.args[position])(context, builder, given[position])
            row_bytes, _ = cgutils.unpack_tuple(builder, table.strides)  # type: ignore[no-untyped-call]  # numba's own
            bytes_in = builder.add(builder.mul(given[4], row_bytes), builder.mul(skip, ir.Constant(row_bytes.type, 8)))
            places.append(
                builder.inttoptr(builder.add(builder.ptrtoint(table.data, row_bytes.type), bytes_in), table.data.type)
            )
        called = ir.FunctionType(ir.IntType(64), [place.type for place in places]).as_pointer()
        return builder.call(builder.inttoptr(given[0], called), places)

    whole = types.int64
    return whole(whole, integers, whole, floats, whole), generate


@intrinsic
def call_update(typing_context: Any, address: Any, floats: Any, row: Any, count: Any, length: Any) -> Any:
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


@intrinsic
def move_within(typing_context: Any, row: Any, to: Any, start: Any, count: Any) -> Any:
    """Compile `move_within` to memmove: the loop that its plain form compiles to is five times slower."""
    if not isinstance(row, types.Array) or row.ndim != 1 or row.layout != "C" or row.dtype != types.int64:
        raise TypingError("move_within takes a row of int64")

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, given[0]).data
        byte = ir.IntType(8).as_pointer()
        whole = ir.IntType(64)
        to, start = (builder.bitcast(builder.gep(data, [index]), byte) for index in given[1:3])
        memmove = builder.module.declare_intrinsic("llvm.memmove", [byte, byte, whole])
        builder.call(memmove, [to, start, builder.mul(given[3], ir.Constant(whole, 8)), ir.Constant(ir.IntType(1), 0)])
        return context.get_dummy_value()

    whole = types.int64
    return types.none(row, whole, whole, whole), generate
