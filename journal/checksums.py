"""SHA256SUMS: one `sha256sum -c` line for each sealed file.

The rows have their own hash. This file covers the bytes of the footer too, and lists the names of the segments. It is
advisory: it can be rebuilt from the segments, and a damaged one counts as empty. Knows nothing of the files' content.
"""

import hashlib
from collections.abc import Collection

from journal.disk import Disk, read_all

CHECKSUMS = "SHA256SUMS"


def read_checksums(text: str) -> dict[str, str]:
    """Parse `sha256sum -c` lines and return the checksum of each name.

    Raises:
        ValueError: A line is malformed.
    """
    checksums = {}
    for number, line in enumerate(text.splitlines(), 1):
        checksum, gap, name = line[:64], line[64:66], line[66:]
        if gap != "  " or not name or set(checksum) - set("0123456789abcdef"):
            raise ValueError(f"line {number} is not a checksum line")
        checksums[name] = checksum
    return checksums


def sha256(data: bytes | memoryview) -> str:
    """Return the sha256 of bytes in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def known_checksums(disk: Disk) -> dict[str, str]:
    """Return the content of SHA256SUMS, or an empty dict if it is missing or damaged.

    The file is advisory: the next seal writes a damaged one again.
    """
    try:
        return read_checksums(read_all(disk.open_reader(CHECKSUMS)).decode()) if CHECKSUMS in disk.names() else {}
    except ValueError:
        return {}


def note_checksum(disk: Disk, name: str, checksum: str, *, without: Collection[str] = ()) -> None:
    """Write the line of a sealed file. It replaces an older line, and the lines of the files in `without`."""
    known = {other: value for other, value in known_checksums(disk).items() if other not in without}
    known[name] = checksum
    temporary = CHECKSUMS + ".tmp"
    disk.create(temporary)
    disk.write(temporary, "".join(f"{known[listed]}  {listed}\n" for listed in sorted(known)).encode())
    disk.sync(temporary)
    disk.close(temporary)
    disk.rename(temporary, CHECKSUMS)
