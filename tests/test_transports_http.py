"""The contract of an HTTP transport, run over both profiles against a server of raw bytes on loopback.

Each request has exactly one end, and the end never claims more than is known. Each test asserts that its fault struck.
"""

import gzip
import ssl
import tracemalloc
import zlib

import pytest
import trio
import trio.testing
import trustme
from transport_server import Peer, answer, contexts, serve

from engine.live.clock import SessionClock
from engine.live.transport.http_result import HttpResult, HttpSender
from engine.live.transport.selection import TransportProfile, make_sender
from engine.venues.binance_spot import BinanceSpot
from engine.venues.signing import HttpMessage

MIB = 1024 * 1024
SECONDS_MAX = 60.0
GET = HttpMessage("GET", "/api/v3/time?x=1", (("X-KEY", "abc"),))
POST = HttpMessage("POST", "/api/v3/order", (("Content-Type", "application/x-www-form-urlencoded"),), b"symbol=A")
CLOCK = SessionClock.wall()


@pytest.fixture(params=list(TransportProfile))
def profile(request: pytest.FixtureRequest) -> TransportProfile:
    return request.param


async def send(sender: HttpSender, message: HttpMessage = GET, timeout_s: float = SECONDS_MAX) -> HttpResult:
    with trio.fail_after(SECONDS_MAX + 1):
        return await sender.send(message, timeout_s=timeout_s, clock=CLOCK)


async def send_once(profile: TransportProfile, url: str, message: HttpMessage = GET) -> HttpResult:
    sender = make_sender(profile, url, body_bytes_max=MIB)
    try:
        return await send(sender, message)
    finally:
        await sender.close()


async def test_a_request_goes_out_whole_and_its_answer_comes_back(
    profile: TransportProfile, nursery: trio.Nursery
) -> None:
    requests: list[bytes] = []

    async def handler(peer: Peer) -> None:
        while head := await peer.head():
            requests.append(head + b"|" + await peer.receive(8 if head.startswith(b"POST") else 0))
            await peer.send(answer(b'{"ok":1}', "Retry-After: 7", "X-MBX-USED-WEIGHT-1M: 5", "Date: today"))

    server = await serve(nursery, handler)
    sender = make_sender(profile, server.http, kept_headers=BinanceSpot.kept_headers)
    for message in (GET, POST, GET):
        got = await send(sender, message)
        assert (got.outcome, got.status, got.body, got.error) == ("answer", 200, b'{"ok":1}', "")
        assert got.headers == {"retry-after": "7", "x-mbx-used-weight-1m": "5"}
    await sender.close()
    assert server.connections == 1  # it was used three times
    first, second, _ = requests
    assert first.startswith(b"GET /api/v3/time?x=1 HTTP/1.1\r\n")
    assert b"x-key: abc" in first.lower()
    assert b"accept-encoding: identity" in first.lower()
    assert second.startswith(b"POST /api/v3/order HTTP/1.1\r\n")
    assert b"content-length: 8" in second.lower()
    assert second.endswith(b"|symbol=A")


async def test_a_redirect_is_an_answer_and_not_followed(profile: TransportProfile, nursery: trio.Nursery) -> None:
    async def elsewhere(peer: Peer) -> None:
        await peer.send(answer(b"here"))

    other = await serve(nursery, elsewhere)
    paths = []

    async def handler(peer: Peer) -> None:
        while head := await peer.head():
            paths.append(head.split()[1])
            await peer.send(answer(b"", f"Location: {other.http}/", status="307 Temporary Redirect"))

    server = await serve(nursery, handler)
    assert (await send_once(profile, server.http, POST)).status == 307
    assert paths == [b"/api/v3/order"]
    assert other.connections == 0


async def test_a_cookie_is_not_kept(profile: TransportProfile, nursery: trio.Nursery) -> None:
    heads = []

    async def handler(peer: Peer) -> None:
        while head := await peer.head():
            heads.append(head.lower())
            await peer.send(answer(b"{}", "Set-Cookie: session=tracked; Path=/"))

    sender = make_sender(profile, (await serve(nursery, handler)).http)
    results = [await send(sender) for _ in range(2)]
    await sender.close()
    assert len(heads) == 2
    assert not any(b"cookie" in head for head in heads)
    assert all("cookie" not in str(result.headers) for result in results)


