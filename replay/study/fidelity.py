"""The simulated venue against a real one: the same orders, sent at the same times, over the same market; what each did with them.

Nothing is decided: the recorded requests themselves go to the model. So the model is judged order by order, and the parameters with which it
comes nearest are looked for. Times are compared to the millisecond, which is all that the venue's own stamps say.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import msgspec

from engine import facts
from engine.record_codec import read_fact, read_request
from engine.requests import Purpose
from engine.session_context import SessionContext
from engine.session_record import MILLISECOND_NS, SECOND_NS, SessionBody, read_session
from engine.sim.units import ONE
from engine.sim.wire import HttpRequest
from engine.venues.binance_spot import ApiKey, BinanceSpot
from journal.reader import Journal
from journal.record import Kind, Record
from replay.resim.sim_setup import KEY, first_totals, modelled_venue, refuse_venue
from replay.resim.timeline import Timeline
from replay.resim.venue_model import VenueModel, measured, with_settings

SENT = frozenset({Purpose.PLACE, Purpose.CANCEL})
APART_NS_MAX = SECOND_NS  # fills further apart than this are as wrong as if one of them were missing
FIRST_MS = (0, 0.5, 1, 2, 4, 8, 16, 32, 64, 128)  # ways that are tried first
ROUNDS = 3  # each halves the distance between those tried around the best
SHOWN = 10


class ComparedOrder(msgspec.Struct, frozen=True):
    """What became of one order. Quantities in base."""

    quantity: Decimal
    filled: Decimal = Decimal(0)
    notional: Decimal = Decimal(0)
    first_fill_ns: int = 0  # the venue's clock
    maker: bool = True


Orders = dict[str, ComparedOrder]


class FidelityRow(msgspec.Struct, frozen=True):
    """One model against what was recorded."""

    model: VenueModel
    orders: int
    agree: int  # that filled the same quantity in both
    filled_recorded: Decimal
    filled_modelled: Decimal
    clock_ms: float  # by which all of the model's first fills are late, in the median: the feed's way, or the clocks; the rest is without it
    fill_apart_ms: float  # the median of how far first fills are apart, where both filled
    price_apart: (
        float  # the mean of modelled less recorded fill price, in the price's own unit: a figure for people, no money
    )
    cost: float  # what is made small: orders that disagree, and times apart
    worst: list[str]


class NothingSentError(Exception):
    """A session without an order has nothing to hold a model against."""


class Fidelity(msgspec.Struct, frozen=True):
    measured_in: int  # exchanges
    begun: FidelityRow  # with the times measured in the journal, or those given
    best: FidelityRow
    tried: int


def fidelity(
    folder: Path, *, settings: Mapping[str, str] | None = None, on_try: Callable[[int], None] | None = None
) -> Fidelity:
    """`settings` as those of venue_model.with_settings. CannotResimulateError, where there is no simulated venue for it; NothingSent; UnknownSetting."""
    journal = Journal.open(folder)
    session = read_session(journal.session_record().body or "")
    refuse_venue(journal, session)
    found = measured(journal)
    recorded, rates = recorded_orders(journal)
    if not recorded:
        raise NothingSentError(f"{folder} sent no order, so there is nothing to hold a model against.")
    base = with_settings(msgspec.structs.replace(found.model, **rates), settings or {})
    requests = [
        record for record in journal.records(kinds=(Kind.REQUEST,)) if read_request(record.body or "").purpose in SENT
    ]
    offset_ns = _offset_ns(journal)
    tape = Timeline(journal, SessionContext(session, {}), journal.last_seq, frozenset())
    tries: dict[int, FidelityRow] = {}

    def at(request_ns: int) -> FidelityRow:
        if request_ns not in tries:
            model = msgspec.structs.replace(base, request_ns=request_ns)
            tries[request_ns] = compare(
                model, recorded, modelled_orders(journal, tape, session, model, requests, offset_ns)
            )
            if on_try is not None:
                on_try(len(tries))
        return tries[request_ns]

    begun = at(base.request_ns)
    for request_ms in FIRST_MS:
        at(int(request_ms * MILLISECOND_NS))
    for _ in range(ROUNDS):
        for request_ns in list(_around(sorted(tries), min(tries, key=lambda ns: (tries[ns].cost, ns)))):
            at(request_ns)
    best = min(tries.values(), key=lambda each: (each.cost, each.model.request_ns))
    return Fidelity(found.exchanges, begun, best, len(tries))


def _around(tried: Sequence[int], best: int) -> Iterator[int]:
    """Half way to the neighbours of the best."""
    place = tried.index(best)
    if place:
        yield (tried[place - 1] + best) // 2
    if place + 1 < len(tried):
        yield (tried[place + 1] + best) // 2


# ---- what the venue did ----------------------------------------------------------------------------------


def recorded_orders(journal: Journal) -> tuple[Orders, dict[str, str]]:
    """The orders that were sent, and the fee rates that their fills show."""
    found: Orders = {}
    rates: dict[bool, list[Decimal]] = defaultdict(list)
    for record in journal.records(kinds=(Kind.REQUEST, Kind.FACT)):
        if record.kind is Kind.REQUEST:
            request = read_request(record.body or "")
            if request.purpose is Purpose.PLACE and request.order is not None:
                found[request.client_order_id] = ComparedOrder(request.order.quantity)
            continue
        fill = read_fact(record.body or "")
        if not isinstance(fill, facts.OrderFilled):
            continue
        if fill.client_order_id in found:
            found[fill.client_order_id] = _filled(
                found[fill.client_order_id], fill.quantity, fill.price, fill.venue_ns, maker=fill.maker
            )
        received = fill.quantity if fill.side.sign > 0 else fill.quantity * fill.price
        if fill.fee and fill.instrument.partition(":")[2].startswith(fill.fee_asset) == (fill.side.sign > 0):
            rates[fill.maker].append((fill.fee / received).quantize(Decimal("0.000001")))
    named = {"fee_maker" if maker else "fee_taker": f"{median(seen).normalize():f}" for maker, seen in rates.items()}
    return found, named


def _filled(order: ComparedOrder, quantity: Decimal, price: Decimal, venue_ns: int, *, maker: bool) -> ComparedOrder:
    return ComparedOrder(
        quantity=order.quantity,
        filled=order.filled + quantity,
        notional=order.notional + quantity * price,
        first_fill_ns=order.first_fill_ns or venue_ns,
        maker=order.maker and maker,
    )


def _offset_ns(journal: Journal) -> int:
    """The venue's clock less session time, as it was measured last."""
    offset_ns = 0
    for record in journal.records(kinds=(Kind.FACT,)):
        fact = read_fact(record.body or "")
        if isinstance(fact, facts.ClockMeasured):
            offset_ns = fact.offset_ns
    return offset_ns


