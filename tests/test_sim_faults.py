"""Scripted faults strike what their rules match, and nothing else."""

import pytest
from sim_transcript import PRIVATE, Client, order_query


def test_an_answer_cut_off_after_acceptance_leaves_the_order_standing() -> None:
    client = Client()
    client.fault(action="cut_answer", method="POST", path="/api/v3/order")
    sent = client.send("POST", "/api/v3/order", client.sign(order_query("BUY LIMIT 1 @ 90 as lost")))
    assert client.was_cut(sent)
    assert client.answer_of(sent) is None
    assert client.signed("GET", "order", "symbol=BTCUSDT&origClientOrderId=lost").json()["status"] == "NEW"
    assert client.order("BUY LIMIT 1 @ 90 as next")["status"] == "NEW"  # it struck once


def test_a_dropped_request_never_arrived() -> None:
    client = Client()
    client.fault(action="drop_request", path="/api/v3/order", nth=2)
    client.order("BUY LIMIT 1 @ 90 as first")
    assert client.was_cut(client.send("POST", "/api/v3/order", client.sign(order_query("BUY LIMIT 1 @ 90 as second"))))
    assert client.sim("GET", "state")["client_order_ids"] == {"first": 1}


def test_a_delayed_answer_comes_when_it_is_due() -> None:
    client = Client()
    client.listen()
    client.fault(action="delay_answer", path="/api/v3/order", ms=300)
    sent = client.send("POST", "/api/v3/order", client.sign(order_query("BUY LIMIT 1 @ 90")))
    assert client.venue.next_due_ns == client.now_ns + 300_000_000
    client.wait(299)
    assert client.answer_of(sent) is None
    assert client.story() == ["NEW/NEW", "funds USDT"]
    client.wait(1)
    assert client.answer_of(sent).status == 200


def test_errors_before_and_after_acceptance() -> None:
    client = Client()
    client.fault(action="reject", path="/api/v3/order", status=503, code=-1008, msg="Server is currently overloaded.")
    client.fault(action="error_after", path="/api/v3/order", nth=2)
    first = client.signed("POST", "order", order_query("BUY LIMIT 1 @ 90 as never"))
    second = client.signed("POST", "order", order_query("BUY LIMIT 1 @ 90 as taken"))
    assert (first.status, first.json()["code"]) == (503, -1008)
    assert (second.status, second.json()) == (
        504,
        {
            "code": -1007,
            "msg": "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
        },
    )
    assert [order["clientOrderId"] for order in client.signed("GET", "openOrders").json()] == ["taken"]


def test_the_rate_limit_and_then_the_ban() -> None:
    client = Client()
    client.fault(action="rate_limit", path="/api/v3/account", retry_after_s=5)
    answers = [client.signed("GET", "account"), client.raw("GET", "/api/v3/time")]
    assert [(a.status, a.named.get("retry-after")) for a in answers] == [(429, "5"), (418, "5")]
    client.wait(5_000)
    assert client.raw("GET", "/api/v3/time").status == 200


def test_a_placed_order_may_not_be_found_for_a_while() -> None:
    client = Client()
    client.fault(action="not_found_for", path="/api/v3/order", method="POST", ms=2_000)
    client.order("BUY LIMIT 1 @ 90 as shy")
    asked = "symbol=BTCUSDT&origClientOrderId=shy"
    assert client.signed("GET", "order", asked).json()["code"] == -2013
    client.wait(2_000)
    assert client.signed("GET", "order", asked).json()["status"] == "NEW"


def test_a_skewed_clock() -> None:
    client = Client()
    client.fault(action="clock_skew", ms=-2_000)
    assert client.signed("GET", "account").json()["msg"].endswith("ahead of the server's time.")
    client.fault(action="clock_skew", ms=6_000)
    assert client.signed("GET", "account").json()["msg"].endswith("outside of the recvWindow.")
    assert client.get("time")["serverTime"] == client.now_ns // 1_000_000 + 6_000
    client.fault(action="clock_skew", ms=0)
    assert client.signed("GET", "account").status == 200


