"""The accounts of a session, one for each venue: the use of each, and the scopes that are reconciled together.

Made once a session from the SESSION record and never changed.
"""

from collections.abc import Mapping

from engine.execution.account_scope import AccountScope
from engine.execution.request_factory import RequestFactory
from engine.session_record import SessionBody, VenueSettings
from engine.venue_choices import AccountUse


class SessionAccounts:
    """The accounts of a session: see the module's head."""

    def __init__(
        self, body: SessionBody, venues: Mapping[str, VenueSettings], factories: dict[str, RequestFactory]
    ) -> None:
        """Take the session's venues by the name that sources and instruments bear."""
        self._venues = venues
        self._instruments = {each.id: each for each in body.instruments}
        self._assets = {name: self._assets_of(name) for name in venues}
        self.are_several = len(venues) > 1
        uses = {name: each.use if body.account else AccountUse.NONE for name, each in venues.items()}
        self.known = frozenset(name for name, use in uses.items() if use is not AccountUse.NONE)
        self.trading = frozenset(name for name, use in uses.items() if use is AccountUse.TRADES)
        self.scopes = self._scopes(factories)
        self.round_timers = tuple(scope.timer for scope in self.scopes.values())
        self.contracts = tuple(each for each in body.instruments if each.contract)
        self.have_dead_man_switch = any(factory.has_dead_man_switch for factory in factories.values())
        self.renew_tokens = any(factory.contracts.renew_every_ns for factory in factories.values())

    def has_account_for(self, instrument: str) -> bool:
        """Return False for an instrument at a venue without an account; an older session may have orders there."""
        listed = self._instruments.get(instrument)
        return listed is None or listed.venue in self.known

    def assets_at(self, venue: str) -> frozenset[str]:
        """Return the assets of a venue's instruments."""
        return self._assets[venue]

    def _assets_of(self, venue: str) -> frozenset[str]:
        own = (each for each in self._instruments.values() if each.venue == venue)
        return frozenset(asset for each in own for asset in (each.base, each.quote, each.margin or each.quote))

    def _scopes(self, factories: dict[str, RequestFactory]) -> dict[str, AccountScope]:
        """Return what is reconciled together, by account: all of a session of one venue, else each account."""
        if not self.are_several:
            return {"": AccountScope("", factories, self._instruments)}
        return {
            name: AccountScope(
                name,
                {name: factories[name]},
                {key: each for key, each in self._instruments.items() if each.venue == name},
            )
            for name in self._venues
            if name in self.known
        }
