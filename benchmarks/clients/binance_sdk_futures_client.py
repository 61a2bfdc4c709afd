"""Binance's own SDK on the simulated USD-M futures: REST, the WebSocket API and the streams of its three routes.

Runs in an environment that has binance-sdk-derivatives-trading-usds-futures.
"""

import asyncio
import re
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent))  # -P leaves it out

from binance_common.configuration import (
    ConfigurationRestAPI,
    ConfigurationWebSocketAPI,
    ConfigurationWebSocketStreams,
)
from binance_sdk_derivatives_trading_usds_futures.derivatives_trading_usds_futures import DerivativesTradingUsdsFutures
from reporting import Calls

ID = "BTCUSDT"
# text of a refusal -> its code: the SDK's exceptions keep the text alone
CODES = {
    "ReduceOnly Order is rejected.": -2022,
    "Margin is insufficient.": -2019,
    "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.": -4120,
    "Order would immediately trigger.": -2021,
    "No need to change margin type.": -4046,
}


def code_of(error: Exception) -> int | None:
    found = re.search(r"-\d{4}", str(error))
    return next((code for text, code in CODES.items() if text in str(error)), int(found[0]) if found else None)


def data(response: Any) -> Any:
    """The answer as JSON values."""
    found = response.data()
    rows = found if isinstance(found, list) else [found]
    plain = [row.to_dict() if hasattr(row, "to_dict") else row for row in rows]
    return plain if isinstance(found, list) else plain[0]


def read(calls: Calls, rest: Any) -> float:
    calls.answers("test_connectivity", rest.test_connectivity)
    calls.answers("check_server_time", lambda: data(rest.check_server_time()), lambda x: x["serverTime"])
    calls.answers("exchange_information", lambda: data(rest.exchange_information()), lambda x: len(x["symbols"]) == 2)
    calls.answers("order_book", lambda: data(rest.order_book(ID, 5)), lambda x: len(x["bids"]) == 5)
    calls.answers("mark_price", lambda: data(rest.mark_price(ID)))
    price = calls.answers("symbol_price_ticker_v2", lambda: data(rest.symbol_price_ticker_v2(ID)))
    last = float((price.get("actual_instance") or price)["price"] if "price" not in price else price["price"])
    calls.trade(ID, last)
    for name in ("recent_trades_list", "compressed_aggregate_trades_list", "get_funding_rate_history"):
        calls.answers(name, lambda call=name: data(getattr(rest, call)(ID)))
    calls.answers("kline_candlestick_data", lambda: rest.kline_candlestick_data(ID, "1m").data(), len)
    for name in ("symbol_order_book_ticker", "ticker24hr_price_change_statistics"):
        calls.answers(name, lambda call=name: data(getattr(rest, call)(ID)))
    calls.answers("get_funding_rate_info", lambda: data(rest.get_funding_rate_info()), lambda x: x == [])
    calls.refuses("open_interest", -1020, lambda: rest.open_interest(ID))
    for name in ("futures_account_balance_v2", "futures_account_balance_v3", "account_information_v2",
                 "account_information_v3", "futures_account_configuration", "get_bnb_burn_status",
                 "get_current_multi_assets_mode", "get_current_position_mode", "query_user_rate_limit"):  # fmt: skip
        calls.answers(name, lambda call=name: data(getattr(rest, call)()))
    calls.answers("notional_and_leverage_brackets", lambda: rest.notional_and_leverage_brackets(ID).data())
    calls.answers("symbol_configuration", lambda: data(rest.symbol_configuration(ID)), len)
    calls.answers("user_commission_rate", lambda: data(rest.user_commission_rate(ID)))
    return last


