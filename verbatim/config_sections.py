"""Sections of the configuration file: their keys, defaults and bounds. `verbatim/config.py` reads them."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from msgspec.structs import replace
from pydantic import AfterValidator, AliasChoices, Field, model_validator

from engine.live.calendars import with_windows
from engine.live.logs import LogSettings
from engine.live.time_zones import find_zone
from engine.model import MarginMode
from engine.paper_settings import PaperSettings
from engine.plan_terms import StopChoice
from engine.risk_settings import (
    CooldownSettings,
    DaySettings,
    HoursSettings,
    LossAction,
    MarginSettings,
    PriceReference,
    ScopeLimits,
    SelfTradeChoice,
    Sharing,
)
from engine.session_record import (
    ACCOUNTING,
    HISTORY_PERCENT,
    SAFEGUARDS,
    SECOND_NS,
    DriftAction,
    EngineSettings,
    MarkChoice,
    RiskSettings,
    SafeguardSettings,
    newest_risk,
    newest_rules,
)
from engine.sim.paper_broker import check_paper_model
from engine.sim.venue_model import UnknownSettingError, VenueModel, parse_balances, with_settings
from engine.venue_choices import VenueTrouble
from journal.writer_options import Release
from verbatim.sections import ConfigError, Section
from verbatim.venue_sections import ACCOUNT_NAME

__all__ = ["ConfigError"]  # defined in verbatim/sections.py; every other name of this module is its own

OWN_SYMBOL = r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,31}$"
RULE_NAME = r"^[a-z][a-z0-9_]{0,31}$"
PAPER = "paper"  # the account that is simulated


class BlindSection(Section):
    """The treatment of resting orders when the session cannot be RUNNING for so long."""

    after_s: Decimal = Field(default=Decimal(60), gt=0)
    then: Literal["cancel", "leave"] = "cancel"


class SessionSection(Section):
    """Where the journal goes, and what happens when it fails."""

    journals: Path = Path("journals")  # from the working directory, as for every other command
    account: str = Field(default="main", pattern=ACCOUNT_NAME)
    on_venue_trouble: VenueTrouble = VenueTrouble.ALL  # of several venues
    seed: int | None = None
    on_journal_failure: Literal["cancel_all", "leave"] = "cancel_all"
    orders_wait_for: Release = Release.DURABLE  # of their records
    on_failure: Literal["cancel", "leave"] = "cancel"  # orders when our code fails or a strategy stops
    on_blind: BlindSection = BlindSection()
    dead_man_s: Decimal = Field(default=Decimal(60), ge=0)  # at venues that have a dead-man switch; 0: off
    free_mib_min: int = Field(default=1024, ge=0)  # on the journals' disk: with less, trading halts
    signing_key: Path | None = None  # an Ed25519 key as PEM, from the configuration's folder: signs what is sealed
    carry: bool = True
    warm_up: str = ""  # a session or a file whose bars precede the session's; "": the venue's


class PaperSection(Section):
    """The account of `session.account = "paper"`: its money, and settings of the venue's model (docs/fidelity.md)."""

    balances: dict[str, str | int | Decimal] = {"USDT": "10000"}  # of its first session; later ones continue it
    model: dict[str, str | int | Decimal] = {}  # as `--model` of backtest takes them: request_ms, fee_taker, queue

    def settings(self) -> PaperSettings:
        """Return the account as a SESSION record has it."""
        try:
            model = with_settings(VenueModel(), {name: str(value) for name, value in self.model.items()})
            check_paper_model(model)
            balances = parse_balances({asset: str(amount) for asset, amount in self.balances.items()})
        except UnknownSettingError as error:
            raise ConfigError(f"paper: {error}") from None
        return PaperSettings(balances, model.settings())


class RecordSection(Section):
    """Times at which `verbatim record` begins a new session: at an age, or every day at a time (UTC)."""

    roll_hours: Decimal = Field(default=Decimal(24), gt=0, le=24 * 31)
    roll_at: str = Field(default="", pattern=r"^(([01]\d|2[0-3]):[0-5]\d)?$")  # "HH:MM"; overrides roll_hours


