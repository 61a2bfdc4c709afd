"""Reports of a venue about orders, turned into facts. Doubts and reconciliation compare lists.

The same event twice changes nothing. A fill is recorded once, by (instrument, fill id), and only a fill moves a
position. Texts of notes and reasons are recorded, so they keep their words.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal

from msgspec.structs import replace

from engine.bodies import NoteLevel
from engine.contracts import asset_of
from engine.events import Answer, Fill, OrderReport, Outcome, VenueStatus
from engine.execution.position_reports import holder_of, record_forced
from engine.facts import (
    CancelSettled,
    NewOrder,
    OrderAccepted,
    OrderAdopted,
    OrderAmended,
    OrderClosed,
    OrderDoubted,
    OrderFilled,
    OrderNotPlaced,
    OrderTriggered,
    OrderUnknown,
)
from engine.lifecycle import CLOSED, LIVE, Report, Status, after
from engine.mode_reasons import ModeReason, ReasonCode
from engine.model import Instrument
from engine.money import ZERO, to_ledger
from engine.session_record import REFUSAL_RULES, TERM_RULES
from engine.state.orders import Order
from engine.state.pending_requests import PendingRequest
from engine.state.positions import after_fill
from engine.state.rates import recorded_rate
from engine.state.wallets import realised_by
from engine.step_context import StepContext
from journal.record import plain

IsOwn = Callable[[OrderReport], bool]  # True if this session or the one before made the order's id

CLOSING = {
    VenueStatus.CANCELED: Report.CANCELED,
    VenueStatus.EXPIRED: Report.EXPIRED,
    VenueStatus.REJECTED: Report.REJECTED,
}
ACCEPTED = (Status.OPEN, Status.TRIGGERED, Status.PARTIALLY_FILLED)
UNSETTLED = (Status.PENDING, Status.UNKNOWN)
REVIVED = (Status.NOT_PLACED, Status.REJECTED)  # a report of the venue may show that they are open after all
OPEN = (VenueStatus.OPEN, VenueStatus.PARTIALLY_FILLED)
# outcomes that prove that no order was placed
ABSENT = {
    Outcome.REFUSED,
    Outcome.RETRY_LATER,
    Outcome.RATE_LIMITED,
    Outcome.ORDER_LIMITED,
    Outcome.CLOCK,
    Outcome.AUTH,
    Outcome.NOT_FOUND,
}


def apply_report(
    step: StepContext, report: OrderReport, instruments: dict[str, Instrument], order: Order | None = None
) -> Order | None:
    """Record what one report states. Return its order, or None if its instrument is not traded here.

    `order` is the reported order as the account has it now, if the caller has found it.
    """
    if report.instrument not in instruments:
        return None
    if order is None:
        order = step.account.orders.find(report.instrument, report.client_order_id, report.venue_order_id)
    if order is None:
        order = _adopt(step, report)
    name, status, account = order.client_order_id, report.status, step.account
    is_revived = order.status in REVIVED and (order.status is Status.NOT_PLACED or status in OPEN)
    if (is_revived or order.status in UNSETTLED) and status is not VenueStatus.REJECTED:
        if is_revived:
            step.note(NoteLevel.ALARM, f"order {name} was {order.status} to us, but the venue has it", key=name)
        step.emit(OrderAccepted(name, report.venue_order_id, report.venue_ns), key=name)
    is_triggered = report.is_triggered or (report.is_in_market and order.order.terms.trigger is not None)
    if is_triggered and step.settings.order_rules >= TERM_RULES:
        _trigger(step, name, report)
    known, quantity, filled, venue_ns = order.order, report.quantity, report.filled_quantity, report.venue_ns
    is_filled = status is VenueStatus.FILLED
    # the quantity of an order for an amount is our estimate; the venue states what was executed so far
    if not known.quote_quantity and (
        quantity != known.quantity or report.price != known.price or report.client_order_id != name
        or report.client_order_id_now or report.prevented_quantity or (is_filled and filled < quantity)
    ):  # fmt: skip
        follow_terms(step, name, report)
    for fill in report.fills:
        record_fill(step, fill, instruments)
    if step.account is not account:
        order = step.account.orders.known(name)
    if status in CLOSING:
        closing = CLOSING[status]
        if closing is Report.REJECTED and order.status in ACCEPTED:
            closing = Report.CANCELED  # a rejection after acceptance is an end
        if after(order.status, closing) is not None:
            is_refusal = closing is Report.REJECTED and step.settings.order_rules >= REFUSAL_RULES
            is_temporary = report.is_temporary and is_refusal
            step.emit(OrderClosed(name, closing, filled, report.reason, venue_ns, is_temporary), key=name)
            return _agreed(step, name, report)
    if is_filled and known.quote_quantity and order.status in LIVE:
        step.emit(OrderClosed(name, Report.FULL_FILL, filled, "", venue_ns), key=name)  # the amount is spent
    elif filled > order.filled_reported and filled > order.filled_quantity and not order.adopted:
        # remember the venue's count, so that the missing fills are queried
        step.emit(OrderAccepted(name, report.venue_order_id, venue_ns, filled_quantity=filled), key=name)
    elif is_filled and order.adopted and order.status in LIVE:
        step.emit(OrderClosed(name, Report.FULL_FILL, filled, "", venue_ns), key=name)
    elif not order.doubt:
        return order
    return _agreed(step, name, report)


def _agreed(step: StepContext, name: str, report: OrderReport) -> Order:
    """Return an order after a report of it. A doubt about it ends if both agree now whether it is live."""
    order = step.account.orders.known(name)
    if order.doubt and (order.status in LIVE) is (report.status in OPEN):
        step.emit(OrderDoubted(name, ""), key=name)
        order = step.account.orders.known(name)
    return order


def _trigger(step: StepContext, name: str, report: OrderReport) -> None:
    """Record that the venue activated an order that it held."""
    order = step.account.orders.known(name)
    if after(order.status, Report.TRIGGERED) is not None:
        order_id = report.venue_order_id if report.is_in_market and not order.venue_order_id else ""
        step.emit(OrderTriggered(name, report.venue_ns, order_id), key=name)


def follow_terms(step: StepContext, name: str, report: OrderReport) -> None:
    """Record the venue's quantity, price and client id of a live order if they differ from ours.

    An amendment, self-trade prevention or a person changes them. Among reports of one date, the smaller quantity is the
    newer one: a venue only reduces an order that keeps its id (Binance Spot API, order amend keep priority).
    """
    order = step.account.orders.known(name)
    if not step.settings.order_rules or order.status not in LIVE or report.quantity <= 0 or report.status in CLOSING:
        return
    if 0 < report.venue_ns < order.terms_ns:
        return  # older terms than those we know
    known = order.order
    prevented = order.prevented_quantity if report.prevented_quantity is None else report.prevented_quantity
    quantity = report.quantity - prevented
    if report.status is VenueStatus.FILLED and 0 < report.filled_quantity < quantity:
        quantity = report.filled_quantity  # the venue says that it is filled whole
    is_newer = report.venue_ns > order.terms_ns
    if quantity <= 0 or (quantity > known.quantity and order.terms_ns and not is_newer):
        return
    price = report.price if report.price > 0 and known.price > 0 else known.price
    client_id = order.venue_client_id or name
    if not order.adopted and report.venue_order_id == order.venue_order_id:
        client_id = report.client_order_id_now or report.client_order_id or client_id
    if (quantity, price, client_id) == (known.quantity, known.price, order.venue_client_id or name):
        return
    # else our own amendment, or the size that its list's entry brought
    if not order.waits_for and (quantity, price, client_id) != (order.amended_to, known.price, name):
        text = (
            f"order {name} is {plain(quantity)} at {plain(price)} at the venue, under the id {client_id}; "
            f"it was {plain(known.quantity)} at {plain(known.price)}"
        )
        step.note(NoteLevel.WARNING, text, key=name)
    step.emit(OrderAmended(name, quantity, price, client_id, report.venue_ns, prevented), key=name)


def _adopt(step: StepContext, report: OrderReport) -> Order:
    """Record an order that this journal did not send."""
    order = NewOrder(
        instrument=report.instrument,
        side=report.side,
        type=report.type,
        quantity=report.quantity,
        price=report.price,
        time_in_force=report.time_in_force,
        stop_price=report.stop_price,
        venue_type=report.venue_type,
    )
    if step.settings.order_rules >= TERM_RULES:
        order = replace(
            order,
            trailing_delta=report.trailing_delta,
            iceberg_quantity=report.iceberg_quantity,
            quote_quantity=report.quote_quantity,
            reduce_only=report.reduce_only,
        )
    name = report.client_order_id or f"venue-{report.venue_order_id}"
    if step.account.orders.get(name) is not None:
        name = f"{name}@{report.venue_order_id}"  # others may use an id again
    if step.account.orders.get(name) is not None:
        name = f"{name}@{report.instrument}"  # instruments number their orders apart
    strategy = "" if report.forced is None else holder_of(step, report)
    if report.forced is None:
        step.note(NoteLevel.WARNING, f"order {name} at the venue is not of this journal: adopted as external")
    else:
        record_forced(step, report, name, strategy)
    step.emit(OrderAdopted(name, report.venue_order_id, order, report.filled_quantity, strategy), key=name)
    return step.account.orders.known(name)


def is_lost_order(step: StepContext, report: OrderReport, is_own: IsOwn) -> bool:
    """Return True if an order has an id of ours and no journal contains it."""
    known = step.account.orders.find(report.instrument, report.client_order_id, report.venue_order_id)
    return known is None and is_own(report)


def halt_for_lost(step: StepContext, report: OrderReport) -> None:
    """Halt because the venue has an order of ours whose records were lost."""
    text = f"order {report.client_order_id} at the venue bears our mark and is in no journal: records were lost"
    step.halt(ModeReason(ReasonCode.RECORDS_LOST, text, report.client_order_id))


def cursor_of(step: StepContext, fill: Fill, instrument: Instrument) -> str | None:
    """Return the cursor of a fill, or None with an alarm if it cannot be a fill: no venue may stop the engine."""
    try:
        if fill.fill_id and fill.quantity > 0 and fill.price >= 0:
            return step.fill_cursor(instrument.venue).cursor(fill)
    except ValueError:
        pass  # the alarm below names the fill
    text = f"a fill that cannot be one is not booked: {fill.fill_id}, {fill.quantity} at {fill.price}"
    step.note(NoteLevel.ALARM, text)
    return None


def record_fill(
    step: StepContext, fill: Fill, instruments: dict[str, Instrument], *, is_first_page: bool = False
) -> bool:
    """Record a fill and the position after it, once.

    Args:
        step: The current step.
        fill: What the venue reports.
        instruments: The session's instruments.
        is_first_page: The fill is of the first page that was ever queried, so an order of others had it before.

    Returns:
        False if its order is not known, which the caller queries, or if it is recorded already.

    """
    order = step.account.orders.find(fill.instrument, fill.client_order_id, fill.venue_order_id)
    if order is None or fill.fill_id in order.fill_ids or fill.instrument not in instruments:
        return False
    instrument = instruments[fill.instrument]
    cursor = cursor_of(step, fill, instrument)
    if cursor is None:
        return False
    if order.adopted:
        cursors = step.fill_cursor(instrument.venue)
        confirmed = step.account.reconciling.confirmed_cursor(fill.instrument)
        if is_first_page or cursors.key(cursor) <= cursors.key(cursors.start if confirmed is None else confirmed):
            return False  # it is older than our knowledge of the order
    name = order.client_order_id
    is_late = order.status in CLOSED and order.filled_quantity + fill.quantity > order.filled_reported
    if is_late:
        step.note(NoteLevel.ALARM, f"fill {fill.fill_id} came for order {name}, which was {order.status}", key=name)
    fact = OrderFilled(
        client_order_id=name,
        strategy=order.strategy,
        instrument=fill.instrument,
        fill_id=fill.fill_id,
        venue_order_id=fill.venue_order_id,
        side=fill.side,
        price=fill.price,
        quantity=fill.quantity,
        fee=fill.fee,
        fee_asset=fill.fee_asset,
        maker=fill.maker,
        venue_ns=fill.venue_ns,
        late=is_late,
        fee_rate=_fee_rate(step, fill, instrument),
        report_rate=report_rate(step, instrument),
        position_side=fill.position_side,
    )
    if instrument.contract and step.reducer_settings.settles_contracts:
        fact = replace(fact, settled=to_ledger(realised_by(step.account.wallets, fact, instrument)))
    seq = step.emit(fact, key=name)
    position = step.account.positions.get(order.strategy, fill.instrument)
    keeps_unvalued = step.settings.accounting > 1
    step.emit(after_fill(position, fact, instrument, keeps_unvalued=keeps_unvalued), key=name, cause=seq)
    return True


def _fee_rate(step: StepContext, fill: Fill, instrument: Instrument) -> Decimal:
    """Return the rate that values a fee in a third asset, or 0: the mid of a spot market of the session."""
    if step.settings.accounting < 2 or not fill.fee or not fill.fee_asset:
        return ZERO
    if not instrument.contract and fill.fee_asset in (instrument.base, instrument.quote):
        return ZERO  # the fill's own price values a fee in base
    quote_asset = asset_of(instrument)
    if fill.fee_asset == quote_asset:
        return ZERO
    is_exact = step.reducer_settings.has_pnl  # older sessions know no rate over a third asset
    return recorded_rate(step.market, fill.fee_asset, quote_asset, over_third=is_exact) or ZERO


def report_rate(step: StepContext, instrument: Instrument) -> Decimal:
    """Return the rate of an instrument's P&L in the reporting currency; 0 if it is that currency, or not known."""
    asset = asset_of(instrument)
    if not step.reducer_settings.has_pnl or asset == step.reducer_settings.reporting_currency:
        return ZERO
    return recorded_rate(step.market, asset, step.reducer_settings.reporting_currency) or ZERO


