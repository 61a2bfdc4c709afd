"""Orders in the fold of strategies that follow quotes: throttles, conditions, predicates, ties of time, market orders."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from fold_market import session_of
from test_fold_orders import FEES, RULES, folded, options_of

from engine.sim.fold_orders import fold_layout as at
from engine.sim.venue_model import VenueModel, with_settings
from journal.reader import Journal
from replay.fold_orders.agree import check_against_steps
from replay.fold_orders.foldable import CannotFoldError
from replay.fold_orders.run import FoldedRun
from replay.overrides import with_strategy
from replay.resim.capture_session import session_from_capture
from replay.resim.resimulate import ResimOptions
from verbatim.strategy_files import read_strategy

STRATEGIES = Path(__file__).resolve().parent.parent / "benchmarks" / "strategies"
BALANCES = {"USDT": "10000000", "BTC": "1000"}
# messages of the markets come every 20 ms, so with these their times are those of answers, requests or both
TIES = [
    {"request_ms": "20", "answer_ms": "20", "feed_ms": "20"},
    {"request_ms": "40", "answer_ms": "20", "feed_ms": "0"},
    {"request_ms": "20", "answer_ms": "40", "feed_ms": "20"},
    {"request_ms": "0", "answer_ms": "20", "feed_ms": "0"},
    {"request_ms": "20", "answer_ms": "0", "feed_ms": "0"},
    {"request_ms": "0", "answer_ms": "0", "feed_ms": "0"},
]
# the venue counts fewer lines of the market than the engine, and answers at the times of messages
UNCOUNTED = {"request_ms": "100", "answer_ms": "0", "feed_ms": "130", "quotes": "ignored"}


def options(session: Path, strategy: str, model: dict[str, str]) -> ResimOptions:
    body = with_strategy(session_from_capture(Journal.open(session)), read_strategy(strategy))
    return ResimOptions(session=body, model=with_settings(VenueModel(), FEES | model), balances=BALANCES)


def equal_run(session: Path, strategy: str, model: dict[str, str]) -> FoldedRun:
    """Run both ways, and compare each event."""
    given = options(session, strategy, model)
    run = folded(session, given)
    check_against_steps(run, Journal.open(session), given)
    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fold_triggers")


@pytest.fixture(scope="module")
def spot(folder: Path) -> Path:
    return session_of(folder, 1, events=300, is_spot=True)


@pytest.fixture(scope="module")
def quotes(folder: Path) -> Path:
    return session_of(folder, 2, events=500, is_spot=True, has_books=False)


@pytest.mark.parametrize(
    ("rule", "model"),
    [
        *(("Follower", model) for model in ({}, *TIES)),
        *(("FollowsAnything", model) for model in ({}, TIES[0], TIES[3], TIES[5], UNCOUNTED)),
    ],
)
def test_each_decision_has_the_time_of_its_quote_or_of_the_end_of_its_throttle(
    rule: str, model: dict[str, str], spot: Path
) -> None:
    run = equal_run(spot, f"{RULES}:{rule}", model)
    assert run.count(at.FILLED) > 5
    assert run.count(at.CANCELED) > 5


@pytest.mark.parametrize("model", [TIES[0], TIES[4]])
def test_a_predicate_sees_the_own_orders_and_the_position(model: dict[str, str], spot: Path) -> None:
    run = equal_run(spot, f"{STRATEGIES / 'touch.py'}:CompiledTouch", model)
    assert run.count(at.FILLED) > 5
    assert run.count(at.CANCEL_SENT) > 5


def test_averages_that_cross_lead_to_market_orders_on_quotes_alone(quotes: Path) -> None:
    run = equal_run(quotes, f"{STRATEGIES / 'ema_cross.py'}:EmaCross", {})
    assert run.count(at.FILLED) > 3
    assert run.decisions == run.count(at.PLACED)


@pytest.mark.parametrize("model", [{}, TIES[0], TIES[5]])
def test_market_orders_fill_at_the_markets_offers_and_end(model: dict[str, str], spot: Path, quotes: Path) -> None:
    for session in (spot, quotes):
        events = equal_run(session, f"{RULES}:Taker", model).events
        ended = events[:, at.X_KIND] == at.CANCELED
        assert (events[ended, at.X_CODE] == at.V_EXPIRED).any(), "no order found too little"
        filled = events[events[:, at.X_KIND] == at.FILLED, at.X_NUMBER]
        assert session is quotes or np.bincount(filled).max() > 1, "no order took two levels"


def test_a_market_order_beside_an_own_resting_one_may_run_the_ordinary_way(spot: Path) -> None:
    with pytest.raises(CannotFoldError, match="would trade with each other"):
        folded(spot, options(spot, f"{RULES}:Taker", {"request_ms": "10", "answer_ms": "200", "feed_ms": "0"}))


def test_a_first_order_before_all_is_ready_runs_the_ordinary_way(spot: Path) -> None:
    with pytest.raises(CannotFoldError, match="was not ready to trade before its first order"):
        folded(spot, options(spot, f"{STRATEGIES / 'touch.py'}:CompiledTouch", {}))


def test_a_first_order_that_risk_refuses_before_all_is_ready_runs_the_ordinary_way(spot: Path) -> None:
    """No order is left of it, but its event is one of the ordinary way."""
    given = options_of(
        spot,
        "FollowsAnything",
        {"request_ms": "20", "answer_ms": "0", "feed_ms": "20"},
        {"risk.order_size_max": "0.00001"},
    )
    with pytest.raises(CannotFoldError, match="was not ready to trade before its first order"):
        folded(spot, msgspec.structs.replace(given, balances=BALANCES))


def test_a_market_order_with_a_limit_of_notional_runs_the_ordinary_way(spot: Path) -> None:
    given = options_of(spot, "Taker", {}, {"risk.order_notional_max": "3000"})
    with pytest.raises(CannotFoldError, match="order_notional_max is set"):
        folded(spot, msgspec.structs.replace(given, balances=BALANCES))
