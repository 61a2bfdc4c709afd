"""Arrays of hftbacktest (npz): depth, snapshots, best quotes and trades with both times, one event a row.

A row becomes the line `side,exch_ts,local_ts,px,qty`, with the event's time of receipt. Events that were never received
(without LOCAL_EVENT) are left out, as the strategy of hftbacktest never sees them. Events of a book with one time are
one message. Source: hftbacktest/types.py of nkaz001/hftbacktest.
"""

import zipfile
from collections.abc import Iterator
from itertools import groupby
from typing import Any, NamedTuple

from journal.errors import CaptureRefusedError
from journal.importing.data_kinds import BOOKS, TRADES
from journal.importing.lines import CapturedRow, CaptureLines, CaptureReader
from journal.importing.row_head import DIFF, SNAPSHOT, TRADE, row_head

NAME = "hftbacktest-npz"
ABOUT = "hftbacktest's arrays: npz with the field `data` of its event type"
ALLOWS = (TRADES, BOOKS)
FIELDS = ("ev", "exch_ts", "local_ts", "px", "qty")
LOCAL_EVENT, SELL_EVENT = 1 << 30, 1 << 28
KIND_MASK = 0xFF
DEPTH_EVENT, TRADE_EVENT, DEPTH_CLEAR_EVENT, DEPTH_SNAPSHOT_EVENT = 1, 2, 3, 4
KINDS = {DEPTH_EVENT: DIFF, TRADE_EVENT: TRADE, DEPTH_SNAPSHOT_EVENT: SNAPSHOT}
COLUMNS = {TRADE: {"price": 3, "size": 4, "maker": 0}}
LEVEL_COLUMNS = {"ask": 0, "price": 3, "size": 4}
BATCH = 65_536


class _Row(NamedTuple):
    local_ns: int
    kind: str
    line: str


def is_format(_head: bytes, name: str) -> bool:
    """Return True if the file inside the zip is an array of numpy."""
    return name == "data.npy"


def read(lines: CaptureLines) -> CaptureReader:
    """Read an array.

    Raises:
        CaptureRefusedError: The array is of another type, or the symbol is not known.
    """
    import numpy as np

    if not lines.symbol:
        raise CaptureRefusedError(f"{lines.path} names no instrument. What to do: add --symbol BTCUSDT.")
    try:
        with np.load(lines.path) as packed:
            events = packed["data"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise lines.damaged(f"cannot be read ({' '.join(str(error).split())})", line=1) from error
    if events.dtype.names is None or not set(FIELDS) <= set(events.dtype.names):
        raise CaptureRefusedError(
            f"{lines.path} is no array of hftbacktest's events. What to do: give one with {FIELDS}."
        )
    return CaptureReader("receive", {"unit": "ns", "columns": list(FIELDS)}, _messages(lines, events))


def _messages(lines: CaptureLines, events: Any) -> Iterator[CapturedRow]:
    heads = {
        kind: row_head(kind, "npz", lines.symbol, COLUMNS.get(kind, LEVEL_COLUMNS), word="sell")
        for kind in KINDS.values()
    }
    for (local_ns, kind), group in groupby(_rows(lines, events), lambda row: (row.local_ns, row.kind)):
        if kind == TRADE:
            for row in group:
                yield CapturedRow(local_ns, heads[kind] + row.line.encode())
        else:
            yield CapturedRow(local_ns, heads[kind] + "\n".join(row.line for row in group).encode())


def _rows(lines: CaptureLines, events: Any) -> Iterator[_Row]:
    for begin in range(0, len(events), BATCH):
        columns = (events[name][begin : begin + BATCH].tolist() for name in FIELDS)
        for event, exch_ns, local_ns, price, size in zip(*columns, strict=True):
            lines.number += 1
            kind = KINDS.get(event & KIND_MASK)
            if kind is None or not event & LOCAL_EVENT:
                continue
            side = "sell" if event & SELL_EVENT else "buy"
            yield _Row(local_ns, kind, f"{side},{exch_ns},{local_ns},{price!r},{size!r}")
