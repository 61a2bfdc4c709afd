"""The SESSION record: everything that the session needs to be repeated alone. Values only; it never holds a secret.

The shell makes it from the configuration (verbatim/config.py). The kernel reads it, live and in replay.
"""

from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar

import msgspec
from msgspec.structs import replace

from engine.model import Instrument, RateLimits
from engine.paper_settings import PaperSettings
from engine.plan_terms import StopChoice
from engine.poll_settings import PollSettings
from engine.risk_settings import (
    NO_LIMITS,
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
from engine.upcast import SCHEMA, session_text
from engine.venue_choices import AccountUse, VenueTrouble

SECOND_NS = 1_000_000_000
MILLISECOND_NS = 1_000_000
SILENCE_NEVER_NS = 2**62  # no stream is silent for so long


class ClockSettings(msgspec.Struct, frozen=True):
    """The speed of session time: its seconds in one real second. 1 is the wall clock."""

    kind: str = "wall"  # "wall" | "scaled"
    speed: int = 1


class VenueSettings(msgspec.Struct, frozen=True):
    """A venue of the session: its name, dialect, addresses and account."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"network", "kind", "account", "use"})

    name: str = "binance_spot"  # in sources and ids of instruments; without `kind` that of the dialect
    rest: str = ""  # base address; a template, never with a key
    stream: str = ""
    private: str = ""
    recv_window_ms: int = 5000
    rate_limits: RateLimits = RateLimits()  # as the venue stated them when the session began
    network: str = ""  # engine.venues.venue.Network; "": given by the addresses
    kind: str = ""  # the dialect: a built-in one, or package.module:Class; "": `name` is the dialect
    account: str = ""  # alias of the credentials, never the key; "": SessionBody.account
    use: AccountUse = AccountUse.TRADES


class Declared(msgspec.Struct, frozen=True):
    """The declarations of a strategy's class. They are recorded, so a rebuild of its session never runs its code."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"triggers", "on_bar_s"})

    instruments: tuple[str, ...]
    every_ms: int = 0  # 0: decides when a quote changes
    throttle_ms: int = 0
    averages: tuple[tuple[str, int], ...] = ()  # name, length
    indicators: tuple[tuple[str, str, dict[str, Any]], ...] = ()  # name, kind, parameters
    bars_s: tuple[int, ...] = ()  # lengths of bars, in seconds
    cross_over: tuple[str, str] | None = None  # decides when these averages change their order
    price_move_ppm: int = 0  # decides when the mid has moved by so much; 0: no condition
    on_bar_s: int = 0  # decides when a bar of so many seconds ends
    has_predicate: bool = False  # decides when its own compiled function returns True
    # (trigger_kinds.TriggerKind, its throttle or period in ms, or seconds of bars); (): the older fields say it
    triggers: tuple[tuple[str, int], ...] = ()


class StrategySettings(msgspec.Struct, frozen=True):
    """A strategy as it ran: name, version, parameters and the source text of every module loaded from its folder."""

    name: str
    version: str
    module: str  # the module that holds the class
    cls: str
    parameters: dict[str, Any]
    sources: dict[str, str]  # module name -> text
    declared: Declared | None = None


class DriftAction(StrEnum):
    """Consequences of a balance that contradicts our records."""

    HALT = "halt"
    NOTE = "note"  # an alarm, and trading continues


class MarkChoice(StrEnum):
    """Prices at which open quantities count."""

    MID = "mid"  # the middle of the last quote
    MARK = "mark"  # the venue's mark price of a contract; the mid of any other instrument
    TOUCH = "touch"  # the price that closing would get: a long counts at the bid, a short at the ask


class RiskSettings(msgspec.Struct, frozen=True):
    """Limits. A limit of 0 is not set. Notional limits are in the instrument's quote asset."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({
        "sell_holdings", "on_drift", "balance_tolerance", "daily_loss_max", "figures", "instrument", "strategy",
        "account", "portfolio", "price_band_max", "price_band_to", "drawdown_max", "on_loss", "day", "hours",
        "cooldown", "sharing", "self_trade", "equity_drift_max", "counts_fills", "placements_per_minute_max",
        "cancels_per_minute_max", "replacements_per_minute_max", "margin",
    })  # fmt: skip

    order_size_max: Decimal = Decimal(0)  # base quantity of one order
    order_notional_max: Decimal = Decimal(0)
    position_max: Decimal = Decimal(0)  # base quantity, open buy orders counted, absolute
    open_orders_max: int = 50  # per instrument
    orders_per_second_max: int = 20  # new orders, all strategies: a guard against spam
    market_slippage_max: Decimal = Decimal("0.005")  # headroom when a market buy's cost is estimated
    sell_holdings: bool = False  # True: spot sales may exceed what the session bought (rule `sellable`)
    on_drift: DriftAction = DriftAction.HALT  # read from accounting 2 on
    balance_tolerance: dict[str, Decimal] = {}  # asset -> difference that is no drift, beside roundings
    daily_loss_max: Decimal = Decimal(0)  # of a UTC day, in each quote asset: beyond it orders only reduce positions
    equity_drift_max: Decimal = Decimal(0)  # between the venue's and ours, in the reporting currency; beyond it: halt
    # True: verdicts hold what each limit compared and name only the rules that object; rules without a limit do not run
    figures: bool = False
    instrument: dict[str, ScopeLimits] = {}  # by id or symbol; replaces what it sets of the limits above
    strategy: dict[str, ScopeLimits] = {}  # by name
    account: ScopeLimits = NO_LIMITS  # of the account at one venue
    portfolio: ScopeLimits = NO_LIMITS  # of all accounts together
    price_band_max: Decimal = Decimal(0)  # the share by which a limit price may differ from the reference
    price_band_to: PriceReference = PriceReference.MID
    drawdown_max: Decimal = Decimal(0)  # the fall of the day's P&L from its highest, in each asset of P&L
    on_loss: LossAction = LossAction.REDUCE
    day: DaySettings = DaySettings()
    cooldown: CooldownSettings = CooldownSettings()
    sharing: Sharing = Sharing.ALLOW
    self_trade: SelfTradeChoice = SelfTradeChoice.ALLOW
    hours: HoursSettings = HoursSettings()  # of instruments without hours in their own table
    # per instrument and clock minute, all strategies
    placements_per_minute_max: int = 0  # orders that only reduce a position pass
    cancels_per_minute_max: int = 0  # of strategies and plans: a safety order, a stop and a pause cancel beyond it
    replacements_per_minute_max: int = 0  # amendments, and orders of a plan in place of its last one
    counts_fills: bool = False  # rule `balance`: fills' proceeds and ended orders' locks are free before a report
    margin: MarginSettings = MarginSettings()  # of contracts


def newest_risk(settings: RiskSettings) -> RiskSettings:
    """Return the limits with the newest rules, as the configuration of a new session has them."""
    return replace(settings, figures=True, self_trade=SelfTradeChoice.REFUSE, counts_fills=True)


class RuleSettings(msgspec.Struct, frozen=True):
    """A risk rule as it ran: one of engine/risk/rules by its name, or a user's with the source text of its modules."""

    name: str
    settings: dict[str, Any] = {}
    module: str = ""  # the module that holds a user's rule; "": built in
    rule: str = ""  # the name of the rule in that module
    sources: dict[str, str] = {}  # module name -> text


ACCOUNTING = 6  # of new sessions: see EngineSettings.accounting
EVENTS_KEPT = 50  # of new sessions: see EngineSettings.events_kept
ORDER_RULES = 5  # the newest revision of EngineSettings.order_rules
TERM_RULES = 2  # the first that records triggers, native trailing stops, and terms of foreign orders and instruments
REFUSAL_RULES = 3  # the first that records refusals that pass; plans try again after them
RESTING_RULES = 4  # the first in which Timed and Scale try again too
NEWEST_REASON_RULES = 5  # the first in which a breaker names the newest of equal refusals
BAR_RULES = 1  # the newest revision of EngineSettings.bar_rules
HISTORY_PERCENT = 25  # of new sessions: see EngineSettings.history_percent


class EngineSettings(msgspec.Struct, frozen=True):
    """Times in nanoseconds of session time."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({
        "halt_on_rival", "late_after_ns", "late_over_ns", "late_waiting_max", "decision_warn_ns", "decision_stop_ns",
        "accounting", "order_rules", "plain_figures", "access_wait_ns", "access_halt_after_ns",
        "access_halt_refusals", "events_kept", "bar_close_after_ns", "bar_rules", "history_percent", "history_from",
        "reporting_currency", "pnl_mark", "order_lists", "protection_on_stop", "on_venue_trouble",
    })  # fmt: skip

    reconcile_every_ns: int = 60 * SECOND_NS
    check_interval_ns: int = SECOND_NS  # between two checks for silent links and missing answers
    stale_after_ns: int = 10 * SECOND_NS  # a market stream silent for longer is dead
    request_timeout_ns: int = 10 * SECOND_NS
    order_query_interval_ns: int = SECOND_NS  # between two queries for an unknown order
    venue_timeout_ns: int = 10 * SECOND_NS  # the venue's own limit; part of the proof that an order was never placed
    backoff_first_ns: int = SECOND_NS // 2
    backoff_max_ns: int = 30 * SECOND_NS
    report_every_ns: int = 10 * SECOND_NS  # P&L facts
    checkpoint_every: int = 5000  # inputs
    keep_closed_ns: int = 300 * SECOND_NS  # how long a closed order stays in state
    cancel_on_stop: bool = True
    stop_timeout_ns: int = 15 * SECOND_NS
    books: bool = True  # False: the market has quotes and trades only, and no session waits for a book
    # from here on the defaults are those of older sessions; `new_engine_settings` has today's
    block_instruments: bool = False  # an instrument without market data stops alone, not the whole session
    # 1: as in sessions recorded before it existed. 2: a ledger checks the venue's balances, a market order locks its
    # own estimate, fees in a third asset are converted, and P&L covers positions without a quote. 3: P&L by strategy
    # and instrument in a reporting currency, at rates that each fill records. 4: losses of the day are the P&L of these
    # lines at `pnl_mark`, as reported; first known rates count. 5: fill ids in the ledger. 6: flows of contracts in it
    accounting: int = 1
    quote_age_max_ns: int = 0  # risk rule quote_age; 0: off
    venue_lag_max_ns: int = 0  # risk rule venue_lag, and the block of an instrument whose feed lags; 0: off
    stream_silence_max_ns: int = 0  # an instrument silent for longer is blocked; 0: freshness is not checked
    stream_behind_max_ns: int = 0  # a stream that misses what another one proves for longer is lost; 0: off
    private_probe_after_ns: int = 0  # a private link silent for longer is queried; 0: never
    halt_on_rival: bool = False  # an open order with the mark of another session of ours halts
    late_after_ns: int = 0  # the engine is late if it processes what arrived longer ago; 0: never
    late_over_ns: int = 0  # it has caught up when that is younger again
    late_waiting_max: int = 0  # it is late too if more messages wait in its queue; 0: no bound
    decision_warn_ns: int = 0  # a strategy's decision may take so long; 0: for ever
    decision_stop_ns: int = 0  # a decision is interrupted then, and its strategy stopped; 0: never
    order_rules: int = 0  # revision of the rules of orders and reconciliation (docs/record-schema.md); 0: before them
    # a TIMER closes bars so long after their end, those without a trade too, and equal indicators of several strategies
    # are one; 0: the next trade closes a bar, as in sessions recorded before
    bar_close_after_ns: int = 0
    plain_figures: bool = False  # figures that strategies read have no trailing zeros, live as rebuilt
    access_wait_ns: int = 0  # without trading after a refusal of access; it doubles. 0: the first refusal halts
    access_halt_after_ns: int = 0  # refusals that last so long halt
    access_halt_refusals: int = 0  # so many refusals in a row halt
    events_kept: int = 0  # newest fills and refusals in a strategy's view; 0: none, and they trigger nothing
    reporting_currency: str = ""  # of P&L, equity and limits; "": the asset of the first instrument's P&L
    pnl_mark: MarkChoice = MarkChoice.MID  # the price at which open quantities count in P&L
    # 1: a CrossOver is checked where its indicators are updated: when their bar closes, at each trade; 0: at the next
    # change of the quote
    bar_rules: int = 0
    history_percent: int = 0  # of a minute's request weight, for bars before the session; 0: no request
    history_from: str = ""  # the session or file whose bars answer in the venue's place; "": the venue
    order_lists: bool = False  # plans place both exits of a position as one list where the venue has lists
    # the exits of plans at an ordered stop with cancel_on_stop; None: they are cancelled without a note
    protection_on_stop: StopChoice | None = None
    on_venue_trouble: VenueTrouble = VenueTrouble.ALL  # of a session with several venues


def newest_rules(settings: EngineSettings) -> EngineSettings:
    """Return the settings with the newest rules, as the configuration of a new session has them."""
    return replace(
        settings,
        order_rules=ORDER_RULES,
        bar_close_after_ns=settings.bar_close_after_ns or SECOND_NS,
        plain_figures=True,
        access_wait_ns=settings.access_wait_ns or 60 * SECOND_NS,
        access_halt_after_ns=settings.access_halt_after_ns or 300 * SECOND_NS,
        access_halt_refusals=settings.access_halt_refusals or 20,
        events_kept=settings.events_kept or EVENTS_KEPT,
        bar_rules=BAR_RULES,
        history_percent=settings.history_percent or HISTORY_PERCENT,
    )


def new_engine_settings() -> EngineSettings:
    """Return the settings of a new session that configures none."""
    new = EngineSettings(
        block_instruments=True,
        halt_on_rival=True,
        accounting=ACCOUNTING,
        quote_age_max_ns=10 * SECOND_NS,
        venue_lag_max_ns=3 * SECOND_NS,  # the bounds are measured: docs/internals.md, benchmarks/freshness.py
        stream_silence_max_ns=10 * SECOND_NS,
        stream_behind_max_ns=5 * SECOND_NS,
        private_probe_after_ns=30 * SECOND_NS,
        late_after_ns=2 * SECOND_NS,
        late_over_ns=SECOND_NS,
        late_waiting_max=50_000,
        decision_warn_ns=SECOND_NS,
        decision_stop_ns=5 * SECOND_NS,
        order_lists=True,
        protection_on_stop=StopChoice.KEEP,
    )
    return newest_rules(new)


class SafeguardSettings(PollSettings, frozen=True):
    """Bounds on repeated requests and refusals. 0 switches a bound off, as in sessions recorded before them."""

    OMITTED_AT_DEFAULT = PollSettings.OMITTED_AT_DEFAULT | {"paused_exits", "rate_backoff_max_ns"}

    # the wait after the venue refused an order for the number of orders; each next one doubles it
    order_backoff_first_ns: int = 0  # 0: such a refusal blocks every request, as a ban does
    order_backoff_max_ns: int = 0
    rejections_max: int = 0  # equal rejections, or orders without an answer, that pause an instrument
    refusals_max: int = 0  # equal refusals by our own risk rules that pause a strategy
    window_ns: int = 60 * SECOND_NS  # in which they are counted
    pause_first_ns: int = 10 * SECOND_NS  # each pause for the same reason doubles it
    pause_max_ns: int = 3600 * SECOND_NS
    cancel_backoff_max_ns: int = 0  # a cancel that was refused is repeated in growing intervals, up to this
    cancel_refusals_max: int = 5  # so many raise an alarm, and a query by the venue's id
    metadata_every_ns: int = 0  # between two readings of the instruments' rules
    metadata_retry_ns: int = 60 * SECOND_NS  # the least time between two readings after refusals
    snapshot_percent: int = 0  # of a minute's request weight, for book snapshots; 0: as other queries
    own_open_orders: bool = False  # open_orders_max leaves out other programs' orders
    error_burst_max: int = 0  # so many errors of orders within `window_ns` start a reconciliation
    # a refusal for the rate that states no time is waited out for 1 s, then twice as long each time, up to this
    rate_backoff_max_ns: int = 0  # 0: for 1 s each time
    paused_exits: bool = False  # a pause leaves a strategy's exits alone: it runs, and may reduce its positions


SAFEGUARDS = SafeguardSettings(  # of new sessions
    order_backoff_first_ns=10 * SECOND_NS,
    order_backoff_max_ns=600 * SECOND_NS,
    rejections_max=10,
    refusals_max=20,
    cancel_backoff_max_ns=300 * SECOND_NS,
    metadata_every_ns=3600 * SECOND_NS,
    snapshot_percent=60,
    own_open_orders=True,
    error_burst_max=5,
    poll_percent=60,
    account_poll_every_ns=5 * SECOND_NS,
    paused_exits=True,
    rate_backoff_max_ns=30 * SECOND_NS,
)


class SafetySettings(msgspec.Struct, frozen=True):
    """Protection of resting orders. The defaults are those of sessions recorded before there were safety orders."""

    pursues: bool = False  # cancel-all and flatten are state: pursued until done
    cancels_on_failure: bool = False  # a stopped strategy and a failed core cancel their orders
    blind_after_ns: int = 0  # orders are cancelled when the session is not RUNNING for so long; 0: never
    dead_man_ns: int = 0  # after so long without a sign of us, a venue with a dead-man switch cancels; 0: off
    also_ours: tuple[str, ...] = ()  # sessions whose orders `verbatim kill` cancels too


SAFETY = SafetySettings(
    pursues=True, cancels_on_failure=True, blind_after_ns=60 * SECOND_NS, dead_man_ns=60 * SECOND_NS
)  # of new sessions


class PreviousSession(msgspec.Struct, frozen=True):
    """The session before this one, and what recovery had to drop of it."""

    session: str
    last_seq: int
    chain: str
    dropped_bytes: int = 0
    closed: bool = True
    last_ns: int = 0  # session time of its last record; 0: not said
    links: tuple[str, ...] = ()  # connections that it left open for this one: nothing was missed on them


class Resimulated(msgspec.Struct, frozen=True):
    """The source of a resimulated session, and the changes made to it.

    A COMMAND `handover` marks the record from which the venue's model answers.
    """

    source: str  # the folder's name
    last_seq: int  # of the source, when it was resimulated
    chain: str  # the source's root then
    is_backtest: bool  # the model answers from the first record on
    model: dict[str, Any]
    changes: tuple[str, ...] = ()


class SessionBody(msgspec.Struct, frozen=True):
    """The body of a SESSION record: everything that a replay needs to start."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"rules", "safeguards", "safety", "read_only", "paper"})

    session: str  # 8 base32 characters, drawn once by the shell
    started_ns: int
    clock: ClockSettings
    seed: int
    host: str  # the mark of the user who made it (journal/trust_key.py); in old journals a hash of the machine
    versions: dict[str, str]  # engine, python, and every imported distribution
    venues: tuple[VenueSettings, ...]
    instruments: tuple[Instrument, ...]
    strategies: tuple[StrategySettings, ...]
    risk: RiskSettings = RiskSettings()
    engine: EngineSettings = EngineSettings()
    account: str = "main"  # alias of the credentials, never the key; "": none, the session records and trades nothing
    previous: PreviousSession | None = None
    opening: dict[str, Any] | None = None  # the carried parts of state, brought forward
    resimulated: Resimulated | None = None
    rules: tuple[RuleSettings, ...] = ()  # the risk rules; (): engine.risk.rules.FIRST_RULES
    safeguards: SafeguardSettings = SafeguardSettings()
    safety: SafetySettings = SafetySettings()
    read_only: bool = False  # nothing that changes the venue is requested: a dry run, or an account that is watched
    paper: PaperSettings | None = None  # of a session whose account is simulated beside a real market
    schema: int = SCHEMA  # of the names in the records: engine/upcast.py


_decode_session = msgspec.json.Decoder(SessionBody).decode


def read_session(body: str) -> SessionBody:
    """Return the body of a SESSION record, of any schema. `schema` is the one that the session was written in."""
    return _decode_session(session_text(body))
