"""Numba's cache files with a hash of their content: a damaged one counts as missing.

Numba loads them unchecked, and a changed byte of machine code ends the process with SIGSEGV or an obscure
error. Each file here begins with a hash over its name and its content, written with it in one rename.
"""

import hashlib
import io
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from numba.core.caching import FunctionCache, IndexDataCacheFile

_MAGIC = b"VNC1"
_HASH_BYTES = 32


class CheckedCacheFile(IndexDataCacheFile):
    """The index and the data files of one function."""

    _version: str
    _source_stamp: object
    _index_path: str

    def save(self, key: Any, data: Any) -> None:
        """Save a version of the function, in a file named after its key.

        Numba counts the names: of two processes that add a version at once, one would load the code of the other.
        """
        overloads = self._load_index()
        if key not in overloads:
            number = int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:6])
            overloads[key] = self._data_name(number)  # type: ignore[no-untyped-call]  # numba's own
            self._save_index(overloads)  # type: ignore[no-untyped-call]  # as above
        self._save_data(overloads[key], data)  # type: ignore[no-untyped-call]  # as above

    def _load_index(self) -> dict[Any, str]:
        """Return the names of data files by signature; empty if the index is missing, damaged or of other source."""
        data = _checked(Path(self._index_path))
        if data is None:
            return {}
        stream = io.BytesIO(data)
        if pickle.load(stream) != self._version:
            return {}
        stamp, overloads = pickle.load(stream)
        return overloads if stamp == self._source_stamp else {}

    def _load_data(self, name: str) -> Any:
        """Return a data file's content. Raise OSError if it is damaged: Numba then compiles again."""
        path = Path(self._data_path(name))  # type: ignore[no-untyped-call]  # numba's own
        data = _checked(path)
        if data is None:
            raise OSError(f"{path} is damaged")
        return pickle.loads(data)

    @contextmanager
    def _open_for_write(self, filepath: str) -> Iterator[BinaryIO]:
        """Yield a stream whose content replaces the file, behind its hash."""
        stream = io.BytesIO()
        yield stream
        content = stream.getvalue()
        Path(filepath).parent.mkdir(parents=True, exist_ok=True)  # the folder may be removed as unused
        with super()._open_for_write(filepath) as file:
            file.write(_MAGIC + _hash(Path(filepath), content) + content)


class PlainLoads(FunctionCache):
    """A cache that loads machine code without what compiles.

    Numba imports its tables of all functions first, which takes ten times as long as to load the code. A compilation
    imports them itself.
    """

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the version for these argument types, or None."""
        with self._guard_against_spurious_io_errors():
            return self._load_overload(sig, target_context)  # type: ignore[no-untyped-call]  # numba's own


def check_cache_files(dispatcher: Any) -> None:
    """Let a dispatcher with a cache check its files, and load them alone."""
    dispatcher._cache.__class__ = PlainLoads
    dispatcher._cache._cache_file.__class__ = CheckedCacheFile


def _checked(path: Path) -> bytes | None:
    """Return the content of a file whose hash is right, or None."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    head = len(_MAGIC) + _HASH_BYTES
    content = data[head:]
    return content if data[:head] == _MAGIC + _hash(path, content) else None


def _hash(path: Path, content: bytes) -> bytes:
    return hashlib.sha256(path.name.encode() + b"\0" + content).digest()
