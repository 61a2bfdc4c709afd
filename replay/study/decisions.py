"""A session's decisions, aligned across journals by origin, strategy and leg. The origin is a market record or a timer.

Seqs and order ids do not align: one additional output changes all later ones.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec

from engine.bodies import IntentBody
from engine.facts import NewOrder
from engine.plan_terms import PlanTerms
from engine.record_codec import read_intent, read_timer, read_verdict
from journal.reader import Journal
from journal.record import INPUTS, Kind, Record
from replay.entries import Entry, text_of
from replay.moments import iso_time

DecisionKey = tuple[str, str, int]  # origin, strategy, leg


class RecordedDecision(msgspec.Struct, frozen=True):
    """One intent with its verdict."""

    origin: str
    strategy: str
    leg: int  # the number of the decision among those of one origin, from 0
    what: str
    approved: bool
    seq: int  # in its own journal
    time_ns: int

    @property
    def key(self) -> DecisionKey:
        """The key by which decisions of two sessions are aligned."""
        return self.origin, self.strategy, self.leg

    def same_as(self, other: "RecordedDecision") -> bool:
        """Return True if the other decision has the same order and verdict."""
        return (self.what, self.approved) == (other.what, other.approved)


class ChangedDecision(msgspec.Struct, frozen=True):
    """A decision that differs between two sessions. One of the two may be absent."""

    before: RecordedDecision | None
    after: RecordedDecision | None

    @property
    def one(self) -> RecordedDecision:
        """The decision before, or else the one after."""
        decision = self.before or self.after
        assert decision is not None, "one of the two is there"
        return decision

    @property
    def time_ns(self) -> int:
        """The earlier of the two times."""
        return min(side.time_ns for side in (self.before, self.after) if side is not None)


def session_decisions(folder: Path, *, as_source: bool = False) -> list[RecordedDecision]:
    """Read the decisions of a session.

    With `as_source`, origins are named as in sessions that were resimulated from this one.
    """
    return read_decisions(Journal.open(folder).records(), as_source=as_source)


def read_decisions(records: Iterable[Record], *, as_source: bool = False) -> list[RecordedDecision]:
    """Read the decisions in order. Market records without outputs may be left out of `records`."""
    reader = DecisionReader(as_source=as_source)
    return [decision for record in records if (decision := reader.read(record)) is not None]


class DecisionReader:
    """Reads decisions from the records of a session, one record at a time."""

    def __init__(self, *, as_source: bool = False) -> None:
        self._as_source = as_source
        self._legs: Counter[tuple[str, str]] = Counter()
        self._unnamed: Counter[str] = Counter()
        self._placed: dict[str, str] = {}
        self.origin, self._origin_seq = "", -1
        self._pending: tuple[Entry, str, str] | None = None  # the intent that waits for its verdict

    def read(self, entry: Entry) -> RecordedDecision | None:
        """Return the decision that this record or output completes, or None."""
        if isinstance(entry, Record) and entry.kind in INPUTS:
            self._origin_seq = entry.seq
            self.origin = _origin_text(entry, self._unnamed, as_source=self._as_source)
        elif entry.kind is Kind.INTENT:
            body = read_intent(text_of(entry))
            what = self._intent_text(body)
            if body.order is not None:
                self._placed[entry.key or ""] = what
            assert self._origin_seq >= 0, "an intent follows an input"
            self._pending = entry, body.strategy, what
        elif entry.kind is Kind.VERDICT and self._pending is not None:
            (intent, strategy, what), self._pending = self._pending, None
            leg = self._legs[self.origin, strategy]
            self._legs[self.origin, strategy] += 1
            approved = read_verdict(text_of(entry)).approved
            return RecordedDecision(self.origin, strategy, leg, what, approved, intent.seq, intent.time_ns)
        return None

    def _intent_text(self, body: IntentBody) -> str:
        if body.order is not None:
            return placed_order_text(body.order)
        if body.legs:
            return f"list of {'; '.join(map(placed_order_text, body.legs))}"
        if body.plan is not None:
            return plan_terms_text(body.plan)
        return f"cancel {self._placed.get(body.cancels, body.cancels)}"


def plan_terms_text(plan: PlanTerms) -> str:
    """Describe a plan by its kind and all its terms that are set."""
    terms = msgspec.to_builtins(plan)
    kind = terms.pop("plan")
    given = (f"{name} {value}" for name, value in terms.items() if value not in ("0", 0, None, ""))
    return f"run {kind}: {', '.join(given)}"


def placed_order_text(order: NewOrder) -> str:
    """Describe an order by side, quantity, symbol, price, type and time in force."""
    price = f" at {order.price:f}" if order.price else ""
    symbol = order.instrument.partition(":")[2]
    return f"{order.side} {order.quantity:f} {symbol}{price} {order.type} {order.time_in_force}"


def _origin_text(record: Record, unnamed: Counter[str], *, as_source: bool) -> str:
    """Name the origin of an input.

    A resimulated market record has the seq of its source as key; any other market record is an origin itself.
    """
    if record.kind is Kind.FEED and record.meta is None:
        return f"market {record.seq if as_source else record.key or record.seq}"
    if record.kind is Kind.TIMER:
        timer = read_timer(record.body or "")
        return f"{timer.timer} due {timer.due_ns}"
    name = f"{record.kind} of {record.source}"
    unnamed[name] += 1
    return f"{name} {unnamed[name]}"


def changed_decisions(before: list[RecordedDecision], after: list[RecordedDecision]) -> list[ChangedDecision]:
    """Return the decisions that differ between two lists, by time."""
    ours, theirs = ({decision.key: decision for decision in side} for side in (before, after))
    changes = [
        ChangedDecision(ours.get(key), theirs.get(key))
        for key in ours.keys() | theirs.keys()
        if key not in ours or key not in theirs or not ours[key].same_as(theirs[key])
    ]
    return sorted(changes, key=lambda change: (change.time_ns, *change.one.key))


def decision_diff_lines(changed: list[ChangedDecision], most: int = 20, *, with_seqs: bool = True) -> list[str]:
    """Format changed decisions like a diff of code.

    Args:
        changed: The decisions.
        most: How many to format.
        with_seqs: Name the records. A trial keeps no journal, so it has none to name.
    """
    lines: list[str] = []
    for change in changed[:most]:
        one = change.one
        lines.append(f"@@ {iso_time(one.time_ns)} {one.strategy} {one.leg}, on {one.origin.partition(' due ')[0]} @@")
        for mark, side in (("-", change.before), ("+", change.after)):
            if side is not None:
                seq = f"  [record {side.seq}]" if with_seqs else ""
                lines.append(f"{mark} {side.what}{'' if side.approved else ' (refused by risk)'}{seq}")
    if len(changed) > most:
        lines.append(f"... and {len(changed) - most:,} more")
    return lines
