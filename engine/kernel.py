"""step: one input in, the next state and the outputs it leads to out. The whole path of a message can be read here:

    decode -> reduce -> strategy -> risk -> execution -> outputs

`step` folds the input and decides; `rebuild` folds recorded inputs and recorded outputs and decides nothing. Both share
`take` and every reducer. No clock, no I/O, no randomness: all comes from records.
"""

from collections.abc import Sequence
from decimal import localcontext

import msgspec

from engine import facts
from engine.apply.batches import RecordsOf, apply_frames, apply_rows
from engine.apply.inputs import NO_EFFECT, Applied, apply_input
from engine.bodies import CheckpointBody
from engine.errors import CoreError
from engine.handlers import market_gaps
from engine.handlers.dispatch import Dispatcher
from engine.lifecycle import Status
from engine.market.rows import Rows
from engine.mode_reasons import Mode
from engine.money import MONEY
from engine.record_codec import read_fact, read_request
from engine.session_context import SessionContext
from engine.session_record import SessionBody, read_session
from engine.state import rate_budgets
from engine.state.changes import Change, Requested, Stamp
from engine.state.session_state import Account, State, fold, restore_opening
from engine.state.timers import Timers
from engine.step_context import StepContext
from engine.strategy.loading import LoadedStrategy, declared_only
from engine.strategy.predicate_inputs import disable, refresh
from journal.record import Kind, Record


