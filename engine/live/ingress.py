"""What has arrived and was not yet taken: one bounded queue for the world, one of its own for commands.

Putting never waits, so a reader task always drains its socket and answers its pings; a full queue is said, never silent.
"""

from collections import deque

import msgspec
import trio

from engine.bodies import CommandName
from engine.sequencer import Arrival

FRAMES_MAX = 100_000  # over six seconds of 15,000 messages a second: an engine that far behind must resynchronise
COMMANDS_MAX = 64  # people and scripts; more at once is a mistake of theirs


class FrameBatch(msgspec.Struct, gc=False):
    """Messages of one read, in order. Their cause is known when they are taken: the LINK record of their connection."""

    source: str
    market: bool
    recv_ns: int
    payloads: list[bytes]


class LinkDown(msgspec.Struct):
    """The end of a link, of which there is exactly one for each connect request."""

    source: str
    request_seq: int
    reason: str


class Command(msgspec.Struct):
    """A COMMAND on its way, and where its answer goes."""

    name: CommandName
    by: str
    reason: str
    taken: trio.Event
    seq: int = -1
    mode: str = ""
    reasons: tuple[str, ...] = ()


class Ingress:
    def __init__(self) -> None:
        self._items: deque[Arrival | FrameBatch | LinkDown] = deque()
        self._commands: deque[Command] = deque()
        self._waker = trio.Event()
        self._closed = False
        self.frames = 0  # waiting now
        self.frames_peak = 0

    def put_frames(self, frames: FrameBatch) -> bool:
        """False where the queue is full: the caller closes its link."""
        waiting = self.frames + len(frames.payloads)
        if waiting > FRAMES_MAX:
            return False
        self.frames = waiting
        self.frames_peak = max(self.frames_peak, waiting)
        self._items.append(frames)
        self._waker.set()
        return True

    def put(self, item: Arrival | LinkDown) -> None:
        """Ends of requests and turns of links: as many as the core asked for, so they need no bound of their own."""
        self._items.append(item)
        self._waker.set()

    def put_command(self, command: Command) -> bool:
        if self._closed or len(self._commands) >= COMMANDS_MAX:
            return False
        self._commands.append(command)
        self._waker.set()
        return True

    def close(self) -> None:
        """Nothing is taken any more: who still waits with a command learns that it was not."""
        self._closed = True
        while (command := self.take_command()) is not None:
            command.taken.set()

    def take_command(self) -> Command | None:
        return self._commands.popleft() if self._commands else None

    def take(self) -> Arrival | FrameBatch | LinkDown | None:
        if not self._items:
            return None
        item = self._items.popleft()
        if type(item) is FrameBatch:
            self.frames -= len(item.payloads)
        return item

    def rest(self) -> list[FrameBatch]:
        """The messages that nobody took, once nobody will; the queue is empty then."""
        left = [item for item in self._items if type(item) is FrameBatch]
        self._items.clear()
        self.frames = 0
        return left

    def wake(self) -> None:
        self._waker.set()

    @property
    def empty(self) -> bool:
        return not self._items and not self._commands

    async def wait(self, seconds: float) -> None:
        """Until something is put, or the time is over."""
        self._waker = trio.Event()
        if self.empty:
            with trio.move_on_after(seconds):
                await self._waker.wait()
