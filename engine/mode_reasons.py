"""Modes of the engine, and reasons for them: a code, the object that the reason concerns, and a text for people."""

from enum import StrEnum

import msgspec


class Mode(StrEnum):
    STARTING = "starting"  # opening state loaded; not connected yet
    SYNCING = "syncing"  # connected or connecting; something may have been missed
    RUNNING = "running"  # only here new orders leave
    PAUSED = "paused"  # all is in order, but a person or a rule holds new orders back
    HALTED = "halted"  # a person must look and resume


class ReasonCode(StrEnum):
    """Why the engine is not RUNNING."""

    # these end by themselves
    LINK_NOT_READY = "link_not_ready"
    VENUE_BLOCKED = "venue_blocked"  # the venue stated a wait
    NOT_RECONCILED = "not_reconciled"
    FILLS_MISSING = "fills_missing"
    NO_BOOK = "no_book"
    NO_QUOTE = "no_quote"
    # a person ends these
    PAUSED = "paused"
    HALT_ORDERED = "halt_ordered"
    KEY_REFUSED = "key_refused"
    MARKET_DATA_INVALID = "market_data_invalid"
    RECORDS_LOST = "records_lost"  # the venue holds an order of ours that no journal contains
    ORDER_CONTRADICTED = "order_contradicted"  # the venue and the journal disagree about an order
    CORE_FAILED = "core_failed"
    UNCLASSIFIED = "unclassified"  # of journals that were written without codes


class ModeReason(msgspec.Struct, frozen=True):
    """One reason for a mode."""

    code: ReasonCode
    text: str
    about: str = ""  # a link, venue, order or instrument

    def __str__(self) -> str:
        return self.text


_KEY_REFUSED = " refused our key: "


def key_refused(venue: str, answer: str) -> ModeReason:
    """Return the reason for a halt after the venue rejected key, signature or permission."""
    return ModeReason(ReasonCode.KEY_REFUSED, f"{venue}{_KEY_REFUSED}{answer}", venue)


def code_of(text: str) -> ReasonCode:
    """Return the code of a halt reason that a journal holds as text only."""
    return ReasonCode.KEY_REFUSED if _KEY_REFUSED in text else ReasonCode.UNCLASSIFIED
