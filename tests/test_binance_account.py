"""What Binance Spot says of an account, read into events: the private stream, the answers, and every class of error."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiers import examples

from engine.events import (
    AccountReport,
    Answer,
    BalanceReport,
    Event,
    Fill,
    FillsReport,
    OpenOrdersReport,
    OrderReport,
    Outcome,
    ServerTime,
    StreamEnded,
    Subscribed,
    Unrecognised,
    VenueStatus,
)
from engine.model import OrderType, Side, TimeInForce
from engine.requests import Transport, Unsigned
from engine.venues.binance_spot import BinanceSpot
from engine.venues.venue import Venue

VENUE = BinanceSpot(())
D = Decimal

# The executionReport of the fact sheet, section 7; each test says what differs.
EXECUTION: dict[str, Any] = {
    "e": "executionReport", "E": 1499405658658, "s": "ETHBTC", "c": "mUvoqJxFIILMdfAW5iGSOW", "S": "BUY", "o": "LIMIT",
    "f": "GTC", "q": "1.00000000", "p": "0.10264410", "P": "0.00000000", "F": "0.00000000", "g": -1, "C": "", "x": "NEW",
    "X": "NEW", "r": "NONE", "i": 4293153, "l": "0.00000000", "z": "0.00000000", "L": "0.00000000", "n": "0", "N": None,
    "T": 1499405658657, "t": -1, "I": 8641984, "w": True, "m": False, "M": False, "O": 1499405658657, "Z": "0.00000000",
    "Y": "0.00000000", "Q": "0.00000000", "W": 1499405658657, "V": "NONE",
}  # fmt: skip
PLACED: dict[str, Any] = {
    "symbol": "BTCUSDT", "orderId": 28, "orderListId": -1, "clientOrderId": "o-1", "transactTime": 1507725176595,
    "price": "0.00000000", "origQty": "10.00000000", "executedQty": "10.00000000", "origQuoteOrderQty": "0.000000",
    "cummulativeQuoteQty": "10.00000000", "status": "FILLED", "timeInForce": "GTC", "type": "MARKET", "side": "SELL",
    "workingTime": 1507725176595, "selfTradePreventionMode": "NONE", "fills": [
        {"price": "4000.00000000", "qty": "1.00000000", "commission": "4.00000000", "commissionAsset": "USDT", "tradeId": 56},
        {"price": "3999.00000000", "qty": "5.00000000", "commission": "19.99500000", "commissionAsset": "USDT", "tradeId": 57},
    ],
}  # fmt: skip


def asked(method: str, path: str, *params: tuple[str, str]) -> Unsigned:
    return Unsigned(Transport.REST, method, path, params, signed=False)


def execution(**changes: Any) -> OrderReport:
    (event,) = private({"subscriptionId": 0, "event": EXECUTION | changes})
    assert isinstance(event, OrderReport), event
    return event


def private(frame: dict[str, Any]) -> tuple[Event, ...]:
    return VENUE.account.decode_private(json.dumps(frame).encode())


def answer(
    method: str, path: str, body: Any, status: int = 200, instrument: str = "", **headers: str
) -> tuple[Answer, tuple[Event, ...]]:
    payload = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    first, *rest = VENUE.decode_answer(asked(method, "/api/v3" + path), instrument, status, named, payload)
    assert isinstance(first, Answer)
    assert not any(isinstance(event, Answer) for event in rest)
    return first, tuple(rest)


def lines(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text("utf-8").splitlines():
        yield json.loads(line)


# ---- the private stream: real frames -----------------------------------------------------------


def test_real_spot_events(shared_data: Path) -> None:
    """A real account's events of 2022, each in today's envelope, in the bare one, and plain."""
    seen: dict[str, tuple[Event, ...]] = {}
    for line in lines(shared_data / "private/binance-usdm/user-stream-examples.jsonl"):
        message = line["message"].get("data", line["message"])
        if message.get("e") in {"balanceUpdate", "outboundAccountPosition", "executionReport"}:
            events = private({"subscriptionId": 0, "event": message})
            assert events == private({"event": message}) == private(message)
            seen[message["e"]] = events
    assert seen["balanceUpdate"] == ()  # the balance itself comes with outboundAccountPosition, of the same instant
    assert seen["outboundAccountPosition"] == (
        BalanceReport("USDT", free=D("857.10000000"), locked=D("0E-8"), venue_ns=1_644_147_237_971_000_000),
    )
    assert seen["executionReport"] == (
        OrderReport(
            instrument="binance_spot:BNBUSDT",
            client_order_id="web_5923eef0149e460badb58ad69e220c25",
            venue_order_id="3655358926",
            status=VenueStatus.OPEN,
            side=Side.BUY,
            type=OrderType.LIMIT,
            time_in_force=TimeInForce.GTC,
            price=D(300),
            quantity=D(1),
            filled_quantity=D(0),
            venue_ns=1_644_147_582_164_000_000,
        ),
    )


def test_real_frames_that_say_nothing_of_orders(shared_data: Path) -> None:
    for line in lines(shared_data / "private/binance-frames/unicorn-fy.jsonl"):
        events = VENUE.account.decode_private(line["raw"].encode())
        if '"e":"listStatus"' in line["raw"] or '"e":"balanceUpdate"' in line["raw"]:
            assert events == ()
        else:
            assert [type(event) for event in events] == [Unrecognised], line["raw"]


# ---- the private stream: executionReport -------------------------------------------------------


def test_a_trade_carries_its_fill() -> None:
    report = execution(
        x="TRADE",
        X="PARTIALLY_FILLED",
        l="0.40000000",
        z="0.70000000",
        L="0.10264409",
        n="0.00000007",
        N="BNB",
        t=17,
        m=True,
    )
    assert (report.status, report.filled_quantity) == (VenueStatus.PARTIALLY_FILLED, D("0.7"))
    assert report.fills == (
        Fill(
            instrument="binance_spot:ETHBTC",
            fill_id="17",
            venue_order_id="4293153",
            side=Side.BUY,
            price=D("0.10264409"),
            quantity=D("0.4"),
            fee=D("0.00000007"),
            fee_asset="BNB",
            maker=True,
            venue_ns=1_499_405_658_657_000_000,
            client_order_id="mUvoqJxFIILMdfAW5iGSOW",
        ),
    )


def test_a_trade_without_commission() -> None:
    for fee in ("0", None):
        (fill,) = execution(x="TRADE", X="FILLED", l="1", z="1", L="0.1", n=fee, N=None, t=0).fills
        assert (fill.fee, fill.fee_asset, fill.fill_id) == (D(0), "", "0")


def test_a_cancel_names_itself_in_c_and_the_order_in_C() -> None:  # noqa: N802 - the wire's letters
    report = execution(x="CANCELED", X="CANCELED", c="the-cancel", C="the-order", z="0.30000000")
    assert (report.client_order_id, report.status, report.filled_quantity) == (
        "the-order",
        VenueStatus.CANCELED,
        D("0.3"),
    )
    assert report.fills == ()
    assert execution(x="REPLACED", c="new", C="old").client_order_id == "old"
    assert execution(x="CANCELED", X="CANCELED", c="o", C="").client_order_id == "o"
    assert execution(x="EXPIRED", X="EXPIRED", c="o", C="other").client_order_id == "o"


@pytest.mark.parametrize(
    ("changes", "status", "filled", "reason"),
    [
        ({"x": "NEW", "X": "NEW"}, VenueStatus.OPEN, "0", ""),
        ({"x": "NEW", "X": "PENDING_NEW"}, VenueStatus.OPEN, "0", ""),
        (
            {"x": "EXPIRED", "X": "EXPIRED", "f": "IOC", "z": "0.6", "eR": "UNFILLED_IOC_QUANTITY_EXPIRED"},
            VenueStatus.EXPIRED, "0.6", "UNFILLED_IOC_QUANTITY_EXPIRED",
        ),
        (
            {"x": "EXPIRED", "X": "EXPIRED", "o": "MARKET", "p": "0.00000000", "z": "0.6", "eR": "INSUFFICIENT_LIQUIDITY"},
            VenueStatus.EXPIRED, "0.6", "INSUFFICIENT_LIQUIDITY",
        ),
        ({"x": "TRADE_PREVENTION", "X": "EXPIRED_IN_MATCH", "v": 3, "A": "1"}, VenueStatus.EXPIRED, "0", ""),
        ({"x": "REJECTED", "X": "REJECTED", "r": "INSUFFICIENT_BALANCES"}, VenueStatus.REJECTED, "0", "INSUFFICIENT_BALANCES"),
        ({"x": "NEW", "X": "NEW", "o": "STOP_LOSS_LIMIT", "w": False}, VenueStatus.OPEN, "0", ""),
    ],
)  # fmt: skip
def test_what_an_execution_report_says(changes: dict[str, Any], status: VenueStatus, filled: str, reason: str) -> None:
    report = execution(**changes)
    assert (report.status, report.filled_quantity, report.reason, report.fills) == (status, D(filled), reason, ())


def test_the_terms_of_an_order_are_read_from_every_source() -> None:
    """Trailing distance, visible part and quote amount: by the stream, by a query and by the list of open orders."""
    terms = {"trailing_delta": 100, "iceberg_quantity": D("0.3"), "quote_quantity": D(50)}
    streamed = execution(d=100, F="0.30000000", Q="50.00000000")
    shown = PLACED | {"trailingDelta": 100, "icebergQty": "0.30000000", "origQuoteOrderQty": "50.00000000"}
    _, (queried,) = answer("GET", "/order", shown)
    _, (listed,) = answer("GET", "/openOrders", [shown])
    assert isinstance(listed, OpenOrdersReport)
    for report in (streamed, queried, *listed.orders):
        assert {name: getattr(report, name) for name in terms} == terms
    none = (0, 0, 0)
    for report in (execution(), answer("GET", "/order", PLACED)[1][0]):
        assert (report.trailing_delta, report.iceberg_quantity, report.quote_quantity) == none


@pytest.mark.parametrize(
    ("venue_type", "is_working", "working_ms", "is_triggered"),
    [
        ("STOP_LOSS_LIMIT", False, -1, False),
        ("STOP_LOSS_LIMIT", True, 5, True),
        ("TAKE_PROFIT", False, 5, True),  # a market order is never in the book
        ("STOP_LOSS", False, -1, False),
        ("LIMIT", True, 5, False),
        ("LIMIT_MAKER", True, 5, False),
        ("MARKET", False, 5, False),
    ],
)
def test_a_stop_that_works_was_triggered(
    venue_type: str, is_working: bool, working_ms: int, is_triggered: bool
) -> None:
    streamed = execution(o=venue_type, w=is_working, W=working_ms)
    shown = PLACED | {"type": venue_type, "isWorking": is_working, "workingTime": working_ms}
    _, (queried,) = answer("GET", "/order", shown)
    assert (streamed.is_triggered, queried.is_triggered) == (is_triggered, is_triggered)


@pytest.mark.parametrize(
    "changes",
    [
        {"X": "SOMETHING_NEW"}, {"o": "no type"}, {"f": "GTD"}, {"S": "LONG"}, {"z": "NaN"}, {"q": "1e999999999"},
        {"q": "-1"}, {"q": 1.5}, {"d": -1}, {"F": "-1"}, {"Q": None}, {"i": "17"}, {"i": -1}, {"T": 10**30}, {"s": None},
        {"x": "TRADE", "X": "FILLED", "t": -1, "l": "1"}, {"x": "TRADE", "X": "FILLED", "t": 5, "l": "0"},
    ],
)  # fmt: skip
def test_a_report_that_does_not_hold_is_unrecognised(changes: dict[str, Any]) -> None:
    (event,) = private({"subscriptionId": 0, "event": EXECUTION | changes})
    assert isinstance(event, Unrecognised)


# ---- the private stream: the rest --------------------------------------------------------------


def test_every_asset_that_changed_is_reported_in_order() -> None:
    rows = [{"a": "BTC", "f": "1.5", "l": "0.25"}, {"a": "USDT", "f": "0.00000000", "l": "7"}]
    event = {"e": "outboundAccountPosition", "E": 1564034571105, "u": 1564034571073, "B": rows}
    assert private({"subscriptionId": 0, "event": event}) == (
        BalanceReport("BTC", D("1.5"), D("0.25"), 1_564_034_571_073_000_000),
        BalanceReport("USDT", D(0), D(7), 1_564_034_571_073_000_000),
    )


def test_the_stream_says_that_it_ends() -> None:
    terminated = {"subscriptionId": 0, "event": {"e": "eventStreamTerminated", "E": 1728973001334}}
    assert private(terminated) == (StreamEnded("eventStreamTerminated"),)
    shutdown = {"e": "serverShutdown", "E": 1770123456789}
    assert private({"event": shutdown}) == private(shutdown) == (StreamEnded("serverShutdown"),)


def test_subscription_zero_is_a_subscription() -> None:
    limits = [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000, "count": 4}]
    frame = {"id": "s-1", "status": 200, "result": {"subscriptionId": 0}, "rateLimits": limits}
    assert private(frame) == (Answer(Outcome.DONE, weight_used=4), Subscribed("0"))
    assert VENUE.account.answered_request(json.dumps(frame).encode()) == "s-1"
    assert VENUE.account.answered_request(json.dumps({"subscriptionId": 0, "event": EXECUTION}).encode()) is None
    assert VENUE.account.answered_request(b"{") is None


def test_refusals_over_the_websocket() -> None:
    """retryAfter is an instant here, not a number of seconds."""
    wait = {"serverTime": 1660801715000, "retryAfter": 1660801839480}
    limited = {"id": "1", "status": 429, "error": {"code": -1003, "msg": "Too much request weight used.", "data": wait}}
    (event,) = private(limited)
    assert event == Answer(
        Outcome.RATE_LIMITED, -1003, "Too much request weight used.", retry_at_ns=1_660_801_839_480_000_000
    )
    for code, status, outcome in (
        (-1022, 400, Outcome.AUTH), (-2015, 401, Outcome.AUTH), (-1021, 400, Outcome.CLOCK), (-2035, 400, Outcome.REFUSED),
        (-1007, 503, Outcome.UNKNOWN), (-1000, 400, Outcome.UNKNOWN), (-9999, 400, Outcome.UNKNOWN), (0, 400, Outcome.UNKNOWN),
    ):  # fmt: skip
        (event,) = private({"id": "1", "status": status, "error": {"code": code, "msg": "m"}})
        assert event == Answer(outcome, code, "m")
    malformed = private({"error": {"code": -1135, "msg": "Invalid JSON"}, "id": None})
    assert malformed == private({"code": -1135, "msg": "Invalid JSON", "id": None})
    assert malformed == (Answer(Outcome.REFUSED, -1135, "Invalid JSON"),)


# ---- answers that report -----------------------------------------------------------------------


def test_a_placement_answered_in_full() -> None:
    done, (report,) = answer(
        "POST", "/order", PLACED, instrument="binance_spot:BTCUSDT", X_MBX_USED_WEIGHT_1M="7", x_mbx_order_count_10s="3"
    )
    assert done == Answer(Outcome.DONE, weight_used=7, orders_used=3)
    assert isinstance(report, OrderReport)
    assert (report.status, report.filled_quantity, report.type) == (VenueStatus.FILLED, D(10), OrderType.MARKET)
    assert [(fill.fill_id, fill.price, fill.fee, fill.maker) for fill in report.fills] == [
        ("56", D(4000), D(4), False),
        ("57", D(3999), D("19.995"), False),
    ]
    assert {fill.client_order_id for fill in report.fills} == {"o-1"}


def test_a_placement_answered_with_an_ack_proves_it_and_tells_no_status() -> None:
    ack = {name: PLACED[name] for name in ("symbol", "orderId", "orderListId", "clientOrderId", "transactTime")}
    assert answer("POST", "/order", ack) == (Answer(Outcome.DONE), ())


def test_a_placement_answered_expired_keeps_what_it_filled() -> None:
    _, (report,) = answer("POST", "/order", PLACED | {"status": "EXPIRED", "expiryReason": "INSUFFICIENT_LIQUIDITY"})
    assert isinstance(report, OrderReport)
    assert (report.status, report.filled_quantity, len(report.fills)) == (VenueStatus.EXPIRED, D(10), 2)
    assert report.reason == "INSUFFICIENT_LIQUIDITY"


def documented(shared_data: Path, name: str) -> Any:
    """An answer after the exchange's own documentation."""
    for case in lines(shared_data / "rest/binance/jkorf-binance.jsonl"):
        if case["kind"] == "rest" and case["file"].endswith(f"/Spot/{name}.txt"):
            return json.loads(case["response"])
    raise LookupError(name)


