"""Open orders as both protocols list them; a fault may list them late or behind the orders that were placed."""

from engine.sim.binance.endpoints import Call
from engine.sim.exchange.order_values import SimOrder
from engine.sim.faults import Action


def optional_symbol(call: Call) -> str | None:
    """Return the symbol that a call names, or None."""
    symbol = call.params.symbol() if call.params.get("symbol") else None
    if symbol is not None:
        call.exchange.market(symbol)
    return symbol


def listed_orders(call: Call) -> list[SimOrder]:
    """Return the open orders of the account, or of one symbol, as the faults let the venue list them."""
    symbol = optional_symbol(call)
    found = call.exchange.open_orders(call.account, symbol)
    lag_ns = call.faults.list_lag_ns
    late = [o for o in call.exchange.ended_since(call.account, call.now_ns - lag_ns, symbol) if lag_ns]
    if late:
        call.faults.count(Action.LIST_LAG)
    found = sorted((*found, *late), key=lambda order: order.order_id)
    behind_ns = call.faults.list_behind_ns
    listed = [order for order in found if not behind_ns or order.created_ns <= call.now_ns - behind_ns]
    if len(listed) < len(found):
        call.faults.count(Action.LIST_BEHIND)
    return [order for order in listed if not call.hidden(order.client_order_id, call.now_ns)]
