"""Alpaca's dialect by its bytes: the shared captures and answers, the terms of orders, and the traps of the wire."""

import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.events import (
    AccountReport,
    Answer,
    FillsReport,
    OpenOrdersReport,
    OrderReport,
    Outcome,
    Subscribed,
    Unrecognised,
    VenueStatus,
)
from engine.model import Instrument, OrderType, Side, TimeInForce
from engine.order_terms import RecordedTerms, terms_of
from engine.requests import Transport, Unsigned
from engine.venues.alpaca import Alpaca, AlpacaSip
from engine.venues.alpaca.calls import FILLS, ORDERS
from engine.venues.order_routes import balances_of
from engine.venues.signing import Credentials
from engine.venues.timestamps import nanoseconds

VECTORS = Path(__file__).parent / "vectors" / "alpaca"
SHARED = Path(os.environ.get("VERBATIM_DATA", "../shared/data"))
INSTRUMENTS = Alpaca(()).metadata.read((VECTORS / "metadata.json").read_bytes()).instruments
STOCK, WHOLE, PAIR, DOGE = INSTRUMENTS
VENUE = Alpaca(INSTRUMENTS)
ORDER: dict[str, Any] = {
    "id": "61e69015-8549-4bfd-b9c3-01e75843f47d",
    "client_order_id": "ours",
    "updated_at": "2026-09-18T13:31:00.25Z",
    "symbol": "AAPL",
    "qty": "2",
    "filled_qty": "0",
    "type": "limit",
    "side": "buy",
    "time_in_force": "gtc",
    "limit_price": "187.2",
    "status": "new",
}


def shared_rows(name: str) -> list[dict[str, Any]]:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{path} is not here: set VERBATIM_DATA")
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def answered(unsigned: Unsigned, body: Any, *, instrument: str = "", status: int = 200) -> tuple[Any, ...]:
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return VENUE.decode_answer(unsigned, instrument, status, {}, raw)


def update(event: str, order: dict[str, Any], **more: Any) -> tuple[Any, ...]:
    told = {"event": event, "timestamp": "2026-09-18T13:31:00.25Z", "order": ORDER | order, **more}
    return VENUE.account.decode_private(json.dumps({"stream": "trade_updates", "data": told}).encode())


# ---- shared data


def test_the_captured_sequence_decodes_to_its_known_values() -> None:
    """One market order of 129.7 DOGE, from its login to its fill."""
    frames = [json.dumps(row).encode() for row in shared_rows("private/alpaca/trade_updates.jsonl")]
    assert len(frames) == 5
    decoded: list[Any] = [VENUE.account.decode_private(frame) for frame in frames]
    logged_in, listening, pending, new, filled = decoded
    assert logged_in == (Answer(Outcome.DONE), Subscribed("authorization"))
    assert listening == (Answer(Outcome.DONE), Subscribed("trade_updates"))
    assert [events[0].status for events in (pending, new, filled)] == ["open", "open", "filled"]
    [report] = filled
    [fill] = report.fills
    assert (fill.instrument, fill.side, fill.quantity, fill.price) == (
        "alpaca:DOGE/USD", Side.SELL, Decimal("129.7"), Decimal("0.0851119"),
    )  # fmt: skip
    assert fill.venue_ns == nanoseconds("2026-09-18T13:24:50.019957863Z")
    assert report.filled_quantity == report.quantity == Decimal("129.7")
    new_ns = [nanoseconds(row["data"]["timestamp"]) for row in shared_rows("private/alpaca/trade_updates.jsonl")[3:]]
    assert new_ns[1] - new_ns[0] == 5_120, "5 microseconds apart"


