"""A session, or a slice of one, as a bundle (journal/bundle.py) that a stranger can verify and replay.

A whole session keeps its own segments. A slice is sealed anew: the SESSION record, then, where it begins later, the records
from a CHECKPOINT on, with the state that the engine had there. Where something is redacted, every record is written anew, and
so are the digests of CHECKPOINTs: over the state that the redacted records lead to.
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
from replay.redaction import Redaction

Redacting = Callable[[Record], Redaction]  # for a SESSION record


def bundle(
    folder: Path,
    target: Path,
    *,
    from_seq: int | None = None,
    to_seq: int | None = None,
    redacting: Redacting | None = None,
    redacted: tuple[str, ...] = (),
) -> BundleManifest:
    """The session in `folder`, or what lies between two records of it, as the new file `target`.

    A slice begins at the last CHECKPOINT at or before `from_seq`, or at record 0 where there is none, and ends with a step.
    `redacted` says in words what `redacting` takes out. BundleRefusedError; DamagedJournalError; CoreError where it cannot be folded.
    """
    if target.suffix != SUFFIX:
        raise BundleRefusedError(f"{target}: a bundle's name ends in {SUFFIX}.")
    if target.exists():
        raise BundleRefusedError(
            f"{target} exists already, and nothing is overwritten. What to do: name another, or remove it."
        )
    try:
        return _bundle(folder, target, (from_seq or 0, to_seq), redacting, redacted)
    except OSError as error:
        raise JournalFailedError(f"{target} cannot be made: {error}.") from error


def _bundle(
    folder: Path,
    target: Path,
    span: tuple[int, int | None],
    redacting: Redacting | None,
    redacted: tuple[str, ...],
) -> BundleManifest:
    from_seq, to_seq = span
    journal = Journal.open(folder)
    if journal.bundled_from:
        raise BundleRefusedError(f"{folder} is a slice itself. What to do: bundle the session that it was cut from.")
    report = verify(folder)
    if not report.ok:
        raise DamagedJournalError(
            folder, report.problems[0], "see it with verbatim verify; repair writes what is whole"
        )
    first = journal.session_record()
    said = msgspec.json.decode(first.body or "{}", type=_Said)
    manifest = BundleManifest(
        session=folder.resolve().name,
        whole=False,
        first_seq=0,
        last_seq=journal.last_seq,
        session_last_seq=journal.last_seq,
        bundled_from=journal.chain,
        redacted=redacted,
        versions=said.versions,
    )
    found = [path.name for path in folder.iterdir()]
    is_sealed = not is_locked(folder) and not first_seqs(found, "open")
    if is_sealed and (*span, redacting) == (0, None, None):
        names = [sealed_name(seq) for seq in first_seqs(found, "parquet")]
        names += [CHECKSUMS] if CHECKSUMS in found else []
        whole = msgspec.structs.replace(manifest, whole=True)
        return pack(folder, names, target, whole, readme(whole, said))
    cut = _Cut(journal, from_seq, journal.last_seq if to_seq is None else to_seq, decided=not said.is_import)
    with tempfile.TemporaryDirectory(prefix="verbatim-bundle-", dir=target.absolute().parent) as scratch:
        if redacting is not None:
            redaction = redacting(first)
            manifest = msgspec.structs.replace(manifest, session=redaction.text(manifest.session))
            begin_state = _seal_redacted(cut, redaction, Path(scratch) / "slice", manifest.bundled_from)
        else:
            begin_state = _seal(cut, Path(scratch) / "slice", manifest.bundled_from)
        made = Path(scratch) / "slice"
        if begin_state:
            (made / BEGIN_STATE).write_bytes(begin_state)
            _refuse_other_state(made)
        manifest = msgspec.structs.replace(manifest, first_seq=cut.first_seq, last_seq=cut.last_seq)
        names = sorted(path.name for path in made.iterdir())
        return pack(made, names, target, manifest, readme(manifest, said))


class _Said(msgspec.Struct):
    """What is read of any SESSION record, of an engine's as of an import's."""

    versions: dict[str, str] = {}  # msgspec copies it for each
    imported: msgspec.Raw = msgspec.field(name="import", default_factory=msgspec.Raw)
    strategies: list[msgspec.Raw] = []

    @property
    def is_import(self) -> bool:
        return bytes(self.imported) != b""


class _Cut:
    """Where a slice begins and ends: steps are never cut."""

    def __init__(self, journal: Journal, from_seq: int, to_seq: int, *, decided: bool) -> None:
        self.journal = journal
        self.decided = decided
        self.first_seq = self._last_checkpoint(from_seq) if decided else from_seq
        after = next(journal.records(to_seq + 1, kinds=INPUTS), None)
        self.last_seq = journal.last_seq if after is None else after.seq - 1
        self.final = journal.closed and self.last_seq == journal.last_seq

    def _last_checkpoint(self, seq: int) -> int:
        found = 0
        for batch in self.journal.batches(to_seq=seq, columns=["seq", "kind"], kinds=[Kind.CHECKPOINT]):
            if batch.num_rows:
                found = batch.column(0)[batch.num_rows - 1].as_py()
        return found


def _seal(cut: _Cut, folder: Path, bundled_from: str) -> bytes:
    """The records as they are. Gives the state at the CHECKPOINT where they begin, b"" where none is needed."""
    rows = map(plain_batch, cut.journal.batches(cut.first_seq, to_seq=cut.last_seq))
    head = map(plain_batch, cut.journal.batches(0, to_seq=0))
    _put(cut, folder, bundled_from, head, rows)
    if not (cut.first_seq and cut.decided):
        return b""
    _, state, checkpoint = rebuild(cut.journal.folder, until=cut.first_seq)
    return snapshots.packed(state, bytes.fromhex(read_checkpoint(checkpoint.body or "").parts["inputs"][1]))


def _seal_redacted(cut: _Cut, redaction: Redaction, folder: Path, bundled_from: str) -> bytes:
    states: list[bytes] = []
    records: Iterator[Record] = map(redaction.record, cut.journal.records(0, cut.last_seq))
    if cut.decided:
        records = _with_new_checkpoints(records, cut.first_seq, states)
    head = next(records)
    wanted = (record for record in records if record.seq >= cut.first_seq)
    if cut.first_seq:
        _put(cut, folder, bundled_from, _batches([head]), _batches(wanted))
    else:
        _put(cut, folder, bundled_from, (), _batches(_chained(head, wanted)))
    return states[0] if states else b""


def _chained(head: Record, rest: Iterable[Record]) -> Iterator[Record]:
    yield head
    yield from rest


def _with_new_checkpoints(records: Iterator[Record], state_at: int, states: list[bytes]) -> Iterator[Record]:
    """Folds the records as they are now; CHECKPOINTs get the digests of what comes of it. The state at one is put into `states`."""
    first = next(records)
    kernel = rebuilder_of(first)
    state = kernel.begin(first)
    yield first
    for record in records:
        made = record
        heard = state.input_hash if record.kind is Kind.CHECKPOINT else b""
        if record.kind is Kind.CHECKPOINT:
            stated = CheckpointBody(state.inputs, state.digests())
            made = msgspec.structs.replace(record, body=text_of(stated))
        _rebuild(kernel, state, made)
        if heard and record.seq == state_at:
            states.append(snapshots.packed(state, heard))
        yield made


def _rebuild(kernel: Kernel, state: State, record: Record) -> None:
    try:
        kernel.rebuild(state, record)
    except Exception as error:
        raise CoreError(
            f"record {record.seq} ({record.kind} of {record.source}) cannot be folded once it is redacted: {error}"
        ) from error


def _batches(records: Iterable[Record]) -> Iterator[pa.RecordBatch]:
    rest = iter(records)
    while some := list(islice(rest, GROUP_ROWS)):
        yield from_message(to_message(some))


def _put(
    cut: _Cut, folder: Path, bundled_from: str, head: Iterable[pa.RecordBatch], rows: Iterable[pa.RecordBatch]
) -> None:
    """Sealed segments: one where the slice begins at record 0, else one for the SESSION record and one for the others."""
    disk = RealDisk.create_folder(folder)
    try:
        chain, left_out = CHAIN_START, 0
        if cut.first_seq:
            chain = _put_segment(disk, (0, 0), head, chain=chain, bundled_from=bundled_from)
            left_out = cut.first_seq - 1
        span = (cut.first_seq, cut.last_seq)
        _put_segment(disk, span, rows, chain=chain, bundled_from=bundled_from, left_out=left_out, final=cut.final)
        disk.sync_folder()
    finally:
        disk.release()


def _put_segment(
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


def _refuse_other_state(folder: Path) -> None:
    """The state that was put in must be the one that the session's own CHECKPOINT states."""
    journal = Journal.open(folder)
    first = journal.session_record()
    try:
        snapshots.begun(journal, rebuilder_of(first), first)
    except DamagedJournalError:
        raise BundleRefusedError(
            "the engine of today folds this session to another state than the one that recorded it. What to do: bundle the "
            "whole session, or one from record 0 on with --to, or use the engine that it was recorded with."
        ) from None


