"""Record bodies as text, and back: canonical JSON in, values out. No other module reads or searches a body's text."""

from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Any

import msgspec

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
from engine.upcast import body_text
from journal.record import WRITERS, Kind

_REQUIRED: Any = object()  # in place of a default


@cache
def _layout_of(kind: type[msgspec.Struct]) -> tuple[Callable[[Any], tuple[Any, ...]], tuple[tuple[str, Any], ...]]:
    """Return the reader of a kind's values and (text before the value, default) of each, in canonical order."""
    fields = [
        (f'"{field.name}":', field.name, _REQUIRED if field.default is msgspec.NODEFAULT else field.default)
        for field in msgspec.structs.fields(kind)
    ]
    config = kind.__struct_config__
    if config.tag is not None:
        fields.append((f'"{config.tag_field}":', "__struct_config__.tag", _REQUIRED))
    fields.sort(key=lambda field: field[0])
    names = [name for _, name, _ in fields]
    read = attrgetter(*names, names[0])  # one more: it returns a tuple only for two or more
    return read, tuple((before, default) for before, _, default in fields)


def text_of(body: msgspec.Struct) -> str:
    """Return a body as canonical JSON with the tag of its kind, without fields at their defaults."""
    read, fields = _layout_of(type(body))
    texts = [
        before + WRITERS[type(value)](value)
        for (before, default), value in zip(fields, read(body), strict=False)
        if value is not None and value is not default and (default is _REQUIRED or value != default)
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
    return _decode_timer(body_text(Kind.TIMER, body))


read_verdict = msgspec.json.Decoder(VerdictBody).decode
read_request = msgspec.json.Decoder(RequestBody).decode
read_command = msgspec.json.Decoder(CommandBody).decode
read_link = msgspec.json.Decoder(LinkBody).decode
read_note = msgspec.json.Decoder(NoteBody).decode
_decode_checkpoint = msgspec.json.Decoder(CheckpointBody).decode


def read_checkpoint(body: str) -> CheckpointBody:
    """Return the digests in a CHECKPOINT's body, of any schema."""
    return _decode_checkpoint(body_text(Kind.CHECKPOINT, body))
