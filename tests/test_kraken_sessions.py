"""Sessions on the simulated Kraken in virtual time: trading, a kill, a restart, and books that equal the venue's."""

from collections import Counter

from checked_sessions import CheckedSessions, mode, notes, rebuilt
from kraken_desk import LIMITS, Desk, check_books, requests

from engine.mode_reasons import Mode
from engine.venues.kraken.calls import ORDER_IDS
from journal.recover import recover
from verbatim.testing import VirtualSession, from_sources

RESTING = """
from dataclasses import dataclass
from decimal import Decimal

from verbatim import OnQuote, Place, Side


class Resting:
    version = "1"
    instruments = ("BTC/USD", "ETH/USD")
    cadence = OnQuote()

    @dataclass
    class Parameters:
        pass

    @dataclass
    class State:
        pass

    @staticmethod
    def decide(view, state, parameters):
        for name in Resting.instruments:
            quote = view.quote(name)
            if quote is not None and not view.orders(name):
                yield Place(name, Side.BUY, Decimal("0.01"), view.round_price(name, quote.bid * Decimal("0.9")))
"""


def statuses(session: VirtualSession) -> dict[str, int]:
    return Counter(order.status.value for order in session.state.account.orders.all())


def test_it_trades_is_killed_with_an_order_open_and_finds_everything_again(start: CheckedSessions) -> None:
    """Another program trades in between: its order and its fills are found too."""
    venue = Desk()
    steps = {"steps": "buy 0.01;sell 0.004;buy 0.02 limit -1"}
    first = start(venue, "script", parameters=steps, limits=LIMITS).run(30)
    assert statuses(first) == {"filled": 2, "open": 1}
    check_books(first)
    folder = first.kill()
    by_hand = venue.ask("AddOrder", pair="XBTUSD", type="sell", ordertype="market", volume="0.5")
    assert by_hand["txid"]
    recover(folder)
    second = start(
        venue, "script", parameters={"steps": "wait"}, limits=LIMITS, previous=first, opening=rebuilt(folder)
    )
    second.run(30)
    assert mode(second) is Mode.RUNNING
    assert statuses(second) == {"filled": 3, "open": 1}, "the other program's order, and ours of the session before"
    assert {fact["strategy"] for fact in second.facts("order_filled")} == {"external"}
    check_books(second)
    second.command("cancel_all").run(20)
    assert statuses(second)["canceled"] == 1
    check_books(second)
    second.stop()


def test_a_lost_private_frame_ends_the_link_and_the_round_finds_what_it_told(start: CheckedSessions) -> None:
    venue = Desk()
    session = start(venue, "script", parameters={"steps": "wait;wait;wait;buy 0.01"}, limits=LIMITS).run(2)
    venue.lose_private_frame()
    session.run(30)
    assert any("of executions follows" in note for note in notes(session, "warning")), "the gap struck"
    assert mode(session) is Mode.RUNNING
    assert statuses(session) == {"filled": 1}
    check_books(session)


def test_a_restart_after_many_fills_pages_from_the_oldest(start: CheckedSessions) -> None:
    """A page begins with the newest fill, so the oldest page after the cursor is queried by its offset."""
    venue = Desk()
    first = start(venue, "script", parameters={"steps": "buy 0.01"}, limits=LIMITS).run(20)
    folder = first.kill()
    for number in range(60):
        side = "sell" if number % 2 else "buy"
        assert venue.ask("AddOrder", pair="XBTUSD", type=side, ordertype="market", volume="0.001")["txid"]
        venue.now_ns += 2 * 10**9
    recover(folder)
    wide = {**LIMITS, "weight_minute_max": 200}
    venue.protocol.counters._requests_max = 200
    second = start(venue, "script", parameters={"steps": "wait"}, limits=wide, previous=first, opening=rebuilt(folder))
    second.run(120)
    pages = [dict(request["unsigned"]["params"]) for request in requests(second, "fills")]
    assert any("ofs" in page for page in pages), "the page was not whole"
    assert len(second.facts("order_filled")) == 60
    assert mode(second) is Mode.RUNNING


def test_a_dead_man_switch_is_armed_in_time_and_cancels_what_a_dead_session_leaves(start: CheckedSessions) -> None:
    """The switch is one for the account: it is armed once for both pairs."""
    venue = Desk(symbols=("BTC/USD", "ETH/USD"))
    resting = from_sources({"resting": RESTING}, "resting", "Resting")
    session = start(venue, resting, limits=LIMITS).run(100)
    assert len({order.order.instrument for order in session.state.account.orders.live.values()}) == 2
    assert 4 <= len(requests(session, "arm_switch")) <= 6
    session.kill()
    venue.now_ns += 61 * 10**9
    venue.sim.advance(venue.now_ns)
    assert venue.ask("OpenOrders")["open"] == {}


def test_an_order_of_another_engine_of_ours_halts_the_session(start: CheckedSessions) -> None:
    """An id of 18 characters bears a session's mark as the longer ones of other venues do."""
    venue = Desk()
    session = start(venue, "script", parameters={"steps": "wait"}, limits=LIMITS).run(5)
    rival = ORDER_IDS.make(session="zzzzzzzz", strategy="script", version="1", seq=9, leg=0)
    order = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "price": "50000", "volume": "0.01"}
    venue.ask("AddOrder", **order, cl_ord_id=rival)
    session.run(3)
    assert mode(session) is Mode.HALTED
