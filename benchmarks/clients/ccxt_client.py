"""ccxt and ccxt.pro trade on the simulated venue, spot only. Runs in ccxt's own environment."""

import asyncio
import sys
from typing import Any

import ccxt
import ccxt.pro

SYMBOL = "BTC/USDT"


def configured(kind: type, address: str, key: str, secret: str) -> Any:
    exchange = kind(
        {
            "apiKey": key,
            "secret": secret,
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


def trade(exchange: Any) -> None:
    markets = exchange.load_markets()
    assert set(markets) == {"BTC/USDT", "ETH/USDT"}, markets.keys()
    ticker = exchange.fetch_ticker(SYMBOL)
    assert exchange.fetch_order_book(SYMBOL)["bids"][0][0] < ticker["last"] * 1.01
    low = exchange.price_to_precision(SYMBOL, ticker["last"] * 0.9)
    placed = exchange.create_order(SYMBOL, "limit", "buy", 0.01, float(low))
    assert exchange.fetch_order(placed["id"], SYMBOL)["status"] == "open"
    assert [order["id"] for order in exchange.fetch_open_orders(SYMBOL)] == [placed["id"]]
    assert exchange.cancel_order(placed["id"], SYMBOL)["status"] == "canceled"
    bought = exchange.create_order(SYMBOL, "market", "buy", 0.01)
    assert (bought["status"], bought["filled"]) == ("closed", 0.01), bought
    assert exchange.fetch_balance()["BTC"]["free"] > 2
    assert len(exchange.fetch_my_trades(SYMBOL)) == len(bought["trades"])
    for wrong, call in [
        (ccxt.InsufficientFunds, lambda: exchange.create_order(SYMBOL, "market", "sell", 50)),
        (ccxt.OrderNotFound, lambda: exchange.cancel_order(placed["id"], SYMBOL)),
        (ccxt.BadRequest, lambda: exchange.create_order(SYMBOL, "limit", "buy", 0.00001, float(low))),  # NOTIONAL
    ]:
        try:
            call()
        except wrong:
            continue
        raise AssertionError(f"no {wrong.__name__}")


async def stream(exchange: Any) -> None:
    try:
        await exchange.load_markets()
        book = await exchange.watch_order_book(SYMBOL)
        for _ in range(5):
            book = await exchange.watch_order_book(SYMBOL)
            assert book["bids"][0][0] < book["asks"][0][0]
        best = await exchange.watch_bids_asks([SYMBOL])
        assert best[SYMBOL]["bid"] > 0
        assert await exchange.watch_trades(SYMBOL)
        watching = asyncio.create_task(exchange.watch_orders(SYMBOL))
        await asyncio.sleep(1)  # the subscription is not acknowledged
        placed = await exchange.create_order(SYMBOL, "limit", "buy", 0.01, round(book["bids"][0][0] * 0.9, 2))
        told = await watching
        assert told[-1]["id"] == placed["id"], told
        over_socket = await exchange.create_order_ws(SYMBOL, "market", "sell", 0.01)
        assert over_socket["status"] == "closed", over_socket
        await exchange.cancel_order_ws(placed["id"], SYMBOL)
    finally:
        await exchange.close()


def main(address: str, key: str, secret: str) -> None:
    trade(configured(ccxt.binance, address, key, secret))
    asyncio.run(asyncio.wait_for(stream(configured(ccxt.pro.binance, address, key, secret)), 60))
    print(
        f"ccxt {ccxt.__version__}: markets, limit, query, cancel, market, balance, trades, errors, streams, orders "
        "over ws"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
