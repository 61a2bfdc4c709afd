"""Cost of one decision, one order and its reports in the kernel, by open orders and instruments: CPU microseconds.

    python benchmarks/kernel_cost.py [--orders 1 10 100 1000] [--instruments 1 10 100] [--rounds 5] [--against PATH]

A session in virtual time holds so many resting orders, spread over so many instruments. Then in turns: a quote that no
strategy follows; a decision without an order; a decision that places one; the venue's answer; its fill; a TIMER `check`.
Each figure is the CPU time of `Sequencer.accept`, without a journal: median and 99th percentile of all rounds.

`--against` runs the same program in another checkout, in turns, with the rules and limits that both know; its engine
needs the names of today (commit a4ae0b1 has them). A row then has the ratio of the medians. `--settings new` are those
of a new session with four limits, `old` those of a session without the newer rules, and without the limit of losses.
"""

import argparse
import inspect
import json
import os
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

from history import record

HERE = Path(__file__).resolve().parent
STEPS = ("quote", "decision", "order", "answer", "balance", "fill", "check")
LIMITS = {"order_size_max": "10", "order_notional_max": "100000", "position_max": "100000", "daily_loss_max": "1000000"}

STRATEGY = '''
from dataclasses import dataclass
from decimal import Decimal

from verbatim import OnQuote, Place, Side


class Bench:
    """Places an order on the instrument whose turn it is if its bid has a size of 2 or 4."""

    version = "1"
    instruments = (SYMBOLS)
    cadence = OnQuote()

    @dataclass
    class Parameters:
        count: int = 1

    @dataclass
    class State:
        turn: int = 0

    @staticmethod
    def decide(view, state, parameters):
        symbol = f"A{state.turn % parameters.count}USDT"
        signal = int(view.quote(symbol).bid_size)
        if signal in (2, 4):
            state.turn += 1
            yield Place(symbol, Side.BUY if signal == 2 else Side.SELL, Decimal("1"), Decimal("90" if signal == 2 else "110"))
'''


# ---- one run, in the checkout that is measured -----------------------------------------------------


def make_session(orders: int, instruments: int, settings: str) -> Any:
    """Return a ByHand of the checkout without its second kernel."""
    import by_hand
    from msgspec.structs import replace

    from engine import session_record
    from engine.session_record import EngineSettings, RiskSettings

    class Hand(by_hand.ByHand):
        """Keeps no records and rebuilds nothing."""

        def _append(self, records: Any, *, urgent: bool) -> None:
            self.records = list(records)

    listed = [by_hand.instrument(f"A{number}", "USDT") for number in range(instruments)]
    symbols = "".join(f'"{each.symbol}", ' for each in listed)
    known = inspect.signature(by_hand.ByHand.__init__).parameters
    funds = [{"asset": each.base, "free": "1000000", "locked": "0"} for each in listed]
    funds.append({"asset": "USDT", "free": "1000000000", "locked": "0"})

    def known_by(kind: Any, **values: Any) -> dict[str, Any]:
        """Return the settings that this checkout has."""
        return {name: value for name, value in values.items() if name in kind.__struct_fields__}

    limits = {name: Decimal(value) for name, value in LIMITS.items()}
    risk = RiskSettings(
        **known_by(
            RiskSettings, open_orders_max=5000, orders_per_second_max=0, sell_holdings=True, figures=True,
            **{name: value for name, value in limits.items() if name != "daily_loss_max"},
        )
    )  # fmt: skip
    engine = EngineSettings()
    more: dict[str, Any] = {}
    if settings == "new":
        risk = session_record.newest_risk(replace(risk, **limits))
        engine, more = session_record.new_engine_settings(), {"accounting": session_record.ACCOUNTING}
    elif "newest" in known:
        more = {"newest": False}
    quiet = 2**62
    engine = replace(
        engine,
        **known_by(
            EngineSettings, reconcile_every_ns=quiet, report_every_ns=quiet, stale_after_ns=quiet,
            checkpoint_every=10**9, private_probe_after_ns=0, stream_silence_max_ns=0, stream_behind_max_ns=0,
            late_after_ns=0,
        ),
    )  # fmt: skip
    if "rate_limits" in known:
        from engine.model import RateLimits

        fields = [field for field in RateLimits.__struct_fields__ if field.endswith("_max")]
        more["rate_limits"] = RateLimits(**dict.fromkeys(fields, 10**9))
    if "risk" in known:
        more["risk"] = risk
    hand = Hand(
        source=STRATEGY.replace("SYMBOLS", symbols), cls="Bench", parameters={"count": instruments}, engine=engine,
        instruments=(*listed, by_hand.instrument("Z", "USDT")),
        answers={"account": {"canTrade": True, "balances": funds, "updateTime": 0}}, **more,
    )  # fmt: skip
    hand.run(2, quote=False)
    assert hand.mode == "running", hand.state.account.modes
    return hand


