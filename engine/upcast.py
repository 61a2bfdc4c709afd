"""Bodies of older sessions, read as bodies of today. The bytes of a journal never change: decoders call this module.

A SESSION record names the schema of its session (`schema`; 2 if it names none). A new schema adds a table here. Names
are never used again for another thing, so the upcast of a body of today is the body itself.
"""

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from journal.record import Kind, Record, canonical

OLDEST_SCHEMA = 2  # of sessions whose SESSION record names none
SCHEMA = 3


class Rename(NamedTuple):
    """A key that changed its name. In `path`, `*` stands for every element of a list or an object."""

    path: str
    old: str
    new: str


BODIES_3: dict[Kind, tuple[Rename, ...]] = {
    Kind.INTENT: (Rename("", "because", "rationale"),),
    Kind.FACT: (Rename("", "asked_seq", "query_seq"),),  # of `balance`
    Kind.SESSION: (
        Rename("venues.*", "allowance", "rate_limits"),
        Rename("engine", "ask_every_ns", "order_query_interval_ns"),
        Rename("engine", "watch_every_ns", "check_interval_ns"),
        Rename("strategies.*.declared", "cross", "cross_over"),
        Rename("strategies.*.declared", "move_ppm", "price_move_ppm"),
        Rename("strategies.*.declared", "compiled", "has_predicate"),
        Rename("resimulated", "modelled", "is_backtest"),
        Rename("opening.market", "averages", "indicators"),
    ),
    Kind.CHECKPOINT: (
        Rename("parts", "market.averages", "market.indicators"),
        Rename("parts", "market.watches", "market.triggers"),
    ),
}
FACTS_3 = {"strategy_woken": "strategy_triggered"}
KEY_REFUSED_2 = " refused our key: "  # part of a halt's reason; all other reasons become UNCLASSIFIED
TIMERS_3 = {  # the beginnings of their names
    "ask": "query",
    "every.report": "report",
    "every.strategy": "decide",
    "every.watch": "check",
    "watch": "throttle",
}
# parts of the account: in the opening state of a SESSION, in a slice's first state, in CHECKPOINT digests
ACCOUNT_3 = (
    Rename("orders", "owing", "missing_fills"),
    Rename("orders.live.*", "ask_seq", "query_seq"),
    Rename("orders.live.*", "asks", "query_count"),
    Rename("orders.closed.*", "ask_seq", "query_seq"),
    Rename("orders.closed.*", "asks", "query_count"),
    Rename("modes", "distrust_seq", "stale_since_seq"),
    Rename("limits.by_venue.*", "allowance", "rate_limits"),
    Rename("reconciling", "fills_asked_ns", "fills_queried_ns"),
)
SETTINGS_3 = {rename.old: rename.new for rename in BODIES_3[Kind.SESSION] if rename.path == "engine"}


class _Schema(msgspec.Struct):
    schema: int = OLDEST_SCHEMA


_read_schema = msgspec.json.Decoder(_Schema).decode
# texts that a body needs to hold an old name: all others skip the upcast
_MARKS = {
    Kind.INTENT: re.compile('"because":'),
    Kind.FACT: re.compile("|".join(('"asked_seq":', r'"reasons":\["', *(f'"fact":"{tag}"' for tag in FACTS_3)))),
    Kind.TIMER: re.compile("|".join(f'"timer":"{re.escape(name)}' for name in TIMERS_3)),
    Kind.CHECKPOINT: re.compile('"market.watches":'),
}


def session_text(body: str) -> str:
    """Return a SESSION body with today's names and with the `schema` that the session was written in."""
    if _read_schema(body).schema >= SCHEMA:
        return body
    values: dict[str, Any] = json.loads(body)
    values["schema"] = OLDEST_SCHEMA
    for rename in BODIES_3[Kind.SESSION]:
        _rename(values, rename)
    if values.get("opening"):
        account_values(values["opening"]["account"])
    return canonical(values)


