"""Is a journal what was written? Page checksums, row hashes, the chain, the sequence, the frames of the open part.

Damaged bytes are what this module is for: they end as a problem in the report, never as a traceback. It changes nothing
and decides nothing; `recover` repairs what a crash left.
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

from journal.arrow_codec import SCHEMA
from journal.checksums import CHECKSUMS, read_checksums
from journal.content_hash import CHAIN_START, content_of
from journal.disk import FileReading, whole
from journal.errors import DamagedJournalError, NotAJournalError
from journal.footer import Footer
from journal.frames import Tail, Walk
from journal.record import Kind
from journal.recover import has_segments, superseded
from journal.segments import UNREADABLE, Sealed, first_line, first_seqs, open_name, sealed_name
from journal.signing import is_signed

_REQUIRED = ("seq", "time_ns", "kind", "source")
_KINDS = pa.array([kind.value for kind in Kind])


class VerifyReport(msgspec.Struct):
    """`problems` are damage, the first in the journal first; a torn tail of a session that was not closed is none, it is counted."""

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
        return not self.problems


def verify(folder: Path, *, signer: str | None = None) -> VerifyReport:
    """With `signer`, a public key in hexadecimal, the last seal must bear that key's signature, which is over all before it.

    NotAJournalError where the folder holds none; whatever else is wrong is in the report.
    """
    if not folder.is_dir() or not (has_segments(folder) or _says_something(folder / CHECKSUMS)):
        raise NotAJournalError(f"{folder} holds no journal. What to do: name the folder of a session.")
    report = VerifyReport(folder)
    names = [path.name for path in folder.iterdir()]
    checksums = _checksums(folder, names, report)
    seqs = sorted({*first_seqs(names, "open"), *first_seqs(names, "parquet")})
    with ThreadPoolExecutor(os.cpu_count(), "journal-verify") as pool:  # decoding and hashing need no GIL
        found = list(pool.map(partial(_checked, folder, checksums), seqs))
    _join(report, found, signer)
    return report


def _says_something(path: Path) -> bool:
    """SHA256SUMS without a segment tells that segments were there; an empty one tells nothing."""
    return path.is_file() and path.stat().st_size > 0


class _Found(msgspec.Struct):
    """What one segment says when it is looked at alone."""

    name: str
    first_seq: int
    next_seq: int = 0  # after its last row
    begins_ns: int | None = None
    ends_ns: int | None = None
    footer: Footer | None = None
    tail: Tail | None = None  # of an open one
    problems: list[str] = []
    notes: list[str] = []

    def problem(self, what: str, *, where: str = "") -> None:
        self.problems.append(f"{self.name}: {where}{what}")


def _checksums(folder: Path, names: list[str], report: VerifyReport) -> dict[str, str]:
    if CHECKSUMS not in names:
        if first_seqs(names, "parquet"):
            report.notes.append(f"{CHECKSUMS} is missing: footers were checked by their own contents only")
        return {}
    try:
        known = read_checksums(whole(FileReading(folder / CHECKSUMS)).decode())
    except ValueError as error:
        report.problems.append(f"{CHECKSUMS}: damaged ({first_line(error)})")
        return {}
    for name in known:
        if not (folder / name).exists() and name.replace(".parquet", ".open") not in names:
            report.problems.append(f"{CHECKSUMS}: names {name}, which is missing")
    return known


def _checked(folder: Path, checksums: dict[str, str], first_seq: int) -> _Found:
    found = _Found(sealed_name(first_seq), first_seq, first_seq)
    check: Callable[[], None] = partial(_sealed, found, folder, checksums)
    if not (folder / found.name).exists():  # asked anew: a writer at work may have sealed it since
        try:
            reading = FileReading(folder / open_name(first_seq))
        except FileNotFoundError:  # sealed just now
            pass
        else:
            found.name = open_name(first_seq)
            check = partial(_opened, found, reading)
    try:
        check()
    except DamagedJournalError as error:
        found.problem(error.where)
    except UNREADABLE as error:
        found.problem(f"cannot be read ({first_line(error)})")
    return found


def _sealed(found: _Found, folder: Path, checksums: dict[str, str]) -> None:
    path = folder / found.name
    if found.name not in checksums:
        found.notes.append(f"{found.name} has no line in {CHECKSUMS}")
    elif checksums[found.name] != _sha256_of(path):
        found.problem(f"its bytes have not the checksum in {CHECKSUMS}")
    segment = Sealed(path)
    footer = segment.footer
    for part, batches in segment.contents():
        if content_of(_looked_at(found, batches)) != part.content:
            found.problem(f"the rows up to record {part.last_seq} have not the hash that the footer states")
    if found.next_seq != footer.last_seq + 1:
        found.problem(f"ends at record {found.next_seq - 1}, the footer says {footer.last_seq}")
    if footer.chain != footer.linked():
        found.problem("its chain value does not follow from its content")
    if footer.signer and not is_signed(footer.chain, footer.signer, footer.signature, final=footer.final):
        found.problem(f"its signature is not one of {footer.signer[:16]} for its chain value")
    found.footer = footer


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _looked_at(found: _Found, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        _rows(found, f"rows from {found.next_seq} on: ", batch)
        yield batch


def _opened(found: _Found, reading: FileReading) -> None:
    with reading:
        walk = Walk(reading, found.first_seq)
        at = 0
        for frame in walk:
            _rows(found, f"frame at byte {at}: ", frame.batch())
            at = frame.end
        found.tail = walk.tail()


def _rows(found: _Found, where: str, batch: pa.RecordBatch) -> None:
    """The rules that every row must meet, whoever wrote it."""
    if not batch.num_rows:
        return
    column = dict(zip(SCHEMA.names, batch.columns, strict=True))
    if missing := [name for name in _REQUIRED if column[name].null_count]:
        found.problem(f"{', '.join(missing)} missing in some rows", where=where)
        return
    seqs: Any = column["seq"].to_numpy()
    if not np.array_equal(seqs, np.arange(found.next_seq, found.next_seq + len(seqs))):
        found.problem(f"the sequence is broken after record {found.next_seq - 1}", where=where)
    times: Any = column["time_ns"].to_numpy()
    if (np.diff(times) < 0).any() or (found.ends_ns is not None and times[0] < found.ends_ns):
        found.problem("session time falls", where=where)
    if not _xor(column["payload"], column["body"]):
        found.problem("a row has not exactly one of payload and body", where=where)
    if not pc.all(pc.is_in(column["kind"], value_set=_KINDS)).as_py():
        found.problem("a row is of a kind that this version does not know", where=where)
    found.next_seq += len(seqs)
    found.begins_ns = int(times[0]) if found.begins_ns is None else found.begins_ns
    found.ends_ns = int(times[-1])


def _xor(payload: pa.Array, body: pa.Array) -> bool:
    one: Any = payload.is_valid().to_numpy(zero_copy_only=False) ^ body.is_valid().to_numpy(zero_copy_only=False)
    return bool(one.all())


# ---- the segments together -----------------------------------------------------------------------------


def _join(report: VerifyReport, found: list[_Found], signer: str | None) -> None:
    """What only neighbours can show: the sequence, the chain, the times, what a later segment vouches for."""
    merged = superseded({each.first_seq: each.footer for each in found if each.footer is not None})
    for seq, holder in merged.items():
        report.notes.append(
            f"{sealed_name(seq)} is in {sealed_name(holder)} too: a merge was interrupted, and the next recovery finishes it"
        )
    parts = [each for each in found if each.first_seq not in merged]
    next_seq, chain = 0, CHAIN_START
    ends_ns: int | None = None
    for at, part in enumerate(parts):
        later = parts[at + 1].first_seq if at + 1 < len(parts) else None
        report.problems += [
            each for each in part.problems if not (part.first_seq in merged.values() and CHECKSUMS in each)
        ]
        report.notes += part.notes
        if part.first_seq != next_seq + (part.footer.left_out if part.footer is not None else 0):
            report.problems.append(f"{part.name}: begins at record {part.first_seq}, but record {next_seq} was to come")
        if ends_ns is not None and part.begins_ns is not None and part.begins_ns < ends_ns:
            report.problems.append(f"{part.name}: session time falls after record {part.first_seq - 1}")
        next_seq, ends_ns = part.next_seq, part.ends_ns if part.ends_ns is not None else ends_ns
        report.records += part.next_seq - part.first_seq
        if part.footer is not None:
            _join_footer(report, part, chain, last=later is None)
            chain = part.footer.chain
        else:  # open, or not readable: the next has nothing to continue
            _join_tail(report, part, later)
            chain = ""
    report.segments, report.chain = len(parts), chain
    _judge_signer(report, parts, signer)


def _join_footer(report: VerifyReport, part: _Found, chain: str, *, last: bool) -> None:
    footer = part.footer
    assert footer is not None, "its caller looked"
    if chain and footer.prev_chain != chain:
        report.problems.append(f"{part.name}: its chain does not continue the segment before it")
    if footer.final and not last:
        report.problems.append(f"{part.name}: closes the session, but segments follow it")
    if footer.left_out:
        report.notes.append(
            f"{part.name}: a slice: records {footer.first_seq - footer.left_out} to {footer.first_seq - 1} were left out"
        )
    if footer.bundled_from and last:
        report.notes.append(f"cut from a journal with chain {footer.bundled_from}")
    report.closed = footer.final
    report.torn_bytes += footer.dropped_bytes


def _join_tail(report: VerifyReport, part: _Found, later: int | None) -> None:
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


def _judge_signer(report: VerifyReport, parts: list[_Found], signer: str | None) -> None:
    signed = [part.footer for part in parts if part.footer is not None and part.footer.signer]
    report.signers = sorted({footer.signer for footer in signed})
    last = parts[-1].footer if parts else None
    if signer is not None and (last is None or last.signer != signer.lower()):
        by = f"by {last.signer}" if last is not None and last.signer else "by nobody"
        report.problems.append(f"the last seal is signed {by}, and not by {signer}")
