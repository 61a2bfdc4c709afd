"""The simulated venue amends, prevents self-trades, and refuses what it does not read, as Binance does (rest-api.md)."""

import pytest
from sim_transcript import Client, quiet, short

KEEP = "order/amend/keepPriority"
PAGES = [("ping", ""), ("time", ""), ("exchangeInfo", "symbol=BTCUSDT"), ("depth", "symbol=BTCUSDT"),
         ("trades", "symbol=BTCUSDT"), ("aggTrades", "symbol=BTCUSDT"), ("klines", "symbol=BTCUSDT&interval=1m"),
         ("avgPrice", "symbol=BTCUSDT"), ("ticker/price", "symbol=BTCUSDT"), ("ticker/24hr", "symbol=BTCUSDT"),
         ("ticker/bookTicker", "symbol=BTCUSDT")]  # fmt: skip


# ---- amend keep priority ---------------------------------------------------------------------------


def test_amended_order_keeps_id_and_queue_and_releases_funds() -> None:
    client = Client(quiet(bids="99x3", asks="101x1"))
    client.listen()
    placed = client.order("BUY LIMIT 1 @ 98 as mine")
    query = f"symbol=BTCUSDT&orderId={placed['orderId']}&newQty=0.4&newClientOrderId=web"
    answer = client.signed("PUT", KEEP, query).json()["amendedOrder"]
    assert (answer["orderId"], answer["origClientOrderId"], answer["clientOrderId"]) == (
        placed["orderId"],
        "mine",
        "web",
    )
    assert (short(answer["qty"]), answer["status"]) == ("0.4", "NEW")
    assert client.balances()["USDT"] == ("9960.8", "39.2")
    [event] = [event for event in client.events() if event.get("x") == "REPLACED"]
    assert (event["c"], event["C"], event["i"], short(event["q"]), event["X"]) == (
        "web", "mine", placed["orderId"], "0.4", "NEW",
    )  # fmt: skip
    assert client.cancel("mine") == {"code": -2011, "msg": "Unknown order sent."}
    by_id = f"symbol=BTCUSDT&orderId={placed['orderId']}"
    assert client.signed("DELETE", "order", by_id).json()["status"] == "CANCELED"
    assert client.balances()["USDT"] == ("10000", "0")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("origClientOrderId=mine&newQty=1", -2038),
        ("origClientOrderId=mine&newQty=2", -2038),
        ("origClientOrderId=mine", -1102),
        ("origClientOrderId=mine&newQty=0.000001", -1013),
        ("origClientOrderId=other&newQty=0.1", -2013),
        ("newQty=0.1", -1102),
    ],
)
def test_an_amendment_that_cannot_be_is_refused(query: str, code: int) -> None:
    client = Client()
    client.order("BUY LIMIT 1 @ 98 as mine")
    answer = client.signed("PUT", KEEP, f"symbol=BTCUSDT&{query}")
    assert (answer.status, answer.json()["code"]) == (400, code)
    [order] = client.signed("GET", "openOrders").json()
    assert (order["clientOrderId"], short(order["origQty"])) == ("mine", "1")


def test_an_order_is_amended_ten_times_at_most() -> None:
    client = Client()
    placed = client.order("BUY LIMIT 2 @ 98")
    answers = [
        client.signed("PUT", KEEP, f"symbol=BTCUSDT&orderId={placed['orderId']}&newQty=1.{99 - number}").status
        for number in range(11)
    ]
    assert answers == [200] * 10 + [400]


# ---- self-trade prevention -------------------------------------------------------------------------


def test_a_decrement_takes_from_both_orders_and_expires_the_smaller_one() -> None:
    client = Client(quiet(bids="90x3", asks="110x1"))
    client.listen()
    maker = client.order("BUY LIMIT 1 @ 100 as maker")
    taker = client.order("SELL LIMIT 0.3 @ 100 as taker", selfTradePreventionMode="DECREMENT")
    assert (taker["status"], short(taker["preventedQuantity"]), taker["fills"]) == ("EXPIRED_IN_MATCH", "0.3", [])
    shown = client.signed("GET", "order", f"symbol=BTCUSDT&orderId={maker['orderId']}").json()
    assert (shown["status"], short(shown["origQty"]), short(shown["preventedQuantity"])) == ("NEW", "1", "0.3")
    assert client.balances() == {"BTC": ("2", "0"), "USDT": ("9930", "70")}
    prevented = [event for event in client.events() if event.get("x") == "TRADE_PREVENTION"]
    assert [(event["c"], event["X"], short(event["A"])) for event in prevented] == [
        ("maker", "NEW", "0.3"),
        ("taker", "EXPIRED_IN_MATCH", "0.3"),
    ]
    client.market_trade("99", "5", sells=True)
    shown = client.signed("GET", "order", f"symbol=BTCUSDT&orderId={maker['orderId']}").json()
    assert (shown["status"], short(shown["executedQty"])) == ("FILLED", "0.7")


def test_two_orders_of_an_account_that_trade_share_the_fill_id() -> None:
    client = Client(quiet(bids="90x3", asks="110x1"))
    client.order("BUY LIMIT 1 @ 100 as maker")
    client.order("SELL LIMIT 1 @ 100 as taker", selfTradePreventionMode="NONE")
    rows = client.signed("GET", "myTrades", "symbol=BTCUSDT").json()
    assert len(rows) == 2
    assert len({row["id"] for row in rows}) == 1
    assert len({row["orderId"] for row in rows}) == 2


# ---- late and lagging lists, a firewall ------------------------------------------------------------


