"""The venue in its own process: started, used over real sockets, ended."""

import hashlib
import hmac
import json
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from warm_processes import VENUE, WarmProcess, run
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from engine.live.venue_main import DEMO_KEY, DEMO_SECRET, VenueOptions, VenueStartError, build

Start = Callable[..., tuple[subprocess.Popen[bytes], dict[str, Any]]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a venue with these options; returns the process and its ready line."""
    running = []

    def starter(**options: Any) -> tuple[subprocess.Popen[bytes], dict[str, Any]]:
        process = WarmProcess([*VENUE, json.dumps(options)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        running.append(process)
        ready = process.stdout.readline()
        assert ready, process.stderr.read()
        return process, json.loads(ready)

    yield starter
    for process in running:
        process.terminate()
        process.wait(60)
        process.stdout.close()
        process.stderr.close()


def signed(query: str, now_ms: int) -> str:
    query = f"{query}&timestamp={now_ms}".lstrip("&")
    return f"{query}&signature={hmac.new(DEMO_SECRET.encode(), query.encode(), hashlib.sha256).hexdigest()}"


def read_to_the_end(market: ClientConnection) -> None:
    while True:
        market.recv(timeout=60)


def websocket_address(ready: dict[str, Any], path: str) -> str:
    return ready["listening"].replace("http", "ws", 1) + path


def test_trading_over_loopback(start: Start) -> None:
    _, ready = start(symbols=["BTCUSDT"])
    with (
        httpx.Client(base_url=ready["listening"], headers={"X-MBX-APIKEY": DEMO_KEY}) as http,
        connect(websocket_address(ready, "/ws-api/v3"), compression=None) as private,
        connect(websocket_address(ready, "/stream?streams=btcusdt@bookTicker/btcusdt@depth@100ms")) as market,
    ):
        now_ms = http.get("/api/v3/time").json()["serverTime"]
        payload = f"apiKey={DEMO_KEY}&timestamp={now_ms}"
        signature = hmac.new(DEMO_SECRET.encode(), payload.encode(), hashlib.sha256).hexdigest()
        params = {"apiKey": DEMO_KEY, "timestamp": now_ms, "signature": signature}
        private.send(json.dumps({"id": "a", "method": "userDataStream.subscribe.signature", "params": params}))
        assert json.loads(private.recv(timeout=60))["result"] == {"subscriptionId": 0}
        order = signed("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.001&newClientOrderId=one", now_ms)
        answer = http.post(f"/api/v3/order?{order}")
        assert (answer.status_code, answer.json()["status"]) == (200, "FILLED")
        assert answer.headers["x-mbx-used-weight-1m"].isdigit()
        told = [json.loads(private.recv(timeout=60))["event"] for _ in range(3)]
        assert [event["e"] for event in told] == ["executionReport", "executionReport", "outboundAccountPosition"]
        by_form = signed("symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.001&price=50000", now_ms)
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        assert http.post("/api/v3/order", content=by_form, headers=form).json()["status"] == "NEW"
        assert len(http.request("DELETE", f"/api/v3/openOrders?{signed('symbol=BTCUSDT', now_ms)}").json()) == 1
        streams = {json.loads(market.recv(timeout=60))["stream"] for _ in range(50)}
        assert streams == {"btcusdt@bookTicker", "btcusdt@depth@100ms"}
        assert len(http.get("/sim/state").json()["fills"]) == 1


@pytest.mark.slow
def test_a_capture_over_the_socket_is_byte_for_byte(start: Start, shared_data: Path) -> None:
    capture = shared_data / "captures" / "binance" / "spot_ethusdt_20240808.gz"
    _, ready = start(capture=str(capture), speed=600.0, lead_seconds=0.2)
    lines = build(VenueOptions(capture=capture))[0].feed.market
    streams = "/".join(f"ethusdt@{kind}" for kind in ("trade", "bookTicker", "depth@100ms"))
    with connect(websocket_address(ready, f"/stream?streams={streams}"), max_queue=None, compression=None) as market:
        frames = [market.recv(timeout=60, decode=False)]
        snapshot = httpx.get(ready["listening"] + "/api/v3/depth?symbol=ETHUSDT&limit=5000", timeout=60)
        while len(frames) < 33_617:
            frames.append(market.recv(timeout=60, decode=False))
    wanted = [lines.next_line() for _ in range(33_618)]
    assert snapshot.content == next(line.payload for line in wanted if not line.stream)
    assert frames == [line.payload for line in wanted if line.stream]
    status = httpx.get(ready["listening"] + "/sim/status").json()
    assert status["feed"]["finished"]
    assert status["feed"]["held_ns"] > 0


def test_faults_on_real_sockets(start: Start) -> None:
    _, ready = start(symbols=["BTCUSDT"])
    with httpx.Client(base_url=ready["listening"], headers={"X-MBX-APIKEY": DEMO_KEY}) as http:
        now_ms = http.get("/api/v3/time").json()["serverTime"]
        http.post("/sim/faults", json={"action": "cut_answer", "path": "/api/v3/order"})
        order = signed(
            "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.001&price=50000&newClientOrderId=lost",
            now_ms,
        )
        with pytest.raises(httpx.RemoteProtocolError):
            http.post(f"/api/v3/order?{order}")
        found = http.get(f"/api/v3/order?{signed('symbol=BTCUSDT&origClientOrderId=lost', now_ms)}")
        assert found.json()["status"] == "NEW"
        http.post("/sim/faults", json={"action": "delay_answer", "path": "/api/v3/ping", "ms": 300})
        began = time.monotonic()
        http.get("/api/v3/ping")
        assert time.monotonic() - began > 0.29
        with connect(websocket_address(ready, "/ws/btcusdt@trade")) as market:
            http.post("/sim/faults", json={"action": "disconnect", "target": "market"})
            with pytest.raises(ConnectionClosed):
                read_to_the_end(market)
        assert [fault["struck"] for fault in http.get("/sim/faults").json()] == [1, 1, 1]


def test_the_clock_is_the_one_the_ready_line_tells(start: Start) -> None:
    _, ready = start(speed=10.0, symbols=["BTCUSDT"])
    before_ns = time.monotonic_ns()
    server_ns = httpx.get(ready["listening"] + "/api/v3/time").json()["serverTime"] * 1_000_000
    since_ns = (server_ns - ready["session_origin_ns"]) / ready["speed"] + ready["monotonic_origin_ns"]
    assert before_ns - 1_000_000 <= since_ns <= time.monotonic_ns()


def test_a_connection_is_kept_between_requests_and_pings_are_answered(start: Start) -> None:
    _, ready = start(symbols=["BTCUSDT"])
    with httpx.Client(base_url=ready["listening"]) as http:
        ports = {http.get("/api/v3/ping").extensions["network_stream"].get_extra_info("client_addr") for _ in range(3)}
        assert len(ports) == 1
    with connect(websocket_address(ready, "/ws/btcusdt@trade")) as market:
        assert market.ping().wait(timeout=60)
    with pytest.raises(InvalidStatus, match="404"):
        connect(websocket_address(ready, "/nowhere"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_venue_ends_cleanly(start: Start, number: signal.Signals) -> None:
    process, ready = start(symbols=["BTCUSDT"])
    with connect(websocket_address(ready, "/ws/btcusdt@bookTicker")) as market:
        market.recv(timeout=60)
        process.send_signal(number)
        with pytest.raises(ConnectionClosed) as closed:
            read_to_the_end(market)
        assert closed.value.rcvd.code == 1001
    assert process.wait(60) == 0
    assert process.stderr.read() == b""


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"capture": "/nowhere/x.gz"}, "cannot read the capture /nowhere/x.gz: No such file or directory"),
        ({"capture": __file__}, "cannot be played: line 1 is not"),
        ({"speed": -1.0}, "speed must be above 0"),
        ({"symbols": ["NOPE"]}, "cannot separate base from quote in symbol 'NOPE'"),
        ({"prot": 1}, "prot"),
    ],
)
def test_what_cannot_be_started_says_why_in_one_line(options: dict[str, Any], told: str) -> None:
    ended = run([*VENUE, json.dumps(options)], timeout=60)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert told in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_port_in_use(start: Start) -> None:
    _, ready = start()
    port = int(ready["listening"].rpartition(":")[2])
    ended = run([*VENUE, json.dumps({"port": port})], timeout=60)
    assert ended.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}: " in ended.stderr


def test_problems_are_exceptions_of_their_own() -> None:
    with pytest.raises(VenueStartError):
        build(VenueOptions(speed=0))


def test_a_websocket_may_open_on_a_connection_that_has_carried_requests(start: Start) -> None:
    """As aiohttp does, and with it ccxt.pro."""
    _, ready = start(symbols=["BTCUSDT"])
    address = ready["listening"].removeprefix("http://")
    host, _, port = address.partition(":")
    with socket.create_connection((host, int(port)), timeout=60) as used:
        used.sendall(f"GET /api/v3/ping HTTP/1.1\r\nHost: {address}\r\n\r\n".encode())
        assert used.recv(65_536).endswith(b"{}")
        used.sendall(
            f"GET /ws/btcusdt@bookTicker HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        assert used.recv(65_536).startswith(b"HTTP/1.1 101 ")
        assert used.recv(65_536)[0] == 0x81  # a text frame


def test_the_venues_own_pages_are_for_loopback_only(start: Start) -> None:
    _, ready = start(host="0.0.0.0", symbols=["BTCUSDT"])
    port = ready["listening"].rpartition(":")[2]
    outside = socket.gethostbyname(socket.gethostname())
    if outside.startswith("127."):
        pytest.skip("this machine has no address but loopback")
    assert httpx.get(f"http://{outside}:{port}/sim/state").status_code == 403
    assert httpx.get(f"http://{outside}:{port}/api/v3/ping").status_code == 200
    assert httpx.get(f"http://127.0.0.1:{port}/sim/state").status_code == 200
