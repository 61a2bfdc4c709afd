"""Frames of the private stream and answers to our calls, read into events. Total: whatever came in, nothing raises.

Knows nothing of sockets, of time, or of what we asked beyond method, path and instrument. Stateless: the same bytes
give the same events. An answer begins with exactly one Answer, which says what it proves; the reports follow.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from engine.events import (
    Answer,
    Event,
    FillsReport,
    InstrumentsReport,
    OpenOrdersReport,
    Outcome,
    ServerTime,
    StreamEnded,
    Subscribed,
    Unrecognised,
)
from engine.venues.binance_spot import rules, shapes
from engine.venues.binance_spot.errors import classify
from engine.venues.binance_spot.instruments import read_allowance, read_exchange_info

FAILURES = (ValueError, LookupError, TypeError, ArithmeticError, RecursionError, AttributeError, msgspec.MsgspecError)
TEXT_MAX = 200
ERROR_BODY_MAX = 4_096  # a longer body of an answer 2xx is data: it is not read a second time in search of an error
COUNT_MAX = 10**12  # of a header's number; above it, the header is nonsense

# Events that carry nothing we keep. The reason for each, since silence must be a decision.
IGNORED = {
    "balanceUpdate": "a deposit or transfer: outboundAccountPosition comes with it and holds the whole balance",
    "listStatus": "each leg of a list has executionReports of its own",
    "externalLockUpdate": "funds locked from outside: the next account query shows them",
}
ENDINGS = frozenset({"eventStreamTerminated", "serverShutdown"})

BAN_UNTIL = re.compile(r"banned until ([0-9]{13})\b")


class _Name(msgspec.Struct, frozen=True):
    e: str


class _Subscription(msgspec.Struct, frozen=True):
    subscriptionId: int  # noqa: N815 - the wire's name; 0 is a good one


class _RetryData(msgspec.Struct, frozen=True):
    retryAfter: shapes.Millis = 0  # noqa: N815 - the wire's name; an instant, unlike the header of that name


class _Error(msgspec.Struct, frozen=True):
    code: int
    msg: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


class _RateLimit(msgspec.Struct, frozen=True, rename="camel"):
    rate_limit_type: str
    interval: str
    interval_num: int
    count: int = -1


class _Frame(msgspec.Struct, frozen=True, rename="camel"):
    """Anything that may come over the WS API: an event, an answer, or an error without a request."""

    event: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    e: str = ""
    id: int | str | msgspec.UnsetType | None = msgspec.UNSET
    status: int | msgspec.UnsetType = msgspec.UNSET
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: _Error | None = None
    code: int = 0
    msg: str = ""
    rate_limits: tuple[_RateLimit, ...] = ()


class _Time(msgspec.Struct, frozen=True, rename="camel"):
    server_time: shapes.Millis


class _Ack(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The shortest answer to a placement. It tells no status, so it makes no report: the stream or a query will."""

    symbol: str
    order_id: int
    client_order_id: str
    transact_time: int
    order_list_id: int = -1


_read_frame = msgspec.json.Decoder(_Frame).decode
_read_name = msgspec.json.Decoder(_Name).decode
_read_error = msgspec.json.Decoder(_Error).decode
_read_ack = msgspec.json.Decoder(_Ack).decode
_read_order = msgspec.json.Decoder(shapes.Order).decode
_read_execution = msgspec.json.Decoder(shapes.ExecutionReport).decode
_read_position = msgspec.json.Decoder(shapes.AccountPosition).decode


def _unrecognised(where: str, error: Exception) -> Unrecognised:
    return Unrecognised(where, f"{type(error).__name__}: {error}"[:TEXT_MAX])


# ---- the private stream ------------------------------------------------------------------------


def decode_private(payload: bytes) -> tuple[Event, ...]:
    """The events of one frame of the WS API connection; none for a known event that we have no use for."""
    try:
        frame = _read_frame(payload)
        if not isinstance(frame.event, msgspec.UnsetType):
            return _account_event(bytes(frame.event))
        if frame.e:
            return _account_event(payload)
        if not isinstance(frame.status, msgspec.UnsetType) or frame.error is not None or frame.code:
            return _ws_answer(frame)
    except FAILURES as error:
        return (_unrecognised("private frame", error),)
    return (Unrecognised("private frame", "neither an event nor an answer"),)


