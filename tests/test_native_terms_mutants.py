"""Decisions about triggers, trailing stops, amounts and times, removed in turn: a named test must notice."""

import inspect
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any, NamedTuple

import pytest
import test_native_terms as terms
from test_native_terms import Desk

from engine.errors import CoreError
from engine.execution import order_reports
from engine.execution.plans import trail
from engine.handlers import expiries, intents, plan_waits, policy, run_plans
from engine.kernel import Kernel
from engine.sim.exchange.order_matching import OrderMatching
from engine.state import orders, timers
from engine.venues.binance_spot import shapes

NOTICED = (AssertionError, pytest.fail.Exception, ValueError, LookupError, CoreError)


class Mutant(NamedTuple):
    """A fault in the source of a function, and the test that must notice it."""

    owner: Any
    function: str
    right: str
    wrong: str
    test: Callable[..., None]
    given: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return f"{self.function}: {self.wrong}"


def faulty(mutant: Mutant) -> Callable[..., Any]:
    """Return the function with its fault."""
    real = getattr(mutant.owner, mutant.function)
    assert isinstance(real, FunctionType)
    source = textwrap.dedent(inspect.getsource(real))
    assert mutant.right in source, "the code has changed: correct the fault"
    made: dict[str, Any] = {}
    exec(compile(source.replace(mutant.right, mutant.wrong, 1), "mutant", "exec"), real.__globals__, made)
    made_function: Callable[..., Any] = made[mutant.function]
    return made_function


AMOUNT = terms.test_a_market_order_spends_an_amount_and_its_fills_are_the_position
NATIVE = terms.test_a_trail_in_basis_points_is_held_by_the_venue_and_survives_the_engine
DRY = terms.test_a_trailing_stop_that_finds_too_few_bids_is_closed_at_market
RESTART = terms.test_the_time_of_an_order_holds_over_a_restart
MUTANTS = [
    # triggers, and the terms of other programs' orders
    Mutant(order_reports, "apply_report", "if is_triggered and", "if False and", terms.test_a_trailing_stop_rests_at_the_venue_and_follows, terms.TRAILING[0]),
    Mutant(shapes, "is_triggered", "venue_type in OF_STOPS and", "False and", terms.test_a_trigger_that_no_stream_delivered_is_known_by_a_query),
    Mutant(order_reports, "_adopt", ">= TERM_RULES", "> TERM_RULES + 9", terms.test_an_order_of_another_program_keeps_its_terms, (*terms.FOREIGN[0], "stream")),
    # orders by quote amount
    Mutant(order_reports, "apply_report", "if is_filled and known.quote_quantity and", "if False and", AMOUNT),
    Mutant(order_reports, "apply_report", "if not known.quote_quantity and (", "if (", AMOUNT),
    Mutant(intents, "most_for_amount", "return up_to_grid", "return ZERO and up_to_grid", AMOUNT),
    Mutant(orders, "_filled", " and not order.order.quote_quantity", "", terms.test_an_order_by_amount_ends_by_the_venues_report_alone),
    Mutant(OrderMatching, "_execute", "+ unspent(market, order, matches)", "", terms.test_an_amount_that_the_book_cannot_fill_expires_with_its_fills),
    # trailing stops of plans
    Mutant(run_plans, "_has_trailing", "return term in offered", "return term not in offered", NATIVE),
    Mutant(trail, "_is_held_by_venue", "seen.has_trailing", "not seen.has_trailing", NATIVE),
    Mutant(trail, "_is_held_by_venue", "max(bounds.trailing_delta_min, 1) <=", "0 <=", terms.test_a_trail_that_the_venue_cannot_hold_is_held_by_the_engine, ("basis_points=5",)),
    Mutant(trail, "_is_held_by_venue", "(bounds.trailing_delta_max or terms.basis_points)", "terms.basis_points", terms.test_a_trail_that_the_venue_cannot_hold_is_held_by_the_engine, ("basis_points=2001",)),
    Mutant(trail, "_is_held_by_venue", "not any(", "not any(False and ", terms.test_a_trail_whose_stop_the_venue_refuses_is_held_by_the_engine),
    Mutant(trail, "_cover", "if covered > quantity", "if False", terms.test_a_trailing_stop_shrinks_with_the_position),
    Mutant(trail, "_cover", "quantity - covered", "quantity", NATIVE),
    Mutant(trail, "_cover", "if _has_run_dry(seen.orders)", "if False", DRY),
    Mutant(trail, "_trailing_order", "not terms.activation_price", "True", terms.test_a_trail_that_is_not_active_yet_waits_at_the_venue_too),
    Mutant(plan_waits, "_is_futile", "or is_empty", "", DRY),
    # good till a time
    Mutant(policy, "advance_policy", "if step.account.orders.expiring", "if False", terms.test_an_order_is_cancelled_when_its_time_comes, ("",)),
    Mutant(expiries, "_expired", "order.order.good_till_ns <= step.time_ns", "True", terms.test_an_order_is_cancelled_when_its_time_comes, ("",)),
    Mutant(timers, "_timer_of_request", "if till_ns else None", "if False else None", terms.test_an_order_is_cancelled_when_its_time_comes, ("",)),
    Mutant(Kernel, "begin", "if till_ns > record.time_ns", "if False", RESTART, (1,)),
    Mutant(orders, "_put", "order.order.good_till_ns and is_live is not (name in expiring)", "False", RESTART, (30,)),
]  # fmt: skip


@pytest.mark.parametrize("mutant", [pytest.param(mutant) for mutant in MUTANTS], ids=str)
def test_without_a_decision_its_test_fails(mutant: Mutant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, real = faulty(mutant), getattr(mutant.owner, mutant.function)
    for module in list(sys.modules.values()):  # wherever it is imported
        if getattr(module, "__dict__", {}).get(mutant.function) is real:
            monkeypatch.setattr(module, mutant.function, made)
    monkeypatch.setattr(mutant.owner, mutant.function, made)
    takes_desk = "desk" in inspect.signature(mutant.test).parameters
    with pytest.raises(NOTICED):
        mutant.test(*((Desk(tmp_path),) if takes_desk else ()), *mutant.given)
