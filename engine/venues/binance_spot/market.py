"""Binance Spot's public streams and depth snapshots as rows. Stateless and total: no book, no clock, no socket.

Two ways lead to the same rows. `scan` (engine/market/scan.py, compiled) reads frames spelled exactly as Binance spells
them; whatever is unusual (other order of names, white space, new names, odd numbers) goes the slow and exact way here,
which alone defines what a frame means. A property test compares them.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
import numpy as np

from engine.events import Answer, Event, Outcome, StreamEnded, Subscribed, Unrecognised
from engine.market import rows as r
from engine.market.rows import COLUMNS, Rows
from engine.market.scan import LEVEL_BYTES_MIN, MILLISECONDS_MAX, code_table, scan_frame, scan_frames, scan_snapshot
from engine.model import Instrument

VENUE = "binance_spot"
TEXT_MAX = 200  # of the venue's words or of an error that we keep
LEVELS_IN_MESSAGE_MAX: Final = 100_000  # a snapshot has at most 5000 a side; beyond this it is no depth message

_INT64 = np.dtype(np.int64)  # made once: one call a frame counts
_UINT8 = np.dtype(np.uint8)

_Id = Annotated[int, msgspec.Meta(ge=0, le=r.ID_MAX)]
_Time = Annotated[int, msgspec.Meta(ge=0, le=MILLISECONDS_MAX * 1000)]
_Level = tuple[str, str]


class _Kind(msgspec.Struct):
    """Enough of a frame to know what it is: in a combined stream's envelope (`data`), or bare. A bookTicker has no e."""

    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    e: str = ""
    u: _Id | None = None
    s: str = ""
    b: Any = None
    result: Any = msgspec.UNSET
    id: Any = None
    code: Any = None
    msg: Any = None
    error: Any = None


class _BookTicker(msgspec.Struct):
    u: _Id
    s: str
    b: str
    B: str
    a: str
    A: str


class _Trade(msgspec.Struct):
    s: str
    t: _Id
    p: str
    q: str
    T: _Time
    m: bool


class _Depth(msgspec.Struct):
    s: str
    E: _Time
    U: _Id
    u: _Id
    b: list[_Level]
    a: list[_Level]


class _Snapshot(msgspec.Struct):
    lastUpdateId: _Id  # noqa: N815  the wire's name
    bids: list[_Level]
    asks: list[_Level]


_KIND = msgspec.json.Decoder(_Kind)
_BOOK_TICKER = msgspec.json.Decoder(_BookTicker)
_TRADE = msgspec.json.Decoder(_Trade)
_DEPTH = msgspec.json.Decoder(_Depth)
_SNAPSHOT = msgspec.json.Decoder(_Snapshot)

_WORLD = (msgspec.MsgspecError, ValueError, LookupError, TypeError, ArithmeticError, RecursionError)


