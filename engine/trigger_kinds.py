"""Kinds of triggers that make a strategy decide, named as in `cadence` of a SESSION record and in `view.trigger`."""

from enum import StrEnum
from typing import Final


class TriggerKind(StrEnum):
    """A cause of a decision."""

    QUOTE = "quote"  # a best bid or ask changed, or the declared condition came true
    TRADE = "trade"  # the market traded
    BOOK = "book"  # any level of a book changed
    BAR = "bar"  # a bar closed
    TIMER = "timer"  # the declared period passed
    FILL = "fill"  # an own order filled
    ORDER_END = "order_end"  # an own order ended
    REFUSAL = "refusal"  # risk refused an own intent, or the venue rejected an own order
    MODE = "mode"  # the session began to trade, or does so again


ACCOUNT_KINDS: Final = frozenset({TriggerKind.FILL, TriggerKind.ORDER_END, TriggerKind.REFUSAL, TriggerKind.MODE})
SEPARATOR: Final = "/"  # in the name of a market trigger: "strategy/trade"


def trigger_name(strategy: str, kind: TriggerKind) -> str:
    """Return the name of a strategy's trigger in the market: the strategy's own for quotes."""
    return strategy if kind is TriggerKind.QUOTE else f"{strategy}{SEPARATOR}{kind}"


def split_trigger(name: str) -> tuple[str, TriggerKind]:
    """Return the strategy and the kind of a trigger's name."""
    strategy, separator, kind = name.partition(SEPARATOR)
    return strategy, TriggerKind(kind) if separator else TriggerKind.QUOTE