def account_values(account: dict[str, Any]) -> dict[str, Any]:
    """Give the parts of an account today's names, in place."""
    for rename in ACCOUNT_3:
        _rename(account, rename)
    if "modes" in account:
        modes = account["modes"]
        modes["reasons"] = _reasons(modes["reasons"])
        modes["halted_for"] = _reasons([modes["halted_for"]])[0] if modes["halted_for"] else None
    if "timers" in account:  # carried state has none
        due_ns = account["timers"]["due_ns"]
        account["timers"]["due_ns"] = {timer_name(name): due for name, due in due_ns.items()}
    return account


def body_text(kind: Kind, body: str) -> str:
    """Return a body with today's names. `session_text` is for SESSION records."""
    marks = _MARKS.get(kind)
    if marks is None or marks.search(body) is None:
        return body
    values = json.loads(body)
    if kind is Kind.TIMER:
        values["timer"] = timer_name(values["timer"])
    else:
        for rename in BODIES_3[kind]:
            _rename(values, rename)
        if kind is Kind.FACT:
            values["fact"] = FACTS_3.get(values["fact"], values["fact"])
            if values["fact"] == "mode":
                values["reasons"] = _reasons(values["reasons"])
    return canonical(values)


def record(recorded: Record) -> Record:
    """Return a record of an older session as one of today, for comparisons."""
    body = None if recorded.body is None else body_text(recorded.kind, recorded.body)
    return recorded if body == recorded.body else msgspec.structs.replace(recorded, body=body)


def account_part_as_of(schema: int, name: str, values: dict[str, Any]) -> dict[str, Any]:
    """Give a part of the account the names of an older schema, in place; its digests cover these names."""
    assert schema in (OLDEST_SCHEMA, SCHEMA), schema
    if schema == OLDEST_SCHEMA:
        for rename in ACCOUNT_3:
            _rename({name: values}, Rename(rename.path, rename.new, rename.old))
        if name == "timers":
            values["due_ns"] = {_old_timer_name(timer): due_ns for timer, due_ns in values["due_ns"].items()}
        if name == "modes":
            values["reasons"] = [reason["text"] for reason in values["reasons"]]
            values["halted_for"] = values["halted_for"]["text"] if values["halted_for"] else ""
    return values


def comparable(schema: int, replayed: Record) -> Record:
    """Return a record of today without what a session of an older schema could not record: the codes of reasons."""
    assert schema == OLDEST_SCHEMA, schema
    if replayed.kind is not Kind.FACT or '"fact":"mode"' not in (replayed.body or ""):
        return replayed
    values = json.loads(replayed.body or "")
    values["reasons"] = _reasons([reason["text"] for reason in values["reasons"]])
    return msgspec.structs.replace(replayed, body=canonical(values))


def _reasons(recorded: list[Any]) -> list[Any]:
    """Return reasons for a mode, which schema 2 has as texts only."""
    return [
        {"about": "", "code": "key_refused" if KEY_REFUSED_2 in reason else "unclassified", "text": reason}
        if isinstance(reason, str)
        else reason
        for reason in recorded
    ]


def _old_timer_name(text: str) -> str:
    for old, new in TIMERS_3.items():
        if text == new or text.startswith(f"{new}."):
            return old + text.removeprefix(new)
    return text


@lru_cache(maxsize=256)  # a session has few timers, and each fires every second or so
def timer_name(text: str) -> str:
    """Return today's name of a timer."""
    for old, new in TIMERS_3.items():
        if text == old or text.startswith(f"{old}."):
            return new + text.removeprefix(old)
    return text


def _rename(values: Any, rename: Rename) -> None:
    for target in _objects_at(values, rename.path.split(".") if rename.path else []):
        if rename.old in target and rename.new not in target:
            target[rename.new] = target.pop(rename.old)


def _objects_at(values: Any, path: list[str]) -> Iterator[dict[str, Any]]:
    """Yield the objects at a path; a part that is absent or null ends its branch."""
    if not path:
        if isinstance(values, dict):
            yield values
        return
    first, *rest = path
    if first == "*":
        for value in values.values() if isinstance(values, dict) else values or ():
            yield from _objects_at(value, rest)
    elif isinstance(values, dict) and values.get(first) is not None:
        yield from _objects_at(values[first], rest)
