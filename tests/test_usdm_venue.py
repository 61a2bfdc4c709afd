"""The simulated USD-M futures: orders, fills, positions and the account's stream, as its fact sheet says."""

import gzip
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from usdm_transcript import FuturesClient, answer

from engine.live.venue_main import VenueOptions, VenueStartError, build
from engine.sim.binance.key_ring import signature
from engine.sim.binance_usdm import PROTOCOL
from engine.sim.wire import HttpRequest
from engine.venues.binance_futures.account import FuturesAccount
from verbatim.testing import VirtualVenue

BTC = "symbol=BTCUSDT"


def code(body: Any) -> int:
    return int(body["code"])


# ---- orders and fills


def test_a_market_buy_opens_and_a_market_sale_closes_with_realised_profit() -> None:
    """Bought 1 at 101 and 1 at 102, taker fee 0.0005; sold 2 at 99: P&L (99 - 101.5) * 2 = -5."""
    client = FuturesClient()
    client.listen()
    client.order("BUY MARKET 2")
    assert client.position()["entryPrice"] == "101.5"
    client.order("SELL MARKET 2")
    fees = ["0.0505", "0.051", "0.099"]
    assert client.story() == [
        "NEW/NEW",
        "ORDER 999.9495 1@101",
        "TRADE/PARTIALLY_FILLED 1@101 taker pnl 0",
        "ORDER 999.8985 2@101.5",
        "TRADE/FILLED 1@102 taker pnl 0",
        "NEW/NEW",
        "ORDER 994.7995 0@0",
        "TRADE/FILLED 2@99 taker pnl -5",
    ]
    trades = [event["o"] for event in client.events() if event["e"] == "ORDER_TRADE_UPDATE" and event["o"]["t"]]
    assert [trade["n"] for trade in trades] == fees
    assert client.position() is None, "a missing symbol is flat"
    assert client.wallet() == "994.7995"
    income = answer(client, "GET", "/fapi/v1/income")
    assert sum(float(row["income"]) for row in income) == pytest.approx(-5.2005)


def test_the_account_update_precedes_the_order_and_has_its_time() -> None:
    client = FuturesClient()
    client.listen()
    client.order("BUY MARKET 1")
    new, account, order, lite = client.events()
    assert (account["e"], order["e"], lite["e"]) == ("ACCOUNT_UPDATE", "ORDER_TRADE_UPDATE", "TRADE_LITE")
    assert account["T"] == order["T"] == lite["T"]
    assert (order["o"]["t"], lite["t"]) == (order["o"]["t"],) * 2
    assert "n" not in lite
    assert "X" not in lite
    assert new["o"]["x"] == "NEW"


def test_our_own_reader_understands_the_stream() -> None:
    client, codec = FuturesClient(), FuturesAccount(PROTOCOL, "/fapi/v1", "/fapi/v3", 5_000)
    client.listen()
    client.order("BUY MARKET 1 as mine")
    client.order("SELL LIMIT 1 @ 110 as other")
    client.cancel("other")
    found = [event for frame in client.events() for event in codec.decode_private(json.dumps(frame).encode())]
    names = [type(event).__name__ for event in found]
    assert names == ["OrderReport", "ContractReport", "WalletReport", "OrderReport", "OrderReport", "OrderReport"]


def test_a_flip_realises_the_closed_part_and_opens_at_the_new_price() -> None:
    client = FuturesClient()
    client.order("BUY MARKET 1")
    client.order("SELL MARKET 3")
    held = client.position()
    assert (held["positionAmt"], held["entryPrice"]) == ("-2", "99")


def test_a_resting_order_is_filled_as_maker_by_a_print_beyond_its_price() -> None:
    client = FuturesClient()
    client.listen()
    client.order("BUY LIMIT 1 @ 98.5 as low")
    client.market_trade("98.4", "1", sells=True)
    assert client.story()[-2:] == ["ORDER 999.9803 1@98.5", "TRADE/FILLED 1@98.5 maker pnl 0"]


def test_cancel_query_and_list() -> None:
    client = FuturesClient()
    client.order("BUY LIMIT 1 @ 90 as a")
    client.order("BUY LIMIT 1 @ 91 as b:1/x.y")
    assert [row["clientOrderId"] for row in answer(client, "GET", "/fapi/v1/openOrders")] == ["a", "b:1/x.y"]
    assert client.cancel("a")["status"] == "CANCELED"
    assert code(client.cancel("a")) == -2011
    assert answer(client, "GET", "/fapi/v1/order", f"{BTC}&origClientOrderId=a")["status"] == "CANCELED"
    assert code(answer(client, "GET", "/fapi/v1/openOrder", f"{BTC}&origClientOrderId=a")) == -2013
    assert answer(client, "DELETE", "/fapi/v1/allOpenOrders", BTC)["code"] == 200
    assert answer(client, "GET", "/fapi/v1/openOrders", BTC) == []
    assert answer(client, "DELETE", "/fapi/v1/allOpenOrders", BTC)["code"] == 200, "nothing to cancel is no error"


