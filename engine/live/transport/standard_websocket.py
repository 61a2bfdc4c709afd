"""The websocket of the profile `standard`: trio-websocket does the handshake, control frames, sending and closing.

Data frames leave the byte stream before it (frame_splitter.py), with the time of their socket read.
"""

import ssl
from typing import NoReturn, TypeVar

import trio
import trio_websocket

from engine.live.clock import wall_ns
from engine.live.transport.frame_splitter import NORMAL_CLOSURE, FrameError, FrameSplitter
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
FIN_PING = 0x89
ABNORMAL_CLOSURE = 1006  # trio-websocket's code for an end without a closing frame

ErrorT = TypeVar("ErrorT", bound=BaseException)


async def open_websocket(url: str, context: ssl.SSLContext | None, limits: WebsocketLimits) -> "StandardWebsocket":
    """Connect and do the handshakes; the caller sets the deadline. Raises WebsocketClosedError."""
    address = Address.parse(url)
    where = f"{address.host}:{address.port}"
    try:
        stream = (await connect(address, context)).stream
    except (OSError, trio.BrokenResourceError) as error:
        raise WebsocketClosedError(f"cannot open {where}: {reason_of(error)}") from error
    websocket = StandardWebsocket(stream, limits)
    try:
        await websocket.shake_hands(address)
    except HandshakeRefusedError as error:
        await websocket.close()
        raise HandshakeRefusedError(f"cannot open {where}: {error}", error.status) from error
    except WebsocketClosedError as error:
        await websocket.close()
        raise WebsocketClosedError(f"cannot open {where}: {error}") from error
    except BaseException:
        await websocket.close()
        raise
    return websocket


