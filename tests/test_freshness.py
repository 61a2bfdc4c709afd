"""Old market data, struck in the simulated venue: silent and lost streams, feeds that lag, ids that begin again, silent
private links. The instrument with old data is blocked alone, and its streams come back.
"""

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from by_hand import ByHand
from calm_venue import CalmVenue
from checked_sessions import CheckedSessions, check_books, mode
from click.testing import CliRunner

from engine.live.session_status import stream_ages
from engine.session_record import SECOND_NS, new_engine_settings
from engine.sim.units import wire_units
from journal.reader import Journal
from journal.record import Kind
from verbatim.cli import main
from verbatim.testing import VirtualSession, from_sources

BTC, ETH = "binance_spot:BTCUSDT", "binance_spot:ETHUSDT"
PRIVATE = "binance_spot.private.0"

# Buys at the market twice a second, one instrument after the other, and keeps the age of the quote.
STEADY = """
from dataclasses import dataclass
from decimal import Decimal

from verbatim import Every, OrderType, Place, Side


class Steady:
    version = "1"
    instruments = ("BTCUSDT", "ETHUSDT")
    cadence = Every(ms=500)

    @dataclass
    class Parameters:
        only: str = ""

    @dataclass
    class State:
        age_ms: int = 0
        turn: int = 0

    @staticmethod
    def decide(view, state, parameters):
        state.turn += 1
        name = Steady.instruments[state.turn % len(Steady.instruments)]
        quote = view.quote(name)
        if quote is not None and parameters.only in ("", name):
            state.age_ms = quote.age_ns // 1_000_000
            yield Place(name, Side.BUY, Decimal("0.004"), type=OrderType.MARKET, rationale={"age_ms": state.age_ms})
"""
Begin = Callable[..., VirtualSession]


