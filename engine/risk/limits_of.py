"""The limits of one instrument: those of the session, unless the instrument's own table sets them."""

from msgspec.structs import replace

from engine.model import Instrument
from engine.risk_settings import NO_LIMITS, ScopeLimits
from engine.session_record import RiskSettings

REPLACED = (
    "order_size_max", "order_notional_max", "position_max", "open_orders_max", "price_band_max", "hours",
    "placements_per_minute_max", "cancels_per_minute_max", "replacements_per_minute_max",
)  # fmt: skip


def own_limits(risk: RiskSettings, instrument: Instrument) -> ScopeLimits:
    """Return the limits that the instrument's own table sets, under one of its names."""
    return next((risk.instrument[name] for name in instrument.names if name in risk.instrument), NO_LIMITS)


def limits_of(risk: RiskSettings, instrument: Instrument) -> RiskSettings:
    """Return the limits that an order in the instrument must keep."""
    own = own_limits(risk, instrument)
    given = {name: value for name in REPLACED if (value := getattr(own, name)) != getattr(NO_LIMITS, name)}
    return replace(risk, **given) if given else risk
