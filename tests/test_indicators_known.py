"""Every indicator on the real BTC capture: against TA-Lib, and against numpy where TA-Lib lacks the function.

Each value that a strategy could read is compared, from the first one that is warm, to one part in 10^9.
"""

import gzip
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.market import layout as at
from engine.market.indicators.registry import indicator_spec
from engine.market.market_state import Market
from engine.market.views import BarSpec
from engine.model import Instrument
from engine.venues.binance_spot.market import BinanceSpotMarket

talib = pytest.importorskip("talib", reason="TA-Lib is in the extra `test`")
pytestmark = pytest.mark.slow  # the first one plays the capture

ID = "binance_spot:BTCUSDT"
BTC = Instrument(ID, "binance_spot", "BTCUSDT", "BTC", "USDT", 2, 8, Decimal("0.01"), Decimal("0.00001"))
SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS
DAYS = (19_943, 19_944)  # since 1970, of the capture
AGREE = 1e-9
Series = NDArray[np.float64]
KINDS: list[tuple[str, dict[str, Any]]] = [
    ("sma", {"length": 7}),
    ("sma", {"length": 30, "field": "volume"}),
    ("ema", {"length": 10}),
    ("ema", {"length": 10, "begins": "mean"}),
    ("wma", {"length": 9}),
    ("rsi", {"length": 14}),
    ("macd", {"fast": 5, "slow": 11, "signal": 4}),
    ("bollinger", {"length": 20, "width": 2.5}),
    ("stddev", {"length": 12}),
    ("highest", {"length": 8}),
    ("lowest", {"length": 8}),
    ("realised_volatility", {"length": 15}),
    ("atr", {"length": 6}),
    ("vwap", {"length": 10}),
    ("vwap", {}),
    ("microprice", {}),
    ("imbalance", {}),
]


def declared() -> list[tuple[str, dict[str, Any]]]:
    """Return (kind, parameters) of every kind over every source that it accepts."""
    over = []
    for source in ("mid", "trade", "bars.1"):
        for kind, parameters in KINDS:
            given = parameters if kind in ("microprice", "imbalance") else {**parameters, "source": source}
            if kind in ("microprice", "imbalance") and source != "mid":
                continue
            try:
                indicator_spec(kind, ID, given)
            except ValueError:
                continue  # a volume of quotes, a range without bars
            over.append((kind, given))
    return over


class Recorded:
    """The capture played into a market: every input and every value of every indicator."""

    def __init__(self, data: Path, lines: int = 0) -> None:
        self.declared = declared()
        specs = [indicator_spec(kind, ID, parameters) for kind, parameters in self.declared]
        market = self.market = Market.empty([BTC], [BarSpec(ID, SECOND_NS)], specs)
        self.values: list[dict[str, list[float]]] = [{name: [] for name in ("", *spec.outputs)} for spec in specs]
        self.quotes: list[list[int]] = []
        self.trades: list[list[int]] = []
        self.bars: list[list[int]] = []
        venue = BinanceSpotMarket([BTC])
        counts = [0] * len(specs)
        with gzip.open(data / "captures" / "binance" / "spot_btcusdt_20240808.gz") as capture:
            for seq, line in enumerate(capture):
                if lines and seq == lines:
                    break
                frame = line[20:].strip()
                if b'"e":"depthUpdate"' in frame or frame.startswith(b'{"lastUpdateId"'):
                    continue
                rows = venue.decode(frame, "binance_spot.market.0", seq, int(line[:19]))
                assert not isinstance(rows, tuple), rows
                market.fold(rows)
                self._note(counts)

    def _note(self, counts: list[int]) -> None:
        market = self.market
        now = market.indicator_state[:, at.I_COUNT].tolist()
        if now == counts:
            return
        first = {parameters.get("source", "mid"): k for k, (_, parameters) in reversed([*enumerate(self.declared)])}
        t = market.t[0].tolist()
        if now[first["mid"]] > counts[first["mid"]]:
            self.quotes.append(t[at.Q_BID : at.Q_ASK_SIZE + 1])
        if now[first["trade"]] > counts[first["trade"]]:
            self.trades.append([t[at.T_PRICE], t[at.T_SIZE], t[at.T_VENUE_NS]])
        if now[first["bars.1"]] > counts[first["bars.1"]]:
            newest = (int(market.bar_state[0, at.BAR_CLOSED_COUNT]) - 1) % at.BARS_KEPT
            self.bars.append(market.closed[0, newest].tolist())
        for k, outputs in enumerate(self.values):
            assert now[k] - counts[k] in (0, 1)
            if now[k] > counts[k]:
                for name, series in outputs.items():
                    value = market.indicator(k, output=name)
                    assert value is not None
                    series.append(value)
        counts[:] = now


@cache
def recorded(data: Path) -> Recorded:
    return Recorded(data)


