"""Our books against the venue's at the end of a round: equity, and the sums of fills against positions.

A balance has its own check (ledger_check.py). Equity adds all of them up in the reporting currency, also differences
that a tolerance allows; `risk.equity_drift_max` limits the sum. Texts are recorded, so they keep their words.
"""

from decimal import Decimal
from typing import NamedTuple

from engine.bodies import NoteLevel
from engine.execution.account_scope import AccountScope
from engine.execution.ledger_check import SETTLE, margin_assets
from engine.facts import BooksCompared
from engine.mode_reasons import ModeReason, ReasonCode
from engine.money import ZERO
from engine.state.account_keys import key_asset, key_venue_is
from engine.state.ledger import difference
from engine.state.rates import recorded_rate
from engine.state.wallets import instrument_of
from engine.step_context import StepContext
from engine.valuation import value_in
from journal.record import plain

NAMED_MAX = 5  # wrong positions that a reason to halt names


def compare_books(step: StepContext, scope: AccountScope, *, is_settled: bool) -> None:
    """Record equity and positions by our records and by the venue, before the fact that ends the round.

    Args:
        step: The current step.
        scope: The account whose round ends.
        is_settled: False if fills are missing or orders are unknown: equity is then not compared.

    """
    if not step.reducer_settings.has_pnl:
        return
    compared = _compare_equity(step, scope.account) if is_settled else _Equity(ZERO, ZERO, (), {})
    wrong = _wrong_positions(step, scope)
    limit = step.reducer_settings.risk.equity_drift_max
    fact = BooksCompared(
        round=scope.rounds(step).round,
        currency=step.reducer_settings.reporting_currency,
        expected=compared.expected,
        reported=compared.reported,
        drift=compared.reported - compared.expected,
        limit=limit,
        missing=compared.missing,
        positions=sum(scope.concerns(held.instrument) for held in step.account.positions.by_key.values()),
        wrong=tuple(wrong),
        is_settled=is_settled,
        by_asset=compared.by_asset if step.reducer_settings.has_reported_losses else {},
        venue=scope.account,
    )
    step.emit(fact, source="reconcile")
    if wrong:
        _halt(step, ReasonCode.POSITION_DRIFT, f"fills and positions differ: {'; '.join(wrong[:NAMED_MAX])}")
    if limit and abs(fact.drift) > limit:
        text = (
            f"equity: the venue's {plain(fact.reported)} {fact.currency} is off our {plain(fact.expected)} by "
            f"{plain(fact.drift)}, and equity_drift_max is {plain(limit)}"
        )
        _halt(step, ReasonCode.EQUITY_DRIFT, text)


class _Equity(NamedTuple):
    expected: Decimal  # by our records
    reported: Decimal  # by the venue
    missing: tuple[str, ...]  # assets that both lack
    by_asset: dict[str, Decimal]  # reported less expected


def _compare_equity(step: StepContext, account: str) -> _Equity:
    """Return the equity of an account by our records and the venue's."""
    ours: dict[str, Decimal] = {}
    theirs: dict[str, Decimal] = {}
    margins = margin_assets(step)
    for key, ledger in step.account.ledger.by_asset.items():
        if ledger.compared is not None and key_venue_is(key, account):
            asset = key_asset(key) if account else key
            theirs[asset] = ledger.compared.total
            is_compared = key not in margins
            drift = difference(ledger, ledger.compared, tolerance=ZERO) if is_compared else ZERO
            ours[asset] = ledger.compared.total - drift
    for key, wallet in step.account.wallets.by_asset.items():
        if not key_venue_is(key, account):
            continue
        asset = key_asset(key) if account else key
        if step.reducer_settings.settles_contracts and asset in theirs:
            continue  # the ledger has it
        theirs[asset] = theirs.get(asset, ZERO) + wallet.reported
        ours[asset] = ours.get(asset, ZERO) + wallet.expected
    rates = {
        asset: recorded_rate(step.market, asset, step.reducer_settings.reporting_currency) for asset in sorted(theirs)
    }
    sums = [
        value_in(step.reducer_settings.reporting_currency, held, lambda asset, _: rates[asset])
        for held in (ours, theirs)
    ]
    missing = tuple(sorted({*sums[0].missing, *sums[1].missing}))
    differs = {asset: theirs[asset] - ours[asset] for asset in sorted(theirs) if theirs[asset] != ours[asset]}
    return _Equity(sums[0].amount, sums[1].amount, missing, differs)


def _wrong_positions(step: StepContext, scope: AccountScope) -> list[str]:
    """Return where the sum of the fills is not the position, or not the venue's net position of a contract."""
    account, wrong = step.account, []
    by_fills: dict[str, Decimal] = {}
    for key in sorted({*account.positions.by_key, *account.pnl.by_key}):
        strategy, _, name = key.partition(" ")
        instrument = scope.instruments.get(name)
        if instrument is None:
            continue
        held = account.positions.get(strategy, name).quantity
        filled = account.pnl.line(
            account.positions, instrument, strategy, step.reducer_settings.reporting_currency
        ).quantity
        by_fills[name] = by_fills.get(name, ZERO) + filled
        if held != filled:
            wrong.append(f"{key}: the position is {plain(held)}, its fills sum up to {plain(filled)}")
    reported = reported_positions(step, min_age_ns=step.settings.request_timeout_ns // SETTLE)
    for name in sorted(filter(scope.concerns, reported)):
        theirs, ours = reported[name], by_fills.get(name, ZERO)
        if theirs != ours:
            wrong.append(f"{name}: the venue's position is {plain(theirs)}, our fills sum up to {plain(ours)}")
    return wrong


def reported_positions(step: StepContext, *, min_age_ns: int = 0) -> dict[str, Decimal]:
    """Return the venue's net position of each contract, without those that it changed less than `min_age_ns` ago.

    It reports a position before the fill that changed it.
    """
    found: dict[str, Decimal] = {}
    young: set[str] = set()
    for key, contract in step.account.wallets.by_instrument.items():
        name = instrument_of(key)
        if contract.reported_ns:
            found[name] = found.get(name, ZERO) + contract.reported
        instrument = step.reducer_settings.instruments.get(name)
        offset_ns = 0 if instrument is None else step.account.limits.get(instrument.venue).clock_offset_ns
        if contract.reported_ns and abs(step.time_ns + offset_ns - contract.reported_ns) < min_age_ns:
            young.add(name)
    return {name: quantity for name, quantity in found.items() if name not in young}


def _halt(step: StepContext, code: ReasonCode, text: str) -> None:
    """Halt, and raise an alarm, unless this reason halts already."""
    if not any(reason.code is code for reason in step.account.modes.halts):
        step.note(NoteLevel.ALARM, text)
        step.halt(ModeReason(code, text), source="reconcile")
