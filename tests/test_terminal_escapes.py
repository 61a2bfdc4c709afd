"""Texts of venues, strategies and files reach no terminal as control characters: each command, the logs, the HTML page."""

import json
import re
import unicodedata
from pathlib import Path

import pytest
from click.testing import CliRunner

from engine.live.logs import configure
from journal.printable import join_lines, printable
from journal.reader import Journal
from journal.record import Kind
from verbatim.cli import main
from verbatim.exit_codes import StoppedError, stop
from verbatim.local_checks import Check, CheckStatus
from verbatim.testing import VirtualSession, VirtualVenue, from_sources

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\x00\x08\x7f\u202eevil\u2066\u200b\rX"
SOURCE = (Path(__file__).parent / "strategies" / "restless.py").read_text()
TALKS = SOURCE.replace("price=price)]", f"price=price, rationale={{'why': {EVIL!r}}})]")
FAILS = SOURCE.replace("        state.turns += 1\n", f"        raise ValueError({EVIL!r})\n")
BANS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f]")


def is_clean(text: str) -> bool:
    return BANS.search(text) is None


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session whose strategies, venue and command say such texts, and a journal with such a name beside it."""
    journals = tmp_path_factory.mktemp("evil") / "journals"
    strategies = [
        from_sources({"talks": TALKS}, "talks", "Restless", name="talks"),
        from_sources({"fails": FAILS}, "fails", "Restless", name="fails"),
    ]
    running = VirtualSession.start(VirtualVenue(seed=3), journals / "20240808T235410Z-aaaaaaaa", strategies=strategies)
    running.run(10).command("pause", EVIL).run(1).stop()
    other = VirtualSession.start(
        VirtualVenue(seed=4), journals / "evil \x1b[31m\u202e", strategies=strategies, session="bbbbbbbb"
    )
    other.run(10).stop()
    return running.folder


COMMANDS = (
    ["sessions", "--journals", "{journals}"],
    ["sessions", "--journals", "{journals}", "--json"],
    ["why", "{session}"],
    ["ask", "{session}"],
    ["ask", "{session}", "--json"],
    ["sql", "{session}", "SELECT rationale, * FROM intents LIMIT 3"],
    ["sql", "{session}", "SELECT text FROM records WHERE text LIKE '%owned%'"],
    ["sql", "{session}", "SELECT text FROM notes", "--csv"],
    ["sql", "{session}", "SELECT * FROM notes", "--json"],
    ["sql", "{session}", 'SELECT chr(27) || chr(155) || chr(8238) AS "a\x1b[31m"'],
    ["sql", "{session}", "SELECT error('\x1b[31m\x9b')"],
    ["replay", "{session}", "--trust-code", "--set", "risk.order_notional_max=50", "--explain"],
    ["replay", "{session}"],
    ["diff", "{session}", "{other}"],
    ["verify", "{other}"],
    ["ask", "nosuch\x1b[31m"],
    ["regress", "{session}", "--strategy", "recorded", "--trust-code"],
)


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: " ".join(arguments[:1] + arguments[2:3])[:40])
def test_no_command_prints_a_control_character(session: Path, arguments: list[str]) -> None:
    [other] = [path for path in session.parent.iterdir() if path.name.startswith("evil")]
    named = {"journals": session.parent, "session": session, "other": other}
    result = CliRunner().invoke(main, [argument.format(**named) for argument in arguments], color=True)
    assert result.exit_code in (0, 1, 2, 3), result.output
    styled = re.compile("\x1b\\[(?:[0-2]|[39][0-7])?(?:;1|;3[0-7])?m")  # what click and rich write
    assert is_clean(styled.sub("", result.output)), arguments
    if "--json" in arguments:
        json.loads(result.stdout)


def test_the_texts_are_there_escaped(session: Path) -> None:
    result = CliRunner().invoke(main, ["sql", str(session), "SELECT rationale FROM intents LIMIT 1"])
    assert "owned" in result.output
    assert "\\u202eevil" in result.output


def test_the_logs_escape_them(capsys: pytest.CaptureFixture[str]) -> None:
    import structlog

    configure()
    structlog.get_logger().warning("the venue says", text=EVIL, number=1)
    written = capsys.readouterr().err
    structlog.reset_defaults()
    assert "evil" in written
    assert is_clean(written)


@pytest.mark.parametrize(
    "code", [*range(9), *range(11, 32), *range(0x7F, 0xA0), 0x200B, 0x202E, 0x2028, 0xD800, 0xE0041]
)
def test_each_unfit_character_is_escaped_as_json(code: int) -> None:
    text = printable(f"a{chr(code)}b")
    assert text.isascii()
    assert json.loads(f'"{text}"') == f"a{chr(code)}b"


def test_what_people_write_is_not_changed() -> None:
    for text in ("", "a\tb\nc", "Größe 5 €", "日本語", "👍🏽", "\\u001b"):
        assert printable(text) == text
    assert printable("x" * 50, 10) == "xxxxxxxxx…"
    assert all(unicodedata.category(letter) != "Cc" for letter in printable(EVIL))


BREAKS = ("\n", "\r\n", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029")
FORGED = "OK    key              accepted"


@pytest.mark.parametrize("line_break", BREAKS, ids=ascii)
def test_a_text_of_a_venue_forges_no_line_of_a_check_or_an_error(
    line_break: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = f"x{line_break}{FORGED}"
    line = Check("key", CheckStatus.FAIL, text, text).line()
    assert line.startswith("FAIL  key              x OK ")
    assert len(line.splitlines()) == 1
    with pytest.raises(StoppedError):
        stop(f"the venue refuses: {text}")
    assert capsys.readouterr().err.splitlines() == [f"verbatim: the venue refuses: x {' '.join(FORGED.split())}"]


def test_columns_keep_their_spaces() -> None:
    assert join_lines("a   b") == "a   b"
    assert join_lines("a  \tb\n  c\n") == "a  \tb   c"


@pytest.fixture(scope="module")
def forging(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session whose orders the venue refuses with a text that holds another line, also as a page that is no JSON."""
    venue = VirtualVenue(seed=3)
    venue.fault(
        action="reject", method="POST", path="/api/v3/order", status=400, code=-2010, msg=f"x\n{FORGED}", times=0
    )
    strategies = [from_sources({"talks": TALKS}, "talks", "Restless", name="talks")]
    folder = tmp_path_factory.mktemp("forging") / "journals" / "20240808T235410Z-cccccccc"
    running = VirtualSession.start(venue, folder, strategies=strategies).run(5)
    venue.fault(action="reject", method="GET", path="/api/v3/account", status=400, code=-2015, msg=f"x\n{FORGED}")
    running.command("reconcile", f"x\n{FORGED}").run(5).stop()
    assert venue.unstruck_faults() == []
    return running.folder


@pytest.mark.parametrize("name", ["why", "reconcile", "status", "pnl", "sessions", "quality", "verify", "replay"])
def test_no_command_prints_a_forged_line(forging: Path, name: str) -> None:
    [*_, order] = [record.key for record in Journal.open(forging).records() if record.kind is Kind.INTENT]
    of_folder = ["--journals", str(forging.parent)]
    arguments = {
        "status": of_folder,
        "sessions": of_folder,
        "why": [str(forging), str(order)],
        "replay": [str(forging), "--trust-code", "--set", "risk.order_notional_max=50", "--explain"],
    }
    result = CliRunner().invoke(main, [name, *arguments.get(name, [str(forging)])])
    assert result.exit_code in (0, 1), result.output
    assert not [line for line in result.output.splitlines() if line.startswith(FORGED[:9])], result.output
    if name == "why":
        assert f"x {FORGED}" in result.output
