"""A desk for tests of risk: a strategy that places the order it is given, and a venue whose every word the test writes.

The real sequencer and kernel in virtual time (by_hand.py). Steps are lines: an order, as in `BUY LIMIT 1 @ 90`, `SELL MARKET 1 reduce`,
`SELL STOP 1 from 98 trailing 100`, `BUY LIMIT 1 @ 90 shows 0.3 till 60` or `BUY MARKET 0 for 50`, is placed by the strategy; `venue: ...` is the venue's message about the newest order; `command: ...` is an operator's. The
strategy decides only in mode RUNNING, so an order for another mode (`review: BUY LIMIT 1 @ 90`) goes straight to risk's
review, with the context that the kernel makes of its state.
"""

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import msgspec
from by_hand import BTC, ETH, ByHand, report, shown, trade

from engine.facts import NewOrder
from engine.handlers.intents import risk_context
from engine.model import OrderType, RateLimits, Side
from engine.risk.context import RiskContext
from engine.risk.review import review
from engine.session_record import RiskSettings, new_engine_settings, newest_risk
from engine.state.order_budgets import renewed_ns
from engine.step_context import StepContext
from journal.record import Kind
from verbatim.testing import from_sources

DESK = """
from dataclasses import dataclass
from decimal import Decimal

from verbatim import OnQuote, OrderType, Place, Side, TimeInForce

NAMES = ("from", "trailing", "shows", "for", "till", "in")


class Desk:
    version = "1"
    instruments = ("BTCUSDT", "ETHBTC")
    cadence = OnQuote()

    @dataclass
    class Parameters:
        orders: str
        signal: int = 2

    @dataclass
    class State:
        placed: int = 0

    @staticmethod
    def decide(view, state, parameters):
        quote = view.quote("BTCUSDT")
        if quote is None or int(quote.bid_size) != parameters.signal:
            return
        instrument, side, kind, quantity, *rest = parameters.orders.split("; ")[state.placed].split()
        state.placed += 1
        terms = {name: rest[rest.index(name) + 1] for name in NAMES if name in rest}
        limit = Decimal(rest[0]) if rest and rest[0] not in (*NAMES, "reduce") else Decimal(0)
        yield Place(
            instrument, Side(side), Decimal(quantity), limit, OrderType(kind), TimeInForce(terms.get("in", "GTC")),
            stop_price=Decimal(terms.get("from", 0)), reduce_only="reduce" in rest,
            trailing_delta=int(terms.get("trailing", 0)), iceberg_quantity=Decimal(terms.get("shows", 0)),
            quote_quantity=Decimal(terms.get("for", 0)),
            good_till_ns=view.time_ns + int(terms["till"]) * 1_000_000_000 if "till" in terms else 0,
        )
"""
FUNDS = {"BTC": "1000000", "ETH": "1000000", "USDT": "1000000"}


