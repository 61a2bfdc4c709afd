"""ccxt and ccxt.pro on the simulated venue, spot only: each call of theirs that concerns a spot account's trading.

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

SYMBOL, ID = "BTC/USDT", "BTCUSDT"


def configured(kind: type, address: str, key: str, secret: str) -> Any:
    exchange = kind(
        {
            "apiKey": key,
            "secret": secret,
            "enableRateLimit": False,
            "options": {
                "defaultType": "spot",
                "fetchMarkets": {"types": ["spot"]},
                "fetchCurrencies": False,
                "fetchMargins": False,
            },
        }
    )
    exchange.urls["api"]["public"] = exchange.urls["api"]["private"] = address + "/api/v3"
    streams = address.replace("http", "ws", 1)
    if "ws" in exchange.urls["api"]:
        exchange.urls["api"]["ws"]["spot"] = streams + "/ws"
        exchange.urls["api"]["ws"]["ws-api"]["spot"] = streams + "/ws-api/v3"
    return exchange


def code_of(error: Exception) -> int | None:
    if isinstance(error, ccxt.InsufficientFunds):
        return -2010  # ccxt leaves the code out of its text
    found = re.search(r'"code":(-\d+)', str(error))
    return int(found[1]) if found else None


def read(calls: Calls, exchange: Any) -> float:
    calls.answers("load_markets", exchange.load_markets, lambda found: set(found) == {"BTC/USDT", "ETH/USDT"})
    calls.answers("fetch_time", exchange.fetch_time)
    last = calls.answers("fetch_ticker", lambda: exchange.fetch_ticker(SYMBOL))["last"]
    calls.trade(ID, last)  # the tape has a trade from here on
    calls.answers("fetch_tickers", exchange.fetch_tickers, lambda found: set(found) == {"BTC/USDT", "ETH/USDT"})
    calls.answers("fetch_last_prices", exchange.fetch_last_prices, lambda found: found[SYMBOL]["price"] > 0)
    calls.answers("fetch_bids_asks", lambda: exchange.fetch_bids_asks([SYMBOL]), lambda found: found[SYMBOL]["bid"] > 0)
    calls.answers(
        "fetch_order_book", lambda: exchange.fetch_order_book(SYMBOL, 5), lambda book: book["bids"][0] < book["asks"][0]
    )
    calls.answers("fetch_trades", lambda: exchange.fetch_trades(SYMBOL, limit=5), len)
    rows = calls.answers("fetch_ohlcv 1m", lambda: exchange.fetch_ohlcv(SYMBOL, "1m", limit=5), len)
    since = rows[-1][0]
    calls.answers(
        "fetch_ohlcv from a time",
        lambda: exchange.fetch_ohlcv(SYMBOL, "1m", since, 5),
        lambda page: page[0][0] == since,
    )
    for interval in ("1s", "1h", "1d", "1w", "1M"):
        calls.answers(f"fetch_ohlcv {interval}", lambda kind=interval: exchange.fetch_ohlcv(SYMBOL, kind), len)
    one = {"symbol": ID}
    for name, params in [
        ("uiKlines", {**one, "interval": "1m"}),
        ("historicalTrades", one),
        ("aggTrades", one),
        ("avgPrice", one),
        ("ticker", {**one, "windowSize": "1h"}),
        ("ticker/tradingDay", one),
        ("ticker/24hr", one),
    ]:
        method = getattr(exchange, "public_get_" + name.replace("/", "_").lower())
        calls.answers(f"GET {name}", lambda ask=method, given=params: ask(given))
    for name in ("executionRules", "referencePrice", "historicalBlockTrades"):
        method = getattr(exchange, f"public_get_{name.lower()}")
        calls.refuses(f"GET {name}", -1020, lambda ask=method: ask(one))
    calls.answers("fetch_balance", exchange.fetch_balance, lambda found: found["BTC"]["free"] == 2)
    calls.answers("GET account/commission", lambda: exchange.private_get_account_commission(one))
    calls.answers("GET rateLimit/order", exchange.private_get_ratelimit_order)
    return float(last)


def trade(calls: Calls, exchange: Any, last: float) -> None:
    def order(kind: str, side: str, amount: float, price: float | None = None, **params: Any) -> Any:
        return exchange.create_order(SYMBOL, kind, side, amount, price, params)

    def is_open(found: Any) -> bool:
        return found["status"] == "open"

    low, high = round(last * 0.9, 2), round(last * 1.1, 2)
    placed = calls.answers("create_order limit", lambda: order("limit", "buy", 0.01, low), is_open)
    calls.answers("fetch_order", lambda: exchange.fetch_order(placed["id"], SYMBOL), is_open)
    calls.answers("fetch_open_orders", lambda: exchange.fetch_open_orders(SYMBOL), lambda found: len(found) == 1)
    edited = calls.answers(
        "edit_order (cancelReplace)",
        lambda: exchange.edit_order(placed["id"], SYMBOL, "limit", "buy", 0.02, low),
        lambda found: found["amount"] == 0.02 and found["id"] != placed["id"],
    )
    calls.answers(
        "cancel_order", lambda: exchange.cancel_order(edited["id"], SYMBOL), lambda x: x["status"] == "canceled"
    )
    bought = calls.answers("create_order market", lambda: order("market", "buy", 0.01), lambda x: x["filled"] == 0.01)
    calls.answers(
        "create_order market by cost", lambda: order("market", "buy", 0, cost=100), lambda x: x["cost"] <= 100
    )
    calls.answers("create_order postOnly", lambda: order("limit", "buy", 0.01, low, postOnly=True), is_open)
    calls.answers(
        "create_order IOC",
        lambda: order("limit", "buy", 0.01, low, timeInForce="IOC"),
        lambda x: x["status"] == "expired",
    )
    calls.answers(
        "create_order FOK",
        lambda: order("limit", "buy", 0.01, low, timeInForce="FOK"),
        lambda x: x["status"] == "expired",
    )
    calls.answers("create_order iceberg", lambda: order("limit", "buy", 0.02, low, icebergAmount=0.01), is_open)
    calls.answers(
        "create_order selfTradePrevention", lambda: order("limit", "buy", 0.01, low, selfTradePrevention="none")
    )
    calls.answers("create_order test", lambda: order("limit", "buy", 0.01, low, test=True))
    stop = calls.answers(
        "create_order stopLossPrice", lambda: order("market", "sell", 0.01, None, stopLossPrice=low), is_open
    )
    calls.answers("create_order stop-limit", lambda: order("limit", "sell", 0.01, low, stopLossPrice=low), is_open)
    calls.answers(
        "create_order takeProfitPrice", lambda: order("market", "sell", 0.01, None, takeProfitPrice=high), is_open
    )
    calls.answers(
        "create_order trailingPercent",
        lambda: order("market", "sell", 0.01, None, trailingPercent=15, stopLossOrTakeProfit="stopLoss"),
        is_open,
    )
    calls.trade(ID, low - 1)
    calls.answers(
        "the market triggers a stop", lambda: exchange.fetch_order(stop["id"], SYMBOL), lambda x: x["filled"] == 0.01
    )
    calls.answers("cancel_all_orders", lambda: exchange.cancel_all_orders(SYMBOL), lambda found: len(found) >= 4)
    calls.answers("fetch_orders", lambda: exchange.fetch_orders(SYMBOL), lambda found: len(found) > 10)
    calls.answers("fetch_closed_orders", lambda: exchange.fetch_closed_orders(SYMBOL), len)
    calls.answers("fetch_canceled_orders", lambda: exchange.fetch_canceled_orders(SYMBOL), len)
    mine = calls.answers("fetch_my_trades", lambda: exchange.fetch_my_trades(SYMBOL), len)
    calls.answers(
        "fetch_my_trades from an id",
        lambda: exchange.fetch_my_trades(SYMBOL, params={"fromId": mine[1]["id"]}),
        lambda page: page[0]["id"] == mine[1]["id"],
    )
    calls.answers("fetch_order_trades", lambda: exchange.fetch_order_trades(bought["id"], SYMBOL), len)
    calls.refuses("an order over the balance", -2010, lambda: order("market", "sell", 50))
    calls.refuses("a cancel of a canceled order", -2011, lambda: exchange.cancel_order(placed["id"], SYMBOL))
    calls.refuses("an order under the smallest notional", -1013, lambda: order("limit", "buy", 0.00001, low))
    calls.refuses("create_order with strategyId", -1020, lambda: order("limit", "buy", 0.01, low, strategyId=1))
    calls.refuses("POST sor/order", -1020, lambda: exchange.private_post_sor_order({"symbol": ID}))
    calls.refuses("GET myAllocations", -1020, lambda: exchange.private_get_myallocations({"symbol": ID}))
    calls.answers(
        "GET myPreventedMatches",
        lambda: exchange.private_get_mypreventedmatches({"symbol": ID, "orderId": placed["id"]}),
    )


def list_orders(calls: Calls, exchange: Any, last: float) -> None:
    low, high = f"{last * 0.85:.2f}", f"{last * 1.15:.2f}"
    pair = {"AboveType": "LIMIT_MAKER", "AbovePrice": high, "BelowType": "STOP_LOSS", "BelowStopPrice": low}
    working = {"workingType": "LIMIT", "workingSide": "BUY", "workingPrice": low, "workingQuantity": "0.01",
               "workingTimeInForce": "GTC", "pendingSide": "SELL"}  # fmt: skip
    pending = {f"pending{name}": value for name, value in pair.items()}
    simple = {"pendingType": "LIMIT", "pendingPrice": high, "pendingTimeInForce": "GTC"}
    plain = {name[0].lower() + name[1:]: value for name, value in pair.items()}
    old = {"price": high, "stopPrice": low}
    placed = []
    for name, fields in [
        ("orderList/oco", {"side": "SELL", "quantity": "0.01", **plain}),
        ("order/oco", {"side": "SELL", "quantity": "0.01", **old}),
        ("orderList/oto", {**working, **simple, "pendingQuantity": "0.01"}),
        ("orderList/otoco", {**working, **pending, "pendingQuantity": "0.01"}),
        ("orderList/opo", {**working, **simple}),
        ("orderList/opoco", {**working, **pending}),
    ]:
        method = getattr(exchange, "private_post_" + name.replace("/", "_").lower())
        answer = calls.answers(
            f"POST {name}", lambda ask=method, given=fields: ask({"symbol": ID, **given}), lambda x: x["orderReports"]
        )
        placed.append(answer["orderListId"])
    calls.answers("GET openOrderList", exchange.private_get_openorderlist, lambda found: len(found) == len(placed))
    calls.answers(
        "GET allOrderList", lambda: exchange.private_get_allorderlist({"fromId": placed[1]}), lambda x: len(x) == 5
    )
    calls.answers("GET orderList", lambda: exchange.private_get_orderlist({"orderListId": placed[0]}))
    calls.answers(
        "DELETE orderList",
        lambda: exchange.private_delete_orderlist({"symbol": ID, "orderListId": placed[0]}),
        lambda found: found["listOrderStatus"] == "ALL_DONE",
    )
    calls.answers("DELETE openOrders with lists", lambda: exchange.private_delete_openorders({"symbol": ID}), len)


async def stream(calls: Calls, exchange: Any) -> None:
    try:
        await exchange.load_markets()
        book = await calls.awaits(
            "watch_order_book", exchange.watch_order_book(SYMBOL), lambda x: x["bids"][0] < x["asks"][0]
        )
        for _ in range(5):
            book = await exchange.watch_order_book(SYMBOL)
        low = round(book["bids"][0][0] * 0.9, 2)
        await calls.awaits("watch_bids_asks", exchange.watch_bids_asks([SYMBOL]), lambda x: x[SYMBOL]["bid"] > 0)
        await calls.awaits("watch_trades", exchange.watch_trades(SYMBOL), len)
        await calls.awaits("watch_ticker", exchange.watch_ticker(SYMBOL), lambda x: x["last"] > 0)
        await calls.awaits("watch_ohlcv", exchange.watch_ohlcv(SYMBOL, "5m"), len)
        orders = asyncio.create_task(exchange.watch_orders(SYMBOL))
        await asyncio.sleep(1)  # the subscription is not acknowledged
        placed = await calls.awaits(
            "create_order_ws limit", exchange.create_order_ws(SYMBOL, "limit", "buy", 0.01, low)
        )
        calls.verify("watch_orders", await orders, lambda told: told[-1]["id"] == placed["id"])
        fills = asyncio.create_task(exchange.watch_my_trades(SYMBOL))
        funds = asyncio.create_task(exchange.watch_balance())
        await asyncio.sleep(0.5)
        await calls.awaits(
            "create_order_ws market",
            exchange.create_order_ws(SYMBOL, "market", "sell", 0.01),
            lambda x: x["filled"] == 0.01,
        )
        calls.verify("watch_my_trades", await fills, len)
        calls.verify("watch_balance", await funds, lambda told: told["BTC"]["free"] > 0)
        await calls.awaits(
            "fetch_order_ws", exchange.fetch_order_ws(placed["id"], SYMBOL), lambda x: x["status"] == "open"
        )
        await calls.awaits("fetch_open_orders_ws", exchange.fetch_open_orders_ws(SYMBOL), len)
        edited = await calls.awaits(
            "edit_order_ws (cancelReplace)", exchange.edit_order_ws(placed["id"], SYMBOL, "limit", "buy", 0.02, low)
        )
        await calls.awaits("cancel_order_ws", exchange.cancel_order_ws(edited["id"], SYMBOL))
        await calls.awaits("fetch_orders_ws", exchange.fetch_orders_ws(SYMBOL), len)
        await calls.awaits("fetch_my_trades_ws", exchange.fetch_my_trades_ws(SYMBOL), len)
        await calls.awaits("fetch_balance_ws", exchange.fetch_balance_ws())
        await calls.awaits("fetch_ohlcv_ws", exchange.fetch_ohlcv_ws(SYMBOL, "1m"), len)
    finally:
        await exchange.close()


def main(address: str, key: str, secret: str) -> None:
    calls = Calls(address, code_of)
    exchange = configured(ccxt.binance, address, key, secret)
    last = read(calls, exchange)
    trade(calls, exchange, last)
    list_orders(calls, exchange, last)
    asyncio.run(asyncio.wait_for(stream(calls, configured(ccxt.pro.binance, address, key, secret)), 60))
    print(f"ccxt {ccxt.__version__}: {len(calls.rows)} calls")
    calls.print()


if __name__ == "__main__":
    main(*sys.argv[1:])