# ---- what the model does ---------------------------------------------------------------------------------


def modelled_orders(  # noqa: PLR0917 - all that an order's fate depends on
    journal: Journal,
    tape: Timeline,
    session: SessionBody,
    model: VenueModel,
    requests: Sequence[Record],
    offset_ns: int,
) -> Orders:
    sim = modelled_venue(tape, session, model)
    for asset, total in first_totals(journal).items():
        sim.exchange.accounts[KEY].free[asset] = total
    dialect, key = BinanceSpot(session.instruments, session.venues[0].recv_window_ms), ApiKey.hmac(KEY, KEY)
    now_ns = 0
    for number, record in enumerate(requests, 1):
        request = read_request(record.body or "")
        assert request.unsigned is not None, "an order is a message"
        now_ns = record.time_ns + model.request_ns
        message = dialect.sign_rest(request.unsigned, key, now_ns // MILLISECOND_NS)
        parts = urlsplit(message.path_and_query)
        headers = {name.lower(): value for name, value in dict(message.headers).items()}
        http = HttpRequest(
            method=message.method, path=parts.path, query=parts.query.encode(), body=message.body, headers=headers
        )
        sim.http(number, http, now_ns)
    sim.advance(max(now_ns, next(journal.records(journal.last_seq)).time_ns))  # a slow way ends behind the session
    found: Orders = {}
    for order in sim.exchange.orders.values():
        seen = ComparedOrder(Decimal(order.quantity) / ONE)
        for fill in order.fills:
            at_ns = (fill.time_ns + offset_ns) // MILLISECOND_NS * MILLISECOND_NS
            seen = _filled(seen, Decimal(fill.quantity) / ONE, Decimal(fill.price) / ONE, at_ns, maker=fill.maker)
        found[order.client_order_id] = seen
    return found


# ---- the one against the other ---------------------------------------------------------------------------


def compare(model: VenueModel, recorded: Orders, modelled: Orders) -> FidelityRow:
    both = [name for name, ours in recorded.items() if name in modelled and ours.filled and modelled[name].filled]
    clock_ns = int(median(modelled[name].first_fill_ns - recorded[name].first_fill_ns for name in both)) if both else 0
    agree, cost = 0, 0.0
    apart_ms: list[float] = []
    prices: list[float] = []
    worst: list[tuple[float, str]] = []
    for name, ours in recorded.items():
        theirs = modelled.get(name, ComparedOrder(ours.quantity))
        missing = float(abs(ours.filled - theirs.filled) / ours.quantity) if ours.quantity else 0.0
        agree += ours.filled == theirs.filled
        late_ns = theirs.first_fill_ns - ours.first_fill_ns - clock_ns
        apart = ""
        if ours.filled and theirs.filled:
            apart = (
                f", first {abs(late_ns) / MILLISECOND_NS:g} ms {'later' if late_ns > 0 else 'sooner'}"
                if late_ns
                else ""
            )
            apart_ms.append(abs(late_ns) / MILLISECOND_NS)
            prices.append(float(theirs.notional / theirs.filled - ours.notional / ours.filled))
            missing += min(abs(late_ns) / APART_NS_MAX, 1)
        cost += missing
        worst.append((missing, f"{name}: filled {ours.filled:f} at the venue, {theirs.filled:f} in the model{apart}"))
    return FidelityRow(
        model=model,
        orders=len(recorded),
        agree=agree,
        filled_recorded=sum((each.filled for each in recorded.values()), Decimal(0)),
        filled_modelled=sum((modelled[name].filled for name in recorded if name in modelled), Decimal(0)),
        clock_ms=clock_ns / MILLISECOND_NS,
        fill_apart_ms=median(apart_ms) if apart_ms else 0.0,
        price_apart=sum(prices) / len(prices) if prices else 0.0,
        cost=cost,
        worst=[said for missing, said in sorted(worst, key=lambda each: -each[0])[:SHOWN] if missing],
    )
