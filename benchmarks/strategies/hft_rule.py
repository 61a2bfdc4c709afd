"""The quoting rule of shared/bench/peers/hftbacktest_bench.py (its head states it): decided every 100 ms, on the book
of depth diffs.
"""

from dataclasses import dataclass
from decimal import Decimal

from verbatim import (
    FOLD_CANCEL,
    FOLD_LIMIT_MAKER,
    Cancel,
    Every,
    FoldIntents,
    FoldOrders,
    MarketTick,
    OnQuote,
    OrderType,
    Place,
    Predicate,
    Side,
    View,
)


class Rule:
    """One post-only bid at the best bid, one ask at the best ask; orders that are not there are cancelled."""

    version = "1"
    instruments = ("*",)
    cadence: OnQuote | Every = Every(ms=100)

    @dataclass
    class Parameters:
        """Sizes in base, the spread in ticks."""

        size: Decimal = Decimal("0.01")
        position_max: Decimal = Decimal("0.05")
        spread_max: int = 500

    @dataclass
    class State:
        """Nothing is remembered."""

    @staticmethod
    def decide(view: View, state: State, parameters: Parameters) -> list[Place | Cancel]:
        top, size = view.book("*", 1), parameters.size
        if top is None or not top.bids or not top.asks:
            return []
        targets = {Side.BUY: top.bids[0][0], Side.SELL: top.asks[0][0]}
        spread = targets[Side.SELL] - targets[Side.BUY]
        if not 0 < spread <= parameters.spread_max * view.instrument("*").tick_size:
            return []
        elsewhere = [order for order in view.orders("*") if order.order.price != targets[order.order.side]]
        there = {order.order.side for order in view.orders("*")} - {order.order.side for order in elsewhere}
        held = view.position("*").quantity
        return [
            *(Cancel(order.client_order_id) for order in elsewhere if order.venue_order_id and not order.cancel_ns),
            *(
                Place("*", side, size, price=price, type=OrderType.LIMIT_MAKER)
                for side, price in targets.items()
                if side not in there and held * side.sign < parameters.position_max - size / 2
            ),
        ]


class CompiledRule(Rule):
    """The same rule, at most every 100 ms; whether it has something to move is compiled."""

    cadence = OnQuote(throttle_ms=100, when=Predicate())

    @staticmethod
    def should_decide(now: MarketTick, parameters: Rule.Parameters) -> bool:
        """Return True if a bid or an ask is missing, or rests at another price."""
        spread = now.book_ask - now.book_bid
        if now.unsettled > 0 or spread <= 0 or now.book_bid == 0 or spread > parameters.spread_max * now.tick:
            return False
        room = parameters.position_max - parameters.size / 2
        bid = now.bid_price != now.book_bid if now.bids > 0 else now.position < room
        ask = now.ask_price != now.book_ask if now.asks > 0 else -now.position < room
        return bid or ask


class FoldRule:
    """The same rule with `decide_fold`: one source for the ordinary way and for orders in the fold."""

    version = "1"
    instruments = ("*",)
    cadence = Every(ms=100)
    Parameters = Rule.Parameters
    State = Rule.State

    @staticmethod
    def decide_fold(now: MarketTick, orders: FoldOrders, intents: FoldIntents, parameters: Rule.Parameters) -> int:
        """Fill the intents and return their number."""
        spread = now.book_ask - now.book_bid
        if now.book_bid == 0 or now.book_ask == 0 or spread <= 0 or spread > parameters.spread_max * now.tick:
            return 0
        count = 0
        has_bid = False
        has_ask = False
        for k in range(orders.count):
            if orders.price[k] != (now.book_bid if orders.side[k] > 0 else now.book_ask):
                if orders.is_open[k] > 0 and orders.is_cancelling[k] == 0:
                    intents.kind[count] = FOLD_CANCEL
                    intents.order[count] = k
                    count += 1
            elif orders.side[k] > 0:
                has_bid = True
            else:
                has_ask = True
        room = parameters.position_max - parameters.size / 2
        size = round_size(parameters.size / now.size_unit)
        if not has_bid and now.position < room:
            intents.kind[count] = FOLD_LIMIT_MAKER
            intents.side[count] = 1
            intents.price[count] = now.book_bid
            intents.quantity[count] = size
            count += 1
        if not has_ask and -now.position < room:
            intents.kind[count] = FOLD_LIMIT_MAKER
            intents.side[count] = -1
            intents.price[count] = now.book_ask
            intents.quantity[count] = size
            count += 1
        return count


def round_size(size: float) -> float:
    """Return a size as a whole number: a quotient of floats may miss it by a little."""
    return (size + 0.5) // 1.0
