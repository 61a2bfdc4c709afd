"""Tables with a stated mapping, csv or Parquet: bars, trades, quotes or orders of any source.

The caller says which column holds which field: `start=open_time:ms,open=o,high=h,low=l,close=c,volume=v,seconds=60`.
A column is a name of the header, or its number from 0. A row of a Parquet file becomes the line that csv would have.
"""

import re
from collections.abc import Iterator
from math import inf
from typing import Any, NamedTuple

from journal.errors import CaptureRefusedError
from journal.importing.data_kinds import BARS, ORDERS, QUOTES, TRADES
from journal.importing.lines import CapturedRow, CaptureLines, CaptureReader
from journal.importing.row_head import (
    ACTIONS,
    ASK,
    BAR,
    MAKER,
    MARKETS,
    ORDER,
    QUOTE,
    SPOT,
    TRADE,
    after_empty_book,
    row_head,
)
from journal.importing.stamps import UNIT_NS, UNIT_OF_DIGITS, from_iso, from_number

NAME = "table"
ABOUT = "a table with --columns: csv or Parquet of bars, trades, quotes or orders"
ALLOWS = (BARS, TRADES, QUOTES, ORDERS)
PARQUET = b"PAR1"
EXAMPLE = "--columns start=0:ms,open=1,high=2,low=3,close=4,volume=5,seconds=60 --symbol BTCUSDT"
BATCH_ROWS = 65_536
FIELDS = {
    ORDER: ("action", "id", ASK, "price", "size"),
    BAR: ("open", "high", "low", "close", "volume"),
    QUOTE: ("bid", "bid_size", "ask", "ask_size", "id"),
    TRADE: ("price", "size", "id", MAKER),
}
TIMES = ("time", "start", "end")
SETTINGS = ("seconds", "exponent", "market", "quote", "stream", *ACTIONS)
UNITS = (*UNIT_NS, "iso")
PRICES = frozenset({"open", "high", "low", "close"})
SIDES = frozenset({"bid", "ask"})
NUMBERS = PRICES | {"volume", "bid", "bid_size", "ask", "ask_size", "price", "size"}
_NAME = re.compile(r"[^,=:]+")
_NUMBER = re.compile(rb"[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,2})?")


class Mapping(NamedTuple):
    """The meaning of a table's columns, as the caller states it."""

    kind: str
    columns: dict[str, str]  # field -> name or number of its column
    time: str  # the column
    unit: str
    is_start: bool  # the time is the start of a bar
    word: str
    settings: dict[str, str]


def is_format(head: bytes, _name: str) -> bool:
    """Return True for a Parquet file; a csv of an unknown table needs --format."""
    return head.startswith(PARQUET)


def read(lines: CaptureLines, columns: str) -> CaptureReader:
    """Read a table.

    Raises:
        CaptureRefusedError: The mapping is missing, contradicts itself, or names no column of the file.
    """
    mapping = _parse(lines, columns)
    if not lines.symbol:
        raise CaptureRefusedError(f"{lines.path} is a table without a symbol. What to do: add --symbol BTCUSDT.")
    is_parquet = lines.head_bytes.startswith(PARQUET)
    names, texts = _parquet(lines, mapping) if is_parquet else _csv(lines, mapping)
    seconds = int(mapping.settings.get("seconds", "0"))
    head = row_head(
        mapping.kind,
        mapping.settings.get("stream", f"table.{seconds}" if seconds else "table"),
        lines.symbol,
        {field: names.index(column) for field, column in mapping.columns.items()},
        word=mapping.word,
        seconds=seconds,
        exponent=int(mapping.settings.get("exponent", "0")),
        market=mapping.settings.get("market", SPOT),
        quote=mapping.settings.get("quote", ""),
        actions={name: mapping.settings[name] for name in ACTIONS if name in mapping.settings},
    )
    texts = (line for line in texts if _is_row(lines, line))
    about = {"unit": mapping.unit, "columns": names, "mapping": columns, "head": head.decode().strip()}
    late_ns = seconds * UNIT_NS["s"] if mapping.is_start else 0
    times = _Times(names.index(mapping.time), mapping.unit, late_ns)
    numbers = {field: names.index(column) for field, column in mapping.columns.items() if field in NUMBERS}
    if mapping.kind == ORDER:
        del numbers[ASK]  # a word
    rows = _rows(lines, texts, times, numbers, head)
    return CaptureReader("venue", about, after_empty_book(rows, head) if mapping.kind == ORDER else rows)


