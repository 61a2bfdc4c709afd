"""Does what its script says, one step at a time: a step is due when nothing of it is open or under way any more."""

from dataclasses import dataclass
from decimal import Decimal

from verbatim import Cancel, Close, Every, OrderType, Place, Side


class Script:
    """Steps apart by semicolons: `buy 0.01`, `sell 0.01 limit -10`, `stop 0.01 -2`, `trail 0.01 100`, `close`, `cancel`.

    A number after the size is a distance from the mid in percent; of `trail`, basis points.
    """

    version = "1"
    instruments = ("*",)
    cadence = Every(ms=1000)

    @dataclass
    class Parameters:
        steps: str = ""

    @dataclass
    class State:
        next: int = 0

    @staticmethod
    def decide(view, state, parameters):
        steps = [step.split() for step in parameters.steps.split(";")]
        if state.next >= len(steps):
            return
        quote = view.quote("*")
        if quote is None:
            return
        verb, *rest = steps[state.next]
        state.next += 1
        mid = (quote.bid + quote.ask) / 2
        tick, digits = view.instrument("*").tick_size, view.instrument("*").price_digits
        if digits:
            tick = max(tick, min(Decimal(1).scaleb(mid.adjusted() + 1 - digits), Decimal(1)))
        held = view.position("*").quantity
        against = Side.SELL if held > 0 else Side.BUY
        if verb == "wait":
            return
        if verb == "close" and rest:
            yield Place("*", against, Decimal(rest[0]), type=OrderType.MARKET, reduce_only=True)
        elif verb == "close":
            yield Close("*")
        elif verb == "cancel":
            for order in view.orders():
                yield Cancel(order.client_order_id)
        elif verb in ("stop", "take"):
            size, percent = Decimal(rest[0]), Decimal(rest[1])
            kind = OrderType.STOP if verb == "stop" else OrderType.TAKE_PROFIT
            price = mid * (1 + percent / 100) // tick * tick
            yield Place("*", against, size, type=kind, stop_price=price, reduce_only=True)
        elif verb == "guard":
            price = mid * (1 + Decimal(rest[0]) / 100) // tick * tick
            delta = int(rest[1]) if len(rest) > 1 else 0
            kind, size = OrderType.STOP, abs(held)
            yield Place("*", against, size, type=kind, stop_price=price, trailing_delta=delta, closes_position=True)
        elif verb == "trail":
            size = Decimal(rest[0])
            yield Place("*", against, size, type=OrderType.STOP, trailing_delta=int(rest[1]), reduce_only=True)
        else:
            side, size = Side(verb.upper()), Decimal(rest[0])
            if len(rest) == 1:
                yield Place("*", side, size, type=OrderType.MARKET)
            else:
                kind = OrderType.LIMIT_MAKER if rest[1] == "post" else OrderType.LIMIT
                price = mid * (1 + Decimal(rest[2]) / 100) // tick * tick
                yield Place("*", side, size, price, kind)
