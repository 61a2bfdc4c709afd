"""Build a release and try it as users get it: `python .ci/release.py`, or one step by name.

build   wheel and sdist into dist/, the wheel from the sdist
check   their metadata, and the files that they must contain and must not
test    in a clean environment of each Python, outside the checkout: a demo with its replay, and every extra
sbom    dist/*.cdx.json (CycloneDX) of the newest tested environment
audit   known vulnerabilities of its packages; needs the vulnerability data of PyPI

docs/operations.md says how releases are made. Nothing is uploaded here.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
WORK = ROOT / "build" / "release"
TOOLS = WORK / "tools" / "bin"
VERSIONS = ("3.11", "3.12", "3.13", "3.14")  # that the package supports
PACKAGES = {"analysis", "engine", "journal", "replay", "verbatim"}
EXTRAS = "cockpit,metrics,pandas,polars,calendars"
IN_WHEEL = (
    "verbatim/py.typed",
    "verbatim/examples/quoter.py",
    "verbatim/cockpit/page/app.js",
    "analysis/sql/orders.sql",
)
IN_SDIST = ("pyproject.toml", "README.md", "LICENSE", "tests/conftest.py", "docs/operations.md", "examples/demo.toml")
STEPS = ("build", "check", "test", "sbom", "audit")


class ReleaseError(Exception):
    """A step failed. The text says which."""


def run(command: Sequence[object], *, cwd: Path = ROOT, **environment: str) -> str:
    """Run a command and return its output. Raise ReleaseError with its last lines if it fails."""
    words = [str(word) for word in command]
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VERBATIM_DATA")}
    ended = subprocess.run(words, cwd=cwd, env=kept | environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        last = "\n".join((ended.stdout + ended.stderr).splitlines()[-15:])
        raise ReleaseError(f"{' '.join(words)} ended with {ended.returncode}:\n{last}")
    return ended.stdout


def tools() -> Path:
    """Return the folder of the tools' programs, installed if needed."""
    if not TOOLS.is_dir():
        run([sys.executable, "-m", "venv", TOOLS.parent])
        run([TOOLS / "pip", "install", "-q", "--disable-pip-version-check", "-r", ROOT / ".ci/release-tools.txt"])
    return TOOLS


def distributions() -> tuple[Path, Path]:
    """Return the wheel and the sdist in dist/."""
    found = [sorted(DIST.glob(pattern)) for pattern in ("*.whl", "*.tar.gz")]
    if [len(each) for each in found] != [1, 1]:
        raise ReleaseError(f"{DIST} has not one wheel and one sdist: run the step build")
    return found[0][0], found[1][0]


# ---- steps


def build(_: argparse.Namespace) -> None:
    """Build the sdist, and the wheel from it. The same commit gives the same bytes."""
    shutil.rmtree(DIST, ignore_errors=True)
    epoch = run(["git", "log", "-1", "--format=%ct"]).strip()
    run([tools() / "pyproject-build", "--outdir", DIST], SOURCE_DATE_EPOCH=epoch)
    for path in distributions():
        print(f"build  {path.name}  {path.stat().st_size:,} bytes")


def check(_: argparse.Namespace) -> None:
    """Check metadata and content."""
    wheel, sdist = distributions()
    run([tools() / "twine", "check", "--strict", wheel, sdist])
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    top = {name.split("/", 1)[0] for name in names}
    if extra := {name for name in top - PACKAGES if not name.endswith(".dist-info")}:
        raise ReleaseError(f"the wheel installs other top-level names: {', '.join(sorted(extra))}")
    with tarfile.open(sdist) as archive_of_source:
        source = {name.partition("/")[2] for name in archive_of_source.getnames()}
    missing = [name for name in IN_WHEEL if name not in names] + [name for name in IN_SDIST if name not in source]
    if missing:
        raise ReleaseError(f"missing in the distributions: {', '.join(missing)}")
    print(f"check  twine --strict passed; {len(names)} files in the wheel, {len(source)} in the sdist")


def test(chosen: argparse.Namespace) -> None:
    """Install the wheel for each Python, and use it. A version without an interpreter fails only if it was named."""
    wheel, _ = distributions()
    for version in chosen.only or VERSIONS:
        program = python_of(version, chosen.python)
        if program is not None:
            print(f"test   {try_wheel(program, wheel)}", flush=True)
        elif chosen.only:
            raise ReleaseError(f"no interpreter of Python {version}")
        else:
            print(f"test   {version}: no interpreter here, so not tested")


