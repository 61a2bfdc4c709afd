"""The fold of a change into the account: which parts a change may move, and the reducer of each part."""

from collections.abc import Callable
from functools import cache, partial
from types import CodeType
from typing import Any, Final

from msgspec.structs import replace

from engine import facts
from engine.bodies import VerdictBody
from engine.mode_reasons import Mode
from engine.requests import Purpose
from engine.session_record import NEWEST_REASON_RULES
from engine.state import (
    access,
    account_modes,
    balances,
    breakers,
    cancel_attempts,
    cooldowns,
    day_pnl,
    error_bursts,
    execution_plans,
    history_loads,
    instrument_blocks,
    instrument_changes,
    lateness,
    ledger,
    links,
    margins,
    market_gaps,
    market_polls,
    mode,
    order_blocks,
    order_budgets,
    orders,
    pending_requests,
    pnl_lines,
    positions,
    private_seen,
    rate_budgets,
    reconcile_rounds,
    safety_orders,
    strategy_events,
    strategy_states,
    timers,
    wallets,
)
from engine.state.changes import (
    Answered,
    Change,
    Commanded,
    Lagged,
    LinkMoved,
    PrivateFrame,
    PrivateNumber,
    Requested,
    Stamp,
    TimerFired,
)
from engine.state.reducer_settings import ReducerSettings
from engine.state.session_state import Account
from engine.state.timers import Timers

# part -> its reducer: called with the part, the change and its stamp, and with the arguments of the two tables below
REDUCERS: Final[dict[str, Callable[..., Any]]] = {
    "orders": orders.reduce,
    "positions": positions.reduce,
    "balances": balances.reduce,
    "links": links.reduce,
    "requests": pending_requests.reduce,
    "reconciling": reconcile_rounds.reduce,
    "modes": mode.reduce,
    "limits": rate_budgets.reduce,
    "strategies": strategy_states.reduce,
    "timers": timers.reduce,
    "gaps": market_gaps.reduce,
    "access": access.reduce,
    "order_blocks": order_blocks.reduce,
    "order_budgets": order_budgets.reduce,
    "breakers": breakers.reduce,
    "cancels": cancel_attempts.reduce,
    "instruments": instrument_changes.reduce,
    "blocks": instrument_blocks.reduce,
    "private_seen": private_seen.reduce,
    "safety": safety_orders.reduce,
    "lateness": lateness.reduce,
    "ledger": ledger.reduce,
    "day_pnl": day_pnl.reduce,
    "pnl": pnl_lines.reduce,
    "wallets": wallets.reduce,
    "errors": error_bursts.reduce,
    "cooldowns": cooldowns.reduce,
    "plans": execution_plans.reduce,
    "history": history_loads.reduce,
    "margins": margins.reduce,
    "polls": market_polls.reduce,
    "account_modes": account_modes.reduce,
}  # "events" is folded last: it sets timers too

# part -> the settings that its reducer reads
SETTINGS: Final[dict[str, Callable[[ReducerSettings], dict[str, Any]]]] = {
    "orders": lambda settings: {"is_dated": settings.engine.order_rules > 0},
    "modes": lambda settings: {
        "keeps_all_halts": settings.engine.order_rules > 0,
        "has_accounts": settings.has_accounts,
    },
    "reconciling": lambda settings: {"has_accounts": settings.has_accounts},
    "limits": lambda settings: {"rates": settings.rates},
    "timers": lambda settings: {
        "settings": settings.engine,
        "recurring": settings.recurring,
        "seed": settings.seed,
        "metadata_retry_ns": settings.safeguards.metadata_retry_ns,
        "rounds_every_ns": settings.rounds_every_ns,
    },
    "breakers": lambda settings: {
        "settings": settings.safeguards,
        "keeps_newest": settings.engine.order_rules >= NEWEST_REASON_RULES,
    },
    "ledger": lambda settings: {
        "instruments": settings.instruments,
        "keeps_fill_ids": settings.keeps_fill_ids,
        "settles_contracts": settings.settles_contracts,
        "has_accounts": settings.has_accounts,
    },
    "pnl": lambda settings: {"settings": settings},
    "wallets": lambda settings: {"instruments": settings.instruments, "has_accounts": settings.has_accounts},
}

