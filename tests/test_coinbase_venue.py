"""Coinbase as a venue: the contract, its tokens, documented messages, and real books of the same matching engine.

The capture is of the sister feed (Coinbase Exchange); its messages are written as those of Advanced, number by number.
"""

import base64
import json
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from engine.events import AccountReport, Answer, Event, FillsReport, InstrumentsReport, OrderReport, Outcome, Subscribed
from engine.market import rows as r
from engine.market.market_state import Market
from engine.model import Instrument
from engine.requests import Transport, Unsigned
from engine.venues.coinbase import Coinbase, calls
from engine.venues.coinbase.signer import token
from engine.venues.optional_parts import KeyRights
from engine.venues.signing import Credentials
from engine.venues.venue import RowsAndEvents
from verbatim.testing import check_venue

VECTORS = Path(__file__).parent / "vectors" / "coinbase"
DIALECT = Coinbase(())
KEY = "organizations/org/apiKeys/key"
SEED = bytes(range(32))
NOW_NS = 1_750_000_000 * 10**9


def test_it_keeps_the_contract_of_a_venue() -> None:
    checked = check_venue(Coinbase, VECTORS)
    assert "account_signatures_are_repeatable" in checked
    assert "account_fill_cursors_are_ordered" in checked


# ---- tokens


def parts(signed: str) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """Header, claims and signature of a token."""
    head, body, signature = (base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in signed.split("."))
    return json.loads(head), json.loads(body), signature


def test_a_known_token_has_its_known_signature() -> None:
    """Ed25519, the bytes 0 to 31 as seed (fact sheet, section 2)."""
    header = {"alg": "EdDSA", "kid": KEY, "nonce": "00", "typ": "JWT"}
    uri = "GET api.coinbase.com/api/v3/brokerage/accounts"
    claims = {"sub": KEY, "iss": "cdp", "nbf": 1_750_000_000, "exp": 1_750_000_120, "uri": uri}
    signed = token(header, claims, Ed25519PrivateKey.from_private_bytes(SEED).sign)
    expected = "_eJDMVOPsV5MYoFJqr-k5ClCFpDc7M37mgEJq4TiMkuKITxnbe4HqJjYtFycJc5VDK3sdUXK28kVaYY4WQU9Bg"
    assert signed.rpartition(".")[2] == expected
    key = DIALECT.signer.load_key(Credentials(KEY, base64.b64encode(SEED).decode()))
    made, told, _ = parts(key.token(NOW_NS, uri))
    assert ({**made, "nonce": "00"}, told) == (header, claims)
    assert "uri" not in parts(key.token(NOW_NS))[1], "a subscription names no request"


def test_an_es256_token_verifies_with_two_numbers_of_32_bytes() -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    for form in (serialization.PrivateFormat.TraditionalOpenSSL, serialization.PrivateFormat.PKCS8):
        pem = private.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
        for text in (pem, pem.replace("\n", "\\n")):  # the venue's JSON file writes line ends as two characters
            signed = DIALECT.signer.load_key(Credentials(KEY, text)).token(NOW_NS, "GET api.coinbase.com/x")
            header, _, signature = parts(signed)
            assert (header["alg"], len(signature)) == ("ES256", 64)
            der = encode_dss_signature(*(int.from_bytes(half, "big") for half in (signature[:32], signature[32:])))
            private.public_key().verify(der, signed.rpartition(".")[0].encode(), ec.ECDSA(hashes.SHA256()))


def test_each_frame_and_each_request_has_a_token_of_its_own() -> None:
    key = DIALECT.signer.load_key(Credentials(KEY, base64.b64encode(SEED).decode()))
    frames = [json.loads(DIALECT.signer.sign_frame(one, key, NOW_NS + n, "")) for n, one in
              enumerate(DIALECT.subscriptions("coinbase.private.0"))]  # fmt: skip
    assert [frame["channel"] for frame in frames] == ["heartbeats", "user"]
    assert len({frame["jwt"] for frame in frames}) == 2
    message = DIALECT.signer.sign_http(DIALECT.account.open_orders(), key, NOW_NS)
    assert message.path_and_query == "/api/v3/brokerage/orders/historical/batch?order_status=OPEN&limit=1000"
    claims = parts(dict(message.headers)["Authorization"].removeprefix("Bearer "))[1]
    assert claims["uri"] == "GET api.coinbase.com/api/v3/brokerage/orders/historical/batch"


# ---- documented messages (42 cases)


def cases(shared_data: Path) -> Iterator[dict[str, Any]]:
    for line in (shared_data / "rest/coinbase/jkorf-coinbase.jsonl").read_text("utf-8").splitlines():
        yield json.loads(line)


def read(unsigned: Unsigned, payload: str, instrument: str = "") -> tuple[Event, ...]:
    return DIALECT.decode_answer(unsigned, instrument, 200, {}, payload.encode())


