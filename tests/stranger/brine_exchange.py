"""The exchange behind Brine, for tests: one market, one account, in memory. It matches orders, counts requests, and misbehaves on command.

Written against the exchange's own protocol; it shares no code with the venue that is tested.
"""

import base64
import hmac
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any

KEY, SECRET = "brine-key-1", base64.b64encode(b"not a secret worth keeping").decode()
SYMBOL, TICK = "XBT/USD", Decimal("0.1")
COUNTER_MAX, COUNTER_PER_SECOND = Decimal(200), Decimal(10)
FEE = Decimal("0.001")
PAGE = 50


@dataclass
class Order:
    """An order as the exchange keeps it."""

    order_id: str
    cl_ord_id: str
    side: str
    order_type: str
    time_in_force: str
    order_qty: Decimal
    limit_price: Decimal
    time: str
    cum_qty: Decimal = Decimal(0)
    order_status: str = "new"
    reason: str = ""

    def shown(self) -> dict[str, Any]:
        """The order as the protocol shows it: amounts are JSON numbers."""
        return {
            "order_id": self.order_id, "cl_ord_id": self.cl_ord_id, "symbol": SYMBOL, "side": self.side,
            "order_type": self.order_type, "time_in_force": self.time_in_force, "order_qty": float(self.order_qty),
            "limit_price": float(self.limit_price), "cum_qty": float(self.cum_qty), "order_status": self.order_status,
            "reason": self.reason, "time": self.time,
        }  # fmt: skip


class Refused(Exception):  # noqa: N818 - a word of the protocol, and no error of ours
    """A call that is answered with a word."""


