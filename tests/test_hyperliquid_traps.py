"""The traps of Hyperliquid's fact sheet, one by one; docs/venue-hyperliquid.md lists trap and test."""

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("eth_account", reason="eth-account is not installed: pip install verbatim-trading[hyperliquid]")

from checked_sessions import CheckedSessions, check_journal, mode
from perp_venue import AGENT, ASSET, CLOID, COIN, LIMIT, PerpVenue
from test_hyperliquid_trading import check_account, own, trade

from engine.events import FillsReport, OpenOrdersReport, Outcome, Unrecognised
from engine.market import rows as r
from engine.market.fold.trades import find_repeats
from engine.mode_reasons import Mode
from engine.model import Side
from engine.requests import LinkRole
from engine.rounding import on_price_grid, resting_price, taking_price
from engine.session_record import SECOND_NS
from engine.venues.hyperliquid import Hyperliquid
from engine.venues.hyperliquid.key_rights import AccountRole, read_role, signer_refusal
from journal.record import Kind
from verbatim.testing import START_NS, VirtualSession

D = Decimal
VECTORS = Path(__file__).parent / "vectors" / "hyperliquid"


@pytest.fixture
def perps(tmp_path: Path) -> Iterator[CheckedSessions]:
    """Return a function that begins a session. At the end journals are checked, and the account of the last one."""
    sessions = CheckedSessions(tmp_path)
    yield sessions
    for session in sessions.begun:
        check_journal(session)
    check_account(sessions.begun[-1])


def dialect() -> Hyperliquid:
    instruments = Hyperliquid(()).metadata.read((VECTORS / "metadata.json").read_bytes()).instruments
    return Hyperliquid(instruments)


def actions(session: VirtualSession) -> list[dict[str, Any]]:
    """Return the actions that a session sent."""
    bodies = [json.loads(record.body or "").get("unsigned") for record in session.kinds(Kind.REQUEST)]
    return [json.loads(dict(each["params"])["action"]) for each in bodies if each and each["path"] == "/exchange"]


def test_trap_1_the_address_of_an_api_wallet_shows_an_empty_account_and_the_check_names_it() -> None:
    venue = PerpVenue().begin()
    assert "resting" in venue.order()
    status, listed = venue.post("/info", {"type": "frontendOpenOrders", "user": AGENT})
    assert (status, listed) == (200, [])  # no error, and no order
    assert len(venue.ask("frontendOpenOrders")) == 1
    _, role = venue.post("/info", {"type": "userRole", "user": AGENT})
    assert "address of an API wallet" in signer_refusal(read_role(json.dumps(role).encode()), AGENT, AGENT)
    assert signer_refusal(read_role(json.dumps(role).encode()), AGENT, venue.address) == ""
    assert not AccountRole().read(json.dumps(role).encode()).withdraws
    own = AccountRole().read(json.dumps(venue.ask("userRole")).encode())
    assert (own.withdraws, own.kind) == (True, "the account's own private key")


def test_trap_2_the_same_bytes_never_place_two_orders_and_a_fresh_nonce_does() -> None:
    venue = PerpVenue().begin()
    wire = {"a": ASSET, "b": True, "p": "50000", "s": "0.01", "r": False, "t": LIMIT, "c": CLOID}
    action = {"type": "order", "orders": [wire], "grouping": "na"}
    sent = venue.signed(action).body
    assert "resting" in venue.post("/exchange", sent)[1]["response"]["data"]["statuses"][0]
    _, again = venue.post("/exchange", sent)
    assert again["response"].startswith("Invalid nonce: duplicate nonce")
    assert len(venue.ask("frontendOpenOrders")) == 1
    unsigned = dialect().account.cancel(dialect().instruments[0], CLOID)
    [answer] = dialect().decode_answer(unsigned, "", 200, {}, json.dumps(again).encode())
    assert answer.outcome is Outcome.UNKNOWN  # the first bytes may have been carried out
    assert "resting" in venue.post("/exchange", venue.signed(action).body)[1]["response"]["data"]["statuses"][0]
    assert len(venue.ask("frontendOpenOrders")) == 2  # not even the cloid prevents it: so a session never sends twice


