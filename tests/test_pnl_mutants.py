"""A fault in each formula of lots, P&L lines, wallets, rates, the bridge and the round: a named test must notice.

tests/test_core_mutants.py does the same for positions.
"""

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import test_futures_account as futures
import test_lots as lots_test
import test_paper_funding as paper
import test_pnl_bridge as bridge_test
import test_pnl_reported as reported
import test_reconcile_rounds as rounds
import test_reported_losses as losses
import test_valuation as valuation_test
from test_core_mutants import must_notice
from tiers import first_is_quick

from engine import lots, valuation
from engine.execution import books_check, order_reports, wallet_reports
from engine.handlers import loss_levels, losses_of_day, watch_errors, watch_losses
from engine.lots import CostMethod
from engine.session_record import MarkChoice
from engine.state import account_fold, carried_pnl, error_bursts, pnl_figures, pnl_lines, rates, wallets
from replay.study import pnl_bridge, pnl_orders


class Fault(NamedTuple):
    """A formula, the fault in it, and the test that must notice, with its arguments."""

    function: Callable[..., Any]
    right: str
    wrong: str
    test: Callable[..., None]
    given: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return f"{self.function.__name__}: {self.wrong}"


FOLDER = object()  # replaced by the test's own folder
TOUCH = (MarkChoice.TOUCH, "9", "9")
FIFO = (CostMethod.FIFO,)
CAUSE = (("2 89 fee 0.1", *bridge_test.DAY[1:]), bridge_test.Cause.PRICES, "2", FOLDER)
DEARER = (("2 90 fee 0.15", *bridge_test.DAY[1:]), bridge_test.Cause.FEES, "-0.05", FOLDER)
BURST = (3, 3, True, FOLDER)
LESS = ((bridge_test.DAY[0], "1.5 110 fee 0.2", bridge_test.DAY[2]), bridge_test.Cause.QUANTITIES, "-5", FOLDER)
FAULTS = [
    # lots
    Fault(lots.trade, "if method is CostMethod.LIFO", "if method is CostMethod.FIFO", lots_test.test_each_method_closes_its_own_lots),
    Fault(lots.trade, "lot.cost * closes", "lot.cost * signed", lots_test.test_each_method_closes_its_own_lots),
    Fault(lots.trade, "-gain if instrument.inverse else gain", "gain", lots_test.test_a_contract_counts_its_size_and_an_inverse_one_its_base),
    Fault(lots.trade, "part = worth if not left else", "part =", lots_test.test_the_parts_of_a_fill_add_up_to_its_worth),
    Fault(lots.trade, "Lot(left, worth)", "Lot(left, worth + worth)", lots_test.test_a_fill_through_zero_closes_all_and_opens_the_other_side_at_its_price, FIFO),
    Fault(lots._joined, "lots[0].cost + new.cost", "new.cost", lots_test.test_each_method_closes_its_own_lots),
    Fault(lots.unrealised, "-moved if instrument.inverse else moved", "moved", lots_test.test_a_contract_counts_its_size_and_an_inverse_one_its_base),
    Fault(lots.entry_price, "MONEY.divide(units, cost) if instrument.inverse else", "", lots_test.test_a_contract_counts_its_size_and_an_inverse_one_its_base),
    # lines
    Fault(pnl_lines.after_fill, "fees = fill.fee", "fees = ZERO", reported.test_j1_the_portfolio_sums_instruments_at_the_rate_of_each_moment, (FOLDER,)),
    Fault(pnl_lines.after_fill, "realised += more", "pass", reported.test_a_fee_in_base_realises_the_gain_of_what_is_given_away),
    Fault(pnl_lines.after_fill, "to_ledger(fill.fee * fill.price)", "fill.fee", reported.test_a_fee_in_base_is_base_given_away_at_the_fills_price),
    Fault(pnl_lines.after_fill, "to_ledger(fill.fee * fill.fee_rate)", "ZERO", reported.test_j2_a_fee_counts_at_a_rate_over_two_markets_and_a_fee_without_a_rate_is_named),
    Fault(pnl_lines.after_fill, "_plus(line.unvalued, fill.fee_asset, fill.fee)", "{}", reported.test_j2_a_fee_counts_at_a_rate_over_two_markets_and_a_fee_without_a_rate_is_named),
    Fault(pnl_lines._earnings, "more.convert(rate)", "more", reported.test_j1_the_portfolio_sums_instruments_at_the_rate_of_each_moment, (FOLDER,)),
    Fault(pnl_lines._earnings, "_plus(line.unrated, asset, more.net)", "{}", reported.test_equity_is_in_the_report_and_names_what_it_lacks),
    Fault(pnl_lines.opening_line, "to_ledger(held.realised_pnl)", "ZERO", reported.test_a_position_that_is_carried_over_keeps_its_line_and_an_older_session_opens_one),
    Fault(pnl_lines._plus, "amounts.get(asset, ZERO) + more", "more", reported.test_j2_a_fee_counts_at_a_rate_over_two_markets_and_a_fee_without_a_rate_is_named),
    # marks and rates
    Fault(rates.mark_price, "bid if quantity > 0 else ask", "ask if quantity > 0 else bid", reported.test_open_quantities_count_at_the_stated_price, TOUCH),
    Fault(rates.mark_price, "choice is MarkChoice.TOUCH and quantity", "False", reported.test_open_quantities_count_at_the_stated_price, TOUCH),
    Fault(rates.equity, "each.free + each.locked", "each.locked", valuation_test.test_equity_is_every_balance_at_the_last_quotes),
    Fault(valuation._direct_rate, "MONEY.divide(ONE, pair.mid)", "pair.mid", valuation_test.test_a_rate_is_a_quote_its_inverse_or_two_quotes_over_a_third_asset),
    Fault(valuation.find_rate, "MONEY.multiply(first, rest)", "first", valuation_test.test_a_rate_is_a_quote_its_inverse_or_two_quotes_over_a_third_asset),
    Fault(valuation.find_rate, "pair.mid > 0", "True", valuation_test.test_a_rate_is_a_quote_its_inverse_or_two_quotes_over_a_third_asset),
    Fault(valuation.value_in, "missing.append(asset)", "pass", valuation_test.test_a_sum_names_the_assets_that_it_lacks),
    Fault(pnl_figures.in_reporting, "MONEY.multiply(unrealised, rate)", "unrealised", reported.test_j1_the_portfolio_sums_instruments_at_the_rate_of_each_moment, (FOLDER,)),
    Fault(order_reports.report_rate, "recorded_rate(step.market, asset, step.reducer_settings.reporting_currency) or ZERO", "ZERO", reported.test_j1_the_portfolio_sums_instruments_at_the_rate_of_each_moment, (FOLDER,)),
    Fault(order_reports._fee_rate, "over_third=is_exact", "over_third=True", reported.test_j2_a_fee_counts_at_a_rate_over_two_markets_and_a_fee_without_a_rate_is_named),
    # wallets
    Fault(wallets._filled, "held.contains_ns == fill.venue_ns", "False", futures.test_a_first_report_may_contain_the_next_fill_of_its_time),
    Fault(wallets._filled, "wallet.contains_ns == fill.venue_ns", "False", futures.test_a_first_report_may_contain_the_next_fill_of_its_time),
    Fault(wallets._filled, "flows.get(fill.fee_asset, ZERO) - fill.fee", "ZERO", futures.test_j3_a_liquidation_is_a_fill_that_nobody_ordered),
    Fault(wallets._wallet_after, "known.expected + moved", "known.expected", futures.test_j3_a_funding_is_in_the_wallet_and_in_the_strategys_pnl_and_no_part_of_realised_pnl, (FOLDER,)),
    Fault(wallet_reports._is_old, "report.venue_ns < known_ns", "False", futures.test_j3_a_funding_is_in_the_wallet_and_in_the_strategys_pnl_and_no_part_of_realised_pnl, (FOLDER,)),
    Fault(wallet_reports._share, "left -= share", "left -= 2 * share", futures.test_j3_a_funding_is_in_the_wallet_and_in_the_strategys_pnl_and_no_part_of_realised_pnl, (FOLDER,)),
    Fault(wallet_reports._share_funding, 'report.instrument in ("", name)', "True", futures.test_a_funding_that_may_belong_to_two_contracts_is_asked_for),
    Fault(wallet_reports.apply_funding, "report.venue_ns <= step", "report.venue_ns < step", paper.test_a_funding_that_came_twice_is_paid_once_to_each_holder_by_its_quantity),
    # losses of the day
    Fault(losses_of_day._reported, "- day.reported.get(key, ZERO)", "", losses.test_what_had_no_rate_when_the_day_began_counts_from_its_first_rate),
    Fault(losses_of_day._reported, "(key in day.opening and key not in day.reported)", "False", losses.test_an_open_position_of_unknown_opening_is_unknown_until_it_is_recorded),
    Fault(losses_of_day._marked, "or entry.marks != marks", "", losses.test_a_loss_counts_at_the_rates_of_its_fills_and_the_open_quantity_at_the_rate_now, (FOLDER,)),
    Fault(losses_of_day._marked, "or entry.rate != rate", "", losses.test_an_open_quantity_counts_at_the_rate_now),
    Fault(watch_losses._enter_positions, "now.reported[key] - since", "now.reported[key]", losses.test_what_had_no_rate_when_the_day_began_counts_from_its_first_rate),
    Fault(watch_losses.rate_amounts, "step.emit(fact, source=SOURCE)", "pass", losses.test_what_had_no_rate_when_the_day_began_counts_from_its_first_rate),
    Fault(pnl_lines._rated, "Amounts(realised)", "Amounts()", losses.test_what_had_no_rate_when_the_day_began_counts_from_its_first_rate),
    Fault(loss_levels._set_weights, "(2, 0) if is_long else (0, 2)", "(1, 1)", losses.test_at_the_touch_the_first_quote_past_the_limit_is_the_record, ("BUY", 8_000, 10)),
    Fault(loss_levels._set_weights, "row[layout.LEVEL_MARK_LOW] = layout.NEVER", "pass", futures.test_the_first_mark_price_of_all_may_be_past_the_limit),
    Fault(carried_pnl._is_behind, "return moved or", "return False and", losses.test_a_session_of_accounting_2_between_leaves_no_stale_line, (FOLDER,)),
    Fault(carried_pnl.restored, 'lines.currency not in ("", currency)', "False", losses.test_another_reporting_currency_begins_with_its_first_rate, (FOLDER,)),
    # the bridge
    Fault(pnl_bridge._price_effect, "costs[0] - costs[1]", "costs[1] - costs[0]", bridge_test.test_s28_each_cause_alone_has_its_amount, CAUSE),
    Fault(pnl_bridge._price_effect, "share.cost * common", "share.cost", bridge_test.test_s28_each_cause_alone_has_its_amount, LESS),
    Fault(pnl_bridge._order_causes, "gross - prices", "gross", bridge_test.test_s28_each_cause_alone_has_its_amount, CAUSE),
    Fault(pnl_bridge._order_causes, "share.gross(instrument, mark) - share.fees", "share.gross(instrument, mark)", bridge_test.test_s28_an_extra_fill_counts_at_the_mark_with_its_fee, (FOLDER,)),
    Fault(pnl_bridge._order_causes, "prices - latency", "prices", bridge_test.test_s28_an_order_that_arrives_later_pays_the_moved_market_as_latency_and_the_rest_as_price, (FOLDER,)),
    Fault(pnl_bridge._market_moves, "and ours.is_taker", "", bridge_test.test_s28_an_order_that_rests_pays_no_latency, (FOLDER,)),
    Fault(pnl_orders.add_fill, "share.fees += fill.fee", "pass", bridge_test.test_s28_each_cause_alone_has_its_amount, DEARER),
    Fault(pnl_orders.touches, "quote.ask if share.sign > 0 else quote.bid", "quote.bid", bridge_test.test_s28_an_order_that_arrives_later_pays_the_moved_market_as_latency_and_the_rest_as_price, (FOLDER,)),
    # the round
    Fault(books_check.compare_books, "abs(fact.drift) > limit", "abs(fact.drift) >= limit", rounds.test_an_equity_at_its_limit_is_no_drift),
    Fault(books_check.compare_books, "compared.reported - compared.expected", "compared.expected - compared.reported", rounds.test_an_equity_at_its_limit_is_no_drift),
    Fault(books_check.compare_books, "if is_settled else", "if True else", rounds.test_equity_is_not_compared_while_fills_are_missing),
    Fault(books_check._wrong_positions, "if held != filled", "if False", rounds.test_g13_a_position_that_is_not_the_sum_of_its_fills_halts, (FOLDER,)),
    Fault(books_check._wrong_positions, "if theirs != ours", "if False", rounds.test_g3_a_contract_position_that_the_venue_holds_and_our_fills_do_not_explain_halts),
    Fault(books_check._halt, "if not any(", "if not all(", rounds.test_g9_differences_that_each_balance_tolerates_reach_the_limit_of_equity_together, (FOLDER,)),
    Fault(error_bursts.reduce, "change.status is Report.REJECTED", "False", rounds.test_g7_a_burst_of_errors_starts_a_round, BURST),
    Fault(error_bursts.reduce, "return ErrorBursts()", "return errors", rounds.test_g7_a_burst_of_errors_starts_a_round, BURST),
    Fault(watch_errors.watch_errors, "found < limit", "found <= limit", rounds.test_g7_a_burst_of_errors_starts_a_round, BURST),
    Fault(watch_errors.watch_errors, "step.time_ns - session.safeguards.window_ns", "0", rounds.test_errors_that_are_far_apart_are_no_burst),
]  # fmt: skip


@pytest.mark.parametrize("fault", first_is_quick([pytest.param(fault) for fault in FAULTS], quick=4), ids=str)
def test_a_fault_in_a_formula_of_pnl_fails_its_test(
    fault: Fault, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source, module = inspect.getsource(fault.function), inspect.getmodule(fault.function)
    assert fault.right in source, "the formula has changed: correct the fault"
    made: dict[str, Any] = {}
    exec(compile(source.replace(fault.right, fault.wrong), "mutant", "exec"), vars(module), made)
    name = fault.function.__name__
    for each in list(sys.modules.values()):  # wherever it is imported
        if getattr(each, "__dict__", {}).get(name) is fault.function:
            monkeypatch.setattr(each, name, made[name])
    for part, reducer in account_fold.REDUCERS.items():
        if reducer is fault.function:
            monkeypatch.setitem(account_fold.REDUCERS, part, made[name])
    must_notice(fault.test, *(tmp_path if each is FOLDER else each for each in fault.given))
