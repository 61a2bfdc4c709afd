"""The index over live orders agrees with the orders after any changes: failed steps, forks, copies and a rebuild."""

import copy
import pickle
from collections.abc import Callable
from decimal import Decimal

import msgspec
import pytest
from by_hand import BTC
from hypothesis import given, settings
from hypothesis import strategies as st
from test_order_index import check, made

from engine import facts
from engine.bodies import RequestBody
from engine.lifecycle import Report
from engine.model import Side
from engine.requests import Purpose
from engine.session_record import SECOND_NS
from engine.state.changes import Answered, Change, Requested, Stamp
from engine.state.closed_orders import TOMBSTONE_NS, forget_closed
from engine.state.orders import Orders, reduce
from engine.state.versioned_map import encodable

D = Decimal
NAMES = ["a", "b", "c", "d", "e"]


def requested(purpose: Purpose, name: str) -> Requested:
    order = made(name).order
    body = RequestBody(
        purpose, "v", True, 9, 9, instrument=order.instrument, client_order_id=name, strategy=made(name).strategy,
        order=order,
    )  # fmt: skip
    return Requested(body)


def filled(name: str, seq: int) -> facts.OrderFilled:
    order = made(name).order
    return facts.OrderFilled(
        name, "s", order.instrument, str(seq), f"v{name}", order.side, D(1), D("0.5"), D(0), "", maker=True,
        venue_ns=seq, late=False,
    )  # fmt: skip


CHANGES: list[Callable[[str, int], Change]] = [
    lambda name, _: requested(Purpose.PLACE, name),
    lambda name, _: requested(Purpose.CANCEL, name),
    lambda name, _: requested(Purpose.AMEND, name),
    lambda name, _: requested(Purpose.QUERY_ORDER, name),
    lambda _, seq: Answered(seq - 1, "v", "answer"),
    lambda _, seq: Answered(seq - 3, "v", "answer"),
    lambda name, seq: facts.OrderAccepted(name, f"v{name}", seq),
    lambda name, seq: facts.OrderAccepted(name, f"v{name}", seq, filled_quantity=D("0.7")),
    filled,
    lambda name, seq: facts.OrderClosed(name, Report.CANCELED, D("0.5"), "", seq),
    lambda name, seq: facts.OrderClosed(name, Report.REJECTED, D(0), "", seq),
    lambda name, seq: facts.OrderClosed(name, Report.FULL_FILL, D(1), "", seq),
    facts.OrderTriggered,
    lambda name, _: facts.OrderUnknown(name, "no answer", 1),
    lambda name, _: facts.OrderNotPlaced(name, "absent"),
    lambda name, _: facts.OrderAdopted(name, f"v{name}", made(name).order, D("0.2")),
    lambda name, seq: facts.OrderAmended(name, D("0.8"), D(3), name, seq),
    lambda name, _: facts.OrderDoubted(name, "doubt"),
    lambda name, _: facts.CancelSettled(name, "refused"),
]


def moved(orders: Orders, change: Change, at: Stamp) -> Orders | None:
    """Return the next value; None if the change breaks the reducer, as a step that fails does."""
    try:
        return reduce(orders, change, at, is_dated=True)
    except (AssertionError, AttributeError):
        return None


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_the_index_agrees_after_any_changes(data: st.DataObject) -> None:
    """Each change continues the newest value or an older one; a failed one leaves its value as it was."""
    values = [Orders()]
    for seq in range(1, data.draw(st.integers(1, 30)) + 1):
        is_fork = data.draw(st.integers(0, 4)) == 0
        before = data.draw(st.sampled_from(values)) if is_fork else values[-1]
        if data.draw(st.booleans()):
            check(before)  # it has an index now, which the next value takes over
        at = Stamp(seq, seq * SECOND_NS)
        kind = data.draw(st.integers(0, len(CHANGES) + 3))
        if kind < len(CHANGES):
            after = moved(before, CHANGES[kind](data.draw(st.sampled_from(NAMES)), seq), at)
        elif kind == len(CHANGES):
            after = forget_closed(before, seq * SECOND_NS + TOMBSTONE_NS, keep_ns=0, is_confirmed=lambda _: True)
        elif kind == len(CHANGES) + 1:
            after = pickle.loads(pickle.dumps(before))
        elif kind == len(CHANGES) + 2:
            after = copy.deepcopy(before) if data.draw(st.booleans()) else copy.copy(before)
        else:
            after = msgspec.json.decode(msgspec.json.encode(before, enc_hook=encodable), type=Orders)
        if after is None:
            check(before)
            continue
        values.append(after)
    for value in values if data.draw(st.booleans()) else reversed(values):
        check(value)


def test_copies_of_a_value_share_no_index() -> None:
    """A copy, a replaced and a pickled value make their own; the shared default of two sessions stays empty."""
    first = reduce(Orders(), requested(Purpose.PLACE, "a"), Stamp(1, 1))
    index = first.index
    for other in (copy.copy(first), msgspec.structs.replace(first), pickle.loads(pickle.dumps(first))):
        assert other.index is not index
        reduce(other, requested(Purpose.PLACE, "b"), Stamp(2, 2))
    assert first.index is index
    check(first)
    assert first.index.leaves(BTC.id, Side.SELL) + first.index.leaves(BTC.id, Side.BUY) in (D(0), D(1))
