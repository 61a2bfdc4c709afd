"""Budgets and breakers: what may be repeated, how often, and what one limit never stops.

Against the simulated venue in virtual time; each journal is read back from the disk and replayed. Cases: order_count_limit
(also c2_1015), refused_for_ever; scenarios S10, S11.
"""

import json
from collections import Counter
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from beat_market import BeatMarket
from calm_venue import CalmVenue
from checked_sessions import CheckedSessions, mode, notes
from msgspec.structs import replace
from strategies.each import Each

from engine.bodies import VerdictBody
from engine.mode_reasons import Mode
from engine.session_record import SAFEGUARDS, SECOND_NS, EngineSettings, RiskSettings, new_engine_settings
from engine.sim.wire import HttpRequest
from engine.state import breakers
from engine.state.changes import Stamp
from engine.state.orders import Orders
from journal.record import Kind, Record
from verbatim.testing import VirtualSession, VirtualVenue

SOON = replace(SAFEGUARDS, metadata_every_ns=10 * SECOND_NS)
ORDER = {"method": "POST", "path": "/api/v3/order"}
TOO_MANY = {"status": 429, "code": -1015, "msg": "Too many new orders; current limit is 200000 orders per 1 DAY."}
BTC, ETH = "binance_spot:BTCUSDT", "binance_spot:ETHUSDT"


def purposes(records: list[Record]) -> Counter[str]:
    return Counter(json.loads(record.body or "")["purpose"] for record in records if record.kind is Kind.REQUEST)


def requests(session: VirtualSession, purpose: str) -> list[Record]:
    return [record for record in session.kinds(Kind.REQUEST) if purposes([record])[purpose]]


# ---- the number of orders ----------------------------------------------------------------------


def test_order_count_limit_stops_new_orders_alone(begin: CheckedSessions) -> None:
    """Five orders rest when the venue refuses the sixth: cancels, queries and reconnects continue in mode RUNNING."""
    venue = CalmVenue()
    session = begin(venue, "spam", engine=EngineSettings(reconcile_every_ns=5 * SECOND_NS))
    session.run(5, until=lambda s: len(s.facts("order_accepted")) == 5)
    venue.fault(action="reject", times=0, **TOO_MANY, **ORDER)
    session.run(3)
    resting = len(venue.get("/sim/state")["open_orders"])
    assert resting >= 5
    at = len(session.records)
    venue.fault(action="disconnect", target="private")
    session.run(10)
    assert mode(session) is Mode.RUNNING
    asked = purposes(session.records[at:])
    assert asked["connect"] == asked["subscribe"] == 1, "a limit of orders holds up no link"
    assert asked["open_orders"] >= 2
    session.command("cancel_all").run(2)
    assert purposes(session.records[at:])["cancel"] == resting
    assert venue.get("/sim/state")["open_orders"] == []
    assert session.facts("rate_blocked") == []


