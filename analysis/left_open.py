"""What a journal's records leave open: mode, orders and positions, without a rebuild of the market.

Only the records that move these parts are decoded, and the reducer of orders folds each order alone.
"""

from decimal import Decimal
from typing import Any

import msgspec

from engine.bodies import RequestBody
from engine.facts import (
    BreakerTripped,
    Fact,
    ModeChanged,
    OrderAccepted,
    OrderAdopted,
    OrderAmended,
    OrderClosed,
    OrderFilled,
    OrderNotPlaced,
    OrderTriggered,
    OrderUnknown,
    PortfolioPnl,
    Position,
    SessionClosing,
    StrategyStopped,
)
from engine.lifecycle import LIVE, Status
from engine.record_codec import fact_tag, purpose_of, read_command, read_fact, read_request
from engine.requests import PLACING
from engine.session_record import SessionBody
from engine.state import breakers, orders, strategy_states
from engine.state.breakers import Breakers
from engine.state.changes import Change, Commanded, Requested, Stamp
from engine.state.idle_strategies import idle_strategies
from engine.state.orders import EXTERNAL, Order, Orders
from engine.state.positions import Positions
from engine.state.strategy_states import StrategyStatuses
from engine.venues.order_ids import SESSION_LETTERS
from journal.reader import Journal
from journal.record import Kind, Record, plain

ORDER_FACTS = (
    OrderAccepted,
    OrderAdopted,
    OrderAmended,
    OrderClosed,
    OrderFilled,
    OrderNotPlaced,
    OrderTriggered,
    OrderUnknown,
)
KEPT_FACTS = (*ORDER_FACTS, BreakerTripped, ModeChanged, PortfolioPnl, Position, SessionClosing, StrategyStopped)
KEPT_TAGS = frozenset(str(fact.__struct_config__.tag) for fact in KEPT_FACTS)
MAY_RETURN = frozenset({Status.NOT_PLACED, Status.REJECTED})  # the venue may state later that it has the order
TAIL_RECORDS = (20_000, 200_000)  # read from a session's end for its last facts


class LastFacts(msgspec.Struct):
    """The newest mode, P&L and closing fact of a session, as far as they were read."""

    mode: ModeChanged | None = None
    pnl: PortfolioPnl | None = None
    closing: SessionClosing | None = None

    def add(self, fact: Fact) -> None:
        """Keep a fact if it is of these kinds."""
        match fact:
            case ModeChanged():
                self.mode = fact
            case PortfolioPnl():
                self.pnl = fact
            case SessionClosing():
                self.closing = fact
            case _:
                pass


