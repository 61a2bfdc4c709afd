"""The traps of Coinbase Advanced, one test each, in the order of docs/venue-coinbase.md.

Each has cost a client of that venue orders or money. Most run a session on the simulated venue.
"""

import base64
import json
from collections import Counter
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
import trio
from checked_sessions import CheckedSessions
from coinbase_desk import DIALECT, OWN, PREFIX, Desk, check_books, message
from transport_server import TEXT, Peer, closing, serve
from transport_server import frame as server_frame

from engine.events import Answer, OrderReport, Outcome, Unrecognised, VenueStatus
from engine.live.transport.selection import TransportProfile, open_websocket
from engine.live.transport.websocket import WebsocketClosedError
from engine.market import rows as r
from engine.model import Instrument, Side, TimeInForce
from engine.order_terms import LimitTerms
from engine.venues.coinbase import Coinbase
from engine.venues.signing import Credentials
from engine.venues.venue import Network
from journal.record import Kind
from verbatim.testing import VirtualSession

ORDERS = {"method": "POST", "path": f"{PREFIX}/orders"}
CANCELS = {"method": "POST", "path": f"{PREFIX}/orders/batch_cancel"}
LIMIT = {"limit_limit_gtc": {"base_size": "0.01", "limit_price": "50000", "post_only": False}}


def instrument(symbol: str) -> Instrument:
    base, _, quote = symbol.rpartition("-")
    return Instrument(f"coinbase:{symbol}", "coinbase", symbol, base, quote, 2, 8, Decimal("0.01"), Decimal("1e-8"))


def statuses(session: VirtualSession) -> dict[str, int]:
    return Counter(order.status.value for order in session.state.account.orders.all())


def answers(session: VirtualSession, path: str) -> list[Any]:
    """The bodies of all answers to requests with this path."""
    asked = {record.seq: json.loads(record.body or "") for record in session.kinds(Kind.REQUEST)}
    return [
        json.loads(record.payload or b"null")
        for record in session.kinds(Kind.BROKER)
        if record.meta is not None and record.cause in asked and asked[record.cause]["unsigned"]["path"] == path
    ]


def placing(answer: dict[str, Any], *, status: int = 200) -> tuple[Any, ...]:
    """What the decoder makes of an answer to a placement."""
    terms = LimitTerms(price=Decimal(50000), time_in_force=TimeInForce.GTC)
    unsigned = DIALECT.account.place("ours", instrument("BTC-USD"), Side.BUY, Decimal("0.01"), terms)
    return DIALECT.decode_answer(unsigned, "coinbase:BTC-USD", status, {}, json.dumps(answer).encode())


def test_1_the_id_of_an_order_is_in_the_success_response(start: CheckedSessions) -> None:
    """The top level's order_id is empty: a client that reads it believes that a live order failed."""
    venue = Desk()
    session = start(venue, "script", parameters={"steps": "buy 0.01 limit -1"}).run(5)
    (placed,) = answers(session, ORDERS["path"])
    assert placed["order_id"] == ""
    (order,) = session.state.account.orders.live.values()
    assert order.venue_order_id == placed["success_response"]["order_id"]


def test_2_a_status_of_200_is_no_success_and_a_failure_reason_no_failure(start: CheckedSessions) -> None:
    venue = Desk()
    session = start(venue, "script", parameters={"steps": "buy 0.01 post 1;buy 0.02 limit -1"}).run(10)
    refused, accepted = answers(session, ORDERS["path"])
    assert (refused["success"], accepted["failure_reason"]) == (False, "UNKNOWN_FAILURE_REASON")
    assert statuses(session) == {"rejected": 1, "open": 1}
    reasons = [order.reason for order in session.state.account.orders.all() if order.reason]
    assert [reason.split()[0] for reason in reasons] == ["INVALID_LIMIT_PRICE_POST_ONLY"]
    check_books(session)


