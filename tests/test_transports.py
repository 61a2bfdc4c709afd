"""The contract of a websocket transport, run over both profiles against a server of raw bytes on loopback.

Each test also asserts that its fault struck. The contract of HTTP is in test_transports_http.py.
"""

import random
import ssl
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
import trustme
from hypothesis import given
from hypothesis import strategies as st
from transport_server import CLOSE, CONTINUATION, PING, PONG, TEXT, Peer, accepted, answer, closing, frame, serve

from engine.bodies import RequestBody
from engine.live.clock import SessionClock
from engine.live.ingress import Ingress, LinkDown
from engine.live.link_tasks import LinkLimits, LinkTasks
from engine.live.transport.frame_splitter import FrameSplitter
from engine.live.transport.selection import TransportProfile, open_websocket
from engine.live.transport.websocket import HandshakeRefusedError, Websocket, WebsocketClosedError, WebsocketLimits
from engine.requests import LinkPlan, LinkRole, Purpose
from engine.session_record import SECOND_NS, VenueSettings

SECONDS_MAX = 60.0  # of any wait in here; far above what it takes
MIB = 1024 * 1024
SOURCE = "venue.market.0"
QUICK = WebsocketLimits(close_seconds_max=0.2)
CONNECT = RequestBody(
    purpose=Purpose.CONNECT,
    venue="venue",
    mutates=False,
    expires_ns=0,
    timeout_ns=5 * SECOND_NS,
    link=LinkPlan(source=SOURCE, role=LinkRole.MARKET, path="/stream"),
    source=SOURCE,
)


@pytest.fixture(params=list(TransportProfile))
def profile(request: pytest.FixtureRequest) -> TransportProfile:
    return request.param


@contextmanager
def nothing_left() -> Iterator[None]:
    """Assert that the block leaves no socket and no task, those of servers aside: they must be gone, too."""
    sockets, tasks = open_sockets(), trio.lowlevel.current_statistics().tasks_living
    yield
    assert open_sockets() == sockets
    assert trio.lowlevel.current_statistics().tasks_living == tasks


