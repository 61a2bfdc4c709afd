"""Split what a websocket server sends: data frames become messages, the handshake and control frames pass unchanged.

The incoming side of a client, RFC 6455, no extensions. Both profiles put it before their websocket library, whose own
path of a message costs several times as much (docs/performance.md). The library still does all that is not data.
"""

import re
from typing import Final

from engine.live.transport.websocket import too_long

HANDSHAKE_BYTES_MAX: Final = 64 * 1024
HEAD_END: Final = b"\r\n\r\n"
SWITCHING: Final = b"HTTP/1.1 101"
STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})\b")
FIN: Final = 0x80
RESERVED: Final = 0x70
CONTROL: Final = 0x08  # set in the opcodes of close, ping and pong
OPCODE: Final = 0x0F
CONTINUATION, TEXT, BINARY, PONG = 0x0, 0x1, 0x2, 0xA
WHOLE_MESSAGES: Final = (FIN | TEXT, FIN | BINARY)
NORMAL_CLOSURE: Final = 1000
PROTOCOL_ERROR: Final = 1002
TOO_BIG: Final = 1009


CLOSE: Final = 0x8
CLOSE_CODES: Final = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)})  # that a peer may send


class FrameError(Exception):
    """The other side broke the protocol or a limit of ours."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code  # for our closing frame
        self.reason = reason


class FrameSplitter:
    """Incremental splitter of a server's bytes. It holds at most one message and one socket read."""

    def __init__(self, message_bytes_max: int) -> None:
        self.failure: FrameError | None = None  # after it, all bytes are dropped
        self._message_bytes_max = message_bytes_max
        self._messages: list[bytes] = []
        self._passed = b""
        self._head: bytearray | None = bytearray()  # of the handshake's answer, until it is complete
        self._rest = bytearray()  # an incomplete frame
        self._bytes_needed = 0  # length of `_rest` from which another attempt is worth while
        self._fragments: bytearray | None = None  # of a message that continues

    @property
    def has_head(self) -> bool:
        """Return True once the handshake's answer is complete and accepts the connection."""
        return self._head is None

    @property
    def refused_status(self) -> int:
        """Return the HTTP status of a complete answer that refuses the handshake; 0 before, and if it accepts."""
        if self._head is None or HEAD_END not in self._head:
            return 0
        found = STATUS_LINE.match(self._head)
        return 0 if found is None or self._head.startswith(SWITCHING) else int(found[1])

    @property
    def has_messages(self) -> bool:
        """Return True if a whole message waits."""
        return bool(self._messages)

    def messages(self) -> list[bytes]:
        """Return the complete messages since the last call."""
        messages, self._messages = self._messages, []
        return messages

    def feed(self, data: bytes | bytearray) -> bytes:
        """Add received bytes, and return those that are not data frames. Sets `failure` at a frame that is not
        acceptable.
        """
        if self.failure is None:
            try:
                self._split(data if self._head is None else self._pass_head(data))
            except FrameError as error:
                self.failure = error
        passed, self._passed = self._passed, b""
        return passed

    def _pass_head(self, data: bytes | bytearray) -> bytes | bytearray:
        """Pass the handshake's answer on, and return the bytes behind it."""
        assert self._head is not None, "checked by the caller"
        before = len(self._head)
        self._head += data
        end = self._head.find(HEAD_END)
        if len(self._head) > HANDSHAKE_BYTES_MAX and end < 0:
            raise FrameError(NORMAL_CLOSURE, f"the handshake's answer is longer than {HANDSHAKE_BYTES_MAX} bytes")
        if end < 0 or not self._head.startswith(SWITCHING):
            self._passed += data
            return b""
        self._head = None
        frames_at = end + len(HEAD_END) - before
        self._passed += data[:frames_at]
        return data[frames_at:]

    def _split(self, data: bytes | bytearray) -> None:
        """Store the messages and pass the control frames."""
        if self._rest:
            self._rest += data
            if len(self._rest) < self._bytes_needed:
                return
            data = bytes(self._rest)
            self._rest.clear()
        start, end = 0, len(data)
        while start < end:
            if end - start < 2:
                self._keep(data[start:], 2)
                return
            first, size, body = data[start], data[start + 1], start + 2
            if size >= 126:
                body += self._size_bytes(first, size)
                if body > end:
                    self._keep(data[start:], body - start)
                    return
                size = int.from_bytes(data[start + 2 : body], "big")
                self._check_room(size)
            stop = body + size
            if stop > end:
                self._check_room(size)
                self._keep(data[start:], stop - start)
                return
            if first in WHOLE_MESSAGES and self._fragments is None:
                self._messages.append(bytes(data[body:stop]))
            elif first & CONTROL:
                self._check_control(first, data[body:stop])
                self._passed += data[start:stop]
            else:
                self._add_fragment(first, data[body:stop])
            start = stop

    def _keep(self, rest: bytes | bytearray, bytes_needed: int) -> None:
        self._rest += rest
        self._bytes_needed = bytes_needed

    @staticmethod
    def _size_bytes(first: int, marker: int) -> int:
        """Return how many bytes hold the size of a frame above 125 bytes. Raise FrameError if there may be none."""
        if marker > 127:
            raise _broken("a masked frame")
        if first & CONTROL:
            raise _broken("a control frame above 125 bytes")
        return 2 if marker == 126 else 8

    def _check_room(self, size: int) -> None:
        if size + len(self._fragments or b"") > self._message_bytes_max:
            raise FrameError(TOO_BIG, too_long(self._message_bytes_max))

    @staticmethod
    def _check_control(first: int, payload: bytes | bytearray) -> None:
        opcode = first & OPCODE
        if not first & FIN or first & RESERVED or opcode > PONG:
            raise _broken("a malformed control frame")
        if opcode == CLOSE and payload and int.from_bytes(payload[:2], "big") not in CLOSE_CODES:
            raise _broken("a malformed closing frame")

    def _add_fragment(self, first: int, payload: bytes | bytearray) -> None:
        opcode = first & ~FIN
        if opcode not in (CONTINUATION, TEXT, BINARY) or (opcode == CONTINUATION) != (self._fragments is not None):
            raise _broken(f"unexpected frame {first:#04x}")
        self._check_room(len(payload))
        self._fragments = (self._fragments or bytearray()) + payload
        if first & FIN:
            self._messages.append(bytes(self._fragments))
            self._fragments = None


def _broken(what: str) -> FrameError:
    return FrameError(PROTOCOL_ERROR, f"the other side broke the protocol: {what}")
