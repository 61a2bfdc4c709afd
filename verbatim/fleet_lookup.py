"""Sessions that a pattern means, for commands that run code on whole sessions: addresses in an archive, or folders."""

from pathlib import Path
from typing import NamedTuple

from analysis.fleet_plan import plan_fleet
from analysis.fleet_selection import ALL, Selection
from analysis.session_tables import LeftOutSession
from journal.session_names import names_several


class FoundFleet(NamedTuple):
    """The sessions that a pattern means."""

    addresses: tuple[str, ...]  # of an archive: each worker fetches what it needs
    folders: tuple[Path, ...]  # of this machine
    left_out: tuple[LeftOutSession, ...]


def means_several(text: str, selection: Selection = ALL) -> bool:
    """Return True if a text is a pattern, or if sessions of it are chosen."""
    return bool(selection.text) or names_several(text)


def find_fleet(text: str, selection: Selection = ALL) -> FoundFleet:
    """Return the sessions that a pattern means and a selection needs, planned with their catalogue.

    Raises:
        ArchiveRefusedError: Nothing matches.
        ArchiveFailedError: A read failed.
        DamagedCatalogueError: A catalogue is damaged.
    """
    plan = plan_fleet(text, selection)
    return FoundFleet(
        tuple(each.folder.address for each in plan.sessions if each.path is None),
        tuple(each.path for each in plan.sessions if each.path is not None),
        plan.left_out,
    )
