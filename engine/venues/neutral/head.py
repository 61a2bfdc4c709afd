"""The head of a neutral message: what the lines after it hold, and in which columns.

    #bar klines BTCUSDT seconds=60 open=1 high=2 low=3 close=4 volume=5
    1735689600000,93576.0,93610.93,93537.5,93610.93,8.21827,1735689659999,769042.7,2631,4.2,393098.1,0

An import writes a head before each line of a table and leaves the line as it is (docs/data-formats.md), so a message
can be read without the code of its importer. `layout_of` turns a head into numbers for compiled code.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np

from engine.market import rows as r
from engine.market.rows import Rows
from engine.model import Instrument

MARK: Final = b"#"
SECOND_NS: Final = 1_000_000_000
COLUMNS_MAX: Final = 64  # of a line; all later columns are skipped
WORD_MAX: Final = 16  # letters of the word that marks a side
PLACES_MAX: Final = 18

# Kinds of a field's text
PRICE: Final = 0
SIZE: Final = 1
WHOLE: Final = 2
WORD: Final = 3  # 1 if the text is the head's word
NAME: Final = 4  # a whole number, or a number made of any other text
ACTION: Final = 5  # the action of one of the head's words
FIELD_KINDS: Final = 6

TRADE, QUOTE, BAR, DIFF, SNAPSHOT, ORDER = "trade", "quote", "bar", "diff", "book", "order"
BOOK_KINDS: Final = frozenset({DIFF, SNAPSHOT, ORDER})
ROW_TYPES: Final[Mapping[str, int]] = {
    TRADE: r.TRADE,
    QUOTE: r.QUOTE,
    BAR: r.BAR,
    DIFF: r.DIFF,
    SNAPSHOT: r.SNAPSHOT,
    ORDER: r.ORDER,
}
# what happened to an order, by the option that lists the words for it. A hidden fill is a trade and changes no book
HIDDEN: Final = 3
NO_ACTION: Final = 4  # any other word
ACTIONS: Final[Mapping[str, int]] = {
    "add": r.ORDER_ADDED,
    "cancel": r.ORDER_CANCELLED,
    "fill": r.ORDER_FILLED,
    "hidden": HIDDEN,
}
ACTION_WORDS_MAX: Final = 16
# the fields of each kind: name -> its place among the values of a row, and how it is written
FIELDS: Final[Mapping[str, Mapping[str, tuple[int, int]]]] = {
    TRADE: {"price": (0, PRICE), "size": (1, SIZE), "id": (2, WHOLE), "maker": (3, WORD)},
    QUOTE: {"bid": (0, PRICE), "bid_size": (1, SIZE), "ask": (2, PRICE), "ask_size": (3, SIZE), "id": (4, WHOLE)},
    BAR: {"open": (0, PRICE), "high": (1, PRICE), "low": (2, PRICE), "close": (3, PRICE), "volume": (4, SIZE)},
    DIFF: {"ask": (0, WORD), "price": (1, PRICE), "size": (2, SIZE)},
    SNAPSHOT: {"ask": (0, WORD), "price": (1, PRICE), "size": (2, SIZE)},
    ORDER: {"ask": (0, WORD), "price": (1, PRICE), "size": (2, SIZE), "id": (3, NAME), "action": (4, ACTION)},
}
REQUIRED: Final[Mapping[str, frozenset[str]]] = {
    TRADE: frozenset({"price"}),
    QUOTE: frozenset({"bid", "ask"}),
    BAR: frozenset({"open", "high", "low", "close"}),
    DIFF: frozenset({"ask", "price", "size"}),
    SNAPSHOT: frozenset({"ask", "price", "size"}),
    ORDER: frozenset({"ask", "price", "size", "id", "action"}),
}
MARKETS: Final = ("spot", "linear", "inverse")

# Layout: the numbers of a head for compiled code
L_ROW_TYPE: Final = 0
L_RETOLD: Final = 1  # 1: another stream's trades count
L_INSTRUMENT: Final = 2
L_PRICE_SCALE: Final = 3  # at which the texts are read: the instrument's, less the exponent of the texts
L_SIZE_SCALE: Final = 4
L_INTERVAL_NS: Final = 5
L_HALF_SPREAD: Final = 6
L_TICK: Final = 7
L_HAS_ID: Final = 8
L_LAST_COLUMN: Final = 9
L_WORD_LENGTH: Final = 10
L_WORD: Final = 11
L_ROLES: Final = L_WORD + WORD_MAX  # of each column: 0, or 1 + FIELD_KINDS * place + kind
L_ACTION_WORDS: Final = L_ROLES + COLUMNS_MAX  # how many words stand for actions
L_ACTIONS: Final = L_ACTION_WORDS + 1  # of each word: its action, its length, its letters
ACTION_STEP: Final = 2 + WORD_MAX
L_NUMBERS: Final = L_ACTIONS + ACTION_WORDS_MAX * ACTION_STEP


class Head(NamedTuple):
    """A head, as it is written."""

    kind: str  # of ROW_TYPES
    stream: str  # the source's name for the table
    symbol: str
    columns: Mapping[str, int]  # field -> column
    word: str = ""  # in the column `maker`: the buyer was the maker; in `ask`: the level is an ask
    interval_ns: int = 0  # of a bar
    price_exponent: int = 0  # prices are written as multiples of ten to this
    market: str = "spot"  # of MARKETS
    quoted_in: str = ""  # the asset in which the symbol is quoted, if its name does not show it
    actions: Mapping[str, int] = {}  # word -> what happened to an order


def parse_head(text: bytes) -> Head:
    """Parse a head.

    Raises:
        ValueError: The text is no head.
    """
    kind, stream, symbol, *pairs = text.removeprefix(MARK).decode().split(" ")
    fields = FIELDS[kind]
    columns: dict[str, int] = {}
    options: dict[str, str] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        if name not in fields:
            options[name] = value
            continue
        column, _, word = value.partition(":")
        columns[name] = int(column)
        if word:
            options["word"] = word
    head = Head(
        kind,
        stream,
        symbol,
        columns,
        word=options.get("word", "").lower(),
        interval_ns=int(options.get("seconds", "0")) * SECOND_NS,
        price_exponent=int(options.get("exponent", "0")),
        market=options.get("market", MARKETS[0]),
        quoted_in=options.get("quote", ""),
        actions={word.lower(): of for name, of in ACTIONS.items() for word in options.get(name, "").split("|") if word},
    )
    if not REQUIRED[kind] <= columns.keys() or not all(0 <= column < COLUMNS_MAX for column in columns.values()):
        raise ValueError(f"a {kind} needs the columns {', '.join(sorted(REQUIRED[kind]))}")
    if max(map(len, (head.word, *head.actions))) > WORD_MAX or len(head.actions) > ACTION_WORDS_MAX:
        raise ValueError("a word is too long, or there are too many")
    if head.market not in MARKETS or abs(head.price_exponent) > PLACES_MAX:
        raise ValueError("a value is out of its range")
    if (kind == BAR) != (head.interval_ns > 0):
        raise ValueError("a bar, and nothing else, states its seconds")
    return head


def layout_of(head: Head, index: int, instrument: Instrument) -> Rows:
    """Return the numbers of a head for an instrument of a session."""
    layout: Rows = np.zeros(L_NUMBERS, np.int64)
    own = instrument.trade_stream
    layout[L_ROW_TYPE] = ROW_TYPES[head.kind]
    layout[L_RETOLD] = head.kind in (TRADE, BAR) and own not in ("", head.stream)
    layout[L_INSTRUMENT] = index
    layout[L_PRICE_SCALE] = instrument.price_scale + head.price_exponent
    layout[L_SIZE_SCALE] = instrument.size_scale
    layout[L_INTERVAL_NS] = head.interval_ns
    layout[L_HALF_SPREAD] = instrument.half_spread_ppm
    layout[L_TICK] = max(int(instrument.tick_size.scaleb(instrument.price_scale)), 1)
    layout[L_HAS_ID] = "id" in head.columns
    layout[L_LAST_COLUMN] = max(head.columns.values())
    layout[L_WORD_LENGTH] = len(head.word)
    layout[L_WORD : L_WORD + len(head.word)] = list(head.word.encode())
    layout[L_ACTION_WORDS] = len(head.actions)
    for n, (word, action) in enumerate(head.actions.items()):
        at = L_ACTIONS + n * ACTION_STEP
        layout[at : at + 2 + len(word)] = action, len(word), *word.encode()
    for name, column in head.columns.items():
        place, kind = FIELDS[head.kind][name]
        layout[L_ROLES + column] = 1 + FIELD_KINDS * place + kind
    return layout
