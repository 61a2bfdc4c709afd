"""Every call we make of a Hyperliquid account, as unsigned values. No key, no address, no nonce, no answer.

An action is JSON in the documented order of its names, because its bytes are hashed in that order (2). Numbers in
parentheses are sections of the fact sheet. The signer adds the account's address to a query that is `signed`.
"""

from decimal import Decimal
from typing import Any, Final

import msgspec

from engine.model import Instrument, MarginMode, OrderType, Side, TimeInForce
from engine.order_terms import Terms
from engine.requests import Transport, Unsigned
from engine.rounding import resting_price
from engine.venues.contract_accounts import PositionTerms
from engine.venues.hyperliquid.cloids import CLOID
from engine.venues.hyperliquid.values import MILLISECOND_NS, wire_number

ACTION: Final = "action"  # the parameter that holds an action
FILLS_PAGE_MAX: Final = 2_000
FUNDINGS_PAGE_MAX: Final = 500
TIFS: Final = {TimeInForce.GTC: "Gtc", TimeInForce.IOC: "Ioc"}
STOPS: Final = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})
HELD: Final = STOPS | {OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT}
TYPES: Final = HELD | {OrderType.MARKET, OrderType.LIMIT, OrderType.LIMIT_MAKER}
TRIGGER_SLIPPAGE: Final = Decimal("0.1")  # of a trigger that becomes a market order; the request needs a price (5)
NO_TERMS: Final = PositionTerms()


