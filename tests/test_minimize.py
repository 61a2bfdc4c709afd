"""The smallest run over which two versions decide differently: found, checked, and repeated by its commands."""

import json
import re
import shlex
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from replaying import QUOTER, git, session
from tiers import examples

from engine.model import Side
from engine.record_codec import read_intent
from engine.session_record import SECOND_NS, read_session
from journal.reader import Journal
from journal.record import Kind
from replay.overrides import with_strategy
from replay.replay import replay_session
from replay.resim.measured_latency import measure_latency
from replay.resim.resimulate import ResimOptions
from replay.study.decisions import RecordedDecision, session_decisions
from replay.study.minimize import shrink_run
from replay.study.trial import run_trial
from verbatim.cli import main
from verbatim.strategy_files import read_strategy

ID = "aaaaaaab"
SHY = 'quote.bid - Decimal("5" if {} else "0"),'


@pytest.fixture(scope="module")
def journals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("days") / "journals"
    root.mkdir()
    session(root / f"20260101T000000Z-{ID}", seconds=3).stop()
    return root


def write_shy_quoter(path: Path, condition: str) -> Path:
    """Write the recorded quoter, but with a smaller bid where `condition` holds."""
    path.write_text(QUOTER.replace("quote.bid,", SHY.format(condition)))
    return path


def verbatim(*words: object, code: int = 0) -> str:
    ended = CliRunner().invoke(main, [str(word) for word in words])
    assert ended.exit_code == code, ended.output
    assert ended.exception is None or isinstance(ended.exception, SystemExit)
    return ended.output


def bisect(journals: Path, *words: object, code: int = 1) -> str:
    return verbatim("bisect", ID, *words, "--records", "--journals", journals, "--trust-code", code=code)


class FoundRun(NamedTuple):
    first: int
    last: int
    records: int
    diff: list[str]
    repeated_by: list[list[str]]


def parse_output(output: str) -> FoundRun:
    head = re.match(r"bisect: smallest run found: ([\d,]+) of [\d,]+ records of the market, (\d+) to (\d+), ", output)
    assert head, output
    assert "with one record less at either end no decision differs" in output
    lines = [line.strip() for line in output.splitlines()]
    commands = [shlex.split(line)[1:] for line in lines if line.startswith("verbatim backtest")]
    diff = [line for line in lines if line[:2] in ("- ", "+ ")]
    return FoundRun(int(head[2]), int(head[3]), int(head[1].replace(",", "")), diff, commands)


def market(folder: Path) -> list[int]:
    return [record.seq for record in Journal.open(folder).records(kinds=(Kind.FEED,)) if record.meta is None]


def decided(folder: Path, file: Path | None, first: int, last: int) -> list[tuple[object, ...]]:
    """Return the version's decisions over a run, without seqs."""
    recorded = read_session(Journal.open(folder).session_record().body or "")
    body = recorded if file is None else with_strategy(recorded, read_strategy(str(file)))
    model = measure_latency(Journal.open(folder)).model
    found: list[RecordedDecision] = run_trial(
        folder, ResimOptions(session=body, model=model, modelled=True, from_seq=first, until_seq=last)
    ).decisions
    return [(each.key, each.what, each.approved) for each in found]


def check_minimal(journals: Path, file: Path, output: FoundRun) -> None:
    """Check with a separate resimulation that the run differs, and does not without a record at either end."""
    folder = journals / f"20260101T000000Z-{ID}"
    seqs = market(folder)
    first, last = seqs.index(output.first), seqs.index(output.last)
    assert output.records == last - first + 1

    def differs(first: int, last: int) -> bool:
        ends = folder, file, seqs[first], seqs[last]
        return first <= last and decided(folder, None, *ends[2:]) != decided(*ends)

    assert differs(first, last)
    assert not differs(first + 1, last)
    assert not differs(first, last - 1)


# ---- the search


