"""The state of a session: the account, made of immutable parts, and the market, arrays that are folded in place.

`State` passes from step to step. Its account is replaced, never changed, so a step that fails leaves no trace in it.
Its market is folded once per market record, before anything is decided. This module assembles, names, digests and
carries over the parts; each part's own module folds it.
"""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import msgspec
from msgspec.structs import replace

from engine.market.market_state import Market
from engine.mode_reasons import ModeReason
from engine.recorded_inputs import RecordedInputs
from engine.state import (
    ledger,
    safety_orders,
)
from engine.state.access import AccessRefusals
from engine.state.account_modes import AccountModes
from engine.state.balances import Balances
from engine.state.breakers import Breakers
from engine.state.cancel_attempts import CancelAttempts
from engine.state.cooldowns import Cooldowns
from engine.state.day_pnl import DayPnl
from engine.state.error_bursts import ErrorBursts
from engine.state.execution_plans import Plans
from engine.state.history_loads import HistoryLoads
from engine.state.instrument_blocks import InstrumentBlocks
from engine.state.instrument_changes import InstrumentChanges
from engine.state.lateness import Lateness
from engine.state.ledger import Ledger
from engine.state.links import LinkStates
from engine.state.margins import Margins
from engine.state.market_gaps import OpenGaps
from engine.state.market_polls import MarketPolls
from engine.state.mode import ModeState
from engine.state.order_blocks import OrderBlocks
from engine.state.order_budgets import OrderBudgets
from engine.state.orders import Order, Orders
from engine.state.pending_requests import PendingRequests
from engine.state.pnl_lines import PnlLines
from engine.state.positions import Positions
from engine.state.private_seen import PrivateSeen
from engine.state.rate_budgets import RateBudgets
from engine.state.reconcile_rounds import ReconcileRounds
from engine.state.reducer_settings import ReducerSettings
from engine.state.safety_orders import SafetyOrders
from engine.state.strategy_events import StrategyEvents
from engine.state.strategy_states import StrategyStatuses
from engine.state.timers import Timers
from engine.state.wallets import Wallets
from journal.record import CanonicalText, Record, canonical

PART_VERSION = 2
PART_VERSIONS = {"limits": 3, "modes": 3, "orders": 3, "reconciling": 3, "timers": 3}  # those whose names changed since


class Account(msgspec.Struct, frozen=True):
    """The parts of the account. The next session gets those in CARRIED; those in FRESH start empty."""

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
    access: AccessRefusals = AccessRefusals()
    order_blocks: OrderBlocks = OrderBlocks()
    breakers: Breakers = Breakers()
    cancels: CancelAttempts = CancelAttempts()
    instruments: InstrumentChanges = InstrumentChanges()
    blocks: InstrumentBlocks = InstrumentBlocks()
    private_seen: PrivateSeen = PrivateSeen()
    safety: SafetyOrders = SafetyOrders()
    lateness: Lateness = Lateness()
    ledger: Ledger = Ledger()
    day_pnl: DayPnl = DayPnl()
    pnl: PnlLines = PnlLines()
    wallets: Wallets = Wallets()
    errors: ErrorBursts = ErrorBursts()
    cooldowns: Cooldowns = Cooldowns()
    plans: Plans = Plans()
    events: StrategyEvents = StrategyEvents()
    order_budgets: OrderBudgets = OrderBudgets()
    history: HistoryLoads = HistoryLoads()
    margins: Margins = Margins()
    polls: MarketPolls = MarketPolls()
    account_modes: AccountModes = AccountModes()


CARRIED = (
    "orders", "positions", "balances", "reconciling", "modes", "limits", "strategies", "order_blocks", "breakers",
    "blocks", "safety", "ledger", "day_pnl", "plans", "pnl", "wallets", "cooldowns",
    "events", "order_budgets",
)  # fmt: skip
FRESH = (
    "cancels",
    "gaps",
    "instruments",
    "links",
    "requests",
    "timers",
    "access",
    "private_seen",
    "lateness",
    "errors",
    "history",
    "margins",
    "account_modes",
    "polls",
)
# parts that older sessions lack: while they are empty, neither a CHECKPOINT nor an opening state states them
ADDED = frozenset({
    "access", "account_modes", "blocks", "breakers", "cancels", "cooldowns", "day_pnl", "errors", "events", "history",
    "instruments", "lateness", "ledger", "margins", "order_blocks", "order_budgets", "plans", "pnl", "polls",
    "private_seen", "safety",
    "wallets",
})  # fmt: skip


