"""Orders of the simulated USD-M futures beyond plain ones: reduce-only, conditional, dated, modified, batches, countdown."""

import json
from typing import Any
from urllib.parse import quote

import pytest
from usdm_transcript import FuturesClient, answer, quiet_contracts

BTC = "symbol=BTCUSDT"
MINUTE_MS = 60_000


def deep() -> FuturesClient:
    client = FuturesClient(quiet_contracts(bids="99x200 98x200", asks="101x200 102x200"))
    client.listen()
    return client


def long_of(quantity: str) -> FuturesClient:
    client = deep()
    client.order(f"BUY MARKET {quantity}")
    return client


# ---- reduce-only


def test_a_reduce_only_order_closes_and_never_opens() -> None:
    client = long_of("2")
    client.order("SELL MARKET 5", reduceOnly="true")
    assert client.story()[-2:] == ["TRADE/PARTIALLY_FILLED 2@99 taker pnl -4", "EXPIRED/EXPIRED er 9"]
    assert client.position() is None
    assert client.order("SELL MARKET 1", reduceOnly="true")["code"] == -2022


def test_a_resting_reduce_only_order_ends_with_its_position() -> None:
    client = long_of("2")
    client.order("SELL LIMIT 2 @ 110 as exit", reduceOnly="true")
    client.order("SELL MARKET 2")
    assert client.story()[-1] == "EXPIRED/EXPIRED er 4"
    assert answer(client, "GET", "/fapi/v1/openOrders") == []


def test_a_market_order_that_closes_ends_the_resting_exit_before_it_is_accepted() -> None:
    """As in session 08 of the shared data: EXPIRED of the exit, then NEW and the fill of the market order."""
    client = long_of("2")
    client.order("SELL LIMIT 2 @ 110 as exit", reduceOnly="true")
    client.order("SELL MARKET 2", reduceOnly="true")
    assert client.story()[-4:] == [
        "EXPIRED/EXPIRED er 4",
        "NEW/NEW",
        "ORDER 995.8 0@0",
        "TRADE/FILLED 2@99 taker pnl -4",
    ]


def test_two_reduce_only_orders_fill_the_position_once() -> None:
    """One print beyond both prices: 2 of the position are sold at 110, 1 at 111, and nothing more."""
    client = long_of("3")
    client.order("SELL LIMIT 2 @ 110 as near", reduceOnly="true")
    client.order("SELL LIMIT 3 @ 111 as far", reduceOnly="true")
    client.market_trade("112", "50", sells=False)
    assert client.position() is None
    trades = answer(client, "GET", "/fapi/v1/userTrades", BTC)
    assert [(row["qty"], row["price"]) for row in trades[1:]] == [("2", "110"), ("1", "111")]
    assert client.story()[-1] == "EXPIRED/EXPIRED er 4"


# ---- conditional orders


def test_a_stop_becomes_a_market_order_with_its_own_id() -> None:
    client = long_of("2")
    before = client.available()
    placed = client.algo("SELL STOP_MARKET 2 at 97 as stop", reduceOnly="true")
    assert (placed["algoStatus"], placed["orderType"], placed["triggerPrice"]) == ("NEW", "STOP_MARKET", "97")
    assert client.available() == before, "it binds no margin"
    assert answer(client, "GET", "/fapi/v1/openOrders") == [], "a conditional order is not among the plain ones"
    assert answer(client, "GET", "/fapi/v1/order", f"{BTC}&origClientOrderId=stop")["code"] == -2013
    client.market_levels(bids="99x0 98x0 96x200")
    client.market_trade("97", "1", sells=True)
    told = client.story()
    assert told[told.index("algo TRIGGERING") :] == [
        "algo TRIGGERING",
        "algo TRIGGERED",
        "NEW/NEW",
        "ORDER 989.803 0@0",
        "TRADE/FILLED 2@96 taker pnl -10",
        "algo FINISHED",
    ]
    shown = answer(client, "GET", "/fapi/v1/algoOrder", "clientAlgoId=stop")
    order = answer(client, "GET", "/fapi/v1/order", f"{BTC}&origClientOrderId=stop")
    assert (shown["algoStatus"], shown["actualOrderId"]) == ("FINISHED", str(order["orderId"]))
    assert (order["type"], order["origType"], order["stopPrice"]) == ("MARKET", "STOP_MARKET", "97")


