"""Rows of market records in blocks, which are unpacked when they are read, and their form in a cache.

Knows no journal and no venue: replay/projections.py makes the rows.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from engine.market import rows as r
from engine.market.fold.unpack import RUN_FIELDS, RUN_NS, add_runs, add_timed_runs, copy_runs
from engine.market.layout import NEVER
from engine.market.packed_rows import checksum, pack_rows, unpack_rows
from engine.market.rows import COLUMNS, LAST, SEQ, Rows
from journal.caches import ALIGNMENT
from journal.record import Record


class BlockFacts(NamedTuple):
    """The facts about a block that need no reading of its rows. A delay is the time less the venue's own stamp."""

    first_ns: int  # the times of its first and last rows
    last_ns: int
    types: int  # a bit for each of its row types
    largest: int  # no price and no size in it is larger
    first_stamp_ns: int  # no stamp is earlier; NEVER without stamps
    delay_ns_min: int  # NEVER without stamps
    unquoted_delay_ns_min: int  # of the rows that are no quotes
    delay_ns_max: int  # bars are left out: they are stamped with their start; 0 without stamps


BLOCK_ROWS_MIN = 256  # a block is not divided for a smaller part
# of blocks whose numbers do not fit the columns of packed_rows.py, such as those of a quiet market
CODEC = "lz4_raw"
BLOCKS_CACHED = 2  # the engine and the venue seldom read more at a time, and more do not fit the processor's cache
# the columns of the list of blocks
_RECORD = 0  # its first record, counted over all blocks
_SEQ = 1  # the seq of that record
_ROWS = 2  # number of rows if the block is compressed; 0: it is packed
_BEGIN = 3  # where its bytes begin
_BYTES = 4
_CHECKSUM = 5
_FIRST_NS = 6  # here its BlockFacts begin
_FACT_COUNT = len(BlockFacts._fields)
_BLOCK_FIELDS = _FIRST_NS + _FACT_COUNT
_COUNTS = 3  # numbers before the list of blocks in an index
FACTS = [_RECORD, _SEQ, *range(_FIRST_NS, _BLOCK_FIELDS)]
# the columns of prices and sizes, by row type
_AMOUNTS = {
    r.QUOTE: slice(r.QUOTE_BID, r.QUOTE_ID),
    r.TRADE: slice(r.TRADE_PRICE, r.TRADE_ID),
    r.LEVEL: slice(r.LEVEL_PRICE, r.LEVEL_SIZE + 1),
    r.ORDER: slice(r.ORDER_PRICE, r.ORDER_SIZE + 1),
    r.BAR: slice(r.BAR_OPEN, r.BAR_VOLUME + 1),
}

UnpackedRows = tuple[Rows, Rows]  # rows, and for each of their records one past its last row


class DamagedBlockError(Exception):
    """A block of a cache is not the one that was written."""


