"""Measure the house's language: docstrings, comments, messages, documents and names.

Run `python tests/house_words.py` for the table of counts with the worst example of each kind, and
`python tests/house_words.py --list KIND [PATH...]` for every finding with its file and line. KIND may name one phrase:
`--list product-phrases/lies engine/live`. Packages and documents are found in the tree, so files may move.

`tests/test_words.py` compares the counts with CEILINGS. A ceiling only falls; TARGETS holds the values to reach.
"""

import argparse
import ast
import gc
import re
import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from functools import cache, cached_property
from pathlib import Path
from typing import NamedTuple

from house_vocabulary import (
    AMBIGUOUS,
    EVERYDAY,
    NOUN_FOLLOWERS,
    OLD_MODULES,
    OLD_NAMES,
    PHRASES,
    VERBS,
    WH_WORDS,
)

ROOT = Path(__file__).resolve().parent.parent
# these files quote the phrases that they ban
OWN_FILES = {"tests/house_vocabulary.py", "tests/house_words.py", "tests/test_words.py"}
SKIPPED_FOLDERS = {"__pycache__", "node_modules", "golden", "data", "build", "dist", "journals", "changes"}
SENTENCE_WORDS_MAX = 20
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 50
MESSAGE_WORDS_MIN = 3  # a shorter string is a key or a value, not a sentence

# ---- what is allowed, and the values to reach ------------------------------------------------------


class Exemption(NamedTuple):
    """Findings that are allowed: `kind` and `path` are glob patterns, `text` must occur in the finding."""

    kind: str
    path: str
    text: str
    reason: str

    def covers(self, finding: "Finding") -> bool:
        matches = fnmatch(finding.kind, self.kind) and fnmatch(finding.path, self.path)
        return matches and self.text in finding.text


ALLOWED = (
    Exemption("*-phrases/word for word", "*", "repeated word for word", "the slogan of the project"),
    Exemption(
        "product-phrases/asked", "engine/state/mode.py", "asked us to wait", "the reason of a mode, which records hold"
    ),
    Exemption(
        "product-phrases/asked",
        "engine/risk/rules/limits.py",
        "asked us to wait",
        "the text of a verdict, which records hold",
    ),
    Exemption(
        "product-phrases/asked",
        "engine/risk/rules/readiness.py",
        "being asked about",
        "the text of a verdict, which records hold",
    ),
    Exemption("product-phrases/*", "engine/venues/binance_*", "about {}, told about {}", "an error's text, recorded"),
    Exemption("product-phrases/*", "engine/venues/binance_*", "book of {}, told that", "an error's text, recorded"),
    Exemption("product-phrases/wish", "engine/strategy/decider.py", "wish", "why a strategy stopped, recorded"),
    Exemption("product-phrases/wish", "engine/strategy/intent_checks.py", "wish", "why a strategy stopped, recorded"),
    *(
        Exemption(
            f"product-phrases/{phrase}",
            f"engine/handlers/{name}.py",
            text,
            "recorded: replays of old sessions compare it",
        )
        for phrase, name, text in (
            ("asked", "answers", "never asked"),
            ("asked", "cancel_rules", "asked"),
            ("asked", "fired_timers", "everything that was asked"),
            ("asked", "shutdown", "being asked about"),
            ("asked", "watch", "was asked about"),
        )
    ),
    Exemption(
        "product-phrases/tells", "engine/execution/order_reports.py", "tells no status", "a fact's reason, recorded"
    ),
    Exemption("everyday-name", "journal/arrow_files.py", "tell", "a method of Python's io.RawIOBase"),
)

# kind -> the largest count allowed now, in percent for the kinds of SHARES. A ceiling only falls:
# `python tests/house_words.py --ceilings` prints the figures to put here after a cleanup
CEILINGS: dict[str, float] = {
    "product-phrases": 0,
    "test-phrases": 0,
    "document-phrases": 0,
    "not-verb-first": 1,
    "wh-first": 0.1,
    "long-sentence": 1,
    "class-twice": 0,
    "module-twice": 0,
    "old-module": 0,
    "old-name": 0,
    "everyday-name": 0,
    "everyday-prefix": 1,
    "error-suffix": 0,
    "noqa": 60,
    "noqa-bare": 0,
    "long-file": 5,
    "long-function": 9,
}
# kind -> the largest count allowed when issue 10 ends; a kind that is missing here is reported only
TARGETS: dict[str, float] = {
    "product-phrases": 0,
    "test-phrases": 0,
    "document-phrases": 0,
    "not-verb-first": 15.0,
    "wh-first": 1.0,
    "class-twice": 0,
    "module-twice": 0,
    "old-module": 0,
    "everyday-name": 0,
    "error-suffix": 0,
    "noqa": 60,
    "noqa-bare": 0,
}
# kinds that count names, however many places a name has
NAMES_COUNTED = {"class-twice", "module-twice"}
# kind -> the kind of which it is a share, in percent
SHARES = {
    "not-verb-first": "function-docstring",
    "wh-first": "function-docstring",
    "long-sentence": "function-docstring",
}


