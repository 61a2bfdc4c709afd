"""The simulated Hyperliquid by itself: its limits, its refusals with HTTP 200, its ids, its channels."""

import json
from typing import Any

import pytest

pytest.importorskip("eth_account", reason="eth-account is not installed: pip install verbatim-trading[hyperliquid]")

from perp_venue import ASSET, CLOID, COIN, PerpVenue, other_key

from engine.sim.hyperliquid.signers import ActionRefusedError, AddressLimits, Nonces

IOC, ALO = {"limit": {"tif": "Ioc"}}, {"limit": {"tif": "Alo"}}


def trigger(price: str, kind: str = "sl", *, market: bool = True) -> dict[str, Any]:
    return {"trigger": {"isMarket": market, "triggerPx": price, "tpsl": kind}}


@pytest.fixture
def venue() -> PerpVenue:
    return PerpVenue().begin()


@pytest.mark.parametrize(
    ("order", "text"),
    [
        ({"price": "12345.6"}, "Price must be divisible by tick size. asset=1"),
        ({"size": "0.0000001"}, "Order has invalid size. asset=1"),
        ({"size": "0"}, "Order has zero size. asset=1"),
        ({"size": "0.0001"}, "Order must have minimum value of $10. asset=1"),
        ({"price": "61000", "t": ALO}, "Post only order would have immediately matched, bbo was 59999.0@60000.0. asset=1"),
        ({"t": IOC}, "Order could not immediately match against any resting orders. asset=1"),
        ({"size": "1000"}, "Insufficient margin to place order. asset=1"),
        ({"price": "200000"}, "Order price cannot be more than 80% away from the reference price asset=1"),
        ({"buy": False, "price": "61000", "r": True}, "Reduce only order would increase position. asset=1"),
        ({"t": trigger("50000"), "buy": True}, "Invalid TP/SL price. asset=1"),
        ({"a": 99}, "Invalid or delisted asset. asset=99"),
    ],
)  # fmt: skip
def test_an_order_is_refused_inside_an_answer_that_is_ok(venue: PerpVenue, order: dict[str, Any], text: str) -> None:
    assert venue.order(**order) == {"error": text}


def test_results_of_a_batch_are_in_the_order_of_the_request(venue: PerpVenue) -> None:
    wire = {"a": ASSET, "b": True, "p": "50000", "s": "0.01", "r": False, "t": {"limit": {"tif": "Gtc"}}}
    orders = [wire, {**wire, "p": "12345.6"}, {**wire, "p": "60000", "t": IOC, "c": CLOID}]
    answer = venue.act({"type": "order", "orders": orders, "grouping": "na"})
    statuses = answer["response"]["data"]["statuses"]
    assert [next(iter(each)) for each in statuses] == ["resting", "error", "filled"]
    assert statuses[2]["filled"] == {"oid": 1_000_002, "totalSz": "0.01", "avgPx": "60000.0", "cloid": CLOID}


def test_a_part_of_an_ioc_order_is_filled_and_its_rest_has_ended() -> None:
    venue = PerpVenue(balances={"USDC": "1000000"}).begin()
    filled = venue.order(price="60000", size="60", t=IOC)["filled"]
    assert filled["totalSz"] == "50.0"  # all that the book has
    [row] = venue.ask("historicalOrders")
    assert (row["status"], row["order"]["sz"], row["order"]["origSz"]) == ("canceled", "10.0", "60.0")


def test_a_signature_covers_the_venues_own_spelling_of_an_action(venue: PerpVenue) -> None:
    """Zeros at the end of a number, or names in another order, are another action: another address is recovered."""
    wire = {"a": ASSET, "b": True, "p": "50000.0", "s": "0.01", "r": False, "t": {"limit": {"tif": "Gtc"}}}
    for action in (
        {"type": "order", "orders": [wire], "grouping": "na"},
        {"grouping": "na", "orders": [{**wire, "p": "50000"}], "type": "order"},
    ):
        answer = venue.act(action)
        assert answer["status"] == "err"
        assert answer["response"].startswith("User or API Wallet 0x")


