"""Order lists at the simulated venue: OCO, OTO, OTOCO, OPO and OPOCO, their events, locks, queries and refusals.

Source: Binance Spot API, "Order lists", user-data-stream.md and faqs/opo.md. docs/venue.md states the
assumptions where Binance documents nothing.
"""

import json
from typing import Any

import pytest
from sim_transcript import OTHER_KEY, OTHER_SECRET, PRIVATE, Client, quiet, short

from engine.events import Answer, OrderReport, Outcome, Unrecognised, VenueStatus
from engine.requests import Transport, Unsigned
from engine.venues.binance_spot.account import SpotAccount, decode_answer

SELL_PAIR = {
    "side": "SELL", "quantity": "1", "aboveType": "LIMIT_MAKER", "abovePrice": "102", "aboveClientOrderId": "target",
    "belowType": "STOP_LOSS", "belowStopPrice": "98.5", "belowClientOrderId": "stop",
}  # fmt: skip
ENTRY = {
    "workingType": "LIMIT", "workingSide": "BUY", "workingPrice": "99.5", "workingQuantity": "1",
    "workingTimeInForce": "GTC", "workingClientOrderId": "entry",
}  # fmt: skip
PENDING_PAIR = {
    "pendingSide": "SELL", "pendingAboveType": "LIMIT_MAKER", "pendingAbovePrice": "102",
    "pendingAboveClientOrderId": "target", "pendingBelowType": "STOP_LOSS", "pendingBelowStopPrice": "97",
    "pendingBelowClientOrderId": "stop",
}  # fmt: skip


def listening(**config: Any) -> Client:
    client = Client(**config)
    client.market_trade("100", "1", sells=True)
    client.listen()
    return client


def statuses(client: Client, *names: str) -> list[str]:
    return [client.shown(name)["status"] for name in names]


def the_list(client: Client, list_id: int) -> tuple[str, str]:
    shown = client.signed("GET", "orderList", f"orderListId={list_id}").json()
    return shown["listStatusType"], shown["listOrderStatus"]


# ---- OCO -------------------------------------------------------------------------------------------


def test_an_oco_is_placed_and_shown() -> None:
    client = listening()
    answer = client.order_list("oco", **SELL_PAIR, listClientOrderId="pair")
    assert (answer["contingencyType"], answer["listStatusType"], answer["listOrderStatus"]) == (
        "OCO", "EXEC_STARTED", "EXECUTING",
    )  # fmt: skip
    assert [order["clientOrderId"] for order in answer["orders"]] == ["stop", "target"]
    stop, target = answer["orderReports"]
    assert (stop["status"], stop["type"], stop["stopPrice"], stop["workingTime"]) == (
        "NEW", "STOP_LOSS", "98.50000000", -1,
    )  # fmt: skip
    assert (target["type"], target["orderListId"]) == ("LIMIT_MAKER", answer["orderListId"])
    assert client.balances()["BTC"] == ("1", "1")  # once for both
    assert client.story() == ["list EXEC_STARTED/EXECUTING", "NEW/NEW", "NEW/NEW", "funds BTC"]
    event = client.events()[0]
    assert (event["g"], event["c"], event["C"], event["r"]) == (answer["orderListId"], "OCO", "pair", "NONE")
    assert [entry["c"] for entry in event["O"]] == ["stop", "target"]
    [opened] = client.signed("GET", "openOrderList").json()
    assert opened == client.signed("GET", "orderList", "origClientOrderId=pair").json()
    assert [order["orderListId"] for order in client.signed("GET", "openOrders").json()] == [answer["orderListId"]] * 2


def test_the_trigger_of_one_order_expires_the_other() -> None:
    client = listening()
    placed = client.order_list("oco", **SELL_PAIR)
    client.market_trade("98.5", "1", sells=True)
    assert statuses(client, "stop", "target") == ["FILLED", "EXPIRED"]
    assert client.shown("target")["expiryReason"] == "OCO_TRIGGER"
    assert client.story()[4:] == [
        "EXPIRED/EXPIRED OCO_TRIGGER",
        "NEW/NEW",
        "TRADE/FILLED 1@99 taker",
        "list ALL_DONE/ALL_DONE",
        "funds BTC USDT",
    ]
    assert client.balances() == {"BTC": ("1", "0"), "USDT": ("10098.901", "0")}
    assert the_list(client, placed["orderListId"]) == ("ALL_DONE", "ALL_DONE")
    assert client.signed("GET", "openOrderList").json() == []
    [trade] = client.signed("GET", "myTrades", "symbol=BTCUSDT").json()
    assert trade["orderListId"] == placed["orderListId"]


