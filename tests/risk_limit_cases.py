"""Cases of the limits of an instrument, a strategy, the account and the portfolio. tests/test_risk_rules.py plays them.

BTCUSDT and ETHBTC are both quoted 99 to 101, so their mids are 100: one ETH is worth 100 BTC, one BTC 100 USDT.
"""

from decimal import Decimal
from typing import Any

from by_hand import START_NS
from risk_case import Case, accepted, refused

from engine.model import OrderTerm
from engine.risk_settings import CooldownSettings, HoursSettings, PriceReference, ScopeLimits, Sharing


def scope(**limits: str | int) -> ScopeLimits:
    return ScopeLimits(**{name: Decimal(value) if isinstance(value, str) else value for name, value in limits.items()})


def btc(**limits: str | int) -> dict[str, Any]:
    return {"instrument": {"BTCUSDT": scope(**limits)}}


def desk(**limits: str | int) -> dict[str, Any]:
    return {"strategy": {"desk": scope(**limits)}}


def account(**limits: str | int) -> dict[str, Any]:
    return {"account": scope(**limits)}


def portfolio(**limits: str | int) -> dict[str, Any]:
    return {"portfolio": scope(**limits)}


SIDES = {"buy_price_low": "0.2", "buy_price_high": "1.2", "sell_price_low": "0.8", "sell_price_high": "5"}


def hours(begin: int, end: int, *more: int) -> dict[str, Any]:
    """Windows in seconds after the start."""
    start_s = START_NS // 1_000_000_000
    windows = ((start_s + begin, start_s + end), *((start_s + each, start_s + each + 10) for each in more))
    return {"hours": HoursSettings(calendar="XTST", windows=windows)}


