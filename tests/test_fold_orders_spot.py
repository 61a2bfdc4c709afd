"""Orders in the fold on spot: fees in base lower the position, sales stay within it, and both ways are equal."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from fold_market import session_of
from test_fold_orders import AT_TIMERS, LIMITS, folded, options_of

from engine.facts import BalanceChanged, OrderFilled
from engine.risk.rules import FIRST_RULES
from engine.session_record import RuleSettings
from engine.sim.fold_orders import fold_layout as at
from journal.reader import Journal
from replay.fold_orders.agree import check_against_steps
from replay.fold_orders.foldable import CannotFoldError
from replay.resim.resimulate import ResimOptions, resimulate_steps
from replay.study.performance import PerformanceCounter

BALANCES = {"USDT": "10000000", "BTC": "1000"}


def spot_options(session: Path, rule: str, model: dict[str, str], settings: dict[str, str] | None = None) -> Any:
    return msgspec.structs.replace(options_of(session, rule, model, settings), balances=BALANCES)


def with_rules(options: ResimOptions, *more: str) -> ResimOptions:
    rules = tuple(RuleSettings(name) for name in sorted(FIRST_RULES | set(more)))
    body = options.session
    patient = msgspec.structs.replace(body.safeguards, refusals_max=0)  # no pause after many refusals
    return msgspec.structs.replace(options, session=msgspec.structs.replace(body, rules=rules, safeguards=patient))


@pytest.fixture(scope="module")
def spot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return session_of(tmp_path_factory.mktemp("fold_spot"), 1, events=350, is_spot=True)


@pytest.mark.parametrize("model", [{}, {**AT_TIMERS, "queue": "power", "fills": "whole"}])
def test_each_event_of_spot_is_that_of_the_ordinary_way(model: dict[str, str], spot: Path) -> None:
    found = np.zeros(10, np.int64)
    for rule, settings in (("Quoter", None), ("Anything", LIMITS)):
        options = spot_options(spot, rule, model, settings)
        run = folded(spot, options)
        check_against_steps(run, Journal.open(spot), options)
        found += np.bincount(run.events[:, at.X_KIND], minlength=10)
    assert all(found[kind] for kind in (at.PLACED, at.REFUSED, at.FILLED, at.CANCELED)), found


def test_balances_fees_and_position_of_spot_are_those_of_the_ordinary_way(spot: Path) -> None:
    options, counter = spot_options(spot, "Anything", {}), PerformanceCounter()
    run, known, fills = folded(spot, options), {}, []

    def add(inputs: Any, outputs: Any) -> None:
        for entry in (*inputs, *outputs):
            counter.add(entry)
        for output in outputs:
            if isinstance(output.body, BalanceChanged):
                known[output.body.asset] = output.body.free + output.body.locked
            elif isinstance(output.body, OrderFilled):
                fills.append(output.body.fee)

    resimulate_steps(spot, options, add)
    (line,) = counter.performance.lines.values()
    assert run.asset == "USDT"
    assert run.cash == known["USDT"] - 10_000_000
    assert run.position == known["BTC"] - 1000 == line.position
    assert [Decimal(fee).scaleb(-8) for fee in run.fees] == fills
    assert run.position % Decimal("0.001"), "no fee in base has lowered it"


def test_sales_beyond_the_position_are_refused_for_the_same_rule(spot: Path) -> None:
    options = with_rules(spot_options(spot, "Quoter", {}), "sellable")
    run = folded(spot, options)
    check_against_steps(run, Journal.open(spot), options)
    codes = run.events[run.events[:, at.X_KIND] == at.REFUSED, at.X_CODE]
    assert set(codes.tolist()) == {at.RULE_BITS["sellable"]}
    sold = (run.events[:, at.X_KIND] == at.FILLED) & (run.events[:, at.X_SIDE] < 0)
    assert sold.any(), "no sale was within the position"


@pytest.mark.parametrize(
    ("balances", "asset"), [({"USDT": "10000000"}, "BTC"), ({"USDT": "3000", "BTC": "1000"}, "USDT")]
)
def test_funds_that_reservations_may_use_up_run_the_ordinary_way(
    balances: dict[str, str], asset: str, spot: Path
) -> None:
    poor = msgspec.structs.replace(spot_options(spot, "Quoter", {}), balances=balances)
    with pytest.raises(CannotFoldError, match=f"a larger balance of {asset},"):
        folded(spot, poor)


def test_an_order_that_two_rules_refuse_counts_among_those_that_need_funds(spot: Path) -> None:
    """Risk names its size and the lack of funds; the loop would name its size alone."""
    large = {"risk.order_size_max": "0.01", "strategy.fold_rules.lots": "2000"}
    given = with_rules(spot_options(spot, "Anything", {}, large))
    run = folded(spot, given)
    assert not run.count(at.PLACED)
    assert run.count(at.REFUSED)
    poor = msgspec.structs.replace(given, balances={"USDT": "90000", "BTC": "1000"})
    with pytest.raises(CannotFoldError, match="a larger balance of USDT,"):
        folded(spot, poor)