class Bench:
    """Drives one session; `spent` has the nanoseconds of each step."""

    def __init__(self, orders: int, instruments: int, settings: str) -> None:
        import by_hand

        self.by_hand = by_hand
        self.hand = make_session(orders, instruments, settings)
        self.count, self.turn, self.number = instruments, 0, 0
        self.spent: dict[str, list[int]] = {step: [] for step in STEPS}
        self.open: list[tuple[str, str, str]] = []
        for _ in range(orders):
            self.place("")
            self.answer("")

    def _accept(self, step: str, kind: Any, source: str, body: dict[str, Any], **more: Any) -> None:
        from engine.sequencer import Arrival

        arrival = Arrival(kind, source, payload=json.dumps(body, separators=(",", ":")).encode(), **more)
        begun = time.process_time_ns()
        outputs = self.hand.sequencer.accept(arrival, self.hand.now_ns).outputs
        if step:
            self.spent[step].append(time.process_time_ns() - begun)
        self.outputs = outputs
        self.hand.now_ns += 1000

    def quote(self, step: str, symbol: str, size: int) -> None:
        from journal.record import Kind

        self.number += 1
        data = {
            "u": self.number + 10**6,
            "s": symbol,
            "b": "99.00",
            "B": f"{size}.{self.number % 100_000:05d}",
            "a": "101.00",
            "A": "1.0",
        }
        link = self.hand.state.account.links.by_source[self.by_hand.MARKET]
        frame = {"stream": f"{symbol.lower()}@bookTicker", "data": data}
        self._accept(step, Kind.FEED, self.by_hand.MARKET, frame, cause=link.up_seq)

    def place(self, step: str) -> None:
        symbol = f"A{self.turn % self.count}USDT"
        signal = 2 if (self.turn // self.count) % 2 == 0 else 4
        self.quote(step, symbol, signal)
        self.turn += 1
        assert any(str(getattr(each.body, "purpose", "")) == "place" for each in self.outputs), self.outputs
        [request] = [each for each in self.outputs if str(getattr(each.body, "purpose", "")) == "place"]
        name = request.body.client_order_id
        self.open.append((name, symbol, "BUY" if signal == 2 else "SELL"))
        self.sent = request.record.seq, name, symbol

    def answer(self, step: str) -> None:
        from journal.record import Kind, canonical

        seq, name, symbol = self.sent
        side = self.open[-1][2]
        told = self.by_hand.shown(name, symbol=symbol, orderId=seq, side=side, price="90" if side == "BUY" else "110")
        meta = canonical({"outcome": "answer", "headers": {}, "status": 200})
        self._accept(step, Kind.BROKER, self.by_hand.REST, told, cause=seq, key=name, meta=meta)
        order = self.hand.state.account.orders.known(name)
        assert order.venue_order_id, order

    def balance(self, step: str, symbol: str) -> None:
        """Report balances, as the venue does after each change of funds: they contain all locks so far."""
        from journal.record import Kind

        self.number += 1
        assets = [
            {"a": asset, "f": f"900000000.{self.number}", "l": "1"} for asset in (symbol.removesuffix("USDT"), "USDT")
        ]
        event = {"e": "outboundAccountPosition", "E": 1, "u": 1, "B": assets}
        up_seq = self.hand.state.account.links.by_source[self.by_hand.PRIVATE].up_seq
        self._accept(step, Kind.BROKER, self.by_hand.PRIVATE, {"subscriptionId": 0, "event": event}, cause=up_seq)

    def fill(self, step: str) -> None:
        from journal.record import Kind

        name, symbol, side = self.open.pop(0)
        order = self.hand.state.account.orders.known(name)
        number = self.number = self.number + 1
        price = "90" if side == "BUY" else "110"
        event = self.by_hand.report(
            name,
            "TRADE",
            "FILLED",
            s=symbol,
            S=side,
            t=number,
            l="1.0",
            z="1.0",
            i=int(order.venue_order_id),
            L=price,
            p=price,
        )
        up_seq = self.hand.state.account.links.by_source[self.by_hand.PRIVATE].up_seq
        self._accept(step, Kind.BROKER, self.by_hand.PRIVATE, {"subscriptionId": 0, "event": event}, cause=up_seq)
        assert len(self.outputs) >= 2, self.outputs

    def check(self) -> None:
        self.hand.now_ns = max(self.hand.now_ns, self.hand.state.next_due_ns)
        begun = time.process_time_ns()
        self.hand.sequencer.fire_timers(self.hand.now_ns)
        self.spent["check"].append(time.process_time_ns() - begun)

    def run(self, cycles: int) -> None:
        for cycle in range(cycles):
            self.quote("quote", "ZUSDT", 1)
            self.quote("decision", f"A{self.turn % self.count}USDT", 1)
            self.place("order")
            self.answer("answer")
            self.balance("balance", self.sent[2])
            self.fill("fill")
            self.balance("", self.sent[2])
            if cycle % 4 == 0:
                self.check()


def run_child(options: argparse.Namespace) -> None:
    import gc

    bench = Bench(options.orders[0], options.instruments[0], options.settings)
    bench.run(20)  # warm
    bench.spent = {step: [] for step in STEPS}
    gc.collect()
    gc.disable()
    bench.run(options.cycles)
    print(json.dumps(bench.spent))


# ---- the table -------------------------------------------------------------------------------------


def measure(root: Path, orders: int, instruments: int, options: argparse.Namespace) -> dict[str, list[int]]:
    environment = os.environ | {"PYTHONPATH": f"{root}:{root / 'tests'}", "PYTHONHASHSEED": "0"}
    command = [
        sys.executable, str(HERE / "kernel_cost.py"), "--child", "--orders", str(orders), "--instruments", str(instruments),
        "--settings", options.settings, "--cycles", str(options.cycles),
    ]  # fmt: skip
    ended = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, cwd=root)
    if ended.returncode:
        raise SystemExit(f"{root}: {ended.stderr[-2000:]}")
    found: dict[str, list[int]] = json.loads(ended.stdout.splitlines()[-1])
    return found


