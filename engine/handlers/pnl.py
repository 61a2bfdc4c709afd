"""Reports of profit and loss."""

from engine.facts import Pnl
from engine.money import ZERO
from engine.session_context import SessionContext
from engine.state.positions import unrealised
from engine.step_context import StepContext


def emit_pnl(session: SessionContext, step: StepContext) -> None:
    """Emit realised and unrealised P&L of each position, marked at the mid.

    A position without a quote, also of an instrument that the session does not list, counts at its average price.
    Sessions of accounting 1 left it out.
    """
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
