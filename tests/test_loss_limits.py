"""The losses of a day: the session acts at the first record past a limit, in live, in replay and in a backtest.

`first_past` finds that record by brute force: it rebuilds a journal record by record and computes every loss.
"""

import random
from decimal import Decimal, localcontext
from pathlib import Path

import pytest
from by_hand import BTC, ETH, ByHand
from calm_venue import CalmVenue
from msgspec.structs import replace
from risk_desk import Desk
from risk_limit_cases import scope

from engine.facts import DailyLossReached
from engine.handlers.losses_of_day import losses_of_day, pnl_now
from engine.kernel import rebuilder_of
from engine.live.time_zones import offsets
from engine.mode_reasons import Mode, ReasonCode
from engine.money import MONEY
from engine.record_codec import read_fact
from engine.risk_settings import DaySettings, LossAction
from engine.session_record import SECOND_NS, DriftAction, RiskSettings
from engine.sim.venue_model import VenueModel
from engine.state.day_pnl import DAY_NS, day_of
from journal.reader import Journal
from journal.record import Kind, Record
from journal.verify import verify
from replay.overrides import apply_overrides
from replay.replay import replay_session
from replay.resim.resimulate import ResimOptions, resimulate
from verbatim.testing import VirtualSession, VirtualVenue, from_sources

HELD = ("run 1", "BUY LIMIT 1 @ 90", "venue: filled 1")  # at a mid of 100: P&L 10
INPUTS = {Kind.FEED, Kind.BROKER, Kind.TIMER, Kind.COMMAND, Kind.LINK}


def reached(records: list[Record]) -> list[tuple[int, DailyLossReached]]:
    """Return (input, fact) of the losses that reached a limit."""
    facts = ((record.cause, read_fact(record.body or "")) for record in records if record.kind is Kind.FACT)
    return [(cause, fact) for cause, fact in facts if isinstance(fact, DailyLossReached)]


def first_past(records: list[Record]) -> dict[str, int]:
    """Return the first input at whose end a limit is reached, by the limit's name."""
    kernel = rebuilder_of(records[0])
    state = kernel.begin(records[0])
    first: dict[str, int] = {}
    last_input = 0
    for record in records[1:]:
        kernel.rebuild(state, record)
        if record.kind in INPUTS:
            last_input = record.seq
        with localcontext(MONEY):
            now = pnl_now(kernel.session, state)
            if now.unmarked:
                continue
            for loss in losses_of_day(kernel.session, state, now, state.time_ns):
                if loss.used >= loss.limit.limit:
                    first.setdefault(loss.limit.recorded, last_input)
    return first


@pytest.mark.parametrize("accounting", [1, 3, 4])
def test_an_open_position_that_moves_reaches_the_limit_at_the_first_quote_past_it(accounting: int) -> None:
    """No timer fires between the quotes: the compiled fold finds the record."""
    limits = {"daily_loss_max": "10", "on_loss": LossAction.HALT, "on_drift": DriftAction.NOTE}
    desk = Desk(HELD, risk=limits, session={"accounting": accounting}).play()
    hand = desk.hand
    for bid in ("95.00", "82.00", "79.01"):
        hand.best(BTC, {"b": bid, "B": "1.0", "a": "81.00", "A": "1.0"})
    assert hand.facts("daily_loss_reached") == [], "a mid of 80.005"
    hand.best(BTC, {"b": "79.00", "B": "1.0", "a": "81.00", "A": "1.0"})
    quote = max(record.seq for record in hand.records if record.kind is Kind.FEED)
    [(cause, fact)] = reached(hand.records)
    assert (cause, fact.asset, fact.loss, fact.limit, fact.name) == (quote, "USDT", 10, 10, "")
    assert hand.state.account.modes.mode is Mode.HALTED
    assert [reason.code for reason in hand.state.account.modes.reasons] == [ReasonCode.LOSS_LIMIT]
    hand.command("resume").run(3)
    assert hand.mode == "running", "a person resumed; the rule still allows only orders that reduce"
    assert len(hand.facts("daily_loss_reached")) == 1


