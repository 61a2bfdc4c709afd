"""Facts about an account of contracts: positions that it held before, margin, settings, and forced closings."""

from decimal import Decimal
from typing import ClassVar

import msgspec

from engine.model import ForcedKind, MarginMode, PositionSide, Side


class PositionOpened(msgspec.Struct, frozen=True, tag_field="fact", tag="position_opened"):
    """The account held a position before its first session, so it belongs to no strategy of ours."""

    strategy: str
    instrument: str
    quantity: Decimal  # signed
    entry_price: Decimal
    venue_ns: int


class PositionForced(msgspec.Struct, frozen=True, tag_field="fact", tag="position_forced"):
    """The venue itself closes a position, by an order that no strategy placed."""

    kind: ForcedKind
    instrument: str
    client_order_id: str  # of the venue's order
    strategy: str  # whose position it closes; "external" if several strategies hold it
    side: Side
    quantity: Decimal
    venue_ns: int


class ContractConfigured(msgspec.Struct, frozen=True, tag_field="fact", tag="contract_configured"):
    """The account's leverage and margin mode in a contract, as the venue states them."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"margin_mode"})

    instrument: str
    leverage: Decimal
    margin_mode: MarginMode | None = None  # None: not said


class PositionModeKnown(msgspec.Struct, frozen=True, tag_field="fact", tag="position_mode"):
    """The position mode: True if the account has long and short positions of a contract apart (hedge mode)."""

    venue: str
    is_hedge: bool


class MarginReported(msgspec.Struct, frozen=True, tag_field="fact", tag="margin"):
    """The margin of a position, as the venue states it."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"position_side"})

    instrument: str
    quantity: Decimal  # signed; 0: flat
    margin: Decimal  # initial margin of position and open orders
    maintenance: Decimal  # margin below which it is liquidated
    mark_price: Decimal
    liquidation_price: Decimal  # 0: none
    position_side: PositionSide = PositionSide.BOTH


ContractFact = PositionOpened | PositionForced | ContractConfigured | PositionModeKnown | MarginReported
