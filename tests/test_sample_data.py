"""The package's own market: a backtest of it needs no file and no network."""

import importlib.util
from pathlib import Path

import pytest
from bar_files import fills, verbatim

from journal.verify import verify
from verbatim.sample_data import FILE, sample_session

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
def test_the_sample_trades_in_one_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    strategy = ROOT / "examples" / "ma_cross.py"
    words = ["--strategy", f"{strategy}:MovingAverageCross", "--balance", "USDT=100000", "--into", tmp_path / "tested"]
    assert "P&L after fees" in verbatim("backtest", "sample", *words)
    assert len(fills(tmp_path / "tested")) > 3
    assert verify(sample_session()).ok
    assert "identical" in verbatim("replay", tmp_path / "tested")
    assert sample_session() == sample_session(), "it is imported once"


def test_the_sample_is_what_its_program_writes() -> None:
    import lzma

    spec = importlib.util.spec_from_file_location("make_sample", ROOT / "benchmarks" / "make_sample.py")
    assert spec is not None
    assert spec.loader is not None
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    assert lzma.decompress(FILE.read_bytes()) == program.lines()
