"""SQL over a session: known answers from a journal made by hand, a real capture, and a whole session against its own
state.
"""

import csv
import gzip
import io
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import msgspec
import pytest
from click.testing import CliRunner

from analysis import segment_choice, sql_session
from analysis.segment_choice import SegmentChoice
from analysis.sql_session import QueryError, connect
from analysis.sql_views import view_names
from engine import facts
from engine.bodies import IntentBody, LinkBody, NoteBody, RequestBody, VerdictBody
from engine.facts import NewOrder
from engine.lifecycle import TRANSITIONS, Report, Status
from engine.model import OrderType, Side
from engine.money import ZERO
from engine.plan_terms import Trail
from engine.record_codec import read_fact, read_request, text_of
from engine.requests import LinkPlan, Transport, Unsigned
from engine.state import orders as order_reducer
from engine.state.changes import Requested, Stamp
from engine.state.orders import Orders
from journal.errors import NotAJournalError
from journal.reader import Journal
from journal.record import Kind, Record, canonical
from journal.writer import JournalWriter
from verbatim.cli import main
from verbatim.testing import VirtualSession, VirtualVenue, from_sources

BTC = "binance_spot:BTCUSDT"
START_NS = 1_723_161_250_000_000_000
STEP_NS = 1_000_000  # each step a millisecond later
VIEWS = {
    "records",
    "quotes",
    "trades",
    "orders",
    "fills",
    "intents",
    "verdicts",
    "requests",
    "positions",
    "pnl",
    "instruments",
}  # promised

QUOTE = (
    b'{"stream":"btcusdt@bookTicker","data":{"u":7,"s":"BTCUSDT","b":"99.50","B":"1.5","a":"100.00","A":"0.00000001"}}'
)
BARE_QUOTE = b'{"u":8,"s":"BTCUSDT","b":"99.60","B":"2","a":"100.10","A":"3"}'
TRADE = (
    b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161250001,"s":"BTCUSDT","t":42,"p":"61837.63000000",'
    b'"q":"0.00012000","T":1723161250000,"m":true,"M":true}}'
)
DEPTH = b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":1,"u":2,"b":[["1","2"]],"a":[]}}'
STRANGE = (
    b"\xff\xfe no text",
    b"not json",
    b"",
    b"\x00",
    b"[1,2]",
    b'"a"',
    b"{",
    b'{"e":"trade","s":"BTCUSDT","p":"x","q":[],"t":{},"T":null,"m":0}',
    b'{"u":1,"s":"BTCUSDT","b":"1e999","B":"1","a":"1","A":"1"}',
    b'{"data":[]}',
    b'{"data":null}',
)

_PNL = facts.Pnl("cross", BTC, Decimal("0.5"), Decimal(101), Decimal(1), Decimal("0.65"), Decimal("0.2"))
_PORTFOLIO = facts.PortfolioPnl(
    "EUR", "mid", Decimal("0.9"), Decimal("0.585"), Decimal("0.18"), Decimal("-0.045"), Decimal(900), ("BNB",),
    {"BNB": Decimal("-0.01")},
)  # fmt: skip


