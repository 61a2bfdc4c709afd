"""One program run twice, with the fold compiled and as plain Python: what it prints, to be held against each other."""

import json
import os
import subprocess
import sys
from typing import Any


def both_ways(program: str, *words: object, strict: bool = True) -> tuple[Any, Any]:
    """What `program` prints as JSON, `[JIT, ...]`, behind its first item; `strict` makes its warnings errors."""
    answers = [
        json.loads(
            subprocess.run(
                [sys.executable, "-P", *(("-W", "error") if strict else ()), "-c", program, *map(str, words)],
                env={**os.environ, "VERBATIM_JIT": jit, "PYTHONPATH": os.pathsep.join(sys.path)},
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        )
        for jit in ("1", "0")
    ]
    assert [answer[0] for answer in answers] == [True, False]
    compiled, plain = (answer[1:] for answer in answers)
    return compiled, plain
