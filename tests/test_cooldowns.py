"""Cool-downs are recorded, replayed and continued by the next session. Their edges: tests/risk_limit_cases.py."""

from pathlib import Path

from risk_desk import Desk
from risk_limit_cases import COOL, SOLD

from engine.state.session_state import carry_over, restore_opening


def test_a_cool_down_is_a_fact_and_outlives_a_restart(tmp_path: Path) -> None:
    desk = Desk([*SOLD.format("89").split(" | "), "BUY LIMIT 1 @ 90"], risk=COOL).play()
    [began] = desk.hand.facts("cooldown_began")
    assert (began["strategy"], began["cause"], began["reason"]) == ("desk", "loss", "a loss of 1")
    assert not desk.verdicts()[-1]["approved"]
    carried = restore_opening(carry_over(desk.hand.state)).cooldowns
    assert carried == desk.hand.state.account.cooldowns
    assert carried.reason("desk", "binance_spot:BTCUSDT", began["until_ns"] - 1) == "a loss of 1"
    assert carried.reason("desk", "binance_spot:BTCUSDT", began["until_ns"]) == ""
    desk.hand.prove(tmp_path / "a")


def test_sessions_without_cool_downs_record_nothing_about_them() -> None:
    desk = Desk([*SOLD.format("89").split(" | "), "BUY LIMIT 1 @ 90"]).play()
    assert "cooldown" not in "".join(record.body or "" for record in desk.hand.records).replace('"name":"cooldown"', "")
