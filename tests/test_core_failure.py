"""When our own core fails on a record: the record is kept, the error names it, and a restart says so too."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.errors import CoreError
from engine.kernel import Kernel, kernel_of
from engine.sequencer import Arrival, Sequencer
from engine.session import ClockSettings, SessionBody, VenueSettings
from journal.reader import Journal
from journal.record import Kind, Record
from journal.writer import JournalWriter
from verbatim.testing import VirtualVenue

BROKEN = """
from engine.venues.binance_spot import BinanceSpot


class Market:
    def decode(self, payload, source, seq, time_ns):
        return 1 // (len(payload) - len(b"poison"))

    decode_snapshot = decode


class Broken(BinanceSpot):
    name = "broken:Broken"
    market = Market()
"""


def test_the_record_that_broke_the_core_is_in_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken.py").write_text(BROKEN)
    monkeypatch.syspath_prepend(tmp_path)
    venue = VirtualVenue()
    body = SessionBody(
        session="aaaaaaaa",
        started_ns=venue.now_ns,
        clock=ClockSettings(),
        seed=1,
        host="test",
        versions={},
        venues=(VenueSettings(name="broken:Broken"),),
        instruments=tuple(replace(found, venue="broken:Broken") for found in venue.instruments()),
        strategies=(),
    )
    writer = JournalWriter.create(tmp_path / "journal", sync=False)

    def append(records: Sequence[Record], urgent: bool) -> None:
        writer.append_step(records, urgent=urgent)

    sequencer = Sequencer(Kernel(body), append)
    sequencer.begin(body)
    poison = Arrival(Kind.FEED, "broken:Broken.market.0", payload=b"poison")
    with pytest.raises(
        CoreError, match=r"record 4 \(FEED from broken:Broken.market.0\) broke the core: ZeroDivisionError"
    ):
        sequencer.take(poison, venue.now_ns)
    writer.close(final=False)

    records = list(Journal.open(tmp_path / "journal").records())
    assert records[-1].payload == b"poison"
    kernel = kernel_of(records[0])
    state = kernel.begin(records[0])
    for record in records[1:-1]:
        kernel.rebuild(state, record)
    with pytest.raises(ZeroDivisionError):
        kernel.rebuild(state, records[-1])
    assert state.seq == records[-1].seq, "a restart can say which record it was"
