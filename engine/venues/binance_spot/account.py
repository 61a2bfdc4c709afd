"""Frames of the private stream and answers to our calls, read into events. Total: no bytes raise.

Knows nothing of sockets or of time, and of a request only its route and parameters. Stateless: the same bytes give the
same events. An answer begins with exactly one Answer, which says what it proves; the reports follow.
"""

from collections.abc import Callable, Mapping

import msgspec

from engine.events import (
    Answer,
    Event,
    FillsReport,
    InstrumentsReport,
    OpenOrdersReport,
    Outcome,
    StreamEnded,
    Subscribed,
    Unrecognised,
)
from engine.requests import Unsigned
from engine.venues.binance_common.error_codes import classify
from engine.venues.binance_common.http_answers import (
    FAILURES,
    TEXT_MAX,
    ErrorBody,
    read_answer,
    read_nothing,
    read_time,
    retry_at_ms,
    unrecognised,
)
from engine.venues.binance_common.klines import read_klines
from engine.venues.binance_common.values import nanoseconds
from engine.venues.binance_spot import shapes, venue_limits
from engine.venues.binance_spot.calls import Requests
from engine.venues.binance_spot.list_calls import OCO_PATH, OPOCO_PATH
from engine.venues.binance_spot.metadata import read_exchange_info, read_rate_limits
from engine.venues.renaming import renamed_events

# Events that carry nothing we keep. The reason for each, since silence must be a decision.
IGNORED = {
    "balanceUpdate": "a deposit or transfer: outboundAccountPosition comes with it and holds the whole balance",
    "listStatus": "each leg of a list has its own executionReports",
    "externalLockUpdate": "funds locked from outside: the next account query shows them",
}
ENDINGS = frozenset({"eventStreamTerminated", "serverShutdown"})


class _Name(msgspec.Struct, frozen=True):
    e: str


class _Subscription(msgspec.Struct, frozen=True, rename="camel"):
    subscription_id: int  # 0 is a good one


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
    error: ErrorBody | None = None
    code: int = 0
    msg: str = ""
    rate_limits: tuple[_RateLimit, ...] = ()


class _EventFrame(_Frame, frozen=True, rename="camel"):
    """A frame with one of the two events that every order and fill brings."""

    event: shapes.ExecutionReport | shapes.AccountPosition | msgspec.UnsetType = msgspec.UNSET  # type: ignore[assignment]  # it is what `event` of a frame holds


