"""The registry of indicators: specs by name, and the compiled dispatch from a kind to its update."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from engine.market.indicators.ema import EMA, EmaSpec, update_ema
from engine.market.indicators.indicator import IndicatorSpec
from engine.market.jit import compiled
from engine.market.layout import I_COUNT, I_DIVISOR, I_INSTRUMENT, I_KIND, I_VALUE
from engine.market.rows import Floats, Rows
from engine.suggestions import suggestion

SPECS: Final[dict[str, Callable[..., IndicatorSpec]]] = {spec.name: spec for spec in (EmaSpec,)}


class UnknownIndicatorError(Exception):
    """No indicator has this kind; the text names the known ones."""


def indicator_spec(kind: str, instrument_id: str, parameters: Mapping[str, Any]) -> IndicatorSpec:
    """Declare an indicator of an instrument.

    Raises:
        UnknownIndicatorError: the kind is unknown.
        TypeError, ValueError: the spec does not accept the parameters.
    """
    if kind not in SPECS:
        raise UnknownIndicatorError(
            f"no indicator {kind!r}{suggestion(kind, SPECS)}; known: {', '.join(sorted(SPECS))}"
        )
    return SPECS[kind](instrument_id=instrument_id, **parameters)


@compiled
def next_value(kind: int, numbers: Floats, count: int, mid: float) -> float:
    """Return the new value of an indicator of this kind."""
    if kind == EMA:
        return update_ema(numbers, count, mid)
    return float(numbers[I_VALUE])


@compiled
def update_indicators(i: int, bid_plus_ask: int, indicators: Rows, values: Floats) -> None:
    """Update the indicators of an instrument whose mid may have changed."""
    for k in range(indicators.shape[0]):
        if indicators[k, I_INSTRUMENT] == i:
            mid = float(bid_plus_ask) / values[k, I_DIVISOR]
            values[k, I_VALUE] = next_value(indicators[k, I_KIND], values[k], indicators[k, I_COUNT], mid)
            indicators[k, I_COUNT] += 1
