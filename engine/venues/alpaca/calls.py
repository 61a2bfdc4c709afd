"""Every call we make of Alpaca's account, as unsigned values. No key, no time, no answer."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from engine.model import Instrument, Side
from engine.order_terms import Terms
from engine.requests import Transport, Unsigned
from engine.state.fill_cursor import TIMED_FILLS
from engine.venues.alpaca.order_types import Params, order_params
from engine.venues.alpaca.venue_limits import FILLS_PAGE_MAX, ORDERS_LISTED_MAX
from engine.venues.timestamps import time_text

ORDERS: Final = "/v2/orders"
BY_CLIENT_ID: Final = "/v2/orders:by_client_order_id"
ACCOUNT: Final = "/v2/account"
POSITIONS: Final = "/v2/positions"
FILLS: Final = "/v2/account/activities/FILL"
CLOCK: Final = "/v2/clock"
OVERLAP_NS: Final = 1_000  # the bound of a list of fills is exclusive: a query repeats those of the last microsecond


class AccountRequests:
    """The account's calls. Each returns the same value for the same arguments."""

    def place(
        self, client_order_id: str, instrument: Instrument, side: Side, quantity: Decimal, terms: Terms
    ) -> Unsigned:
        """Return the request for a new order, with our id: without one, a repeated request is a second order."""
        params = (
            ("symbol", instrument.symbol),
            ("side", side.value.lower()),
            *order_params(terms, quantity, instrument),
            ("client_order_id", client_order_id),
        )
        return _signed("POST", ORDERS, params, orders=1)

    def cancel(self, instrument: Instrument, client_order_id: str, venue_order_id: str = "") -> Unsigned:
        """Return the cancel of an order by the venue's id; until that is known, the query for it."""
        if not venue_order_id:
            return self.query_order(instrument, client_order_id)
        return _signed("DELETE", f"{ORDERS}/{venue_order_id}")

    def cancel_all(self, instrument: Instrument) -> Unsigned:
        """Raise LookupError: DELETE /v2/orders ends every order of the account, those of other programs too."""
        raise LookupError(f"Alpaca cancels no orders of {instrument.symbol} alone")

    def query_order(self, instrument: Instrument, client_order_id: str = "", venue_order_id: str = "") -> Unsigned:
        """Return the query for one order."""
        if venue_order_id:
            return _signed("GET", f"{ORDERS}/{venue_order_id}")
        return _signed("GET", BY_CLIENT_ID, (("client_order_id", client_order_id),))

    def open_orders(self) -> Unsigned:
        """Return the query for all open orders; nested, because legs that are held do not count as open alone."""
        params = (("status", "open"), ("limit", str(ORDERS_LISTED_MAX)), ("direction", "asc"), ("nested", "true"))
        return _signed("GET", ORDERS, params)

    def balances(self) -> Unsigned:
        """Return the query for the cash."""
        return _signed("GET", ACCOUNT)

    def other_balances(self) -> tuple[Unsigned, ...]:
        """Return the query for everything but the cash."""
        return (_signed("GET", POSITIONS),)

    def fills_after(self, instrument: Instrument, cursor: str | None) -> Unsigned:
        """Return the query for a page of the account's fills, of any instrument, behind a cursor."""
        return _signed("GET", FILLS, _page(cursor))

    def fills_of(self, instrument: Instrument, venue_order_id: str, cursor: str | None) -> Unsigned:
        """Return the query for the oldest fills of an order behind a cursor."""
        return _signed("GET", FILLS, (("order_id", venue_order_id), *_page(cursor or "")))


def _page(cursor: str | None) -> Params:
    if cursor is None:
        return (("direction", "desc"), ("page_size", str(FILLS_PAGE_MAX)))
    after_ns = TIMED_FILLS.time_ns(cursor) - OVERLAP_NS
    after = (("after", time_text(after_ns)),) if after_ns > 0 else ()
    return (*after, ("direction", "asc"), ("page_size", str(FILLS_PAGE_MAX)))


def _signed(method: str, path: str, params: Params = (), orders: int = 0) -> Unsigned:
    return Unsigned(Transport.REST, method, path, params, signed=True, orders=orders)


def server_time() -> Unsigned:
    """Return the query for the venue's clock."""
    return _signed("GET", CLOCK)


def subscribe(method: str, *lists: tuple[str, Sequence[str]], signed: bool = False) -> Unsigned:
    """Return a message of a stream."""
    params = tuple((name, ",".join(values)) for name, values in lists)
    return Unsigned(Transport.WS_API, method, "", params, signed=signed, weight=0)
