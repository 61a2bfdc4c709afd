"""Adoption: a simulated exchange that continues an account's known balances, open orders and positions of contracts.

Knows no journal. An adopted order goes to the end of its queue: its real place is not recorded, and the worst place
promises nothing that the market might not give.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from engine.model import OrderType, Side, TimeInForce
from engine.sim.exchange.exchange import Exchange
from engine.sim.exchange.funds import Holding
from engine.sim.exchange.order_values import SimNewOrder, SimOrder, SimOrderStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOrder:
    """An open order to adopt. Amounts are in units of 1e-8."""

    order_id: int
    client_order_id: str
    symbol: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    price: int
    quantity: int
    executed: int
    executed_quote: int
    stop_price: int = 0
    trailing_delta: int = 0  # it follows the market from here on: the best price so far is not known
    iceberg_quantity: int = 0
    quote_quantity: int = 0
    is_triggered: bool = False
    client_list_id: str = ""  # of the order list that it belongs to
    is_pending: bool = False  # it waits for the list's working order


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The known state of an account."""

    totals: Mapping[str, int]  # free and locked together, by asset
    orders: Iterable[OpenOrder]
    order_id_last: int  # used so far: the exchange continues after it
    trade_id_last: int
    contracts: Mapping[str, Holding] = field(default_factory=dict)  # positions by symbol


def adopt(exchange: Exchange, account: str, known: Known, now_ns: int) -> None:
    """Replace the account's state in the exchange by the known one."""
    owner = exchange.accounts[account]
    for asset, total in known.totals.items():
        owner.free[asset], owner.locked[asset] = total, 0
    owner.contracts = dict(known.contracts)
    lists: dict[str, list[SimOrder]] = {}
    for given in sorted(known.orders, key=lambda order: order.order_id):
        status = SimOrderStatus.PARTIALLY_FILLED if given.executed else SimOrderStatus.NEW
        order = exchange.restore(
            account,
            given.order_id,
            SimNewOrder(
                symbol=given.symbol,
                side=given.side,
                order_type=given.order_type,
                time_in_force=given.time_in_force,
                quantity=0 if given.is_pending else given.quantity,
                price=given.price,
                stop_price=given.stop_price,
                trailing_delta=given.trailing_delta,
                iceberg_quantity=given.iceberg_quantity,
                quote_quantity=given.quote_quantity,
                client_order_id=given.client_order_id,
            ),
            status=SimOrderStatus.PENDING_NEW if given.is_pending else status,
            executed=given.executed,
            executed_quote=given.executed_quote,
            is_triggered=given.is_triggered,
            now_ns=now_ns,
            is_linked=bool(given.client_list_id),
        )
        if given.client_list_id:
            lists.setdefault(given.client_list_id, []).append(order)
    for client_list_id, orders in lists.items():
        exchange.restore_list(client_list_id, tuple(orders), now_ns)
    exchange.number_after(known.order_id_last, known.trade_id_last)
    owner.pop_touched()  # no report: the account knows its own state
