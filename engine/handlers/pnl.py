"""Reports of profit and loss."""

from typing import Final

from engine import contracts
from engine.execution.order_reports import report_rate
from engine.facts import Pnl, PortfolioPnl
from engine.lots import entry_price
from engine.model import Instrument
from engine.money import ZERO
from engine.session_context import SessionContext
from engine.state.pnl_figures import MarkedLine, marked_lines, total_figures
from engine.state.positions import unrealised
from engine.state.rates import equity
from engine.step_context import StepContext

PERPETUAL: Final = "PERPETUAL"  # Instrument.contract of contracts with funding


def emit_pnl(session: SessionContext, step: StepContext) -> None:
    """Emit the P&L of each position, from accounting 3 on also that of the portfolio and the account's equity.

    A position without a quote, also of an instrument that the session does not list, counts at its average price.
    """
    if not step.reducer_settings.has_pnl:
        _emit_by_position(session, step)
        return
    _emit_unlisted(session, step)
    lines = list(marked_lines(step.account, step.market, step.reducer_settings))
    for marked in lines:
        step.emit(_line_report(step, marked, has_funding=not _lacks_funding(session, step, marked.instrument)))
    if lines:
        figures = total_figures(step.account, step.market, step.reducer_settings)
        worth = equity(step.account, step.market, figures.currency, choice=figures.mark)
        report = PortfolioPnl(
            figures.currency, figures.mark, figures.realised, figures.unrealised, figures.fees, figures.funding,
            worth.amount, tuple(sorted({*figures.missing, *worth.missing})), figures.unrated,
        )  # fmt: skip
        step.emit(report)


def _lacks_funding(session: SessionContext, step: StepContext, instrument: Instrument) -> bool:
    """Return True if a perpetual's venue settles fundings by mark prices, and none came."""
    if instrument.contract != PERPETUAL or not step.reducer_settings.has_reported_losses:
        return False
    follows = getattr(session.venues[instrument.venue], "fundings_follow_marks", False)
    return follows and step.market.mark(session.indexes[instrument.id]) is None


def _line_report(step: StepContext, marked: MarkedLine, *, has_funding: bool) -> Pnl:
    line, instrument = marked.line, marked.instrument
    return Pnl(
        strategy=line.strategy,
        instrument=line.instrument,
        quantity=line.quantity,
        mark=entry_price(instrument, line.lots) if marked.mark is None else marked.mark,
        realised_pnl=line.own.realised,
        unrealised_pnl=marked.unrealised,
        fees_quote=line.own.fees,
        fees_unvalued=line.unvalued,
        is_marked=marked.mark is not None,
        funding=line.own.funding,
        asset=contracts.asset_of(instrument),
        report_rate=report_rate(step, instrument),
        has_funding=has_funding,
    )


def _emit_unlisted(session: SessionContext, step: StepContext) -> None:
    """Emit the P&L of positions in instruments that the session does not list, as their last fill left it."""
    for key in sorted(step.account.positions.by_key):
        held = step.account.positions.by_key[key]
        if held.instrument not in session.indexes:
            step.emit(
                Pnl(
                    held.strategy, held.instrument, held.quantity, held.price_avg, held.realised_pnl, ZERO,
                    held.fees_quote, held.fees_unvalued, is_marked=False,
                )
            )  # fmt: skip


def _emit_by_position(session: SessionContext, step: StepContext) -> None:
    """Emit what sessions before accounting 3 report. Those of accounting 1 left out positions without a quote."""
    for key in sorted(step.account.positions.by_key):
        position = step.account.positions.by_key[key]
        index = session.indexes.get(position.instrument)
        quote = None if index is None else step.market.quote(index)
        if quote is None and session.settings.accounting == 1:
            continue
        mark = position.price_avg if quote is None else (quote.bid + quote.ask) / 2
        report = Pnl(
            strategy=position.strategy,
            instrument=position.instrument,
            quantity=position.quantity,
            mark=mark,
            realised_pnl=position.realised_pnl,
            unrealised_pnl=ZERO
            if quote is None
            else unrealised(position, mark, session.instruments[position.instrument]),
            fees_quote=position.fees_quote,
            fees_unvalued=position.fees_unvalued,
            is_marked=quote is not None,
        )
        step.emit(report)
