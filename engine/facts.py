"""The bodies of our own records: facts, intents, verdicts, requests, timers, commands. Values and their text, nothing else.

Every change of account state is one of these (or a LINK record), so whoever reads the journal can rebuild it.
"""

from decimal import Decimal
from functools import cache
from typing import Any

import msgspec

from engine.model import OrderType, Side, TimeInForce
from engine.requests import LinkPlan, Unsigned
from journal.record import WRITERS, canonical


class NewOrder(msgspec.Struct, frozen=True):
    """An order as we wish it, in our own words."""

    instrument: str
    side: Side
    type: OrderType
    quantity: Decimal
    price: Decimal = Decimal(0)  # 0 for a market order
    time_in_force: TimeInForce = TimeInForce.GTC


# ---- facts -------------------------------------------------------------------------------------


class OrderAccepted(msgspec.Struct, frozen=True, tag_field="fact", tag="order_accepted"):
    client_order_id: str
    venue_order_id: str
    venue_ns: int
    filled_quantity: Decimal = Decimal(
        0
    )  # what the venue says was filled; more than is booked means fills are to be fetched


class OrderFilled(msgspec.Struct, frozen=True, tag_field="fact", tag="order_filled"):
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
    late: bool  # it came after we thought the order gone


class OrderClosed(msgspec.Struct, frozen=True, tag_field="fact", tag="order_closed"):
    client_order_id: str
    status: str  # lifecycle.Report value: canceled | expired | rejected
    filled_quantity: Decimal  # what the venue says was filled in the end
    reason: str
    venue_ns: int


class OrderUnknown(msgspec.Struct, frozen=True, tag_field="fact", tag="order_unknown"):
    client_order_id: str
    reason: str
    proof_ns: int  # a "not found" answered after this proves that the order never reached the venue


class OrderNotPlaced(msgspec.Struct, frozen=True, tag_field="fact", tag="order_not_placed"):
    client_order_id: str
    reason: str


class OrderAdopted(msgspec.Struct, frozen=True, tag_field="fact", tag="order_adopted"):
    """An order at the venue that this journal did not send: somebody else trades this account."""

    client_order_id: str
    venue_order_id: str
    order: NewOrder
    filled_before: Decimal


class CancelSettled(msgspec.Struct, frozen=True, tag_field="fact", tag="cancel_settled"):
    """The answer to a cancel is in, and it did not close the order by itself."""

    client_order_id: str
    outcome: str


class Position(msgspec.Struct, frozen=True, tag_field="fact", tag="position"):
    """A strategy's position in one instrument after a fill, by average cost. Fees are apart from realised P&L."""

    strategy: str
    instrument: str
    quantity: Decimal
    price_avg: Decimal
    realised_pnl: Decimal  # in the quote asset, before fees
    fees: dict[str, Decimal]  # by asset, as charged
    fees_quote: Decimal  # those that a fill's own price can express in the quote asset


class Pnl(msgspec.Struct, frozen=True, tag_field="fact", tag="pnl"):
    strategy: str
    instrument: str
    quantity: Decimal
    mark: Decimal  # mid of the last quote
    realised_pnl: Decimal
    unrealised_pnl: Decimal
    fees_quote: Decimal


class BalanceChanged(msgspec.Struct, frozen=True, tag_field="fact", tag="balance"):
    asset: str
    free: Decimal
    locked: Decimal
    asked_seq: int = (
        0  # where it answers a question: the REQUEST's seq, for it is no newer than that. 0: as of this record
    )
    venue_ns: int = 0


class FillsConfirmed(msgspec.Struct, frozen=True, tag_field="fact", tag="fills_confirmed"):
    """Every fill of this instrument up to and with this cursor is booked."""

    instrument: str
    fill_id: int | str  # the cursor: a number where the venue numbers its fills, else text (engine/state/fill_cursor.py)


class Reconciled(msgspec.Struct, frozen=True, tag_field="fact", tag="reconciled"):
    round: int
    corrections: int


class ReconcileFailed(msgspec.Struct, frozen=True, tag_field="fact", tag="reconcile_failed"):
    round: int
    reason: str


class ModeChanged(msgspec.Struct, frozen=True, tag_field="fact", tag="mode"):
    mode: str
    reasons: tuple[str, ...]


class LinkReady(msgspec.Struct, frozen=True, tag_field="fact", tag="link_ready"):
    """The venue confirmed the subscription on this link."""

    source: str


class RateBlocked(msgspec.Struct, frozen=True, tag_field="fact", tag="rate_blocked"):
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


class StrategyWoken(msgspec.Struct, frozen=True, tag_field="fact", tag="strategy_woken"):
    """A compiled strategy wanted to decide. A record of its own, so that rebuilding need not run its code."""

    strategy: str


class StrategyStopped(msgspec.Struct, frozen=True, tag_field="fact", tag="strategy_stopped"):
    strategy: str
    reason: str


