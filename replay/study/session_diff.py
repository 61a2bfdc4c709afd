"""Where two journals part, and in what: data, latency, fills, decisions, code, configuration. Reads both, decides nothing.

Two sessions over the same market are compared by what each record says, never by its seq: one output more shifts all that follow.
"""

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from engine import facts
from engine.record_codec import read_command, read_fact, read_request
from engine.session_record import SessionBody, read_session
from journal.reader import Journal
from journal.record import Kind, Record
from replay.study.decisions import ChangedDecision, changes, decisions_of

CODE, CONFIGURATION, DATA, LATENCY, FILL, DECISION = "code", "configuration", "data", "latency", "fill", "decision"
ANSWER, COMMAND = "answer", "command"
WORDS_MAX = 160
OK_STATUS = 200
_NOT_COMPARED = frozenset({"session", "started_ns", "host", "opening", "previous", "resimulated", "clock", "seed"})
_CODE = frozenset({"versions", "strategies"})


class SessionDiff(msgspec.Struct, frozen=True):
    """The first place where the two say something else of one thing."""

    of: str
    what: str
    time_ns: int  # in the first journal, or in the second where the first has ended; 0: before all


class DiffFinding(msgspec.Struct, frozen=True):
    session: list[str]  # how the two SESSION records differ
    partings: list[SessionDiff]  # at most one of each class, by time
    decisions: list[ChangedDecision]

    @property
    def same(self) -> bool:
        return not self.session and not self.partings

    @property
    def verdict(self) -> str:
        if self.same:
            return "diff: the same"
        if not self.partings:
            return "diff: another code or configuration, and the same records"
        first = self.partings[0]
        return f"diff: they part first in {first.of}: {first.what}"

    def as_json(self) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found | {"same": self.same, "verdict": self.verdict}


class SideText(NamedTuple):
    words: Any
    record: Record


def part(one: Path, other: Path) -> DiffFinding:
    """DamagedJournalError where one of them cannot be read."""
    ours, theirs = Journal.open(one), Journal.open(other)
    bodies = [read_session(each.session_record().body or "") for each in (ours, theirs)]
    found = [
        _parting(DATA, _market(ours), _market(theirs)),
        _parting(COMMAND, _commands(ours), _commands(theirs)),
        _parting(ANSWER, _outcomes(ours), _outcomes(theirs)),
        _parting(LATENCY, _answers(ours), _answers(theirs)),
        _parting(FILL, _fills(ours), _fills(theirs)),
    ]
    sources = [body.resimulated.source if body.resimulated is not None else "" for body in bodies]
    changed = changes(
        decisions_of(one, as_source=sources[1] == one.name), decisions_of(other, as_source=sources[0] == other.name)
    )
    if changed:
        first = changed[0]
        said = [each.what if each is not None else "nothing" for each in (first.before, first.after)]
        what = f"{said[0]} in the first, {said[1]} in the second"
        if first.before is not None and first.after is not None and first.before.what == first.after.what:
            what = f"{said[0]}: risk says otherwise"
        found.append(SessionDiff(DECISION, what, first.time_ns))
    partings = sorted((each for each in found if each is not None), key=lambda each: each.time_ns)
    return DiffFinding(_sessions(*bodies), partings, changed)


def _sessions(one: SessionBody, other: SessionBody) -> list[str]:
    said = []
    for name in one.__struct_fields__:
        ours, theirs = getattr(one, name), getattr(other, name)
        if name in _NOT_COMPARED or ours == theirs:
            continue
        if name == "strategies":
            said += _strategies(one, other)
        else:
            of = CODE if name in _CODE else CONFIGURATION
            pairs = _flat(msgspec.to_builtins(ours), name), _flat(msgspec.to_builtins(theirs), name)
            names = [
                each for each in sorted(pairs[0].keys() | pairs[1].keys()) if pairs[0].get(each) != pairs[1].get(each)
            ]
            said += [f"{of}: {each}: {pairs[0].get(each)} / {pairs[1].get(each)}"[:WORDS_MAX] for each in names]
    return said


