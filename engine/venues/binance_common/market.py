"""The public messages of Binance's markets as rows: what spot and futures have in common.

Stateless and total: no book, no clock, no socket. Two ways lead to the same rows. A compiled scan
(binance_spot/scan.py, binance_futures/scan.py) reads frames spelled exactly as Binance spells them. Any unusual frame
(other order of names, white space, new names, odd numbers) goes the slow and exact way here, which alone defines what a
frame means. A property test compares them. A `Spelling` is a table of the content of each market's events.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, NamedTuple

import msgspec
import numpy as np

from engine.events import Answer, Event, Outcome, StreamEnded, Subscribed, Unrecognised
from engine.market import rows as r
from engine.market.jit import entry_of
from engine.market.rows import COLUMNS, Rows
from engine.market.text import (
    AGGREGATE_TRADES,
    ANY_TRADES,
    LEVEL_BYTES_MIN,
    MILLISECONDS_MAX,
    SINGLE_TRADES,
    Text,
    code_table,
)
from engine.model import Instrument
from engine.venues.packed_payloads import PackedPayloads
from engine.venues.row_builders import RowOrigin, trade_rows

TEXT_MAX = 200  # of the venue's words or of an error that we keep
SNAPSHOT_MARK: Final = b'{"lastUpdateId":'
SINGLE: Final = "trade"  # the two streams that report each trade
AGGREGATE: Final = "aggTrade"
TRADE_STREAMS: Final = {"": ANY_TRADES, SINGLE: SINGLE_TRADES, AGGREGATE: AGGREGATE_TRADES}
TICKER: Final = ""  # the name of spot's bookTicker, which has none

_INT64 = np.dtype(np.int64)  # made once: one call a frame counts
_UINT8 = np.dtype(np.uint8)

Id = Annotated[int, msgspec.Meta(ge=0, le=r.ID_MAX)]
Time = Annotated[int, msgspec.Meta(ge=0, le=MILLISECONDS_MAX * 1000)]


# (symbol, venue time in ns) -> the origin of its rows; LookupError for a symbol that the session does not have
Named = Callable[[str, int], RowOrigin]
# (an event, Named, the stream's name if the envelope has it) -> rows
Reader = Callable[[bytes | msgspec.Raw, Named, str], Rows]
Snapshot = Callable[[bytes, RowOrigin], Rows]


class Spelling(NamedTuple):
    """A market's spelling of its messages: three compiled functions for usual frames, exact readers for others."""

    scan_frame: Callable[[Text, Rows, int, int, Rows], int]
    scan_frames: Callable[[Text, Rows, Rows, Rows, Rows, Rows, Rows, Rows], int]
    scan_snapshot: Callable[[Text, int, Rows, int, int, Rows], int]
    readers: Mapping[str, Reader]  # by the name of the event, its `e`
    snapshot: Snapshot  # of the body of GET depth


class FrameKind(msgspec.Struct):
    """The parts of a frame that show its kind: in a combined stream's envelope (`data`), or bare.

    Spot's bookTicker has no e.
    """

    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    stream: Any = ""
    e: str = TICKER
    u: Id | None = None
    b: Any = None
    result: Any = msgspec.UNSET
    id: Any = None
    code: Any = None
    msg: Any = None
    error: Any = None


_KIND = msgspec.json.Decoder(FrameKind)
_WORLD = (msgspec.MsgspecError, ValueError, LookupError, TypeError, ArithmeticError, RecursionError)


