"""Resimulation: another version, parameter or limit on a session that was recorded. Exact first, modelled after.

The inputs come from the journal as long as every REQUEST is the one that was recorded: so far nothing that the venue answered could
have been otherwise. From the first that differs on, a simulated venue answers, which has the account's money and open orders and
sees the market that was recorded. What comes of it is a journal of its own, with a COMMAND `handover` where the model takes over;
each market record's `key` is its origin, the seq of the record it was made of. Opens no socket and reads no clock.
"""

import shutil
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path

import msgspec

from engine import facts
from engine.collector import rare_collections
from engine.facts import CommandBody, LinkBody, RequestBody, text_of
from engine.kernel import Kernel
from engine.lifecycle import Status
from engine.sequencer import Arrival, Sequencer
from engine.session import Resimulated, SessionBody
from engine.sim.shell import Shell, Wires
from engine.sim.venue import SimVenue
from engine.sim.wire import HttpRequest
from engine.state import State
from engine.venues.binance_spot import ApiKey, BinanceSpot
from engine.venues.binance_spot.rules import VENUE as SPOT
from journal.reader import Journal
from journal.record import INPUTS, Kind, Record
from journal.writer import JournalWriter
from replay.compare import timer_differs
from replay.outside import Outside, is_line, outside
from replay.replay import runs_of_frames
from replay.stand_in import KEY, NotResimulated, adopt, modelled_venue, refuse_venue
from replay.venue_model import VenueModel

INSTRUMENTS_ASKED = HttpRequest(method="GET", path="/api/v3/exchangeInfo", headers={})
AFTER_NS = 60_000_000_000  # session time that an ordered end may take beyond the last record


class Outcome(msgspec.Struct, frozen=True):
    """What a resimulation came to."""

    folder: Path
    records: int
    handover_seq: int | None  # exact up to this record, which has this seq in both journals; modelled after. 0: from the beginning; None: exact to the end
    handover: str  # why there
    balances_known: bool  # False: they are those given, for the session had none

    @property
    def modelled(self) -> bool:
        return bool(self.handover) or self.handover_seq == 0

    @property
    def exactness(self) -> str:
        """For people: where it stops being exact."""
        if not self.modelled:
            return "exact to the end: every request is the one that was recorded"
        if not self.handover:
            return "modelled from the beginning"
        return f"exact up to record {self.handover_seq}, modelled after it: {self.handover}"


def resimulate(
    folder: Path,
    into: Path,
    *,
    session: SessionBody,
    model: VenueModel,
    modelled: bool = False,
    balances: dict[str, str] | None = None,
    changes: Sequence[str] = (),
    until_seq: int | None = None,
) -> Outcome:
    """`session` is the recorded one with the changes in it (replay/changes.py); `into` a new folder. NotResimulated, CoreError.

    With `until_seq` nothing behind that record is known to it.
    """
    journal = Journal.open(folder)
    refuse(journal, session)
    body = msgspec.structs.replace(
        session,
        resimulated=Resimulated(
            source=folder.resolve().name,
            last_seq=journal.last_seq,
            chain=journal.chain,
            modelled=modelled,
            model=model.told(),
            changes=tuple(changes),
        ),
    )
    with rare_collections():
        last = journal.last_seq if until_seq is None else min(until_seq, journal.last_seq)
        run = _Resimulation(journal, body, model, balances or {}, last)
        writer = JournalWriter.create(into, sync=False)
        try:
            run.through(writer, exact=not modelled)
        except BaseException:
            writer.abandon()
            shutil.rmtree(into, ignore_errors=True)  # half a resimulation would verify as a session
            raise
        summary = writer.close(final=run.closing)
    return Outcome(into, summary.last_seq + 1, run.handover_seq, run.handover, run.balances_known)


def refuse(journal: Journal, session: SessionBody) -> None:
    refuse_venue(journal, session)
    if not session.strategies:
        raise NotResimulated(f"{journal.folder} ran no strategy. What to do: name one with --strategy.")


class _Standing:
    """The simulated venue and its time: what engine/sim/shell.py asks of one."""

    def __init__(self, sim: SimVenue, now_ns: int) -> None:
        self.sim = sim
        self.now_ns = now_ns
        self._conn_ids = 0

    def new_conn_id(self) -> int:
        self._conn_ids += 1
        return self._conn_ids


