"""Does a decision depend on what came later? A session is resimulated whole, and again by one that knows nothing behind a record."""

from pathlib import Path

import msgspec

from engine.session import SessionBody
from journal.reader import Journal
from replay.decisions import Changed, Decision, changes
from replay.resimulate import Wanted
from replay.trial import trial
from replay.venue_model import VenueModel


class Looked(msgspec.Struct, frozen=True):
    decisions: int
    cuts: list[int]  # records behind which nothing was known
    found: list[Changed]  # of the first cut at which there are any: whole, and cut
    found_at: int = -1


def lookahead(
    folder: Path, *, session: SessionBody, model: VenueModel, cuts: int, balances: dict[str, str] | None = None
) -> Looked:
    """The cuts lie evenly over the session's records. NotResimulated."""
    last = Journal.open(folder).last_seq
    whole = _decided(folder, session, model, balances, None)
    tried: list[int] = []
    for number in range(1, cuts + 1):
        seq = last * number // (cuts + 1)
        tried.append(seq)
        cut_ns = next(Journal.open(folder).records(seq, seq)).time_ns
        known = _decided(folder, session, model, balances, seq)
        if found := changes(_before(whole, cut_ns), _before(known, cut_ns)):
            return Looked(len(whole), tried, found, seq)
    return Looked(len(whole), tried, [])


def _before(found: list[Decision], time_ns: int) -> list[Decision]:
    return [each for each in found if each.time_ns < time_ns]


def _decided(
    folder: Path, session: SessionBody, model: VenueModel, balances: dict[str, str] | None, until_seq: int | None
) -> list[Decision]:
    return trial(folder, Wanted(session=session, model=model, modelled=True, balances=balances or {}, until_seq=until_seq)).decisions
