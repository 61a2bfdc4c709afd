"""Orders in the fold: a strategy, its orders and the venue in one loop, equal to the ordinary way event by event."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from fold_market import session_of

from engine.facts import BalanceChanged, BreakerTripped
from engine.record_codec import read_fact
from engine.session_record import RuleSettings
from engine.sim.fold_orders import fold_layout as at
from engine.sim.venue_model import VenueModel, with_settings
from engine.strategy.api import View
from engine.strategy.rule_loading import load_rules
from engine.strategy.source_guard import StrategyError
from journal.reader import Journal
from journal.record import Kind
from journal.verify import verify
from replay.fold_orders import run as fold_run
from replay.fold_orders.agree import FoldDiffersError, check_against_journal, check_against_steps, refuse_difference
from replay.fold_orders.events import EventCollector
from replay.fold_orders.fold_view import OFFERED, REFUSED
from replay.fold_orders.foldable import CannotFoldError
from replay.fold_orders.run import FoldedRun, run_folded
from replay.overrides import apply_overrides, with_strategy
from replay.replay import replay_session
from replay.resim.capture_session import session_from_capture
from replay.resim.resimulate import ResimOptions, resimulate, resimulate_steps
from replay.study.performance import PerformanceCounter
from verbatim.cli import main
from verbatim.strategy_files import read_strategy

RULES = Path(__file__).resolve().parent / "strategies" / "fold_rules.py"
FEES = {"fee_maker": "0.0002", "fee_taker": "0.0005"}
AT_TIMERS = {"request_ms": "50", "answer_ms": "50", "feed_ms": "0"}  # answers arrive when the next timer is due
MODELS: list[dict[str, str]] = [
    {},
    {**AT_TIMERS, "queue": "power", "fills": "whole"},
    {"request_ms": "5", "answer_ms": "5", "feed_ms": "0", "clock": "venue", "quotes": "ignored", "queue": "log"},
    {"request_ms": "0", "answer_ms": "100", "feed_ms": "20", "queue": "power3"},
    {"request_ms": "130", "answer_ms": "70", "feed_ms": "0", "queue": "log2"},
]
LIMITS = {
    "risk.order_size_max": "0.05", "risk.position_max": "0.08", "risk.open_orders_max": "3",
    "risk.orders_per_second_max": "6", "risk.order_notional_max": "3000",
}  # fmt: skip
BAD_INPUT = 3


def options_of(session: Path, rule: str, model: dict[str, str], settings: dict[str, str] | None = None) -> ResimOptions:
    body = with_strategy(session_from_capture(Journal.open(session)), read_strategy(f"{RULES}:{rule}"))
    return ResimOptions(
        session=apply_overrides(body, settings or {}),
        model=with_settings(VenueModel(), FEES | model),
        balances={"USDT": "10000000"},
    )


def folded(session: Path, options: ResimOptions) -> FoldedRun:
    return run_folded(Journal.open(session), options)


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return session_of(tmp_path_factory.mktemp("fold"), 1, events=350)


# ---- equal to the ordinary way -------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 4])
def test_each_event_is_that_of_the_ordinary_way(seed: int, tmp_path: Path) -> None:
    """Random markets, queue models and latencies: each event has the same time, price, quantity and stamp."""
    session, found = session_of(tmp_path, seed, events=350), np.zeros(10, np.int64)
    for rule in ("Quoter", "Anything"):
        for model in MODELS:
            options = options_of(session, rule, model)
            run, reason = folded_or_reason(session, options)
            if run is None:
                assert "breaker" in reason
                assert paused(session, options)
                continue
            check_against_steps(run, Journal.open(session), options)
            found += np.bincount(run.events[:, at.X_KIND], minlength=10)
            found[0] += np.count_nonzero(run.events[run.events[:, at.X_KIND] == at.FILLED, at.X_CODE] == 0)
    assert all(found[kind] for kind in range(at.CANCELED + 1)), found  # each kind occurred; the first: fills as taker


def folded_or_reason(session: Path, options: ResimOptions) -> tuple[FoldedRun | None, str]:
    try:
        return folded(session, options), ""
    except CannotFoldError as refusal:
        return None, str(refusal)


def paused(session: Path, options: ResimOptions) -> bool:
    facts: list[Any] = []
    resimulate_steps(session, options, lambda _, outputs: facts.extend(output.body for output in outputs))
    return any(isinstance(fact, BreakerTripped) for fact in facts)


def test_risks_limits_refuse_the_same_orders_for_the_same_rules(market: Path) -> None:
    options = options_of(market, "Anything", MODELS[1], LIMITS)
    run = folded(market, options)
    check_against_steps(run, Journal.open(market), options)
    refused = run.events[run.events[:, at.X_KIND] == at.REFUSED, at.X_CODE]
    of_rules = np.bitwise_or.reduce(refused)
    for name in ("lot", "order_size", "position", "open_orders", "rate"):
        assert of_rules & at.RULE_BITS[name], name


def test_an_old_quote_refuses_the_same_orders(market: Path) -> None:
    """The rule is added to those of a capture's session."""
    options = options_of(market, "Anything", MODELS[1], {"engine.quote_age_max_ns": "30000000"})
    rules = tuple(map(RuleSettings, [*load_rules(()), "quote_age"]))
    options = msgspec.structs.replace(options, session=msgspec.structs.replace(options.session, rules=rules))
    run = folded(market, options)
    check_against_steps(run, Journal.open(market), options)
    refused = run.events[run.events[:, at.X_KIND] == at.REFUSED, at.X_CODE]
    of_age = np.count_nonzero(refused & at.RULE_BITS["quote_age"])
    assert 10 < of_age < len(refused), "others were refused for another rule alone"
    assert run.count(at.PLACED) > 10


