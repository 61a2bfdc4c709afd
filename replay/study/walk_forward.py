"""Walk-forward: choose the best variant on past steps, judge it on the next ones, and move on.

Every variant has run over all the data, and its returns up to a step depend on nothing after it, so the choice needs no
other run. The test runs alone: flat at its beginning, with warm indicators. The caller runs it
(verbatim/sweep_run.py).
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


class WalkChoice(msgspec.Struct, frozen=True):
    """The variant that the training chose. Rows are steps: the first one, and one past the last."""

    train: tuple[int, int]
    test: tuple[int, int]
    variant: int  # its column
    train_score: float


class WalkWindow(msgspec.Struct, frozen=True):
    """One choice and its test. Rows are steps: the first one, and one past the last."""

    train: tuple[int, int]
    test: tuple[int, int]
    variant: int  # its column
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
    chosen_by: str = "sharpe"  # the figure that chose
    own_runs: int = 0  # tests within a session: backtests that begin flat there


Score = Callable[[Sequence[float]], float | None]


def choose_variants(
    returns: Matrix, *, kind: WindowKind, folds: int, score: Score = sharpe_ratio, edges: Sequence[int] = ()
) -> tuple[WalkChoice, ...]:
    """Return the choice of each window of a walk through the steps; none if there are too few steps.

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
        return ()
    choices = []
    for fold in range(1, folds + 1):
        begin = cuts[0] if kind is WindowKind.ANCHORED else cuts[fold - 1]
        scores = [score(returns[begin : cuts[fold], column].tolist()) for column in range(variants)]
        best = max(range(variants), key=lambda column: _number(scores[column]))
        choices.append(WalkChoice((begin, cuts[fold]), (cuts[fold], cuts[fold + 1]), best, _number(scores[best], 0.0)))
    return tuple(choices)


def walk_forward(
    choices: Sequence[WalkChoice],
    tests: Sequence[Sequence[float]],
    *,
    kind: WindowKind,
    score: Score = sharpe_ratio,
    lack: str = "",
) -> WalkForward:
    """Return the windows with their tests, and the tests put together.

    Args:
        choices: The windows.
        tests: The returns of each choice in its test.
        kind: How the training data grew.
        score: That of the choice.
        lack: Why there are no windows.
    """
    if not choices:
        return WalkForward(kind, lack=lack)
    windows = tuple(
        WalkWindow(each.train, each.test, each.variant, each.train_score, score(values), compounded(values))
        for each, values in zip(choices, tests, strict=True)
    )
    tested = tuple(value for values in tests for value in values)
    trained = float(np.mean([window.train_score for window in windows]))
    reached = float(np.mean([window.test_score or 0.0 for window in windows]))
    return WalkForward(
        kind, windows, tested, sharpe_ratio(tested), compounded(tested), reached / trained if trained > 0 else None
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
