"""docs/walk.md names functions that exist, each below a function that calls it. A script writes the page from a trace."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LINE = re.compile(r"( *)- `([\w.<>]+)` \(([\w/.]+)\)")
# (file of the caller, start of the callee's file): the reason why the caller's file does not name the callee
CALLED_BY_VALUE = {
    ("engine/kernel.py", "engine/handlers/"): "engine/handlers/table.py has the handler of each kind of record",
    ("engine/risk/review.py", "engine/risk/rules/"): "every module of the package lists its rules",
    ("engine/sequencer.py", "journal/writer.py"): "the sequencer is given the function that appends",
    ("engine/strategy/decider.py", "engine/strategy/api.py"): "the strategy's own code calls the view",
    ("engine/live/gateway.py", "engine/live/transport/"): "`begin_now` returns the function that receives the answer",
    ("engine/record_codec.py", "journal/record.py"): "the writer of a body calls those of its fields",
    ("engine/step_context.py", "engine/record_codec.py"): "the text of a body is written by the writer of its type",
    ("engine/step_context.py", "journal/record.py"): "the writer of a body calls those of its fields",
    ("engine/step_context.py", "engine/state/"): "engine/state/account_fold.py has the reducers of each kind of change",
    ("engine/strategy/runner.py", "engine/strategy/api.py"): "a decision is tested for its truth",
}


OPERATORS = {"__contains__", "__getitem__", "__len__", "__iter__"}  # of a mapping: a caller writes no name


class Step(NamedTuple):
    """A function of the page, and the one above it that called it."""

    name: str
    file: str
    caller: str
    caller_file: str

    @property
    def called_as(self) -> str:
        """The word by which a caller names the function: its class, if the call makes an instance."""
        *before, last = self.name.split(".")
        return before[-1] if before and last in ("__init__", "__post_init__") else last


def steps() -> Iterator[Step]:
    above: list[tuple[str, str]] = []
    for line in (ROOT / "docs" / "walk.md").read_text().splitlines():
        if (found := LINE.match(line)) is not None:
            indent, name, file = found.groups()
            above[len(indent) // 2 :] = [(name, file)]
            yield Step(name, file, *(above[-2] if len(above) > 1 else ("", "")))


def test_each_function_of_the_walks_exists() -> None:
    walked = list(steps())
    assert len(walked) > 200
    text = {step.file: (ROOT / step.file).read_text() for step in walked}
    missing = [step.name for step in walked if f"def {step.name.rpartition('.')[2]}(" not in text[step.file]]
    assert missing == [], "`python benchmarks/call_paths.py --write` draws the walks again"


def test_each_function_is_below_one_that_calls_it() -> None:
    used, strangers = set(), []
    for step in steps():
        if step.name.rpartition(".")[2] in OPERATORS:
            continue
        if not step.caller or re.search(rf"\b{step.called_as}\b", (ROOT / step.caller_file).read_text()):
            continue
        reasons = [key for key in CALLED_BY_VALUE if key[0] == step.caller_file and step.file.startswith(key[1])]
        used.update(reasons)
        if not reasons:
            strangers.append(f"{step.caller} ({step.caller_file}) does not name {step.name}")
    assert strangers == [], "`python benchmarks/call_paths.py --write` draws the walks again"
    assert used == CALLED_BY_VALUE.keys()