# ---- bodies --------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_compressed_answer_is_read(profile: TransportProfile, nursery: trio.Nursery, encoding: str) -> None:
    """A proxy may compress without being requested to."""
    body = b'{"serverTime":1}' * 1_000
    packed = gzip.compress(body) if encoding == "gzip" else zlib.compress(body)

    async def handler(peer: Peer) -> None:
        await peer.head()
        await peer.send(answer(packed, f"Content-Encoding: {encoding}"))

    got = await send_once(profile, (await serve(nursery, handler)).http)
    assert (got.outcome, got.body) == ("answer", body)


@pytest.mark.parametrize(
    ("packed", "encoding", "reason"),
    [
        (gzip.compress(b"x" * 100, mtime=0)[:-9], "gzip", "the answer cannot be decompressed: it is cut off"),
        (b"not gzip", "gzip", "the answer cannot be decompressed: Error"),
        (b"anything", "br", "the answer is compressed with br, which we did not ask for"),
    ],
)
async def test_a_body_that_cannot_be_decompressed_leaves_the_request_unknown(
    profile: TransportProfile, nursery: trio.Nursery, packed: bytes, encoding: str, reason: str
) -> None:
    async def handler(peer: Peer) -> None:
        await peer.head()
        await peer.send(answer(packed, f"Content-Encoding: {encoding}"))

    got = await send_once(profile, (await serve(nursery, handler)).http, POST)
    assert got.outcome == "cut"
    assert got.error.startswith(reason)


@pytest.mark.parametrize("kind", ["gzip bomb", "announced", "endless", "chunked"])
async def test_a_body_above_the_limit_is_refused_without_filling_memory(
    profile: TransportProfile, nursery: trio.Nursery, kind: str
) -> None:
    block = b"x" * 65_536
    bomb = gzip.compress(b"x" * (64 * MIB)) if kind == "gzip bomb" else b""
    saw_end: list[bool] = []
    sent = 0

    async def handler(peer: Peer) -> None:
        nonlocal sent
        await peer.head()
        try:
            match kind:
                case "gzip bomb":
                    await peer.send(answer(bomb, "Content-Encoding: gzip"))
                case "announced":
                    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
                case "endless":
                    await peer.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
                case _:
                    await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while kind != "gzip bomb" and sent < 64 * MIB:
                await peer.send(b"10000\r\n" + block + b"\r\n" if kind == "chunked" else block)
                sent += len(block)
            await peer.gone()
        finally:
            saw_end.append(True)

    server = await serve(nursery, handler)
    tracemalloc.start()
    try:
        got = await send_once(profile, server.http, POST)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (got.outcome, got.error) == ("cut", f"the answer is longer than {MIB} bytes")
    assert peak < 8 * MIB
    await trio.testing.wait_all_tasks_blocked()
    assert saw_end == [True]  # the connection was closed: nothing more of it is read


# ---- the ends of a connection --------------------------------------------------------------------


async def test_no_connection_means_not_sent(profile: TransportProfile) -> None:
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    got = await send_once(profile, f"http://127.0.0.1:{port}", POST)
    assert got.outcome == "not_sent"
    assert got.error


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
        b"SSH-2.0-OpenSSH_9\r\n\r\n",
    ],
)
@pytest.mark.parametrize("how", ["closed", "reset"])
async def test_a_connection_cut_before_the_answer_is_whole_leaves_the_request_unknown(
    profile: TransportProfile, nursery: trio.Nursery, sent: bytes, how: str
) -> None:
    requests = []

    async def handler(peer: Peer) -> None:
        requests.append(await peer.head() + await peer.receive(8))
        await peer.send(sent)
        if how == "reset":
            assert isinstance(peer.stream, trio.SocketStream)
            peer.stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    got = await send_once(profile, (await serve(nursery, handler)).http, POST)
    assert (got.outcome, got.status, got.body) == ("cut", 0, b"")
    assert got.error
    assert len(requests) == 1  # it had arrived: an order may live


async def test_a_connection_cut_after_the_answer_costs_nothing(
    profile: TransportProfile, nursery: trio.Nursery
) -> None:
    """The next request finds the idle connection closed, and opens another."""
    closed = []

    async def handler(peer: Peer) -> None:
        await peer.head()
        await peer.send(answer(b"{}"))
        await trio.aclose_forcefully(peer.stream)
        closed.append(True)

    server = await serve(nursery, handler)
    sender = make_sender(profile, server.http)
    for number in range(1, 4):
        assert (await send(sender)).outcome == "answer"
        await trio.testing.wait_all_tasks_blocked()
        assert closed == [True] * number
    await sender.close()
    assert server.connections == 3