class Projection:
    """The market's rows in one part of a journal, and the seqs of all other records from outside.

    The rows are in blocks of whole records, which are unpacked on demand, so that a block is folded while it is in the
    processor's cache.
    """

    def __init__(self, facts: Rows, records: int, others: Rows, read_block: Callable[[int], UnpackedRows]) -> None:
        """Prepare; nothing is read yet.

        Args:
            facts: The columns FACTS of the list of blocks.
            records: The number of market records.
            others: The seq of each record from outside that has no rows, and the number of market records before it.
            read_block: Returns the rows of a block.
        """
        self.records = records
        self.stored_others: list[Record] | None = None  # these records, if they are few
        self.other_seqs, self.other_places = others[:, 0], others[:, 1]
        self._first_seqs = facts[:, 1]
        self._facts = [BlockFacts(*numbers) for numbers in facts[:, 2:].tolist()]
        self._firsts: list[int] = [*facts[:, 0].tolist(), records]
        self._read_block = read_block
        self._cached_blocks: dict[int, UnpackedRows] = {}

    @cached_property
    def seqs(self) -> Rows:
        """The seqs of the market records."""
        parts = [rows[ends - 1, SEQ] for rows, ends in self.rows(0, self.records)]
        return np.concatenate([np.empty(0, np.int64), *parts])

    def count_before(self, seq: int) -> int:
        """Return the number of market records with a lower seq."""
        block = int(np.searchsorted(self._first_seqs, seq)) - 1
        if block < 0:
            return 0
        rows, ends = self.block(block)
        return self._firsts[block] + int(np.searchsorted(rows[ends - 1, SEQ], seq))

    def rows(self, first: int, last: int) -> Iterator[UnpackedRows]:
        """Yield the rows of records `first` to `last - 1`, block by block, and the ends of their records."""
        return (part.unpack() for part in self.parts(first, last))

    def parts(self, first: int, last: int) -> "Iterator[BlockPart]":
        """Yield the parts of blocks that have the records `first` to `last - 1`. Their rows are not read."""
        block = bisect_right(self._firsts, first) - 1
        while first < last:
            begin, end = self._firsts[block], self._firsts[block + 1]
            yield BlockPart(self, block, first - begin, min(last, end) - begin, end - begin)
            first = end
            block += 1

    def block(self, block: int) -> UnpackedRows:
        """Return the rows of a block and the ends of its records."""
        found = self._cached_blocks.get(block)
        if found is None:
            while len(self._cached_blocks) >= BLOCKS_CACHED:
                del self._cached_blocks[next(iter(self._cached_blocks))]
            found = self._cached_blocks[block] = self._read_block(block)
        return found

    def facts(self, block: int) -> BlockFacts:
        """Return the facts of a block."""
        return self._facts[block]


class BlockPart:
    """The rows of some records in one block, which are unpacked when they are read."""

    def __init__(self, projection: Projection, block: int, first: int, last: int, records: int) -> None:
        """Name the records `first` to `last - 1` of a block that has so many `records`."""
        self._projection = projection
        self._block = block
        self._first = first
        self._last = last
        self._is_whole = last - first == records
        self._of_block = projection.facts(block)
        self.first_ns, self.last_ns = self._of_block.first_ns, self._of_block.last_ns
        self.largest = self._of_block.largest  # no price and no size is larger
        self.delay_ns_max = self._of_block.delay_ns_max  # no delay is longer
        if not self._is_whole:
            self.first_ns, self.last_ns = self.read()[[0, -1], r.TIME_NS].tolist()

    @cached_property
    def facts(self) -> BlockFacts:
        """The facts about these rows alone."""
        return self._of_block if self._is_whole else facts_of(self.read())

    @property
    def records(self) -> int:
        """The number of records."""
        return self._last - self._first

    def may_have(self, row_type: int) -> bool:
        """Return False if no row is of this type."""
        return bool(self._of_block.types >> row_type & 1)

    def read(self) -> Rows:
        """Return the rows."""
        return self.unpack()[0]

    def unpack(self) -> UnpackedRows:
        """Return the rows and the ends of their records."""
        rows, ends = self._projection.block(self._block)
        if self._is_whole:
            return rows, ends
        row = int(ends[self._first - 1]) if self._first else 0
        ends = ends[self._first : self._last]
        return rows[row : ends[-1]], ends - row


def facts_of(rows: Rows) -> BlockFacts:
    """Return the facts of some rows."""
    types = np.unique(rows[:, r.TYPE]).tolist()
    amounts = [int(rows[rows[:, r.TYPE] == kind, _AMOUNTS[kind]].max()) for kind in types if kind in _AMOUNTS]
    stamped = rows[rows[:, r.VENUE_NS] > 0]
    delays, kinds = stamped[:, r.TIME_NS] - stamped[:, r.VENUE_NS], stamped[:, r.TYPE]
    return BlockFacts(
        first_ns=int(rows[0, r.TIME_NS]),
        last_ns=int(rows[-1, r.TIME_NS]),
        types=sum(1 << kind for kind in types),
        largest=max(amounts, default=0),
        first_stamp_ns=int(stamped[:, r.VENUE_NS].min(initial=NEVER)),
        delay_ns_min=int(delays.min(initial=NEVER)),
        unquoted_delay_ns_min=int(delays[kinds != r.QUOTE].min(initial=NEVER)),
        delay_ns_max=int(delays[kinds != r.BAR].max(initial=0)),
    )


