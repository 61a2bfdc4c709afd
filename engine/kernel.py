"""The kernel: a batch of inputs in, the next state and its outputs out.

    decode -> apply -> handler -> (strategies -> risk -> execution) -> policy

`step` applies inputs and decides. `rebuild` folds recorded inputs and outputs and decides nothing. Both share `apply`
and every reducer. There is no clock, no I/O and no randomness: everything comes from records.
"""

from collections.abc import Mapping, Sequence
from decimal import localcontext
from typing import Any

import msgspec
from msgspec.structs import replace

from engine import facts
from engine.apply.batch import NO_EFFECT, Applied, Batch, Fired
from engine.apply.inputs import APPLIERS, apply, count_inputs
from engine.bodies import CheckpointBody, NoteLevel
from engine.decision_loop import DecisionLoop, is_passable
from engine.errors import CoreError
from engine.handlers.begin_cooldowns import begin_cooldowns
from engine.handlers.carry_day import name_stale, opening_after
from engine.handlers.intents import drops_intent, emit_request, review_intent
from engine.handlers.link_changes import open_links
from engine.handlers.loss_levels import refresh_levels
from engine.handlers.margin_settings import begin_contracts
from engine.handlers.market_triggers import handle_market
from engine.handlers.policy import advance_policy
from engine.handlers.rivals import halt_for_rivals
from engine.handlers.run_plans import handle_plan_intent, is_plan
from engine.handlers.safety import cancel_after_failure
from engine.handlers.table import HANDLERS
from engine.handlers.trip_breakers import trip_breakers
from engine.handlers.watch_losses import watch_daily_loss
from engine.lifecycle import Status
from engine.mode_reasons import Mode, ModeReason, ReasonCode
from engine.money import MONEY
from engine.record_codec import read_fact, read_request, read_verdict
from engine.recorded_inputs import RecordedInputs
from engine.recorded_loop import RecordedLoop
from engine.session_context import SessionContext
from engine.session_record import SessionBody, read_session
from engine.state import rate_budgets
from engine.state.account_fold import fold
from engine.state.carried_pnl import restore_pnl
from engine.state.changes import Change, Requested, Stamp
from engine.state.session_state import Account, State, restore_opening
from engine.state.timers import Timers, first_due_ns, timer_name
from engine.step_context import Output, StepContext, records_of
from engine.strategy.api import Cancel, Run
from engine.strategy.loading import LoadedStrategy, declared_only
from engine.strategy.predicate_inputs import disable, refresh
from engine.strategy.runner import CutOff, Decided
from engine.timer_names import TimerKind
from engine.trigger_kinds import TriggerKind
from journal.record import Kind, Record

_NO_DECISIONS: Mapping[str, Decided] = {}


class StepResult(msgspec.Struct, frozen=True):
    """The result of a step: the inputs it applied, and the outputs that the last one led to."""

    records: Sequence[Record]
    outputs: Sequence[Output]


