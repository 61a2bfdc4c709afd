"""One session in the catalogue of an archive: instruments, times, sizes, data quality, modes and segments.

Made from the session's own files when it is archived, and kept beside them.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from analysis.data_quality import DataQuality
from analysis.market_rows import decoding_context
from analysis.session import Session
from analysis.session_row import session_row
from analysis.session_tables import SessionPlace
from journal.reader import Journal
from journal.segments import sealed_name
from journal.session_names import recorded_session_id
from replay.imported_sessions import is_import
from replay.study.mode_shares import session_mode_shares


class CatalogueSegment(msgspec.Struct, frozen=True):
    """One sealed file of a session, with the session times of its first and last record."""

    name: str
    bytes: int
    first_seq: int
    last_seq: int
    start_ns: int
    end_ns: int


class CatalogueRow(msgspec.Struct, frozen=True, kw_only=True):
    """One session. Its columns in the catalogue have the same names."""

    session: str  # its id
    folder: str  # its name below the catalogue's folder
    start_ns: int  # session time of the first record
    end_ns: int  # and of the last
    records: int
    bytes: int  # of its sealed files
    ended: str  # closed, or open: sealed by recovery
    is_import: bool  # a capture: it has no decisions
    strategies: tuple[str, ...]  # name and version
    venues: tuple[str, ...]
    instruments: tuple[str, ...]
    orders: int
    fills: int
    mode_ns: dict[str, int]  # mode -> time in it
    gaps: int  # recorded ones, and those that ids of messages show
    missing: int  # trades
    crossed: int  # quotes
    unreadable: int  # messages
    link_losses: int
    silence_max_ns: int  # the longest of any stream
    lag_ms_median: float | None  # of the stream with the longest; None: the venue stamps no message
    lag_ms_p99: float | None
    has_findings: bool  # as `verbatim quality` has it
    chain: str  # the session root
    segments: tuple[CatalogueSegment, ...]


def catalogue_row(folder: Path) -> CatalogueRow:
    """Return the row of a sealed session. Decodes its market once, for the quality.

    Raises:
        JournalError: The session cannot be read.
    """
    journal = Journal.open(folder)
    quality = Session([SessionPlace(folder)]).quality()
    imported = is_import(journal)
    segments = tuple(_segments(journal))
    context = decoding_context(journal)
    listed = None if imported else session_row(folder, folder.name)
    return CatalogueRow(
        session=recorded_session_id(journal),
        folder=folder.resolve().name,
        start_ns=segments[0].start_ns,
        end_ns=segments[-1].end_ns,
        records=journal.last_seq + 1,
        bytes=sum(each.bytes for each in segments),
        ended="closed" if journal.closed else "open",
        is_import=imported,
        strategies=() if listed is None else tuple(listed.strategies),
        venues=() if context is None else tuple(each.name for each in context.body.venues),
        instruments=() if context is None else tuple(each.id for each in context.body.instruments),
        orders=0 if listed is None else listed.orders or 0,
        fills=0 if listed is None else listed.fills or 0,
        mode_ns={} if imported else dict(sorted(session_mode_shares(folder).mode_ns.items())),
        chain=journal.chain,
        segments=segments,
        gaps=sum(gap.count for gap in quality.gaps) + sum(each.gaps for each in quality.streams),
        missing=sum(each.missing for each in quality.streams),
        crossed=sum(each.crossed for each in quality.streams),
        unreadable=sum(each.unreadable for each in quality.streams),
        link_losses=quality.link_losses,
        silence_max_ns=max((each.silence_max_ns for each in quality.streams), default=0),
        lag_ms_median=_worst_lag(quality, 0),
        lag_ms_p99=_worst_lag(quality, 1),
        has_findings=quality.has_findings,
    )


def _worst_lag(quality: DataQuality, place: int) -> float | None:
    """Return the longest lag of any stream: its median (0) or its 99th percentile (1)."""
    return max((each.lag_ms[place] for each in quality.streams if each.lag_ms is not None), default=None)


def _segments(journal: Journal) -> Iterator[CatalogueSegment]:
    seq = 0
    while seq <= journal.last_seq:
        first, last, sealed = journal.segment_at(seq)
        assert sealed is not None, "an archived session is sealed"
        begin, end = (next(journal.batches(at, ["time_ns"], to_seq=at)).column(0)[0].as_py() for at in (first, last))
        path = journal.folder / sealed_name(first)
        yield CatalogueSegment(path.name, path.stat().st_size, first, last, begin, end)
        seq = last + 1
