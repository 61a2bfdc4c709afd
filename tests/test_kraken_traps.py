"""The traps of Kraken's fact sheet, one test for each; docs/kraken.md has the table."""

import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from checked_sessions import CheckedSessions, mode, notes
from kraken_desk import LIMITS, OWN, PRIVATE, Desk, check_books, private_rows, requests
from msgspec import structs

from engine.events import AccountReport, Answer, OrderReport, VenueStatus
from engine.live.send_turns import SendTurns
from engine.market import rows as r
from engine.market.views import BookState
from engine.mode_reasons import Mode
from engine.model import Instrument, OrderType, Side, TimeInForce
from engine.order_terms import RecordedTerms, terms_of
from engine.requests import Unsigned
from engine.venues.kraken import Kraken
from engine.venues.kraken.calls import ORDER_IDS
from engine.venues.kraken.market import KrakenMarket
from journal.record import Kind
from verbatim.subscription_answers import answer_text
from verbatim.testing import VirtualSession

VECTORS = Path(__file__).parent / "vectors" / "kraken"
ADD = {"method": "POST", "path": f"{PRIVATE}AddOrder"}


def kraken() -> Kraken:
    return Kraken(Kraken(()).metadata.read((VECTORS / "metadata.json").read_bytes()).instruments)


def statuses(session: VirtualSession) -> list[str]:
    return sorted(order.status.value for order in session.state.account.orders.all())


def payloads(session: VirtualSession, source: str, word: bytes) -> list[bytes]:
    found = [record.payload or b"" for record in session.records if record.source == source]
    return [payload for payload in found if word in payload]


def test_1_one_book_that_fails_its_checksum_is_begun_again_and_the_others_stay(start: CheckedSessions) -> None:
    """Only this pair's book channel is unsubscribed and subscribed; the link, and the other pair, live on."""
    venue = Desk(symbols=("BTC/USD", "ETH/USD"))
    session = start(venue, "script", parameters={"steps": "wait"}, limits=LIMITS, own_symbols={}).run(5)
    venue.fault(action="stop_stream", stream="book-100:BTC/USD", ms=800)  # its updates are lost, not the link
    session.run(10, until=lambda s: any(fact["stream"] == "checksum" for fact in s.facts("market_gap")))
    market = session.state.market
    assert [market.book_state(i) for i in (0, 1)] == [BookState.BROKEN, BookState.SYNCED]
    (gap,) = [fact for fact in session.facts("market_gap") if fact["stream"] == "checksum"]
    assert (gap["instrument"], gap["reason"]) == ("kraken:BTC/USD", "the book's checksum differs from the venue's")
    assert mode(session) is Mode.RUNNING, "the other pair trades"
    session.run(2)
    assert [market.book_state(i) for i in (0, 1)] == [BookState.SYNCED, BookState.SYNCED]
    methods = [request["unsigned"]["method"] for request in requests(session, "resubscribe")]
    assert methods == ["unsubscribe", "subscribe"]
    assert [r for r in session.kinds(Kind.LINK) if r.source == "kraken.market.0" and "down" in (r.body or "")] == []


class Shallow(Kraken):
    """Kraken with the least depth that its checksums cover, so that levels are pushed out of it all the time."""

    depth = 10

    def __init__(self, instruments: Sequence[Instrument], recv_window_ms: int = 5_000) -> None:
        super().__init__(instruments, recv_window_ms)
        self.market = KrakenMarket(self.instruments, depth=self.depth)

    def subscriptions(self, source: str) -> tuple[Unsigned, ...]:
        return tuple(
            structs.replace(
                each, params=tuple((name, str(self.depth) if name == "depth" else value) for name, value in each.params)
            )
            for each in super().subscriptions(source)
        )


