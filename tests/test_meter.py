"""The meter of a live session: what it writes, what ends it, who reads it, and that no command takes it for a record."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
import structlog
import trio
import trio.lowlevel
from calm_venue import CalmVenue
from checked_sessions import CheckedSessions
from click.testing import CliRunner
from structlog.testing import capture_logs
from warm_venue import venue_process

from analysis.metrics.definitions import BUCKETS_S
from analysis.metrics.meter_reader import last_line, line_at
from analysis.metrics.reader import MetricsReader
from engine.bodies import CommandName, RequestBody
from engine.live import meter as live_meter
from engine.live.clock import SessionClock
from engine.live.gateway import Gateway
from engine.live.ingress import Ingress
from engine.live.link_tasks import LinkTasks
from engine.live.meter import DurationCounter, append_line, write_line
from engine.live.session import LiveSession
from engine.market.views import Stream
from engine.meter_line import BOUNDS_NS, METER_FILE, OLDER_METER_FILE, MeterLine, SendDurations
from engine.record_codec import text_of
from engine.requests import Purpose, Transport, Unsigned
from engine.session_record import SECOND_NS
from engine.venues.binance_common.signer import ApiKey
from journal.archive import archive
from journal.archive_location import open_location
from journal.bundle import unpack
from journal.record import Kind, Record
from journal.recover import recover
from journal.verify import verify
from journal.writer import JournalWriter
from replay.replay import replay_session
from verbatim.cli import main
from verbatim.cockpit.at_cursor import health
from verbatim.cockpit.session_view import SessionView
from verbatim.demo import DemoOptions, demo_session
from verbatim.runner import run_session_config
from verbatim.warmup import warm

BTC, ETH = "binance_spot:BTCUSDT", "binance_spot:ETHUSDT"
Lines = list[MeterLine]


# ---- the live session


@pytest.fixture
async def venue() -> AsyncIterator[dict[str, Any]]:
    warm()
    async with venue_process({"symbols": ["BTCUSDT"], "weight_max": 1_000_000, "orders_10s_max": 100_000}) as ready:
        yield ready


def meter_of(folder: Path, name: str = METER_FILE) -> Lines:
    path = folder / name
    return [
        msgspec.json.decode(line, type=MeterLine) for line in (path.read_bytes() if path.exists() else b"").splitlines()
    ]


async def test_a_session_writes_its_meter_and_continues_without_it(
    venue: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some lines a folder takes the file's name: the meter ends with one warning, and orders are sent as before."""
    monkeypatch.setattr(live_meter, "METER_SECONDS", 0.05)

    async def drive(session: LiveSession) -> None:
        path, sent = session.plan.folder / METER_FILE, session.status
        with trio.fail_after(60):
            while sent().orders < 2 or len(lines := meter_of(path.parent)) < 4 or not lines[-1].sends:
                await trio.sleep(0.01)
            path.rename(path.with_name("kept"))
            path.mkdir()
            orders = sent().orders
            while not logs or sent().orders == orders:
                await trio.sleep(0.01)
        await session.command(CommandName.STOP, by="test")

    structlog.reset_defaults()  # another test may have set a level
    with capture_logs() as logs:
        wanted = demo_session(DemoOptions(journals=tmp_path, strategy="tests/strategies/restless.py"), venue)
        summary = await run_session_config(wanted, drive=drive)
    folder = summary.folder
    [said] = [line for line in logs if "meter" in line["event"]]
    assert (said["log_level"], "Is a directory" in said["reason"]) == ("warning", True)
    assert summary.clean
    assert verify(folder).ok
    assert replay_session(folder).identical
    assert last_line(folder) is None

    lines = meter_of(folder, "kept")
    seqs, syncs = [line.seq for line in lines], [sum(line.sync.counts) for line in lines]
    assert (seqs, syncs) == (sorted(seqs), sorted(syncs))
    assert sum(line.sync.newest for line in lines) == syncs[-1] > 0
    assert all(line.sync.p50_ns <= line.sync.p99_ns <= line.sync.max_ns for line in lines)
    assert (lines[-1].sends[0].purpose, lines[-1].sends[0].transport) == ("place", "rest")
    assert max(line.waiting_peak for line in lines) > 0
    assert max(line.lag_peak_ns for line in lines) >= max(line.lag_ns for line in lines) > 0
    assert min(line.resident_bytes for line in lines) > 10_000_000
    assert lines[-1].cpu_ns >= lines[0].cpu_ns > 0
    assert (lines[-1].log_dropped, lines[-1].free_bytes > 0) == (0, True)
    assert (folder / "kept").stat().st_mode & 0o777 == 0o600


