"""The rules themselves: each looks at one wish and says "" or why not. None changes anything, none knows of venues' JSON."""

from collections.abc import Callable
from decimal import Decimal

import msgspec

from engine.facts import NewOrder
from engine.lifecycle import LIVE, Status
from engine.mode_reasons import Mode
from engine.model import Instrument, OrderType, Side
from engine.money import ZERO, on_grid
from engine.session_record import SECOND_NS, RiskSettings
from engine.state.orders import Order
from engine.state.rate_budgets import ORDER_WINDOW_NS
from engine.state.session_state import Account


class RiskContext(msgspec.Struct, frozen=True):
    """Everything a rule may look at."""

    order: NewOrder
    strategy: str
    instrument: Instrument
    instruments: dict[str, Instrument]
    account: Account
    limits: RiskSettings
    time_ns: int
    bid: Decimal  # 0: no quote
    ask: Decimal

    @property
    def price(self) -> Decimal:
        """The price the order will cost at most, as far as can be known: its own, or the far touch plus headroom."""
        if self.order.type is not OrderType.MARKET:
            return self.order.price
        if self.order.side is Side.BUY:
            return self.ask * (1 + self.limits.market_slippage_max)
        return self.bid


Rule = Callable[[RiskContext], str]


def mode(question: RiskContext) -> str:
    modes = question.account.modes
    if modes.mode is not Mode.RUNNING:
        return f"mode is {modes.mode}: {'; '.join(modes.reasons)}"
    return "the session is stopping" if modes.stopping_since_ns else ""


def trading(question: RiskContext) -> str:
    return "" if question.instrument.trading else f"{question.instrument.symbol} is not trading"


def quoted(question: RiskContext) -> str:
    if question.order.type is OrderType.MARKET and not (question.bid and question.ask):
        return "no quote: a market order's cost cannot be judged"
    return ""


def tick(question: RiskContext) -> str:
    if question.order.type is OrderType.MARKET:
        return ""
    price, instrument = question.order.price, question.instrument
    if price <= 0 or not on_grid(price, instrument.tick_size):
        return f"price {price} is not a multiple of the tick {instrument.tick_size}"
    if instrument.price_min and price < instrument.price_min:
        return f"price {price} is below {instrument.price_min}"
    if instrument.price_max and price > instrument.price_max:
        return f"price {price} is above {instrument.price_max}"
    return ""


def lot(question: RiskContext) -> str:
    quantity, instrument = question.order.quantity, question.instrument
    if quantity <= 0 or not on_grid(quantity, instrument.lot_size):
        return f"quantity {quantity} is not a multiple of the lot {instrument.lot_size}"
    if quantity < instrument.quantity_min:
        return f"quantity {quantity} is below {instrument.quantity_min}"
    at_most = instrument.quantity_max
    if question.order.type is OrderType.MARKET and instrument.market_quantity_max:
        at_most = min(at_most, instrument.market_quantity_max) if at_most else instrument.market_quantity_max
    return f"quantity {quantity} is above {at_most}" if at_most and quantity > at_most else ""


def notional_min(question: RiskContext) -> str:
    instrument = question.instrument
    market = question.order.type is OrderType.MARKET
    if not instrument.notional_min or (market and not instrument.notional_min_applies_to_market):
        return ""
    price = question.bid if market else question.order.price  # a market order is judged without headroom
    notional = price * question.order.quantity
    return f"notional {notional} is below {instrument.notional_min}" if notional < instrument.notional_min else ""


def order_size(question: RiskContext) -> str:
    limits, quantity = question.limits, question.order.quantity
    if limits.order_size_max and quantity > limits.order_size_max:
        return f"quantity {quantity} is above order_size_max {limits.order_size_max}"
    notional = question.price * quantity
    if limits.order_notional_max and notional > limits.order_notional_max:
        return f"notional {notional} is above order_notional_max {limits.order_notional_max}"
    return ""


