"""A strategy's own indicator: a class in its modules, compiled into the fold with checked bounds.

It is the same in a session, its replay and a resimulation, and a rebuild does not run it.
"""

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from by_hand import ByHand
from calm_venue import CalmVenue
from checked_sessions import CheckedSessions
from compiled_and_plain import both_ways
from msgspec.structs import replace
from test_market_indicators import BTC as CHEAP
from test_market_indicators import quotes

from engine.kernel import kernel_of, rebuilder_of
from engine.market import rows as r
from engine.market.indicators.indicator import OWN
from engine.market.indicators.registry import indicator_spec
from engine.market.market_state import Market
from engine.market.predicates import FAILED
from engine.market.user_update import UserSpec, compile_update
from engine.market.views import BarSpec
from engine.model import Instrument
from engine.record_codec import read_checkpoint
from engine.session_record import new_engine_settings
from engine.sim.venue_model import VenueModel
from engine.state.session_state import State
from engine.strategy.source_guard import StrategyError
from engine.venues.binance_spot.market import BinanceSpotMarket
from journal.reader import Journal
from journal.record import Kind, Record
from replay import snapshots
from replay.rebuild import rebuild
from replay.replay import replay_session
from replay.resim.resimulate import ResimOptions, resimulate
from verbatim.testing import VirtualSession, from_sources

SECOND_NS = 1_000_000_000
OURS = [("mid", {"length": 5}, 0, ""), ("trade", {"length": 4}, 0, "trade"), ("bars", {"length": 3}, 1, "")]
# compares its own average with ours at each decision, and stops if they differ
MIRROR = """
from dataclasses import dataclass
from typing import Annotated

from verbatim import Indicator, OnQuote, Range


class Average:
    @dataclass
    class Parameters:
        length: Annotated[int, Range(1, 500)] = 5

    kept = 1

    @staticmethod
    def warm_count(parameters):
        return parameters.length

    @staticmethod
    def update(now, own, parameters):
        own[0] = own[0] + 1.0
        if now.updates == 0:
            return now.value
        return now.last + 2.0 / (parameters.length + 1.0) * (now.value - now.last)


class Mirror:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = OnQuote()
    indicators = (
        Indicator("own mid", Average), Indicator("our mid", "ema", {"length": 5}),
        Indicator("own trade", Average, {"length": 4}, source="trade"),
        Indicator("our trade", "ema", {"length": 4}, source="trade"),
        Indicator("own bars", Average, {"length": 3}, bars_s=1), Indicator("our bars", "ema", {"length": 3}, bars_s=1),
    )

    @dataclass
    class Parameters:
        pass

    @dataclass
    class State:
        unknown: int = 0
        compared: int = 0

    @staticmethod
    def decide(view, state, parameters):
        for source in ("mid", "trade", "bars"):
            own, ours = view.indicator("own " + source, "BTCUSDT"), view.indicator("our " + source, "BTCUSDT")
            if own is None:
                state.unknown += 1
            elif ours is not None:
                assert own == ours or state.unknown > 100, (source, own, ours)
                state.compared += 1
        yield from ()
"""


def mirror(session: VirtualSession) -> dict[str, int]:
    status = session.state.account.strategies.get("mirror")
    assert status.stopped_for == ""
    return dict(status.state)


def test_an_own_average_equals_ours_in_a_session_its_replay_and_its_resimulation(
    begin: CheckedSessions, tmp_path: Path
) -> None:
    settings = from_sources({"mirror": MIRROR}, "mirror", "Mirror")
    first = begin(CalmVenue(), settings).run(25)
    first.stop()
    assert mirror(first)["compared"] > 60
    (strategy,) = first.body.strategies
    assert strategy.declared is not None
    assert strategy.declared.indicators[2] == (
        "own trade",
        "own.mirror.Average",
        {"source": "trade", "kept": 1, "ready_after": 4, "parameters": {"length": 4}},
    )
    stated = [json.loads(r.body or "")["parts"] for r in Journal.open(first.folder).records(kinds=[Kind.CHECKPOINT])]
    assert stated
    assert all("market.user_indicators" in parts for parts in stated)
    assert replay_session(first.folder).identical

    kernel, state, _ = rebuild(first.folder)
    assert kernel.session.strategies["mirror"].own_updates == {}
    own = first.state.digests()
    assert own.pop("market.user_indicators")
    assert state.digests() == own, "what it runs without the user's code is the same"

    resimulate(first.folder, tmp_path / "r", ResimOptions(session=first.body, model=VenueModel()))
    assert replay_session(tmp_path / "r").identical
    assert rebuild(tmp_path / "r")[1].account.strategies.get("mirror").state == mirror(first)


