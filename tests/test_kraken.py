"""Kraken Spot v2 without a socket: the contract, known signatures, and shared captures at their known values."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.events import Answer, OrderChange, OrderReport, Outcome, StreamNumber, Unrecognised, VenueStatus
from engine.market import layout
from engine.market import rows as r
from engine.market.market_state import Market
from engine.market.rows import Rows
from engine.market.views import BookState
from engine.model import Instrument
from engine.requests import Transport, Unsigned
from engine.state.rate_budgets import RateBudget
from engine.venues.kraken import Kraken
from engine.venues.kraken.market import KrakenMarket
from engine.venues.kraken.metadata import RATE_LIMITS
from engine.venues.optional_parts import KeyRights
from engine.venues.signing import Credentials
from engine.venues.venue import Network
from verbatim.testing import check_venue

VECTORS = Path(__file__).parent / "vectors" / "kraken"
SECOND_NS = 1_000_000_000
NOW_NS = 1_723_161_250 * SECOND_NS


def kraken() -> Kraken:
    return Kraken(Kraken(()).metadata.read((VECTORS / "metadata.json").read_bytes()).instruments)


def test_it_keeps_the_contract_of_a_venue() -> None:
    checked = check_venue(Kraken, VECTORS)
    assert {"account_fill_cursors_are_ordered", "account_signatures_are_repeatable"} <= set(checked)


def test_a_request_is_signed_as_the_venue_documents_it(shared_data: Path) -> None:
    vectors = json.loads((shared_data / "signatures" / "hmac-vectors.json").read_text("utf-8"))["vectors"]
    (known,) = [vector for vector in vectors if vector["id"] == "kraken-rest-form"]
    params = tuple(tuple(part.split("=")) for part in known["body"].split("&"))[1:]
    signer = Kraken(()).signer
    key = signer.load_key(Credentials("name", known["secret"]))
    unsigned = Unsigned(Transport.REST, "POST", known["path"], params, signed=True)
    message = signer.sign_http(unsigned, key, int(known["nonce"]))
    assert message.body.decode() == known["body"]
    assert dict(message.headers)["API-Sign"] == known["signature"]


def test_an_order_bears_the_instant_after_which_the_venue_drops_it_and_a_plain_number() -> None:
    venue = kraken()
    unsigned = Unsigned(Transport.REST, "POST", "/0/private/AddOrder", (("deadline", "5000"),), signed=True)
    key = venue.signer.load_key(Credentials(**json.loads((VECTORS / "credentials.json").read_text("utf-8"))))
    body = venue.signer.sign_http(unsigned, key, NOW_NS).body
    assert body == b"nonce=1723161250000000000&deadline=2024-08-08T23%3A54%3A15.000Z"


def test_the_real_frames_of_doge_verify_although_their_numbers_lost_their_zeros(shared_data: Path) -> None:
    """Three of four messages state a checksum; the second snapshot replaces the first, which states none."""
    venue = kraken()
    market, seen = Market.empty(venue.instruments), 0
    lines = (shared_data / "captures" / "kraken-v2" / "doge_usdt_book10.jsonl").read_bytes().splitlines()
    for seq, line in enumerate(lines, 1):
        rows = venue.market.decode(line, "kraken.market.0", seq, seq)
        if isinstance(rows, np.ndarray):
            seen += rows[-1, r.BOOK_CHECK_SUM] >= 0
            market.fold(rows)
            assert market.book_state(1) is BookState.SYNCED, line
    assert seen == 3
    assert market.levels(1, r.ASK, 1) == [(9567, 1434969241740)]
    damaged = lines[-1].replace(b"22970.4669424", b"22970.4669425")
    market.fold(decoded(venue.market, damaged, 99))
    assert market.book_state(1) is BookState.BROKEN


def decoded(codec: KrakenMarket, payload: bytes, seq: int) -> Rows:
    rows = codec.decode(payload, "kraken.market.0", seq, seq)
    assert isinstance(rows, np.ndarray), rows
    return rows


def as_v2(line: str) -> tuple[str, bytes] | None:
    """Return the pair and the message of a captured v1 frame in v2's form: levels as numbers, one object a pair."""
    if ": [" not in line:
        return None
    _, *parts, _, pair = json.loads(line.partition(": ")[2])
    merged = {name: value for part in parts for name, value in part.items()}
    is_snapshot = "as" in merged

    def levels(*names: str) -> str:
        found = next((merged[name] for name in names if name in merged), [])
        return ",".join(f'{{"price":{level[0]},"qty":{level[1]}}}' for level in found)

    checksum = f',"checksum":{merged["c"]}' if "c" in merged else ""
    book = f'{{"symbol":"{pair}","bids":[{levels("bs", "b")}],"asks":[{levels("as", "a")}]{checksum}}}'
    return pair, f'{{"channel":"book","type":"{"snapshot" if is_snapshot else "update"}","data":[{book}]}}'.encode()


def captured(shared_data: Path) -> Iterator[tuple[str, bytes]]:
    text = (shared_data / "captures" / "cryptofeed" / "KRAKEN.ws.50.0").read_text("utf-8")
    return (found for line in text.splitlines() if not line.startswith("wss") if (found := as_v2(line)))


