"""Steps in the task that reads a socket: the real loop, gateway, journal and sender, on a session with a quiet market.

An error in such a step ends the session as one in the loop's own task does, and what waits behind a disk that stalls
is as old as it is.
"""

import errno
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from by_hand import MARKET, ByHand
from msgspec.structs import replace
from test_direct_sends import SECONDS_MAX, Handler, Rig, rig
from test_journal_failing_disk import Call, FailingDisk, fail
from transport_server import Peer, answer

from engine.bodies import LinkEvent
from engine.errors import CoreError
from engine.live.clock import SessionClock, wall_ns
from engine.live.decision_watch import DecisionWatch
from engine.live.ingress import FrameBatch
from engine.live.input_loop import InputLoop
from engine.live.outputs import OutputDispatcher
from engine.model import Instrument
from engine.record_codec import read_link
from engine.session_record import SECOND_NS, new_engine_settings
from engine.step_context import Output
from engine.venues.binance_spot import BinanceSpot
from engine.venues.binance_spot.account import SpotAccount
from engine.venues.signing import HttpMessage
from journal.disk import RealDisk
from journal.record import Kind, Record

SOURCE = """
from dataclasses import dataclass
from decimal import Decimal

from verbatim import OnQuote, Place, Side


class Hand:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = OnQuote()

    @dataclass
    class Parameters:
        pass

    @dataclass
    class State:
        pass

    @staticmethod
    def decide(view, state, parameters):
        bid = view.quote("BTCUSDT").bid
        if bid in (Decimal("97.00"), Decimal("98.00")):
            yield Place("BTCUSDT", Side.BUY, bid - 96, Decimal(90))
"""
NO_WORDS = Decimal(1)  # the quantity of an order that breaks the core


class StumblingAccount(SpotAccount):
    """An account whose requests cannot be made for one quantity."""

    def place(self, *order: Any) -> Any:
        if NO_WORDS in order:
            raise RuntimeError("no words for an order")
        return super().place(*order)


class Stumbling(BinanceSpot):
    """The dialect of the session."""

    def __init__(self, instruments: Sequence[Instrument], recv_window_ms: int = 5000) -> None:
        super().__init__(instruments, recv_window_ms)
        self.account = StumblingAccount(recv_window_ms)


class Stalling(RealDisk):
    """A disk whose next sync takes `seconds`."""

    seconds = 0.0

    def sync(self, name: str) -> None:
        seconds, self.seconds = self.seconds, 0.0
        time.sleep(seconds)
        super().sync(name)


class Reading:
    """A session whose loop waits. `read` is what the reader of the market's socket does."""

    def __init__(self, hand: ByHand, used: Rig, loop: InputLoop) -> None:
        self.hand, self.rig, self.loop = hand, used, loop
        self.ended: list[Exception | None] = []
        self.began = len(hand.records)
        self._update = 10_000

    def read(self, *bids: str, age_s: float = 0) -> None:
        """Put quotes with these best bids, read at once from the socket."""
        payloads = []
        for bid in bids:
            self._update += 1
            data = {"u": self._update, "s": "BTCUSDT", "b": bid, "B": "1.0", "a": "101.00", "A": "1.0"}
            payloads.append(json.dumps({"stream": "btcusdt@bookTicker", "data": data}).encode())
        recv_ns = wall_ns() - int(age_s * SECOND_NS)
        assert self.rig.ingress.put_frames(FrameBatch(MARKET, is_market=True, recv_ns=recv_ns, payloads=payloads))

    async def until(self, holds: Callable[[], bool]) -> None:
        with trio.fail_after(SECONDS_MAX):
            while not holds():
                await trio.sleep(0.001)

    def new(self) -> list[Record]:
        return self.hand.records[self.began :]

    def records(self, kind: Kind) -> list[Record]:
        """Return the records of a kind that the loop appended."""
        return [record for record in self.new() if record.kind is kind]


async def answer_all(peer: Peer) -> None:
    while head := await peer.head():
        sizes = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        await peer.receive(int(sizes[0].partition(b":")[2]) if sizes else 0)
        await peer.send(answer(b"{}"))


