"""Captures as sessions for a strategy: known books and totals, exact money, and results that replay."""

import fcntl
import gzip
import hashlib
import json
import os
from decimal import Decimal
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from engine.facts import BalanceChanged, OrderFilled
from engine.record_codec import read_fact
from engine.session_record import StrategySettings
from engine.sim.venue_model import VenueModel, with_settings
from journal.reader import Journal
from journal.record import Kind, Record
from journal.verify import verify
from replay.overrides import apply_overrides, with_strategy
from replay.rebuild import rebuild
from replay.replay import replay_session
from replay.resim.capture_session import session_from_capture
from replay.resim.resimulate import ResimOptions, resimulate, resimulate_decisions
from replay.study.decisions import read_decisions, session_decisions
from replay.study.performance import measure_performance, session_performance
from verbatim.cli import main
from verbatim.strategy_files import read_strategy
from verbatim.testing import from_sources

BINANCE = "captures/binance"
FILES = {  # captures by their names in known/binance_books_and_trades.json
    "spot_btcusdt": ["spot_btcusdt_20240808.gz"],
    "spot_ethusdt": ["spot_ethusdt_20240808.gz"],
    "cm_btcusd_perp": ["cm_btcusd_perp_20240808.gz"],
    "usdm_btcusdt_aug": ["usdm_btcusdt_20240808.gz"],
    "usdm_btcusdt_jul": ["usdm_btcusdt_20240718.gz", "usdm_btcusdt_20240719.gz"],
    "usdm_btcusdt_2023": ["usdm_btcusdt_20230404.dat.gz", "usdm_btcusdt_20230405.dat.gz"],
}
GIVEN = {"USDT": "1000000", "BTC": "100", "ETH": "1000"}
STRATEGIES = Path(__file__).resolve().parent / "strategies"


def verbatim(*words: object, code: int = 0) -> str:
    ended = CliRunner().invoke(main, [str(word) for word in words])
    assert ended.exit_code == code, ended.output
    return ended.output


