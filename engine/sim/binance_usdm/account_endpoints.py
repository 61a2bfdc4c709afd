"""Signed endpoints of USD-M that show an account: wallets, positions, income, rates, brackets; and its listen key."""

from typing import Any, Final

from engine.sim.binance import endpoints_account as spot
from engine.sim.binance.endpoints import Call, Endpoint, signed
from engine.sim.binance.order_listing import optional_symbol
from engine.sim.binance_usdm import account_messages as messages
from engine.sim.binance_usdm import contract_refusals as refusals
from engine.sim.binance_usdm.endpoint_calls import (
    MS,
    WEEK_MS,
    by_symbol,
    contracts,
    keyed,
    owner_of,
)
from engine.sim.binance_usdm.order_messages import order_query
from engine.sim.binance_usdm.routed_connections import ListenKeys
from engine.sim.exchange.margin import PositionMargin, asset_margin
from engine.sim.units import plain

FEE_TIER: Final = 0


def _assets(call: Call) -> list[str]:
    owner = owner_of(call)
    return sorted({*owner.free, *(asset for _, asset in contracts(call).margin_assets)})


def balances(call: Call) -> list[dict[str, Any]]:
    """Return the wallets of the account."""
    owner = owner_of(call)
    exchange = contracts(call)
    return [
        messages.balance(owner, call.account, asset, exchange.asset_margin(call.account, asset))
        for asset in _assets(call)
    ]


def account(call: Call) -> dict[str, Any]:
    """Return the account with its wallets and the positions that are open or have open orders."""
    owner, exchange = owner_of(call), contracts(call)
    margins = exchange.margins(call.account)
    of_assets = {asset: asset_margin(owner, asset, exchange.rules, margins) for asset in _assets(call)}
    return {
        **messages.account_totals(list(of_assets.values())),
        "assets": [messages.account_asset(owner, asset, margin) for asset, margin in of_assets.items()],
        "positions": [messages.account_position(owner, margin) for margin in margins],
    }


def account_v2(call: Call) -> dict[str, Any]:
    """Return the account in its older form, with its settings and every position, flat ones too."""
    owner = owner_of(call)
    shown = account(call)
    positions = [
        {
            **messages.account_position(owner, margin),
            "entryPrice": plain(margin.position.entry_price),
            "breakEvenPrice": plain(margin.position.break_even_price),
            "positionInitialMargin": plain(margin.initial),
            "openOrderInitialMargin": plain(margin.open_order),
            "leverage": str(owner.leverage(margin.position.symbol)),
            "isolated": owner.is_isolated(margin.position.symbol),
            "maxNotional": plain(_notional_max(call, margin.position.symbol)),
            "bidNotional": plain(margin.open_notional.bids),
            "askNotional": plain(margin.open_notional.asks),
        }
        for margin in _all_margins(call)
    ]
    settings = {
        "feeTier": FEE_TIER,
        "canTrade": owner.can_trade,
        "canDeposit": True,
        "canWithdraw": True,
        "updateTime": 0,
        "multiAssetsMargin": False,
        "tradeGroupId": -1,
    }
    return {**settings, **shown, "positions": positions}


def _notional_max(call: Call, symbol: str) -> int:
    rules = call.exchange.market(symbol).rules
    assert rules.contract is not None
    return rules.contract.notional_max(owner_of(call).leverage(symbol))


def _all_margins(call: Call) -> list[PositionMargin]:
    """Return the margin of every position of the account's mode, flat ones too, by symbol."""
    exchange, symbol = contracts(call), optional_symbol(call)
    found = {(each.position.symbol, each.position.side): each for each in exchange.margins(call.account)}
    flat = exchange.flat_margins(call.account)
    merged = {(each.position.symbol, each.position.side): each for each in flat} | found
    return [each for (name, _), each in sorted(merged.items()) if symbol in (None, name)]


def position_risk(call: Call) -> list[dict[str, Any]]:
    """Return the positions that are open or have open orders. A missing symbol is flat."""
    owner, exchange, symbol = owner_of(call), contracts(call), optional_symbol(call)
    return [
        messages.position_risk(
            owner,
            exchange.market(margin.position.symbol).rules,
            margin,
            exchange.liquidation_price(call.account, margin),
        )
        for margin in exchange.margins(call.account)
        if symbol in (None, margin.position.symbol)
    ]


