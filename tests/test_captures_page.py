"""docs/captures.md: every capture of the shared data is in the table, and rows that cost little are as they are written."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def program(shared_data: Path) -> ModuleType:
    """Return benchmarks/all_captures.py."""
    assert shared_data.is_dir()
    spec = importlib.util.spec_from_file_location("all_captures", ROOT / "benchmarks" / "all_captures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["all_captures"] = module
    spec.loader.exec_module(module)
    return module


def test_every_file_of_a_capture_is_in_the_table(program: ModuleType) -> None:
    listed = {file for group in program.groups() for file in group.files}
    assert listed == program.captured_files()
    page = program.PAGE.read_text("utf-8")
    for group in program.groups():
        rows = [line for line in page.splitlines() if line.startswith(f"| {group.name} |")]
        assert rows, group.name
        assert all(Path(file).name in row for file in group.files for row in rows)


@pytest.mark.parametrize("name", ["cryptofeed BINANCE", "cryptofeed BITSTAMP", "IBM minutes"])
def test_a_row_is_what_the_command_finds(program: ModuleType, tmp_path: Path, name: str) -> None:
    (group,) = (group for group in program.groups() if group.name == name)
    page = program.PAGE.read_text("utf-8").splitlines()
    assert list(program.rows_of(group, tmp_path)) == [line for line in page if line.startswith(f"| {name} |")]
