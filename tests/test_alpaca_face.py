"""The simulated Alpaca by its HTTP interface and its streams, without a session: its rules for ids, errors and limits."""

import json
from decimal import Decimal
from typing import Any

import pytest
from broker_venue import HEADERS, BrokerVenue

from engine.sim.alpaca.market_hours import MarketHours
from engine.sim.wire import Outgoing
from engine.venues.timestamps import time_text
from verbatim.testing import API_KEY, API_SECRET, START_NS

MINUTE_NS = 60_000_000_000
AUTH = {"action": "auth", "key": API_KEY, "secret": API_SECRET}


@pytest.fixture
def venue() -> BrokerVenue:
    made = BrokerVenue(balances={"USD": "1000000", "AAPL": "10", "BTC": "1"})
    made.now_ns += 3_000_000_000
    made.sim.advance(made.now_ns)
    return made


class Client:
    """One websocket of a test."""

    def __init__(self, venue: BrokerVenue, target: str) -> None:
        self.venue, self.conn_id = venue, venue.new_conn_id()
        self.frames: list[Outgoing] = []
        assert venue.sim.connect(self.conn_id, target, venue.now_ns)

    def say(self, message: dict[str, Any] | bytes) -> Any:
        """Send a message; return the last frame that came since."""
        data = message if isinstance(message, bytes) else json.dumps(message).encode()
        self.venue.sim.frame(self.conn_id, data, self.venue.now_ns)
        return self.read()[-1]

    def read(self, wait_ns: int = 0) -> list[Any]:
        """Return the frames that came, after a wait."""
        self.venue.now_ns += wait_ns
        found = [out for out in self.venue.sim.advance(self.venue.now_ns) if out.conn_id == self.conn_id]
        self.frames += found
        return [json.loads(out.frame) for out in found if out.frame is not None]

    def close(self) -> None:
        self.venue.sim.close(self.conn_id, self.venue.now_ns)


def test_a_key_of_another_network_or_none_is_not_authorized(venue: BrokerVenue) -> None:
    no_headers: dict[str, str] = {}
    for headers in (no_headers, {**HEADERS, "apca-api-secret-key": "live"}, {**HEADERS, "apca-api-key-id": "AKLIVE"}):
        status, _, body = venue.request("GET", "/v2/account", headers=headers)
        assert (status, json.loads(body)["code"]) == (401, 40110000)
    assert Client(venue, "/stream").say({**AUTH, "secret": "live"})["data"]["status"] == "unauthorized"
    assert Client(venue, "/v2/iex").say({**AUTH, "key": "live"})[0]["code"] == 402


def test_two_hundred_requests_a_minute_and_the_reset_in_seconds(venue: BrokerVenue) -> None:
    answers = [venue.request("GET", "/v2/clock") for _ in range(201)]
    assert [status for status, _, _ in answers] == [200] * 200 + [429]
    _, headers, body = answers[-1]
    assert json.loads(body) == {"code": 42910000, "message": "rate limit exceeded"}
    assert (headers["x-ratelimit-limit"], headers["x-ratelimit-remaining"]) == ("200", "0")
    reset_s = int(headers["x-ratelimit-reset"])
    assert 0 < reset_s - venue.now_ns // 10**9 <= 60
    venue.now_ns = reset_s * 10**9
    assert venue.request("GET", "/v2/clock")[0] == 200


@pytest.mark.parametrize(
    ("fields", "status", "text"),
    [
        ({"limit_price": "187.205"}, 422, "sub-penny increment does not fulfill minimum pricing criteria"),
        ({"limit_price": 0.1 + 0.2, "qty": "10"}, 422, "sub-penny"),
        ({"limit_price": "0.12345", "qty": "100"}, 422, "sub-penny"),
        ({"qty": "0.5", "time_in_force": "gtc"}, 422, "fractional orders must be DAY orders"),
        ({"qty": "1", "notional": "100"}, 422, "exactly one of qty and notional"),
        ({"qty": None}, 422, "exactly one of qty and notional"),
        ({"qty": "0"}, 400, "qty must be > 0"),
        ({"qty": "1.0000000001"}, 422, "decimal places"),
        ({"limit_price": "0.50", "qty": "1"}, 422, "cost basis must be >= 1"),
        ({"type": "market", "qty": None, "notional": "100.005", "time_in_force": "day"}, 422, "decimal places"),
        ({"extended_hours": True, "type": "market", "time_in_force": "day"}, 422, "extended hours"),
        ({"time_in_force": "opg"}, 422, "not implemented"),
        ({"order_class": "bracket"}, 422, "not implemented"),
        ({"symbol": "NONE"}, 422, "not found"),
        ({"symbol": "BTC/USD", "qty": "0.0001", "limit_price": "60000", "time_in_force": "gtc"}, 403, "cost basis"),
        ({"symbol": "BTC/USD", "qty": "1", "time_in_force": "day"}, 422, "invalid crypto time_in_force"),
        ({"symbol": "BTC/USD", "qty": "1", "type": "stop", "stop_price": "1"}, 422, "invalid order type for crypto"),
        ({"side": "sell", "qty": "11", "limit_price": "90000"}, 403, "insufficient qty available for order"),
        ({"qty": "1000", "limit_price": "60000"}, 403, "insufficient buying power"),
        ({"client_order_id": "x" * 129}, 422, "client_order_id"),
    ],
)
def test_an_order_that_breaks_a_rule_is_refused_in_the_brokers_words(
    venue: BrokerVenue, fields: dict[str, Any], status: int, text: str
) -> None:
    told_status, told = venue.order(**fields)
    assert (told_status, text in told["message"]) == (status, True), told
    assert venue.ask("GET", "/v2/orders", status="all")[1] == []


