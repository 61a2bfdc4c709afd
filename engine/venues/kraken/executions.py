"""Executions of the private channel, read into reports. The first frame of an order describes it; later ones may not.

Such a later frame has the venue's id and what changed, so it becomes an OrderChange. A fill is known by `exec_id`, the
REST id of the trade. `filled` follows the last `trade` and states no fill.
"""

from decimal import Decimal
from typing import Final

import msgspec

from engine.events import Event, Fill, OrderChange, OrderReport, PartialFill, VenueStatus
from engine.model import Side
from engine.money import ZERO
from engine.venues.kraken.order_types import OF_STOPS, TYPES, reported_in_force, reported_type
from engine.venues.kraken.values import TEXT_MAX, amount
from engine.venues.timestamps import nanoseconds

STATUSES: Final = {
    "pending_new": VenueStatus.OPEN,  # received and valid: it can be cancelled
    "new": VenueStatus.OPEN,
    "partially_filled": VenueStatus.PARTIALLY_FILLED,
    "filled": VenueStatus.FILLED,
    "canceled": VenueStatus.CANCELED,
    "expired": VenueStatus.EXPIRED,
}
SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL}
ID_MAX: Final = 100


class _Fee(msgspec.Struct):
    asset: str
    qty: Decimal


class _Triggers(msgspec.Struct):
    price: Decimal = ZERO
    status: str = ""


class OrderExecution(msgspec.Struct):
    """An entry of the channel `executions`. Only the id is always there."""

    order_id: str
    exec_type: str = ""
    order_status: str = ""
    timestamp: str = ""
    symbol: str = ""
    side: str = ""
    order_type: str = ""
    cl_ord_id: str = ""
    order_qty: Decimal | None = None
    cum_qty: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal = ZERO
    time_in_force: str = "GTC"
    post_only: bool = False
    reason: str = ""
    triggers: _Triggers | None = None
    exec_id: str = ""
    last_qty: Decimal = ZERO
    last_price: Decimal = ZERO
    fees: list[_Fee] = []
    liquidity_ind: str = "t"

    def event(self, venue: str) -> Event:
        """Return the report of the order, or what changed of it. Raises FAILURES."""
        status = STATUSES[self.order_status] if self.order_status else None
        venue_ns = nanoseconds(self.timestamp) if self.timestamp else 0
        is_triggered = self.triggers is not None and self.triggers.status == "triggered"
        fill = self._fill()
        if not (self.symbol and self.side and self.order_type and self.order_qty is not None and status):
            return OrderChange(
                venue_order_id=self.order_id[:ID_MAX],
                venue_ns=venue_ns,
                status=status,
                filled_quantity=_optional(self.cum_qty),
                quantity=_optional(self.order_qty),
                price=_optional(self.limit_price),
                fill=fill,
                reason=self.reason[:TEXT_MAX],
                is_triggered=is_triggered,
            )
        stop_price = self.triggers.price if self.triggers is not None and self.triggers.price else self.stop_price
        has_stop = self.order_type in OF_STOPS
        return OrderReport(
            instrument=f"{venue}:{self.symbol[:40]}",
            client_order_id=self.cl_ord_id[:ID_MAX],
            venue_order_id=self.order_id[:ID_MAX],
            status=status,
            side=SIDES[self.side],
            type=reported_type(self.order_type, is_post_only=self.post_only),
            time_in_force=reported_in_force(self.time_in_force),
            price=amount(self.limit_price or ZERO),
            quantity=amount(self.order_qty),
            filled_quantity=amount(self.cum_qty or ZERO),
            venue_ns=venue_ns,
            fills=() if fill is None else (self._whole(fill, venue, venue_ns),),
            reason=self.reason[:TEXT_MAX],
            stop_price=amount(stop_price) if has_stop else ZERO,
            venue_type=self.order_type[:40] if self.order_type not in TYPES else "",
            is_triggered=is_triggered,
        )

    def _fill(self) -> PartialFill | None:
        if self.exec_type != "trade":
            return None
        if not self.exec_id:
            raise ValueError("a trade without exec_id")
        assets = {fee.asset for fee in self.fees}
        if len(assets) > 1:
            raise ValueError(f"fees in {len(assets)} assets")
        fee = sum((amount(fee.qty) for fee in self.fees), ZERO)
        return PartialFill(
            fill_id=self.exec_id[:ID_MAX],
            price=amount(self.last_price),
            quantity=amount(self.last_qty),
            fee=fee,
            fee_asset=next(iter(assets), "")[:40],
            maker={"m": True, "t": False}[self.liquidity_ind],
        )

    def _whole(self, part: PartialFill, venue: str, venue_ns: int) -> Fill:
        return Fill(
            instrument=f"{venue}:{self.symbol[:40]}",
            fill_id=part.fill_id,
            venue_order_id=self.order_id[:ID_MAX],
            side=SIDES[self.side],
            price=part.price,
            quantity=part.quantity,
            fee=part.fee,
            fee_asset=part.fee_asset,
            maker=part.maker,
            venue_ns=venue_ns,
            client_order_id=self.cl_ord_id[:ID_MAX],
        )


def _optional(value: Decimal | None) -> Decimal | None:
    return None if value is None else amount(value)
