"""Requests that a venue may answer in parts: about orders, in the market or apart until triggered, and balances."""

from engine.model import Instrument
from engine.requests import Unsigned
from engine.venues.contract_accounts import HoldsOrdersApart
from engine.venues.optional_parts import BalancesInParts
from engine.venues.venue import AccountCodec


def holds_apart(account: AccountCodec) -> bool:
    """Return True if the venue keeps orders with a trigger apart until they are triggered."""
    return isinstance(account, HoldsOrdersApart)


def keeps_apart(account: AccountCodec, *, has_trigger: bool, venue_order_id: str) -> bool:
    """Return True if the venue keeps an order apart: it has a trigger, and no id in the market yet."""
    return has_trigger and not venue_order_id and isinstance(account, HoldsOrdersApart)


def cancel_of(
    account: AccountCodec, instrument: Instrument, client_order_id: str, venue_order_id: str, *, has_trigger: bool
) -> Unsigned:
    """Return the request that cancels an order."""
    if keeps_apart(account, has_trigger=has_trigger, venue_order_id=venue_order_id):
        assert isinstance(account, HoldsOrdersApart)
        return account.cancel_held(instrument, client_order_id)
    return account.cancel(instrument, client_order_id, venue_order_id)


def query_of(
    account: AccountCodec, instrument: Instrument, client_order_id: str, venue_order_id: str, *, has_trigger: bool
) -> Unsigned:
    """Return the query for an order, by the venue's id if it is known."""
    if client_order_id and keeps_apart(account, has_trigger=has_trigger, venue_order_id=venue_order_id):
        assert isinstance(account, HoldsOrdersApart)
        return account.query_held(instrument, client_order_id)
    return account.query_order(instrument, "" if venue_order_id else client_order_id, venue_order_id)


def balances_of(account: AccountCodec) -> tuple[Unsigned, ...]:
    """Return the queries for all balances of the account; each answer covers a part."""
    return (account.balances(), *(account.other_balances() if isinstance(account, BalancesInParts) else ()))


def open_orders_of(account: AccountCodec) -> tuple[Unsigned, ...]:
    """Return the queries for all open orders of the account; each answer lists one kind."""
    held = (account.open_held(),) if isinstance(account, HoldsOrdersApart) else ()
    return (account.open_orders(), *held)
