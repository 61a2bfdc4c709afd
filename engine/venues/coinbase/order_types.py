"""Order types in Coinbase's words, both ways: the configuration of each, and the terms that a report names."""

from decimal import Decimal
from typing import Any, Final

from engine.model import OrderType, Side, TimeInForce
from engine.order_terms import Terms
from engine.venues.coinbase.values import Amount, amount
from journal.record import plain

Params = tuple[tuple[str, str], ...]
Reported = tuple[OrderType, str, TimeInForce]  # type, the venue's name for a FOREIGN one, time in force

# (type, time in force) -> the key of the order configuration. The venue has no stop at market, no trailing stop and no
# iceberg
CONFIGURATIONS: Final[dict[tuple[OrderType, TimeInForce], str]] = {
    (OrderType.MARKET, TimeInForce.IOC): "market_market_ioc",
    (OrderType.LIMIT, TimeInForce.GTC): "limit_limit_gtc",
    (OrderType.LIMIT, TimeInForce.IOC): "sor_limit_ioc",
    (OrderType.LIMIT, TimeInForce.FOK): "limit_limit_fok",
    (OrderType.LIMIT_MAKER, TimeInForce.GTC): "limit_limit_gtc",
    (OrderType.STOP_LIMIT, TimeInForce.GTC): "stop_limit_stop_limit_gtc",
    (OrderType.TAKE_PROFIT_LIMIT, TimeInForce.GTC): "stop_limit_stop_limit_gtc",
}
TYPES: Final = frozenset(order_type for order_type, _ in CONFIGURATIONS)
TRIGGERED: Final = frozenset({OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT})
TIMES_IN_FORCE: Final = {
    "GOOD_UNTIL_CANCELLED": TimeInForce.GTC,
    "IMMEDIATE_OR_CANCEL": TimeInForce.IOC,
    "FILL_OR_KILL": TimeInForce.FOK,
}


def configuration(side: Side, quantity: Decimal, terms: Terms) -> Params:
    """Return the order configuration. Raises LookupError for terms that the venue does not have."""
    if terms.trailing_delta or terms.iceberg_quantity or terms.quote_quantity:
        raise LookupError(f"no configuration for {terms}")
    in_force = TimeInForce.GTC if terms.type is OrderType.LIMIT_MAKER else terms.time_in_force
    key = f"order_configuration.{CONFIGURATIONS[terms.type, in_force]}"
    params = [(f"{key}.base_size", plain(quantity))]
    if terms.price is not None:
        assert terms.price > 0, terms
        params.append((f"{key}.limit_price", plain(terms.price)))
    if terms.type in (OrderType.LIMIT, OrderType.LIMIT_MAKER) and in_force is TimeInForce.GTC:
        params.append((f"{key}.post_only", "true" if terms.is_post_only else "false"))
    if terms.type in TRIGGERED:
        assert terms.trigger is not None, terms
        rises = (side is Side.BUY) is not terms.triggers_on_gain  # a stop to buy waits for a rise
        direction = "STOP_DIRECTION_STOP_UP" if rises else "STOP_DIRECTION_STOP_DOWN"
        params += [(f"{key}.stop_price", plain(terms.trigger)), (f"{key}.stop_direction", direction)]
    return tuple(params)


def reported(order_type: str, time_in_force: str, *, is_post_only: bool) -> Reported:
    """Return how an OrderReport states a type. One that the venue triggers or ends by itself is FOREIGN.

    Our own order keeps the type that its request states.
    """
    word = order_type.upper().replace(" ", "_")
    in_force = TIMES_IN_FORCE.get(time_in_force)
    match word:
        case "MARKET":
            return OrderType.MARKET, "", TimeInForce.IOC
        case "LIMIT" if in_force is not None:
            is_maker = is_post_only and in_force is TimeInForce.GTC
            return (OrderType.LIMIT_MAKER if is_maker else OrderType.LIMIT), "", in_force
        case "LIMIT":
            return OrderType.FOREIGN, "LIMIT_GTD", TimeInForce.GTC
        case _:
            return OrderType.FOREIGN, word[:40] or "UNKNOWN_ORDER_TYPE", TimeInForce.GTC


def configured(order_configuration: dict[str, dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    """Return the key and the fields of an order's configuration; ("", {}) if it has none."""
    return next(((key, fields) for key, fields in order_configuration.items() if fields), ("", {}))


def field_of(fields: dict[str, Any], name: str) -> Decimal:
    """Return a number of a configuration, 0 if it is absent. Raises ValueError."""
    value: Amount = fields.get(name)
    return amount(value)
