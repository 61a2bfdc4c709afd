"""The TIMER that is due next, and its record."""

from collections.abc import Mapping

from engine.bodies import TimerBody
from engine.record_codec import text_of
from engine.state.session_state import State
from engine.state.timers import timer_name
from engine.timer_names import TimerKind, TimerName
from journal.record import Kind, Record


def next_timer(state: State) -> tuple[int, str]:
    """Return (due, name) of the first TIMER: the account's own, or of a strategy within its throttle."""
    due = state.account.timers.next()
    market = state.market
    if market.next_due_ns > due[0]:
        return due
    trigger = market.due_triggers(market.next_due_ns)[0]
    throttle = market.due_ns(trigger), timer_name(TimerKind.THROTTLE, market.triggers[trigger].name)
    if throttle[0] != due[0]:
        return min(due, throttle)
    return min(due, throttle, key=lambda timer: TimerName.parse(timer[1]).sort_key)


def due_timer(state: State, periods_ns: Mapping[str, int], now_ns: int) -> Record:
    """Return the first TIMER as taken at `now_ns`. The sequencer takes it; a replay compares the recorded one."""
    due_ns, name = next_timer(state)
    late_ns, period_ns = now_ns - due_ns, periods_ns.get(name, 0)
    return timer_record(state.time_ns, due_ns, name, seq=state.seq + 1, period_ns=period_ns, late_ns=late_ns)


def timer_record(now_ns: int, due_ns: int, name: str, *, seq: int, period_ns: int, late_ns: int = 0) -> Record:
    """Return the TIMER of a timer that fires `late_ns` after its due time, behind a record of `now_ns`.

    A `period_ns` of 0: it does not recur.
    """
    missed = late_ns // period_ns if period_ns else 0
    return Record(
        seq=seq,
        time_ns=max(due_ns, now_ns),
        kind=Kind.TIMER,
        source="clock",
        meta=f'{{"late_ns":{late_ns}}}',
        body=text_of(TimerBody(name, due_ns, missed)),
    )
