"""A market of one contract whose price the test sets: two messages a second, a trade with each new price.

The simulated venue computes the mark price from it. Written as USD-M's, which the exchange reads for every venue.
"""

from collections import deque
from decimal import Decimal

from engine.sim.binance_usdm import PROTOCOL
from engine.sim.binance_usdm.market_messages import WORDING
from engine.sim.feeds.sim_market import DepthDiff, DepthSnapshot, Line, SimQuote, TradePrint, combined
from engine.sim.units import units
from engine.sim.wire import HttpRequest
from verbatim.testing import API_KEY, START_NS, VirtualVenue

EVERY_NS = 500_000_000
TICK, SIZE = units("0.1"), units("50")


class SteeredMarket:
    """A SimMarket with a bid and an ask of 50 contracts, one tick apart, around the price."""

    def __init__(
        self, symbol: str = "BTCUSDT", *, price: str = "60000", start_ns: int = START_NS, tick: int = TICK
    ) -> None:
        self._tick = tick
        self.symbols = (symbol,)
        self.streams = frozenset(f"{symbol.lower()}@{kind}" for kind in ("depth@100ms", "bookTicker", "trade"))
        self.price = Decimal(price)
        self._shown = units(price)
        self._symbol, self._due_ns = symbol, start_ns
        self._update_id, self._trade_id = 1_000, 1
        snapshot = DepthSnapshot(self._update_id, [(self._shown - self._tick, SIZE)], [(self._shown, SIZE)])
        self._ready = deque([Line(start_ns, "", symbol, WORDING.snapshot(snapshot, start_ns))])

    @property
    def next_due_ns(self) -> int | None:
        return self._ready[0].due_ns if self._ready else self._due_ns + EVERY_NS

    def next_line(self) -> Line:
        if not self._ready:
            self._fill()
        return self._ready.popleft()

    def is_snapshot_next(self) -> bool:
        return bool(self._ready) and not self._ready[0].stream

    def shift(self, ns: int) -> None:
        self._due_ns += ns
        self._ready = deque(line._replace(due_ns=line.due_ns + ns) for line in self._ready)

    def _fill(self) -> None:
        self._due_ns += EVERY_NS
        price, before = units(str(self.price)), self._shown
        bids, asks = {before - self._tick: 0}, {before: 0}
        bids[price - self._tick], asks[price] = SIZE, SIZE
        diff = DepthDiff(self._update_id + 1, self._update_id + 4, sorted(bids.items()), sorted(asks.items()))
        self._update_id += 4
        self._shown = price
        self._add("depth@100ms", WORDING.diff(self._symbol, diff, self._due_ns))
        quote = SimQuote(self._update_id, price - self._tick, SIZE, price, SIZE)
        self._add("bookTicker", WORDING.quote(self._symbol, quote, self._due_ns))
        self._trade_id += 1
        trade = TradePrint(self._trade_id, price, units("0.001"), self._due_ns, price > before)
        self._add("trade", WORDING.trade(self._symbol, trade))

    def _add(self, kind: str, data: bytes) -> None:
        stream = f"{self._symbol.lower()}@{kind}"
        self._ready.append(Line(self._due_ns, stream, self._symbol, combined(stream, data)))


class FuturesVenue(VirtualVenue):
    """The simulated USD-M futures with a price that the test sets."""

    def __init__(self, *, price: str = "60000", start_ns: int = START_NS, **more: object) -> None:
        self.market = SteeredMarket(price=price, start_ns=start_ns)
        super().__init__(kind=PROTOCOL, market=self.market, start_ns=start_ns, **more)

    def move(self, price: str) -> None:
        """Set the price of the next message."""
        self.market.price = Decimal(price)

    def key(self, method: str) -> str:
        """Ask for the account's listen key as another program of its owner does, or end it. Return the key, or ""."""
        request = HttpRequest(method=method, path="/fapi/v1/listenKey", headers={"x-mbx-apikey": API_KEY})
        result = self.sim.api.rest(request, self.now_ns)
        assert result.status == 200, result
        return str(result.body.get("listenKey", ""))

    def contract(self, symbol: str = "BTCUSDT") -> Decimal:
        """Return the account's net position at the venue."""
        status, rows = self.by_hand("GET", "/fapi/v3/positionRisk", symbol=symbol)
        assert status == 200, rows
        return sum((Decimal(row["positionAmt"]) for row in rows), Decimal(0))

    def open_ids(self) -> set[str]:
        """Return the client ids of all open orders: of the market, and conditional ones."""
        orders = self.by_hand("GET", "/fapi/v1/openOrders")[1]
        held = self.by_hand("GET", "/fapi/v1/openAlgoOrders")[1]
        return {order["clientOrderId"] for order in orders} | {order["clientAlgoId"] for order in held}

    def wallet(self) -> Decimal:
        """Return the wallet in USDT at the venue."""
        status, rows = self.by_hand("GET", "/fapi/v3/balance")
        assert status == 200, rows
        return next(Decimal(row["balance"]) for row in rows if row["asset"] == "USDT")