def at_share(values: list[int], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] / 1000


def main() -> None:
    """Print a table of figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, nargs="+", default=[1, 10, 100, 1000])
    parser.add_argument("--instruments", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cycles", type=int, default=200)
    parser.add_argument("--settings", choices=["new", "old"], default="new")
    parser.add_argument("--against", type=Path, help="a checkout, measured in turns; implies --settings old")
    parser.add_argument("--record", action="store_true", help="add the medians to benchmarks/results/kernel_cost.json")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        run_child(options)
        return
    figures: dict[str, float] = {}
    roots = [HERE.parent]
    if options.against:
        options.settings = "old"
        roots.append(options.against.resolve())
    print(f"| open orders | instruments | {' | '.join(STEPS)} |\n|---|---|{'---|' * len(STEPS)}")
    for instruments in options.instruments:
        for orders in options.orders:
            seen: list[dict[str, list[int]]] = [{step: [] for step in STEPS} for _ in roots]
            for number in range(options.rounds):
                for which in range(len(roots)) if number % 2 else reversed(range(len(roots))):
                    for step, spent in measure(roots[which], orders, instruments, options).items():
                        seen[which][step] += spent
            cells = []
            for step in STEPS:
                text = f"{at_share(seen[0][step], 0.5):.0f}, {at_share(seen[0][step], 0.99):.0f}"
                case = f"{step}, {orders} open, {instruments} instruments"
                figures[f"{case}, us"] = at_share(seen[0][step], 0.5)
                if options.against:
                    before = at_share(seen[1][step], 0.5)
                    figures[f"{case} over against"] = figures[f"{case}, us"] / before
                    text += f" (before {before:.0f}: {at_share(seen[0][step], 0.5) / before:.2f})"
                cells.append(text)
            print(f"| {orders:,} | {instruments} | {' | '.join(cells)} |", flush=True)
    if options.record:
        record("kernel_cost", figures)


if __name__ == "__main__":
    main()
