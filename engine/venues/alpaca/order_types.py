"""The terms of our orders as Alpaca's fields, and its fields as terms.

A fraction of a share is a day order: the venue ends it at the close, under any time in force. A fraction that must
fill at once is sent as it is, and the venue refuses it.
"""

from decimal import Decimal
from typing import Final, NamedTuple

from engine.model import Instrument, OrderType, TimeInForce
from engine.money import ZERO
from engine.order_terms import Terms
from journal.record import plain

Params = tuple[tuple[str, str], ...]

WORDS: Final = {
    OrderType.MARKET: "market",
    OrderType.LIMIT: "limit",
    OrderType.STOP: "stop",
    OrderType.STOP_LIMIT: "stop_limit",
}
TYPES: Final = {word: kind for kind, word in WORDS.items()}
TRAILING: Final = "trailing_stop"
TIMES: Final = {time.value.lower(): time for time in TimeInForce} | {"day": TimeInForce.GTC}
BASIS_OF_PERCENT: Final = 100


class StatedTerms(NamedTuple):
    """Type, time in force and the venue's name of a type that the engine does not have."""

    type: OrderType
    time_in_force: TimeInForce
    venue_type: str = ""


def is_crypto(instrument: Instrument) -> bool:
    """Return True for a pair of crypto assets; stocks have no slash."""
    return "/" in instrument.symbol


def order_params(terms: Terms, quantity: Decimal, instrument: Instrument) -> Params:
    """Return the fields of an order's terms. Raises LookupError for a type that is no capability."""
    kind = WORDS[terms.type]
    size = ("notional", plain(terms.quote_quantity)) if terms.quote_quantity else ("qty", plain(quantity))
    in_force = terms.time_in_force.value.lower()
    is_fraction = bool(terms.quote_quantity) or quantity % 1 != 0
    is_at_once = terms.time_in_force is not TimeInForce.GTC and terms.type is not OrderType.MARKET
    if not is_crypto(instrument) and is_fraction and not is_at_once:
        in_force = "day"
    params: Params = (size, ("type", kind), ("time_in_force", in_force))
    if terms.trailing_delta:
        percent = ("trail_percent", plain(Decimal(terms.trailing_delta) / BASIS_OF_PERCENT))
        return (size, ("type", TRAILING), ("time_in_force", in_force), percent)
    if terms.price is not None:
        params += (("limit_price", plain(terms.price)),)
    if terms.trigger is not None:
        params += (("stop_price", plain(terms.trigger)),)
    return params


def reported_terms(venue_type: str, in_force: str) -> StatedTerms:
    """Return the terms that an order's fields state. Auction orders are FOREIGN: the engine has none."""
    kind = OrderType.STOP if venue_type == TRAILING else TYPES.get(venue_type)
    time = TIMES.get(in_force)
    if kind is None or time is None:
        return StatedTerms(OrderType.FOREIGN, TimeInForce.GTC, f"{venue_type} {in_force}"[:100])
    return StatedTerms(kind, time)


def basis_points(trail_percent: Decimal) -> int:
    """Return the distance of a trailing stop; 0 if it has none in whole basis points."""
    points = trail_percent * BASIS_OF_PERCENT
    return int(points) if points > ZERO and points % 1 == 0 else 0
