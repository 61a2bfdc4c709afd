"""Alpaca's assets as instruments: stocks with one price step, crypto pairs with their own.

GET /v2/assets names no symbols, so one symbol is requested by itself, and several as all of their class.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final
from urllib.parse import quote

import msgspec

from engine.events import InstrumentsReport
from engine.model import Instrument, OrderTerm, OrderType, TimeInForce
from engine.money import ZERO
from engine.requests import Transport, Unsigned
from engine.venues.alpaca import venue_limits as limits
from engine.venues.alpaca.values import Number, Text, number

PATH: Final = "/v2/assets"
STOCK: Final = "us_equity"
CRYPTO: Final = "crypto"
FRACTION: Final = Decimal(1).scaleb(-limits.FRACTION_SCALE)


class _Asset(msgspec.Struct, frozen=True, rename={"asset_class": "class"}):
    asset_class: Text
    symbol: Text
    status: Text = ""
    tradable: bool = False
    fractionable: bool = False
    min_order_size: Number = None
    min_trade_increment: Number = None
    price_increment: Number = None

    def instrument(self, venue: str) -> Instrument:
        is_crypto = self.asset_class == CRYPTO
        is_divisible = is_crypto or self.fractionable
        lot = (number(self.min_trade_increment) or FRACTION) if is_divisible else Decimal(1)
        base, _, quoted = self.symbol.partition("/")
        forbidden = (OrderTerm.TRAILING,) if is_crypto else () if self.fractionable else (OrderTerm.QUOTE_QUANTITY,)
        return Instrument(
            id=f"{venue}:{self.symbol}",
            venue=venue,
            symbol=self.symbol,
            base=base,
            quote=quoted or limits.CASH,
            price_scale=limits.CRYPTO_PRICE_SCALE if is_crypto else limits.STOCK_PRICE_SCALE,
            size_scale=limits.FRACTION_SCALE,
            tick_size=(number(self.price_increment) if is_crypto else limits.STOCK_TICK) or FRACTION,
            lot_size=lot,
            quantity_min=number(self.min_order_size) or lot,
            notional_min=limits.CRYPTO_NOTIONAL_MIN if is_crypto else limits.STOCK_NOTIONAL_MIN,
            trading=self.status == "active" and self.tradable,
            forbids=forbidden,
            unstated_fee_max=limits.CRYPTO_FEE_MAX if is_crypto else ZERO,
            without_book=not is_crypto,
            lacks_types=(OrderType.STOP,) if is_crypto else (),
            lacks_times=(TimeInForce.FOK,) if is_crypto else (),
        )


class AlpacaMetadata:
    """An engine.venues.venue.MetadataReader."""

    def __init__(self, venue: str = limits.VENUE) -> None:
        self._venue = venue

    def request(self, symbols: Sequence[str] = ()) -> Unsigned:
        """Return the request for one asset, or for all of the class that the symbols have."""
        if len(symbols) == 1:
            return Unsigned(Transport.REST, "GET", f"{PATH}/{quote(symbols[0], safe='')}", (), signed=True)
        classes = {CRYPTO if "/" in symbol else STOCK for symbol in symbols}
        only = (("asset_class", next(iter(classes))),) if len(classes) == 1 else ()
        return Unsigned(Transport.REST, "GET", PATH, (("status", "active"), *only), signed=True)

    def read(self, payload: bytes) -> InstrumentsReport:
        """Return the stocks and crypto pairs of an answer; options and perpetuals are left out. Raises ValueError."""
        if payload.lstrip().startswith(b"{"):
            assets: tuple[_Asset, ...] = (msgspec.json.decode(payload, type=_Asset),)
        else:
            assets = msgspec.json.decode(payload, type=tuple[_Asset, ...])
        known = (each for each in assets if each.asset_class == (CRYPTO if "/" in each.symbol else STOCK))
        return InstrumentsReport(tuple(each.instrument(self._venue) for each in known), limits.RATE_LIMITS)
