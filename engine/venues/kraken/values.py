"""Kraken's spelling of times, amounts, assets and pairs. Names no channel and no request."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

import msgspec

from engine.events import Unrecognised
from engine.model import Instrument

FAILURES: Final = (
    ValueError, LookupError, TypeError, ArithmeticError, RecursionError, AttributeError, msgspec.MsgspecError
)  # fmt: skip
TEXT_MAX: Final = 200
NUMBER_MAX: Final = Decimal(10) ** 15
PLACES_MAX: Final = 18
# the REST names of assets that WebSocket v2 names otherwise, then those of currencies and coins with a class letter
RENAMED: Final = {"XBT": "BTC", "XDG": "DOGE"}
COINS: Final = ("XBT", "ETH", "LTC", "XRP", "XLM", "XMR", "ETC", "REP", "ZEC", "XDG", "MLN")
CURRENCIES: Final = ("USD", "EUR", "GBP", "JPY", "CAD", "AUD")
CLASSED: Final = {f"X{name}": name for name in COINS} | {f"Z{name}": name for name in CURRENCIES}
OLD_NAMES: Final = {name: old for old, name in RENAMED.items()}


def asset_name(rest_name: str) -> str:
    """Return WebSocket v2's name of an asset. A suffix stays: staked, rewarded or tokenised units are another asset.

    >>> [asset_name(name) for name in ("XXBT", "ZUSD", "XBT", "XXDG", "DOT", "XBT.F", "ETH2.S", "XTZ")]
    ['BTC', 'USD', 'BTC', 'DOGE', 'DOT', 'BTC.F', 'ETH2.S', 'XTZ']
    """
    name, dot, suffix = rest_name.partition(".")
    name = CLASSED.get(name, name)
    return f"{RENAMED.get(name, name)}{dot}{suffix}"


def rest_pair(symbol: str) -> str:
    """Return the REST name of a pair.

    >>> [rest_pair(symbol) for symbol in ("BTC/USD", "DOGE/USDT", "ETH/BTC")]
    ['XBTUSD', 'XDGUSDT', 'ETHXBT']
    """
    return "".join(OLD_NAMES.get(name, name) for name in symbol.split("/"))


def symbol_of_wsname(wsname: str) -> str:
    """Return WebSocket v2's name of a pair, given that of AssetPairs, which is v1's."""
    return "/".join(RENAMED.get(name, name) for name in wsname.split("/"))


class PairNames:
    """The instruments by every name that REST has for a pair: XBTUSD, XXBTZUSD, XBT/USD, BTC/USD."""

    def __init__(self, instruments: Iterable[Instrument], venue: str) -> None:
        self._venue = venue
        self._ids: dict[str, str] = {}
        self._quotes: dict[str, str] = {}
        for of in instruments:
            base, _, quote = of.symbol.partition("/")
            names = {f"{old}{between}{new}" for old in _names(base) for new in _names(quote) for between in ("", "/")}
            self._ids.update(dict.fromkeys(names, of.id))
            self._quotes[of.id] = of.quote

    def instrument(self, pair: str) -> str:
        """Return the id of a pair's instrument; one of no session has the name that the venue gave."""
        return self._ids.get(pair, f"{self._venue}:{pair[:40]}")

    def quote(self, instrument: str) -> str:
        """Return the quote asset of an instrument; "" if it is not of the session."""
        return self._quotes.get(instrument, "")


def _names(asset: str) -> set[str]:
    old = OLD_NAMES.get(asset, asset)
    return {asset, old, *(classed for classed, name in CLASSED.items() if name == old)}


def rest_nanoseconds(seconds: Decimal) -> int:
    """Return a time in seconds; 0 for none. Raises ValueError."""
    if not 0 <= seconds < 10**10:
        raise ValueError(f"no time: {str(seconds)[:40]}")
    return int(seconds * 10**9)


def amount(value: Decimal) -> Decimal:
    """Return an amount that can be one. Raises ValueError."""
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or abs(value) > NUMBER_MAX or exponent < -PLACES_MAX:
        raise ValueError(f"no amount: {str(value)[:40]}")
    return value


def number_text(value: Decimal) -> str:
    """Return a number without exponent and without zeros at its end."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def unrecognised(where: str, error: Exception) -> Unrecognised:
    """Return the event of bytes that cannot be read."""
    return Unrecognised(where, f"{type(error).__name__}: {error}"[:TEXT_MAX])
