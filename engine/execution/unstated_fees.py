"""Fees that no message states: the venue keeps a part of each fill's proceeds, and only the balance shows it.

Each answer about balances is compared with the ledger. One that is short by no more than the fees of recent fills is
explained by them. More than that is a drift, as at any venue (ledger_check.py).
"""

from decimal import Decimal
from typing import NamedTuple

from engine.execution.account_scope import AccountScope
from engine.execution.order_reports import report_rate
from engine.facts import CashReason, FeeCharged
from engine.model import Instrument
from engine.money import ZERO, to_ledger
from engine.state.account_keys import key_asset, key_venue_is
from engine.state.balances import Balance
from engine.state.ledger import ROUNDING, AssetLedger, Flow
from engine.state.orders import Order
from engine.state.positions import after_fee
from engine.step_context import StepContext


class _Gain(NamedTuple):
    """The proceeds of a fill, and its order."""

    flow: Flow
    order: Order
    instrument: Instrument

    @property
    def fee_max(self) -> Decimal:
        return self.flow.amount * self.instrument.unstated_fee_max


def charge_unstated_fees(step: StepContext, scope: AccountScope) -> None:
    """Record the fees that explain why balances of an account are short."""
    if not step.reducer_settings.has_ledger or not any(each.unstated_fee_max for each in scope.instruments.values()):
        return
    for key, ours in sorted(step.account.ledger.by_asset.items()):
        known = step.account.balances.by_asset.get(key)
        if known is None or not key_venue_is(key, scope.account):
            continue
        gains = _gains(step, scope, ours)
        short = _short_by(ours, known, most=_left(ours, gains))
        if short and gains:
            charged_ns = {flow.date_ns for flow in ours.recent if _is_fee(flow)}
            others = [each for each in gains if each.flow.date_ns not in charged_ns]
            _share(step, key_asset(key) if scope.account else key, short, others or gains)


def _gains(step: StepContext, scope: AccountScope, ours: AssetLedger) -> list[_Gain]:
    """Return the proceeds in an asset of recent fills with unstated fees."""
    found = []
    for flow in ours.recent:
        instrument = scope.instruments.get(flow.instrument)
        if flow.amount <= 0 or instrument is None or not instrument.unstated_fee_max:
            continue
        orders = (each for each in step.account.orders.all() if each.order.instrument == flow.instrument)
        order = next((each for each in orders if flow.fill_id in each.fill_ids), None)
        if order is not None:
            found.append(_Gain(flow, order, instrument))
    return found


def _is_fee(flow: Flow) -> bool:
    """Return True for a fee that was charged: it has the date of its fill, and no fill id."""
    return flow.amount < 0 and not flow.fill_id


def _left(ours: AssetLedger, gains: list[_Gain]) -> Decimal:
    """Return the most that the fees of these fills may still be."""
    charged = sum((flow.amount for flow in ours.recent if _is_fee(flow)), ZERO)
    return sum((each.fee_max + ROUNDING for each in gains), ZERO) + charged


def _short_by(ours: AssetLedger, known: Balance, *, most: Decimal) -> Decimal:
    """Return by how much a balance is short, if fees can explain it, else 0.

    Flows that we learned of after its query may be missing in it, the newest first.
    """
    short = ours.expected - known.total
    for flow in (*(each for each in reversed(ours.recent) if each.seq > known.seq), None):
        if abs(short) <= ROUNDING or flow is None or ZERO < short <= most:
            break
        short -= flow.amount
    return short if ROUNDING < short <= most else ZERO


def _share(step: StepContext, asset: str, amount: Decimal, gains: list[_Gain]) -> None:
    """Record an amount as the fees of fills, in shares of their proceeds; the last one gets the rest."""
    left, total = amount, sum((each.fee_max for each in gains), ZERO)
    for place, (flow, order, instrument) in enumerate(gains):
        is_last = place == len(gains) - 1
        fee = left if is_last else to_ledger(amount * flow.amount * instrument.unstated_fee_max / total)
        left -= fee
        rate = order.filled_notional / order.filled_quantity if asset == instrument.base else ZERO
        charged = FeeCharged(
            strategy=order.strategy,
            instrument=instrument.id,
            asset=asset,
            amount=fee,
            reason=CashReason.FEE,
            venue_ns=flow.date_ns,
            report_rate=report_rate(step, instrument),
            fee_rate=to_ledger(rate),
        )
        held = step.account.positions.get(order.strategy, instrument.id)
        seq = step.emit(charged, source="ledger", key=order.client_order_id)
        step.emit(after_fee(held, charged, instrument), key=order.client_order_id, cause=seq)
