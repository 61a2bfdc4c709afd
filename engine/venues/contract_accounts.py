"""Further parts of an account codec (engine/venues/venue.py): contracts, orders kept apart, and tokens of links.

Each is a protocol that a codec may have as well.
"""

from decimal import Decimal
from typing import NamedTuple, Protocol, runtime_checkable

from engine.model import Instrument, MarginMode, PositionSide, Side
from engine.order_terms import Terms
from engine.requests import Unsigned


class PositionTerms(NamedTuple):
    """What a request for an order of contracts says beside the order's terms."""

    reduce_only: bool = False  # the venue cuts it to the account's position
    position_side: PositionSide = PositionSide.BOTH
    closes_position: bool = False  # of a stop: when it is triggered, it closes all of the position
    good_till_ns: int = 0  # time of the venue's clock at which the venue ends it; 0: never


@runtime_checkable
class PlacesContracts(Protocol):
    """An AccountCodec of a venue with positions of contracts has this as well: orders that name a position."""

    def place_contract(
        self,
        client_order_id: str,
        instrument: Instrument,
        side: Side,
        quantity: Decimal,
        terms: Terms,
        *,
        contract: PositionTerms,
    ) -> Unsigned:
        """Return the request for a new order."""
        ...

    def date_of(self, good_till_ns: int, venue_now_ns: int) -> int:
        """Return the time at which the venue itself can end an order, or 0 if it cannot."""
        ...


@runtime_checkable
class HoldsOrdersApart(Protocol):
    """An AccountCodec may have this as well: the venue keeps orders with a trigger apart, under separate requests.

    Until then such an order has our id alone; once triggered, it is one of the market and has an id of the venue too.
    """

    def cancel_held(self, instrument: Instrument, client_order_id: str) -> Unsigned:
        """Return the request that cancels an order that was not triggered."""
        ...

    def query_held(self, instrument: Instrument, client_order_id: str) -> Unsigned:
        """Return the query for an order that was placed with a trigger."""
        ...

    def open_held(self) -> Unsigned:
        """Return the query for all orders of the account that were not triggered."""
        ...

    def cancel_all_held(self, instrument: Instrument) -> Unsigned:
        """Return the request that cancels every order of an instrument that was not triggered."""
        ...


@runtime_checkable
class HasPositions(Protocol):
    """An AccountCodec of a venue of contracts has this as well: positions, leverage and margin modes."""

    def positions(self) -> Unsigned:
        """Return the query for all positions of the account."""
        ...

    def fundings_since(self, venue_ns: int) -> Unsigned:
        """Return the query for the fundings of all contracts since a time of the venue's clock."""
        ...

    def position_mode(self) -> Unsigned:
        """Return the query for the position mode: whether long and short positions are apart."""
        ...

    def contract_settings(self, instrument: Instrument) -> Unsigned:
        """Return the query for the leverage and the margin mode of a contract."""
        ...


@runtime_checkable
class SetsMarginApart(Protocol):
    """An AccountCodec with positions has this, or SetsMargin: leverage and margin mode are set one by one."""

    def set_leverage(self, instrument: Instrument, leverage: Decimal) -> Unsigned:
        """Return the request that sets the leverage of a contract."""
        ...

    def set_margin_mode(self, instrument: Instrument, mode: MarginMode) -> Unsigned:
        """Return the request that sets the margin mode of a contract."""
        ...


@runtime_checkable
class SetsMargin(Protocol):
    """An AccountCodec with positions has this, or SetsMarginApart: one request sets leverage and margin mode."""

    def set_margin(self, instrument: Instrument, leverage: Decimal, mode: MarginMode) -> Unsigned:
        """Return the request that sets leverage and margin mode of a contract."""
        ...


@runtime_checkable
class StreamTokens(Protocol):
    """An AccountCodec may have this as well: a private link's path or subscriptions hold `{token}`, which is replaced.

    The token is a secret of the account: the shell requests a new one whenever it opens the link, and records neither
    the token nor an answer that holds it. A venue whose tokens end in time, once they are in use, has them renewed:
    `renew_every_ns` is 0 for the others.
    """

    def stream_token(self) -> Unsigned:
        """Return the request for a token."""
        ...

    def read_token(self, payload: bytes) -> str:
        """Return the token of an answer. Raises ValueError for any other bytes."""
        ...

    def renew_token(self) -> Unsigned:
        """Return the request that keeps a token alive."""
        ...

    @property
    def renew_every_ns(self) -> int:
        """The time between two renewals."""
        ...
