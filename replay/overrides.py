"""Changes that a person makes before a replay: a limit, a setting, a parameter or the source of a strategy.

Knows names and types. Replay decides whether the outputs differ.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from math import isfinite
from typing import Any

import msgspec
from msgspec.structs import replace

from engine.session_record import SessionBody, StrategySettings
from engine.strategy import loading, source_guard
from engine.strategy.rule_loading import load_rules
from engine.suggestions import suggestion
from engine.upcast import SETTINGS_3


class UnknownOverrideError(Exception):
    """A change names nothing in this session, or its value does not fit. The text is one line."""


def apply_overrides(
    session: SessionBody, overrides: Mapping[str, str], strategies: Mapping[str, StrategySettings] | None = None
) -> SessionBody:
    """Return the session with strategies and settings replaced.

    Args:
        session: The recorded session.
        overrides: Values for `risk.X`, `engine.X` and `strategy.NAME.X`, applied last.
        strategies: New strategies by the recorded name.

    Raises:
        UnknownOverrideError: A name or a value does not fit the session.
    """
    given = dict(strategies or {})
    used = tuple(given.pop(strategy.name, strategy) for strategy in session.strategies)
    if given:
        known = ", ".join(strategy.name for strategy in session.strategies) or "none"
        hint = suggestion(min(given), (strategy.name for strategy in session.strategies))
        raise UnknownOverrideError(f"the session has no strategy {min(given)!r}{hint}; it has: {known}")
    session = replace(session, strategies=used)
    for name, value in overrides.items():
        session = _set(session, name, value)
    return session


def parse_settings(settings: Sequence[str]) -> dict[str, str]:
    """Parse `name=value` texts of a command line.

    Raises:
        UnknownOverrideError: A text has no name or no `=`.
    """
    parsed = {}
    for text in settings:
        name, sign, value = text.partition("=")
        if not sign or not name.strip():
            raise UnknownOverrideError(f"{text!r} is not a setting; write NAME=VALUE, as in risk.order_size_max=0.5")
        parsed[name.strip()] = value.strip()
    return parsed


def _set(session: SessionBody, name: str, value: str) -> SessionBody:
    part, _, rest = name.partition(".")
    match part:
        case "risk":
            return replace(session, risk=_set_field(session.risk, name, rest, value))
        case "engine":
            return replace(session, engine=_set_field(session.engine, name, rest, value))
        case "strategy":
            return _set_parameter(session, name, rest, value)
        case "rule":
            return _set_rule(session, name, rest, value)
        case _:
            raise UnknownOverrideError(
                f"{name!r} cannot be set; use risk.NAME, rule.RULE.SETTING, engine.NAME or strategy.STRATEGY.PARAMETER"
            )


def _set_rule(session: SessionBody, name: str, rest: str, value: str) -> SessionBody:
    """Set one setting of a risk rule that the session lists."""
    owner, _, setting = rest.partition(".")
    known = [rule.name for rule in session.rules]
    if owner not in known:
        raise UnknownOverrideError(
            f"{name!r}: the session lists no risk rule {owner!r}{suggestion(owner, known)}; "
            f"it lists: {', '.join(known) or 'none'}"
        )
    rules = tuple(
        replace(rule, settings={**rule.settings, setting: value}) if rule.name == owner else rule
        for rule in session.rules
    )
    try:
        load_rules(rules)
    except source_guard.StrategyError as error:
        raise UnknownOverrideError(f"{name}={value}: {error}") from None
    return replace(session, rules=rules)


def _set_parameter(session: SessionBody, name: str, rest: str, value: str) -> SessionBody:
    owner, _, parameter = rest.rpartition(".")
    known = [strategy.name for strategy in session.strategies]
    owner = owner if owner in known else owner.removesuffix(".parameters")  # a configuration file writes this name
    if owner not in known:
        raise UnknownOverrideError(
            f"{name!r}: the session has no strategy {owner!r}{suggestion(owner, known)}; "
            f"it has: {', '.join(known) or 'none'}"
        )
    strategies = []
    for strategy in session.strategies:
        new = strategy
        if strategy.name == owner:
            new = replace(strategy, parameters={**strategy.parameters, parameter: value})
            try:
                loaded = loading.load(new)  # only the loader knows the parameters and their types
                new = loading.as_recorded(new)  # what it needs may depend on its parameters
            except source_guard.StrategyError as error:
                raise UnknownOverrideError(f"{name}={value}: {error}") from None
            given = getattr(loaded.parameters, parameter)
            if isinstance(given, Decimal | float) and not isfinite(given):
                raise UnknownOverrideError(f"{name}={value}: a number must be finite")
        strategies.append(new)
    return replace(session, strategies=tuple(strategies))


def replacement_for(session: SessionBody, new: StrategySettings) -> StrategySettings:
    """Return `new` under the name and parameters of the recorded strategy that it replaces.

    It replaces the strategy of the same class, or the session's only strategy.

    Raises:
        UnknownOverrideError: No strategy, or more than one, could be meant.
    """
    recorded = [strategy for strategy in session.strategies if strategy.cls == new.cls]
    if len(recorded) != 1 and len(session.strategies) == 1:
        recorded = list(session.strategies)
    if len(recorded) != 1:
        known = ", ".join(strategy.cls for strategy in session.strategies) or "none"
        raise UnknownOverrideError(
            f"{new.module}.py:{new.cls} does not match exactly one strategy; the session ran: {known}"
        )
    old = recorded[0]
    return loading.as_recorded(replace(new, name=old.name, parameters={**old.parameters, **new.parameters}))


def with_strategy(session: SessionBody, new: StrategySettings) -> SessionBody:
    """Return the session with `new` in place of the strategy that it ran.

    A recording, which ran no strategy, gets the strategy and an account.
    """
    if session.strategies:
        new = replacement_for(session, new)
        return apply_overrides(session, {}, {new.name: new})
    return replace(session, strategies=(new,), account=session.account or "main")


def _set_field(settings: Any, name: str, field: str, value: str) -> Any:
    known = {field_info.name: field_info.type for field_info in msgspec.structs.fields(settings)}
    field = SETTINGS_3.get(field, field)  # old names keep working
    if field not in known:
        hint = suggestion(field, known)
        raise UnknownOverrideError(f"unknown setting {name!r}{hint}; known: {', '.join(sorted(known))}")
    try:
        new = msgspec.convert(value, type=known[field], strict=False)
    except msgspec.ValidationError as error:
        raise UnknownOverrideError(f"{name}={value}: {error}") from None
    if unfit := _invalid_reason(field, new):
        raise UnknownOverrideError(f"{name}={value}: {unfit}")
    return replace(settings, **{field: new})


def _invalid_reason(field: str, value: Any) -> str:
    """Return why a configuration would refuse the value, or "". The rules are those of verbatim/config.py."""
    if isinstance(value, bool):
        return ""
    if not isfinite(value):
        return "a number must be finite"
    if value < 0:
        return "a number must not be negative"
    if value == 0 and (field.endswith("_ns") or field == "checkpoint_every"):
        return "the number must be greater than 0"
    if value >= 1 and field == "market_slippage_max":
        return "the number must be less than 1"
    return ""
