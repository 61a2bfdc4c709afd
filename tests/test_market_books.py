"""The life of a book, the throttle of a watch, bars and averages: small transcripts of rows through the real fold."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Self

import numpy as np
import pytest

from engine.facts import SequencedStream
from engine.market import rows as r
from engine.market.indicators.ema import EmaSpec
from engine.market.layout import (
    BAD_VALUE_SEEN,
    BAR_CLOSED,
    BOOK_CROSSED,
    BOOK_JOINED,
    BOOK_NEEDS_SNAPSHOT,
    DUE,
    LEVELS_EXCEEDED,
    MISSED,
    NEVER,
    PENDING_ROWS_MAX,
    TRIGGER_FIRED,
)
from engine.market.market_state import Market
from engine.market.rows import Rows
from engine.market.views import BarSpec, BookState, SequenceBreak, Stream, TriggerSpec
from engine.model import Instrument

Levels = Sequence[tuple[int, int]]
BTC, ETH = (
    Instrument(f"v:{s}", "v", s, s, "USDT", price_scale=1, size_scale=0, tick_size=Decimal("0.1"), lot_size=Decimal(1))
    for s in ("BTC", "ETH")
)
SECOND = 1_000_000_000


class Tape:
    """Rows of one record after another; each call is one record, a millisecond after the last unless `at` says when."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.seq = 0
        self.now = 0

    def _fold(self, table: list[list[int]], at: int | None) -> int:
        self.seq += 1
        self.now = self.now + 1_000_000 if at is None else at
        rows: Rows = np.zeros((len(table), r.COLUMNS), np.int64)
        for row, (kind, instrument, venue_ns, *values) in zip(rows, table, strict=True):
            row[: r.FIELDS] = kind, instrument, self.seq, self.now, venue_ns, 0
            row[r.FIELDS : r.FIELDS + len(values)] = values
        rows[-1, r.LAST] = 1
        end = self.market.fold(rows)
        assert end == len(rows)
        return self.market.flags

    def quote(self, bid: int, ask: int, *, i: int = 0, update_id: int = 0, size: int = 1, at: int | None = None) -> int:
        return self._fold([[r.QUOTE, i, 0, bid, size, ask, size, update_id]], at)

    def trade(
        self, price: int, size: int, trade_id: int, *, i: int = 0, at: int | None = None, venue_ns: int = 0
    ) -> int:
        return self._fold([[r.TRADE, i, venue_ns, price, size, trade_id, 0]], at)

    def diff(
        self,
        first: int,
        last: int,
        bids: Levels = (),
        asks: Levels = (),
        *,
        i: int = 0,
        at: int | None = None,
        venue_ns: int = 0,
    ) -> int:
        return self._fold(_message(r.DIFF, i, (first, last), bids, asks, venue_ns=venue_ns), at)

    def snapshot(self, last: int, bids: Levels, asks: Levels, *, i: int = 0) -> int:
        return self._fold(_message(r.SNAPSHOT, i, (last, 0), bids, asks), None)

    def numbered(self, number: int, *, i: int = 0) -> int:
        return self._fold([[r.NUMBERED, i, 0, 0, number]], None)

    def bad(self, kind: int, *, i: int = 0) -> int:
        return self._fold([[r.BAD_VALUE, i, 0, kind]], None)

    def synced(self) -> Self:
        """10.0 x 5 and 9.9 x 7 bid, 10.1 x 3 and 10.3 x 4 offered, at id 10."""
        self.diff(10, 10)
        assert self.snapshot(10, [(100, 5), (99, 7)], [(101, 3), (103, 4)]) & BOOK_JOINED
        return self


def _message(
    kind: int, i: int, ids: tuple[int, int], bids: Levels, asks: Levels, *, venue_ns: int = 0
) -> list[list[int]]:
    levels = [(r.BID, *level) for level in bids] + [(r.ASK, *level) for level in asks]
    return [[kind, i, venue_ns, *ids, len(levels)], *([r.LEVEL, i, venue_ns, *level] for level in levels)]


