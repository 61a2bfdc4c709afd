"""Orders over the simulated Coinbase's REST interface: place, cancel, edit, list, and the fills."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from engine.model import OrderType, Side, TimeInForce
from engine.sim.binance.refusals import VenueRefusalError
from engine.sim.coinbase import refusal_bodies, words
from engine.sim.coinbase.request import Request
from engine.sim.exchange.order_values import SelfTrade, SimFill, SimNewOrder, SimOrder
from engine.sim.units import PLACES, units
from engine.venues.timestamps import nanoseconds

CANCELS_MAX: Final = 100  # orders of one request
PAGE_MAX: Final = 1_000
PAGE: Final = 100
FIELDS: Final = {  # the key of a configuration -> its type and time in force
    "market_market_ioc": (OrderType.MARKET, TimeInForce.IOC),
    "sor_limit_ioc": (OrderType.LIMIT, TimeInForce.IOC),
    "limit_limit_gtc": (OrderType.LIMIT, TimeInForce.GTC),
    "limit_limit_fok": (OrderType.LIMIT, TimeInForce.FOK),
    "stop_limit_stop_limit_gtc": (OrderType.STOP_LIMIT, TimeInForce.GTC),
}
# configurations that Coinbase has, and this venue or a spot product does not
UNSUPPORTED: Final = "UNSUPPORTED_ORDER_CONFIGURATION"


class PlacedOrders:
    """The orders by their client ids: one that is used again creates nothing."""

    def __init__(self) -> None:
        self.by_client_id: dict[tuple[str, str], SimOrder] = {}
        self.refuses_duplicates = False  # True: a used id is refused instead of answered by its order

    def find(self, account: str, client_order_id: str) -> SimOrder | None:
        """Return the order of an id, or None."""
        return self.by_client_id.get((account, client_order_id))


def place(request: Request, placed: PlacedOrders) -> dict[str, Any]:
    """Place an order, or refuse it with the same status."""
    body = request.json
    given = body.get("order_configuration")
    if not isinstance(given, dict) or len(given) != 1 or not isinstance(body.get("client_order_id"), str):
        raise refusal_bodies.invalid_argument("client_order_id and one order_configuration are required")
    client_order_id = str(body["client_order_id"])
    known = placed.find(request.account, client_order_id)
    if known is not None:
        request.count_id(client_order_id)
    if known is not None and not placed.refuses_duplicates:
        return _accepted(known)
    try:
        if known is not None:
            raise refusal_bodies.OrderRefusedError(refusal_bodies.DUPLICATE)
        new = _new_order(request, body, client_order_id)
        order = request.exchange.place(request.account, new, request.now_ns)
    except refusal_bodies.OrderRefusedError as refused:
        return refusal_bodies.refused_order(refused.reason, refused.message, given)
    except VenueRefusalError as refused:
        return refusal_bodies.refused_order(refusal_bodies.reason_of(refused), refused.message, given)
    placed.by_client_id[request.account, client_order_id] = order
    return _accepted(order)


def _accepted(order: SimOrder) -> dict[str, Any]:
    """Return the body of an accepted placement. The top level's `order_id` and `failure_reason` say nothing."""
    return {
        "success": True,
        "failure_reason": refusal_bodies.NO_REASON,
        "order_id": "",
        "success_response": {
            "order_id": words.order_id(order.order_id),
            "product_id": order.symbol,
            "side": order.side.value,
            "client_order_id": order.client_order_id,
            "attached_order_id": "",
        },
        "order_configuration": words.configuration(order),
    }


def _new_order(request: Request, body: dict[str, Any], client_order_id: str) -> SimNewOrder:
    ((key, fields),) = body["order_configuration"].items()
    if key not in FIELDS or not isinstance(fields, dict):
        raise refusal_bodies.OrderRefusedError(UNSUPPORTED, f"{key} is not supported for this product")
    kind, in_force = FIELDS[key]
    product, side = str(body.get("product_id")), Side(str(body.get("side")))
    if product not in request.exchange.markets:
        raise refusal_bodies.OrderRefusedError("INVALID_PRODUCT_ID")
    rules = request.exchange.markets[product].rules
    base, quote = _amount(fields.get("base_size")), _amount(fields.get("quote_size"))
    price, stop = _amount(fields.get("limit_price")), _amount(fields.get("stop_price"))
    if bool(base) is bool(quote) or (kind is not OrderType.MARKET and (quote or not price)):
        raise refusal_bodies.OrderRefusedError("PREVIEW_INVALID_ORDER_CONFIG", "one size, and the prices of its kind")
    if price % rules.tick_size or stop % rules.tick_size:
        raise refusal_bodies.OrderRefusedError("PREVIEW_INVALID_PRICE_PRECISION", "Invalid order price precision")
    if base % rules.lot_size:
        raise refusal_bodies.OrderRefusedError("INVALID_SIZE_PRECISION", "Invalid size precision")
    if base and base < rules.quantity_min:
        raise refusal_bodies.OrderRefusedError("PREVIEW_INVALID_BASE_SIZE_TOO_SMALL")
    if kind is OrderType.STOP_LIMIT:
        rises = fields.get("stop_direction") == "STOP_DIRECTION_STOP_UP"
        kind = OrderType.STOP_LIMIT if rises is (side is Side.BUY) else OrderType.TAKE_PROFIT_LIMIT
    if fields.get("post_only") is True:
        kind = OrderType.LIMIT_MAKER
    return SimNewOrder(
        symbol=product,
        side=side,
        order_type=kind,
        time_in_force=in_force,
        quantity=base,
        quote_quantity=quote,
        price=price,
        stop_price=stop,
        client_order_id=client_order_id,
        self_trade=SelfTrade.NONE,
    )


