"""Orders that leave in the input loop's own task: through the real gateway, journal and sender, to loopback.

On each way, an order's record comes first, and the order is sent once and has one end.
"""

import errno
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import h11
import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from rich.pretty import pretty_repr
from test_journal_failing_disk import Call, FailingDisk, fail
from tiers import examples
from transport_server import Peer, answer, contexts, serve

from engine.bodies import RequestBody
from engine.live.clock import SessionClock
from engine.live.gateway import Gateway
from engine.live.ingress import Ingress
from engine.live.link_tasks import LinkTasks
from engine.live.signed_requests import AGE_NS_MAX, sign
from engine.live.transport import http_head
from engine.live.transport.fast_http import FastSender
from engine.live.transport.http_head import AT_ONCE_BYTES_MAX, HeadWriter
from engine.live.transport.http_result import OWN_HEADERS, SendsAtOnce
from engine.live.transport.selection import TransportProfile, make_sender
from engine.record_codec import text_of
from engine.requests import Purpose, Transport, Unsigned
from engine.sequencer import Arrival
from engine.session_record import MILLISECOND_NS, SECOND_NS, VenueSettings
from engine.venues.signing import Credentials, HttpMessage
from engine.venues.venue import KeptHeaders
from engine.venues.venue_lookup import make_venue
from journal.errors import JournalFailedError
from journal.record import Kind, Record
from journal.writer import JournalWriter

NEVER_NS = 10**18
SECONDS_MAX = 60.0
CLOCK = SessionClock.wall()
Handler = Callable[[Peer], Awaitable[None]]


class Rig:
    """A gateway with a journal and a venue on loopback. `orders` notes, of each order, what was durable then."""

    def __init__(self, gateway: Gateway, writer: JournalWriter, ingress: Ingress, sender: SendsAtOnce) -> None:
        self.gateway, self.writer, self.ingress, self.sender = gateway, writer, ingress, sender
        self.next_seq = 0

    def place(self, *, expires_ns: int = 2**62, value: str = "BTCUSDT") -> None:
        """Append a REQUEST and perform it, as the input loop does after a step."""
        unsigned = Unsigned(Transport.REST, "POST", "/api/v3/order", (("symbol", value),), signed=True)
        request = RequestBody(Purpose.PLACE, "binance_spot", True, expires_ns, 10 * SECOND_NS, unsigned)
        record = Record(self.next_seq, self.next_seq, Kind.REQUEST, "execution", body=text_of(request))
        self.next_seq += 1
        self.writer.append_step([record], urgent=True)
        self.gateway.perform(record, request)

    async def end(self) -> dict[str, Any]:
        """Return the meta of the next request that ended, with its cause."""
        with trio.fail_after(SECONDS_MAX):
            while (item := self.ingress.next()) is None:
                await self.ingress.wait(1)
        assert isinstance(item, Arrival)
        return {"cause": item.cause, **json.loads(item.meta or "")}

    async def warm(self) -> None:
        """Send orders the ordinary way until a connection is idle and the disk is known to be fast."""
        self.place()
        self.writer.wake()
        await trio.to_thread.run_sync(self.writer.wait_durable, 0, SECONDS_MAX)
        self.gateway.release()
        assert (await self.end())["outcome"] == "answer"
        while True:  # until the journal's thread has ended its turn
            self.place()
            await self.gateway.flush()
            if not self.gateway.is_holding:
                assert (await self.end())["outcome"] == "answer"
                return
            await trio.to_thread.run_sync(self.writer.wait_durable, self.next_seq - 1, SECONDS_MAX)
            self.gateway.release()
            assert (await self.end())["outcome"] == "answer"


