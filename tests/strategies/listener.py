"""Note what fired. On "mode" it buys at market; a fill protects by a far sale; an end of an order is noted."""

from dataclasses import dataclass, field
from decimal import Decimal

from verbatim import (
    Every,
    OnBar,
    OnBook,
    OnFill,
    OnMode,
    OnOrderEnd,
    OnQuote,
    OnRefusal,
    OnTrade,
    OrderType,
    Place,
    Side,
)


class Listener:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = (
        OnQuote(throttle_ms=200),
        OnTrade(throttle_ms=300),
        OnBook(),
        OnBar(seconds=2),
        Every(ms=500),
        OnFill(),
        OnOrderEnd(),
        OnRefusal(),
        OnMode(),
    )

    @dataclass
    class Parameters:
        size: Decimal = Decimal("0.01")
        bad_size: Decimal = Decimal(0)  # then the first order is of this size

    @dataclass
    class State:
        runs: dict[str, int] = field(default_factory=dict)
        order: list[str] = field(default_factory=list)  # the account's events, in their order

    @staticmethod
    def decide(view, state, parameters):
        for kind in view.triggers:
            state.runs[kind] = state.runs.get(kind, 0) + 1
        if view.trigger in ("fill", "order_end", "refusal", "mode"):
            state.order.append("+".join(view.triggers))
        if view.trigger == "mode" and not view.fills():
            size = parameters.bad_size or parameters.size
            yield Place("BTCUSDT", Side.BUY, size, type=OrderType.MARKET)
        if "fill" in view.triggers:
            fill, held, quote = view.fills("BTCUSDT")[-1], view.position("BTCUSDT"), view.quote("BTCUSDT")
            view.log(
                f"{fill.side} {fill.quantity} at {fill.price}, {view.age_ns(fill)} ns ago; {held.side} from "
                f"{held.entry_price}; {len(view.closed_orders())} ended\x1b[31m"
            )
            assert view.equity().amount > 0
            yield Place("BTCUSDT", Side.SELL, parameters.size, view.round_price("BTCUSDT", quote.ask + 1000))
        if "refusal" in view.triggers:
            refusal = view.refusals()[-1]
            view.log(f"{refusal.by}: {refusal.reason}", "warning")
