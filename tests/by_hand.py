"""A session whose venue is the test: the test writes every message of the account by hand, in any order, in virtual
time.

Sequencer and kernel are real. The market is one quiet synchronised book per instrument. After every step the state of a
second kernel, which only rebuilds from the records, must equal the first one's.
"""

import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, Self

from msgspec.structs import replace

from engine.bodies import CommandBody, LinkBody, NoteBody, RequestBody
from engine.kernel import Kernel, kernel_of
from engine.lifecycle import Status
from engine.model import Instrument, RateLimits
from engine.record_codec import read_note, read_request, text_of
from engine.sequencer import Arrival, Sequencer
from engine.session_record import (
    MILLISECOND_NS,
    SAFEGUARDS,
    SAFETY,
    SECOND_NS,
    ClockSettings,
    EngineSettings,
    RiskSettings,
    RuleSettings,
    SafeguardSettings,
    SafetySettings,
    SessionBody,
    StrategySettings,
    VenueSettings,
    newest_rules,
)
from engine.state.orders import Order
from engine.state.session_state import State, carry_over, checkpoint_parts
from engine.step_context import Output
from engine.strategy.rule_loading import recorded_rules
from journal.record import Kind, Record, canonical
from journal.verify import verify
from journal.writer import JournalWriter
from replay.replay import replay_session
from verbatim.testing import from_sources

START_NS = 1_723_161_250 * SECOND_NS
MARKET, PRIVATE, REST = "binance_spot.market.0", "binance_spot.private.0", "binance_spot.rest"
PUBLIC = frozenset({"depth", "server_time"})

# Places `orders` orders, one per decision. The test triggers a decision by moving the quote.
HAND = """
from dataclasses import dataclass
from decimal import Decimal

from verbatim import OnQuote, OrderType, Place, Side


class Hand:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = OnQuote()

    @dataclass
    class Parameters:
        orders: int = 1
        size: Decimal = Decimal("1")
        price: Decimal = Decimal("90")

    @dataclass
    class State:
        placed: int = 0

    @staticmethod
    def decide(view, state, parameters):
        if state.placed < parameters.orders:
            state.placed += 1
            yield Place("BTCUSDT", Side.BUY, parameters.size, parameters.price)
"""


def instrument(base: str, quote: str) -> Instrument:
    symbol = f"{base}{quote}"
    return Instrument(
        f"binance_spot:{symbol}", "binance_spot", symbol, base, quote, 2, 5, Decimal("0.01"), Decimal("0.00001")
    )


BTC, ETH = instrument("BTC", "USDT"), instrument("ETH", "BTC")


