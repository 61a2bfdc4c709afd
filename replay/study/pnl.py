"""A session's P&L by strategy, instrument, account or portfolio, by average cost, FIFO or LIFO.

Folds the recorded fills and fundings with the engine's own reducer (engine/state/pnl_lines.py). Open quantities count
at the last recorded mark, and every amount in the session's reporting currency at a recorded rate.
"""

import json
from collections.abc import Iterable
from decimal import Decimal, localcontext
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from engine import contracts, lots
from engine.facts import DayBegan, Fact, OrderFilled, Pnl, Position, PositionEnteredDay
from engine.lots import CostMethod
from engine.model import Instrument
from engine.money import MONEY, ZERO
from engine.record_codec import read_fact
from engine.session_record import MarkChoice, SessionBody, read_session
from engine.state import day_pnl, pnl_lines
from engine.state.carried_pnl import restored
from engine.state.changes import Stamp
from engine.state.day_pnl import day_of
from engine.state.orders import EXTERNAL
from engine.state.pnl_figures import in_reporting
from engine.state.pnl_lines import Amounts, PnlLine, PnlLines
from engine.state.positions import Positions
from engine.state.reducer_settings import ReducerSettings
from engine.state.session_state import restore_opening
from journal.errors import JournalError
from journal.reader import Journal
from journal.record import Kind, Record, canonical, plain


class Grouping(StrEnum):
    """Groups by which lines are summed."""

    LINE = "line"  # each strategy in each instrument
    STRATEGY = "strategy"
    INSTRUMENT = "instrument"
    ACCOUNT = "account"
    PORTFOLIO = "portfolio"


class ReportedLine(msgspec.Struct, frozen=True):
    """One strategy in one instrument, in the reporting currency."""

    strategy: str
    instrument: str
    quantity: Decimal
    entry_price: Decimal
    mark: Decimal | None  # None: no quote was recorded
    amounts: Amounts
    unrealised: Decimal
    missing: tuple[str, ...]  # an asset without a rate, or the instrument without a mark
    unrated: dict[str, Decimal]  # by asset: amounts in no sum
    has_unrated: bool = False  # True: some of these are P&L, not fees alone


class ReportedSum(msgspec.Struct, frozen=True):
    """The sum of some lines, in the reporting currency."""

    name: str
    realised: Decimal
    unrealised: Decimal
    fees: Decimal
    funding: Decimal
    total: Decimal
    quantity: Decimal | None = None  # of a single line
    entry_price: Decimal | None = None
    mark: Decimal | None = None
    missing: tuple[str, ...] = ()
    unrated: dict[str, Decimal] = {}


class PnlOfDay(msgspec.Struct, frozen=True):
    """The P&L of the day of the last record, as the limits of a day's losses count it."""

    day: int  # as engine/state/day_pnl.py counts
    pnl: Decimal  # in the reporting currency, without positions of other programs
    missing: tuple[str, ...] = ()  # positions that the sum lacks: a rate or a mark is missing


class SessionPnl(msgspec.Struct, frozen=True):
    """The P&L of a session and of the positions that it carried over."""

    session: str
    account: str
    method: CostMethod
    currency: str
    mark: MarkChoice
    marked_seq: int  # record of the last marks; -1: none
    lines: tuple[ReportedLine, ...]
    without_funding: tuple[str, ...] = ()  # perpetuals whose funding is not known, because no mark price came
    day: PnlOfDay | None = None  # of sessions with a limit of a day's losses, from accounting 4 on

    def sums(self, by: Grouping) -> list[ReportedSum]:
        """Return the sums of each group, by name."""
        groups: dict[str, list[ReportedLine]] = {}
        for line in self.lines:
            groups.setdefault(self._name(line, by), []).append(line)
        return [_summed(name, groups[name]) for name in sorted(groups)]

    @property
    def portfolio(self) -> ReportedSum:
        """The sum of all lines."""
        return _summed("portfolio", list(self.lines))

    def _name(self, line: ReportedLine, by: Grouping) -> str:
        match by:
            case Grouping.LINE:
                return f"{line.strategy} {line.instrument}"
            case Grouping.STRATEGY:
                return line.strategy
            case Grouping.INSTRUMENT:
                return line.instrument
            case Grouping.ACCOUNT:
                return self.account or "no account"
            case Grouping.PORTFOLIO:
                return "portfolio"


class IncompleteSessionError(JournalError):
    """A slice of a session lacks the fills before it."""