def apply_place_answer(
    step: StepContext,
    pending: PendingRequest,
    placed: Iterable[tuple[str, NewOrder]],
    answer: Answer,
    *,
    sent_ns: int,
    proof_after_ns: int,
) -> None:
    """Record what the answer to a placement proves. Its reports were applied before.

    No order is PENDING after it, since nothing would query a PENDING order.

    Args:
        step: The current step.
        pending: The request.
        placed: Its orders by name.
        answer: What the venue answered.
        sent_ns: Session time at which it was sent; 0 if unknown.
        proof_after_ns: Time after sending from which "not found" proves absence.

    """
    proof_ns = (sent_ns or pending.request.expires_ns) + proof_after_ns
    for name, _ in placed:
        _apply_place_answer(step, name, answer, proof_ns)


def _apply_place_answer(step: StepContext, name: str, answer: Answer, proof_ns: int) -> None:
    order = step.account.orders.get(name)
    if order is None or order.status is not Status.PENDING:
        return
    text = answer.coded_text.strip() if answer.code else answer.text
    match answer.outcome:
        case Outcome.DONE:  # placed, but with no status: the venue is queried
            step.emit(OrderUnknown(name, "placed, and the answer tells no status", proof_ns), key=name)
        case Outcome.UNKNOWN:
            step.emit(OrderUnknown(name, text or "no answer", proof_ns), key=name)
        case Outcome.NOT_SENT:
            step.emit(OrderNotPlaced(name, f"not sent: {text}"), key=name)
        case outcome:
            assert outcome in ABSENT, outcome
            is_temporary = outcome is not Outcome.REFUSED or answer.is_temporary
            is_temporary = is_temporary and step.settings.order_rules >= REFUSAL_RULES
            step.emit(OrderClosed(name, Report.REJECTED, ZERO, text or outcome.value, 0, is_temporary), key=name)