def test_2_levels_pushed_out_of_the_depth_never_come_back(start: CheckedSessions) -> None:
    """The venue sends no deletion for them. Every message agrees with its checksum, which covers the whole depth."""
    from verbatim.testing import VirtualVenue  # a market that moves

    venue = VirtualVenue(kind="kraken", symbols=("BTC/USD",), seed=3)
    session = start(venue, limits=LIMITS, dialect=f"{__name__}:Shallow").run(20)
    updates = [json.loads(payload)["data"][0] for payload in payloads(session, "kraken.market.0", b'"update"')
               if b'"book"' in payload]  # fmt: skip
    added = sum(float(level["qty"]) > 0 for row in updates for level in row["bids"])
    removed = sum(float(level["qty"]) == 0 for row in updates for level in row["bids"])
    assert len(updates) > 150
    assert added > removed, "some levels were pushed out without a word"
    market = session.state.market
    assert (market.counters(0).book_gaps, market.book_state(0)) == (0, BookState.SYNCED)
    assert [len(market.levels(0, side)) for side in (r.BID, r.ASK)] == [Shallow.depth] * 2


def test_3_later_frames_name_an_order_by_the_venues_id_alone(start: CheckedSessions) -> None:
    session = start(Desk(), "script", parameters={"steps": "buy 0.01"}, limits=LIMITS).run(20)
    rows = private_rows(session)
    assert [row["exec_type"] for row in rows] == ["pending_new", "new", "trade", "filled"]
    assert [("cl_ord_id" in row, "symbol" in row) for row in rows] == [(True, True)] + [(False, False)] * 3
    (fact,) = session.facts("order_filled")
    assert (fact["strategy"], fact["side"], fact["instrument"]) == ("script", "BUY", "kraken:BTC/USD")
    check_books(session)


def test_4_a_trade_and_the_filled_after_it_are_one_fill(start: CheckedSessions) -> None:
    """The last trade says partially_filled; `filled` states no fill."""
    session = start(Desk(), "script", parameters={"steps": "buy 0.01"}, limits=LIMITS).run(20)
    rows = private_rows(session)
    assert [(row["exec_type"], row["order_status"]) for row in rows[2:]] == [
        ("trade", "partially_filled"), ("filled", "filled")
    ]  # fmt: skip
    assert len(session.facts("order_filled")) == 1
    assert statuses(session) == ["filled"]
    check_books(session)


@pytest.mark.parametrize("fault", [{"action": "cut_answer"}, {"action": "error_after", "status": 520}, {
    "action": "error_after", "status": 200, "msg": "EService:Timeout"}])  # fmt: skip
def test_5_an_order_whose_answer_is_lost_or_a_firewalls_page_was_placed(
    start: CheckedSessions, fault: dict[str, Any]
) -> None:
    venue = Desk()
    venue.fault(**fault, **ADD)
    venue.fault(action="drop_events", event="executions", times=0)
    session = start(venue, "once", parameters={"below": Decimal(100)}, limits=LIMITS, own_symbols=OWN)
    session.run(until=lambda s: bool(s.facts("order_unknown")))
    assert statuses(session) == ["unknown"]
    session.run(30)
    assert statuses(session) == ["open"]
    assert len(requests(session, "place")) == 1
    check_books(session)


async def test_6_requests_with_nonces_leave_one_after_the_other() -> None:
    """Two at once could arrive in the other order. One that hangs for more than a second keeps no cancel."""
    venue, turns, done = kraken(), SendTurns(), list[str]()

    async def send(name: str, seconds: float) -> None:
        async with turns.turn(venue):
            done.append(f"{name} begins")
            await trio.sleep(seconds)
            done.append(f"{name} ends")

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            for name, seconds in (("query", 0.01), ("order", 0.02), ("hung", 1.4), ("cancel", 0)):
                nursery.start_soon(send, name, seconds)
                await trio.testing.wait_all_tasks_blocked()
    assert done[:5] == ["query begins", "query ends", "order begins", "order ends", "hung begins"]
    assert done[5:] == ["cancel begins", "cancel ends", "hung ends"]


