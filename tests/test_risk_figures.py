"""A verdict shows what each limit compared: in its record, in SQL and in `why`. It is no longer than it was before."""

import json
from decimal import Decimal
from pathlib import Path

from calm_venue import CalmVenue
from msgspec.structs import replace
from risk_desk import Desk
from risk_limit_cases import scope

from analysis import sql_session
from engine.facts import NewOrder
from engine.model import OrderType, Side
from engine.record_codec import read_verdict, text_of
from engine.risk.context import RiskAnswer, RiskContext, RiskRule
from engine.risk.review import review
from engine.risk_settings import PriceReference
from engine.session_record import RiskSettings
from engine.strategy.rule_loading import load_rules, recorded_rules
from journal.record import Kind
from journal.verify import verify
from replay.record_text import describe
from replay.replay import replay_session
from verbatim.testing import VirtualSession, strategy_settings

ONCE = Path(__file__).parent / "strategies" / "once.py"
LIMITS = RiskSettings(
    order_size_max=Decimal(5),
    order_notional_max=Decimal(1000),
    position_max=Decimal(3),
    strategy={"quoter": scope(net_base_max="2.5")},
)


def test_a_verdict_holds_used_limit_and_value_of_each_limit(tmp_path: Path) -> None:
    """SQL and `why` show the same figures as the record."""
    strategy = strategy_settings(ONCE, "Once", name="quoter", parameters={"below": "10"})
    session = VirtualSession(CalmVenue(), tmp_path / "a", strategies=[strategy], risk=LIMITS).run(30)
    session.stop()
    [record] = session.kinds(Kind.VERDICT)
    verdict = read_verdict(record.body or "")
    assert (verdict.approved, verdict.rules) == (True, {})
    assert verdict.figures["position_max"] == (0, 3, Decimal("0.01"))
    assert verdict.figures["strategy.net_base_max"] == (0, Decimal("2.5"), Decimal("0.01"))
    assert verdict.figures["open_orders_max"] == (0, 50, 1)
    assert "order_notional_max" in verdict.figures, "of two limits of a rule, the one that is used most"
    assert "order_size_max" not in verdict.figures
    assert "position_max 0.01 of 3 (0 without it)" in describe(record)
    connection = sql_session.connect([tmp_path / "a"])
    [(shown,)] = sql_session.query_rows(connection, "SELECT figures->'$.position_max' FROM verdicts")
    assert json.loads(shown) == ["0", "3", "0.01"]
    assert verify(tmp_path / "a").ok
    assert replay_session(tmp_path / "a").identical


def test_a_refusal_shows_the_figure_that_it_is_about() -> None:
    desk = Desk(["BUY LIMIT 1 @ 90", "BUY LIMIT 2.5 @ 90"], risk={"position_max": "3"}).play()
    verdict = desk.verdicts()[-1]
    assert verdict["rules"] == {"position": "position could reach 3.5, beyond position_max 3"}
    assert verdict["figures"]["position_max"] == ["1", "3", "3.5"]


def test_price_rules_know_the_venues_bounds_and_the_last_trade(tmp_path: Path) -> None:
    """The simulated venue states PERCENT_PRICE_BY_SIDE; the band compares with the last trade of its market."""
    strategy = strategy_settings(ONCE, "Once", name="quoter", parameters={"below": "100"})
    risk = replace(LIMITS, price_band_max=Decimal("0.001"), price_band_to=PriceReference.LAST)
    session = VirtualSession(CalmVenue(), tmp_path / "a", strategies=[strategy], risk=risk)
    btc = session.body.instruments[0]
    assert (btc.buy_price_low, btc.buy_price_high) == (Decimal("0.2"), 5)
    assert (btc.sell_price_low, btc.sell_price_high) == (Decimal("0.2"), 5)
    session.run(30)
    verdict = read_verdict(session.kinds(Kind.VERDICT)[-1].body or "")
    assert " differs from the last " in verdict.rules["price_band"]
    assert verdict.figures["price_band_max"][2] > Decimal("0.001")
    session.stop()
    assert replay_session(tmp_path / "a").identical


def test_an_approved_verdict_is_no_longer_than_one_that_names_every_rule() -> None:
    """With the limits of examples/live.toml. A limit that is not set is in no verdict and runs no rule."""
    desk = Desk(
        ["BUY LIMIT 1 @ 90"], risk={"order_size_max": "5", "order_notional_max": "1000", "position_max": "3"}
    ).play()
    context = desk.context(NewOrder("binance_spot:BTCUSDT", Side.BUY, OrderType.LIMIT, Decimal(1), Decimal(90)))
    new, _ = review(context, desk.hand.sequencer.kernel.session.risk_rules)
    old, _ = review(replace(context, limits=replace(context.limits, figures=False)), load_rules(recorded_rules([]), ()))
    assert (new.approved, old.approved) == (True, True)
    assert len(text_of(new)) <= len(text_of(old))
    assert not {name for name in desk.hand.sequencer.kernel.session.risk_rules if name.startswith("exposure_")}


def test_a_users_rule_may_answer_with_figures_and_a_wrong_answer_refuses() -> None:
    def with_figures(_context: RiskContext) -> RiskAnswer:
        return RiskAnswer("", "spread_max", (Decimal(0), Decimal(5), Decimal(2)))

    desk = Desk(["BUY LIMIT 1 @ 90"])
    context = desk.context(NewOrder("binance_spot:BTCUSDT", Side.BUY, OrderType.LIMIT, Decimal(1), Decimal(90)))
    verdict, approved = review(context, {"spread": RiskRule(with_figures).reject_reason})
    assert approved is not None
    assert verdict.figures == {"spread_max": (0, 5, 2)}
