"""Bars from before the session: requested, recorded, and folded as if the session had seen them."""

import json
from collections.abc import Sequence
from decimal import Decimal
from random import Random
from typing import Any

import numpy as np
import pytest
from checked_sessions import CheckedSessions, notes, rebuilt
from msgspec.structs import replace

from engine.market import layout as at
from engine.market import rows as r
from engine.market.history import Candle, add_bars, bars_of, gap_of
from engine.market.indicators.atr import AtrSpec
from engine.market.indicators.sma import SmaSpec
from engine.market.market_state import Market
from engine.market.rows import Rows
from engine.market.views import Bar, BarSpec
from engine.model import Instrument
from engine.session_context import SessionContext
from engine.session_record import HISTORY_PERCENT, SECOND_NS, StrategySettings, new_engine_settings
from engine.venues.binance_common.klines import Klines
from journal.record import Kind
from verbatim.testing import START_NS, VirtualSession, VirtualVenue, from_sources

MINUTE_NS = 60 * SECOND_NS
STRATEGY = """
from dataclasses import dataclass

from verbatim import Indicator, OnBar, WarmUp


class Minutes:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = OnBar(seconds=60)
    indicators = (Indicator("mean", "sma", {"length": 20}, bars_s=60),)
    bars_s = (60,)
    warm_up = WarmUp(bars=100)

    @dataclass
    class Parameters:
        pass

    @dataclass
    class State:
        seen: tuple[int, ...] = ()  # the newest closed bar of each decision, in seconds
        whole: bool = True
        mean: float = 0.0

    @staticmethod
    def decide(view, state, parameters):
        closed = view.bars("BTCUSDT", 60).closed
        state.seen = (*state.seen, closed[-1].start_ns // 1_000_000_000)
        state.whole = state.whole and all(bar.complete for bar in closed[-100:])
        state.mean = view.indicator("mean", "BTCUSDT")
        assert len(closed) >= 100
"""


def minutes() -> StrategySettings:
    return from_sources({"minutes": STRATEGY}, "minutes", "Minutes")


def candle(start_ns: int, close: str) -> list[Any]:
    """Return a candle of one minute as GET klines shows it."""
    start_ms = start_ns // 1_000_000
    return [start_ms, close, close, close, close, "1", start_ms + 59_999, "1", 3, "0.5", "0.5", "0"]


def venue(count: int = 2500, **settings: Any) -> VirtualVenue:
    """Return a venue whose symbol traded for `count` minutes before the session."""
    first_ns = START_NS - START_NS % MINUTE_NS
    history = [candle(first_ns - n * MINUTE_NS, f"{60_000 + n}") for n in range(count, 0, -1)]
    return VirtualVenue(limits={"history": {"BTCUSDT": history}}, **settings)


def seen(session: VirtualSession) -> list[int]:
    """Return the newest closed bar of each decision, in seconds since midnight."""
    state = session.state.account.strategies.get("minutes").state
    assert state.get("whole", True)
    return [each % 86_400 for each in state.get("seen", ())]


def requests(session: VirtualSession) -> list[dict[str, Any]]:
    bodies = [json.loads(record.body or "") for record in session.kinds(Kind.REQUEST)]
    return [body for body in bodies if body["purpose"] == "history"]


@pytest.mark.slow
def test_a_strategy_decides_at_the_first_bar_that_closes(begin: CheckedSessions) -> None:
    """The bar that formed when the session began is the venue's own when the strategy sees it."""
    session = begin(venue(), minutes()).run(130)
    assert session.facts("strategy_stopped") == []
    first = (START_NS - START_NS % MINUTE_NS) // SECOND_NS % 86_400
    assert seen(session) == [first, first + 60]
    page, completed = requests(session)
    assert page["history"]["end_ns"] == START_NS - START_NS % MINUTE_NS
    assert (page["history"]["end_ns"] - page["history"]["start_ns"]) // MINUTE_NS == 100
    assert dict(page["unsigned"]["params"])["interval"] == "1m"
    assert completed["history"]["start_ns"] == page["history"]["end_ns"]
    assert [fact["end"] for fact in session.facts("history_ended")] == ["whole"]
    answers = {record.cause: record for record in session.kinds(Kind.FEED) if record.meta}
    asked = [record.seq for record in session.kinds(Kind.REQUEST) if '"history"' in (record.body or "")]
    assert [answers[seq].source for seq in asked] == ["binance_spot.rest"] * 2
    assert session.state.market.history == {}
    bars = session.state.market.bars(0, MINUTE_NS)
    assert bars.closed[-3].close == Decimal(60_001)
    assert [bar.start_ns for bar in bars.closed] == list(
        range(bars.closed[0].start_ns, bars.closed[-1].start_ns + 1, MINUTE_NS)
    )
    assert rebuilt(flushed(session)).digests() == session.state.digests()


