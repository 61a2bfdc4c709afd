"""The names that users import. Heavy parts are loaded when they are first asked for, so that `verbatim --help` is quick."""

from importlib import import_module
from typing import Any

_NAMES = {
    "Average": "engine.strategy",
    "Cancel": "engine.strategy",
    "Every": "engine.strategy",
    "OnQuote": "engine.strategy",
    "OrderType": "engine.model",
    "Place": "engine.strategy",
    "Side": "engine.model",
    "TimeInForce": "engine.model",
    "View": "engine.strategy",
}

__all__ = list(_NAMES)


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'verbatim' has no attribute {name!r}")
    return getattr(import_module(_NAMES[name]), name)
