"""Archived sessions as copies on this machine: fetched once, proved by their manifest, kept for whoever asks for them next.

    <folder>/<a hash of the archive's manifest>/<the session's name>

The folder is VERBATIM_COPIES of the environment, else verbatim/sessions in XDG_CACHE_HOME or ~/.cache.
Under its name a copy is whole, for it is renamed there when it is; who wants one that another process fetches waits for that.
Nothing is ever removed here: a copy may be deleted whenever nobody works on it.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from journal.archive import MANIFEST, ArchiveManifest, fetch, opened, read_manifest
from journal.errors import ArchiveFailedError, ArchiveRefusedError

LOCK = "lock"


def is_address(session: str) -> bool:
    return "://" in session


def name_at(address: str) -> str:
    """The folder's name at an address, for people."""
    return address.partition("?")[0].rstrip("/").rpartition("/")[2]


def copies_folder() -> Path:
    if given := os.environ.get("VERBATIM_COPIES"):
        return Path(given).absolute()
    root = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 - Path.expanduser raises where there is no home
    return Path(root).absolute() / "verbatim" / "sessions"


def copy_of(address: str) -> Path:
    """The folder of the copy. ArchiveRefusedError where no archive is there; DamagedArchiveError; ArchiveFailedError."""
    place = opened(address)
    manifest = read_manifest(place)
    if manifest is None:
        raise ArchiveRefusedError(f"{place.shown} holds no {MANIFEST}: no archive is there, or it was never finished.")
    within = copies_folder() / hashlib.sha256(msgspec.json.encode(manifest)).hexdigest()[:32]
    folder = within / manifest.session
    if _is_whole(folder, manifest):
        return folder
    try:
        within.mkdir(parents=True, exist_ok=True)
        with _alone(within / LOCK):
            if not _is_whole(folder, manifest):
                shutil.rmtree(folder, ignore_errors=True)
                fetch(place, into=folder, journals=within)
    except OSError as error:
        raise ArchiveFailedError(
            f"{within} cannot be written: {error.strerror}. What to do: set VERBATIM_COPIES to a folder that can."
        ) from error
    return folder


def _is_whole(folder: Path, manifest: ArchiveManifest) -> bool:
    """What was proved when it was fetched is there still; of the bytes each reader checks its own."""
    try:
        return all((folder / file.name).stat().st_size == file.bytes for file in manifest.files)
    except OSError:
        return False


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Of all processes of this machine; the lock dies with its holder."""
    with path.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
