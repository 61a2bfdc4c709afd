"""Fills and their prices: probabilistic queue models, own orders that share a trade, contracts and their money.

The formulas are those of hftbacktest 2.4.4 (models/queue.rs); each of its known errors in fills is a transcript here.
"""

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiers import examples

from engine.model import OrderType, Side, TimeInForce
from engine.sim.binance.filters import SymbolRules
from engine.sim.exchange import queue_models
from engine.sim.exchange.exchange import Exchange
from engine.sim.exchange.funds import Funds
from engine.sim.exchange.order_values import SimNewOrder, SimOrder, SimOrderStatus
from engine.sim.feeds.sim_market import DepthDiff, DepthSnapshot, SimQuote, TradePrint
from engine.sim.units import ONE

CHANCES = {
    "power": (queue_models.POWER, 1),
    "power of 3": (queue_models.POWER, 3),
    "power2": (queue_models.POWER_2, 2),
    "power3": (queue_models.POWER_3, 2),
    "log": (queue_models.LOG, 0),
    "log2": (queue_models.LOG_2, 0),
}
PESSIMISTIC = (queue_models.PESSIMISTIC, 0)
FREE = {
    "tick_size": 0,
    "price_min": 0,
    "lot_size": 1,
    "quantity_min": 0,
    "quantity_max": 0,
    "market_quantity_max": 0,
    "notional_min": 0,
}
FREE |= {"notional_max": 0, "price_multiplier_up": 10**6 * ONE, "price_multiplier_down": 0}
SPOT = SymbolRules("BTCUSDT", "BTC", "USDT", **FREE)  # type: ignore[arg-type]  # all of them are amounts


def levels(text: str) -> list[tuple[int, int]]:
    return [
        (int(price) * ONE, int(quantity) * ONE)
        for price, _, quantity in (level.partition("x") for level in text.split())
    ]


class Desk:
    """One symbol and one account; prices and quantities are whole numbers, a lot is 1."""

    def __init__(
        self, queue: tuple[int, int] = PESSIMISTIC, rules: SymbolRules = SPOT, fee_maker: int = 0, fee_taker: int = 0
    ) -> None:
        self.account = Funds("me", {"BTC": 10**15, "USDT": 10**15}, fee_maker=fee_maker, fee_taker=fee_taker)
        self.exchange = Exchange({rules.symbol: rules}, {"me": self.account})
        self.exchange.books.queue(0, *queue, ONE)
        self.symbol = rules.symbol
        self.update_id = 10
        self.trade_id = 0
        self.exchange.on_market(self.symbol, DepthSnapshot(10, levels("99x10"), levels("101x10")), 0)

    def shows(self, bids: str = "", asks: str = "") -> None:
        self.update_id += 1
        self.exchange.on_market(self.symbol, DepthDiff(self.update_id, self.update_id, levels(bids), levels(asks)), 0)

    def trade(self, price: int, quantity: int, *, sells: bool = True) -> None:
        self.trade_id += 1
        self.exchange.on_market(self.symbol, TradePrint(self.trade_id, price * ONE, quantity * ONE, 0, sells), 0)

    def order(self, text: str, tif: TimeInForce = TimeInForce.GTC) -> SimOrder:
        """'BUY 5 at 100', or 'BUY 5' at any price."""
        side, quantity, *price = text.replace(" at", "").split()
        kind = OrderType.LIMIT if price else OrderType.MARKET
        new = SimNewOrder(
            symbol=self.symbol,
            side=Side(side),
            order_type=kind,
            time_in_force=tif,
            quantity=int(quantity) * ONE,
            price=int(price[0]) * ONE if price else 0,
        )
        return self.exchange.place("me", new, 0)

    @property
    def bought(self) -> float:
        return (self.account.total("BTC") - 10**15) / ONE

    def front(self, order: SimOrder) -> float:
        self.exchange.books.read_queues()
        return order.queue_front / ONE


def filled(*orders: SimOrder) -> list[float]:
    return [order.executed / ONE for order in orders]


# ---- queues of chances


def moved_on(name: str, front: float, before: int, shown: int, traded: int = 0) -> float:
    return queue_models.advance_front(*CHANCES[name], front * 1e8, before * ONE, shown * ONE, traded * ONE) / 1e8


LN5, LN7, LN11 = math.log(5), math.log(7), math.log(11)


