"""The tear sheet of a session: its sums agree with the session's own P&L, with SQL, and with each other."""

import json
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cockpit_session import HOSTILE

import verbatim
from analysis.sheet_prices import PriceCurve
from analysis.sheet_rows import figure_groups, money, percent
from analysis.svg_charts import ChartLine, bar_chart, heat_map, line_chart
from engine.facts import OrderFilled
from engine.record_codec import read_fact
from engine.session_record import RiskSettings
from journal.reader import Journal
from journal.record import Kind
from replay.study.pnl import IncompleteSessionError
from replay.study.return_figures import SECOND_NS, EquityPoint
from replay.study.sheet_groups import OTHER_TAGS, TAGS_MAX, TagReader, group_by_time, hour_name, weekday_name
from replay.study.tear_sheet import SHEET_KINDS, TearSheet, TearSheetReader, largest_drawdown, read_tear_sheet
from verbatim.cli import main
from verbatim.testing import VirtualSession, VirtualVenue, from_sources

D = Decimal
NAME = "20240808T235410Z-aaaaaaaa"
SOURCE = """
from dataclasses import dataclass
from decimal import Decimal

from verbatim import Bracket, Every, OrderType, Place, Run, Side

HOSTILE = "<hostile>"


class Tagger:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = Every(ms=1000)

    @dataclass
    class Parameters:
        size: Decimal = Decimal("0.002")

    @dataclass
    class State:
        count: int = 0

    @staticmethod
    def decide(view, state, parameters):
        quote = view.quote("BTCUSDT")
        if quote is None:
            return
        state.count += 1
        if state.count == 4:
            yield Run(Bracket("BTCUSDT", Side.BUY, parameters.size, stop_price=quote.bid - 5, target_price=quote.ask + 5), rationale={"tag": "plan"})
        elif state.count == 9:
            yield Place("BTCUSDT", Side.BUY, Decimal(500), type=OrderType.MARKET, rationale={"tag": "refused"})
        elif state.count % 3 == 0:
            yield Place("BTCUSDT", Side.SELL, parameters.size, type=OrderType.MARKET, rationale={"tag": HOSTILE})
        elif state.count % 3 == 1:
            yield Place("BTCUSDT", Side.BUY, parameters.size, type=OrderType.MARKET, rationale={"tag": "buys"})
        else:
            yield Place("BTCUSDT", Side.BUY, parameters.size / 2, type=OrderType.MARKET)
""".replace('"<hostile>"', repr(HOSTILE))


