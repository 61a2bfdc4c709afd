"""Parameters of order lists, read as Binance reads them: OCO, OTO, OTOCO, OPO, OPOCO, and the old form of OCO.

An order's parameters have the prefix of its place in the list (above, below, working, pending, pendingAbove,
pendingBelow).
"""

from typing import Final

from engine.model import OrderType, Side
from engine.sim.binance import refusals
from engine.sim.binance.params import OrderParams, Params
from engine.sim.exchange.order_lists import Contingency, SimNewList, is_stop_loss
from engine.sim.exchange.order_values import SimNewOrder

# usual name -> suffix behind the prefix of a place
_SUFFIXES: Final = {
    "type": "Type",
    "newClientOrderId": "ClientOrderId",
    "price": "Price",
    "stopPrice": "StopPrice",
    "trailingDelta": "TrailingDelta",
    "icebergQty": "IcebergQty",
    "timeInForce": "TimeInForce",
}
_UNREAD: Final = ("StrategyId", "StrategyType", "PegPriceType", "PegOffsetType", "PegOffsetValue")
_COMMON: Final = "symbol listClientOrderId newOrderRespType selfTradePreventionMode"
_PAIR_TYPES: Final = frozenset(
    {OrderType.STOP, OrderType.STOP_LIMIT, OrderType.LIMIT_MAKER, OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT}
)
_PENDING_PAIR: Final = ("pendingAbove", "pendingBelow")


def _names(*prefixes: str) -> str:
    return " ".join(prefix + suffix for prefix in prefixes for suffix in _SUFFIXES.values())


def _later(*prefixes: str) -> str:
    return " ".join(prefix + suffix for prefix in prefixes for suffix in _UNREAD)


_WORKING: Final = "workingSide workingQuantity pendingSide"
_OLD: Final = (
    "side quantity price limitClientOrderId limitIcebergQty trailingDelta stopClientOrderId stopPrice stopLimitPrice "
    "stopIcebergQty stopLimitTimeInForce"
)
# path -> what is read, what Binance reads beside it
PARAMS: Final = {
    "orderList/oco": (f"{_COMMON} side quantity {_names('above', 'below')}", _later("above", "below")),
    "orderList/oto": (
        f"{_COMMON} {_WORKING} pendingQuantity {_names('working', 'pending')}",
        _later("working", "pending"),
    ),
    "orderList/otoco": (
        f"{_COMMON} {_WORKING} pendingQuantity {_names('working', *_PENDING_PAIR)}",
        _later("working", *_PENDING_PAIR),
    ),
    "orderList/opo": (f"{_COMMON} {_WORKING} {_names('working', 'pending')}", _later("working", "pending")),
    "orderList/opoco": (
        f"{_COMMON} {_WORKING} {_names('working', *_PENDING_PAIR)}",
        _later("working", *_PENDING_PAIR),
    ),
    "order/oco": (
        f"{_COMMON} {_OLD}",
        "limitStrategyId limitStrategyType stopStrategyId stopStrategyType",
    ),
}


def _leg(params: Params, prefix: str, side: str, quantity: str, *, is_sized: bool = True) -> SimNewOrder:
    names = {name: prefix + suffix for name, suffix in _SUFFIXES.items()} | {"side": side, "quantity": quantity}
    return OrderParams(params, names).read(params.symbol(), is_sized=is_sized)


def _pair(above: SimNewOrder, below: SimNewOrder) -> tuple[SimNewOrder, SimNewOrder]:
    """Return the stop-loss and the other order of a pair, or refuse types that do not fit their places."""
    if not {above.order_type, below.order_type} <= _PAIR_TYPES:
        raise refusals.oco_type_refused()
    if above.order_type is below.order_type is OrderType.LIMIT_MAKER:
        raise refusals.bad_pair(-1168, "At least one OCO order must be contingent.")
    buying = above.side is Side.BUY
    loss, gain = (above, below) if buying else (below, above)
    if is_stop_loss(gain):
        text = "A stop loss order in a buy OCO must be above." if buying else (
            "A stop loss order in a sell OCO must be below.")  # fmt: skip
        raise refusals.bad_pair(-1196 if buying else -1197, text)
    if loss.order_type is OrderType.LIMIT_MAKER:
        text = "A limit order in a buy OCO must be below." if buying else (
            "A limit order in a sell OCO must be above.")  # fmt: skip
        raise refusals.bad_pair(-1165 if buying else -1166, text)
    if not is_stop_loss(loss):
        text = "A take profit order in a buy OCO must be below." if buying else (
            "A take profit order in a sell OCO must be above.")  # fmt: skip
        raise refusals.bad_pair(-1198 if buying else -1199, text)
    return loss, gain


