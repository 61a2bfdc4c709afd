"""What a person reads of sessions of several accounts, and of strategies that decide nothing: status, marks, start."""

from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
import trio
from calm_venue import CalmVenue
from checked_sessions import CheckedSessions, notes, of_tests
from msgspec.structs import replace
from test_several_venues import TWO, modes, settings, two_venues
from test_status import ANY_AGE, NAME, problems, status

from engine.live.control_socket import serve_control, socket_path
from engine.live.ingress import Ingress
from engine.live.session_status import PositionStatus, SessionStatus, exposure, portfolio_status
from engine.venue_choices import AccountUse, VenueTrouble
from verbatim.folder_status import Expected, Problem, SessionNow, folder_status
from verbatim.guard_mark import GuardMark
from verbatim.run_mark import RunMark, failed_runs
from verbatim.runner import pnl_text, positions_text, status_line
from verbatim.start_report import idle_lines
from verbatim.testing import VirtualSession

STATUS = SessionStatus("aaaaaaaa", "running", (), 0, 0, 0, 0, 0, "", (), 0, 0, 0, (), 0, "", "")
UNGUARDED = Expected(is_guarded=True, age_s_max=1e12)


def begin_two(folder: Path, place: int = 0, *strategies: str, **settings: object) -> VirtualSession:
    name = "abcdefghij"[place] * 8
    chosen = [of_tests(each) for each in strategies or ("both",)]
    path = folder / NAME.format(place, name)
    return VirtualSession(two_venues(), path, strategies=chosen, session=name, **settings)  # type: ignore[arg-type]  # any of its settings


def blocks(session: VirtualSession, instrument: str) -> list[object]:
    """Return the reasons that block an instrument."""
    return list(session.state.account.blocks.reasons(instrument))


def row_of(folder: Path, session: str) -> SessionNow:
    return next(row for row in folder_status(folder, ANY_AGE).sessions if row.session == session)


def test_status_names_all_venues_and_the_venue_of_each_position(tmp_path: Path) -> None:
    begin_two(tmp_path).run(10).kill()
    text = status(tmp_path).output
    assert "main at one; main at two" in text
    [line] = [line for line in text.splitlines() if line.startswith("  positions")]
    assert "both one:BTCUSDT 0.00" in line
    assert "both two:BTCUSDT -0.00" in line
    assert row_of(tmp_path, "aaaaaaaa").accounts == {"one": "main", "two": "main"}


def test_each_account_needs_its_own_guard(tmp_path: Path) -> None:
    begin_two(tmp_path).run(3).stop()
    guard = GuardMark(tmp_path, "one", "main")
    [finding] = folder_status(tmp_path, UNGUARDED).findings
    assert (finding.problem, finding.text) == (Problem.NO_GUARD, "no guard watches account main at two")
    other = GuardMark(tmp_path, "two", "main")
    assert folder_status(tmp_path, UNGUARDED).findings == []
    guard.release()
    other.release()


def test_a_session_of_one_account_leaves_the_one_before_current_at_the_other(tmp_path: Path) -> None:
    """The orders at the second venue are not continued until a session has that account."""
    begin_two(tmp_path).run(10).kill()
    begin_two(tmp_path, 1, uses={"two": AccountUse.NONE}).run(3).stop()
    assert [name for name, _ in problems(tmp_path)] == ["aaaaaaaa"]
    assert "main at one; none at two" in status(tmp_path).output
    begin_two(tmp_path, 2, uses={"one": AccountUse.NONE}).run(3).stop()
    assert "aaaaaaaa" not in [name for name, _ in problems(tmp_path)]


def test_the_status_line_names_venues_where_there_are_several() -> None:
    held = [PositionStatus("s", f"{name}:BTCUSDT", *[Decimal(1)] * 4) for name in ("spot", "perp")]
    shown = replace(STATUS, positions=tuple(held), venues=("spot", "perp"))
    assert positions_text(shown) == "position 1 spot:BTCUSDT, 1 perp:BTCUSDT"


def test_the_mark_of_a_failed_run_names_all_accounts_and_ends_with_any_start_of_them(tmp_path: Path) -> None:
    mark = RunMark(None)
    mark.identify(tmp_path, {"spot": "main", "perp": "margin"})
    mark.make("no venue")
    [found] = failed_runs(tmp_path)
    assert found.about == "account main at spot, margin at perp"
    again = RunMark(None)
    again.identify(tmp_path, {"perp": "margin", "spot": "main"})
    again.remove()
    assert failed_runs(tmp_path) == []