@pytest.mark.parametrize(
    ("name", "given", "front"),
    [  # (front, before, shown, traded): 4 before us and 6 behind of 10, and 4 are canceled: 4 - (1 - prob) * 4
        ("power", (4, 10, 6, 0), 4 - Fraction(4, 10) * 4),  # prob = 6 / (6 + 4)
        ("power of 3", (4, 10, 6, 0), 4 - Fraction(64, 280) * 4),  # prob = 216 / (216 + 64)
        ("power2", (4, 10, 6, 0), 4 - Fraction(64, 100) * 4),  # prob = 36 / 100
        ("power3", (4, 10, 6, 0), 4 - Fraction(16, 100) * 4),  # prob = 1 - (4 / 10)**2
        ("log", (4, 10, 6, 0), 4 - LN5 / (LN7 + LN5) * 4),  # prob = ln 7 / (ln 7 + ln 5)
        ("log2", (4, 10, 6, 0), 4 - (1 - LN7 / LN11) * 4),  # prob = ln 7 / ln 11
        # 2 of those that vanished were traded, and we have moved on by them: 2 before us and 8 behind, 3 are canceled
        ("power", (2, 10, 5, 2), 2 - Fraction(2, 10) * 3),
        ("power3", (2, 10, 5, 2), 2 - Fraction(4, 100) * 3),
        # more than are behind us would have to be there: 4 - 9 * 64 / 280 + min(6 - 9 * 216 / 280, 0) = 1, all that is left
        ("power of 3", (4, 10, 1, 0), 4 - 9 * Fraction(64, 280) + (6 - 9 * Fraction(216, 280))),
        # those that join come behind us, and no more can be before us than is shown
        ("power", (4, 10, 12, 0), 4),
        ("log2", (1, 10, 8, 3), 1),  # 3 were traded, 1 has joined
        ("power2", (9, 10, 3, 8), 3),  # 8 were traded, 1 has joined: 9 before us are too many
        ("power", (0, 10, 4, 0), 0),
        ("log", (0, 10, 0, 0), 0),
        ("power3", (0, 0, 0, 0), 0),  # nothing and nothing: 0 / 0
        ("power2", (10, 10, 3, 0), 3),  # all before us: prob = 0
    ],
)
def test_a_level_that_shrinks_moves_us_on_by_chances(
    name: str, given: tuple[int, int, int, int], front: Fraction
) -> None:
    assert moved_on(name, *given) == pytest.approx(float(front), rel=1e-12)


@pytest.mark.parametrize(
    ("front", "size", "ours"),
    [(3.0, 5, 2), (2.5, 5, 3), (2.51, 5, 2), (2.6, 3, 0), (5.0, 5, 0), (7.0, 5, 0), (-0.4, 1, 1), (0.0, 1, 1)],
)
def test_what_a_trade_leaves_for_us_is_rounded_to_lots(front: float, size: int, ours: int) -> None:
    assert queue_models.excess(queue_models.POWER, ONE, 0, front * 1e8, size * ONE) == ours * ONE


@settings(max_examples=examples(500), deadline=None)
@given(st.one_of(st.floats(1, 3), st.floats(1, 1e12)))
def test_ln_is_the_natural_logarithm(x: float) -> None:
    assert queue_models.ln(x) == pytest.approx(math.log(x), rel=1e-14, abs=0)


def chance(name: str, front: float, back: float) -> float:
    """Of a cancel behind us, as hftbacktest's documentation has it."""
    n = CHANCES[name][1]
    if front + back == 0:
        return 1.0
    if name == "power3":
        return float(1 - (front / (front + back)) ** n)
    f = (lambda x: math.log(1 + x)) if name.startswith("log") else (lambda x: x**n)
    return float(f(back) / (f(back + front) if name.endswith("2") else f(back) + f(front)))


EVENTS = st.lists(st.tuples(st.sampled_from(("trade", "shows", "shows")), st.integers(1, 20)), max_size=25)


