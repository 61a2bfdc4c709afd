"""One row of the journal: its fields, and the canonical JSON of our records.

Knows nothing of files or of the meaning of records, which `engine` defines.
This is the only module of `journal` that the engine's core may import.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from decimal import Context, Decimal
from enum import Enum, StrEnum
from itertools import chain
from json.encoder import encode_basestring as _string
from math import isfinite
from typing import Any

import msgspec


class Kind(StrEnum):
    """The kind of a record. Inputs come from outside through the sequencer; outputs come from a step."""

    SESSION = "SESSION"  # in: everything needed to repeat the session from its journal alone
    FEED = "FEED"  # in: public data of a venue
    BROKER = "BROKER"  # in: data of an account
    LINK = "LINK"  # in: a connection, or a clock, changed its state
    TIMER = "TIMER"  # in: a timer that the state had set is due
    COMMAND = "COMMAND"  # in: from a person, or from the shell for a person
    FACT = "FACT"  # out: a new fact about the account or the engine
    INTENT = "INTENT"  # out: an order or cancel that a strategy wants
    VERDICT = "VERDICT"  # out: the decision of risk about an intent
    REQUEST = "REQUEST"  # out: a message to send or a connection to open
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
    meta: str | None = None  # canonical JSON: facts beside the body, such as the HTTP status
    payload: bytes | None = None
    body: str | None = None


_scientific = Context(capitals=1).to_sci_string  # independent of the current context
_long_item = re.compile(r'\.[0-9]*0"(?=[,\]])')  # the end of an item of an array with zeros that records leave out


def plain(number: Decimal) -> str:
    """Return a decimal as text without exponent or trailing zeros, so that equal numbers have equal texts.

    >>> plain(Decimal("1.50E+3")), plain(Decimal("0.10")), plain(Decimal("-0"))
    ('1500', '0.1', '0')
    """
    text = _scientific(number)
    if "E" in text:
        text = format(number, "f")  # three times slower, so only for exponents
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def recorded_numbers(template: str, numbers: Iterable[Decimal]) -> str:
    """Return a JSON template with the recorded texts of numbers in place of the items "%s"."""
    texts = tuple(map(_scientific, numbers))
    text = template % texts
    if "E+" in text or "E-" in text or '"-0"' in text:
        return template % tuple(map(_recorded, texts))
    return _long_item.sub(_shorter, text)


def _shorter(item: re.Match[str]) -> str:
    return item[0].rstrip('0"').rstrip(".") + '"'


def _recorded(text: str) -> str:
    """Return a number's recorded text: as `plain`, but "-0" for a negative zero with decimal places."""
    if "E" in text or text == "-0":
        return plain(Decimal(text))
    return text.rstrip("0").rstrip(".") if "." in text else text


def _decimal(number: Decimal) -> str:
    text = _scientific(number)  # most values of our records are decimals, and most of them have digits alone
    return f'"{text}"' if text.isdigit() else f'"{_recorded(text)}"'


def _float(value: float) -> str:
    if not isfinite(value):
        raise ValueError(f"a record cannot hold {value!r}")
    return repr(value)


_STRINGS = frozenset({str})
_TUPLES = frozenset({tuple})
_encode = msgspec.json.Encoder().encode  # writes strings as `_string` does, but refuses lone surrogates


def _mapping(value: Mapping[Any, Any]) -> str:
    if _STRINGS.issuperset(map(type, value)):  # nearly always
        texts = [f"{_string(name)}:{WRITERS[type(item := value[name])](item)}" for name in sorted(value)]
        return "{" + ",".join(texts) + "}"
    names = sorted(value, key=str)
    return "{" + ",".join([f"{_string(str(name))}:{WRITERS[type(item := value[name])](item)}" for name in names]) + "}"


def _sequence(value: Collection[Any]) -> str:
    if _STRINGS.issuperset(map(type, value)):
        return f"[{','.join(map(_string, value))}]"
    if _TUPLES.issuperset(map(type, value)) and _STRINGS.issuperset(map(type, chain.from_iterable(value))):
        try:
            return _encode(value).decode()  # the names and values of requests
        except UnicodeEncodeError:
            pass
    return "[" + ",".join([WRITERS[type(item)](item) for item in value]) + "]"


def _pairs(value: tuple[tuple[str, str], ...]) -> str:
    """Write names with values, as those of a request."""
    try:
        return _encode(value).decode()
    except (UnicodeEncodeError, TypeError):  # a lone surrogate, or a subclass of str
        return _sequence(value)