def test_every_answer_of_the_public_client_is_read() -> None:
    """Each of alpaca-py's bodies gives its orders, positions, account, assets and fills."""
    rows = shared_rows("rest/alpaca/alpaca-py.jsonl")
    assert len(rows) == 15
    calls = {
        "test_get_orders": Unsigned(Transport.REST, "GET", ORDERS, (), signed=True),
        "test_get_account": VENUE.account.balances(),
        "test_get_all_assets": VENUE.metadata.request(),
        "test_get_all_assets_params": VENUE.metadata.request(),
    }
    found: dict[str, tuple[Any, ...]] = {}
    for number, row in enumerate(rows):
        body = json.loads(row["raw"])
        if "activities" in row["test"]:
            fills = [each for each in body if each["activity_type"] == "FILL"]
            unsigned = Unsigned(Transport.REST, "GET", FILLS, (), signed=True)
            found[f"fills {number}"] = answered(unsigned, fills, instrument="alpaca:AMZN")
        elif row["test"] in calls:
            found[row["test"]] = answered(calls[row["test"]], body)
        elif isinstance(body, dict) and "client_order_id" in body:
            found[f"order {number}"] = answered(Unsigned(Transport.REST, "GET", f"{ORDERS}/x", (), signed=True), body)
    assert all(events[0].outcome is Outcome.DONE for events in found.values()), found
    orders = [event for events in found.values() for event in events if isinstance(event, OrderReport)]
    assert len(orders) == 5
    assert {order.status for order in orders} == {VenueStatus.OPEN}
    assert orders[-1].quote_quantity == 500, "an order by notional has no quantity"
    pages = [event for events in found.values() for event in events if isinstance(event, FillsReport)]
    amazon = [fill for page in pages for fill in page.fills]
    assert [(fill.price, fill.quantity) for fill in amazon[:2]] == [
        (Decimal("2907.15"), Decimal(1)), (Decimal("2907.15"), Decimal("1.792161878")),
    ]  # fmt: skip
    [account] = [event for event in found["test_get_account"] if isinstance(event, AccountReport)]
    assert (account.balances[0].asset, account.balances[0].free, account.can_trade) == (
        "USD",
        Decimal("-23140.2"),
        True,
    )


# ---- requests


@pytest.mark.parametrize(
    ("instrument", "kind", "quantity", "fields", "sent"),
    [
        (STOCK, OrderType.MARKET, "2", {}, {"type": "market", "qty": "2", "time_in_force": "ioc"}),
        (STOCK, OrderType.MARKET, "2.5", {}, {"type": "market", "qty": "2.5", "time_in_force": "day"}),
        (STOCK, OrderType.MARKET, "9", {"quote_quantity": "100"}, {"notional": "100", "time_in_force": "day"}),
        (STOCK, OrderType.LIMIT, "2", {"price": "187.20"}, {"limit_price": "187.2", "time_in_force": "gtc"}),
        (STOCK, OrderType.LIMIT, "0.5", {"price": "187.2"}, {"qty": "0.5", "time_in_force": "day"}),
        (STOCK, OrderType.LIMIT, "0.5", {"price": "1", "in_force": "IOC"}, {"qty": "0.5", "time_in_force": "ioc"}),
        (STOCK, OrderType.STOP, "2", {"stop_price": "170"}, {"type": "stop", "stop_price": "170"}),
        (STOCK, OrderType.STOP, "2", {"trailing_delta": 150}, {"type": "trailing_stop", "trail_percent": "1.5"}),
        (STOCK, OrderType.STOP_LIMIT, "2", {"price": "169", "stop_price": "170"}, {"limit_price": "169"}),
        (PAIR, OrderType.MARKET, "0.1", {}, {"symbol": "BTC/USD", "time_in_force": "ioc"}),
        (PAIR, OrderType.LIMIT, "0.000000001", {"price": "61000.01"}, {"qty": "0.000000001", "time_in_force": "gtc"}),
    ],
)
def test_an_order_says_what_the_venue_reads(
    instrument: Instrument, kind: OrderType, quantity: str, fields: dict[str, Any], sent: dict[str, str]
) -> None:
    """Trap 11: prices are decimal texts. Trap 1: each order has our id."""
    in_force, numbers = (
        fields.get("in_force", "GTC"),
        {name: each for name, each in fields.items() if name != "in_force"},
    )
    given: dict[str, Any] = {name: Decimal(each) if isinstance(each, str) else each for name, each in numbers.items()}
    recorded = RecordedTerms(given.pop("price", Decimal(0)), TimeInForce(in_force), **given)
    unsigned = VENUE.account.place("ours", instrument, Side.BUY, Decimal(quantity), terms_of(kind, recorded))
    params = dict(unsigned.params)
    assert sent.items() <= params.items(), params
    assert params["client_order_id"] == "ours"
    assert ("qty" in params) is not ("notional" in params)


