"""The log of a session's outputs: lines are written between steps, after requests were sent, and never in a step.

The input loop only appends to a bounded queue. This task makes lines while no request waits for its record and no
message waits, and a thread writes them: a terminal that is stopped delays no order.
"""

from collections import deque
from collections.abc import Callable, Sequence
from time import perf_counter_ns
from typing import Protocol

import trio

from engine.live.ingress import FrameBatch
from engine.session_context import SessionContext
from engine.state.session_state import State
from engine.step_context import Output
from journal.record import Kind, Record

WAITING_MAX = 10_000  # batches of outputs; more are dropped and counted
POLL_SECONDS = 0.1
BUSY_SECONDS_MAX = 1.0  # after which a slice is written although messages or requests wait
SLICE_NS = 250_000  # real time for making lines, four or five, after which the other tasks run


class SessionLines(Protocol):
    """Makes the lines of one session, in the order of the records."""

    feed_seconds: float  # real time between two reports on the streams; 0: none
    sample_every: int  # one of so many market messages of a link is logged; 0: none

    def write(self, outputs: Sequence[Output]) -> None:
        """Make the lines of outputs of one or several steps."""
        ...

    def write_message(self, record: Record) -> None:
        """Make the line of a sampled message."""
        ...

    def write_dropped(self, count: int) -> None:
        """Make the line of batches that were dropped because the log was behind."""
        ...

    def feed_reports(self) -> list[Callable[[], None]]:
        """Measure streams and trading now. Return a function for each line, which makes it."""
        ...

    def pop_text(self) -> str:
        """Remove and return the lines made so far."""
        ...


# (session, its state now, newest times from a decision to the sending of its order)
LinesMaker = Callable[[SessionContext, Callable[[], State], Sequence[int]], SessionLines]


class LogTask:
    """Queues what a session logs, and writes it when there is time."""

    def __init__(self, lines: SessionLines, *, is_busy: Callable[[], bool], print_text: Callable[[str], None]) -> None:
        """Make the task.

        Args:
            lines: Makes the lines.
            is_busy: True while an order or a message waits.
            print_text: Prints lines; called in a thread, except at the end.
        """
        self.sample_every = lines.sample_every
        self._lines = lines
        self._is_busy = is_busy
        self._print_text = print_text
        self._waiting: deque[Sequence[Output] | Callable[[], None]] = deque()
        self._dropped = 0  # batches since the last line about them
        self.dropped = 0  # batches since the start
        self._messages: dict[str, int] = {}  # link -> market messages since its last sample

    def put(self, outputs: Sequence[Output]) -> None:
        """Queue the outputs of steps. Drop them if the log is too far behind."""
        if len(self._waiting) < WAITING_MAX:
            self._waiting.append(outputs)
        else:
            self._dropped += 1
            self.dropped += 1

    @property
    def waiting(self) -> int:
        """Batches of outputs that wait for their lines."""
        return len(self._waiting)

    def put_frames(self, frames: FrameBatch, seq: int, time_ns: int) -> None:
        """Count the messages of a socket read. Queue the newest, which has this seq, if a sample is due."""
        count = self._messages.get(frames.source, 0) + len(frames.payloads)
        if frames.is_market and count >= self.sample_every and len(self._waiting) < WAITING_MAX:
            count = 0
            payload = frames.payloads[-1]
            record = Record(seq, time_ns, Kind.FEED, frames.source, recv_ns=frames.recv_ns, payload=payload)
            self._waiting.append(lambda: self._lines.write_message(record))
        self._messages[frames.source] = count

    async def run(self) -> None:
        """Write lines until cancelled."""
        written_s = reported_s = trio.current_time()
        while True:
            await trio.sleep(POLL_SECONDS)
            now_s = trio.current_time()
            if self._lines.feed_seconds and now_s - reported_s >= self._lines.feed_seconds:
                reported_s = now_s
                self._waiting.extend(self._lines.feed_reports())
            while self._waiting and (not self._is_busy() or now_s - written_s >= BUSY_SECONDS_MAX):
                self._make_slice()
                await self._print()
                written_s = now_s
            if not self._waiting:
                written_s = now_s

    def finish(self) -> None:
        """Write everything that waits. Called when nothing trades any more."""
        while self._waiting or self._dropped:
            self._make_slice()
        if text := self._lines.pop_text():
            self._print_text(text)

    def _make_slice(self) -> None:
        end_ns = perf_counter_ns() + SLICE_NS
        while self._waiting and perf_counter_ns() < end_ns:
            item = self._waiting.popleft()
            if callable(item):
                item()
            else:
                self._lines.write(item)
        if self._dropped and len(self._waiting) < WAITING_MAX:
            self._lines.write_dropped(self._dropped)
            self._dropped = 0

    async def _print(self) -> None:
        if text := self._lines.pop_text():
            await trio.to_thread.run_sync(self._print_text, text, abandon_on_cancel=True)
