"""Strategies with a predicate that is machine code in the fold: when it runs, its inputs, and journals that read without it."""

import gzip
import json
from itertools import islice, pairwise
from pathlib import Path

import msgspec
import pytest
from by_hand import BTC, ETH, ByHand, report, trade
from compiled_and_plain import both_ways
from test_capture_session import GIVEN, STRATEGIES, verbatim
from tiers import first_is_quick

from engine.apply import inputs
from engine.sim.venue_model import VenueModel
from engine.strategy.source_guard import StrategyError
from journal.reader import Journal
from journal.record import Kind, Record
from replay.overrides import with_strategy
from replay.rebuild import rebuild
from replay.replay import replay_session
from replay.resim.capture_session import session_from_capture
from replay.resim.resimulate import ResimOptions, resimulate, resimulate_decisions
from replay.study.decisions import read_decisions, session_decisions
from verbatim.strategy_files import read_strategy
from verbatim.testing import from_sources

# Places one order each time that it wants to, and records its inputs.
HAND = """
from dataclasses import dataclass
from decimal import Decimal

from verbatim import Compiled, MarketTick, OnQuote, Place, Side

LIMIT = 2


def room(held, most):
    return held < most * LIMIT


class Hand:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = OnQuote(throttle_ms=THROTTLE, when=Compiled())

    @dataclass
    class Parameters:
        orders: int = 1
        most: Decimal = Decimal("0.5")
        name: str = "not a number: not handed over"

    @dataclass
    class State:
        asked: int = 0

    @staticmethod
    def should_decide(now: MarketTick, parameters) -> bool:
        return WANTS

    @staticmethod
    def decide(view, state, parameters):
        state.asked += 1
        if not view.orders():
            yield Place("BTCUSDT", Side.BUY, Decimal(1), Decimal(90))
"""


def hand(
    wants: str = "now.bids < parameters.orders and room(now.position, parameters.most)", throttle_ms: int = 0
) -> str:
    return HAND.replace("WANTS", wants).replace("THROTTLE", str(throttle_ms))


def woken(session: ByHand, name: str = "hand") -> int:
    told = [fact for fact in session.facts("strategy_triggered") if fact["strategy"] == name]
    assert session.state.account.strategies.get(name).state.get("asked", 0) == len(told)
    return len(told)


@pytest.mark.slow
def test_it_is_asked_where_it_wants_to_be_and_nowhere_else() -> None:
    """Let ByHand's twin rebuild without a decision; its state equals the session's after each step."""
    session = ByHand(source=hand()).run(5)
    (placed,) = session.asked("place")
    assert woken(session) == 1  # its bid is on its way: nothing is wanted
    session.private(report(placed.client_order_id, "NEW", "NEW"))
    session.run(3)
    assert woken(session) == 1
    session.private(trade(placed.client_order_id, 1, "1.0", "1.0", "FILLED"))
    session.run(3)
    assert session.position() == 1  # of 0.5 * 2: no room for more
    assert woken(session) == 1


@pytest.mark.slow
def test_a_throttle_is_kept_and_what_is_wanted_within_it_is_asked_again_after_it() -> None:
    session = ByHand(source=hand("True", throttle_ms=2500)).run(10)
    times = [
        record.time_ns
        for record in session.records
        if record.kind is Kind.FACT and "strategy_triggered" in (record.body or "")
    ]
    assert len(times) > 2
    assert all(after - before >= 2_500_000_000 for before, after in pairwise(times))
    assert not any("throttle.hand" in (record.body or "") for record in session.records if record.kind is Kind.TIMER)


@pytest.mark.slow
def test_who_may_not_trade_is_not_asked() -> None:
    session = ByHand(source=hand("True")).run(2)
    before = woken(session)
    session.command("pause").run(3)
    assert woken(session) == before
    session.command("resume").run(3)
    assert woken(session) > before


@pytest.mark.slow
def test_it_is_shown_the_market_and_its_own_orders() -> None:
    """Prices as whole numbers of the price's unit, the position in base; the names are those of MarketTick."""
    claim = (
        "now.bid == 9900 and now.ask == 10100 and now.ask_size == 100000 and now.book_bid == 9900 and now.book_ask == "
        "10100 "
        "and now.tick == 1 and now.lot == 1 and now.price_unit == 0.01 and now.size_unit == 0.00001 and now.which == 0"
    )
    session = ByHand(source=hand(claim)).run(2)
    assert woken(session) >= 1
    claim = "now.bids == 1 and now.bid_price == 9000 and now.asks == 0 and now.ask_price == 0 and now.unsettled == 1"
    session = ByHand(source=hand(f"now.bids == 0 or ({claim})")).run(5)
    assert woken(session) > 2
    (placed,) = session.asked("place")
    session.private(report(placed.client_order_id, "NEW", "NEW"))
    before = woken(session)
    session.run(3)
    assert woken(session) == before  # settled now


