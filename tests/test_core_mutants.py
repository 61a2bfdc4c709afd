"""Each rule of the core, removed in turn: a named test must notice. A test that no mutant fails proves nothing.

Removed are: every risk rule and every objection in it, every row and cell of the life cycle, and every reason for not
trading. Into each formula of P&L a fault is put. The tests beside them run in this process, with the rule gone.
"""

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import test_budgets as budgets
import test_contract_rules as contract_rules
import test_core_lifecycle as life
import test_core_modes as modes
import test_pnl as pnl
import test_risk_rules as risk
from checked_sessions import CheckedSessions
from tiers import first_is_quick

import engine.handlers.pnl
import engine.handlers.policy
import engine.state.positions
import engine.state.rates
import engine.valuation
from engine import lifecycle
from engine.errors import CoreError
from engine.facts import ModeChanged
from engine.lifecycle import TRANSITIONS, Report, Status
from engine.mode_reasons import Mode, ReasonCode
from engine.risk.context import RiskRule
from engine.risk.rules import RULES
from engine.step_context import StepContext

NOTICED = (AssertionError, pytest.fail.Exception, ValueError, LookupError, CoreError)


def must_notice(test: Callable[..., None], *given: Any) -> None:
    """Run a named test with a rule gone: it must fail."""
    try:
        test(*given)
    except NOTICED:
        return
    pytest.fail(f"{test.__name__}{given} notices nothing")


# ---- risk rules ---------------------------------------------------------------------------------


class Objection(NamedTuple):
    """One `return` of a rule with a text in it."""

    rule: str
    number: int

    def __str__(self) -> str:
        return f"{self.rule} {self.number + 1}"


def returns(tree: ast.AST) -> list[ast.Return]:
    """Return those that object, in the order of the source."""
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Return) and not is_silent(node.value)]
    return sorted(found, key=lambda node: node.lineno)


