"""The files of examples/ that run the product: systemd units, Containerfile, logrotate; and the release's own files."""

import importlib.util
import re
import shlex
import shutil
import subprocess
from configparser import ConfigParser
from importlib import metadata
from pathlib import Path

import click
import pytest
import yaml
from packaging.requirements import Requirement

from verbatim import exit_codes
from verbatim.cli import COMMANDS, main

ROOT = Path(__file__).resolve().parent.parent
UNITS = ROOT / "examples" / "systemd"
SERVICES = sorted(UNITS.glob("*.service"))
PROGRAM = "/opt/verbatim/bin/verbatim"
EXPOSURE_MAX = {"trader": 1.4, "guard": 1.4, "alerts": 1.4, "metrics": 1.2, "cockpit": 1.2}  # of systemd 252
TARGETS = ("sysinit", "basic", "shutdown", "multi-user", "network-online", "time-sync")

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")


def unit(path: Path) -> ConfigParser:
    parser = ConfigParser(strict=False, interpolation=None, comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their case
    parser.read(path)
    return parser


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root folder with the units as docs/operations.md installs them."""
    root = tmp_path_factory.mktemp("machine")
    shutil.copytree(UNITS, root / "etc/systemd/system")
    for target in TARGETS:
        (root / f"etc/systemd/system/{target}.target").write_text(f"[Unit]\nDescription={target}\n")
    program = root / PROGRAM.removeprefix("/")
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nverbatim:x:900:900::/var/lib/verbatim:/bin/false\n")
    (root / "etc/group").write_text("root:x:0:\nverbatim:x:900:\n")
    return root


def analyze(*words: object) -> str:
    """Run systemd-analyze, which must say nothing on stderr."""
    ended = subprocess.run(["systemd-analyze", *map(str, words)], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout + ended.stderr
    return ended.stdout


# ---- systemd


@needs_systemd
def test_the_units_are_valid(machine: Path) -> None:
    analyze("verify", "--man=no", f"--root={machine}", *(path.name for path in SERVICES))


@needs_systemd
@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.stem)
def test_the_exposure_is_what_the_page_says(machine: Path, path: Path) -> None:
    """The scale goes from 0, nothing to attack, to 10."""
    printed = analyze("security", "--offline=true", "--no-pager", f"--root={machine}", path.name)
    found = re.search(r"exposure level for \S+: ([0-9.]+)", printed)
    assert found is not None, printed
    assert float(found[1]) <= EXPOSURE_MAX[path.stem.removeprefix("verbatim-")], printed


def test_the_page_states_the_exposure() -> None:
    page = (ROOT / "docs/operations.md").read_text()
    assert "rates the units 1.4 (trader, guard, alerts) and 1.2 (metrics, cockpit)" in page
    assert {name for name, figure in EXPOSURE_MAX.items() if figure == 1.4} == {"trader", "guard", "alerts"}
    assert {path.stem.removeprefix("verbatim-") for path in SERVICES} == EXPOSURE_MAX.keys()


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.stem)
def test_each_command_of_a_unit_is_one_of_ours(path: Path) -> None:
    program, name, *words = shlex.split(unit(path)["Service"]["ExecStart"])
    assert program == PROGRAM
    if name not in COMMANDS:
        pytest.skip(f"{name} is not built")
    command = main.get_command(click.Context(main), name)
    assert command is not None
    command.make_context(name, words)  # wrong options are a UsageError


def test_the_trader_is_not_started_again_where_a_person_must_look_first() -> None:
    service = unit(UNITS / "verbatim-trader.service")["Service"]
    never = {int(code) for code in service["RestartPreventExitStatus"].split()}
    assert never == {exit_codes.USAGE, exit_codes.BAD_INPUT, exit_codes.LOCKED, exit_codes.HALTED}
    assert service["KillMode"] == "control-group", "the stuck guard needs its time"


def test_the_guard_waits_longer_than_a_restart() -> None:
    trader = unit(UNITS / "verbatim-trader.service")["Service"]
    words = shlex.split(unit(UNITS / "verbatim-guard.service")["Service"]["ExecStart"])
    assert float(words[words.index("--after") + 1]) >= int(trader["RestartSec"]) + 30


@pytest.mark.parametrize(("name", "port"), [("metrics", 8766), ("cockpit", 8765)])
def test_readers_write_nothing_and_stay_on_loopback(name: str, port: int) -> None:
    found = unit(UNITS / f"verbatim-{name}.service")
    assert found["Unit"]["Description"].endswith(f"127.0.0.1:{port}")
    assert (found["Service"]["IPAddressDeny"], found["Service"]["IPAddressAllow"]) == ("any", "localhost")
    assert "StateDirectory" not in found["Service"]


# ---- logs and containers


@pytest.mark.skipif(shutil.which("logrotate") is None, reason="Debian's package logrotate is not installed")
def test_logrotate_keeps_the_file_that_the_trader_has_open(tmp_path: Path) -> None:
    logs = tmp_path / "log"
    logs.mkdir()
    text = (ROOT / "examples/logrotate.conf").read_text().replace("/var/log/verbatim", str(logs))
    config = tmp_path / "logrotate.conf"
    config.write_text(re.sub(r"su verbatim verbatim\n", "", text))
    config.chmod(0o600)
    with (logs / "trader.log").open("a") as log:
        log.write("before\n")
        log.flush()
        subprocess.run(["logrotate", "--force", "--state", tmp_path / "state", config], check=True)
        log.write("after\n")
    assert (logs / "trader.log").read_text() == "after\n"
    assert (logs / "trader.log.1").read_text() == "before\n"


def test_the_image_is_pinned_unprivileged_and_copies_what_exists() -> None:
    """Read, not built: a build needs a base image from a registry."""
    lines = (ROOT / "examples/Containerfile").read_text().replace("\\\n", " ").splitlines()
    words = [line.split() for line in lines if line and not line.startswith("#")]
    stages = [place for place, found in enumerate(words) if found[0] == "FROM"]
    assert len(stages) == 2
    last = words[stages[1] :]
    assert [found[1] for found in last if found[0] == "USER"] == ["10001:10001"]
    assert not {"ADD", "SHELL"} & {found[0] for found in words}
    assert any("-c constraints.txt" in " ".join(found) for found in words if found[0] == "RUN")
    assert not any("pip" in " ".join(found) for found in last if found[0] == "RUN")
    copied = [name for found in words[: stages[1]] if found[0] == "COPY" for name in found[1:-1]]
    assert [name for name in copied if not (ROOT / name).exists()] == []
    assert {"engine", "journal", "replay", "analysis", "verbatim", "examples"} <= {*copied}
    [entry] = [found for found in last if found[0] == "ENTRYPOINT"]
    assert entry[1:] == ['["verbatim"]']


# ---- releases


def release() -> object:
    spec = importlib.util.spec_from_file_location("release", ROOT / ".ci/release.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_workflow_runs_steps_that_exist_on_every_version() -> None:
    module = release()
    jobs = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())["jobs"]
    runs = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    named = {word for line in runs for word in line.partition("release.py")[2].split("--")[0].split()}
    assert named == set(module.STEPS)  # type: ignore[attr-defined]  # a module
    assert jobs["test"]["strategy"]["matrix"]["python"] == [*module.VERSIONS]  # type: ignore[attr-defined]  # as above
    assert set(jobs["publish"]["needs"]) == {"test", "materials"}


def test_what_the_distributions_must_contain_is_in_the_tree() -> None:
    module = release()
    names = [
        *module.IN_SDIST,
        *(name.removeprefix("verbatim/") if "/examples/" in name else name for name in module.IN_WHEEL),
    ]  # type: ignore[attr-defined]  # a module
    assert [name for name in names if not (ROOT / name).exists()] == []


def test_each_package_that_runs_is_pinned() -> None:
    """With all that it needs in turn, at the version that this test runs with."""
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split() if "==" in line)
    pinned = {plain(name): version for name, version in pins.items()}
    waiting, seen = [("verbatim-trading", frozenset({"cockpit", "metrics"}))], set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        for text in metadata.requires(name) or ():
            needed = Requirement(text)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                waiting.append((plain(needed.name), frozenset(needed.extras)))
    names = {name for name, _ in seen} - {"verbatim-trading"}
    assert len(names) > 30
    assert {name: pinned.get(name) for name in names} == {name: metadata.version(name) for name in names}


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
