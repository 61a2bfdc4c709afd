"""Journals of every schema version: verified, replayed and queried by today's code, byte for byte unchanged.

tests/golden/v<N> is four seconds of the quoter of tests/replaying.py in virtual time, written by the code of that
version. `python tests/write_golden.py FOLDER` wrote v3; the code of each commit that raised the version wrote the ones
before. tests/golden/bundles was written by the code of commit 17b4b01, schema 2: see tests/golden/bundles/README.md.
"""

import json
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import independent_reader
import msgspec
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from tiers import first_is_quick

from analysis.sql_session import connect, query_rows
from engine import upcast
from engine.live.previous_session import rebuilt_state
from engine.record_codec import read_fact, read_intent, read_timer
from engine.session_record import read_session
from engine.state.session_state import carry_over, restore_opening
from engine.timer_names import TimerName
from journal import footer
from journal.errors import DamagedJournalError
from journal.footer import SCHEMA_VERSION, UPCASTS, Footer
from journal.merge import merge
from journal.reader import Journal
from journal.record import Kind, Record, canonical
from journal.recover import recover
from journal.segments import SealedSegment
from journal.verify import verify
from journal.writer import JournalWriter
from replay.replay import replay_session
from verbatim.cli import main

GOLDEN = Path(__file__).parent / "golden"
KNOWN = {  # version -> records, session root
    1: (1460, "a3190aacf296da03"),
    2: (1460, "a3190aacf296da03"),
    3: (1460, "081b8ea4f8c825f7"),
}
BUNDLES = sorted((GOLDEN / "bundles").glob("*.vbundle"))
AT = "700"  # a record in the middle of the golden session


def verbatim(*words: object) -> str:
    """Run a command that must succeed, and return its output."""
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def answer(*words: object) -> Any:
    return json.loads(verbatim(*words, "--json"))


