"""Refusals of the simulated venue, with Binance's own codes and texts (errors.md of 2026-07-21).

The callers decide when to refuse.
"""

from typing import Final


class VenueRefusalError(Exception):  # a refusal is an answer of the venue, not a fault of this program
    """An answer that is an error: HTTP status, Binance's code and text, and extra fields or headers of the answer."""

    def __init__(self, status: int, code: int, message: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(f"{code} {message}")
        self.status = status
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s


def _bad(code: int, message: str) -> VenueRefusalError:
    return VenueRefusalError(400, code, message)


NUMBER_PATTERN: Final = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
CLIENT_ID_PATTERN: Final = r"^[a-zA-Z0-9-_]{1,36}$"


def unknown_error() -> VenueRefusalError:
    """Return the refusal of an internal error."""
    return VenueRefusalError(500, -1000, "An unknown error occurred while processing the request.")


def backend_timeout() -> VenueRefusalError:
    """Return the refusal of a request whose outcome is unknown."""
    text = "Timeout waiting for response from backend server. Send status unknown; execution status unknown."
    return VenueRefusalError(504, -1007, text)


def too_much_weight(limit: int, retry_after_s: int) -> VenueRefusalError:
    """Return the refusal of a request over the weight limit."""
    text = (
        f"Too much request weight used; current limit is {limit} request weight per 1 MINUTE. "
        "Please use WebSocket Streams for live updates to avoid polling the API."
    )
    return VenueRefusalError(429, -1003, text, retry_after_s=retry_after_s)


def banned(until_ms: int, retry_after_s: int) -> VenueRefusalError:
    """Return the refusal of a request of a banned address."""
    text = (
        f"Way too much request weight used; IP banned until {until_ms}. "
        "Please use WebSocket Streams for live updates to avoid bans."
    )
    return VenueRefusalError(418, -1003, text, retry_after_s=retry_after_s)


def too_many_orders(limit: int, interval: str) -> VenueRefusalError:
    """Return the refusal of an order over the order limit. Binance sends no Retry-After with it."""
    text = f"Too many new orders; current limit is {limit} orders per {interval}."
    return VenueRefusalError(429, -1015, text)


def filter_failure(name: str) -> VenueRefusalError:
    """Return the refusal of an order that breaks a filter."""
    return _bad(-1013, f"Filter failure: {name}")


def outside_receive_window() -> VenueRefusalError:
    """Return the refusal of a timestamp older than the receive window."""
    return _bad(-1021, "Timestamp for this request is outside of the recvWindow.")


def ahead_of_server() -> VenueRefusalError:
    """Return the refusal of a timestamp ahead of the server."""
    return _bad(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")


def bad_signature() -> VenueRefusalError:
    """Return the refusal of a wrong signature."""
    return _bad(-1022, "Signature for this request is not valid.")


def illegal_characters(name: str, pattern: str) -> VenueRefusalError:
    """Return the refusal of a parameter with characters that its pattern forbids."""
    return _bad(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{pattern}'.")


def mandatory(name: str) -> VenueRefusalError:
    """Return the refusal of a request without a mandatory parameter."""
    return _bad(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def mandatory_either(one: str, other: str) -> VenueRefusalError:
    """Return the refusal of a request without either of two parameters."""
    return _bad(-1102, f"Param '{one}' or '{other}' must be sent, but both were empty/null!")


def unread_parameters(read: int, sent: int) -> VenueRefusalError:
    """Return the refusal of parameters that the endpoint does not read."""
    return _bad(-1104, f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'.")


def not_implemented(what: str) -> VenueRefusalError:
    """Return the refusal of something that Binance has and this venue does not."""
    return _bad(-1020, f"This operation is not supported: {what} is not implemented by this simulated venue.")


def amend_rejected(message: str) -> VenueRefusalError:
    """Return the refusal of an amendment, with its own text."""
    return _bad(-2038, message)


def not_required(name: str) -> VenueRefusalError:
    """Return the refusal of a parameter that the request must not have."""
    return _bad(-1106, f"Parameter '{name}' sent when not required.")


def too_much_precision(name: str) -> VenueRefusalError:
    """Return the refusal of a number with too many decimal places."""
    return _bad(-1111, f"Parameter '{name}' has too much precision.")


def invalid_time_in_force() -> VenueRefusalError:
    """Return the refusal of an unknown time in force."""
    return _bad(-1115, "Invalid timeInForce.")


def invalid_order_type() -> VenueRefusalError:
    """Return the refusal of an unknown order type."""
    return _bad(-1116, "Invalid orderType.")


def invalid_side() -> VenueRefusalError:
    """Return the refusal of an unknown side."""
    return _bad(-1117, "Invalid side.")


def invalid_interval() -> VenueRefusalError:
    """Return the refusal of an unknown candle interval."""
    return _bad(-1120, "Invalid interval.")


def invalid_symbol() -> VenueRefusalError:
    """Return the refusal of an unknown symbol."""
    return _bad(-1121, "Invalid symbol.")


def window_too_long(hours: int) -> VenueRefusalError:
    """Return the refusal of a time range longer than allowed."""
    return _bad(-1127, f"More than {hours} hours between startTime and endTime.")


def invalid_combination() -> VenueRefusalError:
    """Return the refusal of optional parameters that exclude each other."""
    return _bad(-1128, "Combination of optional parameters invalid.")


def invalid_parameter(name: str) -> VenueRefusalError:
    """Return the refusal of a parameter with an invalid value."""
    return _bad(-1130, f"Data sent for parameter '{name}' is not valid.")


def oco_type_refused() -> VenueRefusalError:
    """Return the refusal of an order type that a pair cannot have."""
    return _bad(-1158, "Order type not supported in OCO.")


def iceberg_not_gtc(iceberg: str, time_in_force: str) -> VenueRefusalError:
    """Return the refusal of an iceberg order in a list with another time in force than GTC."""
    return _bad(-1160, f"Parameter '{iceberg}' is not supported if '{time_in_force}' is not GTC.")


def bad_pair(code: int, message: str) -> VenueRefusalError:
    """Return the refusal of a pair whose types do not fit their places."""
    return _bad(code, message)


def status_mismatch() -> VenueRefusalError:
    """Return the refusal of a symbol with another status than the requested one."""
    return _bad(-1220, "The symbol's status does not match the requested symbolStatus.")


def invalid_symbol_status() -> VenueRefusalError:
    """Return the refusal of an unknown symbol status."""
    return _bad(-1122, "Invalid symbolStatus.")


def duplicate_symbols() -> VenueRefusalError:
    """Return the refusal of a list that names a symbol twice."""
    return _bad(-1151, "Symbol is present multiple times in the list.")


def invalid_ticker_type() -> VenueRefusalError:
    """Return the refusal of an unknown ticker type."""
    return _bad(-1139, "Invalid ticker type.")


def order_rejected(message: str) -> VenueRefusalError:
    """Return the refusal of an order, with its own text."""
    return _bad(-2010, message)


def self_trade_mode_refused() -> VenueRefusalError:
    """Return the refusal of a self-trade prevention mode that the symbol does not allow."""
    return _bad(-1013, "This symbol does not allow the specified self-trade prevention mode.")


def insufficient_balance() -> VenueRefusalError:
    """Return the refusal of an order that the free balance does not cover."""
    return order_rejected("Account has insufficient balance for requested action.")


def would_trigger() -> VenueRefusalError:
    """Return the refusal of a stop order on the wrong side of the market."""
    return order_rejected("Order would trigger immediately.")


def would_match() -> VenueRefusalError:
    """Return the refusal of a post-only order that would match at once."""
    return order_rejected("Order would immediately match and take.")


def duplicate_order() -> VenueRefusalError:
    """Return the refusal of a client order id that an open order has."""
    return order_rejected("Duplicate order sent.")


def unknown_order() -> VenueRefusalError:
    """Return the refusal of a cancel of an order that is not open."""
    return _bad(-2011, "Unknown order sent.")


def invalid_restrictions() -> VenueRefusalError:
    """Return the refusal of an unknown cancel restriction."""
    return _bad(-1145, "`cancelRestrictions` has to be either `ONLY_NEW` or `ONLY_PARTIALLY_FILLED`.")


def cancel_restricted() -> VenueRefusalError:
    """Return the refusal of a cancel whose restrictions do not fit."""
    return _bad(-2011, "Order was not canceled due to cancel restrictions.")


def no_such_order() -> VenueRefusalError:
    """Return the refusal of a query for an unknown order."""
    return _bad(-2013, "Order does not exist.")


def bad_key_format() -> VenueRefusalError:
    """Return the refusal of a missing or malformed API key."""
    return VenueRefusalError(401, -2014, "API-key format invalid.")


def unknown_key() -> VenueRefusalError:
    """Return the refusal of an unknown API key."""
    return VenueRefusalError(401, -2015, "Invalid API-key, IP, or permissions for action.")


def subscription_active() -> VenueRefusalError:
    """Return the refusal of a second subscription of an account."""
    return _bad(-2035, "User Data Stream subscription already active.")


def subscription_inactive() -> VenueRefusalError:
    """Return the refusal of the end of an unknown subscription."""
    return _bad(-2036, "User Data Stream subscription not active.")


def client_id_mismatch() -> VenueRefusalError:
    """Return the refusal of a client order id that does not belong to the order id."""
    return _bad(-2039, "Client order ID is not correct for this order ID.")
