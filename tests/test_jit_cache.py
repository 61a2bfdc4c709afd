"""A damaged cache of machine code is no cache: the command compiles again, and its output is the same."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import numpy as np
from helper import total
print(total(np.arange(5, dtype=np.int64)), len(total.stats.cache_hits))
"""
HELPER = """
from engine.market.jit import compiled

@compiled
def total(row):
    found = 0
    for value in row:
        found += value
    return found
"""


def run(folder: Path) -> tuple[str, str]:
    paths = os.pathsep.join([str(folder), str(Path(__file__).parent.parent)])
    environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache"), "PYTHONPATH": paths, "VERBATIM_JIT": "1"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", SCRIPT], capture_output=True, text=True, env=environment, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    total, hits = done.stdout.split()
    return total, hits


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("jit")
    (folder / "helper.py").write_text(HELPER)
    assert run(folder) == ("10", "0")
    assert run(folder) == ("10", "1")
    return folder


def damages(data: bytes, other: bytes) -> dict[str, bytes]:
    middle = len(data) // 2
    return {
        "empty": b"",
        "cut off": data[:middle],
        "one bit": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
        "last byte": data[:-1] + bytes([data[-1] ^ 0x80]),
        "longer": data + b"\0",
        "zeros": bytes(len(data)),
        "no hash": data[36:],
        "another file": other,
    }


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@pytest.mark.parametrize(
    "damage", ["empty", "cut off", "one bit", "last byte", "longer", "zeros", "no hash", "another file"]
)
def test_a_damaged_cache_is_compiled_again(cached: Path, suffix: str, damage: str) -> None:
    [path] = (cached / "cache").rglob(f"*total*{suffix}")
    [other] = [path for path in (cached / "cache").rglob("*total*") if path.suffix != suffix]
    good = path.read_bytes()
    path.write_bytes(damages(good, other.read_bytes())[damage])
    assert run(cached) == ("10", "0")  # the fault struck: nothing was loaded
    assert path.read_bytes() != damages(good, other.read_bytes())[damage]  # it was written again