def python_of(version: str, pythons: Sequence[str]) -> str | None:
    """Return the interpreter of a version: one that was named, on the path, or of pyenv."""
    near = sorted(Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob(f"versions/{version}.*/bin/python"))
    for program in (*pythons, f"python{version}", *map(str, reversed(near))):
        if shutil.which(program) is None:
            continue
        asked = [program, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        ended = subprocess.run(asked, capture_output=True, text=True, check=False)  # pyenv has shims of all names
        if ended.stdout.strip() == version:
            return program
    return None


def try_wheel(program: str, wheel: Path) -> str:
    """Use the wheel in an environment of its own. Return a line about it."""
    name = run([program, "-c", "import platform; print(platform.python_version())"]).strip()
    place = WORK / f"python-{name}"
    shutil.rmtree(place, ignore_errors=True)
    run([program, "-m", "venv", place / "env"])
    programs, home = place / "env" / "bin", place / "home"
    home.mkdir()
    run(
        [
            programs / "pip",
            "install",
            "-q",
            "--disable-pip-version-check",
            "-c",
            ROOT / "constraints.txt",
            f"{wheel}[{EXTRAS}]",
        ]
    )
    here = {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    for words in (
        ("--version",),
        ("demo", "--seconds", "5", "--no-status"),  # ends with 0 only if the replay is identical
        ("verify", "last"),
        ("status",),
        ("metrics", "last", "--once"),
        ("report", "last", "session.html"),
        ("new", "strategy", "my_cross"),
    ):
        run([programs / "verbatim", *words], cwd=home, **here)
    run([programs / "pip", "check"])
    frozen = run([programs / "pip", "list", "--format=freeze", "--exclude", "pip", "--exclude", "setuptools"])
    return f"{name}: {len(frozen.splitlines())} packages; demo, replay, verify, status, metrics, report and new passed"


def tested_environment() -> Path:
    """Return the environment of the newest Python that was tested."""
    found = sorted(WORK.glob("python-*/env"), key=lambda path: [int(part) for part in path.parent.name[7:].split(".")])
    if not found:
        raise ReleaseError("no environment was tested: run the step test")
    return found[-1]


def sbom(_: argparse.Namespace) -> None:
    """Write the bill of materials, and compare it with the environment."""
    wheel, _ = distributions()
    environment = tested_environment()
    path = DIST / f"{'-'.join(wheel.name.split('-')[:2])}.cdx.json"
    run([
        tools() / "cyclonedx-py", "environment", "--pyproject", ROOT / "pyproject.toml", "--of", "JSON",
        "--output-reproducible", "-o", path, environment / "bin" / "python",
    ])  # fmt: skip
    listed = json.loads(path.read_text())
    named = {component["name"].lower().replace("_", "-") for component in listed["components"]}
    frozen = run([environment / "bin" / "pip", "list", "--format=freeze"]).split()
    installed = {line.split("==")[0].lower().replace("_", "-") for line in frozen} - {"verbatim-trading"}
    if missing := installed - named:
        raise ReleaseError(f"{path.name} lacks {', '.join(sorted(missing))}")
    print(f"sbom   {path.name}: CycloneDX {listed['specVersion']}, {len(named)} components")


def audit(_: argparse.Namespace) -> None:
    """Look for known vulnerabilities. A package without data is a failure: it was not audited."""
    frozen = WORK / "audited.txt"
    listed = run([tested_environment() / "bin" / "pip", "list", "--format=freeze"]).splitlines()
    frozen.write_text("\n".join(line for line in listed if not line.startswith("verbatim-trading")))
    command = [tools() / "pip-audit", "--strict", "--no-deps", "--disable-pip", "--progress-spinner", "off"]
    run([*command, "-r", frozen])
    print("audit  no known vulnerability")


def main() -> int:
    """Run the chosen steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("steps", nargs="*", metavar="STEP", help=f"of {', '.join(STEPS)}; all by default")
    parser.add_argument("--python", action="append", default=[], help="an interpreter to test with; may be repeated")
    parser.add_argument("--only", action="append", default=[], choices=VERSIONS, help="test this version; repeatable")
    chosen = parser.parse_args()
    if wrong := [step for step in chosen.steps if step not in STEPS]:
        parser.error(f"no step {wrong[0]}")
    os.umask(0o022)
    for step in chosen.steps or STEPS:
        try:
            {"build": build, "check": check, "test": test, "sbom": sbom, "audit": audit}[step](chosen)
        except ReleaseError as error:
            print(f"{step}: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