def open_whole(folder: Path) -> Journal:
    """Open a session whose fills are all there.

    Raises:
        IncompleteSessionError: It is a slice.
    """
    journal = Journal.open(folder)
    if journal.left_out:
        raise IncompleteSessionError(
            f"{folder.name} is a slice, which lacks the fills before it. What to do: name the whole session."
        )
    return journal


def session_pnl(folder: Path, method: CostMethod = CostMethod.AVERAGE) -> SessionPnl:
    """Return the P&L of a session.

    Raises:
        IncompleteSessionError: It is a slice.
    """
    records = open_whole(folder).records(kinds=(Kind.SESSION, Kind.FACT))
    with localcontext(MONEY):
        return fold_pnl(records, method)


def fold_pnl(records: Iterable[Record], method: CostMethod) -> SessionPnl:
    """Return the P&L of a SESSION record and its facts. Must run in the context MONEY."""
    stream = iter(records)
    folder = PnlFolder(read_session(next(stream).body or ""), method)
    for record in stream:
        if record.kind is Kind.FACT:
            folder.add(record)
    return folder.result()


class PnlFolder:
    """Folds the facts of one session, one record at a time."""

    def __init__(self, body: SessionBody, method: CostMethod) -> None:
        self.body, self.method = body, method
        self.instruments = {each.id: each for each in body.instruments}
        self._settings = ReducerSettings(body.engine, {}, body.seed, instruments=self.instruments)
        self.currency = self._settings.reporting_currency
        opening = restore_opening(body.opening) if body.opening else None
        self.positions = Positions() if opening is None else opening.positions
        self.lines = PnlLines() if opening is None else opening.pnl
        for key, held in self.positions.by_key.items():
            if key not in self.lines.by_key and held.instrument in self.instruments:
                line = pnl_lines.opening_line(held, self.instruments[held.instrument], self.currency)
                self.lines = PnlLines({**self.lines.by_key, key: line})
        if self._settings.has_reported_losses:
            self.lines = restored(self.lines, self.positions, self.instruments, self.currency)
        self.day = day_pnl.DayPnl() if opening is None else opening.day_pnl
        self.marks: dict[str, Pnl] = {}  # by line, and by instrument
        self.marked_seq = -1
        self._last_ns = body.started_ns

    def add(self, record: Record) -> None:
        """Fold one FACT record."""
        self.add_fact(read_fact(record.body or ""), Stamp(record.seq, record.time_ns))

    def add_fact(self, fact: Fact, stamp: Stamp) -> None:
        """Fold one fact."""
        positions = self.positions
        self._last_ns = stamp.time_ns
        if isinstance(fact, Pnl):
            self.marks[fact.instrument] = self.marks[f"{fact.strategy} {fact.instrument}"] = fact
            self.marked_seq = stamp.seq
        elif isinstance(fact, DayBegan | PositionEnteredDay):
            self.day = day_pnl.reduce(self.day, fact, stamp)
        elif not isinstance(fact, Position):
            self.lines = pnl_lines.reduce(
                self.lines, fact, stamp, positions=positions, settings=self._settings, method=self.method
            )
            if isinstance(fact, OrderFilled) and fact.instrument not in self.marks:
                self.marks[fact.instrument] = Pnl(
                    fact.strategy, fact.instrument, ZERO, fact.price, ZERO, ZERO, ZERO, is_marked=False,
                    report_rate=fact.report_rate,
                )  # fmt: skip

    def pass_time(self, time_ns: int) -> None:
        """Note the time of a fact that moves no P&L."""
        self._last_ns = time_ns

    def result(self) -> SessionPnl:
        """Return the P&L so far."""
        lines = tuple(
            self._reported(line, self.instruments[line.instrument])
            for _, line in sorted(self.lines.by_key.items())
            if line.instrument in self.instruments
        )
        settings = self.body.engine
        return SessionPnl(
            self.body.session, self.body.account, self.method, self.currency, settings.pnl_mark, self.marked_seq, lines,
            tuple(sorted({each.instrument for each in self.marks.values() if not each.has_funding})),
            self._day_pnl(lines),
        )  # fmt: skip

    def _day_pnl(self, lines: tuple[ReportedLine, ...]) -> PnlOfDay | None:
        day = self.day
        is_today = day.day and day.day >= day_of(self._last_ns, self.body.risk.day)
        if not self._settings.has_reported_losses or not is_today:
            return None
        pnl, missing = ZERO, []
        for line in lines:
            key = f"{line.strategy} {line.instrument}"
            if line.strategy == EXTERNAL or key in day.unlisted:
                continue
            if line.missing or line.has_unrated or (key in day.opening and key not in day.reported):
                missing.append(key)
            else:
                pnl += line.amounts.net + line.unrealised - day.reported.get(key, ZERO)
        for key, last in day.last.items():  # a position that the session does not list counts as it last was
            if key in day.unlisted or any(key == f"{line.strategy} {line.instrument}" for line in lines):
                continue
            if last.reported is None or (key in day.opening and key not in day.reported):
                missing.append(key)
            else:
                pnl += last.reported - day.reported.get(key, ZERO)
        return PnlOfDay(day.day, pnl, tuple(missing))

    def _reported(self, line: PnlLine, instrument: Instrument) -> ReportedLine:
        quantity, asset = line.quantity, contracts.asset_of(instrument)
        report = self.marks.get(f"{line.strategy} {line.instrument}") or self.marks.get(line.instrument)
        mark = report.mark if report is not None and report.is_marked else None
        own = ZERO if mark is None else lots.unrealised(line.lots, instrument, mark)
        rate = Decimal(1) if asset == self.currency else ZERO if report is None else report.report_rate
        missing = (line.instrument,) if mark is None else () if rate else (asset,)
        return ReportedLine(
            line.strategy, line.instrument, quantity, lots.entry_price(instrument, line.lots), mark, line.reported,
            in_reporting(own, rate), missing if quantity else (), line.lacking,
            has_unrated=any(line.unrated.values()),
        )  # fmt: skip


