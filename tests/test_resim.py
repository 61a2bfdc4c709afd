"""Resimulation: the same session from the market alone, record for record; and other versions, exact first and modelled after."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from msgspec.structs import replace
from replaying import QUOTER, sealed_anew, session

from engine.facts import read_request
from engine.live.clock import SessionClock
from engine.live.opening import Before, Wanted, look_back
from engine.session import MILLISECOND_NS, SessionBody, VenueSettings, read_session
from journal.reader import Journal
from journal.record import Kind, Record
from journal.verify import verify
from replay.changes import changed
from replay.outside import Outside, outside
from replay.rebuild import rebuild
from replay.replay import replay_session
from replay.resimulate import Outcome, resimulate
from replay.venue_model import VenueModel, measured
from verbatim.cli import main
from verbatim.testing import VirtualSession, VirtualVenue, from_sources

WIRE_NS = MILLISECOND_NS // 5
TEST_MODEL = VenueModel(request_ns=WIRE_NS, answer_ns=WIRE_NS, feed_ns=WIRE_NS, venue_ns=MILLISECOND_NS)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session on the venue's core in virtual time, with orders, fills and an ordered end."""
    folder = tmp_path_factory.mktemp("journals") / "lived"
    running = session(folder, seconds=8)
    assert running.facts("order_filled")
    running.stop()
    return folder


def recorded(folder: Path) -> SessionBody:
    return read_session(Journal.open(folder).session_record().body or "")


def resim(lived: Path, into: Path, *, overrides: dict[str, str] | None = None, **settings: Any) -> Outcome:
    body = changed(recorded(lived), overrides or {})
    return resimulate(lived, into, session=body, model=TEST_MODEL, **settings)


def bare(folder: Path) -> list[Record]:
    """Without what says that it is a resimulation: the origins, the SESSION record, and the hashes over it."""
    return [
        replace(record, key=None if record.kind is Kind.FEED else record.key)
        for record in Journal.open(folder).records(1)
        if record.kind is not Kind.CHECKPOINT
    ]


def test_from_the_market_alone_a_session_comes_out_record_for_record(lived: Path, tmp_path: Path) -> None:
    outcome = resim(lived, tmp_path / "again", modelled=True)
    ours, theirs = bare(tmp_path / "again"), bare(lived)
    for mine, other in zip(ours, theirs, strict=False):
        assert mine == other
    assert len(ours) == len(theirs)
    assert (outcome.handover_seq, outcome.balances_known) == (0, True)
    assert verify(tmp_path / "again").closed
    assert replay_session(tmp_path / "again").identical


def test_without_a_change_nothing_is_modelled(lived: Path, tmp_path: Path) -> None:
    outcome = resim(lived, tmp_path / "again")
    assert (outcome.handover_seq, outcome.handover) == (None, "")
    assert bare(tmp_path / "again") == bare(lived)
    assert replay_session(tmp_path / "again").identical


def bad_day(folder: Path) -> Path:
    """Lost connections, answers that were cut, a person who pauses, and no end."""
    venue = VirtualVenue(seed=3, balances={"USDT": "1000000", "BTC": "20"})
    venue.fault(action="cut_answer", path="/api/v3/order", times=2)
    running = VirtualSession(venue, folder, strategies=[from_sources({"quoter": QUOTER}, "quoter", "Quoter")]).run(2)
    venue.fault(action="disconnect", target="market")
    running.run(2)
    running.command("pause").run(1)
    venue.fault(action="disconnect", target="private")
    running.command("resume").run(3)
    return running.kill()


def test_a_bad_day_is_exact_to_its_end_and_goes_on_from_anywhere(tmp_path: Path) -> None:
    """With a change after each of its troubles: what the model takes over then ends in order or stands, and replays."""
    folder = bad_day(tmp_path / "day")
    assert resim(folder, tmp_path / "again").handover_seq is None
    assert bare(tmp_path / "again") == bare(folder)
    seqs = []
    for quotes in (1, 15, 25, 45):
        other = QUOTER.replace("parameters.size, quote.ask,", f"parameters.size * (1 + (state.quotes > {quotes})), quote.ask,")
        body = changed(recorded(folder), {}, {"quoter": from_sources({"quoter": other}, "quoter", "Quoter")})
        outcome = resimulate(folder, tmp_path / f"from{quotes}", session=body, model=TEST_MODEL)
        assert outcome.handover_seq is not None
        seqs.append(outcome.handover_seq)
        assert replay_session(outcome.folder).identical
        assert verify(outcome.folder).ok
        _, state, _ = rebuild(outcome.folder)
        assert state.account.modes.halted_for == ""
    assert seqs == sorted(set(seqs))


