"""The facts that a risk rule may use, and the type of a rule. No rule changes anything or knows a venue's messages."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from engine.facts import NewOrder
from engine.model import Instrument, OrderType
from engine.order_terms import Terms
from engine.session_record import RiskSettings, SafeguardSettings
from engine.state.rate_budgets import FIXED_WINDOWS, RateModel
from engine.state.session_state import Account


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
    loss_reason: str = ""  # why the loss of the UTC day allows only orders that reduce a position


class RiskRule(msgspec.Struct, frozen=True):
    """A risk rule: a function that returns why an order must not be sent, or "" if it may be.

    With a `settings` dataclass the function is called with the context and the settings, else with the context alone.
    """

    reject_reason: Callable[..., str]
    settings: type[Any] | None = None
    name: str = ""  # as verdicts record it; a user's rule is named in the configuration


BoundRule = Callable[[RiskContext], str]
