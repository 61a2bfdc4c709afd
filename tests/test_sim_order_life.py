"""Money and order of the simulated venue under Hypothesis: orders of all types, lists, amendments, cancel-replaces,
cancels, and a market that trades, jumps and thins out, in any order.

After each step the balances are those of the fills, the locks those of the open orders, each list is in one of its
documented states, and the account events repeat the account.
"""

from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sim_transcript import OTHER_KEY, OTHER_SECRET, Client, order_query, quiet
from tiers import examples

from engine.model import Side
from engine.sim.exchange.order_values import SimOrder, SimOrderStatus
from engine.sim.units import ONE, units
from engine.sim.units import text as text_of

PRICES = st.sampled_from(["97", "98", "99", "99.5", "100", "100.5", "101", "102", "103"])
AWAY = st.sampled_from([1, 2, 3, 5])  # from the last price
QUANTITIES = st.sampled_from(["0.1", "0.25", "0.5", "1"])
MODES = st.sampled_from(["NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT"])
SIDES = st.sampled_from(["BUY", "SELL"])
TIMES = st.sampled_from(["GTC", "IOC", "FOK"])
DELTAS = st.sampled_from([None, None, 50, 200])
LOSSES = st.sampled_from(["STOP_LOSS", "STOP_LOSS_LIMIT"])
STOPS = st.sampled_from(["STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"])
START = {"USDT": units("10000"), "BTC": units("20")}


