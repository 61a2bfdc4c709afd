"""Rounds of reconciliation: which one runs, when the last one ended, and up to which fill everything is recorded.

engine/execution/reconciliation.py makes the queries and compares the answers; this module keeps what must outlive a
record.
"""

from typing import ClassVar

import msgspec
from msgspec.structs import replace

from engine.facts import FillsConfirmed, Reconciled, ReconcileFailed, RoundChanged
from engine.requests import Purpose
from engine.state.changes import Change, LinkMoved, Requested, Stamp
from engine.state.fill_cursor import FillCursor
from engine.state.orders import Order


class Rounds(msgspec.Struct, frozen=True):
    """The newest round and the last one that ended well: of the session's only account, or of one of several."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"changed_orders", "changed_fills", "changed_balances"})

    round: int = 0  # the newest one
    started_seq: int = -1  # its start: an answer is compared with the state of that record
    done_round: int = 0  # the newest one that ended well
    done_started_seq: int = -1
    done_ns: int = 0
    failures: int = 0  # in a row
    # what the answers to the newest round changed so far
    changed_orders: int = 0
    changed_fills: int = 0
    changed_balances: int = 0

    @property
    def running(self) -> bool:
        """True until the newest round ends."""
        return self.round > self.done_round


_NONE = Rounds()


class ReconcileRounds(Rounds, frozen=True):
    """The rounds of the session, and the confirmed fills. In a session of several venues each account has its own."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = Rounds.OMITTED_AT_DEFAULT | {"by_venue"}

    fills_confirmed: dict[str, int | str] = {}  # instrument -> fill cursor, as records hold it
    fills_queried_ns: dict[str, int] = {}  # instrument -> time of the last query for its fills
    by_venue: dict[str, Rounds] = {}

    def for_account(self, account: str) -> Rounds:
        """Return the rounds of an account, as StepContext.account_of names it."""
        return self.by_venue.get(account, _NONE) if account else self

    @property
    def any_running(self) -> bool:
        """True until the newest round of every account ends."""
        return self.running or any(rounds.running for rounds in self.by_venue.values())

    def changed(self, account: str, **fields: int) -> "ReconcileRounds":
        """Return the rounds with fields of one account's replaced."""
        if not account:
            return replace(self, **fields)
        return replace(self, by_venue={**self.by_venue, account: replace(self.for_account(account), **fields)})

    def confirmed_cursor(self, instrument: str) -> str | None:
        """Return the cursor up to which every fill is booked, or None before the first page."""
        confirmed = self.fills_confirmed.get(instrument)
        return None if confirmed is None else str(confirmed)

    def confirms(self, order: Order, cursors: FillCursor, account: str = "") -> bool:
        """Return True if a reconciliation has confirmed every fill of this order.

        Where an id does not give its place among the fills, a round that began after the order last changed is the
        proof.
        """
        confirmed = self.confirmed_cursor(order.order.instrument)
        confirmed_key = cursors.key(cursors.start if confirmed is None else confirmed)
        places = [cursors.cursor_by_id(fill_id) for fill_id in order.fill_ids]
        return all(
            self.for_account(account).done_started_seq > order.updated_seq
            if place is None
            else cursors.key(place) <= confirmed_key
            for place in places
        )


def reduce(rounds: ReconcileRounds, change: Change, at: Stamp, *, has_accounts: bool = False) -> ReconcileRounds:
    """Fold the queries of a round, its end, and confirmed fills."""
    match change:
        case Requested():
            request = change.request
            if request.purpose is Purpose.FILLS and not request.client_order_id:
                rounds = replace(rounds, fills_queried_ns={**rounds.fills_queried_ns, request.instrument: at.time_ns})
            account = request.venue if has_accounts else ""
            if request.round > rounds.for_account(account).round:
                return rounds.changed(
                    account,
                    round=request.round,
                    started_seq=at.seq,
                    changed_orders=0,
                    changed_fills=0,
                    changed_balances=0,
                )
            return rounds
        case RoundChanged() if change.round == (known := rounds.for_account(change.venue)).round:
            return rounds.changed(
                change.venue,
                changed_orders=known.changed_orders + change.orders,
                changed_fills=known.changed_fills + change.fills,
                changed_balances=known.changed_balances + change.balances,
            )
        case FillsConfirmed():
            return replace(rounds, fills_confirmed={**rounds.fills_confirmed, change.instrument: change.fill_id})
        case Reconciled():
            return rounds.changed(
                change.venue,
                done_round=change.round,
                done_started_seq=rounds.for_account(change.venue).started_seq,
                done_ns=at.time_ns,
                failures=0,
            )
        case ReconcileFailed():
            failures = rounds.for_account(change.venue).failures + 1
            return rounds.changed(change.venue, done_round=change.round, done_started_seq=-1, failures=failures)
        case LinkMoved() if not has_accounts:
            return replace(rounds, failures=0)  # with a new connection a new round may begin at once
        case LinkMoved() if (venue := change.source.partition(".")[0]) in rounds.by_venue:
            return rounds.changed(venue, failures=0)
        case _:
            return rounds
