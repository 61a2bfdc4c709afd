"""A market order by order: its book, and the exact place of our orders in a queue."""

import json
import random
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from bar_files import backtest, imported, verbatim
from bar_files import fills as fills_of
from hypothesis import given, settings
from hypothesis import strategies as st
from order_market import ASK, BID, OrderMarket
from plain_floor import SYMBOLS, fills, limit, venue
from test_tables import market_rows
from tiers import examples

from engine.market import rows as r
from engine.market.layout import B_STATE, BOOK_SYNCED
from engine.market.market_state import Market
from engine.model import Instrument, Side
from engine.sim.exchange import queue_models
from engine.sim.exchange.exchange import Exchange
from engine.sim.units import ONE
from engine.venues.neutral.market import NeutralMarket
from journal.reader import Journal
from journal.record import Kind
from replay.captured_market import read_markets

HEAD = b"#order orders AAAUSDT action=1 id=2 ask=3:sell price=4 size=5 add=new cancel=cut|gone fill=fill hidden=dark\n"
EMPTY = b"#book orders AAAUSDT ask=3:sell price=4 size=5\n"


def instrument() -> Instrument:
    return Instrument(
        id=f"neutral:{SYMBOLS[0]}", venue="neutral", symbol=SYMBOLS[0], base="AAA", quote="USDT",
        price_scale=0, size_scale=0, tick_size=Decimal(1), lot_size=Decimal(1), quotes_from_book=True, by_order=True,
    )  # fmt: skip


CODEC = NeutralMarket([instrument()])


def rows_of(line: str, seq: int) -> r.Rows:
    """Decode a line in both ways; they agree."""
    time_ns = int(line.partition(",")[0])
    rows = CODEC.decode(HEAD + line.encode(), "orders", seq, time_ns)
    assert not isinstance(rows, tuple), rows
    assert np.array_equal(rows, CODEC._exact(HEAD + line.encode(), seq, time_ns))
    return rows


def empty_book() -> r.Rows:
    rows = CODEC.decode(EMPTY, "orders", 0, 1)
    assert not isinstance(rows, tuple)
    return rows


def match(exchange: Exchange, rows: r.Rows) -> None:
    at = 0
    while at < len(rows):
        _, at = exchange.match_rows(rows, at, 2**62, 0)


def fold(state: Market, rows: r.Rows) -> int:
    at = 0
    while at < len(rows):
        at = state.fold(rows, at)
    return at


def test_a_fill_is_a_trade_and_a_change_of_the_book() -> None:
    trade, diff, order = rows_of("5,fill,77,buy,99,3", 9)
    assert trade[[r.TYPE, r.TRADE_PRICE, r.TRADE_SIZE, r.TRADE_BUYER_IS_MAKER, r.LAST]].tolist() == [
        r.TRADE,
        99,
        3,
        1,
        0,
    ]
    assert diff[[r.TYPE, r.DIFF_LAST_ID, r.DIFF_LEVELS, r.LAST]].tolist() == [r.DIFF, 9, 1, 0]
    assert order[r.FIELDS :].tolist() == [BID, 99, 3, 77, r.ORDER_FILLED]
    (dark,) = rows_of("5,DARK,0,sell,100,2", 9)
    assert dark[[r.TYPE, r.TRADE_OFF_BOOK, r.TRADE_BUYER_IS_MAKER]].tolist() == [r.TRADE, 1, 0]
    (other,) = rows_of("5,halt,0,sell,100,2", 9)
    assert other[[r.TYPE, r.DIFF_LEVELS]].tolist() == [r.DIFF, 0]


def test_an_id_may_be_any_text() -> None:
    ids = [int(rows_of(f"5,new,{name},buy,99,3", 1)[-1, r.ORDER_ID]) for name in ("a-1", "a-2", "00", "0", "18" * 9)]
    assert len({*ids}) == len(ids)
    assert ids[3:] == [0, int("18" * 9)]
    assert all(each <= r.ID_MAX for each in ids)


