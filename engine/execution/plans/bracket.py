"""A bracket: an entry, then a stop and a target for the filled part of it, until one of them is reached.

An Oco is the same without the entry, for a position that exists.

If the venue places order lists, both exits rest there as one list; with a limit price to buy at, the entry is in the
list too, and the venue places the exits when it is filled. Otherwise spot funds back one exit order at a time: the stop
rests at the venue and the engine watches the target. When it is reached, the stop is cancelled and the position is
closed at the target or better. If the market falls back meanwhile, the exits are placed again.
"""

from decimal import Decimal

from engine.execution.plans.seen import (
    MILLISECOND_NS,
    NOTHING,
    PlanMove,
    Seen,
    cancellable,
    end_text,
    is_settled,
    is_too_small,
    limit_order,
    lots,
    market_order,
)
from engine.facts import NewOrder, PlanPhase
from engine.lifecycle import LIVE, Status
from engine.model import ListKind, OrderType, Side, TimeInForce
from engine.money import ZERO
from engine.plan_terms import Bracket, Oco
from engine.rounding import taking_price
from engine.state.linked_orders import fillable_together
from engine.state.missing_fills import missing_of
from engine.state.orders import Order

CHECK_NS = 100 * MILLISECOND_NS  # how often the target is compared, and the stop where the venue holds none
# A fill of a part of the target ends the stop of its list. The rest of the target has this time to fill. Then it is
# cancelled, and both exits are placed again for it.
REST_NS = 1_000 * MILLISECOND_NS


def advance(seen: Seen) -> PlanMove:
    """Return the next move. `count` is 1 once the entry was placed."""
    plan, terms = seen.plan, seen.plan.terms
    assert isinstance(terms, Bracket | Oco)
    if isinstance(terms, Bracket) and not plan.count:
        return _enter(seen, terms)
    exit_side = terms.side if isinstance(terms, Oco) else _other(terms.side)
    entries = tuple(order for order in seen.live if order.order.side is not exit_side)
    exits = tuple(order for order in seen.live if order.order.side is exit_side)
    entered = terms.quantity if isinstance(terms, Oco) else seen.filled(terms.side)
    left = min(entered - seen.filled(exit_side), seen.position * -exit_side.sign)
    live = {order.client_order_id: order for order in seen.live}
    covered = sum((order.leaves_quantity for order in fillable_together(exits, live)), ZERO)
    covered += sum(map(missing_of, exits), ZERO)
    uncovered = lots(seen, left - covered)
    if not entries and not exits and is_too_small(seen, left, terms.stop_price):
        nothing = "there is no position to protect" if isinstance(terms, Oco) else "the entry is not filled"
        return PlanMove(ended=end_text(seen, exit_side, left, nothing))
    cancels = _late_entries(seen, terms, entries)
    if any(order.list_id for order in entries):
        return _await_entry(seen, terms, entries, cancels)
    if plan.phase is PlanPhase.EXITING:
        return _exit(seen, terms, exit_side, exits=exits, uncovered=uncovered, cancels=cancels)
    if uncovered and not _is_worth(seen, terms, uncovered, entries):
        uncovered = ZERO
    if _must_exit(seen, terms, exit_side, exits=exits, uncovered=uncovered):
        return PlanMove(
            cancel=(*cancellable(entries), *cancellable(exits)), phase=PlanPhase.EXITING, next_ns=_next(seen)
        )
    if uncovered and _is_stop_refused(seen, exit_side):
        return PlanMove((market_order(seen, exit_side, uncovered, reduce_only=True),), cancels, next_ns=_next(seen))
    follows_list = seen.time_ns >= plan.retry_ns and _is_list_refused(seen, exit_side)  # it waits for risk alone
    is_waiting = seen.is_waiting() and not follows_list
    if uncovered and seen.has_stops and is_waiting:
        return PlanMove(cancel=cancels, next_ns=_next(seen) if cancels or seen.is_due() else None, is_waiting=True)
    if uncovered and seen.has_stops:
        return _protect(seen, terms, exit_side, uncovered, cancels)
    return PlanMove(cancel=cancels, next_ns=_next(seen)) if cancels or seen.is_due() else NOTHING