def test_a_partial_fill_of_one_order_expires_the_other_and_the_list_ends_with_the_rest() -> None:
    client = listening()
    placed = client.order_list("oco", **SELL_PAIR)
    client.market_trade("102.5", "0.4", sells=False)
    assert statuses(client, "stop", "target") == ["EXPIRED", "PARTIALLY_FILLED"]
    assert client.story()[4:] == [
        "TRADE/PARTIALLY_FILLED 0.4@102 maker", "EXPIRED/EXPIRED OCO_TRIGGER", "funds BTC USDT",
    ]  # fmt: skip
    assert client.balances()["BTC"] == ("1", "0.6")
    assert the_list(client, placed["orderListId"]) == ("EXEC_STARTED", "EXECUTING")
    client.market_trade("103", "1", sells=False)
    assert client.story()[-3:] == ["TRADE/FILLED 0.6@102 maker", "list ALL_DONE/ALL_DONE", "funds BTC USDT"]
    assert client.balances()["BTC"] == ("1", "0")


def test_a_buy_oco_locks_the_larger_amount_and_frees_it_with_the_order_that_needs_it() -> None:
    client = listening()
    client.order_list(
        "oco", side="BUY", quantity="1", aboveType="STOP_LOSS_LIMIT", abovePrice="106", aboveStopPrice="104",
        aboveTimeInForce="GTC", belowType="LIMIT_MAKER", belowPrice="98",
    )  # fmt: skip
    assert client.balances()["USDT"] == ("9894", "106")
    client.market_trade("97.9", "0.5", sells=True)
    assert client.balances()["USDT"] == ("9902", "49")


def test_an_amended_pair_still_locks_what_its_dearer_order_needs() -> None:
    client = listening()
    client.order_list(
        "oco", side="BUY", quantity="1", aboveType="STOP_LOSS_LIMIT", abovePrice="90", aboveStopPrice="104",
        aboveTimeInForce="GTC", aboveClientOrderId="stop", belowType="LIMIT_MAKER", belowPrice="98",
    )  # fmt: skip
    assert client.balances()["USDT"] == ("9902", "98")
    client.amend("stop", "0.5", newClientOrderId="stop")
    assert client.balances()["USDT"] == ("9951", "49")
    client.market_trade("104", "1", sells=False)
    assert client.balances()["USDT"] == ("9955", "45")  # the dearer order expired


def test_a_take_profit_can_stand_for_the_limit_order_and_a_stop_can_trail() -> None:
    client = listening()
    client.order_list(
        "oco", side="SELL", quantity="1", aboveType="TAKE_PROFIT", aboveStopPrice="101", belowType="STOP_LOSS_LIMIT",
        belowPrice="90", belowTrailingDelta="200", belowTimeInForce="GTC", belowClientOrderId="stop",
        aboveClientOrderId="target",
    )  # fmt: skip
    client.market_trade("100.9", "1", sells=False)
    client.market_trade("98.8", "1", sells=True)
    assert statuses(client, "stop", "target") == ["FILLED", "EXPIRED"]


