"""Hyperliquid's perpetuals as instruments: `meta` names them by their place, with their decimals of size (3, 6).

A price has at most 6 - szDecimals decimals and five significant digits, and a whole price is always allowed. There is
no tick that holds for all prices.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Final

import msgspec

from engine.events import InstrumentsReport
from engine.model import Instrument, RateLimits
from engine.requests import Transport, Unsigned
from engine.venues.hyperliquid.values import Text

QUOTE: Final = "USDC"
PRICE_DECIMALS: Final = 6  # of a perpetual, with the decimals of its size
PRICE_DIGITS: Final = 5
MONEY_SCALE: Final = 6  # of P&L, fees and fundings
NOTIONAL_MIN: Final = Decimal(10)
WEIGHT_MAX: Final = 1_200  # of one address of the network in a minute (9)
ORDERS_10S_MAX: Final = 1_000  # no limit of the venue: the weight of a minute allows fewer


class _ListedPerp(msgspec.Struct, frozen=True, rename="camel"):
    name: Text
    sz_decimals: Annotated[int, msgspec.Meta(ge=0, le=PRICE_DECIMALS)]
    is_delisted: bool = False


class _Meta(msgspec.Struct, frozen=True):
    universe: tuple[_ListedPerp, ...]


class PerpMetadata:
    """An engine.venues.venue.MetadataReader."""

    def __init__(self, venue: str) -> None:
        """Take the venue's name, which instruments bear."""
        self._venue = venue

    def request(self, symbols: Sequence[str] = ()) -> Unsigned:
        """Return the request for all perpetuals, which is the only one."""
        del symbols
        return Unsigned(Transport.REST, "POST", "/info", (("type", "meta"),), signed=False, weight=20)

    def read(self, payload: bytes) -> InstrumentsReport:
        """Return the perpetuals, each with its place in the list. Delisted ones stay in their places."""
        universe = msgspec.json.decode(payload, type=_Meta).universe
        return InstrumentsReport(
            tuple(self._instrument(place, asset) for place, asset in enumerate(universe)),
            RateLimits(weight_minute_max=WEIGHT_MAX, orders_10s_max=ORDERS_10S_MAX),
        )

    def _instrument(self, place: int, asset: _ListedPerp) -> Instrument:
        decimals = PRICE_DECIMALS - asset.sz_decimals
        return Instrument(
            id=f"{self._venue}:{asset.name}",
            venue=self._venue,
            symbol=asset.name,
            base=asset.name,
            quote=QUOTE,
            price_scale=decimals,
            size_scale=asset.sz_decimals,
            tick_size=Decimal(1).scaleb(-decimals),
            lot_size=Decimal(1).scaleb(-asset.sz_decimals),
            notional_min=NOTIONAL_MIN,
            trading=not asset.is_delisted,
            contract="PERPETUAL",
            margin=QUOTE,
            price_digits=PRICE_DIGITS,
            venue_index=place,
            money_scale=MONEY_SCALE,
        )
