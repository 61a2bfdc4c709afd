"""Only their owner reads our files: journals, caches, exports, bundles, sockets, and locks, under any umask."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from calm_venue import CalmVenue
from click.testing import CliRunner

from journal.caches import save
from journal.private_files import OTHERS, make_folder, restrict
from journal.recover import recover
from verbatim.cli import main
from verbatim.testing import VirtualSession

NAME = "20240808T235410Z-aaaaaaaa"


@pytest.fixture(autouse=True)
def _no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> list[str]:
    return [str(path) for path in (folder, *folder.rglob("*")) if path.lstat().st_mode & OTHERS]


@pytest.mark.slow
def test_a_session_and_all_that_commands_make_of_it(tmp_path: Path) -> None:
    journals = tmp_path / "new" / "journals"
    session = VirtualSession.start(CalmVenue(seed=3), journals / NAME).run(5)
    assert open_to_others(tmp_path / "new") == []
    session.stop()
    for arguments in (
        ["sql", str(session.folder), "SELECT count(*) FROM quotes"],
        ["replay", str(session.folder), "--trust-code"],
        ["export", str(session.folder), str(journals / "a.jsonl")],
        ["export", str(session.folder), str(journals / "a.parquet")],
        ["export", str(session.folder), str(journals / "views")],
        ["bundle", str(session.folder), str(journals / "a.vbundle")],
    ):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, result.output
    assert {"a.jsonl", "a.parquet", "views", "a.vbundle"} <= {path.name for path in journals.iterdir()}
    assert open_to_others(tmp_path / "new") == []
    assert os.umask(0) == 0  # a command leaves the umask of its process as it was


def test_a_journal_of_an_earlier_version_is_closed_when_it_is_written_again(tmp_path: Path) -> None:
    session = VirtualSession.start(CalmVenue(seed=3), tmp_path / NAME).run(5)
    session.kill()
    session.folder.chmod(0o755)
    for path in session.folder.iterdir():
        path.chmod(0o644)
    recover(session.folder)
    assert open_to_others(session.folder) == []


def test_caches_folders_and_links(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    save(tmp_path / "a" / "b", "x", "made from", b"body")
    assert open_to_others(tmp_path / "a") == []
    strange = tmp_path / "other"
    strange.write_text("of somebody else")
    strange.chmod(0o644)
    (tmp_path / "a" / "link").symlink_to(strange)
    restrict(tmp_path / "a")
    assert strange.stat().st_mode & 0o777 == 0o644  # a link is not followed