def is_silent(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        return value.func.id == "passed"  # the figures of limits that do not object
    return isinstance(value, ast.Constant) and value.value == ""


def objections() -> Iterator[Objection]:
    for name, rule in RULES.items():
        tree = ast.parse(inspect.getsource(rule.reject_reason))
        yield from (Objection(name, number) for number in range(len(returns(tree))))


def without(objection: Objection) -> RiskRule:
    """The rule with one of its objections left out."""
    rule = RULES[objection.rule]
    tree = ast.parse(inspect.getsource(rule.reject_reason))
    returns(tree)[objection.number].value = ast.Constant("")
    made: dict[str, Any] = {}
    module = inspect.getmodule(rule.reject_reason)
    exec(compile(ast.fix_missing_locations(tree), "mutant", "exec"), vars(module), made)
    return RiskRule(made[rule.reject_reason.__name__], name=rule.name)


def refusals(rule: str) -> Iterator[risk.Case]:
    return (case for case in risk.CASES if case.rule == rule and case.answer)


def checks_by_context(rule: str) -> Iterator[tuple[Callable[..., None], Any]]:
    """Return the tests of a rule that no transcript of orders reaches, each with its argument."""
    if rule in risk.DATA_AGES:
        yield risk.test_data_age_at_its_edge, rule
    for case in contract_rules.CASES:
        if case.rule == rule and case.answer:
            yield contract_rules.test_a_rule_at_its_edge, case


def some_refusal_passes(rule: str) -> None:
    """Play the refused cases of a rule; the first that is not refused raises."""
    for test, given in checks_by_context(rule):
        test(given)
    for case in refusals(rule):
        risk.play(case)


@pytest.mark.parametrize("rule", first_is_quick(RULES, quick=3))
def test_without_a_risk_rule_each_of_its_refusals_fails(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RULES, rule, RiskRule(lambda _: "", name=rule))
    for test, given in checks_by_context(rule):
        must_notice(test, given)
    for case in refusals(rule):
        must_notice(risk.play, case)


@pytest.mark.parametrize(
    "objection", first_is_quick([pytest.param(objection) for objection in objections()], quick=3), ids=str
)
def test_without_an_objection_a_refusal_of_its_rule_fails(
    objection: Objection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RULES, objection.rule, without(objection))
    must_notice(some_refusal_passes, objection.rule)


# ---- the life cycle -----------------------------------------------------------------------------

# a message that changes nothing without the row
ROWS: dict[Status, str] = {
    Status.PENDING: "new",
    Status.OPEN: "canceled",
    Status.TRIGGERED: "canceled",
    Status.PARTIALLY_FILLED: "full",
    Status.UNKNOWN: "new",
    Status.NOT_PLACED: "new",
    Status.REJECTED: "new",
    Status.CANCELED: "full",
    Status.EXPIRED: "full",
}


@pytest.mark.parametrize("status", [status for status, row in TRANSITIONS.items() if row], ids=str)
def test_without_a_row_of_the_life_cycle_an_order_is_stuck(status: Status, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(lifecycle.TRANSITIONS, status, {})
    must_notice(life.test_a_message_moves_an_order_as_the_life_cycle_says, status, ROWS[status])


@pytest.mark.parametrize(
    ("status", "kind"), [(status, kind) for status, row in TRANSITIONS.items() for kind in row], ids=str
)
def test_without_a_cell_of_the_life_cycle_a_fact_changes_nothing(
    status: Status, kind: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {other: after for other, after in TRANSITIONS[status].items() if other is not kind}
    monkeypatch.setitem(lifecycle.TRANSITIONS, status, row)
    must_notice(life.test_a_fact_moves_an_order_as_the_life_cycle_says, status, kind)


# ---- reasons for not trading --------------------------------------------------------------------


@pytest.mark.parametrize("code", modes.REASONS, ids=str)
def test_without_a_reason_its_test_fails(
    code: ReasonCode, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    pattern, test = modes.REASONS[code]
    right_mode, emit = engine.handlers.policy.right_mode, StepContext.emit

    def right_mode_without(*given: Any, **named: Any) -> Any:
        mode, reasons = right_mode(*given, **named)
        kept = tuple(reason for reason in reasons if not re.search(pattern, str(reason)))
        return (mode, kept) if kept or not reasons else (Mode.RUNNING, ())

    def emit_without(step: StepContext, body: Any, **named: Any) -> int:
        """Leave out the halt for this reason, wherever it is made."""
        if isinstance(body, ModeChanged) and body.reasons and re.search(pattern, str(body.reasons[0])):
            return step.next_seq
        return emit(step, body, **named)

    monkeypatch.setattr(engine.handlers.policy, "right_mode", right_mode_without)
    monkeypatch.setattr(StepContext, "emit", emit_without)
    given = {name: request.getfixturevalue(name) for name in inspect.signature(test).parameters}
    with pytest.raises(NOTICED):
        test(**given)


# ---- profit and loss ----------------------------------------------------------------------------


class Fault(NamedTuple):
    """A fault in the source of a function, and the test that must notice it."""

    function: Callable[..., Any]
    right: str
    wrong: str
    test: Callable[..., None]

    def __str__(self) -> str:
        return f"{self.function.__name__}: {self.wrong}"


_pnl, _positions = engine.handlers.pnl, engine.state.positions
_rates, _valuation = engine.state.rates, engine.valuation
FAULTS = [
    # the mark
    Fault(_pnl._emit_by_position, "(quote.bid + quote.ask) / 2", "quote.bid + quote.ask", pnl.test_a_held_position_is_worth_its_mark_less_its_price),
    Fault(_pnl._emit_by_position, "(quote.bid + quote.ask) / 2", "quote.bid", pnl.test_a_held_position_is_worth_its_mark_less_its_price),
    Fault(_pnl._emit_by_position, "position, mark,", "position, 2 * mark,", pnl.test_a_held_position_is_worth_its_mark_less_its_price),
    # realised and unrealised
    Fault(_positions.unrealised, "mark - held.price_avg", "mark", pnl.test_a_held_position_is_worth_its_mark_less_its_price),
    Fault(_positions.unrealised, "* held.quantity", "* abs(held.quantity)", pnl.test_a_short_loses_what_its_purchase_costs_more),
    Fault(_pnl._emit_by_position, "position.realised_pnl", "ZERO", pnl.test_a_sale_realises_its_gain_and_leaves_the_average_price),
    Fault(_pnl._emit_by_position, "position.realised_pnl", "position.realised_pnl - position.fees_quote", pnl.test_a_closed_position_has_no_open_profit),
    Fault(_positions._moved, "(1 if quantity > 0 else -1)", "1", pnl.test_a_short_loses_what_its_purchase_costs_more),
    Fault(_positions._moved, "min(abs(quantity), abs(signed))", "abs(signed)", pnl.test_a_sale_through_zero_opens_the_other_side_at_its_own_price),
    # the average price
    Fault(_positions._moved, "(price_avg * abs(quantity) + price * abs(signed)) / abs(after)", "price", pnl.test_the_average_price_is_weighted_by_quantity),
    Fault(_positions._moved, "(price_avg * abs(quantity) + price * abs(signed)) / abs(after)", "(price_avg + price) / 2", pnl.test_the_average_price_is_weighted_by_quantity),
    Fault(_positions._moved, "realised += ", "price_avg = price; realised += ", pnl.test_a_sale_realises_its_gain_and_leaves_the_average_price),
    Fault(_positions._moved, "price_avg = price  # the rest", "pass  # the rest", pnl.test_a_sale_through_zero_opens_the_other_side_at_its_own_price),
    # fees
    Fault(_pnl._emit_by_position, "fees_quote=position.fees_quote", "fees_quote=ZERO", pnl.test_a_closed_position_has_no_open_profit),
    Fault(_pnl._emit_by_position, "fees_unvalued=position.fees_unvalued", "fees_unvalued={}", pnl.test_pnl_bnb_fee_without_a_rate_is_named_beside_the_sum),
    Fault(_positions.after_fill, "fees_quote += fill.fee * fill.price", "pass", pnl.test_a_fee_in_base_lowers_the_quantity_and_counts_at_the_fill_price),
    Fault(_positions.after_fill, "moved = _moved(*moved, -fill.fee, fill.price)", "pass", pnl.test_a_fee_in_base_lowers_the_quantity_and_counts_at_the_fill_price),
    Fault(_positions.after_fill, "fees_quote += fill.fee * fill.fee_rate", "pass", pnl.test_a_fee_in_a_third_asset_counts_at_a_recorded_rate),
    Fault(_positions.after_fill, "unvalued.get(fill.fee_asset, ZERO) + fill.fee", "fill.fee", pnl.test_pnl_bnb_fee_without_a_rate_is_named_beside_the_sum),
    Fault(_rates._quoted_pair, "MONEY.divide(MONEY.add(*best), TWO)", "MONEY.add(*best)", pnl.test_a_fee_in_a_third_asset_counts_at_a_recorded_rate),
    Fault(_valuation._direct_rate, "MONEY.divide(ONE, pair.mid)", "pair.mid", pnl.test_a_fee_in_an_asset_that_prices_the_quote_counts_at_the_inverse_rate),
    # positions never leave the sums
    Fault(_pnl._emit_by_position, "quote is None and session.settings.accounting == 1", "quote is None", pnl.test_a_position_without_a_quote_stays_in_the_sums),
    Fault(_pnl._emit_by_position, "is_marked=quote is not None", "is_marked=True", pnl.test_a_position_without_a_quote_stays_in_the_sums),
]  # fmt: skip


@pytest.mark.parametrize("fault", first_is_quick([pytest.param(fault) for fault in FAULTS], quick=3), ids=str)
def test_a_fault_in_profit_and_loss_fails_its_test(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    source, module = inspect.getsource(fault.function), inspect.getmodule(fault.function)
    assert fault.right in source, "the formula has changed: correct the fault"
    made: dict[str, Any] = {}
    exec(compile(source.replace(fault.right, fault.wrong), "mutant", "exec"), vars(module), made)
    name = fault.function.__name__
    for each in list(sys.modules.values()):  # wherever it is imported
        if getattr(each, "__dict__", {}).get(name) is fault.function:
            monkeypatch.setattr(each, name, made[name])
    must_notice(fault.test)


# ---- budgets and breakers -----------------------------------------------------------------------


class Mutant(NamedTuple):
    """A bound that is taken away, and the test that must notice."""

    target: str
    instead: Any
    test: Callable[..., None]
    given: tuple[Any, ...]

    def __str__(self) -> str:
        return self.target.rpartition(".")[2]


BUDGET_MUTANTS = [
    Mutant(
        "engine.state.order_blocks.OrderBlocks.next_wait_ns",
        lambda _self, _venue, _time_ns, settings: settings.order_backoff_first_ns // 10,
        budgets.test_order_count_limit_is_not_hammered,
        (),
    ),
    Mutant(
        "engine.state.order_blocks.OrderBlocks.reject_reason",
        lambda _self, _venue, _time_ns: "",
        budgets.test_order_count_limit_is_not_hammered,
        (),
    ),
    Mutant(
        "engine.handlers.policy.trip_breakers",
        lambda _session, _step: None,
        budgets.test_refused_for_ever_pauses_the_instrument,
        (400, -1013, "Market is closed."),
    ),
    Mutant(
        "engine.kernel.drops_intent",
        lambda *_: False,
        budgets.test_refused_for_ever_pauses_the_instrument,
        (400, -1013, "Market is closed."),
    ),
    Mutant(
        "engine.state.breakers.Breakers.may_run",
        lambda _self, _strategy, _time_ns: True,
        budgets.test_refusal_storm_of_our_own_rules_pauses_the_strategy,
        (False,),
    ),
    Mutant(
        "engine.handlers.trip_breakers.cancel_if_permitted",
        lambda *_, **__: "taken away",
        budgets.test_refusal_storm_of_our_own_rules_pauses_the_strategy,
        (False,),
    ),
    Mutant(
        "engine.state.cancel_attempts.CancelAttempts.wait_ns",
        lambda _self, _name, _settings: 1_000_000_000,
        budgets.test_s10_a_cancel_refused_for_ever_is_not_sent_for_ever,
        (),
    ),
    Mutant(
        "engine.handlers.answers.reread_metadata",
        lambda _session, _step, _venue: None,
        budgets.test_a_filter_that_the_venue_changes_is_read_again,
        (),
    ),
    Mutant(
        "engine.handlers.reread_metadata._fits",
        lambda _recorded, _theirs: True,
        budgets.test_a_finer_grid_than_the_session_has_stops_the_instrument,
        (),
    ),
    Mutant(
        "engine.handlers.answers.apply_permission",
        lambda _session, _step, _venue, **_: None,
        budgets.test_an_account_that_may_not_trade_is_not_running,
        (),
    ),
    Mutant(
        "engine.execution.request_factory.RequestFactory.has_room",
        lambda _self, _step, _weight: True,
        budgets.test_instruments_trade_each_as_it_becomes_ready,
        (),
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("mutant", BUDGET_MUTANTS, ids=str)
def test_without_a_bound_its_test_fails(mutant: Mutant, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(mutant.target, mutant.instead)
    must_notice(mutant.test, CheckedSessions(tmp_path), *mutant.given)
