"""Split what a websocket server sends: data frames become messages, the handshake and control frames pass unchanged.

The incoming side of a client, RFC 6455, no extensions. Both profiles put it before their websocket library, whose own path of
a message costs several times as much (docs/performance.md). The library still does all that is not data.
"""

from typing import Final

from engine.live.transport.websocket import too_long

HANDSHAKE_BYTES_MAX: Final = 64 * 1024
HEAD_END: Final = b"\r\n\r\n"
SWITCHING: Final = b"HTTP/1.1 101"
FIN: Final = 0x80
RESERVED: Final = 0x70
CONTROL: Final = 0x08  # set in the opcodes of close, ping and pong
OPCODE: Final = 0x0F
CONTINUATION, TEXT, BINARY, PONG = 0x0, 0x1, 0x2, 0xA
WHOLE_MESSAGES: Final = (FIN | TEXT, FIN | BINARY)
NORMAL_CLOSURE: Final = 1000
PROTOCOL_ERROR: Final = 1002
TOO_BIG: Final = 1009


class FrameError(Exception):
    """The other side broke the protocol or a limit of ours."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class FrameSplitter:
    """Incremental splitter of a server's bytes. It holds at most one message and one socket read."""

    def __init__(self, message_bytes_max: int) -> None:
        self._message_bytes_max = message_bytes_max
        self._messages: list[bytes] = []
        self._head: bytearray | None = bytearray()  # of the handshake's answer, until it is complete
        self._rest = bytearray()  # an incomplete frame
        self._bytes_needed = 0  # length of `_rest` from which another attempt is worth while
        self._fragments: bytearray | None = None  # of a message that continues

    def messages(self) -> list[bytes]:
        """Return the complete messages since the last call."""
        messages, self._messages = self._messages, []
        return messages

    @property
    def has_messages(self) -> bool:
        return bool(self._messages)

    def feed(self, data: bytes | bytearray) -> bytes:
        """Add received bytes, and return those that are not data frames.

        Raises:
            FrameError: at the first frame that is too long or against the protocol. Messages before it are kept.
        """
        if self._head is None:
            return self._split(data)
        before = len(self._head)
        self._head += data
        if len(self._head) > HANDSHAKE_BYTES_MAX:
            raise FrameError(NORMAL_CLOSURE, f"the handshake's answer is longer than {HANDSHAKE_BYTES_MAX} bytes")
        end = self._head.find(HEAD_END)
        if end < 0 or not self._head.startswith(SWITCHING):
            return bytes(data)
        self._head = None
        frames_at = end + len(HEAD_END) - before
        return bytes(data[:frames_at]) + self._split(data[frames_at:])

    def _split(self, data: bytes | bytearray) -> bytes:
        """Store the messages and return the control frames."""
        if self._rest:
            self._rest += data
            if len(self._rest) < self._bytes_needed:
                return b""
            data = bytes(self._rest)
            self._rest.clear()
        control = b""
        start, end = 0, len(data)
        while start < end:
            if end - start < 2:
                return self._keep(data[start:], 2, control)
            first, size, body = data[start], data[start + 1], start + 2
            if size >= 126:
                body += 2 if size == 126 else 8
                if body > end:
                    return self._keep(data[start:], body - start, control)
                size = self._long_size(first, size, data[start + 2 : body])
            stop = body + size
            if stop > end:
                self._check_room(size)
                return self._keep(data[start:], stop - start, control)
            if first in WHOLE_MESSAGES and self._fragments is None:
                self._messages.append(bytes(data[body:stop]))
            elif first & CONTROL:
                if not first & FIN or first & RESERVED or first & OPCODE > PONG:
                    raise FrameError(PROTOCOL_ERROR, "the other side broke the protocol: a malformed control frame")
                control += data[start:stop]
            else:
                self._add_fragment(first, data[body:stop])
            start = stop
        return control

    def _keep(self, rest: bytes | bytearray, bytes_needed: int, control: bytes) -> bytes:
        self._rest += rest
        self._bytes_needed = bytes_needed
        return control

    def _long_size(self, first: int, marker: int, field: bytes | bytearray) -> int:
        """Return the size of a frame above 125 bytes. Raise FrameError if it may not be as long as that."""
        if marker > 127:
            raise FrameError(PROTOCOL_ERROR, "the other side broke the protocol: a masked frame")
        if first & CONTROL:
            raise FrameError(PROTOCOL_ERROR, "the other side broke the protocol: a control frame above 125 bytes")
        size = int.from_bytes(field, "big")
        self._check_room(size)
        return size

    def _check_room(self, size: int) -> None:
        if size + len(self._fragments or b"") > self._message_bytes_max:
            raise FrameError(TOO_BIG, too_long(self._message_bytes_max))

    def _add_fragment(self, first: int, payload: bytes | bytearray) -> None:
        opcode = first & ~FIN
        if opcode not in (CONTINUATION, TEXT, BINARY) or (opcode == CONTINUATION) != (self._fragments is not None):
            raise FrameError(PROTOCOL_ERROR, f"the other side broke the protocol: unexpected frame {first:#04x}")
        self._check_room(len(payload))
        self._fragments = (self._fragments or bytearray()) + payload
        if first & FIN:
            self._messages.append(bytes(self._fragments))
            self._fragments = None