class Captures:
    """Sessions imported from captures: each once, when a test first names it, for all workers."""

    def __init__(self, shared_data: Path, folder: Path) -> None:
        self.binance = shared_data / BINANCE
        self.folder = folder
        folder.mkdir(exist_ok=True)

    def __truediv__(self, name: str) -> Path:
        return self._imported(name, [self.binance / file for file in FILES[name]])

    def first(self, name: str, count: int) -> Path:
        """Import the first lines of a capture alone."""
        part = self.folder / f"{name}.{os.getpid()}.dat"
        with gzip.open(self.binance / FILES[name][0]) as whole:
            part.write_bytes(b"".join(islice(whole, count)))
        return self._imported(f"{name}_{count}", [part])

    def trades(self, name: str, count: int) -> int:
        """Count the trades in the first lines of a capture."""
        with gzip.open(self.binance / FILES[name][0]) as whole:
            return sum(b'"e":"trade"' in line for line in islice(whole, count))

    def _imported(self, name: str, files: list[Path]) -> Path:
        into = self.folder / name
        with (self.folder / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not into.exists():
                verbatim("import", *files, "--into", into)
        return into


@pytest.fixture(scope="module")
def captures(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Captures:
    own = tmp_path_factory.getbasetemp()  # a folder of this worker, beside those of the others
    return Captures(shared_data, (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "captures")


def resim_options(folder: Path, strategy: str, **model: Any) -> ResimOptions:
    session = with_strategy(session_from_capture(Journal.open(folder)), read_strategy(str(STRATEGIES / strategy)))
    return ResimOptions(session=session, model=VenueModel(**model), balances=GIVEN)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "diffs"),
    [("spot_btcusdt", 1000), ("cm_btcusd_perp", 3000), ("usdm_btcusdt_2023", 0), ("usdm_btcusdt_jul", 0)],
)
def test_a_capture_gives_the_known_book_and_exact_money(
    captures: Captures, tmp_path: Path, shared_data: Path, name: str, diffs: int
) -> None:
    """One of spot, of an inverse contract, and of two linear ones of two files each: the first has a funding.

    The first two end at the known book after so many diffs. The books of all captures are in test_market_known.py and
    test_futures_known.py.
    """
    expected = json.loads((shared_data / "known" / "binance_books_and_trades.json").read_text())["captures"][name]
    known = next(
        (each for each in expected["depth"]["checkpoints"] if each["applied"] == diffs),
        expected["depth"]["checkpoints"][-1],
    )
    count = known.get("line", 0) + 1  # lines are numbered from 0
    capture = captures.first(name, count) if diffs else captures / name
    outcome = resimulate(capture, tmp_path / "r", resim_options(capture, "at_the_top.py:AtTheTop", fee_maker="0.0002"))
    assert outcome.exactness == "modelled from the beginning"
    assert verify(tmp_path / "r").ok
    assert replay_session(tmp_path / "r").identical

    _, state, _ = rebuild(tmp_path / "r")
    assert state.market.book_id(0) == known["u"]
    assert hashlib.sha256(state.market.book_text(0).encode()).hexdigest() == known["full_sha256"]
    trades = expected["trades_all"]["count"] if not diffs else captures.trades(name, count)
    assert state.market.counters(0).trades == trades

    fills, balances = fills_and_balances(tmp_path / "r")
    assert len(fills) > 10
    instrument = state.market.instruments[0]
    settled = instrument.margin or instrument.quote
    earned = (
        realised_by_hand(fills, inverse=instrument.inverse, size=instrument.contract_size)
        if instrument.contract
        else quote_change_by_hand(fills)
    )
    earned -= funding_by_hand(capture, fills)  # midnight of 2023-04-05 is one: the only one that these captures saw
    change = Fraction(balances[settled]) - Fraction(GIVEN[settled])
    assert abs(change - earned) < Fraction(2, 10**8) * len(fills)


def fills_and_balances(folder: Path) -> tuple[list[OrderFilled], dict[str, Decimal]]:
    """Return the fills of a session and the last reported balances."""
    fills, balances = [], {}
    for record in Journal.open(folder).records(kinds=[Kind.FACT]):
        fact = read_fact(record.body or "")
        if isinstance(fact, OrderFilled):
            fills.append(fact)
        elif isinstance(fact, BalanceChanged):
            balances[fact.asset] = fact.free + fact.locked
    return fills, balances


def quote_change_by_hand(fills: list[OrderFilled]) -> Fraction:
    """Return the change of the quote balance: a sale adds its value less the fee, a buy subtracts it."""
    return sum(
        (
            Fraction(-fill.quantity * fill.price)
            if fill.side.sign > 0
            else Fraction(fill.quantity * fill.price - fill.fee)
            for fill in fills
        ),
        Fraction(0),
    )


def realised_by_hand(fills: list[OrderFilled], *, inverse: bool, size: Decimal) -> Fraction:
    """Return realised P&L minus fees, lot by lot at average cost."""
    quantity = cost = earned = Fraction(0)
    for fill in fills:
        signed, price = Fraction(fill.quantity) * fill.side.sign, Fraction(fill.price)
        each = (
            -Fraction(size) / price if inverse else Fraction(size) * price
        )  # the value of one unit at this price, in the asset of the P&L
        if quantity and (quantity > 0) != (signed > 0):
            closed = -signed if abs(signed) <= abs(quantity) else quantity
            earned += closed * each - cost * closed / quantity
            cost -= cost * closed / quantity
            quantity, signed = quantity - closed, signed + closed
        quantity += signed
        cost += signed * each
        earned -= Fraction(fill.fee)
    return earned


def funding_by_hand(folder: Path, fills: list[OrderFilled]) -> Fraction:
    """Return the funding that the holder of a linear contract paid, by the recorded marks."""
    paid = Fraction(0)
    before: dict[str, Any] = {}
    for record in Journal.open(folder).records(kinds=[Kind.FEED]):
        if b"markPriceUpdate" in (record.payload or b""):
            mark = json.loads(record.payload or b"")["data"]
            if before and mark["T"] > before["T"]:
                held = sum(fill.quantity * fill.side.sign for fill in fills if fill.venue_ns < record.time_ns)
                paid += Fraction(held) * Fraction(before["p"]) * Fraction(before["r"])
            before = mark
    return paid


@pytest.mark.slow
def test_a_run_without_a_journal_decides_the_same(captures: Captures, tmp_path: Path) -> None:
    """Compare a run that keeps only records with outputs: same decisions, same end."""
    rule = STRATEGIES.parent.parent / "benchmarks" / "strategies" / "hft_rule.py"  # it decides on a timer
    faulty = "faulty.py:Faulty"
    for name, strategy in (
        ("spot_ethusdt", "at_the_top.py:AtTheTop"),
        ("cm_btcusd_perp", "crossing.py:Crossing"),
        ("usdm_btcusdt_aug", f"{rule}:Rule"),
        ("spot_btcusdt", faulty),
    ):
        session = captures.first(name, 6_000)
        options = resim_options(session, strategy, latency="measured", ways_ns=(3_000_000, 700_000, 12_000_000))
        kept: list[Record] = []
        resimulate_decisions(session, options, kept.extend)
        resimulate(session, tmp_path / name, options)
        ours, theirs = read_decisions(kept), session_decisions(tmp_path / name)
        assert [(each.key, each.what, each.time_ns) for each in ours] == [
            (each.key, each.what, each.time_ns) for each in theirs
        ]
        journal = Journal.open(tmp_path / name)
        end_ns = next(journal.records(journal.last_seq)).time_ns  # market records without an effect are not kept
        assert measure_performance(kept, end_ns=end_ns) == session_performance(tmp_path / name)
        assert len(ours) > 10 or strategy == faulty
        markets = sum(record.kind is Kind.FEED for record in kept)
        assert (
            markets
            < sum(record.kind is Kind.FEED for record in Journal.open(tmp_path / name).records(kinds=[Kind.FEED])) / 2
        )


@pytest.mark.slow
def test_lognormal_latencies_repeat_and_keep_their_median(captures: Captures) -> None:
    model = with_settings(
        VenueModel(), {"latency": "lognormal", "latency_sigma": "0.8", "request_ms": "4", "answer_ms": "6"}
    )
    options = msgspec.structs.replace(resim_options(captures / "spot_ethusdt", "at_the_top.py:AtTheTop"), model=model)
    runs: list[list[Record]] = [[], []]
    for kept in runs:
        resimulate_decisions(captures / "spot_ethusdt", options, kept.extend)
    assert runs[0] == runs[1]
    sent = {record.seq: record.time_ns for record in runs[0] if record.kind is Kind.REQUEST}
    took = sorted(
        record.time_ns - sent[record.cause]
        for record in runs[0]
        if record.kind is Kind.BROKER and record.cause in sent and record.meta
    )
    assert len(took) > 50
    assert 8e6 < took[len(took) // 2] < 15e6  # 4 and 6 ms, each its median
    assert took[0] < 6e6
    assert took[-1] > 30e6


@pytest.mark.slow
def test_a_declared_crossover_fires_at_the_quotes_of_a_full_scan(captures: Captures) -> None:
    """Compare the quotes that fire with those at which a scan of every quote finds the averages crossed."""
    seen: list[list[str]] = []
    for cls in ("Crossing", "LooksAtEachQuote"):
        kept: list[Record] = []
        resimulate_decisions(
            captures / "spot_btcusdt", resim_options(captures / "spot_btcusdt", f"crossing.py:{cls}"), kept.extend
        )
        seen.append([f"{each.origin} {each.what}" for each in read_decisions(kept)])
    assert seen[0] == seen[1]
    assert len(seen[0]) > 50


@pytest.mark.slow
def test_a_price_move_is_measured_from_its_last_trigger(captures: Captures) -> None:
    kept: list[Record] = []
    resimulate_decisions(
        captures / "spot_btcusdt", resim_options(captures / "spot_btcusdt", "crossing.py:Moved"), kept.extend
    )
    bids = [
        Decimal(str(json.loads(record.body or "")["rationale"]["mid"])) for record in kept if record.kind is Kind.INTENT
    ]
    assert len(bids) > 5
    for before, after in pairwise(bids):
        assert abs(after - before) > before * Decimal("0.0002")


@pytest.mark.slow
def test_fills_agree_with_hftbacktests(captures: Captures) -> None:
    """Run the rule, capture and model of shared/bench/README.md, "usdm quoting", and compare with hftbacktest.

    It sends 823 orders and 361 cancels, and ends with 426 fills and position 0 (docs/fidelity.md).
    """
    rule = read_strategy(str(STRATEGIES.parent.parent / "benchmarks" / "strategies" / "hft_rule.py"))
    body = with_strategy(session_from_capture(Journal.open(captures / "usdm_btcusdt_aug")), rule)
    ways = {"request_ns": 5_000_000, "answer_ns": 5_000_000, "feed_ns": 0}
    model = VenueModel(
        **ways,
        clock="venue",
        quotes="ignored",
        queue="power",
        queue_n=2,
        fills="whole",
        fee_maker="0.0002",
        fee_taker="0.0005",
    )
    kept: list[Record] = []
    body = apply_overrides(body, {"risk.orders_per_second_max": "0"})
    resimulate_decisions(
        captures / "usdm_btcusdt_aug", ResimOptions(session=body, model=model, balances=GIVEN), kept.extend
    )
    found = measure_performance(kept)
    for ours, theirs in ((found.placed, 823), (found.canceled, 361), (found.fills, 426)):
        assert abs(ours - theirs) <= theirs * 0.01
    (line,) = found.lines.values()
    assert abs(line.position) <= Decimal("0.02")
    assert abs(found.pnl - Decimal("-73.967867")) < 1


@pytest.mark.slow
def test_funding_is_paid_by_the_holder_at_its_time(shared_data: Path, tmp_path: Path) -> None:
    """Pay funding when the mark stream names a later time: the earlier one has passed, at the last mark and rate."""
    marks: list[dict[str, Any]] = []
    lines = []
    with gzip.open(shared_data / BINANCE / FILES["usdm_btcusdt_2023"][0]) as whole:
        for line in whole:
            if b"markPriceUpdate" in line:
                mark = json.loads(line.split(b" ", 1)[1])
                mark["data"]["r"] = "0.00310000"
                mark["data"]["T"] += 28_800_000 if len(marks) >= 60 else 0  # after a minute of them
                marks.append(mark["data"])
                line = line.split(b" ", 1)[0] + b" " + json.dumps(mark, separators=(",", ":")).encode() + b"\n"  # noqa: PLW2901  # the message with another rate
            lines.append(line)
    (tmp_path / "funded.dat").write_bytes(b"".join(lines))
    verbatim("import", tmp_path / "funded.dat", "--into", tmp_path / "s")
    resimulate(tmp_path / "s", tmp_path / "r", resim_options(tmp_path / "s", "hold.py:Hold"))
    (fill,), balances = fills_and_balances(tmp_path / "r")
    before, after = (marks[at] for at in (59, 60))
    assert before["T"] < after["T"]
    paid = fill.quantity * Decimal(before["p"]) * Decimal(before["r"])
    assert abs(Decimal(GIVEN["USDT"]) - fill.fee - paid - balances["USDT"]) < Decimal("0.00000005")
    assert replay_session(tmp_path / "r").identical


@pytest.mark.slow
def test_fee_tiers_apply_by_volume_and_rebates_are_credited(captures: Captures) -> None:
    fees: dict[str, list[Decimal]] = {}
    for tiers in ("", "100:-0.0001:0.0005,2000:-0.0002:0.0004"):
        options = resim_options(captures / "usdm_btcusdt_jul", "at_the_top.py:AtTheTop", fee_maker="0.0002")
        model = with_settings(options.model, {"fee_tiers": tiers} if tiers else {})
        kept: list[Record] = []
        resimulate_decisions(captures / "usdm_btcusdt_jul", msgspec.structs.replace(options, model=model), kept.extend)
        facts = [read_fact(record.body or "") for record in kept if record.kind is Kind.FACT]
        fees[tiers] = [
            (fact.fee / fact.price / fact.quantity).quantize(Decimal("0.0001"))
            for fact in facts
            if isinstance(fact, OrderFilled)
        ]
    plain, tiered = fees.values()
    assert set(plain) == {Decimal("0.0002")}
    assert tiered[0] == Decimal("0.0002")
    assert tiered == sorted(tiered, reverse=True)
    assert set(tiered[1:]) == {Decimal("-0.0001"), Decimal("-0.0002")}


@pytest.mark.slow
def test_a_capture_of_quotes_alone_is_resimulated(shared_data: Path, tmp_path: Path) -> None:
    with gzip.open(shared_data / BINANCE / "spot_btcusdt_20240808.gz") as whole:
        lines = [line for line in whole if b"@bookTicker" in line or b"@trade" in line]
    (tmp_path / "quotes.dat").write_bytes(b"".join(lines))
    verbatim("import", tmp_path / "quotes.dat", "--into", tmp_path / "s")
    assert not session_from_capture(Journal.open(tmp_path / "s")).engine.books
    found = json.loads(
        verbatim(
            "resim",
            tmp_path / "s",
            "--strategy",
            f"{STRATEGIES / 'crossing.py'}:Crossing",
            "--balance",
            "USDT=100000",
            "--balance",
            "BTC=10",
            "--no-journal",
            "--json",
        )
    )
    assert found["resimulated"]["fills"] > 50
    assert found["recorded"]["intents"] == 0


@pytest.mark.slow
def test_a_strategy_is_regressed_over_captures_of_several_markets(captures: Captures, tmp_path: Path) -> None:
    """Compare two versions in files of different names as one strategy; the exit code reports the changes."""
    other = tmp_path / "next.py"
    other.write_text((STRATEGIES / "at_the_top.py").read_text().replace("SIZE_LOTS = 5", "SIZE_LOTS = 6"))
    same = tmp_path / "same.py"
    same.write_text((STRATEGIES / "at_the_top.py").read_text() + "\n# tidied\n")
    words = (
        "--version",
        STRATEGIES / "at_the_top.py",
        "--balance",
        "USDT=100000",
        "--balance",
        "BTC=10",
        "--workers",
        1,
        "--fresh",
        "--journals",
        captures.folder,
    )
    names = ("cm_btcusd_perp", "usdm_btcusdt_jul")
    verbatim("regress", *(captures / name for name in names), *words, "--version", same)
    output = verbatim("regress", *(captures / name for name in names), *words, "--version", other, code=1)
    assert "next.py decided otherwise" in output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "what"),
    [
        ((), "ran no strategy. What to do: name one with --strategy"),
        (("--strategy", STRATEGIES / "once.py"), "has ETHUSDT, but the strategy declares BTCUSDT"),
        (("--strategy", STRATEGIES / "at_the_top.py"), "states no balances"),
        (
            ("--strategy", STRATEGIES / "at_the_top.py", "--exchange-info", STRATEGIES / "at_the_top.py"),
            "is not the answer to exchangeInfo",
        ),
        (("--strategy", STRATEGIES / "at_the_top.py", "--exchange-info", "nowhere"), "nowhere"),
        (
            ("--strategy", STRATEGIES / "at_the_top.py", "--model", "queue=lucky"),
            "queue=lucky: choose one of pessimistic, levels, power",
        ),
        (("--strategy", STRATEGIES / "at_the_top.py", "--model", "queue_n=1.5"), "give a whole number from 1 to 5"),
        (
            ("--strategy", STRATEGIES / "at_the_top.py", "--model", "latency_sigma=4"),
            "latency_sigma=4: give a number from 0 to 3",
        ),
        (
            ("--strategy", STRATEGIES / "at_the_top.py", "--model", "latency_sigma=1"),
            "latency_sigma=1 is for latency=lognormal, but latency is constant",
        ),
        (
            ("--strategy", STRATEGIES / "at_the_top.py", "--model", "fee_tiers=10:1"),
            "write VOLUME:MAKER:TAKER,... by rising volume",
        ),
        (
            ("--strategy", STRATEGIES / "at_the_top.py", "--model", "latency=measured"),
            "the session contains no orders to estimate latency from",
        ),
        (("--strategy", STRATEGIES / "at_the_top.py", "--model", "ways_ns=1"), "the venue's model has no 'ways_ns'"),
    ],
)
def test_invalid_options_are_one_clear_line(captures: Captures, words: tuple[object, ...], what: str) -> None:
    output = verbatim("resim", captures / "spot_ethusdt", "--no-journal", *words, code=3)
    assert what in output
    assert len(output.splitlines()) == 1


