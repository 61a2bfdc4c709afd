"""Signed endpoints of USD-M's conditional orders, which have their own ids and lists."""

from typing import Any, Final

import msgspec

from engine.model import OrderType
from engine.sim.binance import refusals
from engine.sim.binance.endpoints import Call, Endpoint, signed, trading
from engine.sim.binance.order_listing import optional_symbol
from engine.sim.binance_usdm import contract_refusals as own
from engine.sim.binance_usdm.algo_messages import algo_order
from engine.sim.binance_usdm.contract_params import ContractParams, WorkingType, precise_amount
from engine.sim.binance_usdm.endpoint_calls import (
    MS,
    by_symbol,
    contracts,
    market_of,
    page,
    week_window,
)
from engine.sim.exchange.contract_events import AlgoOrder
from engine.sim.exchange.order_values import ContractTerms, SimNewOrder
from engine.sim.units import units

CALLBACK_MIN: Final = units("0.1")  # percent
CALLBACK_MAX: Final = units("10")
BASIS: Final = units("0.01")  # a basis point, in percent
TRAILING: Final = "TRAILING_STOP_MARKET"
# Binance's type -> the trigger's type, and whether the order that it becomes has a limit price
TYPES: Final = {
    "STOP": (OrderType.STOP_LIMIT, True),
    "STOP_MARKET": (OrderType.STOP, False),
    "TAKE_PROFIT": (OrderType.TAKE_PROFIT_LIMIT, True),
    "TAKE_PROFIT_MARKET": (OrderType.TAKE_PROFIT, False),
    TRAILING: (OrderType.TAKE_PROFIT, False),  # it waits for its activation on the side of a gain
}


class AlgoParams(ContractParams):
    """The parameters of one conditional order."""

    def conditional(self) -> tuple[SimNewOrder, str, int]:
        """Return the order with its trigger, its type as Binance spells it, and its callback rate in percent."""
        side, name = self.side(), self.type_name()
        if self.params.required("algoType") != "CONDITIONAL":
            raise refusals.invalid_parameter("algoType")
        if name not in TYPES:
            raise refusals.invalid_order_type()
        order_type, is_limit = TYPES[name]
        trigger, activation, callback = self._trigger(name)
        new = self.shaped(side, is_limit=is_limit, is_conditional=True)
        closes = self._close_position(name)
        if not closes and not new.quantity:
            raise refusals.mandatory("quantity")
        terms = new.contract or ContractTerms()
        working = self.params.word("workingType", WorkingType, lambda: refusals.invalid_parameter("workingType"))
        new = msgspec.structs.replace(
            new,
            order_type=order_type,
            stop_price=activation if name == TRAILING else trigger,
            trailing_delta=callback // BASIS,
            contract=msgspec.structs.replace(
                terms,
                close_position=closes,
                working_type=working or WorkingType.CONTRACT_PRICE,
                price_protect=self._price_protect(),
                original_type=name,
                trigger_price=trigger,
            ),
        )
        return new, name, callback

    def _trigger(self, name: str) -> tuple[int, int, int]:
        """Return the trigger price, the activation price and the callback rate that fit the type."""
        params = self.params
        if name != TRAILING:
            for other in ("activatePrice", "callbackRate"):
                if params.get(other):
                    raise refusals.not_required(other)
            params.required("triggerPrice")
            return precise_amount(params, "triggerPrice", self.price_decimals), 0, 0
        if params.get("triggerPrice"):
            raise refusals.not_required("triggerPrice")
        params.required("callbackRate")
        callback = params.amount("callbackRate")
        if not CALLBACK_MIN <= callback <= CALLBACK_MAX or callback % BASIS:
            raise refusals.VenueRefusalError(400, -2007, "Invalid callBack rate.")
        return 0, precise_amount(params, "activatePrice", self.price_decimals), callback

    def _close_position(self, name: str) -> bool:
        if not self.params.flag("closePosition"):
            return False
        if name not in ("STOP_MARKET", "TAKE_PROFIT_MARKET"):
            raise own.close_position_needs_stop()
        for other in ("quantity", "reduceOnly"):
            if self.params.get(other):
                raise own.close_position_with(other)
        return True

    def _price_protect(self) -> bool:
        return (self.params.get("priceProtect") or "false").lower() == "true"


