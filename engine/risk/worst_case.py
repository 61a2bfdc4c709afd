"""The worst-case exposure of a scope: its positions with open orders counted as filled.

Quantities are valued at the mid of the instrument's last quote, an order at its own price if that is above the mid. An
order of a type without a price counts at the price at which its cost was estimated.
"""

from collections.abc import Callable
from decimal import Decimal

import msgspec

from engine import contracts
from engine.model import Instrument, Side
from engine.money import ZERO
from engine.risk.context import RiskContext
from engine.state.linked_orders import fillable_orders
from engine.state.missing_fills import ended_with_missing_fills, missing_of
from engine.state.orders import Order


class UnknownValueError(ValueError):
    """A price that an exposure needs is not known; the text says which."""


class Exposure(msgspec.Struct):
    """The position in one instrument, and the open orders on both sides, in one unit."""

    held: Decimal = ZERO
    buys: Decimal = ZERO
    sells: Decimal = ZERO

    @property
    def worst(self) -> Decimal:
        """The largest absolute exposure that fills can lead to."""
        return max(abs(self.held + self.buys), abs(self.held - self.sells))


class Scope(msgspec.Struct, frozen=True):
    """The orders and positions that a limit counts."""

    strategy: str = ""  # "": of all, other programs' orders and positions included
    instrument: str = ""  # "": all
    venue: str = ""  # "": all

    def counts(self, strategy: str, instrument: str) -> bool:
        """Return True for an order or position of this scope."""
        return (
            (not self.strategy or strategy == self.strategy)
            and (not self.instrument or instrument == self.instrument)
            and (not self.venue or instrument.partition(":")[0] == self.venue)
        )


Value = Callable[[Instrument, Decimal, Decimal], Decimal | None]  # of a quantity at a price; None: it does not count


def in_base(context: RiskContext) -> Value:
    """Return the value of quantities in the order's base asset."""
    base = context.instrument.base

    def value(instrument: Instrument, quantity: Decimal, price: Decimal) -> Decimal | None:
        if instrument.base != base:
            return None
        return (
            contracts.worth(instrument, quantity, price) if instrument.inverse else quantity * instrument.contract_size
        )

    return value


def in_quote(context: RiskContext) -> Value:
    """Return the value of quantities in the order's quote asset."""
    quote = context.instrument.quote

    def value(instrument: Instrument, quantity: Decimal, price: Decimal) -> Decimal | None:
        if instrument.quote != quote:
            return None
        units = quantity * instrument.contract_size
        return units if instrument.inverse else units * price

    return value


def in_reporting(context: RiskContext) -> Value:
    """Return the value of quantities in the reporting currency, at the mids of the session's instruments."""
    rates: dict[str, Decimal | None] = {}

    def value(instrument: Instrument, quantity: Decimal, price: Decimal) -> Decimal | None:
        asset = contracts.asset_of(instrument)
        if asset not in rates:
            rates[asset] = context.rate_of(asset, context.reporting)
        rate = rates[asset]
        if rate is None:
            raise UnknownValueError(f"no quote gives the rate of {asset} in {context.reporting}")
        return contracts.worth(instrument, quantity, price) * rate

    return value


def exposures(context: RiskContext, scope: Scope, value: Value) -> dict[str, Exposure]:
    """Return the exposure by instrument, without the order under review.

    Raises:
        UnknownValueError: A price is not known.
    """
    found: dict[str, Exposure] = {}
    for position in context.account.positions.by_key.values():
        if position.quantity and scope.counts(position.strategy, position.instrument):
            worth = _worth(context, position.instrument, position.quantity, ZERO, value)
            if worth is not None:
                found.setdefault(position.instrument, Exposure()).held += worth
    orders = context.account.orders
    for order in (*fillable_orders(orders), *ended_with_missing_fills(orders)):
        name = order.order.instrument
        if scope.counts(order.strategy, name) and (more := order.leaves_quantity or missing_of(order)):
            worth = _worth(context, name, more, _price(order), value)
            if worth is not None:
                add(found.setdefault(name, Exposure()), order.order.side, worth)
    return found


def order_worth(context: RiskContext, value: Value) -> Decimal:
    """Return the exposure that the order under review would add.

    Raises:
        UnknownValueError: A price is not known.
    """
    order = context.order
    worth = _worth(context, order.instrument, order.quantity, context.worst_price, value)
    assert worth is not None, "an order counts in its own assets"
    return worth


def add(exposure: Exposure, side: Side, worth: Decimal) -> None:
    """Add an open order."""
    if side is Side.BUY:
        exposure.buys += worth
    else:
        exposure.sells += worth


def gross(found: dict[str, Exposure]) -> Decimal:
    """Return the sum of the largest absolute exposures."""
    return sum((exposure.worst for exposure in found.values()), ZERO)


def net(found: dict[str, Exposure]) -> Decimal:
    """Return the largest absolute sum of exposures with their sign: all open buys filled, or all open sells."""
    held = sum((exposure.held for exposure in found.values()), ZERO)
    buys = sum((exposure.buys for exposure in found.values()), ZERO)
    sells = sum((exposure.sells for exposure in found.values()), ZERO)
    return max(abs(held + buys), abs(held - sells))


def _price(order: Order) -> Decimal:
    return order.order.terms.known_price or order.order.market_price


def _worth(context: RiskContext, name: str, quantity: Decimal, price: Decimal, value: Value) -> Decimal | None:
    instrument = context.instruments.get(name)
    if instrument is None:
        return None  # an earlier session's: nothing here says what it is worth
    mid = context.mid_of(name)
    if not mid and not price:
        raise UnknownValueError(f"{name} has no quote: its exposure is not known")
    return value(instrument, quantity, max(mid, price))