def apply_cancel_answer(
    step: StepContext, pending: PendingRequest, answer: Answer, *, counted: Answer | None = None
) -> bool:
    """Record the answer to a cancel. Its report was applied before, and may have closed the order.

    Returns:
        True if the order must be queried: the answer does not state how it ended.

    """
    name = pending.request.client_order_id
    order = step.account.orders.get(name)
    if order is None or order.status not in LIVE:
        return False
    is_refused = counted is not None and counted.outcome in (Outcome.REFUSED, Outcome.NOT_FOUND)
    step.emit(CancelSettled(name, f"{answer.outcome}: {answer.coded_text}", is_refused), key=name)
    return answer.outcome in (Outcome.DONE, Outcome.NOT_FOUND, Outcome.UNKNOWN)


def not_found(step: StepContext, name: str, *, asked_ns: int) -> bool:
    """Record what the answer "not found" to a query proves.

    It proves absence only for an UNKNOWN order, and only if the query was late enough (scenario S4): the order may have
    been on its way for long.

    Returns:
        False if it contradicts what the venue stated before.

    """
    order = step.account.orders.get(name)
    if order is None or order.status not in LIVE:
        return True
    if order.status is Status.UNKNOWN:
        if asked_ns > order.proof_ns:
            step.emit(OrderNotPlaced(name, "the venue answered that it does not know it"), key=name)
        return True
    return order.status is Status.PENDING
