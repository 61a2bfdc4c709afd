"""USD-M's public messages of a market: how they are written, and those that follow from others.

Ids of the book are those of the market times ten, so that U is not the last u + 1, as on the venue; `pu` links them.
"""

from collections.abc import Callable, Collection, Iterator
from typing import Any, Final

import msgspec

from engine.sim.binance.endpoints_tickers import day_ticker
from engine.sim.exchange.contract_events import MarkMoved
from engine.sim.exchange.symbol_view import SymbolMarket
from engine.sim.feeds import derived_streams
from engine.sim.feeds.sim_market import DepthDiff, DepthSnapshot, Line, SimQuote, TradePrint, Wording, combined
from engine.sim.feeds.synthetic_feed import Shape
from engine.sim.units import plain, text, units

MS: Final = 1_000_000
ID_STEP: Final = 10
DEPTHS: Final = ("depth@0ms", "depth@100ms", "depth", "depth@250ms", "depth@500ms")
_CARRIED: Final = ("@depth@0ms", "@depth@100ms", "@bookTicker", "@trade")
SHAPES: Final = {
    "BTCUSDT": Shape(units("60000"), units("0.1"), units("0.001"), 400),
    "ETHUSDT": Shape(units("2600"), units("0.01"), units("0.001"), 8_000),
}


def _levels(levels: list[tuple[int, int]]) -> str:
    return ",".join([f'["{plain(price)}","{plain(quantity)}"]' for price, quantity in levels])


def trade_data(symbol: str, trade: TradePrint) -> bytes:
    """Return a trade message."""
    millis = trade.time_ns // MS
    maker = "true" if trade.buyer_is_maker else "false"
    return (
        f'{{"e":"trade","E":{millis},"T":{millis},"s":"{symbol}","t":{trade.trade_id},"p":"{plain(trade.price)}",'
        f'"q":"{plain(trade.quantity)}","X":"MARKET","m":{maker}}}'
    ).encode()


def quote_data(symbol: str, quote: SimQuote, now_ns: int) -> bytes:
    """Return a bookTicker message, which has times unlike Spot's."""
    millis = now_ns // MS
    return (
        f'{{"e":"bookTicker","u":{quote.update_id * ID_STEP},"s":"{symbol}","b":"{plain(quote.bid)}",'
        f'"B":"{plain(quote.bid_quantity)}","a":"{plain(quote.ask)}","A":"{plain(quote.ask_quantity)}",'
        f'"T":{millis},"E":{millis}}}'
    ).encode()


def diff_data(symbol: str, diff: DepthDiff, now_ns: int) -> bytes:
    """Return a depthUpdate message."""
    millis, before = now_ns // MS, (diff.update_id_first - 1) * ID_STEP
    return (
        f'{{"e":"depthUpdate","E":{millis},"T":{millis},"s":"{symbol}","U":{before + 3},'
        f'"u":{diff.update_id * ID_STEP},"pu":{before},"b":[{_levels(diff.bids)}],"a":[{_levels(diff.asks)}]}}'
    ).encode()


def snapshot_data(snapshot: DepthSnapshot, now_ns: int) -> bytes:
    """Return a depth snapshot as the venue answers it."""
    millis = now_ns // MS
    return (
        f'{{"lastUpdateId":{snapshot.update_id},"E":{millis},"T":{millis},"bids":[{_levels(snapshot.bids)}],'
        f'"asks":[{_levels(snapshot.asks)}]}}'
    ).encode()


def _first_snapshot(snapshot: DepthSnapshot, now_ns: int) -> bytes:
    return snapshot_data(snapshot._replace(update_id=snapshot.update_id * ID_STEP), now_ns)


WORDING: Final = Wording(trade=trade_data, quote=quote_data, diff=diff_data, snapshot=_first_snapshot)


# ---- streams that the market does not carry


def is_derived(stream: str) -> bool:
    """Return True if no market carries the stream."""
    return not stream.endswith(_CARRIED)


def _encode(body: Any) -> bytes:
    return msgspec.json.encode(body)


def mark_data(moved: MarkMoved) -> dict[str, Any]:
    """Return a markPriceUpdate message."""
    mark = moved.mark
    return {
        "e": "markPriceUpdate",
        "E": moved.time_ns // MS,
        "s": moved.symbol,
        "p": text(mark.price),
        "ap": text(mark.price),
        "P": text(mark.index_price),
        "i": text(mark.index_price),
        "r": text(mark.rate),
        "T": mark.next_ns // MS,
    }


