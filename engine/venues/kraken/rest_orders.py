"""Orders, fills and balances as REST answers them: amounts are texts, times are seconds, a `closed` order is filled."""

from decimal import Decimal
from typing import Final

import msgspec

from engine.events import BalanceReport, Fill, OrderReport, VenueStatus
from engine.money import ZERO
from engine.requests import Unsigned
from engine.venues.kraken.executions import ID_MAX, SIDES
from engine.venues.kraken.order_types import (
    POST,
    TYPES,
    reported_in_force,
    reported_prices,
    reported_type,
)
from engine.venues.kraken.values import TEXT_MAX, PairNames, amount, asset_name, rest_nanoseconds

STATUSES: Final = {
    "pending": VenueStatus.OPEN,
    "open": VenueStatus.OPEN,
    "closed": VenueStatus.FILLED,
    "canceled": VenueStatus.CANCELED,
    "expired": VenueStatus.EXPIRED,
}


class _Description(msgspec.Struct):
    pair: str
    type: str
    ordertype: str
    price: Decimal = ZERO
    price2: Decimal = ZERO


class RestOrder(msgspec.Struct):
    """An order of OpenOrders, ClosedOrders or QueryOrders."""

    status: str
    descr: _Description
    vol: Decimal
    vol_exec: Decimal
    cl_ord_id: str | None = None
    oflags: str = ""
    closetm: Decimal = ZERO
    reason: str | None = None
    timeinforce: str = "GTC"

    def report(self, order_id: str, pairs: PairNames) -> OrderReport:
        """Return the report of the order. Raises FAILURES."""
        descr, status = self.descr, STATUSES[self.status]
        price, stop_price = reported_prices(descr.ordertype, descr.price, descr.price2)
        if status is VenueStatus.OPEN and self.vol_exec > 0:
            status = VenueStatus.PARTIALLY_FILLED
        return OrderReport(
            instrument=pairs.instrument(descr.pair),
            client_order_id=(self.cl_ord_id or "")[:ID_MAX],
            venue_order_id=order_id[:ID_MAX],
            status=status,
            side=SIDES[descr.type],
            type=reported_type(descr.ordertype, is_post_only=POST in self.oflags.split(",")),
            time_in_force=reported_in_force(self.timeinforce),
            price=amount(price),
            quantity=amount(self.vol),
            filled_quantity=amount(self.vol_exec),
            venue_ns=rest_nanoseconds(self.closetm),  # of an open order, REST dates its beginning alone
            reason=(self.reason or "")[:TEXT_MAX],
            stop_price=amount(stop_price),
            venue_type=descr.ordertype[:40] if descr.ordertype not in TYPES else "",
        )


class RestTrade(msgspec.Struct):
    """A fill of TradesHistory. Its fee is in the quote asset."""

    ordertxid: str
    pair: str
    time: Decimal
    type: str
    price: Decimal
    vol: Decimal
    fee: Decimal
    maker: bool = False

    def fill(self, trade_id: str, pairs: PairNames) -> Fill:
        """Return the fill. Raises FAILURES."""
        instrument = pairs.instrument(self.pair)
        return Fill(
            instrument=instrument,
            fill_id=trade_id[:ID_MAX],
            venue_order_id=self.ordertxid[:ID_MAX],
            side=SIDES[self.type],
            price=amount(self.price),
            quantity=amount(self.vol),
            fee=amount(self.fee),
            fee_asset=pairs.quote(instrument),
            maker=self.maker,
            venue_ns=rest_nanoseconds(self.time),
        )


class RestBalance(msgspec.Struct):
    """A balance of BalanceEx."""

    balance: Decimal
    hold_trade: Decimal = ZERO

    def report(self, asset: str) -> BalanceReport:
        """Return the balance, split into what orders hold and the rest."""
        held = amount(self.hold_trade)
        return BalanceReport(asset_name(asset)[:40], amount(self.balance) - held, held)


def placed_report(unsigned: Unsigned, instrument: str, order_id: str) -> OrderReport:
    """Return the report of an order that was accepted: the answer holds its id, and the request the rest."""
    params = dict(unsigned.params)
    name = params["ordertype"]
    price, stop_price = reported_prices(name, Decimal(params.get("price", "0")), Decimal(params.get("price2", "0")))
    return OrderReport(
        instrument=instrument,
        client_order_id=params["cl_ord_id"],
        venue_order_id=order_id[:ID_MAX],
        status=VenueStatus.OPEN,
        side=SIDES[params["type"]],
        type=reported_type(name, is_post_only=params.get("oflags") == POST),
        time_in_force=reported_in_force(params.get("timeinforce", "GTC")),
        price=price,
        quantity=Decimal(params["volume"]),
        filled_quantity=ZERO,
        venue_ns=0,
        stop_price=stop_price,
    )
