"""Signatures against every known answer, and keys that cannot be read back."""

import copy
import json
import pickle
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import pytest
from by_hand import BTC

from engine.model import Side, TimeInForce
from engine.order_terms import LimitTerms, MarketTerms, PostOnlyTerms, StopTerms
from engine.requests import Transport, Unsigned
from engine.venues.binance_common.signer import sign_rest, sign_ws
from engine.venues.binance_spot import ApiKey, BinanceSpot

KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
ED25519_PEM = (
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n"
    "-----END PRIVATE KEY-----\n"
)  # the seed 00..1f of the fact sheet
NOW_MS = 1_499_827_319_559
NOW_NS = NOW_MS * 1_000_000


def vectors(shared_data: Path, scheme: str) -> list[dict[str, Any]]:
    known = json.loads((shared_data / "signatures/hmac-vectors.json").read_text("utf-8"))
    found = [vector for vector in known["vectors"] if vector["scheme"] == scheme]
    assert found
    return found


def test_rest_payloads_sign_as_documented(shared_data: Path) -> None:
    for vector in vectors(shared_data, "binance-rest-hmac-sha256-hex"):
        key = ApiKey.hmac(vector["api_key"], vector["secret"])
        assert key.sign(vector["payload"]) == vector["signature"], vector["id"]


def test_websocket_requests_sign_as_documented(shared_data: Path) -> None:
    """Through the whole path: unsorted parameters in, the signed frame out."""
    for vector in vectors(shared_data, "binance-wsapi-hmac-sha256-hex"):
        params = {name: str(value) for name, value in vector["params"].items() if name not in {"apiKey", "timestamp"}}
        unsigned = Unsigned(Transport.WS_API, vector["method"], "", tuple(params.items()), signed=True)
        key = ApiKey.hmac(vector["api_key"], vector["secret"])
        frame = json.loads(sign_ws(unsigned, key, vector["params"]["timestamp"], "r1"))
        assert frame["params"].pop("signature") == vector["signature"], vector["id"]
        assert frame == {"id": "r1", "method": vector["method"], "params": vector["params"]}


def test_a_rest_request_signs_the_bytes_it_sends() -> None:
    """The documentation's order in a form body, and the full-width digits that must be percent-encoded before signing."""
    for symbol, signature in (
        ("LTCBTC", "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"),
        ("\uff11\uff12\uff13\uff14\uff15\uff16", "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3"),
    ):
        params = (
            ("symbol", symbol), ("side", "BUY"), ("type", "LIMIT"), ("timeInForce", "GTC"),
            ("quantity", "1"), ("price", "0.1"), ("recvWindow", "5000"),
        )  # fmt: skip
        unsigned = Unsigned(Transport.REST, "POST", "/api/v3/order", params, signed=True)
        posted = sign_rest(unsigned, ApiKey.hmac(KEY, SECRET), NOW_MS)
        assert posted.path_and_query == "/api/v3/order"
        assert posted.body.endswith(f"&timestamp={NOW_MS}&signature={signature}".encode())
        assert dict(posted.headers) == {"X-MBX-APIKEY": KEY, "Content-Type": "application/x-www-form-urlencoded"}

        asked = sign_rest(msgspec.structs.replace(unsigned, method="GET"), ApiKey.hmac(KEY, SECRET), NOW_MS)
        assert asked.path_and_query == "/api/v3/order?" + posted.body.decode()
        assert asked.body == b""


def test_ed25519_signs_as_the_fact_sheet_says() -> None:
    key = ApiKey.ed25519("KEY", ED25519_PEM)
    assert (
        key.sign(
            "symbol=BTCUSDT&side=SELL&type=LIMIT&timeInForce=GTC&quantity=1&price=0.2&timestamp=1668481559918&recvWindow=5000"
        )
        == "m5loLRxgkb9HyW0wkZ4KNrpck881bx5D0OrKNnPklvk4tlGjEJkhiP9DoyC0sc1lXA/TWugjVPrMb/bfNdmdBw=="
    )
    logon = Unsigned(Transport.WS_API, "session.logon", "", (), signed=True)
    frame = json.loads(sign_ws(logon, key, 1_747_385_641_636, "1"))
    assert frame["params"]["signature"] == (
        "xxZCfDNqxrS5/hUmc1kh/rZb5ZZ1sh8TtINQ7wLVL9e5S+Cvq6KR+tkU0VqnETt2yy+WAmdPs1v7FEmDXACWDg=="
    )


