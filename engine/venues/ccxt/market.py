"""The codec of streams that a venue through ccxt does not have: every frame is foreign."""

from collections.abc import Sequence

from engine.events import Event, Unrecognised
from engine.market.rows import Rows


class NoStreams:
    """An engine.venues.venue.MarketCodec."""

    def warm(self) -> None:
        """Do nothing."""

    def decode(self, payload: bytes, source: str, seq: int, time_ns: int) -> Rows | tuple[Event, ...]:
        """Return that the frame is foreign."""
        return (Unrecognised(source, f"{len(payload)} bytes, and this venue has no stream"),)

    def decode_many(self, payloads: Sequence[bytes], seqs: Rows, times_ns: Rows) -> tuple[Rows, list[int]] | None:
        """Return None: no frame is a market message."""
        return None

    def decode_snapshot(self, payload: bytes, instrument_id: str, seq: int, time_ns: int) -> Rows | tuple[Event, ...]:
        """Return that the snapshot is foreign: polls read books."""
        return self.decode(payload, instrument_id, seq, time_ns)

    def is_snapshot(self, payload: bytes) -> bool:
        """Return False."""
        return False
