"""Answers to the account's calls: what each proves, then what it reports. Total, and without memory.

Refusals come with HTTP 200, and `status: ok` says only that the action was processed: each entry is read (5). An
answer to an action names no coin, so the report is made of the request.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from engine.events import (
    Answer,
    Event,
    FillsReport,
    MarginSettingsReport,
    OpenOrdersReport,
    OrderReport,
    Outcome,
    VenueStatus,
)
from engine.model import MarginMode, OrderType, Side, TimeInForce
from engine.money import ZERO
from engine.requests import Unsigned
from engine.venues.hyperliquid.calls import ACTION, FILLS_PAGE_MAX
from engine.venues.hyperliquid.error_texts import refusal
from engine.venues.hyperliquid.shapes import (
    AccountState,
    AssetData,
    FundingRow,
    OrderUpdate,
    PerpFill,
    PerpOrder,
    in_time,
)
from engine.venues.hyperliquid.values import FAILURES, TEXT_MAX, Amount, Text, VenueId, unrecognised

ALREADY_PLACED: Final = frozenset({"waitingForFill", "waitingForTrigger"})  # accepted, without an id
RETRY_NS: Final = 10_000_000_000  # after HTTP 429: no header says how long


class _Resting(msgspec.Struct, frozen=True):
    oid: VenueId


class _Filled(msgspec.Struct, frozen=True, rename="camel"):
    oid: VenueId
    total_sz: Amount
    avg_px: Amount


class _Status(msgspec.Struct, frozen=True):
    resting: _Resting | None = None
    filled: _Filled | None = None
    error: str | None = None


class _Data(msgspec.Struct, frozen=True):
    statuses: tuple[_Status | Text, ...]


class _Processed(msgspec.Struct, frozen=True):
    type: Text
    data: _Data | msgspec.UnsetType = msgspec.UNSET


class _Envelope(msgspec.Struct, frozen=True):
    status: Text
    response: msgspec.Raw


class _StatusAnswer(msgspec.Struct, frozen=True):
    status: Text
    order: OrderUpdate | None = None


class PerpAnswers:
    """Reads the answers to a venue's calls."""

    def __init__(self, venue: str) -> None:
        """Take the venue's name, which instruments bear."""
        self._venue = venue
        self._queries: dict[str, Callable[[bytes, str], tuple[Event, ...]]] = {
            "orderStatus": self._order,
            "frontendOpenOrders": self._open_orders,
            "userFills": self._fills,
            "userFillsByTime": self._fills,
            "clearinghouseState": self._state,
            "userFunding": self._fundings,
            "activeAssetData": self._settings,
        }

    def decode(self, unsigned: Unsigned, instrument: str, status: int, payload: bytes) -> tuple[Event, ...]:
        """Return what the answer to a call of the account proves, then what it reports."""
        is_action = unsigned.path == "/exchange"
        answer = by_http_status(status, payload, is_action=is_action)
        if answer.outcome is not Outcome.DONE:
            return (answer,)
        try:
            if is_action:
                return self._acted(unsigned, instrument, payload)
            events = self._queries[dict(unsigned.params)["type"]](payload, instrument)
            return events if events and isinstance(events[0], Answer) else (answer, *events)
        except FAILURES as error:
            return Answer(Outcome.UNKNOWN), unrecognised(f"answer to {unsigned.path}", error)

    # ---- actions

    def _acted(self, unsigned: Unsigned, instrument: str, payload: bytes) -> tuple[Event, ...]:
        envelope = msgspec.json.decode(payload, type=_Envelope)
        if envelope.status != "ok":
            return (refusal(msgspec.json.decode(envelope.response, type=str), of_one_order=False),)
        action = msgspec.json.decode(dict(unsigned.params)[ACTION])
        told = msgspec.json.decode(envelope.response, type=_Processed)
        if isinstance(told.data, msgspec.UnsetType):
            return (Answer(Outcome.DONE), *_settings_of(action, instrument))
        if len(told.data.statuses) != 1:
            raise ValueError(f"{len(told.data.statuses)} results of one request")
        [result] = told.data.statuses
        if isinstance(result, str):
            if result != "success" and result not in ALREADY_PLACED:
                raise ValueError(f"no result {result[:40]!r}")
            return (Answer(Outcome.DONE),)
        if result.error is not None:
            return (refusal(result.error, of_one_order=True),)
        return (Answer(Outcome.DONE), _placed(action, instrument, result))

    # ---- queries

    def _order(self, payload: bytes, instrument: str) -> tuple[Event, ...]:
        told = msgspec.json.decode(payload, type=_StatusAnswer)
        if told.status == "unknownOid":
            return (Answer(Outcome.NOT_FOUND, code="unknownOid"),)
        if told.order is None:
            raise ValueError(f"no order, and the status {told.status[:40]!r}")
        report = told.order.report(self._venue)
        if instrument and report.instrument != instrument:
            raise ValueError(f"an answer about {report.instrument} to a query about {instrument}")
        return (report,)

    def _open_orders(self, payload: bytes, _: str) -> tuple[Event, ...]:
        # the exits of a parent have rows, and are inside it once more
        rows = msgspec.json.decode(payload, type=tuple[PerpOrder, ...])
        return (OpenOrdersReport(tuple(row.report(self._venue) for row in rows)),)

    def _fills(self, payload: bytes, instrument: str) -> tuple[Event, ...]:
        rows = msgspec.json.decode(payload, type=tuple[PerpFill, ...])
        fills = tuple(row.fill(self._venue) for row in in_time(rows) if f"{self._venue}:{row.coin}" == instrument)
        through = str(max((row.time for row in rows), default=0)) if rows else ""
        return (FillsReport(instrument, fills, whole=len(rows) < FILLS_PAGE_MAX, through=through),)

    def _state(self, payload: bytes, _: str) -> tuple[Event, ...]:
        return msgspec.json.decode(payload, type=AccountState).events(self._venue)

    def _fundings(self, payload: bytes, _: str) -> tuple[Event, ...]:
        rows = msgspec.json.decode(payload, type=tuple[FundingRow, ...])
        return tuple(row.funding(self._venue) for row in sorted(rows, key=lambda row: row.time))

    def _settings(self, payload: bytes, instrument: str) -> tuple[Event, ...]:
        settings = msgspec.json.decode(payload, type=AssetData).settings(self._venue)
        if instrument and settings.instrument != instrument:
            raise ValueError(f"an answer about {settings.instrument} to a query about {instrument}")
        return (settings,)