@pytest.mark.parametrize(
    ("order", "moves", "becomes"),
    [
        ("BUY STOP_MARKET 1 at 105", ["104", "105"], "MARKET"),
        ("SELL TAKE_PROFIT_MARKET 1 at 105", ["104", "106"], "MARKET"),
        ("BUY TAKE_PROFIT_MARKET 1 at 95", ["96", "95"], "MARKET"),
        ("BUY STOP 1 at 105 @ 106", ["104", "105"], "LIMIT"),
        ("SELL TAKE_PROFIT 1 at 105 @ 106", ["104", "105"], "LIMIT"),
    ],
)
def test_each_type_triggers_at_its_price(order: str, moves: list[str], becomes: str) -> None:
    client = deep()
    client.algo(f"{order} as mine")
    for price in moves[:-1]:
        client.market_trade(price, "1", sells=True)
    assert answer(client, "GET", "/fapi/v1/algoOrder", "clientAlgoId=mine")["algoStatus"] == "NEW"
    client.market_trade(moves[-1], "1", sells=True)
    shown = answer(client, "GET", "/fapi/v1/order", f"{BTC}&origClientOrderId=mine")
    assert shown["type"] == becomes


def test_the_mark_price_triggers_where_it_is_the_working_type() -> None:
    client = long_of("1")
    client.algo("SELL STOP_MARKET 1 at 95 as stop", workingType="MARK_PRICE")
    client.market_trade("90", "1", sells=True)
    assert client.position() is not None, "the last price does not count"
    client.market_mark("94.9")
    assert client.position() is None


def test_a_trailing_stop_follows_from_its_activation_on() -> None:
    """Activated at 110, best 120: 2 % below it is 117.6."""
    client = long_of("1")
    client.algo("SELL TRAILING_STOP_MARKET 1 as trail", activatePrice="110", callbackRate="2", reduceOnly="true")
    for price in ("100.5", "110", "120", "118"):
        client.market_trade(price, "1", sells=True)
        assert client.position() is not None
    client.market_trade("117.6", "1", sells=True)
    assert client.position() is None


def test_close_position_sells_whatever_is_held() -> None:
    client = long_of("1")
    client.algo("SELL STOP_MARKET at 95 as stop", closePosition="true")
    client.order("BUY MARKET 2")
    client.market_trade("95", "1", sells=True)
    assert client.position() is None


def test_a_triggered_order_that_the_matching_refuses_is_rejected() -> None:
    client = long_of("1")
    client.algo("SELL STOP_MARKET 1 at 95 as stop", reduceOnly="true")
    client.order("SELL MARKET 1")
    client.market_trade("95", "1", sells=True)
    shown = answer(client, "GET", "/fapi/v1/algoOrder", "clientAlgoId=stop")
    assert shown["algoStatus"] == "REJECTED"
    assert client.events()[-1]["o"]["rm"] == "ReduceOnly Order is rejected."


def test_price_protection_waits_while_mark_and_last_price_differ() -> None:
    client = long_of("1")
    client.market_mark("100")
    client.algo("SELL STOP_MARKET 1 at 94 as stop", priceProtect="TRUE")
    client.market_trade("90", "1", sells=True)
    assert client.position() is not None, "90 is 10 % from the mark price"
    client.market_mark("91")
    client.market_trade("90", "1", sells=True)
    assert client.position() is None


