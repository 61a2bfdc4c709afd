"""Guards against overfitting by their papers' numbers, by brute force, and on data whose answer is known."""

import math
import statistics
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest

from replay.study.overfitting import (
    Matrix,
    deflated_sharpe,
    expected_max_sharpe,
    overfitting_probability,
    probabilistic_sharpe,
)
from replay.study.return_figures import sharpe_ratio
from replay.study.walk_forward import WalkForward, WindowKind, choose_variants, walk_forward


def walked(returns: Matrix, *, kind: WindowKind, folds: int, edges: Sequence[int] = ()) -> WalkForward:
    """Return a walk whose tests are the parts of the same runs."""
    choices = choose_variants(returns, kind=kind, folds=folds, edges=edges)
    tests = [returns[each.test[0] : each.test[1], each.variant].tolist() for each in choices]
    return walk_forward(choices, tests, kind=kind, lack="too few steps")


def test_the_numbers_of_the_paper_of_the_deflated_sharpe_ratio() -> None:
    """Bailey and Lopez de Prado (2014), the numerical example: 100 trials, five years of days, SR 2.5 a year."""
    chance = expected_max_sharpe(math.sqrt(0.5 / 250), 100)
    assert chance == pytest.approx(0.1132, abs=5e-5)
    found = probabilistic_sharpe(2.5 / math.sqrt(250), chance, 1250, -3, 10)
    assert found == pytest.approx(0.9004, abs=5e-5)
    assert probabilistic_sharpe(1.0, 0.0, 1, 0, 3) is None
    assert probabilistic_sharpe(5.0, 0.0, 100, 10, 3) is None, "the variance of the estimate would be negative"


def test_more_trials_deflate_the_same_winner() -> None:
    draws = np.random.default_rng(1)
    winner = draws.normal(0.15, 1, 400).tolist()
    few = deflated_sharpe(winner, [0.15, 0.0])
    many = deflated_sharpe(winner, draws.normal(0, 0.05, 1000).tolist())
    assert few.sharpe == many.sharpe == sharpe_ratio(winner)
    assert few.deflated is not None
    assert many.deflated is not None
    assert few.probabilistic == many.probabilistic
    assert many.deflated < few.deflated
    alone = deflated_sharpe(winner, [0.15])
    assert alone.deflated == alone.probabilistic
    assert "needs 20 returns" in deflated_sharpe([0.0] * 40, [0.1]).lack
    assert "these are 3" in deflated_sharpe([0.1, 0.2, 0.3], [0.1]).lack


def test_the_probability_of_overfitting_equals_a_plain_count() -> None:
    returns = np.random.default_rng(7).normal(0, 1, (48, 9))
    returns[:, 4] += 0.2
    found = overfitting_probability(returns, blocks=6)
    blocks, below, logits = np.split(returns, 6), 0, []
    for half in combinations(range(6), 3):
        inside = np.concatenate([blocks[place] for place in half])
        outside = np.concatenate([blocks[place] for place in range(6) if place not in half])
        scores = [[sharpe_ratio(part[:, column].tolist()) or 0.0 for column in range(9)] for part in (inside, outside)]
        best = scores[0].index(max(scores[0]))
        rank = sorted(scores[1]).index(scores[1][best]) + 1
        logits.append(math.log((rank / 10) / (1 - rank / 10)))
        below += rank <= 5
    assert (found.blocks, found.splits) == (6, 20)
    assert found.probability == below / 20
    assert list(found.logits) == pytest.approx(logits, abs=1e-6)


def test_noise_is_a_coin_and_skill_is_not() -> None:
    draws = np.random.default_rng(3)
    noise = [overfitting_probability(draws.normal(0, 1, (160, 20)), blocks=8).probability for _ in range(12)]
    assert statistics.mean(value for value in noise if value is not None) == pytest.approx(0.5, abs=0.12)
    skilled = draws.normal(0, 1, (160, 20))
    skilled[:, 3] += 1
    found = overfitting_probability(skilled, blocks=8)
    assert (found.probability, found.loss_probability) == (0, 0)
    same = overfitting_probability(np.zeros((64, 5)))
    assert (same.probability, same.slope) == (1.0, None), "variants that never differ rank at the median"


def test_too_little_data_is_said() -> None:
    assert "needs 2 variants" in overfitting_probability(np.zeros((64, 1))).lack
    assert "these are 5 and 12" in overfitting_probability(np.zeros((12, 5))).lack
    assert overfitting_probability(np.zeros((17, 5))).blocks == 4


def test_a_walk_chooses_on_the_past_and_tests_on_the_next_part() -> None:
    """Variant 0 is best in the first two thirds, 1 in the last: an anchored walk notices later than a rolling one."""
    rising, falling = [0.02, 0.01] * 6, [-0.02, -0.01] * 6
    returns = np.array([rising + rising + falling + falling, falling + falling + rising + rising]).T
    rolling = walked(returns, kind=WindowKind.ROLLING, folds=3)
    assert [window.train for window in rolling.windows] == [(0, 12), (12, 24), (24, 36)]
    assert [window.test for window in rolling.windows] == [(12, 24), (24, 36), (36, 48)]
    assert [window.variant for window in rolling.windows] == [0, 0, 1]
    anchored = walked(returns, kind=WindowKind.ANCHORED, folds=3)
    assert [window.train for window in anchored.windows] == [(0, 12), (0, 24), (0, 36)]
    assert [window.variant for window in anchored.windows] == [0, 0, 0]
    assert list(rolling.returns) == [*rising, *falling, *rising]
    assert rolling.total_return == pytest.approx(math.prod(1 + value for value in rolling.returns) - 1)
    assert rolling.efficiency is not None


def test_parts_end_where_sessions_do_if_there_are_enough() -> None:
    returns = np.random.default_rng(1).normal(0, 1, (100, 3))
    found = walked(returns, kind=WindowKind.ROLLING, folds=2, edges=[30, 60, 100])
    assert [window.test for window in found.windows] == [(30, 60), (60, 100)]
    within = walked(returns, kind=WindowKind.ROLLING, folds=4, edges=[50, 100])
    assert [window.test[0] for window in within.windows] == [20, 40, 60, 80]
    assert "too few" in walked(returns[:6], kind=WindowKind.ROLLING, folds=4).lack
    flat = walked(np.zeros((40, 2)), kind=WindowKind.ANCHORED, folds=2)
    assert [window.test_score for window in flat.windows] == [None, None]
