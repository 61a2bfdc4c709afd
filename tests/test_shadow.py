"""A version beside a running session: differences are reported while it runs, and its folder is not changed."""

import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec.structs import replace
from replaying import QUOTER, sealed, session
from warm_processes import VERBATIM, WarmProcess

from engine.sim.venue_model import VenueModel
from journal.disk import RealDisk
from journal.live_journal import CHUNK_ROWS, MEMORY_ROWS, LiveJournal
from journal.reader import Journal
from journal.record import INPUTS, Kind, Record
from journal.verify import verify
from journal.writer import JournalWriter
from replay.overrides import apply_overrides
from replay.resim.resimulate import ResimOptions, resimulate_decisions
from replay.study.decisions import changed_decisions, read_decisions, session_decisions
from replay.study.shadow import Shadow
from verbatim.cli import main
from verbatim.testing import VirtualSession, from_sources

LATER = QUOTER.replace("parameters.size, quote.ask,", "parameters.size * (1 + (state.quotes > 12)), quote.ask,")
MODEL = (
    "--model",
    "request_ms=0.7",
    "--model",
    "answer_ms=0.7",
    "--model",
    "feed_ms=0.7",
)  # otherwise they are measured in the records so far


def changed_file(tmp_path: Path) -> Path:
    path = tmp_path / "quoter.py"
    path.write_text(LATER)
    return path