def rows_by_stamp(parts: Sequence[BlockPart], offset_ns: int, left_out: int) -> Iterator[Rows]:
    """Yield rows in the order of the venue's stamps, which become their times.

    A row is yielded as soon as no later part has an earlier stamp.

    Args:
        parts: The rows.
        offset_ns: Our clock less the venue's.
        left_out: The type of rows that are left out.
    """
    lows_ns = [min(part.first_ns, part.facts.first_stamp_ns + offset_ns) for part in parts]
    later_ns = [*accumulate(reversed([*lows_ns[1:], NEVER]), min)][::-1]  # of all parts after each
    left: Rows = np.empty((0, r.COLUMNS), np.int64)  # in order, with their times
    unread: list[BlockPart] = []
    low_ns = NEVER  # no time of these rows is lower
    for part, own_ns, until_ns in zip(parts, lows_ns, later_ns, strict=True):
        unread.append(part)
        low_ns = min(low_ns, own_ns)
        if until_ns < low_ns:
            continue  # a later part has a stamp before all of these
        rows = unread[0].read() if len(unread) == 1 else np.concatenate([waiting.read() for waiting in unread])
        unread.clear()
        runs: Rows = np.empty((len(left) + len(rows), RUN_FIELDS), np.int64)
        count = add_runs(rows, offset_ns, left_out, len(left), runs, add_timed_runs(left, runs))
        order = np.argsort(runs[:count, RUN_NS], kind="stable")
        table: Rows = np.empty((len(runs), r.COLUMNS), np.int64)
        done, count = copy_runs(runs, order, until_ns, left, rows, table)
        if done:
            yield table[:done]
        left = table[done:count]
        low_ns = int(left[0, r.TIME_NS]) if len(left) else NEVER


def warm_order() -> None:
    """Compile what puts rows into the order of the venue's clock."""
    rows: Rows = np.zeros((0, r.COLUMNS), np.int64)
    runs: Rows = np.zeros((0, RUN_FIELDS), np.int64)
    count = add_runs(rows, 0, 0, 0, runs, add_timed_runs(rows, runs))
    copy_runs(runs, np.zeros(count, np.int64), NEVER, rows, rows, rows)


class _CachedBlocks:
    """The blocks of a cache, which are checked and unpacked when they are read."""

    def __init__(self, listed: Rows, data: memoryview, rebuild: Callable[[], Projection]) -> None:
        self._listed = listed
        self._data = data
        self._rebuild = rebuild
        self._rebuilt: Projection | None = None  # after the first damaged block

    def read(self, block: int) -> UnpackedRows:
        """Return the rows of a block; of one that is damaged, decode the segment again."""
        if self._rebuilt is None:
            try:
                return _unpack(self._data, self._listed[block])
            except DamagedBlockError:
                self._rebuilt = self._rebuild()
        begin, end = self._listed[block, _RECORD], self._rebuilt.records
        if block + 1 < len(self._listed):
            end = self._listed[block + 1, _RECORD]
        parts = list(self._rebuilt.rows(int(begin), int(end)))
        before = np.cumsum([0, *(len(rows) for rows, _ in parts)])
        ends = np.concatenate([ends + length for (_, ends), length in zip(parts, before, strict=False)])
        return np.concatenate([rows for rows, _ in parts]), ends


# ---- the cache: an index, which is a list of numbers, and the blocks