class Desk:
    """A session whose strategy places the orders among `steps`. BTCUSDT is quoted 99 to 101."""

    def __init__(
        self,
        steps: Iterable[str],
        *,
        risk: Mapping[str, Any] | None = None,
        instrument: Mapping[str, Any] | None = None,
        venue: Mapping[str, int] | None = None,
        funds: Mapping[str, str] | None = None,
        session: Mapping[str, int] | None = None,
        engine: Mapping[str, str] | None = None,
        no_book: Mapping[str, bool] | None = None,
    ) -> None:
        self.steps = [step.replace(" @ ", " ") for step in steps]
        strategies = [
            from_sources({"hand": DESK}, "hand", "Desk", name=name, parameters={"orders": orders, "signal": signal})
            for signal, name in enumerate(("desk", "other"), 2)
            if (orders := self._orders_of(name)) or name == "desk"
        ]
        balances = [{"asset": a, "free": free, "locked": "0"} for a, free in {**FUNDS, **(funds or {})}.items()]
        self.hand = ByHand(
            strategies=strategies,
            instruments=(msgspec.structs.replace(BTC, **numbers(instrument)), ETH),
            rate_limits=RateLimits(**(venue or {})),
            risk=newest_risk(RiskSettings(**{"orders_per_second_max": 0, "sell_holdings": True, **numbers(risk)})),
            **(session or {}),
            answers={"account": {"canTrade": True, "balances": balances, "updateTime": 0}},
            engine=msgspec.structs.replace(new_engine_settings(), **(engine or {})),
            held={"depth"} if no_book else set(),
        )
        for seq, request in list(self.hand.waiting.items()):
            if request.purpose == "depth" and request.instrument == BTC.id:
                self.hand.answer(seq, self.hand._quiet(request))
        self.reviewed: list[dict[str, Any]] = []  # the answers of reviews that the strategy did not cause
        self.review_ns = 0
        self._signals = 0
        self._trades = 0

    def _orders_of(self, strategy: str) -> str:
        """Return the orders of a strategy; those of `other` have its name before them."""
        mark = "other: "
        steps = [step for step in self.steps if step.startswith(mark) == (strategy == "other")]
        orders = [step.removeprefix(mark).partition(" while ")[0] for step in steps if is_order(step)]
        return "; ".join(step if step.startswith("ETHBTC") else f"BTCUSDT {step}" for step in orders)

    def play(self) -> "Desk":
        for step in self.steps:
            self.step(step)
        return self

    def step(self, step: str) -> None:
        match step.split(maxsplit=1):
            case ["venue:", what]:
                self._venue(what)
            case ["command:", what]:
                command, _, about = what.partition(" ")
                self.hand.command(command, asset=about)
            case ["run", seconds]:
                self.hand.run(float(seconds))
            case ["at", what]:
                self.review_ns = self._time_of(what)
            case ["review:", order]:
                self.reviewed.append(self._reviewed(order))
            case _:
                before = len(self.verdicts())
                _, _, quoted = step.partition(" while quoted ")
                bid, ask = (quoted or "99.00 101.00").split()
                self._signal(bid, ask, 3 if step.startswith("other: ") else 2)
                assert len(self.verdicts()) == before + 1, f"the strategy did not get to place {step!r}"

    def _signal(self, bid: str, ask: str, size: int) -> None:
        """Quote with a bid size that the strategy waits for."""
        self._signals += 1
        sizes = {"B": f"{size}.{self._signals:05d}", "A": "1.0"}
        self.hand.best(BTC, {"b": bid, "a": ask, **sizes})

    def _venue(self, what: str) -> None:
        hand = self.hand
        newest = max(hand.orders, key=lambda order: order.request_seq)
        name, placed = newest.client_order_id, newest.order
        told = {
            "orderId": newest.request_seq, "symbol": placed.instrument.partition(":")[2], "side": placed.side.value,
            "type": placed.type.value, "price": str(placed.price), "origQty": str(placed.quantity),
        }  # fmt: skip
        wire = {
            "i": newest.request_seq, "s": told["symbol"], "S": told["side"], "o": told["type"], "p": told["price"],
            "q": told["origQty"],
        }  # fmt: skip
        match what.split():
            case ["open"]:
                hand.answer(hand.seq_of("place"), shown(name, **told))
            case ["open,", "weight", weight]:
                hand.answer(hand.seq_of("place"), shown(name, **told), x_mbx_used_weight_1m=weight)
            case ["too", "many"]:
                answer = {"code": -1015, "msg": "Too many new orders"}
                hand.answer(hand.seq_of("place"), answer, status=429)
            case ["banned"]:
                hand.answer(
                    hand.seq_of("place"), {"code": -1003, "msg": "Too many requests"}, status=429, Retry_After="30"
                )
            case ["free", asset, amount]:
                hand.private(
                    {"e": "outboundAccountPosition", "E": 1, "u": 1, "B": [{"a": asset, "f": amount, "l": "0"}]}
                )
            case ["silent"]:
                hand.answer(hand.seq_of("place"), outcome="timeout")
            case ["canceled", "after", quantity]:  # the messages with its fills are late
                hand.private(report(name, "CANCELED", "CANCELED", **wire, z=quantity))
            case ["canceled"]:
                hand.private(report(name, "CANCELED", "CANCELED", **wire))
            case ["rejected"]:
                hand.answer(hand.seq_of("place"), {"code": -2010, "msg": "Order would be rejected."}, status=400)
            case ["filled", quantity, "at", price]:
                self._trades += 1
                wire = {**wire, "L": price}
                hand.private(trade(name, self._trades, quantity, quantity, "FILLED", **wire))
            case ["filled", quantity]:
                self._trades += 1
                hand.private(trade(name, self._trades, quantity, quantity, "FILLED", **wire))
            case _:
                raise AssertionError(f"a venue does not do {what!r}")

    def _reviewed(self, order: str) -> dict[str, Any]:
        side, kind, quantity, *rest = order.split()
        limit = Decimal(next((word for word in rest if word != "reduce"), "0"))
        new = NewOrder(BTC.id, Side(side), OrderType(kind), Decimal(quantity), limit, reduce_only="reduce" in rest)
        context, session = self.context(new), self.hand.sequencer.kernel.session
        verdict, approved = review(context, session.risk_rules)
        assert (approved is not None) is verdict.approved
        chosen, _ = review(context, session.rule_choice.rules_for(context))
        assert chosen == verdict, "a rule that cannot object to the order changes nothing"
        first = msgspec.structs.replace(
            context, limits=msgspec.structs.replace(context.limits, figures=False)
        )  # as in sessions without figures
        chosen, _ = review(first, session.rule_choice.rules_for(context), names=session.risk_rules)
        assert chosen == review(first, session.risk_rules)[0]
        return {"approved": verdict.approved, "rules": verdict.rules, "figures": verdict.figures}

    def context(self, new: NewOrder) -> RiskContext:
        """Return the context that the kernel makes of its state for an order."""
        session = self.hand.sequencer.kernel.session
        record = msgspec.structs.replace(self.hand.records[-1], time_ns=self.review_ns or self.hand.now_ns)
        step = StepContext(self.hand.state, record, session.reducer_settings)
        return risk_context(session, step, "desk", new, step.quote(session.indexes[new.instrument]))

    def _time_of(self, what: str) -> int:
        until_ns = self.hand.state.account.limits.get(BTC.venue).blocked_until_ns
        minute_ns = renewed_ns(self.hand.now_ns)
        return {
            "the end of the ban": until_ns, "a nanosecond before the ban ends": until_ns - 1,
            "the next minute": minute_ns, "a nanosecond before the next minute": minute_ns - 1,
        }[what]  # fmt: skip

    def verdicts(self) -> list[dict[str, Any]]:
        return [json.loads(record.body or "") for record in self.hand.records if record.kind is Kind.VERDICT]

    def sent(self) -> int:
        return len(self.hand.asked("place"))


def numbers(limits: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return limits with those that are written as numbers, in text, as numbers."""
    return {
        name: Decimal(value) if isinstance(value, str) and value[:1].isdigit() else value
        for name, value in (limits or {}).items()
    }


def is_order(step: str) -> bool:
    return step.removeprefix("other: ").split(maxsplit=1)[0] in ("BUY", "SELL", "ETHBTC")
