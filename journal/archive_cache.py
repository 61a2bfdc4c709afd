"""Local copies of archived sessions: fetched once, verified against their manifest and kept for later commands.

    <folder>/<a hash of the archive's manifest>/<the session's name>

The folder is VERBATIM_COPIES of the environment, otherwise verbatim/sessions in XDG_CACHE_HOME or ~/.cache.
A copy gets its name only when it is complete. If another process is fetching the same session, the call waits for it.
This module never deletes a copy. The user may delete one while no command uses it.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from journal.archive import MANIFEST, ArchiveManifest, fetch, missing_archive, read_manifest
from journal.archive_location import open_location
from journal.errors import ArchiveFailedError
from journal.private_files import make_folder

LOCK = "lock"


def session_name(address: str) -> str:
    """Return the session's folder name in an archive's address, for display."""
    return address.partition("?")[0].rstrip("/").rpartition("/")[2]


def archived_sessions(address: str) -> list[str]:
    """Return the addresses of the archives at an address: itself, or those of the sessions in that folder, by name.

    Raises:
        ArchiveRefusedError: There is no archive.
        ArchiveFailedError: A read failed.
    """
    place = open_location(address)
    if read_manifest(place) is not None:
        return [address]
    base, mark, query = address.partition("?")
    inside = [name for name in place.folders() if place.child(name).child(MANIFEST).size() is not None]
    if not inside:
        raise missing_archive(place)
    return [f"{base.rstrip('/')}/{name}{mark}{query}" for name in inside]


def cache_folder() -> Path:
    """Return the folder of all local copies."""
    if configured := os.environ.get("VERBATIM_COPIES"):
        return Path(configured).absolute()
    return user_cache_folder() / "sessions"


def user_cache_folder() -> Path:
    """Return the folder of our caches for this user: verbatim in XDG_CACHE_HOME or ~/.cache."""
    root = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 - Path.expanduser raises without a home
    return Path(root).absolute() / "verbatim"


def cached_copy(address: str) -> Path:
    """Return the folder of the local copy, and fetch it first if needed.

    Raises:
        ArchiveRefusedError: There is no archive at the address.
        DamagedArchiveError: The archive differs from its manifest.
        ArchiveFailedError: A read or a write failed.
    """
    place = open_location(address)
    manifest = read_manifest(place)
    if manifest is None:
        raise missing_archive(place)
    within = cache_folder() / hashlib.sha256(msgspec.json.encode(manifest)).hexdigest()[:32]
    folder = within / manifest.session
    if _is_complete(folder, manifest):
        return folder
    try:
        make_folder(within)
        with _exclusive(within / LOCK):
            if not _is_complete(folder, manifest):
                shutil.rmtree(folder, ignore_errors=True)
                fetch(place, into=folder, journals=within)
    except OSError as error:
        raise ArchiveFailedError(
            f"{within} cannot be written: {error.strerror}. What to do: set VERBATIM_COPIES to a writable folder."
        ) from error
    return folder


def _is_complete(folder: Path, manifest: ArchiveManifest) -> bool:
    """Return True if every file of the verified copy still has its size. Readers check the bytes that they use."""
    try:
        return all((folder / file.name).stat().st_size == file.bytes for file in manifest.files)
    except OSError:
        return False


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Wait until no other process of this machine holds the lock, then hold it. It ends with its process."""
    with path.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
