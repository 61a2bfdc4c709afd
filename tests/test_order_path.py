"""Claims about orders that docs/capabilities.md makes: types at the venue, ids, fills alone move positions, the outbox.

Sessions in virtual time against the simulated venue, which keeps the books beside ours.
"""

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from by_hand import shown
from checked_sessions import CheckedSessions, check_books
from test_core_orders import placed

from analysis import sql_session
from engine.bodies import RequestBody
from engine.lifecycle import Status
from engine.live.clock import SessionClock
from engine.live.gateway import Gateway
from engine.live.ingress import Ingress
from engine.live.link_tasks import LinkTasks
from engine.live.transport.http_result import HttpResult
from engine.record_codec import read_request, text_of
from engine.requests import AnswerStatus, Purpose, Transport, Unsigned
from engine.session_record import SECOND_NS, StrategySettings, VenueSettings
from engine.state.orders import Order
from engine.venues.signing import Credentials, HttpMessage
from engine.venues.venue_lookup import make_venue
from journal.record import Kind, Record, canonical
from journal.writer import JournalWriter
from verbatim.testing import VirtualSession, VirtualVenue, from_sources

D = Decimal
BTCUSDT = "binance_spot:BTCUSDT"
PLACER = """
from dataclasses import dataclass
from decimal import Decimal

from verbatim import Every, OrderType, Place, Side, TimeInForce


class Placer:
    version = "3"
    instruments = ("BTCUSDT",)
    cadence = Every(ms=500)

    @dataclass
    class Parameters:
        type: OrderType = OrderType.LIMIT
        time_in_force: TimeInForce = TimeInForce.GTC
        above: Decimal = Decimal(0)  # the price, from the ask; of a market order it is not used
        size: Decimal = Decimal("0.01")

    @dataclass
    class State:
        placed: int = 0

    @staticmethod
    def decide(view, state, parameters):
        quote = view.quote("BTCUSDT")
        if quote is None or state.placed:
            return
        state.placed += 1
        price = Decimal(0) if parameters.type is OrderType.MARKET else quote.ask + parameters.above
        yield Place("BTCUSDT", Side.BUY, parameters.size, price, parameters.type, parameters.time_in_force)
"""


def placer(**parameters: str) -> StrategySettings:
    return from_sources({"placer": PLACER}, "placer", "Placer", parameters=parameters)


def the_order(session: VirtualSession) -> Order:
    [order] = session.state.account.orders.all()
    return order


def requests(session: VirtualSession, purpose: str) -> list[dict[str, Any]]:
    bodies = [json.loads(record.body or "") for record in session.kinds(Kind.REQUEST)]
    return [body for body in bodies if body["purpose"] == purpose]


# ---- D1, D2, D7 ----------------------------------------------------------------------------------

GTC, IOC, FOK = ({"timeInForce": name} for name in ("GTC", "IOC", "FOK"))
NEAR, FAR, DEEP = {"above": "5"}, {"above": "-100"}, {"above": "5", "size": "12"}
# parameters; what the venue gets beside type and price; the order's end, and whether it is filled: 0 no, 1 partly, 2 whole
PLAIN: dict[str, tuple[dict[str, str], Mapping[str, str], Status, int]] = {
    "market": ({"type": "MARKET"}, {}, Status.FILLED, 2),
    "limit rests": (FAR, GTC, Status.OPEN, 0),
    "limit trades": (NEAR, GTC, Status.FILLED, 2),
    "post-only rests": ({"type": "LIMIT_MAKER", **FAR}, {}, Status.OPEN, 0),
    "post-only is refused": ({"type": "LIMIT_MAKER", **NEAR}, {}, Status.REJECTED, 0),
    "IOC trades": ({"time_in_force": "IOC", **NEAR}, IOC, Status.FILLED, 2),
    "IOC leaves nothing": ({"time_in_force": "IOC", **DEEP}, IOC, Status.EXPIRED, 1),
    "IOC away from the market": ({"time_in_force": "IOC", **FAR}, IOC, Status.EXPIRED, 0),
    "FOK trades": ({"time_in_force": "FOK", **NEAR}, FOK, Status.FILLED, 2),
    "FOK is nothing": ({"time_in_force": "FOK", **DEEP}, FOK, Status.EXPIRED, 0),
}


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_order_of_each_type_and_time_in_force(begin: CheckedSessions, name: str) -> None:
    """The engine places it, the venue gets its parameters, and both agree on its end."""
    parameters, expected, status, filled = PLAIN[name]
    session = begin(VirtualVenue(), placer(**parameters))
    session.run(10, until=lambda s: bool(s.state.account.orders.all())).run(1)
    order = the_order(session)
    assert order.status is status
    assert (order.filled_quantity > 0) + (order.filled_quantity == order.order.quantity) == filled
    [request] = requests(session, "place")
    sent = dict(request["unsigned"]["params"])
    assert sent["type"] == parameters.get("type", "LIMIT")
    assert {key: value for key, value in sent.items() if key == "timeInForce"} == expected
    check_books(session)


