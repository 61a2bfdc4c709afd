"""A Python strategy's orders and position in a run with orders in the fold, made of the events of the loop."""

from collections.abc import Sequence
from typing import Final, Protocol

from msgspec.structs import force_setattr

from engine.facts import NewOrder, OrderFilled
from engine.lifecycle import Status
from engine.market.order_decision import FOLD_MARKET
from engine.market.rows import Rows
from engine.market.views import kept_decimal
from engine.model import Instrument, Side
from engine.sim.fold_orders import fold_layout as at
from engine.sim.units import PLACES
from engine.state.orders import Order
from engine.state.positions import Positions, after_fill
from engine.strategy.fold_decision import ORDER_TYPES
from engine.strategy.plain_figures import plain_figure
from replay.fold_orders.unknown_values import Refusals, unreadable_id, without_fields

# fields of an order that follow from records which the loop does not make
UNKNOWN: Final = (
    "request_seq", "updated_seq", "expires_ns", "filled_reported", "reported_ns", "fill_ids", "cancel_seq",
    "query_seq", "query_count", "reason", "venue_ns", "fills_queried_ns", "fills_queries",
)  # fmt: skip


class Fee(Protocol):
    """The fee of a fill, in units of 1e-8, and its asset."""

    def __call__(self, side: int, price: int, size: int, *, is_maker: bool) -> tuple[int, str]:
        """Return both. Prices and sizes are whole multiples of the instrument's units."""


class OwnAccount:
    """The orders and the position of the only strategy and instrument."""

    def __init__(self, strategy: str, instrument: Instrument, fee_of: Fee, refusals: Refusals) -> None:
        self._strategy = strategy
        self._instrument = instrument
        self._fee_of = fee_of
        self._make_order = without_fields(Order, UNKNOWN, "an order", refusals)
        self._make_market_terms = without_fields(NewOrder, ["market_price"], "a market order", refusals)
        self._make_id = unreadable_id("`client_order_id` of an order", refusals)
        self._make_venue_id = unreadable_id("`venue_order_id` of an order", refusals)
        self._read = 0  # events
        self.live: dict[int, Order] = {}  # by number, so the oldest is the first, as in the loop's table
        self.numbers: dict[str, int] = {}  # client order id -> number, of all orders
        self.orders: list[Order] = []  # the live ones
        self.positions = Positions()

    def read(self, events: Rows, count: int) -> None:
        """Apply the events that came since the last call."""
        for event in events[self._read : count].tolist():
            kind, time_ns, number, _, price, size, code, _ = event
            if kind == at.PLACED:
                self._place(event)
            elif kind == at.ACCEPTED:
                order = self.live[number]
                force_setattr(order, "status", Status.OPEN)
                force_setattr(order, "updated_ns", time_ns)
                force_setattr(order, "venue_order_id", self._make_venue_id(f"venue-{number}"))
            elif kind == at.CANCEL_SENT:
                force_setattr(self.live[number], "cancel_ns", time_ns)
            elif kind == at.FILLED:
                self._fill(time_ns, number, price, size, maker=bool(code))
            elif kind in (at.CANCELED, at.REJECTED):
                del self.live[number]
        self._read = count
        self.orders = list(self.live.values())

    def _place(self, event: Sequence[int]) -> None:
        one = self._instrument
        _, time_ns, number, side, price, size, code, _ = event
        name = self._make_id(f"fold-{number}")
        order = self._make_order(
            client_order_id=name,
            strategy=self._strategy,
            order=(self._make_market_terms if code == FOLD_MARKET else NewOrder)(
                instrument=one.id,
                side=Side.BUY if side > 0 else Side.SELL,
                type=ORDER_TYPES[code],
                quantity=kept_decimal(size, one.size_scale),
                price=kept_decimal(price, one.price_scale),
            ),
            status=Status.PENDING,
            request_seq=0,
            created_ns=time_ns,
            updated_seq=0,
            updated_ns=time_ns,
        )
        self.live[number] = order
        self.numbers[name] = number

    def _fill(self, time_ns: int, number: int, price: int, size: int, *, maker: bool) -> None:
        one, order = self._instrument, self.live[number]
        terms = order.order
        paid, quantity = kept_decimal(price, one.price_scale), kept_decimal(size, one.size_scale)
        fee, asset = self._fee_of(terms.side.sign, price, size, is_maker=maker)
        key = f"{self._strategy} {one.id}"
        fill = OrderFilled(
            order.client_order_id, self._strategy, one.id, "", "", terms.side, paid, quantity,
            kept_decimal(fee, PLACES), asset, maker, 0, False,
        )  # fmt: skip
        moved = after_fill(self.positions.get(self._strategy, one.id), fill, one)
        self.positions = Positions({**self.positions.by_key, key: moved})
        filled = order.filled_quantity + quantity
        if filled == terms.quantity:
            del self.live[number]
            return
        force_setattr(order, "status", Status.PARTIALLY_FILLED)
        force_setattr(order, "updated_ns", time_ns)
        force_setattr(order, "filled_quantity", plain_figure(filled))
        force_setattr(order, "filled_notional", plain_figure(order.filled_notional + paid * quantity))
