"""The life of orders under Hypothesis: acknowledgements, fills, cancels, duplicates, late, missing and contradicting
messages in any interleaving.

The rules are the venue: they keep its books, and every message about them waits until a rule delivers it, once or
twice, in any order, or loses it. After each step of the engine a second kernel rebuilds the same state (by_hand.py).
At the end everything heals, a person cancels all, and our books are the venue's.
"""

from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from by_hand import BTC, START_NS, ByHand, report, row, shown, trade
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engine.lifecycle import LIVE
from engine.money import ZERO
from engine.session_record import MILLISECOND_NS, EngineSettings

PRICE, CASH = Decimal(90), Decimal(1_000_000)
ORDERS_MAX, WAITING_MAX = 6, 12
QUANTITIES = st.sampled_from([Decimal("0.1"), Decimal("0.25"), Decimal("0.5"), Decimal(1)])


class VenueOrder:
    """An order in the venue's books."""

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.number = number
        self.quantity = Decimal(1)
        self.filled = ZERO
        self.status = "NEW"
        self.fills: list[tuple[int, Decimal]] = []

    @property
    def is_open(self) -> bool:
        return self.status in ("NEW", "PARTIALLY_FILLED")

    def ids(self) -> dict[str, int]:
        return {"i": self.number}

    def shown(self) -> dict[str, Any]:
        return shown(self.name, self.status, f"{self.filled}", orderId=self.number)


