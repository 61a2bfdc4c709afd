"""Records of a journal, and outputs of a run that keeps no journal: readers of decisions and figures take both."""

from typing import TypeAlias

from engine.step_context import Output
from journal.record import Record

Entry: TypeAlias = Record | Output


def text_of(entry: Entry) -> str:
    """Return the text of an entry's body. Its numbers have one form; a value's own may have trailing zeros."""
    return (entry.record if isinstance(entry, Output) else entry).body or ""
