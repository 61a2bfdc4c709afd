"""Links: the websocket connections that the core requested. One task each, from the connect request to its LINK down.

Every connect request ends in exactly one LINK down, with the reason. Frames go to the ingress queue without waiting; if
the input loop is idle, they are processed at once. If a session hands over to the next, its connections stay open, and
the frames that it did not process go along.
"""

import ssl
from collections.abc import Awaitable, Callable, Mapping, Sized
from functools import partial

import msgspec
import trio

from engine.bodies import LinkBody, LinkEvent, RequestBody
from engine.live.clock import SessionClock
from engine.live.ingress import FrameBatch, Ingress, LinkDown
from engine.live.refused_addresses import RefusedAddresses
from engine.live.token_requests import TokenRefusedError
from engine.live.transport.selection import TransportProfile, open_websocket
from engine.live.transport.websocket import (
    NO_ROOM,
    HandshakeRefusedError,
    Websocket,
    WebsocketClosedError,
    WebsocketLimits,
)
from engine.record_codec import text_of
from engine.requests import LinkRole
from engine.sequencer import Arrival
from engine.session_record import VenueSettings
from journal.record import Kind

FRAMES_AT_ONCE = 64  # the sequencer checks commands and requests between two of these
OPEN_SECONDS_MIN = 2.0  # real time: a scaled clock makes no handshake faster
SESSION_ENDS = "the session ends"
NO_PROFILES: Mapping[str, TransportProfile] = {}
OPENED = 101  # the HTTP status of an open websocket


class LinkLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of every link of a session."""

    ping_after_s: float = 20.0  # of silence, as the venue itself does
    dead_after_s: float = 40.0  # of silence
    websocket: WebsocketLimits = WebsocketLimits()


LINK_LIMITS = LinkLimits()


def venue_setting(venue: str, part: str, venues: Sized) -> str:
    """Return the name of a venue's setting in the configuration: below its own table if there are several."""
    return f"venue.{venue}.{part}" if len(venues) > 1 else f"venue.{part}"


class HandedOverLink(msgspec.Struct):
    """A connection that outlives its session, and the frames that the session did not process."""

    websocket: Websocket
    frames: list[FrameBatch] = []


class _Link:
    """A link from its connect request to its end."""

    def __init__(self, scope: trio.CancelScope) -> None:
        self.scope = scope
        self.reason = SESSION_ENDS
        self.websocket: Websocket | None = None