def test_trap_3_an_answer_that_is_ok_refuses_an_order(perps: CheckedSessions) -> None:
    session = trade(perps, PerpVenue(), "buy 0.01 post 1").run(5)
    [order] = session.state.account.orders.all()
    assert order.status == "rejected"
    assert order.reason.endswith("Post only order would have immediately matched, bbo was 59999.0@60000.0. asset=1")
    [answer] = [
        json.loads(record.payload or b"")
        for record in session.kinds(Kind.BROKER)
        if b'"error"' in (record.payload or b"")
    ]
    assert answer["status"] == "ok"
    assert mode(session) is Mode.RUNNING


def test_trap_4_fills_and_trades_of_a_snapshot_do_not_count_again(perps: CheckedSessions) -> None:
    venue = PerpVenue()
    session = trade(perps, venue, "buy 0.02").run(5)
    for _ in range(2):
        venue.fault(action="disconnect", target="private")
        session.run(20)
    assert own(session)[0] == D("0.02")
    assert len(session.facts("order_filled")) == 1
    snapshots = [
        json.loads(record.payload or b"")
        for record in session.kinds(Kind.BROKER)
        if b'"isSnapshot":true' in (record.payload or b"")
    ]
    assert [len(each["data"]["fills"]) for each in snapshots if each["channel"] == "userFills"] == [0, 1, 1]


def test_trap_4_the_history_of_trades_is_no_news() -> None:
    """Live trades, then the first message of a new subscription: the last live block again, and older ones."""
    decoder, base_ms = dialect().market, 1_737_918_860_000

    def trade_at(offset_ms: int, tid: int) -> dict[str, Any]:
        return {
            "coin": COIN,
            "side": "B",
            "px": "105056.0",
            "sz": "0.001",
            "time": base_ms + offset_ms,
            "hash": "0x0",
            "tid": tid,
            "users": ["", ""],
        }

    def rows(seq: int, *trades: dict[str, Any]) -> r.Rows:
        payload = json.dumps({"channel": "trades", "data": trades}).encode()
        found = decoder.decode(payload, "hyperliquid.market.0", seq, (base_ms + 10_500) * 1_000_000)
        assert not isinstance(found, tuple)
        return found

    live = rows(1, trade_at(10_000, 9), trade_at(10_000, 5))  # two of one block, whose ids do not rise
    history = rows(2, trade_at(1_000, 7), trade_at(2_000, 8), trade_at(10_000, 9), trade_at(10_000, 5))
    news = rows(3, trade_at(10_100, 1))
    table = np.concatenate([live, history, news])
    repeated = np.zeros(len(table), np.int64)
    find_repeats(table, np.zeros((len(dialect().instruments), 3), np.int64), repeated)
    counted = [
        (row[r.SEQ], row[r.TYPE]) for row, again in zip(table.tolist(), repeated.tolist(), strict=True) if not again
    ]
    assert counted == [(1, r.TRADE), (1, r.TRADE), (2, r.RETOLD), (2, r.RETOLD), (3, r.TRADE)]


def test_trap_5_updates_that_never_came_are_found_by_the_list(perps: CheckedSessions) -> None:
    venue = PerpVenue()
    session = trade(perps, venue, "buy 0.01 limit -1").run(5)
    [order] = session.state.account.orders.live.values()
    venue.fault(action="drop_events", event="orderUpdates", times=0)
    venue.act({"type": "cancel", "cancels": [{"a": ASSET, "o": int(order.venue_order_id)}]})
    session.run(70)
    assert session.state.account.orders.live == {}


