"""Sessions of several venues and accounts: two simulated venues of Binance Spot under two names, in virtual time."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from calm_venue import CalmVenue
from checked_sessions import CheckedSessions, check_books, mode, notes
from msgspec.structs import replace

from engine.mode_reasons import Mode
from engine.risk_settings import ScopeLimits
from engine.session_record import EngineSettings, RiskSettings, new_engine_settings
from engine.venue_choices import AccountUse, VenueTrouble
from journal.record import Kind
from verbatim.testing import VirtualSession, VirtualVenue, strategy_settings

ONE, TWO = "one:BTCUSDT", "two:BTCUSDT"
BALANCES = {"USDT": "50000", "BTC": "3"}


def two_venues() -> dict[str, VirtualVenue]:
    """Return two venues whose markets and accounts differ."""
    return {"one": CalmVenue(seed=1), "two": CalmVenue(seed=2, balances=BALANCES)}


def settings(trouble: VenueTrouble) -> EngineSettings:
    return replace(new_engine_settings(), on_venue_trouble=trouble)


def modes(session: VirtualSession) -> dict[str, Mode]:
    """Return the mode of each account."""
    return {name: each.mode for name, each in session.state.account.account_modes.by_venue.items()}


def placed(session: VirtualSession, since: int = 0) -> list[str]:
    """Return the venues of the orders that were placed from a record on."""
    bodies = [json.loads(record.body or "") for record in session.kinds(Kind.REQUEST) if record.seq > since]
    return [body["venue"] for body in bodies if body["purpose"] == "place"]


def signed_at(session: VirtualSession, venue: str) -> list[str]:
    """Return the purposes of the signed requests to a venue."""
    bodies = [json.loads(record.body or "") for record in session.kinds(Kind.REQUEST)]
    return [body["purpose"] for body in bodies if body["venue"] == venue and (body.get("unsigned") or {}).get("signed")]


def test_two_venues_trade_in_one_session(begin: CheckedSessions) -> None:
    session = begin(two_venues(), "both").run(30)
    assert (mode(session), modes(session)) == (Mode.RUNNING, {"one": Mode.RUNNING, "two": Mode.RUNNING})
    account = session.state.account
    assert {ONE, TWO} == {each.instrument for each in account.positions.by_key.values() if each.quantity}
    assert sorted(account.balances.by_asset) == ["one/BTC", "one/USDT", "two/BTC", "two/USDT"]
    assert account.ledger.drifted == []
    rounds = session.facts("reconciled")
    assert {body["venue"] for body in rounds} == {"one", "two"}
    session.stop()


def test_each_venue_has_its_own_market(begin: CheckedSessions) -> None:
    """Rows of the second venue name its instruments, although both venues have one symbol."""
    venues = {"one": CalmVenue(seed=1), "two": CalmVenue(seed=2, symbols=("BTCUSDT", "ETHUSDT"))}
    session = begin(venues).run(5)
    market, names = session.state.market, list(session.sequencer.kernel.session.instruments)
    assert names == [ONE, TWO, "two:ETHUSDT"]
    quotes = [market.quote(index) for index in range(len(names))]
    assert len({quote.bid for quote in quotes if quote is not None}) == 3
    # a name that two venues have names neither; the id does, and so does a symbol of one venue
    by_name = session.sequencer.kernel.session.instrument_by_name
    assert ("BTCUSDT" in by_name, by_name["ETHUSDT"].id, by_name[TWO].id) == (False, "two:ETHUSDT", TWO)


@pytest.mark.parametrize("trouble", list(VenueTrouble))
def test_one_venue_is_lost_for_five_minutes(trouble: VenueTrouble, start: CheckedSessions) -> None:
    """`own`: the other venue trades on. `all`: nothing is placed. Both end with the venue's return."""
    session = start(two_venues(), "both", engine=settings(trouble)).run(10)
    lost_seq = session.state.seq
    session.cut("two").run(300)
    assert (modes(session)["one"], modes(session)["two"]) == (Mode.RUNNING, Mode.SYNCING)
    if trouble is VenueTrouble.OWN:
        assert mode(session) is Mode.RUNNING
        assert set(placed(session, lost_seq)) == {"one"}
        assert len(placed(session, lost_seq)) > 50
    else:
        assert mode(session) is Mode.SYNCING
        assert placed(session, lost_seq) == []
    back_seq = session.state.seq
    session.restore("two").run(60)
    assert (mode(session), set(modes(session).values())) == (Mode.RUNNING, {Mode.RUNNING})
    assert set(placed(session, back_seq)) == {"one", "two"}
    session.stop()
    check_books(session, all_fills=False)