async def test_the_time_to_the_wire_is_measured_over_the_websocket_too(begin: CheckedSessions, tmp_path: Path) -> None:
    """Two orders over the account's websocket; the second finds it closed, so no byte of it left."""
    session = begin(CalmVenue(), "once")
    context, clock, ingress = session.sequencer.kernel.session, SessionClock.wall(), Ingress()
    sent: list[bytes] = []

    class Peer:
        """The far end of the only link."""

        def websocket(self, source: str) -> "Peer | None":
            return None if sent else self

        async def send(self, frame: bytes) -> None:
            await trio.lowlevel.checkpoint()
            sent.append(frame)

    unsigned = Unsigned(Transport.WS_API, "order.place", "", (("symbol", "BTCUSDT"),), signed=True)
    request = RequestBody(Purpose.PLACE, "binance_spot", True, 0, 2**62, unsigned, source="binance_spot.private.0")
    writer = JournalWriter.create(tmp_path / "own")
    began_ns = clock.now_ns()
    async with trio.open_nursery() as nursery:
        gateway = Gateway(
            venues=dict(context.venues), senders={}, clock=clock, ingress=ingress,
            keys={request.venue: ApiKey.hmac("key", "secret")}, trading=(request.venue,),
            links=cast("LinkTasks", Peer()), nursery=nursery,
        )  # fmt: skip
        gateway.attach(writer)
        for seq in range(2):
            record = Record(seq, began_ns - 7_000_000, Kind.REQUEST, "gateway", body=text_of(request))
            writer.append_step([record], urgent=True)
            await trio.to_thread.run_sync(writer.wait_durable, seq, 30)
            gateway.perform(record, request)
            await trio.testing.wait_all_tasks_blocked()
    writer.close()
    assert len(sent) == 1
    [measured] = gateway.sends
    assert (measured.purpose, measured.transport) == (Purpose.PLACE, Transport.WS_API)
    assert 7_000_000 <= measured.after_ns <= clock.now_ns() - began_ns + 7_000_000
    assert not ingress.is_empty, "the second request ended as not sent"


# ---- the file


def line(seq: int, **changed: Any) -> MeterLine:
    given = dict.fromkeys(MeterLine.__struct_fields__, 0) | {"version": 1, "seq": seq, "sends": ()}
    return MeterLine(**(given | {"sync": DurationCounter().read()} | changed))


def append(folder: Path, *seqs: int) -> None:
    for seq in seqs:
        append_line(folder, msgspec.json.encode(line(seq)))


def test_the_file_is_bounded_and_read_at_any_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_meter, "METER_BYTES_MAX", 4_096)
    assert last_line(tmp_path) is line_at(tmp_path, 5) is None
    append(tmp_path, *range(10, 400, 10))
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes.keys() == {METER_FILE, OLDER_METER_FILE}
    assert max(sizes.values()) <= 4_096
    oldest = json.loads((tmp_path / OLDER_METER_FILE).read_bytes().splitlines()[0])["seq"]
    assert oldest > 10, "the oldest lines are gone"
    assert [(seq, getattr(line_at(tmp_path, seq), "seq", None)) for seq in (oldest - 1, oldest, 385, 10**9)] == [
        (oldest - 1, None), (oldest, oldest), (385, 380), (10**9, 390),
    ]  # fmt: skip
    boundary = json.loads((tmp_path / METER_FILE).read_bytes().splitlines()[0])["seq"]
    assert getattr(line_at(tmp_path, boundary - 1), "seq", None) == boundary - 10, "of the older file"