def requests(folder: Path, purpose: str) -> list[Record]:
    return [each for each in Journal.open(folder).records(kinds=[Kind.REQUEST]) if read_request(each.body or "").purpose == purpose]


def test_another_size_is_exact_up_to_the_first_order_and_modelled_after(lived: Path, tmp_path: Path) -> None:
    outcome = resim(lived, tmp_path / "other", overrides={"strategy.quoter.size": "0.002"})
    first = requests(lived, "place")[0]
    assert outcome.handover_seq is not None
    assert bare(tmp_path / "other")[: first.seq - 3] == bare(lived)[: first.seq - 3]
    assert outcome.handover.startswith(f"another request at record {first.seq}: place")
    assert outcome.handover.endswith("BUY 0.002 BTCUSDT at 60000 in place of place BUY 0.001 BTCUSDT at 60000")
    (told,) = list(Journal.open(tmp_path / "other").records(kinds=[Kind.COMMAND], sources=["resim"]))
    assert outcome.handover in (told.body or "")
    assert told.seq == outcome.handover_seq + 1
    sizes = {read_request(each.body or "").order.quantity for each in requests(tmp_path / "other", "place")}  # type: ignore[union-attr]
    assert [f"{size:f}" for size in sizes] == ["0.002"]
    assert len(requests(tmp_path / "other", "place")) > 10
    assert verify(tmp_path / "other").closed
    assert replay_session(tmp_path / "other").identical


def test_a_change_in_mid_session_takes_over_orders_and_money(lived: Path, tmp_path: Path) -> None:
    """From its 30th decision on the strategy asks a cent more while its bid stands: an order of the record, that the model must know."""
    asks = 'quote.ask + Decimal("0.01") if sides and state.quotes > 30 else quote.ask'
    later = QUOTER.replace("Side.SELL, parameters.size, quote.ask,", f"Side.SELL, parameters.size, {asks},")
    ours = from_sources({"quoter": later}, "quoter", "Quoter")
    body = changed(recorded(lived), {}, {"quoter": ours})
    outcome = resimulate(lived, tmp_path / "other", session=body, model=TEST_MODEL)
    assert outcome.handover_seq is not None
    assert outcome.handover_seq > requests(lived, "place")[2].seq
    _, state, _ = rebuild(tmp_path / "other", until=outcome.handover_seq)
    standing = [order for order in state.account.orders.live_by_age() if order.venue_order_id]
    assert [order.order.side for order in standing] == ["BUY"]
    assert verify(tmp_path / "other").closed
    assert replay_session(tmp_path / "other").identical
    _, ended, _ = rebuild(tmp_path / "other")
    assert not ended.account.orders.live
    assert not [each for each in Journal.open(tmp_path / "other").records(kinds=[Kind.NOTE]) if "alarm" in (each.body or "")]


def test_a_tighter_limit_sends_nothing(lived: Path, tmp_path: Path) -> None:
    outcome = resim(lived, tmp_path / "none", overrides={"risk.order_size_max": "0.0001"})
    assert outcome.handover_seq is not None
    assert requests(tmp_path / "none", "place") == []
    assert verify(tmp_path / "none").closed


def test_times_are_measured_in_the_journal(lived: Path) -> None:
    found = measured(Journal.open(lived))
    assert found.exchanges > 10
    assert found.model.request_ns == found.model.answer_ns == (2 * WIRE_NS + MILLISECOND_NS) // 2


# ---- commands ------------------------------------------------------------------------------------------


def verbatim(*words: object, code: int = 0) -> str:
    ended = CliRunner().invoke(main, [str(word) for word in words])
    assert ended.exit_code == code, ended.output
    return ended.output


def test_resim_tells_what_would_have_been_and_leaves_a_journal(lived: Path, tmp_path: Path) -> None:
    told = verbatim("resim", lived, "--trust-code", "--set", "strategy.quoter.size=0.002", "--into", tmp_path / "r").splitlines()
    assert told[0].startswith("resim: ")
    assert "exact up to record" in told[0]
    assert told[1].startswith("model: request/venue/answer/feed 0.7/0/0.7/0.7 ms (measured in")
    assert "- BUY 0.001 BTCUSDT at 60000 LIMIT GTC" in "\n".join(told)
    assert told[-1] == str(tmp_path / "r")
    assert "verify: whole" in verbatim("verify", tmp_path / "r")
    assert "replay: identical" in verbatim("replay", tmp_path / "r", "--trust-code")
    said = verbatim("diff", lived, tmp_path / "r", code=1).splitlines()
    assert said[0] == "configuration: strategy quoter: size: None / 0.002"
    assert said[-1].startswith("diff: they part first in decision: BUY 0.001 BTCUSDT at 60000")