class _Resimulation:
    def __init__(
        self,
        journal: Journal,
        body: SessionBody,
        model: VenueModel,
        balances: dict[str, str],
        last: int,
    ) -> None:
        self.handover_seq: int | None = None
        self.handover = ""
        self.balances_known = True
        self._journal = journal
        self._body = body
        self._model = model
        self._balances = balances
        self._last = last
        self._kernel = Kernel(body)
        plans = self._kernel.program.links(SPOT)
        self._market_sources = frozenset(plan.source for plan in plans if plan.role == "market")
        self._private = [plan for plan in plans if plan.role == "private"]
        self._up: set[str] = set()  # market links that stood in the record
        self._wanting: dict[str, int] = {}  # market links that we asked for and that do not stand yet -> seq of the request
        self._shell: Shell | None = None
        self._closing = False
        self._lines = 0  # of the market, in the exact part

    @property
    def closing(self) -> bool:
        return self._closing or (self._shell is not None and self._shell.closing)

    def through(self, writer: JournalWriter, *, exact: bool) -> None:
        def append(records: Sequence[Record], urgent: bool) -> None:  # noqa: FBT001 - the sequencer's signature
            writer.append_step(records, urgent=urgent)
            writer.wait_for_room()

        sequencer = Sequencer(self._kernel, append)
        outputs = sequencer.begin(self._body)
        assert sequencer.state is not None, "it has begun"
        after = 0
        if not exact:
            self.handover_seq = 0
        else:
            after, outputs = self._exact(sequencer, outputs)
            if not self.handover:
                return
        self._model_on(sequencer, outputs, after)

    # ---- exact: the venue's answers are those of the journal -------------------------------------------------

    def _exact(self, sequencer: Sequencer, outputs: list[Record]) -> tuple[int, list[Record]]:
        """Up to the first step whose requests are not those recorded: the last record of that step in the source, and its outputs."""
        state = sequencer.state
        assert state is not None, "it has begun"
        recorded: list[Record] = []
        last = self._last
        for run in runs_of_frames(self._journal.records(1, last)):
            if run[0].kind not in INPUTS:
                recorded += run
                continue
            at = 0
            while at < len(run):
                record = run[at]
                if why := differs(recorded, outputs):
                    self._hand_over(state, why)
                    return record.seq - 1, outputs
                recorded = []
                timed = record.kind is Kind.TIMER or state.next_due_ns <= record.time_ns
                if timed and (found := timer_differs(self._kernel, state, record)) is not None:
                    self._hand_over(state, found.what)
                    return record.seq - 1, []
                count, outputs = self._repeat(sequencer, run[at:])
                at += count
            self._closing = state.account.modes.closing
        if why := differs(recorded, outputs):
            self._hand_over(state, why)
            return last, outputs
        return last, []

    def _repeat(self, sequencer: Sequencer, run: list[Record]) -> tuple[int, list[Record]]:
        """Records as they stand, the market's with their origins: how many were taken, and what the last of them led to."""
        made = [
            msgspec.structs.replace(record, key=str(record.seq)) if record.kind is Kind.FEED and record.key is None else record
            for record in run
        ]
        count, outputs = sequencer.repeat_frames(made) if len(made) > 1 else (1, sequencer.repeat(made[0]))
        for record in run[:count]:
            self._lines += is_line(record)
            if record.kind is Kind.LINK and record.source in self._market_sources:
                self._follow_link(record)
        return count, outputs

    def _hand_over(self, state: State, why: str) -> None:
        self.handover_seq, self.handover = state.seq, why

    def _follow_link(self, record: Record) -> None:
        if facts.read_link(record.body or "").state == "up":
            self._up.add(record.source)
        else:
            self._up.discard(record.source)

    # ---- modelled: the venue is a simulated one -----------------------------------------------------------

    def _model_on(self, sequencer: Sequencer, outputs: list[Record], after: int) -> None:
        """From behind record `after` of the source on."""
        state = sequencer.state
        assert state is not None, "it has begun"
        venue = _Standing(modelled_venue(self._journal, self._body, self._model, self._last), state.time_ns)
        venue.sim.http(venue.new_conn_id(), INSTRUMENTS_ASKED, venue.now_ns)  # as each session does before it begins: it has its weight
        venue.sim.advance(venue.now_ns)
        self.balances_known = adopt(venue.sim, self._journal, state, self._balances, handed_over=bool(self.handover_seq))
        dialect = BinanceSpot(self._body.instruments, self._body.venues[0].recv_window_ms)
        model = self._model
        shell = self._shell = Shell(
            venue,
            sequencer,
            dialect,
            ApiKey.hmac(KEY, KEY),
            Wires(model.request_ns, model.answer_ns),
            on_market_link=self._on_market_link,
        )
        if self.handover:
            text = CommandBody("handover", by="resim", reason=self.handover)
            shell.take(Arrival(Kind.COMMAND, "resim", body=text_of(text)))
        self._resume(shell, state, outputs)
        self._run(shell, outside(self._journal, after + 1, self._last, self._market_sources, lines=self._lines))

    def _resume(self, shell: Shell, state: State, outputs: list[Record]) -> None:
        """The links that stand, and what was asked and is not answered."""
        account = state.account
        for plan in self._private:
            link = account.links.by_source.get(plan.source)
            if link is not None and link.state == "ready":
                conn_id = shell.venue.new_conn_id()
                shell.venue.sim.resume_private(conn_id, plan.path, KEY, shell.venue.now_ns)
                shell.links[conn_id] = plan.source
            elif link is not None and link.state in ("up", "opening") and self.handover:
                body = text_of(LinkBody("down", "the model takes over before the venue let us in"))
                shell.take(Arrival(Kind.LINK, plan.source, cause=link.up_seq, body=body))
        ours = {output.seq for output in outputs}
        for seq in sorted(account.requests.by_seq.keys() - ours):
            record = next(self._journal.records(seq, seq))
            request = facts.read_request(record.body or "")
            order = account.orders.get(request.client_order_id)
            if request.purpose == "place" and order is not None and order.status not in (Status.PENDING, Status.UNKNOWN):
                self._await_recorded(shell, record, request)  # its order is known already: it must not be placed again
            else:
                shell.perform([record])
        shell.perform(outputs)

    def _await_recorded(self, shell: Shell, record: Record, request: RequestBody) -> None:
        """The answer that the record has, when it came; else what the live shell would have taken for one."""
        until_ns, now_ns = record.time_ns + request.timeout_ns, shell.venue.now_ns
        coming = self._journal.records(record.seq, self._last, kinds=(Kind.BROKER,))
        within = takewhile(lambda one: one.time_ns <= until_ns, coming)
        answer = next((one for one in within if one.cause == record.seq and one.meta is not None), None)
        if answer is not None:
            arrival = Arrival(
                answer.kind, answer.source, record.seq, answer.key, answer.recv_ns, answer.meta, answer.payload
            )
            shell.later(max(0, answer.time_ns - now_ns), lambda: shell.take(arrival))
            return
        meta = {"outcome": "timeout", "sent_ns": record.time_ns}
        shell.later(max(0, until_ns - now_ns), lambda: shell.answered(record, request, meta, b""))

    def _run(self, shell: Shell, coming: Iterator[Outside]) -> None:
        venue = shell.venue
        item = next(coming, None)
        end_ns: int | None = None
        while not shell.closing:
            next_ns = shell.next_ns()
            if item is not None:
                next_ns = min(next_ns, item.record.time_ns)
            elif end_ns is None:
                ended_ns = next(self._journal.records(self._last, self._last)).time_ns  # TIMERs up to there were taken too
                end_ns = max(venue.now_ns, ended_ns) + (AFTER_NS if shell.state.account.modes.stopping_since_ns else 0)
            if end_ns is not None and next_ns > end_ns:
                return
            now_ns = venue.now_ns = max(venue.now_ns, next_ns)
            due: list[Outside] = []
            while item is not None and item.record.time_ns <= now_ns:
                due.append(item)
                item = next(coming, None)
            shell.happen((one.line, arrival) for one in due for arrival in self._arrivals(shell.state, one))  # each in the state that the one before left

    def _arrivals(self, state: State, item: Outside) -> list[Arrival]:
        record = item.record
        if item.is_market_link:
            self._follow_link(record)
            return self._link_arrivals(state, record)
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

    def _link_arrivals(self, state: State, record: Record) -> list[Arrival]:
        if record.source in self._up:
            seq = self._wanting.pop(record.source, None)
            return [] if seq is None else [Arrival(Kind.LINK, record.source, cause=seq, body=record.body)]
        link = state.account.links.by_source.get(record.source)
        if link is None or link.up_seq < 0:
            return []
        return [Arrival(Kind.LINK, record.source, cause=link.up_seq, body=record.body)]

    def _on_market_link(self, record: Record, request: RequestBody) -> None:
        """A link that was down then comes up when the record's does; one that stood is there after a request's way."""
        shell = self._shell
        assert shell is not None, "it asks through us"
        if request.purpose == "disconnect":
            self._wanting.pop(request.source, None)
            shell.later(self._model.request_ns, lambda: self._leave(shell, request.source))
        elif request.source in self._up:
            arrival = Arrival(Kind.LINK, request.source, cause=record.seq, body=text_of(LinkBody("up")))
            shell.later(self._model.request_ns, lambda: shell.take(arrival))
        else:
            self._wanting[request.source] = record.seq

    def _leave(self, shell: Shell, source: str) -> None:
        link = shell.state.account.links.by_source[source]
        if link.up_seq >= 0:
            shell.take(Arrival(Kind.LINK, source, cause=link.up_seq, body=text_of(LinkBody("down", "asked"))))


def differs(recorded: Sequence[Record], ours: Sequence[Record]) -> str:
    """Why the venue might have answered otherwise from here on: other requests, or the same under other seqs. "": it could not."""
    if len(recorded) != len(ours):
        return f"{len(ours)} outputs in place of {len(recorded)} after record {(recorded or ours)[0].seq - 1}"
    for theirs, mine in zip(recorded, ours, strict=True):
        if Kind.REQUEST in (theirs.kind, mine.kind) and (theirs.kind, theirs.body) != (mine.kind, mine.body):
            return f"another request at record {mine.seq}: {_said(mine)} in place of {_said(theirs)}"
    return ""


def _said(record: Record) -> str:
    if record.kind is not Kind.REQUEST:
        return f"{record.kind}"
    request = facts.read_request(record.body or "")
    if (order := request.order) is None:
        return request.purpose
    price = f" at {order.price:f}" if order.price else ""
    return f"{request.purpose} {order.side} {order.quantity:f} {order.instrument.partition(':')[2]}{price}"
