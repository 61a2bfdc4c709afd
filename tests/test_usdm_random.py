"""Random use of the simulated USD-M futures: two accounts, a moving market, every kind of order and setting.

After each step the venue's own books must add up: wallets are the deposits and the income, positions the fills.
"""

from random import Random
from urllib.parse import urlencode

import pytest
from sim_transcript import KEY, OTHER_KEY, OTHER_SECRET, SECRET
from usdm_transcript import FuturesClient, answer, quiet_contracts

from engine.sim.binance_usdm.routed_connections import ListenKeys
from engine.sim.binance_usdm.usdm_protocol import make_tables
from engine.sim.exchange.contract_exchange import ContractExchange
from engine.sim.exchange.margin_account import IncomeType
from engine.sim.exchange.order_values import OPEN, PositionSide, SimOrderStatus
from engine.sim.units import units

BTC = "symbol=BTCUSDT"
OPENING = units("1000")
STEPS = 250


class Crowd:
    """Two accounts that act at random, and the market that moves under them."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        limits = {"weight_max": 10**9, "orders_10s_max": 10**9, "orders_minute_max": 10**9}
        self.client = FuturesClient(quiet_contracts(bids="99.9x300", asks="100x300"), **limits)
        self.client.listen()
        self.price = 1000  # in ticks of 0.1
        exchange = self.client.venue.exchange
        assert isinstance(exchange, ContractExchange)
        self.exchange = exchange

    def step(self) -> None:
        draw = self.random
        chosen = draw.choice([(KEY, SECRET), (OTHER_KEY, OTHER_SECRET)])
        self.client.key, self.client.secret = chosen
        action = draw.choice(
            [
                self.order,
                self.order,
                self.order,
                self.algo,
                self.move,
                self.move,
                self.cancel,
                self.modify,
                self.settings,
            ]
        )
        action()

    def _side(self) -> str:
        return self.random.choice(["BUY", "SELL"])

    def _amount(self) -> str:
        return str(self.random.choice([1, 2, 5, 20, 60]))

    def _tick(self, spread: int = 40) -> str:
        return f"{(self.price + self.random.randint(-spread, spread)) / 10:.1f}"

    def _more(self) -> dict[str, str]:
        if self.exchange.margin_accounts[self._account].is_hedged:
            return {"positionSide": self.random.choice(["LONG", "SHORT"])}
        return {"reduceOnly": "true"} if self.random.random() < 0.3 else {}

    @property
    def _account(self) -> str:
        return "first" if self.client.key == KEY else "other"

    def order(self) -> None:
        if self.random.random() < 0.4:
            self.client.order(f"{self._side()} MARKET {self._amount()}", **self._more())
            return
        time_in_force = self.random.choice(["GTC", "GTC", "GTX", "IOC", "FOK"])
        self.client.order(f"{self._side()} LIMIT {self._amount()} @ {self._tick()} {time_in_force}", **self._more())

    def algo(self) -> None:
        kind = self.random.choice(["STOP_MARKET", "TAKE_PROFIT_MARKET", "STOP", "TRAILING_STOP_MARKET"])
        working = {"workingType": self.random.choice(["CONTRACT_PRICE", "MARK_PRICE"])}
        if kind == "TRAILING_STOP_MARKET":
            self.client.algo(f"{self._side()} {kind} {self._amount()}", callbackRate="1", **working, **self._more())
        elif kind == "STOP":
            at = self._tick()
            self.client.algo(f"{self._side()} STOP {self._amount()} at {at} @ {at}", **working, **self._more())
        elif self.random.random() < 0.3:
            more = {name: value for name, value in self._more().items() if name == "positionSide"}
            self.client.algo(f"{self._side()} {kind} at {self._tick()}", closePosition="true", **working, **more)
        else:
            self.client.algo(f"{self._side()} {kind} {self._amount()} at {self._tick()}", **working, **self._more())

    def move(self) -> None:
        """Move the book, print a trade, and move the mark price; sometimes a funding is due."""
        old, self.price = self.price, max(300, self.price + self.random.randint(-25, 25))
        levels = {f"{price / 10:.1f}": "300" for price in (self.price,)}
        bids = " ".join([f"{(old - 1) / 10:.1f}x0", *(f"{(self.price - 1) / 10:.1f}x{q}" for q in levels.values())])
        asks = " ".join([f"{old / 10:.1f}x0", *(f"{price}x{q}" for price, q in levels.items())])
        self.client.market_levels(bids=bids if old != self.price else "", asks=asks if old != self.price else "")
        self.client.market_trade(f"{self.price / 10:.1f}", self._amount(), sells=self.random.random() < 0.5)
        hour = self.client.now_ns // 1_000_000 + self.random.randint(0, 3)
        self.client.market_mark(f"{self.price / 10:.1f}", rate=self.random.choice(["0.0003", "-0.0002"]), next_ms=hour)
        if self.random.random() < 0.2:
            self.client.wait(1_000)

    def cancel(self) -> None:
        if self.random.random() < 0.3:
            answer(self.client, "DELETE", "/fapi/v1/allOpenOrders", BTC)
        for row in answer(self.client, "GET", "/fapi/v1/openOrders")[:1]:
            answer(self.client, "DELETE", "/fapi/v1/order", f"{BTC}&orderId={row['orderId']}")

    def modify(self) -> None:
        for row in answer(self.client, "GET", "/fapi/v1/openOrders")[:1]:
            change = f"orderId={row['orderId']}&side={row['side']}&quantity={self._amount()}&price={self._tick(10)}"
            answer(self.client, "PUT", "/fapi/v1/order", f"{BTC}&{change}")

    def settings(self) -> None:
        path, query = self.random.choice(
            [
                ("leverage", f"{BTC}&leverage={self.random.choice([3, 10, 50, 125])}"),
                ("marginType", f"{BTC}&marginType={self.random.choice(['ISOLATED', 'CROSSED'])}"),
                ("positionSide/dual", f"dualSidePosition={self.random.choice(['true', 'false'])}"),
                ("positionMargin", f"{BTC}&amount=5&type={self.random.choice([1, 2])}"),
                ("countdownCancelAll", f"{BTC}&countdownTime={self.random.choice([0, 1500])}"),
            ]
        )
        answer(self.client, "POST", f"/fapi/v1/{path}", query)

    def check(self) -> None:
        """Check that wallets, positions, orders and the book agree."""
        orders = list(self.exchange.orders.values())
        for name, owner in self.exchange.margin_accounts.items():
            assert owner.wallet("USDT", self.exchange.margin_assets) == OPENING + sum(x.amount for x in owner.incomes)
            assert all(position.isolated_wallet == 0 for position in owner.positions.values() if not position.quantity)
            own = [order for order in orders if order.account == name]
            for (symbol, side), position in owner.positions.items():
                mine = [o for o in own if o.contract and (o.symbol, o.contract.position_side) == (symbol, side)]
                held = 0
                for fill, order in sorted(((f, o) for o in mine for f in o.fills), key=lambda pair: pair[0].trade_id):
                    before, held = held, held + fill.quantity * fill.side.sign
                    if order.contract and order.contract.reduce_only:
                        assert abs(held) < abs(before), "it reduces"
                        assert held * before >= 0, "it does not turn the position"
                    if side is not PositionSide.BOTH:
                        assert held * (1 if side is PositionSide.LONG else -1) >= 0, (
                            "a side of hedge mode keeps its sign"
                        )
                assert position.quantity == held
            realised = sum(x.amount for x in owner.incomes if x.kind is IncomeType.REALIZED_PNL)
            assert realised == sum(fill.realised for order in own for fill in order.fills)
        for order in orders:
            assert order.executed <= order.quantity or order.status is SimOrderStatus.CANCELED
            assert (order.status in OPEN) == order.on_book, order
        assert sorted(o.order_id for o in self.exchange.books.resting) == sorted(
            o.order_id for o in orders if o.is_open
        )


@pytest.mark.parametrize("seed", [67, 68, 89, 122])  # each has a liquidation
def test_the_books_of_a_crowd_add_up_after_each_step(seed: int) -> None:
    crowd = Crowd(seed)
    for _ in range(STEPS):
        crowd.step()
        crowd.check()
    fills = [fill for order in crowd.exchange.orders.values() for fill in order.fills]
    kinds = {income.kind for owner in crowd.exchange.margin_accounts.values() for income in owner.incomes}
    assert len(fills) > 20
    assert {IncomeType.COMMISSION, IncomeType.REALIZED_PNL, IncomeType.FUNDING_FEE} <= kinds
    assert any(order.client_order_id.startswith("autoclose-") for order in crowd.exchange.orders.values())


STRANGE = [
    "BTCUSDT", "1", "0", "-1", "1e5", "9" * 20, "0.00000001", "1.123456789", "abc", "", "true", "TRUE", "BUY", "LIMIT",
    "MARKET", "STOP", "TRAILING_STOP_MARKET", "GTC", "GTD", "LONG", "[]", "[1]", '["a"]', '[{"symbol":"BTCUSDT"}]',
    '[{"symbol":["x"],"side":null}]', "{}", "é", "%00", "1700000000000", "9" * 400, "QUEUE_20", "ISOLATED", "0.1", "10",
    "CONDITIONAL", "1m", "x" * 50,
]  # fmt: skip


def test_strange_values_are_answered_or_refused() -> None:
    """Each endpoint, with any value for any of its parameters: never a failure of the venue."""
    random, tables = Random(7), make_tables(ListenKeys())
    limits = {"weight_max": 10**9, "orders_10s_max": 10**9, "orders_minute_max": 10**9}
    client = FuturesClient(**limits)
    for _ in range(1_500):
        method, path = random.choice(list(tables.routes))
        chosen = {name: random.choice(STRANGE) for name in sorted(tables.known[method, path]) if random.random() < 0.7}
        if "symbol" in chosen and random.random() < 0.8:
            chosen["symbol"] = "BTCUSDT"
        query = urlencode(chosen)
        answered = client.raw(method, path, client.sign(query) if tables.routes[method, path].signed else query)
        assert answered.status < 500, (method, path, query, answered.body)
