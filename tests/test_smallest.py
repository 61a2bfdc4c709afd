"""The smallest run of records over which two versions decide otherwise: found, proved by its neighbours, and repeated by the commands it names."""

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

from engine.model import Side
from engine.record_codec import read_intent
from engine.session_record import SECOND_NS, read_session
from journal.reader import Journal
from journal.record import Kind
from replay.overrides import with_strategy
from replay.replay import replay_session
from replay.resim.resimulate import ResimOptions
from replay.resim.venue_model import measured
from replay.study.decisions import RecordedDecision, decisions_of
from replay.study.minimize import smallest
from replay.study.trial import trial
from verbatim.cli import main
from verbatim.strategy_files import read_strategy

ID = "aaaaaaab"
SHY = 'quote.bid - Decimal("5" if {} else "0"),'


@pytest.fixture(scope="module")
def journals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("days") / "journals"
    root.mkdir()
    session(root / f"20260101T000000Z-{ID}", seconds=5).stop()
    return root


def shy_when(path: Path, condition: str) -> Path:
    """The recorded quoter, and where `condition` holds it bids less."""
    path.write_text(QUOTER.replace("quote.bid,", SHY.format(condition)))
    return path


def verbatim(*words: object, code: int = 0) -> str:
    ended = CliRunner().invoke(main, [str(word) for word in words])
    assert ended.exit_code == code, ended.output
    assert ended.exception is None or isinstance(ended.exception, SystemExit)
    return ended.output


def bisect(journals: Path, *words: object, code: int = 1) -> str:
    return verbatim("bisect", ID, *words, "--records", "--journals", journals, "--trust-code", code=code)


class Told(NamedTuple):
    first: int
    last: int
    records: int
    diff: list[str]
    repeated_by: list[list[str]]


def read(told: str) -> Told:
    head = re.match(r"bisect: smallest run found: ([\d,]+) of [\d,]+ records of the market, (\d+) to (\d+), ", told)
    assert head, told
    assert "one record less at either end, and none does" in told
    lines = [line.strip() for line in told.splitlines()]
    commands = [shlex.split(line)[1:] for line in lines if line.startswith("verbatim resim")]
    diff = [line for line in lines if line[:2] in ("- ", "+ ")]
    return Told(int(head[2]), int(head[3]), int(head[1].replace(",", "")), diff, commands)


def market(folder: Path) -> list[int]:
    return [record.seq for record in Journal.open(folder).records(kinds=(Kind.FEED,)) if record.meta is None]


def decided(folder: Path, file: Path | None, first: int, last: int) -> list[tuple[object, ...]]:
    """By the version over a run, without what numbers it."""
    recorded = read_session(Journal.open(folder).session_record().body or "")
    body = recorded if file is None else with_strategy(recorded, read_strategy(str(file)))
    model = measured(Journal.open(folder)).model
    found: list[RecordedDecision] = trial(
        folder, ResimOptions(session=body, model=model, modelled=True, from_seq=first, until_seq=last)
    ).decisions
    return [(each.place, each.what, each.approved) for each in found]


def refute(journals: Path, file: Path, told: Told) -> None:
    """That it shows there and not with a record less at either end, seen by other means than the search's."""
    folder = journals / f"20260101T000000Z-{ID}"
    seqs = market(folder)
    first, last = seqs.index(told.first), seqs.index(told.last)
    assert told.records == last - first + 1

    def differs(first: int, last: int) -> bool:
        ends = folder, file, seqs[first], seqs[last]
        return first <= last and decided(folder, None, *ends[2:]) != decided(*ends)

    assert differs(first, last)
    assert not differs(first + 1, last)
    assert not differs(first, last - 1)


# ---- the search


@given(
    st.integers(1, 12).flatmap(
        lambda count: st.lists(
            st.lists(st.none() | st.integers(0, count - 1), min_size=count, max_size=count),
            min_size=count,
            max_size=count,
        )
    )
)
@settings(max_examples=300, deadline=None)
def test_whatever_shows_where_no_neighbour_of_what_is_found_does(table: list[list[int | None]]) -> None:
    """No order at all is asked of it: any answer may be given for any run."""
    count = len(table)

    def differs_at(first: int, last: int) -> int | None:
        assert 0 <= first <= last < count
        at = table[first][last]
        return None if at is None else min(max(at, first), last)

    found = smallest(count, differs_at)
    assert (found is None) == (differs_at(0, count - 1) is None)
    if found is not None:
        first, last = found
        assert differs_at(first, last) is not None
        assert first == last or (differs_at(first + 1, last) is None and differs_at(first, last - 1) is None)


