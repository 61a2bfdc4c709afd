"""The cockpit's server: files of the page, JSON about sessions by range, server-sent events, commands.

    GET  /                              the page
    GET  /page/NAME                     its scripts and styles: names of the packaged files only
    GET  /api/sessions                  overview
    GET  /api/s/ID/NAME?...             one answer of SessionView
    POST /api/s/ID/sql                  a query, in a worker process
    POST /api/s/ID/command              a command for a running session, through its control socket
    GET  /api/s/ID/stream               events while a session runs

Every answer is computed in a thread; a slow one delays no other session.
"""

import getpass
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial
from importlib.resources import files
from typing import Any

import msgspec
import trio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from analysis.sql_session import QueryError
from analysis.why import UnknownOrderError
from engine.errors import CoreError
from engine.live.control_socket import ControlError, send_command, socket_path
from journal.errors import JournalError, UnknownSessionError
from replay.study.pnl_bridge import bridge_json, bridge_sessions
from replay.study.session_diff import diff_sessions
from verbatim.cockpit.answers import ANSWERS, BadQuestionError, Parameters
from verbatim.cockpit.at_cursor import with_texts
from verbatim.cockpit.guards import BodyTooLargeError
from verbatim.cockpit.queries import QueryWorkers
from verbatim.cockpit.registry import Registry
from verbatim.cockpit.session_view import NotAnswerableError, SessionView

TICK_SECONDS = 0.5  # between two events of a running session
STREAMS_MAX = 24
COMMANDS = (
    "pause",
    "resume",
    "halt",
    "cancel_all",
    "flatten",
    "reconcile",
    "stop",
    "pause_strategy",
    "resume_strategy",
    "resume_instrument",
)
CONFIRMED = {"halt", "cancel_all", "flatten", "stop"}  # the person types the session's id
TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".html": "text/html",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}
COMMAND_HEADER = "x-verbatim-command"


class Cockpit:
    """The application's state and its handlers."""

    def __init__(self, registry: Registry, *, command_token: str, can_command: bool) -> None:
        """Prepare.

        Args:
            registry: The sessions.
            command_token: What a command must carry.
            can_command: False refuses all commands.
        """
        self._registry = registry
        self._command_token = command_token
        self._can_command = can_command
        self._queries = QueryWorkers()
        self._files = {entry.name: entry.read_bytes() for entry in _page_files()}
        self._streams: dict[str, _Ticker] = {}
        self._stream_count = 0

    def app(self) -> Starlette:
        """Return the ASGI application, without its guard."""
        return Starlette(
            routes=[
                Route("/", self._page),
                Route("/page/{name}", self._file),
                Route("/api/sessions", self._sessions),
                Route("/api/s/{session}/sql", self._sql, methods=["POST"]),
                Route("/api/s/{session}/command", self._command, methods=["POST"]),
                Route("/api/s/{session}/compare", self._compare),
                Route("/api/s/{session}/stream", self._stream),
                Route("/api/s/{session}/{name}", self._answer),
            ]
        )

    async def aclose(self) -> None:
        """End worker processes."""
        self._registry.close()
        await self._queries.aclose()

    # ---- the page

    async def _page(self, _request: Request) -> Response:
        token = self._command_token if self._can_command else ""
        text = self._files["index.html"].decode().replace("{{command-token}}", token)
        return Response(text, media_type="text/html")

    async def _file(self, request: Request) -> Response:
        name = request.path_params["name"]
        kind = TYPES.get(name[name.rfind(".") :]) if "." in name else None
        if name not in self._files or kind is None or name == "index.html":
            return _error(404, "there is no such file")
        return Response(self._files[name], media_type=kind)

    # ---- data

    async def _sessions(self, _request: Request) -> Response:
        return _json(await trio.to_thread.run_sync(self._registry.overview))

    async def _answer(self, request: Request) -> Response:
        name, given = request.path_params["name"], Parameters(request.query_params)
        if name not in ANSWERS:
            return _error(404, f"there is no answer {name[:40]!r}")

        def work() -> Any:
            view = self._registry.view(request.path_params["session"])
            return _loading(view) or ANSWERS[name](view, given)

        return await _answered(work)

    async def _compare(self, request: Request) -> Response:
        given = Parameters(request.query_params)

        def work() -> Any:
            ours = self._registry.view(request.path_params["session"])
            theirs = self._registry.view(given.text("other"))
            if waiting := _loading(ours) or _loading(theirs):
                return waiting
            found: dict[str, Any] = with_texts(diff_sessions(ours.folder, theirs.folder).as_json())
            for part in found["partings"]:
                at_ns = int(part.pop("time_ns"))
                part["time"] = max(min(at_ns, ours.last_ns) - ours.origin_ns, 0) if at_ns else 0
            bridge: Any = bridge_json(bridge_sessions(ours.folder, theirs.folder))
            return found | {"bridge": with_texts(bridge), "other": theirs.name, "shift": str(_shift(ours, theirs))}

        return await _answered(work)

    async def _sql(self, request: Request) -> Response:
        fields = await _fields(request)
        if fields is None or not isinstance(fields.get("query"), str):
            return _error(400, "the body must be an object with the text `query`")
        try:
            view = await trio.to_thread.run_sync(self._registry.view, request.path_params["session"])
        except JournalError as error:
            return _error(404, str(error))
        return _json(await self._queries.run(view.folder, fields["query"], view.last_seq))

    # ---- commands

    async def _command(self, request: Request) -> Response:
        if not self._can_command:
            return _error(403, "this cockpit was started with --read-only")
        if request.headers.get(COMMAND_HEADER, "") != self._command_token:
            return _error(403, "the command has no token. What to do: reload the page")
        if "origin" not in request.headers:  # the guard compared it
            return _error(403, "a command needs the page's origin")
        fields = await _fields(request)
        command = "" if fields is None else fields.get("command")
        if fields is None or command not in COMMANDS or not all(isinstance(value, str) for value in fields.values()):
            return _error(400, f"the command is not one of {', '.join(COMMANDS)}")
        try:
            view = await trio.to_thread.run_sync(self._registry.view, request.path_params["session"])
        except JournalError as error:
            return _error(404, str(error))
        if command in CONFIRMED and fields.get("confirm") != view.name:
            return _error(400, f"type the session's id, {view.name}, to confirm {command}")
        send = partial(
            send_command,
            socket_path(view.folder.resolve().parent, view.name),
            command=str(command),
            by=f"{getpass.getuser()} (cockpit)",
            reason=fields.get("reason", ""),
            about=fields.get("about", ""),
        )
        try:
            return _json(with_texts(await trio.to_thread.run_sync(send)))
        except (ControlError, json.JSONDecodeError) as error:
            return _error(409, str(error))

    # ---- events

    async def _stream(self, request: Request) -> Response:
        try:
            view = await trio.to_thread.run_sync(self._registry.view, request.path_params["session"])
        except JournalError as error:
            return _error(404, str(error))
        if self._stream_count >= STREAMS_MAX:
            return _error(503, f"{STREAMS_MAX} pages follow sessions already")
        return _EventStream(self._events(view))

    async def _events(self, view: SessionView) -> AsyncGenerator[bytes, None]:
        """Yield an event for new records. A client that reads slowly misses events, never newer ones."""
        ticker = self._streams.setdefault(view.name, _Ticker(view))
        self._stream_count += 1
        seen = -1
        try:
            while True:
                await ticker.advance()
                if view.last_seq != seen or not view.is_live:
                    seen = view.last_seq
                    event = {"last_seq": seen, "last_time": view.last_ns - view.origin_ns, "is_live": view.is_live}
                    yield b"data: " + msgspec.json.encode(event) + b"\n\n"
                    if not view.is_live:
                        return
                else:
                    yield b": still here\n\n"
                await trio.sleep(TICK_SECONDS)
        finally:
            self._stream_count -= 1


