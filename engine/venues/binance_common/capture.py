"""Which Binance market a capture belongs to, and the grid of its instruments, as its stream messages show them.

For recordings without metadata: a tick or lot read off messages is the finest that was seen, not the venue's own.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal

import msgspec

from engine.model import Instrument
from engine.venues.venue import CapturedMarket

MESSAGES_MAX = 3_000  # their grid is the capture's
ENVELOPE = b'{"stream":"'
DATA_MARK = b'","data":'
FUTURES_ALONE = frozenset({"bookTicker", "markPriceUpdate"})  # Spot's ticker has no event name
_QUOTES = ("USDT", "USDC", "FDUSD", "TUSD", "BUSD", "BTC", "ETH", "BNB", "EUR", "TRY")


class _Message(msgspec.Struct, gc=False):
    """The fields of any stream message that show an instrument's grid."""

    e: str = ""
    b: msgspec.Raw = msgspec.Raw(b"[]")  # a price, or levels
    a: msgspec.Raw = msgspec.Raw(b"[]")
    B: str = ""
    A: str = ""
    p: str = ""
    q: str = ""
    pu: int | None = None


class _Seen:
    """The grid of one symbol, as far as messages show it."""

    def __init__(self) -> None:
        self.prices: list[str] = []
        self.sizes: list[str] = []


def identify(
    payloads: Iterable[bytes], *, spot: str = "", linear: str = "", inverse: str = ""
) -> CapturedMarket | None:
    """Return what the messages show of their market, or None if they are of another.

    Args:
        payloads: Stream messages; the first MESSAGES_MAX are read.
        spot: The venue's name, if the caller wants a spot market. Exactly one of the three is given.
        linear: As `spot`, for linear futures.
        inverse: As `spot`, for inverse futures.

    """
    seen: dict[str, _Seen] = {}
    is_future = has_books = False
    for symbol, message in _messages(payloads):
        is_future |= message.pu is not None or message.e in FUTURES_ALONE
        has_books |= message.e == "depthUpdate"
        _add_message(seen.setdefault(symbol, _Seen()), message)
    is_inverse = is_future and any("USD_" in symbol for symbol in seen)
    venue = spot if not is_future else inverse if is_inverse else linear
    if not seen or not venue:
        return None
    instruments = tuple(
        _instrument(venue, symbol, seen[symbol], is_future=is_future, is_inverse=is_inverse) for symbol in sorted(seen)
    )
    return CapturedMarket(venue, instruments, has_books)


def _messages(payloads: Iterable[bytes]) -> Iterator[tuple[str, _Message]]:
    decode = msgspec.json.Decoder(_Message).decode
    count = 0
    for payload in payloads:
        mark = payload.find(DATA_MARK)
        if payload.startswith(ENVELOPE) and mark > 0:
            symbol = payload[len(ENVELOPE) : mark].partition(b"@")[0].decode("ascii", "replace").upper()
            try:
                yield symbol, decode(payload[mark + len(DATA_MARK) : -1])
            except msgspec.MsgspecError:
                continue  # another stream's: it shows nothing
        count += 1
        if count == MESSAGES_MAX:
            return


def _add_message(seen: _Seen, message: _Message) -> None:
    if message.B:  # a best bid and ask
        seen.prices += [msgspec.json.decode(side, type=str) for side in (message.b, message.a)]
        seen.sizes += [message.B, message.A]
    elif message.p and message.q:
        seen.prices.append(message.p)
        seen.sizes.append(message.q)


def _instrument(venue: str, symbol: str, seen: _Seen, *, is_future: bool, is_inverse: bool) -> Instrument:
    base, quote = _assets(symbol)
    tick, lot = _step(seen.prices), _step(seen.sizes)
    return Instrument(
        id=f"{venue}:{symbol}",
        venue=venue,
        symbol=symbol,
        base=base,
        quote=quote,
        price_scale=_written(seen.prices),
        size_scale=_written(seen.sizes),
        tick_size=tick,
        lot_size=lot,
        quantity_min=lot,
        contract="PERPETUAL" if is_future else "",
        contract_size=Decimal(100 if symbol.startswith("BTC") else 10) if is_inverse else Decimal(1),
        inverse=is_inverse,
        margin="" if not is_future else base if is_inverse else quote,
    )


def _assets(symbol: str) -> tuple[str, str]:
    pair = symbol.partition("_")[0]
    for quote in (*_QUOTES, "USD"):
        if pair.endswith(quote) and len(pair) > len(quote):
            return pair.removesuffix(quote), quote
    return pair, pair


def _written(numbers: Iterable[str]) -> int:
    """Return the most decimal places that were written."""
    return max((len(number.partition(".")[2]) for number in numbers), default=0)


def _step(numbers: Iterable[str]) -> Decimal:
    """Return the largest power of ten that divides all of them."""
    places = max((len(number.partition(".")[2].rstrip("0")) for number in numbers), default=0)
    return Decimal(1).scaleb(-places)
