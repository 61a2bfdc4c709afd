"""Write the golden journal of today's schema: `python tests/write_golden.py FOLDER`, from the repository.

The session is that of the older golden journals, in four segments. Run it once for a new schema version; a golden
journal that is released is never written again.
"""

import sys
import tempfile
from pathlib import Path

from replaying import sealed

from journal.reader import Journal
from journal.record import INPUTS, Record
from journal.writer import JournalWriter

SECONDS = 4
SEGMENT_ROWS = 400


def write_golden(folder: Path) -> None:
    """Write the session into a folder that does not exist."""
    with tempfile.TemporaryDirectory() as scratch:
        session = sealed(Path(scratch) / "session", seconds=SECONDS)
        writer = JournalWriter.create(folder, group_rows=10 * SEGMENT_ROWS, segment_bytes=1, group_delay_s=60)
        step: list[Record] = []
        segments = 1
        for record in Journal.open(session).records():
            if record.kind in INPUTS and step:
                is_full = step[-1].seq >= segments * SEGMENT_ROWS
                writer.append_step(step, urgent=is_full)
                if is_full:  # each frame that is written becomes a segment
                    writer.wait_durable(step[-1].seq, 60)
                    segments += 1
                step = []
            step.append(record)
        writer.append_step(step)
        print(writer.close())


if __name__ == "__main__":
    write_golden(Path(sys.argv[1]))
