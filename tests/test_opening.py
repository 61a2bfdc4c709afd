"""What a session takes over from the one before, and what it refuses to begin without."""

from pathlib import Path

import pytest
from calm_venue import CalmVenue

from engine.live.previous_session import PreviousJournal, check_unsettled_listed
from engine.live.session_config import StartError
from engine.session_record import PreviousSession
from engine.state.session_state import carry_over
from verbatim.strategy_files import read_strategy
from verbatim.testing import VirtualSession

ONCE = f"{Path(__file__).parent}/strategies/once.py:Once"


def test_an_open_order_keeps_its_instrument_in_the_configuration(tmp_path: Path) -> None:
    """Without its instrument the order could not be queried, and its fill could not be booked."""
    strategy = read_strategy(ONCE, parameters={"below": "100"})
    session = VirtualSession(CalmVenue(), tmp_path / "journal", strategies=[strategy]).run(5)
    session.kill()
    before = PreviousJournal(
        previous=PreviousSession("aaaaaaaa", session.state.seq, ""), opening=carry_over(session.state)
    )
    check_unsettled_listed(before, ("binance_spot:BTCUSDT", "binance_spot:ETHUSDT"))
    with pytest.raises(
        StartError, match=r"order aaaaaaaa-once-.* on BTCUSDT was not settled when session aaaaaaaa ended"
    ):
        check_unsettled_listed(before, ("binance_spot:ETHUSDT",))
