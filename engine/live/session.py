"""A session, run: one nursery around one sequencer task. What arrives goes in, what comes out is performed.

Owns the order of things: journal, links, gateway, control socket, clock watch and signals live and die here. Decides
nothing about trading; when the core or the journal fails it stops.
"""

import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from decimal import Decimal
from functools import partial

import structlog
import trio

from engine.bodies import CommandBody, CommandName, LinkBody, LinkEvent, NoteBody, NoteLevel, RequestBody, VerdictBody
from engine.errors import CoreError
from engine.facts import CloseReason, MarketGap, ModeChanged, OrderFilled, SessionClosing
from engine.gc_tuning import rare_collections
from engine.kernel import Kernel
from engine.lifecycle import Status
from engine.live.clock import wall_ns
from engine.live.control_socket import serve_control, socket_path
from engine.live.gateway import Gateway
from engine.live.ingress import Command, FrameBatch, Ingress, LinkDown
from engine.live.link_tasks import HandedOverLink, LinkTasks
from engine.live.session_status import PositionStatus, Progress, SessionStatus, Summary
from engine.live.startup import StartPlan
from engine.live.transport.selection import make_sender
from engine.mode_reasons import ReasonCode, code_of
from engine.record_codec import text_of
from engine.requests import Purpose
from engine.sequencer import Arrival, Sequencer
from engine.session_record import SECOND_NS
from engine.state.positions import unrealised
from engine.state.session_state import State
from engine.step_context import Output
from journal.errors import JournalError
from journal.record import Kind, Record
from journal.writer import JournalWriter

BATCH = 512  # messages between two looks at the other tasks
IDLE_SECONDS_MAX = 1.0
CLOCK_SECONDS = 60.0  # how often the wall clock is compared with session time
PROGRESS_SECONDS = 0.25
ITS_OWN_END = ("closed", "deadline")  # the core said that nothing more is awaited: the journal is sealed for good
MODE_SOURCE = "mode"  # of a mode that engine/handlers/mode_policy.py derived, and not an answer of the venue's
NAMED_MAX = 3  # orders that a reason names

log = structlog.get_logger()


