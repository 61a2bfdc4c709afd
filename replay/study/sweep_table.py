"""The rows of a sweep as a table: one row a variant over all sessions, its score, and the matrix of returns."""

import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from enum import StrEnum

import msgspec
import numpy as np

from replay.study.overfitting import Matrix
from replay.study.return_figures import compounded, sharpe_ratio, sortino_ratio, worst_drawdown
from replay.study.sweep import SweepRow
from replay.study.sweep_space import SweepError, Variant, sort_key


class Objective(StrEnum):
    """The figure by which variants are ranked."""

    SHARPE = "sharpe"  # of one step, over the returns of all sessions
    SORTINO = "sortino"
    RETURN = "return"  # compounded
    CALMAR = "calmar"  # return / largest drawdown of the compounded returns
    PNL = "pnl"  # in one currency
    PROFIT_FACTOR = "profit_factor"


class VariantResult(msgspec.Struct, frozen=True):
    """One variant over all sessions."""

    number: int
    variant: Variant
    score: float | None  # None: it could not be run everywhere, or the score has no base
    pnl: dict[str, Decimal]  # by currency
    fees: dict[str, Decimal]
    drawdown_ratio: float
    total_return: float
    sharpe: float | None  # of one step
    orders: int
    fills: int
    maker_fills: int
    trades: int
    wins: int
    won: Decimal
    lost: Decimal
    errors: tuple[str, ...]  # "session: error"
    notes: tuple[str, ...] = ()

    @property
    def hit_ratio(self) -> float | None:
        """The share of closed trades that won."""
        return self.wins / self.trades if self.trades else None


class SweepTable(msgspec.Struct, frozen=True):
    """All variants in the order of their numbers."""

    sessions: tuple[str, ...]
    objective: Objective
    results: tuple[VariantResult, ...]
    rows: tuple[SweepRow, ...]  # by variant, then by session
    step_ns: int = 0  # between two returns of every row; 0: no variant ran
    left_out: tuple[tuple[str, str], ...] = ()  # sessions on which no variant ran, each with the first error

    @property
    def ranked(self) -> list[VariantResult]:
        """The variants with a score, the best first; equal ones by number."""
        scored = [result for result in self.results if result.score is not None]
        return sorted(scored, key=lambda result: (-(result.score or 0.0), result.number))

    @property
    def winner(self) -> VariantResult | None:
        """The best variant."""
        return next(iter(self.ranked), None)

    def row(self, number: int, session: str) -> SweepRow:
        """Return the row of a variant on a session."""
        return next(row for row in self.rows if (row.variant, row.session) == (number, session))

    def returns(self, number: int) -> list[float]:
        """Return the returns of a variant over all sessions."""
        return [value for row in self.rows if row.variant == number for value in row.returns]

    def matrix(self) -> tuple[list[int], Matrix, list[int]]:
        """Return the numbers of the variants that ran everywhere, their returns, and the rows at which sessions end."""
        columns: dict[int, list[float]] = {}
        for row in self.rows:
            columns.setdefault(row.variant, []).extend(row.returns)
        numbers = [result.number for result in self.results if not result.errors]
        first = next(iter(numbers), None)
        edges, end = [], 0
        for row in self.rows:
            if row.variant == first:
                end += len(row.returns)
                edges.append(end)
        found: Matrix = np.array([columns[number] for number in numbers], np.float64).T
        return numbers, found.reshape(end, len(numbers)), edges


def sweep_table(
    variants: Sequence[Variant], sessions: Sequence[str], rows: Sequence[SweepRow], objective: Objective
) -> SweepTable:
    """Return the table of a sweep's rows, all with the same step.

    A session on which no variant ran, as a damaged one, is left out and named, if another one was run.

    Raises:
        SweepError: The objective is P&L, and the sessions report in several currencies.
    """
    left_out = _sessions_without_a_run(sessions, rows)
    sessions = [name for name in sessions if name not in left_out]
    place = {name: number for number, name in enumerate(sessions)}
    step_ns = common_step(rows)
    ordered = sorted(
        (with_step(row, step_ns) for row in rows if row.session in place),
        key=lambda row: (row.variant, place[row.session]),
    )
    currencies = {row.currency for row in ordered if row.currency}
    if objective is Objective.PNL and len(currencies) > 1:
        raise SweepError(
            f"the sessions report in {', '.join(sorted(currencies))}, so their P&L has no sum. "
            "What to do: choose another --objective."
        )
    by_variant: dict[int, list[SweepRow]] = {}
    for row in ordered:
        by_variant.setdefault(row.variant, []).append(row)
    results = tuple(_result(number, variants[number], by_variant[number], objective) for number in sorted(by_variant))
    return SweepTable(tuple(sessions), objective, results, tuple(ordered), step_ns, tuple(left_out.items()))


