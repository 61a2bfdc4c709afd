"""Trading of USD-M futures in virtual time: real kernel, gateway, codec and journal against the simulated venue.

Each session is checked at its end (checked_sessions.py): journal, replay, and our books beside the venue's own. The
strategy does what its script says, a step a second.
"""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from checked_sessions import CheckedSessions, check_journal, mode, notes, rebuilt
from msgspec.structs import replace
from steered_market import FuturesVenue

from engine import contracts
from engine.facts import NewOrder
from engine.mode_reasons import Mode, ReasonCode
from engine.model import MarginMode, OrderType, Side
from engine.risk.context import RiskAnswer, RiskContext
from engine.risk.rules.limits import order_size
from engine.risk_settings import MarginSettings
from engine.session_record import SECOND_NS, RiskSettings
from engine.state.orders import EXTERNAL
from engine.state.session_state import Account
from engine.venues.binance_futures.account import FuturesAccount
from journal.record import Kind
from replay.study.pnl import session_pnl
from verbatim.testing import START_NS, VirtualSession

D = Decimal
BTC = "binance_usdm:BTCUSDT"
HOUR_NS = 3_600 * SECOND_NS


def check_account(session: VirtualSession) -> None:
    """Compare our account with the venue's: positions, open orders, fills, wallet. Each client id was sent once."""
    venue, account = session.venue, session.state.account
    assert isinstance(venue, FuturesVenue)
    theirs = venue.get("/sim/state")
    assert account.positions.net(BTC) == venue.contract()
    assert difference(session) == 0
    assert {each.client_order_id for each in account.orders.live.values()} == venue.open_ids()
    booked = sorted(fill for order in account.orders.all() for fill in order.fill_ids)
    filled = sorted(str(fill["trade_id"]) for fill in theirs["fills"])
    assert booked == filled[len(filled) - len(booked) :], "those before the first session are in its opening"
    placed = [record.key for record in session.kinds(Kind.REQUEST) if '"purpose":"place"' in (record.body or "")]
    assert len(set(placed)) == len(placed)


@pytest.fixture
def futures(tmp_path: Path) -> Iterator[CheckedSessions]:
    """Return a function that begins a session. At the end journals are checked, and the account of the last one."""
    sessions = CheckedSessions(tmp_path)
    yield sessions
    for session in sessions.begun:
        check_journal(session)
    check_account(sessions.begun[-1])


def trade(futures: CheckedSessions, venue: FuturesVenue, steps: str, **settings: object) -> VirtualSession:
    return futures(venue, "script", parameters={"steps": steps}, **settings)


def sent(session: VirtualSession, path: str) -> list[dict[str, str]]:
    """Return the parameters of the session's requests to a path that change the venue."""
    bodies = [json.loads(record.body or "") for record in session.kinds(Kind.REQUEST)]
    return [
        dict(body["unsigned"]["params"])
        for body in bodies
        if body["mutates"] and body["unsigned"]["method"] == "POST" and body["unsigned"]["path"] == f"/fapi/v1/{path}"
    ]


def verdicts(session: VirtualSession) -> list[dict[str, Any]]:
    return [json.loads(record.body or "") for record in session.kinds(Kind.VERDICT)]


def own(session: VirtualSession) -> tuple[Decimal, Decimal]:
    """Return position and realised P&L of the strategy."""
    position = session.state.account.positions.get("script", BTC)
    return position.quantity, position.realised_pnl


def difference(session: VirtualSession) -> Decimal:
    """Return the venue's wallet less our ledger."""
    ledger = session.state.account.ledger.by_asset["USDT"]
    return session.venue.wallet() - ledger.expected  # type: ignore[attr-defined]  # a FuturesVenue


