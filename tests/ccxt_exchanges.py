"""One small story in the message formats of ten exchanges: our values, after the formats in ccxt's sources and fixtures.

The story: the book has a bid of 60000.1 for 0.5 and an ask of 60000.3 for 0.25. We buy 0.002 at 59000; half of it is filled,
for a fee. The account holds 0.001 BTC and 941 USDT; 59 USDT are locked. The order is cancelled. Another lacks funds.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

T = 1_723_161_250_000  # ms


class Told(NamedTuple):
    """What one exchange answers; the values are JSON."""

    symbol: str  # its own name for the market
    base: str
    quote: str
    markets: list[Any]  # one answer for each request
    book: Any
    trades: Any
    candles: Any
    balance: Any
    placed: Any
    open: Any
    order: Any
    fills: Any
    canceled: Any
    refused: tuple[int, Any]
    paths: dict[str, str]  # call -> method and path of the request that ccxt makes
    ticker: Any = None  # of exchanges whose ticker has sizes
    time: Any = None


def binance(cid: str) -> Told:
    order = {
        "symbol": "BTCUSDT", "orderId": 7001, "orderListId": -1, "clientOrderId": cid, "price": "59000.00", "origQty": "0.00200",
        "executedQty": "0.00100", "cummulativeQuoteQty": "59.00000", "status": "PARTIALLY_FILLED", "timeInForce": "GTC", "type": "LIMIT",
        "side": "BUY", "time": T, "updateTime": T + 5,
    }  # fmt: skip
    return Told(
        "BTCUSDT", "BTC", "USDT",
        markets=[{"symbols": [{
            "symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT", "baseAssetPrecision": 8, "quoteAssetPrecision": 8,
            "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"], "isSpotTradingAllowed": True, "permissions": [], "permissionSets": [["SPOT"]],
            "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000.00", "tickSize": "0.01"},
                {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000.00000", "stepSize": "0.00001"},
                {"filterType": "NOTIONAL", "minNotional": "5.00"},
            ],
        }]}],
        book={"lastUpdateId": 42, "bids": [["60000.10", "0.50000"], ["59999.00", "1.00000"]], "asks": [["60000.30", "0.25000"]]},
        ticker=[{"symbol": "BTCUSDT", "bidPrice": "60000.10", "bidQty": "0.50000", "askPrice": "60000.30", "askQty": "0.25000"}],
        trades=[
            {"id": 11, "price": "60000.10", "qty": "0.01000", "quoteQty": "600.0", "time": T, "isBuyerMaker": True, "isBestMatch": True},
            {"id": 12, "price": "60000.30", "qty": "0.02000", "quoteQty": "1200.0", "time": T + 1, "isBuyerMaker": False, "isBestMatch": True},
        ],
        candles=[[T, "60000.1", "60000.3", "59990.0", "60000.2", "1.5", T + 59_999, "90000", 7, "1", "60000", "0"]],
        time={"serverTime": T},
        balance={"canTrade": True, "updateTime": T, "accountType": "SPOT", "balances": [
            {"asset": "BTC", "free": "0.00100000", "locked": "0.00000000"}, {"asset": "USDT", "free": "882.00000000", "locked": "59.00000000"}, {"asset": "ETH", "free": "0.00", "locked": "0.00"},
        ]},
        placed={**order, "transactTime": T, "executedQty": "0.00000", "cummulativeQuoteQty": "0.00000", "status": "NEW", "fills": []},
        open=[order],
        order=order,
        fills=[{"symbol": "BTCUSDT", "id": 501, "orderId": 7001, "price": "59000.00", "qty": "0.00100", "quoteQty": "59.0", "commission": "0.00000100", "commissionAsset": "BTC", "time": T + 5, "isBuyer": True, "isMaker": True, "isBestMatch": True}],
        canceled={**order, "status": "CANCELED"},
        refused=(400, {"code": -2010, "msg": "Account has insufficient balance for requested action."}),
        paths={"create_order": "POST /api/v3/order", "cancel_order": "DELETE /api/v3/order", "fetch_order": "GET /api/v3/order", "fetch_my_trades": "GET /api/v3/myTrades"},
    )  # fmt: skip


def bitget(cid: str) -> Told:
    def data(value: Any) -> Any:
        return {"code": "00000", "msg": "success", "requestTime": T, "data": value}

    order = {
        "userId": "1", "symbol": "BTCUSDT", "orderId": "7001", "clientOid": cid, "size": "0.0020", "price": "59000.00", "orderType": "limit", "side": "buy",
        "status": "partially_filled", "priceAvg": "59000.00", "baseVolume": "0.0010", "quoteVolume": "59.00", "cTime": str(T), "uTime": str(T + 5),
    }  # fmt: skip
    return Told(
        "BTCUSDT", "BTC", "USDT",
        markets=[
            data([{"symbol": "BTCUSDT", "baseCoin": "BTC", "quoteCoin": "USDT", "minTradeAmount": "0", "maxTradeAmount": "10000", "takerFeeRate": "0.002", "makerFeeRate": "0.002", "pricePrecision": "2", "quantityPrecision": "6", "quotePrecision": "8", "status": "online", "minTradeUSDT": "1"}]),
            data([]),
        ],
        book=data({"asks": [["60000.30", "0.25"]], "bids": [["60000.10", "0.5"], ["59999.00", "1"]], "ts": str(T)}),
        ticker=data([{"symbol": "BTCUSDT", "lastPr": "60000.2", "bidPr": "60000.10", "askPr": "60000.30", "bidSz": "0.5", "askSz": "0.25", "ts": str(T)}]),
        trades=data([
            {"symbol": "BTCUSDT", "tradeId": "1205", "side": "Buy", "price": "60000.30", "size": "0.02", "ts": str(T + 1)},
            {"symbol": "BTCUSDT", "tradeId": "1101", "side": "Sell", "price": "60000.10", "size": "0.01", "ts": str(T)},
        ]),
        candles=data([[str(T), "60000.1", "60000.3", "59990.0", "60000.2", "1.5", "90000", "90000"]]),
        time=data({"serverTime": str(T)}),
        balance=data([{"coin": "BTC", "available": "0.001", "frozen": "0", "locked": "0", "uTime": str(T)}, {"coin": "USDT", "available": "882", "frozen": "59", "locked": "0", "uTime": str(T)}]),
        placed=data({"orderId": "7001", "clientOid": cid}),
        open=data([order]),
        order=data([order]),
        fills=data([{"userId": "1", "symbol": "BTCUSDT", "orderId": "7001", "tradeId": "501", "orderType": "limit", "side": "buy", "priceAvg": "59000.00", "size": "0.001", "amount": "59", "feeDetail": {"deduction": "no", "feeCoin": "BTC", "totalDeductionFee": "", "totalFee": "-0.000001"}, "tradeScope": "maker", "cTime": str(T + 5), "uTime": str(T + 5)}]),
        canceled=data({"orderId": "7001", "clientOid": cid}),
        refused=(400, {"code": "43012", "msg": "Insufficient balance", "requestTime": T, "data": None}),
        paths={"create_order": "POST /api/v2/spot/trade/place-order", "cancel_order": "POST /api/v2/spot/trade/cancel-order", "fetch_order": "GET /api/v2/spot/trade/orderInfo", "fetch_my_trades": "GET /api/v2/spot/trade/fills"},
    )  # fmt: skip


def bitstamp(cid: str) -> Told:
    return Told(
        "btcusd", "BTC", "USD",
        markets=[[{"name": "BTC/USD", "market_symbol": "btcusd", "base_currency": "BTC", "base_decimals": 8, "counter_currency": "USD", "counter_decimals": 2, "minimum_order_value": "10", "trading": "Enabled", "instant_order_counter_decimals": 2, "instant_and_market_orders": "Enabled", "description": "Bitcoin / U.S. dollar", "market_type": "SPOT"}]],
        book={"timestamp": str(T // 1000), "microtimestamp": str(T * 1000), "bids": [["60000.10", "0.50000000"], ["59999.00", "1.00000000"]], "asks": [["60000.30", "0.25000000"]]},
        trades=[
            {"date": str(T // 1000), "tid": "1205", "amount": "0.02000000", "type": "0", "price": "60000.30"},
            {"date": str(T // 1000), "tid": "1101", "amount": "0.01000000", "type": "1", "price": "60000.10"},
        ],
        candles={"data": {"pair": "BTC/USD", "ohlc": [{"timestamp": str(T // 1000), "open": "60000.1", "high": "60000.3", "low": "59990.0", "close": "60000.2", "volume": "1.5"}]}},
        balance=[{"currency": "btc", "total": "0.00100000", "available": "0.00100000", "reserved": "0.00000000"}, {"currency": "usd", "total": "941.00", "available": "882.00", "reserved": "59.00"}],
        placed={"id": "7001", "client_order_id": cid, "datetime": "2024-08-08 23:54:10", "type": "0", "price": "59000.00", "amount": "0.00200000", "market": "BTC/USD"},
        open=[{"id": "7001", "client_order_id": cid, "datetime": "2024-08-08 23:54:10", "type": "0", "price": "59000.00", "amount": "0.00100000", "amount_at_create": "0.00200000", "currency_pair": "BTC/USD", "market": "BTC/USD"}],
        order={"status": "Open", "id": 7001, "client_order_id": cid, "amount_remaining": "0.00100000", "type": "0", "market": "BTC/USD", "transactions": [{"fee": "0.05900", "price": "59000.00", "datetime": "2024-08-08 23:54:10.005000", "usd": "59.00", "tid": 501, "btc": "0.00100000", "type": 2}]},
        fills=[{"fee": "0.05900", "btc_usd": 59000.0, "datetime": "2024-08-08 23:54:10.005000", "usd": "-59.00", "order_id": 7001, "btc": "0.00100000", "type": "2", "id": 501, "eur": 0}],
        canceled={"id": 7001, "amount": "0.00100000", "price": "59000.00", "type": 0, "market": "BTC/USD"},
        refused=(400, {"status": "error", "reason": {"__all__": ["You have only 1.00 USD available. Check your account balance for details."]}}),
        paths={"create_order": "POST /api/v2/buy/btcusd/", "cancel_order": "POST /api/v2/cancel_order/", "fetch_order": "POST /api/v2/order_status/", "fetch_my_trades": "POST /api/v2/user_transactions/btcusd/"},
    )  # fmt: skip


def bybit(cid: str) -> Told:
    def result(value: Any) -> Any:
        return {"retCode": 0, "retMsg": "OK", "result": value, "retExtInfo": {}, "time": T}

    order = {
        "symbol": "BTCUSDT", "orderType": "Limit", "orderLinkId": cid, "orderId": "7001", "avgPrice": "59000.00", "orderStatus": "PartiallyFilled", "cumExecValue": "59.0", "rejectReason": "EC_NoError",
        "price": "59000.00", "createdTime": str(T), "timeInForce": "GTC", "updatedTime": str(T + 5), "side": "Buy", "triggerPrice": "", "cumExecFee": "0.000001", "leavesQty": "0.001", "cumExecQty": "0.001", "qty": "0.002", "marketUnit": "",
    }  # fmt: skip
    return Told(
        "BTCUSDT", "BTC", "USDT",
        markets=[result({"category": "spot", "list": [{"symbol": "BTCUSDT", "baseCoin": "BTC", "quoteCoin": "USDT", "innovation": "0", "status": "Trading", "marginTrading": "both", "lotSizeFilter": {"basePrecision": "0.000001", "quotePrecision": "0.00000001", "minOrderQty": "0.000048", "maxOrderQty": "71.7", "minOrderAmt": "1", "maxOrderAmt": "4000000"}, "priceFilter": {"tickSize": "0.01"}}]})],
        book=result({"s": "BTCUSDT", "b": [["60000.10", "0.5"], ["59999.00", "1"]], "a": [["60000.30", "0.25"]], "ts": T, "u": 42}),
        ticker=result({"category": "spot", "list": [{"symbol": "BTCUSDT", "bid1Price": "60000.10", "bid1Size": "0.5", "ask1Price": "60000.30", "ask1Size": "0.25", "lastPrice": "60000.2"}]}),
        trades=result({"category": "spot", "list": [
            {"execId": "2205", "symbol": "BTCUSDT", "price": "60000.30", "size": "0.02", "side": "Buy", "time": str(T + 1), "isBlockTrade": False},
            {"execId": "2101", "symbol": "BTCUSDT", "price": "60000.10", "size": "0.01", "side": "Sell", "time": str(T), "isBlockTrade": False},
        ]}),
        candles=result({"category": "spot", "symbol": "BTCUSDT", "list": [[str(T), "60000.1", "60000.3", "59990.0", "60000.2", "1.5", "90000"]]}),
        time=result({"timeSecond": str(T // 1000), "timeNano": str(T * 1_000_000)}),
        balance=result({"list": [{"accountType": "UNIFIED", "totalEquity": "1000", "coin": [{"coin": "BTC", "walletBalance": "0.001", "equity": "0.001", "locked": "0", "borrowAmount": "0", "availableToWithdraw": "0.001"}, {"coin": "USDT", "walletBalance": "941", "equity": "941", "locked": "59", "borrowAmount": "0", "availableToWithdraw": "882"}]}]}),
        placed=result({"orderId": "7001", "orderLinkId": cid}),
        open=result({"category": "spot", "nextPageCursor": "", "list": [order]}),
        order=result({"category": "spot", "nextPageCursor": "", "list": [order]}),
        fills=result({"category": "spot", "nextPageCursor": "", "list": [{"symbol": "BTCUSDT", "orderType": "Limit", "orderLinkId": cid, "orderId": "7001", "execTime": str(T + 5), "feeRate": "0.001", "execPrice": "59000.00", "orderQty": "0.002", "orderPrice": "59000.00", "execType": "Trade", "side": "Buy", "isMaker": True, "execFee": "0.000001", "feeCurrency": "BTC", "execId": "501", "execQty": "0.001"}]}),
        canceled=result({"orderId": "7001", "orderLinkId": cid}),
        refused=(200, {"retCode": 170131, "retMsg": "Insufficient balance.", "result": {}, "retExtInfo": {}, "time": T}),
        paths={"create_order": "POST /v5/order/create", "cancel_order": "POST /v5/order/cancel", "fetch_order": "GET /v5/order/realtime", "fetch_my_trades": "GET /v5/execution/list"},
    )  # fmt: skip


def cryptocom(cid: str) -> Told:
    def result(method: str, value: Any) -> Any:
        return {"id": T, "method": method, "code": 0, "result": value}

    order = {
        "account_id": "a", "order_id": "7001", "client_oid": cid, "order_type": "LIMIT", "time_in_force": "GOOD_TILL_CANCEL", "side": "BUY", "exec_inst": [], "quantity": "0.00200", "limit_price": "59000.00", "order_value": "118",
        "avg_price": "59000.00", "cumulative_quantity": "0.00100", "cumulative_value": "59", "cumulative_fee": "0.000001", "status": "ACTIVE", "instrument_name": "BTC_USDT", "fee_instrument_name": "BTC", "create_time": T, "update_time": T + 5,
    }  # fmt: skip
    return Told(
        "BTC_USDT", "BTC", "USDT",
        markets=[result("public/get-instruments", {"data": [{"symbol": "BTC_USDT", "inst_type": "CCY_PAIR", "display_name": "BTC/USDT", "base_ccy": "BTC", "quote_ccy": "USDT", "quote_decimals": 2, "quantity_decimals": 5, "price_tick_size": "0.01", "qty_tick_size": "0.00001", "max_leverage": "50", "tradable": True, "expiry_timestamp_ms": 0, "beta_product": False}]})],
        book=result("public/get-book", {"depth": 20, "instrument_name": "BTC_USDT", "data": [{"bids": [["60000.10", "0.50000", "1"], ["59999.00", "1.00000", "1"]], "asks": [["60000.30", "0.25000", "1"]], "t": T}]}),
        trades=result("public/get-trades", {"instrument_name": "BTC_USDT", "data": [
            {"s": "BUY", "p": "60000.30", "q": "0.02000", "t": T + 1, "d": "1205", "i": "BTC_USDT"}, {"s": "SELL", "p": "60000.10", "q": "0.01000", "t": T, "d": "1101", "i": "BTC_USDT"},
        ]}),
        candles=result("public/get-candlestick", {"interval": "1m", "instrument_name": "BTC_USDT", "data": [{"t": T, "o": "60000.1", "h": "60000.3", "l": "59990.0", "c": "60000.2", "v": "1.5"}]}),
        balance=result("private/user-balance", {"data": [{"instrument_name": "USD", "total_available_balance": "1", "position_balances": [{"quantity": "0.001", "reserved_qty": "0", "instrument_name": "BTC"}, {"quantity": "941", "reserved_qty": "59", "instrument_name": "USDT"}]}]}),
        placed=result("private/create-order", {"order_id": "7001", "client_oid": cid}),
        open=result("private/get-open-orders", {"data": [order]}),
        order=result("private/get-order-detail", order),
        fills=result("private/get-trades", {"data": [{"account_id": "a", "journal_type": "TRADING", "side": "BUY", "instrument_name": "BTC_USDT", "fees": "-0.000001", "trade_id": "501", "create_time": T + 5, "traded_price": "59000.00", "traded_quantity": "0.00100", "fee_instrument_name": "BTC", "client_oid": cid, "taker_side": "MAKER", "order_id": "7001"}]}),
        canceled=result("private/cancel-order", {"client_oid": cid, "order_id": "7001"}),
        refused=(400, {"id": T, "method": "private/create-order", "code": 306, "message": "INSUFFICIENT_AVAILABLE_BALANCE", "result": {"client_oid": cid, "order_id": "7002"}}),
        paths={"create_order": "POST /exchange/v1/private/create-order", "cancel_order": "POST /exchange/v1/private/cancel-order", "fetch_order": "POST /exchange/v1/private/get-order-detail", "fetch_my_trades": "POST /exchange/v1/private/get-trades"},
    )  # fmt: skip


def gate(cid: str) -> Told:
    order = {
        "id": "7001", "text": f"t-{cid}", "create_time": str(T // 1000), "update_time": str(T // 1000), "create_time_ms": T, "update_time_ms": T + 5, "status": "open", "currency_pair": "BTC_USDT", "type": "limit", "account": "spot", "side": "buy",
        "amount": "0.002", "price": "59000", "time_in_force": "gtc", "iceberg": "0", "left": "0.001", "filled_amount": "0.001", "avg_deal_price": "59000", "filled_total": "59", "fee": "0.000001", "fee_currency": "BTC", "finish_as": "open",
    }  # fmt: skip
    return Told(
        "BTC_USDT", "BTC", "USDT",
        markets=[
            [{"id": "BTC_USDT", "base": "BTC", "quote": "USDT", "leverage": 10, "min_base_amount": "0.0001", "min_quote_amount": "1", "max_quote_amount": "5000000", "status": 1}],
            [{"id": "BTC_USDT", "base": "BTC", "base_name": "Bitcoin", "quote": "USDT", "quote_name": "Tether", "fee": "0.2", "min_base_amount": "0.000001", "min_quote_amount": "3", "max_quote_amount": "5000000", "amount_precision": 6, "precision": 1, "trade_status": "tradable", "sell_start": 0, "buy_start": 0, "type": "normal"}],
        ],
        book={"id": 42, "current": T, "update": T, "asks": [["60000.3", "0.25"]], "bids": [["60000.1", "0.5"], ["59999", "1"]]},
        trades=[
            {"id": "1205", "create_time": str(T // 1000), "create_time_ms": f"{T + 1}.5", "currency_pair": "BTC_USDT", "side": "buy", "amount": "0.02", "price": "60000.3"},
            {"id": "1101", "create_time": str(T // 1000), "create_time_ms": f"{T}.25", "currency_pair": "BTC_USDT", "side": "sell", "amount": "0.01", "price": "60000.1"},
        ],
        candles=[[str(T // 1000), "90000", "60000.2", "60000.3", "59990.0", "60000.1", "1.5", "true"]],
        time={"server_time": T},
        balance=[{"currency": "BTC", "available": "0.001", "locked": "0"}, {"currency": "USDT", "available": "882", "locked": "59"}],
        placed={**order, "left": "0.002", "filled_amount": "0", "filled_total": "0", "avg_deal_price": "0"},
        open=[{"currency_pair": "BTC_USDT", "total": 1, "orders": [order]}],
        order=order,
        fills=[{"id": "501", "create_time": str(T // 1000), "create_time_ms": f"{T + 5}.0", "currency_pair": "BTC_USDT", "side": "buy", "role": "maker", "amount": "0.001", "price": "59000", "order_id": "7001", "fee": "0.000001", "fee_currency": "BTC", "point_fee": "0", "gt_fee": "0"}],
        canceled={**order, "status": "cancelled", "finish_as": "cancelled"},
        refused=(400, {"label": "BALANCE_NOT_ENOUGH", "message": "Not enough balance"}),
        paths={"create_order": "POST /api/v4/spot/orders", "cancel_order": "DELETE /api/v4/spot/orders/7001", "fetch_order": "GET /api/v4/spot/orders/7001", "fetch_my_trades": "GET /api/v4/spot/my_trades"},
    )  # fmt: skip


def htx(cid: str) -> Told:
    order = {
        "id": 7001, "symbol": "btcusdt", "account-id": 5, "client-order-id": cid, "amount": "0.002", "price": "59000", "created-at": T, "type": "buy-limit", "filled-amount": "0.001", "filled-cash-amount": "59", "filled-fees": "0.000001", "finished-at": 0,
        "source": "spot-api", "state": "partial-filled", "canceled-at": 0,
    }  # fmt: skip
    return Told(
        "btcusdt", "BTC", "USDT",
        markets=[{"status": "ok", "data": [{"base-currency": "btc", "quote-currency": "usdt", "price-precision": 2, "amount-precision": 6, "symbol-partition": "main", "symbol": "btcusdt", "state": "online", "value-precision": 8, "min-order-amt": 0.00001, "max-order-amt": 1000, "min-order-value": 10, "limit-order-min-order-amt": 0.00001, "limit-order-max-order-amt": 1000, "api-trading": "enabled"}]}],
        book={"status": "ok", "ch": "market.btcusdt.depth.step0", "ts": T, "tick": {"bids": [[60000.1, 0.5], [59999, 1]], "asks": [[60000.3, 0.25]], "ts": T, "version": 42}},
        ticker={"status": "ok", "ch": "market.btcusdt.detail.merged", "ts": T, "tick": {"amount": 1.5, "open": 60000.1, "close": 60000.2, "high": 60000.3, "id": 1, "count": 7, "low": 59990, "version": 1, "ask": [60000.3, 0.25], "vol": 90000, "bid": [60000.1, 0.5]}},
        trades={"status": "ok", "ch": "market.btcusdt.trade.detail", "ts": T, "data": [
            {"id": 2, "ts": T + 1, "data": [{"amount": 0.02, "trade-id": 1205, "ts": T + 1, "id": 10500517034273194594947, "price": 60000.3, "direction": "buy"}]},
            {"id": 1, "ts": T, "data": [{"amount": 0.01, "trade-id": 1101, "ts": T, "id": 10500517034273194594946, "price": 60000.1, "direction": "sell"}]},
        ]},
        candles={"status": "ok", "ch": "market.btcusdt.kline.1min", "ts": T, "data": [{"amount": 1.5, "open": 60000.1, "close": 60000.2, "high": 60000.3, "id": T // 1000, "count": 7, "low": 59990, "vol": 90000}]},
        time={"status": "ok", "data": T},
        balance={"status": "ok", "data": {"id": 5, "type": "spot", "state": "working", "list": [{"currency": "btc", "type": "trade", "balance": "0.001"}, {"currency": "btc", "type": "frozen", "balance": "0"}, {"currency": "usdt", "type": "trade", "balance": "882"}, {"currency": "usdt", "type": "frozen", "balance": "59"}]}},
        placed={"status": "ok", "data": "7001"},
        open={"status": "ok", "data": [order]},
        order={"status": "ok", "data": order},
        fills={"status": "ok", "data": [{"symbol": "btcusdt", "fee-currency": "btc", "filled-fees": "0.000001", "source": "spot-api", "id": 9, "type": "buy-limit", "order-id": 7001, "filled-points": "0", "fee-deduct-currency": "", "filled-amount": "0.001", "price": "59000", "created-at": T + 5, "match-id": 3, "role": "maker", "trade-id": 501}]},
        canceled={"status": "ok", "data": "7001"},
        refused=(200, {"status": "error", "err-code": "account-frozen-balance-insufficient-error", "err-msg": "trade account balance is not enough", "data": None}),
        paths={"create_order": "POST /v1/order/orders/place", "cancel_order": "POST /v1/order/orders/7001/submitcancel", "fetch_order": "GET /v1/order/orders/7001", "fetch_my_trades": "GET /v1/order/matchresults"},
    )  # fmt: skip


def kucoin(cid: str) -> Told:
    def data(value: Any) -> Any:
        return {"code": "200000", "data": value}

    order = {
        "id": "7001", "clientOid": cid, "symbol": "BTC-USDT", "opType": "DEAL", "type": "limit", "side": "buy", "price": "59000", "size": "0.002", "funds": "118", "dealSize": "0.001", "dealFunds": "59", "remainSize": "0.001", "cancelledSize": "0",
        "fee": "0.000001", "feeCurrency": "BTC", "timeInForce": "GTC", "postOnly": False, "hidden": False, "iceberg": False, "cancelExist": False, "createdAt": T, "lastUpdatedAt": T + 5, "tradeType": "TRADE", "inOrderBook": True, "active": True,
    }  # fmt: skip
    return Told(
        "BTC-USDT", "BTC", "USDT",
        markets=[data([{"symbol": "BTC-USDT", "name": "BTC-USDT", "baseCurrency": "BTC", "quoteCurrency": "USDT", "feeCurrency": "USDT", "market": "USDS", "baseMinSize": "0.00001", "quoteMinSize": "0.1", "baseMaxSize": "10000000000", "quoteMaxSize": "99999999", "baseIncrement": "0.00000001", "quoteIncrement": "0.000001", "priceIncrement": "0.1", "priceLimitRate": "0.1", "minFunds": "0.1", "isMarginEnabled": True, "enableTrading": True}])],
        book=data({"sequence": "42", "time": T, "bids": [["60000.1", "0.5"], ["59999", "1"]], "asks": [["60000.3", "0.25"]]}),
        trades=data([
            {"sequence": "1101", "side": "sell", "size": "0.01", "price": "60000.1", "time": T * 1_000_000}, {"sequence": "1205", "side": "buy", "size": "0.02", "price": "60000.3", "time": (T + 1) * 1_000_000},
        ]),
        candles=data([[str(T // 1000), "60000.1", "60000.2", "60000.3", "59990.0", "1.5", "90000"]]),
        time={"code": "200000", "msg": "success", "data": T},
        balance=data([{"id": "a", "currency": "BTC", "type": "trade_hf", "balance": "0.001", "available": "0.001", "holds": "0"}, {"id": "b", "currency": "USDT", "type": "trade_hf", "balance": "941", "available": "882", "holds": "59"}]),
        placed=data({"orderId": "7001", "clientOid": cid}),
        open=data([order]),
        order=data(order),
        fills=data({"lastId": 1, "items": [{"id": 1, "symbol": "BTC-USDT", "tradeId": 501, "orderId": "7001", "counterOrderId": "8", "side": "buy", "liquidity": "maker", "forceTaker": False, "price": "59000", "size": "0.001", "funds": "59", "fee": "0.000001", "feeRate": "0.001", "feeCurrency": "BTC", "stop": "", "tradeType": "TRADE", "type": "limit", "createdAt": T + 5}]}),
        canceled=data({"orderId": "7001"}),
        refused=(400, {"code": "200004", "msg": "Balance insufficient!"}),
        paths={"create_order": "POST /api/v1/hf/orders", "cancel_order": "DELETE /api/v1/hf/orders/7001", "fetch_order": "GET /api/v1/hf/orders/7001", "fetch_my_trades": "GET /api/v1/hf/fills"},
    )  # fmt: skip


def mexc(cid: str) -> Told:
    order = {
        "symbol": "BTCUSDT", "orderId": "7001", "orderListId": -1, "clientOrderId": cid, "price": "59000", "origQty": "0.002", "executedQty": "0.001", "cummulativeQuoteQty": "59", "status": "PARTIALLY_FILLED", "timeInForce": "GTC", "type": "LIMIT", "side": "BUY",
        "stopPrice": None, "icebergQty": None, "time": T, "updateTime": T + 5, "isWorking": True, "origQuoteOrderQty": "118",
    }  # fmt: skip
    return Told(
        "BTCUSDT", "BTC", "USDT",
        markets=[{"timezone": "CST", "serverTime": T, "symbols": [{"symbol": "BTCUSDT", "status": "1", "baseAsset": "BTC", "baseAssetPrecision": 6, "quoteAsset": "USDT", "quoteAssetPrecision": 2, "quotePrecision": 2, "orderTypes": ["LIMIT", "MARKET", "LIMIT_MAKER"], "isSpotTradingAllowed": True, "isMarginTradingAllowed": False, "permissions": ["SPOT"], "filters": [], "baseSizePrecision": "0.000001", "quoteAmountPrecision": "1", "maxQuoteAmount": "2000000", "makerCommission": "0", "takerCommission": "0.0005"}]}],
        book={"lastUpdateId": 42, "bids": [["60000.10", "0.500000"], ["59999.00", "1.000000"]], "asks": [["60000.30", "0.250000"]]},
        trades=[
            {"a": None, "f": None, "l": None, "p": "60000.10", "q": "0.010000", "T": T, "m": True, "M": True}, {"a": None, "f": None, "l": None, "p": "60000.30", "q": "0.020000", "T": T + 1, "m": False, "M": True},
        ],
        candles=[[T, "60000.1", "60000.3", "59990.0", "60000.2", "1.5", T + 60_000, "90000"]],
        time={"serverTime": T},
        balance={"canTrade": True, "accountType": "SPOT", "balances": [{"asset": "BTC", "free": "0.001", "locked": "0"}, {"asset": "USDT", "free": "882", "locked": "59"}], "permissions": ["SPOT"]},
        placed={"symbol": "BTCUSDT", "orderId": "7001", "orderListId": -1, "price": "59000", "origQty": "0.002", "type": "LIMIT", "side": "BUY", "transactTime": T},
        open=[order],
        order=order,
        fills=[{"symbol": "BTCUSDT", "id": "501", "orderId": "7001", "orderListId": -1, "price": "59000", "qty": "0.001", "quoteQty": "59", "commission": "0.000001", "commissionAsset": "BTC", "time": T + 5, "isBuyer": True, "isMaker": True, "isBestMatch": True, "isSelfTrade": False, "clientOrderId": cid}],
        canceled={"symbol": "BTCUSDT", "origClientOrderId": cid, "orderId": "7001", "price": "59000", "origQty": "0.002", "type": "LIMIT", "side": "BUY", "executedQty": "0.001", "status": "CANCELED", "timeInForce": "GTC"},
        refused=(400, {"code": 30004, "msg": "Insufficient position"}),
        paths={"create_order": "POST /api/v3/order", "cancel_order": "DELETE /api/v3/order", "fetch_order": "GET /api/v3/order", "fetch_my_trades": "GET /api/v3/myTrades"},
    )  # fmt: skip


def okx(cid: str) -> Told:
    def data(value: Any) -> Any:
        return {"code": "0", "msg": "", "data": value}

    order = {
        "accFillSz": "0.001", "avgPx": "59000", "cTime": str(T), "category": "normal", "ccy": "", "clOrdId": cid, "fee": "-0.000001", "feeCcy": "BTC", "fillPx": "59000", "fillSz": "0.001", "fillTime": str(T + 5), "instId": "BTC-USDT", "instType": "SPOT",
        "lever": "", "ordId": "7001", "ordType": "limit", "pnl": "0", "posSide": "net", "px": "59000", "rebate": "0", "rebateCcy": "USDT", "side": "buy", "state": "partially_filled", "sz": "0.002", "tag": "", "tdMode": "cash", "tgtCcy": "", "tradeId": "501", "uTime": str(T + 5),
    }  # fmt: skip
    return Told(
        "BTC-USDT", "BTC", "USDT",
        markets=[data([{"baseCcy": "BTC", "category": "1", "ctMult": "", "ctType": "", "ctVal": "", "ctValCcy": "", "expTime": "", "instId": "BTC-USDT", "instType": "SPOT", "lever": "10", "listTime": "1548133413000", "lotSz": "0.00000001", "minSz": "0.00001", "maxLmtSz": "9999999999", "optType": "", "quoteCcy": "USDT", "settleCcy": "", "state": "live", "stk": "", "tickSz": "0.1", "uly": ""}])],
        book=data([{"asks": [["60000.3", "0.25", "0", "1"]], "bids": [["60000.1", "0.5", "0", "2"], ["59999", "1", "0", "1"]], "ts": str(T), "seqId": 42}]),
        ticker=data([{"instType": "SPOT", "instId": "BTC-USDT", "last": "60000.2", "lastSz": "0.1", "askPx": "60000.3", "askSz": "0.25", "bidPx": "60000.1", "bidSz": "0.5", "ts": str(T)}]),
        trades=data([
            {"instId": "BTC-USDT", "side": "buy", "sz": "0.02", "px": "60000.3", "tradeId": "12", "ts": str(T + 1)}, {"instId": "BTC-USDT", "side": "sell", "sz": "0.01", "px": "60000.1", "tradeId": "11", "ts": str(T)},
        ]),
        candles=data([[str(T), "60000.1", "60000.3", "59990.0", "60000.2", "1.5", "90000", "90000", "1"]]),
        time=data([{"ts": str(T)}]),
        balance=data([{"adjEq": "", "details": [{"availBal": "0.001", "availEq": "", "cashBal": "0.001", "ccy": "BTC", "eq": "0.001", "frozenBal": "0", "uTime": str(T)}, {"availBal": "882", "availEq": "", "cashBal": "941", "ccy": "USDT", "eq": "941", "frozenBal": "59", "uTime": str(T)}], "totalEq": "1000", "uTime": str(T)}]),
        placed=data([{"clOrdId": cid, "ordId": "7001", "tag": "", "sCode": "0", "sMsg": ""}]),
        open=data([order]),
        order=data([order]),
        fills=data([{"side": "buy", "fillSz": "0.001", "fillPx": "59000", "fee": "-0.000001", "ordId": "7001", "instType": "SPOT", "instId": "BTC-USDT", "clOrdId": cid, "posSide": "net", "billId": "1", "tag": "", "execType": "M", "tradeId": "501", "feeCcy": "BTC", "ts": str(T + 5)}]),
        canceled=data([{"clOrdId": cid, "ordId": "7001", "sCode": "0", "sMsg": ""}]),
        refused=(200, {"code": "1", "msg": "All operations failed", "data": [{"clOrdId": cid, "ordId": "", "sCode": "51008", "sMsg": "Order failed. Insufficient USDT balance in account", "tag": ""}]}),
        paths={"create_order": "POST /api/v5/trade/batch-orders", "cancel_order": "POST /api/v5/trade/cancel-order", "fetch_order": "GET /api/v5/trade/order", "fetch_my_trades": "GET /api/v5/trade/fills-history"},
    )  # fmt: skip


STORIES: dict[str, Callable[[str], Told]] = {
    each.__name__: each for each in (binance, bitget, bitstamp, bybit, cryptocom, gate, htx, kucoin, mexc, okx)
}
