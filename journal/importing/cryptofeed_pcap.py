"""Captures of cryptofeed 3: pcap files in which it writes its connections as TCP streams, plain or zstd.

A connection begins with an HTTP request whose headers name its address. A websocket's frames follow, or requests and
answers of HTTP. A frame is a FEED record whose cause is the LINK of its connection, an answer a FEED record with its
URL. Only files in the form of cryptofeed's writer are read: segments in order, headers of fixed size. A segment that
is missing or repeated, or a message without its end, is damage.
Source: cryptofeed/capture/pcap.py of cryptofeed 3.0.1.
"""

import struct
from collections.abc import Iterator
from typing import Any, Final

from journal.importing.data_kinds import BOOKS, QUOTES, TRADES
from journal.importing.lines import CapturedRow, CaptureLines, CaptureReader
from journal.record import Kind

NAME = "cryptofeed-pcap"
ABOUT = "captures of cryptofeed 3: pcap or pcap.zst"
ALLOWS = (TRADES, QUOTES, BOOKS)
MAGIC = b"\x4d\x3c\xb2\xa1"  # pcap with nanoseconds, little endian
SERVER_PORT: Final = 80
FRAME_BYTES_MAX: Final = 1 << 20
MESSAGE_BYTES_MAX: Final = 64 << 20  # as the longest line of a text file
HEADERS = 14 + 20 + 20  # Ethernet, IP, TCP
SYN, FIN = 0x02, 0x01
TEXT, BINARY = 0x1, 0x2
HEAD_END = b"\r\n\r\n"
_FILE, _RECORD = struct.Struct("<IHHiIII"), struct.Struct("<IIII")
_PORTS_AND_SEQUENCE = struct.Struct("!HHI")
_SEQUENCES: Final = 1 << 32  # TCP's numbers of bytes begin again at 0


def is_format(head: bytes, _name: str) -> bool:
    """Return True if the file is a pcap with nanoseconds."""
    return head.startswith(MAGIC)


def read(lines: CaptureLines) -> CaptureReader:
    """Read a capture, with receive times."""
    return CaptureReader("receive", {"unit": "ns"}, _rows(lines))


def _rows(lines: CaptureLines) -> Iterator[CapturedRow]:
    streams: dict[int, _Stream] = {}
    for time_ns, packet in _packets(lines):
        source, target, sequence = _PORTS_AND_SEQUENCE.unpack_from(packet, HEADERS - 20)
        is_ours, port = target == SERVER_PORT, source if target == SERVER_PORT else target
        flags, data = packet[HEADERS - 7], packet[HEADERS:]
        try:
            if flags & SYN and is_ours:
                if port in streams:
                    streams[port].check_ended()
                streams[port] = _Stream(port)
            stream = streams.get(port)
            if stream is None:
                raise lines.damaged("belongs to no connection that the file opens")
            stream.check_sequence(sequence, len(data), flags, is_ours=is_ours)
            if data:
                yield from stream.add(time_ns, data, is_ours=is_ours)
            if flags & FIN and is_ours:
                yield stream.row(time_ns, "closed")
        except (ValueError, LookupError, struct.error) as error:
            raise lines.damaged(f"is not as cryptofeed writes it ({error})") from error
    for stream in streams.values():
        try:
            stream.check_ended()
        except ValueError as error:
            raise lines.damaged(f"is the last packet, and {error}") from error


def _packets(lines: CaptureLines) -> Iterator[tuple[int, bytes]]:
    """Yield time and bytes of each packet."""
    header = lines.read_bytes(_FILE.size)
    if len(header) < _FILE.size or not header.startswith(MAGIC):
        raise lines.damaged("is not the beginning of a pcap with nanoseconds", line=1)
    while head := lines.read_bytes(_RECORD.size):
        lines.number += 1
        if len(head) < _RECORD.size:
            raise lines.damaged("the last packet is truncated")
        seconds, below_ns, size, _ = _RECORD.unpack(head)
        if not HEADERS <= size <= FRAME_BYTES_MAX:
            raise lines.damaged(f"has {size} bytes")
        packet = lines.read_bytes(size)
        if len(packet) < size:
            raise lines.damaged("the last packet is truncated")
        yield seconds * 1_000_000_000 + below_ns, packet


