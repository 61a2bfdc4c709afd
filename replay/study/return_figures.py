"""Ratios of returns: return, volatility, Sharpe, Sortino, Calmar, drawdown, moments, and comparison with a benchmark.

Numbers in, numbers out: plain floats, no money. A year has 365 days. The definitions are those of empyrical and
quantstats; docs/tear-sheet.md has them. A ratio without a base is None.
"""

import math
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

import msgspec

SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS
YEAR_NS = 365 * DAY_NS
STEPS_NS = (DAY_NS, 3_600 * SECOND_NS, 60 * SECOND_NS)  # between two returns: the longest with enough of them
STEP_NAMES = dict(zip(STEPS_NS, ("day", "hour", "minute"), strict=True))
RETURNS_MIN = 20  # fewer returns make no ratio
ANNUAL_SPAN_NS = 30 * DAY_NS  # a shorter span is not annualised: a year of minutes like these would be an invention
DEVIATION_MIN = 1e-15  # smaller deviations are rounding errors of equal returns


class EquityPoint(NamedTuple):
    """A report of the P&L of all strategies and of the account's equity, in one currency."""

    time_ns: int
    total: Decimal  # P&L after fees and with funding
    equity: Decimal | None  # None: not known


class StepReturns(msgspec.Struct, frozen=True):
    """Returns of equal steps of time: the change of P&L in a step as a share of the equity before it."""

    step_ns: int = 0  # 0: there are no returns, `lack` says why
    first_ns: int = 0  # the beginning of the first step
    values: tuple[float, ...] = ()
    lack: str = ""

    @property
    def span_ns(self) -> int:
        """The time that the returns cover."""
        return self.step_ns * len(self.values)

    @property
    def times_ns(self) -> list[int]:
        """The ends of the steps, with the beginning of the first one before them."""
        return [self.first_ns + self.step_ns * step for step in range(len(self.values) + 1)] if self.step_ns else []

    @property
    def step_name(self) -> str:
        """The length of a step for people."""
        return STEP_NAMES.get(self.step_ns, f"{self.step_ns / SECOND_NS:g} s")


class ReturnFigures(msgspec.Struct, frozen=True):
    """The ratios of a series of returns. None: the reason is in `lacks`, under the name of the figure."""

    total_return: float | None = None
    drawdown_ratio: float | None = None  # the largest fall of the compounded returns, 0 or above
    sharpe_step: float | None = None  # of one step, not annualised
    sharpe_step_error: float | None = None  # its standard error
    skewness: float | None = None
    kurtosis: float | None = None  # 3 for a normal distribution
    annual_return: float | None = None
    volatility: float | None = None  # annualised
    sharpe: float | None = None  # annualised, as the next two
    sortino: float | None = None
    calmar: float | None = None
    lacks: dict[str, str] = {}


class BenchmarkFigures(msgspec.Struct, frozen=True):
    """A session's returns beside those of holding an instrument over the same steps."""

    instrument: str
    total_return: float
    excess_return: float | None  # the session's total return less the benchmark's
    beta: float | None
    correlation: float | None
    alpha: float | None  # annualised
    lacks: dict[str, str] = {}


ANNUAL = ("annual_return", "volatility", "sharpe", "sortino", "calmar")


def step_returns(points: Sequence[EquityPoint]) -> StepReturns:
    """Return the returns of the longest step (day, hour, minute) that has enough of them."""
    if len(points) < 2:
        return StepReturns(lack="no P&L was reported")
    if any(not point.equity or point.equity <= 0 for point in points):
        return StepReturns(lack="the equity is not known, or not above 0, at each report")
    for step_ns in STEPS_NS:
        sampled = sample_points(points, range(points[0].time_ns, points[-1].time_ns + 1, step_ns))
        if len(sampled) > RETURNS_MIN:
            values = tuple(
                float((later.total - sooner.total) / (sooner.equity or 1)) for sooner, later in pairwise(sampled)
            )
            return StepReturns(step_ns, points[0].time_ns, values)
    return StepReturns(lack=f"fewer than {RETURNS_MIN} minutes between the first report of P&L and the last")


