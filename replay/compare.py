"""What was recorded against what is replayed: when two records are the same, and how a difference is told."""

import msgspec

from engine.kernel import Kernel
from engine.record_codec import read_checkpoint, read_request, read_timer
from engine.sequencer import due_timer
from engine.state.session_state import State
from journal.record import Kind, Record
from replay.causal_chain import short

_FIELDS = ("time_ns", "kind", "source", "cause", "key", "recv_ns", "meta", "payload", "body")


class Difference(msgspec.Struct, frozen=True):
    """The first place where a replay and its record part. One of `recorded` and `replayed` may be absent."""

    seq: int
    what: str
    recorded: Record | None
    replayed: Record | None
    fields: tuple[str, ...] = ()
    chain: tuple[str, ...] = ()
    command: str = ""


def outputs_differ(recorded: Record, replayed: Record, not_compared: set[str]) -> Difference | None:
    """None where they say the same. Parts of a CHECKPOINT whose versions differ are added to `not_compared`."""
    if recorded == replayed:
        return None
    fields = tuple(name for name in _FIELDS if getattr(recorded, name) != getattr(replayed, name))
    if fields == ("body",) and recorded.kind is Kind.CHECKPOINT:
        what = _checkpoints_differ(recorded, replayed, not_compared)
        return Difference(recorded.seq, what, recorded, replayed, fields) if what else None
    if recorded.kind is not replayed.kind:
        what = f"recorded {_name(recorded)}, replayed {_name(replayed)}"
    else:
        what = f"{_name(recorded)} differs in {', '.join(fields)}"
        if "body" in fields:
            what += f" ({_body_difference(recorded, replayed)})"
    return Difference(recorded.seq, what, recorded, replayed, fields)


def only_recorded(recorded: Record) -> Difference:
    return Difference(recorded.seq, f"recorded {_name(recorded)}, replayed nothing", recorded, None)


def only_replayed(replayed: Record, recorded: Record | None) -> Difference:
    there = "nothing" if recorded is None else f"an input ({_name(recorded)})"
    return Difference(replayed.seq, f"recorded {there}, replayed {_name(replayed)}", recorded, replayed)


def end_missing(last: Record) -> Difference:
    """Of a journal that is sealed as closed: SessionClosing and the CHECKPOINT that vouches for all before it never came."""
    what = f"the journal is sealed as closed and ends here ({_name(last)}), but its session goes on: its end is missing"
    return Difference(last.seq, what, last, last)


def timer_differs(kernel: Kernel, state: State, record: Record) -> Difference | None:
    """Whether this input comes when the state says. Called where a TIMER was taken, and where one should have been."""
    if record.kind is not Kind.TIMER:
        expected = due_timer(state, kernel.session.timer_periods_ns, record.time_ns)
        return Difference(record.seq, f"recorded {_name(record)}, but first {_timer(expected)}", record, expected)
    late_ns = msgspec.json.decode(record.meta or '{"late_ns":0}')["late_ns"]
    expected = due_timer(state, kernel.session.timer_periods_ns, state.next_due_ns + late_ns)
    fields = tuple(name for name in _FIELDS if getattr(record, name) != getattr(expected, name))
    if not fields and late_ns >= 0:
        return None
    return Difference(record.seq, f"recorded the timer {record.body}, but {_timer(expected)}", record, expected, fields)


def _timer(expected: Record) -> str:
    timer = read_timer(expected.body or "")
    return f"{timer.timer} was due at {timer.due_ns}"


def _name(record: Record) -> str:
    if record.kind is Kind.REQUEST:
        return f"REQUEST {read_request(record.body or '').purpose}"
    if record.kind is Kind.FACT:
        return f"FACT {msgspec.json.decode(record.body or '{}')['fact']}"
    return f"{record.kind} of {record.source}"


def _body_difference(recorded: Record, replayed: Record) -> str:
    """The names within two JSON objects that differ, with both values."""
    ours, theirs = (_flat(msgspec.json.decode(each.body or "null")) for each in (recorded, replayed))
    names = [name for name in sorted(ours.keys() | theirs.keys()) if ours.get(name) != theirs.get(name)]
    said = [
        f"{name}: recorded {ours.get(name, 'nothing')}, replayed {theirs.get(name, 'nothing')}" for name in names[:3]
    ]
    return short("; ".join(said) + (f"; and {len(names) - 3} more" if len(names) > 3 else ""))


def _flat(value: object, name: str = "") -> dict[str, str]:
    if isinstance(value, dict):
        return {
            k: v for key, item in value.items() for k, v in _flat(item, f"{name}.{key}" if name else str(key)).items()
        }
    return {name: msgspec.json.encode(value).decode()}


def _checkpoints_differ(recorded: Record, replayed: Record, not_compared: set[str]) -> str:
    ours, theirs = (read_checkpoint(each.body or "") for each in (recorded, replayed))
    if ours.inputs != theirs.inputs:
        return f"CHECKPOINT after {ours.inputs} inputs, replayed after {theirs.inputs}"
    wrong = []
    for part in sorted(ours.parts.keys() | theirs.parts.keys()):
        mine, other = ours.parts.get(part), theirs.parts.get(part)
        if mine is None or other is None or mine[0] != other[0]:
            not_compared.add(part)
        elif mine[1] != other[1]:
            wrong.append(part)
    return f"CHECKPOINT: other state in {', '.join(wrong)}" if wrong else ""
