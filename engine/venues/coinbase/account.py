"""Coinbase's account: its calls, frames of the user channel and HTTP answers as events. Total, and without memory.

The user channel states what an order has filled so far and not its fills: these are queried, since an average price
rounds. No frame states a balance.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from engine.events import (
    AccountReport,
    Answer,
    Event,
    FillsReport,
    InstrumentsReport,
    OpenOrdersReport,
    OrderReport,
    Outcome,
    ServerTime,
    StreamNumber,
    Subscribed,
    Unrecognised,
)
from engine.requests import Unsigned
from engine.venues.coinbase import calls
from engine.venues.coinbase.error_words import (
    cancel_outcome,
    is_instrument_rule,
    is_temporary,
    placement_outcome,
    reason_of,
    status_outcome,
)
from engine.venues.coinbase.frames import Envelope, read_envelope, refused_frame, subscribed
from engine.venues.coinbase.metadata import PRODUCTS
from engine.venues.coinbase.placed import same_order
from engine.venues.coinbase.shapes import FILL, ListedFill, ListedWallet, OrderState, OrderUpdate
from engine.venues.coinbase.values import FAILURES, TEXT_MAX, Text
from engine.venues.timestamps import nanoseconds

MILLISECOND_NS = 1_000_000
SECOND_NS = 1_000_000_000
CONNECTION = "connection"  # frames are numbered over all its channels
QUIET = frozenset({"heartbeats", "futures_balance_summary"})
READ_AS_JSON = frozenset({200, 201})


class _UserEvent(msgspec.Struct, frozen=True):
    orders: list[OrderUpdate] = []


class _OrderRefusal(msgspec.Struct, frozen=True):
    error: Text = ""
    message: str = ""
    error_details: str = ""
    preview_failure_reason: Text = ""
    new_order_failure_reason: Text = ""


class _Placed(msgspec.Struct, frozen=True):
    order_id: Text
    product_id: Text = ""
    side: str = ""
    client_order_id: Text = ""


class _PlaceBody(msgspec.Struct, frozen=True):
    """An answer to a placement. Its old members `order_id` and `failure_reason` mean nothing: they are not read."""

    success: bool
    success_response: _Placed | None = None
    error_response: _OrderRefusal = _OrderRefusal()
    order_configuration: dict[str, dict[str, Any]] = {}


class _CancelResult(msgspec.Struct, frozen=True):
    success: bool
    order_id: Text
    failure_reason: Text = ""


class _CancelBody(msgspec.Struct, frozen=True):
    results: list[_CancelResult]


class _OrderBody(msgspec.Struct, frozen=True):
    order: OrderState


class _OrdersBody(msgspec.Struct, frozen=True):
    orders: list[OrderState]
    has_next: bool = False


class _FillsBody(msgspec.Struct, frozen=True):
    fills: list[ListedFill]


class _AccountsBody(msgspec.Struct, frozen=True):
    accounts: list[ListedWallet]
    has_next: bool = False


class _ClockBody(msgspec.Struct, frozen=True, rename="camel"):
    epoch_millis: str | int


class _ErrorItem(msgspec.Struct, frozen=True):
    id: Text = ""
    message: str = ""


class _ErrorBody(msgspec.Struct, frozen=True):
    error: Text = ""
    message: str = ""
    error_details: str = ""
    errors: list[_ErrorItem] = []


_read_user = msgspec.json.Decoder(list[_UserEvent]).decode
_read_placed = msgspec.json.Decoder(_PlaceBody).decode
_read_canceled = msgspec.json.Decoder(_CancelBody).decode
_read_order = msgspec.json.Decoder(_OrderBody).decode
_read_orders = msgspec.json.Decoder(_OrdersBody).decode
_read_fills = msgspec.json.Decoder(_FillsBody).decode
_read_accounts = msgspec.json.Decoder(_AccountsBody).decode
_read_time = msgspec.json.Decoder(_ClockBody).decode
_read_error = msgspec.json.Decoder(_ErrorBody).decode

Read = tuple[Event, ...]


class CoinbaseAccount(calls.CoinbaseCalls):
    """An engine.venues.venue.AccountCodec. It keeps the venue's name and how its metadata is read."""

    def __init__(self, venue: str, read_products: Callable[[bytes], InstrumentsReport]) -> None:
        self._venue = venue
        self._read_products = read_products
        self._readers: dict[str, Callable[[Unsigned, str, bytes], Read]] = {
            calls.TIME: self._time,
            calls.ACCOUNTS: self._balances,
            calls.ORDERS: self._placed,
            calls.CANCEL: self._canceled,
            calls.LISTED: self._listed,
            calls.FILLS: self._fills,
            PRODUCTS: self._products,
        }

    # ---- the user channel

    def decode_private(self, payload: bytes) -> tuple[Event, ...]:
        """Return the events of one frame."""
        try:
            frame = read_envelope(payload)
            if frame.type == "error":
                return refused_frame(frame)
            return (StreamNumber(CONNECTION, frame.sequence_num), *self._frame_events(frame))
        except FAILURES as error:
            return (_unrecognised("private frame", error),)

    def _frame_events(self, frame: Envelope) -> tuple[Event, ...]:
        match frame.channel:
            case "user":
                venue_ns = nanoseconds(frame.timestamp)
                updates = [order for event in _read_user(frame.events) for order in event.orders]
                return tuple(self._reported(order, venue_ns) for order in updates)
            case "subscriptions":
                return (Answer(Outcome.DONE), Subscribed(subscribed(frame)))
            case channel if channel in QUIET:
                return ()
            case channel:
                raise ValueError(f"no channel {channel[:40]!r}")

    def _reported(self, order: OrderUpdate, venue_ns: int) -> Event:
        try:
            return order.report(self._venue, venue_ns)
        except FAILURES as error:
            return _unrecognised(f"order {order.order_id[:40]}", error)

    def answered_request(self, payload: bytes) -> str | None:
        """Return None: no frame names a request."""
        del payload
        return None

    # ---- answers

    def decode_answer(
        self, unsigned: Unsigned, instrument: str, status: int, headers: Mapping[str, str], payload: bytes
    ) -> Read:
        """Return one Answer, then what the answer reports."""
        if status not in READ_AS_JSON:
            return (_refused(unsigned.method, status, headers, payload),)
        read = self._readers.get(unsigned.path)
        if read is None and unsigned.path.startswith(calls.ORDER):
            read = self._order
        try:
            return (Answer(Outcome.DONE),) if read is None else read(unsigned, instrument, payload)
        except FAILURES as error:
            return (Answer(Outcome.UNKNOWN), _unrecognised(f"answer to {unsigned.path}", error))

    def _time(self, _unsigned: Unsigned, _instrument: str, payload: bytes) -> Read:
        millis = int(_read_time(payload).epoch_millis)
        if not 0 < millis < 9_000_000_000_000:
            raise ValueError(f"no time: {str(millis)[:40]}")
        return (Answer(Outcome.DONE), ServerTime(millis * MILLISECOND_NS))

    def _products(self, _unsigned: Unsigned, _instrument: str, payload: bytes) -> Read:
        return (Answer(Outcome.DONE), self._read_products(payload))

    def _balances(self, _unsigned: Unsigned, _instrument: str, payload: bytes) -> Read:
        body = _read_accounts(payload)
        if body.has_next:
            raise ValueError(f"the account has more than {calls.PAGE} wallets")
        return (Answer(Outcome.DONE), AccountReport(tuple(each.report() for each in body.accounts), can_trade=None))

    def _placed(self, unsigned: Unsigned, _instrument: str, payload: bytes) -> Read:
        """Return what the answer to a placement proves: `success` and the order's id, or one of three reasons."""
        body = _read_placed(payload)
        if not body.success:
            refusal = body.error_response
            reason = reason_of(refusal.preview_failure_reason, refusal.new_order_failure_reason, refusal.error)
            answer = Answer(
                placement_outcome(reason),
                code=reason or 0,
                text=" ".join((refusal.message or refusal.error_details).split())[:TEXT_MAX],
                is_instrument_rule=is_instrument_rule(reason),
                is_temporary=is_temporary(reason),
            )
            return (answer,)
        if body.success_response is None or not body.success_response.order_id:
            raise ValueError("a success without an order id")
        placed, sent = body.success_response, dict(unsigned.params)
        is_ours = placed.client_order_id == sent["client_order_id"] and placed.product_id == sent["product_id"]
        if not is_ours or placed.side != sent["side"] or not same_order(sent, body.order_configuration):
            return (Answer(Outcome.UNKNOWN, code="ANOTHER_ORDER", text="the answer is that of another order"),)
        state = OrderState(
            order_id=placed.order_id,
            product_id=placed.product_id,
            side=placed.side,
            status="PENDING",
            client_order_id=placed.client_order_id,
            order_configuration=calls.nested(unsigned.params)["order_configuration"],
        )
        return (Answer(Outcome.DONE), state.report(self._venue))

    def _canceled(self, unsigned: Unsigned, _instrument: str, payload: bytes) -> Read:
        """Return what the answer to a cancel proves: a success is queued, and the order says how it ends."""
        sought = dict(unsigned.params)["order_ids[]"]
        result = {each.order_id: each for each in _read_canceled(payload).results}[sought]
        reason = reason_of(result.failure_reason)
        outcome = Outcome.DONE if result.success else cancel_outcome(reason)
        return (Answer(outcome, code=reason if outcome is not Outcome.DONE else 0, text=reason),)

    def _order(self, unsigned: Unsigned, instrument: str, payload: bytes) -> Read:
        report = _read_order(payload).order.report(self._venue)
        if report.venue_order_id != unsigned.path.removeprefix(calls.ORDER):
            raise ValueError(f"another order than {unsigned.path[-40:]}; the answer is of {report.venue_order_id}")
        return (Answer(Outcome.DONE), _about(report, instrument))

    def _listed(self, unsigned: Unsigned, instrument: str, payload: bytes) -> Read:
        """Return all open orders, or the one that was sought among a product's newest orders."""
        body, sought = _read_orders(payload), dict(unsigned.params).get(calls.SOUGHT)
        if sought is not None:
            found = next((each for each in body.orders if each.client_order_id == sought), None)
            if found is None:
                return (Answer(Outcome.NOT_FOUND, text="not among the newest orders of its product"),)
            return (Answer(Outcome.DONE), _about(found.report(self._venue), instrument))
        if body.has_next:
            raise ValueError("more open orders than a page holds")
        return (Answer(Outcome.DONE), OpenOrdersReport(tuple(each.report(self._venue) for each in body.orders)))

    def _fills(self, unsigned: Unsigned, instrument: str, payload: bytes) -> Read:
        """Return a page of fills, oldest first. The venue begins with the newest (`oldest_fills`)."""
        rows = _read_fills(payload).fills
        fills = [row.fill(self._venue) for row in rows if row.trade_type == FILL]
        fills.sort(key=lambda fill: (fill.venue_ns, fill.fill_id))
        is_whole = len(rows) < calls.FILLS_PAGE and calls.UNTIL not in dict(unsigned.params)
        events: list[Event] = [Answer(Outcome.DONE), FillsReport(instrument, tuple(fills), whole=is_whole)]
        corrections = [f"{row.trade_type} {row.entry_id[:40]}" for row in rows if row.trade_type != FILL]
        if corrections:
            text = f"the venue corrected fills, which is not booked: {', '.join(corrections)}"
            events.append(Unrecognised("fills", text[:TEXT_MAX]))
        return tuple(events)


