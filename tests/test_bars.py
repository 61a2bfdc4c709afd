"""Backtests on bars: three days computed by hand, and a long one beside a plain calculation of the same rules."""

import json
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from bar_files import BarValues, backtest, fills, imported, verbatim, write_klines

from journal.verify import verify
from verbatim import open as open_session

FLAT: BarValues = ("100.01", "101.00", "99.00", "100.00", "50.01")
HALF = ("--model", "half_spread=0.001")


def traded(folder: Path, bars: dict[int, BarValues] | list[BarValues], orders: str, *options: str) -> list[object]:
    """Return the fills of orders at the ends of bars. Nothing decides at the first bar, which begins the market."""
    session = imported(folder, write_klines(folder / "XUSDT-1m-2024.csv", bars))
    tested = backtest(session, "at_bars.py:AtBars", *HALF, *options, orders=orders)
    assert verify(tested).ok
    assert "identical" in verbatim("replay", tested)
    return fills(tested)


# ---- a day of market orders ----------------------------------------------------------------------------

RISING: list[BarValues] = [
    FLAT,
    ("100.00", "101.00", "99.00", "100.00", "40.0"),
    ("102.00", "103.00", "101.00", "102.00", "40.0"),
    ("104.00", "105.00", "103.00", "104.00", "30.0"),
    ("106.00", "107.00", "105.00", "106.00", "0.0"),
    ("108.00", "109.00", "107.00", "108.00", "30.0"),
]


def test_a_market_order_fills_at_the_next_open_and_half_a_spread(tmp_path: Path) -> None:
    found = traded(tmp_path, RISING, "1 BUY 1 MARKET; 2 SELL 0.9 MARKET")
    assert found == [
        (2.0, "BUY", "102.11", "1"),  # 102.00 * 1.001 = 102.102, up to a tick
        (3.0, "SELL", "103.89", "0.9"),  # 104.00 * 0.999 = 103.896, down to a tick
    ]


def test_a_backtest_ends_with_the_profit_and_loss_at_its_last_price(tmp_path: Path) -> None:
    """Bought at 102.11, the last close is 108.00: its made bid and ask have 108.00 in the middle."""
    session = imported(tmp_path, write_klines(tmp_path / "XUSDT-1m-2024.csv", RISING))
    tested = backtest(session, "at_bars.py:AtBars", *HALF, "--model", "fee_taker=0", orders="1 BUY 1 MARKET")
    found = open_session(tested)
    last = found.pnl.rows()[-1]
    assert (last["mark"], last["quantity"], last["unrealised_pnl"]) == (108, 1, Decimal("5.89"))
    assert found.pnl_report().portfolio.total == Decimal("5.89")
    assert "the market ends" in next(iter(found.records(kinds=["COMMAND"])))["body"]


def test_a_bar_never_fills_beyond_its_share_and_the_rest_waits(tmp_path: Path) -> None:
    found = traded(tmp_path, RISING, "1 BUY 8 MARKET")
    assert found == [
        (2.0, "BUY", "102.11", "4"),  # a tenth of 40
        (3.0, "BUY", "104.11", "3"),  # a tenth of 30
        (5.0, "BUY", "108.11", "1"),  # nothing traded in the minute between
    ]


def test_a_market_order_waits_over_a_gap(tmp_path: Path) -> None:
    found = traded(tmp_path, {0: FLAT, 1: FLAT, 7: RISING[2], 8: RISING[3]}, "1 BUY 1 MARKET")
    assert found == [(7.0, "BUY", "102.11", "1")]


def test_without_a_share_a_bar_fills_all(tmp_path: Path) -> None:
    found = traded(tmp_path, RISING, "1 BUY 1000 MARKET", "--model", "volume_share=0")
    assert found == [(2.0, "BUY", "102.11", "1000")]


def test_by_the_venues_clock_a_bar_is_known_at_its_end(tmp_path: Path) -> None:
    """Its stamp is its start: an order filled one bar late."""
    orders = "1 BUY 1 MARKET; 2 SELL 0.9 MARKET; 3 BUY 1 LIMIT 103.50"
    (tmp_path / "venue").mkdir()
    found = traded(tmp_path / "venue", RISING, orders, "--model", "clock=venue")
    (tmp_path / "received").mkdir()
    assert found == traded(tmp_path / "received", RISING, orders)
    assert found[0] == (2.0, "BUY", "102.11", "1")


