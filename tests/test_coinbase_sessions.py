"""Sessions on the simulated Coinbase in virtual time: trading, a kill, lost answers, and books that equal the venue's."""

import json
from collections import Counter

from checked_sessions import CheckedSessions, mode, notes, rebuilt
from coinbase_desk import OWN, PREFIX, Desk, check_books

from engine.mode_reasons import Mode
from engine.sim.units import ONE
from journal.record import Kind
from journal.recover import recover
from verbatim.testing import VirtualSession

ORDERS = {"method": "POST", "path": f"{PREFIX}/orders"}
CANCELS = {"method": "POST", "path": f"{PREFIX}/orders/batch_cancel"}


def statuses(session: VirtualSession) -> dict[str, int]:
    return Counter(order.status.value for order in session.state.account.orders.all())


def requests(session: VirtualSession, purpose: str) -> list[dict[str, object]]:
    asked = [json.loads(record.body or "") for record in session.kinds(Kind.REQUEST)]
    return [request for request in asked if request["purpose"] == purpose]


def test_it_trades_is_killed_with_an_order_open_and_finds_everything_again(start: CheckedSessions) -> None:
    """Another program trades in between: its order and its fills are found too."""
    venue = Desk()
    first = start(venue, "script", parameters={"steps": "buy 0.01;sell 0.004;buy 0.02 limit -1"}).run(30)
    assert statuses(first) == {"filled": 2, "open": 1}
    check_books(first)
    folder = first.kill()
    venue.place("by-hand", "SELL", {"market_market_ioc": {"base_size": "0.5"}})
    recover(folder)
    second = start(venue, "script", parameters={"steps": "wait"}, previous=first, opening=rebuilt(folder)).run(20)
    assert mode(second) is Mode.RUNNING
    assert statuses(second) == {"filled": 3, "open": 1}, "the other program's order, and ours of the session before"
    assert {fact["strategy"] for fact in second.facts("order_filled")} == {"external"}
    second.command("cancel_all").run(10)
    assert statuses(second)["canceled"] == 1
    assert {asset: second.state.account.balances.get(asset).free for asset in ("BTC", "USD")} == {
        asset: venue.free(asset) for asset in ("BTC", "USD")
    }
    second.stop()


def test_a_lost_answer_is_found_by_the_newest_orders_of_its_product(start: CheckedSessions) -> None:
    """There is no query by our id: the product's newest orders are searched, and the order is never sent again."""
    venue = Desk()
    venue.fault(action="cut_answer", **ORDERS)
    venue.fault(action="drop_events", event="user", times=0)
    session = start(venue, "script", parameters={"steps": "buy 0.01 limit -1"})
    session.run(until=lambda s: bool(s.facts("order_unknown")))
    assert statuses(session) == {"unknown": 1}
    session.run(5)
    assert statuses(session) == {"open": 1}
    (asked,) = requests(session, "query_order")
    assert asked["unsigned"]["path"] == f"{PREFIX}/orders/historical/batch"  # type: ignore[index]  # JSON of a record
    assert len(requests(session, "place")) == 1
    check_books(session)


def test_a_placement_that_never_arrived_is_proved_absent_by_two_lists(start: CheckedSessions) -> None:
    venue = Desk()
    venue.fault(action="drop_request", **ORDERS)
    parameters = {"below": "100", "orders": 2}
    session = start(venue, "once", parameters=parameters, own_symbols=OWN).run(60)
    assert statuses(session) == {"not_placed": 1, "open": 1}
    queries = [request["unsigned"]["params"] for request in requests(session, "query_order")]  # type: ignore[index]
    assert any(["order_status", "OPEN"] in params for params in queries), "the second list is that of open orders"
    check_books(session)


def test_fills_that_no_frame_carries_are_listed_with_their_own_fees(start: CheckedSessions) -> None:
    """The user channel counts what an order has filled; prices and fees are those of the list of fills."""
    venue = Desk()
    session = start(venue, "script", parameters={"steps": "buy 0.5;close"}).run(30)
    filled = session.facts("order_filled")
    assert len(filled) > 2, "one order took several offers"
    assert {fact["fee_asset"] for fact in filled} == {"USD"}
    check_books(session)


