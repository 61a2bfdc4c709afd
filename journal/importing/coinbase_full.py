"""Captures of Coinbase Exchange's full channel: every order of a product, with a level-3 book among the lines.

    1723111111000000000 {"type":"open","order_id":...}   with a receive time in ns or us, or the frame alone
    1723111111200000000 {"sequence":3,"bids":[["295.96","0.05","<order id>"]],"asks":[...]}

The book of level 3 answers a request, so it may come late: messages before it wait, and of those that it contains
only the trades are kept. A book that is older than the messages is left out. Without one the book begins with nothing.
The end of an order that was never in the book (a taker's) changes nothing. A hole in the numbers of the messages
empties the book, because an order may have been missed.
Source: docs.cdp.coinbase.com/exchange/websocket-feed/channels, "Full Channel", and /products/{id}/book.
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from itertools import chain
from typing import Any, NamedTuple

import msgspec

from journal.importing.data_kinds import BOOKS, ORDERS, TRADES
from journal.importing.lines import CapturedRow, CaptureLines, CaptureReader
from journal.importing.row_head import ASK, ORDER, empty_book, row_head
from journal.importing.stamps import UNIT_NS, from_iso
from journal.record import Kind

NAME = "coinbase-full"
ABOUT = "Coinbase Exchange's full channel: `<receive time in ns or us> <frame>` or the frame alone, with a level-3 book"
ALLOWS = (TRADES, BOOKS, ORDERS)
WAITING_MAX = 20_000  # messages that wait for a book; a capture with more before it, or without one, has none
COLUMNS = {"action": 0, "id": 1, ASK: 2, "price": 3, "size": 4}
ACTIONS = {"add": "add", "cancel": "cancel", "fill": "fill", "hidden": "trade"}  # "trade": the book contains it
_LINE = re.compile(rb"(?:(\d{16}|\d{19}) )?(\{.*\})")
_SIGNS = re.compile(rb'"type": ?"(?:open|received|change)"|"(?:bids|asks)": ?\[\["[^"]+", ?"[^"]+", ?"')
_UNITS = {16: "us", 19: "ns"}
_ID = re.compile(r"[\w-]*")


class _BookedOrder(NamedTuple):
    side: str
    price: str
    left: Decimal


class _FullFrame(NamedTuple):
    stamp_ns: int
    content: dict[str, Any]
    frame: bytes


def is_format(head: bytes, _name: str) -> bool:
    """Return True if one of the first frames is of the full channel, or a book of level 3."""
    return _LINE.match(head) is not None and _SIGNS.search(head) is not None


def read(lines: CaptureLines) -> CaptureReader:
    """Read the capture of a product, or of several without a book of level 3."""
    messages = _messages(lines)
    first = next(messages, None)
    if first is None:
        raise lines.damaged("the file has no frame with a time")
    stamp, message = first
    return CaptureReader(
        stamp, {"columns": [*COLUMNS, "frame"]}, _rows(lines, chain((message,), (each for _, each in messages)))
    )


def _messages(lines: CaptureLines) -> Iterator[tuple[str, _FullFrame]]:
    """Yield each frame with the clock of its time."""
    stamp_ns = 0
    early: list[_FullFrame] = []  # without a time, before the first that has one
    for line in lines:
        if not line.strip():
            lines.note_dirt("an empty line")
            continue
        match = _LINE.fullmatch(line.rstrip(b"\r"))
        try:
            content = msgspec.json.decode(match[2]) if match else None
            if match is None or not isinstance(content, dict):
                raise lines.damaged("is not `<receive time> <frame>` or a frame")
            stamp = "receive" if match[1] else "venue"
            if match[1]:
                stamp_ns = int(match[1]) * UNIT_NS[_UNITS[len(match[1])]]
            elif "time" in content:
                stamp_ns = from_iso(str(content["time"]).encode())
            frame = _FullFrame(stamp_ns, content, match[2])
            if not stamp_ns:
                early.append(frame)
                continue
            for each in (*early, frame):
                yield stamp, each._replace(stamp_ns=stamp_ns)
            early.clear()
        except (msgspec.DecodeError, ValueError) as error:
            raise lines.damaged(str(error)) from error


def _rows(lines: CaptureLines, messages: Iterator[_FullFrame]) -> Iterator[CapturedRow]:
    products: dict[str, _BookedProduct] = {}
    books: list[_FullFrame] = []
    for message in messages:
        if "sequence" not in message.content:
            yield CapturedRow(message.stamp_ns, None, Kind.LINK, {"state": "note", "text": message.frame.decode()})
            continue
        symbol = message.content.get("product_id") or lines.symbol or next(iter(products), "")
        if not symbol:
            books.append(message)  # of the product of the next message
            continue
        product = products.setdefault(symbol, _BookedProduct(symbol))
        try:
            for each in (*books, message):
                yield from product.rows(each)
            books.clear()
        except (LookupError, TypeError, ValueError, ArithmeticError) as error:
            raise lines.damaged(f"lacks a field of its type ({type(error).__name__}: {error})") from error
    for symbol, product in products.items():
        if not product.has_messages:
            raise lines.damaged(f"no message is of {symbol}, the product of the book of level 3")
        yield from product.begin()


class _BookedProduct:
    """The open orders of a product, and the messages that wait for its book."""

    def __init__(self, symbol: str) -> None:
        quote = symbol.rpartition("-")[2]
        self._head = row_head(ORDER, "full", symbol, COLUMNS, word="sell", quote=quote, actions=ACTIONS)
        self._open: dict[str, _BookedOrder] = {}
        self._waiting: list[_FullFrame] | None = []
        self._sequence = 0  # of the newest message or book
        self._last = 0  # of the newest message
        self.has_messages = False

    def rows(self, message: _FullFrame) -> Iterator[CapturedRow]:
        """Yield the rows of a frame: none for one that changes no book, several for one that moves an order."""
        if "bids" in message.content:
            yield from self._book(message)
        elif self._waiting is None:
            self.has_messages = True
            yield from self._apply(message)
        else:
            self.has_messages = True
            self._waiting.append(message)
            if len(self._waiting) > WAITING_MAX:
                yield from self.begin()

    def begin(self) -> Iterator[CapturedRow]:
        """Yield the messages that wait for a book, after an empty one: no book came."""
        waiting, self._waiting = self._waiting, None
        for message in waiting or ():
            if not self._sequence:
                yield CapturedRow(message.stamp_ns, empty_book(self._head))
            yield from self._apply(message)

    def _book(self, book: _FullFrame) -> Iterator[CapturedRow]:
        sequence = int(book.content["sequence"])
        if self._waiting is None and sequence < self._sequence:
            text = f"a book as of message {sequence} is left out: message {self._sequence} came before it"
            yield CapturedRow(book.stamp_ns, None, Kind.LINK, {"state": "note", "text": text})
            return
        waiting, self._waiting = self._waiting or (), None
        self._sequence = sequence
        for message in waiting:
            yield from self._contained(message)
        self._open.clear()
        yield CapturedRow(book.stamp_ns, empty_book(self._head))
        for side, name in (("buy", "bids"), ("sell", "asks")):
            for price, size, order_id in book.content[name]:
                yield self._add(book, order_id, _BookedOrder(side, price, Decimal(size)))
        for message in waiting:
            if int(message.content["sequence"]) > sequence:
                yield from self._apply(message._replace(stamp_ns=book.stamp_ns))

    def _contained(self, message: _FullFrame) -> Iterator[CapturedRow]:
        """Yield the trade of a message that the book contains."""
        content, sequence = message.content, int(message.content["sequence"])
        if not self._last < sequence <= self._sequence:
            return  # repeated, or newer than the book
        self._last = sequence
        if content["type"] == "match":
            order = _BookedOrder(content["side"], content["price"], Decimal(0))
            yield self._row(message, "trade", _id_of(content), order, Decimal(content["size"]))

    def _apply(self, message: _FullFrame) -> Iterator[CapturedRow]:
        content = message.content
        sequence = int(content["sequence"])
        if self._sequence and sequence <= self._sequence:
            yield from self._contained(message)
            return
        if self._sequence and sequence > self._sequence + 1:
            self._open.clear()
            text = f"messages {self._sequence + 1} to {sequence - 1} are missing; the book begins with nothing"
            yield CapturedRow(message.stamp_ns, None, Kind.LINK, {"state": "gap", "text": text})
            yield CapturedRow(message.stamp_ns, empty_book(self._head))
        self._sequence = self._last = sequence
        order_id = _id_of(content)
        order = self._open.get(order_id)
        match content["type"]:
            case "open":
                order = _BookedOrder(content["side"], content["price"], Decimal(content["remaining_size"]))
                yield self._add(message, order_id, order)
            case "match":
                found = order or _BookedOrder(content["side"], content["price"], Decimal(0))
                yield self._reduce(message, "fill", order_id, found, Decimal(content["size"]))
            case "done" if order is not None:
                yield self._reduce(message, "cancel", order_id, order, order.left)
            case "change" if order is not None:
                yield from self._change(message, order_id, order)

    def _change(self, message: _FullFrame, order_id: str, order: _BookedOrder) -> Iterator[CapturedRow]:
        """Yield the rows of a change: less size keeps the place in the queue, anything else loses it."""
        content = message.content
        price = content.get("new_price") or content.get("price") or order.price
        size = Decimal(content.get("new_size") or order.left)
        if Decimal(price) == Decimal(order.price) and size <= order.left:
            yield self._reduce(message, "cancel", order_id, order, order.left - size)
        else:
            yield self._reduce(message, "cancel", order_id, order, order.left)
            yield self._add(message._replace(frame=b""), order_id, _BookedOrder(order.side, price, size))

    def _add(self, message: _FullFrame, order_id: str, order: _BookedOrder) -> CapturedRow:
        self._open[_checked_id(order_id)] = order
        frame = b"" if "bids" in message.content else message.frame  # a book's would be repeated for each order
        return self._row(message._replace(frame=frame), "add", order_id, order, order.left)

    def _reduce(
        self, message: _FullFrame, action: str, order_id: str, order: _BookedOrder, size: Decimal
    ) -> CapturedRow:
        left = order.left - size
        if left > 0:
            self._open[order_id] = order._replace(left=left)
        else:
            self._open.pop(order_id, None)
        return self._row(message, action, order_id, order, size)

    def _row(self, message: _FullFrame, action: str, order_id: str, order: _BookedOrder, size: Decimal) -> CapturedRow:
        line = f"{action},{order_id},{order.side},{order.price},{size:f},".encode()
        return CapturedRow(message.stamp_ns, self._head + line + message.frame)


def _id_of(content: dict[str, Any]) -> str:
    return _checked_id(content.get("maker_order_id") or content.get("order_id", ""))


def _checked_id(text: str) -> str:
    """Return an order's id. Raises ValueError for one that no line can hold."""
    if not _ID.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not an order's id")
    return text