@pytest.fixture
def steady(begin: CheckedSessions) -> Iterator[Begin]:
    """Return a function that begins a session. At the end nothing of it is open, and all is checked."""

    def start(symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT"), only: str = "") -> VirtualSession:
        source = STEADY if len(symbols) > 1 else STEADY.replace(', "ETHUSDT"', ",")
        settings = from_sources({"steady": source}, "steady", "Steady", parameters={"only": only})
        return begin(CalmVenue(symbols=symbols), settings).run(5)

    yield start
    for session in begin.begun:
        session.command("pause").run(5)
        assert session.state.account.orders.live == {}
        check_books(session)


def orders(session: VirtualSession, since: int = 0) -> list[str]:
    """Return the instrument of each order sent from a record on."""
    found = [json.loads(record.body or "") for record in session.kinds(Kind.REQUEST) if record.seq >= since]
    return [request["instrument"] for request in found if request["purpose"] == "place"]


def purposes(session: VirtualSession, since: int = 0) -> list[str]:
    return [json.loads(r.body or "")["purpose"] for r in session.kinds(Kind.REQUEST) if r.seq >= since]


def all_notes(session: VirtualSession) -> list[str]:
    return [json.loads(record.body or "")["text"] for record in session.kinds(Kind.NOTE)]


def codes(session: VirtualSession, name: str) -> set[tuple[str, str]]:
    return {(reason.code.value, reason.about) for reason in session.state.account.blocks.reasons(name)}


def seq(session: VirtualSession) -> int:
    return session.records[-1].seq


def book_is_the_venues(session: VirtualSession, symbol: str) -> None:
    index = session.sequencer.kernel.session.indexes[f"binance_spot:{symbol}"]
    top = session.state.market.book_top(index, 5)
    theirs = session.venue.sim.exchange.market(symbol).top(5)
    assert top is not None
    ours = [
        [(wire_units(f"{price:f}"), wire_units(f"{size:f}")) for price, size in side] for side in (top.bids, top.asks)
    ]
    assert ours == list(theirs)


@pytest.mark.slow
def test_all_streams_of_an_instrument_stop_on_a_living_link_and_the_other_one_trades_on(steady: Begin) -> None:
    session = steady()
    assert {*orders(session)} == {BTC, ETH}
    session.venue.fault(action="stop_stream", stream="btcusdt@*", ms=45_000)
    session.run(11.5)
    assert codes(session, BTC) == {("stream_stale", "all streams")}
    assert mode(session) == "running"
    [reason] = session.state.account.modes.reasons
    assert reason.text.startswith(f"{BTC} is blocked: no message of all streams for 1")
    assert any(note.startswith(f"{BTC} is blocked: no message of all streams") for note in all_notes(session))
    assert "resubscribe" in purposes(session)
    since = seq(session)
    session.run(20)
    assert {*orders(session, since)} == {ETH}
    verdicts = [json.loads(record.body or "")["rules"] for record in session.kinds(Kind.VERDICT)]
    assert max(rules.get("quote_age", "") for rules in verdicts) >= "the quote is 10"
    session.run(35)
    assert (codes(session, BTC), session.state.account.modes.reasons) == (set(), ())
    since = seq(session)
    session.run(5)
    assert {*orders(session, since)} == {BTC, ETH}
    assert {link["state"] for link in links(session)} == {"up"}, "no link was lost"


def links(session: VirtualSession) -> list[dict[str, Any]]:
    found = [json.loads(record.body or "") for record in session.kinds(Kind.LINK)]
    return [link for link in found if link["state"] != "clock"]


@pytest.mark.slow
def test_streams_that_a_subscription_heals_are_back_at_once(steady: Begin) -> None:
    session = steady()
    session.venue.fault(action="stop_stream", stream="btcusdt@*", heals=True)
    session.run(11.5)
    assert "resubscribe" in purposes(session)
    session.run(2)
    assert codes(session, BTC) == set()
    assert {link["state"] for link in links(session)} == {"up"}
    book_is_the_venues(session, "BTCUSDT")


def test_no_order_of_a_single_instrument_is_older_than_its_bound(steady: Begin) -> None:
    """Seen before: 22 market orders on quotes up to 21 s old."""
    session = steady(("BTCUSDT",))
    session.venue.fault(action="stop_stream", stream="btcusdt@*", ms=22_000)
    session.run(30)
    intents = {record.key: json.loads(record.body or "") for record in session.kinds(Kind.INTENT)}
    sent = [r.key for r in session.kinds(Kind.REQUEST) if json.loads(r.body or "")["purpose"] == "place"]
    ages_ms = [intents[key]["rationale"]["age_ms"] for key in sent]
    assert max(ages_ms) <= 10_000
    assert "syncing" in [fact["mode"] for fact in session.facts("mode")[2:]]


@pytest.mark.parametrize(("stream", "about"), [("depth@100ms", "book"), ("bookTicker", "quote")])
def test_one_lost_stream_is_proved_by_the_other(steady: Begin, stream: str, about: str) -> None:
    session = steady()
    session.venue.fault(action="stop_stream", stream=f"btcusdt@{stream}", heals=True)
    session.run(until=lambda s: bool(s.state.account.blocks.reasons(BTC)))
    assert codes(session, BTC) == {("stream_stale", about)}
    session.run(3)
    assert codes(session, BTC) == set()
    book_is_the_venues(session, "BTCUSDT")


@pytest.mark.slow
def test_a_lost_trade_stream_is_proved_by_a_fill_of_ours(steady: Begin) -> None:
    """The public trade of our own fill never came: the stream is lost, and a subscription brings it back."""
    session = steady()
    session.venue.fault(action="stop_stream", stream="btcusdt@trade", heals=True)
    session.run(80, until=lambda s: bool(s.state.account.blocks.reasons(BTC)))
    assert codes(session, BTC) == {("stream_stale", "trade")}
    session.run(4)
    assert codes(session, BTC) == set()
    assert [gap["stream"] for gap in session.facts("market_gap") if gap.get("stream")] == ["trade"]
    assert {link["state"] for link in links(session)} == {"up"}


@pytest.mark.slow
def test_a_quiet_trade_stream_is_not_called_dead(steady: Begin) -> None:
    """Without an order of ours nothing proves a trade: the instrument trades on, and the ids show the gap later."""
    session = steady(only="ETHUSDT")
    session.venue.fault(action="stop_stream", stream="btcusdt@trade", ms=60_000)
    session.run(50)
    assert codes(session, BTC) == set()
    session.run(20)
    assert [gap["stream"] for gap in session.facts("market_gap") if gap.get("stream")] == ["trade"]
    assert set(orders(session)) == {ETH}


@pytest.mark.slow
def test_a_feed_that_lags_behind_the_venues_stamps_is_blocked(steady: Begin) -> None:
    session = steady()
    session.venue.fault(action="delay_stream", stream="btcusdt@*", late_ms=12_000, ms=40_000)
    session.run(until=lambda s: ("venue_lags", "book") in codes(s, BTC))
    text = next(r.text for r in session.state.account.blocks.reasons(BTC) if r.about == "book")
    assert text.startswith("its book messages are 1"), text
    since = seq(session)
    session.run(10)
    assert {*orders(session, since)} == {ETH}
    session.run(60)
    assert codes(session, BTC) == set()
    book_is_the_venues(session, "BTCUSDT")


@pytest.mark.parametrize("venue_ahead_ms", [-8_000, 8_000])
def test_a_clock_that_is_off_is_no_lag(venue_ahead_ms: int) -> None:
    """The measured offset of the venue's clock is applied to its stamps."""
    hand = ByHand(engine=new_engine_settings(), venue_ahead_ms=venue_ahead_ms, parameters={"orders": 0}).run(5)
    assert hand.state.account.limits.get("binance_spot").clock_offset_ns // SECOND_NS in (
        venue_ahead_ms // 1000,
        venue_ahead_ms // 1000 - 1,
    )
    assert (hand.mode, hand.facts("instrument_blocked")[-1]["reasons"]) == ("running", [])
    hand.venue_ahead_ms -= 6_000  # now the messages are old, and the clock is as it was measured
    hand.held.add("server_time")
    hand.run(2)
    [reason] = hand.facts("instrument_blocked")[-1]["reasons"]
    assert (reason["code"], reason["about"], hand.mode) == ("venue_lags", "book", "syncing")
    assert len(hand.asked("server_time")) == 2, "a lag is a reason to measure the clock again"


