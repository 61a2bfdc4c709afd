"""Books that are verified by the venue's checksum, and bounded to the depth that the venue keeps up to date."""

import zlib
from decimal import Decimal
from random import Random

import numpy as np
import pytest

from engine.facts import SequencedStream
from engine.market import layout
from engine.market import rows as r
from engine.market.fold.book_checks import STYLE_DIGITS
from engine.market.fold.dense_book import N_COUNT, N_PATIENCE
from engine.market.market_state import Market
from engine.market.rows import Rows
from engine.market.views import BookState
from engine.model import Instrument
from engine.venues.row_builders import Level, RowOrigin, book_rows, check_row

# the example of Kraken's documentation: prices have 1 decimal, quantities 8
ASKS = """45285.2/0.00100000 45286.4/1.54571953 45286.6/1.54571109 45289.6/1.54560911 45290.2/0.15890660
45291.8/1.54553491 45294.7/0.04454749 45296.1/0.35380000 45297.5/0.09945542 45299.5/0.18772827"""
BIDS = """45283.5/0.10000000 45283.4/1.54582015 45282.1/0.10000000 45281.0/0.10000000 45280.3/1.54592586
45279.0/0.07990000 45277.6/0.03310103 45277.5/0.30000000 45277.3/1.54602737 45276.6/0.15445238"""
CHECKSUM = 3310070434
BTC = Instrument("v:B", "v", "B", "BTC", "USD", 1, 8, Decimal("0.1"), Decimal("0.00000001"))


def levels(text: str) -> list[Level]:
    return [(price, size) for price, _, size in (level.partition("/") for level in text.split())]


def message(
    kind: int, seq: int, bids: list[Level], asks: list[Level], checksum: int, *, depth: int = 10, of: Instrument = BTC
) -> Rows:
    at = RowOrigin(0, of, seq, seq * 1_000, 0)
    rows = book_rows(kind, at, (seq, 0, 0) if kind == r.SNAPSHOT else (0, seq, 0), bids, asks)
    rows[-1, r.LAST] = 0
    return np.concatenate([rows, check_row(at, checksum, style=STYLE_DIGITS, levels=10, depth=depth)])


def test_the_documented_example_agrees_and_any_other_number_makes_a_gap_and_loses_the_book() -> None:
    market = Market.empty([BTC])
    market.fold(message(r.SNAPSHOT, 1, levels(BIDS), levels(ASKS), CHECKSUM))
    assert market.flags == layout.BOOK_JOINED
    assert market.book_state(0) is BookState.SYNCED

    market.fold(message(r.DIFF, 2, [("45283.5", "0.2")], [], CHECKSUM))
    assert market.flags == layout.BOOK_NEEDS_SNAPSHOT | layout.MISSED
    assert market.book_state(0) is BookState.BROKEN
    assert market.counters(0).book_gaps == 1
    found = market.last_break(0)
    assert (found.stream, found.last_id, found.first_id, found.last_seq) == (SequencedStream.CHECKSUM, 1, 2, 2)

    market.fold(message(r.SNAPSHOT, 3, levels(BIDS), levels(ASKS), CHECKSUM))
    assert market.book_state(0) is BookState.SYNCED


def test_a_message_without_checksum_is_applied_unchecked() -> None:
    market = Market.empty([BTC])
    market.fold(message(r.SNAPSHOT, 1, levels(BIDS)[:4], levels(ASKS)[:4], -1))
    market.fold(message(r.SNAPSHOT, 2, levels(BIDS), levels(ASKS), CHECKSUM))
    assert market.book_state(0) is BookState.SYNCED
    assert len(market.levels(0, r.BID)) == 10


@pytest.mark.parametrize("has_window", [False, True])
def test_levels_pushed_out_of_the_depth_are_dropped_or_the_next_checksum_fails(has_window: bool) -> None:
    """The venue sends no deletion for them: they would return as phantoms when a better level goes."""
    random, depth = Random(5), 12
    books: tuple[dict[int, int], dict[int, int]] = ({}, {})  # of the venue: price -> size
    of = Instrument("v:B", "v", "B", "BTC", "USD", 1, 3, Decimal("0.1"), Decimal("0.001"))
    market, seq = Market.empty([of]), 1
    for side, direction in ((0, -1), (1, 1)):
        books[side].update({10_000 + direction * (n + 1): 1_000 + n for n in range(depth)})
    market.fold(message(r.SNAPSHOT, seq, *texts(books), checksum(books), depth=depth, of=of))
    if not has_window:
        market.sides[:, N_PATIENCE] = 10**9  # else the next diff builds the dense window
    dropped = 0
    for seq in range(2, 400):
        side = random.randrange(2)
        changes: tuple[dict[int, int], dict[int, int]] = ({}, {})
        for _ in range(3):
            best = (max if side == 0 else min)(books[side])
            price = best + random.choice((-1, 1)) * random.randrange(9)
            taken = books[1 - side] or {0: 0}
            if (price >= min(taken)) if side == 0 else (price <= max(taken)):
                continue
            size = random.choice((0, 1, 2, 3)) * (1 + random.randrange(9_000))
            if size or len(books[side]) > 10:
                changes[side][price] = size
                books[side].pop(price, None)
                books[side].update({price: size} if size else {})
        for book, better in ((books[0], True), (books[1], False)):
            for price in sorted(book, reverse=better)[depth:]:
                del book[price]
                dropped += 1
        market.fold(message(r.DIFF, seq, *texts(changes), checksum(books), depth=depth, of=of))
        assert market.book_state(0) is BookState.SYNCED, seq
    assert dropped
    assert bool(market.sides[0, N_COUNT]) is has_window


def texts(books: tuple[dict[int, int], dict[int, int]]) -> tuple[list[Level], list[Level]]:
    bids, asks = ([(f"{price / 10:.1f}", f"{size / 1000:.3f}") for price, size in book.items()] for book in books)
    return bids, asks


def checksum(books: tuple[dict[int, int], dict[int, int]]) -> int:
    """The checksum as the venue computes it, apart from the code that is tested."""
    best = [*sorted(books[1])[:10]], [*sorted(books[0], reverse=True)[:10]]
    text = "".join(f"{price}{book[price]}" for prices, book in zip(best, books[::-1], strict=True) for price in prices)
    return zlib.crc32(text.encode())
