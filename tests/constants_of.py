"""The files of all names that compiled functions use: where a change would change machine code."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
DECORATORS = {"compiled", "compiled_apart"}


@cache
def _names(path: Path) -> dict[str, ast.AST]:
    """Return what gives each name of a module: an import, an assignment or a definition."""
    found: dict[str, ast.AST] = {}
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name: node for alias in node.names}
        elif isinstance(node, ast.Assign):
            given = [name for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)]
            found |= {name.id: node for name in given}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = node
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = node
    return found


def _file(*module: str) -> Path | None:
    base = ROOT.joinpath(*module)
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


def _uses(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield each name that code uses, with the attribute that it takes of it; no annotation is code."""
    for part in ast.iter_child_nodes(node):
        is_signature = isinstance(part, ast.arguments) or part in {
            getattr(node, "returns", 0),
            getattr(node, "annotation", 0),
        }
        if is_signature:
            continue
        if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name):
            yield part.value.id, part.attr
        elif isinstance(part, ast.Name):
            yield part.id, ""
        else:
            yield from _uses(part)


def _follow(path: Path, name: str, attribute: str, found: set[tuple[Path, str]]) -> None:
    """Add where a name comes from, and where all that it is made of comes from."""
    node = _names(path).get(name)
    if node is None:
        return
    if not isinstance(node, ast.ImportFrom):
        found.add((path, name))
        for used, of_it in _uses(node):
            if (path, used) not in found:
                _follow(path, used, of_it, found)
        return
    module = (node.module or "").split(".")
    original = next(alias.name for alias in node.names if (alias.asname or alias.name) == name)
    if module[0] != "engine" or module[-1] == "jit":
        return
    if whole := _file(*module, original):
        if attribute:
            _follow(whole, attribute, "", found)
    elif source := _file(*module):
        _follow(source, original, attribute, found)


def files_of_constants() -> set[Path]:
    """Return the files of the engine with the constants and helpers of each compiled function."""
    found: set[tuple[Path, str]] = set()
    sources = sorted((ROOT / "engine").rglob("*.py"))
    for path in (path for path in sources if "engine.market.jit" in path.read_text()):
        for name, node in _names(path).items():
            decorators = {each.id for each in getattr(node, "decorator_list", ()) if isinstance(each, ast.Name)}
            if decorators & DECORATORS or (path.parent.name, name) == ("indicators", "UPDATES"):
                _follow(path, name, "", found)
    return {path for path, _ in found}
