"""Exchanges through ccxt: ten stories over loopback, the contract, signatures, refusals."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ccxt")

from ccxt_exchanges import STORIES, T
from ccxt_playing import ITEMS, MS, encoded, instrument_of, key_of, minute_page, play, playing

from engine.events import (
    Answer,
    FillsReport,
    InstrumentsReport,
    OpenOrdersReport,
    OrderReport,
    Outcome,
    Unrecognised,
    VenueStatus,
)
from engine.live.clock import SessionClock
from engine.live.session_config import StartError
from engine.live.startup import describe_venue
from engine.live.venue_access import VenueAccess
from engine.model import OrderType, Side, TimeInForce
from engine.order_terms import LimitTerms, RecordedTerms, terms_of
from engine.requests import PolledStream, Unsigned
from engine.session_record import VenueSettings
from engine.venues.ccxt import CcxtVenue, venue_of
from engine.venues.ccxt.exact_numbers import exact
from engine.venues.ccxt.exchange_rules import RULES
from engine.venues.ccxt.outcomes import classify
from engine.venues.ccxt.pure_calls import ccxt_module
from engine.venues.ccxt.signer import CcxtSigner
from engine.venues.ccxt.unified_calls import call_request
from engine.venues.optional_parts import OrderFills
from engine.venues.signing import Credentials
from engine.venues.venue_lookup import UnknownVenueError, make_venue
from verbatim.venue_contract import NOW_NS, check_venue

ACCOUNT = ITEMS[6:]
# items that an exchange lacks; docs/ccxt.md gives the reason
ABSENT = {"bitstamp": {"clock", *ACCOUNT}, "cryptocom": {"clock"}}
TRADING = sorted(set(STORIES) - {"bitstamp"})
GTC = TimeInForce.GTC


def made(exchange: str) -> tuple[CcxtVenue, Any, str, Any]:
    """Return a venue, its instrument, our order id and the story."""
    told, order_id, of = instrument_of(exchange)
    return venue_of(exchange)((of,), 5_000), of, order_id, told


def limit(price: str = "59000", in_force: TimeInForce = GTC) -> LimitTerms:
    return LimitTerms(price=Decimal(price), time_in_force=in_force)


@pytest.mark.parametrize("exchange", sorted(STORIES))
async def test_an_exchange_is_read_right_over_loopback(exchange: str) -> None:
    found = await play(exchange)
    assert tuple(found) == ITEMS
    assert {item for item, problem in found.items() if problem} == ABSENT.get(exchange, set()), found


# ---- the contract


def write_vectors(exchange: str, folder: Path) -> Path:
    """Write an exchange's story as the vectors of `check_venue`."""
    ids = venue_of(exchange)((), 5_000).order_ids
    told = STORIES[exchange](ids.make(session="k3v9x2ab", strategy="quoter", version="1.0", seq=1, leg=0))
    for number, part in enumerate(told.markets, 1):
        (folder / ("metadata.json" if number == 1 else f"metadata_{number}.json")).write_bytes(encoded(part))
    foreign = [{"payload": "{}", "events": [{"event": "Unrecognised"}]}]
    done = {"event": "Answer", "outcome": "done"}
    answers = [
        ("place", told.placed, [done, {"event": "OrderReport", "venue_order_id": "7001", "status": "open"}], 200),
        ("open_orders", told.open, [done, {"event": "OpenOrdersReport"}], 200),
        ("fills_after", told.fills, [done, {"event": "FillsReport", "whole": True}], 200),
        (
            "place",
            told.refused[1],
            [{"event": "Answer", "outcome": "refused", "code": "InsufficientFunds"}],
            told.refused[0],
        ),
        ("poll_book", told.book, [done], 200),
    ]
    cases = [
        {"call": call, "payload": json.dumps(payload), "events": events, "status": status}
        for call, payload, events, status in answers
    ]
    given = {"key": "vector-key", "secret": "dmVjdG9yIHNlY3JldCB3b3JkcyE="}
    if len(venue_of(exchange)((), 5_000).signer._names) == 3:
        given["passphrase"] = "vector-phrase"
    for name, content in (("market", foreign), ("private", foreign), ("answers", cases), ("credentials", given)):
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("exchange", ["kucoin", "gate"])
def test_the_contract_is_kept(exchange: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verbatim.venue_vectors.MUTATIONS", 60)  # of each payload: ccxt is slow
    ran = check_venue(venue_of(exchange), write_vectors(exchange, tmp_path))
    assert {"account_signatures_are_repeatable", "decoders_are_total", "polled_links_are_read_by_polls"} <= set(ran)


# ---- signatures


@pytest.mark.parametrize("exchange", TRADING)
def test_two_signatures_at_one_time_are_equal_and_a_record_holds_neither_time_nor_secret(exchange: str) -> None:
    venue, of, order_id, _ = made(exchange)
    account, key = venue.account, key_of(venue)
    calls = [
        account.place(order_id, of, Side.BUY, Decimal("0.002"), limit()), account.cancel(of, order_id, "7001"), account.cancel(of, order_id),
        account.query_order(of, order_id), account.open_orders(), account.balances(), account.fills_after(of, None),
    ]  # fmt: skip
    again, _, _, _ = made(exchange)
    for unsigned in calls:
        first = venue.signer.sign_http(unsigned, key, NOW_NS)
        assert (
            first
            == venue.signer.sign_http(unsigned, key, NOW_NS)
            == again.signer.sign_http(unsigned, key_of(again), NOW_NS)
        )
        assert first != venue.signer.sign_http(unsigned, key, NOW_NS + 1_000 * MS)
        assert str(NOW_NS // MS)[:10] not in str(unsigned)
        sent = f"{first.method} {first.path_and_query} {first.body!r}"
        named = dict(unsigned.params)
        if "id" not in named and order_id in named.values():
            assert order_id in sent, f"our id is not in {sent}"
            assert "None" not in sent, sent


@pytest.mark.parametrize("exchange", TRADING)
def test_an_account_is_queried_without_instruments(exchange: str) -> None:
    """As `verbatim check` does. ccxt would request the markets and the currencies first."""
    venue = venue_of(exchange)((), 5_000)
    for unsigned in (venue.account.balances(), *(() if exchange == "kucoin" else (venue.account.open_orders(),))):
        path = venue.signer.sign_http(unsigned, key_of(venue), NOW_NS).path_and_query
        assert "currenc" not in path
        assert "config/getall" not in path
        assert path != venue.signer.sign_http(venue.metadata.request(), None, NOW_NS).path_and_query


def test_a_key_is_refused_with_a_reason_that_holds_no_secret() -> None:
    htx, _, _, _ = made("htx")
    with pytest.raises(ValueError, match="htx needs apiKey, secret, accountId, as key, secret and passphrase"):
        htx.signer.load_key(Credentials("key", "hidden"))
    with pytest.raises(ValueError, match="mexc has only apiKey, secret: leave the rest out"):
        made("mexc")[0].signer.load_key(Credentials("key", "hidden", "more"))
    with pytest.raises(ValueError, match="a credential holds spaces") as refused:
        made("mexc")[0].signer.load_key(Credentials("key", "hid den"))
    assert "hid den" not in str(refused.value)
    balances = htx.account.balances()
    with pytest.raises(ValueError, match="fetch_balance must be signed"):
        htx.signer.sign_http(balances, None, NOW_NS)
    with pytest.raises(ValueError, match="no websocket"):
        htx.signer.sign_frame(balances, None, NOW_NS, "1")


def test_an_order_without_our_id_is_not_sent() -> None:
    """ccxt drops clientOrderId for crypto.com; the parameter of the exchange reaches it."""
    venue, of, order_id, _ = made("cryptocom")
    placed = venue.account.place(order_id, of, Side.BUY, Decimal("0.002"), limit())
    wrong = Unsigned(
        placed.transport, placed.method, placed.path, (*placed.params[:-1], ("clientOrderId", order_id)), signed=True
    )
    signer = CcxtSigner(venue.bare, venue.signer._names, "api.crypto.com", "clientOrderId")
    signer._exchange = venue.signer._exchange
    with pytest.raises(ValueError, match="leaves our client order id out"):
        signer.sign_http(wrong, key_of(venue), NOW_NS)


@pytest.mark.parametrize(
    ("quantity", "price"), [("0.0020000001", "59000"), ("0.002", "59000.001"), ("1234567.1234567891234", "59000")]
)
def test_an_order_that_ccxt_would_round_is_not_sent(quantity: str, price: str) -> None:
    venue, of, order_id, _ = made("gate")
    placed = venue.account.place(order_id, of, Side.BUY, Decimal(quantity), limit(price))
    with pytest.raises(ValueError, match=r"off the grid|more digits than ccxt keeps"):
        venue.signer.sign_http(placed, key_of(venue), NOW_NS)


def test_a_request_to_another_host_is_not_sent() -> None:
    venue, of, _, _ = made("okx")
    signer = CcxtSigner(venue.signer._exchange, venue.signer._names, "example.org", "clientOrderId")
    with pytest.raises(ValueError, match=r"goes to www\.okx\.com, and the venue is at example\.org"):
        signer.sign_http(venue.polls(of)[0].unsigned, None, NOW_NS)


def test_order_types_and_times_reach_the_exchange() -> None:
    venue, of, order_id, _ = made("bybit")
    bodies = {}
    for name, kind, in_force in (
        ("post only", OrderType.LIMIT_MAKER, GTC),
        ("ioc", OrderType.LIMIT, TimeInForce.IOC),
        ("market", OrderType.MARKET, GTC),
    ):
        terms = terms_of(kind, RecordedTerms(Decimal(59000), in_force))
        placed = venue.account.place(order_id, of, Side.SELL, Decimal("0.002"), terms)
        bodies[name] = json.loads(venue.signer.sign_http(placed, key_of(venue), NOW_NS).body)
    assert bodies["post only"]["timeInForce"] == "PostOnly"
    assert bodies["ioc"]["timeInForce"] == "IOC"
    assert (bodies["market"]["orderType"], bodies["market"]["qty"], bodies["market"]["marketUnit"]) == (
        "Market",
        "0.002",
        "baseCoin",
    )
    with pytest.raises(AssertionError):
        made("gate")[0].account.place(
            order_id, of, Side.BUY, Decimal("0.002"), terms_of(OrderType.MARKET, RecordedTerms(Decimal(1), GTC))
        )


# ---- what answers prove

OUTCOMES = {
    ("InsufficientFunds", 400): Outcome.REFUSED, ("InvalidOrder", 200): Outcome.REFUSED, ("BadSymbol", 400): Outcome.REFUSED,
    ("MarketClosed", 400): Outcome.REFUSED, ("AuthenticationError", 401): Outcome.AUTH, ("AccountSuspended", 200): Outcome.AUTH,
    ("PermissionDenied", 403): Outcome.AUTH, ("RateLimitExceeded", 429): Outcome.RATE_LIMITED, ("DDoSProtection", 418): Outcome.RATE_LIMITED,
    ("InvalidNonce", 400): Outcome.CLOCK, ("InvalidNonce", 200): Outcome.UNKNOWN, ("OrderNotFound", 400): Outcome.UNKNOWN,
    ("DuplicateOrderId", 400): Outcome.UNKNOWN, ("ExchangeError", 400): Outcome.UNKNOWN, ("NetworkError", 200): Outcome.UNKNOWN,
    ("ExchangeNotAvailable", 200): Outcome.UNKNOWN, ("OnMaintenance", 200): Outcome.UNKNOWN, ("RequestTimeout", 408): Outcome.UNKNOWN,
    ("InsufficientFunds", 500): Outcome.UNKNOWN, ("InvalidOrder", 503): Outcome.UNKNOWN, ("BadResponse", 200): Outcome.UNKNOWN,
}  # fmt: skip


def test_each_class_of_errors_proves_what_it_may() -> None:
    found = {
        (name, status): classify(getattr(ccxt_module(), name)("x"), "create_order", status) for name, status in OUTCOMES
    }
    assert found == OUTCOMES
    assert classify(ccxt_module().OrderNotFound("x"), "fetch_order", 400) is Outcome.NOT_FOUND
    assert classify(KeyError("x"), "create_order", 200) is Outcome.UNKNOWN


def test_an_answer_that_cannot_be_read_proves_nothing() -> None:
    venue, of, order_id, told = made("kucoin")
    placed = venue.account.place(order_id, of, Side.BUY, Decimal("0.002"), limit())
    for payload in (
        b"",
        b"<html>",
        b"{}",
        b'{"code":"200000","data":{}}',
        b'{"code":"999999","msg":"busy"}',
        b"[" * 3_000,
        b"\xff",
    ):
        answer, *_ = venue.decode_answer(placed, of.id, 200, {}, payload)
        assert isinstance(answer, Answer)
        assert answer.outcome is Outcome.UNKNOWN, payload
    limited, *_ = venue.decode_answer(
        placed, of.id, 429, {"retry-after": "7"}, b'{"code":"429000","msg":"Too Many Requests"}'
    )
    assert isinstance(limited, Answer)
    assert (limited.outcome, limited.retry_after_ns) == (Outcome.RATE_LIMITED, 7_000 * MS)
    other = {**told.order, "data": {**told.order["data"], "symbol": "ETH-USDT"}}
    answer, why = venue.decode_answer(
        venue.account.query_order(of, venue_order_id="7001"), of.id, 200, {}, encoded(other)
    )
    assert (answer.outcome, type(why)) == (Outcome.UNKNOWN, Unrecognised)


@pytest.mark.parametrize("exchange", TRADING)
def test_only_an_answer_that_states_nothing_is_an_empty_account(exchange: str) -> None:
    """ccxt reads an empty list out of a body that lacks one, and an empty list closes orders."""
    venue, of, _, told = made(exchange)
    account = venue.account
    bodies = (
        b"",
        b"{}",
        b"null",
        b"0",
        b"<html>busy</html>",
        b'{"code":"0"}',
        b'{"code":"00000","status":"ok","retCode":0,"success":true}',
    )
    for unsigned in (account.open_orders(), account.balances(), account.fills_after(of, None)):
        for body in bodies:
            answer, *_ = venue.decode_answer(unsigned, of.id, 200, {}, body)
            assert answer.outcome is not Outcome.DONE, f"{unsigned.path} {body!r}"
    _, report = venue.decode_answer(account.open_orders(), "", 200, {}, emptied(told.open))
    assert report == OpenOrdersReport(())
    _, fills = venue.decode_answer(account.fills_after(of, None), of.id, 200, {}, emptied(told.fills))
    assert fills == FillsReport(of.id, (), whole=True)


def emptied(told: Any) -> bytes:
    """Return an answer with an empty list in the place of its longest."""

    def without(value: Any) -> Any:
        if isinstance(value, list):
            return []
        return {name: without(part) for name, part in value.items()} if isinstance(value, dict) else value

    return encoded(without(told))


def test_an_order_of_another_market_does_not_spoil_the_list() -> None:
    venue, of, _, told = made("okx")
    foreign = {**told.open["data"][0], "instId": "SOL-USDT", "ordId": "8", "clOrdId": ""}
    _, report = venue.decode_answer(
        venue.account.open_orders(), "", 200, {}, encoded({**told.open, "data": [foreign, *told.open["data"]]})
    )
    assert isinstance(report, OpenOrdersReport)
    assert {each.instrument for each in report.orders} == {of.id, "ccxt_okx:SOL/USDT"}


def test_a_canceled_and_a_filled_order() -> None:
    venue, of, _, told = made("okx")
    query = venue.account.query_order(of, venue_order_id="7001")
    for state, filled, status in (
        ("canceled", "0.001", VenueStatus.CANCELED),
        ("filled", "0.002", VenueStatus.FILLED),
        ("live", "0", VenueStatus.OPEN),
    ):
        order = {**told.order["data"][0], "state": state, "accFillSz": filled}
        _, report = venue.decode_answer(query, of.id, 200, {}, encoded({**told.order, "data": [order]}))
        assert isinstance(report, OrderReport)
        assert (report.status, report.filled_quantity) == (status, Decimal(filled))


def test_a_full_page_of_fills_says_that_more_may_follow_and_ascends() -> None:
    venue, of, _, told = made("okx")
    (one,) = told.fills["data"]
    page = [{**one, "tradeId": str(600 - n), "ts": str(T + 100 - n)} for n in range(100)]
    _, report = venue.decode_answer(
        venue.account.fills_after(of, None), of.id, 200, {}, encoded({**told.fills, "data": page})
    )
    assert isinstance(report, FillsReport)
    assert not report.whole
    places = [venue.fill_cursor.cursor(fill) for fill in report.fills]
    assert places == sorted(places)
    after = venue.account.fills_after(of, places[-1])
    assert ("since", str(T + 100)) in after.params
    one_ms = [{**each, "ts": str(T + 100)} for each in page]
    _, last = venue.decode_answer(after, of.id, 200, {}, encoded({**told.fills, "data": one_ms}))
    assert last.whole, "the next page from this time on would be the same"


@pytest.mark.parametrize("exchange", sorted(set(TRADING) - {"bitget", "cryptocom"}))
def test_the_fills_of_one_order_are_listed_where_the_exchange_has_them(exchange: str) -> None:
    venue, of, _, told = made(exchange)
    account = venue.account
    assert isinstance(account, OrderFills)
    query = account.fills_of(of, "7001", None)
    assert "7001" in str(venue.signer.sign_http(query, key_of(venue), NOW_NS).path_and_query)
    _, report = venue.decode_answer(query, of.id, 200, {}, encoded(told.fills))
    assert [(fill.fill_id, fill.venue_order_id) for fill in report.fills] == [("501", "7001")]
    assert not isinstance(made("bitget")[0].account, OrderFills)


def test_fees_in_two_assets_are_not_added() -> None:
    venue, of, _, told = made("gate")
    (fill,) = told.fills
    answer, *_ = venue.decode_answer(
        venue.account.fills_after(of, None), of.id, 200, {}, encoded([{**fill, "gt_fee": "0.5"}])
    )
    assert answer.outcome is Outcome.UNKNOWN


def test_money_stays_exact() -> None:
    """HTX writes numbers without quotes: all their digits arrive."""
    venue, of, _, _ = made("htx")
    book = b'{"status":"ok","ts":1,"tick":{"bids":[[60000.12,0.30000003]],"asks":[[70368744177.66,12345.12345678]],"ts":1,"version":2}}'
    rows = venue.decode_poll(book, PolledStream(of.id, "book", 1), 1, 2)
    assert [row[7:9] for row in rows.tolist()[1:]] == [[6000012, 30000003], [7036874417766, 1234512345678]]
    with pytest.raises(ValueError, match="no exact number"):
        exact(0.1)
    for text in ("NaN", "1e99", "9" * 40):
        with pytest.raises(ValueError, match=r"no number|too many digits"):
            exact(text)


# ---- instruments and polls


def test_contracts_are_no_instruments_and_two_markets_of_one_name_are_one() -> None:
    bare = venue_of("cryptocom")((), 5_000)
    (part,) = STORIES["cryptocom"]("x").markets
    (spot,) = part["result"]["data"]
    swap = {**spot, "symbol": "BTCUSD-PERP", "inst_type": "PERPETUAL_SWAP", "contract_size": "1"}
    double = {**spot, "symbol": "BTC_USDT2"}
    report = bare.metadata.read(encoded({**part, "result": {"data": [swap, spot, double]}}))
    assert isinstance(report, InstrumentsReport)
    assert [each.symbol for each in report.instruments] == ["BTC_USDT"]
    with pytest.raises(ValueError, match="no spot market is described"):
        bare.metadata.read(encoded({**part, "result": {"data": [swap]}}))
    with pytest.raises(ValueError, match="no description of markets"):
        bare.metadata.read(b"<html>")


async def test_a_description_in_two_answers_is_read_as_a_session_begins() -> None:
    margin, spot = STORIES["gate"]("x").markets
    paths = ("/api/v4/margin/currency_pairs", "/api/v4/spot/currency_pairs")
    with playing() as server:
        server.routes = {path: (200, encoded(part)) for path, part in zip(paths, (margin, spot), strict=True)}
        settings = VenueSettings("ccxt:gate", rest=f"http://127.0.0.1:{server.server_address[1]}")
        access = VenueAccess(settings=settings, symbols=("BTC_USDT",))
        report, arrivals = await describe_venue(access, SessionClock.wall())
        assert [seen.path for seen in server.seen] == list(paths)
        assert [arrival.payload for arrival in arrivals] == [encoded(margin), encoded(spot)], "both are recorded"
        assert [of.id for of in report.instruments] == ["ccxt_gate:BTC_USDT"]
        server.routes[paths[1]] = (500, b"{}")
        with pytest.raises(StartError, match="does not describe BTC_USDT: it says 0 HTTP 500"):
            await describe_venue(access, SessionClock.wall())


async def test_kucoin_serves_one_instrument_a_session() -> None:
    bare = venue_of("kucoin")((), 5_000)
    with pytest.raises(ValueError, match="kucoin lists open orders of one instrument at a time"):
        bare.metadata.requests(("BTC-USDT", "ETH-USDT"))
    settings = VenueSettings("ccxt:kucoin", rest="http://127.0.0.1:9")
    with pytest.raises(StartError, match="What to do: name one instrument"):
        await describe_venue(VenueAccess(settings=settings, symbols=("BTC-USDT", "ETH-USDT")), SessionClock.wall())


def test_trades_without_numbers_count_once_by_their_time() -> None:
    venue, of, _, _ = made("mexc")
    trades = [{"a": None, "p": "60000.10", "q": "0.01", "T": T + k // 2, "m": True, "M": True} for k in range(6)]
    stream = PolledStream(of.id, "trade", 1)
    first, second = (venue.decode_poll(encoded(trades[k : k + 4]), stream, 1, 2).tolist() for k in (0, 2))
    ids = [row[8] for row in first]
    assert ids == sorted(set(ids))
    assert [row[8] for row in second][:2] == ids[2:], "the same trades have the same numbers"
    assert second[2][8] > ids[-1]


@pytest.mark.parametrize(
    "payload", [b"", b"{}", b"null", b"[[", b"[1]", b"\xff", b'{"retCode":10001,"retMsg":"no"}', b"9" * 5_000]
)
def test_any_bytes_are_an_event(payload: bytes) -> None:
    venue, of, _, _ = made("bybit")
    for stream in ("quote", "book", "trade"):
        found = venue.decode_poll(payload, PolledStream(of.id, stream, 1), 1, 2)
        assert isinstance(found, tuple) or len(found) <= 1, "no rows of nothing"
        assert isinstance(venue.decode_poll(payload, PolledStream("ccxt_bybit:NONE", stream, 1), 1, 2), tuple)
    with pytest.raises(ValueError, match="no candles"):
        venue.history.read(payload)


def test_candles_name_their_page() -> None:
    venue, of, _, _ = made("okx")
    unsigned = venue.history.request(of, minute_page())
    assert dict(unsigned.params)["timeframe"] == "1m"
    assert venue.signer.sign_http(unsigned, None, NOW_NS).path_and_query.startswith("/api/v5/market/")
    assert 60_000 * MS in venue.history.intervals_ns


# ---- names


def test_a_name_that_ccxt_does_not_have_is_refused() -> None:
    with pytest.raises(LookupError, match="has no exchange 'nonesuch'"):
        venue_of("nonesuch")


def test_a_family_is_named_with_a_colon() -> None:
    venue = make_venue(VenueSettings("ccxt:kraken"), ())
    assert (venue.name, venue.trades, venue.links()[0].source) == ("ccxt_kraken", False, "ccxt_kraken.market.0")
    with pytest.raises(UnknownVenueError, match=r"no venue 'ccxt:krakn' .*installed: .*ccxt:NAME"):
        make_venue(VenueSettings("ccxt:krakn"), ())


def test_every_exchange_with_an_account_was_tried() -> None:
    assert {name for name, rules in RULES.items() if rules.account is not None} == set(TRADING)
    assert call_request("fetch_time", (), weight=1).signed is False


def test_the_page_lists_what_was_tried() -> None:
    page = (Path(__file__).resolve().parent.parent / "docs" / "ccxt.md").read_text("utf-8")
    for name in STORIES:
        row = f"| {name} | {' | '.join('' if item in ABSENT.get(name, ()) else '+' for item in ITEMS)} |"
        assert row in page, f"python benchmarks/ccxt_table.py --write: {row}"
    listed = page.partition("<!-- exchanges -->")[2].splitlines()[3:]
    assert [
        line.split(" | ")[0].removeprefix("| ") for line in listed if line.startswith("| ")
    ] == ccxt_module().exchanges
