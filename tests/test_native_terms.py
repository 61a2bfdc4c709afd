"""Terms that the venue holds for us, and one that the engine holds: trailing stops, icebergs, quote amounts, good till.

The synthetic market moves by itself. Each session is stopped in order, verified and replayed.
"""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import structlog
from beat_market import LOT, moved_venue
from checked_sessions import check_ordered_end
from msgspec.structs import replace
from structlog.testing import capture_logs
from tiers import first_is_quick

import verbatim.testing
from analysis import sql_session
from engine import facts
from engine.bodies import RequestBody
from engine.facts import NewOrder
from engine.lifecycle import Report, Status
from engine.live.logs import LogSettings
from engine.live.session_status import protections
from engine.mode_reasons import Mode
from engine.model import OrderTerm, OrderType, Side
from engine.plan_terms import StopChoice
from engine.requests import Purpose
from engine.rounding import resting_price, taking_price
from engine.session_record import SECOND_NS, StrategySettings, new_engine_settings
from engine.sim import modelled_venue
from engine.sim.binance.filters import exchange_info_entry, rules_of
from engine.sim.units import units
from engine.state.changes import Requested, Stamp
from engine.state.execution_plans import ExecutionPlan
from engine.state.orders import Order, Orders, reduce
from engine.state.protection import ProtectedBy, protected_by
from engine.strategy.api import View
from engine.venues.binance_spot.metadata import read_exchange_info
from journal.reader import Journal
from journal.record import Kind, plain
from replay.rebuild import rebuild
from replay.record_text import describe
from replay.replay import replay_session
from replay.resim import sim_setup
from replay.state_report import describe_state, state_lines
from verbatim.session_log import SessionLog
from verbatim.testing import VirtualSession, VirtualVenue, from_sources

D = Decimal
BTCUSDT = "binance_spot:BTCUSDT"
# It places each order of ORDERS once, one every half second; each is an expression of view, quote and held.
PLACER = """
from dataclasses import dataclass
from decimal import Decimal

from verbatim import Bracket, Chase, Close, Every, Oco, OrderType, Place, Run, Side, TimeInForce, Trail

D = Decimal
SECOND_NS = 1_000_000_000


class Placer:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = Every(ms=500)

    @dataclass
    class Parameters:
        pass

    @dataclass
    class State:
        placed: int = 0

    @staticmethod
    def decide(view, state, parameters):
        quote = view.quote("BTCUSDT")
        held = view.position("BTCUSDT").quantity
        orders = [ORDERS]
        if quote is not None and state.placed < len(orders):
            state.placed += 1
            yield orders[state.placed - 1]()
"""
BUY = 'Place("BTCUSDT", Side.BUY, D("0.1"), type=OrderType.MARKET)'


def placer(*orders: str) -> StrategySettings:
    source = PLACER.replace("ORDERS]", ", ".join(f"lambda: {order}" for order in orders) + "]")
    return from_sources({"placer": source}, "placer", "Placer")


class Desk:
    """Sessions of one account, one after the other, on a market that the test moves."""

    def __init__(self, folder: Path, **given: Any) -> None:
        self.folder, self.given = folder, given
        self.venue, self.market = moved_venue(**given)
        self.begun: list[VirtualSession] = []

    def start(self, *orders: str, **more: Any) -> VirtualSession:
        name = "abcdefgh"[len(self.begun)] * 8
        more.setdefault("engine", replace(new_engine_settings(), protection_on_stop=StopChoice.CANCEL))
        session = VirtualSession(self.venue, self.folder / name, strategies=[placer(*orders)], session=name, **more)
        self.begun.append(session)
        return session

    def restart(self, *orders: str, after_s: int = 5) -> VirtualSession:
        """Kill the newest session, and begin the next one with its journal after so many seconds."""
        before = self.begun[-1]
        before.kill()
        _, state, _ = rebuild(before.folder)
        self.venue.now_ns += after_s * SECOND_NS
        return self.start(*orders, previous=before, opening=state)

    def open_orders(self) -> list[dict[str, Any]]:
        return self.venue.get("/sim/state")["open_orders"]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """Return a desk whose last session ends in order at the end of the test, and whose sessions replay."""
    desk = Desk(tmp_path)
    yield desk
    desk.begun[-1].stop()
    check_ordered_end(desk.begun[-1])
    for session in desk.begun[:-1]:
        verdict = replay_session(session.folder)
        assert verdict.identical, verdict.text()


