"""The status of a session, for people: while it runs and at its end. Values only."""

from collections.abc import Callable
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import msgspec

from engine.live.session_end import EndedBy
from engine.mode_reasons import Mode
from engine.mode_shares import ModeSummary
from engine.money import MONEY
from engine.requests import LinkPhase, LinkRole
from engine.session_context import SessionContext
from engine.state.idle_strategies import idle_strategies
from engine.state.orders import EXTERNAL, Order
from engine.state.pnl_figures import PnlFigures, total_figures
from engine.state.positions import unrealised
from engine.state.protection import ProtectedBy, protected_by
from engine.state.rates import equity
from engine.state.reconcile_rounds import Rounds
from engine.state.safety_orders import SafetyOrders
from engine.state.session_state import Account, State
from engine.valuation import Valuation
from journal.record import plain


class PositionStatus(msgspec.Struct, frozen=True):
    """A strategy's position in one instrument, and its profit and loss."""

    strategy: str
    instrument: str
    quantity: Decimal
    realised_pnl: Decimal
    unrealised_pnl: Decimal
    fees_quote: Decimal
    fees_unvalued: dict[str, Decimal] = {}  # by asset: not contained in `fees_quote`
    is_marked: bool = True  # False: no quote is known, so the unrealised P&L counts as 0

    @property
    def pnl(self) -> Decimal:
        """Return realised and unrealised P&L less fees."""
        return self.realised_pnl + self.unrealised_pnl - self.fees_quote


class StreamAge(msgspec.Struct, frozen=True):
    """The time since the last message of a stream: of an instrument on a market link, or of a private link."""

    about: str  # instrument or link
    stream: str  # "quote", "trade", "book", "mark" or "private"
    age_ns: int  # since its last message, or since its link opened
    is_stale: bool  # it blocks its instrument, or its link is not ready


class SessionStatus(msgspec.Struct, frozen=True):
    """The status of a session at one moment. Counts are since its start."""

    session: str
    mode: str
    reasons: tuple[str, ...]
    records: int
    messages: int
    orders: int
    fills: int
    gaps: int  # in market data
    last_fill: str  # client order id; "" before the first
    positions: tuple[PositionStatus, ...]
    waiting: int  # messages that arrived and are not processed yet
    waiting_peak: int
    lag_ns: int  # from the socket read of the last message to the end of its step
    stopped: tuple[tuple[str, str], ...]  # strategies that were stopped, and why
    refused: int  # intents that risk refused
    first_objection: str  # of risk, to the first of them
    key_refused: (
        str  # the venue's first answer against our key in this session; "" also after a halt that was carried over
    )
    ages: tuple[StreamAge, ...] = ()
    address_refused: str = ""  # an address that answered with a status for a wrong one, several times in a row
    pnl: PnlFigures | None = None  # of all strategies in the reporting currency; None before accounting 3
    equity: Valuation | None = None  # of the account, in the same currency
    warming: tuple[tuple[str, str], ...] = ()  # strategies whose WarmUp is not over, and what they wait for
    venues: tuple[str, ...] = ()
    protected: dict[str, int] = {}  # "venue", "engine" -> execution plans whose position it protects


def portfolio_status(session: SessionContext, state: State) -> tuple[PnlFigures | None, Valuation | None]:
    """Return the P&L of all strategies and the account's equity, or None and None before accounting 3."""
    settings = session.reducer_settings
    if not settings.has_pnl or not settings.instruments:
        return None, None
    with localcontext(MONEY):
        figures = total_figures(state.account, state.market, settings)
        return figures, equity(state.account, state.market, figures.currency, choice=figures.mark)


def protections(state: State) -> dict[str, int]:
    """Return who protects how many positions of execution plans."""
    live = state.account.orders.live
    guards = [guard for plan in state.account.plans.by_age() if (guard := protected_by(plan, live)) is not None]
    return {str(each): guards.count(each) for each in ProtectedBy if each in guards}


def stopped_strategies(session: SessionContext, state: State) -> tuple[tuple[str, str], ...]:
    """Return the strategies that were stopped, and why."""
    reasons = ((name, state.account.strategies.get(name).stopped_for) for name in session.strategies)
    return tuple((name, reason) for name, reason in reasons if reason)


def position_statuses(session: SessionContext, state: State) -> tuple[PositionStatus, ...]:
    """Return the positions with their P&L at the mid of the last quotes, by strategy and instrument."""
    positions = []
    for key in sorted(state.account.positions.by_key):
        position = state.account.positions.by_key[key]
        index = session.indexes.get(position.instrument)
        quote = None if index is None else state.market.quote(index)
        instrument = session.instruments.get(position.instrument)
        positions.append(
            PositionStatus(
                strategy=position.strategy,
                instrument=position.instrument,
                quantity=position.quantity,
                realised_pnl=position.realised_pnl,
                unrealised_pnl=unrealised(position, (quote.bid + quote.ask) / 2, instrument)
                if quote and instrument
                else Decimal(0),
                fees_quote=position.fees_quote,
                fees_unvalued=position.fees_unvalued,
                is_marked=bool(quote and instrument),
            )
        )
    return tuple(positions)


