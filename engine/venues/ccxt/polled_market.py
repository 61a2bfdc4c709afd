"""Market data by polls of calls through ccxt, and candles. Values only; an answer is read by its bytes alone."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from engine.events import Event
from engine.market import rows as r
from engine.market.history import Candle
from engine.market.rows import Rows
from engine.market.views import Stream
from engine.model import Instrument
from engine.requests import HistoryPage, PolledStream, Unsigned
from engine.session_record import MILLISECOND_NS, SECOND_NS
from engine.venues.ccxt.call_answers import CcxtAnswers, unrecognised
from engine.venues.ccxt.exact_numbers import nanoseconds, plain_text
from engine.venues.ccxt.exchange_rules import ExchangeRules
from engine.venues.ccxt.markets import unified_symbol
from engine.venues.ccxt.pure_calls import misreadings
from engine.venues.ccxt.unified_calls import Arguments, call_name, call_request
from engine.venues.ccxt.weights import CallWeights
from engine.venues.optional_parts import Poll
from engine.venues.row_builders import Level, RowOrigin, book_rows, page_rows, quote_rows, trade_rows

EVERY_NS: Final[Mapping[Stream, int]] = {
    Stream.QUOTE: 500 * MILLISECOND_NS,
    Stream.BOOK: SECOND_NS,
    Stream.TRADE: SECOND_NS,
}
WITHIN_MS: Final = 4_096  # trades of one millisecond whose ids are words
CANDLES_MAX: Final = 100
MILLION: Final = 1_000_000


class CcxtPolls:
    """The polls of one exchange."""

    def __init__(self, rules: ExchangeRules, weights: CallWeights, instruments: Sequence[Instrument]) -> None:
        self._rules = rules
        self._weights = weights
        self._instruments = tuple(instruments)

    def polls(self, instrument: Instrument) -> tuple[Poll, ...]:
        """Return the polls of quote, book and trades."""
        symbol = unified_symbol(instrument)
        quote: tuple[str, Arguments] = (
            "fetch_order_book",
            (("symbol", symbol), ("limit", str(self._rules.quote_levels))),
        )
        if self._rules.has_ticker_sizes:
            name = "symbols" if self._rules.ticker == "fetch_bids_asks" else "symbol"
            quote = (self._rules.ticker, ((name, symbol),))
        calls = {
            Stream.QUOTE: quote,
            Stream.BOOK: ("fetch_order_book", (("symbol", symbol), ("limit", str(self._rules.levels)))),
            Stream.TRADE: ("fetch_trades", (("symbol", symbol), ("limit", str(self._rules.trades)))),
        }
        return tuple(Poll(stream, every_ns, self._request(*calls[stream])) for stream, every_ns in EVERY_NS.items())

    def _request(self, name: str, arguments: Arguments) -> Unsigned:
        return call_request(name, arguments, weight=self._weights.weight(name, arguments))

    def decode(
        self, answers: CcxtAnswers, payload: bytes, poll: PolledStream, origin: RowOrigin
    ) -> Rows | tuple[Event, ...]:
        """Return the rows of an answer. Never raises."""
        where = f"poll of {poll.key}"
        try:
            found = next(each for each in self.polls(origin.of) if each.stream.name.lower() == poll.stream)
            parsed = answers.result(found.unsigned, payload)
            if poll.stream == "trade":
                return _trades(parsed, origin, numbers_trades=self._rules.numbers_trades)
            if poll.stream == "book":
                return _book(parsed, origin)
            is_ticker = call_name(found.unsigned) != "fetch_order_book"
            return _ticker(parsed, origin) if is_ticker else _touch(parsed, origin)
        except misreadings() as error:
            return (unrecognised(where, error),)


def _venue_ns(parsed: Any) -> int:
    return nanoseconds(parsed.get("timestamp"))


def _levels(listed: Any) -> list[Level]:
    return [(plain_text(level[0]), plain_text(level[1])) for level in listed]


def _book(parsed: Any, origin: RowOrigin) -> Rows:
    nonce = parsed.get("nonce")
    number = int(nonce) if nonce is not None and 0 <= int(nonce) <= r.ID_MAX else 0
    at = origin._replace(venue_ns=_venue_ns(parsed))
    return book_rows(r.SNAPSHOT, at, (number, 0, 0), _levels(parsed["bids"]), _levels(parsed["asks"]))


def _touch(parsed: Any, origin: RowOrigin) -> Rows:
    """Return the best levels of a book as a quote; 0 for a side that is empty."""
    bid, ask = (_levels(parsed[side][:1]) or [("0", "0")] for side in ("bids", "asks"))
    at = origin._replace(venue_ns=_venue_ns(parsed))
    return quote_rows(at, *bid[0], *ask[0], update_id=0)


def _ticker(parsed: Any, origin: RowOrigin) -> Rows:
    symbol = unified_symbol(origin.of)
    ticker = parsed if "bid" in parsed else parsed[symbol]
    if ticker["symbol"] != symbol:
        raise ValueError(f"{symbol} was requested, and {str(ticker['symbol'])[:40]!r} answered")
    values = [plain_text(ticker[name]) for name in ("bid", "bidVolume", "ask", "askVolume")]
    bid, bid_size, ask, ask_size = values
    return quote_rows(origin._replace(venue_ns=_venue_ns(ticker)), bid, bid_size, ask, ask_size, update_id=0)


def _trades(parsed: Any, origin: RowOrigin, *, numbers_trades: bool) -> Rows:
    """Return a page of trades by rising id."""
    page = _numbered(parsed)
    rows = [
        trade_rows(
            origin._replace(venue_ns=nanoseconds(trade.get("timestamp"))),
            plain_text(trade["price"]),
            plain_text(trade["amount"]),
            number,
            buyer_is_maker=_buyer_is_maker(trade),
        )
        for number, trade in page
    ]
    return page_rows(rows, has_holes=not numbers_trades)


def _buyer_is_maker(trade: Any) -> bool:
    """Return True if the seller was the taker, whose side ccxt states."""
    side = trade["side"]
    if side not in ("buy", "sell"):
        raise ValueError(f"{str(side)[:40]!r} is no side")
    return bool(side == "sell")


def _numbered(parsed: Sequence[Any]) -> list[tuple[int, Any]]:
    """Return the trades with rising numbers: the exchange's own, or their times if the ids are words.

    A trade without a number gets that of its millisecond and its place in it. Pages begin within a millisecond at most
    once, at their oldest trade, which a page before had.
    """
    ids = [str(trade.get("id") or "") for trade in parsed]
    if all(each.isascii() and each.isdigit() and int(each) <= r.ID_MAX for each in ids):
        return sorted(((int(each), trade) for each, trade in zip(ids, parsed, strict=True)), key=lambda pair: pair[0])
    found: list[tuple[int, Any]] = []
    placed: dict[int, int] = {}
    for trade in sorted(parsed, key=_time_ms):
        at_ms = _time_ms(trade)
        placed[at_ms] = placed.get(at_ms, -1) + 1
        found.append((at_ms * WITHIN_MS + min(placed[at_ms], WITHIN_MS - 1), trade))
    return found


def _time_ms(trade: Any) -> int:
    at_ms = nanoseconds(trade.get("timestamp")) // MILLION
    if not at_ms:
        raise ValueError("a trade has neither a number nor a time")
    return at_ms


class CcxtHistory:
    """An engine.venues.venue.HistoryCodec: candles by fetch_ohlcv."""

    page_max = CANDLES_MAX

    def __init__(
        self, exchange: Any, weights: CallWeights, answers: CcxtAnswers, instruments: Sequence[Instrument]
    ) -> None:
        self._answers = answers
        self._weights = weights
        self._instruments = tuple(instruments)
        names = {
            exchange.parse_timeframe(name) * SECOND_NS: name for name in exchange.timeframes or {} if name[-1] in "mhd"
        }
        self._names: Mapping[int, str] = {length: names[length] for length in sorted(names)}
        self.intervals_ns = tuple(self._names)

    def request(self, instrument: Instrument, page: HistoryPage) -> Unsigned:
        """Return the request for the candles of a page."""
        arguments = (
            ("symbol", unified_symbol(instrument)),
            ("timeframe", self._names[page.base_ns]),
            ("since", str(page.start_ns // MILLISECOND_NS)),
            ("limit", str(CANDLES_MAX)),
            ("until", str(page.end_ns // MILLISECOND_NS - 1)),
        )
        return call_request("fetch_ohlcv", arguments, weight=self._weights.weight("fetch_ohlcv", arguments))

    def read(self, payload: bytes) -> tuple[Candle, ...]:
        """Return the candles of an answer. Raises ValueError for any other bytes."""
        try:
            arguments = (
                ("symbol", unified_symbol(self._instruments[0])),
                ("timeframe", next(iter(self._names.values()))),
            )
            listed = self._answers.result(call_request("fetch_ohlcv", arguments, weight=1), payload)
            return tuple(_candle(each) for each in listed)
        except misreadings() as error:
            raise ValueError(f"no candles: {type(error).__name__}: {error}"[:200]) from None


def _candle(listed: Sequence[Any]) -> Candle:
    start_ms, *prices, volume = listed
    texts = [plain_text(each) for each in prices]
    if len(texts) != 4:
        raise ValueError(f"{len(listed)} numbers are no candle")
    return Candle(nanoseconds(start_ms), texts[0], texts[1], texts[2], texts[3], plain_text(volume), trades=0)