@pytest.mark.slow
def test_a_fill_that_takes_the_loss_past_the_limit_is_the_record(tmp_path: Path) -> None:
    desk = Desk(
        ["run 1", "BUY LIMIT 1 @ 90 while quoted 79.00 81.00", "venue: filled 1"], risk={"daily_loss_max": "10"}
    )
    [*first, filled] = desk.steps
    for step in first:
        desk.step(step)
    assert desk.hand.facts("daily_loss_reached") == []
    desk.step(filled)
    [(cause, _)] = reached(desk.hand.records)
    assert desk.hand.records[cause].kind is Kind.BROKER
    desk.hand.prove(tmp_path / "a")


def test_a_drawdown_counts_from_the_highest_of_the_day() -> None:
    desk = Desk(HELD, risk={"drawdown_max": "10"}).play()
    hand = desk.hand
    hand.best(BTC, {"b": "119.00", "B": "1.0", "a": "121.00", "A": "1.0"})  # P&L 30
    hand.best(BTC, {"b": "109.01", "B": "1.0", "a": "111.00", "A": "1.0"})  # 20.005
    assert hand.facts("daily_loss_reached") == []
    assert Decimal(hand.facts("pnl_peak")[-1]["pnl"]) == 30
    hand.best(BTC, {"b": "109.00", "B": "1.0", "a": "111.00", "A": "1.0"})
    [fact] = hand.facts("daily_loss_reached")
    assert (fact["name"], fact["loss"]) == ("drawdown_max", "10")
    desk = Desk([*HELD, "BUY LIMIT 1 @ 70 while quoted 139.00 141.00"], risk={"drawdown_max": "10"}).play()
    assert desk.verdicts()[-1]["approved"]
    assert desk.verdicts()[-1]["figures"]["drawdown_max"] == ["0", "10", "0"]


def test_a_strategys_own_loss_limit_stops_only_its_orders() -> None:
    given = {"strategy": {"desk": scope(daily_loss_max="10"), "other": scope(daily_loss_max="1")}}
    desk = Desk([*HELD, "BUY LIMIT 1 @ 70 while quoted 79.00 81.00"], risk=given).play()
    text = "the loss of this UTC day reached 10 USDT, and strategy.desk.daily_loss_max is 10"
    assert desk.verdicts()[-1]["rules"]["daily_loss"] == text
    given = {"instrument": {"ETHBTC": scope(daily_loss_max="10")}}
    desk = Desk([*HELD, "BUY LIMIT 1 @ 70 while quoted 79.00 81.00"], risk=given).play()
    assert desk.verdicts()[-1]["approved"]


