"""python-binance on the simulated venue: each call of its spot client that concerns an account's trading.

Runs in an environment that has python-binance.
"""

import asyncio
import importlib.metadata
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent))  # -P leaves it out

from binance import AsyncClient, BinanceSocketManager, Client, DepthCacheManager
from binance.exceptions import BinanceAPIException
from reporting import Calls

SYMBOL = "BTCUSDT"
ONE = {"symbol": SYMBOL}


def code_of(error: Exception) -> int | None:
    return error.code if isinstance(error, BinanceAPIException) else None


def read(calls: Calls, client: Client) -> float:
    calls.answers("ping", client.ping)
    calls.answers("get_server_time", client.get_server_time)
    calls.answers("get_exchange_info", client.get_exchange_info, lambda found: len(found["symbols"]) == 2)
    calls.answers("get_symbol_info", lambda: client.get_symbol_info(SYMBOL), lambda found: found["ocoAllowed"])
    last = float(calls.answers("get_symbol_ticker", lambda: client.get_symbol_ticker(**ONE))["price"])
    calls.trade(SYMBOL, last)
    calls.answers("get_order_book", lambda: client.get_order_book(**ONE), lambda book: len(book["bids"]))
    calls.answers("get_recent_trades", lambda: client.get_recent_trades(**ONE), len)
    calls.answers("get_historical_trades", lambda: client.get_historical_trades(**ONE), len)
    calls.answers("get_aggregate_trades", lambda: client.get_aggregate_trades(**ONE), len)
    calls.answers("get_klines", lambda: client.get_klines(**ONE, interval="1m"), len)
    calls.answers("get_ui_klines", lambda: client.get_ui_klines(**ONE, interval="1m"), len)
    calls.answers(
        "get_historical_klines", lambda: client.get_historical_klines(SYMBOL, "1m", "1 hour ago UTC", limit=10), len
    )
    calls.answers("get_klines 1s", lambda: client.get_klines(**ONE, interval="1s"), len)
    for name in (
        "get_avg_price",
        "get_ticker",
        "get_symbol_ticker_window",
        "get_orderbook_ticker",
        "v3_get_ticker_trading_day",
    ):
        method = getattr(client, name)
        calls.answers(name, lambda ask=method: ask(**ONE))
    for name in ("get_all_tickers", "get_orderbook_tickers"):
        calls.answers(name, getattr(client, name), len)
    calls.answers("get_account", client.get_account)
    calls.answers(
        "get_asset_balance", lambda: client.get_asset_balance(asset="BTC"), lambda found: float(found["free"]) == 2
    )
    calls.answers("get_current_order_count", client.get_current_order_count)
    return last


