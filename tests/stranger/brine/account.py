"""Brine's account: calls as unsigned values, frames and answers as events. Total, and without memory."""

from collections.abc import Callable, Mapping
from decimal import Decimal

import msgspec

from brine.frames import FAILURES, acknowledged, nanoseconds, request_of
from brine.metadata import PATH as INSTRUMENTS_PATH
from brine.metadata import BrineMetadata
from engine.events import (
    AccountReport,
    Answer,
    BalanceReport,
    Event,
    Fill,
    FillsReport,
    OpenOrdersReport,
    OrderReport,
    Outcome,
    Unrecognised,
    VenueStatus,
)
from engine.model import Instrument, OrderType, Side, TimeInForce
from engine.order_terms import Terms
from engine.requests import Transport, Unsigned
from journal.record import plain

PAGE = 50
NUMBER_MAX = Decimal(10) ** 15
OUTCOMES = {
    "EOrder:Unknown order": Outcome.NOT_FOUND,
    "EAPI:Rate limit exceeded": Outcome.RATE_LIMITED,
    "EAPI:Invalid key": Outcome.AUTH,
    "EAPI:Invalid signature": Outcome.AUTH,
    "EAPI:Invalid nonce": Outcome.CLOCK,
    "EService:Busy": Outcome.RETRY_LATER,
}
REFUSALS = ("EOrder:", "EGeneral:")  # words of this kind refuse; any other proves nothing
STATUSES = {
    "new": VenueStatus.OPEN,
    "partially_filled": VenueStatus.PARTIALLY_FILLED,
    "filled": VenueStatus.FILLED,
    "canceled": VenueStatus.CANCELED,
    "expired": VenueStatus.EXPIRED,
}
KINDS = {OrderType.MARKET: "market", OrderType.LIMIT: "limit", OrderType.LIMIT_MAKER: "post"}
TYPES = {word: kind for kind, word in KINDS.items()}
SIDES = {"buy": Side.BUY, "sell": Side.SELL}


class _Order(msgspec.Struct):
    order_id: str
    symbol: str
    side: str
    order_type: str
    order_status: str
    order_qty: Decimal
    cum_qty: Decimal
    time: str
    cl_ord_id: str = ""
    limit_price: Decimal = Decimal(0)
    time_in_force: str = "gtc"
    reason: str = ""


class _Execution(msgspec.Struct):
    exec_id: str
    order_id: str
    symbol: str
    side: str
    last_qty: Decimal
    last_price: Decimal
    fee: Decimal
    fee_asset: str
    liquidity_ind: str
    time: str
    cl_ord_id: str = ""


class _Change(msgspec.Struct):
    order: _Order
    execution: _Execution | None = None


class _Balance(msgspec.Struct):
    asset: str
    balance: Decimal
    hold: Decimal


class _Frame(msgspec.Struct):
    channel: str = ""
    data: msgspec.Raw = msgspec.Raw(b"[]")


class _Body(msgspec.Struct):
    error: list[str]
    result: msgspec.Raw = msgspec.Raw(b"null")


class BrineAccount:
    """An engine.venues.venue.AccountCodec."""

    def place(
        self, client_order_id: str, instrument: Instrument, side: Side, quantity: Decimal, terms: Terms
    ) -> Unsigned:
        """Return the request for a new order."""
        params = {
            "cl_ord_id": client_order_id,
            "symbol": instrument.symbol,
            "side": side.value.lower(),
            "order_type": KINDS[terms.type],
            "order_qty": plain(quantity),
            "time_in_force": terms.time_in_force.value.lower(),
        }
        if terms.price is not None:
            params["limit_price"] = plain(terms.price)
        return _private("AddOrder", orders=1, **params)

    def cancel(self, instrument: Instrument, client_order_id: str, venue_order_id: str = "") -> Unsigned:
        """Return the cancel of an order, by the venue's id once it is known."""
        named = {"order_id": venue_order_id} if venue_order_id else {"cl_ord_id": client_order_id}
        return _private("CancelOrder", **named)

    def cancel_all(self, instrument: Instrument) -> Unsigned:
        """Return the cancel of every open order of a market."""
        return _private("CancelAll", symbol=instrument.symbol)

    def dead_man_switch(self, instrument: Instrument, timeout_ms: int) -> Unsigned:
        """Return the request that arms or disarms the switch of a market."""
        return _private("CancelAllAfter", symbol=instrument.symbol, timeout=str(timeout_ms))

    def query_order(self, instrument: Instrument, client_order_id: str = "", venue_order_id: str = "") -> Unsigned:
        """Return the query for one order."""
        named = {"cl_ord_id": client_order_id} if client_order_id else {"order_id": venue_order_id}
        return _private("QueryOrder", **named)

    def open_orders(self) -> Unsigned:
        """Return the query for all open orders."""
        return _private("OpenOrders")

    def balances(self) -> Unsigned:
        """Return the query for all balances."""
        return _private("Balance")

    def fills_after(self, instrument: Instrument, cursor: str | None) -> Unsigned:
        """Return the query for a page of fills after a cursor; the newest page if it is None."""
        after = {} if cursor is None else {"after": cursor}
        return _private("Trades", weight=2, symbol=instrument.symbol, **after)

    def decode_private(self, payload: bytes) -> tuple[Event, ...]:
        """Return the events of one frame."""
        try:
            frame = msgspec.json.decode(payload, type=_Frame)
            match frame.channel:
                case "":
                    return acknowledged(payload)
                case "executions":
                    changes = msgspec.json.decode(frame.data, type=list[_Change])
                    return tuple(_report(change.order, change.execution) for change in changes)
                case "balances":
                    return tuple(map(_balance, msgspec.json.decode(frame.data, type=list[_Balance])))
                case "heartbeat" | "status":
                    return ()
                case channel:
                    raise ValueError(f"no channel {channel[:40]!r}")
        except FAILURES as error:
            return (_unrecognised("private frame", error),)

    def answered_request(self, payload: bytes) -> str | None:
        """Return the id of the login or subscription that a frame answers."""
        return request_of(payload)


