"""What a format's files may hold: the kinds of market data, as docs/data-formats.md lists them for each format."""

from typing import Final

BARS: Final = "bars"
TRADES: Final = "trades"
QUOTES: Final = "quotes"
BOOKS: Final = "books"
ORDERS: Final = "orders"  # order by order
KINDS: Final = (BARS, TRADES, QUOTES, BOOKS, ORDERS)
