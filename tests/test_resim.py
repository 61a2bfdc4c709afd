"""Resimulation: the same session from the market alone, and other versions, exact first and modelled after."""

import json
import shutil
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from msgspec.structs import replace
from replaying import QUOTER, reseal, session

from engine.facts import OrderFilled
from engine.live.clock import SessionClock
from engine.live.previous_session import PreviousJournal, restore_previous
from engine.live.session_config import SessionConfig
from engine.live.venue_access import VenueAccess
from engine.market.rows import TIME_NS
from engine.record_codec import read_fact, read_request
from engine.requests import Purpose
from engine.session_record import MILLISECOND_NS, SessionBody, VenueSettings, read_session
from engine.sim.venue_model import VenueModel
from engine.sim.virtual_gateway import VirtualGateway
from journal.reader import Journal
from journal.record import Kind, Record
from journal.verify import verify
from replay import projections
from replay.overrides import apply_overrides, with_strategy
from replay.rebuild import rebuild
from replay.replay import replay_session
from replay.resim.measured_latency import measure_latency
from replay.resim.resimulate import ResimOptions, ResimOutcome, resimulate, resimulate_decisions
from replay.resim.sim_setup import CannotResimulateError
from replay.resim.timeline import OutsideInput, RowSpan, Timeline
from replay.study.decisions import session_decisions
from replay.study.performance import session_performance
from verbatim.cli import main
from verbatim.strategy_files import read_strategy
from verbatim.testing import VirtualSession, VirtualVenue, from_sources

WIRE_NS = MILLISECOND_NS // 5
TOUCH = Path(__file__).resolve().parent.parent / "benchmarks" / "strategies" / "touch.py"  # it seldom decides
TEST_MODEL = VenueModel(request_ns=WIRE_NS, answer_ns=WIRE_NS, feed_ns=WIRE_NS, venue_ns=MILLISECOND_NS)


@pytest.fixture(scope="module")
def recorded_session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a session on the simulated venue in virtual time, with orders, fills and an ordered end."""
    folder = tmp_path_factory.mktemp("journals") / "lived"
    running = session(folder, seconds=8)
    assert running.facts("order_filled")
    running.stop()
    return folder


def recorded(folder: Path) -> SessionBody:
    return read_session(Journal.open(folder).session_record().body or "")


def resim(
    recorded_session: Path, into: Path, *, overrides: dict[str, str] | None = None, **settings: Any
) -> ResimOutcome:
    body = apply_overrides(recorded(recorded_session), overrides or {})
    return resimulate(recorded_session, into, ResimOptions(session=body, model=TEST_MODEL, **settings))


def without_origins(folder: Path) -> list[Record]:
    """Return the records without the marks of a resimulation: origins, the SESSION record, and the hashes over it."""
    return [
        replace(record, key=None if record.kind is Kind.FEED else record.key)
        for record in Journal.open(folder).records(1)
        if record.kind is not Kind.CHECKPOINT
    ]


@pytest.mark.slow
def test_a_modelled_run_repeats_a_simulated_session_record_for_record(recorded_session: Path, tmp_path: Path) -> None:
    outcome = resim(recorded_session, tmp_path / "again", modelled=True)
    ours, theirs = without_origins(tmp_path / "again"), without_origins(recorded_session)
    for mine, other in zip(ours, theirs, strict=False):
        assert mine == other
    assert len(ours) == len(theirs)
    assert (outcome.handover_seq, outcome.balances_known) == (0, True)
    assert verify(tmp_path / "again").closed
    assert replay_session(tmp_path / "again").identical


@pytest.mark.slow
def test_without_a_change_nothing_is_modelled(recorded_session: Path, tmp_path: Path) -> None:
    outcome = resim(recorded_session, tmp_path / "again")
    assert (outcome.handover_seq, outcome.handover) == (None, "")
    assert without_origins(tmp_path / "again") == without_origins(recorded_session)
    assert replay_session(tmp_path / "again").identical


def test_the_size_of_blocks_changes_no_record(
    recorded_session: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TIMERs without an effect are skipped between two blocks too, and orders are watched over the end of one."""
    body = with_strategy(recorded(recorded_session), read_strategy(f"{TOUCH}:Touch"))
    options = ResimOptions(session=body, model=TEST_MODEL, modelled=True)
    found = []
    for block_rows in (5, 1_000_000):
        monkeypatch.setattr(projections, "BLOCK_ROWS", block_rows)
        folder = tmp_path / str(block_rows) / recorded_session.name
        shutil.copytree(recorded_session, folder, ignore=shutil.ignore_patterns("rows-*"))
        records: list[Record] = []
        resimulate_decisions(folder, options, records.extend)
        found.append(records)
    assert sum(record.kind is Kind.REQUEST for record in found[0]) > 10
    assert found[0] == found[1]


