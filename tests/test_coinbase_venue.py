"""Coinbase as a venue: the contract, its signatures, and the recorded messages of others."""

from pathlib import Path

from engine.venues.coinbase import Coinbase
from verbatim.testing import check_venue

VECTORS = Path(__file__).parent / "vectors" / "coinbase"


def test_it_keeps_the_contract_of_a_venue() -> None:
    checked = check_venue(Coinbase, VECTORS)
    assert "account_signatures_are_repeatable" in checked
    assert "account_fill_cursors_are_ordered" in checked
