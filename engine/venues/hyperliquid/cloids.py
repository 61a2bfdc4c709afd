"""Client order ids of Hyperliquid: `cloid`, 0x and 32 hex digits (5).

The first 11 digits hold the session's id, the next 5 prove it, and the rest separates the orders of a session. A cloid
is a key for look-ups; the venue does not say that it is unique, so nothing relies on that.
"""

import re
from hashlib import sha256
from typing import Final

from engine.venues.order_ids import SESSION_LETTERS

DIGITS: Final = 32
SESSION_DIGITS: Final = 11  # 36 ** 8 sessions need 42 bits
PROOF_DIGITS: Final = 5  # another program's cloid passes for ours once in a million
LETTERS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
CLOID: Final = re.compile(r"0x[0-9a-f]{32}")


class Cloids:
    """An engine.venues.venue.ClientOrderIds."""

    mark = CLOID

    def make(self, *, session: str, strategy: str, version: str, seq: int, leg: int) -> str:
        """Return the id of an order: its session, then a hash."""
        assert len(session) == SESSION_LETTERS, session
        made = sha256(f"{session}|{strategy}|{version}|{seq}|{leg}".encode()).hexdigest()
        return (
            f"0x{int(session, 36):0{SESSION_DIGITS}x}{_proof(session)}{made[: DIGITS - SESSION_DIGITS - PROOF_DIGITS]}"
        )

    def session_of(self, client_order_id: str) -> str:
        """Return the session that the first digits hold; a text that is no session's for an id of another form."""
        if not CLOID.match(client_order_id):  # an adopted order may have a suffix behind its id
            return ""
        number, letters = int(client_order_id[2 : 2 + SESSION_DIGITS], 16), ""
        for _ in range(SESSION_LETTERS):
            number, letter = divmod(number, len(LETTERS))
            letters = LETTERS[letter] + letters
        proof = client_order_id[2 + SESSION_DIGITS :][:PROOF_DIGITS]
        return letters if not number and proof == _proof(letters) else ""

    def is_valid(self, client_order_id: str) -> bool:
        """Return True if the venue accepts this id."""
        return CLOID.fullmatch(client_order_id) is not None


def _proof(session: str) -> str:
    return sha256(f"cloid|{session}".encode()).hexdigest()[:PROOF_DIGITS]