@pytest.mark.slow
@settings(max_examples=examples(150), deadline=None)
@given(name=st.sampled_from(sorted(CHANCES)), events=EVENTS)
def test_an_order_moves_on_trade_by_trade_and_level_by_level(name: str, events: list[tuple[str, int]]) -> None:
    """A message names a level only if it changes: the venue's book reads nothing else."""
    desk = Desk(CHANCES[name])
    order = desk.order("BUY 1000 at 99")
    front, shown, traded, ours = 10.0, 10, 0, 0
    for what, quantity in events:
        if what == "trade":
            desk.trade(99, quantity)
            front -= quantity
            traded += quantity
            lots = math.floor(-front + 0.5)
            if lots > 0:
                ours += min(lots, quantity)  # there chances that went below nothing fill more than was traded
                front = 0.0
        elif quantity != shown:
            desk.shows(f"99x{quantity}")
            change = shown - quantity - traded
            if change >= 0:
                back = shown - front
                prob = chance(name, max(front, 0.0), back)
                front = front - (1 - prob) * change + min(back - prob * change, 0)
            front = min(front, quantity)
            shown, traded = quantity, 0
        assert desk.front(order) == pytest.approx(front, rel=1e-9, abs=1e-6)
    assert filled(order) == [ours]


def test_an_order_that_a_trade_passes_keeps_what_it_moved_on_when_a_younger_one_is_filled() -> None:
    """By the third power a younger order may come to stand nearer: it has more before it, and so more cancels there."""
    desk = Desk((queue_models.POWER, 3))
    desk.shows("98x45")
    elder = desk.order("BUY 9 at 98")
    desk.shows("98x55")
    younger = desk.order("BUY 2 at 98")
    desk.shows("98x100")
    desk.shows(
        "98x20"
    )  # of 80 canceled: 45**3 / (45**3 + 55**3) of them before the elder, and 1 - that before the younger
    before = 45 - 80 * 45**3 / (45**3 + 55**3)
    assert desk.front(elder) == pytest.approx(before)
    assert desk.front(younger) == pytest.approx(55 - 80 * 55**3 / (45**3 + 55**3))
    desk.trade(98, 5)
    assert filled(elder, younger) == [0, 2]
    assert desk.front(elder) == pytest.approx(before - 5)


# ---- one trade, many own orders


@pytest.mark.parametrize("queue", [PESSIMISTIC, *CHANCES.values()])
def test_partial_fills_add_up_to_the_position(queue: tuple[int, int]) -> None:
    desk = Desk(queue)
    order = desk.order("BUY 10 at 100")
    story = []
    for quantity in (3, 4, 5, 1):
        desk.trade(100, quantity)
        story.append((*filled(order), order.status, desk.bought))
    assert story == [(3, "PARTIALLY_FILLED", 3), (7, "PARTIALLY_FILLED", 7), (10, "FILLED", 10), (10, "FILLED", 10)]


def test_a_partial_fill_may_end_an_order_exactly() -> None:
    desk = Desk()
    order = desk.order("BUY 10 at 100")
    for quantity in (4, 6, 1):
        desk.trade(100, quantity)
    assert (filled(order), order.status, desk.bought) == ([10], SimOrderStatus.FILLED, 10)


@pytest.mark.parametrize("queue", [PESSIMISTIC, *CHANCES.values()])
def test_own_orders_at_one_price_share_a_trade_the_eldest_first(queue: tuple[int, int]) -> None:
    desk = Desk(queue)
    orders = [desk.order("BUY 4 at 100") for _ in range(3)]
    desk.trade(100, 5)
    assert filled(*orders) == [4, 1, 0]
    assert desk.front(orders[2]) == 0  # the trade came as far as the third, which had nothing of it
    desk.trade(100, 1)
    assert filled(*orders) == [4, 2, 0]
    desk.trade(100, 4)
    assert filled(*orders) == [4, 4, 2]
    assert desk.bought == 10


@settings(max_examples=examples(100), deadline=None)
@given(
    queue=st.sampled_from([PESSIMISTIC, *CHANCES.values()]),
    sizes=st.lists(st.integers(1, 9), min_size=2, max_size=5),
    trades=st.lists(st.integers(1, 12), max_size=12),
)
def test_no_more_is_filled_than_was_traded_behind_the_queue(
    queue: tuple[int, int], sizes: list[int], trades: list[int]
) -> None:
    desk = Desk(queue)
    orders = [desk.order(f"BUY {size} at 99") for size in sizes]  # behind 10
    for k, quantity in enumerate(trades):
        desk.trade(99, quantity)
        left = max(0, sum(trades[: k + 1]) - 10)
        expected = []
        for size in sizes:
            expected.append(min(size, left))
            left -= expected[-1]
        assert filled(*orders) == expected


