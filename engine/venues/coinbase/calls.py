"""The calls of a Coinbase account as unsigned values.

Members of a JSON body are parameters with dots, items of a list have [] behind their name.
A parameter that begins with `local:` is not sent: it says for which order an answer is searched.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

from engine.events import FillsReport
from engine.model import Instrument, Side
from engine.order_terms import Terms
from engine.requests import Transport, Unsigned
from engine.state.fill_cursor import TIMED_FILLS
from engine.venues.coinbase.order_types import configuration
from engine.venues.timestamps import time_text

PREFIX: Final = "/api/v3/brokerage"
ORDERS: Final = f"{PREFIX}/orders"
CANCEL: Final = f"{PREFIX}/orders/batch_cancel"
ORDER: Final = f"{PREFIX}/orders/historical/"  # and the venue's id
LISTED: Final = f"{PREFIX}/orders/historical/batch"
FILLS: Final = f"{PREFIX}/orders/historical/fills"
ACCOUNTS: Final = f"{PREFIX}/accounts"
TIME: Final = f"{PREFIX}/time"
LOCAL: Final = "local:"
SOUGHT: Final = f"{LOCAL}client_order_id"
PAGE: Final = 250  # of accounts and of orders
OPEN_PAGE: Final = 1_000  # the venue caps the open orders of a product at 500
FILLS_PAGE: Final = 100
SINCE: Final = "start_sequence_timestamp"
UNTIL: Final = "end_sequence_timestamp"
INSTANT_NS: Final = 1_000  # the venue's times have microseconds, and it is not stated whether the end is included
OPEN: Final = ("order_status", "OPEN")
FLAGS: Final = {"true": True, "false": False}  # of a JSON body; every other value is text


def is_local(name: str) -> bool:
    """Return True for a parameter that is not sent."""
    return name.startswith(LOCAL)


def nested(params: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return parameters as a JSON body: `a.b` is a member of an object, `a[]` an item of a list.

    >>> nested([("order_ids[]", "1"), ("order_ids[]", "2"), ("of.flag", "true")])
    {'order_ids': ['1', '2'], 'of': {'flag': True}}
    """
    body: dict[str, Any] = {}
    for name, value in params:
        *above, last = name.split(".")
        at = body
        for part in above:
            at = at.setdefault(part, {})
        if last.endswith("[]"):
            at.setdefault(last.removesuffix("[]"), []).append(value)
        else:
            at[last] = FLAGS.get(value, value)
    return body


def _get(path: str, *params: tuple[str, str]) -> Unsigned:
    return Unsigned(Transport.REST, "GET", path, params, signed=True)


def server_time() -> Unsigned:
    """Return the query for the venue's clock."""
    return Unsigned(Transport.REST, "GET", TIME, (), signed=False)


def subscribe(channel: str, *products: str, signed: bool = False, method: str = "subscribe") -> Unsigned:
    """Return the subscription of one channel: a message holds one alone."""
    params = (("channel", channel), *(("product_ids[]", product) for product in products))
    return Unsigned(Transport.WS_API, method, "", params, signed=signed)


class CoinbaseCalls:
    """The calls of an engine.venues.venue.AccountCodec."""

    def place(
        self, client_order_id: str, instrument: Instrument, side: Side, quantity: Decimal, terms: Terms
    ) -> Unsigned:
        """Return the request for a new order."""
        params = (
            ("client_order_id", client_order_id),
            ("product_id", instrument.symbol),
            ("side", side.value),
            *configuration(side, quantity, terms),
        )
        return Unsigned(Transport.REST, "POST", ORDERS, params, signed=True, orders=1)

    def cancel(self, instrument: Instrument, client_order_id: str, venue_order_id: str = "") -> Unsigned:
        """Return the cancel of an order, by the venue's id alone.

        Before the venue named one, our id stands for it: the venue does not know it, and the order is queried.
        """
        del instrument
        params = (("order_ids[]", venue_order_id or client_order_id),)
        return Unsigned(Transport.REST, "POST", CANCEL, params, signed=True)

    def cancel_all(self, instrument: Instrument) -> Unsigned:
        """Raise LookupError: the venue cancels orders by their ids alone."""
        raise LookupError(f"no cancel of all orders of {instrument.symbol}")

    def query_order(self, instrument: Instrument, client_order_id: str = "", venue_order_id: str = "") -> Unsigned:
        """Return the query for one order; by our id alone, the newest orders of its product."""
        if venue_order_id:
            return _get(f"{ORDER}{venue_order_id}")
        product = ("product_ids", instrument.symbol)
        return _get(LISTED, product, ("limit", str(PAGE)), (SOUGHT, client_order_id))

    def query_next(self, instrument: Instrument, answered: Unsigned) -> Unsigned | None:
        """Return the query after one by our id that found no order: the open ones of the product; None after that."""
        sought = dict(answered.params).get(SOUGHT)
        if sought is None or OPEN in answered.params:
            return None
        return _get(LISTED, ("product_ids", instrument.symbol), OPEN, ("limit", str(OPEN_PAGE)), (SOUGHT, sought))

    def open_orders(self) -> Unsigned:
        """Return the query for all open orders. It leaves out those that are not in the book yet (PENDING, QUEUED)."""
        return _get(LISTED, OPEN, ("limit", str(OPEN_PAGE)))

    def balances(self) -> Unsigned:
        """Return the query for all balances."""
        return _get(ACCOUNTS, ("limit", str(PAGE)))

    def fills_after(self, instrument: Instrument, cursor: str | None) -> Unsigned:
        """Return the query for the fills since a cursor, newest first; the newest page if it is None."""
        return _get(FILLS, ("product_ids", instrument.symbol), *_since(cursor), ("limit", str(FILLS_PAGE)))

    def fills_of(self, instrument: Instrument, venue_order_id: str, cursor: str | None) -> Unsigned:
        """Return the query for the fills of an order."""
        del instrument
        return _get(FILLS, ("order_ids", venue_order_id), *_since(cursor), ("limit", str(FILLS_PAGE)))

    def oldest_fills(self, instrument: Instrument, answered: Unsigned, report: FillsReport) -> Unsigned | None:
        """Return the query for the fills before those of a full page, which begins with the newest."""
        if len(report.fills) < FILLS_PAGE:
            return None
        oldest_ns = min(fill.venue_ns for fill in report.fills)
        until = (UNTIL, time_text(oldest_ns + INSTANT_NS))
        if until in answered.params:
            return None  # as many fills in one instant as a page holds
        since = [param for param in answered.params if param[0] == SINCE]
        return _get(FILLS, ("product_ids", instrument.symbol), *since, until, ("limit", str(FILLS_PAGE)))


def _since(cursor: str | None) -> tuple[tuple[str, str], ...]:
    since_ns = 0 if cursor is None else TIMED_FILLS.time_ns(cursor)
    return ((SINCE, time_text(since_ns)),) if since_ns else ()
