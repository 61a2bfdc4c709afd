"""Kraken's words for orders, fills, amounts and times, as the simulated venue says them. Decides nothing."""

import re
from typing import Any, Final

import msgspec

from engine.model import OrderType, Side
from engine.sim.exchange.order_values import SimFill, SimOrder, SimOrderStatus
from engine.sim.units import plain
from engine.venues.kraken.order_types import NAMES
from engine.venues.kraken.values import rest_pair
from engine.venues.timestamps import time_text

DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ID_DIGITS: Final = 11
OWN_ID: Final = "sim-o"  # the exchange's name for an order whose client gave none
_ID: Final = re.compile(r"[OT][A-Z]{5}-([0-9A-Z]{5})-([0-9A-Z]{6})")
CLIENT_ID: Final = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|[0-9a-fA-F]{32}|[\x21-\x7e]{1,18}")
# status of an order on the stream, and over REST, where a filled order is `closed`
STREAM_STATUSES: Final = {
    SimOrderStatus.NEW: "new",
    SimOrderStatus.PARTIALLY_FILLED: "partially_filled",
    SimOrderStatus.FILLED: "filled",
}
REST_STATUSES: Final = {
    SimOrderStatus.NEW: "open",
    SimOrderStatus.PARTIALLY_FILLED: "open",
    SimOrderStatus.FILLED: "closed",
}
ENDED: Final = "canceled"  # for any other end, as that of the rest of an IOC or a market order


def order_id(number: int) -> str:
    """Return the id of an order.

    >>> order_id(1_000_001), number_of(order_id(1_000_001))
    ('OSIMUL-00000-00LFLT', 1000001)
    """
    return _id("OSIMUL", number)


def fill_id(fill: SimFill) -> str:
    """Return the id of a fill. The two orders of one trade have two."""
    return _id("TSIMBY" if fill.side is Side.BUY else "TSIMSL", fill.trade_id)


def _id(head: str, number: int) -> str:
    digits = ""
    for _ in range(ID_DIGITS):
        number, rest = divmod(number, len(DIGITS))
        digits = DIGITS[rest] + digits
    return f"{head}-{digits[:5]}-{digits[5:]}"


def number_of(name: str) -> int:
    """Return the number of an order's id; -1 for any other text."""
    found = _ID.fullmatch(name)
    return int("".join(found.groups()), len(DIGITS)) if found else -1


def client_id(order: SimOrder) -> str:
    """Return the client's id of an order; "" if it gave none."""
    return "" if order.client_order_id.startswith(OWN_ID) else order.client_order_id


def is_client_id(name: str) -> bool:
    """Return True for an id that the venue takes: a UUID, its 32 digits, or text of up to 18 characters."""
    return CLIENT_ID.fullmatch(name) is not None


def number(amount: int) -> msgspec.Raw:
    """Return an amount as a JSON number, which has no zeros at its end."""
    return msgspec.Raw(plain(amount).encode())


def stamp(time_ns: int) -> str:
    """Return a time of the stream, in microseconds."""
    return f"{time_text(time_ns)[:-4]}Z"


def seconds(time_ns: int) -> msgspec.Raw:
    """Return a time of REST, in tenths of a millisecond."""
    return msgspec.Raw(f"{time_ns // 10**9}.{time_ns % 10**9 // 100_000:04d}".encode())


