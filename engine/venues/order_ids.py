"""Client order ids from (session, strategy, version, seq, leg). The same record gives the same id again."""

import re
from base64 import b32encode
from dataclasses import dataclass
from functools import cache
from hashlib import sha256

SESSION_LETTERS = 8  # every session id has this length
# the form of our ids: session, then strategy, version, seq and leg, or a hash
ORDER_MARK = re.compile(r"[a-z2-7]{8}(?:-[A-Za-z0-9_]+-[A-Za-z0-9_]+-\d+-\d+|-?[a-z2-7]{20,})")
HASH_LETTERS = 20  # of a hash that is not cut by the venue's limit
_UNFIT = re.compile(r"[^A-Za-z0-9_]")


@dataclass(frozen=True, slots=True)
class ReadableOrderIds:
    """An engine.venues.venue.ClientOrderIds: readable if it fits, else a hash behind the session's id."""

    length_max: int
    punctuation: str = "-_"  # the characters that the venue accepts beside letters and digits

    def make(self, *, session: str, strategy: str, version: str, seq: int, leg: int) -> str:
        """Return the id of an order."""
        readable = f"{session}-{strategy}-{version}-{seq}-{leg}"
        fits = len(readable) <= self.length_max and "-" in self.punctuation and "_" in self.punctuation
        if fits and _UNFIT.search(strategy + version) is None:
            return readable
        separator = "-" if "-" in self.punctuation else ""
        hashed = b32encode(sha256(f"{session}|{strategy}|{version}|{seq}|{leg}".encode()).digest()).decode().lower()
        return f"{session}{separator}{hashed}"[: self.length_max].rstrip("=")

    def session_of(self, client_order_id: str) -> str:
        """Return the part of an id that holds the session if the id is ours."""
        if "-" in self.punctuation:
            return client_order_id.split("-", maxsplit=1)[0]
        return client_order_id[:SESSION_LETTERS]

    @property
    def mark(self) -> re.Pattern[str]:
        """The form of our ids. Where a venue's limit cuts the hash, it is the only form, of exactly that length."""
        separator = "-" if "-" in self.punctuation else ""
        is_cut = self.length_max - SESSION_LETTERS - len(separator) < HASH_LETTERS
        return _cut_mark(self.length_max, separator) if is_cut else ORDER_MARK

    def is_valid(self, client_order_id: str) -> bool:
        """Return True if the venue accepts this id.

        >>> [ReadableOrderIds(36).is_valid(text) for text in ("cross-48212-0", "a.b", "x" * 37)]
        [True, False, False]
        """
        return _pattern(self.punctuation, self.length_max).fullmatch(client_order_id) is not None


@cache
def _cut_mark(length_max: int, separator: str) -> re.Pattern[str]:
    """Return the form of ids whose hash is cut."""
    rest = length_max - SESSION_LETTERS - len(separator)
    return re.compile(rf"[a-z2-7]{{{SESSION_LETTERS}}}{separator}[a-z2-7]{{{rest}}}")


@cache
def _pattern(punctuation: str, length_max: int) -> re.Pattern[str]:
    """Return the pattern of the ids that a venue accepts."""
    return re.compile(rf"[A-Za-z0-9{re.escape(punctuation)}]{{1,{length_max}}}")
