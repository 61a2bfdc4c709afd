"""Order terms by hand: price, reserved funds, resting and text of each type."""

from decimal import Decimal

import msgspec
import pytest
from by_hand import BTC

from engine.model import OrderType, Side, TimeInForce
from engine.money import ZERO
from engine.order_terms import TERMS, Lock, RecordedTerms, Terms, terms_of

USDM = msgspec.structs.replace(BTC, contract="PERPETUAL", margin="USDT")
TWO = Decimal(2)


def terms(type_: str, price: str = "0", time_in_force: str = "GTC", stop: str = "0", venue_type: str = "") -> Terms:
    recorded = RecordedTerms(Decimal(price), TimeInForce(time_in_force), Decimal(stop), venue_type)
    return terms_of(OrderType(type_), recorded)


MARKET, LIMIT, IOC = terms("MARKET"), terms("LIMIT", "90"), terms("LIMIT", "90", "IOC")
POST_ONLY = terms("LIMIT_MAKER", "90")
STOP_MARKET = terms("FOREIGN", stop="80", venue_type="STOP_LOSS")
STOP_LIMIT = terms("FOREIGN", "79", stop="80", venue_type="STOP_LOSS_LIMIT")


def test_every_order_type_has_terms() -> None:
    assert set(TERMS) == set(OrderType)
    assert all(TERMS[type_].type is type_ for type_ in OrderType)


@pytest.mark.parametrize(
    ("order", "rests", "is_post_only", "is_placeable", "text"),
    [
        (MARKET, False, False, True, "at market"),
        (LIMIT, True, False, True, "at 90 (LIMIT, GTC)"),
        (IOC, False, False, True, "at 90 (LIMIT, IOC)"),
        (POST_ONLY, True, True, True, "at 90 (LIMIT_MAKER, GTC)"),
        (terms("LIMIT_MAKER", "90", "IOC"), True, True, True, "at 90 (LIMIT_MAKER, IOC)"),
        (STOP_MARKET, False, False, False, "at market (STOP_LOSS, GTC, stop price 80)"),
        (STOP_LIMIT, False, False, False, "at 79 (STOP_LOSS_LIMIT, GTC, stop price 80)"),
        (terms("FOREIGN", "79", venue_type="PEGGED"), False, False, False, "at 79 (PEGGED, GTC)"),
    ],
    ids=lambda value: value.text() if hasattr(value, "text") else None,
)
def test_an_order_of_each_type(order: Terms, rests: bool, is_post_only: bool, is_placeable: bool, text: str) -> None:
    assert (order.rests, order.is_post_only, order.is_placeable) == (rests, is_post_only, is_placeable)
    assert order.text() == text
    assert order.trigger is None


@pytest.mark.parametrize(
    ("order", "rests", "triggers_on_gain", "text"),
    [
        (terms("STOP", stop="80"), False, False, "at market from 80 (STOP)"),
        (terms("STOP_LIMIT", "79", stop="80"), True, False, "at 79 from 80 (STOP_LIMIT, GTC)"),
        (terms("TAKE_PROFIT", stop="80"), False, True, "at market from 80 (TAKE_PROFIT)"),
        (terms("TAKE_PROFIT_LIMIT", "79", "FOK", stop="80"), False, True, "at 79 from 80 (TAKE_PROFIT_LIMIT, FOK)"),
    ],
    ids=lambda value: value.text() if hasattr(value, "text") else None,
)
def test_an_order_with_a_trigger(order: Terms, rests: bool, triggers_on_gain: bool, text: str) -> None:
    assert (order.rests, order.triggers_on_gain, order.trigger) == (rests, triggers_on_gain, 80)
    assert (order.is_placeable, order.is_post_only, order.text()) == (True, False, text)


def test_a_stop_costs_its_stop_price_and_a_market_buy_the_slippage_above_it() -> None:
    book = {"bid": Decimal(99), "ask": Decimal(101), "slippage": Decimal("0.1")}
    stop, stop_limit = terms("STOP", stop="120"), terms("STOP_LIMIT", "121", stop="120")
    assert (stop.limit_price(Side.BUY, **book), stop.limit_price(Side.SELL, **book)) == (132, 120)
    assert stop_limit.limit_price(Side.BUY, **book) == 121
    assert stop.locks(Side.BUY, TWO, BTC, market_price=Decimal(101)) == Lock("USDT", Decimal(240))
    assert stop_limit.locks(Side.BUY, TWO, BTC, market_price=None) == Lock("USDT", Decimal(242))