def test_a_body_that_is_no_order_is_a_bad_request(venue: BrokerVenue) -> None:
    bodies: list[Any] = [[], "text", {"symbol": 1}]
    for body in bodies:
        status, told = venue.ask("POST", "/v2/orders", body)
        assert (status, told["code"]) == (400, 40010000)
    assert venue.ask("GET", "/v2/nothing")[0] == 404


def test_a_cent_below_a_dollar_has_four_places(venue: BrokerVenue) -> None:
    assert venue.order(limit_price="0.1234", qty="100")[0] == 200


def test_a_client_order_id_is_taken_for_the_accounts_whole_life(venue: BrokerVenue) -> None:
    status, order = venue.order(client_order_id="mine")
    assert (status, order["status"], order["filled_qty"]) == (200, "pending_new", "0")
    assert venue.ask("DELETE", f"/v2/orders/{order['id']}") == (204, None)
    status, told = venue.order(client_order_id="mine")
    assert (status, told["message"]) == (422, "client_order_id must be unique")
    _, found = venue.ask("GET", "/v2/orders:by_client_order_id", client_order_id="mine")
    assert (found["id"], found["status"]) == (order["id"], "canceled")
    assert venue.ask("GET", "/v2/orders:by_client_order_id", client_order_id="other")[0] == 404


def test_the_list_is_of_open_orders_and_ends_at_its_limit(venue: BrokerVenue) -> None:
    ids = [venue.order()[1]["id"] for _ in range(52)]
    venue.ask("DELETE", f"/v2/orders/{ids[0]}")
    assert len(venue.ask("GET", "/v2/orders")[1]) == 50
    _, listed = venue.ask("GET", "/v2/orders", limit="500", direction="asc")
    assert [each["id"] for each in listed] == ids[1:]
    assert len(venue.ask("GET", "/v2/orders", status="all", limit="500")[1]) == 52
    assert venue.ask("GET", "/v2/orders", status="closed")[1][0]["status"] == "canceled"


def test_an_opposite_order_that_could_cross_is_a_wash_trade(venue: BrokerVenue) -> None:
    _, buy = venue.order(limit_price="59000")
    status, told = venue.order(side="sell", limit_price="58000")
    assert (status, told["existing_order_id"]) == (403, buy["id"])
    assert "potential wash trade detected" in told["message"]
    assert venue.order(side="sell", limit_price="61000")[0] == 200
    assert venue.order(side="sell", type="market", time_in_force="day")[0] == 403


def test_a_replaced_order_goes_on_under_another_id(venue: BrokerVenue) -> None:
    updates = Client(venue, "/stream")
    updates.say(AUTH)
    updates.say({"action": "listen", "data": {"streams": ["trade_updates"]}})
    _, old = venue.order(qty="4", limit_price="59000")
    venue.trade("AAPL", "58999", "1")
    status, new = venue.ask("PATCH", f"/v2/orders/{old['id']}", {"qty": "3", "limit_price": "58000"})
    assert (status, new["replaces"]) == (200, old["id"])
    assert new["id"] != old["id"]
    _, ended = venue.ask("GET", f"/v2/orders/{old['id']}")
    assert (ended["status"], ended["replaced_by"], ended["filled_qty"]) == ("replaced", new["id"], "1")
    assert venue.ask("GET", f"/v2/orders/{new['id']}")[1]["status"] == "new"
    assert venue.ask("PATCH", f"/v2/orders/{old['id']}", {"qty": "2"})[0] == 422
    told = [json.loads(out.frame)["data"]["event"] for out in _updates(updates) if out.frame]
    assert told[-3:] == ["replaced", "pending_new", "new"]


def _updates(client: Client) -> list[Outgoing]:
    client.read(2_000_000_000)
    return [out for out in client.frames if out.frame and b"trade_updates" in out.frame and b'"event"' in out.frame]