def test_trap_6_a_list_without_whole_sizes_is_not_read_and_not_queried(perps: CheckedSessions) -> None:
    at = dialect()
    assert dict(at.account.open_orders().params)["type"] == "frontendOpenOrders"
    venue = PerpVenue(balances={"USDC": "1000000"})
    session = trade(perps, venue, "wait; wait").run(3)
    venue.order(price="60000", size="60")  # more than the book has: the rest of it rests
    session.run(70)
    [row] = venue.ask("openOrders")
    assert "origSz" not in row
    events = at.decode_answer(at.account.open_orders(), "", 200, {}, json.dumps([row]).encode())
    assert events[0].outcome is Outcome.UNKNOWN
    assert isinstance(events[1], Unrecognised)
    _, report = at.decode_answer(
        at.account.open_orders(), "", 200, {}, json.dumps(venue.ask("frontendOpenOrders")).encode()
    )
    assert isinstance(report, OpenOrdersReport)
    [order] = report.orders
    assert (order.quantity, order.filled_quantity) == (60, 50)


def test_trap_7_fills_of_one_millisecond_stay_in_their_order() -> None:
    """The newest millisecond comes first, and within it the oldest fill."""
    at = dialect()
    row = {
        "coin": COIN,
        "px": "60000.0",
        "sz": "1.0",
        "side": "B",
        "time": 0,
        "startPosition": "0.0",
        "dir": "",
        "closedPnl": "0.0",
        "hash": "0x0",
        "oid": 1,
        "crossed": True,
        "fee": "0.0",
        "tid": 1,
        "feeToken": "USDC",
    }
    page = [(2_000, "2.0", 40), (2_000, "3.0", 10), (1_000, "0.0", 30), (1_000, "1.0", 20)]
    body = json.dumps(
        [{**row, "time": at_ms, "startPosition": start, "tid": tid} for at_ms, start, tid in page]
    ).encode()
    _, report = at.decode_answer(at.account.fills_after(at.instruments[0], None), at.instruments[0].id, 200, {}, body)
    assert isinstance(report, FillsReport)
    assert [fill.fill_id for fill in report.fills] == ["30", "20", "40", "10"]  # by position: 0, 1, 2, 3


def test_trap_8_an_order_that_a_person_modified_is_one_order_with_a_new_id(perps: CheckedSessions) -> None:
    """The cancel of the old id ends that one alone. The new one bears our cloid: it is ours, and ends with a stop."""
    venue = PerpVenue()
    session = trade(perps, venue, "buy 0.01 limit -1").run(5)
    [order] = session.state.account.orders.live.values()
    wire = {"a": ASSET, "b": True, "p": "59000", "s": "0.01", "r": False, "t": LIMIT, "c": order.client_order_id}
    venue.act({"type": "modify", "oid": int(order.venue_order_id), "order": wire})
    session.run(5)
    [changed] = session.state.account.orders.live.values()
    assert changed.venue_order_id != order.venue_order_id
    assert (changed.order.price, changed.adopted) == (59_000, True)
    session.stop()
    assert venue.ask("frontendOpenOrders") == []
    assert all(each["type"] != "modify" for each in actions(session))  # the engine itself never modifies


def test_trap_9_each_book_is_whole_and_only_what_it_shows_is_known(perps: CheckedSessions) -> None:
    """A message replaces the book; levels beyond the twentieth are not deleted, only not shown."""
    session = trade(perps, PerpVenue(), "wait").run(5)
    payloads = [record.payload or b"" for record in session.kinds(Kind.FEED) if b'"l2Book"' in (record.payload or b"")]
    books = [json.loads(each) for each in payloads if b'"levels"' in each]
    decoded = [dialect().market.decode(json.dumps(each).encode(), "hyperliquid.market.0", 1, 1) for each in books]
    assert len(books) > 4
    assert all(not isinstance(rows, tuple) and rows[0, r.TYPE] == r.SNAPSHOT for rows in decoded)
    assert all(len(side) <= 20 for each in books for side in each["data"]["levels"])
    assert 400 <= (books[-1]["data"]["time"] - books[-2]["data"]["time"]) <= 600


def test_trap_10_no_subscription_merges_levels() -> None:
    at = dialect()
    frames = [at.signer.sign_frame(each, None, 0, "1") for each in at.subscriptions("hyperliquid.market.0")]
    assert len(frames) == 4 * len(at.instruments)
    assert not any(b"nSigFigs" in frame or b"mantissa" in frame for frame in frames)


