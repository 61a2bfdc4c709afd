"""The head that an import writes before each line of a table: what the line holds, and in which columns.

A message is the head, a newline and the line as the file has it; a book message has several lines. Readers need no code
of the importer (engine/venues/neutral/head.py reads heads, docs/data-formats.md describes them).
"""

from collections.abc import Iterator, Mapping
from typing import Final

from journal.importing.lines import CapturedRow

TRADE, QUOTE, BAR, DIFF, SNAPSHOT, ORDER = "trade", "quote", "bar", "diff", "book", "order"
MARKETS = (SPOT, LINEAR, INVERSE) = "spot", "linear", "inverse"
MAKER: Final = "maker"  # a column that says whether the buyer was the maker, or which side the taker had
ACTIONS: Final = ("add", "cancel", "fill", "hidden")  # what happened to an order; "hidden": a trade outside the book
NO_ACTIONS: Final[Mapping[str, str]] = {}
ASK: Final = "ask"  # of a level: a column that says which side it is on


def row_head(
    kind: str,
    stream: str,
    symbol: str,
    columns: Mapping[str, int],
    *,
    word: str = "",
    seconds: int = 0,
    exponent: int = 0,
    market: str = SPOT,
    quote: str = "",
    actions: Mapping[str, str] = NO_ACTIONS,
) -> bytes:
    """Return the head of a table's lines, with its newline.

    Args:
        kind: One of the kinds above.
        stream: The source's name of the table. Of two tables with the same trades, only one counts.
        symbol: The instrument.
        columns: Field to column, from 0.
        word: The text of `maker` if the buyer was the maker, or of `ask` if the level is an ask, in any case.
        seconds: The length of a bar.
        exponent: Prices are written as multiples of ten to this.
        market: One of the markets above.
        quote: The asset in which the symbol is quoted, if its name does not show it.
        actions: Of orders: one of ACTIONS to the words that stand for it in the column `action`, joined by `|`.
    """
    pairs = [f"{name}={column}" + (f":{word}" if name in (MAKER, ASK) and kind != QUOTE and word else "")
             for name, column in columns.items()]  # fmt: skip
    options = {"seconds": seconds, "exponent": exponent, "market": "" if market == SPOT else market, "quote": quote}
    pairs += [f"{name}={value}" for name, value in (*options.items(), *actions.items()) if value]
    return f"#{kind} {stream} {symbol} {' '.join(pairs)}\n".encode()


def after_empty_book(rows: Iterator[CapturedRow], head: bytes) -> Iterator[CapturedRow]:
    """Yield a book without orders, as of the first row, and the rows."""
    first = next(rows, None)
    if first is not None:
        yield CapturedRow(first.stamp_ns, empty_book(head))
        yield first
        yield from rows


def empty_book(head: bytes) -> bytes:
    """Return the message of a book without orders, for a table of orders with this head."""
    return b"#" + SNAPSHOT.encode() + head[1 + len(ORDER) :]
