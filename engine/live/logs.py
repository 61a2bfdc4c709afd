"""Logs of the shell: one line an event on stderr, redaction last of all, so that nothing after it can add a secret.

The journal records the session; logs are for the user who watches.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
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


def configure(*, level: str = "info", json_lines: bool = False) -> None:
    """Configure the logs of this process. The command line calls this once."""
    quiet_loggers()
    last = (
        structlog.processors.JSONRenderer() if json_lines else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redact,
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=_to_stderr,
        cache_logger_on_first_use=False,
    )


def _to_stderr(*_given: object) -> structlog.PrintLogger:
    """Return a logger on the present stderr: a test or a progress bar may have replaced it."""
    return structlog.PrintLogger(sys.stderr)
