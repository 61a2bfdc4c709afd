"""Payloads as places in one text. A codec that scans the text makes no object for each of them."""

from collections.abc import Iterator, Sequence
from typing import Self, overload

import numpy as np
from numpy.typing import NDArray

from engine.market.rows import Rows


class PackedPayloads(Sequence[bytes]):
    """The payloads `text[begins[k]:ends[k]]`."""

    __slots__ = ("begins", "ends", "text")

    def __init__(self, text: NDArray[np.uint8], begins: Rows, ends: Rows) -> None:
        self.text = text
        self.begins = begins
        self.ends = ends

    @classmethod
    def pack(cls, payloads: Sequence[bytes]) -> Self:
        """Return payloads as places in one text; packed ones unchanged."""
        if isinstance(payloads, cls):
            return payloads
        places = np.zeros(len(payloads) + 1, np.int64)
        np.cumsum(np.fromiter(map(len, payloads), np.int64, len(payloads)), out=places[1:])
        return cls(np.frombuffer(b"".join(payloads), np.uint8), places[:-1], places[1:])

    @property
    def byte_count(self) -> int:
        """The bytes of all payloads."""
        return int((self.ends - self.begins).sum())

    def __len__(self) -> int:
        return len(self.begins)

    def __iter__(self) -> Iterator[bytes]:
        text = self.text.data
        return (bytes(text[begin:end]) for begin, end in zip(self.begins.tolist(), self.ends.tolist(), strict=True))

    @overload
    def __getitem__(self, at: int) -> bytes: ...

    @overload
    def __getitem__(self, at: slice) -> Self: ...

    def __getitem__(self, at: int | slice) -> bytes | Self:
        if isinstance(at, slice):
            return type(self)(self.text, self.begins[at], self.ends[at])
        return self.text[self.begins[at] : self.ends[at]].tobytes()