def test_an_order_that_ended_without_a_fill_is_forgotten_after_three_days() -> None:
    client = FuturesClient()
    client.order("BUY LIMIT 1 @ 90 as a")
    client.cancel("a")
    client.order("BUY MARKET 1 as b")
    for order in client.venue.exchange.orders.values():
        order.updated_ns -= 3 * 86_400_000_000_000 + 1
    assert answer(client, "GET", "/fapi/v1/order", f"{BTC}&origClientOrderId=b")["status"] == "FILLED"
    assert code(answer(client, "GET", "/fapi/v1/order", f"{BTC}&origClientOrderId=a")) == -2013


@pytest.mark.parametrize(
    ("order", "more", "expected"),
    [
        ("BUY LIMIT 1 @ 100.05", {}, -4014),
        ("BUY LIMIT 1 @ 100.123", {}, -1111),
        ("BUY LIMIT 1 @ 600", {}, -4016),
        ("SELL LIMIT 1 @ 1", {}, -4024),
        ("BUY LIMIT 0 @ 100", {}, -4003),
        ("BUY LIMIT 0.0001 @ 100", {}, -1111),
        ("BUY LIMIT 2000 @ 100", {}, -4005),
        ("BUY MARKET 200", {}, -4005),
        ("BUY LIMIT 0.04 @ 100", {}, -4164),
        ("BUY LIMIT 100 @ 100", {"reduceOnly": "true"}, -2022),
        ("BUY LIMIT 500 @ 100", {}, -2019),
        ("BUY LIMIT 1 @ 101 GTX", {}, -5022),
        ("BUY LIMIT 4 @ 102 FOK", {}, -5021),
        ("BUY STOP_MARKET 1", {"stopPrice": "110"}, -4120),
        ("BUY LIMIT 1 @ 100", {"stopPrice": "110"}, -1106),
        ("BUY LIMIT 1 @ 100", {"positionSide": "LONG"}, -4061),
        ("BUY LIMIT 1 @ 100", {"positionSide": "UP"}, -4060),
        ("BUY LIMIT 1 @ 100", {"priceMatch": "QUEUE"}, -5038),
        ("BUY LIMIT 1 @ 100 GTD", {}, -1102),
        ("BUY LIMIT 1 @ 100 GTD", {"goodTillDate": "1700000010000"}, -5040),
        ("BUY LIMIT 1 @ 100", {"closePosition": "true"}, -4136),
        ("BUY LIMIT 1 @ 100", {"newClientOrderId": "x" * 37}, -4015),
        ("BUY LIMIT 1 @ 100", {"newClientOrderId": "a b"}, -1100),
        ("BUY LIMIT 1 @ 100", {"icebergQty": "0.5"}, -1104),
        ("BUY OTHER 1", {}, -1116),
    ],
)
def test_a_wrong_order_is_refused_with_the_venues_code(order: str, more: dict[str, str], expected: int) -> None:
    client = FuturesClient()
    body = client.order(order, **more)
    assert code(body) == expected, body
    assert client.venue.exchange.orders == {}


def test_a_duplicate_client_id_is_placed_once() -> None:
    client = FuturesClient()
    client.order("BUY LIMIT 1 @ 90 as same")
    assert code(client.order("BUY LIMIT 1 @ 90 as same")) == -4116
    client.cancel("same")
    assert "orderId" in client.order("BUY LIMIT 1 @ 90 as same"), "a closed id is free again"


def test_an_ioc_remainder_expires_with_its_reason() -> None:
    client = FuturesClient()
    client.listen()
    client.order("BUY LIMIT 3 @ 102 IOC")
    client.order("BUY LIMIT 5 @ 102 IOC")
    assert client.story()[-1] == "EXPIRED/EXPIRED er 2"


def test_a_market_order_trades_within_five_percent_of_the_mark_price() -> None:
    """The mark price is 100: 103 is near enough, 106 is not."""
    client = FuturesClient()
    client.listen()
    client.market_levels(asks="103x0 106x40")
    client.wait(1_500)
    client.order("BUY MARKET 5")
    assert client.story()[-1] == "EXPIRED/EXPIRED er 9"
    assert client.position()["positionAmt"] == "3"


