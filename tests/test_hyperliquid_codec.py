"""Hyperliquid's messages against known values: the shared capture, a real account's answers, and signatures."""

import gzip
import importlib.util
import json
import os
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.events import AccountReport, FillsReport, FundingReport, OpenOrdersReport, PositionsReport
from engine.market import rows as r
from engine.model import Instrument, OrderType, Side
from engine.rounding import on_price_grid
from engine.venues.hyperliquid import Hyperliquid
from engine.venues.hyperliquid.action_hash import MAINNET, connection_id, signed_digest
from engine.venues.hyperliquid.shapes import PerpFill, PerpUpdate, in_time
from engine.venues.signing import Credentials
from engine.venues.venue import Network
from engine.venues.venue_lookup import network_of_address
from verbatim.config import make_config, recording_config

HAS_WALLET = importlib.util.find_spec("eth_account") is not None
needs_wallet = pytest.mark.skipif(
    not HAS_WALLET, reason="eth-account is not installed: pip install verbatim-trading[hyperliquid]"
)
DATA = Path(os.environ.get("VERBATIM_DATA", "/work/shared/data"))
PRIVATE = DATA / "private" / "hyperliquid"
needs_data = pytest.mark.skipif(not PRIVATE.is_dir(), reason="the shared data is not on this machine")
VECTORS = Path(__file__).parent / "vectors" / "hyperliquid"
SECRET = "0x" + "0123456789" * 6 + "0123"  # of the SDK's tests: open to all
OWNER = "0x14791697260e4c9a71f18484c9f997b308e59325"  # its address


def venue() -> Hyperliquid:
    instruments = Hyperliquid(()).metadata.read((VECTORS / "metadata.json").read_bytes()).instruments
    return Hyperliquid(instruments)


def by_coin() -> dict[str, Instrument]:
    return {of.symbol: of for of in venue().instruments}


def read(name: str) -> bytes:
    return (PRIVATE / name).read_bytes()


# ---- signatures

ORDER: dict[str, Any] = {"a": 1, "b": True, "p": "100", "s": "100", "r": False, "t": {"limit": {"tif": "Gtc"}}}


def action(**order: Any) -> dict[str, Any]:
    return {"type": "order", "orders": [{**ORDER, **order}], "grouping": "na"}


@needs_wallet
def test_known_actions_have_the_known_hash_and_signatures() -> None:
    from eth_account import Account
    from eth_utils import keccak

    known = action(a=4, p="1670.1", s="0.0147", t={"limit": {"tif": "Ioc"}})
    assert (
        connection_id(keccak, known, 1677777606040, "", None).hex()
        == "0fcbeda5ae3c4950a548021552a4fea2226858c4453571bf3f24ba017eac2908"
    )
    wallet = Account.from_key(SECRET)
    for order, signature in (
        ({}, ("0xd65369825a9df5d80099e513cce430311d7d26ddf477f5b3a33d2806b100d78e", "0x2b54116ff64054968aa237c20ca9ff68000f977c93289157748a3162b6ea940e", 28)),
        ({"c": "0x00000000000000000000000000000001"}, ("0x41ae18e8239a56cacbc5dad94d45d0b747e5da11ad564077fcac71277a946e3", "0x3c61f667e747404fe7eea8f90ab0e76cc12ce60270438b2058324681a00116da", 27)),
    ):  # fmt: skip
        made = wallet.unsafe_sign_hash(
            signed_digest(keccak, connection_id(keccak, action(**order), 0, "", None), MAINNET)
        )
        assert (hex(made.r), hex(made.s), made.v) == signature


@needs_wallet
def test_our_digest_is_that_of_eth_accounts_own_typed_data() -> None:
    from eth_account.messages import encode_typed_data
    from eth_utils import keccak

    connection = connection_id(keccak, action(), 1, OWNER, 2)
    domain = {"chainId": 1337, "name": "Exchange", "verifyingContract": "0x" + "0" * 40, "version": "1"}
    fields = {"Agent": [{"name": "source", "type": "string"}, {"name": "connectionId", "type": "bytes32"}]}
    typed = encode_typed_data(domain, fields, {"source": "a", "connectionId": connection})
    assert signed_digest(keccak, connection, MAINNET) == keccak(b"\x19" + typed.version + typed.header + typed.body)


