"""The values that an execution plan decides on, and its decision. Pure: a plan changes nothing itself."""

from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple

from engine.facts import NewOrder, PlanPhase
from engine.lifecycle import LIVE, Status
from engine.market.views import BookTop
from engine.model import Instrument, ListKind, OrderType, Side, TimeInForce
from engine.money import ZERO, down_to_grid
from engine.state.execution_plans import ExecutionPlan
from engine.state.orders import Order
from journal.record import plain

MILLISECOND_NS = 1_000_000


class Seen(NamedTuple):
    """The account and the market as a plan sees them."""

    plan: ExecutionPlan
    time_ns: int
    instrument: Instrument
    bid: Decimal
    ask: Decimal
    orders: tuple[Order, ...]  # of the plan, oldest first
    position: Decimal  # of the strategy
    read_book: Callable[[], BookTop | None]
    has_stops: bool = True  # the venue holds stop orders
    has_trailing: bool = False  # and those that follow the market by basis points
    lists: frozenset[ListKind] = frozenset()  # the order lists that the venue places as one
    # plans try again after refusals that pass, and end with a rest that is too small (order_rules 3)
    retries: bool = False
    rests_again: bool = False  # Timed and Scale too try again after refusals that pass (order_rules 4)
    # with `retries`: before it no stop is placed, since the last ones were refused; 0: they were not
    retry_ns: int = 0
    replace_from_ns: int = 0  # before it, the budgets allow no replacement of a resting order; 0: they do

    def touch(self, side: Side) -> Decimal:
        """Return the best price of a side: the bid for a buy."""
        return self.bid if side is Side.BUY else self.ask

    def far_touch(self, side: Side) -> Decimal:
        """Return the price at which an order of a side would fill now."""
        return self.ask if side is Side.BUY else self.bid

    @property
    def live(self) -> tuple[Order, ...]:
        """The orders that may still fill, and those whose fills are not all known."""
        return tuple(order for order in self.orders if not is_settled(order))

    def filled(self, side: Side) -> Decimal:
        """Return the sum of the fills of the plan's orders of a side."""
        return sum((order.filled_quantity for order in self.orders if order.order.side is side), ZERO)

    def is_waiting(self) -> bool:
        """Return True while a stop waits, since the ones before were refused."""
        return self.time_ns < self.retry_ns

    def is_due(self) -> bool:
        """Return True if the time has come at which the plan acts by itself."""
        return 0 < self.plan.next_ns <= self.time_ns


class PlanMove(NamedTuple):
    """The decision of a plan. The fields that are not given stay as they are."""

    place: tuple[NewOrder, ...] = ()
    cancel: tuple[Order, ...] = ()
    phase: PlanPhase | None = None
    counted: int | None = None  # the new `count` of the plan
    mark: Decimal | None = None
    next_ns: int | None = None
    ended: str = ""  # the reason why the plan is over
    # an order list that is placed instead of `place`, unless risk refuses it; the stop precedes the target
    linked: tuple[NewOrder, ...] = ()
    is_waiting: bool = False  # a part of the position is not protected, and its stop waits after a refusal


NOTHING = PlanMove()


def is_settled(order: Order) -> bool:
    """Return True if an order has ended and all its fills are recorded, so that its rest is known."""
    return order.status not in LIVE and order.filled_reported <= order.filled_quantity


def cancellable(orders: tuple[Order, ...]) -> tuple[Order, ...]:
    """Return the orders that a cancel can reach now."""
    return tuple(order for order in orders if order.status in LIVE and order.status is not Status.UNKNOWN)


def lots(seen: Seen, quantity: Decimal) -> Decimal:
    """Return a quantity rounded down to the lot, or 0 if the venue would refuse it as too small."""
    rounded = down_to_grid(max(quantity, ZERO), seen.instrument.lot_size)
    return ZERO if rounded < seen.instrument.quantity_min else rounded


def is_too_small(seen: Seen, quantity: Decimal, price: Decimal) -> bool:
    """Return True if a quantity is below the venue's lot, or below its least notional at a price.

    Without a price, and in sessions recorded before plans read it, the notional does not count.
    """
    if not lots(seen, quantity):
        return True
    return seen.retries and 0 < price * lots(seen, quantity) < seen.instrument.notional_min


def end_text(seen: Seen, side: Side, left: Decimal, nothing: str) -> str:
    """Return the reason for the end of a plan that protects, with the quantity that stays open.

    Args:
        seen: The account and the market.
        side: That of the exits.
        left: The part of the position that the plan leaves.
        nothing: The reason if there was nothing to close.

    """
    rest = f"{plain(left)} is left: too small to order" if seen.retries and left > 0 else ""
    if not seen.filled(side):
        return rest or nothing
    return f"closed, but {rest}" if rest else "closed"


def is_beyond(price: Decimal, worst: Decimal, side: Side) -> bool:
    """Return True if a price is worse than a bound; a bound of 0 is none."""
    return bool(worst) and (price > worst if side is Side.BUY else price < worst)


def limit_order(
    seen: Seen,
    side: Side,
    quantity: Decimal,
    price: Decimal,
    *,
    order_type: OrderType = OrderType.LIMIT,
    time_in_force: TimeInForce = TimeInForce.GTC,
    reduce_only: bool = False,
) -> NewOrder:
    """Return a limit order of the plan's instrument."""
    return NewOrder(
        instrument=seen.instrument.id,
        side=side,
        type=order_type,
        quantity=quantity,
        price=price,
        time_in_force=time_in_force,
        reduce_only=reduce_only,
    )


def market_order(seen: Seen, side: Side, quantity: Decimal, *, reduce_only: bool = False) -> NewOrder:
    """Return a market order of the plan's instrument."""
    return NewOrder(
        instrument=seen.instrument.id, side=side, type=OrderType.MARKET, quantity=quantity, reduce_only=reduce_only
    )