def test_documented_answers(shared_data: Path) -> None:
    _, (canceled,) = answer("DELETE", "/order", documented(shared_data, "Trading/CancelOrder"))
    assert isinstance(canceled, OrderReport)
    assert (canceled.client_order_id, canceled.status) == ("myOrder1", VenueStatus.CANCELED)

    _, gone = answer("DELETE", "/openOrders", documented(shared_data, "Trading/CancelAllOrders"))
    ids = [event.client_order_id for event in gone if isinstance(event, OrderReport)]
    assert ids[:2] == ["E6APeyTJvkMvLMYMqu1KQ4", "A3EF2HCwxgZPFMrfwbgrhv"]

    _, (listed,) = answer("GET", "/openOrders", documented(shared_data, "Trading/GetOpenOrders"))
    assert isinstance(listed, OpenOrdersReport)
    (order,) = listed.orders
    assert answer("GET", "/order", documented(shared_data, "Trading/GetOpenOrders")[0]) == (
        Answer(Outcome.DONE),
        (order,),
    )
    assert (order.client_order_id, order.price, order.quantity) == ("myOrder1", D("0.1"), D(1))

    _, (account,) = answer("GET", "/account", documented(shared_data, "Account/GetAccountInfo"))
    assert isinstance(account, AccountReport)
    assert account.can_trade
    assert account.balances[0].free == D("4723846.89208129")

    trades = documented(shared_data, "Trading/GetUserTrades")
    _, (page,) = answer("GET", "/myTrades", trades, instrument="binance_spot:BNBBTC")
    assert isinstance(page, FillsReport)
    assert page.whole
    assert page.fills == (
        Fill(
            instrument="binance_spot:BNBBTC",
            fill_id="28457",
            venue_order_id="100234",
            side=Side.BUY,
            price=D("4.000001"),
            quantity=D(12),
            fee=D("10.1"),
            fee_asset="BNB",
            maker=False,
            venue_ns=1_499_865_549_590_000_000,
        ),
    )
    assert answer("GET", "/time", {"serverTime": 1499827319559})[1] == (ServerTime(1_499_827_319_559_000_000),)


