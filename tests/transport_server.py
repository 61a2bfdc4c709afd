"""A server of raw bytes on loopback for the transport tests: each test writes what its server does to a connection."""

import base64
import hashlib
import ssl
from collections.abc import Awaitable, Callable
from functools import partial

import trio
import trustme

Handler = Callable[["Peer"], Awaitable[None]]
TEXT, CONTINUATION, CLOSE, PING, PONG = 0x1, 0x0, 0x8, 0x9, 0xA
FIN = 0x80
ACCEPT_SALT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Peer:
    """The server's end of a connection."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._received = bytearray()

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def receive(self, size: int) -> bytes:
        """Return that many bytes; fewer only at the end of the connection."""
        while len(self._received) < size and (data := await self.stream.receive_some()):
            self._received += data
        data = bytes(self._received[:size])
        del self._received[:size]
        return data

    async def head(self) -> bytes:
        """Return a request's head; b"" at the end of the connection."""
        while b"\r\n\r\n" not in self._received:
            data = await self.stream.receive_some()
            if not data:
                return b""
            self._received += data
        head, _, rest = bytes(self._received).partition(b"\r\n\r\n")
        self._received = bytearray(rest)
        return head

    async def gone(self) -> bool:
        """Wait until the client has closed or reset its end."""
        try:
            while await self.stream.receive_some():
                pass
        except trio.BrokenResourceError:
            pass
        return True

    async def accept(self, *, after: bytes = b"") -> None:
        """Do the websocket handshake; `after` goes out with the answer."""
        await self.send(accepted(await self.head()) + after)

    async def frame(self) -> tuple[int, bytes]:
        """Return opcode and payload of the client's next frame; opcode -1 at the end of the connection."""
        start = await self.receive(2)
        if len(start) < 2:
            return -1, b""
        size = start[1] & 0x7F
        if size >= 126:
            size = int.from_bytes(await self.receive(2 if size == 126 else 8), "big")
        mask = await self.receive(4)
        payload = await self.receive(size)
        return start[0] & 0x0F, bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))

    async def frame_of(self, opcode: int) -> bytes:
        """Skip frames until one of that kind, and return its payload."""
        while True:
            kind, payload = await self.frame()
            assert kind != -1, f"the client left without a frame of kind {opcode:#x}"
            if kind == opcode:
                return payload


def accepted(head: bytes) -> bytes:
    """Return the answer that completes a websocket handshake."""
    [line] = [line for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:")]
    key = line.partition(b":")[2].strip()
    token = base64.b64encode(hashlib.sha1(key + ACCEPT_SALT, usedforsecurity=False).digest())
    lines = (b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", b"Connection: Upgrade")
    return b"\r\n".join([*lines, b"Sec-WebSocket-Accept: " + token, b"", b""])


def frame(opcode: int, payload: bytes, *, is_final: bool = True) -> bytes:
    """Return a server's frame."""
    first = opcode | (FIN if is_final else 0)
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 65_536:
        return bytes((first, 126)) + size.to_bytes(2, "big") + payload
    return bytes((first, 127)) + size.to_bytes(8, "big") + payload


def closing(code: int, reason: str = "") -> bytes:
    """Return a closing frame."""
    return frame(CLOSE, code.to_bytes(2, "big") + reason.encode())


def answer(body: bytes = b"{}", *headers: str, status: str = "200 OK") -> bytes:
    """Return an HTTP answer with its length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


class Server:
    """Accepts connections until the test ends, each served by `handler`."""

    def __init__(self, port: int, scheme_suffix: str) -> None:
        self.port = port
        self.connections = 0
        self._suffix = scheme_suffix

    @property
    def ws(self) -> str:
        return f"ws{self._suffix}://127.0.0.1:{self.port}/stream"

    @property
    def http(self) -> str:
        return f"http{self._suffix}://127.0.0.1:{self.port}"


async def serve(nursery: trio.Nursery, handler: Handler, context: ssl.SSLContext | None = None) -> Server:
    """Start a server on a free port of loopback; with a context, over TLS."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    server = Server(listeners[0].socket.getsockname()[1], "s" if context else "")
    nursery.start_soon(partial(trio.serve_listeners, partial(_serve_one, server, handler, context), listeners))
    return server


async def _serve_one(
    server: Server, handler: Handler, context: ssl.SSLContext | None, plain: trio.SocketStream
) -> None:
    server.connections += 1
    stream: trio.abc.Stream = plain
    try:
        if context is not None:
            stream = trio.SSLStream(plain, context, server_side=True, https_compatible=True)
            await stream.do_handshake()
        await handler(Peer(stream))
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass  # the client has gone; the test asserts the rest
    finally:
        await trio.aclose_forcefully(plain)


def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the TLS settings of a client and of a server that it trusts."""
    authority, ours, theirs = trustme.CA(), ssl.create_default_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.configure_trust(ours)
    authority.issue_cert("127.0.0.1").configure_cert(theirs)
    return ours, theirs
