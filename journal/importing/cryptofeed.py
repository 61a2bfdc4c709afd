"""Raw files of cryptofeed.

Each line has one of these forms, t in seconds since 1970, and blank lines end a write:

    URL <-> t            a connection was opened     LINK
    URL <- t: text       the client sent a message   LINK
    URL -> t: body       an HTTP answer              FEED, its URL (and header, if kept) in meta
    t: text              a frame was received        FEED, its cause is the LINK of its connection
    configuration: text  the subscribed channels     LINK, with the time of the line before it

Binary frames are in Python's notation of bytes (`b'...'`) and stay in it. Source: cryptofeed/raw_data_collection.py.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from journal.importing.data_kinds import BOOKS, QUOTES, TRADES
from journal.importing.json_text import is_complete
from journal.importing.lines import CapturedRow, CaptureLines, CaptureReader
from journal.importing.stamps import from_number
from journal.record import Kind

NAME = "cryptofeed"
ABOUT = "cryptofeed's raw files: `<seconds>: <frame>`, `URL <-> t`, `URL <- t: sent`, `URL -> t: HTTP body`"
ALLOWS = (TRADES, QUOTES, BOOKS)
_FRAME = re.compile(rb"(\d+(?:\.\d+)?): ")
_URL = re.compile(rb"(\S+://\S*) (<->|<-|->) (\d+(?:\.\d+)?)(: |$)")
_CONFIGURATION = b"configuration: "
_HEADER = b" header: {"


def is_format(head: bytes, _name: str) -> bool:
    """Return True if the first line has one of the forms."""
    line = head.lstrip(b"\n").partition(b"\n")[0]
    return line.startswith(_CONFIGURATION) or any(shape.match(line) for shape in (_FRAME, _URL))


def read(lines: CaptureLines) -> CaptureReader:
    """Read a file, with receive times."""
    return CaptureReader("receive", {"unit": "s"}, _rows(lines))


def _rows(lines: CaptureLines) -> Iterator[CapturedRow]:
    for line in lines:
        if not line:
            continue
        text = line
        if match := _FRAME.match(line):
            text = line[match.end() :]
            row = CapturedRow(_ns(lines, match[1]), text)
        elif match := _URL.match(line):
            text = line[match.end() :]
            row = _row_with_url(_ns(lines, match[3]), match[1].decode(), match[2], text)
        elif line.startswith(_CONFIGURATION):
            text = line[len(_CONFIGURATION) :]
            row = CapturedRow(None, None, Kind.LINK, _link("configuration", text=text.decode()))
        else:
            raise lines.damaged("does not begin with a receive time or a URL")
        if lines.cut and not is_complete(text):
            raise lines.damaged("the last line is truncated")
        yield row


def _ns(lines: CaptureLines, text: bytes) -> int:
    try:
        return from_number(text, "s")
    except ValueError as error:
        raise lines.damaged(str(error)) from error


def _row_with_url(stamp_ns: int, url: str, arrow: bytes, text: bytes) -> CapturedRow:
    if arrow == b"<->":
        return CapturedRow(stamp_ns, None, Kind.LINK, _link("up", url=url))
    if arrow == b"<-":
        return CapturedRow(stamp_ns, None, Kind.LINK, _link("sent", url=url, text=text.decode()))
    body, header = _split_header(text)
    return CapturedRow(stamp_ns, body, meta={"url": url} if header is None else {"url": url, "header": header})


def _link(state: str, **details: str) -> dict[str, Any]:
    return {"state": state, **details}


def _split_header(text: bytes) -> tuple[bytes, str | None]:
    """Split an HTTP body from the header that follows it in some files."""
    at = text.rfind(_HEADER)
    if at < 0:
        return text, None
    header = text[at + len(_HEADER) - 1 :]
    try:
        msgspec.json.decode(header, type=dict)
    except msgspec.DecodeError:
        return text, None
    return text[:at], header.decode()