def test_a_position_without_a_quote_switches_off_no_limit_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a restart ETHBTC, which the strategy holds too, is not quoted; the loss in BTCUSDT counts."""
    given = {"instrument": {"BTCUSDT": scope(daily_loss_max="10")}, "strategy": {"desk": scope(daily_loss_max="1")}}
    first = Desk([*HELD, "ETHBTC BUY LIMIT 1 @ 90", "venue: filled 1"], risk=given).play().hand.run(2)
    body = first.body
    with monkeypatch.context() as patch:
        patch.setattr(ByHand, "quote", lambda hand: hand)
        second = ByHand(
            opening=first.state, session="bbbbbbbb", now_ns=first.now_ns + SECOND_NS, instruments=body.instruments,
            strategies=body.strategies, risk=body.risk, engine=body.engine, accounting=body.engine.accounting,
        )  # fmt: skip
        second.best(BTC, {"b": "59.00", "B": "1.0", "a": "61.00", "A": "1.0"}).run(3)
        [fact] = second.facts("daily_loss_reached")
    assert (fact["name"], fact["loss"]) == ("instrument.BTCUSDT.daily_loss_max", "30")


@pytest.mark.parametrize("accounting", [1, 4])
def test_the_portfolio_counts_in_the_reporting_currency(accounting: int) -> None:
    """One ETH bought at 90 BTC is worth 80: a loss of 10 BTC, which are 1,000 USDT."""
    steps = ["run 1", "ETHBTC BUY LIMIT 1 @ 90", "venue: filled 1"]
    given = {"portfolio": scope(daily_loss_max="1000")}
    desk = Desk(steps, risk=given, session={"accounting": accounting}).play()
    desk.hand.best(ETH, {"b": "79.01", "B": "1.0", "a": "81.00", "A": "1.0"}).run(1, quote=False)
    assert desk.hand.facts("daily_loss_reached") == []
    desk.hand.best(ETH, {"b": "79.00", "B": "1.0", "a": "81.00", "A": "1.0"}).run(1, quote=False)
    [fact] = desk.hand.facts("daily_loss_reached")
    assert (fact["name"], fact["asset"], fact["loss"]) == ("portfolio.daily_loss_max", "USDT", "1000")


@pytest.mark.parametrize("seed", range(4))
def test_no_walk_of_two_positions_passes_a_limit_unseen(seed: int, tmp_path: Path) -> None:
    """Positions on both sides, several limits: each fact is at the record that brute force finds.

    P&L is that of positions, or of the exact lines.
    """
    draw = random.Random(seed)
    steps = ["run 1", "BUY LIMIT 1 @ 100", "venue: filled 1", "ETHBTC SELL LIMIT 0.5 @ 100", "venue: filled 0.5"]
    limits = {
        "daily_loss_max": "4",
        "drawdown_max": "5",
        "strategy": {"desk": scope(daily_loss_max="6", drawdown_max="7")},
        "instrument": {"ETHBTC": scope(daily_loss_max="2")},
    }
    desk = Desk(steps, risk=limits, session={"accounting": (1, 3, 4, 4)[seed]}).play()
    cents = {BTC.id: 10_000, ETH.id: 10_000}
    for _ in range(300):
        of = draw.choice((BTC, ETH))
        cents[of.id] += draw.randint(-25, 24 if of is BTC else 27)
        prices = {"b": f"{cents[of.id] / 100:.2f}", "B": "1.0", "a": f"{cents[of.id] / 100 + 0.01:.2f}", "A": "1.0"}
        desk.hand.best(of, prices)
    found = {fact.name: cause for cause, fact in reached(desk.hand.records)}
    assert found
    assert found == first_past(desk.hand.records)
    desk.hand.prove(tmp_path / "a")


# ---- the day


BERLIN = ((1_719_792_000, 7200), (1_729_990_800, 3600))  # from July 2024; winter time begins on 27 October at 01:00 UTC


def test_a_day_begins_at_its_hour_in_its_zone() -> None:
    """In Berlin's summer 17:00 is 15:00 UTC, in its winter 16:00 UTC."""
    assert offsets("Europe/Berlin", BERLIN[0][0])[:2] == BERLIN
    assert offsets("UTC", 0) == ()
    with pytest.raises(ValueError, match="no time zone 'Mars/Base' is known"):
        offsets("Mars/Base", 0)
    day = DaySettings("Europe/Berlin", 17, BERLIN)
    for begin_s in (1_723_042_800, 1_730_736_000):  # 7 August 15:00 UTC, 4 November 16:00 UTC
        before, after = (day_of(begin_s * SECOND_NS - 1, day), day_of(begin_s * SECOND_NS, day))
        assert after == before + 1
        assert day_of(begin_s * SECOND_NS + DAY_NS - 1, day) == after


BUYER = """
from dataclasses import dataclass
from decimal import Decimal

from verbatim import Every, OrderType, Place, Side


class Buyer:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = Every(5000)

    @dataclass
    class Parameters:
        pass

    @dataclass
    class State:
        pass

    @staticmethod
    def decide(view, state, parameters):
        if view.quote("BTCUSDT") is not None:
            yield Place("BTCUSDT", Side.BUY, Decimal("0.02"), Decimal(0), OrderType.MARKET)
"""
START_S = 1_723_042_800 - 20  # 20 s before 17:00 in Berlin
LIMITS = RiskSettings(daily_loss_max=Decimal(6), on_loss=LossAction.HALT, day=DaySettings("Europe/Berlin", 17, BERLIN))


