"""A reader of journals written from docs/journal-format.md alone. It imports nothing of ours, so anyone can write it."""

import hashlib
import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

NUMBERS = ("seq", "time_ns", "recv_ns", "cause")
NAMES = ("seq", "time_ns", "recv_ns", "kind", "source", "cause", "key", "meta", "payload", "body")
TYPES = {"payload": pa.binary(), **dict.fromkeys(NUMBERS, pa.int64())}
SCHEMA = pa.schema([pa.field(name, TYPES.get(name, pa.string())) for name in NAMES])
Row = dict[str, Any]


def rows(folder: Path) -> Iterator[Row]:
    """Yield every record of a journal, and assert that each detail is as the page states."""
    names = sorted(path.name for path in folder.iterdir() if path.suffix in (".open", ".parquet"))
    chain, seq = "0" * 64, 0
    for stem in sorted({name.split(".")[0] for name in names}):
        if int(stem) < seq:
            continue
        if f"{stem}.parquet" in names:
            found, chain = sealed(folder / f"{stem}.parquet", chain)
        else:
            found = [row for frame in frames((folder / f"{stem}.open").read_bytes(), int(stem)) for row in frame]
        for row in found:
            assert row["seq"] == seq
            yield row
            seq += 1


def frames(data: bytes, seq: int) -> Iterator[list[Row]]:
    at = 0
    while len(data) - at >= 40:
        magic, crc, length, count, first, _ = struct.unpack_from("<4sIQQqq", data, at)
        body = data[at + 40 : at + 40 + length]
        if magic != b"VJ1\n" or first != seq or zlib.crc32(data[at + 8 : at + 40] + body) != crc:
            return
        found = pa.ipc.read_record_batch(pa.py_buffer(body), SCHEMA).to_pylist()
        assert len(found) == count
        yield found
        at, seq = at + 40 + length, seq + count


def sealed(path: Path, chain: str) -> tuple[list[Row], str]:
    footer = {
        key.decode(): text.decode()
        for key, text in pq.read_metadata(path).metadata.items()
        if key.startswith(b"journal.")
    }
    table = pq.read_table(path, page_checksum_verification=True)
    assert tuple(table.column_names) == NAMES
    found: list[Row] = table.to_pylist()
    assert footer["journal.prev_chain"] == chain
    first = int(footer["journal.first_seq"])
    for last, stated in json.loads(footer["journal.parts"]):
        part = [row for row in found if first <= row["seq"] <= last]
        assert content(part) == stated
        chain, first = hashlib.sha256((chain + stated).encode()).hexdigest(), last + 1
    assert footer["journal.chain"] == chain
    return found, chain


def content(part: list[Row]) -> str:
    digest = hashlib.sha256(b"1")
    for begin in range(0, len(part), 16_384):
        block = part[begin : begin + 16_384]
        for name in NAMES:
            values = [row[name] for row in block]
            kept = [value for value in values if value is not None]
            digest.update(f"{name}:{len(values)}:{len(values) - len(kept)};".encode())
            if 0 < len(kept) < len(values):
                bits = "".join("0" if value is None else "1" for value in values)
                bits += "0" * (-len(bits) % 8)
                digest.update(bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)))
            if name in NUMBERS:
                digest.update(struct.pack(f"<{len(kept)}q", *kept))
            elif kept:
                raw = [value if isinstance(value, bytes) else value.encode() for value in kept]
                digest.update(struct.pack(f"<{len(raw)}q", *map(len, raw)))
                digest.update(b"".join(raw))
    return digest.hexdigest()