class BinanceSpotMarket:
    """Decodes the market messages of these instruments; a row's INSTRUMENT is the place in this list."""

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self.instruments = tuple(instruments)
        self._by_symbol = {of.symbol: i for i, of in enumerate(self.instruments)}
        self._by_id = {of.id: i for i, of in enumerate(self.instruments)}
        self._codes = code_table([(of.symbol, of.price_scale, of.size_scale) for of in self.instruments])

    def decode(self, payload: bytes, source: str, seq: int, time_ns: int) -> Rows | tuple[Event, ...]:
        """Rows of a market message, or events of anything else. Never raises."""
        room = len(payload) // LEVEL_BYTES_MIN + 2 if b"[" in payload else 1
        table = np.empty((room, COLUMNS), _INT64)
        count = scan_frame(np.frombuffer(payload, _UINT8), self._codes, seq, time_ns, table)
        if count == room:
            return table
        if count:
            return table[:count]
        try:
            return self._exact(payload, source, seq, time_ns)
        except _WORLD as error:
            return (_unrecognised(source, error),)

    def decode_many(self, payloads: Sequence[bytes], seqs: Rows, times_ns: Rows) -> tuple[Rows, list[int]] | None:
        """Rows of the plain market messages that come first, and where each one's rows end; None if the first is none."""
        offsets = np.zeros(len(payloads) + 1, _INT64)
        np.cumsum([len(payload) for payload in payloads], out=offsets[1:])
        text = b"".join(payloads)
        table = np.empty((len(text) // LEVEL_BYTES_MIN + 2 * len(payloads), COLUMNS), _INT64)
        ends = np.empty(len(payloads), _INT64)
        count = scan_frames(np.frombuffer(text, _UINT8), offsets, self._codes, seqs, times_ns, table, ends)
        return (table[: ends[count - 1]], ends[:count].tolist()) if count else None

    def decode_snapshot(self, payload: bytes, instrument_id: str, seq: int, time_ns: int) -> Rows | tuple[Event, ...]:
        """The body of GET depth, which does not say whose it is. Never raises."""
        try:
            i = self._by_id[instrument_id]
            table = np.empty((len(payload) // LEVEL_BYTES_MIN + 2, r.COLUMNS), np.int64)
            count = scan_snapshot(np.frombuffer(payload, np.uint8), i, self._codes, seq, time_ns, table)
            if count:
                return table[:count]
            snapshot = _SNAPSHOT.decode(payload)
            return self._book(r.SNAPSHOT, i, snapshot.lastUpdateId, 0, snapshot.bids, snapshot.asks, seq, time_ns, 0)
        except _WORLD as error:
            return (_unrecognised(f"depth snapshot of {instrument_id}", error),)

    def _exact(self, payload: bytes, source: str, seq: int, time_ns: int) -> Rows | tuple[Event, ...]:
        data: bytes | msgspec.Raw = payload
        kind = _KIND.decode(data)
        if not isinstance(kind.data, msgspec.UnsetType):
            data = kind.data
            kind = _KIND.decode(data)
        if kind.e == "trade":
            return self._trade(_TRADE.decode(data), seq, time_ns)
        if kind.e == "depthUpdate":
            diff = _DEPTH.decode(data)
            i = self._by_symbol[diff.s]
            return self._book(r.DIFF, i, diff.U, diff.u, diff.b, diff.a, seq, time_ns, _nanoseconds(diff.E))
        if not kind.e and kind.u is not None and isinstance(kind.b, str):
            return self._quote(_BOOK_TICKER.decode(data), seq, time_ns)
        return (_event(kind, source),)

    def _quote(self, quote: _BookTicker, seq: int, time_ns: int) -> Rows:
        i = self._by_symbol[quote.s]
        of = self.instruments[i]
        bid = r.scaled(quote.b, of.price_scale)
        bid_size = r.scaled(quote.B, of.size_scale)
        ask = r.scaled(quote.a, of.price_scale)
        ask_size = r.scaled(quote.A, of.size_scale)
        if bid < 0 or bid_size < 0 or ask < 0 or ask_size < 0:
            return r.bad_value(r.QUOTE, instrument=i, seq=seq, time_ns=time_ns, venue_ns=0)
        return np.array([[r.QUOTE, i, seq, time_ns, 0, 1, bid, bid_size, ask, ask_size, quote.u]], np.int64)

    def _trade(self, trade: _Trade, seq: int, time_ns: int) -> Rows:
        i = self._by_symbol[trade.s]
        of = self.instruments[i]
        price = r.scaled(trade.p, of.price_scale)
        size = r.scaled(trade.q, of.size_scale)
        venue_ns = _nanoseconds(trade.T)
        if price < 0 or size < 0:
            return r.bad_value(r.TRADE, instrument=i, seq=seq, time_ns=time_ns, venue_ns=venue_ns)
        row = [r.TRADE, i, seq, time_ns, venue_ns, 1, price, size, trade.t, int(trade.m), 0]
        return np.array([row], np.int64)

    def _book(  # noqa: PLR0917 - private, called twice
        self,
        kind: int,
        i: int,
        first_id: int,
        last_id: int,
        bids: list[_Level],
        asks: list[_Level],
        seq: int,
        time_ns: int,
        venue_ns: int,
    ) -> Rows:
        """Header and levels; one value that may not enter, and the whole message is a flag."""
        of = self.instruments[i]
        count = len(bids) + len(asks)
        if count > LEVELS_IN_MESSAGE_MAX:
            raise ValueError(f"{count} levels in one message, at most {LEVELS_IN_MESSAGE_MAX} are taken")
        table = np.zeros((1 + count, r.COLUMNS), np.int64)
        table[:, : r.LAST] = r.LEVEL, i, seq, time_ns, venue_ns
        table[0, r.TYPE] = kind
        table[0, r.A : r.D] = first_id, last_id, count
        values = [
            (side, r.scaled(price, of.price_scale), r.scaled(size, of.size_scale))
            for side, levels in ((r.BID, bids), (r.ASK, asks))
            for price, size in levels
        ]
        if any(price < 0 or size < 0 for _, price, size in values):
            return r.bad_value(kind, instrument=i, seq=seq, time_ns=time_ns, venue_ns=venue_ns)
        if values:
            table[1:, r.A : r.D] = values
        table[-1, r.LAST] = 1
        return table


def _nanoseconds(time: int) -> int:
    return time * 1_000_000 if time <= MILLISECONDS_MAX else time * 1_000


def _unrecognised(where: str, error: Exception) -> Unrecognised:
    return Unrecognised(where, f"{type(error).__name__}: {error}"[:TEXT_MAX])


def _event(kind: _Kind, source: str) -> Event:
    """What is no market data of ours: answers to subscriptions, the end of the stream, streams we do not use."""
    if kind.e == "serverShutdown":
        return StreamEnded("serverShutdown")
    if kind.error is not None or (kind.code is not None and kind.msg is not None):
        return _refusal(kind)
    if kind.result is None:  # {"result":null,"id":..}; absent is UNSET
        return Subscribed(str(kind.id))
    if kind.e:
        return Unrecognised(source, f"no use for the event {kind.e[:40]!r}")
    return Unrecognised(source, "neither market data nor an answer")


def _refusal(kind: _Kind) -> Answer:
    """Flat {"code","msg","id"} as documented, or wrapped in {"error"}."""
    error = kind.error if isinstance(kind.error, dict) else {"code": kind.code, "msg": kind.msg or kind.error}
    code = error.get("code")
    return Answer(
        Outcome.REFUSED,
        code=code if isinstance(code, int) and abs(code) <= r.ID_MAX else 0,
        text=str(error.get("msg"))[:TEXT_MAX],
    )
