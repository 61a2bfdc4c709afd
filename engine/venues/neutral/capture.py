"""The market of an import's neutral messages: its instruments, their grids, and which of several tables counts."""

from collections.abc import Iterable
from decimal import Decimal

import numpy as np

from engine.market.rows import Rows
from engine.model import Instrument
from engine.venues.binance_common.capture import assets_of
from engine.venues.binance_common.capture_scan import Numbers
from engine.venues.captured_market import CapturedMarket, CaptureMessages
from engine.venues.neutral import scan
from engine.venues.neutral.head import (
    BAR,
    BOOK_KINDS,
    FIELDS,
    MARK,
    ORDER,
    PRICE,
    QUOTE,
    SECOND_NS,
    SIZE,
    TRADE,
    Head,
    layout_of,
    parse_head,
)

FINEST_FIRST = (ORDER, TRADE, BAR)  # kinds of tables that report trades
SIZE_PLACES = 8  # of an instrument whose tables have no sizes
_BARE = Instrument("", "", "", "", "", 0, 0, Decimal(1), Decimal(1))


class _TableScan:
    """The messages under one head in one source."""

    def __init__(self, head: Head) -> None:
        self.head = head
        self.layout = layout_of(head, 0, _BARE)
        self.count = 0
        self.found: Rows = np.zeros(4, np.int64)  # places and largest of prices, then of sizes

    def add(self, text: bytes, begin: int) -> None:
        """Measure the lines of a message, which begin at a place of its text."""
        self.count += 1
        if not scan.measure_lines(np.frombuffer(text, np.uint8), begin, len(text), self.layout, self.found):
            self._add_exactly(text[begin:])

    def _add_exactly(self, lines: bytes) -> None:
        for line in lines.split(b"\n"):
            texts = line.decode("utf-8", "replace").rstrip("\r").split(",")
            for name, column in self.head.columns.items():
                kind = FIELDS[self.head.kind][name][1]
                if kind not in (PRICE, SIZE) or column >= len(texts):
                    continue
                numbers = Numbers()
                try:
                    numbers.add(f"{Decimal(texts[column].strip()):f}")
                except ArithmeticError:
                    continue
                largest = int(min(numbers.largest, Decimal(2**53)))
                self.found[2 * kind] = max(self.found[2 * kind], numbers.places)
                self.found[2 * kind + 1] = max(self.found[2 * kind + 1], largest)


def identify(messages: CaptureMessages, venue: str) -> CapturedMarket | None:
    """Return the market of the neutral messages, or None without any."""
    tables: dict[tuple[str, bytes], _TableScan] = {}
    for message in messages:
        payload = message.payload
        if not payload.startswith(MARK) or message.meta is not None:
            continue
        begin = payload.find(b"\n") + 1
        key = message.source, payload[:begin]
        table = tables.get(key)
        if table is None:
            try:
                table = tables[key] = _TableScan(parse_head(payload[: begin - 1]))
            except (ValueError, LookupError):
                continue
        table.add(payload, begin)
    symbols: dict[str, list[_TableScan]] = {}
    for table in tables.values():
        symbols.setdefault(table.head.symbol, []).append(table)
    if not symbols:
        return None
    interval_ns = min(table.head.interval_ns for table in tables.values())
    kinds = {table.head.kind for table in tables.values()}
    return CapturedMarket(
        venue,
        tuple(_instrument(venue, symbol, found) for symbol, found in sorted(symbols.items())),
        bool(kinds & BOOK_KINDS),
        frozenset(source for source, _ in tables),
        inferred=tuple(sorted(symbols)),
        bar_interval_ns=interval_ns,
        lead_ns=max(interval_ns, SECOND_NS),
        largest=tuple((symbol, _largest(found, PRICE), _largest(found, SIZE)) for symbol, found in symbols.items()),
        without_sizes=tuple(symbol for symbol, found in sorted(symbols.items()) if not _has_sizes(found)),
    )


def _has_sizes(tables: Iterable[_TableScan]) -> bool:
    """Return True if the tables at which orders fill state sizes: quotes, and without these trades or bars."""
    heads = [table.head for table in tables]
    if any(head.kind in BOOK_KINDS for head in heads):
        return True
    quotes = [head for head in heads if head.kind == QUOTE]
    return any({"bid_size", "ask_size", "size", "volume"} & head.columns.keys() for head in quotes or heads)


def _largest(tables: Iterable[_TableScan], kind: int) -> Decimal:
    return max(Decimal(int(table.found[2 * kind + 1]) + 1).scaleb(_shift(table, kind)) for table in tables)


def _shift(table: _TableScan, kind: int) -> int:
    return table.head.price_exponent if kind == PRICE else 0


def _instrument(venue: str, symbol: str, tables: list[_TableScan]) -> Instrument:
    """Return the instrument of a symbol, with the finest grid of its tables."""
    price_places, size_places = (
        max(0, *(int(table.found[2 * kind]) - _shift(table, kind) for table in tables)) for kind in (PRICE, SIZE)
    )
    if not any(table.found[2 * SIZE + 1] or table.found[2 * SIZE] for table in tables):
        size_places = SIZE_PLACES
    head, kinds = tables[0].head, {table.head.kind for table in tables}
    base, quote = assets_of(symbol)
    if head.quoted_in:
        quote = head.quoted_in
        base = symbol.removesuffix(quote).rstrip("-_/") or symbol
    is_contract, is_inverse = head.market != "spot", head.market == "inverse"
    lot = Decimal(1).scaleb(-size_places)
    return Instrument(
        id=f"{venue}:{symbol}",
        venue=venue,
        symbol=symbol,
        base=base,
        quote=quote,
        price_scale=price_places,
        size_scale=size_places,
        tick_size=Decimal(1).scaleb(-price_places),
        lot_size=lot,
        quantity_min=lot,
        contract="PERPETUAL" if is_contract else "",
        contract_size=Decimal(100 if symbol.startswith("BTC") else 10) if is_inverse else Decimal(1),
        inverse=is_inverse,
        margin="" if not is_contract else base if is_inverse else quote,
        trade_stream=_stream_that_counts(tables),
        half_spread_ppm=-1 if kinds & {QUOTE, *BOOK_KINDS} else 0,
        quotes_from_book=bool(kinds & BOOK_KINDS) and QUOTE not in kinds,
        by_order=ORDER in kinds,
    )


def _stream_that_counts(tables: list[_TableScan]) -> str:
    """Return the table whose trades count where several report them: the finest, and of equals the fullest."""
    found: dict[str, tuple[int, int, int]] = {}
    for table in tables:
        if table.head.kind in FINEST_FIRST:
            rank, interval_ns, count = found.get(table.head.stream, (FINEST_FIRST.index(table.head.kind), 0, 0))
            found[table.head.stream] = rank, table.head.interval_ns or interval_ns, count - table.count
    return min(found, key=lambda stream: found[stream]) if len(found) > 1 else ""
