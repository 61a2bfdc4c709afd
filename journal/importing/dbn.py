"""Databento's DBN files: trades, mbp-1, tbbo, bbo, mbp-10 and ohlcv of any dataset, plain or zstd.

Databento's own library decodes them (`pip install 'verbatim-trading[databento]'`). A record becomes a line of its
fields, with prices in plain decimals and the time of receipt at Databento; a bar has its end. The rows of a book are
the differences to the ten levels before, since each record states all ten. Symbols are those of the file's mappings.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from journal.errors import CaptureRefusedError
from journal.importing.data_kinds import BARS, BOOKS, QUOTES, TRADES
from journal.importing.lines import CapturedRow, CaptureLines, CaptureReader
from journal.importing.row_head import BAR, DIFF, LINEAR, QUOTE, SNAPSHOT, SPOT, TRADE, row_head

NAME = "dbn"
ABOUT = "Databento's DBN: trades, mbp-1, tbbo, bbo, mbp-10, ohlcv (the extra `databento`)"
ALLOWS = (BARS, TRADES, QUOTES, BOOKS)
MAGIC = b"DBN"
READ_BYTES = 1 << 20
SECOND_NS = 1_000_000_000
BAR_SECONDS: Final = {"ohlcv-1s": 1, "ohlcv-1m": 60, "ohlcv-1h": 3_600, "ohlcv-1d": 86_400}
FUTURES: Final = {"GLBX": "USD", "IFUS": "USD", "IFEU": "USD", "NDEX": "EUR", "XEUR": "EUR", "XEEE": "EUR"}  # dataset
COLUMNS: Final = {
    TRADE: {"maker": 2, "price": 3, "size": 4},
    QUOTE: {"bid": 2, "bid_size": 3, "ask": 4, "ask_size": 5},
    BAR: {"open": 1, "high": 2, "low": 3, "close": 4, "volume": 5},
    DIFF: {"ask": 0, "price": 1, "size": 2},
    SNAPSHOT: {"ask": 0, "price": 1, "size": 2},
}
WORDS: Final = {TRADE: "A", DIFF: "ask", SNAPSHOT: "ask"}  # a taker that sold met a buyer who was the maker
_Level = tuple[str, int]  # side and price


def is_format(head: bytes, _name: str) -> bool:
    """Return True if the file begins as DBN does."""
    return head.startswith(MAGIC)


def read(lines: CaptureLines) -> CaptureReader:
    """Read a file of one schema.

    Raises:
        CaptureRefusedError: Databento's library is missing, or the schema holds no market.
    """
    try:
        import databento_dbn
    except ImportError as error:
        raise CaptureRefusedError(
            f"{lines.path} is DBN, which Databento's library reads. What to do: pip install databento-dbn."
        ) from error
    file = _File(lines, databento_dbn)
    about = {"unit": "ns", "schema": file.schema, "dataset": file.dataset, "dbn_version": file.version}
    return CaptureReader("venue" if file.schema in BAR_SECONDS else "receive", about, file.rows())


class _File:
    """A file during its import."""

    def __init__(self, lines: CaptureLines, library: Any) -> None:
        self._lines, self._library = lines, library
        self._records = self._decoded()
        metadata = next(self._records, None)
        if not isinstance(metadata, library.Metadata):
            raise lines.damaged("does not begin with the metadata of DBN", line=1)
        self.schema, self.dataset, self.version = str(metadata.schema), metadata.dataset, metadata.version
        self._readers = {
            "trades": self._trade, "mbp-1": self._top, "tbbo": self._top, "bbo-1s": self._top, "bbo-1m": self._top,
            "mbp-10": self._levels, **dict.fromkeys(BAR_SECONDS, self._bar),
        }  # fmt: skip
        if self.schema not in self._readers:
            raise CaptureRefusedError(
                f"{lines.path} has the schema {self.schema}, which holds no market. "
                f"What to do: request one of {', '.join(self._readers)}."
            )
        self._symbols = _Symbols(metadata, lines)
        self._heads: dict[tuple[str, str], bytes] = {}
        self._books: dict[int, dict[_Level, int]] = {}
        self._names: dict[int, str] = {}

    def rows(self) -> Iterator[CapturedRow]:
        """Yield the rows of all records."""
        read_record = self._readers[self.schema]
        for record in self._records:
            self._lines.number += 1
            name = type(record).__name__
            if name.startswith("SymbolMapping"):
                self._names[record.instrument_id] = record.stype_in_symbol
            elif not name.startswith(("System", "Error")):
                yield from read_record(record)

    def _decoded(self) -> Iterator[Any]:
        decoder = self._library.DBNDecoder()
        try:
            while data := self._lines.read_bytes(READ_BYTES):
                yield from decoder.write_and_decode(data)
        except self._library.DBNError as error:
            raise self._lines.damaged(f"cannot be read ({' '.join(str(error).split())})") from error
        if decoder.buffer():
            self._lines.cut = True
            raise self._lines.damaged("the last record is truncated", line=self._lines.number + 1)

    # ---- the schemas

    def _trade(self, record: Any) -> Iterator[CapturedRow]:
        line = f"{record.ts_event},{record.ts_recv},{_letter(record.side)},{_decimal(record.price)},{record.size}"
        yield CapturedRow(record.ts_recv, self._head(TRADE, record) + line.encode())

    def _top(self, record: Any) -> Iterator[CapturedRow]:
        """Yield a quote, and the trade of a record that has one. A tbbo states the quote before its trade."""
        is_trade = self.schema in ("mbp-1", "tbbo") and _letter(record.action) == "T"
        if is_trade and self.schema == "mbp-1":
            yield from self._trade(record)
        if self.schema != "mbp-1" or record.flags & self._library.F_LAST:
            yield self._quote(record)
        if is_trade and self.schema == "tbbo":
            yield from self._trade(record)

    def _quote(self, record: Any) -> CapturedRow:
        best = record.levels[0]
        sides = [(best.bid_px, best.bid_sz), (best.ask_px, best.ask_sz)]
        is_whole = all(price != self._library.UNDEF_PRICE for price, _ in sides)
        texts = (f"{_decimal(price)},{size}" for price, size in sides)
        line = f"{record.ts_event},{record.ts_recv},{','.join(texts)}".encode()
        return CapturedRow(record.ts_recv, self._head(QUOTE, record) + line if is_whole else line)

    def _levels(self, record: Any) -> Iterator[CapturedRow]:
        if _letter(record.action) == "T":
            yield from self._trade(record)
        if not record.flags & self._library.F_LAST:
            return  # an event is applied as a whole
        undefined = self._library.UNDEF_PRICE
        after: dict[_Level, int] = {}
        for level in record.levels:
            after |= {("bid", level.bid_px): level.bid_sz} if level.bid_px != undefined else {}
            after |= {("ask", level.ask_px): level.ask_sz} if level.ask_px != undefined else {}
        before = self._books.get(record.instrument_id)
        self._books[record.instrument_id] = after
        gone = {level: 0 for level in before or {} if level not in after}
        changed = gone | {level: size for level, size in after.items() if before is None or before.get(level) != size}
        if changed:
            kind = SNAPSHOT if before is None else DIFF
            text = "\n".join(f"{side},{_decimal(price)},{size}" for (side, price), size in changed.items())
            yield CapturedRow(record.ts_recv, self._head(kind, record) + text.encode())

    def _bar(self, record: Any) -> Iterator[CapturedRow]:
        prices = ",".join(map(_decimal, (record.open, record.high, record.low, record.close)))
        head = self._head(BAR, record)
        end_ns = record.ts_event + BAR_SECONDS[self.schema] * SECOND_NS
        yield CapturedRow(end_ns, head + f"{record.ts_event},{prices},{record.volume}".encode())

    def _head(self, kind: str, record: Any) -> bytes:
        name = self._names.get(record.instrument_id) or self._symbols.name(record.instrument_id, record.ts_event)
        key = kind, name
        if key not in self._heads:
            seconds = BAR_SECONDS.get(self.schema, 0)
            quote = FUTURES.get(self.dataset.partition(".")[0])
            self._heads[key] = row_head(
                kind, f"ohlcv.{seconds}" if seconds else self.schema, name.replace(" ", "_"), COLUMNS[kind],
                word=WORDS.get(kind, ""), seconds=seconds, market=LINEAR if quote else SPOT, quote=quote or "USD",
            )  # fmt: skip
        return self._heads[key]


class _Symbols:
    """The symbols of a file by instrument id and day."""

    def __init__(self, metadata: Any, lines: CaptureLines) -> None:
        self._given = lines.symbol
        self._spans: dict[str, list[tuple[str, str, str]]] = {}  # id -> first day, day after the last, symbol
        for symbol, spans in metadata.mappings.items():
            for span in spans:
                days = span["start_date"].isoformat(), span["end_date"].isoformat()
                self._spans.setdefault(span["symbol"], []).append((*days, symbol))
        if self._given and len(self._spans) > 1:
            raise CaptureRefusedError(f"{lines.path} has {len(self._spans)} instruments. What to do: omit --symbol.")

    def name(self, instrument_id: int, time_ns: int) -> str:
        """Return the symbol of an instrument on a day."""
        spans = self._spans.get(str(instrument_id), [])
        day = datetime.fromtimestamp(time_ns // SECOND_NS, UTC).date().isoformat()
        named = next((symbol for first, end, symbol in spans if first <= day < end), "")
        return self._given or named or (spans[0][2] if spans else f"ID{instrument_id}")


def _letter(value: Any) -> str:
    """Return the letter of a side or an action."""
    return str(getattr(value, "value", value))


def _decimal(units: int) -> str:
    """Return a price of whole billionths as a decimal."""
    sign, units = ("-", -units) if units < 0 else ("", units)
    whole, rest = divmod(units, 1_000_000_000)
    return f"{sign}{whole}" + (f".{rest:09}".rstrip("0") if rest else "")