def test_a_cancel_needs_the_venues_id_and_a_query_takes_ours() -> None:
    assert VENUE.account.cancel(STOCK, "ours", "uuid").path == "/v2/orders/uuid"
    looked_up = VENUE.account.cancel(STOCK, "ours")
    assert (looked_up.method, looked_up.params) == ("GET", (("client_order_id", "ours"),))


def test_no_request_acts_on_all_orders() -> None:
    """Trap 16: DELETE /v2/orders ends the orders of every program."""
    with pytest.raises(LookupError, match="cancels no orders of AAPL alone"):
        VENUE.account.cancel_all(STOCK)
    assert not VENUE.capabilities.cancel_all


def test_the_query_for_open_orders_wants_all_of_them() -> None:
    """Trap 14: the default is 50 orders, and the most is 500."""
    unsigned = VENUE.account.open_orders()
    assert dict(unsigned.params) == {"status": "open", "limit": "500", "direction": "asc", "nested": "true"}
    full = [ORDER | {"id": f"order-{number}"} for number in range(500)]
    answer, unread = answered(unsigned, full)
    assert answer.outcome is Outcome.UNKNOWN
    assert "it is not whole" in unread.error
    assert len(answered(unsigned, full[:499])[1].orders) == 499


def test_assets_are_requested_by_symbol_or_class() -> None:
    request = VENUE.metadata.request
    assert request(("BTC/USD",)).path == "/v2/assets/BTC%2FUSD"
    assert request(("AAPL", "SPY")).params == (("status", "active"), ("asset_class", "us_equity"))
    assert request(("AAPL", "BTC/USD")).params == (("status", "active"),)


def test_both_markets_have_their_own_link_and_sip_its_own_path() -> None:
    assert [plan.path for plan in VENUE.links()] == ["/v2/iex", "/v1beta3/crypto/us", "/stream"]
    assert [plan.path for plan in AlpacaSip((STOCK,)).links()] == ["/v2/sip", "/stream"]
    assert dict(VENUE.subscriptions("alpaca.crypto.0")[1].params)["orderbooks"] == "BTC/USD,DOGE/USD"


def test_the_login_is_the_key_itself_and_shows_in_no_text() -> None:
    key = VENUE.signer.load_key(Credentials("PKTEST", "topsecret"))
    login = json.loads(VENUE.signer.sign_frame(VENUE.subscriptions("alpaca.private.0")[0], key, 0, "1"))
    assert login == {"action": "auth", "key": "PKTEST", "secret": "topsecret"}
    listen = json.loads(VENUE.signer.sign_frame(VENUE.subscriptions("alpaca.private.0")[1], key, 0, "2"))
    assert listen == {"action": "listen", "data": {"streams": ["trade_updates"]}}
    message = VENUE.signer.sign_http(VENUE.account.balances(), key, 0)
    assert dict(message.headers) == {"APCA-API-KEY-ID": "PKTEST", "APCA-API-SECRET-KEY": "topsecret"}
    assert "topsecret" not in f"{message!r} {key!r}"
    with pytest.raises(ValueError, match="copy them again") as error:
        VENUE.signer.load_key(Credentials("PKTEST", "top secret"))
    assert "top secret" not in str(error.value)


# ---- traps of the wire


def test_an_account_without_fields_of_day_trades_is_read() -> None:
    """Trap 5: the venue removed them on 2026-07-06."""
    [_, report] = answered(VENUE.account.balances(), {"cash": "1000", "status": "ACTIVE"})
    assert (report.balances[0].free, report.can_trade) == (1000, True)
    for field in ("trading_blocked", "account_blocked", "trade_suspended_by_user"):
        [_, report] = answered(VENUE.account.balances(), {"cash": "1000", field: True})
        assert report.can_trade is False


