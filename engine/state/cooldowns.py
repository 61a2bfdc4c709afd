"""Cool-downs: for a time a strategy opens no position in an instrument, after a loss, a stop-out or refusals.

engine/handlers/begin_cooldowns.py decides. A cool-down ends with its recorded time, or by a person's command, and the
next session continues it.
"""

import msgspec
from msgspec.structs import replace

from engine.bodies import CommandName, VerdictBody
from engine.facts import CooldownBegan, OrderAccepted, OrderClosed
from engine.lifecycle import Report
from engine.state.changes import Change, Commanded, Stamp
from engine.state.orders import Order, Orders

RULE = "cooldown"  # its own refusals do not count


class Cooldown(msgspec.Struct, frozen=True):
    """A cool-down, kept until the next one."""

    reason: str
    until_ns: int


class Cooldowns(msgspec.Struct, frozen=True):
    """Cool-downs and refusals in a row, by "strategy instrument"."""

    by_key: dict[str, Cooldown] = {}
    refusals: dict[str, int] = {}

    def reason(self, strategy: str, instrument: str, time_ns: int) -> str:
        """Return why the strategy cools down in the instrument, or ""."""
        found = self.by_key.get(key_of(strategy, instrument))
        return "" if found is None or time_ns >= found.until_ns else found.reason


def key_of(strategy: str, instrument: str) -> str:
    """Return the key of a strategy in an instrument."""
    return f"{strategy} {instrument}"


def reduce(cooldowns: Cooldowns, change: Change, at: Stamp, *, orders: Orders) -> Cooldowns:
    """Count refusals in a row, and fold the start of a cool-down and a person's end of it.

    Args:
        cooldowns: The cool-downs.
        change: The change.
        at: The record that brings it.
        orders: The orders before the change.

    """
    match change:
        case CooldownBegan():
            key = key_of(change.strategy, change.instrument)
            return Cooldowns(
                {**cooldowns.by_key, key: Cooldown(change.reason, change.until_ns)}, _without(cooldowns.refusals, key)
            )
        case OrderClosed() if change.status is Report.REJECTED:
            return _counted(cooldowns, _key_of_order(orders.get(change.client_order_id)))
        case VerdictBody() if change.strategy and change.instrument and list(change.rules) != [RULE]:
            return _counted(cooldowns, key_of(change.strategy, change.instrument))
        case OrderAccepted():
            key = _key_of_order(orders.get(change.client_order_id))
            if key not in cooldowns.refusals:
                return cooldowns
            return replace(cooldowns, refusals=_without(cooldowns.refusals, key))
        case Commanded() if change.command.command is CommandName.RESUME_STRATEGY:
            return _ended(cooldowns, strategy=change.command.about)
        case Commanded() if change.command.command is CommandName.RESUME_INSTRUMENT:
            return _ended(cooldowns, instrument=change.command.about)
        case _:
            return cooldowns


def _key_of_order(order: Order | None) -> str:
    return "" if order is None or order.adopted else key_of(order.strategy, order.order.instrument)


def _counted(cooldowns: Cooldowns, key: str) -> Cooldowns:
    if not key:
        return cooldowns
    return replace(cooldowns, refusals={**cooldowns.refusals, key: cooldowns.refusals.get(key, 0) + 1})


def _without(counts: dict[str, int], key: str) -> dict[str, int]:
    return {other: count for other, count in counts.items() if other != key}


def _ended(cooldowns: Cooldowns, strategy: str = "", instrument: str = "") -> Cooldowns:
    kept = {}
    for key, found in cooldowns.by_key.items():
        owner, _, name = key.partition(" ")
        is_meant = owner == strategy if strategy else instrument in (name, name.partition(":")[2])
        if not is_meant:
            kept[key] = found
    return cooldowns if len(kept) == len(cooldowns.by_key) else replace(cooldowns, by_key=kept)
