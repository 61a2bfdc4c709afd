"""What a sealed segment says of itself, in the metadata of its Parquet file.

Footers of older versions are read as the present one: the bytes on disk are never changed. Knows the versions and their
keys; nothing of rows and files.
"""

from collections.abc import Callable, Mapping
from functools import reduce
from pathlib import Path

import msgspec

from journal.content_hash import CHAIN_START, link
from journal.errors import DamagedJournalError

SCHEMA_VERSION = 3
_KEY = "journal."  # all our keys begin so
_OF_SLICES = ("bundled_from", "left_out")  # written there alone


class Part(msgspec.Struct, frozen=True, array_like=True):
    """Rows that were sealed together. A merged segment has several, so that the chain over them can be proved still."""

    last_seq: int
    content: str


class Footer(msgspec.Struct, frozen=True, kw_only=True):
    first_seq: int
    last_seq: int  # first_seq - 1 where it has no rows
    parts: tuple[Part, ...]
    prev_chain: str = CHAIN_START
    chain: str
    final: bool  # it closes the session
    dropped_bytes: int = 0  # of a torn tail, when recovery sealed it
    dropped_rows: int = 0
    signer: str = ""  # an Ed25519 public key, hexadecimal
    signature: str = ""  # over the chain value, so over all rows up to the last: journal/signing.py
    bundled_from: str = ""  # of a slice (journal/bundle.py): the chain value of the journal it was cut from
    left_out: int = 0  # records before the first that a slice has not
    schema_version: int = SCHEMA_VERSION

    def linked(self) -> str:
        """The chain value that follows from its contents."""
        return reduce(link, (part.content for part in self.parts), self.prev_chain)

    def chain_before(self, seq: int) -> str | None:
        """The chain value before the part that begins at `seq`; None where none does."""
        chain, begins = self.prev_chain, self.first_seq
        for part in self.parts:
            if begins == seq:
                return chain
            chain, begins = link(chain, part.content), part.last_seq + 1
        return None

    def to_metadata(self) -> dict[str, str]:
        values = {name: getattr(self, name) for name in self.__struct_fields__}
        return {_KEY + name: _text(value) for name, value in values.items() if value or name not in _OF_SLICES}

    @classmethod
    def of(cls, path: Path, metadata: Mapping[bytes, bytes]) -> "Footer":
        """From a Parquet file's key-value metadata, of any version that was ever released."""
        try:
            texts = {key.decode("latin-1"): value.decode() for key, value in metadata.items() if key != b"ARROW:schema"}
            given = {name.removeprefix(_KEY): text for name, text in texts.items() if name.startswith(_KEY)}
            version = int(given["schema_version"])
            if version > SCHEMA_VERSION:
                raise DamagedJournalError(
                    path, f"written with schema version {version}", "read it with a newer version"
                )
            for number in range(version, SCHEMA_VERSION):
                given = UPCASTS[number](given)
            return msgspec.convert(
                {**given, "final": given["final"] == "1", "parts": msgspec.json.decode(given["parts"])},
                cls,
                strict=False,
            )
        except (KeyError, ValueError) as error:  # msgspec.ValidationError is a ValueError
            raise DamagedJournalError(path, f"the footer is not a journal segment's ({error})") from error


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return msgspec.json.encode(value).decode()
    return str(int(value)) if isinstance(value, bool) else str(value)


def _parts_from_one_content(given: dict[str, str]) -> dict[str, str]:
    """Version 1 knew no merged segments: a footer had one content, and no signature."""
    content = given["content"]
    kept = {name: text for name, text in given.items() if name != "content"}
    return {**kept, "parts": _text((Part(int(given["last_seq"]), content),)), "schema_version": "2"}


def _as_schema_3(given: dict[str, str]) -> dict[str, str]:
    """Return a footer of version 2 as one of version 3: names inside records changed, footers did not."""
    return {**given, "schema_version": "3"}


UPCASTS: dict[int, Callable[[dict[str, str]], dict[str, str]]] = {  # version -> its footer as the next version's
    1: _parts_from_one_content,
    2: _as_schema_3,
}