def test_long_short_and_back_settle_to_the_wallet_of_the_venue(futures: CheckedSessions) -> None:
    """Bought at 60,000 and sold at 60,600: 0.02 * 600 = 12. Sold at 60,600, bought back at 60,000: 12 again."""
    venue = FuturesVenue()
    session = trade(futures, venue, "buy 0.02; wait; wait; close; sell 0.02; wait; wait; close")
    session.run(until=lambda s: own(s)[0] == D("0.02"))
    venue.move("60600.1")  # the bid is a tick lower
    session.run(until=lambda s: own(s)[0] == D("-0.02"))
    assert own(session) == (D("-0.02"), 12)
    venue.move("60000")
    session.run(until=lambda s: own(s)[0] == 0).run(2)
    assert own(session) == (0, 24)
    assert [order.get("reduceOnly") for order in sent(session, "order")] == [None, "true", None, "true"]
    assert difference(session) == 0
    session.run(70)
    assert session.facts("balance_drift") == []
    assert mode(session) is Mode.RUNNING
    books = session.facts("books_compared")[-1]
    assert (books["drift"], books.get("wrong", [])) == ("0", [])


def test_a_stop_at_the_venue_closes_the_position_it_protects(futures: CheckedSessions) -> None:
    """The venue keeps the stop apart; triggered, it is an order of the market with our id, and a new one of the venue."""
    venue = FuturesVenue()
    session = trade(futures, venue, "buy 0.02; wait; stop 0.02 -1").run(6)
    [stop] = sent(session, "algoOrder")
    assert (stop["type"], stop["triggerPrice"], stop["reduceOnly"]) == ("STOP_MARKET", "59399.9", "true")
    [order] = session.state.account.orders.live.values()
    assert (order.status, order.venue_order_id) == ("open", "")
    venue.move("59000")
    session.run(3)
    [triggered] = session.facts("order_triggered")
    closed = session.state.account.orders.get(triggered["client_order_id"])
    assert closed is not None
    assert (closed.status, closed.venue_order_id) == ("filled", triggered["venue_order_id"])
    assert own(session) == (0, D("-20.002"))
    assert difference(session) == 0


def test_a_stop_that_is_triggered_while_we_are_away_is_found_again(futures: CheckedSessions) -> None:
    """Stream and answers fail; the queries lead from the conditional order to its order in the market."""
    venue = FuturesVenue()
    session = trade(futures, venue, "buy 0.02; wait; stop 0.02 -1").run(6)
    venue.fault(action="drop_events", event="ORDER_TRADE_UPDATE", times=0)
    venue.fault(action="drop_events", event="ALGO_UPDATE", times=0)
    venue.fault(action="drop_events", event="ACCOUNT_UPDATE", times=0)
    venue.move("59000")
    session.run(70)
    assert own(session)[0] == 0
    assert session.state.account.orders.live == {}
    assert difference(session) == 0


def test_trailing_and_closing_stops_are_those_of_the_venue(futures: CheckedSessions) -> None:
    venue = FuturesVenue()
    session = trade(futures, venue, "sell 0.02; wait; guard 1; wait; cancel; wait; trail 0.02 100").run(10)
    guard, trail = sent(session, "algoOrder")[0], sent(session, "algoOrder")[-1]
    assert (guard["closePosition"], guard.get("quantity"), guard["side"]) == ("true", None, "BUY")
    assert (trail["type"], trail["callbackRate"]) == ("TRAILING_STOP_MARKET", "1")
    venue.move("58000")
    session.run(2)
    venue.move("58700")
    session.run(3)
    assert own(session)[0] == 0, "1 % above the lowest price"
    assert difference(session) == 0


def test_a_stop_that_closes_the_position_takes_its_size_when_it_is_triggered(futures: CheckedSessions) -> None:
    venue = FuturesVenue()
    session = trade(futures, venue, "buy 0.02; wait; guard -1; wait; buy 0.01").run(8)
    assert own(session)[0] == D("0.03")
    venue.move("59000")
    session.run(3)
    assert (own(session)[0], venue.contract()) == (0, 0)
    assert difference(session) == 0


