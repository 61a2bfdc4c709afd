"""`verbatim.follow`: the records of a running session, each once and in order, until it ends."""

import threading
from pathlib import Path

import pytest
import trio
import trio.lowlevel

import verbatim
from journal.errors import NotAJournalError
from journal.record import Kind
from verbatim.testing import VirtualSession, VirtualVenue, strategy_settings

QUOTER = Path(__file__).resolve().parent.parent / "examples" / "quoter.py"


def quoting(folder: Path) -> VirtualSession:
    quoter = strategy_settings(QUOTER, "Quoter", name="quoter")
    return VirtualSession(VirtualVenue(), folder / "20240808T235410Z-aaaaaaaa", strategies=[quoter])


def written(session: VirtualSession) -> int:
    """Wait until all records so far are in files, and return the last seq."""
    session.writer.wait_durable(session.records[-1].seq, 60)
    return session.records[-1].seq


def test_each_record_comes_once_until_the_session_closes(tmp_path: Path) -> None:
    session = quoting(tmp_path).run(2)
    before = written(session)
    with verbatim.follow(session.folder, durable=False) as stream, verbatim.follow(session.folder, start=0) as whole:
        session.run(3)
        now = written(session)
        assert [next(stream).seq for _ in range(before, now)] == list(range(before + 1, now + 1))
        session.stop()
        late = list(stream)
        assert [record.seq for record in late] == list(range(now + 1, session.records[-1].seq + 1))
        assert (stream.ending, next(stream, None)) == ("closed", None)
        assert list(whole) == session.records
        assert whole.ending == "closed"


def test_a_stream_selects_and_knows_the_state(tmp_path: Path) -> None:
    session = quoting(tmp_path).run(2)
    written(session)
    fills = verbatim.follow(session.folder, kinds=["fact"], sources=["engine"])
    assert fills.state().seq == session.records[-1].seq  # before the first record
    session.run(8).stop()
    positions = []
    for record in fills:
        assert (record.kind, record.source) == (Kind.FACT, "engine")
        state = fills.state()
        assert state.seq == record.seq
        positions += state.positions
    assert fills.state().as_json() == verbatim.open(session.folder).state().as_json()
    assert len({position["quantity"] for position in positions}) > 2


def test_a_durable_stream_waits_for_the_proof(tmp_path: Path) -> None:
    """The last frame is proved by a later one, or by the end: until then its records are withheld."""
    session = quoting(tmp_path).run(1)
    last = written(session)
    held = verbatim.follow(session.folder, start=0, timeout_s=0.01)
    durable = [record.seq for record in held]
    assert held.ending == "timeout"
    assert durable == list(range(len(durable)))
    assert 0 < len(durable) <= last
    early = verbatim.follow(session.folder, start=0, timeout_s=0.01, durable=False)
    assert [record.seq for record in early] == list(range(last + 1))
    waiting = verbatim.follow(session.folder, start=0)
    assert [next(waiting).seq for _ in durable] == durable
    session.kill()
    assert [record.seq for record in waiting] == list(range(len(durable), session.records[-1].seq + 1))
    assert waiting.ending == "stopped"


async def test_a_stream_in_trio_lets_other_tasks_run(tmp_path: Path) -> None:
    session = quoting(tmp_path).run(1)
    written(session)
    stream = verbatim.follow(session.folder, start=0)
    seen: list[int] = []

    async def read() -> None:
        async for record in stream:
            seen.append(record.seq)  # noqa: PERF401 - the other task reads the list meanwhile

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            while not seen:
                await trio.lowlevel.checkpoint()
            assert stream.state().seq >= seen[-1]
            session.run(1).stop()
    assert seen == [record.seq for record in session.records]
    assert stream.state().seq == seen[-1]


def test_a_reader_in_another_thread_ends_when_it_is_closed(tmp_path: Path) -> None:
    session = quoting(tmp_path).run(1)
    written(session)
    stream = verbatim.follow("aaaaaaaa", journals=tmp_path)
    reader = threading.Thread(target=lambda: list(stream))
    reader.start()
    stream.close()
    reader.join(30)
    assert not reader.is_alive()
    assert stream.ending == "left"
    session.kill()


def test_a_folder_without_a_journal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotAJournalError):
        verbatim.RecordStream(tmp_path)
