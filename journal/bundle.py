"""Bundles: one file with a journal, or a slice of one, that another person can verify and inspect.

A bundle is a zip whose members are stored uncompressed:

    README.txt   journal/000000000000.parquet ...   journal/SHA256SUMS   journal/begin.state   manifest.json

The footers (journal/footer.py) state the range of a slice. `begin.state` belongs to the readers and is opaque here. A
bundle is untrusted input: members must have the names above, their sizes are bounded by the file's size, and only files
with the manifest's checksums are unpacked.
"""

import hashlib
import re
import shlex
import struct
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from journal.checksums import CHECKSUMS
from journal.disk import RealDisk
from journal.errors import DamagedJournalError, JournalFailedError, NotAJournalError
from journal.export import atomic_output
from journal.segments import SealedSegment, first_seqs, sealed_name

SUFFIX = ".vbundle"
BEGIN_STATE = "begin.state"  # the readers' state at the first record after a slice's gap, beside its segments
README, MANIFEST, JOURNAL = "README.txt", "manifest.json", "journal/"
MANIFEST_BYTES_MAX = 16 * 1024 * 1024
_MEMBER = re.compile(
    rf"README\.txt|manifest\.json|journal/((?:\d{{12}}|[1-9]\d{{12,17}})\.parquet|{CHECKSUMS}|begin\.state)", re.ASCII
)
_CHUNK_BYTES = 1 << 20
_ZIP_MAGIC = b"PK\x03\x04"
_ENCRYPTED = 0x1
_FIXED_DATE = (1980, 1, 1, 0, 0, 0)  # the same journal makes the same bundle
# zipfile raises these on damaged bytes
_UNREADABLE = (
    zipfile.BadZipFile,
    OSError,
    ValueError,
    LookupError,
    EOFError,
    RuntimeError,
    OverflowError,
    struct.error,
)


class BundledFile(msgspec.Struct, frozen=True):
    """One member of a bundle, as the manifest lists it."""

    name: str
    bytes: int
    sha256: str


class BundleManifest(msgspec.Struct, frozen=True, kw_only=True):
    """The manifest.json of a bundle: its session, its range of records and its files."""

    version: int = 1
    session: str  # its folder's name
    whole: bool  # the session's own segments, byte for byte, with chain and signatures
    first_seq: int  # the bundle has the SESSION record and the records from here ...
    last_seq: int  # ... to here
    session_last_seq: int  # the session's last record when it was bundled
    bundled_from: str  # the session's chain value when it was bundled
    redacted: tuple[str, ...] = ()
    versions: dict[str, str] = {}  # of the code that recorded the session; msgspec copies the default
    files: tuple[BundledFile, ...] = ()


def pack(folder: Path, names: Iterable[str], target: Path, manifest: BundleManifest, readme: str) -> BundleManifest:
    """Write files of a folder as a bundle, which appears once it is complete. Return the manifest with their hashes.

    Raises:
        ExportRefusedError: The target exists.
        JournalFailedError: A write failed.
    """
    files = []
    with atomic_output(target) as partial:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as bundle:
            files.append(_add_member(bundle, README, [readme.encode()]))
            files += [_add_member(bundle, JOURNAL + name, _chunks(folder / name)) for name in names]
            made = msgspec.structs.replace(manifest, files=tuple(files))
            _add_member(bundle, MANIFEST, [msgspec.json.format(msgspec.json.encode(made), indent=1)])
        with zipfile.ZipFile(partial) as bundle:
            if (bad := bundle.testzip()) is not None:
                raise DamagedJournalError(target, f"{bad} reads back differently", "do not trust this disk")
    return made


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _add_member(bundle: zipfile.ZipFile, name: str, chunks: Iterable[bytes]) -> BundledFile:
    digest, size = hashlib.sha256(), 0
    with bundle.open(zipfile.ZipInfo(name, _FIXED_DATE), "w", force_zip64=True) as member:
        for chunk in chunks:
            digest.update(chunk)
            size += len(chunk)
            member.write(chunk)
    return BundledFile(name, size, digest.hexdigest())


