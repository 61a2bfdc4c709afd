"""`verbatim status`: sessions that run, open orders and findings, from real journals, sockets and locks."""

import json
import shutil
from functools import partial
from pathlib import Path

import pytest
import trio
from calm_venue import CalmVenue
from checked_sessions import CheckedSessions, of_tests, rebuilt
from click.testing import CliRunner, Result

from analysis.left_open import left_open
from engine.live.account_lock import FOLDER
from engine.live.control_socket import serve_control, socket_path
from engine.live.ingress import Ingress
from engine.live.session_status import exposure
from engine.session_record import read_session
from journal.bundle import unpack
from journal.reader import Journal
from verbatim.cli import main
from verbatim.folder_status import EXIT_CODES, READ_MAX, SHOWN_MAX, Expected, Problem, folder_status
from verbatim.guard_mark import GuardMark, guard_status
from verbatim.status_text import status_lines
from verbatim.testing import VirtualSession

GOLDEN = Path(__file__).parent / "golden"
ANY_AGE = Expected(age_s_max=1e12)  # virtual time is years from the wall clock
NAME = "20260101T00000{}Z-{}"


def begin_named(folder: Path, venue: CalmVenue, place: int = 0, **settings: object) -> VirtualSession:
    """Begin a session in a folder with the name of one."""
    name = "abcdefghij"[place] * 8
    strategies = [of_tests("once", {"below": "100"})]
    path = folder / NAME.format(place, name)
    return VirtualSession(venue, path, strategies=strategies, session=name, **settings)  # type: ignore[arg-type]  # any of its settings


def problems(folder: Path, expected: Expected = ANY_AGE) -> list[tuple[str, str]]:
    return [(finding.session, finding.problem.value) for finding in folder_status(folder, expected).findings]


def status(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["status", "--max-age", "1e9", *map(str, arguments)])


# ---- what is open, without a rebuild ---------------------------------------------------------------


def check_left_open(folder: Path) -> int:
    """Compare with the state that a rebuild gives. Return the count of open orders and positions."""
    journal, state = Journal.open(folder), rebuilt(folder)
    found = left_open(journal, read_session(journal.session_record().body or ""))
    live = {order.client_order_id for order in state.account.orders.live.values()}
    named = {order.client_order_id for own in (True, False) for order in found.open_orders(own=own)}
    assert named == live
    held = {f"{each.strategy} {each.instrument}" for each in state.account.positions.by_key.values() if each.quantity}
    assert {f"{each['strategy']} {each['instrument']}" for each in found.positions()} == held - {
        name for name in held if name.startswith("external ")
    }
    assert found.last.mode is not None
    assert found.last.mode.mode == state.account.modes.mode
    return len(live) + len(held)


@pytest.mark.parametrize("version", ["v1", "v2", "v3"])
def test_open_orders_and_positions_of_old_journals_are_those_of_a_rebuild(version: str) -> None:
    check_left_open(GOLDEN / version)


@pytest.mark.parametrize("bundle", ["carried-over", "limits-and-unknown-orders"])
def test_open_orders_and_positions_of_bundles_are_those_of_a_rebuild(tmp_path: Path, bundle: str) -> None:
    """One session continues another's orders, one has UNKNOWN orders."""
    unpack(GOLDEN / "bundles" / f"{bundle}.vbundle", tmp_path / "session")
    assert check_left_open(tmp_path / "session")


def test_orders_of_other_programs_are_not_our_own(start: CheckedSessions) -> None:
    venue = CalmVenue()
    session = start(venue, "once", parameters={"below": "100"}).run(2)
    terms = {"side": "SELL", "type": "LIMIT", "timeInForce": "GTC", "price": "70000", "quantity": "0.1"}
    code, _ = venue.by_hand("POST", "/api/v3/order", symbol="BTCUSDT", newClientOrderId="another-bot-1", **terms)
    assert code == 200
    session.command("reconcile").run(3)
    session.writer.wait_durable(session.records[-1].seq, 60)
    found = left_open(Journal.open(session.folder), session.body)
    theirs = exposure(session.sequencer.kernel.session, session.state)
    assert [order.client_order_id for order in found.open_orders(own=True)] == theirs["orders"] != []
    assert [order.client_order_id for order in found.open_orders(own=False)] == theirs["others"] == ["another-bot-1"]
    session.stop()


