"""A case of a risk rule: a transcript of steps (risk_desk.py), and the answer of the rule to the last one."""

from typing import Any, NamedTuple

import msgspec


def _text(value: Any) -> str:
    """Return a given limit; of a scope only the limits that it sets."""
    if isinstance(value, dict):
        return " ".join(f"{name} {_text(each)}" for name, each in value.items())
    if not isinstance(value, msgspec.Struct):
        return str(value)
    fields = ((name, getattr(value, name)) for name in value.__struct_fields__)
    return " ".join(f"{name} {each}" for name, each in fields if each)


class Case(NamedTuple):
    rule: str
    steps: tuple[str, ...]
    answer: str  # "": accepted; {first} is the id of the first order
    given: dict[str, Any]  # limits of the session (risk), of the instrument, of the venue, and the account's funds

    def __str__(self) -> str:
        given = ", ".join(f"{name} {_text(value)}" for fields in self.given.values() for name, value in fields.items())
        return f"{self.rule}: {' | '.join(self.steps)} ({given}): {'refused' if self.answer else 'accepted'}"


def accepted(rule: str, *steps: str, **given: Any) -> Case:
    return Case(rule, steps, "", given)


def refused(rule: str, *steps: str, because: str, **given: Any) -> Case:
    return Case(rule, steps, because, given)