# ---- a day of limit orders -----------------------------------------------------------------------------

DIPPING: list[BarValues] = [
    FLAT,
    ("102.00", "103.00", "101.00", "102.00", "40.0"),
    ("102.00", "103.00", "100.00", "102.00", "40.0"),  # reaches 100.00
    ("102.00", "103.00", "99.99", "102.00", "40.0"),  # passes it
    ("99.00", "103.00", "98.00", "102.00", "40.0"),  # opens beyond it
    ("102.00", "106.00", "101.00", "102.00", "40.0"),
]


def test_a_limit_fills_at_its_price_once_the_bar_traded_through_it(tmp_path: Path) -> None:
    found = traded(tmp_path, DIPPING, "1 BUY 1 LIMIT 100.00")
    assert [(side, price, size) for _, side, price, size in found] == [("BUY", "100", "1")]
    assert 3.9 < found[0][0] < 4.0  # within the third bar after it, as it ends


def test_a_limit_fills_when_it_is_touched_if_the_model_says_so(tmp_path: Path) -> None:
    found = traded(tmp_path, DIPPING, "1 BUY 1 LIMIT 100.00", "--model", "limit_fills=touch")
    assert [(price, size) for _, _, price, size in found] == [("100", "1")]
    assert 2.9 < found[0][0] < 3.0


def test_limits_share_the_volume_of_a_bar_by_price_and_age(tmp_path: Path) -> None:
    found = traded(tmp_path, DIPPING, "1 BUY 3 LIMIT 100.00; 1 BUY 3 LIMIT 100.50")
    assert [(int(minute), price, size) for minute, _, price, size in found] == [
        (2, "100.5", "3"),
        (3, "100", "3"),
    ]


def test_what_a_better_price_took_of_a_bar_is_missing_behind_it(tmp_path: Path) -> None:
    found = traded(tmp_path, DIPPING, "1 BUY 3 LIMIT 100.01; 1 BUY 3 LIMIT 100.02")
    assert [(int(minute), price, size) for minute, _, price, size in found] == [
        (2, "100.02", "3"),
        (2, "100.01", "1"),  # a tenth of 40 in all
        (3, "100.01", "2"),
    ]


# ---- a day of stops ------------------------------------------------------------------------------------

SWINGING: list[BarValues] = [
    FLAT,
    ("100.00", "101.00", "99.00", "100.00", "40.0"),
    ("100.00", "101.00", "99.00", "100.00", "40.0"),
    ("100.00", "106.00", "94.00", "100.00", "40.0"),  # both the stop at 95 and the target at 105
    ("100.00", "101.00", "99.00", "100.00", "40.0"),
]


def test_a_bar_with_stop_and_target_hits_the_stop_first(tmp_path: Path) -> None:
    found = traded(tmp_path, SWINGING, "1 BUY 1 BRACKET 105.00 95.00")
    assert [(int(minute), side, price) for minute, side, price, _ in found] == [
        (2, "BUY", "100.1"),  # 100.00 * 1.001
        (3, "SELL", "94.9"),  # 95.00 * 0.999 = 94.905, down to a tick
    ]


@pytest.mark.parametrize(
    ("opening", "price"),
    [("90.00", "89.91"), ("96.00", "94.9")],
    ids=["it opens beyond the stop", "it opens before the stop"],
)
def test_a_stop_fills_at_its_price_or_at_a_worse_open(tmp_path: Path, opening: str, price: str) -> None:
    bars = [*SWINGING[:3], SWINGING[2], (opening, "97.00", "88.00", "92.00", "40.0"), FLAT]
    found = traded(tmp_path, bars, "1 BUY 1 MARKET; 2 SELL 0.9 STOP 95.00")
    assert [(int(minute), side, paid) for minute, side, paid, _ in found][1:] == [(4, "SELL", price)]


def test_a_stop_buys_at_its_price_and_half_a_spread_above_it(tmp_path: Path) -> None:
    bars = [*SWINGING[:3], ("100.00", "104.00", "99.00", "103.00", "40.0"), FLAT]
    assert [(side, price) for _, side, price, _ in traded(tmp_path, bars, "1 BUY 1 STOP 102.00")] == [
        ("BUY", "102.11")  # 102.102, up to a tick
    ]


