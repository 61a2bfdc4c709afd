"""The user stream of an account of Binance's futures, read into events. Total: no bytes raise.

Orders, fills, wallets, positions, settings and warnings. The calls are in calls.py, their answers in answers.py.
Numbers in parentheses are sections of the fact sheet of USD-M (state: May 2026).
"""

import re
from decimal import Decimal
from typing import Final

import msgspec

from engine.events import (
    ContractReport,
    Event,
    Fill,
    MarginCall,
    MarginSettingsReport,
    OrderReport,
    StreamEnded,
    Unrecognised,
    WalletReport,
)
from engine.facts import CashReason
from engine.model import PositionSide, Side
from engine.venues.binance_common.http_answers import FAILURES, unrecognised
from engine.venues.binance_common.values import (
    Amount,
    Millis,
    SignedAmount,
    Text,
    VenueId,
    nanoseconds,
    renamed,
)
from engine.venues.binance_futures.calls import FuturesRequests
from engine.venues.binance_futures.order_types import reported_terms, trailing_delta
from engine.venues.binance_futures.shapes import STATUSES, forced_kind, held_report

EXECUTIONS = frozenset({"TRADE", "CALCULATED"})  # CALCULATED: a fill of a liquidation (6)
REASONS = {
    "ORDER": CashReason.ORDER,
    "FUNDING_FEE": CashReason.FUNDING,
    "DEPOSIT": CashReason.TRANSFER,
    "WITHDRAW": CashReason.TRANSFER,
    "INSURANCE_CLEAR": CashReason.LIQUIDATION_FEE,
    "WITHDRAW_REJECT": CashReason.MOVE,
    "ADMIN_DEPOSIT": CashReason.MOVE,
    "ADMIN_WITHDRAW": CashReason.MOVE,
    "MARGIN_TRANSFER": CashReason.MOVE,
    "MARGIN_TYPE_CHANGE": CashReason.MOVE,
    "ASSET_TRANSFER": CashReason.MOVE,
    "AUTO_EXCHANGE": CashReason.MOVE,
    "COIN_SWAP_DEPOSIT": CashReason.MOVE,
    "COIN_SWAP_WITHDRAW": CashReason.MOVE,
}  # any other is OTHER: an alarm, and a drift
IGNORED = {
    "TRADE_LITE": "ORDER_TRADE_UPDATE has the same fill with its fee",
    "STRATEGY_UPDATE": "a grid of the venue's own program",
    "GRID_UPDATE": "a grid of the venue's own program",
    "CONDITIONAL_ORDER_TRIGGER_REJECT": "deprecated; nothing was traded",
}
# the reason of an end (6)
EXPIRIES: Final = {
    "1": "self-trade prevention",
    "2": "the rest of an order that does not rest",
    "3": "self-trade prevention of an order that does not rest",
    "4": "reduce-only: the position that it would reduce is smaller or gone",
    "5": "liquidation",
    "6": "the order that it needed is not there",
    "7": "the contract ended",
    "8": "it became another order when it was triggered",
    "9": "the rest of a market order",
}
LISTEN_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,200}")
RENEW_EVERY_NS: Final = 15 * 60 * 1_000_000_000  # of the 60 minutes that a listen key lives: three tries (6)


