"""All that the engine believes: the account (immutable, folded by engine/reducers) and the market (arrays, folded in place).

`State` is the holder that `step` hands from record to record: its account is replaced, never changed, so a decision that
fails leaves no trace; its market is folded in place, once per market record, before anything is decided.
Knows how parts are put together, named, digested and brought forward; not what moves them.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any

import msgspec
from msgspec.structs import replace

from engine import facts
from engine.market.market_state import Market
from engine.session_record import EngineSettings
from engine.state import (
    balances,
    gaps,
    links,
    mode,
    orders,
    pending_requests,
    positions,
    rate_budgets,
    reconcile_rounds,
    strategy_states,
    timers,
)
from engine.state.balances import Balances
from engine.state.changes import (
    Answered,
    Change,
    Commanded,
    LinkMoved,
    Requested,
    Stamp,
    TimerFired,
)
from engine.state.fill_cursor import FillCursor
from engine.state.gaps import OpenGaps
from engine.state.links import LinkStates
from engine.state.mode import ModeState
from engine.state.orders import Orders
from engine.state.pending_requests import PendingRequests
from engine.state.positions import Positions
from engine.state.rate_budgets import RateBudgets, RateModel
from engine.state.reconcile_rounds import ReconcileRounds
from engine.state.strategy_states import StrategyStatuses
from engine.state.timers import Timers
from journal.record import Record, canonical

PART_VERSION = 2


class Account(msgspec.Struct, frozen=True):
    """The parts. Carried into the next session unless named in FRESH."""

    orders: Orders = Orders()
    positions: Positions = Positions()
    balances: Balances = Balances()
    links: LinkStates = LinkStates()
    requests: PendingRequests = PendingRequests()
    reconciling: ReconcileRounds = ReconcileRounds()
    modes: ModeState = ModeState()
    limits: RateBudgets = RateBudgets()
    strategies: StrategyStatuses = StrategyStatuses()
    timers: Timers = Timers()
    gaps: OpenGaps = OpenGaps()


CARRIED = ("orders", "positions", "balances", "reconciling", "modes", "limits", "strategies")
FRESH = ("gaps", "links", "requests", "timers")


class Rules(msgspec.Struct, frozen=True):
    """What reducers need to know of the session besides the changes themselves."""

    settings: EngineSettings
    recurring: dict[str, int]
    seed: int
    rates: dict[str, RateModel] = {}  # by venue
    cursors: dict[str, FillCursor] = {}  # by venue


REDUCERS: dict[str, Callable[[Any, Any, Stamp], Any]] = {
    "orders": orders.reduce,
    "positions": positions.reduce,
    "balances": balances.reduce,
    "links": links.reduce,
    "requests": pending_requests.reduce,
    "reconciling": reconcile_rounds.reduce,
    "modes": mode.reduce,
    "strategies": strategy_states.reduce,
    "gaps": gaps.reduce,
}

# who is told of what: a reducer that is not named here would leave its part as it is (a test asks every one of them)
CLAIMS: dict[type, tuple[str, ...]] = {
    facts.OrderAccepted: ("orders",),
    facts.OrderFilled: ("orders",),
    facts.OrderClosed: ("orders",),
    facts.OrderUnknown: ("orders", "timers"),
    facts.OrderNotPlaced: ("orders",),
    facts.OrderAdopted: ("orders",),
    facts.CancelSettled: ("orders",),
    facts.Position: ("positions",),
    facts.Pnl: (),  # a view at one moment: it moves nothing
    facts.BalanceChanged: ("balances",),
    facts.FillsConfirmed: ("reconciling",),
    facts.Reconciled: ("reconciling", "timers"),
    facts.ReconcileFailed: ("reconciling", "timers"),
    facts.ModeChanged: ("modes",),
    facts.LinkReady: ("links",),
    facts.LinkSteady: ("timers",),
    facts.MarketGap: ("gaps",),
    facts.RateBlocked: ("limits", "timers"),
    facts.ClockMeasured: ("limits",),
    facts.StrategyChanged: ("strategies",),
    facts.StrategyStopped: ("strategies",),
    facts.StrategyWoken: (),  # its watch is the market's: kernel.py
    facts.SessionClosing: ("modes",),
    Requested: ("orders", "links", "requests", "reconciling", "limits", "timers"),
    Answered: ("orders", "requests", "limits"),
    LinkMoved: ("links", "requests", "reconciling", "modes", "timers"),
    TimerFired: ("timers",),
    Commanded: ("modes", "strategies", "timers"),
}


def fold(account: Account, change: Change, at: Stamp, rules: Rules) -> Account:
    """One change, offered to the reducers that claim it; each moves its own part or leaves it as it is."""
    moved: dict[str, Any] = {}
    for name in CLAIMS[type(change)]:
        if name == "timers":
            moved[name] = timers.reduce(
                account.timers, change, at, settings=rules.settings, recurring=rules.recurring, seed=rules.seed
            )
        elif name == "limits":
            moved[name] = rate_budgets.reduce(account.limits, change, at, rules.rates)
        else:
            moved[name] = REDUCERS[name](getattr(account, name), change, at)
    return replace(account, **moved) if moved else account


class State:
    """Where a session stands after a record."""

    __slots__ = ("_cause", "_heard", "_source", "account", "inputs", "market", "seq", "shown", "steady", "time_ns")

    def __init__(self, account: Account, market: Market, *, seq: int, time_ns: int, inputs: int) -> None:
        self.account = account
        self.market = market
        self.seq = seq  # of the last record folded
        self.time_ns = time_ns
        self.inputs = inputs  # how many inputs were taken: CHECKPOINTs go by it
        self.shown: tuple[
            Any, ...
        ] = ()  # the parts of the account that compiled strategies were shown last (showing.py)
        self.steady: Account | None = (
            None  # as long as the account is this one, whoever is asked and says nothing leads to nothing (responding.py)
        )
        self._heard = sha256()
        self._source: str = ""  # of the frame heard last
        self._cause: int | None = None

    @property
    def next_due_ns(self) -> int:
        """When the sequencer must take a TIMER at the latest."""
        return min(self.account.timers.next_due_ns, self.market.next_due_ns)

    def hear(self, record: Record) -> None:
        """Takes an input's every byte into one hash, also those that change nothing: replay finds whatever was altered.

        All but recv_ns, which the core never sees.
        """
        payload = record.payload
        if payload is not None and record.meta is None:
            if (
                record.source != self._source or record.cause != self._cause
            ):  # told once for a run of frames: this is the hot path
                self._source, self._cause = record.source, record.cause
                self._heard.update(f"{record.source} {record.cause} ".encode())
            self._heard.update(record.time_ns.to_bytes(8, "little") + payload)
        else:
            self._heard.update(f"{record.time_ns} {record.source} {record.cause} {record.key} {record.meta} ".encode())
            self._heard.update((record.body or "").encode() if record.payload is None else record.payload)

    def hear_frames(self, records: Sequence[Record]) -> None:
        """`hear` of stream frames, one behind the other: the same bytes into the same hash, at once where they came over one link."""
        first = records[0]
        source, cause = first.source, first.cause
        if any(record.source != source or record.cause != cause for record in records):
            for record in records:
                self.hear(record)
            return
        self.hear(first)
        self._heard.update(
            b"".join([record.time_ns.to_bytes(8, "little") + (record.payload or b"") for record in records[1:]])
        )

    @property
    def heard(self) -> bytes:
        """The hash over what came since the last CHECKPOINT, and over the hash before."""
        return self._heard.digest()

    def new_page(self, heard: bytes) -> None:
        """After a CHECKPOINT the hash begins anew from itself: so it can be told in 32 bytes there."""
        self._heard = sha256(heard)
        self._source, self._cause = "", None

    def digests(self) -> dict[str, tuple[int, str]]:
        """Part -> (version, sha256 over its logical content)."""
        parts = {f"account.{name}": (PART_VERSION, digest(getattr(self.account, name))) for name in (*CARRIED, *FRESH)}
        parts.update({f"market.{name}": found for name, found in self.market.digests().items()})
        parts["inputs"] = (PART_VERSION, self.heard.hex())
        return parts


def digest(part: msgspec.Struct) -> str:
    return sha256(canonical(part).encode()).hexdigest()


def carry_over(state: State) -> dict[str, Any]:
    """The opening state of the next session, as an accountant opens a new page: JSON values."""
    account = {name: json.loads(canonical(getattr(state.account, name))) for name in CARRIED}
    return {"account": account, "market": state.market.carried()}


def restore_opening(opening: Mapping[str, Any]) -> Account:
    """The account as it stood when the session before ended; links and timers begin anew.

    A request that was on its way then will not be answered here: its order is UNKNOWN, and asked about.
    """
    parts = {
        name: msgspec.convert(value, type=type(getattr(Account(), name)), strict=False)
        for name, value in opening["account"].items()
        if name in CARRIED
    }
    account = Account(**parts)
    kept = ModeState(
        paused_by=account.modes.paused_by,
        halted_for=account.modes.halted_for,
    )
    # seqs of the session before mean nothing in this one
    live, closed = (
        {name: replace(order, request_seq=0, updated_seq=0, cancel_seq=0, ask_seq=0) for name, order in found.items()}
        for found in (account.orders.live, account.orders.closed)
    )
    held = {
        asset: replace(balance, seq=-1) for asset, balance in account.balances.by_asset.items()
    }  # the first answer confirms them
    return replace(
        account,
        modes=kept,
        orders=replace(account.orders, live=live, closed=closed),
        balances=Balances(held),
        reconciling=ReconcileRounds(fills_confirmed=account.reconciling.fills_confirmed),
    )


__all__ = ["CARRIED", "FRESH", "Account", "Rules", "State", "carry_over", "digest", "fold", "restore_opening"]
