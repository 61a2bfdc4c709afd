"""The view of a Python strategy whose orders are in the fold. What the fold does not know, it refuses by name."""

from collections.abc import Callable
from typing import Any, Final, NoReturn

from engine.market.order_decision import TICK_FIELDS
from engine.market.predicates import MarketTick
from engine.market.rows import Floats
from engine.state.orders import Order
from engine.strategy.api import View
from replay.fold_orders.own_account import OwnAccount, Refusals

# the market, the instrument, the time, and the strategy's own orders and position
OFFERED: Final = frozenset({
    "age_ns", "average", "blocked", "book", "indicator", "instrument", "instruments", "last_trade", "listings", "log",
    "orders", "position", "quote", "round_price", "round_quantity", "tick", "time_ns", "trigger", "triggers", "turn_to",
})  # fmt: skip
REFUSED: Final = (
    "balance", "bars", "closed_orders", "ended_plans", "equity", "fills", "plans", "pnl", "protected_by", "refusals",
)  # fmt: skip


class FoldView(View):
    """A view whose market is the session's own, and whose orders and position are those of the loop."""

    __slots__ = ("_own", "_tick", "what_was_refused")

    def __init__(self, own: OwnAccount, tick: Floats, what_was_refused: Refusals, **given: Any) -> None:
        super().__init__(**given)
        self._own = own
        self._tick = tick  # the row of the loop that has the numbers of a MarketTick
        self.what_was_refused = what_was_refused

    def orders(self, name: str | None = None) -> list[Order]:
        """Return the strategy's own live orders, oldest first."""
        if name is not None:
            self.instrument(name)  # raises for an instrument that it did not declare
        return [*self._own.orders]

    def tick(self, name: str) -> MarketTick:
        """Return the numbers that `decide_fold` gets."""
        self.instrument(name)
        return MarketTick._make((*self._tick[0, :TICK_FIELDS].tolist(), ()))


def _refusing(name: str) -> Callable[..., NoReturn]:
    def refuse(view: FoldView, *_given: Any, **_named: Any) -> NoReturn:
        view.what_was_refused.refuse(f"`view.{name}`")

    return refuse


for _name in REFUSED:
    setattr(FoldView, _name, _refusing(_name))
