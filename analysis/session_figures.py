"""Ratios of a session from its tables: drawdown, exposure, hit rate, maker share, slippage, Sharpe, Sortino.

Sums of money are exact; floats appear only in ratios. docs/python-api.md defines each figure.
"""

import math
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import msgspec

from engine.money import MONEY, ZERO

if TYPE_CHECKING:
    from analysis.session import Session

SECOND_NS = 1_000_000_000
STEPS_NS = (86_400 * SECOND_NS, 3_600 * SECOND_NS, 60 * SECOND_NS)  # between two returns: the longest with enough
RETURNS_MIN = 20
YEAR_NS = 365 * 86_400 * SECOND_NS

_FILLS_WITH_QUOTES = """
    SELECT f.instrument, f.side, f.price, f.quantity, q.bid, q.ask
    FROM (SELECT fills.*, request_seq FROM fills JOIN orders USING (session, client_order_id)) f
    ASOF JOIN quotes q ON f.session = q.session AND f.instrument = q.instrument AND f.request_seq > q.seq
"""


class Slippage(msgspec.Struct, frozen=True):
    """What fills cost against the mid at the decision of their orders, in one asset; below 0 they gained."""

    asset: str
    cost: Decimal
    notional: Decimal  # at the mids
    fills: int

    @property
    def ratio(self) -> float | None:
        """The cost as a share of the notional."""
        return float(self.cost / self.notional) if self.notional else None


class SessionFigures(msgspec.Struct, frozen=True):
    """Figures of one session."""

    currency: str  # of P&L and drawdown; "": no P&L was reported
    pnl: Decimal  # after fees and with funding, as last reported
    drawdown: Decimal  # the largest fall of P&L from its highest report, 0 or above
    turnover: dict[str, Decimal]  # notional of all fills by asset
    exposure_max: dict[str, Decimal]  # the highest reported sum of the notionals of positions by asset
    exposed_ratio: float | None  # share of the session's time with any position
    fills: int
    maker_fills: int
    closing_fills: int  # fills that reduced a position
    winning_fills: int  # those whose realised P&L exceeded their own fee
    slippage: tuple[Slippage, ...]
    step_ns: int  # between two returns; 0: the session is too short for ratios of returns
    returns: int
    sharpe: float | None  # annualised
    sortino: float | None  # annualised

    @property
    def maker_ratio(self) -> float | None:
        """The share of fills as a maker."""
        return self.maker_fills / self.fills if self.fills else None

    @property
    def hit_ratio(self) -> float | None:
        """The share of closing fills that won."""
        return self.winning_fills / self.closing_fills if self.closing_fills else None

    def __str__(self) -> str:
        lines = [f"P&L {_money(self.pnl)} {self.currency}, drawdown at most {_money(self.drawdown)}"]
        lines += [f"{self.fills} fills, {_percent(self.maker_ratio)} as maker, hit rate {_percent(self.hit_ratio)}"]
        lines += [f"Sharpe {_ratio(self.sharpe)}, Sortino {_ratio(self.sortino)}, of {self.returns} returns"]
        lines += [f"slippage {_money(found.cost)} {found.asset} of {_money(found.notional)}" for found in self.slippage]
        return "\n".join(lines)

    __repr__ = __str__


def session_figures(session: "Session", *, with_slippage: bool = True) -> SessionFigures:
    """Return the figures of a session.

    Args:
        session: The session.
        with_slippage: False leaves slippage out, which reads all quotes of the session.
    """
    portfolio = session.portfolio.rows()
    fills = session.sql("SELECT instrument, price, quantity, maker FROM fills ORDER BY seq").rows()
    instruments = {row["instrument"]: row for row in session.instruments.rows()}
    positions = session.positions.rows()
    closing, winning = _closing_fills(positions)
    totals = [(row["time_ns"], row["total"], row["equity"]) for row in portfolio]
    step_ns, returns = _returns(totals)
    turnover: dict[str, Decimal] = {}
    for row in fills:
        asset, notional = _notional(instruments.get(row["instrument"]), row["quantity"], row["price"])
        turnover[asset] = MONEY.add(turnover.get(asset, ZERO), notional)
    first_ns, last_ns = session.sql("SELECT min(time_ns) AS a, max(time_ns) AS b FROM records").rows()[0].values()
    return SessionFigures(
        currency=portfolio[-1]["currency"] if portfolio else "",
        pnl=portfolio[-1]["total"] if portfolio else ZERO,
        drawdown=_drawdown([*(() if session.body.opening else (ZERO,)), *(total for _, total, _ in totals)]),
        turnover=turnover,
        exposure_max=_exposure(session.pnl.rows(), instruments),
        exposed_ratio=_exposed(positions, last_ns, last_ns - first_ns),
        fills=len(fills),
        maker_fills=sum(bool(row["maker"]) for row in fills),
        closing_fills=closing,
        winning_fills=winning,
        slippage=_slippage(session, instruments) if with_slippage and fills else (),
        step_ns=step_ns,
        returns=len(returns),
        sharpe=_annual(returns, step_ns, _deviation(returns)),
        sortino=_annual(returns, step_ns, _downside(returns)),
    )


