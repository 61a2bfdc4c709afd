"""The market that the package brings along: the session `sample`, for a first backtest without network and files.

It is imported once into the user's cache, beside copies of archives. benchmarks/make_sample.py made the file.
"""

import hashlib
from pathlib import Path
from typing import Final

SAMPLE: Final = "sample"  # its name where a command takes a session
FILE: Final = Path(__file__).resolve().parent / "sample" / "spot_btcusdt_sample.xz"


def sample_session() -> Path:
    """Return the folder of the sample's session; import it if this user has none yet.

    Raises:
        JournalError: The cache cannot be written.
    """
    from journal.archive_cache import user_cache_folder
    from journal.errors import CaptureRefusedError
    from journal.importing.formats import ImportOptions
    from journal.importing.import_session import NOTHING_TRADED, import_files

    digest = hashlib.sha256(FILE.read_bytes()).hexdigest()[:16]
    folder = user_cache_folder() / f"{SAMPLE}-{digest}"
    if not folder.is_dir():
        try:
            import_files(
                (FILE,), ImportOptions(), journals=folder.parent, into=folder, about={**NOTHING_TRADED, "versions": {}}
            )
        except CaptureRefusedError:
            if not folder.is_dir():  # else another command imported it meanwhile
                raise
    return folder
