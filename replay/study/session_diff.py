"""The first differences between two journals, by kind: data, latency, fills, decisions, code, configuration.

Two sessions over the same market are compared by the content of records, never by seq: one additional output shifts all
later seqs. Reads both and decides nothing.
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
from replay.backtest_rules import without_silence_rules
from replay.study.decisions import ChangedDecision, changed_decisions, decision_diff_lines, session_decisions

CODE, CONFIGURATION, DATA, LATENCY, FILL, DECISION = "code", "configuration", "data", "latency", "fill", "decision"
ANSWER, COMMAND = "answer", "command"
TEXT_LENGTH_MAX = 160
OK_STATUS = 200
_NOT_COMPARED = frozenset(
    {"session", "started_ns", "host", "opening", "previous", "resimulated", "paper", "clock", "seed"}
)
_CODE = frozenset({"versions", "strategies"})


class FirstDifference(msgspec.Struct, frozen=True):
    """The first place at which two journals differ in one kind of record."""

    kind: str = msgspec.field(name="of")  # scripts read --json under this name
    what: str
    time_ns: int  # in the first journal, or in the second if the first has ended; 0: before all records


class SessionComparison(msgspec.Struct, frozen=True):
    """The comparison of two sessions."""

    session: list[str]  # how the two SESSION records differ
    # at most one of each kind, by time; scripts read --json under the name `partings`
    differences: list[FirstDifference] = msgspec.field(name="partings")
    decisions: list[ChangedDecision]

    @property
    def same(self) -> bool:
        """True if the sessions are equal."""
        return not self.session and not self.differences

    @property
    def cause(self) -> str:
        """The class of the first difference; "" if all records are equal.

        A decision that differs before all else is caused by the code or the configuration if one of them differs.
        """
        first = self.differences[0].kind if self.differences else ""
        if first not in ("", DECISION):
            return first
        kinds = {change.partition(":")[0] for change in self.session}
        return " or ".join(kind for kind in (CODE, CONFIGURATION) if kind in kinds) or first

    @property
    def verdict(self) -> str:
        """The result in one line."""
        if self.same:
            return "diff: the same"
        if not self.differences:
            return "diff: the code or configuration differs, the records are the same"
        first = self.differences[0]
        cause = f", by {self.cause}" if self.cause != first.kind else ""
        return f"diff: the first difference is in {first.kind}{cause}: {first.what}"

    def lines(self, decisions: int) -> list[str]:
        """Return the comparison for people, with so many of the decisions that differ."""
        first = (f"{difference.kind}: {difference.what}" for difference in self.differences)
        return [*self.session, *first, *decision_diff_lines(self.decisions, decisions), self.verdict]

    def as_json(self) -> dict[str, Any]:
        """Return the comparison as JSON values."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return fields | {"same": self.same, "cause": self.cause, "verdict": self.verdict}


class SideText(NamedTuple):
    """One record of one side, and the text by which it is compared."""

    text: str | tuple[str, ...]
    record: Record


def diff_sessions(one: Path, other: Path) -> SessionComparison:
    """Compare two sessions.

    Raises:
        DamagedJournalError: One of them cannot be read.
    """
    ours, theirs = Journal.open(one), Journal.open(other)
    bodies = [read_session(journal.session_record().body or "") for journal in (ours, theirs)]
    firsts = [
        _first_difference(DATA, _market_messages(ours), _market_messages(theirs)),
        _first_difference(COMMAND, _commands(ours), _commands(theirs)),
        _first_difference(ANSWER, _outcomes(ours), _outcomes(theirs)),
        _first_difference(LATENCY, _answer_times(ours), _answer_times(theirs)),
        _first_difference(FILL, _fills(ours), _fills(theirs)),
    ]
    sources = [body.resimulated.source if body.resimulated is not None else "" for body in bodies]
    changed = changed_decisions(
        session_decisions(one, as_source=sources[1] == one.name),
        session_decisions(other, as_source=sources[0] == other.name),
    )
    if changed:
        first = changed[0]
        sides = (first.before, first.after)
        texts = [f"{side.what} (record {side.seq})" if side is not None else "nothing" for side in sides]
        what = f"{texts[0]} in the first, {texts[1]} in the second"
        if first.before is not None and first.after is not None and first.before.what == first.after.what:
            what = f"{texts[0]}: the verdict of risk differs"
        firsts.append(FirstDifference(DECISION, what, first.time_ns))
    differences = sorted((first for first in firsts if first is not None), key=lambda first: first.time_ns)
    return SessionComparison(_session_changes(*bodies), differences, changed)