def test_of_a_long_session_few_runs_are_tried() -> None:
    """What shows from a beginning at 700,000 or before, on 900,000."""
    tried = set()

    def differs_at(first: int, last: int) -> int | None:
        tried.add((first, last))
        return 900_000 if first <= 700_000 and last >= 900_000 else None

    assert smallest(1_000_000, differs_at) == (700_000, 900_000)
    assert len(tried) < 60


# ---- on sessions


def test_the_run_is_found_and_its_commands_repeat_it(journals: Path, tmp_path: Path) -> None:
    bad = shy_when(tmp_path / "quoter.py", "state.quotes >= 5")
    told = read(bisect(journals, "--bad", bad))
    refute(journals, bad, told)
    assert read(bisect(journals, "--bad", bad)) == told
    assert len(told.repeated_by) == 2
    found = []
    for number, words in enumerate(told.repeated_by):
        into = tmp_path / f"run{number}"
        said = verbatim(*words, "--into", into)
        assert f"from record {told.first}, until record {told.last}" in said
        assert replay_session(into).identical
        found.append([(each.origin, each.what) for each in decisions_of(into)])
    [(good, other)] = [each for each in zip(*found, strict=True) if each[0] != each[1]]
    assert [f"- {good[1]}", f"+ {other[1]}"] == told.diff


def test_a_setting_may_be_what_differs(journals: Path) -> None:
    told = read(bisect(journals, "--variant", "strategy.quoter.size=0.002"))
    assert told.records == 2, "a timer between two records of the market: the first that was"
    assert [line.split(" BTCUSDT")[0] for line in told.diff] == [
        "- BUY 0.001",
        "+ BUY 0.002",
        "- SELL 0.001",
        "+ SELL 0.002",
    ]
    assert "--set=strategy.quoter.size=0.002" in told.repeated_by[1]