@pytest.fixture(params=KNOWN)
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a golden journal: some commands leave caches beside the segments."""
    return shutil.copytree(GOLDEN / f"v{request.param}", tmp_path / "golden")


@pytest.mark.slow
@pytest.mark.parametrize("version", first_is_quick(KNOWN))
def test_a_golden_journal_is_read_verified_and_replayed(version: int) -> None:
    folder = GOLDEN / f"v{version}"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    count, root = KNOWN[version]
    report = verify(folder)
    assert (report.problems, report.notes, report.records, report.closed) == ([], [], count, True)
    assert report.chain.startswith(root)
    assert recover(folder).sealed_now == 0
    assert [record.seq for record in Journal.open(folder).records()] == list(range(count))
    assert query_rows(connect(folder), "SELECT count(*) FROM records") == [(count,)]
    replayed = replay_session(folder)
    assert replayed.identical
    # parts of the state that the code of the time did not have yet
    assert replayed.not_compared == (() if version == SCHEMA_VERSION else ("account.gaps", "market.gaps"))
    assert replayed.checkpoints > 5
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.slow
def test_a_golden_journal_replays_from_the_command_line(golden: Path) -> None:
    assert "replay: identical" in verbatim("replay", golden, "--trust-code")


@pytest.mark.slow
def test_a_golden_journal_answers_sql(golden: Path) -> None:
    """Old and new names of records give the same columns."""
    (intent,) = answer("sql", golden, "SELECT rationale, quote_seq FROM intents ORDER BY seq LIMIT 1")
    assert (intent["rationale"]["quotes"], intent["rationale"]["quote_seq"]) == (1, intent["quote_seq"])
    assert answer("sql", golden, "SELECT count(*) AS n FROM balances WHERE query_seq IS NOT NULL") == [{"n": 2}]
    (start,) = answer("sql", golden, "SELECT mode, reasons FROM modes ORDER BY seq LIMIT 1")
    assert (start["mode"], start["reasons"][2]) == ("starting", "not reconciled")


def test_a_golden_journal_answers_ask(golden: Path) -> None:
    """The account at a record does not depend on the names that the journal uses."""
    account = answer("ask", golden, "--at", AT)
    wanted = answer("ask", GOLDEN / "v2", "--at", AT)
    assert len(account["orders"]) > 20
    for part in ("mode", "links", "orders", "positions", "balances"):
        assert account[part] == wanted[part], part
    assert {timer["timer"] for timer in account["timers"]} == {"throttle.quoter", "check", "report", "reconcile"}


@pytest.mark.slow
def test_a_golden_journal_answers_why(golden: Path) -> None:
    """The chain of the last fill runs through the rationale's quote and the throttle's timer down to the connection."""
    chain = verbatim("why", golden)
    assert re.search(r"INTENT .* because quote_seq \d+, quotes 36", chain)
    assert "throttle.quoter is due" in chain
    assert "binance_spot.market.0 up" in chain


def test_sessions_lists_every_version(tmp_path: Path) -> None:
    for version in KNOWN:
        shutil.copytree(GOLDEN / f"v{version}", tmp_path / f"20240808T23541{version}Z-aaaaaaaa")
    listed = answer("sessions", "--journals", tmp_path)
    assert [(row["records"], row["ended"]) for row in listed] == [(1460, "closed")] * len(KNOWN)
    assert len({(row["orders"], row["fills"]) for row in listed}) == 1
    assert listed[0]["fills"] > 10


def records_of(journal: Path) -> list[Record]:
    return list(Journal.open(journal).records())


def test_the_schemas_of_golden_journals_have_their_own_names() -> None:
    """The old journals do hold old names, so the tests above read through the upcast."""
    old, new = (
        " ".join(record.body or "" for record in records_of(GOLDEN / f"v{version}") if record.kind is not Kind.SESSION)
        for version in (2, 3)
    )
    assert "market.watches" in old
    assert "market.watches" not in new
    for name in ('"because":', '"asked_seq":', '"timer":"watch.quoter"', '"timer":"every.watch"', '"reasons":["'):
        assert name in old, name
        assert name not in new, name
    for name in ('"rationale":', '"query_seq":', '"timer":"throttle.quoter"', '"timer":"check"', '"reasons":[{'):
        assert name not in old, name
        assert name in new, name
    schemas = [read_session(records_of(GOLDEN / f"v{version}")[0].body or "").schema for version in KNOWN]
    assert schemas == [2, 2, upcast.SCHEMA]


@pytest.mark.parametrize("kind", [Kind.INTENT, Kind.FACT, Kind.TIMER])
def test_an_upcast_leaves_a_body_of_today_as_it_is(kind: Kind) -> None:
    bodies = [record.body or "" for record in records_of(GOLDEN / "v3") if record.kind is kind]
    assert len(bodies) > 20
    for body in bodies:
        assert upcast.body_text(kind, body) == body
    read = {Kind.INTENT: read_intent, Kind.FACT: read_fact, Kind.TIMER: read_timer}[kind]
    old = [record.body or "" for record in records_of(GOLDEN / "v2") if record.kind is kind]
    assert Counter(type(read(body)) for body in old) == Counter(type(read(body)) for body in bodies)


def test_what_a_user_named_is_not_renamed() -> None:
    """Only the engine's own keys have other names: a rationale's and a state's keys are the strategy's."""
    intent = '{"because":{"because":1,"asked_seq":2},"intent":"cancel","strategy":"s","version":"1"}'
    assert read_intent(intent).rationale == {"because": 1, "asked_seq": 2}
    fact = '{"changed":{"asked_seq":7,"because":["x"]},"fact":"strategy_changed","strategy":"s"}'
    assert upcast.body_text(Kind.FACT, fact) == fact


@pytest.mark.parametrize("old", upcast.TIMERS_3)
def test_a_timer_of_an_older_session_fires_in_its_old_place(old: str) -> None:
    """Timers due at one time fire by the order of their old names."""
    subject = "" if old in ("every.report", "every.watch") else ".x"
    others = ["connect.x", "depth.x", "rate.x", "reconcile", "stop"]
    by_old_name = sorted([*others, old + subject])
    by_place = sorted(by_old_name, key=lambda name: TimerName.parse(upcast.timer_name(name)).sort_key)
    assert by_place == by_old_name


@pytest.mark.slow
@pytest.mark.parametrize("bundle", [path for path in BUNDLES if path.stem != "slice"], ids=lambda path: path.stem)
def test_a_bundle_of_the_old_code_verifies_and_replays(bundle: Path, tmp_path: Path) -> None:
    copy = shutil.copy(bundle, tmp_path)
    assert "verify: whole" in verbatim("verify", copy)
    replayed = verbatim("replay", copy, "--trust-code")
    assert "replay: identical" in replayed
    assert "not compared" not in replayed
    assert re.search(r"checkpoints compared 1[0-9]|checkpoints compared 2[0-9]", replayed)


def test_a_slice_of_the_old_code_verifies_replays_and_answers_sql(tmp_path: Path) -> None:
    """Its first state is a dump of an earlier version, which engine/market/old_dumps.py reads."""
    copy = shutil.copy(GOLDEN / "bundles" / "slice.vbundle", tmp_path)
    assert "verify: whole" in verbatim("verify", copy)
    (intent,) = answer(
        "sql", copy, "SELECT rationale, quote_seq FROM intents WHERE intent = 'place' ORDER BY seq LIMIT 1"
    )
    assert intent["rationale"]["quote_seq"] == intent["quote_seq"]
    assert "replay: identical" in verbatim("replay", copy, "--trust-code")


@pytest.mark.slow
def test_the_old_bundles_hold_what_changed_its_name() -> None:
    """Compiled predicates, risk limits, unknown orders, a restart with carried state, conditions: all in old spelling."""
    assert [path.stem for path in BUNDLES] == [
        "carried-over",
        "limits-and-unknown-orders",
        "quoter-and-wants",
        "slice",
    ]

    def facts(name: str) -> dict[str, int]:
        rows = answer(
            "sql", GOLDEN / "bundles" / f"{name}.vbundle", "SELECT fact, count(*) AS n FROM facts GROUP BY fact"
        )
        return {row["fact"]: row["n"] for row in rows}

    def session(name: str) -> dict[str, Any]:
        query = "SELECT body FROM records WHERE kind = 'SESSION'"
        (row,) = answer("sql", GOLDEN / "bundles" / f"{name}.vbundle", query)
        body: dict[str, Any] = json.loads(row["body"])
        return body

    assert facts("quoter-and-wants")["strategy_triggered"] > 50
    assert "def wants(" in session("quoter-and-wants")["strategies"][1]["sources"]["compiled"]
    assert facts("limits-and-unknown-orders")["order_unknown"] == 1
    assert session("limits-and-unknown-orders")["risk"]["position_max"] == "0.01"
    carried = session("carried-over")
    assert "distrust_seq" in carried["opening"]["account"]["modes"]
    assert [strategy["declared"]["move_ppm"] for strategy in carried["strategies"]] == [0, 0, 200]


def test_a_new_session_goes_on_from_an_old_one() -> None:
    """A new session takes the carried state of an old one under today's names."""
    state = rebuilt_state(Journal.open(GOLDEN / "v2"))
    opening = carry_over(state)
    old = json.loads(records_of(GOLDEN / "v2")[0].body or "")
    body = read_session(canonical({**old, "opening": opening}))
    assert body.opening == json.loads(canonical(opening))
    account = restore_opening(opening)
    assert account.positions == state.account.positions
    assert account.orders.closed.keys() == state.account.orders.closed.keys()


