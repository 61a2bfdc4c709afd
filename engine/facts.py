"""Bodies of FACT records. Values only.

Every change of account state is a fact, a request or an input of the engine's own, so a reader of the journal can
rebuild the state. The other bodies are in engine/bodies.py; engine/record_codec.py reads and writes all of them.
"""

from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar

import msgspec

from engine.block_reasons import BlockReason
from engine.lifecycle import Report
from engine.mode_reasons import Mode, ModeReason
from engine.model import Instrument, OrderType, Side, TimeInForce
from engine.order_terms import TERMS, RecordedTerms, Terms


class CloseReason(StrEnum):
    """Why the core closes a session."""

    STOPPED = "stopped"  # in order, with every answer that was awaited
    DEADLINE = "deadline"  # the time allowed for a stop ran out


class SafetyKind(StrEnum):
    """Kinds of safety orders."""

    CANCEL = "cancel"  # no own order stays live
    FLATTEN = "flatten"  # that, and then no position either


class SafetyCause(StrEnum):
    """Why there is a safety order."""

    COMMAND = "command"  # a person ordered it
    BLIND = "blind"  # the session could not be RUNNING for too long
    STRATEGY_STOPPED = "strategy_stopped"
    CORE_FAILED = "core_failed"
    DAILY_LOSS = "daily_loss"  # a loss of the day reached its limit


class SequencedStream(StrEnum):
    """Market streams whose ids show a gap."""

    ALL = ""  # the gap concerns every stream of its link
    TRADE = "trade"
    DEPTH = "depth"


class NewOrder(msgspec.Struct, frozen=True):
    """An order as it is placed, or as another program placed it. `terms` says what its type means."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset(
        {"stop_price", "venue_type", "reduce_only", "market_price"}
    )

    instrument: str
    side: Side
    type: OrderType
    quantity: Decimal
    price: Decimal = Decimal(0)  # 0: without a limit
    time_in_force: TimeInForce = TimeInForce.GTC
    stop_price: Decimal = Decimal(0)  # 0: without a stop
    venue_type: str = ""  # the venue's name for a FOREIGN type
    reduce_only: bool = False  # it never exceeds the position that it reduces
    # price at which the cost of a market order was estimated when it was approved; 0: not recorded
    market_price: Decimal = Decimal(0)

    @property
    def terms(self) -> Terms:
        """The order's terms by its type."""
        recorded = RecordedTerms(self.price, self.time_in_force, self.stop_price, self.venue_type)
        return TERMS[self.type].from_recorded(recorded)


# ---- facts -------------------------------------------------------------------------------------


class OrderAccepted(msgspec.Struct, frozen=True, tag_field="fact", tag="order_accepted"):
    """The venue has the order."""

    client_order_id: str
    venue_order_id: str
    venue_ns: int
    filled_quantity: Decimal = Decimal(0)  # the venue's count; if it is above ours, fills are missing


class OrderFilled(msgspec.Struct, frozen=True, tag_field="fact", tag="order_filled"):
    """One fill of an order."""

    client_order_id: str
    strategy: str
    instrument: str
    fill_id: str
    venue_order_id: str
    side: Side
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    maker: bool
    venue_ns: int
    late: bool  # it came after the order had ended here
    fee_rate: Decimal = Decimal(0)  # mid of the fee's asset in the quote asset; 0: not needed, or not known


class OrderClosed(msgspec.Struct, frozen=True, tag_field="fact", tag="order_closed"):
    """The order reached a final status."""

    client_order_id: str
    status: Report  # CANCELED, EXPIRED, REJECTED; FULL_FILL for an adopted order
    filled_quantity: Decimal  # the venue's final count
    reason: str
    venue_ns: int


class OrderUnknown(msgspec.Struct, frozen=True, tag_field="fact", tag="order_unknown"):
    """The order may or may not be at the venue, so the venue is queried."""

    client_order_id: str
    reason: str
    proof_ns: int  # a "not found" answered after this proves that the order never reached the venue


class OrderNotPlaced(msgspec.Struct, frozen=True, tag_field="fact", tag="order_not_placed"):
    """The order never reached the venue."""

    client_order_id: str
    reason: str