def _next(seen: Seen) -> int:
    return seen.time_ns + CHECK_NS


def _enter(seen: Seen, terms: Bracket) -> PlanMove:
    """Place the entry, with its exits in one list if the venue can pay for them from the entry."""
    next_ns = seen.time_ns + CHECK_NS
    if not terms.entry_price:
        return PlanMove((market_order(seen, terms.side, terms.quantity),), counted=1, next_ns=next_ns)
    entry = limit_order(seen, terms.side, terms.quantity, terms.entry_price)
    is_paid = ListKind.OPOCO in seen.lists and terms.side is Side.BUY and not seen.instrument.contract
    exits = _pair(seen, terms, Side.SELL, terms.quantity) if is_paid else ()
    return PlanMove((entry,), counted=1, next_ns=next_ns, linked=(entry, *exits) if exits else ())


def _pair(seen: Seen, terms: Bracket | Oco, side: Side, quantity: Decimal) -> tuple[NewOrder, NewOrder]:
    """Return the stop and the target of a list."""
    target = limit_order(seen, side, quantity, terms.target_price, order_type=OrderType.LIMIT_MAKER, reduce_only=True)
    return _stop(seen, terms, side, quantity), target


def _stop(seen: Seen, terms: Bracket | Oco, side: Side, quantity: Decimal) -> NewOrder:
    return NewOrder(
        instrument=seen.instrument.id,
        side=side,
        type=OrderType.STOP,
        quantity=quantity,
        stop_price=terms.stop_price,
        reduce_only=True,
    )


def _protect(seen: Seen, terms: Bracket | Oco, side: Side, quantity: Decimal, cancels: tuple[Order, ...]) -> PlanMove:
    """Place both exits as one list, or the stop alone where the venue has no lists or refused this one."""
    is_listed = ListKind.OCO in seen.lists and not _is_list_refused(seen, side)
    pair = _pair(seen, terms, side, quantity) if is_listed else ()
    stop = _stop(seen, terms, side, quantity)
    return PlanMove((stop,), cancels, PlanPhase.PROTECTING, next_ns=_next(seen), linked=pair)


def _await_entry(seen: Seen, terms: Bracket | Oco, entries: tuple[Order, ...], cancels: tuple[Order, ...]) -> PlanMove:
    """Wait for an entry whose list holds the exits: the venue places them when it is filled whole.

    The venue does not protect a part of it, whose funds no other order can use. So the engine watches both prices for
    the part, and cancels the list if one is reached.
    """
    assert isinstance(terms, Bracket), "an Oco has no entry"
    side = _other(terms.side)
    is_over = seen.filled(terms.side) and (
        _is_reached(seen, terms.stop_price, side, is_stop=True)
        or _is_reached(seen, terms.target_price, side, is_stop=False)
    )
    cancels = cancellable(entries) if is_over else cancels
    return PlanMove(cancel=cancels, next_ns=_next(seen)) if cancels or seen.is_due() else NOTHING


def _must_exit(seen: Seen, terms: Bracket | Oco, side: Side, *, exits: tuple[Order, ...], uncovered: Decimal) -> bool:
    """Return True if the engine closes the position or places its exits again: no order at the venue closes it now."""
    is_watching = not seen.has_stops or (uncovered and seen.retry_ns and not _is_stop_refused(seen, side))
    if is_watching and _is_reached(seen, terms.stop_price, side, is_stop=True):
        return True
    rests = [order for order in exits if _is_rest_of_target(seen, order)]
    if any(_must_cancel_rest(seen, terms, side, order) for order in rests):
        return True
    if exits and not uncovered and all(order.list_id for order in exits):
        return False  # the target rests at the venue
    return _is_reached(seen, terms.target_price, side, is_stop=False)


def _is_rest_of_target(seen: Seen, order: Order) -> bool:
    """Return True for a partly filled target: the stop of its list has ended."""
    if not order.list_id or order.order.terms.trigger is not None:
        return False
    stops = [other for other in seen.orders if other.list_id == order.list_id and other is not order]
    return all(is_settled(stop) for stop in stops if stop.order.side is order.order.side)