def test_3_a_cancel_that_succeeded_is_queued_and_the_order_still_lives(start: CheckedSessions) -> None:
    """CANCEL_QUEUED and QUEUED are live; the end is learned from the order itself."""
    venue = Desk()
    session = start(venue, "script", parameters={"steps": "buy 0.01 limit -1"}).run(5)
    venue.fault(action="drop_events", event="CANCELED")
    session.command("cancel_all").run(0.05, until=lambda s: bool(answers(s, CANCELS["path"])))
    assert answers(session, CANCELS["path"])[0]["results"][0]["success"]
    assert statuses(session) == {"open": 1}, "the answer ended nothing"
    session.run(5)
    assert statuses(session) == {"canceled": 1}, "a query found the end that no frame brought"
    for word in ("PENDING", "QUEUED", "OPEN", "EDIT_QUEUED", "CANCEL_QUEUED"):
        row = {"order_id": "1", "status": word, "product_id": "BTC-USD", "order_side": "BUY", "leaves_quantity": "1"}
        frame = {
            "channel": "user",
            "timestamp": "2026-01-01T00:00:00Z",
            "sequence_num": 1,
            "events": [{"orders": [row]}],
        }
        *_, report = DIALECT.account.decode_private(json.dumps(frame).encode())
        assert isinstance(report, OrderReport)
        assert report.status is VenueStatus.OPEN, word


@pytest.mark.parametrize("uri", ["GET api.coinbase.com/api/v3/brokerage/accounts?limit=250", "GET api.coinbase.com/x",
                                 "POST api.coinbase.com/api/v3/brokerage/accounts", "GET example.com/api/v3/brokerage/accounts"])  # fmt: skip
def test_4_a_token_names_method_host_and_path_without_the_query(uri: str) -> None:
    venue = Desk()
    path = f"{PREFIX}/accounts"
    assert venue.send("GET", path, query="limit=250")[0] == 200
    assert venue.send("GET", path, query="limit=250", token=venue.key.token(venue.now_ns, uri))[0] == 401
    assert venue.protocol.api is not None
    assert venue.protocol.api.refused_tokens[0].startswith("another request")
    used = venue.key.token(venue.now_ns + 7, f"GET api.coinbase.com{path}")
    assert [venue.send("GET", path, token=used)[0] for _ in range(2)] == [200, 401], "each token is for one request"
    old = venue.key.token(venue.now_ns - 121 * 10**9, f"GET api.coinbase.com{path}")
    assert venue.send("GET", path, token=old)[0] == 401


def test_5_the_data_of_a_usdc_product_arrives_under_the_usd_id() -> None:
    """The user channel and orders keep the product's own name."""
    venue = Coinbase([instrument("BTC-USDC"), instrument("USDT-USDC"), instrument("BTC-USD")])
    books = venue.subscriptions("coinbase.market.0")[-1]
    named = [value for name, value in books.params if name == "product_ids[]"]
    assert named == ["BTC-USD", "USDT-USDC"], "each book once; the exceptions have books of their own"
    change = {"side": "bid", "price_level": "60000", "new_quantity": "1"}
    event = {"type": "update", "product_id": "BTC-USD", "updates": [change]}
    frame = {"channel": "l2_data", "timestamp": "2026-01-01T00:00:00Z", "sequence_num": 7, "events": [event]}
    rows = venue.market.decode(json.dumps(frame).encode(), "coinbase.market.0", 1, 1)
    assert isinstance(rows, np.ndarray)
    assert rows[rows[:, r.TYPE] == r.DIFF, r.INSTRUMENT].tolist() == [0, 2]
    desk = Desk()
    conn_id = desk.socket(message("level2", "BTC-USDC"))
    snapshot, confirmed, *_ = desk.frames(conn_id)
    assert snapshot["events"][0]["product_id"] == "BTC-USD"
    assert confirmed["events"][0]["subscriptions"] == {"level2": ["BTC-USD"]}