class Hand:
    """A journal written by hand, step by step. Every step is its own segment, so all except the last are sealed."""

    def __init__(self, folder: Path, session: str = "handmade", **body: Any) -> None:
        self.folder = folder
        self.records: list[Record] = []
        self.writer = JournalWriter.create(folder, segment_bytes=1, sync=False)
        self.step(Kind.SESSION, "shell", text=canonical({"session": session, **body}))

    def step(self, kind: Kind, source: str, text: str | None = None, **fields: Any) -> int:
        """Append one record as its own step, and return its seq."""
        seq = len(self.records)
        record = Record(seq, START_NS + seq * STEP_NS, kind, source, body=text, **fields)
        self.records.append(record)
        self.writer.append_step([record], urgent=True)
        self.writer.wait_durable(seq, 60)
        return seq

    def out(self, kind: Kind, body: msgspec.Struct, *, key: str | None = None, cause: int | None = None) -> int:
        return self.step(kind, "engine", text_of(body), key=key, cause=cause)

    def fact(self, body: msgspec.Struct, *, cause: int | None = None) -> int:
        return self.out(Kind.FACT, body, key=getattr(body, "client_order_id", None), cause=cause)

    def feed(self, payload: bytes) -> int:
        return self.step(Kind.FEED, "binance_spot.market.0", cause=2, recv_ns=1, payload=payload)

    def place(self, name: str, order: NewOrder, *, cause: int | None = None) -> int:
        """Append the records from the intent to the request, and return the request's seq."""
        wish = self.out(
            Kind.INTENT, IntentBody("place", "cross", "1", order, rationale={"quote_seq": cause}), key=name, cause=cause
        )
        verdict = self.out(Kind.VERDICT, VerdictBody(True, {"tick": "", "lot": ""}), key=name, cause=wish)
        unsigned = Unsigned(Transport.REST, "POST", "/api/v3/order", (("symbol", "BTCUSDT"),), signed=True, orders=1)
        request = RequestBody(
            "place",
            "binance_spot",
            True,
            1,
            1,
            unsigned,
            instrument=BTC,
            client_order_id=name,
            strategy="cross",
            order=order,
        )
        return self.out(Kind.REQUEST, request, key=name, cause=verdict)

    def answer(self, request: int, name: str | None, payload: bytes = b"{}", **meta: Any) -> int:
        said = {"outcome": "answer", "status": 200, "sent_ns": START_NS + request * STEP_NS + 250_000, **meta}
        return self.step(
            Kind.BROKER, "binance_spot.rest", key=name, cause=request, meta=canonical(said), payload=payload
        )

    def fill(self, name: str, price: str, quantity: str, *, cause: int | None = None, side: Side = Side.BUY) -> int:
        return self.fact(
            facts.OrderFilled(
                name, "cross", BTC, f"f{len(self.records)}", f"v-{name}", side, Decimal(price), Decimal(quantity),
                Decimal("0.001"), "BTC", False, START_NS, False,
            ),
            cause=cause,
        )  # fmt: skip

    def accepted(self, name: str) -> int:
        return self.fact(facts.OrderAccepted(name, f"v-{name}", START_NS))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.writer.close()


def limit(quantity: str, price: str, side: Side = Side.BUY) -> NewOrder:
    return NewOrder(BTC, side, OrderType.LIMIT, Decimal(quantity), Decimal(price))


def market(quantity: str, side: Side = Side.SELL) -> NewOrder:
    return NewOrder(BTC, side, OrderType.MARKET, Decimal(quantity))


SEALING_S_MAX = 60.0


