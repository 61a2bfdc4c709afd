"""The life cycle of an order, status by status: what each message of the venue makes of an order, through the real
kernel.

The expected words are written out here, apart from engine/lifecycle.py's table: a row or cell that goes missing there
fails a case here (tests/test_core_mutants.py).
"""

from decimal import Decimal

import pytest
from by_hand import ByHand, report, shown, trade

from engine import facts
from engine.bodies import RequestBody
from engine.facts import NewOrder
from engine.lifecycle import Report, Status, after
from engine.model import OrderType, Side
from engine.money import ZERO
from engine.requests import Purpose
from engine.state.changes import Change, Requested, Stamp
from engine.state.orders import Orders, reduce

# ---- the venue's messages against an order of each status ---------------------------------------

MESSAGES = ("new", "triggered", "part", "full", "canceled", "expired", "rejected")
OUTCOMES = """
    order is          new               triggered         part              full    canceled  expired   rejected
    pending           open              triggered         partially_filled  filled  canceled  expired   rejected
    open              open              triggered         partially_filled  filled  canceled  expired   canceled
    triggered         triggered         triggered         partially_filled  filled  canceled  expired   canceled
    partially_filled  partially_filled  partially_filled  partially_filled  filled  canceled  expired   canceled
    unknown           open              triggered         partially_filled  filled  canceled  expired   rejected
    not_placed        open              triggered         partially_filled  filled  canceled  expired   not_placed
    rejected          open              triggered         partially_filled  filled  rejected  rejected  rejected
    canceled          canceled          canceled          canceled          filled  canceled  canceled  canceled
    expired           expired           expired           expired           filled  expired   expired   expired
    filled            filled            filled            filled            filled  filled    filled    filled
"""
KERNEL = {
    (Status(row[0]), message): Status(outcome)
    for row in (line.split() for line in OUTCOMES.strip().splitlines()[1:])
    for message, outcome in zip(MESSAGES, row[1:], strict=True)
}


def order_that_is(status: Status) -> tuple[ByHand, str]:
    """A session whose one order of quantity 1 got to a status by the venue's messages."""
    hand = ByHand(held={"query_order"}).run(1.5)
    name, seq = hand.order.client_order_id, hand.seq_of("place")
    match status:
        case Status.PENDING:
            pass
        case Status.UNKNOWN:
            hand.answer(seq, outcome="timeout")
        case Status.NOT_PLACED:
            hand.answer(seq, outcome="not_sent")
        case Status.REJECTED:
            hand.answer(seq, {"code": -2010, "msg": "Account has insufficient balance"}, status=400)
        case _:
            hand.answer(seq, shown(name))
    match status:
        case Status.PARTIALLY_FILLED:
            hand.private(trade(name, 1, "0.25", "0.25"))
        case Status.FILLED:
            hand.private(trade(name, 1, "1.0", "1.0", "FILLED"))
        case Status.TRIGGERED:
            deliver(hand, name, "triggered")
        case Status.CANCELED | Status.EXPIRED:
            hand.private(report(name, status.name, status.name))
        case _:
            pass
    assert hand.status() is status
    return hand, name


def deliver(hand: ByHand, name: str, message: str) -> None:
    filled = hand.order.filled_quantity
    match message:
        case "part":
            hand.private(trade(name, 7, "0.25", str(filled + Decimal("0.25"))))
        case "full":
            hand.private(trade(name, 7, str(1 - filled or 1), "1.0", "FILLED"))
        case "triggered":  # Binance: NEW once more, with the time since which it works; of a market order w is false
            hand.private(report(name, "NEW", "NEW", o="STOP_LOSS", P="80", W=5, z=str(filled)))
        case word:
            hand.private(report(name, word.upper(), word.upper(), z=str(filled)))


@pytest.mark.parametrize(("status", "message"), KERNEL, ids=str)
def test_a_message_moves_an_order_as_the_life_cycle_says(status: Status, message: str) -> None:
    hand, name = order_that_is(status)
    deliver(hand, name, message)
    assert hand.status() is KERNEL[status, message]


@pytest.mark.parametrize("status", [Status.CANCELED, Status.EXPIRED, Status.REJECTED, Status.NOT_PLACED], ids=str)
def test_a_fill_of_an_order_that_ended_moves_the_position(status: Status) -> None:
    """A fill costs money even if the order is closed here."""
    hand, name = order_that_is(status)
    deliver(hand, name, "part")
    assert hand.position() == Decimal("0.25")


