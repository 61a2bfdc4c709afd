"""Captures of Hyperliquid's public channels: the perpetuals of their messages."""

from collections.abc import Iterable

import msgspec

from engine.model import Instrument
from engine.venues.captured_market import CapturedMarket, CaptureMessages
from engine.venues.channel_captures import SeenNumbers, SeenSymbol, identify_channels, inferred_instrument
from engine.venues.hyperliquid.market import Bbo, PublicTrade, WholeBook
from engine.venues.hyperliquid.metadata import PRICE_DIGITS, QUOTE


def _book(data: bytes) -> Iterable[SeenNumbers]:
    book = msgspec.json.decode(data, type=WholeBook)
    return (SeenNumbers(book.coin, [(level.px, level.sz) for side in book.levels for level in side]),)


def _bbo(data: bytes) -> Iterable[SeenNumbers]:
    best = msgspec.json.decode(data, type=Bbo)
    return (SeenNumbers(best.coin, [(level.px, level.sz) for level in best.bbo if level is not None]),)


def _trades(data: bytes) -> Iterable[SeenNumbers]:
    trades = msgspec.json.decode(data, type=list[PublicTrade])
    return (SeenNumbers(trade.coin, [(trade.px, trade.sz)]) for trade in trades)


def identify(messages: CaptureMessages, venue: str) -> CapturedMarket | None:
    """Return the market of the perpetuals' messages, or None without any."""

    def make(coin: str, seen: SeenSymbol) -> Instrument:
        made = inferred_instrument(venue, coin, coin, QUOTE, seen)
        return msgspec.structs.replace(made, contract="PERPETUAL", margin=QUOTE, price_digits=PRICE_DIGITS)

    readers = {"l2Book": _book, "bbo": _bbo, "trades": _trades}
    return identify_channels(messages, venue, readers, make, book="l2Book", quote="bbo")
