"""Record bodies as text, and back: canonical JSON in, values out. No other module reads or searches a body's text."""

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
from journal.record import WRITERS, canonical


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


read_fact = msgspec.json.Decoder(Fact).decode
read_intent = msgspec.json.Decoder(IntentBody).decode
read_verdict = msgspec.json.Decoder(VerdictBody).decode
read_request = msgspec.json.Decoder(RequestBody).decode
read_timer = msgspec.json.Decoder(TimerBody).decode
read_command = msgspec.json.Decoder(CommandBody).decode
read_link = msgspec.json.Decoder(LinkBody).decode
read_note = msgspec.json.Decoder(NoteBody).decode
read_checkpoint = msgspec.json.Decoder(CheckpointBody).decode
