"""Intents of strategies: risk reviews each one, and an approved one becomes a request."""

from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple

from msgspec.structs import replace

from engine.bodies import Figure, IntentBody, IntentKind, VerdictBody
from engine.facts import BreakerScope, NewOrder
from engine.handlers.amendments import review_amendment
from engine.handlers.cancel_rules import cancel_rules, repeats_cancel
from engine.handlers.freshness import slowest_ns
from engine.handlers.losses_of_day import last_of, loss_reason, mid_of
from engine.handlers.spent_budgets import budget_rules, is_spent
from engine.market.views import Quote
from engine.model import Instrument, OrderType, Side
from engine.money import ZERO, up_to_grid
from engine.risk.context import RiskContext
from engine.risk.exits import exit_quantity, reducible
from engine.risk.review import Approved, review
from engine.session_context import SessionContext
from engine.state.order_budgets import BudgetKind
from engine.state.rates import recorded_rate
from engine.state.session_state import Account
from engine.step_context import StepContext
from engine.strategy.api import Amend, Cancel, Close, Intent, Place, Run


class ApprovedIntent(NamedTuple):
    """An intent that may be sent."""

    client_order_id: str
    strategy: str
    instrument: Instrument
    order: Approved | NewOrder | None  # NewOrder: an order of ours is amended to it; None: one is cancelled
    verdict_seq: int


def drops_intent(session: SessionContext, step: StepContext, strategy: str, intent: Intent) -> bool:
    """Return True for a new order that a pause forbids, and for a cancel that repeats one under way.

    An exit leaves during a pause too. After one that was refused, the next waits.
    """
    if isinstance(intent, Cancel) and repeats_cancel(step, intent.client_order_id):
        return True
    if not step.account.breakers.pauses or isinstance(intent, Run):  # plans check pauses themselves
        return False
    if isinstance(intent, Cancel | Amend):
        return _is_out_of_budget(session, step, strategy, intent)
    instrument = session.instrument_by_name.get(intent.instrument)
    name = intent.instrument if instrument is None else instrument.id
    subjects = ((BreakerScope.INSTRUMENT, name), (BreakerScope.STRATEGY, strategy))
    pauses = [step.account.breakers.active(scope, subject, step.time_ns) for scope, subject in subjects]
    if not any(pauses) or not session.safeguards.paused_exits or not _is_exit(step, strategy, name, intent):
        return any(pauses)
    return any(pause is not None and step.time_ns < pause.exits_from_ns for pause in pauses)


def _is_out_of_budget(session: SessionContext, step: StepContext, strategy: str, intent: Cancel | Amend) -> bool:
    """Return True during a pause of the strategy for a cancel or amendment beyond its budget: it was refused before."""
    order = step.account.orders.get(intent.client_order_id)
    instrument = None if order is None else session.instruments.get(order.order.instrument)
    if instrument is None or not step.account.breakers.pause_reason(BreakerScope.STRATEGY, strategy, step.time_ns):
        return False
    kind = BudgetKind.CANCEL if isinstance(intent, Cancel) else BudgetKind.REPLACEMENT
    return is_spent(session, step, (kind,), strategy=strategy, instrument=instrument)


def _is_exit(step: StepContext, strategy: str, instrument: str, intent: Place | Close) -> bool:
    """Return True if a new order can only reduce the strategy's position."""
    if isinstance(intent, Close) or intent.reduce_only:
        return True
    if intent.quote_quantity:
        return False  # its quantity is known by its fills alone
    return intent.quantity <= reducible(step.account, strategy, instrument, intent.side)


def review_intent(
    session: SessionContext, step: StepContext, strategy: str, intent: Place | Close | Cancel | Amend
) -> ApprovedIntent | None:
    """Emit an intent and its verdict. Return the intent if it is approved."""
    if isinstance(intent, Cancel):
        return _review_cancel(session, step, strategy, intent)
    if isinstance(intent, Amend):
        amended = review_amendment(session, step, strategy, intent)
        return None if amended is None else ApprovedIntent(intent.client_order_id, strategy, *amended)
    version = session.strategies[strategy].settings.version
    instrument = session.instrument_by_name.get(intent.instrument)
    venue = session.venues[instrument.venue] if instrument else next(iter(session.venues.values()))
    order_id = venue.order_ids.make(
        session=session.body.session, strategy=strategy, version=version, seq=step.next_seq, leg=0
    )
    quote = step.quote(session.indexes[instrument.id]) if instrument else None
    order, reason = _new_order(step, strategy, intent, instrument)
    if order.quote_quantity and instrument is not None and quote is not None:
        slippage = session.limits_of[instrument.id].market_slippage_max
        order = replace(
            order, quantity=most_for_amount(order, step.account.instruments.current(instrument), quote, slippage)
        )
    # `quote_seq` is the record of the quote that the strategy read
    rationale = {**intent.rationale, **reason, **({"quote_seq": quote.seq} if quote else {})}
    body = IntentBody(IntentKind.PLACE, strategy, version, order=order, rationale=rationale)
    seq = step.emit(body, source=f"strategy.{strategy}", key=order_id)
    if instrument is None:
        rules = {"instrument": f"{intent.instrument} is not traded here"}
        step.emit(VerdictBody(False, rules), source="risk", key=order_id, cause=seq)
        return None
    return review_order(session, step, strategy, order, quote=quote, order_id=order_id, cause=seq)


