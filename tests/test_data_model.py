"""The types of the path of an order (B12), and the parts of a session's state that pass to the next one (B9)."""

from collections.abc import Iterator
from decimal import Decimal
from typing import get_args

import msgspec
import numpy as np
import pytest
from checked_sessions import CheckedSessions, check_books, rebuilt

import verbatim
from engine.bodies import IntentBody, IntentKind
from engine.events import Event, VenueStatus
from engine.market.views import BookState
from engine.requests import Purpose
from engine.state.session_state import CARRIED, Account, State, carry_over, checkpoint_parts, restore_opening
from engine.venues.venue_lookup import make_venue
from journal.record import Kind
from verbatim import Fill, Intent, NewOrder, OrderReport, Place, RequestBody, Side
from verbatim.testing import VirtualSession, VirtualVenue

BTCUSDT = "binance_spot:BTCUSDT"


# ---- B12: the types of the path of an order -----------------------------------------------------


def private_events(session: VirtualSession) -> Iterator[Event]:
    """Decode the frames of the private link again, from the journal's own bytes."""
    venue = make_venue(session.body.venues[0], session.body.instruments)
    for record in session.kinds(Kind.BROKER):
        if record.payload is not None and record.meta is None:
            yield from venue.account.decode_private(record.payload)


@pytest.mark.slow
def test_intent_order_request_status_update_and_fill_are_four_types(begin: CheckedSessions) -> None:
    """One market order leads through all four, each read from its own record."""
    session = begin(VirtualVenue(), "once").run(10, until=lambda s: bool(s.facts("order_filled"))).run(1)
    [intent] = [msgspec.json.decode(record.body or "", type=IntentBody) for record in session.kinds(Kind.INTENT)]
    requests = [msgspec.json.decode(record.body or "", type=RequestBody) for record in session.kinds(Kind.REQUEST)]
    [request] = [each for each in requests if each.purpose is Purpose.PLACE]
    events = list(private_events(session))
    reports = [each for each in events if isinstance(each, OrderReport)]
    fills = [fill for report in reports for fill in report.fills]
    assert (intent.intent, intent.order) == (IntentKind.PLACE, NewOrder(BTCUSDT, Side.BUY, "MARKET", Decimal("0.01")))
    assert request.order is not None
    assert request.order.quantity == intent.order.quantity
    name = request.client_order_id
    assert {report.client_order_id for report in reports} == {name}
    assert [report.status for report in reports][-1] is VenueStatus.FILLED
    assert reports[-1].filled_quantity == sum(fill.quantity for fill in fills) == Decimal("0.01")
    assert [fact["fill_id"] for fact in session.facts("order_filled")] == [fill.fill_id for fill in fills]


@pytest.mark.parametrize("kind", [RequestBody, OrderReport, Fill, *get_args(Intent)])
def test_the_types_of_the_path_of_an_order_are_exported_and_never_change(kind: type) -> None:
    assert kind.__name__ in verbatim.__all__
    assert getattr(verbatim, kind.__name__) is kind
    assert "Intent" in verbatim.__all__
    config = getattr(kind, "__struct_config__", None) or getattr(kind, "__dataclass_params__")  # noqa: B009 - one of the two
    assert config.frozen
    assert (kind.__doc__ or "").strip()


def test_an_intent_cannot_be_changed_on_its_way_to_risk() -> None:
    intent: Intent = Place("BTCUSDT", Side.BUY, Decimal(1))
    with pytest.raises(AttributeError):
        intent.quantity = Decimal(2)  # type: ignore[misc]  # the point of the test


# ---- B9: market data ends with its session, reconciled state does not --------------------------------


@pytest.mark.slow
def test_market_data_ends_with_its_session_and_reconciled_state_is_durable(begin: CheckedSessions) -> None:
    """A killed session's orders, fills, positions and balances are there again; no quote and no book is."""
    venue = VirtualVenue()
    first = begin(venue, "ladder").run(20)
    before = first.state
    assert before.market.quote(0) is not None
    assert before.market.book_state(0) is BookState.SYNCED
    assert before.account.orders.live
    assert before.account.balances.by_asset
    first.kill()
    known = rebuilt(first.folder)  # from the journal alone
    second = begin(venue, "ladder", previous=first, opening=known)
    opened = second.sequencer.state
    assert opened.market.quote(0) is None
    last = opened.market.last_trade(0)
    assert last is not None
    assert last.time_ns < first.venue.now_ns, "by its id and time gaps are found: it is no newer than it was"
    assert opened.market.book_state(0) is not BookState.SYNCED
    account = restore_opening(second.body.opening or {})
    assert account.orders.live.keys() == before.account.orders.live.keys()
    assert account.positions == before.account.positions
    assert held(account) == held(before.account)
    second.run(20)
    check_books(second)


def held(account: Account) -> dict[str, tuple[Decimal, Decimal]]:
    return {asset: (each.free, each.locked) for asset, each in account.balances.by_asset.items()}


def test_what_passes_to_the_next_session_holds_no_market_data_but_bars_and_indicators(begin: CheckedSessions) -> None:
    """The whole list; an addition must be entered here."""
    session = begin(VirtualVenue(), "once").run(10)
    carried = carry_over(session.state)
    assert carried["market"].keys() == {"version", "scales", "trades", "diffs", "bars", "indicators"}
    numbers = [value for name in ("trades", "diffs") for each in carried["market"][name].values() for value in each]
    assert len(numbers) < 30, "the last trade and the ends of the streams"
    assert carried["account"].keys() == {name for name in checkpoint_parts(session.state.account) if name in CARRIED}
    assert {"orders", "positions", "balances", "reconciling", "ledger"} <= carried["account"].keys()


@pytest.mark.slow
def test_the_memory_of_market_data_does_not_grow(begin: CheckedSessions) -> None:
    """After thousands of messages the market has the arrays with which it began."""
    session = begin(VirtualVenue(), "once").run(5)
    sizes = array_bytes(session.state)
    messages = session.state.inputs
    session.run(20)
    assert session.state.inputs > messages + 1_000
    assert array_bytes(session.state) == sizes


def array_bytes(state: State) -> dict[str, int]:
    return {name: value.nbytes for name, value in vars(state.market).items() if isinstance(value, np.ndarray)}
