"""Signed endpoints of USD-M that change how an account trades: leverage, margin type, margin, position mode."""

from typing import Any, Final

from engine.sim.binance import refusals
from engine.sim.binance.endpoints import Call, signed, trading
from engine.sim.binance_usdm import contract_refusals as own
from engine.sim.binance_usdm.account_messages import json_number
from engine.sim.binance_usdm.contract_params import position_side
from engine.sim.binance_usdm.endpoint_calls import MS, SUCCESS, contracts, market_of, owner_of, page, whole_number
from engine.sim.units import plain


def set_leverage(call: Call) -> dict[str, Any]:
    """Set a symbol's leverage."""
    symbol, leverage = market_of(call).rules.symbol, whole_number(call.params, "leverage")
    notional_max = contracts(call).set_leverage(call.account, symbol, leverage, call.now_ns)
    return {"leverage": leverage, "maxNotionalValue": plain(notional_max), "symbol": symbol}


def set_margin_type(call: Call) -> dict[str, Any]:
    """Set whether a symbol's margin is isolated."""
    symbol, kind = market_of(call).rules.symbol, call.params.required("marginType")
    if kind not in ("ISOLATED", "CROSSED"):
        raise refusals.invalid_parameter("marginType")
    contracts(call).set_isolated(call.account, symbol, isolated=kind == "ISOLATED", now_ns=call.now_ns)
    return dict(SUCCESS)


def move_margin(call: Call) -> dict[str, Any]:
    """Add margin to an isolated position, or take it out."""
    params, symbol = call.params, market_of(call).rules.symbol
    amount, kind = params.amount("amount"), whole_number(params, "type")
    if kind not in (1, 2) or not amount:
        raise refusals.invalid_parameter("type" if amount else "amount")
    moved = amount if kind == 1 else -amount
    contracts(call).move_margin(call.account, symbol, position_side(params), moved, call.now_ns)
    return {"amount": json_number(amount), "code": 200, "msg": "Successfully modify position margin.", "type": kind}


def margin_history(call: Call) -> list[dict[str, Any]]:
    """Return the margin that was added to a symbol's isolated positions or taken out of them."""
    symbol, kind = market_of(call).rules.symbol, call.params.integer("type")
    found = [
        {
            "symbol": move.symbol,
            "type": 1 if move.amount > 0 else 2,
            "deltaType": "USER_ADJUST",
            "amount": plain(abs(move.amount)),
            "asset": move.asset,
            "time": move.time_ns // MS,
            "positionSide": move.side,
        }
        for move in owner_of(call).margin_moves
        if move.symbol == symbol and kind in (None, 1 if move.amount > 0 else 2)
    ]
    return page(found, call.params.limit(default=500, most=500), oldest_first=False)


def position_mode(call: Call) -> dict[str, Any]:
    """Return whether the account is in hedge mode."""
    return {"dualSidePosition": owner_of(call).is_hedged}


def set_position_mode(call: Call) -> dict[str, Any]:
    """Set hedge mode or one-way mode, which needs an account without orders and positions."""
    call.params.required("dualSidePosition")
    contracts(call).set_hedged(call.account, hedged=call.params.flag("dualSidePosition"))
    return dict(SUCCESS)


def multi_assets(call: Call) -> dict[str, Any]:
    """Return that the account has no multi-assets margin."""
    del call
    return {"multiAssetsMargin": False}


def set_multi_assets(call: Call) -> dict[str, Any]:
    """Refuse multi-assets margin, which this venue does not have."""
    call.params.required("multiAssetsMargin")
    if call.params.flag("multiAssetsMargin"):
        raise refusals.not_implemented("multi-assets margin")
    raise own.multi_assets_unchanged()


def fee_burn(call: Call) -> dict[str, Any]:
    """Return that fees are paid in the margin asset."""
    del call
    return {"feeBurn": False}


ENDPOINTS: Final = {
    ("POST", "/fapi/v1/leverage"): trading(set_leverage),
    ("POST", "/fapi/v1/marginType"): trading(set_margin_type),
    ("POST", "/fapi/v1/positionMargin"): trading(move_margin),
    ("GET", "/fapi/v1/positionMargin/history"): signed(margin_history, 1),
    ("GET", "/fapi/v1/positionSide/dual"): signed(position_mode, 30),
    ("POST", "/fapi/v1/positionSide/dual"): trading(set_position_mode),
    ("GET", "/fapi/v1/multiAssetsMargin"): signed(multi_assets, 30),
    ("POST", "/fapi/v1/multiAssetsMargin"): trading(set_multi_assets),
    ("GET", "/fapi/v1/feeBurn"): signed(fee_burn, 30),
}
PARAMS: Final = {
    ("POST", "/fapi/v1/leverage"): "symbol leverage",
    ("POST", "/fapi/v1/marginType"): "symbol marginType",
    ("POST", "/fapi/v1/positionMargin"): "symbol positionSide amount type",
    ("GET", "/fapi/v1/positionMargin/history"): "symbol type startTime endTime limit",
    ("GET", "/fapi/v1/positionSide/dual"): "",
    ("POST", "/fapi/v1/positionSide/dual"): "dualSidePosition",
    ("GET", "/fapi/v1/multiAssetsMargin"): "",
    ("POST", "/fapi/v1/multiAssetsMargin"): "multiAssetsMargin",
    ("GET", "/fapi/v1/feeBurn"): "",
}
