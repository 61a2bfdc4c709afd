"""An account's calls through ccxt, as unsigned values. No key, no time, no answer."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from engine.events import Event, Unrecognised
from engine.model import Instrument, OrderType, Side, TimeInForce
from engine.order_terms import Terms
from engine.requests import Unsigned
from engine.state.fill_cursor import TIMED_FILLS
from engine.venues.ccxt.exchange_rules import AccountRules
from engine.venues.ccxt.markets import unified_symbol
from engine.venues.ccxt.unified_calls import Arguments, call_request
from engine.venues.ccxt.weights import CallWeights
from journal.record import plain

FILLS_PAGE_MAX: Final = 100
MILLION: Final = 1_000_000
BY_EXCHANGE: Final = "id"  # the argument that names an order by the exchange's id


class CcxtAccount:
    """An engine.venues.venue.AccountCodec without a private stream."""

    def __init__(self, rules: AccountRules, weights: CallWeights, instruments: Sequence[Instrument]) -> None:
        self._rules = rules
        self._weights = weights
        self._instruments = tuple(instruments)

    def place(
        self, client_order_id: str, instrument: Instrument, side: Side, quantity: Decimal, terms: Terms
    ) -> Unsigned:
        """Return the request for a new order."""
        assert self._rules.ids.is_valid(client_order_id), client_order_id
        assert terms.type in self._rules.types, terms.type
        assert terms.time_in_force in self._rules.times_in_force, terms.time_in_force
        assert not any((terms.trailing_delta, terms.iceberg_quantity, terms.quote_quantity)), terms
        assert quantity > 0, quantity
        is_market = terms.type is OrderType.MARKET
        price: Arguments = () if terms.price is None or is_market else (("price", plain(terms.price)),)
        more: Arguments = ()
        if terms.type is OrderType.LIMIT_MAKER:
            more = (("postOnly", "true"),)
        elif not is_market and terms.time_in_force is not TimeInForce.GTC:
            more = (("timeInForce", terms.time_in_force.value),)
        arguments = (
            ("symbol", unified_symbol(instrument)),
            ("type", "market" if is_market else "limit"),
            ("side", side.value.lower()),
            ("amount", plain(quantity)),
            *price,
            *more,
            (self._rules.place_by, client_order_id),
        )
        return self._request("create_order", arguments, orders=1)

    def cancel(self, instrument: Instrument, client_order_id: str, venue_order_id: str = "") -> Unsigned:
        """Return the cancel of an order. Some exchanges cancel by their own id alone: signing refuses it until then."""
        by = self._by(self._rules.cancel_by, client_order_id, venue_order_id)
        return self._request("cancel_order", (*by, ("symbol", unified_symbol(instrument))))

    def cancel_all(self, instrument: Instrument) -> Unsigned:
        """Return the cancel of every open order of an instrument, ours or not."""
        assert self._rules.cancels_all, "the venue has the capability cancel_all"
        return self._request("cancel_all_orders", (("symbol", unified_symbol(instrument)),))

    def query_order(self, instrument: Instrument, client_order_id: str = "", venue_order_id: str = "") -> Unsigned:
        """Return the query for an order by our id or by the exchange's, not by both."""
        assert bool(client_order_id) != bool(venue_order_id), (client_order_id, venue_order_id)
        by = self._by(self._rules.query_by, client_order_id, venue_order_id)
        more = tuple(self._rules.query_more.items())
        return self._request("fetch_order", (*by, ("symbol", unified_symbol(instrument)), *more))

    def open_orders(self) -> Unsigned:
        """Return the query for all open orders of the account; of its instrument, where the exchange demands one."""
        named = self._instruments[:1] if self._rules.lists_by_symbol else ()
        return self._request("fetch_open_orders", tuple(("symbol", unified_symbol(of)) for of in named))

    def balances(self) -> Unsigned:
        """Return the query for all balances."""
        return self._request("fetch_balance", ())

    def fills_after(self, instrument: Instrument, cursor: str | None) -> Unsigned:
        """Return the query for the fills from a cursor's time on, or for the newest page."""
        return self._request("fetch_my_trades", (("symbol", unified_symbol(instrument)), *_page(cursor)))

    def decode_private(self, payload: bytes) -> tuple[Event, ...]:
        """Return that there is no private stream."""
        return (Unrecognised("private frame", f"{len(payload)} bytes, and this venue has no stream"),)

    def answered_request(self, payload: bytes) -> str | None:
        """Return None: nothing is sent over a link."""
        del payload
        return None

    def _by(self, parameter: str, client_order_id: str, venue_order_id: str) -> Arguments:
        """Return the argument that names an order, the exchange's id first."""
        if venue_order_id:
            return ((BY_EXCHANGE, venue_order_id),)
        name = f"{self._rules.prefix}{client_order_id}" if parameter == BY_EXCHANGE else client_order_id
        return ((parameter, name),)

    def _request(self, name: str, arguments: Arguments, *, orders: int = 0) -> Unsigned:
        weight = self._weights.weight(name, arguments)
        return call_request(name, arguments, weight=weight, orders=orders)


class CcxtAccountByOrder(CcxtAccount):
    """An OrderFills as well, of an exchange that lists the fills of one order.

    A page of an account's fills is the newest of its time at some exchanges: the fills of an order fill what it lacks.
    """

    def fills_of(self, instrument: Instrument, venue_order_id: str, cursor: str | None) -> Unsigned:
        """Return the query for the fills of one order from a cursor's time on, or from the first."""
        by = ((BY_EXCHANGE, venue_order_id), ("symbol", unified_symbol(instrument)))
        return self._request("fetch_order_trades", (*by, *_page(cursor)))


def _page(cursor: str | None) -> Arguments:
    """Return the arguments of a page of fills."""
    since = TIMED_FILLS.time_ns(cursor) // MILLION if cursor else 0
    return (*((("since", str(since)),) if since else ()), ("limit", str(FILLS_PAGE_MAX)))
