"""The share of time in each mode: the same for live, resimulated and recorded sessions; a halt is a headline."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

from calm_venue import CalmVenue
from click.testing import CliRunner

from engine.facts import ModeChanged
from engine.mode_reasons import Mode, ModeReason, ReasonCode
from engine.mode_shares import SECOND_NS, ModeShares, ModeSummary, span_text
from engine.record_codec import read_fact
from replay.study.mode_shares import session_mode_shares
from replay.study.performance import session_performance
from verbatim.cli import main
from verbatim.testing import VirtualSession, strategy_settings

LATE = ModeReason(ReasonCode.LATE, "late: the engine processes messages 3.0 s old, 5 messages wait")
DOWN = ModeReason(ReasonCode.LINK_NOT_READY, "the link is down", "link")
NO_BOOK = ModeReason(ReasonCode.NO_BOOK, "no book", "BTC")
CROSSED = ModeReason(ReasonCode.MARKET_DATA_INVALID, "its book is crossed")
QUOTER = Path(__file__).parent.parent / "examples/quoter.py"


def summary(end_s: int, *changes: tuple[int, Mode, tuple[ModeReason, ...]]) -> ModeSummary:
    shares = ModeShares(0)
    for at_s, mode, reasons in changes:
        shares.add(at_s * SECOND_NS, ModeChanged(mode, reasons))
    return shares.summary(end_s * SECOND_NS)


def test_each_mode_has_its_share_and_each_reason_its_own() -> None:
    found = summary(
        100,
        (2, Mode.SYNCING, (DOWN, NO_BOOK)),
        (8, Mode.SYNCING, (NO_BOOK,)),
        (10, Mode.RUNNING, ()),
        (60, Mode.PAUSED, (LATE,)),
        (65, Mode.RUNNING, ()),
    )
    assert found.line == (
        "1 min 40 s: running 85.0 %; syncing 8.0 % (no book 8.0 %, link not ready 6.0 %); paused 5.0 % (late 5.0 %); "
        "starting 2.0 %"
    )
    assert found.headline == ""
    assert found.as_json()["modes"] == {"paused": 5.0, "running": 85.0, "starting": 2.0, "syncing": 8.0}


def test_a_halt_before_the_end_is_a_headline() -> None:
    found = summary(100, (1, Mode.RUNNING, ()), (90, Mode.HALTED, (CROSSED,)))
    assert found.is_halted
    assert found.headline == "HALTED at the end, for the last 10.0 s: its book is crossed"


def test_a_session_that_did_not_trade_for_16_hours_says_so() -> None:
    found = summary(17 * 3600, (1, Mode.RUNNING, ()), (3600, Mode.SYNCING, (DOWN,)))
    assert found.headline == "SYNCING at the end, for the last 16 h 0 min: the link is down"
    assert summary(3601, (1, Mode.RUNNING, ()), (3600, Mode.SYNCING, (DOWN,))).headline == ""  # a moment at the end
    assert summary(5, (1, Mode.SYNCING, (DOWN,))).headline == "SYNCING at the end, it never ran: the link is down"


def test_a_session_without_time_has_no_shares() -> None:
    assert summary(0).line == "0.0 s: "
    assert [span_text(n * SECOND_NS) for n in (59, 60, 3599, 3600)] == [
        "59.0 s",
        "1 min 0 s",
        "59 min 59 s",
        "1 h 0 min",
    ]


def test_the_journal_says_what_the_session_said(tmp_path: Path) -> None:
    session = VirtualSession(CalmVenue(), tmp_path / "s", strategies=[strategy_settings(QUOTER, "Quoter")])
    session.run(20).command("pause").run(10)
    session.command("resume").run(5)
    shares = ModeShares(session.body.started_ns)
    session.stop()
    for record in session.records:
        if '"fact":"mode"' in (record.body or ""):
            fact = read_fact(record.body or "")
            assert isinstance(fact, ModeChanged)
            shares.add(record.time_ns, fact)
    found = session_mode_shares(tmp_path / "s")
    assert found == shares.summary(session.state.time_ns)
    assert found.reason_ns["paused"] == {"paused": 10 * SECOND_NS}
    # the figures end with their last counted record; the journal may end a little later, in the same mode
    figures = session_performance(tmp_path / "s").shares
    assert figures is not None
    assert figures.reason_ns == found.reason_ns
    assert 0 <= found.total_ns - figures.total_ns < SECOND_NS


# ---- case halt_not_told ------------------------------------------------------------------------------


def crossed_capture() -> Iterator[str]:
    """A book of two levels that trades for two seconds; then it is crossed for good, and a second follows."""
    start_ns = 1_767_225_600 * SECOND_NS

    def line(ms: int, stream: str, data: dict[str, object]) -> str:
        text = json.dumps({"stream": f"btcusdt@{stream}", "data": data}, separators=(",", ":"))
        return f"{start_ns + ms * 1_000_000} {text}\n"

    def diff(ms: int, update: int, bids: list[list[str]], asks: list[list[str]]) -> str:
        found = {"e": "depthUpdate", "E": start_ns // 1_000_000 + ms, "s": "BTCUSDT", "U": update, "u": update}
        return line(ms, "depth@100ms", {**found, "b": bids, "a": asks})

    bid, ask = ["100.00000000", "1.00000000"], ["100.01000000", "1.00000000"]
    yield diff(100, 101, [], [])
    snapshot = json.dumps({"lastUpdateId": 101, "bids": [bid], "asks": [ask]}, separators=(",", ":"))
    yield f"{start_ns + 200_000_000} {snapshot}\n"
    for number in range(30):
        ms, update = 300 + 100 * number, 102 + number
        bids = [["100.02000000", "1.00000000"]] if number == 20 else [bid]
        yield diff(ms, update, bids, [ask])
        yield line(
            ms + 1,
            "bookTicker",
            {"u": update, "s": "BTCUSDT", "b": bid[0], "B": f"1.{number:08d}", "a": ask[0], "A": ask[1]},
        )


def test_halt_not_told_a_backtest_that_halts_says_so_and_exits_with_its_own_code(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "cap.gz", "wt") as file:
        file.writelines(crossed_capture())
    runner = CliRunner()
    journals = ["--journals", str(tmp_path)]
    imported = runner.invoke(main, ["import", str(tmp_path / "cap.gz"), "--into", str(tmp_path / "s")])
    assert imported.exit_code == 0, imported.output
    arguments = ["--strategy", f"{QUOTER}:Quoter", "--balance", "USDT=100000", "--balance", "BTC=10", *journals]
    ended = runner.invoke(main, ["backtest", str(tmp_path / "s"), *arguments])
    assert ended.exit_code == 6, ended.output
    lines = ended.output.splitlines()
    assert any(line.startswith("HALTED at the end, for the last ") and "book is crossed" in line for line in lines)
    [time_line] = [line for line in lines if line.startswith("time ")]
    assert "running " in time_line
    assert "halted " in time_line
    told = runner.invoke(main, ["sessions", lines[-1], *journals])
    assert told.exit_code == 0, told.output
    assert "HALTED at the end" in told.output
    as_json = runner.invoke(main, ["sessions", lines[-1], "--json", *journals])
    assert json.loads(as_json.output)["time"]["last"] == "halted"


def test_a_session_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    ended = CliRunner().invoke(main, ["sessions", "nothere", "--journals", str(tmp_path)])
    assert ended.exit_code == 3, ended.output
