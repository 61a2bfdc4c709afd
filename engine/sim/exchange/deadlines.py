"""Orders that the clock ends: good-till-date orders, and all orders of a symbol when its countdown elapses."""

from engine.sim.exchange.order_values import SimOrder


class Deadlines:
    """When each good-till-date order and each countdown ends."""

    def __init__(self) -> None:
        self._orders: dict[int, SimOrder] = {}
        self._countdowns: dict[tuple[str, str], int] = {}  # (account, symbol) -> when its orders are canceled

    @property
    def next_ns(self) -> int | None:
        """Return when the first of them is due."""
        ends = [order.contract.good_till_ns for order in self._orders.values() if order.contract is not None]
        return min((*ends, *self._countdowns.values()), default=None)

    def watch(self, order: SimOrder) -> None:
        """Keep the end of a good-till-date order."""
        if order.contract is not None and order.contract.good_till_ns and order.is_open:
            self._orders[order.order_id] = order

    def count_down(self, account: str, symbol: str, until_ns: int) -> None:
        """Set the countdown of a symbol; 0 ends it."""
        self._countdowns.pop((account, symbol), None)
        if until_ns:
            self._countdowns[account, symbol] = until_ns

    def pop_orders(self, now_ns: int) -> list[SimOrder]:
        """Return and forget the orders whose time has come and that are still open."""
        ended = [
            order
            for order in self._orders.values()
            if not order.is_open or (order.contract is not None and order.contract.good_till_ns <= now_ns)
        ]
        for order in ended:
            del self._orders[order.order_id]
        return [order for order in ended if order.is_open]

    def pop_countdowns(self, now_ns: int) -> list[tuple[str, str]]:
        """Return and forget the (account, symbol) whose countdown has elapsed."""
        elapsed = [key for key, until_ns in self._countdowns.items() if until_ns <= now_ns]
        for key in elapsed:
            del self._countdowns[key]
        return elapsed