def test_after_a_restart_an_own_indicator_begins_again_and_others_continue(begin: CheckedSessions) -> None:
    settings = from_sources({"mirror": MIRROR.replace("> 100", "> 0")}, "mirror", "Mirror")
    venue = CalmVenue()
    first = begin(venue, settings).run(15)
    first.kill()
    before = mirror(first)
    second = begin(venue, settings, previous=first, opening=first.state).run(15)
    after = mirror(second)
    assert after["unknown"] > before["unknown"], "it is not known until its own updates suffice"
    assert after["compared"] > before["compared"]
    names = [spec.name for spec in second.state.market.indicator_specs]
    counts = [second.state.market.indicator_count(k) for k in range(len(names))]
    assert counts[names.index("own")] < counts[names.index("ema")]
    second.stop()


def test_a_replay_compares_own_indicators_and_begins_only_where_their_values_are_known(begin: CheckedSessions) -> None:
    """A snapshot of a rebuild does not have them. An edited update is found at the first CHECKPOINT."""
    engine = replace(new_engine_settings(), checkpoint_every=40)
    live = begin(CalmVenue(), from_sources({"mirror": MIRROR}, "mirror", "Mirror"), engine=engine).run(12)
    live.stop()
    journal, kept = Journal.open(live.folder), dict[int, bytes]()
    first = journal.session_record()

    def keep(state: State, checkpoint: Record) -> None:
        if not kept:
            kept[state.seq] = bytes.fromhex(read_checkpoint(checkpoint.body or "").parts["inputs"][1])
            snapshots.write_snapshot(live.folder, first, state, kept[state.seq])

    assert replay_session(live.folder, at_checkpoint=keep).checkpoints == 2
    [(seq, input_hash)] = kept.items()
    assert replay_session(live.folder, begin_seq=seq).identical
    snapshots.write_snapshot(live.folder, first, rebuild(live.folder, until=seq, use_snapshots=False)[1], input_hash)
    assert snapshots.load_snapshot(seq, journal, rebuilder_of(first), first) is not None
    assert snapshots.load_snapshot(seq, journal, kernel_of(first), first) is None

    edited = from_sources({"mirror": MIRROR.replace("own[0] + 1.0", "own[0] + 2.0")}, "mirror", "Mirror")
    verdict = replay_session(live.folder, strategies={"mirror": edited})
    assert verdict.difference is not None
    assert "market.user_indicators" in verdict.difference.what
    assert verdict.difference.seq == seq


# ---- against ours on real messages


def average(now: Any, own: Any, parameters: Any) -> float:
    own[0] = own[0] + 1.0
    if now.updates == 0:
        return float(now.value)
    return now.last + 2.0 / (parameters.length + 1.0) * (now.value - now.last)  # type: ignore[no-any-return]


def test_an_own_average_equals_ours_to_the_bit_on_the_btc_capture(shared_data: Path) -> None:
    btc = Instrument("b:BTC", "binance_spot", "BTCUSDT", "BTC", "USDT", 2, 8, Decimal("0.01"), Decimal("0.00001"))
    sources = ("mid", "trade", "bars.1")
    own = [UserSpec("b:BTC", "own.x.Average", source, 1, 10, (("length", 10),)) for source in sources]
    specs = [
        each
        for k, source in enumerate(sources)
        for each in (own[k], indicator_spec("ema", "b:BTC", {"length": 10, "source": source}))
    ]
    update = compile_update(average, {"length": 10}, 1)  # type: ignore[arg-type]  # a function is one
    market = Market.empty([btc], [BarSpec("b:BTC", SECOND_NS)], specs, user_updates=dict.fromkeys(own, update))
    venue, compared = BinanceSpotMarket([btc]), 0
    with gzip.open(shared_data / "captures" / "binance" / "spot_btcusdt_20240808.gz") as capture:
        for seq, line in zip(range(20_000), capture, strict=False):
            rows = venue.decode(line[20:].strip(), "binance_spot.market.0", seq, int(line[:19]))
            if isinstance(rows, tuple):
                continue
            market.fold(rows)
            if seq % 50 == 0:
                compared += 1
                assert [market.indicator(k) for k in (0, 2, 4)] == [market.indicator(k) for k in (1, 3, 5)]
    counts = [market.indicator_count(k) for k in range(6)]
    assert compared > 200
    assert counts[::2] == counts[1::2]
    assert min(counts) > 20
    assert [market.indicator_values[k, OWN] for k in (0, 2, 4)] == counts[::2], "its kept number counted them"


# ---- what goes wrong in an update


