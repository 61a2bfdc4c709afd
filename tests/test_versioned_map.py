"""Each value of a versioned map has its own entries for ever, and closed orders are forgotten as a scan would."""

from decimal import Decimal

from by_hand import BTC
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.facts import NewOrder
from engine.lifecycle import LIVE, Status
from engine.model import OrderType, Side
from engine.state.closed_orders import TOMBSTONE_NS, forget_closed
from engine.state.orders import Order, Orders, _put
from engine.state.versioned_map import VersionedMap, encodable, versioned
from journal.record import canonical

D = Decimal
KEEP_NS = 300
CHANGES = st.lists(
    st.tuples(st.sampled_from("abcd"), st.integers(0, 9), st.booleans(), st.integers(0, 30)), max_size=40
)


@settings(max_examples=80, deadline=None)
@given(CHANGES)
def test_each_value_of_a_map_keeps_its_entries(changes: list[tuple[str, int, bool, int]]) -> None:
    """Values of the past are read, and changed again, in any order."""
    values: list[tuple[VersionedMap[int], dict[str, int]]] = [(versioned({}), {})]
    for key, number, removes, which in changes:
        ours, plain = values[max(len(values) - 1 - which, 0)] if which > 20 else values[-1]  # sometimes an older one
        if removes and key in plain:
            values.append((ours.without(key), {name: value for name, value in plain.items() if name != key}))
        else:
            values.append((ours.with_entry(key, number), {**plain, key: number}))
        if which % 3 == 0:
            old, expected = values[which % len(values)]
            assert old == expected
    for ours, plain in reversed(values):
        assert ours == plain
        assert dict(ours.items()) == plain == encodable(ours)
        assert (len(ours), sorted(ours), sorted(ours.values())) == (len(plain), sorted(plain), sorted(plain.values()))
        assert all((key in ours, ours.get(key)) == (key in plain, plain.get(key)) for key in "abcd")
        assert canonical(ours) == canonical(plain)


def scan(orders: Orders, now_ns: int, confirmed: set[str]) -> set[str]:
    """Return the closed orders to forget, by a scan."""
    return {
        name
        for name, order in orders.closed.items()
        if name not in orders.missing_fills
        and name not in orders.doubted
        and now_ns - order.updated_ns > (TOMBSTONE_NS if order.status is Status.NOT_PLACED else KEEP_NS)
        and name in confirmed
    }


STEPS = st.tuples(
    st.sampled_from("abcdef"), st.sampled_from(list(Status)), st.integers(0, 200), st.booleans(), st.booleans()
)


@settings(max_examples=80, deadline=None)
@given(st.lists(STEPS, max_size=40), st.booleans())
def test_closed_orders_are_forgotten_as_a_scan_would(
    steps: list[tuple[str, Status, int, bool, bool]], keeps_index: bool
) -> None:
    """Orders close, change, live again and are confirmed late. The venue's ids of a forgotten order are forgotten too."""
    orders, now_ns, confirmed = Orders(), 1000, set[str]()
    terms = NewOrder(BTC.id, Side.BUY, OrderType.LIMIT, D(1), D(1))
    for number, (name, status, wait_ns, has_doubt, is_confirmed) in enumerate(steps):
        now_ns += wait_ns
        order = orders.get(name) or Order(name, "s", terms, status, number, now_ns, number, now_ns)
        order = replace(order, status=status, doubt="why" if has_doubt else "", venue_order_id=f"{name}{number % 3}")
        if number % 4 or status in LIVE:
            order = replace(order, updated_seq=number, updated_ns=now_ns)  # else a change that is no update
        orders = _put(orders, order)
        (confirmed.add if is_confirmed else confirmed.discard)(name)
        if not keeps_index:
            orders = Orders(orders.live, dict(orders.closed), dict(orders.by_venue_id), doubted=orders.doubted)
        expected = scan(orders, now_ns, confirmed)
        before = orders
        orders = forget_closed(
            orders, now_ns, keep_ns=KEEP_NS, is_confirmed=lambda order: order.client_order_id in confirmed
        )
        assert before.closed.keys() - orders.closed.keys() == expected
        assert expected.isdisjoint(orders.by_venue_id.values())
        assert orders.by_venue_id.items() == {
            (key, owner) for key, owner in before.by_venue_id.items() if owner not in expected
        }