class VenueLife(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.names = 0

    @initialize()
    def begin(self) -> None:
        rules = {"algo_orders_max": 50, "market_quantity_max": 0}
        self.client = Client(
            quiet(bids="99x3 98x5 95x9", asks="101x3 102x5 105x9"), overrides={"BTCUSDT": rules}, orders_10s_max=10**6
        )
        self.exchange = self.client.venue.exchange
        for funds in self.exchange.accounts.values():
            for asset, amount in START.items():
                funds.free[asset] = amount
        self.client.listen()
        self.client.market_trade("100", "0.1", sells=True)

    def _name(self) -> str:
        self.names += 1
        return f"n{self.names}"

    def _open(self) -> list[SimOrder]:
        return self.exchange.open_orders("first")

    # ---- single orders

    @rule(side=SIDES, quantity=QUANTITIES, price=PRICES, time=TIMES, hides=st.booleans())
    def limit(self, side: str, quantity: str, price: str, time: str, *, hides: bool) -> None:
        iceberg = "0.1" if hides and time == "GTC" and quantity != "0.1" else None
        self.client.order(f"{side} LIMIT {quantity} @ {price} {time}", icebergQty=iceberg)

    @rule(side=SIDES, quantity=QUANTITIES, quote=st.booleans())
    def market(self, side: str, quantity: str, *, quote: bool) -> None:
        sized = {"quantity": None, "quoteOrderQty": "77.7"} if quote else {}
        self.client.order(f"{side} MARKET {quantity}", **sized)

    @precondition(lambda self: any(order.on_book for order in self._open()))
    @rule(chosen=st.integers(0, 9), quantity=QUANTITIES, mode=MODES, quote=st.booleans())
    def meet_an_own_order(self, chosen: int, quantity: str, mode: str, *, quote: bool) -> None:
        resting = [order for order in self._open() if order.on_book]
        maker = resting[chosen % len(resting)]
        side = "SELL" if maker.side is Side.BUY else "BUY"
        text = f"{side} MARKET {quantity}" if quote else f"{side} LIMIT {quantity} @ {text_of(maker.price)}"
        sized = {"quantity": None, "quoteOrderQty": "300"} if quote else {}
        self.client.order(text, selfTradePreventionMode=mode, **sized)

    @rule(side=SIDES, kind=STOPS, quantity=QUANTITIES, away=AWAY, delta=DELTAS)
    def stop(self, side: str, kind: str, quantity: str, away: int, delta: int | None) -> None:
        above = (side == "BUY") != kind.startswith("TAKE")
        stop = f"{self._last() + (away if above else -away)}"
        text = f"{side} {kind} {quantity}" + (f" @ {stop} GTC" if kind.endswith("LIMIT") else "")
        self.client.order(text, stopPrice=None if delta and away == 1 else stop, trailingDelta=delta)

    @rule(side=SIDES, quantity=QUANTITIES, price=PRICES)
    def other_account(self, side: str, quantity: str, price: str) -> None:
        self.client.key, self.client.secret = OTHER_KEY, OTHER_SECRET
        self.client.order(f"{side} LIMIT {quantity} @ {price}")
        self.client.key, self.client.secret = "first-key", "first-secret"

    def _last(self) -> int:
        return self.exchange.markets["BTCUSDT"].last_price() // ONE

    # ---- lists

    def _pair(self, side: str, gain: int, loss: int, kind: str, prefixes: tuple[str, str]) -> dict[str, Any]:
        """Return a pair around the last price; it does not fit where the book is beyond."""
        above, below = prefixes
        limit, stop = (above, below) if side == "SELL" else (below, above)
        sign = 1 if side == "SELL" else -1
        worst = f"{self._last() - sign * loss}"
        fields = {f"{limit}Type": "LIMIT_MAKER", f"{limit}Price": f"{self._last() + sign * gain}",
                  f"{stop}Type": kind, f"{stop}StopPrice": worst}  # fmt: skip
        if kind == "STOP_LOSS_LIMIT":
            # a stop-limit can name a better price than the target
            price = worst if loss > 1 else f"{self._last() + sign * (gain + 2)}"
            fields |= {f"{stop}Price": price, f"{stop}TimeInForce": "GTC"}
        return fields

    @rule(side=SIDES, quantity=QUANTITIES, gain=AWAY, loss=AWAY, kind=LOSSES)
    def oco(self, side: str, quantity: str, gain: int, loss: int, kind: str) -> None:
        pair = self._pair(side, gain, loss, kind, ("above", "below"))
        self.client.order_list("oco", side=side, quantity=quantity, **pair)

    @rule(side=SIDES, quantity=QUANTITIES, price=AWAY, time=TIMES, paid=st.booleans(), market=st.booleans())
    def one_triggers_another(
        self, side: str, quantity: str, price: int, time: str, *, paid: bool, market: bool
    ) -> None:
        fields = self._working("BUY" if paid else side, quantity, price, time, paid=paid)
        limit = {"pendingPrice": f"{self._last() + 3}", "pendingTimeInForce": "GTC"}
        fields |= {"pendingType": "MARKET"} if market else {"pendingType": "LIMIT", **limit}
        self.client.order_list("opo" if paid else "oto", **fields)

    @rule(quantity=QUANTITIES, price=AWAY, gain=AWAY, loss=AWAY, paid=st.booleans(), at_once=st.booleans())
    def bracket(self, quantity: str, price: int, gain: int, loss: int, *, paid: bool, at_once: bool) -> None:
        fields = self._working("BUY", quantity, -3 if at_once else price, "GTC", paid=paid)
        fields |= self._pair("SELL", gain, loss + price, "STOP_LOSS", ("pendingAbove", "pendingBelow"))
        self.client.order_list("opoco" if paid else "otoco", **fields)

    def _working(self, side: str, quantity: str, price: int, time: str, *, paid: bool) -> dict[str, Any]:
        sign = 1 if side == "BUY" else -1
        fields = {"workingType": "LIMIT", "workingSide": side, "workingPrice": f"{self._last() - sign * price}",
                  "workingQuantity": quantity, "workingTimeInForce": time,
                  "pendingSide": "SELL" if side == "BUY" else "BUY"}  # fmt: skip
        return fields if paid else {**fields, "pendingQuantity": quantity}

    # ---- changes of open orders

    @precondition(lambda self: self._open())
    @rule(chosen=st.integers(0, 9), how=st.sampled_from(["order", "list", "all"]))
    def cancel(self, chosen: int, how: str) -> None:
        order = self._open()[chosen % len(self._open())]
        if how == "all" and chosen == 0:
            self.client.signed("DELETE", "openOrders", "symbol=BTCUSDT")
        elif how == "list" and order.list_id >= 0:
            self.client.signed("DELETE", "orderList", f"symbol=BTCUSDT&orderListId={order.list_id}")
        else:
            self.client.signed("DELETE", "order", f"symbol=BTCUSDT&orderId={order.order_id}")

    @precondition(lambda self: self._open())
    @rule(chosen=st.integers(0, 9), quantity=QUANTITIES)
    def amend(self, chosen: int, quantity: str) -> None:
        order = self._open()[chosen % len(self._open())]
        priority, leaves = order.priority, order.leaves
        query = f"symbol=BTCUSDT&orderId={order.order_id}&newQty={quantity}"
        if self.client.signed("PUT", "order/amend/keepPriority", query).status == 200:
            assert (order.priority, order.quantity) == (priority, units(quantity))
            assert order.leaves < leaves

    @precondition(lambda self: self._open())
    @rule(chosen=st.integers(0, 9), side=SIDES, quantity=QUANTITIES, price=PRICES, stops=st.booleans())
    def replace(self, chosen: int, side: str, quantity: str, price: str, *, stops: bool) -> None:
        order = self._open()[chosen % len(self._open())]
        query = order_query(f"{side} LIMIT {quantity} @ {price} as {self._name()}", cancelOrderId=order.order_id,
                            cancelReplaceMode="STOP_ON_FAILURE" if stops else "ALLOW_FAILURE")  # fmt: skip
        answer = self.client.signed("POST", "order/cancelReplace", query)
        if answer.status == 409:  # one half succeeded, and only one
            data = answer.json()["data"]
            assert (data["cancelResult"] == "SUCCESS") != (data["newOrderResult"] == "SUCCESS")

    # ---- the market

    @rule(price=PRICES, quantity=QUANTITIES, sells=st.booleans())
    def trade(self, price: str, quantity: str, *, sells: bool) -> None:
        self.client.wait(1)
        self.client.market_trade(price, quantity, sells=sells)

    @precondition(lambda self: self._open())
    @rule(chosen=st.integers(0, 9), quantity=QUANTITIES, beyond=st.booleans())
    def trade_at_an_order(self, chosen: int, quantity: str, *, beyond: bool) -> None:
        """Trade at the price or the stop price of an open order, or beyond it."""
        order = self._open()[chosen % len(self._open())]
        price = order.stop_price if order.is_held and order.stop_price else order.price
        if price:
            price -= (ONE // 2 if beyond else 0) * order.side.sign * (-1 if order.is_held else 1)
            self.client.wait(1)
            self.client.market_trade(text_of(price), quantity, sells=order.side is Side.BUY)

    @rule(
        bid=st.sampled_from(["97x1 98x0", "99x2", "103x1", ""]),
        ask=st.sampled_from(["101x0", "101x2", "97x1", "100x1", ""]),
    )
    def move(self, bid: str, ask: str) -> None:
        self.client.market_levels(bids=f"103x0 {bid}", asks=f"97x0 100x0 {ask}")

    # ---- what must hold

    @invariant()
    def balances_are_those_of_the_fills(self) -> None:
        for name, funds in self.exchange.accounts.items():
            expected = Counter(START)
            for order in self.exchange.orders.values():
                for fill in order.fills if order.account == name else ():
                    expected["BTC"] += order.side.sign * fill.quantity
                    expected["USDT"] -= order.side.sign * fill.quote
                    expected[fill.fee_asset] -= fill.fee
            assert {asset: funds.total(asset) for asset in START} == dict(expected)

    @invariant()
    def locks_are_those_of_the_open_orders(self) -> None:
        for name, funds in self.exchange.accounts.items():
            locked = dict.fromkeys(START, 0)
            for order in self.exchange.orders.values():
                assert order.is_open or not order.locked, order
                if order.account == name:
                    locked["USDT" if order.side is Side.BUY else "BTC"] += order.locked
            assert locked == {asset: funds.locked[asset] for asset in START}
            assert min(funds.free[asset] for asset in START) >= 0
        for group in self._groups():
            needs = [self._need(order) for order in group]
            if None not in needs:
                assert sum(order.locked for order in group) == max(n for n in needs if n is not None), group

    def _groups(self) -> list[list[SimOrder]]:
        """Return the open orders that share a lock: the two of a pair, or one alone."""
        found: dict[tuple[int, ...], list[SimOrder]] = {}
        for order in self.exchange.orders.values():
            if order.is_open:
                own = self.exchange.lists[order.list_id] if order.list_id >= 0 else None
                key = tuple(each.order_id for each in own.pair) if own and order in own.pair else (order.order_id,)
                found.setdefault(key, []).append(order)
        return list(found.values())

    def _need(self, order: SimOrder) -> int | None:
        """Return the amount that an open order must lock. Return None if it is paid by another or locks an estimate."""
        own = self.exchange.lists[order.list_id] if order.list_id >= 0 else None
        if (own and own.is_paid_by_working and order.is_pending) or (order.side is Side.BUY and not order.price):
            return None
        return -(-order.price * order.leaves // ONE) if order.side is Side.BUY else order.leaves

    @invariant()
    def each_open_order_is_in_one_place(self) -> None:
        for order in self.exchange.orders.values():
            rests = order in self.exchange.books.resting
            assert [rests, order.is_held, order.is_pending].count(True) == order.is_open, order
            assert order.on_book is rests
            assert order.executed == sum(fill.quantity for fill in order.fills) <= order.quantity
            assert (order.status is not SimOrderStatus.FILLED) or (order.executed and not order.leaves), order
            assert order.leaves or not order.is_open or not order.quantity, order

    @invariant()
    def lists_are_in_a_documented_state(self) -> None:
        ended = Counter(event["g"] for event in self.client.events() if event.get("l") == "ALL_DONE")
        for own in self.exchange.lists.values():
            assert own.is_done is not any(order.is_open for order in own.orders)
            assert own.account != "first" or ended[own.list_id] == own.is_done
            if own.pair and any(order.executed or order.working_ns > own.orders[0].created_ns for order in own.pair
                                if order.terms.trigger is not None and not order.is_held):  # fmt: skip
                assert sum(order.is_open for order in own.pair) <= 1
            if own.pair and any(order.executed for order in own.pair):
                assert sum(bool(order.executed) for order in own.pair) == 1, "both orders of a pair traded"
                assert sum(order.is_open for order in own.pair) <= 1
            if own.working is not None and own.pending:
                assert own.working.is_open

    @invariant()
    def account_events_repeat_the_account(self) -> None:
        told: dict[str, tuple[str, str]] = {}
        for event in self.client.events():
            if event["e"] == "outboundAccountPosition":
                told |= {balance["a"]: (balance["f"], balance["l"]) for balance in event["B"]}
        funds = self.exchange.accounts["first"]
        assert {asset: tuple(map(units, amounts)) for asset, amounts in told.items()} == {
            asset: (funds.free[asset], funds.locked[asset]) for asset in told
        }

    @invariant()
    def reports_repeat_the_orders(self) -> None:
        last = {event["i"]: event for event in self.client.events() if event["e"] == "executionReport"}
        for order in self.exchange.orders.values():
            if order.account == "first":
                event = last[order.order_id]
                assert (event["X"], units(event["z"]), event["g"]) == (order.status, order.executed, order.list_id)


TestVenueLife = pytest.mark.slow(VenueLife.TestCase)
TestVenueLife.settings = settings(
    max_examples=examples(50),
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