# ---- the account's stream and its key


def test_a_combined_private_stream_names_the_listen_key() -> None:
    client = FuturesClient()
    client.listen(form="stream")
    client.order("BUY LIMIT 1 @ 90")
    [frame] = client.frames(900)
    assert frame["data"]["e"] == "ORDER_TRADE_UPDATE"
    assert frame["stream"] == client.raw("POST", "/fapi/v1/listenKey").json()["listenKey"], "the key lives on"


def test_a_connection_may_want_some_events_alone() -> None:
    client = FuturesClient()
    key = client.raw("POST", "/fapi/v1/listenKey").json()["listenKey"]
    assert client.venue.connect(900, f"/private/ws?listenKey={key}&events=ACCOUNT_UPDATE", client.now_ns)
    client.order("BUY MARKET 1")
    assert [event["e"] for event in client.events()] == ["ACCOUNT_UPDATE"]


def test_a_listen_key_ends_after_an_hour_unless_it_is_extended() -> None:
    client = FuturesClient()
    client.listen()
    client.wait(1_800_000)
    assert client.raw("PUT", "/fapi/v1/listenKey").status == 200
    client.wait(1_860_000)
    client.order("BUY LIMIT 1 @ 90 as heard")
    assert client.events()[-1]["o"]["c"] == "heard"
    client.wait(3_600_000)
    assert client.events()[-1]["e"] == "listenKeyExpired"
    before = len(client.events())
    client.order("BUY LIMIT 1 @ 90 as unheard")
    assert len(client.events()) == before
    assert client.raw("PUT", "/fapi/v1/listenKey").json()["code"] == -1125


def test_a_stream_on_a_wrong_route_is_accepted_and_silent() -> None:
    client = FuturesClient()
    for conn_id, target in ((1, "/public/ws/btcusdt@depth@100ms"), (2, "/market/ws/btcusdt@depth@100ms"),
                            (3, "/ws/btcusdt@depth@100ms"), (4, "/stream?streams=btcusdt@depth@100ms")):  # fmt: skip
        assert client.venue.connect(conn_id, target, client.now_ns)
    client.market_levels(bids="97x1")
    assert [len(client.frames(conn_id)) for conn_id in (1, 2, 3, 4)] == [1, 0, 0, 0]


# ---- faults and the venue's own pages


def test_faults_strike_the_orders_events_inside_their_envelope() -> None:
    client = FuturesClient()
    client.listen()
    client.fault(action="drop_events", event="TRADE")
    client.fault(action="list_late", event="TRADE", ms=5_000)
    client.order("BUY MARKET 1 as mine")
    assert client.story() == ["NEW/NEW", "ORDER 999.9495 1@101"], "the fill's own event is lost"
    assert answer(client, "GET", "/fapi/v1/userTrades", BTC) == []
    client.wait(6_000)
    assert len(answer(client, "GET", "/fapi/v1/userTrades", BTC)) == 1
    client.fault(action="not_found_for", path="/fapi/v1/order", method="POST", ms=1_000)
    client.order("BUY LIMIT 1 @ 90 as hidden")
    assert code(answer(client, "GET", "/fapi/v1/order", f"{BTC}&origClientOrderId=hidden")) == -2013
    assert not client.venue.faults.unstruck()


def test_a_stopped_stream_stops_although_it_is_derived() -> None:
    client = FuturesClient()
    assert client.venue.connect(1, "/market/ws/btcusdt@aggTrade/btcusdt@markPrice@1s", client.now_ns)
    client.fault(action="stop_stream", stream="btcusdt@aggTrade")
    client.market_trade("100", "1", sells=True)
    client.wait(1_500)
    assert [frame["e"] for frame in client.frames(1)] == ["markPriceUpdate"]


def test_the_witness_has_positions_wallets_and_conditional_orders() -> None:
    client = FuturesClient()
    client.listen()
    client.order("BUY MARKET 2")
    client.algo("SELL STOP_MARKET 2 at 95 as stop")
    state = client.sim("GET", "state")
    [held] = state["positions"]
    assert (held["account"], held["quantity"], held["entry_price"]) == ("first", "2.00000000", "101.50000000")
    assert state["wallets"]["first"] == {"USDT": "999.89850000"}
    assert state["conditional_orders"][0]["client_algo_id"] == "stop"
    client.sim("POST", "deleveraging", {"symbol": "BTCUSDT", "quantity": "1", "price": "99"})
    assert client.story()[-1] == "CALCULATED/FILLED 1@99 taker pnl -2.5"
    too_much = '{"symbol": "BTCUSDT", "quantity": "5", "price": "99"}'
    assert client.raw("POST", "/sim/deleveraging", body=too_much).status == 400