class OrderAdopted(msgspec.Struct, frozen=True, tag_field="fact", tag="order_adopted"):
    """An order at the venue that this journal did not send: another program uses the account."""

    client_order_id: str
    venue_order_id: str
    order: NewOrder
    filled_before: Decimal


class CancelSettled(msgspec.Struct, frozen=True, tag_field="fact", tag="cancel_settled"):
    """The answer to a cancel is in, and it did not close the order by itself."""

    client_order_id: str
    outcome: str
    is_refused: bool = False  # the venue will refuse the same cancel again


class Position(msgspec.Struct, frozen=True, tag_field="fact", tag="position"):
    """A strategy's position in one instrument after a fill, by average cost. Fees are apart from realised P&L."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"fees_unvalued"})

    strategy: str
    instrument: str
    quantity: Decimal
    price_avg: Decimal
    realised_pnl: Decimal  # in the quote asset, before fees
    fees: dict[str, Decimal]  # by asset, as charged
    fees_quote: Decimal  # those that the fill's own price, or its fee rate, can express in the quote asset
    fees_unvalued: dict[str, Decimal] = {}  # by asset: those without a known rate, which are not in `fees_quote`


class Pnl(msgspec.Struct, frozen=True, tag_field="fact", tag="pnl"):
    """A strategy's P&L in one instrument at the current mark."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"fees_unvalued"})

    strategy: str
    instrument: str
    quantity: Decimal
    mark: Decimal  # mid of the last quote; the average price without one
    realised_pnl: Decimal
    unrealised_pnl: Decimal
    fees_quote: Decimal
    fees_unvalued: dict[str, Decimal] = {}  # by asset: not contained in `fees_quote`
    is_marked: bool = True  # False: no quote is known, so the unrealised P&L is not known and counts as 0


class BalanceChanged(msgspec.Struct, frozen=True, tag_field="fact", tag="balance"):
    """The account's balance of an asset, as the venue reports it."""

    asset: str
    free: Decimal
    locked: Decimal
    query_seq: int = 0  # seq of the REQUEST that it answers: it is no newer than that. 0: as of this record
    venue_ns: int = 0


class FillsConfirmed(msgspec.Struct, frozen=True, tag_field="fact", tag="fills_confirmed"):
    """Every fill of this instrument up to this cursor is booked."""

    instrument: str
    # the cursor: a number if the venue numbers its fills, else text (engine/state/fill_cursor.py)
    fill_id: int | str


class Reconciled(msgspec.Struct, frozen=True, tag_field="fact", tag="reconciled"):
    """A reconciliation round ended; `corrections` counts the orders whose fills are missing, 0 in health."""

    round: int
    corrections: int
    # what the answers changed; not in sessions before order_rules 1
    orders: int = 0
    fills: int = 0
    balances: int = 0
    unsettled: int = 0  # own orders whose unknown fills may explain a balance, so that no drift is confirmed


class ReconcileFailed(msgspec.Struct, frozen=True, tag_field="fact", tag="reconcile_failed"):
    """A reconciliation round ended without a result."""

    round: int
    reason: str


class ModeChanged(msgspec.Struct, frozen=True, tag_field="fact", tag="mode"):
    """The engine's mode changed, with every reason against RUNNING."""

    mode: Mode
    reasons: tuple[ModeReason, ...]


class LinkReady(msgspec.Struct, frozen=True, tag_field="fact", tag="link_ready"):
    """The venue confirmed the subscription on this link."""

    source: str


class RateBlocked(msgspec.Struct, frozen=True, tag_field="fact", tag="rate_blocked"):
    """The venue refuses all requests until a time."""

    venue: str
    until_ns: int
    reason: str


class ClockMeasured(msgspec.Struct, frozen=True, tag_field="fact", tag="clock_measured"):
    """The venue's clock minus session time, by the midpoint of one round trip."""

    venue: str
    offset_ns: int


class StrategyChanged(msgspec.Struct, frozen=True, tag_field="fact", tag="strategy_changed"):
    """The fields of a strategy's declared state that its last decision changed."""

    strategy: str
    changed: dict[str, Any]


class StrategyTriggered(msgspec.Struct, frozen=True, tag_field="fact", tag="strategy_triggered"):
    """A strategy's compiled predicate returned True. Recorded, so that a rebuild runs none of its code."""

    strategy: str