class _EventStream(StreamingResponse):
    """An answer of events, whose generator is closed as soon as its client leaves."""

    def __init__(self, events: AsyncGenerator[bytes, None]) -> None:
        super().__init__(events, media_type="text/event-stream")
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._events):
            await super().__call__(scope, receive, send)


class _Ticker:
    """Reads on in one session, once for all clients that follow it."""

    def __init__(self, view: SessionView) -> None:
        self._view = view
        self._read_at = -1.0
        self._lock = trio.Lock()

    async def advance(self) -> None:
        """Read what is new, unless another client just did."""
        async with self._lock:
            if trio.current_time() - self._read_at < TICK_SECONDS / 2:
                return
            await trio.to_thread.run_sync(self._read)
            self._read_at = trio.current_time()

    def _read(self) -> None:
        self._view.open()
        while self._view.advance() and self._view.is_live and self._view.is_behind:
            pass


def _shift(ours: SessionView, theirs: SessionView) -> int:
    """Return the nanoseconds to add to their times on our axis: sessions that never overlap begin together."""
    shift = theirs.origin_ns - ours.origin_ns
    does_overlap = theirs.last_ns > ours.origin_ns and ours.last_ns > theirs.origin_ns
    return shift if does_overlap else 0


def _loading(view: SessionView) -> dict[str, Any] | None:
    """Start or continue loading. Return progress if it takes longer than a moment."""
    if view.is_loaded:
        return None
    if view.start_loading():
        return None
    return {"loading": round(view.progress, 3)}


async def _answered(work: Callable[[], Any]) -> Response:
    try:
        return _json(await trio.to_thread.run_sync(work))
    except BadQuestionError as error:
        return _error(400, str(error))
    except UnknownSessionError as error:
        return _error(404, str(error))
    except (NotAnswerableError, UnknownOrderError, QueryError, JournalError, CoreError, ValueError) as error:
        return _error(422, " ".join(str(error).split())[:600])


async def _fields(request: Request) -> dict[str, Any] | None:
    try:
        found = msgspec.json.decode(await request.body())
    except BodyTooLargeError:
        raise HTTPException(413, "the body is too large") from None
    except (msgspec.MsgspecError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


def _error(status: int, text: str) -> Response:
    return Response(msgspec.json.encode({"error": text}), status_code=status, media_type="application/json")


def _page_files() -> list[Any]:
    folder = files("verbatim.cockpit").joinpath("page")
    found = [*folder.iterdir(), *folder.joinpath("vendor").iterdir()]
    return [entry for entry in found if entry.is_file()]
