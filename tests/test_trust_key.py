"""Trust in recorded code: a mark that only this user's key makes, over all that the code and its state come from."""

import json
import os
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from engine.session_record import SessionBody
from journal.reader import Journal
from journal.record import canonical
from journal.trust_key import is_trusted, key_path, mark, marked, trust_key
from replay.code_trust import UntrustedSourceError, refuse_untrusted_code
from verbatim.cli import main
from verbatim.testing import VirtualSession, VirtualVenue, from_sources


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config"


def body(tmp_path: Path) -> SessionBody:
    return VirtualSession.start(VirtualVenue(seed=3), tmp_path / "20240808T235410Z-aaaaaaaa").body


def test_the_key_is_drawn_once_for_its_owner_alone(home: Path) -> None:
    assert trust_key() == b""
    key = trust_key(create=True)
    assert (len(key), trust_key(create=True), trust_key()) == (32, key, key)
    assert (key_path().stat().st_mode & 0o777, key_path().parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert [path.name for path in (home / "verbatim").iterdir()] == ["trust.key"]


def test_a_key_that_others_can_reach_is_no_key(tmp_path: Path) -> None:
    key = trust_key(create=True)
    key_path().chmod(0o640)
    assert trust_key() == b""
    key_path().chmod(0o600)
    assert trust_key() == key
    for content in (b"", key[:-1], key + b"x"):
        key_path().write_bytes(content)
        assert trust_key(create=True) == b""
    key_path().unlink()
    (tmp_path / "theirs").write_bytes(key)
    key_path().symlink_to(tmp_path / "theirs")
    assert trust_key() == b""
    key_path().unlink()
    os.mkfifo(key_path(), 0o600)
    assert trust_key() == b""  # and it does not block


def test_a_folder_that_cannot_be_written_gives_no_mark(tmp_path: Path, home: Path) -> None:
    home.write_text("a file")
    assert marked(body(tmp_path)).host == ""


def test_a_mark_covers_the_whole_record_and_needs_the_key(tmp_path: Path) -> None:
    session, key = body(tmp_path), trust_key(create=True)
    ours = marked(session)
    assert is_trusted(ours, key)
    assert not is_trusted(ours, b"")
    assert not is_trusted(ours, b"x" * 32)
    assert not is_trusted(msgspec.structs.replace(ours, host=""), key)
    for name, value in (("session", "bbbbbbbb"), ("seed", 8), ("opening", {}), ("account", "other")):
        assert not is_trusted(msgspec.structs.replace(ours, **{name: value}), key), name
    again = msgspec.json.decode(canonical(ours), type=SessionBody)
    assert is_trusted(again, key)  # as a journal holds it
    assert key.hex() not in canonical(ours)
    assert mark(session, b"") == ""


def test_a_session_of_this_user_is_repeated_unasked_and_every_other_is_not(tmp_path: Path) -> None:
    """The same record with the mark of another user, of no user, or of the machine's hash needs --trust-code."""
    source = (Path(__file__).parent / "strategies" / "restless.py").read_text()
    session = VirtualSession(
        VirtualVenue(seed=3),
        tmp_path / "20240808T235410Z-aaaaaaaa",
        strategies=[from_sources({"r": source}, "r", "Restless")],
    )
    mine = session.body
    assert mine.strategies
    refuse_untrusted_code(marked(mine), trust_key(), tmp_path)
    for host in ("", "0123456789abcdef", mark(mine, b"y" * 32)):
        with pytest.raises(UntrustedSourceError):
            refuse_untrusted_code(msgspec.structs.replace(mine, host=host), trust_key(), tmp_path)


@pytest.mark.slow
def test_a_session_that_the_engine_records_bears_the_mark(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["demo", "--seconds", "2", "--json", "--journals", str(tmp_path / "j")])
    assert result.exit_code == 0, result.output
    folder = Path(json.loads(result.output.splitlines()[-1])["folder"])
    recorded = msgspec.json.decode(Journal.open(folder).session_record().body or "", type=SessionBody)
    assert is_trusted(recorded, trust_key())
    assert CliRunner().invoke(main, ["replay", str(folder)]).exit_code == 0
    key_path().unlink()  # another user
    refused = CliRunner().invoke(main, ["replay", str(folder)])
    assert (refused.exit_code, "--trust-code" in refused.output) == (3, True)
