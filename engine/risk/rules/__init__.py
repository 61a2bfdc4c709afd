"""The built-in risk rules: a module here holds those of one subject, and RULES holds all by name.

Each module lists its own in RULES, so adding a rule touches one file. The order is that of the names: it never changes
a verdict, since every rule answers and a record sorts the answers, but two processes must agree on it.
"""

from importlib import import_module
from pkgutil import iter_modules

from engine.risk.context import RiskRule


def discovered() -> dict[str, RiskRule]:
    """Return the rules of all modules of this package, by name."""
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    rules: dict[str, RiskRule] = {}
    for rule in sorted((rule for module in modules for rule in module.RULES), key=lambda rule: rule.name):
        assert rule.name not in rules, f"two risk rules are named {rule.name}"
        rules[rule.name] = rule
    return rules


RULES: dict[str, RiskRule] = discovered()

# The rules of a session whose record lists none. Never changes: the verdicts of recorded sessions hold these names.
FIRST_RULES = frozenset({
    "balance", "lot", "mode", "notional_min", "open_orders", "order_size", "position", "quoted", "rate", "tick",
    "trading", "unknown_order",
})  # fmt: skip
