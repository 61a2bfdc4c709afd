"""A process that answers the tools of an assistant, so that a call which takes too long or too much memory can end.

Reads one JSON line for each call, `{"tool": name, "arguments": {...}}`, and writes one JSON line, `{"text": ...}` or
`{"error": ...}`. The kernel ends the process when a call takes longer than its time, also while machine code runs.

Every line of an answer, and of an error, is marked with `| `, also those that a line break in a recorded text begins:
it is data of venues, strategies and files. Only the line that says where an answer was cut has no mark.
"""

import json
import os
import resource
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from analysis.session_identity import SeveralSessionsError
from analysis.sql_session import QueryError
from analysis.why import UnknownOrderError
from engine.errors import CoreError
from engine.strategy.source_guard import StrategyError
from journal.errors import JournalError
from journal.printable import ELLIPSIS, printable
from replay.code_trust import UntrustedSourceError
from replay.moments import UnknownMomentError
from verbatim.assistant.explain_tools import TOOLS, ToolRefusedError
from verbatim.assistant.tool_limits import ANSWER_CHARACTERS_MAX, LINE_CHARACTERS_MAX, MARK, MEMORY_BYTES_MAX

REFUSALS = (
    ToolRefusedError,
    JournalError,
    QueryError,
    UnknownOrderError,
    UnknownMomentError,
    UntrustedSourceError,
    StrategyError,
    SeveralSessionsError,
    CoreError,
    ValueError,
)


def bounded_text(lines: Iterable[str]) -> str:
    """Return lines as marked text of bounded length. If it was cut, its last line says where and what to do."""
    marked: list[str] = []
    room = ANSWER_CHARACTERS_MAX
    cut = 0
    for line in (part for each in lines for part in each.splitlines() or [""]):
        text = MARK + _shortened(printable(line))
        if cut or len(text) >= room:
            cut += 1
            continue
        marked.append(text)
        room -= len(text) + 1
    if cut:
        marked.append(f"Cut here: {cut:,} more lines. What to do: ask for less, or select with the tool `sql`.")
    return "\n".join(marked)


def _shortened(line: str) -> str:
    return line if len(line) <= LINE_CHARACTERS_MAX else line[:LINE_CHARACTERS_MAX] + ELLIPSIS


def answer(root: Path, call: dict[str, Any]) -> dict[str, str]:
    """Return the answer to one call: `text`, or `error` with one line."""
    try:
        return {"text": bounded_text(TOOLS[call["tool"]](root, **call["arguments"]))}
    except REFUSALS as error:
        return {"error": MARK + _shortened(printable(" ".join(str(error).split())) or type(error).__name__)}
    except MemoryError:
        return {"error": "the answer needs more memory than it may use. What to do: ask for less."}


def main() -> None:
    """Answer calls until the input ends. Arguments: the folder, and the seconds that a call may take."""
    root, seconds = Path(sys.argv[1]), float(sys.argv[2])
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES_MAX, hard))
    wire = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not become an answer
    for line in sys.stdin:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        found = answer(root, json.loads(line))
        signal.setitimer(signal.ITIMER_REAL, 0)
        wire.write(json.dumps(found) + "\n")
        wire.flush()


if __name__ == "__main__":
    main()
