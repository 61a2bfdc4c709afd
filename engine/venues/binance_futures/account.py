"""An account's messages of Binance's futures, read into events. Total: no bytes raise.

Orders, fills, wallets and positions of the user stream. No calls: futures cannot be traded yet. Numbers in parentheses
are sections of the fact sheet of USD-M (state: May 2026).
"""

from decimal import Decimal
from typing import Any, NoReturn

import msgspec

from engine.events import ContractReport, Event, Fill, OrderReport, StreamEnded, Unrecognised, VenueStatus, WalletReport
from engine.facts import CashReason
from engine.model import OrderType, Side, TimeInForce
from engine.venues.binance_common.http_answers import FAILURES, unrecognised
from engine.venues.binance_common.values import Amount, Millis, SignedAmount, Text, VenueId, nanoseconds

STATUSES = {
    "NEW": VenueStatus.OPEN,
    "PARTIALLY_FILLED": VenueStatus.PARTIALLY_FILLED,
    "FILLED": VenueStatus.FILLED,
    "CANCELED": VenueStatus.CANCELED,
    "EXPIRED": VenueStatus.EXPIRED,
    "EXPIRED_IN_MATCH": VenueStatus.EXPIRED,
}
TYPES = {"LIMIT": OrderType.LIMIT, "MARKET": OrderType.MARKET}
TIMES = frozenset(time.value for time in TimeInForce)
EXECUTIONS = frozenset({"TRADE", "CALCULATED"})  # CALCULATED: a fill of a liquidation (6)
REASONS = {
    "ORDER": CashReason.ORDER,
    "FUNDING_FEE": CashReason.FUNDING,
    "DEPOSIT": CashReason.TRANSFER,
    "WITHDRAW": CashReason.TRANSFER,
}
IGNORED = {
    "TRADE_LITE": "ORDER_TRADE_UPDATE has the same fill with its fee",
    "ACCOUNT_CONFIG_UPDATE": "leverage and modes are no part of the books",
    "MARGIN_CALL": "a warning; a liquidation comes as fills",
    "STRATEGY_UPDATE": "a grid of the venue's own program",
    "GRID_UPDATE": "a grid of the venue's own program",
    "ALGO_UPDATE": "a triggered order has its own ORDER_TRADE_UPDATE",
    "CONDITIONAL_ORDER_TRIGGER_REJECT": "deprecated; nothing was traded",
}
ONE_WAY = "BOTH"


def _rename(**names: str) -> Any:
    """Return our field names for the wire's letters. Any, because msgspec's `rename` takes a plain mapping."""
    return names


class _EventName(msgspec.Struct, frozen=True):
    e: str = ""
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Order(
    msgspec.Struct,
    frozen=True,
    rename=_rename(
        symbol="s", client_id="c", side="S", type="o", time_in_force="f", quantity="q", price="p", stop_price="sp",
        execution="x", status="X", order_id="i", last_quantity="l", filled_quantity="z", last_price="L", fee="n",
        fee_asset="N", trade_id="t", maker="m", position_side="ps",
    ),
):  # fmt: skip
    """The order inside an ORDER_TRADE_UPDATE (6)."""

    symbol: Text
    client_id: Text
    side: Side
    type: Text
    time_in_force: Text
    quantity: Amount
    price: Amount
    execution: str
    status: str
    order_id: VenueId
    last_quantity: Amount
    filled_quantity: Amount
    last_price: Amount
    trade_id: int
    maker: bool
    fee: SignedAmount | None = None  # absent without a commission
    fee_asset: Text | None = None
    stop_price: Amount = "0"
    position_side: str = ONE_WAY

    def report(self, venue: str, venue_ns: int) -> OrderReport:
        """Return the order's status and its fill, if it has one."""
        _one_way(self.position_side)
        instrument = f"{venue}:{self.symbol}"
        is_known = self.type in TYPES and self.time_in_force in TIMES
        fills: tuple[Fill, ...] = ()
        if self.execution in EXECUTIONS:
            if self.trade_id <= 0 or not Decimal(self.last_quantity):
                raise ValueError(f"an execution of trade {self.trade_id} for {self.last_quantity}")
            fill = Fill(
                instrument=instrument,
                fill_id=str(self.trade_id),
                venue_order_id=str(self.order_id),
                side=self.side,
                price=Decimal(self.last_price),
                quantity=Decimal(self.last_quantity),
                fee=Decimal(self.fee or "0"),
                fee_asset=self.fee_asset or "",
                maker=self.maker,
                venue_ns=venue_ns,
                client_order_id=self.client_id,
            )
            fills = (fill,)
        return OrderReport(
            instrument=instrument,
            client_order_id=self.client_id,
            venue_order_id=str(self.order_id),
            status=STATUSES[self.status],
            side=self.side,
            type=TYPES[self.type] if is_known else OrderType.FOREIGN,
            time_in_force=TimeInForce(self.time_in_force) if is_known else TimeInForce.GTC,
            price=Decimal(self.price),
            quantity=Decimal(self.quantity),
            filled_quantity=Decimal(self.filled_quantity),
            venue_ns=venue_ns,
            fills=fills,
            stop_price=Decimal(self.stop_price),
            venue_type="" if is_known else f"{self.type} {self.time_in_force}",
        )