def test_6_numbers_count_the_frames_of_a_connection_over_all_channels(start: CheckedSessions) -> None:
    """Heartbeats and confirmations have numbers too: two quiet minutes show no gap, and a lost frame shows one."""
    venue = Desk(symbols=("BTC-USD", "ETH-USD"))
    conn_id = venue.socket(message("heartbeats"), message("level2", "BTC-USD"), message("market_trades", "ETH-USD"))
    seen = venue.frames(conn_id, seconds=10)
    assert [frame["sequence_num"] for frame in seen] == list(range(len(seen)))
    assert len({frame["channel"] for frame in seen}) == 4
    session = start(venue).run(120)
    gaps = [session.state.market.counters(i).book_gaps for i in range(2)]
    assert gaps == [0, 0], "two minutes of five channels, and no false gap"
    venue.lose_frame(private=False)
    session.run(10)
    assert [session.state.market.counters(i).book_gaps for i in range(2)] == [1, 1], "one lost frame breaks both books"


def test_7_a_connection_ends_without_a_subscription_in_time_or_without_heartbeats(start: CheckedSessions) -> None:
    venue = Desk()
    late = venue.socket()
    assert venue.frames(late, seconds=4.9) == []
    assert venue.frames(late, seconds=0.2) == [None], "five seconds passed"
    quiet = venue.socket(message("status"))
    assert venue.frames(quiet, seconds=91)[-1] is None, "a quiet channel is closed"
    session = start(venue).run(300)
    downs = [record for record in session.kinds(Kind.LINK) if '"down"' in (record.body or "")]
    assert downs == [], "five minutes: the heartbeats keep both connections open, the private one too"


def test_8_level2_arrives_as_l2_data_and_its_asks_are_offers(start: CheckedSessions) -> None:
    venue = Desk()
    session = start(venue).run(5)
    frames = [json.loads(record.payload or b"{}") for record in session.kinds(Kind.FEED) if record.meta is None]
    books = [frame for frame in frames if frame["channel"] == "l2_data"]
    assert {change["side"] for frame in books for event in frame["events"] for change in event["updates"]} == {
        "bid", "offer",
    }  # fmt: skip
    assert not any(frame["channel"] == "level2" for frame in frames)
    theirs = venue.sim.exchange.markets["BTC-USD"].top(5)
    for side, levels in zip(("bids", "asks"), theirs, strict=True):
        book = session.state.market.book_top(0, 5)
        assert book is not None
        ours = [(int(price * 10**8), int(size * 10**8)) for price, size in getattr(book, side)]
        assert ours == levels


def test_9_fills_are_listed_and_not_computed_from_the_average_price(start: CheckedSessions) -> None:
    """The average is cut to eight places: a fill computed from two of them is no price that anyone paid."""
    venue = Desk()
    session = start(venue, "script", parameters={"steps": "buy 1.3"}).run(10)
    filled = session.facts("order_filled")
    assert len(filled) > 2, "the order took several offers"
    prices = [Decimal(fact["price"]) for fact in filled]
    assert all(price % Decimal("0.01") == 0 for price in prices)
    (row,) = [each for each in venue.ask(f"{PREFIX}/orders/historical/batch")["orders"] if each["filled_size"] != "0"]
    total = sum(Decimal(fact["price"]) * Decimal(fact["quantity"]) for fact in filled)
    assert Decimal(row["average_filled_price"]) * Decimal("1.3") != total, "the average would lose a part of it"
    assert Decimal(row["filled_value"]) == total
    check_books(session)


@pytest.mark.parametrize("profile", list(TransportProfile))
async def test_10_a_snapshot_of_many_mebibytes_is_one_frame(profile: TransportProfile, nursery: trio.Nursery) -> None:
    """Clients that allow one MiB lose the connection with the first frame of the book."""
    updates = [
        {"side": side, "event_time": "2026-01-01T00:00:00.000000Z", "price_level": f"{price}", "new_quantity": "1.5"}
        for side, start in (("bid", 1), ("offer", 60_001))
        for price in range(start, start + 15_000)
    ]
    event = {"type": "snapshot", "product_id": "BTC-USD", "updates": updates}
    frame = {"channel": "l2_data", "timestamp": "2026-01-01T00:00:00Z", "sequence_num": 3, "events": [event]}
    payload = json.dumps(frame).encode()
    assert len(payload) > 3 * 1024 * 1024

    async def handler(peer: Peer) -> None:
        await peer.accept()
        await peer.send(server_frame(TEXT, payload) + server_frame(TEXT, b"the next") + closing(1000))

    messages: list[bytes] = []

    def deliver(_recv_ns: int, received: list[bytes]) -> bool:
        messages.extend(received)
        return True

    server = await serve(nursery, handler)
    with trio.fail_after(30):
        websocket = await open_websocket(profile, server.ws)
        with pytest.raises(WebsocketClosedError, match="1000"):
            await websocket.read(deliver)
        await websocket.close()
    assert messages == [payload, b"the next"], "whole, and the connection stayed"
    rows = Coinbase([instrument("BTC-USD")]).market.decode(messages[0], "coinbase.market.0", 1, 1)
    assert isinstance(rows, np.ndarray)
    assert np.count_nonzero(rows[:, r.TYPE] == r.LEVEL) == 30_000