# ---- each fact against an order of each status --------------------------------------------------

CELLS = """
    order is          accepted  triggered  part_fill         full_fill  canceled  expired  rejected  no_answer  proved_absent
    pending           open      -          partially_filled  filled     canceled  expired  rejected  unknown    not_placed
    open              -         triggered  partially_filled  filled     canceled  expired  -         -          -
    triggered         -         -          partially_filled  filled     canceled  expired  -         -          -
    partially_filled  -         -          partially_filled  filled     canceled  expired  -         -          -
    unknown           open      -          partially_filled  filled     canceled  expired  rejected  -          not_placed
    not_placed        open      -          partially_filled  filled     canceled  expired  -         -          -
    rejected          open      -          partially_filled  filled     -         -        -         -          -
    canceled          -         -          canceled          filled     -         -        -         -          -
    expired           -         -          expired           filled     -         -        -         -          -
    filled            -         -          -                 -          -         -        -         -          -
"""
FOLDED = {
    (Status(row[0]), kind): None if outcome == "-" else Status(outcome)
    for row in (line.split() for line in CELLS.strip().splitlines()[1:])
    for kind, outcome in zip(Report, row[1:], strict=True)
}
WAYS: dict[Status, tuple[Report, ...]] = {
    Status.PENDING: (),
    Status.OPEN: (Report.ACCEPTED,),
    Status.TRIGGERED: (Report.ACCEPTED, Report.TRIGGERED),
    Status.PARTIALLY_FILLED: (Report.ACCEPTED, Report.PART_FILL),
    Status.FILLED: (Report.ACCEPTED, Report.FULL_FILL),
    Status.CANCELED: (Report.ACCEPTED, Report.CANCELED),
    Status.EXPIRED: (Report.ACCEPTED, Report.EXPIRED),
    Status.REJECTED: (Report.REJECTED,),
    Status.UNKNOWN: (Report.NO_ANSWER,),
    Status.NOT_PLACED: (Report.PROVED_ABSENT,),
}


class Book:
    """One order of quantity 1 and the facts that are folded into it, as a rebuild folds them."""

    def __init__(self) -> None:
        self.seq = 1
        self.orders = Orders()
        placed = NewOrder("x", Side.BUY, OrderType.LIMIT, Decimal(1), Decimal(90))
        request = RequestBody(
            purpose=Purpose.PLACE, venue="v", mutates=True, expires_ns=9, timeout_ns=9, client_order_id="o",
            strategy="s", order=placed,
        )  # fmt: skip
        self.fold(Requested(request))

    def fold(self, change: Change) -> None:
        self.orders = reduce(self.orders, change, Stamp(self.seq, self.seq))
        self.seq += 1

    def report(self, kind: Report) -> None:
        self.fold(self.fact(kind))

    def fact(self, kind: Report) -> Change:
        match kind:
            case Report.ACCEPTED:
                return facts.OrderAccepted("o", "7", 1)
            case Report.TRIGGERED:
                return facts.OrderTriggered("o", 1)
            case Report.PART_FILL:
                return self.fill(Decimal("0.25"))
            case Report.FULL_FILL:
                order = self.orders.get("o")
                assert order is not None
                return self.fill(1 - order.filled_quantity)
            case Report.NO_ANSWER:
                return facts.OrderUnknown("o", "no answer", 1)
            case Report.PROVED_ABSENT:
                return facts.OrderNotPlaced("o", "not known")
            case closing:
                return facts.OrderClosed("o", closing, ZERO, "", 1)

    def fill(self, quantity: Decimal) -> facts.OrderFilled:
        return facts.OrderFilled(
            client_order_id="o", strategy="s", instrument="x", fill_id=str(self.seq), venue_order_id="7", side=Side.BUY,
            price=Decimal(90), quantity=quantity, fee=ZERO, fee_asset="", maker=True, venue_ns=1, late=False,
        )  # fmt: skip

    @property
    def status(self) -> Status:
        order = self.orders.get("o")
        assert order is not None
        return order.status


@pytest.mark.parametrize(("status", "kind"), FOLDED, ids=str)
def test_a_fact_moves_an_order_as_the_life_cycle_says(status: Status, kind: Report) -> None:
    book = Book()
    for step in WAYS[status]:
        book.report(step)
    assert book.status is status
    book.report(kind)
    assert book.status is (FOLDED[status, kind] or status)
    assert after(status, kind) is FOLDED[status, kind], "a closed order that stays closed looks the same either way"
