"""The index over live orders has the numbers of a scan, after any reports, and no value of the past keeps it."""

from decimal import Decimal

from by_hand import BTC, ETH
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.facts import NewOrder
from engine.lifecycle import LIVE, Status
from engine.model import OrderType, Side
from engine.state.order_index import OrderIndex
from engine.state.orders import EXTERNAL, Order, Orders, _put

D = Decimal
STEPS = st.tuples(
    st.sampled_from(["a", "b", "c", "d", "e"]), st.sampled_from(list(Status)), st.sampled_from(["0", "0.50", "1.0"]),
    st.booleans(), st.booleans(),
)  # fmt: skip


def made(name: str) -> Order:
    """Return an order whose terms follow from its name."""
    number = ord(name)
    terms = NewOrder(
        (BTC, ETH)[number % 2].id, (Side.BUY, Side.SELL)[number // 2 % 2], OrderType.LIMIT, D("1.00"), D(number)
    )
    is_adopted = name == "c"
    strategy = EXTERNAL if is_adopted else f"s{number % 2}"
    return Order(name, strategy, terms, Status.PENDING, 0, 0, 0, 0, adopted=is_adopted)


def check(orders: Orders) -> None:
    index, live = orders.index, list(orders.live.values())
    assert {name for each in index.by_instrument.values() for name in each} == orders.live.keys()
    for instrument in (BTC.id, ETH.id):
        here = [order for order in live if order.order.instrument == instrument]
        assert list(index.live_orders(instrument).values()) == here, "in the order of a scan"
        assert index.count(instrument, own_only=False) == len(here)
        assert index.count(instrument, own_only=True) == sum(not order.adopted for order in here)
        unknown = {order.client_order_id for order in here if order.status is Status.UNKNOWN}
        assert set(index.unknown.get(instrument, {})) == unknown
        assert index.has_others(instrument, ("s0",)) == any(order.strategy != "s0" for order in here)
        for side in Side:
            left = sum((order.leaves_quantity for order in here if order.order.side is side), D(0))
            assert index.leaves(instrument, side) == left
    for strategy in ("s0", EXTERNAL):
        assert index.count_of_strategy(strategy) == sum(order.strategy == strategy for order in live)
    assert index.count_at("binance_spot") == len(live)
    for seq in range(0, 30, 3):
        scanned = {
            order.client_order_id for order in live if order.status is Status.PENDING or order.updated_seq >= seq
        }
        assert {order.client_order_id for order in index.unreported(seq)} == scanned
    assert index.queried == {order.query_seq: order.client_order_id for order in live if order.query_seq}


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_the_index_has_the_numbers_of_a_scan(steps: list[tuple[str, Status, str, bool, bool]]) -> None:
    orders = Orders()
    check(orders)
    for seq, (name, status, filled, is_updated, is_queried) in enumerate(steps, start=1):
        before, order = orders, orders.get(name) or made(name)
        order = replace(
            order, status=status, filled_quantity=D(filled), query_seq=seq if is_queried and status in LIVE else 0,
            updated_seq=seq if is_updated else order.updated_seq,
        )  # fmt: skip
        orders = _put(orders, order)
        check(orders)
        if seq % 5 == 0:
            check(before)  # a step that failed goes back: that value makes its own
            orders = _put(orders, order)
            check(orders)


def test_the_index_is_handed_on_and_not_made_again() -> None:
    orders = Orders()
    index = orders.index
    assert isinstance(index, OrderIndex)
    later = _put(orders, made("a"))
    assert later.index is index
    assert orders.index is not index
    assert orders.index.by_instrument == {}
