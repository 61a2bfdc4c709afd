"""Events of a venue: what it reports of an account, in a frame of a private stream or beside an answer."""

from typing import Final

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
    """Handle one event that needs no knowledge of a request."""
    venue = session.venue_of(step.record.source).name
    match event:
        case OrderReport():
            _handle_order_report(session, step, event)
            if step.account.orders.missing_fills:
                reconciliation.query_missing_fills(step, session.factories, session.instruments)
        case OrderChange():
            report = order_changes.completed(step, event, session.venues[venue].instruments)
            if report is not None:
                handle_event(session, step, report)
        case FillsReport():  # of a stream that reports fills apart from their orders
            for fill in event.fills:
                order_reports.record_fill(step, fill, session.instruments)
        case BalanceReport():
            apply_balance(step, event, venue)
        case WalletReport():
            if wallet_reports.apply_wallet(step, event, session.instruments, venue):
                reconciliation.query_fundings(step, session.factories[venue], session.instruments)
        case MarginSettingsReport():
            apply_settings(session, step, event)
        case MarginCall():
            note_margin_call(step, event)
        case ContractReport():
            wallet_reports.apply_contract(step, event, session.instruments)
        case FundingReport():
            wallet_reports.apply_funding(step, event, session.instruments)
        case Subscribed() if step.record.kind is Kind.BROKER:
            step.emit(LinkReady(step.record.source))
        case StreamEnded():
            step.note(NoteLevel.WARNING, f"{step.record.source}: {event.reason}")
            disconnect(session, step, step.record.source)
        case Unrecognised():
            step.note(NoteLevel.WARNING, f"{event.where}: {event.error}")
            is_private_frame = step.record.kind is Kind.BROKER and step.record.meta is None
            scope = session.accounts.scopes.get(step.account_of(venue))
            if is_private_frame and scope and step.time_ns - scope.rounds(step).done_ns > UNREADABLE_INTERVAL_NS:
                # what could not be read may have been a fill
                reconciliation.request(step, (scope,))
        case Answer() if event.outcome is not Outcome.DONE:
            step.note(NoteLevel.WARNING, f"{step.record.source}: {event.outcome} {event.coded_text}")
        case _:
            pass


def _handle_order_report(session: SessionContext, step: StepContext, event: OrderReport) -> None:
    """Apply a report, or query an order that bears our mark and is unknown here.

    Such an order closed long ago, or its records were lost. Only the venue's answer to the query shows which.
    """
    instrument = session.instruments.get(event.instrument)
    if instrument is None or not order_reports.is_lost_order(step, event, is_unrecorded(session, step)):
        order_reports.apply_report(step, event, session.instruments)
    elif event.status in order_reports.OPEN and step.account.requests.for_order(event.client_order_id) is None:
        factory = session.factories[instrument.venue]
        factory.query_order(step, instrument=instrument, client_order_id=event.client_order_id)