def open_sockets() -> int:
    links = [link.readlink().name for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return sum(name.startswith("socket:") for name in links)


async def read_until_closed(websocket: Websocket, messages: list[bytes] | None = None) -> str:
    """Read until the end, and return its reason."""

    def deliver(_recv_ns: int, received: list[bytes]) -> bool:
        if messages is not None:
            messages.extend(received)
        return True

    with trio.fail_after(SECONDS_MAX), pytest.raises(WebsocketClosedError) as ended:
        await websocket.read(deliver)
    return str(ended.value)


async def read_some(websocket: Websocket, count: int) -> list[bytes]:
    """Read until that many messages came, and leave the connection open."""
    messages: list[bytes] = []
    with trio.fail_after(SECONDS_MAX), trio.CancelScope() as enough:

        def deliver(_recv_ns: int, received: list[bytes]) -> bool:
            messages.extend(received)
            if len(messages) >= count:
                enough.cancel()
            return True

        await websocket.read(deliver)
    return messages


def link_tasks(port: int, ingress: Ingress, profile: TransportProfile, limits: LinkLimits) -> LinkTasks:
    address = f"ws://127.0.0.1:{port}"
    venues = {"venue": VenueSettings(name="venue", rest="http://nowhere", stream=address, private=address)}
    return LinkTasks(venues, ingress, SessionClock.wall(), profiles={"venue": profile}, limits=limits)


def down_of(ingress: Ingress) -> LinkDown:
    """Return the only LINK down of an ingress queue. It is the last item."""
    items = []
    while (item := ingress.next()) is not None:
        items.append(item)
    [down] = [item for item in items if isinstance(item, LinkDown)]
    assert items[-1] is down
    return down


# ---- messages ------------------------------------------------------------------------------------


async def test_messages_come_whole_and_in_order(profile: TransportProfile, nursery: trio.Nursery) -> None:
    """Also those that came with the handshake's answer, of each size of header, and cut anywhere."""
    sizes = (0, 1, 125, 126, 65_535, 65_536, 300_000)
    wanted = [b"first", *(bytes([65 + at]) * size for at, size in enumerate(sizes))]
    stream = b"".join(frame(TEXT, message) for message in wanted[1:])

    async def handler(peer: Peer) -> None:
        await peer.accept(after=frame(TEXT, wanted[0]))
        for start in range(0, 300, 1):
            await peer.send(stream[start : start + 1])
        await peer.send(stream[300:])
        await peer.gone()

    websocket = await open_websocket(profile, (await serve(nursery, handler)).ws, limits=QUICK)
    assert await read_some(websocket, len(wanted)) == wanted
    await websocket.close()


async def test_fragments_become_one_message_with_pings_between_them(
    profile: TransportProfile, nursery: trio.Nursery
) -> None:
    pongs = []

    async def handler(peer: Peer) -> None:
        await peer.accept()
        await peer.send(frame(TEXT, b"one ", is_final=False) + frame(PING, b"between"))
        pongs.append(await peer.frame_of(PONG))
        await peer.send(frame(CONTINUATION, b"", is_final=False) + frame(CONTINUATION, b"message"))
        await peer.send(frame(TEXT, b"another"))
        await peer.gone()

    websocket = await open_websocket(profile, (await serve(nursery, handler)).ws, limits=QUICK)
    assert await read_some(websocket, 2) == [b"one message", b"another"]
    await websocket.close()
    assert pongs == [b"between"]


async def test_a_message_is_stamped_after_its_socket_read_and_before_its_delivery(
    profile: TransportProfile, nursery: trio.Nursery
) -> None:
    sent_ns: list[int] = []
    stamps: list[tuple[int, int]] = []

    async def handler(peer: Peer) -> None:
        await peer.accept()
        for number in range(20):
            sent_ns.append(time.time_ns())
            await peer.send(frame(TEXT, b"%d" % number) * 3)  # one read: one stamp
            await peer.frame_of(TEXT)

    websocket = await open_websocket(profile, (await serve(nursery, handler)).ws, limits=QUICK)

    def deliver(recv_ns: int, messages: list[bytes]) -> bool:
        stamps.append((recv_ns, time.time_ns()))
        assert len(messages) == 3
        nursery.start_soon(websocket.send, b"next")
        return True

    assert await read_stamps(websocket, deliver)
    await websocket.close()
    assert len(stamps) == 20
    for sent, (received, delivered) in zip(sent_ns, stamps, strict=True):
        assert sent <= received <= delivered


async def read_stamps(websocket: Websocket, deliver: Callable[[int, list[bytes]], bool]) -> str:
    with trio.fail_after(SECONDS_MAX), pytest.raises(WebsocketClosedError) as ended:
        await websocket.read(deliver)
    return str(ended.value)


async def test_a_later_reader_continues_without_a_loss(profile: TransportProfile, nursery: trio.Nursery) -> None:
    """As when a recording hands its connections to the next session."""

    async def handler(peer: Peer) -> None:
        await peer.accept()
        for number in range(5_000):
            await peer.send(frame(TEXT, b"%d" % number))
        await peer.gone()

    websocket = await open_websocket(profile, (await serve(nursery, handler)).ws, limits=QUICK)
    messages: list[bytes] = []
    readers = 0
    while len(messages) < 5_000:
        messages += await read_some(websocket, 1)
        readers += 1
        await trio.testing.wait_all_tasks_blocked()  # more comes in the meantime
    await websocket.close()
    assert messages == [b"%d" % number for number in range(5_000)]
    assert readers > 1


async def test_a_full_queue_ends_the_connection(profile: TransportProfile, nursery: trio.Nursery) -> None:
    async def handler(peer: Peer) -> None:
        await peer.accept(after=frame(TEXT, b"too much"))
        await peer.gone()

    websocket = await open_websocket(profile, (await serve(nursery, handler)).ws, limits=QUICK)
    with pytest.raises(WebsocketClosedError, match="the queue of arrivals is full"):
        await websocket.read(lambda _recv_ns, _messages: False)
    await websocket.close()


# ---- pings and silence ---------------------------------------------------------------------------


async def test_pings_are_answered_while_the_sequencer_is_stopped(
    profile: TransportProfile, nursery: trio.Nursery
) -> None:
    pongs = []

    async def handler(peer: Peer) -> None:
        await peer.accept()
        for number in range(50):
            await peer.send(frame(TEXT, b"x" * 1_000) * 100 + frame(PING, b"%d" % number))
            pongs.append(await peer.frame_of(PONG))
        await peer.send(closing(1001))
        await peer.gone()

    server, ingress = await serve(nursery, handler), Ingress()
    with trio.fail_after(SECONDS_MAX):
        await link_tasks(server.port, ingress, profile, LinkLimits(websocket=QUICK)).run(7, CONNECT)
    assert pongs == [b"%d" % number for number in range(50)]
    assert ingress.waiting == 5_000  # all of them wait
    assert down_of(ingress) == LinkDown(SOURCE, 7, "closed by the other side: 1001")


@pytest.mark.parametrize("is_accepting", [True, False])
async def test_a_silent_link_ends(profile: TransportProfile, nursery: trio.Nursery, *, is_accepting: bool) -> None:
    """A half-open connection: the server neither reads nor writes any more, or reads and does not answer pings."""
    received: list[int] = []
    over = trio.Event()

    async def handler(peer: Peer) -> None:
        await peer.accept()
        await peer.send(frame(TEXT, b"the last sign of life"))
        if not is_accepting:
            await over.wait()
        while (kind := (await peer.frame())[0]) != -1:
            received.append(kind)

    server, ingress = await serve(nursery, handler), Ingress()
    limits = LinkLimits(ping_after_s=0.1, dead_after_s=0.3, websocket=WebsocketLimits(close_seconds_max=0.1))
    await trio.testing.wait_all_tasks_blocked()
    with nothing_left():
        with trio.fail_after(SECONDS_MAX):
            await link_tasks(server.port, ingress, profile, limits).run(7, CONNECT)
        over.set()
        await trio.testing.wait_all_tasks_blocked()
    assert PING in received  # the silence was tested, and the ping not answered
    assert down_of(ingress).reason.startswith("not a byte for 0 s, and no answer to a ping")


async def test_a_quiet_link_that_answers_pings_lives(profile: TransportProfile, nursery: trio.Nursery) -> None:
    pings = []

    async def handler(peer: Peer) -> None:
        await peer.accept()
        for _ in range(5):
            pings.append(payload := await peer.frame_of(PING))
            await peer.send(frame(PONG, payload))
        await peer.send(closing(1000))
        await peer.gone()

    server, ingress = await serve(nursery, handler), Ingress()
    limits = LinkLimits(ping_after_s=0.02, dead_after_s=5)
    with trio.fail_after(SECONDS_MAX):
        await link_tasks(server.port, ingress, profile, limits).run(7, CONNECT)
    assert len(pings) == 5
    assert down_of(ingress).reason == "closed by the other side: 1000"


async def test_closing_does_not_wait_for_a_server_that_stopped_reading(
    profile: TransportProfile, nursery: trio.Nursery
) -> None:
    over = trio.Event()
    sent: list[str] = []

    async def handler(peer: Peer) -> None:
        await peer.accept()
        await over.wait()

    websocket = await open_websocket(profile, (await serve(nursery, handler)).ws, limits=QUICK)

    async def send_all() -> None:
        try:
            while True:
                await websocket.send(b"x" * 16_384)
                sent.append("whole")
        except WebsocketClosedError:
            sent.append("closed")

    nursery.start_soon(send_all)
    await trio.testing.wait_all_tasks_blocked(0.05)
    assert sent[-1:] == ["whole"]  # some went into the buffers, and the next one waits
    began = trio.current_time()
    await websocket.close()
    assert trio.current_time() - began < 2
    await trio.testing.wait_all_tasks_blocked()
    assert sent[-1] == "closed"
    over.set()


# ---- ends ----------------------------------------------------------------------------------------


async def test_closing_amid_pings(profile: TransportProfile, nursery: trio.Nursery) -> None:
    """trio-websocket's issue 184: a ping after the local close began ended the program in silence."""
    late_pings: list[int] = []

    async def handler(peer: Peer) -> None:
        await peer.accept(after=frame(PING, b"early"))
        await peer.frame_of(PONG)
        assert await peer.frame_of(CLOSE) == (1000).to_bytes(2, "big")
        for number in range(20):
            await peer.send(frame(PING, b"%d" % number))
        late_pings.append(number)
        await peer.send(closing(1000))
        await peer.gone()

    server = await serve(nursery, handler)
    for _ in range(20):
        websocket = await open_websocket(profile, server.ws, limits=QUICK)
        await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(SECONDS_MAX):
            await close_with_reader(websocket)
    assert late_pings == [19] * 20


async def close_with_reader(websocket: Websocket) -> None:
    """Close a connection as a link does: after its reader was cancelled."""
    async with trio.open_nursery() as nursery:

        async def read() -> None:
            await read_until_closed(websocket)

        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    await websocket.close()


@pytest.mark.parametrize("in_fragments", [False, True])
async def test_an_oversize_message_ends_the_connection_without_filling_memory(
    profile: TransportProfile, nursery: trio.Nursery, *, in_fragments: bool
) -> None:
    closings: list[bytes] = []
    sent = 0

    async def handler(peer: Peer) -> None:
        nonlocal sent
        await peer.accept(after=frame(TEXT, b"small"))
        block = b"x" * 65_536
        async with trio.open_nursery() as both:

            async def flood() -> None:
                nonlocal sent
                if not in_fragments:
                    await peer.send(bytes((0x81, 127)) + (1 << 30).to_bytes(8, "big"))
                opcode = TEXT
                while sent < 64 * MIB:
                    await peer.send(frame(opcode, block, is_final=False) if in_fragments else block)
                    opcode, sent = CONTINUATION, sent + len(block)

            both.start_soon(flood)
            closings.append(await peer.frame_of(CLOSE))
            both.cancel_scope.cancel()

    messages: list[bytes] = []
    limits = WebsocketLimits(message_bytes_max=MIB, close_seconds_max=1)
    websocket = await open_websocket(profile, (await serve(nursery, handler)).ws, limits=limits)
    tracemalloc.start()
    try:
        reason = await read_until_closed(websocket, messages)
        await websocket.close()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert reason == f"a message is longer than {MIB} bytes"
    assert messages == [b"small"]
    assert peak < 5 * MIB
    await trio.testing.wait_all_tasks_blocked()
    assert [int.from_bytes(payload[:2], "big") for payload in closings] == [1009]


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        (closing(1001, "the venue ends"), "closed by the other side: 1001 the venue ends"),
        (b"", "the other side ended the connection without a goodbye"),
        (frame(CONTINUATION, b"x"), "the other side broke the protocol: unexpected frame 0x80"),
        (frame(TEXT, b"x", is_final=False) + frame(TEXT, b"y"), "the other side broke the protocol: unexpected frame"),
        (b"\x81\x81mask1", "the other side broke the protocol: a masked frame"),
        (b"\x89\x7e\x00\xff", "the other side broke the protocol: a control frame above 125 bytes"),
        (frame(PING, b"", is_final=False), "the other side broke the protocol: a malformed control frame"),
        (frame(CLOSE, b"\x03"), "the other side broke the protocol: a malformed closing frame"),
        (closing(1006), "the other side broke the protocol: a malformed closing frame"),
        (b"\xc1\x01x", "the other side broke the protocol: unexpected frame 0xc1"),
    ],
)
@pytest.mark.parametrize("is_open", [False, True])
async def test_the_reason_of_an_end_is_named(
    profile: TransportProfile, nursery: trio.Nursery, last: bytes, reason: str, *, is_open: bool
) -> None:
    """Messages before it are delivered. `is_open`: the server leaves its socket open."""
    if is_open and not last:
        pytest.skip("nothing happens")

    async def handler(peer: Peer) -> None:
        await peer.accept()
        await peer.send(frame(TEXT, b"before") + last)
        if is_open:
            await peer.gone()

    messages: list[bytes] = []
    websocket = await open_websocket(profile, (await serve(nursery, handler)).ws, limits=QUICK)
    ended = await read_until_closed(websocket, messages)
    assert ended[: len(reason)] == reason
    assert messages == [b"before"]
    with pytest.raises(WebsocketClosedError):
        await websocket.send(b"too late")
    await websocket.close()