# ---- findings and exit codes -----------------------------------------------------------------------


def test_an_ordered_end_needs_nobody(tmp_path: Path) -> None:
    session = begin_named(tmp_path, CalmVenue()).run(3)
    session.stop()
    found = folder_status(tmp_path, ANY_AGE)
    [row] = found.sessions
    assert (row.ended, row.orders, row.positions, row.is_live) == ("closed", [], [], False)
    assert (row.account, row.venue, row.strategies) == ("main", "binance_spot", ["once"])
    assert (found.findings, found.exit_code) == ([], 0)
    assert problems(tmp_path, Expected(is_running=True)) == [("aaaaaaaa", "not_started"), ("", "not_started")]


def test_a_process_that_ended_without_closing_names_its_open_orders(tmp_path: Path) -> None:
    session = begin_named(tmp_path, CalmVenue()).run(3)
    [name] = session.state.account.orders.live
    session.kill()
    ended = status(tmp_path)
    assert ended.exit_code == 4, ended.output
    assert f"orders     1 open: {name}" in ended.output
    [line] = [line for line in ended.output.splitlines() if line.startswith("ATTENTION")]
    assert line == "ATTENTION aaaaaaaa: its process ended without closing it; 1 own orders may be open"


def test_a_session_that_a_later_one_continues_needs_nobody(tmp_path: Path) -> None:
    venue = CalmVenue()
    first = begin_named(tmp_path, venue).run(3)
    first.kill()
    second = begin_named(tmp_path, venue, 1, previous=first, opening=first.state).run(5)
    second.stop()
    found = folder_status(tmp_path, ANY_AGE)
    assert [(row.session, row.ended, row.is_current) for row in found.sessions] == [
        ("bbbbbbbb", "closed", True),
        ("aaaaaaaa", "stopped", False),
    ]
    assert found.exit_code == 0
    alone = status(first.folder)
    assert alone.exit_code == 4, "a session that is named counts"


def test_a_halt_has_its_own_exit_code(tmp_path: Path) -> None:
    session = begin_named(tmp_path, CalmVenue()).run(3)
    session.command("halt", "to look").run(1)
    session.stop()
    ended = status("--journals", tmp_path, "last")
    assert ended.exit_code == 6, ended.output
    assert "last mode  halted" in ended.output
    assert "to look" in ended.output


def test_a_process_that_lives_and_does_not_answer_is_read_from_its_journal(tmp_path: Path) -> None:
    session = begin_named(tmp_path, CalmVenue()).run(3)
    session.writer.wait_durable(session.records[-1].seq, 60)
    [row] = folder_status(tmp_path, ANY_AGE).sessions
    assert (row.is_live, row.is_answered, row.mode) == (True, False, "running")
    assert row.orders == list(session.state.account.orders.live)
    assert problems(tmp_path) == [("aaaaaaaa", "no_answer")]
    assert problems(tmp_path, Expected()) == [("aaaaaaaa", "no_answer"), ("aaaaaaaa", "no_records")]
    session.stop()


async def test_a_running_session_answers_for_itself(tmp_path: Path) -> None:
    session = begin_named(tmp_path, CalmVenue()).run(3)
    session.command("pause", "lunch").run(1)
    session.writer.wait_durable(session.records[-1].seq, 60)
    answer = partial(exposure, session.sequencer.kernel.session, session.state)
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_control, socket_path(tmp_path, "aaaaaaaa"), Ingress(), answer)
        found = await trio.to_thread.run_sync(folder_status, tmp_path, ANY_AGE)
        nursery.cancel_scope.cancel()
    [row] = found.sessions
    assert (row.is_answered, row.mode, row.reasons) == (True, "paused", ["paused by test"])
    assert row.orders == list(session.state.account.orders.live) != []
    assert [(finding.problem, finding.text) for finding in found.findings] == [
        (Problem.NOT_RUNNING, "mode paused: paused by test")
    ]
    assert found.exit_code == 1
    session.command("resume").run(1)
    session.stop()


