"""Checks of a sweep's winner: Monte Carlo of latency, queues and fills; decisions that know the future; indicators that
depend on where the data begin.
"""

import random
from collections.abc import Sequence
from math import exp, isnan
from pathlib import Path

import msgspec
import numpy as np

from engine.errors import CoreError
from engine.market import rows as r
from engine.market.indicators.indicator import IndicatorSpec
from engine.market.market_state import Market
from engine.session_context import SessionContext
from engine.session_record import SessionBody
from engine.sim.venue_model import QUEUES, VenueModel
from journal.errors import JournalError
from journal.reader import Journal
from replay.imported_sessions import is_import
from replay.resim.capture_session import captured_snapshots
from replay.resim.sim_setup import CannotResimulateError
from replay.resim.timeline import RowSpan, Timeline
from replay.study.lookahead import LookaheadResult, lookahead
from replay.study.overfitting import Matrix
from replay.study.regress import Job, job_failure
from replay.study.sweep import SweepJob, local_job

LATENCY_SIGMA = 0.7  # of the logarithm of the factor on all latencies: two thirds are within half and double
RESAMPLES = 2_000
BLOCK_STEPS = 6  # of the bootstrap: neighbouring returns stay together
LOOKAHEAD_CUTS = 3
STARTS = (0.25, 0.5)  # the data begin so late
RECURSIVE_TOLERANCE = 1e-8  # smaller relative differences are rounding


class ModelDraws(msgspec.Struct, frozen=True):
    """The winner under drawn models of the venue: latency, queue and whole or partial fills."""

    models: tuple[dict[str, str], ...]  # settings of each draw
    scores: tuple[float | None, ...]
    recorded: float | None  # under the model of the sweep

    @property
    def share_below(self) -> float | None:
        """The share of draws whose score is below 0."""
        known = [score for score in self.scores if score is not None]
        return sum(score < 0 for score in known) / len(known) if known else None


class Resampled(msgspec.Struct, frozen=True):
    """Returns drawn again in blocks, with replacement: how else the winner's days could have gone."""

    samples: int = 0
    return_low: float = 0.0  # the 5th percentile of the total return
    return_middle: float = 0.0
    return_high: float = 0.0  # the 95th
    drawdown_high: float = 0.0  # the 95th percentile of the largest drawdown
    loss_share: float = 0.0  # samples with a total return below 0


class RecursiveIndicator(msgspec.Struct, frozen=True):
    """The last value of an indicator if the data begin earlier or later."""

    name: str
    instrument: str
    value: float | None  # over all data
    later: tuple[float | None, ...]  # by STARTS
    difference: float | None  # the largest relative one; None: a value was not warm

    @property
    def is_recursive(self) -> bool:
        """True if the value still depends on where the data begin."""
        return self.difference is None or self.difference > RECURSIVE_TOLERANCE


def drawn_models(model: VenueModel, count: int, seed: int) -> list[tuple[VenueModel, dict[str, str]]]:
    """Return models of the venue around one: all latencies times one factor, any queue, whole or partial fills."""
    source = random.Random(seed)
    found = []
    for _ in range(count):
        factor = exp(source.gauss(0, LATENCY_SIGMA))
        queue, fills = source.choice(sorted(QUEUES)), source.choice(("partial", "whole"))
        times = {name: round(getattr(model, name) * factor) for name in ("request_ns", "answer_ns", "feed_ns")}
        drawn = msgspec.structs.replace(model, queue=queue, fills=fills, **times)
        found.append((drawn, {"latency": f"x {factor:.2f}", "queue": queue, "fills": fills}))
    return found


