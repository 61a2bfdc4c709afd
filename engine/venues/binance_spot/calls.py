"""Every call we make of Binance Spot, as unsigned values. No key, no timestamp, no signature, no answer.

Weights and order counts are those of the fact sheet, as charged before the venue forgives them on success.
"""

from collections.abc import Sequence
from decimal import Decimal

from engine.facts import ListLeg
from engine.model import Instrument, Side
from engine.order_terms import Terms
from engine.requests import Transport, Unsigned
from engine.venues.binance_common.values import number_text
from engine.venues.binance_spot import venue_limits
from engine.venues.binance_spot.list_calls import list_params
from engine.venues.binance_spot.order_types import Params, order_params


def symbol_of(instrument: Instrument | str) -> str:
    """Return the venue's name for an instrument, given it or its id."""
    return instrument.removeprefix(f"{venue_limits.VENUE}:") if isinstance(instrument, str) else instrument.symbol


class Requests:
    """The account's calls. Each returns the same value for the same arguments."""

    def __init__(self, recv_window_ms: int = venue_limits.RECV_WINDOW_MS) -> None:
        assert 0 < recv_window_ms <= venue_limits.RECV_WINDOW_MS_MAX, recv_window_ms
        self.recv_window_ms = recv_window_ms
        self._window = ("recvWindow", str(recv_window_ms))

    def place(
        self, client_order_id: str, instrument: Instrument | str, side: Side, quantity: Decimal, terms: Terms
    ) -> Unsigned:
        """Return the request for a new order."""
        assert venue_limits.ORDER_IDS.is_valid(client_order_id), client_order_id
        assert quantity > 0, quantity
        params = (
            ("symbol", symbol_of(instrument)),
            ("side", str(side)),
            *order_params(terms, quantity),
            ("newClientOrderId", client_order_id),
            # FULL by name: the default differs by type, and LIMIT_MAKER's (ACK) does not say how the order is
            ("newOrderRespType", "FULL"),
        )
        return self._signed("POST", "/api/v3/order", params, orders=1)

    def place_list(self, list_id: str, instrument: Instrument | str, legs: Sequence[ListLeg]) -> Unsigned:
        """Return the request that places an order list. It weighs 1, and counts as many orders as it has."""
        names = [list_id, *(leg.client_order_id for leg in legs)]
        assert all(map(venue_limits.ORDER_IDS.is_valid, names)), names
        path, params = list_params(list_id, symbol_of(instrument), legs)
        return self._signed("POST", path, params, orders=len(legs))

    def cancel(self, instrument: Instrument | str, client_order_id: str, venue_order_id: str = "") -> Unsigned:
        """Return the cancel of an order by the venue's id, which an amendment leaves; by ours until it is known."""
        by = ("orderId", venue_order_id) if venue_order_id else ("origClientOrderId", client_order_id)
        params = (("symbol", symbol_of(instrument)), by)
        return self._signed("DELETE", "/api/v3/order", params)

    def amend(
        self, instrument: Instrument | str, client_order_id: str, quantity: Decimal, venue_order_id: str = ""
    ) -> Unsigned:
        """Return the request that reduces an open order. It counts as no order, and the order keeps our id."""
        by = ("orderId", venue_order_id) if venue_order_id else ("origClientOrderId", client_order_id)
        params = (
            ("symbol", symbol_of(instrument)),
            by,
            ("newClientOrderId", client_order_id),  # without it the venue draws one
            ("newQty", number_text(quantity)),
        )
        return self._signed("PUT", "/api/v3/order/amend/keepPriority", params, weight=4)

    def cancel_all(self, instrument: Instrument | str) -> Unsigned:
        """Return the cancel of every open order of an instrument, ours or not. "Not found" means no open order."""
        return self._signed("DELETE", "/api/v3/openOrders", (("symbol", symbol_of(instrument)),))

    def query_order(
        self, instrument: Instrument | str, client_order_id: str = "", venue_order_id: str = ""
    ) -> Unsigned:
        # One of the two: given both, the venue goes by orderId and answers -2039 if the other differs
        """Return the query for an order by our id or by the venue's, not by both."""
        assert bool(client_order_id) != bool(venue_order_id), (client_order_id, venue_order_id)
        by = ("origClientOrderId", client_order_id) if client_order_id else ("orderId", venue_order_id)
        return self._signed("GET", "/api/v3/order", (("symbol", symbol_of(instrument)), by), weight=4)

    def open_orders(self) -> Unsigned:
        """Return the query for all open orders of the account."""
        return self._signed("GET", "/api/v3/openOrders", (), weight=80)

    def balances(self) -> Unsigned:
        """Return the query for all balances that are not 0."""
        return self._signed("GET", "/api/v3/account", (("omitZeroBalances", "true"),), weight=20)

    def fills_after(
        self, instrument: Instrument | str, cursor: str | None, limit: int = venue_limits.FILLS_PAGE_MAX
    ) -> Unsigned:
        """Return the query for a page of fills behind this id; the newest `limit` if it is None."""
        assert 0 < limit <= venue_limits.FILLS_PAGE_MAX, limit
        since: Params = () if cursor is None else (("fromId", str(int(cursor) + 1)),)
        params = (("symbol", symbol_of(instrument)), *since, ("limit", str(limit)))
        return self._signed("GET", "/api/v3/myTrades", params, weight=20)

    def fills_of(self, instrument: Instrument | str, venue_order_id: str, cursor: str | None) -> Unsigned:
        """Return the query for the oldest fills of one order behind an id, or from its first."""
        since: Params = () if cursor is None else (("fromId", str(int(cursor) + 1)),)
        params = (("symbol", symbol_of(instrument)), ("orderId", venue_order_id), *since)
        limit = ("limit", str(venue_limits.FILLS_PAGE_MAX))
        return self._signed("GET", "/api/v3/myTrades", (*params, limit), weight=5)

    def subscribe_private(self) -> Unsigned:
        """Return the subscription to account events, for any type of key.

        Listen keys ended on 2026-02-20.
        """
        method = "userDataStream.subscribe.signature"
        params = (("recvWindow", str(self.recv_window_ms)),)
        return Unsigned(Transport.WS_API, method, "", params, signed=True, weight=2)

    def probe_private(self) -> Unsigned:
        """Return the query for the subscriptions of the private link."""
        return Unsigned(Transport.WS_API, "session.subscriptions", "", (), signed=False, weight=2)

    def _signed(self, method: str, path: str, params: Params, weight: int = 1, orders: int = 0) -> Unsigned:
        return Unsigned(
            Transport.REST, method, path, (*params, self._window), signed=True, weight=weight, orders=orders
        )
