"""A rollback: an older version of the code meets a journal whose names or rules it does not know.

The older version here is this code with a smaller number of the newest rules that it knows.
"""

from pathlib import Path

import pytest
import trio
from calm_venue import CalmVenue
from checked_sessions import of_tests
from click.testing import CliRunner, Result

from engine import session_record, upcast
from engine.errors import NewerSessionError
from engine.live.clock import SessionClock
from engine.live.previous_session import NOT_READ
from engine.live.session_config import SessionConfig, StartError
from engine.live.startup import _read_previous
from engine.live.venue_access import VenueAccess
from engine.newer_sessions import refuse_newer
from engine.session_record import VenueSettings, read_session
from journal.reader import Journal
from journal.sessions import list_sessions
from verbatim.cli import main
from verbatim.testing import VirtualSession

NAMES = ["SCHEMA", "ACCOUNTING", "ORDER_RULES", "BAR_RULES"]


@pytest.fixture
def journals(tmp_path: Path) -> Path:
    """A folder with a session of today that trades, ended in order."""
    folder = tmp_path / "journals"
    session = VirtualSession(
        CalmVenue(), folder / "20260101T000000Z-aaaaaaaa", strategies=[of_tests("once", {"below": "100"})]
    )
    session.run(3).stop()
    return folder


@pytest.fixture
def older(journals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this code one that knows one revision less of the rules of orders than the session."""
    assert journals.is_dir()
    monkeypatch.setattr(session_record, "ORDER_RULES", session_record.ORDER_RULES - 1)


def verbatim(*words: object) -> Result:
    return CliRunner().invoke(main, [*map(str, words)])


@pytest.mark.parametrize("name", NAMES)
def test_a_session_of_newer_names_or_rules_is_refused(
    journals: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    [session] = list_sessions(journals)
    body = read_session(Journal.open(session.path).session_record().body or "")
    refuse_newer(body)
    home = upcast if name == "SCHEMA" else session_record
    known = getattr(home, name)
    monkeypatch.setattr(home, name, known - 1)
    with pytest.raises(NewerSessionError, match=rf"{name.lower()} {known} \(here at most {known - 1}\)"):
        refuse_newer(body)


@pytest.mark.usefixtures("older")
def test_an_older_version_continues_no_newer_session(journals: Path) -> None:
    """Before anything is read of the venue, and without a record."""
    wanted = config(journals)
    with pytest.raises(StartError, match=r"recorded by a newer version .* use that version"):
        trio.run(_read_previous, wanted)
    assert len(list_sessions(journals)) == 1


@pytest.mark.usefixtures("older")
def test_a_kill_by_an_older_version_goes_on_without_the_state(journals: Path) -> None:
    """It cancels by our mark at the venue, and no later session continues from it."""
    before = trio.run(_read_previous, config(journals, seconds=30))
    assert before.previous is not None
    assert (before.previous.last_seq, before.opening) == (NOT_READ, None)
    assert "newer version" in before.broken


def config(journals: Path, seconds: float = 0) -> SessionConfig:
    return SessionConfig(
        journals=journals,
        venues=(VenueAccess(settings=VenueSettings(), symbols=("BTCUSDT",)),),
        account="main",
        clock=SessionClock.wall(),
        read_seconds_max=seconds,
    )


@pytest.mark.usefixtures("older")
def test_an_older_version_decides_nothing_again(journals: Path) -> None:
    for words in (("replay", "last"), ("resim", "last", "--no-journal")):
        ended = verbatim(*words, "--trust-code", "--journals", journals)
        assert ended.exit_code == 3, ended.output
        [line] = ended.stderr.strip().splitlines()
        assert line.startswith("verbatim: session aaaaaaaa was recorded by a newer version")


@pytest.mark.usefixtures("older")
def test_an_older_version_still_reads_and_verifies(journals: Path) -> None:
    """The journal's own format did not change, so its bytes, rows and orders are readable."""
    for words in (
        ("verify", "last"),
        ("status", "last"),
        ("sql", "last", "SELECT count(*) FROM orders"),
        ("ask", "last"),
    ):
        ended = verbatim(*words, "--journals", journals)
        assert ended.exit_code == 0, ended.output