class _Ack(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The shortest answer to a placement. It has no status and makes no report: the stream or a query will."""

    symbol: str
    order_id: int
    client_order_id: str
    transact_time: int
    order_list_id: int = -1


_read_event_frame = msgspec.json.Decoder(_EventFrame).decode
_read_frame = msgspec.json.Decoder(_Frame).decode
_read_name = msgspec.json.Decoder(_Name).decode
_read_ack = msgspec.json.Decoder(_Ack).decode
_read_order = msgspec.json.Decoder(shapes.OrderAnswer).decode
_read_amendment = msgspec.json.Decoder(shapes.AmendAnswer).decode
_read_execution = msgspec.json.Decoder(shapes.ExecutionReport).decode
_read_position = msgspec.json.Decoder(shapes.AccountPosition).decode


# ---- the private stream ------------------------------------------------------------------------


class SpotAccount(Requests):
    """An engine.venues.venue.AccountCodec. The calls (place, cancel, ...) are those of `Requests`."""

    def __init__(self, recv_window_ms: int = venue_limits.RECV_WINDOW_MS, venue: str = venue_limits.VENUE) -> None:
        super().__init__(recv_window_ms)
        self._venue = venue

    def decode_private(self, payload: bytes) -> tuple[Event, ...]:
        """Return the events of one frame; none for a known event that has no use here."""
        try:
            event = _read_event_frame(payload).event  # at once; a frame that this cannot read is read in parts below
            if isinstance(event, shapes.ExecutionReport):
                return self._named((event.report(),))
            if isinstance(event, shapes.AccountPosition):
                return self._named(event.reports())
        except FAILURES:
            pass
        try:
            frame = _read_frame(payload)
            if not isinstance(frame.event, msgspec.UnsetType):
                return self._account_event(bytes(frame.event))
            if frame.e:
                return self._account_event(payload)
            if not isinstance(frame.status, msgspec.UnsetType) or frame.error is not None or frame.code:
                return _ws_answer(frame)
        except FAILURES as error:
            return (unrecognised("private frame", error),)
        return (Unrecognised("private frame", "neither an event nor an answer"),)

    def _account_event(self, raw: bytes) -> tuple[Event, ...]:
        return self._named(_account_event(raw))

    def _named(self, events: tuple[Event, ...]) -> tuple[Event, ...]:
        return events if self._venue == venue_limits.VENUE else renamed_events(events, venue_limits.VENUE, self._venue)

    def answered_request(self, payload: bytes) -> str | None:
        """Return the id of the request that this frame answers, or None for any other frame."""
        try:
            frame = _read_frame(payload)
        except FAILURES:
            return None
        if not isinstance(frame.event, msgspec.UnsetType) or not isinstance(frame.id, int | str):
            return None
        return str(frame.id)


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
    error = frame.error or (ErrorBody(frame.code, frame.msg) if frame.code else None)
    status = 400 if isinstance(frame.status, msgspec.UnsetType) else frame.status
    counts = {(row.rate_limit_type, row.interval, row.interval_num): row.count for row in frame.rate_limits}
    code, text, retry_at_ns = 0, "", 0
    if error is not None:
        code, text = error.code, error.msg[:TEXT_MAX]
        retry_at_ns = nanoseconds(retry_at_ms(error))
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
    if bytes(frame.result).strip() == b"[]":  # of session.subscriptions, the only list that we ask for here
        return (answer, StreamEnded("the venue lists no subscription of this link"))
    try:
        return (answer, Subscribed(str(msgspec.json.decode(frame.result, type=_Subscription).subscription_id)))
    except FAILURES:
        return (answer,)  # of another method, whose result we did not ask for


# ---- answers to REST calls ---------------------------------------------------------------------


def decode_answer(
    unsigned: Unsigned, instrument: str, status: int, headers: Mapping[str, str], payload: bytes
) -> tuple[Event, ...]:
    """Return what the answer to one of our calls proves, then what it reports."""
    route = (unsigned.method, unsigned.path.partition("?")[0])

    def read(body: bytes) -> tuple[Event, ...]:
        if route == ("GET", "/api/v3/myTrades"):
            return (_fills(body, instrument, int(dict(unsigned.params).get("limit", venue_limits.FILLS_PAGE_MAX))),)
        return READERS[route](body, instrument)

    return read_answer(unsigned.method, unsigned.path, status, headers, payload, read=read)


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


def _placed_list(payload: bytes, instrument: str) -> tuple[Event, ...]:
    """Return the reports of a placed list, one for each of its orders."""
    orders = msgspec.json.decode(payload, type=shapes.OrderList).order_reports
    for order in orders:
        _same_instrument(instrument, shapes.instrument_id(order.symbol))
    return tuple(order.report() for order in orders)


def _amended(payload: bytes, instrument: str) -> tuple[Event, ...]:
    report = _read_amendment(payload).report()
    _same_instrument(instrument, report.instrument)
    return (report,)


def _canceled(payload: bytes | msgspec.Raw, instrument: str) -> tuple[Event, ...]:
    """Return the reports of a canceled order, or of its whole list: the venue cancels and answers all of it."""
    orders: tuple[shapes.OrderAnswer, ...]
    try:
        orders = (_read_order(payload),)
    except msgspec.ValidationError as error:
        try:
            orders = msgspec.json.decode(payload, type=shapes.OrderList).order_reports
        except msgspec.ValidationError:
            raise error from None
    for order in orders:
        _same_instrument(instrument, shapes.instrument_id(order.symbol))
    return tuple(order.report() for order in orders)


def _canceled_all(payload: bytes, instrument: str) -> tuple[Event, ...]:
    answers = msgspec.json.decode(payload, type=tuple[msgspec.Raw, ...])
    return tuple(report for raw in answers for report in _canceled(raw, instrument))


def _open_orders(payload: bytes, _instrument: str) -> tuple[Event, ...]:
    # One order that cannot be read spoils the list: it claims to be whole, and what it lacks counts as closed
    orders = msgspec.json.decode(payload, type=tuple[shapes.OrderAnswer, ...])
    return (OpenOrdersReport(tuple(order.report() for order in orders)),)


def _fills(payload: bytes, instrument: str, limit: int) -> FillsReport:
    trades = msgspec.json.decode(payload, type=tuple[shapes.TradeAnswer, ...])
    for trade in trades:
        _same_instrument(instrument, shapes.instrument_id(trade.symbol))
    fills = tuple(trade.fill() for trade in sorted(trades, key=lambda trade: trade.id))
    return FillsReport(instrument, fills, whole=len(fills) < limit)


def _account(payload: bytes, _instrument: str) -> tuple[Event, ...]:
    return (msgspec.json.decode(payload, type=shapes.AccountAnswer).report(),)


def _instruments(payload: bytes, _instrument: str) -> tuple[Event, ...]:
    return (InstrumentsReport(read_exchange_info(payload, venue_limits.VENUE), read_rate_limits(payload)),)


READERS: dict[tuple[str, str], Callable[[bytes, str], tuple[Event, ...]]] = {
    ("POST", "/api/v3/order"): _placed,
    ("POST", OCO_PATH): _placed_list,
    ("POST", OPOCO_PATH): _placed_list,
    ("DELETE", "/api/v3/order"): _canceled,
    ("GET", "/api/v3/order"): _order,
    ("PUT", "/api/v3/order/amend/keepPriority"): _amended,
    ("GET", "/api/v3/openOrders"): _open_orders,
    ("DELETE", "/api/v3/openOrders"): _canceled_all,
    ("GET", "/api/v3/account"): _account,
    ("GET", "/api/v3/time"): read_time,
    ("GET", "/api/v3/exchangeInfo"): _instruments,
    ("GET", "/api/v3/depth"): read_nothing,
    ("GET", "/api/v3/ping"): read_nothing,
    ("GET", "/api/v3/klines"): read_klines,
}
