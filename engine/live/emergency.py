"""The emergency cancel: after the journal, the core or the shell failed, cancel our orders until the venue shows none.

No step runs any more, so this reads the last state only. Orders of other programs are spared. The venue's list may lag
behind its books, so an order that is known here and not listed is queried by its id, and no single list proves an end.
"""

from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import NamedTuple

import structlog
import trio

from engine.events import Answer, Event, OpenOrdersReport, OrderReport, Outcome, ServerTime, VenueStatus
from engine.lifecycle import Status
from engine.live.transport.http_result import HttpResult
from engine.requests import AnswerStatus, Unsigned
from engine.session_context import SessionContext
from engine.session_record import MILLISECOND_NS
from engine.state.session_state import Account
from engine.venues.order_routes import cancel_of, open_orders_of, query_of
from engine.venues.venue import Venue

SECONDS_MAX = 15.0  # for all venues together
PAUSE_SECONDS = 0.5  # between two rounds of cancels
PAUSE_SECONDS_MAX = 4.0  # it doubles while the venue refuses access or does not answer
APART_SECONDS = 2.0  # between two answers that together prove an absence
REQUEST_SECONDS_MAX = 5.0
UNSETTLED = (Status.PENDING, Status.UNKNOWN)
OPEN = (VenueStatus.OPEN, VenueStatus.PARTIALLY_FILLED)

Send = Callable[[str, Unsigned, int], Awaitable[HttpResult]]  # venue, request, clock offset

log = structlog.get_logger()


class _OrderAddress(NamedTuple):
    """The order that a request is about."""

    instrument: str
    venue_order_id: str
    has_trigger: bool


