"""A request as bytes, written without h11: its checks of every header take longer than a signature.

Only what h11 would write in exactly these bytes; anything else is left to h11, which refuses it or writes it.
"""

import re

from engine.venues.signing import HttpMessage

METHODS = frozenset({"GET", "POST", "PUT", "DELETE"})
TARGET = re.compile(r"[!-~]+")
LINE = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+: [!-~]+(?: [!-~]+)*")  # a name and a value without outer spaces
FRAMING = frozenset({"host", "content-length", "transfer-encoding", "connection", "expect", "upgrade"})


class HeadWriter:
    """Writes the requests of one sender."""

    def __init__(self, host_header: str, prefix: str, own_headers: tuple[tuple[str, str], ...]) -> None:
        self._prefix = prefix
        own = [f"{name}: {value}" for name, value in (("Host", host_header), *own_headers)]
        self._is_plain = all(map(LINE.fullmatch, own))
        self._own = "".join([f"{line}\r\n" for line in own])

    def write(self, message: HttpMessage) -> bytes | None:
        """Return head and body of a request as one piece, or None if h11 must write it."""
        method, target = message.method, self._prefix + message.path_and_query
        if not self._is_plain or method not in METHODS or not TARGET.fullmatch(target):
            return None
        text = f"{method} {target} HTTP/1.1\r\n{self._own}"
        for name, value in message.headers:
            line = f"{name}: {value}"
            if not LINE.fullmatch(line) or ":" in name or name.lower() in FRAMING:
                return None
            text += f"{line}\r\n"
        if message.body or method in ("POST", "PUT"):
            text += f"Content-Length: {len(message.body)}\r\n"
        return f"{text}\r\n".encode("ascii") + message.body
