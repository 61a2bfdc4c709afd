"""The cadence and the budget with which a session polls a venue without streams. Values only."""

from typing import ClassVar

import msgspec


class PollSettings(msgspec.Struct, frozen=True):
    """The cadence of polls and their part of the budget; 0 as in sessions recorded before polls."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"poll_percent", "poll_every_ns", "account_poll_every_ns"})

    poll_percent: int = 0  # of a minute's request weight, for market data of polled links; 0: as other queries
    poll_every_ns: int = 0  # the least time between two polls of a stream; 0: as the venue's class states
    # between two rounds of reconciliation if an account has no private stream; 0: reconcile_every_ns
    account_poll_every_ns: int = 0