class Following:
    """A process of `verbatim shadow`."""

    def __init__(self, *words: object) -> None:
        command = [*VERBATIM, "shadow", "--trust-code", *map(str, words)]
        self._process = WarmProcess(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.lines: list[str] = []

    def until(self, mark: str) -> str:
        """Return the output up to a line that contains `mark`."""
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
    """Return the decisions of the session, those of the version, and the changed ones."""
    recorded, decided, changed = re.findall(r"\d[\d,]*", lines[-1])
    return int(recorded.replace(",", "")), int(decided.replace(",", "")), int(changed.replace(",", ""))


def change_lines(lines: list[str]) -> list[str]:
    return [line for line in lines if line[:2] in ("@@", "- ", "+ ")]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def run_in_slices(running: VirtualSession, seconds: int) -> None:
    """Run a session in slices that are each on disk before the next, so that the follower can read them one by one."""
    for _ in range(seconds * 4):
        running.run(0.25)
        running.writer.wait_durable(running.records[-1].seq, 60)


@pytest.mark.slow
def test_the_same_version_decides_the_same(tmp_path: Path, following: Callable[..., Following]) -> None:
    running = session(tmp_path / "s", seconds=1)
    beside = following(tmp_path / "s")
    beside.until("shadow: follows")
    run_in_slices(running, 5)
    running.stop()
    assert beside.end() == 0, beside.lines
    recorded = len(session_decisions(tmp_path / "s"))
    assert recorded > 20
    assert counts(beside.lines) == (recorded, recorded, 0)
    assert change_lines(beside.lines) == []
    assert f"{running.records[-1].seq + 1:,} records, closed; exact to the end" in "\n".join(beside.lines)


@pytest.mark.slow
def test_differences_are_reported_while_the_session_runs(tmp_path: Path, following: Callable[..., Following]) -> None:
    """Report exact differences, then modelled ones; in the end they equal those of a resimulation."""
    running = session(tmp_path / "s", seconds=1)
    beside = following(tmp_path / "s", "--strategy", changed_file(tmp_path), *MODEL)
    beside.until("shadow: follows")
    run_in_slices(running, 1)
    running.run(3)
    beside.until("- SELL 0.001")
    assert not running.closing
    assert "+ SELL 0.002" in beside.until("+ ")
    assert "another request at record" in beside.until("modelled from here")
    run_in_slices(running, 3)
    beside.until("@@")  # the model continues with the session
    assert not running.closing
    running.stop()
    assert beside.end() == 1
    closed = shadow(tmp_path / "s", "--strategy", tmp_path / "quoter.py", *MODEL, code=1)
    assert sorted(change_lines(closed)) == sorted(change_lines(beside.lines))
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


@pytest.mark.slow
def test_shadow_changes_no_file(tmp_path: Path) -> None:
    folder = sealed(tmp_path / "s")
    before = files(folder)
    told_modelled = shadow(folder, "--strategy", changed_file(tmp_path), code=1)
    assert any("modelled from here" in line for line in told_modelled)
    assert files(folder) == before


@pytest.mark.slow
def test_a_followed_session_verifies_and_replays(tmp_path: Path, following: Callable[..., Following]) -> None:
    running = session(tmp_path / "s", seconds=1)
    beside = following(tmp_path / "s", "--strategy", changed_file(tmp_path))
    beside.until("shadow: follows")
    run_in_slices(running, 3)
    running.stop()
    assert beside.end() == 1
    assert list(Journal.open(tmp_path / "s").records()) == running.records
    assert verify(tmp_path / "s").closed
    assert {path.suffix for path in (tmp_path / "s").iterdir()} == {".parquet", ""}


@pytest.mark.slow
def test_shadow_of_a_closed_session_ends(tmp_path: Path) -> None:
    folder = sealed(tmp_path / "s")
    recorded = len(session_decisions(folder))
    assert counts(shadow(folder)) == (recorded, recorded, 0)


def test_shadow_ends_when_the_session_is_killed(tmp_path: Path) -> None:
    folder = session(tmp_path / "s", seconds=3).kill()
    recorded = len(session_decisions(folder))
    lines = shadow(folder)
    assert "records, its process ended without closing it" in "\n".join(lines)
    assert counts(lines) == (recorded, recorded, 0)
    assert counts(shadow(folder, "--set", "risk.order_size_max=0.0001", code=1))[2] > 0


@pytest.mark.slow
def test_ctrl_c_prints_the_summary(tmp_path: Path, following: Callable[..., Following]) -> None:
    running = session(tmp_path / "s", seconds=2)
    same, other = following(tmp_path / "s"), following(tmp_path / "s", "--set", "strategy.quoter.size=0.002", *MODEL)
    for each in (same, other):
        each.until("shadow: follows")
    run_in_slices(running, 1)
    other.until("modelled from here")
    other.until("+ ")
    same.interrupt()
    other.interrupt()
    assert (same.end(), other.end()) == (0, 1)
    assert "records, still running; exact to the end" in "\n".join(same.lines)
    assert "records, still running; exact up to record" in "\n".join(other.lines)
    recorded, decided, changed = counts(same.lines)
    assert (recorded, changed) == (decided, 0)
    assert counts(other.lines)[2] > 0
    running.stop()
    assert verify(tmp_path / "s").closed


def test_shadow_ends_after_a_given_time(tmp_path: Path) -> None:
    running = session(tmp_path / "s", seconds=2)
    running.writer.wait_durable(running.records[-1].seq, 60)
    lines = shadow(tmp_path / "s", "--for", "0.5")
    assert "still running" in "\n".join(lines)
    assert counts(lines)[0] > 5
    running.stop()


@pytest.mark.parametrize("what", ["nothing", "empty", "elsewhere", "locked"])
def test_an_unreadable_folder_is_one_clear_line(tmp_path: Path, what: str) -> None:
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
        (("--model", "clock=venue"), "clock=venue needs a whole session"),
        (("--model", "speed_ms=3"), "the venue's model has no 'speed_ms'"),
        (("--set", "risk.nothing=3"), "unknown setting 'risk.nothing'"),
        (("--strategy", "nowhere.py"), "nowhere.py"),
        (("--balance", "USDT=abc"), "write the amount with at most 8 decimals"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, words: tuple[str, ...], what: str) -> None:
    (line,) = shadow(sealed(tmp_path / "s", seconds=1), *words, code=3)
    assert what in line


@pytest.mark.slow
@pytest.mark.parametrize(("held", "part"), [(MEMORY_ROWS, CHUNK_ROWS), (64, 100)])
def test_shadow_follows_rolls_and_seals_with_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: int, part: int
) -> None:
    """Use small frames and segments that are sealed while they are read: the decisions do not change."""
    monkeypatch.setattr("journal.live_journal.MEMORY_ROWS", held)
    monkeypatch.setattr("journal.live_journal.CHUNK_ROWS", part)
    running_session = session(tmp_path / "lived", seconds=8)
    running_session.stop()
    body = apply_overrides(running_session.body, {}, {"quoter": from_sources({"quoter": LATER}, "quoter", "Quoter")})
    options = ResimOptions(session=body, model=VenueModel())
    whole: list[Record] = []
    expected = resimulate_decisions(tmp_path / "lived", options, whole.extend)
    assert expected.modelled

    writer = JournalWriter.create(tmp_path / "s", sync=False, group_rows=20, group_delay_s=0.0, segment_bytes=60_000)
    steps = steps_of(running_session.records)
    writer.append_step(next(steps), urgent=True)
    writer.wait_durable(0, 60)

    seen_seq, grown = 0, threading.Condition()

    def on_records(records: Sequence[Record]) -> None:
        nonlocal seen_seq
        with grown:
            seen_seq = records[-1].seq if records else seen_seq
            grown.notify()
        beside.add_recorded(records)

    def wait_until_read(seq: int) -> None:
        with grown:
            assert grown.wait_for(lambda: seen_seq >= seq, 30), f"record {seq} was not read"

    def write() -> None:
        for at, step in enumerate(steps):
            writer.append_step(step)
            if at % 50 == 0:
                wait_until_read(step[0].seq - 200)
        writer.close()

    writing = threading.Thread(target=write)
    writing.start()
    beside = Shadow(lambda _: None, lambda _seq, _why: None)
    ours: list[Record] = []
    journal = LiveJournal(tmp_path / "s", is_over=lambda: False, on_records=on_records)

    def keep(records: Sequence[Record]) -> None:
        ours.extend(records)
        beside.add_resimulated(records)

    outcome = resimulate_decisions(journal, options, keep)
    writing.join()
    beside.end()
    assert len(list((tmp_path / "s").glob("*.parquet"))) > 3
    ours_compared, theirs = (
        [each for each in found[1:] if each.kind is not Kind.CHECKPOINT] for found in (ours, whole)
    )
    assert ours_compared == theirs  # except the name of the source and the hashes over it
    assert replace(outcome, folder=expected.folder) == expected
    assert beside.changed == len(changed_decisions(read_decisions(running_session.records), read_decisions(whole)))


