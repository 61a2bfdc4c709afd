"""Input and output of the simulated venue: requests, answers, and outgoing items with their due times.

Values only.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from engine.events import Event
from engine.unwritten import StatedMessage


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A client's HTTP request."""

    method: str
    path: str  # without the query
    query: bytes = b""  # raw, without the question mark
    body: bytes = b""
    headers: Mapping[str, str]  # names in lower case
    # in place of query and body: the parameters of a signed request that was neither encoded nor signed
    params: tuple[tuple[str, str], ...] | None = None


class HttpAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to an HTTP request."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()

    def json(self) -> Any:
        """Decode the body."""
        return msgspec.json.decode(self.body)

    @property
    def named(self) -> dict[str, str]:
        """The headers by their names in lower case."""
        return {name.lower(): value for name, value in self.headers}


class StatedAnswer(msgspec.Struct, frozen=True):
    """The answer to a request that was carried out, as the engine's events. `write` makes the HTTP answer."""

    events: tuple[Event, ...]
    write: Callable[[], HttpAnswer]


class Outgoing(msgspec.Struct, frozen=True):
    """Something for one connection, to be sent at `due_ns`: a frame, an HTTP answer, or the end of it."""

    conn_id: int
    due_ns: int
    frame: bytes | None = None
    answer: HttpAnswer | None = None
    close: bool = False
    binary: bool = False  # the frame is a binary one
    # in place of a frame or an answer: its bytes are made when they are read
    stated: StatedMessage | StatedAnswer | None = None
