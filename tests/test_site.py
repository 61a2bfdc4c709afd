"""The documentation site: it is built without a warning, its pages of reference are made from the code, and every
command and example of its tutorial, how-tos and FAQ runs.
"""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from decimal import Decimal
from importlib import import_module
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path

import click
import pytest
from typed_pages import File, Page, Terminal, copy_examples, missing_sample
from warm_processes import VERBATIM, WarmProcess

import verbatim
from verbatim import credentials, reference_pages
from verbatim.config import OTHER_VARIABLES, Config, make_config, read_config
from verbatim.setting_meanings import MEANINGS, VARIABLES

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
TYPED = [
    name
    for name in ("tutorial.md", *sorted(f"how-to/{path.name}" for path in (DOCS / "how-to").glob("*.md")), "faq.md")
    if Page(DOCS / name).commands()
]
# what needs another machine -> the test that runs it with a simulated one
ELSEWHERE = {
    "verbatim check testnet.toml": "tests/test_check.py",
    "verbatim run testnet.toml": "tests/test_cli_live.py",
    "verbatim run live.toml --dry-run": "tests/test_read_only.py",
    "verbatim run live.toml --paper": "tests/test_paper.py",
    "verbatim archive last s3://": "tests/test_journal_life.py",
}
DEVELOPERS = {"VERBATIM_CHROMIUM", "VERBATIM_CLIENTS", "VERBATIM_CLIENTS_CACHE", "VERBATIM_CRASH_SEED", "VERBATIM_DATA"}


@pytest.fixture(scope="module")
def venue() -> Iterator[str]:
    """Return the address of a simulated venue, which lists BTCUSDT and ETHUSDT."""
    words = ["venue", "--port", "0", "--symbol", "BTCUSDT", "--symbol", "ETHUSDT"]
    with WarmProcess([*VERBATIM, *words], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["listening"]
        process.terminate()


@pytest.fixture(scope="module")
def traded(venue: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the examples and a session of the demo, as a reader of a how-to has them."""
    folder = tmp_path_factory.mktemp("traded")
    copy_examples(folder)
    Terminal(folder, venue).demo("")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("page", TYPED)
def test_the_page_works_as_typed(
    page: str, tmp_path: Path, venue: str, traded: Path, request: pytest.FixtureRequest
) -> None:
    folder = tmp_path / "folder"
    if page == "tutorial.md":
        folder.mkdir()
    else:
        shutil.copytree(traded, folder)
    terminal = Terminal(folder, venue, ELSEWHERE, request.getfixturevalue)
    for step in Page(DOCS / page).steps():
        if isinstance(step, File):
            terminal.save(step)
        elif output := terminal.type(step):
            assert missing_sample(step, output) == [], f"{step.line}\n{output}"
    terminal.close()


def test_commands_that_need_another_machine_are_tested_elsewhere() -> None:
    lines = [typed.line for page in TYPED for typed in Page(DOCS / page).commands()]
    assert [each for each in ELSEWHERE if not any(line.startswith(each) for line in lines)] == []
    assert [path for path in ELSEWHERE.values() if not (ROOT / path).exists()] == []


def test_every_command_of_every_page_can_be_parsed() -> None:
    """Those of the reference too: no option and no argument that the command does not have."""
    typed = [each for path in DOCS.rglob("*.md") for each in Page(path).commands() if each.words[:1] == ["verbatim"]]
    assert len(typed) > 80
    for each in typed:
        name, *words = each.words[1:]
        command = import_module(f"verbatim.commands.{name}").command
        try:
            command.make_context(name, list(takewhile(lambda word: word not in (">", "2>", "|"), words)))
        except click.UsageError as error:
            pytest.fail(f"{each.line}: {error.format_message()}")
        except click.exceptions.Exit:
            pass


LEAST = {"instruments": ["BTCUSDT", "ETHUSDT"], "venue": {"network": "testnet"}}


def test_every_configuration_of_a_page_is_valid() -> None:
    blocks = {
        f"{path.relative_to(DOCS)}, block {number}": tomllib.loads(text, parse_float=Decimal)
        for path in DOCS.rglob("*.md")
        for number, (kind, _, text) in enumerate(Page(path).blocks)
        if kind == "toml" and "--8<--" not in text
    }
    configurations = {where: values for where, values in blocks.items() if "project" not in values}
    assert len(configurations) > 5
    for where, values in configurations.items():
        make_config(LEAST | values, where, {})
    for name in ("demo", "testnet", "live"):
        read_config(ROOT / "examples" / f"{name}.toml", {})


def test_the_reference_is_made_from_the_code() -> None:
    command = "write it again: python -m verbatim.reference_pages"
    assert (DOCS / "settings.md").read_text() == reference_pages.settings_page(), f"{command} settings"
    assert (DOCS / "sql-views.md").read_text() == reference_pages.views_page(), f"{command} views"


def test_every_setting_and_variable_has_a_meaning() -> None:
    sections = {"Config": Config} | {
        owner.__name__: owner for _, section in reference_pages._sections(Config) for owner in section.__mro__
    }
    for name, meanings in MEANINGS.items():
        assert [key for key in meanings if key not in sections[name].model_fields] == []
    assert VARIABLES.keys() == {*credentials.VARIABLES, *OTHER_VARIABLES} - DEVELOPERS


def test_every_name_of_the_api_is_on_its_page() -> None:
    pages = "".join((DOCS / name).read_text() for name in ("strategy-api.md", "session-api.md"))
    named = re.findall(r"^::: verbatim\.(\w+)$", pages, re.MULTILINE)
    assert sorted(named) == verbatim.__all__


def test_every_page_is_in_the_navigation() -> None:
    """A place in the navigation may be reserved by a comment for a page to come."""
    text = (ROOT / "mkdocs.yml").read_text()
    listed = set(re.findall(r"^ +- (?:\w+: )?([\w/-]+\.md)$", text, re.MULTILINE))
    reserved = set(re.findall(r"^ +# - ([\w/-]+\.md)$", text, re.MULTILINE))
    pages = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    assert listed - pages == set()
    assert pages - listed - reserved == set(), "add them to `nav` of mkdocs.yml"


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    if find_spec("mkdocs") is None or find_spec("mkdocstrings") is None:
        pytest.skip("the extra `docs` is not installed")
    command = [sys.executable, "-P", "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert built.returncode == 0, built.stderr
    page = (tmp_path / "site" / "strategy-api" / "index.html").read_text()
    assert 'id="verbatim.View.quote"' in page
    outside = re.findall(r'(?:src|href)="(https?://[^"]+\.(?:js|css|woff2?|png))"', page)
    assert outside == [], "the page loads files from another host"
