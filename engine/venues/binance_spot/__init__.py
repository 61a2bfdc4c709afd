"""Binance Spot without socket or clock: requests out, events in. It keeps nothing but the instruments it was given.

Market data is the business of market.py, metadata of instruments.py, the account of account.py; the facts are in rules.py.
"""

from collections.abc import Mapping, Sequence

from engine.events import Event
from engine.model import Instrument
from engine.requests import LinkPlan, LinkRole, Unsigned
from engine.venues.binance_market import BinanceMarket
from engine.venues.binance_spot import account, rules, signing
from engine.venues.binance_spot.market import BinanceSpotMarket
from engine.venues.binance_spot.requests import Requests
from engine.venues.binance_spot.rules import CLIENT_ORDER_ID_MAX, RECV_WINDOW_MS, order_id_fits
from engine.venues.binance_spot.signing import ApiKey, HttpMessage

__all__ = ["CLIENT_ORDER_ID_MAX", "RECV_WINDOW_MS", "ApiKey", "BinanceSpot", "HttpMessage", "order_id_fits"]

STREAMS = ("depth@100ms", "bookTicker", "trade")
PER_LINK = rules.STREAMS_MAX // len(STREAMS)  # instruments: their streams stay together


class BinanceSpot(Requests):
    """The dialect, an engine.venues.venue.Venue. The calls themselves (place, cancel, ...) are those of `Requests`."""

    name: str = rules.VENUE
    client_order_id_max: int = CLIENT_ORDER_ID_MAX

    def __init__(self, instruments: Sequence[Instrument], recv_window_ms: int = RECV_WINDOW_MS) -> None:
        super().__init__(recv_window_ms)
        self.instruments = tuple(instruments)
        self._market = BinanceSpotMarket(self.instruments)

    @property
    def market(self) -> BinanceMarket:
        """The decoder of what anyone may see."""
        return self._market

    def links(self) -> tuple[LinkPlan, ...]:
        """One connection for the account, and as many for the market as the venue's limit of streams asks for."""
        sources = [f"{self.name}.market.{number}" for number in range(-(-len(self.instruments) // PER_LINK))]
        market = (
            LinkPlan(source, LinkRole.MARKET, "/stream?streams=" + "/".join(self._streams(source)))
            for source in sources
        )
        return (*market, LinkPlan(f"{self.name}.private.0", LinkRole.PRIVATE, "/ws-api/v3"))

    def instruments_of(self, source: str) -> Sequence[Instrument]:
        """Whose streams come over this market link."""
        number = int(source.rpartition(".")[2])
        return self.instruments[number * PER_LINK : (number + 1) * PER_LINK]

    def _streams(self, source: str) -> list[str]:
        return [f"{of.symbol.lower()}@{stream}" for of in self.instruments_of(source) for stream in STREAMS]

    def decode_private(self, payload: bytes) -> tuple[Event, ...]:
        """See account.py, as for the next two."""
        return account.decode_private(payload)

    def answered_request(self, payload: bytes) -> str | None:
        return account.answered_request(payload)

    def decode_answer(  # noqa: PLR0917 - as account.decode_answer
        self,
        method: str,
        path: str,
        instrument_id: str,
        status: int,
        headers: Mapping[str, str],
        payload: bytes,
        fills_limit: int = rules.FILLS_PAGE_MAX,
    ) -> tuple[Event, ...]:
        return account.decode_answer(method, path, instrument_id, status, headers, payload, fills_limit)

    def sign_rest(self, unsigned: Unsigned, key: ApiKey | None, now_ms: int) -> HttpMessage:
        """The HTTP message to send; see signing.py, as for the next."""
        return signing.sign_rest(unsigned, key, now_ms)

    def sign_ws(self, unsigned: Unsigned, key: ApiKey | None, now_ms: int, request_id: str) -> bytes:
        return signing.sign_ws(unsigned, key, now_ms, request_id)

    def order_id_fits(self, text: str) -> bool:
        return order_id_fits(text)
