"""A request that is signed and encoded while its record is on its way to the disk."""

from typing import Any

import msgspec

from engine.live.transport.http_result import SendsAtOnce
from engine.requests import Unsigned
from engine.session_record import MILLISECOND_NS
from engine.venues.signing import HttpMessage, SecretKey
from engine.venues.venue import Venue

AGE_NS_MAX = 500_000_000  # session time from the signature to the sending; then it is signed again
WINDOW_SHARE_MAX = 4  # and a quarter of the time in which the venue accepts it: the way there needs the rest


class SignedRequest(msgspec.Struct, frozen=True):
    """The bytes of a request, as long as they are good. Its repr shows nothing, as that of its message."""

    message: HttpMessage
    key: SecretKey | None
    stamped_ns: int  # session time
    age_ns_max: int
    data: bytes = b""  # to send at once; empty: the sender writes it

    def __repr__(self) -> str:
        return f"SignedRequest({self.message!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("message", self.message)]

    def is_good(self, key: SecretKey | None, now_ns: int) -> bool:
        """Return False if the key was replaced since, or the venue may find the time of the signature too old."""
        return key is self.key and now_ns - self.stamped_ns <= self.age_ns_max


def sign(
    venue: Venue,
    unsigned: Unsigned,
    key: SecretKey | None,
    *,
    venue_ns: int,
    now_ns: int,
    sender: SendsAtOnce | None,
) -> SignedRequest | None:
    """Return the signed request, encoded for a sender that sends at once; None if it cannot be signed.

    The attempt to send it reports the error.
    """
    try:
        message = venue.signer.sign_http(unsigned, key, venue_ns)
    except ValueError:
        return None
    age_ns_max = min(AGE_NS_MAX, venue.recv_window_ms * MILLISECOND_NS // WINDOW_SHARE_MAX)
    data = b"" if sender is None else sender.encode(message)
    return SignedRequest(message, key, now_ns, age_ns_max, data)
