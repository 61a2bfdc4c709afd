"""Signed requests to a venue that takes each nonce once: through the real gateway, to a slow server on loopback."""

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
import trio
from transport_server import Peer, answer, serve

from engine.bodies import RequestBody
from engine.live.clock import SessionClock
from engine.live.gateway import Gateway
from engine.live.ingress import Ingress
from engine.live.link_tasks import LinkTasks
from engine.live.transport.selection import TransportProfile, make_sender
from engine.record_codec import text_of
from engine.requests import LinkPlan, LinkRole, Purpose
from engine.venues.kraken import Kraken
from journal.record import Kind, Record
from verbatim.testing import VirtualVenue

VECTORS = Path(__file__).parent / "vectors" / "kraken"
DELAY_S: Final = 0.05  # of each answer: a request that does not wait for its turn arrives before it
TOKEN: Final = b'{"error":[],"result":{"token":"abc","expires":900}}'
REQUESTS: Final = 3
Send = Callable[[Gateway, LinkTasks, Kraken, int], Awaitable[Any]]


class SlowVenue:
    """Notes each request as it arrives, and each answer as it leaves."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.nonces: list[int] = []

    async def handle(self, peer: Peer) -> None:
        while head := await peer.head():
            [size] = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            body = await peer.receive(int(size.partition(b":")[2]))
            self.nonces.append(int(body.partition(b"nonce=")[2].partition(b"&")[0]))
            self.events.append("arrives")
            await trio.sleep(DELAY_S)
            self.events.append("answered")
            await peer.send(answer(TOKEN))


async def recorded(gateway: Gateway, _links: LinkTasks, venue: Kraken, seq: int) -> None:
    request = RequestBody(Purpose.ACCOUNT, "kraken", False, 2**62, 10**10, venue.account.balances())
    gateway.perform(Record(seq, 1, Kind.REQUEST, "kraken", body=text_of(request)), request)


async def emergency(gateway: Gateway, _links: LinkTasks, venue: Kraken, _seq: int) -> None:
    """As the emergency cancel sends: several orders at once."""
    assert (await gateway.send_now("kraken", venue.account.balances(), 0)).status == 200


async def token(_gateway: Gateway, links: LinkTasks, _venue: Kraken, _seq: int) -> None:
    plan = LinkPlan("kraken.private.0", LinkRole.PRIVATE, "/v2")
    assert links.find_path is not None
    await links.find_path(RequestBody(Purpose.CONNECT, "kraken", False, 2**62, 10**10, None, link=plan))


@pytest.mark.parametrize(
    "sends",
    [(recorded,) * REQUESTS, (emergency,) * REQUESTS, (token,) * REQUESTS, (recorded, token, emergency)],
    ids=["recorded", "emergency", "token", "mixed"],
)
async def test_each_request_leaves_after_the_answer_to_the_one_before(
    nursery: trio.Nursery, sends: tuple[Send, ...]
) -> None:
    slow = SlowVenue()
    server = await serve(nursery, slow.handle)
    venue = Kraken(Kraken(()).metadata.read((VECTORS / "metadata.json").read_bytes()).instruments)
    clock, ingress = SessionClock.wall(), Ingress()
    links = LinkTasks({}, ingress, clock)
    sender = make_sender(TransportProfile.FAST, server.http)
    key = venue.signer.load_key(VirtualVenue(kind="kraken", symbols=("BTC/USD",)).credentials)
    with trio.fail_after(20):
        async with trio.open_nursery() as sending:
            gateway = Gateway(
                venues={"kraken": venue}, senders={"kraken": sender}, keys={"kraken": key}, clock=clock,
                ingress=ingress, links=links, nursery=sending, trading=("kraken",),
            )  # fmt: skip
            for seq, send in enumerate(sends):
                sending.start_soon(partial(send, gateway, links, venue, seq))
        await sender.close()
    assert slow.events == ["arrives", "answered"] * REQUESTS, "never two at once"
    assert slow.nonces == sorted(set(slow.nonces))
