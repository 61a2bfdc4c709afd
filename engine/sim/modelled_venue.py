"""The simulated venue with a model, over a market that is recorded or followed, and an account that it adopts.

Backtests, resimulations and paper sessions build it here, so one model gives one set of fills.
"""

from collections.abc import Mapping, Sequence

from engine.lifecycle import Status
from engine.lots import cost_of, quantity_of
from engine.model import Instrument
from engine.session_record import SessionBody, VenueSettings
from engine.sim.binance import PROTOCOL
from engine.sim.binance.filters import SymbolRules, rules_of
from engine.sim.exchange import adoption
from engine.sim.exchange.funds import Holding
from engine.sim.exchange.queue_models import EXACT, UNSEEN
from engine.sim.feeds.recorded_feed import RecordedMarket
from engine.sim.sim_venue import SimVenue
from engine.sim.units import PLACES, units
from engine.sim.venue_config import AccountConfig, VenueConfig
from engine.sim.venue_model import QUEUES, VenueModel
from engine.sim.wire import HttpRequest
from engine.state.orders import Order
from engine.state.session_state import State
from engine.venues.venue_lookup import UnknownVenueError, venue_class

ACCOUNT_KEY = "resimulated"  # the API key and the name of the account
EXCHANGE_INFO_REQUEST = HttpRequest(method="GET", path="/api/v3/exchangeInfo", headers={})


class ModelledVenue:
    """A simulated venue and its time, as engine/sim/simulated_wires.py needs them."""

    def __init__(self, sim: SimVenue, now_ns: int) -> None:
        """Begin with the request for the instruments: each session sends it first, and it uses rate budget."""
        self.sim = sim
        self.now_ns = now_ns
        self._conn_ids = 0
        sim.http(self.new_conn_id(), EXCHANGE_INFO_REQUEST, now_ns)
        sim.advance(now_ns)

    def new_conn_id(self) -> int:
        """Return the id of a new connection."""
        self._conn_ids += 1
        return self._conn_ids


def is_modelled(venue: str) -> bool:
    """Return True if the simulated venue uses the protocol of this venue's account."""
    try:
        return bool(venue_class(VenueSettings(name=venue)).sim_protocol == PROTOCOL)
    except UnknownVenueError:
        return False


def decimals_refusal(instruments: Sequence[Instrument]) -> str:
    """Return why the simulated venue cannot have these instruments, or ""."""
    for each in instruments:
        if max(each.price_scale, each.size_scale) > PLACES:
            return f"{each.symbol} has more than {PLACES} decimals, which the simulated venue cannot have"
    return ""


def symbol_rules(session: SessionBody) -> dict[str, SymbolRules]:
    """Return the rules of a session's instruments, by symbol."""
    return {instrument.symbol: rules_of(instrument) for instrument in session.instruments}


def build_venue(market: RecordedMarket, session: SessionBody, model: VenueModel) -> SimVenue:
    """Return the simulated venue over a session's market, with an account ACCOUNT_KEY that has no balances yet."""
    rules = symbol_rules(session)
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
    sim = SimVenue(config, market)
    sim.exchange.fills_whole = model.fills == "whole"
    sim.exchange.fills_at_touch = model.limit_fills == "touch"
    for place, instrument in enumerate(session.instruments):
        sim.exchange.books.scale(place, instrument.price_scale, instrument.size_scale)
        if not session.engine.books:
            sim.exchange.books.quotes_alone(place)
        is_made = instrument.half_spread_ppm >= 0
        if is_made:
            sim.exchange.books.make_quotes(place, instrument.half_spread_ppm)
        queue = QUEUES[model.queue]
        if is_made and model.limit_fills == "through":
            queue = UNSEEN
        elif instrument.by_order and model.queue == "pessimistic":
            queue = EXACT
        sim.exchange.books.queue(place, queue, model.queue_n, rules[instrument.symbol].lot_size)
    return sim


def adopt_state(sim: SimVenue, state: State, totals: Mapping[str, int]) -> None:
    """Give the simulated venue an account: balances, and the open orders and positions of a session's state.

    Args:
        sim: The venue.
        state: The engine's state. Orders, fills and ids continue after those that it knows.
        totals: The balances in units, free and locked together.
    """
    account = state.account
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
            contracts=_positions(state),
        ),
        state.time_ns,
    )


def _positions(state: State) -> dict[str, Holding]:
    """Return the account's positions in contracts by symbol, with their worth at entry as settlement.py counts it."""
    known = {instrument.id: instrument for instrument in state.market.instruments}
    found = {}
    for name, held in state.account.wallets.by_instrument.items():
        if held.lots and name in known:
            cost = -cost_of(held.lots) if known[name].inverse else cost_of(held.lots)
            found[known[name].symbol] = Holding(units(f"{quantity_of(held.lots):f}"), units(f"{cost:f}"))
    return found


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
