"""ccxt and ccxt.pro on the simulated USD-M futures: each call of theirs that concerns a futures account's trading.

Runs in any environment that has ccxt.
"""

import asyncio
import re
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent))  # -P leaves it out

import ccxt
import ccxt.pro
from reporting import Calls

SYMBOL, ID = "BTC/USDT:USDT", "BTCUSDT"


def configured(kind: type, address: str, key: str, secret: str) -> Any:
    exchange = kind(
        {
            "apiKey": key,
            "secret": secret,
            "enableRateLimit": False,
            "options": {"fetchMarkets": {"types": ["linear"]}, "fetchCurrencies": False, "fetchMargins": False},
        }
    )
    for name, url in exchange.urls["api"].items():
        if name.startswith("fapi") and name != "fapiData":
            exchange.urls["api"][name] = url.replace("https://fapi.binance.com", address)
    streams = address.replace("http", "ws", 1)
    if "ws" in exchange.urls["api"]:
        exchange.urls["api"]["ws"]["linear"] = streams + "/ws"
        exchange.urls["api"]["ws"]["ws-api"]["linear"] = streams + "/ws-fapi/v1"
    return exchange


def code_of(error: Exception) -> int | None:
    found = re.search(r'"code":(-\d+)', str(error))
    return int(found[1]) if found else None


def read(calls: Calls, exchange: Any) -> float:
    calls.answers("load_markets", exchange.load_markets, lambda found: set(found) == {SYMBOL, "ETH/USDT:USDT"})
    calls.answers("fetch_time", exchange.fetch_time)
    last = calls.answers("fetch_ticker", lambda: exchange.fetch_ticker(SYMBOL))["last"]
    calls.trade(ID, last)  # the tape has a trade from here on
    calls.answers("fetch_tickers", exchange.fetch_tickers, lambda found: len(found) == 2)
    calls.answers("fetch_bids_asks", lambda: exchange.fetch_bids_asks([SYMBOL]), lambda found: found[SYMBOL]["bid"] > 0)
    calls.answers(
        "fetch_order_book", lambda: exchange.fetch_order_book(SYMBOL, 5), lambda book: book["bids"][0] < book["asks"][0]
    )
    calls.answers("fetch_trades", lambda: exchange.fetch_trades(SYMBOL, limit=5), len)
    calls.answers("fetch_ohlcv", lambda: exchange.fetch_ohlcv(SYMBOL, "1m", limit=5), len)
    calls.answers("fetch_funding_rate", lambda: exchange.fetch_funding_rate(SYMBOL), lambda x: x["markPrice"] > 0)
    calls.answers("fetch_funding_rates", exchange.fetch_funding_rates, len)
    calls.answers("fetch_funding_rate_history", lambda: exchange.fetch_funding_rate_history(SYMBOL))
    calls.answers("fetch_funding_intervals", exchange.fetch_funding_intervals)
    calls.answers("fetch_mark_price", lambda: exchange.fetch_mark_price(SYMBOL), lambda x: x["markPrice"] > 0)
    calls.answers(
        "fetch_leverage_tiers", lambda: exchange.fetch_leverage_tiers([SYMBOL]), lambda x: len(x[SYMBOL]) == 10
    )
    calls.answers("fetch_balance", exchange.fetch_balance, lambda found: found["USDT"]["free"] == 100_000)
    calls.answers("fetch_trading_fee", lambda: exchange.fetch_trading_fee(SYMBOL), lambda fee: fee["taker"] == 0.0005)
    calls.answers("fetch_position_mode", lambda: exchange.fetch_position_mode(SYMBOL), lambda x: x["hedged"] is False)
    calls.answers("fetch_leverages", lambda: exchange.fetch_leverages([SYMBOL]), len)
    calls.answers("fetch_margin_modes", lambda: exchange.fetch_margin_modes([SYMBOL]), len)
    return float(last)


def ordering(exchange: Any) -> Any:
    def order(kind: str, side: str, amount: float, price: float | None = None, **params: Any) -> Any:
        return exchange.create_order(SYMBOL, kind, side, amount, price, params)

    return order


def is_open(found: Any) -> bool:
    return found["status"] == "open"