def test_a_base64_signature_survives_the_url() -> None:
    account = sign_rest(BinanceSpot(()).account.balances(), ApiKey.ed25519("KEY", ED25519_PEM), NOW_MS)
    query = account.path_and_query.partition("?")[2]
    signed, _, signature = query.rpartition("&signature=")
    assert not set("+/=") & set(signature)
    assert dict(parse_qsl(query))["signature"] == ApiKey.ed25519("KEY", ED25519_PEM).sign(signed)


def test_public_calls_need_no_key() -> None:
    venue = BinanceSpot(())
    message = venue.signer.sign_http(venue.metadata.request(["BTCUSDT", "ETHUSDT"]), None, NOW_NS)
    assert message.path_and_query == "/api/v3/exchangeInfo?symbols=%5B%22BTCUSDT%22%2C%22ETHUSDT%22%5D"
    assert message.headers == ()
    assert venue.signer.sign_http(venue.server_time(), None, NOW_NS).path_and_query == "/api/v3/time"


def test_a_signed_call_without_a_key_is_our_mistake() -> None:
    venue = BinanceSpot(())
    with pytest.raises(AssertionError, match="no key"):
        venue.signer.sign_http(venue.account.balances(), None, NOW_NS)
    with pytest.raises(AssertionError, match="no key"):
        venue.signer.sign_frame(venue.account.subscribe_private(), None, NOW_NS, "1")


def test_the_private_stream_is_asked_for_with_a_signature() -> None:
    venue = BinanceSpot((), recv_window_ms=3_000)
    key = ApiKey.hmac(KEY, SECRET)
    frame = json.loads(venue.signer.sign_frame(venue.account.subscribe_private(), key, NOW_NS, "sub-1"))
    assert frame["method"] == "userDataStream.subscribe.signature"
    signature = frame["params"].pop("signature")
    assert frame["params"] == {"apiKey": KEY, "recvWindow": 3000, "timestamp": NOW_MS}
    assert signature == key.sign(f"apiKey={KEY}&recvWindow=3000&timestamp={NOW_MS}")


@pytest.mark.parametrize("key", [ApiKey.hmac(KEY, SECRET), ApiKey.ed25519(KEY, ED25519_PEM)], ids=["hmac", "ed25519"])
def test_a_key_shows_nothing(key: ApiKey) -> None:
    shown = f"{key!r} {key} {[key]} {key:} {[getattr(key, name) for name in key.__slots__ if name != '_key']}"
    assert KEY not in shown
    assert SECRET not in shown
    assert "MC4C" not in shown
    assert not hasattr(key, "__dict__")
    for leak in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not copied"):
            leak(key)
    with pytest.raises(TypeError):
        msgspec.json.encode(key)


def test_a_signed_message_shows_neither_key_nor_signature() -> None:
    venue = BinanceSpot(())
    key = ApiKey.hmac(KEY, SECRET)
    for unsigned in (venue.account.balances(), venue.account.cancel("binance_spot:BTCUSDT", "o1")):
        message = venue.signer.sign_http(unsigned, key, NOW_NS)
        assert repr(message) == f"HttpMessage({unsigned.method} {unsigned.path})"
        assert "signature" not in str(message.__rich_repr__())


