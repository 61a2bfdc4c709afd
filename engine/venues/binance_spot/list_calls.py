"""Order lists in Binance's words: the parameters of OCO and OPOCO.

Binance names the two orders of a pair by their prices: the one above the market and the one below it.
"""

from collections.abc import Sequence

from engine.facts import ListLeg, NewOrder
from engine.model import Side
from engine.venues.binance_common.values import number_text
from engine.venues.binance_spot.order_types import Params, order_params

OCO_PATH = "/api/v3/orderList/oco"
OPOCO_PATH = "/api/v3/orderList/opoco"


def list_params(list_id: str, symbol: str, legs: Sequence[ListLeg]) -> tuple[str, Params]:
    """Return the path of a list's placement and its parameters.

    Args:
        list_id: Our id of the list.
        symbol: The venue's name of the instrument.
        legs: The stop and the target; for an OPOCO, the entry comes first.

    """
    *entries, stop, target = legs
    exits = stop.order
    assert (target.order.side, target.order.quantity) == (exits.side, exits.quantity), legs
    head = (("symbol", symbol), ("listClientOrderId", list_id))
    # FULL by name, as of single orders
    tail = (("newOrderRespType", "FULL"),)
    above, below = (target, stop) if exits.side is Side.SELL else (stop, target)
    if not entries:
        sized = (("side", exits.side.value), ("quantity", number_text(exits.quantity)))
        return OCO_PATH, (*head, *sized, *_leg("above", above), *_leg("below", below), *tail)
    [entry] = entries
    assert entry.order.side is Side.BUY, "only a buy pays for exits that sell what it brings"
    sides = (("workingSide", entry.order.side.value), ("workingQuantity", number_text(entry.order.quantity)))
    pending = (("pendingSide", exits.side.value), *_leg("pendingAbove", above), *_leg("pendingBelow", below))
    return OPOCO_PATH, (*head, *sides, *_leg("working", entry), *pending, *tail)


def _leg(prefix: str, leg: ListLeg) -> Params:
    """Return the parameters of one order, which are those of a single order behind a prefix."""
    order: NewOrder = leg.order
    params = (*order_params(order.terms, order.quantity), ("clientOrderId", leg.client_order_id))
    return tuple((f"{prefix}{name[0].upper()}{name[1:]}", value) for name, value in params if name != "quantity")
