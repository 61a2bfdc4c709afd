"""P&L at the current mark: of one line in its own asset, and of many in the reporting currency.

Reads the account and the market, and changes nothing. The lines themselves are folded by engine/state/pnl_lines.py.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

import msgspec

from engine import contracts, lots
from engine.market.market_state import Market
from engine.model import Instrument
from engine.money import MONEY, ZERO, to_ledger
from engine.session_record import MarkChoice
from engine.state.pnl_lines import Amounts, PnlLine
from engine.state.rates import mark_price, recorded_rate
from engine.state.reducer_settings import ReducerSettings
from engine.state.session_state import Account


class PnlFigures(msgspec.Struct, frozen=True):
    """P&L in one asset. `missing` names what the sums lack: assets without a rate, instruments without a mark."""

    currency: str
    mark: MarkChoice  # the price at which open quantities count
    realised: Decimal = ZERO  # before fees
    unrealised: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO  # received
    missing: tuple[str, ...] = ()
    unrated: dict[str, Decimal] = {}  # by asset: amounts in no sum; fees are negative

    @property
    def total(self) -> Decimal:
        """P&L after fees."""
        return self.realised + self.unrealised + self.funding - self.fees


class MarkedLine(NamedTuple):
    """A line with its mark; None without a quote."""

    line: PnlLine
    instrument: Instrument
    mark: Decimal | None
    unrealised: Decimal  # in the line's own asset; 0 without a mark

    @property
    def own_pnl(self) -> Decimal:
        """P&L after fees in the line's own asset."""
        return self.line.own.net + self.unrealised

    def reported_pnl(self, rate: Decimal | None) -> Decimal | None:
        """Return P&L after fees in the reporting currency, None if a rate is missing. `rate`: of the line's asset."""
        line = self.line
        if any(line.unrated.values()) or ((rate is None or self.mark is None) and line.quantity):
            return None
        return line.reported.net + in_reporting(self.unrealised, rate or ZERO)


def in_reporting(unrealised: Decimal, rate: Decimal) -> Decimal:
    """Return an unrealised P&L in the reporting currency, rounded once. The only place that converts it."""
    return to_ledger(MONEY.multiply(unrealised, rate))


def marked_lines(account: Account, market: Market, settings: ReducerSettings) -> Iterator[MarkedLine]:
    """Yield the line of every position and of every strategy that traded, by name."""
    for key in sorted({*account.positions.by_key, *account.pnl.by_key}):
        strategy, _, instrument_id = key.partition(" ")
        index = market.index.get(instrument_id)
        if index is not None:
            yield marked_line(account, market, settings, strategy, index)


def marked_line(account: Account, market: Market, settings: ReducerSettings, strategy: str, index: int) -> MarkedLine:
    """Return the line of a strategy in an instrument, marked as the session's settings say."""
    instrument = market.instruments[index]
    line = account.pnl.line(account.positions, instrument, strategy, settings.reporting_currency)
    mark = mark_price(market, index, line.quantity, settings.engine.pnl_mark)
    return MarkedLine(line, instrument, mark, ZERO if mark is None else lots.unrealised(line.lots, instrument, mark))


def own_figures(marked: MarkedLine, settings: ReducerSettings) -> PnlFigures:
    """Return the P&L of one line in the asset of its instrument."""
    own = marked.line.own
    is_unmarked = marked.mark is None and marked.line.quantity
    return PnlFigures(
        contracts.asset_of(marked.instrument), settings.engine.pnl_mark, own.realised, marked.unrealised, own.fees,
        own.funding, (marked.instrument.id,) if is_unmarked else (),
        {asset: -fee for asset, fee in marked.line.unvalued.items()},
    )  # fmt: skip


def total_figures(
    account: Account, market: Market, settings: ReducerSettings, *, strategy: str | None = None
) -> PnlFigures:
    """Return the P&L of one strategy, or of all, in the reporting currency."""
    currency = settings.reporting_currency
    sums, unrealised = Amounts(), ZERO
    missing: set[str] = set()
    unrated: dict[str, Decimal] = {}
    for marked in marked_lines(account, market, settings):
        line = marked.line
        if strategy is not None and line.strategy != strategy:
            continue
        sums += line.reported
        for asset, amount in line.lacking.items():
            unrated[asset] = unrated.get(asset, ZERO) + amount
        if not line.quantity:
            continue
        asset = contracts.asset_of(marked.instrument)
        rate = recorded_rate(market, asset, currency)
        if marked.mark is None:
            missing.add(marked.instrument.id)
        elif rate is None:
            missing.add(asset)
        else:
            unrealised += in_reporting(marked.unrealised, rate)
    return PnlFigures(
        currency, settings.engine.pnl_mark, sums.realised, unrealised, sums.fees, sums.funding,
        tuple(sorted(missing)), unrated,
    )  # fmt: skip
