"""The market as one object: arrays, the fold over them, and views for Python. Decides nothing and knows no venue.

The arrays grow here, between two calls of the compiled fold; nobody outside can tell. Digests and dumps are in store.py.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from math import prod
from typing import Any, Final, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.facts import SequencedStream
from engine.market import layout as at
from engine.market import rows as r
from engine.market import serialize
from engine.market.fold.apply_rows import fold_rows
from engine.market.fold.books import empty_book
from engine.market.fold.dense_book import N_FAR, lay_window, levels_of, room_of, wants_window, widened
from engine.market.predicates import INTEGERS, CompiledPredicate
from engine.market.rows import Floats, Rows
from engine.market.scan import scan_frame, scan_frames, scan_snapshot
from engine.market.text import code_table
from engine.market.views import (
    Bar,
    Bars,
    BarSpec,
    BookState,
    BookTop,
    Counters,
    CrossOverSpec,
    EmaSpec,
    Mark,
    PredicateSpec,
    PriceMoveSpec,
    Quote,
    SequenceBreak,
    Stream,
    Trade,
    TriggerSpec,
    decimal,
)
from engine.model import Instrument

N = TypeVar("N", np.int64, np.float64)
LEVELS_START: Final = 8192  # room per side at first; what is never used of it takes no memory
PENDING_START: Final = 2048
_LAST_FRAMES: Final = {
    Stream.QUOTE: (at.Q_TIME_NS, at.Q_SEQ),
    Stream.TRADE: (at.T_TIME_NS, at.T_SEQ),
    Stream.BOOK: (at.D_TIME_NS, at.D_SEQ),
    Stream.MARK: (at.M_TIME_NS, at.M_SEQ),
}


class Market:
    """State of all instruments. `fold` changes it; everything else reads, save reset_books, evaluated, clear and take_carried."""

    def __init__(
        self,
        instruments: Sequence[Instrument],
        bars: Sequence[BarSpec],
        averages: Sequence[EmaSpec],
        watches: Sequence[TriggerSpec],
        levels_max: int,
    ) -> None:
        assert len(watches) <= at.WATCHES_MAX, f"{len(watches)} watches, at most {at.WATCHES_MAX} fit a mask"
        self.instruments = tuple(instruments)
        self.bar_specs = tuple(bars)
        self.average_specs = tuple(averages)
        self.watches = tuple(watches)
        self.levels_max = levels_max
        self.index = {instrument.id: i for i, instrument in enumerate(self.instruments)}
        count = len(self.instruments)
        conditions = [
            (w, one)
            for w, watch in enumerate(self.watches)
            for one in watch.conditions
            if isinstance(one, CrossOverSpec | PriceMoveSpec)
        ]
        shown = [
            (w, one)
            for w, watch in enumerate(self.watches)
            for one in watch.conditions
            if isinstance(one, PredicateSpec)
        ]
        look_fields = at.L_FIELDS + 2 * max((len(one.averages) for _, one in shown), default=0)
        shapes: list[tuple[int, ...]] = [
            (at.S_FIELDS,),
            (count, at.T_FIELDS),
            (len(bars), at.BAR_FIELDS),
            (len(averages), at.E_INTEGERS),
            (len(watches), at.W_FIELDS),
            (len(conditions), at.C_FIELDS),
            (len(shown), look_fields),
            (len(bars), at.BARS_KEPT, at.BAR_NUMBERS),
        ]
        self._numbers: Rows = np.zeros(sum(map(prod, shapes)), np.int64)
        views: list[Rows] = []
        begin = 0
        for shape in shapes:
            views.append(self._numbers[begin : begin + prod(shape)].reshape(shape))
            begin += prod(shape)
        (
            self.s,
            self.t,
            self.bar_state,
            self.average_state,
            self.watch_state,
            self.condition_state,
            self.looks,
            self.closed,
        ) = views
        self.s[at.S_LEVELS_MAX] = levels_max
        self.s[at.S_NEXT_DUE] = at.NEVER
        self.s[at.S_INSTRUMENTS : at.S_FIELDS] = (
            count,
            len(bars),
            len(averages),
            len(watches),
            len(conditions),
            len(shown),
            look_fields,
            0,
        )
        room = min(LEVELS_START, levels_max + 1)
        self.sides: Rows = np.zeros((2 * count, N_FAR + 2 * room), np.int64)
        self.pending: Rows = np.zeros((count, PENDING_START, 3), np.int64)
        self.floats: Floats = np.zeros((len(averages), at.E_FLOATS), np.float64)
        for k, bar in enumerate(self.bar_specs):
            self.bar_state[k, at.BAR_INSTRUMENT] = self.index[bar.instrument_id]
            self.bar_state[k, at.BAR_INTERVAL_NS] = bar.interval_ns
        for k, average in enumerate(self.average_specs):
            assert average.source == "mid", f"an average of {average.source!r} is not known"
            i = self.index[average.instrument_id]
            self.average_state[k, at.E_INSTRUMENT] = i
            self.floats[k, at.E_ALPHA] = average.alpha
            self.floats[k, at.E_DIVISOR] = 2.0 * 10 ** self.instruments[i].price_scale
        for k, (w, condition) in enumerate(conditions):
            i = self.index[condition.instrument_id]
            if isinstance(condition, CrossOverSpec):
                warm = max(self.average_specs[condition.first].length, self.average_specs[condition.second].length)
                self.condition_state[k] = w, i, at.CROSS, condition.first, condition.second, warm, 0, 0, 0
            else:
                self.condition_state[k] = w, i, at.MOVE, 0, 0, 0, 0, condition.ppm, 0
        self._looks_of: dict[int, dict[int, int]] = {w: {} for w, _ in shown}  # watch -> instrument -> row of looks
        for k, (w, one) in enumerate(shown):
            self._looks_of[w][self.index[one.instrument_id]] = k
            self.looks[k, : at.L_TIME_NS] = w, self.index[one.instrument_id], 0, 0, len(one.averages)
            self.looks[k, at.L_WHICH] = one.which
            for n, place in enumerate(one.averages):
                self.looks[k, at.L_FIELDS + 2 * n : at.L_FIELDS + 2 * n + 2] = place, self.average_specs[place].length
        self.given: Floats = np.zeros(
            (len(shown), at.F_AVERAGES), np.float64
        )  # the floats that compiled strategies are shown, and their parameters
        for w, watch in enumerate(self.watches):
            self.watch_state[w] = watch.throttle_ns, -1, at.NEVER
            for name in () if watch.conditions else watch.instruments:
                self.t[self.index[name], at.X_WATCHES] |= 1 << w
                if watch.on_bar:
                    self.t[self.index[name], at.X_BAR_WATCHES] |= 1 << w
        self.wake = 0
        self.strategies_woken = 0
        self.next_due_ns: int = at.NEVER
        self.closed_hashes: dict[int, tuple[int, bytes]] = {}  # store.py: closed bars do not change, so are hashed once
        self._bind()

    @classmethod
    def empty(
        cls,
        instruments: Sequence[Instrument],
        bars: Sequence[BarSpec] = (),
        averages: Sequence[EmaSpec] = (),
        watches: Sequence[TriggerSpec] = (),
        levels_max: int = at.LEVELS_MAX,
    ) -> Self:
        return cls(instruments, bars, averages, watches, levels_max)

    def _bind(self) -> None:
        """After an array was made anew."""
        self._arrays = (self._numbers, self.floats, self.sides, self.pending, self.given)

    # ---- folding

    def fold(self, rows: Rows, start: int = 0, *, until_ns: int | None = None) -> int:
        """Fold rows from `start`; the index of the first row not folded. Stops after a record that woke somebody.

        With `until_ns` it also stops before the first record whose time is at or past until_ns or the market's own next due
        time, with wake = DUE: so a resimulation over a whole row group takes its TIMERs where the live session took them.
        """
        until = -1 if until_ns is None else until_ns
        end, self.wake, self.strategies_woken, self.next_due_ns = fold_rows(rows, start, until, *self._arrays)
        while self.wake == at.GROW:
            self._grow(rows[end])
            end, self.wake, self.strategies_woken, self.next_due_ns = fold_rows(rows, end, until, *self._arrays)
        return end

    def _grow(self, row: Rows) -> None:
        """What this row needs before it is folded, as it changed nothing yet: windows laid anew, and room for what it wants to do, twice over."""
        i = int(row[r.INSTRUMENT])
        state = self.t[i]
        for side in (r.BID, r.ASK):
            if row[r.TYPE] != r.LEVEL and wants_window(
                self.sides[2 * i + side]
            ):  # within a message it wants room alone: a snapshot's levels are not sorted yet
                lay_window(self.sides[2 * i + side], self.side(i, side))
        kept = int(state[at.B_PENDING])
        levels = int(max(state[at.B_BIDS], state[at.B_ASKS])) + kept + 2
        if levels > room_of(self.sides):
            self.sides = widened(self.sides, 1, N_FAR + 2 * max(levels, 2 * room_of(self.sides)))
        kept += 1 + int(row[r.C]) if row[r.TYPE] == r.DIFF else 0
        if kept > self.pending.shape[1]:
            self.pending = _wider(self.pending, 1, max(kept, 2 * self.pending.shape[1]))
        self._bind()

    def woken(self) -> list[tuple[int, int]]:
        """(instrument, flags) of those that raised something in the record at which the last fold stopped."""
        column = self.t[:, at.X_WOKEN]
        return [(int(i), int(column[i])) for i in np.flatnonzero(column)]

    @property
    def woken_instruments(self) -> list[int]:
        return [i for i, _ in self.woken()]

    def conditions(self, i: int) -> int:
        """Wake flags that hold: until the book joins again; BAD_VALUE_SEEN until cleared."""
        return int(self.t[i, at.X_CONDITIONS])

    def clear(self, i: int, conditions: int) -> None:
        """Somebody has dealt with these conditions."""
        self.t[i, at.X_CONDITIONS] &= ~conditions

    def reset_books(self, i: int) -> None:
        """The link is lost: the book and the quote say nothing any more. Trades, bars and averages go on."""
        empty_book(self.t, self.sides, i, at.BOOK_NONE)
        self.t[i, at.B_TOP_LIVE : at.B_TOP_ASK_SIZE + 1] = 0
        self.t[i, at.B_ID] = 0
        self.t[i, at.B_SNAPSHOT_ID] = 0
        self.t[i, at.Q_LIVE] = 0
        self.t[i, at.X_CONDITIONS] &= at.BAD_VALUE_SEEN

    # ---- watches

    def evaluated(self, w: int, time_ns: int) -> None:
        """The strategy behind watch w has run."""
        self.watch_state[w, at.W_EVALUATED_NS] = time_ns
        if self.watch_state[w, at.W_DUE_NS] != at.NEVER:
            self.watch_state[w, at.W_DUE_NS] = at.NEVER
            self.next_due_ns = min(self.watch_state[:, at.W_DUE_NS].tolist())
            self.s[at.S_NEXT_DUE] = self.next_due_ns

    def due_watches(self, time_ns: int) -> list[int]:
        """Watches due at or before this time, by (due, name)."""
        due = [(int(ns), self.watches[w].name, w) for w, ns in enumerate(self.watch_state[:, at.W_DUE_NS])]
        return [w for ns, _, w in sorted(due) if ns <= time_ns]

    def due_ns(self, w: int) -> int:
        return int(self.watch_state[w, at.W_DUE_NS])

    # ---- compiled strategies (looks.py)

    def compile_in(self, w: int, look: CompiledPredicate) -> None:
        """Watch w is a strategy of which this is the code. Until it is shown what the account says, it sleeps."""
        width = at.F_AVERAGES + (self.looks.shape[1] - at.L_FIELDS) // 2 + len(look.parameters)
        if width > self.given.shape[1]:
            self.given = _wider(self.given, 1, width)
            self._bind()
        for i, k in self._looks_of[w].items():
            of = self.instruments[i]
            self.looks[k, at.L_ADDRESS] = look.code.address
            self.looks[k, at.L_TICK : at.L_TICK + 2] = (
                int(of.tick_size.scaleb(of.price_scale)),
                int(of.lot_size.scaleb(of.size_scale)),
            )
            self.given[k, at.F_PRICE_UNIT : at.F_PRICE_UNIT + 2] = 10.0**-of.price_scale, 10.0**-of.size_scale
            first = at.F_AVERAGES + int(self.looks[k, at.L_AVERAGES])
            self.given[k, first : first + len(look.parameters)] = look.parameters

    def show(self, w: int, i: int, own: tuple[int, ...], position: float) -> None:
        """What the account says to watch w of an instrument: the numbers of MarketTick from bids to unsettled, and the position. It is asked from now on."""
        k = self._looks_of[w][i]
        self.looks[k, at.L_AWAKE] = 1
        self.looks[k, at.L_BIDS : at.L_FIELDS] = own
        self.given[k, at.F_POSITION] = position

    def lull(self) -> None:
        """No compiled strategy is asked until it is shown again what the account says."""
        self.looks[:, at.L_AWAKE] = 0

    def wants_again(self, w: int, look: CompiledPredicate, time_ns: int) -> bool:
        """Whether the function, as Python runs it, says of what it was shown at this time what its machine code said."""
        return any(
            look.again(self.looks[k, at.L_TIME_NS : at.L_TIME_NS + INTEGERS], self.given[k])
            for k in self._looks_of[w].values()
            if self.looks[k, at.L_TIME_NS] == time_ns
        )

    # ---- views

    def quote(self, i: int) -> Quote | None:
        q = self.t[i, : at.Q_END].tolist()
        if not q[at.Q_LIVE]:
            return None
        of = self.instruments[i]
        return Quote(
            bid=decimal(q[at.Q_BID], of.price_scale),
            bid_size=decimal(q[at.Q_BID_SIZE], of.size_scale),
            ask=decimal(q[at.Q_ASK], of.price_scale),
            ask_size=decimal(q[at.Q_ASK_SIZE], of.size_scale),
            seq=q[at.Q_SEQ],
            time_ns=q[at.Q_TIME_NS],
        )

    def is_live(self, i: int, *, with_book: bool) -> bool:
        """Whether a quote has come since the link stands, and the book is synced where one is wanted."""
        return bool(self.t[i, at.Q_LIVE]) and (not with_book or bool(self.t[i, at.B_STATE] == at.BOOK_SYNCED))

    def last_trade(self, i: int) -> Trade | None:
        t = self.t[i, : at.T_END].tolist()
        if not t[at.T_COUNT]:
            return None
        of = self.instruments[i]
        return Trade(
            price=decimal(t[at.T_PRICE], of.price_scale),
            size=decimal(t[at.T_SIZE], of.size_scale),
            trade_id=t[at.T_ID],
            buyer_is_maker=bool(t[at.T_BUYER_IS_MAKER]),
            seq=t[at.T_SEQ],
            time_ns=t[at.T_TIME_NS],
            venue_ns=t[at.T_VENUE_NS],
        )

    def mark(self, i: int) -> Mark | None:
        """The last mark price and funding rate; None before the first, and for spot."""
        price, index, settle, rate, next_ns, seq, time_ns, venue_ns, count = self.t[i, at.M_PRICE :].tolist()
        if not count:
            return None
        return Mark(
            price=decimal(price, r.MARK_SCALE),
            index=decimal(index, r.MARK_SCALE),
            settle=decimal(settle, r.MARK_SCALE),
            funding_rate=decimal(rate, r.MARK_SCALE),
            next_funding_ns=next_ns,
            seq=seq,
            time_ns=time_ns,
            venue_ns=venue_ns,
        )

    def book_state(self, i: int) -> BookState:
        return BookState(int(self.t[i, at.B_STATE]))

    def vouched(self, i: int) -> tuple[Decimal, Decimal] | None:
        """The price range that the snapshot vouches for; a level outside it is known only since it last changed."""
        if self.t[i, at.B_STATE] != at.BOOK_SYNCED:
            return None
        scale = self.instruments[i].price_scale
        low, high = self.t[i, [at.B_VOUCHED_LOW, at.B_VOUCHED_HIGH]].tolist()
        return decimal(low, scale), decimal(high, scale)

    def levels(self, i: int, side: int, n: int = at.LEVELS_MAX) -> list[tuple[int, int]]:
        """Levels of one side (rows.BID or rows.ASK) as integers at the instrument's scales, best first."""
        keys, sizes = self.side(i, side, n)[:, ::-1].tolist()
        sign = 1 if side == r.BID else -1
        return [(sign * key, size) for key, size in zip(keys, sizes, strict=True)]

    def side(self, i: int, side: int, n: int = at.LEVELS_MAX) -> Rows:
        """The same as two rows of keys and sizes, best last; the key of an ask is minus its price."""
        return levels_of(self.sides[2 * i + side], int(self.t[i, at.B_BIDS + side]), n)

    def restore_side(self, i: int, side: int, levels: Rows) -> None:
        """What `side` gave, where there is room for it; the number of levels is restored by others."""
        lay_window(self.sides[2 * i + side], levels)

    def book_top(self, i: int, n: int) -> BookTop | None:
        """The best n levels of each side; None unless the book is synced."""
        if self.t[i, at.B_STATE] != at.BOOK_SYNCED:
            return None
        of = self.instruments[i]
        bids, asks = (
            tuple((decimal(p, of.price_scale), decimal(q, of.size_scale)) for p, q in self.levels(i, side, n))
            for side in (r.BID, r.ASK)
        )
        update_id, seq, time_ns = self.t[i, [at.B_ID, at.B_SEQ, at.B_TIME_NS]].tolist()
        return BookTop(bids=bids, asks=asks, update_id=update_id, seq=seq, time_ns=time_ns)

    def book_id(self, i: int) -> int:
        """The last update id that the book holds."""
        return int(self.t[i, at.B_ID])

    def book_levels(self, i: int) -> tuple[int, int]:
        return int(self.t[i, at.B_BIDS]), int(self.t[i, at.B_ASKS])

    def book_text(self, i: int, levels: int = at.LEVELS_MAX) -> str:
        """Canonical text: "b,PRICE,SIZE" from the highest bid down, then "a,PRICE,SIZE" from the lowest ask up."""
        of = self.instruments[i]
        return "".join(
            f"{name},{decimal(p, of.price_scale):f},{decimal(q, of.size_scale):f}\n"
            for side, name in ((r.BID, "b"), (r.ASK, "a"))
            for p, q in self.levels(i, side, levels)
        )

    def bars(self, i: int, interval_ns: int) -> Bars:
        """The bars of an instrument; only those declared are kept."""
        k = self.bar_specs.index(BarSpec(self.instruments[i].id, interval_ns))
        count = int(self.bar_state[k, at.BAR_CLOSED_COUNT])
        kept = [self.closed[k, n % at.BARS_KEPT] for n in range(max(0, count - at.BARS_KEPT), count)]
        forming = self.bar_state[k]
        return Bars(
            closed=tuple(self._bar(i, numbers) for numbers in kept),
            forming=self._bar(i, forming) if forming[at.BAR_TRADES] else None,
            closed_count=count,
            late=int(forming[at.BAR_LATE]),
        )

    def _bar(self, i: int, numbers: Rows) -> Bar:
        of = self.instruments[i]
        bar = numbers.tolist()
        return Bar(
            start_ns=bar[at.BAR_START_NS],
            open=decimal(bar[at.BAR_OPEN], of.price_scale),
            high=decimal(bar[at.BAR_HIGH], of.price_scale),
            low=decimal(bar[at.BAR_LOW], of.price_scale),
            close=decimal(bar[at.BAR_CLOSE], of.price_scale),
            volume=decimal((bar[at.BAR_VOLUME_1] << at.WORD_BITS) + bar[at.BAR_VOLUME_0], of.size_scale),
            trades=bar[at.BAR_TRADES],
        )

    def ema(self, k: int) -> float | None:
        """The value of average k (its place in the list); None before the first two-sided quote."""
        return float(self.floats[k, at.E_VALUE]) if self.average_state[k, at.E_COUNT] else None

    def ema_count(self, k: int) -> int:
        """How many quote changes average k has seen."""
        return int(self.average_state[k, at.E_COUNT])

    def last_seen_ns(self, i: int, stream: Stream) -> int:
        """Session time at which a stream last told something new of this instrument; 0: never."""
        return int(self.t[i, stream])

    def last_frame(self, indexes: Sequence[int], streams: Iterable[Stream] = Stream) -> tuple[int, int]:
        """(time_ns, seq) of the last message that these streams of these instruments brought; zeros before the first. One that was carried from
        the session before has that session's seq.
        """
        columns = [_LAST_FRAMES[stream] for stream in streams]
        return max(((int(t[ns]), int(t[seq])) for t in self.t[indexes] for ns, seq in columns), default=(0, 0))

    def broken(self, i: int) -> SequenceBreak:
        """The last break in the ids of a stream of this instrument."""
        stream, *numbers = self.t[i, at.G_STREAM : at.G_END].tolist()
        return SequenceBreak(SequencedStream.TRADE if stream == r.TRADE else SequencedStream.DEPTH, *numbers)

    @property
    def messages(self) -> int:
        """Records folded."""
        return int(self.s[at.S_MESSAGES])

    def counters(self, i: int) -> Counters:
        t = self.t[i].tolist()
        of = self.instruments[i]
        notional = (t[at.T_NOTIONAL_2] << at.WORD_BITS) + t[at.T_NOTIONAL_1]
        notional = (notional << at.WORD_BITS) + t[at.T_NOTIONAL_0]
        return Counters(
            quotes=t[at.Q_COUNT],
            quotes_stale=t[at.Q_STALE],
            trades=t[at.T_COUNT],
            trades_buyer_is_maker=t[at.T_BUYER_IS_MAKER_COUNT],
            trades_repeated=t[at.T_REPEATED],
            trade_id_gaps=t[at.T_ID_GAPS],
            trade_ids_missing=t[at.T_IDS_MISSING],
            volume=decimal((t[at.T_VOLUME_1] << at.WORD_BITS) + t[at.T_VOLUME_0], of.size_scale),
            notional=decimal(notional, of.price_scale + of.size_scale),
            diffs_applied=t[at.B_APPLIED],
            diffs_dropped=t[at.B_DROPPED],
            book_gaps=t[at.B_GAPS],
            snapshots_refused=t[at.B_SNAPSHOTS_REFUSED],
        )

    # ---- digests, snapshots, what goes on in the next session (store.py)

    def digests(self) -> dict[str, tuple[int, str]]:
        """For each part of the state its version and a sha256 over its logical content."""
        return serialize.digests(self)

    def dump(self) -> bytes:
        """The whole state for a snapshot; taken between records."""
        return serialize.dump(self)

    @classmethod
    def load(  # noqa: PLR0917 - the same as empty()
        cls,
        dumped: bytes,
        instruments: Sequence[Instrument],
        bars: Sequence[BarSpec] = (),
        averages: Sequence[EmaSpec] = (),
        watches: Sequence[TriggerSpec] = (),
        levels_max: int = at.LEVELS_MAX,
    ) -> Self:
        """The state that was dumped under the same specifications; ValueError if they differ."""
        market = cls(instruments, bars, averages, watches, levels_max)
        serialize.load(market, dumped)
        return market

    def carried(self) -> dict[str, Any]:
        """Bars, averages and trade counters as JSON, for the next session's opening state."""
        return serialize.carried(self)

    def take_carried(self, carried: Mapping[str, Any]) -> list[str]:
        """Take what an earlier session carried; what could not be taken, in words (an instrument gone, a scale changed)."""
        return serialize.take_carried(self, carried)

    def make_room(self, levels: int, pending: int) -> None:
        """At least this much room in the books and the diffs kept; store.py restores into it."""
        self.sides = widened(self.sides, 1, N_FAR + 2 * max(levels, room_of(self.sides)))
        self.pending = _wider(self.pending, 1, max(pending, self.pending.shape[1]))
        self._bind()