def test_a_small_trade_fills_no_more_than_itself() -> None:
    desk = Desk()
    order = desk.order("BUY 50 at 100")
    desk.trade(100, 1)
    desk.trade(98, 2)  # through our price: it must have met us
    assert filled(order) == [3]


def test_an_offer_that_comes_to_our_price_is_all_that_is_filled() -> None:
    desk = Desk()
    order = desk.order("BUY 50 at 100")
    desk.shows(asks="100x2")
    desk.shows(asks="100x2")
    assert filled(order) == [2]
    desk.shows(asks="100x3")
    assert filled(order) == [5]


@pytest.mark.parametrize(
    ("text", "tif", "status"),
    [
        ("BUY 25 at 101", TimeInForce.GTC, SimOrderStatus.PARTIALLY_FILLED),
        ("BUY 25 at 101", TimeInForce.IOC, SimOrderStatus.EXPIRED),
        ("BUY 25 at 101", TimeInForce.FOK, SimOrderStatus.EXPIRED),
        ("BUY 25", TimeInForce.GTC, SimOrderStatus.EXPIRED),
    ],
)
def test_who_takes_gets_what_is_offered_and_nobody_gets_it_again(
    text: str, tif: TimeInForce, status: SimOrderStatus
) -> None:
    desk = Desk()
    first = desk.order(text, tif)
    second = desk.order("BUY 10 at 101", TimeInForce.IOC)
    got = [0, 10] if tif is TimeInForce.FOK else [10, 0]
    assert (filled(first, second), first.status, desk.bought) == (got, status, 10)


def test_own_bids_that_one_offer_sweeps_are_filled_by_price_then_by_age_in_every_run() -> None:
    ends, orders = set(), list[SimOrder]()
    for _ in range(5):
        desk = Desk()
        orders = [desk.order(f"BUY {1 + k % 3} at {95 + k % 4}") for k in range(20)]  # 98: the 4th, 8th, 12th ... order
        desk.shows(asks="95x14")
        ends.add(tuple(filled(*orders)))
    by_age = [orders[k] for k in (3, 7, 11, 15, 19, 2, 6, 10, 14, 18)]  # of 1, 2, 3, 1, 2 at 98 and 3, 1, 2, 3, 1 at 97
    assert filled(*by_age) == [1, 2, 3, 1, 2, 3, 1, 1, 0, 0]
    assert len(ends) == 1


def test_fills_as_others_simulate_them_take_nothing_from_anybody() -> None:
    desk = Desk()
    desk.exchange.fills_whole = True
    orders = [desk.order("BUY 4 at 100") for _ in range(3)]
    last = desk.order("BUY 4 at 98")
    desk.trade(100, 1)
    assert filled(*orders, last) == [4, 4, 4, 0]
    desk.shows(asks="98x1")
    assert filled(last) == [4]
    assert desk.order("BUY 1 at 98", TimeInForce.IOC).status is SimOrderStatus.FILLED  # still to be had


# ---- contracts

LINEAR = SymbolRules("BTCUSDT", "BTC", "USDT", settles_in="USDT", **FREE)  # type: ignore[arg-type]  # all of them are amounts
INVERSE = SymbolRules("BTCUSD_PERP", "BTC", "USD", settles_in="BTC", contract_size=100 * ONE, inverse=True, **FREE)  # type: ignore[arg-type]
MAKER, TAKER = -12_000, 50_000  # -0.012 % is a rebate, 0.05 %


class Ledger:
    """A position at its average entry price, exactly."""

    def __init__(self, rules: SymbolRules) -> None:
        self.size, self.inverse = Fraction(rules.contract_size, ONE), rules.inverse
        self.held, self.entry, self.money = Fraction(0), Fraction(0), Fraction(0)

    def trade(self, signed: Fraction, price: Fraction, rate: Fraction) -> None:
        if self.held * signed < 0:
            closed = min(abs(signed), abs(self.held)) * (1 if self.held > 0 else -1)
            self.money += closed * self.size * (1 / self.entry - 1 / price if self.inverse else price - self.entry)
            self.held -= closed
            opened = signed + closed
        else:
            opened = signed
        if opened:
            both = self.held + opened
            if self.held == 0:
                self.entry = price
            elif self.inverse:
                self.entry = both / (self.held / self.entry + opened / price)
            else:
                self.entry = (self.held * self.entry + opened * price) / both
            self.held = both
        self.money -= abs(signed) * self.size * (1 / price if self.inverse else price) * rate


