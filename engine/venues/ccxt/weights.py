"""The weights of calls: ccxt states a cost for each endpoint, and a trial of a call shows its endpoint."""

from typing import Any

from engine.venues.ccxt.markets import weight_of
from engine.venues.ccxt.pure_calls import RequestNeededError, failures, perform
from engine.venues.ccxt.unified_calls import Arguments, call_of, call_request

DEFAULT = 1


class CallWeights:
    """The weights of one exchange's calls. A call's first use tries it, without a key and without sending it."""

    def __init__(self, exchange: Any) -> None:
        """Use an exchange of `make_exchange` that has a market, and credentials of any kind."""
        self._exchange = exchange
        self._known: dict[tuple[str, ...], int] = {}

    def weight(self, name: str, arguments: Arguments) -> int:
        """Return what a call weighs, by its name and the names of its arguments."""
        shape = (name, *(each for each, _ in arguments))
        if shape not in self._known:
            self._known[shape] = self._tried(name, arguments)
        return self._known[shape]

    def _tried(self, name: str, arguments: Arguments) -> int:
        try:
            perform(self._exchange, call_of(call_request(name, arguments, weight=DEFAULT)))
        except RequestNeededError as needed:
            return weight_of(needed.request.cost)
        except failures():  # signing states the reason, and nothing is sent
            return DEFAULT
        return DEFAULT
