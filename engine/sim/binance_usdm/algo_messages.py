"""Conditional orders as USD-M's JSON: answers and ALGO_UPDATE. Decides nothing."""

from typing import Any, Final

from engine.sim.binance_usdm.order_messages import average_price
from engine.sim.exchange.contract_events import AlgoChanged, AlgoOrder
from engine.sim.units import plain

MS: Final = 1_000_000


def algo_order(algo: AlgoOrder) -> dict[str, Any]:
    """Return a conditional order as its endpoints answer it."""
    held, order = algo.held, algo.order
    terms = held.contract
    assert terms is not None, "an order of a contract has its terms"
    return {
        "algoId": algo.algo_id,
        "clientAlgoId": algo.client_algo_id,
        "algoType": "CONDITIONAL",
        "orderType": algo.order_type,
        "symbol": held.symbol,
        "side": held.side,
        "positionSide": terms.position_side,
        "timeInForce": terms.time_in_force,
        "quantity": plain(held.quantity),
        "algoStatus": algo.status,
        "actualOrderId": str(order.order_id) if order else "",
        "actualPrice": plain(average_price(order)) if order else "0",
        **({"actualQty": plain(order.executed), "actualType": "LIMIT" if order.price else "MARKET"} if order else {}),
        "triggerPrice": plain(terms.trigger_price),
        "price": plain(held.price),
        "icebergQuantity": None,
        "tpTriggerPrice": "0",
        "tpPrice": "0",
        "slTriggerPrice": "0",
        "slPrice": "0",
        "tpOrderType": "",
        "selfTradePreventionMode": held.self_trade,
        "workingType": terms.working_type,
        "priceMatch": terms.price_match,
        "closePosition": terms.close_position,
        "priceProtect": terms.price_protect,
        "reduceOnly": terms.reduce_only,
        "activatePrice": plain(held.stop_price) if algo.callback_rate else "",
        "callbackRate": plain(algo.callback_rate) if algo.callback_rate else "",
        "createTime": algo.created_ns // MS,
        "updateTime": algo.updated_ns // MS,
        "triggerTime": algo.triggered_ns // MS,
        "goodTillDate": terms.good_till_ns // MS,
    }


def algo_update(changed: AlgoChanged) -> dict[str, Any]:
    """Return an ALGO_UPDATE event."""
    algo, millis = changed.algo, changed.time_ns // MS
    shown = algo_order(algo)
    order = algo.order
    return {
        "e": "ALGO_UPDATE",
        "T": millis,
        "E": millis,
        "o": {
            "caid": algo.client_algo_id,
            "aid": algo.algo_id,
            "at": "CONDITIONAL",
            "o": algo.order_type,
            "s": shown["symbol"],
            "S": shown["side"],
            "ps": shown["positionSide"],
            "f": shown["timeInForce"],
            "q": shown["quantity"],
            "X": algo.status,
            "ai": shown["actualOrderId"],
            "ap": shown["actualPrice"],
            "aq": plain(order.executed) if order else "0",
            "act": shown.get("actualType", "0"),
            "tp": shown["triggerPrice"],
            "p": shown["price"],
            "V": shown["selfTradePreventionMode"],
            "wt": shown["workingType"],
            "pm": shown["priceMatch"],
            "cp": shown["closePosition"],
            "pP": shown["priceProtect"],
            "R": shown["reduceOnly"],
            "tt": shown["triggerTime"],
            "gtd": shown["goodTillDate"],
            **({"rm": algo.reject_message} if algo.reject_message else {}),
        },
    }