@pytest.mark.parametrize("how", ["order", "list", "all", "replace"])
def test_each_way_to_cancel_an_order_of_a_list_cancels_the_list(how: str) -> None:
    client = listening()
    placed = client.order_list("oco", **SELL_PAIR, listClientOrderId="pair")
    client.order("BUY LIMIT 1 @ 90 as other")
    match how:
        case "order":
            answer = client.signed(
                "DELETE", "order", "symbol=BTCUSDT&origClientOrderId=stop&newClientOrderId=undo"
            ).json()
        case "list":
            query = f"symbol=BTCUSDT&orderListId={placed['orderListId']}&newClientOrderId=undo"
            answer = client.signed("DELETE", "orderList", query).json()
        case "all":
            single, answer = client.signed("DELETE", "openOrders", "symbol=BTCUSDT").json()
            assert (single["origClientOrderId"], single["orderListId"]) == ("other", -1)
        case "replace":
            query = "symbol=BTCUSDT&side=SELL&type=LIMIT&quantity=1&price=103&timeInForce=GTC&newClientOrderId=next"
            both = client.signed(
                "POST", "order/cancelReplace",
                f"{query}&cancelReplaceMode=STOP_ON_FAILURE&cancelOrigClientOrderId=target&cancelNewClientOrderId=undo",
            ).json()  # fmt: skip
            answer = both["cancelResponse"]
            assert both["newOrderResponse"]["status"] == "NEW"
    assert (answer["listOrderStatus"], [order["status"] for order in answer["orderReports"]]) == (
        "ALL_DONE", ["CANCELED", "CANCELED"],
    )  # fmt: skip
    assert [order["origClientOrderId"] for order in answer["orderReports"]] == ["stop", "target"]
    assert len({order["clientOrderId"] for order in answer["orderReports"]}) == 1
    canceled = [event for event in client.events() if event.get("x") == "CANCELED" and event["g"] >= 0]
    assert [(event["C"], event["X"]) for event in canceled] == [("stop", "CANCELED"), ("target", "CANCELED")]
    assert "list ALL_DONE/ALL_DONE" in client.story()
    assert client.balances()["BTC"] == (("1", "1") if how == "replace" else ("2", "0"))


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        ({"aboveType": "STOP_LOSS", "aboveStopPrice": "103", "abovePrice": None}, -1197,
         "A stop loss order in a sell OCO must be below."),
        ({"belowType": "LIMIT_MAKER", "belowPrice": "98", "belowStopPrice": None, "aboveType": "TAKE_PROFIT",
          "abovePrice": None, "aboveStopPrice": "103"}, -1166, "A limit order in a sell OCO must be above."),
        ({"belowType": "TAKE_PROFIT"}, -1199, "A take profit order in a sell OCO must be above."),
        ({"belowType": "LIMIT_MAKER", "belowPrice": "98", "belowStopPrice": None}, -1168,
         "At least one OCO order must be contingent."),
        ({"aboveType": "MARKET", "abovePrice": None}, -1158, "Order type not supported in OCO."),
        ({"side": "BUY"}, -1196, "A stop loss order in a buy OCO must be above."),
        ({"belowStopPrice": "100.5"}, -2010, "The relationship of the prices for the orders is not correct."),
        ({"abovePrice": "99.5"}, -2010, "The relationship of the prices for the orders is not correct."),
        ({"belowStopPrice": None}, -1102,
         "Param 'belowStopPrice' or 'belowTrailingDelta' must be sent, but both were empty/null!"),
        ({"abovePrice": None}, -1102, "Mandatory parameter 'abovePrice' was not sent, was empty/null, or malformed."),
        ({"belowPrice": "98"}, -1106, "Parameter 'belowPrice' sent when not required."),
        ({"belowType": "STOP_LOSS_LIMIT", "belowPrice": "98", "belowTimeInForce": "IOC", "belowIcebergQty": "0.5"},
         -1160, "Parameter 'belowIcebergQty' is not supported if 'belowTimeInForce' is not GTC."),
        ({"quantity": "3"}, -2010, "Account has insufficient balance for requested action."),
        ({"belowClientOrderId": "target"}, -2010, "Duplicate order sent."),
        ({"aboveStrategyId": "1"}, -1020,
         "This operation is not supported: parameter 'aboveStrategyId' is not implemented by this simulated venue."),
        ({"abovePegPriceType": "PRIMARY_PEG"}, -1020,
         "This operation is not supported: parameter 'abovePegPriceType' is not implemented by this simulated venue."),
        ({"nonsense": "1"}, -1104, "Not all sent parameters were read; read '11' parameter(s) but was sent '12'."),
    ],
)  # fmt: skip
def test_an_oco_that_cannot_be_is_refused_and_changes_nothing(changes: dict, code: int, text: str) -> None:
    client = listening()
    fields = {name: value for name, value in {**SELL_PAIR, **changes}.items() if value is not None}
    assert client.order_list("oco", **fields) == {"code": code, "msg": text}
    assert client.signed("GET", "openOrders").json() == []
    assert client.balances() == {"BTC": ("2", "0"), "USDT": ("10000", "0")}
    assert client.story() == []


