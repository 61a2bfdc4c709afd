"""Archives of sealed sessions in another folder or in object storage: copied, read back, compared, never overwritten.

    <URI>/<session folder's name>/000000000000.parquet ... SHA256SUMS, and manifest.json once every file is there

An archive without a manifest was interrupted, and the next call resumes it.
"""

import hashlib
import re
import shutil
from pathlib import Path

import msgspec

from journal.archive_location import CHUNK_BYTES, ArchiveLocation
from journal.checksums import CHECKSUMS
from journal.disk import RealDisk, is_locked, sync_folder
from journal.errors import (
    ArchiveFailedError,
    ArchiveRefusedError,
    DamagedArchiveError,
    JournalLockedError,
    NotAJournalError,
    no_journal,
)
from journal.progress import Progress
from journal.segments import SealedSegment, first_line, first_seqs, sealed_name
from journal.verify import verify

MANIFEST = "manifest.json"
MANIFEST_BYTES_MAX = 16 * 1024 * 1024  # enough for 100,000 segments
UNFINISHED = ".fetching"  # suffix of a fetched session's folder until it is complete


class ArchivedFile(msgspec.Struct, frozen=True):
    """One file of an archive, as the manifest lists it."""

    name: str
    bytes: int
    sha256: str


class ArchiveManifest(msgspec.Struct, frozen=True, kw_only=True):
    """The manifest.json of an archive: its session and its files."""

    version: int = 1
    session: str  # its folder's name
    records: int
    chain: str  # the session root
    closed: bool
    files: tuple[ArchivedFile, ...]


class Archived(msgspec.Struct, frozen=True):
    """The outcome of `archive`."""

    where: str
    manifest: ArchiveManifest
    copied: int  # files; the other files were already there


_SESSION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)  # a folder name that is safe on a command line


# ---- writing an archive --------------------------------------------------------------------------------


def archive(folder: Path, root: ArchiveLocation, on_progress: Progress | None = None) -> Archived:
    """Copy a sealed session to `root`, and write the manifest last.

    Files that are already there are compared, never overwritten.

    Args:
        folder: The session.
        root: The location that gets a folder of the session's name.
        on_progress: Called with the files copied and to copy.

    Raises:
        ArchiveRefusedError: The session is not sealed, is damaged, or another session has its name there.
        JournalLockedError: A writer is still at work.
        ArchiveFailedError: A read or a write failed.
    """
    try:
        return _archive(folder, root, on_progress)
    except OSError as error:
        raise ArchiveFailedError(f"{folder} cannot be read: {error}.") from error


def _archive(folder: Path, root: ArchiveLocation, on_progress: Progress | None) -> Archived:
    if is_locked(folder):
        raise JournalLockedError(f"{folder} is being written. What to do: archive it when its session has ended.")
    folder = folder.resolve()  # its name becomes the archive's name
    if root.would_overlap(folder):
        raise ArchiveRefusedError(
            f"{root.display_uri} contains the session itself, so it would not be a copy. "
            f"What to do: name another folder."
        )
    _require_sealed(folder)
    report = verify(folder)
    if not report.ok:
        raise ArchiveRefusedError(
            f"{folder} is damaged ({report.problems[0]}). What to do: list all problems with verbatim verify."
        )
    place = root.child(folder.name)
    if (existing := read_manifest(place)) is not None:
        if existing.chain != report.chain:
            raise ArchiveRefusedError(
                f"{place.display_uri} holds another session of that name, with chain {existing.chain[:16]}, not "
                f"{report.chain[:16]}. Nothing was changed. What to do: name another location."
            )
        compare_archive(place, existing)
        return Archived(place.display_uri, existing, 0)
    files, copied = [], 0
    names = _names_to_archive(folder)
    for name in names:
        file = _describe_file(folder / name)
        files.append(file)
        copied += _copy_file(folder / name, file, place.child(name))
        if on_progress is not None:
            on_progress(len(files), len(names))
    manifest = ArchiveManifest(
        session=folder.name, records=report.records, chain=report.chain, closed=report.closed, files=tuple(files)
    )
    data = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    place.child(MANIFEST).write(iter([data]))
    if read_manifest(place) != manifest:
        raise DamagedArchiveError(
            f"{place.display_uri}: the manifest reads back differently. What to do: do not trust this location."
        )
    return Archived(place.display_uri, manifest, copied)


