"""Endpoints of the simulated Kraken that place, amend and cancel orders."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from engine.model import OrderType, Side, TimeInForce
from engine.sim.binance import refusals as core
from engine.sim.binance.refusals import VenueRefusalError
from engine.sim.exchange.order_values import SelfTrade, SimNewOrder, SimOrder
from engine.sim.kraken import words
from engine.sim.kraken.counters import AMEND_COSTS, CANCEL_COSTS, cost
from engine.sim.kraken.pair_rules import decimals_of
from engine.sim.kraken.refusals import refusal
from engine.sim.kraken.request import Request
from engine.venues.kraken.order_types import OF_STOPS, POST, TYPES

POST_ONLY_REASON: Final = "Post only order"
SELF_TRADE: Final = {
    "cancel-newest": SelfTrade.EXPIRE_TAKER, "cancel-oldest": SelfTrade.EXPIRE_MAKER,
    "cancel-both": SelfTrade.EXPIRE_BOTH,
}  # fmt: skip
PRICED: Final = frozenset({"limit", "stop-loss-limit", "take-profit-limit"})
WORD: Final = "EGeneral:Invalid arguments"


def new_order(request: Request) -> SimNewOrder:
    """Return the order that a request describes, or refuse it."""
    symbol, name = request.symbol(), request.required("ordertype")
    sides, flags = {"buy": Side.BUY, "sell": Side.SELL}, request.params.get("oflags", "").split(",")
    side, kind = sides.get(request.required("type")), TYPES.get(name)
    client_id, in_force = request.params.get("cl_ord_id", ""), request.params.get("timeinforce", "") or "GTC"
    if side is None or kind is None:
        raise refusal(f"{WORD}:{'type' if side is None else 'ordertype'}")
    if client_id and (not words.is_client_id(client_id) or request.params.get("userref")):
        raise refusal(f"{WORD}:cl_ord_id")
    if in_force not in TimeInForce.__members__ or (in_force == "FOK" and name != "limit"):
        raise refusal(f"{WORD}:timeinforce")
    if POST in flags and name != "limit":
        raise refusal(f"{WORD}:post only order option is only available when ordertype = limit")
    price_decimals, lot_decimals = decimals_of(request.exchange.market(symbol).rules)
    first, second = (
        request.amount(each, price_decimals, f"EOrder:Invalid price:{each}") for each in ("price", "price2")
    )
    price, stop_price = (second, first) if name in OF_STOPS else (first, 0)
    if (name in PRICED and not price) or (name in OF_STOPS and not stop_price):
        raise refusal(f"{WORD}:price")
    volume = request.amount("volume", lot_decimals, f"{WORD}:volume")
    if not volume:
        raise refusal(f"{WORD}:volume")
    return SimNewOrder(
        symbol=symbol,
        side=side,
        order_type=OrderType.LIMIT_MAKER if POST in flags else kind,
        time_in_force=TimeInForce(in_force),
        quantity=volume,
        price=price if name in PRICED else 0,
        stop_price=stop_price,
        client_order_id=client_id,
        self_trade=SELF_TRADE.get(request.params.get("stptype", ""), SelfTrade.EXPIRE_TAKER),
    )


def add(request: Request) -> dict[str, Any]:
    """Place an order. A post-only one that would match is accepted, and canceled at once."""
    new = new_order(request)
    request.counters.count_trading(request.account, new.symbol, 1, request.now_ns)
    request.check_deadline()
    described = {"order": f"{new.side.value.lower()} {request.params['volume']} {request.params['ordertype']}"}
    if request.params.get("validate") in ("true", "1"):
        request.exchange.check(request.account, new)
        return {"descr": described}
    try:
        order = request.exchange.place(request.account, new, request.now_ns)
    except VenueRefusalError as refused:
        if refused.message != core.would_match().message:
            raise
        order = request.exchange.report_rejected(request.account, new, POST_ONLY_REASON, request.now_ns)
        request.exchange.orders[order.order_id] = order  # it is listed as any other that ended
    return {"descr": described, "txid": [words.order_id(order.order_id)]}


def _named(request: Request, name: str) -> list[SimOrder]:
    """Return the open orders that an id names: the venue's, or the client's."""
    by_id = request.exchange.orders.get(words.number_of(name))
    if by_id is not None and by_id.account == request.account and by_id.is_open:
        return [by_id]
    return [each for each in request.exchange.open_orders(request.account) if words.client_id(each) == name]


def cancel(request: Request) -> dict[str, Any]:
    """Cancel an order. The points depend on its age, and are not charged for an order that is not open."""
    name = request.params.get("cl_ord_id", "") or request.required("txid")
    found = _named(request, name)
    if not found:
        raise refusal("EOrder:Unknown order")
    for order in found:
        points = cost(CANCEL_COSTS, request.now_ns - order.created_ns)
        request.counters.count_trading(request.account, order.symbol, points, request.now_ns)
        request.exchange.cancel(order, request.now_ns, cancel_client_order_id="")
    return {"count": len(found)}


def cancel_all(request: Request) -> dict[str, Any]:
    """Cancel all open orders of the account, of every pair."""
    found = request.exchange.open_orders(request.account)
    for order in found:
        request.exchange.cancel(order, request.now_ns, cancel_client_order_id="")
    return {"count": len(found)}


def amend(request: Request) -> dict[str, Any]:
    """Change the quantity of an open order, which keeps its ids and its place. Below what was filled, it ends."""
    name = request.params.get("cl_ord_id", "") or request.required("txid")
    found = _named(request, name)
    if not found:
        raise refusal("EOrder:Unknown order")
    order = found[0]
    _, lot_decimals = decimals_of(request.exchange.market(order.symbol).rules)
    quantity = request.amount("order_qty", lot_decimals, f"{WORD}:order_qty")
    points = 1 + cost(AMEND_COSTS, request.now_ns - order.created_ns)
    request.counters.count_trading(request.account, order.symbol, points, request.now_ns)
    request.check_deadline()
    if not quantity:
        raise refusal(f"{WORD}:order_qty")
    if quantity <= order.executed:
        request.exchange.cancel(order, request.now_ns, cancel_client_order_id="")
    else:
        request.exchange.amend(order, quantity, request.now_ns, client_order_id=order.client_order_id)
    return {"amend_id": words.order_id(order.order_id).replace("O", "A", 1)}


ENDPOINTS: Final[Mapping[str, Callable[[Request], Any]]] = {
    "AddOrder": add,
    "AmendOrder": amend,
    "CancelOrder": cancel,
    "CancelAll": cancel_all,
}
