"""Sessions without a websocket: quotes, books and trades by polls, orders and fills by rounds of reconciliation."""

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from calm_venue import CalmVenue
from checked_sessions import CheckedSessions, check_books, mode, notes
from click.testing import CliRunner
from msgspec.structs import replace

import verbatim
from engine.market.views import BookState, Stream
from engine.mode_reasons import Mode
from engine.requests import PolledStream
from engine.session_record import SAFEGUARDS, SECOND_NS
from engine.venues.binance_spot_polled import BinanceSpotPolled
from journal.record import Kind
from verbatim.cli import main
from verbatim.config import on_paper, read_config, read_key, session_config
from verbatim.config_sections import ConfigError
from verbatim.testing import VirtualSession, VirtualVenue, from_sources

POLLED = "engine.venues.binance_spot_polled:BinanceSpotPolled"
BTC, MARKET, PRIVATE = "binance_spot:BTCUSDT", "binance_spot.market.0", "binance_spot.private.0"
Begin = Callable[..., VirtualSession]
PATHS = {"quote": "/api/v3/ticker/bookTicker", "book": "/api/v3/depth", "trade": "/api/v3/trades"}

# Buys a little at the ask and offers it again above, at every change of the quote while nothing is open.
TURNS = """
from dataclasses import dataclass
from decimal import Decimal

from verbatim import OnQuote, Place, Side


class Turns:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = OnQuote()

    @dataclass
    class Parameters:
        pass

    @dataclass
    class State:
        pass

    @staticmethod
    def decide(view, _state, _parameters):
        quote = view.quote("BTCUSDT")
        if view.orders("BTCUSDT"):
            return
        if view.position("BTCUSDT").quantity > 0:
            yield Place("BTCUSDT", Side.SELL, Decimal("0.001"), quote.ask)
        else:
            yield Place("BTCUSDT", Side.BUY, Decimal("0.001"), quote.bid)
"""


@pytest.fixture
def polled(begin: CheckedSessions) -> Iterator[Begin]:
    """Return a function that begins a polled session. At the end it is paused, and its books are the venue's."""

    def start(venue: VirtualVenue, **settings: Any) -> VirtualSession:
        return begin(venue, from_sources({"turns": TURNS}, "turns", "Turns"), dialect=POLLED, **settings)

    yield start
    session = begin.begun[-1]
    session.command("pause").run(12)
    check_books(session, all_fills=False)


def polls(session: VirtualSession, stream: str = "") -> list[int]:
    """Return the session times at which a stream, or any, was requested."""
    bodies = ((record.time_ns, json.loads(record.body or "")) for record in session.kinds(Kind.REQUEST))
    return [at for at, body in bodies if body["purpose"] == "poll" and stream in ("", body["poll"]["stream"])]


def test_a_session_without_a_websocket_trades(polled: Begin) -> None:
    venue = VirtualVenue()
    session = polled(venue).run(30)
    assert venue.sim.connections == [], "no websocket was opened"
    assert mode(session) is Mode.RUNNING
    filled = session.facts("order_filled")
    assert len(filled) > 2, "resting orders fill, and only rounds tell of it"
    found = session.state.market
    assert found.book_state(0) is BookState.SYNCED
    assert min(found.last_seen_ns(0, stream) for stream in (Stream.QUOTE, Stream.TRADE, Stream.BOOK)) > 0
    assert session.facts("market_gap") == [], "pages of trades overlap, and nothing is missing"


