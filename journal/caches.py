"""What was computed from a journal and would take long to compute again, in files beside its segments.

A cache is never the truth. It is used only where it was made from the very same things and its bytes are whole; else it is
as if it were not there. Written by readers, without a lock: two that write the same cache write the same bytes.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

SUFFIX = ".cache"
_MAGIC = b"VJC1"
_HASH_BYTES = 32
_HEAD_BYTES = len(_MAGIC) + 2 * _HASH_BYTES


def keep(folder: Path, name: str, made_from: str, body: bytes) -> None:
    """`made_from` names everything that `body` follows from: code, records, settings. A folder that cannot be written stays as it is."""
    path = folder / f"{name}{SUFFIX}"
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with suppress(OSError):
        temporary.write_bytes(b"".join((_MAGIC, _hash(made_from.encode()), _hash(body), body)))
        temporary.replace(path)


def find(folder: Path, name: str, made_from: str) -> memoryview | None:
    """The body; None where there is none that was made from the same."""
    try:
        data = (folder / f"{name}{SUFFIX}").read_bytes()
    except OSError:
        return None
    head, body = data[:_HEAD_BYTES], memoryview(data)[_HEAD_BYTES:]
    return body if head == b"".join((_MAGIC, _hash(made_from.encode()), _hash(body))) else None


def names(folder: Path, prefix: str) -> Iterator[str]:
    """Of the caches that begin so, the last first."""
    found = [path.name.removesuffix(SUFFIX) for path in folder.glob(f"{prefix}*{SUFFIX}")]
    return iter(sorted(found, reverse=True))


def _hash(data: bytes | memoryview) -> bytes:
    return hashlib.sha256(data).digest()
