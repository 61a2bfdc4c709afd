"""A unified call of ccxt as an unsigned request, and the request as a call again.

The path is the call's name. The parameters are its arguments as text: those of its signature first, then those that
ccxt calls `params`.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from engine.requests import Transport, Unsigned

# call -> the arguments of its signature
SIGNATURES: Final[Mapping[str, tuple[str, ...]]] = {
    "fetch_markets": (),
    "fetch_time": (),
    "fetch_order_book": ("symbol", "limit"),
    "fetch_trades": ("symbol", "since", "limit"),
    "fetch_ticker": ("symbol",),
    "fetch_bids_asks": ("symbols",),
    "fetch_ohlcv": ("symbol", "timeframe", "since", "limit"),
    "create_order": ("symbol", "type", "side", "amount", "price"),
    "cancel_order": ("id", "symbol"),
    "cancel_all_orders": ("symbol",),
    "fetch_order": ("id", "symbol"),
    "fetch_open_orders": ("symbol",),
    "fetch_my_trades": ("symbol", "since", "limit"),
    "fetch_order_trades": ("id", "symbol", "since", "limit"),
    "fetch_balance": (),
}
PUBLIC: Final = frozenset(
    {
        "fetch_markets",
        "fetch_time",
        "fetch_order_book",
        "fetch_trades",
        "fetch_ticker",
        "fetch_bids_asks",
        "fetch_ohlcv",
    }
)
CHANGING: Final = frozenset({"create_order", "cancel_order", "cancel_all_orders"})
NO_NAME: Final = ""  # in the place of a parameter that an exchange lacks
PART: Final = "part"  # of a description in several answers, counted from 0
PARTS_MAX: Final = 8
Arguments = tuple[tuple[str, str], ...]


def _exact_float(text: str) -> float:
    """Return a number of ccxt, which writes it as its shortest text. Raises ValueError if that is another number."""
    value = float(text)
    if len(text.lstrip("-0.").replace(".", "")) > 15:
        raise ValueError(f"{text} has more digits than ccxt keeps")
    return value


CONVERSIONS: Final[Mapping[str, Callable[[str], Any]]] = {
    "amount": _exact_float,
    "price": _exact_float,
    "since": int,
    "until": int,
    "limit": int,
    "postOnly": lambda text: text == "true",
    "acknowledged": lambda text: text == "true",
    "symbols": lambda text: [text],
}


def call_request(name: str, arguments: Arguments, *, weight: int, orders: int = 0) -> Unsigned:
    """Return a call as a request. Its method is POST if it changes the account."""
    method = "POST" if name in CHANGING else "GET"
    return Unsigned(Transport.REST, method, f"/{name}", arguments, name not in PUBLIC, weight, orders)


def call_name(unsigned: Unsigned) -> str:
    """Return the name of a request's call."""
    return unsigned.path.removeprefix("/")


def call_of(unsigned: Unsigned) -> Callable[[Any], Any]:
    """Return the call that a request is, to be given an exchange. Raises ValueError or LookupError if it is none."""
    name = call_name(unsigned)
    signature = SIGNATURES[name]
    if NO_NAME in dict(unsigned.params):
        raise ValueError("the exchange names orders by its own id alone, which is not known yet")
    values = {key: CONVERSIONS.get(key, str)(text) for key, text in unsigned.params if key != PART}
    arguments = {key: values.pop(key, None) for key in signature}

    def call(exchange: Any) -> Any:
        return getattr(exchange, name)(**arguments, params=values)

    return call