@pytest.fixture(scope="module")
def hand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hand]:
    """Return a session with known numbers, still being written."""
    with Hand(tmp_path_factory.mktemp("journals") / "20240808T235410Z-handmade") as hand:
        plan = LinkPlan("binance_spot.market.0", "market", "/stream")
        connect_seq = hand.out(
            Kind.REQUEST, RequestBody("connect", "binance_spot", False, 1, 1, link=plan, source=plan.source)
        )
        hand.step(Kind.LINK, plan.source, text_of(LinkBody("up")), cause=connect_seq)
        quote = hand.feed(QUOTE)
        hand.feed(BARE_QUOTE)
        hand.feed(TRADE)
        hand.feed(DEPTH)
        for frame in STRANGE:
            hand.feed(frame)
        whole = hand.place("whole", limit("0.5", "100"), cause=quote)
        hand.answer(whole, "whole")
        hand.accepted("whole")
        hand.fill("whole", "100", "0.2")
        fill = hand.fill("whole", "99.5", "0.3")
        hand.fact(
            facts.Position("cross", BTC, Decimal("0.498"), Decimal("99.7"), ZERO, {"BTC": Decimal("0.002")}, ZERO),
            cause=fill,
        )
        hand.fact(facts.BalanceChanged("BTC", Decimal(1), ZERO))
        hand.fact(facts.BalanceChanged("BTC", Decimal("1.498"), ZERO))
        hand.answer(
            hand.place("refused", market("5")), "refused", b'{"code":-2010,"msg":"insufficient balance"}', status=400
        )
        hand.fact(facts.OrderClosed("refused", Report.REJECTED, ZERO, "-2010 insufficient balance", 0))
        hand.answer(
            hand.place("lost", limit("1", "90")), "lost", b"", outcome="timeout", status=0, error="no answer in 10 s"
        )
        hand.fact(facts.OrderUnknown("lost", "no answer", 1))
        hand.fact(facts.OrderNotPlaced("lost", "the venue answered that it does not know it"))
        hand.place("part", limit("0.4", "95"))
        hand.accepted("part")
        hand.fill("part", "95", "0.1")
        hand.fact(facts.OrderClosed("part", Report.CANCELED, Decimal("0.1"), "", 0))
        wish = hand.out(Kind.INTENT, IntentBody("place", "cross", "1", limit("100", "1")), key="greedy")
        hand.out(
            Kind.VERDICT,
            VerdictBody(False, {"lot": "", "order_size": "too large", "tick": "", "zeal": "no"}),
            key="greedy",
            cause=wish,
        )
        hand.fact(facts.OrderAdopted("theirs", "v-theirs", limit("2", "80", Side.SELL), Decimal("0.5")))
        hand.fact(facts.OrderTriggered("part", 0))
        hand.fact(facts.PlanStarted("plan", "cross", "1", Trail(BTC, Side.SELL, Decimal(1), basis_points=50)))
        hand.fact(facts.ModeChanged("running", ()))
        hand.fact(_PNL)
        funded = msgspec.structs.replace(_PNL, funding=Decimal("-0.05"), asset="USDT", report_rate=Decimal("0.9"))
        funding = facts.FundingPaid("quoter", BTC, "USDT", Decimal("-0.05"), Decimal(1), 7, rate=Decimal("0.0001"))
        for report in (funded, _PORTFOLIO, funding):
            hand.fact(report)
        hand.out(Kind.NOTE, NoteBody("warning", "it's late"))
        hand.place("pending", limit("1", "91"))
        lost = facts.MarketGap("binance_spot.market.0", "connection lost", 5, -1)
        told = hand.fact(lost)
        hand.fact(msgspec.structs.replace(lost, to_ns=9, to_seq=30), cause=told)
        missing = facts.MarketGap("binance_spot.market.0", "trade ids are missing", 5, 20, 9, 31, BTC, "trade", 41, 44)
        hand.fact(missing, cause=told)
        hand.fact(lost)
        until_s = time.monotonic() + SEALING_S_MAX
        while not list(hand.folder.glob("*.parquet")):  # the sealer runs at low priority
            assert time.monotonic() < until_s, "no segment was sealed"
            time.sleep(0.001)
        yield hand


def ask(hand: Hand, query: str) -> list[tuple[Any, ...]]:
    return sql_session.query_rows(connect(hand.folder), query)


@pytest.mark.slow
def test_every_record_is_there_sealed_or_not(hand: Hand) -> None:
    """Sealed files and the open tail are one relation, even with a dictionary of another process, while the writer is
    at work.
    """
    journal = Journal(hand.folder)
    assert journal.sealed_paths()
    assert journal.unsealed_rows().num_rows
    assert ask(hand, "SELECT count(*), min(seq), max(seq), count(DISTINCT seq), any_value(session) FROM records") == [
        (len(hand.records), 0, len(hand.records) - 1, len(hand.records), "handmade")
    ]
    command = [
        sys.executable,
        "-c",
        "from verbatim.cli import main; main()",
        "sql",
        str(hand.folder),
        "SELECT count(*) AS n FROM records",
        "--json",
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) == [{"n": len(hand.records)}]


@pytest.mark.slow
def test_no_frame_breaks_a_view(hand: Hand) -> None:
    """Every column of every view is read, with frames that are not text, not JSON, or the wrong JSON."""
    connection = connect(hand.folder)
    listed = {view.name for view in sql_session.list_views(connection)}
    assert listed >= VIEWS
    for name in sorted(listed):
        rows = sql_session.run_query(connection, f"SELECT * FROM {name}").rows
        # the session by hand lists no instruments: tests/test_own_symbols.py reads that view
        assert rows or name == "instruments", f"{name} shows nothing"
    texts = ask(hand, r"SELECT payload, text FROM records WHERE kind = 'FEED' AND text IS NULL")
    assert texts == [(STRANGE[0], None)]


