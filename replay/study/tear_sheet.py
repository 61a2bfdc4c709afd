"""The tear sheet of a session: equity, drawdown, ratios, trades, exposure, P&L by instrument, hour, weekday and tag.

The reader uses the one fold of P&L (pnl.py) and the engine's own reports, one record at a time: of a journal, finished
or running, or of a trial that keeps none. Money is exact; floats appear only in ratios. Slippage,
price curves and a benchmark need the market's prices: analysis/sheet_prices.py adds them.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal, localcontext

import msgspec

from engine import contracts
from engine.facts import (
    AmountRated,
    DayBegan,
    Fact,
    FeeCharged,
    FundingPaid,
    OrderFilled,
    Pnl,
    PortfolioPnl,
    Position,
    PositionEnteredDay,
    PositionOpened,
)
from engine.lots import CostMethod
from engine.mode_shares import ModeSummary
from engine.model import Side
from engine.money import MONEY, ZERO
from engine.record_codec import read_fact
from engine.session_record import read_session
from engine.state.changes import Stamp
from engine.step_context import Output
from journal.record import Kind, Record
from replay.entries import Entry, text_of
from replay.study.closed_trades import ClosedTrade, ClosedTradeReader, TradeFigures, trade_figures
from replay.study.performance import Performance, PerformanceCounter
from replay.study.pnl import PnlFolder, SessionPnl
from replay.study.return_figures import EquityPoint, ReturnFigures, StepReturns, return_figures, step_returns
from replay.study.sheet_groups import (
    ExposureReader,
    GroupPnl,
    ReportedExposure,
    TagReader,
    group_by_time,
    hour_name,
    weekday_name,
)

SHEET_FACTS = (  # the facts that a tear sheet is made of, beside those that PerformanceCounter counts
    OrderFilled, Pnl, PortfolioPnl, Position, PositionOpened, PositionEnteredDay, DayBegan, AmountRated, FeeCharged,
    FundingPaid,
)  # fmt: skip
SHEET_KINDS = (Kind.SESSION, Kind.INTENT, Kind.VERDICT, Kind.REQUEST, Kind.FACT)


class Drawdown(msgspec.Struct, frozen=True):
    """The largest fall of the reported P&L from its highest report before."""

    amount: Decimal = ZERO  # 0 or above, in the reporting currency
    peak_ns: int = 0
    trough_ns: int = 0
    recovered_ns: int = 0  # when the P&L reached the peak again; 0: not yet


class SheetFill(msgspec.Struct, frozen=True):
    """One fill, for charts."""

    time_ns: int
    instrument: str
    side: Side
    price: Decimal
    quantity: Decimal
    is_maker: bool


class TearSheet(msgspec.Struct, frozen=True):
    """What a session came to. docs/tear-sheet.md defines each figure."""

    session: str
    strategies: tuple[str, ...]
    started_ns: int
    ended_ns: int
    pnl: SessionPnl  # with the sums by strategy and instrument
    performance: Performance  # intents, orders, fills, time in each mode
    points: tuple[EquityPoint, ...]  # P&L and equity: at the start, at each report, and after the last fill
    drawdown: Drawdown
    returns: StepReturns
    figures: ReturnFigures
    trades: tuple[ClosedTrade, ...]
    trade_sums: TradeFigures
    fills: tuple[SheetFill, ...]
    turnover: dict[str, Decimal]  # notional of all fills by asset
    exposures: tuple[ReportedExposure, ...]
    exposure_max: dict[str, Decimal]  # the highest reported sum of the notionals of positions, by asset
    exposed_ratio: float | None  # share of the session's time with any position
    by_hour: tuple[GroupPnl, ...]  # of the UTC day: changes of the reported P&L, which add up to it
    by_weekday: tuple[GroupPnl, ...]
    by_tag: tuple[GroupPnl, ...]  # by the worth of its fills at the last mark

    @property
    def currency(self) -> str:
        """The reporting currency."""
        return self.pnl.currency

    @property
    def total(self) -> Decimal:
        """P&L after fees and with funding: the last report, and the fills after it."""
        return self.points[-1].total if self.points else self.pnl.portfolio.total

    @property
    def modes(self) -> ModeSummary | None:
        """The time in each mode, and why."""
        return self.performance.shares

    @property
    def maker_ratio(self) -> float | None:
        """The share of fills as a maker."""
        return self.performance.maker_fills / self.performance.fills if self.performance.fills else None


class TearSheetReader:
    """Reads the tear sheet from the records of one session, one at a time."""

    def __init__(self) -> None:
        self._strategies: tuple[str, ...] = ()
        self._continues = False
        self._started_ns = self._ended_ns = 0
        self._performance = PerformanceCounter()
        self._trades = ClosedTradeReader()
        self._tags = TagReader()
        self._points: list[EquityPoint] = []
        self._fills: list[SheetFill] = []
        self._turnover: dict[str, Decimal] = {}
        self._pnl: PnlFolder | None = None
        self._exposure: ExposureReader | None = None

    def add(self, entry: Entry) -> None:
        """Add one record, or one output of a run that keeps no records: only figures get a text."""
        self._ended_ns = max(self._ended_ns, entry.time_ns)
        self._performance.add(entry)
        if entry.kind is Kind.SESSION:
            self._begin(entry)
        elif entry.kind is not Kind.FACT:
            self._tags.read(entry)
        elif isinstance(entry, Output) and not isinstance(entry.body, SHEET_FACTS):
            if self._pnl is not None:
                self._pnl.pass_time(entry.time_ns)
        else:
            with localcontext(MONEY):
                self._add_fact(read_fact(text_of(entry)), Stamp(entry.seq, entry.time_ns))

    def end(self, time_ns: int) -> None:
        """Set the time up to which the session ran: its last records may be market messages, which are not added."""
        self._ended_ns = max(self._ended_ns, time_ns)
        self._performance.end(time_ns)

    def sheet(self) -> TearSheet:
        """Return the tear sheet of the records so far."""
        pnl, exposure = self._pnl, self._exposure
        assert pnl is not None, "the first record is a SESSION"
        assert exposure is not None, "as above"
        fill_times = [fill.time_ns for fill in self._fills]
        with localcontext(MONEY):
            result = pnl.result()
            points = self._whole_curve(result)
            marks = {name: report.mark for name, report in pnl.marks.items()}
            returns = step_returns(points)
            by_hour, by_weekday = (
                group_by_time(points, fill_times, pnl.currency, name_of) for name_of in (hour_name, weekday_name)
            )
            return TearSheet(
                session=result.session,
                strategies=self._strategies,
                started_ns=self._started_ns,
                ended_ns=self._ended_ns,
                pnl=result,
                performance=self._performance.performance,
                points=tuple(points),
                drawdown=largest_drawdown(points),
                returns=returns,
                figures=return_figures(returns),
                trades=tuple(self._trades.trades),
                trade_sums=trade_figures(self._trades.trades),
                fills=tuple(self._fills),
                turnover=dict(sorted(self._turnover.items())),
                exposures=tuple(exposure.exposures),
                exposure_max=dict(sorted(exposure.highest.items())),
                exposed_ratio=exposure.exposed_ratio(self._started_ns, self._ended_ns),
                by_hour=by_hour,
                by_weekday=by_weekday,
                by_tag=self._tags.groups(pnl.instruments, marks),
            )

    def _whole_curve(self, result: SessionPnl) -> list[EquityPoint]:
        """Return the reports, with a point at the start, and one at the end if fills followed the last report.

        A session that continues another begins with its first report, which contains the P&L that it brought over.
        """
        points, sums = list(self._points), result.portfolio
        if not points:
            return points
        if not self._continues and points[0].time_ns > self._started_ns:
            points.insert(0, _moved(points[0], self._started_ns, ZERO))
        if not sums.missing and not any(sums.unrated.values()) and sums.total != points[-1].total:
            points.append(_moved(points[-1], max(self._ended_ns, points[-1].time_ns + 1), sums.total))
        return points

    def _begin(self, entry: Entry) -> None:
        body = read_session(text_of(entry))
        self._pnl = PnlFolder(body, CostMethod.AVERAGE)
        self._exposure = ExposureReader(self._pnl.instruments, self._pnl.currency)
        self._strategies = tuple(each.name for each in body.strategies)
        self._continues, self._started_ns = body.opening is not None, entry.time_ns

    def _add_fact(self, fact: Fact, at: Stamp) -> None:
        pnl, exposure = self._pnl, self._exposure
        assert pnl is not None, "the first record is a SESSION"
        assert exposure is not None, "as above"
        if isinstance(fact, OrderFilled):
            self._add_fill(pnl, fact, at)
            return
        pnl.add_fact(fact, at)
        if isinstance(fact, Pnl | PortfolioPnl | Position):
            exposure.add(fact, at.time_ns)
        if isinstance(fact, PortfolioPnl):
            self._points.append(EquityPoint(at.time_ns, fact.total, None if fact.missing else fact.equity))

    def _add_fill(self, pnl: PnlFolder, fill: OrderFilled, at: Stamp) -> None:
        instrument = pnl.instruments.get(fill.instrument)
        if instrument is None:  # an earlier session's instrument, which this one does not list
            pnl.add_fact(fill, at)
            return
        before = pnl.lines.line(pnl.positions, instrument, fill.strategy, pnl.currency)
        pnl.add_fact(fill, at)
        after = pnl.lines.by_key[f"{fill.strategy} {fill.instrument}"]
        self._trades.add(fill, at, instrument, before=before, after=after)
        self._tags.add(fill, instrument, at.seq, at.time_ns)
        self._fills.append(
            SheetFill(at.time_ns, fill.instrument, fill.side, fill.price, fill.quantity, is_maker=fill.maker)
        )
        asset = contracts.asset_of(instrument)
        worth = contracts.worth(instrument, fill.quantity, fill.price) if fill.price else ZERO
        self._turnover[asset] = self._turnover.get(asset, ZERO) + worth


def read_tear_sheet(records: Iterable[Record], *, end_ns: int) -> TearSheet:
    """Return the tear sheet of a session's records of SHEET_KINDS.

    Args:
        records: The records, in order.
        end_ns: The time of the session's last record of any kind.
    """
    reader = TearSheetReader()
    for record in records:
        reader.add(record)
    reader.end(end_ns)
    return reader.sheet()


def _moved(point: EquityPoint, time_ns: int, total: Decimal) -> EquityPoint:
    """Return a report at another time with another P&L: without transfers, the equity moves by as much."""
    return EquityPoint(time_ns, total, None if point.equity is None else point.equity + total - point.total)


def largest_drawdown(points: Sequence[EquityPoint]) -> Drawdown:
    """Return the largest fall of the P&L from its highest point before."""
    if not points:
        return Drawdown()
    peak, worst, fell_from = points[0], Drawdown(), ZERO
    for point in points:
        if point.total > peak.total:
            peak = point
        elif peak.total - point.total > worst.amount:
            worst, fell_from = Drawdown(peak.total - point.total, peak.time_ns, point.time_ns), peak.total
        if worst.amount and not worst.recovered_ns and point.total >= fell_from:
            worst = msgspec.structs.replace(worst, recovered_ns=point.time_ns)
    return worst