async def test_a_reset_ends_the_connection(profile: TransportProfile, nursery: trio.Nursery) -> None:
    async def handler(peer: Peer) -> None:
        await peer.accept()
        await reset(peer)

    websocket = await open_websocket(profile, (await serve(nursery, handler)).ws, limits=QUICK)
    assert (await read_until_closed(websocket)).startswith("connection lost: ")
    await websocket.close()


async def reset(peer: Peer) -> None:
    """Close with a RST."""
    assert isinstance(peer.stream, trio.SocketStream)
    peer.stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    peer.stream.socket.close()


# ---- cancellation --------------------------------------------------------------------------------


async def test_cancellation_while_reading_leaves_no_task_and_no_socket(
    profile: TransportProfile, nursery: trio.Nursery
) -> None:
    saw_end: list[bool] = []

    async def handler(peer: Peer) -> None:
        await peer.accept(after=frame(TEXT, b"x"))
        assert await peer.frame_of(CLOSE)
        await peer.send(closing(1000))
        saw_end.append(await peer.gone())

    server = await serve(nursery, handler)
    await trio.testing.wait_all_tasks_blocked()
    with nothing_left():
        ingress = Ingress()
        async with trio.open_nursery() as links:
            links.start_soon(link_tasks(server.port, ingress, profile, LinkLimits()).run, 7, CONNECT)
            with trio.fail_after(SECONDS_MAX):
                while not ingress.waiting:
                    await ingress.wait(SECONDS_MAX)
            links.cancel_scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
    assert saw_end == [True]
    assert down_of(ingress).reason == "the session ends"