def test_recorded_answers(shared_data: Path) -> None:
    """Read recorded answers, old ones without today's fields among them."""
    routes = json.loads((shared_data / "rest/binance/gct-http-mock.json").read_text("utf-8"))["routes"]
    for path in ("/account", "/openOrders", "/order", "/depth", "/exchangeInfo"):
        for method, cases in routes["/api/v3" + path].items():
            for case in cases:
                if case["data"] is not None:
                    done, rest = answer(method, path, case["data"])
                    assert not any(isinstance(event, Unrecognised) for event in rest), (path, rest)
                    assert done.outcome is (Outcome.REFUSED if "code" in case["data"] else Outcome.DONE)


def test_a_full_page_of_fills_is_not_the_whole() -> None:
    row = {
        "symbol": "BTCUSDT", "orderId": 1, "price": "1", "qty": "1", "commission": "0", "commissionAsset": "BNB",
        "time": 1, "isBuyer": False, "isMaker": True,
    }  # fmt: skip
    body = json.dumps([row | {"id": fill_id} for fill_id in (9, 10)]).encode()
    for limit, whole in ((2, False), (3, True)):
        page_of = asked("GET", "/api/v3/myTrades", ("limit", str(limit)))
        _, page = VENUE.decode_answer(page_of, "binance_spot:BTCUSDT", 200, {}, body)
        assert isinstance(page, FillsReport)
        assert [fill.fill_id for fill in page.fills] == ["9", "10"]
        assert page.whole is whole


