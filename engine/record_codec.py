"""Record bodies as text, and back: canonical JSON in, values out. No other module reads or searches a body's text."""

from collections.abc import Callable
from functools import lru_cache
from itertools import chain
from typing import Any

import msgspec
from msgspec.structs import replace

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
from engine.facts import Fact, NewOrder
from engine.requests import Purpose
from engine.upcast import body_text, timer_name
from journal.record import WRITERS, Kind, canonical, late_defaults, recorded_numbers, struct_writer


class _BodyWriters(dict[type, Callable[[Any], str]]):
    """The writer of each kind of body, made on first use."""

    def __missing__(self, kind: type[msgspec.Struct]) -> Callable[[Any], str]:
        # no default is written; an empty dict is, as it always was, unless its field came late
        defaults = {field.name: field.default for field in msgspec.structs.fields(kind)}
        omitted = {name: default for name, default in defaults.items() if default is not msgspec.NODEFAULT}
        omitted |= late_defaults(kind)
        config = kind.__struct_config__
        tag = {config.tag_field or "": str(config.tag)} if config.tag is not None else None
        self[kind] = struct_writer(kind, omitted, tag=tag)
        return self[kind]


def _order_writer() -> Callable[[NewOrder], str]:
    """Return the writer of orders. An intent and its request hold the same order, so the last text is kept."""
    write = struct_writer(NewOrder, late_defaults(NewOrder))
    last: tuple[NewOrder | None, str] = (None, "")  # one value, since threads of readers write orders too

    def order_text(order: NewOrder) -> str:
        nonlocal last
        known, text = last
        if order is not known:
            text = write(order)
            last = (order, text)
        return text

    return order_text


@lru_cache(maxsize=16)
def _passed(rules: tuple[str, ...]) -> tuple[VerdictBody, str]:
    """Return the verdict that these rules approve, and its text."""
    verdict = VerdictBody(approved=True, rules=dict.fromkeys(rules, ""))
    return verdict, _write_verdict(verdict)


@lru_cache(maxsize=256)
def _figures_form(names: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Return the text of the figures of these limits with places for their numbers, and the limits in its order."""
    in_order = tuple(sorted(names))
    texts = [canonical(name).replace("%", "%%") + ':["%s","%s","%s"]' for name in in_order]
    return f"{{{','.join(texts)}}}", in_order


def _verdict_text(verdict: VerdictBody) -> str:
    """Write a verdict. Without figures, nearly all of a session are equal and approve."""
    if verdict.figures:
        if not verdict.approved or verdict.rules or verdict.strategy or verdict.instrument:
            return _write_verdict(verdict)
        template, names = _figures_form(tuple(verdict.figures))  # many numbers of the same few limits
        figures = recorded_numbers(template, chain.from_iterable(map(verdict.figures.__getitem__, names)))
        return f'{{"approved":true,"figures":{figures},"rules":{{}}}}'
    passed, text = _passed(tuple(verdict.rules))
    return text if verdict == passed else _write_verdict(verdict)


# `BODY_WRITERS[type(body)](body)` is `text_of(body)` without the call
BODY_WRITERS = _BodyWriters()
_write_verdict = BODY_WRITERS[VerdictBody]
BODY_WRITERS[VerdictBody] = _verdict_text
WRITERS[NewOrder] = _order_writer()


def text_of(body: msgspec.Struct) -> str:
    """Return a body as canonical JSON with the tag of its kind, without fields at their defaults."""
    return BODY_WRITERS[type(body)](body)


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