def test_the_reference_page_lists_every_name_that_changed() -> None:
    page = (GOLDEN.parent.parent / "docs" / "record-schema.md").read_text()
    rows = [
        f"| {kind} | {f'`{path}`' if path else ''} | `{old}` | `{new}` |".replace("|  |", "| |")
        for kind, renames in upcast.BODIES_3.items()
        for path, old, new in renames
    ]
    rows += [f"| SESSION | `opening.account.{path}` | `{old}` | `{new}` |" for path, old, new in upcast.ACCOUNT_3]
    rows += [f"| `{old}` | `{new}` |" for old, new in (*upcast.FACTS_3.items(), *upcast.TIMERS_3.items())]
    assert [row for row in rows if row not in page] == []
    renamed = re.findall(r"^\| SESSION \| (?:`[^`]*`|) ?\| `[^`]*` \| `[^`]*` \|$", page, flags=re.MULTILINE)
    assert len(renamed) == sum(row.startswith("| SESSION |") for row in rows)


def test_every_version_has_its_golden_journal_and_its_step_to_the_next() -> None:
    assert sorted(KNOWN) == [*UPCASTS, SCHEMA_VERSION]
    for version in KNOWN:
        for path in (GOLDEN / f"v{version}").glob("*.parquet"):
            assert pq.read_metadata(path).metadata[b"journal.schema_version"] == b"%d" % version


def test_a_version_that_is_not_known_yet_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = SealedSegment(GOLDEN / "v3" / "000000000000.parquet")
    later = msgspec.structs.replace(sealed.footer, schema_version=SCHEMA_VERSION + 1).to_metadata()
    encoded = {name.encode(): text.encode() for name, text in later.items()}
    with pytest.raises(DamagedJournalError, match=r"schema version 4\. What to do: read it with a newer version"):
        Footer.from_metadata(sealed.path, encoded)
    monkeypatch.setattr(footer, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
    monkeypatch.setitem(UPCASTS, SCHEMA_VERSION, lambda given: {**given, "schema_version": str(SCHEMA_VERSION + 1)})
    assert Footer.from_metadata(sealed.path, encoded).parts == sealed.footer.parts


@pytest.mark.parametrize("version", [2, 3])
def test_the_format_is_what_its_page_says(version: int, tmp_path: Path) -> None:
    """A reader written from docs/journal-format.md alone reads sealed, merged and open journals, and proves their
    chain.
    """
    records = records_of(GOLDEN / f"v{version}")
    wanted = [msgspec.structs.asdict(record) for record in records]
    assert list(independent_reader.rows(GOLDEN / f"v{version}")) == wanted
    merged = shutil.copytree(GOLDEN / f"v{version}", tmp_path / "merged")
    assert merge(merged).after == 1
    assert list(independent_reader.rows(merged)) == wanted
    writer = JournalWriter.create(tmp_path / "open", group_rows=7)
    for record in records:
        writer.append_step([record])
        if record.seq == 900:
            writer.wait_durable(900, 60)
    writer.wait_durable(records[-1].seq, 60)
    assert list(independent_reader.rows(tmp_path / "open")) == wanted
    writer.close()
    assert list(independent_reader.rows(tmp_path / "open")) == wanted