def flushed(session: VirtualSession) -> Any:
    session.writer.wait_durable(session.records[-1].seq, 60)
    return session.folder


def failed(session: VirtualSession) -> list[str]:
    return [fact["reason"] for fact in session.facts("history_failed")]


def test_pages_follow_each_other(begin: CheckedSessions) -> None:
    """An average that forgets slowly gets the bars that it needs to be as if it had begun earlier."""
    source = STRATEGY.replace('"sma", {"length": 20}', '"rsi", {"length": 110}')
    session = begin(venue(), from_sources({"minutes": source}, "minutes", "Minutes")).run(5)
    first, second = (body["history"] for body in requests(session))
    assert first["end_ns"] - first["start_ns"] == 1_000 * MINUTE_NS
    assert (second["start_ns"], second["end_ns"] - second["start_ns"]) == (first["end_ns"], 110 * MINUTE_NS)
    assert [fact["bars"] for fact in session.facts("history_read")] == [1_000, 1_110]
    assert session.state.market.indicator_count(0) == 1_110
    assert session.state.account.history.get("binance_spot:BTCUSDT", MINUTE_NS) is not None


def running_venue(seconds: int = 40) -> VirtualVenue:
    """Return a venue whose market has run for some seconds: its candles of a second are those of its trades."""
    found = VirtualVenue(start_ns=START_NS - seconds * SECOND_NS)
    found.now_ns = START_NS
    found.sim.advance(START_NS)
    return found


def seconds(length: int = 2, count: int = 5) -> StrategySettings:
    """Return the strategy over bars of a few seconds."""
    source = STRATEGY.replace("seconds=60", f"seconds={length}").replace("60", str(length))
    source = source.replace('"length": 20', '"length": 5').replace("100", str(count))
    return from_sources({"minutes": source}, "minutes", "Minutes")


@pytest.mark.slow
def test_a_history_that_fails_delays_only_the_strategy_that_waits(begin: CheckedSessions) -> None:
    """The session is RUNNING, another strategy trades, and notes say what the strategy waits for."""
    faulty = running_venue()
    faulty.fault(action="reject", path="/api/v3/klines", status=503, code=-1000, msg="out of order", times=2)
    session = begin(faulty, seconds(), "requote").run(2.5)
    assert session.state.account.modes.mode == "running"
    assert session.facts("order_accepted")
    assert seen(session) == []
    [first, *_] = notes(session, "warning")
    text = "no history for bars of 2 s of binance_spot:BTCUSDT: unknown -1000 out of order; next request in 1 s"
    assert first == text
    session.run(5)
    assert len(failed(session)) == 2
    start = START_NS // SECOND_NS % 86_400
    assert seen(session)[0] in (start, start + 2), "at once, with the bar that had closed meanwhile"
    assert seen(session) == sorted(set(seen(session)))


