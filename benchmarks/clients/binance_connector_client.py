"""binance-connector (legacy) on the simulated venue: each call of its spot client that concerns an account's trading.

Runs in an environment that has binance-connector.
"""

import importlib.metadata
import json
import queue
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent))  # -P leaves it out

from binance.error import ClientError
from binance.spot import Spot
from binance.websocket.spot.websocket_api import SpotWebsocketAPIClient
from binance.websocket.spot.websocket_stream import SpotWebsocketStreamClient
from reporting import Calls

SYMBOL = "BTCUSDT"
SECONDS = 10


def code_of(error: Exception) -> int | None:
    return error.error_code if isinstance(error, ClientError) else None


def read(calls: Calls, client: Spot) -> float:
    calls.answers("ping", client.ping)
    calls.answers("time", client.time)
    calls.answers("exchange_info", client.exchange_info, lambda found: len(found["symbols"]) == 2)
    last = float(calls.answers("ticker_price", lambda: client.ticker_price(SYMBOL))["price"])
    calls.trade(SYMBOL, last)
    for name in ("depth", "trades", "historical_trades", "agg_trades", "avg_price", "ticker_24hr", "trading_day_ticker",
                 "book_ticker", "rolling_window_ticker"):  # fmt: skip
        method = getattr(client, name)
        calls.answers(name, lambda ask=method: ask(SYMBOL))
    calls.answers("klines", lambda: client.klines(SYMBOL, "1m"), len)
    calls.answers("ui_klines", lambda: client.ui_klines(SYMBOL, "1d"), len)
    calls.answers("account", client.account, lambda found: found["canTrade"])
    calls.answers("get_order_rate_limit", client.get_order_rate_limit, len)
    return last


def trade(calls: Calls, client: Spot, last: float) -> None:
    low, high = round(last * 0.9, 2), round(last * 1.1, 2)
    limit = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": 0.01, "price": low}
    placed = calls.answers("new_order limit", lambda: client.new_order(**limit), lambda found: found["clientOrderId"])
    number = placed["orderId"]
    calls.answers("get_order", lambda: client.get_order(SYMBOL, orderId=number), lambda found: found["status"] == "NEW")
    calls.answers("get_open_orders", lambda: client.get_open_orders(SYMBOL), lambda found: len(found) == 1)
    replaced = calls.answers(
        "cancel_and_replace",
        lambda: client.cancel_and_replace(**limit, cancelReplaceMode="STOP_ON_FAILURE", cancelOrderId=number),
        lambda found: found["newOrderResult"] == "SUCCESS",
    )
    newer = replaced["newOrderResponse"]["orderId"]
    calls.answers(
        "cancel_order", lambda: client.cancel_order(SYMBOL, orderId=newer), lambda x: x["status"] == "CANCELED"
    )
    market = {"symbol": SYMBOL, "side": "BUY", "type": "MARKET"}
    calls.answers(
        "new_order market", lambda: client.new_order(**market, quantity=0.01), lambda x: x["status"] == "FILLED"
    )
    calls.answers("new_order market by quoteOrderQty", lambda: client.new_order(**market, quoteOrderQty=100))
    sale = {"symbol": SYMBOL, "side": "SELL", "quantity": 0.01}
    for kind, more in {
        "STOP_LOSS": {"stopPrice": low},
        "STOP_LOSS_LIMIT": {"stopPrice": low, "price": low, "timeInForce": "GTC"},
        "TAKE_PROFIT": {"stopPrice": high},
        "TAKE_PROFIT_LIMIT": {"trailingDelta": 1500, "price": high, "timeInForce": "GTC"},
    }.items():
        calls.answers(f"new_order {kind}", lambda sent={**sale, "type": kind, **more}: client.new_order(**sent))
    calls.answers("new_order iceberg", lambda: client.new_order(**limit, icebergQty=0.001))
    calls.answers("new_order_test", lambda: client.new_order_test(**limit), lambda found: found == {})
    calls.refuses("new_order with strategyId", -1020, lambda: client.new_order(**limit, strategyId=1))
    calls.refuses("cancel_order of a canceled order", -2011, lambda: client.cancel_order(SYMBOL, orderId=number))
    calls.answers("cancel_open_orders", lambda: client.cancel_open_orders(SYMBOL), len)
    calls.answers("get_orders", lambda: client.get_orders(SYMBOL), len)
    calls.answers("my_trades", lambda: client.my_trades(SYMBOL), len)
    calls.answers("query_prevented_matches", lambda: client.query_prevented_matches(SYMBOL, orderId=number))


def fields_of_lists(last: float) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    low, high = round(last * 0.85, 2), round(last * 1.15, 2)
    pair = {"aboveType": "LIMIT_MAKER", "abovePrice": high, "belowType": "STOP_LOSS", "belowStopPrice": low}
    working = {"workingType": "LIMIT", "workingSide": "BUY", "workingPrice": low, "workingQuantity": 0.01,
               "workingTimeInForce": "GTC", "pendingSide": "SELL", "pendingQuantity": 0.01}  # fmt: skip
    pending = {f"pending{name[0].upper()}{name[1:]}": value for name, value in pair.items()}
    return {"side": "SELL", "quantity": 0.01, **pair}, working, pending


def list_orders(calls: Calls, client: Spot, last: float) -> None:
    sale, working, pending = fields_of_lists(last)
    placed = calls.answers("new_oco_order", lambda: client.new_oco_order(SYMBOL, **sale))
    calls.answers("new_oto_order", lambda: client.new_oto_order(SYMBOL, **working, pendingType="MARKET"))
    calls.answers("new_otoco_order", lambda: client.new_otoco_order(SYMBOL, **working, **pending))
    number = placed["orderListId"]
    calls.answers("get_oco_order", lambda: client.get_oco_order(orderListId=number))
    calls.answers("get_oco_orders", client.get_oco_orders, lambda found: len(found) == 3)
    calls.answers("get_oco_open_orders", client.get_oco_open_orders, lambda found: len(found) == 3)
    calls.answers("cancel_oco_order", lambda: client.cancel_oco_order(SYMBOL, orderListId=number))
    client.cancel_open_orders(SYMBOL)


