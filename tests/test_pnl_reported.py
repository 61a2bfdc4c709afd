"""P&L in a reporting currency by strategy, instrument and portfolio, as facts, `view.pnl` and `verbatim pnl` have it.

Right values by hand arithmetic. Rates are mids of recorded quotes, and a rate that no quote gives is named.
tests/test_core_mutants.py puts a fault into each formula.
"""

import json
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import pytest
from by_hand import BTC, ETH, ByHand, instrument, shown, trade
from click.testing import CliRunner
from msgspec.structs import replace
from risk_desk import DESK

from engine.facts import Pnl
from engine.lots import CostMethod
from engine.model import Instrument
from engine.money import MONEY, to_ledger
from engine.record_codec import read_fact
from engine.session_record import DriftAction, EngineSettings, MarkChoice, RiskSettings
from engine.state.pnl_figures import total_figures
from journal.reader import Journal
from journal.record import Kind
from replay.study.pnl import Grouping, session_pnl
from verbatim.cli import main

D = Decimal
BNB = instrument("BNB", "USDT")
RISK = RiskSettings(orders_per_second_max=0, sell_holdings=True, on_drift=DriftAction.NOTE)

# writes what `view` says of its P&L into its state, as text
WATCHER = """
from dataclasses import dataclass
from decimal import Decimal

from verbatim import OnQuote


class Watcher:
    version = "1"
    instruments = ("BTCUSDT", "ETHBTC")
    cadence = OnQuote()

    @dataclass
    class Parameters:
        pass

    @dataclass
    class State:
        seen: str = ""

    @staticmethod
    def decide(view, state, parameters):
        own, total, equity = view.pnl("BTCUSDT"), view.pnl(), view.equity()
        state.seen = f"{own.currency} {own.total}; {total.currency} {total.total}; {equity.amount} {equity.missing}"
        return ()
"""


def traded(
    *fills: str, instruments: tuple[Instrument, ...] = (BTC, ETH), accounting: int = 3, **settings: Any
) -> ByHand:
    """A desk made these fills: `BTC BUY 2 90` or `ETH SELL 1 95 fee 0.1 BNB`. Everything is quoted 99 to 101."""
    split = [fill.split() for fill in fills]
    orders = "; ".join(f"{_symbol(name)} {side} LIMIT {quantity} {price}" for name, side, quantity, price, *_ in split)
    hand = ByHand(
        source=DESK, cls="Desk", parameters={"orders": orders or "none"}, instruments=instruments, accounting=accounting,
        risk=RISK, **settings,
    )  # fmt: skip
    for number, (name, side, quantity, price, *fee) in enumerate(split, start=1):
        _fill(hand, number, (_symbol(name), side, quantity, price), fee)
    return hand.quote().run(11)


def _symbol(name: str) -> str:
    return {"BTC": "BTCUSDT", "ETH": "ETHBTC"}[name]


def _fill(hand: ByHand, number: int, terms: tuple[str, str, str, str], fee: list[str]) -> None:
    symbol, side, quantity, price = terms
    hand.best(BTC, {"b": "99.00", "B": f"2.{number:05d}", "a": "101.00", "A": "1.0"})
    newest, venue_id = max(hand.orders, key=lambda order: order.request_seq), 100 + number
    order = {"symbol": symbol, "side": side, "price": price, "origQty": quantity, "orderId": venue_id}
    hand.answer(hand.seq_of("place"), shown(newest.client_order_id, **order))
    wire = {"s": symbol, "S": side, "p": price, "q": quantity, "i": venue_id, "L": price}
    if fee:
        wire |= {"n": fee[1], "N": fee[2]}
    hand.private(trade(newest.client_order_id, number, quantity, quantity, "FILLED", **wire))


def portfolio(hand: ByHand) -> dict[str, Any]:
    return hand.facts("portfolio_pnl")[-1]


def amounts(fact: dict[str, Any]) -> tuple[Decimal, ...]:
    return tuple(D(fact[name]) for name in ("realised", "unrealised", "fees", "funding"))