def _sessions_without_a_run(sessions: Sequence[str], rows: Sequence[SweepRow]) -> dict[str, str]:
    ran = {row.session for row in rows if row.step_ns}
    errors: dict[str, str] = {}
    for row in rows:
        errors.setdefault(row.session, row.error)
    return {name: errors.get(name, "") for name in sessions if name not in ran} if ran else {}


def common_step(rows: Sequence[SweepRow]) -> int:
    """Return the shortest step that is a whole number of each row's own; 0 if no row has one.

    Sessions that report their P&L less often than others have longer steps (replay/study/sweep.py).
    """
    return math.lcm(*{row.step_ns for row in rows if row.step_ns}) if any(row.step_ns for row in rows) else 0


def with_step(row: SweepRow, step_ns: int) -> SweepRow:
    """Return a row with a longer step, a multiple of its present one. An incomplete last step is dropped."""
    if not row.step_ns or row.step_ns == step_ns:
        return row
    count = step_ns // row.step_ns
    whole = len(row.returns) // count * count
    returns = tuple(compounded(row.returns[place : place + count]) for place in range(0, whole, count))
    return msgspec.structs.replace(row, step_ns=step_ns, returns=returns)


def _result(number: int, variant: Variant, rows: Sequence[SweepRow], objective: Objective) -> VariantResult:
    returns = [value for row in rows for value in row.returns]
    pnl: dict[str, Decimal] = {}
    fees: dict[str, Decimal] = {}
    for row in rows:
        if row.currency:
            pnl[row.currency] = pnl.get(row.currency, Decimal(0)) + row.pnl
            fees[row.currency] = fees.get(row.currency, Decimal(0)) + row.fees
    won, lost = (sum((getattr(row, name) for row in rows), Decimal(0)) for name in ("won", "lost"))
    errors = tuple(f"{row.session}: {row.error}" for row in rows if row.error)
    score = None if errors else _SCORES[objective](returns, pnl, won, lost)
    return VariantResult(
        number=number,
        variant=variant,
        score=score,
        pnl=pnl,
        fees=fees,
        drawdown_ratio=worst_drawdown(returns),
        total_return=compounded(returns),
        sharpe=sharpe_ratio(returns),
        orders=sum(row.orders for row in rows),
        fills=sum(row.fills for row in rows),
        maker_fills=sum(row.maker_fills for row in rows),
        trades=sum(row.trades for row in rows),
        wins=sum(row.wins for row in rows),
        won=won,
        lost=lost,
        errors=errors,
        notes=tuple(f"{row.session}: {row.note}" for row in rows if row.note),
    )


Scorer = Callable[[Sequence[float], dict[str, Decimal], Decimal, Decimal], float | None]


def _calmar(returns: Sequence[float]) -> float | None:
    worst = worst_drawdown(returns)
    return compounded(returns) / worst if worst else None


def score_of_returns(objective: Objective) -> tuple[str, Callable[[Sequence[float]], float | None]]:
    """Return the figure that ranks parts of a run, and its name. Money is not known by steps: their return counts."""
    chosen = Objective.RETURN if objective in _OF_MONEY else objective
    return chosen.value, lambda returns: _SCORES[chosen](returns, {}, Decimal(0), Decimal(0))


