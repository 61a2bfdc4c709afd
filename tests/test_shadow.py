"""A version beside a session that is being lived: what differs is told while it is lived, and the session's folder is left as it is."""

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec.structs import replace
from replaying import QUOTER, sealed, session

from journal.disk import RealDisk
from journal.live_journal import CHUNK_ROWS, MEMORY_ROWS, LiveJournal
from journal.reader import Journal
from journal.record import INPUTS, Kind, Record
from journal.verify import verify
from journal.writer import JournalWriter
from replay.overrides import changed
from replay.resim.resimulate import ResimOptions, decide_again, decide_along
from replay.resim.venue_model import VenueModel
from replay.study.decisions import changes, decisions, decisions_of
from replay.study.shadow import Shadow
from verbatim.cli import main
from verbatim.testing import VirtualSession, from_sources

VERBATIM = [sys.executable, "-P", "-c", "from verbatim.cli import main; main(prog_name='verbatim')"]
LATER = QUOTER.replace("parameters.size, quote.ask,", "parameters.size * (1 + (state.quotes > 12)), quote.ask,")
MODEL = (
    "--model",
    "request_ms=0.7",
    "--model",
    "answer_ms=0.7",
    "--model",
    "feed_ms=0.7",
)  # else measured in what was there at its begin


def changed_file(tmp_path: Path) -> Path:
    path = tmp_path / "quoter.py"
    path.write_text(LATER)
    return path