def trade(calls: Calls, exchange: Any, low: float) -> None:
    order = ordering(exchange)
    calls.answers("set_leverage", lambda: exchange.set_leverage(10, SYMBOL), lambda x: x["leverage"] == 10)
    placed = calls.answers("create_order limit", lambda: order("limit", "buy", 0.01, low), is_open)
    calls.answers("fetch_order", lambda: exchange.fetch_order(placed["id"], SYMBOL), is_open)
    calls.answers("fetch_open_orders", lambda: exchange.fetch_open_orders(SYMBOL), lambda found: len(found) == 1)
    calls.answers("fetch_open_order", lambda: exchange.fetch_open_order(placed["id"], SYMBOL), is_open)
    calls.answers(
        "edit_order",
        lambda: exchange.edit_order(placed["id"], SYMBOL, "limit", "buy", 0.02, low),
        lambda found: found["amount"] == 0.02 and found["id"] == placed["id"],
    )
    calls.answers(
        "cancel_order", lambda: exchange.cancel_order(placed["id"], SYMBOL), lambda x: x["status"] == "canceled"
    )
    calls.answers("create_order market", lambda: order("market", "buy", 0.02))
    held = calls.answers("fetch_positions", lambda: exchange.fetch_positions([SYMBOL]), lambda x: len(x) == 1)[0]
    assert (held["contracts"], held["side"]) == (0.02, "long"), held
    calls.answers("fetch_positions_risk", lambda: exchange.fetch_positions_risk([SYMBOL]), len)
    calls.answers("create_order reduceOnly", lambda: order("market", "sell", 0.01, reduceOnly=True))
    calls.answers("create_order postOnly", lambda: order("limit", "buy", 0.01, low, postOnly=True), is_open)
    calls.answers("create_order IOC", lambda: order("limit", "buy", 0.01, low, timeInForce="IOC"))
    calls.answers("create_order test", lambda: order("limit", "buy", 0.01, low, test=True))


def trigger(calls: Calls, exchange: Any, low: float, high: float) -> None:
    order = ordering(exchange)
    stop = calls.answers("create_order stopLossPrice", lambda: order("market", "sell", 0.01, None, stopLossPrice=low))
    calls.answers("create_order takeProfitPrice", lambda: order("market", "sell", 0.01, None, takeProfitPrice=high))
    calls.answers(
        "create_order stop-limit", lambda: order("limit", "sell", 0.01, low, triggerPrice=low, timeInForce="GTC")
    )
    calls.answers(
        "create_order trailingPercent",
        lambda: order("market", "sell", 0.01, None, trailingPercent=5, trailingTriggerPrice=high, reduceOnly=True),
    )
    calls.answers(
        "create_order closePosition",
        lambda: order("STOP_MARKET", "sell", 0.01, None, stopPrice=low, closePosition=True),
    )
    calls.answers(
        "fetch_open_orders trigger",
        lambda: exchange.fetch_open_orders(SYMBOL, params={"trigger": True}),
        lambda found: len(found) == 5,
    )
    calls.answers(
        "fetch_order trigger", lambda: exchange.fetch_order(stop["id"], SYMBOL, {"trigger": True}), lambda x: x["id"]
    )
    calls.answers("cancel_order trigger", lambda: exchange.cancel_order(stop["id"], SYMBOL, {"trigger": True}))
    calls.trade(ID, high + 1, sells=False)
    calls.answers(
        "the market triggers a take-profit",
        lambda: exchange.fetch_positions([SYMBOL]),
        lambda found: not [each for each in found if each["contracts"]],
    )
    calls.answers("cancel_all_orders trigger", lambda: exchange.cancel_all_orders(SYMBOL, params={"trigger": True}))
    calls.answers("cancel_all_orders", lambda: exchange.cancel_all_orders(SYMBOL))
    calls.answers(
        "cancel_all_orders_after (countdown)",
        lambda: exchange.fapiPrivatePostCountdownCancelAll({"symbol": ID, "countdownTime": 60_000}),
        lambda x: x["countdownTime"] == "60000",
    )


