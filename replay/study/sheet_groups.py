"""Parts of a tear sheet that group P&L and positions: by hour, weekday and tag, and the exposure at each report."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise

import msgspec

from engine import contracts
from engine.bodies import IntentKind
from engine.facts import OrderFilled, Pnl, PortfolioPnl, Position
from engine.model import Instrument
from engine.money import MONEY, ZERO
from engine.record_codec import read_intent, read_request, read_verdict
from journal.record import Kind
from replay.entries import Entry, body_of, text_of
from replay.study.pnl_orders import OrderShare, add_fill
from replay.study.return_figures import SECOND_NS, EquityPoint

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
TAG = "tag"  # the key of a rationale that names the group of an intent's orders
TAG_CHARACTERS_MAX = 80
TAGS_MAX = 200  # further tags count together
OTHER_TAGS = "other tags"


class GroupPnl(msgspec.Struct, frozen=True):
    """The P&L of one hour, weekday or tag, in one asset."""

    name: str  # "": orders without a tag
    asset: str
    pnl: Decimal
    fills: int


class ReportedExposure(msgspec.Struct, frozen=True):
    """The notionals of the positions at one report, in the reporting currency."""

    time_ns: int
    gross: Decimal
    net: Decimal


def hour_name(time_ns: int) -> str:
    """Return the hour of the UTC day, as `07`."""
    return f"{_utc(time_ns).hour:02}"


def weekday_name(time_ns: int) -> str:
    """Return the weekday in UTC."""
    return WEEKDAYS[_utc(time_ns).weekday()]


def _utc(time_ns: int) -> datetime:
    return datetime.fromtimestamp(time_ns // SECOND_NS, UTC)


def group_by_time(
    points: Sequence[EquityPoint],
    fill_times_ns: Sequence[int],
    currency: str,
    name_of: Callable[[int], str],
) -> tuple[GroupPnl, ...]:
    """Return the changes of the reported P&L by the time of the report. They add up to the change over the session.

    Args:
        points: P&L from the start to the end.
        fill_times_ns: When the fills were.
        currency: The reporting currency.
        name_of: Names the group of a time.
    """
    sums: dict[str, Decimal] = {}
    counts: dict[str, int] = {}
    for sooner, later in pairwise(points):
        name = name_of(later.time_ns)
        sums[name] = sums.get(name, ZERO) + later.total - sooner.total
    for time_ns in fill_times_ns:
        name = name_of(time_ns)
        counts[name] = counts.get(name, 0) + 1
    order = {day: str(place) for place, day in enumerate(WEEKDAYS)}
    names = sorted(sums.keys() | counts.keys(), key=lambda name: order.get(name, name))
    return tuple(GroupPnl(name, currency, sums.get(name, ZERO), counts.get(name, 0)) for name in names)


class TagReader:
    """Groups orders by the tag of their intent's rationale: `Place(..., rationale={"tag": "breakout"})`.

    The orders of a plan have the plan's tag. The P&L of a group is what its fills are worth at the last mark, less what
    they cost, less fees (pnl_orders.py): every order has its own share, under any cost method.
    """

    def __init__(self) -> None:
        self._tags: dict[str, str] = {}  # by client order id, and by plan
        self._pending = ""  # the tag of the intent whose request follows
        self._shares: dict[tuple[str, str], OrderShare] = {}  # by tag and instrument
        self._names: set[str] = set()

    def read(self, entry: Entry) -> None:
        """Read an INTENT, VERDICT or REQUEST."""
        if entry.kind is Kind.INTENT:
            body = body_of(entry, read_intent)
            if TAG in body.rationale:
                body = read_intent(text_of(entry))  # a tag may be a number, whose text has one form
            tag = self._tag_of(body.rationale) or self._tags.get(body.plan_id, "")
            if body.intent is IntentKind.RUN and body.plan_id:
                self._tags[body.plan_id] = tag
            self._pending = tag
        elif entry.kind is Kind.VERDICT:
            self._pending = self._pending if body_of(entry, read_verdict).approved else ""
        elif entry.kind is Kind.REQUEST:
            for name, _ in body_of(entry, read_request).placed:
                if self._pending:
                    self._tags[name] = self._pending
            self._pending = ""

    def add(self, fill: OrderFilled, instrument: Instrument, seq: int, time_ns: int) -> None:
        """Add a fill to the share of its tag."""
        key = self._tags.get(fill.client_order_id, ""), fill.instrument
        share = self._shares.get(key)
        if share is None:
            share = self._shares[key] = OrderShare(("", "", ""), "", "", 0)
        add_fill(share, fill, instrument, seq, time_ns)

    def groups(self, instruments: dict[str, Instrument], marks: dict[str, Decimal]) -> tuple[GroupPnl, ...]:
        """Return the P&L of each tag and asset, at the last marks; nothing if no order had a tag."""
        sums: dict[tuple[str, str], tuple[Decimal, int]] = {}
        for (tag, name), share in self._shares.items():
            instrument = instruments[name]
            key = tag, contracts.asset_of(instrument)
            pnl, fills = sums.get(key, (ZERO, 0))
            worth = share.gross(instrument, marks[name]) - share.fees
            sums[key] = pnl + worth, fills + len(share.fill_seqs)
        if not any(tag for tag, _ in sums):
            return ()
        return tuple(GroupPnl(tag, asset, pnl, fills) for (tag, asset), (pnl, fills) in sorted(sums.items()))

    def _tag_of(self, rationale: dict[str, object]) -> str:
        tag = str(rationale.get(TAG) or "")[:TAG_CHARACTERS_MAX]
        if tag and tag not in self._names and len(self._names) >= TAGS_MAX:
            return OTHER_TAGS
        if tag:
            self._names.add(tag)
        return tag


class ExposureReader:
    """Follows positions and their notionals from the engine's reports."""

    def __init__(self, instruments: dict[str, Instrument], currency: str) -> None:
        self.exposures: list[ReportedExposure] = []
        self.highest: dict[str, Decimal] = {}  # by asset: the highest sum of the notionals at one time
        self._instruments, self._currency = instruments, currency
        self._lines: dict[tuple[str, str], tuple[str, Decimal, Decimal]] = {}  # asset, notional, rate
        self._held: dict[tuple[str, str], bool] = {}
        self._exposed_ns = self._since_ns = 0

    def add(self, fact: Pnl | PortfolioPnl | Position, time_ns: int) -> None:
        """Add a report of a position's P&L or of the portfolio, or a position after a fill."""
        match fact:
            case Pnl():
                self._add_line(fact)
            case PortfolioPnl():
                known = [notional * rate for _, notional, rate in self._lines.values()]
                net = sum(map(MONEY.plus, known), ZERO)
                self.exposures.append(ReportedExposure(time_ns, sum(map(abs, known), ZERO), net))
            case Position():
                if any(self._held.values()):
                    self._exposed_ns += time_ns - self._since_ns
                self._held[fact.strategy, fact.instrument] = bool(fact.quantity)
                self._since_ns = time_ns

    def exposed_ratio(self, started_ns: int, ended_ns: int) -> float | None:
        """Return the share of the session's time with any position. Carried ones count from the first report."""
        if ended_ns <= started_ns:
            return None
        open_ns = ended_ns - self._since_ns if any(self._held.values()) else 0
        return (self._exposed_ns + open_ns) / (ended_ns - started_ns)

    def _add_line(self, fact: Pnl) -> None:
        instrument = self._instruments.get(fact.instrument)
        if instrument is None:
            return
        asset, is_priced = contracts.asset_of(instrument), bool(fact.mark) or not instrument.inverse
        notional = contracts.worth(instrument, fact.quantity, fact.mark) if is_priced else ZERO
        if instrument.inverse:
            notional = -notional  # a long position in inverse contracts gains when their worth in the base falls
        rate = Decimal(1) if asset == self._currency else fact.report_rate
        self._lines[fact.strategy, fact.instrument] = asset, notional, rate
        total = sum((abs(amount) for of, amount, _ in self._lines.values() if of == asset), ZERO)
        self.highest[asset] = max(self.highest.get(asset, ZERO), total)
