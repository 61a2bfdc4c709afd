"""Tiers of tests: the quick one is `pytest -m "not slow"`, and CI runs all."""

from collections.abc import Iterable
from typing import Any

import pytest


def first_is_quick(cases: Iterable[Any], quick: int = 1) -> list[Any]:
    """Return cases for `pytest.mark.parametrize`, all of them slow except the first ones."""
    marked = []
    for place, case in enumerate(cases):
        if place < quick:
            marked.append(case)
        elif hasattr(case, "marks"):
            marked.append(pytest.param(*case.values, marks=(*case.marks, pytest.mark.slow), id=case.id))
        elif isinstance(case, tuple):
            marked.append(pytest.param(*case, marks=pytest.mark.slow))
        else:
            marked.append(pytest.param(case, marks=pytest.mark.slow))
    return marked
