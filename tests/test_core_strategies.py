"""What a strategy's code may do to the engine: nothing. Honest mistakes, each found at load or stopped at its own step."""

import inspect
import types
from enum import Enum
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from by_hand import HAND, ByHand

import verbatim
from engine.strategy.api import View
from engine.strategy.source_guard import StrategyError
from journal.record import Kind
from verbatim.testing import from_sources

DECIDE = "        if state.placed < parameters.orders:\n"


def with_decide(first_lines: str, *, head: str = "") -> str:
    """The hand's code with something done first in each decision."""
    indented = "".join(f"        {line}\n" for line in first_lines.splitlines())
    return head + HAND.replace(DECIDE, indented + DECIDE)


@pytest.mark.parametrize(
    "head",
    [
        "import time",
        "import random",
        "import os.path",
        "from statistics import random",
        "import statistics as s\nx = s.random.random()",
        "import dataclasses\nx = dataclasses.sys",
        "from dataclasses import sys",
        "from collections import _sys",
        "import enum\nx = enum.sys.path",
        "import verbatim.runner",
        "from verbatim.testing import VirtualVenue",
        "from verbatim import cli",
        "from functools import reduce\nx = hash('a')",
        "x = id(1)",
        "exit()",
        "import itertools\nnumber = itertools.count()",
        "numbers = (x for x in range(3))",
        "def f(x, seen=[]):\n    return seen",
    ],
)
def test_what_cannot_be_repeated_or_would_persist_is_refused_at_load(head: str) -> None:
    with pytest.raises(StrategyError):
        from_sources({"hand": head + "\n" + HAND}, "hand", "Hand")


@pytest.mark.parametrize(
    "head",
    ["import collections.abc", "from collections import deque, defaultdict", "from collections.abc import Sequence",
     "import math\nx = math.pi", "import statistics\nx = statistics.mean([1, 2])", "LEVELS = {'a': [1, 2]}", "from functools import cache"],
)  # fmt: skip
def test_what_is_harmless_is_not_refused(head: str) -> None:
    hand = ByHand(source=head + "\n" + HAND).run(2)
    assert len(hand.orders) == 1


@pytest.mark.parametrize(
    ("lines", "head"),
    [
        ("SEEN.append(1)", "SEEN = []\n"),
        ("SEEN.append(1)\nreturn", "SEEN = []\n"),  # a decision without an intent
        ("CACHE['x'] = 1", "CACHE = {}\n"),
        ("global count\ncount += 1", "count = 0\n"),
        ("global fresh\nfresh = 1", ""),
        ("Hand.version = '2'", ""),
        ("Hand.State.extra = 1", ""),
        ("put(Hand, 'version', '2')", "put = setattr\n"),
        ("for Hand.version in '2':\n    pass", ""),
        ("del Hand.version", ""),
        ("parameters.orders = 3", ""),
        ("LEVELS['a'].append(3)", "LEVELS = {'a': [1]}\n"),
    ],
)
def test_what_would_persist_outside_state_stops_the_strategy(lines: str, head: str) -> None:
    """A replay begins with fresh modules: what a decision left in them would make it decide otherwise."""
    hand = ByHand(source=with_decide(lines, head=head)).run(2)
    assert "nothing but State persists" in hand.state.account.strategies.get("hand").stopped_for
    assert hand.orders == []
    assert hand.mode == "running"


@pytest.mark.parametrize(
    "lines",
    [
        "yield Place('BTCUSDT', 'BUY', Decimal(1))",
        "yield Place('BTCUSDT', Side.BUY, 1)",
        "yield Place('BTCUSDT', Side.BUY, Decimal('1e40'), Decimal(90))",
        "yield Place('BTCUSDT', Side.BUY, Decimal(1), Decimal('NaN'))",
        "yield Place('BTCUSDT', Side.BUY, Decimal(1), Decimal(90), type='LIMIT')",
        "yield Place('BTCUSDT', Side.BUY, Decimal(1), Decimal(90), rationale={'x': object()})",
        "yield Place('BTCUSDT', Side.BUY, Decimal(1), Decimal(90), rationale={'x': float('nan')})",
        "yield Place(None, Side.BUY, Decimal(1), Decimal(90))",
        "yield Place('BTCUSDT', Side.BUY, Decimal(1), Decimal(90), rationale={'x': 1}, because={'x': 2})",
        "from verbatim import Cancel\nyield Cancel(['a'])",
        "while True:\n    yield Place('BTCUSDT', Side.BUY, Decimal(1), Decimal(90))",
        "state.placed = float('nan')",
        "state.placed = object()",
        "raise SystemError",
    ],
)
def test_a_wish_that_is_none_costs_only_its_own_step(lines: str) -> None:
    hand = ByHand(source=with_decide(lines)).run(2)
    assert hand.state.account.strategies.get("hand").stopped_for
    assert hand.state.account.strategies.get("hand").state == {}, "no trace"
    assert hand.orders == []
    assert hand.mode == "running"


def test_a_state_that_an_older_version_left_behind_stops_the_strategy_not_the_engine() -> None:
    first = ByHand(source=with_decide("state.placed = 5")).run(2)
    assert first.state.account.strategies.get("hand").state == {"placed": 5}
    again = first.restart(source=HAND.replace("placed: int = 0", "placed: tuple[int, ...] = ()")).run(3)
    assert "ValidationError" in again.state.account.strategies.get("hand").stopped_for
    assert again.mode == "running"


