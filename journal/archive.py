"""A sealed session in another folder or in object storage, and back: copied, read again, compared, and never overwritten.

    <URI>/<session folder's name>/000000000000.parquet ... SHA256SUMS, and manifest.json when all of it is there

An archive without its manifest is one that was cut off: the next call goes on with it. Where the place is comes as a URI
that pyarrow.fs understands; who we are to it comes from the environment (AWS_*), and is in no text of ours.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
import pyarrow as pa
from pyarrow import fs

from journal.checksums import CHECKSUMS
from journal.disk import RealDisk, is_locked, sync_folder
from journal.errors import (
    ArchiveFailedError,
    ArchiveRefusedError,
    DamagedArchiveError,
    JournalLockedError,
    NotAJournalError,
)
from journal.segments import Sealed, first_line, first_seqs, sealed_name
from journal.verify import verify

MANIFEST = "manifest.json"
MANIFEST_BYTES_MAX = 16 * 1024 * 1024  # of 100,000 segments
UNFINISHED = ".fetching"  # ends the name of a fetched session's folder until it is whole
_CHUNK_BYTES = 8 * 1024 * 1024
_SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID")


class ArchivedFile(msgspec.Struct, frozen=True):
    name: str
    bytes: int
    sha256: str


class ArchiveManifest(msgspec.Struct, frozen=True, kw_only=True):
    version: int = 1
    session: str  # its folder's name
    records: int
    chain: str  # the session root
    closed: bool
    files: tuple[ArchivedFile, ...]


class Archived(msgspec.Struct, frozen=True):
    where: str
    manifest: ArchiveManifest
    copied: int  # files; the others were there already


_SESSION = re.compile(
    r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII
)  # a folder's name, for people and for a command line


class ArchiveLocation(NamedTuple):
    """A folder of some file system."""

    filesystem: Any
    path: str
    shown: str  # the URI without what may be secret in it

    def within(self, name: str) -> "ArchiveLocation":
        return ArchiveLocation(self.filesystem, f"{self.path.rstrip('/')}/{name}", f"{self.shown.rstrip('/')}/{name}")

    @property
    def is_local(self) -> bool:
        return bool(self.filesystem.type_name == "local")

    def holds(self, folder: Path) -> bool:
        """Whether a session's archive would be the very folder that it lies in, or lie within it."""
        if not self.is_local:
            return False
        here = Path(self.path).resolve()
        return here in (folder.parent, folder) or folder in here.parents

    @contextmanager
    def asked(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (OSError, pa.ArrowException) as error:
            raise ArchiveFailedError(
                f"{self.shown}: {doing} failed: {_without_secrets(first_line(error))}. What to do: see to it, then call again: "
                "what is there already is not copied twice."
            ) from None

    def size(self) -> int | None:
        """None where no such file is."""
        with self.asked("looking for it"):
            info = self.filesystem.get_file_info([self.path])[0]
        return info.size if info.type == fs.FileType.File else None

    def chunks(self) -> Iterator[bytes]:
        with self.asked("reading"), self.filesystem.open_input_stream(self.path, compression=None) as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                yield chunk

    def write(self, chunks: Iterator[bytes]) -> None:
        with self.asked("writing"):
            if self.is_local:
                self.filesystem.create_dir(self.path.rpartition("/")[0], recursive=True)
            with self.filesystem.open_output_stream(self.path, compression=None) as stream:
                for chunk in chunks:
                    stream.write(chunk)
            if self.is_local:
                _sync_file(Path(self.path))


def opened(uri: str) -> ArchiveLocation:
    """A path, or a URI: s3://bucket/folder, also with ?endpoint_override=host:port&scheme=http&region=... ArchiveRefusedError."""
    if "://" not in uri:
        return ArchiveLocation(fs.LocalFileSystem(), str(Path(uri).absolute()), str(Path(uri).absolute()))
    try:
        parts = urlsplit(uri)
        shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        given = parts.password is not None or (parts.scheme == "s3" and parts.username is not None)
    except ValueError:
        raise ArchiveRefusedError("the URI of the archive is none: write s3://bucket/folder, or a path.") from None
    if given:
        raise ArchiveRefusedError(
            f"{shown}: the URI holds a key, and a command line is seen by others. What to do: set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY in the environment, and take it out of the URI."
        )
    try:
        filesystem, path = fs.FileSystem.from_uri(uri)
    except (OSError, ValueError, pa.ArrowException) as error:
        said = _without_secrets(first_line(error).replace(uri, shown))
        raise ArchiveRefusedError(f"{shown} cannot be used: {said}.") from None
    return ArchiveLocation(filesystem, path, shown)


def _without_secrets(text: str) -> str:
    for name in _SECRETS:
        if secret := os.environ.get(name):
            text = text.replace(secret, f"<{name}>")
    return text


# ---- there ---------------------------------------------------------------------------------------------


def archive(folder: Path, root: ArchiveLocation) -> Archived:
    """Copy a sealed session to `root`. What is there is compared, never overwritten; the manifest comes last.

    ArchiveRefusedError where the session is not sealed and whole, or another one has its place; JournalLockedError; ArchiveFailedError.
    """
    try:
        return _archive(folder, root)
    except OSError as error:
        raise ArchiveFailedError(f"{folder} cannot be read: {error}.") from error


def _archive(folder: Path, root: ArchiveLocation) -> Archived:
    if is_locked(folder):
        raise JournalLockedError(f"{folder} is being written. What to do: archive it when its session has ended.")
    folder = folder.resolve()  # whose name is the archive's
    if root.holds(folder):
        raise ArchiveRefusedError(
            f"{root.shown} is where the session itself lies: that is no copy. What to do: name another folder."
        )
    _refuse_open(folder)
    report = verify(folder)
    if not report.ok:
        raise ArchiveRefusedError(
            f"{folder} is damaged ({report.problems[0]}). What to do: verbatim verify shows all of it."
        )
    place = root.within(folder.name)
    if (there := read_manifest(place)) is not None:
        if there.chain != report.chain:
            raise ArchiveRefusedError(
                f"{place.shown} holds another session of that name, with chain {there.chain[:16]}, not {report.chain[:16]}. "
                "Nothing was changed. What to do: name another place."
            )
        compare(place, there)
        return Archived(place.shown, there, 0)
    files, copied = [], 0
    for name in _names(folder):
        found = _file(folder / name)
        files.append(found)
        copied += _copied(folder / name, found, place.within(name))
    manifest = ArchiveManifest(
        session=folder.name, records=report.records, chain=report.chain, closed=report.closed, files=tuple(files)
    )
    data = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    place.within(MANIFEST).write(iter([data]))
    if read_manifest(place) != manifest:
        raise DamagedArchiveError(
            f"{place.shown}: the manifest reads otherwise than it was written. What to do: do not trust it."
        )
    return Archived(place.shown, manifest, copied)


def _refuse_open(folder: Path) -> None:
    names = [path.name for path in folder.iterdir()]
    if first_seqs(names, "open"):
        raise ArchiveRefusedError(
            f"{folder} is not sealed: its writer was killed. What to do: recover it first, with verbatim recover."
        )
    if not first_seqs(names, "parquet"):
        raise NotAJournalError(f"{folder} holds no journal. What to do: name the folder of a session.")


def _names(folder: Path) -> list[str]:
    names = [path.name for path in folder.iterdir()]
    return [sealed_name(seq) for seq in first_seqs(names, "parquet")] + [name for name in names if name == CHECKSUMS]


def _file(path: Path) -> ArchivedFile:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return ArchivedFile(path.name, file.tell(), digest)
    except FileNotFoundError:
        raise ArchiveRefusedError(f"{path} went away meanwhile: was it merged? What to do: archive anew.") from None


def _copied(path: Path, file: ArchivedFile, place: ArchiveLocation) -> bool:
    """Whether it had to be: an identical one may be there, or the beginning of one, from a call that was cut off."""
    if (size := place.size()) is not None:
        if size == file.bytes and _digest(place) == file.sha256:
            return False
        if size >= file.bytes or _digest(place) != _digest_of_beginning(path, size):
            raise ArchiveRefusedError(
                f"{place.shown} is there already, and is another. Nothing was changed. What to do: name another place, "
                "or look who put it there."
            )
    with path.open("rb") as source:
        place.write(iter(lambda: source.read(_CHUNK_BYTES), b""))
    if place.size() != file.bytes or _digest(place) != file.sha256:
        raise DamagedArchiveError(
            f"{place.shown} reads otherwise than it was written. What to do: do not trust this place."
        )
    return True


def _digest(place: ArchiveLocation) -> str:
    digest = hashlib.sha256()
    for chunk in place.chunks():
        digest.update(chunk)
    return digest.hexdigest()


def _digest_of_beginning(path: Path, size: int) -> str:
    with path.open("rb") as source:
        digest = hashlib.sha256()
        while size and (chunk := source.read(min(size, _CHUNK_BYTES))):
            digest.update(chunk)
            size -= len(chunk)
        return digest.hexdigest()


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
    sync_folder(path.parent)


# ---- and back ------------------------------------------------------------------------------------------


def read_manifest(place: ArchiveLocation) -> ArchiveManifest | None:
    """None where there is none. DamagedArchiveError where it is no manifest, or names what no archive holds."""
    where = place.within(MANIFEST)
    size = where.size()
    if size is None:
        return None
    try:
        if size > MANIFEST_BYTES_MAX:
            raise ValueError(f"it is {size} bytes long")
        found = msgspec.json.decode(b"".join(where.chunks()), type=ArchiveManifest)
        if found.version != 1:
            raise ValueError(f"it is of version {found.version}")
        names = [file.name for file in found.files]
        if len(set(names)) < len(names) or any(
            name != CHECKSUMS and not first_seqs([name], "parquet") for name in names
        ):
            raise ValueError("it names files that are no segments")
        if _SESSION.fullmatch(found.session) is None:
            raise ValueError("its session's name is none")
    except ValueError as error:
        raise DamagedArchiveError(f"{where.shown} is no manifest of an archive: {first_line(error)}.") from None
    return found


def compare(place: ArchiveLocation, manifest: ArchiveManifest) -> None:
    """Reads all of an archive. DamagedArchiveError names the first file that is not what the manifest says."""
    for file in manifest.files:
        within = place.within(file.name)
        if (size := within.size()) is None:
            raise DamagedArchiveError(f"{within.shown} is missing, and the manifest names it.")
        if size != file.bytes or _digest(within) != file.sha256:
            raise DamagedArchiveError(f"{within.shown} is not what the manifest says.")


def missing_of(root: ArchiveLocation, folder: Path) -> str:
    """Why the archive cannot stand for this session; "" where all of it is there. It is read whole."""
    folder = folder.resolve()
    if root.holds(folder):
        return "the archive named is the folder it lies in, so there is no copy of it"
    try:
        manifest = read_manifest(root.within(folder.name))
        if manifest is None:
            return "it is not archived there"
        _refuse_open(folder)
        names = [path.name for path in folder.iterdir()]
        if Sealed(folder / sealed_name(first_seqs(names, "parquet")[-1])).footer.chain != manifest.chain:
            return "its archive is of another session, or of a part of it"
        compare(root.within(folder.name), manifest)
    except (ArchiveRefusedError, NotAJournalError, DamagedArchiveError) as error:
        return str(error)
    return ""


def fetch(place: ArchiveLocation, *, into: Path | None, journals: Path) -> Path:
    """An archived session in a new folder, which appears when all of it is there and proved: its path.

    ArchiveRefusedError where there is no archive or the folder exists; DamagedArchiveError; ArchiveFailedError.
    """
    manifest = read_manifest(place)
    if manifest is None:
        raise ArchiveRefusedError(f"{place.shown} holds no {MANIFEST}: no archive is there, or it was never finished.")
    folder = journals / manifest.session if into is None else into
    if folder.exists():
        raise ArchiveRefusedError(f"{folder} exists already. What to do: name another folder with --into.")
    unfinished = folder.with_name(folder.name + UNFINISHED)
    if unfinished.is_dir():  # of a call that was cut off, or that is still at work
        RealDisk(unfinished).release()
        shutil.rmtree(unfinished)
    disk = RealDisk.make(unfinished)
    try:
        for file in manifest.files:
            _fetch_file(disk, place.within(file.name), file)
        disk.sync_folder()
        report = verify(unfinished)
        if not report.ok or (report.chain, report.records, report.closed) != (
            manifest.chain,
            manifest.records,
            manifest.closed,
        ):
            what = report.problems[0] if report.problems else "its records are not those that the manifest states"
            raise DamagedArchiveError(f"{place.shown}: {what}.")
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
        raise DamagedArchiveError(f"{place.shown} is not what the manifest says.")
    disk.sync(file.name)
    disk.close(file.name)