def test_a_gap_is_one_row_however_often_it_was_told(hand: Hand) -> None:
    query = "SELECT stream, reason, from_ns, to_ns, duration_ns, from_seq, to_seq, missing FROM gaps"
    assert ask(hand, query) == [
        (None, "connection lost", 5, 9, 4, None, 30, None),
        ("trade", "trade ids are missing", 5, 9, 4, 20, 31, 2),
        (None, "connection lost", 5, None, None, None, None, None),
    ]


@pytest.mark.slow
def test_the_market_is_read_from_the_wire(hand: Hand) -> None:
    assert ask(hand, "SELECT instrument, bid, bid_size, ask, ask_size, spread, update_id FROM quotes ORDER BY seq") == [
        (BTC, Decimal("99.5"), Decimal("1.5"), Decimal(100), Decimal("0.00000001"), Decimal("0.5"), 7),
        (BTC, Decimal("99.6"), Decimal(2), Decimal("100.1"), Decimal(3), Decimal("0.5"), 8),
    ]
    assert ask(hand, "SELECT instrument, side, price, quantity, trade_id, venue_ns FROM trades") == [
        (BTC, "SELL", Decimal("61837.63"), Decimal("0.00012"), 42, START_NS)
    ]


@pytest.mark.slow
def test_orders_are_one_row_each(hand: Hand) -> None:
    found = ask(
        hand,
        "SELECT client_order_id, status, filled_quantity, price_avg, fills, reason, origin FROM orders ORDER BY "
        "created_ns",
    )
    assert found == [
        ("whole", "filled", Decimal("0.5"), Decimal("99.7"), 2, None, "placed"),
        ("refused", "rejected", ZERO, None, 0, "-2010 insufficient balance", "placed"),
        ("lost", "not_placed", ZERO, None, 0, "the venue answered that it does not know it", "placed"),
        ("part", "canceled", Decimal("0.1"), Decimal(95), 1, None, "placed"),
        ("theirs", "open", ZERO, None, 0, None, "adopted"),
        ("pending", "pending", ZERO, None, 0, None, "placed"),
    ]
    assert ask(
        hand, "SELECT price, type, side, strategy, venue_order_id FROM orders WHERE client_order_id = 'refused'"
    ) == [(None, "MARKET", "SELL", "cross", None)]


@pytest.mark.slow
def test_fills_positions_and_pnl_add_up(hand: Hand) -> None:
    assert ask(hand, "SELECT sum(notional), sum(fee), count(*) FROM fills") == [(Decimal("59.35"), Decimal("0.003"), 3)]
    assert ask(hand, "SELECT quantity, price_avg, fees->>'BTC' FROM positions WHERE is_last") == [
        (Decimal("0.498"), Decimal("99.7"), "0.002")
    ]
    assert ask(hand, "SELECT net_pnl, funding, report_rate FROM pnl ORDER BY seq") == [
        (Decimal("1.45"), 0, None), (Decimal("1.40"), Decimal("-0.05"), Decimal("0.9")),
    ]  # fmt: skip
    assert ask(hand, "SELECT currency, total, equity, missing, unrated->>'BNB' FROM portfolio WHERE is_last") == [
        ("EUR", Decimal("1.26"), 900, '["BNB"]', "-0.01"),
    ]  # fmt: skip
    assert ask(hand, "SELECT free FROM balances WHERE is_last") == [(Decimal("1.498"),)]
    assert ask(hand, "SELECT text FROM notes") == [("it's late",)]


@pytest.mark.slow
def test_verdicts_name_the_first_objection(hand: Hand) -> None:
    found = ask(hand, "SELECT client_order_id, approved, rule, objection FROM verdicts WHERE NOT approved")
    assert found == [("greedy", False, "order_size", "too large")]
    assert ask(hand, "SELECT count(*) FROM verdicts WHERE approved AND rule IS NULL AND objection IS NULL") == [(5,)]
    assert ask(hand, "SELECT rationale->>'quote_seq', quote_seq FROM intents WHERE client_order_id = 'whole'") == [
        ("3", 3)
    ]