def test_a_python_strategy_has_the_events_of_the_ordinary_way(market: Path, tmp_path: Path) -> None:
    """It decides by all that its view offers. The records of a journal have other numbers than those of a resimulation."""
    options = options_of(market, "PythonAnything", MODELS[1])
    run = folded(market, options)
    check_against_steps(run, Journal.open(market), options)
    counts = [run.count(kind) for kind in range(at.PLACED, at.CANCELED + 1)]
    assert all(counts), counts
    options = options_of(market, "PythonAnything", {})
    resimulate(market, tmp_path / "resim", options)
    check_against_journal(folded(market, options), Journal.open(tmp_path / "resim"))


@pytest.mark.parametrize("rule", ["Quoter", "Python"])
def test_money_is_that_of_the_ordinary_way(rule: str, market: Path) -> None:
    options, counter = options_of(market, rule, {}), PerformanceCounter()
    run, balances = folded(market, options), [Decimal(0)]
    check_against_steps(run, Journal.open(market), options)

    def add(inputs: Any, outputs: Any) -> None:
        for entry in (*inputs, *outputs):
            counter.add(entry)
        bodies = [output.body for output in outputs]
        balances.extend(body.free + body.locked for body in bodies if isinstance(body, BalanceChanged))

    resimulate_steps(market, options, add)
    (line,) = counter.performance.lines.values()
    assert run.position == line.position
    assert run.pnl == line.pnl
    assert sum(run.fees) == line.fees_quote * 10**8 > 0
    assert run.cash == balances[-1] - 10_000_000


# ---- never a second truth ------------------------------------------------------------------------------


def test_the_journal_is_the_ordinary_ways_and_agrees(market: Path, tmp_path: Path) -> None:
    words = ["backtest", str(market), "--strategy", f"{RULES}:Quoter", "--balance", "USDT=1000000", "--orders-in-fold"]
    ended = CliRunner().invoke(main, [*words, "--json", "--into", str(tmp_path / "resim")])
    assert ended.exit_code == 0, ended.output
    figures = json.loads(ended.stdout)
    assert figures["filled"] > 10
    journal = Journal.open(tmp_path / "resim")
    assert verify(journal.folder).records == journal.last_seq + 1
    assert replay_session(journal.folder).identical
    filled = [read_fact(each.body or "") for each in journal.records(kinds=(Kind.FACT,))]
    assert figures["filled"] == sum(type(fact).__name__ == "OrderFilled" for fact in filled)
    ended = CliRunner().invoke(main, [*words, "--no-journal"])
    assert ended.exit_code == 0, ended.output
    assert f"{figures['filled']} filled" in ended.stdout
    assert str(Decimal(figures["position"]).normalize()) in ended.stdout


def test_a_difference_is_refused_with_the_first_event(market: Path) -> None:
    options = options_of(market, "Quoter", {})
    run, ordinary = folded(market, options), EventCollector(folded(market, options).instrument)
    resimulate_steps(market, options, ordinary.add)
    refuse_difference(run, ordinary)
    run.events[7, at.X_PRICE] += 1
    with pytest.raises(FoldDiffersError, match="event 8: in the fold "):
        refuse_difference(run, ordinary)
    run.events[7, at.X_PRICE] -= 1
    ordinary._found.pop()
    with pytest.raises(FoldDiffersError, match="the ordinary way nothing"):
        refuse_difference(run, ordinary)
    with pytest.raises(FoldDiffersError, match="the ordinary way nothing"):
        check_against_journal(run, Journal.open(market))


