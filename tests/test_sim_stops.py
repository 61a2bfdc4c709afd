"""Stops and take-profits at the simulated venue: held outside the book until the market reaches their trigger.

Source: Binance Spot API, order types and triggers (the last price triggers; stops lock their funds from placement on).
"""

import pytest
from sim_transcript import Client, short


def fills(answer: dict) -> list[str]:
    return [f"{short(fill['qty'])}@{short(fill['price'])}" for fill in answer["fills"]]


def placed(client: Client, text: str, stop: str) -> dict:
    return client.order(text, stopPrice=stop)


def test_a_stop_is_held_until_the_last_price_reaches_it() -> None:
    client = Client()
    client.listen()
    client.market_trade("100", "1", sells=True)
    assert placed(client, "SELL STOP_LOSS 1 as mine", "99.5")["clientOrderId"] == "mine"
    held = client.signed("GET", "order", "symbol=BTCUSDT&origClientOrderId=mine").json()
    assert (held["type"], held["stopPrice"], held["isWorking"], held["workingTime"]) == (
        "STOP_LOSS",
        "99.50000000",
        False,
        -1,
    )
    client.market_trade("99.6", "1", sells=True)
    assert client.story() == ["NEW/NEW", "funds BTC"]
    client.market_trade("99.5", "1", sells=True)
    assert client.story()[2:] == ["NEW/NEW", "TRADE/FILLED 1@99 taker", "funds BTC USDT"]
    first, triggered = (event for event in client.events() if event["e"] == "executionReport" and event["x"] == "NEW")
    assert (first["w"], "W" in first, "W" in triggered) == (False, False, True)


@pytest.mark.parametrize(
    ("text", "stop", "triggering", "fill"),
    [
        ("BUY STOP_LOSS 1", "100.5", "100.6", "1@101"),
        ("SELL STOP_LOSS 1", "99.5", "99.4", "1@99"),
        ("BUY TAKE_PROFIT 1", "99.5", "99.4", "1@101"),
        ("SELL TAKE_PROFIT 1", "100.5", "100.6", "1@99"),
        ("BUY STOP_LOSS_LIMIT 1 @ 102 GTC", "100.5", "100.6", "1@101"),
        ("SELL STOP_LOSS_LIMIT 1 @ 98 GTC", "99.5", "99.4", "1@99"),
        ("BUY TAKE_PROFIT_LIMIT 1 @ 101 GTC", "99.5", "99.4", "1@101"),
        ("SELL TAKE_PROFIT_LIMIT 1 @ 99 GTC", "100.5", "100.6", "1@99"),
    ],
)
def test_each_type_triggers_on_its_side_and_is_refused_on_the_other(
    text: str, stop: str, triggering: str, fill: str
) -> None:
    client = Client()
    client.market_trade("100", "1", sells=True)
    wrong = "99" if float(stop) > 100 else "101"
    assert placed(client, text, wrong) == {"code": -2010, "msg": "Order would trigger immediately."}
    placed(client, f"{text} as mine", stop)
    client.market_trade("100", "1", sells=False)
    query = "symbol=BTCUSDT&origClientOrderId=mine"
    assert client.signed("GET", "order", query).json()["executedQty"] == "0.00000000"
    client.market_trade(triggering, "0.001", sells=True)
    assert client.signed("GET", "order", query).json()["status"] == "FILLED"
    trades = client.signed("GET", "myTrades", "symbol=BTCUSDT").json()
    assert [f"{short(trade['qty'])}@{short(trade['price'])}" for trade in trades] == [fill]


def test_a_triggered_stop_limit_rests_at_its_price() -> None:
    client = Client()
    client.market_trade("100", "1", sells=True)
    placed(client, "SELL STOP_LOSS_LIMIT 1 @ 100.5 GTC as mine", "99.5")
    client.market_trade("99.4", "1", sells=True)
    order = client.signed("GET", "order", "symbol=BTCUSDT&origClientOrderId=mine").json()
    assert (order["status"], order["isWorking"]) == ("NEW", True)
    client.market_levels(bids="100.5x2")
    assert client.signed("GET", "order", "symbol=BTCUSDT&origClientOrderId=mine").json()["status"] == "FILLED"


def test_a_stop_locks_from_its_placement_and_frees_at_its_end() -> None:
    client = Client()
    client.market_trade("100", "1", sells=True)
    placed(client, "BUY STOP_LOSS 1 as market", "101")
    placed(client, "BUY STOP_LOSS_LIMIT 1 @ 103 GTC as limit", "102")
    placed(client, "SELL STOP_LOSS 1 as sale", "99")
    assert client.balances() == {"BTC": ("1", "1"), "USDT": ("9796", "204")}
    for name in ("market", "limit", "sale"):
        assert client.cancel(name)["status"] == "CANCELED"
    assert client.balances() == {"BTC": ("2", "0"), "USDT": ("10000", "0")}


def test_a_market_buy_that_its_funds_no_longer_cover_expires_at_its_trigger() -> None:
    client = Client()
    client.market_trade("100", "1", sells=True)
    placed(client, "BUY STOP_LOSS 1 as mine", "100.5")
    client.order("BUY LIMIT 98.99 @ 100")  # 9,899 of the 9,899.5 that are free
    client.listen()
    client.market_levels(asks="101x0 102x0 103x0 105x5")
    client.market_trade("105", "1", sells=False)
    assert client.story() == ["NEW/NEW", "EXPIRED/EXPIRED REJECTED", "funds USDT"]
    assert client.events()[1]["r"] == "INSUFFICIENT_BALANCES"
    assert client.balances()["USDT"] == ("101", "9899")


def test_triggers_follow_the_order_of_placement_and_one_price_triggers_several() -> None:
    client = Client()
    client.market_trade("100", "1", sells=True)
    placed(client, "SELL STOP_LOSS 1 as second", "99.2")
    placed(client, "SELL STOP_LOSS 1 as first", "99.5")
    client.market_trade("99.1", "1", sells=True)
    trades = client.signed("GET", "myTrades", "symbol=BTCUSDT").json()
    names = [client.signed("GET", "order", f"symbol=BTCUSDT&orderId={t['orderId']}").json() for t in trades]
    assert [order["clientOrderId"] for order in names] == ["second", "first"]


def test_stop_prices_are_on_the_tick() -> None:
    client = Client()
    client.market_trade("100", "1", sells=True)
    assert placed(client, "SELL STOP_LOSS 1", "99.0000001")["code"] == -1013
    assert client.order("SELL STOP_LOSS 1")["code"] == -1102
