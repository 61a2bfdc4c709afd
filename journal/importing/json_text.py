"""JSON helpers of the formats: check that a text is complete, and read one field unchanged."""

from collections.abc import Sequence

import msgspec

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def is_complete(text: bytes) -> bool:
    """Return True if the text is a complete object or array. A truncated one never is."""
    if not text.lstrip().startswith((b"{", b"[")):
        return False
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def read_field(text: bytes, path: Sequence[str]) -> bytes:
    """Return the text of a field, a string without its quotes.

    Raises:
        ValueError: The text is not an object, or the field is missing.
    """
    value = text
    for name in path:
        try:
            fields = _fields(value)
        except (msgspec.DecodeError, RecursionError) as error:
            raise ValueError(f"is not a JSON object ({error})") from None
        if name not in fields:
            raise ValueError(f"has no field {'.'.join(path)!r}")
        value = bytes(fields[name])
    return msgspec.json.decode(value, type=str).encode() if value.startswith(b'"') else value