def test_the_model_is_set_by_name_and_its_times_are_what_parts_first(lived: Path, tmp_path: Path) -> None:
    slow = ("--modelled", "--model", "request_ms=20", "--model", "answer_ms=0.7", "--model", "feed_ms=0.7")
    told = json.loads(verbatim("resim", lived, "--trust-code", *slow, "--into", tmp_path / "r", "--json"))
    assert told["model"]["request_ns"] == 20_000_000
    assert (told["modelled"], told["handover_seq"]) == (True, 0)
    found = json.loads(verbatim("diff", lived, tmp_path / "r", "--json", code=1))
    assert {each["of"] for each in found["partings"]} >= {"latency", "decision"}
    assert "data" not in {each["of"] for each in found["partings"]}


def test_a_session_does_not_part_from_its_repetition(lived: Path, tmp_path: Path) -> None:
    verbatim("resim", lived, "--trust-code", "--into", tmp_path / "r")
    assert verbatim("diff", lived, tmp_path / "r").splitlines() == ["diff: the same"]


def test_other_frames_are_other_data(lived: Path, tmp_path: Path) -> None:
    frame = next(each for each in Journal.open(lived).records(900, kinds=[Kind.FEED]) if each.meta is None)
    changed_frame = (frame.payload or b"").replace(b'"s":"BTC', b'"s":"XTC')
    other = sealed_anew(lived, tmp_path / "other", frame.seq, payload=changed_frame)
    found = json.loads(verbatim("diff", lived, other, "--json", code=1))
    assert [each["of"] for each in found["partings"]] == ["data"]
    assert f"record {frame.seq}" in found["verdict"]


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--model", "speed_ms=3"), "the venue's model has no 'speed_ms'; it has: request_ms"),
        (("--model", "request_ms=soon"), "a number, and none below 0"),
        (("--set", "risk.nothing=3"), "unknown setting 'risk.nothing'"),
        (("--strategy", "nowhere.py"), "nowhere.py"),
    ],
)
def test_bad_input_is_one_line(lived: Path, tmp_path: Path, words: tuple[str, ...], what: str) -> None:
    told = verbatim("resim", lived, "--trust-code", "--into", tmp_path / "r", *words, code=3)
    assert what in told
    assert len(told.splitlines()) == 1
    assert not (tmp_path / "r").exists()


def test_code_of_others_is_not_run_unasked(lived: Path, tmp_path: Path) -> None:
    assert "--trust-code" in verbatim("resim", lived, "--into", tmp_path / "r", code=3)


def test_no_account_goes_on_from_what_never_was(lived: Path, tmp_path: Path) -> None:
    """A newer resimulation among the journals must not become the session before."""
    where = tmp_path / "20990101T000000Z-bbbbbbbb"
    resim(lived, where, overrides={"strategy.quoter.size": "0.002"})
    clock = SessionClock.wall()
    wanted = Wanted(journals=tmp_path, clock=clock, venue=VenueSettings(), symbols=("BTCUSDT",))
    assert look_back(wanted) == Before()
    shutil.copytree(lived, tmp_path / "20260101T000000Z-aaaaaaaa")
    before = look_back(wanted)
    assert before.previous is not None
    assert before.previous.chain == verify(lived).chain


def test_a_decision_that_depends_on_what_came_later_is_found(lived: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None does; where frames reach the engine half a second before they were there, some do."""
    told = verbatim("lookahead", lived, "--trust-code", "--cuts", 2)
    assert "none depends on what came later" in told

    def early(*given: Any, **named: Any) -> Iterator[Outside]:
        for one in outside(*given, **named):
            yield one._replace(record=replace(one.record, time_ns=one.record.time_ns - 500 * MILLISECOND_NS))

    monkeypatch.setattr("replay.resimulate.outside", early)
    told = verbatim("lookahead", lived, "--trust-code", "--cuts", 2, code=1)
    assert "decisions before it are others" in told
