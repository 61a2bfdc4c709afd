"""The events of a run with orders in the fold, and the same events of an ordinary resimulation.

An event is one row: its kind, session time, order, side, price, quantity, code and the venue's stamp. Prices and
quantities are whole multiples of the instrument's units. The orders placed are numbered from 1.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

import numpy as np

from engine.bodies import IntentBody, RequestBody, VerdictBody
from engine.facts import OrderAccepted, OrderClosed, OrderFilled
from engine.lifecycle import Report
from engine.market.rows import Rows
from engine.model import Instrument, OrderType
from engine.record_codec import read_fact, read_intent, read_request, read_verdict
from engine.requests import Purpose
from engine.sim.fold_orders import fold_layout as at
from engine.step_context import Output
from engine.strategy.fold_decision import ORDER_TYPES
from journal.record import Kind, Record, plain

KINDS: Final = {
    at.PLACED: "placed",
    at.REFUSED: "refused by risk",
    at.CANCEL_SENT: "cancel sent",
    at.CANCEL_REFUSED: "cancel refused by risk",
    at.ACCEPTED: "accepted",
    at.REJECTED: "rejected by the venue",
    at.FILLED: "filled",
    at.CANCELED: "canceled",
}
CODES: Final[Mapping[OrderType, int]] = {order_type: kind for kind, order_type in ORDER_TYPES.items()}
ENDS: Final = {Report.CANCELED: 0, Report.EXPIRED: at.V_EXPIRED}
REASONS: Final = {  # the end of the venue's text
    "Order would immediately match and take.": at.V_WOULD_MATCH,
    "PERCENT_PRICE_BY_SIDE": at.V_PERCENT_PRICE,
    "NOTIONAL": at.V_NOTIONAL,
    "MAX_NUM_ORDERS": at.V_MAX_ORDERS,
}
READERS: Final[dict[Kind, Callable[[str], Any]]] = {
    Kind.INTENT: read_intent,
    Kind.VERDICT: read_verdict,
    Kind.REQUEST: read_request,
    Kind.FACT: read_fact,
}
OTHER: Final = 10**6  # a rule or a reason that the fold does not have


class _PlacedOrder(NamedTuple):
    number: int
    side: int
    price: int
    size: int


class EventCollector:
    """Collects the events of an ordinary resimulation: give `add` to resimulate_steps."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self._orders: dict[str, _PlacedOrder] = {}
        self._intents: dict[str, IntentBody] = {}
        self._found: list[tuple[int, ...]] = []

    @property
    def events(self) -> Rows:
        """The events so far."""
        return np.array(self._found, np.int64).reshape(len(self._found), at.X_FIELDS)

    def add(self, _inputs: Sequence[Record], outputs: Sequence[Output]) -> None:
        """Add the events among the outputs of a step."""
        for output in outputs:
            self._add(output.body, output.time_ns, output.key or "")

    def add_record(self, record: Record) -> None:
        """Add the event of a record of a journal, if it is one."""
        read = READERS.get(record.kind)
        if read is not None:
            self._add(read(record.body or ""), record.time_ns, record.key or "")

    def _add(self, body: Any, time_ns: int, key: str) -> None:
        match body:
            case IntentBody():
                self._intents[key] = body
            case VerdictBody() if not body.approved:
                self._add_refusal(body, time_ns, key)
            case RequestBody() if body.purpose is Purpose.PLACE and body.order is not None:
                order = body.order
                made = _PlacedOrder(
                    len(self._orders) + 1, order.side.sign, self._price(order.price), self._size(order.quantity)
                )
                self._orders[body.client_order_id] = made
                self._append(at.PLACED, time_ns, made, CODES.get(order.type, OTHER))
            case RequestBody() if body.purpose is Purpose.CANCEL:
                made = self._orders[body.client_order_id]
                self._append(at.CANCEL_SENT, time_ns, made)
            case OrderAccepted():
                made = self._orders[body.client_order_id]
                self._append(at.ACCEPTED, time_ns, made, 0, body.venue_ns)
            case OrderFilled():
                made = self._orders[body.client_order_id]
                made = made._replace(price=self._price(body.price), size=self._size(body.quantity))
                self._append(at.FILLED, time_ns, made, int(body.maker), body.venue_ns)
            case OrderClosed() if body.status is Report.REJECTED:
                made = self._orders[body.client_order_id]
                code = next((code for text, code in REASONS.items() if body.reason.endswith(text)), OTHER)
                self._append(at.REJECTED, time_ns, made, code)
            case OrderClosed():
                made = self._orders[body.client_order_id]
                code = ENDS.get(body.status, OTHER)
                made = made._replace(size=self._size(body.filled_quantity))
                self._append(at.CANCELED, time_ns, made, code, body.venue_ns)
            case _:
                pass

    def _add_refusal(self, verdict: VerdictBody, time_ns: int, key: str) -> None:
        intent = self._intents[key]
        if intent.order is None:
            made = self._orders[intent.cancels]
            self._append(at.CANCEL_REFUSED, time_ns, made)
            return
        order = intent.order
        made = _PlacedOrder(0, order.side.sign, self._price(order.price), self._size(order.quantity))
        code = sum(at.RULE_BITS.get(name, OTHER) for name, reason in verdict.rules.items() if reason)
        self._append(at.REFUSED, time_ns, made, code)

    def _append(self, kind: int, time_ns: int, made: _PlacedOrder, code: int = 0, venue_ns: int = 0) -> None:
        self._found.append((kind, time_ns, made.number, made.side, made.price, made.size, code, venue_ns))

    def _price(self, price: Decimal) -> int:
        return int(price.scaleb(self._instrument.price_scale))

    def _size(self, size: Decimal) -> int:
        return int(size.scaleb(self._instrument.size_scale))


def event_text(event: Sequence[int], instrument: Instrument) -> str:
    """Return an event as a line for people."""
    kind, time_ns, number, side, price, size, code, venue_ns = map(int, event)
    order = f"order {number}" if number else "an order"
    terms = (
        f"{'buy' if side > 0 else 'sell'} {plain(Decimal(size).scaleb(-instrument.size_scale))} at "
        f"{plain(Decimal(price).scaleb(-instrument.price_scale))}"
    )
    return f"{time_ns} {order} {KINDS.get(kind, kind)}: {terms}, code {code}, venue {venue_ns}"


def first_difference(folded: Rows, ordinary: Rows, instrument: Instrument) -> str:
    """Return the first event in which two runs differ, as a line; "" if all are equal."""
    count = min(len(folded), len(ordinary))
    unequal = np.flatnonzero((folded[:count] != ordinary[:count]).any(axis=1))
    if not len(unequal) and len(folded) == len(ordinary):
        return ""
    at_event = int(unequal[0]) if len(unequal) else count
    sides = [
        event_text(events[at_event].tolist(), instrument) if at_event < len(events) else "nothing"
        for events in (folded, ordinary)
    ]
    return f"event {at_event + 1}: in the fold {sides[0]}; the ordinary way {sides[1]}"