def trade(calls: Calls, rest: Any, last: float) -> None:
    low, high = round(last * 0.97, 1), round(last * 1.03, 1)

    def order(side: str, kind: str, **more: Any) -> Any:
        return data(rest.new_order(symbol=ID, side=side, type=kind, **more))

    calls.answers("change_initial_leverage", lambda: data(rest.change_initial_leverage(ID, 10)))
    placed = calls.answers(
        "new_order LIMIT", lambda: order("BUY", "LIMIT", quantity=0.01, price=low, time_in_force="GTC")
    )
    number = int(placed["orderId"])
    calls.answers("query_order", lambda: data(rest.query_order(ID, order_id=number)), lambda x: x["status"] == "NEW")
    calls.answers("query_current_open_order", lambda: data(rest.query_current_open_order(ID, order_id=number)))
    calls.answers("modify_order", lambda: data(rest.modify_order(ID, "BUY", 0.02, low, order_id=number)))
    calls.answers("get_order_modify_history", lambda: data(rest.get_order_modify_history(ID)), len)
    calls.answers("current_all_open_orders", lambda: data(rest.current_all_open_orders(ID)), len)
    calls.answers("cancel_order", lambda: data(rest.cancel_order(ID, order_id=number)))
    calls.answers("test_order", lambda: rest.test_order(ID, "BUY", "MARKET", quantity=0.01))
    calls.answers("new_order MARKET", lambda: order("BUY", "MARKET", quantity=0.02))
    calls.answers("position_information_v3", lambda: data(rest.position_information_v3(ID)), lambda x: len(x) == 1)
    calls.answers("position_information_v2", lambda: data(rest.position_information_v2(ID)), len)
    calls.answers("new_order reduceOnly", lambda: order("SELL", "MARKET", quantity=0.01, reduce_only="true"))
    calls.refuses("new_order STOP_MARKET", -4120, lambda: order("SELL", "STOP_MARKET", quantity=0.01))

    def algo(side: str, kind: str, **more: Any) -> Any:
        return data(rest.new_algo_order(algo_type="CONDITIONAL", symbol=ID, side=side, type=kind, **more))

    stop = calls.answers(
        "new_algo_order STOP_MARKET", lambda: algo("SELL", "STOP_MARKET", quantity=0.01, trigger_price=low)
    )
    calls.answers("new_algo_order STOP", lambda: algo("SELL", "STOP", quantity=0.01, trigger_price=low, price=low))
    calls.answers(
        "new_algo_order TAKE_PROFIT_MARKET closePosition",
        lambda: algo("SELL", "TAKE_PROFIT_MARKET", trigger_price=high, close_position="true"),
    )
    calls.answers(
        "new_algo_order TRAILING_STOP_MARKET",
        lambda: algo("SELL", "TRAILING_STOP_MARKET", quantity=0.01, callback_rate=5, activate_price=high + 100),
    )
    calls.refuses(
        "new_algo_order on the wrong side",
        -2021,
        lambda: algo("SELL", "STOP_MARKET", quantity=0.01, trigger_price=high),
    )
    calls.answers("query_algo_order", lambda: data(rest.query_algo_order(algo_id=int(stop["algoId"]))))
    calls.answers(
        "current_all_algo_open_orders", lambda: data(rest.current_all_algo_open_orders()), lambda x: len(x) == 4
    )
    calls.answers("cancel_algo_order", lambda: data(rest.cancel_algo_order(algo_id=int(stop["algoId"]))))
    calls.trade(ID, high + 1, sells=False)
    calls.answers(
        "the market triggers a take-profit", lambda: data(rest.position_information_v3(ID)), lambda x: x == []
    )
    calls.answers("cancel_all_algo_open_orders", lambda: rest.cancel_all_algo_open_orders(ID))
    calls.answers("query_all_algo_orders", lambda: data(rest.query_all_algo_orders(ID)), lambda x: len(x) == 4)
    calls.answers("auto_cancel_all_open_orders", lambda: data(rest.auto_cancel_all_open_orders(ID, 60_000)))
    calls.answers("cancel_all_open_orders", lambda: rest.cancel_all_open_orders(ID))
    calls.answers("all_orders", lambda: data(rest.all_orders(ID)), len)
    calls.answers("account_trade_list", lambda: data(rest.account_trade_list(ID)), lambda x: len(x) >= 3)
    calls.answers("get_income_history", lambda: data(rest.get_income_history(ID)), len)
    calls.answers("users_force_orders", lambda: data(rest.users_force_orders(ID)), lambda x: x == [])
    calls.answers("position_adl_quantile_estimation", lambda: data(rest.position_adl_quantile_estimation(ID)))
    calls.answers("change_margin_type", lambda: data(rest.change_margin_type(ID, "ISOLATED")))
    calls.refuses("change_margin_type again", -4046, lambda: rest.change_margin_type(ID, "ISOLATED"))
    calls.answers("new_order isolated", lambda: order("BUY", "MARKET", quantity=0.01))
    calls.answers("modify_isolated_position_margin", lambda: data(rest.modify_isolated_position_margin(ID, 10, 1)))
    calls.answers("get_position_margin_change_history", lambda: data(rest.get_position_margin_change_history(ID)), len)
    calls.answers("close a position", lambda: order("SELL", "MARKET", quantity=0.01, reduce_only="true"))
    calls.refuses(
        "reduceOnly without a position", -2022, lambda: order("SELL", "MARKET", quantity=0.01, reduce_only="true")
    )
    calls.refuses(
        "an order over the margin", -2019, lambda: order("BUY", "LIMIT", quantity=50, price=low, time_in_force="GTC")
    )
    calls.answers("change_position_mode", lambda: data(rest.change_position_mode("true")))
    calls.answers("new_order hedged", lambda: order("BUY", "MARKET", quantity=0.01, position_side="LONG"))
    calls.answers("close hedged", lambda: order("SELL", "MARKET", quantity=0.01, position_side="LONG"))
    calls.answers("change_position_mode back", lambda: data(rest.change_position_mode("false")))


