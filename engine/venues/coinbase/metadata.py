"""Coinbase's products as instruments."""

from collections.abc import Sequence
from typing import Final

import msgspec

from engine.events import InstrumentsReport
from engine.market.rows import fitting_scale
from engine.model import Instrument, OrderType, RateLimits
from engine.requests import Transport, Unsigned
from engine.venues.coinbase.calls import PREFIX
from engine.venues.coinbase.order_types import TYPES
from engine.venues.coinbase.request_rates import SECOND_MAX
from engine.venues.coinbase.values import Amount, Text, positive

PRODUCTS: Final = f"{PREFIX}/market/products"
SIZE_PLACES: Final = 8  # of a level, which may be finer than the step of an order
LEVEL_OVER_ORDER: Final = 100  # a level may be so many times as large as an order
SPOT: Final = "SPOT"
LIMITS: Final = RateLimits(weight_minute_max=60 * SECOND_MAX, orders_10s_max=10 * SECOND_MAX)  # no answer states them


class _ListedProduct(msgspec.Struct):
    product_id: Text
    base_increment: Amount = ""
    quote_increment: Amount = ""
    price_increment: Amount = ""
    base_min_size: Amount = ""
    base_max_size: Amount = ""
    quote_min_size: Amount = ""
    base_currency_id: Text = ""
    quote_currency_id: Text = ""
    status: Text = ""
    product_type: Text = SPOT
    is_disabled: bool = False
    trading_disabled: bool = False
    cancel_only: bool = False
    limit_only: bool = False
    post_only: bool = False
    auction_mode: bool = False
    view_only: bool = False


class _Products(msgspec.Struct):
    products: list[_ListedProduct]


_read = msgspec.json.Decoder(_Products).decode


class CoinbaseProducts:
    """An engine.venues.venue.MetadataReader. The public list: a session needs no key to read it."""

    def __init__(self, venue: str) -> None:
        self._venue = venue

    def request(self, symbols: Sequence[str] = ()) -> Unsigned:
        """Return the request for the products named, or for all."""
        named = tuple(("product_ids", symbol) for symbol in symbols)
        return Unsigned(Transport.REST, "GET", PRODUCTS, named, signed=False)

    def read(self, payload: bytes) -> InstrumentsReport:
        """Return the spot products: those of the other types are traded elsewhere. Raises ValueError."""
        products = _read(payload).products
        found = tuple(_instrument(each, self._venue) for each in products if _is_spot(each))
        return InstrumentsReport(found, LIMITS)


def _is_spot(product: _ListedProduct) -> bool:
    return product.product_type in (SPOT, "UNKNOWN_PRODUCT_TYPE", "")


def _instrument(product: _ListedProduct, venue: str) -> Instrument:
    lot = positive(product.base_increment)
    tick = positive(product.price_increment) or positive(product.quote_increment)
    most = positive(product.base_max_size)
    base, _, quote = product.product_id.rpartition("-")
    is_closed = product.is_disabled or product.trading_disabled or product.cancel_only or product.view_only
    is_closed = is_closed or product.auction_mode
    lot_places = max(0, -int(lot.normalize().as_tuple().exponent)) if lot else SIZE_PLACES
    return Instrument(
        id=f"{venue}:{product.product_id}",
        venue=venue,
        symbol=product.product_id,
        base=product.base_currency_id or base,
        quote=product.quote_currency_id or quote,
        price_scale=max(0, -int(tick.normalize().as_tuple().exponent)) if tick else SIZE_PLACES,
        size_scale=fitting_scale(max(SIZE_PLACES, lot_places), lot_places, most * LEVEL_OVER_ORDER),
        tick_size=tick,
        lot_size=lot,
        quantity_min=positive(product.base_min_size),
        quantity_max=most,
        notional_min=positive(product.quote_min_size),
        trading=product.status in ("online", "") and not is_closed,
        lacks_types=tuple(sorted(TYPES - {OrderType.LIMIT_MAKER}))
        if product.post_only
        else (OrderType.MARKET,)
        if product.limit_only
        else (),
        quotes_from_book=True,  # the ticker comes with trades alone: the book's best levels are the quote
    )