def review_order(
    session: SessionContext,
    step: StepContext,
    strategy: str,
    order: NewOrder,
    *,
    quote: Quote | None,
    order_id: str,
    cause: int,
    is_protecting: bool = False,
) -> ApprovedIntent | None:
    """Emit risk's verdict on a new order. Return the order if it is approved.

    Args:
        session: The session.
        step: The current step.
        strategy: The strategy whose order it is.
        order: The order.
        quote: The last quote, with its age (StepContext.quote).
        order_id: Its client order id.
        cause: The seq of the intent.
        is_protecting: It protects a position that stays open while the session stops.

    """
    instrument = session.instruments[order.instrument]
    context = risk_context(session, step, strategy, order, quote)
    if is_protecting:
        context = replace(context, is_protecting=True)
    if step.settings.accounting > 1 and context.terms.known_price is None and order.side is Side.BUY:
        # as long as it is under way, the order locks what it is now estimated to cost
        context = replace(context, order=replace(order, market_price=context.worst_price))
    choice = session.rule_choice
    verdict, approved = review(context, choice.rules_for(context), names=choice.rules)
    if approved is None and session.names_refused:
        verdict = replace(verdict, strategy=strategy, instrument=order.instrument)
    seq = step.emit(verdict, source="risk", key=order_id, cause=cause)
    return None if approved is None else ApprovedIntent(order_id, strategy, instrument, approved, seq)


def _new_order(
    step: StepContext, strategy: str, intent: Place | Close, instrument: Instrument | None
) -> tuple[NewOrder, dict[str, Any]]:
    """Return the order of an intent, and what its rationale gains: a reduce-only order is cut to the position."""
    name = instrument.id if instrument else intent.instrument
    if isinstance(intent, Close):
        held = step.account.positions.get(strategy, name).quantity
        side = Side.SELL if held > 0 else Side.BUY
        kind = OrderType.LIMIT if intent.price else OrderType.MARKET
        intent = Place(intent.instrument, side, abs(held), intent.price, kind, intent.time_in_force, reduce_only=True)
    order = NewOrder(
        instrument=name,
        side=intent.side,
        type=intent.type,
        quantity=intent.quantity,
        price=intent.price,
        time_in_force=intent.time_in_force,
        stop_price=intent.stop_price,
        reduce_only=intent.reduce_only,
        trailing_delta=intent.trailing_delta,
        iceberg_quantity=intent.iceberg_quantity,
        quote_quantity=intent.quote_quantity,
        good_till_ns=intent.good_till_ns,
        closes_position=intent.closes_position,
    )
    if not intent.reduce_only or instrument is None:
        return order, {}
    left = exit_quantity(step.account, strategy, instrument, intent.side, is_market=not intent.price)
    if left >= intent.quantity:
        return order, {}
    return replace(order, quantity=left), {"asked_quantity": intent.quantity}


def most_for_amount(order: NewOrder, instrument: Instrument, quote: Quote, slippage: Decimal) -> Decimal:
    """Return the most that an order by quote amount may trade, rounded up to the lot: all limits count this quantity.

    Fills below the far touch by the fraction `slippage` are expected at the worst.
    """
    price = (quote.ask if order.side is Side.BUY else quote.bid) * (1 - slippage)
    if price <= 0 or order.quote_quantity <= 0:
        return ZERO
    return up_to_grid(order.quote_quantity / price, instrument.lot_size)