def test_every_checksum_of_ten_pairs_agrees(shared_data: Path) -> None:
    """4269 updates to depth 1000. The levels of v1's frames are rewritten as v2's numbers, the checksums kept."""
    messages = list(captured(shared_data))
    places: dict[str, tuple[int, int]] = {}
    for pair, payload in messages:
        level = json.loads(payload, parse_float=str)["data"][0]
        for each in (*level["bids"], *level["asks"]):
            places.setdefault(pair, (len(each["price"].partition(".")[2]), len(each["qty"].partition(".")[2])))
    instruments = [
        Instrument(f"kraken:{pair}", "kraken", pair, *pair.split("/"), *places[pair], Decimal(0), Decimal(0))
        for pair in sorted(places)
    ]
    assert len(instruments) == 10
    codec, market, checked = KrakenMarket(instruments, depth=1000), Market.empty(instruments), 0
    for seq, (_, payload) in enumerate(messages, 1):
        rows = decoded(codec, payload, seq)
        market.fold(rows)
        checked += rows[-1, r.BOOK_CHECK_SUM] >= 0
        assert market.flags & ~layout.BOOK_JOINED == 0, payload[:300]
    assert checked == 4269
    assert {market.book_state(i) for i in range(10)} == {BookState.SYNCED}


def private_frames(shared_data: Path) -> dict[str, bytes]:
    lines = (shared_data / "private" / "kraken" / "kraken-async-rs.jsonl").read_text("utf-8").splitlines()
    return {row["name"]: row["raw"].encode() for row in map(json.loads, lines)}


def test_the_authors_private_frames_decode_to_their_known_values(shared_data: Path) -> None:
    """A whole description, then later frames by the venue's id alone."""
    account, frames = kraken().account, private_frames(shared_data)
    number, report = account.decode_private(frames["pending_new"])
    assert number == StreamNumber("executions", 120)
    assert isinstance(report, OrderReport)
    assert (report.venue_order_id, report.quantity, report.price) == (
        "AHOJQ8-1E72C-8M2VQH", Decimal("81.36256082"), Decimal("0.18328")
    )  # fmt: skip
    changes: dict[str, Any] = {}
    for name in ("new", "amend", "cancel"):
        _, changes[name] = account.decode_private(frames[name])
    assert changes["new"] == OrderChange("7J91XK-XMFEL-348VPM", 1716037131121515000, status=VenueStatus.OPEN)
    assert (changes["amend"].quantity, changes["amend"].price) == (Decimal("5.1"), Decimal("0.96"))
    assert (changes["cancel"].status, changes["cancel"].reason) == (VenueStatus.CANCELED, "User requested")


def test_every_shared_private_frame_is_read_and_errors_say_what_they_prove(shared_data: Path) -> None:
    account = kraken().account
    unread = {
        name
        for name, frame in private_frames(shared_data).items()
        if b'"channel"' in frame and any(isinstance(event, Unrecognised) for event in account.decode_private(frame))
    }
    public = {"ticker_snapshot", "book_snapshot", "book_update", "l3_update", "candles_snapshot", "trade_update"}
    assert unread == public | {"instrument_snapshot"}
    answer = account.decode_private(private_frames(shared_data)["no_token"])[0]
    assert isinstance(answer, Answer)
    assert answer.outcome is Outcome.AUTH


def test_both_counters_fall_steadily_and_keep_room_for_cancels() -> None:
    """The limits are those of the lowest tier: 15 requests at 0.33/s, 60 of trading at 1/s, a young cancel 8."""
    venue, budget = kraken(), RateBudget(rate_limits=RATE_LIMITS)
    query = venue.account.open_orders()
    for _ in range(13):
        budget = venue.rates.charge(budget, query, NOW_NS)
    assert venue.rates.is_exhausted(budget, NOW_NS)
    assert not venue.rates.is_exhausted(budget, NOW_NS + 4 * SECOND_NS)
    cancel, budget = venue.account.cancel(venue.instruments[0], "x", "O1"), RateBudget(rate_limits=RATE_LIMITS)
    for _ in range(6):
        assert venue.rates.reject_reason(budget, NOW_NS) == ""
        budget = venue.rates.charge(budget, cancel, NOW_NS)
    assert "the rest is kept for cancels" in venue.rates.reject_reason(budget, NOW_NS)
    assert venue.rates.reject_reason(budget, NOW_NS + 10 * SECOND_NS) == ""


def test_key_rights_are_read_as_the_venue_states_them(shared_data: Path) -> None:
    lines = (shared_data / "rest" / "kraken" / "jkorf-kraken.jsonl").read_text("utf-8").splitlines()
    info = next(row for row in map(json.loads, lines) if row.get("path") == "/0/private/GetApiKeyInfo")
    rights = Kraken(()).key_rights.read(info["response"].encode())
    assert rights == KeyRights(reads=True, trades=True, withdraws=True, is_ip_bound=False)
    unsigned = Kraken(()).key_rights.request(Network.LIVE)
    assert unsigned is not None
    assert unsigned.signed


@pytest.mark.parametrize(
    "frame",
    [
        b'{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[{"price":1,"qty":1e999999999}],"asks":[]}]}',
        b'{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[{"price":"NaN","qty":1}],"asks":[]}]}',
        b'{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[],"asks":[],"checksum":-5}]}',
        (
            b'{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":1,"qty":1e-99,'
            b'"trade_id":1,"timestamp":"2026-10-06T11:17:07.0Z"}]}'
        ),
    ],
)
def test_hostile_numbers_make_no_rows(frame: bytes) -> None:
    (event,) = kraken().market.decode(frame, "kraken.market.0", 1, 1)
    assert isinstance(event, Unrecognised)
