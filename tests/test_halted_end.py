"""The end of a halted session, as a person and a script see it: headline and exit code."""

import json
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from test_cli_live import config_for, environment, state_of, until, venue, verbatim
from warm_processes import VERBATIM, WarmProcess

from engine.facts import AccessRefused
from engine.live.outputs import OutputDispatcher
from engine.live.session_end import EndedBy
from engine.live.session_status import SessionStatus, Summary
from engine.mode_reasons import Mode
from engine.mode_shares import ModeSummary
from engine.step_context import Output
from journal.record import Kind, Record
from replay.replay import replay_session
from verbatim.exit_codes import FAILED, HALTED, OK
from verbatim.runner import exit_code, headline


def summary(mode: str, ended: EndedBy) -> Summary:
    reasons = ("the fees look wrong", "and so does the clock") if mode == "halted" else ()
    last = SessionStatus("s", mode, reasons, 0, 0, 0, 0, 0, "", (), 0, 0, 0, (), 0, "", "")
    return Summary(Path("s"), ended, "", last, ModeSummary(1, {mode: 1}, {}, Mode(mode), reasons, 1))


@pytest.mark.parametrize(
    ("mode", "ended", "code"),
    [
        ("running", EndedBy.CLOSED, OK),
        ("paused", EndedBy.CLOSED, OK),
        ("halted", EndedBy.CLOSED, HALTED),
        ("halted", EndedBy.DEADLINE, HALTED),
        ("syncing", EndedBy.DEADLINE, FAILED),
        ("halted", EndedBy.CORE, FAILED),
        ("halted", EndedBy.JOURNAL, FAILED),
        ("halted", EndedBy.INTERRUPTED, FAILED),
    ],
)
def test_the_exit_code_tells_a_halt_from_a_failure(mode: str, ended: EndedBy, code: int) -> None:
    assert exit_code(summary(mode, ended)) == code


def test_the_headline_names_every_reason() -> None:
    assert headline(summary("running", EndedBy.CLOSED)) == ""
    text = headline(summary("halted", EndedBy.CLOSED))
    assert text.startswith("HALTED: the fees look wrong; and so does the clock. What to do: ")


def test_only_the_venues_own_words_count_as_a_refused_key() -> None:
    dispatcher = OutputDispatcher(SimpleNamespace(), 0)  # type: ignore[arg-type]  # nothing here is a request
    record = Record(1, 1, Kind.FACT, "engine", 0, None, None, None, None, "")
    dispatcher.dispatch([Output.from_record(record, AccessRefused("v", 9, "403 Forbidden"))])
    assert dispatcher.key_refused == ""
    dispatcher.dispatch([Output.from_record(record, AccessRefused("v", 9, "-2015 Invalid API-key", is_key=True))])
    assert dispatcher.key_refused == "v refused our key: -2015 Invalid API-key"


@pytest.mark.slow
def test_a_halted_session_lists_its_reasons_and_ends_with_its_own_code(tmp_path: Path) -> None:
    """Halt twice, resume by name, halt again, and end: all with the real command and a real venue."""
    journals = tmp_path / "journals"

    def control(*arguments: str) -> str:
        ended = verbatim("control", "last", *arguments, "--journals", journals)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    with venue() as ready:
        command = [*VERBATIM, "run", str(config_for(tmp_path, ready["listening"]))]
        with WarmProcess(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
        ) as process:
            until(lambda: len(state_of(ready)["orders"]) >= 1, seconds=60)
            control("halt", "--reason", "the fees look wrong")
            text = control("halt", "--reason", "and so does the clock")
            assert "mode halted (the fees look wrong; and so does the clock)" in text
            resumed = control("resume", "--reason", "checked")
            assert "lifted 2 reasons to halt: the fees look wrong; and so does the clock" in resumed
            assert "mode halted" not in resumed
            answer = json.loads(control("halt", "--reason", "enough for today", "--json"))
            assert answer["mode"] == "halted"
            process.send_signal(signal.SIGTERM)
            out, errors = process.communicate(timeout=60)
        assert process.returncode == HALTED, errors
        assert out.startswith("HALTED: enough for today. What to do: ")
        assert state_of(ready)["open_orders"] == []
    [folder] = [path for path in journals.iterdir() if path.is_dir() and not path.name.startswith(".")]
    assert replay_session(folder).identical
    assert json.loads(verbatim("sessions", "--journals", journals, "--json").stdout)
