"""Trailing stops at the simulated venue: they track the best price since their start, and trigger at a delta from it.

Source: Binance's trailing stop FAQ, whose scenarios A to E are the first tests, at a thousandth of its prices.
"""

import pytest
from sim_transcript import Client, quiet, short


def market() -> Client:
    client = Client(quiet(bids="30x100", asks="60x100"))
    client.listen()
    return client


def trades(client: Client, text: str) -> None:
    for price in text.split():
        client.market_trade(price, "0.001", sells=True)


def is_working(client: Client) -> bool:
    return client.shown("mine")["status"] != "NEW" or client.shown("mine")["isWorking"]


@pytest.mark.parametrize(
    ("order", "stop", "delta", "before", "trigger"),
    [
        # A: a stop-loss buy waits for 44, then for 5 % above the lowest price
        ("BUY STOP_LOSS_LIMIT 1 @ 45 GTC", "44", 500, "37 44 46 42 44.09", "44.1"),
        ("SELL STOP_LOSS_LIMIT 1 @ 38 GTC", "39", 1000, "41.5 39 37 41 36.91", "36.9"),
        ("BUY TAKE_PROFIT_LIMIT 1 @ 38.5 GTC", "38", 850, "42 38 37 39 38 40.14", "40.145"),
        ("SELL TAKE_PROFIT_LIMIT 1 @ 41 GTC", "42", 750, "41.5 39 42 45 44 46.5 43.02", "43.0125"),
        ("SELL STOP_LOSS_LIMIT 1 @ 39 GTC", None, 700, "42 39.5 45.5 42.32", "42.315"),  # E: without a stop price
    ],
)
def test_the_scenarios_of_the_faq(order: str, stop: str | None, delta: int, before: str, trigger: str) -> None:
    client = market()
    trades(client, "40")
    placed = client.order(f"{order} as mine", stopPrice=stop, trailingDelta=delta, newOrderRespType="RESULT")
    assert (placed["status"], placed["trailingDelta"], placed["workingTime"]) == ("NEW", delta, -1)
    assert (placed["trailingTime"] == -1) is (stop is not None)
    trades(client, before)
    assert not is_working(client)
    assert client.shown("mine")["trailingTime"] > 0
    trades(client, trigger)
    assert is_working(client)
    reports = [event for event in client.events() if event["e"] == "executionReport"]
    assert {event["d"] for event in reports} == {delta}
    assert "W" in reports[1]


def test_a_trailing_market_stop_sells_at_the_book() -> None:
    client = market()
    trades(client, "40")
    client.order("SELL STOP_LOSS 1 as mine", trailingDelta=100)
    trades(client, "41 40.6")
    assert client.shown("mine")["executedQty"] == "0.00000000"
    trades(client, "40.59")
    assert client.shown("mine")["status"] == "FILLED"
    assert client.story()[-2:] == ["TRADE/FILLED 1@30 taker", "funds BTC USDT"]


def test_a_trailing_buy_locks_up_to_its_worst_trigger_and_frees_the_rest() -> None:
    client = Client()
    client.market_trade("100", "1", sells=True)
    client.order("BUY STOP_LOSS 1 as mine", trailingDelta=500)
    assert client.balances()["USDT"] == ("9895", "105")
    client.market_trade("90", "1", sells=True)
    client.market_trade("94.5", "1", sells=True)
    assert client.shown("mine")["status"] == "FILLED"
    assert client.balances()["USDT"] == ("9899", "0")


@pytest.mark.parametrize(
    ("order", "more", "code", "text"),
    [
        ("SELL STOP_LOSS 1", {"trailingDelta": 9}, -1013, "Filter failure: TRAILING_DELTA"),
        ("SELL STOP_LOSS 1", {"trailingDelta": 2001}, -1013, "Filter failure: TRAILING_DELTA"),
        ("SELL STOP_LOSS 1", {"trailingDelta": 0}, -1013, "Filter failure: TRAILING_DELTA"),
        ("SELL STOP_LOSS 1", {"trailingDelta": 100, "stopPrice": 101}, -2010, "Order would trigger immediately."),
        ("SELL LIMIT 1 @ 101", {"trailingDelta": 100}, -1106, "Parameter 'trailingDelta' sent when not required."),
    ],
)
def test_a_trailing_stop_that_cannot_be_is_refused(order: str, more: dict, code: int, text: str) -> None:
    client = Client()
    client.market_trade("100", "1", sells=True)
    assert client.order(order, **more) == {"code": code, "msg": text}


def test_trailing_delta_is_an_integer_and_each_side_has_its_bounds() -> None:
    client = Client(overrides={"BTCUSDT": {"trailing_above": (50, 60), "trailing_below": (10, 20)}})
    client.market_trade("100", "1", sells=True)
    assert client.order("SELL STOP_LOSS 1", trailingDelta="1.5")["code"] == -1100
    accepted = {"SELL STOP_LOSS": 15, "BUY STOP_LOSS": 55, "SELL TAKE_PROFIT": 55, "BUY TAKE_PROFIT": 15}
    for order, delta in accepted.items():
        assert client.order(f"{order} 1", trailingDelta=70 - delta)["code"] == -1013
        assert "orderId" in client.order(f"{order} 1", trailingDelta=delta)
    [info] = client.get("exchangeInfo")["symbols"]
    [bounds] = [entry for entry in info["filters"] if entry["filterType"] == "TRAILING_DELTA"]
    assert (bounds["minTrailingAboveDelta"], bounds["maxTrailingBelowDelta"]) == (50, 20)


def test_a_symbol_may_forbid_trailing_stops() -> None:
    client = Client(overrides={"BTCUSDT": {"forbidden": ("allowTrailingStop",)}})
    client.market_trade("100", "1", sells=True)
    refused = client.order("SELL STOP_LOSS 1", trailingDelta=100)
    assert refused == {"code": -2010, "msg": "Trailing stop orders are not supported for this symbol."}
    assert client.get("exchangeInfo")["symbols"][0]["allowTrailingStop"] is False


def test_five_stops_are_open_at_most() -> None:
    client = Client()
    client.market_trade("100", "1", sells=True)
    for number in range(5):
        client.order("SELL STOP_LOSS 0.1", stopPrice=f"9{number}")
    assert client.order("SELL STOP_LOSS 0.1", stopPrice="95")["msg"] == "Filter failure: MAX_NUM_ALGO_ORDERS"
    assert client.order("SELL LIMIT 0.1 @ 110")["status"] == "NEW"


def test_two_trailing_stops_of_one_symbol_keep_their_own_extremes() -> None:
    client = market()
    trades(client, "40")
    client.order("SELL STOP_LOSS 0.5 as early", trailingDelta=1000)
    trades(client, "50 47")
    client.order("SELL STOP_LOSS 0.5 as late", trailingDelta=1000)
    trades(client, "45")
    assert (client.shown("early")["status"], client.shown("late")["status"]) == ("FILLED", "NEW")
    trades(client, "42.3")
    assert short(client.shown("late")["executedQty"]) == "0.5"
