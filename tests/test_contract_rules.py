"""Risk rules of contracts and of a watched venue, exactly at their edge: each by the context that it judges.

The context is the kernel's own (risk_desk.py), with the reports of a futures venue put into its state. Whole sessions on
the simulated venue: tests/test_futures_trading.py, tests/test_several_venues.py.
"""

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from by_hand import BTC
from msgspec.structs import replace
from risk_desk import Desk

from engine.facts import NewOrder, Position
from engine.model import OrderTerm, OrderType, Side, TimeInForce
from engine.risk.context import RiskAnswer
from engine.risk.review import review
from engine.risk.rules import RULES
from engine.state.margins import ContractMargin, Margins
from engine.state.positions import Positions

D = Decimal


class Case(NamedTuple):
    rule: str
    order: NewOrder
    answer: str  # "": accepted
    held: Mapping[str, str] = MappingProxyType({})  # strategy -> quantity, bought at 100
    given: Mapping[str, Any] = MappingProxyType({})  # of the context
    funds: str = "10"  # USDT
    leverage: str = "10"  # "0": the venue does not state it
    is_hedge: bool = False

    def __str__(self) -> str:
        order = f"{self.order.side} {self.order.type} {self.order.quantity}"
        return f"{self.rule}: {order} with {dict(self.held) or 'no position'}: {self.answer or 'accepted'}"


def limit(side: str, quantity: str, price: str = "100") -> NewOrder:
    return NewOrder(BTC.id, Side(side), OrderType.LIMIT, D(quantity), D(price))


def closing(kind: OrderType, **terms: Any) -> NewOrder:
    return NewOrder(BTC.id, Side.SELL, kind, D(1), stop_price=D(98), closes_position=True, **terms)


STOP_MARKET = closing(OrderType.STOP)
IOC = NewOrder(BTC.id, Side.BUY, OrderType.LIMIT, D(1), D(100), TimeInForce.IOC)
MARKET = NewOrder(BTC.id, Side.BUY, OrderType.MARKET, D(1))
NO_CLOSING = frozenset(OrderTerm) - {OrderTerm.CLOSE_POSITION}
CASES = [
    # ---- margin: 1 BTC at 100 needs 10 USDT at 10 times
    Case("margin", limit("BUY", "1"), ""),
    Case("margin", limit("BUY", "1.0001"), "needs 10.0010 USDT of margin with all that is open; the account has 10"),
    Case("margin", limit("SELL", "2"), "", held={"desk": "1"}),
    Case("margin", limit("SELL", "2.0001"), "needs 10.0010 USDT of margin with all that is open; the account has 10", held={"desk": "1"}),
    Case("margin", limit("SELL", "1"), "", held={"desk": "1"}, funds="5"),
    Case("margin", limit("BUY", "1000"), "", leverage="0"),
    # ---- hedge
    Case("hedge", limit("SELL", "1"), "", held={"desk": "1"}, is_hedge=True),
    Case("hedge", limit("SELL", "1.0001"), "hedge mode: quantity 1.0001 is above the position 1 that it closes", held={"desk": "1"}, is_hedge=True),
    Case("hedge", limit("BUY", "1.0001"), "hedge mode: quantity 1.0001 is above the position 1 that it closes", held={"desk": "-1"}, is_hedge=True),
    Case("hedge", limit("BUY", "2"), "", held={"desk": "1"}, is_hedge=True),
    Case("hedge", limit("SELL", "2"), "", held={"desk": "1"}),
    # ---- close_position
    Case("close_position", STOP_MARKET, "", held={"desk": "1"}),
    Case("close_position", STOP_MARKET, "BTCUSDT has no orders that close a position at binance_spot", held={"desk": "1"}, given={"venue_terms": NO_CLOSING}),
    Case("close_position", closing(OrderType.STOP_LIMIT, price=D(97)), "a STOP_LIMIT order cannot close a position: only a STOP or TAKE_PROFIT at market can", held={"desk": "1"}),
    Case("close_position", closing(OrderType.STOP, trailing_delta=100), "a STOP order cannot close a position: only a STOP or TAKE_PROFIT at market can", held={"desk": "1"}),
    Case("close_position", STOP_MARKET, "it would close the positions of b, other too", held={"other": "1", "desk": "1", "b": "1"}),
    Case("close_position", STOP_MARKET, "", held={"other": "0", "desk": "1"}),
    # ---- trading, of a venue that the session only watches
    Case("trading", limit("BUY", "1"), ""),
    Case("trading", limit("BUY", "1"), "the session watches binance_spot, and places no order there", given={"is_watched": True}),
    # ---- order_type, of venues and instruments that lack types or times in force
    Case("order_type", IOC, "binance_spot places no LIMIT orders with IOC", given={"gtc_only": frozenset({OrderType.LIMIT})}),
    Case("order_type", limit("BUY", "1"), "", given={"gtc_only": frozenset({OrderType.LIMIT})}),
    Case("order_type", IOC, "binance_spot places no LIMIT orders of BTCUSDT", given={"instrument": replace(BTC, lacks_types=(OrderType.LIMIT,))}),
    Case("order_type", IOC, "binance_spot places no IOC orders of BTCUSDT", given={"instrument": replace(BTC, lacks_times=(TimeInForce.IOC,))}),
    Case("order_type", limit("BUY", "1"), "", given={"instrument": replace(BTC, lacks_times=(TimeInForce.IOC,))}),
    Case("order_type", MARKET, "", given={"market_bound": D("0.05")}),
    Case("order_type", MARKET, "binance_spot bounds market orders by a price, and the market has none", given={"market_bound": D("0.05"), "ask": D(0), "last_of": lambda _: D(0)}),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_rule_at_its_edge(case: Case) -> None:
    desk = Desk([], instrument={"contract": "PERPETUAL", "margin": "USDT"}, funds={"USDT": case.funds})
    context = desk.context(case.order)
    held = {
        f"{name} {BTC.id}": Position(name, BTC.id, D(quantity), D(100), D(0), {}, D(0))
        for name, quantity in case.held.items()
    }
    margins = Margins({BTC.id: ContractMargin(leverage=D(case.leverage))}, hedges={BTC.venue: case.is_hedge})
    account = replace(context.account, positions=Positions(held), margins=margins)
    context = replace(context, **{"account": account, "venue_terms": frozenset(OrderTerm), **case.given})
    found = RULES[case.rule].reject_reason(context)
    choice = desk.hand.sequencer.kernel.session.rule_choice
    chosen = choice.rules_for(context)
    assert review(context, chosen)[0] == review(context, choice.rules)[0], "a rule that is not chosen has no objection"
    assert (found.reason if isinstance(found, RiskAnswer) else found) == case.answer
