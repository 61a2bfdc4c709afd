"""Cases of the limits of an instrument, a strategy, the account and the portfolio. tests/test_risk_rules.py plays them.

BTCUSDT and ETHBTC are both quoted 99 to 101, so their mids are 100: one ETH is worth 100 BTC, one BTC 100 USDT.
"""

from decimal import Decimal
from typing import Any

from risk_case import Case, accepted, refused

from engine.risk_settings import PriceReference, ScopeLimits


def scope(**limits: str | int) -> ScopeLimits:
    return ScopeLimits(**{name: Decimal(value) if isinstance(value, str) else value for name, value in limits.items()})


def btc(**limits: str | int) -> dict[str, Any]:
    return {"instrument": {"BTCUSDT": scope(**limits)}, "reporting": "USDT"}


def desk(**limits: str | int) -> dict[str, Any]:
    return {"strategy": {"desk": scope(**limits)}, "reporting": "USDT"}


def account(**limits: str | int) -> dict[str, Any]:
    return {"account": scope(**limits), "reporting": "USDT"}


def portfolio(**limits: str | int) -> dict[str, Any]:
    return {"portfolio": scope(**limits), "reporting": "USDT"}


SIDES = {"buy_price_low": "0.2", "buy_price_high": "1.2", "sell_price_low": "0.8", "sell_price_high": "5"}

