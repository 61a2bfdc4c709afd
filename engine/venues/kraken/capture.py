"""Captures of Kraken's public channels of WebSocket v2: the pairs of their messages."""

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from engine.model import Instrument
from engine.venues.captured_market import CapturedMarket, CaptureMessages
from engine.venues.channel_captures import SeenNumbers, SeenSymbol, identify_channels, inferred_instrument
from engine.venues.kraken.market import PairBook, PairTicker, PairTrade
from engine.venues.kraken.values import amount


def _books(data: bytes) -> Iterable[SeenNumbers]:
    for book in msgspec.json.decode(data, type=list[PairBook]):
        yield SeenNumbers(book.symbol, [_texts(level.price, level.qty) for level in (*book.bids, *book.asks)])


def _tickers(data: bytes) -> Iterable[SeenNumbers]:
    for tick in msgspec.json.decode(data, type=list[PairTicker]):
        yield SeenNumbers(tick.symbol, [_texts(tick.bid, tick.bid_qty), _texts(tick.ask, tick.ask_qty)])


def _trades(data: bytes) -> Iterable[SeenNumbers]:
    for trade in msgspec.json.decode(data, type=list[PairTrade]):
        yield SeenNumbers(trade.symbol, [_texts(trade.price, trade.qty)])


def _texts(price: Decimal, size: Decimal) -> tuple[str, str]:
    return f"{amount(price):f}", f"{amount(size):f}"


def identify(messages: CaptureMessages, venue: str) -> CapturedMarket | None:
    """Return the market of the pairs' messages, or None without any."""

    def make(symbol: str, seen: SeenSymbol) -> Instrument:
        base, _, quote = symbol.partition("/")
        return inferred_instrument(venue, symbol, base, quote, seen)

    readers = {"book": _books, "ticker": _tickers, "trade": _trades}
    return identify_channels(messages, venue, readers, make, book="book", quote="ticker")
