"""Iceberg orders, self-trade prevention and quote quantities at the simulated venue (rest-api.md, filters.md, stp_faq.md)."""

import pytest
from sim_transcript import OTHER_KEY, OTHER_SECRET, Client, quiet, short


def test_a_trade_at_an_icebergs_price_fills_its_visible_part_and_the_next_part_queues_anew() -> None:
    client = Client()
    client.listen()
    placed = client.order("BUY LIMIT 1 @ 98 as mine", icebergQty="0.4", newOrderRespType="RESULT")
    assert placed["icebergQty"] == "0.40000000"
    client.market_trade("98", "5.3", sells=True)  # 5 were before it
    assert short(client.shown("mine")["executedQty"]) == "0.3"
    client.market_trade("98", "0.5", sells=True)
    assert short(client.shown("mine")["executedQty"]) == "0.4"
    client.market_trade("98", "0.5", sells=True)  # the level still shows 5: they are before the next part
    assert short(client.shown("mine")["executedQty"]) == "0.4"
    client.market_trade("97.9", "1", sells=True)  # a trade beyond the price has eaten all of it
    assert client.shown("mine")["status"] == "FILLED"
    assert {event["F"] for event in client.events() if event["e"] == "executionReport"} == {"0.40000000"}


def test_hidden_parts_trade_after_all_that_is_visible_at_their_price() -> None:
    client = Client(quiet(bids="90x1", asks="110x1"))
    client.order("SELL LIMIT 1 @ 100 as iceberg", icebergQty="0.3")
    client.order("SELL LIMIT 0.5 @ 100 as plain")
    client.key, client.secret = OTHER_KEY, OTHER_SECRET
    assert client.order("BUY MARKET 0.8")["status"] == "FILLED"
    client.key, client.secret = "first-key", "first-secret"
    assert (short(client.shown("iceberg")["executedQty"]), client.shown("plain")["status"]) == ("0.3", "FILLED")


@pytest.mark.parametrize(
    ("order", "more", "code", "text"),
    [
        ("BUY LIMIT 1 @ 90", {"icebergQty": "1"}, -2010, "IcebergQty exceeds QTY."),
        ("BUY LIMIT 1.01 @ 90", {"icebergQty": "0.01"}, -1013, "Filter failure: ICEBERG_PARTS"),
        ("BUY LIMIT 1 @ 90", {"icebergQty": "0.000001"}, -1013, "Filter failure: LOT_SIZE"),
        ("BUY LIMIT 1 @ 90 IOC", {"icebergQty": "0.5"}, -2010, "Unsupported order combination"),
        ("BUY MARKET 1", {"icebergQty": "0.5"}, -1106, "Parameter 'icebergQty' sent when not required."),
    ],
)
def test_an_iceberg_that_cannot_be_is_refused(order: str, more: dict, code: int, text: str) -> None:
    assert Client().order(order, **more) == {"code": code, "msg": text}


def test_an_icebergs_visible_part_shrinks_only_below_the_amended_quantity() -> None:
    client = Client(quiet(bids="90x1", asks="110x1"))
    client.order("BUY LIMIT 1 @ 98 as mine", icebergQty="0.4")
    assert short(client.amend("mine", "0.5", newClientOrderId="mine")["amendedOrder"]["qty"]) == "0.5"
    client.market_trade("98", "1", sells=True)
    assert short(client.shown("mine")["executedQty"]) == "0.4"
    client.market_trade("98", "1", sells=True)
    assert client.shown("mine")["status"] == "FILLED"


