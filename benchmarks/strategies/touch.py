"""A bid and an ask of a few lots at the top of the book, moved when the market moves, on any instrument."""

from dataclasses import dataclass

from verbatim import Cancel, MarketTick, OnQuote, OrderType, Place, Predicate, Side, View


class Touch:
    """At most every 100 ms; it holds no more than it may."""

    version = "1"
    instruments = ("*",)
    cadence: OnQuote = OnQuote(throttle_ms=100)

    @dataclass
    class Parameters:
        """In lots."""

        size: int = 10
        position_max: int = 50
        away: int = 0  # ticks behind the top

    @dataclass
    class State:
        """Nothing is remembered."""

    @staticmethod
    def decide(view: View, state: State, parameters: Parameters) -> list[Place | Cancel]:
        quote, of = view.quote("*"), view.instrument("*")
        if quote is None:
            return []
        held = view.position("*").quantity / of.lot_size
        away = parameters.away * of.tick_size
        wanted = {}
        if held < parameters.position_max:
            wanted[Side.BUY] = quote.bid - away
        if held > -parameters.position_max:
            wanted[Side.SELL] = quote.ask + away
        moved = [order for order in view.orders("*") if wanted.pop(order.order.side, None) != order.order.price]
        size = parameters.size * of.lot_size
        return [
            *(Cancel(order.client_order_id) for order in moved),
            *(Place("*", side, size, price=price, type=OrderType.LIMIT_MAKER) for side, price in wanted.items()),
        ]


class CompiledTouch(Touch):
    """The same strategy with a compiled predicate that runs at each change of its inputs, at most every 100 ms."""

    cadence = OnQuote(throttle_ms=100, when=Predicate())

    @staticmethod
    def should_decide(now: MarketTick, parameters: Touch.Parameters) -> bool:
        """Return True if an order rests at a wrong price, or a price has no order."""
        if now.bid == 0 or now.unsettled > 0:
            return False
        held = now.position / (now.lot * now.size_unit)
        away = parameters.away * now.tick
        bid = now.bid - away if held < parameters.position_max else 0
        ask = now.ask + away if held > -parameters.position_max else 0
        return bid != now.bid_price or ask != now.ask_price