def test_a_wrong_key_is_named_without_being_shown() -> None:
    wrong: tuple[Callable[[], ApiKey], ...] = (
        lambda: ApiKey.hmac("", SECRET),
        lambda: ApiKey.hmac(KEY + "\n", SECRET),
        lambda: ApiKey.hmac(KEY, SECRET + "\r\nX-Evil: 1"),
        lambda: ApiKey.hmac(KEY, ""),
        lambda: ApiKey.ed25519(KEY, SECRET),
        lambda: ApiKey.ed25519(KEY, ED25519_PEM.replace("MC4C", "AAAA")),
    )
    for make in wrong:
        with pytest.raises(ValueError, match=r"key|secret") as caught:
            make()
        assert SECRET not in str(caught.value)
        assert caught.value.__cause__ is None


# ---- the calls ---------------------------------------------------------------------------------


def test_the_calls_carry_what_the_fact_sheet_asks() -> None:
    venue = BinanceSpot(())
    btc = "binance_spot:BTCUSDT"
    limit = venue.account.place("a-1", btc, Side.BUY, Decimal("1E-5"), LimitTerms(Decimal("60000.10"), TimeInForce.IOC))
    assert limit.params == (
        ("symbol", "BTCUSDT"), ("side", "BUY"), ("type", "LIMIT"), ("timeInForce", "IOC"), ("quantity", "0.00001"),
        ("price", "60000.1"), ("newClientOrderId", "a-1"), ("newOrderRespType", "FULL"), ("recvWindow", "5000"),
    )  # fmt: skip
    assert (limit.method, limit.path, limit.weight, limit.orders) == ("POST", "/api/v3/order", 1, 1)
    market = dict(venue.account.place("a-2", btc, Side.SELL, Decimal(2), MarketTerms()).params)
    assert "timeInForce" not in market
    assert "price" not in market
    maker = dict(
        venue.account.place("a-3", btc, Side.SELL, Decimal(2), PostOnlyTerms(Decimal(3), TimeInForce.GTC)).params
    )
    assert "timeInForce" not in maker
    iceberg = LimitTerms(Decimal(3), TimeInForce.GTC, iceberg_quantity=Decimal("0.5"))
    for terms, named in (
        (iceberg, {"price": "3", "timeInForce": "GTC", "quantity": "2", "icebergQty": "0.5"}),
        (MarketTerms(quote_quantity=Decimal(50)), {"quoteOrderQty": "50"}),
        (StopTerms(Decimal(0), trailing_delta=100), {"quantity": "2", "trailingDelta": "100"}),
        (StopTerms(Decimal(4), trailing_delta=100), {"quantity": "2", "trailingDelta": "100", "stopPrice": "4"}),
    ):
        sent = dict(venue.account.place("a-4", btc, Side.SELL, Decimal(2), terms).params)
        names = ("quantity", "quoteOrderQty", "price", "timeInForce", "stopPrice", "trailingDelta", "icebergQty")
        assert {name: sent[name] for name in names if name in sent} == named
    for unsigned, weight in (
        (venue.account.cancel(btc, "a-1"), 1), (venue.account.query_order(btc, client_order_id="a-1"), 4), (venue.account.open_orders(), 80),
        (venue.account.balances(), 20), (venue.account.fills_after(btc, None), 20), (venue.snapshots.request(BTC), 250), (venue.snapshots.request(BTC, 100), 5),
        (venue.snapshots.request(BTC, 101), 25), (venue.server_time(), 1), (venue.metadata.request(), 20), (venue.account.subscribe_private(), 2),
    ):  # fmt: skip
        assert (unsigned.weight, unsigned.orders) == (weight, 0), unsigned
    assert dict(venue.account.fills_after(btc, "17", limit=500).params)["fromId"] == "18"


def test_no_request_holds_what_must_not_be_journalled() -> None:
    venue = BinanceSpot(())
    names = {name for name, _ in (*venue.account.balances().params, *venue.account.subscribe_private().params)}
    assert not names & {"timestamp", "signature", "apiKey"}


def test_client_order_ids() -> None:
    assert BinanceSpot.order_ids.is_valid("quoter-48212-0")
    assert BinanceSpot.order_ids.is_valid("x" * 36)
    for text in ("", "x" * 37, "a.b", "a:b", "a/b", "a b", "a\n", "\uff11"):
        assert not BinanceSpot.order_ids.is_valid(text), text