@asynccontextmanager
async def rig(
    folder: Path,
    handler: Handler,
    profile: TransportProfile = TransportProfile.FAST,
    *,
    clock: SessionClock = CLOCK,
    uses_tls: bool = False,
    **options: Any,
) -> AsyncIterator[Rig]:
    venue = make_venue(VenueSettings(), ())
    key = venue.signer.load_key(Credentials("test-key-0000000000", "test-secret-0000000000"))
    given: dict[str, Any] = {"group_delay_s": 3600.0, "sync_delay_s": 3600.0, "commit_ns_max": NEVER_NS, "defers": True}
    writer = JournalWriter.create(folder, **(given | options))
    ingress = Ingress()
    ours, theirs = contexts() if uses_tls else (None, None)
    async with trio.open_nursery() as nursery:
        server = await serve(nursery, handler, theirs)
        sender = make_sender(profile, server.http, ours)
        assert isinstance(sender, SendsAtOnce)
        gateway = Gateway(
            venues={venue.name: venue}, senders={venue.name: sender}, keys={venue.name: key}, trading=(venue.name,),
            clock=clock, ingress=ingress, links=LinkTasks({}, ingress, clock), nursery=nursery,
        )  # fmt: skip
        gateway.attach(writer)
        try:
            yield Rig(gateway, writer, ingress, sender)
        finally:
            with trio.CancelScope(shield=True):
                await sender.close()
        nursery.cancel_scope.cancel()
    if writer.failed is None:
        writer.close()
    writer.abandon()


class Exchange:
    """Answers orders. Notes each request, and what was durable when it was in hand."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.durable: list[int] = []
        self.rig: Rig | None = None
        self.ends: str = ""  # how the next request ends: "closes" after the answer, "cuts" instead of one

    async def handle(self, peer: Peer) -> None:
        while head := await peer.head():
            [size] = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            self.heads.append(head)
            self.bodies.append(await peer.receive(int(size.partition(b":")[2])))
            if self.rig is not None:
                self.durable.append(self.rig.writer.durable_seq)
            if self.ends == "cuts":
                return
            await peer.send(answer(b"{}"))
            if self.ends == "closes":
                return


@pytest.mark.parametrize("profile", list(TransportProfile))
async def test_an_order_leaves_in_this_task_after_its_record_is_durable(
    tmp_path: Path, profile: TransportProfile
) -> None:
    """When `flush` returns, the venue's socket has the bytes, though no other task has run on its behalf."""
    exchange = Exchange()
    async with rig(tmp_path / "s", exchange.handle, profile) as used:
        await used.warm()
        exchange.rig = used
        count = len(exchange.heads)
        used.place()
        assert used.gateway.is_holding, "nothing leaves before the journal was written"
        assert used.writer.durable_token(used.next_seq - 1) is None
        await used.gateway.flush()
        assert not used.gateway.is_holding
        assert used.writer.durable_token(used.next_seq - 1) is not None
        ended = await used.end()
        assert (ended["cause"], ended["outcome"], ended["status"]) == (used.next_seq - 1, "answer", 200)
        assert len(exchange.heads) == count + 1
        assert exchange.durable == [used.next_seq - 1]
        assert exchange.heads[-1] == exchange.heads[0], "both ways write the same bytes"
        [sent] = list(used.gateway.sends)[-1:]
        assert sent.purpose is Purpose.PLACE


@pytest.mark.parametrize("profile", list(TransportProfile))
async def test_an_order_over_tls_leaves_before_its_answer_has_a_task(tmp_path: Path, profile: TransportProfile) -> None:
    """It is written whole in the task that decided on it, in the bytes of the ordinary way."""
    exchange = Exchange()
    async with rig(tmp_path / "s", exchange.handle, profile, uses_tls=True) as used:
        await used.warm()
        count, message = len(exchange.heads), HttpMessage("POST", "/api/v3/order", (), b"symbol=A")
        data = used.sender.encode(message)
        assert used.sender.begin_now(message, data, CLOCK) is None, "it must wait for the encryption"
        begun = await used.sender.begin(message, data, CLOCK)
        assert begun is not None
        with trio.fail_after(SECONDS_MAX):
            while len(exchange.heads) == count:
                await trio.lowlevel.checkpoint()
        assert (await begun(SECONDS_MAX)).outcome == "answer"
        used.place()
        await used.gateway.flush()
        assert (await used.end())["outcome"] == "answer"
        assert exchange.heads[-1] == exchange.heads[0]


