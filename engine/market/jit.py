"""How the fold is compiled: the one file of the core that asks the machine for something (its cache folder, one environment name).

VERBATIM_JIT=0 runs the very same functions as plain Python. Compiled code is cached in a folder named after a hash of the
source of what is compiled: Numba's own index looks only at the file of each function, so an edited helper would leave a stale caller.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., object])

JIT: Final = os.environ.get("VERBATIM_JIT", "1") != "0"


def _cache_folder() -> Path | None:
    """A writable folder of this source's own, or None."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    outside = (path for name in ("sim", "venues") for path in (here.parent / name).rglob("*.py"))
    with_compiled = [path for path in outside if b"engine.market.jit" in path.read_bytes()]
    for path in sorted([*here.rglob("*.py"), *with_compiled]):
        digest.update(str(path.relative_to(here.parent)).encode() + b"\0" + path.read_bytes() + b"\0")
    root = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111  Path.expanduser raises where there is no home
    folder = Path(root) / "verbatim" / digest.hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return None


def was_compiled() -> bool:
    """Whether this very source was compiled before, by any process of this user."""
    return JIT and _folder is not None and next(_folder.rglob("*.nbi"), None) is not None


_folder = _cache_folder() if JIT else None


def _moved(row: "NDArray[np.int64]", to: int, start: int, count: int) -> None:
    """Move `count` numbers of a row within it."""
    row[to : to + count] = row[start : start + count].copy()


class Callback(NamedTuple):
    """A function that compiled code reaches by a number."""

    address: int
    kept: Any  # what must live as long as the address is used


_plain: WeakValueDictionary[int, Callable[..., int]] = (
    WeakValueDictionary()
)  # with VERBATIM_JIT=0: what an address stands for, as long as its Callback lives
_addresses = count(1)


def _asked(address: int, integers: "NDArray[np.int64]", begin: int, floats: "NDArray[np.float64]", row: int) -> int:
    """Call what lies at an address with a row of integers, from its number `begin` on, and the same row of floats."""
    return _plain[address](integers[row, begin:].tolist(), floats[row].tolist())


moved: Any = _moved
asked: Any = _asked
if JIT:
    if _folder is not None:
        os.environ["NUMBA_CACHE_DIR"] = str(_folder)  # numba reads it at import
    import numba
    from llvmlite import ir
    from numba.core import cgutils, types
    from numba.core.errors import TypingError
    from numba.extending import intrinsic

    def compiled(function: F) -> F:
        """The function as machine code, made at its first call.

        Without Numba's reference counts: no function here makes an array, each lives in a Market that outlives the call, and
        counting the views that helpers are handed took nine tenths of a row's time. Nor with a door for C, which nobody uses: each takes
        a fiftieth of a second to compile. Put into its callers whole, since handing arrays over costs more than most of them do; and
        not made anew for each number that it is called with, which Numba would do.
        """
        made: F = numba.njit(function, cache=_folder is not None, _nrt=False, no_cfunc_wrapper=True, forceinline=True)  # type: ignore[call-overload]  # a flag of the compiler that the stubs leave out
        template = made.get_call_template  # type: ignore[attr-defined]  # of Numba's dispatcher
        made.get_call_template = lambda args, kws: template(tuple(map(types.unliteral, args)), kws)  # type: ignore[attr-defined]  # as above
        return made

    def strictly_compiled(function: F) -> F:
        """A strategy's function as machine code: of its numbers' own types, and never cached, since its source is no file of ours."""
        made: F = numba.njit(function, _nrt=False)  # type: ignore[call-overload]  # as above
        return made

    def callback(function: Callable[..., int]) -> Callback:
        """`function(integers, floats)`, two rows of numbers in and a number out, with the address of its machine code."""
        rows = types.CPointer(types.int64), types.CPointer(types.float64)  # type: ignore[no-untyped-call]  # numba's own
        made = numba.cfunc(types.int64(*rows), _nrt=False)(function)  # type: ignore[call-arg]  # a flag of the compiler that the stubs leave out
        assert made.address is not None, "it is compiled"
        return Callback(made.address, made)

    def says_a_number(function: Any) -> bool:
        """Whether a function that was compiled ends with a number, whichever way it goes."""
        found = [signature.return_type for signature in function.nopython_signatures]
        return all(isinstance(each, types.Boolean | types.Integer | types.Float) for each in found)

    @intrinsic
    def _call(typing_context: Any, address: Any, integers: Any, begin: Any, floats: Any, row: Any) -> Any:  # noqa: ARG001, PLR0917 - Numba's protocol
        """What `asked` is compiled to: machine code made later than the caller's is reached by its address alone."""

        def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            places = []
            for at, skip in ((1, given[2]), (3, ir.Constant(given[2].type, 0))):
                table = context.make_array(signature.args[at])(context, builder, given[at])
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

    asked = _call

    @intrinsic
    def _memmove(typing_context: Any, row: Any, to: Any, start: Any, count: Any) -> Any:  # noqa: ARG001 - Numba's protocol
        """What `moved` is compiled to: of its plain form the compiler makes a loop, at a fifth of the speed."""
        if not isinstance(row, types.Array) or row.ndim != 1 or row.layout != "C" or row.dtype != types.int64:
            raise TypingError("moved: a row of int64")

        def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            data = context.make_array(signature.args[0])(context, builder, given[0]).data
            byte = ir.IntType(8).as_pointer()
            whole = ir.IntType(64)
            to, start = (builder.bitcast(builder.gep(data, [at]), byte) for at in given[1:3])
            memmove = builder.module.declare_intrinsic("llvm.memmove", [byte, byte, whole])
            builder.call(
                memmove, [to, start, builder.mul(given[3], ir.Constant(whole, 8)), ir.Constant(ir.IntType(1), 0)]
            )
            return context.get_dummy_value()

        whole = types.int64
        return types.none(row, whole, whole, whole), generate

    moved = _memmove

else:

    def compiled(function: F) -> F:
        """The function as it is."""
        return function

    def strictly_compiled(function: F) -> F:
        """The function as it is."""
        return function

    def says_a_number(function: Any) -> bool:  # noqa: ARG001 - Python does not tell
        """As above, as far as is known."""
        return True

    def callback(function: Callable[..., int]) -> Callback:
        """The function, under a number of its own."""
        address = next(_addresses)
        _plain[address] = function
        return Callback(address, function)
