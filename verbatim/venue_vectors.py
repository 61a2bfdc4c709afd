"""Recorded messages of a venue with their expected events, and damaged copies of them, for the contract of a venue."""

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, get_args

from engine.events import Answer, Event
from journal.record import canonical

MUTATIONS = 200  # of each payload
EVENTS = get_args(Event)


def read_cases(vectors: Path, name: str) -> list[dict[str, Any]]:
    """Return the cases of one file of a folder of vectors."""
    path = vectors / f"{name}.json"
    cases: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))
    assert cases, f"{path} is empty"
    return cases


def mutations(payload: bytes, random: Random) -> Iterator[bytes]:
    """Yield bytes that are nearly the payload, and some that are nothing like it."""
    yield from (b"", b"\x00", b"null", b"[]", b"{}", b"\xff" * 8, payload[:1] * 2_000)
    for _ in range(MUTATIONS):
        changed = bytearray(payload)
        for _ in range(random.randint(1, 4)):
            place = random.randrange(len(changed) + 1)
            match random.randrange(4):
                case 0:
                    changed[place : place + 1] = bytes([random.randrange(256)])
                case 1:
                    del changed[place : place + random.randint(1, 12)]
                case 2:
                    changed[place:place] = random.choice(
                        (b"9" * 40, b"-1", b"1e999", b"null", b'"', b"{", b"[[", b"\\u0000")
                    )
                case _:
                    changed[place:place] = changed[: random.randint(0, 20)]
        yield bytes(changed)


def only_answer(events: tuple[Event, ...], payload: bytes) -> Answer:
    """Return the Answer that an answer's events begin with. Raises AssertionError unless there is exactly one."""
    assert events, f"no Answer to {payload[:200]!r}"
    answer = events[0]
    assert isinstance(answer, Answer), f"{answer} before the Answer to {payload[:200]!r}"
    assert not any(isinstance(event, Answer) for event in events[1:]), f"two Answers to {payload[:200]!r}"
    return answer


def compare_events(events: tuple[Event, ...], stated: list[dict[str, Any]], payload: bytes) -> None:
    """Compare events with those of a vector, for the fields that the vector states."""
    assert all(isinstance(event, EVENTS) for event in events), events
    told = [{"event": type(event).__name__, **json.loads(canonical(event))} for event in events]
    assert len(told) == len(stated), f"{payload[:200]!r} gives {told}"
    for one, wanted in zip(told, stated, strict=True):
        assert _agrees(one, wanted), f"{payload[:200]!r} gives {one}, not {wanted}"


def _agrees(value: Any, stated: Any) -> bool:
    """Return True if a JSON value has everything that a vector states; objects may have more fields."""
    match value, stated:
        case dict(), dict():
            return all(name in value and _agrees(value[name], field) for name, field in stated.items())
        case list(), list():
            return len(value) == len(stated) and all(map(_agrees, value, stated))
        case _:
            return bool(value == stated)