def rest_order(order: SimOrder) -> dict[str, Any]:
    """Return an order as REST lists it."""
    is_open = order.is_open
    price, price2 = (order.stop_price, order.price) if order.stop_price else (order.price, 0)
    side, kind = order.side.value.lower(), NAMES[order.order_type]
    flags = ["post"] if order.order_type is OrderType.LIMIT_MAKER else []
    fee = sum(fill.fee for fill in order.fills)
    return {
        "refid": None,
        "userref": 0,
        **({"cl_ord_id": client_id(order)} if client_id(order) else {}),
        "status": REST_STATUSES.get(order.status, ENDED),
        "reason": None if is_open or order.status is SimOrderStatus.FILLED else end_reason(order),
        "opentm": seconds(order.created_ns),
        **({} if is_open else {"closetm": seconds(order.updated_ns)}),
        "starttm": 0,
        "expiretm": 0,
        "descr": {
            "pair": rest_pair(order.symbol), "type": side, "ordertype": kind, "price": plain(price),
            "price2": plain(price2), "leverage": "none", "order": f"{side} {plain(order.quantity)} {kind}",
            "close": "",
        },
        "vol": plain(order.quantity),
        "vol_exec": plain(order.executed),
        "cost": plain(order.executed_quote),
        "fee": plain(fee),
        "price": plain(order.executed_quote * 10**8 // order.executed) if order.executed else "0",
        "stopprice": "0",
        "limitprice": "0",
        "misc": "",
        "oflags": ",".join([*flags, "fciq"]),
        "timeinforce": order.time_in_force.value,
        "trades": [fill_id(fill) for fill in order.fills],
    }  # fmt: skip


def end_reason(order: SimOrder) -> str:
    """Return why an order ended without being filled."""
    if order.reject_reason:
        return order.reject_reason
    return "User requested" if order.status is SimOrderStatus.CANCELED else "IOC order"


def rest_trade(order: SimOrder, fill: SimFill) -> dict[str, Any]:
    """Return a fill as REST lists it. Its fee is in the quote asset."""
    return {
        "ordertxid": order_id(order.order_id), "postxid": "", "pair": rest_pair(order.symbol),
        "time": seconds(fill.time_ns), "type": fill.side.value.lower(), "ordertype": NAMES[order.order_type],
        "price": plain(fill.price), "cost": plain(fill.quote), "fee": plain(fill.fee),
        "vol": plain(fill.quantity), "margin": "0", "misc": "", "trade_id": fill.trade_id, "maker": fill.maker,
    }  # fmt: skip


def described(order: SimOrder) -> dict[str, Any]:
    """Return the first frame of an order on the stream, which alone describes it."""
    row: dict[str, Any] = {
        "order_id": order_id(order.order_id), "symbol": order.symbol, "side": order.side.value.lower(),
        "order_type": NAMES[order.order_type], "order_qty": number(order.quantity),
        "time_in_force": order.time_in_force.value, "order_userref": 0, "cum_qty": number(order.executed),
        "cum_cost": number(order.executed_quote), "timestamp": stamp(order.updated_ns),
    }  # fmt: skip
    if client_id(order):
        row["cl_ord_id"] = client_id(order)
    if order.price:
        row |= {"limit_price": number(order.price), "limit_price_type": "static"}
    if order.order_type is OrderType.LIMIT_MAKER:
        row["post_only"] = True
    if order.stop_price:
        status = "untriggered" if order.is_held else "triggered"
        row["triggers"] = {"reference": "last", "price": number(order.stop_price), "status": status}
    return row


def changed(order: SimOrder, exec_type: str, status: str, **more: Any) -> dict[str, Any]:
    """Return a later frame of an order, which names it by the venue's id alone."""
    return {
        "order_id": order_id(order.order_id), "exec_type": exec_type, **({"order_status": status} if status else {}),
        "order_userref": 0, "timestamp": stamp(order.updated_ns), **more,
    }  # fmt: skip


def traded(order: SimOrder, fill: SimFill) -> dict[str, Any]:
    """Return the frame of a fill. The last one still says `partially_filled`; a frame `filled` follows it."""
    return changed(
        order, "trade", "partially_filled", exec_id=fill_id(fill), trade_id=fill.trade_id,
        last_qty=number(fill.quantity), last_price=number(fill.price), cost=number(fill.quote),
        liquidity_ind="m" if fill.maker else "t", fees=[{"asset": fill.fee_asset, "qty": number(fill.fee)}],
        cum_qty=number(order.executed), cum_cost=number(order.executed_quote),
    ) | {"timestamp": stamp(fill.time_ns)}  # fmt: skip
