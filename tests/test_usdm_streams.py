"""Streams of the simulated USD-M futures: the routes, control messages, and the streams that the market does not carry."""

import json
from typing import Any

import pytest
from usdm_transcript import FuturesClient, answer, quiet_contracts

from engine.sim.binance_usdm.contract_filters import rules_for
from engine.sim.exchange.contract_rules import ContractRules
from engine.sim.units import units

BTC = "symbol=BTCUSDT"
MARKET, PUBLIC, PRIVATE = 21, 22, 900


def connected(*streams: str, route: str) -> FuturesClient:
    client = FuturesClient()
    assert client.venue.connect(MARKET, f"/{route}/stream?streams={'/'.join(streams)}", client.now_ns)
    return client


def control(client: FuturesClient, conn_id: int, method: str, *names: str) -> Any:
    message = {"id": 7, "method": method, "params": list(names)}
    client.venue.frame(conn_id, json.dumps(message).encode(), client.now_ns)
    client.wait(0)
    return [frame for frame in client.frames(conn_id) if "id" in frame][-1]


def test_a_partial_book_has_the_shape_of_a_diff() -> None:
    client = connected("btcusdt@depth5", "btcusdt@depth5@100ms", "btcusdt@depth@500ms", route="public")
    client.market_levels(bids="97x1")
    shown = {frame["stream"]: frame["data"] for frame in client.frames(MARKET)}
    assert {frame["e"] for frame in shown.values()} == {"depthUpdate"}
    assert shown["btcusdt@depth5"]["b"] == [["99", "3"], ["98", "50"], ["97", "1"]]
    assert shown["btcusdt@depth@500ms"]["b"] == [["97", "1"]]


def test_trades_make_the_streams_of_the_market_route() -> None:
    streams = ("btcusdt@aggTrade", "btcusdt@miniTicker", "btcusdt@ticker", "btcusdt@kline_1m")
    client = connected(*streams, route="market")
    client.market_trade("100", "2", sells=True)
    shown = {frame["stream"]: frame["data"] for frame in client.frames(MARKET)}
    assert tuple(sorted(shown)) == tuple(sorted(streams))
    assert (shown["btcusdt@aggTrade"]["p"], shown["btcusdt@aggTrade"]["q"]) == ("100", "2")
    assert shown["btcusdt@kline_1m"]["k"]["v"] == "2.00000000"
    assert shown["btcusdt@ticker"]["c"] == "100.00000000"


def test_the_mark_price_comes_each_second_or_every_third() -> None:
    streams = ("btcusdt@markPrice", "btcusdt@markPrice@1s", "!markPrice@arr@1s")
    client = connected(*streams, route="market")
    client.wait(6_000)
    counts = {stream: sum(frame["stream"] == stream for frame in client.frames(MARKET)) for stream in streams}
    assert counts == {"btcusdt@markPrice": 2, "btcusdt@markPrice@1s": 6, "!markPrice@arr@1s": 6}
    [last] = [frame["data"] for frame in client.frames(MARKET) if frame["stream"] == "!markPrice@arr@1s"][-1]
    assert (last["e"], last["p"], last["i"], last["r"]) == (
        "markPriceUpdate", "100.00000000", "100.00000000", "0.00010000",
    )  # fmt: skip


def test_quotes_of_all_symbols_are_one_stream() -> None:
    client = connected("!bookTicker", route="public")
    quote = {"e": "bookTicker", "u": 5000, "s": "BTCUSDT", "b": "99", "B": "1", "a": "101", "A": "2", "T": 1, "E": 1}
    client.sim("POST", "feed", {"stream": "btcusdt@bookTicker", "data": quote})
    assert client.frames(MARKET)[0]["data"] == quote


def test_subscriptions_on_a_wrong_route_are_listed_and_silent() -> None:
    client = connected("btcusdt@aggTrade", route="market")
    assert control(client, MARKET, "SUBSCRIBE", "btcusdt@depth@100ms") == {"result": None, "id": 7}
    assert control(client, MARKET, "LIST_SUBSCRIPTIONS")["result"] == ["btcusdt@aggTrade", "btcusdt@depth@100ms"]
    client.market_levels(bids="97x1")
    assert [frame for frame in client.frames(MARKET) if "stream" in frame] == []
    control(client, MARKET, "UNSUBSCRIBE", "btcusdt@aggTrade")
    client.market_trade("100", "1", sells=True)
    assert [frame for frame in client.frames(MARKET) if "stream" in frame] == []


def test_a_listen_key_may_be_subscribed_by_a_message() -> None:
    client = FuturesClient()
    assert client.venue.connect(PRIVATE, "/private/stream", client.now_ns)
    key = client.raw("POST", "/fapi/v1/listenKey").json()["listenKey"]
    control(client, PRIVATE, "SUBSCRIBE", key)
    client.order("BUY LIMIT 1 @ 90 as told")
    assert client.events()[-1]["o"]["c"] == "told"
    client.raw("DELETE", "/fapi/v1/listenKey")
    client.order("BUY LIMIT 1 @ 90 as untold")
    assert client.events()[-1]["o"]["c"] == "told", "a deleted key is silent"


