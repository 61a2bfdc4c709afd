"""Each risk rule, exactly at its edge: the last order that it accepts and the first that it refuses.

A case is a transcript of steps (risk_desk.py) whose last one is the order under review. Most go all the way: strategy,
kernel, verdict, and a request where every rule accepts.
"""

from decimal import Decimal

import pytest
from by_hand import BTC
from msgspec.structs import replace
from risk_case import Case, accepted, refused
from risk_desk import Desk
from risk_limit_cases import LIMIT_CASES

from engine.facts import NewOrder
from engine.model import OrderType, Side
from engine.risk.context import RiskAnswer
from engine.risk.rules import RULES

BOUNDS = {"price_min": "90", "price_max": "110"}
LOTS = {"quantity_min": "0.5", "quantity_max": "10", "market_quantity_max": "4"}

CASES = [
    # ---- mode
    accepted("mode", "BUY LIMIT 1 @ 90"),
    refused("mode", "command: pause", "review: BUY LIMIT 1 @ 90", because="mode is paused: paused by test"),
    accepted("mode", "command: pause", "command: resume", "run 1", "BUY LIMIT 1 @ 90"),
    refused("mode", "command: halt", "review: BUY LIMIT 1 @ 90", because="mode is halted: ordered by test"),
    refused("mode", "BUY LIMIT 1 @ 80", "venue: open", "command: stop", "review: BUY LIMIT 1 @ 90", because="the session is stopping"),
    # ---- trading
    accepted("trading", "BUY LIMIT 1 @ 90", instrument={"trading": True}),
    refused("trading", "BUY LIMIT 1 @ 90", because="BTCUSDT is not trading", instrument={"trading": False}),
    # ---- blocked
    accepted("blocked", "ETHBTC BUY LIMIT 1 @ 90"),
    refused("blocked", "ETHBTC BUY LIMIT 1 @ 90", because="no synchronised book", no_book={"ETHBTC": True}),
    accepted("blocked", "BUY LIMIT 1 @ 90", no_book={"ETHBTC": True}),
    # ---- quoted
    accepted("quoted", "BUY MARKET 1 while quoted 99.00 101.00"),
    refused("quoted", "BUY MARKET 1 while quoted 0.00 101.00", because="no quote: a market order's cost cannot be judged"),
    accepted("quoted", "BUY LIMIT 1 @ 90 while quoted 0.00 101.00"),
    # ---- tick
    accepted("tick", "BUY LIMIT 1 @ 90.01"),
    refused("tick", "BUY LIMIT 1 @ 90.005", because="price 90.005 is not a multiple of the tick 0.01"),
    accepted("tick", "BUY LIMIT 1 @ 90.005", instrument={"tick_size": "0"}),
    refused("tick", "BUY LIMIT 1 @ 0", because="price 0 is not a multiple of the tick 0.01"),
    refused("tick", "BUY LIMIT 1 @ -0.01", because="price -0.01 is not a multiple of the tick 0.01"),
    accepted("tick", "BUY LIMIT 1 @ 90.00", instrument=BOUNDS),
    refused("tick", "BUY LIMIT 1 @ 89.99", because="price 89.99 is below 90", instrument=BOUNDS),
    accepted("tick", "SELL LIMIT 1 @ 110.00", instrument=BOUNDS),
    refused("tick", "SELL LIMIT 1 @ 110.01", because="price 110.01 is above 110", instrument=BOUNDS),
    accepted("tick", "SELL MARKET 1", instrument={"price_min": "200"}),
    refused("tick", "SELL LIMIT_MAKER 1 @ 110.01", because="price 110.01 is above 110", instrument=BOUNDS),
    accepted("tick", "SELL STOP 1 from 90.01"),
    refused("tick", "SELL STOP 1 from 90.005", because="stop price 90.005 is not a multiple of the tick 0.01"),
    refused("tick", "SELL STOP 1 from 89.99", because="stop price 89.99 is below 90", instrument=BOUNDS),
    refused("tick", "BUY STOP_LIMIT 1 @ 110 from 110.01", because="stop price 110.01 is above 110", instrument=BOUNDS),
    refused("tick", "BUY STOP_LIMIT 1 @ 110.01 from 110", because="price 110.01 is above 110", instrument=BOUNDS),
    # ---- order_type
    accepted("order_type", "SELL TAKE_PROFIT 1 from 110"),
    refused("order_type", "review: BUY FOREIGN 1 @ 90", because="binance_spot places no FOREIGN orders"),
    # ---- lot
    accepted("lot", "BUY LIMIT 1.00001 @ 90"),
    refused("lot", "BUY LIMIT 1.000005 @ 90", because="quantity 1.000005 is not a multiple of the lot 0.00001"),
    refused("lot", "BUY LIMIT 0 @ 90", because="quantity 0 is not a multiple of the lot 0.00001"),
    accepted("lot", "BUY LIMIT 0.5 @ 90", instrument=LOTS),
    refused("lot", "BUY LIMIT 0.49999 @ 90", because="quantity 0.49999 is below 0.5", instrument=LOTS),
    accepted("lot", "BUY LIMIT 10 @ 90", instrument=LOTS),
    refused("lot", "BUY LIMIT 10.00001 @ 90", because="quantity 10.00001 is above 10", instrument=LOTS),
    accepted("lot", "BUY MARKET 4", instrument=LOTS),
    refused("lot", "BUY MARKET 4.00001", because="quantity 4.00001 is above 4", instrument=LOTS),
    refused("lot", "BUY MARKET 10.00001", because="quantity 10.00001 is above 10", instrument={**LOTS, "market_quantity_max": "20"}),
    refused("lot", "BUY MARKET 4.00001", because="quantity 4.00001 is above 4", instrument={**LOTS, "quantity_max": "0"}),
    # ---- notional_min
    accepted("notional_min", "BUY LIMIT 1 @ 90", instrument={"notional_min": "90"}),
    refused("notional_min", "BUY LIMIT 0.99999 @ 90", because="notional 89.99910 is below 90", instrument={"notional_min": "90"}),
    accepted("notional_min", "BUY MARKET 1", instrument={"notional_min": "99"}),
    refused("notional_min", "BUY MARKET 0.99999", because="notional 98.99901 is below 99", instrument={"notional_min": "99"}),
    accepted("notional_min", "BUY MARKET 0.1", instrument={"notional_min": "99", "notional_min_applies_to_market": False}),
    refused(
        "notional_min", "BUY LIMIT 0.1 @ 90", because="notional 9.0 is below 99",
        instrument={"notional_min": "99", "notional_min_applies_to_market": False},
    ),
    # ---- order_size
    accepted("order_size", "BUY LIMIT 5 @ 90", risk={"order_size_max": "5"}),
    refused("order_size", "BUY LIMIT 5.00001 @ 90", because="quantity 5.00001 is above order_size_max 5", risk={"order_size_max": "5"}),
    accepted("order_size", "BUY LIMIT 1 @ 90", risk={"order_notional_max": "90"}),
    refused("order_size", "BUY LIMIT 1 @ 90.01", because="notional 90.01 is above order_notional_max 90", risk={"order_notional_max": "90"}),
    # a market buy counts at the ask with headroom of 0.5 %, a market sell at the bid
    accepted("order_size", "BUY MARKET 1", risk={"order_notional_max": "101.505"}),
    refused("order_size", "BUY MARKET 1", because="notional 101.505 is above order_notional_max 101.504", risk={"order_notional_max": "101.504"}),
    accepted("order_size", "SELL MARKET 1", risk={"order_notional_max": "99"}),
    refused("order_size", "SELL MARKET 1.00001", because="notional 99.00099 is above order_notional_max 99", risk={"order_notional_max": "99"}),
    accepted("order_size", "BUY LIMIT 1000 @ 90"),
    # ---- position
    accepted("position", "BUY LIMIT 2 @ 90", risk={"position_max": "2"}),
    refused("position", "BUY LIMIT 2.00001 @ 90", because="position could reach 2.00001, beyond position_max 2", risk={"position_max": "2"}),
    accepted("position", "SELL LIMIT 2 @ 110", risk={"position_max": "2"}),
    refused("position", "SELL LIMIT 2.00001 @ 110", because="position could reach -2.00001, beyond position_max 2", risk={"position_max": "2"}),
    accepted("position", "BUY LIMIT 1 @ 90", "venue: open", "BUY LIMIT 1 @ 90", risk={"position_max": "2"}),
    refused(
        "position", "BUY LIMIT 1 @ 90", "venue: open", "BUY LIMIT 1.00001 @ 90",
        because="position could reach 2.00001, beyond position_max 2", risk={"position_max": "2"},
    ),
    accepted("position", "SELL LIMIT 1 @ 110", "BUY LIMIT 2 @ 90", risk={"position_max": "2"}),
    accepted("position", "ETHBTC BUY LIMIT 2 @ 90", "BUY LIMIT 2 @ 90", risk={"position_max": "2"}),
    accepted("position", "BUY LIMIT 2 @ 90", "venue: open", "venue: canceled", "BUY LIMIT 2 @ 90", risk={"position_max": "2"}),
    accepted("position", "BUY LIMIT 1 @ 90", "venue: open", "venue: filled 1", "BUY LIMIT 1 @ 90", risk={"position_max": "2"}),
    refused(
        "position", "BUY LIMIT 1 @ 90", "venue: open", "venue: filled 1", "BUY LIMIT 1.00001 @ 90",
        because="position could reach 2.00001, beyond position_max 2", risk={"position_max": "2"},
    ),
    accepted("position", "BUY LIMIT 1 @ 90", "venue: open", "venue: filled 1", "SELL LIMIT 3 @ 110", risk={"position_max": "2"}),
    refused(
        "position", "BUY LIMIT 1 @ 90", "venue: open", "venue: filled 1", "SELL LIMIT 3.00001 @ 110",
        because="position could reach -2.00001, beyond position_max 2", risk={"position_max": "2"},
    ),
    # ---- open_orders
    accepted("open_orders", "BUY LIMIT 1 @ 90", "BUY LIMIT 1 @ 90", risk={"open_orders_max": 2}),
    refused(
        "open_orders", "BUY LIMIT 1 @ 90", "BUY LIMIT 1 @ 90", "BUY LIMIT 1 @ 90",
        because="2 orders are open, open_orders_max is 2", risk={"open_orders_max": 2},
    ),
    accepted("open_orders", "BUY LIMIT 1 @ 90", "venue: open", "venue: canceled", "BUY LIMIT 1 @ 90", risk={"open_orders_max": 1}),
    accepted("open_orders", "ETHBTC BUY LIMIT 1 @ 90", "BUY LIMIT 1 @ 90", risk={"open_orders_max": 1}),
    accepted("open_orders", "BUY LIMIT 1 @ 90", "BUY LIMIT 1 @ 90", risk={"open_orders_max": 0}),
    # ---- balance
    accepted("balance", "BUY LIMIT 1 @ 90", funds={"USDT": "90"}),
    refused("balance", "BUY LIMIT 1 @ 90", because="needs 90 USDT; free 89.99, promised to orders under way 0", funds={"USDT": "89.99"}),
    accepted("balance", "BUY MARKET 1", funds={"USDT": "101.505"}),
    refused("balance", "BUY MARKET 1", because="needs 101.505 USDT; free 101.504, promised to orders under way 0", funds={"USDT": "101.504"}),
    accepted("balance", "SELL LIMIT 1 @ 110", funds={"BTC": "1"}),
    refused("balance", "SELL LIMIT 1 @ 110", because="needs 1 BTC; free 0.99999, promised to orders under way 0", funds={"BTC": "0.99999"}),
    accepted("balance", "BUY LIMIT 1 @ 50", "BUY LIMIT 1 @ 90", funds={"USDT": "140"}),
    refused(
        "balance", "BUY LIMIT 1 @ 50", "BUY LIMIT 1 @ 90",
        because="needs 90 USDT; free 139.99, promised to orders under way 50", funds={"USDT": "139.99"},
    ),
    accepted("balance", "SELL MARKET 1", "SELL LIMIT 1 @ 110", funds={"BTC": "2"}),
    refused(
        "balance", "SELL MARKET 1", "SELL LIMIT 1 @ 110",
        because="needs 1 BTC; free 1.99999, promised to orders under way 1", funds={"BTC": "1.99999"},
    ),
    # once a balance report contains the lock of an order, the lock is not counted a second time
    accepted("balance", "BUY LIMIT 1 @ 50", "venue: open", "venue: free USDT 90", "BUY LIMIT 1 @ 90", funds={"USDT": "140"}),
    refused(
        "balance", "BUY LIMIT 1 @ 50", "venue: open", "venue: free USDT 89.99", "BUY LIMIT 1 @ 90",
        because="needs 90 USDT; free 89.99, promised to orders under way 0", funds={"USDT": "140"},
    ),
    # a market order of another instrument may cost all there is
    accepted("balance", "ETHBTC BUY LIMIT 1 @ 9", "SELL LIMIT 1 @ 110", funds={"BTC": "10"}),
    refused(
        "balance", "ETHBTC BUY MARKET 0.01", "SELL LIMIT 1 @ 110",
        because="needs 1 BTC; free 10, promised to orders under way 10", funds={"BTC": "10"},
    ),
    accepted("balance", "BUY LIMIT 1 @ 90", funds={"USDT": "0"}, instrument={"contract": "PERPETUAL", "margin": "USDT"}),
    # a market order locks what it was estimated to cost: 101 with headroom of 0.5 %
    accepted("balance", "ETHBTC BUY MARKET 0.01", "SELL LIMIT 1 @ 110", funds={"BTC": "2.01505"}, session={"accounting": 2}),
    refused(
        "balance", "ETHBTC BUY MARKET 0.01", "SELL LIMIT 1 @ 110",
        because="needs 1 BTC; free 2.01504, promised to orders under way 1.01505", funds={"BTC": "2.01504"}, session={"accounting": 2},
    ),
    accepted("balance", "BUY MARKET 1", "BUY LIMIT 1 @ 50", funds={"USDT": "151.505"}, session={"accounting": 2}),
    refused(
        "balance", "BUY MARKET 1", "BUY LIMIT 1 @ 50",
        because="needs 50 USDT; free 151.504, promised to orders under way 101.505", funds={"USDT": "151.504"}, session={"accounting": 2},
    ),
    # ---- sellable
    accepted("sellable", "SELL LIMIT 1 @ 110", risk={"sell_holdings": True}),
    refused(
        "sellable", "SELL LIMIT 1 @ 110",
        because="the session bought 0 BTC and 0 is left to sell; sell_holdings allows selling more", risk={"sell_holdings": False},
    ),
    accepted("sellable", "BUY LIMIT 1 @ 90", "venue: open", "venue: filled 1", "SELL LIMIT 1 @ 110", risk={"sell_holdings": False}),
    refused(
        "sellable", "BUY LIMIT 1 @ 90", "venue: open", "venue: filled 1", "SELL MARKET 1.00001",
        because="the session bought 1 BTC and 1 is left to sell; sell_holdings allows selling more", risk={"sell_holdings": False},
    ),
    refused(
        "sellable", "BUY LIMIT 1 @ 90", "venue: open", "venue: filled 1", "SELL LIMIT 0.4 @ 110", "SELL LIMIT 0.60001 @ 110",
        because="the session bought 1 BTC and 0.6 is left to sell; sell_holdings allows selling more", risk={"sell_holdings": False},
    ),
    accepted("sellable", "SELL LIMIT 1 @ 110", instrument={"contract": "PERPETUAL", "margin": "USDT"}, risk={"sell_holdings": False}),
    # ---- reduce_only: the intent is cut to the position when it is decided, so only a review sees more
    accepted("reduce_only", "SELL LIMIT 1 @ 110"),
    accepted("reduce_only", "BUY LIMIT 1 @ 90", "venue: open", "venue: filled 1", "SELL LIMIT 5 @ 110 reduce"),
    refused("reduce_only", "SELL LIMIT 1 @ 110 reduce", because="nothing is left to reduce by a SELL: the position is 0"),
    refused(
        "reduce_only", "BUY LIMIT 1 @ 90", "venue: open", "venue: filled 1", "BUY LIMIT 1 @ 90 reduce",
        because="nothing is left to reduce by a BUY: the position is 1",
    ),
    refused(
        "reduce_only", "BUY LIMIT 1 @ 90", "venue: open", "venue: filled 1", "review: SELL LIMIT 1.00001 @ 110 reduce",
        because="quantity 1.00001 is above 1, which is left to reduce",
    ),
    refused(
        "reduce_only", "BUY LIMIT 1 @ 90", "venue: open", "venue: filled 1", "SELL LIMIT 0.4 @ 110", "review: SELL MARKET 0.60001 reduce",
        because="quantity 0.60001 is above 0.6, which is left to reduce",
    ),
    # ---- unknown_order
    accepted("unknown_order", "BUY LIMIT 1 @ 90", "venue: open", "BUY LIMIT 1 @ 90"),
    refused(
        "unknown_order", "BUY LIMIT 1 @ 90", "venue: silent", "BUY LIMIT 1 @ 90",
        because="order {first} is unknown: it is being asked about",
    ),
    accepted("unknown_order", "ETHBTC BUY LIMIT 1 @ 90", "venue: silent", "BUY LIMIT 1 @ 90"),
    accepted("unknown_order", "BUY LIMIT 1 @ 90", "venue: silent", "run 30", "BUY LIMIT 1 @ 90"),
    # ---- daily_loss: 1 BTC filled at 90, then the mid falls; the second before is for the check that begins the day
    accepted("daily_loss", "run 1", "BUY LIMIT 1 @ 90", "venue: filled 1", "BUY LIMIT 1 @ 70 while quoted 79.02 81.00", risk={"daily_loss_max": "10"}),
    refused("daily_loss", "run 1", "BUY LIMIT 1 @ 90", "venue: filled 1", "BUY LIMIT 1 @ 70 while quoted 79.00 81.00", because="the loss of this UTC day reached 10 USDT, and daily_loss_max is 10", risk={"daily_loss_max": "10"}),
    accepted("daily_loss", "run 1", "BUY LIMIT 1 @ 90", "venue: filled 1", "SELL LIMIT 1 @ 99 while quoted 79.00 81.00", risk={"daily_loss_max": "10"}),
    refused("daily_loss", "run 1", "BUY LIMIT 1 @ 90", "venue: filled 1", "SELL LIMIT 1.00001 @ 99 while quoted 79.00 81.00", because="the loss of this UTC day reached 10 USDT, and daily_loss_max is 10", risk={"daily_loss_max": "10"}),
    # ---- rate
    accepted("rate", "BUY LIMIT 1 @ 90", "venue: open, weight 4800", "BUY LIMIT 1 @ 90", venue={"weight_minute_max": 6000}),
    refused(
        "rate", "BUY LIMIT 1 @ 90", "venue: open, weight 4801", "BUY LIMIT 1 @ 90",
        because="request weight 4801 of 6000: the rest is kept for cancels", venue={"weight_minute_max": 6000},
    ),
    accepted("rate", "BUY LIMIT 1 @ 90", "venue: open, weight 4801", "run 51", "BUY LIMIT 1 @ 90", venue={"weight_minute_max": 6000}),
    accepted("rate", "BUY LIMIT 1 @ 90", "BUY LIMIT 1 @ 90", venue={"orders_10s_max": 2}),
    refused("rate", "BUY LIMIT 1 @ 90", "BUY LIMIT 1 @ 90", "BUY LIMIT 1 @ 90", because="2 orders within 10 s", venue={"orders_10s_max": 2}),
    accepted("rate", "BUY LIMIT 1 @ 90", "BUY LIMIT 1 @ 90", "run 10", "BUY LIMIT 1 @ 90", venue={"orders_10s_max": 2}),
    accepted("rate", "BUY LIMIT 1 @ 90", "BUY LIMIT 1 @ 90", risk={"orders_per_second_max": 2}),
    refused(
        "rate", "BUY LIMIT 1 @ 90", "BUY LIMIT 1 @ 90", "BUY LIMIT 1 @ 90",
        because="2 orders within this second, orders_per_second_max is 2", risk={"orders_per_second_max": 2},
    ),
    accepted("rate", "BUY LIMIT 1 @ 90", "BUY LIMIT 1 @ 90", "run 1", "BUY LIMIT 1 @ 90", risk={"orders_per_second_max": 2}),
    refused(
        "rate", "BUY LIMIT 1 @ 90", "venue: banned", "at a nanosecond before the ban ends", "review: BUY LIMIT 1 @ 90",
        because="binance_spot asked us to wait: -1003 Too many requests",
    ),
    accepted("rate", "BUY LIMIT 1 @ 90", "venue: banned", "at the end of the ban", "review: BUY LIMIT 1 @ 90"),
    # ---- order_limit
    accepted("order_limit", "BUY LIMIT 1 @ 90", "venue: too many", "run 10", "BUY LIMIT 1 @ 90"),
    refused(
        "order_limit", "BUY LIMIT 1 @ 90", "venue: too many", "run 9", "BUY LIMIT 1 @ 90",
        because="binance_spot takes no new orders: -1015 Too many new orders",
    ),
    accepted("order_limit", "BUY LIMIT 1 @ 90", "BUY LIMIT 1 @ 90", venue={"orders_day_max": 2}),
    refused(
        "order_limit", "BUY LIMIT 1 @ 90", "BUY LIMIT 1 @ 90", "BUY LIMIT 1 @ 90",
        because="2 unfilled orders this day, the venue allows 2", venue={"orders_day_max": 2},
    ),
]  # fmt: skip
CASES += LIMIT_CASES


