"""Rates, marks and equity by the quotes that the session recorded last (engine/valuation.py computes).

Reads the account and the market, and changes nothing.
"""

from decimal import Decimal

from engine import contracts
from engine.market.market_state import Market
from engine.model import Instrument
from engine.money import MONEY, ZERO
from engine.session_record import MarkChoice
from engine.state.account_keys import key_asset
from engine.state.session_state import Account
from engine.valuation import ONE, QuotedPair, Valuation, find_rate, value_in

TWO = Decimal(2)


def recorded_rate(market: Market, asset: str, currency: str, *, over_third: bool = True) -> Decimal | None:
    """Return the worth of one unit of `asset` in `currency` by the last quotes, or None.

    Args:
        market: The market.
        asset: The asset.
        currency: The asset in which it is valued.
        over_third: True: without a market of the two, two markets that share a third asset give the rate.

    """
    if asset == currency:
        return ONE
    wanted = {asset, currency}
    spot = [(index, each) for index, each in enumerate(market.instruments) if not each.contract]
    direct = [(index, each) for index, each in spot if {each.base, each.quote} == wanted]
    near = (
        [(index, each) for index, each in spot if not wanted.isdisjoint((each.base, each.quote))] if over_third else []
    )
    for group in (direct, near):  # quotes become Decimals here, so only those that matter are read
        pairs = [pair for index, each in group if (pair := _quoted_pair(market, index, each)) is not None]
        rate = find_rate(asset, currency, pairs)
        if rate is not None:
            return rate
    return None


def _quoted_pair(market: Market, index: int, instrument: Instrument) -> QuotedPair | None:
    best = market.best_prices(index)
    if best is None or not all(best):
        return None
    return QuotedPair(instrument.base, instrument.quote, MONEY.divide(MONEY.add(*best), TWO))


def mark_price(market: Market, index: int, quantity: Decimal, choice: MarkChoice) -> Decimal | None:
    """Return the price at which an open quantity counts, or None without a quote.

    Args:
        market: The market.
        index: The instrument.
        quantity: The signed quantity: at the touch, a long counts at the bid and a short at the ask.
        choice: MARK takes the mark price of a contract, and the mid of any other instrument.

    """
    if choice is MarkChoice.MARK and market.instruments[index].contract:
        mark = market.mark(index)
        if mark is not None and mark.price:
            return mark.price
    best = market.best_prices(index)
    if best is None:
        return None
    bid, ask = best
    if choice is MarkChoice.TOUCH and quantity:
        return bid if quantity > 0 else ask
    return MONEY.divide(MONEY.add(bid, ask), TWO)


def equity(account: Account, market: Market, currency: str, *, choice: MarkChoice) -> Valuation:
    """Return what the account is worth in a currency: balances and the unrealised P&L of contracts, at current rates.

    Spot positions are balances already. `missing` names assets without a rate and contracts without a mark.
    """
    amounts: dict[str, Decimal] = {}
    for key, each in account.balances.by_asset.items():
        asset = key_asset(key) if account.account_modes.by_venue else key
        held = each.free + each.locked
        amounts[asset] = MONEY.add(amounts[asset], held) if asset in amounts else held
    unmarked = []
    for key in sorted(account.positions.by_key):
        position = account.positions.by_key[key]
        index = market.index.get(position.instrument)
        if not position.quantity or index is None or not market.instruments[index].contract:
            continue
        instrument = market.instruments[index]
        price = mark_price(market, index, position.quantity, choice)
        if price is None:
            unmarked.append(position.instrument)
            continue
        asset = contracts.asset_of(instrument)
        gain = contracts.gain(instrument, position.quantity, position.price_avg, price)
        amounts[asset] = MONEY.add(amounts.get(asset, ZERO), gain)
    found = value_in(currency, amounts, lambda asset, to: recorded_rate(market, asset, to))
    return Valuation(found.amount, (*found.missing, *unmarked))
