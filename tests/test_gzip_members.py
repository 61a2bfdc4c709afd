"""A gzip file with a broken member costs that member alone: what is whole before and after it is read."""

import gzip
import io
import json
import random
from pathlib import Path

import pytest
from bar_files import verbatim
from capture_lines import START_NS
from click.testing import CliRunner

from journal.importing.gzip_members import BROKEN, GzipMembers
from journal.reader import Journal
from journal.record import Kind
from verbatim.cli import main


def lines(first: int, count: int) -> list[bytes]:
    chance = random.Random(first)
    return [
        b'%d {"n":%d,"x":"%s"}' % (START_NS + n, n, chance.randbytes(20).hex().encode())
        for n in range(first, first + count)
    ]


def member(*found: bytes) -> bytes:
    return gzip.compress(b"".join(line + b"\n" for line in found), mtime=0)


def read(data: bytes) -> list[bytes]:
    return io.BufferedReader(GzipMembers(io.BytesIO(data))).read().splitlines()


def test_whole_members_are_one_text() -> None:
    first, second = lines(0, 20_000), lines(20_000, 5)
    half = gzip.compress(b"\n".join(first) + b"\nabc", mtime=0)
    assert read(half + gzip.compress(b"def\n", mtime=0) + member(*second) + b"\0" * 512) == [*first, b"abcdef", *second]
    assert read(b"") == []


@pytest.mark.parametrize("count", [40, 30_000])
def test_a_member_that_is_cut_ends_where_the_next_begins(count: int) -> None:
    """Its lines up to the cut are kept, and the line in the middle of which it was cut is not."""
    whole, after = lines(0, count), lines(90_000, 300)
    for kept in (0.3, 0.9):
        packed = member(*whole)
        cut = packed[: int(len(packed) * kept)]
        found = read(cut + member(*after))
        at = found.index(BROKEN)
        assert found[:at] == whole[:at]
        assert found[at + 1 :] == after
        assert at > count * kept * 0.5


def test_a_damaged_member_is_left_out_since_any_line_may_be_altered() -> None:
    whole, after = lines(0, 30_000), lines(90_000, 300)
    for place in (0.5, 1.0):
        packed = bytearray(member(*whole))
        at = int(len(packed) * place) - 8
        packed[at : at + 4] = b"\xff" * 4
        assert read(member(*after) + bytes(packed) + member(*after)) == [*after, BROKEN, *after]


def test_a_damaged_last_member_is_an_error(tmp_path: Path) -> None:
    packed = bytearray(member(*lines(0, 40)))
    packed[-5] ^= 1
    (tmp_path / "c.gz").write_bytes(member(*lines(50, 40)) + bytes(packed))
    ended = CliRunner().invoke(main, ["import", str(tmp_path / "c.gz"), "--into", str(tmp_path / "s")])
    assert ended.exit_code != 0
    assert "CRC check failed: a line of the file is altered" in ended.stderr


def test_the_import_records_the_gap_at_its_place(tmp_path: Path) -> None:
    whole, after = lines(0, 200), lines(300, 100)
    (tmp_path / "c.gz").write_bytes(member(*whole)[:-300] + member(*after))
    verbatim("import", tmp_path / "c.gz", "--into", tmp_path / "s")
    records = list(Journal.open(tmp_path / "s").records())[1:]
    (gap,) = [place for place, record in enumerate(records) if record.kind is Kind.LINK]
    body = json.loads(records[gap].body or "")
    assert body == {"lines": 1, "state": "gap", "text": f"line {gap + 1}: a broken member of a gzip file"}
    numbers = [json.loads(record.payload or b"")["n"] for record in records if record.kind is Kind.FEED]
    assert numbers == [*range(gap), *range(300, 400)]