# ---- B5 to B8, C12 -------------------------------------------------------------------------------


def test_orders_and_fills_have_the_ids_of_both_sides(begin: CheckedSessions) -> None:
    """SQL shows each order and fill with our id and the venue's, as the venue's own books have them."""
    session = begin(VirtualVenue(), placer(above="5")).run(5)
    session.writer.wait_durable(session.records[-1].seq, 60)
    connection = sql_session.connect([session.folder])
    theirs = session.venue.get("/sim/state")["fills"]
    [name] = session.venue.get("/sim/state")["client_order_ids"]
    order = the_order(session)
    assert sql_session.query_rows(
        connection,
        "SELECT client_order_id, venue_order_id, side, type, time_in_force, quantity, price, status, created_ns, "
        "updated_ns FROM orders",
    ) == [
        (name, str(theirs[0]["order_id"]), "BUY", "LIMIT", "GTC", D("0.01"), order.order.price, "filled",
         order.created_ns, order.updated_ns),
    ]  # fmt: skip
    found = sql_session.query_rows(
        connection, "SELECT fill_id, client_order_id, venue_order_id, quantity, price, venue_ns FROM fills ORDER BY seq"
    )
    assert [row[:5] for row in found] == [
        (str(each["trade_id"]), name, str(each["order_id"]), D(each["quantity"]), D(each["price"])) for each in theirs
    ]
    assert all(order.created_ns - SECOND_NS < row[5] <= session.venue.now_ns for row in found)


def test_a_client_order_id_has_session_strategy_version_and_the_seq_of_its_intent(begin: CheckedSessions) -> None:
    """The record with that seq has the time of the decision. The venue's own books have the id."""
    session = begin(VirtualVenue(), placer(**FAR)).run(5)
    order = the_order(session)
    made_by, strategy, version, seq, leg = order.client_order_id.split("-")
    assert (made_by, strategy, version, leg) == (session.body.session, "placer", "3", "0")
    intent = session.records[int(seq)]
    assert (intent.kind, intent.key) == (Kind.INTENT, order.client_order_id)
    assert intent.time_ns <= order.created_ns
    [theirs] = session.venue.get("/sim/state")["open_orders"]
    assert theirs["client_order_id"] == order.client_order_id


# ---- D12 -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("executed", ["0.4", "1"])
def test_a_position_moves_with_fills_alone_never_with_an_acknowledgement(executed: str) -> None:
    """The answer states an executed quantity without its fills: nothing moves until the fills themselves are there."""
    hand, name, seq = placed()
    whole = executed == "1"
    hand.answers["fills"] = []
    hand.answer(seq, shown(name, "FILLED" if whole else "PARTIALLY_FILLED", executed))
    assert (hand.position(), hand.facts("position"), hand.order.filled_quantity) == (0, [], 0)
    assert hand.state.account.orders.missing_fills, "they are fetched"
    hand.answers["fills"] = [
        {"symbol": "BTCUSDT", "id": 1, "orderId": 7, "price": "90", "qty": executed, "quoteQty": "0", "commission": "0",
         "commissionAsset": "BTC", "time": 1, "isBuyer": True, "isMaker": True},
    ]  # fmt: skip
    hand.answers["open_orders"] = [] if whole else [shown(name, "PARTIALLY_FILLED", executed)]
    hand.run(5)
    assert hand.position() == D(executed)
    assert len(hand.facts("position")) == 1


# ---- D14 -----------------------------------------------------------------------------------------


