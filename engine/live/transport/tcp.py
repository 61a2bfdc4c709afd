"""TCP and TLS connections for both profiles. Certificates and host names are always verified."""

import os
import ssl
from typing import NamedTuple
from urllib.parse import urlsplit

import trio

SECURE_SCHEMES = ("https", "wss")
LABEL_MAX = 63  # of DNS: Python refuses to look up a longer part of a name
READ_BYTES = 64 * 1024  # if the reader names no limit
RECORD_KINDS = range(20, 25)  # of TLS, the first byte of a record
RECORD_HEAD = 5  # bytes, the last two of them the size of the rest
RECORD_BYTES_MAX = 2**14 + 2048  # without its head


class Address(NamedTuple):
    """The parts of a URL that a connection needs."""

    host: str
    port: int
    is_secure: bool
    host_header: str
    target: str  # path and query

    @classmethod
    def parse(cls, url: str) -> "Address":
        """Split a http(s) or ws(s) URL.

        Raises:
            ValueError: no connection can be opened to it; the text says why.
        """
        if not (url.isascii() and url.isprintable()) or " " in url:
            raise ValueError("an address has no spaces and ASCII alone: write a host's name in its form xn--...")
        parts = urlsplit(url)
        host, port, is_secure = parts.hostname or "", parts.port, parts.scheme in SECURE_SCHEMES
        if port == 0:
            raise ValueError("port 0 is no address")
        if not host or any(not 0 < len(label) <= LABEL_MAX for label in host.removesuffix(".").split(".")):
            raise ValueError(f"each part of a host's name, between dots, has 1 to {LABEL_MAX} letters: {host[:80]!r}")
        return cls(
            host=host,
            port=port or (443 if is_secure else 80),
            is_secure=is_secure,
            host_header=parts.netloc.rpartition("@")[2],
            target=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
        )


class ReadyStream(trio.abc.Stream):
    """A socket stream of trio that waits, reads and returns. trio's own tries first, and other tasks run after it."""

    def __init__(self, plain: trio.SocketStream) -> None:
        self._plain = plain

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return what the socket has, up to `max_bytes`; b"" at the end of the connection."""
        socket = self._plain.socket
        while True:
            if socket.fileno() >= 0:
                await trio.lowlevel.wait_readable(socket)
            if (fileno := socket.fileno()) < 0:
                raise trio.ClosedResourceError("this socket was already closed")
            try:
                return os.read(fileno, max_bytes or READ_BYTES)
            except BlockingIOError:
                continue
            except OSError as error:
                raise trio.BrokenResourceError(f"socket connection broken: {error}") from error

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """See trio.SocketStream."""
        await self._plain.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """See trio.SocketStream."""
        await self._plain.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """See trio.SocketStream."""
        await self._plain.aclose()


class TlsRecordStream(ReadyStream):
    """A ReadyStream below TLS that returns one record at a time.

    Python's TLS keeps the records that it has not decrypted, and no call reports them. Here they can be seen.
    """

    def __init__(self, plain: trio.SocketStream) -> None:
        super().__init__(plain)
        self.waiting = b""  # received, and not returned

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return the next record, or what is left at the end of the connection."""
        while not (size := _record_size(self.waiting)):
            data = await super().receive_some(max_bytes)
            if not data:
                size = len(self.waiting)
                break
            self.waiting += data
        record, self.waiting = self.waiting[:size], self.waiting[size:]
        return record


def _record_size(data: bytes) -> int:
    """Return the bytes of the first TLS record, 0 if it is not whole. Other bytes count as one record."""
    if len(data) < RECORD_HEAD:
        return 0
    size = int.from_bytes(data[RECORD_HEAD - 2 : RECORD_HEAD])
    if data[0] not in RECORD_KINDS or size > RECORD_BYTES_MAX:
        return len(data)
    return RECORD_HEAD + size if len(data) >= RECORD_HEAD + size else 0


class TcpConnection(NamedTuple):
    """A stream, and what is below it."""

    stream: trio.abc.Stream
    plain: trio.SocketStream
    ready: ReadyStream

    @property
    def has_waiting(self) -> bool:
        """Return True if TLS records wait that were received with an earlier one."""
        return isinstance(self.ready, TlsRecordStream) and bool(self.ready.waiting)


async def connect(address: Address, context: ssl.SSLContext | None, *, by_record: bool = False) -> TcpConnection:
    """Open a connection; with TLS, also do the handshake.

    Args:
        address: Where to connect.
        context: TLS settings of a secure address. None makes a new default context, which takes 20 ms.
        by_record: Read one TLS record at a time, so that `has_waiting` sees the others.

    Raises:
        OSError: if there is no connection.
        trio.BrokenResourceError: if the TLS handshake failed; `__cause__` is the TLS error.
    """
    plain = await trio.open_tcp_stream(address.host, address.port)
    ready = TlsRecordStream(plain) if by_record and address.is_secure else ReadyStream(plain)
    if not address.is_secure:
        return TcpConnection(ready, plain, ready)
    context = context or ssl.create_default_context()
    stream = trio.SSLStream(ready, context, server_hostname=address.host, https_compatible=True)
    try:
        await stream.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(plain)
        raise
    return TcpConnection(stream, plain, ready)


def reason_of(error: BaseException) -> str:
    """Return the text of an error or, if a library wrapped it in one without a text, of its cause."""
    first = error
    while not str(error) and (inner := error.__cause__ or next(iter(error.args), None)):
        if not isinstance(inner, BaseException):
            break
        error = inner
    return str(error) or type(first).__name__