class Kernel:
    """The code of one session. It holds no state: the caller passes it in."""

    def __init__(self, session: SessionBody, strategies: dict[str, LoadedStrategy] | None = None) -> None:
        """Load a session. `strategies` replaces the recorded ones, for a replay with an edited strategy."""
        self.session = SessionContext(session, strategies)
        self.cools_down = session.risk.cooldown.is_set
        self.watches_losses = session.risk.figures and bool(self.session.loss_limits)
        self.writes_records = True  # False: an output becomes text when it is read

    # ---- the first record

    def begin(self, record: Record) -> State:
        """Return the state that the SESSION record opens: empty, or what the previous session carried over."""
        assert record.kind is Kind.SESSION, record.kind
        assert record.seq == 0, record.seq
        session = self.session
        opening = session.body.opening
        account = restore_opening(opening) if opening else Account()
        if session.reducer_settings.has_reported_losses:
            account = restore_pnl(account, session.reducer_settings)
        for venue, limits in session.rate_limits.items():
            account = replace(account, limits=rate_budgets.allowed(account.limits, venue, limits))
        due_ns = {
            name: first_due_ns(name, period_ns, session.settings, record.time_ns)
            for name, period_ns in session.timer_periods_ns.items()
        }
        due_ns[timer_name(TimerKind.CHECK)] = record.time_ns + session.settings.check_interval_ns
        for venue, budget in account.limits.by_venue.items():
            if budget.blocked_until_ns > record.time_ns:  # a ban outlives a restart, and its end opens the links
                due_ns[timer_name(TimerKind.RATE_BLOCK, venue)] = budget.blocked_until_ns
        for name in account.orders.expiring:
            till_ns = account.orders.live[name].order.good_till_ns
            if till_ns > record.time_ns:  # one that is over is cancelled as soon as it can be
                due_ns[timer_name(TimerKind.EXPIRY, name)] = till_ns
        account = replace(account, timers=Timers(due_ns, {}, min(due_ns.values())))
        market = session.empty_market()
        if opening:
            market.restore_carried(opening["market"])
        state = State(account, market, seq=0, time_ns=record.time_ns, inputs=1)
        state.hash_inputs((record,))
        return state

    def open_session(self, state: State, record: Record) -> list[Output]:
        """Return the outputs of the SESSION record: pending orders become UNKNOWN, and links are requested."""
        session = self.session
        with localcontext(MONEY):
            step = StepContext(state, record, session.reducer_settings)
            for order in state.account.orders.live.values():
                if order.status is Status.PENDING:
                    venue = session.venues[session.instruments[order.order.instrument].venue]
                    proof_ns = order.expires_ns + session.proof_after_ns(venue)
                    fact = facts.OrderUnknown(order.client_order_id, "the engine stopped before the answer", proof_ns)
                    step.emit(fact, key=order.client_order_id)
            name_stale(session, step)
            open_links(session, step)
            begin_contracts(session, step)
            state.quiescent = advance_policy(session, step)
        state.seq = len(step.outputs)
        return step.outputs

    def opening_after(self, state: State) -> dict[str, Any]:
        """Return the opening state of the next session, as JSON values. Raises ValueError if none can be made."""
        return opening_after(self.session, state)

    # ---- a step

    def step(self, state: State, batch: Batch) -> StepResult:
        """Apply a batch up to the first input that leads to outputs, and return these, already folded.

        It also ends before a TIMER that is due. The caller continues with the rest of the batch.

        Raises:
            CoreError: Our own code fails on an input. The caller must stop trading; no output of the input was sent.

        """
        session, runner = self.session, self.session.runner
        account, start = state.account, batch.row
        if runner.compiled:
            refresh(runner, state)
        if self.watches_losses:
            refresh_levels(session, state)
        records: Sequence[Record] = ()
        early, runner.early = runner.early, None
        try:
            decisions: Mapping[str, Decided] | None = None
            if batch.cut:
                decisions = {name: CutOff(reason) for name, reason in batch.cut}
            if batch.rows is None:
                applied = apply(session, state, batch)  # decode, apply
                if early is not None and not batch.cut and early.fits(account, batch.records[0], applied.body):
                    decisions = early.decisions
            else:
                applied, found = self._apply_rows(state, batch)
                decisions = decisions if found is None else found
            if applied.only_strategies and decisions is None:
                applied, decisions = self._run_undecided(state, batch, applied)  # strategies
            records = count_inputs(state, batch, start, has_effect=applied.has_effect)
            account = state.account
            is_checkpoint = state.inputs % session.settings.checkpoint_every == 0
            if not records or not (applied.has_effect or is_checkpoint):
                return StepResult(records, ())
            outputs = self._decide(state, records[-1], applied, decisions or _NO_DECISIONS, is_checkpoint=is_checkpoint)
            if outputs:
                if self.writes_records:
                    records_of(outputs)  # here, because an output that cannot be written must break the step
                state.seq = outputs[-1].seq
            return StepResult(records, outputs)
        except Exception as error:
            if not (records := records or batch.records):
                raise  # the rows have no record yet, so no input can be blamed
            raise self._halted(state, records, account, error) from error

    def _apply_rows(self, state: State, batch: Batch) -> tuple[Applied, Mapping[str, Decided] | None]:
        """Apply rows up to a record with an effect; in the loop, up to one at which strategies decide.

        Returns:
            What the record holds, and the decisions of the strategies that it triggered; None if they did not run.

        """
        if is_passable(self.session, state, batch):
            loop = RecordedLoop if isinstance(batch.records, RecordedInputs) else DecisionLoop
            return loop(self.session, state, batch).run()
        return apply(self.session, state, batch), None

    def _run_undecided(
        self, state: State, batch: Batch, applied: Applied
    ) -> tuple[Applied, Mapping[str, Decided] | None]:
        """Run the strategies at inputs that only trigger them, up to the first at which one decides something.

        Returns:
            What that input holds, and the decisions of its strategies, as `_apply_rows` returns them.

        """
        runner = self.session.runner
        while state.quiescent and applied.only_strategies:
            if not runner.compiled.keys().isdisjoint(applied.strategies):
                break  # a fired predicate emits a FACT, so the step cannot skip it
            decisions = runner.first_decision(state.account, state.market, applied.time_ns, applied.strategies)
            if decisions is not None:
                return applied, decisions
            if runner.guard is not None and runner.guard.is_slow:
                return NO_EFFECT, None  # the shell reads its sockets before the rest of the batch
            applied, found = self._apply_rows(state, batch)  # no strategy decided anything, nor has the policy to
            if found is not None:
                return applied, found
        return applied, None

    def _decide(
        self, state: State, record: Record, applied: Applied, decisions: Mapping[str, Decided], *, is_checkpoint: bool
    ) -> list[Output]:
        """Decide on an input that was applied: its handler, the strategies it triggers, the policy."""
        session, was_closing = self.session, state.account.modes.closing
        with localcontext(MONEY):
            step = StepContext(state, record, session.reducer_settings)
            orders, positions, pnl = state.account.orders, state.account.positions, state.account.pnl
            if not applied.only_strategies:
                HANDLERS[record.kind](session, step, applied)
                if applied.market_flags:
                    handle_market(session, step, applied)
                if session.settings.halt_on_rival and step.account.orders is not orders:
                    halt_for_rivals(session, step)
                if self.watches_losses and (step.account.positions is not positions or step.account.pnl is not pnl):
                    watch_daily_loss(session, step)
            if self.cools_down and step.outputs:
                begin_cooldowns(session, step, positions, 0)
            positions, since = step.account.positions, len(step.outputs)
            for name, fired in applied.strategies.items():
                self._run_strategy(step, name, fired, decisions)
            if self.cools_down and len(step.outputs) > since:
                begin_cooldowns(session, step, positions, since)
            state.quiescent = advance_policy(session, step)
            if is_checkpoint or step.account.modes.closing is not was_closing:  # the last one proves the whole session
                step.emit(CheckpointBody(state.inputs, state.digests()))
                state.restart_hash(state.input_hash)
        return step.outputs

    def _run_strategy(self, step: StepContext, name: str, fired: Fired, decisions: Mapping[str, Decided]) -> None:
        """Run one triggered strategy: strategies -> risk -> execution."""
        session, modes = self.session, step.account.modes
        if name in session.runner.compiled and TriggerKind.QUOTE in fired and step.record.kind is not Kind.TIMER:
            step.emit(facts.StrategyTriggered(name), source=f"strategy.{name}")
        if modes.mode is not Mode.RUNNING or modes.stopping_since_ns:
            return  # outside RUNNING something may have been missed
        has_run = name in decisions and not step.outputs  # with this very account
        if not has_run and not session.runner.may_run(step.account, step.market, name, step.time_ns):
            return
        for intent in session.runner.decide(step, name, fired, decisions):  # strategies
            if drops_intent(session, step, name, intent):
                continue
            if isinstance(intent, Run) or (isinstance(intent, Cancel) and is_plan(step, intent.client_order_id)):
                handle_plan_intent(session, step, name, intent)  # an execution plan
                continue
            approved = review_intent(session, step, name, intent)  # risk
            if approved is not None and not session.body.read_only:
                emit_request(session, step, approved)  # execution
            elif step.account.breakers.due:
                trip_breakers(session, step)

    def _halted(self, state: State, records: Sequence[Record], account: Account, error: Exception) -> CoreError:
        """Undo the step's decisions. Leave a HALT for the next start if the input that broke the core is known."""
        record = records[-1]
        text = (
            f"record {record.seq} ({record.kind} from {record.source}) broke the core: {type(error).__name__}: {error}"
        )
        state.account = account
        step = StepContext(state, record, self.session.reducer_settings)
        if state.seq == record.seq or len(records) == 1:  # else a restart applies them one by one
            with localcontext(MONEY):
                step.note(NoteLevel.ALARM, text)
                step.halt(ModeReason(ReasonCode.CORE_FAILED, text))
                cancel_after_failure(self.session, step)
            state.seq = step.next_seq - 1
        return CoreError(text, records=records, outputs=[output.record for output in step.outputs])

    # ---- without decisions

    def rebuild(self, state: State, record: Record) -> None:
        """Fold a record of the journal, input or output. Nothing is decided."""
        assert record.seq == state.seq + 1, (record.seq, state.seq)
        disable(state)
        state.quiet_parts = ()
        state.seq, state.time_ns = record.seq, record.time_ns
        if record.kind in APPLIERS:
            batch = Batch((record,), until_ns=None)
            applied = apply(self.session, state, batch)
            count_inputs(state, batch, 0, has_effect=applied.has_effect)
            return
        change: Change
        if record.kind is Kind.FACT:
            change = read_fact(record.body or "")
            if isinstance(change, facts.StrategyTriggered):
                state.market.note_evaluated(self.session.trigger_names.index(change.strategy), record.time_ns)
        elif record.kind is Kind.REQUEST:
            change = Requested(read_request(record.body or ""))
        elif record.kind is Kind.VERDICT and self.session.names_refused:
            change = read_verdict(record.body or "")
            if not change.strategy:
                return  # it is approved
        else:
            if record.kind is Kind.CHECKPOINT:
                state.restart_hash(state.input_hash)
            return  # intents, notes and approvals change nothing
        with localcontext(MONEY):
            state.account = fold(
                state.account, change, Stamp(record.seq, record.time_ns), self.session.reducer_settings
            )

    def rebuild_frames(self, state: State, records: Sequence[Record]) -> None:
        """Fold stream frames of one source in a row, as `rebuild` folds each."""
        assert records[0].seq == state.seq + 1, (records[0].seq, state.seq)
        disable(state)
        state.quiet_parts = ()
        while records:
            batch = Batch(records, until_ns=None)
            applied = apply(self.session, state, batch)
            while batch.rows is not None and batch.row < len(batch.rows):  # past a record that triggered something
                applied = apply(self.session, state, batch)
            folded = count_inputs(state, batch, 0, has_effect=applied.has_effect)
            if not folded:
                self.rebuild(state, records[0])
            records = records[len(folded) or 1 :]


def rebuilder_of(record: Record) -> Kernel:
    """Return a kernel that can begin and rebuild, but not step: it runs no strategy's source."""
    session = read_session(record.body or "")
    return Kernel(session, {settings.name: declared_only(settings) for settings in session.strategies})


def kernel_of(record: Record) -> Kernel:
    """Return the kernel of the session that a SESSION record describes."""
    return Kernel(read_session(record.body or ""))
