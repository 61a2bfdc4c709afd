"""The limits of a day's losses: which positions each counts, in which assets, and how much of it is used."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

from engine.model import Instrument
from engine.money import ZERO
from engine.risk_settings import ScopeLimits
from engine.session_record import RiskSettings
from engine.state.day_pnl import DayPnl, key_of

DAILY_LOSS = "daily_loss_max"
DRAWDOWN = "drawdown_max"


class LossLimit(NamedTuple):
    """One limit."""

    name: str  # as the configuration spells it below `risk`; that of an account also has the venue
    limit: Decimal
    is_drawdown: bool
    strategy: str = ""  # "": of all
    instrument: str = ""  # one of its names; "": all
    venue: str = ""  # "": all accounts
    in_reporting: bool = False  # in the reporting currency, not in each asset of P&L

    @property
    def kind(self) -> str:
        """The figure that is limited, for texts."""
        return "drawdown" if self.is_drawdown else "loss"

    @property
    def recorded(self) -> str:
        """The name in records: daily_loss_max has none, as in older journals."""
        return "" if self.name == DAILY_LOSS else self.name

    def concerns(self, strategy: str, instrument: Instrument) -> bool:
        """Return True if the limit counts the positions of a strategy in an instrument."""
        return (
            self.strategy in ("", strategy)
            and self.instrument in ("", *instrument.names)
            and self.venue in ("", instrument.venue)
        )

    def concerns_unlisted(self, strategy: str, instrument: str) -> bool:
        """Return True if the limit counts the positions of a strategy in an instrument that the session lacks."""
        venue = instrument.partition(":")[0]
        return self.strategy in ("", strategy) and self.instrument in ("", instrument) and self.venue in ("", venue)

    def used(self, day: DayPnl, asset: str, pnl: Decimal) -> Decimal:
        """Return the used part of the limit: the day's loss, or its fall from the highest P&L."""
        return max(day.peaks.get(key_of(self.name, asset), ZERO), pnl) - pnl if self.is_drawdown else -pnl

    def peak_step(self, day: DayPnl, asset: str) -> Decimal:
        """Return the P&L from which on a new highest P&L is recorded."""
        return day.peaks.get(key_of(self.name, asset), ZERO) + self.limit / 100


def loss_limits(risk: RiskSettings, venues: Iterable[str]) -> tuple[LossLimit, ...]:
    """Return the limits of a session. Each account has its own: it is named by its venue."""
    base = LossLimit("", ZERO, is_drawdown=False)
    found = _both(base, "", risk.daily_loss_max, risk.drawdown_max)
    for name, scope in sorted(risk.strategy.items()):
        found += _scoped(base._replace(strategy=name), f"strategy.{name}.", scope)
    for name, scope in sorted(risk.instrument.items()):
        found += _scoped(base._replace(instrument=name), f"instrument.{name}.", scope)
    whole = base._replace(in_reporting=True)
    for name in venues:
        found += _scoped(whole._replace(venue=name), f"account.{name}.", risk.account)
    found += _scoped(whole, "portfolio.", risk.portfolio)
    return tuple(found)


def _scoped(of: LossLimit, prefix: str, scope: ScopeLimits) -> list[LossLimit]:
    return _both(of, prefix, scope.daily_loss_max, scope.drawdown_max)


def _both(of: LossLimit, prefix: str, loss: Decimal, drawdown: Decimal) -> list[LossLimit]:
    limits = ((DAILY_LOSS, loss, False), (DRAWDOWN, drawdown, True))
    return [of._replace(name=prefix + name, limit=most, is_drawdown=is_fall) for name, most, is_fall in limits if most]


def recorded_losses(day: DayPnl, limit: LossLimit) -> Mapping[str, Decimal]:
    """Return the losses of the day that reached this limit, by asset."""
    prefix = f"{limit.recorded} " if limit.recorded else ""
    return {
        key.removeprefix(prefix): loss
        for key, loss in day.lost.items()
        if (key.startswith(prefix) if prefix else " " not in key)
    }