def position_risk_v2(call: Call) -> list[dict[str, Any]]:
    """Return every position in the older form: flat ones too, with leverage and margin type."""
    owner, exchange = owner_of(call), contracts(call)
    rows = []
    for margin in _all_margins(call):
        symbol = margin.position.symbol
        rules = exchange.market(symbol).rules
        shown = messages.position_risk(owner, rules, margin, exchange.liquidation_price(call.account, margin))
        rows.append(
            {
                **{name: shown[name] for name in (
                    "symbol", "positionAmt", "entryPrice", "breakEvenPrice", "markPrice", "unRealizedProfit",
                    "liquidationPrice", "isolatedMargin", "positionSide", "notional", "isolatedWallet", "updateTime",
                )},
                "leverage": str(owner.leverage(symbol)),
                "maxNotionalValue": plain(_notional_max(call, symbol)),
                "marginType": "isolated" if owner.is_isolated(symbol) else "cross",
                "isAutoAddMargin": "false",
            }
        )  # fmt: skip
    return rows


def commission_rate(call: Call) -> dict[str, Any]:
    """Return the account's fee rates for a symbol."""
    owner, symbol = owner_of(call), call.params.symbol()
    call.exchange.market(symbol)
    return {
        "symbol": symbol,
        "makerCommissionRate": plain(owner.rate(maker=True)),
        "takerCommissionRate": plain(owner.rate(maker=False)),
        "rpiCommissionRate": plain(owner.rate(maker=True)),
    }


