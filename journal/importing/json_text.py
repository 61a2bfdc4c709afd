"""JSON as the formats need it: is a text whole, and what stands in one of its fields, as it is written there."""

from collections.abc import Sequence

import msgspec

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def is_whole(text: bytes) -> bool:
    """Whether it is an object or an array to its last byte: what was cut off never is."""
    if not text.lstrip().startswith((b"{", b"[")):
        return False
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def field(text: bytes, path: Sequence[str]) -> bytes:
    """What stands in the field, a string without its quotes. ValueError where the text is no object or has it not."""
    value = text
    for name in path:
        try:
            fields = _fields(value)
        except (msgspec.DecodeError, RecursionError) as error:
            raise ValueError(f"is no JSON object ({error})") from None
        if name not in fields:
            raise ValueError(f"has no field {'.'.join(path)!r}")
        value = bytes(fields[name])
    return msgspec.json.decode(value, type=str).encode() if value.startswith(b'"') else value
