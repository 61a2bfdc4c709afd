"""A damaged, foreign or stale cache of machine code is no cache: functions are compiled again, with the same result."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from constants_of import files_of_constants

from engine.market import code_folder
from engine.market.fold.dense_book import room_of
from engine.market.jit import JIT, compiled, entry_of, kept_code
from engine.market.made_quotes import half_spread

ROOT = Path(__file__).parent.parent

# imports a module's function as a new process does, once for each damage; a process starts in half a second
SCRIPT = """
import importlib, json, sys
from pathlib import Path

def call():
    sys.modules.pop("engine.market.made_quotes", None)
    return int(importlib.import_module("engine.market.made_quotes").half_spread(1_000_000_000, 50))

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

def result():
    inode = path.stat().st_ino
    return call(), path.stat().st_ino != inode

folder = Path(sys.argv[1])
call()
[path] = folder.rglob("*half_spread*.code")
whole = path.read_bytes()
results = {"cached": result()}
importlib.import_module("engine.market.made_quotes").made_bid(1_000_000_000, 50, 1)
[other] = folder.rglob("*made_bid*.code")
for name, damaged in damages(whole, other.read_bytes()).items():
    path.write_bytes(damaged)
    print(name, flush=True, file=sys.stderr)
    results[name] = [*result(), *result()]
print(json.dumps(results))
"""
DAMAGES = ["empty", "cut off", "one bit", "last byte", "longer", "zeros", "no hash", "another file"]


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[object]]:
    """Return what two calls after each damage gave: the result, and if the file was written."""
    folder = tmp_path_factory.mktemp("jit")
    environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache"), "PYTHONPATH": str(ROOT), "VERBATIM_JIT": "1"}
    command = [sys.executable, "-P", "-c", SCRIPT, str(folder / "cache")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_what_was_compiled_once_is_loaded(calls: dict[str, list[object]]) -> None:
    assert calls["cached"] == [50000, False]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_compiled_again(calls: dict[str, list[object]], damage: str) -> None:
    """The damage was noticed: the file was written again, and the next process loads it."""
    assert calls[damage] == [50000, True, 50000, False]


@pytest.mark.skipif(not JIT, reason="nothing is compiled")
def test_code_in_a_file_is_called_without_the_compiler(tmp_path: Path) -> None:
    """The first process compiles, the second loads. A division by zero raises in both."""
    command = (
        "import sys; from engine.market.made_quotes import made_bid\n"
        "print(made_bid(1_000_000_000, 50, 1), 'numba' in sys.modules)\n"
        "try: made_bid(1, 1, 0)\n"
        "except ZeroDivisionError as error: print(error)"
    )
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path), "VERBATIM_JIT": "1"}
    typed = [sys.executable, "-c", command]
    said = [
        subprocess.run(typed, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert said == [f"999950000 {imports_it}\ninteger modulo by zero\n" for imports_it in (True, False)]


@pytest.mark.skipif(not JIT, reason="nothing is compiled")
def test_machine_code_checks_the_types_of_its_arguments() -> None:
    """It was compiled for one type of array. Another type gets its own code, and an array with gaps none."""
    whole = np.zeros((2, 4_000), np.int64)
    room, code = room_of(whole), entry_of(room_of, whole)
    for other in (whole[:, ::2], whole.astype(np.float64), whole.astype(np.uint64), np.broadcast_to(0, (2, 4_000))):
        with pytest.raises(TypeError, match="another type, gaps"):
            code(other)
    assert room_of(whole.astype(np.uint64)) == room == room_of(whole)
    with pytest.raises(TypeError, match="contiguous"):
        room_of(whole[:, ::2])


@pytest.mark.skipif(not JIT, reason="nothing is compiled")
def test_a_function_of_other_sources_is_kept_nowhere() -> None:
    """Its file is in no key, so an edited constant beside it would leave stale code."""
    twice = compiled(lambda x: 2 * x)
    assert twice(21) == 42
    assert twice._folder is None
    assert half_spread._folder == kept_code()


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
        (code_folder, "numba_version", lambda: b"0.1"),
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
    shipped.mkdir(parents=True)
    (shipped / "market.function-1.code").write_text("code")
    monkeypatch.setenv("VERBATIM_CODE", str(shipped.parent))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return shipped


def test_code_of_an_image_is_copied_to_the_user(image: Path, tmp_path: Path) -> None:
    """Once: code in the user's folder stays. A folder without code gets it too."""
    (tmp_path / "cache" / "verbatim" / image.name).mkdir(parents=True)
    folder = code_folder.code_folder()
    assert folder is not None
    assert folder.name == image.name
    assert (folder / "market.function-1.code").read_text() == "code"
    (folder / "market.function-1.code").write_text("own code")
    assert code_folder.code_folder() == folder
    assert (folder / "market.function-1.code").read_text() == "own code"
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
        (root / name).mkdir(parents=True)
        (root / name / "market.function-1.code").write_text("code")
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
    assert (tmp_path / "target" / "market.function-1.code").read_text() == "code"
    assert (tmp_path / "target" / "market.function-1.code").stat().st_mode & 0o777 == 0o644