def mark_lines(moved: MarkMoved) -> Iterator[Line]:
    """Yield the mark price's streams: each second, and every third second for the slower ones."""
    body, name = mark_data(moved), moved.symbol.lower()
    kinds = ["markPrice@1s"] if moved.time_ns // 1_000_000_000 % 3 else ["markPrice@1s", "markPrice"]
    for kind in kinds:
        stream = f"{name}@{kind}"
        yield Line(moved.time_ns, stream, moved.symbol, combined(stream, _encode(body)))
        arrays = f"!markPrice@arr{kind.removeprefix('markPrice')}"
        yield Line(moved.time_ns, arrays, moved.symbol, combined(arrays, _encode([body])))


def derive(line: Line, market: SymbolMarket, wanted: Collection[str], now_ns: int) -> Iterator[Line]:
    """Make the subscribed lines that follow from a line of the market."""
    name, _, kind = line.stream.partition("@")
    if kind == "trade":
        makers: dict[str, Callable[[Line, SymbolMarket, str, int], bytes]] = {
            f"{name}@aggTrade": _agg_trade, f"{name}@miniTicker": _mini_ticker, f"{name}@ticker": _ticker,
        }  # fmt: skip
        yield from derived_streams.klines(line, market, wanted, now_ns)
    elif kind in ("depth@0ms", "depth@100ms"):
        makers = {f"{name}@{speed}": _whole_diff for speed in DEPTHS if speed != kind}
        for levels in ("5", "10", "20"):
            makers |= {f"{name}@depth{levels}{speed.removeprefix('depth')}": _partial for speed in DEPTHS}
    elif kind == "bookTicker":
        makers = {"!bookTicker": _whole_diff}
    else:
        return
    for stream, make in makers.items():
        if stream in wanted:
            yield Line(now_ns, stream, line.symbol, combined(stream, make(line, market, stream, now_ns)))


def _agg_trade(_line: Line, market: SymbolMarket, _stream: str, now_ns: int) -> bytes:
    trade = market.prints_last()
    return _encode(
        {
            "e": "aggTrade",
            "E": now_ns // MS,
            "a": trade.trade_id,
            "s": market.rules.symbol,
            "p": plain(trade.price),
            "q": plain(trade.quantity),
            "f": trade.trade_id,
            "l": trade.trade_id,
            "T": trade.time_ns // MS,
            "m": trade.buyer_is_maker,
        }
    )


def _whole_diff(line: Line, _market: SymbolMarket, _stream: str, _now_ns: int) -> bytes:
    """Repeat a line for another stream: its ids are continuous too."""
    return line.payload[line.payload.index(b'"data":') + 7 : -1]


def _partial(_line: Line, market: SymbolMarket, stream: str, now_ns: int) -> bytes:
    """Write a partial book, which has the shape of a diff: only the stream's name differs."""
    levels = int(stream.partition("@depth")[2].partition("@")[0])
    bids, asks = market.top(levels)
    millis, last = now_ns // MS, market.update_id
    return (
        f'{{"e":"depthUpdate","E":{millis},"T":{millis},"s":"{market.rules.symbol}","U":{last},"u":{last},"pu":{last},'
        f'"b":[{_levels(bids)}],"a":[{_levels(asks)}]}}'
    ).encode()


def _mini_ticker(_line: Line, market: SymbolMarket, _stream: str, now_ns: int) -> bytes:
    return _encode(derived_streams.mini_ticker(market, now_ns))


def _ticker(_line: Line, market: SymbolMarket, _stream: str, now_ns: int) -> bytes:
    day = day_ticker(market, now_ns)
    names = {
        "p": "priceChange", "P": "priceChangePercent", "w": "weightedAvgPrice", "c": "lastPrice", "Q": "lastQty",
        "o": "openPrice", "h": "highPrice", "l": "lowPrice", "v": "volume", "q": "quoteVolume", "O": "openTime",
        "C": "closeTime", "F": "firstId", "L": "lastId", "n": "count",
    }  # fmt: skip
    shown = {short: day[long] for short, long in names.items()}
    return _encode({"e": "24hrTicker", "E": now_ns // MS, "s": market.rules.symbol, **shown})


def carriers(streams: Collection[str], carried: Collection[str]) -> set[str]:
    """Return the streams of the market that these subscriptions need: a diff of any speed needs the market's own."""
    needed: set[str] = set()
    for stream in streams:
        name, _, kind = stream.partition("@")
        if stream in carried:
            needed.add(stream)
        elif kind.startswith("depth"):
            needed |= {f"{name}@{speed}" for speed in DEPTHS if f"{name}@{speed}" in carried}
        elif kind.startswith(("aggTrade", "kline", "ticker", "miniTicker")):
            needed.add(f"{name}@trade")
        elif kind == "markPrice":
            needed.add(f"{name}@markPrice@1s")
    return needed
