"""The websocket of the profile `fast`: the sans-IO protocol of `websockets` on a trio stream, without a background
task.

Data frames leave the byte stream before it (frame_splitter.py).
"""

import ssl
from typing import NoReturn

import trio
from websockets.client import ClientProtocol
from websockets.exceptions import WebSocketException
from websockets.protocol import State
from websockets.uri import parse_uri

from engine.live.clock import wall_ns
from engine.live.transport.frame_splitter import NORMAL_CLOSURE, FrameSplitter
from engine.live.transport.tcp import Address, connect, reason_of
from engine.live.transport.websocket import (
    NO_GOODBYE,
    NO_ROOM,
    Deliver,
    HandshakeRefusedError,
    WebsocketClosedError,
    WebsocketLimits,
    closed_by_peer,
)

RECEIVE_BYTES = 256 * 1024


async def open_websocket(url: str, context: ssl.SSLContext | None, limits: WebsocketLimits) -> "FastWebsocket":
    """Connect and do the handshakes; the caller sets the deadline. Raises WebsocketClosedError."""
    address = Address.parse(url)
    where = f"{address.host}:{address.port}"
    try:
        stream = (await connect(address, context)).stream
    except (OSError, trio.BrokenResourceError) as error:
        raise WebsocketClosedError(f"cannot open {where}: {reason_of(error)}") from error
    try:
        websocket = FastWebsocket(stream, ClientProtocol(parse_uri(url)), limits)
        await websocket.shake_hands()
    except HandshakeRefusedError as error:
        await trio.aclose_forcefully(stream)
        raise HandshakeRefusedError(f"cannot open {where}: {error}", error.status) from error
    except (WebsocketClosedError, WebSocketException) as error:
        await trio.aclose_forcefully(stream)
        raise WebsocketClosedError(f"cannot open {where}: {error}") from error
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return websocket


class FastWebsocket:
    """A Websocket that its reader drives: bytes are read, answered and delivered in the task that calls `read`."""

    def __init__(self, stream: trio.abc.Stream, protocol: ClientProtocol, limits: WebsocketLimits) -> None:
        self.heard_at = trio.current_time()
        self._stream = stream
        self._protocol = protocol
        self._limits = limits
        self._send_lock = trio.Lock()
        self._splitter = FrameSplitter(limits.message_bytes_max)
        self._recv_ns = 0

    async def shake_hands(self) -> None:
        """Do the websocket handshake. Raises WebsocketClosedError."""
        self._protocol.send_request(self._protocol.connect())
        await self._flush()
        while self._protocol.state is State.CONNECTING:
            await self._receive()
            error = self._protocol.handshake_exc
            # the library reads the body first, perhaps until the other side closes, and knows no HTTP/1.0
            if status := self._splitter.refused_status:
                raise HandshakeRefusedError(f"the handshake was refused with status {status}", status)
            if error is not None:
                raise WebsocketClosedError(f"the handshake failed: {error}")
            if self._splitter.failure is not None and self._protocol.state is State.CONNECTING:
                raise WebsocketClosedError(self._splitter.failure.reason)

    async def read(self, deliver: Deliver) -> NoReturn:
        """See Websocket."""
        while True:
            if self._splitter.has_messages and not deliver(self._recv_ns, self._splitter.messages()):
                raise WebsocketClosedError(NO_ROOM)
            await self._flush()  # after the delivery: a pong may have to wait for the other side
            if self._protocol.state is not State.OPEN:
                break
            await self._receive()
        raise WebsocketClosedError(self._end_reason())

    async def send(self, message: bytes) -> None:
        """See Websocket."""
        if self._protocol.state is not State.OPEN:
            raise WebsocketClosedError(self._end_reason())
        self._protocol.send_text(message)
        await self._flush()

    async def ping(self) -> None:
        """Send a ping. Raises WebsocketClosedError."""
        if self._protocol.state is not State.OPEN:
            raise WebsocketClosedError(self._end_reason())
        self._protocol.send_ping(b"")
        await self._flush()

    async def close(self) -> None:
        """See Websocket."""
        with trio.move_on_after(self._limits.close_seconds_max, shield=True):
            try:
                if self._protocol.state is State.OPEN:
                    self._protocol.send_close(NORMAL_CLOSURE)
                await self._flush()
                while self._protocol.state is State.CLOSING and self._protocol.close_rcvd is None:
                    await self._receive()
                    self._splitter.messages()  # no reader is left
            except (WebsocketClosedError, trio.BusyResourceError):
                pass  # it ended already, or its reader is active and sees the reply
        with trio.CancelScope(shield=True):
            await trio.aclose_forcefully(self._stream)

    async def _receive(self) -> None:
        """Read the socket once, and note the wall clock right after. Raises WebsocketClosedError."""
        try:
            data = await self._stream.receive_some(RECEIVE_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise WebsocketClosedError(f"connection lost: {reason_of(error)}") from error
        self._recv_ns = wall_ns()
        self.heard_at = trio.current_time()
        if not data:
            self._protocol.receive_eof()
        elif passed := self._splitter.feed(data):
            self._protocol.receive_data(passed)
        failure = self._splitter.failure
        if failure is not None and self._protocol.state is State.OPEN:
            self._protocol.fail(failure.code, failure.reason)
        self._protocol.events_received()  # nothing that concerns us: it would grow

    async def _flush(self) -> None:
        """Send what the protocol has for the other side: messages, pongs, closing frames."""
        if not (chunks := self._protocol.data_to_send()):
            return
        async with self._send_lock:
            try:
                for chunk in chunks:
                    if chunk:
                        await self._stream.send_all(chunk)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise WebsocketClosedError(f"connection lost: {reason_of(error)}") from error

    def _end_reason(self) -> str:
        if self._splitter.failure is not None:
            return self._splitter.failure.reason
        error = self._protocol.parser_exc
        if error is not None and not isinstance(error, EOFError):
            return f"the other side broke the protocol: {error}"
        received = self._protocol.close_rcvd
        return NO_GOODBYE if received is None else closed_by_peer(received.code, received.reason)
