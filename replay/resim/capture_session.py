"""A session to resimulate, out of an import: what was captured says which venue's market it is, and on which grid its prices lie.

Nobody traded in a capture, so nothing of an account is known, and all of it is modelled. What is read off the market here is said to
whoever asks: a venue's own metadata (its exchangeInfo) may be given in its place. Knows the venues' spelling, and no strategy.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal

import msgspec

from engine.model import Instrument
from engine.session_record import SessionBody, VenueSettings
from engine.sim.feeds.sim_market import DATA_MARK, STREAM_PREFIX
from engine.venues.binance_futures_instruments import read_exchange_info as futures_info
from engine.venues.binance_spot.instruments import read_exchange_info as spot_info
from engine.venues.paper import COINM, USDM
from journal.reader import Journal
from journal.record import Kind
from replay.resim.sim_setup import CannotResimulateError

LOOKED_AT = 3_000  # messages: their grid is the capture's
SPOT = "binance_spot"
FUTURES_ALONE = frozenset({"bookTicker", "markPriceUpdate"})  # Spot's ticker says no event name
_QUOTES = ("USDT", "USDC", "FDUSD", "TUSD", "BUSD", "BTC", "ETH", "BNB", "EUR", "TRY")


class _Message(msgspec.Struct, gc=False):
    """What a stream message shows of an instrument's grid, whichever of them it is."""

    e: str = ""
    b: msgspec.Raw = msgspec.Raw(b"[]")  # a price, or levels
    a: msgspec.Raw = msgspec.Raw(b"[]")
    B: str = ""
    A: str = ""
    p: str = ""
    q: str = ""
    pu: int | None = None


class _Seen:
    """The grid of one symbol, as far as it was seen."""

    def __init__(self) -> None:
        self.prices: list[str] = []
        self.sizes: list[str] = []


def is_import(journal: Journal) -> bool:
    return "import" in msgspec.json.decode(journal.session_record().body or "{}", type=dict[str, msgspec.Raw])


def session_of(journal: Journal, exchange_info: bytes | None = None) -> SessionBody:
    """The SESSION that its market would have had. CannotResimulateError where it is no market that we know; ValueError on metadata that cannot be read."""
    body = msgspec.json.decode(journal.session_record().body or "", type=SessionBody)
    seen: dict[str, _Seen] = {}
    is_future = has_books = False
    for symbol, message in _messages(journal):
        is_future |= message.pu is not None or message.e in FUTURES_ALONE
        has_books |= message.e == "depthUpdate"
        _look(seen.setdefault(symbol, _Seen()), message)
    if not seen:
        raise CannotResimulateError(
            f"{journal.folder} holds no market stream of Binance's spelling, which is all that a capture is resimulated from."
        )
    venue = SPOT if not is_future else COINM if any("USD_" in symbol for symbol in seen) else USDM
    if exchange_info is None:
        instruments = tuple(_instrument(venue, symbol, seen[symbol]) for symbol in sorted(seen))
    else:
        known = (
            spot_info(exchange_info, venue)
            if venue == SPOT
            else futures_info(exchange_info, venue, inverse=venue == COINM)
        )
        instruments = tuple(found for found in known if found.symbol in seen)
        if missing := sorted(seen.keys() - {found.symbol for found in instruments}):
            raise CannotResimulateError(
                f"the metadata given has no {', '.join(missing)}. What to do: give the exchangeInfo of the venue that was captured."
            )
    engine = msgspec.structs.replace(body.engine, books=has_books)
    return msgspec.structs.replace(
        body, engine=engine, venues=(VenueSettings(name=venue),), instruments=instruments, account="main"
    )


def _messages(journal: Journal) -> Iterator[tuple[str, _Message]]:
    decode = msgspec.json.Decoder(_Message).decode
    count = 0
    for record in journal.records(kinds=(Kind.FEED,)):
        payload = record.payload or b""
        mark = payload.find(DATA_MARK)
        if payload.startswith(STREAM_PREFIX) and mark > 0:
            symbol = payload[len(STREAM_PREFIX) : mark].partition(b"@")[0].decode("ascii", "replace").upper()
            try:
                yield symbol, decode(payload[mark + len(DATA_MARK) : -1])
            except msgspec.MsgspecError:
                continue  # another stream's: it shows nothing
        count += 1
        if count == LOOKED_AT:
            return


def _look(seen: _Seen, message: _Message) -> None:
    if message.B:  # a best bid and ask
        seen.prices += [msgspec.json.decode(side, type=str) for side in (message.b, message.a)]
        seen.sizes += [message.B, message.A]
    elif message.p and message.q:
        seen.prices.append(message.p)
        seen.sizes.append(message.q)


def _instrument(venue: str, symbol: str, seen: _Seen) -> Instrument:
    base, quote = _assets(symbol)
    tick, lot = _step(seen.prices), _step(seen.sizes)
    of_futures = venue != SPOT
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
        contract="PERPETUAL" if of_futures else "",
        contract_size=Decimal(100 if symbol.startswith("BTC") else 10) if venue == COINM else Decimal(1),
        inverse=venue == COINM,
        margin="" if not of_futures else base if venue == COINM else quote,
    )


def _assets(symbol: str) -> tuple[str, str]:
    pair = symbol.partition("_")[0]
    for quote in (*_QUOTES, "USD"):
        if pair.endswith(quote) and len(pair) > len(quote):
            return pair.removesuffix(quote), quote
    return pair, pair


def _written(numbers: Iterable[str]) -> int:
    """Decimal places as they are written: no message has more."""
    return max((len(number.partition(".")[2]) for number in numbers), default=0)


def _step(numbers: Iterable[str]) -> Decimal:
    """The finest of the powers of ten that all of them lie on."""
    places = max((len(number.partition(".")[2].rstrip("0")) for number in numbers), default=0)
    return Decimal(1).scaleb(-places)
