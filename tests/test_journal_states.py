"""Any sequence of append, wait, roll, seal, close, crash, recover and read leaves a journal that equals a plain list."""

import shutil
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tiers import examples

from journal.errors import JournalFailedError, JournalLockedError
from journal.reader import Journal
from journal.record import Kind, Record
from journal.recover import recover
from journal.tail import Follower
from journal.verify import verify
from journal.writer import JournalWriter

pytestmark = pytest.mark.slow

PATIENCE_S = 60.0
texts = st.none() | st.text(st.characters(codec="utf-8"), max_size=20)
numbers = st.none() | st.integers(-(2**63), 2**63 - 1)


@st.composite
def columns(draw: st.DrawFn) -> dict[str, object]:
    """Draw the fields of a record, and the time since the record before it."""
    wire = draw(st.booleans())
    return {
        "later_ns": draw(st.integers(0, 2**40)),
        "kind": draw(st.sampled_from(Kind)),
        "source": draw(st.sampled_from(["a", "b.c", "", "ü"])),
        "cause": draw(numbers),
        "key": draw(texts),
        "recv_ns": draw(numbers),
        "meta": draw(texts),
        "payload": draw(st.binary(max_size=300)) if wire else None,
        "body": None if wire else draw(texts) or "",
    }


SEGMENTS, GROUPS = st.sampled_from([1, 3000, 1 << 20]), st.sampled_from([1, 5, 256])
writing = precondition(lambda self: self.writer is not None)
ended = precondition(lambda self: self.writer is None)


class JournalStates(RuleBasedStateMachine):
    """`expected` is the plain list. During writing, and between a crash and its recovery, a prefix is enough."""

    def __init__(self) -> None:
        super().__init__()
        self.root, self.sessions = Path(tempfile.mkdtemp()), 0

    @initialize(segment_bytes=SEGMENTS, group_rows=GROUPS)
    def begin(self, segment_bytes: int, group_rows: int) -> None:
        self._begin(segment_bytes, group_rows)

    @rule(segment_bytes=SEGMENTS, group_rows=GROUPS)
    @ended
    def begin_another(self, segment_bytes: int, group_rows: int) -> None:
        with pytest.raises(JournalFailedError, match="exists already"):
            JournalWriter.create(self.folder)
        self._begin(segment_bytes, group_rows)

    def _begin(self, segment_bytes: int, group_rows: int) -> None:
        if self.sessions:
            self.follower.close()
        self.folder = self.root / f"{self.sessions}"
        self.sessions += 1
        self.expected: list[Record] = []
        self.durable_seq, self.whole, self.closed = -1, False, False
        self.writer: JournalWriter | None = JournalWriter.create(
            self.folder, segment_bytes=segment_bytes, group_rows=group_rows, group_delay_s=0.001, sync_delay_s=0.002
        )
        self.follower, self.followed = Follower(self.folder), list[Record]()

    @rule(step=st.lists(columns(), min_size=1, max_size=6), urgent=st.booleans())
    @writing
    def append(self, step: list[dict[str, object]], urgent: bool) -> None:
        time_ns, records = self.expected[-1].time_ns if self.expected else 0, []
        for seq, fields in enumerate(step, len(self.expected)):
            time_ns += fields["later_ns"]
            records.append(
                Record(seq, time_ns, **{name: value for name, value in fields.items() if name != "later_ns"})
            )
        self.writer.append_step(records, urgent=urgent)
        self.expected += records

    @rule()
    @writing
    def wait_until_durable(self) -> None:
        if self.expected:
            assert self.writer.wait_durable(len(self.expected) - 1, PATIENCE_S).seq == len(self.expected) - 1

    @rule()
    @writing
    def wait_until_sealed(self) -> None:
        until_s = time.monotonic() + PATIENCE_S
        while len(list(self.folder.glob("*.open"))) > 1:
            assert time.monotonic() < until_s
            time.sleep(0.001)

    @rule()
    @writing
    def recover_what_is_being_written(self) -> None:
        with pytest.raises(JournalLockedError):
            recover(self.folder)

    @rule(final=st.booleans())
    @writing
    def close(self, final: bool) -> None:
        assert self.writer.close(final=final).last_seq == len(self.expected) - 1
        self.writer, self.whole, self.closed = None, True, final

    @rule(torn=st.binary(max_size=50))
    @writing
    def crash(self, torn: bytes) -> None:
        """Lose the records in memory, and leave a part of a frame on the disk."""
        self.durable_seq = self.writer.durable_seq
        self.writer.abandon()
        self.writer = None
        with max(self.folder.glob("*.open")).open("ab") as file:
            file.write(torn)

    @rule()
    @ended
    def recover(self) -> None:
        """Recover the session. For a closed session this changes nothing."""
        found = recover(self.folder)
        if self.whole:
            assert found.last_seq == len(self.expected) - 1
            assert found.sealed_now == 0
        assert found.last_seq >= self.durable_seq
        assert found.was_closed == self.closed
        self.expected, self.whole = self.expected[: found.last_seq + 1], True
        report = verify(self.folder)
        assert (report.problems, report.notes) == ([], [])
        assert (report.records, report.chain, report.closed) == (len(self.expected), found.chain, self.closed)

    @rule()
    def read(self) -> None:
        durable_seq = self.durable_seq if self.writer is None else self.writer.durable_seq
        journal = Journal.open(self.folder)
        found = list(journal.records())
        assert found == self.expected[: len(found)]
        assert len(found) > durable_seq
        assert not self.whole or len(found) == len(self.expected)
        assert journal.closed == self.closed
        middle = len(found) // 2
        assert list(journal.records(middle, middle + 3)) == found[middle : middle + 4]
        assert sum(batch.num_rows for batch in journal.batches(middle, ["seq"])) == len(found) - middle

    @rule()
    def follow(self) -> None:
        """Poll the follower: no record is missed or repeated, even across a crash and its recovery."""
        self.followed += self.follower.poll()
        assert self.followed == self.expected[: len(self.followed)]
        assert not self.whole or len(self.followed) == len(self.expected)
        assert self.follower.ended == self.closed

    @invariant()
    def durable_only_grows(self) -> None:
        if self.writer is not None:
            assert self.writer.failed is None
            assert self.durable_seq <= self.writer.durable_seq < len(self.expected)
            self.durable_seq = self.writer.durable_seq

    def teardown(self) -> None:
        if self.writer is not None:
            self.writer.abandon()
        self.follower.close()
        shutil.rmtree(self.root)


JournalStates.TestCase.settings = settings(
    max_examples=examples(120), stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestJournalStates = JournalStates.TestCase
