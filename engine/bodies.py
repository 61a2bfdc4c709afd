"""Bodies of our own records other than facts: intents, verdicts, requests, timers, commands, links, notes, checkpoints.

Values only. engine/record_codec.py reads and writes them.
"""

from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar

import msgspec

from engine.facts import ListLeg, NewOrder
from engine.plan_terms import PlanTerms
from engine.requests import HistoryPage, LinkPlan, PolledStream, Purpose, Unsigned


class IntentKind(StrEnum):
    """Kinds of intents."""

    PLACE = "place"
    CANCEL = "cancel"
    AMEND = "amend"
    PLACE_LIST = "place_list"  # several orders at once: one of them ends or activates the others
    RUN = "run"  # an execution plan


class CommandName(StrEnum):
    """Commands of a person, or of the shell on a person's behalf."""

    STOP = "stop"
    PAUSE = "pause"
    RESUME = "resume"
    HALT = "halt"
    CANCEL_ALL = "cancel_all"
    FLATTEN = "flatten"  # cancel all, then close every position
    RECONCILE = "reconcile"
    ACCEPT_BALANCE = "accept_balance"  # a deposit or withdrawal: our records follow the venue
    RESUME_INSTRUMENT = "resume_instrument"  # ends the pause of a breaker
    RESUME_STRATEGY = "resume_strategy"
    PAUSE_STRATEGY = "pause_strategy"
    HANDOVER = "handover"  # of resimulations: the venue's model answers from here on
    RELOAD_KEYS = "reload_keys"  # the shell read keys again: links of accounts are opened again
    REPORT = "report"  # of resimulations: the market ends here, and P&L is reported once more
    DECIDE = "decide"  # of resimulations: the warm-up ends, strategies decide from here on


class LinkEvent(StrEnum):
    """Events of a link that a LINK record reports."""

    UP = "up"
    DOWN = "down"
    CLOCK = "clock"  # a comparison of the wall clock with session time
    LATE = "late"  # source "ingress": the engine processes what arrived too long ago
    CAUGHT_UP = "caught_up"  # source "ingress": it does no longer
    OVERRUN = "overrun"  # source "decisions": a strategy's decision exceeded its time budget


class NoteLevel(StrEnum):
    """Levels of a NOTE. An ALARM needs a person."""

    INFO = "info"
    WARNING = "warning"
    ALARM = "alarm"


class IntentBody(msgspec.Struct, frozen=True):
    """A strategy's intent: place an order, amend one, or cancel one."""

    intent: IntentKind
    strategy: str
    version: str
    order: NewOrder | None = None  # of an amendment: the order with the new quantity
    cancels: str = ""  # client order id
    amends: str = ""  # client order id
    plan: PlanTerms | None = None  # the plan to run
    plan_id: str = ""  # of the plan whose order this is
    rationale: dict[str, Any] = {}  # what the strategy decided on
    legs: tuple[NewOrder, ...] = ()  # the orders of a list


# what a limit counts without the order, the limit, and the same with the order
Figure = tuple[Decimal, Decimal, Decimal]


class VerdictBody(msgspec.Struct, frozen=True):
    """Risk's answer to an intent: each rule with its objection, "" if it has none.

    With `risk.figures` only rules that object are named, and `figures` has what each limit compared.
    """

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"figures"})

    approved: bool
    rules: dict[str, str]
    # set in a refusal that a breaker counts
    strategy: str = ""
    instrument: str = ""
    figures: dict[str, Figure] = {}  # name of the limit -> what it compared


class RequestBody(msgspec.Struct, frozen=True):
    """A task that the shell performs once. It carries `unsigned` or `link`; a disconnect carries neither."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"plan_id", "legs", "history", "poll"})

    purpose: Purpose
    venue: str
    mutates: bool  # True: the shell sends it only after its record is durable (the outbox rule)
    expires_ns: int  # the shell does not send it after this
    timeout_ns: int  # how long the shell waits for the answer
    unsigned: Unsigned | None = None
    link: LinkPlan | None = None
    source: str = ""  # the link concerned
    instrument: str = ""
    client_order_id: str = ""
    strategy: str = ""
    order: NewOrder | None = None
    clock_offset_ns: int = 0  # what the shell adds to its clock for the timestamp
    round: int = 0  # number of its reconciliation; 0: none
    plan_id: str = ""  # the execution plan whose order it places
    history: HistoryPage | None = None  # the bars that are requested
    legs: tuple[ListLeg, ...] = ()  # the orders of a list, whose own id is `client_order_id`
    poll: PolledStream | None = None  # the stream that is read

    @property
    def placed(self) -> tuple[tuple[str, NewOrder], ...]:
        """The orders that it places, with their client order ids; () for any other request."""
        if self.purpose is Purpose.PLACE and self.order is not None:
            return ((self.client_order_id, self.order),)
        return tuple([(leg.client_order_id, leg.order) for leg in self.legs])


def source_of(request: RequestBody) -> str:
    """Return the source of the answer to an HTTP request: the link of a polled stream, or the venue's REST."""
    return f"{request.venue}.rest" if request.poll is None else request.source


class TimerBody(msgspec.Struct, frozen=True):
    """A timer that fired."""

    timer: str  # a timer_names.TimerName as text
    due_ns: int
    missed: int = 0  # periods that passed without a TIMER


class CommandBody(msgspec.Struct, frozen=True):
    """A command, with the person who gave it and the reason."""

    command: CommandName
    by: str = ""
    reason: str = ""
    about: str = ""  # the asset, instrument or strategy; of cancel_all and flatten: older sessions, with commas between


class LinkBody(msgspec.Struct, frozen=True):
    """A change of a link, a comparison of clocks, or what the shell measured of the engine's own speed."""

    state: LinkEvent
    reason: str = ""
    drift_ns: int = 0  # wall clock minus session time, for source "clock"
    age_ns: int = 0  # late: how long ago the oldest unprocessed message arrived; caught_up: how long it was late
    waiting: int = 0  # messages in the ingress queue, for source "ingress"
    strategy: str = ""  # whose decision it was, or which decided for longest while the engine fell behind
    spent_ns: int = 0  # session time that its decisions took


class NoteBody(msgspec.Struct, frozen=True):
    """A message to people."""

    level: NoteLevel
    text: str


class CheckpointBody(msgspec.Struct, frozen=True):
    """Digests of the parts of the state at this record. A replay compares them with its own."""

    inputs: int
    parts: dict[str, tuple[int, str]]  # part -> version, sha256
