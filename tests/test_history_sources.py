"""Bars from before a session out of another session, a capture or a file, and in backtests of sessions that had them."""

import json
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from checked_sessions import CheckedSessions
from click.testing import CliRunner
from test_history import candle, flushed, running_venue, seconds, seen

from engine.requests import HistoryPage
from engine.session_record import SECOND_NS, read_session
from engine.sim.venue_model import VenueModel
from engine.sim.wire import HttpRequest
from engine.venues.binance_common.klines import Klines
from engine.venues.candle_store import CandleStore
from journal.reader import Journal
from journal.record import Kind
from journal.verify import verify
from replay.rebuild import rebuild
from replay.replay import replay_session
from replay.resim.candle_sources import NoCandlesError, file_candles
from replay.resim.resimulate import ResimOptions, resimulate
from verbatim.cli import main
from verbatim.exit_codes import BAD_INPUT
from verbatim.testing import START_NS, VirtualSession, VirtualVenue
from verbatim.warm_up_source import read_candles

MINUTE_NS = 60 * SECOND_NS


def ended(session: VirtualSession) -> Path:
    session.stop()
    return session.folder


def decided(folder: Path) -> list[int]:
    """Return the newest closed bar of each decision of a journal, in seconds since midnight."""
    assert verify(folder).problems == []
    assert replay_session(folder).identical
    _, state, _ = rebuild(folder)
    return [each % 86_400 for each in state.account.strategies.get("minutes").state.get("seen", ())]


def answers(folder: Path) -> list[dict[str, Any]]:
    records = Journal.open(folder).records(kinds=(Kind.FEED,))
    metas = [json.loads(record.meta) for record in records if record.meta]
    return [meta for meta in metas if "history" in meta]


def backtest(folder: Path, into: Path, history: CandleStore | None = None) -> Path:
    """Trade a session's market against the simulated venue, from its first record on."""
    body = Journal.open(folder).session_record().body or ""
    session = read_session(body)
    resimulate(folder, into, ResimOptions(session=session, model=VenueModel(), modelled=True, history=history))
    return into


@pytest.mark.slow
def test_a_backtest_uses_the_bars_that_the_session_requested(begin: CheckedSessions, tmp_path: Path) -> None:
    """So it decides where the live session decided, though its market begins with the session."""
    live = begin(running_venue(), seconds()).run(7)
    folder = ended(live)
    made = backtest(folder, tmp_path / "backtest")
    assert decided(made)[: len(seen(live))] == seen(live) != []
    assert {meta["history"] for meta in answers(made)} == {folder.name}


@pytest.mark.slow
def test_an_earlier_session_gives_its_bars(start: CheckedSessions, tmp_path: Path) -> None:
    """Its trades give a candle of each second, the same as the venue's own."""
    venue = running_venue(1)
    earlier = ended(start(venue, "once").run(20))
    store = read_candles(str(earlier), tmp_path)
    first_ns = -(-(START_NS + 2 * SECOND_NS) // SECOND_NS) * SECOND_NS
    page = HistoryPage(SECOND_NS, SECOND_NS, first_ns, first_ns + 12 * SECOND_NS, first_ns + 12 * SECOND_NS)
    query = f"symbol=BTCUSDT&interval=1s&startTime={page.start_ns // 10**6}&endTime={page.end_ns // 10**6 - 1}"
    asked = HttpRequest(method="GET", path="/api/v3/klines", query=query.encode(), headers={})
    theirs = venue.sim.api.rest(asked, venue.now_ns).body
    ours = store.page("BTCUSDT", page)
    assert len(ours) == 12
    assert all(each.complete for each in ours)
    assert [(each.start_ns // 10**6, each.trades) for each in ours] == [(row[0], row[8]) for row in theirs]
    assert [float(each.close) for each in ours] == [float(row[4]) for row in theirs]
    venue.now_ns += SECOND_NS
    without = ended(start(venue, seconds()).run(1))
    made = backtest(without, tmp_path / "backtest", store)
    [meta] = {json.dumps(meta) for meta in answers(made)}
    assert json.loads(meta)["history"] == earlier.name
    body = json.loads(Journal.open(made).session_record().body or "")
    assert body["engine"]["history_from"] == earlier.name


def test_a_store_makes_a_page_of_the_longest_candles_that_fit() -> None:
    store = CandleStore("s")
    store.add("BTCUSDT", MINUTE_NS, file_like(range(10)))
    store.add("BTCUSDT", 5 * MINUTE_NS, file_like(range(5, 10, 5)))
    five = HistoryPage(5 * MINUTE_NS, 5 * MINUTE_NS, 0, 15 * MINUTE_NS, 15 * MINUTE_NS)
    found = store.page("BTCUSDT", five)
    assert [(each.start_ns // MINUTE_NS, each.trades, each.complete) for each in found] == [(0, 15, True), (5, 3, True)]
    assert store.page("ETHUSDT", five) == []
    assert len(store) == 11


def file_like(minutes: Iterable[int]) -> list[Any]:
    return list(Klines("", weight=0).read(json.dumps([candle(n * MINUTE_NS, "2") for n in minutes]).encode()))


def test_files_of_candles(tmp_path: Path) -> None:
    rows = [candle(n * MINUTE_NS, f"{n}.5") for n in range(3)]
    lines = "open_time,open\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)
    micro = "".join(",".join(map(str, [row[0] * 1_000 + 10**15, *row[1:]])) + "\n" for row in rows)
    (tmp_path / "BTCUSDT-1m-2024-08-08.csv").write_text(lines)
    (tmp_path / "BTCUSDT-1m-2025-08-08.csv").write_text(micro)
    with zipfile.ZipFile(tmp_path / "BTCUSDT-1m.zip", "w") as archive:
        archive.writestr("BTCUSDT-1m.csv", lines)
    (tmp_path / "BTCUSDT.json").write_text(json.dumps(rows))
    page = HistoryPage(MINUTE_NS, MINUTE_NS, 0, 10 * MINUTE_NS, 10 * MINUTE_NS)
    for name in ("BTCUSDT-1m-2024-08-08.csv", "BTCUSDT-1m.zip"):
        assert [each.close for each in file_candles(tmp_path / name).page("BTCUSDT", page)] == ["0.5", "1.5", "2.5"]
    assert len(file_candles(tmp_path / "BTCUSDT-1m-2025-08-08.csv")) == 3
    with pytest.raises(NoCandlesError, match="does not begin with a symbol"):
        file_candles(tmp_path / "BTCUSDT.json")
    (tmp_path / "BTCUSDT-1m.json").write_text(json.dumps(rows))
    assert len(file_candles(tmp_path / "BTCUSDT-1m.json")) == 3
    for name, text in (
        ("ETHUSDT-1m.csv", "1,2\n"),
        ("ETHUSDT-1m.json", "{}"),
        ("ETHUSDT-1m.zip", "no"),
        ("ETHUSDT-x.csv", ""),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(NoCandlesError, match="holds"):
            file_candles(tmp_path / name)


def test_the_command_says_what_is_wrong(begin: CheckedSessions, tmp_path: Path) -> None:
    session = begin(VirtualVenue(), "once").run(1)
    folder, empty = flushed(session), tmp_path / "ETHUSDT-1m.csv"
    empty.write_text("")
    words = ["backtest", str(folder), "--no-journal", "--trust-code", "--warm-up", str(empty)]
    result = CliRunner().invoke(main, words)
    assert (result.exit_code, "holds 0 candles: two show their length" in result.output) == (BAD_INPUT, True), (
        result.output
    )
