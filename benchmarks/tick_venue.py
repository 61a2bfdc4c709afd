"""The venue of tick_to_order.py: blocking sockets and threads, so that nearly all of the time measured is the client's.

Answers come from the simulated venue's core (engine/sim); ticks are written straight to the market stream's socket, one
at a time, when the client is at rest. Stamps: before a tick is sent, and when the whole order request is in hand. As
bare_tick_to_order.py, with enough of the protocol that a whole session runs against it.
"""

import base64
import hashlib
import json
import socket
import struct
import sys
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

from engine.live.venue_main import DEMO_KEY, DEMO_SECRET
from engine.sim.feeds.sim_market import DepthSnapshot, QuietMarket
from engine.sim.sim_venue import SimVenue
from engine.sim.units import units
from engine.sim.venue_config import AccountConfig, VenueConfig
from engine.sim.wire import HttpRequest

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
UPDATE_ID = 1_000
STREAM_DEPTH, STREAM_QUOTE = "btcusdt@depth@100ms", "btcusdt@bookTicker"
QUIET_NS = 50_000
ORDER_SECONDS_MAX = 2.0
REST_NS_MAX = 10_000_000_000
clock = time.perf_counter_ns


class TickVenue:
    def __init__(self, seen: Any, waiting: Any) -> None:
        book = DepthSnapshot(UPDATE_ID, [(units("42000"), units("5"))], [(units("42001"), units("5"))])
        config = VenueConfig(
            accounts=(AccountConfig(api_key=DEMO_KEY, secret=DEMO_SECRET, balances={"USDT": "1000000", "BTC": "10"}),),
            weight_max=10**9,
            orders_10s_max=10**9,
            orders_day_max=10**9,
        )
        self._venue = SimVenue(config, QuietMarket({"BTCUSDT": book}, start_ns=time.time_ns()))
        self._lock = threading.Lock()
        self._sockets: dict[int, socket.socket] = {}  # websockets
        self._answers: dict[int, Any] = {}
        self._connections = 0
        self._market: socket.socket | None = None
        self._seen, self._waiting = seen, waiting  # reported by the client: stream messages read, requests unanswered
        self._sent_messages = 0
        self._order_came = threading.Semaphore(0)
        self.order_ns = 0
        self._diff = UPDATE_ID

    def serve(self, listener: socket.socket) -> None:
        while True:
            threading.Thread(target=self._connection, args=(listener.accept()[0],), daemon=True).start()

    def _id(self) -> int:
        self._connections += 1
        return self._connections

    # ---- connections

    def _connection(self, conn: socket.socket) -> None:
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        buffer = b""
        while True:
            while (end := buffer.find(b"\r\n\r\n")) < 0:
                if not (chunk := conn.recv(65_536)):
                    return
                buffer += chunk
            head = buffer[:end]
            lower = head.lower()
            size = int(lower.split(b"content-length:")[1].split(b"\r\n")[0]) if b"content-length:" in lower else 0
            while len(buffer) < end + 4 + size:
                buffer += conn.recv(65_536)
            if head.startswith(b"POST /api/v3/order"):
                self.order_ns = clock()
            body, buffer = buffer[end + 4 : end + 4 + size], buffer[end + 4 + size :]
            first, *rest = head.decode("latin-1").split("\r\n")
            method, target, _ = first.split(" ")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
            if "sec-websocket-key" in headers:
                self._websocket(conn, target, headers["sec-websocket-key"], buffer)
                return
            path, _, query = target.partition("?")
            self._http(conn, HttpRequest(method=method, path=path, query=query.encode(), body=body, headers=headers))

    def _http(self, conn: socket.socket, request: HttpRequest) -> None:
        with self._lock:
            conn_id = self._id()
            self._venue.http(conn_id, request, time.time_ns())
            self._advance()
            answer = self._answers.pop(conn_id)
            lines = [f"HTTP/1.1 {answer.status} OK", *(f"{name}: {value}" for name, value in answer.headers)]
            head = "\r\n".join([*lines, f"Content-Length: {len(answer.body)}", "", ""]).encode()
            conn.sendall(head + answer.body)
        if request.method == "POST":
            self._order_came.release()

    def _websocket(self, conn: socket.socket, target: str, key: str, buffer: bytes) -> None:
        accept = base64.b64encode(hashlib.sha1(key.encode() + GUID).digest())
        conn.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
            + accept
            + b"\r\n\r\n"
        )
        with self._lock:
            conn_id = self._id()
            self._venue.connect(conn_id, target, time.time_ns())
            self._sockets[conn_id] = conn
            if target.startswith("/stream"):
                self._market = conn
        while True:
            while len(buffer) < 6 or len(buffer) < _whole(buffer):
                if not (chunk := conn.recv(65_536)):
                    return
                buffer += chunk
            whole = _whole(buffer)
            opcode, data = buffer[0] & 15, _unmasked(buffer, whole)
            buffer = buffer[whole:]
            if opcode == 8:
                conn.sendall(b"\x88\x02\x03\xe8")
                return
            if opcode == 1:
                with self._lock:
                    self._venue.frame(conn_id, data, time.time_ns())
                    self._advance()

    def _advance(self) -> None:
        for item in self._venue.advance(time.time_ns()):
            if item.answer is not None:
                self._answers[item.conn_id] = item.answer
            elif item.frame is not None and item.conn_id in self._sockets:
                self._send(self._sockets[item.conn_id], item.frame)

    def _send(self, conn: socket.socket, payload: bytes) -> None:
        self._sent_messages += 1
        conn.sendall(_frame(payload))

    # ---- ticks

    def make_book(self) -> None:
        """The diff that the client's snapshot will join, and a first quote: without both it does not trade."""
        while self._market is None:
            time.sleep(0.01)
        self._diff += 1
        data = {
            "e": "depthUpdate",
            "E": 1,
            "s": "BTCUSDT",
            "U": self._diff,
            "u": self._diff,
            "b": [["41000.00", "1.0"]],
            "a": [],
        }
        with self._lock:
            self._send(self._market, _message(STREAM_DEPTH, data))
            self._send(self._market, _message(STREAM_QUOTE, self._quote(0)))

    def _quote(self, number: int) -> dict[str, Any]:
        bid = f"42000.{number % 90 + 10}000000"
        return {
            "u": self._diff + number,
            "s": "BTCUSDT",
            "b": bid,
            "B": "1.00000000",
            "a": "42002.00000000",
            "A": "1.00000000",
        }

    def tick(self, number: int) -> tuple[int, int]:
        """Sends one, waits for its order and until the client is at rest. When it was sent, when the order was in hand."""
        assert self._market is not None, "make_book comes first"
        frame = _frame(_message(STREAM_QUOTE, self._quote(number)))
        self._sent_messages += 1
        while self._order_came.acquire(blocking=False):
            pass  # an order that no tick led to, such as one at the start of trading, is not this tick's
        sent_ns = clock()
        self._market.sendall(frame)
        if not self._order_came.acquire(timeout=ORDER_SECONDS_MAX):
            raise SystemExit(f"tick {number} led to no order within {ORDER_SECONDS_MAX} s")
        while self._waiting.value or self._seen.value < self._sent_messages:
            # spin until the client has taken all: ticks never overlap
            if clock() - sent_ns > REST_NS_MAX:
                raise SystemExit(f"after tick {number} the client was not at rest within {REST_NS_MAX // 10**9} s")
        quiet_ns = clock() + QUIET_NS
        while clock() < quiet_ns:
            pass  # and is back in its poll
        return sent_ns, self.order_ns


