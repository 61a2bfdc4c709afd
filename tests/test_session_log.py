"""The log of a session: a line for each thing that a person follows, found in the journal by its seq, without secrets.

Lines are made after requests were sent, and a log that is behind is counted and never in the way.
"""

import fcntl
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest
import structlog
import trio
from test_cli_live import config_for, environment, state_of, until, venue
from trio.testing import MockClock
from warm_processes import VERBATIM, WarmProcess

from engine.bodies import NoteBody, NoteLevel
from engine.live.ingress import FrameBatch
from engine.live.log_task import WAITING_MAX, LogTask
from engine.live.logs import CLEAR_LINE, LogSettings, LogStream, configure
from engine.session_record import SECOND_NS, RiskSettings
from engine.sim.virtual_gateway import VirtualGateway
from engine.step_context import Output
from journal.reader import Journal
from journal.record import Kind, Record
from replay.replay import replay_session
from verbatim.runner import StatusLine
from verbatim.session_log import SessionLog
from verbatim.testing import API_SECRET, VirtualSession, VirtualVenue, from_sources

EVIL = "\x1b[31m\u202eowned\nmode running api_secret=plugh"
# A plan, an intent that is too large, market orders and resting ones that are replaced, then an error.
LOUD = f"""
from dataclasses import dataclass
from decimal import Decimal

from verbatim import Cancel, Every, OrderType, Place, Run, Side, Timed

D = Decimal


class Loud:
    version = "7"
    instruments = ("BTCUSDT",)
    cadence = Every(ms=100)

    @dataclass
    class Parameters:
        fails_at: int = 30

    @dataclass
    class State:
        turns: int = 0

    @staticmethod
    def decide(view, state, parameters):
        quote = view.quote("BTCUSDT")
        if quote is None:
            return
        state.turns += 1
        if state.turns == 1:
            yield Run(Timed("BTCUSDT", Side.BUY, D("0.002"), quote.bid - 100, lasts_ms=500))
        elif state.turns == 2:
            yield Place("BTCUSDT", Side.BUY, D(5), quote.bid, rationale={{"why": {EVIL!r}}})
        elif state.turns == parameters.fails_at:
            raise ValueError({EVIL!r})
        elif state.turns % 5 == 0:
            yield Place("BTCUSDT", Side.BUY, D("0.001"), type=OrderType.MARKET)
        elif state.turns % 5 == 1:
            yield Place("BTCUSDT", Side.BUY, D("0.001"), quote.bid - 50)
        else:
            for order in view.orders("BTCUSDT"):
                yield Cancel(order.client_order_id)
"""
Line = dict[str, Any]
# event -> kind of the record that its seq names
KINDS = {
    "refused": Kind.VERDICT,
    "order": Kind.REQUEST,
    "fill": Kind.FACT,
    "order ended": Kind.FACT,
    "mode": Kind.FACT,
    "alarm": Kind.NOTE,
    "plan started": Kind.FACT,
    "plan ended": Kind.FACT,
}


class LoggingGateway(VirtualGateway):
    """Gives the outputs of each step to the session's log, as the shell does."""

    settings: ClassVar = LogSettings()
    texts: ClassVar[list[str]] = []
    log: SessionLog | None = None

    def perform(self, outputs: Sequence[Output]) -> None:
        super().perform(outputs)
        self.log = self.log or SessionLog(self.sequencer.kernel.session, lambda: self.state, settings=self.settings)
        self.log.write(outputs)
        self.texts.append(self.log.pop_text())


class LoggedSession(VirtualSession):
    gateway_class = LoggingGateway


@pytest.fixture(autouse=True)
def _logs() -> Iterator[None]:
    LoggingGateway.texts.clear()
    yield
    structlog.reset_defaults()


def begin(tmp_path: Path, **settings: Any) -> LoggedSession:
    strategies = [from_sources({"loud": LOUD}, "loud", "Loud")]
    risk = RiskSettings(order_size_max=Decimal(1), sell_holdings=True)
    session = LoggedSession(VirtualVenue(seed=3), tmp_path / "s", strategies=strategies, risk=risk, **settings)
    assert isinstance(session, LoggedSession)
    return session


