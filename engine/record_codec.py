"""Record bodies as text, and back: canonical JSON in, values out. No other module reads or searches a body's text."""

from collections.abc import Callable
from functools import cache
from operator import itemgetter
from typing import Any

import msgspec
from msgspec.structs import astuple, replace

from engine.bodies import (
    CheckpointBody,
    CommandBody,
    IntentBody,
    LinkBody,
    NoteBody,
    RequestBody,
    TimerBody,
    VerdictBody,
)
from engine.facts import Fact
from engine.requests import Purpose
from engine.upcast import body_text, timer_name
from journal.record import WRITERS, Kind, late_default

_REQUIRED: Any = object()  # in place of a default


@cache
def _layout_of(kind: type[msgspec.Struct]) -> tuple[tuple[Any, ...], list[tuple[str, int, Any]]]:
    """Return a kind's tag, and its fields in the order of canonical JSON: text before the value, index, default.

    The tag, if any, is the value after the last field's.
    """
    fields = [
        (f'"{field.name}":', index, _default_of(kind, field))
        for index, field in enumerate(msgspec.structs.fields(kind))
    ]
    config = kind.__struct_config__
    if config.tag is None:
        return (), sorted(fields, key=itemgetter(0))
    fields.append((f'"{config.tag_field}":', len(fields), _REQUIRED))
    return (config.tag,), sorted(fields, key=itemgetter(0))


def _default_of(kind: type[msgspec.Struct], field: msgspec.structs.FieldInfo) -> Any:
    """Return the value at which a field is not written. An empty dict is written, as it always was, unless late."""
    if field.name in getattr(kind, "OMITTED_AT_DEFAULT", ()):
        return late_default(field)
    return _REQUIRED if field.default is msgspec.NODEFAULT else field.default


def text_of(body: msgspec.Struct) -> str:
    """Return a body as canonical JSON with the tag of its kind, without fields at their defaults."""
    tag, fields = _layout_of(type(body))
    values = astuple(body) + tag
    texts = [
        before + WRITERS[type(value)](value)
        for before, index, default in fields
        if (value := values[index]) is not None and value is not default and (default is _REQUIRED or value != default)
    ]
    return "{" + ",".join(texts) + "}"


class _Tag(msgspec.Struct):
    fact: str


class _PurposeOnly(msgspec.Struct):
    purpose: Purpose


_read_tag = msgspec.json.Decoder(_Tag).decode
_read_purpose = msgspec.json.Decoder(_PurposeOnly).decode


def fact_tag(body: str) -> str:
    """Return the tag of a FACT's body. Faster than `read_fact` where only a few kinds matter."""
    return _read_tag(body).fact


def purpose_of(body: str) -> Purpose:
    """Return the purpose in a REQUEST's body."""
    return _read_purpose(body).purpose


_decode_fact: Callable[[str], Fact] = msgspec.json.Decoder(Fact).decode
_decode_intent = msgspec.json.Decoder(IntentBody).decode
_decode_timer = msgspec.json.Decoder(TimerBody).decode


def read_fact(body: str) -> Fact:
    """Return the fact in a FACT's body, of any schema."""
    return _decode_fact(body_text(Kind.FACT, body))


def read_intent(body: str) -> IntentBody:
    """Return the intent in an INTENT's body, of any schema."""
    return _decode_intent(body_text(Kind.INTENT, body))


def read_timer(body: str) -> TimerBody:
    """Return the timer in a TIMER's body, of any schema."""
    timer = _decode_timer(body)
    name = timer_name(timer.timer)
    return timer if name == timer.timer else replace(timer, timer=name)


read_verdict = msgspec.json.Decoder(VerdictBody).decode
read_request = msgspec.json.Decoder(RequestBody).decode
read_command = msgspec.json.Decoder(CommandBody).decode
read_link = msgspec.json.Decoder(LinkBody).decode
read_note = msgspec.json.Decoder(NoteBody).decode
_decode_checkpoint = msgspec.json.Decoder(CheckpointBody).decode


def read_checkpoint(body: str) -> CheckpointBody:
    """Return the digests in a CHECKPOINT's body, of any schema."""
    return _decode_checkpoint(body_text(Kind.CHECKPOINT, body))
