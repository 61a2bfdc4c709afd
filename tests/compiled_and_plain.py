"""A program run twice, with the compiled fold and with the plain Python fold, to compare their output."""

import json
import os
import subprocess
import sys
from typing import Any


def both_ways(program: str, *words: object, strict: bool = True) -> tuple[Any, Any]:
    """Return the JSON list that `program` prints in both ways, without its first item, which is JIT.

    `strict` turns its warnings into errors.
    """
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
