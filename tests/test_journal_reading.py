"""Records selected by seq, time, kind and source equal a plain list's, in sealed and open segments."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiers import examples

from journal import seal, segments
from journal.arrow_codec import to_records
from journal.reader import Journal
from journal.record import Kind, Record
from journal.writer import JournalWriter

KINDS = (Kind.FEED, Kind.FEED, Kind.FACT, Kind.FEED, Kind.TIMER)
RECORDS = [
    Record(seq, 1000 + seq // 3 * 10, KINDS[seq % 5], f"source.{seq // 40}", payload=b"%d" % seq)
    if KINDS[seq % 5] is Kind.FEED
    else Record(seq, 1000 + seq // 3 * 10, KINDS[seq % 5], "own", body=str(seq))
    for seq in range(300)
]


@pytest.fixture(scope="module")
def journals(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Journal]]:
    """Return the same records sealed in segments of several row groups, and with a segment that is still open."""
    folder = tmp_path_factory.mktemp("journals")
    patch = pytest.MonkeyPatch()
    patch.setattr(seal, "GROUP_ROWS", 16)
    found = []
    for name in ("sealed", "open"):
        writer = JournalWriter.create(folder / name, segment_bytes=6000)
        for record in RECORDS:
            writer.append_step([record], urgent=record.seq % 7 == 0)
            if record.seq % 7 == 0:
                writer.wait_durable(record.seq, 60)
        writer.wait_durable(RECORDS[-1].seq, 60)
        if name == "sealed":
            writer.close()
        found.append(Journal.open(folder / name))
    assert len(found[0].sealed_paths()) > 3
    assert found[1].unsealed_rows().num_rows
    yield found
    writer.abandon()
    patch.undo()


@pytest.mark.slow
def test_a_time_is_the_last_record_at_or_before_it(journals: list[Journal]) -> None:
    for journal in journals:
        for time_ns in (0, 999, 1000, 1001, 1009, *range(1010, 2010, 7), 1990, 1999, 2**62):
            expected = max((record.seq for record in RECORDS if record.time_ns <= time_ns), default=-1)
            assert journal.seq_at(time_ns) == expected, time_ns


@pytest.mark.slow
@settings(max_examples=examples(60), deadline=None)
@given(data=st.data())
def test_selected_records_equal_a_plain_list(journals: list[Journal], data: st.DataObject) -> None:
    from_seq, to_seq = data.draw(st.integers(-5, 310)), data.draw(st.none() | st.integers(-5, 310))
    kinds = data.draw(st.none() | st.sets(st.sampled_from(Kind)))
    sources = data.draw(st.none() | st.sets(st.sampled_from(["own", "nobody", *(f"source.{n}" for n in range(8))])))
    expected = [
        record
        for record in RECORDS
        if from_seq <= record.seq <= (999 if to_seq is None else to_seq)
        and (kinds is None or record.kind in kinds)
        and (sources is None or record.source in sources)
    ]
    for journal in journals:
        assert list(journal.records(from_seq, to_seq, kinds=kinds, sources=sources)) == expected
        batches = journal.batches(from_seq, ["seq", "body"], to_seq=to_seq, kinds=kinds, sources=sources)
        rows = [(row["seq"], row["body"]) for batch in batches for row in batch.to_pylist()]
        assert rows == [(record.seq, record.body) for record in expected]


def test_payloads_are_not_read_if_no_row_matches(journals: list[Journal], monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[str, ...] | None] = []
    whole = segments.SealedSegment._group

    def watched(self: segments.SealedSegment, group: int, columns: tuple[str, ...] | None) -> object:
        read.append(columns)
        return whole(self, group, columns)

    monkeypatch.setattr(segments.SealedSegment, "_group", watched)
    found = [record for batch in journals[0].batches(sources=["source.5"]) for record in to_records(batch)]
    assert {record.source for record in found} == {"source.5"}
    assert read.count(None) < read.count(("kind", "source")) / 3