def test_a_cancel_is_a_request_and_the_shares_stay_held(venue: BrokerVenue) -> None:
    venue.broker.desk.cancel_wait_ns = 30_000_000_000
    _, order = venue.order(side="sell", qty="10", limit_price="90000")
    assert venue.ask("DELETE", f"/v2/orders/{order['id']}")[0] == 204
    assert venue.ask("GET", f"/v2/orders/{order['id']}")[1]["status"] == "pending_cancel"
    assert venue.ask("DELETE", f"/v2/orders/{order['id']}")[0] == 422
    status, told = venue.order(side="sell", qty="1", limit_price="90000")
    assert (status, told["held_for_orders"], told["available"]) == (403, "10", "0")
    venue.now_ns += 31_000_000_000
    venue.sim.advance(venue.now_ns)
    assert venue.ask("GET", f"/v2/orders/{order['id']}")[1]["status"] == "canceled"
    assert venue.order(side="sell", qty="1", limit_price="90000")[0] == 200


def test_crypto_pays_its_fee_out_of_what_it_receives(venue: BrokerVenue) -> None:
    _, order = venue.order(symbol="BTC/USD", type="market", qty="0.1", time_in_force="ioc")
    _, filled = venue.ask("GET", f"/v2/orders/{order['id']}")
    assert (filled["status"], filled["filled_qty"]) == ("filled", "0.1")
    [held] = [each for each in venue.ask("GET", "/v2/positions")[1] if each["asset_class"] == "crypto"]
    assert (held["symbol"], held["qty"]) == ("BTCUSD", "1.09975")
    assert venue.ask("GET", "/v2/positions/BTC%2FUSD")[0] == 404
    assert venue.ask("GET", f"/v2/positions/{held['asset_id']}")[1]["qty"] == "1.09975"
    _, fills = venue.ask("GET", "/v2/account/activities", direction="asc")
    assert fills[-1]["cum_qty"] == "0.1"
    assert not any("fee" in name for name in fills[-1])


def test_stocks_pay_no_fee_and_prices_are_of_each_fill(venue: BrokerVenue) -> None:
    before = Decimal(venue.ask("GET", "/v2/account")[1]["cash"])
    _, order = venue.order(type="market", qty="1.2", time_in_force="day")
    _, filled = venue.ask("GET", f"/v2/orders/{order['id']}")
    _, fills = venue.ask("GET", "/v2/account/activities/FILL", order_id=order["id"], direction="asc")
    paid = sum(Decimal(each["price"]) * Decimal(each["qty"]) for each in fills)
    assert len({each["price"] for each in fills}) > 1, "it took several levels"
    assert before - Decimal(venue.ask("GET", "/v2/account")[1]["cash"]) == paid
    assert abs(Decimal(filled["filled_avg_price"]) - paid / Decimal("1.2")) < Decimal("1e-7")
    assert [each["type"] for each in fills] == ["partial_fill"] * (len(fills) - 1) + ["fill"]


def test_pages_of_activities_continue_behind_the_last_id(venue: BrokerVenue) -> None:
    for _ in range(3):
        venue.order(type="market", qty="1", time_in_force="day")
        venue.now_ns += 1_000_000_000
        venue.sim.advance(venue.now_ns)
    _, every = venue.ask("GET", "/v2/account/activities/FILL", direction="asc")
    first = venue.ask("GET", "/v2/account/activities/FILL", direction="asc", page_size="2")[1]
    rest = venue.ask("GET", "/v2/account/activities/FILL", direction="asc", page_token=first[-1]["id"])[1]
    assert first + rest == every
    after = venue.ask("GET", "/v2/account/activities/FILL", after=every[0]["transaction_time"], direction="asc")[1]
    assert after[0]["transaction_time"] > every[0]["transaction_time"]
    assert venue.ask("GET", "/v2/account/activities/FILL", page_size="101")[0] == 422
    assert venue.ask("GET", "/v2/account/activities/FEE")[1] == []


def test_all_orders_and_positions_of_the_account_go_at_once(venue: BrokerVenue) -> None:
    venue.order()
    venue.order(symbol="BTC/USD", limit_price="50000", qty="1")
    status, told = venue.ask("DELETE", "/v2/orders")
    assert (status, len(told)) == (207, 2)
    assert venue.ask("GET", "/v2/orders")[1] == []
    status, told = venue.ask("DELETE", "/v2/positions")
    assert (status, {each["status"] for each in told}) == (207, {200})
    _, left = venue.ask("GET", "/v2/positions")
    assert sum(Decimal(each["qty"]) for each in left) < 11, "as much as the book takes is sold"


def test_day_fields_of_the_pattern_day_trader_are_gone(venue: BrokerVenue) -> None:
    _, account = venue.ask("GET", "/v2/account")
    assert not {"pattern_day_trader", "daytrade_count", "daytrading_buying_power"} & account.keys()


