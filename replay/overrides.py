"""What a person changes before a replay: a limit, a setting, a parameter, a strategy's text. Session in, session out.

Knows names and types; whether the outputs then differ is replay's to say.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from math import isfinite
from typing import Any

import msgspec
from msgspec.structs import replace

from engine.session_record import SessionBody, StrategySettings
from engine.strategy import loading
from engine.strategy.rule_loading import load_rules


class UnknownOverrideError(Exception):
    """A change that names nothing of this session, or a value that does not fit. One line, for a person."""


def changed(
    session: SessionBody, overrides: Mapping[str, str], strategies: Mapping[str, StrategySettings] | None = None
) -> SessionBody:
    """The session with other strategies by name, then with `risk.X`, `engine.X` and `strategy.NAME.X` set."""
    given = dict(strategies or {})
    used = tuple(given.pop(found.name, found) for found in session.strategies)
    if given:
        known = ", ".join(found.name for found in session.strategies) or "none"
        raise UnknownOverrideError(f"the session has no strategy {min(given)!r}; it has: {known}")
    session = replace(session, strategies=used)
    for name, value in overrides.items():
        session = _set(session, name, value)
    return session


def parsed(settings: Sequence[str]) -> dict[str, str]:
    """`name=value` texts as they stand on a command line."""
    found = {}
    for text in settings:
        name, sign, value = text.partition("=")
        if not sign or not name.strip():
            raise UnknownOverrideError(f"{text!r} is not NAME=VALUE, as in risk.order_size_max=0.5")
        found[name.strip()] = value.strip()
    return found


def _set(session: SessionBody, name: str, value: str) -> SessionBody:
    part, _, rest = name.partition(".")
    match part:
        case "risk":
            return replace(session, risk=_field_of(session.risk, name, rest, value))
        case "engine":
            return replace(session, engine=_field_of(session.engine, name, rest, value))
        case "strategy":
            return _parameter(session, name, rest, value)
        case "rule":
            return _rule_setting(session, name, rest, value)
        case _:
            raise UnknownOverrideError(
                f"{name!r} cannot be set; what can: risk.NAME, rule.RULE.SETTING, engine.NAME, strategy.STRATEGY.PARAMETER"
            )


def _rule_setting(session: SessionBody, name: str, rest: str, value: str) -> SessionBody:
    """Set one setting of a risk rule that the session lists."""
    owner, _, setting = rest.partition(".")
    known = [rule.name for rule in session.rules]
    if owner not in known:
        raise UnknownOverrideError(
            f"{name!r}: the session lists no risk rule {owner!r}; it lists: {', '.join(known) or 'none'}"
        )
    rules = tuple(
        replace(rule, settings={**rule.settings, setting: value}) if rule.name == owner else rule
        for rule in session.rules
    )
    try:
        load_rules(rules)
    except loading.StrategyError as error:
        raise UnknownOverrideError(f"{name}={value}: {error}") from None
    return replace(session, rules=rules)


def _parameter(session: SessionBody, name: str, rest: str, value: str) -> SessionBody:
    owner, _, parameter = rest.rpartition(".")
    known = [found.name for found in session.strategies]
    owner = owner if owner in known else owner.removesuffix(".parameters")  # as the configuration spells it
    if owner not in known:
        raise UnknownOverrideError(
            f"{name!r}: the session has no strategy {owner!r}; it has: {', '.join(known) or 'none'}"
        )
    strategies = []
    for found in session.strategies:
        new = found
        if found.name == owner:
            new = replace(found, parameters={**found.parameters, parameter: value})
            try:
                loaded = loading.load(new)  # it alone knows which parameters there are, and of what type
            except loading.StrategyError as error:
                raise UnknownOverrideError(f"{name}={value}: {error}") from None
            given = getattr(loaded.parameters, parameter)
            if isinstance(given, Decimal | float) and not isfinite(given):
                raise UnknownOverrideError(f"{name}={value}: a number must be finite")
        strategies.append(new)
    return replace(session, strategies=tuple(strategies))


def in_place_of(session: SessionBody, new: StrategySettings) -> StrategySettings:
    """A strategy under name and parameters of the recorded one it replaces: that of the same class, or the only one."""
    recorded = [found for found in session.strategies if found.cls == new.cls]
    if len(recorded) != 1 and len(session.strategies) == 1:
        recorded = list(session.strategies)
    if len(recorded) != 1:
        known = ", ".join(found.cls for found in session.strategies) or "none"
        raise UnknownOverrideError(
            f"{new.module}.py:{new.cls} takes the place of no single strategy; the session ran: {known}"
        )
    old = recorded[0]
    return loading.as_recorded(replace(new, name=old.name, parameters={**old.parameters, **new.parameters}))


def with_strategy(session: SessionBody, new: StrategySettings) -> SessionBody:
    """The session with a strategy in place of the one it ran; a recording, which ran none, gets it and an account."""
    if session.strategies:
        new = in_place_of(session, new)
        return changed(session, {}, {new.name: new})
    return replace(session, strategies=(new,), account=session.account or "main")


def _field_of(settings: Any, name: str, field: str, value: str) -> Any:
    known = {found.name: found.type for found in msgspec.structs.fields(settings)}
    if field not in known:
        raise UnknownOverrideError(f"unknown setting {name!r}; known: {', '.join(sorted(known))}")
    try:
        new = msgspec.convert(value, type=known[field], strict=False)
    except msgspec.ValidationError as error:
        raise UnknownOverrideError(f"{name}={value}: {error}") from None
    if unfit := _unfit(field, new):
        raise UnknownOverrideError(f"{name}={value}: {unfit}")
    return replace(settings, **{field: new})


def _unfit(field: str, value: Any) -> str:
    """What a configuration would refuse too (verbatim/config.py)."""
    if isinstance(value, bool):
        return ""
    if not isfinite(value):
        return "a number must be finite"
    if value < 0:
        return "a number must not be negative"
    if value == 0 and (field.endswith("_ns") or field == "checkpoint_every"):
        return "it must be greater than 0"
    if value >= 1 and field == "market_slippage_max":
        return "it must be less than 1"
    return ""