@pytest.mark.slow
def test_a_killed_session_is_modelled_up_to_its_last_record(tmp_path: Path) -> None:
    """Take a TIMER that was due just before the end: without it lookahead would report a false difference."""
    folder = session(tmp_path / "s", seconds=5).kill()
    resim(folder, tmp_path / "m", modelled=True)
    recorded, modelled = without_origins(folder), without_origins(tmp_path / "m")
    assert modelled[: len(recorded)] == recorded
    command, *reports = modelled[len(recorded) :]
    assert '"command":"report"' in (command.body or ""), "behind its market, P&L is reported once more"
    assert [record.kind for record in reports] == [Kind.FACT, Kind.FACT]
    assert "none depends on later records" in verbatim("lookahead", folder, "--trust-code", "--cuts", 12)


def faulty_session(folder: Path) -> Path:
    """Record lost connections, answers that were cut, a person who pauses, and no end."""
    venue = VirtualVenue(seed=3, balances={"USDT": "1000000", "BTC": "20"})
    venue.fault(action="cut_answer", path="/api/v3/order", times=2)
    running = VirtualSession(venue, folder, strategies=[from_sources({"quoter": QUOTER}, "quoter", "Quoter")]).run(2)
    venue.fault(action="disconnect", target="market")
    running.run(2)
    running.command("pause").run(1)
    venue.fault(action="disconnect", target="private")
    running.command("resume").run(3)
    return running.kill()


@pytest.mark.slow
def test_a_session_with_faults_is_exact_and_hands_over_anywhere(tmp_path: Path) -> None:
    """Change the strategy after each fault: the modelled part ends in order or remains open, and replays."""
    folder = faulty_session(tmp_path / "day")
    assert resim(folder, tmp_path / "again").handover_seq is None
    assert without_origins(tmp_path / "again") == without_origins(folder)
    seqs = []
    for quotes in (1, 15, 25, 45):
        other = QUOTER.replace(
            "parameters.size, quote.ask,", f"parameters.size * (1 + (state.quotes > {quotes})), quote.ask,"
        )
        body = apply_overrides(recorded(folder), {}, {"quoter": from_sources({"quoter": other}, "quoter", "Quoter")})
        outcome = resimulate(folder, tmp_path / f"from{quotes}", ResimOptions(session=body, model=TEST_MODEL))
        assert outcome.handover_seq is not None
        seqs.append(outcome.handover_seq)
        assert replay_session(outcome.folder).identical
        assert verify(outcome.folder).ok
        _, state, _ = rebuild(outcome.folder)
        assert state.account.modes.halted_for is None
    assert seqs == sorted(set(seqs))


def requests(folder: Path, purpose: str) -> list[Record]:
    return [
        each
        for each in Journal.open(folder).records(kinds=[Kind.REQUEST])
        if read_request(each.body or "").purpose == purpose
    ]


@pytest.mark.slow
def test_another_size_is_exact_up_to_the_first_order(recorded_session: Path, tmp_path: Path) -> None:
    outcome = resim(recorded_session, tmp_path / "other", overrides={"strategy.quoter.size": "0.002"})
    first = requests(recorded_session, "place")[0]
    assert outcome.handover_seq is not None
    assert without_origins(tmp_path / "other")[: first.seq - 3] == without_origins(recorded_session)[: first.seq - 3]
    assert outcome.handover.startswith(f"another request at record {first.seq}: place")
    assert outcome.handover.endswith("BUY 0.002 BTCUSDT at 60000 in place of place BUY 0.001 BTCUSDT at 60000")
    (handover,) = list(Journal.open(tmp_path / "other").records(kinds=[Kind.COMMAND], sources=["resim"]))
    assert outcome.handover in (handover.body or "")
    assert handover.seq == outcome.handover_seq + 1
    sizes = {read_request(each.body or "").order.quantity for each in requests(tmp_path / "other", "place")}  # type: ignore[union-attr]
    assert [f"{size:f}" for size in sizes] == ["0.002"]
    assert len(requests(tmp_path / "other", "place")) > 10
    assert verify(tmp_path / "other").closed
    assert replay_session(tmp_path / "other").identical


