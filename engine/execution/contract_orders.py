"""What a request for an order of contracts says beside the order: which position it concerns, and that it only reduces.

A strategy's position is a part of the account's. So the venue's own flag "reduce only" is set if the account's position
covers the order, and in hedge mode the order names the position that it opens or closes.
"""

from engine.facts import NewOrder
from engine.model import PositionSide, Side
from engine.state.session_state import Account
from engine.venues.venue import ContractTerms


def closes(account: Account, strategy: str, order: NewOrder) -> bool:
    """Return True if an order is against its strategy's position."""
    return account.positions.get(strategy, order.instrument).quantity * order.side.sign < 0


def contract_terms(
    account: Account, strategy: str, order: NewOrder, *, is_hedge: bool, good_till_ns: int
) -> ContractTerms:
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
    return ContractTerms(
        reduce_only=order.reduce_only and covered >= order.quantity,
        position_side=side,
        closes_position=order.closes_position,
        good_till_ns=good_till_ns,
    )
