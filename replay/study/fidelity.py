"""Compares the simulated venue with a real one: the same orders, sent at the same times, over the same market.

No strategy decides: the model receives the recorded requests. It is judged order by order, and the search returns the
parameters that fit best. Times are compared to the millisecond, the resolution of the venue's own stamps.
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
from engine.sim.modelled_venue import ACCOUNT_KEY
from engine.sim.units import ONE
from engine.sim.venue_model import VenueModel, with_settings
from engine.sim.wire import HttpRequest
from engine.venues.signing import Credentials
from engine.venues.venue_lookup import make_venue
from journal.reader import Journal
from journal.record import Kind, Record
from replay.resim.measured_latency import MEASURED, session_model
from replay.resim.sim_setup import build_recorded_venue, opening_balances, refuse_unsupported_venue
from replay.resim.timeline import Timeline

COMPARED_PURPOSES = frozenset({Purpose.PLACE, Purpose.PLACE_LIST, Purpose.CANCEL})
FILL_GAP_NS_MAX = SECOND_NS  # a larger gap between two fills counts as a missing fill
INITIAL_WAYS_MS = (0, 0.5, 1, 2, 4, 8, 16, 32, 64, 128)  # request latencies that are tried first
ROUNDS = 3  # each halves the distance to the neighbours of the best
WORST_MAX = 10


class ComparedOrder(msgspec.Struct, frozen=True):
    """The result of one order. Quantities are in base."""

    quantity: Decimal
    filled: Decimal = Decimal(0)
    notional: Decimal = Decimal(0)
    first_fill_ns: int = 0  # the venue's clock
    maker: bool = True


OrdersById = dict[str, ComparedOrder]


class FidelityRow(msgspec.Struct, frozen=True):
    """The comparison of one model with the record."""

    model: VenueModel
    orders: int
    agree: int  # orders that filled the same quantity in both
    filled_recorded: Decimal
    filled_modelled: Decimal
    # the median lateness of the model's first fills, from the feed's latency or the clocks; other figures exclude it
    clock_ms: float
    fill_apart_ms: float  # the median distance of first fills, if both filled
    price_apart: Decimal  # the mean of modelled minus recorded fill price
    cost: float  # the figure to minimise: orders that disagree, and times apart
    worst: list[str]


class NothingSentError(Exception):
    """The session sent no order, so no model can be compared with it."""


class Fidelity(msgspec.Struct, frozen=True):
    """The result of a search for the best model."""

    measured_in: int  # round trips; 0: none, or the latencies are given
    # with the times that were measured in the journal or given; scripts read --json under the name `begun`
    initial: FidelityRow = msgspec.field(name="begun")
    best: FidelityRow
    tried: int


def fidelity(
    folder: Path, *, settings: Mapping[str, str] | None = None, on_try: Callable[[int], None] | None = None
) -> Fidelity:
    """Compare models with a session, and search for the request latency that fits best.

    Args:
        folder: The session.
        settings: Fixed parameters, as in venue_model.with_settings.
        on_try: Called with the number of models tried.

    Raises:
        CannotResimulateError: The session has no simulated venue.
        NothingSentError: The session sent no order.
        UnknownSettingError: A setting is unknown or does not fit.
    """
    journal = Journal.open(folder)
    session = read_session(journal.session_record().body or "")
    refuse_unsupported_venue(journal, session)
    latency = session_model(journal, session.paper)
    recorded, rates = recorded_orders(journal)
    if not recorded:
        raise NothingSentError(f"{folder} sent no order, so no model can be compared with it.")
    base = with_settings(msgspec.structs.replace(latency.model, **rates), settings or {})
    requests = [
        record
        for record in journal.records(kinds=(Kind.REQUEST,))
        if read_request(record.body or "").purpose in COMPARED_PURPOSES
    ]
    offset_ns = _venue_clock_offset_ns(journal) if session.paper is None else 0  # on paper they are one clock
    timeline = Timeline(journal, SessionContext(session, {}), journal.last_seq, frozenset())
    tries: dict[int, FidelityRow] = {}

    def row_for(request_ns: int) -> FidelityRow:
        if request_ns not in tries:
            model = msgspec.structs.replace(base, request_ns=request_ns)
            tries[request_ns] = compare_orders(
                model,
                recorded,
                modelled_orders(journal, timeline, session, model, requests=requests, offset_ns=offset_ns),
            )
            if on_try is not None:
                on_try(len(tries))
        return tries[request_ns]

    initial = row_for(base.request_ns)
    for request_ms in INITIAL_WAYS_MS:
        row_for(int(request_ms * MILLISECOND_NS))
    for _ in range(ROUNDS):
        for request_ns in list(_halfway_neighbours(sorted(tries), min(tries, key=lambda ns: (tries[ns].cost, ns)))):
            row_for(request_ns)
    best = min(tries.values(), key=lambda row: (row.cost, row.model.request_ns))
    is_given = len(latency.given(base)) == len(MEASURED)
    return Fidelity(0 if is_given else latency.round_trips, initial, best, len(tries))


def _halfway_neighbours(tried: Sequence[int], best: int) -> Iterator[int]:
    """Yield the latencies half way between the best one and its neighbours."""
    index = tried.index(best)
    if index:
        yield (tried[index - 1] + best) // 2
    if index + 1 < len(tried):
        yield (tried[index + 1] + best) // 2


# ---- the real venue ----------------------------------------------------------------------------------------


def recorded_orders(journal: Journal) -> tuple[OrdersById, dict[str, str]]:
    """Return the orders that were sent, and the fee rates of their fills."""
    orders: OrdersById = {}
    rates: dict[bool, list[Decimal]] = defaultdict(list)
    for record in journal.records(kinds=(Kind.REQUEST, Kind.FACT)):
        if record.kind is Kind.REQUEST:
            request = read_request(record.body or "")
            for name, order in request.placed:
                orders[name] = ComparedOrder(order.quantity)
            continue
        fill = read_fact(record.body or "")
        if not isinstance(fill, facts.OrderFilled):
            continue
        if fill.client_order_id in orders:
            orders[fill.client_order_id] = _add_fill(
                orders[fill.client_order_id], fill.quantity, fill.price, fill.venue_ns, maker=fill.maker
            )
        received = fill.quantity if fill.side.sign > 0 else fill.quantity * fill.price
        if fill.fee and fill.instrument.partition(":")[2].startswith(fill.fee_asset) == (fill.side.sign > 0):
            rates[fill.maker].append((fill.fee / received).quantize(Decimal("0.000001")))
    named = {
        "fee_maker" if maker else "fee_taker": f"{median(samples).normalize():f}" for maker, samples in rates.items()
    }
    return orders, named


def _add_fill(order: ComparedOrder, quantity: Decimal, price: Decimal, venue_ns: int, *, maker: bool) -> ComparedOrder:
    return ComparedOrder(
        quantity=order.quantity,
        filled=order.filled + quantity,
        notional=order.notional + quantity * price,
        first_fill_ns=order.first_fill_ns or venue_ns,
        maker=order.maker and maker,
    )


def _venue_clock_offset_ns(journal: Journal) -> int:
    """Return the venue's clock minus session time, as last measured."""
    offset_ns = 0
    for record in journal.records(kinds=(Kind.FACT,)):
        fact = read_fact(record.body or "")
        if isinstance(fact, facts.ClockMeasured):
            offset_ns = fact.offset_ns
    return offset_ns


