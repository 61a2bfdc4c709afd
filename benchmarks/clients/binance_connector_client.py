"""binance-connector (legacy) trades on the simulated venue. Runs in its own environment."""

import importlib.metadata
import json
import queue
import sys
import time
from collections.abc import Callable
from typing import Any

from binance.error import ClientError
from binance.spot import Spot
from binance.websocket.spot.websocket_api import SpotWebsocketAPIClient
from binance.websocket.spot.websocket_stream import SpotWebsocketStreamClient

SYMBOL = "BTCUSDT"
SECONDS = 10


def trade(address: str, key: str, secret: str) -> None:
    client = Spot(api_key=key, api_secret=secret, base_url=address)
    assert {entry["symbol"] for entry in client.exchange_info()["symbols"]} == {"BTCUSDT", "ETHUSDT"}
    price = float(client.ticker_price(SYMBOL)["price"])
    limit = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": 0.01}
    placed = client.new_order(**limit, price=round(price * 0.9, 2))
    assert placed["clientOrderId"]  # it sends none: the venue makes one
    assert client.get_order(SYMBOL, orderId=placed["orderId"])["status"] == "NEW"
    assert client.cancel_order(SYMBOL, orderId=placed["orderId"])["status"] == "CANCELED"
    assert client.new_order(symbol=SYMBOL, side="BUY", type="MARKET", quantity=0.01)["status"] == "FILLED"
    balances = {entry["asset"]: float(entry["free"]) for entry in client.account()["balances"]}
    assert balances["BTC"] > 2
    assert client.my_trades(SYMBOL)
    try:
        client.cancel_order(SYMBOL, orderId=placed["orderId"])
    except ClientError as error:
        assert (error.status_code, error.error_code) == (400, -2011)  # noqa: PT017  # no pytest in a client's own environment
    else:
        raise AssertionError("cancelled twice")


def stream(address: str, key: str, secret: str) -> None:
    sockets = address.replace("http", "ws", 1)
    heard: queue.Queue[str] = queue.Queue()
    market = SpotWebsocketStreamClient(stream_url=sockets, on_message=lambda _, text: heard.put(text))
    market.book_ticker(symbol=SYMBOL.lower())
    wait_for(heard, lambda message: "b" in message.get("data", message))
    market.stop()
    told: queue.Queue[str] = queue.Queue()
    private = SpotWebsocketAPIClient(
        stream_url=sockets + "/ws-api/v3", api_key=key, api_secret=secret, on_message=lambda _, text: told.put(text)
    )
    private.account()
    wait_for(told, lambda message: "balances" in message.get("result", {}))
    private.new_order(id=7, symbol=SYMBOL, side="SELL", type="MARKET", quantity=0.005, newOrderRespType="FULL")
    wait_for(told, lambda message: message.get("id") == 7 and message["result"]["status"] == "FILLED")
    private.stop()


def wait_for(heard: "queue.Queue[str]", wanted: Callable[[Any], bool]) -> None:
    until = time.monotonic() + SECONDS
    seen = []
    while time.monotonic() < until:
        try:
            message = json.loads(heard.get(timeout=0.5))
        except queue.Empty:
            continue
        seen.append(message)
        if wanted(message):
            return
    raise AssertionError(f"not heard in {SECONDS} s; heard {seen[-3:]}")


def main(address: str, key: str, secret: str) -> None:
    trade(address, key, secret)
    stream(address, key, secret)
    version = importlib.metadata.version("binance-connector")
    print(
        f"binance-connector {version}: markets, limit, query, cancel, market, balance, trades, streams, orders over ws"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
