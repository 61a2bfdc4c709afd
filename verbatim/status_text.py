"""The status of a folder's sessions as lines for people: one screen."""

from collections.abc import Iterator, Sequence
from typing import Any

from journal.printable import in_one_line
from verbatim.folder_status import FolderStatus, SessionNow, StatusFinding

NAMED_MAX = 4  # orders and positions of a line
LABEL = 11  # width
MIB, GIB = 2**20, 2**30


def status_lines(status: FolderStatus) -> Iterator[str]:
    """Yield the lines: the folder, what runs, what ended, and last what needs a person."""
    free = "free space unknown" if status.free_bytes is None else f"{status.free_bytes / GIB:,.1f} GiB free"
    yield f"{status.journals}, {free}"
    detailed = [row for row in status.sessions if row.is_live or row.is_current]
    for row in detailed:
        yield from _session_lines(row)
    older = [row for row in status.sessions if row not in detailed]
    if older or status.left_out:
        yield "older sessions"
        yield from map(_older_line, older)
    if status.left_out:
        yield f"  {status.left_out} more: verbatim sessions lists them"
    yield from _finding_lines(status.findings)


def _session_lines(row: SessionNow) -> Iterator[str]:
    what = _accounts(row) if row.account else f"recording of {row.venue}" if row.venue else ""
    what += " (read-only)" if row.read_only else ""
    began = f"began {row.started.replace('T', ' ').rstrip('Z')} UTC" if row.started else ""
    yield "  ".join(part for part in (row.session, what, "runs" if row.is_live else row.ended, began) if part)
    if row.problem:
        yield _line("problem", row.problem)
    if row.mode:
        yield _line("mode" if row.is_live else "last mode", in_one_line("; ".join([row.mode, *row.reasons])))
    if row.age_s is not None:
        yield _line("records", f"{row.records or 0:,}, the newest {_age(row.age_s)} ago; {_size(row.bytes)}")
    if row.orders is not None:
        yield _line("orders", _named(row.orders, "open") + _others(row.other_orders or []))
    if row.positions is not None:
        several = "," in row.venue
        yield _line("positions", _named([_position(held, several=several) for held in row.positions], ""))
    for name, why in row.idle.items():
        yield _line("strategy", in_one_line(f"{name} {why}"))
    if row.pnl:
        yield _line("P&L", row.pnl)
    if row.guard is not None:
        yield _line("guard", _guard(row))


def _line(label: str, text: str) -> str:
    return f"  {label:<{LABEL}}{text}"


def _named(names: Sequence[str], what: str) -> str:
    if not names:
        return "none"
    shown = ", ".join(names[:NAMED_MAX]) + (", ..." if len(names) > NAMED_MAX else "")
    return f"{len(names)} {what}: {shown}" if what else shown


def _others(names: Sequence[str]) -> str:
    return f"; {len(names)} of other programs" if names else ""


def _accounts(row: SessionNow) -> str:
    """Return the accounts with their venues, and the venues that have none."""
    without = [venue for venue in row.venue.split(", ") if venue not in row.accounts]
    texts = [f"{account} at {venue}" for venue, account in row.accounts.items()]
    return "; ".join([*texts, *(f"none at {venue}" for venue in without)])


def _position(held: dict[str, Any], *, several: bool) -> str:
    """Return a position; its instrument has its venue in a session of several."""
    instrument = str(held["instrument"])
    return f"{held['strategy']} {instrument if several else instrument.partition(':')[2]} {held['quantity']}"


def _guard(row: SessionNow) -> str:
    assert row.guard is not None
    checked = "" if row.guard.checked_s is None else f", last check {_age(row.guard.checked_s)} ago"
    return f"{'alive' if row.guard.is_alive else 'none'}{checked}"


def _older_line(row: SessionNow) -> str:
    what = row.account or ("recording" if row.venue else "import")
    start = row.started.replace("T", " ").rstrip("Z")
    mode = f", was {row.mode}" if row.mode else ""
    return f"  {row.session}  {what}  {start}  {row.ended}{mode}"


def _finding_lines(findings: Sequence[StatusFinding]) -> Iterator[str]:
    for finding in findings:
        yield f"ATTENTION {finding.session + ': ' if finding.session else ''}{finding.text}"


def _size(count: int) -> str:
    """Return a size for people.

    >>> _size(81_000), _size(81_000_000)
    ('79.1 KiB', '77.2 MiB')
    """
    return f"{count / 1024:,.1f} KiB" if count < MIB else f"{count / MIB:,.1f} MiB"


def _age(seconds: float) -> str:
    """Return an age for people.

    >>> _age(0.34), _age(75), _age(7_300), _age(200_000)
    ('0.3 s', '1 min', '2.0 h', '2.3 d')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3_600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3_600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} d"
