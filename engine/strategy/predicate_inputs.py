"""Inputs of compiled predicates from the account: own orders and positions, as numbers beside the market's.

It is derived from the account whenever that has changed, so no record states it. A rebuild disables all predicates,
since it decides nothing.
"""

from operator import is_

from engine.mode_reasons import Mode
from engine.state.session_state import State
from engine.strategy.own_order_numbers import own_order_numbers
from engine.strategy.runner import StrategyRunner


def refresh(runner: StrategyRunner, state: State) -> None:
    """Give compiled predicates the account as it is before the next input. No-op if its parts are the same."""
    account = state.account
    parts = (account.orders, account.positions, account.modes, account.strategies, account.blocks)
    if state.predicate_parts and all(map(is_, parts, state.predicate_parts)):
        return
    state.predicate_parts = parts
    state.market.disable_predicates()
    if account.modes.mode is not Mode.RUNNING or account.modes.stopping_since_ns:
        return
    for name, trigger in runner.compiled.items():
        if not account.strategies.get(name).stopped_for and not runner.is_blocked(account, name):
            for index, instrument in runner.instruments_of(name):
                position = float(account.positions.get(name, instrument.id).quantity)
                state.market.refresh_predicate(trigger, index, own_order_numbers(account, name, instrument), position)


def disable(state: State) -> None:
    """Disable all compiled predicates, before a record that is only rebuilt."""
    if state.predicate_parts:
        state.predicate_parts = ()
        state.market.disable_predicates()
