"""Captures as sessions with a strategy: books and totals are the known ones, money adds up, and the results replay."""

import gzip
import hashlib
import json
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from engine.facts import BalanceChanged, OrderFilled
from engine.record_codec import read_fact
from journal.reader import Journal
from journal.record import Kind, Record
from journal.verify import verify
from replay.overrides import changed, with_strategy
from replay.rebuild import rebuild
from replay.replay import replay_session
from replay.resim.capture_session import session_of
from replay.resim.resimulate import ResimOptions, decide_again, resimulate
from replay.resim.venue_model import VenueModel, with_settings
from replay.study.decisions import decisions, decisions_of
from replay.study.performance import tally, tally_of
from verbatim.cli import main
from verbatim.strategy_files import read_strategy

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


@pytest.fixture(scope="module")
def captures(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("captures")
    for name, files in FILES.items():
        verbatim("import", *(shared_data / BINANCE / file for file in files), "--into", folder / name)
    return folder


def wanted(folder: Path, strategy: str, **model: Any) -> ResimOptions:
    session = with_strategy(session_of(Journal.open(folder)), read_strategy(str(STRATEGIES / strategy)))
    return ResimOptions(session=session, model=VenueModel(**model), balances=GIVEN)


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_capture_comes_to_the_known_book_and_money_adds_up(
    captures: Path, tmp_path: Path, shared_data: Path, name: str
) -> None:
    expected = json.loads((shared_data / "known" / "binance_books_and_trades.json").read_text())["captures"][name]
    outcome = resimulate(
        captures / name, tmp_path / "r", wanted(captures / name, "at_the_top.py:AtTheTop", fee_maker="0.0002")
    )
    assert outcome.exactness == "modelled from the beginning"
    assert verify(tmp_path / "r").ok
    assert replay_session(tmp_path / "r").identical

    _, state, _ = rebuild(tmp_path / "r")
    known = expected["depth"]["checkpoints"][-1]
    assert state.market.book_id(0) == known["u"]
    assert hashlib.sha256(state.market.book_text(0).encode()).hexdigest() == known["full_sha256"]
    trades = expected.get("trades") or expected["trades_all"]
    assert state.market.counters(0).trades == trades["count"]

    fills, balances = told(tmp_path / "r")
    assert len(fills) > 10
    instrument = state.market.instruments[0]
    settled = instrument.margin or instrument.quote
    earned = (
        by_hand(fills, inverse=instrument.inverse, size=instrument.contract_size)
        if instrument.contract
        else spot(fills)
    )
    earned -= funding(captures / name, fills)  # midnight of 2023-04-05 is one: the only one that these captures saw
    change = Fraction(balances[settled]) - Fraction(GIVEN[settled])
    assert abs(change - earned) < Fraction(2, 10**8) * len(fills)


def told(folder: Path) -> tuple[list[OrderFilled], dict[str, Decimal]]:
    """Return the fills of a session, and the last balances that the venue reported."""
    fills, balances = [], {}
    for record in Journal.open(folder).records(kinds=[Kind.FACT]):
        fact = read_fact(record.body or "")
        if isinstance(fact, OrderFilled):
            fills.append(fact)
        elif isinstance(fact, BalanceChanged):
            balances[fact.asset] = fact.free + fact.locked
    return fills, balances


def spot(fills: list[OrderFilled]) -> Fraction:
    """The change of quote: a sale brings it less its fee, a buy takes it."""
    return sum(
        (
            Fraction(-fill.quantity * fill.price)
            if fill.side.sign > 0
            else Fraction(fill.quantity * fill.price - fill.fee)
            for fill in fills
        ),
        Fraction(0),
    )


def by_hand(fills: list[OrderFilled], *, inverse: bool, size: Decimal) -> Fraction:
    """Realised P&L less fees, lot by lot at average worth."""
    quantity = cost = earned = Fraction(0)
    for fill in fills:
        signed, price = Fraction(fill.quantity) * fill.side.sign, Fraction(fill.price)
        each = -Fraction(size) / price if inverse else Fraction(size) * price  # value of one contract, as in P&L
        if quantity and (quantity > 0) != (signed > 0):
            closed = -signed if abs(signed) <= abs(quantity) else quantity
            earned += closed * each - cost * closed / quantity
            cost -= cost * closed / quantity
            quantity, signed = quantity - closed, signed + closed
        quantity += signed
        cost += signed * each
        earned -= Fraction(fill.fee)
    return earned


def funding(folder: Path, fills: list[OrderFilled]) -> Fraction:
    """Return the funding that a linear contract's holder paid, at the marks of the stream."""
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


def test_what_is_not_written_is_decided_the_same(captures: Path, tmp_path: Path) -> None:
    """Without a journal only records with effects are returned; decisions and end are the same."""
    rule = STRATEGIES.parent.parent / "benchmarks" / "strategies" / "hft_rule.py"  # decides by the clock
    faulty = "faulty.py:Faulty"
    for name, strategy in (
        ("spot_ethusdt", "at_the_top.py:AtTheTop"),
        ("cm_btcusd_perp", "crossing.py:Crossing"),
        ("usdm_btcusdt_aug", f"{rule}:Rule"),
        ("spot_btcusdt", faulty),
    ):
        asked = wanted(captures / name, strategy, latency="measured", ways_ns=(3_000_000, 700_000, 12_000_000))
        kept: list[Record] = []
        decide_again(captures / name, asked, kept.extend)
        resimulate(captures / name, tmp_path / name, asked)
        ours, theirs = decisions(kept), decisions_of(tmp_path / name)
        assert [(each.place, each.what, each.time_ns) for each in ours] == [
            (each.place, each.what, each.time_ns) for each in theirs
        ]
        assert tally(kept) == tally_of(tmp_path / name)
        assert len(ours) > 10 or strategy == faulty
        markets = sum(record.kind is Kind.FEED for record in kept)
        assert (
            markets
            < sum(record.kind is Kind.FEED for record in Journal.open(tmp_path / name).records(kinds=[Kind.FEED])) / 2
        )


def test_ways_are_drawn_about_their_median_and_are_the_same_each_time(captures: Path) -> None:
    model = with_settings(
        VenueModel(), {"latency": "lognormal", "latency_sigma": "0.8", "request_ms": "4", "answer_ms": "6"}
    )
    asked = msgspec.structs.replace(wanted(captures / "spot_ethusdt", "at_the_top.py:AtTheTop"), model=model)
    runs: list[list[Record]] = [[], []]
    for kept in runs:
        decide_again(captures / "spot_ethusdt", asked, kept.extend)
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


def test_a_declared_cross_is_seen_where_each_quote_would_show_it(captures: Path) -> None:
    """The fold triggers the strategy at the quotes at which a strategy that checks every quote finds the averages crossed."""
    seen: list[list[str]] = []
    for cls in ("Crossing", "LooksAtEachQuote"):
        kept: list[Record] = []
        decide_again(captures / "spot_btcusdt", wanted(captures / "spot_btcusdt", f"crossing.py:{cls}"), kept.extend)
        seen.append([f"{each.origin} {each.what}" for each in decisions(kept)])
    assert seen[0] == seen[1]
    assert len(seen[0]) > 50


def test_a_move_is_measured_from_where_it_was_met_last(captures: Path) -> None:
    kept: list[Record] = []
    decide_again(captures / "spot_btcusdt", wanted(captures / "spot_btcusdt", "crossing.py:Moved"), kept.extend)
    bids = [
        Decimal(str(json.loads(record.body or "")["because"]["mid"])) for record in kept if record.kind is Kind.INTENT
    ]
    assert len(bids) > 5
    for before, after in pairwise(bids):
        assert abs(after - before) > before * Decimal("0.0002")


def test_fills_agree_with_hftbacktests(captures: Path) -> None:
    """The rule, the capture and the model of shared/bench/README.md, "usdm quoting": 823 sent, 361 cancels, 426 fills, end position 0 (docs/fidelity.md)."""
    rule = read_strategy(str(STRATEGIES.parent.parent / "benchmarks" / "strategies" / "hft_rule.py"))
    body = with_strategy(session_of(Journal.open(captures / "usdm_btcusdt_aug")), rule)
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
    body = changed(body, {"risk.orders_per_second_max": "0"})
    decide_again(captures / "usdm_btcusdt_aug", ResimOptions(session=body, model=model, balances=GIVEN), kept.extend)
    found = tally(kept)
    for ours, theirs in ((found.placed, 823), (found.canceled, 361), (found.fills, 426)):
        assert abs(ours - theirs) <= theirs * 0.01
    (line,) = found.lines.values()
    assert abs(line.position) <= Decimal("0.02")
    assert abs(found.pnl - Decimal("-73.967867")) < 1


def test_funding_is_paid_by_who_holds_when_it_comes(shared_data: Path, tmp_path: Path) -> None:
    """The mark stream names the next funding. Once it names a later one, the first is paid at the last mark and rate."""
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
    resimulate(tmp_path / "s", tmp_path / "r", wanted(tmp_path / "s", "hold.py:Hold"))
    (fill,), balances = told(tmp_path / "r")
    before, after = (marks[at] for at in (59, 60))
    assert before["T"] < after["T"]
    paid = fill.quantity * Decimal(before["p"]) * Decimal(before["r"])
    assert abs(Decimal(GIVEN["USDT"]) - fill.fee - paid - balances["USDT"]) < Decimal("0.00000005")
    assert replay_session(tmp_path / "r").identical


def test_fees_fall_with_what_was_traded_and_a_rebate_is_money(captures: Path) -> None:
    fees: dict[str, list[Decimal]] = {}
    for tiers in ("", "100:-0.0001:0.0005,2000:-0.0002:0.0004"):
        asked = wanted(captures / "usdm_btcusdt_jul", "at_the_top.py:AtTheTop", fee_maker="0.0002")
        model = with_settings(asked.model, {"fee_tiers": tiers} if tiers else {})
        kept: list[Record] = []
        decide_again(captures / "usdm_btcusdt_jul", msgspec.structs.replace(asked, model=model), kept.extend)
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


def test_quotes_alone_are_a_market_too(shared_data: Path, tmp_path: Path) -> None:
    with gzip.open(shared_data / BINANCE / "spot_btcusdt_20240808.gz") as whole:
        lines = [line for line in whole if b"@bookTicker" in line or b"@trade" in line]
    (tmp_path / "quotes.dat").write_bytes(b"".join(lines))
    verbatim("import", tmp_path / "quotes.dat", "--into", tmp_path / "s")
    assert not session_of(Journal.open(tmp_path / "s")).engine.books
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


def test_a_strategy_is_regressed_over_captures_of_several_markets(captures: Path, tmp_path: Path) -> None:
    """Two versions in files of other names are one strategy. The report and the exit code show the change."""
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
        captures,
    )
    names = ("cm_btcusd_perp", "usdm_btcusdt_jul")
    verbatim("regress", *(captures / name for name in names), *words, "--version", same)
    told = verbatim("regress", *(captures / name for name in names), *words, "--version", other, code=1)
    assert "next.py decided otherwise" in told


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ((), "ran no strategy. What to do: name one with --strategy"),
        (("--strategy", STRATEGIES / "once.py"), "has ETHUSDT, and the strategy asks for BTCUSDT"),
        (("--strategy", STRATEGIES / "at_the_top.py"), "says nothing of balances"),
        (
            ("--strategy", STRATEGIES / "at_the_top.py", "--exchange-info", STRATEGIES / "at_the_top.py"),
            "is not the answer to exchangeInfo",
        ),
        (("--strategy", STRATEGIES / "at_the_top.py", "--exchange-info", "nowhere"), "nowhere"),
        (
            ("--strategy", STRATEGIES / "at_the_top.py", "--model", "queue=lucky"),
            "queue=lucky: one of pessimistic, power",
        ),
        (("--strategy", STRATEGIES / "at_the_top.py", "--model", "queue_n=1.5"), "a whole number from 1 to 5"),
        (
            ("--strategy", STRATEGIES / "at_the_top.py", "--model", "latency_sigma=4"),
            "latency_sigma=4: a number from 0 to 3",
        ),
        (
            ("--strategy", STRATEGIES / "at_the_top.py", "--model", "latency_sigma=1"),
            "latency_sigma=1: of latency=lognormal, and latency is constant",
        ),
        (
            ("--strategy", STRATEGIES / "at_the_top.py", "--model", "fee_tiers=10:1"),
            "TRADED:MAKER:TAKER,... by rising amounts",
        ),
        (
            ("--strategy", STRATEGIES / "at_the_top.py", "--model", "latency=measured"),
            "the session has no exchange to measure",
        ),
        (("--strategy", STRATEGIES / "at_the_top.py", "--model", "ways_ns=1"), "the venue's model has no 'ways_ns'"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(captures: Path, words: tuple[object, ...], what: str) -> None:
    told = verbatim("resim", captures / "spot_ethusdt", "--no-journal", *words, code=3)
    assert what in told
    assert len(told.splitlines()) == 1


def test_the_model_that_was_chosen_is_said(captures: Path) -> None:
    words = (
        "resim",
        captures / "cm_btcusd_perp",
        "--strategy",
        STRATEGIES / "hold.py",
        "--balance",
        "BTC=10",
        "--no-journal",
    )
    assert "only trades and vanishing size move it on" in verbatim(*words)
    told = verbatim(
        *words, "--model", "queue=power", "--model", "clock=venue", "--model", "fee_tiers=100:0.0001:0.0002"
    )
    assert "queue=power clock=venue queue_n=2 fee_tiers=100:0.0001:0.0002 (docs/fidelity.md)" in told
    assert "vanishing size" not in told


def test_what_is_no_market_is_not_resimulated(shared_data: Path, tmp_path: Path) -> None:
    kraken = shared_data / "captures" / "kraken-v2" / "doge_usdt_book10.jsonl"
    verbatim("import", kraken, "--format", "ndjson", "--time-unit", "none", "--into", tmp_path / "k")
    assert "no market stream of Binance's spelling" in verbatim(
        "resim", tmp_path / "k", "--strategy", STRATEGIES / "at_the_top.py", code=3
    )


def test_a_condition_must_name_what_is_declared(captures: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        (STRATEGIES / "crossing.py").read_text().replace('CrossOver("fast", "slow")', 'CrossOver("fast", "slower")')
    )
    assert "names the average 'slower'" in verbatim(
        "resim", captures / "spot_btcusdt", "--strategy", f"{wrong}:Crossing", code=3
    )
