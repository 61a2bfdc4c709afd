"""Market state as plain values: quotes, trades, books, bars, indicators, counters. Changes nothing."""

from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal
from typing import Final

import numpy as np

from engine.facts import SequencedStream
from engine.market import layout as at
from engine.market import rows as r
from engine.market.arrays import MarketArrays
from engine.market.rows import Rows
from engine.market.views import (
    Bar,
    Bars,
    BookState,
    BookTop,
    Counters,
    Mark,
    Quote,
    SequenceBreak,
    Stream,
    Trade,
    decimal,
    kept_decimal,
)

Levels = tuple[tuple[Decimal, Decimal], ...]  # (price, size), best first
_LAST_FRAMES: Final = {
    Stream.QUOTE: (at.Q_TIME_NS, at.Q_SEQ),
    Stream.TRADE: (at.T_TIME_NS, at.T_SEQ),
    Stream.BOOK: (at.D_TIME_NS, at.D_SEQ),
    Stream.MARK: (at.M_TIME_NS, at.M_SEQ),
}


_BREAKS: Final = {r.TRADE: SequencedStream.TRADE, r.BOOK_CHECK: SequencedStream.CHECKSUM}  # others are of the depth


_VENUE_STAMPS: Final = (
    (Stream.TRADE, at.T_TIME_NS, at.T_VENUE_NS),
    (Stream.BOOK, at.B_TIME_NS, at.B_VENUE_NS),
    (Stream.MARK, at.M_TIME_NS, at.M_VENUE_NS),
)


FEW: Final = 8  # instruments: from so many on numpy is faster than a loop
_LIVENESS: Final = [at.Q_LIVE, at.B_STATE]
_MARKS: Final = np.array([at.Q_LIVE, at.Q_BID, at.Q_ASK, at.M_PRICE, at.M_COUNT])