def position(question: RiskContext) -> str:
    """The position if all of this side's open orders and this one filled, over all strategies."""
    limit = question.limits.position_max
    if not limit:
        return ""
    sign = question.order.side.sign
    held = question.account.positions.net(question.order.instrument) * sign
    waiting = sum((order.leaves_quantity for order in _same_side(question)), ZERO)
    worst = held + waiting + question.order.quantity
    return f"position could reach {worst * sign}, beyond position_max {limit}" if worst > limit else ""


def open_orders(question: RiskContext) -> str:
    count = sum(
        1 for order in question.account.orders.live.values() if order.order.instrument == question.order.instrument
    )
    limit = question.limits.open_orders_max
    return f"{count} orders are open, open_orders_max is {limit}" if limit and count >= limit else ""


def balance(question: RiskContext) -> str:
    """Free funds less what orders will lock that the venue's last balance does not know of yet."""
    instrument = question.instrument
    if instrument.contract:
        return ""  # margin is not funds: the venue says what it lets one hold
    if question.order.side is Side.BUY:
        asset, needed = instrument.quote, question.price * question.order.quantity
    else:
        asset, needed = instrument.base, question.order.quantity
    held = question.account.balances.of(asset)
    promised = sum(
        (_unseen_lock(order, asset, held.seq, question) for order in question.account.orders.live.values()), ZERO
    )
    if needed > held.free - promised:
        return f"needs {needed} {asset}; free {held.free}, promised to orders under way {promised}"
    return ""


def unknown_order(question: RiskContext) -> str:
    """An order whose fate is unknown blocks its instrument: its wish must not be sent twice (scenarios S1, S5)."""
    for order in question.account.orders.live.values():
        if order.status is Status.UNKNOWN and order.order.instrument == question.order.instrument:
            return f"order {order.client_order_id} is unknown: it is being asked about"
    return ""


def rate(question: RiskContext) -> str:
    budget = question.account.limits.of(question.instrument.venue)
    if question.time_ns < budget.blocked_until_ns:
        return f"{question.instrument.venue} asked us to wait: {budget.reason}"
    if budget.spent(question.time_ns):
        return f"request weight {budget.weight} of {budget.allowance.weight_minute_max}: the rest is kept for cancels"
    orders_max = budget.allowance.orders_10s_max
    if budget.order_window == question.time_ns // ORDER_WINDOW_NS and budget.orders >= orders_max:
        return f"{budget.orders} orders within 10 s"
    limit = question.limits.orders_per_second_max
    if limit and budget.second == question.time_ns // SECOND_NS and budget.orders_in_second >= limit:
        return f"{budget.orders_in_second} orders within this second, orders_per_second_max is {limit}"
    return ""


def _same_side(question: RiskContext) -> list[Order]:
    return [
        order
        for order in question.account.orders.live.values()
        if order.order.instrument == question.order.instrument and order.order.side is question.order.side
    ]


def _unseen_lock(order: Order, asset: str, balance_seq: int, question: RiskContext) -> Decimal:
    """What this live order will take of `asset` that the balance heard at `balance_seq` cannot contain yet."""
    if order.status not in LIVE or (order.status is not Status.PENDING and order.updated_seq < balance_seq):
        return ZERO
    instrument = question.instruments[order.order.instrument]
    if order.order.side is Side.SELL:
        return order.leaves_quantity if asset == instrument.base else ZERO
    if asset != instrument.quote:
        return ZERO
    if order.order.price:
        return order.order.price * order.leaves_quantity
    if instrument is not question.instrument:
        return question.account.balances.of(asset).free  # a market order elsewhere: its cost is not known here
    return question.price * order.leaves_quantity


RULES: dict[str, Rule] = {
    "mode": mode,
    "trading": trading,
    "quoted": quoted,
    "tick": tick,
    "lot": lot,
    "notional_min": notional_min,
    "order_size": order_size,
    "position": position,
    "open_orders": open_orders,
    "balance": balance,
    "unknown_order": unknown_order,
    "rate": rate,
}