def test_j1_the_portfolio_sums_instruments_at_the_rate_of_each_moment(tmp_path: Path) -> None:
    """BTC: 2 at 90, 1 sold at 110: 20 USDT, 10 open. ETH: 1 BTC realised while BTC is 100: 100 USDT. Then BTC is 200.

    Open then: 1 BTC gains 110 USDT; 1 ETH bought at 90 BTC and quoted 100 gains 10 BTC at 200 = 2,000 USDT.
    """
    hand = traded("BTC BUY 2 90", "BTC SELL 1 110 fee 0.5 USDT", "ETH BUY 2 90", "ETH SELL 1 91 fee 0.01 BTC")
    assert amounts(portfolio(hand)) == (20 + 100, 10 + 1000, D("0.5") + 1, 0)
    hand.best(BTC, {"b": "199", "B": "1", "a": "201", "A": "1"})
    figures = total_figures(hand.state.account, hand.state.market, hand.sequencer.kernel.session.reducer_settings)
    assert (figures.realised, figures.unrealised, figures.fees) == (120, 110 + 2000, D("1.5"))
    assert figures.total == D("2228.5")
    assert portfolio(hand)["currency"] == "USDT", "the asset of the first instrument's P&L"
    hand.prove(tmp_path / "session")


def test_equity_is_in_the_report_and_names_what_it_lacks() -> None:
    """1,000,000 each of USDT, BTC at 100 and ETH at 100 BTC. In EUR nothing has a rate."""
    assert D(portfolio(traded("BTC BUY 2 90"))["equity"]) == 1_000_000 * (1 + 100 + 10_000)
    fact = portfolio(traded("BTC BUY 2 90", "BTC SELL 1 95", engine=EngineSettings(reporting_currency="EUR")))
    assert amounts(fact) == (0, 0, 0, 0)
    assert (fact["missing"], fact["unrated"]) == (["BTC", "ETH", "USDT"], {"USDT": "5"})


def test_j2_a_fee_counts_at_a_rate_over_two_markets_and_a_fee_without_a_rate_is_named() -> None:
    """ETHBTC pays 0.05 BNB: BNB is 100 USDT and BTC 100 USDT, so 0.05 BTC = 5 USDT. Without BNBUSDT it is named."""
    rated = portfolio(traded("ETH BUY 1 90 fee 0.05 BNB", instruments=(BTC, ETH, BNB)))
    assert (amounts(rated)[2], rated.get("unrated")) == (5, None)
    unrated = portfolio(traded("ETH BUY 1 90 fee 0.05 BNB", "ETH BUY 1 90 fee 0.01 BNB"))
    assert (amounts(unrated)[2], unrated["unrated"]) == (0, {"BNB": "-0.06"})
    older = traded("ETH BUY 1 90 fee 0.05 BNB", instruments=(BTC, ETH, BNB), accounting=2)
    assert older.facts("pnl")[-1]["fees_unvalued"] == {"BNB": "0.05"}, "sessions before accounting 3 know no such rate"


def test_a_fee_in_base_is_base_given_away_at_the_fills_price() -> None:
    """1 at 90 less 0.01 BTC: 0.99 * 10 open, 0.9 of fees; the cash is -90 and 0.99 * 100."""
    hand = traded("BTC BUY 1 90 fee 0.01 BTC")
    assert amounts(portfolio(hand)) == (0, D("9.9"), D("0.9"), 0)
    assert hand.facts("pnl")[-1]["quantity"] == "0.99"


