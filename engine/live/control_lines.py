"""Lines of the control socket: a request, read from bytes of any client, and its answer."""

import json
import re
from collections.abc import Sequence

import msgspec

from engine.bodies import CommandName
from engine.live.ingress import Command
from journal.printable import in_one_line

COMMANDS = (
    CommandName.PAUSE,
    CommandName.RESUME,
    CommandName.HALT,
    CommandName.CANCEL_ALL,
    CommandName.FLATTEN,
    CommandName.RECONCILE,
    CommandName.STOP,
    CommandName.ACCEPT_BALANCE,
    CommandName.RESUME_INSTRUMENT,
    CommandName.RESUME_STRATEGY,
    CommandName.PAUSE_STRATEGY,
    CommandName.RELOAD_KEYS,
)
LINE_BYTES_MAX = 8192
DEPTH_MAX = 8  # of brackets; a request has one
BY_MAX, REASON_MAX = 64, 200  # characters kept
# commands that concern one object -> characters of its name at most; longer ones are refused
ABOUT_NAMES: dict[str, int] = {
    CommandName.ACCEPT_BALANCE: 65,  # in a session of several venues, below the venue's name
    CommandName.RESUME_INSTRUMENT: 100,
    CommandName.RESUME_STRATEGY: 100,
    CommandName.PAUSE_STRATEGY: 100,
}
VENUE_MAX = 32  # characters of the venue that `reload_keys` may name
# commands that `verbatim kill` extends to the orders of older sessions of the folder
ABOUT_SESSIONS = (CommandName.CANCEL_ALL, CommandName.FLATTEN)
SESSIONS_MAX = 200
_SESSIONS = re.compile(rf"[a-z2-7]{{8}}(?:,[a-z2-7]{{8}}){{0,{SESSIONS_MAX - 1}}}")


class BadLineError(Exception):
    """A line is not a request; the text states why, in one bounded line."""


class ControlRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A command that a client requests."""

    command: str
    by: str = "operator"
    reason: str = ""
    about: str = ""  # the asset, instrument or strategy that it concerns, or older sessions with commas between


_decode = msgspec.json.Decoder(ControlRequest).decode


def parse_line(line: bytes, commands: Sequence[str] = COMMANDS) -> ControlRequest:
    """Return the request of a line without its end.

    msgspec refuses bytes that are not UTF-8, lone surrogates and values of other types, so every text can be recorded.
    A field that is unknown, or given twice, is refused: the client means something that would not be done.

    Raises:
        BadLineError: The line is no request.
    """
    if len(line) > LINE_BYTES_MAX:
        raise BadLineError(f"not a command: the line is longer than {LINE_BYTES_MAX} bytes")
    if _depth(line) > DEPTH_MAX:
        raise BadLineError(f"not a command: its brackets are nested deeper than {DEPTH_MAX}")
    try:
        request = _decode(line)
        repeated = _repeated_field(line)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise BadLineError(f"not a command: {error}") from None
    if repeated:
        raise BadLineError(f"not a command: the field {repeated[:40]!r} is given twice")
    # lines for people have them in their middle
    request = msgspec.structs.replace(
        request, by=in_one_line(request.by)[:BY_MAX], reason=in_one_line(request.reason)[:REASON_MAX]
    )
    if request.command not in commands:
        raise BadLineError(f"no command {request.command[:40]!r}; there are {', '.join(commands)}")
    name_max = ABOUT_NAMES.get(request.command, 0)
    if request.command == CommandName.ACCEPT_BALANCE and not (request.reason and request.about):
        raise BadLineError("accept-balance needs an asset and a reason")
    if request.command in ABOUT_SESSIONS:
        if request.about and _SESSIONS.fullmatch(request.about) is None:
            raise BadLineError(f"{request.command} concerns up to {SESSIONS_MAX} session ids with commas between")
    elif request.command == CommandName.RELOAD_KEYS and len(request.about) <= VENUE_MAX:
        pass  # "": the keys of all accounts
    elif request.about and not name_max:
        raise BadLineError(f"{request.command} concerns no asset, instrument or strategy")
    if name_max and not 0 < len(request.about) <= name_max:
        raise BadLineError(f"{request.command} needs a name of 1 to {name_max} characters")
    return request


def _repeated_field(line: bytes) -> str:
    """Return the first field that an object gives twice, or ""."""
    fields: list[str] = []
    json.loads(line, object_pairs_hook=lambda pairs: fields.extend(name for name, _ in pairs))
    return next((name for place, name in enumerate(fields) if name in fields[:place]), "")


def _depth(line: bytes) -> int:
    """Return an upper bound of the nesting: brackets in strings count too, so that no string can conceal one."""
    depth = deepest = 0
    for byte in line:
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth = max(depth - 1, 0)
    return deepest


def answer_line(answer: dict[str, object]) -> bytes:
    """Return an answer as a line: ASCII, so that no character of it can do harm."""
    return json.dumps(answer).encode() + b"\n"


def answer_of(command: Command) -> dict[str, object]:
    """Return the answer to a command that was processed, or that the session's end prevented."""
    if command.seq < 0:
        return {"error": "the session ended before it took the command"}
    return {"seq": command.seq, "mode": command.mode, "reasons": list(command.reasons), "notes": list(command.notes)}
