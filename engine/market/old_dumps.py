"""Dumps of earlier versions, read as today's: a slice of a session begins with the dump of the code that cut it.

A version is here as long as such slices exist. Reads no state and restores none.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from engine.market import layout as at
from engine.market.views import CrossOverSpec, PredicateSpec, PriceMoveSpec

VERSION_5 = 5  # averages were the only indicators: (instrument, count) and (weight of the newest, value, divisor) each


def as_today(parts: dict[str, Any], specification: Sequence[Any], indicator_kinds: Sequence[int]) -> dict[str, Any]:
    """Return the parts of a dump of version 5 under today's names and shapes.

    Args:
        parts: The decoded dump.
        specification: Today's specification of the market, decoded.
        indicator_kinds: The kind of each declared indicator, as the registry numbers them.

    Raises:
        ValueError: It was made for other instruments, bars, averages or triggers.
    """
    if parts["specification"] != msgspec.msgpack.encode(_specification(specification)):
        raise ValueError("the dump was made for other instruments, bars, averages or triggers")
    count = len(indicator_kinds)
    integers = np.frombuffer(parts["averages"], np.int64).reshape(count, 2)
    floats = np.frombuffer(parts["floats"], np.float64).reshape(count, 3)
    indicators = np.column_stack([integers, np.array(indicator_kinds, np.int64).reshape(count, 1)])
    values = np.empty((count, at.I_OWN + 1), np.float64)
    values[:, [at.I_OWN, at.I_VALUE, at.I_DIVISOR]] = floats
    return parts | {"indicators": indicators.tobytes(), "values": values.tobytes(), "triggers": parts["watches"]}


def _specification(today: Sequence[Any]) -> list[Any]:
    """Return a specification as version 5 wrote it."""
    instruments, bars, indicators, triggers, levels_max = today
    averages = [[spec["instrument_id"], spec["source"], spec["length"]] for _, spec in indicators]
    watches = [[*trigger, [_condition(condition) for condition in conditions]] for *trigger, conditions in triggers]
    return [instruments, bars, averages, watches, levels_max]


def _condition(today: dict[str, Any]) -> dict[str, Any]:
    """Return a condition under the names of version 5."""
    names = {CrossOverSpec.__name__: "Cross", PriceMoveSpec.__name__: "Move", PredicateSpec.__name__: "Shown"}
    fields = {"averages" if name == "indicators" else name: value for name, value in today.items()}
    return fields | {"type": names[today["type"]]}
