"""What a session wished, aligned across journals: by the market record or timer that it was decided on, the strategy and the leg.

Never by seq or by order id: they differ as soon as one output more is made.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec

from engine.facts import NewOrder
from engine.record_codec import read_intent, read_timer, read_verdict
from journal.reader import Journal
from journal.record import INPUTS, Kind, Record
from replay.moments import iso

Place = tuple[str, str, int]  # origin, strategy, leg


class RecordedDecision(msgspec.Struct, frozen=True):
    origin: str
    strategy: str
    leg: int  # of those on one origin, from 0
    what: str
    approved: bool
    seq: int  # in its own journal
    time_ns: int

    @property
    def place(self) -> Place:
        return self.origin, self.strategy, self.leg

    def says_as(self, other: "RecordedDecision") -> bool:
        return (self.what, self.approved) == (other.what, other.approved)


class ChangedDecision(msgspec.Struct, frozen=True):
    """One of the two may be absent."""

    before: RecordedDecision | None
    after: RecordedDecision | None

    @property
    def one(self) -> RecordedDecision:
        found = self.before or self.after
        assert found is not None, "one of the two is there"
        return found

    @property
    def time_ns(self) -> int:
        return min(each.time_ns for each in (self.before, self.after) if each is not None)


def decisions_of(folder: Path, *, as_source: bool = False) -> list[RecordedDecision]:
    """Of a session. `as_source`: as what is resimulated from it names their origins, also where it was resimulated itself."""
    return decisions(Journal.open(folder).records(), as_source=as_source)


def decisions(records: Iterable[Record], *, as_source: bool = False) -> list[RecordedDecision]:
    """In their order. Of the market's records only those are needed that led to something."""
    reading = DecisionReader(as_source=as_source)
    return [found for record in records if (found := reading.take(record)) is not None]


class DecisionReader:
    """Decisions out of the records of a session, as these come."""

    def __init__(self, *, as_source: bool = False) -> None:
        self._as_source = as_source
        self._legs: Counter[tuple[str, str]] = Counter()
        self._unnamed: Counter[str] = Counter()
        self._placed: dict[str, str] = {}
        self.origin, self._origin_seq = "", -1
        self._pending: tuple[Record, str, str] | None = None  # an intent, until its verdict

    def take(self, record: Record) -> RecordedDecision | None:
        """The decision that is whole with this record."""
        if record.kind in INPUTS:
            self._origin_seq = record.seq
            self.origin = _origin(record, self._unnamed, as_source=self._as_source)
        elif record.kind is Kind.INTENT:
            body = read_intent(record.body or "")
            if body.order is not None:
                what = said(body.order)
                self._placed[record.key or ""] = what
            else:
                what = f"cancel {self._placed.get(body.cancels, body.cancels)}"
            assert self._origin_seq >= 0, "an intent follows an input"
            self._pending = record, body.strategy, what
        elif record.kind is Kind.VERDICT and self._pending is not None:
            (intent, strategy, what), self._pending = self._pending, None
            leg = self._legs[self.origin, strategy]
            self._legs[self.origin, strategy] += 1
            approved = read_verdict(record.body or "").approved
            return RecordedDecision(self.origin, strategy, leg, what, approved, intent.seq, intent.time_ns)
        return None


def said(order: NewOrder) -> str:
    price = f" at {order.price:f}" if order.price else ""
    return f"{order.side} {order.quantity:f} {order.instrument.partition(':')[2]}{price} {order.type} {order.time_in_force}"


def _origin(record: Record, unnamed: Counter[str], *, as_source: bool) -> str:
    """A market record's key is its origin where it was resimulated; else it is one itself."""
    if record.kind is Kind.FEED and record.meta is None:
        return f"market {record.seq if as_source else record.key or record.seq}"
    if record.kind is Kind.TIMER:
        timer = read_timer(record.body or "")
        return f"{timer.timer} due {timer.due_ns}"
    name = f"{record.kind} of {record.source}"
    unnamed[name] += 1
    return f"{name} {unnamed[name]}"


def changes(before: list[RecordedDecision], after: list[RecordedDecision]) -> list[ChangedDecision]:
    """What is other in the second, by time."""
    ours, theirs = ({each.place: each for each in found} for found in (before, after))
    found = [
        ChangedDecision(ours.get(place), theirs.get(place))
        for place in ours.keys() | theirs.keys()
        if place not in ours or place not in theirs or not ours[place].says_as(theirs[place])
    ]
    return sorted(found, key=lambda each: (each.time_ns, *each.one.place))


def told(changed: list[ChangedDecision], most: int = 20, *, with_seqs: bool = True) -> list[str]:
    """As a diff of code is read. Without seqs where no journal has them: a trial keeps none."""
    lines: list[str] = []
    for each in changed[:most]:
        one = each.one
        lines.append(f"@@ {iso(one.time_ns)} {one.strategy} {one.leg}, on {one.origin.partition(' due ')[0]} @@")
        for mark, side in (("-", each.before), ("+", each.after)):
            if side is not None:
                seq = f"  [record {side.seq}]" if with_seqs else ""
                lines.append(f"{mark} {side.what}{'' if side.approved else ' (refused by risk)'}{seq}")
    if len(changed) > most:
        lines.append(f"... and {len(changed) - most:,} more")
    return lines
