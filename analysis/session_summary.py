"""The summary of a session: length, counts, how it ended, its time in each mode, figures of trading and P&L."""

from pathlib import Path

import msgspec

from analysis.session_row import SessionRow, session_row
from engine.mode_shares import ModeSummary
from journal.printable import counted
from journal.reader import Journal
from journal.session_names import recorded_session_id
from replay.imported_sessions import is_import
from replay.study.mode_shares import session_mode_shares
from replay.study.performance import Performance, session_performance
from replay.study.pnl import Grouping, SessionPnl, pnl_table, session_pnl


class SessionSummary(msgspec.Struct, frozen=True):
    """The summary of one session. An import has market data alone, so its time, performance and P&L are None."""

    row: SessionRow
    time: ModeSummary | None  # in each mode
    performance: Performance | None  # intents, orders, fills, and P&L in the quote asset
    pnl: SessionPnl | None  # in the reporting currency, by average cost; None for a slice too

    def __str__(self) -> str:
        row = self.row
        orders, fills = counted(row.orders or 0, "order"), counted(row.fills or 0, "fill")
        lines = [
            f"session {row.session}, {row.start}, {row.seconds or 0:,.3f} s, {row.records or 0:,} records, {row.ended}",
            f"strategies {', '.join(row.strategies) or 'none'}; {orders}, {fills}",
        ]
        lines += [f"time {self.time.line}"] if self.time else []
        lines += self.performance.troubles if self.performance else []
        lines += pnl_table(self.pnl, Grouping.LINE) if self.pnl else []
        return "\n".join(lines)

    __repr__ = __str__


def summarise(folder: Path) -> SessionSummary:
    """Return the summary of a session.

    Raises:
        JournalError: It cannot be read.
    """
    journal = Journal.open(folder)
    row = session_row(folder, recorded_session_id(journal))
    if is_import(journal):
        return SessionSummary(row, None, None, None)
    pnl = None if journal.left_out else session_pnl(folder)
    return SessionSummary(row, session_mode_shares(folder), session_performance(folder), pnl)