def cases(*rules: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", [case for case in CASES if case.rule in rules], ids=str)


def play(case: Case) -> None:
    """Play a transcript and compare the answer of its rule."""
    desk = Desk(case.steps, **case.given).play()
    reviewed = case.steps[-1].startswith("review: ")
    verdict = (desk.reviewed if reviewed else desk.verdicts())[-1]
    answer = verdict["rules"].get(case.rule, "")
    if case.answer:
        first, second, *_ = (*(order.client_order_id for order in desk.hand.orders), "", "")
        assert answer == case.answer.format(first=first, second=second)
        assert not verdict["approved"]
    else:
        assert answer == ""
    if not reviewed:
        assert desk.sent() == sum(each["approved"] for each in desk.verdicts())


@cases("mode")
def test_session_mode_at_its_edge(case: Case) -> None:
    play(case)


@cases("trading")
def test_instrument_trading_at_its_edge(case: Case) -> None:
    play(case)


@cases("trailing_stop")
def test_trailing_stop_at_its_edge(case: Case) -> None:
    play(case)


@cases("iceberg")
def test_iceberg_at_its_edge(case: Case) -> None:
    play(case)


@cases("quote_amount")
def test_quote_amount_at_its_edge(case: Case) -> None:
    play(case)


@cases("good_till")
def test_good_till_at_its_edge(case: Case) -> None:
    play(case)


@cases("blocked")
def test_instrument_block_at_its_edge(case: Case) -> None:
    play(case)


@cases("quoted")
def test_quote_known_at_its_edge(case: Case) -> None:
    play(case)


@cases("tick")
def test_tick_size_at_its_edge(case: Case) -> None:
    play(case)


DATA_AGES = {
    "quote_age": ("quote_age_ns", "the quote is 10001 ms old, at most 10000 ms"),
    "venue_lag": ("venue_lag_ns", "market data comes 10001 ms after the venue's stamp, at most 10000 ms"),
}


@pytest.mark.parametrize("rule", DATA_AGES)
def test_data_age_at_its_edge(rule: str) -> None:
    """The figures themselves are made by real late data in tests/test_freshness.py."""
    field, text = DATA_AGES[rule]
    limit = {f"{field.removesuffix('_ns')}_max_ns": 10_000_000_000}
    context = Desk([]).context(NewOrder(BTC.id, Side.BUY, OrderType.LIMIT, Decimal(1), Decimal(90)))
    for age_ns, answer in ((10_000_000_000, ""), (10_001_000_000, text)):
        found = RULES[rule].reject_reason(replace(context, **limit, **{field: age_ns}))
        assert isinstance(found, RiskAnswer)
        age_ms = Decimal(age_ns // 1_000_000)
        assert found == (answer, f"{rule}_max_ms", (age_ms, Decimal(10_000), age_ms))
    assert RULES[rule].reject_reason(replace(context, **{**limit, field: 10_001_000_000, next(iter(limit)): 0})) == ""


@cases("order_type")
def test_order_type_at_its_edge(case: Case) -> None:
    play(case)


@cases("lot")
def test_lot_size_at_its_edge(case: Case) -> None:
    play(case)


@cases("notional_min")
def test_minimum_notional_at_its_edge(case: Case) -> None:
    play(case)


@cases("order_size")
def test_order_size_at_its_edge(case: Case) -> None:
    play(case)


@cases("position")
def test_position_limit_at_its_edge(case: Case) -> None:
    play(case)


@cases("open_orders")
def test_open_order_count_at_its_edge(case: Case) -> None:
    play(case)


@cases("balance")
def test_free_balance_at_its_edge(case: Case) -> None:
    play(case)


@cases("unknown_order")
def test_unknown_order_at_its_edge(case: Case) -> None:
    play(case)


@cases("order_limit")
def test_order_limit_at_its_edge(case: Case) -> None:
    play(case)


@cases("daily_loss")
def test_daily_loss_at_its_edge(case: Case) -> None:
    play(case)


@cases("rate")
def test_request_rate_at_its_edge(case: Case) -> None:
    play(case)


@cases("sellable")
def test_sellable_at_its_edge(case: Case) -> None:
    play(case)


@cases("reduce_only")
def test_reduce_only_at_its_edge(case: Case) -> None:
    play(case)


@cases("strategy_order_size")
def test_order_size_of_a_strategy_at_its_edge(case: Case) -> None:
    play(case)


@cases("strategy_position")
def test_position_of_a_strategy_at_its_edge(case: Case) -> None:
    play(case)


@cases("strategy_open_orders", "account_open_orders", "portfolio_open_orders")
def test_open_orders_of_a_scope_at_their_edge(case: Case) -> None:
    play(case)


@cases("exposure_instrument", "exposure_strategy", "exposure_account", "exposure_portfolio")
def test_exposure_at_its_edge(case: Case) -> None:
    """Gross and net, in base, quote and reporting currency, over strategies, open orders at their worst case."""
    play(case)


@cases("price_band")
def test_price_band_at_its_edge(case: Case) -> None:
    play(case)


@cases("price_by_side")
def test_price_bounds_of_the_venue_at_their_edge(case: Case) -> None:
    play(case)


@cases("cooldown")
def test_cooldown_at_its_edge(case: Case) -> None:
    """After a loss, a stop-out and refusals; it ends with its time or by a person's command."""
    play(case)


@cases("placement_budget", "strategy_placement_budget")
def test_placements_per_minute_at_their_edge(case: Case) -> None:
    """By instrument and by strategy. tests/test_order_budgets.py has cancels and replacements."""
    play(case)


@cases("trading_hours")
def test_trading_hours_at_their_edge(case: Case) -> None:
    play(case)


@cases("shared_instrument")
def test_two_strategies_on_one_instrument(case: Case) -> None:
    """`allow`, `net` and `refuse`."""
    play(case)


@cases("self_trade")
def test_self_trade_at_its_edge(case: Case) -> None:
    play(case)


# rules that need more than orders and messages of the account: tests/test_instrument_blocks.py, tests/test_freshness.py
IN_OTHER_FILES = {*DATA_AGES, "margin", "hedge", "close_position"}  # those of contracts: test_contract_rules.py


def test_every_rule_is_accepted_and_refused_at_its_edge() -> None:
    assert {case.rule for case in CASES if case.answer} | IN_OTHER_FILES == RULES.keys()
    assert {case.rule for case in CASES if not case.answer} | IN_OTHER_FILES == RULES.keys()


def test_a_refused_order_leaves_no_request_and_a_verdict_names_every_objection() -> None:
    """No rule hides another's answer: the verdict holds both."""
    desk = Desk(["BUY LIMIT 5.000005 @ 90.005"], risk={"order_size_max": "5"}, funds={"USDT": "1"}).play()
    [verdict] = desk.verdicts()
    assert list(verdict["rules"]) == ["balance", "lot", "order_size", "tick"]
    assert (desk.sent(), desk.hand.orders) == (0, [])
