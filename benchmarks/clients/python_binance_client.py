"""python-binance trades on the simulated venue. Runs in its own environment."""

import asyncio
import importlib.metadata
import sys

from binance import AsyncClient, BinanceSocketManager, Client, DepthCacheManager
from binance.exceptions import BinanceAPIException

SYMBOL = "BTCUSDT"


def trade(address: str, key: str, secret: str) -> None:
    Client.API_URL = address + "/api"
    client = Client(key, secret)
    client.API_URL = address + "/api"
    assert {entry["symbol"] for entry in client.get_exchange_info()["symbols"]} == {"BTCUSDT", "ETHUSDT"}
    price = float(client.get_symbol_ticker(symbol=SYMBOL)["price"])
    placed = client.order_limit_buy(symbol=SYMBOL, quantity="0.01", price=f"{price * 0.9:.2f}")
    assert client.get_order(symbol=SYMBOL, orderId=placed["orderId"])["status"] == "NEW"
    assert len(client.get_open_orders(symbol=SYMBOL)) == 1
    assert client.cancel_order(symbol=SYMBOL, orderId=placed["orderId"])["status"] == "CANCELED"
    assert client.order_market_buy(symbol=SYMBOL, quantity="0.01")["status"] == "FILLED"
    assert float(client.get_asset_balance(asset="BTC")["free"]) > 2
    assert client.get_my_trades(symbol=SYMBOL)
    assert client.get_klines(symbol=SYMBOL, interval="1m")
    try:
        client.cancel_order(symbol=SYMBOL, orderId=placed["orderId"])
    except BinanceAPIException as error:
        assert (error.code, error.message) == (-2011, "Unknown order sent.")  # noqa: PT017  # no pytest in a client's own environment
    else:
        raise AssertionError("cancelled twice")


async def stream(address: str, key: str, secret: str) -> None:
    sockets = address.replace("http", "ws", 1)
    AsyncClient.API_URL = address + "/api"
    BinanceSocketManager.STREAM_URL = sockets + "/"
    from binance.ws.websocket_api import WebsocketAPI

    client = await AsyncClient.create(key, secret)
    client.API_URL = address + "/api"
    client.ws_api = WebsocketAPI(url=sockets + "/ws-api/v3")
    try:
        manager = BinanceSocketManager(client)
        manager.STREAM_URL = sockets + "/"
        async with manager.symbol_book_ticker_socket(SYMBOL) as tickers:
            assert float((await tickers.recv())["b"]) > 0
        async with manager.multiplex_socket([f"{SYMBOL.lower()}@trade", f"{SYMBOL.lower()}@bookTicker"]) as many:
            assert (await many.recv())["stream"].startswith("btcusdt@")
        async with DepthCacheManager(client, symbol=SYMBOL) as depth:
            depth._bm.STREAM_URL = sockets + "/"  # noqa: SLF001  # it offers no other way
            cache = await depth.recv()
            assert cache.get_bids()[0][0] < cache.get_asks()[0][0]
        async with manager.user_socket() as private:
            await asyncio.sleep(1)
            await client.order_market_sell(symbol=SYMBOL, quantity="0.005")
            kinds = [(await asyncio.wait_for(private.recv(), 10))["e"] for _ in range(3)]
            assert kinds == ["executionReport", "executionReport", "outboundAccountPosition"], kinds
    finally:
        await client.close_connection()


def main(address: str, key: str, secret: str) -> None:
    trade(address, key, secret)
    asyncio.run(asyncio.wait_for(stream(address, key, secret), 60))
    version = importlib.metadata.version("python-binance")
    print(
        f"python-binance {version}: markets, limit, query, cancel, market, balance, trades, streams, depth, user stream"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