@pytest.mark.parametrize("trouble", list(VenueTrouble))
def test_a_killed_session_continues_with_both_accounts(trouble: VenueTrouble, begin: CheckedSessions) -> None:
    venues = two_venues()
    first = begin(venues, "both", engine=settings(trouble)).run(10)
    held = {key: each.quantity for key, each in first.state.account.positions.by_key.items()}
    first.kill()
    again = begin(venues, "both", engine=settings(trouble), previous=first, opening=first.state).run(10)
    assert mode(again) is Mode.RUNNING
    assert {key: each.quantity for key, each in again.state.account.positions.by_key.items()} != held
    assert again.state.account.ledger.drifted == []
    assert notes(again, "alarm") == []
    again.stop()


def test_a_balance_that_contradicts_our_records_names_its_account(begin: CheckedSessions) -> None:
    venues = two_venues()
    session = begin(venues).run(5)
    venues["two"].move_balance("USDT", "7")
    session.run(130)
    [fact] = [body for body in session.facts("balance_drift") if body["difference"] == "7"]
    assert (fact["venue"], fact["asset"], mode(session)) == ("two", "USDT", Mode.HALTED)
    session.command("accept_balance", "a deposit", about="two/USDT").run(5)
    session.command("resume").run(10)
    assert mode(session) is Mode.RUNNING


@pytest.mark.parametrize("trouble", list(VenueTrouble))
def test_cancel_all_and_flatten_reach_both_venues(trouble: VenueTrouble, start: CheckedSessions) -> None:
    """Also while one is unreachable: the order is pursued until that venue confirms."""
    session = start(two_venues(), "both", engine=settings(trouble)).run(10)
    session.cut("two").command("cancel_all", "a test").run(20)
    assert [each.order.instrument for each in session.state.account.orders.live.values()] == [TWO]
    assert len(session.state.account.safety.active) == 1
    session.restore("two").run(40)
    assert (session.state.account.orders.live, session.state.account.safety.active) == ({}, ())
    session.command("resume").run(10)
    session.command("flatten", "a test").run(30)
    positions = session.state.account.positions.by_key.values()
    assert [each.quantity for each in positions if each.quantity >= Decimal("0.00001")] == [], "less than a lot is left"
    assert session.state.account.orders.live == {}
    session.stop()
    check_books(session, all_fills=False)


@pytest.mark.parametrize("use", [AccountUse.WATCHES, AccountUse.NONE])
def test_nothing_is_placed_at_a_venue_that_is_only_watched(use: AccountUse, start: CheckedSessions) -> None:
    session = start(two_venues(), "both", uses={"two": use}).run(10)
    assert (mode(session), set(placed(session))) == (Mode.RUNNING, {"one"})
    has_account = use is AccountUse.WATCHES
    assert ("two.private.0" in session.state.account.links.by_source) is has_account
    assert ("two/USDT" in session.state.account.balances.by_asset) is has_account
    refused = [json.loads(record.body or "") for record in session.kinds(Kind.VERDICT)]
    reasons = {body["rules"].get("trading") for body in refused if body.get("instrument") == TWO}
    assert reasons == {"the session watches two, and places no order there"}
    session.stop()
    check_books(session, all_fills=False)


