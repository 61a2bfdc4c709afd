"""Rules of exchanges that ccxt does not state: client order ids, and settings under which one request is enough.

An exchange without a line here has market data alone: an account needs client order ids whose rules were tried.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from engine.model import OrderType, TimeInForce
from engine.venues.order_ids import ReadableOrderIds

NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
LIMITS = frozenset({OrderType.LIMIT, OrderType.LIMIT_MAKER})
WITH_MARKET = LIMITS | {OrderType.MARKET}
EVERY_TIME = frozenset(TimeInForce)
CLIENT_ID = "clientOrderId"  # ccxt's name for our id


class AccountRules(NamedTuple):
    """The rules of the orders of one exchange."""

    ids: ReadableOrderIds  # what the exchange accepts as a client order id
    # without MARKET: a market order to buy names an amount of the quote asset, which is not the quantity of ours
    types: frozenset[OrderType] = WITH_MARKET
    times_in_force: frozenset[TimeInForce] = EVERY_TIME
    prefix: str = ""  # that the exchange demands before our id, and that we remove again
    place_by: str = CLIENT_ID  # the parameter of a placement that is our id; of ccxt, which drops it for some exchanges
    # the parameter that names an order by our id; "id": in the place of the exchange's id; "": impossible
    cancel_by: str = CLIENT_ID
    query_by: str = CLIENT_ID
    query_more: Mapping[str, str] = NOTHING  # further parameters of a query
    cancels_all: bool = True  # of one instrument
    lists_by_symbol: bool = False  # open orders of one symbol alone: a session has one instrument


class ExchangeRules(NamedTuple):
    """The settings for one exchange."""

    account: AccountRules | None = None  # None: market data only
    options: Mapping[str, Any] = NOTHING  # of ccxt, which decide the endpoint that a call uses
    assumed: Mapping[str, Any] = NOTHING  # end of a path -> the answer that is assumed instead of requested
    needs_account_id: bool = False  # the number of the spot account, beside key and secret
    main_part: int = 0  # of a description in several answers: the one that has the rules
    has_ticker_sizes: bool = False  # its ticker states the sizes of bid and ask
    ticker: str = "fetch_ticker"  # the call of that ticker
    numbers_trades: bool = False  # without holes, for each symbol
    levels: int = 20  # of a book, a side
    quote_levels: int = 5  # the least that a book may have
    trades: int = 100  # of a page
    market_info: Mapping[str, Any] = NOTHING  # of the exchange's own description, what its calls read
    testnet: str = ""


BINANCE_INFO = {"orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"], "permissions": ["SPOT"]}
NO_SWAPS = {"success": True, "code": 0, "data": []}


def _types(kind: str) -> dict[str, Any]:
    """Return the option that limits the description of instruments to one kind."""
    return {"fetchMarkets": {"types": [kind]}}


RULES: Final[Mapping[str, ExchangeRules]] = {
    "binance": ExchangeRules(
        AccountRules(ReadableOrderIds(36)),
        options={**_types("spot"), "warnOnFetchOpenOrdersWithoutSymbol": False, "fetchTradesMethod": "publicGetTrades"},
        has_ticker_sizes=True,
        ticker="fetch_bids_asks",
        numbers_trades=True,
        levels=100,
        trades=500,
        market_info=BINANCE_INFO,
        testnet="https://testnet.binance.vision",
    ),
    "bitget": ExchangeRules(
        AccountRules(ReadableOrderIds(40), types=LIMITS),
        options={"uta": False, **_types("spot")},
        has_ticker_sizes=True,
    ),
    "bybit": ExchangeRules(
        AccountRules(
            ReadableOrderIds(36), cancel_by="orderLinkId", query_by="orderLinkId", query_more={"acknowledged": "true"}
        ),
        options={**_types("spot"), "enableUnifiedMargin": False, "enableUnifiedAccount": True},
        has_ticker_sizes=True,
        trades=60,  # the most that it lists
        testnet="https://api-testnet.bybit.com",
    ),
    "cryptocom": ExchangeRules(
        AccountRules(ReadableOrderIds(36), place_by="client_oid", cancel_by="client_oid", query_by="client_oid")
    ),
    "gate": ExchangeRules(
        AccountRules(ReadableOrderIds(26), types=LIMITS, prefix="t-", cancel_by="id"),
        options={**_types("spot"), "unifiedAccount": False},
        main_part=1,
    ),
    "htx": ExchangeRules(
        AccountRules(ReadableOrderIds(64), types=LIMITS),
        options={"fetchMarkets": {"types": {"spot": True, "linear": False, "inverse": False}}},
        needs_account_id=True,
        has_ticker_sizes=True,
    ),
    "kucoin": ExchangeRules(
        AccountRules(ReadableOrderIds(40), lists_by_symbol=True),
        options={"uta": False, "hf": True, "fetchMarkets": {"types": ["spot"], "fetchTickersFees": False}},
        quote_levels=20,
    ),
    "mexc": ExchangeRules(
        AccountRules(ReadableOrderIds(32)),
        assumed={"/api/v1/contract/detail": NO_SWAPS},
    ),
    "okx": ExchangeRules(
        AccountRules(ReadableOrderIds(32, punctuation=""), cancels_all=False),
        options=_types("spot"),
        has_ticker_sizes=True,
        numbers_trades=True,
    ),
}
NO_RULES: Final = ExchangeRules()


def rules_of(exchange: str) -> ExchangeRules:
    """Return the rules of an exchange; those of market data only if it has none."""
    return RULES.get(exchange, NO_RULES)