@asynccontextmanager
async def reading(
    folder: Path,
    handler: Handler = answer_all,
    log: Callable[[Sequence[Output]], None] = lambda _outputs: None,
    late_after_ns: int = 2 * SECOND_NS,
    **options: Any,
) -> AsyncIterator[Reading]:
    hand = ByHand(
        dialect="test_reader_steps:Stumbling",
        source=SOURCE,
        engine=replace(new_engine_settings(), late_after_ns=late_after_ns),
    )
    clock = SessionClock(session_origin_ns=hand.now_ns, monotonic_origin_ns=time.monotonic_ns())
    async with rig(folder, handler, clock=clock, **options) as used, trio.open_nursery() as nursery:
        writer, sequencer = used.writer, hand.sequencer

        def append(records: Sequence[Record], *, urgent: bool) -> None:
            writer.append_step(records, urgent=urgent)
            hand.records.extend(records)

        writer.append_step(hand.records, urgent=True)
        while not writer.commit():
            await trio.sleep(0.001)
        await used.sender.send(HttpMessage("GET", "/", ()), timeout_s=SECONDS_MAX, clock=clock)
        sequencer._append = append
        outputs = OutputDispatcher(used.gateway, hand.now_ns, log)
        watch = DecisionWatch(hand.body.engine, 1)
        sequencer.kernel.session.runner.guard = watch
        loop = InputLoop(sequencer, used.ingress, clock, writer, outputs, watch=watch)
        session = Reading(hand, used, loop)
        nursery.start_soon(loop.run, session.ended.append)
        await trio.testing.wait_all_tasks_blocked()
        yield session
        nursery.cancel_scope.cancel()


async def test_a_quote_is_stepped_and_its_order_sent_before_any_other_task_runs(tmp_path: Path) -> None:
    async with reading(tmp_path / "s") as session:
        session.read("98.00")
        [request] = session.records(Kind.REQUEST)
        assert session.rig.writer.durable_seq == request.seq
        assert not session.rig.gateway.is_holding
        await session.until(lambda: bool(session.records(Kind.BROKER)))
        assert [record.cause for record in session.records(Kind.BROKER)] == [request.seq]


async def test_a_core_that_fails_in_the_task_of_a_reader_ends_the_session(tmp_path: Path) -> None:
    async with reading(tmp_path / "s") as session:
        session.read("97.00", "98.00")
        session.read("98.00")
        await session.until(lambda: bool(session.ended))
        [error] = session.ended
        assert isinstance(error, CoreError)
        assert "broke the core: RuntimeError: no words for an order" in str(error)
        assert [str(record.kind) for record in session.new()] == ["FEED", "NOTE", "FACT", "FACT"]
        assert not session.rig.gateway.sends


@pytest.mark.parametrize("verb", ["write", "sync"])
async def test_a_disk_that_fails_in_the_task_of_a_reader_ends_the_session(tmp_path: Path, verb: str) -> None:
    disk = FailingDisk.create_folder(tmp_path / "s")
    async with reading(tmp_path / "s", disk=disk) as session:
        fail(disk, Call(verb, "000000000000.open", disk.calls_of(verb)), (errno.ENOSPC, True, True))
        session.read("98.00")
        assert isinstance(session.rig.writer.failed, OSError)
        assert session.rig.gateway.is_holding
        session.read("98.00")
        await session.until(lambda: bool(session.ended))
        assert session.ended == [None]
        assert not session.rig.gateway.sends
        assert len(session.records(Kind.REQUEST)) == 1


async def test_an_error_of_our_own_in_the_task_of_a_reader_is_the_loop_s(tmp_path: Path) -> None:
    def log(_outputs: Sequence[Output]) -> None:
        raise ZeroDivisionError("the log fails")

    reads: list[int] = []
    with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        async with reading(tmp_path / "s", log=log) as session:
            for _ in range(2):
                session.read("98.00")
                reads.append(len(session.new()))
            await trio.sleep_forever()
    assert reads == [4, 4], "the reader goes on, and nothing is stepped after the error"
    assert not session.rig.gateway.sends


async def test_what_waits_behind_a_disk_that_stalls_is_as_old_as_it_is(tmp_path: Path) -> None:
    disk = Stalling.create_folder(tmp_path / "s")
    async with reading(tmp_path / "s", disk=disk, late_after_ns=SECOND_NS // 4) as session:
        disk.seconds = 0.5
        session.read("98.00")
        session.read("99.00")  # read after the stall, but it may have arrived before
        await session.until(lambda: bool(session.records(Kind.LINK)))
        late = read_link(session.records(Kind.LINK)[0].body or "")
        assert late.state is LinkEvent.LATE
        assert late.age_ns > SECOND_NS // 2
        assert not disk.seconds, "the sync stalled"
        await session.until(lambda: len(session.records(Kind.LINK)) > 1)
        assert read_link(session.records(Kind.LINK)[1].body or "").state is LinkEvent.CAUGHT_UP
