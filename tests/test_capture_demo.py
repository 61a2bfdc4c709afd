"""Both real spot captures, played to a live session at 60 times their pace, checked from the sealed journal alone.

The checks are benchmarks/capture_check.py, which also runs the strict replay to its end.
"""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

CHECKS = Path(__file__).resolve().parent.parent / "benchmarks" / "capture_check.py"


@pytest.fixture(scope="module")
def checks() -> Any:
    spec = importlib.util.spec_from_file_location("capture_check", CHECKS)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize(("name", "public_messages"), [("spot_btcusdt", 41_248 + 1), ("spot_ethusdt", 33_617 + 1)])
def test_a_capture_is_in_the_journal_and_its_books_are_the_known_ones(
    shared_data: Path, tmp_path: Path, checks: Any, name: str, public_messages: int
) -> None:
    found = checks.check(shared_data, name, tmp_path, speed=60, strict_until="2500")
    assert found["wrong"] == []
    assert found["public_messages"] == public_messages
    assert found["other_public"] == {"exchange_info at the start": 1, "server_time": 1}
    assert found["book_points"] == 7
    assert found["verify"]["ok"]
    assert found["replay"] == "identical"
    assert found["strict"]["identical"]
    assert found["strict"]["compared"] > 2_000
    assert found["orders"] >= 20
    assert found["fills"] > 0


def test_a_message_that_is_missing_or_altered_is_named(checks: Any) -> None:
    expected = [b"one", b"two", b"three"]
    assert checks.messages_differ(expected, expected) == []
    assert checks.messages_differ([b"one", b"three"], expected) == ["2 public messages of 3; the first that differs is line 1"]
    assert checks.messages_differ([b"one", b"two"], expected) == ["2 public messages of 3; the first that differs is line 2"]