def test_events_late_twice_and_never() -> None:
    client = Client()
    client.listen()
    client.fault(action="delay_events", event="NEW", ms=100)
    client.fault(action="duplicate_events", event="TRADE", times=0)
    client.fault(action="drop_events", event="outboundAccountPosition", times=0)
    client.order("BUY MARKET 1")
    assert client.story() == ["TRADE/FILLED 1@101 taker"] * 2
    client.wait(100)
    assert client.story()[-1] == "NEW/NEW"


def test_events_before_the_answer() -> None:
    client = Client()
    client.listen()
    client.order("BUY LIMIT 1 @ 90")
    client.fault(action="events_before_answer", on=True)
    mark = len(client.log)
    client.order("BUY LIMIT 1 @ 91")
    assert [item.conn_id == PRIVATE for item in client.log[mark:]] == [True, True, False]


def test_silence_and_disconnection() -> None:
    client = Client()
    client.listen()
    assert client.venue.connect(1, "/ws/btcusdt@trade", client.now_ns)
    client.fault(action="silence", target="market", ms=100)
    client.fault(action="silence", target="private", ms=100)
    client.market_trade("100", "1", sells=True)
    client.order("BUY LIMIT 1 @ 90")
    assert (client.frames(1), client.story()) == ([], [])
    client.wait(100)
    client.market_trade("100", "2", sells=True)
    assert [frame["q"] for frame in client.frames(1)] == ["2.00000000"]
    client.fault(action="disconnect", target="market")
    client.fault(action="disconnect", target="private")
    assert client.was_cut(1)
    assert client.was_cut(PRIVATE)
    assert client.sim("GET", "status")["connections"] == []


def test_a_fault_over_the_websocket_api() -> None:
    client = Client()
    client.listen()
    client.fault(action="cut_answer", path="order.place")
    stamp = client.now_ns // 1_000_000
    asked = {"apiKey": client.key, "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "price": "90", "quantity": "1"}
    client.ws(PRIVATE, "order.place", client.ws_sign({**asked, "timeInForce": "GTC", "timestamp": stamp}))
    assert client.was_cut(PRIVATE)
    assert len(client.signed("GET", "openOrders").json()) == 1


@pytest.mark.faults_may_miss("the rule is cleared before it can strike")
def test_a_misspelt_rule_is_refused_and_rules_can_be_cleared() -> None:
    client = Client()
    bad = client.raw("POST", "/sim/faults", body='{"action":"cut_answer","pth":"x"}')
    assert (bad.status, "pth" in bad.json()["error"]) == (400, True)
    client.fault(action="cut_answer")
    client.sim("DELETE", "faults")
    assert client.order("BUY LIMIT 1 @ 90")["status"] == "NEW"


@pytest.mark.faults_may_miss("the test counts what struck")
def test_a_fault_strikes_only_if_a_client_could_notice_it() -> None:
    client = Client()
    client.listen()
    client.fault(action="silence", target="market", ms=1_000)  # no client listens to the market
    client.fault(action="disconnect", target="market")
    client.fault(action="not_found_for", path="/api/v3/order", method="POST", ms=2_000)
    client.fault(action="cut_answer", path="/api/v3/account")
    client.fault(action="events_before_answer", on=True)
    client.fault(action="silence", target="private", ms=0)
    client.market_trade("100", "1", sells=True)
    client.get("time")
    assert [fault["struck"] for fault in client.sim("GET", "faults")] == [0, 0, 0, 0, 0, 1]
    client.order("BUY LIMIT 1 @ 90 as shy")
    assert [fault["struck"] for fault in client.sim("GET", "faults")] == [0, 0, 0, 0, 1, 1]
    client.signed("GET", "order", "symbol=BTCUSDT&origClientOrderId=shy")
    client.sim("DELETE", "faults")
    assert client.sim("GET", "faults") == []
    assert [rule.action for rule in client.venue.faults.unstruck()] == ["silence", "disconnect", "cut_answer"]