def orders(session: VirtualSession) -> list[Order]:
    return session.state.account.orders.all()


def position(session: VirtualSession) -> Decimal:
    return session.state.account.positions.get("placer", BTCUSDT).quantity


def requests(session: VirtualSession, purpose: str = "place") -> list[dict[str, str]]:
    """Return the parameters of the requests that were sent."""
    bodies = [json.loads(record.body or "") for record in session.kinds(Kind.REQUEST)]
    return [dict(body["unsigned"]["params"]) for body in bodies if body["purpose"] == purpose]


def kinds(session: VirtualSession) -> list[tuple[str, str]]:
    return [(order.order.type.value, order.status.value) for order in orders(session)]


# ---- trailing stops -----------------------------------------------------------------------------

# the market is at 1000; a sale follows its highest price by 1 %
TRAILING = [
    ("STOP", "", {"type": "STOP_LOSS"}, ["1010", "999.90"]),
    ("STOP", "stop_price=D(995),", {"type": "STOP_LOSS", "stopPrice": "995"}, ["1010", "995", "985.05"]),
    ("STOP_LIMIT", "price=D(900),", {"type": "STOP_LOSS_LIMIT", "price": "900"}, ["1010", "999.90"]),
    ("TAKE_PROFIT", "stop_price=D(1005),", {"type": "TAKE_PROFIT", "stopPrice": "1005"}, ["1004", "1010", "999.90"]),
    (
        "TAKE_PROFIT_LIMIT",
        "stop_price=D(1005), price=D(900),",
        {"type": "TAKE_PROFIT_LIMIT", "stopPrice": "1005", "price": "900"},
        ["1004", "1010", "999.90"],
    ),
]


@pytest.mark.parametrize(("kind", "more", "sent", "path"), TRAILING, ids=lambda value: str(value)[:40])
def test_a_trailing_stop_rests_at_the_venue_and_follows(
    desk: Desk, kind: str, more: str, sent: dict[str, str], path: list[str]
) -> None:
    """The venue moves the stop with the market; the report of its trigger makes it TRIGGERED, its fills FILLED."""
    stop = f'Place("BTCUSDT", Side.SELL, D("0.1"), type=OrderType.{kind}, {more} trailing_delta=100)'
    session = desk.start(BUY, stop).run(4)
    params = requests(session)[1]
    names = ("type", "stopPrice", "price", "trailingDelta")
    assert {name: params[name] for name in names if name in params} == {**sent, "trailingDelta": "100"}
    for price in path:
        assert kinds(session)[1] == (kind, "open")
        desk.market.price = price
        session.run(2)
    assert kinds(session)[1] == (kind, "filled")
    assert position(session) == 0
    [triggered] = session.facts("order_triggered")
    assert triggered["client_order_id"] == orders(session)[1].client_order_id


def test_a_trigger_that_no_stream_delivered_is_known_by_a_query(desk: Desk) -> None:
    """A stop-limit was triggered and rests beyond the market; the event is lost, and the next round shows it."""
    stop = 'Place("BTCUSDT", Side.SELL, D("0.1"), type=OrderType.STOP_LIMIT, price=D(995), stop_price=D(990))'
    session = desk.start(BUY, stop).run(4)
    desk.venue.fault(action="drop_events", event="executionReport")
    desk.market.price = "985"
    session.run(3)
    assert kinds(session)[1] == ("STOP_LIMIT", "open")
    session.command("reconcile").run(3)
    assert kinds(session)[1] == ("STOP_LIMIT", "triggered")
    assert desk.venue.unstruck_faults() == []
    desk.market.price = "1000"
    session.run(3)
    assert (kinds(session)[1], position(session)) == (("STOP_LIMIT", "filled"), 0)


# ---- Trail, held by the venue or by the engine --------------------------------------------------

TRAIL = 'Run(Trail("BTCUSDT", Side.SELL, D("0.1"), {}))'


