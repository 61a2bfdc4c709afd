"""Futures to trade on paper: the market of Binance's futures, and an account at the simulated venue, which speaks Spot's protocol.

No venue has this account. It is for what was captured of a futures market: orders, their queue, fees and P&L are modelled, margin and
liquidation are not, so an order is never refused for want of it. Market data is read as the real dialects read it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from engine.events import Event
from engine.market.views import Stream
from engine.model import Instrument
from engine.requests import LinkPlan, LinkRole
from engine.venues.binance_coinm import BinanceCoinm
from engine.venues.binance_futures import BinanceFutures
from engine.venues.binance_market import BinanceMarket
from engine.venues.binance_spot import BinanceSpot
from engine.venues.binance_spot.rules import FILLS_PAGE_MAX, RECV_WINDOW_MS
from engine.venues.binance_spot.rules import VENUE as SPOT
from engine.venues.binance_usdm import BinanceUsdm

USDM = "paper_usdm"
COINM = "paper_coinm"


class _Paper(BinanceSpot):
    """Spot's calls and answers, under the market's own instruments."""

    futures: ClassVar[type[BinanceFutures]]

    def __init__(self, instruments: Sequence[Instrument], recv_window_ms: int = RECV_WINDOW_MS) -> None:
        super().__init__(instruments, recv_window_ms)
        self._futures = self.futures(instruments)

    @property
    def market(self) -> BinanceMarket:
        return self._futures.market

    def links(self) -> tuple[LinkPlan, ...]:
        market = (msgspec.structs.replace(plan, source=self._ours(plan.source)) for plan in self._futures.links())
        return (*market, LinkPlan(f"{self.name}.private.0", LinkRole.PRIVATE, "/ws-api/v3"))

    def _ours(self, source: str) -> str:
        return source.replace(self._futures.name, self.name, 1)

    def _theirs(self, source: str) -> str:
        return source.replace(self.name, self._futures.name, 1)

    def instruments_of(self, source: str) -> Sequence[Instrument]:
        return self._futures.instruments_of(self._theirs(source))

    def streams_of(self, source: str) -> tuple[Stream, ...]:
        return self._futures.streams_of(self._theirs(source))

    def decode_private(self, payload: bytes) -> tuple[Event, ...]:
        return tuple(_renamed(event, self.name) for event in super().decode_private(payload))

    def decode_answer(  # noqa: PLR0917 - as account.decode_answer
        self,
        method: str,
        path: str,
        instrument_id: str,
        status: int,
        headers: Mapping[str, str],
        payload: bytes,
        fills_limit: int = FILLS_PAGE_MAX,
    ) -> tuple[Event, ...]:
        spots = instrument_id.replace(self.name, SPOT, 1)
        events = super().decode_answer(method, path, spots, status, headers, payload, fills_limit)
        return tuple(_renamed(event, self.name) for event in events)


class PaperUsdm(_Paper):
    name = USDM
    futures = BinanceUsdm


class PaperCoinm(_Paper):
    name = COINM
    futures = BinanceCoinm


def _renamed(event: Any, venue: str) -> Any:
    """An event of Spot's, about the instruments of this venue."""
    changed: dict[str, Any] = {}
    for field in event.__struct_fields__:
        value = getattr(event, field)
        if field == "instrument" and value.startswith(f"{SPOT}:"):
            changed[field] = f"{venue}:{value.removeprefix(f'{SPOT}:')}"
        elif isinstance(value, tuple) and value and isinstance(value[0], msgspec.Struct):
            changed[field] = tuple(_renamed(one, venue) for one in value)
        elif isinstance(value, msgspec.Struct):
            changed[field] = _renamed(value, venue)
    return msgspec.structs.replace(event, **changed) if changed else event
