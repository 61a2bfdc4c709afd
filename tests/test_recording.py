"""Recording from the venue on loopback: every frame is recorded, every gap is reported, and sessions follow one
another.
"""

import json
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from decimal import Decimal
from itertools import chain, pairwise, repeat
from pathlib import Path
from typing import Any

import pytest
import trio
from click.testing import CliRunner
from warm_processes import VERBATIM, WarmProcess
from warm_venue import venue_process

from analysis.sql_session import connect, query_rows
from engine.live.session_config import SessionConfig, StartError
from engine.live.session_status import SessionStatus, Summary
from engine.record_codec import read_link, read_request
from engine.session_record import SECOND_NS, read_session
from engine.sim.binance.connections import Sent
from journal.reader import Journal
from journal.record import Kind, Record
from journal.sessions import list_sessions
from journal.verify import verify
from replay.replay import replay_session
from tests.test_cli_live import environment
from tests.test_cli_live import venue as venue_command
from tests.test_live_session import ask, until
from verbatim.commands.record import command
from verbatim.config import make_config, recording_config
from verbatim.recorder import HOUR_NS, Recorder, roll_due_ns
from verbatim.warmup import warm

Ready = dict[str, Any]


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    warm()


@pytest.fixture
async def venue() -> AsyncIterator[Ready]:
    async with venue_process({"symbols": ["BTCUSDT"]}) as ready:
        yield ready


@pytest.fixture
async def busy_venue() -> AsyncIterator[Ready]:
    """Run a venue at 20 times the pace, so frames wait in the queue and in the socket at each roll."""
    async with venue_process({"symbols": ["BTCUSDT"], "speed": 20, "weight_max": 1_000_000}) as ready:
        yield ready


class Recording:
    """A recorder at work, and the status and summaries that it reported."""

    def __init__(self, venue: Ready, journals: Path, *, ages_s: Sequence[float] = (), stale_s: float = 10) -> None:
        """Prepare a recorder. Its first sessions roll at `ages_s`; the one after them lasts."""
        address = venue["listening"]
        values = {
            "instruments": ("BTCUSDT",),
            "venue": {"rest": address, "stream": address.replace("http", "ws")},
            "session": {"journals": journals},
            "engine": {"stale_after_s": stale_s, "watch_every_s": 0.1, "backoff_first_s": 0.05, "backoff_max_s": 0.2},
        }
        self.config: SessionConfig = recording_config(make_config(values, "test", {}))
        self.ended: list[Summary] = []
        self.status: SessionStatus | None = None
        ages = chain(ages_s, repeat(3600))
        self.recorder = Recorder(
            self.config,
            due_ns=lambda started_ns: started_ns + int(next(ages) * SECOND_NS),
            on_end=self.ended.append,
            on_status=self._show,
        )

    def _show(self, status: SessionStatus) -> None:
        self.status = status

    async def until(self, holds: Callable[[SessionStatus], bool]) -> None:
        await until(lambda: self.status is not None and holds(self.status))

    async def run(self, script: Callable[[], Any]) -> None:
        """Record while the script runs. Then silence the venue, so that all sent frames are recorded before the end."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.recorder.run)
            await self.until(lambda status: status.mode == "running")
            await script()
            await ask({"listening": self.config.venue.rest}, "/sim/faults", "POST", json=silence(60_000))
            await self._wait_for_sent_frames()
            self.recorder.end()

    async def _wait_for_sent_frames(self) -> None:
        """Wait until every frame that the venue has sent is in a journal."""
        sent = sum(tally["frames"] for tally in await ask({"listening": self.config.venue.rest}, "/sim/sent"))
        journals = self.config.journals
        await until(lambda: frames_in(journals) >= sent)


def silence(ms: int) -> dict[str, Any]:
    return {"action": "silence", "target": "market", "ms": ms}


def records_of(journals: Path) -> list[list[Record]]:
    return [list(Journal.open(found.path).records()) for found in list_sessions(journals)]


def frames_in(journals: Path) -> int:
    """Return the number of frames in all journals."""
    opened = (Journal.open(found.path) for found in list_sessions(journals))
    metas = (batch.column(0) for each in opened for batch in each.batches(columns=["meta"], kinds=[Kind.FEED]))
    return sum(meta.null_count for meta in metas)


def recorded_frames(journals: Path) -> list[Sent]:
    """Return count and hash of each connection's frames as the venue counts them, across sessions."""
    tallies: list[Sent] = []
    for first, *rest in records_of(journals):
        previous = read_session(first.body).previous
        continues = previous is not None and previous.links
        for record in rest:
            if record.kind is Kind.LINK and read_link(record.body).state == "up":
                if not continues:
                    tallies.append(Sent())
                continues = False
            elif record.kind is Kind.FEED and record.meta is None:
                tallies[-1].add(record.payload)
    return tallies


