"""One row of the journal: what it is made of and how its own text is written.

Knows nothing of files, and nothing of what the records mean: `engine` decides that.
This is the only module of `journal` that the engine's core may import.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Context, Decimal
from enum import Enum, StrEnum
from json.encoder import encode_basestring as _string
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


_scientific = Context(capitals=1).to_sci_string  # whatever the context of the moment


def plain(number: Decimal) -> str:
    """A decimal as text without exponent and without trailing zeros: one number, one text.

    >>> plain(Decimal("1.50E+3")), plain(Decimal("0.10")), plain(Decimal("-0"))
    ('1500', '0.1', '0')
    """
    text = _scientific(number)
    if "E" in text:
        text = format(number, "f")  # which takes three times as long
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _float(value: float) -> str:
    if not isfinite(value):
        raise ValueError(f"a record cannot hold {value!r}")
    return repr(value)


def _mapping(value: Mapping[Any, Any]) -> str:
    names = sorted(value, key=str)
    return "{" + ",".join([f"{_string(str(name))}:{WRITERS[type(value[name])](value[name])}" for name in names]) + "}"


def _sequence(value: Iterable[Any]) -> str:
    return "[" + ",".join([WRITERS[type(item)](item) for item in value]) + "]"


def _struct_writer(kind: type[msgspec.Struct]) -> Callable[[Any], str]:
    fields = [(name, f"{_string(name)}:") for name in sorted(kind.__struct_fields__)]

    def write(value: Any) -> str:
        items = [(before, getattr(value, name)) for name, before in fields]
        return "{" + ",".join([before + WRITERS[type(item)](item) for before, item in items]) + "}"

    # fields that a kind got after records of it existed: without them, those records keep their bytes
    late: frozenset[str] = getattr(kind, "OMITTED_AT_DEFAULT", frozenset())
    if not late:
        return write
    defaults = [(field.name, field.default) for field in msgspec.structs.fields(kind) if field.name in late]

    def write_without_defaults(value: Any) -> str:
        omitted = [name for name, default in defaults if getattr(value, name) == default]
        items = [(before, getattr(value, name)) for name, before in fields if name not in omitted]
        return "{" + ",".join([before + WRITERS[type(item)](item) for before, item in items]) + "}"

    return write_without_defaults


class _Writers(dict[type, Callable[[Any], str]]):
    """Type -> its writer, found once: requests and facts are written while an order waits to leave."""

    def __missing__(self, kind: type) -> Callable[[Any], str]:
        if issubclass(kind, msgspec.Struct):
            self[kind] = _struct_writer(kind)
        elif issubclass(kind, StrEnum):
            self[kind] = _string  # it is its value
        elif issubclass(kind, Enum):
            self[kind] = lambda value: canonical(value.value)
        elif issubclass(kind, str):
            self[kind] = lambda value: _string(str(value))
        elif issubclass(kind, Mapping):
            self[kind] = _mapping
        elif issubclass(kind, frozenset | set):
            self[kind] = lambda value: _sequence(sorted(value))
        else:
            raise TypeError(f"a record cannot hold a {kind.__name__}")
        return self[kind]


WRITERS = _Writers(  # `WRITERS[type(value)](value)` is `canonical(value)` without the call: for who writes many
    {
        str: _string,
        int: str,
        bool: lambda value: "true" if value else "false",
        type(None): lambda _: "null",
        Decimal: lambda value: f'"{plain(value)}"',
        float: _float,
        dict: _mapping,
        list: _sequence,
        tuple: _sequence,
    }
)


def canonical(value: Any) -> str:
    """Canonical JSON: sorted keys, no spaces, decimals as plain strings, finite shortest-repr floats only.

    >>> canonical({"b": Decimal("1.50"), "a": [1, None, True]})
    '{"a":[1,null,true],"b":"1.5"}'
    """
    return WRITERS[type(value)](value)