def faulty(now: Any, own: Any, parameters: Any) -> float:
    if now.updates == 1:
        own[2] = 1.0  # it keeps two
    if now.updates == 2:
        return 1.0 / (now.value - now.value)  # type: ignore[no-any-return]
    if now.updates == 3:
        return 1e308 * now.value  # type: ignore[no-any-return]
    if now.updates == 4:
        return 1e308 * now.value - 1e308 * now.value  # type: ignore[no-any-return]
    if now.updates == 5:
        total = 0.0
        for k in range(parameters.steps):
            total += k
        return total
    if now.updates == 6:
        return int(1e300 * now.value)
    if now.updates == 7:
        own[-3] = 5.0
    if now.updates == 8:
        return 1e300
    if now.updates == 9:
        return own[-1] + len(own) + max(now.value, 1.0) - now.value  # type: ignore[no-any-return]
    own[1] = own[1] + 1.0
    return now.value  # type: ignore[no-any-return]


EXPECTED = [100.05, *[FAILED] * 7, 1e300, 3.0, 100.05]


def test_a_failed_update_is_no_number_and_harms_nothing_else() -> None:
    """A wrong index, a division by zero, too large, not a number, too many steps, no whole number."""
    spec = UserSpec("v:BTC", "own.x.Faulty", "mid", 2, 1, (("steps", 5001),))
    beside = indicator_spec("ema", "v:BTC", {"length": 3})
    update = compile_update(faulty, {"steps": 5001}, 2)  # type: ignore[arg-type]  # a function is one
    market = Market.empty([CHEAP], indicators=[spec, beside], user_updates={spec: update})
    alone = Market.empty([CHEAP], indicators=[beside])
    found = []
    for k in range(len(EXPECTED)):
        row = quotes(100.05, first=k)
        row[0, r.QUOTE_BID_SIZE] = k + 1  # the quote changed
        market.fold(row)
        alone.fold(row)
        found.append(market.indicator(0))
    assert found == EXPECTED
    assert market.indicator_values[0, OWN : OWN + 2].tolist() == [0.0, 2.0], "a kept number holds"
    assert market.indicator(1) == alone.indicator(0)
    assert market.digests()["indicators"] == alone.digests()["indicators"]


# ---- what a strategy sees of it

READER = """
from dataclasses import dataclass
from decimal import Decimal

from verbatim import Indicator, OnQuote, Place, Predicate, Side


class Own:
    kept = 1

    @staticmethod
    def update(now, own, parameters):
        own[0] = own[0] + 1.0
        return UPDATE


class Hand:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = OnQuote(CADENCE)
    indicators = (Indicator("mean", "sma", {"length": 1}), Indicator("mine", Own))

    @dataclass
    class Parameters:
        pass

    @dataclass
    class State:
        seen: int = 0

    @staticmethod
    def should_decide(now, parameters):
        return now.averages[1] > 2.0

    @staticmethod
    def decide(view, state, parameters):
        state.seen += 1
        view.indicator("mine", "BTCUSDT")
        yield from ()
"""
READS = {"at each quote": "", "by its predicate": "when=Predicate()"}


@pytest.mark.parametrize("reads", READS)
def test_a_strategy_that_reads_a_failed_indicator_stops(reads: str) -> None:
    """Its third update fails. A predicate compares with it, and would be false for ever."""
    update = "now.updates / (3.0 - own[0])"
    session = ByHand(source=READER.replace("UPDATE", update).replace("CADENCE", READS[reads])).run(6)
    status = session.state.account.strategies.get("hand")
    assert "not a number: its update" in status.stopped_for
    assert status.state.get("seen", 0) == (0 if reads == "by its predicate" else 2)
    assert session.mode == "running"


def test_a_predicate_compares_an_own_indicator() -> None:
    session = ByHand(source=READER.replace("UPDATE", "own[0]").replace("CADENCE", "when=Predicate()")).run(6)
    status = session.state.account.strategies.get("hand")
    updates = session.state.market.indicator_count(1)
    assert status.stopped_for == ""
    assert status.state["seen"] == len(session.facts("strategy_triggered")) == updates - 2


# ---- what is refused when a strategy is loaded


def declared(update: str = "return now.value", indicator: str = 'Indicator("mine", Own)', **changes: str) -> str:
    source = READER.replace("        own[0] = own[0] + 1.0\n        return UPDATE", f"        {update}")
    for before, after in changes.items():
        source = source.replace(before, after)
    return source.replace("CADENCE", "").replace('Indicator("mine", Own)', indicator)