def gaps_of(journals: Path) -> list[tuple[Any, ...]]:
    folders = [found.path for found in list_sessions(journals)]
    query = "SELECT session, stream, reason, from_ns, to_ns, from_seq, to_seq, last_id, first_id, missing FROM gaps"
    return query_rows(connect(folders), query)


def assert_nothing_is_signed(records: list[Record]) -> None:
    """Check that the session has no account and no key, and sends only public requests."""
    assert read_session(records[0].body).account == ""
    requests = [read_request(record.body) for record in records if record.kind is Kind.REQUEST]
    assert {request.purpose for request in requests} == {"connect", "depth"}
    assert not [request for request in requests if request.mutates or (request.unsigned and request.unsigned.signed)]
    assert not [record for record in records if record.kind is Kind.BROKER]


@pytest.mark.slow
async def test_every_frame_is_there_across_rolls_and_disconnects_and_every_gap_is_told(
    busy_venue: Ready, tmp_path: Path
) -> None:
    # the second session must last until a disconnect in it is mended, on a busy machine too
    venue, recording = busy_venue, Recording(busy_venue, tmp_path, ages_s=(1, 6))

    async def script() -> None:
        await until(lambda: len(recording.ended) == 1)
        first = recording.ended[0].last.session
        await recording.until(lambda status: status.session != first and status.messages > 20)
        await ask(venue, "/sim/faults", "POST", json={"action": "disconnect", "target": "market"})
        await recording.until(lambda status: status.gaps > 0 and status.mode == "running")
        await until(lambda: len(recording.ended) == 2)

    await recording.run(script)
    sent = await ask(venue, "/sim/sent")
    assert len(sent) == 2
    assert [(each["frames"], each["sha256"]) for each in sent] == [
        (each.frames, each.sha256) for each in recorded_frames(tmp_path)
    ]
    link, *of_ids = gaps_of(tmp_path)
    session, stream, reason, from_ns, to_ns, from_seq, to_seq, *_ = link
    assert (session, stream) == (recording.ended[1].last.session, None)
    assert "ended the connection" in reason
    journal = {record.seq: record for record in records_of(tmp_path)[1]}
    assert (journal[from_seq].kind, journal[from_seq].time_ns) == (Kind.FEED, from_ns)
    assert (journal[to_seq].kind, journal[to_seq].time_ns) == (Kind.LINK, to_ns)
    for _, stream, reason, from_ns, to_ns, from_seq, to_seq, last_id, first_id, missing in of_ids:
        last, first = (json.loads(journal[seq].payload)["data"] for seq in (from_seq, to_seq))
        ids = (last["t"], first["t"]) if stream == "trade" else (last["u"], first["U"])
        assert (last_id, first_id, missing) == (*ids, ids[1] - ids[0] - 1)
        assert reason.endswith("ids are missing")
        assert (journal[from_seq].time_ns, journal[to_seq].time_ns) == (from_ns, to_ns)
    sessions = [found.path for found in list_sessions(tmp_path)]
    assert len(sessions) == len(recording.ended) == 3
    for records in records_of(tmp_path):
        assert_nothing_is_signed(records)
    for before, folder in pairwise(sessions):
        previous = read_session(Journal.open(folder).session_record().body).previous
        report = verify(before)
        assert (previous.session, previous.last_seq, previous.chain) == (
            before.name[-8:],
            report.records - 1,
            report.chain,
        )
        assert previous.links == ("binance_spot.market.0",)
    assert all(
        verify(folder).ok and Journal.open(folder).closed and replay_session(folder).identical for folder in sessions
    )


@pytest.mark.slow
async def test_a_silence_is_a_gap_and_a_hole_in_the_ids_is_one(venue: Ready, tmp_path: Path) -> None:
    """A short silence shows in the ids alone. A long one ends the connection, and its gap states the reason."""
    recording = Recording(venue, tmp_path, stale_s=1)

    async def script() -> None:
        await recording.until(lambda status: status.messages > 50)
        await ask(venue, "/sim/faults", "POST", json=silence(500))
        await recording.until(lambda status: status.gaps >= 1)
        messages = recording.status.messages
        await recording.until(lambda status: status.messages > messages + 20)
        await ask(venue, "/sim/faults", "POST", json=silence(1300))
        await recording.until(lambda status: status.mode != "running")
        await recording.until(lambda status: status.mode == "running")

    await recording.run(script)
    told = [(stream, reason.partition(" for ")[0]) for _, stream, reason, *_ in gaps_of(tmp_path)]
    assert ("depth", "depth update ids are missing") in told[:2]
    assert told.count((None, "silent")) == 1
    assert told.index((None, "silent")) >= 1


