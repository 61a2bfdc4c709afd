"""Facts about links, market data, and a venue's limits, clock, access and instruments. Values only."""

from enum import StrEnum
from typing import ClassVar

import msgspec

from engine.model import Instrument


class SequencedStream(StrEnum):
    """Market streams whose ids, or whose checksums, show a gap."""

    ALL = ""  # the gap concerns every stream of its link
    TRADE = "trade"
    DEPTH = "depth"
    CHECKSUM = "checksum"  # of a book: it differs from the venue's


class LinkReady(msgspec.Struct, frozen=True, tag_field="fact", tag="link_ready"):
    """The venue confirmed the subscription on this link."""

    source: str


class LinkSteady(msgspec.Struct, frozen=True, tag_field="fact", tag="link_steady"):
    """The link stayed up for longer than the longest wait between two attempts: its failure count starts again."""

    source: str


class MarketGap(msgspec.Struct, frozen=True, tag_field="fact", tag="market_gap"):
    """Market data may be missing from `from_ns` on. A gap that lasts is recorded twice: at its start, and with its end.

    The second record's cause is the first. A seq of -1 is in an earlier session.
    """

    link: str
    reason: str
    from_ns: int  # session time of the last frame before it
    from_seq: int
    to_ns: int = 0  # of the LINK record or frame that ended it. 0: it lasts
    to_seq: int = -1
    # the fields below are set if ids or a checksum of one stream show it; else it concerns every stream of the link
    instrument: str = ""
    stream: SequencedStream = SequencedStream.ALL
    last_id: int = 0
    first_id: int = 0


class RateBlocked(msgspec.Struct, frozen=True, tag_field="fact", tag="rate_blocked"):
    """The venue refuses all requests until a time."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"wait_ns"})

    venue: str
    until_ns: int
    reason: str
    wait_ns: int = 0  # our own wait, where the venue stated none; the next one is twice as long


class OrdersBlocked(msgspec.Struct, frozen=True, tag_field="fact", tag="orders_blocked"):
    """The venue refused an order for the number of orders: no new one is placed until a time."""

    venue: str
    until_ns: int
    reason: str
    wait_ns: int  # each refusal in a row doubles it


class AccessRefused(msgspec.Struct, frozen=True, tag_field="fact", tag="access_refused"):
    """The venue or its firewall refused access. Nothing is placed until a time; 0: an answer proved access."""

    venue: str
    until_ns: int
    reason: str
    is_key: bool = False  # the venue's own words against our key; False: a firewall's
    purpose: str = ""  # of the request that was refused


class ClockMeasured(msgspec.Struct, frozen=True, tag_field="fact", tag="clock_measured"):
    """The venue's clock minus session time, by the midpoint of one round trip."""

    venue: str
    offset_ns: int


class InstrumentChanged(msgspec.Struct, frozen=True, tag_field="fact", tag="instrument_changed"):
    """The venue changed an instrument's rules or status. The scales of its numbers stay as the session began."""

    instrument: Instrument


class TradingAllowed(msgspec.Struct, frozen=True, tag_field="fact", tag="trading_allowed"):
    """The venue's report of the account says whether it may trade."""

    venue: str
    is_allowed: bool


VenueFact = (
    LinkReady
    | LinkSteady
    | MarketGap
    | RateBlocked
    | OrdersBlocked
    | AccessRefused
    | ClockMeasured
    | InstrumentChanged
    | TradingAllowed
)
