"""Logs of the shell: one line an event on stderr, redaction last of all, so that nothing after it can add a secret.

The journal records the session; logs are for the user who watches.
"""

import logging
import os
import re
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from shutil import get_terminal_size
from threading import Lock
from typing import Any

import structlog

from journal.printable import printable

SECRET_NAMES = frozenset(
    {"signature", "apikey", "api_key", "api_secret", "secret", "x-mbx-apikey", "authorization", "password"}
)
_IN_TEXT = re.compile(
    r"""(?i)\b(signature|api_?key|(?:api_?)?secret|x-mbx-apikey|password)(["']?\s*[=:]\s*["']?)[^\s&"',}]+"""
)
HIDDEN = "***"
TEXT_MAX = 10_000  # characters of a value, with a traceback
LIBRARIES = ("httpx", "httpcore", "trio-websocket")
SECOND_NS = 1_000_000_000
EVENT_WIDTH = 15  # of the console form
# the console form has these fields of a line with a text, which contains the others
CONSOLE_FIELDS = (
    "timestamp",
    "level",
    "event",
    "strategy",
    "version",
    "instrument",
    "client_order_id",
    "plan_id",
    "seq",
    "cause",
)
CLEAR_LINE = "\r\x1b[2K"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """The settings of the logs. They concern the shell alone, so no record contains them."""

    level: str = "info"
    json_lines: bool = False
    feed_seconds: float = 60.0  # real time between two reports on the streams; 0: none
    sample_every: int = 0  # one of so many market messages of a link is logged; 0: none


class LogStream:
    """The present stderr: log lines, and below them a status line that is redrawn.

    A test or another program may replace `sys.stderr` at any time. Log lines come from the session's task and from a
    thread. A stderr that fails (a full disk, a closed terminal or pipe) loses lines and never ends a session.
    """

    def __init__(self) -> None:
        self._status = ""
        self._lock = Lock()

    def write(self, text: str) -> None:
        """Write lines above the status line."""
        with self._lock:
            self._write(f"{CLEAR_LINE}{text}{self._status}" if self._status else text)

    def flush(self) -> None:
        """Flush stderr. `write` has done it."""

    def set_status(self, text: str) -> None:
        """Replace the status line, cut to the terminal's width; "" removes it."""
        text = text[: max(_columns() - 1, 1)]
        with self._lock:
            if text or self._status:
                self._write(f"{CLEAR_LINE}{text}")
            self._status = text

    def _write(self, text: str) -> None:
        with suppress(OSError, ValueError):  # ValueError: stderr was closed
            sys.stderr.write(text)
            sys.stderr.flush()


def _columns() -> int:
    """Return the width of the terminal that stderr is; the usual one for anything else."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):
        return get_terminal_size().columns


STDERR = LogStream()


def print_text(text: str) -> None:
    """Print finished log lines."""
    STDERR.write(text)
    STDERR.flush()


def quiet_loggers() -> None:
    """Switch off the logs of libraries that write whole URLs: a URL may hold a signature."""
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace secret values by their names, and secrets inside texts by their form (a structlog processor)."""
    return {name: HIDDEN if name.lower() in SECRET_NAMES else _clean(value) for name, value in event.items()}


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return printable(_IN_TEXT.sub(lambda found: f"{found[1]}{found[2]}{HIDDEN}", value), TEXT_MAX)
    if isinstance(value, int | float | bool | None):
        return value
    return _clean(str(value))


def _stamp(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace `time_ns`, the session time of a record, by a timestamp; without it the line has the present time."""
    time_ns = event.pop("time_ns", None)
    if time_ns is None:
        event["timestamp"] = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    else:
        whole = datetime.fromtimestamp(time_ns // SECOND_NS, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        event["timestamp"] = f"{whole}.{time_ns % SECOND_NS // 1000:06}Z"
    return event


def _readable(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put the text behind the event, and keep a line one line: only a traceback has more."""
    text = event.pop("text", None)
    if text is not None:
        event = {name: event[name] for name in CONSOLE_FIELDS if event.get(name) is not None}
        event["event"] = f"{event['event']:{EVENT_WIDTH}} {text}"
    return {
        name: value.replace("\n", "\\n") if isinstance(value, str) and name != "exception" else value
        for name, value in event.items()
    }


def _wants_colour() -> bool:
    """Return True for a terminal, unless the variable NO_COLOR is set (https://no-color.org)."""
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR")


def configure(*, level: str = "info", json_lines: bool = False) -> None:
    """Configure the logs of this process. The command line calls this once."""
    quiet_loggers()
    last = (
        [structlog.processors.JSONRenderer()]
        if json_lines
        else [_readable, structlog.dev.ConsoleRenderer(colors=_wants_colour(), pad_event_to=0, sort_keys=False)]
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            _stamp,
            structlog.processors.format_exc_info,
            redact,
            *last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=_make_logger,
        cache_logger_on_first_use=False,
    )


def _make_logger(*sinks: Any) -> structlog.WriteLogger:
    """Return a logger on the sink that `structlog.get_logger` was given, or on stderr."""
    return structlog.WriteLogger(sinks[0] if sinks else STDERR)  # type: ignore[arg-type]  # it only writes and flushes