def test_a_buy_limit_must_be_below_and_a_buy_take_profit_too() -> None:
    client = listening()
    wrong = {"side": "BUY", "quantity": "1", "aboveType": "LIMIT_MAKER", "abovePrice": "102"}
    answer = client.order_list("oco", **wrong, belowType="TAKE_PROFIT", belowStopPrice="98")
    assert (answer["code"], answer["msg"]) == (-1165, "A limit order in a buy OCO must be below.")
    wrong = {"side": "BUY", "quantity": "1", "aboveType": "TAKE_PROFIT", "aboveStopPrice": "102"}
    answer = client.order_list("oco", **wrong, belowType="LIMIT_MAKER", belowPrice="98")
    assert (answer["code"], answer["msg"]) == (-1198, "A take profit order in a buy OCO must be below.")


def test_the_old_form_of_an_oco() -> None:
    client = listening()
    query = "symbol=BTCUSDT&side=SELL&quantity=1&price=102&stopPrice=98&stopLimitPrice=97&stopLimitTimeInForce=GTC"
    placed = client.signed("POST", "order/oco", f"{query}&limitClientOrderId=target&stopClientOrderId=stop").json()
    assert [(order["type"], order["clientOrderId"]) for order in placed["orderReports"]] == [
        ("STOP_LOSS_LIMIT", "stop"), ("LIMIT_MAKER", "target"),
    ]  # fmt: skip
    assert client.signed("POST", "order/oco", f"{query}&limitStrategyId=1").json()["code"] == -1020


# ---- OTO and OTOCO ---------------------------------------------------------------------------------


def test_a_pending_order_is_placed_when_the_working_order_is_filled() -> None:
    client = listening()
    pending = {"pendingType": "LIMIT", "pendingSide": "SELL", "pendingQuantity": "1", "pendingPrice": "103",
               "pendingTimeInForce": "GTC", "pendingClientOrderId": "exit"}  # fmt: skip
    answer = client.order_list("oto", **ENTRY, **pending)
    assert [report["status"] for report in answer["orderReports"]] == ["NEW", "PENDING_NEW"]
    assert answer["orderReports"][1]["workingTime"] == -1
    assert client.story() == ["list EXEC_STARTED/EXECUTING", "NEW/NEW", "NEW/PENDING_NEW", "funds BTC USDT"]
    assert client.balances() == {"BTC": ("1", "1"), "USDT": ("9900.5", "99.5")}
    assert [order["isWorking"] for order in client.signed("GET", "openOrders").json()] == [True, False]
    client.market_trade("99", "0.5", sells=True)
    assert statuses(client, "entry", "exit") == ["PARTIALLY_FILLED", "PENDING_NEW"]
    client.market_trade("99", "0.5", sells=True)
    assert statuses(client, "entry", "exit") == ["FILLED", "NEW"]
    assert client.story()[6:] == [
        "TRADE/FILLED 0.5@99.5 maker", "NEW/NEW", "list EXEC_STARTED/EXECUTING", "funds BTC USDT",
    ]  # fmt: skip
    client.market_trade("103.5", "2", sells=False)
    assert client.story()[-2] == "list ALL_DONE/ALL_DONE"
    assert client.balances() == {"BTC": ("1.999", "0"), "USDT": ("10003.397", "0")}


def test_the_answer_shows_a_pending_order_even_if_the_working_order_was_filled_at_once() -> None:
    client = listening()
    answer = client.order_list("oto", **{**ENTRY, "workingPrice": "101"}, pendingType="MARKET", pendingSide="SELL",
                               pendingQuantity="1", pendingClientOrderId="exit")  # fmt: skip
    assert [report["status"] for report in answer["orderReports"]] == ["FILLED", "PENDING_NEW"]
    assert [len(report["fills"]) for report in answer["orderReports"]] == [1, 0]
    assert client.shown("exit")["status"] == "FILLED"
    assert client.story() == [
        "list EXEC_STARTED/EXECUTING", "NEW/NEW", "NEW/PENDING_NEW", "TRADE/FILLED 1@101 taker", "NEW/NEW",
        "list EXEC_STARTED/EXECUTING", "TRADE/FILLED 1@99 taker", "list ALL_DONE/ALL_DONE", "funds BTC USDT",
    ]  # fmt: skip