class LeftOpen:
    """Folds the records of a session, in their order, into what is open."""

    def __init__(self, body: SessionBody) -> None:
        """Begin with the orders and positions that the session continues."""
        self.last = LastFacts()
        opening: dict[str, Any] = (body.opening or {}).get("account", {})
        carried = msgspec.convert(opening.get("orders", {}), Orders, strict=False)
        self._orders = {order.client_order_id: order for order in carried.all()}
        self._positions = dict(msgspec.convert(opening.get("positions", {}), Positions, strict=False).by_key)
        self._body = body
        self._strategies = msgspec.convert(opening.get("strategies", {}), StrategyStatuses, strict=False)
        self._breakers = msgspec.convert(opening.get("breakers", {}), Breakers, strict=False)
        self._marks = {body.session, *((body.previous.session,) if body.previous else ()), *body.safety.also_ours}

    def add(self, record: Record) -> None:
        """Fold a FACT, a REQUEST or a COMMAND; other kinds change nothing."""
        text, at = record.body or "", Stamp(record.seq, record.time_ns)
        if record.kind is Kind.REQUEST and purpose_of(text) in PLACING:
            self._add_request(read_request(text), at)
        elif record.kind is Kind.FACT and fact_tag(text) in KEPT_TAGS:
            self._add_fact(read_fact(text), at)
        elif record.kind is Kind.COMMAND:
            self._move_strategies(Commanded(read_command(text)), at)

    def _add_request(self, request: RequestBody, at: Stamp) -> None:
        self._orders |= orders.reduce(Orders(), Requested(request), at).live

    def _add_fact(self, fact: Fact, at: Stamp) -> None:
        self.last.add(fact)
        if isinstance(fact, Position):
            self._positions[f"{fact.strategy} {fact.instrument}"] = fact
        elif isinstance(fact, BreakerTripped | StrategyStopped):
            self._move_strategies(fact, at)
        elif isinstance(fact, ORDER_FACTS):
            self._add_order_fact(fact, at)

    def _add_order_fact(self, fact: Any, at: Stamp) -> None:
        name = fact.client_order_id
        known = self._orders.get(name)
        if known is None and not isinstance(fact, OrderAdopted):
            return  # a late fact about an order that ended
        alone = Orders()
        if known is not None:
            alone = Orders(live={name: known}) if known.status in LIVE else Orders(closed={name: known})
        order = orders.reduce(alone, fact, at).known(name)
        if order.status in LIVE or order.status in MAY_RETURN:
            self._orders[name] = order
        else:
            self._orders.pop(name, None)

    def _move_strategies(self, change: Change, at: Stamp) -> None:
        self._strategies = strategy_states.reduce(self._strategies, change, at)
        self._breakers = breakers.reduce(
            self._breakers, change, at, orders=Orders(), settings=self._body.safeguards, keeps_newest=True
        )

    def idle_strategies(self, time_ns: int) -> dict[str, str]:
        """Return why strategies decide nothing at a time: stopped, or paused."""
        names = [each.name for each in self._body.strategies]
        return idle_strategies(self._strategies, self._breakers, names, time_ns)

    def open_orders(self, *, own: bool) -> list[Order]:
        """Return the open orders, the oldest first.

        Args:
            own: True for orders that a cancel of "our orders" covers, False for those of other programs.
        """
        live = [order for order in self._orders.values() if order.status in LIVE]
        return sorted((each for each in live if self._is_own(each) is own), key=lambda order: order.created_ns)

    def _is_own(self, order: Order) -> bool:
        """Return True as engine.session_context.SessionContext.is_ours does, without the session's venues."""
        return not order.adopted or order.client_order_id[:SESSION_LETTERS] in self._marks

    def positions(self) -> list[dict[str, str]]:
        """Return the positions of strategies that are not flat, as JSON values."""
        return [
            {"strategy": held.strategy, "instrument": held.instrument, "quantity": plain(held.quantity)}
            for _, held in sorted(self._positions.items())
            if held.quantity and held.strategy != EXTERNAL
        ]


def left_open(journal: Journal, body: SessionBody) -> LeftOpen:
    """Read what a session left open, or what is open as of its newest record.

    Raises:
        JournalError: It cannot be read.
    """
    found = LeftOpen(body)
    for record in journal.records(kinds={Kind.COMMAND, Kind.FACT, Kind.REQUEST}):
        found.add(record)
    return found


def last_facts(journal: Journal) -> LastFacts:
    """Read the newest facts from a session's last records only.

    Raises:
        JournalError: It cannot be read.
    """
    found = LastFacts()
    for count in TAIL_RECORDS:
        found = LastFacts()
        for record in journal.records(max(0, journal.last_seq - count), kinds={Kind.FACT}):
            if fact_tag(record.body or "") in KEPT_TAGS:
                found.add(read_fact(record.body or ""))
        if (found.mode and found.pnl) or journal.last_seq <= count:
            break
    return found


def pnl_text(pnl: PortfolioPnl | None) -> str:
    """Return P&L and equity in the reporting currency, or "" if no record states them."""
    if pnl is None:
        return ""
    lacking = ", ".join(sorted({*pnl.missing, *pnl.unrated}))
    text = f"{_rounded(pnl.total)} {pnl.currency}, equity {_rounded(pnl.equity)}"
    return f"{text}; no rate or mark: {lacking}" if lacking else text


def _rounded(amount: Decimal) -> str:
    return f"{amount:,.4f}"