class Kernel:
    """One session's program at work. Holds no state: that is handed in and out."""

    def __init__(self, session: SessionBody, strategies: dict[str, LoadedStrategy] | None = None) -> None:
        """`strategies` replaces the recorded ones by others (replay with an edited strategy)."""
        self.program = SessionContext(session, strategies)
        self.responding = Dispatcher(self.program)

    # ---- beginning

    def begin(self, record: Record) -> State:
        """The state that the SESSION record opens: empty, or as the session before left it."""
        assert record.kind is Kind.SESSION, record.kind
        assert record.seq == 0, record.seq
        opening = self.program.session.opening
        account = restore_opening(opening) if opening else Account()
        for venue, allowance in self.program.allowances.items():
            account = msgspec.structs.replace(account, limits=rate_budgets.allowed(account.limits, venue, allowance))
        due = {name: record.time_ns + period for name, period in self.program.recurring.items()}
        due["every.watch"] = record.time_ns + self.program.settings.watch_every_ns
        account = msgspec.structs.replace(account, timers=Timers(due, {}, min(due.values())))
        market = self.program.empty_market()
        if opening:
            market.take_carried(opening["market"])
        state = State(account, market, seq=0, time_ns=record.time_ns, inputs=1)
        state.hear(record)
        return state

    def open_turn(self, state: State, record: Record) -> list[Record]:
        """The outputs of the SESSION record itself: orders left on their way become UNKNOWN, links are asked for."""
        with localcontext(MONEY):
            turn = StepContext(state, record, self.program.rules)
            for order in state.account.orders.live.values():
                if order.status is Status.PENDING:
                    venue = self.program.venues[self.program.instruments[order.order.instrument].venue]
                    proof_ns = order.expires_ns + self.program.proof_after_ns(venue)
                    fact = facts.OrderUnknown(order.client_order_id, "the engine stopped before the answer", proof_ns)
                    turn.fact(fact, key=order.client_order_id)
            for name in sorted(self.program.venues):
                for plan in self.program.links(name):
                    if plan.role == "market":
                        market_gaps.between_sessions(self.program, turn, plan.source)
                    self.program.asking[name].connect(turn, plan=plan)
            self.responding.finish(turn)
        return turn.outputs

    # ---- a record

    def step(self, state: State, record: Record) -> list[Record]:
        """Fold one input into `state`, decide, and return the outputs, already folded.

        Raises CoreError where our own code fails on it; the caller must stop trading (nothing of this record was sent).
        """
        assert record.seq == state.seq + 1, (record.seq, state.seq)
        account = state.account
        refresh(self.program, state)
        try:
            took = apply_input(self.program, state, record)
            state.inputs += 1
            account = state.account
            return self._respond(state, record, took)
        except Exception as error:
            raise self._halted(state, record, account, error) from error

    def step_frames(self, state: State, records: Sequence[Record]) -> tuple[int, list[Record]]:
        """`step` for stream frames of one source, many at once: up to the first that leads to outputs, or that a TIMER must precede.

        Returns how many were taken and the outputs of the last of them; 0 where a TIMER comes before the first.
        """
        assert records[0].seq == state.seq + 1, (records[0].seq, state.seq)
        room = self.program.settings.checkpoint_every - state.inputs % self.program.settings.checkpoint_every
        count, account, last = len(records), state.account, records[0]
        refresh(self.program, state)
        try:
            count, took = apply_frames(self.program, state, records[:room])
            account, last = state.account, records[max(count, 1) - 1]
            return count, self._respond(state, last, took) if count else []
        except Exception as error:
            raise self._halted(state, last, account, error, taken=count) from error

    def step_rows(
        self, state: State, rows: Rows, start: int, until_ns: int | None, records_of: RecordsOf
    ) -> tuple[int, Sequence[Record], list[Record]]:
        """`step` for rows of the market that were decoded before: see frames.take_rows. The next row, the records, and the outputs of the last."""
        account = state.account
        records: Sequence[Record] = ()
        refresh(self.program, state)
        try:
            end, records, took = apply_rows(self.program, state, rows, start, until_ns, records_of)
            account = state.account
            return end, records, self._respond(state, records[-1], took) if records else []
        except Exception as error:
            if not records:
                raise
            raise self._halted(state, records[-1], account, error, taken=len(records)) from error

    def _halted(self, state: State, record: Record, account: Account, error: Exception, *, taken: int = 1) -> CoreError:
        """Our own code failed: nothing that the step decided stands, and the record says so to whoever starts again."""
        what = (
            f"record {record.seq} ({record.kind} from {record.source}) broke the core: {type(error).__name__}: {error}"
        )
        state.account = account
        turn = StepContext(state, record, self.program.rules)
        if state.seq == record.seq:  # else it broke within many at once, and a restart will fold them one by one
            with localcontext(MONEY):
                turn.note("alarm", what)
                turn.fact(facts.ModeChanged(Mode.HALTED, (what,)))
            state.seq = turn.outputs[-1].seq
        return CoreError(what, outputs=turn.outputs, taken=taken)

    def _respond(self, state: State, record: Record, took: Applied) -> list[Record]:
        """Decides on an input that was folded; a frame that woke nobody ends here."""
        due = state.inputs % self.program.settings.checkpoint_every == 0
        if took is NO_EFFECT and record.kind is Kind.FEED and not due:
            return []
        with localcontext(MONEY):
            turn = StepContext(state, record, self.program.rules)
            closed = state.account.modes.closing
            self.responding.decide(turn, took)
            if due or state.account.modes.closing is not closed:  # the last one vouches for all that came before
                turn.raw(Kind.CHECKPOINT, CheckpointBody(state.inputs, state.digests()), source="engine")
                state.new_page(state.heard)
        if turn.outputs:
            state.seq = turn.outputs[-1].seq
        return turn.outputs

    def rebuild(self, state: State, record: Record) -> None:
        """Fold a record as it stands in the journal, input or output. Nothing is decided."""
        assert record.seq == state.seq + 1, (record.seq, state.seq)
        disable(self.program, state)
        if record.kind in (Kind.FEED, Kind.BROKER, Kind.LINK, Kind.TIMER, Kind.COMMAND):
            apply_input(self.program, state, record)
            state.inputs += 1
            return
        state.seq, state.time_ns = record.seq, record.time_ns
        change: Change
        if record.kind is Kind.FACT:
            change = read_fact(record.body or "")
            if isinstance(change, facts.StrategyWoken):
                state.market.evaluated(self.program.watch_names.index(change.strategy), record.time_ns)
        elif record.kind is Kind.REQUEST:
            change = Requested(read_request(record.body or ""))
        else:
            if record.kind is Kind.CHECKPOINT:
                state.new_page(state.heard)
            return  # intents, verdicts and notes change nothing
        with localcontext(MONEY):
            state.account = fold(state.account, change, Stamp(record.seq, record.time_ns), self.program.rules)


def rebuilder_of(record: Record) -> Kernel:
    """A kernel that can begin and rebuild, but not step: no strategy's source is run."""
    session = read_session(record.body or "")
    return Kernel(session, {found.name: declared_only(found) for found in session.strategies})


def kernel_of(record: Record) -> Kernel:
    """The program that a SESSION record describes."""
    return Kernel(read_session(record.body or ""))