@pytest.mark.slow
def test_the_chosen_model_is_printed(captures: Captures) -> None:
    words = (
        "resim",
        captures / "cm_btcusd_perp",
        "--strategy",
        STRATEGIES / "hold.py",
        "--balance",
        "BTC=10",
        "--no-journal",
    )
    assert "only trades and vanishing size move it forward" in verbatim(*words)
    output = verbatim(
        *words, "--model", "queue=power", "--model", "clock=venue", "--model", "fee_tiers=100:0.0001:0.0002"
    )
    assert "queue=power clock=venue queue_n=2 fee_tiers=100:0.0001:0.0002 (docs/fidelity.md)" in output
    assert "vanishing size" not in output


def test_a_capture_without_a_market_is_refused(shared_data: Path, tmp_path: Path) -> None:
    verbatim("import", shared_data / "captures" / "cryptofeed" / "OKX.ws.1.0", "--into", tmp_path / "k")
    assert "no market stream that an installed venue reads" in verbatim(
        "resim", tmp_path / "k", "--strategy", STRATEGIES / "at_the_top.py", code=3
    )


@pytest.mark.slow
def test_a_condition_must_name_a_declared_indicator(captures: Captures, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        (STRATEGIES / "crossing.py").read_text().replace('CrossOver("fast", "slow")', 'CrossOver("fast", "slower")')
    )
    assert "names the average 'slower'" in verbatim(
        "resim", captures / "spot_btcusdt", "--strategy", f"{wrong}:Crossing", code=3
    )