def encode(projection: Projection) -> tuple[bytes, list[bytes]]:
    """Return the index of a projection, which has the checksums of its blocks, and the blocks."""
    listed: list[list[int]] = []
    blocks: list[bytes] = []
    record = begin = 0
    for rows, ends in projection.rows(0, projection.records):
        for part, part_ends, packed in _packed_parts(rows, ends):
            data = pa.compress(part.tobytes(), codec=CODEC, asbytes=True) if packed is None else packed
            whole = data + bytes(-len(data) % ALIGNMENT)
            wanted = checksum(np.frombuffer(whole, np.int64))
            plain_rows = len(part) if packed is None else 0
            facts = facts_of(part)
            listed.append([record, int(part[0, SEQ]), plain_rows, begin, len(data), wanted, *facts])
            blocks.append(whole)
            record += len(part_ends)
            begin += len(whole)
    counts = [projection.records, len(listed), len(projection.other_seqs)]
    others = np.column_stack([projection.other_seqs, projection.other_places])
    index = np.concatenate([counts, np.ravel(listed).astype(np.int64), others.ravel()]).astype(np.int64)
    return index.tobytes() + msgspec.msgpack.encode(projection.stored_others), blocks


def _packed_parts(rows: Rows, ends: Rows) -> Iterator[tuple[Rows, Rows, bytes | None]]:
    """Yield a block, or the parts of it that can be packed. A part that cannot be packed has no bytes.

    At a jump, such as of ids that begin again or of a time without messages, a new part begins.
    """
    while len(ends):
        packed, records = pack_rows(rows), len(ends)
        if packed is None and (records := _packable(rows, ends)):
            packed = pack_rows(rows[: ends[records - 1]])
        records = records or len(ends)
        row = int(ends[records - 1])
        yield rows[:row], ends[:records], packed
        rows, ends = rows[row:], ends[records:] - row


def _packable(rows: Rows, ends: Rows) -> int:
    """Return how many records from the first one on can be packed; 0 if their rows are too few."""
    fit = int(np.searchsorted(ends, BLOCK_ROWS_MIN)) + 1  # so many fit
    if fit > len(ends) or pack_rows(rows[: ends[fit - 1]]) is None:
        return 0
    too_many = len(ends)
    while too_many - fit > 1:
        middle = (fit + too_many) // 2
        if pack_rows(rows[: ends[middle - 1]]) is None:
            too_many = middle
        else:
            fit = middle
    return fit


def decode(index: memoryview, data: memoryview, rebuild: Callable[[], Projection]) -> Projection:
    """Return a projection of an index and its blocks, which are checked when they are read.

    Args:
        index: The index.
        data: The bytes of the blocks.
        rebuild: Makes the projection again if a block is damaged.
    """
    records, blocks, others = np.frombuffer(index, np.int64, _COUNTS).tolist()
    words = np.frombuffer(index, np.int64, _COUNTS + blocks * _BLOCK_FIELDS + 2 * others)
    listed = words[_COUNTS : -2 * others or None].reshape(blocks, _BLOCK_FIELDS)
    places = words[len(words) - 2 * others :].reshape(others, 2)
    projection = Projection(listed[:, FACTS], records, places, _CachedBlocks(listed, data, rebuild).read)
    projection.stored_others = msgspec.msgpack.decode(index[words.nbytes :], type=list[Record] | None)
    return projection


def _unpack(data: memoryview, listed: Rows) -> UnpackedRows:
    """Return the rows of a block, given as its line in the list of blocks."""
    _, _, plain_rows, begin, length, wanted, *_ = listed.tolist()
    whole = data[begin : begin + length + -length % ALIGNMENT]
    if len(whole) != length + -length % ALIGNMENT:
        raise DamagedBlockError
    words = np.frombuffer(whole, np.int64)
    if checksum(words) != wanted:
        raise DamagedBlockError
    if not plain_rows:
        return unpack_rows(words)
    rows = np.frombuffer(pa.decompress(whole[:length], plain_rows * COLUMNS * 8, codec=CODEC), np.int64)
    rows = rows.reshape(plain_rows, COLUMNS)
    return rows, np.flatnonzero(rows[:, LAST]) + 1
