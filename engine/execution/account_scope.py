"""The account that a reconciliation concerns: the only one of the session, or one of several venues."""

from typing import NamedTuple

from engine.execution.request_factory import RequestFactory
from engine.model import Instrument
from engine.state.reconcile_rounds import Rounds
from engine.state.timers import timer_name
from engine.step_context import StepContext
from engine.timer_names import TimerKind


class AccountScope(NamedTuple):
    """An account, with the venue and the instruments of its queries."""

    account: str  # as StepContext.account_of names it: "" in a session of one venue
    factories: dict[str, RequestFactory]  # by venue
    instruments: dict[str, Instrument]

    @property
    def timer(self) -> str:
        """The name of the timer that starts its rounds."""
        return timer_name(TimerKind.RECONCILE, self.account)

    def rounds(self, step: StepContext) -> Rounds:
        """Return its rounds."""
        return step.account.reconciling.for_account(self.account)

    def stale_since_seq(self, step: StepContext) -> int:
        """Return the seq up to which its records may have holes."""
        whole = step.account.modes.stale_since_seq
        own = step.account.account_modes.get(self.account).stale_since_seq if self.account else 0
        return max(whole, own)

    def concerns(self, instrument: str) -> bool:
        """Return True if the instrument, perhaps of an earlier session, is of its venue."""
        return self.account in ("", instrument.partition(":")[0])
