"""Resimulation: the same session from the market alone, record for record; and other versions, exact first and modelled after."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from replaying import QUOTER, session

from engine.facts import read_request
from engine.session import MILLISECOND_NS, SessionBody, read_session
from journal.reader import Journal
from journal.record import Kind, Record
from journal.verify import verify
from replay.changes import changed
from replay.rebuild import rebuild
from replay.replay import replay_session
from replay.resimulate import Outcome, resimulate
from replay.venue_model import VenueModel, measured
from verbatim.testing import from_sources

WIRE_NS = MILLISECOND_NS // 5
TEST_MODEL = VenueModel(request_ns=WIRE_NS, answer_ns=WIRE_NS, feed_ns=WIRE_NS, venue_ns=MILLISECOND_NS)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session on the venue's core in virtual time, with orders, fills and an ordered end."""
    folder = tmp_path_factory.mktemp("journals") / "lived"
    running = session(folder, seconds=8)
    assert running.facts("order_filled")
    running.stop()
    return folder


def recorded(folder: Path) -> SessionBody:
    return read_session(Journal.open(folder).session_record().body or "")


def resim(lived: Path, into: Path, *, overrides: dict[str, str] | None = None, **settings: Any) -> Outcome:
    body = changed(recorded(lived), overrides or {})
    return resimulate(lived, into, session=body, model=TEST_MODEL, **settings)


def bare(folder: Path) -> list[Record]:
    """Without what says that it is a resimulation: the origins, the SESSION record, and the hashes over it."""
    return [
        replace(record, key=None if record.kind is Kind.FEED else record.key)
        for record in Journal.open(folder).records(1)
        if record.kind is not Kind.CHECKPOINT
    ]


def test_from_the_market_alone_a_session_comes_out_record_for_record(lived: Path, tmp_path: Path) -> None:
    outcome = resim(lived, tmp_path / "again", modelled=True)
    ours, theirs = bare(tmp_path / "again"), bare(lived)
    for mine, other in zip(ours, theirs, strict=False):
        assert mine == other
    assert len(ours) == len(theirs)
    assert (outcome.handover_seq, outcome.balances_known) == (None, True)
    assert verify(tmp_path / "again").closed
    assert replay_session(tmp_path / "again").identical


def test_without_a_change_nothing_is_modelled(lived: Path, tmp_path: Path) -> None:
    outcome = resim(lived, tmp_path / "again")
    assert (outcome.handover_seq, outcome.handover) == (None, "")
    assert bare(tmp_path / "again") == bare(lived)
    assert replay_session(tmp_path / "again").identical


def requests(folder: Path, purpose: str) -> list[Record]:
    return [each for each in Journal.open(folder).records(kinds=[Kind.REQUEST]) if read_request(each.body or "").purpose == purpose]


def test_another_size_is_exact_up_to_the_first_order_and_modelled_after(lived: Path, tmp_path: Path) -> None:
    outcome = resim(lived, tmp_path / "other", overrides={"strategy.quoter.size": "0.002"})
    first = requests(lived, "place")[0]
    assert outcome.handover_seq is not None
    assert bare(tmp_path / "other")[: first.seq - 3] == bare(lived)[: first.seq - 3]
    assert outcome.handover.startswith(f"another request at record {first.seq}: place")
    assert outcome.handover.endswith("BUY 0.002 BTCUSDT at 60000 in place of place BUY 0.001 BTCUSDT at 60000")
    (told,) = list(Journal.open(tmp_path / "other").records(kinds=[Kind.COMMAND], sources=["resim"]))
    assert outcome.handover in (told.body or "")
    assert told.seq == outcome.handover_seq + 1
    sizes = {read_request(each.body or "").order.quantity for each in requests(tmp_path / "other", "place")}  # type: ignore[union-attr]
    assert [f"{size:f}" for size in sizes] == ["0.002"]
    assert len(requests(tmp_path / "other", "place")) > 10
    assert verify(tmp_path / "other").closed
    assert replay_session(tmp_path / "other").identical


def test_a_change_in_mid_session_takes_over_orders_and_money(lived: Path, tmp_path: Path) -> None:
    """From its 30th decision on the strategy asks a cent more while its bid stands: an order of the record, that the model must know."""
    asks = 'quote.ask + Decimal("0.01") if sides and state.quotes > 30 else quote.ask'
    later = QUOTER.replace("Side.SELL, parameters.size, quote.ask,", f"Side.SELL, parameters.size, {asks},")
    ours = from_sources({"quoter": later}, "quoter", "Quoter")
    body = changed(recorded(lived), {}, {"quoter": ours})
    outcome = resimulate(lived, tmp_path / "other", session=body, model=TEST_MODEL)
    assert outcome.handover_seq is not None
    assert outcome.handover_seq > requests(lived, "place")[2].seq
    _, state, _ = rebuild(tmp_path / "other", until=outcome.handover_seq)
    standing = [order for order in state.account.orders.live_by_age() if order.venue_order_id]
    assert [order.order.side for order in standing] == ["BUY"]
    assert verify(tmp_path / "other").closed
    assert replay_session(tmp_path / "other").identical
    _, ended, _ = rebuild(tmp_path / "other")
    assert not ended.account.orders.live
    assert not [each for each in Journal.open(tmp_path / "other").records(kinds=[Kind.NOTE]) if "alarm" in (each.body or "")]


def test_a_tighter_limit_sends_nothing(lived: Path, tmp_path: Path) -> None:
    outcome = resim(lived, tmp_path / "none", overrides={"risk.order_size_max": "0.0001"})
    assert outcome.handover_seq is not None
    assert requests(tmp_path / "none", "place") == []
    assert verify(tmp_path / "none").closed


def test_times_are_measured_in_the_journal(lived: Path) -> None:
    found = measured(Journal.open(lived))
    assert found.exchanges > 10
    assert found.model.request_ns == found.model.answer_ns == (2 * WIRE_NS + MILLISECOND_NS) // 2