def buying(venue: VirtualVenue, folder: Path, **more: object) -> VirtualSession:
    strategy = from_sources({"buyer": BUYER}, "buyer", "Buyer")
    return VirtualSession(venue, folder, strategies=[strategy], risk=LIMITS, **more)


def test_over_a_begin_of_day_and_a_restart_it_halts_at_the_first_record_past_the_limit(tmp_path: Path) -> None:
    """The loss before the day began does not count; that before the restart does. Live, replay and backtest agree."""
    venue = CalmVenue(start_ns=START_S * SECOND_NS)
    first = buying(venue, tmp_path / "a").run(25)
    [before, today] = first.facts("day_began")
    assert today["day"] == before["day"] + 1
    [key] = today["opening"]
    assert Decimal(today["opening"][key]) < 0, "what was lost before is in the opening"
    first.kill()
    venue.now_ns += SECOND_NS
    second = buying(venue, tmp_path / "b", session="bbbbbbbb", previous=first, opening=first.state)
    second.run(until=lambda s: bool(s.facts("daily_loss_reached"))).run(20)
    assert second.facts("day_began") == [], "the day goes on"
    assert second.state.account.modes.mode is Mode.HALTED
    second.stop()
    for name in ("b",):
        check_first(tmp_path / name)
    assert verify(tmp_path / "b").ok
    assert replay_session(tmp_path / "b").identical


def test_a_loss_at_its_limit_flattens(tmp_path: Path) -> None:
    """The position is closed, nothing of ours stays open, and the rule allows no new one until the day ends."""
    venue = CalmVenue(start_ns=START_S * SECOND_NS)
    strategy = from_sources({"buyer": BUYER}, "buyer", "Buyer")
    risk = replace(LIMITS, on_loss=LossAction.FLATTEN)
    session = VirtualSession(venue, tmp_path / "a", strategies=[strategy], risk=risk)
    session.run(until=lambda s: bool(s.facts("daily_loss_reached")))
    assert session.state.account.positions.net(BTC.id) > 0, "the fault struck with an open position"
    session.run(30)
    assert session.state.account.positions.net(BTC.id) == 0
    assert session.venue.get("/sim/state")["open_orders"] == []
    assert session.facts("safety_order_ended")
    session.stop()
    assert verify(tmp_path / "a").ok
    assert replay_session(tmp_path / "a").identical


def check_first(folder: Path) -> None:
    records = list(Journal.open(folder).records(0))
    found = {fact.name: cause for cause, fact in reached(records)}
    assert found, "a limit was reached"
    assert found == first_past(records)


@pytest.mark.slow
def test_a_backtest_halts_at_the_first_record_past_the_limit(tmp_path: Path) -> None:
    venue = CalmVenue(start_ns=START_S * SECOND_NS)
    source = buying(venue, tmp_path / "source").run(60)
    source.stop()
    check_first(tmp_path / "source")
    body = apply_overrides(source.body, {"risk.daily_loss_max": "9"})
    options = ResimOptions(session=body, model=VenueModel(), modelled=True, balances={"USDT": "1000000"})
    resimulate(tmp_path / "source", tmp_path / "backtest", options)
    check_first(tmp_path / "backtest")
    assert replay_session(tmp_path / "backtest").identical


def test_older_sessions_check_each_second_as_they_did() -> None:
    """Without `figures` no level is set, so an older journal replays without new facts."""
    desk = Desk(HELD, risk={"daily_loss_max": "10"})
    assert desk.hand.sequencer.kernel.watches_losses
    body = replace(desk.hand.body, risk=replace(desk.hand.body.risk, figures=False))
    assert not type(desk.hand.sequencer.kernel)(body).watches_losses