def list_and_configure(calls: Calls, exchange: Any, low: float, high: float) -> None:
    order = ordering(exchange)
    pair = [{"symbol": SYMBOL, "type": "limit", "side": side, "amount": 0.01, "price": price}
            for side, price in (("buy", low), ("sell", high))]  # fmt: skip
    batch = calls.answers("create_orders", lambda: exchange.create_orders(pair), lambda found: len(found) == 2)
    calls.answers(
        "cancel_orders", lambda: exchange.cancel_orders([each["id"] for each in batch], SYMBOL), lambda x: len(x) == 2
    )
    calls.answers("fetch_orders", lambda: exchange.fetch_orders(SYMBOL), lambda found: len(found) > 6)
    calls.answers("fetch_closed_orders", lambda: exchange.fetch_closed_orders(SYMBOL), len)
    calls.answers("fetch_my_trades", lambda: exchange.fetch_my_trades(SYMBOL), lambda found: len(found) >= 3)
    calls.answers("fetch_ledger", lambda: exchange.fetch_ledger("USDT"), len)
    calls.answers("fetch_funding_history", lambda: exchange.fetch_funding_history(SYMBOL))
    calls.answers("fetch_my_liquidations", lambda: exchange.fetch_my_liquidations(SYMBOL))
    calls.answers("set_margin_mode", lambda: exchange.set_margin_mode("isolated", SYMBOL))
    calls.answers("create_order isolated", lambda: order("market", "buy", 0.01))
    calls.answers("add_margin", lambda: exchange.add_margin(SYMBOL, 10))
    calls.answers("reduce_margin", lambda: exchange.reduce_margin(SYMBOL, 5))
    calls.answers("fetch_margin_adjustment_history", lambda: exchange.fetch_margin_adjustment_history(SYMBOL), len)
    calls.refuses("set_margin_mode with a position", -4048, lambda: exchange.set_margin_mode("cross", SYMBOL))
    calls.answers("close a position", lambda: order("market", "sell", 0.01, reduceOnly=True))
    calls.refuses("reduceOnly without a position", -2022, lambda: order("market", "sell", 0.01, reduceOnly=True))
    calls.refuses("an order over the margin", -2019, lambda: order("limit", "buy", 50, low))
    calls.refuses("an order under the smallest notional", -4164, lambda: order("limit", "buy", 0.001, low))
    calls.answers("set_position_mode", lambda: exchange.set_position_mode(hedged=True))
    calls.answers("create_order hedged", lambda: order("market", "buy", 0.01, positionSide="LONG"))
    calls.answers("close hedged", lambda: order("market", "sell", 0.01, positionSide="LONG"))
    calls.answers("set_position_mode back", lambda: exchange.set_position_mode(hedged=False))


async def stream(calls: Calls, exchange: Any) -> None:
    try:
        await exchange.load_markets()
        book = await calls.awaits(
            "watch_order_book", exchange.watch_order_book(SYMBOL), lambda x: x["bids"][0] < x["asks"][0]
        )
        for _ in range(5):
            book = await exchange.watch_order_book(SYMBOL)
        low = round(book["bids"][0][0] * 0.97, 1)
        await calls.awaits("watch_bids_asks", exchange.watch_bids_asks([SYMBOL]), lambda x: x[SYMBOL]["bid"] > 0)
        await calls.awaits("watch_trades", exchange.watch_trades(SYMBOL), len)
        await calls.awaits("watch_ticker", exchange.watch_ticker(SYMBOL), lambda x: x["last"] > 0)
        await calls.awaits("watch_mark_price", exchange.watch_mark_price(SYMBOL), lambda x: x["markPrice"] > 0)
        await calls.awaits("watch_ohlcv", exchange.watch_ohlcv(SYMBOL, "5m"), len)
        orders = asyncio.create_task(exchange.watch_orders(SYMBOL))
        await asyncio.sleep(1)  # the subscription is not acknowledged
        placed = await calls.awaits("create_order limit", exchange.create_order(SYMBOL, "limit", "buy", 0.01, low))
        calls.verify("watch_orders", await orders, lambda told: told[-1]["id"] == placed["id"])
        fills = asyncio.create_task(exchange.watch_my_trades(SYMBOL))
        funds = asyncio.create_task(exchange.watch_balance())
        held = asyncio.create_task(exchange.watch_positions([SYMBOL]))
        await asyncio.sleep(0.5)
        await calls.awaits(
            "create_order_ws market", exchange.create_order_ws(SYMBOL, "market", "buy", 0.01), lambda x: x["id"]
        )
        calls.verify("watch_my_trades", await fills, len)
        calls.verify("watch_balance", await funds, lambda told: told["USDT"]["total"] > 0)
        calls.verify("watch_positions", await held, lambda told: told[0]["contracts"] == 0.01)
        await calls.awaits("edit_order_ws", exchange.edit_order_ws(placed["id"], SYMBOL, "limit", "buy", 0.02, low))
        await calls.awaits("fetch_order_ws", exchange.fetch_order_ws(placed["id"], SYMBOL))
        await calls.awaits("cancel_order_ws", exchange.cancel_order_ws(placed["id"], SYMBOL))
        await calls.awaits("fetch_balance_ws", exchange.fetch_balance_ws())
        await calls.awaits("fetch_positions_ws", exchange.fetch_positions_ws([SYMBOL]), len)
    finally:
        await exchange.close()


def main(address: str, key: str, secret: str) -> None:
    calls = Calls(address, code_of)
    exchange = configured(ccxt.binanceusdm, address, key, secret)
    last = read(calls, exchange)
    low, high = round(last * 0.97, 1), round(last * 1.03, 1)
    trade(calls, exchange, low)
    trigger(calls, exchange, low, high)
    list_and_configure(calls, exchange, low, high)
    asyncio.run(asyncio.wait_for(stream(calls, configured(ccxt.pro.binanceusdm, address, key, secret)), 60))
    print(f"ccxt {ccxt.__version__}: {len(calls.rows)} calls of USD-M futures")
    calls.print()


if __name__ == "__main__":
    main(*sys.argv[1:])
