"""The chain behind an order, from its last fill back to the market message: by hand, in one session, and across two."""

import json
from pathlib import Path
from typing import Any

import pytest
from calm_venue import CalmVenue
from click.testing import CliRunner

from analysis import sql_session
from analysis.why import UnknownOrderError, order_story
from engine.session_record import EngineSettings
from journal.record import Kind, Record
from replay.record_text import describe
from tests.replaying import session as recorded
from verbatim.cli import main
from verbatim.testing import VirtualSession, VirtualVenue, strategy_settings

ONCE = Path(__file__).parent / "strategies" / "once.py"


def begin(
    venue: VirtualVenue, folder: Path, *, session: str = "aaaaaaaa", below: str = "0", **settings: Any
) -> VirtualSession:
    once = strategy_settings(ONCE, "Once", parameters={"size": "0.02", "below": below})
    return VirtualSession(venue, folder, strategies=[once], session=session, **settings)


@pytest.mark.slow
def test_a_fill_leads_back_to_the_quote_and_its_link(tmp_path: Path) -> None:
    """Follow fill, answer, request, verdict, intent, quote and link: each names the next as its cause."""
    session = begin(CalmVenue(), tmp_path / "20240808T235410Z-aaaaaaaa")
    session.run(until=lambda session: bool(session.facts("order_filled"))).run(1)
    session.stop()
    fill = session.facts("order_filled")[0]
    story = order_story(session.folder, fill["client_order_id"])
    assert story.order is not None
    assert story.order["status"] == "filled"
    assert story.chain == order_story(session.folder, fill["venue_order_id"]).chain, (
        "the venue's id means the same order"
    )

    links = {link.record.seq: link for link in story.chain}
    assert list(links) == sorted(links, reverse=True), "latest first"
    at = next(link.record for link in story.chain if "filled 0." in link.what)
    walked = [at.kind]
    while at.kind is not Kind.LINK:
        assert at.cause is not None
        decided_on = json.loads(at.body or "{}").get("rationale", {}).get("quote_seq")
        assert at.cause in links, "what woke the strategy is there too"
        at = links[decided_on or at.cause].record
        walked.append(at.kind)
    assert walked == [Kind.FACT, Kind.BROKER, Kind.REQUEST, Kind.VERDICT, Kind.INTENT, Kind.FEED, Kind.LINK]

    request = next(link for link in story.chain if link.record.kind is Kind.REQUEST)
    answer = links[request.answered_by or 0]
    assert answer.record.cause == request.record.seq
    assert request.outcome == "answer"
    assert request.sent_ns == request.record.time_ns  # in virtual time it leaves as soon as it is decided
    assert request.latency_ns == answer.record.time_ns - request.sent_ns
    asked = [link for link in story.chain if link.record.kind is Kind.REQUEST and link.answered_by]
    stated = sql_session.query_rows(
        sql_session.connect(session.folder),
        "SELECT seq, sent_ns, answer_seq, latency_ns, outcome FROM requests WHERE list_contains(?, seq) ORDER BY seq DESC",
        [[link.record.seq for link in asked]],
    )
    assert stated == [
        (link.record.seq, link.sent_ns, link.answered_by, link.latency_ns, link.outcome) for link in asked
    ], "the view has the same figures"
    quote = next(link for link in story.chain if link.what.startswith("quote BTCUSDT: bid "))
    assert b"bookTicker" in (quote.record.payload or b"")


@pytest.mark.slow
def test_a_throttled_cancel_leads_back_to_its_quote(tmp_path: Path) -> None:
    """Follow a cancel whose intent names no quote: its cause is a TIMER, and the last quote before it explains it."""
    session = recorded(tmp_path / "20240808T235410Z-aaaaaaaa", seconds=5)
    session.stop()
    cancel = next(record for record in session.kinds(Kind.INTENT) if '"intent":"cancel"' in (record.body or ""))
    links = {link.record.seq: link for link in order_story(session.folder, cancel.key or "").chain}
    timer = links[cancel.cause or 0].record
    assert timer.kind is Kind.TIMER
    quotes = [seq for seq, link in links.items() if seq < timer.seq and link.what.startswith("quote BTCUSDT")]
    feed = [
        record.seq
        for record in session.kinds(Kind.FEED)
        if record.seq < timer.seq and b"bookTicker" in (record.payload or b"")
    ]
    assert max(quotes) == max(feed)


@pytest.mark.slow
def test_an_order_is_followed_into_its_first_session(tmp_path: Path) -> None:
    """Kill a session with a resting order and cancel it in the next: the story covers both."""
    venue = VirtualVenue()
    first = begin(venue, tmp_path / "20240808T235410Z-aaaaaaaa", below="500")
    first.run(until=lambda session: bool(session.facts("order_accepted")))
    name = first.facts("order_accepted")[0]["client_order_id"]
    first.kill()
    second = begin(
        venue, tmp_path / "20240808T235510Z-bbbbbbbb", session="bbbbbbbb", previous=first, opening=first.state
    )
    second.run(5)
    second.stop()

    story = order_story(second.folder, name)
    assert story.sessions == ("bbbbbbbb", "aaaaaaaa")
    assert story.missing == ""
    assert story.order is not None
    assert (story.order["status"], story.order["origin"]) == ("canceled", "carried")
    assert story.order["venue_order_id"] == first.facts("order_accepted")[0]["venue_order_id"]
    places = [(link.session, link.record.kind) for link in story.chain]
    assert ("bbbbbbbb", Kind.REQUEST) in places
    assert ("bbbbbbbb", Kind.COMMAND) in places, "the stop is why it was cancelled"
    assert ("aaaaaaaa", Kind.INTENT) in places
    assert places[-1] == ("aaaaaaaa", Kind.LINK)
    text = run_why(second.folder, name).stdout
    assert text.index("session bbbbbbbb") < text.index("session aaaaaaaa")

    first.folder.rename(tmp_path / "elsewhere")
    alone = order_story(second.folder, name)
    assert alone.sessions == ("bbbbbbbb",)
    assert "The order began in session aaaaaaaa, which cannot be opened" in alone.missing


