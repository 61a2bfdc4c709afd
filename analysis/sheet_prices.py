"""The market as a tear sheet needs it: mid prices over the session, slippage of the fills, holding as a benchmark.

Reads the views `quotes` and `trades`, so it costs a read of all market messages.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from analysis.session_tables import SessionTables
from engine.money import MONEY, ZERO
from replay.study.return_figures import BenchmarkFigures, StepReturns, compare_returns
from replay.study.tear_sheet import TearSheet

COLUMNS = 600  # of a price curve
COLUMNS_MAX = 50_000  # if the steps between returns are finer

_FILLS_WITH_QUOTES = """
    SELECT f.instrument, f.side, f.price, f.quantity, q.bid, q.ask
    FROM (SELECT fills.*, request_seq FROM fills JOIN orders USING (session, client_order_id)) f
    ASOF JOIN quotes q ON f.session = q.session AND f.instrument = q.instrument AND f.request_seq > q.seq
"""
_MIDS = """
    SELECT instrument, (time_ns - ?) // ? AS part, arg_max((bid + ask) / 2, seq) AS price
    FROM quotes WHERE bid > 0 AND ask > 0 GROUP BY ALL ORDER BY ALL
"""
_TRADE_PRICES = """
    SELECT instrument, (time_ns - ?) // ? AS part, arg_max(price, seq) AS price FROM trades GROUP BY ALL ORDER BY ALL
"""


class Slippage(msgspec.Struct, frozen=True):
    """The cost of fills against the mid at the decision of their orders, in one asset; below 0 they gained."""

    asset: str
    cost: Decimal
    notional: Decimal  # at the mids
    fills: int

    @property
    def ratio(self) -> float | None:
        """The cost as a share of the notional."""
        return float(self.cost / self.notional) if self.notional else None


class PriceCurve(msgspec.Struct, frozen=True):
    """The last mid of an instrument, or its last trade, in each equal part of a session."""

    instrument: str
    is_of_trades: bool  # no quote was recorded
    first_ns: int  # the beginning of part 0
    part_ns: int
    parts: tuple[int, ...]  # those with a price
    prices: tuple[float, ...]

    def sample(self, times_ns: Sequence[int]) -> list[float]:
        """Return the price at each time, in order. A time before the first price has the first one."""
        found, place = [], 0
        for time_ns in times_ns:
            while place + 1 < len(self.parts) and self._end_ns(place + 1) <= time_ns:
                place += 1
            found.append(self.prices[place])
        return found

    def points(self) -> list[tuple[int, float]]:
        """Return the times, at the end of each part, and the prices."""
        return [(self._end_ns(place), price) for place, price in enumerate(self.prices)]

    def _end_ns(self, place: int) -> int:
        return self.first_ns + (self.parts[place] + 1) * self.part_ns


class SheetPrices(msgspec.Struct, frozen=True):
    """The market beside a tear sheet."""

    curves: tuple[PriceCurve, ...] = ()
    slippage: tuple[Slippage, ...] = ()
    benchmark: BenchmarkFigures | None = None
    lack: str = ""  # why there is no benchmark


def sheet_prices(session: SessionTables, sheet: TearSheet, benchmark: str = "") -> SheetPrices:
    """Return the market beside a tear sheet.

    Args:
        session: The session.
        sheet: Its tear sheet.
        benchmark: The instrument to hold. Default: the one with the most fills.
    """
    curves = price_curves(session, sheet)
    name = benchmark or _most_filled(sheet)
    curve = next((each for each in curves if name in (each.instrument, each.instrument.partition(":")[2])), None)
    figures, lack = None, ""
    if curve is None:
        lack = f"no price of {name} was recorded" if name else "nothing was filled"
    else:
        figures = compare_returns(sheet.returns, curve.instrument, curve.sample(sheet.returns.times_ns))
        lack = "" if figures else sheet.returns.lack
    return SheetPrices(curves, slippage_of(session) if sheet.fills else (), figures, lack)


def price_curves(session: SessionTables, sheet: TearSheet) -> tuple[PriceCurve, ...]:
    """Return the price of each instrument over the session; of trades, if it has no quotes."""
    first_ns, part_ns = _parts(sheet.returns, sheet.started_ns, sheet.ended_ns)
    curves: dict[str, PriceCurve] = {}
    for query, is_of_trades in ((_MIDS, False), (_TRADE_PRICES, True)):
        rows: dict[str, tuple[list[int], list[float]]] = {}
        if is_of_trades and curves:
            break
        for row in session.sql(query, first_ns, part_ns).rows():
            parts, prices = rows.setdefault(row["instrument"], ([], []))
            parts.append(int(row["part"]))
            prices.append(float(row["price"]))
        for name, (parts, prices) in rows.items():
            curves[name] = PriceCurve(name, is_of_trades, first_ns, part_ns, tuple(parts), tuple(prices))
    return tuple(curves[name] for name in sorted(curves))


def _parts(returns: StepReturns, started_ns: int, ended_ns: int) -> tuple[int, int]:
    """Return the beginning and the length of the parts, which end where the steps between returns do."""
    length = max(1, (ended_ns - started_ns) // COLUMNS)
    if not returns.step_ns:
        return started_ns, length
    wanted = max(1, -(-returns.step_ns // length))
    wanted = min(wanted, max(1, COLUMNS_MAX // max(1, len(returns.values))))
    while returns.step_ns % wanted:
        wanted -= 1
    part_ns = returns.step_ns // wanted
    return returns.first_ns - -(-(returns.first_ns - started_ns) // part_ns) * part_ns, part_ns


def _most_filled(sheet: TearSheet) -> str:
    counts: dict[str, int] = {}
    for fill in sheet.fills:
        counts[fill.instrument] = counts.get(fill.instrument, 0) + 1
    return max(sorted(counts), key=lambda name: counts[name], default="")


def slippage_of(session: SessionTables) -> tuple[Slippage, ...]:
    """Return what the fills cost against the mid at the decision of their orders, by asset."""
    instruments = {row["instrument"]: row for row in session.instruments.rows()}
    sums: dict[str, tuple[Decimal, Decimal, int]] = {}
    for row in session.sql(_FILLS_WITH_QUOTES).rows():
        mid = MONEY.divide(MONEY.add(row["bid"], row["ask"]), Decimal(2))
        asset, expected = _notional(instruments.get(row["instrument"]), row["quantity"], mid)
        _, paid = _notional(instruments.get(row["instrument"]), row["quantity"], row["price"])
        cost, notional, count = sums.get(asset, (ZERO, ZERO, 0))
        is_short = (row["side"] == "SELL") != bool(instruments.get(row["instrument"], {}).get("inverse"))
        worse = MONEY.subtract(expected, paid) if is_short else MONEY.subtract(paid, expected)
        sums[asset] = MONEY.add(cost, worse), MONEY.add(notional, expected), count + 1
    return tuple(Slippage(asset, *found) for asset, found in sorted(sums.items()))


def _notional(instrument: dict[str, Any] | None, quantity: Decimal, price: Decimal) -> tuple[str, Decimal]:
    """Return the asset and the amount of a quantity at a price; an inverse contract is worth its base asset."""
    if instrument is None:
        return "", MONEY.multiply(quantity, price)
    units = MONEY.multiply(quantity, instrument["multiplier"])
    if instrument["inverse"]:
        return instrument["base"], MONEY.divide(units, price) if price else ZERO
    return instrument["quote"], MONEY.multiply(units, price)
