"""The market's messages in Alpaca's form: every frame a list, prices and sizes as numbers."""

from collections.abc import Collection, Iterator
from typing import Any, Final

import msgspec

from engine.sim.alpaca.broker_exchange import is_crypto
from engine.sim.alpaca.feed_connections import stream_of
from engine.sim.exchange.symbol_view import SymbolMarket
from engine.sim.feeds.sim_market import DepthDiff, Line, SimQuote, TradePrint, combined, decode
from engine.sim.feeds.synthetic_feed import Shape
from engine.sim.units import ONE, plain, units
from engine.venues.timestamps import time_text

CARRIERS: Final = {"trades": "trade", "quotes": "bookTicker", "orderbooks": "depth@100ms"}
LEVELS_MAX: Final = 100  # of a side, in a reset
SHAPES: Final = {
    "AAPL": Shape(price=units("187.20"), tick=units("0.01"), lot=ONE, size=400),
    "SPY": Shape(price=units("512.40"), tick=units("0.01"), lot=ONE, size=900),
    "BTC/USD": Shape(price=units("61000.00"), tick=units("0.01"), lot=units("0.0001"), size=9_000),
    "ETH/USD": Shape(price=units("2600.00"), tick=units("0.01"), lot=units("0.001"), size=9_000),
}


def carriers(streams: Collection[str]) -> set[str]:
    """Return the streams of the market that subscriptions need."""
    found = set()
    for stream in streams:
        channel, _, symbol = stream.partition("@")
        found.add(f"{symbol.lower()}@{CARRIERS[channel]}")
    return found


def derive(line: Line, market: SymbolMarket, wanted: Collection[str], resets: set[str], now_ns: int) -> Iterator[Line]:
    """Make the subscribed line that follows from a line of the market.

    Args:
        line: The market's line.
        market: Its symbol's market.
        wanted: Streams with a subscriber.
        resets: Streams of books that begin, or begin again: they get the whole book first.
        now_ns: The venue's time.
    """
    match decode(line):
        case SimQuote() as quote:
            channel, bodies = "quotes", _quote(quote)
        case TradePrint() as trade:
            channel, bodies = "trades", _trade(trade, market)
        case DepthDiff() as diff if is_crypto(market.rules.symbol):
            channel = "orderbooks"
            stream = stream_of(channel, line.symbol)
            bodies = _book(*market.top(LEVELS_MAX), whole=True) if stream in resets else _book(diff.bids, diff.asks)
            if stream in wanted:
                resets.discard(stream)
        case _:
            return
    stream = stream_of(channel, line.symbol)
    if stream in wanted:
        body = {**bodies, "S": line.symbol, "t": time_text(now_ns)}
        yield Line(now_ns, stream, line.symbol, combined(stream, msgspec.json.encode([body])))


def _number(amount: int) -> msgspec.Raw:
    return msgspec.Raw(plain(amount).encode())


def _quote(quote: SimQuote) -> dict[str, Any]:
    names = ("bp", "bs", "ap", "as")
    values = (quote.bid, quote.bid_quantity, quote.ask, quote.ask_quantity)
    return {"T": "q", **{name: _number(value) for name, value in zip(names, values, strict=True)}}


def _trade(trade: TradePrint, market: SymbolMarket) -> dict[str, Any]:
    taker = {"tks": "S" if trade.buyer_is_maker else "B"} if is_crypto(market.rules.symbol) else {}
    return {"T": "t", "i": trade.trade_id, "p": _number(trade.price), "s": _number(trade.quantity), **taker}


def _book(bids: list[tuple[int, int]], asks: list[tuple[int, int]], *, whole: bool = False) -> dict[str, Any]:
    sides = {
        name: [{"p": _number(price), "s": _number(size)} for price, size in levels]
        for name, levels in (("b", bids), ("a", asks))
    }
    return {"T": "o", **sides, **({"r": True} if whole else {})}