def sample_points(points: Sequence[EquityPoint], times_ns: Sequence[int]) -> list[EquityPoint]:
    """Return the last point at or before each time. No time is before the first point."""
    sampled, place = [], 0
    for time_ns in times_ns:
        while place + 1 < len(points) and points[place + 1].time_ns <= time_ns:
            place += 1
        sampled.append(points[place])
    return sampled


def return_figures(returns: StepReturns) -> ReturnFigures:
    """Return the ratios of a series, each that has a base."""
    values = returns.values
    if not values:
        names = (name for name in ReturnFigures.__struct_fields__ if name != "lacks")
        return ReturnFigures(lacks=dict.fromkeys(names, returns.lack or "there are no returns"))
    per_step = sharpe_ratio(values)
    found: dict[str, float | None] = {
        "total_return": compounded(values),
        "drawdown_ratio": worst_drawdown(values),
        "sharpe_step": per_step,
        "sharpe_step_error": None if per_step is None else sharpe_error(values),
        "skewness": skewness(values),
        "kurtosis": kurtosis(values),
    }
    lacks = {name: "the returns do not vary" for name, value in found.items() if value is None}
    if returns.span_ns < ANNUAL_SPAN_NS:
        days = ANNUAL_SPAN_NS // DAY_NS
        lacks |= dict.fromkeys(ANNUAL, f"needs {days} days; these returns cover {returns.span_ns / DAY_NS:.2g}")
        return ReturnFigures(**found, lacks=lacks)
    steps = YEAR_NS / returns.step_ns
    annual = {
        "annual_return": annual_return(values, steps),
        "volatility": deviation(values) * math.sqrt(steps),
        "sharpe": sharpe_ratio(values, steps),
        "sortino": sortino_ratio(values, steps),
        "calmar": calmar_ratio(values, steps),
    }
    why = {"sharpe": "the returns do not vary", "sortino": "no return is below 0", "calmar": "there is no drawdown"}
    lacks |= {name: why.get(name, "everything was lost") for name, value in annual.items() if value is None}
    return ReturnFigures(**found, **annual, lacks=lacks)


def compare_returns(returns: StepReturns, instrument: str, prices: Sequence[float]) -> BenchmarkFigures | None:
    """Return the comparison with holding an instrument. None without returns.

    Args:
        returns: The session's returns.
        instrument: The instrument to hold.
        prices: Its price at each of `returns.times_ns`.
    """
    if not returns.values or len(prices) != len(returns.values) + 1 or min(prices) <= 0:
        return None
    held = [later / sooner - 1 for sooner, later in pairwise(prices)]
    own = returns.values
    lacks: dict[str, str] = {}
    total = compounded(held)
    slope, alike = beta(own, held), correlation(own, held)
    lacks |= {"beta": "the benchmark does not vary"} if slope is None else {}
    lacks |= {"correlation": "one of the two does not vary"} if alike is None else {}
    alpha = None
    if slope is not None and returns.span_ns >= ANNUAL_SPAN_NS:
        alpha = annual_alpha(own, held, slope, YEAR_NS / returns.step_ns)
    if alpha is None:
        lacks["alpha"] = f"needs {ANNUAL_SPAN_NS // DAY_NS} days and a benchmark that varies"
    return BenchmarkFigures(instrument, total, compounded(own) - total, slope, alike, alpha, lacks)


# ---- single figures


def mean(values: Sequence[float]) -> float:
    """Return the mean of at least one value."""
    return math.fsum(values) / len(values)


def deviation(values: Sequence[float]) -> float:
    """Return the sample standard deviation; 0 for fewer than two values, or if they differ by rounding only."""
    if len(values) < 2:
        return 0.0
    middle = mean(values)
    found = math.sqrt(math.fsum((value - middle) ** 2 for value in values) / (len(values) - 1))
    return found if found > DEVIATION_MIN else 0.0


def downside(values: Sequence[float]) -> float:
    """Return the root of the mean of the squared negative values, with the others as 0."""
    return math.sqrt(math.fsum(min(value, 0.0) ** 2 for value in values) / len(values)) if values else 0.0