def test_outside_the_hours_stocks_wait_and_day_orders_end_at_the_close(venue: BrokerVenue) -> None:
    begin = START_NS // MINUTE_NS * MINUTE_NS
    venue.broker.desk.hours = MarketHours(((begin + 2 * MINUTE_NS, begin + 3 * MINUTE_NS),))
    _, clock = venue.ask("GET", "/v2/clock")
    assert (clock["is_open"], clock["next_open"]) == (False, time_text(begin + 2 * MINUTE_NS))
    assert len(venue.ask("GET", "/v2/calendar")[1]) == 1
    assert venue.order(type="market", time_in_force="day", qty="1")[1]["status"] == "accepted"
    _, far = venue.order(time_in_force="day", qty="1", limit_price="100", client_order_id="far")
    assert venue.order(time_in_force="gtc", extended_hours=True)[1]["status"] == "pending_new"
    assert venue.order(symbol="BTC/USD", type="market", qty="0.1", time_in_force="gtc")[1]["status"] == "pending_new"
    statuses = {each["id"]: each["status"] for each in venue.ask("GET", "/v2/orders", status="all")[1]}
    assert statuses[far["id"]] == "accepted"
    venue.now_ns = begin + 2 * MINUTE_NS + 10**9
    venue.sim.advance(venue.now_ns)
    told = {each["client_order_id"]: each["status"] for each in venue.ask("GET", "/v2/orders", status="all")[1]}
    assert told["far"] == "new"
    assert sorted(told.values()) == ["filled", "filled", "new", "new"]
    venue.now_ns = begin + 3 * MINUTE_NS + 10**9
    venue.sim.advance(venue.now_ns)
    assert venue.ask("GET", f"/v2/orders/{far['id']}")[1]["status"] == "expired"


def test_a_feed_has_one_place_for_an_account(venue: BrokerVenue) -> None:
    venue.broker.slot_linger_ns = 10_000_000_000
    first, second = Client(venue, "/v2/iex"), Client(venue, "/v2/iex")
    assert first.read() == [[{"T": "success", "msg": "connected"}]]
    assert second.say({"action": "subscribe", "quotes": ["AAPL"]})[0]["code"] == 401
    assert first.say(AUTH) == [{"T": "success", "msg": "authenticated"}]
    assert first.say(AUTH)[0]["code"] == 403
    assert second.say(AUTH)[0]["code"] == 406
    first.close()
    assert second.say(AUTH)[0]["code"] == 406, "the closed one still holds the place"
    venue.now_ns += 11_000_000_000
    assert second.say(AUTH)[0]["T"] == "success"
    assert second.say(b"no json")[0]["code"] == 400
    assert second.say({"action": "fly"})[0]["code"] == 410


def test_subscriptions_add_up_and_a_book_begins_with_a_reset(venue: BrokerVenue) -> None:
    feed = Client(venue, "/v1beta3/crypto/us")
    feed.say(AUTH)
    feed.say({"action": "subscribe", "quotes": ["BTC/USD"]})
    [told] = feed.say({"action": "subscribe", "orderbooks": ["BTC/USD"], "trades": ["NONE/USD"]})
    assert (told["quotes"], told["orderbooks"], told["trades"]) == (["BTC/USD"], ["BTC/USD"], ["NONE/USD"])
    frames = [message for frame in feed.read(10_000_000_000) for message in frame]
    books = [message for message in frames if message["T"] == "o"]
    assert books[0]["r"] is True
    assert len(books) > 1
    assert not any("r" in message for message in books[1:])
    assert any(message["T"] == "q" for message in frames)
    feed.say({"action": "unsubscribe", "orderbooks": ["BTC/USD"]})
    assert all(message["T"] == "q" for frame in feed.read(10_000_000_000) for message in frame)


def test_the_accounts_stream_takes_both_logins_and_its_frames_are_binary(venue: BrokerVenue) -> None:
    old = {"action": "authenticate", "data": {"key_id": API_KEY, "secret_key": API_SECRET}}
    for login in (AUTH, old):
        client = Client(venue, "/stream")
        assert client.say({"action": "listen", "data": {"streams": ["trade_updates"]}})["data"]["streams"] == []
        assert client.say(login)["data"]["status"] == "authorized"
        assert client.say({"action": "listen", "data": {"streams": ["trade_updates"]}})["stream"] == "listening"
        _, order = venue.order(client_order_id=f"of {login['action']}")
        client.read()
        sent = _updates(client)
        assert [json.loads(out.frame or b"")["data"]["event"] for out in sent] == ["pending_new", "new"]
        assert all(out.binary for out in client.frames)
        assert json.loads(sent[-1].frame or b"")["data"]["order"]["id"] == order["id"]
        client.say({"action": "listen", "data": {"streams": []}})
        venue.order()
        assert _updates(client) == sent, "a list replaces the one before"
