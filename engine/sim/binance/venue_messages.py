"""The venue's values as Binance's JSON: answers and events, every amount a string with 8 places.

Turns values into dictionaries in Binance's field order, which msgspec writes (an enumeration as its value); decides
nothing.
"""

from typing import Any, Final

from engine.sim.binance.type_params import ORDER_TYPES, venue_name
from engine.sim.exchange.funds import Funds
from engine.sim.exchange.order_values import (
    Execution,
    FundingSettled,
    FundsChanged,
    SimAmendment,
    SimFill,
    SimOrder,
    SimPreventedMatch,
    SimReport,
)
from engine.sim.units import NOTHING, ONE, product, text

MS: Final = 1_000_000


def order_ack(order: SimOrder) -> dict[str, Any]:
    """Return the ACK answer to a placement."""
    return {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": order.list_id,
        "clientOrderId": order.client_order_id,
        "transactTime": order.updated_ns // MS,
    }


def _order_core(order: SimOrder) -> dict[str, Any]:
    return {
        "price": text(order.price),
        "origQty": text(order.quantity),
        "executedQty": text(order.executed),
        "origQuoteOrderQty": text(order.quote_quantity),
        "cummulativeQuoteQty": text(order.executed_quote),
        "status": order.status,
        "timeInForce": order.time_in_force,
        "type": venue_name(order.order_type),
        "side": order.side,
    }