def income(call: Call) -> list[dict[str, Any]]:
    """Return a page of the account's income: from a start on the oldest, else the newest of 7 days."""
    params, symbol = call.params, optional_symbol(call)
    kind = params.get("incomeType")
    limit, number = params.limit(default=100, most=1_000), params.integer("page") or 1
    start_ms, end_ms = params.integer("startTime"), params.integer("endTime")
    first_ms = call.now_ns // MS - WEEK_MS if start_ms is None else start_ms
    found = [
        entry
        for entry in owner_of(call).incomes
        if symbol in (None, entry.symbol)
        and kind in (None, entry.kind)
        and first_ms <= entry.time_ns // MS
        and (end_ms is None or entry.time_ns // MS <= end_ms)
    ]
    if start_ms is None and number == 1:
        return [messages.income(entry) for entry in found[-limit:]]
    return [messages.income(entry) for entry in found[(number - 1) * limit : number * limit]]


def leverage_bracket(call: Call) -> Any:
    """Return the brackets of one symbol, or of all: a list in both cases, as Binance answers."""
    symbol = optional_symbol(call)
    return [messages.brackets(m.rules) for m in call.exchange.markets.values() if symbol in (None, m.rules.symbol)]


def adl_quantile(call: Call) -> list[dict[str, Any]]:
    """Return how near each position is to deleveraging. This venue ranks no accounts: an open position has 1."""
    owner = owner_of(call)
    return [
        {"symbol": position.symbol, "adlQuantile": {position.side: 1}}
        for position in owner.open_positions(optional_symbol(call))
    ]


def symbol_config(call: Call) -> list[dict[str, Any]]:
    """Return margin type and leverage of one symbol, or of all."""
    owner, symbol = owner_of(call), optional_symbol(call)
    return [
        {
            "symbol": name,
            "marginType": "ISOLATED" if owner.is_isolated(name) else "CROSSED",
            "isAutoAddMargin": False,
            "leverage": owner.leverage(name),
            "maxNotionalValue": plain(_notional_max(call, name)),
        }
        for name in call.exchange.markets
        if symbol in (None, name)
    ]


def account_config(call: Call) -> dict[str, Any]:
    """Return the account's settings."""
    owner = owner_of(call)
    return {
        "feeTier": FEE_TIER,
        "canTrade": owner.can_trade,
        "canDeposit": True,
        "canWithdraw": True,
        "dualSidePosition": owner.is_hedged,
        "updateTime": 0,
        "multiAssetsMargin": False,
        "tradeGroupId": -1,
    }


def forced_orders(call: Call) -> list[dict[str, Any]]:
    """Return the account's liquidations and deleveragings, newest first."""
    symbol, limit = optional_symbol(call), call.params.limit(default=50, most=100)
    kind = call.params.get("autoCloseType")
    prefix = {"LIQUIDATION": "autoclose-", "ADL": "adl_autoclose"}.get(kind or "", "")
    found = [
        order
        for order in call.exchange.orders.values()
        if order.account == call.account
        and order.contract is not None
        and order.contract.is_forced
        and symbol in (None, order.symbol)
        and order.client_order_id.startswith(prefix)
    ]
    return [order_query(order) for order in found[::-1][:limit]]


def key_restrictions(call: Call) -> dict[str, Any]:
    """Return the rights of the key that signed."""
    return {**spot.key_restrictions(call), "enableFutures": call.rights.trades, "enableSpotAndMarginTrading": False}


def listen_key_endpoints(keys: ListenKeys) -> dict[tuple[str, str], Endpoint]:
    """Return the endpoints that start, extend and end an account's listen key."""

    def start(call: Call) -> dict[str, Any]:
        return {"listenKey": keys.start(call.account, call.now_ns)}

    def extend(call: Call) -> dict[str, Any]:
        key = keys.extend(call.account, call.now_ns)
        if key is None:
            raise refusals.no_listen_key()
        return {"listenKey": key}

    def stop(call: Call) -> dict[str, Any]:
        keys.stop(call.account)
        return {}

    handlers = {"POST": start, "PUT": extend, "DELETE": stop}
    return {(method, "/fapi/v1/listenKey"): keyed(handler) for method, handler in handlers.items()}


LISTEN_KEY_PARAMS: Final = {(method, "/fapi/v1/listenKey"): "listenKey" for method in ("POST", "PUT", "DELETE")}
ENDPOINTS: Final = {
    ("GET", "/fapi/v2/balance"): signed(balances, 5),
    ("GET", "/fapi/v3/balance"): signed(balances, 5),
    ("GET", "/fapi/v2/account"): signed(account_v2, 5),
    ("GET", "/fapi/v3/account"): signed(account, 5),
    ("GET", "/fapi/v2/positionRisk"): signed(position_risk_v2, 5),
    ("GET", "/fapi/v3/positionRisk"): signed(position_risk, 5),
    ("GET", "/fapi/v1/commissionRate"): signed(commission_rate, 20),
    ("GET", "/fapi/v1/income"): signed(income, 30),
    ("GET", "/fapi/v1/leverageBracket"): signed(leverage_bracket, 1),
    ("GET", "/fapi/v1/adlQuantile"): signed(adl_quantile, 5),
    ("GET", "/fapi/v1/symbolConfig"): signed(symbol_config, 5),
    ("GET", "/fapi/v1/accountConfig"): signed(account_config, 5),
    ("GET", "/fapi/v1/forceOrders"): Endpoint(handler=forced_orders, weight=by_symbol(20, 50), signed=True),
    ("GET", "/fapi/v1/rateLimit/order"): signed(spot.order_limits, 1),
    ("GET", "/sapi/v1/account/apiRestrictions"): signed(key_restrictions, 1),
}
PARAMS: Final = {
    ("GET", "/fapi/v2/balance"): "",
    ("GET", "/fapi/v3/balance"): "",
    ("GET", "/fapi/v2/account"): "",
    ("GET", "/fapi/v3/account"): "",
    ("GET", "/fapi/v2/positionRisk"): "symbol",
    ("GET", "/fapi/v3/positionRisk"): "symbol",
    ("GET", "/fapi/v1/commissionRate"): "symbol",
    ("GET", "/fapi/v1/income"): "symbol incomeType startTime endTime page limit",
    ("GET", "/fapi/v1/leverageBracket"): "symbol",
    ("GET", "/fapi/v1/adlQuantile"): "symbol",
    ("GET", "/fapi/v1/symbolConfig"): "symbol",
    ("GET", "/fapi/v1/accountConfig"): "",
    ("GET", "/fapi/v1/forceOrders"): "symbol autoCloseType startTime endTime limit",
    ("GET", "/fapi/v1/rateLimit/order"): "",
    ("GET", "/sapi/v1/account/apiRestrictions"): "",
}
