"""Brine's description of its markets as instruments."""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from engine.events import InstrumentsReport
from engine.model import Instrument, RateLimits
from engine.requests import Transport, Unsigned

PATH = "/0/public/Instruments"


class _Pair(msgspec.Struct):
    symbol: str
    base: str
    quote: str
    price_precision: int
    qty_precision: int
    price_increment: Decimal
    qty_increment: Decimal
    qty_min: Decimal
    status: str


class _Result(msgspec.Struct):
    pairs: list[_Pair]
    counter_max: int


class _Body(msgspec.Struct):
    result: _Result


class BrineMetadata:
    """An engine.venues.venue.MetadataReader."""

    def request(self, symbols: Sequence[str] = ()) -> Unsigned:
        """Return the request for the markets named, or for all."""
        named = (("pairs", ",".join(symbols)),) if symbols else ()
        return Unsigned(Transport.REST, "GET", PATH, named, signed=False)

    def read(self, payload: bytes) -> InstrumentsReport:
        """Return the markets, and how high the counter may rise. Raises ValueError."""
        result = msgspec.json.decode(payload, type=_Body).result
        return InstrumentsReport(
            tuple(map(_instrument, result.pairs)), RateLimits(weight_minute_max=result.counter_max)
        )


def _instrument(pair: _Pair) -> Instrument:
    return Instrument(
        id=f"brine:{pair.symbol}",
        venue="brine",
        symbol=pair.symbol,
        base=pair.base,
        quote=pair.quote,
        price_scale=pair.price_precision,
        size_scale=pair.qty_precision,
        tick_size=pair.price_increment,
        lot_size=pair.qty_increment,
        quantity_min=pair.qty_min,
        trading=pair.status == "online",
    )
