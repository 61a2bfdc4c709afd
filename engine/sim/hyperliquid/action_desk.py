"""The actions of an account: orders, cancels, changes, leverage, the scheduled cancel. Knows no signature and no JSON.

Each order of an action is answered for itself, in the order of the request.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from engine.model import OrderType, Side, TimeInForce
from engine.sim.binance.refusals import VenueRefusalError
from engine.sim.exchange.contract_events import AlgoOrder
from engine.sim.exchange.contract_exchange import ContractExchange
from engine.sim.exchange.order_values import ContractTerms, SimNewOrder, SimOrder
from engine.sim.hyperliquid import action_shapes as shapes
from engine.sim.hyperliquid.order_rows import AGAIN, cloid_of, oid_of
from engine.sim.hyperliquid.perp_rules import FIRST, is_price, is_size, money
from engine.sim.hyperliquid.refusal_texts import INVALID_SIZE, NO_MATCH, RACE, TICK, ZERO_SIZE, text_of
from engine.sim.hyperliquid.signers import ActionRefusedError
from engine.sim.units import units

MS: Final = 1_000_000
SCHEDULE_MS_MIN: Final = 5_000
TRIGGERS: Final = {
    ("sl", True): (OrderType.STOP, "Stop Market"),
    ("sl", False): (OrderType.STOP_LIMIT, "Stop Limit"),
    ("tp", True): (OrderType.TAKE_PROFIT, "Take Profit Market"),
    ("tp", False): (OrderType.TAKE_PROFIT_LIMIT, "Take Profit Limit"),
}
Statuses = list[dict[str, Any] | str]


class EntryRefusedError(Exception):
    """The refusal of one order, in the venue's words."""