def test_a_working_order_that_expires_expires_the_pending_ones() -> None:
    client = listening()
    answer = client.order_list("otoco", **{**ENTRY, "workingTimeInForce": "IOC"}, **PENDING_PAIR, pendingQuantity="1")
    assert [report["status"] for report in answer["orderReports"]] == ["EXPIRED", "EXPIRED", "EXPIRED"]
    assert client.shown("stop")["expiryReason"] == client.shown("target")["expiryReason"] == "OTO_PHASE_ONE_EXPIRED"
    assert client.balances() == {"BTC": ("2", "0"), "USDT": ("10000", "0")}
    assert client.story()[-2:] == ["list ALL_DONE/ALL_DONE", "funds BTC USDT"]


def test_a_bracket_lives_until_one_of_its_exits_is_filled() -> None:
    client = listening()
    client.order_list("otoco", **ENTRY, **PENDING_PAIR, pendingQuantity="1")
    assert client.balances()["BTC"] == ("1", "1")
    client.market_trade("99", "1", sells=True)
    assert statuses(client, "entry", "stop", "target") == ["FILLED", "NEW", "NEW"]
    client.market_trade("96.5", "1", sells=True)
    assert statuses(client, "entry", "stop", "target") == ["FILLED", "FILLED", "EXPIRED"]
    assert client.balances()["BTC"] == ("1.999", "0")


@pytest.mark.parametrize(
    ("bids", "last", "reason"),
    [("96x1", "96.9", "STOP_PRICE_WOULD_TRIGGER_IMMEDIATELY"), ("103x1", "101.5", "WOULD_MATCH_IMMEDIATELY")],
)
def test_pending_orders_that_cannot_be_placed_any_more_expire_as_rejected(bids: str, last: str, reason: str) -> None:
    client = listening()
    client.order_list("otoco", **ENTRY, **PENDING_PAIR, pendingQuantity="1")
    client.market_trade("99", "0.5", sells=True)
    client.market_trade(last, "0.001", sells=False)
    client.market_levels(bids=f"99x0 98x0 {bids}", asks="101x0 102x0 103x0 105x9 99.5x1")
    assert statuses(client, "entry", "stop", "target") == ["FILLED", "EXPIRED", "EXPIRED"]
    ended = [event for event in client.events() if event.get("x") == "EXPIRED"]
    assert [(event["eR"], event["r"]) for event in ended] == [("REJECTED", reason)] * 2
    assert client.balances()["BTC"] == ("2.999", "0")


def test_a_pending_market_buy_locks_its_estimate_and_pays_what_the_book_then_offers() -> None:
    client = listening()
    working = {"workingType": "LIMIT_MAKER", "workingSide": "SELL", "workingPrice": "102", "workingQuantity": "1"}
    client.order_list("oto", **working, pendingType="MARKET", pendingSide="BUY", pendingQuantity="1")
    assert client.balances()["USDT"] == ("9899", "101")
    client.market_levels(asks="101x0")
    client.market_trade("103", "5", sells=False)
    assert client.balances() == {"BTC": ("1.999", "0"), "USDT": ("9999.898", "0")}


def test_cancel_of_the_working_order_cancels_the_pending_ones() -> None:
    client = listening()
    client.order_list("otoco", **ENTRY, **PENDING_PAIR, pendingQuantity="1")
    answer = client.cancel("entry")
    assert [order["origClientOrderId"] for order in answer["orderReports"]] == ["entry", "stop", "target"]
    assert client.balances() == {"BTC": ("2", "0"), "USDT": ("10000", "0")}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"workingType": "MARKET", "workingPrice": None, "workingTimeInForce": None}, -1130),
        ({"workingTimeInForce": None}, -1102),
        ({"pendingBelowStopPrice": "103"}, -2010),
        ({"pendingQuantity": "2.5"}, -2010),
        ({"workingQuantity": None}, -1102),
        ({"pendingAbovePrice": "102.001"}, -1013),
    ],
)
def test_an_otoco_that_cannot_be_is_refused(changes: dict, code: int) -> None:
    client = listening()
    fields = {**ENTRY, **PENDING_PAIR, "pendingQuantity": "1", **changes}
    sent = {name: value for name, value in fields.items() if value is not None}
    assert client.order_list("otoco", **sent)["code"] == code
    assert client.balances() == {"BTC": ("2", "0"), "USDT": ("10000", "0")}