class ByHand:
    """See the module's docstring. By default `quiet` answers every request as a venue without orders and fills does."""

    begun: ClassVar["list[ByHand] | None"] = None  # the sessions of a test whose journals are proved at its end

    def __init__(
        self,
        *,
        parameters: dict[str, Any] | None = None,
        source: str = HAND,
        cls: str = "Hand",
        instruments: Sequence[Instrument] = (BTC,),
        engine: EngineSettings | None = None,
        safety: SafetySettings = SAFETY,
        opening: State | None = None,
        session: str = "aaaaaaaa",
        now_ns: int = START_NS,
        strategies: Sequence[StrategySettings] | None = None,
        answers: dict[str, Any] | None = None,
        held: set[str] | None = None,
        rate_limits: RateLimits | None = None,
        risk: RiskSettings | None = None,
        rules: Sequence[RuleSettings] = (),
        dialect: str = "binance_spot",
        accounting: int = 1,
        newest: bool = True,  # False: the rules of sessions that were recorded before them
        venue_ahead_ms: int = 0,
        safeguards: SafeguardSettings = SAFEGUARDS,
    ) -> None:
        if ByHand.begun is not None:
            ByHand.begun.append(self)
        self.now_ns = now_ns
        self.venue_ahead_ms = venue_ahead_ms  # the venue's clock minus session time
        self.records: list[Record] = []
        self.answers: dict[str, Any] = answers or {}  # purpose -> body, or (status, body), instead of the quiet one
        self.held: set[str] = held or set()  # purposes that are not answered: the test answers itself
        self.waiting: dict[int, RequestBody] = {}
        self._todo: list[Output] = []
        self._update = 100
        self._diff = {each.id: 0 for each in instruments}
        chosen = (from_sources({"hand": source}, "hand", cls, parameters=parameters),)
        self.body = SessionBody(
            session=session,
            started_ns=now_ns,
            clock=ClockSettings(),
            seed=3,
            host="test",
            versions={},
            venues=(VenueSettings(name=dialect, rate_limits=rate_limits or RateLimits()),),
            instruments=tuple(instruments),
            strategies=chosen if strategies is None else tuple(strategies),
            risk=risk or RiskSettings(),
            rules=tuple(rules) or recorded_rules(()),
            engine=replace(
                newest_rules(engine or EngineSettings()) if newest else engine or EngineSettings(),
                accounting=accounting,
            ),
            safety=safety,
            opening=None if opening is None else carry_over(opening),
            safeguards=safeguards,
        )
        self._twin: tuple[Kernel, State] | None = None
        self.sequencer = Sequencer(Kernel(self.body), self._append)
        self._todo += self.sequencer.begin(self.body)
        self.settle().quote()

    # ---- state

    @property
    def state(self) -> State:
        return self.sequencer.state

    @property
    def mode(self) -> str:
        return self.state.account.modes.mode.value

    @property
    def orders(self) -> list[Order]:
        return self.state.account.orders.all()

    @property
    def order(self) -> Order:
        [order] = self.orders
        return order

    def status(self) -> Status:
        return self.order.status

    def position(self, strategy: str = "hand", name: str = BTC.id) -> Decimal:
        return self.state.account.positions.get(strategy, name).quantity

    def asked(self, purpose: str, since: int = 0) -> list[RequestBody]:
        found = [read_request(r.body or "") for r in self.records[since:] if r.kind is Kind.REQUEST]
        return [request for request in found if request.purpose == purpose]

    def facts(self, name: str) -> list[dict[str, Any]]:
        bodies = (json.loads(record.body or "") for record in self.records if record.kind is Kind.FACT)
        return [body for body in bodies if body["fact"] == name]

    def notes(self, level: str = "alarm") -> list[str]:
        found: list[NoteBody] = [read_note(r.body or "") for r in self.records if r.kind is Kind.NOTE]
        return [note.text for note in found if note.level == level]

    # ---- events

    def take(self, arrival: Arrival) -> Self:
        self._todo += self.sequencer.accept(arrival, self.now_ns).outputs
        return self.settle()

    def run(self, seconds: float, *, quote: bool = True) -> Self:
        """Let time pass. By default the market keeps quoting."""
        end_ns = self.now_ns + int(seconds * SECOND_NS)
        next_quote_ns = self.now_ns + SECOND_NS
        while (due_ns := min(self.state.next_due_ns, next_quote_ns if quote else end_ns)) < end_ns:
            self.now_ns = max(self.now_ns, due_ns)
            self._todo += self.sequencer.fire_timers(self.now_ns)
            self.settle()
            if quote and self.now_ns >= next_quote_ns:
                next_quote_ns += SECOND_NS
                self.quote()
        self.now_ns = end_ns
        self._todo += self.sequencer.fire_timers(self.now_ns)
        return self.settle()

    def quote(self) -> Self:
        """Move the best bid a little, so that strategies are due."""
        for each in self.body.instruments:
            self._update += 1
            told = {
                "u": self._update,
                "s": each.symbol,
                "b": "99.00",
                "B": f"1.{self._update:05d}",
                "a": "101.00",
                "A": "1.0",
            }
            self._market(f"{each.symbol.lower()}@bookTicker", told)
            diff = {
                "e": "depthUpdate",
                "E": self.now_ns // MILLISECOND_NS + self.venue_ahead_ms,
                "s": each.symbol,
                "b": [],
                "a": [],
            }
            self._market(
                f"{each.symbol.lower()}@depth@100ms", {**diff, "U": self._diff[each.id] + 1, "u": self._update}
            )
            self._diff[each.id] = self._update
        return self

    def best(self, of: Instrument, prices: dict[str, str]) -> Self:
        """One change of the best bid and ask."""
        self._update += 1
        self._market(f"{of.symbol.lower()}@bookTicker", {"u": self._update, "s": of.symbol, **prices})
        return self

    def _market(self, stream: str, data: dict[str, Any]) -> None:
        link = self.state.account.links.by_source[MARKET]
        if link.state == "ready":
            payload = json.dumps({"stream": stream, "data": data}).encode()
            self.take(Arrival(Kind.FEED, MARKET, cause=link.up_seq, payload=payload))

    def private(self, event: dict[str, Any]) -> Self:
        payload = json.dumps({"subscriptionId": 0, "event": event}).encode()
        up_seq = self.state.account.links.by_source[PRIVATE].up_seq
        return self.take(Arrival(Kind.BROKER, PRIVATE, cause=up_seq, payload=payload))

    def down(self, source: str) -> Self:
        return self.take(Arrival(Kind.LINK, source, body=text_of(LinkBody("down", "test"))))

    def command(self, command: str, reason: str = "", asset: str = "") -> Self:
        body = text_of(CommandBody(command, "test", reason, asset))
        return self.take(Arrival(Kind.COMMAND, "control", body=body))

    def clock(self, drift_ms: int) -> Self:
        drift = text_of(LinkBody("clock", drift_ns=drift_ms * MILLISECOND_NS))
        return self.take(Arrival(Kind.LINK, "clock", body=drift))

    def restart(self, **settings: Any) -> "ByHand":
        """End the process, and open the next session from the journal."""
        return ByHand(opening=self.state, session="bbbbbbbb", now_ns=self.now_ns + SECOND_NS, **settings)

    # ---- requests and answers

    def settle(self) -> Self:
        """Answer requests, a millisecond each, until all are answered."""
        while self._todo:
            output = self._todo.pop(0)
            if isinstance(output.body, RequestBody):
                self._perform(output.record.seq, output.body)
        return self

    def _perform(self, seq: int, request: RequestBody) -> None:
        self.now_ns += MILLISECOND_NS
        self.waiting[seq] = request
        if request.purpose in self.held or (
            request.purpose in ("place", "cancel") and request.purpose not in self.answers
        ):
            return
        if request.purpose == "connect":
            assert request.link is not None
            del self.waiting[seq]
            self.take(Arrival(Kind.LINK, request.link.source, cause=seq, body=text_of(LinkBody("up"))))
        elif request.purpose == "disconnect":
            del self.waiting[seq]
            self.down(request.source)
        elif request.purpose == "subscribe":
            del self.waiting[seq]
            up_seq = self.state.account.links.by_source[PRIVATE].up_seq
            frame = {"id": str(seq), "status": 200, "result": {"subscriptionId": 0}}
            self.take(Arrival(Kind.BROKER, PRIVATE, cause=up_seq, payload=json.dumps(frame).encode()))
        else:
            self.answer(seq, self.answers.get(request.purpose, self._quiet(request)))

    def _quiet(self, request: RequestBody) -> Any:
        match request.purpose:
            case "server_time":
                return {"serverTime": self.now_ns // MILLISECOND_NS + self.venue_ahead_ms}
            case "depth":
                levels = {"bids": [["99.00", "1.00000"]], "asks": [["101.00", "1.00000"]]}
                return {"lastUpdateId": self._update, **levels}
            case "account":
                held = [{"asset": a, "free": "1000000.0", "locked": "0.0"} for a in ("BTC", "ETH", "USDT", "BNB")]
                return {"canTrade": True, "balances": held, "updateTime": 0}
            case "query_order":
                return 400, {"code": -2013, "msg": "Order does not exist."}
            case _:
                return []

    def answer(self, seq: int, body: Any = None, *, outcome: str = "answer", status: int = 200, **headers: str) -> Self:
        """Append the record that ends a request. `body` may be (status, body) or a function of the request."""
        request = self.waiting.pop(seq)
        if callable(body):
            body = body(request)
        if isinstance(body, tuple):
            status, body = body
        meta: dict[str, Any] = {"outcome": outcome, "sent_ns": self.now_ns - MILLISECOND_NS}
        if outcome == "answer":
            meta |= {"status": status, "headers": {name.replace("_", "-"): value for name, value in headers.items()}}
        kind = Kind.FEED if request.purpose in PUBLIC else Kind.BROKER
        payload = b"" if body is None else json.dumps(body).encode()
        key = request.client_order_id or None
        return self.take(Arrival(kind, REST, cause=seq, key=key, meta=canonical(meta), payload=payload))

    def seq_of(self, purpose: str) -> int:
        """Return the newest unanswered request of a purpose."""
        return max(seq for seq, request in self.waiting.items() if request.purpose == purpose)

    # ---- the journal

    def prove(self, folder: Path) -> None:
        """Write the records as a journal: it verifies, and its replay is identical."""
        writer = JournalWriter.create(folder, sync=False)
        writer.append_step(self.records, urgent=True)
        writer.close(final=self.state.account.modes.closing)
        report = verify(folder)
        assert (report.problems, report.records) == ([], len(self.records))
        verdict = replay_session(folder)
        assert verdict.identical, verdict.text()

    # ---- the second kernel

    def _append(self, records: Sequence[Record], *, urgent: bool) -> None:
        self.records.extend(records)
        if self._twin is None:
            kernel = kernel_of(records[0])
            self._twin = kernel, kernel.begin(records[0])
            records = records[1:]
        kernel, twin = self._twin
        for record in records:
            kernel.rebuild(twin, record)
        # the last record's seq is the state's own only after the step returned
        assert contents(twin) == contents(self.state), f"rebuilding differs at record {self.records[-1].seq}"
        ours = (list(twin.account.orders.live), list(twin.account.requests.by_seq))
        assert ours == (list(self.state.account.orders.live), list(self.state.account.requests.by_seq))


def contents(state: State) -> tuple[Any, ...]:
    """Return all that a CHECKPOINT hashes, parts of the account as they are.

    Their texts, which `digests` hashes, cost most of the time of a test that compares states at every step.
    """
    parts = {name: getattr(state.account, name) for name in checkpoint_parts(state.account)}
    return parts, state.market.digests(), state.input_hash


# ---- messages in the form of Binance -----------------------------------------------------------


def report(order_id: str, execution: str, status: str, **fields: Any) -> dict[str, Any]:
    """Return an executionReport."""
    told = {
        "e": "executionReport", "E": 1, "s": "BTCUSDT", "c": order_id, "S": "BUY", "o": "LIMIT", "f": "GTC", "q": "1.0",
        "p": "90.0", "C": "", "x": execution, "X": status, "r": "NONE", "i": 7, "l": "0.0", "z": "0.0", "L": "0.0",
        "n": "0", "N": None, "T": 1, "t": -1, "m": False,
    }  # fmt: skip
    return {**told, **fields}


def trade(
    order_id: str, trade_id: int, last: str, total: str, status: str = "PARTIALLY_FILLED", **fields: Any
) -> dict[str, Any]:
    return report(order_id, "TRADE", status, t=trade_id, l=last, z=total, **{"L": "90.0", **fields})


def shown(order_id: str, status: str = "NEW", filled: str = "0.0", **fields: Any) -> dict[str, Any]:
    """Return an order as the venue's answers contain it."""
    told = {
        "symbol": "BTCUSDT", "orderId": 7, "clientOrderId": order_id, "price": "90.0", "origQty": "1.0",
        "executedQty": filled, "status": status, "timeInForce": "GTC", "type": "LIMIT", "side": "BUY",
    }  # fmt: skip
    return {**told, **fields}


def row(trade_id: int, quantity: str, **fields: Any) -> dict[str, Any]:
    """Return a row of myTrades."""
    told = {
        "symbol": "BTCUSDT", "id": trade_id, "orderId": 7, "price": "90.0", "qty": quantity, "commission": "0",
        "commissionAsset": "BNB", "time": 1, "isBuyer": True, "isMaker": True,
    }  # fmt: skip
    return {**told, **fields}
