"""The engine's events that messages of this venue state, made of the exchange's values, without the bytes between.

A resimulation without a journal reads nothing else. It is a cache of the ordinary way, which writes the message
(venue_messages.py) and decodes it (engine/venues/binance_spot/account.py): None for a message that is not plain,
which is then written. tests/test_stated_events.py keeps both ways equal, record for record.
"""

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Final

from engine.events import Answer, BalanceReport, Event, Fill, OrderReport, Outcome
from engine.model import OrderType
from engine.money import ZERO
from engine.sim.exchange.order_values import Execution, FundsChanged, SimFill, SimOrder, SimReport
from engine.sim.units import text
from engine.venues.binance_spot.shapes import STATUSES

MS: Final = 1_000_000
PLAIN_TYPES: Final = frozenset({OrderType.MARKET, OrderType.LIMIT, OrderType.LIMIT_MAKER})
PLAIN_EXECUTIONS: Final = frozenset({Execution.NEW, Execution.TRADE, Execution.CANCELED})
AMOUNT_MAX: Final = 10**27  # the decoder reads 20 digits before the point
TEN_SECONDS: Final = "10S"  # windows of order counts that the engine reads
DAY: Final = "1D"


@lru_cache(maxsize=4096)  # each message of an order repeats the amounts of the one before
def amount(units: int) -> Decimal:
    """Return an amount as the decoder reads its text."""
    return Decimal(text(units))


def _is_plain(order: SimOrder) -> bool:
    """Return True if the messages of an order have nothing that only some orders have."""
    return not (
        order.order_type not in PLAIN_TYPES
        or order.stop_price
        or order.trailing_delta
        or order.iceberg_quantity
        or order.quote_quantity
        or order.prevented
        or order.prevented_matches
        or order.reject_reason
        or order.expiry_reason
        or order.is_held
        or order.list_id >= 0
        or order.quantity >= AMOUNT_MAX
        or order.price >= AMOUNT_MAX
    )


def _report(
    venue: str, order: SimOrder, time_ns: int, fills: tuple[Fill, ...], *, iceberg: Decimal = ZERO
) -> OrderReport:
    return OrderReport(
        f"{venue}:{order.symbol}",
        order.client_order_id,
        str(order.order_id),
        STATUSES[order.status],
        order.side,
        order.order_type,
        order.time_in_force,
        amount(order.price),
        amount(order.quantity),
        amount(order.executed),
        time_ns // MS * MS,
        fills,
        stop_price=ZERO,
        iceberg_quantity=iceberg,
        quote_quantity=amount(0),
    )


def _fill(venue: str, order: SimOrder, fill: SimFill, time_ns: int, *, maker: bool) -> Fill:
    return Fill(
        f"{venue}:{order.symbol}",
        str(fill.trade_id),
        str(order.order_id),
        order.side,
        amount(fill.price),
        amount(fill.quantity),
        amount(fill.fee),
        fill.fee_asset,
        maker,
        time_ns // MS * MS,
        order.client_order_id,
    )


def reported(venue: str, report: SimReport) -> tuple[Event, ...] | None:
    """Return what the executionReport of a change states."""
    order, fill = report.order, report.fill
    if report.execution not in PLAIN_EXECUTIONS or not _is_plain(order):
        return None
    fills = () if fill is None else (_fill(venue, order, fill, report.time_ns, maker=fill.maker),)
    return (_report(venue, order, report.time_ns, fills, iceberg=amount(0)),)


def funds(change: FundsChanged) -> tuple[Event, ...] | None:
    """Return what the outboundAccountPosition of a change states."""
    at = change.time_ns // MS * MS
    rows = change.balances
    if not all(0 <= free < AMOUNT_MAX and 0 <= locked < AMOUNT_MAX for _, free, locked in rows):
        return None
    return tuple([BalanceReport(asset, amount(free), amount(locked), at) for asset, free, locked in rows])


def answered(venue: str, order: SimOrder, *, with_fills: bool) -> tuple[Event, ...] | None:
    """Return what the FULL answer to a placement, or the answer to a cancel, reports of its order."""
    if not _is_plain(order):
        return None
    at = order.updated_ns
    fills = tuple([_fill(venue, order, fill, at, maker=False) for fill in order.fills]) if with_fills else ()
    return (_report(venue, order, at, fills),)


def proved(weight: int, counts: Mapping[str, int]) -> Answer:
    """Return what an answer of success proves, with the counts of its headers."""
    return Answer(
        Outcome.DONE,
        weight_used=weight,
        orders_used=counts.get(TEN_SECONDS, -1),
        orders_day_used=counts.get(DAY, -1),
    )