def test_the_pnl_names_a_leg_without_a_quote(tmp_path: Path) -> None:
    """The second venue cannot be reached from the start of the next session on, which holds a position there."""
    first = begin_two(tmp_path).run(10)
    first.kill()
    chosen = {"strategies": [of_tests("both")], "session": "bbbbbbbb", "previous": first, "opening": first.state}
    again = VirtualSession(first.venues, tmp_path / NAME.format(1, "bbbbbbbb"), **chosen)  # type: ignore[arg-type]  # as above
    again.cut("two").run(30).kill()
    row = row_of(tmp_path, "bbbbbbbb")
    assert row.pnl.endswith("; no rate or mark: two:BTCUSDT")
    session = again.sequencer.kernel.session
    pnl, equity = portfolio_status(session, again.state)
    shown = replace(STATUS, pnl=pnl, equity=equity)
    assert "without two:BTCUSDT" in status_line(shown)
    assert pnl_text(shown).endswith("; no rate or mark: two:BTCUSDT")


def test_streams_of_a_venue_that_is_lost_are_not_recovered(start: CheckedSessions) -> None:
    """Its streams fall silent first, and then its links go down, which ends that reason but is no recovery."""
    session = start(two_venues(), "both", engine=settings(VenueTrouble.OWN)).run(5)
    session.venues["two"].fault(action="silence", target="market", ms=60_000)
    session.run(until=lambda each: any("all streams" in str(found) for found in blocks(each, TWO)))
    session.cut("two").run(60)
    recovered = [text for text in notes(session, "info") if "recovered" in text]
    assert (blocks(session, TWO) != [], recovered) == (True, [])
    session.restore("two").run(30)
    assert modes(session)["two"] == "running"
    session.stop()


# ---- strategies that stay stopped or paused --------------------------------------------------------


def stopped_before(folder: Path, begin: CheckedSessions) -> VirtualSession:
    """Return a session that continues one whose strategy raised an error and whose other one a person paused."""
    venue = CalmVenue()
    named = {"session": "aaaaaaaa", "strategies": [of_tests("faulty"), of_tests("once", {"below": "100"})]}
    first = VirtualSession(venue, folder / NAME.format(0, "aaaaaaaa"), **named).run(10)  # type: ignore[arg-type]  # as above
    begin.begun.append(first)
    first.command("pause_strategy", "to look", about="once").run(1).kill()
    again = VirtualSession(
        venue,
        folder / NAME.format(1, "bbbbbbbb"),
        previous=first,
        opening=first.state,
        **{**named, "session": "bbbbbbbb"},  # type: ignore[arg-type]  # as above
    )
    begin.begun.append(again)
    return again


async def test_a_strategy_that_stays_stopped_or_paused_is_stated(tmp_path: Path, start: CheckedSessions) -> None:
    again = stopped_before(tmp_path, start)
    stopped, paused = idle_lines(again.body)
    assert stopped.startswith("strategy faulty does not decide, stopped: ")
    assert stopped.endswith("What to do: verbatim control bbbbbbbb resume")
    assert "once does not decide, paused: by test: to look (before this session)" in paused
    assert paused.endswith("resume-strategy once")
    again.run(3)
    again.writer.wait_durable(again.records[-1].seq, 60)
    answer = partial(exposure, again.sequencer.kernel.session, again.state)
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_control, socket_path(tmp_path, "bbbbbbbb"), Ingress(), answer)
        found = await trio.to_thread.run_sync(folder_status, tmp_path, ANY_AGE)
        nursery.cancel_scope.cancel()
    [finding] = found.findings
    assert finding.problem is Problem.STRATEGY_STOPPED
    assert finding.text.startswith("strategy faulty is stopped: ")
    again.kill()
    text = status(tmp_path).output
    assert "  strategy   faulty stopped: " in text
    assert "  strategy   once paused: by test: to look" in text


@pytest.mark.parametrize("command", ["resume", "resume_strategy"])
def test_a_resume_ends_it(command: str, tmp_path: Path, start: CheckedSessions) -> None:
    again = stopped_before(tmp_path, start).run(1)
    again.command(command, about="once" if command == "resume_strategy" else "").run(0.5)
    again.kill()
    kept = {"resume": {"once"}, "resume_strategy": {"faulty"}}[command]
    assert set(row_of(tmp_path, "bbbbbbbb").idle) == kept
