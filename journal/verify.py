"""Verification of a journal: page checksums, row hashes, the chain, the sequence, the frames of the open segment.

Damage ends as a problem in the report, never as an exception. Verification changes nothing and decides nothing;
`recover` repairs the traces of a crash.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from journal.arrow_arrays import flags, numbers, texts
from journal.arrow_codec import SCHEMA
from journal.checksums import CHECKSUMS, read_checksums
from journal.content_hash import CHAIN_START, hash_rows
from journal.disk import FileReader, read_all
from journal.errors import DamagedJournalError, no_journal
from journal.footer import Footer
from journal.frames import FrameWalk, TornTail
from journal.progress import Progress
from journal.record import Kind
from journal.recover import has_segments, superseded
from journal.segments import UNREADABLE, SealedSegment, first_line, first_seqs, open_name, sealed_name
from journal.signing import is_signature_valid

_REQUIRED = ("seq", "time_ns", "kind", "source")
_KINDS = texts([kind.value for kind in Kind])


class VerifyReport(msgspec.Struct):
    """The result of `verify`.

    `problems` are damage, in the order of the journal. The torn tail of a session that was not closed is counted in
    `torn_bytes` and is not a problem.
    """

    folder: Path
    segments: int = 0
    records: int = 0
    chain: str = CHAIN_START
    closed: bool = False
    torn_bytes: int = 0
    signers: list[str] = []  # public keys whose signatures hold; msgspec copies the empty list for each report
    problems: list[str] = []
    notes: list[str] = []

    @property
    def ok(self) -> bool:
        """True if there is no problem."""
        return not self.problems

    def lines(self) -> list[str]:
        """Return the report for people: problems, notes and the verdict."""
        end = "closed" if self.closed else "not closed"
        what = f"{self.records:,} records in {self.segments} segment{'' if self.segments == 1 else 's'}, {end}"
        if self.torn_bytes:
            what += f", {self.torn_bytes} torn bytes{' that recovery dropped' if self.chain else ''}"
        count = len(self.problems)
        verdict = (
            f"verify: whole ({what}), chain {self.chain[:16] or 'open'}"
            if self.ok
            else f"verify: damaged, {count} problem{'' if count == 1 else 's'} ({what})"
        )
        return [*(f"problem: {each}" for each in self.problems), *(f"note: {each}" for each in self.notes), verdict]


def verify(folder: Path, *, signer: str | None = None, on_progress: Progress | None = None) -> VerifyReport:
    """Check a journal and report every problem.

    Args:
        folder: The session's folder.
        signer: A public key in hexadecimal. The last seal must have its signature, which covers all records before it.
        on_progress: Called with the segments checked and to check.

    Raises:
        NotAJournalError: The folder contains no journal.
    """
    if not folder.is_dir() or not (has_segments(folder) or _is_nonempty_file(folder / CHECKSUMS)):
        raise no_journal(folder)
    report = VerifyReport(folder)
    names = [path.name for path in folder.iterdir()]
    checksums = _checksums(folder, names, report)
    seqs = sorted({*first_seqs(names, "open"), *first_seqs(names, "parquet")})
    with ThreadPoolExecutor(os.cpu_count(), "journal-verify") as pool:  # decoding and hashing need no GIL
        checks = []
        for check in pool.map(partial(_check_segment, folder, checksums), seqs):
            checks.append(check)
            if on_progress is not None:
                on_progress(len(checks), len(seqs))
    _check_sequence(report, checks, signer)
    return report


def _is_nonempty_file(path: Path) -> bool:
    """Return True for a SHA256SUMS with lines, which proves that there were segments."""
    return path.is_file() and path.stat().st_size > 0


class _SegmentCheck(msgspec.Struct):
    """The result of checking one segment on its own."""

    name: str
    first_seq: int
    next_seq: int = 0  # after its last row
    begins_ns: int | None = None
    ends_ns: int | None = None
    footer: Footer | None = None
    tail: TornTail | None = None  # of an open one
    problems: list[str] = []
    notes: list[str] = []

    def problem(self, text: str, *, where: str = "") -> None:
        """Add a problem."""
        self.problems.append(f"{self.name}: {where}{text}")


def _checksums(folder: Path, names: list[str], report: VerifyReport) -> dict[str, str]:
    if CHECKSUMS not in names:
        if first_seqs(names, "parquet"):
            report.notes.append(f"{CHECKSUMS} is missing: footers were checked by their own contents only")
        return {}
    try:
        known = read_checksums(read_all(FileReader(folder / CHECKSUMS)).decode())
    except ValueError as error:
        report.problems.append(f"{CHECKSUMS}: damaged ({first_line(error)})")
        return {}
    for name in known:
        if not (folder / name).exists() and name.replace(".parquet", ".open") not in names:
            report.problems.append(f"{CHECKSUMS}: names {name}, which is missing")
    return known


def _check_segment(folder: Path, checksums: dict[str, str], first_seq: int) -> _SegmentCheck:
    result = _SegmentCheck(sealed_name(first_seq), first_seq, first_seq)
    check: Callable[[], None] = partial(_check_sealed, result, folder, checksums)
    if not (folder / result.name).exists():  # checked again, because a writer may have sealed it meanwhile
        try:
            reader = FileReader(folder / open_name(first_seq))
        except FileNotFoundError:  # sealed between the two checks
            pass
        except OSError as error:
            result.name = open_name(first_seq)
            result.problem(f"cannot be read ({first_line(error)})")
            return result
        else:
            result.name = open_name(first_seq)
            check = partial(_check_open, result, reader)
    try:
        check()
    except DamagedJournalError as error:
        result.problem(error.where)
    except UNREADABLE as error:
        result.problem(f"cannot be read ({first_line(error)})")
    return result


def _check_sealed(result: _SegmentCheck, folder: Path, checksums: dict[str, str]) -> None:
    path = folder / result.name
    if result.name not in checksums:
        result.notes.append(f"{result.name} has no line in {CHECKSUMS}")
    elif checksums[result.name] != _sha256_of(path):
        result.problem(f"its bytes do not have the checksum in {CHECKSUMS}")
    segment = SealedSegment(path)
    footer = segment.footer
    for part, batches in segment.parts_with_rows():
        if hash_rows(_check_batches(result, batches)) != part.content:
            result.problem(f"the rows up to record {part.last_seq} do not have the hash that the footer states")
    if result.next_seq != footer.last_seq + 1:
        result.problem(f"ends at record {result.next_seq - 1}, the footer says {footer.last_seq}")
    if footer.chain != footer.computed_chain():
        result.problem("its chain value does not follow from its content")
    if footer.signer and not is_signature_valid(footer.chain, footer.signer, footer.signature, final=footer.final):
        result.problem(f"its signature is not one of {footer.signer[:16]} for its chain value")
    result.footer = footer


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_batches(result: _SegmentCheck, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        _check_rows(result, f"rows from {result.next_seq} on: ", batch)
        yield batch


def _check_open(result: _SegmentCheck, reader: FileReader) -> None:
    with reader:
        walk = FrameWalk(reader, result.first_seq)
        at = 0
        for frame in walk:
            _check_rows(result, f"frame at byte {at}: ", frame.batch())
            at = frame.end
        result.tail = walk.tail()


def _check_rows(result: _SegmentCheck, where: str, batch: pa.RecordBatch) -> None:
    """Check the rules that hold for every row."""
    if not batch.num_rows:
        return
    column = dict(zip(SCHEMA.names, batch.columns, strict=True))
    if missing := [name for name in _REQUIRED if column[name].null_count]:
        result.problem(f"{', '.join(missing)} missing in some rows", where=where)
        return
    seqs: Any = numbers(column["seq"])
    if not np.array_equal(seqs, np.arange(result.next_seq, result.next_seq + len(seqs))):
        result.problem(f"the sequence is broken after record {result.next_seq - 1}", where=where)
    times: Any = numbers(column["time_ns"])
    if (np.diff(times) < 0).any() or (result.ends_ns is not None and times[0] < result.ends_ns):
        result.problem("session time falls", where=where)
    if not _has_exactly_one(column["payload"], column["body"]):
        result.problem("a row does not have exactly one of payload and body", where=where)
    if not pc.all(pc.is_in(column["kind"], value_set=_KINDS)).as_py():
        result.problem("a row has a kind that this version does not know", where=where)
    result.next_seq += len(seqs)
    result.begins_ns = int(times[0]) if result.begins_ns is None else result.begins_ns
    result.ends_ns = int(times[-1])


def _has_exactly_one(payload: pa.Array, body: pa.Array) -> bool:
    return bool((flags(payload.is_valid()) ^ flags(body.is_valid())).all())


# ---- the segments together -----------------------------------------------------------------------------


def _check_sequence(report: VerifyReport, results: list[_SegmentCheck], signer: str | None) -> None:
    """Check properties across segments: the sequence, the chain, the times, and durability."""
    merged = superseded({result.first_seq: result.footer for result in results if result.footer is not None})
    for seq, holder in merged.items():
        report.notes.append(
            f"{sealed_name(holder)} contains {sealed_name(seq)}: a merge was interrupted, and the next recovery "
            f"finishes it"
        )
    parts = [result for result in results if result.first_seq not in merged]
    next_seq, chain = 0, CHAIN_START
    ends_ns: int | None = None
    for at, part in enumerate(parts):
        later = parts[at + 1].first_seq if at + 1 < len(parts) else None
        report.problems += [
            problem for problem in part.problems if not (part.first_seq in merged.values() and CHECKSUMS in problem)
        ]
        report.notes += part.notes
        if part.first_seq != next_seq + (part.footer.left_out if part.footer is not None else 0):
            report.problems.append(
                f"{part.name}: begins at record {part.first_seq}, but record {next_seq} was expected"
            )
        if ends_ns is not None and part.begins_ns is not None and part.begins_ns < ends_ns:
            report.problems.append(f"{part.name}: session time falls after record {part.first_seq - 1}")
        next_seq, ends_ns = part.next_seq, part.ends_ns if part.ends_ns is not None else ends_ns
        report.records += part.next_seq - part.first_seq
        if part.footer is not None:
            _check_footer(report, part, chain, last=later is None)
            chain = part.footer.chain
        else:  # open or unreadable, so it has no chain value
            _check_tail(report, part, later)
            chain = ""
    report.segments, report.chain = len(parts), chain
    _check_signer(report, parts, signer)


def _check_footer(report: VerifyReport, part: _SegmentCheck, chain: str, *, last: bool) -> None:
    footer = part.footer
    assert footer is not None, "the caller checked"
    if chain and footer.prev_chain != chain:
        report.problems.append(f"{part.name}: its chain does not continue the segment before it")
    if footer.final and not last:
        report.problems.append(f"{part.name}: closes the session, but segments follow it")
    if footer.left_out:
        report.notes.append(
            f"{part.name}: a slice: it omits records {footer.first_seq - footer.left_out} to {footer.first_seq - 1}"
        )
    if footer.bundled_from and last:
        report.notes.append(f"cut from a journal with chain {footer.bundled_from}")
    report.closed = footer.final
    report.torn_bytes += footer.dropped_bytes


def _check_tail(report: VerifyReport, part: _SegmentCheck, later: int | None) -> None:
    report.closed = False
    tail = part.tail
    if tail is None:
        return
    durable_seq = max(tail.durable_seq, -1 if later is None else later - 1)
    if tail.next_seq <= durable_seq:
        report.problems.append(
            f"{part.name}: record {tail.next_seq} was durable (records up to {durable_seq} were), "
            f"but the frame at byte {tail.offset} is not whole"
        )
    elif tail.torn_bytes:
        report.notes.append(
            f"{part.name}: torn after record {tail.next_seq - 1}: {tail.torn_bytes} bytes of a frame that is not whole"
        )
    report.torn_bytes += tail.torn_bytes


def _check_signer(report: VerifyReport, parts: list[_SegmentCheck], signer: str | None) -> None:
    signed = [part.footer for part in parts if part.footer is not None and part.footer.signer]
    report.signers = sorted({footer.signer for footer in signed})
    last = parts[-1].footer if parts else None
    if signer is not None and (last is None or last.signer != signer.lower()):
        actual = f"is signed by {last.signer}" if last is not None and last.signer else "is not signed"
        report.problems.append(f"the last seal {actual}, but must be signed by {signer}")