def test_11_the_sandbox_proves_formats_only() -> None:
    """It has static answers, no streams and no keys: no session can run there, and its key rights prove nothing."""
    sandbox = Coinbase.endpoints[Network.TESTNET]
    assert (sandbox.rest, sandbox.stream, sandbox.private) == ("https://api-sandbox.coinbase.com", "", "")
    assert Coinbase.key_rights.request(Network.TESTNET) is None
    assert Coinbase.key_rights.request(Network.LIVE) is not None


def test_12_expired_and_failed_are_not_canceled_and_three_fields_may_hold_a_reason() -> None:
    row = {"order_id": "1", "product_id": "BTC-USD", "order_side": "BUY"}
    found = {}
    for word in ("CANCELLED", "EXPIRED", "FAILED", "FILLED"):
        orders = [{**row, "status": word, "reject_reason": "INSUFFICIENT_FUND" if word == "FAILED" else ""}]
        frame = {
            "channel": "user",
            "timestamp": "2026-01-01T00:00:00Z",
            "sequence_num": 1,
            "events": [{"orders": orders}],
        }
        *_, report = DIALECT.account.decode_private(json.dumps(frame).encode())
        assert isinstance(report, OrderReport)
        found[word] = report.status.value, report.reason
    assert found == {
        "CANCELLED": ("canceled", ""),
        "EXPIRED": ("expired", ""),
        "FAILED": ("rejected", "INSUFFICIENT_FUND"),
        "FILLED": ("filled", ""),
    }
    empty = {"error": "UNKNOWN_FAILURE_REASON", "preview_failure_reason": "UNKNOWN_PREVIEW_FAILURE_REASON",
             "new_order_failure_reason": "UNKNOWN_FAILURE_REASON"}  # fmt: skip
    for field in empty:
        (answer,) = placing({"success": False, "error_response": {**empty, field: "INVALID_LIMIT_PRICE_POST_ONLY"}})
        assert (answer.outcome, answer.code) == (Outcome.REFUSED, "INVALID_LIMIT_PRICE_POST_ONLY"), field
    (answer,) = placing({"success": False, "error_response": empty})
    assert answer.outcome is Outcome.UNKNOWN, "without a reason nothing is proved"


def test_13_an_edit_without_a_size_is_an_edit_to_nothing() -> None:
    """The venue counts the missing size as 0. The engine edits no orders here: an edit needs the price too."""
    venue = Desk()
    venue.frames(0, seconds=1)
    placed = venue.place("edited", "BUY", LIMIT)["success_response"]["order_id"]
    edits = [{}, {"price": "50000"}, {"price": "50000", "size": "0.02"}, {"price": "50000", "size": "0.004"}]
    told = [venue.send("POST", f"{PREFIX}/orders/edit", body={"order_id": placed, **edit})[1] for edit in edits]
    reasons = [each["errors"][0]["edit_failure_reason"] if each["errors"] else "" for each in told]
    assert reasons == ["INVALID_EDITED_SIZE", "INVALID_EDITED_SIZE", "REPLACE_NOT_SUPPORTED", ""]
    order = venue.ask(f"{PREFIX}/orders/historical/{placed}")["order"]
    assert order["order_configuration"]["limit_limit_gtc"]["base_size"] == "0.004"
    assert not Coinbase.capabilities.amend


