"""A batch: the inputs of one step. Values only.

A batch is one record of any input kind, or market frames of one link, or market rows that were decoded earlier.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from engine.bodies import CommandBody, LinkBody, TimerBody
from engine.events import Event
from engine.market import layout
from engine.market.rows import Rows
from engine.state.pending_requests import PendingRequest
from engine.state.timers import NEVER_NS
from engine.trigger_kinds import TriggerKind
from journal.record import Record

# (the row behind the last one applied, True if the last record triggered something) -> the records of these rows
RecordsOf = Callable[[int, bool], Sequence[Record]]
Fired = tuple[TriggerKind, ...]
NONE_FIRED: Final[Mapping[str, Fired]] = {}
STRATEGY_FLAGS: Final = layout.TRIGGER_FIRED | layout.BAR_CLOSED


class Batch(msgspec.Struct):
    """Inputs on their way into the state, oldest first: records or rows. `apply` moves `row`.

    `records` is one input, or market frames of one link. If `rows` are given instead, `records_of` makes the records of
    those that were applied, as they enter the journal; it may make none. Recorded inputs (engine/recorded_inputs.py)
    are given with their rows up to the next TIMER.
    """

    records: Sequence[Record] = ()
    rows: Rows | None = None  # decoded earlier, or by `apply`
    row: int = 0  # the first one to apply
    until_ns: int | None = NEVER_NS  # session time at which the batch ends. None also ignores TIMERs that are due
    records_of: RecordsOf | None = None
    ends: Sequence[int] = ()  # for each record the row behind its last
    skips_timers: bool = False  # TIMERs at which strategies decide nothing pass without a record (Sequencer.skip_timer)
    passed_timer: tuple[int, int] = (-1, 0)  # the row that came next when the last of these passed, and its time
    timer_decides: bool = False  # the strategies of the TIMER that is due decide something
    place: int = 0  # of recorded inputs: the one behind the last TIMER that passed
    cut: tuple[tuple[str, str], ...] = ()  # strategies whose decision was interrupted, and why: it is not run again


class Applied(msgspec.Struct, frozen=True):
    """The content of the last input that was applied: the material of the decisions on it."""

    has_effect: bool = True  # False: a market record that triggers nothing
    market_flags: int = 0  # layout's flags that the market raised
    strategies: Mapping[str, Fired] = {}  # the strategies that the input triggers, in order, and the kinds of triggers
    only_strategies: bool = False  # True: a market record that has no other effect than to trigger strategies
    time_ns: int = 0
    events: tuple[Event, ...] = ()  # what a venue reports
    request: PendingRequest | None = None  # the request that the input answers
    sent_ns: int = 0
    outcome: str = ""  # how the request ended, if the input is an answer
    body: LinkBody | TimerBody | CommandBody | None = None


NO_EFFECT = Applied(has_effect=False)
