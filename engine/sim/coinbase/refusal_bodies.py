"""Refusals of the simulated Coinbase: an order's reasons, and HTTP answers. The callers decide when to refuse."""

from typing import Any, Final

from engine.sim.binance.refusals import VenueRefusalError
from engine.sim.binance.venue_api import ApiResult

NO_REASON: Final = "UNKNOWN_FAILURE_REASON"
NO_PREVIEW: Final = "UNKNOWN_PREVIEW_FAILURE_REASON"
PREVIEW: Final = "PREVIEW_"
DUPLICATE: Final = "DUPLICATE_CLIENT_ORDER_ID"
# what the exchange's refusal of an order begins with -> Coinbase's reason
REASONS: Final = (
    ("Filter failure: PRICE_FILTER", "PREVIEW_INVALID_PRICE_PRECISION"),
    ("Filter failure: PERCENT_PRICE", "LIMIT_PRICE_TOO_FAR_FROM_MARKET"),
    ("Filter failure: LOT_SIZE", "INVALID_SIZE_PRECISION"),
    ("Filter failure: MARKET_LOT_SIZE", "PREVIEW_INVALID_BASE_SIZE_TOO_LARGE"),
    ("Filter failure: NOTIONAL", "PREVIEW_INVALID_QUOTE_SIZE_TOO_SMALL"),
    ("Filter failure: MIN_NOTIONAL", "PREVIEW_INVALID_QUOTE_SIZE_TOO_SMALL"),
    ("Filter failure: MAX_NUM", "BREACHED_RISK_LIMIT"),
    ("Account has insufficient balance", "PREVIEW_INSUFFICIENT_FUND"),
    ("Order would immediately match", "INVALID_LIMIT_PRICE_POST_ONLY"),
    ("Stop price would trigger", "STOP_ALREADY_TRIGGERED"),
    ("Order book liquidity", "INVALID_NO_LIQUIDITY"),
    ("Market is closed", "TRADING_DISABLED"),
    ("Invalid symbol", "INVALID_PRODUCT_ID"),
)


class OrderRefusedError(Exception):  # a refusal is an answer of the venue, not a fault of this program
    """An order that the venue refuses, with HTTP 200."""

    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.message = message


class RequestRefusedError(Exception):  # as above
    """A request that the venue refuses by its HTTP status."""

    def __init__(self, status: int, error: str, message: str) -> None:
        super().__init__(f"{status} {error}")
        self.result = ApiResult(status=status, body={"error": error, "error_details": message, "message": message})


def reason_of(refusal: VenueRefusalError) -> str:
    """Return Coinbase's reason for a refusal of the exchange."""
    return next((reason for start, reason in REASONS if refusal.message.startswith(start)), "INVALID_REQUEST")


def refused_order(reason: str, message: str, order_configuration: Any) -> dict[str, Any]:
    """Return the body of a refused placement: any of three fields holds the reason, and the others say nothing."""
    return {
        "success": False,
        "failure_reason": NO_REASON,
        "order_id": "",
        "error_response": {
            "error": NO_REASON if reason.startswith(PREVIEW) else reason,
            "message": message,
            "error_details": "",
            "preview_failure_reason": reason if reason.startswith(PREVIEW) else NO_PREVIEW,
            "new_order_failure_reason": NO_REASON,
        },
        "order_configuration": order_configuration,
    }


def invalid_argument(message: str) -> RequestRefusedError:
    """Return the refusal of a request that is no request."""
    return RequestRefusedError(400, "INVALID_ARGUMENT", message)


def not_found(message: str) -> RequestRefusedError:
    """Return the refusal of a query that finds nothing."""
    return RequestRefusedError(404, "NOT_FOUND", message)


def rate_limited() -> ApiResult:
    """Return the refusal of too many requests."""
    text = "You have exceeded the rate limit"
    return ApiResult(status=429, body={"errors": [{"id": "rate_limit_exceeded", "message": text}]})


def unauthorized() -> ApiResult:
    """Return the refusal of a token: it does not say what is wrong."""
    return ApiResult(status=401, body={"error": "unauthorized", "error_details": "", "message": "Unauthorized"})


def missing_scopes() -> ApiResult:
    """Return the refusal of a key without a right."""
    text = "Missing required scopes"
    body = {"error": "PERMISSION_DENIED", "error_details": text, "message": text}
    return ApiResult(status=403, body=body)
