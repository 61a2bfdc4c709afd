"""Mark prices of contracts, and the fundings that they announce.

A market that carries mark prices is followed. For any other, the venue computes one each second: the middle one of best
bid, best ask and last trade; the index is the middle of the book. A funding settles with the first mark price that
announces a later one, at the last mark price and rate before it.
"""

from typing import Final, NamedTuple

from engine.model import Side
from engine.sim.binance.filters import SymbolRules
from engine.sim.exchange.contract_events import MarkMoved, Reason
from engine.sim.exchange.contract_orders import ContractOrders
from engine.sim.exchange.margin import contract_of
from engine.sim.exchange.margin_account import IncomeType, MarginAccount
from engine.sim.exchange.message_rows import rows_of
from engine.sim.exchange.symbol_view import SymbolMarket
from engine.sim.exchange.venue_books import FOREVER_NS
from engine.sim.feeds.sim_market import MarketMessage, MarkPrint
from engine.sim.units import ONE

MARK_NS: Final = 1_000_000_000  # between two computed mark prices


class FundingRate(NamedTuple):
    """A funding that took place."""

    symbol: str
    rate: int
    mark: int
    time_ns: int


def payment(quantity: int, mark: int, rate: int) -> int:
    """Return what a position receives at a funding: longs pay while the rate is positive. Parts of a unit are cut."""
    exact = quantity * mark * rate
    return -(abs(exact) // ONE**2) if exact > 0 else abs(exact) // ONE**2


class ContractFunding(ContractOrders):
    """Mark prices and fundings. Amounts are integers in units of 1e-8."""

    def __init__(
        self,
        rules: dict[str, SymbolRules],
        accounts: dict[str, MarginAccount],
        *,
        computed_marks: tuple[str, ...],
        start_ns: int,
    ) -> None:
        super().__init__(rules, accounts)
        self.mark_prints: dict[str, MarkPrint] = {}
        self.fundings: list[FundingRate] = []
        for owner in accounts.values():
            owner.changed_ns = start_ns  # a wallet that never changed has no time, and clients take it for none
        self._computed = computed_marks
        self._mark_due_ns = (start_ns // MARK_NS + 1) * MARK_NS if computed_marks else FOREVER_NS

    @property
    def next_timer_ns(self) -> int:
        """Return when `run_timers` must be called next."""
        return self._mark_due_ns

    def run_timers(self, now_ns: int) -> None:
        """Compute the mark prices that are due."""
        if now_ns < self._mark_due_ns:
            return
        self._mark_due_ns += MARK_NS
        for symbol in self._computed:
            mark = self._compute_mark(self.markets[symbol], now_ns)
            if mark is not None:
                self.on_market(symbol, mark, now_ns)
                self._events.append(MarkMoved(symbol=symbol, mark=mark, time_ns=now_ns))

    def _compute_mark(self, market: SymbolMarket, now_ns: int) -> MarkPrint | None:
        bid, ask = market.best(Side.BUY), market.best(Side.SELL)
        if bid is None or ask is None:
            return None
        last = market.last_price()
        price, index = sorted((bid, ask, last))[1], (bid + ask) // 2
        rules = contract_of(market.rules)
        return MarkPrint(price, index, rules.funding_rate(price, index), rules.next_funding_ns(now_ns))

    def on_market(self, symbol: str, message: MarketMessage, now_ns: int) -> None:
        """Fold a public message and fill the resting orders that it reaches; a mark price may settle a funding."""
        if not isinstance(message, MarkPrint):
            super().on_market(symbol, message, now_ns)
            return
        self.match_rows(rows_of(self.markets[symbol].place, message, now_ns), 0, FOREVER_NS, 0)
        self.marks[symbol] = message.price
        self.mark_prints[symbol] = message
        self._after_mark(symbol, now_ns)

    def _after_mark(self, symbol: str, now_ns: int) -> None:
        """Do what a mark price causes beside a funding."""

    def _fund(self, market: SymbolMarket, now_ns: int) -> None:
        """Settle a funding of each account that holds the contract."""
        mark, rate, due_ns = market.pop_funding()
        symbol, asset = market.rules.symbol, market.rules.settles_in
        self.fundings.append(FundingRate(symbol, rate, mark, due_ns))
        for owner in self.margin_accounts.values():
            positions = owner.open_positions(symbol)
            isolated = owner.is_isolated(symbol)
            total = 0
            for position in positions:
                amount = payment(position.quantity, mark, rate)
                total += amount
                self._earn(
                    owner,
                    now_ns,
                    IncomeType.FUNDING_FEE,
                    asset,
                    amount,
                    symbol=symbol,
                    position=position if isolated else None,
                )
            if positions:
                shown = positions if isolated else ()  # as Binance reports it: cross margin only has the wallet
                self._report_account(owner, Reason.FUNDING_FEE, now_ns, {asset: total}, shown)