# part -> the other parts that its reducer reads, as they were before the change
BESIDE: Final[dict[str, tuple[str, ...]]] = {
    "breakers": ("orders",),
    "cooldowns": ("orders",),
    "order_budgets": ("orders", "plans"),
    "pnl": ("positions",),
}

# parts that only some sessions keep
OPTIONAL: Final[dict[str, Callable[[ReducerSettings], bool]]] = {
    "account_modes": lambda settings: settings.has_accounts,
    "cooldowns": lambda settings: settings.risk.cooldown.is_set,
    "errors": lambda settings: settings.safeguards.error_burst_max > 0,
    "events": lambda settings: settings.engine.events_kept > 0,
    "ledger": lambda settings: settings.has_ledger,
    "order_budgets": lambda settings: settings.has_order_budgets,
    "pnl": lambda settings: settings.has_pnl,
    "safety": lambda settings: settings.safety.pursues,
    "wallets": lambda settings: settings.has_pnl,
}

# change -> the parts that it may move. Any other part's reducer returns its part as it is, which a test checks
CLAIMS: dict[type, tuple[str, ...]] = {
    facts.OrderAccepted: ("orders", "breakers", "cooldowns"),
    facts.OrderFilled: ("orders", "cancels", "ledger", "pnl", "wallets", "events"),
    facts.OrderClosed: ("orders", "breakers", "cancels", "cooldowns", "errors", "events"),
    facts.OrderUnknown: ("orders", "timers", "breakers", "errors"),
    facts.OrderNotPlaced: ("orders", "events"),
    facts.OrderAdopted: ("orders",),
    facts.OrderTriggered: ("orders",),
    facts.CancelSettled: ("orders", "cancels", "errors"),
    facts.Position: ("positions",),
    facts.Pnl: (),  # a report: it moves nothing
    facts.BalanceChanged: ("balances", "ledger"),
    facts.FillsConfirmed: ("reconciling",),
    facts.BalanceDrift: ("ledger",),
    facts.Reconciled: ("reconciling", "timers", "ledger"),
    facts.ReconcileFailed: ("reconciling", "timers", "ledger"),
    facts.ModeChanged: ("modes", "safety", "events"),
    facts.LinkReady: ("links",),
    facts.LinkSteady: ("timers",),
    facts.MarketGap: ("gaps",),
    facts.RateBlocked: ("limits", "timers"),
    facts.ClockMeasured: ("limits",),
    facts.StrategyChanged: ("strategies",),
    facts.StrategyStopped: ("strategies", "lateness"),
    facts.StrategyTriggered: (),  # its trigger is a part of the market: kernel.py
    facts.SessionClosing: ("modes",),
    facts.OrderAmended: ("orders",),
    facts.OrderDoubted: ("orders",),
    facts.RoundChanged: ("reconciling",),
    facts.AccessRefused: ("access",),
    facts.HaltsLifted: ("modes", "access"),
    facts.OrdersBlocked: ("order_blocks",),
    facts.BreakerTripped: ("breakers",),
    facts.InstrumentChanged: ("instruments",),
    facts.TradingAllowed: ("instruments",),
    VerdictBody: ("breakers", "cooldowns", "events"),  # a refusal with its strategy; no other verdict is folded
    facts.InstrumentBlocked: ("blocks",),
    facts.SafetyOrdered: ("safety",),
    facts.SafetyOrderEnded: ("safety",),
    facts.DayBegan: ("day_pnl",),
    facts.DailyLossReached: ("day_pnl",),
    facts.FundingPaid: ("pnl", "ledger"),
    facts.FeeCharged: ("pnl", "ledger"),
    facts.AmountRated: ("pnl",),
    facts.WalletReported: ("wallets", "ledger"),
    facts.ContractReported: ("wallets",),
    facts.BooksCompared: (),  # a report too
    facts.PortfolioPnl: (),  # a report: it moves nothing
    facts.PnlPeak: ("day_pnl",),
    facts.CooldownBegan: ("cooldowns",),
    facts.PositionEnteredDay: ("day_pnl",),
    facts.PlanStarted: ("plans",),
    facts.PlanMoved: ("plans", "timers"),
    facts.PlanEnded: ("plans", "timers"),
    facts.HistoryRead: ("history",),
    facts.HistoryFailed: ("history",),
    facts.HistoryEnded: ("history",),
    facts.PositionOpened: ("positions", "pnl"),
    facts.PositionForced: ("margins",),  # the venue's own order moves the position
    facts.ContractConfigured: ("margins",),
    facts.PositionModeKnown: ("margins",),
    facts.MarginReported: ("margins",),
    facts.PollFailed: ("polls", "timers"),
    facts.PollResumed: ("polls",),
    facts.AccountModeChanged: ("account_modes",),
    Requested: (
        "orders",
        "links",
        "requests",
        "reconciling",
        "limits",
        "timers",
        "breakers",
        "safety",
        "ledger",
        "errors",
        "plans",
        "order_budgets",
        "history",
        "margins",
    ),
    Answered: ("orders", "requests", "limits"),
    LinkMoved: ("links", "requests", "reconciling", "modes", "timers", "account_modes"),
    Lagged: ("lateness",),
    TimerFired: ("timers", "events"),
    PrivateFrame: ("private_seen",),
    PrivateNumber: ("private_seen",),
    Commanded: ("modes", "strategies", "timers", "breakers", "safety", "ledger", "lateness", "cooldowns"),
}

