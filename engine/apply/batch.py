"""A batch: the inputs of one step. Values only.

A batch is one record of any input kind, or market frames of one link, or market rows that were decoded earlier.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from engine.bodies import CommandBody, LinkBody, TimerBody
from engine.events import Event
from engine.market import layout
from engine.market.rows import Rows
from engine.state.pending_requests import PendingRequest
from engine.state.timers import NEVER_NS
from journal.record import Record

# (the row behind the last one applied, True if the last record triggered something) -> the records of these rows
RecordsOf = Callable[[int, bool], Sequence[Record]]
STRATEGIES_ONLY: Final = layout.STRATEGY | layout.BAR_CLOSED


class Batch:
    """Inputs on their way into the state, oldest first. `apply` moves `row`; the caller reads it to go on from there."""

    __slots__ = ("ends", "records", "records_of", "row", "rows", "start", "until_ns")

    def __init__(
        self,
        records: Sequence[Record] = (),
        *,
        rows: Rows | None = None,
        row: int = 0,
        until_ns: int | None = NEVER_NS,
        records_of: RecordsOf | None = None,
    ) -> None:
        """Make a batch of records, or of rows that were decoded earlier.

        Args:
            records: One input, or frames of one link that came in a row.
            rows: Decoded rows instead of records; `records_of` then makes the records of those that were applied.
            row: The first row to apply.
            until_ns: Session time at which the batch ends. None also ignores the TIMERs that are due.
            records_of: Returns the records of applied rows, as they enter the journal; it may return none.

        """
        self.records = records
        self.rows = rows
        self.row = self.start = row
        self.until_ns = until_ns
        self.records_of = records_of
        self.ends: Sequence[int] = ()  # for each record the row behind its last; empty if a record is not of rows


class Applied(msgspec.Struct, frozen=True):
    """What the last input that was applied holds: the material of the decisions on it."""

    has_effect: bool = True  # False: a market record that triggers nothing
    market_flags: int = 0  # layout's flags that the market raised
    strategies: tuple[str, ...] = ()  # the strategies that the input triggers, in their order
    time_ns: int = 0
    events: tuple[Event, ...] = ()  # what a venue reports
    request: PendingRequest | None = None  # the request that the input answers
    sent_ns: int = 0
    outcome: str = ""  # how the request ended, if the input is an answer
    body: LinkBody | TimerBody | CommandBody | None = None

    @property
    def triggers_only_strategies(self) -> bool:
        return bool(self.strategies) and not self.market_flags & ~STRATEGIES_ONLY


NO_EFFECT = Applied(has_effect=False)
