"""Session time for the shell: where it starts, how fast it runs, and how long to wait for a point of it.

The only file that reads a clock for the engine. The core learns the time from records alone.
"""

import time
from dataclasses import dataclass

from engine.session_record import SECOND_NS, ClockSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionClock:
    """Origin plus `speed` times the monotonic time since: it never jumps and never falls.

    Processes of one machine that hold the same three numbers have the same clock (the monotonic clock is the
    machine's).
    """

    session_origin_ns: int
    monotonic_origin_ns: int
    speed: int = 1
    kind: str = "wall"

    @classmethod
    def wall(cls) -> "SessionClock":
        """Return a clock of real time: the wall clock now, and the monotonic clock since."""
        return cls(session_origin_ns=time.time_ns(), monotonic_origin_ns=time.monotonic_ns())

    @classmethod
    def scaled(cls, *, session_origin_ns: int, monotonic_origin_ns: int, speed: int) -> "SessionClock":
        """Return the clock of a simulated venue on this machine."""
        return cls(
            session_origin_ns=session_origin_ns, monotonic_origin_ns=monotonic_origin_ns, speed=speed, kind="scaled"
        )

    @property
    def settings(self) -> ClockSettings:
        """Return the settings that the SESSION record states."""
        return ClockSettings(self.kind, self.speed)

    def now_ns(self) -> int:
        """Return the session time."""
        return self.session_origin_ns + (time.monotonic_ns() - self.monotonic_origin_ns) * self.speed

    def seconds(self, duration_ns: int) -> float:
        """Return a duration of session time in real seconds."""
        return duration_ns / self.speed / SECOND_NS

    def seconds_until(self, due_ns: int) -> float:
        """Return how long to wait, in seconds of this machine, until a session time."""
        return self.seconds(due_ns - self.now_ns())

    def drift_ns(self) -> int | None:
        """Return wall clock minus session time, or None for a scaled clock."""
        return time.time_ns() - self.now_ns() if self.kind == "wall" else None


# The wall clock. It is for receive stamps, ages and folder names, never for a decision.
wall_ns = time.time_ns
