"""The ledger against the venue's balances: drift is found, named and ends by a person's word; health never alarms.

The real core in virtual time: against a venue that the test writes (by_hand.py), and against the simulated venue.
"""

import json
from decimal import Decimal
from typing import Any

import pytest
from by_hand import BTC, PRIVATE, ByHand, instrument, report, row, shown, trade
from calm_venue import CalmVenue
from checked_sessions import CheckedSessions, rebuilt
from tiers import first_is_quick

from engine.facts import BalanceChanged, CashReason, OrderFilled, Reconciled, WalletReported
from engine.lifecycle import Status
from engine.mode_reasons import Mode, ReasonCode
from engine.model import Instrument, Side
from engine.session_record import SECOND_NS, DriftAction, EngineSettings, RiskSettings
from engine.state.changes import Change, Stamp
from engine.state.ledger import Ledger, difference, reduce
from journal.record import Kind
from journal.recover import recover
from verbatim.testing import VirtualSession

NONE = {"orders": 0}
D = Decimal


@pytest.mark.parametrize(
    ("reason", "off"),
    [(CashReason.TRANSFER, 0), (CashReason.MOVE, 0), (CashReason.OTHER, -5), (CashReason.LIQUIDATION_FEE, -5)],
)
def test_a_wallet_of_contracts_that_changes_without_a_known_reason_is_a_difference(
    reason: CashReason, off: int
) -> None:
    """A liquidation fee is explained by its fact `fee_charged`, not by the wallet."""
    minute_ns = 60 * SECOND_NS
    steps: tuple[tuple[Change, int], ...] = (
        (BalanceChanged("USDT", D(100), D(0), venue_ns=1), 1),
        (Reconciled(1, 0), 2),
        (WalletReported("USDT", D(95), D(-5), reason, minute_ns), minute_ns),
        (BalanceChanged("USDT", D(95), D(0), venue_ns=2 * minute_ns), 2 * minute_ns),
    )
    ledger = Ledger()
    for seq, (change, at_ns) in enumerate(steps):
        ledger = reduce(ledger, change, Stamp(seq, at_ns), {}, keeps_fill_ids=True, settles_contracts=True)
    ours = ledger.by_asset["USDT"]
    assert ours.report is not None
    assert difference(ours, ours.report, tolerance=D(0)) == off


# ---- by hand ------------------------------------------------------------------------------------


def balances(**free: str) -> dict[str, Any]:
    """Return an answer to the query of all balances."""
    held = [{"asset": asset, "free": amount, "locked": "0"} for asset, amount in free.items()]
    return {"canTrade": True, "balances": held, "updateTime": 0}


