"""The modelled part of a resimulation: a simulated venue answers, over the market that was recorded.

    timeline ──► venue (earlier by the feed's latency) ──► its messages, with latency ──► engine
       └───────► engine, up to the first record with a decision ──► requests, with latency ──► venue

Both fold the market's rows by the thousand, each up to the next time at which they may affect each other: a timer that
is due, a message that arrives, a row that may fill a resting order. At such a time both sides advance event by event.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain, takewhile

from engine.bodies import CommandBody, CommandName, LinkBody, LinkEvent, RequestBody
from engine.lifecycle import Status
from engine.market.layout import NEVER
from engine.record_codec import read_link, read_request, text_of
from engine.requests import AnswerStatus, LinkPhase, Purpose
from engine.sequencer import Arrival, Sequencer
from engine.session_record import SessionBody
from engine.sim.modelled_venue import ACCOUNT_KEY, ModelledVenue
from engine.sim.simulated_wires import Wires
from engine.sim.venue_model import VenueModel
from engine.sim.virtual_gateway import VirtualGateway
from engine.state.session_state import State
from engine.step_context import Output
from engine.venues.candle_store import CandleStore
from engine.venues.signing import Credentials
from engine.venues.venue_lookup import make_venue
from journal.reader import Journal, available_records
from journal.record import Kind, Record
from replay.resim.row_feed import IDLE_LOOKAHEAD_NS, TIMER_LOOKAHEAD_NS, RowFeed
from replay.resim.sim_setup import adopt_account, build_recorded_venue
from replay.resim.timeline import OutsideInput, RowSpan, Timeline
from replay.resim.timeline_cursor import Cursor

SHUTDOWN_NS_MAX = 60_000_000_000  # session time that an ordered end may take beyond the last record


class MarketLinks:
    """The market links that are up in the record, and those of ours that wait for one."""

    def __init__(self, sources: frozenset[str]) -> None:
        self.sources = sources
        self.up: set[str] = set()
        self.awaiting: dict[str, int] = {}  # source of a requested link that is not up yet -> seq of the request

    def follow(self, record: Record) -> None:
        """Update the links from a recorded LINK record."""
        if record.kind is Kind.LINK and record.source in self.sources:
            if read_link(record.body or "").state is LinkEvent.UP:
                self.up.add(record.source)
            else:
                self.up.discard(record.source)


class ModelRun:
    """A run of engine and simulated venue from one record of the source on.

    `run` returns when the session has ended; `closing` is True if it ended in order.
    """

    def __init__(
        self,
        journal: Journal,
        timeline: Timeline,
        sequencer: Sequencer,
        *,
        body: SessionBody,
        model: VenueModel,
        links: MarketLinks,
        last: int,
        history: CandleStore | None = None,
        hands_events: bool = False,
    ) -> None:
        self._journal = journal
        self._sequencer = sequencer
        self._model = model
        self._links = links
        self._last = last
        self._state: State = sequencer.state
        self.venue = ModelledVenue(build_recorded_venue(timeline, body, model), self._state.time_ns)
        dialect = make_venue(body.venues[0], body.instruments)
        self.gateway = VirtualGateway(
            self.venue,
            sequencer,
            dialect,
            dialect.signer.load_key(Credentials(ACCOUNT_KEY, ACCOUNT_KEY)),
            Wires(model.request_ns, model.answer_ns, model.ways_ns, model.scatter_ppm),
            on_market_link=self._on_market_link,
            history=history,
            encodes=False,
            hands_events=hands_events,
        )

    def adopt(self, balances: dict[str, str], *, handed_over: bool, has_account: bool) -> bool:
        """Give the venue the account that the session or `balances` states. Return True if the session states it."""
        return adopt_account(
            self.venue.sim, self._journal, self._state, balances, handed_over=handed_over, has_account=has_account
        )

    def run(
        self,
        outputs: Sequence[Output],
        items: Iterator[RowSpan | OutsideInput],
        private: Sequence[tuple[str, str]],
        feed: RowFeed,
        handover: str,
        *,
        until: Callable[[], bool] | None = None,
    ) -> None:
        """Run the session over the rest of the timeline, or until `until` is true.

        Args:
            outputs: The outputs of the last step, which are not performed yet.
            items: The rest of the timeline.
            private: (source, path) of the account's links.
            feed: Brings the market's rows to the engine.
            handover: Why the model takes over, or "" if it answers from the beginning.
            until: True once the run ends before its market does.
        """
        if handover:
            text = CommandBody(CommandName.HANDOVER, by="resim", reason=handover)
            self.gateway.accept(Arrival(Kind.COMMAND, "resim", body=text_of(text)))
        self._resume(outputs, private, handover)
        self.cursor = Cursor(items)
        self._run_events(self.cursor, feed, until)

    # ---- handover

    def _resume(self, outputs: Sequence[Output], private: Sequence[tuple[str, str]], handover: str) -> None:
        """Reopen the account's links and send the requests that have no answer yet."""
        account, gateway = self._state.account, self.gateway
        for source, path in private:
            link = account.links.by_source.get(source)
            if link is not None and link.state == LinkPhase.READY:
                conn_id = gateway.venue.new_conn_id()
                gateway.venue.sim.resume_private(conn_id, path, ACCOUNT_KEY, gateway.venue.now_ns)
                gateway.links[conn_id] = source
            elif link is not None and link.state in (LinkPhase.UP, LinkPhase.OPENING) and handover:
                body = text_of(LinkBody(LinkEvent.DOWN, "the model takes over before the venue accepted the login"))
                gateway.accept(Arrival(Kind.LINK, source, cause=link.up_seq, body=body))
        ours = {output.seq for output in outputs}
        for seq in sorted(account.requests.by_seq.keys() - ours):
            record = next(self._journal.records(seq, seq))
            request = read_request(record.body or "")
            placed = [account.orders.get(name) for name, _ in request.placed]
            if any(order is not None and order.status not in (Status.PENDING, Status.UNKNOWN) for order in placed):
                # the venue already knows an order of it, which must not be placed twice
                self._await_recorded(Output.from_record(record, request), request)
            else:
                gateway.perform([Output.from_record(record, request)])
        gateway.perform(outputs)

    def _await_recorded(self, output: Output, request: RequestBody) -> None:
        """Schedule the answer that the record has, if it came in time, else the timeout.

        The live shell would have recorded the same timeout.
        """
        gateway = self.gateway
        until_ns, now_ns = output.time_ns + request.timeout_ns, gateway.venue.now_ns
        coming = chain.from_iterable(available_records(self._journal, output.seq, self._last, kinds=(Kind.BROKER,)))
        within = takewhile(lambda later: later.time_ns <= until_ns, coming)
        answer = next((later for later in within if later.cause == output.seq and later.meta is not None), None)
        if answer is not None:
            arrival = Arrival(
                answer.kind, answer.source, output.seq, answer.key, answer.recv_ns, answer.meta, answer.payload
            )
            gateway.later(max(0, answer.time_ns - now_ns), lambda: gateway.accept(arrival))
            return
        meta = {"outcome": AnswerStatus.TIMEOUT, "sent_ns": output.time_ns}
        gateway.later(max(0, until_ns - now_ns), lambda: gateway.answered(output, request, meta, b""))

    # ---- events

    def _run_events(self, cursor: Cursor, feed: RowFeed, until: Callable[[], bool] | None) -> None:
        gateway, venue, sim, state = self.gateway, self.venue, self.venue.sim, self._state
        end_ns: int | None = None
        while not gateway.closing and not (until is not None and until()):
            sent_ns = sim.next_sent_ns
            is_idle = sim.is_idle(state.next_due_ns + IDLE_LOOKAHEAD_NS)
            feed_ns = feed.due_ns(IDLE_LOOKAHEAD_NS if is_idle else TIMER_LOOKAHEAD_NS)
            due_ns = min(feed_ns, gateway.coming_ns, cursor.outside_ns, NEVER if sent_ns is None else sent_ns)
            if due_ns <= venue.now_ns:
                pass  # both sides have folded up to now
            elif sim.is_waited_for or not self._are_up():  # rare: each event may need an answer
                due_ns = min(
                    due_ns, state.next_due_ns, cursor.next_ns, NEVER if sim.next_due_ns is None else sim.next_due_ns
                )
            else:
                moment_ns = self._fold(cursor, feed, due_ns)
                if moment_ns is None or (moment_ns == due_ns and self._is_free(cursor, feed, due_ns)):
                    continue
                due_ns = moment_ns
            if cursor.ended and end_ns is None:
                end_ns = max(venue.now_ns, self.last_ns()) + (
                    SHUTDOWN_NS_MAX if state.account.modes.stopping_since_ns else 0
                )
            if end_ns is not None and due_ns > end_ns:
                self._report(end_ns)
                return
            venue.now_ns = max(venue.now_ns, due_ns)
            gateway.advance(self._arrivals(cursor, feed))

    def _is_free(self, cursor: Cursor, feed: RowFeed, time_ns: int) -> bool:
        """Return True if a time needs neither side: the feed looked ahead up to it, and nothing is due there."""
        return (
            not cursor.ended
            and min(feed.due_ns(TIMER_LOOKAHEAD_NS), self.gateway.coming_ns, cursor.outside_ns) > time_ns
            and self.venue.sim.is_idle(time_ns)
        )

    def last_ns(self) -> int:
        """Return the time of the last record: the session had TIMERs up to there."""
        last = min(self._last, self._journal.last_seq)
        (batch,) = self._journal.batches(last, ("time_ns",), to_seq=last)
        found: int = batch.column(0)[0].as_py()
        return found

    def _report(self, end_ns: int) -> None:
        """Report P&L at the end of the market: the periodic report is older, by a day on bars of a day."""
        self.venue.now_ns = max(self.venue.now_ns, end_ns)
        if self._state.account.positions.by_key:
            text = CommandBody(CommandName.REPORT, by="resim", reason="the market ends")
            self.gateway.accept(Arrival(Kind.COMMAND, "resim", body=text_of(text)))

    def _are_up(self) -> bool:
        by_source = self._state.account.links.by_source
        for source in self._links.sources:
            link = by_source.get(source)
            if link is None or link.up_seq < 0:
                return False
        return True

    def _fold(self, cursor: Cursor, feed: RowFeed, due_ns: int) -> int | None:
        """Fold rows before `due_ns` at the engine and at the venue.

        Returns:
            The time at which both sides advance event by event: `due_ns` or an earlier one. None if all due times must
            be
            computed again.
        """
        venue, gateway = self.venue, self.gateway
        touch_ns = venue.sim.touch_ns(due_ns)
        until_ns = due_ns if touch_ns is None else touch_ns
        span, at_next_span = cursor.span, False
        while span is not None and (
            cursor.next_ns < until_ns or (at_next_span and self._state.next_due_ns < until_ns)  # the feed may skip it
        ):
            row, outputs = feed.push_rows(span, cursor.row, until_ns)
            cursor.move_to(row)
            if outputs:
                venue.now_ns = self._state.time_ns
                gateway.pass_market()
                gateway.perform(outputs)
                return venue.now_ns  # other events of this time follow it
            at_next_span = cursor.span is not span
            if not at_next_span and self._state.next_due_ns <= cursor.next_ns:
                break  # a TIMER is due, or a throttled strategy will be
            span = cursor.span
        next_ns = min(self._state.next_due_ns, cursor.next_ns)  # the next input cannot be folded as a row
        if next_ns < until_ns:
            return next_ns
        if touch_ns is None:
            return due_ns
        venue.now_ns = touch_ns
        gateway.pass_market()
        return None

    def _arrivals(self, cursor: Cursor, feed: RowFeed) -> Iterator[tuple[int, Callable[[], None]]]:
        """Yield the inputs from outside up to the venue's time, each in the state that the one before left."""
        now_ns, gateway = self.venue.now_ns, self.gateway
        while cursor.next_ns <= now_ns:
            span = cursor.span
            if span is None:
                item = cursor.next_outside()
                for arrival in self._outside(item):
                    yield item.line, partial(gateway.accept, arrival)
            elif self._are_up():
                yield cursor.line, lambda: self._apply_one_record(cursor, feed)
            else:
                begin, end = cursor.row, int(span.ends[cursor.record])
                feed.skip_rows(span, begin, end)
                cursor.move_to(end)

    def _apply_one_record(self, cursor: Cursor, feed: RowFeed) -> None:
        """Apply the rows of one market record, after the TIMERs that are due before it."""
        gateway = self.gateway
        span = cursor.span
        assert span is not None, "the caller checked"
        end = int(span.ends[cursor.record])
        if not gateway.closing:
            if self._state.next_due_ns <= self.venue.now_ns:
                gateway.perform(self._sequencer.fire_timers(self.venue.now_ns))
            _, outputs = feed.push_rows(span, cursor.row, None, single_record=True)
            gateway.perform(outputs)
        cursor.move_to(end)

    def _outside(self, item: OutsideInput) -> list[Arrival]:
        record, state = item.record, self._state
        if item.is_market_link:
            self._links.follow(record)
            return self._link_arrivals(record)
        cause = record.cause
        if record.kind is Kind.FEED:
            link = state.account.links.by_source.get(record.source)
            if link is None:
                return []  # of a capture: an answer to a request that is not ours
            if record.meta is None:
                if link.up_seq < 0:
                    return []
                cause = link.up_seq
        return [
            Arrival(
                record.kind,
                record.source,
                cause=cause,
                key=str(record.seq) if record.kind is Kind.FEED and record.key is None else record.key,
                recv_ns=record.recv_ns,
                meta=record.meta,
                payload=record.payload,
                body=record.body,
            )
        ]

    def _link_arrivals(self, record: Record) -> list[Arrival]:
        if record.source in self._links.up:
            seq = self._links.awaiting.pop(record.source, None)
            return [] if seq is None else [Arrival(Kind.LINK, record.source, cause=seq, body=record.body)]
        link = self._state.account.links.by_source.get(record.source)
        if link is None or link.up_seq < 0:
            return []
        return [Arrival(Kind.LINK, record.source, cause=link.up_seq, body=record.body)]

    def _on_market_link(self, output: Output, request: RequestBody) -> None:
        """Answer a request for a market link from the recorded links.

        A link that is down comes up when the record's link does; one that is up is connected after the request's
        latency.
        """
        gateway = self.gateway
        if request.purpose is Purpose.DISCONNECT:
            self._links.awaiting.pop(request.source, None)
            gateway.later(self._model.request_ns, lambda: self._drop_link(request.source))
        elif request.source in self._links.up:
            arrival = Arrival(Kind.LINK, request.source, cause=output.seq, body=text_of(LinkBody(LinkEvent.UP)))
            gateway.later(self._model.request_ns, lambda: gateway.accept(arrival))
        else:
            self._links.awaiting[request.source] = output.seq

    def _drop_link(self, source: str) -> None:
        link = self._state.account.links.by_source[source]
        if link.up_seq >= 0:
            self.gateway.accept(
                Arrival(Kind.LINK, source, cause=link.up_seq, body=text_of(LinkBody(LinkEvent.DOWN, "asked")))
            )
