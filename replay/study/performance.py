"""The result of a session in figures that can be compared: intents, orders, fills, position, P&L, fees.

P&L is by average cost, in the quote asset, as the engine's own Position facts state it. It includes positions carried
from earlier sessions. `verbatim pnl` (pnl.py) computes another amount from the fills: by any cost method, in the
reporting currency, with funding. Sessions before accounting 3 have no rates for it.
"""

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

import msgspec

from engine import facts
from engine.mode_reasons import Mode, ModeReason, texts
from engine.mode_shares import ModeShares, ModeSummary
from engine.model import Instrument
from engine.record_codec import read_fact, read_request, read_verdict
from engine.requests import Purpose
from engine.session_record import read_session
from engine.state.positions import unrealised, unvalued_text
from engine.state.session_state import restore_opening
from engine.step_context import Output
from journal.reader import Journal
from journal.record import Kind
from replay.entries import Entry, body_of, text_of

_COUNTED_KINDS = (Kind.SESSION, Kind.INTENT, Kind.VERDICT, Kind.REQUEST, Kind.FACT)
_COUNTED_FACTS = (
    facts.OrderFilled, facts.Position, facts.StrategyStopped, facts.ModeChanged, facts.Pnl, facts.MarketGap,
)  # fmt: skip


class PerformanceLine(msgspec.Struct, frozen=True):
    """The figures of one strategy in one instrument."""

    position: Decimal
    realised_pnl: Decimal
    unrealised_pnl: Decimal
    fees_quote: Decimal
    fees_unvalued: dict[str, Decimal] = {}  # by asset: no rate was known, so `pnl` does not contain them

    @property
    def pnl(self) -> Decimal:
        """P&L after fees."""
        return self.realised_pnl + self.unrealised_pnl - self.fees_quote


class Performance(msgspec.Struct, frozen=True):
    """The figures of a session."""

    intents: int
    refused: int
    placed: int
    canceled: int  # cancels sent
    fills: int
    maker_fills: int
    filled_quantity: Decimal  # bought and sold together, in base
    lines: dict[str, PerformanceLine]  # "strategy instrument"
    stopped: tuple[str, ...] = ()  # strategies that the engine stopped, and why
    idle: str = ""  # why the session never traded, or ""
    shares: ModeSummary | None = None  # of its time in each mode; None without a SESSION record
    gaps: dict[str, int] = {}  # "instrument stream" -> how often the ids of its messages show that some are missing

    @property
    def troubles(self) -> list[str]:
        """Reasons to distrust the figures, in lines for people."""
        headline = "" if self.shares is None else self.shares.headline
        idle = f"the session never traded: {self.idle}" if self.idle else ""
        is_halted = self.shares is not None and self.shares.is_halted
        unvalued = [
            f"{name}: fees{fees.removeprefix(' and')} have no known rate and are not in the P&L"
            for name, line in sorted(self.lines.items())
            if (fees := unvalued_text(line.fees_unvalued))
        ]
        first = [headline] if headline and (is_halted or not idle) else []
        times = [f"{name} {count:,} {'time' if count == 1 else 'times'}" for name, count in sorted(self.gaps.items())]
        missing = [f"messages of the market are missing: {', '.join(times)}"] if times else []
        return [*first, *self.stopped, *([idle] if idle else []), *missing, *unvalued]

    @property
    def pnl(self) -> Decimal:
        """P&L after fees of all strategies."""
        return sum((line.pnl for line in self.lines.values()), Decimal(0))

    @property
    def fees_quote(self) -> Decimal:
        """Fees of all strategies, in the quote asset."""
        return sum((line.fees_quote for line in self.lines.values()), Decimal(0))


def session_performance(folder: Path) -> Performance:
    """Return the figures of a session."""
    journal = Journal.open(folder)
    end_ns = next(journal.records(journal.last_seq, journal.last_seq)).time_ns
    return measure_performance(journal.records(kinds=_COUNTED_KINDS), end_ns=end_ns)


def measure_performance(records: Iterable[Entry], *, end_ns: int = 0) -> Performance:
    """Return the figures of records.

    Positions are those at the end, including carried ones. They are valued at the engine's last mark, as in `verbatim
    pnl`, and without a mark at the price of the last fill.

    Args:
        records: Records or outputs of one session, in order.
        end_ns: The time up to which the session ran, if that is later than the last of these records.

    """
    counter = PerformanceCounter()
    for record in records:
        counter.add(record)
    counter.end(end_ns)
    return counter.performance


