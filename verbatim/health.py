"""The health of a session for load balancers, probes and watchdogs, from the values of a metrics reader.

Two questions: does the process live and write (`/health`), and does it place new orders (`/ready`).
"""

import time
from pathlib import Path

import msgspec

from analysis.metrics.reader import MetricsReader
from engine.mode_reasons import Mode
from engine.session_record import read_session
from journal.errors import JournalError
from journal.reader import Journal
from journal.sessions import session_id_of
from verbatim.options import AGE_SECONDS_MAX


class Health(msgspec.Struct, frozen=True):
    """The answer to a probe. Fields that are not known are empty or None."""

    session: str
    is_alive: bool  # a process writes the session
    ended: str  # "" while it runs; closed, or stopped without closing
    mode: str
    reasons: list[str]  # codes, as the metric mode_reason has them
    last_record_age_s: float
    problems: list[str]  # why the session is not healthy
    waits: list[str]  # why a healthy session is not ready

    @property
    def is_healthy(self) -> bool:
        """True if a process lives and writes records."""
        return not self.problems

    @property
    def is_ready(self) -> bool:
        """True if it also places new orders."""
        return not (self.problems or self.waits)

    def as_json(self, *, is_ok: bool) -> bytes:
        """Return the body of an answer."""
        fields = {"status": "ok" if is_ok else "failing", **msgspec.to_builtins(self)}
        return msgspec.json.encode(fields) + b"\n"


class HealthProbe:
    """Answers probes from a reader's values."""

    def __init__(self, age_s_max: float = AGE_SECONDS_MAX) -> None:
        """Keep the limit.

        Args:
            age_s_max: Seconds since the newest record, above which a session is not healthy.
        """
        self._age_s_max = age_s_max
        self._is_scaled: tuple[Path, bool] | None = None  # of the session that was read last

    def measure(self, reader: MetricsReader) -> Health:
        """Return the health as of now."""
        values = reader.values()
        age_s = values.get("reader_idle_seconds")  # a reader that has just begun knows only the record's own time
        if not self._has_scaled_clock(reader.folder):
            age_s = max(age_s, time.time() - values.get("last_record_timestamp_seconds"))
        is_alive = bool(values.get("session_up"))
        ended = next((how for how in ("closed", "stopped") if values.get("session_ended", how)), "")
        mode = next((each.value for each in Mode if values.get("mode", each.value)), "")
        problems = []
        if not is_alive:
            problems.append(f"no process writes the session: {ended or 'stopped'}")
        elif age_s > self._age_s_max:
            problems.append(f"no record for {age_s:.1f} s")
        if reader.failure:
            problems.append(f"the journal cannot be read further: {reader.failure}")
        return Health(
            session=session_id_of(reader.folder.name) or reader.folder.name,
            is_alive=is_alive,
            ended=ended,
            mode=mode,
            reasons=sorted(labels[0] for labels in values.labels("mode_reason")),
            last_record_age_s=round(max(age_s, 0.0), 3),
            problems=problems,
            waits=[] if mode == Mode.RUNNING else [f"the mode is {mode or 'not known'}"],
        )

    def _has_scaled_clock(self, folder: Path) -> bool:
        """Return True if session time is not comparable with the wall clock."""
        if self._is_scaled is None or self._is_scaled[0] != folder:
            try:
                body = read_session(Journal.open(folder).session_record().body or "")
            except (JournalError, OSError):
                return True
            self._is_scaled = folder, body.clock.speed != 1
        return self._is_scaled[1]