class Finding(NamedTuple):
    """One place that breaks a rule."""

    kind: str
    path: str
    line: int
    text: str
    hint: str = ""

    def __str__(self) -> str:
        hint = f"  -> {self.hint}" if self.hint else ""
        return f"{self.path}:{self.line}: {self.kind}: {self.text}{hint}"


# ---- first words ----------------------------------------------------------------------------------


def is_verb_first(docstring: str) -> bool:
    """Return True if the first word is an imperative verb.

    A word that is a noun as often as a verb is a noun if a preposition or a second verb follows ("Set of levels").
    "Return" is always a verb.
    """
    words = re.findall(r"\S+", docstring)[:2]
    if not words:
        return False
    first = words[0].rstrip(",:;.").lower()
    head = first.split("-")[-1] if first.startswith(("re-", "pre-", "un-")) else first
    if head not in VERBS or not words[0][:1].isalpha():
        return False
    follower = words[1].lower().strip(",.;:") if len(words) > 1 else ""
    ended = words[0][-1] in ",:;" and head in AMBIGUOUS
    return head == "return" or not (head in AMBIGUOUS and (follower in NOUN_FOLLOWERS or ended))


def first_sentence(docstring: str) -> str:
    """Return the text up to the first full stop that ends a sentence, or up to the first empty line."""
    paragraph = re.split(r"\n\s*\n", docstring.strip(), maxsplit=1)[0]
    return re.split(r"(?<=[.!?])\s+(?=[A-Z`(])", " ".join(paragraph.split()), maxsplit=1)[0]


# ---- the tree --------------------------------------------------------------------------------------


STRING_OR_COMMENT = re.compile(
    r'"{3}(?:[^\\]|\\.)*?"{3}'
    r"|'{3}(?:[^\\]|\\.)*?'{3}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'(?:[^'\\\n]|\\.)*'"
    r"|#[^\n]*",
    re.DOTALL,
)


@contextmanager
def collector_off() -> Iterator[None]:
    """Parse in it: hypothesis' callback in the collector makes CPython 3.11 miscount its recursion.

    Besides, each collection visits all trees that are kept: it takes twice the time of parsing all files.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class Source:
    """One Python file: its tree, its docstrings, its comments and its lines."""

    def __init__(self, path: Path) -> None:
        self.name = path.relative_to(ROOT).as_posix()
        self.text = path.read_text()
        self.tree = ast.parse(self.text)
        self.lines = self.text.splitlines()

    @cached_property
    def comment_tokens(self) -> list[tuple[int, int, str]]:
        """Hold (line, column, text) of each comment. `tokenize` finds the same in ten times the time."""
        found = []
        line, at = 1, 0
        for match in STRING_OR_COMMENT.finditer(self.text):
            if match[0][0] == "#":
                line += self.text.count("\n", at, match.start())
                at = match.start()
                found.append((line, at - self.text.rfind("\n", 0, at) - 1, match[0]))
        return found

    def comments(self) -> Iterator[tuple[int, str]]:
        """Yield each comment with its first line. Comments on consecutive lines of their own are one text."""
        block: list[str] = []
        begun = last = 0
        for line, column, text in self.comment_tokens:
            alone = not self.lines[line - 1][:column].strip()
            words = text.lstrip("#").strip()
            if alone and block and line == last + 1:
                block.append(words)
            else:
                if block:
                    yield begun, "\n".join(block)
                block, begun = [words], line
            last = line if alone else 0
        if block:
            yield begun, "\n".join(block)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(self.tree))

    @cached_property
    def docstrings(self) -> list[tuple[ast.AST, int, str]]:
        """Hold (node, line, text) of each module, class and function that has a docstring."""
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        found = ((node, ast.get_docstring(node)) for node in self.nodes if isinstance(node, documented))
        return [(node, node.body[0].lineno, text) for node, text in found if text]

    def messages(self) -> Iterator[tuple[int, str]]:
        """Yield strings of at least three words that are not docstrings, with `{}` for what is formatted in."""
        skipped = {id(node.body[0].value) for node, _, _ in self.docstrings}  # type: ignore[attr-defined]  # a docstring is an Expr
        for node in self.nodes:
            if isinstance(node, ast.JoinedStr):
                skipped |= {id(part) for part in node.values}
                text = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
                text = node.value
            else:
                continue
            if len(text.split()) >= MESSAGE_WORDS_MIN:
                yield node.lineno, text


def products() -> tuple[str, ...]:
    """Return the packages of the wheel, as pyproject.toml lists them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return tuple(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])


