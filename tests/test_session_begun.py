"""A session's folder is there a moment before its first segment: readers say so in one sentence."""

import json
from pathlib import Path

import pytest
from calm_venue import CalmVenue
from checked_sessions import CheckedSessions
from click.testing import CliRunner

from verbatim.cli import main

READERS = ["sessions last", "replay last", "verify last", "why last 1", "ask last", "kill last", "resim last"]


@pytest.mark.parametrize("command", READERS)
def test_a_reader_says_that_a_session_has_just_begun(tmp_path: Path, command: str) -> None:
    (tmp_path / "20261129T060000Z-abcdefgh").mkdir()
    ended = CliRunner().invoke(main, [*command.split(), "--journals", str(tmp_path)])
    assert ended.exit_code == 3, ended.output
    assert "session abcdefgh has just begun and has no segment yet" in ended.output


def test_a_list_of_sessions_names_one_that_has_just_begun(tmp_path: Path) -> None:
    (tmp_path / "20261129T060000Z-abcdefgh").mkdir()
    ended = CliRunner().invoke(main, ["sessions", "--journals", str(tmp_path), "--json"])
    assert ended.exit_code == 0, ended.output
    [row] = json.loads(ended.output)
    assert (row["session"], row["ended"]) == ("abcdefgh", "begun")


def test_a_single_session_is_printed_by_its_id(tmp_path: Path, start: CheckedSessions) -> None:
    session = start(CalmVenue()).run(1)
    session.stop()
    folder = session.folder.rename(tmp_path / "20261129T060000Z-abcdefgh")
    ended = CliRunner().invoke(main, ["sessions", "last", "--journals", str(tmp_path), "--json"])
    assert json.loads(ended.output)["session"] == "abcdefgh", ended.output
    folder.rename(session.folder)