@pytest.mark.parametrize(("secret", "passphrase"), [("c2VjcmV0LW9mLXRoZS1vbGQtQVBJ", ""), ("x" * 64, "phrase"),
                                                    ("-----BEGIN EC PRIVATE KEY-----\nbm90aGluZw==\n-----END EC PRIVATE KEY-----", "")])  # fmt: skip
def test_14_keys_of_the_old_api_are_refused_by_name(secret: str, passphrase: str) -> None:
    with pytest.raises(ValueError, match=r"old API|copy it again") as found:
        DIALECT.signer.load_key(Credentials("a-key", secret, passphrase))
    assert secret not in str(found.value)
    message = DIALECT.signer.sign_http(DIALECT.account.balances(), Desk().key, 10**18)
    assert not any(name.upper().startswith("CB-ACCESS") for name, _ in message.headers)


def test_15_a_cancel_that_ends_in_5xx_leaves_the_order_and_nothing_is_placed_again(start: CheckedSessions) -> None:
    venue = Desk()
    session = start(venue, "requote", own_symbols=OWN).run(5)
    assert statuses(session) == {"open": 1}
    venue.fault(action="reject", status=503, msg="upstream connect error", times=2, **CANCELS)
    session.command("cancel_all").run(1)
    assert statuses(session) == {"open": 1}, "the venue did not say that it is gone"
    session.run(30)
    placed = list(session.state.account.orders.all())
    assert placed[0].status.value == "canceled", "the cancel was repeated until the order's own state showed its end"
    assert len(placed) == 1, "a strategy does not trade on while its orders are to be gone"
    codes = [json.loads(record.meta or "{}").get("status") for record in session.kinds(Kind.BROKER)]
    assert codes.count(503) == 2, "the fault struck twice"
    check_books(session)


def test_a_frame_without_a_number_is_not_read_as_an_old_one() -> None:
    """It would be dropped as older than the book, and the book would rot in silence."""
    event = {"type": "update", "product_id": "BTC-USD", "updates": []}
    frame = {"channel": "l2_data", "timestamp": "2026-01-01T00:00:00Z", "events": [event]}
    venue = Coinbase([instrument("BTC-USD")])
    (found,) = venue.market.decode(json.dumps(frame).encode(), "coinbase.market.0", 1, 1)
    assert isinstance(found, Unrecognised)


# ---- ids that are used again (sheet, section 7)


@pytest.mark.parametrize("refuses", [False, True], ids=["answered by its order", "refused as a duplicate"])
def test_an_id_that_was_used_creates_nothing_and_is_compared_with_what_was_meant(*, refuses: bool) -> None:
    """Both behaviours of the venue are UNKNOWN to the engine, which queries: there is one order."""
    venue = Desk()
    venue.frames(0, seconds=1)
    assert venue.protocol.api is not None
    venue.protocol.api.placed.refuses_duplicates = refuses
    first = venue.place("ours", "BUY", LIMIT)
    again = venue.place("ours", "BUY", {"limit_limit_gtc": {**LIMIT["limit_limit_gtc"], "base_size": "0.5"}})
    assert len(venue.sim.exchange.orders) == 1
    assert placing(first)[0].outcome is Outcome.DONE
    terms = LimitTerms(price=Decimal(50000), time_in_force=TimeInForce.GTC)
    unsigned = DIALECT.account.place("ours", instrument("BTC-USD"), Side.BUY, Decimal("0.5"), terms)
    (answer,) = DIALECT.decode_answer(unsigned, "coinbase:BTC-USD", 200, {}, json.dumps(again).encode())
    assert isinstance(answer, Answer)
    assert (answer.outcome, answer.code) == (
        Outcome.UNKNOWN,
        "DUPLICATE_CLIENT_ORDER_ID" if refuses else "ANOTHER_ORDER",
    )


def test_the_sandbox_of_keys_is_base64_of_32_or_64_bytes() -> None:
    """An Ed25519 key is copied as its seed, or as seed and public key: the signatures are equal."""
    seed = bytes(range(32))
    whole = seed + b"\x01" * 32
    tokens = {
        DIALECT.signer.load_key(Credentials("k", base64.b64encode(raw).decode())).token(10**18) for raw in (seed, whole)
    }
    assert len(tokens) == 1