def trade(calls: Calls, client: Client, last: float) -> None:
    low, high = f"{last * 0.9:.2f}", f"{last * 1.1:.2f}"
    limit = {**ONE, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01", "price": low}
    placed = calls.answers("order_limit_buy", lambda: client.order_limit_buy(**ONE, quantity="0.01", price=low))
    by_id = {**ONE, "orderId": placed["orderId"]}
    calls.answers("get_order", lambda: client.get_order(**by_id), lambda found: found["status"] == "NEW")
    calls.answers("get_open_orders", lambda: client.get_open_orders(**ONE), lambda found: len(found) == 1)
    replaced = calls.answers(
        "cancel_replace_order",
        lambda: client.cancel_replace_order(
            **limit, cancelReplaceMode="STOP_ON_FAILURE", cancelOrderId=placed["orderId"]
        ),
        lambda found: found["newOrderResult"] == "SUCCESS",
    )
    newer = {**ONE, "orderId": replaced["newOrderResponse"]["orderId"]}
    calls.answers("cancel_order", lambda: client.cancel_order(**newer), lambda found: found["status"] == "CANCELED")
    calls.answers(
        "order_market_buy", lambda: client.order_market_buy(**ONE, quantity="0.01"), lambda x: x["status"] == "FILLED"
    )
    calls.answers("order_market_buy by quoteOrderQty", lambda: client.order_market_buy(**ONE, quoteOrderQty="100"))
    stop = {**ONE, "side": "SELL", "quantity": "0.01"}
    for kind, more in {
        "STOP_LOSS": {"stopPrice": low},
        "STOP_LOSS_LIMIT": {"stopPrice": low, "price": low, "timeInForce": "GTC"},
        "TAKE_PROFIT": {"stopPrice": high},
        "TAKE_PROFIT_LIMIT": {"trailingDelta": 1500, "price": high, "timeInForce": "GTC"},
    }.items():
        calls.answers(f"create_order {kind}", lambda sent={**stop, "type": kind, **more}: client.create_order(**sent))
    calls.answers("create_order iceberg", lambda: client.create_order(**limit, icebergQty="0.001"))
    calls.answers("create_test_order", lambda: client.create_test_order(**limit), lambda found: found == {})
    calls.refuses("create_order with strategyId", -1020, lambda: client.create_order(**limit, strategyId=1))
    calls.refuses("create_order pegged", -1020, lambda: client.create_order(**limit, pegPriceType="PRIMARY_PEG"))
    calls.refuses("cancel_order of a canceled order", -2011, lambda: client.cancel_order(**by_id))
    calls.answers("cancel_all_open_orders", lambda: client.cancel_all_open_orders(**ONE), len)
    calls.answers("get_all_orders", lambda: client.get_all_orders(**ONE), len)
    calls.answers("get_all_orders from an id", lambda: client.get_all_orders(**by_id, limit=1), lambda x: len(x) == 1)
    calls.answers("get_my_trades", lambda: client.get_my_trades(**ONE), len)
    calls.answers("get_prevented_matches", lambda: client.get_prevented_matches(**by_id), lambda found: found == [])
    for name in ("v3_post_sor_order", "v3_post_sor_order_test"):
        method = getattr(client, name)
        calls.refuses(name, -1020, lambda ask=method: ask(**limit))


def list_orders(calls: Calls, client: Client, last: float) -> None:
    low, high = f"{last * 0.85:.2f}", f"{last * 1.15:.2f}"
    pair = {"aboveType": "LIMIT_MAKER", "abovePrice": high, "belowType": "STOP_LOSS", "belowStopPrice": low}
    working = {**ONE, "workingType": "LIMIT", "workingSide": "BUY", "workingPrice": low, "workingQuantity": "0.01",
               "workingTimeInForce": "GTC", "pendingSide": "SELL", "pendingQuantity": "0.01"}  # fmt: skip
    pending = {f"pending{name[0].upper()}{name[1:]}": value for name, value in pair.items()}
    sale = {**ONE, "quantity": "0.01", **pair}
    placed = calls.answers("create_oco_order", lambda: client.create_oco_order(**sale, side="SELL"))
    calls.answers("order_oco_sell", lambda: client.order_oco_sell(**sale))
    calls.answers("v3_post_order_list_oto", lambda: client.v3_post_order_list_oto(**working, pendingType="MARKET"))
    calls.answers("v3_post_order_list_otoco", lambda: client.v3_post_order_list_otoco(**working, **pending))
    calls.answers("get_open_oco_orders", client.get_open_oco_orders, lambda found: len(found) == 4)
    calls.answers("v3_get_order_list", lambda: client.v3_get_order_list(orderListId=placed["orderListId"]))
    calls.answers("v3_get_all_order_list", client.v3_get_all_order_list, lambda found: len(found) == 4)
    calls.answers("v3_delete_order_list", lambda: client.v3_delete_order_list(**ONE, orderListId=placed["orderListId"]))
    client.cancel_all_open_orders(**ONE)


async def stream(calls: Calls, address: str, key: str, secret: str, last: float) -> None:
    sockets = address.replace("http", "ws", 1)
    AsyncClient.API_URL = address + "/api"
    BinanceSocketManager.STREAM_URL = sockets + "/"
    from binance.ws.websocket_api import WebsocketAPI

    client = await calls.awaits("AsyncClient.create", AsyncClient.create(key, secret))
    client.API_URL = address + "/api"
    client.ws_api = WebsocketAPI(url=sockets + "/ws-api/v3")
    try:
        manager = BinanceSocketManager(client)
        manager.STREAM_URL = sockets + "/"
        async with manager.symbol_book_ticker_socket(SYMBOL) as tickers:
            await calls.awaits("symbol_book_ticker_socket", tickers.recv(), lambda found: float(found["b"]) > 0)
        async with manager.kline_socket(SYMBOL, "5m") as candles:
            await calls.awaits("kline_socket", candles.recv(), lambda found: found["k"]["i"] == "5m")
        async with manager.multiplex_socket([f"{SYMBOL.lower()}@trade", f"{SYMBOL.lower()}@bookTicker"]) as many:
            await calls.awaits("multiplex_socket", many.recv(), lambda found: found["stream"].startswith("btcusdt@"))
        async with DepthCacheManager(client, symbol=SYMBOL) as depth:
            depth._bm.STREAM_URL = sockets + "/"  # noqa: SLF001  # it offers no other way
            await calls.awaits("DepthCacheManager", depth.recv(), lambda book: book.get_bids()[0] < book.get_asks()[0])
        async with manager.user_socket() as private:
            await asyncio.sleep(1)
            await client.order_market_sell(symbol=SYMBOL, quantity="0.005")
            told = [(await asyncio.wait_for(private.recv(), 10))["e"] for _ in range(3)]
            wanted = ["executionReport", "executionReport", "outboundAccountPosition"]
            calls.verify("user_socket: an order's events", told, lambda found: found == wanted)
            low, high = f"{last * 0.85:.2f}", f"{last * 1.15:.2f}"
            await client.create_oco_order(**ONE, side="SELL", quantity="0.01", aboveType="LIMIT_MAKER", abovePrice=high,
                                          belowType="STOP_LOSS", belowStopPrice=low)  # fmt: skip
            told = [(await asyncio.wait_for(private.recv(), 10))["e"] for _ in range(3)]
            calls.verify(
                "user_socket: a list's events", told, lambda found: found == ["listStatus", *["executionReport"] * 2]
            )
        await over_socket(calls, client, last)
    finally:
        await client.close_connection()


async def over_socket(calls: Calls, client: Any, last: float) -> None:
    low, high = f"{last * 0.85:.2f}", f"{last * 1.15:.2f}"
    limit = {**ONE, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01", "price": low}
    pair = {"aboveType": "LIMIT_MAKER", "abovePrice": high, "belowType": "STOP_LOSS", "belowStopPrice": low}
    working = {**ONE, "workingType": "LIMIT", "workingSide": "BUY", "workingPrice": low, "workingQuantity": "0.01",
               "workingTimeInForce": "GTC", "pendingSide": "SELL", "pendingQuantity": "0.01"}  # fmt: skip
    pending = {f"pending{name[0].upper()}{name[1:]}": value for name, value in pair.items()}
    placed = await calls.awaits("ws_create_order", client.ws_create_order(**limit))
    by_id = {**ONE, "orderId": placed["orderId"]}
    await calls.awaits("ws_get_order", client.ws_get_order(**by_id), lambda found: found["status"] == "NEW")
    await calls.awaits(
        "ws_cancel_and_replace_order",
        client.ws_cancel_and_replace_order(
            **limit, cancelReplaceMode="STOP_ON_FAILURE", cancelOrderId=placed["orderId"]
        ),
    )
    await calls.awaits("ws_create_test_order", client.ws_create_test_order(**limit))
    sale = {**ONE, "side": "SELL", "quantity": "0.01", **pair}
    oco = await calls.awaits("ws_create_oco_order", client.ws_create_oco_order(**sale))
    await calls.awaits("ws_create_oto_order", client.ws_create_oto_order(**working, pendingType="MARKET"))
    await calls.awaits("ws_create_otoco_order", client.ws_create_otoco_order(**working, **pending))
    await calls.awaits("ws_get_oco_order", client.ws_get_oco_order(orderListId=oco["orderListId"]))
    await calls.awaits("ws_get_oco_open_orders", client.ws_get_oco_open_orders(), len)
    await calls.awaits("ws_cancel_oco_order", client.ws_cancel_oco_order(**ONE, orderListId=oco["orderListId"]))
    await calls.awaits("ws_get_open_orders", client.ws_get_open_orders(**ONE), len)
    await calls.awaits("ws_cancel_all_open_orders", client.ws_cancel_all_open_orders(**ONE), len)
    await calls.awaits("ws_get_all_orders", client.ws_get_all_orders(**ONE), len)
    await calls.awaits("ws_get_my_trades", client.ws_get_my_trades(**ONE), len)
    await calls.awaits("ws_get_prevented_matches", client.ws_get_prevented_matches(**by_id))
    await calls.awaits("ws_get_account_rate_limits_orders", client.ws_get_account_rate_limits_orders())
    for name in ("ws_get_avg_price", "ws_get_ticker", "ws_get_symbol_ticker_window", "ws_get_trading_day_ticker",
                 "ws_get_historical_trades", "ws_get_order_book"):  # fmt: skip
        await calls.awaits(name, getattr(client, name)(**ONE))
    await calls.awaits("ws_get_klines", client.ws_get_klines(**ONE, interval="1m"), len)


def main(address: str, key: str, secret: str) -> None:
    Client.API_URL = address + "/api"
    calls = Calls(address, code_of)
    client = Client(key, secret)
    client.API_URL = address + "/api"
    last = read(calls, client)
    trade(calls, client, last)
    list_orders(calls, client, last)
    asyncio.run(asyncio.wait_for(stream(calls, address, key, secret, last), 60))
    print(f"python-binance {importlib.metadata.version('python-binance')}: {len(calls.rows)} calls")
    calls.print()


if __name__ == "__main__":
    main(*sys.argv[1:])
