"""Faults that change the exchange itself: a symbol's rules, and an account's permission to trade."""

import msgspec

from engine.sim.binance.filters import COUNTS
from engine.sim.exchange.exchange import Exchange
from engine.sim.faults import Action, Rule
from engine.sim.units import units


def _field(name: str, text: str) -> str | int:
    """Return the value of a field of SymbolRules from its text."""
    if name == "status":
        return text
    return int(text) if name in COUNTS else units(text)


def change_exchange(exchange: Exchange, rule: Rule) -> bool:
    """Apply a fault to the exchange. Return False for a fault of another kind."""
    match rule.action:
        case Action.CHANGE_RULES:
            market = exchange.market(rule.symbol)
            fields = {name: _field(name, text) for name, text in rule.rules.items()}
            market.rules = msgspec.structs.replace(market.rules, **fields)
        case Action.ALLOW_TRADING:
            for account in exchange.accounts.values():
                account.can_trade = rule.on
        case _:
            return False
    return True
