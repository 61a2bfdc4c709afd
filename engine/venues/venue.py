"""What the kernel and the shell ask of a venue's dialect: messages in and out, as values. A venue has no socket and no clock."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.events import Event
from engine.model import Instrument, Side
from engine.order_terms import Terms
from engine.requests import LinkPlan, Unsigned

Rows = NDArray[np.int64]


class MarketDialect(Protocol):
    def decode(self, payload: bytes, source: str, seq: int, time_ns: int) -> Rows | tuple[Event, ...]: ...

    def decode_many(self, payloads: Sequence[bytes], seqs: Rows, times_ns: Rows) -> tuple[Rows, list[int]] | None: ...

    def decode_snapshot(
        self, payload: bytes, instrument_id: str, seq: int, time_ns: int
    ) -> Rows | tuple[Event, ...]: ...


class MarketVenue(Protocol):
    """What recording needs of a dialect. All decoders are total: whatever came in, something comes out, if only Unrecognised.

    It may also say `streams_of(source)`, the Streams that come over one of its market links (all, where it does not), and
    `trades = False` where this is all that it has.
    """

    name: str
    recv_window_ms: int

    @property
    def market(self) -> MarketDialect: ...

    def links(self) -> tuple[LinkPlan, ...]: ...

    def instruments_of(self, source: str) -> Sequence[Instrument]: ...

    def depth(self, instrument: Instrument) -> Unsigned: ...

    def decode_answer(  # noqa: PLR0917 - the parts of an HTTP answer, as they stand on the wire
        self, method: str, path: str, instrument_id: str, status: int, headers: Mapping[str, str], payload: bytes
    ) -> tuple[Event, ...]: ...


class Venue(MarketVenue, Protocol):
    """What trading needs as well."""

    client_order_id_max: int

    def place(
        self, client_order_id: str, instrument: Instrument, side: Side, quantity: Decimal, terms: Terms
    ) -> Unsigned: ...

    def cancel(self, instrument: Instrument, client_order_id: str) -> Unsigned: ...

    def query_order(self, instrument: Instrument, client_order_id: str = "", venue_order_id: str = "") -> Unsigned: ...

    def open_orders(self) -> Unsigned: ...

    def account(self) -> Unsigned: ...

    def fills_since(self, instrument: Instrument, from_fill_id: str | None, limit: int = 1000) -> Unsigned: ...

    def server_time(self) -> Unsigned: ...

    def subscribe_private(self) -> Unsigned: ...

    def decode_private(self, payload: bytes) -> tuple[Event, ...]: ...