@pytest.mark.slow
def test_requests_meet_their_answers(hand: Hand) -> None:
    found = ask(
        hand, "SELECT client_order_id, purpose, outcome, status, venue_code, error, answer_seq - seq FROM requests"
    )
    assert found == [
        (None, "connect", "up", None, None, None, 1),
        ("whole", "place", "answer", 200, None, None, 1),
        ("refused", "place", "answer", 400, -2010, "insufficient balance", 1),
        ("lost", "place", "timeout", 0, None, "no answer in 10 s", 1),
        ("part", "place", None, None, None, None, None),
        ("pending", "place", None, None, None, None, None),
    ]
    # sent a quarter of a millisecond after the request, answered a millisecond after it
    assert ask(hand, "SELECT latency_ns FROM requests WHERE client_order_id = 'whole'") == [(750_000,)]


def test_several_sessions_are_told_apart(hand: Hand, tmp_path: Path) -> None:
    """A closed session and one that is being written share ids that do not mix."""
    with Hand(tmp_path / "20240809T000000Z-another2", session="another2") as other:
        other.place("whole", limit("1", "70"))
    connection = connect([hand.folder, other.folder])
    found = sql_session.query_rows(
        connection, "SELECT session, status FROM orders WHERE client_order_id = 'whole' ORDER BY ALL"
    )
    assert found == [("another2", "pending"), ("handmade", "filled")]


def test_a_query_makes_the_views_that_it_names(hand: Hand) -> None:
    """A name that is put together when the query runs is found too, and a list of the catalogue shows all."""
    made = "SELECT count(*) FROM duckdb_views() WHERE NOT internal"
    connection = connect(hand.folder)
    for query, views in (
        ("SELECT count(*) FROM Fills", {"fills", "journal"}),
        ("SELECT count(*) FROM query('FROM f' || 'ills')", {"fills", "journal"}),
        ("SELECT count(*) FROM query('FROM not' || 'es')", {*view_names(), "journal"}),
    ):
        assert sql_session.query_rows(connection, query) == ask(hand, query)
        raw = connection.cursor().execute(made.replace("count(*)", "view_name")).fetchall()
        assert {name for (name,) in raw} == views
    assert ask(hand, made) == [(len(views),)]


def test_a_journal_is_only_read(hand: Hand, tmp_path: Path) -> None:
    """No statement writes, and none reads a file outside the journal."""
    connection = connect(hand.folder)
    sealed = Journal(hand.folder).sealed_paths()[0]
    for query in (
        f"COPY (SELECT 1) TO '{sealed}' (USE_TMP_FILE false)",
        f"COPY records TO '{tmp_path}/x.csv'",
        "CREATE TABLE t AS SELECT 1",
        "DROP VIEW orders",
        f"ATTACH '{tmp_path}/x.duckdb'",
        "SET enable_external_access = true",
        "INSTALL httpfs",
        "SELECT 1; SELECT 2",
        "",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM nothing",
        "SELEC",
    ):
        with pytest.raises(QueryError) as refused:
            sql_session.run_query(connection, query)
        assert "\n" not in str(refused.value)
    with pytest.raises(NotAJournalError):
        connect(tmp_path)


def test_sums_of_money_are_exact(hand: Hand) -> None:
    """DuckDB's own quotient of two DECIMALs is a DOUBLE, and its product overflows from 100 on."""
    found = ask(
        hand,
        "SELECT product(money('61837.63'), money('0.00012')), ratio(money('1'), money('3')), ratio(money('-1'), "
        "money('3')),"
        " ratio(money('1'), money('0')), product(money('99999999999999'), money('99999999999'))",
    )
    third = Decimal("0.333333333333")
    assert found == [(Decimal("7.4205156"), third, -third, None, None)]