def test_update_ids_that_begin_again_are_a_gap_and_never_a_frozen_book(steady: Begin) -> None:
    session = steady()
    session.venue.fault(action="restart_ids", stream="btcusdt@*")
    since = seq(session)
    session.run(8)
    gaps = [gap for gap in session.facts("market_gap") if gap.get("instrument") == BTC]
    assert {"depth", "trade"} <= {gap["stream"] for gap in gaps}
    assert "depth" in purposes(session, since)
    assert {link["state"] for link in links(session)} == {"up"}
    index = session.sequencer.kernel.session.indexes[BTC]
    quote, top = session.state.market.quote(index), session.state.market.book_top(index, 1)
    assert quote is not None
    assert top is not None
    assert session.venue.now_ns - quote.time_ns < SECOND_NS
    assert session.venue.now_ns - top.time_ns < SECOND_NS
    book_is_the_venues(session, "BTCUSDT")
    assert {*orders(session, since)} == {BTC, ETH}


def test_a_frozen_private_link_is_noticed_and_opened_again(steady: Begin) -> None:
    """Seen before: 14 minutes of silence without a word. The link delivers nothing, answers included."""
    session = steady(only="none")
    assert purposes(session).count("probe") == 0
    session.venue.fault(action="freeze", target="private")
    session.run(45)
    assert purposes(session).count("probe") == 1
    assert any(note.startswith(f"{PRIVATE}: silent for 4") for note in all_notes(session))
    session.run(10)
    assert mode(session) == "running"
    downs = [link["reason"] for link in links(session) if link["state"] == "down"]
    assert len(downs) == 1