def test_6_the_venue_refuses_a_nonce_that_does_not_rise(start: CheckedSessions) -> None:
    venue = Desk()
    session = start(venue, "script", parameters={"steps": "buy 0.01;close"}, limits=LIMITS).run(30)
    assert venue.protocol.tokens.invalid_nonces == 0
    assert venue.call("Balance", nonce=venue.now_ns + 10**15)["error"] == []
    session.run(1)
    check_books(session)
    last = venue.call("Balance")["error"]
    assert last == []
    venue.protocol.tokens._nonces[venue.credentials.key] = 2**63
    assert venue.call("Balance")["error"] == ["EAPI:Invalid nonce"]
    venue.protocol.tokens.invalid_nonces = 0


def test_7_an_order_that_filled_at_once_is_found_among_the_closed_ones(start: CheckedSessions) -> None:
    """It is in no list of open orders: only the second query, of closed ones, may prove an order absent."""
    venue = Desk()
    venue.fault(action="cut_answer", **ADD)
    venue.fault(action="drop_events", event="executions", times=0)
    session = start(venue, "once", limits=LIMITS, own_symbols=OWN)
    session.run(until=lambda s: bool(s.facts("order_unknown")))
    session.run(30)
    paths = [request["unsigned"]["path"] for request in requests(session, "query_order")]
    assert paths == [f"{PRIVATE}OpenOrders", f"{PRIVATE}ClosedOrders"]
    assert statuses(session) == ["filled"]
    check_books(session)


def test_7_an_order_that_never_arrived_is_absent_by_both_lists(start: CheckedSessions) -> None:
    venue = Desk()
    venue.fault(action="drop_request", **ADD)
    session = start(venue, "once", parameters={"below": Decimal(100)}, limits=LIMITS, own_symbols=OWN).run(90)
    assert statuses(session) == ["not_placed"]
    check_books(session)


def test_8_rest_that_is_half_a_minute_behind_the_stream_closes_nothing(start: CheckedSessions) -> None:
    venue = Desk()
    venue.fault(action="list_lag", ms=30_000)
    steps = {"steps": "buy 0.01;buy 0.01 limit -1;cancel;sell 0.01"}
    session = start(venue, "script", parameters=steps, limits=LIMITS).run(25)
    session.command("reconcile").run(10)
    assert statuses(session) == ["canceled", "filled", "filled"]
    assert mode(session) is not Mode.HALTED
    venue.fault(action="list_lag", ms=0)
    session.run(40)
    assert mode(session) is Mode.RUNNING
    check_books(session)


def test_9_client_ids_have_18_characters_and_none_is_cut(start: CheckedSessions) -> None:
    made = {
        ORDER_IDS.make(session="k3v9x2ab", strategy="a strategy with a very long name", version="1", seq=seq, leg=leg)
        for seq in range(2_000)
        for leg in range(3)
    }
    assert len(made) == 6_000
    assert {len(name) for name in made} == {18}
    assert {ORDER_IDS.session_of(name) for name in made} == {"k3v9x2ab"}
    venue = Desk()
    order = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "price": "50000", "volume": "0.01"}
    assert venue.call("AddOrder", **order, cl_ord_id="x" * 19)["error"] == ["EGeneral:Invalid arguments:cl_ord_id"]
    for taken in ("x" * 18, "6d1b345e-2821-40e2-ad83-4ecb18a06876", "da8e4ad59b78481c93e589746b0cf91f"):
        assert venue.call("AddOrder", **order, cl_ord_id=taken)["error"] == []
    (error,) = venue.call("AddOrder", **order, cl_ord_id="x" * 18)["error"]
    assert "cl_ord_id" in error, "an open order has it"
    session = start(venue, "script", parameters={"steps": "wait"}, limits=LIMITS).run(5)
    assert len(session.state.account.orders.live) == 3