def test_two_runs_are_equal(market: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one has room for no event at first: the table grows."""
    options = options_of(market, "Anything", MODELS[2])
    first = folded(market, options)
    monkeypatch.setattr(fold_run, "FIRST_EVENTS", at.EVENTS_OF_A_STEP)
    second = folded(market, options)
    assert np.array_equal(first.events, second.events)
    assert (first.pnl, first.fees) == (second.pnl, second.fees)


# ---- what it refuses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "model", "settings", "reason"),
    [
        ("Timed", {}, {}, "its cadence is neither Every nor OnQuote"),
        ("Quoter", {"latency": "lognormal"}, {}, "latency=lognormal is not constant"),
        ("Quoter", {"venue_ms": "1"}, {}, "venue_ms is not 0"),
        ("Quoter", {"request_ms": "900", "answer_ms": "100"}, {}, "take a second or longer"),
        ("Quoter", {"fee_tiers": "1000:0.0001:0.0002"}, {}, "fee tiers"),
        ("Quoter", {}, {"risk.daily_loss_max": "10"}, "limits of losses"),
        ("Quoter", {}, {"risk.placements_per_minute_max": "9"}, "budgets of orders"),
        ("Wrong", {}, {}, "`decide_fold` raised"),
        ("Wrong", {}, {"strategy.fold_rules.kind": "1"}, "made an intent that is none"),
        ("Wrong", {}, {"strategy.fold_rules.kind": "2"}, "made an intent that is none"),
        ("Wrong", {}, {"strategy.fold_rules.kind": "3"}, "`decide_fold` raised"),
    ],
)
def test_what_the_fold_cannot_do_is_one_line(
    rule: str, model: dict[str, str], settings: dict[str, str], reason: str, market: Path
) -> None:
    with pytest.raises(CannotFoldError) as refusal:
        folded(market, options_of(market, rule, model, settings))
    assert reason in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("raises", "strategy fold_rules raised ValueError: two lines."),
        ("between", "the price 59999.9999 is between two units of BTCUSDT"),
        ("small", "the quantity 0.000001 is between two units of BTCUSDT"),
        ("ioc", "an order of type LIMIT IOC is not possible"),
        ("term", "an order with `reduce_only` is not possible"),
        ("stranger", "OTHER is not its instrument"),
        ("amend", "Amend is no intent of the fold"),
        ("caught", "`view.balance` is not known"),
        ("field", "`request_seq` of an order is not known"),
        ("seq", "`seq` of a book is not known"),
        ("text", "the text of a book is not known"),
        ("id", "the content of `client_order_id` of an order is not known"),
        ("stored", "a State that holds the id of an order is not possible"),
        ("printed", "a State that holds the id of an order is not possible"),
        ("ended", "a cancel of an order that is not live is not possible"),
    ],
)
def test_what_a_python_strategy_cannot_use_is_one_line(kind: str, reason: str, market: Path) -> None:
    with pytest.raises(CannotFoldError) as refusal:
        folded(market, options_of(market, "PythonWrong", {}, {"strategy.fold_rules.kind": kind}))
    assert reason in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_the_fold_offers_or_refuses_each_part_of_a_view() -> None:
    parts = {name for name in dir(View) if not name.startswith("_")}
    assert parts == OFFERED | set(REFUSED)


def test_an_account_that_may_lack_money_runs_the_ordinary_way(market: Path) -> None:
    options = options_of(market, "Quoter", {})
    assert folded(market, options).count(at.FILLED)
    poor = msgspec.structs.replace(options, balances={"USDT": "50"})
    with pytest.raises(CannotFoldError, match="a larger balance"):
        folded(market, poor)


def test_places_behind_the_last_order_are_empty_in_both_ways(market: Path) -> None:
    options = options_of(market, "Behind", {})
    run = folded(market, options)
    assert run.count(at.FILLED) > 1
    check_against_steps(run, Journal.open(market), options)


def test_data_that_may_block_the_instrument_runs_the_ordinary_way(tmp_path: Path) -> None:
    late = session_of(tmp_path, 2, events=200, late_from=100)
    with pytest.raises(CannotFoldError, match="lags behind"):
        folded(late, options_of(late, "Quoter", {}))


def test_a_command_from_outside_runs_the_ordinary_way(market: Path, tmp_path: Path) -> None:
    """A journal of a backtest has a COMMAND at its end: the market is not all that it has."""
    options = options_of(market, "Quoter", {})
    resimulate(market, tmp_path / "resim", options)
    again = ResimOptions(session=options.session, model=options.model, modelled=True, balances=options.balances)
    with pytest.raises(CannotFoldError, match="comes from outside the market"):
        folded(tmp_path / "resim", again)


def test_the_command_refuses_in_one_line(market: Path) -> None:
    words = ["backtest", str(market), "--strategy", f"{RULES}:Timed", "--balance", "USDT=1000", "--orders-in-fold"]
    ended = CliRunner().invoke(main, [*words, "--no-journal"])
    assert ended.exit_code == BAD_INPUT
    assert ended.stderr.count("\n") == 1
    assert "leave out --orders-in-fold" in ended.stderr
    ended = CliRunner().invoke(main, [*words, "--html", "page.html"])
    assert "makes no tear sheet" in ended.stderr


@pytest.mark.parametrize(
    ("rule", "reason"),
    [("Both", "declares `decide` and `decide_fold`"), ("Endless", "`while` cannot be used")],
)
def test_a_strategy_that_cannot_be_compiled_is_refused_when_it_is_loaded(rule: str, reason: str, market: Path) -> None:
    with pytest.raises(StrategyError, match=reason):
        options_of(market, rule, {})
