"""One row of the journal: what it is made of and how its own text is written.

Knows nothing of files, and nothing of what the records mean: `engine` decides that.
This is the only module of `journal` that the engine's core may import.
"""

import json
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from math import isfinite
from typing import Any

import msgspec


class Kind(StrEnum):
    """What a record is. Inputs come from outside and are taken by the sequencer; outputs come from a step."""

    SESSION = "SESSION"  # in: all that the session needs to be repeated alone
    FEED = "FEED"  # in: what the public may see
    BROKER = "BROKER"  # in: what belongs to an account
    LINK = "LINK"  # in: a connection, or a clock, changed its state
    TIMER = "TIMER"  # in: a time that the state asked for has come
    COMMAND = "COMMAND"  # in: a person, or the shell on a person's behalf
    FACT = "FACT"  # out: something is now known of the account or the engine
    INTENT = "INTENT"  # out: what a strategy wishes
    VERDICT = "VERDICT"  # out: what risk says of it
    REQUEST = "REQUEST"  # out: what the shell is to send or open
    NOTE = "NOTE"  # out: a remark for people
    CHECKPOINT = "CHECKPOINT"  # out: digests of every part of the state


INPUTS = frozenset({Kind.SESSION, Kind.FEED, Kind.BROKER, Kind.LINK, Kind.TIMER, Kind.COMMAND})


class Record(msgspec.Struct, frozen=True, gc=False):
    """A row. Exactly one of `payload` (the wire's bytes) and `body` (our own canonical JSON) is set."""

    seq: int  # 0, 1, 2 ... without a gap
    time_ns: int  # session time; never falls
    kind: Kind
    source: str  # which connection, strategy or module
    cause: int | None = None  # seq of the record that led to this one
    key: str | None = None  # client order id or intent id
    recv_ns: int | None = None  # wall clock right after the socket read; wire records only
    meta: str | None = None  # canonical JSON: what the wire does not carry in its body
    payload: bytes | None = None
    body: str | None = None


def plain(number: Decimal) -> str:
    """A decimal as text without exponent and without trailing zeros: one number, one text.

    >>> plain(Decimal("1.50E+3")), plain(Decimal("0.10")), plain(Decimal("-0"))
    ('1500', '0.1', '0')
    """
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def _plain_tree(value: Any) -> Any:
    match value:
        case None | bool() | int():
            return value
        case str():
            return str(value)
        case Decimal():
            return plain(value)
        case float():
            if not isfinite(value):
                raise ValueError(f"a record cannot hold {value!r}")
            return value
        case Mapping():
            return {str(name): _plain_tree(item) for name, item in value.items()}
        case list() | tuple():
            return [_plain_tree(item) for item in value]
        case frozenset() | set():
            return sorted(_plain_tree(item) for item in value)
        case msgspec.Struct():
            return {name: _plain_tree(getattr(value, name)) for name in value.__struct_fields__}
        case _:
            raise TypeError(f"a record cannot hold a {type(value).__name__}")


def canonical(value: Any) -> str:
    """Canonical JSON: sorted keys, no spaces, decimals as plain strings, finite shortest-repr floats only."""
    return json.dumps(_plain_tree(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
