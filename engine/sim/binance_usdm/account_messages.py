"""Accounts, wallets and positions as USD-M's JSON: answers and account events. Decides nothing."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from engine.sim.binance.filters import SymbolRules
from engine.sim.exchange.contract_events import (
    AccountChanged,
    ConfigChanged,
    ListenKeyExpired,
    MarginCalled,
    PositionState,
)
from engine.sim.exchange.margin import AssetMargin, PositionMargin, contract_of
from engine.sim.exchange.margin_account import Income, MarginAccount
from engine.sim.units import plain, text

MS: Final = 1_000_000


def account_update(changed: AccountChanged) -> dict[str, Any]:
    """Return an ACCOUNT_UPDATE event: only what changed."""
    millis = changed.time_ns // MS
    return {
        "e": "ACCOUNT_UPDATE",
        "E": millis,
        "T": millis,
        "a": {
            "m": changed.reason,
            "B": [
                {"a": each.asset, "wb": plain(each.wallet), "cw": plain(each.cross_wallet), "bc": plain(each.change)}
                for each in changed.balances
            ],
            "P": [_position(each) for each in changed.positions],
        },
    }


def _position(state: PositionState) -> dict[str, Any]:
    return {
        "s": state.symbol,
        "pa": plain(state.quantity),
        "ep": plain(state.entry_price),
        "bep": plain(state.break_even_price),
        "cr": plain(state.realised),
        "up": plain(state.unrealised),
        "mt": "isolated" if state.is_isolated else "cross",
        "iw": plain(state.isolated_wallet),
        "ps": state.side,
    }


def margin_call(call: MarginCalled) -> dict[str, Any]:
    """Return a MARGIN_CALL event; only one of cross margin has the wallet."""
    wallet = {} if call.cross_wallet is None else {"cw": plain(call.cross_wallet)}
    return {
        "e": "MARGIN_CALL",
        "E": call.time_ns // MS,
        **wallet,
        "p": [
            {
                "s": each.symbol,
                "ps": each.side,
                "pa": plain(each.quantity),
                "mt": "ISOLATED" if each.is_isolated else "CROSSED",
                "iw": plain(each.isolated_wallet),
                "mp": plain(each.mark),
                "up": plain(each.unrealised),
                "mm": plain(each.maintenance),
            }
            for each in call.positions
        ],
    }


def config_update(changed: ConfigChanged) -> dict[str, Any]:
    """Return an ACCOUNT_CONFIG_UPDATE event."""
    millis = changed.time_ns // MS
    return {
        "e": "ACCOUNT_CONFIG_UPDATE",
        "E": millis,
        "T": millis,
        "ac": {"s": changed.symbol, "l": changed.leverage},
    }


def listen_key_expired(expired: ListenKeyExpired) -> dict[str, Any]:
    """Return a listenKeyExpired event."""
    return {"e": "listenKeyExpired", "E": expired.time_ns // MS, "listenKey": expired.key}


# ---- answers


def balance(owner: MarginAccount, alias: str, asset: str, margin: AssetMargin) -> dict[str, Any]:
    """Return a row of GET balance."""
    return {
        "accountAlias": alias,
        "asset": asset,
        "balance": text(margin.wallet),
        "crossWalletBalance": text(margin.cross_wallet),
        "crossUnPnl": text(margin.cross_unrealised),
        "availableBalance": text(margin.available),
        "maxWithdrawAmount": text(min(margin.available, max(margin.cross_wallet, 0))),
        "marginAvailable": True,
        "updateTime": owner.changed_ns // MS,
    }


def account_asset(owner: MarginAccount, asset: str, margin: AssetMargin) -> dict[str, Any]:
    """Return an asset of GET account."""
    return {
        "asset": asset,
        "walletBalance": text(margin.wallet),
        "unrealizedProfit": text(margin.unrealised),
        "marginBalance": text(margin.margin_balance),
        "maintMargin": text(margin.maintenance),
        "initialMargin": text(margin.initial),
        "positionInitialMargin": text(margin.position_initial),
        "openOrderInitialMargin": text(margin.open_order_initial),
        "crossWalletBalance": text(margin.cross_wallet),
        "crossUnPnl": text(margin.cross_unrealised),
        "availableBalance": text(margin.available),
        "maxWithdrawAmount": text(min(margin.available, max(margin.cross_wallet, 0))),
        "marginAvailable": True,
        "updateTime": owner.changed_ns // MS,
    }


def account_totals(margins: Sequence[AssetMargin]) -> dict[str, Any]:
    """Return the totals of GET account. Each margin asset counts as one dollar."""
    sums = {
        "totalInitialMargin": sum(each.initial for each in margins),
        "totalMaintMargin": sum(each.maintenance for each in margins),
        "totalWalletBalance": sum(each.wallet for each in margins),
        "totalUnrealizedProfit": sum(each.unrealised for each in margins),
        "totalMarginBalance": sum(each.margin_balance for each in margins),
        "totalPositionInitialMargin": sum(each.position_initial for each in margins),
        "totalOpenOrderInitialMargin": sum(each.open_order_initial for each in margins),
        "totalCrossWalletBalance": sum(each.cross_wallet for each in margins),
        "totalCrossUnPnl": sum(each.cross_unrealised for each in margins),
        "availableBalance": sum(each.available for each in margins),
        "maxWithdrawAmount": sum(each.available for each in margins),
    }
    return {name: text(amount) for name, amount in sums.items()}


def account_position(owner: MarginAccount, margin: PositionMargin) -> dict[str, Any]:
    """Return a position of GET v3/account."""
    position = margin.position
    isolated = position.isolated_wallet + margin.unrealised if owner.is_isolated(position.symbol) else 0
    return {
        "symbol": position.symbol,
        "positionSide": position.side,
        "positionAmt": plain(position.quantity),
        "unrealizedProfit": text(margin.unrealised),
        "isolatedMargin": text(isolated),
        "notional": plain(margin.notional),
        "isolatedWallet": plain(position.isolated_wallet),
        "initialMargin": plain(margin.initial + margin.open_order),
        "maintMargin": plain(margin.maintenance),
        "updateTime": position.changed_ns // MS,
    }


def position_risk(owner: MarginAccount, rules: SymbolRules, margin: PositionMargin, liquidation: int) -> dict[str, Any]:
    """Return a row of GET v3/positionRisk."""
    position = margin.position
    shown = account_position(owner, margin)
    return {
        "symbol": position.symbol,
        "positionSide": position.side,
        "positionAmt": plain(position.quantity),
        "entryPrice": plain(position.entry_price),
        "breakEvenPrice": plain(position.break_even_price),
        "markPrice": text(margin.mark),
        "unRealizedProfit": text(margin.unrealised),
        "liquidationPrice": plain(liquidation),
        "isolatedMargin": shown["isolatedMargin"],
        "notional": shown["notional"],
        "marginAsset": rules.settles_in,
        "isolatedWallet": shown["isolatedWallet"],
        "initialMargin": shown["initialMargin"],
        "maintMargin": shown["maintMargin"],
        "positionInitialMargin": plain(margin.initial),
        "openOrderInitialMargin": plain(margin.open_order),
        "adl": 1 if position.quantity else 0,
        "bidNotional": plain(margin.open_notional.bids),
        "askNotional": plain(margin.open_notional.asks),
        "updateTime": shown["updateTime"],
    }


def income(entry: Income) -> dict[str, Any]:
    """Return a row of GET income."""
    return {
        "symbol": entry.symbol,
        "incomeType": entry.kind,
        "income": text(entry.amount),
        "asset": entry.asset,
        "info": str(entry.trade_id) if entry.trade_id else entry.kind,
        "time": entry.time_ns // MS,
        "tranId": entry.number,
        "tradeId": str(entry.trade_id) if entry.trade_id else "",
    }


def brackets(rules: SymbolRules) -> dict[str, Any]:
    """Return a row of GET leverageBracket, whose numbers are JSON numbers."""
    return {
        "symbol": rules.symbol,
        "notionalCoef": 1.0,
        "brackets": [
            {
                "bracket": number,
                "initialLeverage": each.leverage_max,
                "notionalCap": json_number(each.cap),
                "notionalFloor": json_number(each.floor),
                "maintMarginRatio": json_number(each.rate),
                "cum": json_number(each.amount),
            }
            for number, each in enumerate(contract_of(rules).brackets, start=1)
        ],
    }


def json_number(amount: int) -> Any:
    """Return an amount as a JSON number, digit by digit."""
    return msgspec.Raw(plain(amount).encode())
