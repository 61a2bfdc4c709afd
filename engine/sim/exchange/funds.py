"""One account's money: free and locked balances, and its fees.

Funds never fall below zero: callers check before they lock or pay, and an assert verifies it.
Amounts are integers in units of 1e-8.
"""

from collections.abc import Callable
from dataclasses import dataclass

from engine.sim.binance import refusals
from engine.sim.units import ONE, product, text


@dataclass(slots=True)
class Holding:
    """A position in a contract, and its worth at entry: both signed."""

    quantity: int = 0
    cost: int = 0

    def trade(self, signed: int, worth: Callable[[int], int]) -> int:
        """Add a signed quantity, valued by `worth`; return the P&L realised, as of a linear contract."""
        realised = 0
        if self.quantity and (self.quantity > 0) != (signed > 0):
            closed = -signed if abs(signed) <= abs(self.quantity) else self.quantity
            cost = self.cost * closed // self.quantity
            realised = worth(closed) - cost
            self.quantity -= closed
            self.cost -= cost
            signed += closed
        self.quantity += signed
        self.cost += worth(signed)
        return realised


class Funds:
    """Balances of one account. `touched` are the assets that changed since the last account event."""

    def __init__(self, name: str, balances: dict[str, int], *, fee_maker: int, fee_taker: int) -> None:
        self.name = name
        self.fee_maker = fee_maker  # a rate in units: 0.001 is 100_000
        self.fee_taker = fee_taker
        self.free = dict(sorted(balances.items()))
        self.locked = dict.fromkeys(self.free, 0)
        self.contracts: dict[str, Holding] = {}  # by symbol
        self.traded = 0  # in quote, of all symbols
        # (traded from, maker, taker), rising: they replace the fees above once so much was traded
        self.tiers: tuple[tuple[int, int, int], ...] = ()
        self.fee_asset = ""  # takes fees out of this asset while it lasts
        self.fee_asset_price = 0
        self.touched: set[str] = set()
        self.changed_ns = 0
        self.can_trade = True

    def rate(self, *, maker: bool) -> int:
        """Return the current fee rate."""
        if not self.tiers:
            return self.fee_maker if maker else self.fee_taker
        rates = next(
            ((low, high) for least, low, high in reversed(self.tiers) if self.traded >= least),
            (self.fee_maker, self.fee_taker),
        )
        return rates[0] if maker else rates[1]

    def require(self, asset: str, amount: int) -> None:
        """Refuse an amount that is not free."""
        if amount > self.free.get(asset, 0):
            raise refusals.insufficient_balance()

    def lock(self, asset: str, amount: int) -> None:
        """Lock a free amount."""
        self.require(asset, amount)
        self._move(asset, free=-amount, locked=amount)

    def release(self, asset: str, amount: int) -> None:
        """Free a locked amount."""
        self._move(asset, free=amount, locked=-amount)

    def pay_locked(self, asset: str, amount: int) -> None:
        """Take a locked amount out of the account."""
        self._move(asset, free=0, locked=-amount)

    def receive(self, asset: str, amount: int, *, maker: bool) -> int:
        """Credit what a fill brings, less the fee, which Binance takes out of the asset received. Returns the fee."""
        fee = product(amount, self.rate(maker=maker))
        self._move(asset, free=amount - fee, locked=0)
        return fee

    def pay_fee(self, quote: int, *, maker: bool) -> int:
        """Take the fee of a fill out of the fee asset. Return it; 0 without a fee asset, or with too little of it."""
        if not self.fee_asset:
            return 0
        fee = product(quote, self.rate(maker=maker)) * ONE // self.fee_asset_price
        if fee > self.free.get(self.fee_asset, 0):
            return 0
        self._move(self.fee_asset, free=-fee, locked=0)
        return fee

    def book(self, asset: str, amount: int) -> None:
        """Add the P&L and fees of contracts to the free balance."""
        self.free[asset] = self.free.get(asset, 0) + amount
        self.locked.setdefault(asset, 0)
        self.touched.add(asset)

    def deposit(self, asset: str, amount: int) -> None:
        """Credit a free amount whole."""
        self._move(asset, free=amount, locked=0)

    def move_by_hand(self, asset: str, amount: int) -> None:
        """Deposit a free amount, or withdraw a negative one. Raise ValueError if it is not free."""
        if self.free.get(asset, 0) + amount < 0:
            raise ValueError(f"{self.name} has only {text(self.free.get(asset, 0))} {asset} free")
        self._move(asset, free=amount, locked=0)

    def total(self, asset: str) -> int:
        """Return the free and locked amount of an asset."""
        return self.free.get(asset, 0) + self.locked.get(asset, 0)

    def pop_touched(self) -> list[str]:
        """Return and forget the assets that changed, by name."""
        touched = sorted(self.touched)
        self.touched.clear()
        return touched

    def _move(self, asset: str, *, free: int, locked: int) -> None:
        self.free[asset] = self.free.get(asset, 0) + free
        self.locked[asset] = self.locked.get(asset, 0) + locked
        assert self.free[asset] >= 0, (self.name, asset, self.free[asset])
        assert self.locked[asset] >= 0, (self.name, asset, self.locked[asset])
        self.touched.add(asset)
