"""Choices of a session with several venues: the use of each account, and the reach of one venue's trouble."""

from enum import StrEnum


class AccountUse(StrEnum):
    """Uses of an account by a session."""

    TRADES = "trades"
    WATCHES = "watches"  # nothing that changes the venue is sent there: a key that may only read is enough
    NONE = "none"  # market data alone


class VenueTrouble(StrEnum):
    """The reach of one venue's trouble that ends by itself."""

    ALL = "all"  # the whole session
    OWN = "own"  # the instruments of that venue
