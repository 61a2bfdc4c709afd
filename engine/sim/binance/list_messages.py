"""Order lists as Binance's JSON: answers and listStatus events."""

from collections.abc import Sequence
from typing import Any, Final

from engine.sim.binance import venue_messages
from engine.sim.exchange.order_lists import ListChanged, ListStatus, SimOrderList
from engine.sim.exchange.order_values import SimOrder

MS: Final = 1_000_000


def _order_status(status: ListStatus) -> str:
    """Return the listOrderStatus for a listStatusType."""
    return "ALL_DONE" if status is ListStatus.ALL_DONE else "EXECUTING"


def _entries(symbol: str, orders: Sequence[tuple[int, str]]) -> list[dict[str, Any]]:
    return [{"symbol": symbol, "orderId": order_id, "clientOrderId": name} for order_id, name in orders]


def _list(own: SimOrderList, status: ListStatus) -> dict[str, Any]:
    return {
        "orderListId": own.list_id,
        "contingencyType": own.contingency,
        "listStatusType": status,
        "listOrderStatus": _order_status(status),
        "listClientOrderId": own.client_list_id,
        "transactionTime": own.changed_ns // MS,
        "symbol": own.symbol,
        "orders": _entries(own.symbol, [(order.order_id, order.client_order_id) for order in own.orders]),
    }


def list_query(own: SimOrderList) -> dict[str, Any]:
    """Return a list as in the answers of GET orderList, openOrderList and allOrderList."""
    return _list(own, own.status)


def placed_answer(own: SimOrderList, orders: Sequence[SimOrder], response_type: str | None) -> dict[str, Any]:
    """Return the answer to a placement, with its orders as they were at the placement."""
    reports = [venue_messages.order_answer(order, response_type or "FULL") for order in orders]
    return {**_list(own, ListStatus.EXEC_STARTED), "orderReports": reports}


def cancel_answer(own: SimOrderList, orders: Sequence[SimOrder], cancel_client_order_id: str) -> dict[str, Any]:
    """Return the answer to the cancel of a list, or of one of its orders."""
    reports = [venue_messages.cancel_answer(order, cancel_client_order_id) for order in orders]
    return {**list_query(own), "orderReports": reports}


def amended_list(own: SimOrderList) -> dict[str, Any]:
    """Return the list in the answer to the amendment of one of its orders."""
    shown = list_query(own)
    return {name: value for name, value in shown.items() if name not in ("listStatusType", "transactionTime")}


def list_status(change: ListChanged) -> dict[str, Any]:
    """Return a listStatus event."""
    own, millis = change.order_list, change.time_ns // MS
    return {
        "e": "listStatus",
        "E": millis,
        "s": own.symbol,
        "g": own.list_id,
        "c": own.contingency,
        "l": change.status,
        "L": _order_status(change.status),
        "r": "NONE",
        "C": own.client_list_id,
        "T": millis,
        "O": [{"s": own.symbol, "i": order_id, "c": name} for order_id, name in change.orders],
    }
