"""What ccxt's parsers return, as the events of an account. Raises ValueError, LookupError or TypeError for the rest."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from engine.events import AccountReport, BalanceReport, Fill, FillsReport, OpenOrdersReport, OrderReport, VenueStatus
from engine.model import Instrument, OrderType, Side, TimeInForce
from engine.venues.ccxt.exact_numbers import MILLION, amount, exact, nanoseconds, number_or_zero
from engine.venues.ccxt.exchange_rules import CLIENT_ID
from engine.venues.ccxt.markets import unified_symbol

TYPES: Final = {"limit": OrderType.LIMIT, "market": OrderType.MARKET}
STATUSES: Final = {
    "open": VenueStatus.OPEN,
    "closed": VenueStatus.FILLED,
    "canceled": VenueStatus.CANCELED,
    "cancelled": VenueStatus.CANCELED,
    "canceling": VenueStatus.OPEN,
    "expired": VenueStatus.EXPIRED,
    "rejected": VenueStatus.REJECTED,
}
TIMES: Final[Mapping[str | None, TimeInForce]] = {each.value: each for each in TimeInForce}  # others, and none: GTC
OF_BALANCES: Final = frozenset({"info", "free", "used", "total", "timestamp", "datetime", "debt"})
ID_MAX: Final = 100


class ReportOrigin(NamedTuple):
    """Whose reports these are."""

    venue: str
    instruments: Sequence[Instrument]
    prefix: str  # before our ids


def instrument_id(origin: ReportOrigin, symbol: str | None) -> str:
    """Return the id of an instrument by ccxt's name; one that is not of this session keeps that name."""
    if not symbol:
        raise ValueError("no symbol")
    found = next((of.id for of in origin.instruments if unified_symbol(of) == symbol), "")
    return found or f"{origin.venue}:{symbol}"


def order_report(origin: ReportOrigin, order: Any, known: Mapping[str, str]) -> OrderReport:
    """Return the report of an order.

    Args:
        origin: The venue and its instruments.
        order: As ccxt returns it.
        known: The arguments of the call that it answers, for the fields that the answer leaves out.

    """
    symbol = order.get("symbol") or known.get("symbol")
    is_new = "side" in known
    if order.get("filled") is None and not is_new:
        raise ValueError("the exchange does not state how much is filled")
    name, filled = _client_id(origin, order.get(CLIENT_ID)), number_or_zero(order.get("filled"))
    side, kind = order.get("side") or known["side"], order.get("type") or known["type"]
    quantity = amount(known["amount"] if order.get("amount") is None else order["amount"])
    order_type = TYPES.get(kind, OrderType.FOREIGN)
    if order_type is OrderType.LIMIT and (order.get("postOnly") or known.get("postOnly")):
        order_type = OrderType.LIMIT_MAKER
    price = known.get("price") if order.get("price") is None else order["price"]
    return OrderReport(
        instrument=instrument_id(origin, symbol),
        client_order_id=name or known.get(CLIENT_ID, ""),
        venue_order_id=_text(order.get("id")),
        status=_status(order, filled=filled, quantity=quantity),
        side=Side(side.upper()),
        type=order_type,
        time_in_force=TIMES.get(order.get("timeInForce") or known.get("timeInForce"), TimeInForce.GTC),
        price=Decimal(0) if order_type is OrderType.MARKET else number_or_zero(price),
        quantity=quantity,
        filled_quantity=filled,
        venue_ns=nanoseconds(order.get("lastUpdateTimestamp") or order.get("timestamp")),
        fills=_own_fills(origin, order),
        venue_type=str(kind)[:ID_MAX] if order_type is OrderType.FOREIGN else "",
    )


def _own_fills(origin: ReportOrigin, order: Any) -> tuple[Fill, ...]:
    """Return the fills that the answer itself holds."""
    trades = [trade for trade in order.get("trades") or () if trade.get("id") and trade.get("timestamp")]
    return tuple(fill_of(origin, {**trade, "order": trade.get("order") or order.get("id")}) for trade in trades)


