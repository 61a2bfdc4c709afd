"""hyperliquid-python-sdk on the simulated Hyperliquid: each call of its that concerns perpetuals.

Runs in any environment that has the SDK. The key is the account's address, the secret that of its API wallet.
"""

import sys
import threading
import time
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent))  # -P leaves it out

import eth_account
from hyperliquid.exchange import Exchange
from hyperliquid.info import Info
from hyperliquid.utils.types import Cloid
from reporting import Calls

COIN = "BTC"
GTC, IOC, ALO = ({"limit": {"tif": tif}} for tif in ("Gtc", "Ioc", "Alo"))


def entry(answer: Any) -> Any:
    """The only entry of an answer."""
    [status] = answer["response"]["data"]["statuses"]
    return status


def refuses(calls: Calls, name: str, text: str, answer: Any) -> None:
    """Check that an order is refused inside an answer that is ok."""
    assert answer["status"] == "ok", answer
    assert entry(answer)["error"].startswith(text), answer
    calls.rows.append((name, f"refused: {text}"))


def read(calls: Calls, info: Info, user: str) -> float:
    calls.answers("meta", info.meta, lambda found: found["universe"][1]["name"] == COIN)
    calls.answers("meta_and_asset_ctxs", info.meta_and_asset_ctxs, lambda found: len(found) == 2)
    mid = float(calls.answers("all_mids", info.all_mids, lambda found: COIN in found)[COIN])
    calls.answers("l2_snapshot", lambda: info.l2_snapshot(COIN), lambda book: len(book["levels"][0]) == 20)
    calls.trade(COIN, mid)
    now = int(time.time() * 1000)
    calls.answers("candles_snapshot", lambda: info.candles_snapshot(COIN, "1m", now - 600_000, now + 60_000))
    calls.answers("funding_history", lambda: info.funding_history(COIN, 0))
    calls.answers("user_state", lambda: info.user_state(user), lambda x: float(x["withdrawable"]) == 100_000)
    calls.answers("user_role", lambda: info.user_role(user), lambda found: found["role"] == "user")
    calls.answers("user_rate_limit", lambda: info.user_rate_limit(user), lambda x: x["nRequestsCap"] == 10_000)
    return mid


def trade(calls: Calls, exchange: Exchange, info: Info, user: str, mid: float) -> None:
    low, cloid = float(int(mid * 0.9)), Cloid.from_int(7)
    calls.answers("update_leverage", lambda: exchange.update_leverage(5, COIN), lambda x: x["status"] == "ok")
    placed = calls.answers("order", lambda: exchange.order(COIN, True, 0.01, low, GTC, cloid=cloid), entry)
    oid = entry(placed)["resting"]["oid"]
    calls.answers("open_orders", lambda: info.open_orders(user), lambda rows: rows[0]["oid"] == oid)
    calls.answers(
        "frontend_open_orders", lambda: info.frontend_open_orders(user), lambda rows: rows[0]["cloid"] == cloid.to_raw()
    )
    calls.answers(
        "query_order_by_oid", lambda: info.query_order_by_oid(user, oid), lambda x: x["order"]["status"] == "open"
    )
    calls.answers(
        "query_order_by_cloid",
        lambda: info.query_order_by_cloid(user, cloid),
        lambda x: x["order"]["order"]["oid"] == oid,
    )
    calls.answers("modify_order", lambda: exchange.modify_order(oid, COIN, True, 0.01, low - 1, GTC, cloid=cloid))
    changed = info.open_orders(user)[0]["oid"]
    assert changed != oid
    calls.answers("cancel_by_cloid", lambda: exchange.cancel_by_cloid(COIN, cloid), lambda x: entry(x) == "success")
    refuses(calls, "cancel", "Order was never placed, already canceled, or filled", exchange.cancel(COIN, changed))
    refuses(
        calls,
        "order (Alo)",
        "Post only order would have immediately matched",
        exchange.order(COIN, True, 0.01, float(int(mid * 1.05)), ALO),
    )
    refuses(calls, "order (Ioc)", "Order could not immediately match", exchange.order(COIN, True, 0.01, low, IOC))
    refuses(
        calls,
        "order (six digits)",
        "Price must be divisible by tick size",
        exchange.order(COIN, True, 0.01, low + 0.1, GTC),
    )
    refuses(
        calls,
        "order (below 10 dollars)",
        "Order must have minimum value of $10",
        exchange.order(COIN, True, 0.0001, low, GTC),
    )
    calls.answers(
        "market_open", lambda: exchange.market_open(COIN, True, 0.02), lambda x: entry(x)["filled"]["totalSz"] == "0.02"
    )
    calls.answers("user_fills", lambda: info.user_fills(user), lambda rows: rows[0]["dir"] == "Open Long")
    calls.answers("user_fills_by_time", lambda: info.user_fills_by_time(user, 0), len)
    stop = {"trigger": {"triggerPx": low, "isMarket": True, "tpsl": "sl"}}
    held = calls.answers("order (stop)", lambda: exchange.order(COIN, False, 0.02, low, stop, reduce_only=True), entry)
    stop_oid = entry(held)["resting"]["oid"]
    calls.answers(
        "bulk_cancel", lambda: exchange.bulk_cancel([{"coin": COIN, "oid": stop_oid}]), lambda x: entry(x) == "success"
    )
    calls.answers(
        "market_close", lambda: exchange.market_close(COIN), lambda x: entry(x)["filled"]["totalSz"] == "0.02"
    )
    calls.answers("user_state", lambda: info.user_state(user), lambda x: x["assetPositions"] == [])
    calls.answers("user_funding_history", lambda: info.user_funding_history(user, 0), lambda rows: rows == [])
    calls.answers("historical_orders", lambda: info.historical_orders(user), len)
    calls.answers(
        "schedule_cancel",
        lambda: exchange.schedule_cancel(int(time.time() * 1000) + 60_000),
        lambda x: x["status"] == "ok",
    )
    calls.answers("schedule_cancel (none)", lambda: exchange.schedule_cancel(None), lambda x: x["status"] == "ok")


def stream(calls: Calls, address: str, exchange: Exchange, user: str, mid: float) -> None:
    info, seen = Info(address), dict[str, threading.Event]()
    public = [{"type": name, "coin": COIN} for name in ("l2Book", "bbo", "trades", "activeAssetCtx")]
    private = [{"type": name, "user": user} for name in ("orderUpdates", "userFills", "userEvents")]
    for subscription in (*public, *private):
        event = seen[subscription["type"]] = threading.Event()
        info.subscribe(subscription, lambda _message, event=event: event.set())
    time.sleep(1)
    exchange.market_open(COIN, True, 0.02)
    exchange.market_close(COIN)
    calls.trade(COIN, mid)
    for name, event in seen.items():
        assert event.wait(15), f"nothing came over {name}"
        calls.rows.append((f"subscribe {name}", "answered"))
    info.disconnect_websocket()


def main(address: str, user: str, secret: str) -> None:
    calls = Calls(address, lambda _error: None)
    info = Info(address, skip_ws=True)
    exchange = Exchange(eth_account.Account.from_key(secret), address, account_address=user)
    mid = read(calls, info, user)
    trade(calls, exchange, info, user, mid)
    stream(calls, address, exchange, user, mid)
    calls.print()


if __name__ == "__main__":
    main(*sys.argv[1:])