def steps_of(records: Sequence[Record]) -> Iterator[list[Record]]:
    step: list[Record] = []
    for record in records:
        if record.kind in INPUTS and step:
            yield step
            step = []
        step.append(record)
    yield step


# ---- the journal that grows ----------------------------------------------------------------------------


@pytest.mark.slow
def test_a_live_journal_reads_like_the_closed_one(tmp_path: Path) -> None:
    """Read parts that are in memory and parts that are not, by records and by batches."""
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


@pytest.mark.slow
def test_memory_does_not_grow_with_the_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("journal.live_journal.MEMORY_ROWS", 64)
    monkeypatch.setattr("journal.tail.POLL_ROWS", 32)
    running = session(tmp_path / "s", seconds=0.1)
    running.writer.wait_durable(running.records[-1].seq, 60)
    journal = LiveJournal(tmp_path / "s", is_over=lambda: False, on_records=lambda _: None)
    most = 0
    for _ in range(40):
        running.run(0.25)
        running.writer.wait_durable(running.records[-1].seq, 60)
        assert journal.wait_for(running.records[-1].seq)
        most = max(most, len(journal._recent))
    assert journal.last_seq > 1500
    assert most < 1000
    running.kill()


def test_a_follower_ends_after_a_whole_step(tmp_path: Path) -> None:
    """Stop a follower between a record and its outputs: it reads the rest of the step, and no further input."""
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
