"""Arbitrage: buy at the cheaper of two venues, sell at the dearer one. docs/examples.md explains it."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated

from verbatim import OnQuote, OrderType, Place, Range, Side, View


class Arbitrage:
    """Trade one market at two venues when their prices differ by more than the costs; no leg stays alone."""

    version = "1"

    @dataclass
    class Parameters:
        """What the configuration may set."""

        first: str = "spot:BTCUSDT"
        second: str = "hedge:BTCUSDT"
        size: Decimal = Decimal("0.001")  # of each leg
        edge_bps: Annotated[Decimal, Range(-100, 1000)] = Decimal(25)  # both fees and a profit

    @dataclass
    class State:
        """State that is kept between decisions."""

        trades: int = 0  # of both legs together

    @staticmethod
    def instruments(parameters: Parameters) -> tuple[str, ...]:
        """Return the two instruments, each with its venue."""
        return parameters.first, parameters.second

    @staticmethod
    def cadence(_parameters: Parameters) -> OnQuote:
        """Decide when a quote of either venue changes."""
        return OnQuote(throttle_ms=200)

    @staticmethod
    def decide(view: View, state: State, parameters: Parameters) -> list[Place]:
        """Close a leg that is alone; else trade both legs if the prices differ by enough."""
        quotes = {name: view.quote(name) for name in view.listings(parameters.first)}
        if view.orders() or None in quotes.values():
            return []
        bids = {name: quote.bid for name, quote in quotes.items() if quote and not view.blocked(name)}
        asks = {name: quote.ask for name, quote in quotes.items() if quote and not view.blocked(name)}
        if not bids:
            return []
        net = sum((view.position(name).quantity for name in quotes), start=Decimal(0))
        side, prices = (Side.SELL, bids) if net > 0 else (Side.BUY, asks)
        name = max(prices, key=lambda each: prices[each] * -side.sign)  # the best price
        if alone := view.round_quantity(name, abs(net)):
            return [Place(name, side, alone, type=OrderType.MARKET, rationale={"net": net})]
        cheap, dear = min(asks, key=lambda each: asks[each]), max(bids, key=lambda each: bids[each])
        edge = (bids[dear] - asks[cheap]) / asks[cheap] * 10_000
        if cheap == dear or edge < parameters.edge_bps:
            return []
        state.trades += 1
        return [
            Place(where, way, parameters.size, type=OrderType.MARKET, rationale={"edge_bps": edge})
            for where, way in ((cheap, Side.BUY), (dear, Side.SELL))
        ]