@pytest.mark.parametrize("uses_tls", [False, True])
async def test_bytes_after_an_answer_are_not_the_answer_of_the_next_request(
    profile: TransportProfile, nursery: trio.Nursery, *, uses_tls: bool
) -> None:
    """An unsolicited second answer would make an order out of another one's reply. Over TLS it is its own record."""
    number = 0

    async def handler(peer: Peer) -> None:
        nonlocal number
        while await peer.head():
            number += 1
            answers = answer(b"right %d" % number), answer(b"wrong")
            await (send_as_records(peer, *answers) if uses_tls else peer.send(b"".join(answers)))

    ours, theirs = contexts() if uses_tls else (None, None)
    sender = make_sender(profile, (await serve(nursery, handler, theirs)).http, ours)
    bodies = [(await send(sender)).body for _ in range(3)]
    await sender.close()
    assert bodies == [b"right 1", b"right 2", b"right 3"]


async def send_as_records(peer: Peer, *parts: bytes) -> None:
    """Send each part as a record of TLS, all as one packet."""
    assert isinstance(peer.stream, trio.SSLStream)
    plain, kept = peer.stream.transport_stream, trio.testing.MemorySendStream()
    peer.stream.transport_stream = trio.StapledStream(kept, plain)
    for part in parts:
        await peer.send(part)
    peer.stream.transport_stream = plain
    await plain.send_all(kept.get_data_nowait())


async def test_a_late_answer_is_a_timeout(profile: TransportProfile, nursery: trio.Nursery) -> None:
    """And not the answer of the next request."""
    requests = []

    async def handler(peer: Peer) -> None:
        requests.append(await peer.head())
        if len(requests) == 1:
            await peer.gone()
        else:
            await peer.send(answer(b"second"))

    sender = make_sender(profile, (await serve(nursery, handler)).http)
    late = await send(sender, timeout_s=0.1)
    assert late.outcome == "timeout"
    assert len(requests) == 1
    assert (await send(sender)).body == b"second"
    await sender.close()


async def test_cancellation_closes_the_connection(profile: TransportProfile, nursery: trio.Nursery) -> None:
    saw_end: list[bool] = []

    async def handler(peer: Peer) -> None:
        await peer.head()
        saw_end.append(await peer.gone())

    sender = make_sender(profile, (await serve(nursery, handler)).http)
    await trio.testing.wait_all_tasks_blocked()
    tasks = trio.lowlevel.current_statistics().tasks_living
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as requests:
            requests.start_soon(send, sender)
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
    await trio.testing.wait_all_tasks_blocked()
    assert scope.cancelled_caught
    assert saw_end == [True]
    assert trio.lowlevel.current_statistics().tasks_living == tasks
    await sender.close()


async def test_many_requests_at_once_each_have_their_own_answer(
    profile: TransportProfile, nursery: trio.Nursery
) -> None:
    async def handler(peer: Peer) -> None:
        while head := await peer.head():
            await peer.send(answer(head.split()[1]))

    server = await serve(nursery, handler)
    sender = make_sender(profile, server.http)
    bodies: dict[int, bytes] = {}

    async def one(number: int) -> None:
        bodies[number] = (await send(sender, HttpMessage("GET", f"/{number}", ()))).body

    async with trio.open_nursery() as requests:
        for number in range(16):
            requests.start_soon(one, number)
    await sender.close()
    assert bodies == {number: b"/%d" % number for number in range(16)}
    assert server.connections > 1


@pytest.mark.parametrize("names", ["127.0.0.1", "venue.example", "unknown authority"])
async def test_tls_is_verified(profile: TransportProfile, nursery: trio.Nursery, names: str) -> None:
    authority, ours, theirs = trustme.CA(), ssl.create_default_context(), ssl.create_default_context()
    authority.configure_trust(ours)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1" if names == "unknown authority" else names).configure_cert(context)
    requests = []

    async def handler(peer: Peer) -> None:
        while head := await peer.head():
            requests.append(head)
            await peer.send(answer(b"over TLS"))

    server = await serve(nursery, handler, context)
    sender = make_sender(profile, server.http, theirs if names == "unknown authority" else ours)
    got = await send(sender, POST)
    await sender.close()
    if names == "127.0.0.1":
        assert (got.outcome, got.body) == ("answer", b"over TLS")
        return
    assert got.outcome == "not_sent"
    assert "certificate verify failed" in got.error
    assert (server.connections, requests) == (1, [])