@pytest.mark.slow
def test_a_history_that_fails_for_long_is_given_up_when_the_strategy_is_warm(begin: CheckedSessions) -> None:
    faulty = running_venue()
    faulty.fault(action="delay_answer", path="/api/v3/klines", ms=60_000, times=0)
    brief = replace(new_engine_settings(), request_timeout_ns=SECOND_NS // 2)
    session = begin(faulty, seconds(1, 6), engine=brief).run(14)
    assert len(failed(session)) >= 3
    assert [fact["end"] for fact in session.facts("history_ended")] == ["given_up"]
    assert session.facts("strategy_changed")


@pytest.mark.slow
def test_a_lost_link_in_the_first_minute_is_made_good(begin: CheckedSessions) -> None:
    dropping = venue()
    session = begin(dropping, minutes()).run(20)
    dropping.fault(action="disconnect", target="market")
    session.run(110)
    first = (START_NS - START_NS % MINUTE_NS) // SECOND_NS % 86_400
    assert seen(session) == [first, first + 60]


@pytest.mark.slow
def test_a_session_that_continues_has_no_gap(begin: CheckedSessions) -> None:
    """The bars between the sessions come from the venue, so the carried ones are followed by whole ones."""
    lasting = running_venue()
    first = begin(lasting, seconds()).run(5)
    assert seen(first)
    first.stop()
    lasting.now_ns += 6 * SECOND_NS
    second = begin(lasting, seconds(), previous=first, opening=first.state).run(5)
    begun = second.body.started_ns - second.body.started_ns % (2 * SECOND_NS)
    assert begun // SECOND_NS % 86_400 in seen(second)
    starts = [bar.start_ns for bar in second.state.market.bars(0, 2 * SECOND_NS).closed]
    assert starts == list(range(starts[0], starts[-1] + 1, 2 * SECOND_NS))


@pytest.mark.slow
def test_longer_bars_are_made_of_the_longest_candles_that_fit(begin: CheckedSessions) -> None:
    source = STRATEGY.replace("bars_s = (60,)", "bars_s = (60, 600)").replace("WarmUp(bars=100)", "WarmUp(bars=50)")
    source = source.replace("-100:", "-50:").replace(">= 100", ">= 50")
    session = begin(venue(), from_sources({"minutes": source}, "minutes", "Minutes")).run(70)
    intervals = [dict(body["unsigned"]["params"])["interval"] for body in requests(session)]
    assert sorted(set(intervals)) == ["1m", "5m"]
    long = session.state.market.bars(0, 10 * MINUTE_NS).closed
    assert len(long) == 50
    assert (long[-1].open, long[-1].trades) == (Decimal(60_000) + 10 + START_NS // MINUTE_NS % 10, 30)
    assert all(bar.complete for bar in long)


@pytest.mark.slow
def test_a_venue_without_bars_leaves_the_strategy_to_wait(begin: CheckedSessions) -> None:
    session = begin(venue(0), minutes()).run(70)
    assert seen(session) == []
    assert [fact["end"] for fact in session.facts("history_ended")] == ["empty"]
    [note] = [text for text in notes(session, "info") if "history" in text]
    assert note.startswith(
        "no history for bars of 60 s of binance_spot:BTCUSDT: the venue has none before 2024-08-08T23"
    )


def test_a_session_without_history_requests_none(begin: CheckedSessions) -> None:
    """So sessions that were recorded before replay as they ran."""
    session = begin(venue(), minutes())
    assert session.body.engine.history_percent == HISTORY_PERCENT
    older = replace(session.body.engine, history_percent=0)
    context = SessionContext(replace(session.body, engine=older))
    assert context.history_needs == {}


# ---- candles


ID = "v:BTC"
BTC = Instrument(ID, "v", "BTC", "BTC", "USDT", 2, 3, Decimal("0.01"), Decimal("0.001"))
MEAN = SmaSpec(ID, 20, source="bars.60")
RANGE = AtrSpec(ID, 14, source="bars.60")


def market() -> Market:
    return Market.empty([BTC], [BarSpec(ID, MINUTE_NS)], [MEAN, RANGE], bars_by_time=True)


def trades(seed: int, count: int) -> Rows:
    """Return trades in a random order of prices, some minutes of them without one."""
    random = Random(seed)
    rows = np.zeros((count, r.COLUMNS), np.int64)
    time_ns = 1_000 * MINUTE_NS
    for n, row in enumerate(rows):
        time_ns += random.randrange(2 * MINUTE_NS)
        row[[r.TYPE, r.SEQ, r.TIME_NS, r.VENUE_NS, r.LAST]] = r.TRADE, n, time_ns, time_ns, 1
        row[[r.TRADE_PRICE, r.TRADE_SIZE, r.TRADE_ID]] = random.randrange(1, 10**7), random.randrange(1, 10**6), n + 1
    return rows


def fold(into: Market, rows: Rows) -> None:
    done = 0
    while done < len(rows):
        done = into.fold(rows, done)


def candles_of(bars: Sequence[Bar]) -> list[Candle]:
    return [
        Candle(
            each.start_ns,
            f"{each.open:f}",
            f"{each.high:f}",
            f"{each.low:f}",
            f"{each.close:f}",
            f"{each.volume:f}",
            each.trades,
        )
        for each in bars
    ]


@pytest.mark.parametrize("late", [1, 40])
@pytest.mark.parametrize("seed", range(5))
def test_a_history_gives_what_the_session_would_have_seen(seed: int, late: int) -> None:
    """Bars and indicators equal those of a market that saw every trade, to the bit, however late the history comes."""
    rows, half = trades(seed, 300), 150
    whole, begun = market(), market()
    for each in (whole, begun):
        each.start_trades(0, 1)
    fold(whole, rows[:half])
    begun.start_trades(0, 1)
    begun.t[0, at.L_SINCE_NS] = rows[half - 1, r.TIME_NS]
    boundary = int(rows[half, r.TIME_NS]) // MINUTE_NS * MINUTE_NS
    whole.close_bars(boundary, seq=half, time_ns=boundary)
    past = candles_of(whole.bars(0, MINUTE_NS).closed)
    fold(begun, rows[half : half + late])
    fold(whole, rows[half : half + late])
    page = {"base_ns": MINUTE_NS, "interval_ns": MINUTE_NS, "start_ns": 0, "end_ns": boundary}
    add_bars(begun, 0, bars_of(past, BTC, **page), start_ns=0, end_ns=boundary, is_last=True)
    for each in (whole, begun):
        fold(each, rows[half + late :])
        each.close_bars(int(rows[-1, r.TIME_NS]) + 3 * MINUTE_NS, seq=300, time_ns=int(rows[-1, r.TIME_NS]))
    if gap := gap_of(begun, 0):  # the bar in which the session began
        lost = [each for each in candles_of(whole.bars(0, MINUTE_NS).closed) if gap[0] <= each.start_ns < gap[1]]
        page |= {"start_ns": gap[0], "end_ns": gap[1]}
        assert add_bars(begun, 0, bars_of(lost, BTC, **page), start_ns=gap[0], end_ns=gap[1], is_last=True)
    copy = Market.load(begun.dump(), [BTC], [BarSpec(ID, MINUTE_NS)], [MEAN, RANGE], bars_by_time=True)
    assert copy.digests() == begun.digests()
    ours, theirs = begun.bars(0, MINUTE_NS), whole.bars(0, MINUTE_NS)
    assert [replace(bar, complete=True) for bar in ours.closed] == [
        replace(bar, complete=True) for bar in theirs.closed
    ]
    assert [begun.indicator(k) for k in (0, 1)] == [whole.indicator(k) for k in (0, 1)]


def bars(*candles: Candle, base_ns: int = MINUTE_NS, interval_ns: int = MINUTE_NS) -> list[tuple[int, ...]]:
    found = bars_of(candles, BTC, base_ns=base_ns, interval_ns=interval_ns, start_ns=0, end_ns=100 * MINUTE_NS)
    return [tuple(row) for row in found[:, [0, 1, 2, 3, 4, 6, 7, 8]].tolist()]


def at_minute(n: int, *, close: str = "2", complete: bool = True) -> Candle:
    return Candle(n * MINUTE_NS, "1", "3", "0.5", close, "0.25", 4, complete)


def test_candles_become_bars() -> None:
    """Missing candles give bars that are not complete; repeated ones count once; others than the page's are left out."""
    one = (60 * SECOND_NS, 100, 300, 50, 200, 250, 4, 1)
    assert bars(at_minute(1), at_minute(1, close="9"), at_minute(100)) == [one]
    flat = (120 * SECOND_NS, 200, 200, 200, 200, 0, 0, 0)
    assert bars(at_minute(3), at_minute(1)) == [one, flat, (180 * SECOND_NS, *one[1:])]
    assert bars(at_minute(1, close="2.005"))[0][4:] == (201, 250, 4, 0), "off today's grid: rounded, not complete"
    assert bars(at_minute(2), at_minute(3, close="7"), interval_ns=2 * MINUTE_NS) == [
        (120 * SECOND_NS, 100, 300, 50, 700, 500, 8, 1)
    ]
    assert bars(at_minute(2), interval_ns=2 * MINUTE_NS)[0][-1] == 0


@pytest.mark.parametrize("missing", [{4}, {5}, {4, 5}, {5, 6, 7, 8, 9}])
def test_candles_that_are_missing_between_two_pages_leave_no_hole(missing: set[int]) -> None:
    """Pages of five minutes: each missing minute is a bar that is not complete, also at the edge of a page."""
    begun = market()
    begun.start_trades(0, 1)
    for first in (0, 5, 10):
        page = {"start_ns": first * MINUTE_NS, "end_ns": (first + 5) * MINUTE_NS}
        candles = [at_minute(n) for n in range(first, first + 5) if n not in missing]
        bars_of_page = bars_of(candles, BTC, base_ns=MINUTE_NS, interval_ns=MINUTE_NS, **page)
        add_bars(begun, 0, bars_of_page, is_last=first == 10, **page)
    closed = begun.bars(0, MINUTE_NS).closed
    assert [each.start_ns // MINUTE_NS for each in closed] == list(range(15))
    assert {each.start_ns // MINUTE_NS for each in closed if not each.complete} == missing


@pytest.mark.parametrize(
    "candle",
    [
        Candle(MINUTE_NS, "-1", "1", "1", "1", "1", 1),
        Candle(MINUTE_NS, "1", "1e9", "1", "1", "1", 1),
        Candle(MINUTE_NS, "1", "1", "NaN", "1", "1", 1),
        Candle(MINUTE_NS, "1", "1", "1", "9" * 18, "1", 1),
        Candle(MINUTE_NS, "1", "1", "1", "1", "", 1),
        Candle(MINUTE_NS, "1", "1", "1", "1", "1", -1),
        Candle(MINUTE_NS, "1", "1", "1", "1", "1", 2**80),
        Candle(MINUTE_NS + 1, "1", "1", "1", "1", "1", 1),
    ],
)
def test_numbers_that_cannot_be_are_refused(candle: Candle) -> None:
    with pytest.raises(ValueError, match=r"candle begins|no price or size|too large|no count"):
        bars(candle)


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[[]]", b"[[1,2,3,4,5,6,7,8,9]]", b'{"code":-1121,"msg":"Invalid symbol."}']
)
def test_an_answer_that_holds_no_candles_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        Klines("/api/v3", weight=2).read(body)


# ---- CrossOver over bars


CROSSING = """
from dataclasses import dataclass

from verbatim import CrossOver, Indicator, OnQuote


class Crossing:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = OnQuote(when=CrossOver("fast", "slow"))
    indicators = (
        Indicator("fast", "sma", {"length": 1}, bars_s=1),
        Indicator("slow", "sma", {"length": 3}, bars_s=1),
    )

    @dataclass
    class Parameters:
        pass

    @dataclass
    class State:
        crossed_ns: tuple[int, ...] = ()

    @staticmethod
    def decide(view, state, parameters):
        fast, slow = view.indicator("fast", "BTCUSDT"), view.indicator("slow", "BTCUSDT")
        assert fast != slow
        state.crossed_ns = (*state.crossed_ns, view.time_ns)
"""


def test_a_cross_over_of_bars_is_checked_when_a_bar_closes(begin: CheckedSessions) -> None:
    """Not at the next change of the quote, as before bar_rules 1."""
    strategy = from_sources({"crossing": CROSSING}, "crossing", "Crossing")
    session = begin(VirtualVenue(), strategy).run(12)
    crossed = session.state.account.strategies.get("crossing").state["crossed_ns"]
    assert len(crossed) >= 2
    closing = {record.time_ns for record in session.kinds(Kind.TIMER) if '"bars"' in (record.body or "")}
    trades = {record.time_ns for record in session.kinds(Kind.FEED) if b'"trade"' in (record.payload or b"")}
    assert set(crossed) <= closing | trades
    older = replace(session.body.engine, bar_rules=0)
    assert SessionContext(replace(session.body, engine=older)).empty_market().condition_state[0, at.C_KIND] == at.CROSS