def test_a_market_of_futures_beside_spot(start: CheckedSessions) -> None:
    """The other dialect keeps its codec as a property of its class: its rows are placed behind those of spot too."""
    venues = {"spot": CalmVenue(seed=1), "perp": VirtualVenue(seed=2, kind="binance_usdm")}
    session = start(venues, uses={"perp": AccountUse.NONE}).run(5)
    quotes = [session.state.market.quote(index) for index in range(2)]
    assert None not in quotes
    assert quotes[0] != quotes[1]
    assert session.state.account.links.by_source["perp.market.0"].state == "ready"
    assert session.sequencer.kernel.session.instrument_by_name["perp:BTCUSDT"].contract == "PERPETUAL"
    assert signed_at(session, "perp") == [], "without an account there is no key"
    assert mode(session) is Mode.RUNNING
    session.stop()


def test_keys_that_were_read_again_open_the_links_of_one_account_again(begin: CheckedSessions) -> None:
    session = begin(two_venues(), "both").run(5)
    ups = dict.fromkeys(session.state.account.links.by_source, 0)
    ups |= {name: link.reconnects for name, link in session.state.account.links.by_source.items()}
    session.command("reload_keys", about="two").run(20)
    now = {name: link.reconnects for name, link in session.state.account.links.by_source.items()}
    assert {name for name in now if now[name] != ups[name]} == {"two.private.0"}
    assert (mode(session), notes(session, "info")[-1:] != []) == (Mode.RUNNING, True)
    assert "keys were read again, by test: two" in notes(session, "info")
    session.stop()


# ---- a strategy on both venues ------------------------------------------------------------------

EXAMPLES = Path(__file__).parent.parent / "examples"
EDGE = {"first": ONE, "second": TWO, "edge_bps": "-100"}  # every difference is enough


def arbitrage(begin: CheckedSessions, venues: dict[str, VirtualVenue], **more: Any) -> VirtualSession:
    strategy = strategy_settings(EXAMPLES / "arbitrage.py", "Arbitrage", parameters=EDGE)
    return begin(venues, strategy, **more)


def net(session: VirtualSession) -> Decimal:
    """Return the position over both venues."""
    return sum((each.quantity for each in session.state.account.positions.by_key.values()), start=Decimal(0))


def test_arbitrage_trades_both_legs(begin: CheckedSessions) -> None:
    session = arbitrage(begin, two_venues()).run(10)
    assert set(placed(session)) == {"one", "two"}
    assert len(placed(session)) > 4
    assert abs(net(session)) < Decimal("0.0001"), "fees alone are left"
    session.stop()


def test_a_leg_that_the_venue_refuses_is_closed_at_the_other(begin: CheckedSessions) -> None:
    venues = two_venues()
    session = arbitrage(begin, venues)
    venues["two"].fault(action="reject", method="POST", path="/api/v3/order", status=400, code=-2010, msg="no funds")
    session.run(until=lambda s: bool(s.facts("order_filled")))
    [alone] = [each for each in session.state.account.positions.by_key.values() if each.quantity]
    assert alone.instrument == ONE
    session.run(5)
    assert abs(net(session)) < Decimal("0.0001")
    session.stop()


def test_one_limit_counts_the_exposure_at_both_venues(begin: CheckedSessions) -> None:
    """0.001 at one venue is within 0.0015, a second 0.001 at the other is not: that leg is refused."""
    limits = ScopeLimits(gross_base_max=Decimal("0.0015"))
    session = arbitrage(begin, two_venues(), risk=RiskSettings(sell_holdings=True, portfolio=limits)).run(5)
    verdicts = [json.loads(record.body or "") for record in session.kinds(Kind.VERDICT)]
    refused = [body for body in verdicts if not body["approved"]]
    assert refused
    assert all("portfolio" in reason for body in refused for reason in body["rules"].values()), refused[0]
    worst = max(abs(Decimal(body["quantity"])) for body in session.facts("position"))
    assert worst <= Decimal("0.001")
    session.stop()