def _working(params: Params) -> SimNewOrder:
    working = _leg(params, "working", "workingSide", "workingQuantity")
    if working.order_type not in (OrderType.LIMIT, OrderType.LIMIT_MAKER):
        raise refusals.invalid_parameter("workingType")
    return working


def _require_paid(working: SimNewOrder, pending: tuple[SimNewOrder, ...]) -> None:
    if working.side is not Side.BUY:
        raise refusals.bad_pair(-1222, "Working order in an OPO list must be a bid.")
    if any(order.side is not Side.SELL for order in pending):
        raise refusals.bad_pair(-1223, "Pending orders in an OPO list must be asks.")


def oco(params: Params) -> SimNewList:
    """Read an OCO."""
    above, below = (_leg(params, prefix, "side", "quantity") for prefix in ("above", "below"))
    return SimNewList(contingency=Contingency.OCO, orders=_pair(above, below), client_list_id=_client_id(params))


def old_oco(params: Params) -> SimNewList:
    """Read an OCO in its old form: a LIMIT_MAKER, and a STOP_LOSS or a STOP_LOSS_LIMIT."""
    params.required("price")
    limits_stop = params.get("stopLimitPrice") is not None
    limit_names = {"newClientOrderId": "limitClientOrderId", "icebergQty": "limitIcebergQty", "stopPrice": "-",
                   "trailingDelta": "-", "type": "limitType"}  # fmt: skip
    stop_names = {"newClientOrderId": "stopClientOrderId", "icebergQty": "stopIcebergQty", "price": "stopLimitPrice",
                  "timeInForce": "stopLimitTimeInForce", "type": "stopType"}  # fmt: skip
    given = {"limitType": "LIMIT_MAKER", "stopType": "STOP_LOSS_LIMIT" if limits_stop else "STOP_LOSS"}
    gain, loss = (OrderParams(params, names, given).read(params.symbol()) for names in (limit_names, stop_names))
    return SimNewList(contingency=Contingency.OCO, orders=(loss, gain), client_list_id=_client_id(params))


def oto(params: Params) -> SimNewList:
    """Read an OTO."""
    orders = (_working(params), _leg(params, "pending", "pendingSide", "pendingQuantity"))
    return SimNewList(contingency=Contingency.OTO, orders=orders, client_list_id=_client_id(params))


def otoco(params: Params) -> SimNewList:
    """Read an OTOCO."""
    working = _working(params)
    above, below = (_leg(params, prefix, "pendingSide", "pendingQuantity") for prefix in _PENDING_PAIR)
    orders = (working, *_pair(above, below))
    return SimNewList(contingency=Contingency.OTO, orders=orders, client_list_id=_client_id(params))


def opo(params: Params) -> SimNewList:
    """Read an OPO: an OTO whose working order pays for the pending one."""
    working = _working(params)
    pending = _leg(params, "pending", "pendingSide", "-", is_sized=False)
    _require_paid(working, (pending,))
    return SimNewList(
        contingency=Contingency.OTO,
        orders=(working, pending),
        client_list_id=_client_id(params),
        is_paid_by_working=True,
    )


def opoco(params: Params) -> SimNewList:
    """Read an OPOCO: an OTOCO whose working order pays for the pending pair."""
    working = _working(params)
    above, below = (_leg(params, prefix, "pendingSide", "-", is_sized=False) for prefix in _PENDING_PAIR)
    _require_paid(working, (above, below))
    return SimNewList(
        contingency=Contingency.OTO,
        orders=(working, *_pair(above, below)),
        client_list_id=_client_id(params),
        is_paid_by_working=True,
    )


def _client_id(params: Params) -> str:
    return params.client_id("listClientOrderId") or ""
