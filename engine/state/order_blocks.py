"""Waits for new orders alone, after a venue refused one for their number. Cancels and queries need not wait.

Carried over, because the venue's count of orders outlives a restart. Request weight and bans: rate_budgets.py.
"""

import msgspec

from engine.facts import OrdersBlocked
from engine.session_record import SafeguardSettings
from engine.state.changes import Change, Stamp
from engine.state.rate_budgets import QUIET_WAITS


class OrderBlock(msgspec.Struct, frozen=True):
    """The last refusal of a venue: until when new orders wait."""

    until_ns: int
    wait_ns: int
    reason: str


class OrderBlocks(msgspec.Struct, frozen=True):
    """The waits of all venues."""

    by_venue: dict[str, OrderBlock] = {}

    def reject_reason(self, venue: str, time_ns: int) -> str:
        """Return why the venue gets no new order now, or ""."""
        block = self.by_venue.get(venue)
        return "" if block is None or time_ns >= block.until_ns else f"{venue} takes no new orders: {block.reason}"

    def next_wait_ns(self, venue: str, time_ns: int, settings: SafeguardSettings) -> int:
        """Return the wait after a refusal now: the first one, or twice the last one unless that is long over."""
        block = self.by_venue.get(venue)
        if block is None or time_ns > block.until_ns + QUIET_WAITS * block.wait_ns:
            return settings.order_backoff_first_ns
        if time_ns < block.until_ns:
            return block.wait_ns  # an order that left before the wait began
        return min(2 * block.wait_ns, settings.order_backoff_max_ns)


def reduce(blocks: OrderBlocks, change: Change, _at: Stamp) -> OrderBlocks:
    """Keep a venue's newest wait. An answer to an earlier order never shortens it."""
    if not isinstance(change, OrdersBlocked):
        return blocks
    known = blocks.by_venue.get(change.venue)
    if known is not None and change.until_ns <= known.until_ns:
        return blocks
    block = OrderBlock(change.until_ns, change.wait_ns, change.reason)
    return OrderBlocks({**blocks.by_venue, change.venue: block})