def _files(folders: Iterable[str], pattern: str) -> Iterator[Path]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob(pattern)):
            parts = path.relative_to(ROOT).parts
            if not SKIPPED_FOLDERS & set(parts) and not any(part.startswith(".") for part in parts):
                yield path


def sources(*folders: str) -> tuple[Source, ...]:
    """Return every Python file below the folders, parsed once."""
    return tuple(source for folder in folders for source in _sources_below(folder))


@cache
def _sources_below(folder: str) -> tuple[Source, ...]:
    with collector_off():
        return tuple(Source(path) for path in _files((folder,), "*.py"))


def forget_sources() -> None:
    """Free the parsed files, which each later collection of garbage would visit. Findings stay."""
    _sources_below.cache_clear()


def product_sources() -> tuple[Source, ...]:
    return sources(*products())


def other_sources() -> tuple[Source, ...]:
    """Parse tests, benchmarks and examples, except the files that quote the banned phrases."""
    return tuple(source for source in sources("tests", "benchmarks", "examples") if source.name not in OWN_FILES)


def documents() -> tuple[Path, ...]:
    """Return the Markdown pages of the repository."""
    top = sorted(ROOT.glob("*.md"))
    return (*top, *_files(("docs", "benchmarks", "examples", "tests"), "*.md"))


# ---- checks ----------------------------------------------------------------------------------------


def phrases_in(kind: str, path: str, line: int, text: str) -> Iterator[Finding]:
    """Yield the banned phrases of one text that begins at `line`. Code in backticks does not count."""
    bare = re.sub(r"`[^`\n]*`", lambda match: "_" * len(match[0]), text)
    for phrase in PHRASES:
        for match in phrase.pattern.finditer(bare):
            start = max(0, match.start() - 30)
            excerpt = " ".join(text[start : match.end() + 40].split())
            yield Finding(
                f"{kind}/{phrase.name}", path, line + text[: match.start()].count("\n"), f"...{excerpt}", phrase.hint
            )


def product_phrases() -> Iterator[Finding]:
    """Yield banned phrases in docstrings, comments and messages of the product, and in its SQL comments."""
    for source in product_sources():
        for line, text in source.comments():
            yield from phrases_in("product-phrases", source.name, line, text)
        for _, line, text in source.docstrings:
            yield from phrases_in("product-phrases", source.name, line, text)
        for line, text in source.messages():
            yield from phrases_in("product-phrases", source.name, line, text)
    for path in _files(products(), "*.sql"):
        for number, text in enumerate(path.read_text().splitlines(), 1):
            if "--" in text:
                yield from phrases_in(
                    "product-phrases", path.relative_to(ROOT).as_posix(), number, text.split("--", 1)[1]
                )


def test_phrases() -> Iterator[Finding]:
    """Yield banned phrases in docstrings and comments of tests, benchmarks and examples."""
    for source in other_sources():
        for line, text in source.comments():
            yield from phrases_in("test-phrases", source.name, line, text)
        for _, line, text in source.docstrings:
            yield from phrases_in("test-phrases", source.name, line, text)


def document_phrases() -> Iterator[Finding]:
    """Yield banned phrases in the prose of Markdown pages. Fenced code is left out."""
    for path in documents():
        text = re.sub(
            r"^```.*?^```", lambda match: "\n" * match[0].count("\n"), path.read_text(), flags=re.DOTALL | re.MULTILINE
        )
        yield from phrases_in("document-phrases", path.relative_to(ROOT).as_posix(), 1, text)


def _function_docstrings() -> Iterator[tuple[Source, ast.FunctionDef | ast.AsyncFunctionDef, int, str]]:
    for source in product_sources():
        for node, line, text in source.docstrings:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield source, node, line, text