def test_an_answer_done_that_cannot_be_read_proves_nothing() -> None:
    for method, path, body in (
        ("POST", "/order", PLACED | {"status": "FULL_OF_NEWS"}), ("POST", "/order", "<html>"), ("POST", "/order", ""),
        ("GET", "/openOrders", [PLACED, {}]), ("GET", "/account", []), ("GET", "/myTrades", {}), ("GET", "/time", "{}"),
        ("GET", "/nowhere", "{}"), ("GET", "/exchangeInfo", "{}"),
    ):  # fmt: skip
        done, rest = answer(method, path, body, x_mbx_used_weight_1m="5")
        assert (done.outcome, done.weight_used) == (Outcome.UNKNOWN, 5), path
        assert [type(event) for event in rest] == [Unrecognised]
    done, _ = answer("POST", "/order", PLACED, instrument="binance_spot:ETHUSDT")
    assert done.outcome is Outcome.UNKNOWN  # the answer names another market


# ---- answers that refuse -----------------------------------------------------------------------


def test_answers_as_users_saw_them(shared_data: Path) -> None:
    """observed-http.jsonl, line by line, each as the answer to a placement."""
    seen = []
    for row in lines(shared_data / "rest/binance/observed-http.jsonl"):
        if row["status"] != 200:
            done, _ = answer("POST", "/order", row.get("body", ""), row["status"], **row.get("headers", {}))
            seen.append((row["status"], done.code, done.outcome, done.retry_at_ns, done.retry_after_ns))
    assert seen == [
        (418, -1003, Outcome.RATE_LIMITED, 1_660_090_423_228_000_000, 0),
        (418, -1003, Outcome.RATE_LIMITED, 1_618_228_675_371_000_000, 0),
        (429, 0, Outcome.RATE_LIMITED, 0, 35_000_000_000),
        (403, 0, Outcome.AUTH, 0, 0),
        (400, -1013, Outcome.REFUSED, 0, 0),
        (400, -1013, Outcome.REFUSED, 0, 0),
        (400, -2011, Outcome.UNKNOWN, 0, 0),  # no answer to a placement; see the cancel's below
        (503, -1003, Outcome.UNKNOWN, 0, 0),
        (503, -1003, Outcome.UNKNOWN, 0, 0),
        (400, -1021, Outcome.CLOCK, 0, 0),
        (400, -2010, Outcome.REFUSED, 0, 0),
    ]