def answered_request(payload: bytes) -> str | None:
    """The id of the WS API request that this frame answers; None for an event, or where there is no telling."""
    try:
        frame = _read_frame(payload)
    except FAILURES:
        return None
    return str(frame.id) if isinstance(frame.id, int | str) and isinstance(frame.event, msgspec.UnsetType) else None


def _account_event(raw: bytes) -> tuple[Event, ...]:
    name = _read_name(raw).e
    if name == "executionReport":
        return (_read_execution(raw).report(),)
    if name == "outboundAccountPosition":
        return _read_position(raw).reports()
    if name in ENDINGS:
        return (StreamEnded(name),)
    if name in IGNORED:
        return ()
    return (Unrecognised("private frame", f"an event we do not know: {name}"[:TEXT_MAX]),)


def _ws_answer(frame: _Frame) -> tuple[Event, ...]:
    # The flat form and the one without status come from the stream servers, for a malformed request
    error = frame.error or (_Error(frame.code, frame.msg) if frame.code else None)
    status = 400 if isinstance(frame.status, msgspec.UnsetType) else frame.status
    counts = {(row.rate_limit_type, row.interval, row.interval_num): row.count for row in frame.rate_limits}
    code, text, retry_at_ns = 0, "", 0
    if error is not None:
        code, text = error.code, error.msg[:TEXT_MAX]
        retry_at_ns = shapes.nanoseconds(_retry_at_ms(error))
    answer = Answer(
        outcome=Outcome.UNKNOWN if error is not None and code == 0 else classify("", status, code, text),
        code=code,
        text=text,
        retry_at_ns=retry_at_ns,
        weight_used=counts.get(("REQUEST_WEIGHT", "MINUTE", 1), -1),
        orders_used=counts.get(("ORDERS", "SECOND", 10), -1),
    )
    if answer.outcome is not Outcome.DONE:
        return (answer,)
    try:
        return (answer, Subscribed(str(msgspec.json.decode(frame.result, type=_Subscription).subscriptionId)))
    except FAILURES:
        return (answer,)  # of another method, whose result we did not ask for


def _retry_at_ms(error: _Error) -> int:
    """When we may ask again, in epoch milliseconds; 0 where the error does not say."""
    try:
        stated = msgspec.json.decode(error.data, type=_RetryData | None)
    except FAILURES:
        stated = None
    if stated is not None and stated.retryAfter:
        return stated.retryAfter
    ban = BAN_UNTIL.search(error.msg)
    return int(ban[1]) if ban else 0


# ---- answers to REST calls ---------------------------------------------------------------------


def decode_answer(  # noqa: PLR0917 - the parts of one answer, in the order in which HTTP gives them
    method: str,
    path: str,
    instrument: str,
    status: int,
    headers: Mapping[str, str],
    payload: bytes,
    fills_limit: int = rules.FILLS_PAGE_MAX,
) -> tuple[Event, ...]:
    """What the answer to one of our calls proves, then what it reports. `fills_limit` is the page that was asked for."""

    def read(body: bytes) -> tuple[Event, ...]:
        route = (method, path.partition("?")[0])
        if route == ("GET", "/api/v3/myTrades"):
            return (_fills(body, instrument, fills_limit),)
        return READERS[route](body, instrument)

    return read_answer(method, path, status, headers, payload, read)


def read_answer(  # noqa: PLR0917 - as decode_answer
    method: str,
    path: str,
    status: int,
    headers: Mapping[str, str],
    payload: bytes,
    read: Callable[[bytes], tuple[Event, ...]],
) -> tuple[Event, ...]:
    """The same for any Binance market; `read` makes reports of the body, and may raise FAILURES.

    An answer "done" whose body cannot be read proves nothing: UNKNOWN, with the reason beside it.
    """
    answer = Answer(Outcome.UNKNOWN)
    try:
        answer = _answer(method, status, headers, payload)
        if answer.outcome is not Outcome.DONE:
            return (answer,)
        return (answer, *read(payload))
    except FAILURES as error:
        proves_nothing = msgspec.structs.replace(answer, outcome=Outcome.UNKNOWN)
        return (proves_nothing, _unrecognised(f"answer to {method} {path}"[:TEXT_MAX], error))


