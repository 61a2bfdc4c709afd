"""A bundle: one file with a journal, or a slice of one, that a stranger can verify and look at. A zip whose members are stored.

    README.txt   journal/000000000000.parquet ...   journal/SHA256SUMS   journal/begin.state   manifest.json

What a slice is, is said in its footers (journal/footer.py); `begin.state` is for whoever reads records, and opaque here.
A bundle comes from strangers: members have the names above or none, sizes are bounded by the file's own, nothing is unpacked
that the manifest does not vouch for.
"""

import hashlib
import re
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from struct import error as StructError  # noqa: N812 - the module names it as no class is named

import msgspec

from journal.checksums import CHECKSUMS
from journal.disk import RealDisk
from journal.errors import DamagedJournalError, JournalFailedError, NotAJournalError
from journal.export import appearing
from journal.segments import Sealed, first_seqs, sealed_name

SUFFIX = ".vbundle"
BEGIN_STATE = "begin.state"  # what readers believed where a slice goes on, beside its segments
README, MANIFEST, JOURNAL = "README.txt", "manifest.json", "journal/"
MANIFEST_BYTES_MAX = 16 * 1024 * 1024
_MEMBER = re.compile(
    rf"README\.txt|manifest\.json|journal/((?:\d{{12}}|[1-9]\d{{12,17}})\.parquet|{CHECKSUMS}|begin\.state)", re.ASCII
)
_CHUNK_BYTES = 1 << 20
_ZIP_MAGIC = b"PK\x03\x04"
_ENCRYPTED = 0x1
_ALWAYS_THEN = (1980, 1, 1, 0, 0, 0)  # the same journal makes the same bundle
# what zipfile raises on damaged bytes
_UNREADABLE = (zipfile.BadZipFile, OSError, ValueError, LookupError, EOFError, RuntimeError, OverflowError, StructError)


class BundledFile(msgspec.Struct, frozen=True):
    name: str
    bytes: int
    sha256: str


class BundleManifest(msgspec.Struct, frozen=True, kw_only=True):
    version: int = 1
    session: str  # its folder's name
    whole: bool  # the session's own segments, byte for byte, with chain and signatures
    first_seq: int  # the records are the SESSION record, and those from here ...
    last_seq: int  # ... to here
    session_last_seq: int  # the session's, when it was bundled
    bundled_from: str  # the session's chain value then
    redacted: tuple[str, ...] = ()
    versions: dict[str, str] = {}  # that the session was recorded with; msgspec copies it for each
    files: tuple[BundledFile, ...] = ()


def pack(folder: Path, names: Iterable[str], target: Path, manifest: BundleManifest, readme: str) -> BundleManifest:
    """Files of a folder as a bundle, which appears when it is whole: the manifest with their hashes. ExportRefusedError, JournalFailedError."""
    files = []
    with appearing(target) as partial:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as bundle:
            files.append(_put(bundle, README, [readme.encode()]))
            files += [_put(bundle, JOURNAL + name, _chunks(folder / name)) for name in names]
            made = msgspec.structs.replace(manifest, files=tuple(files))
            _put(bundle, MANIFEST, [msgspec.json.format(msgspec.json.encode(made), indent=1)])
        with zipfile.ZipFile(partial) as bundle:
            if (bad := bundle.testzip()) is not None:
                raise DamagedJournalError(
                    target, f"{bad} reads otherwise than it was written", "do not trust this disk"
                )
    return made


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _put(bundle: zipfile.ZipFile, name: str, chunks: Iterable[bytes]) -> BundledFile:
    digest, size = hashlib.sha256(), 0
    with bundle.open(zipfile.ZipInfo(name, _ALWAYS_THEN), "w", force_zip64=True) as member:
        for chunk in chunks:
            digest.update(chunk)
            size += len(chunk)
            member.write(chunk)
    return BundledFile(name, size, digest.hexdigest())