def stream_ages(session: SessionContext, state: State, now_ns: int) -> tuple[StreamAge, ...]:
    """Return the age of each stream, in the order of links and instruments."""
    ages = []
    for source, link in sorted(state.account.links.by_source.items()):
        is_ready = link.state is LinkPhase.READY
        if link.role is LinkRole.PRIVATE:
            seen_ns = max(state.account.private_seen.last_ns(source), link.changed_ns)
            ages.append(StreamAge(source, "private", max(now_ns - seen_ns, 0), not is_ready))
            continue
        streams = [(each, each.name.lower()) for each in session.streams_of(source)]
        for index in session.indexes_of(source):
            name = state.market.instruments[index].id
            stale = {reason.about for reason in state.account.blocks.reasons(name)}
            for stream, word in streams:
                last_ns = state.market.last_seen_ns(index, stream)
                if word == "mark" and not last_ns:
                    continue  # of contracts alone
                seen_ns = max(last_ns, link.changed_ns)
                is_stale = not is_ready or not stale.isdisjoint((word, "all streams"))
                ages.append(StreamAge(name, word, max(now_ns - seen_ns, 0), is_stale))
    return tuple(ages)


class Summary(msgspec.Struct, frozen=True):
    """The way in which a session ended."""

    folder: Path
    ended: EndedBy
    reason: str
    last: SessionStatus
    shares: ModeSummary  # of its time in each mode

    @property
    def clean(self) -> bool:
        """Return True if the session ended in order."""
        return self.ended is EndedBy.CLOSED

    @property
    def is_halted(self) -> bool:
        """True if the session ended while trading was halted. The halt is carried over to the next session."""
        return self.last.mode == Mode.HALTED


NAMED_MAX = 100  # orders that an answer names


def exposure(session: SessionContext, state: State) -> dict[str, Any]:
    """Return, as JSON values, what is open, and which safety orders are in force."""
    account = state.account
    by_owner: dict[str, list[str]] = {"orders": [], "others": [], "elsewhere": []}
    for order in account.orders.live_by_age():
        by_owner[_owner(session, order, account.safety)].append(order.client_order_id)
    return {
        "mode": str(account.modes.mode),
        "reasons": [reason.text for reason in account.modes.reasons],
        "safety": [order.title for order in account.safety.active],
        "left": list(account.safety.left),
        **{owner: names[:NAMED_MAX] for owner, names in by_owner.items()},
        "positions": [
            {"strategy": held.strategy, "instrument": held.instrument, "quantity": plain(held.quantity)}
            for _, held in sorted(account.positions.by_key.items())
            if held.quantity and held.strategy != EXTERNAL
        ],
        "idle": idle_strategies(account.strategies, account.breakers, session.strategies, state.time_ns),
        "unconfirmed": unconfirmed_reason(session, state),
    }


def _owner(session: SessionContext, order: Order, safety: SafetyOrders) -> str:
    """Return whose an order is; `elsewhere` is one of an older session, where this one has no account."""
    if not session.is_ours(order, safety):
        return "others"
    return "orders" if session.accounts.has_account_for(order.order.instrument) else "elsewhere"


def rounds_of(session: SessionContext, account: Account) -> list[Rounds]:
    """Return the rounds of reconciliation of each account."""
    return [account.reconciling.for_account(name) for name in session.accounts.scopes]


def is_reconciled(session: SessionContext, account: Account, since_seq: int) -> bool:
    """Return True if a reconciliation of each account began after a record."""
    return all(rounds.done_started_seq > since_seq for rounds in rounds_of(session, account))


def unconfirmed_reason(session: SessionContext, state: State) -> str:
    """Return why the venue did not state yet what is open, or "" if no safety order waits for its statement."""
    account = state.account
    since_seq = max((order.since_seq for order in account.safety.active), default=None)
    if since_seq is None or is_reconciled(session, account, since_seq):
        return ""
    refused = [f"{venue} refused access: {found.reason}" for venue, found in sorted(account.access.by_venue.items())]
    blocked = [
        f"{venue} demands a wait: {budget.reason}"
        for venue, budget in sorted(account.limits.by_venue.items())
        if state.time_ns < budget.blocked_until_ns
    ]
    down = [
        f"{source} is {link.state}"
        for source, link in sorted(account.links.by_source.items())
        if link.role is LinkRole.PRIVATE and link.state is not LinkPhase.READY
    ]
    failed = (
        ["its answers were errors, or did not come"]
        if any(each.failures for each in rounds_of(session, account))
        else []
    )
    return "; ".join(refused or blocked or down or failed)


Progress = Callable[[SessionStatus], None]
