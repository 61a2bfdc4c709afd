"""The emergency cancel: after the journal, the core or the shell failed, cancel our orders until the venue shows none.

No step runs any more, so this reads the last state only. Orders of other programs are spared.
"""

from collections.abc import Awaitable, Callable, Collection
from functools import partial

import structlog
import trio

from engine.events import Answer, Event, OpenOrdersReport, OrderReport, Outcome, ServerTime
from engine.lifecycle import Status
from engine.live.transport.http_result import HttpResult
from engine.requests import AnswerStatus, Unsigned
from engine.session_context import SessionContext
from engine.session_record import MILLISECOND_NS
from engine.state.session_state import Account
from engine.venues.venue import Venue

SECONDS_MAX = 15.0  # for all venues together
PAUSE_SECONDS = 0.5  # between two rounds of cancels
REQUEST_SECONDS_MAX = 5.0
UNSETTLED = (Status.PENDING, Status.UNKNOWN)

Send = Callable[[str, Unsigned, int], Awaitable[HttpResult]]  # venue, request, clock offset

log = structlog.get_logger()


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
        self._session = session
        self._account = account
        self._send = send
        self._seconds_of = seconds_of
        self._recorded = recorded
        for order in account.orders.live_by_age():
            instrument = session.instruments.get(order.order.instrument)
            if instrument is not None and session.is_ours(order):
                self.open[order.client_order_id] = instrument.venue
        self._offset_ns = {name: account.limits.get(name).clock_offset_ns for name in session.venues}

    async def run(self) -> None:
        """Cancel until the venues show none of our orders, for 15 seconds at most. `open` names the rest."""
        with trio.move_on_after(SECONDS_MAX):
            async with trio.open_nursery() as nursery:
                for venue in self._session.venues.values():
                    nursery.start_soon(self._clear, venue)
        if self.open:
            log.error("orders may still be open at the venue", orders=sorted(self.open))

    async def _clear(self, venue: Venue) -> None:
        """Cancel the orders of one venue until it lists none of ours."""
        quiet_at = trio.current_time()
        if any(order.status in UNSETTLED for order in self._account.orders.live.values()):
            # a placement may be on its way: the venue accepts it for as long as the receive window
            quiet_at += self._seconds_of(venue.recv_window_ms * MILLISECOND_NS) + 1
        while True:
            answer, theirs = await self._open_orders(venue)
            if theirs is not None:
                self.open = {name: other for name, other in self.open.items() if other != venue.name}
                self.open.update((order.client_order_id, venue.name) for order in theirs)
                if not theirs and trio.current_time() >= quiet_at:
                    return
                await self._cancel_all(venue, [(o.instrument, o.client_order_id, o.venue_order_id) for o in theirs])
            else:
                await self._cancel_all(venue, self._known(venue))
            wait_s = self._seconds_of(answer.retry_after_ns) if answer.outcome is Outcome.RATE_LIMITED else 0
            await trio.sleep(max(wait_s, PAUSE_SECONDS))

    async def _open_orders(self, venue: Venue) -> tuple[Answer, list[OrderReport] | None]:
        """Return the venue's answer and our orders among those that it lists; None if it does not list them."""
        answer, events = await self._request(venue, venue.account.open_orders())
        report = next((event for event in events if isinstance(event, OpenOrdersReport)), None)
        if answer.outcome is not Outcome.DONE or report is None:
            log.warning("the venue does not list open orders", venue=venue.name, answer=f"{answer.code} {answer.text}")
            return answer, None
        return answer, [order for order in report.orders if self._is_ours(order)]

    def _is_ours(self, report: OrderReport) -> bool:
        known = self._account.orders.find(report.instrument, report.client_order_id, report.venue_order_id)
        return self._session.is_own_order(report) if known is None else self._session.is_ours(known)

    def _known(self, venue: Venue) -> list[tuple[str, str, str]]:
        """Return our orders as the last state has them."""
        names = [name for name, other in self.open.items() if other == venue.name]
        orders = (order for name in names if (order := self._account.orders.live.get(name)) is not None)
        return [(order.order.instrument, order.client_order_id, order.venue_order_id) for order in orders]

    async def _cancel_all(self, venue: Venue, orders: list[tuple[str, str, str]]) -> None:
        async with trio.open_nursery() as nursery:
            for instrument_id, name, venue_order_id in orders:
                instrument = self._session.instruments.get(instrument_id)
                if instrument is not None and (self._recorded is None or name in self._recorded):
                    unsigned = venue.account.cancel(instrument, name, venue_order_id)
                    nursery.start_soon(partial(self._cancel, venue, unsigned, name))

    async def _cancel(self, venue: Venue, unsigned: Unsigned, name: str) -> None:
        answer, _ = await self._request(venue, unsigned)
        log.warning("emergency cancel", order=name, answer=f"{answer.outcome} {answer.code} {answer.text}".rstrip())

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
