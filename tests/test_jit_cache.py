"""A damaged, foreign or stale cache of machine code is no cache: functions are compiled again, with the same result."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from constants_of import files_of_constants
from numba.core.caching import NullCache

from engine.market import code_folder
from engine.market.jit import JIT, compiled
from engine.market.jit_cache import CheckedCacheFile
from engine.market.made_quotes import half_spread

# imports a module's function as a new process does, once for each file and damage; a process starts in half a second
SCRIPT = """
import importlib, json, sys
from pathlib import Path

def call():
    sys.modules.pop("engine.market.made_quotes", None)
    made = importlib.import_module("engine.market.made_quotes").half_spread
    return int(made(1_000_000_000, 50)), len(made.stats.cache_hits)

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
files = {path.suffix: path for path in Path(sys.argv[1]).rglob("*half_spread*") if path.suffix in (".nbi", ".nbc")}
for suffix, path in files.items():
    [other] = [other for other in files.values() if other is not path]
    for name, damaged in damages(path.read_bytes(), other.read_bytes()).items():
        path.write_bytes(damaged)
        print(suffix, name, flush=True, file=sys.stderr)
        results[f"{suffix} {name}"] = [*call(), path.read_bytes() != damaged]
print(json.dumps(results))
"""
DAMAGES = ["empty", "cut off", "one bit", "last byte", "longer", "zeros", "no hash", "another file"]


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[object]]:
    """Return what each call gave: the result, the number of functions that came from the cache, and if they were written."""
    folder = tmp_path_factory.mktemp("jit")
    root = str(Path(__file__).parent.parent)
    environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache"), "PYTHONPATH": root, "VERBATIM_JIT": "1"}
    command = [sys.executable, "-P", "-c", SCRIPT, str(folder / "cache")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_what_was_compiled_once_is_loaded(calls: dict[str, list[object]]) -> None:
    assert (calls["new"], calls["cached"]) == ([50000, 0], [50000, 1])


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_compiled_again(calls: dict[str, list[object]], suffix: str, damage: str) -> None:
    """The damage was noticed: nothing was loaded, and the file was written again."""
    assert calls[f"{suffix} {damage}"] == [50000, 0, True]


def test_versions_that_two_processes_save_at_once_have_files_of_their_own(tmp_path: Path) -> None:
    """Each read the index before the other wrote it, so the index of the last one has only its own version."""
    cache = CheckedCacheFile(str(tmp_path), "function", "stamp")
    index = tmp_path / "function.nbi"
    cache.save("of integers", "its code")
    last = index.read_bytes()
    index.unlink()  # the other process has not seen it
    cache.save("of floats", "other code")
    index.write_bytes(last)
    assert (cache.load("of integers"), cache.load("of floats")) == ("its code", None)


@pytest.mark.skipif(not JIT, reason="nothing is compiled")
def test_a_function_of_other_sources_is_kept_nowhere() -> None:
    """Its file is in no key, so an edited constant beside it would leave stale code."""
    assert isinstance(compiled(lambda x: 2 * x)._cache, NullCache)
    assert not isinstance(half_spread._cache, NullCache)


def test_each_file_whose_constants_are_compiled_is_in_the_key() -> None:
    found = files_of_constants()
    names = {path.name for path in found}
    assert {"venue_arrays.py", "head.py", "rows.py", "row_loop.py"} <= names, "the files are found"
    assert found <= code_folder.compiled_sources()


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the engine's sources whose key is made."""
    engine = tmp_path / "engine"
    for name in ("market", "sim", "venues"):
        shutil.copytree(code_folder._ENGINE / name, engine / name, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code_folder, "_ENGINE", engine)
    monkeypatch.setattr(code_folder, "compiled_sources", code_folder.compiled_sources.__wrapped__)
    return engine


