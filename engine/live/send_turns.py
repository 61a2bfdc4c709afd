"""Turns of requests to venues that take each nonce once and in rising order: two at once could overtake each other."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio

from engine.venues.optional_parts import SendsInTurn
from engine.venues.venue import Venue

WAIT_S_MAX: Final = 1.0  # for the answer before: a hung request must not keep a cancel


class SendTurns:
    """The turns of all venues."""

    def __init__(self) -> None:
        self._last: dict[str, trio.Event] = {}  # venue -> set when its newest request has ended
        self._takes_turns: dict[str, bool] = {}  # by venue: each check of a protocol takes 60 us

    def has_turns(self, venue: Venue) -> bool:
        """Return True if requests to a venue must arrive in the order of their signatures."""
        if venue.name not in self._takes_turns:
            self._takes_turns[venue.name] = isinstance(venue.signer, SendsInTurn)
        return self._takes_turns[venue.name]

    @asynccontextmanager
    async def turn(self, venue: Venue) -> AsyncIterator[None]:
        """Wait until the venue's request before this one was answered, by at most WAIT_S_MAX. No-op for most venues."""
        if not self.has_turns(venue):
            yield
            return
        before, ended = self._last.get(venue.name), trio.Event()
        self._last[venue.name] = ended
        try:
            if before is not None:
                with trio.move_on_after(WAIT_S_MAX):
                    await before.wait()
            yield
        finally:
            ended.set()
