"""The modelled part of a resimulation: a simulated venue answers, over the market that was recorded.

    the tape ──► venue (earlier by the feed's way) ──► what it sends, on its way ──► engine
         └─────► engine, up to the first record that wakes somebody ──► requests, on their way ──► venue

Both fold the market's rows by the thousand, each up to the first moment at which something may happen between them: a time that is due,
something on its way that comes, a row that might touch an order that rests. Such a moment is lived line by line.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, takewhile

from engine.bodies import CommandBody, CommandName, LinkBody, LinkEvent, RequestBody
from engine.lifecycle import Status
from engine.market import rows as r
from engine.market.layout import NEVER
from engine.record_codec import read_link, read_request, text_of
from engine.requests import AnswerStatus, LinkPhase, Purpose
from engine.sequencer import Arrival, Sequencer
from engine.session_record import SessionBody
from engine.sim.sim_venue import SimVenue
from engine.sim.virtual_gateway import VirtualGateway, Wires
from engine.sim.wire import HttpRequest
from engine.state.session_state import State
from engine.step_context import Output
from engine.venues.binance_spot import ApiKey, BinanceSpot
from journal.reader import Journal, available_records
from journal.record import Kind, Record
from replay.resim.row_feed import RowFeed
from replay.resim.sim_setup import KEY, adopt, modelled_venue
from replay.resim.timeline import OutsideInput, RowSpan, Timeline
from replay.resim.venue_model import VenueModel

INSTRUMENTS_ASKED = HttpRequest(method="GET", path="/api/v3/exchangeInfo", headers={})
AFTER_NS = 60_000_000_000  # session time that an ordered end may take beyond the last record


class OpenLink:
    """The simulated venue and its time: what engine/sim/virtual_gateway.py asks of one."""

    def __init__(self, sim: SimVenue, now_ns: int) -> None:
        self.sim = sim
        self.now_ns = now_ns
        self._conn_ids = 0

    def new_conn_id(self) -> int:
        self._conn_ids += 1
        return self._conn_ids


class MarketLinks:
    """Which market links stood in the record, and which of ours wait for one."""

    def __init__(self, sources: frozenset[str]) -> None:
        self.sources = sources
        self.up: set[str] = set()
        self.wanting: dict[str, int] = {}  # asked for and not standing yet -> seq of the request

    def follow(self, record: Record) -> None:
        if record.kind is Kind.LINK and record.source in self.sources:
            if read_link(record.body or "").state is LinkEvent.UP:
                self.up.add(record.source)
            else:
                self.up.discard(record.source)


class ModelRun:
    """From a record of the source on. `go` returns when the session has ended; `closing` says whether it was an ordered end."""

    def __init__(  # noqa: PLR0917 - all that the part before has, handed on once
        self,
        journal: Journal,
        tape: Timeline,
        sequencer: Sequencer,
        body: SessionBody,
        model: VenueModel,
        links: MarketLinks,
        last: int,
    ) -> None:
        self._journal = journal
        self._sequencer = sequencer
        self._model = model
        self._links = links
        self._last = last
        self._state: State = sequencer.state
        self._venue = OpenLink(modelled_venue(tape, body, model), self._state.time_ns)
        self._venue.sim.http(
            self._venue.new_conn_id(), INSTRUMENTS_ASKED, self._venue.now_ns
        )  # as each session does before it begins: it has its weight
        self._venue.sim.advance(self._venue.now_ns)
        self.shell = VirtualGateway(
            self._venue,
            sequencer,
            BinanceSpot(body.instruments, body.venues[0].recv_window_ms),
            ApiKey.hmac(KEY, KEY),
            Wires(model.request_ns, model.answer_ns, model.ways_ns, model.scatter_ppm),
            on_market_link=self._on_market_link,
        )

    def adopt(self, balances: dict[str, str], *, handed_over: bool, lived: bool) -> bool:
        """The account, as it is known or given; whether it is known."""
        return adopt(self._venue.sim, self._journal, self._state, balances, handed_over=handed_over, lived=lived)

    def go(
        self,
        outputs: Sequence[Output],
        pieces: Iterator[RowSpan | OutsideInput],
        private: Sequence[tuple[str, str]],
        takes: RowFeed,
        handover: str,
    ) -> None:
        """Through the `pieces` of the tape; `outputs` of the last step are not performed yet. `private`: (source, path) of the account's links."""
        if handover:
            text = CommandBody(CommandName.HANDOVER, by="resim", reason=handover)
            self.shell.take(Arrival(Kind.COMMAND, "resim", body=text_of(text)))
        self._resume(outputs, private, handover)
        self._run(_Place(pieces), takes)

    # ---- taking over

    def _resume(self, outputs: Sequence[Output], private: Sequence[tuple[str, str]], handover: str) -> None:
        """The links that stand, and what was asked and is not answered."""
        account, shell = self._state.account, self.shell
        for source, path in private:
            link = account.links.by_source.get(source)
            if link is not None and link.state == LinkPhase.READY:
                conn_id = shell.venue.new_conn_id()
                shell.venue.sim.resume_private(conn_id, path, KEY, shell.venue.now_ns)
                shell.links[conn_id] = source
            elif link is not None and link.state in (LinkPhase.UP, LinkPhase.OPENING) and handover:
                body = text_of(LinkBody(LinkEvent.DOWN, "the model takes over before the venue let us in"))
                shell.take(Arrival(Kind.LINK, source, cause=link.up_seq, body=body))
        ours = {output.record.seq for output in outputs}
        for seq in sorted(account.requests.by_seq.keys() - ours):
            record = next(self._journal.records(seq, seq))
            request = read_request(record.body or "")
            order = account.orders.get(request.client_order_id)
            if (
                request.purpose is Purpose.PLACE
                and order is not None
                and order.status not in (Status.PENDING, Status.UNKNOWN)
            ):
                self._await_recorded(record, request)  # its order is known already: it must not be placed again
            else:
                shell.perform([Output(record, request)])
        shell.perform(outputs)

    def _await_recorded(self, record: Record, request: RequestBody) -> None:
        """The answer that the record has, when it came; else what the live shell would have taken for one."""
        shell = self.shell
        until_ns, now_ns = record.time_ns + request.timeout_ns, shell.venue.now_ns
        coming = chain.from_iterable(available_records(self._journal, record.seq, self._last, kinds=(Kind.BROKER,)))
        within = takewhile(lambda one: one.time_ns <= until_ns, coming)
        answer = next((one for one in within if one.cause == record.seq and one.meta is not None), None)
        if answer is not None:
            arrival = Arrival(
                answer.kind, answer.source, record.seq, answer.key, answer.recv_ns, answer.meta, answer.payload
            )
            shell.later(max(0, answer.time_ns - now_ns), lambda: shell.take(arrival))
            return
        meta = {"outcome": AnswerStatus.TIMEOUT, "sent_ns": record.time_ns}
        shell.later(max(0, until_ns - now_ns), lambda: shell.answered(record, request, meta, b""))

    # ---- going on

    def _run(self, place: "_Place", takes: RowFeed) -> None:
        shell, venue, sim, state = self.shell, self._venue, self._venue.sim, self._state
        end_ns: int | None = None
        while not shell.closing:
            due_ns = min(
                takes.due_ns, shell.coming_ns, place.outside_ns, NEVER if sim.next_sent_ns is None else sim.next_sent_ns
            )
            if sim.is_waited_for or not self._are_up():  # rare: each line may matter to somebody
                due_ns = min(
                    due_ns, state.next_due_ns, place.next_ns, NEVER if sim.next_due_ns is None else sim.next_due_ns
                )
            else:
                moment_ns = self._fold(place, takes, due_ns)
                if moment_ns is None:
                    continue
                due_ns = moment_ns
            if place.ended and end_ns is None:
                last = min(self._last, self._journal.last_seq)
                ended_ns = next(self._journal.records(last, last)).time_ns  # TIMERs up to there were taken too
                end_ns = max(venue.now_ns, ended_ns) + (AFTER_NS if state.account.modes.stopping_since_ns else 0)
            if end_ns is not None and due_ns > end_ns:
                return
            venue.now_ns = max(venue.now_ns, due_ns)
            shell.happen(self._arrivals(place, takes))

    def _are_up(self) -> bool:
        by_source = self._state.account.links.by_source
        for source in self._links.sources:
            link = by_source.get(source)
            if link is None or link.up_seq < 0:
                return False
        return True

    def _fold(self, place: "_Place", takes: RowFeed, due_ns: int) -> int | None:
        """Rows before `due_ns`, at the engine and at the venue. The moment to be lived line by line, which is `due_ns` or one before it; None:
        whatever is due has to be asked anew.
        """
        venue, shell = self._venue, self.shell
        touch_ns = venue.sim.touch_ns(due_ns)
        until_ns = due_ns if touch_ns is None else touch_ns
        stretch = place.stretch
        while stretch is not None and place.next_ns < until_ns:
            row, outputs = takes.take(stretch, place.row, until_ns)
            place.go(row)
            if outputs:
                venue.now_ns = self._state.time_ns
                shell.pass_market()
                shell.perform(outputs)
                return venue.now_ns  # what else there is at this moment comes behind it
            if self._state.next_due_ns <= place.next_ns:
                break  # a TIMER that must be lived, or a throttled strategy that will be due
            stretch = place.stretch
        next_ns = min(self._state.next_due_ns, place.next_ns)  # what comes next is no row that can be folded
        if next_ns < until_ns:
            return next_ns
        if touch_ns is None:
            return due_ns
        venue.now_ns = touch_ns
        shell.pass_market()
        return None

    def _arrivals(self, place: "_Place", takes: RowFeed) -> Iterator[tuple[int, Callable[[], None]]]:
        """What comes from outside by the venue's time, each in the state that the one before left."""
        now_ns, shell = self._venue.now_ns, self.shell
        while place.next_ns <= now_ns:
            stretch = place.stretch
            if stretch is None:
                item = place.take_outside()
                for arrival in self._outside(item):
                    yield item.line, lambda arrival=arrival: shell.take(arrival)  # type: ignore[misc]  # mypy infers no default arguments of lambdas
            elif self._are_up():
                yield place.line, lambda: self._take_one(place, takes)
            else:
                begin, end = place.row, int(stretch.ends[place.record])
                takes.skip(stretch, begin, end)
                place.go(end)

    def _take_one(self, place: "_Place", takes: RowFeed) -> None:
        shell = self.shell
        stretch = place.stretch
        assert stretch is not None, "its caller looked"
        end = int(stretch.ends[place.record])
        if not shell.closing:
            if self._state.next_due_ns <= self._venue.now_ns:
                shell.perform(self._sequencer.fire_timers(self._venue.now_ns))
            _, outputs = takes.take(stretch, place.row, None, one=True)
            shell.perform(outputs)
        place.go(end)

    def _outside(self, item: OutsideInput) -> list[Arrival]:
        record, state = item.record, self._state
        if item.is_market_link:
            self._links.follow(record)
            return self._link_arrivals(record)
        cause = record.cause
        if record.kind is Kind.FEED and record.meta is None:
            link = state.account.links.by_source.get(record.source)
            if link is None or link.up_seq < 0:
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
            seq = self._links.wanting.pop(record.source, None)
            return [] if seq is None else [Arrival(Kind.LINK, record.source, cause=seq, body=record.body)]
        link = self._state.account.links.by_source.get(record.source)
        if link is None or link.up_seq < 0:
            return []
        return [Arrival(Kind.LINK, record.source, cause=link.up_seq, body=record.body)]

    def _on_market_link(self, record: Record, request: RequestBody) -> None:
        """A link that was down then comes up when the record's does; one that stood is there after a request's way."""
        shell = self.shell
        if request.purpose is Purpose.DISCONNECT:
            self._links.wanting.pop(request.source, None)
            shell.later(self._model.request_ns, lambda: self._leave(request.source))
        elif request.source in self._links.up:
            arrival = Arrival(Kind.LINK, request.source, cause=record.seq, body=text_of(LinkBody(LinkEvent.UP)))
            shell.later(self._model.request_ns, lambda: shell.take(arrival))
        else:
            self._links.wanting[request.source] = record.seq

    def _leave(self, source: str) -> None:
        link = self._state.account.links.by_source[source]
        if link.up_seq >= 0:
            self.shell.take(
                Arrival(Kind.LINK, source, cause=link.up_seq, body=text_of(LinkBody(LinkEvent.DOWN, "asked")))
            )


