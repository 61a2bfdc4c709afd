"""Other programs and people on the account of a hostile session: orders, cancels, deposits and withdrawals."""

from collections.abc import Sequence
from decimal import Decimal

from engine.model import OrderType, Side
from engine.sim.exchange.order_values import SimNewOrder, SimOrder
from engine.sim.feeds.synthetic_feed import Chance
from engine.sim.units import units
from verbatim.hostile.invariants import ACCOUNT
from verbatim.hostile.sparse_market import LOT, STEP
from verbatim.testing import BALANCES, VirtualVenue


class OtherPrograms:
    """Changes the account at the venue itself. `cash` holds each asset's first balance and the moves by hand since."""

    def __init__(self, venue: VirtualVenue, symbol: str) -> None:
        """Change the venue's test account."""
        self.cash = {asset: Decimal(BALANCES[asset]) for asset in ("BTC", "USDT")}
        self.moved: set[str] = set()  # assets with a move by hand
        self._venue = venue
        self._symbol = symbol
        self._placed = 0

    def move_balance(self, *, asset: str, amount: str, streamed: bool) -> None:
        """Add an amount, or withdraw a negative one as far as it is free. `streamed` sends its event."""
        exchange = self._venue.sim.exchange
        funds = exchange.accounts[ACCOUNT]
        moved = max(units(amount), -funds.free[asset])
        funds.book(asset, moved)
        self.cash[asset] += Decimal(moved).scaleb(-8)
        self.moved.add(asset)
        if not streamed:
            funds.touched.clear()
        exchange._flush_funds(self._venue.now_ns)  # noqa: SLF001 - a deposit is no request of a client

    def place(self, *, side: str, steps: int, lots: int) -> SimOrder:
        """Place a limit order some levels away from the touch; a negative distance trades at once."""
        exchange, chosen = self._venue.sim.exchange, Side(side)
        price = exchange.markets[self._symbol].average_price() // STEP * STEP - chosen.sign * steps * STEP
        self._placed += 1
        new = SimNewOrder(
            symbol=self._symbol,
            side=chosen,
            order_type=OrderType.LIMIT,
            quantity=lots * LOT,
            price=price,
            client_order_id=f"web_{self._placed}",
        )
        return exchange.place(ACCOUNT, new, self._venue.now_ns)

    def cancel_ours(self, marks: Sequence[str], chance: Chance) -> None:
        """Cancel one of the session's open orders on the venue's site."""
        theirs = self._venue.sim.exchange.open_orders(ACCOUNT)
        ours = [order for order in theirs if order.client_order_id[:8] in marks]
        if ours:
            self.cancel(ours[chance.below(len(ours))])

    def cancel(self, order: SimOrder) -> None:
        """Cancel an order if it is open."""
        if order.is_open:
            self._venue.sim.exchange.cancel(order, self._venue.now_ns, cancel_client_order_id="web_cancel")
