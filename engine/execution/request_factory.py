"""Requests as the core makes them: each purpose with its deadline. Decides nothing and sends nothing."""

from collections.abc import Sequence

from engine.bodies import RequestBody
from engine.execution.contract_requests import ContractRequests
from engine.execution.follow_up_queries import FollowUpQueries
from engine.execution.position_terms import placement
from engine.facts import ListLeg, NewOrder
from engine.market.views import Stream
from engine.model import Instrument, ListKind
from engine.requests import HistoryPage, LinkPlan, PolledStream, Purpose, Unsigned
from engine.risk.review import Approved, ApprovedList
from engine.session_record import MILLISECOND_NS, EngineSettings, SafeguardSettings
from engine.state.orders import Order
from engine.state.rate_budgets import SharedRates
from engine.step_context import StepContext
from engine.venues.optional_parts import (
    AmendsOrders,
    DeadManSwitch,
    HasHistory,
    OrderFills,
    PlacesLists,
    PollsMarket,
    ProbesPrivateLink,
    Resubscribes,
    SizedSnapshots,
)
from engine.venues.order_routes import balances_of, cancel_of, holds_apart, open_orders_of, query_of
from engine.venues.venue import Venue


class RequestFactory:
    """The requests of one venue."""

    def __init__(self, venue: Venue, settings: EngineSettings, safeguards: SafeguardSettings | None = None) -> None:
        self.venue = venue
        self.settings = settings
        self.safeguards = safeguards or SafeguardSettings()
        self._holds_apart = holds_apart(venue.account)
        self.contracts = ContractRequests(venue, self._request)
        self.follow_ups = FollowUpQueries(venue, self._request)
        self.fills_are_trades: bool = getattr(venue, "fills_are_trades", False)  # their ids are those of public trades

    def _venue_order_id(self, step: StepContext, client_order_id: str) -> str:
        """Return the venue's id of an order; "" if it is unknown or the session's rules do not use it."""
        order = step.account.orders.get(client_order_id)
        is_used = self.settings.order_rules or not self.venue.capabilities.lookup_by_client_id
        return order.venue_order_id if order is not None and is_used else ""

    def _request(
        self,
        step: StepContext,
        purpose: Purpose,
        unsigned: Unsigned | None,
        *,
        mutates: bool = False,
        cause: int | None = None,
        source: str = "",
        instrument: str = "",
        client_order_id: str = "",
        strategy: str = "",
        order: NewOrder | None = None,
        reconcile_round: int = 0,
        plan_id: str = "",
        legs: tuple[ListLeg, ...] = (),
        history: HistoryPage | None = None,
        poll: PolledStream | None = None,
    ) -> int:
        request = RequestBody(
            purpose=purpose,
            venue=self.venue.name,
            mutates=mutates,
            expires_ns=step.time_ns + self.venue.recv_window_ms * MILLISECOND_NS,
            timeout_ns=self.settings.request_timeout_ns,
            unsigned=unsigned,
            source=source,
            instrument=instrument,
            client_order_id=client_order_id,
            strategy=strategy,
            order=order,
            clock_offset_ns=step.account.limits.get(self.venue.name).clock_offset_ns,
            round=reconcile_round,
            plan_id=plan_id,
            legs=legs,
            history=history,
            poll=poll,
        )
        key = client_order_id if poll is None else poll.key
        return step.emit(request, key=key or None, source="execution", cause=cause)

    def place(
        self,
        step: StepContext,
        approved: Approved,
        *,
        client_order_id: str,
        strategy: str,
        instrument: Instrument,
        cause: int,
        plan_id: str = "",
    ) -> int:
        """Emit the request that places an approved order, perhaps one of an execution plan; return its seq."""
        request = RequestBody(
            Purpose.PLACE,
            self.venue.name,
            mutates=True,
            expires_ns=step.time_ns + self.venue.recv_window_ms * MILLISECOND_NS,
            timeout_ns=self.settings.request_timeout_ns,
            unsigned=placement(step, self.venue, approved, client_order_id, strategy=strategy, instrument=instrument),
            instrument=instrument.id,
            client_order_id=client_order_id,
            strategy=strategy,
            order=approved.order,
            clock_offset_ns=step.account.limits.get(self.venue.name).clock_offset_ns,
            plan_id=plan_id,
        )
        return step.emit(request, key=client_order_id, source="execution", cause=cause)

    @property
    def order_lists(self) -> frozenset[ListKind]:
        """The kinds of order lists that plans place here."""
        return self.venue.capabilities.order_lists if self.settings.order_lists else frozenset()

    def place_list(
        self,
        step: StepContext,
        approved: ApprovedList,
        *,
        list_id: str,
        strategy: str,
        instrument: Instrument,
        cause: int,
        plan_id: str = "",
    ) -> int:
        """Emit the request that places the approved orders of a list as one; return its seq."""
        account = self.venue.account
        assert isinstance(account, PlacesLists), f"{self.venue.name} states the capability and cannot place lists"
        return self._request(
            step,
            Purpose.PLACE_LIST,
            account.place_list(list_id, instrument, approved.legs),
            mutates=True,
            cause=cause,
            instrument=instrument.id,
            client_order_id=list_id,
            strategy=strategy,
            plan_id=plan_id,
            legs=approved.legs,
        )

    def cancel(
        self, step: StepContext, *, client_order_id: str, instrument: Instrument, cause: int | None = None
    ) -> int:
        """Emit the request that cancels an order; return its seq."""
        return self._request(
            step,
            Purpose.CANCEL,
            cancel_of(
                self.venue.account,
                instrument,
                client_order_id,
                self._venue_order_id(step, client_order_id),
                has_trigger=_has_trigger(step.account.orders.get(client_order_id)),
            ),
            mutates=True,
            cause=cause,
            instrument=instrument.id,
            client_order_id=client_order_id,
        )

    def amend(
        self, step: StepContext, *, client_order_id: str, order: NewOrder, instrument: Instrument, cause: int
    ) -> int:
        """Emit the request that gives an open order another quantity; return its seq.

        Args:
            step: The current step.
            client_order_id: Our id of the order.
            order: The order with the new quantity.
            instrument: Its instrument.
            cause: The seq of the verdict.

        """
        account = self.venue.account
        assert isinstance(account, AmendsOrders), f"{self.venue.name} states the capability and cannot amend"
        unsigned = account.amend(
            instrument, client_order_id, order.quantity, self._venue_order_id(step, client_order_id)
        )
        return self._request(
            step,
            Purpose.AMEND,
            unsigned,
            mutates=True,
            cause=cause,
            instrument=instrument.id,
            client_order_id=client_order_id,
            order=order,
        )

    @property
    def has_dead_man_switch(self) -> bool:
        """True if the venue cancels by itself when it receives nothing from us."""
        return self.venue.capabilities.dead_man_switch and isinstance(self.venue.account, DeadManSwitch)

    def dead_man_switch(self, step: StepContext, *, instrument: Instrument, timeout_ms: int) -> int:
        """Arm the venue's dead-man switch for an instrument, or disarm it with a timeout of 0. Return the seq."""
        account = self.venue.account
        assert isinstance(account, DeadManSwitch), f"{self.venue.name} states the capability and has no switch"
        purpose = Purpose.ARM_SWITCH if timeout_ms else Purpose.DISARM_SWITCH
        unsigned = account.dead_man_switch(instrument, timeout_ms)
        return self._request(step, purpose, unsigned, mutates=True, instrument=instrument.id)

    def query_order(
        self,
        step: StepContext,
        *,
        instrument: Instrument,
        client_order_id: str = "",
        venue_order_id: str = "",
        reconcile_round: int = 0,
    ) -> int:
        """Request one order's status, by the venue's id if it is given or known, else by ours."""
        if client_order_id and self.settings.order_rules:
            venue_order_id = venue_order_id or self._venue_order_id(step, client_order_id)
        has_trigger, account = _has_trigger(step.account.orders.get(client_order_id)), self.venue.account
        unsigned = query_of(account, instrument, client_order_id, venue_order_id, has_trigger=has_trigger)
        return self._request(
            step,
            Purpose.QUERY_ORDER,
            unsigned,
            instrument=instrument.id,
            client_order_id=client_order_id,
            reconcile_round=reconcile_round,
        )

    def open_orders(self, step: StepContext, *, reconcile_round: int) -> int:
        """Emit the queries of all open orders, one for each place where the venue keeps some; return the last seq."""
        seqs = [
            self._request(step, Purpose.OPEN_ORDERS, unsigned, reconcile_round=reconcile_round)
            for unsigned in open_orders_of(self.venue.account)
        ]
        return seqs[-1]

    def keeps_apart(self, order: Order) -> bool:
        """Return True if the venue keeps an order apart from the market: it waits for its trigger."""
        return self._holds_apart and not order.venue_order_id and _has_trigger(order)

    def balances(self, step: StepContext, *, reconcile_round: int) -> int:
        """Emit the queries of all balances, one for each part that the venue answers; return the last seq."""
        seqs = [
            self._request(step, Purpose.ACCOUNT, unsigned, reconcile_round=reconcile_round)
            for unsigned in balances_of(self.venue.account)
        ]
        return seqs[-1]

    def fills(self, step: StepContext, *, instrument: Instrument, after: str | None, reconcile_round: int = 0) -> int:
        """Query the fills after a cursor, or the newest page if `after` is None."""
        unsigned = self.venue.account.fills_after(instrument, after)
        return self._request(step, Purpose.FILLS, unsigned, instrument=instrument.id, reconcile_round=reconcile_round)

    def fills_of(
        self, step: StepContext, *, order: Order, instrument: Instrument, after: str | None, number: int
    ) -> bool:
        """Query the fills of one order after a cursor. Return False if the venue cannot list them.

        Args:
            step: The current step.
            order: The order, whose id at the venue is known.
            instrument: Its instrument.
            after: The cursor; None for its first fills.
            number: The round of reconciliation; 0: none.

        """
        account = self.venue.account
        if not isinstance(account, OrderFills) or not order.venue_order_id:
            return False
        self._request(
            step,
            Purpose.FILLS,
            account.fills_of(instrument, order.venue_order_id, after),
            instrument=instrument.id,
            client_order_id=order.client_order_id,
            reconcile_round=number,
        )
        return True

    def depth(self, step: StepContext, *, instrument: Instrument) -> None:
        """Request a book snapshot from a venue that serves it over REST."""
        assert self.venue.snapshots is not None, "a venue that streams snapshots gets a new connection instead"
        unsigned = self._snapshot(step, instrument)
        if self.has_room(step, unsigned.weight, self.safeguards.snapshot_percent):
            self._request(step, Purpose.DEPTH, unsigned, instrument=instrument.id)

    def _snapshot(self, step: StepContext, instrument: Instrument) -> Unsigned:
        """Return the request for a snapshot, as deep as the snapshots of all instruments fit into a minute."""
        assert self.venue.snapshots is not None
        percent = self.safeguards.snapshot_percent
        if not percent or not isinstance(self.venue.snapshots, SizedSnapshots):
            return self.venue.snapshots.request(instrument)
        minute = step.account.limits.get(self.venue.name).rate_limits.weight_minute_max
        return self.venue.snapshots.request_within(instrument, minute * percent // 100 // len(self.venue.instruments))

    def has_room(self, step: StepContext, weight: int, percent: int) -> bool:
        """Return True if the use stays below this part of the budget, or the budget is idle. 0: no part is set."""
        if not percent:
            return True
        budget, rates = step.account.limits.get(self.venue.name), self.venue.rates
        return not isinstance(rates, SharedRates) or rates.has_room(budget, weight, percent, step.time_ns)

    def history(self, step: StepContext, *, instrument: Instrument, page: HistoryPage) -> None:
        """Request a page of bars from before the session, if that leaves the rest of the budget its part."""
        unsigned = None
        if not self.settings.history_from:
            assert isinstance(self.venue, HasHistory), f"{self.venue.name} has no history"
            unsigned = self.venue.history.request(instrument, page)
            if not self.has_room(step, unsigned.weight, self.settings.history_percent):
                return
        self._request(step, Purpose.HISTORY, unsigned, instrument=instrument.id, history=page)

    def poll(self, step: StepContext, *, source: str, instrument: Instrument, stream: str) -> None:
        """Request a polled stream once, if that leaves orders and reconciliation their part of the budget."""
        assert isinstance(self.venue, PollsMarket), f"{self.venue.name} has a polled link and no polls"
        found = next(each for each in self.venue.polls(instrument) if each.stream.name.lower() == stream)
        if not self.may_query(step) or not self.has_room(step, found.unsigned.weight, self.safeguards.poll_percent):
            return
        polled = PolledStream(instrument.id, stream, max(found.every_ns, self.safeguards.poll_every_ns))
        self._request(step, Purpose.POLL, found.unsigned, source=source, instrument=instrument.id, poll=polled)

    def metadata(self, step: StepContext) -> None:
        """Request the rules and status of the venue's instruments."""
        symbols = [instrument.symbol for instrument in self.venue.instruments]
        self._request(step, Purpose.EXCHANGE_INFO, self.venue.metadata.request(symbols))

    def server_time(self, step: StepContext) -> None:
        """Query the venue's clock. No-op for a venue that has none."""
        unsigned = self.venue.server_time()
        if unsigned is not None:
            self._request(step, Purpose.SERVER_TIME, unsigned)

    def subscribe(self, step: StepContext, *, source: str, answered: Unsigned | None = None) -> bool:
        """Send the next subscription of a link.

        Args:
            step: The step at hand.
            source: The link.
            answered: The subscription that was acknowledged last, or None before the first.

        Returns:
            False if nothing is left to send.
        """
        waiting = self.venue.subscriptions(source)
        if answered is not None:
            waiting = waiting[waiting.index(answered) + 1 :] if answered in waiting else ()
        if waiting:
            self._request(step, Purpose.SUBSCRIBE, waiting[0], source=source)
        return bool(waiting)

    def resubscriptions(self, instrument: Instrument, streams: Sequence[Stream]) -> tuple[Unsigned, ...]:
        """Return the messages that begin these streams again over their link; () if only a new connection does."""
        return self.venue.resubscriptions(instrument, streams) if isinstance(self.venue, Resubscribes) else ()

    def resubscribe(self, step: StepContext, message: Unsigned, *, source: str, instrument: Instrument) -> None:
        """Send one message that ends or begins an instrument's streams over a living link."""
        self._request(step, Purpose.RESUBSCRIBE, message, source=source, instrument=instrument.id)

    def probe_private(self, step: StepContext, *, source: str) -> None:
        """Query the subscription of a private link over it. No-op for a venue without such a query."""
        if isinstance(account := self.venue.account, ProbesPrivateLink):
            self._request(step, Purpose.PROBE, account.probe_private(), source=source)

    def may_query(self, step: StepContext) -> bool:
        """Return True if the venue's budget allows a query now: no query is worth a ban."""
        budget = step.account.limits.get(self.venue.name)
        if step.account.access.is_refused(self.venue.name, step.time_ns):
            return False
        return step.time_ns >= budget.blocked_until_ns and not self.venue.rates.is_exhausted(budget, step.time_ns)

    def connect(self, step: StepContext, *, plan: LinkPlan) -> int:
        """Emit the request that opens a link; return its seq."""
        return step.emit(self._link_request(Purpose.CONNECT, step, plan=plan, source=plan.source), source="execution")

    def disconnect(self, step: StepContext, *, source: str) -> int:
        """Emit the request that closes a link; return its seq."""
        return step.emit(self._link_request(Purpose.DISCONNECT, step, plan=None, source=source), source="execution")

    def _link_request(self, purpose: Purpose, step: StepContext, *, plan: LinkPlan | None, source: str) -> RequestBody:
        return RequestBody(
            purpose=purpose,
            venue=self.venue.name,
            mutates=False,
            expires_ns=step.time_ns + self.settings.request_timeout_ns,
            timeout_ns=self.settings.request_timeout_ns,
            link=plan,
            source=source,
        )


def _has_trigger(order: Order | None) -> bool:
    return order is not None and order.order.terms.trigger is not None
