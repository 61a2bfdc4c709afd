"""When the next public line may leave: due times of the market, holds, shifts and lateness.

With a capture, the feed waits until clients subscribe to all streams, and at the snapshot until a client requests it.
The wait shifts all later lines. A feed that is later than its limit continues from now: a growing queue would delay
every answer after it. Knows no connection.
"""

from dataclasses import dataclass

from engine.sim.feeds.sim_market import Line, SimMarket


@dataclass(slots=True, kw_only=True)
class FeedStatus:
    """Counters of the feed."""

    lines: int = 0
    held_ns: int = 0  # how far all lines were moved, in session time
    late_ns_max: int = 0
    late_lines: int = 0  # later than LATE_NS
    skipped: int = 0  # lines that could not be read


LATE_NS = 250_000_000  # session time: beyond this a line counts as late


class FeedPacer:
    """The pace of a market's lines."""

    def __init__(
        self,
        market: SimMarket,
        *,
        hold_until_subscribed: bool,
        snapshot_wait_ns_max: int,
        settle_ns: int,
        behind_ns_max: int | None,
    ) -> None:
        self.market = market
        self.status = FeedStatus()
        self._holding = hold_until_subscribed
        self._pausing = hold_until_subscribed
        self._snapshot_wait_ns_max = snapshot_wait_ns_max
        self._settle_ns = settle_ns
        self._behind_ns_max = behind_ns_max
        self._snapshot_since_ns: int | None = None
        self._settled = False  # the frames before the snapshot have had their time

    @property
    def waiting_for_subscribers(self) -> bool:
        """Return True until all streams have a subscriber."""
        return self._holding

    @property
    def finished(self) -> bool:
        """Return True after the last line."""
        return self.market.next_due_ns is None

    def subscribed(self, streams: set[str], now_ns: int) -> None:
        """Note the subscribed streams, and start the feed once they are all of its streams."""
        if self._holding and streams >= self.market.streams:
            self._holding = False
            self._catch_up(now_ns)

    def _catch_up(self, now_ns: int) -> None:
        due = self.market.next_due_ns
        if due is not None and due < now_ns:
            self.market.shift(now_ns - due)
            self.status.held_ns += now_ns - due

    def _settle(self) -> None:
        """Shift the market before and after a snapshot: answers and frames travel apart, and frames need time."""
        self._settled = not self._settled
        self.market.shift(self._settle_ns)
        self.status.held_ns += self._settle_ns

    def next_due_ns(self, *, depth_asked: bool) -> int | None:
        """Return when the feed must act next; None while it waits for clients, and at the end."""
        due = self.market.next_due_ns
        if due is None or self._holding:
            return None
        if self._pausing and self.market.is_snapshot_next() and not depth_asked:
            return due if self._snapshot_since_ns is None else self._snapshot_since_ns + self._snapshot_wait_ns_max
        return due

    def due(self, now_ns: int, *, depth_asked: bool) -> Line | None:
        """Return the next line if it is due."""
        due = self.market.next_due_ns
        if due is None or self._holding or due > now_ns:
            return None
        if self._behind_ns_max is not None and now_ns - due > self._behind_ns_max:
            self._catch_up(now_ns)
        if self._pausing and self.market.is_snapshot_next():
            since_ns = due if self._snapshot_since_ns is None else self._snapshot_since_ns
            if not depth_asked and now_ns < since_ns + self._snapshot_wait_ns_max:
                self._snapshot_since_ns = since_ns
                return None
            if self._snapshot_since_ns is not None:
                self._catch_up(now_ns)
                self._snapshot_since_ns = None
            if not self._settled:
                self._settle()
                return self.due(now_ns, depth_asked=depth_asked) if self._settle_ns == 0 else None
            line = self.market.next_line()
            self._settle()
        else:
            line = self.market.next_line()
        late_ns = now_ns - line.due_ns
        self.status.lines += 1
        self.status.late_ns_max = max(self.status.late_ns_max, late_ns)
        self.status.late_lines += late_ns > LATE_NS
        return line