def plan_of(session: VirtualSession) -> ExecutionPlan:
    [plan] = session.state.account.plans.by_age()
    return plan


def guardian(session: VirtualSession) -> ProtectedBy | None:
    return protected_by(plan_of(session), session.state.account.orders.live)


def end_of(session: VirtualSession) -> str:
    return session.state.account.plans.ended[-1].reason


def test_a_trail_in_basis_points_is_held_by_the_venue_and_survives_the_engine(desk: Desk) -> None:
    session = desk.start(BUY, TRAIL.format("basis_points=100")).run(4)
    assert (kinds(session)[1], guardian(session)) == (("STOP", "open"), ProtectedBy.VENUE)
    assert requests(session)[1]["trailingDelta"] == "100"
    desk.market.price = "1020"
    session.run(2)
    second = desk.restart(BUY)
    second.run(4)
    assert (len(second.kinds(Kind.INTENT)), guardian(second)) == (0, ProtectedBy.VENUE)
    desk.market.price = "1009"
    second.run(3)
    assert (end_of(second), position(second)) == ("closed", 0)
    assert desk.open_orders() == []


@pytest.mark.parametrize("moment", first_is_quick(range(8), 2))
def test_a_trail_at_the_venue_survives_the_death_of_the_engine_at_any_step(desk: Desk, moment: int) -> None:
    """Kill the engine at the moment-th step after the plan began: one stop covers the position in the end."""
    first = desk.start(BUY, TRAIL.format("basis_points=100"))
    first.run(10, until=lambda s: bool(s.state.account.plans.running))
    steps = iter(range(1_000))
    first.run(10, until=lambda _: next(steps) >= moment)
    session = desk.restart(BUY)
    session.run(30)
    open_stops = [order for order in orders(session) if order.status is Status.OPEN]
    assert [(order.order.type.value, order.leaves_quantity) for order in open_stops] == [("STOP", D("0.1"))]
    assert [each["client_order_id"] for each in desk.open_orders()] == [open_stops[0].client_order_id]
    assert guardian(session) is ProtectedBy.VENUE
    assert set(desk.venue.get("/sim/state")["client_order_ids"].values()) <= {1}


def test_a_trail_that_is_not_active_yet_waits_at_the_venue_too(desk: Desk) -> None:
    session = desk.start(BUY, TRAIL.format("basis_points=100, activation_price=D('1009.999')")).run(4)
    assert (kinds(session)[1], guardian(session)) == (("TAKE_PROFIT", "open"), ProtectedBy.VENUE)
    assert requests(session)[1]["stopPrice"] == "1010"
    for price in ("990", "1011"):
        desk.market.price = price
        session.run(2)
    assert kinds(session)[1] == ("TAKE_PROFIT", "open")
    desk.market.price = "1000.89"
    session.run(3)
    assert (end_of(session), position(session)) == ("closed", 0)


@pytest.mark.parametrize("distance", ["amount=D(10)", "basis_points=5", "basis_points=2001"])
def test_a_trail_that_the_venue_cannot_hold_is_held_by_the_engine(desk: Desk, distance: str) -> None:
    """By amount, or outside its filter TRAILING_DELTA (10 to 2,000 basis points)."""
    session = desk.start(BUY, TRAIL.format(distance)).run(4)
    assert (len(orders(session)), guardian(session)) == (1, ProtectedBy.ENGINE)
    assert len(session.kinds(Kind.INTENT)) == 2, "the position and the plan: no stop is tried"
    desk.market.price = "780"
    session.run(3)
    assert (kinds(session)[1], end_of(session), position(session)) == (("MARKET", "filled"), "closed", 0)


def test_a_trail_whose_stop_the_venue_refuses_is_held_by_the_engine(desk: Desk) -> None:
    refusal = {"code": -2010, "msg": "Order would trigger immediately."}
    desk.venue.fault(action="reject", method="POST", path="/api/v3/order", nth=2, status=400, **refusal)
    session = desk.start(BUY, TRAIL.format("basis_points=100")).run(4)
    assert desk.venue.unstruck_faults() == []
    assert (kinds(session)[1], guardian(session)) == (("STOP", "rejected"), ProtectedBy.ENGINE)
    desk.market.price = "985"
    session.run(3)
    assert (kinds(session)[2], end_of(session), position(session)) == (("MARKET", "filled"), "closed", 0)