@settings(max_examples=examples(60), deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 400))
def test_our_orders_fill_as_in_a_plain_queue(seed: int, count: int) -> None:
    draw = random.Random(seed)
    market = OrderMarket(draw)
    exchange = venue((queue_models.EXACT, 0))
    exchange.books.scale(0, 0, 0)
    state = Market.empty([instrument()])
    match(exchange, empty_book())
    fold(state, empty_book())
    told: list[tuple[int, int, int]] = []
    seq = 0
    for _ in range(count):
        for line in market.step():
            seq += 1
            match(exchange, rows := rows_of(line, seq))
            assert fold(state, rows) == len(rows)
        told += [(order_id, price // ONE, quantity // ONE) for order_id, price, quantity in fills(exchange)]
        assert told == market.fills
        for side in (BID, ASK):
            expected = sorted(market.levels(side).items(), reverse=side == BID)
            assert exchange.markets[SYMBOLS[0]].top(100)[side] == [(p * ONE, size * ONE) for p, size in expected]
            assert [tuple(level) for level in state.levels(0, side)] == expected
        side = draw.randrange(2)
        if draw.random() < 0.2 and (best := market.best(side)) is not None and not market.has_ours():
            price = best + draw.choice((0, 0, 1, 2)) * (-1 if side == BID else 1)
            quantity = draw.randrange(1, 6)
            order = exchange.place("me", limit(0, side, price * ONE, quantity * ONE), 0)
            market.place_ours(order.order_id, side, price, quantity)
    assert state.t[0, B_STATE] == BOOK_SYNCED


def test_what_we_took_stays_taken_until_its_orders_leave() -> None:
    exchange = venue((queue_models.EXACT, 0))
    exchange.books.scale(0, 0, 0)
    match(exchange, empty_book())

    def told(line: str) -> None:
        match(exchange, rows_of(line, int(line[0])))

    told("1,new,1,sell,100,5")
    exchange.place("me", limit(0, BID, 100 * ONE, 4 * ONE), 0)
    offers = exchange.markets[SYMBOLS[0]].offers
    assert list(offers(Side.SELL)) == [(100 * ONE, 1 * ONE)]
    told("2,new,2,sell,100,3")
    assert list(offers(Side.SELL)) == [(100 * ONE, 4 * ONE)]
    told("3,fill,1,sell,100,5")  # the order whose size we took is filled
    assert list(offers(Side.SELL)) == [(100 * ONE, 3 * ONE)]


def test_a_level_of_over_90_million_is_counted_whole() -> None:
    """At 1e-8 the venue's units are above 2**53, the bound of a row's number."""
    exchange = venue((queue_models.EXACT, 0))
    exchange.books.scale(0, 0, 0)
    match(exchange, empty_book())
    for n in (1, 2):
        match(exchange, rows_of(f"{n},new,{n},buy,99,80000000", n))
    assert exchange.markets[SYMBOLS[0]].top(1)[BID] == [(99 * ONE, 160_000_000 * ONE)]


def test_the_table_of_orders_grows_and_forgets() -> None:
    exchange = venue((queue_models.EXACT, 0))
    exchange.books.scale(0, 0, 0)
    match(exchange, empty_book())
    for n in range(3_000):
        match(exchange, rows_of(f"{n},new,{n},buy,99,1", n + 1))
    assert len(exchange.books.known) > 3_000
    for n in range(3_000):
        match(exchange, rows_of(f"{n},gone,{n},buy,99,1", 4_000 + n))
    assert not exchange.books.known[:, 0].any()
    assert exchange.markets[SYMBOLS[0]].top(5) == ([], [])


# ---- imports -------------------------------------------------------------------------------------------

COLUMNS = "time=0:ns,action=1,id=2,ask=3:sell,price=4,size=5,add=new,cancel=cut|gone,fill=fill"


def test_a_table_of_orders_is_a_market(tmp_path: Path) -> None:
    market = OrderMarket(random.Random(5), time_ns=1_704_067_200_000_000_000)
    path = tmp_path / "orders.csv"
    path.write_text("".join(f"{line}\n" for _ in range(500) for line in market.step()))
    verbatim("import", path, "--format", "table", "--columns", COLUMNS, "--symbol", "AAAUSDT", "--into", tmp_path / "s")
    (found,) = read_markets(Journal.open(tmp_path / "s"))
    assert [(one.symbol, one.by_order, one.quotes_from_book) for one in found.instruments] == [("AAAUSDT", True, True)]
    rows = market_rows(tmp_path / "s")
    fold(state := Market.empty(found.instruments), rows)
    for side in (BID, ASK):
        expected = sorted(market.levels(side).items(), reverse=side == BID)
        assert [tuple(level) for level in state.levels(0, side)] == expected


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (COLUMNS.replace(",id=2", ""), "--columns has no id"),
        (COLUMNS.replace(",add=new", ""), "which word of the action adds an order"),
        ("time=0:ns,price=4,size=5,fill=fill", "fill=fill is for orders"),
    ],
)
def test_a_mapping_of_orders_that_says_too_little_is_refused(tmp_path: Path, columns: str, said: str) -> None:
    path = tmp_path / "orders.csv"
    path.write_text("1,new,1,buy,99,1\n")
    words = ["--format", "table", "--columns", columns, "--symbol", "AAAUSDT", "--into", tmp_path / "s"]
    assert said in verbatim("import", path, *words, code=3)