def _conditional(order: SimOrder) -> dict[str, Any]:
    """Return the fields that only some orders have (rest-api.md, "Conditional fields in Order Responses")."""
    fields: dict[str, Any] = {}
    if order.stop_price:
        fields["stopPrice"] = text(order.stop_price)
    if order.trailing_delta:
        fields |= {"trailingDelta": order.trailing_delta, "trailingTime": order.trailing_ns // MS or -1}
    if order.iceberg_quantity:
        fields["icebergQty"] = text(order.iceberg_quantity)
    return fields


def order_result(order: SimOrder) -> dict[str, Any]:
    """Return the RESULT answer to a placement."""
    core = _order_core(order)
    if order.is_pending and not order.quantity:  # its working order will pay for it
        del core["origQty"]
    return {
        **order_ack(order),
        **core,
        **_conditional(order),
        "workingTime": _working_ms(order),
        **_expiry(order),
        **_prevented(order),
        "selfTradePreventionMode": order.self_trade,
    }


def order_full(order: SimOrder) -> dict[str, Any]:
    """Return the FULL answer to a placement, with its fills."""
    answer = order_result(order)
    mode = answer.pop("selfTradePreventionMode")
    fills = [
        {
            "price": text(fill.price),
            "qty": text(fill.quantity),
            "commission": text(fill.fee),
            "commissionAsset": fill.fee_asset,
            "tradeId": fill.trade_id,
        }
        for fill in order.fills
    ]
    own = [match for match in order.prevented_matches if match.taker_order_id == order.order_id]
    prevented = {"preventedMatches": [_prevented_entry(match) for match in own]} if own else {}
    return {**answer, "fills": fills, **prevented, "selfTradePreventionMode": mode}


def _prevented_entry(match: SimPreventedMatch) -> dict[str, Any]:
    lost = {"takerPreventedQuantity": match.taker_quantity, "makerPreventedQuantity": match.maker_quantity}
    return {
        "preventedMatchId": match.match_id,
        "makerOrderId": match.maker_order_id,
        "price": text(match.price),
        **{name: text(quantity) for name, quantity in lost.items() if quantity},
    }


def prevented_match(match: SimPreventedMatch) -> dict[str, Any]:
    """Return a row of myPreventedMatches."""
    entry = _prevented_entry(match)
    return {
        "symbol": match.symbol,
        "preventedMatchId": match.match_id,
        "takerOrderId": match.taker_order_id,
        "makerSymbol": match.symbol,
        "makerOrderId": match.maker_order_id,
        "tradeGroupId": -1,
        "selfTradePreventionMode": match.mode,
        **{name: value for name, value in entry.items() if name not in ("preventedMatchId", "makerOrderId")},
        "transactTime": match.time_ns // MS,
    }


def amendment(order: SimOrder, change: SimAmendment) -> dict[str, Any]:
    """Return a row of order/amendments."""
    return {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "executionId": change.execution_id,
        "origClientOrderId": change.client_order_id_before,
        "newClientOrderId": change.client_order_id,
        "origQty": text(change.quantity_before),
        "newQty": text(change.quantity),
        "time": change.time_ns // MS,
    }


def order_answer(order: SimOrder, response_type: str | None) -> dict[str, Any]:
    """Return the answer to a placement, in the requested form or else in the type's own."""
    kind = response_type or ORDER_TYPES[order.order_type].default_answer
    if kind == "ACK":
        return order_ack(order)
    return order_result(order) if kind == "RESULT" else order_full(order)


def order_query(order: SimOrder) -> dict[str, Any]:
    """Return an order as in the answers of GET order, openOrders and allOrders."""
    core = _order_core(order)
    quote_quantity = core.pop("origQuoteOrderQty")
    return {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": order.list_id,
        "clientOrderId": order.client_order_id,
        **core,
        **_conditional(order),
        "stopPrice": text(order.stop_price),
        "icebergQty": text(order.iceberg_quantity),
        "time": order.created_ns // MS,
        "updateTime": order.updated_ns // MS,
        "isWorking": order.is_working,
        "workingTime": _working_ms(order),
        "origQuoteOrderQty": quote_quantity,
        **_expiry(order),
        **_prevented(order),
        "selfTradePreventionMode": order.self_trade,
    }


def amended_order(order: SimOrder, original_client_order_id: str) -> dict[str, Any]:
    """Return the order in the answer to an amendment, which spells some fields in its own way."""
    return {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": order.list_id,
        "origClientOrderId": original_client_order_id,
        "clientOrderId": order.client_order_id,
        "price": text(order.price),
        "qty": text(order.quantity),
        "executedQty": text(order.executed),
        "preventedQty": text(order.prevented),
        "quoteOrderQty": text(order.quote_quantity),
        "cumulativeQuoteQty": text(order.executed_quote),
        "status": order.status,
        "timeInForce": order.time_in_force,
        "type": venue_name(order.order_type),
        "side": order.side,
        **_conditional(order),
        **({} if order.is_pending else {"workingTime": _working_ms(order)}),
        "selfTradePreventionMode": order.self_trade,
    }


def _prevented(order: SimOrder) -> dict[str, Any]:
    if not order.prevented:
        return {}
    number = order.prevented_matches[-1].match_id
    return {"preventedMatchId": number, "preventedQuantity": text(order.prevented)}


def _working_ms(order: SimOrder) -> int:
    """Return the time from which the order is in the book; -1 if it is held or pending."""
    return order.working_ns // MS if order.is_working else -1


def _expiry(order: SimOrder) -> dict[str, Any]:
    return {"expiryReason": order.expiry_reason} if order.expiry_reason else {}


def cancel_answer(order: SimOrder, cancel_client_order_id: str) -> dict[str, Any]:
    """Return the answer to a cancel."""
    return {
        "symbol": order.symbol,
        "origClientOrderId": order.client_order_id,
        "orderId": order.order_id,
        "orderListId": order.list_id,
        "clientOrderId": cancel_client_order_id,
        "transactTime": order.updated_ns // MS,
        **_order_core(order),
        **_conditional(order),
        "selfTradePreventionMode": order.self_trade,
    }


def my_trade(fill: SimFill, list_id: int) -> dict[str, Any]:
    """Return a row of myTrades."""
    return {
        "symbol": fill.symbol,
        "id": fill.trade_id,
        "orderId": fill.order_id,
        "orderListId": list_id,
        "price": text(fill.price),
        "qty": text(fill.quantity),
        "quoteQty": text(fill.quote),
        "commission": text(fill.fee),
        "commissionAsset": fill.fee_asset,
        "time": fill.time_ns // MS,
        "isBuyer": fill.side.sign > 0,
        "isMaker": fill.maker,
        "isBestMatch": True,
    }


def account(owner: Funds, *, omit_zero: bool, uid: int) -> dict[str, Any]:
    """Return the answer to GET account."""
    balances = [
        {"asset": asset, "free": text(free), "locked": text(owner.locked[asset])}
        for asset, free in sorted(owner.free.items())
        if not omit_zero or free or owner.locked[asset]
    ]
    return {
        "makerCommission": owner.fee_maker * 10_000 // ONE,
        "takerCommission": owner.fee_taker * 10_000 // ONE,
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": _rates(owner.fee_maker, owner.fee_taker),
        "canTrade": owner.can_trade,
        "canWithdraw": True,
        "canDeposit": True,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": owner.changed_ns // MS,
        "accountType": "SPOT",
        "balances": balances,
        "permissions": ["SPOT"],
        "uid": uid,
    }


def _rates(maker: int, taker: int) -> dict[str, str]:
    return {"maker": text(maker), "taker": text(taker), "buyer": NOTHING, "seller": NOTHING}


def commission(owner: Funds, symbol: str) -> dict[str, Any]:
    """Return the answer to GET account/commission."""
    return {
        "symbol": symbol,
        "standardCommission": _rates(owner.fee_maker, owner.fee_taker),
        "specialCommission": _rates(0, 0),
        "taxCommission": _rates(0, 0),
        "discount": {
            "enabledForAccount": False,
            "enabledForSymbol": False,
            "discountAsset": "BNB",
            "discount": NOTHING,
        },
    }


def commission_for_order(owner: Funds) -> dict[str, Any]:
    """Return the rates in the answer to POST order/test with computeCommissionRates."""
    rates = {"maker": text(owner.fee_maker), "taker": text(owner.fee_taker)}
    none = {"maker": NOTHING, "taker": NOTHING}
    whole = commission(owner, "")
    return {
        "standardCommissionForOrder": rates,
        "specialCommissionForOrder": none,
        "taxCommissionForOrder": none,
        "discount": whole["discount"],
    }


def execution_report(report: SimReport) -> dict[str, Any]:
    """Return an executionReport event."""
    order, fill = report.order, report.fill
    millis, created_ms = report.time_ns // MS, order.created_ns // MS
    cancelled = report.execution is Execution.CANCELED
    event: dict[str, Any] = {
        "e": "executionReport",
        "E": millis,
        "s": order.symbol,
        "c": report.cancel_client_order_id if cancelled else order.client_order_id,
        "S": order.side,
        "o": venue_name(order.order_type),
        "f": order.time_in_force,
        "q": text(order.quantity),
        "p": text(order.price),
        "P": text(order.stop_price),
        "F": text(order.iceberg_quantity),
        "g": order.list_id,
        "C": order.client_order_id if cancelled else report.amended_client_order_id,
        "x": report.execution,
        "X": order.status,
        "r": order.reject_reason or "NONE",
        "i": order.order_id,
        "l": text(fill.quantity) if fill else NOTHING,
        "z": text(order.executed),
        "L": text(fill.price) if fill else NOTHING,
        "n": text(fill.fee) if fill else NOTHING,
        "N": fill.fee_asset if fill else None,
        "T": millis,
        "t": fill.trade_id if fill else -1,
        "I": report.execution_id,
        "w": order.is_open and order.is_working and order.terms.price is not None,
        "m": fill.maker if fill else False,
        "M": fill is not None,
        "O": created_ms,
        "Z": text(order.executed_quote),
        "Y": text(fill.quote) if fill else NOTHING,
        "Q": text(order.quote_quantity),
        "W": _working_ms(order),
        "V": order.self_trade,
    }
    if not order.is_working or report.execution is Execution.REJECTED:
        del event["W"]
    if order.trailing_delta:
        event |= {"d": order.trailing_delta, "D": order.trailing_ns // MS or -1}
    if report.execution is Execution.EXPIRED:
        event["eR"] = order.expiry_reason
    if report.prevented is not None:
        event |= _prevented_fields(order, report.prevented)
    return event


def _prevented_fields(order: SimOrder, match: SimPreventedMatch) -> dict[str, Any]:
    is_taker = order.order_id == match.taker_order_id
    return {
        "v": match.match_id,
        "A": text(order.prevented),
        "B": text(order.prevented_last),
        "u": -1,
        "U": match.maker_order_id if is_taker else match.taker_order_id,
        "Cs": match.symbol,
        "pl": text(match.quantity),
        "pL": text(match.price),
        "pY": text(product(match.price, match.quantity)),
    }


def funding_fee(settled: FundingSettled) -> dict[str, Any]:
    """Return a fundingFee event. Spot has none: it is the simulated venue's own, of contracts on paper."""
    return {
        "e": "fundingFee",
        "E": settled.time_ns // MS,
        "T": settled.funding_ns // MS,
        "s": settled.symbol,
        "a": settled.asset,
        "f": text(settled.amount),
        "q": text(settled.quantity),
        "p": text(settled.price),
        "r": text(settled.rate),
    }


def account_position(change: FundsChanged) -> dict[str, Any]:
    """Return an outboundAccountPosition event."""
    millis = change.time_ns // MS
    return {
        "e": "outboundAccountPosition",
        "E": millis,
        "u": millis,
        "B": [{"a": asset, "f": text(free), "l": text(locked)} for asset, free, locked in change.balances],
    }
