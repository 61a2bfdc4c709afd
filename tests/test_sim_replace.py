"""Cancel-replace, amendments and test orders at the simulated venue (rest-api.md, faqs/order_amend_keep_priority.md)."""

from typing import Any

import pytest
from sim_transcript import PRIVATE, Client, order_query, quiet, short


def replace(client: Client, order: str, mode: str, **more: Any) -> Any:
    fields = {"cancelReplaceMode": mode, "cancelOrigClientOrderId": "old", **more}
    return client.signed("POST", "order/cancelReplace", order_query(order, **fields))


@pytest.mark.parametrize("mode", ["STOP_ON_FAILURE", "ALLOW_FAILURE"])
def test_the_new_order_fails_after_the_cancel(mode: str) -> None:
    client = Client()
    client.listen()
    client.order("BUY LIMIT 1 @ 90 as old")
    answer = replace(client, "BUY LIMIT_MAKER 1 @ 101 as new", mode)
    assert (answer.status, answer.json()["code"]) == (409, -2021)
    data = answer.json()["data"]
    assert (data["cancelResult"], data["newOrderResult"]) == ("SUCCESS", "FAILURE")
    assert data["cancelResponse"]["status"] == "CANCELED"
    assert data["newOrderResponse"] == {"code": -2010, "msg": "Order would immediately match and take."}
    assert client.story() == ["NEW/NEW", "funds USDT", "CANCELED/CANCELED", "funds USDT", "REJECTED/REJECTED"]
    rejected = client.events()[-1]
    assert (rejected["c"], rejected["r"], rejected["w"]) == ("new", "WOULD_MATCH_IMMEDIATELY", False)
    assert client.signed("GET", "order", "symbol=BTCUSDT&origClientOrderId=new").json()["code"] == -2013


@pytest.mark.parametrize(
    ("mode", "code", "result", "placed"),
    [("STOP_ON_FAILURE", -2022, "NOT_ATTEMPTED", []), ("ALLOW_FAILURE", -2021, "SUCCESS", ["new"])],
)
def test_the_cancel_fails(mode: str, code: int, result: str, placed: list[str]) -> None:
    client = Client()
    answer = replace(client, "BUY LIMIT 1 @ 91 as new", mode)
    assert answer.json()["code"] == code
    data = answer.json()["data"]
    assert (data["cancelResponse"], data["newOrderResult"]) == ({"code": -2011, "msg": "Unknown order sent."}, result)
    assert (data["newOrderResponse"] is None) is (result == "NOT_ATTEMPTED")
    assert [order["clientOrderId"] for order in client.signed("GET", "openOrders").json()] == placed
    assert client.signed("GET", "rateLimit/order").json()[0]["count"] == 1  # counted even where it was not attempted


def test_both_fail() -> None:
    answer = replace(Client(), "BUY LIMIT_MAKER 1 @ 101", "ALLOW_FAILURE")
    assert (answer.status, answer.json()["code"]) == (400, -2022)
    assert (answer.json()["data"]["cancelResult"], answer.json()["data"]["newOrderResult"]) == ("FAILURE", "FAILURE")


def test_filters_are_checked_before_the_cancel() -> None:
    client = Client()
    client.order("BUY LIMIT 1 @ 90 as old")
    answer = replace(client, "BUY LIMIT 1 @ 91.001", "STOP_ON_FAILURE")
    assert (answer.status, answer.json()) == (400, {"code": -1013, "msg": "Filter failure: PRICE_FILTER"})
    assert client.shown("old")["status"] == "NEW"


@pytest.mark.parametrize(
    ("over", "status", "code", "old"),
    [("DO_NOTHING", 429, -1015, "NEW"), ("CANCEL_ONLY", 429, -2021, "CANCELED"), ("OTHER", 400, -1130, "NEW")],
)
def test_over_the_order_limit(over: str, status: int, code: int, old: str) -> None:
    client = Client(orders_10s_max=1)
    client.order("BUY LIMIT 1 @ 90 as old")
    answer = replace(client, "BUY LIMIT 1 @ 91", "STOP_ON_FAILURE", orderRateLimitExceededMode=over)
    assert (answer.status, answer.json()["code"], client.shown("old")["status"]) == (status, code, old)


