"""The simulated venue in the real one's place: over a session's market, with its instruments' rules, its account's money and orders.

What the account had is read from the session; where it says nothing, whoever asks must say it.
"""

from collections.abc import Mapping
from decimal import Decimal

from engine import facts
from engine.record_codec import read_fact, read_request
from engine.requests import Purpose
from engine.session_record import SessionBody
from engine.sim.binance.filters import rules_of
from engine.sim.exchange import adoption
from engine.sim.feeds.recorded_feed import RecordedMarket
from engine.sim.sim_venue import AccountConfig, SimVenue, VenueConfig
from engine.sim.units import ONE, units
from engine.state.orders import Order
from engine.state.session_state import State
from engine.venues.binance_spot.rules import VENUE as SPOT
from engine.venues.paper import COINM, USDM
from journal.reader import Journal
from journal.record import Kind
from replay.resim.timeline import Timeline
from replay.resim.venue_model import QUEUES, VenueModel

MODELLED = (SPOT, USDM, COINM)
KEY = "resimulated"  # of the account, and its name


class CannotResimulateError(Exception):
    """A session that cannot be resimulated: why, in a line."""


def refuse_venue(journal: Journal, session: SessionBody) -> None:
    if journal.left_out:
        raise CannotResimulateError(
            f"{journal.folder} is a slice. What to do: resimulate the session that it was cut from."
        )
    names = [venue.name for venue in session.venues]
    if len(names) != 1 or names[0] not in MODELLED:
        raise CannotResimulateError(
            f"{journal.folder} is a session of {' and '.join(names) or 'no venue'}; there is a simulated venue for one of {', '.join(MODELLED)}."
        )


def modelled_venue(tape: Timeline, session: SessionBody, model: VenueModel) -> SimVenue:
    """The simulated venue over a session's market, with its instruments' rules and an account, KEY, that has nothing yet."""
    rules = {instrument.symbol: rules_of(instrument) for instrument in session.instruments}
    allowance = session.venues[0].allowance
    account = AccountConfig(
        api_key=KEY,
        secret=KEY,
        balances={},
        name=KEY,
        fee_maker=model.fee_maker,
        fee_taker=model.fee_taker,
        fee_tiers=model.fee_tiers,
    )
    config = VenueConfig(
        accounts=(account,),
        rules=rules,
        latency_ns=model.venue_ns,
        weight_max=allowance.weight_minute_max,
        orders_10s_max=allowance.orders_10s_max,
    )
    by_venue = model.clock == "venue"
    pieces = tape.market(model.answer_ns + model.venue_ns, by_venue_clock=by_venue, with_quotes=model.quotes == "fused")
    sim = SimVenue(config, RecordedMarket(rules, pieces, ahead_ns=model.feed_ns))
    sim.exchange.fills_whole = model.fills == "whole"
    for place, instrument in enumerate(session.instruments):
        sim.exchange.floor.scale(place, instrument.price_scale, instrument.size_scale)
        if not session.engine.books:
            sim.exchange.floor.quotes_alone(place)
        sim.exchange.floor.queue(place, QUEUES[model.queue], model.queue_n, rules[instrument.symbol].lot_size)
    return sim


def adopt(
    sim: SimVenue, journal: Journal, state: State, given: Mapping[str, str], *, handed_over: bool, lived: bool
) -> bool:
    """The account as the state knows it where the session was lived up to there, else as it was first told; whether the session says it.

    CannotResimulateError where nobody does.
    """
    account = state.account
    totals: Mapping[str, int] = {}
    if handed_over:
        totals = totals_at(journal, state)
    else:
        _refuse_settled_before(journal, account.orders.live)
    if not totals and lived:  # a capture knows of no account: it would be read to its end for nothing
        totals = first_totals(journal)
    is_known = bool(totals)
    if not is_known:
        totals = {asset: units(amount) for asset, amount in given.items()}
    if not totals:
        raise CannotResimulateError(
            f"{journal.folder} says nothing of balances. What to do: say what the account has, as in --balance USDT=100000 --balance BTC=1."
        )
    known = account.orders.all()
    fills = [int(fill) for order in known for fill in order.fill_ids if fill.isdigit()]
    adoption.adopt(
        sim.exchange,
        KEY,
        adoption.Known(
            totals=totals,
            orders=[_as_open(order) for order in account.orders.live_by_age() if order.venue_order_id],
            order_id_last=max(
                (int(order.venue_order_id) for order in known if order.venue_order_id.isdigit()), default=0
            ),
            trade_id_last=max((*fills, *account.reconciling.fills_confirmed.values()), default=0),
        ),
        state.time_ns,
    )
    return is_known


def totals_at(journal: Journal, state: State) -> dict[str, int]:
    """As the account was told last, and what was filled since: a fill's report comes before that of the money it moved."""
    held = state.account.balances.by_asset
    totals = {asset: units(f"{each.free + each.locked:f}") for asset, each in held.items()}
    assets = {instrument.id: (instrument.base, instrument.quote) for instrument in state.market.instruments}

    def move(asset: str, amount: Decimal, seq: int, venue_ns: int) -> None:
        told = held.get(asset)
        if told is not None and seq > told.seq and not venue_ns <= told.venue_ns:
            totals[asset] += int(amount * ONE)

    for record in journal.records(0, state.seq, kinds=(Kind.FACT,)):
        fill = read_fact(record.body or "")
        if not isinstance(fill, facts.OrderFilled):
            continue
        base, quote = assets[fill.instrument]
        move(base, fill.quantity * fill.side.sign, record.seq, fill.venue_ns)
        move(quote, -fill.quantity * fill.price * fill.side.sign, record.seq, fill.venue_ns)
        move(fill.fee_asset, -fill.fee, record.seq, fill.venue_ns)
    return totals


def _refuse_settled_before(journal: Journal, carried: Mapping[str, Order]) -> None:
    """An order of the session before that ended while nobody was there: the venue's first word on money has it, and the model has not."""
    if not carried:
        return
    for record in journal.records(kinds=(Kind.FACT,)):
        fact = read_fact(record.body or "")
        match fact:
            case facts.Reconciled():
                return
            case facts.OrderFilled() | facts.OrderClosed() if fact.client_order_id in carried:
                raise CannotResimulateError(
                    f"{journal.folder}: order {fact.client_order_id} of the session before was settled before this one began, which the model cannot "
                    "repeat. What to do: leave out --modelled; what comes before the first change is exact then."
                )
            case _:
                pass


def first_totals(journal: Journal) -> dict[str, int]:
    """What the account had, by the venue's first answer, before an order of this session was sent."""
    totals: dict[str, int] = {}
    for record in journal.records(kinds=(Kind.FACT, Kind.REQUEST)):
        if record.kind is Kind.REQUEST:
            if totals and read_request(record.body or "").purpose is Purpose.PLACE:
                break
            continue
        fact = read_fact(record.body or "")
        if isinstance(fact, facts.BalanceChanged):
            totals[fact.asset] = units(f"{fact.free + fact.locked:f}")
    return totals


def _as_open(order: Order) -> adoption.OpenOrder:
    of = order.order
    return adoption.OpenOrder(
        order_id=int(order.venue_order_id),
        client_order_id=order.client_order_id,
        symbol=of.instrument.partition(":")[2],
        side=of.side,
        order_type=of.type,
        time_in_force=of.time_in_force,
        price=units(f"{of.price:f}"),
        quantity=units(f"{of.quantity:f}"),
        executed=units(f"{order.filled_quantity:f}"),
        executed_quote=units(f"{order.filled_notional:f}"),
        stop_price=units(f"{of.stop_price:f}"),
    )
