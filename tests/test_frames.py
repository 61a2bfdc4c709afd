"""Taking frames many at once is taking them one by one: the same outputs, the same state, wherever the runs are cut."""

import gzip
from pathlib import Path

import pytest

from engine.apply.batch import Batch
from engine.kernel import kernel_of
from engine.session_record import EngineSettings
from journal.frame_runs import group_frames
from journal.record import Kind, Record
from replay.rebuild import fold_run
from verbatim.strategy_files import read_strategy
from verbatim.testing import VirtualSession, VirtualVenue

LINES = 4_000
PAIR = f"{Path(__file__).parent}/strategies/pair.py:Pair"


@pytest.fixture(scope="module")
def recorded(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    with gzip.open(shared_data / "captures/binance/spot_btcusdt_20240808.gz") as file:
        lines = [line for line, _ in zip(file, range(LINES), strict=False)]
    folder = tmp_path_factory.mktemp("frames") / "journal"
    engine = EngineSettings(checkpoint_every=700)
    session = VirtualSession(VirtualVenue(capture=lines), folder, strategies=[read_strategy(PAIR)], engine=engine)
    session.run(30)
    session.stop()
    return session.records


@pytest.mark.parametrize("size", [1, 2, 7, 512])
def test_any_cut_into_runs_gives_the_same(recorded: list[Record], size: int) -> None:
    kernel = kernel_of(recorded[0])
    one, many = kernel.begin(recorded[0]), kernel.begin(recorded[0])
    assert kernel.open_session(many, recorded[0]) == kernel.open_session(one, recorded[0])
    checked = 0
    for run in group_frames(iter(recorded[1:])):
        if run[0].kind not in (Kind.FEED, Kind.BROKER, Kind.LINK, Kind.TIMER, Kind.COMMAND):
            continue
        outputs = [output for record in run for output in kernel.step(one, Batch((record,))).outputs]
        at, found = 0, []
        while at < len(run):
            is_frame = run[at].kind is Kind.FEED and run[at].meta is None
            result = kernel.step(many, Batch(run[at : at + size] if is_frame else run[at : at + 1]))
            assert result.records, "the TIMERs are in the records"
            at += len(result.records)
            found += result.outputs
        assert found == outputs, run[0].seq
        if outputs:
            checked += 1
            assert (many.seq, many.inputs, many.next_due_ns) == (one.seq, one.inputs, one.next_due_ns)
    assert checked > 100
    assert many.digests() == one.digests()


@pytest.mark.parametrize("size", [2, 7, 512])
def test_a_rebuild_by_runs_is_one_by_records(recorded: list[Record], size: int) -> None:
    kernel = kernel_of(recorded[0])
    one, many = kernel.begin(recorded[0]), kernel.begin(recorded[0])
    longest = 0
    for number, run in enumerate(group_frames(iter(recorded[1:]))):
        for record in run:
            kernel.rebuild(one, record)
        for at in range(0, len(run), size):
            fold_run(kernel, many, run[at : at + size])
        longest = max(longest, len(run))
        assert (many.seq, many.time_ns, many.inputs, many.input_hash) == (
            one.seq,
            one.time_ns,
            one.inputs,
            one.input_hash,
        )
        if run[-1].kind is Kind.CHECKPOINT or number % 50 == 0:
            assert many.digests() == one.digests(), run[-1].seq
    assert longest > 30
    assert many.market.dump() == one.market.dump()
    assert many.account == one.account
