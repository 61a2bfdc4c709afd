"""Configuration of the simulated venue: accounts, limits, latency and rules of its symbols."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import msgspec

from engine.sim.binance.filters import SymbolRules
from engine.sim.binance.key_ring import SimKeyRights
from engine.sim.exchange.funds import Funds
from engine.sim.exchange.symbol_view import MinuteBar
from engine.sim.units import units

SECOND_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountConfig:
    """One account and its API key. Balances and fees are decimal texts."""

    api_key: str
    secret: str
    balances: dict[str, str]
    name: str = ""  # empty: the key's first 8 characters
    fee_maker: str = ""  # "": the venue's own
    fee_taker: str = ""
    rights: SimKeyRights = field(default_factory=SimKeyRights)  # of the key
    fee_asset: str = ""  # takes fees out of this asset while it lasts, as BNB; "": out of the asset that a fill brings
    fee_asset_price: str = "1"  # of the fee asset, in the quote asset of every symbol
    fee_tiers: tuple[tuple[str, str, str], ...] = ()  # (traded from, in quote; maker; taker), rising


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueConfig:
    """Settings of the simulated venue."""

    accounts: tuple[AccountConfig, ...]
    hold_until_subscribed: bool = False
    snapshot_wait_ns_max: int = 5 * SECOND_NS  # session time that the feed waits at the snapshot for a request
    settle_ns: int = 0  # session time between the snapshot's answer and the next frame
    # session time by which the feed may be late before it continues from now; None: unlimited
    behind_ns_max: int | None = None
    # 0: the venue's own
    weight_max: int = 0  # per minute
    orders_10s_max: int = 0
    orders_minute_max: int = 0
    orders_day_max: int = 0
    latency_ns: int = 0  # from a request to its answer
    rules: dict[str, SymbolRules] = field(default_factory=dict)  # by symbol; the venue's defaults for the others
    overrides: dict[str, dict[str, Any]] = field(default_factory=dict)  # symbol -> SymbolRules fields
    # symbol -> candles of one minute before the market begins, as GET klines shows them, oldest first
    history: dict[str, Sequence[Sequence[Any]]] = field(default_factory=dict)


def minutes_of(candles: Sequence[Sequence[Any]]) -> tuple[MinuteBar, ...]:
    """Return the minutes of a history."""
    return tuple(
        MinuteBar(
            start_ns=candle[0] * 1_000_000,
            open=units(candle[1]),
            high=units(candle[2]),
            low=units(candle[3]),
            close=units(candle[4]),
            volume=units(candle[5]),
            quote=units(candle[7]),
            trades=candle[8],
            taker_base=units(candle[9]),
            taker_quote=units(candle[10]),
            first_id=-1,
            last_id=-1,
        )
        for candle in candles
    )


def rules_of_market(
    config: VenueConfig, symbols: Iterable[str], rules_for: Callable[[str], SymbolRules]
) -> dict[str, SymbolRules]:
    """Return the rules of each symbol: the configured ones or the venue's own, changed by the overrides."""
    rules = {symbol: config.rules.get(symbol) or rules_for(symbol) for symbol in symbols}
    for symbol, changes in config.overrides.items():
        rules[symbol] = msgspec.structs.replace(rules[symbol], **changes)
    return rules


Account = TypeVar("Account", bound=Funds)


def open_accounts(
    config: VenueConfig, assets: Iterable[str], fees: tuple[str, str], kind: type[Account]
) -> tuple[dict[str, Account], dict[str, tuple[str, str]]]:
    """Return the accounts by name, and (account, secret) of each API key. Two keys may share an account.

    Args:
        config: The venue's configuration.
        assets: Assets that each account has, if only 0 of them.
        fees: The venue's own fees of makers and takers.
        kind: The class of an account.
    """
    accounts: dict[str, Account] = {}
    own = sorted(assets)
    keys: dict[str, tuple[str, str]] = {}
    for given in config.accounts:
        name = given.name or given.api_key[:8]
        keys[given.api_key] = (name, given.secret)
        amounts = {asset: units(amount) for asset, amount in given.balances.items()}
        for asset in own:
            amounts.setdefault(asset, 0)
        maker, taker = units(given.fee_maker or fees[0]), units(given.fee_taker or fees[1])
        accounts.setdefault(name, kind(name, amounts, fee_maker=maker, fee_taker=taker))
        accounts[name].fee_asset, accounts[name].fee_asset_price = given.fee_asset, units(given.fee_asset_price)
        accounts[name].tiers = tuple(
            (units(least), units(maker), units(taker)) for least, maker, taker in given.fee_tiers
        )
    return accounts, keys