def _require_sealed(folder: Path) -> None:
    names = [path.name for path in folder.iterdir()]
    if first_seqs(names, "open"):
        raise ArchiveRefusedError(
            f"{folder} is not sealed, because its writer was killed. "
            f"What to do: recover it first, with verbatim recover."
        )
    if not first_seqs(names, "parquet"):
        raise no_journal(folder)


def _names_to_archive(folder: Path) -> list[str]:
    names = [path.name for path in folder.iterdir()]
    return [sealed_name(seq) for seq in first_seqs(names, "parquet")] + [name for name in names if name == CHECKSUMS]


def _describe_file(path: Path) -> ArchivedFile:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return ArchivedFile(path.name, file.tell(), digest)
    except FileNotFoundError:
        raise ArchiveRefusedError(
            f"{path} was removed meanwhile, perhaps by a merge. What to do: run the command again."
        ) from None


def _copy_file(path: Path, file: ArchivedFile, place: ArchiveLocation) -> bool:
    """Copy a file unless an identical one is there, and return True if it was copied.

    The beginning of the file, left by an interrupted call, is replaced.
    """
    if (size := place.size()) is not None:
        if size == file.bytes and _digest_of(place) == file.sha256:
            return False
        if size >= file.bytes or _digest_of(place) != _digest_of_beginning(path, size):
            raise ArchiveRefusedError(
                f"{place.display_uri} exists with other content. Nothing was changed. "
                f"What to do: name another location, "
                "or find out who wrote that file."
            )
    with path.open("rb") as source:
        place.write(iter(lambda: source.read(CHUNK_BYTES), b""))
    if place.size() != file.bytes or _digest_of(place) != file.sha256:
        raise DamagedArchiveError(
            f"{place.display_uri} reads back differently. What to do: do not trust this location."
        )
    return True


def _digest_of(place: ArchiveLocation) -> str:
    digest = hashlib.sha256()
    for chunk in place.chunks():
        digest.update(chunk)
    return digest.hexdigest()


def _digest_of_beginning(path: Path, size: int) -> str:
    with path.open("rb") as source:
        digest = hashlib.sha256()
        while size and (chunk := source.read(min(size, CHUNK_BYTES))):
            digest.update(chunk)
            size -= len(chunk)
        return digest.hexdigest()


# ---- reading an archive --------------------------------------------------------------------------------


def read_manifest(place: ArchiveLocation) -> ArchiveManifest | None:
    """Return the manifest of an archive, or None if it has none yet.

    Raises:
        DamagedArchiveError: The file is not a manifest, or names files that an archive never contains.
    """
    location = place.child(MANIFEST)
    size = location.size()
    if size is None:
        return None
    try:
        if size > MANIFEST_BYTES_MAX:
            raise ValueError(f"it is {size} bytes long")
        manifest = msgspec.json.decode(b"".join(location.chunks()), type=ArchiveManifest)
        if manifest.version != 1:
            raise ValueError(f"it is of version {manifest.version}")
        names = [file.name for file in manifest.files]
        if len(set(names)) < len(names) or any(
            name != CHECKSUMS and not first_seqs([name], "parquet") for name in names
        ):
            raise ValueError("it names files that are not segments")
        if _SESSION.fullmatch(manifest.session) is None:
            raise ValueError("its session name is not a valid folder name")
    except ValueError as error:
        raise DamagedArchiveError(
            f"{location.display_uri} is not an archive's manifest: {first_line(error)}."
        ) from None
    return manifest


def missing_archive(place: ArchiveLocation) -> ArchiveRefusedError:
    """Return the error that says that a location holds no finished archive."""
    return ArchiveRefusedError(
        f"{place.display_uri} has no {MANIFEST}: it is not an archive, or was never finished. "
        f"What to do: check the URI, "
        "or archive the session again."
    )