@pytest.mark.parametrize(
    ("mode", "maker", "taker", "lost"),
    [
        ("NONE", "FILLED", "FILLED", []),
        ("EXPIRE_MAKER", "EXPIRED_IN_MATCH", "NEW", [("maker", "1")]),
        ("EXPIRE_TAKER", "NEW", "EXPIRED_IN_MATCH", [("taker", "1")]),
        ("EXPIRE_BOTH", "EXPIRED_IN_MATCH", "EXPIRED_IN_MATCH", [("maker", "1"), ("taker", "1")]),
        ("DECREMENT", "EXPIRED_IN_MATCH", "EXPIRED_IN_MATCH", [("maker", "1"), ("taker", "1")]),
        ("TRANSFER", "EXPIRED_IN_MATCH", "EXPIRED_IN_MATCH", [("maker", "1"), ("taker", "1")]),
    ],
)
def test_each_mode_of_self_trade_prevention(mode: str, maker: str, taker: str, lost: list) -> None:
    client = Client(quiet(bids="90x3", asks="110x1"))
    client.listen()
    client.order("BUY LIMIT 1 @ 100 as maker")
    placed = client.order("SELL LIMIT 1 @ 100 as taker", selfTradePreventionMode=mode)
    assert (client.shown("maker")["status"], client.shown("taker")["status"]) == (maker, taker)
    events = [event for event in client.events() if event.get("x") == "TRADE_PREVENTION"]
    assert [(event["c"], short(event["A"])) for event in events] == lost
    assert [event["U"] for event in events if event["c"] == "maker"] == [placed["orderId"]] * ("maker" in dict(lost))
    rows = client.signed("GET", "myPreventedMatches", f"symbol=BTCUSDT&orderId={placed['orderId']}").json()
    assert len(rows) == len(placed.get("preventedMatches", [])) == (mode != "NONE")
    if rows:
        [row] = rows
        assert (row["selfTradePreventionMode"], row["takerOrderId"]) == (
            "DECREMENT" if mode == "TRANSFER" else mode, placed["orderId"],
        )  # fmt: skip
        assert {name: short(row[f"{name}PreventedQuantity"]) for name in dict(lost)} == dict(lost)
        assert client.signed("GET", "myPreventedMatches", "symbol=BTCUSDT&preventedMatchId=0").json() == rows


def test_a_symbol_names_the_modes_that_it_allows() -> None:
    client = Client(overrides={"BTCUSDT": {"self_trade_modes": ("EXPIRE_MAKER",)}})
    refused = client.order("BUY LIMIT 1 @ 90", selfTradePreventionMode="NONE")
    text = "This symbol does not allow the specified self-trade prevention mode."
    assert refused == {"code": -1013, "msg": text}
    assert client.order("BUY LIMIT 1 @ 90", selfTradePreventionMode="OTHER")["code"] == -1130


def test_a_quote_quantity_needs_liquidity_and_prevention_ends_it_once() -> None:
    client = Client(quiet(bids="", asks=""))
    refused = client.order("BUY MARKET 1", quantity=None, quoteOrderQty="50")
    assert refused["msg"] == "Order book liquidity is less than symbol minimum quantity."
    client = Client(quiet(bids="90x3", asks="101x0.000005 110x1"), overrides={"BTCUSDT": {"lot_size": 1}})
    client.market_levels(asks="110x0")
    refused = client.order("BUY MARKET 1", quantity=None, quoteOrderQty="50")
    assert refused["msg"] == "Order book liquidity is less than `LOT_SIZE` filter minimum quantity."
    client = Client(quiet(bids="90x3", asks="99x0.5 120x1"))
    client.listen()
    client.order("SELL LIMIT 1 @ 100 as maker")
    taker = client.order("BUY MARKET 1 as taker", quantity=None, quoteOrderQty="99.5",
                         selfTradePreventionMode="EXPIRE_TAKER")  # fmt: skip
    assert (taker["status"], short(taker["executedQty"])) == ("EXPIRED_IN_MATCH", "0.5")
    assert client.balances()["USDT"] == ("9950.5", "0")
    ended = [event["X"] for event in client.events() if event.get("c") == "taker"]
    assert ended == ["NEW", "PARTIALLY_FILLED", "EXPIRED_IN_MATCH"]