# ---- two captures as one session -----------------------------------------------------------------------

JOINS = """
from dataclasses import dataclass
from decimal import Decimal

from verbatim import Cancel, OnQuote, OrderType, Place, Side


class Joins:
    version = "1"
    instruments = ("NAME",)
    cadence = OnQuote()

    @dataclass
    class Parameters:
        begin_ns: int = 0
        size: Decimal = Decimal("0.001")

    @dataclass
    class State:
        second: int = -1

    @staticmethod
    def decide(view, state, parameters):
        quote, second = view.quote("NAME"), (view.time_ns - parameters.begin_ns) // 1_000_000_000
        if second <= state.second:
            return
        state.second = second
        wanted = {Side.BUY: quote.bid, Side.SELL: quote.ask}
        for order in view.orders("NAME"):
            if wanted.pop(order.order.side, None) != order.order.price:
                yield Cancel(order.client_order_id)
        for side, price in wanted.items():
            yield Place("NAME", side, parameters.size, price=price, type=OrderType.LIMIT_MAKER)
"""
SPOT = ("spot_btcusdt", "spot_ethusdt")


def joins(symbol: str, begin_ns: int) -> StrategySettings:
    """Return a strategy that joins the best bid and ask of one instrument, at the first quote of each second."""
    size = "0.001" if symbol == "BTCUSDT" else "0.01"
    source = {"joins": JOINS.replace("NAME", symbol)}
    return from_sources(source, "joins", "Joins", name=symbol.lower(), parameters={"begin_ns": begin_ns, "size": size})