def written() -> list[Line]:
    return [json.loads(line) for text in LoggingGateway.texts for line in text.splitlines()]


def check_seqs(lines: list[Line], records: dict[int, Record]) -> None:
    """Check that each line names a record of its kind, with the same client order id and time."""
    for line in lines:
        if line["event"] in KINDS:
            record = records[line["seq"]]
            assert record.kind is KINDS[line["event"]], line
            assert line.get("client_order_id", record.key) == record.key, line


def test_every_kind_of_line_occurs_and_its_seq_is_in_the_journal(tmp_path: Path) -> None:
    configure(json_lines=True)
    session = begin(tmp_path).run(8)
    session.command("halt", "the test").run(1).stop()
    lines = written()
    assert KINDS.keys() <= {line["event"] for line in lines}
    records = {record.seq: record for record in Journal.open(session.folder).records()}
    check_seqs(lines, records)
    for event in ("order", "fill", "order ended", "refused"):
        for line in lines:
            if line["event"] == event:
                names = (line["strategy"], line["version"], line["instrument"])
                assert names == ("loud", "7", "binance_spot:BTCUSDT"), line
                assert line["client_order_id"], line
    # one line for each record, and one end for each order
    sent = [record.seq for record in records.values() if record.kind is Kind.REQUEST and '"place"' in record.body]
    assert [line["seq"] for line in lines if line["event"] == "order"] == sent
    fills = [record.seq for record in records.values() if '"order_filled"' in (record.body or "")]
    assert [line["seq"] for line in lines if line["event"] == "fill"] == fills
    ended = [line["client_order_id"] for line in lines if line["event"] == "order ended"]
    assert sorted(ended) == sorted({records[seq].key for seq in sent})
    assert [line["mode"] for line in lines if line["event"] == "mode"][-1] == "halted"
    assert replay_session(session.folder).identical


def test_no_line_has_a_secret_a_control_character_or_a_forged_line(tmp_path: Path) -> None:
    """The strategy's rationale and error hold an escape, a newline with a false line, and a secret."""
    configure()
    LoggingGateway.settings = LogSettings(level="debug")
    try:
        begin(tmp_path).run(8).stop()
    finally:
        LoggingGateway.settings = LogSettings()
    text = "".join(LoggingGateway.texts)
    assert text.count("owned") > 1, "the refused intent and the alarm"
    assert "\\u202eowned\\n" in text
    for banned in ("plugh", API_SECRET, "signature=", "\x1b[31m", "\u202e", "\nmode running"):
        assert banned not in text
    assert all(line[:4] == "2024" for line in text.splitlines()), "the session time begins each line"


@pytest.mark.slow
def test_the_streams_are_reported_with_rate_age_lag_and_gaps(tmp_path: Path) -> None:
    configure(json_lines=True)
    session = begin(tmp_path).run(5)
    read_feeds(session)
    session.run(10)
    feeds = read_feeds(session)
    assert feeds.keys() == {"quote", "trade", "book", "private"}
    since_ns = session.records[-1].time_ns - 10 * SECOND_NS
    frames = [r.payload for r in session.records if r.kind is Kind.FEED and r.meta is None and r.time_ns > since_ns]
    for stream, words in (("quote", b"@bookTicker"), ("trade", b"@trade"), ("book", b"@depth")):
        line = feeds[stream]
        assert line["rate"] == pytest.approx(sum(words in frame for frame in frames) / 10, rel=0.05), stream
        assert line["rate"] > 0
        assert (line["gaps"], line["is_stale"]) == (0, False)
        assert 0 <= line["age_s"] < 5
        assert (line["about"], line["seq"]) == ("binance_spot:BTCUSDT", session.records[-1].seq)
    assert abs(feeds["book"]["lag_s"]) < 0.1
    session.venue.fault(action="delay_stream", stream="btcusdt@*", late_ms=1_500, ms=3_000)
    session.run(2.5)
    assert 1.4 < read_feeds(session)["book"]["lag_s"] < 1.7
    session.venue.fault(action="disconnect", target="market")
    session.run(10)
    gaps = [gap for gap in session.facts("market_gap") if gap.get("stream") or not gap.get("to_ns")]
    counts = {own: sum(gap.get("stream", "") in ("", own) for gap in gaps) for own in ("quote", "trade", "depth")}
    assert counts["quote"] == 1, "the link's own"
    assert [line.get("gaps") for line in read_feeds(session).values()] == [*counts.values(), None]
    assert [line.get("gaps") for line in read_feeds(session).values()] == [0, 0, 0, None]
    assert session.venue.unstruck_faults() == []
    session.stop()


