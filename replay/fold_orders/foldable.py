"""What a run with orders in the fold can do. Everything else is refused in one line, and runs the ordinary way."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from engine.model import Instrument
from engine.session_context import SessionContext
from engine.session_record import RiskSettings
from engine.sim.fold_orders.fold_layout import RULE_BITS
from engine.sim.venue_model import VenueModel
from engine.strategy.cadences import Every, OnQuote
from engine.strategy.loading import LoadedStrategy
from replay.resim.resimulate import ResimOptions

SECOND_NS: Final = 1_000_000_000
# rules that object to no order of such a run: its session is RUNNING, its funds are plentiful, its orders are limit
# and market orders of a quoted instrument
SILENT_RULES: Final = frozenset({
    "balance", "blocked", "good_till", "iceberg", "mode", "order_limit", "order_type", "quote_amount", "quoted",
    "reduce_only", "trading", "trailing_stop", "unknown_order", "venue_lag",
})  # fmt: skip


class CannotFoldError(Exception):
    """A run with orders in the fold is not possible. The text is one line."""


def needs_ordinary_way(reason: str) -> CannotFoldError:
    """Return the error of a run that the ordinary way can do."""
    return CannotFoldError(
        f"orders in the fold: {reason}. What to do: leave out --orders-in-fold, which runs the ordinary way."
    )


def refuse_unfoldable(session: SessionContext, options: ResimOptions) -> LoadedStrategy:
    """Return the strategy of a session that can run with its orders in the fold.

    Raises:
        CannotFoldError: It cannot.
    """
    strategies = list(session.strategies.values())
    reasons = [
        *_strategy_reasons(strategies),
        *_instrument_reasons(list(session.instruments.values())),
        *_model_reasons(options.model),
        *_session_reasons(session, options),
    ]
    if reasons:
        raise needs_ordinary_way(reasons[0])
    return strategies[0]


def _strategy_reasons(strategies: list[LoadedStrategy]) -> Iterator[str]:
    if len(strategies) != 1:
        yield f"the session has {len(strategies)} strategies, not one"
        return
    [loaded] = strategies
    if len(loaded.cadences) != 1 or not isinstance(loaded.cadences[0], Every | OnQuote):
        yield "its cadence is neither Every nor OnQuote alone"
    if loaded.decision is not None and loaded.predicate is not None:
        yield "it declares `should_decide` beside `decide_fold`"
    if loaded.bars_s or loaded.warm_up is not None or any(each.spec("").interval_ns for each in loaded.indicators):
        yield "it declares bars or a WarmUp"


def _instrument_reasons(instruments: list[Instrument]) -> Iterator[str]:
    if len(instruments) != 1:
        yield f"the session has {len(instruments)} instruments, not one"
        return
    [instrument] = instruments
    if instrument.inverse or instrument.contract_size != 1:
        yield f"{instrument.symbol} is neither spot nor a linear contract of size 1"
    if instrument.by_order or instrument.without_book or instrument.half_spread_ppm >= 0:
        yield f"{instrument.symbol} has no book of levels"
    if not instrument.trading:
        yield f"{instrument.symbol} is not trading"


def _model_reasons(model: VenueModel) -> Iterator[str]:
    if model.ways_ns or model.scatter_ppm:
        yield f"latency={model.latency} is not constant"
    if model.venue_ns:
        yield "venue_ms is not 0"
    if model.fee_tiers:
        yield "the model has fee tiers"
    if model.request_ns + model.answer_ns >= SECOND_NS:
        yield "a request and its answer take a second or longer"


def _session_reasons(session: SessionContext, options: ResimOptions) -> Iterator[str]:
    body = session.body
    if options.from_seq or options.history is not None:
        yield "the strategy starts later, or bars from before the session are given"
    if session.loss_limits or body.risk.cooldown.is_set:
        yield "the session has limits of losses or a cool-down"
    if session.reducer_settings.has_order_budgets:
        yield "the session has budgets of orders a minute"
    if not session.settings.plain_figures:
        yield "the session was recorded before figures were plain"
    unknown = sorted(session.risk_rules.keys() - RULE_BITS.keys() - SILENT_RULES - _price_by_side(session))
    if unknown:
        yield f"risk rule {unknown[0]} is not one of the fold's"
    if _has_fine_limits(next(iter(session.limits_of.values())), next(iter(session.instruments.values()))):
        yield "a limit of notional is too large for whole numbers"


def _price_by_side(session: SessionContext) -> frozenset[str]:
    """Return the rule of bounds by side, where no instrument has such bounds."""
    has_bounds = any(
        one.buy_price_low or one.buy_price_high or one.sell_price_low or one.sell_price_high
        for one in session.instruments.values()
    )
    return frozenset() if has_bounds else frozenset({"price_by_side"})


def _has_fine_limits(limits: RiskSettings, instrument: Instrument) -> bool:
    most = max(limits.order_notional_max, instrument.notional_min, Decimal(0))
    return most.scaleb(instrument.price_scale + instrument.size_scale) >= 2**62
