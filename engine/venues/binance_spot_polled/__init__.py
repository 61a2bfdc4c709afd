"""Binance Spot without streams: its market and the account's orders over REST alone, for networks without websockets.

Instruments, ids and records are Spot's own. Quotes come from ticker/bookTicker, books from depth, trades from trades.
"""

from collections.abc import Callable, Mapping
from typing import ClassVar

import msgspec

from engine.events import Event
from engine.market import rows as r
from engine.market.rows import Rows
from engine.market.views import Stream
from engine.model import Instrument
from engine.requests import LinkPlan, LinkRole, PolledStream, Transport, Unsigned
from engine.session_record import MILLISECOND_NS, SECOND_NS
from engine.venues.binance_common.http_answers import FAILURES, read_answer, unrecognised
from engine.venues.binance_common.market import Id, Time, nanoseconds
from engine.venues.binance_common.public import DepthSnapshots
from engine.venues.binance_spot import PREFIX, BinanceSpot, venue_limits
from engine.venues.captured_market import CapturedMarket, CaptureMessages
from engine.venues.optional_parts import Poll
from engine.venues.row_builders import Level, RowOrigin, book_rows, page_rows, quote_rows, trade_rows
from engine.venues.venue import Endpoints, Network

LEVELS = 100  # of a book, a side: the deepest that weighs least
TRADES = 1_000  # of a page: the most
EVERY_NS: Mapping[Stream, int] = {Stream.QUOTE: 500 * MILLISECOND_NS, Stream.BOOK: SECOND_NS, Stream.TRADE: SECOND_NS}
TICKER_PATH = f"{PREFIX}/ticker/bookTicker"
TRADES_PATH = f"{PREFIX}/trades"
MARKET = frozenset({TICKER_PATH, TRADES_PATH})


class _PolledTicker(msgspec.Struct, rename="camel"):
    symbol: str
    bid_price: str
    bid_qty: str
    ask_price: str
    ask_qty: str


class _PolledTrade(msgspec.Struct, rename="camel"):
    id: Id
    price: str
    qty: str
    time: Time
    is_buyer_maker: bool


class _PolledBook(msgspec.Struct, rename="camel"):
    last_update_id: Id
    bids: list[Level]
    asks: list[Level]


_read_ticker = msgspec.json.Decoder(_PolledTicker).decode
_read_trades = msgspec.json.Decoder(list[_PolledTrade]).decode
_read_book = msgspec.json.Decoder(_PolledBook).decode


def _quote(payload: bytes, at: RowOrigin) -> Rows:
    ticker = _read_ticker(payload)
    if ticker.symbol != at.of.symbol:
        raise ValueError(f"asked about {at.of.symbol}, told about {ticker.symbol[:40]!r}")
    return quote_rows(at, ticker.bid_price, ticker.bid_qty, ticker.ask_price, ticker.ask_qty, update_id=0)


def _trades(payload: bytes, at: RowOrigin) -> Rows:
    trades = [
        trade_rows(
            at._replace(venue_ns=nanoseconds(each.time)),
            each.price,
            each.qty,
            each.id,
            buyer_is_maker=each.is_buyer_maker,
        )
        for each in _read_trades(payload)
    ]
    return page_rows(trades)


def _book(payload: bytes, at: RowOrigin) -> Rows:
    book = _read_book(payload)
    return book_rows(r.SNAPSHOT, at, (book.last_update_id, 0, 0), book.bids, book.asks)


_READERS: Mapping[str, Callable[[bytes, RowOrigin], Rows]] = {"quote": _quote, "trade": _trades, "book": _book}


class BinanceSpotPolled(BinanceSpot):
    """An engine.venues.venue.Venue and PollsMarket."""

    endpoints: ClassVar[Mapping[Network, Endpoints]] = {
        network: Endpoints(rest=each.rest, public_rest=each.public_rest)
        for network, each in BinanceSpot.endpoints.items()
    }
    sim_protocol: ClassVar[str] = ""  # a model follows streams: no paper account and no resimulation
    _depth: ClassVar[DepthSnapshots] = DepthSnapshots(PREFIX, venue_limits.DEPTH_WEIGHTS)

    def links(self) -> tuple[LinkPlan, ...]:
        """Return a market link and an account's, both without a socket."""
        return (
            LinkPlan(f"{self.name}.market.0", LinkRole.MARKET, "", polled=True),
            LinkPlan(f"{self.name}.private.0", LinkRole.PRIVATE, "", polled=True),
        )

    def instruments_of(self, source: str) -> tuple[Instrument, ...]:
        """Return all instruments."""
        return self.instruments

    def streams_of(self, source: str) -> tuple[Stream, ...]:
        """Return the streams that are polled."""
        return tuple(EVERY_NS)

    def subscriptions(self, source: str) -> tuple[Unsigned, ...]:
        """Return nothing: no link has a socket."""
        return ()

    def polls(self, instrument: Instrument) -> tuple[Poll, ...]:
        """Return the polls of quote, book and trades."""
        symbol = ("symbol", instrument.symbol)
        requests = {
            Stream.QUOTE: Unsigned(Transport.REST, "GET", TICKER_PATH, (symbol,), signed=False, weight=2),
            Stream.BOOK: self._depth.request(instrument, LEVELS),
            Stream.TRADE: Unsigned(
                Transport.REST, "GET", TRADES_PATH, (symbol, ("limit", str(TRADES))), signed=False, weight=25
            ),
        }
        return tuple(Poll(stream, every_ns, requests[stream]) for stream, every_ns in EVERY_NS.items())

    def decode_poll(self, payload: bytes, poll: PolledStream, seq: int, time_ns: int) -> Rows | tuple[Event, ...]:
        """Return the rows of an answer. Never raises."""
        try:
            i, of = next((i, of) for i, of in enumerate(self.instruments) if of.id == poll.instrument)
            return _READERS[poll.stream](payload, RowOrigin(i, of, seq, time_ns, 0))
        except (*FAILURES, StopIteration) as error:
            return (unrecognised(f"poll of {poll.key}", error),)

    def decode_answer(
        self, unsigned: Unsigned, instrument_id: str, status: int, headers: Mapping[str, str], payload: bytes
    ) -> tuple[Event, ...]:
        """Return what an answer proves, then what it reports. `decode_poll` reads market data."""
        if unsigned.path in MARKET:
            method, path = unsigned.method, unsigned.path
            return read_answer(method, path, status, headers, payload, read=lambda _body: ())
        return super().decode_answer(unsigned, instrument_id, status, headers, payload)

    @staticmethod
    def identify_capture(messages: CaptureMessages) -> CapturedMarket | None:
        """Return None: Spot itself reads its captures."""
        del messages
        return None