def test_the_documented_answers_decode_to_their_known_values(shared_data: Path) -> None:
    by_name = {case["file"].rpartition("/")[2].removesuffix(".txt"): case for case in cases(shared_data)}
    assert Counter(case["kind"] for case in by_name.values()) == {"rest": 36, "stream": 6}
    answers = {name: case["response"] for name, case in by_name.items() if case["kind"] == "rest"}

    cancel = Unsigned(Transport.REST, "POST", calls.CANCEL, (("order_ids[]", "0000-00000"),), signed=True)
    assert read(cancel, answers["CancelOrders"]) == (Answer(Outcome.DONE),)

    query = Unsigned(Transport.REST, "GET", calls.ORDER + "0000-000000-000000", (), signed=True)
    done, order = read(query, answers["GetOrder"], "coinbase:BTC-USD")
    assert isinstance(order, OrderReport)
    assert (done, order.client_order_id, order.filled_quantity) == (
        Answer(Outcome.DONE), "11111-000000-000000", Decimal("0.001"),
    )  # fmt: skip
    assert (order.status.value, order.venue_type, order.reason) == (
        "partially_filled",
        "UNKNOWN_ORDER_TYPE",
        "string, string",
    )
    other = Unsigned(Transport.REST, "GET", calls.ORDER + "123", (), signed=True)
    assert read(other, answers["GetOrder"])[0] == Answer(Outcome.UNKNOWN), "it is another order than was asked for"

    _, page = read(Unsigned(Transport.REST, "GET", calls.FILLS, (), signed=True), answers["GetUserTrades"])
    assert isinstance(page, FillsReport)
    (fill,) = page.fills
    told = fill.fill_id, fill.price, fill.quantity, fill.fee, fill.fee_asset, fill.maker, fill.venue_ns
    sequenced_ns = 1_622_455_139 * 10**9
    assert told == ("22222-2222222-22222222", 10_000, Decimal("0.001"), Decimal("1.25"), "USD", False, sequenced_ns)

    products = DIALECT.metadata.read(answers["GetSymbols"].encode())
    (product,) = products.instruments
    assert (product.symbol, product.tick_size, product.quantity_max) == ("BTC-USD", Decimal("1e-8"), 1_000)
    assert not product.trading, "the documentation's product is cancel-only"
    assert DIALECT.key_rights.read(answers["GetApiKeyInfo"].encode()) == KeyRights(
        reads=True, trades=True, withdraws=True, is_ip_bound=None
    )
    of_no_use = [name for name, case in by_name.items() if case["kind"] == "rest" and not is_ours(case["path"])]
    assert len(of_no_use) == 30, "transfers, portfolios, derivatives and the sister API: no request of ours"


def is_ours(path: str) -> bool:
    return path.startswith(("/api/v3/brokerage/orders/historical", "/api/v3/brokerage/orders/batch_cancel")) or path in (
        "/api/v3/brokerage/key_permissions", "/api/v3/brokerage/market/products",
        "/api/v3/brokerage/orders/close_position",
    )  # fmt: skip


def eth_usdt(*, quotes_from_book: bool = True) -> Instrument:
    return Instrument(
        "coinbase:ETH-USDT", "coinbase", "ETH-USDT", "ETH", "USDT", 2, 8, Decimal("0.01"), Decimal("1e-8"),
        quotes_from_book=quotes_from_book,
    )  # fmt: skip


def test_the_documented_frames_decode_to_their_known_values(shared_data: Path) -> None:
    market = Coinbase([eth_usdt(quotes_from_book=False)]).market
    kinds: Counter[str] = Counter()
    numbers: dict[str, list[int]] = {}
    for case in cases(shared_data):
        for frame in case.get("frames", []):
            text = frame["text"].lstrip("12 ")  # one case has the number of its connection before each message
            if frame["dir"] == "sent" or "BTC-USDT" in text:
                continue
            found = market.decode(text.encode(), "coinbase.market.0", 1, 1)
            name = case["file"].rpartition("/")[2].removesuffix(".txt")
            if isinstance(found, RowsAndEvents):
                assert any(isinstance(event, Subscribed) for event in found.events), (name, found.events)
                kinds["confirmations"] += 1
                continue
            assert isinstance(found, np.ndarray), (name, found)
            kinds.update(found[:, r.TYPE].tolist())
            numbers.setdefault(name, []).append(json.loads(text)["sequence_num"])
            if name == "Trades":
                trades = found[found[:, r.TYPE] == r.TRADE]
                assert trades[:, r.TRADE_ID].tolist() == [22381690, 22381691], "they come newest first"
                assert trades[:, r.TRADE_PRICE].tolist() == [237556, 237556]
            if name == "Ticker":
                (quote,) = found[found[:, r.TYPE] == r.QUOTE].tolist()
                assert quote[r.QUOTE_BID : r.QUOTE_ID] == [2193198, 800021000000, 2193398, 803807770938]
    assert kinds == {"confirmations": 6, r.NUMBERED: 6, r.TRADE: 2, r.QUOTE: 1}
    assert numbers["Heartbeat"] == [1], "the confirmation was number 0: one counter for all channels"