# ---- signing (fact sheet, section 2)

SECRET = "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9"
STAMP = "&recvWindow=5000&timestamp=1591702613943"


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (
            f"symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC{STAMP}",
            "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9",
        ),
        (
            f"symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTCquantity=1&price=9000{STAMP}",
            "30baaf0fab549bbeda7f5ef201898b34122da25fd23c646cac2c529aebe670a4",
        ),
    ],
)
def test_known_signatures(payload: str, expected: str) -> None:
    assert signature(SECRET, payload.encode()) == expected


# ---- limits


def test_every_order_counts_and_the_answer_says_how_many() -> None:
    client = FuturesClient(orders_10s_max=2)
    first = client.signed("POST", "order", "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=1")
    counts = {name.lower(): value for name, value in first.headers if "ORDER" in name}
    assert counts == {"x-mbx-order-count-10s": "1", "x-mbx-order-count-1m": "1"}, "a filled order counts too"
    client.order("BUY MARKET 1")
    assert code(client.order("BUY MARKET 1")) == -1015
    limits = client.get("exchangeInfo")["rateLimits"]
    assert [(each["rateLimitType"], each["interval"], each["limit"]) for each in limits] == [
        ("REQUEST_WEIGHT", "MINUTE", 2400), ("ORDERS", "SECOND", 2), ("ORDERS", "MINUTE", 1200),
    ]  # fmt: skip


# ---- markets


def test_the_synthetic_market_joins_by_pu_and_not_by_the_id_before() -> None:
    """Each diff's `pu` is the `u` before it, and `U` is never that plus one (trap 6 of the fact sheet)."""
    venue = VirtualVenue(kind=PROTOCOL)
    conn_id = venue.new_conn_id()
    assert venue.sim.connect(conn_id, "/public/ws/btcusdt@depth@100ms", venue.now_ns)
    frames: list[Any] = []
    for _ in range(40):
        venue.now_ns += 50_000_000
        frames += [json.loads(item.frame) for item in venue.sim.advance(venue.now_ns) if item.frame]
    diffs = [frame for frame in frames if frame["e"] == "depthUpdate"]
    assert len(diffs) > 10
    for before, diff in pairwise(diffs):
        assert diff["pu"] == before["u"]
        assert diff["U"] != before["u"] + 1


def test_a_futures_capture_is_played_byte_for_byte(shared_data: Path) -> None:
    """The 2023 capture has microsecond stamps and a markPrice stream, which then is the venue's mark price."""
    path = shared_data / "captures" / "binance" / "usdm_btcusdt_20230404.dat.gz"
    venue, clock = build(VenueOptions(kind=PROTOCOL, capture=path))
    with gzip.open(path) as whole:
        lines = [line.partition(b" ")[2].strip() for line in whole]
    streams = sorted(venue.feed.market.streams)
    by_route = {"public": [s for s in streams if "depth" in s or "bookTicker" in s],
                "market": [s for s in streams if "markPrice" in s or "trade" in s]}  # fmt: skip
    now_ns = clock.session_origin_ns
    for number, (route, names) in enumerate(by_route.items(), start=1):
        assert venue.connect(number, f"/{route}/stream?streams={'/'.join(names)}", now_ns)
    sent: list[bytes] = []
    request = HttpRequest(method="GET", path="/fapi/v1/depth", query=b"symbol=BTCUSDT&limit=1000", headers={})
    venue.http(9, request, now_ns)
    for _ in range(200):
        now_ns += 100_000_000
        sent += [item.frame for item in venue.advance(now_ns) if item.frame]
    expected = [line for line in lines if line.startswith(b'{"stream"')]
    assert len(sent) > 1_000
    assert sent == expected[: len(sent)]
    assert 28_000 < venue.exchange.markets["BTCUSDT"].last_price() / 10**8 < 28_300


def test_a_capture_of_the_other_market_is_refused(shared_data: Path) -> None:
    spot = shared_data / "captures" / "binance" / "spot_btcusdt_20240808.gz"
    with pytest.raises(VenueStartError, match="it is of Binance Spot"):
        build(VenueOptions(kind=PROTOCOL, capture=spot))