class LinkTasks:
    """The links of a session, by source."""

    def __init__(
        self,
        venues: dict[str, VenueSettings],
        ingress: Ingress,
        clock: SessionClock,
        *,
        profiles: Mapping[str, TransportProfile] = NO_PROFILES,
        limits: LinkLimits = LINK_LIMITS,
        handed_over: Mapping[str, HandedOverLink] | None = None,
        refused: RefusedAddresses | None = None,
    ) -> None:
        """Take `handed_over`, the connections of the session before, by source; `profiles` are by venue."""
        self.find_path: Callable[[RequestBody], Awaitable[str]] | None = None  # else the path of a request's plan
        self.keeps_open = False  # leave connections open at the session's end
        self._venues = venues
        self._ingress = ingress
        self._clock = clock
        self._profiles = profiles
        self._limits = limits
        self._refused = refused or RefusedAddresses()
        self._tls: ssl.SSLContext | None = None
        self._open: dict[str, _Link] = {}
        self._handed_over = dict(handed_over or {})
        self._kept: dict[str, HandedOverLink] = {}

    def close(self, source: str, reason: str) -> None:
        """End a link. No-op if it is not open."""
        link = self._open.get(source)
        if link is not None:
            link.reason = reason
            link.scope.cancel()

    def kept(self) -> dict[str, HandedOverLink]:
        """Return the connections that are still open after all tasks ended, also those that no request used."""
        return {**self._handed_over, **self._kept}

    def websocket(self, source: str) -> Websocket | None:
        """Return the open connection of a link, or None."""
        link = self._open.get(source)
        return None if link is None else link.websocket

    async def run(self, seq: int, request: RequestBody) -> None:
        """Run a link from its connect request to its LINK down."""
        assert request.link is not None, "a connect request carries its plan"
        source = request.link.source
        assert source not in self._open, f"{source} is open already"
        link = self._open[source] = _Link(trio.CancelScope())
        try:
            with link.scope:
                if request.link.polled:
                    self._ingress.put(Arrival(Kind.LINK, source, cause=seq, body=text_of(LinkBody(LinkEvent.UP))))
                    await trio.sleep_forever()  # until it is closed: the gateway sends its requests
                old = self._handed_over.pop(source, None)
                link.websocket = await self._connect(request) if old is None else old.websocket
                self._ingress.put(Arrival(Kind.LINK, source, cause=seq, body=text_of(LinkBody(LinkEvent.UP))))
                for frames in old.frames if old is not None else ():
                    if not self._ingress.put_frames(frames):
                        raise WebsocketClosedError(NO_ROOM)
                await self._read(link, source, is_market=request.link.role is LinkRole.MARKET)
        except trio.TooSlowError:
            link.reason = "no connection in time"
        except (WebsocketClosedError, TokenRefusedError) as error:
            link.reason = str(error)
        finally:
            if link.websocket is not None and self.keeps_open and link.reason is SESSION_ENDS:
                self._kept[source] = HandedOverLink(link.websocket)
            elif link.websocket is not None:
                await link.websocket.close()
            del self._open[source]
            self._ingress.put(LinkDown(source, seq, link.reason))

    async def _connect(self, request: RequestBody) -> Websocket:
        assert request.link is not None, "checked by the caller"
        part = "stream" if request.link.role is LinkRole.MARKET else "private"
        setting = venue_setting(request.venue, part, self._venues)
        base = getattr(self._venues[request.venue], part).rstrip("/")
        url = base + request.link.path
        address = url.partition("?")[0]  # without a token
        if self._tls is None and url.startswith("wss:"):
            self._tls = ssl.create_default_context()
        with trio.fail_after(max(self._clock.seconds(request.timeout_ns), OPEN_SECONDS_MIN)):
            if self.find_path is not None:
                url = base + await self.find_path(request)
            try:
                profile = self._profiles.get(request.venue, TransportProfile.STANDARD)
                websocket = await open_websocket(profile, url, self._tls, self._limits.websocket)
            except HandshakeRefusedError as error:
                self._refused.note(address, error.status, setting)
                raise
            self._refused.note(address, OPENED, setting)
            return websocket

    async def _read(self, link: _Link, source: str, *, is_market: bool) -> None:
        assert link.websocket is not None, "opened by the caller"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_alive, link)
            try:
                await link.websocket.read(partial(self._put_frames, source=source, is_market=is_market))
            except WebsocketClosedError as error:
                link.reason = str(error)
            nursery.cancel_scope.cancel()

    def _put_frames(self, recv_ns: int, payloads: list[bytes], *, source: str, is_market: bool) -> bool:
        """Queue the messages of one socket read. Return False if there is no room for them."""
        if len(payloads) <= FRAMES_AT_ONCE:
            return self._ingress.put_frames(FrameBatch(source, is_market, recv_ns, payloads))
        return all(
            self._ingress.put_frames(FrameBatch(source, is_market, recv_ns, payloads[start : start + FRAMES_AT_ONCE]))
            for start in range(0, len(payloads), FRAMES_AT_ONCE)
        )

    async def _keep_alive(self, link: _Link) -> None:
        """Send a ping on a silent connection, and end the link if it stays silent."""
        assert link.websocket is not None, "opened by the caller"
        websocket, limits = link.websocket, self._limits
        while True:
            heard_at = websocket.heard_at
            await trio.sleep_until(heard_at + limits.ping_after_s)
            if websocket.heard_at != heard_at:
                continue
            # our own tasks may have waited: the other side gets its time from the ping on
            grace_s = limits.dead_after_s - limits.ping_after_s
            with trio.move_on_at(max(heard_at + limits.dead_after_s, trio.current_time() + grace_s)):
                try:
                    await websocket.ping()
                except WebsocketClosedError:
                    return  # the reader sees it too, and knows why
                while websocket.heard_at == heard_at:  # noqa: ASYNC110 - an event would be set at every socket read
                    await trio.sleep(limits.ping_after_s)
            if websocket.heard_at == heard_at:
                silent_s = trio.current_time() - heard_at
                link.reason = f"not a byte for {silent_s:.0f} s, and no answer to a ping"
                link.scope.cancel()
                return
