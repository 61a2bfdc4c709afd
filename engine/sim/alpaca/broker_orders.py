"""The broker's orders: ids, states and fields that the exchange below does not have.

An order of the broker exists before the exchange has it (outside trading hours) and after it ended there. Its id is the
venue's, and its client order id is unique over the account's whole life.
"""

from dataclasses import dataclass
from typing import Any, Final

from engine.sim.exchange.order_values import SimNewOrder, SimOrder, SimOrderStatus
from engine.sim.units import ONE, plain
from engine.venues.timestamps import time_text

STATUSES: Final = {
    SimOrderStatus.NEW: "new",
    SimOrderStatus.PENDING_NEW: "held",
    SimOrderStatus.PARTIALLY_FILLED: "partially_filled",
    SimOrderStatus.FILLED: "filled",
    SimOrderStatus.CANCELED: "canceled",
    SimOrderStatus.EXPIRED: "canceled",  # the rest of an order that fills at once; a day's end says "expired"
    SimOrderStatus.EXPIRED_IN_MATCH: "canceled",
    SimOrderStatus.REJECTED: "rejected",
}
ENDED: Final = frozenset({"filled", "canceled", "expired", "rejected", "replaced"})


def uuid_of(kind: int, number: int) -> str:
    """Return an id in the form of a UUID. `kind` keeps those of orders, assets and fills apart."""
    return f"{kind:08x}-0000-4000-8000-{number:012x}"


def text(amount: int) -> str | None:
    """Return an amount as the venue writes it; None for 0."""
    return plain(amount) if amount else None


@dataclass(slots=True, kw_only=True, eq=False)
class BrokerOrder:
    """One order."""

    number: int
    account: str
    asset_id: str
    is_crypto: bool
    new: SimNewOrder
    order_type: str
    in_force: str
    notional: int = 0
    trail_percent: str | None = None
    extended_hours: bool = False
    submitted_ns: int
    updated_ns: int
    phase: str = "accepted"  # while the exchange does not have it
    sim: SimOrder | None = None
    replaces: str | None = None
    replaced_by: str | None = None
    cancel_due_ns: int | None = None
    ends_as: str = ""  # the status that a cancel at the exchange leads to
    filled_ns: int = 0
    ended_ns: int = 0

    @property
    def order_id(self) -> str:
        """The venue's id."""
        return uuid_of(1, self.number)

    @property
    def client_order_id(self) -> str:
        """The client's id."""
        return self.new.client_order_id

    @property
    def status(self) -> str:
        """Its status as the venue spells it."""
        status = self.phase if self.sim is None else STATUSES[self.sim.status]
        if status == "canceled" and self.ends_as:
            return self.ends_as
        return "pending_cancel" if self.cancel_due_ns is not None and status not in ENDED else status

    @property
    def is_open(self) -> bool:
        """True until it ends."""
        return self.status not in ENDED

    @property
    def leaves(self) -> int:
        """The quantity that can still be executed."""
        return self.new.quantity if self.sim is None else self.sim.leaves

    def note(self, now_ns: int) -> None:
        """Note the time of a change."""
        self.updated_ns = now_ns
        if self.status == "filled":
            self.filled_ns = now_ns
        if not self.is_open:
            self.ended_ns = now_ns

    def body(self, sim: SimOrder | None = None, status: str = "") -> dict[str, Any]:
        """Return the order as JSON.

        Args:
            sim: The exchange's order at an earlier moment; None: as it is now.
            status: Its status then; "": that of `sim`, or as it is now.
        """
        at = sim or self.sim
        status = status or (STATUSES[sim.status] if sim is not None and sim.is_open else self.status)
        traded = 0 if at is None else at.executed
        average = at.executed_quote * ONE // traded if at is not None and traded else 0
        ended = {name: self.ended_ns if status == name else 0 for name in ("canceled", "expired", "replaced")}

        def time(time_ns: int) -> str | None:
            return time_text(time_ns) if time_ns else None

        return {
            "id": self.order_id,
            "client_order_id": self.client_order_id,
            "created_at": time_text(self.submitted_ns),
            "updated_at": time_text(self.updated_ns),
            "submitted_at": time_text(self.submitted_ns),
            "filled_at": time(self.filled_ns if status == "filled" else 0),
            "expired_at": time(ended["expired"]),
            "canceled_at": time(ended["canceled"]),
            "failed_at": time(self.ended_ns if status == "rejected" else 0),
            "replaced_at": time(ended["replaced"]),
            "replaced_by": self.replaced_by,
            "replaces": self.replaces,
            "asset_id": self.asset_id,
            "symbol": self.new.symbol,
            "asset_class": "crypto" if self.is_crypto else "us_equity",
            "notional": text(self.notional),
            "qty": None if self.notional else plain(self.new.quantity),
            "filled_qty": plain(traded),
            "filled_avg_price": text(average),
            "order_class": "",
            "order_type": self.order_type,
            "type": self.order_type,
            "side": self.new.side.value.lower(),
            "position_intent": "buy_to_open" if self.new.side.sign > 0 else "sell_to_close",
            "time_in_force": self.in_force,
            "limit_price": text(self.new.price),
            "stop_price": text(self.new.stop_price),
            "status": status,
            "extended_hours": self.extended_hours,
            "legs": None,
            "trail_percent": self.trail_percent,
            "trail_price": None,
            "hwm": None,
            "subtag": None,
            "source": None,
        }


class BrokerOrders:
    """All orders, ended ones too: an id is never free again."""

    def __init__(self) -> None:
        self._by_id: dict[str, BrokerOrder] = {}
        self._by_client_id: dict[tuple[str, str], BrokerOrder] = {}
        self._open: list[BrokerOrder] = []

    @property
    def next_number(self) -> int:
        """The number of the next order."""
        return len(self._by_id) + 1

    def add(self, order: BrokerOrder) -> None:
        """Add an order."""
        self._by_id[order.order_id] = order
        self._by_client_id[order.account, order.client_order_id] = order
        self._open.append(order)

    def by_client_id(self, account: str, client_order_id: str) -> BrokerOrder | None:
        """Return the order with a client's id, or None."""
        return self._by_client_id.get((account, client_order_id))

    def get(self, account: str, order_id: str) -> BrokerOrder | None:
        """Return the order with an id of the venue, or None."""
        order = self._by_id.get(order_id)
        return order if order is not None and order.account == account else None

    def list_all(self, account: str) -> list[BrokerOrder]:
        """Return an account's orders, oldest first."""
        return [order for order in self._by_id.values() if order.account == account]

    def open(self) -> list[BrokerOrder]:
        """Return the open orders of all accounts, oldest first."""
        self._open = [order for order in self._open if order.is_open]
        return list(self._open)
