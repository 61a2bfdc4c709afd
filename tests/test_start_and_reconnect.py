"""The order of a start, orders during a disconnect, rounds of reconciliation, and cadences (H1 to H4, G5, G6, C4, C11).

In virtual time against the simulated venue.
"""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from checked_sessions import CheckedSessions, check_books, mode
from msgspec.structs import replace
from strategies.each import Each

from engine.lifecycle import Status
from engine.mode_reasons import Mode
from engine.session_record import SECOND_NS, RiskSettings, new_engine_settings
from journal.record import Kind, Record
from verbatim.testing import VirtualSession, VirtualVenue, from_sources

MARKET, PRIVATE = "binance_spot.market.0", "binance_spot.private.0"
CLOCKED = """
from dataclasses import dataclass

from verbatim import Every


class Clocked:
    version = "1"
    instruments = ("BTCUSDT",)

    @dataclass
    class Parameters:
        ms: int = 500

    @dataclass
    class State:
        times: int = 0

    @staticmethod
    def cadence(parameters):
        return Every(ms=parameters.ms)

    @staticmethod
    def decide(view, state, parameters):
        state.times += 1
"""


def body_of(record: Record) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(record.body or "{}")
    return found


def seqs(session: VirtualSession, kind: Kind, **fields: str) -> list[int]:
    """Return the seqs of the records of a kind whose bodies have these fields."""
    bodies = [(record.seq, body_of(record)) for record in session.kinds(kind)]
    return [seq for seq, body in bodies if all(body.get(name) == value for name, value in fields.items())]


def places(records: Sequence[Record]) -> int:
    return sum(record.kind is Kind.REQUEST and body_of(record)["purpose"] == "place" for record in records)


# ---- H1, H2: a start -----------------------------------------------------------------------------


@pytest.mark.slow
def test_a_start_loads_then_connects_then_reconciles_and_only_then_runs_strategies(begin: CheckedSessions) -> None:
    """The session's state is in its first record; no strategy decides before links, books and a whole round."""
    venue = VirtualVenue()
    first = begin(venue, "ladder").run(10)
    resting = first.state.account.orders.live.keys()
    assert resting
    first.kill()
    session = begin(venue, "ladder", previous=first, opening=first.state).run(10)
    assert body_of(session.records[0])["opening"]["account"]["orders"]["live"].keys() == resting
    connects = seqs(session, Kind.REQUEST, purpose="connect")
    ups = [record.seq for record in session.kinds(Kind.LINK) if body_of(record)["state"] == "up"]
    queries = [seqs(session, Kind.REQUEST, purpose=purpose)[0] for purpose in ("open_orders", "account", "fills")]
    done = seqs(session, Kind.FACT, fact="reconciled")[0]
    running = seqs(session, Kind.FACT, fact="mode", mode="running")[0]
    decided = [record.seq for record in session.kinds(Kind.INTENT)]
    assert 0 < max(connects) < max(ups) < max(queries) < done <= running
    assert not decided or running < decided[0]
    assert session.state.account.orders.live.keys() >= resting, "they are known, and none is placed again"
    assert len(venue.get("/sim/state")["open_orders"]) == len(resting)


# ---- H3, H4: a disconnect ------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("target", ["market", "private"])
def test_no_order_leaves_from_the_loss_of_a_link_until_nothing_can_have_been_missed(
    begin: CheckedSessions, target: str
) -> None:
    """The strategy places with each quote. It does not run until a round that began with all links up is done."""
    venue = VirtualVenue()
    session = begin(venue, "spam", risk=RiskSettings(open_orders_max=0)).run(2)
    assert places(session.records) > 3
    at = len(session.records)
    venue.fault(action="disconnect", target=target)
    venue.fault(action="drop_request", method="GET", times=4)  # the first queries of the round are lost
    session.run(60, until=lambda s: mode(s) is not Mode.RUNNING).run(60, until=lambda s: mode(s) is Mode.RUNNING).run(2)
    after = session.records[at:]
    down = next(r.seq for r in after if r.kind is Kind.LINK and body_of(r)["state"] == "down")
    up = next(r.seq for r in after if r.kind is Kind.LINK and body_of(r)["state"] == "up")
    back = next(r.seq for r in after if r.kind is Kind.FACT and body_of(r).get("mode") == "running")
    assert down < up < back
    assert places(session.records[down : back + 1]) == 0
    assert not [r for r in session.records[down : back + 1] if r.kind is Kind.INTENT]
    whole = [seq for seq in seqs(session, Kind.REQUEST, purpose="open_orders") if up < seq < back]
    assert whole, "a round began after the link was up"
    assert [seq for seq in seqs(session, Kind.FACT, fact="reconciled") if whole[0] < seq <= back]
    assert places(session.records[back:]) > 0
    assert venue.unstruck_faults() == []


# ---- G5, G6: rounds ------------------------------------------------------------------------------