@pytest.mark.slow
def test_a_handover_in_mid_session_adopts_orders_and_balances(recorded_session: Path, tmp_path: Path) -> None:
    """Raise the ask by a cent from the 30th decision on: the model must know the resting bid of the record."""
    asks = 'quote.ask + Decimal("0.01") if sides and state.quotes > 30 else quote.ask'
    later = QUOTER.replace("Side.SELL, parameters.size, quote.ask,", f"Side.SELL, parameters.size, {asks},")
    ours = from_sources({"quoter": later}, "quoter", "Quoter")
    body = apply_overrides(recorded(recorded_session), {}, {"quoter": ours})
    outcome = resimulate(recorded_session, tmp_path / "other", ResimOptions(session=body, model=TEST_MODEL))
    assert outcome.handover_seq is not None
    assert outcome.handover_seq > requests(recorded_session, "place")[2].seq
    _, state, _ = rebuild(tmp_path / "other", until=outcome.handover_seq)
    standing = [order for order in state.account.orders.live_by_age() if order.venue_order_id]
    assert [order.order.side for order in standing] == ["BUY"]
    assert verify(tmp_path / "other").closed
    assert replay_session(tmp_path / "other").identical
    _, ended, _ = rebuild(tmp_path / "other")
    assert not ended.account.orders.live
    assert not [
        each for each in Journal.open(tmp_path / "other").records(kinds=[Kind.NOTE]) if "alarm" in (each.body or "")
    ]


def test_a_tighter_limit_sends_nothing(recorded_session: Path, tmp_path: Path) -> None:
    outcome = resim(recorded_session, tmp_path / "none", overrides={"risk.order_size_max": "0.0001"})
    assert outcome.handover_seq is not None
    assert requests(tmp_path / "none", "place") == []
    assert verify(tmp_path / "none").closed


def test_latencies_are_measured_in_the_journal(recorded_session: Path) -> None:
    found = measure_latency(Journal.open(recorded_session))
    assert found.round_trips > 10
    assert found.model.request_ns == found.model.answer_ns == (2 * WIRE_NS + MILLISECOND_NS) // 2


# ---- commands ------------------------------------------------------------------------------------------


def verbatim(*words: object, code: int = 0) -> str:
    ended = CliRunner().invoke(main, [str(word) for word in words])
    assert ended.exit_code == code, ended.output
    return ended.output


@pytest.mark.slow
def test_resim_reports_the_changes_and_writes_a_journal(recorded_session: Path, tmp_path: Path) -> None:
    lines = verbatim(
        "resim", recorded_session, "--trust-code", "--set", "strategy.quoter.size=0.002", "--into", tmp_path / "r"
    ).splitlines()
    assert lines[0].startswith("resim: ")
    assert "exact up to record" in lines[0]
    assert lines[1].startswith("model: request/venue/answer/feed 0.7/0/0.7/0.7 ms (measured in")
    assert "- BUY 0.001 BTCUSDT at 60000 LIMIT GTC" in "\n".join(lines)
    assert lines[-1] == str(tmp_path / "r")
    assert "verify: whole" in verbatim("verify", tmp_path / "r")
    assert "replay: identical" in verbatim("replay", tmp_path / "r", "--trust-code")
    lines = verbatim("diff", recorded_session, tmp_path / "r", code=1).splitlines()
    assert lines[0] == "configuration: strategy quoter: size: None / 0.002"
    assert lines[-1].startswith(
        "diff: the first difference is in decision, by configuration: BUY 0.001 BTCUSDT at 60000"
    )


