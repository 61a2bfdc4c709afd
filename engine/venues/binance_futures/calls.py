"""Every call we make of an account of Binance's futures, as unsigned values. No key, no timestamp, no answer.

Weights and order counts are those of section 4 of the fact sheet of USD-M; numbers in parentheses are its sections.
"""

from decimal import Decimal
from typing import Final

from engine.model import Instrument, MarginMode, Side
from engine.order_terms import Terms
from engine.requests import Transport, Unsigned
from engine.venues.binance_common.values import number_text
from engine.venues.binance_futures.order_types import Params, book_params, date_of, held_params, is_held
from engine.venues.contract_accounts import PositionTerms
from engine.venues.order_ids import ReadableOrderIds

RECV_WINDOW_MS_MAX: Final = 60_000
FILLS_PAGE_MAX: Final = 1_000
ORDER_IDS: Final = ReadableOrderIds(length_max=36)
MARGIN_TYPES: Final = {MarginMode.CROSS: "CROSSED", MarginMode.ISOLATED: "ISOLATED"}
NO_TERMS: Final = PositionTerms()
_PAGE: Final = ("limit", str(FILLS_PAGE_MAX))


class FuturesRequests:
    """The account's calls. Each returns the same value for the same arguments."""

    def __init__(self, prefix: str, account_prefix: str, recv_window_ms: int) -> None:
        """Set the paths: `account_prefix` is that of balances and positions."""
        assert 0 < recv_window_ms <= RECV_WINDOW_MS_MAX, recv_window_ms
        self._prefix = prefix
        self._account_prefix = account_prefix
        self._recv_window_ms = recv_window_ms

    # ---- orders

    def place(
        self, client_order_id: str, instrument: Instrument, side: Side, quantity: Decimal, terms: Terms
    ) -> Unsigned:
        """Return the request for a new order in one-way mode."""
        return self.place_contract(client_order_id, instrument, side, quantity, terms, contract=NO_TERMS)

    def place_contract(
        self,
        client_order_id: str,
        instrument: Instrument,
        side: Side,
        quantity: Decimal,
        terms: Terms,
        *,
        contract: PositionTerms,
    ) -> Unsigned:
        """Return the request for a new order: one of the market, or a conditional one."""
        assert ORDER_IDS.is_valid(client_order_id), client_order_id
        assert quantity > 0 or contract.closes_position, quantity
        position = (("positionSide", str(contract.position_side)),) if contract.position_side != "BOTH" else ()
        head: Params = (("symbol", instrument.symbol), ("side", side.value), *position)
        if is_held(terms):
            conditional = (("algoType", "CONDITIONAL"), *head, *held_params(terms, quantity, contract))
            return self._signed("POST", "algoOrder", (*conditional, ("clientAlgoId", client_order_id)), 0, orders=1)
        params = (*head, *book_params(terms, quantity, contract), ("newClientOrderId", client_order_id))
        # ACK: no answer has the fills (7), so a status beyond NEW would only lead to a query for them
        return self._signed("POST", "order", (*params, ("newOrderRespType", "ACK")), 0, orders=1)

    def date_of(self, good_till_ns: int, venue_now_ns: int) -> int:
        """Return the time at which the venue itself can end an order, or 0 if it cannot."""
        return date_of(good_till_ns, venue_now_ns)

    def cancel(self, instrument: Instrument, client_order_id: str, venue_order_id: str = "") -> Unsigned:
        """Return the cancel of an order of the market, by the venue's id; by ours until it is known."""
        return self._signed("DELETE", "order", (("symbol", instrument.symbol), _by(client_order_id, venue_order_id)))

    def cancel_held(self, instrument: Instrument, client_order_id: str) -> Unsigned:
        """Return the cancel of a conditional order. Our ids name one order of the account, so it needs no symbol."""
        del instrument
        return self._signed("DELETE", "algoOrder", (("clientAlgoId", client_order_id),))

    def cancel_all(self, instrument: Instrument) -> Unsigned:
        """Return the cancel of every order of an instrument in the market, ours or not."""
        return self._signed("DELETE", "allOpenOrders", (("symbol", instrument.symbol),))

    def cancel_all_held(self, instrument: Instrument) -> Unsigned:
        """Return the cancel of every conditional order of an instrument, ours or not."""
        return self._signed("DELETE", "algoOpenOrders", (("symbol", instrument.symbol),))

    def dead_man_switch(self, instrument: Instrument, timeout_ms: int) -> Unsigned:
        """Return the request after which the venue cancels an instrument's orders, unless it comes again in time."""
        params = (("symbol", instrument.symbol), ("countdownTime", str(timeout_ms)))
        return self._signed("POST", "countdownCancelAll", params, 10)

    def query_order(self, instrument: Instrument, client_order_id: str = "", venue_order_id: str = "") -> Unsigned:
        """Return the query for an order of the market by our id or by the venue's, not by both."""
        assert bool(client_order_id) != bool(venue_order_id), (client_order_id, venue_order_id)
        return self._signed("GET", "order", (("symbol", instrument.symbol), _by(client_order_id, venue_order_id)))

    def query_held(self, instrument: Instrument, client_order_id: str) -> Unsigned:
        """Return the query for a conditional order, also after it was triggered."""
        del instrument
        return self._signed("GET", "algoOrder", (("clientAlgoId", client_order_id),))

    def open_orders(self) -> Unsigned:
        """Return the query for all open orders of the market. Conditional orders are not among them."""
        return self._signed("GET", "openOrders", (), 40)

    def open_held(self) -> Unsigned:
        """Return the query for all conditional orders that were not triggered."""
        return self._signed("GET", "openAlgoOrders", (), 40)

    def fills_after(self, instrument: Instrument, cursor: str | None) -> Unsigned:
        """Return the query for a page of fills behind this id; the newest page if it is None."""
        since: Params = () if cursor is None else (("fromId", str(int(cursor) + 1)),)
        return self._signed("GET", "userTrades", (("symbol", instrument.symbol), *since, _PAGE), 5)

    def fills_of(self, instrument: Instrument, venue_order_id: str, cursor: str | None) -> Unsigned:
        """Return the query for the oldest fills of one order behind an id, or from its first."""
        since: Params = () if cursor is None else (("fromId", str(int(cursor) + 1)),)
        params = (("symbol", instrument.symbol), ("orderId", venue_order_id), *since, _PAGE)
        return self._signed("GET", "userTrades", params, 5)

    # ---- the account

    def balances(self) -> Unsigned:
        """Return the query for all wallets."""
        return self._signed("GET", "balance", (), 5, prefix=self._account_prefix)

    def positions(self) -> Unsigned:
        """Return the query for all positions. One that is not named is flat."""
        return self._signed("GET", "positionRisk", (), 5, prefix=self._account_prefix)

    def fundings_since(self, venue_ns: int) -> Unsigned:
        """Return the query for the fundings of all contracts since a time, the oldest first (9)."""
        start = ("startTime", str(venue_ns // 1_000_000))
        return self._signed("GET", "income", (("incomeType", "FUNDING_FEE"), start, _PAGE), 30)

    def position_mode(self) -> Unsigned:
        """Return the query for the position mode: whether long and short positions are apart."""
        return self._signed("GET", "positionSide/dual", (), 30)

    def contract_settings(self, instrument: Instrument) -> Unsigned:
        """Return the query for the leverage and the margin mode of a contract."""
        return self._signed("GET", "symbolConfig", (("symbol", instrument.symbol),), 5)

    def set_leverage(self, instrument: Instrument, leverage: Decimal) -> Unsigned:
        """Return the request that sets the leverage of a contract, a whole number."""
        return self._signed("POST", "leverage", (("symbol", instrument.symbol), ("leverage", number_text(leverage))))

    def set_margin_mode(self, instrument: Instrument, mode: MarginMode) -> Unsigned:
        """Return the request that sets the margin mode of a contract that has no order and no position."""
        return self._signed("POST", "marginType", (("symbol", instrument.symbol), ("marginType", MARGIN_TYPES[mode])))

    def stream_token(self) -> Unsigned:
        """Return the request for a listen key, new or still valid. It lives for 60 minutes (6)."""
        return self._keyed("POST")

    def renew_token(self) -> Unsigned:
        """Return the request that keeps the listen key alive."""
        return self._keyed("PUT")

    def _keyed(self, method: str) -> Unsigned:
        return Unsigned(Transport.REST, method, f"{self._prefix}/listenKey", (), signed=False)

    def _signed(
        self, method: str, name: str, params: Params, weight: int = 1, *, orders: int = 0, prefix: str = ""
    ) -> Unsigned:
        window = ("recvWindow", str(self._recv_window_ms))
        path = f"{prefix or self._prefix}/{name}"
        return Unsigned(Transport.REST, method, path, (*params, window), signed=True, weight=weight, orders=orders)


def _by(client_order_id: str, venue_order_id: str) -> tuple[str, str]:
    return ("orderId", venue_order_id) if venue_order_id else ("origClientOrderId", client_order_id)