def test_each_stream_has_its_cadence_and_one_request_at_a_time(polled: Begin) -> None:
    session = polled(CalmVenue()).run(20)
    assert {b - a for a, b in pairwise(polls(session, "quote"))} == {SECOND_NS // 2}
    assert {b - a for a, b in pairwise(polls(session, "book"))} == {SECOND_NS}
    rounds = [record.time_ns for record in session.kinds(Kind.FACT) if '"fact":"reconciled"' in (record.body or "")]
    assert max(b - a for a, b in pairwise(rounds)) < 6 * SECOND_NS, "rounds stand in for a private stream"


def test_a_slow_answer_is_waited_for(polled: Begin) -> None:
    venue = CalmVenue()
    session = polled(venue).run(5)
    venue.fault(action="delay_answer", method="GET", path=PATHS["quote"], ms=2900)
    before = len(polls(session, "quote"))
    session.run(2.8)
    assert len(polls(session, "quote")) - before <= 1
    session.run(5)
    assert len(polls(session, "quote")) - before > 4


def test_a_configured_cadence_slows_the_polls(polled: Begin) -> None:
    slower = replace(SAFEGUARDS, poll_every_ns=4 * SECOND_NS)
    session = polled(CalmVenue(), safeguards=slower).run(30)
    assert {b - a for a, b in pairwise(polls(session, "trade"))} == {4 * SECOND_NS}


def test_polls_stay_within_their_part_of_the_budget(polled: Begin) -> None:
    session = polled(CalmVenue(), limits={"weight_minute_max": 1200}).run(59)
    assert session.state.account.limits.get("binance_spot").weight < 1200 * 0.8
    assert len(polls(session, "trade")) < 30, "at one a second, trades alone would weigh 1,475 a minute"


@pytest.mark.parametrize("stream", sorted(PATHS))
def test_a_stream_that_fails_is_retried_in_growing_intervals_and_blocks_its_instrument(
    polled: Begin, stream: str
) -> None:
    venue = CalmVenue()
    session = polled(venue).run(5)
    venue.fault(action="reject", method="GET", path=PATHS[stream], status=503, times=8)
    session.run(14)
    failed = session.facts("poll_failed")
    assert {body["stream"] for body in failed} == {stream}
    assert len(failed) < 8, "at its cadence, it would have failed 14 times"
    assert session.state.account.blocks.reasons(BTC), "an instrument whose data is old trades no more"
    assert len([text for text in notes(session, "warning") if f"no {stream} data" in text]) == 1
    session.run(60)
    assert session.facts("poll_resumed")[-1]["failures"] == 8
    assert not session.state.account.blocks.reasons(BTC)
    assert mode(session) is Mode.RUNNING
    assert session.state.account.polls.failing == {}


def test_a_lost_venue_is_a_lost_link_with_its_gap(polled: Begin) -> None:
    venue = VirtualVenue()
    session = polled(venue).run(5)
    venue.fault(action="drop_request", method="GET", times=40)
    session.run(300, until=lambda s: s.state.account.links.by_source[MARKET].reconnects > 0)
    assert mode(session) is not Mode.RUNNING
    session.run(120, until=lambda s: mode(s) is Mode.RUNNING)
    assert mode(session) is Mode.RUNNING
    links = [gap for gap in session.facts("market_gap") if not gap.get("stream") and gap.get("to_ns")]
    assert links[-1]["link"] == MARKET
    assert links[-1]["to_ns"] - links[-1]["from_ns"] > 10 * SECOND_NS
    assert len(polls(session.run(10), "quote")) > 15


def test_trades_that_no_page_held_are_a_gap(polled: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.venues.binance_spot_polled.TRADES", 3)  # of a page
    session = polled(VirtualVenue()).run(12)
    gaps = [gap for gap in session.facts("market_gap") if gap.get("stream")]
    assert gaps, "a burst of more than three trades a second struck"
    assert {(gap["link"], gap["instrument"], gap["stream"]) for gap in gaps} == {(MARKET, BTC, "trade")}
    assert all(gap["first_id"] > gap["last_id"] + 1 for gap in gaps)


def test_an_answer_that_comes_late_is_no_market_data(polled: Begin) -> None:
    venue = CalmVenue()
    session = polled(venue).run(5)
    for path in PATHS.values():
        venue.fault(action="delay_answer", method="GET", path=path, ms=9900, times=2)
    session.run(40, until=lambda s: s.state.account.links.by_source[MARKET].failures > 0)
    lost_ns = session.venue.now_ns
    assert not session.state.market.is_live(0, with_book=False)
    session.run(30, until=lambda s: s.state.market.is_live(0, with_book=True))
    assert session.venue.now_ns > lost_ns
    reasons = {body["reason"] for body in session.facts("poll_failed")}
    assert reasons == {"the answer took 9.9 s"}, "what the venue said 9.9 s ago is no quote"
    assert mode(session.run(5)) is Mode.RUNNING


def test_readers_find_polled_data_as_streamed(polled: Begin) -> None:
    """The views, `quality` and `why` decode the answers of polls."""
    session = polled(VirtualVenue()).run(12)
    session.stop()
    opened = verbatim.open(session.folder)
    market = session.state.market
    [quotes] = opened.sql("SELECT count(*) AS n, min(bid) AS least FROM quotes")
    assert quotes["n"] == len(polls(session, "quote"))
    [trades] = opened.sql("SELECT count(*) AS n, count(DISTINCT trade_id) AS ids, max(trade_id) AS last FROM trades")
    assert (trades["n"], trades["last"]) == (trades["ids"], market.last_trade_id(0))
    found = {each.stream: each for each in opened.quality().streams}
    assert found.keys() >= {"quotes", "trades"}
    answers = opened.sql("SELECT payload FROM journal WHERE kind = 'FEED' AND key LIKE '%/trade'")
    pages = [json.loads(row["payload"]) for row in answers]
    assert sum(map(len, pages)) > 2 * trades["n"], "most trades of a page were there before"
    of = found["trades"]
    assert (of.messages, of.repeated, of.backwards, of.gaps) == (trades["n"], 0, 0, 0)
    assert of.lag_ms is not None
    assert of.lag_ms[-1] < 5_000, "a page's old trades have no lag"
    assert found["quotes"].messages <= quotes["n"]
    filled = session.facts("order_filled")[0]["client_order_id"]
    assert "quote BTCUSDT: bid " in CliRunner().invoke(main, ["why", str(session.folder), filled]).output


def test_a_stop_and_a_restart(polled: Begin) -> None:
    venue = CalmVenue()
    first = polled(venue).run(20)
    first.stop()
    second = polled(venue, previous=first, opening=first.state).run(20)
    assert mode(second) is Mode.RUNNING
    assert len(polls(second)) > 40
    assert second.facts("market_gap") == [], "the numbering of trades goes on"


@pytest.mark.parametrize("stream", sorted(PATHS))
@pytest.mark.parametrize("payload", [b"", b"[", b"{}", b"null", b"[1]", b"\xff", b'{"symbol":"ETHUSDT"}', b"9" * 5000])
def test_any_bytes_are_an_event_or_rows(stream: str, payload: bytes) -> None:
    venue = BinanceSpotPolled(VirtualVenue().instruments())
    decoded = venue.decode_poll(payload, PolledStream(BTC, stream, SECOND_NS), 1, 2)
    assert isinstance(decoded, tuple)
    assert isinstance(venue.decode_poll(payload, PolledStream("binance_spot:NONE", stream, 1), 1, 2), tuple)


def test_a_polled_venue_needs_no_address_of_a_stream_and_has_no_model(tmp_path: Path) -> None:
    path = tmp_path / "polled.toml"
    path.write_text(
        f"""instruments = ["BTCUSDT"]
[venue]
name = "{POLLED}"
network = "local"
[session]
journals = "journals"
[strategy.turns]
file = "turns.py:Turns"
[risk]
order_notional_max = 100
position_max = 1
daily_loss_max = 100
[safeguards]
poll_every_s = 2
account_poll_every_s = 3
"""
    )
    (tmp_path / "turns.py").write_text(TURNS)
    read = read_config(path, {})
    key = read_key(read, {"VERBATIM_API_KEY": "key", "VERBATIM_API_SECRET": "secret"})
    session = session_config(read, key=key, base=tmp_path)
    assert session.venue.rest == "http://127.0.0.1:9090"
    assert (session.venue.stream, session.venue.private) == ("", "")
    assert session.safeguards.poll_every_ns == 2 * SECOND_NS
    assert session.safeguards.account_poll_every_ns == 3 * SECOND_NS
    with pytest.raises(ConfigError, match="its market is polled, and the model of a venue follows streams"):
        session_config(on_paper(read), key=None, base=tmp_path)
