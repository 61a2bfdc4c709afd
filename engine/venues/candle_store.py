"""Candles of a session or a file that answer requests for bars in the venue's place. In memory; reads no file."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, Final

from engine.bodies import RequestBody
from engine.market.history import Candle, encode_candles
from engine.model import Instrument
from engine.requests import AnswerStatus, HistoryPage

SECOND_NS: Final = 1_000_000_000


class CandleStore:
    """Candles by symbol and length. A page is made of the longest that fit."""

    def __init__(self, name: str) -> None:
        """Make an empty store. `name` states where its candles are from."""
        self.name = name
        self._candles: dict[str, dict[int, dict[int, Candle]]] = {}

    def add(self, symbol: str, interval_ns: int, candles: Iterable[Candle]) -> None:
        """Add candles of one length. The first of two with the same start counts, unless the second is complete."""
        known = self._candles.setdefault(symbol, {}).setdefault(interval_ns, {})
        for candle in candles:
            if candle.start_ns not in known or (candle.complete and not known[candle.start_ns].complete):
                known[candle.start_ns] = candle

    def __len__(self) -> int:
        """Return the number of candles."""
        return sum(len(candles) for lengths in self._candles.values() for candles in lengths.values())

    def page(self, symbol: str, page: HistoryPage) -> list[Candle]:
        """Return the candles of a page that are known, oldest first."""
        fitting = {
            interval_ns: candles
            for interval_ns, candles in self._candles.get(symbol, {}).items()
            if page.base_ns % interval_ns == 0
        }
        found = []
        for start_ns in range(page.start_ns, page.end_ns, page.base_ns):
            best: Candle | None = None
            for interval_ns in sorted(fitting, reverse=True):
                candles = fitting[interval_ns]
                starts = range(start_ns, start_ns + page.base_ns, interval_ns)
                parts = [candles[ns] for ns in starts if ns in candles]
                if parts and (best is None or not best.complete):
                    joined = _joined(start_ns, parts, is_whole=len(parts) == len(starts))
                    best = joined if best is None or joined.complete else best
            if best is not None:
                found.append(best)
        return found


def stored_answer(
    store: CandleStore | None, instruments: Iterable[Instrument], request: RequestBody
) -> tuple[dict[str, Any], bytes]:
    """Return (meta, payload) of the record that answers a request for bars in the venue's place."""
    assert request.history is not None, "a request for bars says which"
    symbol = next(each.symbol for each in instruments if each.id == request.instrument)
    candles = [] if store is None else store.page(symbol, request.history)
    meta = {"outcome": AnswerStatus.ANSWER, "status": 200, "history": "" if store is None else store.name}
    return meta, encode_candles(candles)


def _joined(start_ns: int, parts: Sequence[Candle], *, is_whole: bool) -> Candle:
    """Return one candle made of shorter ones."""
    return Candle(
        start_ns=start_ns,
        open=parts[0].open,
        high=max((part.high for part in parts), key=Decimal),
        low=min((part.low for part in parts), key=Decimal),
        close=parts[-1].close,
        volume=f"{sum((Decimal(part.volume) for part in parts), Decimal(0)):f}",
        trades=sum(part.trades for part in parts),
        complete=is_whole and all(part.complete for part in parts),
    )
