"""Kraken's pairs as instruments (GET /0/public/AssetPairs). Knows no account."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import msgspec

from engine.events import InstrumentsReport
from engine.model import Instrument, RateLimits
from engine.requests import Transport, Unsigned
from engine.venues.kraken.decaying_counters import COUNTER_MAX, TRADING_MAX
from engine.venues.kraken.values import asset_name, rest_pair, symbol_of_wsname

PATH: Final = "/0/public/AssetPairs"
TRADING: Final = frozenset({"online", "limit_only", "post_only"})  # statuses in which a pair takes orders
RATE_LIMITS: Final = RateLimits(weight_minute_max=COUNTER_MAX, orders_10s_max=TRADING_MAX)


class _Pair(msgspec.Struct):
    base: str
    quote: str
    pair_decimals: int
    lot_decimals: int
    wsname: str = ""
    altname: str = ""
    ordermin: Decimal = Decimal(0)
    costmin: Decimal = Decimal(0)
    tick_size: Decimal = Decimal(0)
    status: str = "online"


class _Body(msgspec.Struct):
    result: dict[str, _Pair]
    error: list[str] = []


class KrakenMetadata:
    """An engine.venues.venue.MetadataReader."""

    def __init__(self, venue: str) -> None:
        self._venue = venue

    def request(self, symbols: Sequence[str] = ()) -> Unsigned:
        """Return the request for the pairs named, or for all."""
        named = (("pair", ",".join(map(rest_pair, symbols))),) if symbols else ()
        return Unsigned(Transport.REST, "GET", PATH, named, signed=False)

    def read(self, payload: bytes) -> InstrumentsReport:
        """Return the pairs. The counters of the lowest tier are the limits. Raises ValueError."""
        body = msgspec.json.decode(payload, type=_Body)
        if body.error:
            raise ValueError(body.error[0][:200])
        return InstrumentsReport(tuple(map(self._instrument, body.result.values())), RATE_LIMITS)

    def _instrument(self, pair: _Pair) -> Instrument:
        symbol = symbol_of_wsname(pair.wsname or pair.altname)
        if not 0 <= min(pair.pair_decimals, pair.lot_decimals) <= max(pair.pair_decimals, pair.lot_decimals) <= 18:
            raise ValueError(f"decimals of {symbol[:40]}: {pair.pair_decimals}, {pair.lot_decimals}")
        return Instrument(
            id=f"{self._venue}:{symbol}",
            venue=self._venue,
            symbol=symbol,
            base=asset_name(pair.base),
            quote=asset_name(pair.quote),
            price_scale=pair.pair_decimals,  # the checksum of the book is over so many decimals
            size_scale=pair.lot_decimals,
            tick_size=pair.tick_size or Decimal(1).scaleb(-pair.pair_decimals),
            lot_size=Decimal(1).scaleb(-pair.lot_decimals),
            quantity_min=pair.ordermin,
            notional_min=pair.costmin,
            trading=pair.status in TRADING,
        )
