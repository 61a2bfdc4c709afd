"""Fundings of contracts on paper: recorded with the rate, mark price and time of the captured mark prices."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from test_capture_session import GIVEN, fills_and_balances, resim_options, verbatim

from engine.events import FundingReport, Unrecognised
from engine.facts import FundingPaid, Position
from engine.kernel import Kernel
from engine.model import Instrument
from engine.record_codec import read_fact
from engine.sequencer import Arrival, Sequencer
from engine.session_record import ClockSettings, SessionBody, VenueSettings, new_engine_settings
from engine.state.positions import Positions
from engine.venues.paper.account import PaperAccount
from journal.reader import Journal
from journal.record import Kind, Record
from journal.verify import verify
from replay.replay import replay_session
from replay.resim.resimulate import resimulate
from replay.study.pnl import session_pnl

D = Decimal
START_MS = 1_723_132_790_000
DUE_MS = START_MS + 20_000


def capture(folder: Path, *, has_marks: bool) -> Path:
    """Write 40 seconds of BTCUSDT, quoted once a second; the funding of 0.0001 is due after 20, at 59,000."""
    lines = []
    for second in range(40):
        ms = START_MS + second * 1000
        quote = {"e": "bookTicker", "u": second + 1, "s": "BTCUSDT", "b": "60000.00", "B": f"1.{second:03d}", "a": "60001.00",
                 "A": "2.000", "T": ms, "E": ms}  # fmt: skip
        lines.append((ms, "btcusdt@bookTicker", quote))
        if has_marks:
            price = "59000.00000000" if ms < DUE_MS else "61000.00000000"
            due_ms = DUE_MS if ms < DUE_MS else DUE_MS + 28_800_000
            mark = {"e": "markPriceUpdate", "E": ms, "s": "BTCUSDT", "p": price, "i": price, "P": price, "r": "0.00010000",
                    "T": due_ms}  # fmt: skip
            lines.append((ms + 1, "btcusdt@markPrice@1s", mark))
    text = "".join(
        f"{ms}000 {json.dumps({'stream': stream, 'data': data}, separators=(',', ':'))}\n" for ms, stream, data in lines
    )
    (folder / "btcusdt.dat").write_text(text)
    verbatim("import", folder / "btcusdt.dat", "--into", folder / "capture")
    return folder / "capture"


def backtest(folder: Path, *, has_marks: bool) -> Path:
    made = capture(folder, has_marks=has_marks)
    resimulate(made, folder / "run", resim_options(made, "hold.py:Hold"))
    assert verify(folder / "run").ok
    assert replay_session(folder / "run").identical
    return folder / "run"


def facts_of(folder: Path, kind: type) -> list[Any]:
    bodies = (read_fact(record.body or "") for record in Journal.open(folder).records(kinds=[Kind.FACT]))
    return [body for body in bodies if isinstance(body, kind)]


@pytest.mark.slow
def test_a_funding_on_paper_is_in_the_pnl_in_sql_and_in_the_balance(tmp_path: Path) -> None:
    run = backtest(tmp_path, has_marks=True)
    (fill,), balances = fills_and_balances(run)
    paid = fill.quantity * 59_000 * D("0.0001")
    [fact] = facts_of(run, FundingPaid)
    assert (fact.amount, fact.quantity, fact.rate, fact.mark) == (-paid, fill.quantity, D("0.0001"), 59_000)
    assert (fact.strategy, fact.asset, fact.venue_ns) == ("hold", "USDT", DUE_MS * 1_000_000)
    assert balances["USDT"] == D(GIVEN["USDT"]) - fill.fee - paid
    found = session_pnl(run)
    assert (found.portfolio.funding, found.without_funding) == (-paid, ())
    gained = found.portfolio.total - found.portfolio.unrealised
    assert gained == balances["USDT"] - D(GIVEN["USDT"]), "our P&L is the venue's"
    row = verbatim("sql", run, "SELECT amount, rate, mark, due FROM fundings", "--csv").splitlines()[1].split(",")
    assert ([D(each) for each in row[:3]], row[3][:19]) == ([-paid, D("0.0001"), 59_000], "2024-08-08 16:00:10"), row
    assert f" {-paid.normalize():f} " in verbatim("pnl", run)


def test_without_mark_prices_the_report_says_that_the_funding_is_not_known(tmp_path: Path) -> None:
    run = backtest(tmp_path, has_marks=False)
    assert facts_of(run, FundingPaid) == []
    assert "the funding of paper_usdm:BTCUSDT is not known: no mark price was recorded" in verbatim("pnl", run)
    assert verbatim("sql", run, "SELECT DISTINCT has_funding FROM pnl", "--csv").split() == ["has_funding", "False"]


def funding(due_ms: int, amount: str) -> bytes:
    event = {"e": "fundingFee", "E": 2, "T": due_ms, "s": "BTCUSDT", "a": "USDT", "f": amount, "p": "5", "r": "0.1"}
    return json.dumps({"subscriptionId": 0, "event": event}).encode()


def test_a_funding_that_came_twice_is_paid_once_to_each_holder_by_its_quantity() -> None:
    """Two strategies hold 2 and -1; the second funding is another one, and one without a holder is only noted."""
    btc = Instrument(
        "paper_usdm:BTCUSDT", "paper_usdm", "BTCUSDT", "BTC", "USDT", 2, 3, D("0.01"), D("0.001"), contract="PERPETUAL",
        margin="USDT",
    )  # fmt: skip
    body = SessionBody(
        session="aaaaaaaa", started_ns=10**18, clock=ClockSettings(), seed=1, host="test", versions={}, strategies=(),
        venues=(VenueSettings(name="paper_usdm"),), instruments=(btc,), engine=new_engine_settings(), account="",
    )  # fmt: skip
    records: list[Record] = []
    sequencer = Sequencer(Kernel(body), lambda new, urgent: records.extend(new))
    sequencer.begin(body)

    def receive(payload: bytes) -> list[tuple[str, Decimal]]:
        arrival = Arrival(Kind.BROKER, "paper_usdm.private.0", cause=0, payload=payload)
        sequencer.accept(arrival, 10**18 + len(records))
        facts = (read_fact(record.body or "") for record in records if record.kind is Kind.FACT)
        return [(fact.strategy, fact.amount) for fact in facts if isinstance(fact, FundingPaid)]

    assert receive(funding(1, "-0.5")) == []
    assert "came without a position" in (records[-1].body or "")
    held = [Position(name, btc.id, D(size), D(100), D(0), {}, D(0)) for name, size in (("a", 2), ("b", -1))]
    state = sequencer.state
    state.account = replace(state.account, positions=Positions({f"{each.strategy} {btc.id}": each for each in held}))
    shares = [("a", D(-1)), ("b", D("0.5"))]
    assert receive(funding(2, "-0.5")) == shares
    assert receive(funding(2, "-0.5")) == shares, "once"
    assert receive(funding(3, "-0.5")) == [*shares, *shares]
    assert state.account.pnl.by_key[f"a {btc.id}"].own.funding == -2


def test_a_broken_funding_is_unrecognised() -> None:
    account = PaperAccount(5000, venue="paper_usdm")
    frame = funding(1, "-0.5")
    assert account.decode_private(frame) == (
        FundingReport("paper_usdm:BTCUSDT", "USDT", D("-0.5"), D("0.1"), D(5), 1_000_000),
    )
    [broken] = account.decode_private(frame.replace(b'"-0.5"', b"{}"))
    assert isinstance(broken, Unrecognised)