class StrategyStopped(msgspec.Struct, frozen=True, tag_field="fact", tag="strategy_stopped"):
    """A strategy stopped because its code raised an error or took too long.

    `cut_off`: its decision on this input was interrupted from outside. A replay does not run that decision again.
    """

    strategy: str
    reason: str
    cut_off: bool = False


class MarketGap(msgspec.Struct, frozen=True, tag_field="fact", tag="market_gap"):
    """Market data may be missing from `from_ns` on. A gap that lasts is recorded twice: at its start, and with its end.

    The second record's cause is the first. A seq of -1 is in an earlier session.
    """

    link: str
    reason: str
    from_ns: int  # session time of the last frame before it
    from_seq: int
    to_ns: int = 0  # of the LINK record or frame that ended it. 0: it lasts
    to_seq: int = -1
    # the fields below are set if the ids of one stream show the gap; else it concerns every stream of the link
    instrument: str = ""
    stream: SequencedStream = SequencedStream.ALL
    last_id: int = 0
    first_id: int = 0


class LinkSteady(msgspec.Struct, frozen=True, tag_field="fact", tag="link_steady"):
    """The link stayed up for longer than the longest wait between two attempts: its failure count starts again."""

    source: str


class OrderAmended(msgspec.Struct, frozen=True, tag_field="fact", tag="order_amended"):
    """The venue states other terms of an order than we hold: amended, decremented, or filled at a smaller size."""

    client_order_id: str
    quantity: Decimal  # the whole order, without what self-trade prevention took from it
    price: Decimal
    venue_client_id: str  # the client id by which the venue knows the order now
    venue_ns: int
    prevented_quantity: Decimal = Decimal(0)  # what self-trade prevention took from it


class OrderDoubted(msgspec.Struct, frozen=True, tag_field="fact", tag="order_doubted"):
    """The venue contradicts us about an order, which is queried again before anything halts. No reason: it is settled.

    A closed order that the venue lists as open, or a live one that the venue does not know.
    """

    client_order_id: str
    reason: str


class RoundChanged(msgspec.Struct, frozen=True, tag_field="fact", tag="round_changed"):
    """The changes that an answer to a reconciliation round made in the account."""

    round: int
    orders: int = 0
    fills: int = 0
    balances: int = 0


class AccessRefused(msgspec.Struct, frozen=True, tag_field="fact", tag="access_refused"):
    """The venue or its firewall refused access. Nothing is placed until a time; 0: an answer proved access."""

    venue: str
    until_ns: int
    reason: str
    is_key: bool = False  # the venue's own words against our key; False: a firewall's
    purpose: str = ""  # of the request that was refused


class HaltsLifted(msgspec.Struct, frozen=True, tag_field="fact", tag="halts_lifted"):
    """A person resumed: these reasons to halt are lifted, by name."""

    by: str
    reasons: tuple[ModeReason, ...]


class OrdersBlocked(msgspec.Struct, frozen=True, tag_field="fact", tag="orders_blocked"):
    """The venue refused an order for the number of orders: no new one is placed until a time."""

    venue: str
    until_ns: int
    reason: str
    wait_ns: int  # each refusal in a row doubles it


class BreakerScope(StrEnum):
    """Subjects that a breaker can pause."""

    INSTRUMENT = "instrument"
    STRATEGY = "strategy"


class BreakerTripped(msgspec.Struct, frozen=True, tag_field="fact", tag="breaker_tripped"):
    """New orders of an instrument or a strategy pause: they were refused again and again for one reason."""

    scope: BreakerScope
    subject: str  # the instrument's id, or the strategy's name
    reason: str
    until_ns: int
    may_run: bool = False  # the strategy still runs and may cancel: only its new orders are dropped


class InstrumentChanged(msgspec.Struct, frozen=True, tag_field="fact", tag="instrument_changed"):
    """The venue changed an instrument's rules or status. The scales of its numbers stay as the session began."""

    instrument: Instrument


class TradingAllowed(msgspec.Struct, frozen=True, tag_field="fact", tag="trading_allowed"):
    """The venue's report of the account says whether it may trade."""

    venue: str
    is_allowed: bool


