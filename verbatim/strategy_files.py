"""Read strategies and risk rules as a SESSION record holds them: the file's text and that of each module it imports.

Files are read here; engine/strategy/source_guard.py checks the texts alone.
"""

import ast
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.model import ONLY
from engine.session_record import RuleSettings, StrategySettings
from engine.strategy.loading import as_recorded, load
from engine.strategy.source_guard import StrategyError, siblings
from engine.suggestions import suggestion
from journal.record import canonical


def read_strategy(
    spec: str, *, name: str = "", parameters: Mapping[str, Any] | None = None, base: Path | None = None
) -> StrategySettings:
    """Read a strategy from `path.py:Class`, `path.py` (if it has one strategy), or `path.py@REVISION:Class` (from git).

    Args:
        spec: the file and class.
        name: name of the strategy in the session. Default: the file's.
        parameters: values that override the class's defaults.
        base: the folder that a relative path starts from.

    Raises:
        StrategyError: the file, revision or class cannot be used.
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
        StrategyError: The module does not exist, or its source cannot be read.
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


def check_instruments(strategies: Iterable[StrategySettings], symbols: Sequence[str], *, listed: str) -> None:
    """Refuse strategies that trade instruments which the session lacks: each of their intents would be refused.

    Args:
        strategies: the strategies to check.
        symbols: the session's symbols.
        listed: the place where symbols are chosen, for the message.

    Raises:
        StrategyError: a strategy trades another instrument.
    """
    has_ids = any(":" in each for each in symbols)  # of several venues: a symbol alone may be of any
    for settings in strategies:
        for name in load(settings).instruments:
            if name == ONLY and len(symbols) == 1:
                continue
            if name == ONLY:
                raise StrategyError(
                    f'strategy {settings.name} trades "{ONLY}", the only instrument of a session, and {listed} has '
                    f"{', '.join(symbols)}. What to do: name its instruments"
                )
            is_listed = name in symbols or (not has_ids and name.rpartition(":")[2] in symbols)
            if not is_listed:
                raise StrategyError(
                    f"strategy {settings.name} trades {name}, which {listed} does not list"
                    f"{suggestion(name.rpartition(':')[2], symbols)}; it has {', '.join(symbols)}"
                )


class _Folder:
    """The folder of a strategy's modules, as it is now."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def modules(self) -> frozenset[str]:
        """Return the names of its modules."""
        return frozenset(other.stem for other in self._folder.glob("*.py")) if self._folder.is_dir() else frozenset()

    def text(self, module: str) -> str:
        """Return a module's text."""
        path = self._folder / f"{module}.py"
        try:
            return path.read_text(encoding="utf-8")
        except OSError as error:
            raise StrategyError(f"cannot read the strategy {path}: {error.strerror or error}") from None
        except UnicodeDecodeError:
            raise StrategyError(f"the strategy {path} is not UTF-8 text") from None


class _Revision:
    """The folder of a strategy's modules at a git revision."""

    def __init__(self, folder: Path, revision: str) -> None:
        self._folder = folder
        self._revision = revision

    def modules(self) -> frozenset[str]:
        """Return the names of its modules."""
        names = _git(self._folder, self._revision, "ls-tree", "--name-only", self._revision, "./").splitlines()
        return frozenset(Path(name).stem for name in names if name.endswith(".py"))

    def text(self, module: str) -> str:
        """Return a module's text."""
        return _git(self._folder, self._revision, "show", f"{self._revision}:./{module}.py")


def commits(path: Path, after: str, until: str) -> list[tuple[str, str]]:
    """Return (revision, title) of the commits that touch the strategy's folder, oldest first.

    Raises:
        StrategyError: git cannot list them.
    """
    log = _git(path.parent, f"{after}..{until}", "log", "--reverse", "--format=%H %s", f"{after}..{until}", "--", ".")
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in log.splitlines()]


def _git(folder: Path, revision: str, *words: str) -> str:
    """Run git in a folder and return its output.

    Raises:
        StrategyError: git fails, or the revision is an option.
    """
    if revision.startswith("-"):
        raise StrategyError(f"{revision!r} is not a revision")
    try:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, check=True)  # noqa: S603, S607 - the user's git, without a shell
        return done.stdout.decode("utf-8")
    except (OSError, subprocess.CalledProcessError, UnicodeDecodeError) as error:
        message = getattr(error, "stderr", b"") or str(error).encode()
        line = message.decode("utf-8", "replace").strip().splitlines()[-1]
        raise StrategyError(f"git has no strategy at {revision!r} in {folder}: {line}") from None


def _sources(path: Path, folder: _Folder | _Revision) -> dict[str, str]:
    """Return module name -> text, for the file and the modules of its folder that it imports, directly or not."""
    if path.suffix != ".py":
        raise StrategyError(f"{path} is not a strategy file: name it as path.py:Class")
    known = folder.modules()
    texts: dict[str, str] = {}
    waiting = [path.stem]
    while waiting:
        module = waiting.pop()
        if module in texts:
            continue
        texts[module] = folder.text(module)
        try:
            waiting += siblings(texts[module], known)
        except (SyntaxError, ValueError) as error:
            raise StrategyError(f"{path.parent / module}.py cannot be read as Python: {error}") from None
    return texts


def _only_class(path: Path, text: str) -> str:
    """Return the name of the file's only class with a `decide`.

    Raises:
        StrategyError: the file has no strategy, or more than one.
    """
    classes = [
        node.name
        for node in ast.parse(text).body
        if isinstance(node, ast.ClassDef)
        and any(isinstance(member, ast.FunctionDef) and member.name == "decide" for member in node.body)
    ]
    if len(classes) != 1:
        which = f"strategies in it: {', '.join(classes)}" if classes else "it has no class with a `decide`"
        raise StrategyError(f"{path}: name the class, as in {path.name}:Class; {which}")
    return classes[0]