def test_a_funding_is_in_the_wallet_the_ledger_and_the_strategys_pnl(futures: CheckedSessions) -> None:
    """A minute before a funding hour the strategy is long: it pays the venue's rate of its worth at mark."""
    venue = FuturesVenue(start_ns=(START_NS // (8 * HOUR_NS) + 1) * 8 * HOUR_NS - 60 * SECOND_NS)
    session = trade(futures, venue, "buy 0.5").run(130)
    [paid] = session.facts("funding_paid")
    [funding] = venue.sim.exchange.fundings  # type: ignore[attr-defined]  # the exchange of contracts
    assert (paid["strategy"], paid["quantity"]) == ("script", "0.5")
    expected = -D(funding.mark) * D(funding.rate) / D(10**16) * D("0.5")
    assert D(paid["amount"]) == expected != 0
    assert session.state.account.pnl.by_key[f"script {BTC}"].own.funding == expected
    assert difference(session) == 0
    assert session.facts("balance_drift") == []


def test_a_funding_of_a_lost_stream_is_found_in_the_list(futures: CheckedSessions) -> None:
    venue = FuturesVenue(start_ns=(START_NS // (8 * HOUR_NS) + 1) * 8 * HOUR_NS - 60 * SECOND_NS)
    session = trade(futures, venue, "buy 0.5").run(30)
    venue.fault(action="drop_events", event="ACCOUNT_UPDATE")
    session.run(130)
    [paid] = session.facts("funding_paid")
    assert D(paid["amount"]) != 0
    assert difference(session) == 0
    assert session.facts("balance_drift") == []


def test_a_liquidation_halts_and_is_the_strategys_loss(futures: CheckedSessions) -> None:
    """1,200 USDT hold 0.3 BTC at 20 times; the price falls by 6 %, and the venue closes the position.

    Sold at 56,149.9: 0.3 * (56,149.9 - 60,000) = -1,155.03. Of 1,200 less 9 for the purchase, 35.97 are left. The fee
    of the liquidation, 1.25 % of 16,844.97, takes them all.
    """
    venue = FuturesVenue(balances={"USDT": "1200"})
    session = trade(futures, venue, "buy 0.3").run(5)
    assert own(session)[0] == D("0.3")
    venue.move("56150")
    session.run(5)
    [forced] = session.facts("position_forced")
    assert (forced["kind"], forced["strategy"]) == ("liquidation", "script")
    assert mode(session) is Mode.HALTED
    assert session.state.account.modes.halts[0].code is ReasonCode.POSITION_FORCED
    assert (own(session)[0], venue.contract()) == (0, 0)
    assert any("liquidation" in text for text in notes(session, "alarm"))
    [charged] = session.facts("fee_charged")
    assert (charged["strategy"], charged["amount"], charged["reason"]) == ("script", "35.97", "liquidation_fee")
    line = session.state.account.pnl.by_key[f"script {BTC}"].own
    assert (line.realised, line.fees) == (D("-1155.03"), 9 + D("35.97"))
    assert 1200 - venue.wallet() == -line.net == 1200
    session.run(70)
    assert difference(session) == 0
    assert session.facts("balance_drift") == []


def test_the_fee_of_a_liquidation_reaches_the_limit_of_the_day(futures: CheckedSessions) -> None:
    """0.01 BTC are sold at 59,999.9, isolated at 5 times, and bought back at 71,750 by the venue.

    The loss is 117.501, and 0.2999995 for the fee of the sale: below the limit of 119. The fee of the liquidation takes
    the rest of the margin of 119.9998: 2.1988005.
    """
    venue = FuturesVenue()
    margin = MarginSettings(leverage_max=D(5), mode=MarginMode.ISOLATED, sets=True)
    risk = RiskSettings(margin=margin, daily_loss_max=D(119))
    session = trade(futures, venue, "wait; wait; wait; sell 0.01", risk=risk).run(8)
    before = venue.wallet() + D("0.2999995")
    assert own(session)[0] == D("-0.01")
    venue.move("71750")
    session.run(5)
    assert (own(session), venue.contract()) == ((0, D("-117.501")), 0)
    [charged] = session.facts("fee_charged")
    assert (charged["strategy"], charged["amount"]) == ("script", "2.1988005")
    line = session.state.account.pnl.by_key[f"script {BTC}"].own
    assert line.net == -(D("117.501") + D("0.2999995") + D("2.1988005")) == D("-119.9998")
    assert before - venue.wallet() == -line.net
    [reached] = session.facts("daily_loss_reached")
    assert D(reached["loss"]) == -line.net
    session.run(70)
    assert difference(session) == 0
    assert session.facts("balance_drift") == []
    session.stop()
    reported = session_pnl(session.folder).portfolio
    assert (reported.fees, reported.total) == (D("2.498800"), D("-119.9998")), "`verbatim pnl`"


def test_silence_of_ours_is_answered_by_the_venues_own_cancel(futures: CheckedSessions) -> None:
    """The switch is armed while an order rests; a killed session arms it no longer, and the venue cancels."""
    venue = FuturesVenue()
    session = trade(futures, venue, "buy 0.02 limit -5").run(5)
    assert len(session.state.account.orders.live) == 1
    assert sent(session, "countdownCancelAll")[0]["countdownTime"] == "60000"
    session.kill()
    opening = rebuilt(session.folder)
    venue.now_ns += 90 * SECOND_NS
    venue.sim.advance(venue.now_ns)
    status, rows = venue.by_hand("GET", "/fapi/v1/openOrders")
    assert (status, rows) == (200, [])
    second = trade(futures, venue, "", previous=session, opening=opening).run(20)
    assert second.state.account.orders.live == {}, "found canceled"


def test_a_restart_continues_position_stop_and_ledger(futures: CheckedSessions) -> None:
    venue = FuturesVenue()
    first = trade(futures, venue, "sell 0.02; wait; stop 0.02 1").run(6)
    first.kill()
    opening = rebuilt(first.folder)
    second = trade(futures, venue, "wait; close", previous=first, opening=opening).run(3)
    assert own(second)[0] == D("-0.02")
    venue.move("61000")
    second.run(5)
    assert own(second) == (0, D("-20.002"))
    assert second.state.account.orders.live == {}
    second.run(70)
    assert difference(second) == 0
    assert second.facts("balance_drift") == []
    assert mode(second) is Mode.RUNNING


def test_a_position_held_before_the_first_session_belongs_to_no_strategy(futures: CheckedSessions) -> None:
    venue = FuturesVenue()
    session = trade(futures, venue, "").run(3)
    session.stop()
    status, _ = venue.by_hand("POST", "/fapi/v1/order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.05")
    assert status == 200
    venue.now_ns += SECOND_NS
    venue.sim.advance(venue.now_ns)
    fresh = trade(futures, venue, "buy 0.02").run(70)
    [opened] = fresh.facts("position_opened")
    assert (opened["strategy"], opened["quantity"], opened["entry_price"]) == (EXTERNAL, "0.05", "60000")
    assert (own(fresh)[0], venue.contract()) == (D("0.02"), D("0.07"))
    assert mode(fresh) is Mode.RUNNING, "no drift"
    assert difference(fresh) == 0


def test_a_contract_above_the_limits_of_leverage_is_not_traded(futures: CheckedSessions) -> None:
    margin = MarginSettings(leverage_max=D(5), mode=MarginMode.ISOLATED)
    session = trade(futures, FuturesVenue(), "buy 0.02", risk=RiskSettings(margin=margin)).run(5)
    [block] = [str(reason) for reason in session.state.account.blocks.reasons(BTC)]
    assert block == "leverage 20 is above leverage_max 5; the margin mode is cross, not isolated"
    assert own(session)[0] == 0
    assert sent(session, "leverage") == [] == sent(session, "marginType"), "nothing is changed unasked"


def test_leverage_and_margin_mode_are_set_if_the_configuration_says_so(futures: CheckedSessions) -> None:
    margin = MarginSettings(leverage_max=D(5), mode=MarginMode.ISOLATED, sets=True)
    session = trade(futures, FuturesVenue(), "wait; buy 0.02", risk=RiskSettings(margin=margin)).run(8)
    assert sent(session, "leverage")[0]["leverage"] == "5"
    assert sent(session, "marginType")[0]["marginType"] == "ISOLATED"
    contract = session.state.account.margins.get(BTC)
    assert (contract.leverage, contract.margin_mode) == (5, MarginMode.ISOLATED)
    assert own(session)[0] == D("0.02")


def test_margin_that_does_not_suffice_is_refused_before_it_is_sent(futures: CheckedSessions) -> None:
    """1,000 USDT at 20 times are worth 20,000 USDT, 0.33 BTC."""
    session = trade(futures, FuturesVenue(balances={"USDT": "1000"}), "buy 0.34; buy 0.2; sell 0.5").run(6)
    assert len(sent(session, "order")) == 2
    [rules] = [verdict["rules"] for verdict in verdicts(session) if not verdict["approved"]]
    assert "of margin" in rules["margin"]
    assert own(session)[0] == D("-0.3"), "a sale needs margin only for what it opens"


def test_only_a_stop_at_market_closes_a_position_and_only_where_the_venue_has_it(futures: CheckedSessions) -> None:
    session = trade(futures, FuturesVenue(), "buy 0.02; wait; guard -1 100").run(6)
    [rules] = [verdict["rules"] for verdict in verdicts(session) if not verdict["approved"]]
    assert rules == {"close_position": "a STOP order cannot close a position: only a STOP or TAKE_PROFIT at market can"}


def test_a_flatten_closes_short_and_long_by_orders_that_only_reduce(futures: CheckedSessions) -> None:
    """The rest is worth less than the least notional, from which the venue exempts such an order."""
    session = trade(futures, FuturesVenue(), "sell 0.02; wait; close 0.019").run(5)
    assert own(session)[0] == D("-0.001")
    session.command("flatten").run(10)
    assert own(session)[0] == 0
    assert [order.get("reduceOnly") for order in sent(session, "order")] == [None, "true", "true"]


def test_the_notional_of_an_inverse_contract_is_its_size() -> None:
    """A contract of 100 USD is worth 100 USD at any price, and its 3 short contracts gain as the price falls."""
    inverse = replace(FuturesVenue().instruments()[0], inverse=True, contract_size=D(100))
    order = NewOrder(inverse.id, Side.SELL, OrderType.LIMIT, D(3), price=D(60_000))
    account, limits = Account(), RiskSettings(order_notional_max=D(200))
    context = RiskContext(
        order=order, terms=order.terms, strategy="desk", instrument=inverse, instruments={inverse.id: inverse},
        account=account, limits=limits, time_ns=0, bid=D(60_000), ask=D(60_001), worst_price=D(60_000),
        values_contracts=True,
    )  # fmt: skip
    answer = order_size(context)
    assert isinstance(answer, RiskAnswer)
    assert answer.reason == "notional 300 is above order_notional_max 200"
    assert contracts.gain(inverse, D(-3), D(60_000), D(50_000)) == contracts.worth(inverse, D(3), D(50_000)) - D(
        "0.005"
    )


def test_hedge_mode_names_the_position_of_each_order(futures: CheckedSessions) -> None:
    venue = FuturesVenue()
    status, _ = venue.by_hand("POST", "/fapi/v1/positionSide/dual", dualSidePosition="true")
    assert status == 200
    session = trade(futures, venue, "buy 0.02; wait; stop 0.02 -1; cancel; sell 0.03; wait; close; sell 0.01").run(12)
    assert session.state.account.margins.is_hedge("binance_usdm")
    sides = [(order["side"], order["positionSide"], order.get("reduceOnly")) for order in sent(session, "order")]
    assert sides == [("BUY", "LONG", None), ("SELL", "LONG", None), ("SELL", "SHORT", None)]
    [stop] = [order for order in sent(session, "algoOrder") if "positionSide" in order]
    assert (stop["side"], stop["positionSide"]) == ("SELL", "LONG")
    assert any("hedge mode: quantity 0.03" in verdict["rules"].get("hedge", "") for verdict in verdicts(session))
    assert (own(session)[0], venue.contract()) == (D("-0.01"), D("-0.01"))
    session.run(70)
    assert difference(session) == 0
    assert mode(session) is Mode.RUNNING


def test_the_token_of_the_stream_is_renewed_and_in_no_record(
    futures: CheckedSessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FuturesAccount, "renew_every_ns", 5 * SECOND_NS)  # not 15 minutes
    venue = FuturesVenue()
    session = trade(futures, venue, "buy 0.02").run(12)
    renewals = [record for record in session.kinds(Kind.REQUEST) if '"renew_token"' in (record.body or "")]
    assert len(renewals) == 2
    key = venue.key("POST")
    assert not any(key in f"{record.body}{record.payload!r}{record.meta}" for record in session.records)


def test_an_expired_token_is_replaced_and_what_was_missed_is_found(futures: CheckedSessions) -> None:
    venue = FuturesVenue()
    session = trade(futures, venue, "wait; wait; wait; wait; wait; wait; buy 0.02").run(4)
    venue.key("DELETE")
    venue.fault(action="disconnect", target="private")
    session.run(20)
    assert own(session)[0] == D("0.02")
    assert session.state.account.links.by_source["binance_usdm.private.0"].reconnects == 1