@pytest.mark.slow
def test_a_model_with_other_latencies_differs_in_latency_first(recorded_session: Path, tmp_path: Path) -> None:
    slow = ("--modelled", "--model", "request_ms=20", "--model", "answer_ms=0.7", "--model", "feed_ms=0.7")
    summary = json.loads(verbatim("resim", recorded_session, "--trust-code", *slow, "--into", tmp_path / "r", "--json"))
    assert summary["model"]["request_ns"] == 20_000_000
    assert (summary["modelled"], summary["handover_seq"]) == (True, 0)
    found = json.loads(verbatim("diff", recorded_session, tmp_path / "r", "--json", code=1))
    assert {each["of"] for each in found["partings"]} >= {"latency", "decision"}
    assert "data" not in {each["of"] for each in found["partings"]}


@pytest.mark.slow
def test_a_resimulated_session_is_resimulated_again(recorded_session: Path, tmp_path: Path) -> None:
    """Use a source whose market records have origins: the result names the records of that source."""
    first, second = tmp_path / "first", tmp_path / "second"
    words = ("--trust-code", "--modelled", "--json", "--balance", "USDT=100000", "--balance", "BTC=1")
    verbatim("resim", recorded_session, *words, "--into", first)
    again = json.loads(verbatim("resim", first, *words, "--into", second))
    assert again["decisions_changed"] == 0, again
    assert len(session_decisions(second)) > 5
    assert not any(
        each["of"] == "decision" for each in json.loads(verbatim("diff", first, second, "--json"))["partings"]
    )


@pytest.mark.slow
def test_a_session_equals_its_resimulation(recorded_session: Path, tmp_path: Path) -> None:
    verbatim("resim", recorded_session, "--trust-code", "--into", tmp_path / "r")
    assert verbatim("diff", recorded_session, tmp_path / "r").splitlines() == ["diff: the same"]


def test_diff_reports_other_frames_as_data(recorded_session: Path, tmp_path: Path) -> None:
    frame = next(each for each in Journal.open(recorded_session).records(900, kinds=[Kind.FEED]) if each.meta is None)
    changed_frame = (frame.payload or b"").replace(b'"s":"BTC', b'"s":"XTC')
    other = reseal(recorded_session, tmp_path / "other", frame.seq, payload=changed_frame)
    found = json.loads(verbatim("diff", recorded_session, other, "--json", code=1))
    assert [each["of"] for each in found["partings"]] == ["data"]
    assert f"record {frame.seq}" in found["verdict"]


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--model", "speed_ms=3"), "the venue's model has no 'speed_ms'"),
        (("--model", "request_ms=soon"), "give a number from 0 to 3600000"),
        (("--set", "risk.nothing=3"), "unknown setting 'risk.nothing'"),
        (("--strategy", "nowhere.py"), "nowhere.py"),
    ],
)
def test_bad_input_is_one_line(recorded_session: Path, tmp_path: Path, words: tuple[str, ...], what: str) -> None:
    lines = verbatim("resim", recorded_session, "--trust-code", "--into", tmp_path / "r", *words, code=3)
    assert what in lines
    assert len(lines.splitlines()) == 1
    assert not (tmp_path / "r").exists()


def test_resim_needs_trust_code_for_another_machine(recorded_session: Path, tmp_path: Path) -> None:
    assert "--trust-code" in verbatim("resim", recorded_session, "--into", tmp_path / "r", code=3)


@pytest.mark.slow
def test_no_session_continues_from_a_resimulation(recorded_session: Path, tmp_path: Path) -> None:
    """Leave a newer resimulation among the journals: it must not become the previous session."""
    where = tmp_path / "20990101T000000Z-bbbbbbbb"
    resim(recorded_session, where, overrides={"strategy.quoter.size": "0.002"})
    venue = VenueAccess(settings=VenueSettings(), symbols=("BTCUSDT",))
    options = SessionConfig(journals=tmp_path, clock=SessionClock.wall(), venues=(venue,))
    assert restore_previous(options) == PreviousJournal()
    shutil.copytree(recorded_session, tmp_path / "20260101T000000Z-aaaaaaaa")
    before = restore_previous(options)
    assert before.previous is not None
    assert before.previous.chain == verify(recorded_session).chain