class AccountCalls:
    """The account's calls. Each returns the same value for the same arguments."""

    def __init__(self, venue: str) -> None:
        """Take the venue's name, which instruments bear."""
        self.venue = venue

    # ---- orders

    def place(
        self, client_order_id: str, instrument: Instrument, side: Side, quantity: Decimal, terms: Terms
    ) -> Unsigned:
        """Return the request for a new order."""
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
        """Return the request for a new order. A market order comes as a limit order that does not rest."""
        assert CLOID.fullmatch(client_order_id), client_order_id
        assert quantity > 0, quantity
        assert not contract.closes_position, "no order closes a position of any size"
        order = {
            "a": _index(instrument),
            "b": side is Side.BUY,
            "p": wire_number(_price(terms, instrument, side)),
            "s": wire_number(quantity),
            "r": contract.reduce_only,
            "t": _order_type(terms),
            "c": client_order_id,
        }
        return _action({"type": "order", "orders": [order], "grouping": "na"}, orders=1)

    def date_of(self, good_till_ns: int, venue_now_ns: int) -> int:
        """Return 0: the venue ends no order by a date."""
        del good_till_ns, venue_now_ns
        return 0

    def cancel(self, instrument: Instrument, client_order_id: str, venue_order_id: str = "") -> Unsigned:
        """Return the cancel of an order, by the venue's id; by ours until it is known."""
        index = _index(instrument)
        if venue_order_id:
            return _action({"type": "cancel", "cancels": [{"a": index, "o": _number(venue_order_id)}]})
        return _action({"type": "cancelByCloid", "cancels": [{"asset": index, "cloid": client_order_id}]})

    def cancel_all(self, instrument: Instrument) -> Unsigned:
        """Raise LookupError: the venue cancels all orders of an account alone, and only at a later time."""
        raise LookupError(f"no request cancels the orders of {instrument.symbol} alone")

    def query_order(self, instrument: Instrument, client_order_id: str = "", venue_order_id: str = "") -> Unsigned:
        """Return the query for an order by our id or by the venue's, not by both."""
        del instrument
        assert bool(client_order_id) != bool(venue_order_id), (client_order_id, venue_order_id)
        return _query("orderStatus", ("oid", venue_order_id or client_order_id), weight=2)

    def open_orders(self) -> Unsigned:
        """Return the query for all open orders. `openOrders` would lack their whole sizes and our ids (3)."""
        return _query("frontendOpenOrders", weight=20)

    def fills_after(self, instrument: Instrument, cursor: str | None) -> Unsigned:
        """Return the query for the fills from a millisecond on; the newest page if it is None. It lists all coins."""
        del instrument
        if cursor is None or int(cursor) < 0:
            return _query("userFills", weight=120)
        return _query("userFillsByTime", ("startTime", cursor), weight=30)

    # ---- the account

    def balances(self) -> Unsigned:
        """Return the query for the account's money. One answer has that, the positions and the position mode."""
        return _query("clearinghouseState", weight=2)

    def positions(self) -> Unsigned:
        """Return the query for all positions. One that is not named is flat."""
        return self.balances()

    def position_mode(self) -> Unsigned:
        """Return the query for the position mode, which is always one-way."""
        return self.balances()

    def fundings_since(self, venue_ns: int) -> Unsigned:
        """Return the query for the fundings of all coins since a time, the oldest first."""
        return _query("userFunding", ("startTime", str(venue_ns // MILLISECOND_NS)), weight=30)

    def contract_settings(self, instrument: Instrument) -> Unsigned:
        """Return the query for the leverage and the margin mode of a coin."""
        return _query("activeAssetData", ("coin", instrument.symbol), weight=20)

    def set_margin(self, instrument: Instrument, leverage: Decimal, mode: MarginMode) -> Unsigned:
        """Return the request that sets leverage and margin mode of a coin. A leverage is a whole number."""
        is_cross = mode is MarginMode.CROSS
        return _action(
            {"type": "updateLeverage", "asset": _index(instrument), "isCross": is_cross, "leverage": int(leverage)}
        )

    def probe_private(self) -> Unsigned:
        """Return a query over the private link: the venue closes one over which it sent nothing for a minute (4)."""
        return Unsigned(Transport.WS_API, "post", "", (("type", "clearinghouseState"),), signed=True, weight=2)


def _query(name: str, *params: tuple[str, str], weight: int) -> Unsigned:
    return Unsigned(Transport.REST, "POST", "/info", (("type", name), *params), signed=True, weight=weight)


def _action(action: dict[str, Any], *, orders: int = 0) -> Unsigned:
    text = msgspec.json.encode(action).decode()
    return Unsigned(Transport.REST, "POST", "/exchange", ((ACTION, text),), signed=True, weight=1, orders=orders)


def _index(instrument: Instrument) -> int:
    assert instrument.venue_index >= 0, f"{instrument.id} has no place in the venue's list"
    return instrument.venue_index


def _number(venue_order_id: str) -> int:
    """Return the venue's id as a number; 0, which no order has, for a text that is none."""
    return int(venue_order_id) if venue_order_id.isascii() and venue_order_id.isdigit() else 0


def _price(terms: Terms, instrument: Instrument, side: Side) -> Decimal:
    """Return the limit price; of a trigger for a market order, the worst price that the venue allows after it."""
    if terms.price is not None:
        return terms.price
    assert terms.trigger is not None, "a market order comes as a limit order (OrderCapabilities.market_bound)"
    return resting_price(terms.trigger * (1 + side.sign * TRIGGER_SLIPPAGE), instrument, side)


def _order_type(terms: Terms) -> dict[str, Any]:
    if terms.type in HELD:
        assert terms.trigger is not None, terms
        assert not terms.trailing_delta, "the venue has no trailing stop"
        kind = "sl" if terms.type in STOPS else "tp"
        trigger = {"isMarket": terms.price is None, "triggerPx": wire_number(terms.trigger), "tpsl": kind}
        return {"trigger": trigger}
    if terms.type is OrderType.LIMIT_MAKER:
        return {"limit": {"tif": "Alo"}}
    if terms.type is OrderType.LIMIT:
        return {"limit": {"tif": TIFS[terms.time_in_force]}}
    raise LookupError(f"the venue has no {terms.type} order")
