"""alpaca-py on the simulated Alpaca: the calls of its trading client, and its stream of trade updates.

Runs in an environment that has alpaca-py.
"""

import importlib.metadata
import queue
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent))  # -P leaves it out

from alpaca.common.exceptions import APIError
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import AssetClass, OrderSide, OrderStatus, OrderType, QueryOrderStatus, TimeInForce
from alpaca.trading.requests import (
    ClosePositionRequest,
    GetAssetsRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    ReplaceOrderRequest,
    StopLimitOrderRequest,
    StopOrderRequest,
    TrailingStopOrderRequest,
)
from alpaca.trading.stream import TradingStream
from reporting import Calls

STOCK, PAIR = "AAPL", "BTC/USD"
DAY, GTC, IOC = TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC
BUY, SELL = OrderSide.BUY, OrderSide.SELL
SECONDS = 10


def code_of(error: Exception) -> int | None:
    return error.code if isinstance(error, APIError) else None


def settled(client: TradingClient, order: Any) -> Any:
    """Return the order once it is no longer on its way."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        found = client.get_order_by_id(order.id)
        if found.status not in (OrderStatus.PENDING_NEW, OrderStatus.ACCEPTED):
            return found
        time.sleep(0.05)
    raise AssertionError(f"{order.id} is {found.status} after {SECONDS} s")


def read(calls: Calls, client: TradingClient) -> None:
    calls.answers("get_account", client.get_account, lambda found: float(found.cash) == 100_000)
    calls.answers("get_account_configurations", client.get_account_configurations)
    calls.answers("get_clock", client.get_clock, lambda found: found.is_open)
    calls.answers("get_calendar", client.get_calendar, lambda found: found == [])
    crypto = GetAssetsRequest(asset_class=AssetClass.CRYPTO)
    calls.answers("get_all_assets", lambda: client.get_all_assets(crypto), lambda found: found[0].symbol == PAIR)
    calls.answers("get_asset", lambda: client.get_asset(STOCK), lambda found: found.fractionable)
    calls.answers("get_asset of a pair", lambda: client.get_asset(PAIR), lambda found: found.tradable)
    calls.refuses("get_asset of nothing", 40410000, lambda: client.get_asset("NOTHING"))
    calls.answers("get_all_positions", client.get_all_positions, lambda found: found == [])


def trade(calls: Calls, client: TradingClient) -> None:
    def submit(name: str, request: Any, check: Callable[[Any], object] = lambda order: order.client_order_id) -> Any:
        return calls.answers(f"submit_order {name}", lambda: client.submit_order(request), check)

    bought = submit("market", MarketOrderRequest(symbol=STOCK, qty=10, side=BUY, time_in_force=DAY))
    calls.verify("get_order_by_id", settled(client, bought), lambda found: found.status == OrderStatus.FILLED)
    submit("market by notional", MarketOrderRequest(symbol=STOCK, notional=500, side=BUY, time_in_force=DAY))
    submit("market of a pair", MarketOrderRequest(symbol=PAIR, qty=0.1, side=BUY, time_in_force=IOC))
    low = {"symbol": STOCK, "side": BUY, "limit_price": 90}
    named = LimitOrderRequest(**low, qty=2, time_in_force=GTC, client_order_id="my-first")
    resting = submit("limit", named)
    calls.refuses("submit_order with a client id of before", 40010001, lambda: client.submit_order(named))
    submit("limit of a fraction", LimitOrderRequest(**low, qty=1.5, time_in_force=DAY))
    calls.refuses(
        "submit_order of a fraction, good till canceled",
        42210000,
        lambda: client.submit_order(LimitOrderRequest(**low, qty=1.5, time_in_force=GTC)),
    )
    calls.refuses(
        "submit_order off the step",
        42210000,
        lambda: client.submit_order(LimitOrderRequest(**{**low, "limit_price": 90.005}, qty=1, time_in_force=GTC)),
    )
    sale = {"symbol": STOCK, "side": SELL, "qty": 1, "time_in_force": GTC}
    calls.refuses(
        "submit_order against an own order", 40310000, lambda: client.submit_order(MarketOrderRequest(**sale))
    )
    by_id = calls.answers("get_order_by_client_id", lambda: client.get_order_by_client_id("my-first"))
    assert by_id.id == resting.id
    settled(client, resting)
    replaced = calls.answers(
        "replace_order_by_id",
        lambda: client.replace_order_by_id(resting.id, ReplaceOrderRequest(qty=1, limit_price=91)),
        lambda found: found.replaces == resting.id and found.id != resting.id,
    )
    assert client.get_order_by_id(resting.id).status == OrderStatus.REPLACED
    settled(client, replaced)
    calls.answers("cancel_order_by_id", lambda: client.cancel_order_by_id(replaced.id))
    calls.refuses("cancel_order_by_id of an ended order", 42210000, lambda: client.cancel_order_by_id(replaced.id))
    opened = GetOrdersRequest(status=QueryOrderStatus.OPEN, nested=True)
    calls.answers("get_orders", lambda: client.get_orders(opened), lambda found: len(found) == 1)
    calls.answers("cancel_orders", client.cancel_orders, lambda found: found[0].status == 200)
    assert client.get_orders(opened) == []
    submit("stop", StopOrderRequest(**sale, stop_price=90))
    submit("stop limit", StopLimitOrderRequest(**sale, stop_price=90, limit_price=89))
    submit("trailing stop", TrailingStopOrderRequest(**sale, trail_percent=2))
    bracket = LimitOrderRequest(**low, qty=1, time_in_force=GTC, order_class="bracket", take_profit={"limit_price": 200},
                                stop_loss={"stop_price": 80})  # fmt: skip
    calls.refuses("submit_order bracket", 42210000, lambda: client.submit_order(bracket))
    closed = GetOrdersRequest(status=QueryOrderStatus.ALL, limit=500)
    calls.answers("get_orders, all", lambda: client.get_orders(closed), lambda found: len(found) > 6)
    client.cancel_orders()


def close(calls: Calls, client: TradingClient) -> None:
    held = calls.answers("get_open_position", lambda: client.get_open_position(STOCK))
    assert held.qty_available == held.qty
    calls.answers("get_open_position BTCUSD", lambda: client.get_open_position("BTCUSD"), lambda x: x.qty == "0.09975")
    calls.refuses("get_open_position BTC/USD", 40410000, lambda: client.get_open_position(PAIR))
    part = ClosePositionRequest(qty="1")
    calls.answers("close_position", lambda: client.close_position(STOCK, part), lambda x: x.type == OrderType.MARKET)
    calls.answers("close_all_positions", lambda: client.close_all_positions(cancel_orders=True), len)
    calls.answers("get of activities", lambda: client.get("/account/activities/FILL", {"page_size": 100}), len)


def stream(calls: Calls, client: TradingClient, address: str, key: str, secret: str) -> None:
    updates: queue.Queue[Any] = queue.Queue()

    async def note(update: Any) -> None:
        updates.put(update)

    sockets = address.replace("http", "ws", 1) + "/stream"
    listener = TradingStream(key, secret, paper=True, url_override=sockets)
    listener.subscribe_trade_updates(note)
    threading.Thread(target=listener.run, daemon=True).start()
    until, seen = time.monotonic() + SECONDS, []
    while "fill" not in seen and time.monotonic() < until:
        client.submit_order(MarketOrderRequest(symbol=PAIR, qty=0.01, side=BUY, time_in_force=IOC))
        try:
            while True:
                event = updates.get(timeout=0.5).event  # a word that the client does not know stays a text
                seen.append(str(getattr(event, "value", event)))
        except queue.Empty:
            continue
    calls.verify("stream subscribe_trade_updates", seen, lambda events: {"pending_new", "new", "fill"} <= {*events})
    listener.stop()


def main(address: str, key: str, secret: str) -> None:
    calls = Calls(address, code_of)
    client = TradingClient(key, secret, paper=True, url_override=address)
    read(calls, client)
    trade(calls, client)
    close(calls, client)
    stream(calls, client, address, key, secret)
    print(f"alpaca-py {importlib.metadata.version('alpaca-py')}: {len(calls.rows)} calls")
    calls.print()


if __name__ == "__main__":
    main(*sys.argv[1:])
