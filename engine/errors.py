"""Errors of the engine's core. A venue's mistakes are no errors here: they are events, and are in the journal."""

from collections.abc import Sequence

from journal.record import Record


class CoreError(Exception):
    """The core failed on a record: our mistake. The text names the record; the session must stop.

    Attributes:
        records: The inputs that enter the journal. The last one broke the core, or one of them if there are no outputs.
        outputs: What the failed step leaves behind them: the HALT that the next start finds.

    """

    def __init__(self, text: str, *, records: Sequence[Record] = (), outputs: Sequence[Record] = ()) -> None:
        super().__init__(text)
        self.records = records
        self.outputs = list(outputs)


class NewerSessionError(ValueError):
    """A session was recorded by a newer version, whose names or rules this version does not know."""


class DecisionCutError(BaseException):
    """Interrupts a strategy's decision from outside. Not an Exception: a strategy that catches those must not catch it.

    `reason` says why.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
