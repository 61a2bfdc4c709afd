"""One account of contracts with margin: its wallets, its positions, its leverage and its modes.

Knows no market and no order. Amounts are integers in units of 1e-8. `free` of Funds is the cross wallet of an asset; an
isolated position has its own wallet. A wallet may fall below zero: the liquidation brings it back.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from engine.model import PositionSide
from engine.sim.exchange.funds import Funds, Holding
from engine.sim.units import ONE, product

LEVERAGE: Final = 20  # of a symbol without a setting


class IncomeType(StrEnum):
    """Kinds of income, as Binance spells them."""

    TRANSFER = "TRANSFER"
    REALIZED_PNL = "REALIZED_PNL"
    COMMISSION = "COMMISSION"
    FUNDING_FEE = "FUNDING_FEE"
    INSURANCE_CLEAR = "INSURANCE_CLEAR"


class Income(NamedTuple):
    """One movement of a wallet."""

    number: int
    time_ns: int
    kind: IncomeType
    asset: str
    amount: int  # received; negative: paid
    symbol: str = ""
    trade_id: int = 0


class MarginMove(NamedTuple):
    """Margin that a person added to an isolated position, or took out of it."""

    time_ns: int
    symbol: str
    side: PositionSide
    amount: int  # negative: taken out
    asset: str


@dataclass(slots=True)
class ContractPosition(Holding):
    """A position: quantity and worth at entry are signed."""

    symbol: str = ""
    side: PositionSide = PositionSide.BOTH
    isolated_wallet: int = 0
    realised: int = 0  # since the account began, before fees
    paid: int = 0  # fees less P&L since the position was opened: the break-even price counts them
    changed_ns: int = 0

    @property
    def entry_price(self) -> int:
        """The average price at which the position was opened; 0 if flat."""
        return self.cost * ONE // self.quantity if self.quantity else 0

    @property
    def break_even_price(self) -> int:
        """The price at which closing brings back all fees that were paid; 0 if flat."""
        return max((self.cost + self.paid) * ONE // self.quantity, 0) if self.quantity else 0

    def pay(self, settled: "Settled", fee: int, before: int) -> None:
        """Count the fee and the P&L of a fill for the break-even price: of a new position, only the fee of its part."""
        if before and (before > 0) == (self.quantity > 0):
            self.paid += fee - settled.realised
        else:
            self.paid = fee * settled.opened // (settled.opened + settled.closed) if self.quantity else 0

    def unrealised(self, mark: int) -> int:
        """Return the P&L at a mark price."""
        return product(mark, self.quantity) - self.cost


@dataclass(slots=True)
class Settled:
    """The effect of a fill on a position."""

    realised: int
    opened: int = 0  # quantity that opened, unsigned
    closed: int = 0
    position: ContractPosition = field(default_factory=ContractPosition)


class MarginAccount(Funds):
    """The wallets and positions of one account."""

    def __init__(self, name: str, balances: dict[str, int], *, fee_maker: int, fee_taker: int) -> None:
        super().__init__(name, balances, fee_maker=fee_maker, fee_taker=fee_taker)
        self.positions: dict[tuple[str, PositionSide], ContractPosition] = {}
        self.leverages: dict[str, int] = {}
        self.isolated: set[str] = set()  # symbols with isolated margin
        self.is_hedged = False
        self.incomes: list[Income] = []
        self.margin_moves: list[MarginMove] = []
        self.called: set[str] = set()  # assets and isolated positions whose margin call was sent

    # ---- positions

    @property
    def sides(self) -> tuple[PositionSide, ...]:
        """The positions that a symbol has in the account's mode."""
        return (PositionSide.LONG, PositionSide.SHORT) if self.is_hedged else (PositionSide.BOTH,)

    def position(self, symbol: str, side: PositionSide) -> ContractPosition:
        """Return a position; one that never existed is flat."""
        found = self.positions.get((symbol, side))
        if found is None:
            found = self.positions[symbol, side] = ContractPosition(symbol=symbol, side=side)
        return found

    def open_positions(self, symbol: str | None = None) -> list[ContractPosition]:
        """Return the positions that are not flat, by symbol and side."""
        found = [each for each in self.positions.values() if each.quantity and symbol in (None, each.symbol)]
        return sorted(found, key=lambda each: (each.symbol, each.side))

    def leverage(self, symbol: str) -> int:
        """Return a symbol's leverage."""
        return self.leverages.get(symbol, LEVERAGE)

    def is_isolated(self, symbol: str) -> bool:
        """Return True if the symbol's margin is isolated."""
        return symbol in self.isolated

    def settle(self, symbol: str, side: PositionSide, signed: int, price: int, now_ns: int) -> Settled:
        """Move a position by a fill. Realised P&L goes to the caller; the margin of an isolated position moves here."""
        position = self.position(symbol, side)
        before = position.quantity
        closes = before and (before > 0) != (signed > 0)
        closed = min(abs(signed), abs(before)) if closes else 0
        opened = abs(signed) - closed
        realised = position.trade(signed, lambda quantity: product(price, quantity))
        position.realised += realised
        position.changed_ns = now_ns
        return Settled(realised, opened, closed, position)

    def move_isolated(self, settled: Settled, before: int, price: int, asset: str, fee: int) -> None:
        """Free the margin of the part that a fill closed, and lock that of the part that it opened.

        The fee of the opened part comes out of the locked margin. The caller books the whole fee to the cross wallet.
        """
        position = settled.position
        if settled.closed:
            whole = settled.closed == abs(before)
            share = position.isolated_wallet * settled.closed // abs(before)
            freed = position.isolated_wallet if whole else share
            position.isolated_wallet -= freed
            self.book(asset, freed)
        if settled.opened:
            margin = -(-product(price, settled.opened) // self.leverage(position.symbol))
            paid = fee * settled.opened // (settled.opened + settled.closed)
            position.isolated_wallet += margin - paid
            self.book(asset, paid - margin)

    # ---- wallets

    def wallet(self, asset: str, margin_assets: Iterable[tuple[str, str]]) -> int:
        """Return the wallet balance: the cross wallet and the isolated ones.

        Args:
            asset: The asset.
            margin_assets: (symbol, margin asset) of the venue's contracts.
        """
        symbols = {symbol for symbol, margin in margin_assets if margin == asset}
        isolated = sum(each.isolated_wallet for each in self.positions.values() if each.symbol in symbols)
        return self.free.get(asset, 0) + isolated

    def earn(self, income: Income, position: ContractPosition | None) -> None:
        """Add an income to the history, and book it into the cross wallet or that of an isolated position."""
        if position is None:
            self.book(income.asset, income.amount)
        else:
            position.isolated_wallet += income.amount
        self.incomes.append(income)
