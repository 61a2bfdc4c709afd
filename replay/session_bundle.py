"""A session, or a slice of one, as a bundle (journal/bundle.py) that another person can verify and replay.

A whole session keeps its own segments. A slice is sealed again: the SESSION record and then, if it begins later, the
records from a CHECKPOINT on, with the engine's state at that point. If something is redacted, every record is written
again, and CHECKPOINTs get the digests of the state that the redacted records lead to.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

import msgspec
import pyarrow as pa

from engine.bodies import CheckpointBody
from engine.errors import CoreError
from engine.kernel import Kernel, rebuilder_of
from engine.record_codec import read_checkpoint, text_of
from engine.state.session_state import State
from journal.arrow_codec import from_message, to_message
from journal.bundle import BEGIN_STATE, SUFFIX, BundleManifest, pack
from journal.checksums import CHECKSUMS
from journal.content_hash import CHAIN_START, next_chain
from journal.disk import RealDisk, is_locked
from journal.errors import BundleRefusedError, DamagedJournalError, JournalFailedError
from journal.footer import Footer, SegmentPart
from journal.reader import Journal
from journal.record import INPUTS, Kind, Record
from journal.seal import write_sealed
from journal.segments import GROUP_ROWS, first_seqs, plain_batch, sealed_name
from journal.verify import verify
from replay import snapshots
from replay.rebuild import rebuild
from replay.recorded_digests import digests_as_of
from replay.redaction import Redaction

RedactionFactory = Callable[[Record], Redaction]  # for a SESSION record


def write_bundle(
    folder: Path,
    target: Path,
    *,
    from_seq: int | None = None,
    to_seq: int | None = None,
    make_redaction: RedactionFactory | None = None,
    redacted: tuple[str, ...] = (),
) -> BundleManifest:
    """Write a session, or the records between two of it, as the new file `target`.

    A slice begins at the last CHECKPOINT at or before `from_seq`, or at record 0, and ends with a whole step.

    Args:
        folder: The session.
        target: The file to create.
        from_seq: The first record to include.
        to_seq: The last record to include.
        make_redaction: Returns the redaction for a SESSION record.
        redacted: Names what the redaction removes, for the manifest.

    Raises:
        BundleRefusedError: The session is a slice itself, or the target's name or state is unfit.
        DamagedJournalError: The session does not verify.
        CoreError: A record cannot be folded.
        JournalFailedError: The file cannot be written.
    """
    if target.suffix != SUFFIX:
        raise BundleRefusedError(f"{target} is not the name of a bundle. What to do: end it in {SUFFIX}.")
    if target.exists():
        raise BundleRefusedError(
            f"{target} exists already and is not overwritten. What to do: choose another name, or remove it."
        )
    try:
        return _write_bundle(folder, target, (from_seq or 0, to_seq), make_redaction, redacted)
    except OSError as error:
        raise JournalFailedError(f"{target} cannot be made: {error}.") from error


def _write_bundle(
    folder: Path,
    target: Path,
    span: tuple[int, int | None],
    make_redaction: RedactionFactory | None,
    redacted: tuple[str, ...],
) -> BundleManifest:
    from_seq, to_seq = span
    journal = Journal.open(folder)
    if journal.bundled_from:
        raise BundleRefusedError(f"{folder} is a slice itself. What to do: bundle the whole session.")
    report = verify(folder)
    if not report.ok:
        raise DamagedJournalError(
            folder, report.problems[0], "see it with verbatim verify; repair keeps the whole part"
        )
    first = journal.session_record()
    header = msgspec.json.decode(first.body or "{}", type=_SessionHeader)
    manifest = BundleManifest(
        session=folder.resolve().name,
        whole=False,
        first_seq=0,
        last_seq=journal.last_seq,
        session_last_seq=journal.last_seq,
        bundled_from=journal.chain,
        redacted=redacted,
        versions=header.versions,
    )
    files = [path.name for path in folder.iterdir()]
    is_sealed = not is_locked(folder) and not first_seqs(files, "open")
    if is_sealed and (*span, make_redaction) == (0, None, None):
        names = [sealed_name(seq) for seq in first_seqs(files, "parquet")]
        names += [CHECKSUMS] if CHECKSUMS in files else []
        whole = msgspec.structs.replace(manifest, whole=True)
        return pack(folder, names, target, whole, readme_text(whole, header))
    session_slice = _Slice(
        journal, from_seq, journal.last_seq if to_seq is None else to_seq, has_decisions=not header.is_import
    )
    with tempfile.TemporaryDirectory(prefix="verbatim-bundle-", dir=target.absolute().parent) as scratch:
        if make_redaction is not None:
            redaction = make_redaction(first)
            manifest = msgspec.structs.replace(manifest, session=redaction.redact_text(manifest.session))
            begin_state = _seal_redacted(session_slice, redaction, Path(scratch) / "slice", manifest.bundled_from)
        else:
            begin_state = _seal_records(session_slice, Path(scratch) / "slice", manifest.bundled_from)
        slice_folder = Path(scratch) / "slice"
        if begin_state:
            (slice_folder / BEGIN_STATE).write_bytes(begin_state)
            _check_begin_state(slice_folder)
        manifest = msgspec.structs.replace(manifest, first_seq=session_slice.first_seq, last_seq=session_slice.last_seq)
        names = sorted(path.name for path in slice_folder.iterdir())
        return pack(slice_folder, names, target, manifest, readme_text(manifest, header))


class _SessionHeader(msgspec.Struct):
    """The fields that a SESSION record has, whether it is an engine's or an import's."""

    versions: dict[str, str] = {}  # msgspec copies it for each
    imported: msgspec.Raw = msgspec.field(name="import", default_factory=msgspec.Raw)
    strategies: list[msgspec.Raw] = []

    @property
    def is_import(self) -> bool:
        return bytes(self.imported) != b""


class _Slice:
    """The begin and end of a slice: steps are never cut."""

    def __init__(self, journal: Journal, from_seq: int, to_seq: int, *, has_decisions: bool) -> None:
        self.journal = journal
        self.has_decisions = has_decisions
        self.first_seq = self._last_checkpoint(from_seq) if has_decisions else from_seq
        after = next(journal.records(to_seq + 1, kinds=INPUTS), None)
        self.last_seq = journal.last_seq if after is None else after.seq - 1
        self.final = journal.closed and self.last_seq == journal.last_seq

    def _last_checkpoint(self, seq: int) -> int:
        seq_before = 0
        for batch in self.journal.batches(to_seq=seq, columns=["seq", "kind"], kinds=[Kind.CHECKPOINT]):
            if batch.num_rows:
                seq_before = batch.column(0)[batch.num_rows - 1].as_py()
        return seq_before


def _seal_records(session_slice: _Slice, folder: Path, bundled_from: str) -> bytes:
    """Seal the records unchanged. Return the state at the CHECKPOINT where they begin, or b"" if they need no state."""
    rows = map(plain_batch, session_slice.journal.batches(session_slice.first_seq, to_seq=session_slice.last_seq))
    head = map(plain_batch, session_slice.journal.batches(0, to_seq=0))
    _write_segments(session_slice, folder, bundled_from, head, rows)
    if not (session_slice.first_seq and session_slice.has_decisions):
        return b""
    _, state, checkpoint = rebuild(session_slice.journal.folder, until=session_slice.first_seq)
    return snapshots.pack_state(state, bytes.fromhex(read_checkpoint(checkpoint.body or "").parts["inputs"][1]))


def _seal_redacted(session_slice: _Slice, redaction: Redaction, folder: Path, bundled_from: str) -> bytes:
    states: list[bytes] = []
    records: Iterator[Record] = map(redaction.redact_record, session_slice.journal.records(0, session_slice.last_seq))
    if session_slice.has_decisions:
        records = _with_new_checkpoints(records, session_slice.first_seq, states)
    head = next(records)
    included = (record for record in records if record.seq >= session_slice.first_seq)
    if session_slice.first_seq:
        _write_segments(session_slice, folder, bundled_from, _record_batches([head]), _record_batches(included))
    else:
        _write_segments(session_slice, folder, bundled_from, (), _record_batches(_prepend(head, included)))
    return states[0] if states else b""


def _prepend(head: Record, rest: Iterable[Record]) -> Iterator[Record]:
    yield head
    yield from rest


def _with_new_checkpoints(records: Iterator[Record], state_at: int, states: list[bytes]) -> Iterator[Record]:
    """Fold the redacted records and give each CHECKPOINT the digests of the resulting state.

    The serialized state at the CHECKPOINT `state_at` is appended to `states`.
    """
    first = next(records)
    kernel = rebuilder_of(first)
    state = kernel.begin(first)
    yield first
    for record in records:
        rewritten = record
        input_hash = state.input_hash if record.kind is Kind.CHECKPOINT else b""
        if record.kind is Kind.CHECKPOINT:
            stated = CheckpointBody(state.inputs, digests_as_of(kernel.session.body.schema, state))
            rewritten = msgspec.structs.replace(record, body=text_of(stated))
        _rebuild(kernel, state, rewritten)
        if input_hash and record.seq == state_at:
            states.append(snapshots.pack_state(state, input_hash))
        yield rewritten


def _rebuild(kernel: Kernel, state: State, record: Record) -> None:
    try:
        kernel.rebuild(state, record)
    except Exception as error:
        raise CoreError(
            f"record {record.seq} ({record.kind} of {record.source}) cannot be folded after redaction: {error}"
        ) from error


def _record_batches(records: Iterable[Record]) -> Iterator[pa.RecordBatch]:
    rest = iter(records)
    while group := list(islice(rest, GROUP_ROWS)):
        yield from_message(to_message(group))


def _write_segments(
    session_slice: _Slice,
    folder: Path,
    bundled_from: str,
    head: Iterable[pa.RecordBatch],
    rows: Iterable[pa.RecordBatch],
) -> None:
    """Write the sealed segments of a slice.

    A slice from record 0 is one segment; a later one has a second segment for the SESSION record.
    """
    disk = RealDisk.create_folder(folder)
    try:
        chain, left_out = CHAIN_START, 0
        if session_slice.first_seq:
            chain = _write_segment(disk, (0, 0), head, chain=chain, bundled_from=bundled_from)
            left_out = session_slice.first_seq - 1
        span = (session_slice.first_seq, session_slice.last_seq)
        _write_segment(
            disk, span, rows, chain=chain, bundled_from=bundled_from, left_out=left_out, final=session_slice.final
        )
        disk.sync_folder()
    finally:
        disk.release()


def _write_segment(
    disk: RealDisk,
    span: tuple[int, int],
    rows: Iterable[pa.RecordBatch],
    *,
    chain: str,
    bundled_from: str,
    left_out: int = 0,
    final: bool = False,
) -> str:
    first_seq, last_seq = span

    def footer(content: str) -> Footer:
        return Footer(
            first_seq=first_seq,
            last_seq=last_seq,
            parts=(SegmentPart(last_seq, content),),
            prev_chain=chain,
            chain=next_chain(chain, content),
            final=final,
            bundled_from=bundled_from,
            left_out=left_out,
        )

    return write_sealed(disk, first_seq, rows, footer).chain


def _check_begin_state(folder: Path) -> None:
    """Refuse a bundle whose state does not have the digests of its first CHECKPOINT."""
    journal = Journal.open(folder)
    first = journal.session_record()
    try:
        snapshots.initial_state(journal, rebuilder_of(first), first)
    except DamagedJournalError:
        raise BundleRefusedError(
            "this version of the engine folds the session to another state than the version that recorded it. "
            "What to do: bundle the whole session, or cut it from record 0 with --to, or use the engine version of the "
            "recording."
        ) from None


def readme_text(manifest: BundleManifest, header: _SessionHeader) -> str:
    """Return the page for a reader who opens the bundle without knowing Verbatim."""
    extent = f"all {manifest.last_seq + 1:,} records of it, in its own sealed files, byte for byte."
    if not manifest.whole:
        extent = (
            f"records {manifest.first_seq:,} to {manifest.last_seq:,} (of 0 to {manifest.session_last_seq:,}) "
            f"and its SESSION record, sealed again.\nThe session's own chain value was then {manifest.bundled_from}"
        )
        extent += "\n(64 zeros: no segment of it was sealed)." if manifest.bundled_from == CHAIN_START else "."
    engine = (
        f"verbatim-trading {manifest.versions.get('verbatim-trading') or manifest.versions.get('engine', 'unknown')}"
    )
    lines = [
        f"A bundle of Verbatim, an event-sourced trading engine: session {manifest.session},",
        extent,
        f"Redacted: {', '.join(manifest.redacted) or 'nothing'}. Amounts, balances and prices never are redacted.",
        "Secrets are in no record.",
        "",
        f"It was recorded with {engine}, Python {manifest.versions.get('python', 'unknown')}:",
        "",
        "    pip install verbatim-trading",
        "    verbatim verify FILE.vbundle                  check that the file is whole",
        '    verbatim sql FILE.vbundle "FROM orders"       query it; no code of it is run',
        "    verbatim export FILE.vbundle records.jsonl    every record as JSON",
    ]
    if header.strategies:
        lines.append(
            "    verbatim replay FILE.vbundle --trust-code     decide again and compare; this runs its strategies"
        )
    lines += [
        "",
        "Without Verbatim: unzip it; journal/*.parquet are Parquet files that DuckDB, pandas and others read.",
        "The first record (kind SESSION) holds the configuration and the source of the strategies.",
        "manifest.json has the sha256 of every file.",
    ]
    if not manifest.whole and manifest.first_seq:
        lines.append(
            "journal/begin.state is the engine's state right after its first CHECKPOINT, which has its digests."
        )
    return "\n".join(lines) + "\n"
