"""Files of strategies and risk rules as a SESSION record holds them: the text of the file and of the modules that it imports.

The front door reads files; engine/strategy/loading.py, given the texts alone, says whether they make a strategy.
"""

import ast
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.session_record import RuleSettings, StrategySettings
from engine.strategy.loading import StrategyError, as_recorded, load, siblings
from journal.record import canonical


def read_strategy(
    spec: str, *, name: str = "", parameters: Mapping[str, Any] | None = None, base: Path | None = None
) -> StrategySettings:
    """From `path.py:Class` (or `path.py`, where the file has one strategy); `path.py@REVISION:Class` is as git has it there.

    Raises StrategyError. `base` is the folder that a relative path counts from; `name` is the file's where none is given.
    """
    path_text, _, cls = spec.partition(":")
    revision = ""
    if ".py@" in path_text:
        path_text, _, revision = path_text.rpartition("@")
    path = Path(path_text).expanduser()
    path = path if path.is_absolute() or base is None else base / path
    sources = _sources(path, _Revision(path.parent, revision) if revision else _Folder(path.parent))
    settings = StrategySettings(
        name=name or path.stem,
        version="",
        module=path.stem,
        cls=cls or _only_class(path, sources[path.stem]),
        parameters=json.loads(canonical(dict(parameters or {}))),  # as a replay will read them
        sources=sources,
    )
    return as_recorded(settings)


def read_rule(
    name: str, code: str, *, settings: Mapping[str, Any] | None = None, base: Path | None = None
) -> RuleSettings:
    """Return a risk rule as a SESSION record lists it. Nothing of it runs.

    Args:
        name: The name under which verdicts record its answers.
        code: `package.module:rule`, looked up in `base` and then where Python looks; "" for a built-in rule.
        settings: Values for its settings dataclass.
        base: The folder of the configuration.

    Raises:
        StrategyError: No such module, or its source cannot be read.
    """
    given = json.loads(canonical(dict(settings or {})))  # as a replay will read them
    if not code:
        return RuleSettings(name, given)
    module, _, rule = code.partition(":")
    parts = module.split(".")
    if not rule or not all(part.isidentifier() for part in parts):
        raise StrategyError(f"risk rule {name!r}: {code!r} is not package.module:rule")
    for folder in (Path() if base is None else base, *(Path(entry) for entry in sys.path if entry)):
        path = folder.joinpath(*parts).with_suffix(".py")
        if path.is_file():
            return RuleSettings(name, given, path.stem, rule, _sources(path, _Folder(path.parent)))
    raise StrategyError(f"risk rule {name!r}: no module {module!r} beside the configuration or on Python's path")


def refuse_strangers(strategies: Iterable[StrategySettings], symbols: Sequence[str], *, listed: str) -> None:
    """A strategy that trades what the session does not would only ever be refused. `listed` says where symbols are chosen."""
    for settings in strategies:
        for asked in load(settings).instruments:
            if asked.rpartition(":")[2] not in symbols:
                raise StrategyError(
                    f"strategy {settings.name} trades {asked}, which {listed} does not list (it has {', '.join(symbols)})"
                )


class _Folder:
    """Where the modules of a strategy lie: a folder as it is now."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def modules(self) -> frozenset[str]:
        return frozenset(other.stem for other in self._folder.glob("*.py")) if self._folder.is_dir() else frozenset()

    def text(self, module: str) -> str:
        path = self._folder / f"{module}.py"
        try:
            return path.read_text(encoding="utf-8")
        except OSError as error:
            raise StrategyError(f"cannot read the strategy {path}: {error.strerror or error}") from None
        except UnicodeDecodeError:
            raise StrategyError(f"the strategy {path} is not a text in UTF-8") from None


class _Revision:
    """The same folder as git has it at a revision."""

    def __init__(self, folder: Path, revision: str) -> None:
        self._folder = folder
        self._revision = revision

    def modules(self) -> frozenset[str]:
        names = _git(self._folder, self._revision, "ls-tree", "--name-only", self._revision, "./").splitlines()
        return frozenset(Path(name).stem for name in names if name.endswith(".py"))

    def text(self, module: str) -> str:
        return _git(self._folder, self._revision, "show", f"{self._revision}:./{module}.py")


def commits(path: Path, after: str, until: str) -> list[tuple[str, str]]:
    """(revision, title) of those that touch the strategy's folder, oldest first. Raises StrategyError."""
    told = _git(path.parent, f"{after}..{until}", "log", "--reverse", "--format=%H %s", f"{after}..{until}", "--", ".")
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in told.splitlines()]


def _git(folder: Path, revision: str, *words: str) -> str:
    if revision.startswith("-"):
        raise StrategyError(f"{revision!r} is no revision")
    try:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, check=True)  # noqa: S603, S607 - the person's own git, and no shell
        return done.stdout.decode("utf-8")
    except (OSError, subprocess.CalledProcessError, UnicodeDecodeError) as error:
        said = getattr(error, "stderr", b"") or str(error).encode()
        line = said.decode("utf-8", "replace").strip().splitlines()[-1]
        raise StrategyError(f"git has no strategy at {revision!r} in {folder}: {line}") from None


def _sources(path: Path, place: _Folder | _Revision) -> dict[str, str]:
    """Module name -> text, for the file and, from there on, for what it imports from its own folder."""
    if path.suffix != ".py":
        raise StrategyError(f"{path} is not a strategy file: name it as path.py:Class")
    known = place.modules()
    texts: dict[str, str] = {}
    wanted = [path.stem]
    while wanted:
        module = wanted.pop()
        if module in texts:
            continue
        texts[module] = place.text(module)
        try:
            wanted += siblings(texts[module], known)
        except (SyntaxError, ValueError) as error:
            raise StrategyError(f"{path.parent / module}.py cannot be read as Python: {error}") from None
    return texts


def _only_class(path: Path, text: str) -> str:
    found = [
        node.name
        for node in ast.parse(text).body
        if isinstance(node, ast.ClassDef)
        and any(isinstance(part, ast.FunctionDef) and part.name == "decide" for part in node.body)
    ]
    if len(found) != 1:
        which = f"strategies in it: {', '.join(found)}" if found else "it has no class with a `decide`"
        raise StrategyError(f"{path}: say which class, as {path.name}:Class; {which}")
    return found[0]
