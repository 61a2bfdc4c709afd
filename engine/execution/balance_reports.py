"""Balances that the venue reports, streamed or queried, as facts. Older answers change nothing."""

from engine.events import AccountReport, BalanceReport
from engine.facts import BalanceChanged
from engine.money import ZERO
from engine.state.account_keys import asset_key, key_asset, key_venue_is
from engine.state.pending_requests import PendingRequest
from engine.step_context import StepContext


def apply_balance(step: StepContext, report: BalanceReport, venue: str) -> None:
    """Apply a streamed balance unless its venue timestamp is older than ours."""
    account = step.account_of(venue)
    known = step.account.balances.by_asset.get(asset_key(account, report.asset))
    if known is not None and 0 < report.venue_ns < known.venue_ns:
        return
    if known is None or (known.free, known.locked) != (report.free, report.locked):
        step.emit(BalanceChanged(report.asset, report.free, report.locked, venue_ns=report.venue_ns, venue=account))


def apply_balances(step: StepContext, pending: PendingRequest, report: AccountReport, assets: frozenset[str]) -> None:
    """Apply the balances of a query. One that changed later stays; a covered asset that is not listed is 0."""
    account = step.account_of(pending.request.venue)
    listed = {theirs.asset: theirs for theirs in report.balances}
    # an order that was reported before the query is contained in the answer: risk need not count its lock again
    contained = max(
        (
            o.updated_seq
            for o in step.account.orders.live.values()
            if o.updated_seq < pending.seq and account in ("", o.order.instrument.partition(":")[0])
        ),
        default=-1,
    )
    held = {key_asset(key) if account else key for key in step.account.balances.by_asset if key_venue_is(key, account)}
    for asset in filter(report.is_about, sorted(assets | held)):
        key = asset_key(account, asset)
        known = step.account.balances.by_asset.get(key)
        if known is not None and known.seq > pending.seq:
            continue
        if known is not None and step.settings.order_rules and 0 < report.venue_ns < known.venue_ns:
            continue  # the answer is of a state before the one we know
        theirs = listed.get(asset) or BalanceReport(asset, ZERO, ZERO, report.venue_ns)
        is_same = known is not None and (known.free, known.locked) == (theirs.free, theirs.locked)
        contained_here = max(contained, _flow_before(step, key, pending.seq))
        if not is_same or known is None or known.seq < max(contained_here, 0):
            step.emit(BalanceChanged(asset, theirs.free, theirs.locked, pending.seq, theirs.venue_ns, account))


def _flow_before(step: StepContext, key: str, seq: int) -> int:
    """Return the seq of the newest flow that the ledger compares with this answer; -1 without one."""
    ours = step.account.ledger.by_asset.get(key)
    return ours.changed_seq if ours is not None and ours.changed_seq < seq else -1