class LogSection(Section):
    """The logs of `run` and `record`. Options of the command override the form and the level."""

    format: Literal["console", "json"] = "console"
    level: Literal["debug", "info", "warning", "error"] = "info"
    feed_every_s: Decimal = Field(default=Decimal(60), ge=0)  # between two reports on the streams; 0: none
    sample_every: int = Field(default=0, ge=0)  # one of so many market messages of a link is logged; 0: none

    def settings(self, *, form: str | None = None, level: str | None = None) -> LogSettings:
        """Return the settings, with the form and the level of the command's options where they are given."""
        return LogSettings(
            level=level or self.level,
            json_lines=(form or self.format) == "json",
            feed_seconds=float(self.feed_every_s),
            sample_every=self.sample_every,
        )


class ClockSection(Section):
    """Clock that a simulated venue printed when it started. Default: session time is the wall clock."""

    speed: int = Field(default=1, ge=1, le=1000)
    session_origin_ns: int = 0
    monotonic_origin_ns: int = 0


class StrategySection(Section):
    """One strategy: its file and parameters."""

    file: str  # path.py:Class, from the configuration's folder
    parameters: dict[str, Any] = {}


def known_zone(zone: str) -> str:
    """Return the name of a time zone that this machine knows."""
    find_zone(zone)
    return zone


OF_VENUES = ("leverage_max", "margin_mode", "sets_margin")  # settings of [risk] for venues with leverage
Limit = Annotated[Decimal, Field(ge=0)]


class PortfolioSection(Section):
    """Limits of all accounts together, or of one account; engine/risk_settings.py documents each. 0 means no limit."""

    open_orders_max: int = Field(default=0, ge=0)
    gross_base_max: Limit = Decimal(0)
    net_base_max: Limit = Decimal(0)
    gross_quote_max: Limit = Decimal(0)
    net_quote_max: Limit = Decimal(0)
    gross_max: Limit = Decimal(0)
    net_max: Limit = Decimal(0)
    daily_loss_max: Limit = Decimal(0)
    drawdown_max: Limit = Decimal(0)

    def limits(self) -> ScopeLimits:
        """Return the limits as a SESSION record has them."""
        return ScopeLimits(**dict(self))


class ScopeSection(PortfolioSection):
    """Limits of one instrument or of one strategy."""

    order_size_max: Limit = Decimal(0)
    order_notional_max: Limit = Decimal(0)
    position_max: Limit = Decimal(0)
    placements_per_minute_max: int = Field(default=0, ge=0)
    cancels_per_minute_max: int = Field(default=0, ge=0)
    replacements_per_minute_max: int = Field(default=0, ge=0)


class HoursSection(Section):
    """Trading hours: a calendar of exchange_calendars, or hours of the week in a time zone."""

    calendar: str = ""
    zone: Annotated[str, AfterValidator(known_zone)] = "UTC"
    open: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _is_readable(self) -> Self:
        if self.calendar and self.open:
            raise ValueError("name a calendar or open hours, not both")
        if not self.calendar:
            with_windows(self.settings(), date(2024, 1, 1))
        return self

    def settings(self) -> HoursSettings:
        """Return the hours as a SESSION record has them; the shell adds the windows when the session starts."""
        return HoursSettings(**dict(self))


class InstrumentSection(ScopeSection):
    """Limits of one instrument."""

    price_band_max: Decimal = Field(default=Decimal(0), ge=0, lt=1)
    hours: HoursSection = HoursSection()

    def limits(self) -> ScopeLimits:
        """Return the limits as a SESSION record has them."""
        return ScopeLimits(**dict(self) | {"hours": self.hours.settings()})


class DaySection(Section):
    """The start of a day of daily limits."""

    zone: Annotated[str, AfterValidator(known_zone)] = "UTC"  # a name of the tz database, as in "Europe/Berlin"
    hour: int = Field(default=0, ge=0, le=23)


class CooldownSection(Section):
    """Times in which a strategy opens no position in an instrument after a setback; engine/risk_settings.py."""

    after_loss_s: Limit = Decimal(0)
    loss_min: Limit = Decimal(0)
    after_stop_s: Limit = Decimal(0)
    after_refusals_s: Limit = Decimal(0)
    refusals_max: int = Field(default=3, gt=0)

    def settings(self) -> CooldownSettings:
        """Return the settings in nanoseconds."""
        return CooldownSettings(**_in_nanoseconds(self))