# purpose of a request -> the parts that it may move: a subset of those that claim `Requested`
_SENT = ("requests", "limits")
REQUEST_CLAIMS: dict[Purpose, tuple[str, ...]] = {
    Purpose.PLACE: ("orders", *_SENT, "breakers", "safety", "plans", "order_budgets", "timers"),
    Purpose.PLACE_LIST: ("orders", *_SENT, "breakers", "safety", "plans", "order_budgets"),
    Purpose.CANCEL: ("orders", *_SENT, "safety", "order_budgets"),
    Purpose.AMEND: ("orders", *_SENT, "order_budgets"),
    Purpose.QUERY_ORDER: ("orders", *_SENT, "reconciling", "timers"),
    Purpose.OPEN_ORDERS: (*_SENT, "reconciling", "errors"),
    Purpose.ACCOUNT: (*_SENT, "reconciling", "ledger"),
    Purpose.FILLS: ("orders", *_SENT, "reconciling"),
    Purpose.DEPTH: (*_SENT, "timers"),
    Purpose.SERVER_TIME: _SENT,
    Purpose.EXCHANGE_INFO: (*_SENT, "timers"),
    Purpose.SUBSCRIBE: _SENT,
    Purpose.RESUBSCRIBE: _SENT,
    Purpose.PROBE: _SENT,
    Purpose.CONNECT: ("links",),
    Purpose.DISCONNECT: (),
    Purpose.ARM_SWITCH: (*_SENT, "safety"),
    Purpose.DISARM_SWITCH: (*_SENT, "safety"),
    Purpose.HISTORY: (*_SENT, "history"),
    Purpose.POSITIONS: (*_SENT, "reconciling"),
    Purpose.FUNDINGS: (*_SENT, "reconciling"),
    Purpose.POSITION_MODE: (*_SENT, "margins"),
    Purpose.CONTRACT_SETTINGS: (*_SENT, "margins"),
    Purpose.SET_LEVERAGE: (*_SENT, "margins"),
    Purpose.SET_MARGIN_MODE: (*_SENT, "margins"),
    Purpose.RENEW_TOKEN: (*_SENT, "links"),
    Purpose.POLL: (*_SENT, "timers"),
}