def stream(calls: Calls, address: str) -> None:
    sockets = address.replace("http", "ws", 1)
    frames: queue.Queue[str] = queue.Queue()
    market = SpotWebsocketStreamClient(stream_url=sockets, on_message=lambda _, text: frames.put(text))
    try:
        subscribe_all(calls, market, frames)
    finally:
        market.stop()


def subscribe_all(calls: Calls, market: SpotWebsocketStreamClient, frames: "queue.Queue[str]") -> None:
    symbol = SYMBOL.lower()
    for name, subscribe, field in [
        ("stream book_ticker", lambda: market.book_ticker(symbol=symbol), "A"),
        ("stream trade", lambda: market.trade(symbol=symbol), "t"),
        ("stream agg_trade", lambda: market.agg_trade(symbol=symbol), "a"),
        ("stream kline", lambda: market.kline(symbol=symbol, interval="1h"), "k"),
        ("stream mini_ticker", lambda: market.mini_ticker(symbol=symbol), "v"),
        ("stream ticker", lambda: market.ticker(symbol=symbol), "w"),
        ("stream partial_book_depth", lambda: market.partial_book_depth(symbol=symbol, level=5, speed=100), "bids"),
        ("stream diff_book_depth", lambda: market.diff_book_depth(symbol=symbol, speed=100), "U"),
    ]:
        subscribe()
        calls.verify(name, wait_for(frames, lambda message, wanted=field: wanted in message.get("data", message)), bool)
    market.rolling_window_ticker(symbol=symbol, windowSize="1h")
    refused = wait_for(frames, lambda message: "code" in message)
    assert "is not implemented by this simulated venue" in refused["msg"]
    calls.rows.append(("stream rolling_window_ticker", "refused: not implemented"))


def over_socket(calls: Calls, address: str, key: str, secret: str, last: float) -> None:
    frames: queue.Queue[str] = queue.Queue()
    sockets = address.replace("http", "ws", 1)
    client = SpotWebsocketAPIClient(
        stream_url=sockets + "/ws-api/v3", api_key=key, api_secret=secret, on_message=lambda _, text: frames.put(text)
    )
    try:
        ask_all(calls, client, frames, key, last)
    finally:
        client.stop()


def ask_all(calls: Calls, client: SpotWebsocketAPIClient, frames: "queue.Queue[str]", key: str, last: float) -> None:
    numbers = iter(range(1, 100))

    def ask(name: str, *args: Any, **fields: Any) -> Any:
        number = next(numbers)
        getattr(client, name)(*args, id=number, **fields)
        answer = wait_for(frames, lambda message: message.get("id") == number)
        calls.verify(f"ws {name}", answer, lambda found: found["status"] == 200)
        return answer["result"]

    low = round(last * 0.85, 2)
    limit = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": 0.01, "price": low}
    for name in ("ping_connectivity", "server_time", "exchange_info", "account", "order_rate_limit"):
        ask(name)
    for name in ("order_book", "recent_trades", "aggregate_trades", "avg_price"):
        ask(name, SYMBOL)
    ask("historical_trades", SYMBOL, key)
    for name in ("ticker", "ticker_24hr", "ticker_price", "ticker_book"):
        ask(name, symbol=SYMBOL)
    for name in ("klines", "ui_klines"):
        ask(name, SYMBOL, "1m")
    placed = ask("new_order", **limit, newOrderRespType="FULL")
    ask("new_order_test", **limit)
    ask("get_order", SYMBOL, orderId=placed["orderId"])
    replace = {"cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrderId": placed["orderId"]}
    newer = ask("cancel_replace_order", **{**limit, **replace})["newOrderResponse"]["orderId"]
    ask("cancel_order", SYMBOL, orderId=newer)
    sale, working, pending = fields_of_lists(last)
    oco = ask("new_oco_order", SYMBOL, **sale)
    ask("new_oto_order", SYMBOL, **working, pendingType="MARKET")
    ask("new_otoco_order", SYMBOL, **working, **pending)
    ask("get_oco_order", orderListId=oco["orderListId"])
    ask("get_open_oco_orders")
    ask("cancel_oco_order", SYMBOL, orderListId=oco["orderListId"])
    ask("get_open_orders", symbol=SYMBOL)
    ask("cancel_open_orders", SYMBOL)
    ask("oco_history")
    ask("order_history", symbol=SYMBOL)
    ask("my_trades", symbol=SYMBOL)


def wait_for(frames: "queue.Queue[str]", wanted: Callable[[Any], bool]) -> Any:
    until = time.monotonic() + SECONDS
    seen = []
    while time.monotonic() < until:
        try:
            message = json.loads(frames.get(timeout=0.5))
        except queue.Empty:
            continue
        seen.append(message)
        if wanted(message):
            return message
    raise AssertionError(f"missing for {SECONDS} s; the last frames are {seen[-3:]}")


def main(address: str, key: str, secret: str) -> None:
    calls = Calls(address, code_of)
    client = Spot(api_key=key, api_secret=secret, base_url=address)
    last = read(calls, client)
    trade(calls, client, last)
    list_orders(calls, client, last)
    stream(calls, address)
    over_socket(calls, address, key, secret, last)
    print(f"binance-connector {importlib.metadata.version('binance-connector')}: {len(calls.rows)} calls")
    calls.print()


if __name__ == "__main__":
    main(*sys.argv[1:])