def readme(manifest: BundleManifest, said: _Said) -> str:
    """For whoever opens the bundle without knowing what it is."""
    part = f"all {manifest.last_seq + 1:,} records of it, in its own sealed files, byte for byte."
    if not manifest.whole:
        part = (
            f"records {manifest.first_seq:,} to {manifest.last_seq:,} (of 0 to {manifest.session_last_seq:,}) and its SESSION "
            f"record, sealed anew.\nThe session's own chain value was then {manifest.bundled_from}"
        )
        part += "\n(64 zeros: nothing of it was sealed)." if manifest.bundled_from == CHAIN_START else "."
    engine = (
        f"verbatim-trading {manifest.versions.get('verbatim-trading') or manifest.versions.get('engine', 'unknown')}"
    )
    lines = [
        f"A bundle of Verbatim, an event-sourced trading engine: session {manifest.session},",
        part,
        f"Redacted: {', '.join(manifest.redacted) or 'nothing'}. Amounts, balances and prices never are. Secrets are in no record.",
        "",
        f"It was recorded with {engine}, Python {manifest.versions.get('python', 'unknown')}:",
        "",
        "    pip install verbatim-trading",
        "    verbatim verify FILE.vbundle                  is it what was bundled?",
        '    verbatim sql FILE.vbundle "FROM orders"       look at it; nothing of it is run',
        "    verbatim export FILE.vbundle records.jsonl    every record as JSON",
    ]
    if said.strategies:
        lines.append(
            "    verbatim replay FILE.vbundle --trust-code     decide again, and compare; this runs its strategies' code"
        )
    lines += [
        "",
        "Without Verbatim: unzip it; journal/*.parquet are Parquet files that DuckDB, pandas and others read. The first record",
        "(kind SESSION) holds the configuration and the strategies' source text. manifest.json has the sha256 of every file.",
    ]
    if not manifest.whole and manifest.first_seq:
        lines.append(
            "journal/begin.state is the engine's state right after its first CHECKPOINT, which has its digests."
        )
    return "\n".join(lines) + "\n"