@pytest.mark.slow
def test_an_order_without_an_answer_shows_how_it_ended(tmp_path: Path) -> None:
    """Cut the answer after the venue accepted the order: it is unknown, then found by the private stream."""
    venue = CalmVenue()
    venue.fault(action="cut_answer", method="POST", path="/api/v3/order")
    session = begin(venue, tmp_path / "20240808T235410Z-aaaaaaaa")
    session.run(5)
    session.stop()
    text = run_why(session.folder, session.facts("order_unknown")[0]["client_order_id"]).stdout
    places = [
        text.index(words)
        for words in ("filled 0.02 at", "accepted by the venue as order", "unknown: cut", "; ended as cut ")
    ]
    assert places == sorted(places), "latest first"


def test_damage_is_one_clear_line(tmp_path: Path) -> None:
    session = begin(CalmVenue(), tmp_path / "20240808T235410Z-aaaaaaaa")
    session.run(2)
    session.stop()
    sealed = next(session.folder.glob("*.parquet"))
    damaged = bytearray(sealed.read_bytes())
    damaged[-20] ^= 1
    sealed.write_bytes(damaged)
    for command in ("why", "sql"):
        failed = CliRunner().invoke(main, [command, str(session.folder), "SELECT 1"])
        assert failed.exit_code == 1
        assert failed.stderr.startswith(f"verbatim: {sealed}: the footer cannot be read")
        assert failed.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_refused_intent_has_a_story(tmp_path: Path) -> None:
    """Refuse an intent: no order is sent, and the verdict explains it."""
    session = begin(CalmVenue(balances={"USDT": "1"}), tmp_path / "20240808T235410Z-aaaaaaaa")
    session.run(until=lambda session: bool(session.kinds(Kind.VERDICT)))
    name = session.kinds(Kind.VERDICT)[0].key or ""
    session.stop()
    story = order_story(session.folder, name)
    assert story.order is None
    assert not [
        link for link in story.chain if link.record.key == name and link.record.kind not in (Kind.VERDICT, Kind.INTENT)
    ]
    assert "refused by balance: needs " in story.chain[0].what
    assert "never left us" in run_why(session.folder, name).stdout


def test_a_running_session_has_stories(tmp_path: Path) -> None:
    session = begin(
        CalmVenue(), tmp_path / "20240808T235410Z-aaaaaaaa", below="500", engine=EngineSettings(cancel_on_stop=False)
    )
    session.run(until=lambda session: bool(session.facts("order_accepted")))
    session.writer.wait_durable(session.records[-1].seq, 60)
    story = order_story(session.folder, session.facts("order_accepted")[0]["client_order_id"])
    assert story.order is not None
    assert story.order["status"] == "open"
    session.kill()


def run_why(folder: Path, *arguments: str) -> Any:
    return CliRunner().invoke(main, ["why", str(folder), *arguments])


@pytest.mark.slow
def test_the_command_line(tmp_path: Path) -> None:
    """Print text for people, JSON for scripts, and one line with near matches for an unknown order."""
    session = begin(CalmVenue(), tmp_path / "20240808T235410Z-aaaaaaaa")
    session.run(until=lambda session: bool(session.facts("order_filled")))
    session.stop()
    name = session.facts("order_filled")[0]["client_order_id"]
    text = run_why(session.folder, name)
    assert text.exit_code == 0
    for words in (
        f"{name} (the venue's order",
        "decides to BUY 0.02 binance_spot:BTCUSDT at market",
        "approved; free_USDT ",
    ):
        assert words in text.stdout
    found = json.loads(run_why(session.folder, name, "--json").stdout)
    assert found["order"]["client_order_id"] == name
    assert [link["seq"] for link in found["chain"]] == sorted((link["seq"] for link in found["chain"]), reverse=True)
    assert {"kind", "cause", "what", "payload", "body", "delta_ns"} <= found["chain"][0].keys()

    wrong = run_why(session.folder, name[:-1])
    assert wrong.exit_code == 3
    assert wrong.stderr.startswith(f"verbatim: no order '{name[:-1]}' in session aaaaaaaa; near it: {name}.")
    assert wrong.stderr.count("\n") == 1
    assert run_why(tmp_path / "nothing", name).exit_code == 3
    with pytest.raises(UnknownOrderError):
        order_story(session.folder, "")


def test_any_record_has_a_description() -> None:
    """A body or a frame that cannot be read is returned unchanged."""
    for kind in Kind:
        assert describe(Record(1, 1, kind, "x", body="no json")) in ("no json", "")
    assert describe(Record(1, 1, Kind.FEED, "x", payload=b"\xff")) == "\\xff"
    assert (
        describe(Record(1, 1, Kind.BROKER, "x.rest", cause=7, meta='{"outcome":"cut"}', payload=b""))
        == "no answer to request 7, cut"
    )