def test_an_edited_constant_has_another_folder(copied: Path) -> None:
    """Also one in a file that compiles nothing itself; a file without constants of the kernels changes nothing."""
    first = code_folder.folder_name()
    for name in ("sim/exchange/venue_arrays.py", "venues/neutral/head.py", "market/rows.py"):
        before = (copied / name).read_text()
        (copied / name).write_text(before + "# edited\n")
        assert code_folder.folder_name() != first, name
        (copied / name).write_text(before)
    (copied / "sim/exchange/exchange.py").write_text("")
    assert code_folder.folder_name() == first


@pytest.mark.parametrize(
    ("place", "name", "value"),
    [
        (code_folder, "get_host_cpu_name", lambda: "another"),
        (code_folder.np, "__version__", "0.1"),
        (code_folder.llvmlite, "__version__", "0.1"),
        (code_folder.sys, "version", "2.7"),
        (code_folder.platform, "machine", lambda: "another"),
    ],
)
def test_another_machine_or_version_has_another_folder(
    place: object, name: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = code_folder.folder_name()
    with monkeypatch.context() as changed:
        changed.setattr(place, name, value)
        assert code_folder.folder_name() != first
    assert code_folder.folder_name() == first


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that an image ships for exactly this code, with one function."""
    shipped = tmp_path / "shipped" / code_folder.folder_name()
    (shipped / "market").mkdir(parents=True)
    (shipped / "market" / "function.nbi").write_text("index")
    (shipped / "market" / "function.1.nbc").write_text("code")
    monkeypatch.setenv("VERBATIM_CODE", str(shipped.parent))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return shipped


def test_code_of_an_image_is_copied_to_the_user(image: Path, tmp_path: Path) -> None:
    """Once: code in the user's folder stays. A folder without code gets it too."""
    (tmp_path / "cache" / "verbatim" / image.name).mkdir(parents=True)
    folder = code_folder.code_folder()
    assert folder is not None
    assert folder.name == image.name
    assert (folder / "market" / "function.1.nbc").read_text() == "code"
    (folder / "market" / "function.1.nbc").write_text("own code")
    assert code_folder.code_folder() == folder
    assert (folder / "market" / "function.1.nbc").read_text() == "own code"
    assert sorted(path.name for path in folder.parent.iterdir()) == [folder.name], "nothing half-copied is left"


def test_code_of_another_state_in_an_image_is_not_copied(image: Path) -> None:
    image.rename(image.with_name("another"))
    folder = code_folder.code_folder()
    assert folder is not None
    assert not code_folder.has_code(folder)


def test_code_that_no_process_began_with_for_a_month_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a new state begins. Its own code counts as used at each start, and other folders there are no code."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("VERBATIM_CODE", raising=False)
    root = tmp_path / "verbatim"
    month_s = code_folder.UNUSED_DAYS * 86_400
    for name, age_s in (("0123456789abcdef", month_s + 60), ("fedcba9876543210", month_s - 60), ("sessions", 9e8)):
        (root / name / "market").mkdir(parents=True)
        (root / name / "market" / "function.nbi").write_text("index")
        used_s = time.time() - age_s
        os.utime(root / name, (used_s, used_s))
    for _ in range(2):
        folder = code_folder.code_folder()
        assert folder is not None
        assert {path.name for path in root.iterdir()} == {folder.name, "fedcba9876543210", "sessions"}
        os.utime(folder, (0, 0))  # the second start comes late
    assert code_folder.code_folder() == folder
    assert folder.stat().st_mtime > time.time() - month_s


def test_without_a_place_to_write_nothing_is_kept(image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert code_folder.code_folder() is None


def test_copies_at_once_do_not_disturb_each_other(image: Path, tmp_path: Path) -> None:
    """The second copy finds the folder of the first."""
    code_folder.copy_code(image, tmp_path / "target")
    with pytest.raises(OSError, match="target"):
        code_folder.copy_code(image, tmp_path / "target")
    assert (tmp_path / "target" / "market" / "function.nbi").read_text() == "index"
    assert (tmp_path / "target" / "market" / "function.nbi").stat().st_mode & 0o777 == 0o644
