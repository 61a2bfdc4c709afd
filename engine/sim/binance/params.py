"""Parameters of a request, read as Binance reads them: texts in, checked values out, its own refusals otherwise."""

import re
from collections.abc import Callable, Collection, Container, Iterable, Mapping
from enum import StrEnum
from functools import lru_cache, partial
from typing import Final, TypeVar
from urllib.parse import unquote_plus

from engine.model import Side, TimeInForce
from engine.sim.binance import refusals
from engine.sim.binance.type_params import BY_NAME, ORDER_TYPES, OrderTypeRules
from engine.sim.exchange.order_values import SelfTrade, SimNewOrder
from engine.sim.units import PLACES, units

_NUMBER: Final = re.compile(refusals.NUMBER_PATTERN)
_CLIENT_ID: Final = re.compile(refusals.CLIENT_ID_PATTERN)
_SYMBOL_RANGE: Final = r"^[\w\-._&&[^a-z]]{1,50}$"  # as Java writes it: word characters of any script, no small a to z
_SYMBOL: Final = re.compile(r"^(?:(?![a-z])[\w\-.]){1,50}$")
_INTEGER: Final = re.compile(r"^[0-9]{1,20}$")

_NUMBER_LENGTH_MAX: Final = 41  # of the pattern: longer texts are not kept
_NO_NUMBER: Final = -1
_TOO_PRECISE: Final = -2

_Word = TypeVar("_Word", bound=StrEnum)


@lru_cache(maxsize=4096)  # orders repeat prices and sizes
def _known_amount(value: str) -> int:
    """Return a text's amount in units, _NO_NUMBER or _TOO_PRECISE."""
    if not _NUMBER.fullmatch(value):
        return _NO_NUMBER
    _, _, places = value.partition(".")
    return units(value) if len(places.rstrip("0")) <= PLACES else _TOO_PRECISE


def parse_query(raw: bytes) -> list[tuple[str, str]]:
    """Return the name=value pairs of a query string or a form body, decoded, in their order."""
    text = raw.decode("utf-8", "replace")
    pairs = [(name, value) for name, _, value in [part.partition("=") for part in text.split("&") if part]]
    if "%" in text or "+" in text:
        return [(unquote_plus(name), unquote_plus(value)) for name, value in pairs]
    return pairs


class Params:
    """The parameters of one request. `first` wins over `second` (query over body).

    The symbols that are `listed` may have characters that Binance's have not: on paper they are of another venue.
    """

    def __init__(
        self, first: Iterable[tuple[str, str]], second: Iterable[tuple[str, str]] = (), *, listed: Container[str] = ()
    ) -> None:
        self._values = {**dict(second), **dict(first)}
        self._listed = listed

    @property
    def names(self) -> Collection[str]:
        """The names of all parameters that were sent."""
        return self._values.keys()

    def items(self) -> Iterable[tuple[str, str]]:
        """Return all names and values."""
        return self._values.items()

    def flag(self, name: str) -> bool:
        """Return a boolean, False if it was not sent."""
        value = (self.get(name) or "false").lower()
        if value not in ("true", "false"):
            raise refusals.illegal_characters(name, "^(true|false)$")
        return value == "true"

    def get(self, name: str) -> str | None:
        """Return a value as sent, or None. An empty value counts as not sent."""
        return self._values.get(name) or None

    def required(self, name: str) -> str:
        """Return a value, or refuse the request without it."""
        value = self.get(name)
        if value is None:
            raise refusals.mandatory(name)
        return value

    def integer(self, name: str) -> int | None:
        """Return an integer without sign, or None if it was not sent."""
        value = self.get(name)
        if value is None:
            return None
        if not _INTEGER.fullmatch(value):
            raise refusals.illegal_characters(name, "^[0-9]{1,20}$")
        return int(value)

    def limit(self, *, default: int, most: int) -> int:
        """Return the page size, at most `most`."""
        value = self.integer("limit")
        if value is None:
            return default
        if value < 1:
            raise refusals.invalid_parameter("limit")
        return min(value, most)

    def amount(self, name: str) -> int:
        """Return a decimal in units, 0 if it was not sent. A sent zero is refused, as Binance refuses it."""
        value = self._values.get(name)
        if not value:
            return 0
        amount = _known_amount(value) if len(value) <= _NUMBER_LENGTH_MAX else _NO_NUMBER
        if amount > 0:
            return amount
        if amount == _NO_NUMBER:
            raise refusals.illegal_characters(name, refusals.NUMBER_PATTERN)
        raise refusals.mandatory(name) if not amount else refusals.too_much_precision(name)

    def symbol(self) -> str:
        """Return the symbol, or refuse one that cannot be a symbol."""
        value = self.required("symbol")
        if value not in self._listed and not _SYMBOL.fullmatch(value):
            raise refusals.illegal_characters("symbol", _SYMBOL_RANGE)
        return value

    def client_id(self, name: str) -> str | None:
        """Return a client order id, or None if it was not sent."""
        value = self.get(name)
        if value is not None and not _CLIENT_ID.fullmatch(value):
            raise refusals.illegal_characters(name, refusals.CLIENT_ID_PATTERN)
        return value

    def word(self, name: str, kind: type[_Word], refusal: Callable[[], Exception]) -> _Word | None:
        """Return a member of an enumeration, or None if it was not sent."""
        value = self.get(name)
        if value is None:
            return None
        try:
            return kind(value)
        except ValueError:
            raise refusal() from None