def place(call: Call) -> dict[str, Any]:
    """Place a conditional order. It counts in the order limits."""
    new, name, callback = AlgoParams(call.params, market_of(call), call.now_ns).conditional()
    call.limits.require_room(call.account, call.now_ns)
    call.limits.count_order(call.account, call.now_ns)
    algo = contracts(call).place_algo(call.account, new, name, callback_rate=callback, now_ns=call.now_ns)
    return algo_order(algo)


def _named(call: Call) -> AlgoOrder | None:
    algo_id, client_id = call.params.integer("algoId"), call.params.get("clientAlgoId")
    if algo_id is None and client_id is None:
        raise refusals.mandatory_either("algoId", "clientAlgoId")
    return contracts(call).find_algo(call.account, algo_id=algo_id, client_algo_id=client_id)


def query(call: Call) -> dict[str, Any]:
    """Return a conditional order."""
    algo = _named(call)
    if algo is None or call.hidden(algo.client_algo_id, call.now_ns):
        raise own.no_such_algo()
    return algo_order(algo)


def cancel(call: Call) -> dict[str, Any]:
    """Cancel a conditional order that waits."""
    algo = _named(call)
    if algo is None:
        raise refusals.unknown_order()
    contracts(call).cancel_algo(algo, call.now_ns)
    return {"algoId": algo.algo_id, "clientAlgoId": algo.client_algo_id, "code": "200", "msg": "success"}


def cancel_all(call: Call) -> dict[str, Any]:
    """Cancel all conditional orders of a symbol that wait."""
    exchange = contracts(call)
    for algo in exchange.open_algos(call.account, market_of(call).rules.symbol):
        exchange.cancel_algo(algo, call.now_ns)
    return {"code": 200, "msg": "The operation of cancel all open order is done."}


def open_orders(call: Call) -> list[dict[str, Any]]:
    """Return the conditional orders that wait."""
    found = contracts(call).open_algos(call.account, optional_symbol(call))
    algo_id, kind = call.params.integer("algoId"), call.params.get("algoType")
    return [
        algo_order(each)
        for each in found
        if algo_id in (None, each.algo_id)
        and kind in (None, "CONDITIONAL")
        and not call.hidden(each.client_algo_id, call.now_ns)
    ]


def all_orders(call: Call) -> list[dict[str, Any]]:
    """Return a page of all conditional orders of a symbol, within 7 days."""
    symbol = market_of(call).rules.symbol
    from_id, limit = call.params.integer("algoId"), call.params.limit(default=500, most=1_000)
    start_ms, end_ms = week_window(call)
    found = [
        algo
        for algo in contracts(call).algos.values()
        if (algo.account, algo.held.symbol) == (call.account, symbol)
        and (start_ms <= algo.created_ns // MS <= end_ms if from_id is None else algo.algo_id >= from_id)
    ]
    oldest_first = from_id is not None or call.params.get("startTime") is not None
    return [algo_order(algo) for algo in page(found, limit, oldest_first=oldest_first)]


ENDPOINTS: Final = {
    ("POST", "/fapi/v1/algoOrder"): trading(place, 0, counts_order=True),
    ("GET", "/fapi/v1/algoOrder"): signed(query, 1),
    ("DELETE", "/fapi/v1/algoOrder"): trading(cancel),
    ("DELETE", "/fapi/v1/algoOpenOrders"): trading(cancel_all),
    ("GET", "/fapi/v1/openAlgoOrders"): Endpoint(handler=open_orders, weight=by_symbol(1, 40), signed=True),
    ("GET", "/fapi/v1/allAlgoOrders"): signed(all_orders, 5),
}
PARAMS: Final = {
    ("POST", "/fapi/v1/algoOrder"): (
        "algoType symbol side positionSide type timeInForce quantity price triggerPrice workingType priceMatch "
        "closePosition priceProtect reduceOnly activatePrice callbackRate clientAlgoId selfTradePreventionMode "
        "goodTillDate newOrderRespType"
    ),
    ("GET", "/fapi/v1/algoOrder"): "algoId clientAlgoId symbol",
    ("DELETE", "/fapi/v1/algoOrder"): "algoId clientAlgoId symbol",
    ("DELETE", "/fapi/v1/algoOpenOrders"): "symbol",
    ("GET", "/fapi/v1/openAlgoOrders"): "algoType symbol algoId",
    ("GET", "/fapi/v1/allAlgoOrders"): "symbol algoId startTime endTime page limit",
}
