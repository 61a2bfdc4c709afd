"""Looks for decisions that depend on later records.

A session is resimulated whole, and again with only the records up to a cut.
"""

from pathlib import Path

import msgspec

from engine.session_record import SessionBody
from engine.sim.venue_model import VenueModel
from journal.progress import Progress
from journal.reader import Journal
from replay.resim.resimulate import ResimOptions
from replay.study.decisions import ChangedDecision, RecordedDecision, changed_decisions
from replay.study.trial import Trial, run_trial


class LookaheadResult(msgspec.Struct, frozen=True):
    """The result of a search for lookahead."""

    decisions: int
    cuts: list[int]  # the last record that each run read
    found: list[ChangedDecision]  # at the first cut with any: in the whole run, and in the cut one
    found_at: int = -1
    remembers: tuple[str, ...] = ()  # what strategies remember outside State


def lookahead(
    folder: Path,
    *,
    session: SessionBody,
    model: VenueModel,
    cuts: int,
    balances: dict[str, str] | None = None,
    on_progress: Progress | None = None,
) -> LookaheadResult:
    """Resimulate a session whole and at `cuts` evenly spaced cuts, until decisions differ.

    Args:
        folder: The recorded session.
        session: Its SESSION record, with changes.
        model: The simulated venue.
        cuts: How many cuts.
        balances: The account's money, where the session states none.
        on_progress: Called with the runs done and to do.

    Raises:
        CannotResimulateError: The session cannot be resimulated.
    """
    last = Journal.open(folder).last_seq
    trial = _trial_until(folder, session, model, balances, None)
    whole, remembers = trial.decisions, trial.outcome.remembers
    read_until: list[int] = []
    for number in range(1, cuts + 1):
        seq = last * number // (cuts + 1)
        read_until.append(seq)
        cut_ns = next(Journal.open(folder).records(seq, seq)).time_ns
        if on_progress is not None:
            on_progress(number, cuts + 1)
        known = _trial_until(folder, session, model, balances, seq).decisions
        if changed := changed_decisions(_decided_before(whole, cut_ns), _decided_before(known, cut_ns)):
            return LookaheadResult(len(whole), read_until, changed, seq, remembers)
    return LookaheadResult(len(whole), read_until, [], remembers=remembers)


def _decided_before(decisions: list[RecordedDecision], time_ns: int) -> list[RecordedDecision]:
    return [decision for decision in decisions if decision.time_ns < time_ns]


def _trial_until(
    folder: Path, session: SessionBody, model: VenueModel, balances: dict[str, str] | None, until_seq: int | None
) -> Trial:
    return run_trial(
        folder, ResimOptions(session=session, model=model, modelled=True, balances=balances or {}, until_seq=until_seq)
    )
