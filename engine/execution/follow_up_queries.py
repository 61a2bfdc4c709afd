"""Queries that follow from the answer to a query, at venues that answer one question in several parts."""

from typing import Protocol

from engine.bodies import RequestBody
from engine.events import FillsReport
from engine.model import Instrument
from engine.requests import Purpose, Unsigned
from engine.step_context import StepContext
from engine.venues.optional_parts import LooksUpInTurn, PagesFromNewest
from engine.venues.venue import Venue


class Emit(Protocol):
    """Emits a request, as RequestFactory does."""

    def __call__(
        self,
        step: StepContext,
        purpose: Purpose,
        unsigned: Unsigned,
        *,
        instrument: str = "",
        client_order_id: str = "",
        reconcile_round: int = 0,
    ) -> int:
        """Return the seq of the request."""
        ...


class FollowUpQueries:
    """The follow-up queries of one venue."""

    def __init__(self, venue: Venue, emit: Emit) -> None:
        self._venue = venue
        self._emit = emit

    def query_again(self, step: StepContext, answered: RequestBody) -> bool:
        """Send the query that follows one which found no order. Return False after the last one: it is absent."""
        account = self._venue.account
        assert answered.unsigned is not None, "a query is a message"
        if not isinstance(account, LooksUpInTurn) or not answered.client_order_id:
            return False
        following = account.query_next(self._instrument(answered), answered.unsigned)
        if following is not None:
            self._emit(
                step,
                Purpose.QUERY_ORDER,
                following,
                instrument=answered.instrument,
                client_order_id=answered.client_order_id,
                reconcile_round=answered.round,
            )
        return following is not None

    def oldest_fills(self, step: StepContext, answered: RequestBody, report: FillsReport) -> bool:
        """Query the oldest fills where a page holds the newest alone. Return False if the page begins at its cursor."""
        account = self._venue.account
        assert answered.unsigned is not None, "a query is a message"
        if not isinstance(account, PagesFromNewest):
            return False
        following = account.oldest_fills(self._instrument(answered), answered.unsigned, report)
        if following is not None:
            name, number = answered.instrument, answered.round
            self._emit(step, Purpose.FILLS, following, instrument=name, reconcile_round=number)
        return following is not None

    def _instrument(self, answered: RequestBody) -> Instrument:
        return next(each for each in self._venue.instruments if each.id == answered.instrument)
