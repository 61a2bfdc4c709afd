"""Resimulation: the same session from the market alone, record for record; and other versions, exact first and modelled after."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from replaying import QUOTER, session

from engine.facts import read_request
from engine.session import MILLISECOND_NS, RiskSettings, SessionBody, read_session
from journal.reader import Journal
from journal.record import Kind, Record
from journal.verify import verify
from replay.changes import changed
from replay.replay import replay_session
from replay.resimulate import Outcome, resimulate
from replay.venue_model import VenueModel, measured
from verbatim.testing import BALANCES

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
