"""The engine's lateness: when the core must know that it is late, and that it caught up. Reads no clock."""

from engine.bodies import LinkBody, LinkEvent
from engine.session_record import EngineSettings

SOURCE = "ingress"  # of the LINK records


class LagMeter:
    """Comparison of the age of processed messages with the session's bounds, in both directions."""

    def __init__(self, settings: EngineSettings) -> None:
        self.late_since_ns = 0  # session time; 0: the engine keeps up
        self._after_ns = settings.late_after_ns
        self._over_ns = min(settings.late_over_ns, settings.late_after_ns)
        self._waiting_max = settings.late_waiting_max

    def measure(self, now_ns: int, age_ns: int, waiting: int) -> LinkBody | None:
        """Return the LINK body to enter before anything else is processed, or None if no bound is crossed.

        Args:
            now_ns: Session time.
            age_ns: Session time since the oldest unprocessed message may have arrived; 0 if none waits.
            waiting: Messages in the queue.

        """
        if not self.late_since_ns:
            if not self._after_ns or (age_ns <= self._after_ns and waiting <= (self._waiting_max or waiting)):
                return None
            self.late_since_ns = now_ns
            return LinkBody(LinkEvent.LATE, age_ns=age_ns, waiting=waiting)
        if age_ns > self._over_ns or (self._waiting_max and waiting > self._waiting_max // 2):
            return None
        late_ns, self.late_since_ns = now_ns - self.late_since_ns, 0
        return LinkBody(LinkEvent.CAUGHT_UP, age_ns=late_ns, waiting=waiting)
