"""The core fails on a record: the record is kept, the error names it, and a restart reports the same record."""

from pathlib import Path

import pytest
from calm_venue import CalmVenue
from msgspec.structs import replace

from engine.errors import CoreError
from engine.kernel import Kernel, kernel_of
from engine.sequencer import Arrival, Sequencer
from engine.session_record import ClockSettings, SessionBody, VenueSettings
from journal.reader import Journal
from journal.record import Kind
from journal.recover import recover
from journal.writer import JournalWriter
from replay.rebuild import rebuild
from replay.replay import replay_session
from verbatim.strategy_files import read_strategy
from verbatim.testing import VirtualSession

BROKEN = """
from engine.venues.binance_spot import BinanceSpot


class Market:
    def decode(self, payload, source, seq, time_ns):
        return 1 // (len(payload) - len(b"poison"))

    decode_snapshot = decode


class Broken(BinanceSpot):
    name = "broken"

    def __init__(self, instruments, recv_window_ms=5000):
        super().__init__(instruments, recv_window_ms)
        self.market = Market()
"""


STUMBLING = """
from msgspec.structs import replace

from engine.venues.binance_spot import BinanceSpot
from engine.venues.binance_spot.account import SpotAccount


class StumblingAccount(SpotAccount):
    def place(self, *order):
        raise RuntimeError("no words for an order")


class Stumbling(BinanceSpot):
    def __init__(self, instruments, recv_window_ms=5000):
        super().__init__(instruments, recv_window_ms)
        self.account = StumblingAccount(recv_window_ms)


class MumblingAccount(SpotAccount):
    def place(self, *order):
        request = super().place(*order)
        return replace(request, params=(("symbol", object()),))


class CancelsMumbling(SpotAccount):
    def cancel(self, *order):
        request = super().cancel(*order)
        return replace(request, params=(("symbol", object()),))


class Mute(BinanceSpot):
    def __init__(self, instruments, recv_window_ms=5000):
        super().__init__(instruments, recv_window_ms)
        self.account = CancelsMumbling(recv_window_ms)


class Mumbling(Stumbling):
    def __init__(self, instruments, recv_window_ms=5000):
        super().__init__(instruments, recv_window_ms)
        self.account = MumblingAccount(recv_window_ms)
"""


def test_the_record_that_broke_the_core_is_in_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken.py").write_text(BROKEN)
    monkeypatch.syspath_prepend(tmp_path)
    venue = CalmVenue()
    body = SessionBody(
        session="aaaaaaaa",
        started_ns=venue.now_ns,
        clock=ClockSettings(),
        seed=1,
        host="test",
        versions={},
        venues=(VenueSettings(name="broken:Broken"),),
        instruments=tuple(replace(found, venue="broken") for found in venue.instruments()),
        strategies=(),
    )
    writer = JournalWriter.create(tmp_path / "journal", sync=False)

    sequencer = Sequencer(Kernel(body), writer.append_step)
    sequencer.begin(body)
    poison = Arrival(Kind.FEED, "broken.market.0", payload=b"poison")
    with pytest.raises(CoreError, match=r"record 4 \(FEED from broken.market.0\) broke the core: ZeroDivisionError"):
        sequencer.accept(poison, venue.now_ns)
    writer.close(final=False)

    records = list(Journal.open(tmp_path / "journal").records())
    [broke, note, halt] = records[-3:]
    assert broke.payload == b"poison"
    assert (note.kind, halt.kind) == (Kind.NOTE, Kind.FACT)
    assert '"mode":"halted"' in (halt.body or "")
    kernel = kernel_of(records[0])
    state = kernel.begin(records[0])
    for record in records[1:-3]:
        kernel.rebuild(state, record)
    with pytest.raises(ZeroDivisionError):
        kernel.rebuild(state, broke)
    assert state.seq == broke.seq, "a restart can say which record it was"


@pytest.mark.parametrize(
    ("dialect", "words"), [("Stumbling", "RuntimeError: no words for an order"), ("Mumbling", "TypeError: ")]
)
def test_a_decision_that_breaks_leaves_a_halt_that_outlives_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dialect: str, words: str
) -> None:
    """Fold the input, drop every decision of the step, and let the next session wait for a person.

    The decision breaks while it is made, or while its records are written.
    """
    (tmp_path / "stumbling.py").write_text(STUMBLING)
    monkeypatch.syspath_prepend(tmp_path)
    venue = CalmVenue()
    chosen = read_strategy(f"{Path(__file__).parent}/strategies/once.py:Once")
    session = VirtualSession(venue, tmp_path / "one", strategies=[chosen], dialect=f"stumbling:{dialect}")
    with pytest.raises(CoreError, match=f"broke the core: {words}"):
        session.run(10)
    session.kill()
    recover(tmp_path / "one")
    verdict = replay_session(tmp_path / "one")
    assert verdict.identical, verdict.text()
    _, state, _ = rebuild(tmp_path / "one")
    assert f"broke the core: {words}" in state.account.modes.halted_for.text
    assert state.account.orders.all() == []
    again = VirtualSession(venue, tmp_path / "two", strategies=[chosen], session="bbbbbbbb", opening=state).run(10)
    assert again.state.account.modes.mode.value == "halted"
    assert not again.kinds(Kind.INTENT)


def test_a_cancel_that_cannot_be_written_does_not_cost_the_record_of_the_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The core fails at the cancel of a stop, and again at the cancel that follows the failure."""
    (tmp_path / "stumbling.py").write_text(STUMBLING)
    monkeypatch.syspath_prepend(tmp_path)
    chosen = read_strategy(f"{Path(__file__).parent}/strategies/once.py:Once", parameters={"below": "100"})
    session = VirtualSession(CalmVenue(), tmp_path / "one", strategies=[chosen], dialect="stumbling:Mute").run(10)
    [order] = session.state.account.orders.live
    with pytest.raises(CoreError, match="broke the core: TypeError: "):
        session.stop()
    session.kill()
    recover(tmp_path / "one")
    verdict = replay_session(tmp_path / "one")
    assert verdict.identical, verdict.text()
    records = list(Journal.open(tmp_path / "one").records())
    assert any(f"order {order} is not cancelled: TypeError" in (record.body or "") for record in records)
    _, state, _ = rebuild(tmp_path / "one")
    assert "broke the core: TypeError" in state.account.modes.halted_for.text
    assert list(state.account.orders.live) == [order]
