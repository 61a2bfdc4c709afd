"""Execution plans as a strategy states them, one struct a kind. Values only: engine/execution/plans decides.

A plan is between an intent and its orders: it places, cancels and replaces orders until it has ended. Its orders belong
to the strategy, and risk reviews each of them.
"""

from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

import msgspec

from engine.model import OrderType, Side
from engine.money import ZERO

EVERY_MS_MIN = 100  # between two orders of a plan
CHECK_MS_MIN = 10
ORDERS_MAX = 1_000  # of one plan


class StopChoice(StrEnum):
    """The fate of the exits at the venue that protect a position, at an ordered stop."""

    CANCEL = "cancel"
    KEEP = "keep"  # they stay at the venue, and the next session continues their plan


def _require(is_met: object, text: str) -> None:
    if not is_met:
        raise ValueError(text)


def _check_choice(on_stop: str | None) -> None:
    _require(on_stop in (None, *StopChoice), f"on_stop must be one of {', '.join(StopChoice)}, not {on_stop}")


class MarketLimits(msgspec.Struct, frozen=True):
    """The conditions under which a plan may place a market order for its rest. A limit of 0 is not set."""

    spread_max: Decimal = ZERO  # between bid and ask, as a fraction of the bid
    slippage_max: Decimal = ZERO  # of the average price against the touch, as a fraction, by the book
    depth_min: Decimal = ZERO  # base quantity at the touch
    cost_max: Decimal = ZERO  # notional, in the quote asset

    @property
    def needs_book(self) -> bool:
        """True if the levels of the book are read."""
        return bool(self.slippage_max)


class _PlanTerms(msgspec.Struct, frozen=True, tag_field="plan"):
    instrument: str
    side: Side
    quantity: Decimal

    WRITES_TAG: ClassVar[bool] = True  # journal/record.py writes the tag, so a record is read as the right plan
    replaces: ClassVar[bool] = False  # True: each order after the first is in place of the one before
    protects: ClassVar[bool] = False  # True: it guards a position, so it outlives an ordered stop

    @property
    def prices(self) -> tuple[Decimal, ...]:
        """The prices that must be on the tick."""
        return ()

    @property
    def quantities(self) -> tuple[Decimal, ...]:
        """The quantities that must be on the lot."""
        return (self.quantity,)

    def check(self) -> None:
        """Raise ValueError if the fields contradict each other."""


class Timed(_PlanTerms, frozen=True, tag="timed"):
    """Good till a time: a limit order that is cancelled after `lasts_ms` unless it is filled before."""

    price: Decimal
    lasts_ms: int
    post_only: bool = False
    reduce_only: bool = False

    @property
    def type(self) -> OrderType:
        """The type of its order."""
        return OrderType.LIMIT_MAKER if self.post_only else OrderType.LIMIT

    @property
    def prices(self) -> tuple[Decimal, ...]:
        """The limit price."""
        return (self.price,)

    def check(self) -> None:
        """Raise ValueError if it would never end."""
        _require(self.lasts_ms > 0, f"lasts_ms must be above 0, not {self.lasts_ms}")


class Chase(_PlanTerms, frozen=True, tag="chase"):
    """Follow the market with a limit order: every `every_ms` it is replaced where the touch has moved away.

    `offset` is the distance from the own touch (a buy's is the bid), away from the market. After `replacements_max`
    replacements the rest is placed at market if `market` allows it, else the plan ends.
    """

    offset: Decimal = ZERO
    every_ms: int = 1_000
    replacements_max: int = 20
    worst_price: Decimal = ZERO  # no limit order beyond it; 0: none
    post_only: bool = True
    reduce_only: bool = False
    market: MarketLimits | None = None  # None: no market order

    replaces: ClassVar[bool] = True

    @property
    def type(self) -> OrderType:
        """The type of its limit orders."""
        return OrderType.LIMIT_MAKER if self.post_only else OrderType.LIMIT

    @property
    def prices(self) -> tuple[Decimal, ...]:
        """The worst price, if there is one."""
        return (self.worst_price,) if self.worst_price else ()

    def check(self) -> None:
        """Raise ValueError for an interval or a number of replacements that no plan can have."""
        _require(self.every_ms >= EVERY_MS_MIN, f"every_ms must be {EVERY_MS_MIN} or more, not {self.every_ms}")
        _require(self.replacements_max >= 0, f"replacements_max must not be negative, but is {self.replacements_max}")
        _require(self.offset >= 0, f"offset must not be negative, but is {self.offset}")


class Twap(_PlanTerms, frozen=True, tag="twap"):
    """Trade in `slices` equal parts, one every `every_ms`; each part that is not filled at once joins the next.

    Each slice is a limit order, immediate or cancel, at most `slippage_max` beyond the far touch.
    """

    slices: int
    every_ms: int
    slippage_max: Decimal = Decimal("0.001")
    worst_price: Decimal = ZERO  # no order beyond it; 0: none
    reduce_only: bool = False

    @property
    def prices(self) -> tuple[Decimal, ...]:
        """The worst price, if there is one."""
        return (self.worst_price,) if self.worst_price else ()

    def check(self) -> None:
        """Raise ValueError for an interval or a number of slices that no plan can have."""
        _require(self.every_ms >= EVERY_MS_MIN, f"every_ms must be {EVERY_MS_MIN} or more, not {self.every_ms}")
        _require(0 < self.slices <= ORDERS_MAX, f"slices must be 1 to {ORDERS_MAX}, not {self.slices}")


