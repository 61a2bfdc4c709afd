"""Rates and equity at recorded quotes: a rate that no quote gives is named, and never guessed."""

from decimal import Decimal

from by_hand import BTC, ETH, ByHand

from engine.session_record import MarkChoice
from engine.state.rates import equity, recorded_rate
from engine.valuation import QuotedPair, Valuation, find_rate, value_in

D = Decimal
PAIRS = [QuotedPair("BTC", "USDT", D(50_000)), QuotedPair("ETH", "BTC", D("0.05")), QuotedPair("USDT", "EUR", D("0.8"))]


def test_a_rate_is_a_quote_its_inverse_or_two_quotes_over_a_third_asset() -> None:
    """1 ETH = 0.05 BTC = 0.05 * 50,000 USDT; 1 EUR = 1 / 0.8 USDT; ETH to EUR would need three quotes."""
    assert find_rate("BTC", "BTC", PAIRS) == 1
    assert find_rate("BTC", "USDT", PAIRS) == 50_000
    assert find_rate("EUR", "USDT", PAIRS) == D("1.25")
    assert find_rate("ETH", "USDT", PAIRS) == 2_500
    assert find_rate("USDT", "ETH", PAIRS) == D("0.0004")
    assert find_rate("ETH", "EUR", PAIRS) is None
    assert find_rate("BNB", "USDT", PAIRS) is None
    assert find_rate("BTC", "USDT", [QuotedPair("BTC", "USDT", D(0))]) is None


def test_a_direct_market_is_used_before_two_markets() -> None:
    pairs = [*PAIRS, QuotedPair("ETH", "USDT", D(2_600))]
    assert find_rate("ETH", "USDT", pairs) == 2_600


def test_a_sum_names_the_assets_that_it_lacks() -> None:
    held = {"BTC": D("0.5"), "USDT": D(100), "BNB": D(3), "DOGE": D(0)}
    found = value_in("USDT", held, lambda asset, to: find_rate(asset, to, PAIRS))
    assert found == Valuation(D("25100.0"), ("BNB",))


def test_equity_is_every_balance_at_the_last_quotes() -> None:
    """1,000,000 each of USDT, BTC at 100 and ETH at 100 BTC. No market has EUR."""
    hand = ByHand(instruments=(BTC, ETH)).run(2)
    market, account = hand.state.market, hand.state.account
    assert recorded_rate(market, "ETH", "USDT") == 10_000
    found = equity(account, market, "USDT", choice=MarkChoice.MID)
    assert found == Valuation(D(1_000_000) * (100 + 10_000 + 1))
    assert equity(account, market, "EUR", choice=MarkChoice.MID) == Valuation(D(0), ("BTC", "ETH", "USDT"))