def test_where_beginnings_that_show_are_strewn_what_is_said_holds_all_the_same(journals: Path, tmp_path: Path) -> None:
    """It differs where one decision is the seventh, the fourteenth, ... of its run: no half of the beginnings is like the other."""
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
        if body.order is not None and body.order.side is Side.BUY and body.because["quotes"] % 7 == 0
    ]
    bad = shy_when(tmp_path / "quoter.py", f"state.quotes % 7 == 0 and view.time_ns == {bids[-1]}")
    told = read(bisect(journals, "--bad", bad))
    assert told.records < 400, "far from where the first halves would have led"
    refute(journals, bad, told)
    beginnings = [seq for seq in seqs if seq < told.last][:: len(seqs) // 12]
    shows = [decided(folder, None, first, told.last) != decided(folder, bad, first, told.last) for first in beginnings]
    assert shows != sorted(shows, reverse=True), "what a halving assumes"


def test_where_nothing_differs_it_says_so(journals: Path, tmp_path: Path) -> None:
    same = tmp_path / "quoter.py"
    same.write_text(QUOTER.replace('version = "1"', 'version = "1"  # tidied'))
    told = bisect(journals, "--bad", same, code=0)
    assert re.match(r"bisect: \d+ decisions on [\d,]+ records of the market, and none differs", told)


def test_a_strategys_mistake_is_a_difference_where_it_stops(journals: Path, tmp_path: Path) -> None:
    broken = tmp_path / "quoter.py"
    broken.write_text(QUOTER.replace("quote = view.quote", "1 / (state.quotes - 7)\n        quote = view.quote"))
    told = read(bisect(journals, "--bad", broken))
    assert "+ is stopped: ZeroDivisionError: division by zero" in told.diff
    refute(journals, broken, told)
    assert "was stopped: ZeroDivisionError" in verbatim(*told.repeated_by[1], "--no-journal")


def test_a_timer_behind_the_markets_last_record_ends_a_run_with_the_session(tmp_path: Path) -> None:
    source = QUOTER.replace("OnQuote(throttle_ms=100)", "Every(ms=1)").replace("OnQuote", "Every")
    folder = session(tmp_path / "s", source=source, seconds=1).kill()
    journal = Journal.open(folder)
    last = next(journal.records(journal.last_seq, journal.last_seq))
    assert last.seq > market(folder)[-1]
    bad = tmp_path / "quoter.py"
    bad.write_text(source.replace("state.quotes += 1", f"state.quotes += 1 // (view.time_ns != {last.time_ns})"))
    told = read(verbatim("bisect", folder, "--records", "--bad", bad, "--trust-code", code=1))
    assert (told.first, told.last, told.records) == (market(folder)[-1], last.seq, 1)
    assert "+ is stopped: ZeroDivisionError: integer division or modulo by zero" in told.diff


def test_versions_are_revisions_of_a_file_too(journals: Path, tmp_path: Path) -> None:
    path = tmp_path / "quoter.py"

    git(tmp_path, "init", "-q")
    for name, text in (("v1", QUOTER), ("v2", QUOTER.replace("quote.bid,", 'quote.bid - Decimal("5"),'))):
        path.write_text(text)
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", "-qm", name)
        git(tmp_path, "tag", name)
    told = read(bisect(journals, f"{path}:Quoter", "--good", "v1"))
    assert f"{path}@v1:Quoter" in told.repeated_by[0]
    assert f"{path}@HEAD:Quoter" in told.repeated_by[1]
    assert "none differs" in bisect(journals, path, "--good", "v1", "--bad", "recorded", code=0)
    assert "git has no strategy at 'v9'" in bisect(journals, path, "--good", "v1", "--bad", "v9", code=3)


def test_of_a_capture_the_record_is_found_at_which_two_versions_cross_otherwise(
    shared_data: Path, tmp_path: Path
) -> None:
    """Averages are the market's, and stand as they stood: one record is enough."""
    ema = (Path(__file__).resolve().parent.parent / "benchmarks" / "strategies" / "ema_cross.py").read_text()
    (tmp_path / "one.py").write_text(ema)
    (tmp_path / "two.py").write_text(ema.replace("length=20", "length=21"))
    verbatim("import", shared_data / "captures" / "binance" / "usdm_btcusdt_20240808.gz", "--into", tmp_path / "c")
    words = ("bisect", tmp_path / "c", "--records", "--good", tmp_path / "one.py", "--bad", tmp_path / "two.py")
    assert "say what the account has" in verbatim(*words, code=3)
    told = read(verbatim(*words, "--balance", "USDT=1000000", code=1))
    assert (told.records, told.first) == (1, told.last)
    assert [json.loads(verbatim(*words, "--no-journal", "--json"))["decisions"] for words in told.repeated_by] in (
        [1, 0],
        [0, 1],
    )
    assert "ran no strategy" in verbatim("bisect", tmp_path / "c", "--records", "--bad", tmp_path / "two.py", code=3)


# ---- strategies that are asked from a record on


def test_nobody_is_asked_before_the_record_nor_while_a_person_paused_it(tmp_path: Path) -> None:
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


def test_what_cannot_be_tried_is_said_in_a_line(journals: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text(QUOTER.replace("from decimal", "from decimals"))
    for words, code, told in (
        ((), 2, "FILE, --bad or --variant says what is held against --good"),
        (("--bad", "v2"), 2, "v2 is no file"),
        (("--bad", tmp_path / "none.py"), 3, "cannot read the strategy"),
        (("--bad", wrong), 3, "decimals"),
        (("--variant", "strategy.quoter.sizes=1"), 3, "sizes"),
        (("--variant", "nonsense"), 3, "is not NAME=VALUE"),
    ):
        said = bisect(journals, *words, code=code)
        assert told in said
        assert "Traceback" not in said
    words = ("bisect", ID, "--journals", journals, "--trust-code")
    assert "FILE and --good say which commits are tried" in verbatim(*words, code=2)
    assert "--variant goes with --records" in verbatim(
        *words, wrong, "--good", "v1", "--variant", "risk.order_size_max=1", code=2
    )
    words = ("resim", ID, "--journals", journals, "--trust-code", "--no-journal")
    assert "has no record 99,999" in verbatim(*words, "--from", 99_999, code=3)
    assert "--until lies before --from" in verbatim(*words, "--from", 9, "--until", 8, code=2)


def test_a_damaged_session_ends_it_in_a_line(journals: Path, tmp_path: Path) -> None:
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
