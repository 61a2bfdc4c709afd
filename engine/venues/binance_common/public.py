"""Requests that need no account: book snapshots, metadata and the venue's clock.

Values only; answers are read elsewhere.
"""

import json
from collections.abc import Callable, Sequence

from engine.events import InstrumentsReport
from engine.model import Instrument
from engine.requests import Transport, Unsigned


class DepthSnapshots:
    """An engine.venues.venue.RestSnapshots: GET depth below a market's path."""

    def __init__(self, prefix: str, weights: Sequence[tuple[int, int]]) -> None:
        """Set the path and the weights, which are (limit up to, request weight) as documented."""
        self._path = f"{prefix}/depth"
        self._weights = tuple(weights)
        self.limit_max = self._weights[-1][0]

    def request(self, instrument: Instrument, limit: int = 0) -> Unsigned:
        """Return the request for a book of `limit` levels a side; 0 stands for the most."""
        limit = limit or self.limit_max
        assert 0 < limit <= self.limit_max, limit
        weight = next(weight for up_to, weight in self._weights if limit <= up_to)
        params = (("symbol", instrument.symbol), ("limit", str(limit)))
        return Unsigned(Transport.REST, "GET", self._path, params, signed=False, weight=weight)

    def request_within(self, instrument: Instrument, weight_max: int) -> Unsigned:
        """Return the request for the deepest book of at most this weight, or for the lightest."""
        fitting = (limit for limit, weight in reversed(self._weights) if weight <= weight_max)
        return self.request(instrument, next(fitting, self._weights[0][0]))


class ExchangeInfo:
    """An engine.venues.venue.MetadataReader: GET exchangeInfo below a market's path."""

    def __init__(
        self, prefix: str, read: Callable[[bytes], InstrumentsReport], *, weight: int = 1, by_symbol: bool = False
    ) -> None:
        """Set the path and the reader. With `by_symbol` the call names symbols, which spares some 6 MB."""
        self.read = read
        self._path = f"{prefix}/exchangeInfo"
        self._weight = weight
        self._by_symbol = by_symbol

    def request(self, symbols: Sequence[str] = ()) -> Unsigned:
        """Return the request for the metadata of these symbols, or of the whole market."""
        named = (("symbols", json.dumps(list(symbols), separators=(",", ":"))),) if symbols and self._by_symbol else ()
        return Unsigned(Transport.REST, "GET", self._path, named, signed=False, weight=self._weight)


def server_time(prefix: str) -> Unsigned:
    """Return the query for the venue's clock."""
    return Unsigned(Transport.REST, "GET", f"{prefix}/time", (), signed=False)
