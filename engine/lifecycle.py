"""The life cycle of an order, as a table. The code only consults it; docs/ARCHITECTURE.md draws it.

Knows what may follow what, and nothing of venues, quantities or time. A report that the table does not
list for a status changes nothing: seeing one event twice is harmless.
"""

from enum import StrEnum


class Status(StrEnum):
    """Life cycle of an order."""

    PENDING = "pending"  # the REQUEST is recorded; no answer yet
    OPEN = "open"
    TRIGGERED = "triggered"  # a stop that the venue held until the market reached its trigger; no fill yet
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    UNKNOWN = "unknown"  # sent, and no answer that proves anything
    NOT_PLACED = "not_placed"  # proved never to have reached the venue; kept as a tombstone

    __hash__ = str.__hash__  # that of Enum is a Python function


class Report(StrEnum):
    """Reports about an order that can change its status."""

    ACCEPTED = "accepted"
    TRIGGERED = "triggered"
    PART_FILL = "part_fill"
    FULL_FILL = "full_fill"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    NO_ANSWER = "no_answer"
    PROVED_ABSENT = "proved_absent"


_CLOSING = {Report.CANCELED: Status.CANCELED, Report.EXPIRED: Status.EXPIRED}
_FILLING = {Report.PART_FILL: Status.PARTIALLY_FILLED, Report.FULL_FILL: Status.FILLED}

TRANSITIONS: dict[Status, dict[Report, Status]] = {
    Status.PENDING: {
        Report.ACCEPTED: Status.OPEN,
        **_FILLING,  # a fill may overtake its own acknowledgement (Binance Spot API, user data stream)
        **_CLOSING,
        Report.REJECTED: Status.REJECTED,
        Report.NO_ANSWER: Status.UNKNOWN,
        Report.PROVED_ABSENT: Status.NOT_PLACED,
    },
    Status.OPEN: {Report.TRIGGERED: Status.TRIGGERED, **_FILLING, **_CLOSING},
    Status.TRIGGERED: {**_FILLING, **_CLOSING},
    Status.PARTIALLY_FILLED: {**_FILLING, **_CLOSING},
    Status.UNKNOWN: {
        Report.ACCEPTED: Status.OPEN,
        **_FILLING,
        **_CLOSING,
        Report.REJECTED: Status.REJECTED,  # a report of the venue's; never invented from silence
        Report.PROVED_ABSENT: Status.NOT_PLACED,
    },
    # The tombstone: a late report revives the order.
    Status.NOT_PLACED: {Report.ACCEPTED: Status.OPEN, **_FILLING, **_CLOSING},
    # A rejected order that is open or filled after all: the venue contradicts itself. The report that costs money wins.
    Status.REJECTED: {
        Report.ACCEPTED: Status.OPEN,
        Report.FULL_FILL: Status.FILLED,
        Report.PART_FILL: Status.PARTIALLY_FILLED,
    },
    # A fill that was on its way when the order closed is booked; the order stays closed unless it is filled whole.
    Status.CANCELED: {Report.PART_FILL: Status.CANCELED, Report.FULL_FILL: Status.FILLED},
    Status.EXPIRED: {Report.PART_FILL: Status.EXPIRED, Report.FULL_FILL: Status.FILLED},
    Status.FILLED: {},  # nothing may follow
}

LIVE = frozenset({Status.PENDING, Status.OPEN, Status.TRIGGERED, Status.PARTIALLY_FILLED, Status.UNKNOWN})
CLOSED = frozenset(Status) - LIVE


def after(status: Status, report: Report) -> Status | None:
    """Return the status that follows a report, or None if the report changes nothing."""
    return TRANSITIONS[status].get(report)
