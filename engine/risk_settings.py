"""Risk settings by subject, as the SESSION record has them. Values only; engine/session_record.py assembles them.

Every field is omitted from the record at its default, so that a session without a limit records nothing about it.
"""

from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

import msgspec

from engine.model import MarginMode


class PriceReference(StrEnum):
    """Prices with which a limit price is compared."""

    MID = "mid"  # of the last quote
    LAST = "last"  # of the last trade


class Sharing(StrEnum):
    """Rules for several strategies in one instrument."""

    ALLOW = "allow"  # each trades as if it were alone; limits of the instrument count all
    NET = "net"  # none opens a position opposite to another's
    REFUSE = "refuse"  # the instrument belongs to the first that has a position or an order there


class SelfTradeChoice(StrEnum):
    """Consequences for an order that would trade with another strategy's order."""

    ALLOW = "allow"  # the venue decides
    REFUSE = "refuse"


class LossAction(StrEnum):
    """Consequences of a loss of the day at its limit, beside the cancel of every own order."""

    REDUCE = "reduce"  # until the day ends orders may only reduce positions
    HALT = "halt"  # that, and the session halts until a person resumes
    FLATTEN = "flatten"  # that, and every position is closed


class DaySettings(msgspec.Struct, frozen=True):
    """The day of daily limits: it begins at an hour of a time zone, which the shell resolves."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"zone", "hour", "offsets"})

    zone: str = "UTC"
    hour: int = 0
    # (UTC time in seconds from which it holds, seconds east of UTC), oldest first; (): UTC
    offsets: tuple[tuple[int, int], ...] = ()


class CooldownSettings(msgspec.Struct, frozen=True):
    """Times in which a strategy opens no position in an instrument after a setback there. 0: none."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset(
        {"after_loss_ns", "loss_min", "after_stop_ns", "after_refusals_ns", "refusals_max"}
    )

    after_loss_ns: int = 0  # after a fill that closed at a loss, fees included
    loss_min: Decimal = Decimal(0)  # in the asset of P&L: a smaller or equal loss does not count
    after_stop_ns: int = 0  # after a fill of a stop order
    after_refusals_ns: int = 0  # after refusals in a row, by the venue or by risk
    refusals_max: int = 3  # so many

    @property
    def is_set(self) -> bool:
        """True if anything leads to a cool-down."""
        return bool(self.after_loss_ns or self.after_stop_ns or self.after_refusals_ns)


class MarginSettings(msgspec.Struct, frozen=True):
    """The leverage and margin mode that contracts may have. A contract with others is blocked."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"leverage_max", "mode", "sets"})

    leverage_max: Decimal = Decimal(0)  # 0: any
    mode: MarginMode | None = None  # None: any
    sets: bool = False  # True: the engine sets both at the venue where they differ


class HoursSettings(msgspec.Struct, frozen=True):
    """Trading hours. The shell resolves them to windows when the session starts; the core reads the windows alone."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"calendar", "zone", "open", "windows"})

    calendar: str = ""  # of exchange_calendars, as in "XNYS"; "": `open` has the hours
    zone: str = "UTC"  # of `open`
    open: tuple[str, ...] = ()  # as in "mon-fri 09:00-17:30"
    windows: tuple[tuple[int, int], ...] = ()  # (begin, end) in seconds UTC, oldest first

    @property
    def is_set(self) -> bool:
        """True if there are hours."""
        return bool(self.calendar or self.open)

    @property
    def name(self) -> str:
        """The hours in a few words, for texts."""
        return self.calendar or f"{', '.join(self.open)} {self.zone}"


class ScopeLimits(msgspec.Struct, frozen=True):
    """Limits of one scope: an instrument, a strategy, the account or the whole portfolio. A limit of 0 is not set.

    Exposure is what the positions of the scope could become: open orders and the new one count as filled. In base it
    counts the instruments with the order's base asset, in quote those with its quote asset, in the reporting currency
    all. `gross` adds the absolute exposures of instruments, `net` adds them with their sign.
    """

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({
        "order_size_max", "order_notional_max", "position_max", "open_orders_max", "gross_base_max", "net_base_max",
        "gross_quote_max", "net_quote_max", "gross_max", "net_max", "price_band_max", "daily_loss_max", "drawdown_max",
        "hours", "placements_per_minute_max", "cancels_per_minute_max", "replacements_per_minute_max",
    })  # fmt: skip

    order_size_max: Decimal = Decimal(0)  # base quantity of one order
    order_notional_max: Decimal = Decimal(0)  # of one order, in its quote asset
    position_max: Decimal = Decimal(0)  # base quantity in the order's instrument, open orders counted, absolute
    open_orders_max: int = 0
    gross_base_max: Decimal = Decimal(0)
    net_base_max: Decimal = Decimal(0)
    gross_quote_max: Decimal = Decimal(0)
    net_quote_max: Decimal = Decimal(0)
    gross_max: Decimal = Decimal(0)  # in the reporting currency
    net_max: Decimal = Decimal(0)
    price_band_max: Decimal = Decimal(0)  # of an instrument: a share, as in RiskSettings
    # of the day. Of the account and the portfolio in the reporting currency, else in each asset of P&L
    daily_loss_max: Decimal = Decimal(0)
    drawdown_max: Decimal = Decimal(0)  # the fall of the day's P&L from its highest
    hours: HoursSettings = HoursSettings()  # of an instrument
    # of an instrument or of a strategy, as in RiskSettings
    placements_per_minute_max: int = 0
    cancels_per_minute_max: int = 0
    replacements_per_minute_max: int = 0


EXPOSURES = ("gross_base_max", "net_base_max", "gross_quote_max", "net_quote_max", "gross_max", "net_max")
NO_LIMITS = ScopeLimits()
