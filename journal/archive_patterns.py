"""Folders that a pattern names: `s3://bucket/2026-*/`, `/mnt/journals/2026-1[12]`. Lists folders, one level a part.

Knows nothing of sessions and catalogues.
"""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from journal.archive_location import ArchiveLocation, open_location
from journal.errors import ArchiveRefusedError
from journal.session_names import is_address

LISTED = 5  # names in a message


class Folder(NamedTuple):
    """A folder with the text that names it on a command line."""

    address: str
    place: ArchiveLocation

    def child(self, name: str) -> "Folder":
        """Return a folder directly below this one."""
        base, mark, query = _parted(self.address)
        return Folder(f"{base.rstrip('/')}/{name}{mark}{query}", self.place.child(name))

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.place.path.rstrip("/").rpartition("/")[2]


class FoldersOf(NamedTuple):
    """Folders that a pattern names, below one folder."""

    parent: Folder
    part: str  # what their names match
    names: tuple[str, ...]

    def is_match(self, name: str) -> bool:
        """Return True if a name fits the pattern, whether or not there is such a folder."""
        return fnmatchcase(name, self.part)


def open_folder(text: str) -> Folder:
    """Return the folder that a path or an address without a pattern names.

    Raises:
        ArchiveRefusedError: The address is malformed or unusable.
    """
    return Folder(text, open_location(text))


def expand(pattern: str) -> tuple[FoldersOf, ...]:
    """Return the folders that a pattern names, by the folder that contains them, in the order of their names.

    Raises:
        ArchiveRefusedError: No folder matches, or the bucket is a pattern.
        ArchiveFailedError: A folder cannot be listed.
    """
    base, mark, query = _parted(pattern)
    root, parts = _root_and_parts(base)
    fixed = next((place for place, part in enumerate(parts) if re.search(r"[*?\[]", part)), len(parts))
    if is_address(pattern) and not fixed:
        raise ArchiveRefusedError(f"{pattern}: the bucket itself is a pattern. What to do: name one bucket.")
    at = open_folder(root + "/".join(parts[:fixed]) + mark + query)
    parents, names = [at], list[FoldersOf]()
    for depth, part in enumerate(parts[fixed:]):
        names = [FoldersOf(parent, part, tuple(_matching(parent, part))) for parent in parents]
        if not any(each.names for each in names):
            raise _no_match(pattern, parents, part)
        if fixed + depth + 1 < len(parts):
            parents = [each.parent.child(name) for each in names for name in each.names]
    return tuple(each for each in names if each.names)


def _parted(text: str) -> tuple[str, str, str]:
    """Return an address without its query, the mark and the query; a path whole."""
    return text.partition("?") if is_address(text) else (text, "", "")


def _root_and_parts(base: str) -> tuple[str, Sequence[str]]:
    scheme, mark, rest = base.partition("://") if is_address(base) else ("", "", base)
    root = scheme + mark + ("/" if rest.startswith("/") else "")
    return root, [part for part in rest.split("/") if part]


def _matching(parent: Folder, part: str) -> list[str]:
    hidden = part.startswith(".")
    return [name for name in parent.place.folders() if fnmatchcase(name, part) and (hidden or not name.startswith("."))]


def _no_match(pattern: str, parents: Sequence[Folder], part: str) -> ArchiveRefusedError:
    there = sorted({name for parent in parents for name in parent.place.folders()})
    where = parents[0].place.display_uri + (f" and {len(parents) - 1} more" if len(parents) > 1 else "")
    shown = ", ".join(there[:LISTED]) + (f" and {len(there) - LISTED} more" if len(there) > LISTED else "")
    listed = f"the folders there are {shown}" if shown else "there are no folders"
    return ArchiveRefusedError(
        f"{pattern.partition('?')[0] if is_address(pattern) else pattern} matches no folder: no name in {where} fits "
        f"{part!r}. What to do: change the pattern; {listed}."
    )
