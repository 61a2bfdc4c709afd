"""The venue's orders and fills as USD-M's JSON: answers and ORDER_TRADE_UPDATE.

Turns values into dictionaries in Binance's field order; decides nothing.
"""

from typing import Any, Final

from engine.model import OrderType
from engine.sim.exchange.contract_events import Liquidated
from engine.sim.exchange.contract_orders import GOOD_TILL_DATE, REDUCED_AWAY
from engine.sim.exchange.margin import OpenNotional
from engine.sim.exchange.order_values import ContractTerms, Execution, SimFill, SimOrder, SimOrderStatus, SimReport
from engine.sim.units import ONE, plain

MS: Final = 1_000_000
NONE: Final = 0
# expiry reasons, as `er` of ORDER_TRADE_UPDATE counts them
EXPIRY: Final = {
    "UNFILLED_IOC_QUANTITY_EXPIRED": 2,
    REDUCED_AWAY: 4,
    "LIQUIDATION": 5,
    "INSUFFICIENT_LIQUIDITY": 9,
    GOOD_TILL_DATE: NONE,
}


def contract_terms(order: SimOrder) -> ContractTerms:
    """Return the terms that only contracts have."""
    assert order.contract is not None, "an order of a contract has its terms"
    return order.contract


def order_type(order: SimOrder) -> str:
    """Return Binance's name for an order's type: a post-only order is a LIMIT."""
    return "MARKET" if order.order_type is OrderType.MARKET else "LIMIT"


def average_price(order: SimOrder) -> int:
    """Return the average price of an order's fills; 0 without one."""
    return order.executed_quote * ONE // order.executed if order.executed else 0


def order_answer(order: SimOrder, client_order_id: str = "") -> dict[str, Any]:
    """Return the answer to a placement, a change or a cancel. It has no fills, no average and no notional."""
    terms, kind = contract_terms(order), order_type(order)
    return {
        "orderId": order.order_id,
        "symbol": order.symbol,
        "status": order.status,
        "clientOrderId": client_order_id or order.client_order_id,
        "price": plain(order.price),
        "origQty": plain(order.quantity),
        "executedQty": plain(order.executed),
        "cumQty": plain(order.executed),
        "timeInForce": terms.time_in_force,
        "type": kind,
        "reduceOnly": terms.reduce_only,
        "closePosition": terms.close_position,
        "side": order.side,
        "positionSide": terms.position_side,
        "stopPrice": plain(terms.trigger_price),
        "workingType": terms.working_type,
        "priceProtect": terms.price_protect,
        "origType": terms.original_type or kind,
        "priceMatch": terms.price_match,
        "selfTradePreventionMode": order.self_trade,
        "goodTillDate": terms.good_till_ns // MS,
        "updateTime": order.updated_ns // MS,
    }


def order_query(order: SimOrder) -> dict[str, Any]:
    """Return an order as in the answers of GET order, openOrders and allOrders."""
    return {
        **order_answer(order),
        "avgPrice": plain(average_price(order)),
        "cumQuote": plain(order.executed_quote),
        "time": order.created_ns // MS,
    }


def user_trade(order: SimOrder, fill: SimFill, margin_asset: str) -> dict[str, Any]:
    """Return a row of userTrades."""
    return {
        "symbol": fill.symbol,
        "id": fill.trade_id,
        "orderId": fill.order_id,
        "side": fill.side,
        "price": plain(fill.price),
        "qty": plain(fill.quantity),
        "realizedPnl": plain(fill.realised),
        "quoteQty": plain(fill.quote),
        "commission": plain(fill.fee),
        "commissionAsset": fill.fee_asset or margin_asset,
        "time": fill.time_ns // MS,
        "positionSide": contract_terms(order).position_side,
        "buyer": fill.side.sign > 0,
        "maker": fill.maker,
    }


def order_trade_update(report: SimReport, opened: OpenNotional) -> dict[str, Any]:
    """Return an ORDER_TRADE_UPDATE event; `opened` is the notional of the symbol's open orders."""
    order, fill = report.order, report.fill
    terms, kind = contract_terms(order), order_type(order)
    millis = report.time_ns // MS
    body: dict[str, Any] = {
        "s": order.symbol,
        "c": order.client_order_id,
        "S": order.side,
        "o": kind,
        "f": terms.time_in_force,
        "q": plain(order.quantity),
        "p": plain(order.price),
        "ap": plain(average_price(order)),
        "sp": plain(terms.trigger_price),
        "x": _execution(report),
        "X": order.status,
        "i": order.order_id,
        "l": plain(fill.quantity) if fill else "0",
        "z": plain(order.executed),
        "L": plain(fill.price) if fill else "0",
        **({"n": plain(fill.fee), "N": fill.fee_asset} if fill and fill.fee_asset else {}),
        "T": millis,
        "t": fill.trade_id if fill else 0,
        "b": plain(opened.bids),
        "a": plain(opened.asks),
        "m": fill.maker if fill else False,
        "R": terms.reduce_only,
        "wt": terms.working_type,
        "ot": terms.original_type or kind,
        "ps": terms.position_side,
        "cp": terms.close_position,
        "rp": plain(fill.realised) if fill else "0",
        "pP": terms.price_protect,
        "si": 0,
        "ss": 0,
        "V": order.self_trade,
        "pm": terms.price_match,
        "gtd": terms.good_till_ns // MS,
        "er": str(_expiry(report)),
    }
    return {"e": "ORDER_TRADE_UPDATE", "E": millis, "T": millis, "o": body}


def trade_lite(report: SimReport) -> dict[str, Any] | None:
    """Return the TRADE_LITE event of a fill, which has no fee and no status; None for another report."""
    order, fill = report.order, report.fill
    if fill is None:
        return None
    millis = report.time_ns // MS
    return {
        "e": "TRADE_LITE",
        "E": millis,
        "T": millis,
        "s": order.symbol,
        "q": plain(order.quantity),
        "p": plain(order.price),
        "m": fill.maker,
        "c": order.client_order_id,
        "S": order.side,
        "L": plain(fill.price),
        "l": plain(fill.quantity),
        "t": fill.trade_id,
        "i": order.order_id,
    }


def _execution(report: SimReport) -> str:
    if report.execution is Execution.TRADE_PREVENTION:
        return Execution.EXPIRED
    return report.execution


def _expiry(report: SimReport) -> int:
    if report.order.status is SimOrderStatus.EXPIRED_IN_MATCH:
        return 1
    return EXPIRY.get(report.order.expiry_reason, NONE) if report.execution is Execution.EXPIRED else NONE


def forced_order(event: Liquidated) -> dict[str, Any]:
    """Return a forceOrder event of the market."""
    order, millis = event.order, event.time_ns // MS
    last = order.fills[-1] if order.fills else None
    return {
        "e": "forceOrder",
        "E": millis,
        "o": {
            "s": order.symbol,
            "S": order.side,
            "o": "LIMIT",
            "f": "IOC",
            "q": plain(order.quantity),
            "p": plain(order.price),
            "ap": plain(average_price(order)),
            "X": order.status,
            "l": plain(last.quantity if last else 0),
            "z": plain(order.executed),
            "T": millis,
        },
    }