class _Side:
    """Bytes that one side of a connection sent and that are not read yet."""

    def __init__(self) -> None:
        self.data = b""
        self.begun_ns = 0  # when its first byte came
        self._sequence = 0  # TCP's number of the next byte

    def check_sequence(self, sequence: int, size: int, flags: int) -> None:
        """Raise ValueError unless a segment follows the one before it. The first one begins the numbers."""
        if not flags & SYN and (ahead := (sequence - self._sequence) % _SEQUENCES):
            before = _SEQUENCES - ahead
            raise ValueError(f"{ahead} bytes before it are missing" if ahead < before else f"it repeats {before} bytes")
        self._sequence = (sequence + size + bool(flags & SYN) + bool(flags & FIN)) % _SEQUENCES

    def add(self, time_ns: int, data: bytes) -> None:
        if not self.data:
            self.begun_ns = time_ns
        self.data += data

    def head(self) -> tuple[str, dict[str, str], int] | None:
        """Return first line, headers and length of a complete HTTP head."""
        end = self.data.find(HEAD_END)
        if end < 0:
            return None
        first, *rest = self.data[:end].decode().split("\r\n")
        pairs = (line.partition(": ") for line in rest)
        return first, {name.lower(): value for name, _, value in pairs}, end + len(HEAD_END)

    def read_body(self) -> bytes | None:
        """Remove an HTTP message and return its body; None if it is not complete."""
        found = self.head()
        if found is None:
            return None
        _, headers, begin = found
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MESSAGE_BYTES_MAX:
            raise ValueError(f"a body of {length[:20]} bytes")
        end = begin + int(length)
        if len(self.data) < end:
            return None
        body, self.data = self.data[begin:end], self.data[end:]
        return body

    def read_frame(self) -> bytes | None:
        """Remove a websocket frame and return its payload; None if it is not complete. Its mask is all zeros."""
        if len(self.data) < 2:
            return None
        opcode, size, begin = self.data[0] & 0x0F, self.data[1] & 0x7F, 2
        if opcode not in (TEXT, BINARY):
            raise ValueError(f"a frame with the opcode {opcode}")
        if size > 125:
            form = "!H" if size == 126 else "!Q"
            begin += struct.calcsize(form)
            if len(self.data) < begin:
                return None
            (size,) = struct.unpack_from(form, self.data, 2)
        if size > MESSAGE_BYTES_MAX:
            raise ValueError(f"a frame of {size} bytes")
        begin += 4 if self.data[1] & 0x80 else 0
        if len(self.data) < begin + size:
            return None
        payload, self.data = self.data[begin : begin + size], self.data[begin + size :]
        return payload


class _Stream:
    """One connection."""

    def __init__(self, port: int) -> None:
        self._name = str(port)
        self._ours, self._theirs = _Side(), _Side()
        self._url = ""
        self._is_websocket = self._is_upgraded = False
        self._asked: list[str] = []  # addresses of requests without an answer yet

    def row(self, time_ns: int, state: str, **details: Any) -> CapturedRow:
        """Return a LINK record of this connection."""
        return CapturedRow(time_ns, None, Kind.LINK, {"state": state, "url": self._url, **details}, link=self._name)

    def check_sequence(self, sequence: int, size: int, flags: int, *, is_ours: bool) -> None:
        """Raise ValueError unless a segment follows the one before it from the same side."""
        (self._ours if is_ours else self._theirs).check_sequence(sequence, size, flags)

    def check_ended(self) -> None:
        """Raise ValueError if the connection ends within a message."""
        for side in (self._ours, self._theirs):
            if side.data:
                raise ValueError(f"the last message of connection {self._name} is not complete")

    def add(self, time_ns: int, data: bytes, *, is_ours: bool) -> Iterator[CapturedRow]:
        """Add what one side sent, and yield what is complete."""
        side = self._ours if is_ours else self._theirs
        side.add(time_ns, data)
        if not self._url:
            yield from self._open(time_ns)
        if not self._is_websocket:
            yield from self._answers() if self._url else ()
            return
        if not self._is_upgraded:
            if self._theirs.read_body() is None:  # the answer to the upgrade
                return
            self._is_upgraded = True
        while (payload := side.read_frame()) is not None:
            if is_ours:
                yield self.row(side.begun_ns, "sent", text=payload.decode(errors="replace"))
            else:
                yield CapturedRow(side.begun_ns, payload, link=self._name)
            side.begun_ns = time_ns

    def _open(self, time_ns: int) -> Iterator[CapturedRow]:
        """Read the request that opens the connection."""
        found = self._ours.head()
        if found is None:
            return
        _, headers, _ = found
        self._is_websocket = headers.get("upgrade", "").lower() == "websocket"
        self._url = headers["x-cryptofeed-address" if self._is_websocket else "x-cryptofeed-url"]
        if self._is_websocket:
            self._ours.read_body()
            resumed = {"resumed": True} if "x-cryptofeed-resumed" in headers else {}
            yield self.row(time_ns, "up", **resumed)

    def _answers(self) -> Iterator[CapturedRow]:
        while (found := self._ours.head()) is not None and self._ours.read_body() is not None:
            self._asked.append(found[1]["x-cryptofeed-url"])
        while self._asked and (body := self._theirs.read_body()) is not None:
            yield CapturedRow(self._theirs.begun_ns, body, meta={"url": self._asked.pop(0)})
