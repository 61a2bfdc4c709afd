"""The footer of a sealed segment: the journal's keys in the metadata of its Parquet file.

Footers of older versions are converted on reading, and the bytes on disk never change. Knows the versions and their
keys, but not rows and files.
"""

from collections.abc import Callable, Mapping
from functools import reduce
from pathlib import Path

import msgspec

from journal.content_hash import CHAIN_START, next_chain
from journal.errors import DamagedJournalError

SCHEMA_VERSION = 3
_KEY = "journal."  # prefix of all our keys
_SLICE_FIELDS = ("bundled_from", "left_out")  # written for slices only


class SegmentPart(msgspec.Struct, frozen=True, array_like=True):
    """Rows that were sealed together.

    A merged segment has several parts, so that the chain over them stays verifiable.
    """

    last_seq: int
    content: str


class Footer(msgspec.Struct, frozen=True, kw_only=True):
    """The metadata of a sealed segment. Field names are keys of the Parquet file's metadata."""

    first_seq: int
    last_seq: int  # first_seq - 1 if it has no rows
    parts: tuple[SegmentPart, ...]
    prev_chain: str = CHAIN_START
    chain: str
    final: bool  # it closes the session
    dropped_bytes: int = 0  # of the torn tail that recovery dropped
    dropped_rows: int = 0
    signer: str = ""  # an Ed25519 public key, hexadecimal
    signature: str = ""  # over the chain value, so it covers all rows up to the last: journal/signing.py
    bundled_from: str = ""  # of a slice (journal/bundle.py): the chain value of the journal it was cut from
    left_out: int = 0  # of a slice: the number of omitted records right before the first
    schema_version: int = SCHEMA_VERSION

    def computed_chain(self) -> str:
        """Return the chain value that follows from the contents."""
        return reduce(next_chain, (part.content for part in self.parts), self.prev_chain)

    def chain_before(self, seq: int) -> str | None:
        """Return the chain value before the part that begins at `seq`, or None if no part begins there."""
        chain, begins = self.prev_chain, self.first_seq
        for part in self.parts:
            if begins == seq:
                return chain
            chain, begins = next_chain(chain, part.content), part.last_seq + 1
        return None

    def to_metadata(self) -> dict[str, str]:
        """Return the key-value metadata of the Parquet file."""
        values = {name: getattr(self, name) for name in self.__struct_fields__}
        return {_KEY + name: _to_text(value) for name, value in values.items() if value or name not in _SLICE_FIELDS}

    @classmethod
    def from_metadata(cls, path: Path, metadata: Mapping[bytes, bytes]) -> "Footer":
        """Return the footer that a Parquet file's metadata states, in any released schema version.

        Raises:
            DamagedJournalError: The metadata is not a segment's, or has a newer schema version.
        """
        try:
            texts = {key.decode("latin-1"): value.decode() for key, value in metadata.items() if key != b"ARROW:schema"}
            values = {name.removeprefix(_KEY): text for name, text in texts.items() if name.startswith(_KEY)}
            version = int(values["schema_version"])
            if version > SCHEMA_VERSION:
                raise DamagedJournalError(
                    path, f"written with schema version {version}", "read it with a newer version"
                )
            for number in range(version, SCHEMA_VERSION):
                values = UPCASTS[number](values)
            return msgspec.convert(
                {**values, "final": values["final"] == "1", "parts": msgspec.json.decode(values["parts"])},
                cls,
                strict=False,
            )
        except (KeyError, ValueError) as error:  # msgspec.ValidationError is a ValueError
            raise DamagedJournalError(path, f"the footer does not belong to a journal segment ({error})") from error


def _to_text(value: object) -> str:
    if isinstance(value, tuple):
        return msgspec.json.encode(value).decode()
    return str(int(value)) if isinstance(value, bool) else str(value)


def _parts_from_one_content(values: dict[str, str]) -> dict[str, str]:
    """Convert a footer of version 1, which had one content and no signature."""
    content = values["content"]
    kept = {name: text for name, text in values.items() if name != "content"}
    return {**kept, "parts": _to_text((SegmentPart(int(values["last_seq"]), content),)), "schema_version": "2"}


def _as_version_3(values: dict[str, str]) -> dict[str, str]:
    """Convert a footer of version 2: names inside records changed, and nothing in footers."""
    return {**values, "schema_version": "3"}


UPCASTS: dict[int, Callable[[dict[str, str]], dict[str, str]]] = {  # version -> its footer as the next version's
    1: _parts_from_one_content,
    2: _as_version_3,
}