async def test_two_orders_of_a_step_leave_in_their_order(tmp_path: Path) -> None:
    exchange = Exchange()
    async with rig(tmp_path / "s", exchange.handle) as used:
        await used.warm()
        used.place(value="FIRST")
        used.place(value="SECOND")
        await used.gateway.flush()
        assert {(await used.end())["cause"] for _ in range(2)} == {used.next_seq - 2, used.next_seq - 1}
        assert [body.partition(b"&")[0] for body in exchange.bodies[-2:]] == [b"symbol=FIRST", b"symbol=SECOND"]


async def test_orders_of_several_steps_leave_in_their_order_where_each_waits_for_its_socket(tmp_path: Path) -> None:
    """As over TLS, where no order leaves in the task that reads. Trio runs tasks in any order."""
    async with rig(tmp_path / "s", Exchange().handle, uses_tls=True) as used:
        await used.warm()
        for _ in range(4):  # at once, so that there are as many idle connections
            used.place()
        await used.gateway.flush()
        assert {(await used.end())["outcome"] for _ in range(4)} == {"answer"}
        for _ in range(4):
            used.place()
            used.gateway.flush_now()
            assert not used.gateway.is_holding
        ends = sorted([await used.end() for _ in range(4)], key=lambda end: end["sent_ns"])
        assert [end["cause"] for end in ends] == list(range(used.next_seq - 4, used.next_seq))


async def test_a_sync_that_ends_after_the_session_sends_nothing(tmp_path: Path) -> None:
    """The session closes while a durable order waits for its socket. The journal reports a sync after that."""
    exchange = Exchange()
    async with rig(tmp_path / "s", exchange.handle, uses_tls=True) as used:
        await used.warm()
        sent = len(exchange.heads)
        used.place()
        used.gateway.flush_now()
        used.gateway.close()
        assert not used.gateway.is_holding
        await trio.testing.wait_all_tasks_blocked()
    used.gateway.release()
    assert len(exchange.heads) == sent


async def test_what_a_socket_does_not_take_at_once_follows_in_the_task_of_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    received: list[bytes] = []

    async def handle(peer: Peer) -> None:
        while await peer.head():
            received.append(await peer.receive(len(message.body)))
            await peer.send(answer(b"{}"))

    message = HttpMessage("POST", "/api/v3/order", (), bytes(range(251)) * 40_000)  # more than a socket takes at once
    async with rig(tmp_path / "s", handle) as used:
        assert (await used.sender.send(message, timeout_s=SECONDS_MAX, clock=CLOCK)).status == 200
        monkeypatch.setattr(http_head, "AT_ONCE_BYTES_MAX", 2 * len(message.body))
        data = used.sender.encode(message)
        finish = used.sender.begin_now(message, data, CLOCK)
        assert isinstance(finish, partial)
        assert 0 < len(finish.keywords["rest"]) < len(data), "the socket took a part"
        ended = await finish(SECONDS_MAX)
        assert (ended.outcome, ended.status) == ("answer", 200)
        assert received == [message.body] * 2


@pytest.mark.parametrize("profile", list(TransportProfile))
async def test_an_answer_without_a_reader_is_not_that_of_the_next_request(
    tmp_path: Path, profile: TransportProfile
) -> None:
    """The task of an answer is cancelled before it reads, as at the end of a session: a cancel may follow."""
    count = 0

    async def handle(peer: Peer) -> None:
        nonlocal count
        while await peer.head():
            count += 1
            if count == 2:
                await trio.sleep(0.2)  # the next request comes before its answer
            await peer.send(answer(b"%d" % count))

    async with rig(tmp_path / "s", handle, profile) as used:
        ask = HttpMessage("GET", "/api/v3/order", ())
        assert (await used.sender.send(ask, timeout_s=SECONDS_MAX, clock=CLOCK)).body == b"1"
        begun = used.sender.begin_now(ask, used.sender.encode(ask), CLOCK)
        assert begun is not None
        assert (await begun(0)).outcome == "timeout"
        assert (await used.sender.send(ask, timeout_s=SECONDS_MAX, clock=CLOCK)).body == b"3"


