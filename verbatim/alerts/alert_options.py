"""The options of the rules of alerts, with their defaults and bounds: sections of the configuration."""

from decimal import Decimal

from pydantic import Field

from verbatim.alerts.alert_events import Severity
from verbatim.sections import Section

WINDOW_S_MAX = 3600  # of CounterHistory


class RuleOptions(Section):
    """The options of every rule."""

    enabled: bool = True
    severity: Severity = Severity.WARNING
    for_s: Decimal = Field(default=Decimal(0), ge=0)  # the condition must last for so long
    repeat_s: Decimal | None = Field(default=None, ge=0)  # None: watch.repeat_s


class CriticalOptions(RuleOptions):
    """Options of rules that are critical by default."""

    severity: Severity = Severity.CRITICAL


class InfoOptions(RuleOptions):
    """Options of rules that report events in order."""

    severity: Severity = Severity.INFO


class NoSessionOptions(RuleOptions):
    """Options of `no_session`, which is off by default."""

    enabled: bool = False
    for_s: Decimal = Field(default=Decimal(600), ge=0)


class FillOptions(InfoOptions):
    """Options of `fill`, which is off by default."""

    enabled: bool = False
    repeat_s: Decimal | None = Field(default=Decimal(10), ge=0)  # fills of ten seconds are one message


class MinuteOptions(RuleOptions):
    """Options of conditions that are usual for a minute."""

    for_s: Decimal = Field(default=Decimal(60), ge=0)


class LinkDownOptions(RuleOptions):
    """Options of `link_down`."""

    for_s: Decimal = Field(default=Decimal(30), ge=0)


class LateOptions(RuleOptions):
    """Options of `engine_late`."""

    for_s: Decimal = Field(default=Decimal(10), ge=0)


class JournalSilentOptions(CriticalOptions):
    """Options of `journal_silent`."""

    silent_s: Decimal = Field(default=Decimal(10), gt=0)


class StreamSilentOptions(RuleOptions):
    """Options of `stream_silent`."""

    silent_s: Decimal = Field(default=Decimal(30), gt=0)  # of session time


class EquityDriftOptions(CriticalOptions):
    """Options of `equity_drift`."""

    drift_max: Decimal = Field(default=Decimal(0), ge=0)  # in the reporting currency; 0: risk.equity_drift_max


class RejectionOptions(RuleOptions):
    """Options of `rejections`."""

    window_s: Decimal = Field(default=Decimal(600), gt=0, le=WINDOW_S_MAX)
    share_max: Decimal = Field(default=Decimal("0.2"), ge=0, le=1)  # of the orders of the window
    rejected_max: int = Field(default=3, ge=0)  # fewer are never reported


class ReconnectOptions(RuleOptions):
    """Options of `reconnects`."""

    window_s: Decimal = Field(default=Decimal(900), gt=0, le=WINDOW_S_MAX)
    reconnects_max: int = Field(default=3, ge=0)


class LossOptions(CriticalOptions):
    """Options of `loss`, in the reporting currency; 0: no limit."""

    loss_max: Decimal = Field(default=Decimal(0), ge=0)  # since the day began
    drawdown_max: Decimal = Field(default=Decimal(0), ge=0)  # from the highest P&L of the day


class EquityLowOptions(CriticalOptions):
    """Options of `equity_low`."""

    equity_min: Decimal = Field(default=Decimal(0), ge=0)  # 0: no limit


class SlowOrderOptions(RuleOptions):
    """Options of `slow_orders`."""

    window_s: Decimal = Field(default=Decimal(600), gt=0, le=WINDOW_S_MAX)
    share_max: Decimal = Field(default=Decimal("0.01"), ge=0, le=1)
    orders_min: int = Field(default=100, ge=1)


class DiskOptions(RuleOptions):
    """Options of `disk`."""

    free_mib_min: int = Field(default=2048, ge=0)


class ClockOptions(RuleOptions):
    """Options of `clock_offset`."""

    offset_max_s: Decimal = Field(default=Decimal(1), gt=0)