@pytest.mark.slow
def test_g4_a_session_queries_the_fills_since_the_last_confirmed_one(begin: CheckedSessions) -> None:
    """A fill during the kill is in the list behind the last known id, and is recorded once."""
    venue = VirtualVenue()
    settings = replace(new_engine_settings(), reconcile_every_ns=2 * SECOND_NS)
    first = begin(venue, "pair", engine=settings).run(6)
    first.run(10, until=lambda s: Counter(o.status for o in s.state.account.orders.live.values())[Status.OPEN] == 2)
    known = [int(fill["fill_id"]) for fill in first.facts("order_filled")]
    assert known
    first.kill()
    venue.now_ns += 20 * SECOND_NS
    theirs = [int(fill["trade_id"]) for fill in venue.get("/sim/state")["fills"]]
    assert set(theirs) > set(known), "an order was filled meanwhile"
    session = begin(venue, "pair", parameters={"orders_max": 0}, previous=first, opening=first.state).run(5)
    requests = [body_of(record) for record in session.kinds(Kind.REQUEST)]
    [first_page, *_] = [dict(body["unsigned"]["params"]) for body in requests if body["purpose"] == "fills"]
    assert known[0] < int(first_page["fromId"]) <= known[-1] + 1, (
        "those that a round has confirmed are not listed again"
    )
    assert [int(fill["fill_id"]) for fill in session.facts("order_filled")] == sorted(set(theirs) - set(known))
    check_books(session)


@pytest.mark.slow
@pytest.mark.parametrize("every_s", [5, 15])
def test_g5_rounds_begin_at_the_interval_of_the_setting(begin: CheckedSessions, every_s: int) -> None:
    settings = replace(new_engine_settings(), reconcile_every_ns=every_s * SECOND_NS)
    session = begin(VirtualVenue(), "once", parameters={"below": "100"}, engine=settings).run(32)
    records = session.records
    ended = [records[seq].time_ns for seq in seqs(session, Kind.FACT, fact="reconciled")]
    begun = [records[seq].time_ns for seq in seqs(session, Kind.REQUEST, purpose="open_orders")]
    waits = [(start - end) / SECOND_NS for end, start in zip(ended, begun[1:], strict=False)]
    assert len(waits) == {5: 6, 15: 2}[every_s]
    assert all(abs(wait - every_s) < 0.5 for wait in waits), waits


@pytest.mark.slow
def test_g6_a_reconnect_is_followed_by_a_whole_round_whatever_the_interval(begin: CheckedSessions) -> None:
    """Orders, balances and the fills of every instrument are queried, though the next round is an hour away."""
    settings = replace(new_engine_settings(), reconcile_every_ns=3_600 * SECOND_NS)
    venue = VirtualVenue(symbols=("BTCUSDT", "ETHUSDT"))
    session = begin(venue, "once", parameters={"below": "100"}, engine=settings).run(10)
    at = session.state.seq
    venue.fault(action="disconnect", target="private")
    session.run(10)
    requests = [body_of(record) for record in session.kinds(Kind.REQUEST) if record.seq > at]
    asked = Counter((body["purpose"], body.get("instrument", "")) for body in requests if body.get("round"))
    assert asked[("open_orders", "")] == asked[("account", "")] == 1
    assert {name for purpose, name in asked if purpose == "fills"} == {"binance_spot:BTCUSDT", "binance_spot:ETHUSDT"}
    assert mode(session) is Mode.RUNNING
    check_books(session)


# ---- C4: cadence ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("ms", "times"), [(250, 40), (500, 20), (2_000, 5)])
def test_c4_a_strategy_decides_at_its_fixed_cadence(begin: CheckedSessions, ms: int, times: int) -> None:
    clocked = from_sources({"clocked": CLOCKED}, "clocked", "Clocked", parameters={"ms": ms})
    session = begin(VirtualVenue(), clocked).run(5)
    before = session.state.account.strategies.get("clocked").state["times"]
    session.run(10)
    assert session.state.account.strategies.get("clocked").state["times"] - before == times


# ---- C10, C11: many strategies and instruments ---------------------------------------------------


@pytest.mark.slow
def test_c10_strategies_on_several_instruments_feed_one_order_engine(begin: CheckedSessions) -> None:
    """Two strategies, one of them on two instruments: each order is one of its strategy, and one engine reviews all."""
    assert Each.instruments
    venue = VirtualVenue(symbols=("BTCUSDT", "ETHUSDT"))
    session = begin(venue, "two", "once").run(10)
    made = {(order.strategy, order.order.instrument) for order in session.state.account.orders.all()}
    assert {strategy for strategy, _ in made} == {"two", "once"}
    assert {instrument for strategy, instrument in made if strategy == "two"} == {
        "binance_spot:BTCUSDT", "binance_spot:ETHUSDT",
    }  # fmt: skip
    assert len(session.kinds(Kind.VERDICT)) == len(session.kinds(Kind.INTENT))
    check_books(session)