@pytest.mark.slow
def test_lookahead_finds_decisions_that_use_later_records(
    recorded_session: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deliver frames half a second early, so that some decisions use later records; otherwise no decision does."""
    lines = verbatim("lookahead", recorded_session, "--trust-code", "--cuts", 2)
    assert "none depends on later records" in lines

    pieces = Timeline.items

    def early(*given: Any) -> Iterator[RowSpan | OutsideInput]:
        for one in pieces(*given):
            if isinstance(one, RowSpan):
                rows = one.rows.copy()
                rows[:, TIME_NS] -= 500 * MILLISECOND_NS
                yield one._replace(rows=rows)
            else:
                yield one._replace(record=replace(one.record, time_ns=one.record.time_ns - 500 * MILLISECOND_NS))

    monkeypatch.setattr(Timeline, "items", early)
    lines = verbatim("lookahead", recorded_session, "--trust-code", "--cuts", 2, code=1)
    assert "earlier decisions differ" in lines


# ---- handovers in detail -------------------------------------------------------------------------------


def recorded_with(folder: Path, *, seconds: float = 5, **faults: Any) -> Path:
    venue = VirtualVenue(seed=3, balances={"USDT": "1000000", "BTC": "20"})
    if faults:
        venue.fault(**faults)
    VirtualSession(venue, folder, strategies=[from_sources({"quoter": QUOTER}, "quoter", "Quoter")]).run(seconds).stop()
    return folder


def from_quote(folder: Path, into: Path, quotes: int) -> ResimOutcome:
    """Change the asks of the strategy from its n-th decision on."""
    other = QUOTER.replace(
        "parameters.size, quote.ask,", f"parameters.size * (1 + (state.quotes > {quotes})), quote.ask,"
    )
    body = apply_overrides(recorded(folder), {}, {"quoter": from_sources({"quoter": other}, "quoter", "Quoter")})
    return resimulate(folder, into, ResimOptions(session=body, model=TEST_MODEL))


def check_account(folder: Path) -> None:
    """Check that there are no foreign orders, each fill counts once, and balances change by the fills alone."""
    assert not [
        each for each in Journal.open(folder).records(kinds=[Kind.FACT]) if '"order_adopted"' in (each.body or "")
    ]
    _, state, _ = rebuild(folder)
    filled: dict[str, Decimal] = {"BTC": Decimal(20), "USDT": Decimal(1_000_000)}
    ids = []
    for record in Journal.open(folder).records(kinds=[Kind.FACT]):
        fact = read_fact(record.body or "")
        if isinstance(fact, OrderFilled):
            ids.append(fact.fill_id)
            filled["BTC"] += fact.quantity * fact.side.sign
            filled["USDT"] -= fact.quantity * fact.price * fact.side.sign
            filled[fact.fee_asset] -= fact.fee
    assert len(ids) == len(set(ids))
    held = state.account.balances.by_asset
    assert {asset: held[asset].total for asset in filled} == filled


@pytest.mark.slow
@pytest.mark.parametrize("quotes", [3, 12, 30])
def test_an_order_reported_before_its_answer_is_placed_once(tmp_path: Path, quotes: int) -> None:
    folder = recorded_with(tmp_path / "s", action="delay_answer", path="/api/v3/order", ms=150, times=0)
    outcome = from_quote(folder, tmp_path / "r", quotes)
    assert outcome.handover_seq is not None
    check_account(tmp_path / "r")
    assert replay_session(tmp_path / "r").identical


@pytest.mark.slow
@pytest.mark.parametrize("quotes", [3, 12, 30])
def test_unreported_balances_of_fills_survive_the_handover(tmp_path: Path, quotes: int) -> None:
    folder = recorded_with(tmp_path / "s", action="delay_events", event="outboundAccountPosition", ms=700, times=0)
    from_quote(folder, tmp_path / "r", quotes)
    check_account(tmp_path / "r")


@pytest.mark.slow
def test_carried_orders_settled_between_sessions_are_refused(tmp_path: Path) -> None:
    venue = VirtualVenue(seed=3, balances={"USDT": "1000000", "BTC": "20"})
    quoter = [from_sources({"quoter": QUOTER}, "quoter", "Quoter")]
    first = VirtualSession(venue, tmp_path / "one", strategies=quoter).run(
        4, until=lambda it: sum(bool(order.venue_order_id) for order in it.state.account.orders.live.values()) == 2
    )
    left = first.state
    first.kill()
    venue.now_ns += 60_000 * MILLISECOND_NS
    venue.sim.advance(venue.now_ns)
    VirtualSession(venue, tmp_path / "two", strategies=quoter, session="bbbbbbbb", previous=first, opening=left).run(
        3
    ).stop()
    with pytest.raises(CannotResimulateError, match="was settled before this one began"):
        resim(tmp_path / "two", tmp_path / "m", modelled=True)
    assert not (tmp_path / "m").exists()
    assert resim(tmp_path / "two", tmp_path / "e").handover_seq is None
    assert session_performance(tmp_path / "two").lines.keys() == {"quoter binance_spot:BTCUSDT"}


@pytest.mark.slow
def test_performance_includes_a_carried_position(tmp_path: Path) -> None:
    venue = VirtualVenue(seed=3, balances={"USDT": "1000000", "BTC": "20"})
    quoter = [from_sources({"quoter": QUOTER}, "quoter", "Quoter")]
    first = VirtualSession(venue, tmp_path / "one", strategies=quoter).run(4)
    first.stop()
    VirtualSession(
        venue, tmp_path / "two", strategies=quoter, session="bbbbbbbb", previous=first, opening=first.state
    ).run(3).stop()
    resim(tmp_path / "two", tmp_path / "none", overrides={"risk.order_size_max": "0.00001"})
    (kept,) = session_performance(tmp_path / "none").lines.values()
    carried = first.state.account.positions.get("quoter", "binance_spot:BTCUSDT")
    assert (kept.position, kept.fees_quote) == (carried.quantity, carried.fees_quote)


def test_diff_reports_another_answer_to_an_order(recorded_session: Path, tmp_path: Path) -> None:
    asked = requests(recorded_session, "place")[3]
    answer = next(
        each
        for each in Journal.open(recorded_session).records(asked.seq, kinds=[Kind.BROKER])
        if each.cause == asked.seq
    )
    meta = (answer.meta or "").replace('"status":200', '"status":400')
    other = reseal(recorded_session, tmp_path / "other", answer.seq, meta=meta, payload=b'{"code":-2010,"msg":"no"}')
    found = json.loads(verbatim("diff", recorded_session, other, "--json", code=1))
    assert found["partings"][0]["of"] == "answer"
    assert "-2010" in found["verdict"]


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--balance", "USDT=abc"), "write the amount with at most 8 decimals"),
        (("--balance", "usdt=5"), "write the asset as the venue does"),
        (("--model", "request_ms=1e400"), "give a number from 0 to 3600000"),
        (("--model", "fee_maker=3"), "give a number from -0.01 to 0.1"),
    ],
)
def test_an_invalid_number_is_one_clear_line(
    recorded_session: Path, tmp_path: Path, words: tuple[str, ...], what: str
) -> None:
    lines = verbatim("resim", recorded_session, "--trust-code", "--into", tmp_path / "r", *words, code=3)
    assert what in lines
    assert len(lines.splitlines()) == 1


class ParameterGateway(VirtualGateway):
    """Gives the venue the parameters of signed requests, as a resimulation does."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named, encodes=False)


class ParameterSession(VirtualSession):
    gateway_class = ParameterGateway


def test_requests_that_are_not_encoded_get_the_same_answers(tmp_path: Path) -> None:
    """The venue answers parameters as it answers signed bytes: both sessions have the same records."""
    records = []
    for kind in (VirtualSession, ParameterSession):
        venue = VirtualVenue(seed=3, balances={"USDT": "1000000", "BTC": "20"})
        running = kind(
            venue, tmp_path / kind.__name__, strategies=[from_sources({"quoter": QUOTER}, "quoter", "Quoter")]
        )
        running.run(5).stop()
        sent = [read_request(record.body or "") for record in running.records if record.kind is Kind.REQUEST]
        assert {Purpose.PLACE, Purpose.CANCEL, Purpose.ACCOUNT, Purpose.FILLS} <= {each.purpose for each in sent}
        records.append(running.records)
    assert records[0] == records[1]