@dataclass
class Exchange:
    """The market, the account and the counter. `tick` moves the market; `public` and `private` hold messages to stream."""

    bid: Decimal = Decimal("61000.0")
    seq: int = 100
    steps: int = 0
    trades: int = 0
    ids: int = 0
    orders: dict[str, Order] = field(default_factory=dict)
    executions: list[dict[str, Any]] = field(default_factory=list)
    money: dict[str, Decimal] = field(default_factory=lambda: {"XBT": Decimal(5), "USD": Decimal(1_000_000)})
    public: list[dict[str, Any]] = field(default_factory=list)
    private: list[dict[str, Any]] = field(default_factory=list)
    nonces: set[str] = field(default_factory=set)
    counter: Decimal = Decimal(0)
    counted_at: float = 0.0
    # faults: each strikes once
    refuse_with: list[str] = field(default_factory=list)  # answers to the next orders
    lose_updates: int = 0  # book updates that are never streamed
    lost: int = 0
    dead_man_ms: list[int] = field(default_factory=list)  # timeouts of the dead-man switch, oldest first
    cancel_at: float = 0.0  # when it fires; 0: not armed
    fired: int = 0
    deaf: bool = False  # no call is answered, as if the network were cut
    limited: int = 0  # calls that were refused because the counter was full
    snapshots: int = 0  # that were streamed

    # ---- the market

    def tick(self) -> None:
        """Move the market by a tick, trade a little, and fill what rests in the way."""
        self.steps += 1
        if self.cancel_at and time.monotonic() >= self.cancel_at:
            self.cancel_at, self.fired = 0.0, self.fired + 1
            self.call("CancelAll", {})
        self.bid += TICK * (1 if self.steps % 7 < 4 else -1)
        self.seq += 1
        update = {"symbol": SYMBOL, "seq": self.seq, "time": _now(), **self._levels(), "bids": [], "asks": []}
        update |= self._levels()
        if self.lose_updates:
            self.lose_updates -= 1
            self.lost += 1
        else:
            self.public.append({"channel": "book", "type": "update", "data": [update]})
        self.public.append(self._ticker())
        if self.steps % 5 == 0:
            self.trades += 2
            rows = [
                {
                    "symbol": SYMBOL,
                    "side": "buy",
                    "price": float(self.ask),
                    "qty": 0.01,
                    "trade_id": self.trades - 1,
                    "time": _now(),
                },
                {
                    "symbol": SYMBOL,
                    "side": "sell",
                    "price": float(self.bid),
                    "qty": 0.02,
                    "trade_id": self.trades,
                    "time": _now(),
                },
            ]
            self.public.append({"channel": "trade", "type": "update", "data": rows})
        for order in list(self.orders.values()):
            if order.order_status in ("new", "partially_filled") and self._crosses(order):
                self._fill(order, order.limit_price, order.order_qty - order.cum_qty, "m")

    @property
    def ask(self) -> Decimal:
        """The best ask: one tick above the bid."""
        return self.bid + TICK

    def _levels(self) -> dict[str, Any]:
        def level(price: Decimal, qty: float) -> dict[str, float]:
            return {"price": float(price), "qty": qty}

        gone_bids = [level(self.bid + TICK * n, 0) for n in (1, 2)]
        gone_asks = [level(self.ask - TICK * n, 0) for n in (1, 2)]
        bids = [level(self.bid - TICK * n, 1.5 + n) for n in range(3)]
        asks = [level(self.ask + TICK * n, 2.5 + n) for n in range(3)]
        return {"bids": [*gone_bids, *bids], "asks": [*gone_asks, *asks]}

    def snapshot(self) -> dict[str, Any]:
        """The book as a new subscriber sees it first."""
        self.snapshots += 1
        book = {"symbol": SYMBOL, "seq": self.seq, "time": _now(), **self._levels()}
        for side in ("bids", "asks"):
            book[side] = [level for level in book[side] if level["qty"]]
        return {"channel": "book", "type": "snapshot", "data": [book]}

    def _ticker(self) -> dict[str, Any]:
        row = {
            "symbol": SYMBOL,
            "seq": self.seq,
            "bid": float(self.bid),
            "bid_qty": 1.5,
            "ask": float(self.ask),
            "ask_qty": 2.5,
        }
        return {"channel": "ticker", "type": "update", "data": [row]}

    # ---- the account

    def _crosses(self, order: Order) -> bool:
        if order.order_type == "market":
            return True
        return order.limit_price >= self.ask if order.side == "buy" else order.limit_price <= self.bid

    def _fill(self, order: Order, price: Decimal, quantity: Decimal, liquidity: str) -> None:
        order.cum_qty += quantity
        order.order_status = "filled" if order.cum_qty == order.order_qty else "partially_filled"
        order.time = _now()
        sign = 1 if order.side == "buy" else -1
        fee = (price * quantity * FEE).quantize(Decimal("0.00000001"))
        self.money["XBT"] += sign * quantity
        self.money["USD"] -= sign * price * quantity + fee
        execution = {
            "exec_id": f"T{sha256(str(len(self.executions)).encode()).hexdigest()[:6].upper()}-{len(self.executions):X}",
            "order_id": order.order_id, "cl_ord_id": order.cl_ord_id, "symbol": SYMBOL, "side": order.side,
            "last_qty": float(quantity), "last_price": float(price), "fee": float(fee), "fee_asset": "USD",
            "liquidity_ind": liquidity, "time": order.time,
        }  # fmt: skip
        self.executions.append(execution)
        self._tell(order, execution)

    def _tell(self, order: Order, execution: dict[str, Any] | None = None) -> None:
        change = {"order": order.shown()} | ({"execution": execution} if execution else {})
        self.private.append({"channel": "executions", "type": "update", "data": [change]})
        self.private.append({"channel": "balances", "type": "update", "data": self.balances()})

    def balances(self) -> list[dict[str, Any]]:
        """Totals, and what open orders hold of them."""
        hold = {"XBT": Decimal(0), "USD": Decimal(0)}
        for order in self.orders.values():
            if order.order_status in ("new", "partially_filled"):
                left = order.order_qty - order.cum_qty
                asset = "USD" if order.side == "buy" else "XBT"
                hold[asset] += left * order.limit_price if order.side == "buy" else left
        return [
            {"asset": asset, "balance": float(total), "hold": float(hold[asset])} for asset, total in self.money.items()
        ]

    # ---- calls

    def count(self, method: str, now: float) -> str:
        """Count a call and return the counter for the answer's header. Raises Refused when it is full."""
        self.counter = max(Decimal(0), self.counter - Decimal(now - self.counted_at) * COUNTER_PER_SECOND)
        self.counted_at = now
        cost = 2 if method == "Trades" else 1
        if self.counter + cost > COUNTER_MAX:
            self.limited += 1
            raise Refused("EAPI:Rate limit exceeded")
        self.counter += cost
        return f"{self.counter:.2f}"

    def check(self, path: str, headers: dict[str, str], body: bytes, nonce: str) -> None:
        """Refuse a call whose key, nonce or signature is wrong."""
        if headers.get("brine-key") != KEY:
            raise Refused("EAPI:Invalid key")
        if nonce in self.nonces:
            raise Refused("EAPI:Invalid nonce")
        self.nonces.add(nonce)
        if headers.get("brine-sign") != _signature(path.encode() + sha256(nonce.encode() + body).digest()):
            raise Refused("EAPI:Invalid signature")

    def may_login(self, params: dict[str, Any]) -> bool:
        """Return True if a login over the socket is signed by the key."""
        return bool(params.get("sign") == _signature(b"login" + str(params.get("nonce")).encode()))

    def call(self, method: str, params: dict[str, str]) -> Any:
        """Answer one private call."""
        match method:
            case "AddOrder":
                return self._add(params).shown()
            case "CancelOrder":
                return self._cancel(self._order(params)).shown()
            case "CancelAll":
                return [
                    self._cancel(order).shown()
                    for order in list(self.orders.values())
                    if order.order_status in ("new", "partially_filled")
                ]
            case "CancelAllAfter":
                self.dead_man_ms.append(int(params["timeout"]))
                self.cancel_at = time.monotonic() + int(params["timeout"]) / 1000 if int(params["timeout"]) else 0.0
                return {}
            case "QueryOrder":
                return self._order(params).shown()
            case "OpenOrders":
                return [
                    order.shown() for order in self.orders.values() if order.order_status in ("new", "partially_filled")
                ]
            case "Balance":
                return self.balances()
            case "Trades":
                rows = [row for row in self.executions if _place(row) > params.get("after", "")]
                return rows[:PAGE] if "after" in params else rows[-PAGE:]
            case _:
                raise Refused("EGeneral:Unknown method")

    def _add(self, params: dict[str, str]) -> Order:
        if self.refuse_with:
            raise Refused(self.refuse_with.pop(0))
        if any(order.cl_ord_id == params["cl_ord_id"] for order in self.orders.values()):
            raise Refused("EOrder:Duplicate cl_ord_id")
        self.ids += 1
        order = Order(
            f"O{sha256(str(self.ids).encode()).hexdigest()[:5].upper()}-{self.ids}",
            params["cl_ord_id"],
            params["side"],
            params["order_type"],
            params["time_in_force"],
            Decimal(params["order_qty"]),
            Decimal(params.get("limit_price", "0")),
            _now(),
        )
        if order.order_type == "post" and self._crosses(order):
            raise Refused("EOrder:Post only order")
        self.orders[order.order_id] = order
        if self._crosses(order):
            self._fill(order, self.ask if order.side == "buy" else self.bid, order.order_qty, "t")
        elif order.time_in_force != "gtc":
            order.order_status, order.reason = "canceled", "nothing to fill at once"
            self._tell(order)
        else:
            self._tell(order)
        return order

    def _order(self, params: dict[str, str]) -> Order:
        for order in self.orders.values():
            if order.order_id == params.get("order_id") or order.cl_ord_id == params.get("cl_ord_id"):
                return order
        raise Refused("EOrder:Unknown order")

    def _cancel(self, order: Order) -> Order:
        if order.order_status not in ("new", "partially_filled"):
            raise Refused("EOrder:Unknown order")
        order.order_status, order.time = "canceled", _now()
        self._tell(order)
        return order


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def _place(row: dict[str, Any]) -> str:
    moment = datetime.fromisoformat(row["time"])
    return f"{int(moment.timestamp()) * 10**9 + moment.microsecond * 1000:020d} {row['exec_id']}"


def _signature(text: bytes) -> str:
    return base64.b64encode(hmac.digest(base64.b64decode(SECRET), text, "sha512")).decode()
