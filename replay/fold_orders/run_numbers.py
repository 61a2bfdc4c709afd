"""The numbers that a run with orders in the fold begins with: times, limits, budgets, and the strategy's arguments."""

from decimal import Decimal
from typing import Final

import numpy as np

from engine.market.jit import Callback
from engine.market.layout import NEVER, S_MESSAGES
from engine.market.order_decision import PARAMETERS_AT
from engine.market.predicates import MarketTick
from engine.market.rows import Floats, Rows
from engine.model import Instrument
from engine.session_context import SessionContext
from engine.sim.exchange.symbol_view import SymbolMarket
from engine.sim.fold_orders import fold_layout as at
from engine.sim.modelled_venue import ACCOUNT_KEY
from engine.sim.units import PLACES
from engine.sim.venue_model import VenueModel
from engine.state.session_state import State
from engine.state.timers import timer_name
from engine.strategy.loading import LoadedStrategy
from engine.timer_names import TimerKind
from replay.resim.model_run import ModelRun

REQUESTS_SHARE: Final = 4  # of the venue's weight a minute: the rest is for the engine's own queries


def run_numbers(
    session: SessionContext, loaded: LoadedStrategy, code: Callback, model: VenueModel, opened: ModelRun
) -> Rows:
    """Return the numbers of a run that continues an opened session. `code` is the strategy's machine code."""
    [instrument] = session.instruments.values()
    state = opened.gateway.state
    w: Rows = np.zeros(at.W_FIELDS, np.int64)
    numbers = {
        at.W_NOW: state.time_ns,
        at.W_END: opened.last_ns(),
        at.W_DUE: state.account.timers.due_ns.get(timer_name(TimerKind.DECIDE, loaded.settings.name), NEVER),
        at.W_FOLLOWS: loaded.on_quote is not None,
        at.W_LINE: opened.cursor.line - state.market.numbers[S_MESSAGES] if opened.cursor.span is not None else 0,
        at.W_PERIOD: loaded.period_ns,
        at.W_REQUEST_NS: model.request_ns,
        at.W_ANSWER_NS: model.answer_ns,
        at.W_AHEAD_NS: model.feed_ns,
        at.W_FILLS_WHOLE: model.fills == "whole",
        at.W_ADDRESS: code.address,
        at.W_SIZE_UNIT: 10 ** (PLACES - instrument.size_scale),
        at.W_BOUNDS_NS: state.account.timers.due_ns.get(timer_name(TimerKind.METADATA), NEVER),
        **_spot(session, instrument, opened),
        **_limits(session, instrument),
        **_budgets(session, state, instrument),
        **_venue_rules(opened.venue.sim.exchange.markets[instrument.symbol]),
    }
    for field, value in numbers.items():
        w[field] = value
    return w


def strategy_arguments(loaded: LoadedStrategy, instrument: Instrument) -> Floats:
    """Return the row of the strategy's arguments, with its constants filled in."""
    parameters = () if loaded.decision is None else loaded.decision.parameters
    floats: Floats = np.zeros((1, PARAMETERS_AT + len(parameters)), np.float64)
    floats[0, PARAMETERS_AT:] = parameters
    constant = {
        "tick": float(instrument.tick_size.scaleb(instrument.price_scale)),
        "lot": float(instrument.lot_size.scaleb(instrument.size_scale)),
        "price_unit": 10.0**-instrument.price_scale,
        "size_unit": 10.0**-instrument.size_scale,
    }
    for name, value in constant.items():
        floats[0, MarketTick._fields.index(name)] = value
    return floats


def _limits(session: SessionContext, instrument: Instrument) -> dict[int, int]:
    """Return the limits of an order, as whole multiples of the instrument's units."""
    limits = session.limits_of[instrument.id]

    def price(value: Decimal) -> int:
        return int(value.scaleb(instrument.price_scale))

    def size(value: Decimal) -> int:
        return int(value.scaleb(instrument.size_scale))

    def notional(value: Decimal) -> Decimal:
        return value.scaleb(instrument.price_scale + instrument.size_scale)

    return {
        at.W_ORDER_SIZE_MAX: size(limits.order_size_max),
        at.W_NOTIONAL_MAX: int(notional(limits.order_notional_max)),
        at.W_NOTIONAL_MIN: -int(-notional(instrument.notional_min) // 1),
        at.W_POSITION_MAX: int(limits.position_max.scaleb(PLACES)),
        at.W_OPEN_ORDERS_MAX: limits.open_orders_max,
        at.W_PER_SECOND_MAX: limits.orders_per_second_max,
        at.W_TICK: price(instrument.tick_size),
        at.W_LOT: size(instrument.lot_size),
        at.W_PRICE_MIN: -int(-instrument.price_min.scaleb(instrument.price_scale) // 1),
        at.W_PRICE_MAX: price(instrument.price_max),
        at.W_SIZE_MIN: -int(-instrument.quantity_min.scaleb(instrument.size_scale) // 1),
        at.W_SIZE_MAX: size(instrument.quantity_max),
        at.W_MARKET_SIZE_MAX: size(instrument.market_quantity_max),
        at.W_MARKET_NOTIONAL_MIN: instrument.notional_min_applies_to_market,
        at.W_QUOTE_AGE_MAX: session.settings.quote_age_max_ns if "quote_age" in session.risk_rules else 0,
    }


def _budgets(session: SessionContext, state: State, instrument: Instrument) -> dict[int, int]:
    """Return the rates of orders, what is used of them, and the numbers of refusals that pause a strategy."""
    budget, safeguards = state.account.limits.get(instrument.venue), session.safeguards
    return {
        at.W_PER_10S_MAX: budget.rate_limits.orders_10s_max,
        at.W_REQUESTS_MAX: budget.rate_limits.weight_minute_max // REQUESTS_SHARE,
        at.W_WINDOW: budget.order_window,
        at.W_IN_WINDOW: budget.orders,
        at.W_SECOND: budget.second,
        at.W_IN_SECOND: budget.orders_in_second,
        at.W_REJECTIONS_MAX: safeguards.rejections_max,
        at.W_REFUSALS_MAX: safeguards.refusals_max,
        at.W_BREAKER_NS: safeguards.window_ns,
    }


def _spot(session: SessionContext, instrument: Instrument, opened: ModelRun) -> dict[int, int]:
    """Return the rates of fees, and what lowers a position of spot and limits its sales."""
    funds, is_spot = opened.venue.sim.exchange.accounts[ACCOUNT_KEY], not instrument.contract
    limits = session.limits_of[instrument.id]
    return {
        at.W_FEE_MAKER: funds.rate(maker=True),
        at.W_FEE_TAKER: funds.rate(maker=False),
        at.W_PAYS_BASE: is_spot,
        at.W_SELLABLE: is_spot and "sellable" in session.risk_rules and not limits.sell_holdings,
    }


def _venue_rules(market: SymbolMarket) -> dict[int, int]:
    rules = market.rules
    return {
        at.W_VENUE_NOTIONAL_MAX: rules.notional_max,
        at.W_VENUE_NOTIONAL_MIN: rules.notional_min,
        at.W_VENUE_ORDERS_MAX: rules.orders_max,
        at.W_LOW_SHARE: rules.price_multiplier_down,
        at.W_HIGH_SHARE: rules.price_multiplier_up,
    }