async def first(handle: Any) -> Any:
    """Await a stream's first message."""
    found: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    handle.on("message", lambda message: found.done() or found.set_result(message))
    return await asyncio.wait_for(found, 20)


async def stream(calls: Calls, client: Any, low: float) -> None:
    streams = await client.websocket_streams.create_connection()
    for name, wanted in (
        ("diff_book_depth_streams", lambda: streams.diff_book_depth_streams(symbol=ID.lower(), update_speed="100ms")),
        ("individual_symbol_book_ticker_streams", lambda: streams.individual_symbol_book_ticker_streams(ID.lower())),
        ("mark_price_stream", lambda: streams.mark_price_stream(symbol=ID.lower(), update_speed="1s")),
        ("aggregate_trade_streams", lambda: streams.aggregate_trade_streams(symbol=ID.lower())),
    ):
        await calls.awaits(name, first(await wanted()))
    key = data(client.rest_api.start_user_data_stream())["listenKey"]
    calls.answers("keepalive_user_data_stream", client.rest_api.keepalive_user_data_stream)
    told = asyncio.create_task(first(await streams.user_data(key)))
    await asyncio.sleep(0.5)
    api = await client.websocket_api.create_connection()
    placed = await calls.awaits(
        "ws new_order",
        api.new_order(symbol=ID, side="BUY", type="LIMIT", quantity=0.01, price=low, time_in_force="GTC"),
    )
    calls.verify("user_data", await told, lambda message: "OrderTradeUpdate" in str(message))
    number = int(placed.data().result.order_id)
    await calls.awaits("ws query_order", api.query_order(symbol=ID, order_id=number))
    await calls.awaits("ws cancel_order", api.cancel_order(symbol=ID, order_id=number))
    await calls.awaits("ws futures_account_balance_v2", api.futures_account_balance_v2())
    await calls.awaits("ws position_information_v2", api.position_information_v2())
    await calls.awaits("ws account_information_v2", api.account_information_v2())
    await streams.close_connection(close_session=True)
    await api.close_connection(close_session=True)


def main(address: str, key: str, secret: str) -> None:
    calls = Calls(address, code_of)
    socket = address.replace("http", "ws", 1)
    client = DerivativesTradingUsdsFutures(
        config_rest_api=ConfigurationRestAPI(
            api_key=key, api_secret=secret, base_path=address, retries=0, timeout=10_000
        ),
        config_ws_api=ConfigurationWebSocketAPI(api_key=key, api_secret=secret, stream_url=f"{socket}/ws-fapi/v1"),
        config_ws_streams=ConfigurationWebSocketStreams(stream_url=f"{socket}/stream"),
    )
    last = read(calls, client.rest_api)
    trade(calls, client.rest_api, last)
    asyncio.run(asyncio.wait_for(stream(calls, client, round(last * 0.97, 1)), 60))
    print(f"Binance's SDK of USD-M futures: {len(calls.rows)} calls")
    calls.print()


if __name__ == "__main__":
    main(*sys.argv[1:])