@pytest.mark.slow
def test_order_count_limit_is_not_hammered(begin: CheckedSessions) -> None:
    """c2_1015: 44 orders a minute and a reconciliation after each; now the wait doubles, and everything else is idle."""
    venue = VirtualVenue()
    venue.fault(action="reject", times=0, **TOO_MANY, **ORDER)
    session = begin(venue, "spam").run(100)
    sent_s = [(record.time_ns - session.body.started_ns) // SECOND_NS for record in requests(session, "place")]
    waits = [later - earlier for earlier, later in pairwise(sent_s)]
    assert 3 <= len(sent_s) <= 5
    assert waits == sorted(waits)
    assert waits[0] >= 10
    assert waits[-1] > 3 * waits[0]
    assert [fact["wait_ns"] // SECOND_NS for fact in session.facts("orders_blocked")][:3] == [10, 20, 40]
    assert mode(session) is Mode.RUNNING
    assert purposes(session.records)["open_orders"] <= 100 // 60 + 2
    assert len(session.kinds(Kind.VERDICT)) < 100, "a refusal of each quote would be 1,000"


@pytest.mark.slow
def test_order_count_limit_of_ten_seconds_is_kept_without_asking(begin: CheckedSessions) -> None:
    """Our own count stops new orders before the venue does; the venue counts each account's orders."""
    venue = CalmVenue(limits={"orders_10s_max": 8})
    session = begin(venue, "spam", limits={"orders_10s_max": 8}).run(60)
    assert session.facts("orders_blocked") == []
    sent = Counter(record.time_ns // (10 * SECOND_NS) for record in requests(session, "place"))
    assert max(sent.values()) == 8
    assert {order.status.value for order in session.state.account.orders.all()} == {"open"}


@pytest.mark.slow
def test_order_count_limit_of_a_day_follows_the_venues_own_count(begin: CheckedSessions) -> None:
    venue = CalmVenue(limits={"orders_day_max": 12})
    session = begin(venue, "spam", limits={"orders_day_max": 12}).run(60)
    assert len(requests(session, "place")) == 12
    assert session.state.account.limits.get("binance_spot").orders_day == 12
    assert session.facts("orders_blocked") == []


@pytest.mark.slow
def test_order_count_limit_used_up_by_others_is_refused_without_a_wait(begin: CheckedSessions) -> None:
    """The venue states no wait with -1015, also where another program used the limit up."""
    venue = CalmVenue(limits={"orders_10s_max": 8})
    session = begin(venue, "spam", limits={"orders_10s_max": 100}).run(60)
    refusals = [
        json.loads(record.meta or "{}")["headers"]
        for record in session.kinds(Kind.BROKER)
        if b"-1015" in (record.payload or b"")
    ]
    assert refusals
    assert all("retry-after" not in headers for headers in refusals)
    assert len(refusals) <= 4
    assert mode(session) is Mode.RUNNING


# ---- request weight and bans -------------------------------------------------------------------


@pytest.mark.slow
def test_s11_a_ban_is_waited_out_and_no_request_leaves_before_its_end(begin: CheckedSessions) -> None:
    """429, then 418: the second one's wait counts, and the private link is not opened either."""
    venue = CalmVenue()
    session = begin(venue, "once", parameters={"below": "100"}).run(5)
    venue.fault(action="rate_limit", method="GET", path="/api/v3/openOrders", retry_after_s=30)
    venue.fault(action="reject", method="DELETE", status=418, code=-1003, msg="Way too much", retry_after_s=90)
    session.command("reconcile").command("cancel_all").run(2)
    venue.fault(action="disconnect", target="private")
    session.run(100)
    blocked = session.facts("rate_blocked")
    until_ns = blocked[-1]["until_ns"]
    at = next(record for record in session.records if f'"until_ns":{until_ns}' in (record.body or ""))
    wire = [record for record in session.kinds(Kind.REQUEST) if record.seq > at.seq]
    assert wire
    assert all(record.time_ns >= until_ns for record in wire), purposes(wire)
    assert until_ns - at.time_ns >= 29 * SECOND_NS
    assert mode(session) is Mode.PAUSED, "only the order to cancel all is left as a reason"
    session.command("cancel_all").run(3)
    assert venue.get("/sim/state")["open_orders"] == []


@pytest.mark.slow
@pytest.mark.parametrize("max_s", [5, 0])
def test_s11_a_refusal_for_the_rate_without_a_time_is_waited_out_longer_each_time(
    begin: CheckedSessions, max_s: int
) -> None:
    """429 without Retry-After: 1 s for ever before; now doubled up to the limit, and 1 s again after a quiet time."""
    venue = CalmVenue()
    safeguards = replace(SAFEGUARDS, rate_backoff_max_ns=max_s * SECOND_NS)
    session = begin(venue, "once", parameters={"below": "100"}, safeguards=safeguards).run(5)
    too_many = {"action": "reject", "status": 429, "code": -1003, "msg": "Too many requests.", "times": 0}
    venue.fault(method="GET", path="/api/v3/openOrders", **too_many)
    session.command("reconcile").run(20)
    assert venue.unstruck_faults() == []
    waits = [round((until - at) / SECOND_NS) for at, until in rate_blocks(session)]
    assert waits[:5] == ([1, 2, 4, 5, 5] if max_s else [1] * 5)
    assert mode(session) is not Mode.RUNNING
    venue.sim.faults.clear()
    session.run(100, until=lambda s: mode(s) is Mode.RUNNING).run(25)
    venue.fault(method="GET", path="/api/v3/openOrders", **{**too_many, "times": 1})
    known = len(waits := rate_blocks(session))
    session.command("reconcile").run(3)
    [(at, until)] = rate_blocks(session)[known:]
    assert until - at == SECOND_NS
    assert mode(session) is Mode.RUNNING


def rate_blocks(session: VirtualSession) -> list[tuple[int, int]]:
    """Return the session time of each block of the venue, and its end."""
    records = [record for record in session.kinds(Kind.FACT) if '"rate_blocked"' in (record.body or "")]
    return [(record.time_ns, json.loads(record.body or "")["until_ns"]) for record in records]


def test_s11_cancels_keep_their_budget(begin: CheckedSessions) -> None:
    """With four fifths of the weight used by another program, queries and new orders wait and cancels leave."""
    venue = CalmVenue()
    session = begin(venue, "once", parameters={"below": "100", "orders": 2}).run(5)
    session.run(61, until=lambda s: s.state.time_ns // SECOND_NS % 60 == 5)
    for _ in range(20):  # of another program at the same address
        venue.sim.http(
            venue.new_conn_id(),
            HttpRequest(method="GET", path="/api/v3/depth", query=b"symbol=BTCUSDT&limit=5000", headers={}),
            venue.now_ns,
        )
    session.command("reconcile").run(1)
    assert session.state.account.limits.get("binance_spot").weight >= 4800
    at = len(session.records)
    session.command("cancel_all").run(2)
    assert purposes(session.records[at:]) == {"cancel": 1}
    assert venue.get("/sim/state")["open_orders"] == []
    assert session.facts("rate_blocked") == []


# ---- breakers ----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "code", "text"),
    [
        (400, -1013, "Market is closed."),
        (400, -2010, "This action is disabled on this account."),
        (400, -1013, "Filter failure: NOTIONAL"),
    ],
)
def test_refused_for_ever_pauses_the_instrument(begin: CheckedSessions, status: int, code: int, text: str) -> None:
    """601 orders a minute before; now ten, and one after each pause, which doubles."""
    venue = VirtualVenue()
    venue.fault(action="reject", times=0, status=status, code=code, msg=text, **ORDER)
    session = begin(venue, "spam").run(60)
    assert len(requests(session, "place")) <= 13
    assert len(session.kinds(Kind.VERDICT)) <= 13
    tripped = session.facts("breaker_tripped")
    assert [fact["subject"] for fact in tripped] == [BTC] * len(tripped)
    assert text in notes(session, "alarm")[0]
    assert "resume-instrument" in notes(session, "alarm")[0]
    assert mode(session) is Mode.RUNNING
    venue.sim.faults.clear()
    session.command("resume_instrument", about="BTCUSDT").run(0.5)
    assert len(session.state.account.orders.live) > 2, "it trades at once"
    assert f"instrument {BTC}" not in session.state.account.breakers.pauses


@pytest.mark.slow
def test_refused_for_ever_spares_the_other_instruments(begin: CheckedSessions) -> None:
    venue = VirtualVenue(symbols=("BTCUSDT", "ETHUSDT"))
    venue.fault(action="change_rules", symbol="BTCUSDT", rules={"status": "BREAK"})
    session = begin(venue, "two", engine=new_engine_settings()).run(12)
    placed = Counter(json.loads(record.body or "")["instrument"] for record in requests(session, "place"))
    assert placed[BTC] <= 12
    assert placed[ETH] > 20


def test_refused_for_ever_by_silence_pauses_the_instrument(begin: CheckedSessions) -> None:
    """Orders without an answer count too: each one is proved absent, and the next one is lost as well."""
    venue = CalmVenue()
    venue.fault(action="reject", times=0, status=503, code=-1000, msg="down", **ORDER)
    session = begin(
        venue, "once", parameters={"orders": 1000, "below": "100"}, safeguards=replace(SAFEGUARDS, rejections_max=3)
    ).run(80)
    [*_, last] = session.facts("breaker_tripped")
    assert last["reason"] == "no answer"
    assert last["subject"] == BTC
    assert len(session.facts("order_unknown")) <= 5
    assert any("no answer" in text for text in notes(session, "alarm"))


@pytest.mark.slow
@pytest.mark.parametrize("paused_exits", [True, False])
def test_refusal_storm_of_our_own_rules_pauses_the_strategy(begin: CheckedSessions, paused_exits: bool) -> None:
    """133,512 records in 20 s before; while it pauses, the strategy places nothing, and its orders are cancelled."""
    venue = VirtualVenue()
    risk = RiskSettings(position_max=Decimal("0.0055"))
    safeguards = replace(SAFEGUARDS, paused_exits=paused_exits)
    session = begin(venue, "spam", risk=risk, parameters={"size": "0.001"}, safeguards=safeguards)
    session.run(5, until=lambda s: bool(s.facts("breaker_tripped")))
    assert 20 <= len(refused(session)) <= 22
    at = len(session.records)
    session.run(9)
    assert venue.get("/sim/state")["open_orders"] == [], "a strategy that does not run manages no orders"
    kinds = Counter(record.kind for record in session.records[at:])
    assert kinds[Kind.FEED] > 1000
    assert kinds[Kind.INTENT] == kinds[Kind.VERDICT] == 0
    assert "position" in notes(session, "alarm")[0]
    assert "resume-strategy spam" in notes(session, "alarm")[0]
    session.command("resume_strategy", about="spam")
    session.run(5, until=lambda s: len(s.state.account.orders.live) == 5)


@pytest.mark.slow
def test_refusal_storm_stays_bounded_for_hours(begin: CheckedSessions) -> None:
    venue = VirtualVenue(market=BeatMarket(sizes=7))
    session = begin(venue, "spam", risk=RiskSettings(order_size_max=Decimal("0.0001"))).run(80)
    assert len(session.kinds(Kind.VERDICT)) < 30
    waits = [
        round(fact["until_ns"] - record.time_ns, -9) // SECOND_NS for fact, record in tripped_with_records(session)
    ]
    assert waits == [10, 20, 40, 80]


def refused(session: VirtualSession) -> list[dict[str, str]]:
    """Return the rules of the verdicts that refused an intent."""
    verdicts = (json.loads(record.body or "") for record in session.kinds(Kind.VERDICT))
    return [verdict["rules"] for verdict in verdicts if not verdict["approved"]]


def tripped_with_records(session: VirtualSession) -> list[tuple[dict[str, Any], Record]]:
    records = [record for record in session.kinds(Kind.FACT) if '"breaker_tripped"' in (record.body or "")]
    return [(json.loads(record.body or ""), record) for record in records]


@pytest.mark.parametrize(("keeps_newest", "reason"), [(True, "would trade with o3"), (False, "would trade with o1")])
def test_a_breaker_names_the_newest_of_equal_refusals(keeps_newest: bool, reason: str) -> None:
    """Before order_rules 5 it named the first one, whose order may have ended long ago."""
    counted = breakers.Breakers()
    for seq in (1, 2, 3):
        refusal = VerdictBody(False, {"self_trade": f"would trade with o{seq}"}, "cross", BTC)
        counted = breakers.reduce(
            counted, refusal, Stamp(seq, seq), orders=Orders(), settings=SAFEGUARDS, keeps_newest=keeps_newest
        )
    (tally,) = counted.tallies["strategy cross"].values()
    assert (tally.count, tally.reason) == (3, reason)


def test_a_pause_outlives_a_restart(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    venue.fault(action="reject", times=0, status=400, code=-1013, msg="Market is closed.", **ORDER)
    session = begin(venue, "spam").run(20)
    opening, before = session.state, session
    session.kill()
    venue.now_ns += SECOND_NS
    again = begin(venue, "spam", previous=before, opening=opening).run(5)
    assert requests(again, "place") == []
    assert again.state.account.breakers.pauses.keys() == {f"instrument {BTC}"}


# ---- cancels -----------------------------------------------------------------------------------


def test_s10_a_cancel_refused_for_ever_is_not_sent_for_ever(begin: CheckedSessions) -> None:
    """Its interval doubles; after five there is an alarm, and a query by the venue's id."""
    venue = CalmVenue()
    session = begin(venue, "nervous").run(5, until=lambda s: bool(s.facts("order_accepted")))
    venue.fault(
        action="reject", times=0, method="DELETE", path="/api/v3/order",
        status=400, code=-2011, msg="This action is disabled on this account.",
    )  # fmt: skip
    session.run(70)
    sent_s = [(record.time_ns - session.body.started_ns) / SECOND_NS for record in requests(session, "cancel")]
    assert 5 <= len(sent_s) <= 7, "70 before"
    waits = [later - earlier for earlier, later in pairwise(sent_s[1:])]
    assert all(later > 1.8 * earlier for earlier, later in pairwise(waits)), waits
    assert "refused 5 cancels" in notes(session, "alarm")[0]
    asked = [json.loads(record.body or "")["unsigned"]["params"] for record in requests(session, "query_order")]
    assert any("orderId" in dict(params) for params in asked)
    assert len(session.kinds(Kind.VERDICT)) < 20, "repeating a cancel that is under way is not worth a record"
    venue.sim.faults.clear()
    session.command("cancel_all").run(2)
    assert venue.get("/sim/state")["open_orders"] == [], "an order of a person does not wait"
    session.command("pause").run(1)


# ---- rules that change -------------------------------------------------------------------------


def test_a_filter_that_the_venue_changes_is_read_again(begin: CheckedSessions) -> None:
    """A refusal by a filter reads the instruments again; from then on our own rules refuse what the venue would."""
    venue = CalmVenue()
    session = begin(venue, "sizes", parameters={"size": "0.00201"}).run(5)
    placed = len(requests(session, "place"))
    assert placed > 3
    venue.fault(action="change_rules", symbol="BTCUSDT", rules={"lot_size": "0.0001", "quantity_min": "0.0001"})
    session.run(5)
    [changed] = session.facts("instrument_changed")
    assert changed["instrument"]["lot_size"] == "0.0001"
    assert session.state.account.instruments.by_id[BTC].lot_size == Decimal("0.0001")
    refused = [json.loads(record.body or "")["rules"] for record in session.kinds(Kind.VERDICT)][-1]
    assert "lot" not in refused
    assert len(requests(session, "exchange_info")) == 1
    rejected = [fact for fact in session.facts("order_closed") if fact["status"] == "rejected"]
    assert 1 <= len(rejected) <= 2, "the strategy rounds by the instrument as it is now"


def test_a_trading_status_is_read_on_schedule(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    session = begin(venue, "once", parameters={"orders": 0}, safeguards=SOON).run(5)
    venue.fault(action="change_rules", symbol="BTCUSDT", rules={"status": "HALT"})
    session.run(10)
    [changed] = session.facts("instrument_changed")
    assert changed["instrument"]["trading"] is False
    assert notes(session, "alarm") == [f"{BTC} changed: trading is False, was True"]


def test_a_finer_grid_than_the_session_has_stops_the_instrument(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    session = begin(venue, "once", parameters={"orders": 0}, safeguards=SOON).run(5)
    venue.fault(action="change_rules", symbol="BTCUSDT", rules={"tick_size": "0.0001"})
    session.run(10)
    [changed] = session.facts("instrument_changed")
    assert changed["instrument"]["trading"] is False
    assert changed["instrument"]["tick_size"] == "0.01"
    assert "needs more decimals" in notes(session, "alarm")[0]


def test_an_account_that_may_not_trade_is_not_running(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    session = begin(venue, "once", parameters={"below": "100"}).run(5)
    venue.fault(action="allow_trading", on=False)
    session.command("reconcile").run(2)
    assert mode(session) is Mode.SYNCING
    assert "may not trade" in notes(session, "alarm")[0]
    venue.fault(action="allow_trading", on=True)
    session.run(70)
    assert mode(session) is Mode.RUNNING


# ---- many instruments --------------------------------------------------------------------------


@pytest.mark.slow
def test_forty_instruments_start_and_trade_within_one_minute_of_weight(begin: CheckedSessions) -> None:
    """40 snapshots of 250 are more than a minute's 6,000: they are as deep as fits, and the rest is not touched."""
    venue = CalmVenue(symbols=Each.instruments)
    session = begin(venue, "each", engine=new_engine_settings())
    session.run(4)
    assert mode(session) is Mode.RUNNING
    assert session.state.account.modes.reasons == ()
    assert {order.order.instrument for order in session.state.account.orders.live.values()} == {
        f"binance_spot:{name}" for name in Each.instruments
    }
    weights = {json.loads(record.body or "")["unsigned"]["weight"] for record in requests(session, "depth")}
    assert weights == {50}
    assert session.facts("rate_blocked") == []


@pytest.mark.slow
def test_instruments_trade_each_as_it_becomes_ready(begin: CheckedSessions) -> None:
    """Where a minute's budget holds no more snapshots, those that are ready trade while others wait their turn."""
    names = Each.instruments[:12]
    venue = CalmVenue(symbols=names, limits={"weight_max": 1200})
    session = begin(
        venue, "each", parameters={"count": 12}, engine=new_engine_settings(), limits={"weight_minute_max": 1200}
    )
    session.run(5)
    assert mode(session) is Mode.RUNNING
    assert 3 <= len({order.order.instrument for order in session.state.account.orders.live.values()}) < 12
    session.run(65)
    assert len({order.order.instrument for order in session.state.account.orders.live.values()}) == 12
    assert session.facts("rate_blocked") == []


# ---- other programs ----------------------------------------------------------------------------


def test_another_programs_orders_do_not_use_up_open_orders_max(begin: CheckedSessions) -> None:
    venue = VirtualVenue()
    other = begin(venue, "spam", risk=RiskSettings(open_orders_max=10), parameters={"below": "500"})
    other.run(5, until=lambda s: len(s.facts("order_accepted")) == 10)
    other.kill()
    engine = replace(new_engine_settings(), halt_on_rival=False)  # the orders bear a mark of ours
    risk = RiskSettings(open_orders_max=5)
    session = begin(venue, "once", risk=risk, engine=engine, parameters={"below": "100"}).run(10)
    adopted = [order.adopted for order in session.state.account.orders.live.values()]
    assert sorted(adopted) == [False] + [True] * 10
