"""The engine's state after one record: mode, links, orders, positions, balances, markets, and all that is pending."""

from datetime import datetime
from typing import Any

from engine.kernel import Kernel
from engine.state.session_state import Account, State
from journal.record import Record
from replay.moments import utc_time
from replay.state_report import describe_state, state_lines


class StateAt:
    """The state after a record. `account` is the engine's own; the other attributes are plain values.

    Decimals in the plain values are texts, as in `verbatim ask --json`.
    """

    def __init__(self, kernel: Kernel, state: State, record: Record) -> None:
        """Describe a rebuilt state."""
        self._report = describe_state(kernel, state, record)
        self.account: Account = state.account
        self.record = record  # the last one that was folded
        self.seq: int = state.seq
        self.time: datetime = utc_time(state.time_ns)

    @property
    def mode(self) -> str:
        """The mode: starting, syncing, running, paused or halted."""
        return str(self._report["mode"]["mode"])

    @property
    def reasons(self) -> list[str]:
        """The reasons for the mode."""
        return list(self._report["mode"]["reasons"])

    @property
    def orders(self) -> list[dict[str, Any]]:
        """The orders in the state; `live` marks those that may still fill."""
        return list(self._report["orders"])

    @property
    def positions(self) -> list[dict[str, Any]]:
        """The position of each strategy in each instrument."""
        return list(self._report["positions"])

    @property
    def balances(self) -> dict[str, dict[str, str]]:
        """The free and locked balance by asset."""
        return dict(self._report["balances"])

    @property
    def markets(self) -> list[dict[str, Any]]:
        """Quote, top of the book and last trade of each instrument."""
        return list(self._report["markets"])

    @property
    def strategies(self) -> list[dict[str, Any]]:
        """The state of each strategy."""
        return list(self._report["strategies"])

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON values: the object that `verbatim ask --json` prints."""
        return self._report

    def __str__(self) -> str:
        return "\n".join(state_lines(self._report))

    __repr__ = __str__
