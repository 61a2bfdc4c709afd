"""The decision loop over recorded inputs: a TIMER passes if the journal has the one that the state expects there."""

import sys

from engine.apply.batch import Applied, Batch
from engine.apply.inputs import forget_closed_orders
from engine.decision_loop import DecisionLoop
from engine.handlers.fired_timers import handle_timer
from engine.record_codec import read_timer
from engine.recorded_inputs import RecordedInputs
from engine.session_context import SessionContext
from engine.state.session_state import State
from engine.state.timers import timer_name
from engine.step_context import StepContext
from engine.timer_names import TimerKind, TimerName

CHECK = timer_name(TimerKind.CHECK)
_LATE = b'{"late_ns":'  # how late it fired: the state does not know


class RecordedLoop(DecisionLoop):
    """The loop over one batch of recorded inputs. It ends before a TIMER that the ordinary step must compare."""

    passable_kinds = DecisionLoop.passable_kinds | {TimerKind.CHECK}

    def __init__(self, session: SessionContext, state: State, batch: Batch) -> None:
        """Prepare the loop, for a batch that `is_passable` accepts and whose records are columns."""
        super().__init__(session, state, batch)
        assert isinstance(batch.records, RecordedInputs), "it was recorded"
        self._inputs = batch.records

    def _continues(self, flags: int) -> bool:
        """Let the next recorded TIMER pass, once the rows before it are folded."""
        place = self._inputs.next_timer(self._batch.place)
        if flags or place == self._inputs.end or not self._passes(place):
            return False
        self._batch.place = place + 1
        self._batch.rows = self._inputs.rows_from(place + 1)
        return True

    def _passes(self, place: int) -> bool:
        """Return True if the recorded TIMER is the expected one and its strategies decide nothing."""
        columns, market_ns, account_ns = self._inputs.columns, self._state.market.next_due_ns, self._next_ns
        if market_ns == account_ns:
            return False
        due_ns = min(market_ns, account_ns)
        name = self._throttle_name(due_ns) if market_ns < account_ns else self._timer_name(due_ns)
        timer = self._timers[name] if name in self._timers else self._know_timer(name)
        if timer is None:
            return False
        time_ns = max(due_ns, columns.times_ns[place - 1] if place > self._inputs.begin else self._state.time_ns)
        before, between, after = timer.texts
        text = columns.texts[columns.offsets[place] : columns.offsets[place + 1]].tobytes()
        if text != f"{before}{time_ns}{between}{due_ns}{after}".encode():
            late = text.partition(_LATE)[2].partition(b"}")[0].decode()
            if not late.isdecimal() or int(late) >= (timer.period_ns or sys.maxsize):
                return False
            between = between.replace('"late_ns":0', f'"late_ns":{int(late)}')
            if text != f"{before}{time_ns}{between}{due_ns}{after}".encode():
                return False
        if self._evaluate(timer.runs, time_ns) is not None or not self._is_quiet(name, place):
            return False
        self._leave(timer, time_ns)
        self._set_again(timer, due_ns)
        return True

    def _is_quiet(self, name: str, place: int) -> bool:
        """Return True if the check of each second finds nothing to do, or if this is another TIMER."""
        if name != CHECK:
            return True
        state, session, account = self._state, self._session, self._state.account
        if state.market.history:
            return False
        record = self._inputs.columns.record(place)
        forget_closed_orders(session, state, record.time_ns)
        if state.account is account:
            step = StepContext(state, record, session.reducer_settings)
            handle_timer(session, step, Applied(body=read_timer(record.body or "")))
            if not step.outputs:
                return True
        state.account = account  # the ordinary step does it
        return False

    def _timer_name(self, due_ns: int) -> str:
        """Return the name of the account's first timer that is due."""
        self._due_ns = self._due_ns or dict(self._state.account.timers.due_ns)
        names = [name for name, ns in self._due_ns.items() if ns == due_ns]
        return names[0] if len(names) == 1 else min(names, key=lambda name: TimerName.parse(name).sort_key)
