"""A live session: the nursery in which journal, links, gateway, control socket, clock watch and input loop run.

It owns their order of start and end. It decides nothing about trading; when the core or the journal fails, it stops.
"""

import signal
from contextlib import ExitStack
from functools import partial
from typing import Any

import structlog
import trio

from engine.bodies import CommandName, LinkBody, LinkEvent
from engine.errors import CoreError
from engine.facts import CloseReason, SafetyCause
from engine.gc_tuning import rare_collections
from engine.kernel import Kernel
from engine.live.control_socket import serve_control, socket_path
from engine.live.decision_watch import DecisionWatch
from engine.live.emergency import EmergencyCancel
from engine.live.ingress import Command
from engine.live.input_loop import InputLoop
from engine.live.key_reload import KeyReload
from engine.live.link_tasks import HandedOverLink, LinkTasks
from engine.live.log_task import LinesMaker, LogTask
from engine.live.logs import print_text
from engine.live.meter import Meter
from engine.live.outputs import OutputDispatcher
from engine.live.paper_session import paper_account, parts_of
from engine.live.refused_addresses import RefusedAddresses
from engine.live.session_config import StartPlan
from engine.live.session_end import EndedBy, SessionEnd, deadline_reason, end_signals
from engine.live.session_status import (
    Progress,
    SessionStatus,
    Summary,
    exposure,
    portfolio_status,
    position_statuses,
    protections,
    stopped_strategies,
    stream_ages,
)
from engine.live.stuck_guard import stuck_guard
from engine.live.trio_calls import call_before, call_in_trio
from engine.live.venue_access import make_venue_sender
from engine.live.waiting_commands import WaitingCommands
from engine.record_codec import text_of
from engine.sequencer import Arrival
from engine.state.session_state import State
from journal.errors import JournalError
from journal.private_files import make_folder
from journal.record import Kind
from journal.writer import JournalWriter

CLOCK_SECONDS = 60.0  # between two comparisons of the wall clock with session time
PROGRESS_SECONDS = 0.25
DURABLE_SECONDS_MAX = 5.0  # for the records of the cancels that follow a failure of the core

log = structlog.get_logger()