def _session_changes(one: SessionBody, other: SessionBody) -> list[str]:
    if any(body.resimulated is not None and body.resimulated.is_backtest for body in (one, other)):
        # every backtest runs without these rules, so they are no choice of the user
        one, other = (msgspec.structs.replace(body, engine=without_silence_rules(body.engine)) for body in (one, other))
    texts = []
    for name in one.__struct_fields__:
        ours, theirs = getattr(one, name), getattr(other, name)
        if name in _NOT_COMPARED or ours == theirs:
            continue
        if name == "strategies":
            texts += _strategy_changes(one, other)
        else:
            kind = CODE if name in _CODE else CONFIGURATION
            before = _flatten_fields(msgspec.to_builtins(ours), name)
            after = _flatten_fields(msgspec.to_builtins(theirs), name)
            texts += [
                f"{kind}: {field}: {before.get(field)} / {after.get(field)}"[:TEXT_LENGTH_MAX]
                for field in sorted(before.keys() | after.keys())
                if before.get(field) != after.get(field)
            ]
    return texts


def _strategy_changes(one: SessionBody, other: SessionBody) -> list[str]:
    ours, theirs = ({strategy.name: strategy for strategy in body.strategies} for body in (one, other))
    texts = [f"{CODE}: strategy {name} is in one of them only" for name in sorted(ours.keys() ^ theirs.keys())]
    for name in sorted(ours.keys() & theirs.keys()):
        before, after = ours[name], theirs[name]
        if before.sources != after.sources:
            texts.append(f"{CODE}: strategy {name}: other source (version {before.version} / {after.version})")
        for parameter in sorted(before.parameters.keys() | after.parameters.keys()):
            pair = before.parameters.get(parameter), after.parameters.get(parameter)
            if pair[0] != pair[1]:
                texts.append(f"{CONFIGURATION}: strategy {name}: {parameter}: {pair[0]} / {pair[1]}")
    return texts


def _flatten_fields(value: object, name: str) -> dict[str, str]:
    if isinstance(value, dict):
        return {k: v for key, item in value.items() for k, v in _flatten_fields(item, f"{name}.{key}").items()}
    return {name: str(value)}


def _first_difference(kind: str, one: Iterable[SideText], other: Iterable[SideText]) -> FirstDifference | None:
    for ours, theirs in zip_longest(one, other):
        if ours is not None and theirs is not None and ours.text == theirs.text:
            continue
        record = (ours or theirs).record
        texts = [
            f"{_shortened(side)} (record {side.record.seq})" if side is not None else "nothing more"
            for side in (ours, theirs)
        ]
        return FirstDifference(kind, f"{texts[0]} in the first, {texts[1]} in the second", record.time_ns)
    return None


def _shortened(side: SideText) -> str:
    text = side.text if isinstance(side.text, str) else " ".join(side.text)
    return text if len(text) <= TEXT_LENGTH_MAX else f"{text[:TEXT_LENGTH_MAX]}..."


def _market_messages(journal: Journal) -> Iterator[SideText]:
    for record in journal.records(kinds=(Kind.FEED,)):
        if record.meta is None:
            yield SideText((record.source, (record.payload or b"").decode("utf-8", "backslashreplace")), record)


def _answer_times(journal: Journal) -> Iterator[SideText]:
    """Yield how long each order and cancel waited for its answer, in nanoseconds."""
    for request, answer in _answered_requests(journal):
        purpose = read_request(request.body or "").purpose
        yield SideText(f"{purpose} answered after {answer.time_ns - request.time_ns} ns", answer)


def _outcomes(journal: Journal) -> Iterator[SideText]:
    """Yield the venue's answer to each order and cancel: accepted, or refused with its reason."""
    for request, answer in _answered_requests(journal):
        meta = msgspec.json.decode(answer.meta or "{}")
        status = meta.get("status", meta.get("outcome", ""))
        refused = (answer.payload or b"").decode("utf-8", "replace")[:TEXT_LENGTH_MAX] if status != OK_STATUS else ""
        yield SideText(f"{read_request(request.body or '').purpose}: {status} {refused}".rstrip(), answer)


def _commands(journal: Journal) -> Iterator[SideText]:
    for record in journal.records(kinds=(Kind.COMMAND,)):
        command = read_command(record.body or "")
        if command.by != "resim":
            yield SideText(f"{command.command} by {command.by or 'nobody'}", record)


def _answered_requests(journal: Journal) -> Iterator[tuple[Record, Record]]:
    """Yield orders and cancels with their answers, in the order of the answers."""
    requests: dict[int, Record] = {}
    for record in journal.records(kinds=(Kind.REQUEST, Kind.BROKER)):
        if record.kind is Kind.REQUEST:
            if read_request(record.body or "").mutates:
                requests[record.seq] = record
        elif record.cause in requests and record.meta is not None:
            yield requests.pop(record.cause), record


def _fills(journal: Journal) -> Iterator[SideText]:
    for record in journal.records(kinds=(Kind.FACT,)):
        fact = read_fact(record.body or "")
        if not isinstance(fact, facts.OrderFilled):
            continue
        execution = f"{fact.side} {fact.quantity:f} {fact.instrument.partition(':')[2]} at {fact.price:f}"
        yield SideText(f"{execution}, fee {fact.fee:f} {fact.fee_asset}, {'maker' if fact.maker else 'taker'}", record)