class _Place:
    """The engine's place on the tape."""

    def __init__(self, pieces: Iterator[RowSpan | OutsideInput]) -> None:
        self._pieces = pieces
        self._take_up()

    def _take_up(self) -> None:
        """The next piece that holds anything."""
        piece = next(self._pieces, None)
        while isinstance(piece, RowSpan) and not len(piece.rows):
            piece = next(self._pieces, None)
        self.ended = piece is None
        self.stretch = piece if isinstance(piece, RowSpan) else None  # the rows at hand, where rows come next
        self.row = 0  # in them
        self._outside = piece if isinstance(piece, OutsideInput) else None
        self.outside_ns = (
            NEVER if self._outside is None else self._outside.record.time_ns
        )  # as far as is known: behind the rows at hand
        self.next_ns = self.outside_ns if self.stretch is None else int(self.stretch.rows[0, r.TIME_NS])

    def go(self, row: int) -> None:
        """To this row of those at hand, or behind them."""
        stretch = self.stretch
        assert stretch is not None, "its caller looked"
        if row == len(stretch.rows):
            self._take_up()
        else:
            self.row, self.next_ns = row, int(stretch.rows[row, r.TIME_NS])

    @property
    def record(self) -> int:
        """Which of the stretch's records comes next."""
        assert self.stretch is not None, "its caller looked"
        return int(self.stretch.ends.searchsorted(self.row, side="right"))

    @property
    def line(self) -> int:
        assert self.stretch is not None, "its caller looked"
        return self.stretch.line + self.record

    def take_outside(self) -> OutsideInput:
        outside = self._outside
        assert outside is not None, "its caller looked"
        self._take_up()
        return outside
