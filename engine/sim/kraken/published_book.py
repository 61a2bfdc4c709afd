"""The book of a pair as the simulated Kraken publishes it: its best levels, changes of them, and checksums."""

import zlib
from collections.abc import Iterable
from typing import Any, Final

from engine.sim.exchange.symbol_view import SymbolMarket
from engine.sim.kraken.words import number, stamp
from engine.sim.units import PLACES

CHECKED: Final = 10

Side = dict[int, int]  # price -> size, best first


class PublishedBook:
    """What the subscribers of a pair and a depth hold."""

    def __init__(self, market: SymbolMarket, depth: int, decimals: tuple[int, int]) -> None:
        """Take the book as it is.

        Args:
            market: The pair.
            depth: Levels of each side.
            decimals: Of prices and of quantities, as the checksum writes them.

        """
        self._market = market
        self._depth = depth
        self._price_unit, self._size_unit = (10 ** (PLACES - places) for places in decimals)
        self._sides = self._current()

    def _current(self) -> tuple[Side, Side]:
        bids, asks = self._market.top(self._depth)
        return dict(bids), dict(asks)

    def snapshot(self, now_ns: int) -> dict[str, Any]:
        """Return the whole book."""
        return self._row([side.items() for side in self._sides], now_ns)

    def update(self, now_ns: int) -> dict[str, Any] | None:
        """Return what changed since the last message; None if nothing did.

        A level that better ones pushed out of the depth gets no deletion: the client drops it.
        """
        before, self._sides = self._sides, self._current()
        changes: list[list[tuple[int, int]]] = []
        for old, new, is_worse in zip(before, self._sides, (min, max), strict=True):
            worst = is_worse(new) if len(new) == self._depth else None
            gone = [
                (price, 0) for price in old if price not in new and (worst is None or is_worse(price, worst) != price)
            ]
            changes.append([*gone, *((price, size) for price, size in new.items() if old.get(price) != size)])
        return self._row(changes, now_ns) if any(changes) else None

    def _row(self, sides: Iterable[Iterable[tuple[int, int]]], now_ns: int) -> dict[str, Any]:
        bids, asks = ([{"price": number(price), "qty": number(size)} for price, size in side] for side in sides)
        name = self._market.rules.symbol
        return {"symbol": name, "bids": bids, "asks": asks, "checksum": self.checksum, "timestamp": stamp(now_ns)}

    @property
    def checksum(self) -> int:
        """Return the CRC32 of the best ten levels: asks, then bids, each as digits."""
        bids, asks = self._sides
        text = "".join(
            f"{price // self._price_unit}{size // self._size_unit}"
            for side in (asks, bids)
            for price, size in list(side.items())[:CHECKED]
        )
        return zlib.crc32(text.encode())
