"""A market order by order, made by a plain queue at each price, in which an order of ours may stand."""

import random
from dataclasses import dataclass, field

BID, ASK = 0, 1
WORDS = ("buy", "sell")


@dataclass
class QueuedOrder:
    """An order in a queue; `ours` is beside the market and takes nothing from it."""

    order_id: int
    left: int
    ours: bool = False


@dataclass
class OrderMarket:
    """Queues by side and price, and a line `time,action,id,side,price,size` for each event."""

    draw: random.Random
    queues: tuple[dict[int, list[QueuedOrder]], dict[int, list[QueuedOrder]]] = field(default_factory=lambda: ({}, {}))
    fills: list[tuple[int, int, int]] = field(default_factory=list)  # of ours: id, price, quantity
    ids: int = 0
    time_ns: int = 1_000

    def best(self, side: int) -> int | None:
        prices = [price for price, queue in self.queues[side].items() if any(not order.ours for order in queue)]
        return (max if side == BID else min)(prices, default=None)

    def levels(self, side: int) -> dict[int, int]:
        sums = {
            price: sum(order.left for order in queue if not order.ours) for price, queue in self.queues[side].items()
        }
        return {price: size for price, size in sums.items() if size}

    def line(self, action: str, order_id: int, side: int, price: int, size: int) -> str:
        self.time_ns += self.draw.choice((0, 1, 50))
        return f"{self.time_ns},{action},{order_id},{WORDS[side]},{price},{size}"

    def step(self) -> list[str]:
        """Return the lines of one event: an order comes, leaves, shrinks, or a taker fills the front of a queue."""
        kind = self.draw.choices(("add", "cancel", "take"), (5, 4, 3))[0]
        side = self.draw.randrange(2)
        if kind == "add" or self.best(side) is None:
            return self.add(side)
        return self.cancel(side) if kind == "cancel" else self.take(side)

    def add(self, side: int) -> list[str]:
        other = self.best(1 - side)
        price = self.draw.randrange(95, 100) if side == BID else self.draw.randrange(100, 105)
        if other is not None:
            price = min(price, other - 1) if side == BID else max(price, other + 1)
        self.ids += 1
        size = self.draw.randrange(1, 9)
        self.queues[side].setdefault(price, []).append(QueuedOrder(self.ids, size))
        return [self.line("new", self.ids, side, price, size)]

    def cancel(self, side: int) -> list[str]:
        price = self.draw.choice(sorted(self.levels(side)))
        order = self.draw.choice([order for order in self.queues[side][price] if not order.ours])
        size = self.draw.choice((order.left, self.draw.randrange(1, order.left + 1)))
        order.left -= size
        self.queues[side][price] = [each for each in self.queues[side][price] if each.left or each.ours]
        return [self.line("cut" if order.left else "gone", order.order_id, side, price, size)]

    def take(self, side: int) -> list[str]:
        """Fill the first orders of the best queue; an order of ours is filled after those before it."""
        price = self.best(side)
        assert price is not None
        left, lines = self.draw.randrange(1, 12), []
        for order in [order for order in self.queues[side][price] if not order.ours]:
            size = min(order.left, left)
            if not size:
                break
            for at in sorted(self.queues[side], reverse=side == BID):
                if (at - price) * (1 if side == BID else -1) >= 0:  # at a better price, ours is filled first
                    self.fill_ours(side, at, size)
            order.left -= size
            left -= size
            lines.append(self.line("fill", order.order_id, side, price, size))
        self.queues[side][price] = [each for each in self.queues[side][price] if each.left]
        return lines

    def fill_ours(self, side: int, price: int, size: int) -> None:
        ahead = 0
        for order in self.queues[side][price]:
            if order.ours and order.left:
                quantity = min(order.left, max(0, size - ahead))
                order.left -= quantity
                if quantity:
                    self.fills.append((order.order_id, price, quantity))
            elif not order.ours:
                ahead += order.left

    def place_ours(self, order_id: int, side: int, price: int, quantity: int) -> None:
        self.queues[side].setdefault(price, []).append(QueuedOrder(order_id, quantity, ours=True))

    def has_ours(self) -> bool:
        return any(order.ours and order.left for queues in self.queues for queue in queues.values() for order in queue)