def test_the_last_of_a_disk_is_the_journals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_line(tmp_path, line(1))
    monkeypatch.setattr(live_meter, "METER_FREE_BYTES_MIN", 2**62)
    with pytest.raises(OSError, match="MiB are left, which the journal needs"):
        write_line(tmp_path, line(2))
    assert [each.seq for each in meter_of(tmp_path)] == [1]
    assert meter_of(tmp_path)[0].free_bytes > 0


def test_a_torn_or_damaged_line_counts_as_missing(tmp_path: Path) -> None:
    append(tmp_path, 1, 2)
    whole = (tmp_path / METER_FILE).read_bytes()
    short = msgspec.json.encode(line(3, sync=msgspec.structs.replace(line(0).sync, counts=(1, 2))))
    for damage in (b'{"version":1,"seq":3', b"\xff\xfe\x00\n\n", b'{"seq":"x"}\n', b"[]\n", short + b"\n"):
        (tmp_path / METER_FILE).write_bytes(whole + damage)
        assert last_line(tmp_path) == line_at(tmp_path, 9) == line(2), damage
    (tmp_path / METER_FILE).write_bytes(b"")
    assert last_line(tmp_path) is None


def test_percentiles_are_of_the_newest_and_counts_of_all() -> None:
    counter = DurationCounter()
    for duration_ns in range(1_000_000, 101_000_000, 1_000_000):
        counter.add(duration_ns)
    first = counter.read()
    assert (first.newest, first.p50_ns, first.p99_ns, first.max_ns) == (100, 50_000_000, 99_000_000, 100_000_000)
    counter.add(20 * SECOND_NS)
    second = counter.read()
    assert (second.newest, second.p50_ns, second.p99_ns) == (1, 20 * SECOND_NS, 20 * SECOND_NS)
    assert (sum(second.counts), second.counts[-1]) == (101, 1), "above the last bound"
    assert second.sum_ns == first.sum_ns + 20 * SECOND_NS
    assert counter.read().newest == 0
    assert len(second.counts) == len(BOUNDS_NS) + 1


def test_the_newest_line_becomes_metrics(begin: CheckedSessions) -> None:
    session = begin(CalmVenue(), "once").run(1)
    session.stop()
    counter = DurationCounter()
    for duration_ns in (200_000, 3_000_000, 20_000_000):
        counter.add(duration_ns)
    times = counter.read()
    place = SendDurations(purpose="place", transport="ws_api", **msgspec.structs.asdict(times))
    append(session.folder, 1)
    append_line(
        session.folder,
        msgspec.json.encode(
            line(2, sync=times, sends=(place,), waiting=3, waiting_peak=9, lag_peak_ns=8, log_dropped=4)
        ),
    )
    reader = MetricsReader(session.folder)
    reader.catch_up()
    found = {family.definition.name: family for family in reader.values().families()}
    reader.close()
    assert [found[name].numbers[()] for name in ("queued_messages", "queued_messages_peak", "lag_peak_seconds")] == [
        3, 9, 8e-9,
    ]  # fmt: skip
    assert found["log_dropped_batches_total"].numbers[()] == 4
    for name, labels in (("sync_seconds", ()), ("request_wire_seconds", ("place", "ws_api"))):
        histogram = found[name].histograms[labels]
        below = dict(zip(BUCKETS_S, histogram.counts, strict=False))
        assert (below[0.00025], below[0.005], below[0.025], sum(histogram.counts)) == (1, 1, 1, 3)
        assert histogram.sum_s == 0.0232
    view = SessionView(session.folder)
    view.load()
    shown = health(view, session.records[-1].seq)["meter"]
    assert (shown["waiting"], shown["lag"], shown["log_dropped"]) == ([3, 9], [0, 8], 4)
    assert shown["sends"] == [["place", "ws_api", 3, 3, 3_000_000, 20_000_000]]
    assert health(view, 1)["meter"]["sends"] == []
    assert health(view, 0)["meter"] is None


