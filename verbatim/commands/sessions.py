"""`verbatim sessions`: list the sessions of a folder. Reads columns of the journals; runs no strategy."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from verbatim.exit_codes import DIFFERS, FAILED, stop
from verbatim.fleet_options import CHOICES, names_fleet, selection_options
from verbatim.options import journals_option, session_argument
from verbatim.progress_line import progress
from verbatim.terminal import echo, echo_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analysis.fleet_plan import FleetSession
    from analysis.fleet_selection import Selection


@click.command("sessions")
@session_argument(required=False)
@selection_options
@journals_option
@click.option("--json", "as_json", is_flag=True, help="A JSON array, one object for each session.")
def command(*, session: str | None, selection: "Selection", journals: Path, as_json: bool) -> None:
    """List the recorded sessions: id, start, length, records, strategies, orders, fills, and how each ended.

    With SESSION, only that one, and its share of time in each mode with the reasons. SESSION may be an address or a
    pattern, as s3://bucket/2026-*/: its sessions are listed from their catalogue, without being opened.

    Ends with 1 where one of them cannot be read.
    """
    if session is not None and names_fleet(session):
        _print_fleet(session, selection, as_json=as_json)
        return
    if selection.text:
        raise click.UsageError(CHOICES)
    from analysis.session_row import session_row
    from journal.sessions import list_named_journals, list_sessions

    if session is not None:
        _print_one(session, journals, as_json=as_json)
        return
    if not journals.is_dir():
        what = "is no folder" if journals.exists() else "does not exist"
        stop(f"{journals} {what}. What to do: name the folder of the sessions with --journals.")
    listed = list_sessions(journals)
    rows = []
    with progress("reading", "sessions") as line:
        for session_folder in listed:
            rows.append(session_row(session_folder.path, session_folder.session_id, session_folder.start))
            line.report(len(rows), len(listed))
        rows += [session_row(path, path.name) for path in list_named_journals(journals) if _is_ours(path)]
    found = [row.as_json() for row in rows]
    if as_json:
        echo(json.dumps(found))
    elif found:
        _table(found)
    else:
        echo(f"no sessions in {journals}")
    if any("problem" in row for row in found):
        raise SystemExit(DIFFERS)


def _print_one(session: str, journals: Path, *, as_json: bool) -> None:
    """Print one session's row, and its time in each mode."""
    from analysis.session_row import session_row
    from journal.errors import JournalError
    from journal.sessions import session_id_of
    from replay.study.mode_shares import session_mode_shares
    from verbatim.session_lookup import find_to_read

    try:
        path = find_to_read(journals, session)
        shares = session_mode_shares(path)
    except JournalError as error:
        stop(str(error))
    row = session_row(path, session_id_of(path.name) or session).as_json()
    if as_json:
        echo(json.dumps(row | {"time": shares.as_json()}))
        return
    _table([row])
    echo(f"time {shares.line}")
    if shares.headline:
        echo(shares.headline)


def _print_fleet(text: str, selection: "Selection", *, as_json: bool) -> None:
    """Print the sessions of an address or a pattern, from their catalogue."""
    import msgspec

    from analysis.fleet_plan import plan_fleet
    from journal.errors import ArchiveFailedError, DamagedCatalogueError, JournalError

    try:
        with progress("reading the catalogue"):
            plan = plan_fleet(text, selection)
    except DamagedCatalogueError as error:
        stop(str(error), DIFFERS)
    except ArchiveFailedError as error:
        stop(str(error), FAILED)
    except JournalError as error:
        stop(str(error))
    if as_json:
        rows = [
            {"address": each.label, **({} if each.row is None else msgspec.to_builtins(each.row))}
            for each in plan.sessions
        ]
        echo(json.dumps(rows))
    else:
        _fleet_table(plan.sessions)
        echo(f"{len(plan.sessions):,} of {plan.considered:,} sessions")
    for left_out in plan.left_out:
        echo_line(f"verbatim: {left_out}", err=True)
    if plan.left_out:
        raise SystemExit(DIFFERS)


def _fleet_table(sessions: "Sequence[FleetSession]") -> None:
    from replay.moments import utc_time

    head = ("address", "start (UTC)", "length", "records", "bytes", "orders", "fills", "gaps", "lag ms", "instruments")
    rows: list[tuple[str, ...]] = [(*head, "strategies")]
    for each in sessions:
        row = each.row
        if row is None:
            rows.append((each.label, "not in the catalogue", *[""] * (len(head) - 1)))
            continue
        counts = (row.records, row.bytes, row.orders, row.fills, row.gaps)
        lag = "" if row.lag_ms_median is None else f"{row.lag_ms_median:,.1f}"
        length = _length((row.end_ns - row.start_ns) / 1e9)
        start = f"{utc_time(row.start_ns):%Y-%m-%d %H:%M:%S}"
        texts = (", ".join(row.instruments), ", ".join(row.strategies))
        rows.append((each.label, start, length, *(f"{count:,}" for count in counts), lag, *texts))
    _print_columns(rows, range(2, 9))


def _is_ours(path: Path) -> bool:
    """Return True if a journal with another folder name is a session, or cannot be read."""
    from engine.session_record import read_session
    from journal.errors import JournalError
    from journal.reader import Journal

    try:
        read_session(Journal.open(path).session_record().body or "")
    except JournalError:
        return True
    except ValueError:
        return False
    return True


def _table(found: list[dict[str, Any]]) -> None:
    head = ("session", "start (UTC)", "length", "records", "orders", "fills", "ended", "strategies")
    rows: list[tuple[str, ...]] = [head]
    for row in found:
        numbers = ["" if row[name] is None else f"{row[name]:,}" for name in ("records", "orders", "fills")]
        start = row["start"].replace("T", " ").rstrip("Z")
        rows.append(
            (row["session"], start, _length(row["seconds"]), *numbers, row["ended"], ", ".join(row["strategies"]))
        )
    _print_columns(rows, range(2, 6))
    for row in found:
        if "problem" in row:
            echo_line(f"{row['session']}: {row['problem']}", err=True)


def _print_columns(rows: "Sequence[tuple[str, ...]]", numbers: range) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for line in rows:
        cells = [
            cell.rjust(width) if column in numbers else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        echo_line("  ".join(cells).rstrip())


def _length(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