@pytest.mark.slow
@given(
    st.integers(1, 12).flatmap(
        lambda count: st.lists(
            st.lists(st.none() | st.integers(0, count - 1), min_size=count, max_size=count),
            min_size=count,
            max_size=count,
        )
    )
)
@settings(max_examples=examples(300), deadline=None)
def test_neighbours_of_the_found_run_show_no_difference(table: list[list[int | None]]) -> None:
    """Allow any answer for any run: the search needs no order among them."""
    count = len(table)

    def differs_at(first: int, last: int) -> int | None:
        assert 0 <= first <= last < count
        at = table[first][last]
        return None if at is None else min(max(at, first), last)

    found = shrink_run(count, differs_at)
    assert (found is None) == (differs_at(0, count - 1) is None)
    if found is not None:
        first, last = found
        assert differs_at(first, last) is not None
        assert first == last or (differs_at(first + 1, last) is None and differs_at(first, last - 1) is None)


def test_a_long_session_needs_few_runs() -> None:
    """Search a difference that shows with a start at or before 700,000 and record 900,000."""
    tried = set()

    def differs_at(first: int, last: int) -> int | None:
        tried.add((first, last))
        return 900_000 if first <= 700_000 and last >= 900_000 else None

    assert shrink_run(1_000_000, differs_at) == (700_000, 900_000)
    assert len(tried) < 60


# ---- on sessions


@pytest.mark.slow
def test_the_printed_commands_repeat_the_found_run(journals: Path, tmp_path: Path) -> None:
    bad = write_shy_quoter(tmp_path / "quoter.py", "state.quotes >= 5")
    output = parse_output(bisect(journals, "--bad", bad))
    check_minimal(journals, bad, output)
    assert parse_output(bisect(journals, "--bad", bad)) == output
    assert len(output.repeated_by) == 2
    found = []
    for number, words in enumerate(output.repeated_by):
        into = tmp_path / f"run{number}"
        said = verbatim(*words, "--into", into)
        assert f"from record {output.first}, until record {output.last}" in said
        assert replay_session(into).identical
        found.append([(each.origin, each.what) for each in session_decisions(into)])
    [(good, other)] = [each for each in zip(*found, strict=True) if each[0] != each[1]]
    assert [f"- {good[1]}", f"+ {other[1]}"] == output.diff


@pytest.mark.slow
def test_versions_may_differ_in_a_setting(journals: Path) -> None:
    output = parse_output(bisect(journals, "--variant", "strategy.quoter.size=0.002"))
    assert output.records == 2, "a timer between two records of the market: the first that was"
    assert [line.split(" BTCUSDT")[0] for line in output.diff] == [
        "- BUY 0.001",
        "+ BUY 0.002",
        "- SELL 0.001",
        "+ SELL 0.002",
    ]
    assert "--set=strategy.quoter.size=0.002" in output.repeated_by[1]


