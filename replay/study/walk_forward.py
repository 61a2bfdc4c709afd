"""Walk-forward: choose the best variant on past steps, measure it on the next ones, and move on.

Every variant has run over all the data already, so a window only selects: nothing runs again. A variant's positions at
the edge of a window are those of its whole run.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum

import msgspec
import numpy as np

from replay.study.overfitting import Matrix
from replay.study.return_figures import compounded, sharpe_ratio

FOLDS_MIN = 2


class WindowKind(StrEnum):
    """How the data that choose the variant grow."""

    ANCHORED = "anchored"  # all steps before the test
    ROLLING = "rolling"  # the one part before the test


class WalkWindow(msgspec.Struct, frozen=True):
    """One choice and its test. Rows are steps: the first one, and one past the last."""

    train: tuple[int, int]
    test: tuple[int, int]
    variant: int
    train_score: float
    test_score: float | None  # None: it is not defined, as a ratio of returns that do not vary
    test_return: float


class WalkForward(msgspec.Struct, frozen=True):
    """The windows, and the tests put together."""

    kind: WindowKind
    windows: tuple[WalkWindow, ...] = ()
    returns: tuple[float, ...] = ()  # of the tests, one after the other
    sharpe: float | None = None  # of one step, over all tests
    total_return: float | None = None
    efficiency: float | None = None  # mean score in the tests / mean score in the training
    lack: str = ""


Score = Callable[[Sequence[float]], float | None]


def walk_forward(
    returns: Matrix, *, kind: WindowKind, folds: int, score: Score = sharpe_ratio, edges: Sequence[int] = ()
) -> WalkForward:
    """Return the windows of a walk through the steps.

    Args:
        returns: One column a variant, one row a step.
        kind: How the training data grow.
        folds: The number of tests. The steps are cut into one part more.
        score: Chooses the variant.
        edges: Rows at which a part may end, as those between sessions. Default: any.
    """
    steps, variants = returns.shape
    cuts = _cuts(steps, folds + 1, edges)
    if folds < FOLDS_MIN or not variants or len(cuts) < folds + 2 or min(np.diff(cuts)) < 2:
        return WalkForward(kind, lack=f"needs {folds + 1} parts of at least 2 steps, and there are {steps} steps")
    windows, tested = [], []
    for fold in range(1, folds + 1):
        begin = cuts[0] if kind is WindowKind.ANCHORED else cuts[fold - 1]
        train, test = (begin, cuts[fold]), (cuts[fold], cuts[fold + 1])
        scores = [score(returns[begin : cuts[fold], column].tolist()) for column in range(variants)]
        best = max(range(variants), key=lambda column: _number(scores[column]))
        values = returns[test[0] : test[1], best].tolist()
        tested += values
        windows.append(WalkWindow(train, test, best, _number(scores[best], 0.0), score(values), compounded(values)))
    trained = float(np.mean([window.train_score for window in windows]))
    reached = float(np.mean([window.test_score or 0.0 for window in windows]))
    return WalkForward(
        kind,
        tuple(windows),
        tuple(tested),
        sharpe_ratio(tested),
        compounded(tested),
        reached / trained if trained > 0 else None,
    )


def _number(score: float | None, missing: float = float("-inf")) -> float:
    return missing if score is None else score


def _cuts(steps: int, parts: int, edges: Sequence[int]) -> list[int]:
    """Return the edges of equal parts, moved to the nearest allowed ones."""
    wanted = [round(steps * part / parts) for part in range(parts + 1)]
    allowed = sorted({0, steps, *edges})
    if len(allowed) <= parts:  # fewer sessions than parts: a part may end within a session
        return wanted
    return sorted({min(allowed, key=lambda edge: abs(edge - place)) for place in wanted})
