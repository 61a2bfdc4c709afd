"""Signed endpoints of USD-M that change orders or handle several: PUT order, batches, the countdown."""

from typing import Any, Final

import msgspec

from engine.sim.binance import refusals
from engine.sim.binance.endpoints import Call, signed, trading
from engine.sim.binance.params import Params
from engine.sim.binance.refusals import VenueRefusalError
from engine.sim.binance_usdm import contract_refusals as own
from engine.sim.binance_usdm.contract_params import ContractParams, precise_amount
from engine.sim.binance_usdm.endpoint_calls import MS, contracts, market_of, page, whole_number
from engine.sim.binance_usdm.order_endpoints import cancel_order, named_order, place
from engine.sim.binance_usdm.order_messages import order_answer
from engine.sim.exchange.order_values import SimOrder
from engine.sim.units import plain

BATCH_MAX: Final = 5
CANCEL_BATCH_MAX: Final = 10


def modify(call: Call) -> dict[str, Any]:
    """Change price and quantity of a limit order, which loses its place in the queue."""
    order = named_order(call)
    request = ContractParams(call.params, market_of(call), call.now_ns)
    side = request.side()
    for name in ("quantity", "price"):
        call.params.required(name)
    quantity = precise_amount(call.params, "quantity", request.quantity_decimals)
    price = precise_amount(call.params, "price", request.price_decimals)
    if order is None or side is not order.side:
        raise refusals.no_such_order()
    contracts(call).modify(order, quantity=quantity, price=price, now_ns=call.now_ns)
    return order_answer(order)


def count_and_modify(call: Call) -> dict[str, Any]:
    """Change an order. It counts in the order limits."""
    call.limits.require_room(call.account, call.now_ns)
    call.limits.count_order(call.account, call.now_ns)
    return modify(call)


def amendments(call: Call) -> list[dict[str, Any]]:
    """Return a page of the changes of a symbol's orders, newest first."""
    symbol, order_id = market_of(call).rules.symbol, call.params.integer("orderId")
    name, exchange = call.params.get("origClientOrderId"), contracts(call)
    found = [
        _amendment(order, number, change)
        for order in exchange.orders.values()
        if (order.account, order.symbol) == (call.account, symbol)
        and order_id in (None, order.order_id)
        and name in (None, order.client_order_id)
        for number, change in enumerate(exchange.amendments.get(order.order_id, ()), start=1)
    ]
    return page(found, call.params.limit(default=50, most=100), oldest_first=False)[::-1]


def _amendment(order: SimOrder, number: int, change: Any) -> dict[str, Any]:
    return {
        "amendmentId": change.number,
        "symbol": order.symbol,
        "pair": order.symbol,
        "orderId": order.order_id,
        "clientOrderId": order.client_order_id,
        "time": change.time_ns // MS,
        "amendment": {
            "price": {"before": plain(change.price_before), "after": plain(change.price)},
            "origQty": {"before": plain(change.quantity_before), "after": plain(change.quantity)},
            "count": number,
        },
        "priceMatch": order.contract.price_match if order.contract is not None else "NONE",
    }


def _batch(call: Call) -> list[Params]:
    """Return the parameters of each order of a batch."""
    try:
        rows = msgspec.json.decode(call.params.required("batchOrders"), type=list[dict[str, Any]])
    except msgspec.DecodeError:
        raise refusals.invalid_parameter("batchOrders") from None
    if not 1 <= len(rows) <= BATCH_MAX:
        raise own.batch_too_long()
    return [Params([(name, _text(value)) for name, value in row.items()]) for row in rows]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _answer_batch(call: Call, handler: Any, batch: list[Params]) -> list[Any]:
    """Return the answer to each request of a batch: its own, or its refusal."""
    answers: list[Any] = []
    for params in batch:
        try:
            answers.append(handler(msgspec.structs.replace(call, params=params)))
        except VenueRefusalError as refusal:
            answers.append({"code": refusal.code, "msg": refusal.message})
    return answers


def place_batch(call: Call) -> list[Any]:
    """Place up to five orders; each is answered for itself."""
    return _answer_batch(call, place, _batch(call))


def modify_batch(call: Call) -> list[Any]:
    """Change up to five orders; each is answered for itself."""
    return _answer_batch(call, count_and_modify, _batch(call))


def cancel_batch(call: Call) -> list[Any]:
    """Cancel up to ten orders of a symbol; each is answered for itself."""
    symbol = market_of(call).rules.symbol
    given = [(_LISTS[name], call.params.get(name)) for name in _LISTS if call.params.get(name)]
    if not given:
        raise refusals.mandatory_either("orderIdList", "origClientOrderIdList")
    name, text = given[0]
    try:
        ids = msgspec.json.decode(text or "", type=list[int | str])
    except msgspec.DecodeError:
        raise refusals.invalid_parameter(f"{name}List") from None
    if not 1 <= len(ids) <= CANCEL_BATCH_MAX:
        raise own.batch_too_long()
    batch = [Params([("symbol", symbol), (name, str(each))]) for each in ids]
    return _answer_batch(call, lambda one: cancel_order(one, named_order(one)), batch)


def countdown(call: Call) -> dict[str, Any]:
    """Set the dead-man switch of a symbol: all its orders are canceled unless it is set again in time."""
    symbol, countdown_ms = market_of(call).rules.symbol, whole_number(call.params, "countdownTime")
    until_ns = call.now_ns + countdown_ms * MS if countdown_ms else 0
    contracts(call).deadlines.count_down(call.account, symbol, until_ns)
    return {"symbol": symbol, "countdownTime": str(countdown_ms)}


# parameter -> the name of each of its ids; clients send both spellings
_LISTS: Final = {
    "orderIdList": "orderId",
    "orderidlist": "orderId",
    "origClientOrderIdList": "origClientOrderId",
    "origclientorderidlist": "origClientOrderId",
}
_MODIFY: Final = "symbol orderId origClientOrderId side quantity price priceMatch modifyId"
ENDPOINTS: Final = {
    ("PUT", "/fapi/v1/order"): trading(count_and_modify, 0, counts_order=True),
    ("GET", "/fapi/v1/orderAmendment"): signed(amendments, 1),
    ("POST", "/fapi/v1/batchOrders"): trading(place_batch, 5, counts_order=True),
    ("PUT", "/fapi/v1/batchOrders"): trading(modify_batch, 5, counts_order=True),
    ("DELETE", "/fapi/v1/batchOrders"): trading(cancel_batch),
    ("POST", "/fapi/v1/countdownCancelAll"): trading(countdown, 10),
}
PARAMS: Final = {
    ("PUT", "/fapi/v1/order"): _MODIFY,
    ("GET", "/fapi/v1/orderAmendment"): "symbol orderId origClientOrderId startTime endTime limit",
    ("POST", "/fapi/v1/batchOrders"): "batchOrders",
    ("PUT", "/fapi/v1/batchOrders"): "batchOrders",
    ("DELETE", "/fapi/v1/batchOrders"): f"symbol {' '.join(_LISTS)}",
    ("POST", "/fapi/v1/countdownCancelAll"): "symbol countdownTime",
}