def invoke(*words: object) -> str:
    ended = CliRunner().invoke(main, list(map(str, words)))
    assert ended.exit_code == 0, ended.output
    return ended.output


def test_no_command_takes_the_meter_for_a_record(begin: CheckedSessions, tmp_path: Path) -> None:
    """Recover, verify, merge, archive, fetch and bundle leave it out; prune counts and removes it."""
    journals = tmp_path / "journals"
    begin.folder = journals
    session = begin(CalmVenue(), "once").run(1)
    append(session.folder, 1, 2)
    session.kill()
    folder = session.folder.rename(journals / "20240101T000000Z-aaaaaaaa")
    begin.begun.clear()
    recover(folder)
    assert (invoke("verify", folder), verify(folder).ok) != ("", False)
    invoke("merge", folder)
    assert len(meter_of(folder)) == 2
    archived = archive(folder, open_location(str(tmp_path / "archive")))
    assert METER_FILE not in {file.name for file in archived.manifest.files}
    fetched = tmp_path / "fetched"
    invoke("fetch", tmp_path / "archive" / folder.name, "--into", fetched)
    assert (last_line(fetched), verify(fetched).ok) == (None, True)
    invoke("bundle", folder, tmp_path / "one.vbundle")
    unpack(tmp_path / "one.vbundle", tmp_path / "unpacked")
    assert last_line(tmp_path / "unpacked") is None
    newer = begin(CalmVenue(), "once")
    newer.stop()
    newer.folder.rename(journals / "20240102T000000Z-bbbbbbbb")
    begin.begun.clear()
    listed = json.loads(invoke("prune", "--keep-gib", 0, "--yes", "--json", "--journals", journals))
    assert listed["bytes_before"] > listed["bytes_after"]
    assert [path.name for path in journals.iterdir()] == ["20240102T000000Z-bbbbbbbb"]


# ---- the streams of instruments


def ages(reader: MetricsReader, what: str = "silence_seconds") -> dict[tuple[str, ...], float]:
    found = next(each for each in reader.values().families() if each.definition.name == f"instrument_stream_{what}")
    return dict(found.numbers)


def test_a_silent_stream_of_one_instrument_shows(begin: CheckedSessions) -> None:
    """Trades of BTCUSDT stop while their connection lives. A reader from the start and a late one agree."""
    session = begin(CalmVenue(symbols=("BTCUSDT", "ETHUSDT")), "once").run(2)
    early = reader_of(session.folder, session.records[-1].seq, session.writer)
    session.venue.fault(action="stop_stream", stream="btcusdt@trade", ms=60_000)
    session.run(20)
    late = reader_of(session.folder, session.records[-1].seq, session.writer)
    session.stop()
    early.follow()
    late.follow()
    found, market = ages(early), session.state.market
    assert found == ages(late)
    assert found[BTC, "trade"] > 15
    assert max(found[key] for key in found if key != (BTC, "trade")) < 5
    seen = {
        (name, stream.name.lower()): market.last_seen_ns(index, stream) / 1e9
        for index, name in enumerate((BTC, ETH))
        for stream in (Stream.QUOTE, Stream.TRADE, Stream.BOOK)
    }
    assert ages(early, "last_message_timestamp_seconds") == seen


def reader_of(folder: Path, seq: int, writer: JournalWriter) -> MetricsReader:
    writer.wait_durable(seq, 60)
    reader = MetricsReader(folder, has_streams=True)
    reader.catch_up()
    return reader