def fills_of(folder: Path, symbol: str, end_ns: int, *strategies: StrategySettings) -> list[tuple[Any, ...]]:
    """Return the fills of one instrument in a backtest up to a time, with the times of their records."""
    session = msgspec.structs.replace(session_from_capture(Journal.open(folder)), strategies=strategies)
    records: list[Record] = []
    last = next(each.seq for each in Journal.open(folder).records(kinds=[Kind.FEED]) if each.time_ns > end_ns)
    options = ResimOptions(session=session, model=VenueModel(), balances=GIVEN, until_seq=last)
    resimulate_decisions(folder, options, records.extend)
    facts = ((each.time_ns, read_fact(each.body or "")) for each in records if each.kind is Kind.FACT)
    return [
        (time_ns, fact.side, fact.price, fact.quantity, fact.maker)
        for time_ns, fact in facts
        if isinstance(fact, OrderFilled) and fact.instrument.endswith(symbol) and time_ns < end_ns
    ]


@pytest.fixture(scope="module")
def together(captures: Captures) -> Path:
    """Return one session of the two spot captures."""
    into = captures.folder / "spot_together"
    with (captures.folder / "spot_together.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not into.exists():
            verbatim("import", *(captures.binance / FILES[name][0] for name in SPOT), "--into", into)
    return into


@pytest.mark.slow
def test_two_captures_as_one_session_fill_as_each_does_alone(captures: Captures, together: Path) -> None:
    """The markets are apart, and no limit that the strategies share is reached: the same fills at the same times."""
    begin_ns = max(next(Journal.open(captures / name).records()).time_ns for name in SPOT) + 10_000_000_000
    end_ns = begin_ns + 30_000_000_000
    for name in SPOT:
        symbol = name.removeprefix("spot_").upper()
        alone = fills_of(captures / name, symbol, end_ns, joins(symbol, begin_ns))
        assert len(alone) > 5
        assert fills_of(together, symbol, end_ns, *(joins(one, begin_ns) for one in ("BTCUSDT", "ETHUSDT"))) == alone


@pytest.mark.slow
def test_the_pairs_example_trades_two_captures_and_both_books_are_the_known_ones(
    together: Path, tmp_path: Path, shared_data: Path
) -> None:
    known = json.loads((shared_data / "known" / "binance_books_and_trades.json").read_text())["captures"]
    pairs = read_strategy(str(STRATEGIES.parents[1] / "examples" / "pairs.py"), parameters={"length": 20, "enter": 1.0})
    session = msgspec.structs.replace(session_from_capture(Journal.open(together)), strategies=(pairs,))
    resimulate(together, tmp_path / "r", ResimOptions(session=session, model=VenueModel(), balances=GIVEN))
    fills, _ = fills_and_balances(tmp_path / "r")
    assert {fill.instrument for fill in fills} == {"binance_spot:BTCUSDT", "binance_spot:ETHUSDT"}
    assert replay_session(tmp_path / "r").identical
    _, state, _ = rebuild(tmp_path / "r")
    for place, name in enumerate(SPOT):
        last = known[name]["depth"]["checkpoints"][-1]
        assert state.market.book_id(place) == last["u"]
        assert hashlib.sha256(state.market.book_text(place).encode()).hexdigest() == last["full_sha256"]