def _about(report: OrderReport, instrument: str) -> OrderReport:
    if instrument and report.instrument != instrument:
        raise ValueError(f"another order than {instrument}; the answer is of {report.instrument}")
    return report


def _refused(method: str, status: int, headers: Mapping[str, str], payload: bytes) -> Answer:
    """Return what an answer that is no success proves. Its body is JSON in several forms, or a proxy's page."""
    try:
        body = _read_error(payload)
        code = body.error or next((each.id for each in body.errors if each.id), "")
        text = body.error_details or body.message or next((each.message for each in body.errors), "")
    except FAILURES:
        code, text = "", payload[: 4 * TEXT_MAX].decode("utf-8", "replace")
    text = " ".join(text.split())[:TEXT_MAX]
    outcome = status_outcome(method, status, f"{code} {text}")
    wait_s = _reset_s(headers) if outcome is Outcome.RATE_LIMITED else 0
    return Answer(outcome, code=code or 0, text=text or f"HTTP {status}", retry_after_ns=wait_s * SECOND_NS)


def _reset_s(headers: Mapping[str, str]) -> int:
    """Return the seconds until the venue counts again from 0; 0 if it does not state them."""
    text = headers.get("x-ratelimit-reset", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 4 else 0


def _unrecognised(where: str, error: Exception) -> Unrecognised:
    return Unrecognised(where, f"{type(error).__name__}: {error}"[:TEXT_MAX])
