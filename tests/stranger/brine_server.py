"""Brine's listeners on loopback: HTTP for calls, a websocket for streams. Moves bytes; brine_exchange.py knows what
they mean.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

import h11
import trio
from brine_exchange import COUNTER_MAX, SYMBOL, Exchange, Refused
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

TICK_SECONDS = 0.02
PAIR = {
    "symbol": SYMBOL, "base": "XBT", "quote": "USD", "price_precision": 1, "qty_precision": 8, "price_increment": "0.1",
    "qty_increment": "0.00001", "qty_min": "0.0001", "status": "online",
}  # fmt: skip


class Server:
    """One exchange and its connections."""

    def __init__(self) -> None:
        self.exchange = Exchange()
        self.sockets: list[Socket] = []
        self.http = self.ws = ""

    async def drive(self) -> None:
        """Move the market, and stream what it and the account said."""
        while True:
            await trio.sleep(TICK_SECONDS)
            self.exchange.tick()
            await self.stream()

    async def stream(self) -> None:
        """Send everything that waits to those who subscribed to it."""
        public, private = self.exchange.public[:], self.exchange.private[:]
        self.exchange.public.clear()
        self.exchange.private.clear()
        for socket in list(self.sockets):
            for message in (*public, *private):
                if message["channel"] in socket.channels:
                    await socket.send(message)

    async def serve_http(self, stream: trio.SocketStream) -> None:
        """Answer calls until the other side leaves."""
        connection = h11.Connection(h11.SERVER)
        head: h11.Request | None = None
        body = b""
        async with stream:
            while True:
                match connection.next_event():
                    case h11.NEED_DATA:
                        try:
                            connection.receive_data(await stream.receive_some(65_536))
                        except trio.BrokenResourceError:
                            return
                    case h11.Request() as head:
                        body = b""
                    case h11.Data() as data:
                        body += data.data
                    case h11.EndOfMessage():
                        assert head is not None, "a message has a head"
                        status, headers, answer = self._answer(head, body)
                        response = h11.Response(
                            status_code=status, headers=[*headers, ("Content-Length", str(len(answer)))]
                        )
                        parts = (response, h11.Data(data=answer), h11.EndOfMessage())
                        await stream.send_all(b"".join(connection.send(part) or b"" for part in parts))
                        await self.stream()
                        connection.start_next_cycle()
                    case _:
                        return

    def _answer(self, head: h11.Request, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        parts = urlsplit(head.target.decode())
        headers = {name.decode(): value.decode() for name, value in head.headers}
        method = parts.path.rpartition("/")[2]
        kept = [("Content-Type", "application/json"), ("Set-Cookie", "trace=1")]
        if self.exchange.deaf:
            return 502, kept, b""
        try:
            kept.append(("Brine-Counter", self.exchange.count(method, trio.current_time())))
            if parts.path.startswith("/0/public/"):
                wanted = parse_qs(parts.query).get("pairs", [SYMBOL])[0].split(",")
                pairs = [pair for pair in (PAIR,) if pair["symbol"] in wanted]
                result: Any = {"pairs": pairs, "counter_max": int(COUNTER_MAX)}
            else:
                params = json.loads(body)
                self.exchange.check(parts.path, headers, body, params.pop("nonce"))
                result = self.exchange.call(method, params)
        except Refused as word:
            return 200, kept, json.dumps({"error": [str(word)]}).encode()
        return 200, kept, json.dumps({"error": [], "result": result}).encode()

    async def serve_ws(self, stream: trio.SocketStream) -> None:
        """Serve one websocket."""
        socket = Socket(self, stream)
        self.sockets.append(socket)
        try:
            async with stream:
                await socket.run()
        finally:
            self.sockets.remove(socket)


class Socket:
    """One websocket and what it subscribed to."""

    def __init__(self, server: Server, stream: trio.SocketStream) -> None:
        self.channels: set[str] = set()
        self._server = server
        self._stream = stream
        self._protocol = ServerProtocol()
        self._sending = trio.Lock()
        self._is_known = False  # whether it has logged in

    async def run(self) -> None:
        """Read until it ends."""
        while self._protocol.state is not State.CLOSED:
            try:
                data = await self._stream.receive_some(65_536)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            if data:
                self._protocol.receive_data(bytes(data))
            else:
                self._protocol.receive_eof()
            for event in self._protocol.events_received():
                if isinstance(event, Request):
                    self._protocol.send_response(self._protocol.accept(event))
                elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                    await self._flush()
                    await self._obey(json.loads(event.data))
            await self._flush()
            if not data:
                return

    async def send(self, message: dict[str, Any]) -> None:
        """Send one message."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_text(json.dumps(message).encode())
            await self._flush()

    async def _obey(self, message: dict[str, Any]) -> None:
        method, params = message["method"], message["params"]
        answer = {"method": method, "req_id": message["req_id"], "success": True}
        channel = params.get("channel", "")
        if method == "login":
            self._is_known = self._server.exchange.may_login(params)
            if not self._is_known:
                answer |= {"success": False, "error": "EAPI:Invalid signature"}
        elif channel in ("executions", "balances") and not self._is_known:
            answer |= {"success": False, "error": "EGeneral:Permission denied"}
        await self.send(answer)
        if answer["success"] and channel == "book":
            await self.send(self._server.exchange.snapshot())
        if answer["success"] and channel:
            self.channels.add(channel)

    async def _flush(self) -> None:
        async with self._sending:
            for chunk in self._protocol.data_to_send():
                if chunk:
                    try:
                        await self._stream.send_all(chunk)
                    except (trio.BrokenResourceError, trio.ClosedResourceError):
                        return


@asynccontextmanager
async def brine_server() -> AsyncIterator[Server]:
    """Run the exchange on two ports of loopback."""
    server = Server()
    async with trio.open_nursery() as nursery:
        ports = []
        for handler in (server.serve_http, server.serve_ws):
            listeners = await nursery.start(partial(trio.serve_tcp, handler, 0, host="127.0.0.1"))
            ports.append(listeners[0].socket.getsockname()[1])
        server.http, server.ws = f"http://127.0.0.1:{ports[0]}", f"ws://127.0.0.1:{ports[1]}"
        nursery.start_soon(server.drive)
        yield server
        nursery.cancel_scope.cancel()