def _wider(array: NDArray[N], axis: int, room: int) -> NDArray[N]:
    """A copy with more room along one axis."""
    shape = list(array.shape)
    shape[axis] = room
    wider = np.zeros(shape, array.dtype)
    wider[tuple(slice(n) for n in array.shape)] = array
    return wider


def warm() -> None:
    """Compile all that a session will call, before it connects: the fold here, the scan where frames are read."""
    warm_fold()
    warm_scan()


def warm_fold() -> None:
    instrument = Instrument("w", "w", "W", "w", "w", 0, 0, Decimal(1), Decimal(1))
    market = Market.empty([instrument], [BarSpec("w", 1)], [EmaSpec("w", 1)], [TriggerSpec("w", ("w",))])
    table = np.zeros((1, r.COLUMNS), np.int64)
    market.fold(table[:0])
    market.reset_books(0)
    market.levels(0, r.BID)


def warm_scan() -> None:
    """Compile what reads the frames of Binance Spot; another dialect has a `warm` of its own."""
    table = np.zeros((1, r.COLUMNS), np.int64)
    codes = code_table([("W", 0, 0)])
    text = np.frombuffer(b"{", np.uint8)
    scan_frame(text, codes, 0, 0, table)
    places = np.array([0, 1], np.int64)
    scan_frames(text, places, codes, places[:1], places[:1], table, places[:1].copy())
    scan_snapshot(text, 0, codes, 0, 0, table)
