"""Profit and loss of each strategy in each instrument: lots, realised P&L, fees and funding. The only place that adds
them up.

The engine folds this part by average cost; a reader of the journal folds the same facts by FIFO or LIFO
(replay/study/pnl.py). Amounts are in the asset of the instrument's P&L (contracts.asset_of), and beside it in the
session's reporting currency, at the rate that each fact recorded. An amount without a rate is in no sum: it is kept by
asset, and from accounting 4 on the first known rate values it.
"""

from decimal import Decimal
from typing import Any, ClassVar

import msgspec
from msgspec.structs import replace

from engine import contracts
from engine.facts import AmountRated, FeeCharged, FundingPaid, OrderFilled, Position, PositionOpened
from engine.lots import CostMethod, Lots, opened_at, quantity_of, trade
from engine.model import Instrument
from engine.money import MONEY, ZERO, to_ledger
from engine.state.changes import Change, Stamp
from engine.state.positions import Positions
from engine.state.reducer_settings import ReducerSettings

MOVING = (OrderFilled, FundingPaid, FeeCharged, AmountRated, PositionOpened)  # the changes that move a line


class Amounts(msgspec.Struct, frozen=True):
    """Realised P&L before fees, fees and funding received, in one asset."""

    realised: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO

    @property
    def net(self) -> Decimal:
        """Realised P&L and funding, less fees."""
        return self.realised + self.funding - self.fees

    def __add__(self, other: "Amounts") -> "Amounts":
        return Amounts(self.realised + other.realised, self.fees + other.fees, self.funding + other.funding)

    def convert(self, rate: Decimal) -> "Amounts":
        """Return the amounts in another asset, each rounded once."""
        return Amounts(*(to_ledger(MONEY.multiply(amount, rate)) for amount in msgspec.structs.astuple(self)))


class PnlLine(msgspec.Struct, frozen=True):
    """One strategy in one instrument."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"unvalued", "unrated", "funded_ns"})

    strategy: str
    instrument: str
    lots: Lots = ()
    own: Amounts = Amounts()  # in the asset of the instrument's P&L
    reported: Amounts = Amounts()  # in the reporting currency, at the rates of their moments
    unvalued: dict[str, Decimal] = {}  # by asset: fees without a rate, which are in no sum
    unrated: dict[str, Decimal] = {}  # by asset: amounts in `own` that had no rate, so `reported` lacks them
    fills: int = 0
    funded_ns: int = 0  # venue time of the newest funding that the venue reported by contract

    @property
    def quantity(self) -> Decimal:
        """The signed quantity by the fills."""
        return quantity_of(self.lots)

    @property
    def lacking(self) -> dict[str, Decimal]:
        """The amounts that `reported` lacks, by asset; fees are negative."""
        amounts = dict(self.unrated)
        for asset, fee in self.unvalued.items():
            amounts[asset] = amounts.get(asset, ZERO) - fee
        return amounts


class PnlLines(msgspec.Struct, frozen=True):
    """The lines of all strategies."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"currency"})

    by_key: dict[str, PnlLine] = {}  # "strategy instrument" -> line
    currency: str = ""  # of `reported`; "": not stated, before accounting 4

    def funded_ns(self, instrument: str) -> int:
        """Return the venue time of the newest funding of a contract; 0 without one."""
        return max((line.funded_ns for line in self.by_key.values() if line.instrument == instrument), default=0)

    def line(self, positions: Positions, instrument: Instrument, strategy: str, currency: str) -> PnlLine:
        """Return a line; before its first fill, one that opens with the position that was carried over."""
        key = f"{strategy} {instrument.id}"
        line = self.by_key.get(key)
        return opening_line(positions.get(strategy, instrument.id), instrument, currency) if line is None else line