class LiveSession:
    """A live session, from its SESSION record to the seal of its journal."""

    def __init__(self, plan: StartPlan, nursery: trio.Nursery, make_lines: LinesMaker | None = None) -> None:
        """Create the journal and all parts; `start` starts them in the nursery. Raises JournalError."""
        config = plan.wanted
        self.plan = plan
        self.kernel = Kernel(plan.body)
        make_ingress, make_sequencer, make_gateway = parts_of(plan.body)
        self.ingress = make_ingress()
        self.was_signalled = False  # True once the user or the system requested the end of this process
        self.chain = ""  # of the journal, once it is closed
        self.open_links: dict[str, HandedOverLink] = {}  # after `hand_over`: the connections that stay open
        self._nursery = nursery
        self._clock = config.clock
        self._end = SessionEnd()
        self._writer = self._create_journal()
        self.sequencer = make_sequencer(self.kernel, self._writer.append_step)
        wanted = config.by_name
        self._senders = {name: make_venue_sender(each) for name, each in wanted.items()}
        self._refused = RefusedAddresses()
        self._links = LinkTasks(
            {name: each.settings for name, each in wanted.items()},
            self.ingress,
            config.clock,
            profiles={name: each.transport for name, each in wanted.items()},
            handed_over=plan.kept,
            refused=self._refused,
        )
        self._gateway = make_gateway(
            venues=dict(self.kernel.session.venues),
            senders=self._senders,
            keys={name: each.key for name, each in wanted.items()},
            clock=config.clock,
            ingress=self.ingress,
            links=self._links,
            nursery=nursery,
            trading=frozenset() if plan.body.read_only else self.kernel.session.accounts.trading,
            addresses={name: each.settings.rest for name, each in wanted.items()},
            refused=self._refused,
            history=config.history,
        )
        self._gateway.attach(self._writer)
        self._paper = paper_account(self.sequencer, self.ingress, self._gateway, config.clock)
        self._log = self._make_log(make_lines)
        queue = [] if self._log is None else [self._log.put]
        self._outputs = OutputDispatcher(self._gateway, plan.body.started_ns, *queue)
        runner = self.kernel.session.runner
        self.watch = DecisionWatch(plan.body.engine, config.clock.speed, runner.guarded_code)
        runner.guard = self.watch
        self._waiting = WaitingCommands(self.ingress)
        self.watch.is_command_waiting = self._waiting.is_urgent
        self._loop = InputLoop(
            self.sequencer, self.ingress, config.clock, self._writer, self._outputs, watch=self.watch
        )
        if self._log is not None and self._log.sample_every:
            self._loop.sample(self._log.put_frames)
        self._meter = Meter(
            plan.folder,
            clock=config.clock,
            sequencer=self.sequencer,
            ingress=self.ingress,
            loop=self._loop,
            writer=self._writer,
            gateway=self._gateway,
            log_task=self._log,
        )

    def _make_log(self, make_lines: LinesMaker | None) -> LogTask | None:
        if make_lines is None:
            return None
        lines = make_lines(self.kernel.session, lambda: self.state, self._gateway.latencies_ns)
        return LogTask(
            lines, is_busy=lambda: bool(self._gateway.is_holding or self.ingress.waiting), print_text=print_text
        )

    def _create_journal(self) -> JournalWriter:
        config, token = self.plan.wanted, trio.lowlevel.current_trio_token()
        make_folder(self.plan.folder.parent)
        return JournalWriter.create(
            self.plan.folder,
            on_durable=lambda _seq: call_in_trio(token, self._gateway.release),
            on_failure=lambda _error: call_in_trio(token, self.ingress.wake),
            on_low_space=lambda free_bytes: call_in_trio(token, partial(self._halt_for_space, free_bytes)),
            free_bytes_min=config.free_bytes_min,
            signer=config.signer,
            sync=config.sync,
            release=config.release,
            defers=True,  # Gateway.flush
        )

    # ---- for other tasks of the process

    @property
    def state(self) -> State:
        """Return the state after the last input."""
        return self.sequencer.state

    @property
    def messages(self) -> int:
        """Messages processed since the session's start."""
        return self._loop.messages

    async def command(self, name: CommandName, *, by: str, reason: str = "") -> Command:
        """Queue a command before all arrivals, and wait until it is processed."""
        command = Command(name, by, reason, trio.Event())
        if self.ingress.put_command(command):
            await command.done.wait()
        return command

    async def hand_over(self, *, by: str, reason: str) -> None:
        """Stop the session but leave its connections open: the next session continues with them."""
        self._links.keeps_open = True
        await self.command(CommandName.STOP, by=by, reason=reason)

    def status(self) -> SessionStatus:
        """Return the session's status now."""
        state, outputs = self.state, self._outputs
        modes = state.account.modes
        pnl, equity = portfolio_status(self.kernel.session, state)
        return SessionStatus(
            session=self.plan.body.session,
            mode=str(modes.mode),
            reasons=tuple(reason.text for reason in modes.reasons),
            records=state.seq + 1,
            messages=self._loop.messages,
            orders=outputs.orders,
            fills=outputs.fills,
            gaps=outputs.gaps,
            last_fill=outputs.last_fill,
            positions=position_statuses(self.kernel.session, state),
            waiting=self.ingress.waiting,
            waiting_peak=self.ingress.waiting_peak,
            lag_ns=self._loop.lag_ns,
            stopped=stopped_strategies(self.kernel.session, state),
            refused=outputs.refused,
            first_objection=outputs.first_objection,
            key_refused=outputs.key_refused,
            address_refused=self._refused.text,
            ages=stream_ages(self.kernel.session, state, self._clock.now_ns()),
            pnl=pnl,
            equity=equity,
            warming=tuple(
                (name, missing)
                for name in self.kernel.session.strategies
                if (missing := self.kernel.session.runner.missing(state.account, state.market, name))
            ),
            venues=tuple(self.kernel.session.venues),
            protected=protections(state),
        )

    def exposure(self) -> dict[str, Any]:
        """Return, as JSON values, what is open and which safety orders are in force."""
        return exposure(self.kernel.session, self.state)

    # ---- its life

    async def start(self, *, progress: Progress | None, task_status: "trio.TaskStatus[LiveSession]") -> None:
        """Start the session's tasks. The session's end cancels the nursery."""
        nursery, config = self._nursery, self.plan.wanted
        nursery.start_soon(self._watch_signals)
        nursery.start_soon(self._watch_clock)
        keys = KeyReload(self.kernel.session, self._gateway, config.read_keys, lambda: self.state)
        serve = partial(serve_control, waiting=self._waiting, reload_keys=keys.run)
        await nursery.start(serve, socket_path(config.journals, self.plan.body.session), self.ingress, self.exposure)
        if progress is not None:
            nursery.start_soon(self._report_progress, progress)
        if self._log is not None:
            nursery.start_soon(self._log.run)
        try:
            self._outputs.dispatch(self.sequencer.begin(self.plan.body))
            self._loop.accept_first(self.plan.first)
        except (CoreError, JournalError) as error:
            self._stop(error)
            return
        task_status.started(self)
        nursery.start_soon(self._loop.run, self._stop)
        nursery.start_soon(self._meter.run)
        if self._paper is not None:
            nursery.start_soon(self._paper.run)

    async def cancel_after_failure(self) -> None:
        """Cancel our orders after the journal, the core or the shell failed, unless the configuration says `leave`.

        After a failure of the core the cancels are records. If the journal failed, there is no way to record them.
        """
        wanted, recorded = self.plan.wanted, None
        if self._end.by is EndedBy.JOURNAL or self._writer.failed is not None:
            is_wanted = wanted.on_journal_failure == "cancel_all"
        elif self._end.by in (EndedBy.CORE, EndedBy.SHELL):
            is_wanted = wanted.safety.cancels_on_failure
            if self._end.by is EndedBy.CORE:
                recorded = await self._durable_cancels()
        else:
            return
        if not is_wanted or not self.plan.body.account or not self.sequencer.has_begun or self._paper is not None:
            return
        session, account = self.kernel.session, self.state.account
        emergency = EmergencyCancel(session, account, self._gateway.send_now, self._clock.seconds, recorded=recorded)
        with trio.CancelScope(shield=True):
            await emergency.run()
        if left := emergency.left():
            self._end.reason += f"; {left}"

    async def _durable_cancels(self) -> set[str] | None:
        """Wait until the cancels that the failed core recorded are durable, and return their orders' ids."""
        state = self.state
        try:
            await trio.to_thread.run_sync(self._writer.wait_durable, state.seq, DURABLE_SECONDS_MAX)
        except (JournalError, TimeoutError) as error:
            log.warning("the cancels are not durable, so they are not sent", reason=str(error))
            return set()
        if not any(order.cause is SafetyCause.CORE_FAILED for order in state.account.safety.active):
            return None  # the failed core recorded nothing
        return {name for name, order in state.account.orders.live.items() if order.cancel_seq}

    def fail(self, error: BaseException) -> None:
        """End the session because a task of the shell failed: only the emergency cancel is sent from here on."""
        self._end.set(EndedBy.SHELL, f"{type(error).__name__}: {error}")
        self._gateway.close()

    async def close(self) -> None:
        """Seal the journal and close the idle connections, after all tasks of the session ended."""
        self._gateway.close()
        self.open_links = self._links.kept()
        for frames in self.ingress.drain():
            if frames.source in self.open_links:
                self.open_links[frames.source].frames.append(frames)
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(self._close_journal)
            for sender in self._senders.values():
                await sender.close()
        if self._log is not None:
            self._log.finish()

    def summary(self) -> Summary:
        """Return how the session ended, after `close`."""
        assert self._end.by is not None, "the session has ended"
        shares = self._outputs.shares.summary(self.state.time_ns)
        return Summary(self.plan.folder, self._end.by, self._end.reason, self.status(), shares)

    def _stop(self, error: Exception | None) -> None:
        """Note why the input loop ended, and end the other tasks. No request is sent from here on."""
        if isinstance(error, CoreError):
            self._end.set(EndedBy.CORE, str(error))
        elif error is not None:
            self._end.set(EndedBy.JOURNAL, str(error))
        elif self._writer.failed is not None:
            self._end.set(EndedBy.JOURNAL, str(self._writer.failed))
        elif self._outputs.close_reason is CloseReason.DEADLINE:
            self._end.set(EndedBy.DEADLINE, deadline_reason(self.kernel.session, self.state.account))
        else:
            self._end.set(EndedBy.CLOSED, "stopped in order")
        self._gateway.close()
        self._nursery.cancel_scope.cancel()

    def _close_journal(self) -> None:
        self._meter.finish()
        try:
            self.chain = self._writer.close(final=self._end.is_final).chain
        except JournalError as error:
            self._end.set(EndedBy.JOURNAL, str(error))

    # ---- reactions to the journal's threads

    def _halt_for_space(self, free_bytes: int) -> None:
        """Halt trading while there is still room to record what becomes of the open orders."""
        free_mib, free_mib_min = free_bytes / 2**20, self.plan.wanted.free_bytes_min / 2**20
        reason = f"the journal's disk has {free_mib:,.0f} MiB left, and free_mib_min is {free_mib_min:,.0f}"
        self.ingress.put_command(Command(CommandName.HALT, "shell", reason, trio.Event()))

    # ---- the small tasks

    async def _watch_signals(self) -> None:
        """End the session: in order at the first signal, at once at the second. The journal is sealed in both cases."""
        ending = end_signals()
        with trio.open_signal_receiver(*ending) as signals:
            for watched in ending:
                call_before(watched, self.watch.note_signal)
            async for number in signals:
                name = signal.Signals(number).name
                if self.was_signalled:
                    self._end.set(EndedBy.INTERRUPTED, f"a second signal ({name})")
                    self._nursery.cancel_scope.cancel()
                    return
                self.was_signalled = True
                self.ingress.put_command(Command(CommandName.STOP, "signal", name, trio.Event()))

    async def _watch_clock(self) -> None:
        """Record the distance of the wall clock from session time."""
        while True:
            await trio.sleep(CLOCK_SECONDS)
            drift_ns = self._clock.drift_ns()
            if drift_ns is not None:
                body = LinkBody(LinkEvent.CLOCK, drift_ns=drift_ns)
                self.ingress.put(Arrival(Kind.LINK, "clock", body=text_of(body)))

    async def _report_progress(self, progress: Progress) -> None:
        while True:
            await trio.sleep(PROGRESS_SECONDS)
            if self.sequencer.has_begun:
                progress(self.status())


async def run_session(
    plan: StartPlan,
    *,
    progress: Progress | None = None,
    make_lines: LinesMaker | None = None,
    task_status: "trio.TaskStatus[LiveSession]" = trio.TASK_STATUS_IGNORED,
) -> Summary:
    """Run a session to its end. `task_status` gets the LiveSession once its first inputs are processed.

    `make_lines` makes what writes the session's log; without it outputs are not logged.
    """
    with rare_collections(), ExitStack() as watching:
        session: LiveSession | None = None
        guard = watching.enter_context(stuck_guard(plan))
        try:
            async with trio.open_nursery() as nursery:
                session = LiveSession(plan, nursery, make_lines)
                watching.enter_context(session.watch.run(guard))
                await session.start(progress=progress, task_status=task_status)
            await session.cancel_after_failure()
        except Exception as error:
            if session is not None:
                session.fail(error)
                await session.cancel_after_failure()
            raise
        finally:
            if session is not None:
                await session.close()
            plan.release()
        return session.summary()
