"""ccxt without its input and output: a call either states the request that it needs, or reads the answer it is given.

A class of ccxt gets `PureCalls` in front: time, nonces and drawn ids come from the caller, numbers stay exact, and
nothing is sent. Each call runs on a copy, so no call leaves a trace in the next.
"""

import copy
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from functools import cache
from hashlib import sha256
from importlib import import_module
from typing import Any, NamedTuple
from urllib.parse import urlsplit

MILLION = 1_000_000
TEXT_MAX = 200
LEAST_VERSION = (4, 5, 90)  # as in pyproject.toml; what older ones read differs
EXTRA = "venues through ccxt need the extra ccxt: pip install 'verbatim-trading[ccxt]'"


class NeededRequest(NamedTuple):
    """A request as ccxt makes it."""

    url: str
    method: str
    headers: Mapping[str, str]
    body: str
    cost: float  # in units of the exchange's rateLimit


class GivenAnswer(NamedTuple):
    """An answer that a call reads."""

    status: int
    headers: Mapping[str, str]
    body: bytes


EMPTY = GivenAnswer(200, {}, b"[]")  # in the place of an answer that is not known yet


class RequestNeededError(Exception):
    """A call needs the answer to this request."""

    def __init__(self, request: NeededRequest) -> None:
        super().__init__(urlsplit(request.url).path)
        self.request = request


class AnswerAcceptedError(Exception):
    """An answer is no error; a call that only wants to know this ends here."""


