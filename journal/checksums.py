"""SHA256SUMS: one `sha256sum -c` line for each sealed file.

The rows have their own hash; this one is for the bytes of the footer, and it remembers names. It is advisory: it can be
made again from the files, and one that is damaged counts as empty. Knows nothing of what is in the files.
"""

import hashlib
from collections.abc import Collection

from journal.disk import Disk, whole

CHECKSUMS = "SHA256SUMS"


def read_checksums(text: str) -> dict[str, str]:
    """Of `sha256sum -c` lines: the checksum of each name. ValueError on a line that is none."""
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        checksum, gap, name = line[:64], line[64:66], line[66:]
        if gap != "  " or not name or set(checksum) - set("0123456789abcdef"):
            raise ValueError(f"line {number} is no checksum line")
        found[name] = checksum
    return found


def sha256(data: bytes | memoryview) -> str:
    return hashlib.sha256(data).hexdigest()


def known_checksums(disk: Disk) -> dict[str, str]:
    """What SHA256SUMS says. It is advisory: a damaged one counts as empty, and is begun anew by the next seal."""
    try:
        return read_checksums(whole(disk.reading(CHECKSUMS)).decode()) if CHECKSUMS in disk.names() else {}
    except ValueError:
        return {}


def note_checksum(disk: Disk, name: str, checksum: str, *, without: Collection[str] = ()) -> None:
    """A line for the sealed file, in place of an older one and of those `without`."""
    known = {each: known for each, known in known_checksums(disk).items() if each not in without} | {name: checksum}
    temporary = CHECKSUMS + ".tmp"
    disk.create(temporary)
    disk.write(temporary, "".join(f"{known[each]}  {each}\n" for each in sorted(known)).encode())
    disk.sync(temporary)
    disk.close(temporary)
    disk.rename(temporary, CHECKSUMS)
