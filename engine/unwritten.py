"""Messages of a modelled venue as the events that their bytes state. The bytes are made when a reader needs them.

A resimulation without a journal hands them to the engine in place of bytes (engine/sim/binance/stated_events.py).
"""

from collections.abc import Callable
from typing import Any

import msgspec

from engine.events import Event
from journal.record import Record, canonical


class StatedMessage(msgspec.Struct, frozen=True):
    """A frame, or the answer to a request that was carried out."""

    events: tuple[Event, ...]  # what decoding the bytes gives
    write: Callable[[], bytes]
    answer_meta: Callable[[], dict[str, Any]] | None = None  # makes the facts beside an answer; None: it is a frame
    sent_ns: int = 0  # when the request that it answers left


class UnwrittenRecord(Record, frozen=True, eq=False, gc=True, kw_only=True):
    """A record whose bytes are made when they are read. `written` is the record as a journal has it, and equals it."""

    message: StatedMessage

    @property  # type: ignore[misc]  # a property in place of the field of the row
    def payload(self) -> bytes:
        """The bytes of the message."""
        return self.message.write()

    @property  # type: ignore[misc]  # as above
    def meta(self) -> str | None:
        """The facts beside an answer."""
        return None if self.message.answer_meta is None else canonical(self.message.answer_meta())

    @property
    def written(self) -> Record:
        """The same record with its bytes."""
        return Record(
            self.seq, self.time_ns, self.kind, self.source, self.cause, self.key, self.recv_ns, self.meta, self.payload
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Record) and self.written == (
            other.written if isinstance(other, UnwrittenRecord) else other
        )

    def __hash__(self) -> int:
        return hash(self.written)