def unpack(path: Path, folder: Path) -> BundleManifest:
    """Unpack the journal of a bundle into a new folder.

    Raises:
        NotAJournalError: The file is not a bundle.
        DamagedJournalError: The bundle is damaged; the message names the member.
    """
    try:
        with path.open("rb") as stream:
            magic = stream.read(len(_ZIP_MAGIC))
    except OSError as error:
        raise NotAJournalError(f"{path} cannot be read: {error.strerror}.") from error
    if magic != _ZIP_MAGIC:
        command = shlex.join(["verbatim", "import", str(path)])
        raise NotAJournalError(
            f"{path} is not a bundle. What to do: name a session, or a file that verbatim bundle made; if it is a "
            f"capture of market data, {command} makes a session of it."
        )
    with _naming_damage(path, "the bundle"), zipfile.ZipFile(path) as bundle:
        members = _checked_members(bundle, path.stat().st_size)
        with _naming_damage(path, MANIFEST):
            manifest = _read_manifest(bundle, members)
        disk = RealDisk.create_folder(folder)
        try:
            for file in manifest.files:
                with _naming_damage(path, file.name):
                    _unpack_file(bundle, members[file.name], file, disk)
        finally:
            disk.release()
        with _naming_damage(path, MANIFEST):
            _compare_to_footers(manifest, folder)
        (folder / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    return manifest


def read_unpacked_manifest(folder: Path) -> BundleManifest | None:
    """Return the manifest of the bundle that was unpacked into a folder, or None for any other folder."""
    path = folder / MANIFEST
    return msgspec.json.decode(path.read_bytes(), type=BundleManifest) if path.exists() else None


@contextmanager
def _naming_damage(path: Path, member: str) -> Iterator[None]:
    """Turn any error of an unreadable zip into a DamagedJournalError that names the member."""
    try:
        yield
    except DamagedJournalError:
        raise
    except _UNREADABLE as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise DamagedJournalError(path, f"{member}: {lines[0]}", "get the bundle again") from error


def _checked_members(bundle: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """Return the members by name.

    A bundle's members are stored and do not overlap, so together they cannot be larger than the file.
    """
    members: dict[str, zipfile.ZipInfo] = {}
    for member in bundle.infolist():
        if _MEMBER.fullmatch(member.filename) is None or member.filename in members:
            raise ValueError(f"{member.filename[:80]!r} is not a member of bundles, or occurs twice")
        if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & _ENCRYPTED:
            raise ValueError(f"{member.filename} is compressed or encrypted, which no member of a bundle is")
        if member.compress_size != member.file_size:
            raise ValueError(f"{member.filename} has two sizes")
        members[member.filename] = member
    if sum(member.file_size for member in members.values()) > size:
        raise ValueError("its members together are larger than the file")
    return members


def _read_manifest(bundle: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo]) -> BundleManifest:
    if (member := members.get(MANIFEST)) is None:
        raise ValueError("it is missing")
    if member.file_size > MANIFEST_BYTES_MAX:
        raise ValueError("it is too large")
    manifest = msgspec.json.decode(bundle.read(member), type=BundleManifest)
    if manifest.version != 1:
        raise ValueError(f"it has version {manifest.version}, which needs a later verbatim")
    texts = (manifest.session, manifest.bundled_from, *manifest.redacted)
    if not all(map(str.isprintable, (*texts, *manifest.versions, *manifest.versions.values()))):
        raise ValueError("one of its texts is not printable")
    names = [file.name for file in manifest.files]
    if sorted(names) != sorted(members.keys() - {MANIFEST}):
        raise ValueError("its list of files differs from the members")
    return manifest


def _compare_to_footers(manifest: BundleManifest, folder: Path) -> None:
    """Refuse a manifest whose statements about the session differ from the footers, which `verify` checks."""
    footers = [
        SealedSegment(folder / sealed_name(seq)).footer
        for seq in first_seqs([path.name for path in folder.iterdir()], "parquet")
    ]
    if not footers:
        raise ValueError("it lists no segment")
    last = footers[-1]
    stated = (
        last.bundled_from == "",
        last.bundled_from or last.chain,
        last.first_seq if last.bundled_from else 0,
        last.last_seq,
    )
    cut = (
        manifest.session_last_seq != manifest.last_seq
        if manifest.whole
        else manifest.session_last_seq < manifest.last_seq
    )
    if cut or (manifest.whole, manifest.bundled_from, manifest.first_seq, manifest.last_seq) != stated:
        raise ValueError("its range of the session differs from the segments'")


def _unpack_file(bundle: zipfile.ZipFile, member: zipfile.ZipInfo, file: BundledFile, disk: RealDisk) -> None:
    digest, name = hashlib.sha256(), file.name.removeprefix(JOURNAL)
    with bundle.open(member) as source:
        disk.create(name)
        while chunk := source.read(_CHUNK_BYTES):
            digest.update(chunk)
            try:
                disk.write(name, chunk)
            except OSError as error:
                raise JournalFailedError(
                    f"{disk.folder}, where the bundle is unpacked, cannot be written: {error.strerror}. "
                    "What to do: set TMPDIR to a folder with room."
                ) from error
        disk.close(name)
    if member.file_size != file.bytes or digest.hexdigest() != file.sha256:
        raise ValueError("its bytes differ from the manifest")
