"""The figures of a session in short: drawdown, exposure, hit rate, maker share, slippage, Sharpe, Sortino.

They are those of its tear sheet (replay/study/tear_sheet.py). Sums of money are exact; floats appear only in ratios.
"""

from decimal import Decimal

import msgspec

from analysis.session_tables import SessionTables
from analysis.sheet_prices import Slippage, slippage_of
from journal.printable import counted
from replay.study.return_figures import STEP_NAMES
from replay.study.tear_sheet import SHEET_KINDS, TearSheet, read_tear_sheet


class SessionFigures(msgspec.Struct, frozen=True):
    """Figures of one session."""

    currency: str  # of P&L and drawdown; "": no P&L was reported
    pnl: Decimal  # after fees and with funding, as last reported
    drawdown: Decimal  # the largest fall of P&L from its highest report, 0 or above
    turnover: dict[str, Decimal]  # notional of all fills by asset
    exposure_max: dict[str, Decimal]  # the highest reported sum of the notionals of positions by asset
    exposed_ratio: float | None  # share of the session's time with any position
    fills: int
    maker_fills: int
    closing_fills: int  # fills that reduced a position
    winning_fills: int  # those whose realised P&L exceeded their own fee
    slippage: tuple[Slippage, ...]
    step_ns: int  # between two returns; 0: the session is too short for ratios of returns
    returns: int
    sharpe: float | None  # annualised
    sortino: float | None  # annualised
    sharpe_step: float | None  # of one step, not annualised
    lacks: dict[str, str]  # why a ratio is None, by its name

    @property
    def maker_ratio(self) -> float | None:
        """The share of fills as a maker."""
        return self.maker_fills / self.fills if self.fills else None

    @property
    def hit_ratio(self) -> float | None:
        """The share of closing fills that won."""
        return self.winning_fills / self.closing_fills if self.closing_fills else None

    def __str__(self) -> str:
        step = f", {_ratio(self.sharpe_step)} per {STEP_NAMES[self.step_ns]}" if self.step_ns else ""
        lines = [f"P&L {_money(self.pnl)} {self.currency}, drawdown at most {_money(self.drawdown)}"]
        fills, returns = counted(self.fills, "fill"), counted(self.returns, "return")
        lines += [f"{fills}, {_percent(self.maker_ratio)} as maker, hit rate {_percent(self.hit_ratio)}"]
        lines += [f"Sharpe {_ratio(self.sharpe)}{step}, Sortino {_ratio(self.sortino)}, of {returns}"]
        lines += [f"slippage {_money(found.cost)} {found.asset} of {_money(found.notional)}" for found in self.slippage]
        return "\n".join(lines)

    __repr__ = __str__


def session_figures(session: SessionTables, *, with_slippage: bool = True) -> SessionFigures:
    """Return the figures of a session.

    Args:
        session: The session.
        with_slippage: False leaves slippage out, which reads all quotes of the session.
    """
    sheet = recorded_sheet(session)
    return SessionFigures(
        currency=sheet.currency if sheet.points else "",
        pnl=sheet.total,
        drawdown=sheet.drawdown.amount,
        turnover=sheet.turnover,
        exposure_max=sheet.exposure_max,
        exposed_ratio=sheet.exposed_ratio,
        fills=sheet.performance.fills,
        maker_fills=sheet.performance.maker_fills,
        closing_fills=sheet.trade_sums.count,
        winning_fills=sheet.trade_sums.wins,
        slippage=slippage_of(session) if with_slippage and sheet.fills else (),
        step_ns=sheet.returns.step_ns,
        returns=len(sheet.returns.values),
        sharpe=sheet.figures.sharpe,
        sortino=sheet.figures.sortino,
        sharpe_step=sheet.figures.sharpe_step,
        lacks=sheet.figures.lacks,
    )


def recorded_sheet(session: SessionTables) -> TearSheet:
    """Return the tear sheet of a session's records."""
    journal = session.journals[0]
    return read_tear_sheet(
        journal.records(kinds=SHEET_KINDS), end_ns=next(journal.records(journal.last_seq, journal.last_seq)).time_ns
    )


def _money(value: Decimal) -> str:
    return f"{value:,.4f}"


def _ratio(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f}"


def _percent(value: float | None) -> str:
    return "none" if value is None else f"{value:.1%}"
