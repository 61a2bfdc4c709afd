"""Tardis.dev's raw feeds: `<local time> <message>` a line, with the messages as the exchange sent them.

An empty line is a lost connection, and becomes a LINK record. Of Binance, Tardis adds `@depthSnapshot` messages, each
an answer to a query for the book in an envelope: such a record holds the answer itself, and its meta the envelope's
stream. Source: docs.tardis.dev, data feeds of the HTTP API.
"""

import json
import re
from collections.abc import Iterator

from journal.importing.data_kinds import BOOKS, QUOTES, TRADES
from journal.importing.json_text import is_complete
from journal.importing.lines import CapturedRow, CaptureLines, CaptureReader
from journal.importing.stamps import from_iso
from journal.record import Kind

NAME = "tardis-raw"
ABOUT = "Tardis.dev's raw feeds: `<local time in ISO 8601> <message>` a line"
ALLOWS = (TRADES, QUOTES, BOOKS)
_LINE = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z) ")
_SNAPSHOT = re.compile(rb'\{"stream":"([^@"]+)@depthSnapshot(?:@[^"]*)?"(?:,"generated":true)?,"data":')


def is_format(head: bytes, _name: str) -> bool:
    """Return True if the first line begins with a time and a message."""
    line = head.lstrip(b"\r\n").partition(b"\n")[0]
    match = _LINE.match(line)
    return match is not None and line[match.end() : match.end() + 1] in (b"{", b"[")


def read(lines: CaptureLines) -> CaptureReader:
    """Read a file, with receive times."""
    return CaptureReader("receive", {"unit": "iso"}, _rows(lines))


def _rows(lines: CaptureLines) -> Iterator[CapturedRow]:
    is_lost = False
    for line in lines:
        if not line.strip():
            if not is_lost:
                yield CapturedRow(None, None, Kind.LINK, {"state": "down", "text": "Tardis lost its connection"})
            is_lost = True
            continue
        match = _LINE.match(line)
        if match is None:
            raise lines.damaged("does not begin with a time in ISO 8601")
        message = line[match.end() :].rstrip(b"\r")
        if lines.cut and not is_complete(message):
            raise lines.damaged("the last line is truncated")
        is_lost = False
        try:
            time_ns = from_iso(match[1])
        except ValueError as error:
            raise lines.damaged(f"begins with a time that does not exist ({error})") from error
        if (snapshot := _SNAPSHOT.match(message)) is None:
            yield CapturedRow(time_ns, message)
            continue
        name = snapshot[1].decode()
        meta = {"stream": json.loads(message[: snapshot.end()] + b"0}")["stream"], "asked": f"?symbol={name.upper()}"}
        yield CapturedRow(time_ns, message[snapshot.end() : -1], meta=meta)