def _must_cancel_rest(seen: Seen, terms: Bracket | Oco, side: Side, rest: Order) -> bool:
    """Return True if the rest of a target must go: at the stop, or late if a stop is possible."""
    if terms.stop_price * rest.leaves_quantity < seen.instrument.notional_min:
        return seen.retries and _is_reached(seen, terms.stop_price, side, is_stop=True)
    is_late = seen.time_ns - rest.updated_ns >= REST_NS
    return is_late or _is_reached(seen, terms.stop_price, side, is_stop=True)


def _is_stop_refused(seen: Seen, side: Side) -> bool:
    """Return True if the venue will never take the newest stop, so the position is closed.

    After a refusal that passes the stop is placed again, and the engine watches its price until the venue takes it.
    """
    exits = [order for order in seen.orders if order.order.side is side]
    is_refused = bool(exits) and exits[-1].status is Status.REJECTED and not exits[-1].is_temporary
    return is_refused and exits[-1].order.terms.trigger is not None


def _is_list_refused(seen: Seen, side: Side) -> bool:
    """Return True if the venue refused the newest list: the market may be beyond one of its prices."""
    exits = [order for order in seen.orders if order.order.side is side]
    return bool(exits) and exits[-1].status is Status.REJECTED and bool(exits[-1].list_id)


def _late_entries(seen: Seen, terms: Bracket | Oco, entries: tuple[Order, ...]) -> tuple[Order, ...]:
    """Return the entry that waited for too long, to be cancelled."""
    if isinstance(terms, Oco):
        return ()
    ends_ns = seen.plan.started_ns + terms.entry_lasts_ms * MILLISECOND_NS
    return cancellable(entries) if terms.entry_lasts_ms and seen.time_ns >= ends_ns else ()


def _is_worth(seen: Seen, terms: Bracket | Oco, quantity: Decimal, entries: tuple[Order, ...]) -> bool:
    """Return True if a quantity can be protected: the venue takes it, and not each small fill of a living entry."""
    if terms.stop_price * quantity < seen.instrument.notional_min:
        return False
    return not entries or seen.is_due()


def _other(side: Side) -> Side:
    return Side.SELL if side is Side.BUY else Side.BUY


def _is_reached(seen: Seen, price: Decimal, exit_side: Side, *, is_stop: bool) -> bool:
    """Return True if the position could be closed at a target or better, or at a stop or worse."""
    now = seen.far_touch(exit_side)
    if not now:
        return False
    gain = (price - now) * exit_side.sign
    return gain <= 0 if is_stop else gain >= 0


def _exit(
    seen: Seen,
    terms: Bracket | Oco,
    side: Side,
    *,
    exits: tuple[Order, ...],
    uncovered: Decimal,
    cancels: tuple[Order, ...],
) -> PlanMove:
    """Close at the target once the exits at the venue have ended; place them again if the market fell back."""
    stops = tuple(
        order for order in exits if order.status in LIVE and (order.order.terms.trigger is not None or order.list_id)
    )
    if stops or exits:
        return PlanMove(cancel=(*cancels, *cancellable(stops)), next_ns=_next(seen)) if stops else NOTHING
    if not uncovered:
        return PlanMove(cancel=cancels, phase=PlanPhase.PROTECTING, next_ns=_next(seen))
    is_engines = seen.retries or not seen.has_stops
    if is_engines and _is_reached(seen, terms.stop_price, side, is_stop=True):
        return PlanMove((market_order(seen, side, uncovered, reduce_only=True),), cancels, next_ns=_next(seen))
    if _is_reached(seen, terms.target_price, side, is_stop=False):
        price = taking_price(terms.target_price * (1 + side.sign * terms.exit_slippage_max), seen.instrument, side)
        order = limit_order(seen, side, uncovered, price, time_in_force=TimeInForce.IOC, reduce_only=True)
        return PlanMove((order,), cancels, next_ns=_next(seen))
    return PlanMove(cancel=cancels, phase=PlanPhase.PROTECTING, next_ns=_next(seen))