@pytest.fixture
def tape() -> Tape:
    return Tape(Market.empty([BTC, ETH]))


# ---- books


def test_diffs_before_the_snapshot_are_kept_and_tried(tape: Tape) -> None:
    assert tape.diff(5, 6, [(90, 1)]) == BOOK_NEEDS_SNAPSHOT
    assert tape.market.book_state(0) is BookState.BUFFERING
    assert tape.diff(7, 9, [(100, 8)], [(101, 0)]) == 0
    assert tape.diff(10, 12, [(98, 2)]) == 0
    assert tape.snapshot(8, [(100, 5)], [(101, 3), (102, 9)]) == BOOK_JOINED
    assert tape.market.book_text(0) == "b,10,8\nb,9.8,2\na,10.2,9\n"
    assert tape.market.book_id(0) == 12
    counters = tape.market.counters(0)
    assert (counters.diffs_applied, counters.diffs_dropped) == (2, 1)
    assert tape.market.conditions(0) == 0
    assert tape.market.snapshot_range(0) == (Decimal(10), Decimal("10.2"))


def test_a_snapshot_older_than_the_first_diff_kept_is_asked_for_again(tape: Tape) -> None:
    tape.diff(7, 9, [(100, 8)])
    assert tape.snapshot(5, [(100, 5)], []) == BOOK_NEEDS_SNAPSHOT
    assert tape.market.book_top(0, 1) is None
    assert tape.market.counters(0).snapshots_refused == 1
    assert tape.snapshot(6, [(99, 5)], []) == BOOK_JOINED  # U = lastUpdateId + 1 is gap-free
    assert tape.market.book_text(0) == "b,10,8\nb,9.9,5\n"


def test_a_gap_breaks_the_book_and_a_snapshot_heals_it(tape: Tape) -> None:
    tape.synced()
    assert tape.diff(12, 13, [(100, 9)]) == BOOK_NEEDS_SNAPSHOT | MISSED
    assert tape.market.book_state(0) is BookState.BROKEN
    assert tape.market.conditions(0) == BOOK_NEEDS_SNAPSHOT
    assert tape.market.raised() == [(0, BOOK_NEEDS_SNAPSHOT | MISSED)]
    assert tape.market.book_text(0) == ""
    assert tape.diff(14, 15, [], [(104, 1)]) == 0
    assert tape.market.raised() == []
    assert tape.snapshot(13, [(98, 1)], [(105, 1)]) == BOOK_JOINED
    assert tape.market.book_text(0) == "b,9.8,1\na,10.4,1\na,10.5,1\n"  # no ghost of the levels before
    assert tape.market.conditions(0) == 0


def test_numbers_of_a_link_continue_a_book_and_a_missing_one_breaks_it(tape: Tape) -> None:
    """The frames of a link share one counter: those of other channels count too."""
    assert tape.numbered(1) == 0  # before the snapshot there is nothing to lose
    assert tape.snapshot(2, [(100, 5)], [(101, 3)]) == BOOK_JOINED
    assert tape.numbered(3) == 0
    assert tape.diff(4, 4, [(100, 6)]) == 0
    assert tape.numbered(4) == 0  # seen before
    assert tape.numbered(5) == 0
    assert tape.market.book_text(0) == "b,10,6\na,10.1,3\n"
    assert tape.market.t[0, Stream.BOOK] < tape.now  # other channels do not prove that the book's still comes
    assert tape.numbered(7) == BOOK_NEEDS_SNAPSHOT | MISSED
    assert tape.market.book_state(0) is BookState.BROKEN
    assert tape.market.last_break(0) == SequenceBreak(SequencedStream.DEPTH, 5, 6, tape.now - 1_000_000, 7)
    assert tape.market.counters(0).book_gaps == 1