def resample_returns(returns: Sequence[float], seed: int, samples: int = RESAMPLES) -> Resampled:
    """Return the spread of total return and drawdown over block bootstraps. Empty for fewer than two blocks."""
    values = np.array(returns)
    if len(values) < 2 * BLOCK_STEPS:
        return Resampled()
    draws = np.random.default_rng(seed)
    blocks = -(-len(values) // BLOCK_STEPS)
    starts = draws.integers(0, len(values) - BLOCK_STEPS + 1, (samples, blocks))
    places = (starts[:, :, None] + np.arange(BLOCK_STEPS)).reshape(samples, -1)[:, : len(values)]
    worth: Matrix = np.cumprod(1 + values[places], axis=1)
    peaks = np.maximum(np.maximum.accumulate(worth, axis=1), 1.0)
    totals, falls = worth[:, -1] - 1, (1 - worth / peaks).max(axis=1)
    low, middle, high = (float(value) for value in np.quantile(totals, (0.05, 0.5, 0.95)))
    return Resampled(samples, low, middle, high, float(np.quantile(falls, 0.95)), float(np.mean(totals < 0)))


class CheckedSession(msgspec.Struct, frozen=True):
    """The checks of the winner on one session."""

    session: str
    lookahead: LookaheadResult | None = None
    recursion: tuple[RecursiveIndicator, ...] | None = None
    lack: str = ""  # why one of the two could not be run


def check_session(job: SweepJob) -> CheckedSession:
    """Check the winner for lookahead and recursive indicators on one session, in any process."""
    assert job.work is not None, "a variant that ran"
    ahead, recursion = None, None
    try:
        local = local_job(job.work)
        assert local.body is not None, "a variant has a session"
        ahead = check_lookahead(local)
        recursion = tuple(check_recursion(local.folder, local.body))
    except (CoreError, CannotResimulateError, JournalError) as error:
        return CheckedSession(job.session, ahead, recursion, job_failure(error).error)
    return CheckedSession(job.session, ahead, recursion)


def check_lookahead(job: Job) -> LookaheadResult:
    """Cut the session and compare: no decision of the winner may depend on later records.

    Raises:
        CannotResimulateError: The session cannot be resimulated.
    """
    assert job.body is not None, "a variant has a session"
    return lookahead(job.folder, session=job.body, model=job.model, cuts=LOOKAHEAD_CUTS, balances=job.balances)


def check_recursion(folder: Path, body: SessionBody) -> list[RecursiveIndicator]:
    """Fold the market from its beginning and from later records, and compare each declared indicator at the end.

    An indicator that remembers everything, such as an exponential average, forgets its beginning only in time. If the
    difference is large, live decisions depend on how long the session has run.
    """
    context = SessionContext(body, None)
    if not context.empty_market().indicator_specs:
        return []
    whole, *later = [_folded(folder, context, start) for start in (0.0, *STARTS)]
    found = []
    for place, spec in enumerate(whole.indicator_specs):
        for output in ("", *spec.outputs):
            values = [market.indicator(place, warm_only=True, output=output) for market in (whole, *later)]
            name = f"{spec.name}{f'.{output}' if output else ''} {_terms(spec)}".strip()
            found.append(RecursiveIndicator(name, spec.instrument_id, values[0], tuple(values[1:]), _apart(values)))
    return found


def _terms(spec: IndicatorSpec) -> str:
    fields = msgspec.structs.asdict(spec).items()
    return " ".join(
        f"{name}={value}" for name, value in fields if name != "instrument_id" and value not in ("", (), None)
    )


def _apart(values: Sequence[float | None]) -> float | None:
    """Return the largest difference from the first value, as a share of the largest magnitude."""
    known = [value for value in values if value is not None and not isnan(value)]
    if len(known) < len(values):
        return None
    scale = max(map(abs, known))
    return max(abs(value - known[0]) for value in known) / scale if scale else 0.0


def _folded(folder: Path, context: SessionContext, start: float) -> Market:
    """Return the market after all rows from a share of the session's time on."""
    journal, market = Journal.open(folder), context.empty_market()
    first_ns = journal.session_record().time_ns
    last_ns = next(journal.records(journal.last_seq, journal.last_seq)).time_ns
    begins_ns = first_ns + int((last_ns - first_ns) * start)
    snapshots = captured_snapshots(journal, context.body) if is_import(journal) else None
    for item in Timeline(journal, context, journal.last_seq, frozenset(), snapshots).items(1):
        if not isinstance(item, RowSpan):
            continue
        record = int(np.searchsorted(item.rows[item.ends - 1, r.TIME_NS], begins_ns))
        if record == len(item.ends):
            continue
        rows, place = item.rows[item.ends[record - 1] if record else 0 :], 0
        while place < len(rows):
            place = market.fold(rows, place)
    return market
