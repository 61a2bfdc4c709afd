"""How the fold is compiled: the one file of the core that asks the machine for something (its cache folder, one environment name).

VERBATIM_JIT=0 runs the very same functions as plain Python. Compiled code is cached in a folder named after a hash of the
source of what is compiled: Numba's own index looks only at the file of each function, so an edited helper would leave a stale caller.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., object])

JIT: Final = os.environ.get("VERBATIM_JIT", "1") != "0"


def _cache_folder() -> Path | None:
    """A writable folder of this source's own, or None."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for path in sorted([*here.glob("*.py"), *(here.parent / "sim").glob("*.py")]):  # the venue's floor is compiled too
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
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


moved: Any = _moved
if JIT:
    if _folder is not None:
        os.environ["NUMBA_CACHE_DIR"] = str(_folder)  # numba reads it at import
    import numba
    from llvmlite import ir
    from numba.core import types
    from numba.core.errors import TypingError
    from numba.extending import intrinsic

    def compiled(function: F) -> F:
        """The function as machine code, made at its first call.

        Without Numba's reference counts: no function here makes an array, each lives in a Market that outlives the call, and
        counting the views that helpers are handed took nine tenths of a row's time. Nor with a door for C, which nobody uses: each takes
        a fiftieth of a second to compile.
        """
        made: F = numba.njit(function, cache=_folder is not None, _nrt=False, no_cfunc_wrapper=True)  # type: ignore[call-overload]  # a flag of the compiler that the stubs leave out
        return made

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
            builder.call(memmove, [to, start, builder.mul(given[3], ir.Constant(whole, 8)), ir.Constant(ir.IntType(1), 0)])
            return context.get_dummy_value()

        whole = types.int64
        return types.none(row, whole, whole, whole), generate

    moved = _memmove

else:

    def compiled(function: F) -> F:
        """The function as it is."""
        return function
