"""Fills on bars and on quotes beside NautilusTrader's, as benchmarks/fills_beside_nautilus.py recorded them."""

from pathlib import Path

import pytest
from nautilus_fills import our_fills, read_cases

PAGE = Path(__file__).resolve().parent.parent / "docs" / "fidelity.md"
CASES = read_cases()


@pytest.mark.parametrize("name", CASES)
def test_a_fill_equals_nautilus_traders_or_differs_for_its_reason(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    fills = our_fills(case, tmp_path)
    assert fills == case.get("ours", case["nautilus"])
    assert (fills != case["nautilus"]) == ("why" in case), "each difference has its reason, and nothing else has one"


def test_every_difference_is_explained_on_the_page() -> None:
    text = PAGE.read_text("utf-8")
    for name, case in CASES.items():
        if "why" in case:
            assert f"| {name} |" in text