@needs_wallet
def test_nonces_rise_within_one_millisecond_and_each_network_has_its_own_signature() -> None:
    signer, of = venue().signer, venue().instruments[0]
    unsigned = venue().account.cancel(of, "", "77")
    bodies = {}
    for network in ("live", "testnet"):
        key = signer.load_key(Credentials(OWNER, SECRET, network=network))
        sent = [json.loads(signer.sign_http(unsigned, key, 5_000_000 + n).body) for n in range(3)]
        assert [body["nonce"] for body in sent] == [5, 6, 7]
        assert [body["expiresAfter"] for body in sent] == [5_005, 5_006, 5_007]
        bodies[network] = sent[0]
    assert bodies["live"]["action"] == bodies["testnet"]["action"]
    assert bodies["live"]["signature"] != bodies["testnet"]["signature"]


@needs_wallet
@pytest.mark.parametrize(
    ("key", "secret", "why"),
    [
        ("my-key", SECRET, "no address"),
        (OWNER, "0x12", "no private key"),
        (OWNER, "0x" + "0" * 64, "no private key"),
        (OWNER, "0x" + "f" * 64, "no private key"),
    ],
)
def test_credentials_that_cannot_sign_are_refused_without_the_secret(key: str, secret: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as refused:
        venue().signer.load_key(Credentials(key, secret))
    assert secret not in str(refused.value)


@pytest.mark.parametrize(
    ("network", "host"), [("live", "api.hyperliquid.xyz"), ("testnet", "api.hyperliquid-testnet.xyz")]
)
def test_a_network_has_its_addresses(network: str, host: str) -> None:
    name = "engine.venues.hyperliquid:Hyperliquid"
    config = make_config({"instruments": ["BTC"], "venue": {"name": name, "network": network}}, "test", {})
    venue = recording_config(config).venue
    assert (venue.rest, venue.stream, venue.network) == (f"https://{host}", f"wss://{host}", network)
    assert network_of_address(name, f"https://{host}/info") is Network(network)


def test_a_cloid_of_another_program_is_of_no_session() -> None:
    ids = venue().order_ids
    made = ids.make(session="aaaaaaaa", strategy="q", version="1", seq=7, leg=0)
    assert ids.session_of(made) == "aaaaaaaa"
    assert ids.session_of(f"{made}@77") == "aaaaaaaa"  # of an order that a person modified
    for other in ("0x" + "0" * 31 + "7", made[:-20] + "f" * 20, made[:3] + "f" + made[4:], "my-order", ""):
        assert ids.session_of(other) == ""


# ---- the shared capture


@needs_data
def test_the_capture_decodes_to_its_books_and_trades() -> None:
    decoder = venue().market
    books = trades = history = 0
    lines = gzip.decompress((DATA / "captures" / "hyperliquid" / "btcusd_20250126.gz").read_bytes()).splitlines()
    for line in lines:
        stamp, _, payload = line.partition(b" ")
        rows = decoder.decode(payload, "hyperliquid.market.0", 1, int(stamp))
        assert not isinstance(rows, tuple), payload
        kinds = rows[:, r.TYPE].tolist()
        if kinds[0] == r.SNAPSHOT:
            books += 1
            assert rows[0, r.SNAPSHOT_LEVELS] == 40  # 20 a side, always
            bids = [row[r.LEVEL_PRICE] for row in rows[1:21].tolist()]
            asks = [row[r.LEVEL_PRICE] for row in rows[21:].tolist()]
            assert bids == sorted(bids, reverse=True)
            assert asks == sorted(asks)
            assert bids[0] < asks[0]
        else:
            trades += kinds.count(r.TRADE)
            history += kinds.count(r.RETOLD)
    assert (books, trades, history) == (46, 64 - 29, 29)  # of the first message, all blocks but the newest are the past


# ---- a real account of 2023


@needs_data
def test_500_real_fills_follow_each_other_position_by_position_and_sum_up_to_the_known_pnl() -> None:
    rows = msgspec.json.decode(read("user_fills.json"), type=tuple[PerpFill, ...])
    fills = in_time(rows)
    assert (len(fills), len({row.coin for row in fills}), len({row.oid for row in fills})) == (500, 15, 424)
    assert len({row.fill("hyperliquid").fill_id for row in fills}) == 500  # though they have no tid
    assert sum(Decimal(row.px) * Decimal(row.sz) for row in fills) == Decimal("229031.0903280")
    assert sum(Decimal(row.closed_pnl) for row in fills) == Decimal("-152.586132")
    breaks, positions, pairs = [], dict[str, Decimal](), 0
    at = 0
    while at < len(fills):
        row, after = fills[at], fills[at + 1] if at + 1 < len(fills) else None
        held = Decimal(row.start_position)
        if row.coin in positions and positions[row.coin] != held:
            breaks.append((row.coin, str(positions[row.coin]), str(held)))
        if after is not None and is_self_trade(row, after):
            positions[row.coin], at, pairs = held, at + 2, pairs + 1  # it moves nothing
            continue
        fill = row.fill("hyperliquid")
        positions[row.coin] = held + fill.quantity * fill.side.sign
        at += 1
    assert pairs == 83
    assert breaks == [("SUI", "-1734.8", "-1839.2")]  # the first row is a leg whose other one the page's edge cut off
    assert positions == dict.fromkeys(positions, Decimal(0))


def is_self_trade(one: PerpFill, other: PerpFill) -> bool:
    """Two legs of one trade of the account with itself, as they were before the venue prevented that."""
    same = (one.coin, one.px, one.sz, one.time, one.start_position) == (
        other.coin,
        other.px,
        other.sz,
        other.time,
        other.start_position,
    )
    return same and one.side != other.side and one.crossed != other.crossed


KNOWN_PNL = {
    "APE": "0.006651", "ARB": "-23.127512", "ATOM": "-2.415578", "AVAX": "-0.388634", "BNB": "-0.047614",
    "BTC": "-3.911311", "DOGE": "-3.431345", "DYDX": "-0.301886", "ETH": "-84.553455", "INJ": "-11.125747",
    "LTC": "-0.101615", "MATIC": "-0.065938", "OP": "-2.489100", "SOL": "-11.082013", "SUI": "-9.551035",
}  # fmt: skip


@needs_data
def test_the_closed_pnl_of_each_real_fill_is_its_closed_quantity_times_the_distance_from_one_entry() -> None:
    """Of each closing fill, to the last digit, and the entry has a price's decimals. Opening fills state 0.

    Within a page the entry does not follow from the fills alone: in 2023 it moved with closing fills and with both legs
    of a self-trade. So nothing of ours is made of closedPnl.
    """
    coins, sums, closing = by_coin(), defaultdict[str, Decimal](Decimal), 0
    for row in in_time(msgspec.json.decode(read("user_fills.json"), type=tuple[PerpFill, ...])):
        fill, held, pnl = row.fill("hyperliquid"), Decimal(row.start_position), Decimal(row.closed_pnl)
        sums[row.coin] += pnl
        closed = min(fill.quantity, abs(held)) if held * fill.side.sign < 0 else Decimal(0)
        if not closed:
            assert pnl == 0, row
            continue
        direction = 1 if held > 0 else -1
        places = coins[row.coin].price_scale
        entry = (fill.price - direction * pnl / closed).quantize(Decimal(1).scaleb(-places))
        assert abs(direction * closed * (fill.price - entry) - pnl) <= Decimal("0.000001"), row
        assert abs(entry / fill.price - 1) < Decimal("0.02"), row
        closing += 1
    assert sums == {coin: Decimal(text) for coin, text in KNOWN_PNL.items()}
    assert closing == 288  # Close Long 69, Close Short 197, and 22 that turn the position


@needs_data
def test_each_real_price_and_size_is_on_the_venues_grid() -> None:
    coins = by_coin()
    rows = json.loads(read("user_fills.json")) + json.loads(read("open_orders.json"))
    assert len(rows) == 696
    for row in rows:
        price, size = Decimal(row.get("px") or row["limitPx"]), Decimal(row["sz"])
        of = coins[row["coin"]]
        assert on_price_grid(price, of), row
        assert size % of.lot_size == 0, row


@needs_data
def test_the_real_accounts_state_has_the_known_money_and_positions() -> None:
    at, of = venue(), by_coin()["BTC"]
    _, account, positions, _mode = at.decode_answer(
        at.account.balances(), "", 200, {}, read("clearinghouse_state.json")
    )
    assert isinstance(account, AccountReport)
    assert isinstance(positions, PositionsReport)
    [money] = account.balances
    assert money.free == Decimal("1010.57173")  # withdrawable
    assert money.free + money.locked == Decimal("1182.312496") - Decimal("0.688018")  # accountValue less open P&L
    assert len(positions.positions) == 12
    assert sum(each.margin for each in positions.positions) == Decimal("171.740766")
    assert sum(abs(each.quantity) * each.mark_price for each in positions.positions).quantize(
        Decimal("1e-6")
    ) == Decimal("3434.815334")
    assert [each.liquidation_price == 0 for each in positions.positions].count(True) == 7  # the longs
    assert positions.positions[0].instrument == of.id


@needs_data
def test_open_and_historical_orders_are_read_with_their_exits_and_endings() -> None:
    at = venue()
    _, report = at.decode_answer(at.account.open_orders(), "", 200, {}, read("frontend_open_orders.json"))
    assert isinstance(report, OpenOrdersReport)
    assert [(each.type, each.stop_price, each.quantity) for each in report.orders] == [
        (OrderType.TAKE_PROFIT, Decimal("10.004"), Decimal("12.5")),
        (OrderType.STOP, Decimal("9.995"), Decimal("12.5")),
        (OrderType.LIMIT, 0, Decimal("12.5")),
    ]  # each once, though the exits also stand inside their parent
    history = msgspec.json.decode(read("historical_orders.json"), type=tuple[PerpUpdate, ...])
    told = [(each.report("hyperliquid").reason, each.report("hyperliquid").filled_quantity) for each in history]
    assert sorted(told) == [("canceled", 0)] * 2 + [("iocCancelRejected", 0)] * 3


@needs_data
def test_real_fundings_and_candles_are_read() -> None:
    at = venue()
    unsigned = at.account.fundings_since(0)
    fundings = [
        each
        for each in at.decode_answer(unsigned, "", 200, {}, read("user_funding.json"))
        if isinstance(each, FundingReport)
    ]
    rows = json.loads(read("user_funding.json"))
    assert len(fundings) == len(rows)
    assert sum(each.amount for each in fundings) == sum(Decimal(row["delta"]["usdc"]) for row in rows)
    assert [each.venue_ns for each in fundings] == sorted(each.venue_ns for each in fundings)
    candles = at.history.read(read("candle_snapshot_kPEPE_1h.json"))
    assert (len(candles), sum(each.trades for each in candles)) == (24, 18028)


@needs_data
def test_a_page_of_fills_holds_those_of_the_coin_alone() -> None:
    at, coins = venue(), by_coin()
    counts: dict[str, int] = defaultdict(int)
    for row in json.loads(read("user_fills.json")):
        counts[row["coin"]] += 1
    for coin in ("SUI", "BTC"):
        unsigned = at.account.fills_after(coins[coin], None)
        _, page = at.decode_answer(unsigned, coins[coin].id, 200, {}, read("user_fills.json"))
        assert isinstance(page, FillsReport)
        assert len(page.fills) == counts[coin]
        assert {fill.side for fill in page.fills} == {Side.BUY, Side.SELL}
