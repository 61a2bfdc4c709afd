"""Events of an account of contracts with margin, as values: the reports beside those of its orders."""

from enum import StrEnum
from typing import NamedTuple

import msgspec

from engine.model import PositionSide
from engine.sim.exchange.order_values import SimOrder
from engine.sim.feeds.sim_market import MarkPrint


class Reason(StrEnum):
    """Why an account changed, as Binance spells it."""

    ORDER = "ORDER"
    DEPOSIT = "DEPOSIT"
    WITHDRAW = "WITHDRAW"
    FUNDING_FEE = "FUNDING_FEE"
    MARGIN_TRANSFER = "MARGIN_TRANSFER"
    MARGIN_TYPE_CHANGE = "MARGIN_TYPE_CHANGE"
    INSURANCE_CLEAR = "INSURANCE_CLEAR"


class BalanceChange(NamedTuple):
    """A wallet after a change."""

    asset: str
    wallet: int
    cross_wallet: int
    change: int  # what neither P&L nor commission explains


class PositionState(NamedTuple):
    """A position after a change."""

    symbol: str
    side: PositionSide
    quantity: int
    entry_price: int
    break_even_price: int
    realised: int  # since the account began
    unrealised: int
    is_isolated: bool
    isolated_wallet: int
    mark: int = 0
    maintenance: int = 0


class AccountChanged(msgspec.Struct, frozen=True, kw_only=True):
    """Wallets and positions that one operation changed."""

    account: str
    reason: Reason
    time_ns: int
    balances: tuple[BalanceChange, ...] = ()
    positions: tuple[PositionState, ...] = ()


class MarginCalled(msgspec.Struct, frozen=True, kw_only=True):
    """A warning: the maintenance margin is a large part of the margin balance."""

    account: str
    time_ns: int
    cross_wallet: int | None  # None: of an isolated position
    positions: tuple[PositionState, ...]


class ConfigChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A symbol's leverage is another one."""

    account: str
    time_ns: int
    symbol: str
    leverage: int


class MarkMoved(msgspec.Struct, frozen=True, kw_only=True):
    """The venue computed a mark price."""

    symbol: str
    mark: MarkPrint
    time_ns: int


class Liquidated(msgspec.Struct, frozen=True, kw_only=True):
    """The venue closed a position; `order` is its order after all fills."""

    order: SimOrder
    time_ns: int


class ListenKeyExpired(msgspec.Struct, frozen=True, kw_only=True):
    """An account's stream ended because its key was not extended."""

    account: str
    key: str
    time_ns: int


class AlgoStatus(StrEnum):
    """The status of a conditional order."""

    NEW = "NEW"
    TRIGGERING = "TRIGGERING"
    TRIGGERED = "TRIGGERED"
    FINISHED = "FINISHED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


OPEN_ALGOS = frozenset({AlgoStatus.NEW, AlgoStatus.TRIGGERING, AlgoStatus.TRIGGERED})


class AlgoOrder(msgspec.Struct, kw_only=True):
    """A conditional order, from its acceptance on. `held` is the order that it becomes, and has its trigger."""

    algo_id: int
    client_algo_id: str
    account: str
    order_type: str  # as Binance spells it
    held: SimOrder
    status: AlgoStatus = AlgoStatus.NEW
    callback_rate: int = 0  # of a trailing stop, in percent
    created_ns: int = 0
    updated_ns: int = 0
    triggered_ns: int = 0
    order: SimOrder | None = None  # the order that it became
    reject_message: str = ""

    @property
    def is_open(self) -> bool:
        """True until it is triggered, or ends without that."""
        return self.status is AlgoStatus.NEW


class AlgoChanged(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a conditional order's life; `algo` is a copy of it at that moment."""

    algo: AlgoOrder
    time_ns: int


ContractEvent = AccountChanged | MarginCalled | ConfigChanged | MarkMoved | Liquidated | ListenKeyExpired | AlgoChanged
