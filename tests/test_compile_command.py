"""`verbatim compile`: machine code before the first session. No test here compiles: the parts are a list."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from engine.market import jit
from verbatim import warmup
from verbatim.cli import main


def compile_(monkeypatch: pytest.MonkeyPatch, folder: Path | None, *words: str) -> Result:
    """Run the command; the compiler puts one function into a folder."""

    def compile_all() -> Iterator[str]:
        yield "the market's fold"
        assert folder is not None
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "market.function-1.code").write_text("code")

    monkeypatch.setattr(jit, "JIT", True)
    monkeypatch.setattr(jit, "kept_code", lambda: folder)
    monkeypatch.setattr(warmup, "compile_all", compile_all)
    return CliRunner().invoke(main, ["compile", *words])


def test_code_is_compiled_into_the_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = compile_(monkeypatch, tmp_path / "key")
    assert (done.exit_code, done.stdout) == (0, f"compiled code is in {tmp_path / 'key'}\n")


def test_code_is_copied_to_the_folder_of_an_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second time it has the code already."""
    for _ in range(2):
        done = compile_(monkeypatch, tmp_path / "key", "--into", str(tmp_path / "for" / "image"))
        assert (done.exit_code, done.stdout) == (0, f"compiled code is in {tmp_path / 'for' / 'image' / 'key'}\n")
    assert (tmp_path / "for" / "image" / "key" / "market.function-1.code").read_text() == "code"


def test_what_cannot_be_compiled_or_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    for folder, words, code, named in (
        (None, (), 3, "XDG_CACHE_HOME"),
        (tmp_path / "key", ("--into", str(tmp_path / "file" / "below")), 3, "cannot be written"),
        (tmp_path / "key", ("--into", str(tmp_path / "file")), 2, "is a file"),
    ):
        done = compile_(monkeypatch, folder, *words)
        assert (done.exit_code, named in done.stderr) == (code, True), done.stderr
    monkeypatch.setattr(jit, "JIT", False)
    refused = CliRunner().invoke(main, ["compile"])
    assert (refused.exit_code, "VERBATIM_JIT=0" in refused.stderr) == (3, True)