NESTED = "for a in range(2):\n            for b in range(2):\n                for c in range(2): own[0] = 1.0"
REFUSED = {
    "while": (declared("while now.value > 1.0: own[0] = 1.0"), "`while` cannot be used"),
    "for ever": (declared("while True: own[0] = 1.0"), "`while` cannot be used"),
    "three loops deep": (declared(f"{NESTED}\n        return 1.0"), "loops may be 2 deep at most, not 3"),
    "no value on a path": (declared("if now.value > 1.0: return 1.0"), "must end with a number"),
    "text": (declared("return 'x'"), "'x'"),
    "a table": (declared("return own"), "cannot be compiled"),
    "a list": (declared("return [1.0]"), "cannot be compiled"),
    "a file": (declared("return open('x')"), "may not use 'open'"),
    "itself": (declared("return Own.update(now, own, parameters)"), "Own"),
    "a power": (declared("return now.value ** 2.0"), "a power is not the same"),
    "a field that is not there": (declared("return now.colour"), "cannot be compiled"),
    "another signature": (declared(**{"now, own, parameters": "now, own"}), "has the arguments now, own and parameters"),
    "no update": (declared(**{"def update": "def advance"}), "has no static method `update"),
    "too much": (declared(**{"kept = 1": "kept = 5001"}), "kept may be 5000 at most"),
    "a fraction": (declared(**{"kept = 1": "kept = 1.5"}), "kept must be a whole number"),
    "a parameter": (declared(indicator='Indicator("mine", Own, {"length": 2})'), "declares no Parameters"),
    "two sources": (declared(indicator='Indicator("mine", Own, bars_s=1, source="trade")'), "without a source"),
    "a source": (declared(indicator='Indicator("mine", Own, source="tea")'), "source is 'mid'"),
    "no class": (declared(indicator='Indicator("mine", 5)'), "has no static method"),
    "twice": (declared(indicator='Indicator("mean", Own)'), "two indicators have the name 'mean'"),
    "a crossover": (
        declared(**{"OnQuote(CADENCE)": 'OnQuote(when=CrossOver("mean", "mine"))', "Predicate, Side": "CrossOver"}),
        "'mine' is one of your own: compare it in `should_decide`",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_a_wrong_class_is_refused_at_load(what: str) -> None:
    source, reason = REFUSED[what]
    with pytest.raises(StrategyError) as refused:
        from_sources({"hand": source}, "hand", "Hand")
    assert reason in str(refused.value)
    assert "hand.py" in str(refused.value)


def test_parameters_of_an_own_indicator_are_checked() -> None:
    for given, reason in (
        ('{"lenght": 3}', "unknown parameter 'lenght'"),
        ('{"length": 501}', "parameter 'length' of indicator own mid is 501: it must be from 1 to 500"),
        ('{"length": "x"}', "Expected `int`"),
    ):
        with pytest.raises(StrategyError) as refused:
            from_sources({"m": MIRROR.replace('"own mid", Average', f'"own mid", Average, {given}')}, "m", "Mirror")
        assert reason in str(refused.value)


PROGRAM = """
import json, sys
import numpy as np
sys.path.insert(0, sys.argv[1])
from test_own_indicators import CHEAP, average, faulty
from engine.market import rows as r
from engine.market.jit import JIT
from engine.market.market_state import Market
from engine.market.user_update import UserSpec, compile_update
from engine.market.views import BarSpec

kinds = {"average": (average, {"length": 4}, 1), "faulty": (faulty, {"steps": 5001}, 2)}
updates = {
    UserSpec("v:BTC", name, source, kept, 1, tuple(given.items())): compile_update(update, given, kept)
    for source in ("mid", "trade", "bars.1") for name, (update, given, kept) in kinds.items()
}
market = Market.empty([CHEAP], [BarSpec("v:BTC", 10**9)], list(updates), bars_by_time=True, user_updates=updates)
told = []
for k in range(60):
    row = np.zeros((1, r.COLUMNS), np.int64)
    if k % 2:
        row[0] = r.QUOTE, 0, k, k * 3 * 10**8, 0, 1, 999 + k % 7, k + 1, 1001 + k % 5, 1, k
    else:
        row[0] = r.TRADE, 0, k, k * 3 * 10**8, k * 3 * 10**8, 1, 1000 + k % 9, 1, k // 2, 0, 0
    market.fold(row)
    told.append(market.indicator_values.tobytes().hex())
print(json.dumps([JIT, told, market.digests()]))
"""


@pytest.mark.slow
def test_compiled_and_plain_updates_of_one_s_own_are_the_same_to_the_bit() -> None:
    compiled, plain = both_ways(PROGRAM, Path(__file__).parent)
    assert compiled == plain
