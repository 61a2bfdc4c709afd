"""Streams that a market does not carry but its lines imply: aggTrade, depth, partial depth, miniTicker, ticker, kline.

Made only while a connection subscribes. A capture's own streams stay as captured; these are ours, and approximate in
timing: they come with the trades and diffs that they follow from, a closed candle with the first trade after it.
"""

from collections.abc import Callable, Collection, Iterator
from typing import Any, Final

import msgspec

from engine.sim.binance.candles import Interval
from engine.sim.binance.endpoints_tickers import day_ticker
from engine.sim.exchange.symbol_view import MinuteBar, SymbolMarket
from engine.sim.exchange.venue_arrays import MINUTE_NS
from engine.sim.feeds.sim_market import Line, combined
from engine.sim.units import text

MS: Final = 1_000_000
_CARRIED: Final = ("@depth@100ms", "@bookTicker", "@trade")


def is_derived(stream: str) -> bool:
    """Return True if the market does not carry the stream."""
    return not stream.endswith(_CARRIED)


def derive(line: Line, market: SymbolMarket, wanted: Collection[str], now_ns: int) -> Iterator[Line]:
    """Make the subscribed derived lines that follow from a line."""
    name, _, kind = line.stream.partition("@")
    makers: dict[str, Callable[[Line, SymbolMarket, str, int], bytes]]
    if kind == "trade":
        makers = {f"{name}@aggTrade": _agg_trade, f"{name}@miniTicker": _mini_ticker, f"{name}@ticker": _ticker}
        yield from klines(line, market, wanted, now_ns)
    elif kind == "depth@100ms":
        makers = {f"{name}@depth": _whole_diff}
        for levels in ("5", "10", "20"):
            makers |= {f"{name}@depth{levels}": _partial, f"{name}@depth{levels}@100ms": _partial}
    else:
        return
    for stream, make in makers.items():
        if stream in wanted:
            data = make(line, market, stream, now_ns)
            yield Line(now_ns, stream, line.symbol, combined(stream, data))


def klines(line: Line, market: SymbolMarket, wanted: Collection[str], now_ns: int) -> Iterator[Line]:
    """Make the subscribed candles that follow from a trade."""
    start = f"{line.stream.partition('@')[0]}@kline_"
    for stream in wanted:
        if stream.startswith(start):
            for candle in _klines(market, stream.partition("_")[2], now_ns):
                yield Line(now_ns, stream, line.symbol, combined(stream, candle))


def _encode(body: Any) -> bytes:
    return msgspec.json.encode(body)


def _agg_trade(_line: Line, market: SymbolMarket, _stream: str, now_ns: int) -> bytes:
    trade = market.prints_last()
    return _encode(
        {
            "e": "aggTrade",
            "E": now_ns // MS,
            "s": market.rules.symbol,
            "a": trade.trade_id,
            "p": text(trade.price),
            "q": text(trade.quantity),
            "f": trade.trade_id,
            "l": trade.trade_id,
            "T": trade.time_ns // MS,
            "m": trade.buyer_is_maker,
            "M": True,
        }
    )


def _whole_diff(line: Line, _market: SymbolMarket, _stream: str, _now_ns: int) -> bytes:
    """Repeat the fast stream's diff for the slow stream: its ids are continuous too."""
    return line.payload[line.payload.index(b'"data":') + 7 : -1]


def _partial(_line: Line, market: SymbolMarket, stream: str, _now_ns: int) -> bytes:
    levels = int(stream.partition("@depth")[2].partition("@")[0])
    bids, asks = market.top(levels)
    return _encode(
        {
            "lastUpdateId": market.update_id,
            "bids": [[text(price), text(quantity)] for price, quantity in bids],
            "asks": [[text(price), text(quantity)] for price, quantity in asks],
        }
    )


def _klines(market: SymbolMarket, name: str, now_ns: int) -> Iterator[bytes]:
    """Yield the forming candle, after the closed one before it if this trade is its first."""
    interval = Interval(name, 0)
    newest = market.bar_last
    start_ns = interval.start_ns(newest.start_ns)
    bars = [newest] if interval.end_ns(start_ns) - start_ns == MINUTE_NS else market.minutes
    forming = [bar for bar in bars if bar.start_ns >= start_ns]
    if sum(bar.trades for bar in forming) == 1:
        earlier = [bar for bar in market.minutes if bar.start_ns < start_ns]
        if earlier:
            closed_ns = interval.start_ns(earlier[-1].start_ns)
            closed = [bar for bar in earlier if bar.start_ns >= closed_ns]
            yield _candle(market, name, closed, (closed_ns, interval.end_ns(closed_ns)), now_ns, closed=True)
    yield _candle(market, name, forming, (start_ns, interval.end_ns(start_ns)), now_ns, closed=False)


def _candle(
    market: SymbolMarket, name: str, bars: list[MinuteBar], span: tuple[int, int], now_ns: int, *, closed: bool
) -> bytes:
    candle = {
        "t": span[0] // MS,
        "T": span[1] // MS - 1,
        "s": market.rules.symbol,
        "i": name,
        "f": bars[0].first_id,
        "L": bars[-1].last_id,
        "o": text(bars[0].open),
        "c": text(bars[-1].close),
        "h": text(max(bar.high for bar in bars)),
        "l": text(min(bar.low for bar in bars)),
        "v": text(sum(bar.volume for bar in bars)),
        "n": sum(bar.trades for bar in bars),
        "x": closed,
        "q": text(sum(bar.quote for bar in bars)),
        "V": text(sum(bar.taker_base for bar in bars)),
        "Q": text(sum(bar.taker_quote for bar in bars)),
        "B": "0",
    }
    return _encode({"e": "kline", "E": now_ns // MS, "s": market.rules.symbol, "k": candle})


def _mini_ticker(_line: Line, market: SymbolMarket, _stream: str, now_ns: int) -> bytes:
    return _encode(mini_ticker(market, now_ns))


def mini_ticker(market: SymbolMarket, now_ns: int) -> dict[str, Any]:
    """Return a 24hrMiniTicker message."""
    day = day_ticker(market, now_ns)
    return {
        "e": "24hrMiniTicker",
        "E": now_ns // MS,
        "s": market.rules.symbol,
        "c": day["lastPrice"],
        "o": day["openPrice"],
        "h": day["highPrice"],
        "l": day["lowPrice"],
        "v": day["volume"],
        "q": day["quoteVolume"],
    }


def _ticker(_line: Line, market: SymbolMarket, _stream: str, now_ns: int) -> bytes:
    day = day_ticker(market, now_ns)
    names = {
        "p": "priceChange", "P": "priceChangePercent", "w": "weightedAvgPrice", "x": "prevClosePrice",
        "c": "lastPrice", "Q": "lastQty", "b": "bidPrice", "B": "bidQty", "a": "askPrice", "A": "askQty",
        "o": "openPrice", "h": "highPrice", "l": "lowPrice", "v": "volume", "q": "quoteVolume", "O": "openTime",
        "C": "closeTime", "F": "firstId", "L": "lastId", "n": "count",
    }  # fmt: skip
    fields = {short: day[name] for short, name in names.items()}
    return _encode({"e": "24hrTicker", "E": now_ns // MS, "s": market.rules.symbol, **fields})
