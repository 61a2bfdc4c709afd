"""replay, ask, verify and sessions as a person or a script meets them: what they say, and how they end."""

import json
import re
import shutil
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from journal.reader import Journal
from journal.record import Kind, canonical
from journal.sessions import new_session_folder
from tests.replaying import QUOTER, first_record, killed_in_second_frame, reseal, sealed
from verbatim.cli import main
from verbatim.testing import START_NS

BAD_INPUT = 3


@pytest.fixture(scope="module")
def journals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of one session, recorded on another machine."""
    root = tmp_path_factory.mktemp("root")
    made = sealed(root / "made", seconds=3)
    folder = new_session_folder(root / "journals", START_NS, "aaaaaaaa")
    folder.parent.mkdir()
    made.rename(folder)
    return root / "journals"


def verbatim(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def one_line(result: Result, said: str) -> None:
    assert result.exit_code == BAD_INPUT, result.output
    assert result.stderr.startswith("verbatim: ")
    assert result.stderr.count("\n") == 1
    assert said in result.stderr


def test_replay_ends_with_its_verdict(journals: Path) -> None:
    """By the first characters of the id."""
    result = verbatim("replay", "aaaa", "--journals", journals, "--trust-code")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == "replay: identical"


def test_replay_for_a_script(journals: Path) -> None:
    result = verbatim("replay", "aaaaaaaa", "--journals", journals, "--trust-code", "--json")
    found = json.loads(result.stdout)
    assert found["identical"] is True
    assert found["difference"] is None
    assert found["records"] == found["inputs"] + found["outputs"]


def test_a_limit_set_names_the_first_difference_and_the_command_that_repeats_it(journals: Path) -> None:
    result = verbatim(
        "replay", "aaaaaaaa", "--journals", journals, "--trust-code", "--set", "risk.order_size_max=0.0001"
    )
    assert result.exit_code == 1
    folder = next(journals.iterdir())
    seq = first_record(folder, lambda record: record.kind is Kind.VERDICT).seq
    assert result.stdout.splitlines()[-1] == f"replay: differs at seq {seq}"
    again = next(line for line in result.stdout.splitlines() if line.strip().startswith("repeat it: "))
    words = again.split("repeat it: verbatim ")[1].split()
    repeated = verbatim(*words)
    assert repeated.exit_code == 1
    assert repeated.stdout.splitlines()[-1] == f"replay: differs at seq {seq}"
    assert "recorded: VERDICT of risk" in repeated.stdout
    assert "replayed: VERDICT of risk" in repeated.stdout
    assert "before it, the recorded session believed:" in repeated.stdout


def test_an_edited_strategy_takes_the_place_of_the_recorded_one(journals: Path, tmp_path: Path) -> None:
    file = tmp_path / "edited.py"
    file.write_text(QUOTER.replace("Side.SELL, parameters.size", "Side.SELL, parameters.size + parameters.size"))
    result = verbatim("replay", "aaaaaaaa", "--journals", journals, "--trust-code", "--strategy", f"{file}:Quoter")
    assert result.exit_code == 1
    assert "INTENT of strategy.quoter differs in body (order.quantity: " in result.stdout
    same = tmp_path / "same.py"
    same.write_text(QUOTER + "\n# a remark changes nothing\n")
    assert verbatim("replay", "aaaaaaaa", "--journals", journals, "--trust-code", "--strategy", same).exit_code == 0


def test_strangers_code_is_not_run_unasked(journals: Path) -> None:
    one_line(verbatim("replay", "aaaaaaaa", "--journals", journals), "was recorded on another machine")


def test_mistakes_are_one_clear_line(journals: Path, tmp_path: Path) -> None:
    replay = ("replay", "aaaaaaaa", "--journals", journals, "--trust-code")
    one_line(verbatim("replay", "zzzz", "--journals", journals), "no session 'zzzz'")
    one_line(verbatim("replay", tmp_path), "holds no journal")
    one_line(verbatim(*replay, "--set", "risk.colour=1"), "unknown setting 'risk.colour'")
    one_line(verbatim(*replay, "--until", "soon"), "'soon' is neither")
    one_line(verbatim(*replay, "--strategy", tmp_path / "none.py"), "cannot read the strategy")
    one_line(verbatim("ask", tmp_path), "holds no journal")
    one_line(verbatim("verify", tmp_path), "holds no journal")


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ("20:00:00", "after it ended"),  # of the day after: the session began at 23:54:10
        ("23:54:09", "after it ended"),
        ("2024-08-08T23:54:09Z", "before it began"),
        ("2024-08-08T23:55:00Z", "after it ended"),
        ("1700000000000000000", "before it began"),
        ("1999999999999999999", "after it ended"),
        ("99,999", "after its last record"),
        ("", "is neither a record's seq nor a time"),
        ("-5", "is neither a record's seq nor a time"),
    ],
)
def test_a_moment_outside_the_session_is_said_to_be(journals: Path, at: str, said: str) -> None:
    for command in (("ask", "--at", at), ("replay", "--trust-code", "--until", at)):
        result = verbatim(command[0], "aaaa", "--journals", journals, *command[1:])
        one_line(result, said)
        if said.startswith(("after", "before")):
            assert "The session runs from 2024-08-08T23:54:10." in result.stderr


def test_a_time_ns_is_a_moment_too(journals: Path) -> None:
    """As sql and --json print it."""
    wanted = next(record for record in Journal.open(next(journals.iterdir())).records(100) if record.kind is Kind.TIMER)
    held = json.loads(verbatim("ask", "aaaa", "--journals", journals, "--at", wanted.time_ns, "--json").stdout)
    assert held["time_ns"] == wanted.time_ns
    assert held["seq"] >= wanted.seq


def test_ask_tells_a_person_and_a_script_the_same(journals: Path) -> None:
    result = verbatim("ask", "aaaaaaaa", "--journals", journals, "--at", "23:54:12")
    assert result.exit_code == 0, result.output
    assert "mode        running" in result.stdout
    assert "market      binance_spot:BTCUSDT: " in result.stdout
    held = json.loads(verbatim("ask", "aaaaaaaa", "--journals", journals, "--at", "23:54:12", "--json").stdout)
    assert held["mode"]["mode"] == "running"
    assert f"after record {held['seq']} " in result.stdout
    by_seq = verbatim("ask", "aaaaaaaa", "--journals", journals, "--at", held["seq"])
    assert by_seq.stdout == result.stdout


def test_verify_says_whole_or_damaged(journals: Path, tmp_path: Path) -> None:
    whole = verbatim("verify", "aaaaaaaa", "--journals", journals)
    assert whole.exit_code == 0
    assert whole.stdout.splitlines()[-1].startswith("verify: whole (")
    folder = killed_in_second_frame(tmp_path / "s")
    path = next(folder.glob("*.open"))
    data = bytearray(path.read_bytes())
    data[200] ^= 4
    path.write_bytes(data)
    damaged = verbatim("verify", folder)
    assert damaged.exit_code == 1
    assert damaged.stdout.splitlines()[-1].startswith("verify: damaged, 1 problem")
    assert json.loads(verbatim("verify", folder, "--json").stdout)["ok"] is False


def test_a_sealed_segment_that_is_gone_is_damage(journals: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(next(journals.iterdir()), tmp_path / "s")
    sealed = next(folder.glob("*.parquet"))
    sealed.unlink()
    for command in (("verify",), ("ask",), ("replay", "--trust-code"), ("sql", "SELECT 1"), ("why", "any")):
        found = verbatim(command[0], folder, *command[1:])
        assert found.exit_code == 1, (command, found.output)
        assert f"SHA256SUMS names {sealed.name}, which is missing" in found.output.replace(
            "SHA256SUMS: ", "SHA256SUMS "
        )


def test_a_journal_sealed_anew_is_whole_to_verify_and_another_to_replay(journals: Path, tmp_path: Path) -> None:
    folder = next(journals.iterdir())
    fact = first_record(folder, lambda record: '"fact":"order_filled"' in (record.body or ""))
    body = canonical(json.loads(fact.body or "") | {"fee": "0"})
    copy = reseal(folder, tmp_path / "copy", fact.seq, body=body)
    assert verbatim("verify", copy).exit_code == 0
    result = verbatim("replay", copy, "--trust-code")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == f"replay: differs at seq {fact.seq}"


def test_sessions_lists_what_there_is_and_what_cannot_be_read(journals: Path, tmp_path: Path) -> None:
    found = json.loads(verbatim("sessions", "--journals", journals, "--json").stdout)
    assert [(row["session"], row["ended"], row["strategies"]) for row in found] == [
        ("aaaaaaaa", "closed", ["quoter 1"])
    ]
    assert found[0]["records"] == Journal.open(next(journals.iterdir())).last_seq + 1
    assert found[0]["orders"] > found[0]["fills"] > 0
    table = verbatim("sessions", "--journals", journals).stdout.splitlines()
    assert table[0].split() == [
        "session",
        "start",
        "(UTC)",
        "length",
        "records",
        "orders",
        "fills",
        "ended",
        "strategies",
    ]
    assert table[1].startswith("aaaaaaaa  2024-08-08 23:54:10")
    shutil.copytree(
        next(journals.iterdir()), tmp_path / "a day in August"
    )  # with its own name, by which other commands find it
    (tmp_path / "notes").mkdir()
    assert [row["session"] for row in json.loads(verbatim("sessions", "--journals", tmp_path, "--json").stdout)] == [
        "a day in August"
    ]
    assert verbatim("verify", "a day in August", "--journals", tmp_path).exit_code == 0
    (tmp_path / "20240808T235410Z-bbbbbbbb").mkdir()
    assert "begun" in verbatim("sessions", "--journals", tmp_path).stdout
    (tmp_path / "20240808T235410Z-bbbbbbbb" / "000000000000.parquet").write_text("no segment")
    assert verbatim("sessions", "--journals", tmp_path, "--json").exit_code == 1
    damaged = verbatim("sessions", "--journals", tmp_path)
    assert damaged.exit_code == 1
    assert "unreadable" in damaged.stdout
    assert "bbbbbbbb: " in damaged.stderr


def test_sessions_of_a_folder_that_is_none(tmp_path: Path) -> None:
    one_line(verbatim("sessions", "--journals", tmp_path / "none"), "none does not exist")
    (tmp_path / "file").write_text("")
    one_line(verbatim("sessions", "--journals", tmp_path / "file"), "file is no folder")
    (tmp_path / "empty").mkdir()
    assert verbatim("sessions", "--journals", tmp_path / "empty").stdout == f"no sessions in {tmp_path / 'empty'}\n"


def test_a_session_that_is_not_there_names_the_command_that_lists_those_there_are(journals: Path) -> None:
    for command in (("replay",), ("ask",), ("verify",), ("sql",), ("why", "order"), ("tell", "pause")):
        result = verbatim(command[0], "zzzz", *command[1:], "--journals", journals)
        one_line(result, f"What to do: verbatim sessions --journals {journals} lists the sessions.")
        result = verbatim(command[0], "zzzz", *command[1:], "--journals", journals / "none")
        one_line(result, f"there is no folder {journals / 'none'}")


@pytest.mark.slow
def test_what_a_person_reads_has_no_thirty_digits(journals: Path) -> None:
    """Averages and P&L are exact in --json and rounded for people. The last fill of the session sets its position."""
    folder = next(journals.iterdir())
    fact = [record for record in Journal.open(folder).records() if '"fact":"position"' in (record.body or "")][-1]
    told = verbatim("ask", folder, "--at", fact.seq).stdout
    held = json.loads(verbatim("ask", folder, "--at", fact.seq, "--json").stdout)
    assert max(len(held["positions"][0][name]) for name in ("price_avg", "realised_pnl")) > 20, (
        "there is something to round"
    )
    [line] = [line for line in told.splitlines() if line.startswith("position ")]
    assert not re.search(r"\.\d{9}", line), line
    order = first_record(folder, lambda record: '"fact":"order_filled"' in (record.body or "")).key
    for line in verbatim("why", folder, order).stdout.splitlines():
        assert "{" in line or not re.search(r"\.\d{9}", line), line


def test_a_row_wider_than_the_terminal_is_one_value_a_line(journals: Path) -> None:
    folder = next(journals.iterdir())
    runner = CliRunner(env={"FORCE_COLOR": "1", "COLUMNS": "100"})
    wide = runner.invoke(main, ["sql", str(folder), "SELECT * FROM fills"])
    assert wide.exit_code == 0, wide.output
    assert "row 1\n" in click.unstyle(wide.stdout)
    assert "…" not in wide.stdout
    assert all(len(line) <= 100 for line in click.unstyle(wide.stdout).splitlines())
    narrow = runner.invoke(main, ["sql", str(folder), "SELECT seq, side, price FROM fills"])
    assert "row 1\n" not in click.unstyle(narrow.stdout)
