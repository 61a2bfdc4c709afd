"""Refuses strategies that would decide millions of times between the bars of a market, where nothing changes."""

from engine.session_record import MILLISECOND_NS, Declared, SessionBody
from engine.trigger_kinds import TriggerKind
from journal.reader import Journal
from replay.captured_market import read_markets
from replay.resim.sim_setup import CannotResimulateError

DECISIONS_MAX = 1_000_000  # on bars, by a clock that ticks faster than they come: minutes of computing


def refuse_idle_clocks(journal: Journal, session: SessionBody) -> None:
    """Refuse a strategy whose `Every` is far shorter than the bars of an import.

    Raises:
        CannotResimulateError: A strategy would decide more than DECISIONS_MAX times.
    """
    periods = [(of.name, period) for of in session.strategies if of.declared and (period := _period_ns(of.declared))]
    bar_ns = min((market.bar_interval_ns for market in read_markets(journal)), default=0) if periods else 0
    periods = [(name, period_ns) for name, period_ns in periods if period_ns < bar_ns]
    if not periods:
        return
    first, last = (next(journal.records(seq, seq)).time_ns for seq in (0, journal.last_seq))
    for name, period_ns in periods:
        count = (last - first) // period_ns
        if count > DECISIONS_MAX:
            raise CannotResimulateError(
                f"{journal.folder} has bars of {bar_ns // 10**9} s, and strategy {name} decides every "
                f"{period_ns // MILLISECOND_NS} ms, {count:,} times on the same prices. "
                f"What to do: declare OnBar({bar_ns // 10**9}), or Every(ms={bar_ns // MILLISECOND_NS})."
            )


def _period_ns(declared: Declared) -> int:
    """Return the shortest period at which a strategy decides by the clock, or 0."""
    periods = [declared.every_ms, *(value for kind, value in declared.triggers if kind == TriggerKind.TIMER)]
    return min((period for period in periods if period), default=0) * MILLISECOND_NS