def test_restrictions_and_both_halves_over_the_websocket_api() -> None:
    client = Client()
    client.listen()
    client.order("BUY LIMIT 1 @ 90 as old")
    fields = {"apiKey": client.key, "timestamp": client.now_ns // 1_000_000, "symbol": "BTCUSDT", "side": "BUY",
              "type": "LIMIT", "timeInForce": "GTC", "price": "91", "quantity": "1",
              "cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrigClientOrderId": "old"}  # fmt: skip
    params = client.ws_sign({**fields, "cancelRestrictions": "ONLY_PARTIALLY_FILLED"})
    answer = client.ws(PRIVATE, "order.cancelReplace", params)
    assert (answer["status"], answer["error"]["code"]) == (400, -2022)
    assert answer["error"]["data"]["cancelResponse"]["msg"] == "Order was not canceled due to cancel restrictions."
    answer = client.ws(PRIVATE, "order.cancelReplace", client.ws_sign(fields))
    assert (answer["status"], answer["result"]["newOrderResponse"]["status"]) == (200, "NEW")


def test_the_replacement_loses_its_place_and_the_amended_order_keeps_it() -> None:
    client = Client(quiet(bids="98x5 97x1", asks="101x1"))
    for name in ("old", "kept"):
        client.order(f"BUY LIMIT 0.5 @ 98 as {name}")
    client.market_levels(bids="98x9")  # others queue behind
    replace(client, "BUY LIMIT 0.4 @ 98 as new", "STOP_ON_FAILURE")
    client.amend("kept", "0.4", newClientOrderId="kept")
    client.market_trade("98", "5.4", sells=True)
    assert (client.shown("kept")["status"], short(client.shown("new")["executedQty"])) == ("FILLED", "0")


def test_amendments_are_listed_by_execution_id() -> None:
    client = Client()
    order_id = client.order("BUY LIMIT 1 @ 98 as mine")["orderId"]
    first = client.amend("mine", "0.9", newClientOrderId="mine")["executionId"]
    second = client.amend("mine", "0.8", newClientOrderId="other")["executionId"]
    query = f"symbol=BTCUSDT&orderId={order_id}"
    rows = client.signed("GET", "order/amendments", query).json()
    assert [(row["executionId"], short(row["origQty"]), short(row["newQty"])) for row in rows] == [
        (first, "1", "0.9"),
        (second, "0.9", "0.8"),
    ]
    assert (rows[1]["origClientOrderId"], rows[1]["newClientOrderId"]) == ("mine", "other")
    assert client.signed("GET", "order/amendments", f"{query}&fromExecutionId={second}").json() == rows[1:]
    assert client.signed("GET", "order/amendments", f"{query}&limit=1").json() == rows[:1]
    assert client.signed("GET", "order/amendments", "symbol=BTCUSDT&orderId=1").json()["code"] == -2013


@pytest.mark.parametrize(
    ("quantity", "code", "text"),
    [
        ("2", -2038, "Order amend (quantity increase) is not supported."),
        ("1", -2038, "The requested action would change no state; rejecting"),
        ("0.04", -1013, "Filter failure: NOTIONAL"),
        ("0.0000001", -1013, "Filter failure: LOT_SIZE"),
    ],
)
def test_an_amendment_is_refused_in_binances_words(quantity: str, code: int, text: str) -> None:
    client = Client()
    client.order("BUY LIMIT 1 @ 98 as mine")
    assert client.amend("mine", quantity) == {"code": code, "msg": text}


def test_the_eleventh_amendment_breaks_a_filter_and_a_symbol_may_forbid_them() -> None:
    client = Client(overrides={"BTCUSDT": {"amends_max": 1}})
    client.order("BUY LIMIT 1 @ 98 as mine")
    client.amend("mine", "0.9", newClientOrderId="mine")
    assert client.amend("mine", "0.8") == {"code": -2038, "msg": "Filter failure: MAX_NUM_ORDER_AMENDS"}
    client = Client(overrides={"BTCUSDT": {"forbidden": ("amendAllowed", "cancelReplaceAllowed")}})
    client.order("BUY LIMIT 1 @ 98 as old")
    assert client.amend("old", "0.9")["msg"] == "Order amend is not supported for this symbol."
    text = "Order cancel-replace is not supported for this symbol."
    assert replace(client, "BUY LIMIT 1 @ 91", "STOP_ON_FAILURE").json() == {"code": -2010, "msg": text}


def test_a_test_order_is_checked_like_a_real_one_and_can_state_its_fees() -> None:
    client = Client()
    rates = client.signed("POST", "order/test", order_query("BUY LIMIT 1 @ 90", computeCommissionRates="true")).json()
    assert rates["standardCommissionForOrder"] == {"maker": "0.00100000", "taker": "0.00100000"}
    for order, code in [("BUY LIMIT 1 @ 90.001", -1013), ("BUY LIMIT 1", -1102), ("SELL STOP_LOSS 1", -1102)]:
        assert client.signed("POST", "order/test", order_query(order)).json()["code"] == code
    assert client.signed("GET", "openOrders").json() == []