def test_a_quiet_private_link_answers_its_probe_and_stays(steady: Begin) -> None:
    session = steady(only="none").run(100)
    assert purposes(session).count("probe") == 3
    assert {link["state"] for link in links(session)} == {"up"}
    assert session.venue.now_ns - session.state.account.private_seen.last_ns(PRIVATE) < 31 * SECOND_NS


def test_s9_an_open_socket_without_messages_is_noticed_and_trading_stops(steady: Begin) -> None:
    session = steady()
    session.venue.fault(action="stop_stream", stream="*", ms=15_000)
    session.run(11.5)
    assert mode(session) == "syncing"
    since = seq(session)
    session.run(3)
    assert orders(session, since) == []
    assert any("silent for" in note or "no message of" in note for note in all_notes(session))
    session.run(20)
    assert mode(session) == "running"


@pytest.mark.slow
def test_s27_a_book_equals_a_fresh_one_after_each_snapshot(steady: Begin) -> None:
    """A snapshot ends all levels of the old book."""
    session = steady()
    for _ in range(3):
        session.venue.fault(action="stop_stream", stream="btcusdt@depth@100ms", ms=5_000)
        session.run(12)
        book_is_the_venues(session, "BTCUSDT")
    assert len([gap for gap in session.facts("market_gap") if gap.get("stream") == "depth"]) == 3


def test_quiet_market_invented_disconnects(tmp_path: Path) -> None:
    """A capture whose market is silent for 11 s at a time: its backtest has no alarm and loses no link."""
    capture = tmp_path / "quiet.gz"
    with gzip.open(capture, "wb") as file:
        for second in range(0, 60, 11):
            ns = 1_767_225_600_000_000_000 + second * SECOND_NS
            told = {"u": 100 + second, "s": "BTCUSDT", "b": "100.00", "B": f"1.{second:05d}", "a": "101.00", "A": "2.0"}
            line = json.dumps({"stream": "btcusdt@bookTicker", "data": told}, separators=(",", ":"))
            file.write(f"{ns} {line}\n".encode())
    journal = tmp_path / "capture"
    assert CliRunner().invoke(main, ["import", str(capture), "--into", str(journal)]).exit_code == 0
    strategy = Path(__file__).parent / "strategies/at_the_top.py"
    words = [
        "backtest",
        str(journal),
        "--strategy",
        str(strategy),
        "--balance",
        "USDT=1000",
        "--journals",
        str(tmp_path),
    ]
    run = CliRunner().invoke(main, words)
    assert run.exit_code == 0, run.output
    records = list(Journal.open(Path(run.output.splitlines()[-1])).records())
    notes = [record.body or "" for record in records if record.kind is Kind.NOTE]
    assert [note for note in notes if '"level":"info"' not in note] == []
    assert [record for record in records if record.kind is Kind.REQUEST and '"disconnect"' in (record.body or "")] == []
    assert records[-1].time_ns - records[0].time_ns > 50 * SECOND_NS


def test_the_status_states_the_age_of_every_stream(steady: Begin) -> None:
    session = steady()
    session.venue.fault(action="stop_stream", stream="btcusdt@*", ms=14_000)
    session.run(12)
    ages = {
        (age.about, age.stream): age
        for age in stream_ages(session.sequencer.kernel.session, session.state, session.venue.now_ns)
    }
    assert set(ages) == {
        *((name, kind) for name in (BTC, ETH) for kind in ("quote", "trade", "book")),
        (PRIVATE, "private"),
    }
    assert ages[BTC, "quote"].is_stale
    assert 11 * SECOND_NS < ages[BTC, "quote"].age_ns < 13 * SECOND_NS
    assert not ages[ETH, "quote"].is_stale
    assert ages[ETH, "quote"].age_ns < SECOND_NS
    assert not ages[PRIVATE, "private"].is_stale