@pytest.mark.parametrize(
    ("order", "more", "code"),
    [
        ("SELL STOP_MARKET 1 at 102", {}, -2021),
        ("BUY TAKE_PROFIT_MARKET 1 at 102", {}, -2021),
        ("SELL TRAILING_STOP_MARKET 1", {"activatePrice": "90", "callbackRate": "1"}, -2021),
        ("SELL TRAILING_STOP_MARKET 1 at 95", {"callbackRate": "1"}, -1106),
        ("SELL TRAILING_STOP_MARKET 1", {"callbackRate": "20"}, -2007),
        ("SELL TRAILING_STOP_MARKET 1", {}, -1102),
        ("SELL STOP_MARKET 1", {}, -1102),
        ("SELL STOP_MARKET at 95", {}, -1102),
        ("SELL STOP_MARKET 1 at 95", {"callbackRate": "1"}, -1106),
        ("SELL STOP_MARKET 1 at 95", {"closePosition": "true"}, -4137),
        ("SELL STOP_MARKET at 95", {"closePosition": "true", "reduceOnly": "true"}, -4138),
        ("SELL STOP 1 at 95 @ 94", {"closePosition": "true"}, -4136),
        ("SELL STOP_MARKET 1 at 95.05", {}, -4014),
        ("SELL LIMIT 1 at 95", {}, -1116),
    ],
)
def test_a_wrong_conditional_order_is_refused(order: str, more: dict[str, str], code: int) -> None:
    client = deep()
    assert client.algo(order, **more)["code"] == code
    assert client.venue.exchange.algos == {}


def test_conditional_orders_are_listed_canceled_and_counted() -> None:
    client = deep()
    first = client.algo("SELL STOP_MARKET 1 at 95 as a")
    client.algo("SELL STOP_MARKET 1 at 94 as b")
    client.algo("SELL STOP_MARKET 1 at 93 as c")
    assert client.algo("SELL STOP_MARKET 1 at 93 as c")["code"] == -4116
    assert [row["clientAlgoId"] for row in answer(client, "GET", "/fapi/v1/openAlgoOrders", BTC)] == ["a", "b", "c"]
    canceled = answer(client, "DELETE", "/fapi/v1/algoOrder", f"algoId={first['algoId']}")
    assert (canceled["code"], canceled["clientAlgoId"]) == ("200", "a")
    assert answer(client, "DELETE", "/fapi/v1/algoOrder", "clientAlgoId=a")["code"] == -2011
    assert answer(client, "DELETE", "/fapi/v1/algoOpenOrders", BTC)["code"] == 200
    assert answer(client, "GET", "/fapi/v1/openAlgoOrders") == []
    listed = answer(client, "GET", "/fapi/v1/allAlgoOrders", BTC)
    assert [row["algoStatus"] for row in listed] == ["CANCELED"] * 3
    assert client.story() == ["algo NEW"] * 3 + ["algo CANCELED"] * 3


def test_an_account_has_at_most_two_hundred_conditional_orders() -> None:
    client = deep()
    for _ in range(200):
        assert "algoId" in client.algo("SELL STOP_MARKET 1 at 95")
    assert client.algo("SELL STOP_MARKET 1 at 95")["code"] == -4045


# ---- times in force, priceMatch, self-trades


def test_a_post_only_order_rests_or_is_refused() -> None:
    client = deep()
    placed = client.order("BUY LIMIT 1 @ 100 GTX as mine")
    assert (placed["type"], placed["timeInForce"]) == ("LIMIT", "GTX")
    assert client.order("BUY LIMIT 1 @ 101 GTX")["code"] == -5022