def _private(method: str, *, weight: int = 1, orders: int = 0, **params: str) -> Unsigned:
    return Unsigned(
        Transport.REST, "POST", f"/0/private/{method}", tuple(params.items()), signed=True, weight=weight, orders=orders
    )


def decode_answer(
    unsigned: Unsigned, instrument: str, status: int, headers: Mapping[str, str], payload: bytes
) -> tuple[Event, ...]:
    """Return what an answer proves, then what it reports. The status says little: refusals come with 200."""
    used = _counter(headers)
    if status >= 500:
        return (Answer(Outcome.UNKNOWN, text=f"HTTP {status}", weight_used=used),)
    try:
        body = msgspec.json.decode(payload, type=_Body)
        if body.error:
            word = body.error[0][:200]
            refused = Outcome.REFUSED if word.startswith(REFUSALS) else Outcome.UNKNOWN
            return (Answer(OUTCOMES.get(word, refused), code=word, text=word, weight_used=used),)
        if status != 200:
            return (Answer(Outcome.UNKNOWN, text=f"HTTP {status}", weight_used=used),)
        read = _READERS.get(unsigned.path)
        reports = BrineMetadata().read(payload) if unsigned.path == INSTRUMENTS_PATH else None
        events = (reports,) if reports is not None else read(bytes(body.result), instrument) if read else ()
        return (Answer(Outcome.DONE, weight_used=used), *events)
    except FAILURES as error:
        return (Answer(Outcome.UNKNOWN, weight_used=used), _unrecognised(f"answer to {unsigned.path}", error))


def _counter(headers: Mapping[str, str]) -> int:
    text = headers.get("brine-counter", "none")
    whole, _, part = text.partition(".")
    digits = whole + f"{part:0<2}"[:2]
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 12 else -1


def _order(result: bytes, instrument: str) -> tuple[Event, ...]:
    report = _report(msgspec.json.decode(result, type=_Order), None)
    if instrument and report.instrument != instrument:
        raise ValueError(f"asked about {instrument}, told about {report.instrument}")
    return (report,)


def _open_orders(result: bytes, _instrument: str) -> tuple[Event, ...]:
    orders = msgspec.json.decode(result, type=list[_Order])
    return (OpenOrdersReport(tuple(_report(order, None) for order in orders)),)


def _canceled(result: bytes, _instrument: str) -> tuple[Event, ...]:
    return tuple(_report(order, None) for order in msgspec.json.decode(result, type=list[_Order]))


def _balances(result: bytes, _instrument: str) -> tuple[Event, ...]:
    held = tuple(map(_balance, msgspec.json.decode(result, type=list[_Balance])))
    return (AccountReport(held, can_trade=True),)


def _trades(result: bytes, instrument: str) -> tuple[Event, ...]:
    executions = msgspec.json.decode(result, type=list[_Execution])
    fills = sorted((_fill(one) for one in executions), key=lambda fill: (fill.venue_ns, fill.fill_id))
    return (FillsReport(instrument, tuple(fills), whole=len(fills) < PAGE),)


_READERS: dict[str, Callable[[bytes, str], tuple[Event, ...]]] = {
    "/0/private/AddOrder": _order,
    "/0/private/CancelOrder": _order,
    "/0/private/QueryOrder": _order,
    "/0/private/OpenOrders": _open_orders,
    "/0/private/CancelAll": _canceled,
    "/0/private/Balance": _balances,
    "/0/private/Trades": _trades,
}


def _report(order: _Order, execution: _Execution | None) -> OrderReport:
    return OrderReport(
        instrument=f"brine:{order.symbol[:40]}",
        client_order_id=order.cl_ord_id[:100],
        venue_order_id=order.order_id[:100],
        status=STATUSES[order.order_status],
        side=SIDES[order.side],
        type=TYPES[order.order_type],
        time_in_force=TimeInForce(order.time_in_force.upper()),
        price=_number(order.limit_price),
        quantity=_number(order.order_qty),
        filled_quantity=_number(order.cum_qty),
        venue_ns=nanoseconds(order.time),
        fills=() if execution is None else (_fill(execution),),
        reason=order.reason[:200],
    )


def _fill(execution: _Execution) -> Fill:
    return Fill(
        instrument=f"brine:{execution.symbol[:40]}",
        fill_id=execution.exec_id[:100],
        venue_order_id=execution.order_id[:100],
        side=SIDES[execution.side],
        price=_number(execution.last_price),
        quantity=_number(execution.last_qty),
        fee=_number(execution.fee),
        fee_asset=execution.fee_asset[:40],
        maker={"m": True, "t": False}[execution.liquidity_ind],
        venue_ns=nanoseconds(execution.time),
        client_order_id=execution.cl_ord_id[:100],
    )


def _balance(row: _Balance) -> BalanceReport:
    held = _number(row.hold)
    return BalanceReport(row.asset[:40], _number(row.balance) - held, held)


def _number(value: Decimal) -> Decimal:
    if not value.is_finite() or abs(value) > NUMBER_MAX or value.as_tuple().exponent < -18:
        raise ValueError(f"no amount: {str(value)[:40]}")
    return value


def _unrecognised(where: str, error: Exception) -> Unrecognised:
    return Unrecognised(where, f"{type(error).__name__}: {error}"[:200])