class Level(msgspec.Struct, frozen=True):
    """One order of a Scale."""

    price: Decimal
    quantity: Decimal


class Scale(_PlanTerms, frozen=True, tag="scale"):
    """Scale in or out: a resting order at each level. The plan ends when all have ended, or after `lasts_ms`.

    `quantity` is the sum of all levels.
    """

    levels: tuple[Level, ...]
    lasts_ms: int = 0  # 0: without end
    post_only: bool = True
    reduce_only: bool = False

    @property
    def type(self) -> OrderType:
        """The type of its orders."""
        return OrderType.LIMIT_MAKER if self.post_only else OrderType.LIMIT

    @property
    def prices(self) -> tuple[Decimal, ...]:
        """The price of each level."""
        return tuple(level.price for level in self.levels)

    @property
    def quantities(self) -> tuple[Decimal, ...]:
        """The quantity of each level."""
        return tuple(level.quantity for level in self.levels)

    def check(self) -> None:
        """Raise ValueError if the levels do not sum to the quantity."""
        _require(0 < len(self.levels) <= ORDERS_MAX, f"levels must be 1 to {ORDERS_MAX}, not {len(self.levels)}")
        _require(
            sum(self.quantities) == self.quantity, f"the levels sum to {sum(self.quantities)}, not {self.quantity}"
        )


class Bracket(_PlanTerms, frozen=True, tag="bracket"):
    """Enter, and protect what was filled: stop and target rest at the venue until one of them is reached.

    Where the venue has no order lists the engine watches the target, and without stop orders the stop too.
    `view.protected_by(plan_id)` names the holder of the stop now. Of a venue without stop orders it is the engine.
    """

    stop_price: Decimal
    target_price: Decimal
    entry_price: Decimal = ZERO  # 0: enter at market
    entry_lasts_ms: int = 0  # the entry's rest is cancelled after it; 0: never
    exit_slippage_max: Decimal = Decimal("0.002")  # of the exit at the target, against the target price
    on_stop: StopChoice | None = None  # its exits at the venue at an ordered stop; None: as the session states

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"on_stop"})
    protects: ClassVar[bool] = True

    @property
    def prices(self) -> tuple[Decimal, ...]:
        """The prices of stop, target and entry."""
        return (self.stop_price, self.target_price, *((self.entry_price,) if self.entry_price else ()))

    def check(self) -> None:
        """Raise ValueError if stop, entry and target are not in this order, seen from the position."""
        _check_choice(self.on_stop)
        entry = self.entry_price or (self.stop_price + self.target_price) / 2
        is_ordered = (entry - self.stop_price) * self.side.sign > 0 and (self.target_price - entry) * self.side.sign > 0
        order = "stop < entry < target" if self.side is Side.BUY else "target < entry < stop"
        _require(
            is_ordered, f"a {self.side} bracket needs {order}, not {self.stop_price}, {entry}, {self.target_price}"
        )


class Oco(_PlanTerms, frozen=True, tag="oco"):
    """Two exits of a position, a stop and a target: the first to close it ends the other.

    `side` is that of the exit: SELL protects a long position. Both sides are closed as those of a Bracket.
    """

    stop_price: Decimal
    target_price: Decimal
    exit_slippage_max: Decimal = Decimal("0.002")  # of the exit at the target, against the target price
    on_stop: StopChoice | None = None  # its exits at the venue at an ordered stop; None: as the session states

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"on_stop"})
    protects: ClassVar[bool] = True

    @property
    def prices(self) -> tuple[Decimal, ...]:
        """The prices of stop and target."""
        return (self.stop_price, self.target_price)

    def check(self) -> None:
        """Raise ValueError if stop and target are on the wrong sides of each other."""
        _check_choice(self.on_stop)
        gain = (self.target_price - self.stop_price) * -self.side.sign
        order = "stop < target" if self.side is Side.SELL else "target < stop"
        _require(gain > 0, f"a {self.side} needs {order}; stop and target are {self.stop_price}, {self.target_price}")


class Trail(_PlanTerms, frozen=True, tag="trail"):
    """A trailing stop: close at market once the market turned by a distance from its best price.

    The venue holds it if `basis_points` is given and the venue has such orders; else the engine does.

    `side` is that of the exit: SELL protects a long position. Exactly one of `amount` and `basis_points` is given.
    """

    amount: Decimal = ZERO  # distance as a price
    basis_points: int = 0  # distance in ten-thousandths of the best price
    activation_price: Decimal = ZERO  # it begins to follow here; 0: at once
    check_ms: int = 100  # how often the engine compares
    on_stop: StopChoice | None = None  # its stop at the venue at an ordered stop; None: as the session states

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"on_stop"})
    protects: ClassVar[bool] = True

    def check(self) -> None:
        """Raise ValueError unless exactly one distance is given."""
        _check_choice(self.on_stop)
        _require(bool(self.amount) != bool(self.basis_points), "give either amount or basis_points")
        _require(self.amount >= 0 and self.basis_points >= 0, "the distance must not be negative")
        _require(self.check_ms >= CHECK_MS_MIN, f"check_ms must be {CHECK_MS_MIN} or more, not {self.check_ms}")


PlanTerms = Timed | Chase | Twap | Scale | Bracket | Oco | Trail