class BinanceMarket:
    """Decodes the market messages of these instruments; a row's INSTRUMENT is the place in this list."""

    def __init__(self, spelling: Spelling, instruments: Sequence[Instrument]) -> None:
        self.instruments = tuple(instruments)
        self._scan_frame, self._scan_frames, self._scan_snapshot, self._readers, self._snapshot = spelling
        self._by_symbol = {of.symbol: i for i, of in enumerate(self.instruments)}
        self._by_id = {of.id: i for i, of in enumerate(self.instruments)}
        self._codes = code_table(
            [(of.symbol, of.price_scale, of.size_scale, TRADE_STREAMS[of.trade_stream]) for of in self.instruments]
        )
        self._frame_entry: Callable[[Text, Rows, int, int, Rows], int] | None = None

    def is_snapshot(self, payload: bytes) -> bool:
        """Return True for the body of an answer to GET depth."""
        return payload.startswith(SNAPSHOT_MARK)

    def warm(self) -> None:
        """Compile what decodes frames, before the first one arrives."""
        table = np.zeros((1, COLUMNS), _INT64)
        text, places = np.frombuffer(b"{", _UINT8), np.array([0, 1], _INT64)
        codes = code_table([("W", 0, 0, ANY_TRADES)])
        self._scan_frame(text, codes, 0, 0, table)
        self._scan_frames(text, places[:1], places[1:], codes, places[:1], places[:1], table, places[1:])
        self._scan_snapshot(text, 0, codes, 0, 0, table)

    def decode(self, payload: bytes, source: str, seq: int, time_ns: int) -> Rows | tuple[Event, ...]:
        """Return the rows of a market message, or the events of any other frame. Never raises."""
        room = len(payload) // LEVEL_BYTES_MIN + 2 if b"[" in payload else 1
        table = np.empty((room, COLUMNS), _INT64)
        text, scan = np.frombuffer(payload, _UINT8), self._frame_entry
        if scan is None:  # without the choice among versions by type, which takes 8 us when its code is cold
            scan = self._frame_entry = entry_of(self._scan_frame, text, self._codes, 0, 0, table)
        count = scan(text, self._codes, seq, time_ns, table)
        if count == room:
            return table
        if count:
            return table[:count]
        try:
            return self._exact(payload, source, seq, time_ns)
        except _WORLD as error:
            return (_unrecognised(source, error),)

    def decode_many(self, payloads: Sequence[bytes], seqs: Rows, times_ns: Rows) -> tuple[Rows, list[int]] | None:
        """Return the rows of the leading market messages and the end of each message's rows, or None.

        The compiled scan reads plain messages at once, up to the first unusual one; that one is decoded alone. None if
        the first message is not a market message.
        """
        packed = PackedPayloads.pack(payloads)
        table = np.empty((packed.byte_count // LEVEL_BYTES_MIN + 2 * len(packed), COLUMNS), _INT64)
        ends = np.empty(len(packed), _INT64)
        frames = packed.text, packed.begins, packed.ends
        count = self._scan_frames(*frames, self._codes, seqs, times_ns, table, ends)
        if count:
            return table[: ends[count - 1]], ends[:count].tolist()
        told = self.decode(payloads[0], "", int(seqs[0]), int(times_ns[0]))
        return None if isinstance(told, tuple) else (told, [len(told)])

    def decode_snapshot(self, payload: bytes, instrument_id: str, seq: int, time_ns: int) -> Rows | tuple[Event, ...]:
        """Return the rows of the body of GET depth; the request states the instrument. Never raises."""
        try:
            i = self._by_id[instrument_id]
            table = np.empty((len(payload) // LEVEL_BYTES_MIN + 2, COLUMNS), _INT64)
            count = self._scan_snapshot(np.frombuffer(payload, _UINT8), i, self._codes, seq, time_ns, table)
            if count:
                return table[:count]
            return self._snapshot(payload, RowOrigin(i, self.instruments[i], seq, time_ns, 0))
        except _WORLD as error:
            return (_unrecognised(f"depth snapshot of {instrument_id}", error),)

    def _exact(self, payload: bytes, source: str, seq: int, time_ns: int) -> Rows | tuple[Event, ...]:
        data: bytes | msgspec.Raw = payload
        kind = _KIND.decode(data)
        stream = ""
        if not isinstance(kind.data, msgspec.UnsetType):
            stream, data = str(kind.stream), kind.data
            kind = _KIND.decode(data)
        read = self._readers.get(kind.e)
        if read is None or (kind.e == TICKER and not (kind.u is not None and isinstance(kind.b, str))):
            return (_event(kind, source),)

        def named(symbol: str, venue_ns: int) -> RowOrigin:
            i = self._by_symbol[symbol]
            return RowOrigin(i, self.instruments[i], seq, time_ns, venue_ns)

        return read(data, named, stream)


def nanoseconds(time: int) -> int:
    """Return a venue time, in milliseconds or microseconds, as nanoseconds."""
    return time * 1_000_000 if time <= MILLISECONDS_MAX else time * 1_000


class _AggregateTrade(msgspec.Struct):
    s: str
    a: Id
    p: str
    q: str
    T: Time
    m: bool


_AGGREGATE_TRADE = msgspec.json.Decoder(_AggregateTrade)


def aggregate_trade(data: bytes | msgspec.Raw, named: Named, _stream: str) -> Rows:
    """Return the row of one taker's trades at one price within 100 ms, with orders of the book. No id is left out."""
    trade = _AGGREGATE_TRADE.decode(data)
    at = named(trade.s, nanoseconds(trade.T))
    return trade_rows(at, trade.p, trade.q, trade.a, buyer_is_maker=trade.m, stream=AGGREGATE)


# ---- what is no market data of ours ----------------------------------------------------------------


def _unrecognised(where: str, error: Exception) -> Unrecognised:
    return Unrecognised(where, f"{type(error).__name__}: {error}"[:TEXT_MAX])


def _event(kind: FrameKind, source: str) -> Event:
    """Return the event of a frame without rows: an acknowledgement, the end of a stream, a stream without use."""
    if kind.e == "serverShutdown":
        return StreamEnded("serverShutdown")
    if kind.error is not None or (kind.code is not None and kind.msg is not None):
        return _refusal(kind)
    if kind.result is None:  # {"result":null,"id":..}; absent is UNSET
        return Subscribed(str(kind.id))
    if kind.e:
        return Unrecognised(source, f"no use for the event {kind.e[:40]!r}")
    return Unrecognised(source, "neither market data nor an answer")


def _refusal(kind: FrameKind) -> Answer:
    """Return the refusal of a subscription: flat as documented, or wrapped in {"error"}."""
    error = kind.error if isinstance(kind.error, dict) else {"code": kind.code, "msg": kind.msg or kind.error}
    code = error.get("code")
    return Answer(
        Outcome.REFUSED,
        code=code if isinstance(code, int) and abs(code) <= r.ID_MAX else 0,
        text=str(error.get("msg"))[:TEXT_MAX],
    )
