"""Terms of requests for orders of contracts: the position that an order concerns, and that it only reduces.

A strategy's position is a part of the account's. So the venue's own flag "reduce only" is set if the account's position
covers the order, and in hedge mode the order names the position that it opens or closes.
"""

from engine.facts import NewOrder
from engine.model import Instrument, PositionSide, Side
from engine.requests import Unsigned
from engine.risk.review import Approved
from engine.state.session_state import Account
from engine.step_context import StepContext
from engine.venues.contract_accounts import PlacesContracts, PositionTerms
from engine.venues.venue import Venue


def placement(
    step: StepContext, venue: Venue, approved: Approved, client_order_id: str, *, strategy: str, instrument: Instrument
) -> Unsigned:
    """Return the venue's request for an approved order."""
    account, order = venue.account, approved.order
    if not instrument.contract or not isinstance(account, PlacesContracts):  # the check of a protocol takes 60 us
        return account.place(client_order_id, instrument, order.side, order.quantity, approved.terms)
    offset_ns = step.account.limits.get(venue.name).clock_offset_ns
    till_ns = order.good_till_ns and account.date_of(order.good_till_ns + offset_ns, step.time_ns + offset_ns)
    is_hedge = step.account.margins.is_hedge(venue.name)
    contract = contract_terms(step.account, strategy, order, is_hedge=is_hedge, good_till_ns=till_ns)
    return account.place_contract(
        client_order_id, instrument, order.side, order.quantity, approved.terms, contract=contract
    )


def closes(account: Account, strategy: str, order: NewOrder) -> bool:
    """Return True if an order is against its strategy's position."""
    return account.positions.get(strategy, order.instrument).quantity * order.side.sign < 0


def contract_terms(
    account: Account, strategy: str, order: NewOrder, *, is_hedge: bool, good_till_ns: int
) -> PositionTerms:
    """Return what the request for an order says beside the order.

    Args:
        account: The account.
        strategy: The order's strategy.
        order: The order.
        is_hedge: The account has long and short positions apart.
        good_till_ns: Time of the venue's clock at which the venue ends the order; 0: never.

    """
    is_against = closes(account, strategy, order)
    side = PositionSide.BOTH
    if is_hedge:
        is_long = (order.side is Side.SELL) if is_against else (order.side is Side.BUY)
        side = PositionSide.LONG if is_long else PositionSide.SHORT
    covered = -account.positions.net(order.instrument) * order.side.sign
    return PositionTerms(
        reduce_only=order.reduce_only and covered >= order.quantity,
        position_side=side,
        closes_position=order.closes_position,
        good_till_ns=good_till_ns,
    )
