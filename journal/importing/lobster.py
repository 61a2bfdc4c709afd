"""LOBSTER's message files: NASDAQ's orders one by one, of one stock and day.

    AAPL_2012-06-21_34200000_57600000_message_10.csv  seconds after midnight, type, order, size, price, direction
    AAPL_2012-06-21_34200000_57600000_orderbook_10.csv  ask, size, bid, size, ask ...: the book after each message

Prices are in ten-thousandths of a dollar; the clock is New York's. The file of the book beside it gives the book after
the first message; without it the book begins with nothing. Source: https://lobsterdata.com/info/DataStructure.php.
"""

import re
from collections.abc import Iterator
from itertools import chain, islice

from journal.errors import CaptureRefusedError
from journal.importing.data_kinds import BOOKS, ORDERS, TRADES
from journal.importing.lines import CapturedRow, CaptureLines, CaptureReader
from journal.importing.new_york import NewYorkDay
from journal.importing.row_head import ASK, ORDER, SNAPSHOT, empty_book, row_head
from journal.importing.stamps import from_number
from journal.record import Kind

NAME = "lobster"
ABOUT = "LOBSTER's order by order messages: <stock>_<day>_<start>_<end>_message_<levels>.csv"
ALLOWS = (TRADES, BOOKS, ORDERS)
COLUMNS = ("time", "type", "order", "size", "price", "direction")
ACTIONS = {"add": "1", "cancel": "2|3", "fill": "4", "hidden": "5"}
NOTHING = b"-9999999999", b"9999999999"  # prices of levels that do not exist
_FILE = re.compile(r"(.+)_(\d{4}-\d\d-\d\d)_\d+_\d+_message_\d+\.csv", re.IGNORECASE)
_LINE = re.compile(rb"\d{1,5}(?:\.\d{1,9})?,([1-7]),\d{1,18},\d{1,12},-?\d{1,12},-?1")
_OF_ORDERS = b"12345"  # types; 6 is a trade of an auction, 7 a halt
_DAY_NS = 86_400_000_000_000


def is_format(_head: bytes, name: str) -> bool:
    """Return True if the csv's name is one that LOBSTER gives."""
    return _FILE.fullmatch(name) is not None


def read(lines: CaptureLines) -> CaptureReader:
    """Read a day of one stock.

    Raises:
        CaptureRefusedError: The csv's name is not LOBSTER's.
    """
    match = _FILE.fullmatch(lines.name)
    if match is None:
        raise CaptureRefusedError(
            f"{lines.path}: the csv is named {lines.name!r}, which does not state its stock and day. What to do: "
            "rename it as LOBSTER does, AAPL_2012-06-21_34200000_57600000_message_10.csv."
        )
    day = NewYorkDay(match[2].replace("-", ""), str(lines.path))
    columns = {ASK: 5, "price": 4, "size": 3, "id": 2, "action": 1}
    head = row_head(ORDER, "orders", match[1].upper(), columns, word="-1", exponent=-4, quote="USD", actions=ACTIONS)
    book = lines.path.with_name(lines.path.name.replace("_message_", "_orderbook_"))
    about = {"unit": "s", "day": match[2], "columns": list(COLUMNS), "head": head.decode().strip()}
    about["book"] = book.name if book.exists() else ""
    rows = _rows(lines, day, head)
    first = list(islice(rows, 1))
    begin = [CapturedRow(row.stamp_ns, empty_book(head)) for row in first]
    if book.exists():
        opening = _first_book(CaptureLines(book), match[1].upper())
        begin = [*first, *(CapturedRow(row.stamp_ns, opening) for row in first)]
        first = []
    return CaptureReader("venue", about, chain(begin, first, rows))


def _rows(lines: CaptureLines, day: NewYorkDay, head: bytes) -> Iterator[CapturedRow]:
    before_ns = 0
    for line in lines:
        text = line.rstrip(b"\r")
        if not text:
            lines.note_dirt("an empty line")
            continue
        match = _LINE.fullmatch(text)
        since_ns = from_number(text.partition(b",")[0], "s") if match else _DAY_NS
        if match is None or since_ns >= _DAY_NS:
            raise lines.damaged(f"is not {', '.join(COLUMNS)}")
        stamp_ns = day.utc_ns(since_ns)
        if stamp_ns < before_ns:
            raise lines.damaged("is earlier than the line before")
        before_ns = stamp_ns
        if match[1] in _OF_ORDERS:
            yield CapturedRow(stamp_ns, head + line)
        else:
            yield CapturedRow(stamp_ns, None, Kind.LINK, {"state": "note", "text": text.decode()})


def _first_book(lines: CaptureLines, symbol: str) -> bytes:
    """Return the book of the first line as a message."""
    try:
        numbers = next(lines, b"").rstrip(b"\r").split(b",")
    finally:
        lines.close()
    is_book = not len(numbers) % 4 and all(number.lstrip(b"-").isdigit() for number in numbers)
    if not is_book or any(number.startswith(b"-") for number in numbers[1::2]):
        raise lines.damaged("is not a book: ask, size, bid, size, and so on", line=1)
    if NOTHING[0] not in numbers and int(numbers[0]) <= int(numbers[2]):
        raise lines.damaged("is a crossed book", line=1)
    head = row_head(SNAPSHOT, "orders", symbol, {ASK: 0, "price": 1, "size": 2}, word="ask", exponent=-4, quote="USD")
    levels = [
        b",".join((b"ask" if k % 4 == 0 else b"bid", numbers[k], numbers[k + 1]))
        for k in range(0, len(numbers), 2)
        if numbers[k] not in NOTHING and numbers[k + 1] != b"0"
    ]
    return head + b"\n".join(levels)
