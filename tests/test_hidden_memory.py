"""Memory outside State that the guard of modules does not see is named after a run."""

import pytest

from engine.session_record import StrategySettings
from engine.strategy.loading import load

STRATEGY = """
from collections import deque
from dataclasses import dataclass
from functools import partial
from itertools import count

from verbatim import OnQuote

{memory}


class Remembers:
    version = "1"
    instruments = ("*",)
    cadence = OnQuote()

    @dataclass
    class Parameters:
        pass

    @dataclass
    class State:
        pass

    @staticmethod
    def decide(view, state, parameters):
        {use}
        return ()
"""
COUNTER = "def counter():\n    {cell}\n    def turn():\n        {code}\n    return turn\n\nTURN = counter()"
OWN = "class Own:\n    {slots}\n    def __init__(self):\n        self.turns = 0\n\nKEPT = {value}"


def found(memory: str, use: str) -> list[str]:
    """Return what is named after two decisions. Before them nothing may be, but iterators."""
    source = STRATEGY.format(memory=memory, use=use)
    loaded = load(StrategySettings("r", "1", "r", "Remembers", {}, {"r": source}))
    assert loaded.hidden is not None
    loaded.hidden.keep()
    before = loaded.hidden.changed_names()
    for _ in range(2):
        loaded.cls.decide(None, None, None)
    names = loaded.hidden.changed_names()
    assert before in ((), names)
    return [name.removeprefix("r.py ") for name in names]


@pytest.mark.parametrize(
    ("memory", "use", "named"),
    [
        (COUNTER.format(cell="turns = 0", code="nonlocal turns; turns += 1"), "TURN()", "TURN"),
        (COUNTER.format(cell="seen = []", code="seen.append(1)"), "TURN()", "TURN"),
        (OWN.format(slots="pass", value="Own()"), "KEPT.turns += 1", "KEPT"),
        (OWN.format(slots="__slots__ = ('turns',)", value="(Own(),)"), "KEPT[0].turns += 1", "KEPT"),
        ("KEPT = (iter([1, 2, 3]),)", "next(KEPT[0])", "KEPT"),
        ("KEPT = {'at': count()}", "pass", "KEPT"),
        ("APPEND = partial(list.append, [])", "APPEND(1)", "APPEND"),
        ("APPEND = [].append", "APPEND(1)", "APPEND"),
        ("def note():\n    pass", "note.turns = getattr(note, 'turns', 0) + 1", "note"),
        ("KEPT = ((deque(maxlen=3),),)", "KEPT[0][0].append(1)", "KEPT"),
    ],
)
def test_memory_outside_state_is_named(memory: str, use: str, named: str) -> None:
    assert found(memory, use) == [named]


@pytest.mark.parametrize(
    ("memory", "use"),
    [
        (OWN.format(slots="pass", value="Own()"), "KEPT.turns = KEPT.turns"),
        (COUNTER.format(cell="seen = [1]", code="return seen[0]"), "TURN()"),
        ("LEVELS = ({'a': (1, 2)}, frozenset({'b', 'c'}))", "LEVELS[0]['a']"),
        ("class Levels(list):\n    def __iter__(self):\n        raise OSError\n\nLEVELS = Levels([1])", "len(LEVELS)"),
    ],
)
def test_what_did_not_change_is_not_named(memory: str, use: str) -> None:
    assert found(memory, use) == []