def _parse(lines: CaptureLines, text: str) -> Mapping:
    """Parse the mapping."""

    def refusal(problem: str) -> CaptureRefusedError:
        return CaptureRefusedError(f"{lines.path}: {problem}. What to do: state its columns, as in {EXAMPLE}.")

    if not text:
        raise refusal("the columns of a table are not known")
    columns: dict[str, str] = {}
    settings: dict[str, str] = {}
    time = unit = word = ""
    is_start = False
    for pair in text.split(","):
        name, _, value = pair.strip().partition("=")
        column, _, argument = value.partition(":")
        if not _NAME.fullmatch(column):
            raise refusal(f"--columns has {pair.strip()!r}")
        if name in TIMES:
            time, unit, is_start = column, argument, name == "start"
        elif name in SETTINGS:
            settings[name] = value
        else:
            columns[name] = column
            word = argument or word
    kind = next((kind for kind, fields in FIELDS.items() if fields[0] in columns), "")
    if unknown := sorted(columns.keys() - set(FIELDS.get(kind, ()))):
        raise refusal(f"--columns has no field {unknown[0]!r}")
    if len({*columns.values()}) < len(columns):
        raise refusal("--columns gives one column to two fields")
    if settings.get("market", SPOT) not in MARKETS:
        raise refusal(f"market={settings['market']} is none of {', '.join(MARKETS)}")
    if time and unit not in UNITS:
        raise refusal(f"the unit of {time} is {unit or 'missing'}, and must be one of {', '.join(UNITS)}")
    if not kind or not time:
        raise refusal("--columns needs a time with its unit, and open, bid, price or action")
    if kind == ORDER and (missing := [name for name in FIELDS[ORDER] if name not in columns]):
        raise refusal(f"--columns has no {missing[0]}, and orders need {', '.join(FIELDS[ORDER])}")
    if kind == ORDER and "add" not in settings:
        raise refusal("--columns does not say which word of the action adds an order, as in add=A,cancel=D|X,fill=E")
    if kind != ORDER and (words := [name for name in ACTIONS if name in settings]):
        raise refusal(f"{words[0]}={settings[words[0]]} is for orders, which need a column as their action")
    if (kind == BAR) != settings.get("seconds", "0").isdecimal() * (settings.get("seconds", "0") != "0"):
        raise refusal("bars, and only they, need seconds=60 or another length")
    if not re.fullmatch(r"-?\d{1,2}", settings.get("exponent", "0")):
        raise refusal(f"exponent={settings['exponent']} is no power of ten")
    return Mapping(kind, columns, time, unit, is_start, word, settings)


def _csv(lines: CaptureLines, mapping: Mapping) -> tuple[list[str], Iterator[bytes]]:
    """Return the names of the columns and the lines. Numbers name columns of a file without a header."""
    wanted = [mapping.time, *mapping.columns.values()]
    if all(name.isdecimal() for name in wanted):
        return [str(number) for number in range(max(map(int, wanted)) + 1)], lines
    header = next(lines, b"").decode().rstrip("\r")
    names = [name.strip().strip('"') for name in header.split(",")]
    _require(lines, names, wanted)

    def without_header() -> Iterator[bytes]:
        for line in lines:
            if line.decode().rstrip("\r") == header:
                lines.note_dirt("the header again")
            else:
                yield line

    return names, without_header()


