"""Frames of the private stream and answers to our calls, read into events. Total, and without memory."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from engine.events import (
    AccountReport,
    Answer,
    Event,
    FillsReport,
    OpenOrdersReport,
    Outcome,
    ServerTime,
    Subscribed,
    Unrecognised,
)
from engine.model import Instrument
from engine.requests import Unsigned
from engine.state.fill_cursor import TIMED_FILLS
from engine.venues.alpaca import calls
from engine.venues.alpaca.calls import AccountRequests
from engine.venues.alpaca.error_codes import read_refusal
from engine.venues.alpaca.metadata import PATH as ASSETS
from engine.venues.alpaca.metadata import AlpacaMetadata
from engine.venues.alpaca.shapes import CashAccount, FillActivity, HeldAsset, Names, OrderState, TradeUpdateEvent
from engine.venues.alpaca.values import FAILURES, TEXT_MAX, Text, symbol_key, unrecognised
from engine.venues.alpaca.venue_limits import CASH, FILLS_PAGE_MAX, ORDERS_LISTED_MAX
from engine.venues.timestamps import nanoseconds

STREAM: Final = "trade_updates"
FILLED: Final = frozenset({"fill", "partial_fill"})
# the venue changed or took back a fill: no report can say so, and a round shows how the balances are now
TAKEN_BACK: Final = frozenset({"trade_bust", "trade_correct", "restated"})


class _StreamFrame(msgspec.Struct, frozen=True):
    stream: Text
    data: msgspec.Raw


class _Authorization(msgspec.Struct, frozen=True):
    status: Text
    message: str = ""


class _Listening(msgspec.Struct, frozen=True):
    streams: tuple[Text, ...] = ()
    error: str = ""


class _ClockAnswer(msgspec.Struct, frozen=True):
    timestamp: Text


class AlpacaAccount(AccountRequests):
    """An engine.venues.venue.AccountCodec. The calls are those of `AccountRequests`."""

    def __init__(self, venue: str, instruments: Sequence[Instrument]) -> None:
        self._names = Names(venue, {symbol_key(each.symbol): each for each in instruments})
        self._metadata = AlpacaMetadata(venue)

    # ---- the private stream

    def decode_private(self, payload: bytes) -> tuple[Event, ...]:
        """Return the events of one frame. Paper sends binary frames and live text: the bytes are the same."""
        try:
            frame = msgspec.json.decode(payload, type=_StreamFrame)
            match frame.stream:
                case "authorization":
                    return _authorized(frame.data)
                case "listening":
                    return _listening(frame.data)
                case "trade_updates":
                    return self._update(msgspec.json.decode(frame.data, type=TradeUpdateEvent))
                case other:
                    return (Unrecognised("private frame", f"a stream we do not know: {other}"[:TEXT_MAX]),)
        except FAILURES as error:
            return (unrecognised("private frame", error),)

    def answered_request(self, payload: bytes) -> str | None:
        """Return None: no frame names a request. A link has one subscription under way at a time."""
        return None

    def _update(self, update: TradeUpdateEvent) -> tuple[Event, ...]:
        """Return the state of the order after an event. Events without a fill differ by that state alone."""
        if update.event in TAKEN_BACK:
            text = f"{update.event} of order {update.order.id}: the venue changed a fill that our records have"
            return (Unrecognised("trade_updates", text[:TEXT_MAX]),)
        fills = (update.fill(self._names),) if update.event in FILLED else ()
        reason = update.event if update.event.endswith("rejected") else ""
        return (update.order.report(self._names, fills, reason),)

    # ---- answers

    def decode_answer(
        self, unsigned: Unsigned, instrument: str, status: int, headers: Mapping[str, str], payload: bytes
    ) -> tuple[Event, ...]:
        """Return what the answer to one of our calls proves, then what it reports."""
        answer = read_refusal(unsigned.method, status, headers, payload)
        if answer.outcome is not Outcome.DONE:
            return (answer,)
        try:
            return (answer, *self._read(unsigned, instrument, payload))
        except FAILURES as error:
            unread = unrecognised(f"answer to {unsigned.method} {unsigned.path}"[:TEXT_MAX], error)
            return (msgspec.structs.replace(answer, outcome=Outcome.UNKNOWN), unread)

    def _read(self, unsigned: Unsigned, instrument: str, payload: bytes) -> tuple[Event, ...]:
        if unsigned.method == "DELETE":
            return ()  # 204: the cancel is requested, and the stream reports its end
        if unsigned.path.startswith(ASSETS):
            return (self._metadata.read(payload),)
        if unsigned.path == calls.ORDERS and unsigned.method == "GET":
            return self._open_orders(payload)
        if unsigned.path.startswith(calls.ORDERS):
            return self._order(payload, instrument)
        return self._readers[unsigned.path](self, payload, instrument)

    def _order(self, payload: bytes, instrument: str) -> tuple[Event, ...]:
        report = msgspec.json.decode(payload, type=OrderState).report(self._names)
        if instrument and report.instrument != instrument:
            raise ValueError(f"the query is about {instrument}, the answer about {report.instrument}")
        return (report,)

    def _open_orders(self, payload: bytes) -> tuple[Event, ...]:
        orders = msgspec.json.decode(payload, type=tuple[OrderState, ...])
        reports = tuple(report for order in orders for report in order.reports(self._names))
        if len(reports) >= ORDERS_LISTED_MAX:
            raise ValueError(f"the list of open orders stops at {ORDERS_LISTED_MAX}: it is not whole")
        return (OpenOrdersReport(reports),)

    def _account(self, payload: bytes, _instrument: str) -> tuple[Event, ...]:
        return (msgspec.json.decode(payload, type=CashAccount).report(),)

    def _positions(self, payload: bytes, _instrument: str) -> tuple[Event, ...]:
        held = msgspec.json.decode(payload, type=tuple[HeldAsset, ...])
        balances = tuple(each.report(self._names) for each in held)
        return (AccountReport(balances, can_trade=None, leaves_out=(CASH,)),)

    def _fills(self, payload: bytes, instrument: str) -> tuple[Event, ...]:
        activities = msgspec.json.decode(payload, type=tuple[FillActivity, ...])
        cursor = TIMED_FILLS.cursor
        fills = sorted((each.fill(self._names) for each in activities), key=cursor)
        own = tuple(fill for fill in fills if fill.instrument == instrument)
        whole = len(fills) < FILLS_PAGE_MAX
        return (FillsReport(instrument, own, whole, through=cursor(fills[-1]) if fills else ""),)

    def _clock(self, payload: bytes, _instrument: str) -> tuple[Event, ...]:
        return (ServerTime(nanoseconds(msgspec.json.decode(payload, type=_ClockAnswer).timestamp)),)

    _readers: Final[dict[str, Callable[["AlpacaAccount", bytes, str], tuple[Event, ...]]]] = {
        calls.ACCOUNT: _account,
        calls.POSITIONS: _positions,
        calls.FILLS: _fills,
        calls.CLOCK: _clock,
    }


def _authorized(data: msgspec.Raw) -> tuple[Event, ...]:
    told = msgspec.json.decode(data, type=_Authorization)
    if told.status == "authorized":
        return (Answer(Outcome.DONE), Subscribed("authorization"))
    return (Answer(Outcome.AUTH, code=told.status, text=told.message[:TEXT_MAX]),)


def _listening(data: msgspec.Raw) -> tuple[Event, ...]:
    told = msgspec.json.decode(data, type=_Listening)
    if STREAM in told.streams:
        return (Answer(Outcome.DONE), Subscribed(STREAM))
    return (Answer(Outcome.REFUSED, code="listening", text=told.error[:TEXT_MAX]),)
