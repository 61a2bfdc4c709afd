"""Rows packed into columns of 32 bits: a third of their size, and unpacked faster than memory is read. Knows no file.

Rows of one type, instrument and LAST are a stream: these three columns are constants of it. A packed block has a line
of numbers for each stream, and for each row its stream and the distance of each other column from the stream's number.
The time is a difference from the row before, and the venue's time may count from the time. A column that is constant in
each stream has one distance, 0, for all rows.

A block is a table of int64 words: rows, records, streams, the word at which the streams of the rows begin, for each
column with distances the word at which they begin and a mask of the row's index, then the lines, then the columns.
fold/unpack.py reads it.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.market import rows as r
from engine.market.fold.unpack import FROM_TIME, LEAST, LINE_WORDS, LINES, fill_rows, mix_words
from engine.market.rows import Rows

DISTANCES: Final = (r.SEQ, r.TIME_NS, r.VENUE_NS, *range(r.FIELDS, r.COLUMNS))  # the columns that have them
STREAMS_MAX: Final = 2**15
DISTANCE_MAX: Final = 2**32 - 1
_STREAM: Final = [r.TYPE, r.INSTRUMENT, r.LAST]


def pack_rows(rows: Rows) -> bytes | None:
    """Pack whole records; at least one row. Return None if a distance needs more than 32 bits."""
    keys, streams = np.unique(rows[:, _STREAM], axis=0, return_inverse=True)
    streams = streams.reshape(-1)
    if len(keys) > STREAMS_MAX:
        return None
    order = np.argsort(streams, kind="stable")
    starts = np.flatnonzero(np.diff(streams[order], prepend=-1))
    wide = np.empty((len(rows), LINE_WORDS), np.int64)
    wide[:, : r.COLUMNS], wide[:, FROM_TIME] = rows, 0
    stamped = np.minimum.reduceat(rows[order, r.VENUE_NS], starts) > 0
    wide[:, FROM_TIME] = stamped[streams]
    wide[:, r.VENUE_NS] -= wide[:, FROM_TIME] * rows[:, r.TIME_NS]
    wide[:, r.TIME_NS] = np.diff(rows[:, r.TIME_NS], prepend=rows[0, r.TIME_NS])
    wide[:, r.SEQ] -= rows[0, r.SEQ]
    by_stream = wide[order]
    lines, highs = (ends.reduceat(by_stream, starts) for ends in (np.minimum, np.maximum))
    lines[:, [r.SEQ, r.TIME_NS]] = 0
    columns = [np.asarray(streams, np.int16)]
    for column in DISTANCES:
        widest = max(high - low for high, low in zip(highs[:, column].tolist(), lines[:, column].tolist(), strict=True))
        if widest > DISTANCE_MAX or (column in (r.SEQ, r.TIME_NS) and wide[:, column].min() < 0):
            return None
        distances = wide[:, column] - lines[streams, column] + LEAST if widest else np.full(1, LEAST)
        columns.append(distances.astype(np.int32))
    lines[:, [column for column in DISTANCES if column not in (r.SEQ, r.TIME_NS)]] -= LEAST
    lines[:, r.SEQ], lines[:, r.TIME_NS] = rows[0, r.SEQ] - LEAST, rows[0, r.TIME_NS]
    return _joined(len(rows), int(rows[:, r.LAST].sum()), lines, columns)


def _joined(rows: int, records: int, lines: Rows, columns: list[NDArray[np.signedinteger]]) -> bytes:
    """Return the bytes of a block. Each column begins at a whole word."""
    parts = [column.tobytes() for column in columns]
    parts = [part + bytes(-len(part) % 8) for part in parts]
    begins = LINES + lines.size + np.cumsum([0, *(len(part) // 8 for part in parts)])[:-1]
    places = [(begin, 0 if len(column) < rows else -1) for begin, column in zip(begins.tolist(), columns, strict=True)]
    head = np.array([rows, records, len(lines), places[0][0], *np.ravel(places[1:])], np.int64)
    return b"".join([head.tobytes(), lines.tobytes(), *parts])


def unpack_rows(words: Rows) -> tuple[Rows, Rows]:
    """Return the rows of a packed block and the ends of its records: for each, one past its last row."""
    rows: Rows = np.empty((int(words[0]), r.COLUMNS), np.int64)
    ends: Rows = np.empty(int(words[1]), np.int64)
    fill_rows(words, words.view(np.int32), words.view(np.uint16), rows, ends)
    return rows, ends


def warm_unpacking() -> None:
    """Compile what reads blocks, for words that cannot be written to: those of a file."""
    packed = pack_rows(np.ones((1, r.COLUMNS), np.int64))
    assert packed is not None, "one row has no distances"
    words = np.frombuffer(packed, np.int64)
    checksum(words)
    unpack_rows(words)


def checksum(words: Rows) -> int:
    """Return a checksum of a block. Its words can be trusted only if it is the one that they had when packed."""
    return (int(mix_words(words)) + 2**63) % 2**64 - 2**63  # a signed number of 64 bits, without machine code too