def test_a_dated_order_ends_at_its_second() -> None:
    client = deep()
    until_ms = (client.now_ns // 1_000_000 + 11 * MINUTE_MS) // 1_000 * 1_000
    placed = client.order("BUY LIMIT 1 @ 90 GTD as mine", goodTillDate=str(until_ms + 999))
    assert placed["goodTillDate"] == until_ms
    client.wait(10 * MINUTE_MS)
    assert answer(client, "GET", "/fapi/v1/openOrders") != []
    client.wait(2 * MINUTE_MS)
    assert answer(client, "GET", "/fapi/v1/openOrders") == []
    assert (client.story()[-1], client.events()[-1]["T"]) == ("EXPIRED/EXPIRED", until_ms)


@pytest.mark.parametrize(("match", "price"), [("OPPONENT", "101"), ("QUEUE", "99")])
def test_price_match_takes_the_price_from_the_book(match: str, price: str) -> None:
    placed = deep().order("BUY LIMIT 1", priceMatch=match)
    assert (placed["price"], placed["priceMatch"]) == (price, match)


def test_price_match_without_that_level_is_refused() -> None:
    assert deep().order("BUY LIMIT 1", priceMatch="QUEUE_5")["code"] == -2020


def test_an_accounts_own_orders_do_not_trade_with_each_other() -> None:
    client = deep()
    client.order("SELL LIMIT 1 @ 100 as maker")
    client.order("BUY LIMIT 1 @ 100 as taker")
    maker = answer(client, "GET", "/fapi/v1/order", f"{BTC}&origClientOrderId=maker")
    assert maker["status"] == "EXPIRED_IN_MATCH"
    assert "EXPIRED/EXPIRED_IN_MATCH er 1" in client.story()


# ---- changes


def modify(client: FuturesClient, name: str, side: str, quantity: str, price: str) -> Any:
    query = f"{BTC}&origClientOrderId={name}&side={side}&quantity={quantity}&price={price}"
    return answer(client, "PUT", "/fapi/v1/order", query)


def test_a_change_keeps_the_order_and_its_id() -> None:
    client = deep()
    placed = client.order("BUY LIMIT 1 @ 90 as mine")
    changed = modify(client, "mine", "BUY", "2", "91")
    assert (changed["orderId"], changed["price"], changed["origQty"]) == (placed["orderId"], "91", "2")
    assert client.story()[-1] == "AMENDMENT/NEW"
    assert modify(client, "mine", "BUY", "2", "91")["code"] == -5027
    assert modify(client, "mine", "BUY", "2", "91.05")["code"] == -4014, "the order stays as it is"
    [row] = answer(client, "GET", "/fapi/v1/orderAmendment", BTC)
    assert row["amendment"] == {
        "price": {"before": "90", "after": "91"}, "origQty": {"before": "1", "after": "2"}, "count": 1,
    }  # fmt: skip
    assert modify(client, "mine", "SELL", "2", "91")["code"] == -2013
    assert modify(client, "mine", "BUY", "400", "91")["code"] == -2019


def test_a_change_that_crosses_trades_and_a_post_only_one_is_canceled() -> None:
    client = deep()
    client.order("BUY LIMIT 1 @ 90 as mine")
    modify(client, "mine", "BUY", "1", "101")
    assert client.story()[-1] == "TRADE/FILLED 1@101 taker pnl 0"
    client.order("BUY LIMIT 1 @ 90 GTX as maker")
    assert modify(client, "maker", "BUY", "1", "101")["status"] == "CANCELED"


def test_a_change_below_the_executed_quantity_cancels() -> None:
    client = FuturesClient(quiet_contracts(bids="99x200", asks="101x2 110x50"))
    client.order("BUY LIMIT 5 @ 101 as mine")
    assert modify(client, "mine", "BUY", "2", "101")["status"] == "CANCELED"


def test_a_batch_answers_for_each_order() -> None:
    client = deep()
    rows = [
        {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "1", "price": "90", "timeInForce": "GTC",
         "newClientOrderId": "a"},
        {"symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "quantity": "1", "reduceOnly": "true"},
    ]  # fmt: skip
    placed = answer(client, "POST", "/fapi/v1/batchOrders", f"batchOrders={quote(json.dumps(rows))}")
    assert (placed[0]["clientOrderId"], placed[1]["code"]) == ("a", -2022)
    change = [{"symbol": "BTCUSDT", "origClientOrderId": "a", "side": "BUY", "quantity": "2", "price": "90"}]
    changed = answer(client, "PUT", "/fapi/v1/batchOrders", f"batchOrders={quote(json.dumps(change))}")
    assert changed[0]["origQty"] == "2"
    ended = answer(
        client, "DELETE", "/fapi/v1/batchOrders", f"{BTC}&origClientOrderIdList={quote(json.dumps(['a', 'b']))}"
    )
    assert (ended[0]["status"], ended[1]["code"]) == ("CANCELED", -2011)
    six = quote(json.dumps(rows * 3))
    assert answer(client, "POST", "/fapi/v1/batchOrders", f"batchOrders={six}")["code"] == -4082


# ---- the dead-man switch


def test_the_countdown_cancels_unless_it_is_set_again() -> None:
    client = deep()
    client.order("BUY LIMIT 1 @ 90 as a")
    client.algo("SELL STOP_MARKET 1 at 80 as stop")
    answer(client, "POST", "/fapi/v1/countdownCancelAll", f"{BTC}&countdownTime=10000")
    client.wait(9_000)
    answer(client, "POST", "/fapi/v1/countdownCancelAll", f"{BTC}&countdownTime=10000")
    client.wait(9_000)
    assert len(answer(client, "GET", "/fapi/v1/openOrders")) == 1
    client.wait(2_000)
    assert answer(client, "GET", "/fapi/v1/openOrders") == []
    assert client.story()[-1] == "CANCELED/CANCELED"


def test_a_countdown_of_zero_ends_it() -> None:
    client = deep()
    client.order("BUY LIMIT 1 @ 90 as a")
    answer(client, "POST", "/fapi/v1/countdownCancelAll", f"{BTC}&countdownTime=10000")
    answer(client, "POST", "/fapi/v1/countdownCancelAll", f"{BTC}&countdownTime=0")
    client.wait(20_000)
    assert len(answer(client, "GET", "/fapi/v1/openOrders")) == 1


# ---- lists


def test_fills_are_listed_by_id_and_by_seven_days() -> None:
    client = deep()
    for _ in range(3):
        client.order("BUY MARKET 1")
    every = answer(client, "GET", "/fapi/v1/userTrades", BTC)
    assert len(every) == 3
    later = answer(client, "GET", "/fapi/v1/userTrades", f"{BTC}&fromId={every[1]['id']}&limit=1")
    assert later == [every[1]]
    assert answer(client, "GET", "/fapi/v1/userTrades", f"{BTC}&fromId=1&startTime=1")["code"] == -1128
    now_ms = client.now_ns // 1_000_000
    week = f"{BTC}&startTime={now_ms - 8 * 86_400_000}&endTime={now_ms}"
    assert answer(client, "GET", "/fapi/v1/userTrades", week)["code"] == -4165
    old = f"{BTC}&startTime={now_ms - 9 * 86_400_000}"
    assert answer(client, "GET", "/fapi/v1/userTrades", old) == [], "seven days from the start on"
    one = answer(client, "GET", "/fapi/v1/userTrades", f"{BTC}&orderId={every[0]['orderId']}")
    assert one == every[:1]


def test_all_orders_are_listed_from_an_id_on() -> None:
    client = deep()
    for number in range(3):
        client.order(f"BUY LIMIT 1 @ 9{number} as o{number}")
    every = answer(client, "GET", "/fapi/v1/allOrders", BTC)
    assert [row["clientOrderId"] for row in every] == ["o0", "o1", "o2"]
    assert answer(client, "GET", "/fapi/v1/allOrders", f"{BTC}&orderId={every[1]['orderId']}") == every[1:]
    assert answer(client, "POST", "/fapi/v1/order/test", f"{BTC}&side=BUY&type=MARKET&quantity=1") == {}
    assert len(answer(client, "GET", "/fapi/v1/allOrders", BTC)) == 3
