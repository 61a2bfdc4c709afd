"""Sets up the simulated venue over a session's market, with its instruments' rules, balances and open orders.

The account is read from the session; if the session does not state it, the caller gives it.
"""

from collections.abc import Mapping
from decimal import Decimal

from engine import facts
from engine.lifecycle import Status
from engine.record_codec import read_fact, read_request
from engine.session_record import SessionBody, VenueSettings
from engine.sim.binance import PROTOCOL
from engine.sim.binance.filters import rules_of
from engine.sim.exchange import adoption
from engine.sim.exchange.queue_models import UNSEEN
from engine.sim.feeds.recorded_feed import RecordedMarket
from engine.sim.sim_venue import SimVenue
from engine.sim.units import ONE, units
from engine.sim.venue_config import AccountConfig, VenueConfig
from engine.state.orders import Order
from engine.state.session_state import State
from engine.venues.venue_lookup import UnknownVenueError, installed_venues, venue_class
from journal.reader import Journal
from journal.record import Kind
from replay.resim.bar_pieces import BarModel, venue_pieces
from replay.resim.timeline import Timeline
from replay.resim.venue_model import QUEUES, VenueModel

ACCOUNT_KEY = "resimulated"  # the API key and the name of the account


class CannotResimulateError(Exception):
    """A session cannot be resimulated. The text is one line."""


def refuse_unsupported_venue(journal: Journal, session: SessionBody) -> None:
    """Refuse a slice, and a session without exactly one venue that can be simulated.

    Raises:
        CannotResimulateError: The session is one of these.
    """
    if journal.left_out:
        raise CannotResimulateError(f"{journal.folder} is a slice. What to do: resimulate the whole session.")
    names = [venue.name for venue in session.venues]
    if len(names) != 1 or not _is_modelled(names[0]):
        modelled = ", ".join(name for name in installed_venues() if _is_modelled(name))
        raise CannotResimulateError(
            f"{journal.folder} is a session of {' and '.join(names) or 'no venue'}; only one of "
            f"{modelled} can be simulated."
        )


def _is_modelled(venue: str) -> bool:
    """Return True if the simulated venue uses the protocol of this venue's account."""
    try:
        return bool(venue_class(VenueSettings(name=venue)).sim_protocol == PROTOCOL)
    except UnknownVenueError:
        return False


def build_venue(timeline: Timeline, session: SessionBody, model: VenueModel) -> SimVenue:
    """Return the simulated venue over a session's market, with an account ACCOUNT_KEY that has no balances yet."""
    rules = {instrument.symbol: rules_of(instrument) for instrument in session.instruments}
    rate_limits = session.venues[0].rate_limits
    account = AccountConfig(
        api_key=ACCOUNT_KEY,
        secret=ACCOUNT_KEY,
        balances={},
        name=ACCOUNT_KEY,
        fee_maker=model.fee_maker,
        fee_taker=model.fee_taker,
        fee_tiers=model.fee_tiers,
    )
    config = VenueConfig(
        accounts=(account,),
        rules=rules,
        latency_ns=model.venue_ns,
        weight_max=rate_limits.weight_minute_max,
        orders_10s_max=rate_limits.orders_10s_max,
    )
    by_venue = model.clock == "venue"
    items = timeline.venue_items(
        model.answer_ns + model.venue_ns, by_venue_clock=by_venue, with_quotes=model.quotes == "fused"
    )
    bars = BarModel(Decimal(model.volume_share), model.feed_ns, model.answer_ns + model.venue_ns + 1 - model.feed_ns)
    items = venue_pieces(items, session.instruments, bars)
    sim = SimVenue(config, RecordedMarket(rules, items, ahead_ns=model.feed_ns))
    sim.exchange.fills_whole = model.fills == "whole"
    sim.exchange.fills_at_touch = model.limit_fills == "touch"
    for place, instrument in enumerate(session.instruments):
        sim.exchange.books.scale(place, instrument.price_scale, instrument.size_scale)
        if not session.engine.books:
            sim.exchange.books.quotes_alone(place)
        is_made = instrument.half_spread_ppm >= 0
        if is_made:
            sim.exchange.books.make_quotes(place, instrument.half_spread_ppm)
        queue = UNSEEN if is_made and model.limit_fills == "through" else QUEUES[model.queue]
        sim.exchange.books.queue(place, queue, model.queue_n, rules[instrument.symbol].lot_size)
    return sim