# ---- the simulated venue ---------------------------------------------------------------------------------


def modelled_orders(
    journal: Journal,
    timeline: Timeline,
    session: SessionBody,
    model: VenueModel,
    *,
    requests: Sequence[Record],
    offset_ns: int,
) -> OrdersById:
    """Send the recorded requests to the simulated venue, and return the resulting orders."""
    sim = build_recorded_venue(timeline, session, model)
    for asset, total in opening_balances(journal).items():
        sim.exchange.accounts[ACCOUNT_KEY].free[asset] = total
    signer = make_venue(session.venues[0], session.instruments).signer
    key = signer.load_key(Credentials(ACCOUNT_KEY, ACCOUNT_KEY))
    now_ns = 0
    for number, record in enumerate(requests, 1):
        request = read_request(record.body or "")
        assert request.unsigned is not None, "an order has a message"
        now_ns = record.time_ns + model.request_ns
        message = signer.sign_http(request.unsigned, key, now_ns)
        parts = urlsplit(message.path_and_query)
        headers = {name.lower(): value for name, value in dict(message.headers).items()}
        http = HttpRequest(
            method=message.method, path=parts.path, query=parts.query.encode(), body=message.body, headers=headers
        )
        sim.http(number, http, now_ns)
    # with a high latency the last request arrives after the session
    sim.advance(max(now_ns, next(journal.records(journal.last_seq)).time_ns))
    orders: OrdersById = {}
    for order in sim.exchange.orders.values():
        compared = ComparedOrder(Decimal(order.quantity) / ONE)
        for fill in order.fills:
            at_ns = (fill.time_ns + offset_ns) // MILLISECOND_NS * MILLISECOND_NS
            compared = _add_fill(
                compared, Decimal(fill.quantity) / ONE, Decimal(fill.price) / ONE, at_ns, maker=fill.maker
            )
        orders[order.client_order_id] = compared
    return orders


# ---- the comparison --------------------------------------------------------------------------------------


def compare_orders(model: VenueModel, recorded: OrdersById, modelled: OrdersById) -> FidelityRow:
    """Compare the orders of a model with the recorded ones."""
    both = [name for name, ours in recorded.items() if name in modelled and ours.filled and modelled[name].filled]
    clock_ns = int(median(modelled[name].first_fill_ns - recorded[name].first_fill_ns for name in both)) if both else 0
    agree, cost = 0, 0.0
    apart_ms: list[float] = []
    prices: list[Decimal] = []
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
            prices.append(theirs.notional / theirs.filled - ours.notional / ours.filled)
            missing += min(abs(late_ns) / FILL_GAP_NS_MAX, 1)
        cost += missing
        worst.append((missing, f"{name}: filled {ours.filled:f} at the venue, {theirs.filled:f} in the model{apart}"))
    return FidelityRow(
        model=model,
        orders=len(recorded),
        agree=agree,
        filled_recorded=sum((order.filled for order in recorded.values()), Decimal(0)),
        filled_modelled=sum((modelled[name].filled for name in recorded if name in modelled), Decimal(0)),
        clock_ms=clock_ns / MILLISECOND_NS,
        fill_apart_ms=median(apart_ms) if apart_ms else 0.0,
        price_apart=sum(prices, Decimal(0)) / max(len(prices), 1),
        cost=cost,
        worst=[text for missing, text in sorted(worst, key=lambda entry: -entry[0])[:WORST_MAX] if missing],
    )