@pytest.mark.slow
def test_the_status_is_the_life_cycles(tmp_path: Path) -> None:
    """Random walks through lifecycle.TRANSITIONS end in the same status in the view and in the reducer."""
    draw = random.Random(20240808)
    believed = Orders()
    with Hand(tmp_path / "walks") as hand:
        for number in range(60):
            name = f"o{number}"
            hand.place(name, limit("1", "100"))
            believed = _fold(believed, hand)
            for _ in range(draw.randrange(6)):
                order = believed.get(name)
                assert order is not None
                allowed = sorted(TRANSITIONS[order.status])
                if not allowed:
                    break
                _tell(hand, name, draw.choice(allowed), left=Decimal(1) - order.filled_quantity)
                believed = _fold(believed, hand)
        found = dict(ask(hand, "SELECT client_order_id, status FROM orders"))
        sums = dict(ask(hand, "SELECT client_order_id, filled_quantity FROM orders"))
    assert found == {order.client_order_id: order.status.value for order in believed.all()}
    assert sums == {order.client_order_id: order.filled_quantity for order in believed.all()}
    assert set(found.values()) == set(Status), "the walks reach every status"


def _tell(hand: Hand, name: str, report: Report, *, left: Decimal) -> None:
    match report:
        case Report.ACCEPTED:
            hand.accepted(name)
        case Report.TRIGGERED:
            hand.fact(facts.OrderTriggered(name, 0))
        case Report.PART_FILL:
            hand.fill(name, "100", str(left / 4))
        case Report.FULL_FILL:
            hand.fill(name, "100", str(left))
        case Report.CANCELED | Report.EXPIRED | Report.REJECTED:
            hand.fact(facts.OrderClosed(name, report, ZERO, "", 0))
        case Report.NO_ANSWER:
            hand.fact(facts.OrderUnknown(name, "no answer", 1))
        case Report.PROVED_ABSENT:
            hand.fact(facts.OrderNotPlaced(name, "not known"))


def _fold(believed: Orders, hand: Hand) -> Orders:
    record = hand.records[-1]
    body = record.body or ""
    change = read_fact(body) if record.kind is Kind.FACT else Requested(read_request(body))
    return order_reducer.reduce(believed, change, Stamp(record.seq, record.time_ns))


@pytest.mark.slow
def test_a_whole_capture(shared_data: Path, tmp_path: Path) -> None:
    """Counts and the last top of book equal those that MANIFEST.md states for this capture."""
    with gzip.open(shared_data / "captures" / "binance" / "spot_btcusdt_20240808.gz") as lines:
        frames = [line.rstrip(b"\n").split(b" ", 1)[1] for line in lines]
    folder = tmp_path / "capture"
    writer = JournalWriter.create(folder, sync=False, segment_bytes=2_000_000)
    writer.append_step([Record(0, 0, Kind.SESSION, "shell", body='{"session":"capture2"}')])
    for seq, frame in enumerate(frames, 1):
        meta = None if frame.startswith(b'{"stream"') else '{"outcome":"answer","status":200}'
        writer.append_step([Record(seq, seq, Kind.FEED, "binance_spot.market.0", cause=0, meta=meta, payload=frame)])
    writer.wait_durable(len(frames), 60)
    connection = connect(folder)
    assert sql_session.query_rows(connection, "SELECT count(*) FROM quotes") == [(28_040,)]
    assert sql_session.query_rows(connection, "SELECT count(*) FROM trades") == [(9_757,)]
    assert sql_session.query_rows(connection, "SELECT count(*) FROM records WHERE kind = 'FEED'") == [(41_249,)]
    last = (
        "SELECT bid, bid_size, ask, ask_size FROM quotes WHERE update_id <= 50093421584 ORDER BY update_id DESC LIMIT 1"
    )
    assert sql_session.query_rows(connection, last) == [
        (Decimal("61685.99"), Decimal("1.0087"), Decimal(61686), Decimal("2.29327"))
    ]
    writer.close()


