"""The guard of the cockpit: it serves this machine, its own page and holders of the token only.

The server listens on loopback. A page of another site can still make a browser send requests to it, and every user of
the machine can connect. So each request needs the address that was opened as its Host (no rebinding of names), the
same Origin if it states one, and the cookie that the printed address sets. Commands need another token too, which only
the page itself holds.
"""

import hmac
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

import trio

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

CONTENT_SECURITY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", CONTENT_SECURITY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
BODY_BYTES_MAX = 65_536
URL_BYTES_MAX = 8_192
ACTIVE_MAX = 64  # requests in work
WAITING_SECONDS = 5.0  # for one of them to end
SEND_SECONDS = 20.0  # for a client to read one part of an answer
BODY_SECONDS = 10.0  # for a client to send its body


class RequestGuard:
    """The outermost layer of the server."""

    def __init__(self, app: App, *, port: int, token: str) -> None:
        """Wrap an application.

        Args:
            app: The application.
            port: Where the server listens.
            token: What the cookie must hold.
        """
        self._app = app
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")}
        self._origins = {f"http://{host}" for host in self._hosts}
        self._token = token
        self.cookie = f"verbatim-{port}"
        self._active = trio.CapacityLimiter(ACTIVE_MAX)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise NotHttpError(scope["type"])  # hypercorn then runs without a lifespan, and refuses websockets
        if (refusal := self._refusal(scope)) is not None:
            await _plain_answer(send, *refusal)
            return
        if (answer := self._sign_in(scope)) is not None:
            await _plain_answer(send, *answer)
            return
        with trio.move_on_after(WAITING_SECONDS) as waiting:
            await self._active.acquire_on_behalf_of(scope_key := object())
        if waiting.cancelled_caught:
            await _plain_answer(send, 503, "the cockpit is busy; try again")
            return
        try:
            await self._app(scope, _bounded_receive(receive), _bounded_send(send))
        except (ClientTooSlowError, BodyTooLargeError):
            pass  # the connection ends with the request
        finally:
            self._active.release_on_behalf_of(scope_key)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = [(name.lower(), value.decode("latin-1")) for name, value in scope["headers"]]
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return 421, "this address is not the cockpit's. What to do: open the address that verbatim cockpit printed"
        if any(value.lower() not in self._origins for name, value in headers if name == b"origin"):
            return 403, "another site may not use the cockpit"
        if any(value not in ("same-origin", "none") for name, value in headers if name == b"sec-fetch-site") and not (
            scope["method"] == "GET" and scope["path"] == "/"
        ):
            return 403, "another site may not use the cockpit"
        if len(scope["raw_path"]) + len(scope["query_string"]) > URL_BYTES_MAX:
            return 414, "the address is too long"
        return None

    def _sign_in(self, scope: Scope) -> tuple[int, str] | tuple[int, str, list[tuple[bytes, bytes]]] | None:
        """Return an answer to a request without the cookie, or to the address that sets it."""
        query = scope["query_string"].decode("latin-1")
        given = next((part[6:] for part in query.split("&") if part.startswith("token=")), "")
        if scope["path"] == "/" and given and _equal(given, self._token):
            cookie = f"{self.cookie}={self._token}; HttpOnly; SameSite=Strict; Path=/"
            return 303, "", [(b"location", b"/"), (b"set-cookie", cookie.encode())]
        if _equal(self._cookie_of(scope), self._token):
            return None
        return 401, "no token. What to do: open the address that verbatim cockpit printed, with its token"

    def _cookie_of(self, scope: Scope) -> str:
        found = [value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"cookie"]
        try:
            cookies = SimpleCookie("; ".join(found))
        except CookieError:
            return ""
        return cookies[self.cookie].value if self.cookie in cookies else ""


class NotHttpError(Exception):
    """The cockpit speaks HTTP only."""


class ClientTooSlowError(Exception):
    """A client does not read its answer."""


class BodyTooLargeError(Exception):
    """A client sends more than a request may hold, or sends too slowly."""


def new_token() -> str:
    """Return a new secret."""
    return secrets.token_urlsafe(24)


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _bounded_receive(receive: Receive) -> Receive:
    received, is_whole = 0, False

    async def next_part() -> MutableMapping[str, Any]:
        nonlocal received, is_whole
        if is_whole:
            return await receive()  # waits for the client to leave
        with trio.move_on_after(BODY_SECONDS):
            message = await receive()
            received += len(message.get("body", b""))
            is_whole = not message.get("more_body", False)
            if received <= BODY_BYTES_MAX:
                return message
        raise BodyTooLargeError

    return next_part


def _bounded_send(send: Send) -> Send:
    async def bounded(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *HEADERS]}
        with trio.move_on_after(SEND_SECONDS) as scope:
            await send(message)
        if scope.cancelled_caught:
            raise ClientTooSlowError

    return bounded


async def _plain_answer(send: Send, status: int, text: str, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    body = text.encode()
    fields = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    start = {"type": "http.response.start", "status": status, "headers": [*fields, *(headers or []), *HEADERS]}
    await send(start)
    await send({"type": "http.response.body", "body": body})
