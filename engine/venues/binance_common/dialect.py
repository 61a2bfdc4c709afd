"""The common part of every Binance venue: key handling, headers, rates and the order of fills."""

from engine.state.fill_cursor import NUMBERED_FILLS, FillCursor
from engine.state.rate_budgets import FIXED_WINDOWS, RateModel
from engine.venues.binance_common.signer import BinanceSigner
from engine.venues.order_ids import ReadableOrderIds
from engine.venues.venue import KeptHeaders, RequestSigner

HEADERS = KeptHeaders(prefixes=(*KeptHeaders().prefixes, "x-mbx-used-weight-", "x-mbx-order-count"))


class BinanceVenue:
    """The parts of an engine.venues.venue.Venue that no Binance market changes."""

    kept_headers = HEADERS
    rates: RateModel = FIXED_WINDOWS
    fill_cursor: FillCursor = NUMBERED_FILLS  # trades of a symbol are numbered
    order_ids = ReadableOrderIds(length_max=36)  # Spot takes letters, digits, dash and underscore; USD-M takes more
    signer: RequestSigner = BinanceSigner()