def _amount(value: Any) -> int:
    """Return a number of a configuration; 0 if it is absent."""
    text = str(value or "0")
    whole, _, part = text.partition(".")
    if not (whole.isdigit() and (part or "0").isdigit()) or len(whole) > 12:
        raise refusal_bodies.OrderRefusedError("PREVIEW_INVALID_ORDER_CONFIG", f"no number: {text[:40]}")
    if part[PLACES:].strip("0"):
        raise refusal_bodies.OrderRefusedError("INVALID_SIZE_PRECISION", "more than 8 decimal places")
    return units(text)


def cancel(request: Request) -> dict[str, Any]:
    """Queue cancels by the venue's ids: a success is no end."""
    ids = request.json.get("order_ids")
    if not isinstance(ids, list) or not 0 < len(ids) <= CANCELS_MAX:
        raise refusal_bodies.invalid_argument("order_ids")
    return {"results": [_cancel(request, str(each)) for each in ids]}


def _cancel(request: Request, name: str) -> dict[str, Any]:
    order, reason = _own(request, name), "UNKNOWN_CANCEL_ORDER"
    if order is not None and order.is_open:
        request.announce_cancel(order)
        request.exchange.cancel(order, request.now_ns, cancel_client_order_id="")
        return {"success": True, "failure_reason": "UNKNOWN_CANCEL_FAILURE_REASON", "order_id": name}
    return {"success": False, "failure_reason": reason, "order_id": name}


def edit(request: Request) -> dict[str, Any]:
    """Reduce an open order. Price and size are both needed: one that is left out counts as 0."""
    body = request.json
    order = _own(request, str(body.get("order_id")))
    if order is None or not order.is_open:
        return _not_edited("ORDER_NOT_FOUND")
    size, price = _amount(body.get("size")), _amount(body.get("price"))
    if not size:
        return _not_edited("INVALID_EDITED_SIZE")
    if size <= order.executed:
        return _not_edited("CANNOT_EDIT_TO_BELOW_FILLED_SIZE")
    if order.order_type is OrderType.MARKET or price != order.price or size > order.quantity:
        return _not_edited("REPLACE_NOT_SUPPORTED")  # the exchange core keeps the price of an order that it changes
    request.exchange.amend(order, size, request.now_ns, client_order_id=order.client_order_id)
    return {"success": True, "success_response": {"order_id": words.order_id(order.order_id)}, "errors": []}


def _not_edited(reason: str) -> dict[str, Any]:
    return {
        "success": False,
        "error_response": {"edit_order_failure_reason": reason},
        "errors": [{"edit_failure_reason": reason, "preview_failure_reason": refusal_bodies.NO_PREVIEW}],
    }


def one_order(request: Request, name: str) -> dict[str, Any]:
    """Return one order by the venue's id; there is no query by the client's."""
    order = _own(request, name)
    if order is None or request.is_hidden(order):
        raise refusal_bodies.not_found("order with this orderID was not found")
    return {"order": words.order_row(order)}


def listed(request: Request) -> dict[str, Any]:
    """Return orders, newest first."""
    statuses, products = request.all("order_status"), request.all("product_ids")
    ids = request.all("order_ids")
    found = [
        order
        for order in _orders(request)
        if (not statuses or words.STATUSES[order.status] in statuses)
        and (not products or order.symbol in products)
        and (not ids or words.order_id(order.order_id) in ids)
        and not request.is_hidden(order)
    ]
    page, following = request.page(found, PAGE_MAX, PAGE_MAX)
    rows = [words.order_row(order) for order in page]
    return {"orders": rows, "sequence": "0", "has_next": bool(following), "cursor": following}


def fills(request: Request) -> dict[str, Any]:
    """Return fills, newest first."""
    products, ids = request.all("product_ids"), request.all("order_ids")
    since_ns = _time(request.first("start_sequence_timestamp"), 0)
    until_ns = _time(request.first("end_sequence_timestamp"), 2**63)
    found = [
        fill
        for fill in _fills(_orders(request))
        if (not products or fill.symbol in products)
        and (not ids or words.order_id(fill.order_id) in ids)
        and since_ns // 1_000 * 1_000 <= fill.time_ns < until_ns
        and not request.is_unlisted(fill)
    ]
    found.sort(key=lambda fill: (fill.time_ns, fill.trade_id), reverse=True)
    page, following = request.page(found, PAGE, PAGE_MAX)
    return {"fills": [words.fill_row(fill, request.account) for fill in page], "cursor": following}


def _time(text: str, absent_ns: int) -> int:
    try:
        return nanoseconds(text) if text else absent_ns
    except ValueError:
        raise refusal_bodies.invalid_argument(f"no time: {text[:40]}") from None


def _own(request: Request, name: str) -> SimOrder | None:
    number = words.number_of(name)
    order = None if number is None else request.exchange.orders.get(number)
    return order if order is not None and order.account == request.account else None


def _orders(request: Request) -> Iterator[SimOrder]:
    return (order for order in reversed(request.exchange.orders.values()) if order.account == request.account)


def _fills(orders: Iterable[SimOrder]) -> Iterator[SimFill]:
    return (fill for order in orders for fill in order.fills)
