"""How the fold is compiled: the one file of the core that asks the machine for something (its cache folder, one environment name).

VERBATIM_JIT=0 runs the very same functions as plain Python. Compiled code is cached in a folder named after a hash of the
source of what is compiled: Numba's own index looks only at the file of each function, so an edited helper would leave a stale caller.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

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
if JIT:
    if _folder is not None:
        os.environ["NUMBA_CACHE_DIR"] = str(_folder)  # numba reads it at import
    import numba

    def compiled(function: F) -> F:
        """The function as machine code, made at its first call.

        Without Numba's reference counts: no function here makes an array, each lives in a Market that outlives the call, and
        counting the views that helpers are handed took nine tenths of a row's time.
        """
        made: F = numba.njit(function, cache=_folder is not None, _nrt=False)  # type: ignore[call-overload]  # a flag of the compiler that the stubs leave out
        return made

else:

    def compiled(function: F) -> F:
        """The function as it is."""
        return function
