"""The arrays of market state: their sizes, their first values, and their growth between two calls of the compiled fold.

No caller can see a growth: digests, dumps and views are made of logical content.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from math import prod
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.market import layout as at
from engine.market import rows as r
from engine.market.fold.dense_book import N_FAR, levels_of, needs_window, rebuild_window, room_of, widen
from engine.market.indicators.indicator import FIELDS, TRADE, IndicatorSpec
from engine.market.indicators.registry import update_of
from engine.market.jit import Callback
from engine.market.rows import Floats, Rows
from engine.market.user_update import UserSpec, inert_update
from engine.market.views import BarSpec, CrossOverSpec, PredicateSpec, PriceMoveSpec, Stream, StreamSpec, TriggerSpec
from engine.model import Instrument

N = TypeVar("N", np.int64, np.float64)
LEVELS_START: Final = 8192  # first room per side; untouched memory costs nothing
PENDING_START: Final = 2048
WEEK_NS: Final = 604_800_000_000_000
MONDAY_NS: Final = 345_600_000_000_000  # the first Monday after 1970


class MarketArrays:
    """The numbers of all instruments, as layout.py names them, with the specifications they were made for."""

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
        assert len(triggers) <= at.TRIGGERS_MAX, f"{len(triggers)} triggers, at most {at.TRIGGERS_MAX} fit a mask"
        self.instruments = tuple(instruments)
        self.scales = [(one.price_scale, one.size_scale) for one in self.instruments]
        self.bar_specs = tuple(bars)
        self.indicator_specs = tuple(indicators)
        self.triggers = tuple(triggers)
        self.levels_max = levels_max
        self.bars_by_time = bars_by_time
        self.bar_rules = bar_rules
        self._user_updates = user_updates or {}
        self.runs_users_code = bool(user_updates)  # False in a rebuild
        self.user_rows = [k for k, spec in enumerate(self.indicator_specs) if isinstance(spec, UserSpec)]
        self.index = {instrument.id: i for i, instrument in enumerate(self.instruments)}
        conditions = [
            (w, spec)
            for w, trigger in enumerate(self.triggers)
            for spec in trigger.conditions
            if isinstance(spec, CrossOverSpec | PriceMoveSpec | StreamSpec)
        ]
        predicates = [
            (w, spec)
            for w, trigger in enumerate(self.triggers)
            for spec in trigger.conditions
            if isinstance(spec, PredicateSpec)
        ]
        self._allocate(len(conditions), predicates)
        self._set_bars()
        self._set_indicators()
        self._set_conditions(conditions)
        self._set_predicates(predicates)
        self._set_triggers()
        self._bind()

    # ---- made once

    def _allocate(self, conditions: int, predicates: Sequence[tuple[int, PredicateSpec]]) -> None:
        """Make all arrays. The integers except the levels are views of one array, which layout.py orders."""
        count = len(self.instruments)
        fields = at.P_FIELDS + 2 * max((len(spec.indicators) for _, spec in predicates), default=0)
        shapes: list[tuple[int, ...]] = [
            (at.S_FIELDS,),
            (count, at.T_FIELDS),
            (len(self.bar_specs), at.BAR_FIELDS),
            (len(self.indicator_specs), at.I_INTEGERS),
            (len(self.triggers), at.W_FIELDS),
            (conditions, at.C_FIELDS),
            (len(predicates), fields),
            (len(self.bar_specs), at.BARS_KEPT, at.CLOSED_NUMBERS),
        ]
        self._numbers: Rows = np.zeros(sum(map(prod, shapes)), np.int64)
        self.numbers = self._numbers.data  # the same memory: Python reads one number of it faster
        self.trigger_begin = sum(map(prod, shapes[:4]))  # the place in it of the first trigger
        of_instruments = self.numbers[at.S_FIELDS : at.S_FIELDS + count * at.T_FIELDS]
        self.lives, self.book_states = (
            of_instruments[at.Q_LIVE :: at.T_FIELDS],
            of_instruments[at.B_STATE :: at.T_FIELDS],
        )
        views: list[Rows] = []
        begin = 0
        for shape in shapes:
            views.append(self._numbers[begin : begin + prod(shape)].reshape(shape))
            begin += prod(shape)
        (
            self.s,
            self.t,
            self.bar_state,
            self.indicator_state,
            self.trigger_state,
            self.condition_state,
            self.predicate_state,
            self.closed,
        ) = views
        self.s[at.S_LEVELS_MAX] = self.levels_max
        self.s[at.S_NEXT_DUE] = at.NEVER
        self.s[at.S_INSTRUMENTS : at.S_INPUTS_CHANGED] = (
            count,
            len(self.bar_specs),
            len(self.indicator_specs),
            len(self.triggers),
            conditions,
            len(predicates),
            fields,
        )
        self.s[at.S_BARS_BY_TIME] = self.bars_by_time
        self.t[:, at.L_SINCE_NS : at.L_BEFORE_NS + 1] = at.NEVER
        self.t[[one.quotes_from_book for one in self.instruments], at.Q_ID] = at.BOOK_QUOTES
        room = min(LEVELS_START, self.levels_max + 1)
        self.sides: Rows = np.zeros((2 * count, N_FAR + 2 * room), np.int64)
        self.pending: Rows = np.zeros((count, PENDING_START, 3), np.int64)
        lengths = [len(spec.own_numbers) for spec in self.indicator_specs]
        built_in = [length for k, length in enumerate(lengths) if k not in self.user_rows]
        self.built_in_end = at.I_OWN + (max(built_in, default=1) or 1)  # of the columns that our own indicators use
        columns = max(self.built_in_end, at.I_OWN + max(lengths, default=1))
        self.indicator_values: Floats = np.zeros((len(self.indicator_specs), columns), np.float64)
        self.loss_levels: Rows = np.array([at.NO_LEVELS] * count, np.int64).reshape(count, len(at.NO_LEVELS))
        self.predicate_inputs: Floats = np.zeros((len(predicates), at.F_INDICATORS), np.float64)

    def _set_bars(self) -> None:
        for k, bar in enumerate(self.bar_specs):
            self.bar_state[k, at.BAR_INSTRUMENT] = self.index[bar.instrument_id]
            self.bar_state[k, at.BAR_INTERVAL_NS] = bar.interval_ns
            if self.bars_by_time and bar.interval_ns % WEEK_NS == 0:
                self.bar_state[k, at.BAR_ANCHOR_NS] = MONDAY_NS

    def _set_indicators(self) -> None:
        """Set the indicators' rows. Those over quotes come first, then those over trades, then those over bars."""
        kinds = [2 if spec.interval_ns else int(spec.followed == TRADE) for spec in self.indicator_specs]
        assert kinds == sorted(kinds), "indicators are ordered by their sources"
        self.s[at.S_TRADE_INDICATORS] = kinds.count(0)
        self.s[at.S_BAR_INDICATORS] = kinds.count(0) + kinds.count(1)
        self._updates = [self._update_of(spec) for spec in self.indicator_specs]  # kept: the fold calls them
        for k, spec in enumerate(self.indicator_specs):
            i = self.index[spec.instrument_id]
            own, instrument = spec.own_numbers, self.instruments[i]
            state, values = self.indicator_state[k], self.indicator_values[k]
            state[at.I_INSTRUMENT] = i
            state[at.I_BARS] = self.bar_index(spec.instrument_id, spec.interval_ns) if spec.interval_ns else -1
            state[at.I_FIELD] = at.I_BID if spec.reads_quotes else FIELDS[spec.input_field]
            state[at.I_LENGTH], state[at.I_ADDRESS] = spec.window, self._updates[k].address
            values[at.I_DIVISOR : at.I_INPUT] = 2.0 * 10**instrument.price_scale, 10.0**instrument.size_scale
            values[at.I_OWN : at.I_OWN + len(own)] = own

    def _update_of(self, spec: IndicatorSpec) -> Callback:
        if isinstance(spec, UserSpec):
            return self._user_updates.get(spec) or inert_update()
        return update_of(spec)

    def bar_index(self, instrument_id: str, interval_ns: int) -> int:
        """Return the index of declared bars."""
        return self.bar_specs.index(BarSpec(instrument_id, interval_ns))

    def _set_conditions(self, conditions: Sequence[tuple[int, CrossOverSpec | PriceMoveSpec | StreamSpec]]) -> None:
        for k, (w, spec) in enumerate(conditions):
            i = self.index[spec.instrument_id]
            if isinstance(spec, CrossOverSpec):
                warm = max(self.indicator_specs[index].warm_count for index in (spec.first, spec.second))
                self.condition_state[k] = w, i, self._kind_of_cross(spec), spec.first, spec.second, warm, 0, 0, 0
            elif isinstance(spec, StreamSpec):
                kind = at.TRADED if spec.stream is Stream.TRADE else at.BOOK_MOVED
                self.condition_state[k] = w, i, kind, 0, 0, 0, 0, 0, 0
            else:
                self.condition_state[k] = w, i, at.MOVE, 0, 0, 0, 0, spec.ppm, 0

    def _kind_of_cross(self, spec: CrossOverSpec) -> int:
        """Return when the order of two indicators is checked: with their source, or before bar_rules 1 with quotes."""
        first = self.indicator_specs[spec.first]
        if not self.bar_rules:
            return at.CROSS
        if first.interval_ns:
            return at.CROSS_AT_BAR
        return at.CROSS_AT_TRADE if first.followed == TRADE else at.CROSS

    def _set_predicates(self, predicates: Sequence[tuple[int, PredicateSpec]]) -> None:
        # trigger -> instrument -> row
        self.predicate_rows: dict[int, dict[int, int]] = {w: {} for w, _ in predicates}
        for k, (w, spec) in enumerate(predicates):
            i = self.index[spec.instrument_id]
            self.predicate_rows[w][i] = k
            self.predicate_state[k, : at.P_TIME_NS] = w, i, 0, 0, len(spec.indicators)
            self.predicate_state[k, at.P_WHICH] = spec.which
            for n, index in enumerate(spec.indicators):
                first = at.P_FIELDS + 2 * n
                self.predicate_state[k, first : first + 2] = index, self.indicator_specs[index].warm_count

    def _set_triggers(self) -> None:
        for w, trigger in enumerate(self.triggers):
            self.trigger_state[w] = trigger.throttle_ns, -1, at.NEVER
            for name, interval_ns in product(trigger.instruments, trigger.bars_ns):
                self.bar_state[self.bar_index(name, interval_ns), at.BAR_TRIGGERS] |= 1 << w
            for name in () if trigger.conditions or trigger.bars_ns else trigger.instruments:
                self.t[self.index[name], at.X_TRIGGERS] |= 1 << w
                if trigger.on_bar:
                    self.t[self.index[name], at.X_BAR_TRIGGERS] |= 1 << w

    def _bind(self) -> None:
        """Collect the arguments of fold_rows again, after an array was replaced."""
        self.arrays = (
            self._numbers, self.indicator_values, self.sides, self.pending, self.predicate_inputs, self.loss_levels
        )  # fmt: skip

    # ---- grown between two folds

    def grow(self, row: Rows) -> None:
        """Rebuild windows and make room for a row that stopped the fold before it changed anything; room doubles."""
        i = int(row[r.INSTRUMENT])
        state = self.t[i]
        # within a message only room is missing: the levels of a snapshot are not sorted yet
        for side in (r.BID, r.ASK) if row[r.TYPE] not in (r.LEVEL, r.ORDER) else ():
            if needs_window(self.sides[2 * i + side]):
                rebuild_window(self.sides[2 * i + side], self.side(i, side))
        kept = int(state[at.B_PENDING])
        levels = int(max(state[at.B_BIDS], state[at.B_ASKS])) + kept + 2
        if levels > room_of(self.sides):
            self.sides = widen(self.sides, 1, N_FAR + 2 * max(levels, 2 * room_of(self.sides)))
        kept += 1 + int(row[r.DIFF_LEVELS]) if row[r.TYPE] == r.DIFF else 0
        if kept > self.pending.shape[1]:
            self.pending = _wider(self.pending, 1, max(kept, 2 * self.pending.shape[1]))
        self._bind()

    def make_room(self, levels: int, pending: int) -> None:
        """Make at least this much room in the books and the diffs kept."""
        self.sides = widen(self.sides, 1, N_FAR + 2 * max(levels, room_of(self.sides)))
        self.pending = _wider(self.pending, 1, max(pending, self.pending.shape[1]))
        self._bind()

    def make_input_room(self, floats: int) -> None:
        """Make room for this many floats in each row of predicate inputs."""
        if floats > self.predicate_inputs.shape[1]:
            self.predicate_inputs = _wider(self.predicate_inputs, 1, floats)
            self._bind()

    # ---- levels as the dense book stores them

    def side(self, i: int, side: int, n: int = at.LEVELS_MAX) -> Rows:
        """Return the best n levels of a side as two rows, keys and sizes, best last.

        The key of an ask is minus its price.
        """
        return levels_of(self.sides[2 * i + side], int(self.t[i, at.B_BIDS + side]), n)

    def restore_side(self, i: int, side: int, levels: Rows) -> None:
        """Store the levels that `side` returned. The caller made room and restores their number."""
        rebuild_window(self.sides[2 * i + side], levels)


def _wider(array: NDArray[N], axis: int, room: int) -> NDArray[N]:
    """Return a copy with more room along one axis."""
    shape = list(array.shape)
    shape[axis] = room
    wider = np.zeros(shape, array.dtype)
    wider[tuple(slice(n) for n in array.shape)] = array
    return wider
