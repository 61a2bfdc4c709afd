"""Hyperliquid's public channels as rows. Total: no bytes raise. Numbers in parentheses are sections of the fact sheet.

Every book message has all levels that the venue shows, 20 a side, so each is a snapshot, and its time is its id. Trades
have hashes for ids, so their times order them: those of one block get rising nanoseconds. The first message of trades
after a subscription lists the past, which is no news (4).
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Final, Literal

import msgspec
import numpy as np

from engine.events import Answer, Event, Outcome, StreamEnded, Subscribed, Unrecognised
from engine.market import rows as r
from engine.market.rows import COLUMNS, MARK_SCALE, Rows
from engine.model import Instrument
from engine.venues.decoding import decode_each
from engine.venues.hyperliquid.values import FAILURES, TEXT_MAX, Millis, SignedAmount, Text, nanoseconds, unrecognised
from engine.venues.row_builders import RowOrigin, book_rows, quote_rows, trade_rows

# a trade of a block before the newest one of its message, and older than this, is of the past
HISTORY_NS: Final = 3_000_000_000
HOUR_NS: Final = 3_600_000_000_000
GREETING: Final = b"Websocket connection established."  # of an old server: no JSON (4)
ALREADY: Final = "Already subscribed"
NO_SIZE: Final = "-"  # no number: the row becomes a flag

Count = Annotated[int, msgspec.Meta(ge=0)]


class _PerpLevel(msgspec.Struct):
    px: str
    sz: str


class WholeBook(msgspec.Struct):
    """A message of `l2Book`."""

    coin: str
    time: Millis
    levels: tuple[list[_PerpLevel], list[_PerpLevel]]  # bids and asks, best first


class Bbo(msgspec.Struct):
    """A message of `bbo`."""

    coin: str
    time: Millis
    bbo: tuple[_PerpLevel | None, _PerpLevel | None]


class PublicTrade(msgspec.Struct):
    """A trade of `trades`."""

    coin: str
    side: Literal["A", "B"]  # of the taker
    px: str
    sz: str
    time: Millis
    tid: Count


class _Context(msgspec.Struct, rename="camel"):
    mark_px: str
    oracle_px: str
    funding: SignedAmount


class _AssetContext(msgspec.Struct):
    coin: str
    ctx: _Context


class _NamedChannel(msgspec.Struct):
    type: Text


class _Subscribed(msgspec.Struct):
    subscription: _NamedChannel
    method: Text = "subscribe"


class PerpFrame(msgspec.Struct):
    """Any message of the venue's websocket."""

    channel: Text
    data: msgspec.Raw = msgspec.Raw(b"null")


Named = Callable[[str, int], RowOrigin]  # (coin, venue time) -> the origin of its rows; LookupError for any other coin


class PerpMarket:
    """An engine.venues.venue.MarketCodec."""

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self._by_symbol = {of.symbol: (index, of) for index, of in enumerate(instruments)}

    def warm(self) -> None:
        """Compile nothing."""

    def decode(self, payload: bytes, source: str, seq: int, time_ns: int) -> Rows | tuple[Event, ...]:
        """Return the rows of a channel's message, or the events of any other."""
        try:
            if payload == GREETING:
                return ()
            frame = msgspec.json.decode(payload, type=PerpFrame)
            read = _READERS.get(frame.channel)
            if read is None:
                return link_events(frame) or (Unrecognised(source, f"no use for the channel {frame.channel[:40]!r}"),)

            def named(coin: str, venue_ns: int) -> RowOrigin:
                index, of = self._by_symbol[coin]
                return RowOrigin(index, of, seq, time_ns, venue_ns)

            return read(frame.data, named)
        except FAILURES as error:
            return (unrecognised(source, error),)

    def decode_many(self, payloads: Sequence[bytes], seqs: Rows, times_ns: Rows) -> tuple[Rows, list[int]] | None:
        """Return the rows of the leading market messages."""
        return decode_each(self.decode, payloads, seqs, times_ns)

    def decode_snapshot(self, payload: bytes, instrument_id: str, seq: int, time_ns: int) -> Rows | tuple[Event, ...]:
        """Return Unrecognised: books are streamed."""
        del payload, seq, time_ns
        return (Unrecognised(instrument_id, "a book comes over its channel"),)

    def is_snapshot(self, payload: bytes) -> bool:
        """Return False: no answer holds a book."""
        del payload
        return False