def test_resuming_lets_a_stopped_strategy_try_again() -> None:
    first = ByHand(source=with_decide("1 // 0")).run(2)
    again = first.restart().run(2)
    assert again.orders == [], "a person has not looked yet"
    again.command("resume").run(3)
    assert len(again.orders) == 1


def test_the_arithmetic_of_a_strategy_is_its_own() -> None:
    """Let it set its own precision; risk and books keep theirs."""
    lines = "from decimal import getcontext\ngetcontext().prec = 2"
    hand = ByHand(source=with_decide(lines), parameters={"price": "90.12", "size": "1.23456"}).run(2)
    assert str(hand.order.order.price) == "90.12"
    verdicts = [record.body or "" for record in hand.records if record.kind.value == "VERDICT"]
    assert '"approved":true' in verdicts[0]


def test_a_view_cannot_be_written_through() -> None:
    lines = "view.position('BTCUSDT').fees['BNB'] = Decimal(7)\nview.orders().append(1)"
    hand = ByHand(source=with_decide(lines)).run(2)
    assert hand.state.account.positions.get("hand", "binance_spot:BTCUSDT").fees == {}
    assert len(hand.orders) == 1


@pytest.mark.parametrize("cadence", ["Every(0)", "Every(-5)", "OnQuote(throttle_ms=-1)", "Every(0.5)"])
def test_a_cadence_is_a_whole_time_above_zero(cadence: str) -> None:
    source = HAND.replace("OnQuote()", cadence).replace("import OnQuote", "import Every, OnQuote")
    with pytest.raises(StrategyError, match="milliseconds"):
        from_sources({"hand": source}, "hand", "Hand")


def test_annotations_as_text_are_understood() -> None:
    hand = ByHand(source="from __future__ import annotations\n" + HAND).run(2)
    assert len(hand.orders) == 1


def own_types(hint: Any) -> set[type]:
    """Every struct and enum of ours inside a type annotation, those of their fields included."""
    found: set[type] = set()
    waiting = [hint]
    while waiting:
        hint = waiting.pop()
        waiting += get_args(hint)
        if not isinstance(hint, type) or isinstance(hint, types.GenericAlias) or hint in found:
            continue
        if issubclass(hint, Enum):
            found.add(hint)
        elif issubclass(hint, msgspec.Struct):
            found.add(hint)
            waiting += get_type_hints(hint).values()
    return found


def test_every_type_that_a_view_returns_can_be_imported_by_a_strategy() -> None:
    methods = [method for name, method in inspect.getmembers(View, inspect.isfunction) if not name.startswith("_")]
    names = {kind.__name__: kind for method in methods for kind in own_types(get_type_hints(method)["return"])}
    assert {"Quote", "BookTop", "Bars", "Bar", "Trade", "Order", "NewOrder", "Position", "Instrument"} <= names.keys()
    for name, kind in names.items():
        assert name in verbatim.STRATEGY_NAMES, name
        assert getattr(verbatim, name) is kind
    imports = "".join(f"from verbatim import {name}\n" for name in sorted(names))
    hand = ByHand(source=imports + HAND).run(2)
    assert len(hand.orders) == 1


@pytest.mark.parametrize("spelling", ["rationale", "because"])
def test_an_intent_has_its_rationale_in_both_spellings(spelling: str) -> None:
    """Strategies inside recorded sessions were written with `because`; the record is the same."""
    lines = (
        f"intent = Place('BTCUSDT', Side.BUY, Decimal(1), Decimal(90), {spelling}={{'x': 1}})\n"
        "assert intent.rationale == intent.because == {'x': 1}\nyield intent\nreturn"
    )
    hand = ByHand(source=with_decide(lines)).run(0.5)
    assert hand.state.account.strategies.get("hand").stopped_for == ""
    intents = [record.body or "" for record in hand.records if record.kind is Kind.INTENT]
    assert '"rationale":{"quote_seq":' in intents[0]
    assert ',"x":1}' in intents[0]
    assert "because" not in intents[0]


@pytest.mark.parametrize(
    ("declaration", "reason"),
    [
        ("averages = (Average('x', -3),)", "average 'x': length must be a whole number of at least 1, not -3"),
        ("averages = (Average('x', 'a'),)", "average 'x': length must be a whole number of at least 1, not 'a'"),
        ("averages = ('x',)", "`averages` has 'x'; write Average(name, length)"),
        ("averages = (Indicator('x', 'ema', {'length': 3}),)", "write Average(name, length)"),
        ("indicators = (Indicator('x', 'ema', {'length': 0}),)", "indicator 'x': length must be a whole number"),
        ("indicators = (Indicator('x', 'ema', {'length': 2.5}),)", "indicator 'x': length must be a whole number"),
        ("indicators = (Indicator('x', 'ema', {'length': 'a'}),)", "indicator 'x': length must be a whole number"),
        ("indicators = ('x',)", "`indicators` has 'x'; write Indicator(name, kind, parameters)"),
    ],
)
def test_an_indicator_with_impossible_values_is_refused_at_load(declaration: str, reason: str) -> None:
    source = "from verbatim import Average, Indicator\n" + HAND.replace(
        'version = "1"', f'version = "1"\n    {declaration}', 1
    )
    assert declaration in source
    with pytest.raises(StrategyError) as refused:
        from_sources({"hand": source}, "hand", "Hand")
    assert reason in str(refused.value)
