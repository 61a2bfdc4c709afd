"""ccxt, unchanged and from PyPI, trades on the simulated venue. The other clients: benchmarks/clients/run.py."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).resolve().parent.parent / "benchmarks" / "clients" / "run.py"
WANTED = os.environ.get("CI") == "true" or os.environ.get("VERBATIM_CLIENTS") == "1"


@pytest.mark.slow
@pytest.mark.skipif(not WANTED, reason="downloads ccxt: set VERBATIM_CLIENTS=1")
def test_ccxt_trades_on_the_venue() -> None:
    ended = subprocess.run([sys.executable, RUN, "ccxt"], capture_output=True, text=True, check=False, timeout=600)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "ccxt: passed" in ended.stdout