@pytest.mark.slow
def test_each_instrument_is_shown_by_itself() -> None:
    source = hand("now.which == 1 and now.bid > 0").replace('("BTCUSDT",)', '("BTCUSDT", "ETHBTC")')
    session = ByHand(source=source, instruments=(BTC, ETH)).run(3)
    assert woken(session) >= 1
    causes = [
        record.cause
        for record in session.records
        if record.kind is Kind.FACT and "strategy_triggered" in (record.body or "")
    ]
    frames = {record.seq: record.payload or b"" for record in session.records if record.kind is Kind.FEED}
    assert all(b"ETHBTC" in frames[cause] for cause in causes if cause is not None)


@pytest.mark.slow
def test_what_raises_stops_the_strategy_and_says_why() -> None:
    session = ByHand(source=hand("now.bid // now.asks > 0")).run(3)
    assert session.state.account.strategies.get("hand").stopped_for.startswith("ZeroDivisionError")
    assert session.mode == "running"
    assert len(session.facts("strategy_triggered")) == 1


@pytest.mark.parametrize(
    ("source", "what"),
    first_is_quick(
        [
            (
                hand().replace("def should_decide", "def wishes"),
                "calls `should_decide(now, parameters)`; declare it as a static method of the class",
            ),
            (
                hand().replace("    @staticmethod\n    def should_decide(now", "    def should_decide(now"),
                "calls `should_decide(now, parameters)`; declare it as a static method of the class",
            ),
            (hand("parameters.name == 1"), "Unknown attribute 'name'"),
            (hand("now.price > 0"), "Unknown attribute 'price'"),
            (
                hand("now.bid > '1'"),
                "a value is '1': floats, ints up to 2**31, tuples of such and functions of this file can be used",
            ),
            (hand("TEXT[0] > 0").replace("LIMIT = 2", "TEXT = b'abc'"), "TEXT is b'abc': floats, ints up to 2**31"),
            (
                hand("deep(now.bid)").replace("LIMIT = 2", "def deep(x):\n    return deep(x + 1) + 1 if x > 0 else 0"),
                "deep calls itself",
            ),
            (hand("now.bid ** 0.5 > 3"), "should_decide: a power is not the same in machine code and in Python"),
            (
                hand("math.sqrt(now.bid) > 3").replace("LIMIT = 2", "import math"),
                "should_decide: math is <module 'math'",
            ),
            (hand("int(now.bid) > 3"), "int cannot be used; the built-ins allowed are abs, bool, float, max, min"),
            (hand("[1 for each in (1, 2)] != []"), "functions within functions cannot be compiled"),
            (
                hand("maybe(now.bid)").replace("LIMIT = 2", "def maybe(x):\n    if x > 1:\n        return True"),
                "maybe must end with a number or a truth, on every path",
            ),
            (hand().replace("orders: int = 1", "_orders: int = 1"), "a parameter cannot be named so"),
            (hand().replace("orders: int = 1", f"orders: int = {10**400}"), "a parameter is beyond what a float holds"),
            (hand(f"now.bid * {2**40} > 0"), f"a value is {2**40}: floats, ints up to 2**31"),
            (hand("now.averages[0] is now.averages[0]"), "`is` is not the same in machine code and in Python"),
            (hand("now.bid in (1, 2)"), "`in` is not the same"),
            (hand("(now.bid, 1.0) < (now.ask, 2.0)"), "making a tuple is not the same"),
            (hand("~(now.bid > 0) == -2"), "`~` is not the same"),
            (
                hand("branch(now.bid)").replace(
                    "LIMIT = 2", "def branch(x):\n    if x > 1:\n        y = 1.0\n    return y == 0.0"
                ),
                "branch: y may not be set where it is read",
            ),
            (
                hand("none(now.bid)").replace(
                    "LIMIT = 2", "def none(x):\n    y = None\n    if x > 1:\n        y = 1.0\n    return not y"
                ),
                "none: None cannot be used",
            ),
            (
                hand("guess(now.bid)").replace(
                    "LIMIT = 2",
                    "def guess(x):\n    try:\n        return x > 1\n    except ValueError:\n        return False",
                ),
                "guess: `try` cannot be used",
            ),
        ],
        quick=4,
    ),
)
def test_what_cannot_be_compiled_is_refused_at_load_in_a_line(source: str, what: str) -> None:
    with pytest.raises(StrategyError) as refused:
        from_sources({"hand": source}, "hand", "Hand")
    assert what in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.slow
def test_what_is_inherited_or_not_used_is_no_hindrance() -> None:
    source = (
        hand().replace(
            "LIMIT = 2", "LIMIT = 2\n\n\ndef outer():\n    held = 1\n    return lambda: held\n\n\nunused = outer()"
        )
        + "\n\nclass Heir(Hand):\n    pass\n"
    )
    assert woken(ByHand(source=source, cls="Heir").run(3), "heir") == 1


@pytest.mark.slow
def test_two_of_different_making_in_one_session() -> None:
    """One has more parameters than the other, and each its own function of the same name."""
    other = hand("now.bids < parameters.orders + parameters.more").replace(
        "orders: int = 1", "orders: int = 0\n        more: int = 1"
    )
    both = [
        from_sources({"hand": hand(), "second": other}, module, "Hand", name=module) for module in ("hand", "second")
    ]
    session = ByHand(strategies=both).run(4)
    assert [session.state.account.strategies.get(name).stopped_for for name in ("hand", "second")] == ["", ""]
    assert woken(session, "hand") == woken(session, "second") == 1


