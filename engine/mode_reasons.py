"""Modes of the engine, and reasons for them: a code, the object that the reason concerns, and a text for people."""

from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec


class Mode(StrEnum):
    """Modes of the engine (engine/state/mode.py)."""

    STARTING = "starting"  # opening state loaded; not connected yet
    SYNCING = "syncing"  # connected or connecting; something may have been missed
    RUNNING = "running"  # only this mode sends new orders
    PAUSED = "paused"  # healthy, but a person or a rule stops new orders
    HALTED = "halted"  # a person must check and resume


class ReasonCode(StrEnum):
    """Why the engine is not RUNNING."""

    # these end by themselves
    LINK_NOT_READY = "link_not_ready"
    VENUE_BLOCKED = "venue_blocked"  # the venue stated a wait
    NOT_RECONCILED = "not_reconciled"
    FILLS_MISSING = "fills_missing"
    TRADING_FORBIDDEN = "trading_forbidden"  # the venue's report of the account forbids it
    NO_BOOK = "no_book"
    NO_QUOTE = "no_quote"
    ORDER_DOUBTED = "order_doubted"  # the venue contradicted us about an order, which is queried again
    ACCESS_REFUSED = "access_refused"  # the venue or its firewall refused access a short while ago
    INSTRUMENT_BLOCKED = "instrument_blocked"  # others may trade: see engine/block_reasons.py
    LATE = "late"  # the engine processes what arrived too long ago
    SAFETY_ORDER = "safety_order"  # until it is done; a person's lasts until someone resumes
    # a person ends these
    PAUSED = "paused"
    HALT_ORDERED = "halt_ordered"
    KEY_REFUSED = "key_refused"
    MARKET_DATA_INVALID = "market_data_invalid"
    RECORDS_LOST = "records_lost"  # the venue holds an order of ours that no journal contains
    RIVAL_ENGINE = "rival_engine"  # another engine of ours trades this account: its orders bear a session's mark
    ORDER_CONTRADICTED = "order_contradicted"  # the venue and the journal disagree about an order
    LOSS_LIMIT = "loss_limit"  # a loss of the day reached its limit, and the session halts then
    BALANCE_DRIFT = "balance_drift"  # the venue's balance contradicts our records
    EQUITY_DRIFT = "equity_drift"  # the venue's equity is off ours by more than the limit
    POSITION_DRIFT = "position_drift"  # a position is not the sum of its fills
    POSITION_FORCED = "position_forced"  # the venue closed a position: a liquidation, or ADL
    CORE_FAILED = "core_failed"
    UNCLASSIFIED = "unclassified"  # journals of schema 2 have texts only


class ModeReason(msgspec.Struct, frozen=True):
    """One reason for a mode."""

    code: ReasonCode
    text: str
    about: str = ""  # a link, venue, order or instrument

    def __str__(self) -> str:
        return self.text


def key_refused(venue: str, answer: str) -> ModeReason:
    """Return the reason after a venue rejected key, signature or permission."""
    return ModeReason(ReasonCode.KEY_REFUSED, f"{venue} refused our key: {answer}", venue)


def joined(reasons: Sequence[ModeReason]) -> ModeReason:
    """Return several reasons as one, with the code and the object of the first."""
    first = reasons[0]
    return first if len(reasons) == 1 else ModeReason(first.code, texts(reasons), first.about)


def texts(reasons: Iterable[ModeReason]) -> str:
    """Return the texts of reasons in one line."""
    return "; ".join(reason.text for reason in reasons)