def _answer(method: str, status: int, headers: Mapping[str, str], payload: bytes) -> Answer:
    error = _error_body(status, payload)
    text = error.msg if error is not None else ""
    if error is None and not 200 <= status < 300:
        text = " ".join(payload[: 4 * TEXT_MAX].decode("utf-8", "replace").split())  # HTML, as a rule
    named = {name.lower(): value for name, value in headers.items()}
    return Answer(
        outcome=classify(method, status, 0 if error is None else error.code, text),
        code=0 if error is None else error.code,
        text=text[:TEXT_MAX],
        retry_at_ns=0 if error is None else shapes.nanoseconds(_retry_at_ms(error)),
        retry_after_ns=max(_count(named, "retry-after"), 0) * 1_000_000_000,
        weight_used=_count(named, "x-mbx-used-weight-1m"),
        orders_used=_count(named, "x-mbx-order-count-10s"),
    )


def _error_body(status: int, payload: bytes) -> _Error | None:
    if 200 <= status < 300 and len(payload) > ERROR_BODY_MAX:
        return None
    try:
        return _read_error(payload)
    except FAILURES:
        return None


def _count(headers: Mapping[str, str], name: str) -> int:
    """A header's number; -1 where it is absent or none. (A used weight of minus one has been seen: also "not said".)"""
    text = headers.get(name, "")
    if not (text.isascii() and text.isdigit()) or len(text) > 13 or int(text) > COUNT_MAX:
        return -1
    return int(text)


def _same_instrument(asked: str, told: str) -> None:
    if asked and asked != told:
        raise ValueError(f"asked about {asked}, told about {told}")


def _order(payload: bytes, instrument: str) -> tuple[Event, ...]:
    report = _read_order(payload).report()
    _same_instrument(instrument, report.instrument)
    return (report,)


def _placed(payload: bytes, instrument: str) -> tuple[Event, ...]:
    try:
        return _order(payload, instrument)
    except msgspec.ValidationError as error:
        try:
            _read_ack(payload)
        except msgspec.ValidationError:
            raise error from None
        return ()


def _canceled_all(payload: bytes, instrument: str) -> tuple[Event, ...]:
    reports: list[Event] = []
    for raw in msgspec.json.decode(payload, type=tuple[msgspec.Raw, ...]):
        try:
            orders = msgspec.json.decode(raw, type=shapes.OrderList).order_reports
        except msgspec.ValidationError:
            orders = (_read_order(raw),)
        for order in orders:
            _same_instrument(instrument, shapes.instrument_id(order.symbol))
            reports.append(order.report())
    return tuple(reports)


def _open_orders(payload: bytes, _instrument: str) -> tuple[Event, ...]:
    # One order that cannot be read spoils the list: it claims to be whole, and what it lacks counts as closed
    orders = msgspec.json.decode(payload, type=tuple[shapes.Order, ...])
    return (OpenOrdersReport(tuple(order.report() for order in orders)),)


def _fills(payload: bytes, instrument: str, limit: int) -> FillsReport:
    trades = msgspec.json.decode(payload, type=tuple[shapes.Trade, ...])
    for trade in trades:
        _same_instrument(instrument, shapes.instrument_id(trade.symbol))
    fills = tuple(trade.fill() for trade in sorted(trades, key=lambda trade: trade.id))
    return FillsReport(instrument, fills, whole=len(fills) < limit)


def _account(payload: bytes, _instrument: str) -> tuple[Event, ...]:
    return (msgspec.json.decode(payload, type=shapes.Account).report(),)


def read_time(payload: bytes, _instrument: str = "") -> tuple[Event, ...]:
    return (ServerTime(shapes.nanoseconds(msgspec.json.decode(payload, type=_Time).server_time)),)


def _instruments(payload: bytes, _instrument: str) -> tuple[Event, ...]:
    return (InstrumentsReport(read_exchange_info(payload, rules.VENUE), read_allowance(payload)),)


def read_nothing(payload: bytes, _instrument: str = "") -> tuple[Event, ...]:
    """Read elsewhere (depth is market data) or empty (ping); but JSON it must be."""
    msgspec.json.decode(payload, type=dict[str, Any])
    return ()


READERS: dict[tuple[str, str], Callable[[bytes, str], tuple[Event, ...]]] = {
    ("POST", "/api/v3/order"): _placed,
    ("DELETE", "/api/v3/order"): _order,
    ("GET", "/api/v3/order"): _order,
    ("GET", "/api/v3/openOrders"): _open_orders,
    ("DELETE", "/api/v3/openOrders"): _canceled_all,
    ("GET", "/api/v3/account"): _account,
    ("GET", "/api/v3/time"): read_time,
    ("GET", "/api/v3/exchangeInfo"): _instruments,
    ("GET", "/api/v3/depth"): read_nothing,
    ("GET", "/api/v3/ping"): read_nothing,
}