class Following:
    """`verbatim shadow` as a process of its own."""

    def __init__(self, *words: object) -> None:
        command = [*VERBATIM, "shadow", "--trust-code", *map(str, words)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.lines: list[str] = []

    def until(self, mark: str) -> str:
        """What it says up to a line with this in it."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))
            if mark in line:
                return self.lines[-1]
        raise AssertionError(f"it ended without {mark!r}: {self.lines}")

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def end(self) -> int:
        assert self._process.stdout is not None
        self.lines += self._process.stdout.read().splitlines()
        self._process.stdout.close()
        return self._process.wait(60)

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self.end()


@pytest.fixture
def following() -> Iterator[Callable[..., Following]]:
    started: list[Following] = []

    def start(*words: object) -> Following:
        started.append(Following(*words))
        return started[-1]

    yield start
    for each in started:
        each.kill()


def shadow(*words: object, code: int = 0) -> list[str]:
    ended = CliRunner().invoke(main, ["shadow", "--trust-code", *map(str, words)])
    assert ended.exit_code == code, ended.output
    return ended.output.splitlines()


def counts(lines: list[str]) -> tuple[int, int, int]:
    """Decisions lived, decided here, changed."""
    lived, decided, changed = re.findall(r"\d[\d,]*", lines[-1])
    return int(lived.replace(",", "")), int(decided.replace(",", "")), int(changed.replace(",", ""))


def told(lines: list[str]) -> list[str]:
    return [line for line in lines if line[:2] in ("@@", "- ", "+ ")]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def lived_on(running: VirtualSession, seconds: int) -> None:
    """In slices, so that who follows is with it and not only behind it."""
    for _ in range(seconds * 4):
        running.run(0.25)
        time.sleep(0.06)


def test_the_same_version_decides_the_same(tmp_path: Path, following: Callable[..., Following]) -> None:
    running = session(tmp_path / "s", seconds=1)
    beside = following(tmp_path / "s")
    beside.until("shadow: follows")
    lived_on(running, 5)
    running.stop()
    assert beside.end() == 0, beside.lines
    recorded = len(decisions_of(tmp_path / "s"))
    assert recorded > 20
    assert counts(beside.lines) == (recorded, recorded, 0)
    assert told(beside.lines) == []
    assert f"{running.records[-1].seq + 1:,} records of a session which was closed; exact to the end" in "\n".join(
        beside.lines
    )


def test_what_differs_is_told_while_the_session_is_lived(tmp_path: Path, following: Callable[..., Following]) -> None:
    """Exact first, then modelled; and what was told in the end is what a resimulation of the whole session finds."""
    running = session(tmp_path / "s", seconds=1)
    beside = following(tmp_path / "s", "--strategy", changed_file(tmp_path), *MODEL)
    beside.until("shadow: follows")
    lived_on(running, 1)
    running.run(3)
    beside.until("- SELL 0.001")
    assert not running.closing
    assert "+ SELL 0.002" in beside.until("+ ")
    assert "another request at record" in beside.until("modelled from here")
    lived_on(running, 3)
    beside.until("@@")  # the model goes on with the session
    assert not running.closing
    running.stop()
    assert beside.end() == 1
    closed = shadow(tmp_path / "s", "--strategy", tmp_path / "quoter.py", *MODEL, code=1)
    assert sorted(told(closed)) == sorted(told(beside.lines))
    assert closed[-8:] == beside.lines[-8:]
    resim = CliRunner().invoke(
        main,
        [
            "resim",
            str(tmp_path / "s"),
            "--trust-code",
            "--no-journal",
            "--strategy",
            str(tmp_path / "quoter.py"),
            *MODEL,
        ],
    )
    assert f"decisions changed: {counts(closed)[2]:,}" in resim.output.splitlines()


def test_the_folder_is_left_as_it_is(tmp_path: Path) -> None:
    folder = sealed(tmp_path / "s")
    before = files(folder)
    told_modelled = shadow(folder, "--strategy", changed_file(tmp_path), code=1)
    assert any("modelled from here" in line for line in told_modelled)
    assert files(folder) == before


def test_a_session_that_was_followed_holds_what_was_lived(tmp_path: Path, following: Callable[..., Following]) -> None:
    running = session(tmp_path / "s", seconds=1)
    beside = following(tmp_path / "s", "--strategy", changed_file(tmp_path))
    beside.until("shadow: follows")
    lived_on(running, 3)
    running.stop()
    assert beside.end() == 1
    assert list(Journal.open(tmp_path / "s").records()) == running.records
    assert verify(tmp_path / "s").closed
    assert {path.suffix for path in (tmp_path / "s").iterdir()} == {".parquet", ""}


def test_a_session_that_is_closed_already(tmp_path: Path) -> None:
    folder = sealed(tmp_path / "s")
    recorded = len(decisions_of(folder))
    assert counts(shadow(folder)) == (recorded, recorded, 0)


def test_a_session_whose_process_is_gone_ends(tmp_path: Path) -> None:
    folder = session(tmp_path / "s", seconds=3).kill()
    recorded = len(decisions_of(folder))
    lines = shadow(folder)
    assert "a session whose process ended without closing it" in "\n".join(lines)
    assert counts(lines) == (recorded, recorded, 0)
    assert counts(shadow(folder, "--set", "risk.order_size_max=0.0001", code=1))[2] > 0


def test_ctrl_c_gives_the_summary(tmp_path: Path, following: Callable[..., Following]) -> None:
    running = session(tmp_path / "s", seconds=2)
    same, other = following(tmp_path / "s"), following(tmp_path / "s", "--set", "strategy.quoter.size=0.002", *MODEL)
    for each in (same, other):
        each.until("shadow: follows")
    lived_on(running, 1)
    other.until("modelled from here")
    time.sleep(0.5)
    same.interrupt()
    other.interrupt()
    assert (same.end(), other.end()) == (0, 1)
    assert "records of a session which goes on; exact to the end" in "\n".join(same.lines)
    assert "records of a session which goes on; exact up to record" in "\n".join(other.lines)
    lived, decided, changed = counts(same.lines)
    assert (lived, changed) == (decided, 0)
    assert counts(other.lines)[2] > 0
    running.stop()
    assert verify(tmp_path / "s").closed


def test_for_seconds(tmp_path: Path) -> None:
    running = session(tmp_path / "s", seconds=2)
    running.writer.wait_durable(running.records[-1].seq, 10)
    begun = time.monotonic()
    lines = shadow(tmp_path / "s", "--for", "0.5")
    assert time.monotonic() - begun < 20
    assert "which goes on" in "\n".join(lines)
    assert counts(lines)[0] > 5
    running.stop()


@pytest.mark.parametrize("what", ["nothing", "empty", "elsewhere", "locked"])
def test_what_is_no_session_is_one_line(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "s"
    if what == "nothing":
        folder.mkdir()
    elif what == "elsewhere":
        folder = tmp_path / "nowhere"
    else:
        disk = RealDisk.create_folder(folder)
        disk.create(f"{0:012d}.open")
        if what == "empty":
            disk.release()
    lines = shadow(folder, "--journals", tmp_path, code=3)
    assert len(lines) == 1
    assert "What to do" in lines[0]


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--model", "clock=venue"), "the venue's clock is set by a whole session"),
        (("--model", "speed_ms=3"), "the venue's model has no 'speed_ms'"),
        (("--set", "risk.nothing=3"), "unknown setting 'risk.nothing'"),
        (("--strategy", "nowhere.py"), "nowhere.py"),
        (("--balance", "USDT=abc"), "an amount is a number"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, words: tuple[str, ...], what: str) -> None:
    (line,) = shadow(sealed(tmp_path / "s", seconds=1), *words, code=3)
    assert what in line


@pytest.mark.parametrize(("held", "part"), [(MEMORY_ROWS, CHUNK_ROWS), (64, 100)])
def test_it_follows_through_rolls_and_seals_however_little_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: int, part: int
) -> None:
    """Frames of a few records, segments of a few frames, sealed while they are read: the decisions are those over the closed session."""
    monkeypatch.setattr("journal.live_journal.MEMORY_ROWS", held)
    monkeypatch.setattr("journal.live_journal.CHUNK_ROWS", part)
    lived = session(tmp_path / "lived", seconds=8)
    lived.stop()
    body = changed(lived.body, {}, {"quoter": from_sources({"quoter": LATER}, "quoter", "Quoter")})
    wanted = ResimOptions(session=body, model=VenueModel())
    whole: list[Record] = []
    expected = decide_again(tmp_path / "lived", wanted, whole.extend)
    assert expected.modelled

    writer = JournalWriter.create(tmp_path / "s", sync=False, group_rows=20, group_delay_s=0.0, segment_bytes=60_000)
    steps = steps_of(lived.records)
    writer.append_step(next(steps), urgent=True)
    writer.wait_durable(0, 10)

    def write() -> None:
        for at, step in enumerate(steps):
            writer.append_step(step)
            if at % 50 == 0:
                time.sleep(0.02)
        writer.close()

    writing = threading.Thread(target=write)
    writing.start()
    beside = Shadow(lambda _: None, lambda _seq, _why: None)
    ours: list[Record] = []
    journal = LiveJournal(tmp_path / "s", is_over=lambda: False, on_records=beside.lived)

    def keep(records: Sequence[Record]) -> None:
        ours.extend(records)
        beside.decided(records)

    outcome = decide_along(journal, wanted, keep)
    writing.join()
    beside.end()
    assert len(list((tmp_path / "s").glob("*.parquet"))) > 3
    mine, theirs = ([each for each in found[1:] if each.kind is not Kind.CHECKPOINT] for found in (ours, whole))
    assert mine == theirs  # all but what names the source, and hashes over that
    assert replace(outcome, folder=expected.folder) == expected
    assert beside.changed == len(changes(decisions(lived.records), decisions(whole)))


def steps_of(records: Sequence[Record]) -> Iterator[list[Record]]:
    step: list[Record] = []
    for record in records:
        if record.kind in INPUTS and step:
            yield step
            step = []
        step.append(record)
    yield step


# ---- the journal that grows ----------------------------------------------------------------------------


def test_a_growing_journal_reads_as_the_whole_one(tmp_path: Path) -> None:
    """What is held in memory and what lies further back alike, by records and by batches."""
    folder = sealed(tmp_path / "s", seconds=20)
    got: list[int] = []
    journal, whole = (
        LiveJournal(folder, is_over=lambda: False, on_records=lambda records: got.extend(each.seq for each in records)),
        Journal.open(folder),
    )
    assert journal.wait_for(whole.last_seq)
    assert not journal.wait_for(whole.last_seq + 1)
    assert journal.closed
    assert got == list(range(whole.last_seq + 1))
    for _ in range(2):
        for begin, end in ((0, None), (5, 9), (whole.last_seq, None), (700, 2**62)):
            for kinds in (None, (Kind.FEED,), (Kind.FACT, Kind.REQUEST)):
                assert list(journal.records(begin, end, kinds=kinds)) == list(whole.records(begin, end, kinds=kinds))
                ours, theirs = (
                    [
                        seq
                        for batch in each.batches(begin, ["seq"], to_seq=end, kinds=kinds)
                        for seq in batch.column(0).to_pylist()
                    ]
                    for each in (journal, whole)
                )
                assert ours == theirs
        del journal._recent[:-3]


def test_what_is_held_in_memory_does_not_grow_with_the_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("journal.live_journal.MEMORY_ROWS", 64)
    monkeypatch.setattr("journal.tail.POLL_ROWS", 32)
    running = session(tmp_path / "s", seconds=0.1)
    running.writer.wait_durable(running.records[-1].seq, 10)
    journal = LiveJournal(tmp_path / "s", is_over=lambda: False, on_records=lambda _: None)
    most = 0
    for _ in range(40):
        running.run(0.25)
        running.writer.wait_durable(running.records[-1].seq, 10)
        assert journal.wait_for(running.records[-1].seq)
        most = max(most, len(journal._recent))
    assert journal.last_seq > 1500
    assert most < 1000
    running.kill()


def test_a_step_that_was_begun_is_read_to_its_end(tmp_path: Path) -> None:
    """Told to end between a record and what it led to, a follower reads the step's rest, and no input more."""
    folder = sealed(tmp_path / "s")
    whole = list(Journal.open(folder).records())
    over: list[bool] = []
    journal = LiveJournal(folder, is_over=lambda: bool(over), on_records=lambda _: None)
    placed = next(record for record in whole if record.kind is Kind.INTENT)
    journal.last_seq, journal._recent = placed.seq, whole[: placed.seq + 1]
    journal._follower.next_seq = placed.seq + 1
    over.append(True)
    assert not journal.wait_for(2**62)
    last = whole[journal.last_seq]
    assert last.kind is not Kind.INTENT
    assert whole[journal.last_seq + 1].kind in INPUTS
