"""The comparison of a replayed record with the recorded one, and the description of a difference."""

import msgspec

from engine.apply.due_timers import due_timer
from engine.kernel import Kernel
from engine.record_codec import read_checkpoint, read_request, read_timer
from engine.state.session_state import State
from journal.record import Kind, Record
from replay.record_text import shorten

_FIELDS = ("time_ns", "kind", "source", "cause", "key", "recv_ns", "meta", "payload", "body")


class Difference(msgspec.Struct, frozen=True):
    """The first place where a replay differs from its record. Either of `recorded` and `replayed` may be absent."""

    seq: int
    what: str
    recorded: Record | None
    replayed: Record | None
    fields: tuple[str, ...] = ()
    chain: tuple[str, ...] = ()
    command: str = ""


def output_difference(recorded: Record, replayed: Record, not_compared: set[str]) -> Difference | None:
    """Return the first difference, or None if the two records are equal.

    Args:
        recorded: The journal's record.
        replayed: The record of the same seq that the replay made.
        not_compared: Receives the parts of a CHECKPOINT whose versions differ.
    """
    if recorded == replayed:
        return None
    fields = tuple(name for name in _FIELDS if getattr(recorded, name) != getattr(replayed, name))
    if fields == ("body",) and recorded.kind is Kind.CHECKPOINT:
        what = _checkpoint_difference(recorded, replayed, not_compared)
        return Difference(recorded.seq, what, recorded, replayed, fields) if what else None
    if recorded.kind is not replayed.kind:
        what = f"recorded {_record_name(recorded)}, replayed {_record_name(replayed)}"
    else:
        what = f"{_record_name(recorded)} differs in {', '.join(fields)}"
        if "body" in fields:
            what += f" ({_differing_fields(recorded, replayed)})"
    return Difference(recorded.seq, what, recorded, replayed, fields)


def only_recorded(recorded: Record) -> Difference:
    """Return the difference of an output that the replay did not make."""
    return Difference(recorded.seq, f"recorded {_record_name(recorded)}, replayed nothing", recorded, None)


def only_replayed(replayed: Record, recorded: Record | None) -> Difference:
    """Return the difference of an output that the journal does not have."""
    expected = "nothing" if recorded is None else f"an input ({_record_name(recorded)})"
    return Difference(replayed.seq, f"recorded {expected}, replayed {_record_name(replayed)}", recorded, replayed)


def missing_end(last: Record) -> Difference:
    """Return the difference of a journal that is sealed as closed but has no closing records."""
    what = f"the journal is sealed as closed but ends at {_record_name(last)}: its end is missing"
    return Difference(last.seq, what, last, last)


def timer_difference(kernel: Kernel, state: State, record: Record) -> Difference | None:
    """Return the difference if an input does not come when the state expects it, else None.

    Called for each TIMER, and for an input before which a TIMER was due.
    """
    if record.kind is not Kind.TIMER:
        expected = due_timer(state, kernel.session.timer_periods_ns, record.time_ns)
        return Difference(
            record.seq, f"recorded {_record_name(record)}, but first {_timer_text(expected)}", record, expected
        )
    late_ns = msgspec.json.decode(record.meta or '{"late_ns":0}')["late_ns"]
    expected = due_timer(state, kernel.session.timer_periods_ns, state.next_due_ns + late_ns)
    is_same = record == expected  # compared as a whole first: a session has many timers
    fields = () if is_same else tuple(name for name in _FIELDS if getattr(record, name) != getattr(expected, name))
    if not fields and late_ns >= 0:
        return None
    return Difference(
        record.seq, f"recorded the timer {record.body}, but {_timer_text(expected)}", record, expected, fields
    )


def _timer_text(expected: Record) -> str:
    timer = read_timer(expected.body or "")
    return f"{timer.timer} was due at {timer.due_ns}"


def _record_name(record: Record) -> str:
    if record.kind is Kind.REQUEST:
        return f"REQUEST {read_request(record.body or '').purpose}"
    if record.kind is Kind.FACT:
        return f"FACT {msgspec.json.decode(record.body or '{}')['fact']}"
    return f"{record.kind} of {record.source}"


def _differing_fields(recorded: Record, replayed: Record) -> str:
    """Name the fields of two JSON objects that differ, with both values."""
    ours, theirs = (_flatten_json(msgspec.json.decode(record.body or "null")) for record in (recorded, replayed))
    names = [name for name in sorted(ours.keys() | theirs.keys()) if ours.get(name) != theirs.get(name)]
    texts = [
        f"{name}: recorded {ours.get(name, 'nothing')}, replayed {theirs.get(name, 'nothing')}" for name in names[:3]
    ]
    return shorten("; ".join(texts) + (f"; and {len(names) - 3} more" if len(names) > 3 else ""))


def _flatten_json(value: object, name: str = "") -> dict[str, str]:
    if isinstance(value, dict):
        return {
            k: v
            for key, item in value.items()
            for k, v in _flatten_json(item, f"{name}.{key}" if name else str(key)).items()
        }
    return {name: msgspec.json.encode(value).decode()}


def _checkpoint_difference(recorded: Record, replayed: Record, not_compared: set[str]) -> str:
    recorded_body, replayed_body = (read_checkpoint(record.body or "") for record in (recorded, replayed))
    if recorded_body.inputs != replayed_body.inputs:
        return f"CHECKPOINT after {recorded_body.inputs} inputs, replayed after {replayed_body.inputs}"
    wrong = []
    for part in sorted(recorded_body.parts.keys() | replayed_body.parts.keys()):
        recorded_part, replayed_part = recorded_body.parts.get(part), replayed_body.parts.get(part)
        if recorded_part is None or replayed_part is None or recorded_part[0] != replayed_part[0]:
            not_compared.add(part)
        elif recorded_part[1] != replayed_part[1]:
            wrong.append(part)
    return f"CHECKPOINT: other state in {', '.join(wrong)}" if wrong else ""
