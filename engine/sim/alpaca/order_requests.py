"""An order request of the broker: its body read and checked, in the broker's words. Changes nothing."""

import re
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from engine.model import OrderType, Side, TimeInForce
from engine.sim.alpaca import broker_refusals
from engine.sim.alpaca.broker_exchange import BrokerExchange, is_crypto
from engine.sim.alpaca.broker_orders import BrokerOrder, BrokerOrders
from engine.sim.binance.filters import SymbolRules
from engine.sim.exchange.order_values import SimNewOrder
from engine.sim.units import ONE, PLACES, plain, product, units

TYPES: Final = {
    "market": OrderType.MARKET,
    "limit": OrderType.LIMIT,
    "stop": OrderType.STOP,
    "stop_limit": OrderType.STOP_LIMIT,
    "trailing_stop": OrderType.STOP,
}
LIMITED: Final = ("limit", "stop_limit")
STOPPED: Final = ("stop", "stop_limit")
PRICES: Final = ("limit_price", "stop_price")
CRYPTO_TYPES: Final = ("market", "limit", "stop_limit")
TIMES: Final = {
    "day": TimeInForce.GTC, "gtc": TimeInForce.GTC, "ioc": TimeInForce.IOC, "fok": TimeInForce.FOK,
}  # fmt: skip
CRYPTO_TIMES: Final = ("gtc", "ioc")
CLIENT_ID: Final = re.compile(r".{1,128}", re.DOTALL)
PENNY, SUB_PENNY = units("0.01"), units("0.0001")
CRYPTO_COST_MIN: Final = 10 * ONE


class OrderBody(msgspec.Struct, frozen=True):
    """The body of POST /v2/orders. Numbers may be text."""

    symbol: str = ""
    side: str = ""
    type: str = ""
    time_in_force: str = ""
    qty: str | int | float | None = None
    notional: str | int | float | None = None
    limit_price: str | int | float | None = None
    stop_price: str | int | float | None = None
    trail_percent: str | int | float | None = None
    trail_price: str | int | float | None = None
    client_order_id: str | None = None
    extended_hours: bool = False
    order_class: str | None = None


def read_body(payload: bytes) -> OrderBody:
    """Return the body of a request. Raises VenueRefusalError."""
    try:
        return msgspec.json.decode(payload, type=OrderBody)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise broker_refusals.bad_request("request body format is invalid") from None


def amount(value: str | float | None, name: str, places: int = PLACES) -> int:
    """Return a number of a request in units, 0 if it is missing. Raises VenueRefusalError."""
    if value is None:
        return 0
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise broker_refusals.bad_parameter(f"{name} must be a number") from None
    if not number.is_finite() or number <= 0 or number > 10**9:
        raise broker_refusals.bad_parameter(f"{name} must be > 0")
    if number != round(number, places):
        raise (
            broker_refusals.sub_penny(name, f"{number}")
            if name in PRICES
            else broker_refusals.unprocessable(f"{name} must have at most {places} decimal places")
        )
    return units(f"{number:f}")


