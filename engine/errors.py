"""Errors of the engine's core. There is none for venues: what a venue does wrong is an event, and is in the journal."""

from collections.abc import Sequence

from journal.record import Record


class CoreError(Exception):
    """The core failed on a record: our mistake. The text names the record; the session must stop.

    `outputs` are what the failed step leaves in the journal: the HALT that a restart finds. `taken` says how many of the
    records handed in they follow.
    """

    def __init__(self, text: str, *, outputs: Sequence[Record] = (), taken: int = 1) -> None:
        super().__init__(text)
        self.outputs = list(outputs)
        self.taken = taken