def inputs(run: Recorded, source: str) -> dict[str, Series]:
    """Return the inputs of a source as arrays of floats, by field."""
    if source == "mid":
        bid, bid_size, ask, ask_size = np.array(run.quotes, np.float64).T
        mid = (bid + ask) / 200
        return {
            "close": mid,
            "bid": bid / 100,
            "ask": ask / 100,
            "bid_size": bid_size / 1e8,
            "ask_size": ask_size / 1e8,
        }
    if source == "trade":
        price, size, _ = np.array(run.trades, np.float64).T
        day = np.array([venue_ns // DAY_NS for *_, venue_ns in run.trades])
        return {"close": price / 100, "volume": size / 1e8, "day": day}
    table = np.array(run.bars, np.float64).T
    opened, high, low, close = table[at.BAR_OPEN : at.BAR_CLOSE + 1] / 100
    day = np.array([bar[at.BAR_START_NS] // DAY_NS for bar in run.bars])
    volume = table[at.BAR_VOLUME_0] / 1e8
    return {"open": opened, "high": high, "low": low, "close": close, "volume": volume, "day": day}


def windows(series: Series, length: int) -> NDArray[np.float64]:
    return np.lib.stride_tricks.sliding_window_view(series, length)


def late(of_windows: Series, length: int) -> Series:
    """Return a series that begins with a full window as long as its input."""
    return np.concatenate([np.full(length - 1, np.nan), of_windows])


def each_window(function: Callable[[Series], Any], series: Series, length: int) -> Series:
    """Call a function of TA-Lib with each window less its first value, and return its last results.

    TA-Lib sums the squares of its input. Of prices of 60,000 these have no digits left for a deviation of 0.01.
    """
    found = [[outputs[-1] for outputs in function(window - window[0])] for window in windows(series, length)]
    return np.concatenate([np.full((length - 1, len(found[0])), np.nan), found])


def reference(kind: str, parameters: dict[str, Any], data: dict[str, Series]) -> dict[str, Series]:
    """Return an indicator's values by TA-Lib or numpy, nan before it is warm."""
    length = parameters.get("length", 0)
    is_bars = parameters.get("source", "mid").startswith("bars")
    series = data[parameters.get("field", "close")]
    match kind:
        case "sma":
            return {"": talib.SMA(series, length)}
        case "ema":
            if parameters.get("begins"):
                return {"": talib.EMA(series, length)}
            # TA-Lib begins with a mean: of the first value alone if that is repeated before the series
            found = talib.EMA(np.concatenate([np.full(length - 1, series[0]), series]), length)[length - 1 :]
            return {"": np.concatenate([np.full(length - 1, np.nan), found[length - 1 :]])}
        case "wma":
            return {"": talib.WMA(series, length)}
        case "rsi":
            return {"": talib.RSI(series, length)}
        case "macd":
            found = talib.MACD(series, parameters["fast"], parameters["slow"], parameters["signal"])
            return dict(zip(("", "signal", "histogram"), found, strict=True))
        case "bollinger":
            found = each_window(
                lambda low: talib.BBANDS(low, length, parameters["width"], parameters["width"]), series, length
            )
            start = late(windows(series, length)[:, 0], length)
            return {name: found[:, k] + start for k, name in enumerate(("upper", "", "lower"))}
        case "stddev":
            return {"": each_window(lambda low: [talib.STDDEV(low, length)], series, length)[:, 0]}
        case "highest":
            return {"": talib.MAX(data["high"] if is_bars else series, length)}
        case "lowest":
            return {"": talib.MIN(data["low"] if is_bars else series, length)}
        case "atr":
            return {"": talib.ATR(data["high"], data["low"], data["close"], length)}
        case "realised_volatility":
            squares = np.log(series[1:] / series[:-1]) ** 2
            return {"": late(np.sqrt(windows(squares, length).sum(axis=1)), length + 1)}
        case "vwap":
            price = (data["high"] + data["low"] + data["close"]) / 3 if is_bars else series
            worth, volume = price * data["volume"], data["volume"]
            if not length:  # the capture passes midnight
                parts = [np.cumsum(worth[of]) / np.cumsum(volume[of]) for of in (data["day"] == day for day in DAYS)]
                return {"": np.concatenate(parts)}
            return {"": late(windows(worth, length).sum(axis=1) / windows(volume, length).sum(axis=1), length)}
        case "microprice":
            weighted = data["bid"] * data["ask_size"] + data["ask"] * data["bid_size"]
            return {"": weighted / (data["bid_size"] + data["ask_size"])}
        case _:
            assert kind == "imbalance"
            return {"": (data["bid_size"] - data["ask_size"]) / (data["bid_size"] + data["ask_size"])}


@pytest.mark.parametrize(("kind", "parameters"), declared(), ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value.values())))  # fmt: skip
def test_an_indicator_agrees_with_the_reference_on_the_btc_capture(
    shared_data: Path, kind: str, parameters: dict[str, Any]
) -> None:
    run = recorded(shared_data)
    k = run.declared.index((kind, parameters))
    spec = run.market.indicator_specs[k]
    expected = reference(kind, parameters, inputs(run, spec.followed))
    assert expected.keys() == run.values[k].keys()
    for name, series in expected.items():
        ours = np.array(run.values[k][name])
        assert len(ours) == len(series) > 300, "the capture has enough for a comparison"
        warm = spec.warm_count - 1
        assert not np.isnan(series[warm:]).any(), "what we call warm, the reference has too"
        assert np.isnan(series[:warm]).all(), "and what the reference has, we call warm"
        np.testing.assert_allclose(ours[warm:], series[warm:], rtol=AGREE, atol=AGREE)