async def test_a_slow_disk_does_not_hold_the_loop(tmp_path: Path) -> None:
    """The order waits for the journal's thread, as it did before, and leaves when its record is durable."""
    exchange = Exchange()
    async with rig(tmp_path / "s", exchange.handle, commit_ns_max=0) as used:
        for _ in range(3):
            used.place()
            await used.gateway.flush()
            assert used.gateway.is_holding or used.writer.durable_seq >= used.next_seq - 1
            await trio.to_thread.run_sync(used.writer.wait_durable, used.next_seq - 1, SECONDS_MAX)
            used.gateway.release()
            assert (await used.end())["outcome"] == "answer"
        assert len(exchange.heads) == 3


async def test_an_order_that_expired_is_not_sent(tmp_path: Path) -> None:
    exchange = Exchange()
    async with rig(tmp_path / "s", exchange.handle) as used:
        await used.warm()
        count = len(exchange.heads)
        used.place(expires_ns=CLOCK.now_ns() - 1)
        await used.gateway.flush()
        ended = await used.end()
        assert ended["outcome"] == "not_sent"
        assert "expired" in ended["error"]
        assert len(exchange.heads) == count


@pytest.mark.parametrize("profile", list(TransportProfile))
@pytest.mark.parametrize("ends", ["closes", "cuts"])
async def test_an_order_whose_connection_ends_is_sent_once(
    tmp_path: Path, ends: str, profile: TransportProfile
) -> None:
    """An idle connection that the venue closed takes no order; one that it cuts before the answer proves nothing."""
    exchange = Exchange()
    async with rig(tmp_path / "s", exchange.handle, profile) as used:
        await used.warm()
        exchange.ends = ends
        used.place()
        await used.gateway.flush()
        first = await used.end()
        exchange.ends = ""
        assert first["outcome"] == ("answer" if ends == "closes" else "cut")
        count = len(exchange.heads)
        await trio.testing.wait_all_tasks_blocked()
        used.place()
        await used.gateway.flush()
        assert (await used.end())["outcome"] == "answer"
        assert len(exchange.heads) == count + 1


async def test_an_answer_to_other_bytes_proves_nothing(tmp_path: Path) -> None:
    """httpcore checks that what has left is what it writes itself; the connection is not used again."""
    exchange = Exchange()
    async with rig(tmp_path / "s", exchange.handle, TransportProfile.STANDARD) as used:
        await used.warm()
        count, url = len(exchange.heads), "/api/v3/order"
        message, other = HttpMessage("POST", url, (), b"symbol=A"), HttpMessage("POST", url, (), b"symbol=B")
        begun = used.sender.begin_now(message, used.sender.encode(other), CLOCK)
        assert begun is not None
        ended = await begun(SECONDS_MAX)
        assert (ended.outcome, len(exchange.heads), exchange.bodies[-1]) == ("cut", count + 1, b"symbol=B")
        assert used.sender.begin_now(message, used.sender.encode(message), CLOCK) is None, "no connection is idle"