_SELF_TRADE: Final = "selfTradePreventionMode"


class OrderParams:
    """The parameters of one order. A list sends those of its orders under other names.

    Args:
        params: The request's parameters.
        names: The request's name of each parameter whose name is not the usual one.
        given: Values that the request implies.
    """

    def __init__(
        self, params: Params, names: Mapping[str, str] | None = None, given: Mapping[str, str] | None = None
    ) -> None:
        self._names, given = names or {}, given or {}
        self._params = Params(given.items(), params.items()) if given else params

    def name(self, name: str) -> str:
        """Return the request's name of a parameter."""
        return self._names.get(name, name)

    def get(self, name: str) -> str | None:
        """Return a value as sent, or None."""
        return self._params.get(self._names.get(name, name))

    def read(self, symbol: str, *, is_sized: bool = True) -> SimNewOrder:
        """Return the order, or refuse it as Binance does if the parameters do not fit its type.

        Args:
            symbol: The order's symbol.
            is_sized: False for an order that must not name a quantity, because its working order pays for it.
        """
        params, name = self._params, self.name if self._names else str  # most requests have the usual names
        params.required(name("side"))
        side = params.word(name("side"), Side, refusals.invalid_side)
        order_type = BY_NAME.get(params.required(name("type")))
        if order_type is None:
            raise refusals.invalid_order_type()
        time_in_force = params.word(name("timeInForce"), TimeInForce, refusals.invalid_time_in_force)
        assert side is not None
        quantity, price = params.amount(name("quantity")), params.amount(name("price"))
        quote_quantity, iceberg = params.amount(name("quoteOrderQty")), params.amount(name("icebergQty"))
        self._check(ORDER_TYPES[order_type], is_sized=is_sized)
        delta = params.integer(name("trailingDelta"))
        if delta == 0:
            raise refusals.filter_failure("TRAILING_DELTA")
        if iceberg and time_in_force not in (None, TimeInForce.GTC):
            raise self._refused_iceberg()
        self_trade = params.word(_SELF_TRADE, SelfTrade, partial(refusals.invalid_parameter, _SELF_TRADE))
        return SimNewOrder(
            symbol=symbol,
            side=side,
            order_type=order_type,
            time_in_force=time_in_force or TimeInForce.GTC,
            quantity=quantity,
            quote_quantity=quote_quantity,
            price=price,
            stop_price=params.amount(name("stopPrice")),
            trailing_delta=delta or 0,
            iceberg_quantity=iceberg,
            client_order_id=params.client_id(name("newClientOrderId")) or "",
            self_trade=self_trade or SelfTrade.EXPIRE_MAKER,
        )

    def _check(self, rules: OrderTypeRules, *, is_sized: bool) -> None:
        for name in rules.refused:
            if self.get(name):
                raise refusals.not_required(self.name(name))
        for name in rules.required:
            if is_sized or name != "quantity":
                self._params.required(self.name(name))
        if rules.has_trigger and not self.get("stopPrice") and not self.get("trailingDelta"):
            raise refusals.mandatory_either(self.name("stopPrice"), self.name("trailingDelta"))
        if rules.takes_quote_quantity and is_sized:
            quantity, quote_quantity = self.get("quantity"), self.get("quoteOrderQty")
            if quantity and quote_quantity:
                raise refusals.not_required(self.name("quoteOrderQty"))
            if not quantity and not quote_quantity:
                raise refusals.mandatory_either(self.name("quantity"), self.name("quoteOrderQty"))

    def _refused_iceberg(self) -> refusals.VenueRefusalError:
        if not self._names:
            return refusals.order_rejected("Unsupported order combination")
        return refusals.iceberg_not_gtc(self.name("icebergQty"), self.name("timeInForce"))


def new_order(params: Params) -> SimNewOrder:
    """Read a new order, or refuse it as Binance does if the parameters do not fit its type."""
    return OrderParams(params).read(params.symbol())