def begin(folder: Path) -> VirtualSession:
    tagger = from_sources({"tagger": SOURCE}, "tagger", "Tagger")
    return VirtualSession(
        VirtualVenue(), folder, strategies=[tagger], risk=RiskSettings(position_max=1, sell_holdings=True)
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sheets") / NAME
    begin(path).run(35).stop()
    return path


@pytest.fixture(scope="module")
def sheet(folder: Path) -> TearSheet:
    return verbatim.open(folder).tear_sheet(with_prices=False).sheet


def closed_by_sql(session: verbatim.Session) -> list[tuple[Decimal, Decimal]]:
    """Return realised P&L and fee of each fill that reduced a position, by the view `positions`."""
    before: dict[str, Any] = {"quantity": D(0), "realised_pnl": D(0), "fees_quote": D(0)}
    found = []
    for row in session.positions.rows():
        if (row["quantity"] - before["quantity"]) * before["quantity"] < 0:
            found.append((row["realised_pnl"] - before["realised_pnl"], row["fees_quote"] - before["fees_quote"]))
        before = row
    return found


def test_the_sums_of_a_tear_sheet_agree_with_the_session(folder: Path, sheet: TearSheet) -> None:
    session = verbatim.open(folder)
    report, portfolio, fills = session.pnl_report(), session.portfolio.rows(), session.fills.rows()
    assert len(fills) > 25
    assert sheet.total == report.portfolio.total == portfolio[-1]["total"]
    assert sheet.pnl == report
    assert [point.total for point in sheet.points[1:]] == [row["total"] for row in portfolio]
    assert sheet.points[0] == EquityPoint(sheet.started_ns, D(0), portfolio[0]["equity"] - portfolio[0]["total"])
    for groups in (sheet.by_hour, sheet.by_weekday, sheet.by_tag):
        assert sum(group.pnl for group in groups) == sheet.total
        assert sum(group.fills for group in groups) == len(fills)
    assert sheet.turnover == {"USDT": sum(row["notional"] for row in fills)}
    realised = sum(trade.realised for trade in sheet.trades)
    assert abs(realised - report.portfolio.realised) < D("0.0001"), "the rest comes from fees in the base asset"
    assert len(sheet.fills) == sheet.performance.fills == len(fills)
    assert sheet.modes is not None
    assert sum(sheet.modes.mode_ns.values()) == sheet.ended_ns - sheet.started_ns


def test_closed_trades_are_the_fills_that_reduced_a_position(folder: Path, sheet: TearSheet) -> None:
    expected = closed_by_sql(verbatim.open(folder))
    assert len(expected) > 5
    rounded = [tuple(round(amount, 12) for amount in trade) for trade in expected]
    assert [(round(trade.realised, 12), round(trade.fee, 12)) for trade in sheet.trades] == rounded
    nets = [realised - fee for realised, fee in expected]
    sums = sheet.trade_sums
    assert (sums.count, sums.wins) == (len(nets), sum(net > 0 for net in nets))
    assert round(sums.won - sums.lost, 12) == round(sum(nets), 12)
    assert (round(sums.best, 12), round(sums.worst, 12)) == (round(max(nets), 12), round(min(nets), 12))
    assert sums.expectancy == (sums.won - sums.lost) / len(nets)
    first = sheet.trades[0]
    assert first.is_long
    assert first.is_rated
    assert 0 < first.opened_ns < first.time_ns
    fill = next(row for row in verbatim.open(folder).fills.rows() if row["seq"] == first.seq)
    assert (first.exit, first.quantity) == (fill["price"], fill["quantity"])


def test_orders_are_grouped_by_the_tag_of_their_rationale(folder: Path, sheet: TearSheet) -> None:
    session = verbatim.open(folder)
    tag_of = {row["client_order_id"]: (row["rationale"] or {}).get("tag", "") for row in tagged(session)}
    counts: dict[str, int] = defaultdict(int)
    for row in session.fills.rows():
        counts[tag_of[row["client_order_id"]]] += 1
    assert counts["plan"] > 0, "the orders of a plan have its tag"
    assert {group.name: group.fills for group in sheet.by_tag} == counts
    assert set(counts) == {"", "buys", "plan", HOSTILE[:80]}


def tagged(session: verbatim.Session) -> list[dict[str, Any]]:
    rows = [{**row, "rationale": json.loads(row["rationale"] or "{}")} for row in session.intents.rows()]
    plans = {row["plan_id"]: row["rationale"] for row in rows if row["intent"] == "run"}
    named = [{**row, "rationale": plans.get(row["plan_id"], row["rationale"])} for row in rows]
    legs = session.sql("SELECT client_order_id, plan_id FROM orders WHERE plan_id <> ''").rows()
    return [*named, *({**row, "rationale": plans[row["plan_id"]]} for row in legs)]


def test_tags_have_a_limit_and_an_order_without_one_makes_no_table() -> None:
    reader = TagReader()
    names = {reader._tag_of({"tag": f"tag {number}"}) for number in range(TAGS_MAX + 50)}
    assert len(names) == TAGS_MAX + 1
    assert OTHER_TAGS in names
    assert len(reader._tag_of({"tag": "x" * 1000})) == len(OTHER_TAGS)
    assert TagReader().groups({}, {}) == ()


def test_a_running_session_and_one_that_was_killed_have_a_sheet(tmp_path: Path) -> None:
    running = begin(tmp_path / NAME).run(12)
    running.writer.wait_durable(running.records[-1].seq, 60)
    live = verbatim.open(tmp_path / NAME).tear_sheet()
    assert live.sheet.performance.fills > 5
    assert "closed trades" in str(live)
    running.run(3)
    killed = verbatim.open(running.kill()).tear_sheet(with_prices=False).sheet
    assert killed.performance.fills >= live.sheet.performance.fills


def test_fills_after_the_last_report_are_in_the_pnl(folder: Path) -> None:
    """A backtest of a capture ends without a report: its last fills count at the last mark."""
    journal = Journal.open(folder)
    records = list(journal.records(kinds=SHEET_KINDS))
    last_fill = max(
        place
        for place, record in enumerate(records)
        if record.kind is Kind.FACT and isinstance(read_fact(record.body or ""), OrderFilled)
    )
    cut = read_tear_sheet(records[: last_fill + 1], end_ns=records[last_fill].time_ns + SECOND_NS)
    assert cut.total == cut.pnl.portfolio.total == cut.points[-1].total
    assert cut.points[-1].time_ns == cut.ended_ns
    assert cut.total != cut.points[-2].total, "the fill was after the last report"
    assert sum(group.pnl for group in cut.by_hour) == cut.total


def test_the_reader_gives_the_same_at_any_record(folder: Path, sheet: TearSheet) -> None:
    reader, journal = TearSheetReader(), Journal.open(folder)
    for record in journal.records(kinds=SHEET_KINDS):
        reader.add(record)
        if record.seq % 400 == 0:
            reader.sheet()
    reader.end(sheet.ended_ns)
    assert reader.sheet() == sheet


def points(*totals: str) -> list[EquityPoint]:
    return [EquityPoint(place, D(total), None) for place, total in enumerate(totals)]


def test_the_largest_drawdown_is_exact_and_has_its_times() -> None:
    found = largest_drawdown(points("0", "3.1", "2.9", "3", "1.05", "2", "3.1", "9"))
    assert (found.amount, found.peak_ns, found.trough_ns, found.recovered_ns) == (D("2.05"), 1, 4, 6)
    open_one = largest_drawdown(points("0", "-1", "0.5", "-2"))
    assert (open_one.amount, open_one.peak_ns, open_one.trough_ns, open_one.recovered_ns) == (D("2.5"), 2, 3, 0)
    assert largest_drawdown([]).amount == 0


def test_groups_of_time_add_up() -> None:
    hour = 3_600 * SECOND_NS
    reports = [EquityPoint(place * hour, D(total), None) for place, total in ((0, 0), (1, 4), (25, 1), (49, 6))]
    by_hour = group_by_time(reports, [hour, hour * 2], "USDT", hour_name)
    assert [(group.name, group.pnl, group.fills) for group in by_hour] == [("01", 6, 1), ("02", 0, 1)]
    by_day = group_by_time(reports, [], "USDT", weekday_name)
    assert [(group.name, group.pnl) for group in by_day] == [("Thursday", 4), ("Friday", -3), ("Saturday", 5)]


def test_prices_are_the_last_mid_of_each_part_and_the_benchmark_holds_the_instrument(folder: Path) -> None:
    session = verbatim.open(folder)
    found = session.tear_sheet(benchmark="BTCUSDT")
    assert found.prices is not None
    [curve] = found.prices.curves
    quotes = session.quotes().rows()
    for place in (0, len(curve.parts) // 2, len(curve.parts) - 1):
        end_ns = curve.first_ns + (curve.parts[place] + 1) * curve.part_ns
        last = [row for row in quotes if row["time_ns"] < end_ns][-1]
        assert curve.prices[place] == pytest.approx(float(last["bid"] + last["ask"]) / 2)
    assert "fewer than 20 minutes" in found.prices.lack
    assert session.tear_sheet(benchmark="NONE").prices.lack == "no price of NONE was recorded"  # type: ignore[union-attr]
    held = PriceCurve("x", False, 0, 10, (0, 2, 3), (1.0, 2.0, 3.0))
    assert held.sample([0, 9, 10, 29, 30, 40, 99]) == [1, 1, 1, 1, 2, 3, 3]


def test_the_page_is_one_file_and_obeys_no_foreign_text(folder: Path, tmp_path: Path) -> None:
    size = verbatim.open(folder).tear_sheet().write(tmp_path / "sheet.html")
    page = (tmp_path / "sheet.html").read_text()
    assert size == len(page.encode())
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;img src=x" in page
    assert "http" not in page.replace("http-equiv", "")
    assert "default-src 'none'" in page
    for title in (
        "P&amp;L after fees",
        "Drawdown",
        "Exposure",
        "Rolling Sharpe",
        "Time in each mode",
        "By tag",
        "Closed trades",
    ):
        assert title in page, title
    assert page.count("<circle") == len(verbatim.open(folder).fills)


def test_the_text_names_what_a_figure_needs(folder: Path) -> None:
    text = str(verbatim.open(folder).tear_sheet(with_prices=False))
    assert "fewer than 20 minutes between the first report of P&L and the last" in text
    assert "need a journal, which has the market's prices" in text
    assert "refused by risk" in text
    assert all(group.rows for group in figure_groups(verbatim.open(folder).tear_sheet().sheet, None))
    assert (money(D("0.00012345")), money(None), percent(None), percent(0.0001)) == ("0.00012345", "-", "-", "0.01 %")


def command(*words: object, code: int = 0) -> str:
    ended = CliRunner().invoke(main, [str(word) for word in words])
    assert ended.exit_code == code, ended.output
    return ended.output


def test_report_writes_a_tear_sheet_or_prints_it(folder: Path, tmp_path: Path) -> None:
    assert "profit factor" in command("report", folder, "--tear-sheet")
    said = json.loads(command("report", folder, "--tear-sheet", "--json"))
    assert D(said["total"]) == verbatim.open(folder).pnl_report().portfolio.total
    assert "trades" not in said
    assert command("report", folder, tmp_path / "s.html", "--tear-sheet").startswith(str(tmp_path / "s.html"))
    assert "replace it with --force" in command("report", folder, tmp_path / "s.html", "--tear-sheet", code=3)
    command("report", folder, tmp_path / "s.html", "--tear-sheet", "--force")
    assert "there is no folder" in command("backtest", folder, "--html", tmp_path / "no" / "s.html", code=2)
    command("report", folder, code=2)
    command("report", folder, tmp_path / "t.html", "--benchmark", "BTCUSDT", code=2)


@pytest.mark.slow
def test_a_backtest_prints_and_writes_its_tear_sheet(folder: Path, tmp_path: Path) -> None:
    words = ("backtest", folder, "--trust-code", "--html", tmp_path / "sheet.html")
    told = command(*words, "--into", tmp_path / "made").splitlines()
    assert told[-1] == str(tmp_path / "made")
    assert any(line.startswith("tear sheet of aaaaaaaa: tagger") for line in told)
    assert any("slippage" in line and "against the mid" in line for line in told)
    kept = json.loads(command("backtest", folder, "--trust-code", "--json", "--no-journal"))["tear_sheet"]
    written = verbatim.open(tmp_path / "made").tear_sheet().as_json()
    same = {
        "total",
        "trade_sums",
        "by_hour",
        "by_tag",
        "turnover",
        "drawdown",
        "pnl",
        "figures",
        "time",
        "exposure_max",
    }
    assert {name: kept[name] for name in same - {"pnl"}} == {name: written[name] for name in same - {"pnl"}}
    assert "<circle" in (tmp_path / "sheet.html").read_text()
    rows = verbatim.open(tmp_path / "made").tear_sheet().as_json(with_rows=True)
    assert len(rows["trades"]) == kept["trade_sums"]["count"]


def test_a_slice_has_no_tear_sheet() -> None:
    with pytest.raises(IncompleteSessionError):
        verbatim.open(Path(__file__).parent / "golden" / "bundles" / "slice.vbundle").tear_sheet()


def test_charts_draw_what_they_get() -> None:
    many = [(float(place), float(place % 97)) for place in range(10_000)]
    drawn = line_chart([ChartLine("a", many)], label="a", x_text=str, y_text=str)
    assert drawn.count("L") < 2_000
    assert "nothing to draw" in line_chart([], label="a", x_text=str, y_text=str)
    one = line_chart([ChartLine("a", [(1.0, 5.0)], is_filled=True)], label="<b>", x_text=str, y_text=str, zero=True)
    assert "&lt;b&gt;" in one
    assert "nothing to draw" in bar_chart([], label="a")
    assert bar_chart([("a", 1.0, "t"), ("b", -1.0, "t")], label="a").count("<rect") == 2
    cells = heat_map(["r"], ["a", "b"], {(0, 0): 1.0, (0, 1): -2.0}, label="a")
    assert cells.count("<rect") == 2
    assert 'fill-opacity="0.600"' in cells
    assert 'fill-opacity="0.060"' in cells
