"""`verbatim quality`: figures of each stream against the known answers of captures, of faults made by hand and live."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from calm_venue import CalmVenue
from capture_lines import START_NS, STEP_NS, Event, calm, opening, quote, trade, write
from checked_sessions import CheckedSessions
from click.testing import CliRunner

import verbatim
from analysis.data_quality import DataQuality, StreamQuality, _streams
from analysis.market_rows import SessionRows
from engine.session_record import SECOND_NS
from verbatim.cli import main

EVERY_NS = 100 * STEP_NS


def imported(folder: Path, *words: Path | str) -> Path:
    result = CliRunner().invoke(main, ["import", *map(str, words), "--into", str(folder)])
    assert result.exit_code == 0, result.output
    return Path(result.output.splitlines()[-1])


def captured(folder: Path, events: Iterable[Event]) -> DataQuality:
    folder.mkdir(exist_ok=True)
    return verbatim.open(imported(folder / "imported", write(folder / "feed.gz", events, every_ns=EVERY_NS))).quality()


def by_stream(found: DataQuality) -> dict[str, StreamQuality]:
    return {each.stream: each for each in found.streams}


def test_the_known_figures_of_a_real_capture(shared_data: Path, tmp_path: Path) -> None:
    """Counts, breaks, repeats and the lag of depth messages, as MANIFEST.md has them."""
    file = shared_data / "captures" / "binance" / "spot_btcusdt_20240808.gz"
    found = verbatim.open(imported(tmp_path / "imported", file)).quality()
    streams = by_stream(found)
    assert {name: each.messages for name, each in streams.items()} == {"quotes": 28_040, "trades": 9_757, "book": 3_451}
    assert all(
        (each.gaps, each.missing, each.repeated, each.backwards, each.crossed, each.unreadable) == (0,) * 6
        for each in found.streams
    )
    median, _, most = streams["book"].lag_ms or (0.0, 0.0, 0.0)
    assert (round(median, 1), round(most, 1)) == (-1272.0, -1265.6)
    assert streams["quotes"].lag_ms is None, "the venue stamps no quote"
    assert found.clock_offset_ms == {}
    assert not found.has_findings


def test_each_fault_of_a_capture_is_counted_once(tmp_path: Path) -> None:
    """Lost and repeated trades, a crossed quote, a repeated quote, a price off the grid, a silence of 20 s."""
    faults = [
        *(trade("BTCUSDT", trade_id, "100.00", "1.0") for trade_id in (1, 2, 2, 5, 6)),  # 3 and 4 are lost
        quote("BTCUSDT", 900, "100.02", "100.01"),
        quote("BTCUSDT", 900, "100.00", "100.01"),
        *(quote("ETHUSDT", 1, "9.00", "9.01"), trade("ETHUSDT", 7, "9.00", "1.0")),
    ]
    pause = [trade("ETHUSDT", trade_id, "9.00", "1.0") for trade_id in range(8, 8 + 200)]
    found = captured(tmp_path, [*opening(), *faults, *pause, trade("BTCUSDT", 7, "100.00", "1.0")])
    streams = {(each.instrument.rpartition(":")[2], each.stream): each for each in found.streams}
    trades = streams["BTCUSDT", "trades"]
    assert (trades.messages, trades.gaps, trades.missing, trades.repeated) == (6, 1, 2, 1)
    # from trade 6: two quotes of BTCUSDT, two messages of ETHUSDT, 200 trades of ETHUSDT, the next trade
    assert trades.silence_max_ns == trades.silent_ns == 205 * EVERY_NS
    assert trades.silence_from_ns == START_NS + (4 + 4) * EVERY_NS
    quotes = streams["BTCUSDT", "quotes"]
    assert (quotes.messages, quotes.crossed, quotes.repeated) == (3, 1, 1)
    assert streams["ETHUSDT", "trades"].gaps == streams["ETHUSDT", "trades"].missing == 0
    assert found.has_findings


def test_a_lost_diff_is_a_gap_of_the_book(tmp_path: Path) -> None:
    rest = calm()
    whole = [*opening(), *(next(rest) for _ in range(10))]
    assert by_stream(captured(tmp_path / "whole", whole))["book"].gaps == 0
    without = [event for event in whole if event.get("u") != 105 or "e" not in event]
    assert len(without) == len(whole) - 1
    found = captured(tmp_path / "lost", without)
    assert by_stream(found)["book"].gaps == 1
    assert found.has_findings


def test_a_lost_link_is_a_finding_of_a_session(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    session = begin(venue, "each")
    session.run(5)
    venue.fault(action="disconnect", target="market")
    session.run(15)
    session.stop()
    found = verbatim.open(session.folder).quality()
    assert found.link_losses >= 1, "the fault struck"
    assert [gap.reason for gap in found.gaps]
    assert sum(gap.duration_ns for gap in found.gaps) < 15 * SECOND_NS
    assert list(found.clock_offset_ms) == ["binance_spot"]
    assert found.has_findings


def test_what_an_import_left_out_or_its_file_lacks_is_a_gap(tmp_path: Path) -> None:
    trades = [json.dumps(trade("BTCUSDT", trade_id, "100.00", "1.0")) for trade_id in (1, 2, 3)]
    lines = [f"{START_NS + number * STEP_NS} {text}" for number, text in enumerate(trades)]
    (tmp_path / "feed.txt").write_text("\n".join([lines[0], "", lines[1], "\0\0", lines[2], ""]))
    found = verbatim.open(imported(tmp_path / "imported", tmp_path / "feed.txt")).quality()
    assert [(gap.count, gap.reason) for gap in found.gaps] == [
        (1, "line 2: an empty line"),
        (1, "line 4: a block of NUL bytes"),
    ]
    assert found.has_findings


def test_the_clock_of_a_venue_concerns_its_own_streams(begin: CheckedSessions) -> None:
    """Each venue's own offset goes into the lags of its streams."""
    session = begin({"one": CalmVenue(seed=1), "two": CalmVenue(seed=2)}).run(12)
    session.stop()
    opened = verbatim.open(session.folder)
    found = opened.quality()
    assert sorted(found.clock_offset_ms) == ["one", "two"]
    _, output = shown(session.folder)
    assert "one:BTCUSDT trades" in output
    assert "two:BTCUSDT trades" in output
    assert "the clock of one less ours: " in output
    assert "the clock of two less ours: " in output
    apart = _streams(SessionRows(opened.journal), {"one": [0], "two": [300_000_000]})
    medians = {each.instrument: each.lag_ms[0] for each in apart if each.stream == "trades" and each.lag_ms}
    same = _streams(SessionRows(opened.journal), {})
    plain = {each.instrument: each.lag_ms[0] for each in same if each.stream == "trades" and each.lag_ms}
    assert medians == {"one:BTCUSDT": plain["one:BTCUSDT"], "two:BTCUSDT": plain["two:BTCUSDT"] + 300}


