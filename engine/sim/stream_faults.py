"""Faults of single public streams: stopped, late against their own stamps, or numbered from the beginning again.

A stream is named as its subscribers name it, `btcusdt@bookTicker`; `btcusdt@*` is every stream of a symbol. The
venue's own books see the market as it is.
"""

import re
from typing import Any, Final

import msgspec

from engine.sim.feeds.sim_market import Line, combined, data_of

RESTART_FROM: Final = 100_000  # the new numbering begins here: a diff may begin a little below the first id seen
MS: Final = 1_000_000
IDS: Final = ("u", "U", "pu", "lastUpdateId")
TRADE_IDS: Final = ("t",)


def covers(pattern: str, stream: str) -> bool:
    """Return True if a pattern names a stream."""
    return pattern == stream or (pattern.endswith("*") and stream.startswith(pattern[:-1]))


class StreamFaults:
    """The faults of public streams now. `strike` returns what a subscriber gets of a line."""

    def __init__(self) -> None:
        self._stopped: dict[str, tuple[int, bool]] = {}  # pattern -> end (0: never), True if a subscription ends it
        self._delayed: dict[str, tuple[int, int]] = {}  # pattern -> delay, end
        self._restarted: dict[str, dict[str, int]] = {}  # pattern -> offsets of a symbol's update ids and trade ids
        self._last_due_ns: dict[str, int] = {}
        self._listened: set[str] = set()

    def stop(self, pattern: str, until_ns: int, *, heals: bool) -> None:
        """Drop the frames of streams until a time (0: for ever), or until a client subscribes again."""
        self._stopped[pattern] = until_ns, heals

    def delay(self, pattern: str, delay_ns: int, until_ns: int) -> None:
        """Send the frames of streams later than their stamps say, in their order."""
        self._delayed[pattern] = delay_ns, until_ns

    def restart_ids(self, pattern: str) -> None:
        """Number the messages of streams, and the depth snapshots, from the beginning again."""
        self._restarted[pattern] = {}

    def listeners_changed(self, streams: set[str]) -> None:
        """End the stops of streams that a client subscribed again."""
        for stream in streams - self._listened:
            self._stopped = {
                pattern: (until_ns, heals)
                for pattern, (until_ns, heals) in self._stopped.items()
                if not (heals and covers(pattern, stream))
            }
        self._listened = set(streams)

    def strike(self, line: Line, now_ns: int) -> tuple[Line | None, str]:
        """Return the line as a subscriber gets it (None: lost), and the action that changed it."""
        if not (self._stopped or self._delayed or self._restarted or self._last_due_ns):
            return line, ""
        stream, action = line.stream, ""
        for pattern, (until_ns, _) in self._stopped.items():
            if covers(pattern, stream) and (not until_ns or now_ns < until_ns):
                return None, "stop_stream"
        for pattern, offsets in self._restarted.items():
            if covers(pattern, stream):
                line, action = (
                    line._replace(payload=combined(stream, _renumbered(data_of(line), offsets))),
                    "restart_ids",
                )
        for pattern, (delay_ns, until_ns) in self._delayed.items():
            if covers(pattern, stream) and (not until_ns or now_ns < until_ns):
                line, action = line._replace(due_ns=line.due_ns + delay_ns), "delay_stream"
                self._last_due_ns[stream] = line.due_ns
        due_ns = max(line.due_ns, self._last_due_ns.get(stream, 0))  # a connection keeps its order
        return line._replace(due_ns=due_ns), action

    def snapshot(self, symbol: str, body: bytes) -> bytes:
        """Return a depth snapshot with the numbering of its diffs."""
        for pattern, offsets in self._restarted.items():
            if covers(pattern, f"{symbol.lower()}@depth@100ms"):
                return _renumbered(body, offsets)
        return body


def _renumbered(data: bytes, offsets: dict[str, int]) -> bytes:
    """Return a message with its ids lowered; the first id seen of each kind becomes RESTART_FROM."""
    message: dict[str, Any] = msgspec.json.decode(data)
    text = data
    for kind, names in (("update", IDS), ("trade", TRADE_IDS)):
        for name in names:
            if isinstance(message.get(name), int):
                offset = offsets.setdefault(kind, message[name] - RESTART_FROM)
                text = re.sub(
                    rf'"{name}":{message[name]}(?=[,}}])'.encode(), f'"{name}":{message[name] - offset}'.encode(), text
                )
    return text