def link_events(frame: PerpFrame) -> tuple[Event, ...]:
    """Return the events of a message about the link itself; () if it is none."""
    match frame.channel:
        case "subscriptionResponse":
            told = msgspec.json.decode(frame.data, type=_Subscribed)
            return (Answer(Outcome.DONE), Subscribed(told.subscription.type))
        case "error":
            text = msgspec.json.decode(frame.data, type=str)[:TEXT_MAX]
            if text.startswith(ALREADY):
                return (Answer(Outcome.DONE), Subscribed(text))
            return (Answer(Outcome.REFUSED, code="error", text=text),)
        case "pong":
            return (Answer(Outcome.DONE, code="pong"),)
        case "close":
            return (StreamEnded("the venue closes the connection"),)
        case _:
            return ()


def _book(data: msgspec.Raw, named: Named) -> Rows:
    book = msgspec.json.decode(data, type=WholeBook)
    bids, asks = ([(level.px, level.sz) for level in side] for side in book.levels)
    return book_rows(r.SNAPSHOT, named(book.coin, nanoseconds(book.time)), (book.time, 0, 0), bids, asks)


def _bbo(data: msgspec.Raw, named: Named) -> Rows:
    """Return the row of a quote, or a flag if a side is empty: no old price stays in force."""
    told = msgspec.json.decode(data, type=Bbo)
    (bid, bid_size), (ask, ask_size) = ((NO_SIZE, NO_SIZE) if side is None else (side.px, side.sz) for side in told.bbo)
    return quote_rows(named(told.coin, nanoseconds(told.time)), bid, bid_size, ask, ask_size, update_id=0)


def _trades(data: msgspec.Raw, named: Named) -> Rows:
    trades = msgspec.json.decode(data, type=list[PublicTrade])
    if not trades:
        raise ValueError("a message without a trade")
    newest, rank, before = max(trade.time for trade in trades), 0, -1
    found: list[Rows] = []
    for trade in trades:
        rank = rank + 1 if trade.time == before else 0
        before = trade.time
        at = named(trade.coin, nanoseconds(trade.time) + rank)
        rows = trade_rows(at, trade.px, trade.sz, r.BY_TIME, buyer_is_maker=trade.side == "A")
        if trade.time < newest and at.time_ns - at.venue_ns > HISTORY_NS and rows[0, r.TYPE] == r.TRADE:
            rows[0, r.TYPE] = r.RETOLD
        found.append(rows)
    joined = np.concatenate(found)
    joined[:-1, r.LAST] = 0  # all trades of a message are one record
    return joined


def _asset_context(data: msgspec.Raw, named: Named) -> Rows:
    """Return the row of mark, oracle price and funding rate. The message has no time, and fundings are hourly (10)."""
    told = msgspec.json.decode(data, type=_AssetContext)
    at, ctx = named(told.coin, 0), told.ctx
    prices = [r.scaled(text, MARK_SCALE) for text in (ctx.mark_px, ctx.oracle_px)]
    if min(prices) < 0:
        raise ValueError(f"a mark of {ctx.mark_px[:40]!r} and an oracle price of {ctx.oracle_px[:40]!r} cannot be kept")
    rate = int(Decimal(ctx.funding).scaleb(MARK_SCALE))  # a rate may have more decimal places than a row
    next_ns = (at.time_ns // HOUR_NS + 1) * HOUR_NS
    row = np.zeros((1, COLUMNS), np.int64)
    row[0] = r.MARK, at.i, at.seq, at.time_ns, at.venue_ns, 1, *prices, 0, rate, next_ns
    return row


_READERS: Final[Mapping[str, Callable[[msgspec.Raw, Named], Rows]]] = {
    "l2Book": _book,
    "bbo": _bbo,
    "trades": _trades,
    "activeAssetCtx": _asset_context,
}
