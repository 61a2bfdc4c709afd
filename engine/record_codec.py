"""Record bodies as text, and back: canonical JSON in, values out. No other module reads or searches a body's text."""

from collections.abc import Callable
from functools import cache
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
from journal.record import WRITERS, Kind, canonical


@cache
def _fields_of(kind: type[msgspec.Struct]) -> tuple[tuple[str, str, bool, Any], ...]:
    """Return a kind's fields in the order of canonical JSON: name, text before the value, is it optional, its default.

    The tag is an entry without a name, all text.
    """
    given = [(field.name, field.default) for field in msgspec.structs.fields(kind)]
    fields = [(name, f'"{name}":', default is not msgspec.NODEFAULT, default) for name, default in given]
    config = kind.__struct_config__
    tag = [] if config.tag is None else [("", f'"{config.tag_field}":{canonical(config.tag)}', False, None)]
    return tuple(sorted(fields + tag, key=lambda field: field[1]))


def text_of(body: msgspec.Struct) -> str:
    """Return a body as canonical JSON with the tag of its kind, without fields at their defaults."""
    texts = []
    for name, before, optional, default in _fields_of(type(body)):
        if not name:
            texts.append(before)
        elif (value := getattr(body, name)) is not None and not (optional and value == default):
            texts.append(before + WRITERS[type(value)](value))
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
