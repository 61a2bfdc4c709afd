"""A request as bytes, written without h11: its checks of every header take longer than a signature.

Only what h11 would write in exactly these bytes; anything else is left to h11, which refuses it or writes it.
"""

import re

from engine.venues.signing import HttpMessage

METHODS = frozenset({"GET", "POST", "PUT", "DELETE"})
TARGET = re.compile(r"[!-~]+")
LINE = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+: [!-~]+(?: [!-~]+)*")  # a name and a value without outer spaces
AT_ONCE_BYTES_MAX = 16 * 1024  # the send buffer of an idle connection is empty, and larger
FRAMING = frozenset({"host", "content-length", "transfer-encoding", "connection", "expect", "upgrade"})

Headers = tuple[tuple[str, str], ...]


class HeadWriter:
    """Writes the requests of one sender."""

    def __init__(self, host_header: str, prefix: str, own_headers: tuple[tuple[str, str], ...]) -> None:
        self._prefix = prefix
        own = [f"{name}: {value}" for name, value in (("Host", host_header), *own_headers)]
        self._is_plain = all(map(LINE.fullmatch, own))
        self._own = "".join([f"{line}\r\n" for line in own])
        self._last: tuple[Headers, str | None] = ((), "")  # the headers that came last, which often are the next

    def write(self, message: HttpMessage) -> bytes:
        """Return head and body of a request as one piece, or b"" if h11 must write it or it is long."""
        method, target = message.method, self._prefix + message.path_and_query
        if not self._is_plain or method not in METHODS or not TARGET.fullmatch(target):
            return b""
        headers, lines = self._last
        if message.headers != headers:
            lines = _lines(message.headers)
            self._last = (message.headers, lines)
        if lines is None:
            return b""
        body = message.body
        size = f"Content-Length: {len(body)}\r\n" if body or method in ("POST", "PUT") else ""
        data = f"{method} {target} HTTP/1.1\r\n{self._own}{lines}{size}\r\n".encode("ascii") + body
        return data if len(data) <= AT_ONCE_BYTES_MAX else b""


def _lines(headers: Headers) -> str | None:
    """Return the lines of a request's own headers, or None if h11 must write them."""
    text = ""
    for name, value in headers:
        line = f"{name}: {value}"
        if not LINE.fullmatch(line) or ":" in name or name.lower() in FRAMING:
            return None
        text += f"{line}\r\n"
    return text