class _EventName(msgspec.Struct, frozen=True):
    e: str = ""
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Order(
    msgspec.Struct,
    frozen=True,
    rename=renamed(
        symbol="s", client_id="c", side="S", type="o", time_in_force="f", quantity="q", price="p", stop_price="sp",
        execution="x", status="X", order_id="i", last_quantity="l", filled_quantity="z", last_price="L", fee="n",
        fee_asset="N", trade_id="t", maker="m", position_side="ps", reduce_only="R", expiry_reason="er",
        callback_rate="cr",
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
    position_side: PositionSide = PositionSide.BOTH
    reduce_only: bool = False
    expiry_reason: str | int = ""
    callback_rate: str | None = ""

    def report(self, venue: str, venue_ns: int) -> OrderReport:
        """Return the order's status and its fill, if it has one."""
        instrument = f"{venue}:{self.symbol}"
        terms = reported_terms(self.type, self.time_in_force)
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
                position_side=self.position_side,
            )
            fills = (fill,)
        return OrderReport(
            instrument=instrument,
            client_order_id=self.client_id,
            venue_order_id=str(self.order_id),
            status=STATUSES[self.status],
            side=self.side,
            type=terms.type,
            time_in_force=terms.time_in_force,
            price=Decimal(self.price),
            quantity=Decimal(self.quantity),
            filled_quantity=Decimal(self.filled_quantity),
            venue_ns=venue_ns,
            fills=fills,
            reason=EXPIRIES.get(str(self.expiry_reason), ""),
            stop_price=Decimal(self.stop_price),
            venue_type=terms.venue_type,
            trailing_delta=trailing_delta(self.callback_rate or ""),
            is_in_market=True,
            position_side=self.position_side,
            reduce_only=self.reduce_only,
            forced=forced_kind(self.client_id),
        )


class _OrderUpdate(msgspec.Struct, frozen=True):
    T: Millis  # of the transaction: the same as in the ACCOUNT_UPDATE of a fill
    o: _Order

    def report(self, venue: str) -> OrderReport:
        """Return the order's status and its fill, if it has one."""
        return self.o.report(venue, nanoseconds(self.T))


class _Wallet(msgspec.Struct, frozen=True, rename=renamed(asset="a", wallet="wb", change="bc")):
    asset: Text
    wallet: SignedAmount
    change: SignedAmount = "0"  # what neither P&L nor commission explains


class _Position(msgspec.Struct, frozen=True, rename=renamed(symbol="s", quantity="pa", entry="ep", position_side="ps")):
    symbol: Text
    quantity: SignedAmount
    entry: Amount
    position_side: PositionSide = PositionSide.BOTH


class _Changes(msgspec.Struct, frozen=True, rename=renamed(reason="m", wallets="B", positions="P")):
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
            name, entry = f"{venue}:{held.symbol}", Decimal(held.entry)
            report = ContractReport(name, Decimal(held.quantity), entry, reason, venue_ns, held.position_side)
            positions.append(report)
        named = {position.instrument for position in positions}
        about = named.pop() if len(named) == 1 else ""
        wallets = (
            WalletReport(row.asset, Decimal(row.wallet), Decimal(row.change), reason, venue_ns, about)
            for row in self.a.wallets
        )
        return (*positions, *wallets)


class _Conditional(
    msgspec.Struct,
    frozen=True,
    rename=renamed(
        client_id="caid", type="o", symbol="s", side="S", position_side="ps", time_in_force="f", quantity="q",
        status="X", order_id="ai", trigger="tp", price="p", reduce_only="R", reason="rm", activates="AP",
        callback_rate="cr",
    ),
):  # fmt: skip
    """The conditional order inside an ALGO_UPDATE (6)."""

    client_id: Text
    type: Text
    symbol: Text
    side: Side
    status: str
    time_in_force: Text = "GTC"
    quantity: Amount = "0"
    order_id: str | int | None = ""
    trigger: str = "0"
    price: str = "0"
    position_side: PositionSide = PositionSide.BOTH
    reduce_only: bool = False
    reason: Text = ""
    activates: str | None = ""
    callback_rate: str | None = ""


class _ConditionalUpdate(msgspec.Struct, frozen=True):
    T: Millis
    o: _Conditional

    def report(self, venue: str) -> OrderReport:
        """Return the order's status."""
        order = self.o
        return held_report(
            venue,
            symbol=order.symbol,
            client_order_id=order.client_id,
            status=order.status,
            side=order.side,
            venue_type=order.type,
            time_in_force=order.time_in_force,
            price=order.price,
            quantity=order.quantity,
            trigger=order.trigger if order.trigger not in ("", "0") else order.activates or "0",
            callback_rate=order.callback_rate or "",
            order_id=order.order_id,
            venue_ns=nanoseconds(self.T),
            position_side=order.position_side,
            reduce_only=order.reduce_only,
            reason=order.reason,
        )


class _Leverage(msgspec.Struct, frozen=True, rename=renamed(symbol="s", leverage="l")):
    symbol: Text
    leverage: int


class _ConfigUpdate(msgspec.Struct, frozen=True):
    """A change of the leverage of a contract, or of a setting that is no part of our books."""

    ac: _Leverage | None = None

    def reports(self, venue: str) -> tuple[Event, ...]:
        """Return the new leverage."""
        if self.ac is None:
            return ()
        return (MarginSettingsReport(f"{venue}:{self.ac.symbol}", Decimal(self.ac.leverage)),)


class _Called(
    msgspec.Struct, frozen=True, rename=renamed(symbol="s", quantity="pa", mark_price="mp", maintenance="mm")
):
    symbol: Text
    quantity: SignedAmount
    mark_price: Amount
    maintenance: SignedAmount = "0"


class _MarginCalls(msgspec.Struct, frozen=True):
    p: tuple[_Called, ...] = ()

    def reports(self, venue: str) -> tuple[Event, ...]:
        """Return a warning for each position."""
        return tuple(
            MarginCall(
                f"{venue}:{one.symbol}", Decimal(one.quantity), Decimal(one.mark_price), Decimal(one.maintenance)
            )
            for one in self.p
        )


_read_name = msgspec.json.Decoder(_EventName).decode
_read_order = msgspec.json.Decoder(_OrderUpdate).decode
_read_account = msgspec.json.Decoder(_AccountUpdate).decode


class _ListenKey(msgspec.Struct, frozen=True, rename="camel"):
    listen_key: str


_read_held = msgspec.json.Decoder(_ConditionalUpdate).decode
_read_settings = msgspec.json.Decoder(_ConfigUpdate).decode
_read_calls = msgspec.json.Decoder(_MarginCalls).decode
_read_key = msgspec.json.Decoder(_ListenKey).decode


class FuturesAccount(FuturesRequests):
    """An engine.venues.venue.AccountCodec. The calls (place, cancel, ...) are those of `FuturesRequests`."""

    renew_every_ns = RENEW_EVERY_NS

    def __init__(self, venue: str, prefix: str, account_prefix: str, recv_window_ms: int) -> None:
        super().__init__(prefix, account_prefix, recv_window_ms)
        self._venue = venue

    def read_token(self, payload: bytes) -> str:
        """Return the listen key of an answer. Raises ValueError for any other bytes."""
        token = _read_key(payload).listen_key
        if not LISTEN_KEY.fullmatch(token):
            raise ValueError("the answer holds no listen key")
        return token

    def decode_private(self, payload: bytes) -> tuple[Event, ...]:
        """Return the events of one frame; none for a known event that has no use here."""
        try:
            named = _read_name(payload)
            raw = payload if isinstance(named.data, msgspec.UnsetType) else bytes(named.data)
            return self._events(named.e or _read_name(raw).e, raw)
        except FAILURES as error:
            return (unrecognised("private frame", error),)

    def _events(self, name: str, raw: bytes) -> tuple[Event, ...]:
        match name:
            case "ORDER_TRADE_UPDATE":
                return (_read_order(raw).report(self._venue),)
            case "ACCOUNT_UPDATE":
                return _read_account(raw).reports(self._venue)
            case "ALGO_UPDATE":
                return (_read_held(raw).report(self._venue),)
            case "ACCOUNT_CONFIG_UPDATE":
                return _read_settings(raw).reports(self._venue)
            case "MARGIN_CALL":
                return _read_calls(raw).reports(self._venue)
            case "listenKeyExpired":
                return (StreamEnded("the listen key expired"),)
            case _ if name in IGNORED:
                return ()
            case _:
                return (Unrecognised("private frame", f"no known event: {name}"[:200]),)

    def answered_request(self, payload: bytes) -> str | None:
        """Return None: no request is sent over the user stream."""
        return None