FLIP = """
from dataclasses import dataclass
from decimal import Decimal
from verbatim import Cancel, OnQuote, OrderType, Place, Side

class Flip:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = OnQuote(throttle_ms=500)

    @dataclass
    class Parameters:
        size: Decimal = Decimal("0.01")

    @dataclass
    class State:
        turns: int = 0

    @staticmethod
    def decide(view, state, parameters):
        state.turns += 1
        rationale = {"turns": state.turns}
        match state.turns % 7:
            case 0:
                side = Side.BUY if state.turns % 14 else Side.SELL
                return [Place("BTCUSDT", side, parameters.size, type=OrderType.MARKET, rationale=rationale)]
            case 2:
                return [Place("BTCUSDT", Side.BUY, Decimal("0.0000001"), price=view.quote("BTCUSDT").bid, rationale=rationale)]
            case 3:
                return [Place("BTCUSDT", Side.BUY, parameters.size, price=view.quote("BTCUSDT").bid - 1, rationale=rationale)]
            case 5:
                return [Cancel(order.client_order_id) for order in view.orders()]
        return []
"""


@pytest.mark.slow
def test_a_session_in_sql_is_what_the_engine_believed(tmp_path: Path) -> None:
    """During and after the session, orders, fills, positions and balances equal those of the state."""
    session = VirtualSession.start(
        VirtualVenue(seed=3),
        tmp_path / "20240808T235410Z-aaaaaaaa",
        strategies=[from_sources({"flip": FLIP}, "flip", "Flip")],
    )
    session.run(20)
    session.writer.wait_durable(session.records[-1].seq, 60)
    _compare(session)
    session.run(10)
    session.stop()
    _compare(session)
    connection = connect(session.folder)
    assert sql_session.query_rows(connection, "SELECT count(*) FROM requests WHERE outcome IS NULL") == [(0,)]
    assert sql_session.query_rows(connection, "SELECT rule FROM verdicts WHERE NOT approved GROUP BY ALL") == [("lot",)]


def _compare(session: VirtualSession) -> None:
    connection = connect(session.folder)
    account = session.state.account
    kinds = dict(sql_session.query_rows(connection, "SELECT kind, count(*) FROM records GROUP BY ALL"))
    assert kinds == Counter(record.kind.value for record in session.records)
    believed = {
        (
            order.client_order_id,
            order.status.value,
            order.filled_quantity,
            order.venue_order_id or None,
            order.request_seq,
        )
        for order in account.orders.all()
    }
    query = "SELECT client_order_id, status, filled_quantity, venue_order_id, request_seq FROM orders"
    assert set(sql_session.query_rows(connection, query)) == believed
    averages = sql_session.query_rows(connection, "SELECT client_order_id, price_avg FROM orders WHERE fills > 0")
    assert averages, "something was filled"
    for name, price_avg in averages:
        order = account.orders.get(name)
        assert order is not None
        assert abs(price_avg - order.filled_notional / order.filled_quantity) < Decimal("1e-11")
    assert sql_session.query_rows(connection, "SELECT count(*) FROM fills") == [(len(session.facts("order_filled")),)]
    held = sql_session.query_rows(
        connection, "SELECT strategy || ' ' || instrument, quantity FROM positions WHERE is_last"
    )
    assert dict(held) == {key: position.quantity for key, position in account.positions.by_key.items()}
    balances = sql_session.query_rows(connection, "SELECT asset, free, locked FROM balances WHERE is_last")
    assert set(balances) == {(asset, found.free, found.locked) for asset, found in account.balances.by_asset.items()}


def run(*arguments: str) -> Any:
    return CliRunner().invoke(main, ["sql", *arguments])


