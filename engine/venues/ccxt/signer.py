"""Keys and signatures through ccxt: a call, a key and a time become the bytes to send. Only the shell calls this."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from hashlib import sha256
from typing import Any, Final, Never
from urllib.parse import urlsplit

from engine.requests import Unsigned
from engine.venues.ccxt.pure_calls import EMPTY, RequestNeededError, failures, perform
from engine.venues.ccxt.unified_calls import PART, call_name, call_of
from engine.venues.signing import Credentials, HttpMessage, SecretKey, is_header_safe

# ccxt's names of credentials, in the order in which they are key, secret and passphrase
CREDENTIALS: Final = ("apiKey", "walletAddress", "login", "secret", "privateKey", "password", "uid", "token")
ACCOUNT_ID: Final = "accountId"  # of an exchange whose calls name the account; ccxt would request it
TEXT_MAX: Final = 200


def credential_names(exchange: Any, *, needs_account_id: bool) -> tuple[str, ...]:
    """Return the names of the credentials that an exchange needs."""
    needed = tuple(name for name in CREDENTIALS if exchange.requiredCredentials.get(name))
    return (*needed, ACCOUNT_ID) if needs_account_id else needed


def with_credentials(exchange: Any, given: Mapping[str, str]) -> None:
    """Give an exchange credentials."""
    for name, value in given.items():
        if name == ACCOUNT_ID:
            exchange.accounts = [{"id": value, "type": "spot", "code": None, "info": {"id": value, "subtype": ""}}]
        else:
            setattr(exchange, name, value)


class CcxtKey(SecretKey):
    """Credentials of an exchange that can sign and cannot be read back."""

    __slots__ = ("_lend", "algorithm")

    def __init__(self, given: Mapping[str, str]) -> None:
        kept = dict(given)
        self.algorithm = "ccxt"
        self._lend: Callable[[Any], None] = lambda exchange: with_credentials(exchange, kept)

    def lend_to(self, exchange: Any) -> None:
        """Give a copy of an exchange the credentials. The caller drops it after one request."""
        self._lend(exchange)


class CcxtSigner:
    """An engine.venues.venue.RequestSigner."""

    def __init__(self, exchange: Any, names: Sequence[str], host: str, place_by: str) -> None:
        """Use an exchange of `make_exchange` with the markets of a session, without credentials.

        Args:
            exchange: The exchange.
            names: From `credential_names`.
            host: Of the addresses that ccxt makes. A request to another one is refused.
            place_by: The argument of a placement that is our client order id.

        """
        self._exchange = exchange
        self._names = tuple(names)
        self._host = host
        self._place_by = place_by

    def load_key(self, credentials: Credentials) -> CcxtKey:
        """Return a key. Raises ValueError, without the secret in its text, if the credentials cannot be used."""
        given = [credentials.key, credentials.secret, credentials.passphrase]
        names = ", ".join(self._names)
        if len(self._names) > len(given):
            raise ValueError(f"{self._exchange.id} needs more credentials than three: {names}")
        if not all(given[: len(self._names)]):
            raise ValueError(f"{self._exchange.id} needs {names}, as key, secret and passphrase in this order")
        if any(given[len(self._names) :]):
            raise ValueError(f"{self._exchange.id} has only {names}: leave the rest out")
        if not all(is_header_safe(text) for text in given if text and "\n" not in text):
            raise ValueError("a credential holds spaces or line ends: copy it again")
        return CcxtKey(dict(zip(self._names, given, strict=False)))

    def sign_http(self, unsigned: Unsigned, key: CcxtKey | None, now_ns: int) -> HttpMessage:
        """Return the HTTP message. Raises ValueError if ccxt cannot make it."""
        if unsigned.signed and key is None:
            raise ValueError(f"{call_name(unsigned)} must be signed, and there is no key")
        call = call_of(unsigned)
        before = int(dict(unsigned.params).get(PART, "0"))  # answers that ccxt wants before it makes this request

        def signed(exchange: Any) -> Any:
            if key is not None:
                key.lend_to(exchange)
            return call(exchange)

        seed = sha256(repr(unsigned).encode()).hexdigest()
        try:
            perform(self._exchange, signed, now_ns=now_ns, seed=seed, answers=(EMPTY,) * before)
        except RequestNeededError as needed:
            request = needed.request
        except failures() as error:
            raise ValueError(self._reason(error)) from None
        else:
            raise ValueError(f"{call_name(unsigned)} makes no request")
        parts = urlsplit(request.url)
        if parts.netloc != self._host:
            raise ValueError(f"{call_name(unsigned)} goes to {parts.netloc}, and the venue is at {self._host}")
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        if call_name(unsigned) == "create_order":
            self._check_placement(dict(unsigned.params), f"{path} {request.body}")
        return HttpMessage(request.method, path, tuple(request.headers.items()), request.body.encode())

    def _check_placement(self, arguments: Mapping[str, str], sent: str) -> None:
        """Raise ValueError if an order would be sent without our id, or with another amount or price."""
        if arguments[self._place_by] not in sent:
            raise ValueError("ccxt leaves our client order id out, and without it an order could be lost")
        for name, rounded in (("amount", "amount_to_precision"), ("price", "price_to_precision")):
            text = arguments.get(name)
            if text and Decimal(getattr(self._exchange, rounded)(arguments["symbol"], text)) != Decimal(text):
                raise ValueError(f"the {name} {text} is off the grid of the exchange")

    def sign_frame(self, unsigned: Unsigned, key: Any, now_ns: int, request_id: str) -> Never:
        """Refuse: there is no websocket."""
        raise ValueError("a venue through ccxt has no websocket")

    def _reason(self, error: Exception) -> str:
        """Return why ccxt made no request; only its own errors have a text that holds no credential."""
        is_own = type(error).__module__.startswith("ccxt.") or type(error) is ValueError
        return " ".join(f"{type(error).__name__}: {error if is_own else ''}".split())[:TEXT_MAX]
