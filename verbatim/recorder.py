"""Recording for days: one session after the other, each handing its open connections to the next.

Knows when a session must end and what to do when the next cannot begin; nothing of what is recorded.
"""

import re
import signal
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import structlog
import trio

from engine.live.clock import SessionClock
from engine.live.link_tasks import HandedOverLink
from engine.live.session import Session, run_session
from engine.live.session_status import SessionStatus, Summary
from engine.live.startup import PreviousJournal, SessionConfig, StartError, StartPlan, gone_on_from, open_session
from engine.session_record import SECOND_NS
from verbatim.runner import make_folder

RETRY_SECONDS_FIRST, RETRY_SECONDS_MAX = 1.0, 60.0
HOUR_NS = 3600 * SECOND_NS

log = structlog.get_logger()


def roll_due_ns(started_ns: int, *, roll_hours: Decimal, roll_at: str) -> int:
    """Session time at which a session that began then has to end. `roll_at`: "HH:MM" UTC, or "" for an age.

    >>> roll_due_ns(0, roll_hours=Decimal("0.5"), roll_at="") // SECOND_NS
    1800
    >>> roll_due_ns(3 * HOUR_NS, roll_hours=Decimal(24), roll_at="03:00") // HOUR_NS
    27
    """
    if not roll_at:
        return started_ns + int(roll_hours * HOUR_NS)
    hour, minute = map(int, re.findall(r"\d\d", roll_at))
    started = datetime.fromtimestamp(started_ns // SECOND_NS, UTC)
    due = started.replace(hour=hour, minute=minute, second=0)
    return int((due if due > started else due + timedelta(days=1)).timestamp()) * SECOND_NS


class Recorder:
    """Sessions of one recording, until it is told to end."""

    def __init__(
        self,
        wanted: SessionConfig,
        *,
        due_ns: Callable[[int], int],
        tell: Callable[[Summary], None],
        show: Callable[[SessionStatus], None] | None = None,
    ) -> None:
        """`due_ns` says when a session ends that began then; `tell` hears of each that has."""
        self._wanted = wanted
        self._due_ns = due_ns
        self._tell = tell
        self._show = show
        self._over = trio.Event()
        self._kept: dict[str, HandedOverLink] = {}

    async def run(self, seconds: float | None = None) -> Summary:
        """Until a signal, a failure of the disk or of our own, or the end of `seconds`; how the last session ended."""
        make_folder(self._wanted.journals)
        last: Summary | None = None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._signals)
                if seconds is not None:
                    nursery.start_soon(self._end_in, seconds)
                before: PreviousJournal | None = None
                while (plan := await self._opened(before)) is not None:
                    session, last = await self._recorded(plan)
                    self._tell(last)
                    if not last.clean or session.signalled or self._over.is_set():
                        break
                    before = gone_on_from(
                        plan.body, session.state, chain=session.chain, links=tuple(sorted(self._kept))
                    )
                nursery.cancel_scope.cancel()
        finally:
            for kept in self._kept.values():
                await kept.websocket.close()
        if last is None:
            raise StartError("told to end before a session began: nothing was recorded")
        return last

    def end(self) -> None:
        """In order: the running session is closed, and no other begins."""
        self._over.set()

    async def _opened(self, before: PreviousJournal | None) -> StartPlan | None:
        """The next session's plan. The first must be there at once; for a later one we wait as long as it takes."""
        wait_s = RETRY_SECONDS_FIRST
        while not self._over.is_set():
            wanted = self._wanted
            if wanted.clock.kind == "wall":  # anew for each: in days, the monotonic clock drifts from the wall's
                wanted = replace(wanted, clock=SessionClock.wall())
            try:
                return await open_session(wanted, before, self._kept)
            except StartError as problem:
                if before is None:
                    raise
                log.warning("the next session cannot begin yet", reason=str(problem), seconds=wait_s)
            with trio.move_on_after(wait_s):
                await self._over.wait()
            wait_s = min(2 * wait_s, RETRY_SECONDS_MAX)
        return None

    async def _recorded(self, plan: StartPlan) -> tuple[Session, Summary]:
        """One session, from its first record to its seal."""
        ended: list[Summary] = []
        async with trio.open_nursery() as nursery:

            async def run(task_status: "trio.TaskStatus[Session]") -> None:
                ended.append(await run_session(plan, progress=self._show, task_status=task_status))
                nursery.cancel_scope.cancel()

            session = await nursery.start(run)
            self._kept = {}  # they are the session's now
            nursery.start_soon(self._roll, session)
            nursery.start_soon(self._stop_when_over, session)
        self._kept = session.kept
        return session, ended[0]

    async def _roll(self, session: Session) -> None:
        body, clock = session.plan.body, session.plan.wanted.clock
        await trio.sleep(max(clock.seconds_until(self._due_ns(body.started_ns)), 0))
        await session.hand_over(by="record", reason="the next session goes on")

    async def _stop_when_over(self, session: Session) -> None:
        await self._over.wait()
        await session.command("stop", by="record", reason="its time is over")

    async def _end_in(self, seconds: float) -> None:
        await trio.sleep(seconds)
        self._over.set()

    async def _signals(self) -> None:
        """Between two sessions; a running one hears them itself."""
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                self._over.set()
