"""Keys that are read again while a session runs: each is tried before it replaces the one in use.

An old key stays in use if the new one cannot be read, or if the venue refuses it.
"""

from collections.abc import Callable

import trio

from engine.events import Answer, Outcome
from engine.live.gateway import Gateway
from engine.live.session_config import KeyReadError, ReadKeys
from engine.requests import AnswerStatus
from engine.session_context import SessionContext
from engine.state.session_state import State
from engine.venues.optional_parts import key_proofs, key_refusal
from engine.venues.signing import SecretKey


class KeyReload:
    """Reads the keys of a session again, on a person's command."""

    def __init__(
        self, session: SessionContext, gateway: Gateway, read: ReadKeys | None, state: Callable[[], State]
    ) -> None:
        self._session = session
        self._gateway = gateway
        self._read = read
        self._state = state

    async def run(self, about: str) -> str:
        """Replace the key of a venue, or of all for "". Return why a key stays the old one, or "".

        The caller records the command afterwards: the core then opens the account's links again.
        """
        known = self._session.accounts.known
        if self._read is None or not known:
            return "this session has no key that could be read again"
        if about and about not in known:
            return f"the session has no account at {about}; it has one at {', '.join(sorted(known))}"
        try:
            keys = await trio.to_thread.run_sync(self._read)
        except KeyReadError as error:
            return f"{error}; the keys in use stay"
        venues = [about] if about else sorted(known)
        for venue in venues:
            if venue not in keys:
                return f"no key of {venue} was read; the keys in use stay"
            if why := await self._refusal(venue, keys[venue]):
                return f"{venue}: {why}; the keys in use stay"
        for venue in venues:
            self._gateway.replace_key(venue, keys[venue])
        return ""

    async def _refusal(self, venue: str, key: SecretKey) -> str:
        """Make the queries that prove a key. Return why they do not, or ""."""
        dialect = self._session.venues[venue]
        offset_ns = self._state().account.limits.get(venue).clock_offset_ns
        bodies = []
        for query in key_proofs(dialect, key):
            result = await self._gateway.try_key(venue, query, key, offset_ns)
            if result.outcome is not AnswerStatus.ANSWER:
                return f"no answer to a query with the new key ({result.error})"
            events = dialect.decode_answer(query, "", result.status, result.headers, result.body)
            answer = next((event for event in events if isinstance(event, Answer)), Answer(Outcome.UNKNOWN))
            if answer.outcome is not Outcome.DONE:
                return f"the venue refuses the new key: {answer.coded_text}".rstrip()
            bodies.append(result.body)
        return key_refusal(dialect, key, bodies)
