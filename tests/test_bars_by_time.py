"""Bars that close by time: without trades, with missing trades, over a restart, on several timeframes, in old sessions.

The sessions are by hand (tests/by_hand.py): after each record a second kernel that only rebuilds has the same state, and
each journal is verified and replayed.
"""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from by_hand import BTC, ETH, MARKET, START_NS, ByHand
from msgspec.structs import replace

from engine.bodies import LinkBody
from engine.market import rows as r
from engine.market.layout import BARS_KEPT
from engine.market.market_state import Market
from engine.market.views import Bar, Bars, BarSpec
from engine.record_codec import read_timer, text_of
from engine.sequencer import Arrival
from engine.session_record import MILLISECOND_NS, SECOND_NS, EngineSettings, newest_rules
from engine.strategy.source_guard import StrategyError
from journal.record import Kind
from verbatim.testing import from_sources

MINUTE_NS = 60 * SECOND_NS
FIRST_NS = START_NS + 50 * SECOND_NS  # the first full minute of a session
CHART = """
from dataclasses import dataclass, field

from verbatim import OnBar


class Chart:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = OnBar(60)
    bars_s = (120,)

    @dataclass
    class Parameters:
        pass

    @dataclass
    class State:
        seen: list[str] = field(default_factory=list)

    @staticmethod
    def decide(view, state, parameters):
        minute, two = view.bars("BTCUSDT", 60), view.bars("BTCUSDT", 120)
        assert minute.forming is None or minute.forming.start_ns > minute.closed[-1].start_ns
        state.seen.append(f"{minute.closed_count} {minute.closed[-1].close} {two.closed_count}")
"""


class Traded(ByHand):
    """A session whose test trades by hand. Trade ids count up unless some are left out."""

    def __init__(self, **settings: Any) -> None:
        self.trade_id = 100
        super().__init__(**{"source": CHART, "cls": "Chart", **settings})

    def trade(self, price: str, *, missing: int = 0, at_ns: int = 0, symbol: str = "BTCUSDT") -> "Traded":
        """One trade now, or as if it had happened at `at_ns`."""
        self.trade_id += 1 + missing
        stamp = (at_ns or self.now_ns) // MILLISECOND_NS
        told = {
            "e": "trade", "E": stamp, "T": stamp, "s": symbol, "t": self.trade_id, "p": price, "q": "1.0", "m": False,
        }  # fmt: skip
        self._market(f"{symbol.lower()}@trade", told)
        return self

    def until(self, time_ns: int) -> "Traded":
        """Let the session run up to a time."""
        self.run((time_ns - self.now_ns) / SECOND_NS)
        return self

    def bars(self, seconds: int = 60, i: int = 0) -> Bars:
        return self.state.market.bars(i, seconds * SECOND_NS)

    def seen(self) -> list[str]:
        found: list[str] = self.state.account.strategies.get("chart").state.get("seen", [])
        return found

    def timers(self) -> list[int]:
        bodies = [read_timer(each.body or "") for each in self.records if each.kind is Kind.TIMER]
        return [body.due_ns for body in bodies if body.timer == "bars"]


