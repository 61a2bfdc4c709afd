"""The strict replay: four processes agree after every input, or the record and the part of state are named."""

from pathlib import Path

import pytest

from journal.reader import Journal
from replay.strict import DIGEST_ROW, first_disagreement, replay_strictly
from tests.replaying import QUOTER, first_record, reseal, sealed

# decides by the order of a set of texts, which differs from one hash seed to another
FICKLE = QUOTER.replace(
    "        state.quotes += 1\n",
    '        state.quotes += len(next(iter({"a", "bb", "ccc", "dddd", "eeeee", "ffffff"})))\n',
)


@pytest.mark.slow
def test_two_hash_seeds_compiled_and_plain_agree_at_every_record(tmp_path: Path) -> None:
    folder = sealed(tmp_path / "s", seconds=1)
    verdict = replay_strictly(folder)
    assert verdict.identical, verdict.text()
    assert verdict.variants == (
        "compiled, hash seed 1",
        "compiled, hash seed 2",
        "plain, hash seed 1",
        "plain, hash seed 2",
    )
    assert verdict.records == Journal.open(folder).last_seq + 1
    assert verdict.text().endswith("replay: identical")


@pytest.mark.slow
def test_a_strategy_that_depends_on_the_hash_seed_is_named_with_the_part_of_state(tmp_path: Path) -> None:
    folder = sealed(tmp_path / "s", source=FICKLE, seconds=1)
    verdict = replay_strictly(folder)
    changed = first_record(folder, lambda record: "strategy_changed" in (record.body or ""))
    assert not verdict.identical
    assert verdict.difference_seq == changed.cause, "the first input on which it decided"
    assert f"disagree after record {changed.cause} in account.strategies" in verdict.what
    assert verdict.text().endswith(f"replay: differs at seq {changed.cause}")


@pytest.mark.slow
def test_a_difference_from_the_record_in_all_variants_is_reported(tmp_path: Path) -> None:
    folder = sealed(tmp_path / "s", seconds=1)
    fact = first_record(folder, lambda record: '"fact":"balance"' in (record.body or ""))
    copy = reseal(folder, tmp_path / "copy", fact.seq, body=(fact.body or "").replace('"free":"', '"free":"9'))
    verdict = replay_strictly(copy)
    assert not verdict.identical
    assert verdict.difference_seq == fact.seq
    assert "FACT balance differs in body (free: " in verdict.what


def test_a_shorter_digest_file_disagrees_at_its_end(tmp_path: Path) -> None:
    rows = [(n).to_bytes(8, "little") + bytes(DIGEST_ROW.itemsize - 8) for n in range(1, 6)]
    (tmp_path / "a").write_bytes(b"".join(rows))
    (tmp_path / "b").write_bytes(b"".join(rows[:3]))
    assert first_disagreement([tmp_path / "a", tmp_path / "a"]) is None
    assert first_disagreement([tmp_path / "a", tmp_path / "b"]) == 4
