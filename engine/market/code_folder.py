"""The folder of machine code. Its name is a hash of everything that makes the code: another state has another folder.

Numba's index checks only the file of each function: an edited helper or constant would leave a stale caller. The hash
includes the folder of the sources, because Numba loads nothing that a copy of them in another folder compiled, and the
processor, so a folder without code for this one counts as new. `VERBATIM_CODE` names a folder of an image: its code is
copied to the user's at the first start.
"""

import hashlib
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

import llvmlite
import numpy as np
from llvmlite.binding import get_host_cpu_features, get_host_cpu_name

from engine.market.machine_code import SUFFIX, numba_version

_ENGINE: Final = Path(__file__).parent.parent
_COMPILING: Final = ("sim/exchange/*.py", "sim/fold_orders/*.py", "venues/*/scan.py")  # to read all takes 20 ms
_MARK: Final = b"engine.market.jit"
_IMPORT: Final = re.compile(rb"^from (engine\.(?:sim|venues)[\w.]*) import (\([^)]*\)|[^\n]*)", re.MULTILINE)
_NAME: Final = re.compile("[0-9a-f]{16}")
UNUSED_DAYS: Final = 30


@cache
def compiled_sources() -> frozenset[Path]:
    """List the files whose text can change machine code.

    They are engine/market, each file of the engine that compiles, and what those import beside it: constants.
    """
    found = set((_ENGINE / "market").rglob("*.py"))
    others = [path for pattern in _COMPILING for path in _ENGINE.glob(pattern)]
    following = [path for path in others if _MARK in path.read_bytes()]
    while following:
        path = following.pop()
        if path not in found and path.is_file():
            found.add(path)
            following += _imported(path)
    return frozenset(found)


def _imported(path: Path) -> Iterator[Path]:
    """Yield where the modules that a file imports from engine/sim and engine/venues may be."""
    for module, names in _IMPORT.findall(path.read_bytes()):
        base = _ENGINE.parent.joinpath(*module.decode().split("."))
        yield base.with_suffix(".py")
        for name in ["__init__", *re.findall(r"\w+", names.decode())]:
            yield base / f"{name}.py"


def has_source(path: str) -> bool:
    """Return True if a change of this file changes the folder: code of other files must not be kept."""
    return Path(path) in compiled_sources()


def folder_name() -> str:
    """Return the name of the folder of this code."""
    processor = get_host_cpu_name(), get_host_cpu_features().flatten()
    versions = sys.version, np.__version__, llvmlite.__version__
    digest = hashlib.sha256("\0".join([str(_ENGINE), platform.machine(), sys.platform, *processor, *versions]).encode())
    digest.update(numba_version())
    for path in sorted(compiled_sources()):
        digest.update(b"\0" + path.relative_to(_ENGINE).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def code_folder() -> Path | None:
    """Return the user's folder for exactly this code, or None without a place. Fill it from the image if empty."""
    root = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111  Path.expanduser raises if there is no home
    folder = Path(root) / "verbatim" / folder_name()
    shipped = os.environ.get("VERBATIM_CODE")
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if shipped and not has_code(folder):
            with suppress(OSError):  # this state compiles, as without an image
                copy_code(Path(shipped) / folder.name, folder)
        is_new = not folder.exists()
        folder.mkdir(mode=0o700, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            os.utime(folder)  # for `remove_unused`
            if is_new:
                remove_unused(folder.parent, folder.stat().st_mtime)
            return folder
    except OSError:
        return None


def copy_code(source: Path, target: Path) -> None:
    """Copy a folder of machine code in one rename. All users may read the copy, and only its owner may write to it.

    Raises:
        OSError: The source has no code, or the target cannot be written or has code.
    """
    files = sorted(source.glob(f"*{SUFFIX}"))
    if not files:
        raise FileNotFoundError(f"{source} has no compiled code")
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".code-") as made:
        whole = Path(made) / "whole"
        whole.mkdir()
        for file in files:
            shutil.copyfile(file, whole / file.name)
        for path in (whole, *whole.iterdir()):
            path.chmod(0o755 if path.is_dir() else 0o644)
        whole.rename(target)


def has_code(folder: Path, function: str = "") -> bool:
    """Return True if a process has put a compiled function into a folder, or any."""
    return next(folder.glob(f"*.{function}-*{SUFFIX}" if function else f"*{SUFFIX}"), None) is not None


def remove_unused(root: Path, began_s: float) -> None:
    """Remove the folders of other states that no process has begun with for UNUSED_DAYS.

    A process that still runs with one has loaded what it needs; it makes the folder again if it compiles more.

    Args:
        root: Holds the folders.
        began_s: The time of the present process, as a file's time.
    """
    for folder in root.iterdir():
        with suppress(OSError):  # another process removes the same
            if _NAME.fullmatch(folder.name) and began_s - folder.stat().st_mtime > UNUSED_DAYS * 86_400:
                with tempfile.TemporaryDirectory(dir=root, prefix=".code-") as removed:
                    folder.rename(Path(removed) / folder.name)  # a process sees all of it or nothing
