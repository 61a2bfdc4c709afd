"""What one session came to: P&L, summary, figures, tear sheet. `Session` adds these to its tables."""

from typing import TYPE_CHECKING

from analysis.session_tables import SessionPlace, SessionTables
from journal.errors import JournalError

if TYPE_CHECKING:
    from analysis.session_figures import SessionFigures
    from analysis.session_summary import SessionSummary
    from analysis.session_tear_sheet import SessionTearSheet
    from replay.study.pnl import SessionPnl


class SeveralSessionsError(JournalError):
    """The question is about one session, but several are open."""


class SessionResults(SessionTables):
    """The tables of sessions, and the results of a single one."""

    def pnl_report(self, method: str = "average") -> "SessionPnl":
        """Return the P&L in the reporting currency, with the sums by strategy, instrument, account and portfolio.

        Args:
            method: The lots that a fill closes: `average`, `fifo` or `lifo`.

        Raises:
            IncompleteSessionError: It is a slice.
        """
        from engine.lots import CostMethod
        from replay.study.pnl import session_pnl

        return session_pnl(self._one("pnl_report").folder, CostMethod(method))

    def summary(self) -> "SessionSummary":
        """Return the session's length, counts, end, time in each mode, figures of trading and P&L."""
        from analysis.session_summary import summarise

        return summarise(self._one("summary").folder)

    def figures(self, *, with_slippage: bool = True) -> "SessionFigures":
        """Return drawdown, exposure, hit rate, maker share, Sharpe, Sortino; and slippage, which reads all quotes."""
        from analysis.session_figures import session_figures

        self._one("figures")
        return session_figures(self, with_slippage=with_slippage)

    def tear_sheet(self, *, benchmark: str = "", with_prices: bool = True) -> "SessionTearSheet":
        """Return what the session came to: equity, ratios, trades, groups. `print` it, or `write` it as a page.

        Args:
            benchmark: The instrument to hold for comparison. Default: the one with the most fills.
            with_prices: False leaves out slippage, prices and benchmark, which read all quotes.

        Raises:
            IncompleteSessionError: It is a slice.
            JournalError: It is an import.
        """
        from analysis.session_tear_sheet import session_tear_sheet

        self._decided("tear_sheet")
        return session_tear_sheet(self, benchmark=benchmark, with_prices=with_prices)

    def _decided(self, what: str) -> SessionPlace:
        """Return the place of the session, which has decisions.

        Raises:
            JournalError: It is an import.
        """
        from replay.resim.capture_session import refuse_import

        place = self._one(what)
        refuse_import(self.journals[0])
        return place

    def _one(self, what: str) -> SessionPlace:
        if len(self.places) > 1:
            raise SeveralSessionsError(
                f"`{what}` is of one session, and {len(self.places)} are open. "
                "What to do: choose one of `sessions`, or use a table or SQL, which cover all."
            )
        return self.places[0]
