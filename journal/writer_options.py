"""The options of a writer, which JournalWriter.create describes, and its totals."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import msgspec


class Release(StrEnum):
    """What a record must be before its request may leave."""

    DURABLE = "durable"  # on stable storage
    WRITTEN = "written"  # handed to the kernel: it survives the end of this process, but not of the machine


class WriterOptions(NamedTuple):
    """What JournalWriter.create is given, besides the disk, its space and the segments."""

    group_delay_s: float
    group_rows: int
    sync_delay_s: float
    commit_ns_max: int
    defers: bool
    release: Release
    on_durable: Callable[[int], None] | None
    on_failure: Callable[[BaseException], None] | None


class ClosedSummary(msgspec.Struct, frozen=True):
    """The totals of a closed journal."""

    folder: Path
    last_seq: int
    segments: int
    frames: int
    open_bytes: int  # as frames, before sealing
    chain: str
    final: bool