LOBSTER = """\
34200.004241176,1,16113575,18,5853300,1
34200.004260640,1,16113584,18,5853300,1
34200.004447484,1,16113594,18,5853500,-1
34200.025551909,2,16113575,8,5853300,1
34200.100000000,7,0,0,-1,-1
34200.201743000,4,16113594,3,5853500,-1
34200.202000000,5,0,40,5853400,1
34200.300000000,3,16113575,10,5853300,1
"""


def test_a_file_of_lobster_begins_with_the_book_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "AAPL_2012-06-21_34200000_57600000_message_1.csv"
    path.write_text(LOBSTER)
    book = tmp_path / path.name.replace("_message_", "_orderbook_")
    book.write_text("5859400,200,5853300,18,9999999999,0,-9999999999,0\n")
    verbatim("import", path, "--into", tmp_path / "s")
    (found,) = read_markets(Journal.open(tmp_path / "s"))
    rows = market_rows(tmp_path / "s")
    assert rows[0, r.TIME_NS] == 1_340_285_400_004_241_176  # 9:30 in New York is 13:30 UTC in June
    fold(state := Market.empty(found.instruments), rows)
    assert state.t[0, B_STATE] == BOOK_SYNCED
    assert [tuple(level) for level in state.levels(0, BID)] == [(5_853_300, 18)]
    assert [tuple(level) for level in state.levels(0, ASK)] == [(5_853_500, 15), (5_859_400, 200)]


FULL = """\
1723111110000000000 {"type":"subscriptions","channels":[{"name":"full","product_ids":["BTC-USD"]}]}
1723111111000000000 {"type":"open","sequence":11,"order_id":"in-the-book","product_id":"BTC-USD","price":"200.10","remaining_size":"1.00","side":"sell"}
1723111111100000000 {"type":"received","sequence":13,"order_id":"d50","product_id":"BTC-USD","size":"2","price":"200.00","side":"buy","order_type":"limit"}
1723111111200000000 {"type":"open","sequence":14,"order_id":"d50","product_id":"BTC-USD","price":"200.00","remaining_size":"2.00","side":"buy"}
1723111112000000000 {"sequence":12,"bids":[["200.00","1.5","old"]],"asks":[["200.10","1.00","in-the-book"],["201","4","far"]]}
1723111113000000000 {"type":"change","sequence":15,"order_id":"old","product_id":"BTC-USD","price":"200.00","old_size":"1.5","new_size":"0.5","side":"buy"}
1723111113100000000 {"type":"match","sequence":16,"trade_id":7,"maker_order_id":"old","taker_order_id":"x","product_id":"BTC-USD","size":"0.5","price":"200.00","side":"buy"}
1723111113200000000 {"type":"done","sequence":17,"order_id":"x","product_id":"BTC-USD","price":"199.00","reason":"canceled","side":"sell","remaining_size":"3"}
1723111113300000000 {"type":"done","sequence":18,"order_id":"far","product_id":"BTC-USD","price":"201","reason":"canceled","side":"sell","remaining_size":"4"}
"""


def test_the_full_channel_of_coinbase_joins_its_book(tmp_path: Path) -> None:
    path = tmp_path / "full.txt"
    path.write_text(FULL)
    verbatim("import", path, "--into", tmp_path / "s")
    (found,) = read_markets(Journal.open(tmp_path / "s"))
    fold(state := Market.empty(found.instruments), market_rows(tmp_path / "s"))
    assert [(one.base, one.quote) for one in found.instruments] == [("BTC", "USD")]
    assert [tuple(level) for level in state.levels(0, BID)] == [(2_000, 20)]  # d50; a taker's end took nothing
    assert [tuple(level) for level in state.levels(0, ASK)] == [(2_001, 10)]


def imported_lines(folder: Path, *lines: str) -> Path:
    path = folder / "full.txt"
    path.write_text("".join(f"{line}\n" for line in lines))
    return imported(folder, path)


def a_match(number: int, size: str = "0.5", second: int = 3) -> str:
    content = {"type": "match", "sequence": number, "maker_order_id": "old", "taker_order_id": "x", "size": size}
    content |= {"product_id": "BTC-USDT", "price": "200.00", "side": "buy"}
    return f"17231111130{second:02}000000000"[:19] + " " + json.dumps(content)


def a_book(number: int, second: int = 4) -> str:
    return (
        f"17231111130{second:02}000000000"[:19] + f' {{"sequence":{number},"bids":[["200.00","1.5","old"]],"asks":[]}}'
    )


def trades_of(session: Path) -> list[int]:
    rows = market_rows(session)
    return rows[rows[:, r.TYPE] == r.TRADE][:, r.TRADE_SIZE].tolist()


