"""coinbase-advanced-py on the simulated Coinbase: its calls about a spot account's trading, REST and websockets.

Runs in any environment that has coinbase-advanced-py. It speaks https alone, so an adapter takes the encryption off.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent))  # -P leaves it out

from coinbase.rest import RESTClient
from coinbase.websocket import WSClient, WSUserClient
from reporting import Calls
from requests.adapters import HTTPAdapter

PRODUCT = "BTC-USD"
NOT_IMPLEMENTED = -1020  # as reporting.py names what the venue does not have
SECONDS_MAX = 20


class PlainAdapter(HTTPAdapter):
    """Sends without encryption: the venue listens on loopback."""

    def send(self, request: Any, *arguments: Any, **options: Any) -> Any:
        """Send to the same address over http."""
        request.url = request.url.replace("https://", "http://", 1)
        return super().send(request, *arguments, **options)


def code_of(error: Exception) -> int | None:
    answer = getattr(error, "response", None)
    if answer is None:
        return None
    return NOT_IMPLEMENTED if "not implemented by this venue" in answer.text else int(answer.status_code)


def told(answer: Any) -> dict[str, Any]:
    found: dict[str, Any] = answer.to_dict()
    return found


def read(calls: Calls, client: Any) -> float:
    calls.answers("get_unix_time", client.get_unix_time, told)
    products = calls.answers("get_public_products", client.get_public_products)
    assert [each["product_id"] for each in told(products)["products"]] == [PRODUCT, "ETH-USD"]
    calls.answers("get_public_product", lambda: client.get_public_product(PRODUCT))
    calls.answers("get_public_product_book", lambda: client.get_public_product_book(PRODUCT, limit=5))
    calls.answers("get_public_market_trades", lambda: client.get_public_market_trades(PRODUCT, limit=5))
    calls.refuses(
        "get_public_candles", NOT_IMPLEMENTED, lambda: client.get_public_candles(PRODUCT, "0", "1", "ONE_MINUTE")
    )
    calls.answers("get_products", client.get_products)
    calls.answers(
        "get_product", lambda: client.get_product(PRODUCT), lambda found: told(found)["price_increment"] == "0.01"
    )
    book = told(calls.answers("get_product_book", lambda: client.get_product_book(PRODUCT, limit=5)))["pricebook"]
    calls.answers("get_market_trades", lambda: client.get_market_trades(PRODUCT, limit=5))
    calls.refuses("get_best_bid_ask", NOT_IMPLEMENTED, lambda: client.get_best_bid_ask([PRODUCT]))
    rows = told(calls.answers("get_accounts", lambda: client.get_accounts(limit=250)))["accounts"]
    assert {row["currency"] for row in rows} == {"BTC", "ETH", "USD"}, rows
    calls.answers("get_transaction_summary", client.get_transaction_summary)
    calls.answers("get_api_key_permissions", client.get_api_key_permissions, lambda found: told(found)["can_trade"])
    calls.refuses("get_portfolios", NOT_IMPLEMENTED, client.get_portfolios)
    return float(book["bids"][0]["price"])


def trade(calls: Calls, client: Any, bid: float) -> None:
    low, high = f"{bid * 0.9:.2f}", f"{bid * 1.1:.2f}"

    def placed(answer: Any) -> bool:
        return bool(told(answer)["success"] and told(answer)["success_response"]["order_id"])

    def refused(answer: Any) -> str:
        error = told(answer)["error_response"]
        return str(next(word for word in (error["error"], error["preview_failure_reason"]) if "UNKNOWN" not in word))

    resting = calls.answers(
        "limit_order_gtc_buy", lambda: client.limit_order_gtc_buy("first", PRODUCT, "0.01", low), placed
    )
    order_id = told(resting)["success_response"]["order_id"]
    again = calls.answers(
        "limit_order_gtc_buy with a used id", lambda: client.limit_order_gtc_buy("first", PRODUCT, "0.01", low), placed
    )
    assert told(again)["success_response"]["order_id"] == order_id, "a used id creates nothing"
    calls.answers(
        "limit_order_gtc_buy post_only that would match",
        lambda: client.limit_order_gtc_buy("crossing", PRODUCT, "0.01", high, post_only=True),
        lambda answer: refused(answer) == "INVALID_LIMIT_PRICE_POST_ONLY",
    )
    calls.answers(
        "limit_order_gtc_buy off the tick",
        lambda: client.limit_order_gtc_buy("off", PRODUCT, "0.01", "50000.001"),
        lambda answer: refused(answer) == "PREVIEW_INVALID_PRICE_PRECISION",
    )
    calls.answers(
        "get_order", lambda: client.get_order(order_id), lambda found: told(found)["order"]["status"] == "OPEN"
    )
    calls.answers(
        "list_orders", lambda: client.list_orders(order_status=["OPEN"]), lambda found: len(told(found)["orders"]) == 1
    )
    calls.answers(
        "edit_order", lambda: client.edit_order(order_id, size="0.005", price=low), lambda found: told(found)["success"]
    )
    calls.answers(
        "cancel_orders", lambda: client.cancel_orders([order_id]), lambda found: told(found)["results"][0]["success"]
    )
    calls.answers(
        "cancel_orders of an order that ended",
        lambda: client.cancel_orders([order_id]),
        lambda found: told(found)["results"][0]["failure_reason"] == "UNKNOWN_CANCEL_ORDER",
    )
    for name, call in [
        ("market_order_buy by quote", lambda: client.market_order_buy("quote", PRODUCT, quote_size="100")),
        ("market_order_buy", lambda: client.market_order_buy("market", PRODUCT, base_size="0.01")),
        ("market_order_sell", lambda: client.market_order_sell("sell", PRODUCT, base_size="0.01")),
        ("limit_order_ioc_buy", lambda: client.limit_order_ioc_buy("ioc", PRODUCT, "0.001", high)),
        ("limit_order_fok_sell", lambda: client.limit_order_fok_sell("fok", PRODUCT, "0.001", low)),
        (
            "stop_limit_order_gtc_sell",
            lambda: client.stop_limit_order_gtc_sell("stop", PRODUCT, "0.001", low, low, "STOP_DIRECTION_STOP_DOWN"),
        ),
    ]:
        calls.answers(name, call, placed)
    calls.refuses(
        "preview_market_order_buy", NOT_IMPLEMENTED, lambda: client.preview_market_order_buy(PRODUCT, quote_size="100")
    )
    fills = told(calls.answers("get_fills", lambda: client.get_fills(product_ids=[PRODUCT])))["fills"]
    assert {row["side"] for row in fills} == {"BUY", "SELL"}, fills


def until(holds: Any, what: str) -> None:
    end = time.monotonic() + SECONDS_MAX
    while not holds():
        assert time.monotonic() < end, f"{what}: not within {SECONDS_MAX} s"
        time.sleep(0.05)


def stream(calls: Calls, client: Any, address: str, key: str, secret: str) -> None:
    frames: list[dict[str, Any]] = []
    url = address.replace("http", "ws", 1)
    market = WSClient(key, secret, base_url=url, on_message=lambda text: frames.append(json.loads(text)), retry=False)
    market.open()
    for name, subscribe in [
        ("heartbeats", market.heartbeats),
        ("level2", lambda: market.level2([PRODUCT])),
        ("market_trades", lambda: market.market_trades([PRODUCT])),
        ("ticker", lambda: market.ticker([PRODUCT])),
    ]:
        subscribe()
        channel = {"level2": "l2_data"}.get(name, name)
        until(lambda channel=channel: any(frame["channel"] == channel for frame in frames), name)
        calls.verify(f"WSClient.{name}", channel, bool)
    numbers = [frame["sequence_num"] for frame in frames]
    assert numbers == list(range(len(numbers))), "the frames of a connection are numbered"
    market.close()
    mine: list[dict[str, Any]] = []
    user = WSUserClient(key, secret, base_url=url, on_message=lambda text: mine.append(json.loads(text)), retry=False)
    user.open()
    user.user([PRODUCT])
    until(lambda: any(frame["channel"] == "user" for frame in mine), "user")
    client.market_order_buy("streamed", PRODUCT, base_size="0.001")

    def has_filled() -> bool:
        orders = [
            order
            for frame in mine
            if frame["channel"] == "user"
            for event in frame["events"]
            for order in event["orders"]
        ]
        return any((order["client_order_id"], order["status"]) == ("streamed", "FILLED") for order in orders)

    until(has_filled, "the order of the user channel")
    calls.verify("WSUserClient.user", "user", bool)
    user.close()


def main(address: str, key: str, secret: str) -> None:
    calls = Calls(address, code_of)
    client = RESTClient(key, secret, base_url=address.removeprefix("http://"), timeout=10)
    client.session.mount("https://", PlainAdapter())
    bid = read(calls, client)
    trade(calls, client, bid)
    stream(calls, client, address, key, secret)
    calls.print()


if __name__ == "__main__":
    main(*sys.argv[1:])