def test_10_a_loop_of_young_cancels_is_held_back_before_the_venue_refuses_one(start: CheckedSessions) -> None:
    """A cancel within 5 s costs 8 of 60 points: with the counter full, cancels would fail too."""
    venue = Desk(symbols=("BTC/USD", "ETH/USD"))
    session = start(venue, "two", limits=LIMITS, own_symbols=OWN | {"ETH/USD": "ETHUSDT"}).run(60)
    refusals = [json.loads(r.body or "{}")["rules"] for r in session.kinds(Kind.VERDICT)]
    assert any("the rest is kept for cancels" in str(rules) for rules in refusals)
    assert len(requests(session, "cancel")) > 5
    errors = [r.payload for r in session.kinds(Kind.BROKER) if b"EOrder:" in (r.payload or b"")]
    assert errors == []
    session.command("pause").run(3)
    check_books(session)
    for _ in range(8):
        txid = venue.ask("AddOrder", pair="XBTUSD", type="buy", ordertype="limit", price="50000", volume="0.01")[
            "txid"
        ][0]
        last = venue.call("CancelOrder", txid=txid)["error"]
        if last:
            break
    assert last == ["EOrder:Rate limit exceeded"]


def test_a_refusal_whose_code_is_its_text_is_said_once(start: CheckedSessions) -> None:
    """Kraken's errors are words: the code and the text of an answer are the same."""
    said = "EAPI:Rate limit exceeded"
    venue = Desk()
    venue.fault(action="reject", status=200, msg=said, **ADD)
    session = start(venue, "once", parameters={"below": Decimal(100)}, limits=LIMITS, own_symbols=OWN).run(90)
    assert venue.unstruck_faults() == []
    texts = [record.body or "" for record in session.records if said in (record.body or "")]
    assert texts
    assert [text for text in texts if text.count(said) > 1] == []
    (answer,) = (event for event in decoded_error(said) if isinstance(event, Answer))
    assert answer_text([answer]) == f", {said}"
    check_books(session)


def decoded_error(text: str) -> tuple[Any, ...]:
    dialect = kraken()
    body = json.dumps({"error": [text]}).encode()
    return dialect.decode_answer(dialect.account.balances(), "", 200, {}, body)


def test_11_old_names_are_new_ones_and_a_suffix_is_another_asset() -> None:
    venue = kraken()
    held = {
        name: {"balance": "2", "hold_trade": "0.5"} for name in ("XXBT", "ZUSD", "XXDG", "XBT.F", "USD.M", "ETH2.S")
    }
    body = json.dumps({"error": [], "result": held}).encode()
    _, report = venue.decode_answer(venue.account.balances(), "", 200, {}, body)
    assert isinstance(report, AccountReport)
    assert [one.asset for one in report.balances] == ["BTC", "USD", "DOGE", "BTC.F", "USD.M", "ETH2.S"]
    assert (report.balances[0].free, report.balances[0].locked) == (Decimal("1.5"), Decimal("0.5"))
    assert [one.symbol for one in venue.instruments] == ["BTC/USD", "DOGE/USDT", "ADX/USD"]
    sent = [dict(venue.account.place("k3v9x2abqqqqqqqqqq", one, Side.BUY, Decimal(1), terms_of(
        OrderType.MARKET, RecordedTerms(Decimal(0), TimeInForce.IOC))).params)["pair"] for one in venue.instruments]  # fmt: skip
    assert sent == ["XBTUSD", "XDGUSDT", "ADXUSD"]


def test_12_closed_means_filled(start: CheckedSessions) -> None:
    venue = kraken()
    row = {
        "status": "closed", "descr": {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "price": "1", "price2": "0"},
        "vol": "1", "vol_exec": "1",
    }  # fmt: skip
    body = json.dumps({"error": [], "result": {"O1": row}}).encode()
    unsigned = venue.account.query_order(venue.instruments[0], venue_order_id="O1")
    _, report = venue.decode_answer(unsigned, "kraken:BTC/USD", 200, {}, body)
    assert isinstance(report, OrderReport)
    assert report.status is VenueStatus.FILLED
    desk = Desk()
    session = start(desk, "script", parameters={"steps": "buy 0.01;buy 0.01 limit -1;cancel"}, limits=LIMITS).run(25)
    listed = {order["status"] for order in desk.ask("ClosedOrders")["closed"].values()}
    assert listed == {"closed", "canceled"}
    assert statuses(session) == ["canceled", "filled"]


