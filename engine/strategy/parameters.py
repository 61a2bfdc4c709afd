"""Parameters of a strategy, or of an indicator that its user wrote: read from the configuration, with their ranges."""

from collections.abc import Mapping
from dataclasses import fields
from decimal import Decimal
from typing import Annotated, Any, get_origin, get_type_hints

import msgspec

from engine.session_record import StrategySettings
from engine.strategy.api import Range
from engine.strategy.source_guard import StrategyError
from engine.suggestions import suggestion


def read_parameters(where: str, settings: StrategySettings, cls: type[Any]) -> Any:
    """Return the parameters of a strategy as the class's dataclass.

    Raises:
        StrategyError: A parameter is unknown, of the wrong type or out of its range, or the dataclass refuses them.
    """
    return checked_parameters(where, f"strategy {settings.name}", cls.Parameters, settings.parameters)


def checked_parameters(where: str, owner: str, kind: type[Any], given: Mapping[str, Any]) -> Any:
    """Return parameters as a dataclass.

    Args:
        where: The place of the class, for texts.
        owner: The object that has the parameters, for texts.
        kind: The dataclass.
        given: The values by name.

    Raises:
        StrategyError: A parameter is unknown, of the wrong type or out of its range, or the dataclass refuses them.

    """
    known = [field.name for field in fields(kind)]
    unknown = sorted(set(given) - set(known))
    if unknown:
        hint = suggestion(unknown[0], known)
        raise StrategyError(
            f"{where}: unknown parameter {unknown[0]!r}{hint}; known: {', '.join(sorted(known)) or 'none'}"
        )
    hints = get_type_hints(kind, include_extras=True)
    for name, value in given.items():
        what = f"{where}: parameter {name!r} of {owner}"
        try:
            read = msgspec.convert(value, type=hints[name], strict=False)
        except (msgspec.ValidationError, TypeError) as error:
            raise StrategyError(f"{what}: {error}") from None
        _check_range(what, hints[name], read)
    try:
        parameters = msgspec.convert(dict(given), type=kind, strict=False)
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        raise StrategyError(f"{where}: parameters of {owner}: {error}") from None
    for name in known:  # the defaults too
        _check_range(f"{where}: parameter {name!r} of {owner}", hints[name], getattr(parameters, name))
    return parameters


def _check_range(what: str, hint: Any, value: Any) -> None:
    """Check a parameter against the Range in its annotation, if it has one. Raises StrategyError."""
    if get_origin(hint) is not Annotated:
        return
    for allowed in hint.__metadata__:
        if isinstance(allowed, Range) and not (
            isinstance(value, int | float | Decimal) and not isinstance(value, bool) and allowed.allows(value)
        ):
            raise StrategyError(f"{what} is {value}: it must be from {allowed.least} to {allowed.most}")