def test_a_gap_among_the_diffs_kept_drops_what_came_before_it(tape: Tape) -> None:
    tape.diff(5, 6, [(90, 1)])
    tape.diff(9, 10, [(91, 1)])
    assert tape.snapshot(5, [(100, 5)], []) == BOOK_NEEDS_SNAPSHOT  # it bridges 6, but not 7 and 8
    assert tape.snapshot(9, [(100, 5)], []) == BOOK_JOINED
    assert tape.market.book_text(0) == "b,10,5\nb,9.1,1\n"


def test_old_and_repeated_diffs_are_ignored(tape: Tape) -> None:
    tape.synced().diff(11, 12, [(100, 6)])
    assert tape.diff(11, 12, [(100, 1)]) == 0
    assert tape.diff(3, 4, [(100, 1)]) == 0
    assert tape.market.book_text(0, 1) == "b,10,6\na,10.1,3\n"
    assert tape.snapshot(11, [(50, 1)], []) == 0  # older than the book
    assert tape.market.book_text(0, 1) == "b,10,6\na,10.1,3\n"


def test_removing_an_unknown_level_is_normal(tape: Tape) -> None:
    assert tape.synced().diff(11, 11, [(42, 0)], [(101, 0), (200, 0)]) == 0
    assert tape.market.book_text(0) == "b,10,5\nb,9.9,7\na,10.3,4\n"


def test_crossed_is_looked_at_after_the_whole_record_only(tape: Tape) -> None:
    """The bid passes the ask first and the ask steps away later in the same diff, as real ones do."""
    assert tape.synced().diff(11, 11, [(102, 1)], [(101, 0)]) == 0
    assert tape.market.book_text(0, 1) == "b,10.2,1\na,10.3,4\n"
    assert tape.diff(12, 12, [(103, 1)]) == BOOK_CROSSED | BOOK_NEEDS_SNAPSHOT
    assert tape.market.conditions(0) == BOOK_CROSSED | BOOK_NEEDS_SNAPSHOT
    assert tape.market.book_state(0) is BookState.BROKEN
    assert tape.snapshot(12, [(100, 1)], [(101, 1)]) == BOOK_JOINED
    assert tape.market.conditions(0) == 0


def test_levels_of_a_snapshot_may_come_in_any_order_and_twice(tape: Tape) -> None:
    tape.snapshot(1, [(99, 1), (100, 2), (98, 3), (100, 4), (97, 0)], [(104, 1), (102, 1), (103, 1)])
    assert tape.market.book_text(0) == "b,10,4\nb,9.9,1\nb,9.8,3\na,10.2,1\na,10.3,1\na,10.4,1\n"


def test_arrays_grow_unseen() -> None:
    market = Market.empty([BTC, ETH])
    tape = Tape(market)
    tape.diff(1, 1, [], [], i=1)
    tape.snapshot(1, [], [(50_000, 1)], i=1)
    for k in range(50):
        tape.diff(2 + k, 2 + k, [(k * 200 + j + 1, j + 1) for j in range(200)], i=1)
    tape.diff(1, 1)
    for k in range(50):
        tape.diff(2 + k, 2 + k, [(k * 200 + j + 1, j + 1) for j in range(200)])  # kept: the diffs' own array grows too
    tape.snapshot(1, [], [(50_000, 1)])
    assert market.book_levels(0) == market.book_levels(1) == (10_000, 1)
    assert market.book_text(0) == market.book_text(1)


def test_more_levels_than_the_limit_break_the_book_and_say_so() -> None:
    tape = Tape(Market.empty([BTC], levels_max=3))
    tape.snapshot(1, [(1, 1), (2, 1), (3, 1)], [])
    assert tape.diff(2, 2, [(3, 0), (4, 1)]) == 0
    assert tape.diff(3, 3, [(5, 1)]) == LEVELS_EXCEEDED
    assert tape.market.conditions(0) == LEVELS_EXCEEDED
    assert tape.market.book_state(0) is BookState.BROKEN
    assert tape.snapshot(9, [(k, 1) for k in range(1, 9)], []) == LEVELS_EXCEEDED
    assert tape.snapshot(10, [(1, 1)], []) == BOOK_JOINED