LIMIT_CASES: list[Case] = [
    # ---- the limits of an instrument replace those of the session, for this instrument alone
    accepted("order_size", "BUY LIMIT 2 @ 90", risk={"order_size_max": "1", **btc(order_size_max="2")}),
    refused("order_size", "BUY LIMIT 2.00001 @ 90", because="quantity 2.00001 is above order_size_max 2", risk={"order_size_max": "1", **btc(order_size_max="2")}),
    refused("order_size", "ETHBTC BUY LIMIT 1.00001 @ 90", because="quantity 1.00001 is above order_size_max 1", risk={"order_size_max": "1", **btc(order_size_max="2")}),
    refused("position", "BUY LIMIT 2.00001 @ 90", because="position could reach 2.00001, beyond position_max 2", risk=btc(position_max="2")),
    accepted("position", "ETHBTC BUY LIMIT 3 @ 90", risk=btc(position_max="2")),
    # ---- a strategy's own limits
    accepted("strategy_order_size", "BUY LIMIT 2 @ 90", risk=desk(order_size_max="2")),
    refused("strategy_order_size", "BUY LIMIT 2.00001 @ 90", because="quantity 2.00001 is above order_size_max 2 of desk", risk=desk(order_size_max="2")),
    accepted("strategy_order_size", "BUY LIMIT 1 @ 90", risk=desk(order_notional_max="90")),
    refused("strategy_order_size", "BUY LIMIT 1 @ 90.01", because="notional 90.01 is above order_notional_max 90 of desk", risk=desk(order_notional_max="90")),
    accepted("strategy_order_size", "BUY LIMIT 5 @ 90", risk={"strategy": {"other": scope(order_size_max="2")}}),
    accepted("strategy_position", "BUY LIMIT 1 @ 90", "BUY LIMIT 1 @ 90", risk=desk(position_max="2")),
    refused("strategy_position", "BUY LIMIT 1 @ 90", "BUY LIMIT 1.00001 @ 90", because="position of desk could reach 2.00001, beyond its position_max 2", risk=desk(position_max="2")),
    refused("strategy_position", "BUY LIMIT 1 @ 90", "venue: filled 1", "SELL LIMIT 3.00001 @ 110", because="position of desk could reach -2.00001, beyond its position_max 2", risk=desk(position_max="2")),
    accepted("strategy_open_orders", "BUY LIMIT 1 @ 90", "ETHBTC BUY LIMIT 1 @ 90", risk=desk(open_orders_max=2)),
    refused("strategy_open_orders", "BUY LIMIT 1 @ 90", "ETHBTC BUY LIMIT 1 @ 90", "BUY LIMIT 1 @ 90", because="2 orders of desk are open, its open_orders_max is 2", risk=desk(open_orders_max=2)),
    # ---- open orders of the account and of the portfolio
    accepted("account_open_orders", "BUY LIMIT 1 @ 90", "ETHBTC BUY LIMIT 1 @ 90", risk=account(open_orders_max=2)),
    refused("account_open_orders", "BUY LIMIT 1 @ 90", "ETHBTC BUY LIMIT 1 @ 90", "BUY LIMIT 1 @ 90", because="2 orders are open in the account, account.open_orders_max is 2", risk=account(open_orders_max=2)),
    accepted("portfolio_open_orders", "BUY LIMIT 1 @ 90", risk=portfolio(open_orders_max=1)),
    refused("portfolio_open_orders", "BUY LIMIT 1 @ 90", "ETHBTC BUY LIMIT 1 @ 90", because="1 orders are open, portfolio.open_orders_max is 1", risk=portfolio(open_orders_max=1)),
    # ---- exposure in an instrument: an order counts at the mid, or at its own price above it
    accepted("exposure_instrument", "BUY LIMIT 2 @ 90", risk=btc(net_base_max="2")),
    refused("exposure_instrument", "BUY LIMIT 2.00001 @ 90", because="net exposure of binance_spot:BTCUSDT could reach 2.00001 BTC, beyond instrument.net_base_max 2", risk=btc(net_base_max="2")),
    accepted("exposure_instrument", "BUY LIMIT 2 @ 90", risk=btc(gross_quote_max="200")),
    refused("exposure_instrument", "BUY LIMIT 2 @ 90", "SELL LIMIT 2 @ 110", because="gross exposure of binance_spot:BTCUSDT could reach 220 USDT, beyond instrument.gross_quote_max 200", risk=btc(gross_quote_max="200")),
    accepted("exposure_instrument", "ETHBTC BUY LIMIT 5 @ 90", risk=btc(gross_base_max="2", net_quote_max="1")),
    refused("exposure_instrument", "BUY LIMIT 1.00001 @ 90", because="gross exposure of binance_spot:BTCUSDT could reach 100.001 USDT, beyond instrument.gross_max 100", risk=btc(gross_max="100")),
    # ---- exposure of a strategy: buys and sells that are open are not netted, fills are
    accepted("exposure_strategy", "BUY LIMIT 1 @ 90", "SELL LIMIT 1 @ 110", risk=desk(net_base_max="1", gross_base_max="1")),
    refused("exposure_strategy", "BUY LIMIT 1 @ 90", "BUY LIMIT 0.00001 @ 90", because="gross exposure of desk could reach 1.00001 BTC, beyond strategy.gross_base_max 1", risk=desk(gross_base_max="1")),
    accepted("exposure_strategy", "BUY LIMIT 1 @ 90", "venue: filled 1", "SELL LIMIT 2 @ 100", risk=desk(net_quote_max="100")),
    refused("exposure_strategy", "BUY LIMIT 1 @ 90", "venue: filled 1", "SELL LIMIT 2.00001 @ 100", because="net exposure of desk could reach 100.001 USDT, beyond strategy.net_quote_max 100", risk=desk(net_quote_max="100")),
    # an order that lowers the exposure is allowed beyond the limit: 2 BTC are worth 200 when their price doubled
    accepted("exposure_strategy", "BUY LIMIT 2 @ 90", "venue: filled 2", "SELL LIMIT 1 @ 110 while quoted 199.00 201.00", risk=desk(gross_quote_max="200")),
    refused("exposure_strategy", "BUY LIMIT 2 @ 90", "venue: filled 2", "BUY LIMIT 0.00001 @ 90 while quoted 199.00 201.00", because="gross exposure of desk could reach 400.002 USDT, beyond strategy.gross_quote_max 200", risk=desk(gross_quote_max="200")),
    # ---- exposure of the account, in the reporting currency over instruments: 1 ETH is 100 BTC, which are 10,000 USDT
    accepted("exposure_account", "ETHBTC BUY LIMIT 1 @ 90", "BUY LIMIT 100 @ 90", risk=account(gross_max="20000")),
    refused("exposure_account", "ETHBTC BUY LIMIT 1 @ 90", "BUY LIMIT 100.00001 @ 90", because="gross exposure of the account could reach 20000.001 USDT, beyond account.gross_max 20000", risk=account(gross_max="20000")),
    accepted("exposure_account", "ETHBTC BUY LIMIT 1 @ 90", "venue: filled 1", "SELL LIMIT 200 @ 100", risk=account(net_max="10000")),
    refused("exposure_account", "ETHBTC BUY LIMIT 1 @ 90", "venue: filled 1", "SELL LIMIT 200.00001 @ 100", because="net exposure of the account could reach 10000.001 USDT, beyond account.net_max 10000", risk=account(net_max="10000")),
    refused("exposure_account", "BUY LIMIT 1 @ 90", because="no quote gives the rate of USDT in EUR", risk={**account(net_max="10000"), "reporting": "EUR"}),
    # ---- exposure of the portfolio
    accepted("exposure_portfolio", "ETHBTC BUY LIMIT 1 @ 90", "BUY LIMIT 1 @ 90", risk=portfolio(net_max="101", gross_max="101") | {"reporting": "BTC"}),
    refused("exposure_portfolio", "ETHBTC BUY LIMIT 1 @ 90", "BUY LIMIT 1.00001 @ 90", because="gross exposure of the portfolio could reach 101.00001 BTC, beyond portfolio.gross_max 101", risk=portfolio(gross_max="101") | {"reporting": "BTC"}),
    refused("exposure_portfolio", "BUY LIMIT 1.00001 @ 90", because="net exposure of the portfolio could reach 100.001 USDT, beyond portfolio.net_quote_max 100", risk=portfolio(net_quote_max="100")),
    # ---- price band: a share of the mid 100, of the last trade, or of a stop's own trigger
    accepted("price_band", "BUY LIMIT 1 @ 95", risk={"price_band_max": "0.05"}),
    refused("price_band", "BUY LIMIT 1 @ 94.99", because="price 94.99 differs from the mid 100 by more than price_band_max 0.05", risk={"price_band_max": "0.05"}),
    accepted("price_band", "SELL LIMIT 1 @ 105", risk={"price_band_max": "0.05"}),
    refused("price_band", "SELL LIMIT 1 @ 105.01", because="price 105.01 differs from the mid 100 by more than price_band_max 0.05", risk={"price_band_max": "0.05"}),
    accepted("price_band", "BUY LIMIT 1 @ 80", risk={"price_band_max": "0.05", **btc(price_band_max="0.2")}),
    refused("price_band", "BUY LIMIT 1 @ 79.99", because="price 79.99 differs from the mid 100 by more than price_band_max 0.2", risk={"price_band_max": "0.05", **btc(price_band_max="0.2")}),
    accepted("price_band", "BUY MARKET 1", risk={"price_band_max": "0.001"}),
    accepted("price_band", "BUY STOP_LIMIT 1 @ 121 from 120", risk={"price_band_max": "0.01"}),
    refused("price_band", "BUY STOP_LIMIT 1 @ 121.21 from 120", because="price 121.21 differs from the stop price 120 by more than price_band_max 0.01", risk={"price_band_max": "0.01"}),
    refused("price_band", "BUY LIMIT 1 @ 100", because="no last is known, and price_band_max is 0.05", risk={"price_band_max": "0.05", "price_band_to": PriceReference.LAST}),
    # ---- the venue's own bounds by side
    accepted("price_by_side", "BUY LIMIT 1 @ 20", instrument=SIDES),
    refused("price_by_side", "BUY LIMIT 1 @ 19.99", because="price 19.99 is below 20 % of the mid 100: the venue refuses it", instrument=SIDES),
    accepted("price_by_side", "BUY LIMIT 1 @ 120", instrument=SIDES),
    refused("price_by_side", "BUY LIMIT 1 @ 120.01", because="price 120.01 is above 120 % of the mid 100: the venue refuses it", instrument=SIDES),
    accepted("price_by_side", "SELL LIMIT 1 @ 80", instrument=SIDES),
    refused("price_by_side", "SELL LIMIT 1 @ 79.99", because="price 79.99 is below 80 % of the mid 100: the venue refuses it", instrument=SIDES),
    accepted("price_by_side", "SELL LIMIT 1 @ 500", instrument=SIDES),
    refused("price_by_side", "SELL LIMIT 1 @ 500.01", because="price 500.01 is above 500 % of the mid 100: the venue refuses it", instrument=SIDES),
    accepted("price_by_side", "SELL MARKET 1", instrument={**SIDES, "sell_price_low": "2"}),
]  # fmt: skip