def test_trap_11_an_account_has_a_link_of_its_own_and_each_fill_one_channel(perps: CheckedSessions) -> None:
    at = dialect()
    [private] = [plan for plan in at.links() if plan.role is LinkRole.PRIVATE]
    channels = [dict(each.params)["type"] for each in at.subscriptions(private.source)]
    assert channels == ["orderUpdates", "userFills", "userFundings"]
    fill = {"channel": "user", "data": {"fills": [{"coin": COIN}]}}
    assert at.account.decode_private(json.dumps(fill).encode()) == ()  # the same fills once more
    session = trade(perps, PerpVenue(), "buy 0.02").run(5)
    assert len(session.facts("order_filled")) == 1


def test_trap_12_the_place_of_a_coin_is_that_of_the_sessions_own_list(perps: CheckedSessions) -> None:
    assert dialect().instruments[0].symbol == COIN  # of another network
    session = trade(perps, PerpVenue(), "buy 0.02").run(5)
    [instrument] = session.body.instruments
    assert (instrument.symbol, instrument.venue_index) == (COIN, ASSET)
    assert [each["orders"][0]["a"] for each in actions(session)] == [ASSET]
    other = PerpVenue().begin().order(a=0)
    assert other == {"error": "Invalid or delisted asset. asset=0"}


@pytest.mark.parametrize(
    ("price", "buy", "sale"),
    [
        ("123456", "123456", "123456"),  # whole prices may have more than five digits
        ("12345.6", "12345", "12346"),
        ("1234.56", "1234.5", "1234.6"),
        ("9999.96", "9999.9", "10000"),
        ("0.37", "0.3", "0.4"),
    ],
)
def test_trap_13_prices_are_rounded_by_their_digits_and_never_to_zero(price: str, buy: str, sale: str) -> None:
    of = dialect().instruments[0]
    assert (resting_price(D(price), of, Side.BUY), resting_price(D(price), of, Side.SELL)) == (D(buy), D(sale))
    assert taking_price(D(price), of, Side.BUY) == D(sale)
    assert on_price_grid(D(buy), of)
    assert on_price_grid(D(price), of) is (D(price) == D(buy))


def test_trap_14_the_network_and_not_the_address_decides_the_signature() -> None:
    venue = PerpVenue().begin()
    live = Hyperliquid(()).signer.load_key(replace(venue.credentials, network="live"))
    action = {"type": "cancel", "cancels": [{"a": ASSET, "o": 1}]}
    _, refused = venue.post("/exchange", venue.signed(action, key=live).body)
    assert refused["status"] == "err"
    assert refused["response"].startswith("User or API Wallet 0x")
    assert AGENT not in refused["response"]  # not "bad signature": another address was recovered
    unsigned = dialect().account.cancel(dialect().instruments[0], "", "1")
    [answer] = dialect().decode_answer(unsigned, "", 200, {}, json.dumps(refused).encode())
    assert answer.outcome is Outcome.AUTH
    assert venue.act(action)["status"] == "ok"


def test_trap_15_closed_pnl_lacks_fees_and_fundings(perps: CheckedSessions) -> None:
    """The position is held over a full hour, at which its holder pays."""
    venue = PerpVenue(start_ns=START_NS + 330 * SECOND_NS)  # 20 seconds before the hour
    session = trade(perps, venue, "buy 0.02" + "; wait" * 25 + "; close").run(60)
    assert venue.position() == 0
    fills = venue.ask("userFills")
    closed, fees = sum(D(row["closedPnl"]) for row in fills), sum(D(row["fee"]) for row in fills)
    [funding] = [D(row["delta"]["usdc"]) for row in venue.ask("userFunding", startTime=0)]
    assert fees > 0 > funding
    assert venue.wallet() == 100_000 + closed - fees + funding
    assert session.state.account.ledger.by_asset["USDC"].expected == venue.wallet()