def test_orders_fills_reconnects_and_drift_are_reported(tmp_path: Path) -> None:
    """One order is rejected, the market link is lost once, and a deposit is streamed."""
    configure(json_lines=True)
    session = begin(tmp_path)
    session.venue.fault(action="reject", method="POST", path="/api/v3/order", nth=2, code=-1013)
    session.run(2)
    session.venue.fault(action="disconnect", target="market")
    session.run(6)
    assert session.venue.unstruck_faults() == []
    [line] = read_lines(session, "trading")
    records = session.records
    sent = sum(r.kind is Kind.REQUEST and '"place"' in (r.body or "") for r in records)
    fills = len(session.facts("order_filled"))
    refused = sum(r.kind is Kind.VERDICT and '"approved":false' in (r.body or "") for r in records)
    assert (line["orders"], line["rejected"], line["fills"]) == (sent, 1, fills)
    assert (line["refused"], line["reconnects"], line["drift"]) == (refused, 1, "")
    assert line["accepted"] == sent - 1
    assert line["success_rate"] == pytest.approx((sent - 1) / sent)
    assert line["rejection_rate"] == pytest.approx(1 / sent)
    hours = (records[-1].time_ns - records[0].time_ns) / (3600 * SECOND_NS)
    assert line["fills_per_hour"] == pytest.approx(fills / hours)
    session.venue.move_balance("USDT", "250")
    session.run(1)
    assert read_lines(session, "trading")[0]["drift"] == "250 USDT"
    session.stop()


def test_the_time_from_a_decision_to_its_order_is_reported(tmp_path: Path) -> None:
    configure(json_lines=True)
    session = begin(tmp_path).run(1)
    milliseconds = range(1, 102)
    log = SessionLog(
        session.sequencer.kernel.session,
        lambda: session.state,
        [each * 1_000_000 for each in milliseconds],
        settings=LogSettings(),
    )
    session._shell.log = log
    [line] = read_lines(session, "trading")
    assert (line["send_p50_ms"], line["send_p99_ms"]) == (51, 100)
    session.stop()


def read_feeds(session: LoggedSession) -> dict[str, Line]:
    """Return the lines of the streams as of now, by stream."""
    return {line["stream"]: line for line in read_lines(session, "feed")}


def read_lines(session: LoggedSession, event: str) -> list[Line]:
    """Return the reports as of now of one event."""
    log = session._shell.log
    for report in log.feed_reports():
        report()
    return [line for line in map(json.loads, log.pop_text().splitlines()) if line["event"] == event]


# ---- the task, in trio's virtual time ----------------------------------------------------------


class Seqs:
    """Lines that are the seqs of the outputs."""

    feed_seconds = 0.0

    def __init__(self, sample_every: int = 0) -> None:
        self.sample_every = sample_every
        self.lines: list[str] = []
        self.made: list[str] = []

    def write(self, outputs: Sequence[Output]) -> None:
        self.lines += [str(output.record.seq) for output in outputs]
        self.made += [str(output.record.seq) for output in outputs]

    def write_message(self, record: Record) -> None:
        self.lines.append(f"{record.seq} {record.payload!r}")

    def write_dropped(self, count: int) -> None:
        self.lines.append(f"{count} dropped")

    def feed_reports(self) -> list[Callable[[], None]]:
        return []

    def pop_text(self) -> str:
        text, self.lines = " ".join(self.lines), []
        return text