def test_keys_that_nobody_approved_and_bodies_of_another_form_are_refused(venue: PerpVenue) -> None:
    action = {"type": "cancel", "cancels": [{"a": ASSET, "o": 1}]}
    _, answer = venue.post("/exchange", venue.signed(action, key=other_key()).body)
    assert answer["response"].endswith("does not exist.")
    text = "Failed to deserialize the JSON body into the target type"
    assert venue.post("/exchange", {"action": action}) == (422, text)
    assert venue.post("/exchange", b"{") == (422, text)
    assert venue.post("/info", {"type": "noSuchType"}) == (422, text)
    assert venue.post("/info", {"type": "openOrders"}) == (422, text)
    body = json.loads(venue.signed(action).body)
    body["signature"]["r"] = "0x0"
    assert venue.post("/exchange", body)[1]["response"] == "Unable to recover signer."


def test_a_stale_action_is_refused_and_costs_five(venue: PerpVenue) -> None:
    sent = venue.signed({"type": "noop"}).body
    before = venue.ask("userRateLimit")["nRequestsUsed"]
    venue.begin(6)
    _, answer = venue.post("/exchange", sent)
    assert answer["response"].startswith("Action expired")
    assert venue.ask("userRateLimit")["nRequestsUsed"] == before + 5


def test_nonces_are_kept_by_signer_the_hundred_highest() -> None:
    nonces, now_ms = Nonces(), 10**12
    for nonce in range(now_ms, now_ms + 100):
        nonces.use("a", nonce, now_ms)
    nonces.use("b", now_ms, now_ms)  # another signer
    for nonce, text in (
        (now_ms + 5, "duplicate nonce"),
        (now_ms - 1, "nonce too low"),
        (now_ms + 2 * 86_400_000, "too far"),
        (now_ms - 3 * 86_400_000, "too far"),
    ):
        with pytest.raises(ActionRefusedError, match=text):
            nonces.use("a", nonce, now_ms)
    nonces.use("a", now_ms + 100, now_ms)


def test_an_address_that_used_up_its_actions_makes_one_in_ten_seconds_and_cancels_go_on() -> None:
    limits = AddressLimits(100)
    limits.charge("a", 100, 0, 0, cancels=False)
    limits.charge("a", 1, 0, 0, cancels=False)
    with pytest.raises(ActionRefusedError, match=r"Too many cumulative requests sent \(102 > 100\) .* traded \$0\."):
        limits.charge("a", 1, 0, 10**9, cancels=False)
    limits.charge("a", 1, 0, 10**9, cancels=True)  # up to twice the limit
    limits.charge("a", 1, 0, 10**10, cancels=False)
    limits.charge("a", 50, 1_000, 10**10, cancels=False)  # a dollar that was traded is an action more


def test_an_address_of_the_network_has_1200_of_weight_a_minute(venue: PerpVenue) -> None:
    answers = [venue.post("/info", {"type": "userFees", "user": venue.address})[0] for _ in range(70)]
    assert answers.count(429) >= 9  # 20 each
    venue.begin(60)
    assert venue.post("/info", {"type": "userFees", "user": venue.address})[0] == 200


def test_all_orders_are_canceled_at_the_scheduled_time(venue: PerpVenue) -> None:
    venue.order()
    now_ms = venue.now_ns // 1_000_000
    assert venue.act({"type": "scheduleCancel", "time": now_ms + 4_000})["status"] == "err"
    assert venue.act({"type": "scheduleCancel", "time": now_ms + 6_000})["status"] == "ok"
    assert len(venue.begin(5).ask("openOrders")) == 1
    assert venue.begin(2).ask("openOrders") == []


def test_a_stop_keeps_its_id_when_the_mark_price_triggers_it(venue: PerpVenue) -> None:
    venue.order(price="61000", t=IOC)
    oid = venue.order(buy=False, price="50000", r=True, t=trigger("59000"), cloid=CLOID)["resting"]["oid"]
    assert venue.ask("orderStatus", oid=CLOID)["order"]["status"] == "open"
    venue.move("58000")
    venue.begin(4)
    told = venue.ask("orderStatus", oid=oid)["order"]
    assert (told["status"], told["order"]["oid"], told["order"]["cloid"]) == ("filled", oid, CLOID)
    assert venue.position() == 0


def test_a_liquidation_ends_orders_and_is_marked_in_its_fills() -> None:
    venue = PerpVenue(balances={"USDC": "1000"}).begin()
    venue.order(price="60000", size="0.3", t=IOC)  # 18,000 dollars at leverage 20
    oid = venue.order(price="50000", size="0.001")["resting"]["oid"]
    venue.move("57000")
    venue.begin(4)
    assert venue.position() == 0
    assert "liquidation" in venue.ask("userFills")[0]
    assert venue.ask("orderStatus", oid=oid)["order"]["status"] == "liquidatedCanceled"