def test_a_trailing_stop_costs_its_distance_beyond_the_price_from_which_it_follows() -> None:
    book = {"bid": Decimal(99), "ask": Decimal(101), "slippage": Decimal("0.1")}
    at_once = terms_of(OrderType.STOP, RecordedTerms(ZERO, TimeInForce.GTC, trailing_delta=100))
    from_120 = terms_of(OrderType.TAKE_PROFIT, RecordedTerms(ZERO, TimeInForce.GTC, Decimal(120), trailing_delta=100))
    assert (at_once.trigger, at_once.known_price, from_120.known_price) == (0, None, Decimal("121.2"))
    assert at_once.limit_price(Side.BUY, **book) == Decimal("112.211"), "101, 1 % and the slippage"
    assert at_once.limit_price(Side.SELL, **book) == Decimal("98.01")
    assert from_120.limit_price(Side.BUY, **book) == Decimal("133.32")
    assert from_120.limit_price(Side.SELL, **book) == Decimal("118.8")
    assert at_once.locks(Side.BUY, TWO, BTC, market_price=Decimal("112.211")) == Lock("USDT", Decimal("224.422"))
    assert at_once.locks(Side.BUY, TWO, BTC, market_price=None) is None
    assert at_once.text() == "at market, 100 basis points behind the market (STOP)"
    assert from_120.text() == "at market from 120, 100 basis points behind the market (TAKE_PROFIT)"


def test_a_market_order_for_an_amount_reserves_what_is_left_of_it() -> None:
    order = terms_of(OrderType.MARKET, RecordedTerms(ZERO, TimeInForce.GTC, quote_quantity=Decimal(100)))
    assert order.locks(Side.BUY, TWO, BTC, market_price=None) == Lock("USDT", Decimal(100))
    assert order.locks(Side.BUY, TWO, BTC, market_price=None, spent=Decimal(60)) == Lock("USDT", Decimal(40))
    assert order.locks(Side.SELL, TWO, BTC, market_price=None) == Lock("BTC", TWO)
    assert order.locks(Side.BUY, TWO, USDM, market_price=None) == Lock("USDT", ZERO)
    assert (order.notional(TWO, Decimal(101)), MARKET.notional(TWO, Decimal(101))) == (100, 202)


def test_each_type_reads_the_terms_that_it_has() -> None:
    """A term that a type lacks is not in its terms, so a risk rule finds the difference and refuses the order."""
    recorded = RecordedTerms(Decimal(90), TimeInForce.GTC, Decimal(80), "PEGGED", 100, Decimal("0.1"), Decimal(50))
    has = {
        kind: (bool(found.trailing_delta), bool(found.iceberg_quantity), bool(found.quote_quantity))
        for kind in OrderType
        for found in (terms_of(kind, recorded),)
    }
    stops, limits = (True, False, False), (False, True, False)
    assert has == {
        OrderType.MARKET: (False, False, True),
        OrderType.LIMIT: limits,
        OrderType.LIMIT_MAKER: limits,
        OrderType.STOP: stops,
        OrderType.TAKE_PROFIT: stops,
        OrderType.STOP_LIMIT: (True, True, False),
        OrderType.TAKE_PROFIT_LIMIT: (True, True, False),
        OrderType.FOREIGN: (True, True, True),
    }


def test_the_worst_price_is_the_orders_own_or_the_far_touch() -> None:
    book = {"bid": Decimal(99), "ask": Decimal(101), "slippage": Decimal("0.1")}
    assert MARKET.limit_price(Side.BUY, **book) == Decimal("111.1")
    assert MARKET.limit_price(Side.SELL, **book) == 99
    for side in Side:
        assert LIMIT.limit_price(side, **book) == POST_ONLY.limit_price(side, **book) == 90
        assert STOP_MARKET.limit_price(side, **book) == 80
        assert STOP_LIMIT.limit_price(side, **book) == 79


def test_a_buy_reserves_the_quote_asset_and_a_sale_the_base_asset() -> None:
    for order, amount in ((LIMIT, 180), (POST_ONLY, 180), (STOP_MARKET, 160), (STOP_LIMIT, 158), (MARKET, 202)):
        assert order.locks(Side.BUY, TWO, BTC, market_price=Decimal(101)) == Lock("USDT", Decimal(amount))
        assert order.locks(Side.SELL, TWO, BTC, market_price=None) == Lock("BTC", TWO)


def test_a_market_buy_without_a_market_price_reserves_an_unknown_amount() -> None:
    assert MARKET.locks(Side.BUY, TWO, BTC, market_price=None) is None
    assert LIMIT.locks(Side.BUY, TWO, BTC, market_price=None) == Lock("USDT", Decimal(180))


def test_an_order_for_a_contract_reserves_nothing() -> None:
    for side in Side:
        assert MARKET.locks(side, TWO, USDM, market_price=None) == Lock("USDT", ZERO)
