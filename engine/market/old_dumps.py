"""Dumps of earlier versions, read as today's: a slice of a session begins with the dump of the code that cut it.

A version is here as long as such slices exist. Reads no state and restores none.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np

from engine.market import layout as at
from engine.market.views import CrossOverSpec, PredicateSpec, PriceMoveSpec

VERSION_5: Final = 5  # averages were the only indicators: (instrument, count) and (weight, value, divisor) each
VERSION_6: Final = 6  # an indicator's integers had its kind, and bars closed by trades alone
_FIELDS_6: Final = (at.S_BARS_BY_TIME, at.M_END, at.BAR_END, at.BAR_NUMBERS)  # of s, t, bars and closed bars


def as_version_6(parts: dict[str, Any], specification: Sequence[Any]) -> dict[str, Any]:
    """Return the parts of a dump of version 5 under the names and shapes of version 6.

    Args:
        parts: The decoded dump.
        specification: Today's specification of the market, decoded.

    Raises:
        ValueError: It was made for other instruments, bars, averages or triggers.
    """
    if parts["specification"] != msgspec.msgpack.encode(_specification(specification)):
        raise ValueError("the dump was made for other instruments, bars, averages or triggers")
    integers = np.frombuffer(parts["averages"], np.int64).reshape(-1, 2)
    floats = np.frombuffer(parts["floats"], np.float64).reshape(len(integers), 3)
    return parts | {
        "version": VERSION_6,
        "specification": msgspec.msgpack.encode(specification),
        "indicators": np.column_stack([integers, np.ones(len(integers), np.int64)]).tobytes(),
        "values": floats[:, [1, 2, 0]].tobytes(),
        "triggers": parts["watches"],
    }


def as_today(parts: dict[str, Any], s: Sequence[int]) -> dict[str, Any]:
    """Return the parts of a dump of version 6 in today's shapes.

    Args:
        parts: The decoded dump.
        s: The first numbers of a market of the same specification, in today's order.
    """
    s_fields, t_fields, bar_fields, bar_numbers = _FIELDS_6
    known_since = np.full((s[at.S_INSTRUMENTS], at.T_FIELDS - t_fields), at.NEVER, np.int64)
    return parts | {
        "version": 7,
        "s": parts["s"] + np.array(s[s_fields:], np.int64).tobytes(),
        "t": np.column_stack([_table(parts["t"], t_fields), known_since]).tobytes(),
        "bars": _begun(_wider(parts["bars"], bar_fields, at.BAR_FIELDS)),
        "closed": [_wider(closed, bar_numbers, at.CLOSED_NUMBERS) for closed in parts["closed"]],
        "indicators": _table(parts["indicators"], 3)[:, : at.I_DIGESTED].tobytes(),
    }


def _begun(bars: bytes) -> bytes:
    """Return the forming bars, marked as begun if they have a trade."""
    table = _table(bars, at.BAR_FIELDS).copy()
    table[:, at.BAR_BEGUN] = table[:, at.BAR_TRADES] > 0
    return bytes(table.tobytes())


def _table(numbers: bytes, columns: int) -> Any:
    return np.frombuffer(numbers, np.int64).reshape(-1, columns)


def _wider(numbers: bytes, columns: int, wanted: int) -> bytes:
    """Return a table with columns of zeros added."""
    table = _table(numbers, columns)
    return np.column_stack([table, np.zeros((len(table), wanted - columns), np.int64)]).tobytes()


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
