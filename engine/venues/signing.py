"""Credentials and signed messages, for every venue.

An object that holds a secret can be neither printed, pickled nor copied.
"""

from dataclasses import dataclass, field
from typing import Any, Never

import msgspec


@dataclass(frozen=True, slots=True)
class Credentials:
    """The credentials that a person copies from the venue's page. No repr shows any of them."""

    key: str = field(repr=False)
    secret: str = field(repr=False)  # a shared secret, or a private key as PEM
    passphrase: str = field(default="", repr=False)  # some venues have a third secret
    network: str = field(default="", repr=False)  # that the key belongs to; "": not stated


class SecretKey:
    """A key that can sign and cannot be read back. Venues derive their own from it."""

    __slots__ = ()
    algorithm: str

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.algorithm}, ***)"

    def __reduce_ex__(self, protocol: object) -> Never:
        raise TypeError("an API key is not copied, pickled or written down")

    def __getstate__(self) -> Never:
        raise TypeError("an API key is not copied, pickled or written down")


class HttpMessage(msgspec.Struct, frozen=True):
    """A signed HTTP request. Its repr shows neither headers, query nor body: each may hold what signs."""

    method: str
    path_and_query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""

    def __repr__(self) -> str:
        return f"HttpMessage({self.method} {self.path_and_query.partition('?')[0]})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("method", self.method), ("path", self.path_and_query.partition("?")[0])]


def is_header_safe(text: str) -> bool:
    """Return True if a text is valid in an HTTP header: printable ASCII without spaces."""
    return bool(text) and text.isascii() and text.isprintable() and " " not in text