# ---- OPO and OPOCO: the working order pays ---------------------------------------------------------


def test_what_the_working_order_brings_is_locked_for_the_orders_that_it_pays() -> None:
    client = listening(overrides={"BTCUSDT": {"lot_size": 10_000}})
    answer = client.order_list("opoco", **ENTRY, **PENDING_PAIR)
    assert [report["status"] for report in answer["orderReports"]] == ["NEW", "PENDING_NEW", "PENDING_NEW"]
    assert "origQty" not in answer["orderReports"][1]
    assert client.balances()["BTC"] == ("2", "0")  # nothing is locked for the pending orders
    client.market_trade("99", "0.4", sells=True)
    assert client.balances()["BTC"] == ("1.9996", "0.4")  # the fee comes out of the free balance
    assert client.amend("stop", "0.1")["msg"] == "Order amend (pending OPO order) is not supported."
    client.market_trade("99", "0.6", sells=True)
    assert [short(client.shown(name)["origQty"]) for name in ("stop", "target")] == ["1", "1"]
    assert client.balances()["BTC"] == ("1.999", "1")
    client.market_trade("102.5", "1", sells=False)
    assert statuses(client, "stop", "target") == ["EXPIRED", "FILLED"]
    assert client.balances()["BTC"] == ("1.999", "0")


def test_without_other_funds_a_paid_order_sells_the_whole_lots_of_what_is_left_after_the_fee() -> None:
    client = listening(overrides={"BTCUSDT": {"lot_size": 1_000_000}})
    client.order("SELL LIMIT 2 @ 110")
    client.order_list("opo", **ENTRY, pendingType="LIMIT", pendingSide="SELL", pendingPrice="103",
                      pendingTimeInForce="GTC", pendingClientOrderId="exit")  # fmt: skip
    client.market_trade("99", "1", sells=True)
    assert short(client.shown("exit")["origQty"]) == "0.99"
    assert client.balances()["BTC"] == ("0.009", "2.99")


def test_a_list_that_is_canceled_half_way_keeps_what_it_bought() -> None:
    client = listening()
    client.order_list("opoco", **ENTRY, **PENDING_PAIR)
    client.market_trade("99", "0.4", sells=True)
    client.cancel("stop")
    assert client.balances() == {"BTC": ("2.3996", "0"), "USDT": ("9960.2", "0")}


def test_a_paid_list_buys_first_and_sells_then() -> None:
    client = listening()
    assert client.order_list("opoco", **{**ENTRY, "workingSide": "SELL"}, **PENDING_PAIR)["code"] == -1222
    wrong = {"pendingType": "MARKET", "pendingSide": "BUY"}
    assert client.order_list("opo", **ENTRY, **wrong)["code"] == -1223
    assert client.order_list("opo", **ENTRY, **{**wrong, "pendingSide": "SELL"}, pendingQuantity="1")["code"] == -1104


# ---- all lists, limits, amendments, the WebSocket API ----------------------------------------------


def test_all_lists_page_by_id_and_time() -> None:
    client = listening()
    ids = []
    for number in range(3):
        client.wait(10)
        prices = {
            "abovePrice": f"{104 + number}",
            "aboveClientOrderId": f"t{number}",
            "belowClientOrderId": f"s{number}",
        }
        ids.append(client.order_list("oco", **{**SELL_PAIR, "quantity": "0.5", **prices})["orderListId"])
    client.cancel("t0")
    every = client.signed("GET", "allOrderList").json()
    assert [each["orderListId"] for each in every] == ids
    paged = client.signed("GET", "allOrderList", f"fromId={ids[1]}&limit=1").json()
    assert [each["orderListId"] for each in paged] == ids[1:2]
    assert [each["orderListId"] for each in client.signed("GET", "allOrderList", "limit=1").json()] == ids[2:]
    start = every[2]["transactionTime"]
    since = client.signed("GET", "allOrderList", f"startTime={start}").json()
    assert [each["orderListId"] for each in since] == [ids[0], ids[2]]  # the time of their last change
    assert client.signed("GET", "allOrderList", f"fromId=1&startTime={start}").json()["code"] == -1128
    assert [each["orderListId"] for each in client.signed("GET", "openOrderList").json()] == ids[1:]


