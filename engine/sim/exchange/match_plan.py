"""The matches of a new order, planned before anything changes, and the amount that it must lock."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from engine.model import Side
from engine.sim.exchange.held_orders import BASIS
from engine.sim.exchange.order_values import SelfTrade, SimNewOrder, SimOrder
from engine.sim.exchange.symbol_view import SymbolMarket
from engine.sim.units import ONE, product


class Match(NamedTuple):
    """One step of a plan: a trade, or one that self-trade prevention prevents."""

    price: int
    quantity: int  # 0 if it is prevented
    maker: SimOrder | None = None  # None: the market's liquidity
    prevented: int = 0  # what would have traded


def opposite(side: Side) -> Side:
    """Return the other side."""
    return Side.SELL if side is Side.BUY else Side.BUY


def plan_matches(market: SymbolMarket, account: str, new: SimNewOrder | SimOrder) -> Iterator[Match]:
    """Yield the matches of a new order, best price first; at one price the market's liquidity comes first."""
    left = new.quantity - (new.executed + new.prevented if isinstance(new, SimOrder) else 0)
    quote_left = new.quote_quantity
    passed: set[int] = set()  # makers whose trade was prevented: none of their parts trades
    for price, available, maker in _candidates(market, opposite(new.side)):
        if new.price and (price - new.price) * new.side.sign > 0:
            return
        if new.quote_quantity:
            left = quote_left * ONE // price // market.rules.lot_size * market.rules.lot_size
            if not left:
                return
        if maker is not None and maker.account == account and new.self_trade is not SelfTrade.NONE:
            if maker.order_id in passed:
                continue
            passed.add(maker.order_id)
            prevented = min(left, maker.leaves)
            yield Match(price, 0, maker, prevented)
            if new.self_trade in (SelfTrade.EXPIRE_TAKER, SelfTrade.EXPIRE_BOTH):
                return
            if new.self_trade.decrements:
                left -= prevented
                quote_left -= product(price, prevented)
        else:
            quantity = min(available, left)
            left -= quantity
            quote_left -= product(price, quantity)
            if quantity:
                yield Match(price, quantity, maker)
        if not left:
            return


def unspent(market: SymbolMarket, order: SimOrder, matches: Sequence[Match]) -> int:
    """Return the quantity that an order by quote amount lacks because the book ran dry; 0 if the amount is spent."""
    offered = sum(quantity for _, quantity, _ in _candidates(market, opposite(order.side)))
    if not matches or offered > sum(match.quantity or match.prevented for match in matches):
        return 0
    left = order.quote_quantity - sum(product(match.price, match.quantity) for match in matches)
    return max(left, 0) * ONE // matches[-1].price // market.rules.lot_size * market.rules.lot_size


def amount_to_lock(market: SymbolMarket, new: SimNewOrder | SimOrder, matches: Sequence[Match]) -> int:
    """Return the amount that an order locks; 0 for a contract.

    A limit buy locks its notional, a market buy the amount it will pay, a sale its quantity. A buy without a limit
    price that awaits its trigger locks its notional at the price of `worst_trigger`.
    """
    if market.rules.settles_in:
        return 0
    if new.side is Side.SELL:
        return new.quantity or sum(match.quantity for match in matches)
    if new.price or (new.terms.trigger is not None and not matches):
        return -(-(new.price or worst_trigger(market, new)) * new.quantity // ONE)
    return new.quote_quantity or sum(product(match.price, match.quantity) for match in matches)


def worst_trigger(market: SymbolMarket, new: SimNewOrder | SimOrder) -> int:
    """Return the highest price at which a held buy is expected to trigger: its stop price, or its delta above."""
    if not new.trailing_delta:
        return new.stop_price
    return -(-(new.stop_price or market.trigger_price()) * (BASIS + new.trailing_delta) // BASIS)


def crossing_offers(market: SymbolMarket, order: SimOrder) -> Iterator[tuple[int, int]]:
    """Yield (price, quantity) of the market's offers at or better than a resting order's price."""
    for price, available in market.offers(opposite(order.side)):
        if (price - order.price) * order.side.sign > 0:
            return
        yield price, available


_Candidate = tuple[int, int, SimOrder | None]  # price, quantity, resting order


def _candidates(market: SymbolMarket, side: Side) -> Iterator[_Candidate]:
    """Merge the market's offers and the resting orders of a side: best price first, the market first at a tie."""
    resting = _parts(market.resting(side))
    for price, available in market.offers(side):
        while resting and (resting[0][0] - price) * side.sign > 0:
            yield resting.pop(0)
        yield price, available, None
    yield from resting


def _parts(orders: list[SimOrder]) -> list[_Candidate]:
    """Return resting orders in the order in which they trade: hidden parts after all that is visible at their price."""
    if not any(order.iceberg_quantity for order in orders):
        return [(order.price, order.leaves, order) for order in orders]
    parts: list[_Candidate] = []
    for price in dict.fromkeys(order.price for order in orders):
        queue = [(order, order.visible, order.leaves) for order in orders if order.price == price]
        while queue:
            order, visible, leaves = queue.pop(0)
            parts.append((price, visible, order))
            if leaves > visible:
                queue.append((order, min(order.iceberg_quantity, leaves - visible), leaves - visible))
    return parts