@pytest.mark.slow
async def test_a_restart_names_the_session_before_and_the_time_between(venue: Ready, tmp_path: Path) -> None:
    first, second = Recording(venue, tmp_path), Recording(venue, tmp_path)
    await first.run(lambda: first.until(lambda status: status.messages > 20))
    await ask(venue, "/sim/faults", "POST", json=silence(0))
    await second.run(lambda: second.until(lambda status: status.messages > 20))
    before, after = records_of(tmp_path)
    previous = read_session(after[0].body).previous
    assert (previous.session, previous.last_seq, previous.links) == (first.ended[0].last.session, len(before) - 1, ())
    [(session, stream, reason, from_ns, _, from_seq, to_seq, *_)] = gaps_of(tmp_path)
    assert (session, stream, from_ns, from_seq) == (second.ended[0].last.session, None, before[-1].time_ns, None)
    assert previous.session in reason
    assert after[to_seq].kind is Kind.LINK


@pytest.mark.slow
async def test_a_venue_that_is_gone_at_a_roll_is_waited_for(venue: Ready, tmp_path: Path) -> None:
    """Without metadata no session begins. The connection stays, and no message on it is lost meanwhile."""
    recording = Recording(venue, tmp_path, ages_s=(1,))
    gone = {"action": "reject", "path": "/api/v3/exchangeInfo", "status": 503}

    async def script() -> None:
        await ask(venue, "/sim/faults", "POST", json=gone)
        await until(lambda: len(recording.ended) == 1)
        await recording.until(lambda status: status.session != recording.ended[0].last.session)

    await recording.run(script)
    sent = await ask(venue, "/sim/sent")
    assert [(each["frames"], each["sha256"]) for each in sent] == [
        (each.frames, each.sha256) for each in recorded_frames(tmp_path)
    ]
    assert gaps_of(tmp_path) == []


async def test_a_first_start_without_a_venue_is_one_clear_line(tmp_path: Path) -> None:
    recording = Recording({"listening": "http://127.0.0.1:1"}, tmp_path)
    with pytest.RaisesGroup(pytest.RaisesExc(StartError, match="cannot reach binance_spot"), flatten_subgroups=True):
        await recording.recorder.run()
    assert list_sessions(tmp_path) == []


@pytest.mark.slow
def test_the_command_records_symbols_and_ends_on_a_signal(tmp_path: Path) -> None:
    with venue_command("BTCUSDT") as ready:
        command = [
            *VERBATIM,
            "record",
            "--url",
            ready["listening"],
            "--symbol",
            "BTCUSDT",
            "--journals",
            str(tmp_path),
            "--json",
        ]
        keyless = {name: value for name, value in environment().items() if not name.startswith("VERBATIM_")}
        with WarmProcess(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=keyless) as process:
            assert '"running"' in next(line for line in process.stderr if '"running"' in line)
            process.send_signal(signal.SIGTERM)
            out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    told = json.loads(out)
    assert (told["ended"], told["orders"], told["gaps"]) == ("closed", 0, 0)
    assert Journal.open(Path(told["folder"])).closed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "nothing to record. What to do: name a configuration file, or symbols with --symbol"),
        (
            ("--symbol", "BTCUSDT", "--venue", "krakatoa"),
            "no venue 'krakatoa'; installed: alpaca, binance_coinm, binance_spot",
        ),
        (("--symbol", "BTCUSDT", "--venue", "paper_usdm"), "the address of paper_usdm's market data is not known"),
        (("--symbol", "BTCUSDT", "--roll-at", "25:00"), "record.roll_at: "),
        (("--symbol", "BTCUSDT", "--url", "ftp://x"), "venue.rest: "),
    ],
)
def test_what_cannot_be_recorded_is_said_in_one_line(arguments: tuple[str, ...], said: str) -> None:
    ended = CliRunner().invoke(command, arguments)
    assert (ended.exit_code, len(ended.stderr.splitlines())) == (3, 1)
    assert said in ended.stderr


def test_a_session_ends_at_its_age_or_at_a_time_of_day() -> None:
    noon = 12 * HOUR_NS
    assert roll_due_ns(noon, roll_hours=Decimal("1.5"), roll_at="") == noon + HOUR_NS * 3 // 2
    assert roll_due_ns(noon, roll_hours=Decimal(1), roll_at="12:30") == noon + HOUR_NS // 2
    assert roll_due_ns(noon, roll_hours=Decimal(1), roll_at="12:00") == noon + 24 * HOUR_NS