def test_a_journal_that_cannot_be_read_is_a_finding(tmp_path: Path) -> None:
    session = begin_named(tmp_path, CalmVenue()).run(3)
    session.stop()
    [segment] = session.folder.glob("*.parquet")
    segment.write_bytes(segment.read_bytes()[:100])
    assert problems(tmp_path) == [("aaaaaaaa", "unreadable")]
    assert status(tmp_path).exit_code == 1


def test_the_disk_and_a_missing_guard_are_findings(tmp_path: Path) -> None:
    begin_named(tmp_path, CalmVenue()).run(1).stop()
    expected = Expected(age_s_max=1e12, is_guarded=True, free_mib_min=10**9)
    assert problems(tmp_path, expected) == [("aaaaaaaa", "no_guard"), ("", "disk")]
    assert status(tmp_path, "--free-mib", 10**9).exit_code == 1


def test_the_mark_of_a_guard_ends_with_it(tmp_path: Path) -> None:
    begin_named(tmp_path, CalmVenue()).run(1).stop()
    assert not guard_status(tmp_path, "binance_spot", "main").is_alive
    first, second = (GuardMark(tmp_path, "binance_spot", "main") for _ in range(2))
    first.refresh()
    first.release()
    found = guard_status(tmp_path, "binance_spot", "main")
    assert (found.is_alive, found.checked_s is not None and found.checked_s < 60) == (True, True)
    assert not guard_status(tmp_path, "binance_spot", "other").is_alive
    assert "guard      alive, last check" in status(tmp_path, "--guarded").output
    second.release()
    assert not guard_status(tmp_path, "binance_spot", "main").is_alive
    [mark] = (tmp_path / FOLDER).iterdir()
    assert mark.stat().st_mode & 0o077 == 0


def test_the_most_urgent_finding_gives_the_code() -> None:
    assert EXIT_CODES.keys() == set(Problem)
    assert {*EXIT_CODES.values()} == {1, 4, 6}


def test_many_sessions_fit_one_screen(tmp_path: Path) -> None:
    """Of 60 sessions the newest is described, five more are named, and the others are counted."""
    begin_named(tmp_path, CalmVenue()).run(1).stop()
    [only] = tmp_path.iterdir()
    for number in range(60):
        (tmp_path / f"2025010{number % 9 + 1}T00{number:02}00Z-aaaaaaaa").symlink_to(only)
    found = folder_status(tmp_path, ANY_AGE)
    assert len(found.sessions) == 1 + SHOWN_MAX < READ_MAX
    assert len(list(status_lines(found))) < 20
    assert f"{60 - SHOWN_MAX} more" in list(status_lines(found))[-1]


def test_text_and_json_have_the_same_answers(tmp_path: Path) -> None:
    session = begin_named(tmp_path, CalmVenue()).run(3)
    session.kill()
    printed = json.loads(status(tmp_path, "--json").output)
    assert (printed["exit_code"], printed["findings"][0]["problem"]) == (4, "no_process")
    [row] = printed["sessions"]
    assert row["orders"] == list(session.state.account.orders.live)
    assert row["bytes"] == sum(path.stat().st_size for path in session.folder.iterdir())
    shutil.rmtree(session.folder)
    empty = status(tmp_path)
    assert (empty.exit_code, len(empty.output.splitlines())) == (0, 1)


def test_a_folder_that_does_not_exist_is_one_line(tmp_path: Path) -> None:
    ended = status("--journals", tmp_path / "no")
    assert (ended.exit_code, len(ended.output.strip().splitlines())) == (3, 1)
