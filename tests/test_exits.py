"""Reduce-only and close intents: an exit is what fills left, never the first intent (scenario S20)."""

import json
from decimal import Decimal
from typing import Any

import pytest
from by_hand import BTC, ByHand, report, shown, trade
from calm_venue import CalmVenue
from checked_sessions import CheckedSessions

from engine.mode_reasons import Mode
from engine.session_record import RiskSettings
from journal.record import Kind
from verbatim.testing import VirtualSession, from_sources

D = Decimal
# Buys at the limit once. When the test quotes a bid size from 2 on, it leaves: by Close, or by a full-size sale.
LEAVER = """
from dataclasses import dataclass
from decimal import Decimal

from verbatim import Close, OnQuote, OrderType, Place, Side


class Leaver:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = OnQuote()

    @dataclass
    class Parameters:
        by_close: bool = True
        exits: int = 1

    @dataclass
    class State:
        bought: bool = False
        exits: int = 0

    @staticmethod
    def decide(view, state, parameters):
        if not state.bought:
            state.bought = True
            yield Place("BTCUSDT", Side.BUY, Decimal("1"), Decimal("90"))
        elif view.quote("BTCUSDT").bid_size >= 2 and state.exits < parameters.exits:
            state.exits += 1
            if parameters.by_close:
                yield Close("BTCUSDT", rationale={"why": "leave"})
            else:
                yield Place("BTCUSDT", Side.SELL, Decimal("1"), type=OrderType.MARKET, reduce_only=True)
"""


class Leaving:
    """A session that bought 0.4 of the 1 that it wanted; the rest was canceled. `leave` makes it decide its exit."""

    def __init__(self, **parameters: Any) -> None:
        self.hand = hand = ByHand(source=LEAVER, cls="Leaver", parameters=parameters, accounting=2)
        self._quotes = 0
        name = hand.order.client_order_id
        hand.answer(hand.seq_of("place"), shown(name))
        hand.private(report(name, "NEW", "NEW"))
        hand.private(trade(name, 1, "0.4", "0.4"))
        hand.private(report(name, "CANCELED", "CANCELED", z="0.4"))
        self.first = name
        assert hand.position("leaver") == D("0.4")

    def leave(self) -> "Leaving":
        self._quotes += 1
        self.hand.best(BTC, {"b": "99.00", "B": f"2.{self._quotes:05d}", "a": "101.00", "A": "1.0"})
        return self

    def intents(self) -> list[dict[str, Any]]:
        return [json.loads(r.body or "") for r in self.hand.records if r.kind is Kind.INTENT][1:]

    def verdicts(self) -> list[dict[str, Any]]:
        return [json.loads(r.body or "") for r in self.hand.records if r.kind is Kind.VERDICT][1:]

    def sent(self) -> list[tuple[str, Decimal]]:
        orders = [request.order for request in self.hand.asked("place")[1:] if request.order is not None]
        return [(order.side.value, order.quantity) for order in orders]


@pytest.mark.parametrize("by_close", [True, False], ids=["Close", "reduce_only"])
def test_s20_an_exit_is_what_fills_left(by_close: bool) -> None:
    """1 was wanted, 0.4 filled before the cancel: the exit sells 0.4, and the record shows that 1 was intended."""
    leaving = Leaving(by_close=by_close).leave()
    assert leaving.sent() == [("SELL", D("0.4"))]
    [intent] = leaving.intents()
    assert intent["order"] == {
        "instrument": BTC.id, "price": "0", "quantity": "0.4", "reduce_only": True, "side": "SELL",
        "time_in_force": "GTC", "type": "MARKET",
    }  # fmt: skip
    assert intent["rationale"].get("why") == ("leave" if by_close else None)
    assert intent["rationale"].get("asked_quantity") == (None if by_close else "1")


def test_s20_a_second_exit_while_the_first_is_under_way_is_refused() -> None:
    leaving = Leaving(exits=2).leave().leave()
    assert leaving.sent() == [("SELL", D("0.4"))]
    assert leaving.verdicts()[1]["rules"]["reduce_only"] == "nothing is left to reduce by a SELL: the position is 0.4"


def test_s20_a_fill_after_the_cancel_is_left_by_the_next_exit() -> None:
    leaving = Leaving(exits=2).leave()
    hand = leaving.hand
    exit_id = hand.orders[-1].client_order_id
    sold = {"S": "SELL", "o": "MARKET", "q": "0.4", "p": "0", "i": 8}
    hand.private(trade(exit_id, 2, "0.4", "0.4", "FILLED", **sold))
    assert hand.position("leaver") == 0
    hand.private(trade(leaving.first, 3, "0.1", "0.5", "CANCELED"))  # it was on its way when the order was canceled
    assert hand.position("leaver") == D("0.1")
    hand.run(3)
    assert hand.mode == Mode.RUNNING
    leaving.leave()
    assert leaving.sent() == [("SELL", D("0.4")), ("SELL", D("0.1"))]


def test_an_order_that_is_not_reduce_only_is_recorded_as_before() -> None:
    """New fields are left out at their defaults, so that journals keep their text."""
    hand = ByHand()
    [intent] = [json.loads(record.body or "") for record in hand.records if record.kind is Kind.INTENT]
    assert intent["order"].keys() == {"instrument", "price", "quantity", "side", "time_in_force", "type"}


# Buys at market, and closes three seconds later; again and again.
ROUND_TRIPS = """
from dataclasses import dataclass
from decimal import Decimal

from verbatim import Close, Every, OrderType, Place, Side


class Trips:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = Every(ms=3000)

    @dataclass
    class Parameters:
        pass

    @dataclass
    class State:
        pass

    @staticmethod
    def decide(view, state, parameters):
        if view.position("BTCUSDT").quantity >= view.instrument("BTCUSDT").lot_size:
            return [Close("BTCUSDT")]
        return [Place("BTCUSDT", Side.BUY, Decimal("0.01"), type=OrderType.MARKET)]
"""


@pytest.fixture
def trips(begin: CheckedSessions) -> VirtualSession:
    """A session of round trips without `sell_holdings`."""
    chosen = from_sources({"trips": ROUND_TRIPS}, "trips", "Trips")
    return begin(CalmVenue(), chosen, risk=RiskSettings())


def test_round_trips_sell_what_was_bought_less_its_fee(trips: VirtualSession) -> None:
    """The fee is in BTC, so each exit sells 0.00999 of 0.01; dust below the lot stays and is counted."""
    trips.run(31)
    fills = trips.facts("order_filled")
    assert sum(D(fill["quantity"]) for fill in fills if fill["side"] == "BUY") >= D("0.04")
    assert {D(fill["quantity"]) for fill in fills if fill["side"] == "SELL"} <= {D("0.00999"), D("0.01")}
    [position] = trips.state.account.positions.by_key.values()
    assert 0 <= position.quantity <= D("0.01")
    held = trips.venue.get("/sim/state")["balances"]["test"]["BTC"]
    assert D(held["free"]) == 20 + position.quantity
