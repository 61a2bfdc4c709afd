"""The ledger against the venue: which differences are confirmed, and what follows (engine/state/ledger.py compares).

A difference is confirmed at the end of a reconciliation round that began after the report. A report that our records do
not explain within a moment starts another round. Texts are recorded, so they keep their words.
"""

from decimal import Decimal
from typing import Final

from engine import contracts
from engine.bodies import NoteLevel
from engine.facts import BalanceDrift
from engine.lifecycle import Status
from engine.mode_reasons import ModeReason, ReasonCode, joined
from engine.money import ZERO
from engine.session_record import DriftAction
from engine.state.account_keys import asset_key, key_asset, key_venue, key_venue_is
from engine.state.ledger import AssetLedger, BalanceReading, difference
from engine.step_context import StepContext
from journal.record import plain

SETTLE: Final = 5  # parts of the request timeout: a fill may arrive a little after the balance that contains it
ROUND_INTERVAL: Final = 2  # parts of it between two rounds that unexplained reports start


def compare(step: StepContext, *, account: str, corrections: int) -> int:
    """Record confirmed differences at the end of a round, before the fact that ends it.

    Args:
        step: The current step.
        account: The account that was reconciled, as StepContext.account_of names it.
        corrections: The number of its orders whose fills are missing.

    Returns:
        The number of own orders whose unknown fills may be the difference. If not 0, nothing is confirmed.

    """
    if corrections or not step.reducer_settings.has_ledger:
        return 0  # fills are missing: the ledger is behind for a known reason
    found_by_key = _differences(step, account)
    unsettled = _unsettled(step, account, found_by_key)
    if unsettled:
        return unsettled
    for key, found in found_by_key.items():
        ours = step.account.ledger.by_asset[key]
        assert ours.compared is not None, "it was compared"
        fact = _drift(key, account, ours, ours.compared, found)
        step.emit(fact, source="ledger")
        if found:
            advice = f"for a deposit, withdrawal or trade of yours: control SESSION accept-balance {key}"
            step.note(NoteLevel.ALARM, f"{drift_text(fact)}; {advice}")
        else:
            step.note(NoteLevel.INFO, f"{key}: the venue's balance and our records agree again")
    return 0


def _differences(step: StepContext, account: str) -> dict[str, Decimal]:
    """Return the assets of an account whose difference is not the one that is recorded, by key."""
    found: dict[str, Decimal] = {}
    margins = margin_assets(step)
    for key in sorted(step.account.ledger.by_asset):
        ours = step.account.ledger.by_asset[key]
        if ours.compared is not None and key not in margins and key_venue_is(key, account):
            found[key] = difference(ours, ours.compared, tolerance=_tolerance(step, key))
            if found[key] == ours.drift:
                del found[key]
    return found


def margin_assets(step: StepContext) -> frozenset[str]:
    """Return the keys of the assets that contracts settle in and that are not compared: all before accounting 6."""
    if step.reducer_settings.settles_contracts:
        return frozenset()
    instruments = step.reducer_settings.instruments.values()
    return frozenset(
        asset_key(step.account_of(each.venue), each.margin or contracts.asset_of(each))
        for each in instruments
        if each.contract
    )


def _unsettled(step: StepContext, account: str, found: dict[str, Decimal]) -> int:
    """Count the orders that the venue may have filled before a report that differs, although we know of no fill."""
    reports = [step.account.ledger.by_asset[key].compared for key, amount in found.items() if amount]
    newest_ns = max((report.at_ns for report in reports if report is not None), default=-1)
    return sum(
        order.status in (Status.PENDING, Status.UNKNOWN)
        and order.created_ns <= newest_ns
        and account in ("", order.order.instrument.partition(":")[0])
        for order in step.account.orders.live.values()
    )


def halt_for_drift(step: StepContext) -> None:
    """Halt while a confirmed drift lasts, if so configured."""
    account, settings = step.account, step.reducer_settings
    if not settings.has_ledger or settings.risk.on_drift is not DriftAction.HALT:
        return
    known = account.modes.halts
    if known and (not settings.engine.order_rules or any(why.code is ReasonCode.BALANCE_DRIFT for why in known)):
        return
    reasons = [_drift_reason(step, key) for key in account.ledger.drifted]
    if reasons and account.links.has_account:
        step.halt(joined(reasons), source="ledger")


def is_unexplained(step: StepContext, account: str) -> bool:
    """Return True if a report that no round has compared contradicts our records for longer than a moment."""
    timeout_ns = step.settings.request_timeout_ns
    done_ns = step.account.reconciling.for_account(account).done_ns
    if not step.reducer_settings.has_ledger or step.time_ns - done_ns < timeout_ns // ROUND_INTERVAL:
        return False
    is_busy = bool(step.account.requests.by_seq)  # reports come all the time, so none gets old
    margins = margin_assets(step)
    settled_ns = step.time_ns - timeout_ns // SETTLE
    for key, ours in step.account.ledger.by_asset.items():
        report = ours.report
        if report is None or ours.checked_seq >= report.seq or (report.at_ns >= settled_ns and not is_busy):
            continue
        if key in margins or not key_venue_is(key, account):
            continue
        if difference(ours, report, tolerance=_tolerance(step, key)) != 0:
            return True
    return False


def _drift_reason(step: StepContext, key: str) -> ModeReason:
    """Return the reason to halt for a confirmed drift."""
    ours, account = step.account.ledger.by_asset[key], step.account_of(key_venue(key))
    report = ours.compared or ours.report
    text = f"{key}: the venue's balance is off by {plain(ours.drift)}"
    if report is not None:
        text = drift_text(_drift(key, account, ours, report, ours.drift))
    return ModeReason(ReasonCode.BALANCE_DRIFT, text, key)


def drift_text(fact: BalanceDrift) -> str:
    """Return a drift as a person reads it, with the records behind our number."""
    opening = "an earlier session" if fact.opening_seq < 0 else f"record {fact.opening_seq}"
    agreed = "" if fact.agreed_seq < 0 else f", agreed at record {fact.agreed_seq}"
    records = ", ".join(map(str, fact.records)) or "none"
    older = f" and {fact.older} older" if fact.older else ""
    name = asset_key(fact.venue, fact.asset)
    return (
        f"{name}: the venue reports {plain(fact.reported)} in record {fact.report_seq}, our records say "
        f"{plain(fact.expected)} (opening {plain(fact.opening)} in {opening}{agreed}; "
        f"since then records {records}{older})"
    )


def _drift(key: str, account: str, ours: AssetLedger, report: BalanceReading, found: Decimal) -> BalanceDrift:
    return BalanceDrift(
        asset=key_asset(key) if account else key,
        expected=report.total - found,
        reported=report.total,
        difference=found,
        report_seq=report.seq,
        opening=ours.opening,
        opening_seq=ours.opening_seq,
        agreed_seq=ours.agreed_seq,
        records=ours.records,
        older=ours.older,
        venue=account,
    )


def _tolerance(step: StepContext, key: str) -> Decimal:
    """Return the difference that is no drift: that of the asset, or of the asset of this account."""
    tolerances = step.reducer_settings.risk.balance_tolerance
    if step.reducer_settings.has_accounts:
        return tolerances.get(key, tolerances.get(key_asset(key), ZERO))
    return tolerances.get(key, ZERO)
