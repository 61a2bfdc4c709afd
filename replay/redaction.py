"""Redaction of a bundle: account, host, addresses and words that its owner names. Amounts are never redacted.

    account     the alias of the credentials, and the account's number in the venue's answers
    host        the mark of the user, or in old journals the hash of the machine's name
    addresses   the venue's addresses, and their host names in every text

Secrets are in no record, so they need no redaction. A word is replaced in all records, so inputs and outputs still
match. Knows records as texts and no files.
"""

import json
import re
from collections.abc import Callable, Collection
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from journal.record import Kind, Record, canonical

REDACTABLE = ("account", "host", "addresses")
REPLACED = "redacted"
HOST_REPLACED = "redacted.invalid"  # a name that no resolver knows (RFC 2606)
_ACCOUNT_NUMBER = re.compile(rb'("(?:uid|userId|accountId)"\s*:\s*)"?\d+"?')
Redactor = Callable[[Record], Record]


class Redaction:
    """The replacements in the records of one session."""

    def __init__(self, first: Record, names: Collection[str], words: Collection[str]) -> None:
        assert set(names) <= set(REDACTABLE), names
        self._names = frozenset(names)
        pairs = dict.fromkeys(words, REPLACED)
        if "addresses" in names:
            pairs |= dict.fromkeys(_host_names(first), HOST_REPLACED)
        # the longest first: one word may contain another
        self._texts = [
            (form, by)
            for word, by in sorted(pairs.items(), key=lambda pair: -len(pair[0]))
            for form in _spellings(word)
        ]
        self._bytes = [(old.encode(), new.encode()) for old, new in self._texts]

    def redact_text(self, text: str) -> str:
        """Replace every word in a text."""
        for old, new in self._texts:
            text = text.replace(old, new)
        return text

    def redact_record(self, record: Record) -> Record:
        """Return the record with every word replaced in source, key, meta, payload and body."""
        body, payload = record.body, record.payload
        if record.kind is Kind.SESSION:
            body = self._redact_session(body or "{}")
        if payload is not None:
            if "account" in self._names and record.kind is Kind.BROKER:
                payload = _ACCOUNT_NUMBER.sub(rb"\g<1>0", payload)
            for old, new in self._bytes:
                payload = payload.replace(old, new)
        return replace(
            record,
            source=self.redact_text(record.source),
            key=self._redact_optional(record.key),
            meta=self._redact_optional(record.meta),
            payload=payload,
            body=self._redact_optional(body),
        )

    def _redact_optional(self, text: str | None) -> str | None:
        return None if text is None else self.redact_text(text)

    def _redact_session(self, body: str) -> str:
        session: dict[str, Any] = msgspec.json.decode(body)
        if "account" in self._names and session.get("account"):
            session["account"] = REPLACED
        if "host" in self._names and "host" in session:
            session["host"] = ""
        return canonical(session)


def _host_names(first: Record) -> list[str]:
    venues = msgspec.json.decode(first.body or "{}").get("venues") or []
    urls = [urlsplit(str(venue.get(name) or "")) for venue in venues for name in ("rest", "stream", "private")]
    return [name for url in urls for name in (url.netloc, url.hostname) if name]


def _spellings(word: str) -> list[str]:
    """Return the word unchanged, and as JSON writes it."""
    return list(dict.fromkeys((word, json.dumps(word, ensure_ascii=False)[1:-1], json.dumps(word)[1:-1])))