# by the field's type, where it says all: a field of Decimal may hold a whole number that a strategy gave
_EXPRESSIONS = {tuple[tuple[str, str], ...]: "pairs(item)"}


def late_defaults(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Return field -> the value at which it is not written, for the fields of OMITTED_AT_DEFAULT.

    A kind got them after records of it existed: without them, those records keep their bytes.
    """
    late: frozenset[str] = getattr(kind, "OMITTED_AT_DEFAULT", frozenset())
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        if field.name in late:
            factory: Any = field.default_factory
            found[field.name] = field.default if factory is msgspec.NODEFAULT else factory()
    return found


def struct_writer(
    kind: type[msgspec.Struct], omitted: Mapping[str, Any], *, tag: Mapping[str, str] | None = None
) -> Callable[[Any], str]:
    """Return a function that writes a struct as canonical JSON, made as source text with an expression a field.

    Dataclasses are made in the same way. A loop over the fields took a tenth of the time of an order.

    Args:
        kind: The struct's class.
        omitted: Field -> the value at which it is not written.
        tag: A further field, with its text.

    """
    scope: dict[str, Any] = {"WRITERS": WRITERS, "string": _string, "pairs": _pairs}
    tags = tag or {}
    kinds = {field.name: field.type for field in msgspec.structs.fields(kind)}
    lines = ["def write(struct):", " text = ''"]
    always = ""  # fields in a row that are always written
    for name in sorted([*kinds, *tags]):
        if name in tags:
            always += f',"{name}":{_string(tags[name])}'
            continue
        write = _expression_of(kinds[name])
        if name not in omitted:
            always += f',"{name}":{{{write.replace("item", f"struct.{name}", 1)}}}'
            continue
        if always:
            lines.append(f" text += f'{always}'")
            always = ""
        default = f"default_{name}"
        scope[default] = omitted[name]
        differs = "" if omitted[name] is None else f" and item != {default}"
        is_simple = kinds[name] in (str, int, bool, Decimal) and not omitted[name]  # then a default is what is false
        lines.append(
            f" if item := struct.{name}:" if is_simple else f" if (item := struct.{name}) is not {default}{differs}:"
        )
        lines.append(f"  text += f',\"{name}\":{{{write}}}'")
    if always:
        lines.append(f" text += f'{always}'")
    lines.append(" return f'{{{text[1:]}}}'")
    exec("\n".join(lines), scope)
    writer: Callable[[Any], str] = scope["write"]
    return writer


def _expression_of(kind: Any) -> str:
    """Return the expression that writes the item of a field by the field's type, without a look-up where it can."""
    if isinstance(kind, type) and issubclass(kind, str):
        return "string(item)"  # a StrEnum is its value
    return _EXPRESSIONS.get(kind, "WRITERS[type(given := item)](given)")


class _Writers(dict[type, Callable[[Any], str]]):
    """The writer of each type, created on first use, because requests are encoded while an order waits to leave."""

    def __missing__(self, kind: type) -> Callable[[Any], str]:
        config: Any = getattr(kind, "__struct_config__", None)
        if getattr(kind, "WRITES_TAG", False):  # a member of a union that is a field
            self[kind] = struct_writer(kind, late_defaults(kind), tag={str(config.tag_field): str(config.tag)})
        elif issubclass(kind, msgspec.Struct):
            self[kind] = struct_writer(kind, late_defaults(kind))
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


WRITERS = _Writers(  # hot loops write `WRITERS[type(value)](value)`, which is `canonical(value)` without the call
    {
        str: _string,
        int: str,
        bool: {True: "true", False: "false"}.__getitem__,
        type(None): {None: "null"}.__getitem__,
        Decimal: _decimal,
        float: _float,
        dict: _mapping,
        list: _sequence,
        tuple: _sequence,
    }
)


class CanonicalText(str):
    """Canonical JSON that was made before. Within another value it is written as it is."""

    __slots__ = ()


WRITERS[CanonicalText] = str


def canonical(value: Any) -> str:
    """Return canonical JSON: sorted keys, no spaces, decimals as plain strings, finite shortest-repr floats only.

    >>> canonical({"b": Decimal("1.50"), "a": [1, None, True]})
    '{"a":[1,null,true],"b":"1.5"}'
    """
    return WRITERS[type(value)](value)
