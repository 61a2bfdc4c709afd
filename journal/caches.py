"""Caches: results that take long to compute from a journal, in files beside its segments.

A cache is never the truth. It is used only if its inputs are identical and its bytes are intact; otherwise it counts as
missing. Readers write caches without a lock, because two readers that write the same cache write the same bytes.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from journal.private_files import write_bytes

SUFFIX = ".cache"
_MAGIC = b"VJC1"
_HASH_BYTES = 32
_HEAD_BYTES = len(_MAGIC) + 2 * _HASH_BYTES


def save(folder: Path, name: str, made_from: str, body: bytes) -> None:
    """Write a cache file; do nothing if the folder cannot be written.

    Args:
        folder: The session's folder.
        name: The cache's name without suffix.
        made_from: Identifies everything that `body` depends on: code, records, settings.
        body: The content.
    """
    path = folder / f"{name}{SUFFIX}"
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with suppress(OSError):
        write_bytes(temporary, b"".join((_MAGIC, _hash(made_from.encode()), _hash(body), body)))
        temporary.replace(path)


def load(folder: Path, name: str, made_from: str) -> memoryview | None:
    """Return the body of a cache, or None if it is missing, damaged or was made from something else."""
    try:
        data = (folder / f"{name}{SUFFIX}").read_bytes()
    except OSError:
        return None
    head, body = data[:_HEAD_BYTES], memoryview(data)[_HEAD_BYTES:]
    return body if head == b"".join((_MAGIC, _hash(made_from.encode()), _hash(body))) else None


def list_names(folder: Path, prefix: str) -> Iterator[str]:
    """Return an iterator of the names of caches with a prefix, the last name first."""
    names = [path.name.removesuffix(SUFFIX) for path in folder.glob(f"{prefix}*{SUFFIX}")]
    return iter(sorted(names, reverse=True))


def _hash(data: bytes | memoryview) -> bytes:
    return hashlib.sha256(data).digest()