def reduce(
    lines: PnlLines,
    change: Change,
    at: Stamp,
    *,
    positions: Positions,
    settings: ReducerSettings,
    method: CostMethod = CostMethod.AVERAGE,
) -> PnlLines:
    """Fold fills, fundings, fees without a fill, and rates of amounts that had none.

    Args:
        lines: The lines before.
        change: What happened.
        at: When.
        positions: The positions before the change: a line without fills opens with them.
        settings: The session's instruments and reporting currency.
        method: Which lots a fill closes.

    """
    if not isinstance(change, MOVING):
        return lines
    instrument, currency = settings.instruments.get(change.instrument), settings.reporting_currency
    if instrument is None:
        return lines
    line = lines.line(positions, instrument, change.strategy, currency)
    if isinstance(change, OrderFilled):
        line = after_fill(line, change, instrument, currency, method)
    elif isinstance(change, PositionOpened):
        line = replace(line, lots=opened_at(instrument, change.quantity, change.entry_price))
    elif isinstance(change, AmountRated):
        line = _rated(line, change)
    elif isinstance(change, FeeCharged):
        line = _after_fee(line, change, instrument, currency, method)
    else:
        line = earned(line, Amounts(funding=change.amount), change.asset, currency, change.report_rate)
        if change.mark or settings.settles_contracts:
            line = replace(line, funded_ns=max(line.funded_ns, change.venue_ns))
    return replace(lines, by_key={**lines.by_key, f"{change.strategy} {change.instrument}": line})


def opening_line(held: Position, instrument: Instrument, currency: str) -> PnlLine:
    """Return a line that opens with a position of earlier sessions: one lot at its average price."""
    line = PnlLine(held.strategy, held.instrument, lots=opened_at(instrument, held.quantity, held.price_avg))
    if held.fees_unvalued:
        line = replace(line, unvalued=dict(held.fees_unvalued))
    before = Amounts(to_ledger(held.realised_pnl), to_ledger(held.fees_quote))
    return earned(line, before, contracts.asset_of(instrument), currency, ZERO)


def after_fill(line: PnlLine, fill: OrderFilled, instrument: Instrument, currency: str, method: CostMethod) -> PnlLine:
    """Return a line after one fill.

    A fee in the base asset of spot is base that is given away at the fill's price. A fee in a third asset counts at the
    fill's fee rate.
    """
    asset = contracts.asset_of(instrument)
    lots, realised = trade(line.lots, instrument, fill.quantity * fill.side.sign, fill.price, method)
    fees = ZERO
    if fill.fee_asset == asset:
        fees = fill.fee
    elif fill.fee and not instrument.contract and fill.fee_asset == instrument.base:
        lots, more = trade(lots, instrument, -fill.fee, fill.price, method)
        realised += more
        fees = to_ledger(fill.fee * fill.price)
    elif fill.fee_rate:
        fees = to_ledger(fill.fee * fill.fee_rate)
    elif fill.fee:
        line = replace(line, unvalued=_plus(line.unvalued, fill.fee_asset, fill.fee))
    earnings = _earnings(line, Amounts(realised, fees), asset, currency, fill.report_rate)
    return replace(line, lots=lots, fills=line.fills + 1, **earnings)


def _after_fee(line: PnlLine, fee: FeeCharged, instrument: Instrument, currency: str, method: CostMethod) -> PnlLine:
    """Return a line after a fee without a fill. Of base, the lots lose it at the fee's rate."""
    if not fee.fee_rate:
        return earned(line, Amounts(fees=fee.amount), fee.asset, currency, fee.report_rate)
    lots, realised = trade(line.lots, instrument, -fee.amount, fee.fee_rate, method)
    more = Amounts(realised, to_ledger(fee.amount * fee.fee_rate))
    return earned(replace(line, lots=lots), more, contracts.asset_of(instrument), currency, fee.report_rate)


def earned(line: PnlLine, more: Amounts, asset: str, currency: str, rate: Decimal) -> PnlLine:
    """Add amounts in an asset, and their value in the reporting currency if its rate is known."""
    return replace(line, **_earnings(line, more, asset, currency, rate))


def _earnings(line: PnlLine, more: Amounts, asset: str, currency: str, rate: Decimal) -> dict[str, Any]:
    """Return the fields of a line that amounts in an asset move."""
    own = line.own + more
    if asset == currency:
        return {"own": own, "reported": line.reported + more}
    if rate:
        return {"own": own, "reported": line.reported + more.convert(rate)}
    return {"own": own, "unrated": _plus(line.unrated, asset, more.net)} if more.net else {"own": own}


def _rated(line: PnlLine, change: AmountRated) -> PnlLine:
    """Add an amount that had no rate to the reported P&L, at its first known rate."""
    unrated = {asset: amount for asset, amount in line.unrated.items() if asset != change.asset}
    realised = to_ledger(MONEY.multiply(change.amount, change.report_rate))
    return replace(line, unrated=unrated, reported=line.reported + Amounts(realised))


def _plus(amounts: dict[str, Decimal], asset: str, more: Decimal) -> dict[str, Decimal]:
    return {**amounts, asset: amounts.get(asset, ZERO) + more}
