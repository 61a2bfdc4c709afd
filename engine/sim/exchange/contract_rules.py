"""Rules of a contract with margin: brackets of maintenance margin, fees of liquidation, funding. Pure arithmetic.

Amounts and rates are integers in units of 1e-8. A maintenance margin is notional x rate - amount of the bracket: it has
no step at a bracket's edge.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import msgspec

from engine.sim.units import ONE, product, units

HOUR_NS: Final = 3_600_000_000_000


class MarginBracket(NamedTuple):
    """One bracket of notional."""

    floor: int
    cap: int
    leverage_max: int
    rate: int  # of maintenance margin
    amount: int  # what the rate counts too much, because lower notionals have lower rates


def brackets_of(rows: Sequence[tuple[str, int, str]]) -> tuple[MarginBracket, ...]:
    """Return the brackets of (cap of notional, most leverage, rate of maintenance margin), lowest first."""
    floors = [0, *(units(cap) for cap, _, _ in rows)]
    found: list[MarginBracket] = []
    amount = rate_before = 0
    for (floor, cap), (_, leverage_max, rate_text) in zip(pairwise(floors), rows, strict=True):
        rate = units(rate_text)
        amount += product(floor, rate - rate_before)
        found.append(MarginBracket(floor, cap, leverage_max, rate, amount))
        rate_before = rate
    return tuple(found)


LARGE: Final = brackets_of((
    ("50000", 125, "0.004"), ("500000", 100, "0.005"), ("10000000", 50, "0.01"), ("80000000", 20, "0.025"),
    ("150000000", 10, "0.05"), ("300000000", 5, "0.1"), ("450000000", 4, "0.125"), ("600000000", 3, "0.15"),
    ("800000000", 2, "0.25"), ("1200000000", 1, "0.5"),
))  # fmt: skip


class ContractRules(msgspec.Struct, frozen=True, kw_only=True):
    """The rules of one contract, beside the filters of its symbol."""

    brackets: tuple[MarginBracket, ...] = LARGE
    liquidation_fee: int = units("0.0125")  # of the notional that a liquidation closes
    market_take_bound: int = units("0.05")  # a market order trades within this share of the mark price
    trigger_protect: int = units("0.05")  # priceProtect: mark and last price may differ by this share
    conditional_orders_max: int = 200  # of an account, over all symbols
    funding_hours: int = 8  # between two fundings
    interest_rate: int = units("0.0001")  # of a funding while the mark price is close to its index
    premium_clamp: int = units("0.0005")
    funding_rate_max: int = units("0.003")  # cap, and with the other sign floor

    def bracket(self, notional: int) -> MarginBracket:
        """Return the bracket of a notional; above the last one, that one."""
        return next((bracket for bracket in self.brackets if notional <= bracket.cap), self.brackets[-1])

    def maintenance(self, notional: int) -> int:
        """Return the maintenance margin of a position's notional, rounded up."""
        bracket = self.bracket(notional)
        return -(-notional * bracket.rate // ONE) - bracket.amount if notional else 0

    def notional_max(self, leverage: int) -> int:
        """Return the largest notional at a leverage."""
        return max((bracket.cap for bracket in self.brackets if bracket.leverage_max >= leverage), default=0)

    @property
    def leverage_max(self) -> int:
        """The largest leverage of all brackets."""
        return self.brackets[0].leverage_max

    def next_funding_ns(self, now_ns: int) -> int:
        """Return the first time of a funding after now."""
        interval_ns = self.funding_hours * HOUR_NS
        return (now_ns // interval_ns + 1) * interval_ns

    def funding_rate(self, mark: int, index: int) -> int:
        """Return the rate of the next funding: the premium, drawn towards the interest rate within the clamp."""
        premium = (mark - index) * ONE // index if index else 0
        drawn = max(-self.premium_clamp, min(self.premium_clamp, self.interest_rate - premium))
        return max(-self.funding_rate_max, min(self.funding_rate_max, premium + drawn))
