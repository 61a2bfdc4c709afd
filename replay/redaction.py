"""What a bundle is not to tell: who and where a session was, and words that its owner names. Amounts are never among it.

    account     the alias of the credentials, and the account's number in the venue's answers
    host        which machine it was (a hash)
    addresses   the venue's addresses, and their host names wherever they are said

Secrets are in no record, so they need no redaction. What is replaced is replaced in every record alike, so that inputs and
outputs still fit each other. Knows records as texts; nothing of files.
"""

import json
import re
from collections.abc import Callable, Collection
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from journal.record import Kind, Record, canonical

NAMES = ("account", "host", "addresses")
REPLACED = "redacted"
HOST_REPLACED = "redacted.invalid"  # a name that no resolver knows (RFC 2606)
_ACCOUNT_NUMBER = re.compile(rb'("(?:uid|userId|accountId)"\s*:\s*)"?\d+"?')
Redactor = Callable[[Record], Record]


class Redaction:
    """What is replaced in the records of one session."""

    def __init__(self, first: Record, names: Collection[str], words: Collection[str]) -> None:
        assert set(names) <= set(NAMES), names
        self._names = frozenset(names)
        pairs = dict.fromkeys(words, REPLACED)
        if "addresses" in names:
            pairs |= dict.fromkeys(_host_names(first), HOST_REPLACED)
        # the longest first: one word may be a part of another
        self._texts = [
            (form, by) for word, by in sorted(pairs.items(), key=lambda pair: -len(pair[0])) for form in _forms(word)
        ]
        self._bytes = [(old.encode(), new.encode()) for old, new in self._texts]

    def text(self, text: str) -> str:
        for old, new in self._texts:
            text = text.replace(old, new)
        return text

    def record(self, record: Record) -> Record:
        body, payload = record.body, record.payload
        if record.kind is Kind.SESSION:
            body = self._session(body or "{}")
        if payload is not None:
            if "account" in self._names and record.kind is Kind.BROKER:
                payload = _ACCOUNT_NUMBER.sub(rb"\g<1>0", payload)
            for old, new in self._bytes:
                payload = payload.replace(old, new)
        return replace(
            record,
            source=self.text(record.source),
            key=self._maybe(record.key),
            meta=self._maybe(record.meta),
            payload=payload,
            body=self._maybe(body),
        )

    def _maybe(self, text: str | None) -> str | None:
        return None if text is None else self.text(text)

    def _session(self, body: str) -> str:
        said: dict[str, Any] = msgspec.json.decode(body)
        if "account" in self._names and said.get("account"):
            said["account"] = REPLACED
        if "host" in self._names and "host" in said:
            said["host"] = ""
        return canonical(said)


def _host_names(first: Record) -> list[str]:
    venues = msgspec.json.decode(first.body or "{}").get("venues") or []
    urls = [urlsplit(str(venue.get(name) or "")) for venue in venues for name in ("rest", "stream", "private")]
    return [name for url in urls for name in (url.netloc, url.hostname) if name]


def _forms(word: str) -> list[str]:
    """As it stands, and as JSON writes it."""
    return list(dict.fromkeys((word, json.dumps(word, ensure_ascii=False)[1:-1], json.dumps(word)[1:-1])))
