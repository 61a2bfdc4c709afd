"""The result of a hostile session."""

import msgspec

from verbatim.hostile.fault_plan import FaultPlan
from verbatim.hostile.invariants import Broken


class HostileResult(msgspec.Struct, frozen=True):
    """The result of a hostile session. `broken` is empty if every invariant held."""

    seed: int
    plan: FaultPlan
    broken: tuple[Broken, ...]
    records: int
    orders: int
    fills: int
    sessions: int  # journals
    virtual_s: float
    stays_down: str = ""  # why trading did not come back, as the session said
    missed: tuple[int, ...] = ()  # numbers of faults that had no effect on a client

    def text(self) -> str:
        """Format the result for people."""
        lines = [f"seed {self.seed}: {self.sessions} journals, {self.records:,} records, {self.orders} orders"]
        lines += [f"  fault {fault.text()}" for fault in self.plan.faults]
        lines += [f"  BROKEN {broken.invariant}: {broken.text}" for broken in self.broken]
        return "\n".join(lines)


class BrokenError(Exception):
    """An invariant does not hold, and the session cannot continue."""

    def __init__(self, invariant: str, text: str) -> None:
        """Name the invariant."""
        super().__init__(f"{invariant}: {text}")
        self.broken = Broken(invariant, text)