def shown(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["quality", *map(str, words)])
    return result.exit_code, result.output


@pytest.mark.parametrize(("lost", "code"), [(False, 0), (True, 1)])
def test_the_command_prints_the_figures_and_its_exit_code_tells_of_findings(
    tmp_path: Path, lost: bool, code: int
) -> None:
    ids = (1, 2, 5) if lost else (1, 2, 3)
    trades = [trade("BTCUSDT", trade_id, "100.00", "1.0") for trade_id in ids]
    folder = imported(tmp_path / "imported", write(tmp_path / "feed.gz", [*opening(), *trades]))
    exit_code, output = shown(folder)
    assert exit_code == code, output
    assert "BTCUSDT trades" in output
    assert ("no findings" in output) is not lost
    exit_code, output = shown(folder, "--json")
    figures: dict[str, Any] = json.loads(output)
    assert (exit_code, figures["has_findings"]) == (code, lost)
    assert {each["stream"]: each["missing"] for each in figures["streams"]}["trades"] == (2 if lost else 0)


def test_a_recording_of_no_known_market_says_so(tmp_path: Path) -> None:
    file = tmp_path / "feed.jsonl"
    file.write_text('{"t": 1700000000000, "x": 1}\n')
    form = ("--format", "ndjson", "--time-field", "t", "--time-unit", "ms")
    folder = imported(tmp_path / "imported", file, *form)
    exit_code, output = shown(folder)
    assert (exit_code, "no market message was decoded" in output) == (1, True), output
