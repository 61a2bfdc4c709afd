"""Neutral messages as rows: a head, which says what its lines hold, and the lines of a table.

Stateless and total. Usual lines are read by compiled code (scan.py); any other line is read here, which alone defines
what a message means.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from engine.events import Event, Unrecognised
from engine.market import rows as r
from engine.market.made_quotes import made_ask, made_bid
from engine.market.rows import COLUMNS, Rows
from engine.market.text import whole
from engine.model import Instrument
from engine.venues.neutral import scan
from engine.venues.neutral.head import (
    BAR,
    BOOK_KINDS,
    FIELDS,
    L_NUMBERS,
    MARK,
    NAME,
    NO_ACTION,
    ORDER,
    PRICE,
    ROW_TYPES,
    SECOND_NS,
    SIZE,
    SNAPSHOT,
    TRADE,
    WHOLE,
    WORD,
    Head,
    layout_of,
    parse_head,
)
from engine.venues.row_builders import LEVELS_IN_MESSAGE_MAX

HEADS_MAX: Final = 4096  # that are kept; a session has one for each file
TEXT_MAX: Final = 200  # of an error that we keep
_INT64 = np.dtype(np.int64)
_UINT8 = np.dtype(np.uint8)
_WORLD = (ValueError, LookupError, TypeError, ArithmeticError)


class NeutralMarket:
    """Decodes the neutral messages of these instruments; a row's INSTRUMENT is the place in this list."""

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self.instruments = tuple(instruments)
        self._by_symbol = {of.symbol: i for i, of in enumerate(self.instruments)}
        self._known: dict[bytes, tuple[Head, int]] = {}  # a cache: what a head means never changes
        self._heads = np.zeros(0, _UINT8)
        self._ends = np.zeros(0, _INT64)
        self._layouts = np.zeros((0, L_NUMBERS), _INT64)

    def is_snapshot(self, payload: bytes) -> bool:
        """Return False: no message answers a request."""
        return False

    def warm(self) -> None:
        """Compile what decodes messages, before the first one arrives."""
        nothing, table = np.zeros(1, _INT64), np.zeros((0, COLUMNS), _INT64)
        scan.scan_messages(
            np.zeros(0, _UINT8), nothing, self._heads, self._ends, self._layouts, nothing, nothing, table, nothing[:0]
        )

    def decode(self, payload: bytes, source: str, seq: int, time_ns: int) -> Rows | tuple[Event, ...]:
        """Return the rows of a message, or the event of any other text. Never raises."""
        decoded = self._scan([payload], np.array([seq], _INT64), np.array([time_ns], _INT64))
        if decoded is not None:
            return decoded[0]
        try:
            return self._exact(payload, seq, time_ns)
        except _WORLD as error:
            return (Unrecognised(source, f"{type(error).__name__}: {error}"[:TEXT_MAX]),)

    def decode_many(self, payloads: Sequence[bytes], seqs: Rows, times_ns: Rows) -> tuple[Rows, list[int]] | None:
        """Return the rows of the leading messages and the end of each one's rows, or None without a message."""
        decoded = self._scan(payloads, seqs, times_ns)
        if decoded is not None:
            return decoded
        single = self.decode(payloads[0], "", int(seqs[0]), int(times_ns[0]))
        return None if isinstance(single, tuple) else (single, [len(single)])

    def decode_snapshot(self, payload: bytes, instrument_id: str, seq: int, time_ns: int) -> Rows | tuple[Event, ...]:
        """Return Unrecognised: books come as messages."""
        return (Unrecognised(instrument_id, "neutral messages answer no request"),)

    # ---- the compiled way

    def _scan(self, payloads: Sequence[bytes], seqs: Rows, times_ns: Rows) -> tuple[Rows, list[int]] | None:
        self._learn(payloads[0])
        offsets = np.zeros(len(payloads) + 1, _INT64)
        np.cumsum(np.fromiter(map(len, payloads), _INT64, len(payloads)), out=offsets[1:])
        text = b"".join(payloads)
        lines = text.count(b"\n")  # of a book; a message of any other kind has one, and up to three rows
        table = np.empty((lines + (scan.ROWS_MAX + 1) * len(payloads) + 1, COLUMNS), _INT64)
        ends = np.empty(len(payloads), _INT64)
        arrays = self._heads, self._ends, self._layouts
        count = scan.scan_messages(np.frombuffer(text, _UINT8), offsets, *arrays, seqs, times_ns, table, ends)
        return (table[: ends[count - 1]], ends[:count].tolist()) if count else None

    def _learn(self, payload: bytes) -> tuple[Head, int] | None:
        """Return the head of a message and the index of its instrument, or None if it has none of ours."""
        text = payload[: payload.find(b"\n") + 1]
        known = self._known.get(text)
        if known is not None or not text.startswith(MARK):
            return known
        try:
            head = parse_head(text[:-1])
            index = self._by_symbol[head.symbol]
        except _WORLD:
            return None
        if len(self._known) < HEADS_MAX:
            self._known[text] = head, index
            self._heads = np.concatenate([self._heads, np.frombuffer(text, _UINT8)])
            self._ends = np.append(self._ends, len(self._heads))
            self._layouts = np.vstack([self._layouts, layout_of(head, index, self.instruments[index])])
        return head, index

    # ---- the exact way

    def _exact(self, payload: bytes, seq: int, time_ns: int) -> Rows:
        found = self._learn(payload)
        if found is None:
            raise ValueError("has no head of an instrument of the session")
        head, i = found
        lines = payload[payload.index(b"\n") + 1 :].split(b"\n")
        of = self.instruments[i]
        if head.kind == ORDER:
            return self._order(head, i, lines[0], seq, time_ns)
        if head.kind in BOOK_KINDS:
            return self._book(head, i, [line for line in lines if line], seq, time_ns)
        values = _values(head, lines[0], of)
        if values is None:
            return r.bad_value(ROW_TYPES[head.kind], instrument=i, seq=seq, time_ns=time_ns, venue_ns=time_ns)
        if head.kind == TRADE and "id" not in head.columns:
            values[2] = -1
        is_retold = head.kind in (TRADE, BAR) and of.trade_stream not in ("", head.stream)
        kind = r.RETOLD if is_retold else ROW_TYPES[head.kind]
        first = [kind, i, seq, time_ns, time_ns, 0, *values, *[0] * (5 - len(values))]
        table = [first]
        if head.kind == BAR and not is_retold:
            end_ns = -(-time_ns // SECOND_NS) * SECOND_NS
            first[r.VENUE_NS] = end_ns - head.interval_ns
            table.append([r.BAR_END, i, seq, time_ns, end_ns, 0, end_ns, 0, 0, 0, 0])
        if head.kind in (TRADE, BAR) and not is_retold and of.half_spread_ppm >= 0:
            price, size = (values[0], values[1]) if head.kind == TRADE else (values[3], values[4])
            tick = max(int(of.tick_size.scaleb(of.price_scale)), 1)
            bid, ask = made_bid(price, of.half_spread_ppm, tick), made_ask(price, of.half_spread_ppm, tick)
            table.append([r.QUOTE, i, seq, time_ns, first[r.VENUE_NS], 0, bid, size, ask, size, 0])
        table[-1][r.LAST] = 1
        return np.array(table, np.int64)

    def _order(self, head: Head, i: int, line: bytes, seq: int, time_ns: int) -> Rows:
        values = _values(head, line, self.instruments[i])
        if values is None:
            return r.bad_value(r.DIFF, instrument=i, seq=seq, time_ns=time_ns, venue_ns=time_ns)
        table = np.zeros((scan.ROWS_MAX, COLUMNS), np.int64)
        table[0] = r.ORDER, i, seq, time_ns, time_ns, 0, *values
        return table[: scan.make_order_rows(table, layout_of(head, i, self.instruments[i]))]

    def _book(self, head: Head, i: int, lines: list[bytes], seq: int, time_ns: int) -> Rows:
        if len(lines) > LEVELS_IN_MESSAGE_MAX:
            raise ValueError(f"{len(lines)} levels in one message, at most {LEVELS_IN_MESSAGE_MAX} are taken")
        table = np.zeros((1 + len(lines), COLUMNS), np.int64)
        table[:, : r.LAST] = r.LEVEL, i, seq, time_ns, time_ns
        table[0, r.TYPE] = ROW_TYPES[head.kind]
        if head.kind == SNAPSHOT:
            table[0, r.SNAPSHOT_ID] = seq
        else:
            table[0, r.DIFF_LAST_ID] = seq
        table[0, r.DIFF_LEVELS] = len(lines)
        for row, line in zip(table[1:], lines, strict=True):
            values = _values(head, line, self.instruments[i])
            if values is None:
                return r.bad_value(r.DIFF, instrument=i, seq=seq, time_ns=time_ns, venue_ns=time_ns)
            row[r.FIELDS : r.FIELDS + len(values)] = values
        table[-1, r.LAST] = 1
        return table


def _values(head: Head, line: bytes, of: Instrument) -> list[int] | None:
    """Return the values of a line in the order of its row, or None if one may not enter. Raises for another line."""
    texts = line.decode().rstrip("\r").split(",")
    fields = FIELDS[head.kind]
    values = [0] * len(fields)
    for name, column in head.columns.items():
        place, kind = fields[name]
        text = texts[column].strip()
        if kind == PRICE:
            values[place] = r.scaled(text, of.price_scale + head.price_exponent)
        elif kind == SIZE:
            values[place] = r.scaled(text, of.size_scale)
        elif kind == WHOLE:
            values[place] = int(text) if text.isdecimal() and int(text) <= r.ID_MAX else -1
        elif kind == WORD:
            values[place] = int(text.lower() == head.word)
        elif kind == NAME:
            values[place] = _number_of_name(text.encode())
        else:
            values[place] = head.actions.get(text.lower(), NO_ACTION)
    return None if min(values) < 0 else values


def _number_of_name(name: bytes) -> int:
    text = np.frombuffer(name, _UINT8)
    value, after = whole(text, 0)
    return int(value) if after == len(name) else scan.number_of_name(text, 0, len(name))