def test_trades_that_a_book_contains_are_kept_once(tmp_path: Path) -> None:
    session = imported_lines(tmp_path, a_match(2), a_match(2), a_book(4), a_match(3, "0.25"), a_match(5, "0.75"))
    (found,) = read_markets(Journal.open(session))
    assert [(one.base, one.quote) for one in found.instruments] == [("BTC", "USDT")]
    assert trades_of(session) == [50, 25, 75]
    fold(state := Market.empty(found.instruments), market_rows(session))
    assert [tuple(level) for level in state.levels(0, BID)] == [(200, 75)]


def test_a_book_older_than_the_messages_is_left_out(tmp_path: Path) -> None:
    session = imported_lines(tmp_path, a_book(4), a_match(5), a_match(6), a_book(5), a_match(7, "0.25"))
    (found,) = read_markets(Journal.open(session))
    fold(state := Market.empty(found.instruments), market_rows(session))
    assert [tuple(level) for level in state.levels(0, BID)] == [(200, 25)]
    notes = [json.loads(record.body)["text"] for record in Journal.open(session).records(kinds=(Kind.LINK,))]
    assert any("a book as of message 5 is left out" in note for note in notes)


def test_a_book_of_a_product_without_messages_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "full.txt"
    path.write_text(f"{a_book(4)}\n{a_match(5)}\n")
    said = verbatim("import", path, "--symbol", "ETH-USD", "--into", tmp_path / "s", code=3)
    assert "no message is of ETH-USD" in said


def test_frames_without_a_time_get_that_of_the_next(tmp_path: Path) -> None:
    later = json.loads(a_match(5).partition(" ")[2]) | {"time": "2024-08-08T09:58:33.000000Z"}
    session = imported_lines(tmp_path, a_book(4).partition(" ")[2], json.dumps(later))
    (found,) = read_markets(Journal.open(session))
    fold(state := Market.empty(found.instruments), market_rows(session))
    assert [tuple(level) for level in state.levels(0, BID)] == [(200, 10)]


@pytest.mark.parametrize("book", ["1010000,5,1000000,-5", "1000000,5,1010000,5"])
def test_a_book_of_lobster_that_cannot_be_is_refused(tmp_path: Path, book: str) -> None:
    path = tmp_path / "AAPL_2012-06-21_34200000_57600000_message_1.csv"
    path.write_text(LOBSTER)
    (tmp_path / path.name.replace("_message_", "_orderbook_")).write_text(f"{book}\n")
    assert "book" in verbatim("import", path, "--into", tmp_path / "s", code=3)


def test_a_hole_in_the_full_channel_empties_the_book(tmp_path: Path) -> None:
    path = tmp_path / "full.txt"
    path.write_text(FULL.replace('"sequence":18', '"sequence":19'))
    verbatim("import", path, "--into", tmp_path / "s")
    (found,) = read_markets(Journal.open(tmp_path / "s"))
    fold(state := Market.empty(found.instruments), market_rows(tmp_path / "s"))
    assert [state.levels(0, side) for side in (BID, ASK)] == [[], []]
    gaps = [json.loads(record.body) for record in Journal.open(tmp_path / "s").records(kinds=(Kind.LINK,))]
    assert "messages 18 to 18 are missing" in next(gap["text"] for gap in gaps if gap["state"] == "gap")


# ---- a backtest counts ---------------------------------------------------------------------------------


def write_queue(path: Path) -> Path:
    """Bids of 4 and 5, ours behind them, one of 6 behind ours. The 5 leave; then takers fill the 4, and 1 of the 6."""
    at, second = 1_704_067_200_000_000_000, 1_000_000_000
    lines = [
        "0,new,1,buy,99,4", "0,new,2,buy,99,5", "0,new,3,sell,101,50", "5,new,9,sell,101,1", "10,new,4,buy,99,6",
        "11,gone,2,buy,99,5", "12,fill,1,buy,99,4", "13,fill,4,buy,99,1", "30,new,5,sell,102,1",
    ]  # fmt: skip
    path.write_text(
        "".join(f"{at + int(line.partition(',')[0]) * second},{line.partition(',')[2]}\n" for line in lines)
    )
    return path


@pytest.mark.parametrize(("model", "expected"), [((), ["1"]), (("--model", "queue=levels"), [])])
def test_a_backtest_counts_the_queue_unless_told_otherwise(
    tmp_path: Path, model: tuple[str, ...], expected: list[str]
) -> None:
    words = ["--format", "table", "--columns", COLUMNS, "--symbol", "AAAUSDT"]
    session = imported(tmp_path, write_queue(tmp_path / "orders.csv"), *words)
    tested = backtest(session, "first_quote.py:Rests", *model)
    assert [quantity for _, _, _, quantity in fills_of(tested)] == expected