def test_a_stop_that_the_next_open_has_passed_is_refused_as_at_the_venue(tmp_path: Path) -> None:
    bars = [*SWINGING[:3], ("90.00", "97.00", "88.00", "92.00", "40.0"), FLAT]
    session = imported(tmp_path, write_klines(tmp_path / "XUSDT-1m-2024.csv", bars))
    tested = backtest(session, "at_bars.py:AtBars", *HALF, orders="1 BUY 1 MARKET; 2 SELL 0.9 STOP 95.00")
    assert len(fills(tested)) == 1
    refused = "select count(*) as n from records where decode(payload) like '%would trigger immediately%'"
    assert json.loads(verbatim("sql", tested, refused, "--json")) == [{"n": 1}]


# ---- many days beside a plain calculation --------------------------------------------------------------

PPM, FEE, VALUE = 100, Decimal("0.001"), Decimal(1000)
FAST, SLOW = 5, 20


def walk(minutes: int) -> list[BarValues]:
    """Return bars of a random walk with cents."""
    random = np.random.default_rng(15)
    closes = 6_000_000 + np.cumsum(random.integers(-900, 901, minutes))
    opens = np.concatenate([[6_000_000], closes[:-1] + random.integers(-20, 21, minutes - 1)])
    highs = np.maximum(opens, closes) + random.integers(0, 300, minutes)
    lows = np.minimum(opens, closes) - random.integers(0, 300, minutes)
    cents = np.stack([opens, highs, lows, closes], axis=1).tolist()
    return [(*(f"{price // 100}.{price % 100:02}" for price in bar), "5.12345") for bar in cents]  # type: ignore[misc]


def plain_cross(bars: list[BarValues], fast: int, slow: int) -> list[tuple[float, str, str, str]]:
    """Return the fills of the cross on closes: minute, side, price and quantity. No engine, no venue."""
    opens = np.array([Decimal(bar[0]) for bar in bars])
    closes = np.array([float(bar[3]) for bar in bars])
    sums = np.concatenate([[0.0], np.cumsum(closes)])
    averages = [(sums[slow:] - sums[slow - length : len(sums) - length]) / length for length in (fast, slow)]
    is_above = averages[0] > averages[1]
    crossed = np.flatnonzero(np.diff(is_above, prepend=not is_above[0])) + slow - 1
    found, position = [], Decimal(0)  # a fee of the base asset leaves less than a lot behind
    share = Decimal(1_000_000 - PPM) / 1_000_000, Decimal(1_000_000 + PPM) / 1_000_000
    for bar in crossed.tolist():
        if bar + 1 == len(bars):
            break
        held = position.quantize(Decimal("0.00001"), "ROUND_FLOOR")
        if is_above[bar - slow + 1] and held == 0:
            asked = (Decimal(bars[bar][3]) * share[1]).quantize(Decimal("0.01"), "ROUND_CEILING")
            size = (VALUE / asked).quantize(Decimal("0.00001"), "ROUND_FLOOR")
            price = (opens[bar + 1] * share[1]).quantize(Decimal("0.01"), "ROUND_CEILING")
            position += size * (1 - FEE)
            found.append((float(bar + 1), "BUY", f"{price.normalize():f}", f"{size.normalize():f}"))
        elif not is_above[bar - slow + 1] and held > 0:
            price = (opens[bar + 1] * share[0]).quantize(Decimal("0.01"), "ROUND_FLOOR")
            found.append((float(bar + 1), "SELL", f"{price.normalize():f}", f"{held.normalize():f}"))
            position -= held
    return found


def test_a_cross_on_bars_fills_as_a_plain_calculation_says(tmp_path: Path) -> None:
    bars = walk(2_000)
    session = imported(tmp_path, write_klines(tmp_path / "BTCUSDT-1m-2024.csv", bars))
    example = "../../examples/bar_cross.py:BarCross"
    found = fills(backtest(session, example, "--model", "half_spread=0.0001", fast=FAST, slow=SLOW))
    expected = plain_cross(bars, FAST, SLOW)
    assert len(expected) > 100
    assert found == expected
