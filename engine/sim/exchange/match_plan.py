"""The matches of a new order, planned before anything changes, and the amount that it must lock."""

from collections.abc import Iterator

from engine.model import Side
from engine.sim.exchange.order_values import SelfTrade, SimNewOrder, SimOrder
from engine.sim.exchange.symbol_view import SymbolMarket
from engine.sim.units import ONE, product

Match = tuple[int, int, SimOrder | None]  # price, quantity, the matched resting order (None: the market's liquidity)


def opposite(side: Side) -> Side:
    """Return the other side."""
    return Side.SELL if side is Side.BUY else Side.BUY


def plan_matches(market: SymbolMarket, account: str, new: SimNewOrder | SimOrder) -> Iterator[Match]:
    """Yield the matches of a new order, best price first; at one price the market's liquidity comes first.

    A resting order of the same account has quantity 0 if self-trade prevention forbids the trade.
    """
    left, quote_left = new.quantity, new.quote_quantity
    for price, available, maker in _candidates(market, opposite(new.side)):
        if new.price and (price - new.price) * new.side.sign > 0:
            return
        if maker is not None and maker.account == account and new.self_trade is not SelfTrade.NONE:
            yield price, 0, maker
            if new.self_trade is SelfTrade.DECREMENT and not new.quote_quantity:
                left -= min(left, maker.leaves)
                if not left:
                    return
                continue
            if new.self_trade is not SelfTrade.EXPIRE_MAKER:
                return
            continue
        if new.quote_quantity:
            lots = quote_left * ONE // price // market.rules.lot_size * market.rules.lot_size
            quantity = min(available, lots)
            quote_left -= product(price, quantity)
        else:
            quantity = min(available, left)
            left -= quantity
        if not quantity:
            return
        yield price, quantity, maker
        if not new.quote_quantity and not left:
            return


def amount_to_lock(market: SymbolMarket, new: SimNewOrder | SimOrder, matches: list[Match]) -> int:
    """Return the amount that an order locks; 0 for a contract.

    A limit buy locks its notional, a market buy the amount it will pay, a sale its quantity. A buy without a limit
    price that awaits its trigger locks its notional at the stop price.
    """
    if market.rules.settles_in:
        return 0
    if new.side is Side.SELL:
        return new.quantity or sum(quantity for _, quantity, _ in matches)
    if new.price or (new.stop_price and not matches):
        return -(-(new.price or new.stop_price) * new.quantity // ONE)
    return new.quote_quantity or sum(product(price, quantity) for price, quantity, _ in matches)


def crossing_offers(market: SymbolMarket, order: SimOrder) -> Iterator[tuple[int, int]]:
    """Yield (price, quantity) of the market's offers at or better than a resting order's price."""
    for price, available in market.offers(opposite(order.side)):
        if (price - order.price) * order.side.sign > 0:
            return
        yield price, available


def _candidates(market: SymbolMarket, side: Side) -> Iterator[Match]:
    """Merge the market's offers and the resting orders of a side: best price first, the market first at a tie."""
    resting = market.resting(side)
    for price, available in market.offers(side):
        while resting and (resting[0].price - price) * side.sign > 0:
            yield resting[0].price, resting[0].leaves, resting.pop(0)
        yield price, available, None
    for order in resting:
        yield order.price, order.leaves, order