def _strategies(one: SessionBody, other: SessionBody) -> list[str]:
    ours, theirs = ({each.name: each for each in body.strategies} for body in (one, other))
    said = [f"{CODE}: strategy {name} is in one of them only" for name in sorted(ours.keys() ^ theirs.keys())]
    for name in sorted(ours.keys() & theirs.keys()):
        mine, its = ours[name], theirs[name]
        if mine.sources != its.sources:
            said.append(f"{CODE}: strategy {name}: other source (version {mine.version} / {its.version})")
        for parameter in sorted(mine.parameters.keys() | its.parameters.keys()):
            pair = mine.parameters.get(parameter), its.parameters.get(parameter)
            if pair[0] != pair[1]:
                said.append(f"{CONFIGURATION}: strategy {name}: {parameter}: {pair[0]} / {pair[1]}")
    return said


def _flat(value: object, name: str) -> dict[str, str]:
    if isinstance(value, dict):
        return {k: v for key, item in value.items() for k, v in _flat(item, f"{name}.{key}").items()}
    return {name: str(value)}


def _parting(of: str, one: Iterable[SideText], other: Iterable[SideText]) -> SessionDiff | None:
    for ours, theirs in zip_longest(one, other):
        if ours is not None and theirs is not None and ours.words == theirs.words:
            continue
        record = (ours or theirs).record
        said = [
            f"{_words(each)} (record {each.record.seq})" if each is not None else "nothing more"
            for each in (ours, theirs)
        ]
        return SessionDiff(of, f"{said[0]} in the first, {said[1]} in the second", record.time_ns)
    return None


def _words(said: SideText) -> str:
    text = said.words if isinstance(said.words, str) else " ".join(str(each) for each in said.words)
    return text if len(text) <= WORDS_MAX else f"{text[:WORDS_MAX]}..."


def _market(journal: Journal) -> Iterator[SideText]:
    for record in journal.records(kinds=(Kind.FEED,)):
        if record.meta is None:
            yield SideText((record.source, (record.payload or b"").decode("utf-8", "backslashreplace")), record)


def _answers(journal: Journal) -> Iterator[SideText]:
    """How long each order and cancel waited for its answer, in nanoseconds."""
    for request, answer in _ended(journal):
        purpose = read_request(request.body or "").purpose
        yield SideText(f"{purpose} answered after {answer.time_ns - request.time_ns} ns", answer)


def _outcomes(journal: Journal) -> Iterator[SideText]:
    """What the venue said to each order and cancel: accepted or refused, and for which reason."""
    for request, answer in _ended(journal):
        meta = msgspec.json.decode(answer.meta or "{}")
        status = meta.get("status", meta.get("outcome", ""))
        refused = (answer.payload or b"").decode("utf-8", "replace")[:WORDS_MAX] if status != OK_STATUS else ""
        yield SideText(f"{read_request(request.body or '').purpose}: {status} {refused}".rstrip(), answer)


def _commands(journal: Journal) -> Iterator[SideText]:
    for record in journal.records(kinds=(Kind.COMMAND,)):
        command = read_command(record.body or "")
        if command.by != "resim":
            yield SideText(f"{command.command} by {command.by or 'nobody'}", record)


def _ended(journal: Journal) -> Iterator[tuple[Record, Record]]:
    """Orders and cancels with their answers, in the order of these."""
    asked: dict[int, Record] = {}
    for record in journal.records(kinds=(Kind.REQUEST, Kind.BROKER)):
        if record.kind is Kind.REQUEST:
            if read_request(record.body or "").mutates:
                asked[record.seq] = record
        elif record.cause in asked and record.meta is not None:
            yield asked.pop(record.cause), record


def _fills(journal: Journal) -> Iterator[SideText]:
    for record in journal.records(kinds=(Kind.FACT,)):
        fact = read_fact(record.body or "")
        if not isinstance(fact, facts.OrderFilled):
            continue
        of = f"{fact.side} {fact.quantity:f} {fact.instrument.partition(':')[2]} at {fact.price:f}"
        yield SideText(f"{of}, fee {fact.fee:f} {fact.fee_asset}, {'maker' if fact.maker else 'taker'}", record)