class Silent(Seqs):
    """Prints nothing: virtual time does not wait for a printing thread."""

    def pop_text(self) -> str:
        return ""


def note(seq: int) -> list[Output]:
    return [Output.from_record(Record(seq, 1, Kind.NOTE, "engine", body="{}"), NoteBody(NoteLevel.INFO, "x"))]


def test_lines_wait_while_an_order_waits_and_one_second_at_most() -> None:
    lines, busy = Silent(), True

    async def main() -> None:
        nonlocal busy
        task = LogTask(lines, is_busy=lambda: busy, print_text=lambda _text: None)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(task.run)
            task.put(note(1))
            await trio.sleep(0.45)
            assert lines.made == []
            busy = False  # the order was sent
            await trio.sleep(0.2)
            assert lines.made == ["1"]
            busy = True
            task.put(note(2))
            await trio.sleep(0.8)
            assert lines.made == ["1"]
            await trio.sleep(0.8)
            assert lines.made == ["1", "2"]
            nursery.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0))


def test_a_log_that_is_behind_drops_and_says_how_many() -> None:
    texts: list[str] = []
    task = LogTask(Seqs(), is_busy=lambda: False, print_text=texts.append)
    for seq in range(WAITING_MAX + 5):
        task.put(note(seq))
    task.finish()
    words = texts[0].split()
    assert words[0] == "0"
    assert "5 dropped" in texts[0]
    assert len(words) == WAITING_MAX + 2


def test_a_log_that_cannot_be_written_ends_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The disk is full, then the pipe or the terminal is closed; then the log works again."""
    reader, writer = os.pipe()
    os.close(reader)
    terminal, slave = pty.openpty()
    os.close(terminal)
    log = LogStream()
    for broken in (os.fdopen(os.open("/dev/full", os.O_WRONLY), "w"), os.fdopen(writer, "w"), os.fdopen(slave, "w")):
        monkeypatch.setattr(sys, "stderr", broken)
        with pytest.raises(OSError, match=r"No space|Broken pipe|Input/output"):
            print("lost", file=broken, flush=True)
        log.write("lost\n")
        log.set_status("lost")
        log.set_status("")
        with suppress(OSError):
            broken.close()
        log.write("lost\n")
    with (tmp_path / "log").open("w") as whole:
        monkeypatch.setattr(sys, "stderr", whole)
        log.write("kept\n")
    assert (tmp_path / "log").read_text() == "kept\n"


def test_a_log_file_that_is_truncated_goes_on_at_its_beginning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`copytruncate` of logrotate: with `2>>`, as the page says, no hole of zero bytes is left."""
    path, log = tmp_path / "trader.log", LogStream()
    with path.open("a") as appended:
        monkeypatch.setattr(sys, "stderr", appended)
        log.write("before\n")
        os.truncate(path, 0)
        log.write("after\n")
    assert path.read_text() == "after\n"


def test_one_of_so_many_market_messages_is_logged() -> None:
    texts: list[str] = []
    task = LogTask(Seqs(sample_every=10), is_busy=lambda: False, print_text=texts.append)
    for seq in range(2, 102, 2):  # reads of two messages
        task.put_frames(FrameBatch("market.0", True, 1, [b"a", b"b%d" % seq]), seq, 1)
    task.put_frames(FrameBatch("private.0", False, 1, [b"c"] * 50), 200, 1)
    task.finish()
    assert texts == [" ".join(f"{seq} b'b{seq}'" for seq in range(10, 101, 10))]


# ---- the terminal ------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_status_line_stays_below_the_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setenv("COLUMNS", "12")
    stream = LogStream()
    stream.write("a\n")
    stream.set_status("running  orders 5")
    stream.write("b\n")
    stream.set_status("")
    stream.write("c\n")
    cut = "running  or"
    assert sys.stderr.getvalue() == f"a\n{CLEAR_LINE}{cut}{CLEAR_LINE}b\n{cut}{CLEAR_LINE}c\n"


