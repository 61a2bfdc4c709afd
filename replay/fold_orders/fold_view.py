"""The view of a Python strategy whose orders are in the fold. It refuses by name all that the fold lacks."""

from collections.abc import Callable
from typing import Any, Final, NoReturn

from msgspec.structs import astuple

from engine.market.order_decision import TICK_FIELDS
from engine.market.predicates import MarketTick
from engine.market.rows import Floats
from engine.market.views import BookTop, Quote, Trade
from engine.state.orders import Order
from engine.strategy.api import View
from replay.fold_orders.own_account import OwnAccount
from replay.fold_orders.unknown_values import Refusals, without_fields

# the market, the instrument, the time, and the strategy's own orders and position
OFFERED: Final = frozenset({
    "age_ns", "average", "blocked", "book", "indicator", "instrument", "instruments", "last_trade", "listings", "log",
    "orders", "position", "quote", "round_price", "round_quantity", "tick", "time_ns", "trigger", "triggers", "turn_to",
})  # fmt: skip
REFUSED: Final = (
    "balance", "bars", "closed_orders", "ended_plans", "equity", "fills", "plans", "pnl", "protected_by", "refusals",
)  # fmt: skip


class MarketKinds:
    """The objects of the market that a view returns. They refuse `seq`, because there are no records."""

    def __init__(self, refusals: Refusals) -> None:
        self.quote = without_fields(Quote, ["seq"], "a quote", refusals)
        self.book = without_fields(BookTop, ["seq"], "a book", refusals)
        self.trade = without_fields(Trade, ["seq"], "a trade", refusals)


class FoldView(View):
    """A view whose market is the session's own, and whose orders and position are those of the loop."""

    __slots__ = ("_kinds", "_own", "_refusals", "_tick")

    def __init__(self, own: OwnAccount, tick: Floats, kinds: MarketKinds, refusals: Refusals, **given: Any) -> None:
        super().__init__(**given)
        self._own = own
        self._tick = tick  # the row of the loop that has the numbers of a MarketTick
        self._kinds = kinds
        self._refusals = refusals

    def refuse(self, what: str) -> NoReturn:
        """End the run: the strategy read what the fold does not know. Raises CannotFoldError."""
        self._refusals.refuse(what)

    def quote(self, name: str) -> Quote | None:
        """Return the newest best bid and ask, with its age; None before the first."""
        found = super().quote(name)
        return None if found is None else self._kinds.quote(*astuple(found))

    def book(self, name: str, levels: int = 20) -> BookTop | None:
        """Return the best levels of each side; None while the book is not synchronised."""
        return self._market.book_top(self._instruments[name][0], levels, self._kinds.book)

    def last_trade(self, name: str) -> Trade | None:
        """Return the newest trade of the market; None before the first."""
        found = super().last_trade(name)
        return None if found is None else self._kinds.trade(*astuple(found))

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
        view.refuse(f"`view.{name}`")

    return refuse


for _name in REFUSED:
    setattr(FoldView, _name, _refusing(_name))