def risk_context(
    session: SessionContext, step: StepContext, strategy: str, order: NewOrder, quote: Quote | None
) -> RiskContext:
    """Return an order with the account and market that its review needs."""
    shared = session.review_contexts.get(order.instrument)
    if shared is None:
        shared = session.review_contexts[order.instrument] = _shared_context(session, step, order)
    instrument, terms = shared.instrument, order.terms
    if step.account.instruments.by_id:
        instrument = step.account.instruments.current(instrument)
    loss, loss_figure = loss_reason(session, step, strategy, instrument)
    bid, ask = (quote.bid, quote.ask) if quote else (ZERO, ZERO)
    return replace(
        shared,
        order=order,
        terms=terms,
        strategy=strategy,
        instrument=instrument,
        account=step.account,
        time_ns=step.time_ns,
        bid=bid,
        ask=ask,
        worst_price=terms.limit_price(order.side, bid=bid, ask=ask, slippage=shared.limits.market_slippage_max),
        quote_age_ns=0 if quote is None else quote.age_ns,
        venue_lag_ns=slowest_ns(session, step, instrument) if shared.venue_lag_max_ns else 0,
        mid_of=partial(mid_of, session, step.market),
        last_of=partial(last_of, session, step.market),
        rate_of=partial(recorded_rate, step.market),
        loss_reason=loss,
        loss_figure=loss_figure,
    )


def _shared_context(session: SessionContext, step: StepContext, order: NewOrder) -> RiskContext:
    """Return what the reviews of all orders of an instrument share, with an order of it."""
    instrument, settings = session.instruments[order.instrument], session.settings
    venue = session.venues[instrument.venue]
    return RiskContext(
        order=order,
        terms=order.terms,
        strategy="",
        instrument=instrument,
        instruments=session.instruments,  # for names, assets and contracts, which never change
        account=Account(),
        limits=session.limits_of[instrument.id],
        time_ns=0,
        bid=ZERO,
        ask=ZERO,
        worst_price=ZERO,
        quote_age_max_ns=settings.quote_age_max_ns,
        venue_lag_max_ns=settings.venue_lag_max_ns,
        rates=venue.rates,
        types=venue.capabilities.types,
        gtc_only=venue.capabilities.gtc_only,
        venue_terms=venue.capabilities.terms,
        market_bound=venue.capabilities.market_bound,
        safeguards=session.safeguards,
        reporting=session.reducer_settings.reporting_currency,
        values_contracts=step.reducer_settings.settles_contracts,
        is_watched=instrument.venue not in session.accounts.trading,
        venue_key=step.account_of(instrument.venue),
    )


def emit_request(session: SessionContext, step: StepContext, approved: ApprovedIntent, *, plan_id: str = "") -> None:
    """Emit the request of an approved intent. `plan_id`: the execution plan whose order it is."""
    name, strategy, instrument, order, verdict_seq = approved
    factory = session.factories[instrument.venue]
    if order is None:
        factory.cancel(step, client_order_id=name, instrument=instrument, cause=verdict_seq)
    elif isinstance(order, NewOrder):
        factory.amend(step, client_order_id=name, order=order, instrument=instrument, cause=verdict_seq)
    else:
        factory.place(
            step,
            order,
            client_order_id=name,
            strategy=strategy,
            instrument=instrument,
            cause=verdict_seq,
            plan_id=plan_id,
        )


def _review_cancel(session: SessionContext, step: StepContext, strategy: str, intent: Cancel) -> ApprovedIntent | None:
    order_id = intent.client_order_id
    version = session.strategies[strategy].settings.version
    body = IntentBody(IntentKind.CANCEL, strategy, version, cancels=order_id, rationale=dict(intent.rationale))
    seq = step.emit(body, source=f"strategy.{strategy}", key=order_id)
    order = step.account.orders.get(order_id)
    instrument = None if order is None else session.instruments.get(order.order.instrument)
    rules = cancel_rules(step, strategy, order_id, venue="" if instrument is None else instrument.venue)
    figures: dict[str, Figure] = {}
    if instrument is not None:
        answers = budget_rules(session, step, BudgetKind.CANCEL, strategy=strategy, instrument=instrument)
        rules |= {name: answer.reason for name, answer in answers.items()}
        figures = {answer.limit: answer.figure for answer in answers.values()}
    is_approved = not any(rules.values())
    verdict = VerdictBody(is_approved, rules, figures=figures)
    if not is_approved and session.names_refused:
        verdict = replace(verdict, strategy=strategy)
    seq = step.emit(verdict, source="risk", key=order_id, cause=seq)
    if not is_approved:
        return None
    assert instrument is not None, "an order of ours has an instrument of the session"
    return ApprovedIntent(order_id, strategy, instrument, None, seq)