def compare_archive(place: ArchiveLocation, manifest: ArchiveManifest) -> None:
    """Read every file of an archive and compare it with the manifest.

    Raises:
        DamagedArchiveError: A file is missing or differs; the message names the first one.
    """
    for file in manifest.files:
        location = place.child(file.name)
        if (size := location.size()) is None:
            raise DamagedArchiveError(f"{location.display_uri} is missing, and the manifest names it.")
        if size != file.bytes or _digest_of(location) != file.sha256:
            raise DamagedArchiveError(f"{location.display_uri} differs from the manifest.")


def reason_not_archived(root: ArchiveLocation, folder: Path) -> str:
    """Return why the archive cannot replace this session, or "" if it can. Reads the whole archive."""
    folder = folder.resolve()
    if root.would_overlap(folder):
        return "the archive named is the session's own folder and not a copy"
    try:
        manifest = read_manifest(root.child(folder.name))
        if manifest is None:
            return "the session is not archived there"
        _require_sealed(folder)
        names = [path.name for path in folder.iterdir()]
        if SealedSegment(folder / sealed_name(first_seqs(names, "parquet")[-1])).footer.chain != manifest.chain:
            return "the archive holds another session, or only a part of this one"
        compare_archive(root.child(folder.name), manifest)
    except (ArchiveRefusedError, NotAJournalError, DamagedArchiveError) as error:
        return str(error)
    return ""


def fetch(place: ArchiveLocation, *, into: Path | None, journals: Path, on_progress: Progress | None = None) -> Path:
    """Copy an archived session into a new folder, which appears once it is verified. Return its path.

    Args:
        place: The location of the archive.
        into: The new folder. None: the session's own name under `journals`.
        journals: The folder of all sessions.
        on_progress: Called with the files fetched and to fetch.

    Raises:
        ArchiveRefusedError: There is no archive, or the folder exists.
        DamagedArchiveError: The archive differs from its manifest.
        ArchiveFailedError: A read or a write failed.
    """
    manifest = read_manifest(place)
    if manifest is None:
        raise missing_archive(place)
    folder = journals / manifest.session if into is None else into
    if folder.exists():
        raise ArchiveRefusedError(f"{folder} exists already. What to do: name another folder with --into.")
    unfinished = folder.with_name(folder.name + UNFINISHED)
    if unfinished.is_dir():  # an interrupted call left it, or another call is still at work and holds its lock
        RealDisk(unfinished).release()
        shutil.rmtree(unfinished)
    disk = RealDisk.create_folder(unfinished)
    try:
        for number, file in enumerate(manifest.files, 1):
            _fetch_file(disk, place.child(file.name), file)
            if on_progress is not None:
                on_progress(number, len(manifest.files))
        disk.sync_folder()
        report = verify(unfinished)
        if not report.ok or (report.chain, report.records, report.closed) != (
            manifest.chain,
            manifest.records,
            manifest.closed,
        ):
            problem = report.problems[0] if report.problems else "its records differ from the manifest"
            raise DamagedArchiveError(f"{place.display_uri}: {problem}.")
        unfinished.rename(folder)
        sync_folder(folder.parent)
    except BaseException as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        if isinstance(error, OSError):
            raise ArchiveFailedError(f"{folder} cannot be written: {error.strerror}.") from error
        raise
    finally:
        disk.release()
    return folder


def _fetch_file(disk: RealDisk, place: ArchiveLocation, file: ArchivedFile) -> None:
    digest, size = hashlib.sha256(), 0
    disk.create(file.name)
    for chunk in place.chunks():
        size += len(chunk)
        if size > file.bytes:
            break
        digest.update(chunk)
        disk.write(file.name, chunk)
    if size != file.bytes or digest.hexdigest() != file.sha256:
        raise DamagedArchiveError(f"{place.display_uri} differs from the manifest.")
    disk.sync(file.name)
    disk.close(file.name)
