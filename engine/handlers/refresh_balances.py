"""Balances of a venue whose private link reports none: they are queried after a fill changed them."""

from engine.requests import Purpose
from engine.session_context import SessionContext
from engine.state.account_keys import key_venue_is
from engine.step_context import StepContext


def refresh_balances(session: SessionContext, step: StepContext) -> None:
    """Query the balances of each venue that streams none, if fills came after those that we know."""
    for name in sorted(session.accounts.known):
        factory = session.factories[name]
        if factory.venue.capabilities.streams_balances or not _is_behind(step, step.account_of(name)):
            continue
        is_asked = step.account.requests.find(Purpose.ACCOUNT, venue=name) is not None
        if not is_asked and factory.may_query(step) and not step.account.modes.closing:
            factory.balances(step, reconcile_round=0)


def _is_behind(step: StepContext, account: str) -> bool:
    """Return True if a fill moved an asset of the account after its last balance."""
    known = step.account.balances.by_asset
    return any(
        key_venue_is(key, account) and key in known and known[key].seq < ours.changed_seq
        for key, ours in step.account.ledger.by_asset.items()
    )