class MarketGap(msgspec.Struct, frozen=True, tag_field="fact", tag="market_gap"):
    """From `from_ns` on, market data may have been missed. Told when it begins; where it lasts, told again with its end, and
    the first telling as cause. A seq of -1 lies in an earlier session.
    """

    link: str
    reason: str
    from_ns: int  # session time of the last frame before it
    from_seq: int
    to_ns: int = 0  # of what ended it: the LINK record, or the first frame after. 0: it lasts
    to_seq: int = -1
    instrument: str = ""  # these three where the ids of one stream tell of it; else it is every stream of the link
    stream: str = ""  # "trade" | "depth"
    last_id: int = 0
    first_id: int = 0


class LinkSteady(msgspec.Struct, frozen=True, tag_field="fact", tag="link_steady"):
    """The link has stood for longer than the longest wait between two attempts: its failures are forgotten."""

    source: str


class SessionClosing(msgspec.Struct, frozen=True, tag_field="fact", tag="session_closing"):
    """Nothing is awaited any more: the shell may seal the journal."""

    reason: str


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
    | StrategyWoken
    | SessionClosing
)


# ---- intents, verdicts, requests, and the bodies of our own inputs -----------------------------


class IntentBody(msgspec.Struct, frozen=True):
    """What a strategy wishes: a new order, or the end of one."""

    intent: str  # "place" | "cancel"
    strategy: str
    version: str
    order: NewOrder | None = None
    cancels: str = ""  # client order id
    because: dict[str, Any] = {}


class VerdictBody(msgspec.Struct, frozen=True):
    """What risk says of an intent: every rule with its answer; "" means it has no objection."""

    approved: bool
    rules: dict[str, str]


class RequestBody(msgspec.Struct, frozen=True):
    """Something for the shell to do once. Exactly one of `unsigned` and `link` is set, save for `disconnect`."""

    purpose: str  # place, cancel, query_order, open_orders, account, fills, depth, server_time, subscribe, connect, disconnect
    venue: str
    mutates: bool  # True: it leaves only after its record is durable (the outbox rule)
    expires_ns: int  # past this the shell does not send it
    timeout_ns: int  # how long the shell waits for the answer
    unsigned: Unsigned | None = None
    link: LinkPlan | None = None
    source: str = ""  # the link concerned
    instrument: str = ""
    client_order_id: str = ""
    strategy: str = ""
    order: NewOrder | None = None
    clock_offset_ns: int = 0  # what the shell adds to its clock for the timestamp
    round: int = 0  # the reconciliation it belongs to


class TimerBody(msgspec.Struct, frozen=True):
    timer: str
    due_ns: int
    missed: int = 0  # periods that passed unseen


class CommandBody(msgspec.Struct, frozen=True):
    command: str  # stop | pause | resume | halt | cancel_all | reconcile; of resimulations: handover | decide
    by: str = ""
    reason: str = ""


class LinkBody(msgspec.Struct, frozen=True):
    state: str  # up | down | clock
    reason: str = ""
    drift_ns: int = 0  # wall clock minus session time, for source "clock"


class NoteBody(msgspec.Struct, frozen=True):
    level: str  # info | warning | alarm
    text: str


class CheckpointBody(msgspec.Struct, frozen=True):
    inputs: int
    parts: dict[str, tuple[int, str]]  # part -> version, sha256


@cache
def _fields_of(kind: type[msgspec.Struct]) -> tuple[tuple[str, str, bool, Any], ...]:
    """A kind's fields in the order of canonical JSON: name, text before its value, whether it has a default, and which.

    The tag is all text, and has no name.
    """
    given = [(field.name, field.default) for field in msgspec.structs.fields(kind)]
    fields = [(name, f'"{name}":', default is not msgspec.NODEFAULT, default) for name, default in given]
    config = kind.__struct_config__
    tag = [] if config.tag is None else [("", f'"{config.tag_field}":{canonical(config.tag)}', False, None)]
    return tuple(sorted(fields + tag, key=lambda field: field[1]))


def text_of(body: msgspec.Struct) -> str:
    """A body as it stands in the journal: canonical JSON with the tag of its kind; fields at their defaults left out."""
    texts = []
    for name, before, optional, default in _fields_of(type(body)):
        if not name:
            texts.append(before)
        elif (value := getattr(body, name)) is not None and not (optional and value == default):
            texts.append(before + WRITERS[type(value)](value))
    return "{" + ",".join(texts) + "}"


read_fact = msgspec.json.Decoder(Fact).decode
read_intent = msgspec.json.Decoder(IntentBody).decode
read_verdict = msgspec.json.Decoder(VerdictBody).decode
read_request = msgspec.json.Decoder(RequestBody).decode
read_timer = msgspec.json.Decoder(TimerBody).decode
read_command = msgspec.json.Decoder(CommandBody).decode
read_link = msgspec.json.Decoder(LinkBody).decode
read_note = msgspec.json.Decoder(NoteBody).decode
read_checkpoint = msgspec.json.Decoder(CheckpointBody).decode