def test_a_trailing_stop_that_finds_too_few_bids_is_closed_at_market(desk: Desk) -> None:
    session = desk.start(BUY, TRAIL.format("basis_points=100")).run(4)
    desk.market.size = desk.market.size // 1000  # 40 levels of 0.001
    desk.market.price = "985"
    session.run(4)
    assert kinds(session)[1] == ("STOP", "expired")
    assert 1 <= len(orders(session)[2:]) <= 4, "market orders that find no bid wait for longer each time"
    desk.market.size *= 1000
    session.run(10)
    assert {kind for kind, _ in kinds(session)[2:]} == {"MARKET"}
    assert (end_of(session), position(session)) == ("closed", 0)


def test_a_trailing_stop_covers_no_more_than_the_position(desk: Desk) -> None:
    """A person cancels the stop, and a sale reduces the position: each time another stop covers it."""
    session = desk.start(BUY, TRAIL.format("basis_points=100")).run(4)
    desk.venue.by_hand(
        "DELETE", "/api/v3/order", symbol="BTCUSDT", origClientOrderId=orders(session)[1].client_order_id
    )
    session.run(3)
    assert (kinds(session)[1:], guardian(session)) == ([("STOP", "canceled"), ("STOP", "open")], ProtectedBy.VENUE)


def test_a_trailing_stop_shrinks_with_the_position(desk: Desk) -> None:
    twice, most = BUY.replace("0.1", "0.2"), 'Place("BTCUSDT", Side.SELL, D("0.15"), type=OrderType.MARKET)'
    desk.venue.move_balance("BTC", "1")  # else the stop locks what the sale needs
    session = desk.start(twice, TRAIL.format("basis_points=100"), most).run(6)
    assert kinds(session)[1:] == [("STOP", "canceled"), ("MARKET", "filled"), ("STOP", "open")]
    assert orders(session)[3].leaves_quantity == position(session) == D("0.05")


