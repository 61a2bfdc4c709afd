"""Refusals of the simulated Alpaca, with its codes and texts. One code has many causes: clients read the text."""

from typing import Any, Final

from engine.sim.binance.refusals import VenueRefusalError

INSUFFICIENT_POWER: Final = "insufficient buying power"
ID_TAKEN: Final = "client_order_id must be unique"


class BrokerRefusalError(VenueRefusalError):
    """A refusal with further keys of its body."""

    def __init__(self, status: int, code: int, message: str, **more: Any) -> None:
        super().__init__(status, code, message)
        self.more = more


def bad_request(message: str) -> VenueRefusalError:
    """Return the refusal of a request that cannot be read."""
    return BrokerRefusalError(400, 40010000, message)


def bad_parameter(message: str) -> VenueRefusalError:
    """Return the refusal of a parameter."""
    return BrokerRefusalError(400, 40010001, message)


def forbidden(message: str, **more: Any) -> VenueRefusalError:
    """Return the refusal of an order that the account may not place."""
    return BrokerRefusalError(403, 40310000, message, **more)


def unprocessable(message: str) -> VenueRefusalError:
    """Return the refusal of an order that breaks a rule."""
    return BrokerRefusalError(422, 42210000, message)


def sub_penny(name: str, price: str) -> VenueRefusalError:
    """Return the refusal of a price off its step."""
    return unprocessable(f"invalid {name} {price}. sub-penny increment does not fulfill minimum pricing criteria")


def id_taken() -> VenueRefusalError:
    """Return the refusal of a client order id that the account used before, also of an order that ended."""
    return BrokerRefusalError(422, 40010001, ID_TAKEN)


def not_found(what: str) -> VenueRefusalError:
    """Return the refusal of a query for something that is not there."""
    return BrokerRefusalError(404, 40410000, f"{what} not found")


def unauthorized() -> VenueRefusalError:
    """Return the refusal of a request without a key, or with one that is of another network."""
    return BrokerRefusalError(401, 40110000, "request is not authorized")


def rate_limited() -> VenueRefusalError:
    """Return the refusal of a request over the limit of a minute."""
    return BrokerRefusalError(429, 42910000, "rate limit exceeded")


def not_implemented(what: str) -> VenueRefusalError:
    """Return the refusal of something that Alpaca has and this venue does not."""
    return unprocessable(f"{what} is not implemented by this simulated venue")


def in_brokers_words(refusal: VenueRefusalError) -> VenueRefusalError:
    """Return a refusal of the exchange, or of a scripted fault, as this venue words it."""
    if isinstance(refusal, BrokerRefusalError):
        return refusal
    if "insufficient balance" in refusal.message:
        return forbidden(INSUFFICIENT_POWER)
    if refusal.status == 429:
        return rate_limited()
    if refusal.status >= 500:
        return BrokerRefusalError(refusal.status, 50010000, "internal server error occurred")
    if refusal.code >= 0:  # a fault names its own
        return refusal
    return unprocessable(refusal.message)
