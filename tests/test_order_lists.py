"""Native order lists in virtual time: both exits of a bracket rest at the venue as one list."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from beat_market import BeatMarket
from checked_sessions import check_books, notes
from msgspec.structs import replace
from test_plans import BTCUSDT, ended, holding, orders, planner, position, running
from test_resim import TEST_MODEL
from tiers import first_is_quick

from analysis import sql_session
from analysis.why import order_story
from engine.lifecycle import LIVE, Status
from engine.model import OrderType, Side
from engine.plan_terms import Oco, StopChoice
from engine.risk.exits import reducible
from engine.risk.open_quantity import open_quantity
from engine.session_record import SECOND_NS, RiskSettings, new_engine_settings, read_session
from engine.state.linked_orders import fillable_together
from engine.state.orders import Order
from journal.reader import Journal
from journal.record import INPUTS, Kind, canonical
from journal.verify import verify
from replay.rebuild import rebuild
from replay.replay import replay_session
from replay.resim.resimulate import ResimOptions, resimulate
from verbatim.testing import VirtualSession, VirtualVenue

D = Decimal
OCO = 'Oco("BTCUSDT", Side.SELL, D("0.01"), stop_price=D(59900), target_price=D(60100){})'
MARKET_BRACKET = 'Bracket("BTCUSDT", Side.BUY, D("0.01"), stop_price=D(59900), target_price=D(60100){})'
LIMIT_BRACKET = (
    'Bracket("BTCUSDT", Side.BUY, D("0.01"), entry_price=D(59990), stop_price=D(59900), target_price=D(60100){})'
)


class Desk:
    """A session with a market that the test steers."""

    def __init__(self, folder: Path, plan: str, *, more: str = "", **settings: Any) -> None:
        self.plan = plan
        self.market = BeatMarket()
        self.venue = VirtualVenue(market=self.market, balances=settings.pop("balances", {"USDT": "100000"}))
        make = holding if plan == OCO else planner
        self.strategies = [make(plan.format(more))]
        self.session = VirtualSession(self.venue, folder / "s", strategies=self.strategies, **settings)
        [self.instrument] = self.session.body.instruments

    def until(self, condition: Any, seconds: float = 30) -> None:
        self.session.run(seconds, until=condition)
        assert condition(self.session), [(order.client_order_id, order.status) for order in orders(self.session)]

    @property
    def exits(self) -> list[Order]:
        return [order for order in orders(self.session) if order.order.side is Side.SELL]

    @property
    def open_lists(self) -> list[Any]:
        return self.venue.by_hand("GET", "/api/v3/openOrderList")[1]

    def finish(self, *, kept: int = 0) -> None:
        """Stop in order, and check the journal and the books; so many orders stay at the venue."""
        assert self.venue.unstruck_faults() == []
        self.session.stop()
        live, account = self.session.state.account.orders.live, self.session.state.account
        assert len(live) == kept, live
        assert verify(self.session.folder).problems == []
        verdict = replay_session(self.session.folder)
        assert verdict.identical, verdict.text()
        check_books(self.session, all_fills=False)
        pairs = fillable_together(live.values(), live)
        for asset in ("BTC", "USDT"):
            locks = [
                order.order.terms.locks(order.order.side, order.leaves_quantity, self.instrument, market_price=None)
                for order in pairs
            ]
            assert account.balances.get(asset).locked == sum(
                lock.amount for lock in locks if lock and lock.asset == asset
            )

    def until_open(self) -> None:
        """Run until the exits rest at the venue; the market returns to 60000."""
        if self.plan == LIMIT_BRACKET:
            self.until(lambda s: len(orders(s)) == 3 and orders(s)[0].status is Status.OPEN)
            self.market.price = "59980"
        self.until(rest)
        self.market.price = "60000"
        self.session.run(2)


def rest(session: VirtualSession) -> bool:
    """Return True if both exits rest at the venue."""
    exits = [order for order in orders(session) if order.order.side is Side.SELL]
    is_entered = all(order.status not in LIVE for order in orders(session) if order.order.side is Side.BUY)
    return is_entered and len(exits) == 2 and {order.status for order in exits} == {Status.OPEN}


@pytest.mark.parametrize("plan", [OCO, MARKET_BRACKET, LIMIT_BRACKET], ids=["oco", "market bracket", "limit bracket"])
def test_both_exits_rest_at_the_venue_as_one_list(tmp_path: Path, plan: str) -> None:
    desk = Desk(tmp_path, plan)
    desk.until_open()
    stop, target = desk.exits
    assert (stop.order.type, stop.order.stop_price) == (OrderType.STOP, 59900)
    assert (target.order.type, target.order.price) == (OrderType.LIMIT_MAKER, 60100)
    assert {order.order.quantity for order in desk.exits} == {D("0.00999")}, "what the fees leave"
    [order_list] = desk.open_lists
    assert {each["clientOrderId"] for each in order_list["orders"]} >= {order.client_order_id for order in desk.exits}
    assert order_list["listClientOrderId"] == stop.list_id == target.list_id
    [request] = [json.loads(r.body or "") for r in desk.session.kinds(Kind.REQUEST) if '"place_list"' in (r.body or "")]
    assert request["client_order_id"] == stop.list_id
    verdicts = [record.key for record in desk.session.kinds(Kind.VERDICT)]
    assert verdicts.count(stop.list_id) == 1, "one verdict for the list"
    btc = desk.session.state.account.balances.get("BTC")
    assert (btc.free, btc.locked) == (0, D("0.00999")), "the pair is locked once"
    desk.finish(kept=2)


@pytest.mark.parametrize("plan", [OCO, MARKET_BRACKET, LIMIT_BRACKET], ids=["oco", "market bracket", "limit bracket"])
@pytest.mark.parametrize("price", ["59890", "60110"], ids=["stop", "target"])
def test_one_exit_ends_the_other_and_the_plan(tmp_path: Path, plan: str, price: str) -> None:
    desk = Desk(tmp_path, plan)
    desk.until_open()
    desk.market.price = price
    desk.until(lambda s: bool(ended(s)))
    stop, target = desk.exits
    filled, expired = (stop, target) if price == "59890" else (target, stop)
    assert (filled.status, expired.status) == (Status.FILLED, Status.EXPIRED)
    assert ended(desk.session)[0].reason == "closed"
    assert position(desk.session) < D("0.00001")
    assert not [order for order in orders(desk.session) if order.status in LIVE]
    assert desk.session.facts("order_amended") == [] or plan == LIMIT_BRACKET
    desk.finish()


@pytest.mark.slow
def test_the_rest_of_a_target_that_fills_in_part_is_protected_again(tmp_path: Path) -> None:
    """The venue ends the stop with the first fill of the target, so the rest would have none."""
    desk = Desk(tmp_path, OCO)
    desk.until(rest)
    desk.market.trade("60101", "0.004")
    desk.until(lambda s: len(orders(s)) == 5)
    desk.until(lambda s: [order.status for order in orders(s)[3:]] == [Status.OPEN, Status.OPEN])
    stop, target, again, target_again = desk.exits
    assert (stop.status, target.status, target.filled_quantity) == (Status.EXPIRED, Status.CANCELED, D("0.004"))
    assert {again.order.quantity, target_again.order.quantity} == {D("0.00599")}
    desk.market.price = "60110"
    desk.until(lambda s: bool(ended(s)))
    assert (position(desk.session), ended(desk.session)[0].filled) == (0, D("0.00999"))
    desk.finish()


# ---- faults --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("plan", [OCO, LIMIT_BRACKET], ids=["oco", "limit bracket"])
@pytest.mark.parametrize("action", ["cut_answer", "drop_request", "error_after", "events_before_answer"])
def test_a_list_whose_answer_is_lost_is_resolved_by_its_orders(tmp_path: Path, plan: str, action: str) -> None:
    desk = Desk(tmp_path, plan)
    path = "/api/v3/orderList/oco" if plan == OCO else "/api/v3/orderList/opoco"
    desk.venue.fault(action=action, method="POST", path=path)
    desk.session.run(60, until=lambda s: any(order.list_id for order in orders(s)))
    desk.session.run(40)
    unknown = desk.session.facts("order_unknown")
    assert len(unknown) == (0 if action == "events_before_answer" else 3 if plan == LIMIT_BRACKET else 2)
    if plan == OCO:
        assert len(desk.open_lists) == 1
        assert [order.status for order in desk.exits[-2:]] == [Status.OPEN, Status.OPEN]
        desk.finish(kept=2)
    else:
        assert len(desk.open_lists) == (action != "drop_request")
        assert bool(ended(desk.session)) == (action == "drop_request"), "an entry that never was placed ends the plan"
        desk.finish()


def test_a_list_that_the_venue_refuses_leaves_a_stop_and_the_engine_watches_the_target(tmp_path: Path) -> None:
    desk = Desk(tmp_path, OCO)
    desk.venue.fault(action="reject", method="POST", path="/api/v3/orderList/oco", status=400, code=-2010, msg="no")
    desk.until(lambda s: bool(orders(s)) and orders(s)[-1].status is Status.OPEN)
    stop, target, alone = desk.exits
    assert {stop.status, target.status} == {Status.REJECTED}
    assert (alone.order.type, alone.list_id, alone.status) == (OrderType.STOP, "", Status.OPEN)
    desk.market.price = "60110"
    desk.until(lambda s: bool(ended(s)))
    assert (desk.exits[-1].order.type, desk.exits[-1].filled_quantity) == (OrderType.LIMIT, D("0.00999"))
    desk.finish()


def test_a_person_who_cancels_an_exit_gets_the_list_placed_again(tmp_path: Path) -> None:
    desk = Desk(tmp_path, OCO)
    desk.until_open()
    status, _ = desk.venue.by_hand(
        "DELETE", "/api/v3/order", symbol="BTCUSDT", origClientOrderId=desk.exits[1].client_order_id
    )
    assert status == 200
    desk.until(lambda s: len(orders(s)) == 5 and rest_of(s))
    assert [order.status for order in desk.exits[:2]] == [Status.CANCELED, Status.CANCELED]
    desk.finish(kept=2)


def rest_of(session: VirtualSession) -> bool:
    return [order.status for order in orders(session)[-2:]] == [Status.OPEN, Status.OPEN]


def test_a_list_is_cancelled_by_one_request_and_the_lists_of_others_stay(tmp_path: Path) -> None:
    desk = Desk(tmp_path, OCO, balances={"USDT": "100000", "BTC": "1"})
    desk.until_open()
    status, _ = desk.venue.by_hand(
        "POST", "/api/v3/orderList/oco", symbol="BTCUSDT", side="SELL", quantity="0.5", aboveType="LIMIT_MAKER",
        abovePrice="61000", belowType="STOP_LOSS", belowStopPrice="59000", listClientOrderId="hers",
    )  # fmt: skip
    assert status == 200
    desk.session.run(2)
    desk.session.command("cancel_all").run(10)
    cancels = [r for r in desk.session.kinds(Kind.REQUEST) if '"purpose":"cancel"' in (r.body or "")]
    assert len(cancels) == 1
    assert {order.status for order in desk.exits if not order.adopted} == {Status.CANCELED}
    assert [each["listClientOrderId"] for each in desk.open_lists] == ["hers"]
    assert ended(desk.session)[0].reason == "ordered to end"
    desk.session.stop()
    assert [each["listClientOrderId"] for each in desk.open_lists] == ["hers"]


def test_a_list_counts_as_each_of_its_orders_in_the_budget(tmp_path: Path) -> None:
    desk = Desk(tmp_path, LIMIT_BRACKET)
    desk.until(lambda s: len(orders(s)) == 3 and orders(s)[0].status is Status.OPEN)
    [request] = [json.loads(r.body or "") for r in desk.session.kinds(Kind.REQUEST) if '"place_list"' in (r.body or "")]
    assert (request["unsigned"]["orders"], request["unsigned"].get("weight", 1)) == (3, 1)
    assert desk.session.state.account.limits.get("binance_spot").orders == 3
    desk.finish()


def test_a_list_that_risk_refuses_leaves_the_stop(tmp_path: Path) -> None:
    """One verdict names the objection to either order; a band around the mid forbids the target alone."""
    risk = RiskSettings(sell_holdings=True, price_band_max=D("0.001"))
    desk = Desk(tmp_path, OCO, risk=risk)
    desk.until(lambda s: bool(orders(s)) and orders(s)[-1].order.type is OrderType.STOP)
    intents = {r.seq: json.loads(r.body or "")["intent"] for r in desk.session.kinds(Kind.INTENT)}
    verdicts = [
        json.loads(r.body or "") for r in desk.session.kinds(Kind.VERDICT) if intents.get(r.cause or 0) == "place_list"
    ]
    assert [list(verdict["rules"]) for verdict in verdicts] == [["price_band"]]
    assert [order.list_id for order in desk.exits] == [""]
    desk.finish(kept=1)


@pytest.mark.parametrize(("limit", "count"), [(3, 3), (2, 1)], ids=["as many", "fewer"])
def test_each_order_of_a_list_counts_in_the_limit_of_open_orders(tmp_path: Path, limit: int, count: int) -> None:
    desk = Desk(tmp_path, LIMIT_BRACKET, risk=RiskSettings(sell_holdings=True, open_orders_max=limit))
    desk.until(lambda s: bool(orders(s)) and orders(s)[0].status is Status.OPEN)
    assert len(orders(desk.session)) == count
    desk.finish()


def test_a_pair_counts_once_and_exits_that_wait_do_not_count(tmp_path: Path) -> None:
    desk = Desk(tmp_path, LIMIT_BRACKET)
    desk.until(lambda s: len(orders(s)) == 3 and orders(s)[0].status is Status.OPEN)
    account = desk.session.state.account
    assert open_quantity(account.orders, BTCUSDT, Side.BUY) == D("0.01")
    assert open_quantity(account.orders, BTCUSDT, Side.SELL) == 0, "they sell what the entry brings"
    desk.market.price = "59980"
    desk.until(rest)
    account = desk.session.state.account
    assert open_quantity(account.orders, BTCUSDT, Side.SELL) == D("0.00999")
    assert reducible(account, "planner", BTCUSDT, Side.SELL) == 0, "the pair covers the position, not twice"
    desk.finish(kept=2)


# ---- an ordered stop -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plan", [OCO, MARKET_BRACKET, LIMIT_BRACKET], ids=["oco", "market bracket", "limit bracket"])
def test_an_ordered_stop_leaves_the_exits_and_the_next_session_continues(tmp_path: Path, plan: str) -> None:
    desk = Desk(tmp_path, plan)
    desk.until_open()
    desk.finish(kept=2)
    [text] = [text for text in notes(desk.session, "info") if "stay at the venue" in text]
    assert "protect 0.00999 of the position of 0.00999" in text
    assert len(desk.open_lists) == 1
    _, state, _ = rebuild(desk.session.folder)
    desk.session = VirtualSession(
        desk.venue, tmp_path / "t", strategies=desk.strategies, previous=desk.session, opening=state, session="bbbbbbbb"
    )
    desk.session.run(10)
    assert len(running(desk.session)) == 1
    assert len(desk.exits) == 2, "nothing is placed twice"
    desk.market.price = "59890"
    desk.until(lambda s: bool(ended(s)))
    desk.finish()


@pytest.mark.parametrize("by", ["session", "plan"])
def test_a_stop_cancels_the_exits_if_the_session_or_the_plan_says_so(tmp_path: Path, by: str) -> None:
    choice = StopChoice.CANCEL if by == "session" else StopChoice.KEEP
    more = "" if by == "session" else ', on_stop="cancel"'
    desk = Desk(tmp_path, OCO, more=more, engine=replace(new_engine_settings(), protection_on_stop=choice))
    desk.until_open()
    desk.finish()
    assert [text for text in notes(desk.session, "alarm") if "until the next session nothing protects" in text]


def test_a_plan_may_keep_its_exits_against_the_session_and_a_choice_is_checked(tmp_path: Path) -> None:
    settings = replace(new_engine_settings(), protection_on_stop=StopChoice.CANCEL)
    desk = Desk(tmp_path, OCO, more=', on_stop="keep"', engine=settings)
    desk.until_open()
    desk.finish(kept=2)
    terms = Oco("BTCUSDT", Side.SELL, D(1), stop_price=D(1), target_price=D(2))
    assert "on_stop" not in canonical(terms), "sessions recorded before it keep their bytes"
    with pytest.raises(ValueError, match="on_stop must be one of cancel, keep, not later"):
        replace(terms, on_stop="later").check()


def test_a_stop_cancels_an_entry_that_waits_and_its_exits(tmp_path: Path) -> None:
    desk = Desk(tmp_path, LIMIT_BRACKET)
    desk.until(lambda s: len(orders(s)) == 3 and {order.status for order in orders(s)} == {Status.OPEN})
    desk.finish()
    assert desk.open_lists == []


def test_a_stop_protects_the_filled_part_of_an_entry_before_the_session_ends(tmp_path: Path) -> None:
    """The venue places the exits of a list only when its entry is filled whole."""
    desk = Desk(tmp_path, LIMIT_BRACKET)
    desk.until(lambda s: len(orders(s)) == 3 and orders(s)[0].status is Status.OPEN)
    desk.market.trade("59989", "0.004")
    desk.until(lambda s: orders(s)[0].filled_quantity == D("0.004"))
    desk.finish(kept=2)
    assert {order.order.quantity for order in desk.exits[-2:]} == {D("0.00399")}
    assert desk.exits[-1].status is Status.OPEN


@pytest.mark.parametrize("moment", range(12))
def test_a_stop_at_any_moment_leaves_no_position_without_its_exits(tmp_path: Path, moment: int) -> None:
    desk = Desk(tmp_path, MARKET_BRACKET)
    desk.until(lambda s: bool(running(s)))
    steps = iter(range(1_000))
    desk.session.run(30, until=lambda _: next(steps) >= moment)
    desk.session.stop()
    bought = sum(D(fill["quantity"]) for fill in desk.venue.get("/sim/state")["fills"])
    held = [order for order in desk.exits if order.status is Status.OPEN]
    assert (len(held), len(desk.open_lists)) == ((2, 1) if bought else (0, 0))
    assert replay_session(desk.session.folder).identical


def test_a_trailing_stop_at_the_venue_stays_there_at_an_ordered_stop(tmp_path: Path) -> None:
    desk = Desk(tmp_path, OCO, engine=new_engine_settings())
    desk.session = VirtualSession(
        desk.venue, tmp_path / "u", strategies=[holding('Trail("BTCUSDT", Side.SELL, D("0.01"), basis_points=100)')]
    )
    desk.until(lambda s: bool(orders(s)) and orders(s)[-1].order.side is Side.SELL)
    desk.session.run(2)
    desk.session.stop()
    assert [order.status for order in desk.exits] == [Status.OPEN]
    assert [text for text in notes(desk.session, "info") if "stay at the venue and protect 0.00999" in text]


def test_a_trailing_stop_says_at_an_ordered_stop_that_nothing_protects(tmp_path: Path) -> None:
    desk = Desk(tmp_path, OCO, engine=new_engine_settings())
    desk.session = VirtualSession(
        desk.venue, tmp_path / "u", strategies=[holding('Trail("BTCUSDT", Side.SELL, D("0.01"), amount=D(500))')]
    )
    desk.until(lambda s: bool(running(s)))
    desk.finish()
    assert [text for text in notes(desk.session, "alarm") if "until the next session nothing protects" in text]


# ---- death ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plan", "moment"),
    [
        *first_is_quick([(LIMIT_BRACKET, moment) for moment in range(12)], 3),
        *first_is_quick([(MARKET_BRACKET, moment) for moment in range(0, 12, 2)], 3),
    ],
)
def test_a_bracket_with_a_list_survives_the_death_of_the_engine(tmp_path: Path, plan: str, moment: int) -> None:
    """Kill the engine at the moment-th step after the plan began, and let its entry fill while nothing runs."""
    desk = Desk(tmp_path, plan)
    desk.until(lambda s: bool(running(s)))
    steps = iter(range(1_000))
    desk.session.run(30, until=lambda _: next(steps) >= moment)
    desk.session.kill()
    _, state, _ = rebuild(desk.session.folder)
    desk.market.price = "59980"
    desk.venue.now_ns += 5 * SECOND_NS
    had_list = bool(desk.open_lists) or any(order.list_id for order in state.account.orders.all())
    first = desk.session
    desk.session = VirtualSession(
        desk.venue, tmp_path / "t", strategies=desk.strategies, previous=first, opening=state, session="bbbbbbbb"
    )
    desk.session.run(20)
    bought = sum(D(fill["quantity"]) for fill in desk.venue.get("/sim/state")["fills"])
    assert bought in (0, D("0.01"))
    pair = [order for order in desk.exits if order.status is Status.OPEN]
    assert [order.leaves_quantity for order in pair] == ([D("0.00999")] * 2 if bought else [])
    assert len(desk.open_lists) == bool(bought)
    if plan == LIMIT_BRACKET and bought and had_list:
        assert len(desk.exits) == 2, "the venue placed the exits while nothing ran"
    assert bool(running(desk.session)) == bool(bought), "an entry that never reached the venue ends the plan"
    own = [json.loads(record.body or "") for record in desk.session.kinds(Kind.INTENT)]
    assert not own or own[0]["plan_id"] == running(desk.session)[0].plan_id, "nothing trades before the protection"
    desk.finish(kept=2 * bool(bought))


@pytest.mark.parametrize("path", ["/api/v3/account", "/api/v3/depth"], ids=["the round", "the market"])
def test_exits_are_restored_in_the_very_step_in_which_trading_resumes(tmp_path: Path, path: str) -> None:
    """The session waits for its round or for its market last: nothing decides between the last answer and the exits."""
    desk = Desk(tmp_path, MARKET_BRACKET)
    theirs = desk.venue.sim.exchange.orders
    desk.until(lambda s: any(order.executed for order in theirs.values()))
    assert orders(desk.session)[0].status is Status.PENDING, "filled at the venue, and not known here"
    desk.session.kill()
    _, state, _ = rebuild(desk.session.folder)
    desk.venue.now_ns += 15 * SECOND_NS
    desk.venue.fault(action="delay_answer", method="GET", path=path, ms=700)
    first = desk.session
    desk.session = VirtualSession(
        desk.venue, tmp_path / "t", strategies=desk.strategies, previous=first, opening=state, session="bbbbbbbb"
    )
    desk.until(lambda s: any(order.list_id and order.status is Status.OPEN for order in orders(s)))
    [intent] = [record for record in desk.session.kinds(Kind.INTENT) if '"place_list"' in (record.body or "")]
    modes = [record for record in desk.session.kinds(Kind.FACT) if '"mode":"running"' in (record.body or "")]
    inputs = [record.seq for record in desk.session.records if record.kind in INPUTS]
    assert not [seq for seq in inputs if modes[0].seq < seq < intent.seq], "one step"
    desk.finish(kept=2)


# ---- readers and models --------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_sql_and_why_show_the_list_of_an_order(tmp_path: Path) -> None:
    desk = Desk(tmp_path, OCO)
    desk.until_open()
    desk.finish(kept=2)
    stop, target = desk.exits
    rows = sql_session.run_query(
        sql_session.connect(desk.session.folder),
        "SELECT client_order_id, type, status, plan_id <> '' FROM orders WHERE list_id = ? ORDER BY 1",
        values=[stop.list_id],
    ).rows
    assert [tuple(row) for row in rows] == [
        (stop.client_order_id, "STOP", "open", True), (target.client_order_id, "LIMIT_MAKER", "open", True),
    ]  # fmt: skip
    story = order_story(desk.session.folder, target.client_order_id)
    text = "\n".join(link.what for link in story.chain)
    assert "place as one list: SELL 0.00999 binance_spot:BTCUSDT at market from 59900 (STOP); SELL 0.00999" in text


def test_a_model_continues_a_list(tmp_path: Path) -> None:
    """Backtest a session that begins with a list at the venue: the model adopts it, and its stop ends the plan."""
    desk = Desk(tmp_path, OCO)
    desk.until_open()
    desk.finish(kept=2)
    _, state, _ = rebuild(desk.session.folder)
    desk.session = VirtualSession(
        desk.venue, tmp_path / "t", strategies=desk.strategies, previous=desk.session, opening=state, session="bbbbbbbb"
    )
    desk.session.run(10)
    desk.market.price = "59890"
    desk.until(lambda s: bool(ended(s)))
    desk.finish()
    body = read_session(Journal.open(tmp_path / "t").session_record().body or "")
    outcome = resimulate(tmp_path / "t", tmp_path / "b", ResimOptions(session=body, model=TEST_MODEL, modelled=True))
    _, modelled, _ = rebuild(outcome.folder)
    [plan] = modelled.account.plans.ended
    stop, target = [order for order in modelled.account.orders.all() if order.list_id]
    assert (plan.reason, plan.filled) == ("closed", D("0.00999"))
    assert (stop.status, target.status) == (Status.FILLED, Status.EXPIRED)
    assert replay_session(outcome.folder).identical
