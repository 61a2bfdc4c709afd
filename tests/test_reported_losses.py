"""Losses of the day in the reporting currency are the P&L that `verbatim pnl` reports, to the last digit.

From accounting 4 on: realised P&L, fees and funding at the rates that their facts recorded, open quantities at
`engine.pnl_mark` and the current rate, less the same at the start of the day.
"""

import copy
from collections.abc import Iterator, Sequence
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import pytest
from by_hand import BTC, ETH, ByHand, instrument, shown, trade
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from risk_desk import DESK
from risk_limit_cases import scope

from engine.facts import DailyLossReached
from engine.handlers import loss_memory
from engine.handlers.losses_of_day import loss_reason, losses_of_day, pnl_now
from engine.handlers.pnl import emit_pnl
from engine.lots import CostMethod
from engine.money import MONEY
from engine.record_codec import read_fact
from engine.session_record import (
    SECOND_NS,
    SILENCE_NEVER_NS,
    DriftAction,
    EngineSettings,
    MarkChoice,
    RiskSettings,
    newest_risk,
)
from engine.state.pnl_figures import total_figures
from engine.state.pnl_lines import PnlLine
from engine.step_context import StepContext
from journal.reader import Journal
from journal.record import Kind
from replay.study.pnl import PnlFolder, SessionPnl, fold_pnl

D = Decimal
BNB, EUR = instrument("BNB", "USDT"), instrument("EUR", "USDT")
ALL = {"BTC": BTC, "ETH": ETH, "BNB": BNB, "EUR": EUR}
MIDNIGHT_NS = 1_723_161_600 * SECOND_NS
LIMITS = {"daily_loss_max": "1000000000000", "drawdown_max": "2000000000000"}
NEXT = str.maketrans("abc", "bcd")  # of the name of a session
NAME = "portfolio.daily_loss_max"


def risk(**limits: Any) -> RiskSettings:
    scopes = {"portfolio": scope(**LIMITS), "account": scope(**LIMITS)} | limits
    return newest_risk(RiskSettings(orders_per_second_max=0, sell_holdings=True, on_drift=DriftAction.NOTE, **scopes))