def adopt_account(
    sim: SimVenue, journal: Journal, state: State, given: Mapping[str, str], *, handed_over: bool, has_account: bool
) -> bool:
    """Give the simulated venue the account's balances and open orders.

    Args:
        sim: The venue.
        journal: The source session.
        state: The engine's state at the handover.
        given: Balances to use if the session states none.
        handed_over: The session ran up to here, so its current balances count; else its first ones.
        has_account: False for a capture, which states no balances.

    Returns:
        True if the session states the balances.

    Raises:
        CannotResimulateError: Neither the session nor `given` states balances.
    """
    account = state.account
    totals: Mapping[str, int] = {}
    if handed_over:
        totals = balances_at(journal, state)
    else:
        _refuse_carried_settlement(journal, account.orders.live)
    if not totals and has_account:  # a capture has no account, so the search would read all of it
        totals = opening_balances(journal)
    is_known = bool(totals)
    if not is_known:
        totals = {asset: units(amount) for asset, amount in given.items()}
    if not totals:
        raise CannotResimulateError(
            f"{journal.folder} states no balances. What to do: give them, as in --balance USDT=100000 --balance BTC=1."
        )
    if not has_account:
        _refuse_missing_margin(journal, state, totals)
    known = account.orders.all()
    fills = [int(fill) for order in known for fill in order.fill_ids if fill.isdigit()]
    confirmed = [last for last in account.reconciling.fills_confirmed.values() if isinstance(last, int)]
    adoption.adopt(
        sim.exchange,
        ACCOUNT_KEY,
        adoption.Known(
            totals=totals,
            orders=[
                _open_order(order, is_pending=order.waits_for in account.orders.live)
                for order in account.orders.live_by_age()
                if order.venue_order_id
            ],
            order_id_last=max(
                (int(order.venue_order_id) for order in known if order.venue_order_id.isdigit()), default=0
            ),
            trade_id_last=max((*fills, *confirmed), default=0),
        ),
        state.time_ns,
    )
    return is_known


def _refuse_missing_margin(journal: Journal, state: State, totals: Mapping[str, int]) -> None:
    """Refuse a capture of contracts without their margin asset: fees alone would make a balance negative."""
    margins = {instrument.margin for instrument in state.market.instruments if instrument.margin}
    if margins and not margins & totals.keys():
        raise CannotResimulateError(
            f"{journal.folder} needs {' or '.join(sorted(margins))}, in which its contracts settle. "
            f"What to do: give it, as in --balance {min(margins)}=10."
        )


def balances_at(journal: Journal, state: State) -> dict[str, int]:
    """Return the last reported balances, changed by the fills since."""
    balances = state.account.balances.by_asset
    totals = {asset: units(f"{balance.free + balance.locked:f}") for asset, balance in balances.items()}
    assets = {instrument.id: (instrument.base, instrument.quote) for instrument in state.market.instruments}

    def move(asset: str, amount: Decimal, seq: int, venue_ns: int) -> None:
        balance = balances.get(asset)
        if balance is None:
            return
        # a report may arrive after later fills, so the venue's dates decide where both have one
        is_dated = balance.venue_ns > 0 and venue_ns > 0
        if venue_ns > balance.venue_ns if is_dated else seq > balance.seq:
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


def _refuse_carried_settlement(journal: Journal, carried: Mapping[str, Order]) -> None:
    """Refuse a session with a carried order that ended before this session began.

    The venue's first balances include its fills, and the model cannot repeat them.
    """
    if not carried:
        return
    for record in journal.records(kinds=(Kind.FACT,)):
        fact = read_fact(record.body or "")
        match fact:
            case facts.Reconciled():
                return
            case facts.OrderFilled() | facts.OrderClosed() if fact.client_order_id in carried:
                raise CannotResimulateError(
                    f"{journal.folder}: order {fact.client_order_id} of the session before was settled before this one "
                    "began, and the model cannot repeat that. "
                    "What to do: leave out --modelled; then the part before the first change is exact."
                )
            case _:
                pass


def opening_balances(journal: Journal) -> dict[str, int]:
    """Return the balances of the venue's first answer, before an order of this session was sent."""
    totals: dict[str, int] = {}
    for record in journal.records(kinds=(Kind.FACT, Kind.REQUEST)):
        if record.kind is Kind.REQUEST:
            if totals and read_request(record.body or "").placed:
                break
            continue
        fact = read_fact(record.body or "")
        if isinstance(fact, facts.BalanceChanged):
            # a later report may contain fills of carried orders
            totals.setdefault(fact.asset, units(f"{fact.free + fact.locked:f}"))
    return totals


def _open_order(order: Order, *, is_pending: bool) -> adoption.OpenOrder:
    terms = order.order
    return adoption.OpenOrder(
        order_id=int(order.venue_order_id),
        client_order_id=order.venue_client_id or order.client_order_id,
        symbol=terms.instrument.partition(":")[2],
        side=terms.side,
        order_type=terms.type,
        time_in_force=terms.time_in_force,
        price=units(f"{terms.price:f}"),
        quantity=units(f"{terms.quantity:f}"),
        executed=units(f"{order.filled_quantity:f}"),
        executed_quote=units(f"{order.filled_notional:f}"),
        stop_price=units(f"{terms.stop_price:f}"),
        trailing_delta=terms.trailing_delta,
        iceberg_quantity=units(f"{terms.iceberg_quantity:f}"),
        quote_quantity=units(f"{terms.quote_quantity:f}"),
        is_triggered=order.status is Status.TRIGGERED,
        client_list_id=order.list_id,
        is_pending=is_pending,
    )