def _status(order: Any, *, filled: Decimal, quantity: Decimal) -> VenueStatus:
    if order.get("filled") is None:
        return VenueStatus.OPEN  # a new order that the exchange accepted; a query reads its state
    status = STATUSES["open" if order.get("status") is None and not filled else order["status"]]
    if status is VenueStatus.OPEN and 0 < filled < quantity:
        return VenueStatus.PARTIALLY_FILLED
    if status is VenueStatus.FILLED and filled < quantity:
        return VenueStatus.CANCELED  # ccxt calls an order closed that ended before it was filled
    return status


def open_orders(origin: ReportOrigin, orders: Sequence[Any]) -> OpenOrdersReport:
    """Return the list of open orders. One order that cannot be read spoils it: what it lacks counts as closed."""
    return OpenOrdersReport(tuple(order_report(origin, order, {}) for order in orders))


def fills(origin: ReportOrigin, trades: Sequence[Any], instrument: str, page_max: int, since_ms: int) -> FillsReport:
    """Return a page of fills, in the order of their cursors.

    Args:
        origin: The venue and its instruments.
        trades: As ccxt returns them.
        instrument: The requested one.
        page_max: A page with as many is full.
        since_ms: The time from which they were requested. A page of that time alone leads to no further one.

    """
    found = [fill_of(origin, trade) for trade in trades]
    for fill in found:
        if fill.instrument != instrument:
            raise ValueError(f"{instrument} was requested, and {fill.instrument} answered")
    found.sort(key=lambda fill: (fill.venue_ns, fill.fill_id))
    is_last = len(found) < page_max or (since_ms > 0 and found[-1].venue_ns <= since_ms * MILLION)
    return FillsReport(instrument, tuple(found), whole=is_last)


def fill_of(origin: ReportOrigin, trade: Any) -> Fill:
    """Return a fill."""
    fee, asset = _fee(trade)
    venue_ns = nanoseconds(trade.get("timestamp"))
    if not venue_ns:
        raise ValueError("a fill without time")
    return Fill(
        instrument=instrument_id(origin, trade.get("symbol")),
        fill_id=_text(trade["id"]),
        venue_order_id=_text(trade["order"]),
        side=Side(trade["side"].upper()),
        price=amount(trade["price"]),
        quantity=amount(trade["amount"]),
        fee=fee,
        fee_asset=asset,
        maker=trade.get("takerOrMaker") == "maker",
        venue_ns=venue_ns,
        client_order_id=_client_id(origin, trade.get(CLIENT_ID)),
    )


def _fee(trade: Any) -> tuple[Decimal, str]:
    """Return amount and asset of a fee; a negative one is a rebate. Raises ValueError for fees in several assets."""
    listed = [each for each in (trade.get("fees") or [trade.get("fee")]) if each and each.get("cost") is not None]
    assets = {each.get("currency") for each in listed if exact(each["cost"])}
    if len(assets) > 1:
        raise ValueError("fees in several assets")
    if not assets:
        return Decimal(0), _text(listed[0].get("currency")) if listed else ""
    return sum((exact(each["cost"]) for each in listed), Decimal(0)), _text(assets.pop())


def account_report(balances: Any) -> AccountReport:
    """Return all balances that are not 0."""
    found = []
    for asset, held in balances.items():
        if asset in OF_BALANCES or not isinstance(held, dict):
            continue
        free, used, total = (held.get(name) for name in ("free", "used", "total"))
        if free is None or (used is None and total is None):
            raise ValueError(f"{asset}: the exchange states neither what is free nor what is locked")
        locked = amount(used) if used is not None else amount(total) - amount(free)
        if amount(free) or locked:
            found.append(BalanceReport(_text(asset), amount(free), locked))
    return AccountReport(tuple(found), can_trade=True)


def _client_id(origin: ReportOrigin, stated: Any) -> str:
    return _text(stated).removeprefix(origin.prefix)


def _text(value: Any) -> str:
    """Return a short text; "" for none. Raises ValueError for a long one: it is no id."""
    text = "" if value is None else str(value)
    if len(text) > ID_MAX:
        raise ValueError(f"{text[:40]!r} is too long for an id")
    return text