def by_http_status(status: int, payload: bytes, *, is_action: bool) -> Answer:
    """Return what the HTTP status proves. A 429 may come from a proxy, so that of an action proves nothing (8)."""
    if 200 <= status < 300:
        return Answer(Outcome.DONE)
    text = " ".join(payload[: 4 * TEXT_MAX].decode("utf-8", "replace").split())[:TEXT_MAX]
    outcome = {
        401: Outcome.AUTH,
        403: Outcome.AUTH,
        422: Outcome.REFUSED,  # the body has another form than the venue takes
        429: Outcome.UNKNOWN if is_action else Outcome.RATE_LIMITED,
    }.get(status, Outcome.UNKNOWN)
    answer = Answer(outcome, code=status, text=text)
    return replace(answer, retry_after_ns=RETRY_NS) if status == 429 else answer


def _placed(action: Mapping[str, Any], instrument: str, result: _Status) -> OrderReport:
    """Return the report of an order that was placed. The rest of an IOC order has ended."""
    [order] = action["orders"]
    quantity, (kind, time_in_force) = Decimal(order["s"]), _terms_of(order["t"])
    if result.filled is not None:
        filled, oid = Decimal(result.filled.total_sz), result.filled.oid
        status = VenueStatus.FILLED if filled >= quantity else VenueStatus.PARTIALLY_FILLED
        if status is VenueStatus.PARTIALLY_FILLED and time_in_force is TimeInForce.IOC:
            status = VenueStatus.EXPIRED
    elif result.resting is not None:
        filled, oid, status = ZERO, result.resting.oid, VenueStatus.OPEN
    else:
        raise ValueError("an order without a result")
    trigger = order["t"].get("trigger", {})
    return OrderReport(
        instrument=instrument,
        client_order_id=order["c"],
        venue_order_id=str(oid),
        status=status,
        side=Side.BUY if order["b"] else Side.SELL,
        type=kind,
        time_in_force=time_in_force,
        price=ZERO if trigger.get("isMarket") else Decimal(order["p"]),
        quantity=quantity,
        filled_quantity=filled,
        venue_ns=0,  # the answer has no time
        stop_price=Decimal(trigger.get("triggerPx", "0")),
        reduce_only=order["r"],
    )


def _terms_of(order_type: Mapping[str, Any]) -> tuple[OrderType, TimeInForce]:
    if "limit" in order_type:
        tif = order_type["limit"]["tif"]
        kind = OrderType.LIMIT_MAKER if tif == "Alo" else OrderType.LIMIT
        return kind, TimeInForce.IOC if tif == "Ioc" else TimeInForce.GTC
    trigger = order_type["trigger"]
    kinds = {
        ("sl", True): OrderType.STOP,
        ("sl", False): OrderType.STOP_LIMIT,
        ("tp", True): OrderType.TAKE_PROFIT,
        ("tp", False): OrderType.TAKE_PROFIT_LIMIT,
    }
    return kinds[trigger["tpsl"], trigger["isMarket"]], TimeInForce.GTC


def _settings_of(action: Mapping[str, Any], instrument: str) -> tuple[Event, ...]:
    """Return what a change of the leverage set: its answer states nothing."""
    if action["type"] != "updateLeverage":
        return ()
    mode = MarginMode.CROSS if action["isCross"] else MarginMode.ISOLATED
    return (MarginSettingsReport(instrument, Decimal(action["leverage"]), mode),)
