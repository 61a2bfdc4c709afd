"""The time budget of decisions: measured, and enforced while a decision does not return.

A decision runs in the main thread, so the session's tasks wait meanwhile. A second thread interrupts a decision that
exceeds its budget, or that keeps a signal or a command to stop waiting, with any budget: it sends SIGURG to the
main thread, whose handler raises DecisionCutError inside the decision. The strategy is then stopped by record. A
decision that cannot be interrupted ends the signs of life: then another process ends this one
(engine/live/stuck_guard.py).
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType

import msgspec

from engine.bodies import LinkBody, LinkEvent
from engine.errors import DecisionCutError
from engine.live.stuck_guard import StuckGuard
from engine.session_record import SECOND_NS, EngineSettings

SOURCE = "decisions"  # of the LINK records
SLOW_NS = 10_000_000  # of real time: sockets are read after a decision that took longer
POLL_SECONDS = 0.1
AGAIN_NS = SECOND_NS // 3  # between two interruptions of one decision: a strategy may swallow the first
SIGNAL_GRACE_NS = SECOND_NS  # for the decision at hand after SIGINT, SIGTERM or a command that limits the session
STUCK_NS = 10 * SECOND_NS  # after the first interruption


class Overrun(msgspec.Struct, frozen=True):
    """A decision that exceeded its budget."""

    strategy: str
    spent_ns: int  # session time

    def body(self) -> LinkBody:
        """Return the body of its LINK record."""
        return LinkBody(LinkEvent.OVERRUN, strategy=self.strategy, spent_ns=self.spent_ns)


class DecisionWatch:
    """The guard of a live session's decisions (engine/strategy/runner.py, DecisionGuard). Times are the machine's."""

    def __init__(self, settings: EngineSettings, speed: int, code: CodeType | None = None) -> None:
        """Prepare the watch; `run` starts it. Interruptions are raised only inside `code`, if given."""
        self.clock = time.monotonic_ns
        self.slow_ns = SLOW_NS
        self.is_slow = False
        self.overruns: list[Overrun] = []
        self._speed = speed
        self._code = code
        self._warn_ns = settings.decision_warn_ns // speed
        self._stop_ns = settings.decision_stop_ns // speed
        self.began_ns = 0
        self._cut: tuple[int, str] = (0, "")  # (when the decision began that is void, why)
        self._raised_ns = 0
        self._signalled_ns = 0
        self.is_command_waiting: Callable[[], bool] = lambda: False  # called by the watch's thread
        self._commanded: tuple[int, int] = (0, 0)  # (when the decision began, when a command first waited for it)
        self._spent_ns: dict[str, int] = {}  # strategy -> in slow decisions since `busiest`
        self._is_over = threading.Event()

    # ---- in the main thread

    def end_slow(self, strategy: str, began_ns: int, spent_ns: int) -> str:
        """Note a decision that took long. Return why it is void, or ""."""
        self.is_slow = True
        self._spent_ns[strategy] = self._spent_ns.get(strategy, 0) + spent_ns
        if self._cut[0] == began_ns:
            return self._cut[1]
        if self._stop_ns and spent_ns > self._stop_ns:
            return self._too_long()
        if self._warn_ns and spent_ns > self._warn_ns:
            self.overruns.append(Overrun(strategy, spent_ns * self._speed))
        return ""

    def busiest(self) -> Overrun | None:
        """Return the strategy whose slow decisions took longest since the last call, and how long."""
        spent, self._spent_ns = self._spent_ns, {}
        if not spent:
            return None
        strategy = max(sorted(spent), key=spent.__getitem__)
        return Overrun(strategy, spent[strategy] * self._speed)

    def note_signal(self) -> None:
        """Note that the process received a signal to end."""
        self._signalled_ns = self._signalled_ns or time.monotonic_ns()

    def _interrupt(self, _number: int, frame: FrameType | None) -> None:
        """Raise inside the decision that is void. Runs in the main thread, between two of its instructions."""
        began_ns, reason = self._cut
        now_ns = time.monotonic_ns()
        is_due = began_ns and self.began_ns == began_ns and now_ns - self._raised_ns > AGAIN_NS
        if is_due and self._is_inside(frame):
            self._raised_ns = now_ns
            raise DecisionCutError(reason)

    def _is_inside(self, frame: FrameType | None) -> bool:
        """Return True if the frame, or one that called it, runs the code that may be interrupted."""
        while frame is not None and self._code is not None:
            if frame.f_code is self._code:
                return True
            frame = frame.f_back
        return self._code is None

    @contextmanager
    def run(self, guard: StuckGuard | None = None) -> Iterator[None]:
        """Watch decisions meanwhile. Signals reach the main thread alone: in another one, budgets are only measured."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGURG, self._interrupt)
        thread = threading.Thread(target=self._poll, args=(threading.get_ident(), guard), name="decisions", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            thread.join()
            signal.signal(signal.SIGURG, before)

    # ---- in the watch's thread

    def _poll(self, main_thread: int, guard: StuckGuard | None) -> None:
        first_ns = 0
        while not self._is_over.wait(POLL_SECONDS):
            began_ns, now_ns = self.began_ns, time.monotonic_ns()
            is_stuck = bool(began_ns) and self._cut[0] == began_ns and now_ns - first_ns > STUCK_NS
            if guard is not None and not is_stuck:
                guard.beat()
            if not began_ns:
                continue
            if self._cut[0] != began_ns:
                reason = self._why_void(now_ns, now_ns - began_ns)
                if not reason:
                    continue
                self._cut, first_ns = (began_ns, reason), now_ns
            signal.pthread_kill(main_thread, signal.SIGURG)

    def _why_void(self, now_ns: int, spent_ns: int) -> str:
        """Return why a decision that still runs must end, or ""."""
        if self._stop_ns and spent_ns > self._stop_ns:
            return self._too_long()
        if self._signalled_ns and min(spent_ns, now_ns - self._signalled_ns) > SIGNAL_GRACE_NS:
            return "its decision did not return while a signal to stop waited"
        if spent_ns > SIGNAL_GRACE_NS and self.is_command_waiting():
            if self._commanded[0] != self.began_ns:
                self._commanded = (self.began_ns, now_ns)
            if now_ns - self._commanded[1] > SIGNAL_GRACE_NS:
                return "its decision did not return while a command waited"
        return ""

    def _too_long(self) -> str:
        return f"its decision did not return within {self._stop_ns * self._speed / SECOND_NS:.1f} s"
