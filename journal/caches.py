"""Caches: results that take long to compute from a journal, in files beside its segments.

A cache is never the truth. It is used only if its inputs are identical and its bytes are intact; otherwise it counts as
missing. Readers write caches without a lock, because two readers that write the same cache write the same bytes.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from mmap import ACCESS_READ, mmap
from pathlib import Path
from struct import Struct

from journal.private_files import write_bytes

SUFFIX = ".cache"
_MAGIC = b"VJC2\0\0\0\0"
_HASH_BYTES = 32
_LENGTH = Struct("<q")  # of the body
_HEAD_BYTES = len(_MAGIC) + 2 * _HASH_BYTES + _LENGTH.size
ALIGNMENT = 8  # the body and its blocks begin at a multiple of it


def save(folder: Path, name: str, made_from: str, body: bytes, blocks: Sequence[bytes] = ()) -> None:
    """Write a cache file; do nothing if the folder cannot be written.

    Args:
        folder: The session's folder.
        name: The cache's name without suffix.
        made_from: Identifies everything that the content depends on: code, records, settings.
        body: The content.
        blocks: More content. A reader may need parts of it alone, so `body` must have their checksums.
    """
    path = folder / f"{name}{SUFFIX}"
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    head = (_MAGIC, _hash(made_from.encode()), _hash(body), _LENGTH.pack(len(body)))
    with suppress(OSError):
        write_bytes(temporary, b"".join((*head, body, bytes(-len(body) % ALIGNMENT), *blocks)))
        temporary.replace(path)


def load(folder: Path, name: str, made_from: str) -> memoryview | None:
    """Return the body of a cache, or None if it is missing, damaged or was made from something else."""
    found = load_blocks(folder, name, made_from)
    return None if found is None else found[0]


def load_blocks(folder: Path, name: str, made_from: str) -> tuple[memoryview, memoryview] | None:
    """Return the body of a cache and its blocks, unread and perhaps damaged; None as `load` does.

    The file is mapped into memory. A cache is replaced and never changed, so what is mapped stays as it is.
    """
    try:
        with (folder / f"{name}{SUFFIX}").open("rb") as file:
            data = memoryview(mmap(file.fileno(), 0, access=ACCESS_READ))
    except (OSError, ValueError):  # ValueError: an empty file
        return None
    if len(data) < _HEAD_BYTES:
        return None
    (length,) = _LENGTH.unpack_from(data, _HEAD_BYTES - _LENGTH.size)
    body = data[_HEAD_BYTES : _HEAD_BYTES + max(length, 0)]
    if data[: _HEAD_BYTES - _LENGTH.size] != b"".join((_MAGIC, _hash(made_from.encode()), _hash(body))):
        return None
    return body, data[_HEAD_BYTES + length + -length % ALIGNMENT :]


def list_names(folder: Path, prefix: str) -> Iterator[str]:
    """Return an iterator of the names of caches with a prefix, the last name first."""
    names = [path.name.removesuffix(SUFFIX) for path in folder.glob(f"{prefix}*{SUFFIX}")]
    return iter(sorted(names, reverse=True))


def _hash(data: bytes | memoryview) -> bytes:
    return hashlib.sha256(data).digest()
