"""Does a decision depend on what came later? A session is resimulated whole, and again by one that knows nothing behind a record."""

from pathlib import Path

import msgspec

from engine.session_record import SessionBody
from journal.reader import Journal
from replay.resim.resimulate import ResimOptions
from replay.resim.venue_model import VenueModel
from replay.study.decisions import ChangedDecision, RecordedDecision, changes
from replay.study.trial import trial


class LookaheadResult(msgspec.Struct, frozen=True):
    decisions: int
    cuts: list[int]  # records behind which nothing was known
    found: list[ChangedDecision]  # of the first cut at which there are any: whole, and cut
    found_at: int = -1


def lookahead(
    folder: Path, *, session: SessionBody, model: VenueModel, cuts: int, balances: dict[str, str] | None = None
) -> LookaheadResult:
    """The cuts lie evenly over the session's records. CannotResimulateError."""
    last = Journal.open(folder).last_seq
    whole = _decided(folder, session, model, balances, None)
    tried: list[int] = []
    for number in range(1, cuts + 1):
        seq = last * number // (cuts + 1)
        tried.append(seq)
        cut_ns = next(Journal.open(folder).records(seq, seq)).time_ns
        known = _decided(folder, session, model, balances, seq)
        if found := changes(_before(whole, cut_ns), _before(known, cut_ns)):
            return LookaheadResult(len(whole), tried, found, seq)
    return LookaheadResult(len(whole), tried, [])


def _before(found: list[RecordedDecision], time_ns: int) -> list[RecordedDecision]:
    return [each for each in found if each.time_ns < time_ns]


def _decided(
    folder: Path, session: SessionBody, model: VenueModel, balances: dict[str, str] | None, until_seq: int | None
) -> list[RecordedDecision]:
    return trial(
        folder, ResimOptions(session=session, model=model, modelled=True, balances=balances or {}, until_seq=until_seq)
    ).decisions