@pytest.mark.parametrize("answered", [b"", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"])
async def test_a_handshake_that_does_not_end_is_given_up(
    profile: TransportProfile, nursery: trio.Nursery, answered: bytes
) -> None:
    saw_end: list[bool] = []

    async def handler(peer: Peer) -> None:
        await peer.head()
        await peer.send(answered)
        saw_end.append(await peer.gone())

    server = await serve(nursery, handler)
    await trio.testing.wait_all_tasks_blocked()
    with nothing_left():
        with trio.move_on_after(0.1) as scope:
            await open_websocket(profile, server.ws, limits=QUICK)
        assert scope.cancelled_caught
        await trio.testing.wait_all_tasks_blocked()
    assert saw_end == [True]


# ---- handshake and TLS ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (answer(b"no", status="403 Forbidden"), "the handshake was refused with status 403"),
        (answer(b"", "Location: ws://127.0.0.1:1/", status="302 Found"), "the handshake was refused with status 302"),
        (b"", "the other side ended the connection without a goodbye|the handshake failed: "),
        (b"SSH-2.0-OpenSSH_9\r\n\r\n", "the other side broke the protocol: |the handshake failed: "),
        (b"HTTP/1.1 101 OK\r\n" + b"A: b\r\n" * 20_000, "longer than 65536 bytes|broke the protocol|failed"),
        (accepted(b"Sec-WebSocket-Key: another"), "the other side broke the protocol: |the handshake failed: "),
    ],
)
async def test_a_refused_handshake_is_named_and_a_redirect_not_followed(
    profile: TransportProfile, nursery: trio.Nursery, reply: bytes, reason: str
) -> None:
    async def handler(peer: Peer) -> None:
        await peer.head()
        await peer.send(reply)

    server = await serve(nursery, handler)
    await trio.testing.wait_all_tasks_blocked()
    with nothing_left():
        with trio.fail_after(SECONDS_MAX), pytest.raises(WebsocketClosedError, match=reason):
            await open_websocket(profile, server.ws, limits=QUICK)
        await trio.testing.wait_all_tasks_blocked()
    assert server.connections == 1


