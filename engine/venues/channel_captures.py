"""Captures whose messages name a channel: which channels each file has, and the market that a venue's readers find.

A tick or lot is the finest that was seen, not the venue's own. All messages are read, since the finest may be the last.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec

from engine.market.rows import VALUE_MAX
from engine.model import Instrument
from engine.venues.binance_common.capture_scan import Numbers
from engine.venues.captured_market import CapturedMarket, CaptureMessages

HEAD = b'{"channel":'


class CapturedFrame(msgspec.Struct):
    """A message of a channel."""

    channel: str
    data: msgspec.Raw = msgspec.Raw(b"null")


class SeenNumbers(NamedTuple):
    """One quote, trade or book of an instrument."""

    symbol: str
    numbers: Sequence[tuple[str, str]]  # prices and sizes


class SeenSymbol:
    """What the messages of an instrument show."""

    def __init__(self) -> None:
        self.prices = Numbers()
        self.sizes = Numbers()
        self.channels: set[str] = set()

    def add(self, channel: str, numbers: Iterable[tuple[str, str]]) -> None:
        """Add the numbers of a message."""
        self.channels.add(channel)
        for price, size in numbers:
            self.prices.add(price)
            self.sizes.add(size)

    @property
    def refusal(self) -> str:
        """Why its numbers cannot be kept exactly, or ""."""
        for what, numbers in (("price", self.prices), ("size", self.sizes)):
            if numbers.largest * 10**numbers.places > VALUE_MAX:
                return f"a {what} of {numbers.largest:.15g} with {numbers.places} decimal places is above 2^53 steps"
        return ""


Reader = Callable[[bytes], Iterable[SeenNumbers]]  # of a channel's data; any exception of FAILURES: another venue's
FAILURES = (msgspec.MsgspecError, ArithmeticError, ValueError, UnicodeDecodeError)


def channels_by_source(messages: CaptureMessages) -> dict[str, set[str]]:
    """Return the channels of each file."""
    found: dict[str, set[str]] = {}
    decode = msgspec.json.Decoder(CapturedFrame).decode
    for message in messages:
        if message.meta is None and message.payload.startswith(HEAD):
            try:
                found.setdefault(message.source, set()).add(decode(message.payload).channel)
            except FAILURES:
                continue
    return found


def identify_channels(
    messages: CaptureMessages,
    venue: str,
    readers: Mapping[str, Reader],
    make: Callable[[str, SeenSymbol], Instrument],
    *,
    book: str,
    quote: str,
) -> CapturedMarket | None:
    """Return the market of the messages that a venue's readers read, or None without any.

    Args:
        messages: All messages of the capture.
        venue: The venue's name.
        readers: The reader of each channel.
        make: Returns the instrument of a symbol.
        book: The channel of books.
        quote: The channel of quotes.
    """
    if not any(channels & readers.keys() for channels in messages.once(channels_by_source).values()):
        return None
    seen, sources = _seen_symbols(messages, readers)
    if not seen:
        return None
    return CapturedMarket(
        venue,
        tuple(
            msgspec.structs.replace(make(symbol, found), quotes_from_book=quote not in found.channels)
            for symbol, found in sorted(seen.items())
            if not found.refusal
        ),
        any(book in found.channels for found in seen.values()),
        frozenset(sources),
        inferred=tuple(sorted(seen)),
        largest=tuple((symbol, found.prices.largest, found.sizes.largest) for symbol, found in sorted(seen.items())),
        refused=tuple((symbol, found.refusal) for symbol, found in sorted(seen.items()) if found.refusal),
    )


def _seen_symbols(messages: CaptureMessages, readers: Mapping[str, Reader]) -> tuple[dict[str, SeenSymbol], set[str]]:
    seen: dict[str, SeenSymbol] = {}
    sources: set[str] = set()
    decode = msgspec.json.Decoder(CapturedFrame).decode
    for message in messages:
        if message.meta is not None or not message.payload.startswith(HEAD):
            continue
        try:
            frame = decode(message.payload)
            read = readers.get(frame.channel)
            found = () if read is None else tuple(read(bytes(frame.data)))
        except FAILURES:
            continue  # another venue's, or damaged: it shows nothing
        for one in found:
            seen.setdefault(one.symbol, SeenSymbol()).add(frame.channel, one.numbers)
            sources.add(message.source)
    return seen, sources


def inferred_instrument(venue: str, symbol: str, base: str, quote: str, seen: SeenSymbol) -> Instrument:
    """Return an instrument on the grid that its messages show."""
    lot = Decimal(1).scaleb(-seen.sizes.places)
    return Instrument(
        id=f"{venue}:{symbol}",
        venue=venue,
        symbol=symbol,
        base=base,
        quote=quote,
        price_scale=seen.prices.places,
        size_scale=seen.sizes.places,
        tick_size=Decimal(1).scaleb(-seen.prices.places),
        lot_size=lot,
        quantity_min=lot,
    )