def test_own_orders_never_trade_with_each_other_the_resting_one_is_canceled() -> None:
    venue = PerpVenue(balances={"USDC": "1000000"}).begin()
    rests = venue.order(buy=False, price="60001", size="0.01")["resting"]["oid"]
    venue.order(price="60001", size="60", t=IOC)
    assert venue.ask("orderStatus", oid=rests)["order"]["status"] == "selfTradeCanceled"
    assert all(row["oid"] != rests for row in venue.ask("userFills"))


# ---- channels


def frames(venue: PerpVenue, conn_id: int) -> list[Any]:
    return [json.loads(out.frame) for out in venue.sim.advance(venue.now_ns) if out.conn_id == conn_id and out.frame]


def test_channels_are_acknowledged_and_bad_subscriptions_named(venue: PerpVenue) -> None:
    assert not venue.sim.connect(99, "/nothing", venue.now_ns)
    assert venue.sim.connect(1, "/ws", venue.now_ns)

    def send(message: Any) -> list[Any]:
        venue.sim.frame(1, message if isinstance(message, bytes) else json.dumps(message).encode(), venue.now_ns)
        return frames(venue, 1)

    book = {"type": "l2Book", "coin": COIN}
    [acknowledged, first] = send({"method": "subscribe", "subscription": book})
    assert acknowledged == {"channel": "subscriptionResponse", "data": {"method": "subscribe", "subscription": book}}
    assert first["channel"] == "l2Book"
    [again] = send({"method": "subscribe", "subscription": book})
    assert again["data"].startswith("Already subscribed: ")
    for wrong in (
        {"type": "l2Book", "coin": "NOPE"},
        {"type": "webData2", "user": venue.address},
        {"type": "userFills"},
    ):
        [refused] = send({"method": "subscribe", "subscription": wrong})
        assert refused["data"].startswith("Invalid subscription ")
    assert send({"method": "ping"}) == [{"channel": "pong"}]
    assert send(b"no json")[0]["channel"] == "error"
    assert send({"method": "shout"})[0]["channel"] == "error"
    [ended] = send({"method": "unsubscribe", "subscription": book})
    assert ended["data"]["method"] == "unsubscribe"
    query = {"type": "info", "payload": {"type": "allMids"}}
    [posted] = send({"method": "post", "id": 7, "request": query})
    assert posted["data"]["id"] == 7
    assert posted["data"]["response"]["payload"]["data"] == {COIN: "59999.5"}
    assert send({"method": "post", "id": 8, "request": {"type": "action"}})[0]["channel"] == "error"  # without the id


def test_the_account_is_shown_by_the_other_queries(venue: PerpVenue) -> None:
    venue.order(price="60000", t=IOC)
    end_ms = venue.now_ns // 1_000_000
    assert venue.ask("metaAndAssetCtxs")[1][ASSET]["markPx"] == "60000.0"
    assert venue.ask("spotMeta") == {"tokens": [], "universe": []}
    assert venue.ask("spotClearinghouseState") == {"balances": []}
    assert venue.ask("userFees")["userCrossRate"] == "0.00045"
    assert venue.ask("recentTrades", coin=COIN)[-1]["coin"] == COIN
    assert venue.ask("fundingHistory", coin=COIN, startTime=0) == []
    assert venue.ask("userFillsByTime", startTime=0, endTime=end_ms)[0]["dir"] == "Open Long"
    assert venue.ask("userFillsByTime", startTime=0, endTime=1) == []
    candles = venue.ask("candleSnapshot", req={"coin": COIN, "interval": "1m", "startTime": 0, "endTime": end_ms})
    assert candles[-1]["s"] == COIN
    venue.move_balance("USDC", "10")
    assert venue.ask("userNonFundingLedgerUpdates", startTime=0)[0]["delta"] == {"type": "deposit", "usdc": "10.0"}
    assert venue.ask("userRole") == {"role": "user"}
    assert venue.post("/info", {"type": "userRole", "user": "0x" + "0" * 40})[1] == {"role": "missing"}
    assert venue.post("/info", {"type": "clearinghouseState", "user": "0x" + "0" * 40})[1]["withdrawable"] == "0.0"
    assert venue.post("/nowhere", {})[0] == 404
