"""Recording for days: one session after the other, each handing its open connections to the next.

Knows when a session must end and what to do when the next cannot begin; knows nothing of the records.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial

import structlog
import trio

from engine.bodies import CommandName
from engine.live.clock import SessionClock
from engine.live.link_tasks import HandedOverLink
from engine.live.logs import LogSettings
from engine.live.previous_session import PreviousJournal, left_by
from engine.live.session import LiveSession, run_session
from engine.live.session_config import SessionConfig, StartError, StartPlan
from engine.live.session_end import end_signals
from engine.live.session_status import SessionStatus, Summary
from engine.live.startup import open_session
from engine.session_record import SECOND_NS
from verbatim.runner import make_journals_folder
from verbatim.session_log import SessionLog

RETRY_SECONDS_FIRST, RETRY_SECONDS_MAX = 1.0, 60.0
HOUR_NS = 3600 * SECOND_NS

log = structlog.get_logger()


def roll_due_ns(started_ns: int, *, roll_hours: Decimal, roll_at: str) -> int:
    """Return the session time at which a session must end.

    Args:
        started_ns: session time of its start.
        roll_hours: its largest age.
        roll_at: a time of day, "HH:MM" UTC, that overrides the age; "" for none.

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
    """Runs one session after the other until `end()` or a signal."""

    def __init__(
        self,
        config: SessionConfig,
        *,
        due_ns: Callable[[int], int],
        on_end: Callable[[Summary], None],
        on_status: Callable[[SessionStatus], None] | None = None,
        log: LogSettings | None = None,
    ) -> None:
        """Make a recorder.

        Args:
            config: the sessions to record.
            due_ns: returns the end of a session, given its start (session time).
            on_end: called with the summary of each session.
            on_status: called with each progress report.
            log: what the sessions log of their outputs; None: nothing.
        """
        self._config = config
        self._due_ns = due_ns
        self._on_end = on_end
        self._on_status = on_status
        self._make_lines = None if log is None else partial(SessionLog, settings=log)
        self._over = trio.Event()
        self._links: dict[str, HandedOverLink] = {}
        self._refusal = ""  # why nothing can be recorded

    async def run(self, seconds: float | None = None) -> Summary:
        """Record until a signal, a failure, or the end of `seconds`; return the last session's summary."""
        make_journals_folder(self._config.journals)
        last: Summary | None = None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._signals)
                if seconds is not None:
                    nursery.start_soon(self._end_in, seconds)
                before: PreviousJournal | None = None
                while (plan := await self._next_plan(before)) is not None:
                    session, last = await self._record_session(plan)
                    self._on_end(last)
                    if not last.clean or session.was_signalled or self._over.is_set():
                        break
                    before = left_by(plan.body, session.state, chain=session.chain, links=tuple(sorted(self._links)))
                nursery.cancel_scope.cancel()
        finally:
            for link in self._links.values():
                await link.websocket.close()
        if self._refusal:
            raise StartError(self._refusal)
        if last is None:
            raise StartError("stopped before a session began: nothing was recorded")
        return last

    def end(self) -> None:
        """Close the running session and begin no other."""
        self._over.set()

    def _note_status(self, status: SessionStatus) -> None:
        """End if an address is wrong and nothing was ever received, then report the status."""
        if status.address_refused and not status.messages:
            self._refusal = status.address_refused
            self.end()
        if self._on_status is not None:
            self._on_status(status)

    async def _next_plan(self, before: PreviousJournal | None) -> StartPlan | None:
        """Return the next session's plan, or None after `end()`.

        The first session must open at once; a later one is tried until it opens.
        """
        wait_s = RETRY_SECONDS_FIRST
        while not self._over.is_set():
            config = self._config
            if config.clock.kind == "wall":  # over days, the monotonic clock drifts from the wall clock
                config = replace(config, clock=SessionClock.wall())
            try:
                return await open_session(config, before, self._links)
            except StartError as problem:
                if before is None:
                    raise
                log.warning("the next session cannot begin yet", reason=str(problem), seconds=wait_s)
            with trio.move_on_after(wait_s):
                await self._over.wait()
            wait_s = min(2 * wait_s, RETRY_SECONDS_MAX)
        return None

    async def _record_session(self, plan: StartPlan) -> tuple[LiveSession, Summary]:
        """Run one session from its first record to its seal."""
        ended: list[Summary] = []
        async with trio.open_nursery() as nursery:

            async def run(task_status: "trio.TaskStatus[LiveSession]") -> None:
                ended.append(
                    await run_session(
                        plan, progress=self._note_status, make_lines=self._make_lines, task_status=task_status
                    )
                )
                nursery.cancel_scope.cancel()

            session = await nursery.start(run)
            self._links = {}  # the session owns them now
            nursery.start_soon(self._roll, session)
            nursery.start_soon(self._stop_when_over, session)
        self._links = session.open_links
        return session, ended[0]

    async def _roll(self, session: LiveSession) -> None:
        body, clock = session.plan.body, session.plan.wanted.clock
        await trio.sleep(max(clock.seconds_until(self._due_ns(body.started_ns)), 0))
        await session.hand_over(by="record", reason="the next session continues")

    async def _stop_when_over(self, session: LiveSession) -> None:
        await self._over.wait()
        await session.command(CommandName.STOP, by="record", reason="its time is over")

    async def _end_in(self, seconds: float) -> None:
        await trio.sleep(seconds)
        self._over.set()

    async def _signals(self) -> None:
        """End on a signal between two sessions; a running session handles its own."""
        with trio.open_signal_receiver(*end_signals()) as signals:
            async for _ in signals:
                self._over.set()