_OF_MONEY = (Objective.PNL, Objective.PROFIT_FACTOR)
_SCORES: dict[Objective, Scorer] = {
    Objective.SHARPE: lambda returns, _pnl, _won, _lost: sharpe_ratio(returns),
    Objective.SORTINO: lambda returns, _pnl, _won, _lost: sortino_ratio(returns),
    Objective.RETURN: lambda returns, _pnl, _won, _lost: compounded(returns),
    Objective.CALMAR: lambda returns, _pnl, _won, _lost: _calmar(returns),
    Objective.PNL: lambda _returns, pnl, _won, _lost: float(sum(pnl.values(), Decimal(0))),
    Objective.PROFIT_FACTOR: lambda _returns, _pnl, won, lost: float(won / lost) if lost else None,
}


# ---- sensitivity


class SensitivityMap(msgspec.Struct, frozen=True):
    """The mean score over two parameters, all others averaged."""

    rows_name: str
    columns_name: str  # "": a single parameter
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: dict[str, float]  # "row column" -> mean score
    counts: dict[str, int]

    def cell(self, row: int, column: int) -> float | None:
        """Return the mean score of a cell."""
        return self.cells.get(f"{row} {column}")


BINS = 8  # of a parameter with more values than VALUES_MAX
VALUES_MAX = 16
MAPS_MAX = 6


def sensitivity_maps(table: SweepTable) -> list[SensitivityMap]:
    """Return a map for each pair of parameters that vary, or one of a single parameter."""
    scored = table.ranked
    if not scored:
        return []
    names = [name for name in scored[0].variant.values if len({each.variant.values[name] for each in scored}) > 1]
    groups = {name: _groups([each.variant.values[name] for each in scored]) for name in names}
    pairs = [(one, other) for place, one in enumerate(names) for other in names[place + 1 :]][:MAPS_MAX]
    if not pairs:
        pairs = [(name, "") for name in names]
    return [_map(scored, one, other, groups) for one, other in pairs]


def _groups(values: Sequence[str]) -> tuple[tuple[str, ...], dict[str, int]]:
    """Return the names of the groups of values in order, and the group of each value."""
    different = sorted(set(values), key=sort_key)
    if len(different) <= VALUES_MAX:
        return tuple(different), {value: place for place, value in enumerate(different)}
    size = -(-len(different) // BINS)
    parts = [different[begin : begin + size] for begin in range(0, len(different), size)]
    names = tuple(f"{part[0]} to {part[-1]}" for part in parts)
    return names, {value: place for place, part in enumerate(parts) for value in part}


def _map(
    scored: Sequence[VariantResult], one: str, other: str, groups: dict[str, tuple[tuple[str, ...], dict[str, int]]]
) -> SensitivityMap:
    rows, row_of = groups[one]
    columns, column_of = groups[other] if other else (("",), {"": 0})
    sums: dict[str, list[float]] = {}
    for each in scored:
        values = each.variant.values
        cell = f"{row_of[values[one]]} {column_of[values.get(other, '')]}"
        sums.setdefault(cell, []).append(each.score or 0.0)
    means = {cell: sum(values) / len(values) for cell, values in sorted(sums.items())}
    return SensitivityMap(one, other, rows, columns, means, {cell: len(values) for cell, values in sums.items()})


class Neighbourhood(msgspec.Struct, frozen=True):
    """The winner's score beside those of the variants that differ from it in one parameter by one value."""

    score: float
    neighbours: int
    mean: float | None
    worst: float | None


def neighbourhood(table: SweepTable) -> Neighbourhood | None:
    """Return the neighbourhood of the winner: a peak alone is a sign of chance."""
    best = table.winner
    if best is None or best.score is None:
        return None
    scored = table.ranked
    orders = {
        name: sorted({each.variant.values[name] for each in scored}, key=sort_key) for name in best.variant.values
    }
    scores = [each.score or 0.0 for each in scored if _is_next(each.variant.values, best.variant.values, orders)]
    mean = sum(scores) / len(scores) if scores else None
    return Neighbourhood(best.score, len(scores), mean, min(scores, default=None))


def _is_next(values: dict[str, str], best: dict[str, str], orders: dict[str, list[str]]) -> bool:
    apart = [abs(order.index(values[name]) - order.index(best[name])) for name, order in orders.items()]
    return sum(apart) == 1