def _notional(instrument: dict[str, Any] | None, quantity: Decimal, price: Decimal) -> tuple[str, Decimal]:
    """Return the asset and the amount of a quantity at a price; an inverse contract is worth its base asset."""
    if instrument is None:
        return "", MONEY.multiply(quantity, price)
    units = MONEY.multiply(quantity, instrument["multiplier"])
    if instrument["inverse"]:
        return instrument["base"], MONEY.divide(units, price) if price else ZERO
    return instrument["quote"], MONEY.multiply(units, price)


def _slippage(session: "Session", instruments: dict[str, dict[str, Any]]) -> tuple[Slippage, ...]:
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


def _closing_fills(positions: Iterable[dict[str, Any]]) -> tuple[int, int]:
    """Return how many fills reduced a position, and how many of them realised more than their own fee."""
    before: dict[tuple[str, str, str], dict[str, Any]] = {}
    closing = winning = 0
    for row in positions:
        key = row["session"], row["strategy"], row["instrument"]
        last = before.get(key)
        before[key] = row
        if last is None or not last["quantity"]:
            continue
        moved = row["quantity"] - last["quantity"]
        if moved * last["quantity"] < 0:
            closing += 1
            gain = row["realised_pnl"] - last["realised_pnl"]
            winning += gain > row["fees_quote"] - last["fees_quote"]
    return closing, winning


def _drawdown(totals: Iterable[Decimal]) -> Decimal:
    peak, worst = None, ZERO
    for total in totals:
        peak = total if peak is None else max(peak, total)
        worst = max(worst, peak - total)
    return worst


def _exposure(rows: Iterable[dict[str, Any]], instruments: dict[str, dict[str, Any]]) -> dict[str, Decimal]:
    """Return the highest sum of the notionals of positions over strategies and instruments, by asset."""
    lines: dict[tuple[str, str], tuple[str, Decimal]] = {}
    highest: dict[str, Decimal] = {}
    for row in rows:
        asset, notional = _notional(instruments.get(row["instrument"]), row["quantity"], row["mark"] or ZERO)
        lines[row["strategy"], row["instrument"]] = asset, abs(notional)
        total = sum((value for of, value in lines.values() if of == asset), ZERO)
        highest[asset] = max(highest.get(asset, ZERO), total)
    return highest


def _exposed(positions: Sequence[dict[str, Any]], last_ns: int, length_ns: int) -> float | None:
    """Return the share of the session's time with any position. Carried positions count from the first report."""
    if not length_ns:
        return None
    held: dict[tuple[str, str], bool] = {}
    exposed_ns = since = 0
    for row in positions:
        if any(held.values()):
            exposed_ns += row["time_ns"] - since
        held[row["strategy"], row["instrument"]] = bool(row["quantity"])
        since = row["time_ns"]
    if any(held.values()):
        exposed_ns += last_ns - since
    return exposed_ns / length_ns


def _returns(totals: Sequence[tuple[int, Decimal, Decimal | None]]) -> tuple[int, list[float]]:
    """Return the step between returns and the returns: changes of P&L as shares of the equity before them."""
    if len(totals) < 2 or any(not equity or equity <= 0 for _, _, equity in totals):
        return 0, []
    for step_ns in STEPS_NS:
        sampled, place = [], 0
        for time_ns in range(totals[0][0], totals[-1][0] + 1, step_ns):
            while place + 1 < len(totals) and totals[place + 1][0] <= time_ns:
                place += 1
            sampled.append(totals[place])
        if len(sampled) > RETURNS_MIN:
            return step_ns, [float((later[1] - sooner[1]) / (sooner[2] or 1)) for sooner, later in pairwise(sampled)]
    return 0, []


def _deviation(returns: Sequence[float]) -> float:
    if len(returns) < 2:
        return 0.0
    mean = sum(returns) / len(returns)
    return math.sqrt(sum((value - mean) ** 2 for value in returns) / (len(returns) - 1))


def _downside(returns: Sequence[float]) -> float:
    return math.sqrt(sum(min(value, 0.0) ** 2 for value in returns) / len(returns)) if returns else 0.0


def _annual(returns: Sequence[float], step_ns: int, deviation: float) -> float | None:
    if not returns or not deviation:
        return None
    return sum(returns) / len(returns) / deviation * math.sqrt(YEAR_NS / step_ns)


def _money(value: Decimal) -> str:
    return f"{value:,.4f}"


def _ratio(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f}"


def _percent(value: float | None) -> str:
    return "none" if value is None else f"{value:.1%}"
