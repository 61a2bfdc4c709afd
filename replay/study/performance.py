"""What a session came to, in figures that can be held side by side: wishes, orders, fills, position, P&L, fees.

P&L is by average cost, in the quote asset, as the engine's own facts state it: what was carried from sessions before is in it.
"""

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

import msgspec

from engine import facts
from engine.mode_reasons import Mode
from engine.model import Instrument
from engine.record_codec import read_fact, read_request, read_verdict
from engine.requests import Purpose
from engine.session_record import read_session
from engine.state.positions import unrealised
from engine.state.session_state import restore_opening
from journal.reader import Journal
from journal.record import Kind, Record

_COUNTED = (Kind.SESSION, Kind.INTENT, Kind.VERDICT, Kind.REQUEST, Kind.FACT)


class PerformanceLine(msgspec.Struct, frozen=True):
    """Of one strategy in one instrument."""

    position: Decimal
    realised_pnl: Decimal
    unrealised_pnl: Decimal
    fees_quote: Decimal

    @property
    def pnl(self) -> Decimal:
        return self.realised_pnl + self.unrealised_pnl - self.fees_quote


class Performance(msgspec.Struct, frozen=True):
    intents: int
    refused: int
    placed: int
    canceled: int  # cancels sent
    fills: int
    maker_fills: int
    filled_quantity: Decimal  # bought and sold together, in base
    lines: dict[str, PerformanceLine]  # "strategy instrument"
    stopped: tuple[str, ...] = ()  # strategies that were stopped for what they did, and why
    idle: str = ""  # why it never came to trade; "": it did

    @property
    def troubles(self) -> list[str]:
        """What makes the figures say less than they seem to, in lines for people."""
        return [*self.stopped, *([f"it never came to trade: {self.idle}"] if self.idle else [])]

    @property
    def pnl(self) -> Decimal:
        return sum((line.pnl for line in self.lines.values()), Decimal(0))

    @property
    def fees_quote(self) -> Decimal:
        return sum((line.fees_quote for line in self.lines.values()), Decimal(0))


def tally_of(folder: Path) -> Performance:
    """Of a session."""
    return tally(Journal.open(folder).records(kinds=_COUNTED))


def tally(records: Iterable[Record]) -> Performance:
    """Positions at the end, those that came from the session before included, marked as the engine marked them last, or by the last fill."""
    counting = PerformanceCounter()
    for record in records:
        counting.take(record)
    return counting.tally


class PerformanceCounter:
    """A tally of records as they come."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._sent: Counter[Purpose] = Counter()  # requests
        self._filled = Decimal(0)
        self._marks: dict[str, Decimal] = {}
        self._stopped: list[str] = []
        self._ran = False
        self._reasons: tuple[str, ...] = ()  # why it does not trade, as told last
        self._held: dict[str, facts.Position] = {}
        self._instruments: dict[str, Instrument] = {}

    def take(self, record: Record) -> None:
        if record.kind is Kind.SESSION:
            session = read_session(record.body or "")
            opening, self._instruments = session.opening, {each.id: each for each in session.instruments}
            self._held = dict(restore_opening(opening).positions.by_key) if opening else {}
        elif record.kind is Kind.INTENT:
            self._counts["intents"] += 1
        elif record.kind is Kind.VERDICT:
            self._counts["refused"] += not read_verdict(record.body or "").approved
        elif record.kind is Kind.REQUEST:
            self._sent[read_request(record.body or "").purpose] += 1
        elif record.kind is Kind.FACT:
            fact = read_fact(record.body or "")
            match fact:
                case facts.OrderFilled():
                    self._counts["fills"] += 1
                    self._counts["maker"] += fact.maker
                    self._filled += fact.quantity
                    self._marks[fact.instrument] = fact.price
                case facts.Position():
                    self._held[f"{fact.strategy} {fact.instrument}"] = fact
                case facts.StrategyStopped():
                    self._stopped.append(f"strategy {fact.strategy} was stopped: {fact.reason}")
                case facts.ModeChanged():
                    self._ran |= fact.mode == Mode.RUNNING
                    self._reasons = fact.reasons
                case facts.Pnl():
                    self._marks[fact.instrument] = fact.mark
                case _:
                    pass

    @property
    def tally(self) -> Performance:
        """Up to here."""
        return Performance(
            stopped=tuple(self._stopped),
            idle="" if self._ran else "; ".join(self._reasons),
            intents=self._counts["intents"],
            refused=self._counts["refused"],
            placed=self._sent[Purpose.PLACE],
            canceled=self._sent[Purpose.CANCEL],
            fills=self._counts["fills"],
            maker_fills=self._counts["maker"],
            filled_quantity=self._filled,
            lines={name: self._line(of) for name, of in sorted(self._held.items())},
        )

    def _line(self, of: facts.Position) -> PerformanceLine:
        mark = self._marks.get(of.instrument, of.price_avg)
        return PerformanceLine(
            position=of.quantity,
            realised_pnl=of.realised_pnl,
            unrealised_pnl=_unrealised(of, mark, self._instruments.get(of.instrument)),
            fees_quote=of.fees_quote,
        )


def _unrealised(held: facts.Position, mark: Decimal, instrument: Instrument | None) -> Decimal:
    return (mark - held.price_avg) * held.quantity if instrument is None else unrealised(held, mark, instrument)


def side_by_side(before: Performance, after: Performance) -> list[str]:
    """Two columns, and the difference where there is one."""
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
        (name, _text(ours), _text(theirs), _text(theirs - ours) if ours != theirs else "")
        for name, ours, theirs in rows
    ]
    widths = [max(len(row[at]) for row in texts) for at in range(4)]
    return [
        f"{name:<{widths[0]}}  {ours:>{widths[1]}}  {theirs:>{widths[2]}}  {('+' if change and not change.startswith('-') else '') + change:>{widths[3] + 1}}".rstrip()
        for name, ours, theirs, change in texts
    ]


def _text(number: Decimal | int) -> str:
    if isinstance(number, int):
        return f"{number:,}"
    text = f"{number.quantize(Decimal('0.00000001')):f}".rstrip("0").rstrip(".")
    return text if text not in ("-0", "") else "0"
