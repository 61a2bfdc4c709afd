"""Downloads of a venue's public archives: each file is resumed where it was cut, and proved by its checksum.

A file under its own name is whole. The bytes of an unfinished one wait in `<name>.part` for the next attempt.
"""

import hashlib
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeVar
from urllib.parse import quote

import httpx

from engine.venues.public_archive import ArchiveFile, PublicArchive

ATTEMPTS: Final = 4  # to get a file, each from where the last one ended
WAIT_FIRST_S: Final = 1.0  # before the second attempt; it doubles
TIMEOUT_S: Final = 30.0  # without a byte
FILE_BYTES_MAX: Final = 1 << 36  # 64 GiB; the largest month of trades has 20
CHECKSUM_BYTES_MAX: Final = 4_096
PART: Final = ".part"
_SHA256: Final = re.compile(rb"\b([0-9a-fA-F]{64})\b")
Progress = Callable[[int, int], None]
Got = TypeVar("Got")


class DownloadError(Exception):
    """A file cannot be had. The text is one line."""


class _TryAgainError(Exception):
    """The connection broke or the server is busy."""


class Downloaded(NamedTuple):
    """The outcome of a download."""

    files: tuple[Path, ...]  # in the order of their times
    kept: int  # so many of them were there before
    missing: tuple[str, ...]  # addresses that the archive does not have


def download(
    archive: PublicArchive,
    files: Sequence[ArchiveFile],
    into: Path,
    *,
    base: str = "",
    wait_s: float = WAIT_FIRST_S,
    on_progress: Progress | None = None,
) -> Downloaded:
    """Download files of an archive to a folder.

    Args:
        archive: The archive.
        files: Its files.
        into: The folder.
        base: The address of a mirror.
        wait_s: The wait before the second attempt.
        on_progress: Called with the number of files that are done, and of all.

    Raises:
        DownloadError: A file cannot be had, or differs from its checksum. The files before it are kept.
    """
    for file in files:
        if Path(file.name).name != file.name:
            raise DownloadError(f"{file.name!r} is no name of a file. What to do: check the symbol.")
    address = (base or archive.base).rstrip("/")
    found: list[Path] = []
    missing: list[str] = []
    kept = 0
    try:
        into.mkdir(parents=True, exist_ok=True)
        with httpx.Client(timeout=TIMEOUT_S, follow_redirects=False) as client:
            for number, file in enumerate(files):
                if on_progress is not None:
                    on_progress(number, len(files))
                url, target = f"{address}/{quote(file.path)}", into / file.name
                digest = _checksum(client, f"{url}{archive.checksum_suffix}", wait_s)
                if digest is None:
                    missing.append(url)
                    continue
                found.append(target)
                if target.is_file() and _sha256(target) == digest:
                    kept += 1
                    continue
                _fetch(client, url, target, digest, wait_s)
    except OSError as error:
        raise DownloadError(f"{into} cannot be written: {error.strerror}.") from error
    return Downloaded(tuple(found), kept, tuple(missing))


def _checksum(client: httpx.Client, url: str, wait_s: float) -> str | None:
    """Return the sha256 that the archive states for a file, or None if it has no such file."""

    def get() -> str | None:
        with client.stream("GET", url) as answer:
            if answer.status_code == httpx.codes.NOT_FOUND:
                return None
            _check_status(answer, url)
            text = b""
            for part in answer.iter_bytes():
                text += part
                if len(text) > CHECKSUM_BYTES_MAX:
                    break
        match = _SHA256.search(text)
        if match is None:
            raise DownloadError(f"{url} states no sha256. What to do: check the address of the archive.")
        return match[1].decode().lower()

    return _repeated(get, url, wait_s)


def _fetch(client: httpx.Client, url: str, target: Path, digest: str, wait_s: float) -> None:
    """Download one file, and name it once its bytes are those of the checksum."""
    part = target.with_name(target.name + PART)

    def get() -> bool:
        have = part.stat().st_size if part.is_file() else 0
        with client.stream("GET", url, headers={"Range": f"bytes={have}-"} if have else {}) as answer:
            if answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                return True  # it is whole, or the checksum shows that it is not
            _check_status(answer, url)
            is_rest = answer.status_code == httpx.codes.PARTIAL_CONTENT
            with part.open("ab" if is_rest else "wb") as file:
                for chunk in answer.iter_raw():  # as it arrives: the bytes before a cut are kept
                    file.write(chunk)
                    if file.tell() > FILE_BYTES_MAX:
                        raise DownloadError(f"{url} is longer than {FILE_BYTES_MAX} bytes.")
        return True

    _repeated(get, url, wait_s)
    if _sha256(part) != digest:  # the file may have been published again since its first part came
        part.unlink()
        _repeated(get, url, wait_s)
        if _sha256(part) != digest:
            part.unlink()
            raise DownloadError(
                f"{url} differs from its checksum, twice. What to do: try again later; nothing was kept of it."
            )
    part.replace(target)


def _repeated(get: Callable[[], Got], url: str, wait_s: float) -> Got:
    """Call `get` until it succeeds, at most ATTEMPTS times."""
    reason = ""
    for attempt in range(ATTEMPTS):
        try:
            return get()
        except (httpx.TransportError, _TryAgainError) as error:
            reason = str(error) or type(error).__name__
            if attempt + 1 < ATTEMPTS:
                time.sleep(wait_s * 2**attempt)
    raise DownloadError(
        f"{url}: {' '.join(reason.split())[:200]}, {ATTEMPTS} times. "
        "What to do: repeat the command, which continues where it ended."
    )


def _check_status(answer: httpx.Response, url: str) -> None:
    if answer.status_code >= 500 or answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
        raise _TryAgainError(f"HTTP {answer.status_code}")
    if answer.status_code not in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
        raise DownloadError(f"{url} was answered with HTTP {answer.status_code}.")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