def test_13_each_connection_takes_a_new_token_and_no_record_holds_one(start: CheckedSessions) -> None:
    venue = Desk()
    session = start(venue, "script", parameters={"steps": "wait"}, limits=LIMITS).run(10)
    first = set(venue.protocol.tokens._tokens)
    assert len(first) == 1
    (old,) = first
    tokens = venue.protocol.tokens
    tokens._tokens[old] = (tokens._tokens[old][0], venue.now_ns)  # a quarter of an hour passes
    session.run(5)
    assert mode(session) is Mode.RUNNING, "the subscription that uses it lives on"
    venue.fault(action="disconnect", target="private")
    session.run(10)
    issued = set(venue.protocol.tokens._tokens)
    assert len(issued) == 2
    assert mode(session) is Mode.RUNNING
    text = b"".join((record.payload or b"") + (record.body or "").encode() for record in session.records)
    assert not any(token.encode() in text for token in issued)
    tokens._used.clear()
    assert tokens.account(old, venue.now_ns) is None


def test_14_an_amended_order_keeps_its_ids_and_its_fills(start: CheckedSessions) -> None:
    """`edit_order` would give it another id, and leave its fills with the old one: nothing sends it."""
    venue = Desk()
    session = start(venue, "script", parameters={"steps": "buy 0.02 limit -1"}, limits=LIMITS).run(10)
    (order,) = session.state.account.orders.live.values()
    assert venue.ask("AmendOrder", txid=order.venue_order_id, order_qty="0.01")["amend_id"]
    session.run(5)
    (amended,) = session.state.account.orders.live.values()
    assert (amended.venue_order_id, amended.client_order_id) == (order.venue_order_id, order.client_order_id)
    assert amended.order.quantity == Decimal("0.01")
    calls = kraken().account
    assert calls.amend(kraken().instruments[0], "x", Decimal("0.01"), "O1").path == f"{PRIVATE}AmendOrder"
    check_books(session)


def test_15_no_order_carries_another_that_each_of_its_fills_would_place() -> None:
    venue = kraken()
    of = venue.instruments[0]
    for kind in venue.capabilities.types:
        terms = terms_of(kind, RecordedTerms(Decimal(100), TimeInForce.GTC, stop_price=Decimal(90)))
        sent = dict(venue.account.place("k3v9x2abqqqqqqqqqq", of, Side.SELL, Decimal(1), terms).params)
        assert not any(name.startswith(("close", "conditional")) for name in sent)
    assert venue.capabilities.order_lists == frozenset(), "exits are orders of their own, sized by what was filled"


def test_an_order_that_may_not_match_is_accepted_and_canceled(start: CheckedSessions) -> None:
    venue = Desk()
    session = start(venue, "script", parameters={"steps": "wait"}, limits=LIMITS).run(5)
    crossing = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "price": "70000", "volume": "0.01"}
    (txid,) = venue.ask("AddOrder", **crossing, oflags="post")["txid"]
    session.run(3)
    assert statuses(session) == ["canceled"]
    assert venue.ask("QueryOrders", txid=txid)[txid]["reason"] == "Post only order"


def test_a_deadline_that_passed_is_settled_by_queries(start: CheckedSessions) -> None:
    """The text says that it never executed; the order is queried nevertheless, and then absent."""
    venue = Desk()
    venue.fault(action="reject", status=200, msg="EService:Deadline elapsed", **ADD)
    session = start(venue, "once", parameters={"below": Decimal(100)}, limits=LIMITS, own_symbols=OWN).run(90)
    assert statuses(session) == ["not_placed"]
    assert venue.sim.exchange.client_ids_seen == {}
    assert not notes(session, "alarm")