class PureCalls:
    """Goes before a class of ccxt in the order of inheritance."""

    _now_ns = 0
    _seed = ""
    _answers: Iterator[GivenAnswer] = iter(())
    _assumed: Mapping[str, Any] = {}
    _drawn = 0
    _stops = False  # at the first answer that is no error
    _cost = 1.0

    # ---- time and chance

    def milliseconds(self) -> int:
        """Return the caller's time."""
        return self._now_ns // MILLION

    def microseconds(self) -> int:
        """Return the caller's time."""
        return self._now_ns // 1_000

    def seconds(self) -> int:
        """Return the caller's time."""
        return self._now_ns // (1_000 * MILLION)

    def _draw(self) -> str:
        self._drawn += 1
        return sha256(f"{self._seed}|{self._now_ns}|{self._drawn}".encode()).hexdigest()

    def uuid(self) -> str:
        """Return an id derived from the request and its time."""
        text = self._draw()
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:32]}"

    def uuid16(self, length: int = 16) -> str:
        """Return as many hexadecimal digits."""
        return self._draw()[:length]

    def uuid22(self, length: int = 22) -> str:
        """Return as many hexadecimal digits."""
        return self._draw()[:length]

    def random_bytes(self, length: int) -> str:
        """Return as many bytes as hexadecimal digits."""
        return self._draw()[: 2 * length]

    def rand_number(self, size: int) -> int:
        """Return a number of at most so many digits."""
        number: int = int(self._draw(), 16) % 10**size
        return number

    # ---- numbers

    def on_json_response(self, response_body: str) -> Any:
        """Return JSON whose fractions stay text, as the exchange wrote them."""
        return json.loads(response_body, parse_float=str)

    def parse_number(self, value: Any, default: Any = None) -> Any:
        """Return an exact number of a text."""
        if isinstance(value, float):
            return value  # inexact: exact_numbers.py refuses it
        try:
            return default if value is None else Decimal(value)
        except (InvalidOperation, TypeError, ValueError):
            return default

    @staticmethod
    def safe_string(dictionary: Any, key: Any, default_value: Any = None) -> Any:
        """Return a text or a number as text. ccxt's own reads no Decimal, which `parse_number` made."""
        try:
            value = dictionary[key]
        except (LookupError, TypeError):
            return default_value
        if isinstance(value, Decimal):
            return f"{value:f}"
        is_known = (isinstance(value, str) and value != "") or type(value) in (int, float)
        return str(value) if is_known else default_value

    @staticmethod
    def safe_string_2(dictionary: Any, key1: Any, key2: Any, default_value: Any = None) -> Any:
        """Return the text of the first key that has one."""
        return PureCalls.safe_string_n(dictionary, (key1, key2), default_value)

    @staticmethod
    def safe_string_n(dictionary: Any, key_list: Sequence[Any], default_value: Any = None) -> Any:
        """Return the text of the first key that has one."""
        found = (PureCalls.safe_string(dictionary, key) for key in key_list)
        return next((text for text in found if text is not None), default_value)

    def parse_order_book_bid_ask(
        self, bidask: Any, price_key: Any = 0, amount_key: Any = 1, count_key: Any = 2
    ) -> list[Any]:
        """Return price and amount of a level."""
        del count_key
        exchange: Any = self
        return [
            self.parse_number(exchange.safe_string(bidask, price_key)),
            self.parse_number(exchange.safe_string(bidask, amount_key)),
        ]

    # ---- requests and answers

    def load_markets(self, reload: Any = None, params: Any = None) -> Any:
        """Return the markets of the session: no call requests others."""
        exchange: Any = self
        return exchange.markets

    def request(
        self, path: str, api: Any = "public", method: str = "GET", params: Any = None, config: Any = None
    ) -> Any:
        """Make a request without the parameters that have no value: ccxt names some of them None or null."""
        exchange: Any = super()
        given = params or {}
        if isinstance(given, dict):
            given = {name: value for name, value in given.items() if value is not None}
        cost = self._cost_of(api, method, path, given, config or {})
        self._cost = cost
        return exchange.request(path, api, method, given, config or {})

    def _cost_of(self, api: Any, method: str, path: str, params: Any, config: Mapping[str, Any]) -> float:
        exchange: Any = self
        try:
            return float(exchange.calculate_rate_limiter_cost(api, method, path, params, config))
        except (TypeError, ValueError, LookupError):
            return 1.0

    def fetch(self, url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
        """Return what an answer says, or raise RequestNeededError after the last one."""
        exchange: Any = self
        path = urlsplit(url).path
        for end, assumed in self._assumed.items():
            if path.endswith(end):
                return copy.deepcopy(assumed)
        answer = next(self._answers, None)
        if answer is None:
            if body is not None and not isinstance(body, str):
                raise ValueError(f"{path} has a body that is no text")
            named = {str(name): str(value) for name, value in {**exchange.headers, **(headers or {})}.items()}
            raise RequestNeededError(NeededRequest(url, method, named, body or "", self._cost))
        text = answer.body.decode("utf-8")
        said = exchange.parse_json(text)
        about: tuple[Any, ...] = (answer.status, "", url, method, answer.headers, text, said, {}, body)
        is_known = exchange.handle_errors(*about)
        if answer.status >= 400:
            if not is_known:
                exchange.handle_http_status_code(answer.status, "", url, method, text)
            raise ccxt_module().ExchangeError(f"HTTP {answer.status} {text[:TEXT_MAX]}")
        if said is None:  # ccxt would read an empty list or account out of it
            raise ccxt_module().BadResponse(f"no JSON: {text[:TEXT_MAX]}")
        if self._stops:
            raise AnswerAcceptedError
        return said


def ccxt_module() -> Any:
    """Return ccxt. Raises ImportError with advice."""
    try:
        found = import_module("ccxt")
    except ImportError as error:
        raise ImportError(f"{EXTRA} ({error})") from error
    if tuple(map(int, re.findall(r"\d+", found.__version__)[:3])) < LEAST_VERSION:
        least = ".".join(map(str, LEAST_VERSION))
        raise ImportError(f"ccxt {found.__version__} is older than {least}, and {EXTRA}")
    return found


@cache
def failures() -> tuple[type[Exception], ...]:
    """Return the errors that a call of ccxt raises, for bytes of any kind."""
    known = (ValueError, LookupError, TypeError, ArithmeticError, RecursionError, AttributeError, AssertionError)
    return (*known, ccxt_module().BaseError)


@cache
def misreadings() -> tuple[type[Exception], ...]:
    """Return the errors of a call that is given one answer: those of `failures`, and that it needs another."""
    return (RequestNeededError, StopIteration, *failures())


@cache
def pure_class(exchange: str) -> Any:
    """Return a class of ccxt that sends nothing. Raises LookupError for an exchange that ccxt does not know."""
    found = ccxt_module()
    if exchange not in found.exchanges:
        raise LookupError(f"ccxt {found.__version__} has no exchange {exchange!r}")
    return type(f"Pure{exchange.capitalize()}", (PureCalls, getattr(found, exchange)), {"_camelcase_cache": {}})


def make_exchange(exchange: str, options: Mapping[str, Any], assumed: Mapping[str, Any]) -> Any:
    """Return an exchange of ccxt that sends nothing and knows no market."""
    settings = {"enableRateLimit": False, "options": {"defaultType": "spot", "adjustForTimeDifference": False}}
    made = pure_class(exchange)(settings)
    made.options.update(copy.deepcopy(dict(options)))
    made.session = None  # of the package requests, which would send
    made.__dict__["_assumed"] = assumed
    return made


def perform(
    exchange: Any,
    call: Callable[[Any], Any],
    *,
    now_ns: int = 0,
    seed: str = "",
    answers: Sequence[GivenAnswer] = (),
    stops: bool = False,
) -> Any:
    """Return what a call returns, on a copy of the exchange.

    Args:
        exchange: From `make_exchange`.
        call: The call, given the exchange.
        now_ns: The time that it sees.
        seed: Of the ids that it draws.
        answers: The answers to its requests, in order.
        stops: End at the first answer that is no error, before it is parsed.

    Raises:
        AnswerAcceptedError: it stops.
        RequestNeededError: it needs another answer.

    """
    copied = copy.copy(exchange)
    copied.options = dict(exchange.options)
    copied.__dict__.update(_now_ns=now_ns, _seed=seed, _answers=iter(answers), _stops=stops)
    return call(copied)