def short(bars: Bars) -> list[tuple[int, str, int, bool]]:
    """Return (minutes after the first full one, close, trades, complete) of each closed bar."""
    return [((b.start_ns - FIRST_NS) // MINUTE_NS, str(b.close), b.trades, b.complete) for b in bars.closed]


def test_a_bar_closes_by_a_timer_a_second_after_its_end_though_nobody_trades(tmp_path: Path) -> None:
    hand = Traded().until(FIRST_NS + 5 * SECOND_NS).trade("100.00").until(FIRST_NS + 61 * SECOND_NS - 1)
    assert hand.bars().closed_count == 0, "not before the timer"
    hand.until(FIRST_NS + 61 * SECOND_NS)
    assert hand.timers()[-1] == FIRST_NS + 61 * SECOND_NS
    assert short(hand.bars()) == [(0, "100", 1, True)]
    assert hand.bars().forming is None, "a bar without a trade is not shown while it forms"
    hand.until(FIRST_NS + 4 * MINUTE_NS)
    assert short(hand.bars()) == [(0, "100", 1, True), (1, "100", 0, True), (2, "100", 0, True)]
    quiet = hand.bars().closed[-1]
    assert (quiet.open, quiet.high, quiet.low, quiet.volume) == (100, 100, 100, 0)
    hand.prove(tmp_path / "journal")


def test_a_trade_of_the_next_bar_closes_the_one_before_at_once_and_a_late_one_changes_nothing(tmp_path: Path) -> None:
    hand = Traded().until(FIRST_NS + SECOND_NS).trade("100.00").until(FIRST_NS + MINUTE_NS).trade("101.00")
    assert short(hand.bars()) == [(0, "100", 1, True)]
    forming = hand.bars().forming
    assert forming is not None
    assert (forming.start_ns, forming.complete) == (FIRST_NS + MINUTE_NS, False)
    hand.until(FIRST_NS + 62 * SECOND_NS).trade("9.00", at_ns=FIRST_NS + 59 * SECOND_NS)
    assert (short(hand.bars()), hand.bars().late) == ([(0, "100", 1, True)], 1)
    hand.prove(tmp_path / "journal")


@pytest.mark.slow
def test_bars_that_end_together_close_together_and_a_strategy_is_asked_once_for_each_end(tmp_path: Path) -> None:
    """Intervals of one and two minutes end at whole minutes of UTC. By a trade or by the timer, both are closed."""
    even_ns = FIRST_NS + MINUTE_NS  # an even minute of the day
    assert even_ns % (2 * MINUTE_NS) == 0
    hand = Traded().until(even_ns + SECOND_NS).trade("100.00").until(even_ns + 2 * MINUTE_NS).trade("101.00")
    assert (hand.bars(60).closed_count, hand.bars(120).closed_count) == (2, 1)
    hand.until(even_ns + 4 * MINUTE_NS + 2 * SECOND_NS)
    assert (hand.bars(60).closed_count, hand.bars(120).closed_count) == (4, 2)
    assert all(bar.start_ns % (2 * MINUTE_NS) == 0 for bar in hand.bars(120).closed)
    assert hand.seen() == ["1 100 0", "2 100 1", "3 101 1", "4 101 2"]
    hand.prove(tmp_path / "journal")


def test_the_first_bar_of_a_session_is_incomplete_because_it_began_before(tmp_path: Path) -> None:
    hand = Traded().trade("99.00").until(FIRST_NS + SECOND_NS).trade("100.00").until(FIRST_NS + 90 * SECOND_NS)
    assert short(hand.bars()) == [(-1, "99", 1, False), (0, "100", 1, True)]
    hand.prove(tmp_path / "journal")


def test_a_bar_with_missing_trade_ids_is_incomplete_and_so_is_the_one_before_them(tmp_path: Path) -> None:
    hand = Traded().until(FIRST_NS).trade("100.00").until(FIRST_NS + 70 * SECOND_NS).trade("101.00", missing=3)
    hand.until(FIRST_NS + 130 * SECOND_NS).trade("102.00").until(FIRST_NS + 200 * SECOND_NS)
    counters = hand.state.market.counters(0)
    assert counters.trade_ids_missing == 3
    # the timer had closed the first bar, before anything showed that trades were missing
    assert short(hand.bars()) == [(0, "100", 1, True), (1, "101", 1, False), (2, "102", 1, True)]
    hand.prove(tmp_path / "journal")


@pytest.mark.parametrize(("missing", "is_complete"), [(0, True), (2, False)])
def test_a_lost_link_leaves_a_bar_complete_only_if_no_trade_id_is_missing(
    tmp_path: Path, missing: int, is_complete: bool
) -> None:
    hand = Traded().until(FIRST_NS).trade("100.00").until(FIRST_NS + 10 * SECOND_NS).down(MARKET)
    hand.until(FIRST_NS + 20 * SECOND_NS).trade("101.00", missing=missing).until(FIRST_NS + 90 * SECOND_NS)
    assert short(hand.bars()) == [(0, "101", 2, is_complete)]
    hand.prove(tmp_path / "journal")


def test_a_bar_that_ends_while_the_link_is_down_is_incomplete(tmp_path: Path) -> None:
    hand = Traded().until(FIRST_NS).trade("100.00").until(FIRST_NS + 50 * SECOND_NS)
    hand.held.add("connect")  # the venue cannot be reached
    hand.down(MARKET)
    hand.until(FIRST_NS + 90 * SECOND_NS)
    assert short(hand.bars()) == [(0, "100", 1, False)]
    seq = hand.seq_of("connect")
    del hand.waiting[seq]
    hand.held.clear()
    hand.take(Arrival(Kind.LINK, MARKET, cause=seq, body=text_of(LinkBody("up"))))
    hand.until(FIRST_NS + 130 * SECOND_NS)
    assert short(hand.bars())[1:] == [(1, "100", 0, False)], "nobody knows what was traded before the link was up"
    hand.until(FIRST_NS + 190 * SECOND_NS)
    assert short(hand.bars())[2:] == [(2, "100", 0, True)]
    hand.prove(tmp_path / "journal")


def test_bars_continue_in_the_next_session(tmp_path: Path) -> None:
    """The first timer closes the bars that ended between the two sessions, as incomplete ones without a trade."""
    first = Traded().until(FIRST_NS + SECOND_NS).trade("100.00").until(FIRST_NS + 70 * SECOND_NS).trade("101.00")
    second = Traded(opening=first.state, session="bbbbbbbb", now_ns=FIRST_NS + 290 * SECOND_NS)
    second.trade_id = first.trade_id
    assert short(second.bars()) == [(0, "100", 1, True)]
    second.until(FIRST_NS + 301 * SECOND_NS)
    assert short(second.bars())[1:] == [
        (1, "101", 1, False),
        (2, "101", 0, False),
        (3, "101", 0, False),
        (4, "101", 0, False),
    ]
    second.trade("102.00").until(FIRST_NS + 362 * SECOND_NS)
    # its id follows the last one of the session before: nothing is missing
    assert short(second.bars())[5:] == [(5, "102", 1, True)]
    second.prove(tmp_path / "journal")


def test_a_session_recorded_before_them_has_bars_closed_by_trades_alone(tmp_path: Path) -> None:
    settings = replace(newest_rules(EngineSettings()), bar_close_after_ns=0)
    hand = Traded(engine=settings, newest=False)
    hand.until(FIRST_NS + SECOND_NS).trade("100.00").until(FIRST_NS + 200 * SECOND_NS)
    assert (hand.bars().closed_count, hand.timers()) == (0, [])
    hand.trade("101.00")
    assert short(hand.bars()) == [(0, "100", 1, False)], "such a session does not know whether a bar is complete"
    assert "complete" not in repr(hand.bars().closed[0]), "a text that its strategies may have recorded"
    assert "bar_closing" not in hand.state.market.digests()
    hand.prove(tmp_path / "journal")


def test_one_timer_closes_the_bars_of_all_instruments(tmp_path: Path) -> None:
    source = CHART.replace('("BTCUSDT",)', '("BTCUSDT", "ETHBTC")')
    hand = Traded(source=source, instruments=(BTC, ETH)).until(FIRST_NS)
    hand.trade("100.00").trade("0.05", symbol="ETHBTC").until(FIRST_NS + 62 * SECOND_NS)
    assert [hand.bars(60, i).closed_count for i in (0, 1)] == [1, 1]
    assert len(hand.seen()) == 1, "both ended in one record"
    hand.prove(tmp_path / "journal")


# ---- the fold alone


def market(*intervals_s: int) -> Market:
    return Market.empty([BTC], [BarSpec(BTC.id, each * SECOND_NS) for each in intervals_s], bars_by_time=True)


def traded(into: Market, trade_id: int, venue_ns: int, price: int = 100) -> None:
    row = np.zeros((1, r.COLUMNS), np.int64)
    row[0] = r.TRADE, 0, trade_id, venue_ns, venue_ns, 1, price, 1, trade_id, 0, 0
    into.fold(row)


def test_of_a_long_gap_only_the_bars_that_are_kept_are_made() -> None:
    made = market(1)
    traded(made, 1, SECOND_NS)
    traded(made, 2, 10**9 * SECOND_NS)
    bars = made.bars(0, SECOND_NS)
    assert len(bars.closed) == BARS_KEPT
    assert bars.closed_count == BARS_KEPT + 1
    assert [bar.start_ns // SECOND_NS for bar in bars.closed] == list(range(10**9 - BARS_KEPT, 10**9))


def test_weeks_begin_on_monday_and_days_at_midnight() -> None:
    week_s, day_s = 7 * 86_400, 86_400
    made = market(day_s, week_s)
    thursday_ns = 1_723_161_250 * SECOND_NS  # 2024-08-08 23:54:10
    traded(made, 1, thursday_ns)
    for seconds, start in ((day_s, "2024-08-08T00:00"), (week_s, "2024-08-05T00:00")):
        forming = made.bars(0, seconds * SECOND_NS).forming
        assert forming is not None
        assert str(np.datetime64(forming.start_ns, "ns")).startswith(start)


def test_bars_by_time_survive_a_dump_and_a_restart() -> None:
    made = market(1)
    for number, second in enumerate((1, 2, 5)):
        traded(made, number, second * SECOND_NS)
    dumped = Market.load(made.dump(), [BTC], [BarSpec(BTC.id, SECOND_NS)], bars_by_time=True)
    restarted = market(1)
    assert restarted.restore_carried(json.loads(json.dumps(made.carried()))) == []
    for again in (dumped, restarted):
        assert again.bars(0, SECOND_NS) == made.bars(0, SECOND_NS)
        again.close_bars(6 * SECOND_NS, seq=9, time_ns=6 * SECOND_NS)
        assert again.bars(0, SECOND_NS).closed[-1].close == Decimal(1)
    assert dumped.bars(0, SECOND_NS).closed[-1].complete
    assert not restarted.bars(0, SECOND_NS).closed[-1].complete, "nobody received trades between the two"


@pytest.mark.parametrize("seconds", [7, 61, 100_000])
def test_a_length_that_does_not_divide_the_day_is_refused(seconds: int) -> None:
    source = CHART.replace("bars_s = (120,)", f"bars_s = ({seconds},)")
    with pytest.raises(StrategyError, match=f"bars of {seconds} seconds do not divide a day"):
        from_sources({"chart": source}, "chart", "Chart")


def test_a_bar_is_not_confused_with_a_forming_one() -> None:
    made = market(1)
    traded(made, 1, SECOND_NS)
    forming = made.bars(0, SECOND_NS).forming
    assert isinstance(forming, Bar)
    assert not forming.complete
    assert made.bars(0, SECOND_NS).closed == ()