def test_positions_of_crypto_have_no_slash() -> None:
    """Trap 6: BTCUSD is the position of BTC/USD, and what orders hold is not free."""
    [positions] = balances_of(VENUE.account)[1:]
    body = [{"symbol": "BTCUSD", "asset_class": "crypto", "qty": "0.09975", "qty_available": "0.05"}]
    [_, report] = answered(positions, body)
    [held] = report.balances
    assert (held.asset, held.free, held.locked) == ("BTC", Decimal("0.05"), Decimal("0.04975"))
    assert (report.is_about("USD"), report.is_about("BTC"), report.can_trade) == (False, True, None)


def test_legs_that_are_held_are_open() -> None:
    """Trap 9: the exits of another program's bracket wait below their entry."""
    legs = [ORDER | {"id": f"leg-{name}", "status": "held", "side": "sell"} for name in ("stop", "target")]
    [_, report] = answered(VENUE.account.open_orders(), [ORDER | {"legs": legs}])
    assert isinstance(report, OpenOrdersReport)
    assert [order.venue_order_id for order in report.orders] == [ORDER["id"], "leg-stop", "leg-target"]
    assert {order.status for order in report.orders} == {VenueStatus.OPEN}


def test_a_taken_client_id_proves_that_an_order_is_there() -> None:
    """Trap 10: no refusal, but the proof that the first attempt arrived."""
    terms = terms_of(OrderType.LIMIT, RecordedTerms(Decimal(100), TimeInForce.GTC))
    place = VENUE.account.place("ours", STOCK, Side.BUY, Decimal(1), terms)
    body = {"code": 40010001, "message": "client_order_id must be unique"}
    assert answered(place, body, status=422)[0].outcome is Outcome.UNKNOWN


def test_a_fill_has_one_identity_on_the_stream_and_in_the_list() -> None:
    """Traps 3 and 12: execution ids differ; the order and its traded quantity do not. Prices are of each fill."""
    [first] = update("partial_fill", {"status": "partially_filled", "filled_qty": "0.5"}, price="187.1", qty="0.5")
    [second] = update("fill", {"status": "filled", "filled_qty": "2.00"}, price="187.2", qty="1.5")
    assert [fill.price for report in (first, second) for fill in report.fills] == [Decimal("187.1"), Decimal("187.2")]
    activity = {
        "id": "20260918133100250::other", "activity_type": "FILL", "transaction_time": "2026-09-18T13:31:00.25Z",
        "price": "187.2", "qty": "1.5", "side": "buy", "symbol": "AAPL", "order_id": ORDER["id"], "cum_qty": "2",
    }  # fmt: skip
    [_, page] = answered(VENUE.account.fills_after(STOCK, ""), [activity], instrument=STOCK.id)
    assert page.fills[0].fill_id == second.fills[0].fill_id
    assert page.fills[0].fill_id != first.fills[0].fill_id


def test_what_the_venue_takes_back_is_no_report() -> None:
    """Trap 15."""
    for event in ("trade_bust", "trade_correct", "restated"):
        [told] = update(event, {"status": "partially_filled"}, price="1", qty="1")
        assert isinstance(told, Unrecognised)
        assert event in told.error


def test_an_order_of_an_auction_is_foreign() -> None:
    [report] = update("new", {"time_in_force": "opg", "type": "market"})
    assert (report.type, report.venue_type) == (OrderType.FOREIGN, "market opg")


def test_a_whole_share_has_no_fractions() -> None:
    assert (WHOLE.lot_size, STOCK.lot_size, PAIR.lot_size) == (Decimal(1), Decimal("1e-9"), Decimal("1e-9"))
    assert (STOCK.without_book, PAIR.without_book) == (True, False)
    assert (DOGE.tick_size, DOGE.quantity_min) == (Decimal("0.0000001"), Decimal("5.5"))