@pytest.mark.slow
def test_diffs_kept_have_a_limit(tape: Tape) -> None:
    """A snapshot that never comes costs bounded memory; the diff after the limit requests one again."""
    many = [(k, 1) for k in range(1, 1 + PENDING_ROWS_MAX // 4)]
    assert [tape.diff(k, k, many) for k in range(1, 6)] == [BOOK_NEEDS_SNAPSHOT, 0, 0, 0, BOOK_NEEDS_SNAPSHOT]
    assert tape.market.counters(0).diffs_dropped == 4


def test_a_value_that_may_not_enter_flags_its_instrument(tape: Tape) -> None:
    tape.synced().quote(100, 101)
    assert tape.bad(r.QUOTE) == BAD_VALUE_SEEN
    assert tape.market.quote(0) is None
    assert tape.market.book_state(0) is BookState.SYNCED
    assert tape.bad(r.DIFF) == BAD_VALUE_SEEN  # the book misses it now
    assert tape.market.book_top(0, 1) is None
    assert tape.diff(12, 12) == BOOK_NEEDS_SNAPSHOT | MISSED
    assert tape.market.conditions(0) == BAD_VALUE_SEEN | BOOK_NEEDS_SNAPSHOT
    assert tape.market.conditions(1) == 0
    tape.market.clear(0, BAD_VALUE_SEEN)
    assert tape.market.conditions(0) == BOOK_NEEDS_SNAPSHOT


def test_a_lost_link_forgets_book_and_quote_but_not_trades(tape: Tape) -> None:
    tape.synced().quote(100, 101, update_id=50)
    tape.trade(100, 1, 7)
    tape.market.reset_books(0)
    assert tape.market.book_state(0) is BookState.NONE
    assert tape.market.quote(0) is None
    assert tape.market.last_trade(0) is not None
    assert tape.market.last_frame([0]) == (tape.now, tape.seq)
    tape.quote(99, 101, update_id=40)  # another connection may be behind the one we lost
    assert tape.market.quote(0) is not None
    assert tape.diff(11, 11) == BOOK_NEEDS_SNAPSHOT  # where the depth stream ended is not forgotten: nothing was missed
    tape.market.reset_books(0)
    assert tape.diff(15, 15) == BOOK_NEEDS_SNAPSHOT | MISSED
    assert tape.market.last_break(0) == SequenceBreak(
        "depth", last_id=11, last_seq=tape.seq - 1, last_ns=tape.now - 1_000_000, first_id=15
    )


# ---- quotes and trades


def test_a_quote_older_than_the_one_held_is_not_taken(tape: Tape) -> None:
    tape.quote(100, 101, update_id=9)
    tape.quote(90, 91, update_id=8)
    quote = tape.market.quote(0)
    assert quote is not None
    assert (quote.bid, quote.ask, quote.seq) == (Decimal(10), Decimal("10.1"), 1)
    assert tape.market.counters(0).quotes_stale == 1
    assert tape.market.last_seen_ns(0, Stream.QUOTE) == 1_000_000


def test_diff_ids_that_begin_again_break_the_book_and_a_snapshot_joins_it(tape: Tape) -> None:
    """An old diff has an old stamp and is ignored; a new one with lower ids belongs to numbering that restarted."""
    tape.synced()
    assert tape.diff(11, 12, [(98, 1)], venue_ns=5 * SECOND) == 0
    assert tape.diff(3, 4, [(97, 1)], venue_ns=5 * SECOND - 1) == 0, "an old message"
    assert tape.diff(3, 4, [(97, 1)], venue_ns=6 * SECOND) == 0, "not newer by more than a second"
    assert tape.diff(5, 6, [(97, 1)], venue_ns=6 * SECOND + 1) == BOOK_NEEDS_SNAPSHOT | MISSED
    assert tape.market.book_state(0) is BookState.BROKEN
    found = tape.market.last_break(0)
    assert (found.stream, found.last_id, found.first_id) == ("depth", 12, 5)
    assert tape.diff(7, 8, [(96, 1)], venue_ns=6 * SECOND + 2) == 0
    assert tape.snapshot(6, [(95, 1)], [(105, 1)]) == BOOK_JOINED
    assert (tape.market.book_id(0), tape.market.book_text(0)) == (8, "b,9.6,1\nb,9.5,1\na,10.5,1\n")


def test_diff_ids_without_stamps_begin_again_after_half_a_minute_without_a_newer_one(tape: Tape) -> None:
    tape.synced()
    assert tape.diff(3, 4, [(97, 1)], at=tape.now + 30 * SECOND) == 0
    assert tape.diff(5, 6, [(97, 1)], at=tape.now + 2 * SECOND) == BOOK_NEEDS_SNAPSHOT | MISSED


def test_ids_that_begin_again_before_the_snapshot_do_not_refuse_it_for_ever(tape: Tape) -> None:
    tape.diff(100, 101, [(90, 1)])
    assert tape.diff(5, 6, [(91, 1)]) == 0
    assert tape.snapshot(6, [(95, 1)], [(105, 1)]) == BOOK_JOINED
    assert tape.diff(7, 8, [(96, 1)]) == 0
    assert tape.market.book_id(0) == 8


def test_quote_ids_that_begin_again_do_not_freeze_the_quote(tape: Tape) -> None:
    tape.quote(100, 101, update_id=50)
    tape.quote(90, 91, update_id=3, at=tape.now + SECOND)
    assert tape.market.counters(0).quotes_stale == 1, "an old message"
    tape.quote(92, 93, update_id=4, at=tape.now + 1)
    tape.quote(94, 95, update_id=5)
    found = tape.market.quote(0)
    assert found is not None
    assert (found.bid, found.ask) == (Decimal("9.4"), Decimal("9.5"))


def test_trade_ids_that_begin_again_are_a_gap(tape: Tape) -> None:
    tape.trade(100, 1, 50, venue_ns=5 * SECOND)
    assert tape.trade(90, 1, 2, venue_ns=6 * SECOND) == 0, "an old message"
    assert tape.trade(91, 1, 3, venue_ns=6 * SECOND + 1) == MISSED
    assert tape.trade(92, 1, 4, venue_ns=6 * SECOND + 2) == 0
    last = tape.market.last_trade(0)
    assert last is not None
    assert (last.trade_id, tape.market.last_break(0).last_id, tape.market.counters(0).trades_repeated) == (4, 50, 1)


def test_gaps_in_trade_ids_are_counted_and_told(tape: Tape) -> None:
    assert [tape.trade(100, 2, trade_id) for trade_id in (5, 6, 9, 9, 7, 10)] == [0, 0, MISSED, 0, 0, 0]
    assert tape.market.last_break(0) == SequenceBreak("trade", last_id=6, last_seq=2, last_ns=2_000_000, first_id=9)
    counters = tape.market.counters(0)
    assert (counters.trades, counters.trade_id_gaps, counters.trade_ids_missing, counters.trades_repeated) == (
        4,
        1,
        2,
        2,
    )
    assert counters.volume == 8
    assert counters.notional == 80


def test_sums_of_the_largest_values_do_not_wrap(tape: Tape) -> None:
    for trade_id in range(1, 3001):
        tape.trade(r.VALUE_MAX, r.VALUE_MAX, trade_id)
    assert tape.market.counters(0).volume == 3000 * r.VALUE_MAX
    assert int(tape.market.counters(0).notional) * 10 == 3000 * r.VALUE_MAX**2


# ---- bars, averages, watches


def test_bars_go_by_the_venues_trade_time_and_a_closed_one_never_changes() -> None:
    tape = Tape(Market.empty([BTC], [BarSpec("v:BTC", SECOND)], (), [TriggerSpec("w", ("v:BTC",), on_bar=True)]))
    assert tape.trade(100, 1, 1, venue_ns=SECOND + 5) == 0
    assert tape.trade(105, 2, 2, venue_ns=2 * SECOND - 1) == 0
    assert tape.trade(99, 1, 3, venue_ns=4 * SECOND) == BAR_CLOSED | TRIGGER_FIRED
    assert tape.trade(1, 1, 4, venue_ns=SECOND + 6) == 0  # late
    bars = tape.market.bars(0, SECOND)
    assert [(b.start_ns, b.open, b.high, b.low, b.close, b.volume, b.trades) for b in bars.closed] == [
        (SECOND, Decimal(10), Decimal("10.5"), Decimal(10), Decimal("10.5"), Decimal(3), 2)
    ]
    assert bars.forming is not None
    assert (bars.forming.start_ns, bars.forming.trades, bars.late) == (4 * SECOND, 1, 1)


def test_the_average_moves_with_every_change_of_the_quote_and_no_repeat() -> None:
    tape = Tape(Market.empty([BTC], (), [EmaSpec("v:BTC", 3)]))
    assert tape.market.indicator(0) is None
    tape.quote(100, 102)
    assert tape.market.indicator(0) == 10.1
    tape.quote(100, 102, update_id=1)
    tape.quote(0, 102, size=0, update_id=2)
    assert tape.market.indicator_count(0) == 1
    tape.quote(200, 202, update_id=3)
    assert tape.market.indicator(0) == 10.1 + 0.5 * (20.1 - 10.1)


def test_a_watch_is_due_at_once_or_when_its_throttle_ends() -> None:
    market = Market.empty(
        [BTC, ETH], (), (), [TriggerSpec("both", ("v:BTC", "v:ETH"), 100), TriggerSpec("eth", ("v:ETH",), 0)]
    )
    tape = Tape(market)
    assert tape.quote(100, 101, at=1000) == TRIGGER_FIRED
    assert market.fired == 0b01
    market.note_evaluated(0, 1000)
    assert tape.quote(100, 101, at=1010) == 0  # nothing changed
    assert market.next_due_ns == NEVER
    assert tape.quote(100, 102, at=1020) == 0
    assert (market.next_due_ns, market.due_triggers(1099), market.due_triggers(1100)) == (1100, [], [0])
    assert tape.quote(99, 102, i=1, at=1030) == TRIGGER_FIRED
    assert market.fired == 0b10
    assert market.next_due_ns == 1100
    market.note_evaluated(0, 1100)
    assert market.next_due_ns == NEVER
    assert tape.quote(99, 102, at=1200) == TRIGGER_FIRED


def test_the_top_of_the_book_is_a_change_and_what_lies_below_is_not() -> None:
    tape = Tape(Market.empty([BTC], (), (), [TriggerSpec("w", ("v:BTC",), 0)]))
    assert tape.diff(10, 10) == BOOK_NEEDS_SNAPSHOT
    assert tape.snapshot(10, [(100, 5), (99, 7)], [(101, 3), (103, 4)]) == BOOK_JOINED | TRIGGER_FIRED
    assert tape.diff(11, 11, [(99, 8)]) == 0
    assert tape.diff(12, 12, [(100, 4)]) == TRIGGER_FIRED
    assert tape.diff(13, 13, [(102, 4)], [(101, 0)]) == TRIGGER_FIRED


def test_a_fold_over_many_records_stops_before_what_is_due() -> None:
    market = Market.empty([BTC], (), (), [TriggerSpec("w", ("v:BTC",), 100)])
    rows: Rows = np.zeros((5, r.COLUMNS), np.int64)
    for k, time_ns in enumerate((1000, 1010, 1099, 1100, 1101)):
        rows[k] = r.QUOTE, 0, k, time_ns, 0, 1, 100 + k, 1, 200, 1, k
    assert (market.fold(rows, until_ns=NEVER), market.flags) == (1, TRIGGER_FIRED)
    market.note_evaluated(0, 1000)
    assert (market.fold(rows, 1, until_ns=NEVER), market.flags) == (3, DUE)
    market.note_evaluated(0, 1100)
    assert (market.fold(rows, 3, until_ns=1101), market.flags) == (4, DUE)
    assert market.fold(rows, 4) == 5