def test_headers_as_users_saw_them(shared_data: Path) -> None:
    """Names in any case; a used weight of minus one is "not said"."""
    weights = []
    for row in lines(shared_data / "rest/binance/observed-http.jsonl"):
        if row["status"] == 200:
            done, _ = answer("GET", "/time", {"serverTime": 1}, **row["headers"])
            weights.append((done.weight_used, done.orders_used))
    assert weights == [(0, -1), (-1, 2), (-1, -1), (4, -1)]


CLASSES = {
    Outcome.UNKNOWN: {-1000, -1001, -1006, -1007, -2021},
    Outcome.AUTH: {-1002, -1022, -2014, -2015},
    Outcome.RATE_LIMITED: {-1003, -1034},
    Outcome.ORDER_LIMITED: {-1015},
    Outcome.RETRY_LATER: {-1008, -1016},
    Outcome.CLOCK: {-1021},
    Outcome.NOT_FOUND: {-2011, -2013, -2026},
}
FIX_ONLY = {-1033, -1035}  # of a protocol that we do not use; in an answer they prove nothing


def test_every_documented_code_has_its_class(shared_data: Path) -> None:
    documented_codes = json.loads((shared_data / "rest/binance/errors-documented.json").read_text("utf-8"))["codes"]
    assert len(documented_codes) == 104
    for entry in documented_codes:
        code = entry["code"]
        expected = next((outcome for outcome, codes in CLASSES.items() if code in codes), Outcome.REFUSED)
        if code in FIX_ONLY:
            expected = Outcome.UNKNOWN
        for text in entry["messages"]:
            done, rest = answer("DELETE", "/order", {"code": code, "msg": text}, 400)
            assert (done.outcome, done.code, done.text, rest) == (expected, code, text[:200], ()), entry


