"""Makes the session to resimulate from an imported capture: its venue, its instruments and their price and size grids.

A capture has no trading, so nothing about an account is known and all of it is modelled. The grids are estimated from
the captured messages; the venue's own metadata (exchangeInfo) can be given instead. Knows the venues' message formats
and no strategy.
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

SAMPLED_MESSAGES_MAX = 3_000  # messages from which the grid is estimated
SPOT = "binance_spot"
FUTURES_EVENTS = frozenset({"bookTicker", "markPriceUpdate"})  # Spot's ticker has no event name
_QUOTES = ("USDT", "USDC", "FDUSD", "TUSD", "BUSD", "BTC", "ETH", "BNB", "EUR", "TRY")


class _GridMessage(msgspec.Struct, gc=False):
    """The fields of any stream message that show an instrument's grid."""

    e: str = ""
    b: msgspec.Raw = msgspec.Raw(b"[]")  # a price, or levels
    a: msgspec.Raw = msgspec.Raw(b"[]")
    B: str = ""
    A: str = ""
    p: str = ""
    q: str = ""
    pu: int | None = None


class _GridSample:
    """Prices and sizes of one symbol that were read so far."""

    def __init__(self) -> None:
        self.prices: list[str] = []
        self.sizes: list[str] = []


def is_import(journal: Journal) -> bool:
    """Return True if the journal was imported from a capture."""
    return "import" in msgspec.json.decode(journal.session_record().body or "{}", type=dict[str, msgspec.Raw])


def session_from_capture(journal: Journal, exchange_info: bytes | None = None) -> SessionBody:
    """Return the SESSION body that a live session on this market would have had.

    Args:
        journal: An imported capture.
        exchange_info: The venue's metadata; without it the grids are estimated.

    Raises:
        CannotResimulateError: The capture or the metadata has no market that is known here.
        ValueError: The metadata cannot be read.
    """
    body = msgspec.json.decode(journal.session_record().body or "", type=SessionBody)
    samples: dict[str, _GridSample] = {}
    is_future = has_books = False
    for symbol, message in _messages(journal):
        is_future |= message.pu is not None or message.e in FUTURES_EVENTS
        has_books |= message.e == "depthUpdate"
        _sample(samples.setdefault(symbol, _GridSample()), message)
    if not samples:
        raise CannotResimulateError(
            f"{journal.folder} holds no market stream in Binance's format. What to do: choose a capture of Binance."
        )
    venue = SPOT if not is_future else COINM if any("USD_" in symbol for symbol in samples) else USDM
    if exchange_info is None:
        instruments = tuple(_instrument(venue, symbol, samples[symbol]) for symbol in sorted(samples))
    else:
        known = (
            spot_info(exchange_info, venue)
            if venue == SPOT
            else futures_info(exchange_info, venue, inverse=venue == COINM)
        )
        instruments = tuple(instrument for instrument in known if instrument.symbol in samples)
        if missing := sorted(samples.keys() - {instrument.symbol for instrument in instruments}):
            raise CannotResimulateError(
                f"the given metadata has no {', '.join(missing)}. "
                "What to do: give the exchangeInfo of the captured venue."
            )
    engine = msgspec.structs.replace(body.engine, books=has_books)
    return msgspec.structs.replace(
        body, engine=engine, venues=(VenueSettings(name=venue),), instruments=instruments, account="main"
    )


def _messages(journal: Journal) -> Iterator[tuple[str, _GridMessage]]:
    decode = msgspec.json.Decoder(_GridMessage).decode
    count = 0
    for record in journal.records(kinds=(Kind.FEED,)):
        payload = record.payload or b""
        mark = payload.find(DATA_MARK)
        if payload.startswith(STREAM_PREFIX) and mark > 0:
            symbol = payload[len(STREAM_PREFIX) : mark].partition(b"@")[0].decode("ascii", "replace").upper()
            try:
                yield symbol, decode(payload[mark + len(DATA_MARK) : -1])
            except msgspec.MsgspecError:
                continue  # a message of another format shows no grid
        count += 1
        if count == SAMPLED_MESSAGES_MAX:
            return


def _sample(sample: _GridSample, message: _GridMessage) -> None:
    if message.B:  # a best bid and ask
        sample.prices += [msgspec.json.decode(side, type=str) for side in (message.b, message.a)]
        sample.sizes += [message.B, message.A]
    elif message.p and message.q:
        sample.prices.append(message.p)
        sample.sizes.append(message.q)


def _instrument(venue: str, symbol: str, sample: _GridSample) -> Instrument:
    base, quote = _split_symbol(symbol)
    tick, lot = _finest_step(sample.prices), _finest_step(sample.sizes)
    of_futures = venue != SPOT
    return Instrument(
        id=f"{venue}:{symbol}",
        venue=venue,
        symbol=symbol,
        base=base,
        quote=quote,
        price_scale=_decimal_places(sample.prices),
        size_scale=_decimal_places(sample.sizes),
        tick_size=tick,
        lot_size=lot,
        quantity_min=lot,
        contract="PERPETUAL" if of_futures else "",
        contract_size=Decimal(100 if symbol.startswith("BTC") else 10) if venue == COINM else Decimal(1),
        inverse=venue == COINM,
        margin="" if not of_futures else base if venue == COINM else quote,
    )


def _split_symbol(symbol: str) -> tuple[str, str]:
    pair = symbol.partition("_")[0]
    for quote in (*_QUOTES, "USD"):
        if pair.endswith(quote) and len(pair) > len(quote):
            return pair.removesuffix(quote), quote
    return pair, pair


def _decimal_places(numbers: Iterable[str]) -> int:
    """Return the largest number of decimal places that is written."""
    return max((len(number.partition(".")[2]) for number in numbers), default=0)


def _finest_step(numbers: Iterable[str]) -> Decimal:
    """Return the finest power of ten that divides all numbers."""
    places = max((len(number.partition(".")[2].rstrip("0")) for number in numbers), default=0)
    return Decimal(1).scaleb(-places)