@pytest.mark.slow
def test_functions_of_one_name_are_not_taken_for_each_other() -> None:
    head = "def over(least):\n    return least\n\n\nnarrow = lambda now, parameters: now.bid > 1e9\nwide = lambda now, parameters: now.bid > 0"
    source = (
        hand()
        .replace("LIMIT = 2", head)
        .replace(
            "    @staticmethod\n    def should_decide(now: MarketTick, parameters) -> bool:\n        return now.bids < "
            "parameters.orders and room(now.position, parameters.most)\n",
            "    should_decide = staticmethod(narrow)\n",
        )
    )
    assert woken(ByHand(source=source).run(3)) == 0
    assert woken(ByHand(source=source.replace("staticmethod(narrow)", "staticmethod(wide)")).run(3)) > 0


@pytest.fixture(scope="module")
def capture(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compiled")
    with gzip.open(shared_data / "captures/binance/spot_btcusdt_20240808.gz") as file:
        (folder / "begin.dat").write_bytes(b"".join(islice(file, 12_000)))
    verbatim("import", folder / "begin.dat", "--into", folder / "spot")
    return folder / "spot"


def wanted(folder: Path, cls: str) -> ResimOptions:
    body = with_strategy(
        session_from_capture(Journal.open(folder)), read_strategy(f"{STRATEGIES / 'compiled.py'}:{cls}")
    )
    return ResimOptions(session=body, model=VenueModel(), balances=GIVEN)


@pytest.mark.slow
def test_it_decides_as_its_twin_that_looks_at_every_quote_in_python(capture: Path, tmp_path: Path) -> None:
    told = []
    for cls in ("Wide", "WideInPython"):
        kept: list[Record] = []
        resimulate_decisions(capture, wanted(capture, cls), kept.extend)
        told.append([(each.origin, each.what) for each in read_decisions(kept)])
    assert told[0] == told[1]
    assert len(told[0]) > 20

    resimulate(
        capture, tmp_path / "r", wanted(capture, "Wide")
    )  # with its journal: the same, and it replays and rebuilds
    assert [(each.origin, each.what) for each in session_decisions(tmp_path / "r")] == told[0]
    assert replay_session(tmp_path / "r").identical
    _, state, checkpoint = rebuild(tmp_path / "r")
    assert checkpoint.seq >= 0
    assert state.market.digests()


@pytest.mark.slow
@pytest.mark.parametrize(
    "strategy", ["crossing.py:LooksAtEachQuote", "at_the_top.py:AtTheTop", "faulty.py", "compiled.py:WideInPython"]
)
def test_looks_that_come_to_nothing_are_folded_over_and_change_nothing(
    capture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    """Call a strategy without intents or pending orders within the fold: the records are those of single steps."""
    asked = msgspec.structs.replace(
        wanted(capture, "Wide"),
        session=with_strategy(session_from_capture(Journal.open(capture)), read_strategy(str(STRATEGIES / strategy))),
    )
    told = []
    for steps in ("folded over", "one by one"):
        if steps == "one by one":
            monkeypatch.setattr(inputs, "STRATEGY_FLAGS", 0)
        resimulate(capture, tmp_path / steps, asked)
        told.append([msgspec.structs.astuple(record) for record in Journal.open(tmp_path / steps).records(1)])
    assert told[0] == told[1]
    assert len(told[0]) > 10_000


_PLAIN = """
import hashlib, json, sys
from itertools import islice, pairwise
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_compiled_strategies import wanted
from replay.resim.resimulate import resimulate_decisions
from engine.market.jit import JIT
heard = hashlib.sha256()
def take(records):
    for record in records:
        heard.update(repr((record.seq, record.time_ns, record.kind, record.source, record.cause, record.key, record.meta, record.payload, record.body)).encode())
resimulate_decisions(Path(sys.argv[2]), wanted(Path(sys.argv[2]), "Wide"), take)
print(json.dumps([JIT, heard.hexdigest()]))
"""


@pytest.mark.slow
def test_compiled_and_plain_give_the_same_records(capture: Path) -> None:
    compiled, plain = both_ways(_PLAIN, Path(__file__).parent, capture, strict=False)
    assert compiled == plain


@pytest.mark.slow
def test_the_journal_says_that_it_was_woken_and_needs_no_code_to_be_read(capture: Path, tmp_path: Path) -> None:
    """Rebuild a session for `ask` from its strategies' declarations, without running their code."""
    resimulate(capture, tmp_path / "r", wanted(capture, "Wide"))
    told = json.loads(verbatim("ask", tmp_path / "r", "--json"))
    assert told
    facts = [json.loads(record.body or "") for record in Journal.open(tmp_path / "r").records(kinds=[Kind.FACT])]
    assert sum(fact["fact"] == "strategy_triggered" for fact in facts) > 20
