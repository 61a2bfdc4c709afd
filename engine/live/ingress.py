"""The ingress queue: arrivals that the sequencer has not processed, in a bounded queue, and commands in another.

Putting never waits, so a reader task always drains its socket and answers its pings. A full queue is reported, never
silent.
"""

from collections import deque
from collections.abc import Callable, Collection

import msgspec
import trio

from engine.bodies import CommandName
from engine.sequencer import Arrival

FRAMES_MAX = 100_000  # over six seconds of 15,000 messages a second: an engine that far behind must resynchronise
COMMANDS_MAX = 64  # from people and scripts, who would need more only by mistake


class FrameBatch(msgspec.Struct, gc=False):
    """Messages of one socket read, in order. The input loop adds their cause: the LINK record of their connection."""

    source: str
    is_market: bool
    recv_ns: int
    payloads: list[bytes]


class LinkDown(msgspec.Struct):
    """The end of a link, exactly one for each connect request."""

    source: str
    request_seq: int
    reason: str


class Command(msgspec.Struct):
    """A command on its way, and the place of its answer."""

    name: CommandName
    by: str
    reason: str
    done: trio.Event
    seq: int = -1  # of its record; negative if the session ended first
    mode: str = ""
    reasons: tuple[str, ...] = ()
    about: str = ""  # the asset, instrument or strategy that it concerns
    notes: tuple[str, ...] = ()  # what the session remarked on it


class Ingress:
    """Everything that arrives, until the sequencer processes it."""

    def __init__(self) -> None:
        self.waiting = 0  # messages in the queue
        self._recent_peak = self._earlier_peak = 0  # of `waiting`, since `pop_recent_peak` and before
        self._items: deque[Arrival | FrameBatch | LinkDown] = deque()
        self._commands: deque[Command] = deque()
        self._waker = trio.Event()
        self._accept_now: Callable[[], bool] | None = None  # set while its caller waits for an item
        self._closed = False

    @property
    def is_empty(self) -> bool:
        """Return True if nothing waits."""
        return not self._items and not self._commands

    @property
    def waiting_peak(self) -> int:
        """The highest number of messages in the queue since the start."""
        return max(self._recent_peak, self._earlier_peak)

    def pop_recent_peak(self) -> int:
        """Return the highest number of messages in the queue since the last call, and begin again."""
        recent, self._earlier_peak = self._recent_peak, self.waiting_peak
        self._recent_peak = self.waiting
        return recent

    def put_frames(self, frames: FrameBatch) -> bool:
        """Queue messages. Return False if the queue is full; the caller then closes its link."""
        waiting = self.waiting + len(frames.payloads)
        if waiting > FRAMES_MAX:
            return False
        self.waiting = waiting
        self._recent_peak = max(self._recent_peak, waiting)
        self._items.append(frames)
        if self._accept_now is None or not self._accept_now():
            self.wake()
        return True

    def put_back(self, frames: FrameBatch) -> None:
        """Return messages that were not processed to the head of the queue."""
        self.waiting += len(frames.payloads)
        self._items.appendleft(frames)

    def put(self, item: Arrival | LinkDown) -> None:
        """Queue an answer, or a link's up or down. Each belongs to a request of the core, so they need no bound."""
        self._items.append(item)
        self.wake()

    def put_command(self, command: Command) -> bool:
        """Queue a command. Return False if the session is ending or too many commands wait."""
        if self._closed or len(self._commands) >= COMMANDS_MAX:
            return False
        self._commands.append(command)
        self.wake()
        return True

    def has_command(self, names: Collection[CommandName]) -> bool:
        """Return True if one of these commands waits. Safe to call from another thread."""
        return any(command.name in names for command in list(self._commands))

    def next(self) -> Command | FrameBatch | LinkDown | Arrival | None:
        """Remove and return the next item: commands first, then the oldest arrival; None if the queue is empty."""
        if self._commands:
            return self._commands.popleft()
        if not self._items:
            return None
        item = self._items.popleft()
        if isinstance(item, FrameBatch):
            self.waiting -= len(item.payloads)
        return item

    async def read_out_sockets(self) -> bool:
        """Let each reader read its socket once. Return True if nothing came."""
        for _ in range(2):  # a reader that runs because of the first has run after the second
            await trio.lowlevel.checkpoint()
        return self.is_empty

    async def wait(self, seconds: float, accept_now: Callable[[], bool] | None = None) -> None:
        """Wait until an item is put or `wake` is called, at most this long; always pass a trio checkpoint.

        Frames that come first are given to `accept_now`, in the task that puts them, until it returns False.
        """
        self._waker = trio.Event()
        if self._items or self._commands:
            await trio.lowlevel.checkpoint()
            return
        self._accept_now = accept_now
        try:
            with trio.move_on_after(seconds):
                await self._waker.wait()
        finally:
            self._accept_now = None

    def wake(self) -> None:
        """End a `wait` now."""
        self._accept_now = None
        self._waker.set()

    def close(self) -> None:
        """Accept no more commands, and answer those that wait: they were not processed."""
        self._closed = True
        while self._commands:
            self._commands.popleft().done.set()

    def drain(self) -> list[FrameBatch]:
        """Empty the queue, and return the messages that the session did not process."""
        left = [item for item in self._items if type(item) is FrameBatch]
        self._items.clear()
        self.waiting = 0
        return left