def compounded(values: Sequence[float]) -> float:
    """Return the return of the whole span."""
    return math.prod(1 + value for value in values) - 1


def worst_drawdown(values: Sequence[float]) -> float:
    """Return the largest fall of the compounded returns from their highest value before, as a share of it."""
    worth = peak = 1.0
    worst = 0.0
    for value in values:
        worth *= 1 + value
        peak = max(peak, worth)
        worst = max(worst, 1 - worth / peak)
    return worst


def sharpe_ratio(values: Sequence[float], steps_per_year: float = 1) -> float | None:
    """Return mean / deviation, annualised by the root of the steps. None if the values do not vary."""
    spread = deviation(values)
    return mean(values) / spread * math.sqrt(steps_per_year) if spread else None


def sharpe_error(values: Sequence[float]) -> float | None:
    """Return the standard error of the ratio of one step, with skewness and kurtosis (Mertens 2002)."""
    ratio, skew, tails = sharpe_ratio(values), skewness(values), kurtosis(values)
    if ratio is None or skew is None or tails is None or len(values) < 2:
        return None
    return math.sqrt(max(0.0, 1 - skew * ratio + (tails - 1) / 4 * ratio**2) / (len(values) - 1))


def sortino_ratio(values: Sequence[float], steps_per_year: float = 1) -> float | None:
    """Return mean / downside deviation, annualised. None if nothing fell."""
    spread = downside(values)
    return mean(values) / spread * math.sqrt(steps_per_year) if spread else None


def annual_return(values: Sequence[float], steps_per_year: float) -> float | None:
    """Return the compounded return of a year. None if everything was lost."""
    worth = 1 + compounded(values)
    return math.pow(worth, steps_per_year / len(values)) - 1 if values and worth > 0 else None


def calmar_ratio(values: Sequence[float], steps_per_year: float) -> float | None:
    """Return the annual return / the largest drawdown. None without a drawdown."""
    worst, gained = worst_drawdown(values), annual_return(values, steps_per_year)
    return gained / worst if worst and gained is not None else None


def skewness(values: Sequence[float]) -> float | None:
    """Return the third standardised moment. None if the values do not vary."""
    return _standardised(values, 3)


def kurtosis(values: Sequence[float]) -> float | None:
    """Return the fourth standardised moment, 3 for a normal distribution. None if the values do not vary."""
    return _standardised(values, 4)


def _standardised(values: Sequence[float], power: int) -> float | None:
    if not deviation(values):
        return None
    middle = mean(values)
    variance = math.fsum((value - middle) ** 2 for value in values) / len(values)
    return math.fsum((value - middle) ** power for value in values) / len(values) / math.pow(variance, power / 2)


def beta(values: Sequence[float], benchmark: Sequence[float]) -> float | None:
    """Return the covariance with the benchmark / the benchmark's variance. None if it does not vary."""
    spread = deviation(benchmark)
    return _covariance(values, benchmark) / spread**2 if spread else None


def correlation(values: Sequence[float], benchmark: Sequence[float]) -> float | None:
    """Return the correlation of two series. None if one does not vary."""
    spread = deviation(values) * deviation(benchmark)
    return _covariance(values, benchmark) / spread if spread else None


def annual_alpha(values: Sequence[float], benchmark: Sequence[float], slope: float, steps_per_year: float) -> float:
    """Return the mean return that beta does not explain, compounded over a year."""
    unexplained = mean([own - slope * held for own, held in zip(values, benchmark, strict=True)])
    return math.pow(1 + unexplained, steps_per_year) - 1


def _covariance(values: Sequence[float], others: Sequence[float]) -> float:
    first, second = mean(values), mean(others)
    products = math.fsum((one - first) * (two - second) for one, two in zip(values, others, strict=True))
    return products / (len(values) - 1)


def rolling(values: Sequence[float], window: int) -> list[tuple[int, float | None, float]]:
    """Return, at each step from `window` on: its number, the ratio of one step, and the deviation in the window."""
    return [
        (end, sharpe_ratio(values[end - window : end]), deviation(values[end - window : end]))
        for end in range(window, len(values) + 1)
    ]
