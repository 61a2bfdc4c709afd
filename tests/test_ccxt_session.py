"""A session that trades through ccxt on the simulated venue: the same fills as the native dialect, faults, restarts."""

import sys
from typing import Any

import pytest

pytest.importorskip("ccxt")

import ccxt
from calm_venue import CalmVenue
from checked_sessions import CheckedSessions, check_books, mode
from click.testing import CliRunner
from msgspec.structs import replace
from test_polled_market import TURNS

import verbatim
from engine.market.views import BookState
from engine.mode_reasons import Mode
from engine.venues import venue_lookup
from engine.venues.ccxt import pure_calls, venue_of
from journal.record import Kind
from verbatim.cli import main
from verbatim.commands.replay import version_note
from verbatim.testing import VirtualSession, VirtualVenue, from_sources

NAME = "ccxt_binance"
NATIVE = "engine.venues.binance_spot_polled:BinanceSpotPolled"


def begun(
    begin: CheckedSessions, venue: VirtualVenue, dialect: str = "ccxt:binance", **settings: Any
) -> VirtualSession:
    strategy = from_sources({"turns": TURNS}, "turns", "Turns")
    return begin({NAME: venue}, strategy, dialect=dialect, **settings)


def fills(session: VirtualSession) -> list[dict[str, Any]]:
    return session.facts("order_filled")


def test_a_session_has_the_same_fills_as_through_the_native_dialect(begin: CheckedSessions) -> None:
    native = begun(begin, VirtualVenue(), NATIVE).run(18)
    session = begun(begin, VirtualVenue()).run(18)
    ours, theirs = (
        [{**fill, "client_order_id": fill["client_order_id"].partition("-")[2]} for fill in fills(each)]
        for each in (session, native)
    )
    assert len(ours) > 2
    assert ours == theirs
    assert mode(session) is Mode.RUNNING
    assert session.state.market.book_state(0) is BookState.SYNCED
    assert session.facts("market_gap") == []
    places = [record.body or "" for record in session.kinds(Kind.REQUEST) if '"purpose":"place"' in (record.body or "")]
    assert all('"path":"/create_order"' in body and "signature" not in body for body in places)
    check_books(session.command("pause").run(12))
    check_books(native.command("pause").run(12))


def test_an_order_whose_answer_is_lost_is_found_by_our_id(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    session = begun(begin, venue)
    venue.fault(action="cut_answer", method="POST", path="/api/v3/order")
    session.run(30, until=lambda s: bool(s.facts("order_accepted")))
    asked = [
        record.body or "" for record in session.kinds(Kind.REQUEST) if '"path":"/fetch_order"' in (record.body or "")
    ]
    assert any('["clientOrderId","' in body for body in asked), asked
    check_books(session.command("pause").run(12), all_fills=False)


def test_a_refusal_is_a_refusal_and_a_limit_is_waited_for(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    session = begun(begin, venue)
    venue.fault(
        action="reject",
        method="POST",
        path="/api/v3/order",
        status=400,
        code=-2010,
        msg="Account has insufficient balance for requested action.",
    )
    session.run(30, until=lambda s: bool(s.facts("order_closed")))
    assert "insufficient balance" in str(session.facts("order_closed")[0])
    venue.fault(
        action="reject",
        method="GET",
        path="/api/v3/trades",
        status=429,
        code=-1003,
        msg="Too many requests",
        retry_after_s=3,
    )
    session.run(20)
    assert session.facts("rate_blocked")
    assert mode(session.run(10)) is Mode.RUNNING


def test_a_killed_session_goes_on(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    first = begun(begin, venue).run(12)
    first.kill()
    second = begun(begin, venue, previous=first, opening=first.state).run(20)
    assert mode(second) is Mode.RUNNING
    assert second.facts("market_gap") == [], "the numbering of trades goes on"
    check_books(second.command("pause").run(12), all_fills=False)


def test_readers_find_its_market_and_its_fills(begin: CheckedSessions) -> None:
    session = begun(begin, VirtualVenue()).run(12)
    session.stop()
    opened = verbatim.open(session.folder)
    [trades] = opened.sql("SELECT count(*) AS n, count(DISTINCT trade_id) AS ids FROM trades")
    assert trades["n"] == trades["ids"] > 0
    [books] = opened.sql("SELECT count(*) AS n FROM quotes")
    assert books["n"] > 20
    assert {each.stream for each in opened.quality().streams} >= {"quotes", "trades"}


def test_another_ccxt_or_none_is_named(begin: CheckedSessions, monkeypatch: pytest.MonkeyPatch) -> None:
    session = begun(begin, VirtualVenue()).run(3)
    session.stop()
    folder = str(session.folder)

    def ended(*words: str) -> tuple[int, str]:
        for cached in (venue_lookup._member, venue_of, pure_calls.pure_class):
            cached.cache_clear()
        shown = CliRunner().invoke(main, [*words, folder])
        return shown.exit_code, shown.stderr

    older = replace(session.body, versions={"ccxt": "4.5.1"})
    assert version_note(older).startswith(f"recorded with ccxt 4.5.1, and ccxt {ccxt.__version__} reads it")
    assert version_note(replace(older, versions={"ccxt": ccxt.__version__})) == ""
    assert ended("replay", "--trust-code")[0] == 0
    with monkeypatch.context() as other:
        other.setattr(ccxt, "__version__", "4.4.90")
        for words in (["replay", "--trust-code"], ["quality"], ["kill"]):
            code, text = ended(*words)
            assert (code, "ccxt 4.4.90 is older than 4.5.90" in text) == (3, True), text
        other.setitem(sys.modules, "ccxt", None)
        for words in (["replay", "--trust-code"], ["quality"], ["kill"]):
            code, text = ended(*words)
            assert (code, "pip install 'verbatim-trading[ccxt]'" in text) == (3, True), text
            assert "Traceback" not in text
