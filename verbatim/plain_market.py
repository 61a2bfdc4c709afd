"""The market's functions as plain Python, for commands that decode so few messages that Numba's import takes longer."""

import os
import sys
from importlib import import_module

_COMPILER = "engine.market.jit"
RECORDS_MAX = 10_000  # of a session whose messages are decoded here: at most as many


def load_plain() -> None:
    """Load the functions uncompiled, unless this process has them or `VERBATIM_JIT` says how. The results are equal."""
    if _COMPILER in sys.modules or "VERBATIM_JIT" in os.environ:
        return
    os.environ["VERBATIM_JIT"] = "0"
    try:
        import_module(_COMPILER)
    finally:
        del os.environ["VERBATIM_JIT"]
