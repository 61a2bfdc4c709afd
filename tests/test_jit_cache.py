"""A damaged cache of machine code is no cache: the command compiles again, and its output is the same."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# runs the function of a new module, once for each file and damage; a process starts in half a second
SCRIPT = """
import importlib, json, sys
from pathlib import Path

import numpy as np

def call():
    sys.modules.pop("helper", None)
    total = importlib.import_module("helper").total
    return int(total(np.arange(5, dtype=np.int64))), len(total.stats.cache_hits)

def damages(data, other):
    middle = len(data) // 2
    return {
        "empty": b"",
        "cut off": data[:middle],
        "one bit": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
        "last byte": data[:-1] + bytes([data[-1] ^ 0x80]),
        "longer": data + bytes(1),
        "zeros": bytes(len(data)),
        "no hash": data[36:],
        "another file": other,
    }

results = {"new": call(), "cached": call()}
files = {path.suffix: path for path in Path(sys.argv[1]).rglob("*total*") if path.suffix in (".nbi", ".nbc")}
for suffix, path in files.items():
    [other] = [other for other in files.values() if other is not path]
    for name, damaged in damages(path.read_bytes(), other.read_bytes()).items():
        path.write_bytes(damaged)
        print(suffix, name, flush=True, file=sys.stderr)
        results[f"{suffix} {name}"] = [*call(), path.read_bytes() != damaged]
print(json.dumps(results))
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
DAMAGES = ["empty", "cut off", "one bit", "last byte", "longer", "zeros", "no hash", "another file"]


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[object]]:
    """Return what each call gave: the sum, the number of functions that came from the cache, and if they were written."""
    folder = tmp_path_factory.mktemp("jit")
    (folder / "helper.py").write_text(HELPER)
    paths = os.pathsep.join([str(folder), str(Path(__file__).parent.parent)])
    environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache"), "PYTHONPATH": paths, "VERBATIM_JIT": "1"}
    command = [sys.executable, "-P", "-c", SCRIPT, str(folder / "cache")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_what_was_compiled_once_is_loaded(calls: dict[str, list[object]]) -> None:
    assert (calls["new"], calls["cached"]) == ([10, 0], [10, 1])


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_compiled_again(calls: dict[str, list[object]], suffix: str, damage: str) -> None:
    """The damage was noticed: nothing was loaded, and the file was written again."""
    assert calls[f"{suffix} {damage}"] == [10, 0, True]