class RiskSection(Section):
    """Limits; engine/session_record.py documents each. 0 means no limit."""

    order_size_max: Decimal = Field(default=Decimal(0), ge=0)
    order_notional_max: Decimal = Field(default=Decimal(0), ge=0)
    position_max: Decimal = Field(default=Decimal(0), ge=0)
    open_orders_max: int = Field(default=50, ge=0)
    orders_per_second_max: int = Field(default=20, ge=0)
    market_slippage_max: Decimal = Field(default=Decimal("0.005"), ge=0, lt=1)
    sell_holdings: bool = False
    on_drift: DriftAction = DriftAction.HALT
    balance_tolerance: dict[str, Annotated[Decimal, Field(ge=0)]] = {}
    daily_loss_max: Decimal = Field(default=Decimal(0), ge=0)
    equity_drift_max: Decimal = Field(default=Decimal(0), ge=0)
    drawdown_max: Limit = Decimal(0)
    on_loss: LossAction = LossAction.REDUCE
    day: DaySection = DaySection()
    cooldown: CooldownSection = CooldownSection()
    hours: HoursSection = HoursSection()
    sharing: Sharing = Sharing.ALLOW
    self_trade: SelfTradeChoice = SelfTradeChoice.REFUSE
    leverage_max: Decimal = Field(default=Decimal(0), ge=0)
    margin_mode: MarginMode | Literal[""] = ""
    sets_margin: bool = False
    instrument: dict[str, InstrumentSection] = {}
    strategy: dict[str, ScopeSection] = {}
    price_band_max: Decimal = Field(default=Decimal(0), ge=0, lt=1)
    price_band_to: PriceReference = PriceReference.MID
    placements_per_minute_max: int = Field(default=0, ge=0)
    cancels_per_minute_max: int = Field(default=0, ge=0)
    replacements_per_minute_max: int = Field(default=0, ge=0)
    account: PortfolioSection = PortfolioSection()
    portfolio: PortfolioSection = PortfolioSection()

    def settings(self) -> RiskSettings:
        """Return the limits as a SESSION record has them."""
        given = {name: value for name, value in self if name not in OF_VENUES} | {
            "margin": MarginSettings(self.leverage_max, self.margin_mode or None, self.sets_margin),
            "instrument": {name: scope.limits() for name, scope in self.instrument.items()},
            "strategy": {name: scope.limits() for name, scope in self.strategy.items()},
            "account": self.account.limits(),
            "portfolio": self.portfolio.limits(),
            "hours": self.hours.settings(),
            "cooldown": self.cooldown.settings(),
            "day": DaySettings(**dict(self.day)),
        }
        return replace(newest_risk(RiskSettings(**given)), self_trade=self.self_trade)


class RuleSection(Section):
    """A risk rule beside those of every session, or the settings of a built-in one."""

    code: str = ""  # package.module:rule, from the configuration's folder or Python's path; "": built in
    settings: dict[str, Any] = {}


def _in_nanoseconds(section: Section) -> dict[str, Any]:
    """Return a section's values; those in seconds (`_s`) in nanoseconds (`_ns`)."""
    return {
        f"{name[:-2]}_ns" if name.endswith("_s") else name: int(value * SECOND_NS) if name.endswith("_s") else value
        for name, value in section
    }


def _seconds(ns: int) -> Decimal:
    return Decimal(ns) / SECOND_NS