def test_unknown_lists() -> None:
    client = listening()
    assert client.signed("GET", "orderList", "orderListId=77").json()["code"] == -2013
    assert client.signed("GET", "orderList").json()["code"] == -1102
    assert client.signed("DELETE", "orderList", "symbol=BTCUSDT&listClientOrderId=none").json()["code"] == -2011
    client.order_list("oco", **SELL_PAIR, listClientOrderId="pair")
    again = {**SELL_PAIR, "aboveClientOrderId": "a", "belowClientOrderId": "b", "quantity": "0.5"}
    assert client.order_list("oco", **again, listClientOrderId="pair")["msg"] == "Duplicate order sent."
    client.key, client.secret = OTHER_KEY, OTHER_SECRET
    assert client.signed("GET", "orderList", "origClientOrderId=pair").json()["code"] == -2013
    assert client.signed("GET", "openOrderList").json() == []


def test_the_limits_count_orders_and_lists() -> None:
    client = listening(overrides={"BTCUSDT": {"order_lists_max": 1}}, orders_10s_max=4)
    client.order_list("oco", **{**SELL_PAIR, "quantity": "0.5"})
    names = {"aboveClientOrderId": "a", "belowClientOrderId": "b", "quantity": "0.5"}
    assert client.order_list("oco", **{**SELL_PAIR, **names})["msg"] == "Filter failure: MAX_NUM_ORDER_LISTS"
    usage = client.signed("GET", "rateLimit/order").json()
    assert usage[0]["count"] == 2
    client = listening(overrides={"BTCUSDT": {"orders_max": 1}})
    assert client.order_list("oco", **SELL_PAIR)["msg"] == "Filter failure: MAX_NUM_ORDERS"
    client = listening(overrides={"BTCUSDT": {"forbidden": ("ocoAllowed",)}})
    assert client.order_list("oco", **SELL_PAIR)["msg"] == "OCO orders are not supported for this symbol"


def test_an_amendment_reduces_both_orders_of_a_pair() -> None:
    client = listening()
    client.order_list("oco", **SELL_PAIR)
    answer = client.amend("target", "0.4", newClientOrderId="smaller")
    assert (answer["listStatus"]["listOrderStatus"], short(answer["amendedOrder"]["qty"])) == ("EXECUTING", "0.4")
    assert [order["clientOrderId"] for order in answer["listStatus"]["orders"]] == ["stop", "smaller"]
    assert client.story()[4:] == ["REPLACED/NEW", "REPLACED/NEW", "list UPDATED/EXECUTING", "funds BTC"]
    assert client.balances()["BTC"] == ("1.6", "0.4")
    [row] = client.signed(
        "GET", "order/amendments", f"symbol=BTCUSDT&orderId={answer['amendedOrder']['orderId']}"
    ).json()
    assert (row["origClientOrderId"], row["newClientOrderId"], short(row["newQty"])) == ("target", "smaller", "0.4")
    client.market_trade("98", "1", sells=True)
    assert short(client.shown("stop")["executedQty"]) == "0.4"


def test_a_pending_order_is_amended_alone() -> None:
    client = listening()
    client.order_list("oto", **ENTRY, pendingType="MARKET", pendingSide="SELL", pendingQuantity="1",
                      pendingClientOrderId="exit")  # fmt: skip
    answer = client.amend("exit", "0.5", newClientOrderId="exit")
    assert (answer["amendedOrder"]["status"], "workingTime" in answer["amendedOrder"]) == ("PENDING_NEW", False)
    assert client.balances() == {"BTC": ("1.5", "0.5"), "USDT": ("9900.5", "99.5")}
    client.market_trade("99", "1", sells=True)
    assert short(client.shown("exit")["executedQty"]) == "0.5"


