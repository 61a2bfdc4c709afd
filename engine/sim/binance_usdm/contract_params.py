"""Parameters of USD-M's orders, read as Binance reads them: texts in, checked values out, its refusals otherwise."""

import re
from enum import StrEnum
from functools import partial
from typing import Final

from engine.model import OrderType, PositionSide, Side, TimeInForce
from engine.sim.binance import refusals
from engine.sim.binance.filters import SymbolRules
from engine.sim.binance.params import Params
from engine.sim.binance_usdm import contract_refusals as own
from engine.sim.binance_usdm.contract_filters import ORDER_TYPES
from engine.sim.exchange.order_values import ContractTerms, SelfTrade, SimNewOrder
from engine.sim.exchange.price_match import PRICE_MATCHES, matched_price
from engine.sim.exchange.symbol_view import SymbolMarket
from engine.sim.units import plain

MS: Final = 1_000_000
CLIENT_ID: Final = r"^[\.A-Z\:/a-z0-9_-]{1,36}$"
_CLIENT_ID: Final = re.compile(CLIENT_ID)
CLIENT_ID_LENGTH_MAX: Final = 36
GOOD_TILL_NS_MIN: Final = 600_000_000_000


class ContractTimeInForce(StrEnum):
    """Times in force of USD-M's orders that this venue has."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    GTX = "GTX"  # post only
    GTD = "GTD"


class WorkingType(StrEnum):
    """The price that triggers a conditional order."""

    CONTRACT_PRICE = "CONTRACT_PRICE"
    MARK_PRICE = "MARK_PRICE"


def client_id(params: Params, name: str) -> str:
    """Return a client order id, or "" if it was not sent."""
    value = params.get(name) or ""
    if len(value) > CLIENT_ID_LENGTH_MAX:
        raise own.client_id_too_long()
    if value and not _CLIENT_ID.fullmatch(value):
        raise refusals.illegal_characters(name, CLIENT_ID)
    return value


def position_side(params: Params) -> PositionSide:
    """Return the position that a request names; the only one if it names none."""
    return params.word("positionSide", PositionSide, own.invalid_position_side) or PositionSide.BOTH


def precise_amount(params: Params, name: str, decimals: int) -> int:
    """Return a decimal with at most so many places, 0 if it was not sent."""
    if (params.get(name) or "").strip("0.") == "":
        return 0
    amount = params.amount(name)
    if len(plain(amount).partition(".")[2]) > decimals:
        raise refusals.too_much_precision(name)
    return amount


def decimals_of(rules: SymbolRules) -> tuple[int, int]:
    """Return the places of prices and of quantities."""
    price = max(len(plain(rules.tick_size).partition(".")[2]), 2)
    return price, len(plain(rules.lot_size).partition(".")[2])


class ContractParams:
    """The parameters of one order, of the plain or of the conditional endpoint."""

    def __init__(self, params: Params, market: SymbolMarket, now_ns: int) -> None:
        self.params = params
        self.market = market
        self._now_ns = now_ns
        self.price_decimals, self.quantity_decimals = decimals_of(market.rules)

    def side(self) -> Side:
        """Return the side."""
        self.params.required("side")
        side = self.params.word("side", Side, refusals.invalid_side)
        assert side is not None
        return side

    def type_name(self) -> str:
        """Return the order's type as Binance spells it."""
        name = self.params.required("type")
        if name not in ORDER_TYPES:
            raise refusals.invalid_order_type()
        return name

    def order(self) -> SimNewOrder:
        """Return an order of the plain endpoint, which has LIMIT and MARKET."""
        side, name = self.side(), self.type_name()
        if name not in ("LIMIT", "MARKET"):
            raise own.use_algo_endpoint()
        for other in ("stopPrice", "activationPrice", "callbackRate"):
            if self.params.get(other):
                raise refusals.not_required(other)
        if self.params.flag("closePosition"):
            raise own.close_position_needs_stop()
        self.params.required("quantity")
        return self.shaped(side, is_limit=name == "LIMIT")

    def shaped(self, side: Side, *, is_limit: bool, is_conditional: bool = False) -> SimNewOrder:
        """Return a limit or a market order with the terms that the request states."""
        params = self.params
        time_in_force = params.word("timeInForce", ContractTimeInForce, refusals.invalid_time_in_force)
        price = precise_amount(params, "price", self.price_decimals)
        match = params.get("priceMatch") or "NONE"
        if is_limit:
            price = self._limit_price(side, price, match)
            if time_in_force is None and not is_conditional:
                raise refusals.mandatory("timeInForce")
        elif price:
            raise refusals.not_required("price")
        elif time_in_force not in (None, ContractTimeInForce.GTC):
            raise refusals.not_required("timeInForce")
        time_in_force = time_in_force or ContractTimeInForce.GTC
        is_post_only = is_limit and time_in_force is ContractTimeInForce.GTX
        kind = OrderType.LIMIT_MAKER if is_post_only else OrderType.LIMIT if is_limit else OrderType.MARKET
        within = time_in_force.value in ("IOC", "FOK")
        name = "selfTradePreventionMode"
        self_trade = params.word(name, SelfTrade, partial(refusals.invalid_parameter, name))
        self_trade = self_trade or (SelfTrade.NONE if is_conditional else SelfTrade.EXPIRE_MAKER)
        if self_trade.decrements:
            raise refusals.invalid_parameter(name)
        return SimNewOrder(
            symbol=self.market.rules.symbol,
            side=side,
            order_type=kind,
            time_in_force=TimeInForce(time_in_force.value) if within else TimeInForce.GTC,
            quantity=precise_amount(params, "quantity", self.quantity_decimals),
            price=price,
            client_order_id=client_id(params, "clientAlgoId" if is_conditional else "newClientOrderId"),
            self_trade=self_trade,
            contract=ContractTerms(
                position_side=position_side(params),
                reduce_only=self._reduce_only(),
                time_in_force=time_in_force,
                good_till_ns=self._good_till_ns(time_in_force),
                price_match=match,
            ),
        )

    def _limit_price(self, side: Side, price: int, match: str) -> int:
        if match == "NONE":
            if not price:
                raise refusals.mandatory("price")
            return price
        if match not in PRICE_MATCHES:
            raise refusals.invalid_parameter("priceMatch")
        if price:
            raise own.price_match_conflict()
        return matched_price(self.market, side, match)

    def _reduce_only(self) -> bool:
        """Return reduceOnly, which hedge mode does not take: there the side of the position says it."""
        reduce_only = self.params.flag("reduceOnly")
        if self.params.get("reduceOnly") and position_side(self.params) is not PositionSide.BOTH:
            raise refusals.not_required("reduceonly")
        return reduce_only

    def _good_till_ns(self, time_in_force: ContractTimeInForce) -> int:
        """Return the end of a GTD order, to the second."""
        until_ms = self.params.integer("goodTillDate") or 0
        if time_in_force is not ContractTimeInForce.GTD:
            if until_ms:
                raise refusals.not_required("goodTillDate")
            return 0
        if not until_ms:
            raise own.good_till_date_missing()
        until_ns = until_ms // 1_000 * 1_000 * MS
        if until_ns <= self._now_ns + GOOD_TILL_NS_MIN:
            raise own.good_till_date_too_near()
        return until_ns
