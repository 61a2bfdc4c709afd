"""Runs the cases of fills_beside_nautilus.py in NautilusTrader 1.221 and prints its fills as JSON. No import of ours.

    python benchmarks/clients/nautilus_cases.py CASES.json

An order of a case is submitted when the strategy has seen so many bars or quotes, as ours are.
"""

import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig, RiskEngineConfig, StrategyConfig
from nautilus_trader.model.currencies import BTC, USDT
from nautilus_trader.model.data import Bar, BarType, QuoteTick
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Symbol, TraderId, Venue
from nautilus_trader.model.instruments import CurrencyPair
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.trading.strategy import Strategy

NAME = InstrumentId.from_str("BTCUSDT.SIM")
MINUTE_NS = 60_000_000_000
PLACES = 5
START_NS = 1_704_067_200_000_000_000


def instrument() -> CurrencyPair:
    return CurrencyPair(
        instrument_id=NAME, raw_symbol=Symbol("BTCUSDT"), base_currency=BTC, quote_currency=USDT,
        price_precision=2, size_precision=PLACES, price_increment=Price.from_str("0.01"),
        size_increment=Quantity.from_str("0.00001"), lot_size=None, max_quantity=None, min_quantity=None,
        max_notional=None, min_notional=None, max_price=None, min_price=None, margin_init=Decimal(0),
        margin_maint=Decimal(0), maker_fee=Decimal(0), taker_fee=Decimal(0), ts_event=0, ts_init=0,
    )  # fmt: skip


class Scripted(Strategy):  # type: ignore[misc]  # NautilusTrader is not installed where types are checked
    """Submits the orders of a case."""

    def __init__(self, case: dict[str, Any]) -> None:
        super().__init__(StrategyConfig(strategy_id="S-001", order_id_tag="001"))
        self.case, self.seen, self.fills = case, 0, []

    def on_start(self) -> None:
        if self.case["kind"] == "bars":
            self.subscribe_bars(BarType.from_str(f"{NAME}-1-MINUTE-LAST-EXTERNAL"))
        else:
            self.subscribe_quote_ticks(NAME)

    def on_bar(self, bar: Bar) -> None:
        del bar
        self.submit_due()

    def on_quote_tick(self, tick: QuoteTick) -> None:
        del tick
        self.submit_due()

    def submit_due(self) -> None:
        self.seen += 1
        for number, side, quantity, kind, *prices in self.case["orders"]:
            if number != self.seen:
                continue
            make = self.order_factory
            sides = OrderSide.BUY if side == "BUY" else OrderSide.SELL
            size = Quantity(Decimal(quantity), PLACES)
            at = [Price(Decimal(price), 2) for price in prices]
            if kind == "MARKET":
                self.submit_order(make.market(NAME, sides, size))
            elif kind == "LIMIT":
                self.submit_order(make.limit(NAME, sides, size, at[0]))
            elif kind == "STOP":
                self.submit_order(make.stop_market(NAME, sides, size, at[0]))
            else:  # BRACKET: entry at the market, a target and a stop that end each other
                target, stop = at
                self.submit_order_list(make.bracket(NAME, sides, size, tp_price=target, sl_trigger_price=stop))

    def on_order_filled(self, event: Any) -> None:
        side = "BUY" if event.order_side == OrderSide.BUY else "SELL"
        price, quantity = (f"{value.as_decimal().normalize():f}" for value in (event.last_px, event.last_qty))
        self.fills.append([side, price, quantity])


def data(case: dict[str, Any]) -> list[Any]:
    found: list[Any] = []
    for number, values in enumerate(case["rows"]):
        if case["kind"] == "bars":
            *prices, volume = values
            time_ns = START_NS + (number + 1) * MINUTE_NS
            kind = BarType.from_str(f"{NAME}-1-MINUTE-LAST-EXTERNAL")
            found.append(
                Bar(
                    kind,
                    *(Price(Decimal(price), 2) for price in prices),
                    Quantity(Decimal(volume), PLACES),
                    time_ns,
                    time_ns,
                )
            )
        else:
            bid, bid_size, ask, ask_size = values
            time_ns = case["times_ns"][number] if "times_ns" in case else START_NS + number * 1_000_000_000
            sizes = Quantity(Decimal(bid_size), PLACES), Quantity(Decimal(ask_size), PLACES)
            found.append(QuoteTick(NAME, Price(Decimal(bid), 2), Price(Decimal(ask), 2), *sizes, time_ns, time_ns))
    return found


def run(case: dict[str, Any]) -> list[list[Any]]:
    engine = BacktestEngine(
        BacktestEngineConfig(
            trader_id=TraderId("CASE-001"), logging=LoggingConfig(bypass_logging=True), run_analysis=False,
            risk_engine=RiskEngineConfig(bypass=True),
        )
    )  # fmt: skip
    engine.add_venue(
        venue=Venue("SIM"), oms_type=OmsType.NETTING, account_type=AccountType.CASH, base_currency=None,
        starting_balances=[Money(100_000_000, USDT), Money(10_000, BTC)], **case.get("venue", {}),
    )  # fmt: skip
    engine.add_instrument(instrument())
    engine.add_data(data(case))
    strategy = Scripted(case)
    engine.add_strategy(strategy)
    engine.run()
    fills = list(strategy.fills)
    engine.dispose()
    return fills


def main() -> None:
    cases = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    print(json.dumps({name: run(case) for name, case in cases.items()}))


if __name__ == "__main__":
    main()