class _Unhashed:
    """In place of a hash, in a session without a journal."""

    def update(self, data: bytes) -> None:
        """Do nothing."""

    @staticmethod
    def digest() -> bytes:
        """Return nothing."""
        return b""


UNHASHED = _Unhashed()


class State:
    """A session's state after a record."""

    __slots__ = (
        "_cause",
        "_hash",
        "_order_texts",
        "_source",
        "account",
        "blocks_decided",
        "blocks_liveness",
        "blocks_reasons",
        "blocks_told",
        "inputs",
        "loss_memory",
        "loss_parts",
        "market",
        "predicate_parts",
        "quiescent",
        "quiet_parts",
        "seq",
        "time_ns",
    )

    def __init__(self, account: Account, market: Market, *, seq: int, time_ns: int, inputs: int) -> None:
        self.account = account
        self.market = market
        self.seq = seq  # of the last record folded
        self.time_ns = time_ns
        self.inputs = inputs  # count of applied inputs: CHECKPOINTs go by it
        # the policy stage's last answer: True if it has nothing to do until the account or a market's liveness changes
        self.quiescent = False
        self.predicate_parts: tuple[Any, ...] = ()  # the parts of the account that compiled predicates were given
        self.loss_parts: tuple[Any, ...] = ()  # the parts of the account for which loss levels were set
        self.loss_memory: object = None  # the losses computed last (engine/handlers/loss_memory.py)
        self.quiet_parts: tuple[Any, ...] = ()  # the parts of the account with which the policy had nothing to do
        # what engine/handlers/block_instruments.py decided last, for these blocks and this liveness of the market
        self.blocks_decided: InstrumentBlocks | None = None
        self.blocks_liveness = b""
        self.blocks_told: InstrumentBlocks | None = None
        self.blocks_reasons: tuple[ModeReason, ...] = ()  # as the mode states `blocks_told`
        self._order_texts: dict[str, tuple[Order, CanonicalText]] = {}  # of the closed orders of the last digest
        self._hash: Any = sha256()
        self._source: str = ""  # of the last frame in the hash
        self._cause: int | None = None

    @property
    def next_due_ns(self) -> int:
        """Session time at which the sequencer must fire a TIMER at the latest."""
        return min(self.account.timers.next_due_ns, self.market.next_due_ns)

    def hash_inputs(self, records: Sequence[Record]) -> None:
        """Add every byte of the inputs to the hash. A replay then finds any change, even one without effect.

        `recv_ns` is left out: the core never sees it.
        """
        if self._hash is UNHASHED:
            return  # the bytes of the inputs are not made
        source: str
        cause: int | None
        data: bytes | memoryview
        if type(records) is RecordedInputs:
            timers, data = records.hashed()
            self._hash.update(timers)
            source, cause = records.source, records.cause
            if not data:
                return
        else:
            first = records[0]
            source, cause = first.source, first.cause
            if first.payload is None or first.meta is not None:
                self._hash.update(hashed_bytes(first))
                return
            if len(records) == 1:
                data = first.time_ns.to_bytes(8, "little") + first.payload
            else:
                parts = [
                    record.time_ns.to_bytes(8, "little") + (record.payload or b"")
                    for record in records
                    if record.source == source and record.cause == cause
                ]
                if len(parts) < len(records):  # of several links
                    for record in records:
                        self.hash_inputs((record,))
                    return
                data = b"".join(parts)
        if source != self._source or cause != self._cause:  # once for a run of frames
            self._source, self._cause = source, cause
            self._hash.update(f"{source} {cause} ".encode())
        self._hash.update(data)

    def hash_timers(self, texts: Sequence[str]) -> None:
        """Add TIMERs to the hash, each as the text of its `hashed_bytes`."""
        self._hash.update("".join(texts).encode())

    @property
    def input_hash(self) -> bytes:
        """The hash over the inputs since the last CHECKPOINT and over the hash before it; empty after stop_hashing."""
        found: bytes = self._hash.digest()
        return found

    @property
    def is_hashing(self) -> bool:
        """False after stop_hashing."""
        return self._hash is not UNHASHED

    def stop_hashing(self) -> None:
        """Hash no inputs from here on, for a session without a journal: their bytes may never be made."""
        self._hash = UNHASHED

    def restart_hash(self, input_hash: bytes) -> None:
        """Start the hash again from a CHECKPOINT's hash, so a snapshot needs 32 bytes of it."""
        if self._hash is not UNHASHED:
            self._hash = sha256(input_hash)
        self._source, self._cause = "", None

    def digests(self) -> dict[str, tuple[int, str]]:
        """Return part -> (version, sha256 over its logical content)."""
        parts = {
            f"account.{name}": (
                PART_VERSIONS.get(name, PART_VERSION),
                digest(self._written_orders() if name == "orders" else getattr(self.account, name)),
            )
            for name in checkpoint_parts(self.account)
        }
        parts.update({f"market.{name}": found for name, found in self.market.digests().items()})
        parts["inputs"] = (PART_VERSION, self.input_hash.hex())
        return parts

    def _written_orders(self) -> Orders:
        """Return the orders with the closed ones as text. That of an order is made once: a CHECKPOINT states many."""
        known, texts = self._order_texts, dict[str, tuple[Order, CanonicalText]]()
        for name, order in self.account.orders.closed.items():
            before = known.get(name)
            texts[name] = before if before and before[0] is order else (order, CanonicalText(canonical(order)))
        self._order_texts = texts
        return replace(self.account.orders, closed={name: text for name, (_, text) in texts.items()})