def _is_property(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any("property" in ast.unparse(decorator) for decorator in node.decorator_list)


def function_docstrings() -> Iterator[Finding]:
    """Yield every function docstring. Properties are left out, as ruff's D401 does: they read as values."""
    for source, node, line, text in _function_docstrings():
        if not _is_property(node):
            yield Finding("function-docstring", source.name, line, f"{node.name}: {first_sentence(text)}")


def not_verb_first() -> Iterator[Finding]:
    for source, node, line, text in _function_docstrings():
        if not _is_property(node) and not is_verb_first(text):
            hint = f"begin with an imperative verb, not with {text.split()[0]!r}"
            yield Finding("not-verb-first", source.name, line, f"{node.name}: {first_sentence(text)}", hint)


def wh_first() -> Iterator[Finding]:
    for source, node, line, text in _function_docstrings():
        if text.split()[0].rstrip(",.:") in WH_WORDS:
            yield Finding(
                "wh-first", source.name, line, f"{node.name}: {first_sentence(text)}", "begin with an imperative verb"
            )


def long_sentence() -> Iterator[Finding]:
    for source, node, line, text in _function_docstrings():
        sentence = first_sentence(text)
        if (words := len(sentence.split())) > SENTENCE_WORDS_MAX:
            yield Finding("long-sentence", source.name, line, f"{node.name}: {words} words: {sentence}")


def class_twice() -> Iterator[Finding]:
    """Yield classes of one name that two modules of the product define. Files of several venues count as one."""
    places: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for source in product_sources():
        for node in source.tree.body:
            if isinstance(node, ast.ClassDef):
                if _venue_folder(source.name) and any(_venue_folder(other) for other, _ in places[node.name]):
                    continue
                places[node.name].append((source.name, node.lineno))
    for name, found in sorted(places.items()):
        for path, line in found if len(found) > 1 else ():
            others = ", ".join(other for other, _ in found if other != path)
            yield Finding("class-twice", path, line, f"class {name}", f"also in {others}")


SIM_SHARED = ("exchange", "feeds")  # folders of engine/sim that no venue's interface is in


def _venue_folder(path: str) -> bool:
    """Return True for a file of one venue's folder: `.../venues/<venue>/<file>.py`, or a venue's folder in sim/."""
    parts = Path(path).parts
    in_sim = parts[:2] == ("engine", "sim") and len(parts) > 3 and parts[2] not in SIM_SHARED
    return in_sim or (len(parts) > 2 and parts[-3] == "venues")


def module_twice() -> Iterator[Finding]:
    """Yield modules of one basename in one package tree. Files of several venues count as one."""
    for package in products():
        places: dict[str, list[str]] = defaultdict(list)
        for source in sources(package):
            name = Path(source.name).stem
            if name.startswith("__"):
                continue
            if _venue_folder(source.name) and any(_venue_folder(other) for other in places[name]):
                continue
            places[name].append(source.name)
        for name, found in sorted(places.items()):
            outside = [path for path in found if not fnmatch(path, "verbatim/commands/*")]
            for path in found if len(outside) > 1 else ():
                yield Finding(
                    "module-twice", path, 1, f"module {name}", f"also {', '.join(p for p in found if p != path)}"
                )


def old_module() -> Iterator[Finding]:
    """Yield modules that still have a name from the left column of words.md."""
    for source in product_sources():
        path = Path(source.name)
        for folder, names in OLD_MODULES.items():
            below = source.name == folder or source.name.startswith(f"{folder}/")
            if below and path.stem != "__init__" and (path.stem in names or "*" in names):
                yield Finding("old-module", source.name, 1, path.stem, "see the table in words.md")
                break


def _definitions(source: Source) -> Iterator[tuple[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, str]]:
    """Yield the classes, functions and methods of a module, not those inside functions."""
    waiting: list[tuple[ast.AST, str]] = [(source.tree, "")]
    while waiting:
        parent, prefix = waiting.pop()
        for node in ast.iter_child_nodes(parent):
            if isinstance(node, ast.ClassDef):
                yield node, f"{prefix}{node.name}"
                waiting.append((node, f"{prefix}{node.name}."))
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node, f"{prefix}{node.name}"


def everyday_name() -> Iterator[Finding]:
    """Yield public classes, functions, methods and modules that are named by a short everyday word."""
    for source in product_sources():
        stem = Path(source.name).stem
        if stem.lower() in EVERYDAY:
            yield Finding("everyday-name", source.name, 1, f"module {stem}")
        for node, name in _definitions(source):
            if node.name.lower() in EVERYDAY:
                yield Finding("everyday-name", source.name, node.lineno, name, "use the field's term (words.md rule 5)")


def everyday_prefix() -> Iterator[Finding]:
    """Yield names that begin with an everyday verb, such as `take_frames`."""
    for source in product_sources():
        for node, name in _definitions(source):
            head = node.name.lstrip("_").split("_")[0].lower()
            if head in EVERYDAY and node.name.lower() not in EVERYDAY:
                yield Finding("everyday-prefix", source.name, node.lineno, name)


def old_name() -> Iterator[Finding]:
    for source in product_sources():
        for node, name in _definitions(source):
            if node.name.lstrip("_") in OLD_NAMES:
                yield Finding("old-name", source.name, node.lineno, name, "see the table in words.md")


def error_suffix() -> Iterator[Finding]:
    """Yield exception classes whose name does not end in Error. A base class of the product is followed."""
    classes = [
        (source, node) for source in product_sources() for node in source.nodes if isinstance(node, ast.ClassDef)
    ]
    known = {
        "Exception",
        "BaseException",
        "RuntimeError",
        "ValueError",
        "OSError",
        "LookupError",
        "KeyError",
        "TypeError",
    }
    before = 0
    while before != len(known):
        before = len(known)
        for _, node in classes:
            bases = {ast.unparse(base).split(".")[-1] for base in node.bases}
            if bases & known or any(base.endswith(("Error", "Exception")) for base in bases):
                known.add(node.name)
    for source, node in classes:
        if node.name in known and not node.name.endswith("Error"):
            yield Finding("error-suffix", source.name, node.lineno, f"class {node.name}", "an exception ends in Error")


NOQA = re.compile(r"#\s*noqa\b(?P<codes>:\s*[A-Z]+\d+(?:[,\s]+[A-Z]+\d+)*)?(?P<rest>.*)$")


def noqa() -> Iterator[Finding]:
    """Yield every `noqa` of the repository, its own tests and benchmarks included."""
    for source in (*product_sources(), *sources("tests", "benchmarks", "examples")):
        for line, _, text in source.comment_tokens if "noqa" in source.text else ():
            if NOQA.search(text):
                yield Finding("noqa", source.name, line, text)


def noqa_bare() -> Iterator[Finding]:
    """Yield each `noqa` without a code, or without a reason behind the code."""
    for finding in noqa():
        match = NOQA.search(finding.text)
        assert match is not None, finding
        if not match["codes"] or len(re.findall(r"\w+", match["rest"])) < 2:  # one word is no reason
            yield finding._replace(kind="noqa-bare", hint="a code, then ` - reason`")


def long_file() -> Iterator[Finding]:
    for source in product_sources():
        if len(source.lines) > FILE_LINES_MAX:
            yield Finding("long-file", source.name, 1, f"{len(source.lines)} lines")


def long_function() -> Iterator[Finding]:
    """Yield functions whose body, without its docstring, has more than 50 lines."""
    for source in product_sources():
        for node in source.nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
                lines = (node.end_lineno or node.lineno) - body[0].lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    yield Finding("long-function", source.name, node.lineno, f"{node.name}: {lines} lines")


CHECKS: dict[str, Callable[[], Iterator[Finding]]] = {
    "product-phrases": product_phrases,
    "test-phrases": test_phrases,
    "document-phrases": document_phrases,
    "not-verb-first": not_verb_first,
    "wh-first": wh_first,
    "long-sentence": long_sentence,
    "class-twice": class_twice,
    "module-twice": module_twice,
    "old-module": old_module,
    "old-name": old_name,
    "everyday-name": everyday_name,
    "everyday-prefix": everyday_prefix,
    "error-suffix": error_suffix,
    "noqa": noqa,
    "noqa-bare": noqa_bare,
    "long-file": long_file,
    "long-function": long_function,
    "function-docstring": function_docstrings,
}


@cache
def _every_finding(kind: str) -> tuple[Finding, ...]:
    """Return the findings of one kind, the allowed ones included."""
    return tuple(CHECKS[kind]())


@cache
def findings(kind: str) -> tuple[Finding, ...]:
    """Return the findings of one kind that are not allowed, by file and line."""
    found = (finding for finding in _every_finding(kind) if not any(entry.covers(finding) for entry in ALLOWED))
    return tuple(sorted(found, key=lambda finding: (finding.path, finding.line)))


def figure(kind: str) -> float:
    """Return the count of a kind; for the kinds of SHARES, the share of all function docstrings in percent."""
    if kind in NAMES_COUNTED:
        return len({finding.text for finding in findings(kind)})
    if kind not in SHARES:
        return len(findings(kind))
    return round(100 * len(findings(kind)) / max(1, len(findings(SHARES[kind]))), 1)


def unused_exemptions() -> list[Exemption]:
    """Return the entries of ALLOWED that cover no finding, so that they can be removed."""
    every = [finding for kind in CHECKS for finding in _every_finding(kind)]
    return [entry for entry in ALLOWED if not any(entry.covers(finding) for finding in every)]


# ---- the program -----------------------------------------------------------------------------------


def _worst(kind: str) -> str:
    """Return the phrase or the file with most findings of a kind, with an example."""
    found = findings(kind)
    if not found:
        return ""
    phrases = Counter(finding.kind.partition("/")[2] or finding.path for finding in found)
    name, count = phrases.most_common(1)[0]
    example = next(f for f in found if name in (f.kind.partition("/")[2], f.path))
    return f"{name} x{count}, as {example.path}:{example.line} {example.text}"[:110]


def table() -> str:
    lines = [f"{'kind':20s} {'now':>7s} {'ceiling':>8s} {'target':>7s}  worst"]
    for kind in CHECKS:
        ceiling, target = CEILINGS.get(kind), TARGETS.get(kind)
        unit = "%" if kind in SHARES else ""
        shown = [f"{figure(kind):g}{unit}", *("" if each is None else f"{each:g}{unit}" for each in (ceiling, target))]
        lines.append(f"{kind:20s} {shown[0]:>7s} {shown[1]:>8s} {shown[2]:>7s}  {_worst(kind)}")
    return "\n".join(lines)


def by_phrase() -> str:
    """Return how often each banned phrase occurs in product, tests and documents."""
    kinds = ("product-phrases", "test-phrases", "document-phrases")
    counts = {kind: Counter(finding.kind.partition("/")[2] for finding in findings(kind)) for kind in kinds}
    names = sorted((phrase.name for phrase in PHRASES), key=lambda name: -sum(counts[kind][name] for kind in kinds))
    rows = [f"{name:20s}" + "".join(f"{counts[kind][name]:>10d}" for kind in kinds) for name in names]
    return "\n".join([f"{'phrase':20s}" + "".join(f"{kind.split('-')[0]:>10s}" for kind in kinds), *rows])


def listed(kind: str, paths: Sequence[str]) -> list[Finding]:
    """Return the findings of a kind, or of one phrase of it, in files below the given paths."""
    whole, _, phrase = kind.partition("/")
    below = [Path(path).as_posix().rstrip("/") for path in paths]
    return [
        finding
        for finding in findings(whole)
        if (not phrase or finding.kind.endswith(f"/{phrase}"))
        and (not below or any(finding.path == path or finding.path.startswith(f"{path}/") for path in below))
    ]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--list", metavar="KIND", help=f"every finding of a kind: {', '.join(CHECKS)}, or `all`")
    options.add_argument("--files", metavar="KIND", help="how many findings each file has")
    options.add_argument("--phrases", action="store_true", help="how often each banned phrase occurs")
    options.add_argument("--ceilings", action="store_true", help="today's figures, in the form of CEILINGS")
    options.add_argument(
        "paths", nargs="*", metavar="PATH", help="only findings below these paths, relative to the repository"
    )
    given = options.parse_args()
    chosen = given.list or given.files
    if chosen and chosen != "all" and chosen.partition("/")[0] not in CHECKS:
        options.error(f"unknown kind {chosen!r}: use one of {', '.join(CHECKS)}")
    kinds = [kind for kind in CHECKS if kind not in ("function-docstring", "noqa")] if chosen == "all" else [chosen]
    found = [finding for kind in kinds if kind for finding in listed(kind, given.paths)]
    if given.list:
        for finding in sorted(found, key=lambda finding: (finding.path, finding.line)) if chosen == "all" else found:
            print(finding)
        print(f"{len(found)} findings")
    elif given.files:
        for path, count in Counter(finding.path for finding in found).most_common():
            print(f"{count:6d}  {path}")
    elif given.ceilings:
        print("".join(f'    "{kind}": {figure(kind):g},\n' for kind in CHECKS if kind != "function-docstring"), end="")
    else:
        print(by_phrase() if given.phrases else table())


if __name__ == "__main__":
    main()
