"""Receivers of alerts on loopback: an HTTP server that answers as ordered, and a mail server. Tests of alerts share them."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from threading import Event, Thread
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword


@dataclass
class Answer:
    """An answer of the HTTP server."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"ok"
    is_endless: bool = False  # the body never ends
    is_late: bool = False  # nothing is sent before the test is over


@dataclass
class Post:
    """A request that arrived."""

    path: str
    headers: dict[str, str]
    body: bytes


class HookServer(ThreadingHTTPServer):
    """Keeps each request in a queue, and gives the answers in their order; then 200."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.posts: Queue[Post] = Queue()
        self.answers: list[Answer] = []
        self.over = Event()
        self.scheme = "http" if tls is None else "https"
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)

    @property
    def address(self) -> str:
        return f"{self.scheme}://localhost:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that ends a connection is no error of a test."""


class _Handler(BaseHTTPRequestHandler):
    server: HookServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.put(Post(self.path, dict(self.headers), body))
        answer = self.server.answers.pop(0) if self.server.answers else Answer()
        if answer.is_late:
            self.server.over.wait(60)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if not answer.is_endless:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)
        while answer.is_endless and not self.server.over.is_set():
            self.wfile.write(b"x" * 100_000)

    def log_message(self, *_args: object) -> None:
        """Be silent."""


@contextmanager
def hook_server(tls: ssl.SSLContext | None = None) -> Iterator[HookServer]:
    server = HookServer(tls)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join(30)


class Mailbox:
    """The mails that a server accepted; it refuses some recipients."""

    def __init__(self, *, refused: str = "", refusal: str = "550 no user of this name", data: str = "250 OK") -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.raw: list[bytes] = []
        self._refused, self._refusal, self._data = refused, refusal, data
        self.handle_RCPT, self.handle_DATA = self._check_recipient, self._keep  # the names of aiosmtpd

    async def _check_recipient(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:
        if address == self._refused:
            return self._refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def _keep(self, _server: Any, _session: Any, envelope: Any) -> str:
        self.raw.append(envelope.content)
        self.recipients.append(list(envelope.rcpt_tos))
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))  # type: ignore[arg-type]
        return self._data


class _Controller(Controller):
    """A controller that takes a free port."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@contextmanager
def mail_server(
    box: Mailbox, *, tls: ssl.SSLContext | None = None, starttls: bool = False, login: str = ""
) -> Iterator[int]:
    """Serve mail on a port. `login` is the one USER:PASSWORD that it accepts."""

    def check(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: LoginPassword) -> AuthResult:
        return AuthResult(success=f"{data.login.decode()}:{data.password.decode()}" == login, handled=False)

    more: dict[str, Any] = {"authenticator": check, "auth_required": True} if login else {}
    if starttls:
        more |= {"tls_context": tls, "require_starttls": True}
    elif login:
        more["auth_require_tls"] = False  # it is inside TLS already
    controller = _Controller(
        box, hostname="127.0.0.1", port=0, server_hostname="localhost", ssl_context=None if starttls else tls, **more
    )
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()
