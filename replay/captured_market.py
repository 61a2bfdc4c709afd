"""The markets of an import, as the installed venues recognise them in its messages.

Every message is read, so the result of a closed journal is cached beside its segments (journal/caches.py).
"""

from collections.abc import Iterator

import msgspec

from engine.venues.captured_market import CapturedMarket, CaptureMessage, CaptureMessages
from engine.venues.venue_lookup import captured_markets
from journal import caches
from journal.reader import Journal
from journal.record import Kind
from replay.code_digest import code_digest

CACHE = "captured-markets"
FORMAT_VERSION = 6  # of the cache


def read_markets(journal: Journal) -> list[CapturedMarket]:
    """Return the markets of an import, in the order of their venues' names.

    Raises:
        DamagedJournalError: A segment cannot be read.
    """
    made_from = f"{FORMAT_VERSION} {code_digest()} {journal.chain} {journal.last_seq}"
    cached = caches.load(journal.folder, CACHE, made_from) if journal.closed else None
    if cached is not None:
        return msgspec.json.decode(cached, type=list[CapturedMarket])
    found = captured_markets(CaptureMessages(lambda: _messages(journal)))
    if journal.closed:
        caches.save(journal.folder, CACHE, made_from, msgspec.json.encode(found))
    return found


def _messages(journal: Journal) -> Iterator[CaptureMessage]:
    columns = ("seq", "source", "meta", "payload")
    for batch in journal.batches(columns=columns, kinds=(Kind.FEED,)):
        yield from map(CaptureMessage, *(batch.column(name).to_pylist() for name in columns))
