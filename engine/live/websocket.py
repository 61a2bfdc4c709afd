"""A websocket connection as the engine wants it: whole messages with the wall clock right after the socket read.

Knows the websocket protocol and TLS; knows no venue, no session and no record.
"""

import ssl
from collections.abc import Iterator
from typing import Protocol

import trio
from websockets.client import ClientProtocol
from websockets.exceptions import WebSocketException
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import parse_uri

from engine.live.clock import wall_ns

MESSAGE_BYTES_MAX = 16 * 1024 * 1024  # the largest snapshots are some 2 MiB
RECEIVE_BYTES = 256 * 1024
CLOSE_SECONDS_MAX = 1.0  # how long we wait for the other side's goodbye


class WebsocketClosedError(Exception):
    """The connection is over, or never came to be; the text says how."""


class Websocket(Protocol):
    """One open connection. `next_messages` is called by one task only; the others by any."""

    async def next_messages(self) -> tuple[int, list[bytes]]:
        """All whole messages of one socket read, at least one, and the wall clock right after that read."""
        ...

    async def send(self, message: bytes) -> None: ...

    async def ping(self) -> None: ...

    async def close(self) -> None: ...

    @property
    def heard_at(self) -> float:
        """When bytes last came, by trio's clock."""
        ...


async def open_feed(url: str, context: ssl.SSLContext | None = None) -> "WebsocketFeed":
    """Connects and shakes hands. Raises FeedEnded; the caller sets the deadline."""
    uri = parse_uri(url)
    stream: trio.abc.Stream | None = None
    try:
        plain = await trio.open_tcp_stream(uri.host, uri.port)
        stream = (
            trio.SSLStream(
                plain, context or ssl.create_default_context(), server_hostname=uri.host, https_compatible=True
            )
            if uri.secure
            else plain
        )
        feed = WebsocketFeed(stream, ClientProtocol(uri, max_size=MESSAGE_BYTES_MAX))
        await feed._shake_hands()  # noqa: SLF001 - of this very file
    except (OSError, trio.BrokenResourceError, WebSocketException) as error:
        if stream is not None:
            await trio.aclose_forcefully(stream)
        raise WebsocketClosedError(f"cannot open {uri.host}:{uri.port}: {error}") from error
    except BaseException:
        if stream is not None:
            await trio.aclose_forcefully(stream)
        raise
    return feed


class WebsocketFeed:
    """A Feed by the sans-IO protocol of `websockets` on a trio stream: no task of its own, no compression."""

    def __init__(self, stream: trio.abc.Stream, protocol: ClientProtocol) -> None:
        self._stream = stream
        self._protocol = protocol
        self._sending = trio.Lock()
        self._early: list[bytes] = []  # messages that came with the handshake's answer
        self._fragments = bytearray()
        self.heard_at = trio.current_time()

    async def next_messages(self) -> tuple[int, list[bytes]]:
        recv_ns, messages = wall_ns(), self._early
        self._early = []
        while not messages:
            recv_ns = await self._receive()
            messages = list(self._messages())
            if self._protocol.state is not State.OPEN:
                if messages:
                    return recv_ns, messages  # the next call says that it ended
                raise WebsocketClosedError(self._why())
        return recv_ns, messages

    async def send(self, message: bytes) -> None:
        self._protocol.send_text(message)
        await self._flush()

    async def ping(self) -> None:
        self._protocol.send_ping(b"")
        await self._flush()

    async def close(self) -> None:
        """Says goodbye and waits a little for the answer. Never raises."""
        with trio.move_on_after(CLOSE_SECONDS_MAX) as scope:
            scope.shield = True
            try:
                if self._protocol.state is State.OPEN:
                    self._protocol.send_close(1000)
                    await self._flush()
                    while self._protocol.close_rcvd is None:
                        await self._receive()
                        list(self._messages())
            except (WebsocketClosedError, trio.BusyResourceError):
                pass  # it is gone already, or its reader is at work and will see the goodbye
        with trio.CancelScope(shield=True):
            await trio.aclose_forcefully(self._stream)

    async def _shake_hands(self) -> None:
        self._protocol.send_request(self._protocol.connect())
        await self._flush()
        while self._protocol.state is State.CONNECTING:
            await self._receive()
            for event in self._protocol.events_received():
                if isinstance(event, Response):
                    if self._protocol.handshake_exc is not None:
                        raise WebsocketClosedError(f"the handshake was refused with status {event.status_code}")
                else:
                    self._early += self._message(event)
            if self._protocol.handshake_exc is not None:
                raise WebsocketClosedError(f"the handshake failed: {self._protocol.handshake_exc}")
        self._early += self._messages()

    async def _receive(self) -> int:
        """One read, and the protocol's own answers (pongs, goodbye). Returns the wall clock right after the read."""
        try:
            data = await self._stream.receive_some(RECEIVE_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise WebsocketClosedError(f"connection lost: {error.__cause__ or error}") from error
        recv_ns = wall_ns()
        self.heard_at = trio.current_time()
        if data:
            self._protocol.receive_data(bytes(data))
        else:
            self._protocol.receive_eof()
        await self._flush()
        if not data and self._protocol.state is State.OPEN:
            raise WebsocketClosedError("the other side ended the connection without a goodbye")
        return recv_ns

    async def _flush(self) -> None:
        if not (chunks := self._protocol.data_to_send()):
            return
        async with self._sending:
            try:
                for chunk in chunks:
                    if chunk:
                        await self._stream.send_all(chunk)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise WebsocketClosedError(f"connection lost: {error.__cause__ or error}") from error

    def _messages(self) -> Iterator[bytes]:
        for event in self._protocol.events_received():
            if type(event) is Frame:
                yield from self._message(event)

    def _message(self, event: object) -> tuple[bytes, ...]:
        """The message that this frame completes, if it does."""
        if not isinstance(event, Frame) or event.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return ()
        if event.fin and not self._fragments:
            return (bytes(event.data),)
        self._fragments += event.data
        if len(self._fragments) > MESSAGE_BYTES_MAX:
            raise WebsocketClosedError(f"a message is longer than {MESSAGE_BYTES_MAX} bytes")
        if not event.fin:
            return ()
        whole = bytes(self._fragments)
        self._fragments.clear()
        return (whole,)

    def _why(self) -> str:
        error = self._protocol.parser_exc
        if error is not None and not isinstance(error, EOFError):
            return f"the other side broke the protocol: {error}"
        received = self._protocol.close_rcvd
        if received is not None:
            return f"closed by the other side: {received.code} {received.reason}".rstrip()
        return "the other side ended the connection without a goodbye"