class EngineSection(Section):
    """Times in seconds of session time; engine/session_record.py documents each."""

    reconcile_every_s: Decimal = Field(default=Decimal(60), gt=0)
    check_interval_s: Decimal = Field(
        default=Decimal(1), gt=0, validation_alias=AliasChoices("check_interval_s", "watch_every_s")
    )
    stale_after_s: Decimal = Field(default=Decimal(10), gt=0)
    request_timeout_s: Decimal = Field(default=Decimal(10), gt=0)
    order_query_interval_s: Decimal = Field(
        default=Decimal(1), gt=0, validation_alias=AliasChoices("order_query_interval_s", "ask_every_s")
    )
    venue_timeout_s: Decimal = Field(default=Decimal(10), gt=0)
    backoff_first_s: Decimal = Field(default=Decimal("0.5"), gt=0)
    backoff_max_s: Decimal = Field(default=Decimal(30), gt=0)
    report_every_s: Decimal = Field(default=Decimal(10), gt=0)
    keep_closed_s: Decimal = Field(default=Decimal(300), gt=0)
    stop_timeout_s: Decimal = Field(default=Decimal(15), gt=0)
    checkpoint_every: int = Field(default=5000, gt=0)
    cancel_on_stop: bool = True
    order_lists: bool = True
    protection_on_stop: StopChoice = StopChoice.KEEP
    bar_close_after_s: Decimal = Field(default=Decimal(1), gt=0)
    access_wait_s: Decimal = Field(default=Decimal(60), gt=0)
    access_halt_after_s: Decimal = Field(default=Decimal(300), gt=0)
    access_halt_refusals: int = Field(default=20, gt=0)
    block_instruments: bool = True
    quote_age_max_s: Decimal = Field(default=Decimal(10), ge=0)
    venue_lag_max_s: Decimal = Field(default=Decimal(3), ge=0)
    stream_silence_max_s: Decimal = Field(default=Decimal(10), ge=0)
    stream_behind_max_s: Decimal = Field(default=Decimal(5), ge=0)
    private_probe_after_s: Decimal = Field(default=Decimal(30), ge=0)
    halt_on_rival: bool = True
    late_after_s: Decimal = Field(default=Decimal(2), ge=0)
    late_over_s: Decimal = Field(default=Decimal(1), ge=0)
    late_waiting_max: int = Field(default=50_000, ge=0)
    decision_warn_s: Decimal = Field(default=Decimal(1), ge=0)
    decision_stop_s: Decimal = Field(default=Decimal(5), ge=0)
    history_percent: int = Field(default=HISTORY_PERCENT, ge=0, le=100)
    reporting_currency: str = Field(default="", pattern=r"^[A-Z0-9]{0,20}$")
    pnl_mark: MarkChoice = MarkChoice.MID

    def settings(self) -> EngineSettings:
        """Return the settings in nanoseconds."""
        newest = newest_rules(EngineSettings(**_in_nanoseconds(self), accounting=ACCOUNTING))
        return replace(newest, history_percent=self.history_percent)  # 0 is a choice


class SafeguardsSection(Section):
    """Bounds on repeated requests and refusals; engine/session_record.py documents each. 0 switches a bound off."""

    order_backoff_first_s: Decimal = Field(default=_seconds(SAFEGUARDS.order_backoff_first_ns), ge=0)
    order_backoff_max_s: Decimal = Field(default=_seconds(SAFEGUARDS.order_backoff_max_ns), ge=0)
    rejections_max: int = Field(default=SAFEGUARDS.rejections_max, ge=0)
    refusals_max: int = Field(default=SAFEGUARDS.refusals_max, ge=0)
    window_s: Decimal = Field(default=_seconds(SAFEGUARDS.window_ns), gt=0)
    pause_first_s: Decimal = Field(default=_seconds(SAFEGUARDS.pause_first_ns), gt=0)
    pause_max_s: Decimal = Field(default=_seconds(SAFEGUARDS.pause_max_ns), gt=0)
    cancel_backoff_max_s: Decimal = Field(default=_seconds(SAFEGUARDS.cancel_backoff_max_ns), ge=0)
    cancel_refusals_max: int = Field(default=SAFEGUARDS.cancel_refusals_max, gt=0)
    metadata_every_s: Decimal = Field(default=_seconds(SAFEGUARDS.metadata_every_ns), ge=0)
    metadata_retry_s: Decimal = Field(default=_seconds(SAFEGUARDS.metadata_retry_ns), gt=0)
    snapshot_percent: int = Field(default=SAFEGUARDS.snapshot_percent, ge=0, le=80)
    poll_percent: int = Field(default=SAFEGUARDS.poll_percent, ge=0, le=80)
    poll_every_s: Decimal = Field(default=_seconds(SAFEGUARDS.poll_every_ns), ge=0)
    account_poll_every_s: Decimal = Field(default=_seconds(SAFEGUARDS.account_poll_every_ns), gt=0)
    own_open_orders: bool = SAFEGUARDS.own_open_orders
    error_burst_max: int = Field(default=SAFEGUARDS.error_burst_max, ge=0)
    paused_exits: bool = SAFEGUARDS.paused_exits
    rate_backoff_max_s: Decimal = Field(default=_seconds(SAFEGUARDS.rate_backoff_max_ns), ge=0)

    def settings(self) -> SafeguardSettings:
        """Return the settings in nanoseconds."""
        return SafeguardSettings(**_in_nanoseconds(self))