def _parquet(lines: CaptureLines, mapping: Mapping) -> tuple[list[str], Iterator[bytes]]:
    """Return the mapped columns of a Parquet file, and its rows as lines of csv."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    wanted = list(dict.fromkeys([mapping.time, *mapping.columns.values()]))
    try:
        file = pq.ParquetFile(lines.path)
    except (pa.ArrowException, OSError) as error:
        raise lines.damaged(f"cannot be read ({' '.join(str(error).split())})", line=1) from error
    _require(lines, file.schema_arrow.names, wanted)

    def rows() -> Iterator[bytes]:
        try:
            for batch in file.iter_batches(BATCH_ROWS, columns=wanted):
                texts = [_texts(batch.column(name), mapping.unit if name == mapping.time else "") for name in wanted]
                for row in zip(*texts, strict=True):
                    lines.number += 1
                    yield ",".join(row).encode()
        except (pa.ArrowException, OSError) as error:
            raise lines.damaged(f"cannot be read ({' '.join(str(error).split())})", line=lines.number + 1) from error

    return wanted, rows()


def _texts(column: Any, unit: str) -> list[str]:
    """Return the texts of a column. Timestamps become numbers of the stated unit."""
    import pyarrow as pa

    if unit in UNIT_NS and pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("ns", column.type.tz)).cast(pa.int64())
        return [str(ns // UNIT_NS[unit]) for ns in column.to_pylist()]
    return ["" if text is None else text for text in column.cast(pa.string()).to_pylist()]


def _require(lines: CaptureLines, names: list[str], wanted: list[str]) -> None:
    if missing := [name for name in wanted if name not in names]:
        raise CaptureRefusedError(
            f"{lines.path} has no column {missing[0]!r}; it has {', '.join(names)}. What to do: name one of these."
        )


class _Times(NamedTuple):
    """Where the time of a row is, and what it means."""

    column: int
    unit: str
    late_ns: int  # from it to the time at which the row is known

    def read(self, line: bytes) -> int:
        """Return the time at which a row is known. Raises ValueError or IndexError."""
        text = line.split(b",", self.column + 1)[self.column].strip().strip(b'"')
        likely = UNIT_OF_DIGITS.get(len(text)) if text.isdigit() else None
        if likely is not None and self.unit in UNIT_NS and likely != self.unit:
            raise ValueError(
                f"has the time {text.decode()}, which is no time in {self.unit}: state its unit as {likely}"
            )
        return (from_iso(text) if self.unit == "iso" else from_number(text, self.unit)) + self.late_ns


def _is_row(lines: CaptureLines, line: bytes) -> bool:
    if not line.strip():
        lines.note_dirt("an empty line")
    return bool(line.strip())


def _rows(
    lines: CaptureLines, texts: Iterator[bytes], times: _Times, numbers: dict[str, int], head: bytes
) -> Iterator[CapturedRow]:
    """Yield the rows. A line that the venue of tables could not read, or that is out of order, is an error."""
    before_ns = 0
    for line in texts:
        try:
            time_ns = times.read(line)
            values = _checked_values(line, numbers)
        except (ValueError, IndexError) as error:
            raise lines.damaged(str(error) if isinstance(error, ValueError) else "has too few columns") from error
        prices = values.values()
        if (
            prices
            and not values.keys() <= SIDES
            and not values.get("low", 0.0) <= min(prices) <= max(prices) <= values.get("high", inf)
        ):
            raise lines.damaged("has prices outside its low and high")
        if time_ns < before_ns:
            raise lines.damaged("is earlier than the line before: sort the table by its time")
        before_ns = time_ns
        is_one_sided = values.keys() <= SIDES and 0.0 in prices  # such a quote is kept, and is no part of the market
        yield CapturedRow(time_ns, line if is_one_sided else head + line)


def _checked_values(line: bytes, numbers: dict[str, int]) -> dict[str, float]:
    """Return the prices of a line. Raises ValueError if a number of it is none, or IndexError."""
    texts = line.rstrip(b"\r").split(b",")
    for field, column in numbers.items():
        if not _NUMBER.fullmatch(texts[column]):
            raise ValueError(f"has no number as its {field}")
    return {field: float(texts[column]) for field, column in numbers.items() if field in PRICES | SIDES}