def test_a_fee_in_base_realises_the_gain_of_what_is_given_away() -> None:
    """2 at 90, then 1 at 96 less 0.1 BTC: average 92, so 0.1 * 4 realised, 2.9 * 8 open, 0.1 * 96 of fees."""
    hand = traded("BTC BUY 2 90", "BTC BUY 1 96 fee 0.1 BTC")
    assert amounts(portfolio(hand)) == (D("0.4"), D("23.2"), D("9.6"), 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("choice", "long", "short"),
    [(MarkChoice.MID, "10", "10"), (MarkChoice.TOUCH, "9", "9"), (MarkChoice.MARK, "10", "10")],
)
def test_open_quantities_count_at_the_stated_price(choice: MarkChoice, long: str, short: str) -> None:
    """1 long at 90 is worth 99 at the touch, 1 short at 110 costs 101. Spot has no mark price: its mid."""
    settings = EngineSettings(pnl_mark=choice)
    assert amounts(portfolio(traded("BTC BUY 1 90", engine=settings)))[1] == D(long)
    fact = portfolio(traded("BTC SELL 1 110", engine=settings))
    assert (amounts(fact)[1], fact["mark"]) == (D(short), choice.value)


def test_a_position_that_is_carried_over_keeps_its_line_and_an_older_session_opens_one() -> None:
    hand = traded("BTC BUY 2 90", "BTC SELL 1 110 fee 0.5 USDT")
    settings = {"parameters": {"orders": "none"}, "source": DESK, "cls": "Desk", "instruments": (BTC, ETH)}
    again = hand.restart(accounting=3, risk=RISK, **settings).run(11)
    assert again.state.account.pnl == hand.state.account.pnl
    assert amounts(portfolio(again)) == (20, 10, D("0.5"), 0)
    older = hand.restart(accounting=2, risk=RISK, **settings).run(11)
    assert older.facts("portfolio_pnl") == []
    upgraded = replace(older.state.account, pnl=type(older.state.account.pnl)())
    older.sequencer.state.account = upgraded
    newest = older.restart(accounting=3, risk=RISK, **settings).run(11)
    assert amounts(portfolio(newest)) == (20, 10, D("0.5"), 0), "from the position's own average and sums"


def test_a_strategy_reads_its_own_pnl_and_the_accounts_equity(tmp_path: Path) -> None:
    hand = ByHand(source=WATCHER, cls="Watcher", parameters={}, instruments=(BTC, ETH), accounting=3).run(2)
    changed = [body["changed"]["seen"] for body in hand.facts("strategy_changed")]
    assert changed == ["USDT 0; USDT 0; 10101000000 ()"]
    hand.prove(tmp_path / "session")
    older = ByHand(source=WATCHER, cls="Watcher", parameters={}, instruments=(BTC, ETH), accounting=2).run(2)
    assert "keeps no P&L" in older.facts("strategy_stopped")[0]["reason"]


def test_an_inverse_contract_earns_its_base_and_is_reported_at_its_rate() -> None:
    """2 contracts of 100 USD from 90 to 100: 200/90 - 200/100 ETH; one of them closed at 95: 100/90 - 100/95 ETH.

    ETH is the base, and the spot market ETHUSDT quotes it at 100.
    """
    inverse = replace(
        ETH, contract="PERPETUAL", contract_size=D(100), inverse=True, margin="ETH", price_scale=2
    )  # fmt: skip
    spot = instrument("ETH", "USDT")
    hand = traded("ETH BUY 2 90", "ETH SELL 1 95", instruments=(BTC, inverse, spot))
    realised, unrealised, fees, funding = amounts(portfolio(hand))
    with localcontext(MONEY):
        closed, opened = to_ledger(D(100) / 90), to_ledger(D(200) / 90)
        assert realised == (to_ledger(opened / 2) - to_ledger(D(100) / 95)) * 100
        assert abs(unrealised - (closed - 1) * 100) < D("1e-12")
    assert (fees, funding) == (0, 0)


# ---- the reader of the journal ------------------------------------------------------------------

FILLS = ("BTC BUY 1 90", "BTC BUY 1 96", "BTC SELL 1 110 fee 0.5 USDT", "ETH BUY 2 90", "ETH SELL 1 91 fee 0.02 BNB")


@pytest.fixture
def session(tmp_path: Path) -> Path:
    hand = traded(*FILLS)
    hand.prove(tmp_path / "session")
    return tmp_path / "session"


