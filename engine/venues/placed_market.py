"""A market codec whose rows name instruments by their place in the session instead of that in their venue's list."""

from collections.abc import Sequence

from engine.events import Event
from engine.market import rows as r
from engine.market.rows import Rows
from engine.venues.venue import Decoded, MarketCodec, RowsAndEvents


class PlacedMarket:
    """An engine.venues.venue.MarketCodec of a venue whose first instrument is not the session's first."""

    def __init__(self, codec: MarketCodec, first: int) -> None:
        """Take the place of the venue's first instrument in the session; its others follow."""
        self._codec = codec
        self._first = first
        self.warm = codec.warm
        self.is_snapshot = codec.is_snapshot

    def decode(self, payload: bytes, source: str, seq: int, time_ns: int) -> Decoded:
        """See MarketCodec."""
        decoded = self._codec.decode(payload, source, seq, time_ns)
        if isinstance(decoded, RowsAndEvents):
            self._placed(decoded.rows)
            return decoded
        return self._placed(decoded)

    def decode_many(self, payloads: Sequence[bytes], seqs: Rows, times_ns: Rows) -> tuple[Rows, list[int]] | None:
        """See MarketCodec."""
        decoded = self._codec.decode_many(payloads, seqs, times_ns)
        if decoded is not None:
            decoded[0][:, r.INSTRUMENT] += self._first
        return decoded

    def decode_snapshot(self, payload: bytes, instrument_id: str, seq: int, time_ns: int) -> Rows | tuple[Event, ...]:
        """See MarketCodec."""
        return self._placed(self._codec.decode_snapshot(payload, instrument_id, seq, time_ns))

    def _placed(self, decoded: Rows | tuple[Event, ...]) -> Rows | tuple[Event, ...]:
        if not isinstance(decoded, tuple):
            decoded[:, r.INSTRUMENT] += self._first
        return decoded