@pytest.mark.slow
def test_a_run_is_minimal_when_starts_differ_irregularly(journals: Path, tmp_path: Path) -> None:
    """Differ where a decision is the seventh, fourteenth, ... of its run, so that no bisection of the starts works."""
    folder = journals / f"20260101T000000Z-{ID}"
    seqs = market(folder)
    verbatim("resim", folder, "--trust-code", "--modelled", "--into", tmp_path / "whole")
    intents = [
        (record.time_ns, read_intent(record.body or ""))
        for record in Journal.open(tmp_path / "whole").records(kinds=(Kind.INTENT,))
    ]
    bids = [
        time_ns
        for time_ns, body in intents
        if body.order is not None and body.order.side is Side.BUY and body.rationale["quotes"] % 7 == 0
    ]
    bad = write_shy_quoter(tmp_path / "quoter.py", f"state.quotes % 7 == 0 and view.time_ns == {bids[-1]}")
    output = parse_output(bisect(journals, "--bad", bad))
    assert output.records < len(seqs) / 2, "far from where the first halves would have led"
    check_minimal(journals, bad, output)
    beginnings = [seq for seq in seqs if seq < output.last][:: len(seqs) // 20]
    shows = [
        decided(folder, None, first, output.last) != decided(folder, bad, first, output.last) for first in beginnings
    ]
    assert shows != sorted(shows, reverse=True), "what a halving assumes"


@pytest.mark.slow
def test_equal_versions_have_no_run(journals: Path, tmp_path: Path) -> None:
    same = tmp_path / "quoter.py"
    same.write_text(QUOTER.replace('version = "1"', 'version = "1"  # tidied'))
    output = bisect(journals, "--bad", same, code=0)
    assert re.match(r"bisect: \d+ decisions on [\d,]+ records of the market, and none differs", output)


@pytest.mark.slow
def test_a_strategy_error_is_a_difference(journals: Path, tmp_path: Path) -> None:
    broken = tmp_path / "quoter.py"
    broken.write_text(QUOTER.replace("quote = view.quote", "1 / (state.quotes - 7)\n        quote = view.quote"))
    output = parse_output(bisect(journals, "--bad", broken))
    assert "+ is stopped: ZeroDivisionError: division by zero" in output.diff
    check_minimal(journals, broken, output)
    assert "was stopped: ZeroDivisionError" in verbatim(*output.repeated_by[1], "--no-journal", code=7)


@pytest.mark.slow
def test_a_timer_after_the_last_market_record_is_in_the_run(tmp_path: Path) -> None:
    source = QUOTER.replace("OnQuote(throttle_ms=100)", "Every(ms=1)").replace("OnQuote", "Every")
    folder = session(tmp_path / "s", source=source, seconds=1).kill()
    journal = Journal.open(folder)
    last = next(journal.records(journal.last_seq, journal.last_seq))
    assert last.seq > market(folder)[-1]
    bad = tmp_path / "quoter.py"
    bad.write_text(source.replace("state.quotes += 1", f"state.quotes += 1 // (view.time_ns != {last.time_ns})"))
    output = parse_output(verbatim("bisect", folder, "--records", "--bad", bad, "--trust-code", code=1))
    assert (output.first, output.last, output.records) == (market(folder)[-1], last.seq, 1)
    assert "+ is stopped: ZeroDivisionError: integer division or modulo by zero" in output.diff


@pytest.mark.slow
def test_versions_may_be_git_revisions(journals: Path, tmp_path: Path) -> None:
    path = tmp_path / "quoter.py"

    git(tmp_path, "init", "-q")
    for name, text in (("v1", QUOTER), ("v2", QUOTER.replace("quote.bid,", 'quote.bid - Decimal("5"),'))):
        path.write_text(text)
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", "-qm", name)
        git(tmp_path, "tag", name)
    output = parse_output(bisect(journals, f"{path}:Quoter", "--good", "v1"))
    assert f"{path}@v1:Quoter" in output.repeated_by[0]
    assert f"{path}@HEAD:Quoter" in output.repeated_by[1]
    assert "none differs" in bisect(journals, path, "--good", "v1", "--bad", "recorded", code=0)
    assert "git has no strategy at 'v9'" in bisect(journals, path, "--good", "v1", "--bad", "v9", code=3)


@pytest.mark.slow
def test_the_record_of_another_crossover_is_found_in_a_capture(shared_data: Path, tmp_path: Path) -> None:
    """Find a single record: the averages of the market before it are unchanged."""
    ema = (Path(__file__).resolve().parent.parent / "benchmarks" / "strategies" / "ema_cross.py").read_text()
    (tmp_path / "one.py").write_text(ema)
    (tmp_path / "two.py").write_text(ema.replace("length=20", "length=21"))
    verbatim("import", shared_data / "captures" / "binance" / "usdm_btcusdt_20240808.gz", "--into", tmp_path / "c")
    words = ("bisect", tmp_path / "c", "--records", "--good", tmp_path / "one.py", "--bad", tmp_path / "two.py")
    assert "states no balances" in verbatim(*words, code=3)
    output = parse_output(verbatim(*words, "--balance", "USDT=1000000", code=1))
    assert (output.records, output.first) == (1, output.last)
    assert [json.loads(verbatim(*words, "--no-journal", "--json"))["decisions"] for words in output.repeated_by] in (
        [1, 0],
        [0, 1],
    )
    assert "ran no strategy" in verbatim("bisect", tmp_path / "c", "--records", "--bad", tmp_path / "two.py", code=3)


# ---- strategies that decide from a record on


@pytest.mark.slow
def test_no_strategy_decides_before_the_record_or_during_a_pause(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    session(folder, seconds=3).command("pause").run(2).command("resume").run(2).command("pause").run(1).command(
        "resume"
    ).run(2).stop()
    commands = [(record.seq, record.time_ns) for record in Journal.open(folder).records(kinds=(Kind.COMMAND,))]
    (paused, paused_ns), (resumed, resumed_ns) = commands[:2]
    frames = {
        record.seq: record.time_ns for record in Journal.open(folder).records(kinds=(Kind.FEED,)) if record.meta is None
    }

    def first_decided_ns(from_seq: int) -> int:
        into = tmp_path / f"from{from_seq}"
        verbatim("resim", folder, "--trust-code", "--from", from_seq, "--into", into)
        assert replay_session(into).identical
        return next(Journal.open(into).records(kinds=(Kind.INTENT,))).time_ns

    early, held, late = (
        next(seq for seq in frames if seq > after) for after in (paused // 2, (paused + resumed) // 2, resumed + 200)
    )
    assert frames[early] <= first_decided_ns(early) < paused_ns
    assert frames[held] < resumed_ns < first_decided_ns(held)
    assert frames[late] <= first_decided_ns(late) < frames[late] + SECOND_NS


# ---- bad input


def test_invalid_requests_are_one_clear_line(journals: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text(QUOTER.replace("from decimal", "from decimals"))
    for words, code, output in (
        ((), 2, "FILE, --bad or --variant must name the version to compare with --good"),
        (("--bad", "v2"), 2, "v2 is not a file"),
        (("--bad", tmp_path / "none.py"), 3, "cannot read the strategy"),
        (("--bad", wrong), 3, "decimals"),
        (("--variant", "strategy.quoter.sizes=1"), 3, "sizes"),
        (("--variant", "nonsense"), 3, "is not a setting; write NAME=VALUE"),
    ):
        said = bisect(journals, *words, code=code)
        assert output in said
        assert "Traceback" not in said
    words = ("bisect", ID, "--journals", journals, "--trust-code")
    assert "FILE and --good must name the commits to try" in verbatim(*words, code=2)
    assert "--variant needs --records" in verbatim(
        *words, wrong, "--good", "v1", "--variant", "risk.order_size_max=1", code=2
    )
    words = ("resim", ID, "--journals", journals, "--trust-code", "--no-journal")
    assert "has no record 99,999" in verbatim(*words, "--from", 99_999, code=3)
    assert "--until is before --from" in verbatim(*words, "--from", 9, "--until", 8, code=2)


def test_a_damaged_session_is_one_clear_line(journals: Path, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "damaged"
    shutil.copytree(journals / f"20260101T000000Z-{ID}", folder, ignore=shutil.ignore_patterns("rows-*"))
    segment = next(folder.glob("*.parquet"))
    data = bytearray(segment.read_bytes())
    data[len(data) // 3] ^= 0xFF
    segment.write_bytes(data)
    said = verbatim("bisect", folder, "--records", "--variant", "strategy.quoter.size=0.002", "--trust-code", code=1)
    assert len(said.splitlines()) == 1
    assert "Traceback" not in said