def unpack(path: Path, folder: Path) -> BundleManifest:
    """The journal of a bundle in a new folder. NotAJournalError where it is no bundle; DamagedJournalError, which names the member."""
    try:
        with path.open("rb") as file:
            magic = file.read(len(_ZIP_MAGIC))
    except OSError as error:
        raise NotAJournalError(f"{path} cannot be read: {error.strerror}.") from error
    if magic != _ZIP_MAGIC:
        raise NotAJournalError(f"{path} is no bundle. What to do: name a session, or a file that verbatim bundle made.")
    with _told(path, "the bundle"), zipfile.ZipFile(path) as bundle:
        members = _members(bundle, path.stat().st_size)
        with _told(path, MANIFEST):
            manifest = _manifest(bundle, members)
        disk = RealDisk.make(folder)
        try:
            for each in manifest.files:
                with _told(path, each.name):
                    _take(bundle, members[each.name], each, disk)
        finally:
            disk.release()
        with _told(path, MANIFEST):
            _compare(manifest, folder)
        (folder / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    return manifest


def manifest_in(folder: Path) -> BundleManifest | None:
    """Of a bundle that was unpacked there."""
    path = folder / MANIFEST
    return msgspec.json.decode(path.read_bytes(), type=BundleManifest) if path.exists() else None


@contextmanager
def _told(path: Path, member: str) -> Iterator[None]:
    try:
        yield
    except DamagedJournalError:
        raise
    except _UNREADABLE as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise DamagedJournalError(path, f"{member}: {lines[0]}", "get the bundle again") from error


def _members(bundle: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """By name. Stored and not overlapping, as ours are, they cannot hold more than the file does."""
    members: dict[str, zipfile.ZipInfo] = {}
    for member in bundle.infolist():
        if _MEMBER.fullmatch(member.filename) is None or member.filename in members:
            raise ValueError(f"{member.filename[:80]!r} is nothing that a bundle holds, or is there twice")
        if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & _ENCRYPTED:
            raise ValueError(f"{member.filename} is compressed or encrypted, and a bundle's members are not")
        if member.compress_size != member.file_size:
            raise ValueError(f"{member.filename} has two sizes")
        members[member.filename] = member
    if sum(member.file_size for member in members.values()) > size:
        raise ValueError("its members are larger than the file")
    return members


def _manifest(bundle: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo]) -> BundleManifest:
    if (member := members.get(MANIFEST)) is None:
        raise ValueError("it is missing")
    if member.file_size > MANIFEST_BYTES_MAX:
        raise ValueError("it is too large")
    found = msgspec.json.decode(bundle.read(member), type=BundleManifest)
    if found.version != 1:
        raise ValueError(f"it is of version {found.version}, which a later verbatim reads")
    if not all(
        word.isprintable()
        for word in (found.session, found.bundled_from, *found.redacted, *found.versions, *found.versions.values())
    ):
        raise ValueError("a text of it cannot be printed")
    names = [file.name for file in found.files]
    if sorted(names) != sorted(members.keys() - {MANIFEST}):
        raise ValueError("it names other files than are there")
    return found


def _compare(manifest: BundleManifest, folder: Path) -> None:
    """What it states of the session must be what the footers state, which `verify` proves."""
    footers = [
        Sealed(folder / sealed_name(seq)).footer
        for seq in first_seqs([path.name for path in folder.iterdir()], "parquet")
    ]
    if not footers:
        raise ValueError("it names no segment")
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
        raise ValueError("it states another part of the session than the segments do")


def _take(bundle: zipfile.ZipFile, member: zipfile.ZipInfo, file: BundledFile, disk: RealDisk) -> None:
    digest, name = hashlib.sha256(), file.name.removeprefix(JOURNAL)
    with bundle.open(member) as source:
        disk.create(name)
        while chunk := source.read(_CHUNK_BYTES):
            digest.update(chunk)
            try:
                disk.write(name, chunk)
            except OSError as error:
                raise JournalFailedError(
                    f"{disk.folder} cannot be written, where bundles are unpacked (TMPDIR): {error.strerror}."
                ) from error
        disk.close(name)
    if member.file_size != file.bytes or digest.hexdigest() != file.sha256:
        raise ValueError("its bytes are not those that the manifest states")