# part -> the changes that leave it as it is under a condition, which spares a call: a test checks these too
UNMOVED: Final[dict[str, tuple[frozenset[type | Purpose], str]]] = {
    "breakers": (
        frozenset({facts.OrderAccepted, Purpose.PLACE, Purpose.PLACE_LIST}),
        "not account.breakers.tallies and not account.breakers.pauses",
    ),
    "plans": (frozenset({Purpose.PLACE, Purpose.PLACE_LIST}), "not account.plans.running"),
    "safety": (frozenset({Purpose.PLACE, Purpose.PLACE_LIST, Purpose.CANCEL}), "not account.safety.active"),
}


Move = Callable[[Account, Change, Stamp], Account]


def fold(account: Account, change: Change, at: Stamp, settings: ReducerSettings) -> Account:
    """Return the account after one change: each part that may move is folded by its own reducer."""
    kind = change.request.purpose if type(change) is Requested else type(change)
    return (settings.moves.get(kind) or move_of(kind, settings))(account, change, at)


def move_of(kind: type | Purpose, settings: ReducerSettings) -> Move:
    """Return the fold of one kind of change in this session, and keep it in `settings.moves`."""
    move = settings.moves[kind] = _make_move(kind, settings)
    return move


def _make_move(kind: type | Purpose, settings: ReducerSettings) -> Move:
    """Return the fold of one kind of change in this session, made as source text with an expression a part.

    A loop over the parts took a twelfth of the time of a fill. Parts that the session does not keep are left out.
    """
    claims = REQUEST_CLAIMS[kind] if isinstance(kind, Purpose) else CLAIMS[kind]
    kept = [name for name in claims if name not in OPTIONAL or OPTIONAL[name](settings)]
    scope: dict[str, Any] = {"replace": replace, "fold_events": partial(_fold_events, settings=settings)}
    moved = {}
    for name in kept:
        if name in REDUCERS:
            given = [f"account.{name}", "change", "at", *(f"{other}=account.{other}" for other in BESIDE.get(name, ()))]
            scope[f"reduce_{name}"] = REDUCERS[name]
            for setting, value in SETTINGS[name](settings).items() if name in SETTINGS else ():
                scope[f"{name}_{setting}"] = value
                given.append(f"{setting}={name}_{setting}")
            moved[name] = f"reduce_{name}({', '.join(given)})"
            changes, condition = UNMOVED.get(name, ((), ""))
            if kind in changes:
                moved[name] = f"account.{name} if {condition} else {moved[name]}"
    if not kept:
        return lambda account, _change, _at: account
    parts = [f"{name}={text}" for name, text in moved.items() if not ("events" in kept and name == "timers")]
    if "events" in kept:
        parts.append(f"**fold_events(account, change, at, after={moved.get('timers', 'account.timers')})")
    exec(_code_of(f"def move(account, change, at):\n return replace(account, {', '.join(parts)})"), scope)
    made: Move = scope["move"]
    return made


@cache
def _code_of(text: str) -> CodeType:
    """Return source text as code: the same in each session of a process."""
    return compile(text, "<move>", "exec")


def _fold_events(
    account: Account, change: Change, at: Stamp, *, settings: ReducerSettings, after: Timers
) -> dict[str, Any]:
    """Return the events of the strategies, and the timers that make them decide."""
    before, mode_before, wanted = account.events, account.modes.mode, settings.wanted_events
    events = strategy_events.reduce(
        before, change, at, orders=account.orders, mode=mode_before, kept=settings.engine.events_kept, wanted=wanted
    )
    mode_after = change.mode if isinstance(change, facts.ModeChanged) else mode_before
    is_running = mode_after is Mode.RUNNING
    due = strategy_events.due(
        before, events, runs=is_running, began=is_running and mode_before is not mode_after, wanted=wanted
    )
    return {"events": events, "timers": timers.with_events_due(after, due, at)}