class PerformanceCounter:
    """Adds up the figures of records, one at a time."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._filled = Decimal(0)
        self._marks: dict[str, Decimal] = {}  # by instrument
        self._fill_prices: dict[str, Decimal] = {}
        self._stopped: list[str] = []
        self._gaps: Counter[str] = Counter()
        self._ran = False
        self._reasons: tuple[ModeReason, ...] = ()  # why the session does not trade, as last reported
        self._positions: dict[str, facts.Position] = {}
        self._instruments: dict[str, Instrument] = {}
        self._shares: ModeShares | None = None
        self._end_ns = 0  # time of the last record that was added

    def add(self, entry: Entry) -> None:
        """Add one record or output."""
        if entry.kind in _COUNTED_KINDS:
            self._end_ns = entry.time_ns
        if entry.kind is Kind.SESSION:
            self._shares = ModeShares(entry.time_ns)
            session = read_session(text_of(entry))
            opening, self._instruments = (
                session.opening,
                {instrument.id: instrument for instrument in session.instruments},
            )
            self._positions = dict(restore_opening(opening).positions.by_key) if opening else {}
        elif entry.kind is Kind.INTENT:
            self._counts["intents"] += 1
        elif entry.kind is Kind.VERDICT:
            self._counts["refused"] += not body_of(entry, read_verdict).approved
        elif entry.kind is Kind.REQUEST:
            request = body_of(entry, read_request)
            self._counts["placed"] += len(request.placed)
            self._counts["canceled"] += request.purpose is Purpose.CANCEL
        elif entry.kind is Kind.FACT and not (isinstance(entry, Output) and type(entry.body) not in _COUNTED_FACTS):
            fact = read_fact(text_of(entry))
            match fact:
                case facts.OrderFilled():
                    self._counts["fills"] += 1
                    self._counts["maker"] += fact.maker
                    self._filled += fact.quantity
                    self._fill_prices[fact.instrument] = fact.price
                case facts.Position():
                    self._positions[f"{fact.strategy} {fact.instrument}"] = fact
                case facts.StrategyStopped():
                    self._stopped.append(f"strategy {fact.strategy} was stopped: {fact.reason}")
                case facts.ModeChanged():
                    self._ran |= fact.mode == Mode.RUNNING
                    self._reasons = fact.reasons
                    if self._shares is not None:
                        self._shares.add(entry.time_ns, fact)
                case facts.MarketGap() if fact.stream:
                    self._gaps[f"{fact.instrument} {fact.stream}"] += 1
                case facts.Pnl() if fact.is_marked:
                    self._marks[fact.instrument] = fact.mark
                case _:
                    pass

    def end(self, time_ns: int) -> None:
        """Set the time up to which the session ran: its last records may be market messages, which are not added."""
        self._end_ns = max(self._end_ns, time_ns)

    @property
    def performance(self) -> Performance:
        """The figures so far."""
        return Performance(
            stopped=tuple(self._stopped),
            gaps=dict(self._gaps),
            shares=None if self._shares is None else self._shares.summary(self._end_ns),
            idle="" if self._ran else texts(self._reasons),
            intents=self._counts["intents"],
            refused=self._counts["refused"],
            placed=self._counts["placed"],
            canceled=self._counts["canceled"],
            fills=self._counts["fills"],
            maker_fills=self._counts["maker"],
            filled_quantity=self._filled,
            lines={name: self._line(position) for name, position in sorted(self._positions.items())},
        )

    def _line(self, position: facts.Position) -> PerformanceLine:
        name = position.instrument
        mark = self._marks.get(name, self._fill_prices.get(name, position.price_avg))
        return PerformanceLine(
            position=position.quantity,
            realised_pnl=position.realised_pnl,
            unrealised_pnl=_unrealised(position, mark, self._instruments.get(position.instrument)),
            fees_quote=position.fees_quote,
            fees_unvalued=position.fees_unvalued,
        )


def _unrealised(position: facts.Position, mark: Decimal, instrument: Instrument | None) -> Decimal:
    return (
        (mark - position.price_avg) * position.quantity
        if instrument is None
        else unrealised(position, mark, instrument)
    )


def side_by_side(before: Performance, after: Performance) -> list[str]:
    """Format two results as columns, with the difference."""
    rows: list[tuple[str, Decimal | int, Decimal | int]] = [
        (name.replace("_", " "), getattr(before, name), getattr(after, name))
        for name in ("intents", "refused", "placed", "canceled", "fills", "maker_fills", "filled_quantity")
    ]
    nothing = PerformanceLine(Decimal(0), Decimal(0), Decimal(0), Decimal(0))
    for name in sorted(before.lines.keys() | after.lines.keys()):
        ours, theirs = before.lines.get(name, nothing), after.lines.get(name, nothing)
        rows += [
            (f"{name} {field.replace('_', ' ')}", getattr(ours, field), getattr(theirs, field))
            for field in ("position", "realised_pnl", "unrealised_pnl", "fees_quote")
        ]
    rows.append(("P&L after fees", before.pnl, after.pnl))
    texts = [
        (name, _number_text(ours), _number_text(theirs), _change_text(theirs - ours) if ours != theirs else "")
        for name, ours, theirs in rows
    ]
    widths = [max(len(row[column].removeprefix("+")) for row in texts) for column in range(4)]
    return [
        f"{name:<{widths[0]}}  {ours:>{widths[1]}}  {theirs:>{widths[2]}}  {change:>{widths[3] + 1}}".rstrip()
        for name, ours, theirs, change in texts
    ]


def _change_text(number: Decimal | int) -> str:
    text = _number_text(number)
    return text if text.startswith("-") else f"+{text}"


def _number_text(number: Decimal | int) -> str:
    if isinstance(number, int):
        return f"{number:,}"
    text = f"{number.quantize(Decimal('0.00000001')):f}".rstrip("0").rstrip(".")
    return text if text not in ("-0", "") else "0"
