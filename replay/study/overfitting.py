"""Guards against overfitting: the deflated Sharpe ratio, and the probability of backtest overfitting by CSCV.

Sources: Bailey and Lopez de Prado, "The Deflated Sharpe Ratio" (2014); Bailey, Borwein, Lopez de Prado and Zhu, "The
Probability of Backtest Overfitting" (2015). All ratios are of one step, not annualised. Floats, no money.
"""

import math
from collections.abc import Sequence
from itertools import combinations
from statistics import NormalDist

import msgspec
import numpy as np
from numpy.typing import NDArray

from replay.study.return_figures import kurtosis, sharpe_ratio, skewness

EULER = 0.5772156649015329  # Euler-Mascheroni
BLOCKS_MAX = 16  # 12,870 ways to halve them
ROWS_PER_BLOCK_MIN = 4
RETURNS_MIN = 20
_NORMAL = NormalDist()

Matrix = NDArray[np.float64]  # rows: steps in time; columns: variants


class DeflatedSharpe(msgspec.Struct, frozen=True):
    """The Sharpe ratio of the winner, against what the best of so many variants without skill would reach."""

    sharpe: float | None  # of one step
    trials: int
    expected_max: float | None  # the best ratio that so many trials reach by chance
    deflated: float | None  # probability that the true ratio is above 0, given the trials; 0.95 and more is a finding
    probabilistic: float | None  # the same as if there had been one trial
    lack: str = ""


class OverfittingProbability(msgspec.Struct, frozen=True):
    """How often the variant that was best in one half of the data was below the median in the other half."""

    probability: float | None
    blocks: int
    splits: int
    loss_probability: float | None  # share of splits in which the chosen variant lost in the other half
    slope: float | None  # of the ratio in the other half on that in the first, over the chosen variants
    logits: tuple[float, ...] = ()  # a histogram of them is on the page
    lack: str = ""


def expected_max_sharpe(deviation: float, trials: int) -> float:
    """Return the expected largest ratio of independent trials whose true ratio is 0.

    Args:
        deviation: The standard deviation of the trials' ratios.
        trials: How many; at least 2.
    """
    first = _NORMAL.inv_cdf(1 - 1 / trials)
    second = _NORMAL.inv_cdf(1 - 1 / (trials * math.e))
    return deviation * ((1 - EULER) * first + EULER * second)


def probabilistic_sharpe(sharpe: float, benchmark: float, returns: int, skew: float, tails: float) -> float | None:
    """Return the probability that the true ratio of one step is above `benchmark`.

    Args:
        sharpe: The ratio that was observed.
        benchmark: What it must exceed.
        returns: How many returns.
        skew: Their skewness.
        tails: Their kurtosis; 3 for a normal distribution.
    """
    spread = 1 - skew * sharpe + (tails - 1) / 4 * sharpe**2
    if spread <= 0 or returns < 2:
        return None
    return _NORMAL.cdf((sharpe - benchmark) * math.sqrt(returns - 1) / math.sqrt(spread))


def deflated_sharpe(winner: Sequence[float], sharpes: Sequence[float]) -> DeflatedSharpe:
    """Return the deflated ratio of the winner.

    Args:
        winner: Its returns.
        sharpes: The ratios of all variants that were tried, the winner's included.
    """
    ratio, skew, tails = sharpe_ratio(winner), skewness(winner), kurtosis(winner)
    if ratio is None or skew is None or tails is None or len(winner) < RETURNS_MIN:
        lack = f"needs {RETURNS_MIN} returns that vary, and these are {len(winner)}"
        return DeflatedSharpe(None, len(sharpes), None, None, None, lack)
    alone = probabilistic_sharpe(ratio, 0.0, len(winner), skew, tails)
    if len(sharpes) < 2:
        return DeflatedSharpe(ratio, len(sharpes), 0.0, alone, alone)
    expected = expected_max_sharpe(float(np.std(np.array(sharpes), ddof=1)), len(sharpes))
    return DeflatedSharpe(
        ratio, len(sharpes), expected, probabilistic_sharpe(ratio, expected, len(winner), skew, tails), alone
    )


def overfitting_probability(returns: Matrix, blocks: int = BLOCKS_MAX) -> OverfittingProbability:
    """Return the probability of backtest overfitting, by combinatorially symmetric cross-validation.

    The steps are cut into an even number of blocks. Each half of the blocks in turn chooses the variant with the best
    ratio, whose rank among all variants is then taken in the other half.

    Args:
        returns: One column a variant, one row a step.
        blocks: At most so many blocks; fewer if the series is short.
    """
    steps, variants = returns.shape
    blocks = min(blocks, BLOCKS_MAX, steps // ROWS_PER_BLOCK_MIN)
    blocks -= blocks % 2
    if variants < 2 or blocks < 4:
        lack = f"needs 2 variants and {4 * ROWS_PER_BLOCK_MIN} steps, and these are {variants} and {steps}"
        return OverfittingProbability(None, 0, 0, None, None, lack=lack)
    length = steps // blocks
    parts = returns[: length * blocks].reshape(blocks, length, variants)
    sums, squares = parts.sum(axis=1), (parts**2).sum(axis=1)
    chosen = np.zeros((math.comb(blocks, blocks // 2), blocks))
    for place, half in enumerate(combinations(range(blocks), blocks // 2)):
        chosen[place, list(half)] = 1
    count = length * blocks // 2
    inside = _ratios(chosen @ sums, chosen @ squares, count)
    outside = _ratios((1 - chosen) @ sums, (1 - chosen) @ squares, count)
    best = np.argmax(inside, axis=1)
    rows = np.arange(len(best))
    reached = outside[rows, best]
    # ties share the middle rank, so variants that never differ rank at the median
    below = (outside < reached[:, None]).sum(axis=1)
    equal = (outside == reached[:, None]).sum(axis=1)
    rank = (below + (equal + 1) / 2) / (variants + 1)
    logits = np.log(rank / (1 - rank))
    return OverfittingProbability(
        probability=float(np.mean(logits <= 0)),
        blocks=blocks,
        splits=len(best),
        loss_probability=float(np.mean(reached < 0)),
        slope=_slope(inside[rows, best], reached),
        logits=tuple(round(float(value), 6) for value in logits),
    )


def _ratios(sums: Matrix, squares: Matrix, count: int) -> Matrix:
    """Return mean / sample deviation of `count` returns; 0 for a variant that does not vary."""
    mean = sums / count
    variance = np.maximum(squares - count * mean**2, 0.0) / (count - 1)
    deviation = np.sqrt(variance)
    varies = deviation > 1e-12
    found: Matrix = np.where(varies, mean / np.where(varies, deviation, 1.0), 0.0)
    return found


def _slope(inside: Matrix, outside: Matrix) -> float | None:
    spread = float(np.var(inside))
    return float(np.mean((inside - inside.mean()) * (outside - outside.mean())) / spread) if spread > 1e-18 else None