@pytest.mark.parametrize("head", [b"HTTP/1.0 403 Forbidden", b"HTTP/1.0 404 Not Found", b"HTTP/1.1 403 Forbidden"])
@pytest.mark.parametrize("is_kept_open", [True, False])
async def test_a_refusal_without_a_length_ends_the_handshake_at_once(
    profile: TransportProfile, nursery: trio.Nursery, head: bytes, is_kept_open: bool
) -> None:
    """Simple servers speak HTTP/1.0, and the body of such an answer ends with the connection, perhaps never."""

    async def handler(peer: Peer) -> None:
        await peer.head()
        await peer.send(head + b"\r\nServer: simple\r\n\r\n<html>")
        if is_kept_open:
            await peer.gone()

    server = await serve(nursery, handler)
    await trio.testing.wait_all_tasks_blocked()
    with nothing_left():
        with trio.fail_after(SECONDS_MAX), pytest.raises(HandshakeRefusedError) as refused:
            await open_websocket(profile, server.ws, limits=QUICK)
        assert refused.value.status == int(head.split()[1])
        await trio.testing.wait_all_tasks_blocked()


@pytest.mark.parametrize("names", ["127.0.0.1", "venue.example", "unknown authority"])
async def test_tls_is_verified(profile: TransportProfile, nursery: trio.Nursery, names: str) -> None:
    authority, ours, theirs = trustme.CA(), ssl.create_default_context(), ssl.create_default_context()
    authority.configure_trust(ours)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1" if names == "unknown authority" else names).configure_cert(context)

    async def handler(peer: Peer) -> None:
        await peer.accept(after=frame(TEXT, b"over TLS"))
        await peer.frame_of(CLOSE)
        await peer.send(closing(1000))

    server = await serve(nursery, handler, context)
    if names == "127.0.0.1":
        websocket = await open_websocket(profile, server.ws, ours)
        assert await read_some(websocket, 1) == [b"over TLS"]
        await websocket.close()
        return
    with pytest.raises(WebsocketClosedError, match="certificate verify failed"):
        await open_websocket(profile, server.ws, theirs if names == "unknown authority" else ours)
    assert server.connections == 1


