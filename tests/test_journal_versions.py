"""Journals of every released version are read, verified and replayed, and their bytes never change.

tests/golden/v<N> is a session of the quoter of tests/replaying.py in virtual time, written by the code of that version.
"""

import shutil
from pathlib import Path

import independent_reader
import msgspec
import pyarrow.parquet as pq
import pytest

from analysis.sql_session import connect, query_rows
from journal import footer
from journal.errors import DamagedJournalError
from journal.footer import SCHEMA_VERSION, UPCASTS, Footer
from journal.merge import merge
from journal.reader import Journal
from journal.recover import recover
from journal.segments import SealedSegment
from journal.verify import verify
from journal.writer import JournalWriter
from replay.replay import replay_session

GOLDEN = Path(__file__).parent / "golden"
KNOWN = {  # version -> records, session root
    1: (1460, "a3190aacf296da03"),
    2: (1460, "a3190aacf296da03"),
}


@pytest.mark.parametrize("version", KNOWN)
def test_a_golden_journal_is_read_verified_and_replayed(version: int) -> None:
    folder = GOLDEN / f"v{version}"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    count, root = KNOWN[version]
    report = verify(folder)
    assert (report.problems, report.notes, report.records, report.closed) == ([], [], count, True)
    assert report.chain.startswith(root)
    assert recover(folder).sealed_now == 0
    assert [record.seq for record in Journal.open(folder).records()] == list(range(count))
    assert query_rows(connect(folder), "SELECT count(*) FROM records") == [(count,)]
    assert replay_session(folder).identical
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_every_version_has_its_golden_journal_and_its_step_to_the_next() -> None:
    assert sorted(KNOWN) == [*UPCASTS, SCHEMA_VERSION]
    for version in KNOWN:
        for path in (GOLDEN / f"v{version}").glob("*.parquet"):
            assert pq.read_metadata(path).metadata[b"journal.schema_version"] == b"%d" % version


def test_a_newer_version_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = SealedSegment(GOLDEN / "v2" / "000000000000.parquet")
    later = msgspec.structs.replace(sealed.footer, schema_version=SCHEMA_VERSION + 1).to_metadata()
    encoded = {name.encode(): text.encode() for name, text in later.items()}
    with pytest.raises(DamagedJournalError, match=r"schema version 3\. What to do: read it with a newer version"):
        Footer.from_metadata(sealed.path, encoded)
    monkeypatch.setattr(footer, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
    monkeypatch.setitem(UPCASTS, SCHEMA_VERSION, lambda given: {**given, "schema_version": str(SCHEMA_VERSION + 1)})
    assert Footer.from_metadata(sealed.path, encoded).parts == sealed.footer.parts


def test_the_format_is_as_documented(tmp_path: Path) -> None:
    """A reader written from docs/journal-format.md alone reads and verifies sealed, merged and open journals."""
    records = list(Journal.open(GOLDEN / "v2").records())
    expected = [msgspec.structs.asdict(record) for record in records]
    assert list(independent_reader.rows(GOLDEN / "v2")) == expected
    merged = shutil.copytree(GOLDEN / "v2", tmp_path / "merged")
    assert merge(merged).after == 1
    assert list(independent_reader.rows(merged)) == expected
    writer = JournalWriter.create(tmp_path / "open", group_rows=7)
    for record in records:
        writer.append_step([record])
        if record.seq == 900:
            writer.wait_durable(900, 5)
    writer.wait_durable(records[-1].seq, 5)
    assert list(independent_reader.rows(tmp_path / "open")) == expected
    writer.close()
    assert list(independent_reader.rows(tmp_path / "open")) == expected
