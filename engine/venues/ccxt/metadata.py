"""An exchange's description of its spot markets through ccxt, in one answer or in several."""

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from engine.events import InstrumentsReport
from engine.requests import Unsigned
from engine.venues.ccxt.exchange_rules import ExchangeRules
from engine.venues.ccxt.markets import read_markets, weight_of
from engine.venues.ccxt.pure_calls import EMPTY, GivenAnswer, RequestNeededError, failures, misreadings, perform
from engine.venues.ccxt.unified_calls import PART, PARTS_MAX, call_of, call_request

CALL: Final = "fetch_markets"


class CcxtMetadata:
    """An engine.venues.venue.MetadataReader and MetadataParts."""

    def __init__(self, exchange: Any, venue: str, rules: ExchangeRules) -> None:
        """Use an exchange of `make_exchange`."""
        self._exchange = exchange
        self._venue = venue
        self._rules = rules
        self._found: tuple[Unsigned, ...] = ()

    def requests(self, symbols: Sequence[str] = ()) -> tuple[Unsigned, ...]:
        """Return the requests for all markets. Raises ValueError if the exchange cannot serve these symbols."""
        account = self._rules.account
        if account is not None and account.lists_by_symbol and len(symbols) > 1:
            raise ValueError(
                f"{self._exchange.id} lists open orders of one instrument at a time. What to do: name one instrument, "
                "and begin one session for each of the others"
            )
        if not self._found:
            self._found = self._tried()
        return self._found

    def address(self) -> str:
        """Return scheme and host of the exchange, as ccxt states it."""
        try:
            perform(self._exchange, call_of(call_request(CALL, (), weight=1)))
        except RequestNeededError as needed:
            parts = urlsplit(needed.request.url)
            return f"{parts.scheme}://{parts.netloc}"
        except failures():
            return ""
        return ""

    def _tried(self) -> tuple[Unsigned, ...]:
        """Return the requests that ccxt makes, found by giving it empty answers."""
        found: list[Unsigned] = []
        for number in range(PARTS_MAX):
            plain = call_request(CALL, (), weight=1)
            try:
                perform(self._exchange, call_of(plain), answers=(EMPTY,) * number)
            except RequestNeededError as needed:
                part = ((PART, str(number)),)
                found.append(call_request(CALL, part, weight=weight_of(needed.request.cost)))
                continue
            except failures():
                break
            break
        return tuple(found) if len(found) > 1 else tuple(call_request(CALL, (), weight=each.weight) for each in found)

    def request(self, symbols: Sequence[str] = ()) -> Unsigned:
        """Return the request whose answer has the rules of the markets."""
        del symbols
        return self.requests()[min(self._rules.main_part, len(self.requests()) - 1)]

    def read(self, payload: bytes) -> InstrumentsReport:
        """Return what that answer describes by itself."""
        answers = [EMPTY.body] * len(self.requests())
        answers[min(self._rules.main_part, len(answers) - 1)] = payload
        return self.read_parts(answers)

    def read_parts(self, payloads: Sequence[bytes]) -> InstrumentsReport:
        """Return what all answers describe together. Raises ValueError for any other bytes."""
        answers = [GivenAnswer(200, {}, payload) for payload in payloads]
        try:
            markets = perform(self._exchange, call_of(call_request(CALL, (), weight=1)), answers=answers)
            return read_markets(self._exchange, self._venue, markets)
        except misreadings() as error:
            raise ValueError(f"no description of markets: {type(error).__name__}: {error}"[:200]) from None
