"""Location of an archive: a path, or a URI that pyarrow.fs understands, such as s3://bucket/folder.

Credentials come from the environment (AWS_*) and never appear in a message. Knows nothing of sessions and manifests.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pyarrow as pa
from pyarrow import fs

from journal.disk import sync_folder
from journal.errors import ArchiveFailedError, ArchiveRefusedError
from journal.segments import first_line

CHUNK_BYTES = 8 * 1024 * 1024
_SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID")


class ArchiveLocation(NamedTuple):
    """A file or folder of a pyarrow file system."""

    filesystem: Any
    path: str
    display_uri: str  # the URI without its user, password and query, which may be secret

    def child(self, name: str) -> "ArchiveLocation":
        """Return the location of a file or folder directly below this one."""
        return ArchiveLocation(
            self.filesystem, f"{self.path.rstrip('/')}/{name}", f"{self.display_uri.rstrip('/')}/{name}"
        )

    @property
    def is_local(self) -> bool:
        """True for a folder of this machine."""
        return bool(self.filesystem.type_name == "local")

    def would_overlap(self, folder: Path) -> bool:
        """Return True if an archive here would be the session's own folder, its parent, or inside it."""
        if not self.is_local:
            return False
        root = Path(self.path).resolve()
        return root in (folder.parent, folder) or folder in root.parents

    @contextmanager
    def reporting_failures(self, action: str) -> Iterator[None]:
        """Turn errors of the file system into an ArchiveFailedError that names the location and the action."""
        try:
            yield
        except (OSError, pa.ArrowException) as error:
            raise ArchiveFailedError(
                f"{self.display_uri}: {action} failed: {_without_secrets(first_line(error))}. "
                f"What to do: fix the cause, "
                "then run the command again: files that are already there are not copied twice."
            ) from None

    def size(self) -> int | None:
        """Return the size of the file in bytes, or None if it does not exist."""
        with self.reporting_failures("reading its size"):
            info = self.filesystem.get_file_info([self.path])[0]
        return info.size if info.type == fs.FileType.File else None

    def folders(self) -> list[str]:
        """Return the names of the folders directly below this one. A missing folder has no folders."""
        with self.reporting_failures("listing"):
            inside = self.filesystem.get_file_info(fs.FileSelector(self.path, allow_not_found=True))
        return sorted(info.base_name for info in inside if info.type == fs.FileType.Directory)

    def files_below(self) -> dict[str, int]:
        """Return the size of each file below this folder by its path from here, folders of folders included."""
        with self.reporting_failures("listing"):
            inside = self.filesystem.get_file_info(fs.FileSelector(self.path, allow_not_found=True, recursive=True))
        begin = len(self.path.rstrip("/")) + 1
        return {info.path[begin:]: info.size for info in inside if info.type == fs.FileType.File}

    def read(self, size_max: int) -> bytes | None:
        """Return the whole content of a small file, or None if it does not exist.

        Raises:
            ArchiveFailedError: A read failed.
            ValueError: It is longer than `size_max` bytes.
        """
        size = self.size()
        if size is None:
            return None
        if size > size_max:
            raise ValueError(f"it is {size} bytes long")
        return b"".join(self.chunks())

    def chunks(self) -> Iterator[bytes]:
        """Yield the content of the file in pieces."""
        with (
            self.reporting_failures("reading"),
            self.filesystem.open_input_stream(self.path, compression=None) as stream,
        ):
            while chunk := stream.read(CHUNK_BYTES):
                yield chunk

    def write(self, chunks: Iterator[bytes]) -> None:
        """Write the pieces as the content of the file, and sync it if it is local."""
        with self.reporting_failures("writing"):
            if self.is_local:
                self.filesystem.create_dir(self.path.rpartition("/")[0], recursive=True)
            with self.filesystem.open_output_stream(self.path, compression=None) as stream:
                for chunk in chunks:
                    stream.write(chunk)
            if self.is_local:
                _sync_file(Path(self.path))

    def replace(self, data: bytes) -> None:
        """Replace the content of the file at once: a reader sees the old content or the new one.

        An object store does so by itself. On a local disk another file gets the name when it is on stable storage.
        """
        if not self.is_local:
            self.write(iter([data]))
            return
        with self.reporting_failures("writing"):
            path = Path(self.path)
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
            try:
                temporary.write_bytes(data)
                _sync_file(temporary)
                temporary.replace(path)
                sync_folder(path.parent)
            finally:
                temporary.unlink(missing_ok=True)


def open_location(uri: str) -> ArchiveLocation:
    """Return the location that a path or a URI names.

    Args:
        uri: A path, or `s3://bucket/folder`, optionally with `?endpoint_override=host:port&scheme=http&region=...`.

    Raises:
        ArchiveRefusedError: The URI is malformed, unusable or contains credentials.
    """
    if "://" not in uri:
        return ArchiveLocation(fs.LocalFileSystem(), str(Path(uri).absolute()), str(Path(uri).absolute()))
    try:
        parts = urlsplit(uri)
        public_uri = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        has_key = parts.password is not None or (parts.scheme == "s3" and parts.username is not None)
    except ValueError:
        raise ArchiveRefusedError(
            "the archive's URI is malformed. What to do: write s3://bucket/folder, or a path."
        ) from None
    if has_key:
        raise ArchiveRefusedError(
            f"{public_uri}: the URI contains a key, and other users can see a command line. "
            f"What to do: set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY in the environment, and remove the key from the URI."
        )
    try:
        filesystem, path = fs.FileSystem.from_uri(uri)
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = _without_secrets(first_line(error).replace(uri, public_uri))
        raise ArchiveRefusedError(f"{public_uri} cannot be used: {reason}.") from None
    return ArchiveLocation(filesystem, path, public_uri)


def _without_secrets(text: str) -> str:
    for name in _SECRETS:
        if secret := os.environ.get(name):
            text = text.replace(secret, f"<{name}>")
    return text


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
    sync_folder(path.parent)
