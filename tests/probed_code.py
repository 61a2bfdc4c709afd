"""Code with SlipCover's probes, made once for all workers and kept between runs.

SlipCover 1.1.0 parses, compiles and edits all modules in each worker: 11 s of CPU time, in place of 2 s for the import of
plain code. Here each worker begins with its share of the files. A file is made again if it, SlipCover or Python changes.
"""

import ast
import hashlib
import marshal
import os
import sys
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import slipcover
from branch_coverage import NEVER
from slipcover import branch, bytecode, importer, probe

FOLDER = Path.home() / ".cache/verbatim/probed"
CODE, PROBE, SIGNAL, VALUE = range(4)  # kinds of constants


def made(path: Path) -> tuple[Any, set[int], set[tuple[int, int]]]:
    """Return a file's code with probes, its lines and its branches. They are made if the folder has not the newest."""
    source = path.read_bytes()
    digest = hashlib.sha256(f"{slipcover.__version__} {sys.version} {path}\n".encode() + source).digest()
    kept = FOLDER / hashlib.sha256(bytes(path)).hexdigest()
    if kept.exists() and (found := kept.read_bytes()).startswith(digest):
        return marshal.loads(found[len(digest) :])
    cover = slipcover.Slipcover(branch=True, d_miss_threshold=NEVER)
    tree = branch.preinstrument(ast.parse(source))
    code = cover.instrument(compile(tree, str(path), "exec", dont_inherit=True))
    result = _packed(cover, code), cover.code_lines[str(path)], cover.code_branches[str(path)]
    FOLDER.mkdir(parents=True, exist_ok=True)
    part = kept.with_suffix(f".{os.getpid()}")
    part.write_bytes(digest + marshal.dumps(result))
    part.rename(kept)  # a reader never sees a part
    return result


def _packed(cover: Any, code: CodeType) -> tuple[Any, ...]:
    """Return code without its constants, then these, and the places of its probes."""
    places = cover.code2index[code]
    editor = bytecode.Editor(code)
    labels = {editor.get_inserted_function(offset)[1]: label for offset, label in places}
    constants: list[tuple[int, Any]] = []
    for number, constant in enumerate(code.co_consts):
        if number in labels:
            constants.append((PROBE, labels[number]))
        elif isinstance(constant, CodeType):
            constants.append((CODE, _packed(cover, constant)))
        elif constant is probe.signal:
            constants.append((SIGNAL, None))
        else:
            constants.append((VALUE, constant))
    return code.replace(co_consts=()), constants, places


def _unpacked(cover: Any, packed: tuple[Any, ...]) -> CodeType:
    """Return the code with probes of `cover`, and note their places there."""
    bare, constants, places = packed
    values: list[Any] = []
    for kind, value in constants:
        if kind == CODE:
            values.append(_unpacked(cover, value))
        elif kind == PROBE:
            values.append(probe.new(cover, bare.co_filename, value, NEVER))
        else:
            values.append(probe.signal if kind == SIGNAL else value)
    code: CodeType = bare.replace(co_consts=tuple(values))
    cover.code2index[code] = places
    return code


class ProbedLoader(Loader):
    """Executes a module's code with probes."""

    def __init__(self, cover: Any, loader: SourceFileLoader) -> None:
        self._cover, self._loader = cover, loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        cover, path = self._cover, self._loader.path
        packed, lines, branches = made(Path(path))
        code = _unpacked(cover, packed)
        cover.register_module(module)
        cover.code_lines[path].update(lines)
        cover.code_branches[path].update(branches)
        cover.instrumented[path].add(code)
        exec(code, module.__dict__)


class ProbedFinder(importer.SlipcoverMetaPathFinder):  # type: ignore[misc]  # it has no types
    """Finds modules as SlipCover does, and loads them here."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        spec: ModuleSpec | None = super().find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, importer.SlipcoverLoader):
            found = spec.loader.orig_loader
            if isinstance(found, SourceFileLoader):
                spec.loader = ProbedLoader(self.sci, found)
        return spec