def _whole(buffer: bytes) -> int:
    """Bytes of the client's frame at the start: masked, and short of 64 KiB."""
    size = buffer[1] & 127
    return 6 + size if size < 126 else 8 + struct.unpack("!H", buffer[2:4])[0]


def _unmasked(buffer: bytes, whole: int) -> bytes:
    start = 6 if buffer[1] & 127 < 126 else 8
    mask = buffer[start - 4 : start]
    return bytes(byte ^ mask[n % 4] for n, byte in enumerate(buffer[start:whole]))


def _frame(payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    return (b"\x81\x7e" + struct.pack("!H", size) if size < 65_536 else b"\x81\x7f" + struct.pack("!Q", size)) + payload


def _message(stream: str, data: dict[str, Any]) -> bytes:
    return json.dumps({"stream": stream, "data": data}, separators=(",", ":")).encode()


def main(pipe: Connection, seen: Any, waiting: Any, *, ticks: int, warmup: int, gap_us: int) -> None:
    """Run the child process: send its port, tick on command, and return the stamps."""
    sys.setswitchinterval(0.0005)  # the spinning thread must not hold up the others
    listener = socket.create_server(("127.0.0.1", 0))
    venue = TickVenue(seen, waiting)
    threading.Thread(target=venue.serve, args=(listener,), daemon=True).start()
    pipe.send(listener.getsockname()[1])
    venue.make_book()
    pipe.recv()  # the client trades
    stamps = []
    for number in range(1, warmup + ticks + 1):
        if gap_us:
            time.sleep(gap_us / 1e6)
        stamps.append(venue.tick(number))
    pipe.send(stamps[warmup:])
    pipe.recv()