def fill(desk: Desk, signed: int, price: int, *, maker: bool) -> None:
    """Make one fill of exactly this quantity: as a maker against a trade, or as a taker against a quote."""
    side, size = (Side.BUY, signed) if signed > 0 else (Side.SELL, -signed)
    bid, ask = (price - 9, price + 9) if maker else (price - 9, price) if signed > 0 else (price, price + 9)
    for quote in (
        SimQuote(20, 1, 1, 10**16, 1),
        SimQuote(20, bid, size, ask, size),
    ):  # the first removes the earlier offers
        desk.exchange.on_market(desk.symbol, quote, 0)
    kind = OrderType.LIMIT_MAKER if maker else OrderType.LIMIT
    order = desk.exchange.place(
        "me", SimNewOrder(symbol=desk.symbol, side=side, order_type=kind, quantity=size, price=price), 0
    )
    if maker:
        desk.trade_id += 1
        desk.exchange.on_market(desk.symbol, TradePrint(desk.trade_id, price, size, 0, buyer_is_maker=signed > 0), 0)
    assert (order.status, order.executed, [each.maker for each in order.fills]) == (
        SimOrderStatus.FILLED,
        size,
        [maker],
    )


STEPS = st.lists(
    st.tuples(st.integers(-9, 9).filter(bool), st.integers(2_000_000, 12_000_000), st.booleans()),
    min_size=1,
    max_size=12,
)


@pytest.mark.parametrize("rules", [LINEAR, INVERSE])
@settings(max_examples=examples(100), deadline=None)
@given(steps=STEPS)
def test_a_contracts_money_is_what_it_realised_less_fees(
    rules: SymbolRules, steps: list[tuple[int, int, bool]]
) -> None:
    """Opened, added to, reduced and flipped: within 2 units of 1e-8 a fill, since each amount is cut to 8 places."""
    desk = Desk(rules=rules, fee_maker=MAKER, fee_taker=TAKER)
    desk.exchange.books.quotes_alone(0)
    ledger = Ledger(rules)
    lot = ONE if rules.inverse else ONE // 1000
    for k, (lots, cents, maker) in enumerate(steps, start=1):
        fill(desk, lots * lot, cents * ONE // 100, maker=maker)
        ledger.trade(Fraction(lots * lot, ONE), Fraction(cents, 100), Fraction(MAKER if maker else TAKER, ONE))
        gained = desk.account.total(rules.settles_in) - 10**15
        assert desk.account.contracts[rules.symbol].quantity == ledger.held * ONE
        assert abs(gained - ledger.money * ONE) <= 2 * k


def test_a_linear_position_by_hand() -> None:
    desk = Desk(rules=LINEAR, fee_maker=-ONE // 100, fee_taker=ONE // 50)
    for signed, price, maker, money in [
        (2, 100, True, 2),  # opened as a maker: 1 % of 200 comes back
        (2, 120, True, 2 + 2.4),  # added to: 4 at 110
        (-1, 130, False, 4.4 + 20 - 2.6),  # reduced as a taker, who pays 2 %
        (-5, 100, False, 21.8 - 3 * 10 - 10),  # flipped: 3 closed 10 below, 2 sold at 100
        (2, 90, True, -18.2 + 20 + 1.8),
    ]:
        fill(desk, signed * ONE, price * ONE, maker=maker)
        assert (desk.account.total("USDT") - 10**15) / ONE == pytest.approx(money)


def test_an_inverse_position_by_hand() -> None:
    """Contracts of 100 USD, settled in BTC."""
    desk = Desk(rules=INVERSE)
    for signed, price, money in [
        (4, 100, 0.0),
        (-2, 200, 2 * (100 / 100 - 100 / 200)),  # 200 USD, bought for 2 BTC, are 1
        (-6, 50, 1 + 2 * (100 / 100 - 100 / 50)),  # flipped at a loss of 2
        (4, 40, -1 + 4 * (100 / 40 - 100 / 50)),
    ]:
        fill(desk, signed * ONE, price * ONE, maker=False)
        assert (desk.account.total("BTC") - 10**15) / ONE == pytest.approx(money)
