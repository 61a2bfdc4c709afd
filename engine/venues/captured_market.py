"""Captures of a venue's market that carry no SESSION of ours, and the part of a venue that recognises them."""

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Any, NamedTuple, Protocol, TypeVar

from engine.model import Instrument

Found = TypeVar("Found")


class CapturedMarket(NamedTuple):
    """The market of a recording that has no SESSION of ours."""

    venue: str  # the name of the venue that decodes it, and on which it can be traded on paper
    instruments: tuple[Instrument, ...]  # base and quote are "" where they are unknown
    has_books: bool
    sources: frozenset[str]  # the files whose messages are of this market
    inferred: tuple[str, ...] = ()  # symbols whose grid and assets were read off messages, for lack of metadata
    largest: tuple[tuple[str, Decimal, Decimal], ...] = ()  # bounds of the prices and of the sizes of each symbol
    refused: tuple[tuple[str, str], ...] = ()  # symbols whose numbers cannot be kept exactly, each with the reason
    bar_interval_ns: int = 0  # of the finest bars, if no symbol has trades, quotes or a book; 0: one has
    lead_ns: int = 0  # the session begins so long before the first record, which is read once the links are up
    snapshots: tuple[tuple[int, str], ...] = ()  # the record of each book snapshot, and its symbol
    without_sizes: tuple[str, ...] = ()  # symbols whose messages state no sizes


class CaptureMessage(NamedTuple):
    """One message of a capture, as the columns of its record."""

    seq: int
    source: str
    meta: str | None
    payload: bytes


class CaptureMessages:
    """All messages of a capture, from the first one at each iteration."""

    def __init__(self, read: Callable[[], Iterable[CaptureMessage]]) -> None:
        self._read = read
        self._found: dict[Callable[[CaptureMessages], Any], Any] = {}

    def __iter__(self) -> Iterator[CaptureMessage]:
        """Read the messages."""
        return iter(self._read())

    def once(self, scan: Callable[["CaptureMessages"], Found]) -> Found:
        """Return the result of a scan of all messages, which is made once for all venues that ask for it."""
        if scan not in self._found:
            self._found[scan] = scan(self)
        found: Found = self._found[scan]
        return found


class CaptureIdentifier(Protocol):
    """A venue class may have this as well: it recognises captures of its market that carry no SESSION of ours."""

    @staticmethod
    def identify_capture(messages: CaptureMessages) -> CapturedMarket | None:
        """Return the market of those messages that are of this venue, or None."""
        ...
