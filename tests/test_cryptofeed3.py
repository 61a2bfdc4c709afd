"""Captures of cryptofeed 3: a pcap by cryptofeed's writer is the messages, the connections and the answers, and trades."""

import json
import random
import struct
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from bar_files import backtest, imported, verbatim
from capture_lines import START_NS, STEP_NS, opening
from click.testing import CliRunner

from journal.reader import Journal
from journal.record import Kind
from replay.replay import replay_session
from verbatim import open as open_session
from verbatim.cli import main

VECTOR = Path(__file__).parent / "vectors" / "cryptofeed3.pcap.zst"  # written by tests/write_cryptofeed3.py


def unpacked() -> bytes:
    with pa.CompressedInputStream(pa.OSFile(str(VECTOR)), "zstd") as stream:
        return bytes(stream.read())


def test_messages_connections_and_answers_are_records_and_trade(tmp_path: Path) -> None:
    session = imported(tmp_path, VECTOR)
    records = list(Journal.open(session).records())[1:]
    states = [json.loads(record.body or "")["state"] for record in records if record.kind is Kind.LINK]
    assert states == ["up", "sent", "closed"]
    messages = [record for record in records if record.kind is Kind.FEED]
    assert len(messages) == 24
    first, answer = messages[:2]
    assert (json.loads(first.payload or b""), first.recv_ns, first.cause) == (opening()[0], START_NS + STEP_NS, 1)
    assert json.loads(answer.meta or "")["url"].endswith("depth?symbol=BTCUSDT&limit=1000")
    assert answer.cause is None
    assert len(json.loads(answer.payload or b"")["bids"]) == 4_001, "it came in several segments"
    tested = backtest(session, "first_quote.py:Rests", at_market="true")
    assert [str(row["price"].normalize()) for row in open_session(tested).fills.rows()] == ["100.01"]
    assert replay_session(tested).identical


@pytest.mark.parametrize("kept", [24, 200, 60_000])
def test_a_file_that_was_cut_is_named_and_kept_up_to_there(tmp_path: Path, kept: int) -> None:
    (tmp_path / "cut.pcap").write_bytes(unpacked()[:-7] if kept == 60_000 else unpacked()[: kept + 9])
    words = ["import", str(tmp_path / "cut.pcap"), "--into", str(tmp_path / "s")]
    ended = CliRunner().invoke(main, words)
    assert ended.exit_code != 0
    assert "the last packet is truncated" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    if kept == 60_000:
        verbatim(*words, "--partial")
        assert len(list(Journal.open(tmp_path / "s").records(kinds=(Kind.FEED,)))) == 24


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"Content-Length: ", b"Content-Length: -", "a body of -"),
        (b"Content-Length: ", b"Content-Length: 9", "the last message of connection 40001 is not complete"),
        (b"\r\nX-Cryptofeed-Url", b"\r\nX-Cryptofeed-Nrl", "x-cryptofeed-url"),
    ],
)
def test_a_header_that_lies_is_refused(tmp_path: Path, old: bytes, new: bytes, said: str) -> None:
    """A negative length would be read for ever; an answer that never becomes complete is no record."""
    whole = unpacked()
    at = whole.index(old)
    (tmp_path / "x.pcap").write_bytes(whole[:at] + new + whole[at + len(new) :])
    ended = CliRunner().invoke(main, ["import", str(tmp_path / "x.pcap"), "--into", str(tmp_path / "s")])
    assert (ended.exit_code, said in ended.stderr) == (3, True), ended.stderr


def packets(whole: bytes) -> list[bytes]:
    found, at = [], 24
    while at < len(whole):
        size = 16 + struct.unpack_from("<I", whole, at + 8)[0]
        found.append(whole[at : at + size])
        at += size
    return found


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda all_: all_[:15] + all_[16:],
            "line 16: is not as cryptofeed writes it (134 bytes before it are missing",
        ),
        (lambda all_: [*all_[:15], all_[14], *all_[15:]], "line 16: is not as cryptofeed writes it (it repeats 96"),
        (lambda all_: all_[:12], "line 12: is the last packet, and the last message of connection 40001"),
        (lambda all_: all_[:12] + all_[7:], "line 13: is not as cryptofeed writes it (the last message of connection"),
    ],
    ids=["lost", "repeated", "ends within a message", "opened again within a message"],
)
def test_segments_that_are_lost_or_repeated_are_damage(
    tmp_path: Path, change: Callable[[list[bytes]], list[bytes]], said: str
) -> None:
    whole = unpacked()
    (tmp_path / "x.pcap").write_bytes(whole[:24] + b"".join(change(packets(whole))))
    ended = CliRunner().invoke(main, ["import", str(tmp_path / "x.pcap"), "--into", str(tmp_path / "s")])
    assert (ended.exit_code, said in ended.stderr) == (3, True), ended.stderr
    assert not (tmp_path / "s").exists()


def test_altered_bytes_end_in_one_line_and_never_in_a_fault(tmp_path: Path) -> None:
    """The import succeeds or names the packet."""
    whole, chance = unpacked(), random.Random(15)
    refused = 0
    for number in range(60):
        altered = bytearray(whole)
        for _ in range(3):
            altered[chance.randrange(24, 4_000)] = chance.randrange(256)
        (tmp_path / "x.pcap").write_bytes(altered)
        ended = CliRunner().invoke(main, ["import", str(tmp_path / "x.pcap"), "--into", str(tmp_path / str(number))])
        assert ended.exit_code in (0, 3, 4), ended.output
        refused += ended.exit_code != 0
    assert refused > 10
