"""Decisions about orders, fills, refusals and halts, removed in turn: a named test must notice."""

from collections.abc import Callable
from typing import Any

import pytest
import test_order_terms_of_venue as terms
import test_transient_contradictions as passing
from msgspec.structs import replace

from engine.errors import CoreError
from engine.execution import doubts, order_fills, order_reports, reconciliation
from engine.execution.request_factory import RequestFactory
from engine.handlers import access_refusals, answers, commands, resuming, watch
from engine.state import account_fold, mode, timers
from engine.state.links import LinkStates

NOTICED = (AssertionError, pytest.fail.Exception, ValueError, LookupError, CoreError)
PATCH = pytest.MonkeyPatch
Mutant = tuple[str, Callable[[PATCH], None], Callable[..., None], tuple[Any, ...]]


def gone(owner: Any, name: str, instead: Any = None) -> Callable[[PATCH], None]:
    """Return what replaces a function by one that does nothing and returns `instead`."""
    return lambda patch: patch.setattr(owner, name, lambda *_, **__: instead)


def refuses_by_latching(patch: PATCH) -> None:
    real = access_refusals.refuse_access

    def latch(session: Any, step: Any, pending: Any, answer: Any) -> None:
        session.settings = replace(session.settings, access_wait_ns=0)
        real(session, step, pending, answer)

    patch.setattr(answers, "refuse_access", latch)


def forgets_failures(patch: PATCH) -> None:
    real = timers.reduce

    def reduce(state: Any, change: Any, at: Any, *, settings: Any, **more: Any) -> Any:
        return real(state, change, at, settings=replace(settings, order_rules=0), **more)

    patch.setitem(account_fold.REDUCERS, "timers", reduce)


def keeps_one_halt(patch: PATCH) -> None:
    real = mode._halted
    patch.setattr(mode, "_halted", lambda modes, reasons: modes if modes.halts else real(modes, reasons))


MUTANTS: list[Mutant] = [
    ("terms are followed", gone(order_reports, "follow_terms"), terms.test_an_amended_order_has_the_venues_quantity_and_id, ()),
    (
        "an order is named by the venue's id",
        gone(RequestFactory, "_venue_order_id", ""),
        terms.test_amended_order_is_canceled_by_the_venues_id_and_a_stop_ends,
        (),
    ),
    (
        "fills are queried by order",
        gone(reconciliation, "query_by_order", False),
        terms.test_lost_fill_forever_a_fill_listed_late_with_a_lower_id_is_booked,
        (),
    ),
    (
        "the wait between such queries grows",
        lambda patch: patch.setattr(order_fills, "DOUBLINGS_MAX", 0),
        terms.test_lost_fill_forever_a_session_that_waits_for_a_fill_raises_an_alarm_with_the_order,
        (),
    ),
    (
        "pages overlap",
        lambda patch: patch.setattr(reconciliation, "_overlapping", lambda _step, _instrument, confirmed: confirmed),
        terms.test_a_fill_that_shares_the_id_of_the_last_one_of_a_page_is_not_skipped,
        (),
    ),
    (
        "a listed order that ended here is queried",
        gone(reconciliation, "_ask_about_closed"),
        passing.test_stale_answer_a_lagging_list_is_asked_about_and_halts_nothing,
        (),
    ),
    (
        "answers are compared by the venue's dates",
        gone(doubts, "is_stale", False),
        passing.test_stale_answer_a_lagging_query_is_told_by_its_date,
        (),
    ),
    (
        "a doubt is pursued",
        gone(watch, "_watch_doubts"),
        passing.test_a_live_order_that_the_venue_keeps_not_knowing_halts,
        (),
    ),
    ("a doubt ends", gone(watch, "_watch_doubts"), passing.test_a_live_order_that_a_lagging_query_does_not_find_is_asked_about_again, ()),
    ("one refusal does not latch", refuses_by_latching, passing.test_firewall_403_once_ends_trading_for_a_minute_and_latches_nothing, ("account",)),
    (
        "refusals are forgotten",
        gone(answers, "admit"),
        passing.test_two_refusals_with_health_between_them_do_not_count_as_lasting,
        (),
    ),
    ("links come back after a refusal", gone(watch, "_watch_access"), passing.test_a_private_link_that_access_was_refused_to_comes_back, ()),
    (
        "an account reconciles by its own links",
        lambda patch: patch.setattr(LinkStates, "account_ready", LinkStates.all_ready),
        passing.test_an_account_reconciles_while_the_market_is_down,
        (),
    ),
    (
        "a round keeps the failures of a market link",
        forgets_failures,
        passing.test_a_market_link_that_keeps_failing_is_tried_ever_less_although_rounds_end_well,
        (),
    ),
    (
        "an ordered round that cannot start says why",
        gone(reconciliation, "hindrance", ""),
        passing.test_an_ordered_reconciliation_that_cannot_start_says_why,
        (),
    ),
    ("a round reports its changes", gone(answers, "_count_changes"), passing.test_a_round_reports_what_it_changed, ()),
    ("a second reason to halt is kept", keeps_one_halt, passing.test_every_reason_to_halt_survives_a_restart, ()),
    ("resume lifts the halts", gone(commands, "lift_halts"), passing.test_a_second_reason_to_halt_is_kept_and_resume_names_what_it_lifts, ()),
    (
        "resume names those that hold",
        gone(resuming, "_still_holds", ""),
        passing.test_a_second_reason_to_halt_is_kept_and_resume_names_what_it_lifts,
        (),
    ),
    (
        "a session that waits raises an alarm",
        gone(watch, "_watch_waiting"),
        terms.test_lost_fill_forever_a_session_that_waits_for_a_fill_raises_an_alarm_with_the_order,
        (),
    ),
]  # fmt: skip


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant[0].replace(" ", "-"))
def test_without_a_decision_its_test_fails(mutant: Mutant, monkeypatch: PATCH) -> None:
    _, remove, test, given = mutant
    test(*given)  # it passes while the decision is there
    remove(monkeypatch)
    with pytest.raises(NOTICED):
        test(*given)