def test_a_fill_that_is_listed_late_has_a_lower_id_than_one_listed_before() -> None:
    client = Client()
    client.listen()
    client.fault(action="list_late", event="TRADE", nth=1, ms=5_000)
    client.order("BUY MARKET 2")
    first = [row["id"] for row in client.signed("GET", "myTrades", "symbol=BTCUSDT").json()]
    client.wait(5_001)
    later = [row["id"] for row in client.signed("GET", "myTrades", "symbol=BTCUSDT").json()]
    assert (len(first), len(later)) == (1, 2)
    assert later[0] < first[0]
    assert client.sim("GET", "faults")[0]["struck"]


def test_a_lagging_list_shows_an_order_as_it_was_before_its_end() -> None:
    client = Client()
    client.order("BUY LIMIT 1 @ 98 as mine")
    client.wait(100)
    client.cancel("mine")
    client.fault(action="list_lag", ms=2_000)
    [shown] = client.signed("GET", "openOrders").json()
    told = client.signed("GET", "order", "symbol=BTCUSDT&origClientOrderId=mine").json()
    assert (shown["status"], told["status"]) == ("NEW", "CANCELED")
    assert shown["updateTime"] < told["updateTime"]
    client.wait(2_001)
    assert client.signed("GET", "openOrders").json() == []


def test_a_firewall_answers_with_a_page() -> None:
    client = Client()
    client.fault(action="firewall", method="GET", path="/api/v3/account")
    answer = client.signed("GET", "account")
    assert (answer.status, dict(answer.headers)["Content-Type"]) == (403, "text/html")
    assert b"403 Forbidden" in answer.body
    assert client.signed("GET", "account").status == 200


# ---- parameters ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("page", "query"), PAGES)
def test_venue_params_an_unknown_parameter_is_refused(page: str, query: str) -> None:
    client = Client()
    assert client.raw("GET", f"/api/v3/{page}", query).status == 200
    answer = client.raw("GET", f"/api/v3/{page}", f"{query}&nonsense=1")
    count = len([part for part in query.split("&") if part])
    text = f"Not all sent parameters were read; read '{count}' parameter(s) but was sent '{count + 1}'."
    assert (answer.status, answer.json()) == (400, {"code": -1104, "msg": text})


def test_venue_params_an_order_with_an_unknown_parameter_is_not_placed() -> None:
    client = Client()
    assert client.order("BUY LIMIT 1 @ 98", nonsense="1")["code"] == -1104
    text = "This operation is not supported: parameter 'strategyId' is not implemented by this simulated venue."
    assert client.order("BUY LIMIT 1 @ 98", strategyId="1") == {"code": -1020, "msg": text}
    assert client.signed("GET", "openOrders").json() == []


def test_venue_params_an_endpoint_that_is_not_built_says_so() -> None:
    client = Client()
    answer = client.raw("GET", "/api/v3/referencePrice", "symbol=BTCUSDT")
    assert (answer.status, answer.json()["code"]) == (400, -1020)
    assert "GET /api/v3/referencePrice is not implemented" in answer.json()["msg"]
    assert client.raw("GET", "/api/v3/madeUp").status == 404


def test_venue_params_the_websocket_api_refuses_them_too() -> None:
    client = Client()
    client.listen()
    answer = client.ws(900, "depth", {"symbol": "BTCUSDT", "nonsense": 1})
    assert (answer["status"], answer["error"]["code"]) == (400, -1104)


def test_venue_params_agg_trades_page_from_an_id_and_a_time() -> None:
    client = Client()
    for number in range(30):
        client.market_trade("100", f"0.{number + 1:03d}", sells=False)
        client.wait(10)
    whole = client.get("aggTrades", "symbol=BTCUSDT&limit=1000")
    assert len(whole) == 30
    ids = [trade["a"] for trade in whole]
    page = client.get("aggTrades", f"symbol=BTCUSDT&fromId={ids[3]}&limit=10")
    assert [trade["a"] for trade in page] == ids[3:13]
    newest = client.get("aggTrades", "symbol=BTCUSDT&limit=5")
    assert [trade["a"] for trade in newest] == ids[-5:]
    start, end = whole[4]["T"], whole[9]["T"]
    assert [trade["a"] for trade in client.get("aggTrades", f"symbol=BTCUSDT&startTime={start}&limit=3")] == ids[4:7]
    between = client.get("aggTrades", f"symbol=BTCUSDT&startTime={start}&endTime={end}")
    assert [trade["a"] for trade in between] == ids[4:10]
    until = client.get("aggTrades", f"symbol=BTCUSDT&endTime={end}&limit=2")
    assert [trade["a"] for trade in until] == ids[8:10]
    both = client.raw("GET", "/api/v3/aggTrades", f"symbol=BTCUSDT&fromId={ids[0]}&startTime={start}")
    assert both.json()["code"] == -1128


def test_venue_params_of_exchange_info_and_tickers_have_their_effect() -> None:
    client = Client()
    assert len(client.get("exchangeInfo", "symbolStatus=TRADING")["symbols"]) == 1
    assert client.get("exchangeInfo", "symbolStatus=HALT")["symbols"] == []
    assert client.get("exchangeInfo", "permissions=SPOT")["symbols"]
    assert client.get("exchangeInfo", "showPermissionSets=false")["symbols"][0]["permissionSets"] == []
    assert "bidPrice" not in client.get("ticker/24hr", "symbol=BTCUSDT&type=MINI")
    assert "bidPrice" in client.get("ticker/24hr", "symbol=BTCUSDT")
