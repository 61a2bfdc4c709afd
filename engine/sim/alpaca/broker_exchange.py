"""The exchange of a broker: stocks trade without a fee, crypto pays one out of the asset that a fill brings."""

from engine.sim.binance.filters import SymbolRules
from engine.sim.exchange.exchange import Exchange
from engine.sim.exchange.funds import Funds, Holding
from engine.sim.exchange.order_values import SimOrder
from engine.sim.exchange.settlement import Paid
from engine.sim.units import ONE, product, units

CASH = "USD"
CRYPTO_LOT = units("0.00000001")  # the venue's own step has a ninth place
STOCK_TICK = units("0.0001")
CRYPTO_TICKS = {"BTC/USD": units("0.01"), "ETH/USD": units("0.01"), "DOGE/USD": units("0.0000001")}
CRYPTO_LEAST = {"BTC/USD": units("0.00001200"), "ETH/USD": units("0.00050000")}
UNBOUND = 10**6 * ONE


def is_crypto(symbol: str) -> bool:
    """Return True for a pair of crypto assets."""
    return "/" in symbol


def rules_for(symbol: str) -> SymbolRules:
    """Return a symbol's steps. The broker's own checks come first, so no filter of the exchange binds an order."""
    base, _, quote = symbol.partition("/")
    crypto = is_crypto(symbol)
    return SymbolRules(
        symbol,
        base,
        quote or CASH,
        tick_size=CRYPTO_TICKS.get(symbol, units("0.000001")) if crypto else STOCK_TICK,
        price_min=1,
        price_max=0,
        lot_size=CRYPTO_LOT,
        quantity_min=CRYPTO_LEAST.get(symbol, CRYPTO_LOT) if crypto else CRYPTO_LOT,
        quantity_max=0,
        market_quantity_max=0,
        notional_min=0,
        notional_max=0,
        price_multiplier_up=UNBOUND,
        price_multiplier_down=0,
        orders_max=10_000,
        algo_orders_max=10_000,
        trailing_above=(1, 10_000),
        trailing_below=(1, 10_000),
    )


class BrokerFunds(Funds):
    """An account's money, with the cost of its holdings."""

    def __init__(self, name: str, balances: dict[str, int], *, fee_maker: int, fee_taker: int) -> None:
        super().__init__(name, balances, fee_maker=fee_maker, fee_taker=fee_taker)
        self.is_free = False  # True while a fill of a stock is paid
        self.costs: dict[str, Holding] = {}  # by asset

    def rate(self, *, maker: bool) -> int:
        """Return the fee rate of the fill at hand."""
        return 0 if self.is_free else super().rate(maker=maker)


class BrokerExchange(Exchange):
    """An Exchange whose accounts are BrokerFunds."""

    def funds(self, account: str) -> BrokerFunds:
        """Return an account's money."""
        found = self.accounts[account]
        assert isinstance(found, BrokerFunds), "the protocol opens no other account"
        return found

    def _pay(self, order: SimOrder, price: int, quantity: int, now_ns: int, *, maker: bool) -> Paid:
        funds, base = self.funds(order.account), self.markets[order.symbol].rules.base
        funds.is_free = not is_crypto(order.symbol)
        paid = super()._pay(order, price, quantity, now_ns, maker=maker)
        funds.is_free = False
        received = quantity - (paid.fee if paid.fee_asset == base else 0)
        holding = funds.costs.setdefault(base, Holding())
        holding.trade(received * order.side.sign, lambda signed: product(price, signed))
        return paid