class Wire:
    """Stands for the network: it notes what leaves."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def send(self, message: HttpMessage, *, timeout_s: float, clock: SessionClock) -> HttpResult:
        self.sent.append(message.path_and_query)
        return HttpResult(AnswerStatus.ANSWER, clock.now_ns(), 1, status=200, body=b"{}")

    async def close(self) -> None:
        """Do nothing: no connection is open."""


async def test_no_order_leaves_before_its_record_is_durable(tmp_path: Path) -> None:
    """The writer gathers for half a minute, so the order waits; a query does not. Made durable, the order leaves."""
    venue, wire, clock = make_venue(VenueSettings(), ()), Wire(), SessionClock.wall()
    key = venue.signer.load_key(Credentials("test-key-0000000000", "test-secret-0000000000"))
    writer = JournalWriter.create(tmp_path / "s", group_delay_s=30)
    ingress = Ingress()
    async with trio.open_nursery() as nursery:
        gateway = Gateway(
            venues={venue.name: venue},
            senders={venue.name: wire},
            keys={venue.name: key},
            trading=(venue.name,),
            clock=clock,
            ingress=ingress,
            links=LinkTasks({}, ingress, clock),
            nursery=nursery,
        )
        gateway.attach(writer)
        records = [Record(0, 1, Kind.SESSION, "shell", body=canonical({"session": "aaaaaaaa"}))]
        for purpose, method, path in ((Purpose.PLACE, "POST", "/api/v3/order"), (Purpose.QUERY_ORDER, "GET", "/q")):
            request = RequestBody(
                purpose=purpose,
                venue=venue.name,
                mutates=method == "POST",
                expires_ns=clock.now_ns() + 60 * SECOND_NS,
                timeout_ns=SECOND_NS,
                unsigned=Unsigned(Transport.REST, method, path, (), signed=True),
            )
            records.append(Record(len(records), 2, Kind.REQUEST, "execution", body=text_of(request)))
        writer.append_step(records)
        for record in records[1:]:
            gateway.perform(record, read_request(record.body or ""))
        await trio.testing.wait_all_tasks_blocked()
        assert [path.partition("?")[0] for path in wire.sent] == ["/q"]
        assert gateway.is_holding
        writer.append_step([Record(3, 3, Kind.NOTE, "test", body="{}")], urgent=True)
        writer.wait_durable(3, 60)
        gateway.release()
        await trio.testing.wait_all_tasks_blocked()
        assert [path.partition("?")[0] for path in wire.sent] == ["/q", "/api/v3/order"]
        assert not gateway.is_holding
    writer.close()


# ---- D17 -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_replacement_follows_the_end_of_the_order_before_it(begin: CheckedSessions) -> None:
    """A chase of twenty replacements: each cancel names the order that rests, and no two orders are open at a time."""
    from test_plans import planner

    chase = 'Chase("BTCUSDT", Side.BUY, D("0.01"), offset=D(500), every_ms=500, replacements_max=900)'
    session = begin(VirtualVenue(), planner(chase)).run(20)
    resting = ""
    replaced = 0
    for record in session.records:
        body = json.loads(record.body or "{}") if record.kind in (Kind.REQUEST, Kind.FACT) else {}
        if body.get("purpose") == "place":
            assert resting == "", "the order before has ended"
            resting = body["client_order_id"]
        elif body.get("purpose") == "cancel":
            assert body["client_order_id"] == resting
            replaced += 1
        elif body.get("fact") == "order_closed":
            assert body["client_order_id"] == resting
            resting = ""
    assert replaced >= 10
    check_books(session)


# ---- D21 -----------------------------------------------------------------------------------------


def test_a_rounded_price_and_quantity_pass_and_a_price_off_the_grid_does_not(begin: CheckedSessions) -> None:
    """Results of `round_price` and `round_quantity` pass the rules; a price off the grid does not."""
    source = PLACER.replace(
        "        state.placed += 1\n",
        "        state.placed += 1\n"
        '        price = view.round_price("BTCUSDT", quote.bid - Decimal("100.007"))\n'
        '        quantity = view.round_quantity("BTCUSDT", Decimal("0.0100079"))\n'
        '        assert (quote.bid - 101 < price, price % Decimal("0.01"), quantity) == (True, 0, Decimal("0.01"))\n'
        '        assert price <= quote.bid - Decimal("100.007") < price + Decimal("0.01")\n'
        '        yield Place("BTCUSDT", Side.BUY, quantity, price)\n'
        '        yield Place("BTCUSDT", Side.BUY, quantity, price + Decimal("0.001"))\n'
        "        return\n",
    )
    session = begin(VirtualVenue(), from_sources({"placer": source}, "placer", "Placer")).run(5)
    assert session.facts("strategy_stopped") == []
    verdicts = [json.loads(record.body or "") for record in session.kinds(Kind.VERDICT)]
    assert [verdict["approved"] for verdict in verdicts] == [True, False]
    assert list(verdicts[1]["rules"]) == ["tick"]
    assert the_order(session).order.quantity == D("0.01")
