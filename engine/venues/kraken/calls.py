"""Every call that we make of Kraken, as unsigned values over REST. No key, no nonce, no signature, no answer."""

from decimal import Decimal
from typing import Final

from engine.events import FillsReport
from engine.model import Instrument, Side
from engine.order_terms import Terms
from engine.requests import Transport, Unsigned
from engine.state.fill_cursor import TIMED_FILLS
from engine.venues.kraken.order_types import Params, order_params
from engine.venues.kraken.signer import DEADLINE
from engine.venues.kraken.values import number_text, rest_pair
from engine.venues.order_ids import ReadableOrderIds

PREFIX: Final = "/0/private/"
ADD, AMEND, CANCEL = (f"{PREFIX}{name}" for name in ("AddOrder", "AmendOrder", "CancelOrder"))
QUERY, OPEN, CLOSED = (f"{PREFIX}{name}" for name in ("QueryOrders", "OpenOrders", "ClosedOrders"))
BALANCES, FILLS, SWITCH = (f"{PREFIX}{name}" for name in ("BalanceEx", "TradesHistory", "CancelAllOrdersAfter"))
TOKEN: Final = f"{PREFIX}GetWebSocketsToken"
ORDER_IDS: Final = ReadableOrderIds(length_max=18, punctuation="")
PAGE: Final = 50  # fills of a page
MOVED_MAX: Final = 10  # fills of one millisecond that may come between two queries
MARGIN_NS: Final = 1_000_000  # REST states times in tenths of a millisecond, and the stream in microseconds
SWITCH_MAX_S: Final = 86_400


class Requests:
    """The account's calls. Each returns the same value for the same arguments."""

    def __init__(self, recv_window_ms: int) -> None:
        assert 500 <= recv_window_ms <= 60_000, f"a deadline of {recv_window_ms} ms: Kraken takes 500 to 60000"
        self._window_ms = recv_window_ms

    def place(
        self, client_order_id: str, instrument: Instrument, side: Side, quantity: Decimal, terms: Terms
    ) -> Unsigned:
        """Return the request for a new order, which the venue drops if it comes after its deadline."""
        assert ORDER_IDS.is_valid(client_order_id), client_order_id
        params = (
            ("pair", rest_pair(instrument.symbol)),
            ("type", side.value.lower()),
            *order_params(terms),
            ("volume", number_text(quantity)),
            ("cl_ord_id", client_order_id),
            (DEADLINE, str(self._window_ms)),
        )
        return _private(ADD, params, orders=1)

    def cancel(self, instrument: Instrument, client_order_id: str, venue_order_id: str = "") -> Unsigned:
        """Return the cancel of an order, by the venue's id once it is known: ours may be used again."""
        del instrument
        return _private(CANCEL, (_named(client_order_id, venue_order_id),))

    def cancel_all(self, instrument: Instrument) -> Unsigned:
        """Raise LookupError: the only cancel of many orders is of the whole account."""
        raise LookupError(f"Kraken has no cancel of all orders of {instrument.symbol} alone")

    def amend(
        self, instrument: Instrument, client_order_id: str, quantity: Decimal, venue_order_id: str = ""
    ) -> Unsigned:
        """Return the request that changes the quantity of an open order, which keeps its ids and its place."""
        del instrument
        by = _named(client_order_id, venue_order_id)
        return _private(AMEND, (by, ("order_qty", number_text(quantity)), (DEADLINE, str(self._window_ms))))

    def dead_man_switch(self, instrument: Instrument, timeout_ms: int) -> Unsigned:
        """Return the request that arms or disarms the switch, which is one for the whole account."""
        del instrument
        return _private(SWITCH, (("timeout", str(min(-(-timeout_ms // 1_000), SWITCH_MAX_S))),))

    def query_order(self, instrument: Instrument, client_order_id: str = "", venue_order_id: str = "") -> Unsigned:
        """Return the query for one order by the venue's id, or the first of two by ours: of the open orders."""
        del instrument
        if venue_order_id:
            return _private(QUERY, (("txid", venue_order_id), ("trades", "true")))
        return _private(OPEN, (("cl_ord_id", client_order_id), ("trades", "true")))

    def query_next(self, instrument: Instrument, answered: Unsigned) -> Unsigned | None:
        """Return the query for closed orders after that for open ones; None after any other."""
        del instrument
        named = tuple(param for param in answered.params if param[0] == "cl_ord_id")
        return _private(CLOSED, (*named, ("trades", "true"))) if answered.path == OPEN and named else None

    def open_orders(self) -> Unsigned:
        """Return the query for all open orders."""
        return _private(OPEN, (("trades", "true"),))

    def balances(self) -> Unsigned:
        """Return the query for all balances, each with the part that orders hold."""
        return _private(BALANCES, ())

    def fills_after(self, instrument: Instrument, cursor: str | None) -> Unsigned:
        """Return the query for the newest page of fills of all pairs after a cursor, or of the newest page of all."""
        del instrument
        time_ns = 0 if cursor is None else max(TIMED_FILLS.time_ns(cursor) - MARGIN_NS, 0)
        since = (("start", _seconds(time_ns)),) if time_ns else ()
        return _private(FILLS, (*since, *_ALL_FILLS), weight=2)

    def oldest_fills(self, instrument: Instrument, answered: Unsigned, report: FillsReport) -> Unsigned | None:
        """Return the query for the oldest page after the cursor, if the answered one holds the newest alone.

        New fills move the pages: the query ends about at the newest fill of the count, and its page is the last 40
        fills, with room for ten more.
        """
        del instrument
        if report.total <= PAGE or any(name == "ofs" for name, _ in answered.params):
            return None
        end = ("end", _seconds(TIMED_FILLS.time_ns(report.through) + MARGIN_NS))
        return _private(FILLS, (*answered.params, end, ("ofs", str(report.total - PAGE + MOVED_MAX))), weight=2)

    def stream_token(self) -> Unsigned:
        """Return the request for the token of private subscriptions: it must be used within 15 minutes."""
        return _private(TOKEN, ())

    def renew_token(self) -> Unsigned:
        """Return the request for another token: each connection takes a new one."""
        return self.stream_token()

    @property
    def renew_every_ns(self) -> int:
        """Return 0: a token that a live subscription uses stays valid for its connection."""
        return 0


_ALL_FILLS: Final = (("type", "all"), ("consolidate_taker", "false"), ("without_count", "false"))


def _named(client_order_id: str, venue_order_id: str) -> tuple[str, str]:
    return ("txid", venue_order_id) if venue_order_id else ("cl_ord_id", client_order_id)


def _seconds(time_ns: int) -> str:
    return f"{time_ns // 10**9}.{time_ns % 10**9 // 1_000:06d}"


def _private(path: str, params: Params, *, weight: int = 1, orders: int = 0) -> Unsigned:
    return Unsigned(Transport.REST, "POST", path, params, signed=True, weight=weight, orders=orders)