TRAILS = {"trailing_delta_min": 10, "trailing_delta_max": 2000}
NO_TERMS = {"forbids": tuple(OrderTerm)}
MINUTE_NS = 60_000_000_000
COOL = {"cooldown": CooldownSettings(after_loss_ns=MINUTE_NS)}
REFUSED = {"cooldown": CooldownSettings(after_refusals_ns=MINUTE_NS, refusals_max=2)}
SOLD = "BUY LIMIT 1 @ 90 | venue: filled 1 | SELL LIMIT 1 @ {0} | venue: filled 1 at {0}"

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
    refused("exposure_account", "BUY LIMIT 1 @ 90", because="no quote gives the rate of USDT in EUR", risk=account(net_max="10000"), engine={"reporting_currency": "EUR"}),
    # over strategies: the account counts both, a strategy's limit its own alone
    accepted("exposure_account", "other: BUY LIMIT 1 @ 90", "BUY LIMIT 1 @ 90", risk=account(net_base_max="2")),
    refused("exposure_account", "other: BUY LIMIT 1 @ 90", "BUY LIMIT 1.00001 @ 90", because="net exposure of the account could reach 2.00001 BTC, beyond account.net_base_max 2", risk=account(net_base_max="2")),
    accepted("exposure_account", "other: BUY LIMIT 1 @ 90", "venue: filled 1", "SELL LIMIT 1 @ 110", risk=account(net_base_max="1", gross_base_max="1")),
    accepted("exposure_strategy", "other: BUY LIMIT 1 @ 90", "BUY LIMIT 2 @ 90", risk=desk(net_base_max="2")),
    accepted("strategy_position", "other: BUY LIMIT 1 @ 90", "BUY LIMIT 2 @ 90", risk=desk(position_max="2")),
    # ---- exposure of the portfolio
    accepted("exposure_portfolio", "ETHBTC BUY LIMIT 1 @ 90", "BUY LIMIT 1 @ 90", risk=portfolio(net_max="101", gross_max="101"), engine={"reporting_currency": "BTC"}),
    refused("exposure_portfolio", "ETHBTC BUY LIMIT 1 @ 90", "BUY LIMIT 1.00001 @ 90", because="gross exposure of the portfolio could reach 101.00001 BTC, beyond portfolio.gross_max 101", risk=portfolio(gross_max="101"), engine={"reporting_currency": "BTC"}),
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
    # ---- cool-down: after 1 BTC bought at 90 is sold at 89.99, for 60 s
    accepted("cooldown", *SOLD.format("90").split(" | "), "BUY LIMIT 1 @ 90", risk=COOL),
    refused("cooldown", *SOLD.format("89.99").split(" | "), "BUY LIMIT 1 @ 90", because="desk cools down for another 60 s after a loss of 0.01", risk=COOL),
    accepted("cooldown", *SOLD.format("89.99").split(" | "), "ETHBTC BUY LIMIT 1 @ 90", risk=COOL),
    refused("cooldown", *SOLD.format("89.99").split(" | "), "run 59.9", "BUY LIMIT 1 @ 90", because="desk cools down for another 1 s after a loss of 0.01", risk=COOL),
    accepted("cooldown", *SOLD.format("89.99").split(" | "), "run 60", "BUY LIMIT 1 @ 90", risk=COOL),
    accepted("cooldown", "BUY LIMIT 2 @ 90", "venue: filled 2", "SELL LIMIT 1 @ 89.99", "venue: filled 1 at 89.99", "SELL LIMIT 1 @ 110", risk=COOL),
    accepted("cooldown", *SOLD.format("89.99").split(" | "), "BUY LIMIT 1 @ 90", risk={"cooldown": CooldownSettings(after_loss_ns=MINUTE_NS, loss_min=Decimal("0.01"))}),
    accepted("cooldown", *SOLD.format("89.99").split(" | "), "command: resume_strategy desk", "BUY LIMIT 1 @ 90", risk=COOL),
    accepted("cooldown", *SOLD.format("89.99").split(" | "), "command: resume_instrument BTCUSDT", "BUY LIMIT 1 @ 90", risk=COOL),
    # after a stop order that filled
    refused("cooldown", "BUY LIMIT 1 @ 90", "venue: filled 1", "SELL STOP 1 from 89", "venue: filled 1", "BUY LIMIT 1 @ 90", because="desk cools down for another 60 s after stop order {second} filled", risk={"cooldown": CooldownSettings(after_stop_ns=MINUTE_NS)}),
    accepted("cooldown", "BUY LIMIT 1 @ 90", "venue: filled 1", "SELL TAKE_PROFIT 1 from 110", "venue: filled 1", "BUY LIMIT 1 @ 90", risk={"cooldown": CooldownSettings(after_stop_ns=MINUTE_NS)}),
    # after refusals in a row, by the venue or by risk
    accepted("cooldown", "BUY LIMIT 1 @ 90", "venue: rejected", "BUY LIMIT 1 @ 90", risk=REFUSED),
    refused("cooldown", "BUY LIMIT 1 @ 90", "venue: rejected", "BUY LIMIT 9 @ 90", "BUY LIMIT 1 @ 90", because="desk cools down for another 60 s after 2 refusals in a row", risk={**REFUSED, "order_size_max": "5"}),
    accepted("cooldown", "BUY LIMIT 1 @ 90", "venue: rejected", "BUY LIMIT 1 @ 90", "venue: open", "BUY LIMIT 9 @ 90", "BUY LIMIT 1 @ 90", risk={**REFUSED, "order_size_max": "5"}),
    # ---- placements of this minute, by instrument and by strategy; the session starts 50 s before the next one
    accepted("placement_budget", "BUY LIMIT 1 @ 90", "BUY LIMIT 1 @ 90", risk={"placements_per_minute_max": 2}),
    refused("placement_budget", "BUY LIMIT 1 @ 90", "BUY LIMIT 1 @ 90", "BUY LIMIT 1 @ 90", because="2 placements of binance_spot:BTCUSDT in this minute, placements_per_minute_max is 2", risk={"placements_per_minute_max": 2}),
    accepted("placement_budget", "BUY LIMIT 1 @ 90", "BUY LIMIT 1 @ 90", "ETHBTC BUY LIMIT 1 @ 90", risk={"placements_per_minute_max": 2}),
    refused("placement_budget", "other: BUY LIMIT 1 @ 90", "BUY LIMIT 1 @ 90", because="1 placements of binance_spot:BTCUSDT in this minute, placements_per_minute_max is 1", risk={"placements_per_minute_max": 1}),
    refused("placement_budget", "BUY LIMIT 1 @ 90", "at a nanosecond before the next minute", "review: BUY LIMIT 1 @ 90", because="1 placements of binance_spot:BTCUSDT in this minute, placements_per_minute_max is 1", risk={"placements_per_minute_max": 1}),
    accepted("placement_budget", "BUY LIMIT 1 @ 90", "at the next minute", "review: BUY LIMIT 1 @ 90", risk={"placements_per_minute_max": 1}),
    accepted("placement_budget", "BUY LIMIT 1 @ 90", "run 60", "BUY LIMIT 1 @ 90", risk={"placements_per_minute_max": 1}),
    accepted("placement_budget", "BUY LIMIT 1 @ 90", "BUY LIMIT 1 @ 90", risk={"placements_per_minute_max": 1, **btc(placements_per_minute_max=2)}),
    # an order that only reduces the position passes
    accepted("placement_budget", "BUY LIMIT 1 @ 90", "venue: filled 1", "SELL LIMIT 1 @ 110", risk={"placements_per_minute_max": 1}),
    refused("placement_budget", "BUY LIMIT 1 @ 90", "venue: filled 1", "SELL LIMIT 1.00001 @ 110", because="1 placements of binance_spot:BTCUSDT in this minute, placements_per_minute_max is 1", risk={"placements_per_minute_max": 1}),
    accepted("strategy_placement_budget", "BUY LIMIT 1 @ 90", "ETHBTC BUY LIMIT 1 @ 90", risk=desk(placements_per_minute_max=2)),
    refused("strategy_placement_budget", "BUY LIMIT 1 @ 90", "ETHBTC BUY LIMIT 1 @ 90", "BUY LIMIT 1 @ 90", because="2 placements of desk in this minute, strategy.placements_per_minute_max is 2", risk=desk(placements_per_minute_max=2)),
    accepted("strategy_placement_budget", "other: BUY LIMIT 1 @ 90", "BUY LIMIT 1 @ 90", risk=desk(placements_per_minute_max=1)),
    # ---- trading hours: a window from 10 s after the start for 10 s, and one an hour later
    accepted("trading_hours", "run 10", "BUY LIMIT 1 @ 90", risk=hours(10, 20)),
    refused("trading_hours", "run 9", "BUY LIMIT 1 @ 90", because="XTST is closed; it opens in 1 s", risk=hours(10, 20)),
    refused("trading_hours", "run 20", "BUY LIMIT 1 @ 90", because="XTST is closed; it opens in 3581 s", risk=hours(10, 20, 3601)),
    accepted("trading_hours", "run 19", "BUY LIMIT 1 @ 90", risk=hours(10, 20)),
    refused("trading_hours", "run 20", "BUY LIMIT 1 @ 90", because="no trading hours of XTST are known for this time: start the session again", risk=hours(10, 20)),
    refused("trading_hours", "run 6", "BUY LIMIT 1 @ 90", because="XTST is closed; it opens in 4 s", risk={"instrument": {"BTCUSDT": ScopeLimits(hours=hours(10, 20)["hours"])}}),
    accepted("trading_hours", "run 6", "ETHBTC BUY LIMIT 1 @ 90", risk={"instrument": {"BTCUSDT": ScopeLimits(hours=hours(10, 20)["hours"])}}),
    accepted("trading_hours", "run 10", "BUY LIMIT 1 @ 90", "venue: filled 1", "run 10", "SELL LIMIT 1 @ 110", risk=hours(10, 20)),
    # ---- several strategies in one instrument
    accepted("shared_instrument", "other: BUY LIMIT 1 @ 90", "BUY LIMIT 1 @ 90", "SELL LIMIT 1 @ 110"),
    refused("shared_instrument", "other: BUY LIMIT 1 @ 90", "BUY LIMIT 1 @ 90", because="other has order {first} here, and risk.sharing is refuse", risk={"sharing": Sharing.REFUSE}),
    refused("shared_instrument", "other: BUY LIMIT 1 @ 90", "venue: filled 1", "BUY LIMIT 1 @ 90", because="other has a position here, and risk.sharing is refuse", risk={"sharing": Sharing.REFUSE}),
    accepted("shared_instrument", "other: BUY LIMIT 1 @ 90", "venue: open", "venue: canceled", "BUY LIMIT 1 @ 90", risk={"sharing": Sharing.REFUSE}),
    accepted("shared_instrument", "other: ETHBTC BUY LIMIT 1 @ 90", "BUY LIMIT 1 @ 90", risk={"sharing": Sharing.REFUSE}),
    accepted("shared_instrument", "BUY LIMIT 1 @ 90", "BUY LIMIT 1 @ 90", risk={"sharing": Sharing.REFUSE}),
    accepted("shared_instrument", "other: BUY LIMIT 1 @ 90", "BUY LIMIT 1 @ 90", risk={"sharing": Sharing.NET}),
    refused("shared_instrument", "other: BUY LIMIT 1 @ 90", "SELL LIMIT 1 @ 110", because="other has a BUY here, and risk.sharing is net", risk={"sharing": Sharing.NET}),
    refused("shared_instrument", "other: BUY LIMIT 1 @ 90", "venue: filled 1", "SELL LIMIT 1 @ 110", because="other has a position of 1 here, and risk.sharing is net", risk={"sharing": Sharing.NET}),
    accepted("shared_instrument", "BUY LIMIT 1 @ 90", "venue: filled 1", "other: BUY LIMIT 1 @ 90", "SELL LIMIT 1 @ 110", risk={"sharing": Sharing.NET}),
    # ---- an order that would trade with another strategy's
    accepted("self_trade", "other: BUY LIMIT 1 @ 90", "SELL LIMIT 1 @ 90.01"),
    refused("self_trade", "other: BUY LIMIT 1 @ 90", "SELL LIMIT 1 @ 90", because="it would trade with order {first} of other at 90"),
    accepted("self_trade", "other: SELL LIMIT 1 @ 110", "BUY LIMIT 1 @ 109.99"),
    refused("self_trade", "other: SELL LIMIT 1 @ 110", "BUY LIMIT 1 @ 110", because="it would trade with order {first} of other at 110"),
    refused("self_trade", "other: SELL LIMIT 1 @ 101.5", "BUY MARKET 1", because="it would trade with order {first} of other at 101.5"),
    accepted("self_trade", "other: SELL LIMIT 1 @ 101.51", "BUY MARKET 1"),
    accepted("self_trade", "other: BUY LIMIT 1 @ 90", "BUY LIMIT 1 @ 95"),
    accepted("self_trade", "other: ETHBTC SELL LIMIT 1 @ 90", "BUY LIMIT 1 @ 95"),
    accepted("self_trade", "BUY LIMIT 1 @ 90", "SELL LIMIT 1 @ 80"),
    accepted("self_trade", "other: SELL STOP_LIMIT 1 @ 90 from 91", "BUY LIMIT 1 @ 95"),
    accepted("self_trade", "other: BUY LIMIT 1 @ 90", "venue: open", "venue: canceled", "SELL LIMIT 1 @ 90"),
    # ---- trailing stops: within the venue's bounds, and a buy costs its delta more than the ask
    accepted("trailing_stop", "SELL STOP 1 trailing 10", instrument=TRAILS),
    accepted("trailing_stop", "SELL TAKE_PROFIT_LIMIT 1 @ 100 from 110 trailing 2000", instrument=TRAILS),
    refused("trailing_stop", "SELL STOP 1 trailing 9", because="trailing delta 9 is below 10 basis points", instrument=TRAILS),
    refused("trailing_stop", "SELL STOP 1 trailing 2001", because="trailing delta 2001 is above 2000 basis points", instrument=TRAILS),
    accepted("trailing_stop", "SELL STOP 1 trailing 9999"),
    refused("trailing_stop", "SELL STOP 1 trailing -1", because="trailing delta -1 is below 1 basis points"),
    refused("trailing_stop", "SELL LIMIT 1 @ 110 trailing 100", because="a LIMIT order has no trailing stop"),
    refused("trailing_stop", "SELL STOP 1 trailing 100", because="BTCUSDT has no trailing stops at binance_spot", instrument=NO_TERMS),
    refused("tick", "SELL STOP 1 trailing 100 from 98.001", because="stop price 98.001 is not a multiple of the tick 0.01"),
    refused("tick", "SELL STOP 1", because="stop price 0 is not a multiple of the tick 0.01"),
    accepted("balance", "BUY STOP 1 trailing 100", funds={"USDT": "102.52005"}),
    refused("balance", "BUY STOP 1 trailing 100", because="needs 102.52005 USDT; free 102.52004, promised to orders under way 0", funds={"USDT": "102.52004"}),
    refused("price_band", "SELL STOP_LIMIT 1 @ 94.99 trailing 100", because="price 94.99 differs from the mid 100 by more than price_band_max 0.05", risk={"price_band_max": "0.05"}),
    # ---- icebergs
    accepted("iceberg", "BUY LIMIT 1 @ 90 shows 0.1", instrument={"iceberg_parts_max": 10}),
    refused("iceberg", "BUY LIMIT 1.00001 @ 90 shows 0.1", because="11 parts of 0.1 are more than 10", instrument={"iceberg_parts_max": 10}),
    accepted("iceberg", "BUY LIMIT 1.00001 @ 90 shows 1"),
    refused("iceberg", "BUY LIMIT 1 @ 90 shows 1", because="visible part 1 is not below the quantity 1"),
    refused("iceberg", "BUY LIMIT 1 @ 90 shows 0.000011", because="visible part 0.000011 is not a multiple of the lot 0.00001"),
    refused("iceberg", "BUY LIMIT 1 @ 90 shows -0.1", because="visible part -0.1 is not a multiple of the lot 0.00001"),
    refused("iceberg", "BUY LIMIT 1 @ 90 shows 0.00001", because="visible part 0.00001 is below 0.00002", instrument={"quantity_min": "0.00002"}),
    refused("iceberg", "BUY LIMIT 1 @ 90 shows 0.1 in IOC", because="an iceberg rests in the book, so its time in force is GTC, not IOC"),
    refused("iceberg", "BUY MARKET 1 shows 0.1", because="a MARKET order has no visible part"),
    refused("iceberg", "BUY LIMIT 1 @ 90 shows 0.1", because="BTCUSDT has no icebergs at binance_spot", instrument=NO_TERMS),
    # ---- amounts of the quote asset: 100 USDT buy at most 0.99508 BTC, half a per cent below the ask
    accepted("quote_amount", "BUY MARKET 0 for 100.00000001"),
    refused("quote_amount", "BUY MARKET 0 for 100.000000001", because="quote amount 100.000000001 is not a multiple of 0.00000001"),
    refused("quote_amount", "BUY MARKET 0 for -1", because="quote amount -1 is not a multiple of 0.00000001"),
    refused("quote_amount", "BUY LIMIT 0 @ 90 for 100", because="a LIMIT order is placed by quantity, not by quote amount"),
    refused("quote_amount", "BUY MARKET 0 for 100 reduce", because="a reduce-only order is placed by quantity: the quantity of an amount is known by its fills alone"),
    refused("quote_amount", "BUY MARKET 0 for 100", because="BTCUSDT has no orders by quote amount at binance_spot", instrument=NO_TERMS),
    accepted("position", "BUY MARKET 0 for 100", risk=btc(position_max="0.99508")),
    refused("position", "BUY MARKET 0 for 100", because="position could reach 0.99508, beyond position_max 0.99507", risk=btc(position_max="0.99507")),
    accepted("order_size", "BUY MARKET 0 for 100", risk=btc(order_notional_max="100")),
    refused("order_size", "BUY MARKET 0 for 100.01", because="notional 100.01 is above order_notional_max 100", risk=btc(order_notional_max="100")),
    refused("strategy_order_size", "BUY MARKET 0 for 100.01", because="notional 100.01 is above order_notional_max 100 of desk", risk=desk(order_notional_max="100")),
    accepted("notional_min", "BUY MARKET 0 for 10", instrument={"notional_min": "10"}),
    refused("notional_min", "BUY MARKET 0 for 9.99", because="notional 9.99 is below 10", instrument={"notional_min": "10"}),
    accepted("balance", "BUY MARKET 0 for 100", funds={"USDT": "100"}),
    refused("balance", "BUY MARKET 0 for 100.01", because="needs 100.01 USDT; free 100, promised to orders under way 0", funds={"USDT": "100"}),
    refused("balance", "BUY MARKET 0 for 60", "BUY LIMIT 1 @ 41", because="needs 41 USDT; free 100, promised to orders under way 60", funds={"USDT": "100"}),
    refused("balance", "SELL MARKET 0 for 99", because="needs 1.00503 BTC; free 1.00502, promised to orders under way 0", funds={"BTC": "1.00502"}),
    # ---- good till a time
    accepted("good_till", "BUY LIMIT 1 @ 90 till 1"),
    accepted("good_till", "SELL STOP 1 from 98 till 1"),
    refused("good_till", "BUY LIMIT 1 @ 90 till -1", because="its time was over 1.000 s ago"),
    refused("good_till", "BUY LIMIT 1 @ 90 till 1 in IOC", because="a LIMIT order does not rest (IOC), so it cannot be good till a time"),
    refused("good_till", "BUY MARKET 1 till 1", because="a MARKET order does not rest (IOC), so it cannot be good till a time"),
]  # fmt: skip
