"""Reasons that block one instrument while others trade: a code, the object that it concerns, and a text for people.

Each ends by itself, with the data that it misses, so a restart ends it too. A pause by a breaker is no block
(engine/state/breakers.py).
"""

from enum import StrEnum

import msgspec


class BlockCode(StrEnum):
    """Why no new order of an instrument may be placed."""

    NO_BOOK = "no_book"  # the book is not synchronised
    NO_QUOTE = "no_quote"
    STREAM_STALE = "stream_stale"  # about: the stream that stopped
    MARGIN = "margin"  # leverage or margin mode is not known, or is not what the configuration allows
    VENUE_LAGS = "venue_lags"  # about: the stream whose messages are old by the venue's own stamps
    ACCOUNT = "account"  # about: the venue whose account does not run, in a session of several venues


class BlockReason(msgspec.Struct, frozen=True):
    """One reason why an instrument is blocked. Code and object identify it; the text may say more."""

    code: BlockCode
    text: str
    about: str = ""  # a stream, an asset, a strategy or a venue

    def __str__(self) -> str:
        return self.text