@pytest.mark.slow
def test_the_command_line(hand: Hand) -> None:
    """The command prints a table, JSON, CSV or the list of views, and one clear line for each error."""
    root, session = str(hand.folder.parent), ["handmade", "--journals", str(hand.folder.parent)]
    query = "SELECT client_order_id, price_avg, created FROM orders WHERE fills > 1"
    assert "99.7" in run(*session, query).stdout
    assert json.loads(run(*session, query, "--json").stdout) == [
        {"client_order_id": "whole", "price_avg": "99.7", "created": "2024-08-08T23:54:10.020000Z"}
    ]
    rows = list(csv.reader(io.StringIO(run(*session, query, "--csv").stdout)))
    assert rows == [["client_order_id", "price_avg", "created"], ["whole", "99.7", "2024-08-08 23:54:10.020000"]]
    assert json.loads(run(*session, "SELECT rules FROM verdicts LIMIT 1", "--json").stdout) == [
        {"rules": {"lot": "", "tick": ""}}
    ]
    listed = run(*session)
    assert listed.exit_code == 0
    assert all(f"\n{name}  " in f"\n{listed.stdout}" for name in VIEWS)
    cut = run(*session, "SELECT seq FROM records", "--limit", "2", "--json")
    assert (json.loads(cut.stdout), cut.stderr) == ([{"seq": 0}, {"seq": 1}], "the first 2 rows; --limit N for more\n")
    for arguments, code, words in (
        ([*session, "SELECT nope FROM orders"], 3, "SQL: Binder Error"),
        (["zzzzzzzz", "SELECT 1", "--journals", root], 3, "no session 'zzzzzzzz'"),
        ([*session, "SELECT 1", "--json", "--csv"], 2, "not both"),
    ):
        failed = run(*arguments)
        assert failed.exit_code == code
        assert words in failed.stderr
        assert "Traceback" not in failed.output


@pytest.mark.slow
def test_the_examples_run(hand: Hand) -> None:
    from verbatim.commands.sql import EXAMPLES

    for example in EXAMPLES:
        assert ask(hand, example)


def test_a_query_of_a_long_session_opens_the_files_that_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read the same rows with and without a choice of files, with conditions on seq and time and without."""
    writer = JournalWriter.create(tmp_path / "s", sync=False, segment_bytes=1)
    text = '{"session":"many"}'
    records = [Record(seq=0, time_ns=START_NS, kind=Kind.SESSION, source="shell", body=text)]
    records += [
        Record(seq=seq, time_ns=START_NS + seq // 2 * 10, kind=Kind.FEED, source="m", payload=b"(seq = 9)")
        for seq in range(1, 7)
    ]
    for record in records:
        writer.append_step([record], urgent=True)
        writer.wait_durable(record.seq, 10)  # so each gets a segment
    writer.close()
    assert len(Journal.open(tmp_path / "s").sealed_paths()) == 7
    chosen: list[int] = []
    narrow = SegmentChoice.narrow

    def noted(choice: SegmentChoice, cursor: Any, query: str, values: Any) -> None:
        narrow(choice, cursor, query, values)
        [(paths,)] = cursor.execute("SELECT getvariable('segments_0')").fetchall()
        chosen.append(len(paths or ()))

    queries = {
        "seq = 5": 1,
        "seq = 99": 1,
        "seq >= 3 AND 5 > seq": 2,
        f"time_ns > {START_NS} AND time_ns <= {START_NS + 20}": 4,
        f"time_ns = {START_NS + 20} AND seq <> 4": 2,
        f"time_ns < {START_NS}": 1,
        "seq = 2 OR seq = 5": 0,
        "seq > 3 AND source = '(seq = 1)'": 3,
        "payload = '(seq = 9)'::BLOB": 0,
        "seq < 3 OR kind = 'SESSION'": 0,
        "seq IN (SELECT seq + 1 FROM journal WHERE seq = 4)": 0,
    }
    monkeypatch.setattr(segment_choice, "FILES_MIN", 8)
    every = connect(tmp_path / "s")
    monkeypatch.setattr(segment_choice, "FILES_MIN", 1)
    few = connect(tmp_path / "s")
    monkeypatch.setattr(SegmentChoice, "narrow", noted)
    for condition, files in queries.items():
        query = f"SELECT seq, * FROM journal WHERE {condition} ORDER BY seq"
        assert sql_session.query_rows(few, query) == sql_session.query_rows(every, query), condition
        assert chosen[0] == files, condition
        chosen.clear()
    assert sql_session.query_rows(few, "SELECT count(*) FROM records WHERE seq > ? AND seq < ?", [3, 6]) == [(2,)]
    assert chosen == [2]
    with pytest.raises(QueryError, match="nothing"):
        sql_session.query_rows(few, "SELECT nothing FROM journal")