def test_a_trail_that_the_engine_began_to_follow_stays_with_the_engine(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session of older rules followed the market itself; the next one keeps its best price."""
    with monkeypatch.context() as patch:
        patch.setattr(verbatim.testing, "newest_rules", lambda settings: replace(settings, order_rules=1))
        first = desk.start(BUY, TRAIL.format("basis_points=100"), engine=new_engine_settings())
    first.run(4)
    desk.market.price = "1020"
    first.run(2)
    session = desk.restart(BUY)
    session.run(3)
    assert (plan_of(session).mark, guardian(session), desk.open_orders()) == (D("1019.99"), ProtectedBy.ENGINE, [])
    desk.market.price = "1009"
    session.run(3)
    assert (kinds(session)[1:], end_of(session)) == ([("MARKET", "filled")], "closed")


# ---- icebergs -----------------------------------------------------------------------------------


def test_an_iceberg_shows_a_part_and_fills_whole(desk: Desk) -> None:
    order = 'Place("BTCUSDT", Side.BUY, D("0.1"), D(990), iceberg_quantity=D("0.03"))'
    session = desk.start(order).run(4)
    assert requests(session)[0]["icebergQty"] == "0.03"
    _, [shown] = desk.venue.by_hand("GET", "/api/v3/openOrders")
    assert (shown["origQty"], shown["icebergQty"]) == ("0.10000000", "0.03000000")
    assert orders(session)[0].order.terms.text() == "at 990 (LIMIT, GTC, shows 0.03)"
    desk.market.price = "980"
    session.run(3)
    assert (kinds(session), position(session)) == ([("LIMIT", "filled")], D("0.1"))


# ---- orders by quote amount ---------------------------------------------------------------------


def test_a_market_order_spends_an_amount_and_its_fills_are_the_position(desk: Desk) -> None:
    """100 USDT buy from several levels; the sale gets 60 USDT. Risk counts the most that the quantity may be."""
    desk.market.size = 1_000_000
    buy = 'Place("BTCUSDT", Side.BUY, type=OrderType.MARKET, quote_quantity=D(100))'
    sell = 'Place("BTCUSDT", Side.SELL, type=OrderType.MARKET, quote_quantity=D(60))'
    session = desk.start(buy, sell).run(4)
    assert [params["quoteOrderQty"] for params in requests(session)] == ["100", "60"]
    assert not [params for params in requests(session) if "quantity" in params]
    bought, sold = orders(session)
    assert kinds(session) == [("MARKET", "filled"), ("MARKET", "filled")]
    assert D("99.9") < bought.filled_notional <= 100
    assert D("59.9") < sold.filled_notional <= 60
    assert bought.order.quantity >= bought.filled_quantity
    assert (bought.leaves_quantity, bought.order.terms.text()) == (0, "for 100 of the quote asset at market")
    assert position(session) == bought.filled_quantity - sold.filled_quantity
    assert session.facts("order_amended") == []
    assert [fact["status"] for fact in session.facts("order_closed")] == ["full_fill", "full_fill"]
    texts = [describe(record) for record in session.kinds(Kind.INTENT)]
    assert f"BUY at most {plain(bought.order.quantity)} {BTCUSDT} for 100 of the quote asset at market" in texts[0]
    requested = session.kinds(Kind.REQUEST)
    assert [
        json.loads(record.body or "")["order"]["quote_quantity"]
        for record in requested
        if '"place"' in (record.body or "")
    ] == ["100", "60"]


def test_an_order_by_amount_ends_by_the_venues_report_alone() -> None:
    """The market moved in our favour: more was bought than the most that was expected, and the amount is not spent."""
    new = NewOrder(BTCUSDT, Side.BUY, OrderType.MARKET, D("0.1"), quote_quantity=D(100))
    request = RequestBody(Purpose.PLACE, "v", True, 9, 9, client_order_id="o", strategy="s", order=new)
    fill = facts.OrderFilled(
        "o", "s", BTCUSDT, "1", "7", Side.BUY, D(900), D("0.11"), D(0), "", maker=False, venue_ns=1, late=False
    )
    found = reduce(Orders(), Requested(request), Stamp(1, 1))
    found = reduce(found, fill, Stamp(2, 2))
    assert found.known("o").status is Status.PARTIALLY_FILLED
    found = reduce(found, facts.OrderClosed("o", Report.FULL_FILL, D("0.11"), "", 1), Stamp(3, 3))
    assert (found.known("o").status, found.missing_fills) == (Status.FILLED, ())


def test_an_amount_that_the_book_cannot_fill_expires_with_its_fills(desk: Desk) -> None:
    desk.market.size = 100 * LOT  # 40 levels
    session = desk.start('Place("BTCUSDT", Side.BUY, type=OrderType.MARKET, quote_quantity=D(100))').run(4)
    [order] = orders(session)
    assert (order.status, order.filled_quantity, position(session)) == (Status.EXPIRED, D("0.04"), D("0.04"))


def test_an_amount_whose_answer_and_events_are_lost_is_known_in_the_end(desk: Desk) -> None:
    desk.venue.fault(action="cut_answer", method="POST", path="/api/v3/order")
    desk.venue.fault(action="drop_events", event="executionReport", times=3)
    buy = 'Place("BTCUSDT", Side.BUY, type=OrderType.MARKET, quote_quantity=D(100))'
    session = desk.start(buy).run(20)
    assert [rule.action for rule in desk.venue.unstruck_faults()] == []
    [order] = orders(session)
    assert (order.status, position(session)) == (Status.FILLED, order.filled_quantity)
    assert D("99.9") < order.filled_notional <= 100


# ---- good till a time ---------------------------------------------------------------------------

RESTING = 'Place("BTCUSDT", Side.BUY, D("0.1"), D(990), {} good_till_ns=view.time_ns + 10 * SECOND_NS)'


@pytest.mark.parametrize("more", ["", "OrderType.LIMIT_MAKER,", "OrderType.STOP_LIMIT, stop_price=D(985),"], ids=str)
def test_an_order_is_cancelled_when_its_time_comes(desk: Desk, more: str) -> None:
    more = more.replace("stop_price=D(985)", "stop_price=D(1005)")
    session = desk.start(RESTING.format(more)).run(4)
    session.command("reconcile").run(5)
    [order] = orders(session)
    assert order.status is Status.OPEN
    session.run(4)
    [order] = orders(session)
    assert order.status is Status.CANCELED
    [cancel] = [record for record in session.kinds(Kind.REQUEST) if '"cancel"' in (record.body or "")]
    assert 0 <= cancel.time_ns - order.order.good_till_ns < SECOND_NS // 10
    assert [record.time_ns for record in session.kinds(Kind.TIMER) if '"expiry.' in (record.body or "")] == [
        order.order.good_till_ns
    ]


def test_an_order_that_is_filled_or_cancelled_before_its_time_is_left_alone(desk: Desk) -> None:
    session = desk.start(RESTING.format("")).run(4)
    desk.market.price = "980"
    session.run(15)
    assert kinds(session) == [("LIMIT", "filled")]
    assert requests(session, "cancel") == []


@pytest.mark.parametrize("down_s", [1, 30])
def test_the_time_of_an_order_holds_over_a_restart(desk: Desk, down_s: int) -> None:
    """Its time comes in the next session, or while no session runs."""
    desk.start(RESTING.format("")).run(4)
    session = desk.restart(BUY, after_s=down_s)
    session.run(15)
    [order] = [each for each in orders(session) if each.order.good_till_ns]
    assert order.status is Status.CANCELED
    assert desk.open_orders() == []
    [cancel] = [record for record in session.kinds(Kind.REQUEST) if '"cancel"' in (record.body or "")]
    assert cancel.time_ns >= order.order.good_till_ns
    fired = [record.time_ns for record in session.kinds(Kind.TIMER) if '"expiry.' in (record.body or "")]
    assert fired == ([order.order.good_till_ns] if down_s == 1 else [])


def test_a_cancel_at_its_time_is_repeated_if_it_fails_and_works_while_halted(desk: Desk) -> None:
    session = desk.start(RESTING.format("")).run(4)
    desk.venue.fault(action="reject", method="DELETE", path="/api/v3/order", status=503, code=-1008, msg="busy")
    session.command("halt").run(15)
    assert desk.venue.unstruck_faults() == []
    assert kinds(session) == [("LIMIT", "canceled")]
    assert session.state.account.modes.mode is Mode.HALTED


# ---- orders of other programs -------------------------------------------------------------------

FOREIGN = [
    ({"type": "STOP_LOSS", "trailingDelta": "100"}, "at market (STOP_LOSS, GTC, 100 basis points behind the market)"),
    (
        {"type": "TAKE_PROFIT", "stopPrice": "1050", "trailingDelta": "100"},
        "at market (TAKE_PROFIT, GTC, stop price 1050, 100 basis points behind the market)",
    ),
    (
        {"type": "LIMIT", "price": "1050", "timeInForce": "GTC", "icebergQty": "0.03"},
        "at 1050 (LIMIT, GTC, shows 0.03)",
    ),
    (
        {"type": "STOP_LOSS_LIMIT", "price": "900", "stopPrice": "950", "timeInForce": "GTC", "icebergQty": "0.03"},
        "at 900 (STOP_LOSS_LIMIT, GTC, stop price 950, shows 0.03)",
    ),
]


@pytest.mark.parametrize(("terms", "text"), FOREIGN, ids=lambda value: value if isinstance(value, str) else "")
@pytest.mark.parametrize("found_by", ["stream", "query"])
def test_an_order_of_another_program_keeps_its_terms(
    desk: Desk, terms: dict[str, str], text: str, found_by: str
) -> None:
    session = desk.start(BUY).run(4)
    if found_by == "query":
        desk.venue.fault(action="drop_events", event="NEW")
    status, _ = desk.venue.by_hand("POST", "/api/v3/order", symbol="BTCUSDT", side="SELL", quantity="0.1", **terms)
    assert status == 200
    session.run(2)
    assert desk.venue.unstruck_faults() == []
    if found_by == "query":
        session.command("reconcile").run(2)
    [order] = [order for order in orders(session) if order.adopted]
    assert (order.order.terms.text(), order.status) == (text, Status.OPEN)
    if "stopPrice" in terms and "icebergQty" in terms:
        desk.market.price = "950"
        session.run(3)
        assert kinds(session)[-1] == ("FOREIGN", "filled")
        assert len(session.facts("order_triggered")) == 1
    desk.venue.by_hand("DELETE", "/api/v3/openOrders", symbol="BTCUSDT")
    session.run(3)


@pytest.mark.slow
def test_an_order_by_amount_of_another_program_is_known_whole(desk: Desk) -> None:
    session = desk.start(BUY).run(4)
    amount = {"type": "MARKET", "quoteOrderQty": "50"}
    assert desk.venue.by_hand("POST", "/api/v3/order", symbol="BTCUSDT", side="BUY", **amount)[0] == 200
    session.run(3)
    [order] = [order for order in orders(session) if order.adopted]
    assert (order.status, order.order.terms.text()) == (Status.FILLED, "for 50 of the quote asset at market")
    assert D("49.9") < order.filled_notional <= 50


# ---- rounding by side ---------------------------------------------------------------------------


def test_prices_are_rounded_by_side_and_quantities_down(desk: Desk) -> None:
    """A price that rests is rounded away from the market, one that must fill towards it."""
    instrument, price = desk.venue.instruments()[0], D("100.001")
    assert resting_price(price, instrument, Side.BUY) == taking_price(price, instrument, Side.SELL) == D("100.00")
    assert resting_price(price, instrument, Side.SELL) == taking_price(price, instrument, Side.BUY) == D("100.01")
    assert resting_price(D("100.01"), instrument, Side.SELL) == D("100.01")
    order = 'Place("BTCUSDT", Side.{0}, view.round_quantity("BTCUSDT", D("0.100009")), view.round_price("BTCUSDT", {1}, Side.{0}))'
    session = desk.start(BUY, order.format("SELL", "1100.001"), order.format("BUY", "D('900.009')")).run(4)
    placed = [(params["price"], params["quantity"]) for params in requests(session)[1:]]
    assert placed == [("1100.01", "0.1"), ("900", "0.1")]


# ---- rules that change --------------------------------------------------------------------------


def test_a_bound_that_the_venue_changes_is_read_again(desk: Desk) -> None:
    """The venue refuses an iceberg of four parts; its rules are read again, and our own rule refuses the next one."""
    iceberg = 'Place("BTCUSDT", Side.BUY, D("0.1"), D(990), iceberg_quantity=D("0.03"))'
    session = desk.start(iceberg, iceberg)
    desk.venue.fault(action="change_rules", symbol="BTCUSDT", rules={"iceberg_parts_max": "3"})
    session.run(4)
    assert [status for _, status in kinds(session)] == ["rejected"]
    [changed] = session.facts("instrument_changed")
    assert changed["instrument"]["iceberg_parts_max"] == 3
    refused = [json.loads(record.body or "") for record in session.kinds(Kind.VERDICT)][-1]
    assert refused["rules"] == {"iceberg": "4 parts of 0.03 are more than 3"}


# ---- resimulations ------------------------------------------------------------------------------


def test_a_resimulation_continues_orders_with_their_terms(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The venue that takes over holds the trailing stop, rests what was triggered, and has the instrument's bounds."""
    triggered = 'Place("BTCUSDT", Side.SELL, D("0.04"), type=OrderType.STOP_LIMIT, price=D(995), stop_price=D(990))'
    trailing = 'Place("BTCUSDT", Side.SELL, D("0.05"), type=OrderType.STOP, trailing_delta=500)'
    resting = 'Place("BTCUSDT", Side.BUY, D("0.1"), D(900), iceberg_quantity=D("0.03"))'
    session = desk.start(BUY, triggered, trailing, resting).run(5)
    desk.market.price = "985"
    session.run(2)
    assert [status for _, status in kinds(session)] == ["filled", "triggered", "open", "open"]
    session.writer.wait_durable(session.records[-1].seq, 60)
    sim = VirtualVenue().sim
    account = next(iter(sim.exchange.accounts))
    journal = Journal.open(session.folder)
    with monkeypatch.context() as patch:
        patch.setattr(modelled_venue, "ACCOUNT_KEY", account)
        assert sim_setup.adopt_account(sim, journal, session.state, {}, handed_over=True, has_account=True)
    held = [
        (order.order_type.value, order.is_held, order.on_book, order.trailing_delta, order.iceberg_quantity)
        for order in sim.exchange.orders.values()
    ]
    assert held == [
        ("STOP_LIMIT", False, True, 0, 0),
        ("STOP", True, False, 500, 0),
        ("LIMIT", False, True, 0, units("0.03")),
    ]
    instrument = replace(session.body.instruments[0], iceberg_parts_max=7, forbids=(OrderTerm.TRAILING,))
    [again] = read_exchange_info(json.dumps({"symbols": [exchange_info_entry(rules_of(instrument))]}).encode())
    fields = ("iceberg_parts_max", "trailing_delta_min", "trailing_delta_max", "forbids")
    assert [getattr(again, name) for name in fields] == [7, 10, 2000, (OrderTerm.TRAILING,)]


# ---- shown to people ----------------------------------------------------------------------------


@pytest.mark.slow
def test_views_and_reports_show_terms_plans_and_who_protects(desk: Desk) -> None:
    """The state report, the status line, the log and the SQL views name the holder of each stop."""
    amount = 'Place("BTCUSDT", Side.BUY, type=OrderType.MARKET, quote_quantity=D(100))'
    resting = RESTING.format('iceberg_quantity=D("0.03"),').replace("10 *", "600 *")
    trails = [TRAIL.format("basis_points=100"), TRAIL.format("amount=D(50)")]
    desk.start(BUY, amount, resting, *trails).run(6)
    session = desk.restart(BUY)
    status = protections(session.state)
    session.run(6)
    assert status == protections(session.state) == {"venue": 1, "engine": 1}
    record = session.records[-1]
    lines = "\n".join(state_lines(describe_state(session.sequencer.kernel, session.state, record)))
    for text in (
        "at market, 100 basis points behind the market (STOP): open, 0 filled (request 0), protected by: venue",
        "trail SELL 0.1 binance_spot:BTCUSDT: protecting, protected by: venue",
        "trail SELL 0.1 binance_spot:BTCUSDT: working, protected by: engine",
        "at 990 (LIMIT, GTC, shows 0.03): open, 0 filled (request 0), good till ",
    ):
        assert text in lines, lines
    structlog.reset_defaults()  # another test may have set a level
    with capture_logs() as logged:
        SessionLog(session.sequencer.kernel.session, lambda: session.state, settings=LogSettings()).write([])
    assert [(line["event"], line["protected_by"]) for line in logged] == [
        ("plan continues", "venue"),
        ("plan continues", "engine"),
    ]
    account, market = session.state.account, session.state.market
    view = View(name="placer", account=account, market=market, time_ns=0, instruments={}, indicators={})
    assert [view.protected_by(plan.plan_id) for plan in view.plans()] == [ProtectedBy.VENUE, ProtectedBy.ENGINE]
    session.writer.wait_durable(record.seq, 60)
    connection = sql_session.connect([each.folder for each in desk.begun])
    found = sql_session.query_rows(
        connection,
        "SELECT origin, type, status, quote_quantity, trailing_delta, iceberg_quantity, good_till_ns IS NOT NULL, protected_by "
        "FROM orders ORDER BY session, created_ns, client_order_id",
    )
    own = [
        ("MARKET", "filled", None, None, None, False, None),
        ("MARKET", "filled", D(100), None, None, False, None),
        ("LIMIT", "open", None, None, D("0.03"), True, None),
        ("STOP", "open", None, 100, None, False, "venue"),
    ]
    assert found == [("placed", *each) for each in own] + [("carried", *each) for each in own]
    plans = sql_session.query_rows(
        connection, "SELECT origin, plan, phase, protected_by, orders FROM plans ORDER BY session, started_ns"
    )
    assert plans[:2] == [("started", "trail", "protecting", "venue", 1), ("started", "trail", "working", "engine", 0)]
    assert plans[2:] == [("carried", "trail", "protecting", "venue", 1), ("carried", "trail", "working", "engine", 0)]
    desk.market.price = "940"
    session.run(6)
    [text] = [describe(each) for each in session.kinds(Kind.FACT) if "order_triggered" in (each.body or "")]
    assert text == "triggered: the market reached its stop price, and the venue activated it"
