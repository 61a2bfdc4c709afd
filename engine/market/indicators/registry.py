"""The registry of indicators: specs by name, and the machine code of their updates. Each file here lists its own."""

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Final

from engine.market import indicators
from engine.market.indicators.indicator import IndicatorSpec, Update
from engine.market.jit import Callback, update_callback
from engine.suggestions import suggestion


def discovered() -> dict[type[IndicatorSpec], Update]:
    """Return the specs of all modules of the package, with their updates."""
    names = [module.name for module in iter_modules(indicators.__path__) if module.name != "registry"]
    modules = [import_module(f"{indicators.__name__}.{name}") for name in sorted(names)]
    found = dict(pair for module in modules for pair in getattr(module, "INDICATORS", ()))
    assert len({spec.name for spec in found}) == len(found), "two indicators have the same name"
    return found


UPDATES: Final = discovered()
SPECS: Final = {spec.name: spec for spec in UPDATES}


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


_compiled: dict[Update, Callback] = {}


def update_of(spec: IndicatorSpec) -> Callback:
    """Return the update of an indicator, compiled at the first use of its kind in this process."""
    return compiled_update(UPDATES[type(spec)])


def compiled_update(update: Update) -> Callback:
    """Return the machine code of an update."""
    if update not in _compiled:
        _compiled[update] = update_callback(update)
    return _compiled[update]
