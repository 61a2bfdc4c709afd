"""Caches of the cockpit, in the user's cache folder: a session's folder belongs to the process that writes it.

The folder is VERBATIM_COCKPIT_CACHE of the environment, otherwise verbatim/cockpit in XDG_CACHE_HOME or ~/.cache, with
a folder for each session. A cache is used only if its inputs are identical (journal/caches.py), so it may be deleted at
any time.
"""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from journal.archive_cache import user_cache_folder
from journal.private_files import make_folder


def cache_folder(session_folder: Path) -> Path:
    """Return the folder of a session's caches, and create it if possible."""
    configured = os.environ.get("VERBATIM_COCKPIT_CACHE")
    root = Path(configured) if configured else user_cache_folder() / "cockpit"
    place = hashlib.sha256(os.fsencode(session_folder.resolve())).hexdigest()[:16]
    folder = root.absolute() / f"{session_folder.name[:64]}-{place}"
    with suppress(OSError):  # journal/caches.py writes nothing there then
        make_folder(folder)
    return folder
