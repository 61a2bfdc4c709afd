"""The market as one object: the fold over its arrays, triggers, predicates, and what a lost link ends.

Decides nothing and knows no venue. Views for Python are in reader.py; digests, dumps and the state for the next session
are in serialize.py.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Self

import numpy as np

from engine.market import layout as at
from engine.market import rows as r
from engine.market import serialize
from engine.market.fold.books import empty_book
from engine.market.fold.indicator_inputs import update_with_bar
from engine.market.fold.row_loop import fold_rows
from engine.market.history import HistoryBars
from engine.market.indicators.ema import EmaSpec
from engine.market.indicators.indicator import IndicatorSpec
from engine.market.jit import Callback, entry_of
from engine.market.predicates import INTEGERS, CompiledPredicate
from engine.market.reader import MarketReader
from engine.market.rows import Rows
from engine.market.views import BarSpec, TriggerSpec
from engine.model import Instrument


class Market(MarketReader):
    """State of all instruments. `i` is the index of an instrument, `w` of a trigger, `k` of an indicator."""

    def __init__(
        self,
        instruments: Sequence[Instrument],
        bars: Sequence[BarSpec],
        indicators: Sequence[IndicatorSpec],
        triggers: Sequence[TriggerSpec],
        levels_max: int,
        *,
        bars_by_time: bool = False,
        bar_rules: int = 0,
        user_updates: Mapping[IndicatorSpec, Callback] | None = None,
    ) -> None:
        super().__init__(
            instruments, bars, indicators, triggers, levels_max, bars_by_time=bars_by_time, bar_rules=bar_rules,
            user_updates=user_updates,
        )  # fmt: skip
        self._entry: Any = None
        self.flags = 0  # raised by the record at which the last fold stopped
        self.fired = 0  # bits of the triggers that it fired
        self.next_due_ns: int = at.NEVER
        self.closed_hashes: dict[int, tuple[int, bytes]] = {}  # a cache of serialize.py
        self.history: dict[int, HistoryBars] = {}  # index of bars -> their history, until it is whole (history.py)

    @classmethod
    def empty(
        cls,
        instruments: Sequence[Instrument],
        bars: Sequence[BarSpec] = (),
        indicators: Sequence[IndicatorSpec] = (),
        triggers: Sequence[TriggerSpec] = (),
        levels_max: int = at.LEVELS_MAX,
        *,
        bars_by_time: bool = False,
        bar_rules: int = 0,
        user_updates: Mapping[IndicatorSpec, Callback] | None = None,
    ) -> Self:
        """Make a market before its first record.

        Args:
            instruments: In the order of their indexes.
            bars: Declared bars.
            indicators: Declared indicators, ordered by their sources.
            triggers: Declared triggers, in the order of their bits.
            levels_max: Levels of a side of a book.
            bars_by_time: `close_bars` closes bars without a trade too.
            bar_rules: See EngineSettings.
            user_updates: The updates of users' own indicators; without one such an indicator has no value.

        """
        return cls(
            instruments, bars, indicators, triggers, levels_max, bars_by_time=bars_by_time, bar_rules=bar_rules,
            user_updates=user_updates,
        )  # fmt: skip

    # ---- folding

    def fold(self, rows: Rows, start: int = 0, *, until_ns: int | None = None) -> int:
        """Fold rows up to a record that raises a flag; return the index of the first row not folded.

        With `until_ns` the fold also stops, with flags = DUE, before the first record at or past `until_ns` or the next
        due time: a resimulation over a whole row group then has its TIMERs at the same records as the live session.
        """
        until = -1 if until_ns is None else until_ns
        end: int
        fold = self._entry if self._entry is not None and rows.flags.carray else self.fold_entry(rows)
        end, self.flags, self.fired, self.next_due_ns = fold(rows, start, until, *self.arrays)
        while self.flags == at.GROW:
            self.grow(rows[end])
            end, self.flags, self.fired, self.next_due_ns = fold(rows, end, until, *self.arrays)
        return end

    def fold_entry(self, rows: Rows) -> Any:
        """Return `fold_rows` for repeated calls with these rows and `arrays`, without the choice among its versions."""
        if not rows.flags.carray:  # contiguous, and writeable
            return fold_rows
        if self._entry is None:
            self._entry = entry_of(fold_rows, rows, 0, 0, *self.arrays)
        return self._entry

    def raised(self) -> list[tuple[int, int]]:
        """Return (instrument, flags) of those that raised flags in the record at which the last fold stopped."""
        column = self.t[:, at.X_FLAGS]
        return [(int(i), int(column[i])) for i in np.flatnonzero(column)]

    def conditions(self, i: int) -> int:
        """Return the flags that remain set: until the book joins again, BAD_VALUE_SEEN until cleared."""
        return int(self.t[i, at.X_CONDITIONS])

    def clear(self, i: int, conditions: int) -> None:
        """Clear conditions that a caller has handled."""
        self.t[i, at.X_CONDITIONS] &= ~conditions

    def reset_books(self, i: int) -> None:
        """Drop the book and the quote after a lost link. Trades, bars and indicators continue."""
        empty_book(self.t, self.sides, i, at.BOOK_NONE)
        self.t[i, at.B_TOP_LIVE : at.B_TOP_ASK_SIZE + 1] = 0
        self.t[i, at.B_ID] = 0
        self.t[i, at.B_SNAPSHOT_ID] = 0
        self.t[i, at.Q_LIVE] = 0
        self.t[i, at.X_CONDITIONS] &= at.BAD_VALUE_SEEN

    # ---- bars by time

    def close_bars(self, end_ns: int, *, seq: int, time_ns: int) -> None:
        """Close the bars that end at or before `end_ns`; raise flags and fire triggers as a fold does."""
        row = np.zeros((1, r.COLUMNS), np.int64)
        row[0, [r.TYPE, r.SEQ, r.TIME_NS, r.LAST, r.CLOCK_END_NS]] = r.CLOCK, seq, time_ns, 1, end_ns
        self.fold(row)

    def start_trades(self, i: int, time_ns: int) -> None:
        """Note that the link is up that brings the trades of an instrument."""
        self.t[i, at.L_SINCE_NS] = min(time_ns, int(self.t[i, at.L_SINCE_NS]))

    def stop_trades(self, i: int) -> None:
        """Note that this link is down: bars that close meanwhile are not complete."""
        if self.t[i, at.T_COUNT] and self.t[i, at.L_BEFORE_NS] == at.NEVER:  # the next id shows what was missed
            self.t[i, at.L_BEFORE_NS] = self.t[i, at.L_SINCE_NS]
        self.t[i, at.L_SINCE_NS] = at.NEVER

    # ---- triggers

    def note_evaluated(self, w: int, time_ns: int) -> None:
        """Restart the throttle of a trigger whose strategy ran."""
        numbers, place = self.numbers, self.trigger_begin + w * at.W_FIELDS
        numbers[place + at.W_EVALUATED_NS] = time_ns
        if numbers[place + at.W_DUE_NS] != at.NEVER:
            numbers[place + at.W_DUE_NS] = at.NEVER
            self.next_due_ns = min(self.trigger_state[:, at.W_DUE_NS].tolist())
            numbers[at.S_NEXT_DUE] = self.next_due_ns

    def evaluated(self, triggers: int, time_ns: int) -> tuple[str, ...]:
        """Return the names of the triggers in a bit mask, and restart their throttles."""
        names = []
        for w, trigger in enumerate(self.triggers):
            if triggers >> w & 1:
                self.note_evaluated(w, time_ns)
                names.append(trigger.name)
        return tuple(names)

    def due_triggers(self, time_ns: int) -> list[int]:
        """Return the triggers due at or before this time, ordered by (due, name)."""
        all_ns = enumerate(self.trigger_state[:, at.W_DUE_NS].tolist())
        return [w for _, _, w in sorted([(ns, self.triggers[w].name, w) for w, ns in all_ns if ns <= time_ns])]

    def due_ns(self, w: int) -> int:
        """Return when a throttled trigger is due; NEVER if it is not."""
        return int(self.trigger_state[w, at.W_DUE_NS])

    # ---- predicates

    def install_predicate(self, w: int, predicate: CompiledPredicate) -> None:
        """Set the compiled predicate of a trigger. It is disabled until the account's numbers are refreshed."""
        indicators = (self.predicate_state.shape[1] - at.P_FIELDS) // 2
        self.make_input_room(at.F_INDICATORS + indicators + len(predicate.parameters))
        for i, k in self.predicate_rows[w].items():
            instrument = self.instruments[i]
            self.predicate_state[k, at.P_ADDRESS] = predicate.code.address
            self.predicate_state[k, at.P_TICK : at.P_TICK + 2] = (
                int(instrument.tick_size.scaleb(instrument.price_scale)),
                int(instrument.lot_size.scaleb(instrument.size_scale)),
            )
            units = 10.0**-instrument.price_scale, 10.0**-instrument.size_scale
            self.predicate_inputs[k, at.F_PRICE_UNIT : at.F_PRICE_UNIT + 2] = units
            first = at.F_INDICATORS + int(self.predicate_state[k, at.P_INDICATORS])
            self.predicate_inputs[k, first : first + len(predicate.parameters)] = predicate.parameters

    def refresh_predicate(self, w: int, i: int, own: tuple[int, ...], position: float) -> None:
        """Enable a predicate with the account's numbers: MarketTick from bids to unsettled, and the position."""
        k = self.predicate_rows[w][i]
        self.predicate_state[k, at.P_ENABLED] = 1
        self.predicate_state[k, at.P_ACCOUNT : at.P_FIELDS] = own
        self.predicate_inputs[k, at.F_POSITION] = position

    def disable_predicates(self) -> None:
        """Skip all predicates until they are refreshed."""
        self.predicate_state[:, at.P_ENABLED] = 0

    def predicate_holds(self, w: int, predicate: CompiledPredicate, time_ns: int) -> bool:
        """Return True if the plain form of a predicate confirms what its machine code returned at this time."""
        return any(
            predicate.holds(
                self.predicate_state[k, at.P_TIME_NS : at.P_TIME_NS + INTEGERS],
                self.predicate_inputs[k],
            )
            for k in self.predicate_rows[w].values()
            if self.predicate_state[k, at.P_TIME_NS] == time_ns
        )

    # ---- digests, dumps, state for the next session (serialize.py)

    def digests(self) -> dict[str, tuple[int, str]]:
        """Return for each part of the state its version and a sha256 over its logical content."""
        return serialize.digests(self)

    def dump(self) -> bytes:
        """Return the whole state for a snapshot, between two records."""
        return serialize.dump(self)

    @classmethod
    def load(
        cls,
        dumped: bytes,
        instruments: Sequence[Instrument],
        bars: Sequence[BarSpec] = (),
        indicators: Sequence[IndicatorSpec] = (),
        triggers: Sequence[TriggerSpec] = (),
        levels_max: int = at.LEVELS_MAX,
        *,
        bars_by_time: bool = False,
        bar_rules: int = 0,
    ) -> Self:
        """Restore a dump made under the same specifications.

        Raises:
            ValueError: the specifications differ.

        """
        market = cls(
            instruments, bars, indicators, triggers, levels_max, bars_by_time=bars_by_time, bar_rules=bar_rules
        )
        serialize.load(market, dumped)
        return market

    def carried(self) -> dict[str, Any]:
        """Return bars, indicators and trade counters as JSON, for the next session's opening state."""
        return serialize.carried(self)

    def restore_carried(self, carried: Mapping[str, Any]) -> list[str]:
        """Restore what the previous session carried; return a line for each thing dropped."""
        return serialize.restore_carried(self, carried)


def warm_fold() -> None:
    """Compile the fold."""
    instrument = Instrument("w", "w", "W", "w", "w", 0, 0, Decimal(1), Decimal(1))
    market = Market.empty([instrument], [BarSpec("w", 1)], [EmaSpec("w", 1)], [TriggerSpec("w", ("w",))])
    table = np.zeros((1, r.COLUMNS), np.int64)
    market.fold(table[:0])
    update_with_bar(-1, market.bar_state[0], market.s, market.indicator_state, market.indicator_values)
    market.reset_books(0)
    market.levels(0, r.BID)
    market.grow(table[0])