async def test_a_signature_is_used_only_while_it_is_good(tmp_path: Path) -> None:
    """Another key, or a wait for the disk that made its time old: it is signed again."""
    exchange = Exchange()
    async with rig(tmp_path / "s", exchange.handle) as used:
        await used.warm()
        [(venue, dialect)] = used.gateway._venues.items()
        used.place()
        used.gateway.replace_key(
            venue, dialect.signer.load_key(Credentials("other-key-000000000", "other-secret-00000000"))
        )
        await used.gateway.flush()
        await used.end()
        assert b"other-key-000000000" in exchange.heads[-1]
        used.place()
        [(seq, request, signed)] = used.gateway._held
        assert signed is not None
        assert signed.data
        for shown in (repr(signed), pretty_repr(signed)):
            assert "/api/v3/order" in shown
            assert "key-0" not in shown
            assert "signature" not in shown
        message = replace(signed.message, headers=(*signed.message.headers, ("X-Old", "1")))
        stamped_ns = signed.stamped_ns - AGE_NS_MAX
        old = replace(signed, message=message, stamped_ns=stamped_ns, data=used.sender.encode(message))
        used.gateway._held[0] = (seq, request, old)
        await used.gateway.flush()
        assert (await used.end())["outcome"] == "answer"
        assert b"X-Old" in old.data
        assert b"x-old" not in exchange.heads[-1].lower()


def test_a_signature_lasts_a_quarter_of_the_receive_window() -> None:
    def ages_accepted(window_ms: int) -> list[int]:
        venue = make_venue(VenueSettings(recv_window_ms=window_ms), ())
        key = venue.signer.load_key(Credentials("test-key-0000000000", "test-secret-0000000000"))
        unsigned = Unsigned(Transport.REST, "POST", "/api/v3/order", (), signed=True)
        signed = sign(venue, unsigned, key, venue_ns=0, now_ns=0, sender=None)
        assert signed is not None
        return [age_ms for age_ms in (0, 100, 101, 500, 501) if signed.is_good(key, age_ms * MILLISECOND_NS)]

    assert ages_accepted(5000) == [0, 100, 101, 500]
    assert ages_accepted(400) == [0, 100]


@pytest.mark.parametrize("verb", ["write", "sync"])
async def test_after_a_failure_of_the_journal_nothing_leaves(tmp_path: Path, verb: str) -> None:
    exchange, disk = Exchange(), FailingDisk.create_folder(tmp_path / "s")
    async with rig(tmp_path / "s", exchange.handle, disk=disk) as used:
        await used.warm()
        count = len(exchange.heads)
        fail(disk, Call(verb, "000000000000.open", disk.calls_of(verb)), (errno.EIO, False, False))
        used.place()
        await used.gateway.flush()
        assert isinstance(used.writer.failed, OSError)
        used.gateway.release()
        await used.gateway.flush()
        await trio.testing.wait_all_tasks_blocked()
        assert used.gateway.is_holding
        assert len(exchange.heads) == count
        with pytest.raises(JournalFailedError, match="the disk failed"):
            used.place()


# ---- the bytes


NAMES = st.text(st.sampled_from("ABCxyz019-_:\r é"), min_size=1, max_size=8) | st.sampled_from(
    ["Host", "Expect", "Content-Type"]
)
VALUES = st.text(st.characters(codec="latin-1"), max_size=12) | st.text(st.sampled_from("ab =&%\t,/"), max_size=12)
MESSAGES = st.builds(
    HttpMessage,
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "ge t"]),
    st.builds("/{}".format, VALUES),
    st.lists(st.tuples(NAMES, VALUES), max_size=4).map(tuple),
    st.binary(max_size=20),
)


@settings(max_examples=examples(100), deadline=None)
@given(message=MESSAGES)
def test_the_bytes_are_those_of_h11(message: HttpMessage) -> None:
    """A message that h11 refuses is left to h11."""
    url = "http://127.0.0.1:80/base"
    sender = FastSender(url, KeptHeaders())
    written = HeadWriter("127.0.0.1:80", "/base", OWN_HEADERS).write(message)
    assert sender.encode(message) == written, "both know the prefix"
    if written:
        assert written == sender._bytes(h11.Connection(h11.CLIENT), message)


def test_a_long_request_goes_the_ordinary_way() -> None:
    sender = FastSender("http://127.0.0.1:80", KeptHeaders())
    assert sender.encode(HttpMessage("POST", "/x", (), b"x" * AT_ONCE_BYTES_MAX)) == b""
    assert sender.encode(HttpMessage("POST", "/x", (), b"x")).endswith(b"\r\n\r\nx")