@pytest.mark.parametrize(
    ("file", "is_wanted", "is_drawn"),
    [
        (Terminal, True, True),
        (Terminal, False, False),
        (io.StringIO, True, False),
    ],
)
def test_the_status_line_is_drawn_on_a_terminal_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: type[io.StringIO], is_wanted: bool, is_drawn: bool
) -> None:
    monkeypatch.setattr(sys, "stderr", file())
    with StatusLine(is_wanted=is_wanted) as status:
        if is_drawn:
            until(lambda: "connecting" in sys.stderr.getvalue(), 10)
        assert status is not None
    assert ("connecting" in sys.stderr.getvalue()) is is_drawn
    assert sys.stderr.getvalue().endswith(CLEAR_LINE) is is_drawn


# ---- the whole ---------------------------------------------------------------------------------


def loud_config(folder: Path, address: str, log: str) -> Path:
    (folder / "loud.py").write_text(LOUD)
    path = config_for(folder, address)
    text = path.read_text().split("[strategy.quoter]")[0] + '[strategy.loud]\nfile = "loud.py:Loud"\n'
    text += "parameters = { fails_at = 1_000_000 }\n[risk]\norder_size_max = 1\nsell_holdings = true\n"
    path.write_text(f"{text}[log]\n{log}\n")
    return path


def unread(pipe: int) -> int:
    """Return how many bytes wait in a pipe."""
    count = array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, count)
    return count[0]


@pytest.mark.slow
def test_a_terminal_that_is_stopped_stops_no_order(tmp_path: Path) -> None:
    """It shows the status line, then no one reads it and it is full; more orders leave, and the journal is sealed."""
    with venue() as ready:
        path = loud_config(tmp_path, ready["listening"], 'level = "debug"')
        terminal, stderr = pty.openpty()
        termios.tcsetwinsize(stderr, (40, 200))
        command = [*VERBATIM, "run", str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, env=environment()) as process:
            os.close(stderr)
            seen = b""
            while not re.search(rb"\x1b\[2Krunning .*position .*P&L .*lag .*records", seen):
                seen += os.read(terminal, 4096)
            until(lambda: len(state_of(ready)["orders"]) >= 5)
            before = unread(terminal)
            until(lambda: len(state_of(ready)["orders"]) >= 12)
            assert unread(terminal) == before > 0, "the log continued"
            process.send_signal(signal.SIGTERM)
            [folder] = (tmp_path / "journals").glob("*-*")
            until(lambda: Journal.open(folder).closed)
            assert process.poll() is None, "it still has lines to write"
            with suppress(OSError):  # the end of a terminal
                while os.read(terminal, 4096):
                    pass
        os.close(terminal)
    assert process.returncode == 0
    assert replay_session(folder).identical


@pytest.mark.slow
def test_a_session_in_a_process_logs_everything_as_json(tmp_path: Path) -> None:
    with venue() as ready:
        path = loud_config(tmp_path, ready["listening"], "feed_every_s = 0.5\nsample_every = 20")
        command = [*VERBATIM, "run", str(path), "--log", "json"]
        with WarmProcess(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
        ) as process:
            until(lambda: len(state_of(ready)["orders"]) >= 6)
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    lines = [json.loads(line) for line in errors.splitlines()]
    assert {*KINDS, "feed", "message", "trading"} - {"alarm"} <= {line["event"] for line in lines}
    [folder] = (tmp_path / "journals").glob("*-*")
    records = {record.seq: record for record in Journal.open(folder).records()}
    check_seqs(lines, records)
    for line in lines:
        if line["event"] == "message":
            assert (records[line["seq"]].kind, records[line["seq"]].source) == (Kind.FEED, line["source"])
    sent = [record.seq for record in records.values() if record.kind is Kind.REQUEST and '"place"' in record.body]
    assert [line["seq"] for line in lines if line["event"] == "order"] == sent
    trading = [line for line in lines if line["event"] == "trading"]
    assert trading[-1]["orders"] > 0
    assert 0 < trading[-1]["send_p50_ms"] <= trading[-1]["send_p99_ms"] < 10_000
    assert not [word for word in ("verbatim-demo-secret", "verbatim-demo-key", "plugh", CLEAR_LINE) if word in errors]
    assert replay_session(folder).identical
