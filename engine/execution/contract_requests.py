"""Requests about positions, margin and fundings of contracts, and about the token of the account's link.

A part of the RequestFactory, for venues of contracts.
"""

from collections.abc import Callable
from decimal import Decimal

from engine.model import Instrument, MarginMode
from engine.requests import Purpose
from engine.step_context import StepContext
from engine.venues.contract_accounts import HasPositions, SetsMargin, SetsMarginApart, StreamTokens
from engine.venues.venue import Venue


class ContractRequests:
    """The requests of one venue that concern contracts."""

    def __init__(self, venue: Venue, emit: Callable[..., int]) -> None:
        """Set the venue, and the function that emits a request (RequestFactory)."""
        account = venue.account if venue.trades else None
        # checked once: a protocol takes 60 us to check
        self._positions = account if isinstance(account, HasPositions) else None
        self._token = account if isinstance(account, StreamTokens) else None
        self.sets_margin_at_once = isinstance(account, SetsMargin)  # one request sets leverage and margin mode
        self._emit = emit

    @property
    def has_positions(self) -> bool:
        """True if the venue states positions, leverage and margin modes."""
        return self._positions is not None

    @property
    def _contracts(self) -> HasPositions:
        assert self._positions is not None, "the caller checked `has_positions`"
        return self._positions

    def positions(self, step: StepContext, *, reconcile_round: int) -> None:
        """Query all positions of contracts."""
        self._emit(step, Purpose.POSITIONS, self._contracts.positions(), reconcile_round=reconcile_round)

    def fundings(self, step: StepContext, *, since_ns: int, reconcile_round: int) -> None:
        """Query the fundings since a time of the venue's clock."""
        self._emit(step, Purpose.FUNDINGS, self._contracts.fundings_since(since_ns), reconcile_round=reconcile_round)

    def position_mode(self, step: StepContext) -> None:
        """Query whether the account has long and short positions apart."""
        self._emit(step, Purpose.POSITION_MODE, self._contracts.position_mode())

    def settings(self, step: StepContext, *, instrument: Instrument) -> None:
        """Query the leverage and the margin mode of a contract."""
        unsigned = self._contracts.contract_settings(instrument)
        self._emit(step, Purpose.CONTRACT_SETTINGS, unsigned, instrument=instrument.id)

    def set_leverage(self, step: StepContext, *, instrument: Instrument, leverage: Decimal, mode: MarginMode) -> None:
        """Request another leverage of a contract; with the margin mode if the venue sets both at once."""
        account = self._contracts
        if isinstance(account, SetsMargin):
            unsigned = account.set_margin(instrument, leverage, mode)
        else:
            assert isinstance(account, SetsMarginApart), "a venue with positions sets their margin"
            unsigned = account.set_leverage(instrument, leverage)
        self._emit(step, Purpose.SET_LEVERAGE, unsigned, mutates=True, instrument=instrument.id)

    def set_margin_mode(self, step: StepContext, *, instrument: Instrument, mode: MarginMode) -> None:
        """Request another margin mode of a contract."""
        account = self._contracts
        assert isinstance(account, SetsMarginApart), "a venue with SetsMargin sets it with the leverage"
        unsigned = account.set_margin_mode(instrument, mode)
        self._emit(step, Purpose.SET_MARGIN_MODE, unsigned, mutates=True, instrument=instrument.id)

    @property
    def renew_every_ns(self) -> int:
        """The time between two renewals of the private link's token; 0 if it has none."""
        return self._token.renew_every_ns if self._token is not None else 0

    def renew_token(self, step: StepContext, *, source: str) -> None:
        """Request that the token of a private link lives on."""
        assert self._token is not None, "the caller checked `renew_every_ns`"
        self._emit(step, Purpose.RENEW_TOKEN, self._token.renew_token(), source=source)