def test_the_reader_and_the_engine_agree_to_the_last_digit(tmp_path: Path) -> None:
    hand = traded(*FILLS)
    hand.prove(tmp_path / "session")
    found = session_pnl(tmp_path / "session")
    fact = portfolio(hand)
    total = found.portfolio
    assert (total.realised, total.unrealised, total.fees, total.funding) == amounts(fact)
    assert total.unrated == {"BNB": D("-0.02")} == {name: D(text) for name, text in fact["unrated"].items()}


def test_methods_differ_in_what_is_realised_and_agree_on_the_total(session: Path) -> None:
    """1 at 90 and 1 at 96, one sold at 110: average 17, FIFO 20, LIFO 14; and 1 BTC = 100 USDT of ETH in each."""
    found = {method: session_pnl(session, method).portfolio for method in CostMethod}
    assert [found[method].realised for method in CostMethod] == [117, 120, 114]
    assert len({each.total for each in found.values()}) == 1


@pytest.mark.parametrize("by", Grouping)
def test_the_sums_of_every_grouping_are_equal_to_the_last_digit(session: Path, by: Grouping) -> None:
    found = session_pnl(session, CostMethod.FIFO)
    rows = found.sums(by)
    names = ("realised", "unrealised", "fees", "funding", "total")
    sums = [sum((getattr(row, name) for row in rows), D(0)) for name in names]
    assert sums == [getattr(found.portfolio, name) for name in names]
    assert {row.name for row in rows} == {
        Grouping.LINE: {f"desk {BTC.id}", f"desk {ETH.id}"}, Grouping.STRATEGY: {"desk"},
        Grouping.INSTRUMENT: {BTC.id, ETH.id}, Grouping.ACCOUNT: {"main"}, Grouping.PORTFOLIO: {"portfolio"},
    }[by]  # fmt: skip


@pytest.mark.parametrize("command", [["pnl"], ["diff", "--pnl"]])
def test_a_slice_has_no_pnl_because_it_lacks_fills(command: list[str]) -> None:
    part = str(Path(__file__).parent / "golden" / "bundles" / "slice.vbundle")
    result = CliRunner().invoke(main, [*command, *[part] * len(command)])
    assert (result.exit_code, "is a slice, which lacks the fills before it" in result.output) == (3, True)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_session_of_an_older_engine_has_its_pnl(version: int) -> None:
    """Its own last reports, in the asset of its instrument."""
    folder = Path(__file__).parent / "golden" / f"v{version}"
    found = session_pnl(folder)
    reports = {}
    for record in Journal.open(folder).records(kinds=(Kind.FACT,)):
        fact = read_fact(record.body or "")
        if isinstance(fact, Pnl):
            reports[f"{fact.strategy} {fact.instrument}"] = fact
    sums = {row.name: row for row in found.sums(Grouping.LINE)}
    assert sums.keys() == reports.keys()
    for name, fact in reports.items():
        assert abs(sums[name].realised - fact.realised_pnl) < D("1e-14"), name
        assert abs(sums[name].total - (fact.realised_pnl + fact.unrealised_pnl - fact.fees_quote)) < D("1e-14"), name


def test_verbatim_pnl_prints_the_table_and_what_it_lacks(session: Path) -> None:
    shown_text = CliRunner().invoke(main, ["pnl", str(session), "--method", "fifo", "--by", "instrument"]).output
    lines = [" ".join(line.split()) for line in shown_text.splitlines()]
    assert lines[:4] == [
        "by instrument realised unrealised fees funding total",
        f"{BTC.id} 20 4 0.5 0 23.5",
        f"{ETH.id} 100 1000 0 0 1100",
        "portfolio 120 1004 0.5 0 1123.5",
    ]
    assert lines[4].startswith("in USDT, fifo cost, open quantities at the mid of record ")
    assert lines[5] == "not in the sums, no rate was recorded: -0.02 BNB"
    found = json.loads(CliRunner().invoke(main, ["pnl", str(session), "--by", "strategy", "--json"]).output)
    assert (found["method"], found["groups"][0]["name"], found["portfolio"]["total"]) == ("average", "desk", "1123.5")
