"""Closed trades of a session: fills that reduced a position, against its average entry price.

The amounts of a trade are the changes of the session's own P&L lines (pnl.py), in the reporting currency. Nothing is
computed a second time, so the trades add up to the realised P&L; only fees in the base asset realise a little beside.
"""

from decimal import Decimal

import msgspec

from engine.facts import OrderFilled
from engine.lots import entry_price
from engine.model import Instrument
from engine.money import ZERO
from engine.state.changes import Stamp
from engine.state.pnl_lines import Amounts, PnlLine


class ClosedTrade(msgspec.Struct, frozen=True):
    """One fill that reduced a position."""

    seq: int
    time_ns: int
    opened_ns: int  # when the position was opened; 0: in an earlier session
    strategy: str
    instrument: str
    is_long: bool  # the position that it reduced
    quantity: Decimal  # that was closed
    entry: Decimal  # average price of the position
    exit: Decimal
    realised: Decimal  # before the fee, in the reporting currency
    fee: Decimal  # of this fill alone
    is_rated: bool  # False: no rate was known, so the two amounts lack something
    client_order_id: str

    @property
    def net(self) -> Decimal:
        """What the trade realised, less the fee of its fill."""
        return self.realised - self.fee

    @property
    def is_win(self) -> bool:
        """True if it realised more than its own fee."""
        return self.net > 0


class TradeFigures(msgspec.Struct, frozen=True):
    """Sums over closed trades, in the reporting currency."""

    count: int = 0
    wins: int = 0
    won: Decimal = ZERO  # sum of the trades above 0
    lost: Decimal = ZERO  # sum of the others, 0 or above
    best: Decimal = ZERO
    worst: Decimal = ZERO

    @property
    def hit_ratio(self) -> float | None:
        """The share of trades that won."""
        return self.wins / self.count if self.count else None

    @property
    def profit_factor(self) -> float | None:
        """What the winners won / what the others lost. None if nothing was lost."""
        return float(self.won / self.lost) if self.lost else None

    @property
    def expectancy(self) -> Decimal | None:
        """The mean of a trade, exact to the precision of money."""
        return (self.won - self.lost) / self.count if self.count else None


def trade_figures(trades: tuple[ClosedTrade, ...] | list[ClosedTrade]) -> TradeFigures:
    """Return the sums over some trades."""
    nets = [trade.net for trade in trades]
    return TradeFigures(
        count=len(nets),
        wins=sum(net > 0 for net in nets),
        won=sum((net for net in nets if net > 0), ZERO),
        lost=-sum((net for net in nets if net <= 0), ZERO),
        best=max(nets, default=ZERO),
        worst=min(nets, default=ZERO),
    )


class ClosedTradeReader:
    """Makes closed trades from fills, each with the P&L line before and after it."""

    def __init__(self) -> None:
        self.trades: list[ClosedTrade] = []
        self._opened_ns: dict[str, int] = {}  # "strategy instrument" -> when its position was opened

    def add(self, fill: OrderFilled, at: Stamp, instrument: Instrument, *, before: PnlLine, after: PnlLine) -> None:
        """Add one fill, with the P&L line before and after it."""
        key = f"{fill.strategy} {fill.instrument}"
        held, holds = before.quantity, after.quantity
        if held * fill.quantity * fill.side.sign < 0:
            moved = _less(after.reported, before.reported)
            self.trades.append(
                ClosedTrade(
                    seq=at.seq,
                    time_ns=at.time_ns,
                    opened_ns=self._opened_ns.get(key, 0),
                    strategy=fill.strategy,
                    instrument=fill.instrument,
                    is_long=held > 0,
                    quantity=min(abs(held), abs(holds - held)),
                    entry=entry_price(instrument, before.lots),
                    exit=fill.price,
                    realised=moved.realised,
                    fee=moved.fees,
                    is_rated=(before.unrated, before.unvalued) == (after.unrated, after.unvalued),
                    client_order_id=fill.client_order_id,
                )
            )
        if holds and (not held or (held < 0) != (holds < 0)):
            self._opened_ns[key] = at.time_ns


def _less(after: Amounts, before: Amounts) -> Amounts:
    return Amounts(after.realised - before.realised, after.fees - before.fees, after.funding - before.funding)
