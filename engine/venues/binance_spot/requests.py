"""Every call we make of Binance Spot, as unsigned values. No key, no timestamp, no signature, no answer.

Weights and order counts are those of the fact sheet, as charged before the venue forgives them on success.
"""

import json
from collections.abc import Sequence
from decimal import Decimal

from engine.model import Instrument, Side
from engine.order_terms import Terms
from engine.requests import Transport, Unsigned
from engine.venues.binance_spot import rules
from engine.venues.binance_spot.order_types import Params, order_params


def symbol_of(instrument: Instrument | str) -> str:
    """The venue's name for an instrument, given it or its id."""
    return instrument.removeprefix(f"{rules.VENUE}:") if isinstance(instrument, str) else instrument.symbol


class Requests:
    """The calls. Each returns the same value for the same arguments."""

    def __init__(self, recv_window_ms: int = rules.RECV_WINDOW_MS) -> None:
        assert 0 < recv_window_ms <= rules.RECV_WINDOW_MS_MAX, recv_window_ms
        self.recv_window_ms = recv_window_ms

    def place(
        self, client_order_id: str, instrument: Instrument | str, side: Side, quantity: Decimal, terms: Terms
    ) -> Unsigned:
        """Place a new order."""
        assert rules.order_id_fits(client_order_id), client_order_id
        assert quantity > 0, quantity
        params = (
            ("symbol", symbol_of(instrument)),
            ("side", side.value),
            *order_params(terms, quantity),
            ("newClientOrderId", client_order_id),
            # FULL by name: the default differs by type, and LIMIT_MAKER's (ACK) does not say how the order is
            ("newOrderRespType", "FULL"),
        )
        return self._signed("POST", "/api/v3/order", params, orders=1)

    def cancel(self, instrument: Instrument | str, client_order_id: str) -> Unsigned:
        params = (("symbol", symbol_of(instrument)), ("origClientOrderId", client_order_id))
        return self._signed("DELETE", "/api/v3/order", params)

    def cancel_all(self, instrument: Instrument | str) -> Unsigned:
        """Every open order of one instrument, ours or not; "not found" where none is open."""
        return self._signed("DELETE", "/api/v3/openOrders", (("symbol", symbol_of(instrument)),))

    def query_order(
        self, instrument: Instrument | str, client_order_id: str = "", venue_order_id: str = ""
    ) -> Unsigned:
        # One of the two: given both, the venue goes by orderId and answers -2039 if the other differs
        assert bool(client_order_id) != bool(venue_order_id), (client_order_id, venue_order_id)
        by = ("origClientOrderId", client_order_id) if client_order_id else ("orderId", venue_order_id)
        return self._signed("GET", "/api/v3/order", (("symbol", symbol_of(instrument)), by), weight=4)

    def open_orders(self) -> Unsigned:
        return self._signed("GET", "/api/v3/openOrders", (), weight=80)

    def account(self) -> Unsigned:
        return self._signed("GET", "/api/v3/account", (("omitZeroBalances", "true"),), weight=20)

    def fills_since(
        self, instrument: Instrument | str, from_fill_id: str | None, limit: int = rules.FILLS_PAGE_MAX
    ) -> Unsigned:
        """A page of fills, from that id on and with it; the newest `limit` where none is given."""
        assert 0 < limit <= rules.FILLS_PAGE_MAX, limit
        since: Params = () if from_fill_id is None else (("fromId", from_fill_id),)
        params = (("symbol", symbol_of(instrument)), *since, ("limit", str(limit)))
        return self._signed("GET", "/api/v3/myTrades", params, weight=20)

    def depth(self, instrument: Instrument | str, limit: int = rules.DEPTH_LIMIT_MAX) -> Unsigned:
        assert 0 < limit <= rules.DEPTH_LIMIT_MAX, limit
        weight = next(weight for up_to, weight in rules.DEPTH_WEIGHTS if limit <= up_to)
        params = (("symbol", symbol_of(instrument)), ("limit", str(limit)))
        return Unsigned(Transport.REST, "GET", "/api/v3/depth", params, signed=False, weight=weight)

    def server_time(self) -> Unsigned:
        return Unsigned(Transport.REST, "GET", "/api/v3/time", (), signed=False)

    def exchange_info(self, symbols: Sequence[str] = ()) -> Unsigned:
        """Instrument metadata; all of the venue's (some 6 MB) where no symbol is named."""
        named: Params = (("symbols", json.dumps(list(symbols), separators=(",", ":"))),) if symbols else ()
        return Unsigned(Transport.REST, "GET", "/api/v3/exchangeInfo", named, signed=False, weight=20)

    def subscribe_private(self) -> Unsigned:
        """Account events on this WS API connection, for any type of key. (Listen keys are gone since 2026-02-20.)"""
        method = "userDataStream.subscribe.signature"
        params = (("recvWindow", str(self.recv_window_ms)),)
        return Unsigned(Transport.WS_API, method, "", params, signed=True, weight=2)

    def _signed(self, method: str, path: str, params: Params, weight: int = 1, orders: int = 0) -> Unsigned:
        window = ("recvWindow", str(self.recv_window_ms))
        return Unsigned(Transport.REST, method, path, (*params, window), signed=True, weight=weight, orders=orders)
