"""Configuration of the simulated venue: accounts, limits, latency and rules of its symbols."""

from dataclasses import dataclass, field
from typing import Any, Final

from engine.sim.binance.filters import SymbolRules

SECOND_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountConfig:
    """One account and its API key. Balances and fees are decimal texts."""

    api_key: str
    secret: str
    balances: dict[str, str]
    name: str = ""  # empty: the key's first 8 characters
    fee_maker: str = "0.001"
    fee_taker: str = "0.001"
    fee_tiers: tuple[tuple[str, str, str], ...] = ()  # (traded from, in quote; maker; taker), rising


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueConfig:
    """Settings of the simulated venue."""

    accounts: tuple[AccountConfig, ...]
    hold_until_subscribed: bool = False
    snapshot_wait_ns_max: int = 5 * SECOND_NS  # session time that the feed waits at the snapshot for a request
    settle_ns: int = 0  # session time between the snapshot's answer and the next frame
    behind_ns_max: int | None = (
        None  # session time by which the feed may be late before it continues from now; None: unlimited
    )
    weight_max: int = 6_000  # per minute
    orders_10s_max: int = 100
    orders_day_max: int = 200_000
    latency_ns: int = 0  # from a request to its answer
    rules: dict[str, SymbolRules] = field(default_factory=dict)  # by symbol; the venue's defaults for the others
    overrides: dict[str, dict[str, Any]] = field(default_factory=dict)  # symbol -> SymbolRules fields
