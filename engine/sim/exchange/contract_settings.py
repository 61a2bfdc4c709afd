"""An account's settings for contracts: leverage, margin type, margin of an isolated position, position mode.

A change that a position or an order forbids is refused before anything changes.
"""

from engine.model import PositionSide
from engine.sim.binance_usdm import contract_refusals as refusals
from engine.sim.exchange.contract_events import ConfigChanged, Reason
from engine.sim.exchange.funding import ContractFunding
from engine.sim.exchange.margin import contract_of
from engine.sim.exchange.margin_account import MarginMove
from engine.sim.units import product


class ContractSettings(ContractFunding):
    """Settings of accounts. Amounts are integers in units of 1e-8."""

    def set_leverage(self, account: str, symbol: str, leverage: int, now_ns: int) -> int:
        """Set a symbol's leverage; return the largest notional that it allows."""
        owner, contract = self.margin_accounts[account], contract_of(self.market(symbol).rules)
        if not 1 <= leverage <= contract.leverage_max:
            raise refusals.invalid_leverage()
        notional_max, before = contract.notional_max(leverage), owner.leverage(symbol)
        held = owner.open_positions(symbol)
        if any(abs(product(self.mark(symbol), each.quantity)) > notional_max for each in held):
            raise refusals.leverage_over_position()
        if held and owner.is_isolated(symbol) and leverage < before:
            raise refusals.leverage_over_position()  # Binance does not lower it for an isolated position
        owner.leverages[symbol] = leverage
        sums = self.asset_margin(account, self.market(symbol).rules.settles_in)
        if leverage < before and held and sums.cross_balance < sums.initial:
            owner.leverages[symbol] = before
            raise refusals.leverage_over_position()
        if leverage != before:
            changed = ConfigChanged(account=account, time_ns=now_ns, symbol=symbol, leverage=leverage)
            self._events.append(changed)
        return notional_max

    def set_isolated(self, account: str, symbol: str, *, isolated: bool, now_ns: int) -> None:
        """Set whether a symbol's margin is isolated."""
        del now_ns
        owner = self.margin_accounts[account]
        if owner.is_isolated(symbol) is isolated:
            raise refusals.margin_type_unchanged()
        if self.open_orders(account, symbol) or self.has_open_algos(account, symbol):
            raise refusals.margin_type_with_orders()
        if owner.open_positions(symbol):
            raise refusals.margin_type_with_position()
        (owner.isolated.add if isolated else owner.isolated.discard)(symbol)

    def move_margin(self, account: str, symbol: str, side: PositionSide, amount: int, now_ns: int) -> None:
        """Move margin between the cross wallet and an isolated position; a negative amount takes it out."""
        owner, asset = self.margin_accounts[account], self.market(symbol).rules.settles_in
        if not owner.is_isolated(symbol):
            raise refusals.margin_needs_isolated()
        if (side is PositionSide.BOTH) is owner.is_hedged:
            raise refusals.side_against_mode()
        position = owner.position(symbol, side)
        if not position.quantity:
            raise refusals.margin_not_available()
        if amount > 0 and amount > self.asset_margin(account, asset).available:
            raise refusals.cross_not_available()
        if amount < 0:
            own = next(each for each in self.margins(account) if each.position is position)
            spare = position.isolated_wallet + min(own.unrealised, 0) - own.initial
            if -amount > spare:
                raise refusals.margin_not_available()
        owner.book(asset, -amount)
        position.isolated_wallet += amount
        owner.margin_moves.append(MarginMove(now_ns, symbol, side, amount, asset))
        self._report_account(owner, Reason.MARGIN_TRANSFER, now_ns, {asset: 0}, [position])

    def set_hedged(self, account: str, *, hedged: bool) -> None:
        """Set hedge mode or one-way mode."""
        owner = self.margin_accounts[account]
        if owner.is_hedged is hedged:
            raise refusals.mode_unchanged()
        if self.open_orders(account) or self.has_open_algos(account, None):
            raise refusals.mode_with_orders()
        if owner.open_positions():
            raise refusals.mode_with_positions()
        owner.is_hedged = hedged

    def has_open_algos(self, account: str, symbol: str | None) -> bool:
        """Return True if the account has conditional orders that wait, of one symbol or of any."""
        del account, symbol
        return False