class SessionClosing(msgspec.Struct, frozen=True, tag_field="fact", tag="session_closing"):
    """The session awaits no more answers: the shell may seal the journal."""

    reason: CloseReason


class BalanceDrift(msgspec.Struct, frozen=True, tag_field="fact", tag="balance_drift"):
    """The venue's balance of an asset contradicts our records. A difference of 0: they agree again."""

    asset: str
    expected: Decimal  # free and locked together, by our records
    reported: Decimal  # by the venue
    difference: Decimal  # reported minus expected
    report_seq: int  # the balance that was compared
    opening: Decimal  # the balance as first reported
    opening_seq: int  # -1: in an earlier session
    agreed_seq: int  # the last balance that agreed; -1: none in this session
    records: tuple[int, ...]  # of the fills and commands since then, the newest ones
    older: int = 0  # how many more there are


class InstrumentBlocked(msgspec.Struct, frozen=True, tag_field="fact", tag="instrument_blocked"):
    """The reasons why an instrument gets no new order changed: all that hold from here on. Without any it trades."""

    instrument: str
    reasons: tuple[BlockReason, ...]


class SafetyOrdered(msgspec.Struct, frozen=True, tag_field="fact", tag="safety_ordered"):
    """A safety order is in force from here on."""

    number: int
    kind: SafetyKind
    cause: SafetyCause
    by: str
    strategy: str = ""  # whose orders it concerns; "": all


class SafetyOrderEnded(msgspec.Struct, frozen=True, tag_field="fact", tag="safety_order_ended"):
    """A safety order is over: the account shows that it is done. `left` names the rest."""

    number: int
    left: tuple[str, ...] = ()  # positions that could not be closed, for people
    withdrawn: bool = False  # a person resumed before it was done


class DayBegan(msgspec.Struct, frozen=True, tag_field="fact", tag="day_began"):
    """A day of daily limits began: the daily loss is counted from here on."""

    day: int  # since 1970-01-01, as its own zone and hour count
    opening: dict[str, Decimal]  # "strategy instrument" -> P&L of all days before: realised and unrealised, less fees


class DailyLossReached(msgspec.Struct, frozen=True, tag_field="fact", tag="daily_loss_reached"):
    """A loss of the day reached its limit: orders may only reduce positions until the day ends."""

    day: int
    asset: str
    loss: Decimal
    limit: Decimal
    name: str = ""  # of the limit, as in "strategy.quoter.drawdown_max"; "": daily_loss_max


class CooldownCause(StrEnum):
    """Setbacks that lead to a cool-down."""

    LOSS = "loss"
    STOP = "stop"
    REFUSALS = "refusals"


class CooldownBegan(msgspec.Struct, frozen=True, tag_field="fact", tag="cooldown_began"):
    """A strategy opens no position in an instrument until a time."""

    strategy: str
    instrument: str
    cause: CooldownCause
    reason: str
    until_ns: int


class PnlPeak(msgspec.Struct, frozen=True, tag_field="fact", tag="pnl_peak"):
    """The P&L of the day is at its highest. Emitted when it rose by a hundredth of the limit of its drawdown."""

    day: int
    name: str  # of the limit
    asset: str
    pnl: Decimal


Fact = (
    OrderAccepted
    | OrderFilled
    | OrderClosed
    | OrderUnknown
    | OrderNotPlaced
    | OrderAdopted
    | CancelSettled
    | Position
    | Pnl
    | BalanceChanged
    | FillsConfirmed
    | Reconciled
    | ReconcileFailed
    | ModeChanged
    | LinkReady
    | LinkSteady
    | MarketGap
    | RateBlocked
    | ClockMeasured
    | StrategyChanged
    | StrategyStopped
    | StrategyTriggered
    | SessionClosing
    | BalanceDrift
    | OrderAmended
    | OrderDoubted
    | RoundChanged
    | AccessRefused
    | HaltsLifted
    | OrdersBlocked
    | BreakerTripped
    | InstrumentChanged
    | TradingAllowed
    | InstrumentBlocked
    | SafetyOrdered
    | SafetyOrderEnded
    | DayBegan
    | DailyLossReached
    | PnlPeak
    | CooldownBegan
)
