"""Events of each strategy: its newest fills and refusals, and the kinds of events that wait for its decision.

An event of the account sets a TIMER `event.STRATEGY` that is due at once. So the strategy sees the whole step, and no
decision triggers another one within its step. Outside RUNNING no strategy decides: its events wait until the session
runs again. Carried over. Nothing is folded with `events_kept` 0.
"""

from collections.abc import Mapping
from decimal import Decimal

import msgspec
from msgspec.structs import replace

from engine.bodies import VerdictBody
from engine.facts import ModeChanged, OrderClosed, OrderFilled, OrderNotPlaced
from engine.lifecycle import LIVE, Report
from engine.mode_reasons import Mode
from engine.model import Side
from engine.state.changes import Change, Stamp, TimerFired
from engine.state.orders import Orders
from engine.timer_names import TimerKind, TimerName
from engine.trigger_kinds import TriggerKind

REASON_CHARS_MAX = 300  # a venue's texts are foreign
Wanted = Mapping[str, frozenset[TriggerKind]]


class OwnFill(msgspec.Struct, frozen=True):
    """A fill of an order of the strategy."""

    client_order_id: str
    instrument: str
    side: Side
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    maker: bool
    time_ns: int  # when the engine learned of it
    fill_id: str


class Refusal(msgspec.Struct, frozen=True):
    """An intent that risk refused, or an order that the venue rejected."""

    instrument: str  # "": the intent named none that is traded
    by: str  # "risk" or "venue"
    reason: str
    rules: tuple[str, ...]  # those of risk that refused
    client_order_id: str  # of the rejected order; "" of an intent
    time_ns: int


class StrategyEvents(msgspec.Struct, frozen=True):
    """The events of all strategies, by strategy, oldest first."""

    fills: dict[str, tuple[OwnFill, ...]] = {}
    refusals: dict[str, tuple[Refusal, ...]] = {}
    waiting: dict[str, tuple[str, ...]] = {}  # kinds of triggers that wait for its decision


def reduce(
    events: StrategyEvents, change: Change, at: Stamp, *, orders: Orders, mode: Mode, kept: int, wanted: Wanted
) -> StrategyEvents:
    """Fold what concerns a strategy.

    Args:
        events: The events.
        change: The change.
        at: The record that brings it.
        orders: The orders before the change.
        mode: The mode before the change.
        kept: How many fills and refusals of a strategy are kept.
        wanted: Strategy -> the kinds of account events on which it decides.
    """
    match change:
        case OrderFilled() if change.strategy in wanted:
            fill = OwnFill(
                change.client_order_id,
                change.instrument,
                change.side,
                change.price,
                change.quantity,
                change.fee,
                change.fee_asset,
                change.maker,
                at.time_ns,
                change.fill_id,
            )
            fills = (*events.fills.get(change.strategy, ()), fill)[-kept:]
            events = replace(events, fills={**events.fills, change.strategy: fills})
            if not wanted[change.strategy]:
                return events
            order = orders.get(change.client_order_id)
            ends = order is not None and order.status in LIVE and order.leaves_quantity <= change.quantity
            events = _wait(events, change.strategy, TriggerKind.FILL, wanted)
            return _wait(events, change.strategy, TriggerKind.ORDER_END, wanted) if ends else events
        case OrderClosed() | OrderNotPlaced():
            return _ended(events, change, at, orders, kept=kept, wanted=wanted)
        case VerdictBody() if not change.approved and change.strategy in wanted:
            rules = tuple(sorted(name for name, reason in change.rules.items() if reason))
            reason = "; ".join(change.rules[name] for name in rules)
            refusal = Refusal(change.instrument, "risk", reason[:REASON_CHARS_MAX], rules, "", at.time_ns)
            return _refused(events, change.strategy, refusal, kept=kept, wanted=wanted)
        case ModeChanged() if change.mode is Mode.RUNNING and mode is not Mode.RUNNING:
            for strategy in wanted:
                events = _wait(events, strategy, TriggerKind.MODE, wanted)
            return events
        case TimerFired() if mode is Mode.RUNNING:
            timer = TimerName.parse(change.timer.timer)
            if timer.kind is TimerKind.EVENT and timer.subject in events.waiting:
                left = {name: kinds for name, kinds in events.waiting.items() if name != timer.subject}
                return replace(events, waiting=left)
            return events
        case _:
            return events


def due(before: StrategyEvents, after: StrategyEvents, *, runs: bool, began: bool, wanted: Wanted) -> tuple[str, ...]:
    """Return the strategies whose TIMER must be set: those with new events, or all that wait if the session begins."""
    if not runs or (after.waiting is before.waiting and not began):
        return ()
    return tuple(name for name in after.waiting if name in wanted and (began or name not in before.waiting))


def _ended(
    events: StrategyEvents,
    change: OrderClosed | OrderNotPlaced,
    at: Stamp,
    orders: Orders,
    *,
    kept: int,
    wanted: Wanted,
) -> StrategyEvents:
    order = orders.live.get(change.client_order_id)
    if order is None or order.strategy not in wanted:
        return events
    if isinstance(change, OrderClosed) and change.status is Report.REJECTED:
        refusal = Refusal(
            order.order.instrument,
            "venue",
            change.reason[:REASON_CHARS_MAX],
            (),
            change.client_order_id,
            at.time_ns,
        )
        events = _refused(events, order.strategy, refusal, kept=kept, wanted=wanted)
    return _wait(events, order.strategy, TriggerKind.ORDER_END, wanted)


def _refused(events: StrategyEvents, strategy: str, refusal: Refusal, *, kept: int, wanted: Wanted) -> StrategyEvents:
    refusals = (*events.refusals.get(strategy, ()), refusal)[-kept:]
    events = replace(events, refusals={**events.refusals, strategy: refusals})
    return _wait(events, strategy, TriggerKind.REFUSAL, wanted)


def _wait(events: StrategyEvents, strategy: str, kind: TriggerKind, wanted: Wanted) -> StrategyEvents:
    waiting = events.waiting.get(strategy, ())
    if kind not in wanted.get(strategy, ()) or kind in waiting:
        return events
    return replace(events, waiting={**events.waiting, strategy: (*waiting, str(kind))})