def hashed_bytes(record: Record) -> bytes:
    """Return what the hash contains of an input that is no frame of a stream."""
    head = f"{record.time_ns} {record.source} {record.cause} {record.key} {record.meta} ".encode()
    return head + ((record.body or "").encode() if record.payload is None else record.payload)


def checkpoint_parts(account: Account) -> tuple[str, ...]:
    """Return the names of the parts that a CHECKPOINT states."""
    return tuple(name for name in (*CARRIED, *FRESH) if name not in ADDED or not _is_empty(account, name))


def _is_empty(account: Account, name: str) -> bool:
    return bool(getattr(account, name) == _EMPTY[name])


_EMPTY = {name: getattr(Account(), name) for name in ADDED}


def digest(part: msgspec.Struct) -> str:
    """Return the hash of a part's canonical text."""
    return sha256(canonical(part).encode()).hexdigest()


def carry_over(state: State) -> dict[str, Any]:
    """Return the opening state of the next session, as JSON values."""
    account = {
        name: json.loads(canonical(getattr(state.account, name)))
        for name in checkpoint_parts(state.account)
        if name in CARRIED
    }
    return {"account": account, "market": state.market.carried()}


def restore_opening(opening: Mapping[str, Any]) -> Account:
    """Return the account as the previous session left it, without links, timers and pending requests.

    No answer to a request of that session arrives here: its order becomes UNKNOWN, and the venue is queried.
    """
    parts = {
        name: msgspec.convert(value, type=type(getattr(Account(), name)), strict=False)
        for name, value in opening["account"].items()
        if name in CARRIED
    }
    account = Account(**parts)
    modes = account.modes
    latches = ModeState(paused_by=modes.paused_by, halted_for=modes.halted_for, halted_also=modes.halted_also)
    # seqs of the previous session mean nothing in this one
    live, closed = (
        {name: replace(order, request_seq=0, updated_seq=0, cancel_seq=0, query_seq=0) for name, order in group.items()}
        for group in (account.orders.live, account.orders.closed)
    )
    # a seq of -1: the first answer confirms the balance
    balances = {asset: replace(balance, seq=-1) for asset, balance in account.balances.by_asset.items()}
    return replace(
        account,
        modes=latches,
        orders=replace(account.orders, live=live, closed=closed),
        balances=Balances(balances),
        ledger=ledger.carried(account.ledger),
        blocks=InstrumentBlocks(),  # they end by themselves
        reconciling=ReconcileRounds(fills_confirmed=account.reconciling.fills_confirmed),
        safety=safety_orders.restored(account.safety),
    )


__all__ = ["CARRIED", "FRESH", "Account", "ReducerSettings", "State", "carry_over", "digest", "restore_opening"]
