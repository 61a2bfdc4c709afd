"""Strategies of a test as a SESSION record holds them, from a file or from texts."""

from pathlib import Path
from typing import Any

from engine.session_record import StrategySettings
from engine.strategy import loading, source_guard


def strategy_settings(
    path: Path, cls: str, *, name: str = "", parameters: dict[str, Any] | None = None
) -> StrategySettings:
    """Return a strategy's file as a SESSION record holds it, with the modules of its folder that it imports."""
    known = frozenset(found.stem for found in path.parent.glob("*.py"))
    sources = {path.stem: path.read_text()}
    waiting = [path.stem]
    while waiting:
        for other in source_guard.siblings(sources[waiting.pop()], known):
            if other not in sources:
                sources[other] = (path.parent / f"{other}.py").read_text()
                waiting.append(other)
    return from_sources(sources, path.stem, cls, name=name, parameters=parameters)


def from_sources(
    sources: dict[str, str], module: str, cls: str, *, name: str = "", parameters: dict[str, Any] | None = None
) -> StrategySettings:
    """Return settings from source text. The version is that of the class."""
    draft = StrategySettings(name or cls.lower(), "", module, cls, parameters or {}, sources)
    return loading.as_recorded(draft)
