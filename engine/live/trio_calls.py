"""Calls into the session's task from elsewhere: before a signal's handler, and from a thread of the journal."""

import signal
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

import trio


def call_before(number: int, function: Callable[[], None]) -> None:
    """Call a function at a signal, before its present handler. trio restores the handler that was there first."""
    present = signal.getsignal(number)
    if not callable(present):
        return

    def handle(received: int, frame: FrameType | None) -> None:
        function()
        present(received, frame)

    signal.signal(number, handle)


def call_in_trio(token: trio.lowlevel.TrioToken, function: Callable[[], None]) -> None:
    """Call a function in trio's thread, from a thread of the journal. No-op if the session is over."""
    with suppress(trio.RunFinishedError):
        token.run_sync_soon(function, idempotent=True)