# ---- the splitter --------------------------------------------------------------------------------

messages_of_fragments = st.lists(st.lists(st.binary(max_size=200), min_size=1, max_size=4), max_size=8)


@given(messages_of_fragments, st.randoms(use_true_random=False))
def test_the_splitter_finds_the_messages_however_the_bytes_are_cut(
    fragmented: list[list[bytes]], rng: random.Random
) -> None:
    """Against frames that were put together; pings between them come back unchanged and in order."""
    stream, pings = accepted(b"Sec-WebSocket-Key: x"), b""
    handshake = len(stream)
    for fragments in fragmented:
        for at, fragment in enumerate(fragments):
            stream += frame(CONTINUATION if at else TEXT, fragment, is_final=at == len(fragments) - 1)
            ping = frame(PING, rng.randbytes(rng.randrange(126)))
            stream, pings = stream + ping, pings + ping
    splitter = FrameSplitter(10_000)
    passed, messages = b"", []
    while stream:
        size = rng.randrange(1, 400)
        passed += splitter.feed(stream[:size])
        messages += splitter.messages()
        stream = stream[size:]
    assert messages == [b"".join(fragments) for fragments in fragmented]
    assert passed[handshake:] == pings


@given(st.binary(max_size=300), st.randoms(use_true_random=False))
def test_the_splitter_survives_any_bytes(noise: bytes, rng: random.Random) -> None:
    """It fails by name or not at all, and no message is longer than the limit."""
    splitter = FrameSplitter(1_000)
    splitter.feed(accepted(b"Sec-WebSocket-Key: x"))
    while noise:
        size = rng.randrange(1, 50)
        splitter.feed(noise[:size])
        noise = noise[size:]
    assert splitter.failure is None or splitter.failure.code in (1002, 1009)
    assert all(len(message) <= 1_000 for message in splitter.messages())