class _OrderUpdate(msgspec.Struct, frozen=True):
    T: Millis  # of the transaction: the same as in the ACCOUNT_UPDATE of a fill
    o: _Order

    def report(self, venue: str) -> OrderReport:
        """Return the order's status and its fill, if it has one."""
        return self.o.report(venue, nanoseconds(self.T))


class _Wallet(msgspec.Struct, frozen=True, rename=_rename(asset="a", wallet="wb", change="bc")):
    asset: Text
    wallet: SignedAmount
    change: SignedAmount = "0"  # what neither P&L nor commission explains


class _Position(msgspec.Struct, frozen=True, rename=_rename(symbol="s", quantity="pa", entry="ep", position_side="ps")):
    symbol: Text
    quantity: SignedAmount
    entry: Amount
    position_side: str = ONE_WAY


class _Changes(msgspec.Struct, frozen=True, rename=_rename(reason="m", wallets="B", positions="P")):
    reason: Text
    wallets: tuple[_Wallet, ...] = ()
    positions: tuple[_Position, ...] = ()


class _AccountUpdate(msgspec.Struct, frozen=True):
    T: Millis
    a: _Changes

    def reports(self, venue: str) -> tuple[Event, ...]:
        """Return the positions that the update states, then the wallets."""
        reason, venue_ns = REASONS.get(self.a.reason, CashReason.OTHER), nanoseconds(self.T)
        positions = []
        for held in self.a.positions:
            _one_way(held.position_side)
            name = f"{venue}:{held.symbol}"
            positions.append(ContractReport(name, Decimal(held.quantity), Decimal(held.entry), reason, venue_ns))
        about = positions[0].instrument if len(positions) == 1 else ""
        wallets = (
            WalletReport(row.asset, Decimal(row.wallet), Decimal(row.change), reason, venue_ns, about)
            for row in self.a.wallets
        )
        return (*positions, *wallets)


_read_name = msgspec.json.Decoder(_EventName).decode
_read_order = msgspec.json.Decoder(_OrderUpdate).decode
_read_account = msgspec.json.Decoder(_AccountUpdate).decode


def _one_way(position_side: str) -> None:
    if position_side != ONE_WAY:
        raise ValueError(f"positions of hedge mode ({position_side}) are not supported")


class FuturesMessages:
    """The account codec of a venue whose account can only be read: every call raises LookupError."""

    def __init__(self, venue: str) -> None:
        self._venue = venue

    def decode_private(self, payload: bytes) -> tuple[Event, ...]:
        """Return the events of one frame; none for a known event that has no use here."""
        try:
            named = _read_name(payload)
            raw = payload if isinstance(named.data, msgspec.UnsetType) else bytes(named.data)
            name = named.e or _read_name(raw).e
            match name:
                case "ORDER_TRADE_UPDATE":
                    return (_read_order(raw).report(self._venue),)
                case "ACCOUNT_UPDATE":
                    return _read_account(raw).reports(self._venue)
                case "listenKeyExpired":
                    return (StreamEnded("the listen key expired"),)
                case _ if name in IGNORED:
                    return ()
                case _:
                    return (Unrecognised("private frame", f"no known event: {name}"[:200]),)
        except FAILURES as error:
            return (unrecognised("private frame", error),)

    def answered_request(self, payload: bytes) -> str | None:
        """Return None: no request is sent over the user stream."""
        return None

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise LookupError(f"only market data and account messages are built of {self._venue}")

    place = cancel = cancel_all = query_order = open_orders = balances = fills_after = _refuse