def bought(quantity: str, *, fee: tuple[str, str] = ("0", "USDT"), **settings: Any) -> ByHand:
    """A session that bought at 90, whose venue's balances say so too."""
    opening = balances(BTC="100", USDT="100000", BNB="10")
    hand = ByHand(parameters={"size": quantity}, answers={"account": opening}, accounting=2, **settings)
    name = hand.order.client_order_id
    hand.answer(hand.seq_of("place"), shown(name, origQty=quantity))
    filled = {"q": quantity, "n": fee[0], "N": fee[1], "T": hand.now_ns // 1_000_000}
    hand.private(trade(name, 1, quantity, quantity, "FILLED", **filled))
    cost = D(quantity) * 90
    totals = {"BTC": D(100) + D(quantity), "USDT": D(100000) - cost, "BNB": D(10)}
    totals[fee[1]] -= D(fee[0])
    hand.answers["account"] = balances(**{asset: str(total) for asset, total in totals.items()})
    hand.answers["fills"] = [row(1, quantity, commission=fee[0], commissionAsset=fee[1])]
    return hand


def reasons(hand: ByHand) -> list[ReasonCode]:
    return [reason.code for reason in hand.state.account.modes.reasons]


def test_balances_that_the_fills_explain_raise_no_alarm() -> None:
    hand = bought("2", fee=("0.002", "BTC")).run(200)
    assert hand.mode == Mode.RUNNING
    assert hand.facts("balance_drift") == []
    ours = hand.state.account.ledger.by_asset
    assert (ours["BTC"].expected, ours["USDT"].expected) == (D("101.998"), D(99820))
    assert min(ours[asset].agreed_seq for asset in ("BTC", "USDT")) > 0, "they were compared"


def test_s14_holdings_that_contradict_our_fills_halt_and_name_the_records() -> None:
    """We count +75 from our fills, and the venue's holdings moved by -65."""
    hand = bought("75")
    assert hand.position() == 75
    filled_seq = next(r.seq for r in hand.records if r.kind is Kind.FACT and '"order_filled"' in (r.body or ""))
    hand.answers["account"] = balances(BTC="35", USDT="93250", BNB="10")
    hand.run(130)
    assert (hand.mode, reasons(hand)) == (Mode.HALTED, [ReasonCode.BALANCE_DRIFT])
    [drift] = hand.facts("balance_drift")
    assert (drift["asset"], drift["expected"], drift["reported"], drift["difference"]) == ("BTC", "175", "35", "-140")
    assert drift["records"] == [filled_seq]
    [text] = [note for note in hand.notes() if "BTC" in note]
    assert f"the venue reports 35 in record {drift['report_seq']}, our records say 175" in text
    assert f"since then records {filled_seq}" in text


def test_a_balance_that_goes_to_0_without_a_fill_halts_within_seconds() -> None:
    hand = ByHand(parameters=NONE, answers={"account": balances(BTC="1", USDT="1000")}, accounting=2).run(10)
    hand.answers["account"] = balances(BTC="1", USDT="0")
    moved = {"e": "outboundAccountPosition", "E": 1, "u": hand.now_ns // 1_000_000}
    hand.private({**moved, "B": [{"a": "USDT", "f": "0", "l": "0"}]})
    assert hand.mode == Mode.RUNNING, "a fill may explain it in a moment"
    assert hand.run(6).mode == Mode.HALTED
    [drift] = hand.facts("balance_drift")
    assert (drift["asset"], drift["difference"], drift["records"]) == ("USDT", "-1000", [])


def drifted(*, halted: bool = False, **settings: Any) -> ByHand:
    hand = ByHand(parameters=NONE, answers={"account": balances(BTC="1", USDT="1000")}, accounting=2, **settings)
    hand.run(10)
    if halted:
        hand.command("halt")
    hand.answers["account"] = balances(BTC="1", USDT="1500")
    return hand.run(130)


def test_accept_balance_records_a_deposit_and_trading_goes_on() -> None:
    hand = drifted()
    assert hand.mode == Mode.HALTED
    hand.command("accept_balance", "deposit from the bank", "USDT")
    [command] = [record for record in hand.records if record.kind is Kind.COMMAND]
    assert json.loads(command.body or "") == {
        "about": "USDT", "by": "test", "command": "accept_balance", "reason": "deposit from the bank",
    }  # fmt: skip
    assert hand.run(5).mode == Mode.RUNNING
    assert any("USDT: our records follow the venue at 1500" in note for note in hand.notes("info"))
    assert hand.run(200).mode == Mode.RUNNING
    assert len(hand.facts("balance_drift")) == 1


def test_resume_alone_does_not_lift_a_drift() -> None:
    hand = drifted().command("resume")
    assert (hand.mode, reasons(hand)) == (Mode.HALTED, [ReasonCode.BALANCE_DRIFT])


def test_accepting_one_asset_leaves_the_drift_of_another() -> None:
    hand = ByHand(parameters=NONE, answers={"account": balances(BTC="1", USDT="1000")}, accounting=2).run(10)
    hand.answers["account"] = balances(BTC="3", USDT="1500")
    hand.run(130).command("accept_balance", "deposit", "BTC")
    assert hand.mode == Mode.HALTED
    assert hand.state.account.modes.reasons[0].about == "USDT"
    hand.command("accept_balance", "deposit", "USDT")
    assert hand.run(5).mode == Mode.RUNNING


@pytest.mark.parametrize("is_drift_first", [True, False])
def test_accept_balance_does_not_lift_the_halt_of_a_person(is_drift_first: bool) -> None:
    hand = drifted() if is_drift_first else drifted(halted=True)
    if is_drift_first:
        hand.command("halt")
    assert {reason.code for reason in hand.state.account.modes.halts} == {
        ReasonCode.BALANCE_DRIFT, ReasonCode.HALT_ORDERED,
    }  # fmt: skip
    hand.command("accept_balance", "deposit", "USDT").run(5)
    assert (hand.mode, reasons(hand)) == (Mode.HALTED, [ReasonCode.HALT_ORDERED])
    assert hand.command("resume").run(5).mode == Mode.RUNNING


def test_accept_balance_of_an_unknown_asset_says_so() -> None:
    hand = drifted().command("accept_balance", "deposit", "XYZ")
    assert hand.mode == Mode.HALTED
    assert "the venue never reported a balance of XYZ: nothing is accepted" in hand.notes("warning")


def test_a_drift_within_the_tolerance_is_none() -> None:
    hand = drifted(risk=RiskSettings(balance_tolerance={"USDT": D(500)}))
    assert (hand.mode, hand.facts("balance_drift")) == (Mode.RUNNING, [])


def test_a_drift_beyond_the_tolerance_is_one() -> None:
    assert drifted(risk=RiskSettings(balance_tolerance={"USDT": D("499.99")})).mode == Mode.HALTED


def test_on_drift_note_raises_an_alarm_and_trading_goes_on() -> None:
    hand = drifted(risk=RiskSettings(on_drift=DriftAction.NOTE))
    assert hand.mode == Mode.RUNNING
    assert len(hand.facts("balance_drift")) == 1
    assert any("USDT: the venue reports 1500" in note for note in hand.notes())


def test_a_drift_survives_a_restart() -> None:
    hand = drifted()
    again = hand.restart(parameters=NONE, answers=hand.answers, accounting=2).run(5)
    assert (again.mode, reasons(again)) == (Mode.HALTED, [ReasonCode.BALANCE_DRIFT])
    again.command("accept_balance", "deposit", "USDT")
    assert again.run(5).mode == Mode.RUNNING


def test_a_fill_before_a_restart_is_in_the_ledger_of_the_next_session() -> None:
    hand = bought("2")
    again = hand.restart(parameters=NONE, answers=hand.answers, accounting=2).run(130)
    assert again.state.account.ledger.by_asset["BTC"].expected == 102
    assert (again.mode, again.facts("balance_drift")) == (Mode.RUNNING, [])


def test_a_fill_that_is_missing_is_sought_before_anything_halts() -> None:
    """The balance contains a fill that was never streamed: the round finds the fill, so there is no drift."""
    hand = ByHand(parameters={"size": "2"}, answers={"account": balances(BTC="0", USDT="1000")}, accounting=2)
    name = hand.order.client_order_id
    hand.answer(hand.seq_of("place"), shown(name, origQty="2"))
    hand.private(report(name, "NEW", "NEW", q="2"))
    hand.answers["account"] = balances(BTC="2", USDT="820")
    hand.answers["fills"] = [row(1, "2", time=hand.now_ns // 1_000_000)]
    hand.answers["open_orders"] = []
    hand.answers["query_order"] = shown(name, "FILLED", "2", origQty="2")
    hand.run(200)
    assert hand.position() == 2
    assert (hand.mode, hand.facts("balance_drift")) == (Mode.RUNNING, [])


@pytest.mark.parametrize("becomes", ["found", "absent"])
def test_an_order_of_unknown_outcome_may_explain_a_balance_so_nothing_halts_before_it_is_settled(becomes: str) -> None:
    """The venue's queries lag behind its balances: the order is filled, and no query finds it for a while."""
    hand = ByHand(
        parameters={"size": "2"}, answers={"account": balances(BTC="0", USDT="1000")}, accounting=2, held={"place"}
    )
    placed_ns = hand.now_ns
    hand.answer(hand.seq_of("place"), outcome="cut")
    hand.answers["query_order"] = (400, {"code": -2013, "msg": "Order does not exist."})
    hand.answers["account"] = balances(BTC="2", USDT="820")
    hand.answers["fills"] = [row(1, "2", time=placed_ns // 1_000_000)]
    hand.command("reconcile").run(7)
    assert hand.order.status is Status.UNKNOWN
    assert any(fact.get("unsettled") == 1 for fact in hand.facts("reconciled"))
    assert (hand.mode is Mode.HALTED, hand.facts("balance_drift")) == (False, [])
    if becomes == "found":
        hand.answers["query_order"] = shown(hand.order.client_order_id, "FILLED", "2", origQty="2")
        hand.run(60)
        assert (hand.position(), hand.mode, hand.facts("balance_drift")) == (2, Mode.RUNNING, [])
    else:
        hand.answers["fills"] = []
        hand.run(60)
        assert hand.order.status is Status.NOT_PLACED
        assert (hand.mode, reasons(hand)) == (Mode.HALTED, [ReasonCode.BALANCE_DRIFT])


def test_sessions_of_accounting_1_have_no_ledger() -> None:
    hand = ByHand(parameters=NONE, answers={"account": balances(BTC="1", USDT="1000")}).run(10)
    hand.answers["account"] = balances(BTC="1", USDT="0")
    assert hand.run(130).mode == Mode.RUNNING
    assert "account.ledger" not in hand.state.digests()


# ---- the comparison -----------------------------------------------------------------------------

T0 = 1_000 * SECOND_NS
ETH = instrument("ETH", "USDT")


class Book:
    """A ledger of USDT and BTC, folded change by change; session and venue have one clock."""

    def __init__(self) -> None:
        self.ledger, self.seq = Ledger(), 0
        self.balance(0, "1000").fold(0, Reconciled(1, 0))

    def fold(self, at_s: float, change: Any) -> "Book":
        self.seq += 1
        self.ledger = reduce(
            self.ledger,
            change,
            Stamp(self.seq, T0 + int(at_s * SECOND_NS)),
            {BTC.id: BTC, ETH.id: ETH},
            keeps_fill_ids=True,
        )
        return self

    def balance(self, at_s: float, total: str, *, date_s: float | None = None) -> "Book":
        date_ns = T0 + int((at_s if date_s is None else date_s) * SECOND_NS)
        return self.fold(at_s, BalanceChanged("USDT", D(total), D(0), venue_ns=date_ns))

    def buy(
        self, at_s: float, price: str, *, date_s: float | None = None, fill_id: str = "", of: Instrument = BTC
    ) -> "Book":
        date_ns = T0 + int((at_s if date_s is None else date_s) * SECOND_NS)
        fill = OrderFilled(
            "o",
            "s",
            of.id,
            fill_id or str(self.seq),
            "7",
            Side.BUY,
            D(price),
            D(1),
            D(0),
            "",
            False,
            date_ns,
            False,
        )
        return self.fold(at_s, fill)

    def difference(self) -> Decimal:
        ours = self.ledger.by_asset["USDT"]
        assert ours.report is not None
        return difference(ours, ours.report, tolerance=D(0))


def test_a_balance_may_be_behind_the_fills_that_we_know() -> None:
    assert Book().buy(100, "90").buy(101, "80").balance(102, "910", date_s=100.5).difference() == 0


def test_a_balance_may_be_ahead_of_a_fill_that_comes_later() -> None:
    book = Book().balance(100, "910")
    assert book.difference() == -90
    assert book.buy(101, "90", date_s=100).difference() == 0


def test_a_balance_that_comes_late_does_not_hide_an_old_flow() -> None:
    """Fills long before the report's date are contained in it: to leave one out is a drift."""
    assert Book().buy(100, "90").balance(120, "1000").difference() == 90


def test_a_balance_between_two_fills_matches_only_their_order() -> None:
    book = Book().buy(100, "90").buy(101, "80")
    assert book.balance(101, "920").difference() != 0, "the later fill without the earlier one"
    assert book.balance(101, "910").difference() == 0


def test_a_fill_recorded_after_later_ones_of_its_moment_is_ordered_by_the_venues_id() -> None:
    """A report says what the venue had filled by then: fill 9, and not yet fill 10, whose record came first."""
    book = Book().balance(100, "910").buy(101, "80", date_s=100, fill_id="10").buy(106, "90", date_s=100, fill_id="9")
    assert book.difference() == 0
    assert book.balance(106.5, "830").difference() == 0


def test_fills_of_one_moment_in_two_instruments_may_be_contained_each_up_to_its_own_id() -> None:
    """Of fills 7 and 8 in one instrument and 500 in another, recorded in this order, the report has 500 and 7."""
    book = Book()
    for price, fill_id, of in (("8", "8", BTC), ("70", "7", BTC), ("600", "500", ETH)):
        book.buy(101, price, date_s=100, fill_id=fill_id, of=of)
    assert book.balance(102, "330", date_s=100).difference() == 0
    assert book.balance(102, "392", date_s=100).difference() != 0, "500 and 8 without 7"


def test_a_fill_booked_twice_is_found_by_the_next_balance() -> None:
    assert Book().buy(100, "90").buy(100, "90").balance(130, "910").difference() == 90


def test_each_fill_may_be_rounded_by_a_unit() -> None:
    book = Book().buy(1, "90").buy(2, "90")
    assert book.balance(60, "820.00000002").difference() == 0
    assert book.balance(60, "820.00000003").difference() == D("0.00000003")


def test_a_flow_that_the_opening_contains_is_not_counted_twice() -> None:
    book = Book().buy(3, "90", date_s=-1)
    assert book.ledger.by_asset["USDT"].expected == 1000


# ---- the simulated venue ------------------------------------------------------------------------


def books_equal_the_venue(session: VirtualSession) -> None:
    """Our number of each asset is the venue's own, within a unit a fill."""
    session.run(10)
    held = session.venue.get("/sim/state")["balances"]["test"]
    for asset, ours in session.state.account.ledger.by_asset.items():
        theirs = Decimal(held[asset]["free"]) + Decimal(held[asset]["locked"])
        assert abs(ours.expected - theirs) <= D("1e-8") * ours.flows, asset


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    first_is_quick(
        [
            {},
            {"action": "delay_events", "event": "executionReport", "ms": 400, "times": 0},
            {"action": "delay_events", "event": "outboundAccountPosition", "ms": 3_000, "times": 0},
            {"action": "drop_events", "event": "outboundAccountPosition", "times": 0},
            {"action": "drop_events", "event": "TRADE", "nth": 3, "times": 4},
            {"action": "duplicate_events", "event": "outboundAccountPosition", "times": 0},
            {"action": "delay_answer", "method": "GET", "path": "/api/v3/account", "ms": 900, "times": 0},
        ]
    ),
    ids=lambda fault: " ".join(map(str, fault.values())) or "healthy",
)
def test_health_never_alarms(begin: CheckedSessions, fault: dict[str, Any]) -> None:
    venue = CalmVenue(seed=5)
    if fault:
        venue.fault(**fault)
    session = begin(venue, "pair", engine=engine(reconcile_s=7)).run(60)
    assert len(session.facts("order_filled")) > 10
    assert session.facts("balance_drift") == []
    assert session.state.account.ledger.by_asset["USDT"].agreed_seq > 0
    session.command("pause")
    books_equal_the_venue(session)
    assert venue.unstruck_faults() == []


def engine(*, reconcile_s: int) -> EngineSettings:
    return EngineSettings(reconcile_every_ns=reconcile_s * SECOND_NS)


@pytest.mark.parametrize("streamed", [True, False], ids=["announced", "silent"])
def test_a_withdrawal_by_hand_halts_a_trading_session(begin: CheckedSessions, streamed: bool) -> None:
    venue = CalmVenue()
    session = begin(venue, "pair", engine=engine(reconcile_s=10)).run(20)
    assert session.state.account.modes.mode is Mode.RUNNING
    venue.move_balance("USDT", "-5000", streamed=streamed)
    session.run(30)
    assert session.state.account.modes.mode is Mode.HALTED
    [drift] = session.facts("balance_drift")
    assert drift["asset"] == "USDT"
    assert abs(D(drift["difference"]) + 5000) < D("1e-6")
    session.command("accept_balance", "withdrawn by me", about="USDT").run(20)
    assert session.state.account.modes.mode is Mode.RUNNING
    session.command("pause")
    books_equal_the_venue(session)


def test_fees_in_bnb_are_in_the_ledger(begin: CheckedSessions) -> None:
    venue = CalmVenue(balances={"USDT": "100000", "BTC": "20", "BNB": "5"}, fee_asset=("BNB", "500"))
    session = begin(venue, "pair", engine=engine(reconcile_s=10)).run(40)
    assert {fill["fee_asset"] for fill in session.facts("order_filled")} == {"BNB"}
    assert session.facts("balance_drift") == []
    ours = session.state.account.ledger.by_asset["BNB"]
    assert ours.flows > 0
    session.command("pause")
    books_equal_the_venue(session)


def test_the_ledger_is_rebuilt_and_carried_over_a_kill(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    first = begin(venue, "pair").run(15)
    folder = first.kill()
    recover(folder)
    opening = rebuilt(folder)
    assert opening.account.ledger == first.state.account.ledger
    venue.move_balance("BTC", "0.5")
    second = begin(venue, "pair", previous=first, opening=opening, engine=engine(reconcile_s=10)).run(40)
    assert second.state.account.modes.mode is Mode.HALTED
    [drift] = second.facts("balance_drift")
    assert (drift["asset"], D(drift["difference"]).quantize(D("0.001"))) == ("BTC", D("0.500"))


@pytest.mark.slow
def test_a_private_link_that_is_down_alarms_nothing(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    session = begin(venue, "pair", engine=engine(reconcile_s=10)).run(10)
    venue.fault(action="drop_events", event="executionReport", times=0)
    venue.fault(action="disconnect", target="private")
    session.run(60)
    assert session.state.account.links.by_source[PRIVATE].reconnects >= 1
    assert venue.unstruck_faults() == []
    venue.sim.faults.clear()
    session.command("pause").run(30)
    assert session.facts("balance_drift") == []