class ActionDesk:
    """Carries out actions on the exchange."""

    def __init__(self, exchange: ContractExchange) -> None:
        self._exchange = exchange
        self._coins = list(exchange.markets)
        self._uses: dict[tuple[str, str], int] = {}  # (account, cloid) -> orders with it
        self.schedules: dict[str, int] = {}  # account -> when all its orders are canceled

    def run(self, account: str, action: shapes.Action, now_ns: int) -> dict[str, Any]:
        """Carry out an action and return its response. Raises ActionRefusedError."""
        match action:
            case shapes.PlaceOrders():
                self._check_batch(action.orders, action.grouping)
                return self._answers("order", [partial(self._place, account, each, now_ns) for each in action.orders])
            case shapes.CancelOrders():
                found = [self._find(account, each.a, oid=each.o) for each in action.cancels]
                return self._answers("cancel", [partial(self._cancel, each, now_ns) for each in found])
            case shapes.CancelByCloid():
                found = [self._find(account, each.asset, cloid=each.cloid) for each in action.cancels]
                return self._answers("cancel", [partial(self._cancel, each, now_ns) for each in found])
            case shapes.Modify():
                self._modify_or_refuse(account, action.oid, action.order, now_ns)
                return {"type": "default"}
            case shapes.BatchModify():
                return self._answers(
                    "order",
                    [partial(self._modify, account, each.oid, each.order, now_ns) for each in action.modifies],
                )
            case shapes.ScheduleCancel():
                self._schedule(account, action.time, now_ns)
            case shapes.UpdateLeverage():
                self._set_leverage(account, action, now_ns)
            case shapes.UpdateIsolatedMargin():
                raise ActionRefusedError("updateIsolatedMargin is not implemented by this simulated venue")
            case shapes.Noop():
                pass
        return {"type": "default"}

    def _answers(self, kind: str, calls: list[Callable[[], dict[str, Any] | str]]) -> dict[str, Any]:
        statuses: Statuses = []
        for call in calls:
            try:
                statuses.append(call())
            except EntryRefusedError as refusal:
                statuses.append({"error": str(refusal)})
        return {"type": kind, "data": {"statuses": statuses}}

    def coin(self, asset: int) -> str:
        """Return the coin at a place of the list. Raises EntryRefusedError."""
        if not FIRST <= asset < FIRST + len(self._coins):
            raise EntryRefusedError(f"Invalid or delisted asset. asset={asset}")
        return self._coins[asset - FIRST]

    # ---- orders

    def _check_batch(self, orders: list[shapes.OrderWire], grouping: str) -> None:
        """Refuse a whole batch with one error for all its orders."""
        if not orders:
            raise ActionRefusedError("Empty order action")
        if grouping != "na":
            raise ActionRefusedError(f"grouping {grouping} is not implemented by this simulated venue")
        for order in orders:
            if (order.t.limit is None) is (order.t.trigger is None):
                raise ActionRefusedError("Failed to deserialize the JSON body into the target type")

    def _place(self, account: str, order: shapes.OrderWire, now_ns: int) -> dict[str, Any]:
        coin = self.coin(order.a)
        new = self._new(account, coin, order)
        try:
            if order.t.trigger is not None:
                _, name = TRIGGERS[order.t.trigger.tpsl, order.t.trigger.is_market]
                algo = self._exchange.place_algo(account, new, name, callback_rate=0, now_ns=now_ns)
                return {"resting": _named(algo.held)}
            placed = self._exchange.place(account, new, now_ns)
        except VenueRefusalError as refusal:
            raise EntryRefusedError(text_of(refusal, asset=order.a, bbo=self._bbo(coin))) from None
        if placed.executed and (not placed.is_open):
            average = placed.executed_quote * 10**8 // placed.executed
            return {"filled": {"totalSz": money(placed.executed), "avgPx": money(average), **_named(placed)}}
        if not placed.is_open:
            raise EntryRefusedError(f"{NO_MATCH} asset={order.a}")
        return {"resting": _named(placed)}

    def _new(self, account: str, coin: str, order: shapes.OrderWire) -> SimNewOrder:
        """Return an order that obeys the grid. Raises EntryRefusedError."""
        price, size = units(order.p), units(order.s)
        trigger = order.t.trigger
        for each in (price, *((units(trigger.trigger_px),) if trigger is not None else ())):
            if not is_price(each, coin):
                raise EntryRefusedError(f"{TICK} asset={order.a}")
        if not size:
            raise EntryRefusedError(f"{ZERO_SIZE} asset={order.a}")
        if not is_size(size, coin):
            raise EntryRefusedError(f"{INVALID_SIZE} asset={order.a}")
        tif = order.t.limit.tif if order.t.limit is not None else "Gtc"
        kind, stop = (OrderType.LIMIT_MAKER if tif == "Alo" else OrderType.LIMIT), 0
        if trigger is not None:
            kind, _ = TRIGGERS[trigger.tpsl, trigger.is_market]
            stop = units(trigger.trigger_px)
        return SimNewOrder(
            symbol=coin,
            side=Side.BUY if order.b else Side.SELL,
            order_type=kind,
            time_in_force=TimeInForce.IOC if tif == "Ioc" else TimeInForce.GTC,
            quantity=size,
            price=0 if trigger is not None and trigger.is_market else price,
            client_order_id=self._name(account, order.c),
            stop_price=stop,
            contract=ContractTerms(
                reduce_only=order.r, time_in_force=tif, working_type="MARK_PRICE", trigger_price=stop
            ),
        )

    def _name(self, account: str, cloid: str | None) -> str:
        """Return the exchange's name of a new order. A cloid may be used again: the venue does not refuse that."""
        if cloid is None:
            return ""
        name = cloid.lower()
        uses = self._uses[account, name] = self._uses.get((account, name), 0) + 1
        return name if uses == 1 else f"{name}{AGAIN}{uses}"

    def _bbo(self, coin: str) -> str:
        market = self._exchange.markets[coin]
        bid, ask = market.best(Side.BUY), market.best(Side.SELL)
        return f"{money(bid or 0)}@{money(ask or 0)}"

    # ---- cancels and changes

    def find(self, account: str, *, oid: int | None = None, cloid: str | None = None) -> SimOrder | AlgoOrder | None:
        """Return an order by an id: the newest one, where several have a cloid."""
        exchange = self._exchange
        if oid is not None:
            algo, order = exchange.algos.get(oid), exchange.orders.get(oid)
            owner = algo.account if algo is not None else order.account if order is not None else None
            found: SimOrder | AlgoOrder | None = algo or order
            return found if owner == account else None
        wanted = (cloid or "").lower()
        orders = [each for each in exchange.orders.values() if (each.account, cloid_of(each)) == (account, wanted)]
        algos = [each for each in exchange.algos.values() if (each.account, cloid_of(each.held)) == (account, wanted)]
        newest = max([*orders, *(each.held for each in algos)], key=lambda each: each.created_ns, default=None)
        return exchange.algos.get(oid_of(newest), newest) if newest is not None else None

    def _find(
        self, account: str, asset: int, *, oid: int | None = None, cloid: str | None = None
    ) -> SimOrder | AlgoOrder | None:
        found = self.find(account, oid=oid, cloid=cloid)
        if found is None or not FIRST <= asset < FIRST + len(self._coins):
            return None
        coin = found.held.symbol if isinstance(found, AlgoOrder) else found.symbol
        return found if coin == self._coins[asset - FIRST] else None

    def _cancel(self, found: SimOrder | AlgoOrder | None, now_ns: int) -> str:
        if isinstance(found, AlgoOrder) and not found.is_open:
            found = found.order
        if found is None or not found.is_open:
            raise EntryRefusedError(RACE)
        if isinstance(found, AlgoOrder):
            self._exchange.cancel_algo(found, now_ns)
        else:
            self._exchange.cancel(found, now_ns, cancel_client_order_id="")
        return "success"

    def _modify(self, account: str, oid: int | str, order: shapes.OrderWire, now_ns: int) -> dict[str, Any]:
        """Cancel an order and place the changed one, which gets a new id."""
        found = self.find(account, oid=oid) if isinstance(oid, int) else self.find(account, cloid=oid)
        if found is None or not found.is_open:
            raise EntryRefusedError("Cannot modify canceled or filled order")
        self._cancel(found, now_ns)
        return self._place(account, order, now_ns)

    def _modify_or_refuse(self, account: str, oid: int | str, order: shapes.OrderWire, now_ns: int) -> None:
        try:
            self._modify(account, oid, order, now_ns)
        except EntryRefusedError as refusal:
            raise ActionRefusedError(str(refusal)) from None

    # ---- settings

    def _schedule(self, account: str, time_ms: int | None, now_ns: int) -> None:
        if time_ms is None:
            self.schedules.pop(account, None)
            return
        if time_ms < now_ns // MS + SCHEDULE_MS_MIN:
            raise ActionRefusedError("Scheduled cancel time too early, must be at least 5 seconds from now.")
        self.schedules[account] = time_ms * MS

    def run_schedules(self, now_ns: int) -> None:
        """Cancel the orders of the accounts whose time has come."""
        for account in [name for name, due_ns in self.schedules.items() if due_ns <= now_ns]:
            del self.schedules[account]
            for order in self._exchange.open_orders(account):
                self._exchange.cancel(order, now_ns, cancel_client_order_id="")
            for algo in self._exchange.open_algos(account):
                self._exchange.cancel_algo(algo, now_ns)

    def _set_leverage(self, account: str, action: shapes.UpdateLeverage, now_ns: int) -> None:
        try:
            coin = self.coin(action.asset)
            owner = self._exchange.margin_accounts[account]
            if owner.is_isolated(coin) is action.is_cross:
                self._exchange.set_isolated(account, coin, isolated=not action.is_cross, now_ns=now_ns)
            self._exchange.set_leverage(account, coin, action.leverage, now_ns)
        except EntryRefusedError as refusal:
            raise ActionRefusedError(str(refusal)) from None
        except VenueRefusalError as refusal:
            raise ActionRefusedError(text_of(refusal, asset=action.asset)) from None


def _named(order: SimOrder) -> dict[str, Any]:
    cloid = cloid_of(order)
    return {"oid": oid_of(order), **({"cloid": cloid} if cloid is not None else {})}
