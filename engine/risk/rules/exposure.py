"""Gross and net exposure stay within the limits of the instrument, the strategy, the account and the portfolio.

An order that lowers an exposure is allowed also beyond its limit. engine/risk/worst_case.py computes the figures.
"""

from engine.risk.context import RiskAnswer, RiskContext, RiskRule, passed
from engine.risk.limits_of import own_limits
from engine.risk.worst_case import (
    Exposure,
    Scope,
    UnknownValueError,
    add,
    exposures,
    gross,
    in_base,
    in_quote,
    in_reporting,
    net,
    order_worth,
)
from engine.risk_settings import EXPOSURES, NO_LIMITS, ScopeLimits
from engine.session_record import RiskSettings
from journal.record import plain

UNITS = {"base": in_base, "quote": in_quote, "": in_reporting}  # by the middle of a limit's name


def exposure_instrument(context: RiskContext) -> str | RiskAnswer:
    """Return why the exposure in the instrument could exceed its limit, or ""."""
    name = context.order.instrument
    limits = own_limits(context.limits, context.instrument)
    return _answer(context, Scope(instrument=name), limits, "instrument", name)


def exposure_strategy(context: RiskContext) -> str | RiskAnswer:
    """Return why the exposure of the strategy could exceed its limit, or ""."""
    name = context.strategy
    return _answer(context, Scope(strategy=name), context.limits.strategy.get(name, NO_LIMITS), "strategy", name)


def exposure_account(context: RiskContext) -> str | RiskAnswer:
    """Return why the exposure of the account at the order's venue could exceed its limit, or ""."""
    scope = Scope(venue=context.instrument.venue)
    return _answer(context, scope, context.limits.account, "account", "the account")


def exposure_portfolio(context: RiskContext) -> str | RiskAnswer:
    """Return why the exposure of all accounts together could exceed its limit, or ""."""
    return _answer(context, Scope(), context.limits.portfolio, "portfolio", "the portfolio")


def _answer(context: RiskContext, scope: Scope, limits: ScopeLimits, key: str, of: str) -> str | RiskAnswer:
    """Return the first objection of the limits that are set, else the figure that uses most of its limit."""
    answers = []
    for name in EXPOSURES:
        if limit := getattr(limits, name):
            kind, _, unit = name.removesuffix("_max").partition("_")
            measure = gross if kind == "gross" else net
            try:
                value = UNITS[unit](context)
                found = exposures(context, scope, value)
                used = measure(found)
                more = order_worth(context, value)
            except UnknownValueError as error:
                return str(error)
            add(found.setdefault(context.order.instrument, Exposure()), context.order.side, more)
            worst = measure(found)
            figure = (used, limit, worst)
            if worst > limit and worst > used:
                asset = _asset(context, unit)
                text = f"{kind} exposure of {of} could reach {plain(worst)} {asset}, beyond {key}.{name} {plain(limit)}"
                return RiskAnswer(text, f"{key}.{name}", figure)
            answers.append(RiskAnswer("", f"{key}.{name}", figure))
    return passed(*answers)


def _asset(context: RiskContext, unit: str) -> str:
    names = {"base": context.instrument.base, "quote": context.instrument.quote, "": context.reporting}
    return names[unit]


def limits_exposure(*scopes: ScopeLimits) -> bool:
    """Return True if one of the scopes limits an exposure."""
    return any(getattr(scope, name) for scope in scopes for name in EXPOSURES)


def _instrument_is_set(limits: RiskSettings) -> bool:
    return limits_exposure(*limits.instrument.values())


def _strategy_is_set(limits: RiskSettings) -> bool:
    return limits_exposure(*limits.strategy.values())


RULES = (
    RiskRule(exposure_instrument, name="exposure_instrument", is_set=_instrument_is_set),
    RiskRule(exposure_strategy, name="exposure_strategy", is_set=_strategy_is_set),
    RiskRule(exposure_account, name="exposure_account", is_set=lambda limits: limits_exposure(limits.account)),
    RiskRule(exposure_portfolio, name="exposure_portfolio", is_set=lambda limits: limits_exposure(limits.portfolio)),
)