class Session:
    """A running session: what others in the same process may ask of it."""

    def __init__(self, plan: StartPlan) -> None:
        self.plan = plan
        self.inbox = Ingress()
        self.kernel = Kernel(plan.body)
        self.sequencer = Sequencer(self.kernel, self._append)
        self._writer: JournalWriter | None = None
        self._gateway: Gateway | None = None
        self._clock = plan.wanted.clock
        self._filled_last = ""
        self._orders = self._fills = self._messages = self._lag_ns = 0
        self._refused, self._objection, self._key_refused = 0, "", ""
        self._ended, self._reason = "", ""
        self._closing: CloseReason | None = None  # why the core closes the session
        self._gaps = 0
        self._links: LinkTasks | None = None
        self.signalled = False  # whether a person or the system asked this process to end
        self.chain = ""  # of the journal, once it is closed
        self.kept: dict[str, HandedOverLink] = {}  # after `hand_over`: the connections that are open still

    # ---- what others may ask

    @property
    def state(self) -> State:
        return self.sequencer.state

    async def command(self, name: CommandName, *, by: str, reason: str = "") -> Command:
        """Puts a COMMAND first in line and waits until it was taken."""
        command = Command(name, by, reason, trio.Event())
        if self.inbox.put_command(command):
            await command.taken.wait()
        return command

    async def hand_over(self, *, by: str, reason: str) -> None:
        """Stops the session, but not its connections: the next one goes on with them."""
        assert self._links is not None, "made in run"
        self._links.keeps_open = True
        await self.command(CommandName.STOP, by=by, reason=reason)

    def glimpse(self) -> SessionStatus:
        state = self.state
        modes = state.account.modes
        return SessionStatus(
            session=self.plan.body.session,
            mode=str(modes.mode),
            reasons=modes.reasons,
            records=state.seq + 1,
            messages=self._messages,
            orders=self._orders,
            fills=self._fills,
            gaps=self._gaps,
            filled_last=self._filled_last,
            held=tuple(self._held(state)),
            waiting=self.inbox.frames,
            waiting_peak=self.inbox.frames_peak,
            lag_ns=self._lag_ns,
            stopped=tuple(
                (name, why)
                for name in self.kernel.session.strategies
                if (why := state.account.strategies.of(name).stopped_for)
            ),
            refused=self._refused,
            objection=self._objection,
            key_refused=self._key_refused,
        )

    def _held(self, state: State) -> list[PositionStatus]:
        found = []
        for key in sorted(state.account.positions.by_key):
            position = state.account.positions.by_key[key]
            index = self.kernel.session.indexes.get(position.instrument)
            quote = None if index is None else state.market.quote(index)
            instrument = self.kernel.session.instruments.get(position.instrument)
            open_pnl = (
                unrealised(position, (quote.bid + quote.ask) / 2, instrument) if quote and instrument else Decimal(0)
            )
            found.append(
                PositionStatus(
                    position.strategy,
                    position.instrument,
                    position.quantity,
                    position.realised_pnl,
                    open_pnl,
                    position.fees_quote,
                )
            )
        return found

    # ---- the life of it

    async def run(self, *, progress: Progress | None, task_status: "trio.TaskStatus[Session]") -> Summary:
        plan, wanted = self.plan, self.plan.wanted
        token = trio.lowlevel.current_trio_token()
        plan.folder.parent.mkdir(parents=True, exist_ok=True)
        self._writer = JournalWriter.create(
            plan.folder,
            on_durable=lambda _seq: _soon(token, self._on_durable),
            on_failure=lambda _error: _soon(token, self.inbox.wake),
            on_low_space=lambda free_bytes: _soon(token, partial(self._halt_for_space, free_bytes)),
            free_bytes_min=wanted.free_bytes_min,
            signer=wanted.signer,
            sync=wanted.sync,
        )
        sender = make_sender(wanted.transport, wanted.venue.rest)
        (name,) = self.kernel.session.venues
        links = self._links = LinkTasks(
            {name: wanted.venue}, self.inbox, self._clock, profile=wanted.transport, handed_over=plan.kept
        )
        try:
            async with trio.open_nursery() as nursery:
                self._gateway = Gateway(
                    venues=dict(self.kernel.session.venues),
                    senders={name: sender},
                    key=wanted.key,
                    clock=self._clock,
                    inbox=self.inbox,
                    links=links,
                    nursery=nursery,
                )
                self._gateway.attach(self._writer)
                nursery.start_soon(self._signals, nursery.cancel_scope)
                nursery.start_soon(self._watch_clock)
                control = socket_path(wanted.journals, plan.body.session)
                await nursery.start(partial(serve_control, control, self.inbox))
                if progress is not None:
                    nursery.start_soon(self._tell, progress)
                nursery.start_soon(self._sequence, nursery.cancel_scope, task_status)
            if self._ended == "journal" and wanted.on_journal_failure == "cancel_all":
                await self._cancel_all_unrecorded()
        finally:
            self.kept = links.kept()
            for frames in self.inbox.rest():
                if frames.source in self.kept:
                    self.kept[frames.source].frames.append(frames)
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(self._close_journal)
                await sender.close()
        return Summary(plan.folder, self._ended, self._reason, self.glimpse())

    def _halt_for_space(self, free_bytes: int) -> None:
        """No new orders, while there is still room to record what becomes of the old ones."""
        left, wanted = free_bytes / 2**20, self.plan.wanted.free_bytes_min / 2**20
        reason = f"the journal's disk has {left:,.0f} MiB left, and free_mib_min is {wanted:,.0f}"
        self.inbox.put_command(Command(CommandName.HALT, "shell", reason, trio.Event()))

    def _close_journal(self) -> None:
        """Seals what can be sealed. Only a session that came to its own end is final."""
        assert self._writer is not None, "made in run"
        try:
            self.chain = self._writer.close(final=self._ended in ITS_OWN_END).chain
        except JournalError as error:
            self._end("journal", str(error))

    def _end(self, ended: str, reason: str) -> None:
        """The first reason counts, save that a failed journal outdoes an end that looked clean."""
        if self._ended and not (ended == "journal" and self._ended in ITS_OWN_END):
            return
        self._ended, self._reason = ended, reason
        if ended in ("core", "journal"):
            log.error("trading stopped", by=ended, reason=reason)

    async def _cancel_all_unrecorded(self) -> None:
        assert self._gateway is not None, "made in run"
        with trio.move_on_after(15):
            for told in await self._gateway.cancel_all_unrecorded():
                log.warning("cancelled without a record, because the journal failed", what=told)

    # ---- the sequencer task

    async def _sequence(self, scope: trio.CancelScope, task_status: "trio.TaskStatus[Session]") -> None:
        """The one place where inputs get their order. No await lies between an input and its outputs."""
        assert self._writer is not None, "made in run"
        try:
            self._perform(self.sequencer.begin(self.plan.body))
            for arrival in self.plan.first:
                self._perform(self.sequencer.accept(arrival, self._clock.now_ns()).outputs)
            task_status.started(self)
            while not self.state.account.modes.closing:
                self._take_batch()
                if self._writer.failed is not None:
                    self._end("journal", str(self._writer.failed))
                    break
                if self.inbox.empty and not self.state.account.modes.closing:
                    seconds = self._clock.seconds_until(self.sequencer.next_due_ns)
                    await self.inbox.wait(min(max(seconds, 0), IDLE_SECONDS_MAX))
                else:
                    await trio.lowlevel.checkpoint()
            else:
                self._end_as_the_core_said()
        except CoreError as error:
            self._end("core", str(error))
        except JournalError as error:
            self._end("journal", str(error))
        finally:
            self.inbox.close()
            if self._gateway is not None:
                self._gateway.close()
        scope.cancel()

    def _end_as_the_core_said(self) -> None:
        if self._closing is not CloseReason.DEADLINE:
            self._end("closed", "stopped in order")
            return
        account, cancelling = self.state.account, self.plan.body.engine.cancel_on_stop
        asked = {
            awaited.request.client_order_id for awaited in account.requests.by_seq.values() if awaited.request.mutates
        }
        unclear = (Status.PENDING, Status.UNKNOWN)
        left = [
            f"{order.client_order_id} {order.status}"
            for order in account.orders.live_by_age()
            if not order.adopted and (cancelling or order.status in unclear or order.client_order_id in asked)
        ]
        if left:
            more = f" and {len(left) - NAMED_MAX} more" if len(left) > NAMED_MAX else ""
            what = f"{len(left)} orders may still be open there ({', '.join(left[:NAMED_MAX])}{more}); the next start asks for them"
        else:
            what = "the last reconciliation is not done; the next start does it"
        self._end("deadline", f"stopped without the venue's answer: {what}")

    def _take_batch(self) -> None:
        """Commands first, then what arrived, up to a bound; a request that came out ends the batch, so that it can leave."""
        sequencer, clock, inbox = self.sequencer, self._clock, self.inbox
        if sequencer.next_due_ns <= (now_ns := clock.now_ns()):
            self._perform(sequencer.fire_timers(now_ns))
        left = BATCH
        while left > 0:
            while (command := inbox.take_command()) is not None:
                self._obey(command)
            if self.state.account.modes.closing or (item := inbox.take()) is None:
                return
            if type(item) is FrameBatch:
                left -= len(item.payloads)
                if self._take_frames(item):
                    return
            else:
                left -= 1
                arrival = self._down(item) if type(item) is LinkDown else item
                assert isinstance(arrival, Arrival), arrival
                if self._perform(sequencer.accept(arrival, clock.now_ns()).outputs):
                    return

    def _take_frames(self, frames: FrameBatch) -> bool:
        """Every message of a read. True where a request came out."""
        source, recv_ns = frames.source, frames.recv_ns
        kind = Kind.FEED if frames.market else Kind.BROKER
        cause = self.state.account.links.by_source[source].up_seq
        sequencer, now_ns, payloads = self.sequencer, self._clock.now_ns, frames.payloads
        asked = False
        at = 0
        while at < len(payloads):
            rest = payloads[at:] if frames.market else payloads[at : at + 1]
            count, outputs = sequencer.accept(Arrival(kind, source, cause, recv_ns=recv_ns, payloads=rest), now_ns())
            at += count
            if outputs and self._perform(outputs):
                asked = True
        self._messages += len(frames.payloads)
        self._lag_ns = wall_ns() - recv_ns
        return asked

    def _down(self, down: LinkDown) -> Arrival:
        """The LINK down record: caused by the LINK up it ends or, where there was none, by the request."""
        link = self.state.account.links.by_source.get(down.source)
        cause = link.up_seq if link is not None and link.up_seq >= 0 else down.request_seq
        return Arrival(Kind.LINK, down.source, cause=cause, body=text_of(LinkBody(LinkEvent.DOWN, down.reason)))

    def _obey(self, command: Command) -> None:
        body = CommandBody(command.name, command.by, command.reason)
        arrival = Arrival(Kind.COMMAND, "control", body=text_of(body))
        now_ns = self._clock.now_ns()
        self._perform(self.sequencer.fire_timers(now_ns))  # so that the next record is the command
        command.seq = self.state.seq + 1
        self._perform(self.sequencer.accept(arrival, now_ns).outputs)
        modes = self.state.account.modes
        command.mode, command.reasons = str(modes.mode), modes.reasons
        command.taken.set()

    def _append(self, records: Sequence[Record], urgent: bool) -> None:  # noqa: FBT001 - the sequencer's signature
        assert self._writer is not None, "made in run"
        self._writer.append_step(records, urgent=urgent)

    def _perform(self, outputs: Sequence[Output]) -> bool:
        """Hands requests to the gateway and tells people what concerns them. True where there was a request."""
        asked = False
        for output in outputs:
            match output.body:
                case RequestBody() as request:
                    assert self._gateway is not None, "made in run"
                    self._gateway.perform(output.record)
                    asked = True
                    self._orders += request.purpose is Purpose.PLACE
                case VerdictBody() as verdict if not verdict.approved:
                    self._refused += 1
                    objections = [f"{rule}: {objection}" for rule, objection in verdict.rules.items() if objection]
                    self._objection = self._objection or objections[0]
                case NoteBody() as note:
                    (log.info if note.level is NoteLevel.INFO else log.warning)(note.text, seq=output.record.seq)
                case _:
                    self._report_fact(output)
        return asked

    def _report_fact(self, output: Output) -> None:
        """Count and log the facts that people follow."""
        match output.body:
            case OrderFilled() as fill:
                self._fills += 1
                self._filled_last = fill.client_order_id
            case ModeChanged() as fact:
                if output.record.source != MODE_SOURCE and code_of(fact.reasons[0]) is ReasonCode.KEY_REFUSED:
                    self._key_refused = self._key_refused or fact.reasons[0]
                log.info("mode", mode=fact.mode.value, reasons="; ".join(fact.reasons))
            case MarketGap() as gap:
                what = f"{gap.stream} of {gap.instrument}" if gap.stream else gap.link
                if gap.to_ns and not gap.stream:
                    log.info("gap over", of=what, seconds=(gap.to_ns - gap.from_ns) / SECOND_NS)
                else:
                    self._gaps += 1
                    log.warning("gap", of=what, reason=gap.reason)
            case SessionClosing() as closing:
                self._closing = closing.reason
            case _:
                pass

    # ---- the small tasks

    def _on_durable(self) -> None:
        if self._gateway is not None:
            self._gateway.release()

    async def _signals(self, scope: trio.CancelScope) -> None:
        """The first signal stops in order; the second at once: what is in the journal is synced and sealed, no more."""
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            first = True
            async for number in signals:
                if not first:
                    self._end("interrupted", f"a second signal ({signal.Signals(number).name})")
                    scope.cancel()
                    return
                first = False
                self.signalled = True
                reason = signal.Signals(number).name
                self.inbox.put_command(Command(CommandName.STOP, "signal", reason, trio.Event()))

    async def _watch_clock(self) -> None:
        while True:
            await trio.sleep(CLOCK_SECONDS)
            drift_ns = self._clock.drift_ns()
            if drift_ns is not None:
                self.inbox.put(Arrival(Kind.LINK, "clock", body=text_of(LinkBody(LinkEvent.CLOCK, drift_ns=drift_ns))))

    async def _tell(self, progress: Progress) -> None:
        while True:
            await trio.sleep(PROGRESS_SECONDS)
            if self.sequencer.has_begun:
                progress(self.glimpse())


def _soon(token: trio.lowlevel.TrioToken, what: Callable[[], None]) -> None:
    """From the writer's thread into trio's; nothing where the session is over."""
    with suppress(trio.RunFinishedError):
        token.run_sync_soon(what, idempotent=True)


async def run_session(
    plan: StartPlan,
    *,
    progress: Progress | None = None,
    task_status: "trio.TaskStatus[Session]" = trio.TASK_STATUS_IGNORED,
) -> Summary:
    """Runs a session to its end. `task_status` gets the Session once its first records are taken."""
    with rare_collections():
        return await Session(plan).run(progress=progress, task_status=task_status)