def test_the_matching_engine_s_texts(shared_data: Path) -> None:
    known = json.loads((shared_data / "rest/binance/errors-documented.json").read_text("utf-8"))
    for text in known["engine_messages"]:
        placed, _ = answer("POST", "/order", {"code": -2010, "msg": text}, 400)
        duplicate = text == "Duplicate order sent."  # one with this id is open: evidence of success, if anything
        assert placed.outcome is (Outcome.UNKNOWN if duplicate else Outcome.REFUSED), text
    for text in known["filter_failures"]:
        assert answer("POST", "/order", {"code": -1013, "msg": text}, 400)[0].outcome is Outcome.REFUSED
    raced, _ = answer("DELETE", "/order", {"code": -2011, "msg": "Unknown order sent."}, 400)
    assert raced.outcome is Outcome.NOT_FOUND
    kept, _ = answer(
        "DELETE", "/order", {"code": -2011, "msg": "Order was not canceled due to cancel restrictions."}, 400
    )
    assert kept.outcome is Outcome.REFUSED


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (504, "<html>Gateway Time-out</html>", Outcome.UNKNOWN),
        (500, {"code": -2010, "msg": "Account has insufficient balance for requested action."}, Outcome.UNKNOWN),
        (503, {"code": -1008, "msg": "busy"}, Outcome.UNKNOWN),
        (409, {"code": -2021, "msg": "Order cancel-replace partially failed"}, Outcome.UNKNOWN),
        (429, "", Outcome.RATE_LIMITED),
        (418, "<html>", Outcome.RATE_LIMITED),
        (401, {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}, Outcome.AUTH),
        (403, "", Outcome.AUTH),
        (404, "<html>", Outcome.UNKNOWN),
        (400, {"code": 17, "msg": "?"}, Outcome.UNKNOWN),
        (302, "", Outcome.UNKNOWN),
        (0, "", Outcome.UNKNOWN),
        (200, {"code": -1121, "msg": "Invalid symbol."}, Outcome.REFUSED),
    ],
)
def test_status_and_body_together(status: int, body: Any, outcome: Outcome) -> None:
    assert answer("POST", "/order", body, status)[0].outcome is outcome


