"""Events of a venue: what it reports of an account, in a frame of a private stream or beside an answer."""

from collections.abc import Callable
from typing import Any, Final

from engine.bodies import NoteLevel
from engine.events import (
    Answer,
    BalanceReport,
    ContractReport,
    Event,
    FillsReport,
    FundingReport,
    MarginCall,
    MarginSettingsReport,
    OrderChange,
    OrderReport,
    Outcome,
    StreamEnded,
    Subscribed,
    Unrecognised,
    WalletReport,
)
from engine.execution import order_changes, order_reports, reconciliation, wallet_reports
from engine.execution.balance_reports import apply_balance
from engine.facts import LinkReady
from engine.handlers.link_changes import disconnect
from engine.handlers.lost_orders import is_unrecorded
from engine.handlers.margin_settings import apply_settings, note_margin_call
from engine.session_context import SessionContext
from engine.session_record import SECOND_NS
from engine.step_context import StepContext
from journal.record import Kind

UNREADABLE_INTERVAL_NS: Final = 10 * SECOND_NS  # between reconciliations that unreadable private frames lead to


def handle_event(session: SessionContext, step: StepContext, event: Event) -> None:
    """Handle one event that needs no knowledge of a request. One that is not in the table leads to nothing."""
    handle = HANDLERS.get(type(event))
    if handle is not None:
        handle(session, step, event)


def _venue(session: SessionContext, step: StepContext) -> str:
    return session.venue_of(step.record.source).name


def _handle_report(session: SessionContext, step: StepContext, event: OrderReport) -> None:
    _handle_order_report(session, step, event)
    if step.account.orders.missing_fills:
        reconciliation.query_missing_fills(step, session.factories, session.instruments)


def _handle_change(session: SessionContext, step: StepContext, event: OrderChange) -> None:
    report = order_changes.completed(step, event, session.venues[_venue(session, step)].instruments)
    if report is not None:
        handle_event(session, step, report)


def _handle_fills(session: SessionContext, step: StepContext, event: FillsReport) -> None:
    """Record the fills of a stream that reports them apart from their orders."""
    for fill in event.fills:
        order_reports.record_fill(step, fill, session.instruments)


def _handle_balance(session: SessionContext, step: StepContext, event: BalanceReport) -> None:
    apply_balance(step, event, session.venue_of(step.record.source).name)


def _handle_wallet(session: SessionContext, step: StepContext, event: WalletReport) -> None:
    venue = _venue(session, step)
    if wallet_reports.apply_wallet(step, event, session.instruments, venue):
        reconciliation.query_fundings(step, session.factories[venue], session.instruments)


def _handle_contract(session: SessionContext, step: StepContext, event: ContractReport) -> None:
    wallet_reports.apply_contract(step, event, session.instruments)


def _handle_funding(session: SessionContext, step: StepContext, event: FundingReport) -> None:
    wallet_reports.apply_funding(step, event, session.instruments)


def _handle_margin_call(_session: SessionContext, step: StepContext, event: MarginCall) -> None:
    note_margin_call(step, event)


def _handle_subscribed(_session: SessionContext, step: StepContext, _event: Subscribed) -> None:
    if step.record.kind is Kind.BROKER:
        step.emit(LinkReady(step.record.source))


def _handle_end(session: SessionContext, step: StepContext, event: StreamEnded) -> None:
    step.note(NoteLevel.WARNING, f"{step.record.source}: {event.reason}")
    disconnect(session, step, step.record.source)


def _handle_unrecognised(session: SessionContext, step: StepContext, event: Unrecognised) -> None:
    step.note(NoteLevel.WARNING, f"{event.where}: {event.error}")
    is_private_frame = step.record.kind is Kind.BROKER and step.record.meta is None
    scope = session.accounts.scopes.get(step.account_of(_venue(session, step)))
    if is_private_frame and scope and step.time_ns - scope.rounds(step).done_ns > UNREADABLE_INTERVAL_NS:
        # what could not be read may have been a fill
        reconciliation.request(step, (scope,))


def _handle_answer(_session: SessionContext, step: StepContext, event: Answer) -> None:
    if event.outcome is not Outcome.DONE:
        step.note(NoteLevel.WARNING, f"{step.record.source}: {event.outcome} {event.coded_text}")


def _handle_order_report(session: SessionContext, step: StepContext, event: OrderReport) -> None:
    """Apply a report, or query an order that bears our mark and is unknown here.

    Such an order closed long ago, or its records were lost. Only the venue's answer to the query shows which.
    """
    instrument = session.instruments.get(event.instrument)
    known = step.account.orders.find(event.instrument, event.client_order_id, event.venue_order_id)
    if instrument is None or known is not None or not is_unrecorded(session, step)(event):
        order_reports.apply_report(step, event, session.instruments, known)
    elif event.status in order_reports.OPEN and step.account.requests.for_order(event.client_order_id) is None:
        factory = session.factories[instrument.venue]
        factory.query_order(step, instrument=instrument, client_order_id=event.client_order_id)


# kind of event -> its handler
HANDLERS: Final[dict[type, Callable[[SessionContext, StepContext, Any], None]]] = {
    OrderReport: _handle_report,
    OrderChange: _handle_change,
    FillsReport: _handle_fills,
    BalanceReport: _handle_balance,
    WalletReport: _handle_wallet,
    MarginSettingsReport: apply_settings,
    MarginCall: _handle_margin_call,
    ContractReport: _handle_contract,
    FundingReport: _handle_funding,
    Subscribed: _handle_subscribed,
    StreamEnded: _handle_end,
    Unrecognised: _handle_unrecognised,
    Answer: _handle_answer,
}