@pytest.fixture(autouse=True, scope="module")
def every_move_is_followed() -> Iterator[None]:
    """The positions that moved are looked for from the first position on, not from the eighth."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loss_memory, "FEW", 0)
        yield


class Hand(ByHand):
    """EURUSDT is silent until it speaks."""

    speaks = False

    def _market(self, stream: str, data: dict[str, Any]) -> None:
        if self.speaks or not stream.startswith("eurusdt"):
            super()._market(stream, data)


class Desk:
    """A session that makes the given fills, 20 seconds before midnight, and a reader of its journal."""

    def __init__(self, fills: Sequence[str], currency: str = "USDT", **more: Any) -> None:
        split = [fill.split() for fill in fills]
        orders = "; ".join(f"{ALL[name].symbol} {side} LIMIT {size} {price}" for name, side, size, price, *_ in split)
        self.fills, self.made = split, 0
        mark = more.pop("mark", MarkChoice.MID)
        self.settings = {
            "source": DESK, "cls": "Desk", "instruments": tuple(ALL.values()), "accounting": 4, "risk": risk(),
            "engine": EngineSettings(
                reporting_currency=currency, pnl_mark=mark, block_instruments=True, stale_after_ns=SILENCE_NEVER_NS
            ),
            "parameters": {"orders": orders or "none"},
        } | more  # fmt: skip
        self.hand: ByHand = Hand(now_ns=MIDNIGHT_NS - 20 * SECOND_NS, **self.settings)
        self._read_on()
        self.run(2)

    def _read_on(self) -> None:
        self.reader, self.folded = PnlFolder(self.hand.body, CostMethod.AVERAGE), 1

    def fill(self) -> "Desk":
        """Let the venue fill the next order, if the rules allow it: `BTC BUY 1 90 fee 0.01 BNB`."""
        hand, (name, side, quantity, price, *fee) = self.hand, self.fills[self.made]
        self.made += 1
        hand.best(BTC, {"b": "99.00", "B": f"2.{self.made:05d}", "a": "101.00", "A": "1.0"})
        places = [seq for seq, request in hand.waiting.items() if request.purpose == "place"]
        if not places:
            return self
        newest, number, symbol = (
            max(hand.orders, key=lambda order: order.request_seq),
            1000 + self.made,
            ALL[name].symbol,
        )
        order = {"symbol": symbol, "side": side, "price": price, "origQty": quantity, "orderId": number}
        hand.answer(places[-1], shown(newest.client_order_id, **order))
        wire = {"s": symbol, "S": side, "p": price, "q": quantity, "i": number, "L": price}
        if fee:
            wire |= {"n": fee[1], "N": fee[2]}
        hand.private(trade(newest.client_order_id, self.made, quantity, quantity, "FILLED", **wire))
        return self.check()

    def quote(self, name: str, cents: int, spread: int = 2) -> "Desk":
        prices = {"b": f"{cents / 100:.2f}", "a": f"{(cents + spread) / 100:.2f}", "A": "1.0"}
        self.hand.best(ALL[name], prices | {"B": "1.0"})
        return self.check()

    def speak(self) -> "Desk":
        self.hand.speaks = True
        return self.quote("EUR", 4999)

    def run(self, seconds: int) -> "Desk":
        for _ in range(seconds):
            self.hand.run(1, quote=False)
            self.check()
        return self

    def restart(self, **more: Any) -> "Desk":
        self.settings |= more
        speaks = self.hand.speaks
        before = self.hand
        self.hand = Hand(
            opening=before.state,
            session=before.body.session.translate(NEXT),
            now_ns=before.now_ns + SECOND_NS,
            **self.settings,
        )
        self.hand.speaks = speaks
        self._read_on()
        return self.check()

    # ---- the two figures

    def limits(self) -> dict[str, Decimal | None]:
        """Return the P&L of the day by limit in the reporting currency; None if it is not known."""
        session, state = self.hand.sequencer.kernel.session, self.hand.state
        with localcontext(MONEY):
            now = pnl_now(session, state)
            if now.unmarked:
                return {}
            losses = losses_of_day(session, state, now, state.time_ns)
            memory, state.loss_memory = state.loss_memory, None
            again = pnl_now(session, state)
            assert again == now, "what is remembered is what is computed"
            assert losses_of_day(session, state, again, state.time_ns) == losses
            state.loss_memory = memory
        names = {loss.limit.name for loss in losses if not loss.asset}
        return {loss.limit.name: None if loss.limit.name in names else loss.pnl for loss in losses}

    def reported(self) -> SessionPnl:
        """Return what `verbatim pnl` says of a journal that ends with a report at this record."""
        session, state = self.hand.sequencer.kernel.session, self.hand.state
        for record in self.hand.records[self.folded :]:
            if record.kind is Kind.FACT:
                self.reader.add(record)
        self.folded = len(self.hand.records)
        reader = copy.copy(self.reader)
        reader.marks = dict(self.reader.marks)
        account = state.account
        with localcontext(MONEY):
            step = StepContext(state, self.hand.records[-1], session.reducer_settings)
            emit_pnl(session, step)
            for output in step.outputs:
                reader.add(output.record)
            state.account = account
            return reader.result()

    def reached(self) -> list[tuple[str, Decimal]]:
        facts = [read_fact(record.body or "") for record in self.hand.records if record.kind is Kind.FACT]
        return [(fact.name, fact.loss) for fact in facts if isinstance(fact, DailyLossReached)]

    def refusal(self) -> str:
        """Return why the limits of losses refuse an order now."""
        session, state = self.hand.sequencer.kernel.session, self.hand.state
        step = StepContext(state, self.hand.records[-1], session.reducer_settings)
        found = loss_reason(session, step, "desk", BTC)
        memory, state.loss_memory = state.loss_memory, None
        assert loss_reason(session, step, "desk", BTC) == found, "what is remembered is what is computed"
        state.loss_memory = memory
        return found[0]

    def line(self, name: str) -> PnlLine:
        return self.hand.state.account.pnl.by_key[f"desk {ALL[name].id}"]

    def check(self) -> "Desk":
        if not self.hand.state.account.day_pnl.day or self.hand.body.engine.accounting < 4:
            return self
        limits, found = self.limits(), self.reported()
        account = self.hand.state.account
        assert {key: line for key, line in self.reader.lines.by_key.items() if line.fills} == {
            key: line for key, line in account.pnl.by_key.items() if line.fills
        }
        if not limits:
            return self
        assert found.day is not None
        wanted = None if found.day.missing else found.day.pnl
        assert set(limits.values()) == {wanted}, (limits, found)
        if wanted is not None:
            kernel = self.hand.sequencer.kernel
            with localcontext(MONEY):
                settings = kernel.session.reducer_settings
                figures = total_figures(account, self.hand.state.market, settings, strategy="desk")
                assert figures.total - sum(account.day_pnl.reported.values(), D(0)) == wanted
        return self


# ---- the property

AMOUNTS = st.sampled_from(["0.5", "1", "0.33333", "2.7"])
FILLS = st.builds(
    lambda name, side, size, cents, fee: f"{name} {side} {size} {cents / 100:.2f} {fee}",
    st.sampled_from(["BTC", "ETH"]), st.sampled_from(["BUY", "SELL"]), AMOUNTS, st.integers(8000, 12000),
    st.sampled_from(["", "fee 0.013 BNB", "fee 0.0017 BTC", "fee 0.21 USDT", "fee 0.0007 ETH", "fee 3 DOGE"]),
)  # fmt: skip
MOVES = st.tuples(st.just("quote"), st.sampled_from(list(ALL)), st.integers(7000, 14000), st.integers(1, 300))
STEPS = st.one_of(
    st.tuples(st.just("fill"), FILLS), MOVES, MOVES, st.tuples(st.just("run"), st.integers(1, 4)),
    st.tuples(st.just("restart")), st.tuples(st.just("speak")), st.tuples(st.just("midnight")),
)  # fmt: skip
BOUGHT = ("fill", "ETH BUY 1 90.00 fee 0.013 BNB")


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(
    currency=st.sampled_from(["USDT", "BTC", "BNB", "EUR"]),
    mark=st.sampled_from([MarkChoice.MID, MarkChoice.TOUCH]),
    steps=st.lists(STEPS, min_size=4, max_size=12),
)
@example("USDT", MarkChoice.TOUCH, [BOUGHT, ("quote", "BTC", 13_000, 90), ("midnight",), ("restart",), ("run", 2)])
@example("EUR", MarkChoice.MID, [BOUGHT, ("midnight",), ("fill", "ETH SELL 0.5 99.00"), ("speak",), ("run", 2)])
def test_the_limit_and_the_report_have_the_same_number_at_every_record(
    currency: str, mark: MarkChoice, steps: list[tuple[Any, ...]]
) -> None:
    """Over fills, fees in third assets, moving rates, a rate that comes late, midnight and restarts."""
    desk = Desk([step[1] for step in steps if step[0] == "fill"], currency, mark=mark)
    for name, *rest in steps:
        match name:
            case "fill":
                desk.fill()
            case "midnight":
                desk.run(max(0, (MIDNIGHT_NS - desk.hand.now_ns) // SECOND_NS + 2))
            case _:
                getattr(desk, name)(*rest)


# ---- by hand


def test_a_loss_counts_at_the_rates_of_its_fills_and_the_open_quantity_at_the_rate_now(tmp_path: Path) -> None:
    """1 ETH bought at 90 BTC and half of it sold at 80, while BTC is 100: -500 USDT. Then BTC is 200, and ETH 90.

    Before accounting 4 the limit counted -5 BTC at 200: -1,000 USDT.
    """
    limits = risk(portfolio=scope(daily_loss_max="500"))
    desk = Desk(["ETH BUY 1 90", "ETH SELL 0.5 80"], risk=limits).fill().quote("ETH", 8999).fill()
    assert desk.reached() == [(NAME, 500)]
    desk.quote("BTC", 19_999).run(1)
    assert desk.limits()[NAME] == -500
    assert len(desk.reached()) == 1, "the rate of BTC moves no loss that is realised"
    desk.hand.prove(tmp_path / "a")
    records = list(Journal.open(tmp_path / "a").records(kinds=(Kind.SESSION, Kind.FACT)))
    [cause] = [record.cause for record in records if '"daily_loss_reached"' in (record.body or "")]
    with localcontext(MONEY):
        found = fold_pnl(
            [record for record in records if record.seq <= cause or record.cause == cause], CostMethod.FIFO
        )
    assert found.day is not None
    assert found.day.pnl == -500, "`verbatim pnl` of the journal up to this record agrees with the fact"


def test_an_open_quantity_counts_at_the_rate_now() -> None:
    """1 ETH bought at 90 BTC is worth 100: 10 BTC, at 100 and then at 200 USDT."""
    desk = Desk(["ETH BUY 1 90"]).fill()
    assert desk.limits()[NAME] == 1000
    desk.quote("BTC", 19_999)
    assert desk.limits()[NAME] == 2000


def test_what_had_no_rate_when_the_day_began_counts_from_its_first_rate() -> None:
    """In EUR nothing has a rate until EUR is 50 USDT. 1 BTC bought at 90, half of it sold at 70: -10 USDT, and 5 open.

    At midnight nothing is known. Before EUR is quoted BTC rises to 120, which are 10 USDT or 0.2 EUR.
    """
    desk = Desk(["BTC BUY 1 90", "BTC SELL 0.5 70"], "EUR").fill().fill().run(20)
    assert (desk.hand.state.account.day_pnl.reported, desk.limits()[NAME]) == ({}, None)
    assert desk.line("BTC").unrated == {"USDT": -10}
    assert "a rate in EUR is missing" in desk.refusal()
    desk.quote("BTC", 11_999).speak().run(1)
    assert (desk.limits()[NAME], desk.refusal()) == (D("0.2"), "")
    assert (desk.line("BTC").unrated, desk.line("BTC").reported.realised) == ({}, D("-0.2"))
    [rated], [entered] = desk.hand.facts("amount_rated"), desk.hand.facts("position_entered_day")
    assert (rated["amount"], rated["report_rate"]) == ("-10", "0.02")
    assert D(entered["reported"]) == D("-0.2") + D("0.1"), "-10 realised and 5 open, in EUR"


def test_an_open_position_of_unknown_opening_is_unknown_until_it_is_recorded() -> None:
    """1 BTC bought at 90, and no rate at midnight. EUR is 50 when BTC is 120, so 0.4 EUR since it was 100."""
    desk = Desk(["BTC BUY 1 90"], "EUR").fill().run(20).quote("BTC", 11_999).speak()
    assert desk.limits()[NAME] is None
    desk.run(1)
    assert desk.limits()[NAME] == D("0.4")


def test_a_session_of_accounting_2_between_leaves_no_stale_line(tmp_path: Path) -> None:
    """Accounting 2 folds no lines: the next session opens them again where the positions are."""
    fills = ["ETH BUY 2 90", "ETH SELL 1 95", "BTC BUY 1 90", "ETH SELL 1 85", "BTC BUY 1 96"]
    desk = Desk(fills, accounting=3).fill().fill()
    before = desk.hand.state.account.pnl
    desk.restart(accounting=2).run(2).fill().fill()
    assert desk.hand.state.account.pnl == before, "stale"
    desk.restart(accounting=4)
    assert desk.line("ETH").own.realised == 0, "5 BTC gained and 5 lost"
    assert desk.line("ETH").reported.realised == 500, "while BTC was 100; the loss has no recorded rate"
    assert desk.line("ETH").unrated == {"BTC": -5}
    desk.run(2)
    assert desk.line("ETH").reported.realised == 0, "at the first rate"
    desk.fill()
    position = desk.hand.state.account.positions.get("desk", BTC.id)
    assert (desk.line("BTC").quantity, desk.line("BTC").lots[0].cost) == (position.quantity, 90 + 96)
    desk.hand.prove(tmp_path / "a")


def test_another_reporting_currency_begins_with_its_first_rate(tmp_path: Path) -> None:
    """Amounts in USDT are not read as BTC: 5 BTC of ETH realised and 10 open, and 0.1 BTC for 10 USDT."""
    desk = Desk(["ETH BUY 2 90", "ETH SELL 1 95", "BTC BUY 1 90", "BTC SELL 1 100"]).fill().fill().fill().fill()
    assert desk.limits()[NAME] == 500 + 1000 + 10
    desk.restart(engine=replace(desk.settings["engine"], reporting_currency="BTC")).run(2)
    assert (desk.line("ETH").reported.realised, desk.line("BTC").reported.realised) == (5, D("0.1"))
    assert desk.limits()[NAME] == 15 + D("0.1")
    desk.hand.prove(tmp_path / "a")


@pytest.mark.parametrize(("side", "bid", "spread"), [("BUY", 8_000, 10), ("SELL", 9_000, 3_000)])
def test_at_the_touch_the_first_quote_past_the_limit_is_the_record(side: str, bid: int, spread: int) -> None:
    """A long counts at the bid, a short at the ask: from 100 each loses 20 there, while the mid is 80.05 and 105."""
    limits = replace(risk(), daily_loss_max=D(20))
    desk = Desk([f"BTC {side} 1 100"], mark=MarkChoice.TOUCH, risk=limits).fill()
    for cents in range(1, 4):
        desk.hand.best(BTC, {"b": "80.01", "B": f"3.{cents}", "a": "119.99", "A": "1.0"})
    assert desk.reached() == []
    made = len(desk.hand.records)
    desk.quote("BTC", bid, spread)
    assert desk.reached() == [("", 20)]
    [fact] = [record for record in desk.hand.records if '"daily_loss_reached"' in (record.body or "")]
    assert fact.cause == made, "no timer found it"