def test_a_page_of_html_is_cut_to_a_line() -> None:
    done, _ = answer("GET", "/time", "<HTML>\n  <H1>403 ERROR</H1>\n" + "x" * 9_000, 403)
    assert done.text.startswith("<HTML> <H1>403 ERROR</H1> xxx")
    assert len(done.text) == 200


def test_nonsense_in_headers_is_not_said() -> None:
    for value in ("", "-1", "1.5", "soon", "9" * 5_000, "\uff11"):
        done, _ = answer(
            "GET", "/time", "", 429, Retry_After=value, x_mbx_used_weight_1m=value, x_mbx_order_count_10s=value
        )
        assert (done.retry_after_ns, done.weight_used, done.orders_used) == (0, -1, -1)


def test_it_is_a_venue() -> None:
    venue = BinanceSpot((), recv_window_ms=2_000)
    _: Venue = venue  # mypy checks the parts
    assert (venue.name, venue.order_ids.length_max, venue.recv_window_ms) == ("binance_spot", 36, 2_000)


# ---- links -------------------------------------------------------------------------------------


def test_links(shared_data: Path) -> None:
    raw = json.loads((shared_data / "rest/binance/gct-http-mock.json").read_text("utf-8"))
    info = json.dumps(raw["routes"]["/api/v3/exchangeInfo"]["GET"][0]["data"]).encode()
    (_, report) = VENUE.decode_answer(asked("GET", "/api/v3/exchangeInfo"), "", 200, {}, info)
    instruments = [one for one in report.instruments if one.symbol in {"BTCUSDT", "ETHUSDT"}]  # type: ignore[union-attr]  # asserted by its use
    market, account = BinanceSpot(instruments).links()
    assert (market.source, market.role) == ("binance_spot.market.0", "market")
    assert sorted(market.path.removeprefix("/stream?streams=").split("/")) == [
        "btcusdt@bookTicker", "btcusdt@depth@100ms", "btcusdt@trade",
        "ethusdt@bookTicker", "ethusdt@depth@100ms", "ethusdt@trade",
    ]  # fmt: skip
    assert (account.source, account.role, account.path) == ("binance_spot.private.0", "private", "/ws-api/v3")
    crowd = BinanceSpot(instruments * 400)
    many = crowd.links()
    assert sum(len(crowd.instruments_of(link.source)) for link in many[:3]) == 800
    assert [len(crowd.instruments_of(link.source)) * 3 for link in many[:3]] == [
        link.path.count("/") for link in many[:3]
    ]
    assert [link.source for link in many[:3]] == [f"binance_spot.market.{n}" for n in range(3)]
    assert all(link.path.count("/") <= 1_024 for link in many)