def test_a_stop_waits_at_the_venue_until_the_market_reaches_it(start: CheckedSessions) -> None:
    """It is another program's: its type is not ours, and an order that may not rest ends as cancelled."""
    venue = Desk()
    session = start(venue, "script", parameters={"steps": "wait"}).run(10)
    last = venue.sim.exchange.markets["BTC-USD"].trigger_price() // ONE
    stop = {"base_size": "0.001", "limit_price": "50000", "stop_price": str(last - 1)}
    stop["stop_direction"] = "STOP_DIRECTION_STOP_DOWN"
    assert venue.place("stop-by-hand", "SELL", {"stop_limit_stop_limit_gtc": stop})["success"]
    missed = {"sor_limit_ioc": {"base_size": "0.001", "limit_price": "50000"}}
    assert venue.place("ioc-by-hand", "BUY", missed)["success"]
    session.run(2)
    assert statuses(session) == {"open": 1, "canceled": 1}
    (waiting,) = session.state.account.orders.live.values()
    assert waiting.order.venue_type == "STOP_LIMIT"
    session.run(600, until=lambda s: not s.state.account.orders.live)
    assert statuses(session) == {"filled": 1, "canceled": 1}
    check_books(session)


def test_a_private_frame_that_is_lost_ends_the_link_and_the_round_finds_the_fill(start: CheckedSessions) -> None:
    venue = Desk()
    session = start(venue, "script", parameters={"steps": "wait;wait;wait;buy 0.01"}).run(2)
    venue.lose_frame(private=True)
    session.run(30)
    assert any("connection follows" in note for note in notes(session, "warning")), "the gap struck"
    assert mode(session) is Mode.RUNNING
    assert statuses(session) == {"filled": 1}
    check_books(session)


def test_a_market_frame_that_is_lost_breaks_the_book_and_a_new_connection_mends_it(start: CheckedSessions) -> None:
    venue = Desk()
    session = start(venue, "script", parameters={"steps": "wait"}).run(5)
    before = session.state.market.counters(0).book_gaps
    venue.lose_frame(private=False)
    session.run(30)
    assert (before, session.state.market.counters(0).book_gaps) == (0, 1)
    gaps = [fact for fact in session.facts("market_gap") if fact.get("stream")]
    assert [(gap["first_id"] - gap["last_id"], gap["stream"]) for gap in gaps] == [(2, "depth")]
    assert mode(session) is Mode.RUNNING


def test_a_channel_that_dies_while_heartbeats_go_on_is_subscribed_again(start: CheckedSessions) -> None:
    """The numbers have no gap then: nothing is lost, and nothing comes."""
    venue = Desk()
    session = start(venue, "script", parameters={"steps": "wait"}).run(5)
    venue.fault(action="stop_stream", stream="level2:BTC-USD", heals=True)
    session.run(20)
    (blocked,) = [fact for fact in session.facts("instrument_blocked") if "stream_stale" in json.dumps(fact)]
    sent = [request["unsigned"]["method"] for request in requests(session, "resubscribe")]  # type: ignore[index]
    assert sent == ["unsubscribe", "subscribe"], blocked
    assert session.state.market.counters(0).book_gaps == 0
    assert mode(session) is Mode.RUNNING
    assert not session.state.account.blocks.reasons("coinbase:BTC-USD"), "the new snapshot ended the block"


def test_twelve_products_share_two_connections_with_numbers_of_their_own(start: CheckedSessions) -> None:
    names = [
        f"{coin}-USD"
        for coin in ("BTC", "ETH", "SOL", "ADA", "XRP", "LTC", "DOT", "UNI", "LINK", "ATOM", "ALGO", "AAVE")
    ]
    venue = Desk(symbols=names)
    session = start(venue).run(8)
    links = sorted(session.state.account.links.by_source)
    assert links == ["coinbase.market.0", "coinbase.market.1", "coinbase.private.0"]
    assert [session.state.market.counters(i).book_gaps for i in range(12)] == [0] * 12
    assert all(session.state.market.book_top(i, 1) is not None for i in range(12))
    assert mode(session) is Mode.RUNNING
    venue.channels.sockets[min(venue.channels.sockets)].number += 1
    session.run(5)
    broken = [session.state.market.counters(i).book_gaps for i in range(12)]
    assert broken == [1] * 10 + [0] * 2, "the other connection lost nothing"