class OrderReader:
    """Reads order requests for one venue."""

    def __init__(self, exchange: BrokerExchange, orders: BrokerOrders) -> None:
        self._exchange = exchange
        self._orders = orders

    def read(self, account: str, body: OrderBody, now_ns: int, *, replacing: BrokerOrder | None = None) -> BrokerOrder:
        """Return the order of a request, not placed yet. Raises VenueRefusalError."""
        market = self._exchange.markets.get(body.symbol)
        if market is None:
            raise broker_refusals.unprocessable(f'asset "{body.symbol}" not found')
        self._check_words(body, market.rules)
        client_id = body.client_order_id or f"broker-{self._orders.next_number}"
        if not CLIENT_ID.fullmatch(client_id):
            raise broker_refusals.unprocessable("client_order_id must be no more than 128 characters")
        if self._orders.by_client_id(account, client_id) is not None:
            raise broker_refusals.id_taken()
        quantity, notional = amount(body.qty, "qty"), amount(body.notional, "notional", 2)
        if bool(quantity) is bool(notional):
            raise broker_refusals.unprocessable("exactly one of qty and notional is required")
        new = SimNewOrder(
            symbol=body.symbol,
            side=Side(body.side.upper()),
            order_type=TYPES[body.type],
            time_in_force=TIMES[body.time_in_force],
            quantity=quantity,
            quote_quantity=notional,
            price=amount(body.limit_price, "limit_price") if body.type in LIMITED else 0,
            stop_price=amount(body.stop_price, "stop_price") if body.type in STOPPED else 0,
            trailing_delta=self._trail(body),
            client_order_id=client_id,
        )
        order = BrokerOrder(
            number=self._orders.next_number,
            account=account,
            asset_id=self.asset_id(body.symbol),
            is_crypto=is_crypto(body.symbol),
            new=new,
            order_type=body.type,
            in_force=body.time_in_force,
            notional=notional,
            trail_percent=None if body.trail_percent is None else str(body.trail_percent),
            extended_hours=body.extended_hours,
            submitted_ns=now_ns,
            updated_ns=now_ns,
        )
        self._check_numbers(order, market.rules, market.trigger_price())
        self._check_account(order, replacing)
        return order

    def asset_id(self, symbol: str) -> str:
        """Return the id of a symbol's asset."""
        return f"{2:08x}-0000-4000-8000-{self._exchange.markets[symbol].place + 1:012x}"

    @staticmethod
    def _check_words(body: OrderBody, rules: SymbolRules) -> None:
        """Refuse words that are none, or do not belong together."""
        crypto = is_crypto(body.symbol)
        if rules.status != "TRADING":
            raise broker_refusals.unprocessable(f"asset {body.symbol} is not active")
        if body.side not in ("buy", "sell"):
            raise broker_refusals.unprocessable(f"invalid side: {body.side}")
        if body.type not in (CRYPTO_TYPES if crypto else TYPES):
            raise broker_refusals.unprocessable(
                f"invalid order type for {'crypto' if crypto else 'equity'} order: {body.type}"
            )
        if body.time_in_force in ("opg", "cls"):
            raise broker_refusals.not_implemented(f"time_in_force {body.time_in_force}")
        if body.time_in_force not in (CRYPTO_TIMES if crypto else TIMES):
            raise broker_refusals.unprocessable(f"invalid {'crypto ' if crypto else ''}time_in_force")
        if body.order_class not in (None, "", "simple"):
            raise broker_refusals.not_implemented(f"order_class {body.order_class}")
        if body.type in LIMITED and body.limit_price is None:
            raise broker_refusals.unprocessable("limit orders require a limit price")
        if body.type in STOPPED and body.stop_price is None:
            raise broker_refusals.unprocessable("stop orders require a stop price")
        if body.extended_hours and (body.type != "limit" or body.time_in_force not in ("day", "gtc")):
            raise broker_refusals.unprocessable("extended hours order must be DAY or GTC limit orders")

    @staticmethod
    def _trail(body: OrderBody) -> int:
        """Return the distance of a trailing stop in basis points."""
        if body.type != "trailing_stop":
            return 0
        if body.trail_price is not None:
            raise broker_refusals.not_implemented("trail_price")
        percent = amount(body.trail_percent, "trail_percent", 2)
        if not percent:
            raise broker_refusals.unprocessable("trailing stop orders must specify one of trail_price or trail_percent")
        return percent * 100 // ONE

    @staticmethod
    def _check_numbers(order: BrokerOrder, rules: SymbolRules, market_price: int) -> None:
        """Refuse prices and quantities off their steps, and orders of too small a value."""
        new = order.new
        for name, price in (("limit_price", new.price), ("stop_price", new.stop_price)):
            step = rules.tick_size if order.is_crypto else PENNY if price >= ONE else SUB_PENNY
            if price % step:
                raise broker_refusals.sub_penny(name, plain(price))
        is_fraction = bool(order.notional) or bool(new.quantity % ONE)
        if order.notional and new.order_type is not OrderType.MARKET:
            raise broker_refusals.unprocessable("notional orders must be market orders")
        if not order.is_crypto and is_fraction and order.in_force != "day":
            raise broker_refusals.unprocessable("fractional orders must be DAY orders")
        if not order.is_crypto and is_fraction and "fractional" in rules.forbidden:
            raise broker_refusals.forbidden(f'requested asset "{new.symbol}" is not fractionable')
        cost = order.notional or product(new.price or new.stop_price or market_price, new.quantity)
        if order.is_crypto and new.quantity and new.quantity < rules.quantity_min:
            raise broker_refusals.forbidden(f"qty must be >= minimal qty of order {plain(rules.quantity_min)}")
        if order.is_crypto and cost < CRYPTO_COST_MIN:
            raise broker_refusals.forbidden("cost basis must be >= minimal amount of order 10")
        if not order.is_crypto and new.side is Side.BUY and cost < ONE:
            raise broker_refusals.unprocessable("cost basis must be >= 1")

    def _check_account(self, order: BrokerOrder, replacing: BrokerOrder | None) -> None:
        """Refuse what the account does not hold, and orders that could trade with an own one."""
        new, funds = order.new, self._exchange.funds(order.account)
        if not funds.can_trade:
            raise broker_refusals.forbidden("account is restricted to liquidation only")
        others = [
            each
            for each in self._orders.open()
            if each.account == order.account and each.new.symbol == new.symbol and each is not replacing
        ]
        against = next((each for each in others if each.new.side is not new.side and could_cross(each.new, new)), None)
        if against is not None and new.trailing_delta == 0:
            text = "potential wash trade detected. use complex orders"
            raise broker_refusals.forbidden(
                text, reject_reason="opposite side order exists", existing_order_id=against.order_id
            )
        if new.side is Side.BUY or not new.quantity:
            return
        base = self._exchange.markets[new.symbol].rules.base
        freed = replacing.leaves if replacing is not None else 0
        queued = sum(each.leaves for each in others if each.sim is None and each.new.side is Side.SELL)
        available = funds.free.get(base, 0) - queued + freed
        if new.quantity > available:
            more: dict[str, Any] = {
                "available": plain(available),
                "existing_qty": plain(funds.total(base)),
                "held_for_orders": plain(funds.total(base) - available),
                "symbol": new.symbol,
            }
            numbers = f"requested: {plain(new.quantity)}, available: {plain(available)}"
            raise broker_refusals.forbidden(f"insufficient qty available for order ({numbers})", **more)


def could_cross(resting: SimNewOrder, new: SimNewOrder) -> bool:
    """Return True if two orders of opposite sides could trade with each other: any without a limit price could."""
    if not resting.price or not new.price or resting.trailing_delta:
        return True
    buy, sell = (resting, new) if resting.side is Side.BUY else (new, resting)
    return buy.price >= sell.price