# ---- totality ----------------------------------------------------------------------------------

FRAMES = [
    json.dumps(frame).encode()
    for frame in (
        {"subscriptionId": 0, "event": EXECUTION},
        {
            "subscriptionId": 0,
            "event": EXECUTION | {"x": "TRADE", "X": "FILLED", "t": 5, "l": "1", "n": "0.1", "N": "BNB"},
        },
        {"event": {"e": "outboundAccountPosition", "E": 1, "u": 2, "B": [{"a": "BTC", "f": "1", "l": "0"}]}},
        {"id": "1", "status": 429, "error": {"code": -1003, "msg": "m", "data": {"retryAfter": 1660801839480}}},
        {"id": 1, "status": 200, "result": {"subscriptionId": 0}, "rateLimits": []},
        PLACED,
        [PLACED, {"orderReports": [PLACED]}],
        {"code": -1003, "msg": "IP banned until 1660090423228."},
        {"balances": [{"asset": "BTC", "free": "1", "locked": "2"}], "canTrade": True, "updateTime": 3},
        {"serverTime": 1499827319559},
    )
]
ROUTES = [
    ("POST", "/api/v3/order"), ("DELETE", "/api/v3/order"), ("GET", "/api/v3/order"), ("GET", "/api/v3/openOrders"),
    ("DELETE", "/api/v3/openOrders"), ("GET", "/api/v3/account"), ("GET", "/api/v3/myTrades"), ("GET", "/api/v3/time"),
    ("GET", "/api/v3/depth"), ("GET", "/api/v3/exchangeInfo"),
]  # fmt: skip
SPLICES = [
    b"null",
    b"NaN",
    b"1e400",
    b'"1e400"',
    b"-0",
    b"[[",
    b"{}",
    b'"',
    b"\\ud800",
    b"\xff",
    b"\x00",
    b"9" * 5_000,
    b'"NaN"',
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A true frame, with up to three pieces cut out, doubled or put in."""
    raw = draw(st.sampled_from(FRAMES))
    for _ in range(draw(st.integers(0, 3))):
        first = draw(st.integers(0, len(raw)))
        last = min(len(raw), first + draw(st.integers(0, 12)))
        piece = draw(st.sampled_from([*SPLICES, b"", raw[first:last] * 2, b"0", b"-", b"."]))
        raw = raw[:first] + piece + raw[last:]
    return raw


@pytest.mark.slow
@settings(max_examples=examples(600), deadline=None)
@given(
    payload=mutated() | st.binary(max_size=60),
    route=st.sampled_from(ROUTES),
    status=st.sampled_from([200, 400, 429, 503]),
)
def test_whatever_comes_in_nothing_raises(payload: bytes, route: tuple[str, str], status: int) -> None:
    """And what comes out could be written down: no amount is too long for a record, no time too far for 64 bits."""
    streamed = VENUE.account.decode_private(payload)
    answered = VENUE.decode_answer(asked(*route), "", status, {"Retry-After": payload.decode("latin-1")}, payload)
    VENUE.account.answered_request(payload)
    assert [isinstance(event, Answer) for event in answered] == [True] + [False] * (len(answered) - 1)
    for event in (*streamed, *answered):
        assert len(repr(event)) < 20_000
        if isinstance(event, OrderReport):
            assert 0 <= event.venue_ns < 2**63
            assert len(format(event.price, "f")) <= 41


@pytest.mark.parametrize(
    "deep", [b"[" * 200_000, b'{"event":' * 200_000, b'{"e":"executionReport","x":' + b"[" * 200_000]
)
def test_a_bottomless_frame_is_unrecognised(deep: bytes) -> None:
    assert [type(event) for event in VENUE.account.decode_private(deep)] == [Unrecognised]
    first, second = VENUE.decode_answer(asked("POST", "/api/v3/order"), "", 200, {}, deep)
    assert isinstance(first, Answer)
    assert first.outcome is Outcome.UNKNOWN
    assert isinstance(second, Unrecognised)