def test_accounts_are_free_and_held() -> None:
    """The documented list of accounts is not among the shared cases; this one is of the venue's guide."""
    rows = [{"uuid": "1", "currency": "USD", "available_balance": {"value": "1.23", "currency": "USD"},
             "hold": {"value": "0.77", "currency": "USD"}}]  # fmt: skip
    _, report = read(DIALECT.account.balances(), json.dumps({"accounts": rows, "has_next": False}))
    assert isinstance(report, AccountReport)
    (usd,) = report.balances
    assert (usd.asset, usd.free, usd.locked) == ("USD", Decimal("1.23"), Decimal("0.77"))


# ---- real books


def products(shared_data: Path) -> InstrumentsReport:
    """The products of the capture, as Advanced would describe them."""
    line = (shared_data / "captures/cryptofeed/COINBASE.0").read_text("utf-8").splitlines()[0]
    listed = json.loads(line.partition(": ")[2])
    rows = [
        {
            "product_id": row["id"],
            "price_increment": row["quote_increment"],
            "base_increment": row["base_increment"],
            "base_min_size": row["base_min_size"],
            "base_max_size": row["base_max_size"],
            "quote_currency_id": row["quote_currency"],
            "base_currency_id": row["base_currency"],
            "quote_min_size": row["min_market_funds"],
            "status": row["status"],
        }
        for row in listed
    ]
    return DIALECT.metadata.read(json.dumps({"products": rows}).encode())


def as_advanced(message: dict[str, Any], number: int) -> bytes | None:
    """Return a message of the sister feed as Advanced writes it; None for one that it does not have."""
    product = message.get("product_id", "")
    match message["type"]:
        case "snapshot":
            levels = [("bid", *level) for level in message["bids"]] + [("offer", *level) for level in message["asks"]]
            channel, kind = "l2_data", "snapshot"
        case "l2update":
            sides = {"buy": "bid", "sell": "offer"}
            levels = [(sides[side], price, size) for side, price, size in message["changes"]]
            channel, kind = "l2_data", "update"
        case "match" | "last_match":
            trade = {name: str(message[name]) for name in ("trade_id", "product_id", "price", "size", "time")}
            events = [{"type": "update", "trades": [{**trade, "side": message["side"].upper()}]}]
            return frame("market_trades", events, number)
        case "ticker":
            tick = {"product_id": product, "best_bid": message["best_bid"], "best_ask": message["best_ask"]}
            return frame("ticker", [{"type": "update", "tickers": [tick]}], number)
        case _:
            return None
    updates = [{"side": side, "price_level": price, "new_quantity": size} for side, price, size in levels]
    return frame(channel, [{"type": kind, "product_id": product, "updates": updates}], number)


def frame(channel: str, events: list[dict[str, Any]], number: int) -> bytes:
    stamp = "2021-04-17T16:43:37.000000Z"
    return json.dumps({"channel": channel, "timestamp": stamp, "sequence_num": number, "events": events}).encode()


@pytest.mark.slow
def test_real_books_and_trades_of_the_sister_feed_come_out_whole(shared_data: Path) -> None:
    """9,719 updates of ten books over one connection: no gap, no crossing; and its side of a trade is the maker's."""
    lines = (shared_data / "captures/cryptofeed/COINBASE.ws.28.0").read_text("utf-8").splitlines()
    messages = [json.loads(text) for _, _, text in (line.partition(": ") for line in lines) if text.startswith("{")]
    messages = [message for message in messages if message["type"] not in ("subscribe", "subscriptions")]
    names = [message["product_id"] for message in messages if message["type"] == "snapshot"]
    found = {each.symbol: each for each in products(shared_data).instruments}
    instruments = [found[name] for name in names]
    venue, market = Coinbase(instruments), Market.empty(instruments)
    sides: Counter[str] = Counter()
    for number, message in enumerate(messages):
        payload = as_advanced(message, number)
        assert payload is not None
        if message["type"] == "match":
            book = market.book_top(names.index(message["product_id"]), 1)
            assert book is not None
            (bid, _), (ask, _) = book.bids[0], book.asks[0]
            away = {"buy": abs(Decimal(message["price"]) - bid), "sell": abs(Decimal(message["price"]) - ask)}
            nearer = min(away, key=lambda side: away[side])
            sides["maker" if nearer == message["side"] else "taker"] += 1
        rows = venue.market.decode(payload, "coinbase.market.0", number, 1_000_000 * number)
        assert isinstance(rows, np.ndarray), rows
        end = 0
        while end < len(rows):
            end = market.fold(rows, end)
    counters = [market.counters(i) for i in range(len(names))]
    assert sum(each.diffs_applied for each in counters) == 9_719
    assert sum(each.trades for each in counters) == 107
    assert [(each.book_gaps, each.trade_id_gaps) for each in counters] == [(0, 0)] * 10
    assert all(market.book_top(i, 1) is not None for i in range(10)), "no book was crossed"
    assert sides == {"maker": 94, "taker": 3}, "a trade is near the best price of the side that it names"
