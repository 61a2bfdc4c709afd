"""python-kraken-sdk on the simulated Kraken: REST, and the websockets of the market and of the account.

Runs in any environment that has python-kraken-sdk. Its websockets speak TLS alone, so the encryption is taken off.
"""

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent))  # -P leaves it out

from kraken.exceptions import (
    KrakenInsufficientFundsError,
    KrakenInvalidArgumentsError,
    KrakenInvalidOrderError,
    KrakenUnknownOrderError,
)
from kraken.spot import Market, SpotWSClient, Trade, User
from kraken.spot.websocket import connectors
from reporting import Calls

PAIR, SYMBOL = "XBTUSD", "BTC/USD"
# errors of the SDK, by a number of ours: Kraken's are words
REFUSALS = {
    1: KrakenInsufficientFundsError, 2: KrakenInvalidArgumentsError, 3: KrakenUnknownOrderError,
    4: KrakenInvalidOrderError,
}  # fmt: skip
CALLS_S = 3.2  # after a call that counts: the venue's counter of the lowest tier falls by one
SECONDS_MAX = 40


def code_of(error: Exception) -> int | None:
    return next((code for code, kind in REFUSALS.items() if isinstance(error, kind)), None)


def read(calls: Calls, market: Any, user: Any) -> float:
    calls.answers("get_system_status", market.get_system_status, lambda found: found["status"] == "online")
    calls.answers("get_assets", market.get_assets, lambda found: {"XXBT", "ZUSD"} <= set(found))
    calls.answers("get_asset_pairs", market.get_asset_pairs, lambda found: "XXBTZUSD" in found)
    tick = calls.answers("get_ticker", lambda: market.get_ticker(pair=PAIR))["XXBTZUSD"]
    calls.answers("get_order_book", lambda: market.get_order_book(pair=PAIR), lambda found: found["XXBTZUSD"]["bids"])
    calls.answers("get_recent_trades", lambda: market.get_recent_trades(pair=PAIR))
    calls.answers("get_account_balance", user.get_account_balance, lambda found: float(found["ZUSD"]) == 100_000)
    calls.answers("get_balances", user.get_balances, lambda found: float(found["XXBT"]["hold_trade"]) == 0)
    return float(tick["b"][0])


def trade(calls: Calls, trades: Any, user: Any, bid: float) -> None:
    order = {"side": "buy", "pair": PAIR}
    resting = calls.answers(
        "create_order limit",
        lambda: trades.create_order("limit", **order, volume="0.01", price=str(round(bid * 0.9, 1)), oflags=["post"]),
    )["txid"][0]
    bought = calls.answers("create_order market", lambda: trades.create_order("market", **order, volume="0.01"))[
        "txid"
    ][0]
    calls.answers("get_open_orders", user.get_open_orders, lambda found: set(found["open"]) == {resting})
    calls.answers(
        "get_orders_info", lambda: user.get_orders_info(txid=bought), lambda found: found[bought]["status"] == "closed"
    )
    calls.answers(
        "get_trades_history", user.get_trades_history,
        lambda found: {fill["ordertxid"] for fill in found["trades"].values()} == {bought},
    )  # fmt: skip
    calls.refuses("create_order of more than it has", 1, lambda: trades.create_order("market", **order, volume="1000"))
    calls.refuses("create_order of 9 decimals", 2, lambda: trades.create_order("market", **order, volume="0.123456789"))
    calls.answers("cancel_order", lambda: trades.cancel_order(txid=resting), lambda found: found["count"] == 1)
    calls.refuses("cancel_order again", 3, lambda: trades.cancel_order(txid=resting))
    time.sleep(CALLS_S * 2)
    calls.answers("get_closed_orders", user.get_closed_orders, lambda found: found["count"] == 2)
    calls.answers(
        "cancel_all_orders_after_x", lambda: trades.cancel_all_orders_after_x(60), lambda found: found["triggerTime"]
    )
    calls.answers("cancel_all_orders", trades.cancel_all_orders, lambda found: found["count"] == 0)


async def watch(calls: Calls, address: str, key: str, secret: str, trades: Any) -> None:
    """Subscribe to the market and the account, and trade once, until each channel has sent a message."""
    seen: list[Any] = []
    plain, real = address.removeprefix("http://"), connectors.connect

    def unencrypted(url: str, **more: Any) -> Any:
        return real(f"ws://{plain}/{url.rpartition('/')[2]}", **more)

    connectors.connect = unencrypted

    async def note(message: Any) -> None:
        seen.append(message)

    def heard(channel: str, kind: str) -> bool:
        return any(each.get("channel") == channel and each.get("type") == kind for each in seen)

    async def until(name: str, channel: str, kind: str) -> None:
        async with asyncio.timeout(SECONDS_MAX):
            while not heard(channel, kind):
                await asyncio.sleep(0.05)
        calls.verify(name, seen, lambda _: True)

    client = SpotWSClient(key=key, secret=secret, callback=note)
    client.URL = address
    await client.start()
    try:
        for params in ({"channel": "ticker"}, {"channel": "book", "depth": 25}, {"channel": "trade"}):
            await client.subscribe(params={**params, "symbol": [SYMBOL]})
        await until("subscribe ticker", "ticker", "update")
        await until("subscribe book", "book", "update")
        await until("subscribe trade", "trade", "update")
        await client.subscribe(params={"channel": "executions"})
        await client.subscribe(params={"channel": "balances"})
        await until("subscribe balances", "balances", "snapshot")
        await asyncio.to_thread(trades.create_order, "market", side="sell", pair=PAIR, volume="0.005")
        await until("subscribe executions", "executions", "update")
    finally:
        await client.stop()
        await client.async_close()


def main(address: str, key: str, secret: str) -> None:
    calls = Calls(address, code_of)
    market, user, trades = Market(url=address), User(key, secret, url=address), Trade(key, secret, url=address)
    bid = read(calls, market, user)
    trade(calls, trades, user, bid)
    time.sleep(CALLS_S)
    asyncio.run(watch(calls, address, key, secret, trades))
    calls.print()


if __name__ == "__main__":
    main(*sys.argv[1:])
