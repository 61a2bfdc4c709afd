"""Tiers of tests: the quick one is `pytest -m "not slow"`, and CI runs all.

A test of more than a third of a second of CPU time is slow, and so is a case that repeats another one (`first_is_quick`). The
quick tier draws fewer examples (`examples`).
"""

from collections.abc import Iterable
from typing import Any

import pytest


class Tier:
    """The tier of this run."""

    is_quick = False


def examples(number: int) -> int:
    """Return how many examples Hypothesis draws: all, or a fifth of them in the quick tier."""
    return max(10, number // 5) if Tier.is_quick else number


def first_is_quick(cases: Iterable[Any], quick: int = 1) -> list[Any]:
    """Return cases for `pytest.mark.parametrize`, all of them slow except the first ones."""
    marked = []
    for place, case in enumerate(cases):
        if place < quick:
            marked.append(case)
        elif hasattr(case, "marks"):  # a pytest.param
            marked.append(pytest.param(*case.values, marks=(*case.marks, pytest.mark.slow), id=case.id))
        elif type(case) is tuple:  # a named one is a single value
            marked.append(pytest.param(*case, marks=pytest.mark.slow))
        else:
            marked.append(pytest.param(case, marks=pytest.mark.slow))
    return marked