class MarketReader(MarketArrays):
    """The readable side of a market. `i` is the index of an instrument."""

    # ---- quotes, trades, marks

    def quote(self, i: int, time_ns: int | None = None) -> Quote | None:
        """Return the last quote, with its age at `time_ns` if that is given.

        None before the first and after a lost link.
        """
        begin = at.S_FIELDS + i * at.T_FIELDS
        live, bid, bid_size, ask, ask_size, _, seq, quote_ns = self.numbers[begin : begin + at.Q_TIME_NS + 1].tolist()
        if not live:
            return None
        price_scale, size_scale = self.scales[i]
        return Quote(
            kept_decimal(bid, price_scale),
            kept_decimal(bid_size, size_scale),
            kept_decimal(ask, price_scale),
            kept_decimal(ask_size, size_scale),
            seq,
            quote_ns,
            0 if time_ns is None else time_ns - self._stated_ns(begin, bid, ask, quote_ns),
        )

    def best_prices(self, i: int) -> tuple[Decimal, Decimal] | None:
        """Return bid and ask of the last quote; None before the first and after a lost link."""
        live, bid, _, ask = self.t[i, at.Q_LIVE : at.Q_ASK + 1].tolist()
        scale = self.scales[i][0]
        return (kept_decimal(bid, scale), kept_decimal(ask, scale)) if live else None

    def tick_numbers(self, i: int) -> list[int]:
        """Return the market's fields of a MarketTick, from `bid` to `buyer_is_maker`."""
        t = self.t[i].tolist()
        quote = t[at.Q_BID : at.Q_ASK_SIZE + 1] if t[at.Q_LIVE] else [0, 0, 0, 0]
        book = t[at.B_TOP_BID : at.B_TOP_ASK_SIZE + 1]
        return [*quote, *book, t[at.T_PRICE], t[at.T_SIZE], t[at.T_BUYER_IS_MAKER]]

    def is_live(self, i: int, *, with_book: bool) -> bool:
        """Return True if a quote came since the link is up and, with a book, the book is synced."""
        return bool(self.t[i, at.Q_LIVE]) and not (with_book and self.awaits_book(i))

    def awaits_book(self, i: int) -> bool:
        """Return True if the instrument has a book and it is not synced."""
        return bool(self.t[i, at.B_STATE] != at.BOOK_SYNCED) and not self.instruments[i].without_book

    def are_live(self, *, with_book: bool) -> bool:
        """Return True if every instrument is live."""
        if 0 in self.lives.tolist():
            return False
        states = self.book_states.tolist() if with_book else ()
        if states.count(at.BOOK_SYNCED) == len(states):
            return True
        return not any(self.awaits_book(i) for i, state in enumerate(states) if state != at.BOOK_SYNCED)

    def liveness(self) -> bytes:
        """Return what `is_live` and `awaits_book` read of all instruments, to be compared with an earlier answer."""
        return bytes(self.t[:, _LIVENESS].tobytes())

    def mark_integers(self) -> Rows:
        """Return the numbers from which each instrument's mark follows: the quote, and the venue's mark price."""
        return self.t.take(_MARKS, axis=1)

    def last_trade(self, i: int) -> Trade | None:
        """Return the last trade; None before the first."""
        t = self.t[i, : at.T_END].tolist()
        if not t[at.T_COUNT]:
            return None
        instrument = self.instruments[i]
        return Trade(
            price=decimal(t[at.T_PRICE], instrument.price_scale),
            size=decimal(t[at.T_SIZE], instrument.size_scale),
            trade_id=t[at.T_ID],
            buyer_is_maker=bool(t[at.T_BUYER_IS_MAKER]),
            seq=t[at.T_SEQ],
            time_ns=t[at.T_TIME_NS],
            venue_ns=t[at.T_VENUE_NS],
        )

    def mark(self, i: int) -> Mark | None:
        """Return the last mark price and funding rate; None before the first, and for spot."""
        price, index, settle, rate, next_ns, seq, time_ns, venue_ns, count = self.t[i, at.M_PRICE : at.M_END].tolist()
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

    def _stated_ns(self, begin: int, bid: int, ask: int, quote_ns: int) -> int:
        """Return when a quote was last stated. `begin` is the place of its instrument in `numbers`."""
        numbers = self.numbers
        if numbers[begin + at.B_STATE] != at.BOOK_SYNCED:
            return quote_ns
        is_same = (bid, ask) == (numbers[begin + at.B_TOP_BID], numbers[begin + at.B_TOP_ASK])
        return max(quote_ns, numbers[begin + at.B_TIME_NS]) if is_same else quote_ns

    def quote_is_newer(self, i: int) -> bool:
        """Return True if the quote proves a change of the book that no diff has reported, by the venue's ids."""
        return bool(self.t[i, at.Q_ID] > self.t[i, at.D_ID])

    def quote_is_outdated(self, i: int) -> bool:
        """Return True if a newer synced book, by the venue's ids, has other best prices than the quote."""
        t = self.t[i].tolist()
        is_newer = t[at.B_STATE] == at.BOOK_SYNCED and t[at.B_ID] > t[at.Q_ID] > 0
        return is_newer and (t[at.Q_BID], t[at.Q_ASK]) != (t[at.B_TOP_BID], t[at.B_TOP_ASK])

    def last_trade_id(self, i: int) -> int:
        """Return the id of the last trade; 0 before the first."""
        return int(self.t[i, at.T_ID])

    def venue_stamps(self, i: int) -> list[tuple[Stream, int, int]]:
        """Return (stream, session time of its last message, the venue's stamp in it) of the streams with stamps."""
        begin, numbers = at.S_FIELDS + i * at.T_FIELDS, self.numbers
        return [
            (stream, numbers[begin + received], stamp)
            for stream, received, stamp_at in _VENUE_STAMPS
            if (stamp := numbers[begin + stamp_at])
        ]

    # ---- books

    def book_state(self, i: int) -> BookState:
        """Return the state of the book."""
        return BookState(int(self.t[i, at.B_STATE]))

    def snapshot_range(self, i: int) -> tuple[Decimal, Decimal] | None:
        """Return the price range of the last snapshot; a level outside it is known only since its last change."""
        if self.t[i, at.B_STATE] != at.BOOK_SYNCED:
            return None
        scale = self.instruments[i].price_scale
        low, high = self.t[i, [at.B_SNAPSHOT_LOW, at.B_SNAPSHOT_HIGH]].tolist()
        return decimal(low, scale), decimal(high, scale)

    def levels(self, i: int, side: int, n: int = at.LEVELS_MAX) -> list[tuple[int, int]]:
        """Return levels of a side (rows.BID or rows.ASK) as integers at the instrument's scales, best first."""
        keys, sizes = self.side(i, side, n)[:, ::-1].tolist()
        sign = 1 if side == r.BID else -1
        return [(sign * key, size) for key, size in zip(keys, sizes, strict=True)]

    def book_top(self, i: int, n: int, kind: type[BookTop] = BookTop) -> BookTop | None:
        """Return the best n levels of each side as a `kind`, or None unless the book is synced."""
        begin, numbers = at.S_FIELDS + i * at.T_FIELDS, self.numbers
        if numbers[begin + at.B_STATE] != at.BOOK_SYNCED:
            return None
        is_live, bid, bid_size, ask, ask_size = numbers[begin + at.B_TOP_LIVE : begin + at.B_TOP_ASK_SIZE + 1].tolist()
        if n == 1 and is_live:  # the fold keeps the best level of each side
            price_scale, size_scale = self.scales[i]
            bids: Levels = ((kept_decimal(bid, price_scale), kept_decimal(bid_size, size_scale)),) if bid_size else ()
            asks: Levels = ((kept_decimal(ask, price_scale), kept_decimal(ask_size, size_scale)),) if ask_size else ()
        else:
            bids, asks = self._best(i, n)
        return kind(bids, asks, numbers[begin + at.B_ID], numbers[begin + at.B_SEQ], numbers[begin + at.B_TIME_NS])

    def _best(self, i: int, n: int) -> tuple[Levels, Levels]:
        """Return the best n levels of each side."""
        price_scale, size_scale = self.scales[i]
        bids, asks = (
            tuple(
                [
                    (kept_decimal(price, price_scale), kept_decimal(size, size_scale))
                    for price, size in self.levels(i, side, n)
                ]
            )
            for side in (r.BID, r.ASK)
        )
        return bids, asks

    def book_id(self, i: int) -> int:
        """Return the last update id applied to the book."""
        return int(self.t[i, at.B_ID])

    def book_levels(self, i: int) -> tuple[int, int]:
        """Return the numbers of bid and ask levels."""
        return int(self.t[i, at.B_BIDS]), int(self.t[i, at.B_ASKS])

    def book_text(self, i: int, levels: int = at.LEVELS_MAX) -> str:
        """Return canonical text: "b,PRICE,SIZE" from the highest bid down, then "a,PRICE,SIZE" from the lowest ask."""
        instrument = self.instruments[i]
        return "".join(
            f"{name},{decimal(p, instrument.price_scale):f},{decimal(q, instrument.size_scale):f}\n"
            for side, name in ((r.BID, "b"), (r.ASK, "a"))
            for p, q in self.levels(i, side, levels)
        )

    # ---- bars and indicators

    def bars(self, i: int, interval_ns: int) -> Bars:
        """Return the declared bars of an instrument."""
        k = self.bar_index(self.instruments[i].id, interval_ns)
        count = int(self.bar_state[k, at.BAR_CLOSED_COUNT])
        kept = [self.closed[k, n % at.BARS_KEPT] for n in range(max(0, count - at.BARS_KEPT), count)]
        forming = self.bar_state[k]
        return Bars(
            closed=tuple(
                self._bar(i, numbers, is_complete=self.bars_by_time and bool(numbers[at.CLOSED_COMPLETE]))
                for numbers in kept
            ),
            forming=self._bar(i, forming) if forming[at.BAR_TRADES] else None,
            closed_count=count,
            late=int(forming[at.BAR_LATE]),
        )

    def _bar(self, i: int, numbers: Rows, *, is_complete: bool = False) -> Bar:
        instrument = self.instruments[i]
        bar = numbers.tolist()
        return Bar(
            start_ns=bar[at.BAR_START_NS],
            open=decimal(bar[at.BAR_OPEN], instrument.price_scale),
            high=decimal(bar[at.BAR_HIGH], instrument.price_scale),
            low=decimal(bar[at.BAR_LOW], instrument.price_scale),
            close=decimal(bar[at.BAR_CLOSE], instrument.price_scale),
            volume=decimal((bar[at.BAR_VOLUME_1] << at.WORD_BITS) + bar[at.BAR_VOLUME_0], instrument.size_scale),
            trades=bar[at.BAR_TRADES],
            complete=is_complete,
        )

    def indicator(self, k: int, *, warm_only: bool = False, output: str = "") -> float | None:
        """Return a value of the k-th indicator; None before its first update, or until it is warm.

        Raises:
            LookupError: the output is unknown.
        """
        spec = self.indicator_specs[k]
        if output and output not in spec.outputs:
            known = ", ".join(spec.outputs) or "none"
            raise LookupError(f"{spec.name} has the outputs {known} beside its value, not {output!r}")
        column = at.I_OWN + spec.outputs[output] if output else at.I_VALUE
        count = self.indicator_state[k, at.I_COUNT]
        if not count or (warm_only and count < spec.warm_count):
            return None
        return float(self.indicator_values[k, column])

    def indicator_count(self, k: int) -> int:
        """Return the number of updates of the k-th declared indicator."""
        return int(self.indicator_state[k, at.I_COUNT])

    # ---- streams and counters

    def last_seen_ns(self, i: int, stream: Stream) -> int:
        """Return the session time of a stream's last new message for this instrument; 0: none yet."""
        return int(self.t[i, stream])

    def newest_seen_ns(self, indexes: Sequence[int], streams: Sequence[Stream]) -> int:
        """Return the session time of the last new message of these instruments and streams; 0: none yet."""
        if not indexes or not streams:
            return 0
        if len(indexes) < FEW:
            item = self.t.item
            return max([item(i, stream) for i in indexes for stream in streams])
        return int(self.t[np.ix_(indexes, streams)].max())

    def books_in(self, states: Collection[BookState]) -> list[int]:
        """Return the instruments whose book is in one of these states."""
        return [i for i, state in enumerate(self.t[:, at.B_STATE].tolist()) if state in states]

    def last_frame(self, indexes: Sequence[int], streams: Iterable[Stream] = Stream) -> tuple[int, int]:
        """Return (time_ns, seq) of the last message on these streams of these instruments; zeros before the first.

        A message that was carried over from the previous session has that session's seq.
        """
        columns = [_LAST_FRAMES[stream] for stream in streams]
        return max(((int(t[ns]), int(t[seq])) for t in self.t[indexes] for ns, seq in columns), default=(0, 0))

    def last_break(self, i: int) -> SequenceBreak:
        """Return the last gap in the ids of a stream of this instrument."""
        stream, *numbers = self.t[i, at.G_STREAM : at.G_END].tolist()
        return SequenceBreak(_BREAKS.get(stream, SequencedStream.DEPTH), *numbers)

    @property
    def messages(self) -> int:
        """Return the number of records folded."""
        return int(self.s[at.S_MESSAGES])

    def counters(self, i: int) -> Counters:
        """Return the counters of an instrument."""
        t = self.t[i].tolist()
        instrument = self.instruments[i]
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
            volume=decimal((t[at.T_VOLUME_1] << at.WORD_BITS) + t[at.T_VOLUME_0], instrument.size_scale),
            notional=decimal(notional, instrument.price_scale + instrument.size_scale),
            diffs_applied=t[at.B_APPLIED],
            diffs_dropped=t[at.B_DROPPED],
            book_gaps=t[at.B_GAPS],
            snapshots_refused=t[at.B_SNAPSHOTS_REFUSED],
        )
