"""Order types in the words of Binance's futures, both ways.

The order book takes LIMIT and MARKET alone. The venue keeps an order with a trigger apart, as a conditional order with
separate routes (7). Numbers in parentheses are sections of the fact sheet of USD-M.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, NamedTuple

from engine.model import OrderType, PositionSide, TimeInForce
from engine.money import ZERO
from engine.order_terms import Terms
from engine.venues.binance_common.values import number_text
from engine.venues.contract_accounts import PositionTerms

Params = tuple[tuple[str, str], ...]

BOOK_TYPES: Final[Mapping[OrderType, str]] = {
    OrderType.MARKET: "MARKET",
    OrderType.LIMIT: "LIMIT",
    OrderType.LIMIT_MAKER: "LIMIT",  # with the time in force GTX
}
HELD_TYPES: Final[Mapping[OrderType, str]] = {
    OrderType.STOP: "STOP_MARKET",
    OrderType.STOP_LIMIT: "STOP",
    OrderType.TAKE_PROFIT: "TAKE_PROFIT_MARKET",
    OrderType.TAKE_PROFIT_LIMIT: "TAKE_PROFIT",
}
TRAILING: Final = "TRAILING_STOP_MARKET"
POST_ONLY: Final = "GTX"
GOOD_TILL: Final = "GTD"
GOOD_TILL_NS_MIN: Final = 610 * 1_000_000_000  # a date must be more than 600 s ahead (7)
BASIS_OF_PERCENT: Final = Decimal(100)  # basis points in a percent

_BY_NAME: Final = {
    "MARKET": OrderType.MARKET,
    **{name: order_type for order_type, name in HELD_TYPES.items()},
    TRAILING: OrderType.STOP,
}
_TIMES: Final = {time.value: time for time in TimeInForce} | {
    POST_ONLY: TimeInForce.GTC,
    GOOD_TILL: TimeInForce.GTC,
    "GTE_GTC": TimeInForce.GTC,  # of an exit that ends with its position
}


class ReportedTerms(NamedTuple):
    """The terms of an order as an OrderReport holds them."""

    type: OrderType
    time_in_force: TimeInForce
    venue_type: str  # the venue's name for a type that is FOREIGN


def is_held(terms: Terms) -> bool:
    """Return True if the venue keeps an order of these terms apart until the market reaches its trigger."""
    return terms.type in HELD_TYPES


def book_params(terms: Terms, quantity: Decimal, contract: PositionTerms) -> Params:
    """Return the parameters of an order of the book, in Binance's order."""
    name = BOOK_TYPES[terms.type]
    time_in_force = POST_ONLY if terms.is_post_only else str(terms.time_in_force)
    has_date = contract.good_till_ns > 0 and time_in_force == TimeInForce.GTC
    assert not terms.iceberg_quantity, "the futures have no icebergs"
    assert not terms.quote_quantity, "the futures have no orders by quote amount"
    price = terms.price if name == "LIMIT" else None
    assert name == "MARKET" or (price is not None and price > 0), terms
    return (
        ("type", name),
        *([("timeInForce", GOOD_TILL if has_date else time_in_force)] if name == "LIMIT" else []),
        ("quantity", number_text(quantity)),
        *([("price", number_text(price))] if price is not None else []),
        *([("goodTillDate", str(contract.good_till_ns // 1_000_000_000 * 1_000))] if has_date else []),
        *_reduce_only(contract),
    )


def held_params(terms: Terms, quantity: Decimal, contract: PositionTerms) -> Params:
    """Return the parameters of a conditional order, in Binance's order."""
    name = TRAILING if terms.trailing_delta else HELD_TYPES[terms.type]
    has_limit = terms.price is not None
    assert not (has_limit and terms.trailing_delta), "a trailing stop of the futures has no limit price"
    assert not terms.iceberg_quantity, "the futures have no icebergs"
    trigger = terms.trigger
    assert trigger is not None, terms
    assert trigger > 0 or terms.trailing_delta, terms
    closes = contract.closes_position
    assert not closes or name in ("STOP_MARKET", "TAKE_PROFIT_MARKET"), f"a {name} order cannot close a position"
    return (
        ("type", name),
        *([("timeInForce", str(terms.time_in_force))] if has_limit else []),
        *([("closePosition", "true")] if closes else [("quantity", number_text(quantity))]),
        *([("price", number_text(terms.price))] if terms.price is not None else []),
        *_trigger_params(trigger, terms.trailing_delta),
        *([] if closes else _reduce_only(contract)),
    )


def _trigger_params(trigger: Decimal, trailing_delta: int) -> Params:
    if not trailing_delta:
        return (("triggerPrice", number_text(trigger)),)
    begins = (("activatePrice", number_text(trigger)),) if trigger else ()
    return (*begins, ("callbackRate", number_text(trailing_delta / BASIS_OF_PERCENT)))


def _reduce_only(contract: PositionTerms) -> list[tuple[str, str]]:
    """Return the flag; in hedge mode the side of the position says it, and the venue refuses the flag (7)."""
    return [("reduceOnly", "true")] if contract.reduce_only and contract.position_side is PositionSide.BOTH else []


def reported_terms(venue_type: str, time_in_force: str) -> ReportedTerms:
    """Return the type and time in force of a reported order."""
    known = _TIMES.get(time_in_force)
    order_type = _BY_NAME.get(venue_type)
    if venue_type == "LIMIT":
        order_type = OrderType.LIMIT_MAKER if time_in_force == POST_ONLY else OrderType.LIMIT
    if order_type is None or known is None:
        return ReportedTerms(OrderType.FOREIGN, TimeInForce.GTC, f"{venue_type} {time_in_force}")
    return ReportedTerms(order_type, known, "")


def trailing_delta(callback_rate: str) -> int:
    """Return a callback rate, in percent, as basis points; 0 for an empty one."""
    return int(Decimal(callback_rate or "0") * BASIS_OF_PERCENT) if callback_rate else 0


def date_of(good_till_ns: int, venue_now_ns: int) -> int:
    """Return the date in nanoseconds of the venue's clock, or 0 if it is too near for the venue."""
    return good_till_ns if good_till_ns - venue_now_ns > GOOD_TILL_NS_MIN else 0


__all__ = [
    "BOOK_TYPES",
    "HELD_TYPES",
    "ZERO",
    "ReportedTerms",
    "book_params",
    "date_of",
    "held_params",
    "is_held",
    "reported_terms",
    "trailing_delta",
]