class StandardWebsocket:
    """A Websocket on trio-websocket.

    Its reader runs in a system task, because a connection may outlive the session that opened it (`verbatim record`
    hands connections over). `close` ends that task.
    """

    def __init__(self, stream: trio.abc.Stream, limits: WebsocketLimits) -> None:
        self._socket = stream
        self._limits = limits
        self._incoming = _SplitStream(stream, limits)
        self._scope = trio.CancelScope()
        self._has_ended = trio.Event()
        self._error: Exception | None = None

    @property
    def heard_at(self) -> float:
        """Return when the last bytes arrived, on trio's clock."""
        return self._incoming.heard_at

    async def shake_hands(self, address: Address) -> None:
        """Start the reader and wait for the handshake. Raises WebsocketClosedError."""
        trio.lowlevel.spawn_system_task(self._run, address)
        await self._incoming.settled.wait()
        if status := self._incoming.refused_status:
            raise HandshakeRefusedError(f"the handshake was refused with status {status}", status)
        if self._incoming.connection is None:
            if rejected := _first(self._error, trio_websocket.ConnectionRejected):
                raise HandshakeRefusedError(self._end_reason(), rejected.status_code)
            raise WebsocketClosedError(self._end_reason())

    async def read(self, deliver: Deliver) -> NoReturn:
        """See Websocket."""
        self._incoming.attach(deliver)
        try:
            await self._incoming.ended.wait()
        finally:
            self._incoming.detach()
        raise WebsocketClosedError(self._end_reason())

    async def send(self, message: bytes) -> None:
        """See Websocket."""
        try:
            await self._open_connection().send_message(message.decode())
        except trio_websocket.ConnectionClosed as error:
            raise WebsocketClosedError(self._end_reason()) from error

    async def ping(self) -> None:
        """Send a ping and wait for its pong. Raises WebsocketClosedError."""
        try:
            await self._open_connection().ping()
        except trio_websocket.ConnectionClosed as error:
            raise WebsocketClosedError(self._end_reason()) from error

    async def close(self) -> None:
        """See Websocket."""
        incoming = self._incoming
        with trio.CancelScope(shield=True):
            incoming.discard()
            if incoming.connection is not None:
                failure = incoming.failure or FrameError(NORMAL_CLOSURE, "")
                with trio.move_on_after(self._limits.close_seconds_max):
                    await incoming.connection.aclose(failure.code, failure.reason)
            await trio.aclose_forcefully(self._socket)
            self._scope.cancel()
            await self._has_ended.wait()

    def _open_connection(self) -> trio_websocket.WebSocketConnection:
        assert self._incoming.connection is not None, "shake_hands comes first"
        if self._incoming.ended.is_set():
            raise WebsocketClosedError(self._end_reason())
        return self._incoming.connection

    async def _run(self, address: Address) -> None:
        """Run trio-websocket's reader until the connection ends. Its error ends the link and nothing else."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    self._incoming.connection = await trio_websocket.wrap_client_stream(
                        nursery,
                        self._incoming,  # type: ignore[arg-type]  # documented for any stream
                        address.host_header,
                        address.target,
                        receive_buffer_size=RECEIVE_BYTES,
                    )
                    self._incoming.settled.set()
        except Exception as error:  # noqa: BLE001 - an error in a system task would end the process
            self._error = error
        finally:
            self._incoming.end("the connection is closed")
            self._has_ended.set()

    def _end_reason(self) -> str:
        incoming = self._incoming
        if incoming.failure is not None:
            return incoming.failure.reason
        if rejected := _first(self._error, trio_websocket.ConnectionRejected):
            return f"the handshake was refused with status {rejected.status_code}"
        if self._error is not None:
            return f"the other side broke the protocol: {_first(self._error, Exception)}"
        closed = None if incoming.connection is None else incoming.connection.closed
        if closed is not None and closed.code != ABNORMAL_CLOSURE and not incoming.is_closing:
            return closed_by_peer(closed.code, closed.reason)
        return incoming.end_reason


class _SplitStream(trio.abc.Stream):
    """The stream that trio-websocket reads: messages go to `deliver`, the handshake and control frames pass."""

    def __init__(self, stream: trio.abc.Stream, limits: WebsocketLimits) -> None:
        self.heard_at = trio.current_time()
        self.connection: trio_websocket.WebSocketConnection | None = None  # once the handshake is done
        self.failure: FrameError | None = None
        self.end_reason = ""
        self.settled = trio.Event()  # the handshake succeeded or failed
        self.ended = trio.Event()
        self.is_closing = False
        self._stream = stream
        self._splitter = FrameSplitter(limits.message_bytes_max)
        self._recv_ns = 0
        self._deliver: Deliver | None = None
        self._reader_came = trio.Event()

    @property
    def refused_status(self) -> int:
        """Return the HTTP status that refused the handshake, or 0."""
        return self._splitter.refused_status

    def attach(self, deliver: Deliver) -> None:
        """Deliver messages from here on, first those that wait."""
        self._deliver = deliver
        self._hand_over()
        self._reader_came.set()

    def detach(self) -> None:
        """Keep the messages of one socket read; the rest waits in the socket."""
        self._deliver = None
        self._reader_came = trio.Event()

    def discard(self) -> None:
        """Drop messages from here on, because the connection closes."""
        self.is_closing = True
        self.attach(lambda _recv_ns, _messages: True)

    def fail(self, error: FrameError) -> None:
        """End the connection, and drop what still comes."""
        self.failure = self.failure or error
        self.ended.set()
        if not self._splitter.has_head:
            self.settled.set()

    def end(self, reason: str) -> None:
        """Signal the end to all waiting tasks. The first reason counts."""
        self.end_reason = self.end_reason or reason
        self.ended.set()
        self.settled.set()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return control frames, or b"" at the end of the connection."""
        if self.connection is not None and self.connection.closed is not None:
            self.end("")  # by a closing frame; the other side may leave its socket open
        while True:
            if self._deliver is None and self._splitter.has_messages:
                await self._reader_came.wait()
            try:
                data = await self._stream.receive_some(max_bytes)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                self.end(f"connection lost: {reason_of(error)}")
                raise
            self._recv_ns = wall_ns()
            self.heard_at = trio.current_time()
            if not data:
                self.end(NO_GOODBYE)
                return b""
            if passed := self._split(data):
                return passed

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()

    def _split(self, data: bytes | bytearray) -> bytes:
        """Hand the messages over, and return the rest. After a failure there is no rest, and what comes is dropped."""
        passed = self._splitter.feed(data)
        self._hand_over()
        if self.refused_status:
            self.settled.set()  # the body may end with the connection alone, perhaps never
        if self._splitter.failure is not None:
            self.fail(self._splitter.failure)
        return without_pings(passed) if self.is_closing else passed

    def _hand_over(self) -> None:
        if self._deliver is None or not self._splitter.has_messages:
            return
        if not self._deliver(self._recv_ns, self._splitter.messages()):
            self.fail(FrameError(NORMAL_CLOSURE, NO_ROOM))


def without_pings(frames: bytes) -> bytes:
    """Return control frames without the pings.

    trio-websocket 0.12 answers a ping also after it began to close, which its protocol object refuses: the reader
    fails, and the program can end in silence (issue 184 there). No answer is due after a closing frame.
    """
    kept = b""
    start = 0
    while start < len(frames):
        stop = start + 2 + frames[start + 1]
        if frames[start] != FIN_PING:
            kept += frames[start:stop]
        start = stop
    return kept


def _first(error: BaseException | None, kind: type[ErrorT]) -> ErrorT | None:
    """Return the first error of a kind within an error or a group of them."""
    while isinstance(error, BaseExceptionGroup):
        error = next((inner for inner in error.exceptions if isinstance(inner, kind)), error.exceptions[0])
    return error if isinstance(error, kind) else None