class OrderLife(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.theirs: dict[str, VenueOrder] = {}
        self.fill_ids = 100
        self.messages: list[dict[str, Any]] = []  # of the private stream, not delivered yet

    @initialize(passive=st.booleans())
    def begin(self, passive: bool) -> None:
        self.session = ByHand(
            parameters={"orders": 10_000},
            engine=EngineSettings(keep_closed_ns=3_600 * 10**9),
            held={"place", "cancel"},
            answers={
                "account": lambda _: self._account(),
                "open_orders": lambda _: [each.shown() for each in self.theirs.values() if each.is_open],
                "fills": lambda _: self._rows(),
                "query_order": self._queried,
            },
        )
        if passive:
            self.session.run(61)

    # ---- the venue's truth

    def _account(self) -> dict[str, Any]:
        locked = sum(((o.quantity - o.filled) * PRICE for o in self.theirs.values() if o.is_open), ZERO)
        bought = sum((o.filled for o in self.theirs.values()), ZERO)
        held = {"USDT": (CASH - bought * PRICE - locked, locked), "BTC": (bought, ZERO)}
        balances = [{"asset": a, "free": f"{f}", "locked": f"{k}"} for a, (f, k) in held.items()]
        return {"canTrade": True, "balances": balances, "updateTime": self._now_ms()}

    def _now_ms(self) -> int:
        return (self.session.now_ns if hasattr(self, "session") else START_NS) // MILLISECOND_NS

    def _rows(self) -> list[dict[str, Any]]:
        rows = [(n, o.number, q) for o in self.theirs.values() for n, q in o.fills]
        return [
            row(number, f"{quantity}", orderId=order, time=self._now_ms()) for number, order, quantity in sorted(rows)
        ]

    def _queried(self, request: Any) -> Any:
        order = self.theirs.get(request.client_order_id)
        return (400, {"code": -2013, "msg": "Order does not exist."}) if order is None else order.shown()

    def _pick(self, chosen: int, *, open_only: bool = True) -> VenueOrder:
        found = [each for each in self.theirs.values() if each.is_open or not open_only]
        return found[chosen % len(found)]

    def _has_open(self) -> bool:
        return any(each.is_open for each in self.theirs.values())

    def _waiting(self, purpose: str) -> list[int]:
        return sorted(seq for seq, request in self.session.waiting.items() if request.purpose == purpose)

    # ---- our side

    @precondition(lambda self: len(self.session.state.account.orders.live) < ORDERS_MAX)
    @rule()
    def decide(self) -> None:
        self.session.quote()

    @rule(seconds=st.sampled_from([0.2, 1.5, 8, 31]))
    def wait(self, seconds: float) -> None:
        self.session.run(seconds, quote=False)

    @rule(command=st.sampled_from(["cancel_all", "resume", "reconcile", "pause", "halt"]))
    def order(self, command: str) -> None:
        self.session.command(command)

    # ---- placements: each request ends once

    def _admit(self, seq: int) -> VenueOrder:
        name = self.session.waiting[seq].client_order_id
        assert name not in self.theirs, "a client order id was sent twice"
        order = self.theirs[name] = VenueOrder(name, 1_000 + len(self.theirs))
        self._say(report(name, "NEW", "NEW", **order.ids()))
        return order

    def _say(self, message: dict[str, Any]) -> None:
        if len(self.messages) < WAITING_MAX:
            self.messages.append(message)  # else it is lost

    @precondition(lambda self: self._waiting("place"))
    @rule(
        chosen=st.integers(0, 5),
        outcome=st.sampled_from(["ack", "ack", "lost", "unsent", "rejected", "error", "error_after"]),
    )
    def end_placement(self, chosen: int, outcome: str) -> None:
        waiting = self._waiting("place")
        seq = waiting[chosen % len(waiting)]
        match outcome:
            case "ack":
                self.session.answer(seq, self._admit(seq).shown())
            case "lost":
                self._admit(seq)
                self.session.answer(seq, outcome="timeout")
            case "unsent":
                self.session.answer(seq, outcome="timeout")
            case "rejected":
                self.session.answer(seq, (400, {"code": -2010, "msg": "Account has insufficient balance."}))
            case "error":
                self.session.answer(seq, (503, {"code": -1008, "msg": "overloaded"}))
            case _:
                self._admit(seq)
                self.session.answer(seq, (504, {"code": -1007, "msg": "Timeout waiting for response"}))

    # ---- fills and ends at the venue

    @precondition(lambda self: self._has_open())
    @rule(chosen=st.integers(0, 5), quantity=QUANTITIES)
    def fill(self, chosen: int, quantity: Decimal) -> None:
        order = self._pick(chosen)
        quantity = min(quantity, order.quantity - order.filled)
        self.fill_ids += 1
        order.fills.append((self.fill_ids, quantity))
        order.filled += quantity
        order.status = "FILLED" if order.filled == order.quantity else "PARTIALLY_FILLED"
        ids = {"T": self._now_ms(), **order.ids()}
        self._say(trade(order.name, self.fill_ids, f"{quantity}", f"{order.filled}", order.status, **ids))

    @precondition(lambda self: self._has_open())
    @rule(chosen=st.integers(0, 5), status=st.sampled_from(["CANCELED", "EXPIRED"]))
    def end_by_venue(self, chosen: int, status: str) -> None:
        order = self._pick(chosen)
        order.status = status
        self._say(report(order.name, status, status, z=f"{order.filled}", **order.ids()))

    @precondition(lambda self: self._waiting("cancel"))
    @rule(chosen=st.integers(0, 5), outcome=st.sampled_from(["done", "done", "lost", "unsent", "error"]))
    def end_cancel(self, chosen: int, outcome: str) -> None:
        waiting = self._waiting("cancel")
        seq = waiting[chosen % len(waiting)]
        if outcome == "unsent":
            self.session.answer(seq, outcome="timeout")
        elif outcome == "error":
            self.session.answer(seq, (503, {"code": -1008, "msg": "overloaded"}))
        else:
            answer = self._cancel(self.session.waiting[seq].client_order_id)
            self.session.answer(seq, outcome="timeout") if outcome == "lost" else self.session.answer(seq, answer)

    def _cancel(self, name: str) -> Any:
        order = self.theirs.get(name)
        if order is None or not order.is_open:
            return 400, {"code": -2011, "msg": "Unknown order sent."}
        order.status = "CANCELED"
        self._say(report(name, "CANCELED", "CANCELED", z=f"{order.filled}", **order.ids()))
        return order.shown()

    # ---- messages

    @precondition(lambda self: self.messages)
    @rule(chosen=st.integers(0, WAITING_MAX), copies=st.sampled_from([1, 1, 1, 2, 3]), stays=st.booleans())
    def deliver(self, chosen: int, copies: int, stays: bool) -> None:
        place = chosen % len(self.messages)
        message = self.messages[place] if stays else self.messages.pop(place)
        for _ in range(copies):
            self.session.private(message)

    @precondition(lambda self: self.messages)
    @rule(chosen=st.integers(0, WAITING_MAX))
    def lose(self, chosen: int) -> None:
        self.messages.pop(chosen % len(self.messages))

    @precondition(lambda self: self.theirs)
    @rule(chosen=st.integers(0, 5), status=st.sampled_from(["NEW", "PARTIALLY_FILLED"]))
    def contradict(self, chosen: int, status: str) -> None:
        """An old report comes again, in any state of the order."""
        order = self._pick(chosen, open_only=False)
        filled = order.fills[0][1] if status == "PARTIALLY_FILLED" and order.fills else ZERO
        self.session.private(report(order.name, "NEW", status if filled else "NEW", z=f"{filled}", **order.ids()))

    @rule()
    def restart(self) -> None:
        """End the process: requests on their way are lost, and the next session begins from the journal."""
        self.messages.clear()
        answers, held = self.session.answers, self.session.held
        self.recorded = [*getattr(self, "recorded", []), *self.session.facts("order_filled")]
        number = getattr(self, "sessions", 1) + 1
        self.sessions = number
        self.session = ByHand(
            opening=self.session.state,
            session=f"s{number:07d}",
            now_ns=self.session.now_ns + 10**9,
            parameters={"orders": 10_000},
            engine=EngineSettings(keep_closed_ns=3_600 * 10**9),
            held=held,
            answers=answers,
        )

    # ---- what must hold

    def _facts(self) -> list[dict[str, Any]]:
        return [*getattr(self, "recorded", []), *self.session.facts("order_filled")]

    @invariant()
    def the_position_is_the_sum_of_fills(self) -> None:
        if not hasattr(self, "session"):
            return
        fills = self._facts()
        assert self.session.position() == sum((Decimal(fill["quantity"]) for fill in fills), ZERO)
        assert set(Counter(fill["fill_id"] for fill in fills).values()) <= {1}

    @invariant()
    def nothing_is_filled_beyond_its_order_or_beyond_the_venue(self) -> None:
        for order in self.session.orders if hasattr(self, "session") else []:
            assert order.filled_quantity <= order.order.quantity
            theirs = self.theirs.get(order.client_order_id)
            assert order.filled_quantity <= (ZERO if theirs is None else theirs.filled)

    def _wait_for_the_kill(self) -> None:
        """Let the kill end: 150 s at most, and the moment in which the last answers come."""
        for _ in range(15):
            self.session.run(10)
            account = self.session.state.account
            if not account.safety.active and not account.orders.missing_fills:
                return

    def teardown(self) -> None:
        """Heal: the venue answers truly, and a kill ends with the same books on both sides."""
        if not hasattr(self, "session"):
            return
        # from here on nothing is held: each request ends, as the shell promises, also one that an answer below leads to
        self.session.held = set()
        self.session.answers = {**self.session.answers, "cancel": lambda request: self._cancel(request.client_order_id)}
        for seq in [*self._waiting("place"), *self._waiting("cancel")]:
            self.session.answer(seq, outcome="timeout")
        self.session.command("pause").command("cancel_all")
        self._wait_for_the_kill()
        self.session.command("resume").command("pause").command("cancel_all")
        self._wait_for_the_kill()
        mode, notes = self.session.state.account.modes, self.session.notes()
        assert [each.name for each in self.theirs.values() if each.is_open] == [], (mode, notes[-3:])
        assert [order.client_order_id for order in self.session.orders if order.status in LIVE] == []
        theirs = sum((each.filled for each in self.theirs.values()), ZERO)
        assert self.session.position() == theirs
        assert sorted(fill["fill_id"] for fill in self._facts()) == sorted(
            str(number) for each in self.theirs.values() for number, _ in each.fills
        )
        balances = self.session.state.account.balances
        assert (balances.get("USDT").free, balances.get("USDT").locked) == (CASH - theirs * PRICE, ZERO)
        assert balances.get(BTC.base).total == theirs
        assert not self.session.state.account.safety.active


OrderLife.TestCase.settings = settings(
    max_examples=12,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
TestOrderLife = pytest.mark.slow(OrderLife.TestCase)
