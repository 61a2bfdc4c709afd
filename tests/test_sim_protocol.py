"""The venue answers as Binance does: filters, errors with their texts, signatures, limits, streams."""

import json
from pathlib import Path

import pytest
from sim_transcript import PRIVATE, SECRET, Client, order_query, quiet

from engine.sim.binance.key_ring import KeyRing, rest_payload, signature, ws_params, ws_payload
from engine.sim.binance.params import Params, parse_query
from engine.sim.feeds.sim_market import QuietMarket
from engine.sim.sim_venue import SimVenue
from engine.sim.venue_config import VenueConfig


def refusal(answer: dict) -> tuple[int, str]:
    return answer["code"], answer["msg"]


@pytest.mark.parametrize(
    ("order", "code", "text"),
    [
        ("BUY LIMIT 1 @ 100.001", -1013, "Filter failure: PRICE_FILTER"),
        ("BUY LIMIT 1 @ 0.001", -1013, "Filter failure: PRICE_FILTER"),
        ("BUY LIMIT 1 @ 1000000.01", -1013, "Filter failure: PRICE_FILTER"),
        ("BUY LIMIT 1 @ 19.99", -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
        ("SELL LIMIT 1 @ 500.01", -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
        ("BUY LIMIT 0.000011 @ 100", -1013, "Filter failure: LOT_SIZE"),
        ("BUY LIMIT 0.000001 @ 100", -1013, "Filter failure: LOT_SIZE"),
        ("BUY LIMIT 9000.00001 @ 100", -1013, "Filter failure: LOT_SIZE"),
        ("BUY MARKET 97.1", -1013, "Filter failure: MARKET_LOT_SIZE"),
        ("BUY LIMIT 0.04 @ 100", -1013, "Filter failure: NOTIONAL"),
        ("BUY MARKET 0.04", -1013, "Filter failure: NOTIONAL"),
        ("BUY LIMIT 9000 @ 400", -2010, "Account has insufficient balance for requested action."),
        ("BUY LIMIT 0.123456789 @ 100", -1111, "Parameter 'quantity' has too much precision."),
        (
            "BUY LIMIT 1e-05 @ 100",
            -1100,
            r"Illegal characters found in parameter 'quantity'; legal range is '^([0-9]{1,20})(\.[0-9]{1,20})?$'.",
        ),
        (
            "BUY LIMIT 1 @ 100 as not/legal",
            -1100,
            "Illegal characters found in parameter 'newClientOrderId'; legal range is '^[a-zA-Z0-9-_]{1,36}$'.",
        ),
        ("BUY LIMIT 1", -1102, "Mandatory parameter 'price' was not sent, was empty/null, or malformed."),
        ("BUY LIMIT 1 @ 100 GTD", -1115, "Invalid timeInForce."),
        ("BUY FANCY 1 @ 100", -1116, "Invalid orderType."),
        ("HOLD LIMIT 1 @ 100", -1117, "Invalid side."),
        ("BUY MARKET 1 @ 100", -1106, "Parameter 'price' sent when not required."),
        ("BUY STOP_LOSS 1", -1102, "Param 'stopPrice' or 'trailingDelta' must be sent, but both were empty/null!"),
    ],
)
def test_a_bad_order_is_refused_in_binances_words(order: str, code: int, text: str) -> None:
    client = Client()
    answer = client.signed("POST", "order", order_query(order))
    assert (answer.status, refusal(answer.json())) == (400, (code, text))
    assert client.signed("GET", "openOrders").json() == []


def test_open_orders_and_positions_are_counted() -> None:
    client = Client(overrides={"BTCUSDT": {"orders_max": 2, "position_max": 5 * 10**8}})
    assert refusal(client.order("BUY LIMIT 3.5 @ 90")) == (-1013, "Filter failure: MAX_POSITION")
    client.order("BUY LIMIT 1 @ 90")
    client.order("BUY LIMIT 1 @ 91")
    assert refusal(client.order("BUY LIMIT 1 @ 92")) == (-1013, "Filter failure: MAX_NUM_ORDERS")


def test_a_halted_symbol_takes_no_orders() -> None:
    client = Client(overrides={"BTCUSDT": {"status": "HALT"}})
    assert refusal(client.order("BUY LIMIT 1 @ 90")) == (-2010, "Market is closed.")
    assert client.get("exchangeInfo")["symbols"][0]["status"] == "HALT"


def test_wrong_symbols_ids_and_places() -> None:
    client = Client()
    assert refusal(client.get("depth", "symbol=NOSUCH")) == (-1121, "Invalid symbol.")
    assert refusal(client.cancel("never")) == (-2011, "Unknown order sent.")
    asked = client.signed("GET", "order", "symbol=BTCUSDT&origClientOrderId=never")
    assert (asked.status, refusal(asked.json())) == (400, (-2013, "Order does not exist."))
    assert refusal(client.signed("GET", "order", "symbol=BTCUSDT").json())[0] == -1102
    assert client.raw("GET", "/api/v3/nothing").status == 404
    client.order("BUY LIMIT 1 @ 90 as mine")
    assert refusal(client.order("BUY LIMIT 1 @ 90 as mine")) == (-2010, "Duplicate order sent.")
    assert client.sim("GET", "state")["client_order_ids"] == {"mine": 2}
    order_id = client.signed("GET", "openOrders").json()[0]["orderId"]
    mixed = client.signed("GET", "order", f"symbol=BTCUSDT&orderId={order_id}&origClientOrderId=other").json()
    assert refusal(mixed) == (-2039, "Client order ID is not correct for this order ID.")


def test_keys_signatures_and_times_are_checked() -> None:
    client = Client()
    query = client.sign("")
    assert refusal(client.raw("GET", "/api/v3/account", query, key="wrong").json()) == (
        -2015,
        "Invalid API-key, IP, or permissions for action.",
    )
    assert client.raw("GET", "/api/v3/account", query, key="").status == 401
    bad = client.raw("GET", "/api/v3/account", query[:-1] + ("0" if query[-1] != "0" else "1"))
    assert (bad.status, refusal(bad.json())) == (400, (-1022, "Signature for this request is not valid."))
    now_ms = client.now_ns // 1_000_000
    for query_text, stamp, fault in [
        ("", now_ms - 5_000, None),
        ("", now_ms - 5_001, "Timestamp for this request is outside of the recvWindow."),
        ("recvWindow=100", now_ms - 101, "Timestamp for this request is outside of the recvWindow."),
        ("recvWindow=6000", now_ms - 5_900, None),
        ("", now_ms + 999, None),
        ("", now_ms + 1_000, "Timestamp for this request was 1000ms ahead of the server's time."),
    ]:
        answer = client.raw("GET", "/api/v3/account", client.sign(query_text, timestamp_ms=stamp)).json()
        assert (refusal(answer) == (-1021, fault)) if fault else "balances" in answer


def test_the_known_signing_vectors_pass_the_venues_own_check(shared_data: Path) -> None:
    vectors = json.loads((shared_data / "signatures" / "hmac-vectors.json").read_text())["vectors"]
    rest = [v for v in vectors if v["scheme"] == "binance-rest-hmac-sha256-hex"]
    ws = [v for v in vectors if v["scheme"] == "binance-wsapi-hmac-sha256-hex"]
    assert len(rest) >= 3
    assert ws
    for vector in rest:
        keys = KeyRing({vector["api_key"]: ("mine", vector["secret"])})
        payload = vector["payload"].encode()
        query = payload + b"&signature=" + vector["signature"].encode()
        rebuilt = rest_payload(query, b"")
        assert rebuilt == payload
        params = Params(parse_query(query))
        stamp = int(vector["payload"].partition("timestamp=")[2].partition("&")[0])
        assert keys.check(vector["api_key"], rebuilt, params, stamp) == "mine", vector["id"]
    for vector in ws:
        raw = json.dumps(vector["params"], ensure_ascii=False).encode()
        assert ws_payload(ws_params(raw)).decode() == vector["payload"], vector["id"]
        assert signature(vector["secret"], vector["payload"].encode()) == vector["signature"]


def test_query_and_body_are_signed_without_anything_between() -> None:
    assert rest_payload(b"symbol=X&timeInForce=GTC", b"quantity=1&signature=ab&price=2") == (
        b"symbol=X&timeInForce=GTCquantity=1&price=2"
    )


def test_websocket_numbers_are_signed_as_they_stand() -> None:
    raw = b'{"b":0.10,"a":true,"c":"text","signature":"x","d":1e-05}'
    assert ws_payload(ws_params(raw)) == b"a=true&b=0.10&c=text&d=1e-05"


def test_weights_are_counted_and_the_stubborn_are_banned() -> None:
    client = Client(weight_max=60)
    answer = client.raw("GET", "/api/v3/exchangeInfo")
    assert answer.named.get("x-mbx-used-weight-1m") == "20"
    for _ in range(2):
        client.get("exchangeInfo")
    limited = client.raw("GET", "/api/v3/time")
    assert (limited.status, limited.json()["code"], limited.named.get("retry-after")) == (429, -1003, "39")
    statuses = [client.raw("GET", "/api/v3/time").status for _ in range(10)]
    assert statuses == [429] * 9 + [418]
    client.wait(30_000)  # a new minute, but the ban continues
    assert client.raw("GET", "/api/v3/time").status == 418
    client.wait(120_000)
    assert client.raw("GET", "/api/v3/time").status == 200


def test_unfilled_orders_are_counted() -> None:
    client = Client(orders_10s_max=2)
    counts = [
        client.signed("POST", "order", order_query(text)).named.get("x-mbx-order-count-10s")
        for text in ("BUY LIMIT 1 @ 90", "BUY MARKET 1", "BUY LIMIT 1 @ 91")
    ]
    assert counts == ["1", "1", "2"]  # an order that traded is no unfilled order
    over = client.signed("POST", "order", order_query("BUY LIMIT 1 @ 92"))
    assert (over.status, refusal(over.json())) == (
        429,
        (-1015, "Too many new orders; current limit is 2 orders per 10 SECOND."),
    )


def test_events_of_the_scenarios() -> None:
    client = Client()
    client.listen()
    client.order("BUY LIMIT 1 @ 90 as rests")
    client.order("BUY LIMIT 2 @ 101 as part")
    client.order("SELL MARKET 1 as whole")
    client.cancel("rests")
    assert client.story() == [
        "NEW/NEW",
        "funds USDT",
        "NEW/NEW",
        "TRADE/PARTIALLY_FILLED 1@101 taker",
        "funds BTC USDT",
        "NEW/NEW",
        "TRADE_PREVENTION/EXPIRED_IN_MATCH",
        "TRADE/FILLED 1@99 taker",
        "funds BTC USDT",
        "CANCELED/CANCELED",
        "funds USDT",
    ]
    cancelled = client.events()[-2]
    assert (cancelled["C"], cancelled["c"]) == ("rests", "sim-c1")
    traded = next(event for event in client.events() if event.get("x") == "TRADE")
    assert {"e", "E", "s", "c", "S", "o", "f", "q", "p", "P", "F", "g", "C", "x", "X", "r", "i", "l", "z", "L", "n",
            "N", "T", "t", "I", "w", "m", "M", "O", "Z", "Y", "Q", "W", "V"} == set(traded)  # fmt: skip
    assert (traded["q"], traded["N"], traded["g"]) == ("2.00000000", "BTC", -1)


def test_answers_have_the_shapes_that_clients_rely_on() -> None:
    client = Client()
    full = client.order("SELL MARKET 1 as a")
    assert (full["price"], full["timeInForce"], full["orderListId"]) == ("0.00000000", "GTC", -1)
    assert set(client.order("BUY LIMIT 1 @ 90 as b", newOrderRespType="ACK")) == {
        "symbol", "orderId", "orderListId", "clientOrderId", "transactTime",
    }  # fmt: skip
    cancelled = client.signed("DELETE", "order", "symbol=BTCUSDT&origClientOrderId=b&newClientOrderId=undo").json()
    assert (cancelled["clientOrderId"], cancelled["origClientOrderId"]) == ("undo", "b")
    assert "workingTime" not in cancelled
    first = client.signed("GET", "myTrades", "symbol=BTCUSDT").json()
    again = client.signed("GET", "myTrades", f"symbol=BTCUSDT&fromId={first[-1]['id'] + 1}").json()
    assert (len(first), again) == (1, [])
    assert [order["clientOrderId"] for order in client.signed("GET", "allOrders", "symbol=BTCUSDT").json()] == [
        "a",
        "b",
    ]
    client.order("BUY LIMIT 1 @ 90 as c")
    client.order("BUY LIMIT 1 @ 91 as d")
    gone = client.signed("DELETE", "openOrders", "symbol=BTCUSDT").json()
    assert len({order["clientOrderId"] for order in gone}) == 1
    assert [order["origClientOrderId"] for order in gone] == ["c", "d"]
    assert client.signed("POST", "order/test", order_query("BUY LIMIT 1 @ 90")).json() == {}
    assert client.get("ticker/price", "symbol=BTCUSDT") == {"symbol": "BTCUSDT", "price": "100.00000000"}
    assert client.get("ticker/bookTicker", "symbol=BTCUSDT")["askPrice"] == "101.00000000"
    assert client.get("depth", "symbol=BTCUSDT&limit=1")["bids"] == [["99.00000000", "3.00000000"]]
    client.market_trade("100", "2", sells=True)
    assert client.get("trades", "symbol=BTCUSDT")[0]["qty"] == "2.00000000"
    assert client.get("klines", "symbol=BTCUSDT&interval=1m")[0][4] == "100.00000000"
    assert client.get("ticker/24hr", "symbol=BTCUSDT")["volume"] == "2.00000000"
    assert client.signed("GET", "account/commission", "symbol=BTCUSDT").json()["standardCommission"]["taker"] == (
        "0.00100000"
    )


def test_cancel_replace_can_fail_in_parts() -> None:
    client = Client()
    client.order("BUY LIMIT 1 @ 90 as old")
    new = order_query("BUY LIMIT 1 @ 91 as new")
    both = client.signed(
        "POST", "order/cancelReplace", f"{new}&cancelReplaceMode=STOP_ON_FAILURE&cancelOrigClientOrderId=old"
    )
    assert (both.status, both.json()["newOrderResult"]) == (200, "SUCCESS")
    part = client.signed(
        "POST",
        "order/cancelReplace",
        f"{order_query('BUY LIMIT 1 @ 92')}&cancelReplaceMode=ALLOW_FAILURE&cancelOrigClientOrderId=old",
    )
    assert (part.status, part.json()["code"], part.json()["data"]["cancelResult"]) == (409, -2021, "FAILURE")
    none = client.signed(
        "POST", "order/cancelReplace", f"{new}&cancelReplaceMode=STOP_ON_FAILURE&cancelOrigClientOrderId=old"
    )
    assert (none.status, none.json()["code"], none.json()["data"]["newOrderResult"]) == (400, -2022, "NOT_ATTEMPTED")


def test_orders_over_the_websocket_api() -> None:
    client = Client()
    client.listen()
    stamp = client.now_ns // 1_000_000
    asked = client.ws_sign({"apiKey": client.key, "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "price": "90.5",
                            "timeInForce": "GTC", "quantity": 0.5, "timestamp": stamp, "newClientOrderId": "ws1"})  # fmt: skip
    placed = client.ws(PRIVATE, "order.place", asked)
    assert (placed["status"], placed["result"]["status"]) == (200, "NEW")
    assert [limit["rateLimitType"] for limit in placed["rateLimits"]] == ["REQUEST_WEIGHT", "ORDERS", "ORDERS"]
    named = client.ws_sign({"apiKey": client.key, "symbol": "BTCUSDT", "origClientOrderId": "ws1", "timestamp": stamp})
    assert client.ws(PRIVATE, "order.status", named)["result"]["clientOrderId"] == "ws1"
    assert client.ws(PRIVATE, "order.cancel", named)["result"]["status"] == "CANCELED"
    refused = client.ws(PRIVATE, "order.cancel", named)
    assert (refused["status"], refused["error"]) == (400, {"code": -2011, "msg": "Unknown order sent."})
    whole = client.ws_sign({"apiKey": client.key, "timestamp": stamp})
    assert client.ws(PRIVATE, "userDataStream.subscribe.signature", whole)["error"]["code"] == -2035
    assert client.ws(PRIVATE, "account.status", whole)["result"]["accountType"] == "SPOT"
    assert client.ws(PRIVATE, "ping")["result"] == {}
    assert client.ws(PRIVATE, "userDataStream.unsubscribe", {"subscriptionId": 0})["result"] == {}
    assert client.ws(PRIVATE, "userDataStream.unsubscribe", {"subscriptionId": 0})["error"]["code"] == -2036
    assert client.ws(PRIVATE, "no.such")["status"] == 400


def test_market_streams_raw_and_combined() -> None:
    client = Client()
    for conn_id, target in [
        (1, "/ws/btcusdt@trade"),
        (2, "/stream?streams=btcusdt@trade/btcusdt@aggTrade"),
        (3, "/ws/0"),
    ]:
        assert client.venue.connect(conn_id, target, client.now_ns)
    assert not client.venue.connect(4, "/elsewhere", client.now_ns)
    client.venue.frame(3, b'{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":7}', client.now_ns)
    client.market_trade("100", "2", sells=True)
    [raw] = client.frames(1)
    assert (raw["e"], raw["p"], raw["m"]) == ("trade", "100.00000000", True)
    assert [frame["stream"] for frame in client.frames(2)] == ["btcusdt@trade", "btcusdt@aggTrade"]
    assert client.frames(3) == [{"result": None, "id": 7}, raw]
    for message, answer in [
        (b'{"method":"LIST_SUBSCRIPTIONS","id":"a"}', {"result": ["btcusdt@trade"], "id": "a"}),
        (b'{"method":"UNSUBSCRIBE","params":["btcusdt@trade"],"id":8}', {"result": None, "id": 8}),
        (b'{"method":"LIST_SUBSCRIPTIONS","id":9}', {"result": [], "id": 9}),
        (b'{"method":"SUBSCRIBE","params":"x","id":1}', {"code": 1, "id": 1}),
        (b"{", {"code": 3, "id": None}),
    ]:
        client.venue.frame(3, message, client.now_ns)
        client.wait(0)
        got = client.frames(3)[-1]
        assert {name: got.get(name) for name in answer} == answer


def test_a_venue_without_a_market_waits_for_nothing() -> None:
    venue = SimVenue(VenueConfig(accounts=()), QuietMarket({}, start_ns=0))
    assert venue.next_due_ns is None


def test_the_secret_is_nowhere_in_what_the_venue_says() -> None:
    client = Client(quiet(bids="99x1", asks="101x1"))
    client.listen()
    client.order("BUY LIMIT 1 @ 90")
    client.sim("GET", "state")
    client.sim("GET", "status")
    assert not any(SECRET.encode() in (item.frame or (item.answer and item.answer.body) or b"") for item in client.log)
