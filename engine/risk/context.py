"""The facts that a risk rule may use, and the type of a rule. No rule changes anything or knows a venue's messages."""

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple

import msgspec

from engine.bodies import Figure
from engine.facts import NewOrder
from engine.model import Instrument, OrderTerm, OrderType
from engine.money import ZERO
from engine.order_terms import Terms
from engine.session_record import RiskSettings, SafeguardSettings
from engine.state.rate_budgets import FIXED_WINDOWS, RateModel
from engine.state.session_state import Account
from engine.valuation import RateOf


def no_price(_instrument: str) -> Decimal:
    """Return 0: no price is known."""
    return ZERO


def no_rate(_asset: str, _currency: str) -> None:
    """Return None: no rate is known."""


class RiskContext(msgspec.Struct, frozen=True):
    """One new order, and the account and market at the time of its review."""

    order: NewOrder
    terms: Terms  # the order's
    strategy: str
    instrument: Instrument
    instruments: dict[str, Instrument]
    account: Account
    limits: RiskSettings
    time_ns: int
    bid: Decimal  # 0: no quote
    ask: Decimal
    worst_price: Decimal  # to expect: the limit price or, without one, the far touch with headroom
    quote_age_ns: int = 0
    quote_age_max_ns: int = 0  # 0: not limited
    venue_lag_ns: int = 0  # of the instrument's slowest stream
    venue_lag_max_ns: int = 0  # 0: not limited
    rates: RateModel = FIXED_WINDOWS  # how the instrument's venue counts requests
    safeguards: SafeguardSettings = SafeguardSettings()
    types: frozenset[OrderType] | None = None  # that the venue places; None: not known
    gtc_only: frozenset[OrderType] = frozenset()  # types that the venue places with no other time in force
    venue_terms: frozenset[OrderTerm] | None = None  # that the venue has; None: not known
    mid_of: Callable[[str], Decimal] = no_price  # instrument -> mid of its last quote, 0 without one
    last_of: Callable[[str], Decimal] = no_price  # instrument -> price of its last trade, 0 without one
    reporting: str = ""  # the reporting currency
    rate_of: RateOf = no_rate  # by the last quotes
    loss_reason: str = ""  # why the loss of the day allows only orders that reduce a position
    is_protecting: bool = False  # it protects a position that stays open while the session stops
    linked: int = 0  # further orders that its request places: the other orders of a list
    values_contracts: bool = False  # notionals count the size of contracts (accounting 6)
    is_watched: bool = False  # the session sends nothing that changes the instrument's venue
    venue_key: str = ""  # the instrument's venue in keys of assets; "": the session has one venue
    market_bound: Decimal = ZERO  # of OrderCapabilities
    loss_figure: tuple[str, Figure] | None = None  # the limit of the day's losses that is used most


def notional_of(context: RiskContext, price: Decimal) -> Decimal:
    """Return the worth of the order under review in its quote asset, at this price."""
    instrument, quantity = context.instrument, context.order.quantity
    if not instrument.contract or not context.values_contracts:
        return context.terms.notional(quantity, price)
    units = quantity * instrument.contract_size
    return units if instrument.inverse else units * price


def always(_context: RiskContext) -> bool:
    """Return True: the rule applies to every order."""
    return True


def is_contract(context: RiskContext) -> bool:
    """Return True for an order of a contract."""
    return bool(context.instrument.contract)


def is_spot(context: RiskContext) -> bool:
    """Return True for an order of a spot instrument."""
    return not context.instrument.contract


class RiskAnswer(NamedTuple):
    """The answer of a rule with a limit: its objection, or "", the name of the limit, and what it compared."""

    reason: str
    limit: str
    figure: Figure


# `answer_of((reason, limit, figure))` is `RiskAnswer(reason, limit, figure)` in a third of the time: an order has nine
answer_of: Callable[[tuple[str, str, Figure]], RiskAnswer] = partial(tuple.__new__, RiskAnswer)


def passed(*answers: RiskAnswer) -> str | RiskAnswer:
    """Return the answer of a rule whose limits do not object: that which uses the largest share of its limit."""
    if not answers:
        return ""
    best = answers[0]
    for answer in answers[1:]:
        if answer.figure[2] * best.figure[1] > best.figure[2] * answer.figure[1]:
            best = answer
    return best


class RiskRule(msgspec.Struct, frozen=True):
    """A risk rule: a function that returns why an order must not be sent, or "" if it may be.

    A rule with a limit returns a RiskAnswer, which has the reason and what it compared. With a `settings` dataclass
    the function is called with the context and the settings, else with the context alone.
    """

    reject_reason: Callable[..., str | RiskAnswer]
    settings: type[Any] | None = None
    name: str = ""  # as verdicts record it; a user's rule is named in the configuration
    # True if the limits of an instrument set the rule's; None: it needs none
    is_set: Callable[[RiskSettings], bool] | None = None
    of_term: str = ""  # a field of NewOrder, one of rule_choice.SPECIAL_TERMS: no order without it meets an objection
    # False if it has no objection to a plain order like this one and compares nothing. It reads what such orders share:
    # strategy, side, type, time in force, instrument, limits and the settings of the session. None: as `is_set`
    applies_to: Callable[[RiskContext], bool] | None = None

    def can_apply(self, context: RiskContext) -> bool:
        """Return False if the rule is left out for plain orders like this one."""
        if self.applies_to is not None:
            return self.applies_to(context)
        return self.is_set is None or self.is_set(context.limits)


BoundRule = Callable[[RiskContext], str | RiskAnswer]