def _summed(name: str, lines: list[ReportedLine]) -> ReportedSum:
    amounts = sum((line.amounts for line in lines), Amounts())
    unrealised = sum((line.unrealised for line in lines), ZERO)
    unrated: dict[str, Decimal] = {}
    for line in lines:
        for asset, amount in line.unrated.items():
            unrated[asset] = unrated.get(asset, ZERO) + amount
    one = lines[0] if len(lines) == 1 else None
    return ReportedSum(
        name, amounts.realised, unrealised, amounts.fees, amounts.funding, amounts.net + unrealised,
        None if one is None else one.quantity, None if one is None else one.entry_price,
        None if one is None else one.mark, tuple(sorted({each for line in lines for each in line.missing})), unrated,
    )  # fmt: skip


def pnl_table(found: SessionPnl, by: Grouping) -> list[str]:
    """Format the P&L as a table with its sum, and what the sums lack."""
    rows = found.sums(by)
    head = (f"by {by}", "realised", "unrealised", "fees", "funding", "total")
    shown = [*rows, *([found.portfolio] if by is not Grouping.PORTFOLIO else [])]
    texts = [head, *((row.name, *map(_number, _figures(row))) for row in shown)]
    widths = [max(len(row[column]) for row in texts) for column in range(len(head))]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in texts
    ]
    marked = (
        "no mark was recorded"
        if found.marked_seq < 0
        else f"open quantities at the {found.mark} of record {found.marked_seq}"
    )
    if found.day is not None:
        lacks = f", without {', '.join(found.day.missing)}" if found.day.missing else ""
        lines.append(f"of this day, as limits of its losses count it: {_number(found.day.pnl)}{lacks}")
    lines.append(f"in {found.currency}, {found.method} cost, {marked}")
    sums = found.portfolio
    if sums.missing:
        lines.append(f"without a rate or a mark, so not in the unrealised P&L: {', '.join(sums.missing)}")
    lines += [f"the funding of {name} is not known: no mark price was recorded" for name in found.without_funding]
    lines += [
        f"not in the sums, no rate was recorded: {plain(amount)} {asset}"
        for asset, amount in sorted(sums.unrated.items())
        if amount
    ]
    return lines


def _figures(row: ReportedSum) -> tuple[Decimal, ...]:
    return row.realised, row.unrealised, row.fees, row.funding, row.total


def _number(amount: Decimal) -> str:
    return plain(amount)


def pnl_json(found: SessionPnl, by: Grouping) -> dict[str, Any]:
    """Return the P&L as JSON values, with every digit."""
    fields: dict[str, Any] = plain_values(found)
    del fields["lines"]
    groups, portfolio = plain_values(found.sums(by)), plain_values(found.portfolio)
    return fields | {"by": by.value, "groups": groups, "portfolio": portfolio}


def plain_values(value: Any) -> Any:
    """Return a struct, or a list of them, as JSON values; numbers as texts without trailing zeros."""
    return json.loads(canonical(msgspec.to_builtins(value, builtin_types=(Decimal,))))
