"""Records of a journal, and outputs of a run that keeps no journal: readers of decisions and figures take both."""

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

from engine.step_context import Output
from journal.record import Record

Entry: TypeAlias = Record | Output
Body = TypeVar("Body")


def text_of(entry: Entry) -> str:
    """Return the text of an entry's body. Its numbers have one form; a value's own may have trailing zeros."""
    return (entry.record if isinstance(entry, Output) else entry).body or ""


def body_of(entry: Entry, read: Callable[[str], Body]) -> Body:
    """Return the body of an entry; of an output without its text. For readers of names and flags, not of numbers.

    Args:
        entry: A record, or an output of the same kind of body.
        read: Reads the body of a record.
    """
    if isinstance(entry, Output):
        body: Any = entry.body
        return body  # type: ignore[no-any-return]  # the caller knows the kind
    return read(entry.body or "")