def test_lists_over_the_websocket_api() -> None:
    client = listening()
    stamp = client.now_ns // 1_000_000

    def call(method: str, **fields: Any) -> Any:
        params = client.ws_sign({"apiKey": client.key, "timestamp": stamp, **fields})
        return client.ws(PRIVATE, method, params)

    placed = call("orderList.place.oco", symbol="BTCUSDT", **SELL_PAIR)
    assert (placed["status"], placed["result"]["listOrderStatus"]) == (200, "EXECUTING")
    list_id = placed["result"]["orderListId"]
    assert call("orderList.status", orderListId=list_id)["result"]["orderListId"] == list_id
    assert len(call("openOrderLists.status")["result"]) == len(call("allOrderLists")["result"]) == 1
    assert call("orderList.cancel", symbol="BTCUSDT", orderListId=list_id)["result"]["listOrderStatus"] == "ALL_DONE"
    old = {"side": "SELL", "quantity": "1", "price": "102", "stopPrice": "98"}
    assert call("orderList.place", symbol="BTCUSDT", **old)["status"] == 200
    assert call("sor.order.place", symbol="BTCUSDT")["error"]["code"] == -1020


def test_two_legs_never_trade_together_and_an_own_taker_cannot_revive_a_list() -> None:
    """A taker that fills a working order releases its pending orders after the taker's own matches."""
    client = Client(quiet(bids="90x1", asks="110x1"))
    client.market_trade("100", "1", sells=True)
    client.order_list("otoco", **ENTRY, **PENDING_PAIR, pendingQuantity="1")
    client.key, client.secret = OTHER_KEY, OTHER_SECRET
    assert client.order("SELL LIMIT 1 @ 99.5 as theirs")["status"] == "FILLED"
    client.key, client.secret = "first-key", "first-secret"
    assert statuses(client, "entry", "stop", "target") == ["FILLED", "NEW", "NEW"]


# ---- the engine reads them -------------------------------------------------------------------------


def read(method: str, path: str, body: bytes) -> tuple[Any, ...]:
    unsigned = Unsigned(Transport.REST, method, f"/api/v3/{path}", (), signed=True)
    answer, *reports = decode_answer(unsigned, "binance_spot:BTCUSDT", 200, {}, body)
    assert isinstance(answer, Answer)
    assert answer.outcome is Outcome.DONE, (answer, reports)
    return tuple(reports)


def test_the_engine_reads_the_answers_and_events_of_lists() -> None:
    client = listening()
    client.order_list("oco", **SELL_PAIR)
    [opened] = read("GET", "openOrders", client.signed("GET", "openOrders").body)
    assert [order.client_order_id for order in opened.orders] == ["stop", "target"]
    canceled = client.signed("DELETE", "order", "symbol=BTCUSDT&origClientOrderId=stop")
    reports = read("DELETE", "order", canceled.body)
    assert [(order.client_order_id, order.status) for order in reports] == [
        ("stop", VenueStatus.CANCELED), ("target", VenueStatus.CANCELED),
    ]  # fmt: skip
    client.order_list("opoco", **ENTRY, **PENDING_PAIR)
    client.order("SELL STOP_LOSS 0.1 as trailing", trailingDelta=100)
    [opened] = read("GET", "openOrders", client.signed("GET", "openOrders").body)
    assert {order.status for order in opened.orders} == {VenueStatus.OPEN}
    assert len(read("DELETE", "openOrders", client.signed("DELETE", "openOrders", "symbol=BTCUSDT").body)) == 4
    client.order_list("otoco", **ENTRY, **PENDING_PAIR, pendingQuantity="1")
    client.market_trade("99", "1", sells=True)
    client.market_trade("96", "1", sells=True)
    codec = SpotAccount()
    frames = [frame for frame in client.frames(PRIVATE) if "event" in frame]
    events = [event for frame in frames for event in codec.decode_private(json.dumps(frame).encode())]
    assert not [event for event in events if isinstance(event, Unrecognised)]
    last = {event.client_order_id: event.status for event in events if isinstance(event, OrderReport)}
    assert (last["entry"], last["stop"], last["target"]) == (
        VenueStatus.FILLED,
        VenueStatus.FILLED,
        VenueStatus.EXPIRED,
    )
