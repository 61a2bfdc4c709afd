"""Links: the websocket connections that the core asked for. One task each, from the connect request to its LINK down.

Every connect request ends in exactly one LINK down, with the reason; frames go to the inbox without waiting. The one
exception: where a session hands over to the next, its connections stay open, and what came on them goes along.
"""

import ssl
from collections.abc import Mapping

import msgspec
import trio

from engine.bodies import LinkBody, LinkEvent, RequestBody
from engine.live.clock import SessionClock
from engine.live.ingress import FrameBatch, Ingress, LinkDown
from engine.live.websocket import Websocket, WebsocketClosedError, open_feed
from engine.record_codec import text_of
from engine.requests import LinkRole
from engine.sequencer import Arrival
from engine.session_record import VenueSettings
from journal.record import Kind

PING_AFTER_SECONDS = 20.0  # of silence, as the venue itself does
DEAD_AFTER_SECONDS = 40.0
HEARTBEAT_SECONDS = 5.0
FRAMES_AT_ONCE = 64  # the sequencer looks after commands and requests between two of these
OPEN_SECONDS_MIN = 2.0  # real time: a scaled clock makes no handshake faster


_ENDS = "the session ends"


class HandedOverLink(msgspec.Struct):
    """A connection that outlives its session, and what it brought that the session did not take."""

    feed: Websocket
    frames: list[FrameBatch] = []


class _Link:
    def __init__(self, scope: trio.CancelScope) -> None:
        self.scope = scope
        self.reason = _ENDS
        self.feed: Websocket | None = None


class LinkTasks:
    """The links of a session, by source."""

    def __init__(
        self,
        venues: dict[str, VenueSettings],
        inbox: Ingress,
        clock: SessionClock,
        kept: Mapping[str, HandedOverLink] | None = None,
    ) -> None:
        """`kept`: the connections of the session before, by source."""
        self._venues = venues
        self._inbox = inbox
        self._clock = clock
        self._open: dict[str, _Link] = {}
        self._tls: ssl.SSLContext | None = None
        self._kept = dict(kept or {})
        self.keeping = False  # whether connections that stand at the session's end stay open
        self._left: dict[str, HandedOverLink] = {}  # those that did

    def close(self, source: str, reason: str) -> None:
        link = self._open.get(source)
        if link is not None:
            link.reason = reason
            link.scope.cancel()

    def left(self) -> dict[str, HandedOverLink]:
        """The connections that are open still, when the tasks of all have ended; those never asked for included."""
        return {**self._kept, **self._left}

    def feed(self, source: str) -> Websocket | None:
        link = self._open.get(source)
        return None if link is None else link.feed

    async def run(self, seq: int, request: RequestBody) -> None:
        """From a connect request to its LINK down."""
        assert request.link is not None, "a connect request carries its plan"
        source = request.link.source
        assert source not in self._open, f"{source} is open already"
        scope = trio.CancelScope()
        link = self._open[source] = _Link(scope)
        try:
            with scope:
                kept = self._kept.pop(source, None)
                if kept is None:
                    with trio.fail_after(max(self._clock.seconds(request.timeout_ns), OPEN_SECONDS_MIN)):
                        link.feed = await open_feed(self._address(request), self._context(request))
                    kept = HandedOverLink(link.feed)
                else:
                    link.feed = kept.feed
                self._inbox.put(Arrival(Kind.LINK, source, cause=seq, body=text_of(LinkBody(LinkEvent.UP))))
                for frames in kept.frames:
                    self._put(frames)
                await self._read(link, source, market=request.link.role is LinkRole.MARKET)
        except trio.TooSlowError:
            link.reason = "no connection in time"
        except WebsocketClosedError as ended:
            link.reason = str(ended)
        finally:
            if link.feed is not None and self.keeping and link.reason is _ENDS:
                self._left[source] = HandedOverLink(link.feed)
            elif link.feed is not None:
                await link.feed.close()
            del self._open[source]
            self._inbox.put(LinkDown(source, seq, link.reason))

    async def _read(self, link: _Link, source: str, *, market: bool) -> None:
        feed = link.feed
        assert feed is not None, "opened by the caller"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._heartbeat, link)
            try:
                while True:
                    recv_ns, payloads = await feed.next_messages()
                    for at in range(0, len(payloads), FRAMES_AT_ONCE):
                        self._put(FrameBatch(source, market, recv_ns, payloads[at : at + FRAMES_AT_ONCE]))
            except WebsocketClosedError as ended:
                link.reason = str(ended)
            nursery.cancel_scope.cancel()

    def _put(self, frames: FrameBatch) -> None:
        if not self._inbox.put_frames(frames):
            raise WebsocketClosedError("the engine is behind: the queue of arrivals is full")

    async def _heartbeat(self, link: _Link) -> None:
        feed = link.feed
        assert feed is not None, "opened by the caller"
        while True:
            await trio.sleep(HEARTBEAT_SECONDS)
            silent_s = trio.current_time() - feed.heard_at
            if silent_s > DEAD_AFTER_SECONDS:
                link.reason = f"not a byte for {silent_s:.0f} s, and no answer to a ping"
                link.scope.cancel()
                return
            if silent_s > PING_AFTER_SECONDS:
                try:
                    await feed.ping()
                except WebsocketClosedError:
                    return  # the reader sees it too, and says why

    def _address(self, request: RequestBody) -> str:
        venue = self._venues[request.venue]
        assert request.link is not None, "checked by the caller"
        base = venue.stream if request.link.role is LinkRole.MARKET else venue.private
        return base.rstrip("/") + request.link.path

    def _context(self, request: RequestBody) -> ssl.SSLContext | None:
        if self._tls is None and self._address(request).startswith("wss:"):
            self._tls = ssl.create_default_context()
        return self._tls