class EmergencyCancel:
    """Cancels the own orders of a session that can decide nothing any more."""

    def __init__(
        self,
        session: SessionContext,
        account: Account,
        send: Send,
        seconds_of: Callable[[int], float],
        *,
        recorded: Collection[str] | None = None,
    ) -> None:
        """Take the last state of the session.

        Args:
            session: Its fixed part.
            account: Its account.
            send: Signs and sends a request.
            seconds_of: Real seconds of a session time in nanoseconds.
            recorded: Client order ids whose cancel is in the journal: no other is sent. None: no journal is left.

        """
        self.open: dict[str, str] = {}  # client order id -> venue, of orders that may be open
        self.unconfirmed = set(session.accounts.trading)  # venues that did not show that none of ours is open
        self._at_venue: dict[str, _OrderAddress] = {}  # by client order id
        self._absent_at: dict[str, float] = {}  # client order id -> when the venue first did not know it
        self._answered: set[str] = set()  # orders whose cancel was answered: if they are listed still, they are queried
        self._ended: set[str] = set()  # orders whose own answer states their end
        self._session = session
        self._account = account
        self._send = send
        self._seconds_of = seconds_of
        self._recorded = recorded
        for order in account.orders.live_by_age():
            instrument = session.instruments.get(order.order.instrument)
            if instrument is not None and session.is_ours(order, account.safety):
                self.open[order.client_order_id] = instrument.venue
                self._at_venue[order.client_order_id] = _OrderAddress(
                    instrument.id, order.venue_order_id, has_trigger=order.order.terms.trigger is not None
                )
        self._offset_ns = {name: account.limits.get(name).clock_offset_ns for name in session.venues}

    async def run(self) -> None:
        """Cancel until the venues show none of our orders, for 15 seconds at most. `open` names the rest."""
        with trio.move_on_after(SECONDS_MAX):
            async with trio.open_nursery() as nursery:
                for name in sorted(self.unconfirmed):
                    nursery.start_soon(self._clear, self._session.venues[name])
        if self.open or self.unconfirmed:
            log.error("orders may still be open at the venue", orders=sorted(self.open), unconfirmed=self.unconfirmed)

    def left(self) -> str:
        """Return, after `run`, what may still be open, or ""."""
        orders = f"{len(self.open)} orders may still be open: {', '.join(sorted(self.open))}" if self.open else ""
        venues = "" if self.open else ", ".join(sorted(self.unconfirmed))
        return orders or (f"{venues} did not confirm that no order of ours is open" if venues else "")

    async def _clear(self, venue: Venue) -> None:
        """Cancel the orders of one venue until two of its lists, apart in time, name none, and each known one ended."""
        quiet_at, none_at, pause_s = trio.current_time(), 0.0, PAUSE_SECONDS
        if any(
            order.status in UNSETTLED and order.order.instrument.startswith(f"{venue.name}:")
            for order in self._account.orders.live.values()
        ):
            # a placement may be on its way: the venue accepts it for as long as the receive window
            quiet_at += self._seconds_of(venue.recv_window_ms * MILLISECOND_NS) + 1
        while True:
            answer, theirs = await self._open_orders(venue)
            now = trio.current_time()
            if theirs is not None:
                for order in theirs:
                    self.open[order.client_order_id] = venue.name
                    self._at_venue[order.client_order_id] = _OrderAddress(
                        order.instrument, order.venue_order_id, has_trigger=not order.venue_order_id
                    )
                listed = {order.client_order_id for order in theirs}
                known = [name for name in self._names(venue) if name not in listed or name in self._answered]
                await self._query_all(venue, known, quiet_at)
                none_at = 0.0 if self._names(venue) else none_at or now
                if none_at and now - none_at >= APART_SECONDS and now >= quiet_at:
                    self.unconfirmed.discard(venue.name)
                    return
            names = self._names(venue)
            if answer.outcome is Outcome.AUTH:
                names = names[:1]  # a probe: the venue refuses each of them
            if answer.outcome is not Outcome.RATE_LIMITED:  # else every request makes the wait longer
                await self._cancel_all(venue, names)
            wait_s = self._seconds_of(answer.retry_after_ns) if answer.outcome is Outcome.RATE_LIMITED else 0
            pause_s = PAUSE_SECONDS if theirs is not None else min(2 * pause_s, PAUSE_SECONDS_MAX)
            await trio.sleep(max(wait_s, pause_s))

    def _names(self, venue: Venue) -> list[str]:
        """Return our orders of a venue that may be open."""
        return [name for name, other in self.open.items() if other == venue.name]

    async def _query_all(self, venue: Venue, names: list[str], quiet_at: float) -> None:
        """Query orders that the venue does not list, by their ids; forget those that ended."""
        async with trio.open_nursery() as nursery:
            for name in names:
                nursery.start_soon(self._query, venue, name, quiet_at)

    async def _query(self, venue: Venue, name: str, quiet_at: float) -> None:
        place = self._at_venue[name]
        instrument = self._session.instruments[place.instrument]
        unsigned = query_of(venue.account, instrument, name, place.venue_order_id, has_trigger=place.has_trigger)
        answer, events = await self._request(venue, unsigned)
        report = next((event for event in events if isinstance(event, OrderReport)), None)
        now = trio.current_time()
        if answer.outcome is Outcome.NOT_FOUND:
            since = self._absent_at.setdefault(name, now)
            is_over = now - since >= APART_SECONDS and now >= quiet_at
        else:
            self._absent_at.pop(name, None)
            is_over = answer.outcome is Outcome.DONE and report is not None and report.status not in OPEN
            if is_over:
                self._ended.add(name)
        if is_over:
            self.open.pop(name, None)

    async def _open_orders(self, venue: Venue) -> tuple[Answer, list[OrderReport] | None]:
        """Return the venue's answer and our orders among those that it lists; None if it does not list them."""
        answer, listed = Answer(Outcome.UNKNOWN), list[OrderReport]()
        for unsigned in open_orders_of(venue.account):
            answer, events = await self._request(venue, unsigned)
            report = next((event for event in events if isinstance(event, OpenOrdersReport)), None)
            if answer.outcome is not Outcome.DONE or report is None:
                said = answer.coded_text
                log.warning("the venue does not list open orders", venue=venue.name, answer=said)
                return answer, None
            listed += report.orders
        ours = (order for order in listed if self._is_ours(order))
        return answer, [order for order in ours if order.client_order_id not in self._ended]

    def _is_ours(self, report: OrderReport) -> bool:
        known = self._account.orders.find(report.instrument, report.client_order_id, report.venue_order_id)
        safety = self._account.safety
        if known is None:
            return self._session.bears_mark(report.instrument, report.client_order_id, safety.also)
        return self._session.is_ours(known, safety)

    async def _cancel_all(self, venue: Venue, names: list[str]) -> None:
        async with trio.open_nursery() as nursery:
            for name in names:
                place = self._at_venue[name]
                instrument = self._session.instruments.get(place.instrument)
                if instrument is not None and (self._recorded is None or name in self._recorded):
                    order_id, has_trigger = place.venue_order_id, place.has_trigger
                    unsigned = cancel_of(venue.account, instrument, name, order_id, has_trigger=has_trigger)
                    nursery.start_soon(partial(self._cancel, venue, unsigned, name))

    async def _cancel(self, venue: Venue, unsigned: Unsigned, name: str) -> None:
        answer, _ = await self._request(venue, unsigned)
        if answer.outcome in (Outcome.DONE, Outcome.NOT_FOUND):
            self._answered.add(name)
        log.warning("emergency cancel", order=name, answer=f"{answer.outcome} {answer.coded_text}".rstrip())

    async def _request(self, venue: Venue, unsigned: Unsigned) -> tuple[Answer, tuple[Event, ...]]:
        """Send a request. If the venue refuses our time, measure its clock for the next one."""
        answer, events = await self._ask(venue, unsigned)
        query = venue.server_time() if answer.outcome is Outcome.CLOCK else None
        if query is not None:
            result = await self._send(venue.name, query, 0)
            times = venue.decode_answer(query, "", result.status, result.headers, result.body)
            for time in times:
                if isinstance(time, ServerTime):
                    self._offset_ns[venue.name] = time.venue_ns - result.sent_ns
        return answer, events

    async def _ask(self, venue: Venue, unsigned: Unsigned) -> tuple[Answer, tuple[Event, ...]]:
        with trio.move_on_after(REQUEST_SECONDS_MAX):
            result = await self._send(venue.name, unsigned, self._offset_ns[venue.name])
            if result.outcome is not AnswerStatus.ANSWER:
                return Answer(Outcome.UNKNOWN, text=f"{result.outcome} {result.error}".rstrip()), ()
            events = venue.decode_answer(unsigned, "", result.status, result.headers, result.body)
            answer = next((event for event in events if isinstance(event, Answer)), Answer(Outcome.UNKNOWN))
            return answer, events
        return Answer(Outcome.UNKNOWN, text=f"no answer within {REQUEST_SECONDS_MAX:.0f} s"), ()
