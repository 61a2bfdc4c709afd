"""A request to the simulated Kraken whose key, nonce and signature were checked, and its parameters as values."""

from collections.abc import Mapping
from typing import Final

import msgspec

from engine.model import Instrument
from engine.money import ZERO
from engine.sim.exchange.exchange import Exchange
from engine.sim.faults import Faults
from engine.sim.kraken.counters import VenueCounters
from engine.sim.kraken.refusals import refusal
from engine.sim.kraken.tokens import Tokens
from engine.sim.units import PLACES, units
from engine.venues.kraken.values import PairNames
from engine.venues.timestamps import nanoseconds

DIGITS_MAX: Final = 20


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request. `account` and `api_key` are empty for public endpoints."""

    exchange: Exchange
    tokens: Tokens
    counters: VenueCounters
    faults: Faults
    pairs: PairNames
    params: Mapping[str, str]
    now_ns: int
    account: str = ""
    api_key: str = ""

    def required(self, name: str) -> str:
        """Return a parameter, or refuse the request without it."""
        value = self.params.get(name, "")
        if not value:
            raise refusal(f"EGeneral:Invalid arguments:{name}")
        return value

    def symbol(self) -> str:
        """Return the pair that the request names by any of its names."""
        name = self.pairs.instrument(self.required("pair")).partition(":")[2]
        if name not in self.exchange.markets:
            raise refusal("EQuery:Unknown asset pair")
        return name

    def amount(self, name: str, decimals: int, words: str) -> int:
        """Return an amount with at most so many decimals, or refuse the request in these words. 0: not sent."""
        text = self.params.get(name, "")
        if not text:
            return 0
        whole, _, part = text.partition(".")
        is_number = whole.isascii() and whole.isdigit() and (not part or (part.isascii() and part.isdigit()))
        if not is_number or len(text) > DIGITS_MAX:
            raise refusal(f"EGeneral:Invalid arguments:{name}")
        if len(part.rstrip("0")) > min(decimals, PLACES):
            raise refusal(words)
        return units(text)

    def seconds_ns(self, name: str) -> int | None:
        """Return a time that the request states in seconds; None if it does not."""
        text = self.params.get(name, "")
        if not text:
            return None
        try:
            return units(text) * 10
        except ValueError:
            raise refusal(f"EGeneral:Invalid arguments:{name}") from None

    def offset(self) -> int:
        """Return the place of a page."""
        text = self.params.get("ofs", "0")
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise refusal("EGeneral:Invalid arguments:ofs")
        return int(text)

    def check_deadline(self) -> None:
        """Refuse an order after its deadline, or one whose deadline is too far."""
        text = self.params.get("deadline", "")
        if not text:
            return
        try:
            left_ns = nanoseconds(text) - self.now_ns
        except ValueError:
            raise refusal("EGeneral:Invalid arguments:deadline") from None
        if left_ns <= 0:
            raise refusal("EService:Deadline elapsed")
        if left_ns > 60 * 10**9:
            raise refusal("EGeneral:Invalid arguments:deadline")


def pair_names(exchange: Exchange) -> PairNames:
    """Return all names of the pairs."""
    made = [
        Instrument(f"kraken:{symbol}", "kraken", symbol, market.rules.base, market.rules.quote, 0, 0, ZERO, ZERO)
        for symbol, market in exchange.markets.items()
    ]
    return PairNames(made, "kraken")
