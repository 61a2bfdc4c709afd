"""Average cost, FIFO and LIFO over the same fills, by hand arithmetic, and what all three must agree on."""

from decimal import Decimal, localcontext

import pytest
from by_hand import BTC
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tiers import examples

from engine.contracts import worth
from engine.lots import CostMethod, Lots, cost_of, entry_price, opened_at, quantity_of, trade, unrealised
from engine.model import Instrument
from engine.money import MONEY, ZERO, to_ledger

D = Decimal
LINEAR = replace(BTC, id="usdm:BTCUSDT", contract="PERPETUAL", contract_size=D(10), margin="USDT")
INVERSE = replace(LINEAR, id="coinm:BTCUSD", contract_size=D(100), inverse=True, margin="BTC")


def traded(instrument: Instrument, method: CostMethod, *fills: tuple[str, str]) -> tuple[Lots, Decimal]:
    lots: Lots = ()
    realised = ZERO
    for signed, price in fills:
        lots, more = trade(lots, instrument, D(signed), D(price), method)
        realised += more
    return lots, realised


def test_each_method_closes_its_own_lots() -> None:
    """1 at 100, 1 at 130, 1.5 sold at 150. Average 115: 1.5 * 35; FIFO: 50 + 0.5 * 20; LIFO: 20 + 0.5 * 50."""
    fills = (("1", "100"), ("1", "130"), ("-1.5", "150"))
    found = {method: traded(BTC, method, *fills) for method in CostMethod}
    assert {method: realised for method, (_, realised) in found.items()} == {
        CostMethod.AVERAGE: D("52.5"), CostMethod.FIFO: 60, CostMethod.LIFO: 45,
    }  # fmt: skip
    assert {method: entry_price(BTC, lots) for method, (lots, _) in found.items()} == {
        CostMethod.AVERAGE: 115, CostMethod.FIFO: 130, CostMethod.LIFO: 100,
    }  # fmt: skip
    assert {unrealised(lots, BTC, D(140)) + realised for lots, realised in found.values()} == {65}


@pytest.mark.parametrize("method", CostMethod)
def test_a_fill_through_zero_closes_all_and_opens_the_other_side_at_its_price(method: CostMethod) -> None:
    """1 at 100 and 1 at 110 are sold at 120 with 1 more: 20 + 10, and 1 short at 120, which gains 5 at 115."""
    lots, realised = traded(BTC, method, ("1", "100"), ("1", "110"), ("-3", "120"))
    assert (realised, quantity_of(lots), entry_price(BTC, lots)) == (30, -1, 120)
    assert unrealised(lots, BTC, D(115)) == 5


@pytest.mark.parametrize("method", CostMethod)
def test_a_short_gains_as_the_price_falls(method: CostMethod) -> None:
    lots, realised = traded(BTC, method, ("-2", "100"), ("1", "90"))
    assert (realised, unrealised(lots, BTC, D(80))) == (10, 20)


def test_a_contract_counts_its_size_and_an_inverse_one_its_base() -> None:
    """Linear: 2 contracts of 10 from 100 to 105: 2 * 10 * 5. Inverse: 3 of 100 USD from 50 to 60: 300/50 - 300/60."""
    assert traded(LINEAR, CostMethod.FIFO, ("2", "100"), ("-2", "105")) == ((), 100)
    assert traded(INVERSE, CostMethod.FIFO, ("3", "50"), ("-3", "60")) == ((), 1)
    lots, _ = traded(INVERSE, CostMethod.AVERAGE, ("-3", "50"))
    assert unrealised(lots, INVERSE, D(60)) == -1
    assert entry_price(INVERSE, lots) == 50


def test_the_parts_of_a_fill_add_up_to_its_worth() -> None:
    """2 inverse contracts of 100 sold at 3 are 66.6666666666666667; each alone would be 33.3333333333333333."""
    lots, realised = traded(INVERSE, CostMethod.FIFO, ("1", "4"), ("1", "4"), ("-2", "3"))
    assert (lots, realised) == ((), 50 - D("66.6666666666666667"))


def test_a_position_that_was_carried_over_is_one_lot() -> None:
    [lot] = opened_at(BTC, D(-2), D(90))
    assert (lot.quantity, lot.cost, opened_at(BTC, ZERO, ZERO)) == (-2, -180, ())


def test_an_amount_is_rounded_once_to_the_ledgers_grid() -> None:
    assert to_ledger(D(1) / D(3)) == D("0.3333333333333333")
    assert to_ledger(D("0.00000000000000025")) == D("0.0000000000000002"), "half even"
    assert to_ledger(D("1e20") / D(3)) == D("1e20") / D(3), "too large for the grid"


AMOUNTS = st.decimals(min_value="0.00000001", max_value="99999", places=8, allow_nan=False)
FILLS = st.lists(st.tuples(st.booleans(), AMOUNTS, AMOUNTS), min_size=1, max_size=20)


@settings(max_examples=examples(150), deadline=None)
@given(fills=FILLS, mark=AMOUNTS, instrument=st.sampled_from([BTC, LINEAR, INVERSE]))
def test_realised_and_unrealised_are_the_same_sum_to_the_last_digit_under_each_method(
    fills: list[tuple[bool, Decimal, Decimal]], mark: Decimal, instrument: Instrument
) -> None:
    """It is the worth of the open quantity at the mark, less the worth of every fill; the sign is turned if inverse."""
    with localcontext(MONEY):  # as the kernel and the readers of a journal
        _check_sums(fills, mark, instrument)


def _check_sums(fills: list[tuple[bool, Decimal, Decimal]], mark: Decimal, instrument: Instrument) -> None:
    texts = [(str(quantity if is_buy else -quantity), str(price)) for is_buy, quantity, price in fills]
    spent = sum((to_ledger(worth(instrument, D(signed), D(price))) for signed, price in texts), ZERO)
    for method in CostMethod:
        lots, realised = traded(instrument, method, *texts)
        held = quantity_of(lots)
        total = realised + unrealised(lots, instrument, mark)
        worth_now = to_ledger(worth(instrument, held, mark)) if held else ZERO
        assert total == (spent - worth_now if instrument.inverse else worth_now - spent)
        assert held == sum((D(signed) for signed, _ in texts), ZERO)
        assert method is not CostMethod.AVERAGE or len(lots) <= 1
        assert not lots or {lot.quantity > 0 for lot in lots} == {held > 0}, "one side only"
        assert cost_of(lots) == sum((lot.cost for lot in lots), ZERO)