@pytest.mark.parametrize("target", ["/private/other", "/public", "/nothing/here/now", "/public/ws2/x"])
def test_an_unknown_target_is_not_there(target: str) -> None:
    client = FuturesClient()
    assert not client.venue.connect(1, target, client.now_ns)


# ---- rules that change, and those of other symbols


@pytest.mark.parametrize(
    ("rules", "order", "code"),
    [
        ({"status": "BREAK"}, "BUY LIMIT 1 @ 90", -4140),
        ({"orders_max": "0"}, "BUY LIMIT 1 @ 90", -2025),
        ({"price_max": "80"}, "BUY LIMIT 1 @ 90", -4002),
        ({"price_min": "95"}, "BUY LIMIT 1 @ 90", -4013),
        ({"quantity_min": "2"}, "BUY LIMIT 1 @ 90", -4004),
        ({"lot_size": "0.5", "quantity_min": "0.5"}, "BUY LIMIT 1 @ 90", None),
        ({"lot_size": "2"}, "BUY LIMIT 2 @ 90", -4023),
    ],
)
def test_rules_may_change_while_the_venue_runs(rules: dict[str, str], order: str, code: int | None) -> None:
    client = FuturesClient()
    client.fault(action="change_rules", symbol="BTCUSDT", rules=rules)
    assert client.order(order).get("code") == code


def test_an_account_that_may_not_trade_may_close() -> None:
    client = FuturesClient()
    client.order("BUY MARKET 1")
    client.fault(action="allow_trading", on=False)
    assert client.order("BUY LIMIT 1 @ 90")["code"] == -4087
    assert "orderId" in client.order("SELL MARKET 1", reduceOnly="true")


def test_a_symbol_without_known_numbers_gets_small_ones() -> None:
    rules = rules_for("SOLUSDC")
    assert (rules.base, rules.quote, rules.settles_in, rules.notional_min) == ("SOL", "USDC", "USDC", units("5"))
    with pytest.raises(ValueError, match="cannot separate base from quote"):
        rules_for("XYZ")


def test_price_and_quantity_have_other_precisions_than_tick_and_step() -> None:
    """Trap 7 of the fact sheet: pricePrecision is 2, the tick 0.1."""
    [info] = FuturesClient().get("exchangeInfo")["symbols"]
    tick = next(each["tickSize"] for each in info["filters"] if each["filterType"] == "PRICE_FILTER")
    assert (info["pricePrecision"], info["quantityPrecision"], tick) == (2, 3, "0.1")


# ---- two contracts on one wallet


def test_cross_positions_are_closed_until_the_rest_is_safe() -> None:
    """The larger position loses; closing it at 90.4 leaves 44.67 for the smaller one, which stays."""
    client = FuturesClient(quiet_contracts(bids="99.9x500", asks="100x500"), overrides={
        "BTCUSDT": {"tick_size": units("0.1"), "price_min": units("0.1"), "notional_min": units("5"),
                    "price_multiplier_down": units("0.2"), "contract": ContractRules(liquidation_fee=0)},
    })  # fmt: skip
    client.listen()
    answer(client, "POST", "/fapi/v1/positionSide/dual", "dualSidePosition=true")
    client.order("BUY MARKET 100", positionSide="LONG")
    client.order("SELL MARKET 1", positionSide="SHORT")
    client.market_levels(bids="99.9x0 90.4x500")
    client.market_mark("90.2")
    assert client.position("LONG")["positionAmt"] == "0"
    assert client.position("SHORT")["positionAmt"] == "-1"


def test_leverage_and_isolated_margin_have_their_limits() -> None:
    client = FuturesClient()
    assert answer(client, "POST", "/fapi/v1/marginType", f"{BTC}&marginType=OTHER")["code"] == -1130
    answer(client, "POST", "/fapi/v1/marginType", f"{BTC}&marginType=ISOLATED")
    assert answer(client, "POST", "/fapi/v1/positionMargin", f"{BTC}&amount=1&type=1")["code"] == -4051, "no position"
    assert answer(client, "POST", "/fapi/v1/positionMargin", f"{BTC}&amount=1&type=3")["code"] == -1130
    client.order("BUY MARKET 1")
    assert answer(client, "POST", "/fapi/v1/leverage", f"{BTC}&leverage=10")["code"] == -2028
    assert answer(client, "POST", "/fapi/v1/leverage", f"{BTC}&leverage=30")["leverage"] == 30
    wrong = f"{BTC}&amount=1&type=1&positionSide=LONG"
    assert answer(client, "POST", "/fapi/v1/positionMargin", wrong)["code"] == -4061
