"""The decision loop over recorded inputs: a TIMER passes if the journal has the one that the state expects there."""

import sys

from engine.apply.batch import Batch
from engine.decision_loop import DecisionLoop
from engine.handlers.fired_timers import leads_to_nothing
from engine.recorded_inputs import RecordedInputs
from engine.session_context import SessionContext
from engine.state.session_state import State

_LATE = b'{"late_ns":'  # how late it fired: the state does not know


class RecordedLoop(DecisionLoop):
    """The loop over one batch of recorded inputs. It ends before a TIMER that the ordinary step must compare."""

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
        if (decisions := self._evaluate(timer.runs, time_ns)) is not None:
            self._early = name, time_ns, decisions
            return False
        if timer.is_handled and not leads_to_nothing(self._session, self._state, columns.record(place)):
            return False
        self._leave(timer, time_ns)
        self._set_again(timer, due_ns)
        return True
