"""Risk rules from the SESSION record: built-in ones by name, users' from their recorded source text.

A user's rule is code like a strategy's, so the same sources are refused and the same changes outside the records are
detected. An error in it refuses the order and never stops the engine.
"""

import sys
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from decimal import Decimal, localcontext
from functools import partial
from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any

import msgspec

from engine.money import MONEY
from engine.risk.context import BoundRule, RiskAnswer, RiskContext, RiskRule
from engine.risk.rules import FIRST_RULES, RULES
from engine.session_record import RiskSettings, RuleSettings
from engine.strategy.source_guard import ModuleGuard, StrategyError, refuse_source, run_module
from engine.suggestions import suggestion


class UserRule:
    """A risk rule of a user, loaded and guarded."""

    def __init__(self, rule: RiskRule, settings: Any, guard: ModuleGuard) -> None:
        self._rule = rule
        self._settings = settings
        self._guard = guard

    def __call__(self, context: RiskContext) -> str | RiskAnswer:
        """Return the rule's objection, or ""; a rule that fails objects with its error."""
        given = () if self._rule.settings is None else (self._settings,)
        try:
            with localcontext(MONEY):  # its own context: a rule that sets the precision changes no other
                answer = self._rule.reject_reason(context, *given)
        except Exception as error:  # noqa: BLE001 - a user's code may raise anything
            return f"the rule failed: {type(error).__name__}: {error}"
        if outside := self._guard.changed(self._settings):
            return f"the rule changed {outside}: a rule keeps nothing between orders"
        return answer if isinstance(answer, str) or _is_answer(answer) else _wrong(answer)


def _is_answer(answer: Any) -> bool:
    """Return True for an RiskAnswer whose fields have the right types."""
    if not isinstance(answer, RiskAnswer) or not (isinstance(answer.reason, str) and isinstance(answer.limit, str)):
        return False
    figure: Any = answer.figure
    return isinstance(figure, tuple) and len(figure) == 3 and all(_is_number(number) for number in figure)


def _is_number(number: Any) -> bool:
    return isinstance(number, Decimal) and number.is_finite()


def _wrong(answer: Any) -> str:
    return f"the rule returned a {type(answer).__name__}, not a text or an RiskAnswer with decimals"


def recorded_rules(configured: Sequence[RuleSettings]) -> tuple[RuleSettings, ...]:
    """Return the rules as a SESSION record lists them: all built-in ones, then the users'.

    A list that is complete stays as it is.

    Raises:
        StrategyError: A rule cannot be loaded, or two have the same name.
    """
    settings_of = {found.name: found for found in configured}
    if len(settings_of) != len(configured):
        raise StrategyError("two risk rules have the same name")
    own = [found for found in configured if found.name not in RULES]
    if taken := sorted(found.name for found in configured if found.module and found.name in RULES):
        raise StrategyError(f"risk rule {taken[0]!r} has the name of a built-in rule: choose another")
    rules = (*(settings_of.get(name, RuleSettings(name)) for name in RULES), *own)
    load_rules(rules)
    return rules


def load_rules(recorded: Sequence[RuleSettings], limits: Sequence[RiskSettings] = ()) -> dict[str, BoundRule]:
    """Load a session's rules; without a list these are the first ones.

    Args:
        recorded: The rules as the SESSION record lists them.
        limits: The limits of each instrument. With `figures`, a built-in rule is left out if none sets its limit.

    Raises:
        StrategyError: The text says which rule cannot be used, and why.
    """
    listed = recorded or [RuleSettings(name) for name in sorted(FIRST_RULES)]
    return {
        settings.name: _user_rule(settings) if settings.module else _built_in(settings)
        for settings in listed
        if settings.module or _is_set(settings.name, limits)
    }


def _is_set(name: str, limits: Sequence[RiskSettings]) -> bool:
    """Return True unless the rule has a limit that no instrument sets."""
    is_set = RULES[name].is_set if name in RULES else None
    return is_set is None or not limits or not limits[0].figures or any(map(is_set, limits))


def _built_in(recorded: RuleSettings) -> BoundRule:
    rule = RULES.get(recorded.name)
    if rule is None:
        hint = suggestion(recorded.name, RULES)
        raise StrategyError(f"there is no risk rule {recorded.name!r}{hint}; built in are {', '.join(RULES)}")
    if rule.settings is None:
        _settings(recorded, None)
        return rule.reject_reason
    return partial(rule.reject_reason, settings=_settings(recorded, rule.settings))


def _user_rule(recorded: RuleSettings) -> BoundRule:
    for name, text in recorded.sources.items():
        refuse_source(name, text, frozenset(recorded.sources))
    modules: dict[str, ModuleType] = {}
    try:
        found = getattr(run_module(recorded.module, recorded, modules), recorded.rule, None)
    finally:
        for module in modules.values():
            sys.modules.pop(module.__name__, None)
    rule = RiskRule(found) if isinstance(found, FunctionType) else found
    if not isinstance(rule, RiskRule):
        raise StrategyError(
            f"{recorded.module}.py has no risk rule {recorded.rule!r}: define it as RiskRule(reject_reason)"
        )
    settings = _settings(recorded, rule.settings)
    return UserRule(rule, settings, ModuleGuard(modules, settings))


def _settings(recorded: RuleSettings, kind: type[Any] | None) -> Any:
    if kind is None:
        if recorded.settings:
            raise StrategyError(f"risk rule {recorded.name!r} has no settings, but {min(recorded.settings)!r} is set")
        return SimpleNamespace()
    if not is_dataclass(kind):
        raise StrategyError(f"risk rule {recorded.name!r}: its settings must be a dataclass")
    known = {field.name for field in fields(kind)}
    if unknown := sorted(recorded.settings.keys() - known):
        raise StrategyError(
            f"risk rule {recorded.name!r}: unknown setting {unknown[0]!r}{suggestion(unknown[0], known)}; "
            f"known: {', '.join(sorted(known))}"
        )
    try:
        return msgspec.convert(recorded.settings, type=kind, strict=False)
    except (msgspec.ValidationError, TypeError) as error:
        raise StrategyError(f"risk rule {recorded.name!r}: {error}") from None
